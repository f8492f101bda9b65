//! Cuts a JSON array into its elements.
//!
//! Each element becomes a line, in place, so that the offset of every byte stays that of the file: the comma or bracket
//! behind an element becomes a line feed, and line ends within it become spaces. A line end inside a string, which JSON
//! does not allow, becomes another control character that it does not allow either, so that the element stays wrong.
//! It guarantees that nothing is dropped: an element that is missing, text behind the array and an array that is not
//! closed are errors. What an element is made of is for whoever reads it.

use memchr::{memchr2, memchr2_iter};

/// Stands for a line end inside a string.
const BROKEN: u8 = 0x1f;

/// Bytes within an element that are more than one byte further on.
const MEANS_SOMETHING: [bool; 256] = {
    let mut table = [false; 256];
    let marks = b"[]{},\"\n\r";
    let mut i = 0;
    while i < marks.len() {
        table[marks[i] as usize] = true;
        i += 1;
    }
    table
};

/// Where the cutter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the array.
    Before,
    /// Before the first element, or the end of an empty array.
    Start,
    /// Behind a comma.
    Next,
    /// In an element, so many brackets deep.
    Inside(u64),
    /// In a string there.
    Text(u64),
    /// Behind a backslash there.
    Escape(u64),
    /// Behind the array.
    Done,
}

/// What is wrong with an array, and where in the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) what: &'static str,
}

/// The search for the ends of elements, in bytes that start with one and become more.
#[derive(Clone, Debug)]
pub(super) struct Elements {
    at: usize,
    place: Place,
    /// Behind the last end of an element so far; 0: there is none.
    pub(super) boundary: usize,
    /// The place there.
    resumed: Place,
}

impl Elements {
    /// A cutter before the array.
    pub(super) fn new() -> Self {
        Self { at: 0, place: Place::Before, boundary: 0, resumed: Place::Before }
    }

    /// Starts anew, behind the last boundary.
    pub(super) fn restart(&mut self) {
        if self.boundary > 0 {
            (self.at, self.place, self.boundary) = (0, self.resumed, 0);
        }
    }

    /// Whether the array has ended.
    pub(super) fn is_done(&self) -> bool {
        self.place == Place::Done
    }

    /// Goes on to the end of `bytes`.
    pub(super) fn advance(&mut self, bytes: &mut [u8]) -> Result<(), Fault> {
        while self.at < bytes.len() {
            match self.place {
                Place::Text(depth) => {
                    let len = memchr2(b'"', b'\\', &bytes[self.at..]).unwrap_or(bytes.len() - self.at);
                    mark_line_ends(&mut bytes[self.at..self.at + len]);
                    self.at += len;
                    let Some(b) = bytes.get(self.at) else { return Ok(()) };
                    self.place = if *b == b'"' { Place::Inside(depth) } else { Place::Escape(depth) };
                }
                Place::Escape(depth) => {
                    mark_line_ends(&mut bytes[self.at..=self.at]);
                    self.place = Place::Text(depth);
                }
                place => {
                    if matches!(place, Place::Inside(_)) {
                        self.at += bytes[self.at..].iter().take_while(|b| !MEANS_SOMETHING[usize::from(**b)]).count();
                    }
                    let Some(b) = bytes.get(self.at) else { return Ok(()) };
                    self.place = self.step(place, *b, bytes)?;
                }
            }
            self.at += 1;
        }
        Ok(())
    }

    /// Takes one byte outside strings.
    fn step(&mut self, place: Place, b: u8, bytes: &mut [u8]) -> Result<Place, Fault> {
        let at = self.at;
        let fault = |what| Err(Fault { at, what });
        if matches!(b, b' ' | b'\t' | b'\n' | b'\r') {
            if b != b'\t' {
                bytes[at] = b' ';
            }
            return Ok(place);
        }
        match (place, b) {
            (Place::Before, b'[') => {
                bytes[at] = b' ';
                Ok(Place::Start)
            }
            (Place::Before, _) => fault("no JSON array: it does not start with a bracket"),
            (Place::Done, _) => fault("text behind the end of the array"),
            (Place::Start, b']') => {
                bytes[at] = b' ';
                Ok(Place::Done)
            }
            (Place::Start | Place::Next, b',' | b']') => fault("an element is missing"),
            (Place::Inside(0), b',' | b']') => {
                bytes[at] = b'\n';
                self.boundary = at + 1;
                self.resumed = if b == b',' { Place::Next } else { Place::Done };
                Ok(self.resumed)
            }
            (Place::Start | Place::Next | Place::Inside(0), b'}') => fault("a brace that closes nothing"),
            (Place::Inside(depth), b'}' | b']') => Ok(Place::Inside(depth - 1)),
            (_, b'{' | b'[') => Ok(Place::Inside(depth(place) + 1)),
            (_, b'"') => Ok(Place::Text(depth(place))),
            _ => Ok(Place::Inside(depth(place))),
        }
    }
}

fn depth(place: Place) -> u64 {
    match place {
        Place::Inside(depth) | Place::Text(depth) | Place::Escape(depth) => depth,
        Place::Before | Place::Start | Place::Next | Place::Done => 0,
    }
}

fn mark_line_ends(text: &mut [u8]) {
    if memchr2_iter(b'\n', b'\r', text).next().is_some() {
        for b in text.iter_mut().filter(|b| matches!(**b, b'\n' | b'\r')) {
            *b = BROKEN;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The lines of an array whose bytes arrive `step` at a time, and how it ends.
    fn cut(array: &str, step: usize) -> Result<(String, bool), Fault> {
        let mut rest = array.as_bytes().to_vec();
        let (mut out, mut cutter, mut have) = (Vec::new(), Elements::new(), 0);
        loop {
            have = (have + step).min(rest.len());
            cutter.advance(&mut rest[..have])?;
            if cutter.boundary > 0 {
                out.extend(rest.drain(..cutter.boundary));
                cutter.restart();
                have = 0;
            } else if have == rest.len() {
                assert!(!cutter.is_done() || rest.iter().all(|b| b" \t".contains(b)), "{rest:?}");
                return Ok((String::from_utf8(out).unwrap(), cutter.is_done()));
            }
        }
    }

    #[test]
    fn elements_become_lines_where_they_stand() {
        for step in [1, 2, 3, 7, 1000] {
            let array = "\r\n[ {\"a\":\n [1,2,{\"x\":\"],}\\\"\\\\\"}]},\n\t3 ,\"b,\"]\r\n";
            let (lines, done) = cut(array, step).unwrap();
            assert_eq!(lines, "    {\"a\":  [1,2,{\"x\":\"],}\\\"\\\\\"}]}\n \t3 \n\"b,\"\n", "{step}");
            assert!(done);
            assert!(array.starts_with("\r\n[ {") && lines.find('3') == array.find('3'), "offsets stay");
            assert_eq!(cut("[]", step), Ok((String::new(), true)));
            assert_eq!(cut(" [ \n ] ", step), Ok((String::new(), true)));
        }
    }

    #[test]
    fn nothing_is_repaired() {
        let fault = |text: &str| cut(text, 2).unwrap_err().what;
        assert_eq!(fault("[1,]"), "an element is missing");
        assert_eq!(fault("[,1]"), "an element is missing");
        assert_eq!(fault("[1,,2]"), "an element is missing");
        assert_eq!(fault("[1] 2"), "text behind the end of the array");
        assert_eq!(fault("[1}]"), "a brace that closes nothing");
        assert_eq!(fault("{\"a\":1}"), "no JSON array: it does not start with a bracket");
        assert_eq!(
            cut("[{\"a\nb\":\"\\\r\"}]", 3).unwrap().0,
            " {\"a\u{1f}b\":\"\\\u{1f}\"}\n",
            "line ends in strings"
        );
        for open in ["[", "[1", "[1,", "[{\"a\":1}", "[\"a]", "[\"\\", "[[1]"] {
            assert!(!cut(open, 1).unwrap().1, "{open}");
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            any::<i32>().prop_map(Into::into),
            "[a\"\\\\\n,\\]}가]{0,6}".prop_map(Into::into),
            Just(serde_json::Value::Null),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::vec(("[a\",]{0,3}", inner), 0..4).prop_map(|o| o.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn lines_are_the_elements(elements in prop::collection::vec(json(), 0..6), pretty in any::<bool>(), step in 1..50usize) {
            let text = if pretty { serde_json::to_string_pretty(&elements) } else { serde_json::to_string(&elements) };
            let (lines, done) = cut(&text.unwrap(), step).unwrap();
            let read: Vec<serde_json::Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
            prop_assert_eq!(read, elements);
            prop_assert!(done);
        }

        #[test]
        fn any_bytes_are_cut_alike_however_they_arrive(text in "[\\[\\]{},\"\\\\\na ]{0,30}", step in 1..20usize) {
            let array = format!("[{text}");
            prop_assert_eq!(cut(&array, step).map_err(|f| f.what), cut(&array, 1).map_err(|f| f.what));
        }
    }
}

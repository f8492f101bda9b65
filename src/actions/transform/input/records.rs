//! Where records of delimited text and lines end.
//!
//! A record ends at LF, CR LF or a CR alone outside quotes. A quote opens a quoted field only as the first byte of a
//! field; inside, two quotes are one, and a single one closes; what follows up to the delimiter is plain. That is how
//! the `csv` crate reads, and it holds here to the byte, for any bytes and however they arrive.

use super::dense;
use memchr::{memchr, memchr_iter, memchr2, memrchr2};

/// Bytes in which quotes are taken to be as dense as at their start.
const PIECE: usize = 32 * 1024;

/// The bytes that mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marks {
    /// Between two fields. Lines have none.
    pub(super) delimiter: Option<u8>,
    /// Around a field.
    pub(super) quote: Option<u8>,
}

/// A search for the last end of a record, in bytes that start with one and become more.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scan {
    /// Where it goes on.
    at: usize,
    /// Whether a quoted field is open there.
    pub(super) quoted: bool,
    /// Behind the last end of a record so far; 0: there is none.
    pub(super) boundary: usize,
}

impl Scan {
    /// Goes on to the end of `bytes`. What the last byte leaves open stays open until more is there, or `ended`.
    pub(super) fn advance(&mut self, bytes: &[u8], marks: Marks, ended: bool) {
        let Some(quote) = marks.quote else {
            self.outside(bytes, self.at, bytes.len(), ended);
            return;
        };
        loop {
            let end = bytes.len().min(self.at + PIECE);
            let piece = &bytes[..end];
            if dense::is_dense(&piece[self.at..], quote) {
                let found = dense::search(piece, self.at, self.quoted, marks, quote);
                (self.at, self.quoted) = (found.at, found.quoted);
                self.boundary = found.boundary.unwrap_or(self.boundary);
            }
            self.sparse(piece, marks, quote, ended && end == bytes.len());
            if end == bytes.len() {
                return;
            }
        }
    }

    /// Goes on from quote to quote.
    fn sparse(&mut self, bytes: &[u8], marks: Marks, quote: u8, ended: bool) {
        loop {
            if self.quoted {
                let Some(found) = memchr(quote, &bytes[self.at..]) else {
                    self.at = bytes.len();
                    return;
                };
                let found = self.at + found;
                match bytes.get(found + 1) {
                    Some(next) if *next == quote => self.at = found + 2,
                    None if !ended => {
                        self.at = found;
                        return;
                    }
                    _ => {
                        self.at = found + 1;
                        self.quoted = false;
                    }
                }
                continue;
            }
            let start = self.at;
            let mut from = start;
            let opened = loop {
                let Some(found) = memchr(quote, &bytes[from..]) else { break None };
                let found = from + found;
                if opens(bytes, found, marks.delimiter) {
                    break Some(found);
                }
                from = found + 1;
            };
            self.outside(bytes, start, opened.unwrap_or(bytes.len()), ended);
            let Some(opened) = opened else { return };
            self.at = opened + 1;
            self.quoted = true;
        }
    }

    /// Looks at bytes outside quotes.
    fn outside(&mut self, bytes: &[u8], start: usize, end: usize, ended: bool) {
        self.at = end;
        let mut upto = end;
        while let Some(found) = memrchr2(b'\n', b'\r', &bytes[start..upto]) {
            let found = start + found;
            if bytes[found] == b'\r' && found + 1 == bytes.len() && !ended {
                // A line feed may follow, which belongs to it.
                self.at = found;
                upto = found;
                continue;
            }
            self.boundary = found + 1;
            return;
        }
    }
}

/// Whether a quote outside quotes is the first byte of a field.
fn opens(bytes: &[u8], at: usize, delimiter: Option<u8>) -> bool {
    at.checked_sub(1).is_none_or(|before| matches!(bytes[before], b'\n' | b'\r') || Some(bytes[before]) == delimiter)
}

/// The first record in some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct First {
    /// Where it starts, behind empty lines.
    pub(super) start: usize,
    /// Where its text ends, and where its line end does. `None`: not in these bytes.
    pub(super) end: Option<(usize, usize)>,
    /// How many fields of it are there, the last perhaps in part.
    pub(super) fields: usize,
    /// Whether a quote is open in the last of them.
    pub(super) open: bool,
}

/// Finds the first record; `ended`: nothing follows the bytes.
pub(super) fn first(bytes: &[u8], marks: Marks, ended: bool) -> First {
    let start = bytes.iter().take_while(|b| matches!(b, b'\n' | b'\r')).count();
    let mut found = First { start, end: None, fields: usize::from(start < bytes.len()), open: false };
    let mut at = start;
    let mut is_start = true;
    while let Some(&b) = bytes.get(at) {
        if is_start && Some(b) == marks.quote {
            found.open = true;
            at += 1;
            loop {
                let Some(len) = memchr(b, &bytes[at..]) else { return found };
                at += len + 1;
                match bytes.get(at) {
                    Some(next) if *next == b => at += 1,
                    None if !ended => return found,
                    _ => break,
                }
            }
            found.open = false;
        } else if matches!(b, b'\n' | b'\r') {
            let end = match (b, bytes.get(at + 1)) {
                (b'\r', Some(b'\n')) => at + 2,
                (b'\r', None) if !ended => return found,
                _ => at + 1,
            };
            found.end = Some((at, end));
            return found;
        } else if Some(b) == marks.delimiter {
            found.fields += 1;
            is_start = true;
            at += 1;
            continue;
        } else {
            at += 1;
        }
        is_start = false;
    }
    if ended && start < bytes.len() {
        found.end = Some((at, at));
    }
    found
}

/// How many line ends there are. A CR and the LF behind it are one, and are never cut apart.
pub(super) fn line_ends(bytes: &[u8]) -> u64 {
    let feeds = memchr_iter(b'\n', bytes).count();
    let Some(first) = memchr(b'\r', bytes) else { return feeds as u64 };
    let rest = &bytes[first..];
    let mut lone = usize::from(rest.last() == Some(&b'\r'));
    // In pieces whose count fits a byte: so they are counted many at a time.
    for (some, next) in rest[..rest.len() - 1].chunks(128).zip(rest[1..].chunks(128)) {
        let counts = some.iter().zip(next).map(|(a, b)| u8::from(*a == b'\r') & u8::from(*b != b'\n'));
        lone += usize::from(counts.sum::<u8>());
    }
    (feeds + lone) as u64
}

/// Where the first line ends, without its line end.
pub(super) fn first_line(bytes: &[u8]) -> &[u8] {
    &bytes[..memchr2(b'\n', b'\r', bytes).unwrap_or(bytes.len())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MARKS: Marks = Marks { delimiter: Some(b','), quote: Some(b'"') };

    /// Records as the `csv` crate reads them.
    fn by_csv_crate(bytes: &[u8], marks: Marks) -> Vec<Vec<Vec<u8>>> {
        let mut reader = csv::ReaderBuilder::new();
        reader.has_headers(false).flexible(true).delimiter(marks.delimiter.unwrap_or(b','));
        match marks.quote {
            Some(quote) => reader.quote(quote),
            None => reader.quoting(false),
        };
        let records = reader.from_reader(bytes).into_byte_records();
        records.map(|r| r.unwrap().iter().map(<[u8]>::to_vec).collect()).collect()
    }

    /// The pieces that bytes are cut into if they arrive `step` at a time.
    fn cut(bytes: &[u8], marks: Marks, step: usize) -> Vec<&[u8]> {
        let (mut pieces, mut rest) = (Vec::new(), bytes);
        while !rest.is_empty() {
            let mut scan = Scan::default();
            let mut have = 0;
            let len = loop {
                have = (have + step).min(rest.len());
                scan.advance(&rest[..have], marks, have == rest.len());
                match scan.boundary {
                    0 if have < rest.len() => {}
                    0 => break rest.len(),
                    n => break n,
                }
            };
            pieces.push(&rest[..len]);
            rest = &rest[len..];
        }
        pieces
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            6 => prop::sample::select(b"a,\"\n\r".to_vec()),
            2 => prop::sample::select(b"bc;' \xb0\xa1".to_vec()),
            1 => any::<u8>(),
        ];
        prop::collection::vec(byte, 0..80)
    }

    /// Text with many quotes, most of them where they belong.
    fn quoted() -> impl Strategy<Value = Vec<u8>> {
        let words = ["\"a,b\"", "\"\"", "\"x\"\"y\"", "\"\r\n\"", "a", ",", ",", ",", "\n", "\r\n", "\r"];
        let word = prop_oneof![
            60 => prop::sample::select(words.to_vec()),
            1 => prop::sample::select(vec!["\"", "a\"b", "\"a\"b\""]),
        ];
        prop::collection::vec(word, 0..600).prop_map(|words| words.concat().into_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]
        #[test]
        fn pieces_read_as_the_whole(
            bytes in bytes(), step in 1..40usize, quote in prop::option::of(prop::sample::select(b"\"'".to_vec()))
        ) {
            let marks = Marks { delimiter: Some(b','), quote };
            let whole = by_csv_crate(&bytes, marks);
            let pieces = cut(&bytes, marks, step);
            let apart: Vec<_> = pieces.iter().flat_map(|p| by_csv_crate(p, marks)).collect();
            prop_assert_eq!(&apart, &whole);
            // And with steps of one byte, every piece is one record, or an empty line.
            for piece in cut(&bytes, marks, 1) {
                prop_assert!(by_csv_crate(piece, marks).len() <= 1, "{:?}", piece);
            }
            // Lines are counted the same however they are cut.
            let sum: u64 = pieces.iter().map(|p| line_ends(p)).sum();
            prop_assert_eq!(sum, line_ends(&bytes));
        }

        #[test]
        fn dense_quotes_are_searched_alike(bytes in quoted(), step in 1..2000usize, fill in 0..PIECE) {
            let whole = by_csv_crate(&bytes, MARKS);
            let apart: Vec<_> = cut(&bytes, MARKS, step).iter().flat_map(|p| by_csv_crate(p, MARKS)).collect();
            prop_assert_eq!(&apart, &whole);
            // Wherever the pieces of a search end.
            let row = b"\"x\",\"y\"\n";
            let mut far = row.repeat(fill / row.len());
            far.extend_from_slice(&bytes);
            let (mut one, mut other) = (Scan::default(), Scan::default());
            one.advance(&far, MARKS, false);
            other.sparse(&far, MARKS, b'"', false);
            prop_assert_eq!((one.at, one.quoted, one.boundary), (other.at, other.quoted, other.boundary));
        }

        #[test]
        fn the_first_record_is_that_of_the_csv_crate(bytes in bytes(), upto in any::<prop::sample::Index>()) {
            let found = first(&bytes, MARKS, true);
            let all = by_csv_crate(&bytes, MARKS);
            match found.end {
                None => prop_assert!(all.is_empty() || found.open, "{:?}", found),
                Some((end, behind)) => {
                    prop_assert_eq!(by_csv_crate(&bytes[found.start..end], MARKS), all[..1].to_vec());
                    prop_assert_eq!(all[0].len(), found.fields);
                    prop_assert_eq!(by_csv_crate(&bytes[behind..], MARKS), all[1..].to_vec());
                }
            }
            let upto = upto.index(bytes.len() + 1);
            let early = first(&bytes[..upto], MARKS, false);
            if early.end.is_some() {
                prop_assert_eq!(early, found, "what is found early stays");
            }
        }
    }

    #[test]
    fn quotes_hide_line_ends_only_where_they_open_a_field() {
        for (text, pieces) in [
            ("a,\"b\nc\"\nd\n", vec!["a,\"b\nc\"\n", "d\n"]),
            ("a,b\"\nc\"\nd\n", vec!["a,b\"\n", "c\"\n", "d\n"]),
            ("\"a\"\"\n\"\nb", vec!["\"a\"\"\n\"\n", "b"]),
            ("\"a\"b\"\nc\n", vec!["\"a\"b\"\n", "c\n"]),
            ("a\r\nb\rc\n\r\n", vec!["a\r\n", "b\r", "c\n", "\r\n"]),
            ("\"\n\n", vec!["\"\n\n"]),
        ] {
            let got: Vec<_> = cut(text.as_bytes(), MARKS, 1).iter().map(|p| String::from_utf8_lossy(p)).collect();
            assert_eq!(got, pieces, "{text:?}");
        }
        let plain = Marks { delimiter: None, quote: None };
        assert_eq!(cut(b"{\"a\n\":1}\n2", plain, 1).len(), 3);
    }

    #[test]
    fn lines_are_counted_by_their_ends() {
        assert_eq!(line_ends(&b"a\r\r\n".repeat(500)), 1000);
        assert_eq!(line_ends(&b"\r".repeat(1000)), 1000);
        for (text, count) in [("", 0), ("a", 0), ("a\n", 1), ("a\r\nb\r\n", 2), ("\r\r\n\n\r", 4), ("a\rb", 1)] {
            assert_eq!(line_ends(text.as_bytes()), count, "{text:?}");
        }
    }
}

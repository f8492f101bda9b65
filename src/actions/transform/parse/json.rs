//! One JSON object a line, cut into the same fields as delimited text: the columns are keys.
//!
//! It guarantees that a line that is no JSON object by RFC 8259 is set apart, with the place and the reason, and that
//! every string it hands on can be unescaped. It refuses what has two readings: a key of a column that stands twice,
//! half a surrogate pair, a NUL character. Keys of no column are read and forgotten.

use super::cut::{Oddity, Rows};
use super::span::{Kind, Span};
use memchr::memchr2;
use std::collections::HashMap;

/// Levels of objects and arrays within each other; a deeper value makes a bad row.
const NESTING_MAX: usize = 128;

/// Where in the chunk a line is no JSON, and why.
type Fault = (usize, &'static str);

/// The columns by the names that objects have for them.
#[derive(Debug)]
pub(super) struct Keys {
    names: Vec<Vec<u8>>,
    by_name: HashMap<Vec<u8>, usize>,
}

impl Keys {
    /// The columns with these names, as the bytes of a chunk spell them.
    pub(super) fn new(names: Vec<Vec<u8>>) -> Self {
        let by_name = names.iter().cloned().enumerate().map(|(i, name)| (name, i)).collect();
        Self { names, by_name }
    }

    /// How many columns there are.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// The column with this key; it is probably the one at `guess`.
    #[inline]
    pub(super) fn find(&self, key: &[u8], guess: usize) -> Option<usize> {
        if self.names.get(guess).is_some_and(|name| name == key) {
            return Some(guess);
        }
        self.by_name.get(key).copied()
    }
}

/// Finds rows from `from` on, where a line starts, until there are about `cells` fields of them, and at least one row.
/// Answers where the next line starts; at the end of the text, its length.
#[expect(clippy::cast_possible_truncation, reason = "offsets are at most OFFSET_MAX")]
pub(super) fn cut(bytes: &[u8], from: usize, keys: &Keys, cells: usize, rows: &mut Rows) -> usize {
    rows.spans.clear();
    let mut buffer = Vec::new();
    let mut start = from;
    while start < bytes.len() {
        let end = line_end(bytes, start);
        if is_blank(&bytes[start..end]) {
            start = end + 1;
            continue;
        }
        let whole = rows.spans.len();
        // What was not seen yet is dead; what is `null` is absent.
        rows.spans.resize(whole + keys.len(), Span::DEAD);
        let (row, mut guess) = (&mut rows.spans[whole..], 0);
        let result = members(bytes, start, end, &mut buffer, |key, span| {
            let Some(column) = keys.find(key, guess) else { return Ok(()) };
            guess = column + 1;
            if row[column].kind() != Kind::Dead {
                return Err("a key stands twice");
            }
            row[column] = span;
            Ok(())
        });
        match result {
            Ok(()) => {
                for span in row.iter_mut().filter(|s| s.kind() == Kind::Dead) {
                    *span = Span::ABSENT;
                }
                rows.starts.push(start as u32);
            }
            Err((at, why)) => rows.set_apart(start, whole, Oddity::Json(at - start, why)),
        }
        start = end + 1;
        if rows.spans.len() >= cells {
            break;
        }
    }
    start.min(bytes.len())
}

/// Where the line that starts at `start` ends, without its line end.
pub(super) fn line_end(bytes: &[u8], start: usize) -> usize {
    memchr2(b'\n', b'\r', &bytes[start..]).map_or(bytes.len(), |len| start + len)
}

/// Whether a line holds no value.
pub(super) fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|b| matches!(b, b' ' | b'\t'))
}

/// Hands the members of the object between two places on: the key as it reads, and where the value stands.
pub(super) fn members(
    bytes: &[u8],
    start: usize,
    end: usize,
    buffer: &mut Vec<u8>,
    mut member: impl FnMut(&[u8], Span) -> Result<(), &'static str>,
) -> Result<(), Fault> {
    let mut scan = Scan { bytes: &bytes[..end], at: start };
    scan.space();
    if scan.peek() != Some(b'{') {
        return scan.fault("an object is expected");
    }
    scan.object(0, &mut |place, key, value| {
        let key = match key.kind() {
            Kind::Escaped => {
                unescape(key.of(bytes), buffer);
                &*buffer
            }
            _ => key.of(bytes),
        };
        member(key, value).map_err(|why| (place, why))
    })?;
    scan.space();
    if scan.at < end { scan.fault("one object is expected, and more follows") } else { Ok(()) }
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn fault<T>(&self, why: &'static str) -> Result<T, Fault> {
        Err((self.at, why))
    }

    #[inline]
    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    /// An object, from its brace on.
    fn object(
        &mut self,
        depth: usize,
        member: &mut dyn FnMut(usize, Span, Span) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.at += 1;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.space();
            let place = self.at;
            if self.peek() != Some(b'"') {
                return self.fault("a key in quotes is expected");
            }
            let key = self.string()?;
            self.space();
            if self.peek() != Some(b':') {
                return self.fault("a colon is expected");
            }
            self.at += 1;
            let value = self.value(depth + 1)?;
            member(place, key, value)?;
            if self.ends(b'}', "a comma or a closing brace is expected")? {
                return Ok(());
            }
        }
    }

    /// Behind a value of an object or an array: whether that ends, or another follows.
    #[inline]
    fn ends(&mut self, closing: u8, why: &'static str) -> Result<bool, Fault> {
        self.space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(false)
            }
            Some(b) if b == closing => {
                self.at += 1;
                Ok(true)
            }
            _ => self.fault(why),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Span, Fault> {
        self.space();
        let start = self.at;
        match self.peek() {
            Some(b'"') => return self.string(),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word(b"true")?,
            Some(b'f') => self.word(b"false")?,
            Some(b'n') => {
                self.word(b"null")?;
                return Ok(Span::ABSENT);
            }
            Some(b'{' | b'[') if depth > NESTING_MAX => return self.fault("a value is nested too deeply"),
            Some(b'{') => self.object(depth, &mut |_, _, _| Ok(()))?,
            Some(b'[') => self.array(depth)?,
            _ => return self.fault("a value is expected"),
        }
        Ok(Span::bare(start, self.at))
    }

    fn array(&mut self, depth: usize) -> Result<(), Fault> {
        self.at += 1;
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            if self.ends(b']', "a comma or a closing bracket is expected")? {
                return Ok(());
            }
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Fault> {
        if !self.bytes[self.at..].starts_with(word) {
            return self.fault("a value is expected");
        }
        self.at += word.len();
        Ok(())
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Result<(), Fault> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let zero = self.peek() == Some(b'0');
        let len = self.digits();
        if len == 0 || zero && len > 1 {
            return self.fault("a number is written otherwise");
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return self.fault("a digit is expected");
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return self.fault("a digit is expected");
            }
        }
        Ok(())
    }

    /// A string, from its quote on.
    fn string(&mut self) -> Result<Span, Fault> {
        self.at += 1;
        let (start, mut escaped) = (self.at, false);
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let Some(len) = rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..0x20)) else {
                self.at = self.bytes.len();
                return self.fault("a string is never closed");
            };
            self.at += len;
            match rest[len] {
                b'"' => {
                    self.at += 1;
                    let (start, end) = (start, self.at - 1);
                    return Ok(if escaped { Span::escaped(start, end) } else { Span::quoted(start, end) });
                }
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return self.fault("a control character stands in a string"),
            }
        }
    }

    /// An escape, from its backslash on.
    fn escape(&mut self) -> Result<(), Fault> {
        let rest = &self.bytes[self.at..];
        match escape(rest) {
            Some((_, 0)) | None => self.fault("a backslash stands before what it cannot escape"),
            Some(('\0', _)) => self.fault("a NUL character stands in a string"),
            Some((_, len)) => {
                self.at += len;
                Ok(())
            }
        }
    }
}

/// The character that a text starts with in escaped form, and the length of that.
fn escape(text: &[u8]) -> Option<(char, usize)> {
    let c = match text.get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let high = unit(text, 2)?;
            if !(0xd800..0xdc00).contains(&high) {
                return Some((char::from_u32(high)?, 6));
            }
            let low = unit(text, 8).filter(|u| text.get(6..8) == Some(b"\\u") && (0xdc00..0xe000).contains(u))?;
            return Some((char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))?, 12));
        }
        _ => return None,
    };
    Some((c, 2))
}

fn unit(text: &[u8], at: usize) -> Option<u32> {
    text.get(at..at + 4)?.iter().try_fold(0, |n, b| Some(n << 4 | char::from(*b).to_digit(16)?))
}

/// The text of a string with escapes, which were looked at when it was cut.
pub(super) fn unescape(string: &[u8], text: &mut Vec<u8>) {
    text.clear();
    let mut rest = string;
    while let Some(p) = memchr::memchr(b'\\', rest) {
        text.extend_from_slice(&rest[..p]);
        rest = &rest[p..];
        let (c, len) = escape(rest).unwrap_or(('\u{fffd}', rest.len()));
        text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        rest = &rest[len..];
    }
    text.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn rows_of(text: &str, keys: &[&str]) -> (Vec<Vec<Option<String>>>, Rows) {
        let keys = Keys::new(keys.iter().map(|k| k.as_bytes().to_vec()).collect());
        let (mut rows, mut table, mut at) = (Rows::default(), Vec::new(), 0);
        while at < text.len() {
            let next = cut(text.as_bytes(), at, &keys, 4, &mut rows);
            assert!(next > at);
            at = next;
            for row in rows.spans.chunks(keys.len()) {
                table.push(row.iter().map(|s| text_of(text, *s)).collect());
            }
        }
        (table, rows)
    }

    fn text_of(text: &str, span: Span) -> Option<String> {
        let bytes = match span.kind() {
            Kind::Absent => return None,
            Kind::Escaped => {
                let mut out = Vec::new();
                unescape(span.of(text.as_bytes()), &mut out);
                out
            }
            _ => span.of(text.as_bytes()).to_vec(),
        };
        Some(String::from_utf8(bytes).unwrap())
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[^\\x00]{0,6}".prop_map(Value::from),
            "[\"\\\\\n\t가😀]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[ab\"\\\\]{0,2}", inner, 0..4)
                    .prop_map(|m| Value::from(m.into_iter().collect::<serde_json::Map<_, _>>())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_serde_writes_is_read_back(
            objects in prop::collection::vec(prop::collection::btree_map("[abc\"]", json(), 0..5), 0..6),
            end in prop::sample::select(vec!["\n", "\r\n", " \n\n\t\n", "\r"])
        ) {
            let text: String = objects.iter().map(|o| serde_json::to_string(o).unwrap() + end).collect();
            let (table, rows) = rows_of(&text, &["a", "b", "\""]);
            prop_assert_eq!(&rows.odd, &[]);
            prop_assert_eq!(table.len(), objects.len());
            for (row, object) in table.iter().zip(&objects) {
                for (cell, key) in row.iter().zip(["a", "b", "\""]) {
                    let expected = object.get(key).filter(|v| !v.is_null()).map(|v| match v {
                        Value::String(text) => text.clone(),
                        other => other.to_string(),
                    });
                    prop_assert_eq!(cell, &expected);
                }
            }
        }

        #[test]
        fn what_serde_refuses_is_set_apart(text in "\\{(\"[ab]\":[-0-9.eE+tf \\[\\]\"\\\\u]{0,6},?){0,3}\\}?") {
            let (table, rows) = rows_of(&text, &["c"]);
            let is_json = serde_json::from_str::<serde_json::Map<String, Value>>(&text).is_ok();
            // A number over the range of a float is written well; what it may be is the column's business.
            let too_large = text.contains(['e', 'E']) && !is_json && table.len() == 1;
            prop_assert_eq!(table.len() == 1, is_json || too_large, "{:?}", rows.odd);
            prop_assert_eq!(table.len() + rows.odd.len(), 1);
        }

        #[test]
        fn no_bytes_are_too_odd(bytes in prop::collection::vec(prop::sample::select(b"{}[]:,\"\\u0dDnt1-.e \n\xff\0".to_vec()), 0..80)) {
            let keys = Keys::new(vec![b"a".to_vec(), Vec::new()]);
            let (mut rows, mut at) = (Rows::default(), 0);
            while at < bytes.len() {
                at = cut(&bytes, at, &keys, 1, &mut rows);
            }
        }
    }

    fn fault(text: &str) -> (usize, &'static str) {
        match rows_of(text, &["a"]).1.odd[..] {
            [super::super::cut::Odd { why: Oddity::Json(at, why), .. }] => (at, why),
            ref other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_place_and_the_reason_are_told() {
        assert_eq!(fault("[1]"), (0, "an object is expected"));
        assert_eq!(fault("{\"a\":1} {}"), (8, "one object is expected, and more follows"));
        assert_eq!(fault("{\"a\":1,}"), (7, "a key in quotes is expected"));
        assert_eq!(fault("{\"a\":01}"), (7, "a number is written otherwise"));
        assert_eq!(fault("{\"a\":1,\"a\":2}"), (7, "a key stands twice"));
        assert_eq!(fault("{\"a\":null,\"a\":2}"), (10, "a key stands twice"));
        assert_eq!(fault("{\"a\":\"x}"), (8, "a string is never closed"));
        assert_eq!(fault("{\"a\":\"\\u0000\"}"), (6, "a NUL character stands in a string"));
        assert_eq!(fault("{\"a\":\"\\ud800x\"}"), (6, "a backslash stands before what it cannot escape"));
        let deep = format!("{{\"b\":{}1{}}}", "[".repeat(129), "]".repeat(129));
        assert_eq!(fault(&deep).1, "a value is nested too deeply");
        let (table, _) = rows_of(&deep.replace("[[", "[").replace("]]", "]"), &["a"]);
        assert_eq!(table, [[None]]);
    }

    #[test]
    fn keys_may_stand_in_any_order_and_be_missing() {
        let (table, _) = rows_of("{\"b\":2,\"x\":[{\"a\":9}],\"\\u0061\":1}\n{}\n{\"a\":null}\n", &["a", "b"]);
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(table, [[some("1"), some("2")], [None, None], [None, None]]);
    }
}

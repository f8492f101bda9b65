//! One record of delimited text, byte by byte: for bad rows, which are shown as they stand, and for the sample that
//! types are found out from. Slow, and nothing is stored.

use super::cut::Marks;

/// Where a record and its fields end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    /// Behind its last byte, without the line end.
    pub(super) text: usize,
    /// Behind its line end.
    pub(super) line: usize,
    /// Whether the quotes are closed.
    pub(super) closed: bool,
}

/// Reads the record at `start`, which is no line end, and hands its fields on as they stand, with their quotes.
pub(super) fn read(bytes: &[u8], start: usize, marks: Marks, mut field: impl FnMut(&[u8])) -> Ends {
    let (mut first, mut open, mut p) = (start, false, start);
    while let Some(&b) = bytes.get(p) {
        if Some(b) == marks.quote && (open || p == first) {
            if open && bytes.get(p + 1) == Some(&b) {
                p += 1;
            } else {
                open = !open;
            }
        } else if !open && b == marks.delimiter {
            field(&bytes[first..p]);
            first = p + 1;
        } else if !open && matches!(b, b'\n' | b'\r') {
            break;
        }
        p += 1;
    }
    field(bytes.get(first..p).unwrap_or_default());
    let line = match bytes.get(p..).unwrap_or_default() {
        [b'\r', b'\n', ..] => p + 2,
        [] => p,
        _ => p + 1,
    };
    Ends { text: p, line, closed: !open }
}

/// The text of a field with its quotes: doubled ones are one, and what is behind the closing one belongs to it.
pub(super) fn unquote(field: &[u8], quote: u8, text: &mut Vec<u8>) {
    text.clear();
    let mut rest = field.strip_prefix(&[quote]).unwrap_or_default();
    while let Some(p) = memchr::memchr(quote, rest) {
        text.extend_from_slice(&rest[..p]);
        rest = &rest[p + 1..];
        let Some(behind) = rest.strip_prefix(&[quote]) else { break };
        text.push(quote);
        rest = behind;
    }
    text.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_taken_off() {
        let of = |field: &str| {
            let mut text = b"old".to_vec();
            unquote(field.as_bytes(), b'"', &mut text);
            String::from_utf8(text).unwrap()
        };
        assert_eq!(of(r#""a""#), "a");
        assert_eq!(of(r#""a""b""#), "a\"b");
        assert_eq!(of(r#""a"b"c""#), "ab\"c\"", "what is behind the closing quote stands for itself");
        assert_eq!(of(r#""""""#), "\"");
        assert_eq!(of(r#""""#), "");
    }
}

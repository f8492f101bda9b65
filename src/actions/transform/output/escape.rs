//! Text as a field of delimited text or as a string of JSON.

use super::pen::Pen;

/// How text is written: which bytes it cannot hold as they are, and what stands for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// A field between this delimiter; in quotes where it holds the delimiter, a quote or a line end.
    Csv {
        /// Between two fields.
        delimiter: u8,
    },
    /// A string of JSON, without the quotes around it.
    Json,
}

impl Escape {
    /// Whether any of these bytes cannot stand as it is. Without branches, so that the compiler compares many at once.
    #[inline]
    pub(super) fn is_needed(self, bytes: &[u8]) -> bool {
        match self {
            Self::Csv { delimiter } => {
                let special = |b: u8| b == delimiter || b == b'"' || b == b'\n' || b == b'\r';
                bytes.iter().fold(false, |found, b| found | special(*b))
            }
            Self::Json => bytes.iter().fold(false, |found, b| found | (*b < b' ' || *b == b'"' || *b == b'\\')),
        }
    }

    /// Writes text that may hold anything, quotes of CSV included.
    #[must_use]
    pub(super) fn write(self, text: &[u8], at: usize, pen: &mut Pen<'_>) -> usize {
        match self {
            Self::Csv { .. } => quoted(text, at, pen),
            Self::Json => json(text, at, pen),
        }
    }

    /// The same, at the end of a buffer.
    pub(super) fn push(self, text: &[u8], out: &mut Vec<u8>) {
        let (mut pen, at) = Pen::new(out);
        let at = self.write(text, at, &mut pen);
        pen.finish(at);
    }
}

/// Writes a field in quotes.
fn quoted(text: &[u8], at: usize, pen: &mut Pen<'_>) -> usize {
    let mut at = pen.long(at, b"\"");
    let mut start = 0;
    for found in memchr::memchr_iter(b'"', text) {
        // The quote goes with the run before it, and once more with the run behind.
        at = pen.long(at, &text[start..=found]);
        start = found;
    }
    at = pen.long(at, &text[start..]);
    pen.long(at, b"\"")
}

/// Writes the inside of a JSON string.
fn json(text: &[u8], mut at: usize, pen: &mut Pen<'_>) -> usize {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut start = 0;
    for (found, &byte) in text.iter().enumerate() {
        let (piece, len) = match byte {
            b'"' => (*b"\\\"\0\0\0\0", 2),
            b'\\' => (*b"\\\\\0\0\0\0", 2),
            b'\n' => (*b"\\n\0\0\0\0", 2),
            b'\r' => (*b"\\r\0\0\0\0", 2),
            b'\t' => (*b"\\t\0\0\0\0", 2),
            0..b' ' => {
                let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
                ([b'\\', b'u', b'0', b'0', high, low], 6)
            }
            _ => continue,
        };
        at = pen.long(at, &text[start..found]);
        at = pen.put(at, &piece, len);
        start = found + 1;
    }
    pen.long(at, &text[start..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COMMA: Escape = Escape::Csv { delimiter: b',' };

    fn written(escape: Escape, text: &str) -> String {
        let mut out = Vec::new();
        escape.push(text.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_a_field_cannot_hold_is_found() {
        for (text, needed) in
            [("", false), ("a b", false), ("a,b", true), ("\"", true), ("a\n", true), ("\r", true), ("a;b", false)]
        {
            assert_eq!(COMMA.is_needed(text.as_bytes()), needed, "{text}");
        }
        assert!(Escape::Csv { delimiter: b';' }.is_needed(b"a;b"));
        for (text, needed) in
            [("a,b", false), ("\"", true), ("\\", true), ("\t", true), ("\u{1f}", true), ("가 \u{7f}", false)]
        {
            assert_eq!(Escape::Json.is_needed(text.as_bytes()), needed, "{text}");
        }
    }

    #[test]
    fn quotes_are_doubled() {
        assert_eq!(written(COMMA, ""), "\"\"");
        assert_eq!(written(COMMA, "a\"b\"\"\n"), "\"a\"\"b\"\"\"\"\n\"");
        assert_eq!(written(COMMA, "\""), "\"\"\"\"");
    }

    #[test]
    fn json_escapes_are_the_short_ones() {
        assert_eq!(written(Escape::Json, "a\"\\\n\r\t\u{1}\u{1f}가"), "a\\\"\\\\\\n\\r\\t\\u0001\\u001f가");
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in "(?s)[\"\\\\,\r\n\ta-c가\u{0}-\u{20}]{0,40}") {
            let field = written(COMMA, &text);
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(field.as_bytes());
            let record = reader.records().next().unwrap().unwrap();
            prop_assert_eq!(record.iter().collect::<Vec<_>>(), vec![text.as_str()]);
            let string: String = serde_json::from_str(&format!("\"{}\"", written(Escape::Json, &text))).unwrap();
            prop_assert_eq!(string, text);
        }
    }
}

//! Where a field stands in the bytes of a chunk, and what has to be done to read it.

/// In quotes: never "no value".
const QUOTED: u32 = 1 << 31;
/// The bytes are not the text: doubled quotes, text behind a closing quote, or JSON escapes.
const ESCAPED: u32 = 1 << 30;
/// There is no field: a record that is too short, a JSON object without the key, or `null`.
const ABSENT: u32 = 1 << 29;
/// There is a field, but what is wrong with it is known already.
const DEAD: u32 = ABSENT | QUOTED;

/// Bytes of a chunk that can be addressed; the other bits of an offset say what kind of field it is.
pub(super) const OFFSET_MAX: usize = ABSENT as usize - 1;

/// A field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// The offset of the first byte, and the kind in the upper bits.
    start: u32,
    /// The offset behind the last byte.
    end: u32,
}

/// What a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The bytes are the text, and there are no quotes.
    Bare,
    /// The bytes are the text, without the quotes around them.
    Quoted,
    /// The text has to be made of the bytes.
    Escaped,
    /// No field.
    Absent,
    /// A field that is known to be bad.
    Dead,
}

#[expect(clippy::cast_possible_truncation, reason = "offsets are at most OFFSET_MAX: `parse` refuses longer chunks")]
impl Span {
    /// No field.
    pub(super) const ABSENT: Self = Self { start: ABSENT, end: 0 };
    /// A field that is known to be bad.
    pub(super) const DEAD: Self = Self { start: DEAD, end: 0 };

    /// The bytes as they are.
    pub(super) const fn bare(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    /// The bytes between quotes.
    pub(super) const fn quoted(start: usize, end: usize) -> Self {
        Self { start: start as u32 | QUOTED, end: end as u32 }
    }

    /// Bytes that are not the text yet: of CSV the field with its quotes, of JSON what is between them.
    pub(super) const fn escaped(start: usize, end: usize) -> Self {
        Self { start: start as u32 | QUOTED | ESCAPED, end: end as u32 }
    }

    /// Whether the bytes are the text, without quotes.
    pub(super) const fn is_bare(self) -> bool {
        self.start < ABSENT
    }

    /// Whether the bytes are the text, with or without quotes around them.
    pub(super) const fn is_in_place(self) -> bool {
        self.start & (ESCAPED | ABSENT) == 0
    }

    /// What it is.
    pub(super) const fn kind(self) -> Kind {
        match self.start & (QUOTED | ESCAPED | ABSENT) {
            0 => Kind::Bare,
            QUOTED => Kind::Quoted,
            ABSENT => Kind::Absent,
            DEAD => Kind::Dead,
            _ => Kind::Escaped,
        }
    }

    /// The offset of its first byte.
    pub(super) const fn start(self) -> usize {
        (self.start & (ABSENT - 1)) as usize
    }

    /// The offset behind its last byte.
    pub(super) const fn end(self) -> usize {
        self.end as usize
    }

    /// Its bytes.
    pub(super) fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start()..self.end()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_survives_the_largest_offset() {
        for (span, kind) in [
            (Span::bare(OFFSET_MAX, OFFSET_MAX), Kind::Bare),
            (Span::quoted(OFFSET_MAX, OFFSET_MAX), Kind::Quoted),
            (Span::escaped(OFFSET_MAX, OFFSET_MAX), Kind::Escaped),
        ] {
            assert_eq!((span.kind(), span.start(), span.end()), (kind, OFFSET_MAX, OFFSET_MAX));
            assert_eq!(span.is_bare(), kind == Kind::Bare);
            assert_eq!(span.is_in_place(), kind != Kind::Escaped);
        }
        assert_eq!(Span::ABSENT.kind(), Kind::Absent);
        assert_eq!(Span::DEAD.kind(), Kind::Dead);
        for span in [Span::ABSENT, Span::DEAD] {
            assert!(!span.is_bare() && !span.is_in_place());
        }
        assert_eq!(Span::ABSENT.of(b"abc"), b"");
    }
}

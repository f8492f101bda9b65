//! Writes short pieces at the end of a growing buffer, without a call or an allocation for each.
//!
//! Pieces are stored with a fixed width and count with their own length, so the compiler makes them plain stores; what
//! was stored too much is overwritten by the next piece. That needs room behind the end, which [`Pen::room`] makes: it
//! is asked once a row for all that a row may take at most. What has no bound goes through [`Pen::long`].

/// Bytes of the widest piece that is stored at once.
pub(super) const PIECE: usize = 32;
/// Bytes by which the buffer grows at least. Few, because they are zeroed before they are written: they should still
/// lie in the nearest cache then.
const GROW: usize = 8 * 1024;

/// The end of a buffer. Where the content ends is not kept here but handed from call to call: so it stays in a register,
/// and a piece does not wait for the one before it to be stored.
pub(super) struct Pen<'a> {
    /// The content, and zeros behind.
    out: &'a mut Vec<u8>,
    /// What a row may take.
    need: usize,
}

impl<'a> Pen<'a> {
    /// A pen for `out`, and where its content ends.
    pub(super) fn new(out: &'a mut Vec<u8>) -> (Self, usize) {
        let at = out.len();
        (Self { out, need: 0 }, at)
    }

    /// What was written from `start` to `at`.
    pub(super) fn between(&self, start: usize, at: usize) -> &[u8] {
        &self.out[start..at]
    }

    /// Makes room for a row of at most `bytes`, long pieces not counted.
    #[inline]
    pub(super) fn room(&mut self, at: usize, bytes: usize) {
        self.need = bytes;
        if self.out.len() - at < bytes {
            self.grow(at, bytes);
        }
    }

    #[cold]
    fn grow(&mut self, at: usize, bytes: usize) {
        self.out.resize(at + bytes.max(GROW), 0);
    }

    /// Writes the first `len` bytes of `piece`. There must be room for all of it.
    #[inline]
    #[must_use]
    pub(super) fn put<const N: usize>(&mut self, at: usize, piece: &[u8; N], len: usize) -> usize {
        self.out[at..at + N].copy_from_slice(piece);
        at + len
    }

    /// Writes one byte. There must be room for it.
    #[inline]
    #[must_use]
    pub(super) fn byte(&mut self, at: usize, byte: u8) -> usize {
        self.out[at] = byte;
        at + 1
    }

    /// Writes bytes of any number. Behind them is room again for a whole row, and for one piece more.
    #[inline]
    #[must_use]
    pub(super) fn long(&mut self, at: usize, bytes: &[u8]) -> usize {
        let need = bytes.len() + self.need + PIECE;
        if self.out.len() - at < need {
            self.grow(at, need);
        }
        self.out[at..at + bytes.len()].copy_from_slice(bytes);
        at + bytes.len()
    }

    /// Ends the content.
    pub(super) fn finish(self, at: usize) {
        self.out.truncate(at);
    }
}

/// A text that stands in every row: between two columns, or for a missing value.
#[derive(Debug)]
pub(super) struct Fixed {
    short: [u8; PIECE],
    text: Vec<u8>,
}

impl Fixed {
    /// Prepares a text.
    pub(super) fn new(text: Vec<u8>) -> Self {
        let mut short = [0; PIECE];
        let len = text.len().min(PIECE);
        short[..len].copy_from_slice(&text[..len]);
        Self { short, text }
    }

    /// The room it needs.
    pub(super) fn room(&self) -> usize {
        self.text.len().max(PIECE)
    }

    /// Writes it. There must be room for it.
    #[inline]
    #[must_use]
    pub(super) fn write(&self, at: usize, pen: &mut Pen<'_>) -> usize {
        let len = self.text.len();
        match self.short.first_chunk::<8>() {
            Some(piece) if len <= 8 => pen.put(at, piece, len),
            _ => self.write_long(at, pen),
        }
    }

    #[inline(never)]
    fn write_long(&self, at: usize, pen: &mut Pen<'_>) -> usize {
        if self.text.len() <= PIECE { pen.put(at, &self.short, self.text.len()) } else { pen.long(at, &self.text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_stands_behind_what_was_there() {
        let mut out = b"head ".to_vec();
        let (mut pen, at) = Pen::new(&mut out);
        pen.room(at, 2 * PIECE);
        let at = pen.put(at, b"abcdefgh", 3);
        let at = pen.byte(at, b'-');
        let at = pen.long(at, &vec![b'x'; 3 * GROW]);
        // The room that was asked for is still there behind a long piece.
        let room = pen.out.len() - at;
        assert!(room >= 3 * PIECE, "{room}");
        let end = pen.put(at, b"end", 3);
        let gone = pen.long(end, b"gone");
        assert_eq!((pen.between(at, end), pen.between(end, gone)), (&b"end"[..], &b"gone"[..]));
        pen.finish(end);
        let want = format!("head abc-{}end", "x".repeat(3 * GROW));
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }

    #[test]
    fn a_fixed_text_of_any_length_is_written_whole() {
        for len in [0, 1, 8, 9, PIECE, PIECE + 1, 5 * GROW] {
            let text: Vec<u8> = (b'a'..=b'z').cycle().take(len).collect();
            let fixed = Fixed::new(text.clone());
            let mut out = Vec::new();
            let (mut pen, mut at) = Pen::new(&mut out);
            for _ in 0..3 {
                pen.room(at, fixed.room());
                at = fixed.write(at, &mut pen);
            }
            pen.finish(at);
            assert_eq!(out, text.repeat(3), "{len}");
        }
    }
}

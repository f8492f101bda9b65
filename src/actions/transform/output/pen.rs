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

/// The end of a buffer.
pub(super) struct Pen<'a> {
    /// Its content, and zeros behind.
    out: &'a mut Vec<u8>,
    /// Where the content ends.
    at: usize,
    /// What a row may take.
    need: usize,
}

impl<'a> Pen<'a> {
    /// A pen that goes on where `out` ends.
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        let at = out.len();
        Self { out, at, need: 0 }
    }

    /// Where the content ends.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// What was written from `start` on.
    pub(super) fn since(&self, start: usize) -> &[u8] {
        &self.out[start..self.at]
    }

    /// Takes back what was written from `start` on.
    pub(super) fn back_to(&mut self, start: usize) {
        self.at = start;
    }

    /// Makes room for a row of at most `bytes`, long pieces not counted.
    #[inline]
    pub(super) fn room(&mut self, bytes: usize) {
        self.need = bytes;
        if self.out.len() - self.at < bytes {
            self.grow(bytes);
        }
    }

    #[cold]
    fn grow(&mut self, bytes: usize) {
        self.out.resize(self.at + bytes.max(GROW), 0);
    }

    /// Writes the first `len` bytes of `piece`. There must be room for all of it.
    #[inline]
    pub(super) fn put<const N: usize>(&mut self, piece: &[u8; N], len: usize) {
        self.out[self.at..self.at + N].copy_from_slice(piece);
        self.at += len;
    }

    /// Writes one byte. There must be room for it.
    #[inline]
    pub(super) fn byte(&mut self, byte: u8) {
        self.out[self.at] = byte;
        self.at += 1;
    }

    /// Writes bytes of any number. Behind them is room again for a whole row, and for one piece more.
    #[inline]
    pub(super) fn long(&mut self, bytes: &[u8]) {
        let need = bytes.len() + self.need + PIECE;
        if self.out.len() - self.at < need {
            self.grow(need);
        }
        self.out[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    /// Ends the content where it ends.
    pub(super) fn finish(self) {
        self.out.truncate(self.at);
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
    pub(super) fn write(&self, pen: &mut Pen<'_>) {
        if self.text.len() <= 8 {
            let mut piece = [0; 8];
            piece.copy_from_slice(&self.short[..8]);
            pen.put(&piece, self.text.len());
        } else if self.text.len() <= PIECE {
            pen.put(&self.short, self.text.len());
        } else {
            pen.long(&self.text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_stands_behind_what_was_there() {
        let mut out = b"head ".to_vec();
        let mut pen = Pen::new(&mut out);
        pen.room(2 * PIECE);
        pen.put(b"abcdefgh", 3);
        pen.byte(b'-');
        pen.long(&vec![b'x'; 3 * GROW]);
        // The room that was asked for is still there behind a long piece.
        let room = pen.out.len() - pen.at;
        assert!(room >= 3 * PIECE, "{room}");
        pen.put(b"end", 3);
        let at = pen.at();
        pen.long(b"gone");
        assert_eq!(pen.since(at), b"gone");
        pen.back_to(at);
        pen.finish();
        let want = format!("head abc-{}end", "x".repeat(3 * GROW));
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }

    #[test]
    fn a_fixed_text_of_any_length_is_written_whole() {
        for len in [0, 1, 8, 9, PIECE, PIECE + 1, 5 * GROW] {
            let text: Vec<u8> = (b'a'..=b'z').cycle().take(len).collect();
            let fixed = Fixed::new(text.clone());
            let mut out = Vec::new();
            let mut pen = Pen::new(&mut out);
            for _ in 0..3 {
                pen.room(fixed.room());
                fixed.write(&mut pen);
            }
            pen.finish();
            assert_eq!(out, text.repeat(3), "{len}");
        }
    }
}

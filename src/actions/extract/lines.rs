//! The physical lines of an input, decoded, each with its number and its place in the file.
//!
//! It guarantees exact numbers and byte offsets in every encoding, because lines are cut before they are decoded: in
//! the encodings we read, the bytes of a line end are part of no other character (UTF-16 is cut by its units). A line
//! ends at `\n`, `\r\n` or a lone `\r`. It refuses lines longer than [`LINE_MAX`].

use super::source::Source;
use crate::actions::encoding::{self, Fault, Found};
use crate::model::Failure;
use encoding_rs::{Encoding, UTF_16BE};
use memchr::{memchr2, memchr2_iter};
use std::borrow::Cow;

/// Longest line, in bytes. A longer one fails the file: no record can be longer.
pub(super) const LINE_MAX: usize = 8 * 1024 * 1024;

/// One physical line.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// Its number, from 1.
    pub(super) number: u64,
    /// Where it starts in the file.
    pub(super) byte: u64,
    /// Its length in the file, its line end included.
    pub(super) len: u64,
    /// The file from its first byte on, as far as it is in memory.
    pub(super) rest: &'a [u8],
    /// Its text, its line end included.
    pub(super) text: Cow<'a, str>,
    /// The first bytes in it that the encoding does not allow.
    pub(super) fault: Option<Fault>,
}

/// Reads lines.
pub(super) struct Lines<'a> {
    pub(super) source: Source<'a>,
    buffer: Vec<u8>,
    /// Where in the buffer the next line starts.
    start: usize,
    /// Where in the buffer the search for its end goes on.
    searched: usize,
    /// Where in the file the buffer starts.
    base: u64,
    number: u64,
    encoding: &'static Encoding,
}

impl<'a> Lines<'a> {
    /// Reads the first chunk; [`Lines::begin`] follows.
    pub(super) fn open(source: Source<'a>) -> Result<Self, Failure> {
        let encoding = encoding_rs::UTF_8;
        let mut lines = Self { source, buffer: Vec::new(), start: 0, searched: 0, base: 0, number: 0, encoding };
        lines.source.fill(&mut lines.buffer)?;
        Ok(lines)
    }

    /// The first chunk of the file.
    pub(super) fn head(&self) -> &[u8] {
        &self.buffer
    }

    /// Goes to the first line, behind the byte order mark.
    pub(super) fn begin(&mut self, found: Found) -> Result<(), Failure> {
        if self.base > 0 {
            self.source.restart();
            self.buffer.clear();
            self.source.fill(&mut self.buffer)?;
        }
        self.base = 0;
        self.number = 0;
        self.start = found.mark.min(self.buffer.len());
        self.searched = self.start;
        self.encoding = found.encoding;
        Ok(())
    }

    /// The next line, or `None` at the end of the file.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, Failure> {
        let end = loop {
            if let Some(end) = line_end(&self.buffer, self.searched, self.encoding, self.source.ended()) {
                break end;
            }
            // A line end may be cut in two here: its first unit is searched again.
            self.searched = self.buffer.len().saturating_sub(4).max(self.start);
            self.searched -= (self.searched - self.start) % 2;
            if self.buffer.len() - self.start > LINE_MAX {
                return Err(self.too_long());
            }
            if self.start > 0 {
                self.buffer.drain(..self.start);
                self.base += self.start as u64;
                self.searched -= self.start;
                self.start = 0;
            }
            if !self.source.fill(&mut self.buffer)? {
                if self.start == self.buffer.len() {
                    return Ok(None);
                }
                break line_end(&self.buffer, self.searched, self.encoding, true).unwrap_or(self.buffer.len());
            }
        };
        if end - self.start > LINE_MAX {
            return Err(self.too_long());
        }
        let (start, byte) = (self.start, self.base + self.start as u64);
        self.start = end;
        self.searched = end;
        self.number += 1;
        let (text, fault) = encoding::decode(self.encoding, &self.buffer[start..end]);
        let rest = &self.buffer[start..];
        Ok(Some(Line { number: self.number, byte, len: (end - start) as u64, rest, text, fault }))
    }

    fn too_long(&self) -> Failure {
        let (line, byte) = (self.number + 1, self.base + self.start as u64);
        let message = format!("line {line}, byte {byte}: longer than {} MiB", LINE_MAX / (1024 * 1024));
        let mut failure = self.source.blame(Failure::permanent("csv_limit", message));
        failure.line = Some(line);
        failure.constant = "a line over the limit".into();
        failure
    }
}

/// Where the line ends that is searched from `from` on, behind its line end. `None`: not in this buffer. A `\r` that
/// is the last of the buffer is no answer before the end of the file: a `\n` may follow.
pub(super) fn line_end(buffer: &[u8], from: usize, encoding: &'static Encoding, ended: bool) -> Option<usize> {
    if encoding::is_utf16(encoding) {
        return line_end_utf16(buffer, from, encoding == UTF_16BE, ended);
    }
    let at = from + memchr2(b'\n', b'\r', &buffer[from..])?;
    match (buffer[at], buffer.get(at + 1)) {
        (b'\n', _) => Some(at + 1),
        (_, Some(b'\n')) => Some(at + 2),
        (_, Some(_)) => Some(at + 1),
        (_, None) => ended.then_some(at + 1),
    }
}

/// The same for units of two bytes, of which the first starts at `from`.
fn line_end_utf16(buffer: &[u8], from: usize, big_endian: bool, ended: bool) -> Option<usize> {
    let (low, high) = if big_endian { (1, 0) } else { (0, 1) };
    let is = |at: usize, c: u8| buffer.get(at..at + 2).is_some_and(|u| u[low] == c && u[high] == 0);
    for hit in memchr2_iter(b'\n', b'\r', &buffer[from..]) {
        let Some(at) = (from + hit).checked_sub(low).filter(|at| *at >= from && (at - from).is_multiple_of(2)) else {
            continue;
        };
        if is(at, b'\n') {
            return Some(at + 2);
        }
        if is(at, b'\r') {
            if is(at + 2, b'\n') {
                return Some(at + 4);
            }
            return (ended || buffer.len() >= at + 4).then_some(at + 2);
        }
    }
    None
}

/// A line without its line end.
pub(super) fn without_end(line: &str) -> &str {
    line.trim_end_matches(['\n', '\r'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::extract::source::CHUNK;
    use crate::actions::testing::{TestDesk, input};
    use encoding_rs::{EUC_KR, UTF_8, UTF_16LE};

    /// Number, offset and text of every line.
    fn lines(raw: &[u8], found: Found) -> Vec<(u64, u64, String)> {
        let desk = TestDesk::new();
        let input = input(&desk, "a.csv", raw);
        let mut lines = Lines::open(Source::new(&input, &desk)).unwrap();
        lines.begin(found).unwrap();
        let mut out = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            assert_eq!(line.rest[..3.min(line.rest.len())], raw[line.byte as usize..][..3.min(line.rest.len())]);
            out.push((line.number, line.byte, line.text.into_owned()));
        }
        out
    }

    fn found(encoding: &'static Encoding, mark: usize) -> Found {
        Found { encoding, mark, tentative: false }
    }

    #[test]
    fn every_kind_of_line_end_counts_once() {
        let got = lines(b"a\r\nb\n\rc\r\r\nd", found(UTF_8, 0));
        let want = [(1, 0, "a\r\n"), (2, 3, "b\n"), (3, 5, "\r"), (4, 6, "c\r"), (5, 8, "\r\n"), (6, 10, "d")];
        assert_eq!(got, want.map(|(n, b, t)| (n, b, t.to_owned())));
        assert_eq!(lines(b"", found(UTF_8, 0)), []);
        assert_eq!(lines(b"\r", found(UTF_8, 0)).len(), 1);
    }

    #[test]
    fn utf16_lines_are_cut_by_units() {
        // U+0A0D and U+0D0A hold the bytes of line ends without being any.
        let text = "\u{a0d}x\r\n가\u{d0a}\n끝";
        for big in [false, true] {
            let mut raw = if big { vec![0xfe, 0xff] } else { vec![0xff, 0xfe] };
            for unit in text.encode_utf16() {
                raw.extend(if big { unit.to_be_bytes() } else { unit.to_le_bytes() });
            }
            let got = lines(&raw, found(if big { UTF_16BE } else { UTF_16LE }, 2));
            let want = [(1, 2, "\u{a0d}x\r\n"), (2, 10, "가\u{d0a}\n"), (3, 16, "끝")];
            assert_eq!(got, want.map(|(n, b, t)| (n, b, t.to_owned())));
        }
    }

    #[test]
    fn lines_that_cross_chunks_are_whole() {
        for pad in [CHUNK - 3, CHUNK - 2, CHUNK - 1, CHUNK, 2 * CHUNK + 5] {
            let (word, ..) = EUC_KR.encode("가\r\n나\r\n");
            let mut raw = vec![b'x'; pad];
            raw.extend_from_slice(&word);
            let got = lines(&raw, found(EUC_KR, 0));
            assert_eq!(got.len(), 2, "{pad}");
            assert_eq!((got[1].1, got[1].2.as_str()), (pad as u64 + 4, "나\r\n"), "{pad}");
            assert!(got[0].2.ends_with("x가\r\n"));
        }
    }

    #[test]
    fn a_line_without_end_is_refused_at_the_limit() {
        let desk = TestDesk::new();
        let input = input(&desk, "a.csv", &vec![b'x'; LINE_MAX + 3 * CHUNK]);
        let mut lines = Lines::open(Source::new(&input, &desk)).unwrap();
        lines.begin(found(UTF_8, 0)).unwrap();
        let failure = lines.next().unwrap_err();
        assert_eq!((failure.code.as_str(), failure.line), ("csv_limit", Some(1)));
    }
}

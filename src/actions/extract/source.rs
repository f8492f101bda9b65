//! The input of an attempt, read front to back in chunks.
//!
//! It guarantees that every byte is hashed once, that a request to stop is met between two chunks, that progress is
//! shown for files that take a while, and that memory is bounded by the chunk, not by the file. Reads are positional,
//! so excerpts can be read in between.

use crate::actions::encoding;
use crate::model::action::Progress;
use crate::model::{Desk, Failure, Input};
use encoding_rs::Encoding;
use std::os::unix::fs::FileExt;

/// Bytes read at once. A file up to this size is read whole, by one read.
pub(super) const CHUNK: usize = 256 * 1024;
/// Files from this size on report progress, in bytes.
const PROGRESS_FROM: u64 = 1024 * 1024;

/// Reads an input.
pub(super) struct Source<'a> {
    pub(super) input: &'a Input,
    pub(super) desk: &'a dyn Desk,
    hasher: blake3::Hasher,
    offset: u64,
    ended: bool,
    /// Records done so far, for the progress.
    pub(super) rows: u64,
}

impl<'a> Source<'a> {
    /// A source at the first byte.
    pub(super) fn new(input: &'a Input, desk: &'a dyn Desk) -> Self {
        Self { input, desk, hasher: blake3::Hasher::new(), offset: 0, ended: false, rows: 0 }
    }

    /// Appends the next chunk to `buffer`; false at the end of the file. A buffer that is empty and new gets just
    /// the room that the file needs.
    pub(super) fn fill(&mut self, buffer: &mut Vec<u8>) -> Result<bool, Failure> {
        if self.ended {
            return Ok(false);
        }
        self.desk.check()?;
        let left = usize::try_from(self.input.size.saturating_sub(self.offset)).unwrap_or(CHUNK);
        // One byte more than is expected, so that the end shows in the same read.
        let want = left.saturating_add(1).min(CHUNK);
        let start = buffer.len();
        buffer.resize(start + want, 0);
        let mut filled = start;
        while filled < buffer.len() {
            match self.input.file.read_at(&mut buffer[filled..], self.offset) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(n) => {
                    self.hasher.update(&buffer[filled..filled + n]);
                    filled += n;
                    self.offset += n as u64;
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Failure::io("input_read", "read", &self.input.path, &e)),
            }
        }
        buffer.truncate(filled);
        if self.input.size >= PROGRESS_FROM {
            let bytes_total = Some(self.input.size);
            self.desk.progress(Progress { bytes: self.offset, bytes_total, rows: self.rows, ..Progress::default() });
        }
        Ok(filled > start)
    }

    /// Whether the end of the file was seen.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// Bytes read so far; at the end, the size of the file.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Goes back to the first byte.
    pub(super) fn restart(&mut self) {
        self.hasher.reset();
        self.offset = 0;
        self.ended = false;
        self.rows = 0;
    }

    /// Reads and hashes what is left.
    pub(super) fn drain(&mut self, buffer: &mut Vec<u8>) -> Result<(), Failure> {
        loop {
            buffer.clear();
            if !self.fill(buffer)? {
                return Ok(());
            }
        }
    }

    /// The BLAKE3 of what was read, in hexadecimal.
    pub(super) fn digest(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }

    /// A failure about this input.
    pub(super) fn blame(&self, mut failure: Failure) -> Failure {
        failure.file = Some(self.input.label.clone());
        failure
    }

    /// An error if the file ends in a NUL character: its room was allocated before its content was written.
    pub(super) fn check_tail(&self, encoding: &'static Encoding) -> Result<(), Failure> {
        let unit: usize = if encoding::is_utf16(encoding) { 2 } else { 1 };
        let mut tail = [1; 2];
        let tail = &mut tail[..unit];
        let Some(at) = self.input.size.checked_sub(unit as u64) else { return Ok(()) };
        let read = self.input.file.read_exact_at(tail, at);
        if read.is_ok() && tail.iter().all(|b| *b == 0) {
            let message = "the file ends in NUL bytes: it is not completely written";
            return Err(self.blame(Failure::transient("incomplete", message)));
        }
        Ok(())
    }
}

/// Where the first NUL byte is that content follows: binary data, in any encoding without units of two bytes. A run of
/// NUL bytes to the end is no answer: it may be room that is not written yet.
pub(super) fn inner_nul(head: &[u8], encoding: &'static Encoding) -> Option<usize> {
    if encoding::is_utf16(encoding) {
        return None;
    }
    let at = memchr::memchr(0, head)?;
    head[at..].iter().any(|b| *b != 0).then_some(at)
}

/// Up to `len` bytes of a file from `at` on; what cannot be read is missing.
pub(super) fn excerpt(input: &Input, at: u64, len: usize) -> Vec<u8> {
    let mut raw = vec![0; len];
    let mut filled = 0;
    while filled < len {
        match input.file.read_at(&mut raw[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    raw.truncate(filled);
    raw
}

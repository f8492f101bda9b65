//! The part of a stream that is in memory.
//!
//! It guarantees that a chunk leaves it without being copied where that is cheaper, and that room is not cleared again
//! that was used before.

use super::stream::Stream;
use crate::model::Failure;

/// Bytes that were read and not handed on.
#[derive(Debug, Default)]
pub(super) struct Window {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Window {
    /// The bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// The first of them, to change.
    pub(super) fn bytes_mut(&mut self, len: usize) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + len]
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }

    /// Drops the first `len` bytes.
    pub(super) fn skip(&mut self, len: usize) {
        self.start += len.min(self.len());
    }

    /// Drops all.
    pub(super) fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// Reads until `len` bytes are there, or the stream ends.
    pub(super) fn fill(&mut self, stream: &mut Stream, len: usize) -> Result<(), Failure> {
        if self.len() >= len || stream.ended() {
            return Ok(());
        }
        if self.start + len > self.bytes.len() {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.len());
            if self.bytes.len() < len {
                self.bytes.resize(len, 0);
            }
        }
        self.end += stream.fill(&mut self.bytes[self.end..self.start + len])?;
        Ok(())
    }

    /// Hands on the first `len` bytes. `spare` is a vector to reuse, whatever it holds.
    pub(super) fn take(&mut self, len: usize, mut spare: Vec<u8>) -> Vec<u8> {
        let tail = self.len() - len;
        if self.start > 0 || tail > len {
            spare.clear();
            spare.extend_from_slice(&self.bytes()[..len]);
            self.skip(len);
            return spare;
        }
        if spare.len() < tail {
            spare.resize(tail, 0);
        }
        spare[..tail].copy_from_slice(&self.bytes[len..self.end]);
        self.bytes.truncate(len);
        (self.start, self.end) = (0, tail);
        std::mem::replace(&mut self.bytes, spare)
    }
}

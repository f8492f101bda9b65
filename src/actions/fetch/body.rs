//! Where a body goes while it comes: small ones stay in memory, larger ones go to a file as they come.

use crate::model::{Failure, text};
use bytes::Bytes;
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Bytes that are gathered before they are written. A body that is smaller never needs a file of its own.
pub(super) const PIECE: usize = 256 * 1024;

/// What has come of a body, and not been written yet.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pieces: Vec<Bytes>,
    len: usize,
}

impl Gathered {
    pub(super) fn push(&mut self, piece: Bytes) {
        self.len += piece.len();
        // Small pieces hold on to large buffers.
        match self.pieces.last() {
            Some(last) if last.len() + piece.len() <= 16 * 1024 => {
                let joined = [&last[..], &piece[..]].concat();
                self.pieces.pop();
                self.pieces.push(joined.into());
            }
            _ => self.pieces.push(piece),
        }
    }

    pub(super) const fn is_full(&self) -> bool {
        self.len >= PIECE
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// Writes it to the end of a file.
    pub(super) fn write(&self, file: &mut dyn Write) -> std::io::Result<()> {
        self.pieces.iter().try_for_each(|piece| file.write_all(piece))
    }

    /// The first bytes.
    pub(super) fn head(&self, max: usize) -> Vec<u8> {
        self.pieces.iter().flat_map(|piece| piece.iter().copied()).take(max).collect()
    }

    fn joined(&self) -> Vec<u8> {
        self.pieces.iter().flat_map(|piece| piece.iter().copied()).collect()
    }
}

/// A whole body, to be read from its beginning.
#[derive(Debug)]
pub(super) enum Whole {
    /// It is small.
    Memory(Gathered),
    /// It lies here.
    File(PathBuf),
}

impl Whole {
    /// A reader of it.
    pub(super) fn open(&self) -> Result<Box<dyn BufRead>, Failure> {
        Ok(match self {
            Self::Memory(gathered) => Box::new(Cursor::new(gathered.joined())),
            Self::File(path) => {
                let file = File::open(path).map_err(|e| Failure::io("body", "read", path, &e))?;
                Box::new(BufReader::with_capacity(PIECE, file))
            }
        })
    }

    /// The first bytes of it.
    pub(super) fn head(&self, max: usize) -> Vec<u8> {
        match self {
            Self::Memory(gathered) => gathered.head(max),
            Self::File(path) => {
                let mut head = vec![0; max];
                // What cannot be read is not shown.
                let n = File::open(path).and_then(|mut f| std::io::Read::read(&mut f, &mut head)).unwrap_or(0);
                head.truncate(n);
                head
            }
        }
    }
}

/// A failure to write.
pub(super) fn unwritten(path: &Path, e: &std::io::Error) -> Failure {
    Failure::transient("output", format!("cannot write {}: {e}", text::path(path)))
}

/// Cuts a file to a length and goes to its end.
pub(super) fn cut(file: &mut File, len: u64) -> std::io::Result<()> {
    file.set_len(len)?;
    file.seek(SeekFrom::End(0)).map(|_| ())
}

//! Where a body goes while it comes: small ones stay in memory, larger ones go to a file as they come.

use crate::model::{Failure, text};
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Bytes that are gathered before they are written. A body that is smaller never needs a file of its own.
pub(super) const PIECE: usize = 128 * 1024;

/// What has come of a body, and not been written yet. A copy: what the connection hands out are small parts of large
/// buffers, which would be held as long as their parts.
#[derive(Debug, Default)]
pub(super) struct Gathered(Vec<u8>);

impl Gathered {
    /// Takes as much of a piece as there is room for, and answers how much that was. The room for a full one is made at
    /// once when a body turns out not to be small.
    pub(super) fn push(&mut self, piece: &[u8]) -> usize {
        let len = self.0.len();
        let n = piece.len().min(PIECE - len);
        if len > 0 && len + n > self.0.capacity() {
            self.0.reserve_exact(PIECE - len);
        }
        self.0.extend_from_slice(&piece[..n]);
        n
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= PIECE
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// The same without what is in it: the room is used again.
    pub(super) fn emptied(mut self) -> Self {
        self.0.clear();
        self
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
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
    pub(super) fn open(&self) -> Result<Box<dyn BufRead + '_>, Failure> {
        Ok(match self {
            Self::Memory(gathered) => Box::new(gathered.bytes()),
            Self::File(path) => {
                let file = File::open(path).map_err(|e| Failure::io("body", "read", path, &e))?;
                Box::new(BufReader::with_capacity(PIECE, file))
            }
        })
    }

    /// The first bytes of it.
    pub(super) fn head(&self, max: usize) -> Vec<u8> {
        match self {
            Self::Memory(gathered) => gathered.bytes()[..max.min(gathered.len())].to_vec(),
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

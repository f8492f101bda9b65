//! A file as it lies on the disk, read front to back.
//!
//! It guarantees that a file that grows, shrinks or is written to meanwhile is noticed: what was read of it may be half
//! of one content and half of another. It refuses what is no regular file.

use super::InputFile;
use super::reject::refuse;
use crate::model::Failure;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::Arc;

/// A file and how far it was read.
pub(super) struct Disk {
    file: Arc<File>,
    path: PathBuf,
    label: String,
    size: u64,
    modified: (i64, i64),
    at: u64,
    /// Why a read failed: an `io::Error` on its way through a decoder would lose it.
    trouble: Option<Box<Failure>>,
}

impl Disk {
    /// A file at its first byte.
    pub(super) fn open(input: &InputFile) -> Result<Self, Failure> {
        let mut disk = Self {
            file: Arc::clone(&input.file),
            path: input.path.clone(),
            label: input.label.clone(),
            size: input.size,
            modified: (0, 0),
            at: 0,
            trouble: None,
        };
        let facts = disk.facts()?;
        if !facts.is_file() {
            return Err(refuse(&disk.label, "not_a_file", "not a regular file"));
        }
        disk.modified = (facts.mtime(), facts.mtime_nsec());
        disk.check_unchanged()?;
        Ok(disk)
    }

    /// What messages call the file.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// Its size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Bytes read so far.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Whether all of it was read.
    pub(super) fn ended(&self) -> bool {
        self.at >= self.size
    }

    /// Goes to a byte.
    pub(super) fn seek(&mut self, at: u64) {
        self.at = at.min(self.size);
    }

    /// Up to `len` bytes from `at` on, without moving.
    pub(super) fn peek(&self, at: u64, len: usize) -> Result<Vec<u8>, Failure> {
        let left = usize::try_from(self.size.saturating_sub(at)).unwrap_or(len);
        let mut bytes = vec![0; len.min(left)];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.read_at(&mut bytes[filled..], at + filled as u64)? {
                0 => return Err(self.changed("it shrank")),
                n => filled += n,
            }
        }
        Ok(bytes)
    }

    /// Reads on; 0 at the end of the file.
    pub(super) fn fetch(&mut self, out: &mut [u8]) -> Result<usize, Failure> {
        let left = usize::try_from(self.size - self.at).unwrap_or(usize::MAX);
        let len = out.len().min(left);
        if len == 0 {
            return Ok(0);
        }
        let n = self.read_at(&mut out[..len], self.at)?;
        self.check_unchanged()?;
        if n == 0 {
            return Err(self.changed("it shrank"));
        }
        self.at += n as u64;
        Ok(n)
    }

    /// An error if the file is not what it was when it was opened.
    pub(super) fn check_unchanged(&self) -> Result<(), Failure> {
        let facts = self.facts()?;
        if facts.size() != self.size {
            return Err(self.changed(&format!("its size was {} bytes and is {}", self.size, facts.size())));
        }
        if (facts.mtime(), facts.mtime_nsec()) != self.modified {
            return Err(self.changed("it was written to"));
        }
        Ok(())
    }

    /// Why a read through [`Read`] failed.
    pub(super) fn trouble(&self) -> Option<Failure> {
        self.trouble.as_deref().cloned()
    }

    fn read_at(&self, out: &mut [u8], at: u64) -> Result<usize, Failure> {
        loop {
            match self.file.read_at(out, at) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.io("read", &e)),
                Ok(n) => return Ok(n),
            }
        }
    }

    fn facts(&self) -> Result<Metadata, Failure> {
        self.file.metadata().map_err(|e| self.io("look at", &e))
    }

    fn io(&self, doing: &str, error: &io::Error) -> Failure {
        let mut failure = Failure::io("input_read", doing, &self.path, error);
        failure.file = Some(self.label.clone());
        failure
    }

    fn changed(&self, how: &str) -> Failure {
        let mut failure = Failure::transient("input_changed", format!("the file changed while it was read: {how}"));
        failure.file = Some(self.label.clone());
        failure.constant = "the file changed while it was read".into();
        failure
    }
}

impl Read for Disk {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.fetch(out).map_err(|failure| {
            self.trouble = Some(Box::new(failure));
            io::Error::other("the file cannot be read")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Files;
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_that_grows_or_shrinks_or_is_rewritten_is_noticed() {
        for (change, message) in
            [(0, "its size was 5 bytes and is 6"), (1, "its size was 5 bytes and is 2"), (2, "it was written to")]
        {
            let files = Files::new();
            let input = files.add("a.csv", b"a,b\n1");
            let mut disk = Disk::open(&input).unwrap();
            let mut out = [0; 2];
            assert_eq!(disk.fetch(&mut out).unwrap(), 2);
            let mut file = File::options().write(true).open(&input.path).unwrap();
            match change {
                0 => file.write_all(b"a,b\n12").unwrap(),
                1 => file.set_len(2).unwrap(),
                _ => file.set_modified(std::time::UNIX_EPOCH).unwrap(),
            }
            let failure = disk.fetch(&mut out).unwrap_err();
            assert_eq!((failure.code.as_str(), failure.class.is_retried()), ("input_changed", true));
            assert!(failure.message.ends_with(message), "{}", failure.message);
            assert_eq!(failure.file.as_deref(), Some("/inbox/a.csv"));
        }
    }

    #[test]
    fn a_folder_is_no_file() {
        let files = Files::new();
        let mut input = files.add("a.csv", b"");
        input.file = Arc::new(File::open(files.path()).unwrap());
        assert_eq!(Disk::open(&input).err().map(|f| f.code), Some("not_a_file".into()));
    }

    #[test]
    fn a_peek_moves_nothing() {
        let files = Files::new();
        let mut disk = Disk::open(&files.add("a.csv", b"abcdef")).unwrap();
        assert_eq!(disk.peek(2, 3).unwrap(), b"cde");
        assert_eq!(disk.peek(4, 30).unwrap(), b"ef");
        let mut out = [0; 9];
        assert_eq!(disk.fetch(&mut out).unwrap(), 6);
        assert!(disk.ended());
        assert_eq!(disk.fetch(&mut out).unwrap(), 0);
    }
}

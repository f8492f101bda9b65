//! A job's own output: the first 4 KiB are kept with the attempt, more goes into a file made on demand, up to a cap.

use crate::model::JobId;
use std::fs::{DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Kept with the attempt, in bytes.
const HEAD_MAX: usize = 4096;
/// Largest file of one attempt, in bytes; what comes after it is counted and dropped.
const FILE_MAX: u64 = 8 * 1024 * 1024;

/// Takes the output of one attempt. Cheap to clone; clones share.
#[derive(Clone, Debug)]
pub struct Spill(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    dir: PathBuf,
    name: String,
    head: Vec<u8>,
    file: Option<File>,
    written: u64,
    dropped: u64,
    failed: bool,
}

impl Spill {
    /// For an attempt, below this folder.
    pub fn new(dir: PathBuf, job: JobId, attempt: i64) -> Self {
        Self(Arc::new(Mutex::new(State {
            dir,
            name: format!("{job}-{attempt}.log"),
            head: Vec::new(),
            file: None,
            written: 0,
            dropped: 0,
            failed: false,
        })))
    }

    /// Takes one line.
    pub fn line(&self, raw: &[u8]) {
        let mut s = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if s.file.is_none() && s.head.len() + raw.len() < HEAD_MAX {
            s.head.extend_from_slice(raw);
            s.head.push(b'\n');
            return;
        }
        let first = s.file.is_none() && !s.failed;
        s.spill(raw);
        if first {
            // The file has the whole line; the head shows how it begins, whatever its length.
            let room = HEAD_MAX.saturating_sub(s.head.len()).min(raw.len());
            s.head.extend_from_slice(&raw[..room]);
        }
    }

    /// What was kept: the head as text, and the file if there is one.
    pub fn finish(&self) -> (Option<String>, Option<PathBuf>) {
        let mut s = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if s.dropped > 0 {
            let note = format!("… {} bytes more were dropped: the cap is {} MiB\n", s.dropped, FILE_MAX >> 20);
            if let Some(file) = &mut s.file {
                // The note is a courtesy; a disk that does not take it has lost nothing.
                let _ = file.write_all(note.as_bytes());
            }
        }
        let head: Vec<String> = s.head.split(|&b| b == b'\n').map(crate::model::text::bytes).collect();
        let head = head.join("\n").trim_end().to_owned();
        let file = s.file.take().map(|_| s.dir.join(&s.name));
        ((!head.is_empty()).then_some(head), file)
    }
}

impl State {
    /// A full disk must not stop the job: what cannot be written is counted.
    fn spill(&mut self, raw: &[u8]) {
        if self.file.is_none() && !self.failed {
            let opened = DirBuilder::new()
                .mode(0o700)
                .recursive(true)
                .create(&self.dir)
                .and_then(|()| File::create(self.dir.join(&self.name)))
                .and_then(|mut f| f.write_all(&self.head).map(|()| f));
            self.failed = opened.is_err();
            self.written = self.head.len() as u64;
            self.file = opened.ok();
        }
        let size = raw.len() as u64 + 1;
        let fits = self.written + size <= FILE_MAX;
        let wrote = match &mut self.file {
            Some(file) if fits => file.write_all(raw).and_then(|()| file.write_all(b"\n")).is_ok(),
            _ => false,
        };
        if wrote {
            self.written += size;
        } else {
            self.dropped += size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_output_makes_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let spill = Spill::new(dir.path().join("output"), JobId(1), 1);
        spill.line(b"one");
        spill.line(b"two \x1b[2J");
        assert_eq!(spill.finish(), (Some("one\ntwo \\x1b[2J".into()), None));
        assert!(!dir.path().join("output").exists());
    }

    #[test]
    fn much_output_goes_to_a_capped_file() {
        let dir = tempfile::tempdir().unwrap();
        let spill = Spill::new(dir.path().to_owned(), JobId(1), 2);
        let line = vec![b'x'; 100_000];
        for _ in 0..200 {
            spill.line(&line);
        }
        let (head, file) = spill.finish();
        assert_eq!(head.map(|h| h.len()), Some(HEAD_MAX), "a first line without an end is shown all the same");
        let size = std::fs::metadata(file.unwrap()).unwrap().len();
        assert!(size > FILE_MAX - 200_000 && size < FILE_MAX + 1000, "{size}");
    }
}

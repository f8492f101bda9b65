//! The log on disk: files of JSON lines, each named after its first line, the oldest removed as new ones begin.
//!
//! It guarantees that the folder never holds more than [`Limits`] say, and that a line that was torn by a crash or a
//! full disk is dropped and never joined with the next. It is not synced: the log is no part of the durable protocol.

use crate::clock::{parse_rfc3339, rfc3339};
use crate::model::view::LogLine;
use std::collections::VecDeque;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Longest first line of a file that is read for its day, in bytes; of a longer one the day is not known.
const FIRST_MAX: u64 = 16 * 1024;

/// How much of the log stays on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of one file; the next line begins a new one.
    pub segment_bytes: u64,
    /// Most files; with one more, the oldest is removed.
    pub segments: usize,
    /// Files whose newest line is older are removed. With such a limit, each day begins a file of its own.
    pub age: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { segment_bytes: 8 * 1024 * 1024, segments: 8, age: None }
    }
}

/// One file of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    /// Number of its first line.
    pub(super) first: u64,
    /// Bytes of whole lines.
    pub(super) bytes: u64,
    /// The day of its first line, `YYYY-MM-DD`; empty where it is not known.
    day: String,
}

impl Segment {
    /// Its whole lines. A file that is gone has none: it was the oldest.
    pub(super) fn read(&self) -> Vec<u8> {
        let mut raw = Vec::new();
        if let Ok(file) = File::open(&self.path) {
            // A file that cannot be read further is shown as far as it could.
            let _ = file.take(self.bytes).read_to_end(&mut raw);
        }
        raw
    }
}

/// The files of the log.
#[derive(Debug)]
pub(super) struct Segments {
    dir: PathBuf,
    limits: Limits,
    list: VecDeque<Segment>,
    /// The last segment, open for appending.
    file: Option<File>,
}

impl Segments {
    /// No files known yet.
    pub(super) fn new(dir: PathBuf, limits: Limits) -> Self {
        Self { dir, limits, list: VecDeque::new(), file: None }
    }

    /// Finds the files. With `repair`, makes the folder and cuts a torn line off the last file.
    pub(super) fn find(&mut self, repair: bool) -> io::Result<()> {
        if repair {
            private(&self.dir)?;
        }
        let mut list = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            let entry = entry?;
            if let Some(first) = entry.file_name().to_str().and_then(first_of) {
                let day = day_in(&entry.path());
                list.push(Segment { path: entry.path(), first, bytes: entry.metadata()?.len(), day });
            }
        }
        list.sort_by_key(|s| s.first);
        self.list = list.into();
        self.file = None;
        if let Some(last) = self.list.back_mut() {
            let whole = memchr::memrchr(b'\n', &last.read()).map_or(0, |at| at as u64 + 1);
            if repair && whole < last.bytes {
                OpenOptions::new().write(true).open(&last.path)?.set_len(whole)?;
            }
            last.bytes = whole;
        }
        Ok(())
    }

    /// The files, oldest first.
    pub(super) fn list(&self) -> Vec<Segment> {
        self.list.iter().cloned().collect()
    }

    /// Writes lines. After an error, whole lines of the batch may be on disk and the rest is not.
    pub(super) fn append(&mut self, lines: &[Arc<LogLine>]) -> io::Result<()> {
        let mut batch = Vec::new();
        for line in lines {
            let start = batch.len();
            serde_json::to_writer(&mut batch, line.as_ref())?;
            batch.push(b'\n');
            let full = self.list.back().is_none_or(|s| {
                s.bytes + batch.len() as u64 > self.limits.segment_bytes
                    || self.limits.age.is_some() && s.bytes > 0 && s.day != day_of(&line.at)
            });
            if full {
                let rest = batch.split_off(start);
                self.write(&batch)?;
                batch = rest;
                self.begin(line)?;
            }
        }
        self.write(&batch)
    }

    fn write(&mut self, batch: &[u8]) -> io::Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let Some(last) = self.list.back_mut() else { return Ok(()) };
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(OpenOptions::new().append(true).create(true).open(&last.path)?),
        };
        if let Err(e) = file.write_all(batch) {
            // Part of a line may be there. If it cannot be cut off now, the next start does it.
            if file.set_len(last.bytes).is_err() {
                self.file = None;
            }
            return Err(e);
        }
        last.bytes += batch.len() as u64;
        Ok(())
    }

    fn begin(&mut self, line: &LogLine) -> io::Result<()> {
        let first = line.seq;
        private(&self.dir)?;
        let path = self.dir.join(format!("log-{first:012}.jsonl"));
        self.file = Some(OpenOptions::new().append(true).create(true).open(&path)?);
        if self.list.back().is_none_or(|s| s.first != first) {
            self.list.push_back(Segment { path, first, bytes: 0, day: day_of(&line.at).to_owned() });
        }
        let oldest_day = self.limits.age.and_then(|age| {
            let day = parse_rfc3339(&line.at)?.minus(age);
            Some(rfc3339(day))
        });
        let oldest_day = oldest_day.as_deref().map(day_of);
        // What lies before a file that began before that day is older than the day.
        let is_old = |list: &VecDeque<Segment>| {
            let next = list.get(1).map(|s| s.day.as_str()).filter(|day| !day.is_empty());
            next.zip(oldest_day).is_some_and(|(next, oldest)| next <= oldest)
        };
        while self.list.len() > self.limits.segments.max(1) || is_old(&self.list) {
            let Some(oldest) = self.list.pop_front() else { break };
            match std::fs::remove_file(&oldest.path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        Ok(())
    }

    /// The folder.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }
}

/// The day of a time in RFC 3339.
fn day_of(at: &str) -> &str {
    at.get(..10).unwrap_or_default()
}

/// The day of the first line of a file; empty where it cannot be read.
fn day_in(path: &Path) -> String {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FIRST_MAX).read_to_end(&mut head));
    let line = head.split(|c| *c == b'\n').next().filter(|_| read.is_ok());
    let line = line.and_then(|raw| serde_json::from_slice::<LogLine>(raw).ok());
    line.map(|line| day_of(&line.at).to_owned()).unwrap_or_default()
}

/// The number in `log-<number>.jsonl`.
fn first_of(name: &str) -> Option<u64> {
    name.strip_prefix("log-")?.strip_suffix(".jsonl")?.parse().ok()
}

/// Number of a raw line, without reading the rest of it.
pub(super) fn seq_of(raw: &[u8]) -> Option<u64> {
    let digits = raw.strip_prefix(b"{\"seq\":")?;
    let end = digits.iter().position(|c| !c.is_ascii_digit())?;
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

/// Makes a folder for us alone: lines of the log hold pieces of what was processed.
fn private(dir: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).recursive(true).create(dir)
}

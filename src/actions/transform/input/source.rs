//! The files of a transform as one row of chunks.
//!
//! It guarantees that a chunk depends on where it starts and on the bytes behind that alone: not on what was read
//! before it, how reads returned, or who asked. So a run can go on at any chunk as if it had read what is before it.

use super::dialect::Header;
use super::opening::{Opened, Settled, open_first, open_next, too_long};
use super::records::line_ends;
use super::reject::refuse;
use super::window::Window;
use super::{Declared, InputFile, RECORD_MAX};
use crate::actions::transform::chunk::Chunk;
use crate::actions::transform::table::Dialect;
use crate::model::{Failure, text};

/// Where a chunk starts: what it takes to go on there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Which file, from 0.
    pub file: usize,
    /// Offset in that file.
    pub byte: u64,
    /// Line there, 1-based.
    pub line: u64,
    /// Number of the chunk that starts there.
    pub seq: u64,
}

/// The files that are read.
pub struct Source {
    inputs: Vec<InputFile>,
    declared: Declared,
    chunk: usize,
    settled: Settled,
    sample: Vec<u8>,
    /// Which file is read, and it.
    index: usize,
    current: Option<Opened>,
    seq: u64,
    /// Sizes of the files that are done.
    done: u64,
    /// Why it cannot go on.
    failed: Option<Box<Failure>>,
}

impl Source {
    /// Opens the files and looks at the first. `chunk`: bytes of a chunk; only a record that is longer makes a longer
    /// one. A packed file may unpack to `max_expanded` bytes; without, to 200 times its size or a GiB, whichever is more.
    pub fn open(inputs: Vec<InputFile>, declared: &Declared, chunk: usize) -> Result<Self, Failure> {
        let Some(first) = inputs.first() else {
            return Err(Failure::permanent("no_input", "there is no file to read"));
        };
        let (mut opened, settled) = open_first(first, declared)?;
        let sample = opened.sample(settled.dialect.encoding)?;
        Ok(Self {
            inputs,
            declared: declared.clone(),
            chunk: chunk.max(1),
            settled,
            sample,
            index: 0,
            current: Some(opened),
            seq: 0,
            done: 0,
            failed: None,
        })
    }

    /// What chunks are in.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.settled.dialect
    }

    /// The names of the columns, as the first file writes them. `None`: it names none, or its rows name their own.
    #[must_use]
    pub fn header(&self) -> Option<&[String]> {
        self.settled.header.as_deref()
    }

    /// Fields of the first record of delimited text, else 0.
    #[must_use]
    pub fn fields(&self) -> usize {
        self.settled.fields
    }

    /// Whole records from the first row of the first file on, in UTF-8: about [`super::SAMPLE_MAX`] bytes of them, or
    /// one if it is longer. Bytes that are not valid are U+FFFD, or left as they are where the file is UTF-8.
    #[must_use]
    pub fn sample(&self) -> &[u8] {
        &self.sample
    }

    /// The next chunk, or `None` behind the last. `buffer` is reused: give back the bytes of a chunk that is done with.
    /// A chunk at the end of a file may hold nothing but empty lines. A failure stays: it is the answer from then on.
    pub fn next(&mut self, mut buffer: Vec<u8>) -> Result<Option<Chunk>, Failure> {
        if let Some(failure) = &self.failed {
            return Err(failure.as_ref().clone());
        }
        if buffer.capacity() > 4 * self.chunk {
            buffer = Vec::new(); // it held a record of unusual length
        }
        self.advance(buffer).map_err(|failure| {
            // What is wrong with a file that changed meanwhile says nothing about the file.
            let failure = self.check_unchanged().err().unwrap_or(failure);
            self.failed = Some(Box::new(failure.clone()));
            if let Some(opened) = &mut self.current {
                opened.window = Window::default();
            }
            failure
        })
    }

    fn advance(&mut self, mut buffer: Vec<u8>) -> Result<Option<Chunk>, Failure> {
        while let Some(input) = self.inputs.get(self.index) {
            if self.current.is_none() {
                self.current = Some(open_next(input, &self.declared, &self.settled)?);
            }
            let Some(opened) = &mut self.current else { break };
            match opened.cut(self.chunk, &self.settled, &input.label)? {
                Some(len) => {
                    let (line, byte) = (opened.line, opened.byte);
                    let bytes = opened.window.take(len, std::mem::take(&mut buffer));
                    opened.line += line_ends(&bytes);
                    opened.byte += len as u64;
                    let chunk = Chunk { seq: self.seq, file: self.index, bytes, line, byte };
                    self.seq += 1;
                    return Ok(Some(chunk));
                }
                None => {
                    opened.stream.disk().check_unchanged()?;
                    self.done += opened.stream.disk().size();
                    self.index += 1;
                    self.current = None;
                }
            }
        }
        Ok(None)
    }

    /// Bytes read of the files as they lie on the disk, and their sizes together.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        let total = self.inputs.iter().map(|i| i.size).sum();
        let current = self.current.as_ref().map_or(0, |c| c.stream.disk().at());
        (self.done + current, total)
    }

    /// Where the next chunk starts, if a later run can go on there: not in a file that is packed, decoded, or one JSON
    /// array. The place of any chunk of the same file will do as well.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        let (file, seq) = (self.index, self.seq);
        match &self.current {
            _ if self.failed.is_some() => None,
            Some(opened) => opened.can_resume().then_some(Position { file, byte: opened.byte, line: opened.line, seq }),
            None => Some(Position { file, byte: 0, line: 1, seq }),
        }
    }

    /// Goes on at a place that a chunk of the same files started at, or would have.
    pub fn resume(&mut self, at: Position) -> Result<(), Failure> {
        self.done = self.inputs.iter().take(at.file).map(|i| i.size).sum();
        (self.index, self.seq, self.current) = (at.file, at.seq, None);
        let Some(input) = self.inputs.get(at.file) else { return Ok(()) };
        let mut opened = open_next(input, &self.declared, &self.settled)?;
        if at.byte > opened.byte || at.line > opened.line {
            if !opened.can_resume() || at.byte > input.size {
                let message = format!("cannot go on at byte {} of the file: start from the beginning", at.byte);
                return Err(refuse(&input.label, "cannot_resume", message));
            }
            opened.stream.seek(at.byte);
            opened.window.clear();
            (opened.byte, opened.line) = (at.byte, at.line);
        }
        self.current = Some(opened);
        Ok(())
    }

    /// An error if the file that is read is not what it was: ask before bad rows are put down to its content.
    pub fn check_unchanged(&self) -> Result<(), Failure> {
        self.current.as_ref().map_or(Ok(()), |c| c.stream.disk().check_unchanged())
    }
}

impl Opened {
    fn can_resume(&self) -> bool {
        self.stream.is_raw() && self.cutter.marks().is_some()
    }

    /// The length of the next chunk, or `None` at the end of the file. The window holds it.
    fn cut(&mut self, chunk: usize, settled: &Settled, label: &str) -> Result<Option<usize>, Failure> {
        let most = RECORD_MAX.max(chunk);
        let mut limit = chunk;
        self.cutter.restart();
        loop {
            // One byte more, so that the end shows, and shows alike whatever was read before.
            self.window.fill(&mut self.stream, limit + 1)?;
            let ended = self.stream.ended() && self.window.len() <= limit;
            let len = self.window.len().min(limit);
            if let Err(fault) = self.cutter.advance(self.window.bytes_mut(len), ended)
                && self.cutter.boundary() == 0
            {
                return Err(self.refuse(label, "json_syntax", fault.at, fault.what));
            }
            let boundary = self.cutter.boundary();
            if boundary == 0 && !ended && limit < most {
                limit = (limit * 2).min(most);
                continue;
            }
            return match (self.cutter.marks(), boundary) {
                (_, 1..) if !ended => Ok(Some(boundary)),
                (Some(_), _) if ended => Ok((len > 0).then_some(len)),
                (None, 1..) => Ok(Some(boundary)),
                (None, 0) if ended && self.cutter.is_done() => Ok(None),
                (None, 0) if ended => {
                    let what = "the array is cut off: it has no closing bracket";
                    Err(self.refuse(label, "truncated_json", len, what))
                }
                (Some(marks), _) => {
                    let (raw, encoding) = (&self.window.bytes()[..len], settled.dialect.encoding);
                    Err(too_long(&Header { label, raw, marks, encoding, line: self.line, byte: self.byte }))
                }
                (None, _) => {
                    let what = format!("an element longer than {} MiB", RECORD_MAX / (1024 * 1024));
                    Err(self.refuse(label, "record_too_long", 0, &what))
                }
            };
        }
    }

    /// A failure of a JSON array, `at` bytes into the window. Its lines are elements.
    fn refuse(&self, label: &str, code: &str, at: usize, what: &str) -> Failure {
        let bytes = self.window.bytes();
        let byte = self.byte + at as u64;
        let mut failure = refuse(label, code, format!("element {}, byte {}: {what}", self.line, text::count(byte)));
        let end = bytes.len().min(at + Failure::RAW_MAX);
        failure.raw = Some(String::from_utf8_lossy(&bytes[at.min(end)..end]).into_owned()).filter(|r| !r.is_empty());
        failure.constant = what.to_owned();
        failure
    }
}

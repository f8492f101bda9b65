//! What an extraction writes: the sidecar with the facts of a file and, for CSV, the normalised copy beside it.
//!
//! Nothing is opened before the first full buffer or the end, so that a small file that fails leaves no trace, and
//! both files are asked for together, so that they take one suffix.

use crate::model::{Desk, Failure, Input, OnExists, OutputFile, crash, text};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use std::io::{Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Normalised bytes held back before they are written.
const FLUSH: usize = 256 * 1024;

/// The facts of a file. The order of the fields is the order in the sidecar.
#[derive(Debug, Serialize)]
pub(super) struct Sidecar {
    /// Its name as it landed, escaped text.
    pub(super) file: String,
    /// The name's bytes in base64, only where they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file_b64: Option<String>,
    /// `text`, `csv`, `image`, `pdf` or `other`.
    #[serde(rename = "type")]
    pub(super) file_type: &'static str,
    /// Size in bytes.
    pub(super) size: u64,
    /// Modification time, RFC 3339 in UTC.
    pub(super) modified: String,
    /// BLAKE3 of the content, in hexadecimal.
    pub(super) blake3: String,
    /// Name of its encoding; none for what is no text.
    pub(super) encoding: Option<&'static str>,
    /// What only one type has.
    #[serde(flatten)]
    pub(super) more: More,
}

/// What only one type of file has.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum More {
    /// Plain text.
    Text {
        /// Words, separated by Unicode white space.
        words: u64,
        /// Unicode scalar values.
        characters: u64,
        /// Lines; a last one without line end counts.
        lines: u64,
    },
    /// Rows and columns.
    Csv {
        /// Rows without the header.
        rows: u64,
        /// Columns.
        columns: usize,
        /// Names of the columns.
        header: Vec<String>,
        /// What separates fields in the original.
        delimiter: char,
        /// Absolute path of the normalised copy.
        normalised: String,
    },
    /// Anything else.
    None {},
}

impl Sidecar {
    /// The facts that every type has.
    pub(super) fn new(input: &Input, file_type: &'static str, size: u64, blake3: String) -> Self {
        let raw = input.name.as_bytes();
        let file_b64 = std::str::from_utf8(raw).is_err().then(|| STANDARD.encode(raw));
        let (file, modified) = (text::bytes(raw), modified(input.mtime_ns));
        Self { file, file_b64, file_type, size, modified, blake3, encoding: None, more: More::None {} }
    }
}

fn modified(ns: i64) -> String {
    DateTime::<Utc>::from_timestamp_nanos(ns).to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The normalised copy's path for a sidecar's path: `.json` at the end becomes `.normalised.csv`.
pub(super) fn normalised_path(sidecar: &Path) -> PathBuf {
    let raw = sidecar.as_os_str().as_bytes();
    let stem = raw.strip_suffix(b".json").filter(|s| !s.is_empty() && !s.ends_with(b"/")).unwrap_or(raw);
    PathBuf::from(std::ffi::OsStr::from_bytes(&[stem, b".normalised.csv"].concat()))
}

/// Where an extraction writes.
pub(super) struct Sink<'a> {
    desk: &'a dyn Desk,
    target: PathBuf,
    on_exists: OnExists,
    with_copy: bool,
    /// Bytes of the normalised copy that are not written yet.
    pub(super) copy: Vec<u8>,
    open: Option<Vec<OutputFile>>,
}

impl<'a> Sink<'a> {
    /// A sink for the sidecar `target`, and the normalised copy if `with_copy`.
    pub(super) fn new(desk: &'a dyn Desk, target: PathBuf, on_exists: OnExists, with_copy: bool) -> Self {
        Self { desk, target, on_exists, with_copy, copy: Vec::new(), open: None }
    }

    fn files(&mut self) -> Result<&mut Vec<OutputFile>, Failure> {
        let files = match self.open.take() {
            Some(files) => files,
            None => {
                let with_copy = self.with_copy;
                let siblings = |t: &Path| if with_copy { vec![normalised_path(t)] } else { Vec::new() };
                self.desk.outputs(&self.target, &siblings, self.on_exists)?
            }
        };
        if files.len() != 1 + usize::from(self.with_copy) {
            let message = format!("the desk opened {} outputs for {}", files.len(), text::path(&self.target));
            return Err(Failure::permanent("internal", message));
        }
        Ok(self.open.insert(files))
    }

    /// Writes the held back bytes of the copy, if they are many.
    pub(super) fn settle(&mut self) -> Result<(), Failure> {
        if self.copy.len() < FLUSH { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let copy = std::mem::take(&mut self.copy);
        if let Some(output) = self.files()?.get_mut(1) {
            write(output, &copy)?;
        }
        self.copy = copy;
        self.copy.clear();
        Ok(())
    }

    /// Starts the copy again.
    pub(super) fn restart(&mut self) -> Result<(), Failure> {
        self.copy.clear();
        for output in self.open.iter_mut().flatten() {
            let emptied = output.file.set_len(0).and_then(|()| output.file.rewind());
            emptied.map_err(|e| Failure::io("output_write", "empty", &output.temp, &e))?;
        }
        Ok(())
    }

    /// Writes what is left of the copy, and the sidecar that `describe` makes of the copy's final path.
    pub(super) fn finish(mut self, describe: impl FnOnce(String) -> Sidecar) -> Result<(), Failure> {
        if self.with_copy {
            self.flush()?;
        }
        let files = self.files()?;
        let sidecar = describe(files.get(1).map(|f| text::path(&f.target)).unwrap_or_default());
        crash::point("s4.in_output");
        let mut json = serde_json::to_vec_pretty(&sidecar)
            .map_err(|e| Failure::permanent("internal", format!("cannot write the sidecar as JSON: {e}")))?;
        json.push(b'\n');
        write(&mut files[0], &json)
    }
}

fn write(output: &mut OutputFile, bytes: &[u8]) -> Result<(), Failure> {
    output.file.write_all(bytes).map_err(|e| Failure::io("output_write", "write", &output.temp, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_is_named_after_the_sidecar() {
        let of = |s: &str| normalised_path(Path::new(s)).display().to_string();
        assert_eq!(of("/o/a.csv.json"), "/o/a.csv.normalised.csv");
        assert_eq!(of("/o/a-2.json"), "/o/a-2.normalised.csv");
        assert_eq!(of("/o/a.meta"), "/o/a.meta.normalised.csv");
        assert_eq!(of("/o/.json"), "/o/.json.normalised.csv");
    }

    #[test]
    fn times_are_utc_with_milliseconds() {
        assert_eq!(modified(1_767_225_600_123_456_789), "2026-01-01T00:00:00.123Z");
        assert_eq!(modified(-1), "1969-12-31T23:59:59.999Z");
    }
}

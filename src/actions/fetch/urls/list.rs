//! Reads files with URLs, or with values for one, entry by entry.
//!
//! It guarantees that memory stays small whatever a file holds, and that what cannot be read is a failure with its file and
//! line. It refuses everything but UTF-8: another encoding is not guessed here.

use super::json;
use crate::actions::fetch::spec::ListFormat;
use crate::model::{Failure, text};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Longest line of a text file, in bytes; a longer one is a failure: no URL is as long.
pub const LINE_MAX: usize = super::address::URL_MAX;
/// Longest record of a table and longest JSON value, in bytes; a longer one is a failure: most often a quote was not closed.
pub const RECORD_MAX: usize = 1024 * 1024;
/// Bytes that are read at a time.
const BUFFER: usize = 64 * 1024;

/// One entry of a file: a URL, or a value for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) text: String,
    /// The line it begins in, from 1.
    pub(super) line: u64,
}

/// The entries of one file. After a failure there are no more.
pub(super) type Entries = Box<dyn Iterator<Item = Result<Entry, Failure>> + Send>;

/// Opens a file; one without a known extension is a text.
pub(super) fn open(path: &Path, format: Option<ListFormat>, column: Option<&str>) -> Result<Entries, Failure> {
    let file = regular(path)?;
    let path: Arc<Path> = path.into();
    let column = column.map(str::to_owned);
    Ok(match format.unwrap_or_else(|| by_extension(&path)) {
        ListFormat::Text => Box::new(texts(Lines::new(file, path, LINE_MAX))),
        ListFormat::Csv => Box::new(Table::open(file, path, column.as_deref())?),
        ListFormat::Json => json::entries(file, path, column)?,
    })
}

/// Opens a regular file behind its byte order mark, if it has one.
pub(super) fn regular(path: &Path) -> Result<File, Failure> {
    let failed = |e: std::io::Error| Failure::io("urls_unreadable", "read", path, &e);
    // Without O_NONBLOCK a FIFO would hold the plan for ever.
    let mut file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        let message = format!("a list of URLs is no regular file: {}", text::path(path));
        return Err(Failure::permanent("urls_unreadable", message));
    }
    let mut head = Vec::new();
    Read::by_ref(&mut file).take(3).read_to_end(&mut head).map_err(failed)?;
    if head != b"\xef\xbb\xbf" {
        file.rewind().map_err(failed)?;
    }
    Ok(file)
}

fn by_extension(path: &Path) -> ListFormat {
    match path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase).as_deref() {
        Some("csv" | "tsv" | "tab") => ListFormat::Csv,
        Some("json" | "ndjson" | "jsonl") => ListFormat::Json,
        _ => ListFormat::Text,
    }
}

/// What a line of a file is bad for.
pub(super) fn bad_line(path: &Path, line: u64, reason: &str) -> Failure {
    let file = text::path(path);
    let mut failure = Failure::permanent("urls_bad_line", format!("{reason}: {file}:{line}"));
    failure.constant = reason.to_owned();
    failure.file = Some(file);
    failure.line = Some(line);
    failure
}

/// The same for bytes that are no UTF-8.
pub(super) fn utf8(raw: &[u8], path: &Path, line: u64) -> Result<String, Failure> {
    let wrong =
        |_| Failure { code: "urls_encoding".into(), ..bad_line(path, line, "a list of URLs is written in UTF-8") };
    std::str::from_utf8(raw).map(str::to_owned).map_err(wrong)
}

/// The lines of a file that are not longer than allowed.
pub(super) struct Lines {
    reader: BufReader<File>,
    pub(super) path: Arc<Path>,
    max: usize,
    /// Number of the last line.
    pub(super) number: u64,
    buffer: Vec<u8>,
    has_failed: bool,
}

impl Lines {
    pub(super) fn new(file: File, path: Arc<Path>, max: usize) -> Self {
        let reader = BufReader::with_capacity(BUFFER, file);
        Self { reader, path, max, number: 0, buffer: Vec::new(), has_failed: false }
    }

    fn read(&mut self) -> Result<Option<String>, Failure> {
        self.buffer.clear();
        let mut line = (&mut self.reader).take(self.max as u64 + 2);
        let read = line.read_until(b'\n', &mut self.buffer);
        self.number += 1;
        if read.map_err(|e| Failure::io("urls_unreadable", "read", &self.path, &e))? == 0 {
            return Ok(None);
        }
        let raw = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        if raw.len() > self.max {
            return Err(bad_line(&self.path, self.number, &format!("a line is longer than {} bytes", self.max)));
        }
        utf8(raw, &self.path, self.number).map(Some)
    }
}

impl Iterator for Lines {
    type Item = Result<Entry, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_failed {
            return None;
        }
        let line = self.read();
        self.has_failed = line.is_err();
        line.transpose().map(|line| line.map(|text| Entry { text, line: self.number }))
    }
}

/// A URL a line; empty lines and those that start with `#` are none.
fn texts(lines: Lines) -> impl Iterator<Item = Result<Entry, Failure>> {
    let is_entry = |entry: &Entry| !entry.text.is_empty() && !entry.text.starts_with('#');
    lines
        .map(|line| line.map(|entry| Entry { text: entry.text.trim().to_owned(), ..entry }))
        .filter(move |line| line.as_ref().map_or(true, is_entry))
}

/// The column of a table with a header.
struct Table {
    reader: csv::Reader<Limited>,
    left: Arc<AtomicU64>,
    path: Arc<Path>,
    column: usize,
    record: csv::ByteRecord,
    has_failed: bool,
}

/// Ends a record that does not end by itself: gives so many bytes and then an error.
struct Limited {
    file: File,
    left: Arc<AtomicU64>,
}

impl Read for Limited {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let left = usize::try_from(self.left.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        if left == 0 {
            return Err(std::io::Error::other(format!("a record is longer than {RECORD_MAX} bytes")));
        }
        let most = into.len().min(left);
        let read = self.file.read(&mut into[..most])?;
        self.left.fetch_sub(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl Table {
    fn open(file: File, path: Arc<Path>, column: Option<&str>) -> Result<Self, Failure> {
        let is_tabbed = matches!(path.extension().and_then(|e| e.to_str()), Some("tsv" | "tab" | "TSV" | "TAB"));
        let left = Arc::new(AtomicU64::new(RECORD_MAX as u64));
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(if is_tabbed { b'\t' } else { b',' })
            .trim(csv::Trim::All)
            .buffer_capacity(BUFFER)
            .from_reader(Limited { file, left: Arc::clone(&left) });
        let header = reader.byte_headers().map_err(|e| failed(&path, &e))?;
        let column = match column {
            None => 0,
            Some(name) => header.iter().position(|field| field == name.as_bytes()).ok_or_else(|| {
                let reason = format!("no such column: {}", text::cut(&text::escape(name), 60));
                Failure { code: "urls_no_column".into(), ..bad_line(&path, 1, &reason) }
            })?,
        };
        Ok(Self { reader, left, path, column, record: csv::ByteRecord::new(), has_failed: false })
    }

    fn read(&mut self) -> Result<Option<Entry>, Failure> {
        self.left.store(RECORD_MAX as u64, Ordering::Relaxed);
        if !self.reader.read_byte_record(&mut self.record).map_err(|e| failed(&self.path, &e))? {
            return Ok(None);
        }
        let line = self.record.position().map_or(0, csv::Position::line);
        match self.record.get(self.column).unwrap_or_default() {
            b"" => Err(bad_line(&self.path, line, "the column with the URL is empty")),
            field => utf8(field, &self.path, line).map(|text| Some(Entry { text, line })),
        }
    }
}

fn failed(path: &Path, error: &csv::Error) -> Failure {
    match error.kind() {
        csv::ErrorKind::Io(e) if e.kind() == std::io::ErrorKind::Other => {
            Failure::permanent("urls_bad_line", format!("cannot read {}: {e}", text::path(path)))
        }
        csv::ErrorKind::Io(e) => Failure::io("urls_unreadable", "read", path, e),
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let reason = format!("{len} fields where the header has {expected_len}");
            bad_line(path, pos.as_ref().map_or(0, csv::Position::line), &reason)
        }
        _ => bad_line(path, error.position().map_or(0, csv::Position::line), "not a table"),
    }
}

impl Iterator for Table {
    type Item = Result<Entry, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_failed {
            return None;
        }
        let entry = self.read();
        self.has_failed = entry.is_err();
        entry.transpose()
    }
}

/// The entries of several files, one file after the other; each is opened when it is its turn.
pub(super) struct Files {
    paths: std::vec::IntoIter<PathBuf>,
    format: Option<ListFormat>,
    column: Option<String>,
    open: Option<(PathBuf, Entries)>,
}

impl Files {
    pub(super) fn new(paths: Vec<PathBuf>, format: Option<ListFormat>, column: Option<String>) -> Self {
        Self { paths: paths.into_iter(), format, column, open: None }
    }
}

impl Iterator for Files {
    type Item = Result<(PathBuf, Entry), Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((path, entries)) = &mut self.open {
                match entries.next() {
                    Some(Ok(entry)) => return Some(Ok((path.clone(), entry))),
                    Some(Err(failure)) => return Some(Err(failure)),
                    None => self.open = None,
                }
            }
            let path = self.paths.next()?;
            match open(&path, self.format, self.column.as_deref()) {
                Ok(entries) => self.open = Some((path, entries)),
                Err(failure) => return Some(Err(failure)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `line:text` of every entry, or what went wrong.
    fn read(name: &str, raw: &[u8], column: Option<&str>) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, raw).unwrap();
        let plain = |failure: Failure| {
            let at = failure.message.replace(dir.path().to_str().unwrap(), "");
            format!("{} {at}", failure.code)
        };
        match open(&path, None, column) {
            Err(failure) => vec![plain(failure)],
            Ok(entries) => {
                entries.map(|e| e.map_or_else(plain, |e| format!("{}:{}", e.line, e.text))).take(10).collect()
            }
        }
    }

    #[test]
    fn a_text_has_a_url_a_line() {
        assert_eq!(read("a.txt", b"\xef\xbb\xbfx\r\n\n  # no\n y \nz", None), ["1:x", "4:y", "5:z"]);
        assert_eq!(read("a", b"", None), [""; 0]);
        assert_eq!(read("a", b"x\n\xff\ny", None), ["1:x", "urls_encoding a list of URLs is written in UTF-8: /a:2"]);
        let longest = vec![b'x'; LINE_MAX];
        assert_eq!(read("a", &[&longest[..], b"\r\ny"].concat(), None).len(), 2);
        let long = read("a", &[b"ok\n", &longest[..], b"xx\ny"].concat(), None);
        assert_eq!(long, ["1:ok", "urls_bad_line a line is longer than 8192 bytes: /a:2"]);
    }

    #[test]
    fn a_table_has_it_in_a_column() {
        let table = b"id,url\n1,\"http://a/,\nx\"\n2, b \n";
        assert_eq!(read("a.csv", table, Some("url")), ["2:http://a/,\nx", "4:b"]);
        assert_eq!(read("a.csv", table, None), ["2:1", "4:2"]);
        assert_eq!(read("a.tsv", b"\xef\xbb\xbfurl\tn\nx\t1\n", Some("url")), ["2:x"]);
        assert_eq!(read("a.csv", table, Some("link")), ["urls_no_column no such column: link: /a.csv:1"]);
        let uneven = read("a.csv", b"id,url\n1,a\n2\n3,c\n", Some("url"));
        assert_eq!(uneven, ["2:a", "urls_bad_line 1 fields where the header has 2: /a.csv:3"]);
        let empty = read("a.csv", b"id,url\n1,\n", Some("url"));
        assert_eq!(empty, ["urls_bad_line the column with the URL is empty: /a.csv:2"]);
        assert_eq!(read("a.csv", b"url\n\xff\n", None), ["urls_encoding a list of URLs is written in UTF-8: /a.csv:2"]);
    }

    #[test]
    fn a_quote_that_is_not_closed_takes_no_memory() {
        let mut raw = b"url\nx\n\"".to_vec();
        raw.resize(4 * RECORD_MAX, b'y');
        let found = read("a.csv", &raw, None);
        assert_eq!(found, ["2:x", "urls_bad_line cannot read /a.csv: a record is longer than 1048576 bytes"]);
        let many = "http://a/\n".repeat(2 * RECORD_MAX / 10);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("long.csv");
        std::fs::write(&path, format!("url\n{many}")).unwrap();
        assert!(open(&path, None, None).unwrap().all(|e| e.is_ok()), "a long file of short records is read");
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).unwrap();
        for path in [fifo, dir.path().to_path_buf(), dir.path().join("absent")] {
            assert_eq!(open(&path, None, None).err().unwrap().code, "urls_unreadable");
        }
    }
}

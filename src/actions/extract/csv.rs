//! Delimited text: checked row by row in one pass, counted, and written in one normal form.
//!
//! It guarantees that a file either passes as a whole or fails with the place, the text and the column of its first
//! bad rows; that memory is bounded by the longest record; and that places are those of the original file, in every
//! encoding. It refuses files whose rows do not fit their header: a guess would shift values between columns.

use super::fields::{self, FIELD_MAX, Fields, Limit};
use super::lines::{Line, Lines, without_end};
use super::rows::{BadRows, Problem, Record};
use super::sidecar::{More, Sidecar, Sink};
use super::source::{Source, inner_nul};
use super::{Extract, grouped};
use crate::actions::encoding::{self, Found};
use crate::model::text::counted;
use crate::model::{Failure, Input, Report, template::split_name};
use encoding_rs::Encoding;
use memchr::{memchr_iter, memchr2};
use std::path::PathBuf;

/// Longest record, in bytes of the file. A longer one fails the file; most often a quote was not closed.
const RECORD_MAX: u64 = 8 * 1024 * 1024;
/// Bytes that the delimiter is found out from; even, so that units of two bytes stay whole.
const SAMPLE: usize = 16 * 1024;

/// Checks a CSV file and writes its sidecar and its normalised copy.
pub(super) fn extract(
    options: &Extract,
    input: &Input,
    source: Source<'_>,
    target: PathBuf,
) -> Result<Report, Failure> {
    let mut lines = Lines::open(source)?;
    let mut found = encoding::detect(lines.head(), lines.source.ended(), options.encoding);
    refuse_binary(&lines, found)?;
    lines.source.check_tail(found.encoding)?;
    let tabs_first = split_name(&input.name).1.eq_ignore_ascii_case("tsv");
    let mut sink = Sink::new(lines.source.desk, target, options.on_exists, true);
    let pass = loop {
        let delimiter = options.delimiter.unwrap_or_else(|| delimiter(&lines, found, tabs_first));
        let mut pass = Pass::new(input, found, delimiter);
        match pass.run(&mut lines, &mut sink)? {
            None => break pass,
            Some(encoding) => {
                found = Found { encoding, mark: 0, tentative: false };
                sink.restart()?;
            }
        }
    };
    let source = &lines.source;
    if let Some(failure) = pass.bad.failure(input, found.encoding) {
        return Err(source.blame(failure));
    }
    let Some(header) = pass.header.filter(|_| pass.rows > 0) else {
        let what = match source.offset() {
            0 => "the file is empty",
            _ if pass.seen => "the file has a header and no rows",
            _ => "the file holds nothing but blank lines",
        };
        return Err(source.blame(Failure::permanent("empty", what)));
    };
    let (rows, columns, encoding) = (pass.rows, header.len(), found.encoding.name());
    sink.finish(|normalised| Sidecar {
        encoding: Some(encoding),
        more: More::Csv { rows, columns, header, delimiter: char::from(pass.delimiter), normalised },
        ..Sidecar::new(input, "csv", source.offset(), source.digest())
    })?;
    let note = format!("{}, {}, {encoding}", counted(rows, "row"), counted(columns as u64, "column"));
    Ok(Report { rows: Some(rows), note: Some(note), ..Report::default() })
}

/// An error if the first line holds a NUL: a spreadsheet or an archive under the wrong name.
fn refuse_binary(lines: &Lines<'_>, found: Found) -> Result<(), Failure> {
    let head = lines.head();
    let first = memchr2(b'\n', b'\r', head).unwrap_or(head.len());
    match inner_nul(head, found.encoding).filter(|at| *at < first) {
        None => Ok(()),
        Some(at) => {
            let message = format!("not a CSV file: NUL byte in its first line, at byte {at}");
            let mut failure = lines.source.blame(Failure::permanent("not_text", message));
            failure.line = Some(1);
            Err(failure)
        }
    }
}

/// The delimiter, from the first lines.
fn delimiter(lines: &Lines<'_>, found: Found, tabs_first: bool) -> u8 {
    let head = lines.head().get(found.mark..).unwrap_or_default();
    let whole = head.len() <= SAMPLE;
    let (sample, _) = encoding::decode(found.encoding, &head[..head.len().min(SAMPLE)]);
    fields::detect_delimiter(&sample, whole && lines.source.ended(), tabs_first)
}

/// One pass over the file.
struct Pass<'a> {
    input: &'a Input,
    found: Found,
    delimiter: u8,
    header: Option<Vec<String>>,
    rows: u64,
    bad: BadRows,
    fields: Fields,
    /// The record that is open.
    record: Option<Record>,
    /// Where the two lines before this one start: what is shown around a bad row.
    before: [Option<u64>; 2],
    /// Whether there was any record.
    seen: bool,
    /// Whether a character beyond ASCII was seen.
    wide: bool,
}

impl<'a> Pass<'a> {
    fn new(input: &'a Input, found: Found, delimiter: u8) -> Self {
        let (header, record, bad, before) = (None, None, BadRows::default(), [None; 2]);
        let fields = Fields::new(delimiter);
        Self { input, found, delimiter, header, rows: 0, bad, fields, record, before, seen: false, wide: false }
    }

    /// Reads the file to its end. Answers the encoding to start again with, if the reading as UTF-8 broke down.
    fn run(&mut self, lines: &mut Lines<'_>, sink: &mut Sink<'_>) -> Result<Option<&'static Encoding>, Failure> {
        lines.begin(self.found)?;
        loop {
            lines.source.rows = self.rows;
            let ended = lines.source.ended();
            let Some(line) = lines.next()? else { break };
            if self.found.tentative {
                if line.fault.is_some()
                    && !self.wide
                    && let Some(encoding) = encoding::instead_of_utf8(line.rest, ended)
                {
                    return Ok(Some(encoding));
                }
                self.wide |= !line.text.is_ascii();
            }
            if !self.pass_quickly(&line, sink) {
                self.pass_slowly(&line, sink)?;
            }
            self.before = [self.before[1], Some(line.byte)];
            sink.settle()?;
        }
        if let Some(mut record) = self.record.take() {
            let column = self.fields.len() + 1;
            record.problem = Some(Problem::unclosed(record.line, column));
            self.reject(record);
        }
        Ok(None)
    }

    /// Takes a line that is a whole good row without quotes, as most are. False: it was not taken.
    fn pass_quickly(&mut self, line: &Line<'_>, sink: &mut Sink<'_>) -> bool {
        let Some(header) = self.header.as_ref().filter(|_| self.record.is_none()) else { return false };
        let row = without_end(&line.text).as_bytes();
        if row.is_empty() || row.len() > FIELD_MAX || line.fault.is_some() || memchr2(b'"', 0, row).is_some() {
            return false;
        }
        if memchr_iter(self.delimiter, row).count() + 1 != header.len() {
            return false;
        }
        if self.delimiter != b',' && memchr::memchr(b',', row).is_some() {
            return false;
        }
        self.rows += 1;
        if self.bad.count == 0 {
            let start = sink.copy.len();
            sink.copy.extend_from_slice(row);
            if self.delimiter != b',' {
                for c in &mut sink.copy[start..] {
                    if *c == self.delimiter {
                        *c = b',';
                    }
                }
            }
            sink.copy.push(b'\n');
        }
        true
    }

    /// Takes any line.
    fn pass_slowly(&mut self, line: &Line<'_>, sink: &mut Sink<'_>) -> Result<(), Failure> {
        let mut record = match self.record.take() {
            Some(record) => record,
            None if without_end(&line.text).is_empty() => return Ok(()),
            None => Record::starting(line, self.before),
        };
        self.seen = true;
        record.len += line.len;
        if record.len > RECORD_MAX {
            let what = format!("a record longer than {} MiB: perhaps a quote is not closed", RECORD_MAX / (1 << 20));
            return Err(self.limit(&record, None, &what, "a record over the limit"));
        }
        if record.problem.is_none() {
            record.problem = Problem::of_line(line, self.delimiter, self.found.encoding);
        }
        match self.fields.feed(&line.text) {
            Ok(false) => self.record = Some(record),
            Ok(true) => {
                self.close(record, sink);
                self.fields.clear();
            }
            Err(Limit::Columns) => {
                let what = format!("more than {} columns", grouped(fields::COLUMNS_MAX as u64));
                return Err(self.limit(&record, None, &what, "too many columns"));
            }
            Err(Limit::Field(n)) => {
                let what =
                    format!("column {n} longer than {} MiB: perhaps a quote is not closed", FIELD_MAX / (1 << 20));
                return Err(self.limit(&record, Some(n), &what, "a field over the limit"));
            }
        }
        Ok(())
    }

    /// Takes a complete record.
    fn close(&mut self, mut record: Record, sink: &mut Sink<'_>) {
        match &self.header {
            None => self.header = Some(self.fields.to_strings()),
            Some(header) => {
                self.rows += 1;
                if record.problem.is_none() && self.fields.len() != header.len() {
                    record.problem = Some(Problem::count(record.line, self.fields.len(), header.len()));
                }
            }
        }
        if record.problem.is_some() {
            self.reject(record);
        } else if self.bad.count == 0 {
            self.fields.write(&mut sink.copy);
        }
    }

    fn reject(&mut self, record: Record) {
        self.bad.add(record, self.header.as_deref(), self.input, self.found.encoding);
    }

    fn limit(&self, record: &Record, column: Option<usize>, what: &str, constant: &str) -> Failure {
        let message = format!("line {}, byte {}: {what}", record.line, record.byte);
        let mut failure = Failure::permanent("csv_limit", message);
        failure.file = Some(self.input.label.clone());
        failure.line = Some(record.line);
        failure.column = column.map(|n| n as u64);
        failure.column_name = column.and_then(|n| self.header.as_ref()?.get(n - 1).cloned());
        failure.constant = constant.to_owned();
        failure
    }
}

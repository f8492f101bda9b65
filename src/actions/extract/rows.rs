//! Bad rows of a CSV file: what is wrong with one, where it stands, and the failure that all of them make.

use super::lines::{Line, line_end, without_end};
use super::source::excerpt;
use crate::actions::encoding;
use crate::model::{ContextLine, Detail, Failure, Input, text};
use encoding_rs::Encoding;
use memchr::memchr_iter;

/// Bytes read to show a record; every encoding has [`Failure::RAW_MAX`] characters in fewer.
const RAW_WINDOW: usize = 2 * 1024;
/// Bytes read to show the lines around a bad row; where lines are longer, fewer are shown.
const CONTEXT_WINDOW: usize = 64 * 1024;
/// Lines shown before and behind the first line of a bad row.
const CONTEXT: u64 = 2;

/// A record that is being read.
#[derive(Debug)]
pub(super) struct Record {
    /// Its first line.
    pub(super) line: u64,
    /// Where it starts in the file.
    pub(super) byte: u64,
    /// Its length in the file so far.
    pub(super) len: u64,
    /// The line that its context starts with, and where that starts.
    context: (u64, u64),
    /// What is wrong with it.
    pub(super) problem: Option<Problem>,
}

impl Record {
    /// A record that starts with `line`; `before`: where the two lines before it start.
    pub(super) fn starting(line: &Line<'_>, before: [Option<u64>; 2]) -> Self {
        let context = match before {
            [Some(byte), _] => (line.number - 2, byte),
            [None, Some(byte)] => (line.number - 1, byte),
            [None, None] => (line.number, line.byte),
        };
        Self { line: line.number, byte: line.byte, len: 0, context, problem: None }
    }
}

/// What is wrong with a record.
#[derive(Debug)]
pub(super) struct Problem {
    message: String,
    /// The part of the message that other bad rows share.
    constant: String,
    column: Option<usize>,
}

impl Problem {
    /// A number of fields that is not the header's.
    pub(super) fn count(line: u64, fields: usize, header: usize) -> Self {
        let s = if fields == 1 { "" } else { "s" };
        Self {
            message: format!("line {line}: {fields} field{s}, the header has {header}"),
            constant: "rows with another number of fields than the header".into(),
            column: Some(fields.min(header) + 1),
        }
    }

    /// A quote that is open at the end of the file.
    pub(super) fn unclosed(line: u64, column: usize) -> Self {
        Self {
            message: format!("line {line}: the quote that opens column {column} is never closed"),
            constant: "a quote that is never closed".into(),
            column: Some(column),
        }
    }

    /// Bytes in a line that no text has.
    pub(super) fn of_line(line: &Line<'_>, delimiter: u8, encoding: &'static Encoding) -> Option<Self> {
        let (at, what, constant) = if let Some(fault) = line.fault {
            let (byte, name) = (line.byte + fault.at as u64, encoding.name());
            let what = format!("byte 0x{:02x} at {byte} is not valid {name}", fault.byte);
            (line.text.find('\u{fffd}'), what, format!("bytes that are not valid {name}"))
        } else {
            let at = memchr::memchr(0, line.text.as_bytes())?;
            (Some(at), "NUL byte".into(), "NUL bytes".into())
        };
        // In front of any quote the delimiters alone say which column it is.
        let before = at.map_or("", |at| &line.text[..at]);
        let column =
            (at.is_some() && !before.contains('"')).then(|| memchr_iter(delimiter, before.as_bytes()).count() + 1);
        let place = column.map(|n| format!(", column {n}")).unwrap_or_default();
        Some(Self { message: format!("line {}{place}: {what}", line.number), constant, column })
    }
}

/// The bad rows of a file: all counted, the first [`Failure::CAUSES_MAX`] kept.
#[derive(Debug, Default)]
pub(super) struct BadRows {
    /// How many there are.
    pub(super) count: u64,
    first: Vec<Detail>,
    constant: String,
    /// Line and byte that the context of the first one starts with.
    context: (u64, u64),
}

impl BadRows {
    /// Adds a record with a problem.
    pub(super) fn add(
        &mut self,
        record: Record,
        header: Option<&[String]>,
        input: &Input,
        encoding: &'static Encoding,
    ) {
        let Some(problem) = record.problem else { return };
        self.count += 1;
        if self.count == 1 {
            self.constant = problem.constant;
            self.context = record.context;
        }
        if self.first.len() >= Failure::CAUSES_MAX {
            return;
        }
        let len = usize::try_from(record.len).unwrap_or(RAW_WINDOW).min(RAW_WINDOW);
        let raw = encoding::decode_lossy(encoding, &excerpt(input, record.byte, len));
        let column_name = problem.column.and_then(|n| header?.get(n - 1).cloned());
        self.first.push(Detail {
            message: problem.message,
            line: Some(record.line),
            byte: Some(record.byte),
            column: problem.column.map(|n| n as u64),
            column_name: column_name.map(|n| text::cut(&n, Failure::RAW_MAX).into_owned()),
            raw: Some(text::cut(without_end(&raw), Failure::RAW_MAX).into_owned()),
        });
    }

    /// The failure that they make, if there are any.
    pub(super) fn failure(&self, input: &Input, encoding: &'static Encoding) -> Option<Failure> {
        let first = self.first.first()?;
        let message = match self.count {
            1 => first.message.clone(),
            n => format!("{} bad rows, the first in {}", super::grouped(n), first.message),
        };
        let mut failure = Failure::permanent("csv_bad_row", message);
        failure.line = first.line;
        failure.column = first.column;
        failure.column_name = first.column_name.clone();
        failure.raw = first.raw.clone();
        failure.context = context(input, encoding, self.context, first.line.unwrap_or(1));
        failure.causes = self.first.clone();
        failure.constant = self.constant.clone();
        Some(failure)
    }
}

/// The lines around `line`, from the one that `from` names and places.
fn context(input: &Input, encoding: &'static Encoding, from: (u64, u64), line: u64) -> Vec<ContextLine> {
    let window = excerpt(input, from.1, CONTEXT_WINDOW);
    let (mut number, mut start) = (from.0, 0);
    let mut out = Vec::new();
    while number <= line + CONTEXT && start < window.len() {
        let cut_off = window.len() == CONTEXT_WINDOW;
        let end = match line_end(&window[start..], 0, encoding, true) {
            Some(len) => start + len,
            None if cut_off && window.len() - start < RAW_WINDOW => break,
            None => window.len(),
        };
        let raw = encoding::decode_lossy(encoding, &window[start..end.min(start + RAW_WINDOW)]);
        out.push(ContextLine { line: number, text: text::cut(without_end(&raw), Failure::RAW_MAX).into_owned() });
        number += 1;
        start = end;
    }
    out
}

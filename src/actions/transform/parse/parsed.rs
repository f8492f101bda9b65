//! What a chunk became: a batch of its good rows, and its bad rows, each with its place.

use super::Layout;
use super::cut::Marks;
use super::fault::{Bad, Malformed, Why, Words, Wrong};
use super::json::{self, Keys};
use super::record;
use super::span::{Kind, Span};
use crate::actions::encoding;
use crate::actions::transform::chunk::{BadRow, Chunk};
use crate::actions::transform::table::Format;
use arrow_array::RecordBatch;
use memchr::memchr2_iter;
use std::sync::{Arc, OnceLock};

/// The rows of a chunk. It borrows the chunk: bad rows are put into words when they are asked for.
#[derive(Debug)]
pub struct Parsed<'a> {
    pub(super) chunk: &'a Chunk,
    pub(super) layout: &'a Layout,
    pub(super) keys: Option<Arc<Keys>>,
    pub(super) batch: RecordBatch,
    /// Where the rows of the batch start.
    pub(super) starts: Vec<u32>,
    pub(super) bad: Vec<Bad>,
    pub(super) records: u64,
    pub(super) rest: Option<usize>,
    /// The lines of the rows of the batch, once somebody asked.
    pub(super) lines: OnceLock<Vec<u64>>,
}

impl Parsed<'_> {
    /// Records that were read, good and bad.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.records
    }

    /// The good rows, with the columns of [`Layout::wanted`].
    #[must_use]
    pub fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    /// Where the chunk goes on, if it has more rows than one batch may have.
    #[must_use]
    pub fn rest(&self) -> Option<usize> {
        self.rest
    }

    /// How many rows are bad.
    #[must_use]
    pub fn bad_count(&self) -> usize {
        self.bad.len()
    }

    /// The bad rows in the order of the file, each made when it is asked for: all of them may be much larger than the chunk.
    pub fn bad_rows(&self) -> impl Iterator<Item = BadRow> + '_ {
        let starts: Vec<_> = self.bad.iter().map(|bad| bad.start).collect();
        let lines = line_numbers(self.chunk, &starts);
        self.bad.iter().zip(lines).map(|(bad, line)| self.describe(bad, line))
    }

    /// A row of the batch as a bad row, for checks that come later. `column` counts the columns of the table from 0.
    #[must_use]
    pub fn bad_row(&self, row: usize, column: Option<usize>, reason: String, constant: String) -> BadRow {
        let (line, byte) = self.place(row);
        let start = self.starts.get(row).copied().unwrap_or(0);
        let (raw, fields) = self.record(start as usize);
        BadRow { line, byte, column: column.map(|n| n + 1), reason, constant, raw, fields }
    }

    /// The line and the byte that a row of the batch starts with.
    #[must_use]
    pub fn place(&self, row: usize) -> (u64, u64) {
        let lines = self.lines.get_or_init(|| line_numbers(self.chunk, &self.starts));
        let line = lines.get(row).copied().unwrap_or(self.chunk.line);
        (line, self.byte(row))
    }

    /// The byte that a row of the batch starts with.
    #[must_use]
    pub fn byte(&self, row: usize) -> u64 {
        self.chunk.byte + self.starts.get(row).map_or(0, |start| u64::from(*start))
    }

    fn describe(&self, bad: &Bad, line: u64) -> BadRow {
        let (raw, fields) = self.record(bad.start as usize);
        let (words, fields) = match bad.wrong {
            Wrong::Odd(oddity) => (Words::of_odd(oddity, self.layout.fields), Vec::new()),
            Wrong::Field(column, why) => (self.words(column, why, &fields), fields),
        };
        let Words { column, reason, constant } = words;
        BadRow { line, byte: self.chunk.byte + u64::from(bad.start), column, reason, constant, raw, fields }
    }

    fn words(&self, column: u32, why: Why, fields: &[String]) -> Words {
        let index = column as usize;
        let text = fields.get(index).map_or("", String::as_str);
        let at = match why {
            Why::Malformed(at) | Why::Nul(at) => at,
            Why::Unreadable | Why::Missing => 0,
        };
        let malformed = Malformed {
            byte: self.chunk.bytes.get(at as usize).copied().unwrap_or(0),
            at: self.chunk.byte + u64::from(at),
            encoding: self.layout.dialect.encoding,
        };
        let kind = self.layout.table.columns[index].kind;
        Words::of_field(column, why, kind, text, malformed, self.layout.spelling.decimal_point)
    }

    /// The record that starts at a byte of the chunk, as text, and its fields that belong to the table.
    fn record(&self, start: usize) -> (String, Vec<String>) {
        let bytes = &self.chunk.bytes[..];
        let columns = self.layout.table.columns.len();
        let dialect = self.layout.dialect;
        let decode = |raw: &[u8]| encoding::decode_lossy(dialect.encoding, raw);
        let mut fields = Vec::new();
        let end = if dialect.format == Format::Csv {
            let marks = Marks { delimiter: dialect.delimiter, quote: dialect.quote };
            let mut text = Vec::new();
            let ends = record::read(bytes, start, marks, |field| {
                if fields.len() == columns {
                } else if let Some(quote) = marks.quote.filter(|q| field.first() == Some(q)) {
                    record::unquote(field, quote, &mut text);
                    fields.push(decode(&text));
                } else {
                    fields.push(decode(field));
                }
            });
            ends.text
        } else {
            let end = json::line_end(bytes, start);
            let mut spans = vec![Span::ABSENT; columns];
            let mut buffer = Vec::new();
            // What is no object has no fields; the reason says why.
            let _ = json::members(bytes, start, end, &mut buffer, |key, span| {
                if let Some(column) = self.keys.as_ref().and_then(|keys| keys.find(key, 0)) {
                    spans[column] = span;
                }
                Ok(())
            });
            fields.extend(spans.into_iter().map(|span| match span.kind() {
                Kind::Escaped => {
                    json::unescape(span.of(bytes), &mut buffer);
                    decode(&buffer)
                }
                _ => decode(span.of(bytes)),
            }));
            end
        };
        fields.resize(columns, String::new());
        (self.raw(&bytes[start..end]), fields)
    }

    /// A record as text, cut at what the rejects show.
    fn raw(&self, record: &[u8]) -> String {
        let head = &record[..record.len().min(BadRow::RAW_MAX)];
        let mut text = encoding::decode_lossy(self.layout.dialect.encoding, head);
        if head.len() < record.len() {
            // The last character may be cut.
            text.truncate(text.trim_end_matches('\u{fffd}').len());
        }
        let mut end = text.len().min(BadRow::RAW_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text
    }
}

/// The lines that records of a chunk start with; `starts` ascend.
pub(super) fn line_numbers(chunk: &Chunk, starts: &[u32]) -> Vec<u64> {
    let bytes = &chunk.bytes[..];
    let mut ends = memchr2_iter(b'\n', b'\r', bytes).filter(|p| {
        let is_half = bytes[*p] == b'\n' && *p > 0 && bytes[*p - 1] == b'\r';
        !is_half
    });
    let (mut line, mut end) = (chunk.line, ends.next());
    let mut lines = Vec::with_capacity(starts.len());
    for start in starts {
        while end.is_some_and(|p| p < *start as usize) {
            line += 1;
            end = ends.next();
        }
        lines.push(line);
    }
    lines
}

//! Reads chunk after chunk, each into a batch and bad rows.

use super::cell::{Cells, Decoding, Escapes, Nulls, Tools};
use super::column::{Column, Duty, Size};
use super::cut::{self, Marks, Oddity, Rows, Shape};
use super::fault::{Bad, Fault, Why, Wrong};
use super::json::{self, Keys};
use super::parsed::{Parsed, line_numbers};
use super::span::{OFFSET_MAX, Span};
use super::time::Formats;
use super::{CELLS_MAX, Layout};
use crate::actions::transform::chunk::Chunk;
use crate::actions::transform::table::{ColumnType, Format, OnBadRow};
use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::{Schema, SchemaRef};
use arrow_select::filter::FilterBuilder;
use encoding_rs::UTF_8;
use memchr::{memchr, memchr2, memchr3};
use std::sync::{Arc, OnceLock};

/// Fields that are cut before they are read: their places stay in the fastest cache.
const PIECE: usize = 4 * 1024;

/// Reads chunks by a layout. It keeps its buffers from one to the next: every worker has its own.
#[derive(Debug)]
pub struct Parser<'l> {
    layout: &'l Layout,
    schema: SchemaRef,
    formats: Formats<'l>,
    nulls: Nulls,
    /// The columns by name; `None` for delimited text.
    keys: Option<Arc<Keys>>,
    shape: Shape,
    duties: Vec<Duty>,
    /// How large the columns of the chunk before became.
    sizes: Vec<Size>,
    /// Rows of the chunk before.
    expected: usize,
    rows: Rows,
    faults: Vec<Fault>,
    tools: Tools,
}

/// What a look at all bytes of a chunk tells.
#[derive(Clone, Copy, Debug)]
struct Look {
    /// There is neither a quote nor a CR.
    is_plain: bool,
    /// Its fields are UTF-8 as they stand, but for those that are malformed.
    is_utf8: bool,
    /// Fields may be malformed, or hold a NUL byte.
    is_doubtful: bool,
}

impl<'l> Parser<'l> {
    /// A reader of chunks of this layout.
    #[must_use]
    pub fn new(layout: &'l Layout) -> Self {
        let Layout { table, dialect, spelling, .. } = layout;
        let columns = table.columns.len();
        let whole = table.schema();
        let schema = layout.wanted.iter().filter_map(|i| whole.fields().get(*i).cloned()).collect::<Vec<_>>();
        let is_json = dialect.format != Format::Csv;
        let in_encoding = |name: &str| dialect.encoding.encode(name).0.into_owned();
        let keys = is_json.then(|| Keys::new(table.columns.iter().map(|c| in_encoding(&c.name)).collect()));
        let words: &[String] = if is_json { &[] } else { &spelling.nulls };
        let duties: Vec<_> = (0..columns).filter_map(|column| duty(layout, column)).collect();
        Self {
            layout,
            schema: Arc::new(Schema::new(schema)),
            formats: Formats::of(spelling),
            nulls: Nulls::new(words, dialect.encoding),
            shape: Shape {
                marks: Marks { delimiter: dialect.delimiter, quote: dialect.quote },
                fields: if is_json { columns } else { layout.fields.max(columns).max(1) },
                ragged: layout.ragged,
            },
            keys: keys.map(Arc::new),
            sizes: vec![Size::default(); duties.len()],
            duties,
            expected: 0,
            rows: Rows::default(),
            faults: Vec::new(),
            tools: Tools { decoding: Decoding::new(dialect.encoding), buffer: Vec::new() },
        }
    }

    /// Reads a chunk from the byte `from` on, where a record starts: 0, or where [`Parsed::rest`] says that it goes on.
    pub fn parse<'a>(&mut self, chunk: &'a Chunk, from: usize) -> Parsed<'a>
    where
        'l: 'a,
    {
        let bytes = &chunk.bytes[..];
        self.rows.odd.clear();
        self.rows.starts = Vec::with_capacity(self.expected + self.expected / 16);
        self.rows.has_gaps = false;
        self.faults.clear();
        let look = self.look(bytes);
        let mut columns: Vec<_> = self.duties.iter().zip(&self.sizes).map(|(d, s)| Column::new(*d, *s)).collect();
        let mut next = from;
        if bytes.len() > OFFSET_MAX {
            self.rows.set_apart(0, 0, Oddity::TooLong);
            next = bytes.len();
        }
        while next < bytes.len() && self.rows.starts.len() * self.shape.fields.max(1) < CELLS_MAX {
            next = match &self.keys {
                Some(keys) => json::cut(bytes, next, keys, PIECE, &mut self.rows),
                None if look.is_plain => cut::cut::<true>(bytes, next, self.shape, PIECE, &mut self.rows),
                None => cut::cut::<false>(bytes, next, self.shape, PIECE, &mut self.rows),
            };
            if look.is_doubtful {
                self.doubt(bytes, look);
            }
            let cells = Cells {
                bytes,
                nulls: &self.nulls,
                escapes: self.escapes(),
                formats: &self.formats,
                point: self.layout.spelling.decimal_point,
                is_utf8: look.is_utf8,
            };
            for column in &mut columns {
                column.extend(&self.rows.spans, self.shape.fields, &cells, &mut self.tools, &mut self.faults);
            }
        }
        for (size, column) in self.sizes.iter_mut().zip(&columns) {
            *size = column.size();
        }
        self.expected = self.rows.starts.len();
        let rest = (next < bytes.len()).then_some(next);
        let is_line_each = look.is_plain && from == 0 && !self.rows.has_gaps && self.rows.odd.is_empty();
        let arrays = self.arrays(chunk, columns, is_line_each && self.keys.is_none());
        self.parsed(chunk, arrays, rest)
    }

    fn escapes(&self) -> Escapes {
        match (&self.keys, self.shape.marks.quote) {
            (None, Some(quote)) => Escapes::Quotes(quote),
            _ => Escapes::Json,
        }
    }

    fn look(&self, bytes: &[u8]) -> Look {
        let Marks { delimiter, quote } = self.shape.marks;
        let quote = quote.unwrap_or(b'\r');
        let is_special = memchr3(quote, b'\r', 0, bytes).is_some();
        let has_nul = is_special && memchr(0, bytes).is_some();
        let is_plain = !is_special || memchr2(quote, b'\r', bytes).is_none();
        if self.layout.dialect.encoding != UTF_8 {
            let is_ascii = bytes.is_ascii();
            return Look { is_plain, is_utf8: is_ascii, is_doubtful: !is_ascii || has_nul };
        }
        // A mark beyond ASCII would cut characters.
        let is_valid = delimiter.is_ascii() && quote.is_ascii() && std::str::from_utf8(bytes).is_ok();
        Look { is_plain, is_utf8: true, is_doubtful: !is_valid || has_nul }
    }

    /// Looks for fields of the table that are no text. Those that are decoded later are looked at then.
    fn doubt(&mut self, bytes: &[u8], look: Look) {
        let (fields, columns) = (self.shape.fields, self.layout.table.columns.len());
        if columns == 0 {
            return;
        }
        let mut duties = vec![None; columns];
        for duty in &self.duties {
            duties[duty.column] = Some(*duty);
        }
        let first = self.rows.starts.len() - self.rows.spans.len() / fields;
        for (i, row) in self.rows.spans.chunks_exact_mut(fields).enumerate() {
            for (column, span) in row[..columns].iter_mut().enumerate() {
                let text = span.of(bytes);
                let duty = duties[column];
                let is_decoded = !look.is_utf8 && duty.is_some_and(|d| d.kind == ColumnType::Text);
                let why = if let Some(at) = memchr(0, text) {
                    Why::nul(span.start() + at)
                } else if is_decoded {
                    continue;
                } else if let Some(at) = self.tools.decoding.fault(text) {
                    Why::malformed(span.start() + at)
                } else {
                    continue;
                };
                let is_required = duty.is_some_and(|d| d.required);
                if self.layout.on_bad_row == OnBadRow::Null && !is_required {
                    *span = Span::ABSENT;
                } else {
                    *span = Span::DEAD;
                    self.faults.push(fault(first + i, column, why));
                }
            }
        }
    }

    /// The columns of the batch, with all rows that were found.
    fn arrays(&self, chunk: &Chunk, columns: Vec<Column>, is_line_each: bool) -> Vec<ArrayRef> {
        let mut built: Vec<Option<ArrayRef>> = vec![None; self.layout.table.columns.len()];
        for column in columns {
            let Duty { column: i, wanted, .. } = column.duty();
            if wanted {
                built[i] = Some(column.finish());
            }
        }
        let (rows, file) = (self.rows.starts.len(), built.len());
        let array = |i: &usize| -> Option<ArrayRef> {
            if let Some(array) = built.get(*i) {
                return array.clone();
            }
            if *i == file {
                let name = self.layout.file_names.get(chunk.file).map_or("", String::as_str);
                return Some(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(name, rows))));
            }
            let first = chunk.line.cast_signed();
            let lines: Int64Array = if is_line_each {
                (first..).take(rows).collect()
            } else {
                line_numbers(chunk, &self.rows.starts).into_iter().map(u64::cast_signed).collect()
            };
            (*i == file + 1).then(|| Arc::new(lines) as ArrayRef)
        };
        self.layout.wanted.iter().filter_map(array).collect()
    }

    /// Takes the rows at fault out.
    fn parsed<'a>(&mut self, chunk: &'a Chunk, mut arrays: Vec<ArrayRef>, rest: Option<usize>) -> Parsed<'a>
    where
        'l: 'a,
    {
        let mut starts = std::mem::take(&mut self.rows.starts);
        let records = starts.len() + self.rows.odd.len();
        let mut bad = Vec::with_capacity(self.rows.odd.len() + self.faults.len());
        bad.extend(self.rows.odd.iter().map(|odd| Bad { start: odd.start, wrong: Wrong::Odd(odd.why) }));
        if !self.faults.is_empty() {
            self.faults.sort_unstable_by_key(|f| (f.row, f.column));
            self.faults.dedup_by_key(|f| f.row);
            let mut keep = vec![true; starts.len()];
            for Fault { row, column, why } in &self.faults {
                keep[*row as usize] = false;
                bad.push(Bad { start: starts[*row as usize], wrong: Wrong::Field(*column, *why) });
            }
            bad.sort_unstable_by_key(|b| b.start);
            let mut flags = keep.iter();
            starts.retain(|_| flags.next() == Some(&true));
            let filter = FilterBuilder::new(&BooleanArray::from(keep)).optimize().build();
            for array in &mut arrays {
                if let Ok(kept) = filter.filter(array) {
                    *array = kept;
                }
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(starts.len()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options);
        #[expect(clippy::expect_used, reason = "columns are made by the schema, all of them with these rows")]
        let batch = batch.expect("the columns are those of the schema");
        Parsed {
            chunk,
            layout: self.layout,
            keys: self.keys.clone(),
            batch,
            starts,
            bad,
            records: records as u64,
            rest,
            lines: OnceLock::new(),
        }
    }
}

/// What has to be done with a column of the table, if anything.
fn duty(layout: &Layout, column: usize) -> Option<Duty> {
    let kind = layout.table.columns.get(column)?.kind;
    let (wanted, required) = (layout.wanted.contains(&column), layout.required.contains(&column));
    let is_checked = required || layout.validate_all && kind != ColumnType::Text;
    let lenient = layout.on_bad_row == OnBadRow::Null;
    (wanted || is_checked).then_some(Duty { column, kind, required, lenient, wanted })
}

#[expect(clippy::cast_possible_truncation, reason = "rows and columns are fewer than bytes, which 32 bits count")]
fn fault(row: usize, column: usize, why: Why) -> Fault {
    Fault { row: row as u32, column: column as u32, why }
}

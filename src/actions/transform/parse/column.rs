//! One column of a chunk, from fields to an array.
//!
//! The usual field, bare and well formed, is read where it stands. Every other one takes the slow way, on which it
//! turns out to be no value, a text in quotes, or a fault.

use super::cell::{Cell, Cells, Tools};
use super::fault::{Fault, Why};
use super::number;
use super::span::Span;
use crate::actions::transform::table::ColumnType;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{ArrayRef, ArrowPrimitiveType, BooleanArray, PrimitiveArray, StringArray};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use std::sync::Arc;

/// Bytes of a short text, copied at once whatever its length: a copy of a fixed length needs no call.
const SHORT: usize = 16;

/// What has to be done with a column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Duty {
    /// Which one, from 0.
    pub(super) column: usize,
    /// Its type.
    pub(super) kind: ColumnType,
    /// Whether every row must have a value.
    pub(super) required: bool,
    /// Whether a field that cannot be read is no value, rather than a fault.
    pub(super) lenient: bool,
    /// Whether it becomes a column of the batch; otherwise it is only checked.
    pub(super) wanted: bool,
}

/// A column that grows row by row.
#[derive(Debug)]
pub(super) struct Column {
    duty: Duty,
    values: Values,
    /// Rows without a value.
    nulls: Vec<u32>,
}

#[derive(Debug)]
enum Values {
    Bool(Vec<bool>),
    Int(Vec<i64>),
    Float(Vec<f64>),
    Decimal(Vec<i128>, u8, i8),
    Text(Vec<u8>, Vec<i32>),
    Date(Vec<i32>),
    Timestamp(Vec<i64>),
}

/// How large a column has become: room for the next one like it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Size {
    rows: usize,
    bytes: usize,
}

impl Column {
    /// An empty column; `like`: how large it will probably become.
    pub(super) fn new(duty: Duty, like: Size) -> Self {
        let rows = like.rows + like.rows / 16;
        let values = match duty.kind {
            ColumnType::Bool => Values::Bool(Vec::with_capacity(rows)),
            ColumnType::Int => Values::Int(Vec::with_capacity(rows)),
            ColumnType::Float => Values::Float(Vec::with_capacity(rows)),
            ColumnType::Decimal { precision, scale } => Values::Decimal(Vec::with_capacity(rows), precision, scale),
            ColumnType::Text => {
                let mut offsets = Vec::with_capacity(rows + 1);
                offsets.push(0);
                Values::Text(Vec::with_capacity(like.bytes + like.bytes / 16 + SHORT), offsets)
            }
            ColumnType::Date => Values::Date(Vec::with_capacity(rows)),
            ColumnType::Timestamp => Values::Timestamp(Vec::with_capacity(rows)),
        };
        Self { duty, values, nulls: Vec::new() }
    }

    /// What has to be done with it.
    pub(super) fn duty(&self) -> Duty {
        self.duty
    }

    /// How large it is.
    pub(super) fn size(&self) -> Size {
        let rows = match &self.values {
            Values::Bool(values) => values.len(),
            Values::Int(values) | Values::Timestamp(values) => values.len(),
            Values::Float(values) => values.len(),
            Values::Decimal(values, ..) => values.len(),
            Values::Text(bytes, offsets) => return Size { rows: offsets.len() - 1, bytes: bytes.len() },
            Values::Date(values) => values.len(),
        };
        Size { rows, bytes: 0 }
    }

    /// Adds the column of some rows, of which `fields` spans each are given.
    pub(super) fn extend(
        &mut self,
        spans: &[Span],
        fields: usize,
        cells: &Cells<'_>,
        tools: &mut Tools,
        faults: &mut Vec<Fault>,
    ) {
        let mut slow = Slow { duty: self.duty, nulls: &mut self.nulls, faults, first: 0 };
        let (point, formats) = (cells.point, cells.formats);
        let rows = Picked { spans, fields, column: self.duty.column };
        match &mut self.values {
            Values::Int(values) => {
                fill(values, rows, cells, &mut tools.buffer, &mut slow, number::int_at);
            }
            Values::Float(values) => {
                fill(values, rows, cells, &mut tools.buffer, &mut slow, |b, s, e| number::float_at(b, s, e, point));
            }
            Values::Bool(values) => {
                fill(values, rows, cells, &mut tools.buffer, &mut slow, |b, s, e| number::bool(b.get(s..e)?));
            }
            Values::Decimal(values, precision, scale) => {
                let (precision, scale) = (*precision, *scale);
                fill(values, rows, cells, &mut tools.buffer, &mut slow, |b, s, e| {
                    number::decimal(b.get(s..e)?, precision, scale, point).ok()
                });
            }
            Values::Date(values) => {
                fill(values, rows, cells, &mut tools.buffer, &mut slow, |b, s, e| formats.date(b.get(s..e)?));
            }
            Values::Timestamp(values) => {
                fill(values, rows, cells, &mut tools.buffer, &mut slow, |b, s, e| formats.timestamp(b.get(s..e)?));
            }
            Values::Text(bytes, offsets) => texts(bytes, offsets, rows, cells, tools, &mut slow),
        }
    }

    /// The array.
    pub(super) fn finish(self) -> ArrayRef {
        let Size { rows, .. } = self.size();
        let nulls = null_buffer(rows, &self.nulls);
        match self.values {
            Values::Bool(values) => Arc::new(BooleanArray::new(BooleanBuffer::from(values), nulls)),
            Values::Int(values) => primitive::<Int64Type>(values, nulls),
            Values::Float(values) => primitive::<Float64Type>(values, nulls),
            Values::Decimal(values, precision, scale) => {
                let kind = ColumnType::Decimal { precision, scale }.arrow();
                let array = PrimitiveArray::<Decimal128Type>::new(ScalarBuffer::from(values), nulls);
                Arc::new(array.with_data_type(kind))
            }
            Values::Date(values) => primitive::<Date32Type>(values, nulls),
            Values::Timestamp(values) => primitive::<TimestampMicrosecondType>(values, nulls),
            Values::Text(bytes, offsets) => {
                let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
                Arc::new(StringArray::new(offsets, Buffer::from_vec(bytes), nulls))
            }
        }
    }
}

fn primitive<T: ArrowPrimitiveType>(values: Vec<T::Native>, nulls: Option<NullBuffer>) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls))
}

/// Marks rows as having no value.
fn null_buffer(rows: usize, nulls: &[u32]) -> Option<NullBuffer> {
    if nulls.is_empty() {
        return None;
    }
    let mut valid = BooleanBufferBuilder::new(rows);
    valid.append_n(rows, true);
    for row in nulls {
        valid.set_bit(*row as usize, false);
    }
    Some(NullBuffer::new(valid.finish()))
}

/// One column out of rows of fields.
#[derive(Clone, Copy)]
struct Picked<'a> {
    spans: &'a [Span],
    fields: usize,
    column: usize,
}

impl<'a> Picked<'a> {
    #[inline]
    fn iter(self) -> impl ExactSizeIterator<Item = Span> + use<'a> {
        let column = self.column;
        self.spans.chunks_exact(self.fields).map(move |row| row[column])
    }
}

/// What becomes of fields that are not as usual.
struct Slow<'a> {
    duty: Duty,
    nulls: &'a mut Vec<u32>,
    faults: &'a mut Vec<Fault>,
    /// Rows before the piece.
    first: usize,
}

impl Slow<'_> {
    /// Takes a row without a value.
    fn null(&mut self, row: usize) {
        if self.duty.required {
            self.fault(row, Why::Missing);
        }
        self.nothing(row);
    }

    /// Takes a row with a field that cannot be read.
    fn unreadable(&mut self, row: usize, why: Why) {
        if !self.duty.lenient || self.duty.required {
            self.fault(row, why);
        }
        self.nothing(row);
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "a row has at least one byte, and bytes are counted in 32 bits"
    )]
    fn nothing(&mut self, row: usize) {
        self.nulls.push((self.first + row) as u32);
    }

    #[cold]
    #[expect(clippy::cast_possible_truncation, reason = "as above; columns are at most 16,384")]
    fn fault(&mut self, row: usize, why: Why) {
        self.faults.push(Fault { row: (self.first + row) as u32, column: self.duty.column as u32, why });
    }
}

/// Adds values that `read` finds at a place in bytes.
#[inline]
fn fill<T: Copy + Default>(
    values: &mut Vec<T>,
    rows: Picked<'_>,
    cells: &Cells<'_>,
    buffer: &mut Vec<u8>,
    slow: &mut Slow<'_>,
    read: impl Fn(&[u8], usize, usize) -> Option<T>,
) {
    slow.first = values.len();
    let (bytes, lens) = (cells.bytes, cells.nulls.lens());
    values.extend(rows.iter().enumerate().map(|(row, span)| {
        if lens.is_plain(span)
            && let Some(value) = read(bytes, span.start(), span.end())
        {
            return value;
        }
        slowly(row, span, cells, buffer, slow, &read)
    }));
}

/// A value that is not as usual. Apart from the usual ones, so that those are read in few registers.
#[cold]
#[inline(never)]
fn slowly<T: Default>(
    row: usize,
    span: Span,
    cells: &Cells<'_>,
    buffer: &mut Vec<u8>,
    slow: &mut Slow<'_>,
    read: impl Fn(&[u8], usize, usize) -> Option<T>,
) -> T {
    match cells.cell(span, buffer) {
        Cell::Text(text) => match read(text, 0, text.len()) {
            Some(value) => return value,
            // Some writers put quotes around everything; what is no value for a person is none in quotes either.
            None if cells.nulls.contains(text) => slow.null(row),
            None => slow.unreadable(row, Why::Unreadable),
        },
        Cell::Null => slow.null(row),
        Cell::Dead => slow.nothing(row),
    }
    T::default()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "three bytes for each of OFFSET_MAX fit"
)]
fn texts(
    bytes: &mut Vec<u8>,
    offsets: &mut Vec<i32>,
    rows: Picked<'_>,
    cells: &Cells<'_>,
    tools: &mut Tools,
    slow: &mut Slow<'_>,
) {
    slow.first = offsets.len() - 1;
    let (chunk, lens, as_is) = (cells.bytes, cells.nulls.lens(), cells.is_utf8);
    offsets.extend(rows.iter().enumerate().map(|(row, span)| {
        if as_is && lens.is_plain(span) {
            push(bytes, chunk, span.start(), span.end());
        } else {
            slow_text(row, span, cells, tools, slow, bytes);
        }
        bytes.len() as i32
    }));
}

/// A text that is not as usual.
#[inline(never)]
fn slow_text(row: usize, span: Span, cells: &Cells<'_>, tools: &mut Tools, slow: &mut Slow<'_>, bytes: &mut Vec<u8>) {
    match cells.cell(span, &mut tools.buffer) {
        Cell::Text(text) if cells.is_utf8 => bytes.extend_from_slice(text),
        Cell::Text(text) => {
            if tools.decoding.append(text, bytes).is_err() {
                slow.unreadable(row, malformed(span, cells.bytes, tools));
            }
        }
        Cell::Null => slow.null(row),
        Cell::Dead => slow.nothing(row),
    }
}

/// Where a field is malformed, looked at as it stands.
#[cold]
fn malformed(span: Span, chunk: &[u8], tools: &mut Tools) -> Why {
    Why::malformed(span.start() + tools.decoding.fault(span.of(chunk)).unwrap_or(0))
}

/// Adds a piece of a chunk.
#[inline]
fn push(out: &mut Vec<u8>, chunk: &[u8], start: usize, end: usize) {
    let len = end - start;
    match chunk.get(start..).and_then(<[u8]>::first_chunk::<SHORT>) {
        Some(window) if len <= SHORT => {
            let before = out.len();
            out.extend_from_slice(window);
            out.truncate(before + len);
        }
        _ => out.extend_from_slice(chunk.get(start..end).unwrap_or_default()),
    }
}

//! The columns of a batch, each ready to write its cells.

use super::escape::Escape;
use super::number::{self, NUMBER, Scale};
use super::pen::{Fixed, PIECE, Pen};
use super::time::{Day, TIME};
use super::{OutFormat, Style};
use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, DataType, TimeUnit};
use std::fmt::Write;

/// Room that the cells of a column need beside long text: the largest of all kinds, and quotes.
pub(super) const CELL: usize = if NUMBER > TIME { NUMBER } else { TIME } + 2;

/// The cells of a column.
enum Cells<'a> {
    /// Whole numbers.
    Int(&'a [i64]),
    /// Numbers.
    Float(&'a [f64]),
    /// Numbers with fixed places.
    Decimal(&'a [i128], Scale),
    /// `true` and `false`.
    Bool(&'a BooleanBuffer),
    /// Days.
    Date(&'a [i32], Day),
    /// Points in time, and whether they are marked as UTC.
    Time(&'a [i64], TimeUnit, Day, bool),
    /// Text.
    Text(Text<'a>),
    /// Anything else, as arrow shows it.
    Other(ArrayFormatter<'a>, String),
}

/// A column of text.
struct Text<'a> {
    offsets: &'a [i32],
    data: &'a [u8],
    /// Whether some row of the block at hand holds a byte that cannot stand as it is.
    special: bool,
}

/// How cells of a column are written.
#[derive(Clone, Copy)]
struct Manner {
    escape: Escape,
    /// Whether cells that are no text may have to be quoted: because of the delimiter, or because they look like a
    /// NULL.
    careful: bool,
    /// Whether the cells stand in the quotes of JSON.
    quoted: bool,
}

/// A column of a batch.
pub(super) struct Column<'a> {
    cells: Cells<'a>,
    nulls: Option<NullBuffer>,
    manner: Manner,
    /// The first row whose value has no text, and was left out.
    failed: Option<usize>,
}

impl<'a> Column<'a> {
    /// Prepares the array of a column; [`plain`] made it one of the types that are known here, where that was possible.
    pub(super) fn new(array: &'a ArrayRef, style: &Style) -> Result<Self, ArrowError> {
        let other = || -> Result<Cells<'a>, ArrowError> {
            Ok(Cells::Other(ArrayFormatter::try_new(array, &FORMAT)?, String::new()))
        };
        let cells = match array.data_type() {
            DataType::Int64 => Cells::Int(array.as_primitive::<Int64Type>().values()),
            DataType::Float64 => Cells::Float(array.as_primitive::<Float64Type>().values()),
            DataType::Boolean => Cells::Bool(array.as_boolean().values()),
            DataType::Date32 => Cells::Date(array.as_primitive::<Date32Type>().values(), Day::default()),
            DataType::Utf8 => {
                let text: &StringArray = array.as_string();
                Cells::Text(Text { offsets: text.value_offsets(), data: text.value_data(), special: true })
            }
            DataType::Decimal128(_, places) => match Scale::new(*places) {
                Some(scale) => Cells::Decimal(array.as_primitive::<Decimal128Type>().values(), scale),
                None => other()?,
            },
            DataType::Timestamp(unit, zone) if zone.as_deref().is_none_or(is_utc) => {
                let values = match unit {
                    TimeUnit::Second => array.as_primitive::<TimestampSecondType>().values(),
                    TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().values(),
                    TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().values(),
                    TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().values(),
                };
                Cells::Time(values, *unit, Day::default(), zone.is_some())
            }
            _ => other()?,
        };
        let manner = match style.format {
            OutFormat::Csv { delimiter, .. } => {
                Manner { escape: Escape::Csv { delimiter }, careful: style.is_careful(delimiter), quoted: false }
            }
            OutFormat::Ndjson => Manner { escape: Escape::Json, careful: false, quoted: !is_bare(array.data_type()) },
        };
        Ok(Self { cells, nulls: array.logical_nulls().filter(|nulls| nulls.null_count() > 0), manner, failed: None })
    }

    /// Whether every row holds the same, so that it needs to be written once only.
    pub(super) fn is_constant(&self, rows: usize) -> bool {
        if let Some(nulls) = &self.nulls {
            return nulls.null_count() == rows;
        }
        match &self.cells {
            Cells::Int(values) | Cells::Time(values, ..) => repeats(values),
            Cells::Decimal(values, _) => repeats(values),
            Cells::Date(values, _) => repeats(values),
            Cells::Float(values) => values.windows(2).all(|w| w[0].to_bits() == w[1].to_bits()),
            Cells::Bool(values) => matches!(values.count_set_bits(), n if n == 0 || n == rows),
            Cells::Text(text) => text.repeats(),
            Cells::Other(..) => false,
        }
    }

    /// Looks at the rows from `from` to `to`, which are written next.
    pub(super) fn enter(&mut self, from: usize, to: usize) {
        if let Cells::Text(text) = &mut self.cells {
            text.special = self.manner.escape.is_needed(text.data.get(text.span(from, to)).unwrap_or_default());
        }
    }

    /// Writes the cell of a row. Needs room for [`CELL`].
    #[inline]
    pub(super) fn write(&mut self, row: usize, null: &Null, at: usize, pen: &mut Pen<'_>) -> usize {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return null.fixed.write(at, pen);
        }
        let Manner { escape, careful, quoted } = self.manner;
        let quote = usize::from(quoted);
        let end = match &mut self.cells {
            Cells::Int(values) => number::signed(values[row], at, pen),
            Cells::Float(values) => match values[row] {
                x if escape == Escape::Json && !x.is_finite() => pen.put(at, b"null", 4),
                x => number::float(x, at, pen),
            },
            Cells::Bool(values) => {
                let (piece, len) = if values.value(row) { (b"true\0", 4) } else { (b"false", 5) };
                pen.put(at, piece, len)
            }
            Cells::Decimal(values, scale) => scale.write(values[row], at, pen),
            Cells::Date(values, day) => {
                let at = pen.put(at, b"\"", quote);
                let at = day.write(values[row].into(), at, pen);
                pen.put(at, b"\"", quote)
            }
            Cells::Time(values, unit, day, utc) => {
                let at = pen.put(at, b"\"", quote);
                let at = day.write_time(values[row], *unit, at, pen);
                let at = pen.put(at, b"Z", usize::from(*utc));
                pen.put(at, b"\"", quote)
            }
            Cells::Text(text) => return text.write(row, escape, null, at, pen),
            Cells::Other(formatter, shown) => {
                shown.clear();
                if write!(shown, "{}", formatter.value(row)).is_err() {
                    self.failed.get_or_insert(row);
                }
                return other(shown, self.manner, null, at, pen);
            }
        };
        if careful { requote(at, end, escape, null, pen) } else { end }
    }

    /// An error, if a value that was written had no text.
    pub(super) fn finish(&self) -> Result<(), ArrowError> {
        match self.failed {
            None => Ok(()),
            Some(row) => Err(ArrowError::CastError(format!("the value in row {row} has no text"))),
        }
    }
}

/// How arrow shows what we do not write ourselves.
const FORMAT: FormatOptions<'static> = FormatOptions::new().with_display_error(false);

/// What stands for a missing value.
pub(super) struct Null {
    /// As it is written.
    fixed: Fixed,
    /// Its spelling: what a text must not be without quotes.
    spelling: Vec<u8>,
}

impl Null {
    /// The missing value of a style. `alone`: the rows have one column.
    pub(super) fn new(style: &Style, alone: bool) -> Self {
        let spelling = style.null.as_bytes().to_vec();
        let text = match style.format {
            OutFormat::Ndjson => b"null".to_vec(),
            // An empty line is no record: the row would be lost.
            OutFormat::Csv { .. } if alone && spelling.is_empty() => b"\"\"".to_vec(),
            OutFormat::Csv { delimiter, .. } => {
                let escape = Escape::Csv { delimiter };
                let mut text = Vec::new();
                match escape.is_needed(&spelling) {
                    // Read back it will be a text; but the file stays whole.
                    true => escape.push(&spelling, &mut text),
                    false => text.clone_from(&spelling),
                }
                text
            }
        };
        Self { fixed: Fixed::new(text), spelling }
    }

    /// The room it needs.
    pub(super) fn room(&self) -> usize {
        self.fixed.room()
    }

    /// Whether a text would be taken for it, or for nothing.
    #[inline]
    fn is(&self, text: &[u8]) -> bool {
        text.is_empty() || (text.len() == self.spelling.len() && text == self.spelling)
    }
}

impl Text<'_> {
    /// The bytes of the rows from `from` to `to`.
    #[inline]
    fn span(&self, from: usize, to: usize) -> std::ops::Range<usize> {
        // The offsets of a string array are never negative.
        self.offsets[from].unsigned_abs() as usize..self.offsets[to].unsigned_abs() as usize
    }

    /// Whether all rows are the same text.
    fn repeats(&self) -> bool {
        let rows = self.offsets.len() - 1;
        let all = self.span(0, rows);
        let len = self.span(0, rows.min(1)).len();
        (1..rows).all(|row| self.span(row, row + 1).len() == len)
            && self.data[all.start + len.min(all.len())..all.end] == self.data[all.start..all.end - len.min(all.len())]
    }

    #[inline]
    fn write(&self, row: usize, escape: Escape, null: &Null, at: usize, pen: &mut Pen<'_>) -> usize {
        let span = self.span(row, row + 1);
        let text = &self.data[span.clone()];
        let json = escape == Escape::Json;
        let at = pen.put(at, b"\"", usize::from(json));
        let at = if (self.special && escape.is_needed(text)) || (!json && null.is(text)) {
            escape.write(text, at, pen)
        } else if text.len() <= PIECE
            && let Some(piece) = self.data[span.start..].first_chunk::<PIECE>()
        {
            pen.put(at, piece, text.len())
        } else {
            pen.long(at, text)
        };
        pen.put(at, b"\"", usize::from(json))
    }
}

/// Writes what arrow shows of a value.
fn other(shown: &str, manner: Manner, null: &Null, at: usize, pen: &mut Pen<'_>) -> usize {
    let text = shown.as_bytes();
    match manner.escape {
        Escape::Json if manner.quoted => {
            let at = pen.long(at, b"\"");
            let at = manner.escape.write(text, at, pen);
            pen.long(at, b"\"")
        }
        Escape::Json if matches!(text, b"NaN" | b"inf" | b"-inf") => pen.long(at, b"null"),
        escape @ Escape::Csv { .. } if null.is(text) || escape.is_needed(text) => escape.write(text, at, pen),
        _ => pen.long(at, text),
    }
}

/// Puts quotes around what was written from `start` to `at`, if it needs them.
#[cold]
fn requote(start: usize, at: usize, escape: Escape, null: &Null, pen: &mut Pen<'_>) -> usize {
    let text = pen.between(start, at);
    if null.is(text) || escape.is_needed(text) {
        let text = text.to_vec();
        return escape.write(&text, start, pen);
    }
    at
}

/// Whether all values are the same.
fn repeats<T: PartialEq>(values: &[T]) -> bool {
    values.len() < 2 || values[1..] == values[..values.len() - 1]
}

/// Whether this zone is UTC: its times are written with a `Z`.
fn is_utc(zone: &str) -> bool {
    matches!(zone, "UTC" | "utc" | "Z" | "+00:00" | "+0000" | "+00")
}

/// Whether JSON has values of this type without quotes.
fn is_bare(kind: &DataType) -> bool {
    kind.is_numeric() || matches!(kind, DataType::Boolean | DataType::Null)
}

/// The same array with a type that is written fast, where there is one that has the same text for every value.
pub(super) fn plain(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    use DataType::{Dictionary, Int8, Int16, Int32, Int64, LargeUtf8, Null, UInt8, UInt16, UInt32, Utf8, Utf8View};
    let to = match array.data_type() {
        Int8 | Int16 | Int32 | UInt8 | UInt16 | UInt32 => Int64,
        LargeUtf8 | Utf8View | Null => Utf8,
        Dictionary(_, value) => {
            let value = arrow_cast::cast(array, value)?;
            return match value.data_type() {
                Dictionary(..) => Ok(value),
                _ => plain(&value),
            };
        }
        _ => return Ok(array.clone()),
    };
    arrow_cast::cast(array, &to)
}

/// An array as the texts that CSV has for its values.
pub(super) fn texts(array: &ArrayRef) -> Result<StringArray, ArrowError> {
    // No value holds this delimiter or looks like this NULL.
    let style = Style { format: OutFormat::Csv { delimiter: 0, header: false }, null: String::new() };
    let null = Null::new(&style, false);
    let mut column = Column::new(array, &style)?;
    let mut texts = StringBuilder::new();
    let mut text = Vec::new();
    for row in 0..array.len() {
        if array.is_null(row) {
            texts.append_null();
            continue;
        }
        text.clear();
        let (mut pen, at) = Pen::new(&mut text);
        pen.room(at, CELL);
        let at = column.write(row, &null, at, &mut pen);
        column.finish()?;
        pen.finish(at);
        texts.append_value(String::from_utf8_lossy(&text));
    }
    Ok(texts.finish())
}

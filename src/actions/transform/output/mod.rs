//! From columns to bytes, and to files.
//!
//! It guarantees that what is written can be read back: a text is quoted where it must be, a row never becomes an empty
//! line, a missing value and an empty text stay two things, and every value has one text. That text is what arrow
//! shows, so this engine and any other that writes by arrow agree to the byte.
//!
//! The text of a value: whole numbers as digits; floats in shortest form, with `.0` where they are whole, and `NaN`,
//! `inf`, `-inf`; decimals with all their places; `true` and `false`; days as `2026-11-21`; times as
//! `2026-11-21T09:00:00` with 3, 6 or 9 digits of a fraction where it is not zero, and a `Z` where the type says UTC.
//! In JSON numbers and truth values are bare, `NaN` and infinities are `null` as JSON has no other word, and the rest
//! are strings.
//!
//! It refuses delimiters that would break a file ([`Style::problem`]), and never fails for a value of a table.

mod column;
mod compress;
mod escape;
mod number;
mod pen;
pub mod rejects;
mod split;
mod time;
pub mod unique;

pub use compress::compress;
pub use split::{PART_NAME_MAX, PARTS_MAX, by_column, part_name};

use crate::model::Failure;
use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, Schema};
use column::{CELL, Column, Null};
use escape::Escape;
use pen::{Fixed, PIECE, Pen};

/// Rows whose text is looked through at once for bytes that need quotes. Few, so that one such byte costs little.
const BLOCK: usize = 64;

/// The form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutFormat {
    /// Delimited text, quoted with `"` where needed, lines ended by LF.
    Csv {
        /// Between two fields.
        delimiter: u8,
        /// Whether the first line names the columns.
        header: bool,
    },
    /// One JSON object a line.
    Ndjson,
}

/// How the output is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Style {
    /// The form.
    pub format: OutFormat,
    /// What stands for a missing value in CSV. A value that looks the same is quoted. In JSON it is `null`.
    pub null: String,
}

impl Style {
    /// What would break the output: to be told when the configuration is read.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let OutFormat::Csv { delimiter, .. } = self.format else { return None };
        if !delimiter.is_ascii() || matches!(delimiter, b'"' | b'\r' | b'\n' | 0) {
            return Some(format!("no delimiter of an output: {}", shown(&[delimiter])));
        }
        let escape = Escape::Csv { delimiter };
        escape.is_needed(self.null.as_bytes()).then(|| {
            format!(
                "a null spelling of an output cannot hold a delimiter, a quote or a line end: {}",
                shown(self.null.as_bytes())
            )
        })
    }

    /// Whether a value that is no text may have to be quoted.
    fn is_careful(&self, delimiter: u8) -> bool {
        let value = |b: u8| b.is_ascii_alphanumeric() || b"+-.: ".contains(&b);
        let number = self.null.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-'));
        value(delimiter) || number || matches!(self.null.as_str(), "true" | "false" | "NaN" | "inf")
    }
}

/// A text of the configuration as it may stand in a message.
fn shown(bytes: &[u8]) -> String {
    format!("\"{}\"", crate::model::text::cut(&crate::model::text::bytes(bytes), 60))
}

/// Writes the line that names the columns, where the style has one.
pub fn header(schema: &Schema, style: &Style, out: &mut Vec<u8>) {
    let OutFormat::Csv { delimiter, header: true } = style.format else { return };
    let escape = Escape::Csv { delimiter };
    for (i, field) in schema.fields().iter().enumerate() {
        if i > 0 {
            out.push(delimiter);
        }
        let name = field.name().as_bytes();
        // A name that starts like a byte order mark would lose it to the next reader.
        let is_mark = i == 0 && name.starts_with("\u{feff}".as_bytes());
        if name.is_empty() || is_mark || escape.is_needed(name) {
            escape.push(name, out);
        } else {
            out.extend_from_slice(name);
        }
    }
    out.push(b'\n');
}

/// Writes the rows of a batch at the end of `out`.
pub fn format(batch: &RecordBatch, style: &Style, out: &mut Vec<u8>) -> Result<(), Failure> {
    let start = out.len();
    write(batch, style, out).map_err(|error| {
        out.truncate(start);
        failure(&error)
    })
}

/// The failure that an error of arrow makes.
fn failure(error: &ArrowError) -> Failure {
    Failure::permanent("transform_output", format!("a value cannot be written: {error}"))
}

fn write(batch: &RecordBatch, style: &Style, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    let rows = batch.num_rows();
    if rows == 0 {
        return Ok(());
    }
    let arrays = batch.columns().iter().map(column::plain).collect::<Result<Vec<_>, _>>()?;
    let null = Null::new(style, arrays.len() == 1);
    // What stands in front of each column that is written, and behind the last: delimiters or names, and all columns
    // in between that hold the same in every row.
    let mut columns = Vec::with_capacity(arrays.len());
    let mut fixed = Vec::new();
    for (i, array) in arrays.iter().enumerate() {
        lead(i, batch.schema_ref(), style, &mut fixed);
        let mut column = Column::new(array, style)?;
        if column.is_constant(rows) {
            column.enter(0, 1);
            let (mut pen, at) = Pen::new(&mut fixed);
            pen.room(at, CELL + null.room());
            let at = column.write(0, &null, at, &mut pen);
            column.finish()?;
            pen.finish(at);
        } else {
            columns.push((Fixed::new(std::mem::take(&mut fixed)), column));
        }
    }
    fixed.extend_from_slice(if style.format == OutFormat::Ndjson { b"}\n" } else { b"\n" });
    let end = Fixed::new(fixed);
    let cells: usize = columns.iter().map(|(lead, _)| lead.room() + CELL.max(null.room())).sum();
    let room = cells + end.room() + PIECE;

    let (mut pen, mut at) = Pen::new(out);
    for from in (0..rows).step_by(BLOCK) {
        let to = rows.min(from + BLOCK);
        for (_, column) in &mut columns {
            column.enter(from, to);
        }
        for row in from..to {
            pen.room(at, room);
            for (lead, column) in &mut columns {
                at = lead.write(at, &mut pen);
                at = column.write(row, &null, at, &mut pen);
            }
            at = end.write(at, &mut pen);
        }
    }
    pen.finish(at);
    columns.iter().try_for_each(|(_, column)| column.finish())
}

/// Writes what stands in front of a column.
fn lead(i: usize, schema: &Schema, style: &Style, out: &mut Vec<u8>) {
    match style.format {
        OutFormat::Csv { delimiter, .. } if i > 0 => out.push(delimiter),
        OutFormat::Csv { .. } => {}
        OutFormat::Ndjson => {
            out.extend_from_slice(if i == 0 { b"{\"" } else { b",\"" });
            Escape::Json.push(schema.field(i).name().as_bytes(), out);
            out.extend_from_slice(b"\":");
        }
    }
}

#[cfg(test)]
mod tests;

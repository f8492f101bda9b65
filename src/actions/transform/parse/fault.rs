//! What is wrong with a row, kept small while a chunk is read and put into words when somebody asks.

use super::cut::Oddity;
use super::number::{self, DecimalError};
use crate::actions::transform::table::ColumnType;
use crate::model::block::shown;
use crate::model::text::counted;
use encoding_rs::Encoding;

/// Why a field makes its row a bad one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It is not of its column's type.
    Unreadable,
    /// There is no value, and there must be one.
    Missing,
    /// Its bytes are no text in the encoding of the file, from this one of the chunk on.
    Malformed(u32),
    /// It holds a NUL byte, this one of the chunk.
    Nul(u32),
}

impl Why {
    /// Bytes that are no text.
    #[expect(clippy::cast_possible_truncation, reason = "offsets are at most OFFSET_MAX")]
    pub(super) const fn malformed(at: usize) -> Self {
        Self::Malformed(at as u32)
    }

    /// A NUL byte.
    #[expect(clippy::cast_possible_truncation, reason = "as above")]
    pub(super) const fn nul(at: usize) -> Self {
        Self::Nul(at as u32)
    }
}

/// A field at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Its row, of those that were found in the chunk.
    pub(super) row: u32,
    /// Its column, from 0.
    pub(super) column: u32,
    /// Why.
    pub(super) why: Why,
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// It does not fall into the fields of a row.
    Odd(Oddity),
    /// A field of it, from 0.
    Field(u32, Why),
}

/// A bad row: where it starts in the chunk, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) start: u32,
    pub(super) wrong: Wrong,
}

/// The number of the column at fault, from 1, the reason, and the part of it that other rows share.
pub(super) struct Words {
    pub(super) column: Option<usize>,
    pub(super) reason: String,
    pub(super) constant: String,
}

impl Words {
    fn new(column: impl Into<Option<usize>>, reason: impl Into<String>, constant: impl Into<String>) -> Self {
        Self { column: column.into(), reason: reason.into(), constant: constant.into() }
    }

    /// A record that does not fall into `fields` fields.
    pub(super) fn of_odd(oddity: Oddity, fields: usize) -> Self {
        match oddity {
            Oddity::Count(found) => Self::new(
                found.min(fields) + 1,
                format!("{}, the header has {fields}", counted(found as u64, "field")),
                "rows with another number of fields than the header",
            ),
            Oddity::Unclosed(column) => Self::new(
                column,
                format!("the quote that opens column {column} is never closed"),
                "a quote that is never closed",
            ),
            Oddity::TooLong => Self::new(None, "more than 512 MiB at once", "more than 512 MiB at once"),
            Oddity::Json(at, why) => Self::new(
                None,
                format!("not a JSON object, at byte {} of the line: {why}", at + 1),
                format!("not a JSON object: {why}"),
            ),
        }
    }

    /// A field of this type. `text`: what it reads; `byte`: the first one that is malformed; `at`: its place in the file.
    pub(super) fn of_field(
        column: u32,
        why: Why,
        kind: ColumnType,
        text: &str,
        malformed: Malformed,
        point: u8,
    ) -> Self {
        let number = column as usize + 1;
        match why {
            Why::Unreadable => {
                let constant = unreadable(kind, text, point);
                Self::new(number, format!("{constant}: {}", shown(text)), constant)
            }
            Why::Missing => Self::new(number, "no value, and the column is required", "no value in a required column"),
            Why::Malformed(_) => {
                let Malformed { byte, at, encoding } = malformed;
                let name = encoding.name();
                Self::new(
                    number,
                    format!("byte 0x{byte:02x} at {at} is not valid {name}"),
                    format!("bytes that are not valid {name}"),
                )
            }
            Why::Nul(_) => Self::new(number, format!("a NUL byte at {}", malformed.at), "NUL bytes"),
        }
    }
}

/// A byte that does not belong into a text.
#[derive(Clone, Copy)]
pub(super) struct Malformed {
    /// Which one.
    pub(super) byte: u8,
    /// Where it stands in the file.
    pub(super) at: u64,
    /// What the text should be written in.
    pub(super) encoding: &'static Encoding,
}

/// Why a text is not of a type.
fn unreadable(kind: ColumnType, text: &str, point: u8) -> String {
    match kind {
        ColumnType::Bool => "not true or false".into(),
        ColumnType::Int => {
            let digits = text.strip_prefix('-').unwrap_or(text);
            let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            if is_number { "a whole number of more than 64 bits" } else { "not a whole number" }.into()
        }
        ColumnType::Float => {
            let is_number = text.bytes().any(|b| b.is_ascii_digit())
                && text.replace(char::from(point), ".").parse::<f64>().is_ok_and(f64::is_infinite);
            if is_number { "a number too large for a float" } else { "not a number" }.into()
        }
        ColumnType::Decimal { precision, scale } => match number::decimal(text.as_bytes(), precision, scale, point) {
            Err(DecimalError::TooFine) => {
                format!("more than {}", counted(u64::from(scale.unsigned_abs()), "decimal place"))
            }
            Err(DecimalError::TooLarge) => format!("too large for {}", kind.name()),
            _ => "not a decimal number".into(),
        },
        ColumnType::Text => "not a text".into(),
        ColumnType::Date => "not a date".into(),
        ColumnType::Timestamp => "not a timestamp".into(),
    }
}

//! What a table is: columns with names and types, and how its text is written.

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use encoding_rs::Encoding;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// `true` or `false`.
    Bool,
    /// A whole number of 64 bits.
    Int,
    /// A number of double precision.
    Float,
    /// A number with a fixed count of decimal places.
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Digits behind the point.
        scale: i8,
    },
    /// Characters.
    Text,
    /// A day.
    Date,
    /// A day and a time, in microseconds; with an offset in the data it is turned to UTC.
    Timestamp,
}

impl ColumnType {
    /// The type of its array.
    #[must_use]
    pub const fn arrow(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Decimal { precision, scale } => DataType::Decimal128(precision, scale),
            Self::Text => DataType::Utf8,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        }
    }

    /// Its name in the configuration and in messages.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Bool => "bool".into(),
            Self::Int => "int".into(),
            Self::Float => "float".into(),
            Self::Decimal { precision, scale } => format!("decimal({precision},{scale})"),
            Self::Text => "text".into(),
            Self::Date => "date".into(),
            Self::Timestamp => "timestamp".into(),
        }
    }
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name, as the header or the configuration writes it.
    pub name: String,
    /// Its type.
    pub kind: ColumnType,
}

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Delimited text: CSV, TSV and the like.
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// One JSON array of objects. Read only: the source hands its elements on as lines.
    Json,
}

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, one or several members.
    Gzip,
    /// Zstandard, one or several frames.
    Zstd,
    /// bzip2, one or several streams.
    Bzip2,
    /// xz, one or several streams.
    Xz,
}

impl Compression {
    /// What the extension of a name tells.
    #[must_use]
    pub fn by_extension(name: &OsStr) -> Self {
        match Path::new(name).extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase).as_deref() {
            Some("gz") => Self::Gzip,
            Some("zst" | "zstd") => Self::Zstd,
            Some("bz2") => Self::Bzip2,
            Some("xz") => Self::Xz,
            _ => Self::None,
        }
    }
}

/// How the text of a table is written, once that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// How records are written. Never [`Format::Json`] in a chunk: its elements are lines there.
    pub format: Format,
    /// Between two fields.
    pub delimiter: u8,
    /// Around a field that holds a delimiter, a quote or a line end; doubled inside. None: quotes are plain text.
    pub quote: Option<u8>,
    /// Encoding of the bytes of a chunk. UTF-16 and the like never reach a chunk: the source decodes them.
    pub encoding: &'static Encoding,
    /// Whether the first record names the columns.
    pub header: bool,
}

/// How values are spelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spelling {
    /// Fields that mean "no value". In a column of text only without quotes: `""` is a text without characters there.
    pub nulls: Vec<String>,
    /// Between whole and fraction.
    pub decimal_point: u8,
    /// Formats of a date as `chrono` writes them, tried in turn. Empty: `%Y-%m-%d`.
    pub dates: Vec<String>,
    /// Formats of a timestamp, tried in turn. Empty: ISO 8601, with a `T` or a space, with or without fraction and offset.
    pub timestamps: Vec<String>,
}

impl Default for Spelling {
    fn default() -> Self {
        Self { nulls: vec![String::new()], decimal_point: b'.', dates: Vec::new(), timestamps: Vec::new() }
    }
}

/// What becomes of a row that cannot be read or does not hold what is expected of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnBadRow {
    /// The job fails; its bad rows are counted, the first hundred are named.
    #[default]
    Fail,
    /// It goes to the rejects, with its place and the reason.
    Reject,
    /// A field that cannot be read becomes NULL. A row with another number of fields, or that fails a check, is rejected.
    Null,
}

/// What to do with a row that has another number of fields than the header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ragged {
    /// It is a bad row.
    #[default]
    Bad,
    /// Missing fields are NULL; surplus ones still make a bad row.
    Pad,
    /// Missing fields are NULL, and surplus ones are dropped.
    Fit,
}

/// The columns of an input, in the order of its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The columns.
    pub columns: Vec<Column>,
}

impl Table {
    /// The schema of a statement's table `input`: the columns, then `_file` (text) and `_line` (int).
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        let own = self.columns.iter().map(|c| Field::new(&c.name, c.kind.arrow(), true));
        let ours = [Field::new(FILE, DataType::Utf8, false), Field::new(LINE, DataType::Int64, false)];
        Arc::new(Schema::new(own.chain(ours).collect::<Vec<_>>()))
    }
}

/// The column that holds the name of the file of a row.
pub const FILE: &str = "_file";
/// The column that holds the first line of a row in its file, 1-based.
pub const LINE: &str = "_line";

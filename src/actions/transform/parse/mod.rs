//! From a chunk to columns.
//!
//! It guarantees that records are those that the `csv` crate reads, or for NDJSON those of RFC 8259; that every record
//! of a chunk is a row of the batch or a bad row, never both and never neither; that a bad row is named by its line, its
//! byte in the file, its column, the reason and its text; and that what a chunk becomes depends on the chunk alone. Memory
//! is bounded by the chunk and [`CELLS_MAX`], whatever the bytes are.
//! It refuses to bend values: a field that is not of its column's type is at fault, or no value where the task says so.

mod block;
mod cell;
mod column;
mod cut;
mod fault;
mod infer;
mod json;
mod kind;
mod number;
mod parsed;
mod parser;
mod record;
mod span;
mod time;

pub use infer::infer;
pub use kind::column_type;
pub use parsed::Parsed;
pub use parser::Parser;
pub use time::is_format;

use super::table::{Dialect, OnBadRow, Ragged, Spelling, Table};

/// Fields of the rows of one batch; where a chunk has more, as it may when short rows are padded, it becomes several.
pub const CELLS_MAX: usize = 1 << 21;
/// What the rows of a table look like, and what is wanted of them.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The columns.
    pub table: Table,
    /// How records are written.
    pub dialect: Dialect,
    /// How values are spelled.
    pub spelling: Spelling,
    /// What becomes of a record with another number of fields.
    pub ragged: Ragged,
    /// What becomes of a field that cannot be read.
    pub on_bad_row: OnBadRow,
    /// Fields of a record of delimited text: those of the table, and perhaps some behind them that are passed over.
    pub fields: usize,
    /// Columns of the batches: indexes into [`Table::schema`], ascending.
    pub wanted: Vec<usize>,
    /// Columns of the table in which every row must have a value.
    pub required: Vec<usize>,
    /// Whether the types of columns that are not wanted are checked as well.
    pub validate_all: bool,
    /// What the column [`super::table::FILE`] says, for each file.
    pub file_names: Vec<String>,
}

#[cfg(test)]
mod tests;

//! The rows that an expression is computed for: all of a batch, or a selection of another frame.

use crate::actions::transform::sql::value::{Result, failed};
use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_select::filter::{FilterBuilder, FilterPredicate};
use std::cell::OnceCell;
use std::sync::Arc;

/// The rows of a batch, or some of them. Columns of a selection are picked when they are asked for.
pub(in crate::actions::transform::sql) struct Frame<'a> {
    columns: Columns<'a>,
    rows: usize,
}

enum Columns<'a> {
    All(&'a [ArrayRef]),
    Some { of: &'a Frame<'a>, rows: FilterPredicate, picked: Vec<OnceCell<ArrayRef>> },
}

impl<'a> Frame<'a> {
    /// All rows of a batch.
    pub(in crate::actions::transform::sql) fn new(columns: &'a [ArrayRef], rows: usize) -> Self {
        Self { columns: Columns::All(columns), rows }
    }

    /// The rows of another frame where this is `true`.
    pub(in crate::actions::transform::sql) fn filter(of: &'a Frame<'a>, rows: &BooleanArray) -> Self {
        let predicate = FilterBuilder::new(rows).optimize().build();
        let count = predicate.count();
        let picked = vec![OnceCell::new(); of.width()];
        Self { columns: Columns::Some { of, rows: predicate, picked }, rows: count }
    }

    fn width(&self) -> usize {
        match &self.columns {
            Columns::All(columns) => columns.len(),
            Columns::Some { picked, .. } => picked.len(),
        }
    }

    /// How many rows there are.
    pub(in crate::actions::transform::sql) const fn rows(&self) -> usize {
        self.rows
    }

    /// A column of these rows.
    pub(in crate::actions::transform::sql) fn column(&self, column: usize) -> Result<ArrayRef> {
        let missing = || failed(format!("the batch lacks a column: {column}"));
        match &self.columns {
            Columns::All(columns) => columns.get(column).cloned().ok_or_else(missing),
            Columns::Some { of, rows, picked } => {
                let cell = picked.get(column).ok_or_else(missing)?;
                if let Some(array) = cell.get() {
                    return Ok(Arc::clone(array));
                }
                let array = rows.filter(&*of.column(column)? as &dyn Array)?;
                Ok(Arc::clone(cell.get_or_init(|| array)))
            }
        }
    }
}

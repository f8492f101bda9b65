//! Statements that need more than one row at a time: joins, groups, order, windows. Only with the cargo feature `sql`.
//!
//! `DataFusion` runs them, on the thread of the caller and in one partition, so that equal input makes equal output: which
//! rows a group meets first, how floats add up and which of two equal rows comes first does not depend on threads or on
//! the machine. The parsing beside it and the formatting behind it still use all cores.
//!
//! It guarantees that a statement sees the table `input` and the reference files that were named, and nothing else; that
//! a result whose rows stem from one row of the input each (projection, filter, join, window) comes in the order of the
//! input unless it says ORDER BY; that `now()` is one given time; that sorting, grouping and reading twice use the
//! scratch folder once the memory is used up; and that a stop is heard between two batches.
//! These do not go to the scratch folder: the other side of a join, and the input itself behind `NOT IN (SELECT …)`,
//! which fail when the memory is used up (`NOT EXISTS` streams); and the rows of a window whose frame reaches behind the
//! current one, which nothing counts.
//! It refuses whatever writes or changes something, and functions that give another result each time.
//!
//! `statement` reads the text, `names` and `scope` say what its names mean, `session` sets `DataFusion` up, `feed` is the table
//! `input` and `reference` the files beside it, `plan` makes the plan with the rules in `rules`
//! and the arithmetic in `checked` and `sum` and the logic in `lazy`, `drive` runs it,
//! `written` says what columns a result has and `failure` in plain words what went wrong.

mod checked;
mod drive;
mod failure;
mod feed;
mod lazy;
mod names;
mod plan;
mod reference;
mod rules;
mod scope;
mod scratch;
mod session;
mod spool;
mod statement;
mod sum;
mod watch;
mod written;

#[cfg(test)]
mod tests;

pub use drive::run;
pub use statement::{Query, parse};
pub use watch::Stopped;

use crate::actions::transform::sql::SqlError;
use arrow_schema::SchemaRef;
use chrono::{DateTime, Utc};
use std::path::{Path, PathBuf};

/// What a run of a statement may use.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// Bytes for sorting, grouping and joining. What does not fit goes to the scratch folder.
    pub memory: u64,
    /// Threads for reading reference files, at most.
    pub threads: usize,
    /// A folder for what does not fit into the memory. Nothing is left in it.
    pub scratch: &'a Path,
    /// The value of `now()`.
    pub now: DateTime<Utc>,
    /// Reference files, each with the name of its table, in lower case unless statements are to put it in quotes:
    /// `.parquet`, and whatever the input may be.
    pub tables: &'a [(String, PathBuf)],
}

/// What a statement makes of a table, found out without a row of it.
#[derive(Debug)]
pub struct Outline {
    /// The columns of the result.
    pub output: SchemaRef,
    /// The columns of the input that it needs, as indexes into the schema, ascending.
    pub inputs: Vec<usize>,
}

/// Plans a statement over a schema, without running it.
///
/// # Errors
/// When it does not fit the columns, with the place that is at fault; or when a reference file cannot be read.
pub fn outline(query: &Query, schema: &SchemaRef, settings: &Settings<'_>) -> Result<Outline, SqlError> {
    drive::outline(query, schema, settings)
}

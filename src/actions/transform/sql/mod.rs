//! From a statement to a program on columns.
//!
//! [`parse`] reads the text (`parse`, `text`), [`Program::new`] ties it to the columns of a table (`scope`, `plan`,
//! `types`), and [`Program::run`] computes the rows of a batch (`eval`, `cast`, `functions`). What is computed, and in
//! which types, is what `DataFusion` 55 computes, but for these rules, which do not depend on how rows are put into batches:
//!
//! - What overflows is an error; whole numbers never wrap.
//! - A value counts only in rows that ask for it: behind `x <> 0 AND`, in a branch of CASE, behind the first value of
//!   `coalesce`, a division by zero in another row is no error.
//! - A timestamp is compared in its own unit where nothing is lost by it: the year 9999 has its place in time.
//! - A name that no column has in lower case means the one that differs only in case.
//! - A result without a name is called as it is written, with single spaces.
//! - `round` of a decimal to a count of places has these places wherever it stands; `DataFusion` 55 gives it others inside
//!   a larger expression.
//!
//! It refuses what needs more than one row ([`SqlError::needs_engine`]), and arguments whose meaning would be guessed.

mod cast;
mod error;
mod eval;
mod expr;
pub mod functions;
mod parse;
mod plan;
mod program;
mod scope;
#[cfg(test)]
mod tests;
mod text;
mod types;
mod value;

pub use error::SqlError;
pub use parse::{CheckExpr, Statement, parse, parse_check};
pub use program::Program;

// What statements over several rows are read with, so that all read alike.
#[cfg(feature = "sql")]
pub(in crate::actions::transform) use {
    error::nearest,
    parse::{TABLE, folded, in_house_style, item_texts, parser, syntax},
    scope::quoted,
    text::Text,
};

/// What an error of a computation says, without the name of its kind.
#[must_use]
pub fn reason(error: &arrow_schema::ArrowError) -> String {
    use arrow_schema::ArrowError as E;
    match error {
        E::ComputeError(message)
        | E::CastError(message)
        | E::ParseError(message)
        | E::InvalidArgumentError(message)
        | E::ArithmeticOverflow(message) => message.clone(),
        E::DivideByZero => "division by zero".into(),
        other => other.to_string(),
    }
}

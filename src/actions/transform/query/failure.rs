//! What `DataFusion` says, in our words.

use crate::actions::transform::sql::{SqlError, Text, in_house_style, nearest, quoted};
use crate::model::{Failure, text};
use arrow_schema::ArrowError;
use datafusion::common::{Column, DataFusionError, SchemaError, Span};
use datafusion::sql::sqlparser::tokenizer;
use std::fmt;
use std::ops::Range;

/// A failure of ours on its way through `DataFusion`.
#[derive(Debug)]
pub(super) struct Carried(Failure);

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Carried {}

impl Carried {
    /// The failure as an error of `DataFusion`.
    pub(super) fn error(failure: Failure) -> DataFusionError {
        DataFusionError::External(Box::new(Self(failure)))
    }
}

/// The error behind all that was put around it.
fn root(error: &DataFusionError) -> &DataFusionError {
    use DataFusionError as E;
    match error {
        E::Context(_, inner) | E::Diagnostic(_, inner) => root(inner),
        E::Shared(inner) => root(inner),
        E::Collection(errors) => errors.first().map_or(error, root),
        E::External(inner) => inner.downcast_ref::<DataFusionError>().map_or(error, root),
        E::IoError(inner) => inside(inner).map_or(error, root),
        E::ArrowError(inner, _) => match inner.as_ref() {
            ArrowError::ExternalError(inner) => inner.downcast_ref::<DataFusionError>().map_or(error, root),
            ArrowError::IoError(_, inner) => inside(inner).map_or(error, root),
            _ => error,
        },
        _ => error,
    }
}

fn inside(error: &std::io::Error) -> Option<&DataFusionError> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

/// The failure that an error of a running statement makes.
pub(super) fn of(error: &DataFusionError, memory: u64) -> Failure {
    use DataFusionError as E;
    match root(error) {
        E::External(inner) => match inner.downcast_ref::<Carried>() {
            Some(Carried(failure)) => failure.clone(),
            None => Failure::permanent("sql_value", plain(&inner.to_string())),
        },
        E::ArrowError(inner, _) => arrow(inner),
        E::ResourcesExhausted(message) if message.contains("disk") => {
            Failure::permanent("sql_scratch", "the statement needs more than 1 TiB of the scratch folder")
        }
        E::ResourcesExhausted(_) => {
            let given = text::count(memory / (1 << 20));
            let message = format!(
                "the statement needs more memory than it may use, raise `memory` of the supervisor or hold less with it: {given} MiB"
            );
            Failure::permanent("sql_memory", message)
        }
        E::IoError(error) => scratch(error),
        E::ExecutionJoin(error) if error.is_panic() => {
            Failure::permanent("sql_internal", "the SQL engine panicked over the statement")
        }
        E::Execution(message) => Failure::permanent("sql_value", plain(message)),
        other => Failure::permanent("sql_internal", format!("the SQL engine failed: {}", plain(&other.message()))),
    }
}

fn scratch(error: &std::io::Error) -> Failure {
    Failure::transient("sql_scratch", format!("cannot use the scratch folder: {error}"))
}

/// The failure that an error of a computation makes.
pub(super) fn arrow(error: &ArrowError) -> Failure {
    use ArrowError as E;
    match error {
        E::DivideByZero => Failure::permanent("sql_division_by_zero", "division by zero"),
        E::ArithmeticOverflow(message) => Failure::permanent("sql_overflow", plain(message)),
        E::IoError(_, error) => scratch(error),
        E::ComputeError(message)
        | E::CastError(message)
        | E::ParseError(message)
        | E::InvalidArgumentError(message) => Failure::permanent("sql_value", plain(message)),
        other => Failure::permanent("sql_internal", format!("the SQL engine failed: {}", plain(&other.to_string()))),
    }
}

/// What is wrong with a statement.
pub(super) fn statement(error: &DataFusionError, text: &Text) -> SqlError {
    use DataFusionError as E;
    let at = error.diagnostic().and_then(|d| d.span).and_then(|span| range(text, span));
    let mut found = match root(error) {
        E::SchemaError(schema, _) => schema_error(schema),
        E::Plan(message) | E::Internal(message) => planned(message),
        E::NotImplemented(message) => SqlError::whole(format!("this is not supported: {}", plain(message))),
        E::External(inner) if inner.is::<Carried>() => SqlError::whole(inner.to_string()),
        other => SqlError::whole(plain(&other.message())),
    };
    found.at = at;
    found
}

/// The failure that a wrong statement makes.
pub(super) fn wrong(error: &SqlError) -> Failure {
    Failure::permanent("sql_statement", format!("the statement cannot be run: {error}"))
}

fn range(text: &Text, span: Span) -> Option<Range<usize>> {
    let place = |l: datafusion::common::Location| tokenizer::Location::new(l.line, l.column);
    text.range(tokenizer::Span::new(place(span.start), place(span.end)))
}

fn schema_error(error: &SchemaError) -> SqlError {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let error = SqlError::whole(format!("there is no column {}", field.flat_name()));
            let shown = valid_fields.iter().filter(|c| c.name != super::names::ROW);
            match nearest(&field.name, shown.map(|c| c.name.as_str())) {
                Some(near) => error.hint(format!("did you mean {}?", quoted(near))),
                None => error.hint(format!("the columns are {}", listed(valid_fields))),
            }
        }
        SchemaError::AmbiguousReference { field } => {
            let error = SqlError::whole(format!("several tables have the column {}", field.name));
            error.hint(format!("write the table in front, for example input.{}", quoted(&field.name)))
        }
        SchemaError::DuplicateQualifiedField { name, .. } | SchemaError::DuplicateUnqualifiedField { name } => {
            twice(name)
        }
    }
}

/// Most columns that a message lists.
const LISTED_MAX: usize = 8;

fn listed(columns: &[Column]) -> String {
    let hidden = [super::names::ROW, crate::actions::transform::table::FILE, crate::actions::transform::table::LINE];
    let shown: Vec<String> =
        columns.iter().filter(|c| !hidden.contains(&c.name.as_str())).map(|c| quoted(&c.name)).collect();
    let more = shown.len().saturating_sub(LISTED_MAX);
    let most = shown.iter().take(LISTED_MAX).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{most} and {more} more") } else { most }
}

/// A message of the planner. Those that people meet are put into our words.
fn planned(message: &str) -> SqlError {
    let message = message.strip_prefix("Error during planning: ").unwrap_or(message);
    let quotes = |quote: char| message.split(quote).nth(1).unwrap_or_default();
    if message.starts_with("Invalid function '") {
        let error = SqlError::whole(format!("there is no function {}", quotes('\'')));
        let near = message.split_once("Did you mean '").and_then(|(_, near)| near.split_once('\''));
        return match near {
            Some((near, _)) => error.hint(format!("did you mean {near}?")),
            None => error,
        };
    }
    if message.starts_with("Projections require unique expression names") {
        return twice(quotes('"').rsplit('.').next().unwrap_or_default());
    }
    if message.contains("must appear in the GROUP BY clause") {
        let column = quotes('"').trim_start_matches("input.");
        return SqlError::whole(format!("the column is neither grouped by nor summed up: {column}"))
            .hint("put it behind GROUP BY, or into a function such as min()");
    }
    if message.contains("failed to match any signature") || message.contains("failed to coerce") {
        let function = message.split_once("unction '").and_then(|(_, f)| f.split_once('\'')).map_or("", |(f, _)| f);
        return SqlError::whole(format!("a function does not take such values: {function}"))
            .hint("cast them, for example `value::float`");
    }
    if message.starts_with("Cannot create filter with non-boolean predicate") {
        return SqlError::whole(format!("a condition must be true or false, not {}", quotes('\'')));
    }
    SqlError::whole(plain(message))
}

/// Two columns of a result with one name.
pub(super) fn twice(name: &str) -> SqlError {
    SqlError::whole(format!("two columns have the same name: {name}")).hint("name one of them with AS")
}

/// A message in one line, in lower case, with our names for types.
fn plain(message: &str) -> String {
    /// Most characters of a message that is not ours.
    const PLAIN_MAX: usize = 300;
    let message = message.split("\n\nbacktrace:").next().unwrap_or_default();
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    // A word in capitals is one of SQL.
    let is_word = line.chars().take_while(|c| c.is_alphabetic()).count() > 1
        && line.chars().take_while(|c| c.is_alphabetic()).all(char::is_uppercase);
    let mut line = if is_word { line } else { in_house_style(&line) };
    for (theirs, ours) in [
        ("Int64", "int"),
        ("Int32", "int"),
        ("UInt64", "int"),
        ("Float64", "float"),
        ("Utf8View", "text"),
        ("LargeUtf8", "text"),
        ("Utf8", "text"),
        ("Boolean", "bool"),
        ("Date32", "date"),
        ("Decimal128", "decimal"),
    ] {
        line = line.replace(theirs, ours);
    }
    text::cut(&line, PLAIN_MAX).into_owned()
}

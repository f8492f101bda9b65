//! A statement and its checks, tied to the columns of a table.

use super::cast;
use super::error::SqlError;
use super::eval::{self, Frame};
use super::expr::{Expr, Kind};
use super::parse::{CheckExpr, Statement, TABLE, folded};
use super::plan::{Planner, coerce};
use super::scope::Scope;
use crate::actions::transform::table::Table;
use arrow_array::{Array, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use chrono::{DateTime, Utc};
use sqlparser::ast::{
    self, ExcludeSelectItem, Ident, SelectItem, SelectItemQualifiedWildcardKind, WildcardAdditionalOptions,
};
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

/// A program on columns: rows of the table in, rows of the result out.
#[derive(Debug)]
pub struct Program {
    filter: Option<Expr>,
    items: Vec<Expr>,
    checks: Vec<Expr>,
    inputs: Vec<usize>,
    output: SchemaRef,
    engine_sql: String,
}

/// One column of the result.
struct Item {
    name: String,
    expr: Expr,
}

impl Program {
    /// Ties a statement and checks to a table. Without a statement the columns of the table are the result.
    ///
    /// # Errors
    /// When a column or a function is not there, or types do not go together. The place is one of the statement's text,
    /// or of the text of the check that is at fault.
    pub fn new(
        statement: Option<&Statement>,
        checks: &[CheckExpr],
        table: &Table,
        now: DateTime<Utc>,
    ) -> Result<Self, SqlError> {
        let input = Ident::new(TABLE);
        let scope = Scope::new(table, statement.map_or(&input, |s| &s.table));
        let (items, filter, engine_sql) = match statement {
            Some(statement) => planned(statement, &scope, now)?,
            None => (own_columns(&scope, 0..0, &HashSet::new()), None, String::new()),
        };
        Self::tied((items, filter, engine_sql), checks, table, now)
    }

    /// Ties checks alone to a table. It reads no other columns than they do, and has no result.
    ///
    /// # Errors
    /// As [`Program::new`].
    #[cfg(feature = "sql")]
    pub fn of_checks(checks: &[CheckExpr], table: &Table, now: DateTime<Utc>) -> Result<Self, SqlError> {
        Self::tied((Vec::new(), None, String::new()), checks, table, now)
    }

    fn tied(
        (items, filter, engine_sql): (Vec<Item>, Option<Expr>, String),
        checks: &[CheckExpr],
        table: &Table,
        now: DateTime<Utc>,
    ) -> Result<Self, SqlError> {
        let input = Ident::new(TABLE);
        let plain = Scope::new(table, &input);
        let checks =
            checks.iter().map(|check| Planner::new(&check.text, &plain, now).condition(&check.expr, "a check"));
        let checks = checks.collect::<Result<Vec<_>, _>>()?;
        let fields = items.iter().map(|item| Field::new(&item.name, item.expr.data_type.clone(), true));
        let output = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let items = items.into_iter().map(|item| item.expr).collect();
        let mut program = Self { filter, items, checks, inputs: Vec::new(), output, engine_sql };
        program.filter.iter().chain(&program.items).chain(&program.checks).try_for_each(possible)?;
        program.number_columns();
        Ok(program)
    }

    /// Finds the columns that are read, and gives them the numbers they have in a batch.
    fn number_columns(&mut self) {
        let mut used = HashSet::new();
        let all = || self.filter.iter().chain(&self.items).chain(&self.checks);
        all().for_each(|expr| expr.columns(&mut |column| used.extend([column])));
        let mut inputs: Vec<usize> = used.into_iter().collect();
        inputs.sort_unstable();
        let places: HashMap<usize, usize> = inputs.iter().enumerate().map(|(place, column)| (*column, place)).collect();
        let number = |column: usize| places.get(&column).copied().unwrap_or(column);
        let all = self.filter.iter_mut().chain(&mut self.items).chain(&mut self.checks);
        all.for_each(|expr| expr.renumber(&number));
        self.inputs = inputs;
    }

    /// The columns of the table's schema that are read, ascending: a batch has these, in this order.
    #[must_use]
    pub fn inputs(&self) -> &[usize] {
        &self.inputs
    }

    /// The columns of the result.
    #[must_use]
    pub const fn output(&self) -> &SchemaRef {
        &self.output
    }

    /// The statement with every name of a column in the spelling of the table and a name for every item: the text that
    /// another engine runs to the same columns. Empty without a statement.
    #[must_use]
    pub fn engine_sql(&self) -> &str {
        &self.engine_sql
    }

    /// Whether a check holds, for each row; NULL holds, as in SQL.
    ///
    /// # Errors
    /// When it cannot be computed for some row.
    pub fn check(&self, check: usize, batch: &RecordBatch) -> Result<BooleanArray, ArrowError> {
        let Some(expr) = self.checks.get(check) else {
            return Err(ArrowError::InvalidArgumentError(format!("there is no check with this number: {check}")));
        };
        if batch.num_rows() == 0 {
            return Ok(BooleanArray::new_null(0));
        }
        let frame = Frame::new(batch.columns(), batch.num_rows());
        let held = expr.value(&frame)?.into_booleans(batch.num_rows())?;
        Ok(match held.nulls() {
            None => held,
            Some(nulls) => BooleanArray::new(held.values() | &!nulls.inner(), None),
        })
    }

    /// The rows that the statement keeps, as it makes them, in their order.
    ///
    /// # Errors
    /// When a value cannot be computed for some row; [`Program::failures`] names the rows.
    pub fn run(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let rows = batch.num_rows();
        if rows == 0 {
            return Ok(RecordBatch::new_empty(Arc::clone(&self.output)));
        }
        let frame = Frame::new(batch.columns(), rows);
        let Some(filter) = &self.filter else { return self.project(&frame) };
        let kept = filter.value(&frame)?.into_booleans(rows)?;
        let count = kept.true_count();
        if count == rows {
            self.project(&frame)
        } else if count == 0 {
            Ok(RecordBatch::new_empty(Arc::clone(&self.output)))
        } else {
            self.project(&Frame::filter(&frame, &kept))
        }
    }

    /// The numbers of the rows that [`Program::run`] keeps, ascending.
    ///
    /// # Errors
    /// When the condition cannot be computed for some row.
    pub fn kept(&self, batch: &RecordBatch) -> Result<Vec<usize>, ArrowError> {
        let rows = batch.num_rows();
        match &self.filter {
            Some(filter) if rows > 0 => {
                let kept = filter.value(&Frame::new(batch.columns(), rows))?.into_booleans(rows)?;
                Ok(arrow_select::filter::prep_null_mask_filter(&kept).values().set_indices().collect())
            }
            _ => Ok((0..rows).collect()),
        }
    }

    fn project(&self, frame: &Frame<'_>) -> Result<RecordBatch, ArrowError> {
        let columns = self.items.iter().map(|item| eval::column(item, frame)).collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(frame.rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.output), columns, &options)
    }

    /// The rows for which a check or the statement cannot be computed, and why: one at a time, for a batch that failed.
    #[must_use]
    pub fn failures(&self, batch: &RecordBatch) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        let mut open: Vec<Range<usize>> = std::iter::once(0..batch.num_rows()).collect();
        while let Some(rows) = open.pop() {
            let part = batch.slice(rows.start, rows.len());
            let checks = (0..self.checks.len()).try_for_each(|check| self.check(check, &part).map(|_| ()));
            let Err(error) = checks.and_then(|()| self.run(&part).map(|_| ())) else { continue };
            if rows.len() <= 1 {
                found.push((rows.start, super::reason(&error)));
                continue;
            }
            let middle = rows.start + rows.len() / 2;
            open.push(middle..rows.end);
            open.push(rows.start..middle);
        }
        found
    }
}

/// What a statement becomes.
type Parts = (Vec<Item>, Option<Expr>, String);

fn planned(statement: &Statement, scope: &Scope, now: DateTime<Utc>) -> Result<Parts, SqlError> {
    let planner = Planner::new(&statement.text, scope, now);
    let mut items = Vec::new();
    // What another engine has to be told instead.
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    for (item, (text, place)) in statement.select.projection.iter().zip(&statement.items) {
        let first = items.len();
        match item {
            SelectItem::UnnamedExpr(expr) => {
                let expr = planner.plan(expr)?;
                let name = match &expr.kind {
                    Kind::Column(column) => scope.schema.field(*column).name().clone(),
                    _ => text.clone(),
                };
                edits.push((place.end..place.end, format!(" AS {}", in_quotes(&name))));
                items.push(Item { name, expr: presentable(expr)? });
            }
            SelectItem::ExprWithAlias { expr, alias } => {
                items.push(Item { name: folded(alias), expr: presentable(planner.plan(expr)?)? });
            }
            SelectItem::Wildcard(options) => {
                let at = statement.text.range(options.wildcard_token.0.span).unwrap_or(0..0);
                items.extend(own_columns(scope, at.clone(), &left_out(options, scope, &planner, &at)?));
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                let at = statement.text.range(ast::Spanned::span(name)).unwrap_or(0..0);
                let table = match name.0.as_slice() {
                    [part] => part.as_ident(),
                    _ => None,
                };
                if !table.is_some_and(|t| scope.is_table(t)) {
                    return Err(SqlError::new(format!("there is no table {name}"), at));
                }
                items.extend(own_columns(scope, at.clone(), &left_out(options, scope, &planner, &at)?));
            }
            SelectItem::QualifiedWildcard(..) | SelectItem::ExprWithAliases { .. } => {
                return Err(SqlError::whole(format!("the item is not supported: {text}")));
            }
        }
        if matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)) {
            let names: Vec<String> = items[first..].iter().map(|item| in_quotes(&item.name)).collect();
            edits.push((place.clone(), names.join(", ")));
        }
    }
    only_once(&items)?;
    let filter = statement.select.selection.as_ref().map(|e| planner.condition(e, "what stands behind WHERE"));
    let filter = filter.transpose()?;
    let engine_sql = spelled_out(statement, scope, planner.names(), edits);
    Ok((items, filter, engine_sql))
}

/// The columns of the records, but for some.
fn own_columns(scope: &Scope, at: Range<usize>, but: &HashSet<usize>) -> Vec<Item> {
    let own = scope.schema.fields().iter().take(scope.own).enumerate().filter(|(i, _)| !but.contains(i));
    own.map(|(i, field)| Item {
        name: field.name().clone(),
        expr: Expr { kind: Kind::Column(i), data_type: field.data_type().clone(), at: at.clone() },
    })
    .collect()
}

/// What `* EXCEPT (…)` or `* EXCLUDE (…)` leaves out.
fn left_out(
    options: &WildcardAdditionalOptions,
    scope: &Scope,
    planner: &Planner<'_>,
    at: &Range<usize>,
) -> Result<HashSet<usize>, SqlError> {
    let others = options.opt_ilike.is_some()
        || options.opt_replace.is_some()
        || options.opt_rename.is_some()
        || options.opt_alias.is_some();
    if others {
        return Err(SqlError::new("behind * there is EXCEPT or EXCLUDE, nothing else", at.clone()));
    }
    let mut names: Vec<&Ident> = Vec::new();
    if let Some(except) = &options.opt_except {
        names.push(&except.first_element);
        names.extend(&except.additional_elements);
    }
    let excluded = match &options.opt_exclude {
        None => &[][..],
        Some(ExcludeSelectItem::Single(name)) => std::slice::from_ref(name),
        Some(ExcludeSelectItem::Multiple(names)) => names.as_slice(),
    };
    for name in excluded {
        match name.0.as_slice() {
            [part] => names.extend(part.as_ident()),
            _ => return Err(SqlError::new(format!("a column is left out by its name alone: {name}"), at.clone())),
        }
    }
    let mut columns = HashSet::new();
    for name in names {
        let column = scope.column(name, planner.text)?;
        if !columns.insert(column) {
            let at = planner.text.range(name.span).unwrap_or(at.clone());
            return Err(SqlError::new(format!("a column is left out twice: {}", name.value), at));
        }
    }
    if columns.len() >= scope.own {
        return Err(SqlError::new("nothing is left of *", at.clone()));
    }
    Ok(columns)
}

/// That no constant has to become what it cannot be: it would fail in every row that asks for it.
fn possible(expr: &Expr) -> Result<(), SqlError> {
    if let Kind::Cast { value, or_null: false, .. } = &expr.kind
        && let Some(constant) = value.literal()
        && let Err(error) = cast::cast(constant, &expr.data_type, false)
    {
        return Err(SqlError::new(super::reason(&error), value.at.clone()));
    }
    expr.kind.children().try_for_each(possible)
}

/// A column of a type that can be written.
fn presentable(expr: Expr) -> Result<Expr, SqlError> {
    match &expr.data_type {
        DataType::Null => Ok(coerce(expr, &DataType::Utf8)),
        DataType::Interval(_) | DataType::Duration(_) => {
            Err(SqlError::new("a span of time cannot be written", expr.at.clone())
                .hint("its seconds are date_part('epoch', x)"))
        }
        _ => Ok(expr),
    }
}

fn only_once(items: &[Item]) -> Result<(), SqlError> {
    let mut seen = HashSet::new();
    for item in items {
        if !seen.insert(item.name.as_str()) {
            return Err(SqlError::new(format!("two columns have the same name: {}", item.name), item.expr.at.clone())
                .hint("name one of them with AS"));
        }
    }
    Ok(())
}

fn in_quotes(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The text with the names of columns as the table spells them, and with these edits.
fn spelled_out(
    statement: &Statement,
    scope: &Scope,
    names: Vec<(Range<usize>, usize)>,
    mut edits: Vec<(Range<usize>, String)>,
) -> String {
    let sql = statement.sql();
    let names = names.into_iter().filter(|(at, _)| !at.is_empty());
    edits.extend(names.map(|(at, column)| (at, in_quotes(scope.schema.field(column).name()))));
    edits.sort_by_key(|(at, _)| (at.start, at.end));
    let mut out = String::with_capacity(sql.len() + edits.len() * 8);
    let mut done = 0;
    for (at, text) in edits {
        if at.start >= done {
            out.push_str(&sql[done..at.start]);
            out.push_str(&text);
            done = at.end;
        }
    }
    out.push_str(&sql[done..]);
    out
}

//! Computes typed expressions on the rows of a batch.
//!
//! A value counts only in the rows that ask for it: a division by zero in a branch that no row takes is no error. Cheap
//! expressions are computed for all rows first, because that is faster; if that fails, once more for the rows that count.

mod branch;
mod frame;
mod logic;
mod member;
mod select;

pub(super) use frame::Frame;

use super::cast;
use super::expr::{Comparison, Expr, Kind};
use super::types;
use super::value::{Result, TextBuilder, Value, extent, failed, texts};
use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_ord::cmp;
use arrow_schema::{ArrowError, DataType};
use std::sync::Arc;

/// Levels of AND and OR that are computed for all rows at first: what fails is computed once more at each of them.
const CHEAP_LEVELS: usize = 2;

impl Expr {
    /// Its value in each row of the frame.
    // Expressions may be deep: what needs room on the stack is in functions of its own.
    pub(super) fn value(&self, frame: &Frame<'_>) -> Result<Value> {
        match &self.kind {
            Kind::Column(column) => frame.column(*column).map(Value::Array),
            Kind::Literal(value) => Ok(value.clone()),
            Kind::Arithmetic(..) => arithmetic(self, frame),
            Kind::Compare(op, left, right) => {
                let left = left.value(frame)?;
                compare(*op, &left, &right.value(frame)?)
            }
            Kind::And(list) => logic::decide(list, frame, logic::Stop::AtFalse),
            Kind::Or(list) => logic::decide(list, frame, logic::Stop::AtTrue),
            Kind::Not(value) => not(&value.value(frame)?),
            Kind::IsNull(value, wanted) => is_null(&value.value(frame)?, *wanted),
            Kind::IsTruth(value, truth, wanted) => is_truth(&value.value(frame)?, *truth, *wanted),
            Kind::Between { value, low, high, negated } => {
                let value = value.value(frame)?;
                let low = low.value(frame)?;
                between(&value, &low, &high.value(frame)?, *negated, frame.rows())
            }
            Kind::In { value, list, negated } => member::is_in(&value.value(frame)?, list, *negated, frame),
            Kind::Cast { value, or_null, text } => casted(&value.value(frame)?, &self.data_type, *or_null, text),
            Kind::Concat(list) => concat(list, frame),
            Kind::Case { operand, branches, otherwise } => {
                branch::Case { operand, branches, otherwise, data_type: &self.data_type }.value(frame)
            }
            Kind::Coalesce(list) => branch::coalesce(list, &self.data_type, frame),
            Kind::Call { arguments, run, text } => {
                let values = values(arguments, frame)?;
                run(&values, frame.rows()).map_err(|e| with_text(&e, text))
            }
        }
    }

    /// Whether it costs about as much as it would to pick the rows it is needed for.
    fn is_cheap(&self) -> bool {
        self.is_cheap_within(CHEAP_LEVELS)
    }

    fn is_cheap_within(&self, levels: usize) -> bool {
        let levels = match &self.kind {
            Kind::Column(_) | Kind::Literal(_) => return true,
            Kind::And(_) | Kind::Or(_) => match levels.checked_sub(1) {
                Some(levels) => levels,
                None => return false,
            },
            Kind::Arithmetic(..)
            | Kind::Compare(..)
            | Kind::Not(_)
            | Kind::IsNull(..)
            | Kind::IsTruth(..)
            | Kind::Between { .. } => levels,
            _ => return false,
        };
        self.kind.children().all(|child| child.is_cheap_within(levels))
    }
}

fn values(list: &[Expr], frame: &Frame<'_>) -> Result<Vec<Value>> {
    let mut values = Vec::with_capacity(list.len());
    for expr in list {
        values.push(expr.value(frame)?);
    }
    Ok(values)
}

/// Arithmetic from its leftmost value on, so that a long chain is no deep one.
fn arithmetic(expr: &Expr, frame: &Frame<'_>) -> Result<Value> {
    let mut links = Vec::new();
    let mut leftmost = expr;
    while let Kind::Arithmetic(op, left, right, text) = &leftmost.kind {
        links.push((*op, &**right, text, &leftmost.data_type));
        leftmost = left;
    }
    let mut so_far = leftmost.value(frame)?;
    for (op, right, text, data_type) in links.into_iter().rev() {
        let right = right.value(frame)?;
        let array = op.run(&so_far, &right).map_err(|e| arithmetic_failed(data_type, text, &e))?;
        so_far = Value::made(array, so_far.is_one() && right.is_one());
    }
    Ok(so_far)
}

fn not(value: &Value) -> Result<Value> {
    unary(value, |array| arrow_arith::boolean::not(array.as_boolean()))
}

fn is_null(value: &Value, wanted: bool) -> Result<Value> {
    unary(value, if wanted { arrow_arith::boolean::is_null } else { arrow_arith::boolean::is_not_null })
}

fn between(value: &Value, low: &Value, high: &Value, negated: bool, rows: usize) -> Result<Value> {
    let above = compare(Comparison::GreaterEq, value, low)?;
    let below = compare(Comparison::LessEq, value, high)?;
    let both = logic::and(&above, &below, rows)?;
    if negated { not(&both) } else { Ok(both) }
}

fn casted(value: &Value, to: &DataType, or_null: bool, text: &str) -> Result<Value> {
    cast::cast(value, to, or_null).map_err(|e| with_text(&e, text))
}

fn unary(value: &Value, run: impl Fn(&dyn Array) -> Result<BooleanArray>) -> Result<Value> {
    Ok(Value::made(Arc::new(run(value.array())?), value.is_one()))
}

fn is_truth(value: &Value, truth: bool, wanted: bool) -> Result<Value> {
    unary(value, |array| {
        let array = array.as_boolean();
        let bits = if truth { array.values().clone() } else { !array.values() };
        let bits = match array.nulls() {
            Some(nulls) => &bits & nulls.inner(),
            None => bits,
        };
        Ok(BooleanArray::new(if wanted { bits } else { !&bits }, None))
    })
}

/// Compares values of one type. Zero equals zero, whatever its sign.
fn compare(op: Comparison, left: &Value, right: &Value) -> Result<Value> {
    match left.array().data_type() {
        DataType::Float64 => {
            compare_exactly(op, &unsigned_zero::<Float64Type>(left, 0.0), &unsigned_zero::<Float64Type>(right, 0.0))
        }
        DataType::Float32 => {
            compare_exactly(op, &unsigned_zero::<Float32Type>(left, 0.0), &unsigned_zero::<Float32Type>(right, 0.0))
        }
        _ => compare_exactly(op, left, right),
    }
}

/// The same floats, without a sign before zero.
fn unsigned_zero<T: ArrowPrimitiveType>(value: &Value, zero: T::Native) -> Value
where
    T::Native: std::ops::Add<Output = T::Native>,
{
    match value.array().as_primitive_opt::<T>() {
        Some(array) => Value::made(Arc::new(array.unary::<_, T>(|x| x + zero)), value.is_one()),
        None => value.clone(),
    }
}

/// Compares values of one type as they lie in memory: for floats, with -0 below 0.
pub(super) fn compare_exactly(op: Comparison, left: &Value, right: &Value) -> Result<Value> {
    let array = match op {
        Comparison::Eq => cmp::eq(left, right),
        Comparison::NotEq => cmp::neq(left, right),
        Comparison::Less => cmp::lt(left, right),
        Comparison::LessEq => cmp::lt_eq(left, right),
        Comparison::Greater => cmp::gt(left, right),
        Comparison::GreaterEq => cmp::gt_eq(left, right),
        Comparison::Distinct => cmp::distinct(left, right),
        Comparison::NotDistinct => cmp::not_distinct(left, right),
    }?;
    Ok(Value::made(Arc::new(array), left.is_one() && right.is_one()))
}

/// Texts one behind the other; NULL if one of them is.
fn concat(list: &[Expr], frame: &Frame<'_>) -> Result<Value> {
    let values = values(list, frame)?;
    let (rows, one) = extent(&values, frame.rows());
    let parts = values.iter().map(texts).collect::<Result<Vec<_>>>()?;
    let mut out = TextBuilder::new(rows, rows * 16);
    let mut text = String::new();
    for row in 0..rows {
        text.clear();
        if parts.iter().all(|part| {
            part.get(row).is_some_and(|part| {
                text.push_str(part);
                true
            })
        }) {
            out.push(&text)?;
        } else {
            out.push_null()?;
        }
    }
    Ok(Value::made(out.finish(), one))
}

fn arithmetic_failed(data_type: &DataType, text: &str, error: &ArrowError) -> ArrowError {
    match error {
        ArrowError::DivideByZero => failed(format!("division by zero: {text}")),
        ArrowError::ArithmeticOverflow(_) => {
            failed(format!("the result is beyond the range of {}: {text}", types::name(data_type)))
        }
        other => with_text(other, text),
    }
}

/// An error with the part of the statement that it came from; one that has it already stays.
fn with_text(error: &ArrowError, text: &str) -> ArrowError {
    let message = super::reason(error);
    if message.ends_with(text) { failed(message) } else { failed(format!("{message}, in {text}")) }
}

/// A column of a value: what the projection puts out.
pub(super) fn column(expr: &Expr, frame: &Frame<'_>) -> Result<ArrayRef> {
    expr.value(frame)?.into_column(frame.rows())
}

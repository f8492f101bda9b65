//! CASE and COALESCE: a branch is computed for the rows that take it.

use super::select::select;
use super::{Frame, compare_exactly, logic};
use crate::actions::transform::sql::expr::{Comparison, Expr};
use crate::actions::transform::sql::value::{Result, Value};
use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_buffer::BooleanBuffer;
use arrow_schema::DataType;
use arrow_select::interleave::interleave;
use std::sync::Arc;

/// Up to this many branches are computed for all rows, if they are cheap, and picked from.
const CHEAP_MAX: usize = 3;

/// While more than one row of this many is open, a cheap condition is computed for all rows instead of picking them.
const FEW: usize = 4;

/// The parts of a CASE.
pub(super) struct Case<'e> {
    pub(super) operand: &'e Option<Box<Expr>>,
    pub(super) branches: &'e [(Expr, Expr)],
    pub(super) otherwise: &'e Option<Box<Expr>>,
    pub(super) data_type: &'e DataType,
}

impl Case<'_> {
    pub(super) fn value(&self, frame: &Frame<'_>) -> Result<Value> {
        let operand = self.operand.as_ref().map(|e| e.value(frame)).transpose()?;
        // Texts are better copied once, in the end.
        let most = if *self.data_type == DataType::Utf8 { 1 } else { CHEAP_MAX };
        let cheap = self.branches.len() <= most
            && self.branches.iter().all(|(when, then)| when.is_cheap() && then.is_cheap())
            && self.otherwise.as_ref().is_none_or(|e| e.is_cheap());
        if cheap && let Ok(value) = self.for_all_rows(operand.as_ref(), frame) {
            return Ok(value);
        }
        self.row_by_row(operand.as_ref(), frame)
    }

    fn otherwise(&self, frame: &Frame<'_>) -> Result<Value> {
        match self.otherwise {
            Some(expr) => expr.value(frame),
            None => Ok(Value::null(self.data_type)),
        }
    }

    fn condition(when: &Expr, operand: Option<&Value>, frame: &Frame<'_>) -> Result<BooleanBuffer> {
        let value = when.value(frame)?;
        let value = match operand {
            Some(operand) => compare_exactly(Comparison::Eq, operand, &value)?,
            None => value,
        };
        Ok(logic::is_true(&value.into_booleans(frame.rows())?))
    }

    /// Every branch for every row, then the right one of each row. Fails if any branch fails in any row.
    fn for_all_rows(&self, operand: Option<&Value>, frame: &Frame<'_>) -> Result<Value> {
        let mut value = self.otherwise(frame)?;
        for (when, then) in self.branches.iter().rev() {
            let mask = Self::condition(when, operand, frame)?;
            value = Value::Array(select(&mask, &then.value(frame)?, &value, self.data_type)?);
        }
        Ok(value)
    }

    /// Each condition for the rows that no earlier one took, each result for the rows that take it.
    fn row_by_row(&self, operand: Option<&Value>, frame: &Frame<'_>) -> Result<Value> {
        let rows = frame.rows();
        let mut parts = Parts::new(rows);
        let mut open = BooleanBuffer::new_set(rows);
        for (when, then) in self.branches {
            let left = open.count_set_bits();
            if left == 0 {
                break;
            }
            let for_all = if left == rows {
                Some(Self::condition(when, operand, frame)?)
            } else if left > rows / FEW && when.is_cheap() {
                Self::condition(when, operand, frame).ok()
            } else {
                None
            };
            let taken = if let Some(mask) = for_all {
                &mask & &open
            } else {
                let selection = BooleanArray::new(open.clone(), None);
                let some = Frame::filter(frame, &selection);
                let operand = match operand {
                    Some(Value::Array(array)) => Some(Value::Array(arrow_select::filter::filter(array, &selection)?)),
                    other => other.cloned(),
                };
                put_back(&Self::condition(when, operand.as_ref(), &some)?, &open)
            };
            parts.add(then, &taken, frame)?;
            open = &open & &!&taken;
        }
        match self.otherwise {
            Some(expr) => parts.add(expr, &open, frame)?,
            None => parts.add_null(self.data_type, &open),
        }
        parts.join(self.data_type)
    }
}

/// The bits of the open rows back in their places.
fn put_back(bits: &BooleanBuffer, open: &BooleanBuffer) -> BooleanBuffer {
    let mut out = arrow_buffer::BooleanBufferBuilder::new(open.len());
    out.append_n(open.len(), false);
    for (place, row) in open.set_indices().enumerate() {
        if bits.value(place) {
            out.set_bit(row, true);
        }
    }
    out.finish()
}

/// Values of some rows each, to be joined into one column.
struct Parts {
    arrays: Vec<ArrayRef>,
    /// For each row: which array, and where in it.
    places: Vec<(usize, usize)>,
}

impl Parts {
    fn new(rows: usize) -> Self {
        Self { arrays: Vec::new(), places: vec![(0, 0); rows] }
    }

    /// The value of an expression in these rows.
    fn add(&mut self, expr: &Expr, rows: &BooleanBuffer, frame: &Frame<'_>) -> Result<()> {
        let count = rows.count_set_bits();
        if count == 0 {
            return Ok(());
        }
        let value = if count == frame.rows() {
            expr.value(frame)?
        } else {
            expr.value(&Frame::filter(frame, &BooleanArray::new(rows.clone(), None)))?
        };
        self.put(&value, rows);
        Ok(())
    }

    fn add_null(&mut self, data_type: &DataType, rows: &BooleanBuffer) {
        if rows.count_set_bits() > 0 {
            self.put(&Value::null(data_type), rows);
        }
    }

    fn put(&mut self, value: &Value, rows: &BooleanBuffer) {
        let part = self.arrays.len();
        for (place, row) in rows.set_indices().enumerate() {
            self.places[row] = (part, if value.is_one() { 0 } else { place });
        }
        self.arrays.push(match value {
            Value::Array(array) => Arc::clone(array),
            Value::Scalar(one) => Arc::clone(&one.clone().into_inner()),
        });
    }

    fn join(self, data_type: &DataType) -> Result<Value> {
        if self.arrays.is_empty() {
            return Ok(Value::null(data_type));
        }
        let arrays: Vec<&dyn Array> = self.arrays.iter().map(AsRef::as_ref).collect();
        Ok(Value::Array(interleave(&arrays, &self.places)?))
    }
}

/// The first that is not NULL; later ones only for rows where the earlier ones are.
pub(super) fn coalesce(list: &[Expr], data_type: &DataType, frame: &Frame<'_>) -> Result<Value> {
    let rows = frame.rows();
    let cheap = list.len() <= CHEAP_MAX && *data_type != DataType::Utf8 && list.iter().all(Expr::is_cheap);
    if cheap && let Ok(value) = coalesce_for_all_rows(list, data_type, frame) {
        return Ok(value);
    }
    let mut parts = Parts::new(rows);
    let mut open = BooleanBuffer::new_set(rows);
    for expr in list {
        let count = open.count_set_bits();
        if count == 0 {
            break;
        }
        let all = count == rows;
        let value = if all {
            expr.value(frame)?
        } else {
            expr.value(&Frame::filter(frame, &BooleanArray::new(open.clone(), None)))?
        };
        if all && value.array().null_count() == 0 {
            return Ok(value);
        }
        let known = match value.array().nulls() {
            None => open.clone(),
            Some(nulls) if value.is_one() => {
                if nulls.is_valid(0) {
                    open.clone()
                } else {
                    BooleanBuffer::new_unset(rows)
                }
            }
            Some(nulls) => put_back(nulls.inner(), &open),
        };
        parts.put_known(&value, &open, &known);
        open = &open & &!&known;
    }
    parts.add_null(data_type, &open);
    parts.join(data_type)
}

/// Every value for every row, then the first known one. Fails if any value fails in any row.
fn coalesce_for_all_rows(list: &[Expr], data_type: &DataType, frame: &Frame<'_>) -> Result<Value> {
    let mut so_far = Value::null(data_type);
    for expr in list.iter().rev() {
        let value = expr.value(frame)?;
        so_far = match value.array().nulls() {
            None => value,
            Some(nulls) if value.is_one() => {
                if nulls.is_valid(0) {
                    value
                } else {
                    so_far
                }
            }
            Some(nulls) => Value::Array(select(nulls.inner(), &value, &so_far, data_type)?),
        };
    }
    Ok(so_far)
}

impl Parts {
    /// Values for the open rows, of which only the known ones are taken.
    fn put_known(&mut self, value: &Value, open: &BooleanBuffer, known: &BooleanBuffer) {
        let part = self.arrays.len();
        for (place, row) in open.set_indices().enumerate() {
            if known.value(row) {
                self.places[row] = (part, if value.is_one() { 0 } else { place });
            }
        }
        self.arrays.push(match value {
            Value::Array(array) => Arc::clone(array),
            Value::Scalar(one) => Arc::clone(&one.clone().into_inner()),
        });
    }
}

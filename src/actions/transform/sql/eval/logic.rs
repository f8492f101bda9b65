//! AND and OR with three values, which stop where the answer is known.

use super::Frame;
use crate::actions::transform::sql::expr::Expr;
use crate::actions::transform::sql::value::{Result, Value};
use arrow_arith::boolean::{and_kleene, or_kleene};
use arrow_array::{Array, BooleanArray};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder, NullBuffer};
use std::sync::Arc;

/// The value that settles the answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// AND.
    AtFalse,
    /// OR.
    AtTrue,
}

/// The values one after the other. A later one counts only in rows that the earlier ones do not settle; what would fail
/// in other rows does not.
pub(super) fn decide(list: &[Expr], frame: &Frame<'_>, stop: Stop) -> Result<Value> {
    let Some((first, others)) = list.split_first() else {
        return Ok(Value::of(BooleanArray::from(vec![stop == Stop::AtFalse])));
    };
    let mut so_far = first.value(frame)?;
    for next in others {
        let value = if let Some(Ok(value)) = next.is_cheap().then(|| next.value(frame)) {
            value
        } else {
            let settled = so_far.clone().into_booleans(frame.rows())?;
            let open = open_rows(&settled, stop);
            let count = open.true_count();
            if count == 0 {
                break;
            }
            if count == frame.rows() {
                next.value(frame)?
            } else {
                let some = Frame::filter(frame, &open);
                let found = next.value(&some)?.into_booleans(some.rows())?;
                Value::Array(Arc::new(put_back(&found, &open, stop)))
            }
        };
        so_far = match stop {
            Stop::AtFalse => and(&so_far, &value, frame.rows())?,
            Stop::AtTrue => or(&so_far, &value, frame.rows())?,
        };
    }
    Ok(so_far)
}

/// The rows that are not settled yet: neither the value that settles, nor NULL made one.
fn open_rows(settled: &BooleanArray, stop: Stop) -> BooleanArray {
    let bits = if stop == Stop::AtFalse { settled.values().clone() } else { !settled.values() };
    match settled.nulls() {
        Some(nulls) => BooleanArray::new(&bits | &!nulls.inner(), None),
        None => BooleanArray::new(bits, None),
    }
}

/// Values of some rows back in their places; the others are settled already.
fn put_back(found: &BooleanArray, open: &BooleanArray, stop: Stop) -> BooleanArray {
    let rows = open.len();
    let mut bits = BooleanBufferBuilder::new(rows);
    bits.append_n(rows, stop == Stop::AtTrue);
    let mut valid = found.nulls().map(|_| {
        let mut valid = BooleanBufferBuilder::new(rows);
        valid.append_n(rows, true);
        valid
    });
    for (place, row) in open.values().set_indices().enumerate() {
        bits.set_bit(row, found.value(place));
        if let Some(valid) = &mut valid {
            valid.set_bit(row, found.is_valid(place));
        }
    }
    BooleanArray::new(bits.finish(), valid.map(|mut v| NullBuffer::new(v.finish())))
}

/// Both, with NULL where that is not known.
pub(super) fn and(left: &Value, right: &Value, rows: usize) -> Result<Value> {
    let rows = if left.is_one() && right.is_one() { 1 } else { rows };
    let one = left.is_one() && right.is_one();
    let array = and_kleene(&left.clone().into_booleans(rows)?, &right.clone().into_booleans(rows)?)?;
    Ok(Value::made(Arc::new(array), one))
}

/// Either, with NULL where that is not known.
pub(super) fn or(left: &Value, right: &Value, rows: usize) -> Result<Value> {
    let one = left.is_one() && right.is_one();
    let rows = if one { 1 } else { rows };
    let array = or_kleene(&left.clone().into_booleans(rows)?, &right.clone().into_booleans(rows)?)?;
    Ok(Value::made(Arc::new(array), one))
}

/// The rows where a condition is true: NULL is not.
pub(in crate::actions::transform::sql) fn is_true(condition: &BooleanArray) -> BooleanBuffer {
    match condition.nulls() {
        Some(nulls) => condition.values() & nulls.inner(),
        None => condition.values().clone(),
    }
}

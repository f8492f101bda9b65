//! IN: whether a value is one of a list.

use super::{Frame, compare, compare_exactly, logic};
use crate::actions::transform::sql::expr::{Comparison, Expr};
use crate::actions::transform::sql::value::{Result, Value};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_buffer::BooleanBuffer;
use arrow_schema::DataType;
use std::collections::HashSet;
use std::sync::Arc;

/// From this many constants on they are looked up instead of compared one by one.
const LOOKUP_MIN: usize = 6;

/// Up to this many values are compared as by `=`; more are looked up by `DataFusion`, which tells -0 from 0 then.
const COMPARED_MAX: usize = 3;

/// Whether the value is one of the list; NULL if that is not known.
pub(super) fn is_in(value: &Value, list: &[Expr], negated: bool, frame: &Frame<'_>) -> Result<Value> {
    let found = if let Some(found) = lookup(value, list) {
        found
    } else {
        let mut found = Value::of(BooleanArray::from(vec![false]));
        let many = list.len() > COMPARED_MAX;
        for item in list {
            let item = item.value(frame)?;
            let equal = if many {
                compare_exactly(Comparison::Eq, value, &item)?
            } else {
                compare(Comparison::Eq, value, &item)?
            };
            found = logic::or(&found, &equal, frame.rows())?;
        }
        found
    };
    if negated { super::not(&found) } else { Ok(found) }
}

/// The same by a table, for many constants of the usual types.
fn lookup(value: &Value, list: &[Expr]) -> Option<Value> {
    if list.len() < LOOKUP_MIN || value.is_one() {
        return None;
    }
    let constants = list.iter().map(|e| e.literal().map(Value::array)).collect::<Option<Vec<_>>>()?;
    let known = constants.iter().filter(|c| c.is_valid(0));
    let has_null = constants.iter().any(|c| c.is_null(0));
    let array = value.array();
    let bits = match array.data_type() {
        DataType::Int64 => {
            let table: HashSet<i64> = known.map(|c| c.as_primitive::<Int64Type>().value(0)).collect();
            let values = array.as_primitive::<Int64Type>().values();
            BooleanBuffer::collect_bool(values.len(), |i| table.contains(&values[i]))
        }
        DataType::Utf8 => {
            let table: HashSet<&str> = known.map(|c| c.as_string::<i32>().value(0)).collect();
            let values = array.as_string::<i32>();
            BooleanBuffer::collect_bool(values.len(), |i| table.contains(values.value(i)))
        }
        _ => return None,
    };
    let mut nulls = array.nulls().cloned();
    if has_null {
        // What is not found may still equal the NULL.
        let unknown = arrow_buffer::NullBuffer::new(bits.clone());
        nulls = arrow_buffer::NullBuffer::union(nulls.as_ref(), Some(&unknown));
    }
    let array: ArrayRef = Arc::new(BooleanArray::new(bits, nulls));
    Some(Value::Array(array))
}

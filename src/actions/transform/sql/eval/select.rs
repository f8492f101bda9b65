//! Picks from two values row by row.

use crate::actions::transform::sql::value::{Result, TextBuilder, Value, failed, texts};
use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, ArrowPrimitiveType, BooleanArray, PrimitiveArray, downcast_primitive};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, NullBuffer};
use arrow_schema::DataType;
use std::hint::select_unpredictable;
use std::sync::Arc;

/// Bits of a mask that are looked at together.
const WORD: usize = 64;

/// `then` where the mask is set, and `other` elsewhere; both of one type.
pub(super) fn select(mask: &BooleanBuffer, then: &Value, other: &Value, data_type: &DataType) -> Result<ArrayRef> {
    macro_rules! primitive {
        ($t:ty) => {
            Ok(Arc::new(pick::<$t>(mask, then, other)?.with_data_type(data_type.clone())))
        };
    }
    downcast_primitive! {
        data_type => (primitive),
        DataType::Boolean => Ok(Arc::new(pick_booleans(mask, then, other))),
        DataType::Utf8 => {
            let (then, other) = (texts(then)?, texts(other)?);
            let mut out = TextBuilder::new(mask.len(), mask.len() * 8);
            for (row, taken) in mask.iter().enumerate() {
                out.push_option(if taken { then.get(row) } else { other.get(row) })?;
            }
            Ok(out.finish())
        }
        _ => Ok(arrow_select::zip::zip(&BooleanArray::new(mask.clone(), None), then, other)?),
    }
}

/// The values of one side.
enum Side<'a, N> {
    Many(&'a [N]),
    One(N),
}

fn side<T: ArrowPrimitiveType>(value: &Value, rows: usize) -> Result<Side<'_, T::Native>> {
    let array = value.array().as_primitive_opt::<T>().ok_or_else(|| failed("the branches differ in type"))?;
    if value.is_one() {
        return Ok(Side::One(array.value(0)));
    }
    array.values().get(..rows).map(Side::Many).ok_or_else(|| failed("a branch lacks rows"))
}

fn pick<T: ArrowPrimitiveType>(mask: &BooleanBuffer, then: &Value, other: &Value) -> Result<PrimitiveArray<T>> {
    let rows = mask.len();
    let values = match (side::<T>(then, rows)?, side::<T>(other, rows)?) {
        (Side::Many(a), Side::Many(b)) => two(mask, a, b),
        (Side::Many(a), Side::One(b)) => one(mask, a, b, true),
        (Side::One(a), Side::Many(b)) => one(mask, b, a, false),
        (Side::One(a), Side::One(b)) => one(mask, &vec![a; rows], b, true),
    };
    Ok(PrimitiveArray::new(values.into(), nulls(mask, then, other)))
}

/// `a` where a bit is set, else `b`. A word of bits at a time, so that the loop over it has a fixed length.
fn two<N: ArrowNativeType>(mask: &BooleanBuffer, a: &[N], b: &[N]) -> Vec<N> {
    let mut out = Vec::with_capacity(a.len());
    let words = mask.bit_chunks();
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<WORD>(), b.as_chunks::<WORD>());
    for (word, (a, b)) in words.iter().zip(a.iter().zip(b)) {
        let picked: [N; WORD] = std::array::from_fn(|i| select_unpredictable(word >> i & 1 == 1, a[i], b[i]));
        out.extend_from_slice(&picked);
    }
    let word = words.remainder_bits();
    out.extend(a_rest.iter().zip(b_rest).enumerate().map(|(i, (a, b))| if word >> i & 1 == 1 { *a } else { *b }));
    out
}

/// `many` where a bit is what is wanted, else `one`.
fn one<N: ArrowNativeType>(mask: &BooleanBuffer, many: &[N], one: N, wanted: bool) -> Vec<N> {
    let mut out = Vec::with_capacity(many.len());
    let words = mask.bit_chunks();
    let flip = if wanted { 0 } else { u64::MAX };
    let (many, rest) = many.as_chunks::<WORD>();
    for (word, many) in words.iter().zip(many) {
        let word = word ^ flip;
        let picked: [N; WORD] = std::array::from_fn(|i| select_unpredictable(word >> i & 1 == 1, many[i], one));
        out.extend_from_slice(&picked);
    }
    let word = words.remainder_bits() ^ flip;
    out.extend(rest.iter().enumerate().map(|(i, many)| if word >> i & 1 == 1 { *many } else { one }));
    out
}

fn pick_booleans(mask: &BooleanBuffer, then: &Value, other: &Value) -> BooleanArray {
    let rows = mask.len();
    let bits = |value: &Value| {
        let array = value.array().as_boolean();
        if value.is_one() { constant(array.value(0), rows) } else { array.values().clone() }
    };
    let values = &(mask & &bits(then)) | &(&!mask & &bits(other));
    BooleanArray::new(values, nulls(mask, then, other))
}

fn constant(value: bool, rows: usize) -> BooleanBuffer {
    if value { BooleanBuffer::new_set(rows) } else { BooleanBuffer::new_unset(rows) }
}

/// Which rows are not NULL, if one of the sides has NULLs.
fn nulls(mask: &BooleanBuffer, then: &Value, other: &Value) -> Option<NullBuffer> {
    if then.array().null_count() == 0 && other.array().null_count() == 0 {
        return None;
    }
    let valid = |value: &Value| match value.array().nulls() {
        None => constant(true, mask.len()),
        Some(nulls) if value.is_one() => constant(nulls.is_valid(0), mask.len()),
        Some(nulls) => nulls.inner().clone(),
    };
    Some(NullBuffer::new(&(mask & &valid(then)) | &(&!mask & &valid(other))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Float64Array, Int64Array, StringArray};
    use proptest::prelude::*;

    type Row = (bool, Option<i64>, Option<i64>);

    /// Each way to pick, against picking one by one.
    fn check(rows: &[Row], from: usize) {
        let all: BooleanBuffer = rows.iter().map(|row| row.0).collect();
        let mask = all.slice(from, rows.len() - from);
        let rows = &rows[from..];
        let a: Vec<Option<i64>> = rows.iter().map(|row| row.1).collect();
        let b: Vec<Option<i64>> = rows.iter().map(|row| row.2).collect();
        let many = |v: &[Option<i64>]| Value::Array(Arc::new(Int64Array::from(v.to_vec())));
        let one = |v: Option<i64>| Value::of(Int64Array::from(vec![v]));
        for (then, other, expect_a, expect_b) in [
            (many(&a), many(&b), a.clone(), b.clone()),
            (many(&a), one(Some(7)), a.clone(), vec![Some(7); rows.len()]),
            (one(None), many(&b), vec![None; rows.len()], b.clone()),
            (one(Some(1)), one(None), vec![Some(1); rows.len()], vec![None; rows.len()]),
        ] {
            let made = select(&mask, &then, &other, &DataType::Int64).unwrap();
            let expected: Int64Array =
                (0..rows.len()).map(|i| if rows[i].0 { expect_a[i] } else { expect_b[i] }).collect();
            assert_eq!(made.as_primitive::<arrow_array::types::Int64Type>(), &expected);
        }
        let texts = |v: &[Option<i64>]| {
            Value::Array(Arc::new(v.iter().map(|n| n.map(|n| n.to_string())).collect::<StringArray>()))
        };
        let truths =
            |v: &[Option<i64>]| Value::Array(Arc::new(v.iter().map(|n| n.map(|n| n > 0)).collect::<BooleanArray>()));
        for (then, other, data_type) in
            [(texts(&a), texts(&b), DataType::Utf8), (truths(&a), truths(&b), DataType::Boolean)]
        {
            let made = select(&mask, &then, &other, &data_type).unwrap();
            let picks: Vec<(usize, usize)> = (0..rows.len()).map(|i| (usize::from(!rows[i].0), i)).collect();
            let expected = arrow_select::interleave::interleave(&[then.array(), other.array()], &picks).unwrap();
            assert_eq!(&made, &expected);
        }
    }

    proptest! {
        #[test]
        fn rows_are_picked_as_one_by_one(
            rows in prop::collection::vec((any::<bool>(), any::<Option<i64>>(), any::<Option<i64>>()), 1..300),
            from in 0_usize..70,
        ) {
            check(&rows, from.min(rows.len() - 1));
        }
    }

    #[test]
    fn branches_of_other_types_or_lengths_are_errors() {
        let mask = BooleanBuffer::new_set(3);
        let ints = Value::Array(Arc::new(Int64Array::from(vec![1, 2])));
        let floats = Value::Array(Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0])));
        assert!(select(&mask, &ints, &ints, &DataType::Int64).is_err());
        assert!(select(&mask, &floats, &ints, &DataType::Float64).is_err());
    }
}

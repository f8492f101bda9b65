//! Picks from two values row by row.

use crate::actions::transform::sql::value::{Result, TextBuilder, Value, failed, texts};
use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, ArrowPrimitiveType, BooleanArray, PrimitiveArray, downcast_primitive};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, NullBuffer};
use arrow_schema::DataType;
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

/// Where the values of one side are, and how far apart.
enum Side<'a, N> {
    Many(&'a [N]),
    One(N),
}

impl<N: Copy> Side<'_, N> {
    #[inline]
    fn at(&self, row: usize) -> N {
        match self {
            Self::Many(values) => values[row],
            Self::One(value) => *value,
        }
    }
}

fn side<T: ArrowPrimitiveType>(value: &Value, rows: usize) -> Result<Side<'_, T::Native>> {
    let array = value.array().as_primitive_opt::<T>().ok_or_else(|| failed("the branches differ in type"))?;
    if value.is_one() {
        return Ok(Side::One(array.value(0)));
    }
    // The length is asked here, once, instead of in every row.
    array.values().get(..rows).map(Side::Many).ok_or_else(|| failed("a branch lacks rows"))
}

fn pick<T: ArrowPrimitiveType>(mask: &BooleanBuffer, then: &Value, other: &Value) -> Result<PrimitiveArray<T>> {
    let rows = mask.len();
    let values = match (side::<T>(then, rows)?, side::<T>(other, rows)?) {
        (Side::Many(a), Side::Many(b)) => {
            words(mask, |row, n| (&a[row..row + n], &b[row..row + n]), |(a, b), i, bit| if bit { a[i] } else { b[i] })
        }
        (Side::Many(a), Side::One(b)) => words(mask, |row, n| &a[row..row + n], |a, i, bit| if bit { a[i] } else { b }),
        (Side::One(a), Side::Many(b)) => words(mask, |row, n| &b[row..row + n], |b, i, bit| if bit { a } else { b[i] }),
        (a @ Side::One(_), b @ Side::One(_)) => {
            words(mask, |_, _| (), |(), _, bit| if bit { a.at(0) } else { b.at(0) })
        }
    };
    Ok(PrimitiveArray::new(values.into(), nulls(mask, then, other)))
}

/// Values for each bit of the mask, a word of bits at a time so that the loop needs no look into the mask per row.
fn words<N: ArrowNativeType, S: Copy>(
    mask: &BooleanBuffer,
    slice: impl Fn(usize, usize) -> S,
    choose: impl Fn(S, usize, bool) -> N,
) -> Vec<N> {
    let rows = mask.len();
    let mut out = Vec::with_capacity(rows);
    let chunks = mask.bit_chunks();
    let mut row = 0;
    for word in chunks.iter() {
        let part = slice(row, WORD);
        out.extend((0..WORD).map(|i| choose(part, i, word >> i & 1 == 1)));
        row += WORD;
    }
    let word = chunks.remainder_bits();
    let part = slice(row, rows - row);
    out.extend((0..rows - row).map(|i| choose(part, i, word >> i & 1 == 1)));
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

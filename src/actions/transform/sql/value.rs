//! What an expression yields: a column, or one value that stands for every row.
//!
//! One value is never spread over a column before it must be: kernels take it as it is.

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    TimestampMicrosecondType, TimestampNanosecondType,
};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Datum, PrimitiveArray, Scalar, StringArray, UInt32Array, new_null_array,
};
use arrow_buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, TimeUnit};
use std::sync::Arc;

/// Most bytes of text that one column of a batch may take: what makes more of it is an error, not a process without
/// memory.
pub(super) const TEXT_MAX: usize = 256 * 1024 * 1024;

/// The result of a computation.
pub(super) type Result<T> = std::result::Result<T, ArrowError>;

/// An error of a computation, said in our words.
pub(super) fn failed(message: impl Into<String>) -> ArrowError {
    ArrowError::ComputeError(message.into())
}

/// A column, or one value for every row.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Array(ArrayRef),
    Scalar(Scalar<ArrayRef>),
}

impl Datum for Value {
    fn get(&self) -> (&dyn Array, bool) {
        match self {
            Self::Array(array) => (array.as_ref(), false),
            Self::Scalar(scalar) => scalar.get(),
        }
    }
}

impl Value {
    /// One value from an array of one.
    pub(super) fn one(array: ArrayRef) -> Self {
        Self::Scalar(Scalar::new(array))
    }

    /// The same, from any array of one.
    pub(super) fn of(array: impl Array + 'static) -> Self {
        Self::one(Arc::new(array))
    }

    /// NULL of a type.
    pub(super) fn null(data_type: &DataType) -> Self {
        Self::one(new_null_array(data_type, 1))
    }

    /// The array behind it: one value long if it is one value.
    pub(super) fn array(&self) -> &dyn Array {
        self.get().0
    }

    pub(super) fn is_one(&self) -> bool {
        matches!(self, Self::Scalar(_))
    }

    /// What a kernel made of values: one value if all of them were.
    pub(super) fn made(array: ArrayRef, all_one: bool) -> Self {
        if all_one { Self::one(array) } else { Self::Array(array) }
    }

    /// A column of this many rows.
    pub(super) fn into_column(self, rows: usize) -> Result<ArrayRef> {
        match self {
            Self::Array(array) => Ok(array),
            Self::Scalar(scalar) => spread(&scalar.into_inner(), rows),
        }
    }

    /// A column of `true`, `false` and NULL.
    pub(super) fn into_booleans(self, rows: usize) -> Result<BooleanArray> {
        self.into_column(rows)?.as_boolean_opt().cloned().ok_or_else(|| failed("a condition is neither true nor false"))
    }
}

/// One value over many rows.
fn spread(one: &ArrayRef, rows: usize) -> Result<ArrayRef> {
    if rows == 1 {
        return Ok(Arc::clone(one));
    }
    if one.is_null(0) {
        return Ok(new_null_array(one.data_type(), rows));
    }
    Ok(match one.data_type() {
        DataType::Int64 => repeated::<Int64Type>(one, rows),
        DataType::Int32 => repeated::<Int32Type>(one, rows),
        DataType::Float64 => repeated::<Float64Type>(one, rows),
        DataType::Float32 => repeated::<Float32Type>(one, rows),
        DataType::Date32 => repeated::<Date32Type>(one, rows),
        DataType::Decimal128(..) => repeated::<Decimal128Type>(one, rows),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => repeated::<TimestampNanosecondType>(one, rows),
        DataType::Timestamp(TimeUnit::Microsecond, _) => repeated::<TimestampMicrosecondType>(one, rows),
        DataType::Boolean => {
            let value = one.as_boolean().value(0);
            Arc::new(BooleanArray::new(
                if value { BooleanBuffer::new_set(rows) } else { BooleanBuffer::new_unset(rows) },
                None,
            ))
        }
        DataType::Utf8 => {
            let text = one.as_string::<i32>().value(0);
            let mut out = TextBuilder::new(rows, text.len().saturating_mul(rows).min(TEXT_MAX));
            for _ in 0..rows {
                out.push(text)?;
            }
            out.finish()
        }
        _ => arrow_select::take::take(one, &UInt32Array::from_value(0, rows), None)?,
    })
}

fn repeated<T: ArrowPrimitiveType>(one: &ArrayRef, rows: usize) -> ArrayRef {
    let values = ScalarBuffer::from(vec![one.as_primitive::<T>().value(0); rows]);
    Arc::new(PrimitiveArray::<T>::new(values, None).with_data_type(one.data_type().clone()))
}

/// How many rows a row-wise function has to make of these values, and whether they are one value each.
pub(super) fn extent(values: &[Value], rows: usize) -> (usize, bool) {
    if values.iter().all(Value::is_one) { (1, true) } else { (rows, false) }
}

/// Reads the rows of a value; one value has it in every row.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a, A> {
    array: &'a A,
    nulls: Option<&'a NullBuffer>,
    last: usize,
}

impl<'a, A: Array> Rows<'a, A> {
    fn over(array: &'a A, is_one: bool) -> Self {
        Self { array, nulls: array.nulls(), last: if is_one { 0 } else { usize::MAX } }
    }

    /// The place of a row in the array, unless it is NULL there.
    fn at(&self, row: usize) -> Option<usize> {
        let place = row.min(self.last);
        if self.nulls.is_some_and(|nulls| nulls.is_null(place)) { None } else { Some(place) }
    }
}

/// The rows of a text.
pub(super) fn texts(value: &Value) -> Result<Rows<'_, StringArray>> {
    let array = value.array().as_string_opt::<i32>().ok_or_else(|| failed("a text was expected here"))?;
    Ok(Rows::over(array, value.is_one()))
}

impl<'a> Rows<'a, StringArray> {
    pub(super) fn get(&self, row: usize) -> Option<&'a str> {
        self.at(row).map(|place| self.array.value(place))
    }
}

/// The rows of a number, a day or a time.
pub(super) fn numbers<T: ArrowPrimitiveType>(value: &Value) -> Result<Rows<'_, PrimitiveArray<T>>> {
    let array = value.array().as_primitive_opt::<T>().ok_or_else(|| failed("a number was expected here"))?;
    Ok(Rows::over(array, value.is_one()))
}

impl<T: ArrowPrimitiveType> Rows<'_, PrimitiveArray<T>> {
    pub(super) fn get(&self, row: usize) -> Option<T::Native> {
        self.at(row).map(|place| self.array.value(place))
    }
}

/// Builds a column of text, and stops at [`TEXT_MAX`].
pub(super) struct TextBuilder {
    inner: StringBuilder,
    bytes: usize,
}

impl TextBuilder {
    pub(super) fn new(rows: usize, bytes: usize) -> Self {
        Self { inner: StringBuilder::with_capacity(rows, bytes), bytes: 0 }
    }

    pub(super) fn push(&mut self, text: &str) -> Result<()> {
        self.room(text.len())?;
        self.bytes += text.len();
        self.inner.append_value(text);
        Ok(())
    }

    #[allow(clippy::unnecessary_wraps)] // so that it stands in place of `push`
    pub(super) fn push_null(&mut self) -> Result<()> {
        self.inner.append_null();
        Ok(())
    }

    pub(super) fn push_option(&mut self, text: Option<&str>) -> Result<()> {
        match text {
            Some(text) => self.push(text),
            None => self.push_null(),
        }
    }

    /// Whether there is room for this many bytes more: asked before they are made.
    pub(super) fn room(&self, bytes: usize) -> Result<()> {
        if self.bytes.saturating_add(bytes) > TEXT_MAX {
            return Err(failed(format!("the text of one column grows beyond {} MiB", TEXT_MAX / (1024 * 1024))));
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> ArrayRef {
        Arc::new(self.inner.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Int64Array;

    #[test]
    fn one_value_spreads_over_rows() {
        let column = Value::of(Int64Array::from(vec![7])).into_column(3).unwrap();
        assert_eq!(column.as_primitive::<Int64Type>().values(), &[7, 7, 7]);
        let column = Value::of(StringArray::from(vec!["é"])).into_column(2).unwrap();
        assert_eq!(column.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("é"), Some("é")]);
        let column = Value::null(&DataType::Boolean).into_column(2).unwrap();
        assert_eq!((column.len(), column.null_count()), (2, 2));
        let one = Value::of(arrow_array::Decimal128Array::from(vec![5]).with_precision_and_scale(5, 2).unwrap());
        assert_eq!(one.into_column(2).unwrap().data_type(), &DataType::Decimal128(5, 2));
        assert!(Value::of(Int64Array::from(vec![7])).into_booleans(1).is_err());
    }

    #[test]
    fn rows_of_one_value_are_that_value() {
        let one = Value::of(StringArray::from(vec!["x"]));
        assert_eq!(texts(&one).unwrap().get(1000), Some("x"));
        let many = Value::Array(Arc::new(StringArray::from(vec![Some("a"), None])));
        let rows = texts(&many).unwrap();
        assert_eq!((rows.get(0), rows.get(1)), (Some("a"), None));
        assert!(numbers::<Int64Type>(&many).is_err());
    }

    #[test]
    fn text_stops_at_its_bound() {
        let mut out = TextBuilder::new(1, 0);
        out.push("x").unwrap();
        assert!(out.room(TEXT_MAX - 1).is_ok());
        assert!(out.room(TEXT_MAX).unwrap_err().to_string().contains("grows beyond 256 MiB"));
    }
}

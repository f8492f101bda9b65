//! Functions on numbers.

use crate::actions::transform::sql::error::SqlError;
use crate::actions::transform::sql::expr::Expr;
use crate::actions::transform::sql::plan::{Call, constant};
use crate::actions::transform::sql::value::{Result as Computed, Value, extent, failed, numbers};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
};
use arrow_array::{ArrayRef, Float64Array, PrimitiveArray};
use arrow_schema::DataType;
use std::sync::Arc;

type Planned = Result<Expr, SqlError>;

/// Each number by itself; the type stays as it is, with digits and places of a decimal.
pub(super) fn each<T: ArrowPrimitiveType>(
    value: &Value,
    data_type: &DataType,
    compute: impl Fn(T::Native) -> Computed<T::Native>,
) -> Computed<Value> {
    let array = value.array().as_primitive_opt::<T>().ok_or_else(|| failed("a number was expected here"))?;
    let made: PrimitiveArray<T> = array.try_unary(compute)?;
    let made: ArrayRef = Arc::new(made.with_data_type(data_type.clone()));
    Ok(Value::made(made, value.is_one()))
}

/// A function of a float, in the precision of its argument.
fn of_float(mut call: Call<'_>, wide: fn(f64) -> Computed<f64>, narrow: fn(f32) -> Computed<f32>) -> Planned {
    call.count(1..=1)?;
    call.float(0)?;
    let data_type = call.type_of(0).clone();
    Ok(call.run(data_type.clone(), move |values, _| match data_type {
        DataType::Float32 => each::<Float32Type>(&values[0], &data_type, narrow),
        _ => each::<Float64Type>(&values[0], &data_type, wide),
    }))
}

pub(super) fn sqrt(call: Call<'_>) -> Planned {
    fn checked(is_negative: bool) -> Computed<()> {
        if is_negative { Err(failed("a negative number has no square root")) } else { Ok(()) }
    }
    of_float(call, |x| checked(x < 0.0).map(|()| x.sqrt()), |x| checked(x < 0.0).map(|()| x.sqrt()))
}

pub(super) fn exp(call: Call<'_>) -> Planned {
    of_float(call, |x| Ok(x.exp()), |x| Ok(x.exp()))
}

pub(super) fn ln(call: Call<'_>) -> Planned {
    of_float(call, |x| Ok(x.ln()), |x| Ok(x.ln()))
}

pub(super) fn log10(call: Call<'_>) -> Planned {
    of_float(call, |x| Ok(x.log10()), |x| Ok(x.log10()))
}

pub(super) fn log2(call: Call<'_>) -> Planned {
    of_float(call, |x| Ok(x.log2()), |x| Ok(x.log2()))
}

pub(super) fn signum(call: Call<'_>) -> Planned {
    of_float(call, |x| Ok(if x == 0.0 { 0.0 } else { x.signum() }), |x| Ok(if x == 0.0 { 0.0 } else { x.signum() }))
}

pub(super) fn pi(call: Call<'_>) -> Planned {
    call.count(0..=0)?;
    Ok(constant(Value::of(Float64Array::from(vec![std::f64::consts::PI])), call.at))
}

pub(super) fn power(mut call: Call<'_>) -> Planned {
    call.count(2..=2)?;
    for i in 0..2 {
        if !call.type_of(i).is_numeric() && !call.type_of(i).is_null() {
            return Err(call.wrong(i, "a number"));
        }
        call.make(i, &DataType::Float64);
    }
    Ok(call.run(DataType::Float64, |values, rows| {
        two_floats(values, rows, |base, exponent| {
            if base == 0.0 && exponent < 0.0 {
                return Err(failed("zero has no negative power"));
            }
            Ok(base.powf(exponent))
        })
    }))
}

pub(super) fn log(mut call: Call<'_>) -> Planned {
    call.count(1..=2)?;
    for i in 0..call.arguments.len() {
        if matches!(call.type_of(i), DataType::Decimal128(..) | DataType::Float32) {
            return Err(call.wrong(i, "an int or a float").hint("CAST it: `log(CAST(x AS DOUBLE))`"));
        }
        call.float(i)?;
    }
    if call.arguments.len() == 1 {
        return Ok(call.run(DataType::Float64, |values, _| {
            each::<Float64Type>(&values[0], &DataType::Float64, |x| Ok(x.log(10.0)))
        }));
    }
    Ok(call.run(DataType::Float64, |values, rows| two_floats(values, rows, |base, x| Ok(x.log(base)))))
}

fn two_floats(values: &[Value], rows: usize, compute: fn(f64, f64) -> Computed<f64>) -> Computed<Value> {
    let (rows, one) = extent(values, rows);
    let (a, b) = (numbers::<Float64Type>(&values[0])?, numbers::<Float64Type>(&values[1])?);
    let made = (0..rows).map(|row| match (a.get(row), b.get(row)) {
        (Some(a), Some(b)) => compute(a, b).map(Some),
        _ => Ok(None),
    });
    let made: ArrayRef = Arc::new(made.collect::<Computed<Float64Array>>()?);
    Ok(Value::made(made, one))
}

pub(super) fn abs(mut call: Call<'_>) -> Planned {
    call.count(1..=1)?;
    if call.type_of(0).is_null() {
        call.make(0, &DataType::Float64);
    }
    let data_type = call.type_of(0).clone();
    if !data_type.is_numeric() {
        return Err(call.wrong(0, "a number"));
    }
    if data_type.is_unsigned_integer() {
        return Ok(call.arguments.remove(0));
    }
    let beyond = || failed("the result is beyond the range of its type");
    Ok(call.run(data_type.clone(), move |values, _| {
        let value = &values[0];
        match &data_type {
            DataType::Int8 => each::<Int8Type>(value, &data_type, |x| x.checked_abs().ok_or_else(beyond)),
            DataType::Int16 => each::<Int16Type>(value, &data_type, |x| x.checked_abs().ok_or_else(beyond)),
            DataType::Int32 => each::<Int32Type>(value, &data_type, |x| x.checked_abs().ok_or_else(beyond)),
            DataType::Int64 => each::<Int64Type>(value, &data_type, |x| x.checked_abs().ok_or_else(beyond)),
            DataType::Float32 => each::<Float32Type>(value, &data_type, |x| Ok(x.abs())),
            DataType::Float64 => each::<Float64Type>(value, &data_type, |x| Ok(x.abs())),
            _ => each::<Decimal128Type>(value, &data_type, |x| x.checked_abs().ok_or_else(beyond)),
        }
    }))
}

//! Rounding: of floats, decimals and whole numbers, each in its own type.

use super::number::each;
use crate::actions::transform::sql::error::SqlError;
use crate::actions::transform::sql::expr::Expr;
use crate::actions::transform::sql::plan::Call;
use crate::actions::transform::sql::types::DIGITS_MAX;
use crate::actions::transform::sql::value::{Result as Computed, Value, extent, failed, numbers};
use arrow_array::types::{
    ArrowPrimitiveType, Decimal128Type, DecimalType, Float32Type, Float64Type, Int32Type, Int64Type,
};
use arrow_array::{ArrayRef, PrimitiveArray};
use arrow_schema::DataType;
use std::sync::Arc;

type Planned = Result<Expr, SqlError>;

fn beyond() -> arrow_schema::ArrowError {
    failed("the result is beyond the range of its type")
}

pub(super) fn ceil(call: Call<'_>) -> Planned {
    to_whole(call, f64::ceil, f32::ceil, |value, factor| {
        let rest = value % factor;
        if rest > 0 { value - rest + factor } else { value - rest }
    })
}

pub(super) fn floor(call: Call<'_>) -> Planned {
    to_whole(call, f64::floor, f32::floor, |value, factor| {
        let rest = value % factor;
        if rest < 0 { value - rest - factor } else { value - rest }
    })
}

fn to_whole(
    mut call: Call<'_>,
    wide: fn(f64) -> f64,
    narrow: fn(f32) -> f32,
    decimal: fn(i128, i128) -> i128,
) -> Planned {
    call.count(1..=1)?;
    if !matches!(call.type_of(0), DataType::Decimal128(..)) {
        call.float(0)?;
    }
    let data_type = call.type_of(0).clone();
    Ok(call.run(data_type.clone(), move |values, _| {
        let value = &values[0];
        match data_type {
            DataType::Decimal128(digits, places) => {
                let factor = ten_to(i64::from(places)).unwrap_or(1);
                each::<Decimal128Type>(value, &data_type, |x| {
                    let made = decimal(x, factor);
                    Decimal128Type::validate_decimal_precision(made, digits, places).map_err(|_| beyond())?;
                    Ok(made)
                })
            }
            DataType::Float32 => each::<Float32Type>(value, &data_type, |x| Ok(narrow(x))),
            _ => each::<Float64Type>(value, &data_type, |x| Ok(wide(x))),
        }
    }))
}

fn ten_to(exponent: i64) -> Option<i128> {
    10_i128.checked_pow(u32::try_from(exponent).ok()?)
}

/// A number and a count of places for each row.
fn with_places<T: ArrowPrimitiveType, P: ArrowPrimitiveType>(
    values: &[Value],
    rows: usize,
    data_type: &DataType,
    compute: impl Fn(T::Native, P::Native) -> Computed<T::Native>,
) -> Computed<Value> {
    let (rows, one) = extent(values, rows);
    let (number, places) = (numbers::<T>(&values[0])?, numbers::<P>(&values[1])?);
    let made = (0..rows).map(|row| match (number.get(row), places.get(row)) {
        (Some(number), Some(places)) => compute(number, places).map(Some),
        _ => Ok(None),
    });
    let made = made.collect::<Computed<Vec<_>>>()?;
    let made: PrimitiveArray<T> = made.into_iter().collect();
    let made: ArrayRef = Arc::new(made.with_data_type(data_type.clone()));
    Ok(Value::made(made, one))
}

pub(super) fn round(mut call: Call<'_>) -> Planned {
    call.count(1..=2)?;
    let known = known_places(&mut call)?;
    let from = call.type_of(0).clone();
    let data_type = match &from {
        DataType::Decimal128(digits, places) => rounded_type(*digits, *places, known),
        whole if whole.is_integer() => {
            // Whole numbers of other widths are rare enough to be asked for a CAST.
            if !matches!(whole, DataType::Int64 | DataType::Int32) {
                return Err(call.wrong(0, "an int, a decimal or a float"));
            }
            from.clone()
        }
        _ => {
            call.float(0)?;
            call.type_of(0).clone()
        }
    };
    if call.arguments.len() == 1 {
        let zero = crate::actions::transform::sql::plan::constant(
            Value::of(arrow_array::Int32Array::from(vec![0])),
            call.at.clone(),
        );
        call.arguments.push(zero);
    }
    Ok(call.run(data_type.clone(), move |values, rows| match (&from, &data_type) {
        (DataType::Decimal128(digits, places), DataType::Decimal128(out_digits, out_places)) => {
            with_places::<Decimal128Type, Int32Type>(values, rows, &data_type, |x, to| {
                let made = round_decimal(x, *digits, *places, *out_places, to)?;
                Decimal128Type::validate_decimal_precision(made, *out_digits, *out_places).map_err(|_| beyond())?;
                Ok(made)
            })
        }
        (DataType::Int64, _) => with_places::<Int64Type, Int32Type>(values, rows, &data_type, round_whole),
        (DataType::Int32, _) => with_places::<Int32Type, Int32Type>(values, rows, &data_type, |x, to| {
            i32::try_from(round_whole(i64::from(x), to)?).map_err(|_| beyond())
        }),
        (DataType::Float32, _) => with_places::<Float32Type, Int32Type>(values, rows, &data_type, |x, to| {
            let factor = 10_f32.powi(to);
            Ok((x * factor).round() / factor)
        }),
        _ => with_places::<Float64Type, Int32Type>(values, rows, &data_type, |x, to| {
            let factor = 10_f64.powi(to);
            Ok((x * factor).round() / factor)
        }),
    }))
}

/// The places to round to: `Some` if they are known beforehand.
fn known_places(call: &mut Call<'_>) -> Result<Option<i32>, SqlError> {
    if call.arguments.len() < 2 {
        return Ok(Some(0));
    }
    if !call.type_of(1).is_integer() && !call.type_of(1).is_null() {
        return Err(call.wrong(1, "a whole number"));
    }
    call.make(1, &DataType::Int32);
    let Some(value) = call.arguments[1].literal() else {
        // A constant that has no 32 bits is one that could not be made a literal.
        return Ok(None);
    };
    Ok(Some(numbers::<Int32Type>(value).ok().and_then(|rows| rows.get(0)).unwrap_or(0)))
}

/// A decimal loses the places that are rounded away, if they are known beforehand.
fn rounded_type(digits: u8, places: i8, to: Option<i32>) -> DataType {
    match to {
        Some(to) => {
            let kept = i32::from(places).min(to.max(0));
            let wider = places == 0 && to < 0 && to.unsigned_abs() <= u32::from(digits);
            let digits = if wider { (digits + 1).min(DIGITS_MAX) } else { digits };
            DataType::Decimal128(digits, i8::try_from(kept).unwrap_or(places))
        }
        None => DataType::Decimal128((digits + 1).min(DIGITS_MAX), places),
    }
}

fn round_decimal(value: i128, digits: u8, places: i8, out_places: i8, to: i32) -> Computed<i128> {
    if to < 0 && i64::from(to.unsigned_abs()) > i64::from(digits) - i64::from(places) {
        return Ok(0);
    }
    let cut = i64::from(places) - i64::from(to);
    if cut <= 0 {
        return Ok(value);
    }
    let factor = ten_to(cut).ok_or_else(beyond)?;
    let (mut quotient, rest) = (value / factor, value % factor);
    if rest >= factor / 2 {
        quotient += 1;
    } else if rest <= -(factor / 2) {
        quotient -= 1;
    }
    let shift = ten_to(i64::from(out_places) - i64::from(to)).ok_or_else(beyond)?;
    quotient.checked_mul(shift).ok_or_else(beyond)
}

fn round_whole(value: i64, to: i32) -> Computed<i64> {
    if to >= 0 || value == 0 {
        return Ok(value);
    }
    let Some(factor) = 10_i64.checked_pow(to.unsigned_abs()) else { return Ok(0) };
    let (quotient, rest) = (value / factor, value % factor);
    let step = if rest >= factor / 2 {
        1
    } else if rest <= -(factor / 2) {
        -1
    } else {
        0
    };
    (quotient + step).checked_mul(factor).ok_or_else(beyond)
}

pub(super) fn trunc(mut call: Call<'_>) -> Planned {
    call.count(1..=2)?;
    if !matches!(call.type_of(0), DataType::Decimal128(..)) {
        call.float(0)?;
    }
    let data_type = call.type_of(0).clone();
    if call.arguments.len() == 1 {
        return Ok(call.run(data_type.clone(), move |values, _| match data_type {
            DataType::Decimal128(_, places) => {
                each::<Decimal128Type>(&values[0], &data_type, |x| Ok(cut_decimal(x, places, 0)))
            }
            // Zero has no sign here.
            DataType::Float32 => {
                each::<Float32Type>(&values[0], &data_type, |x| Ok(if x == 0.0 { 0.0 } else { x.trunc() }))
            }
            _ => each::<Float64Type>(&values[0], &data_type, |x| Ok(if x == 0.0 { 0.0 } else { x.trunc() })),
        }));
    }
    call.whole(1)?;
    Ok(call.run(data_type.clone(), move |values, rows| match data_type {
        DataType::Decimal128(_, places) => {
            with_places::<Decimal128Type, Int64Type>(values, rows, &data_type, |x, to| Ok(cut_decimal(x, places, to)))
        }
        DataType::Float32 => with_places::<Float32Type, Int64Type>(values, rows, &data_type, |x, to| {
            let factor = 10_f32.powi(small(to)?);
            Ok((x * factor).trunc() / factor)
        }),
        _ => with_places::<Float64Type, Int64Type>(values, rows, &data_type, |x, to| {
            let factor = 10_f64.powi(small(to)?);
            Ok((x * factor).trunc() / factor)
        }),
    }))
}

fn small(places: i64) -> Computed<i32> {
    i32::try_from(places).map_err(|_| failed(format!("the count of places has more than 32 bits: {places}")))
}

fn cut_decimal(value: i128, places: i8, to: i64) -> i128 {
    let cut = i64::from(places).saturating_sub(to);
    if cut <= 0 {
        return value;
    }
    match ten_to(cut) {
        Some(factor) if cut < i64::from(DIGITS_MAX) => value / factor * factor,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_round_to_tens() {
        assert_eq!(round_whole(125, -1).unwrap(), 130);
        assert_eq!(round_whole(-125, -1).unwrap(), -130);
        assert_eq!(round_whole(124, -1).unwrap(), 120);
        assert_eq!(round_whole(5, -30).unwrap(), 0);
        assert!(round_whole(i64::MAX, -1).is_err());
    }

    #[test]
    fn decimals_round_and_are_cut_in_their_places() {
        assert_eq!(round_decimal(12_345, 10, 2, 1, 1).unwrap(), 1235);
        assert_eq!(round_decimal(-12_345, 10, 2, 1, 1).unwrap(), -1235);
        assert_eq!(round_decimal(12_345, 10, 2, 0, -1).unwrap(), 120);
        assert_eq!(round_decimal(12_345, 10, 2, 2, -9).unwrap(), 0);
        assert_eq!(rounded_type(10, 2, Some(1)), DataType::Decimal128(10, 1));
        assert_eq!(rounded_type(10, 2, None), DataType::Decimal128(11, 2));
        assert_eq!(cut_decimal(-12_399, 2, 1), -12_390);
        assert_eq!(cut_decimal(5, 2, i64::MIN), 0);
    }
}

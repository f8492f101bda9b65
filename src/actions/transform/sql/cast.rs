//! CAST and `TRY_CAST`: arrow's conversions, with the value that failed in the message.

use super::types;
use super::value::{Result, Value, failed};
use arrow_arith::aggregate::{max, min};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_cast::display::{ArrayFormatter, DurationFormat, FormatOptions};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{ArrowError, DataType, TimeUnit};

/// Longest value that a message quotes, in characters.
const QUOTED_MAX: usize = 60;

/// How values become text: as `DataFusion` has it.
pub(super) const FORMAT: FormatOptions<'static> = FormatOptions::new().with_duration_format(DurationFormat::Pretty);

const fn options(or_null: bool) -> CastOptions<'static> {
    CastOptions { safe: or_null, format_options: FORMAT }
}

/// The value in another type. What cannot be cast is an error, or NULL where that is asked for.
pub(super) fn cast(value: &Value, to: &DataType, or_null: bool) -> Result<Value> {
    let array = value.array();
    if array.data_type() == to {
        return Ok(value.clone());
    }
    let made = if or_null {
        cast_with_options(array, to, &options(true))
    } else {
        within_range(array, to).and_then(|()| cast_with_options(array, to, &options(false)))
    };
    match made {
        Ok(made) => Ok(Value::made(made, value.is_one())),
        Err(error) => Err(named(array, to, &error)),
    }
}

/// The first value that cannot be cast, in words.
fn named(array: &dyn Array, to: &DataType, error: &ArrowError) -> ArrowError {
    let culprit = cast_with_options(array, to, &options(true))
        .ok()
        .and_then(|tried| (0..array.len()).find(|row| array.is_valid(*row) && tried.is_null(*row)));
    let Some(row) = culprit else { return failed(super::reason(error)) };
    let shown = match array.as_string_opt::<i32>() {
        Some(texts) => format!("{:?}", crate::model::text::cut(texts.value(row), QUOTED_MAX)),
        None => shown(array, row),
    };
    failed(format!("cannot be made {}: {shown}", with_article(to)))
}

fn shown(array: &dyn Array, row: usize) -> String {
    ArrayFormatter::try_new(array, &FORMAT).map_or_else(|_| String::new(), |f| f.value(row).to_string())
}

/// `a date`, `an int`.
pub(super) fn with_article(data_type: &DataType) -> String {
    let name = types::name(data_type);
    let article = if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {name}")
}

/// Days and coarse times are multiplied on the way to a finer unit, which the kernel does without looking.
fn within_range(array: &dyn Array, to: &DataType) -> Result<()> {
    use arrow_array::types::{Date32Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampSecondType};
    let DataType::Timestamp(to_unit, _) = to else { return Ok(()) };
    let per_second = |unit: TimeUnit| match unit {
        TimeUnit::Second => 1_i64,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    };
    let (low, high, factor) = match array.data_type() {
        DataType::Date32 => {
            let days = array.as_primitive::<Date32Type>();
            (min(days).map(i64::from), max(days).map(i64::from), 86_400 * per_second(*to_unit))
        }
        DataType::Timestamp(from, _) if per_second(*from) < per_second(*to_unit) => {
            let factor = per_second(*to_unit) / per_second(*from);
            let (low, high) = match from {
                TimeUnit::Second => {
                    let times = array.as_primitive::<TimestampSecondType>();
                    (min(times), max(times))
                }
                TimeUnit::Millisecond => {
                    let times = array.as_primitive::<TimestampMillisecondType>();
                    (min(times), max(times))
                }
                TimeUnit::Microsecond | TimeUnit::Nanosecond => {
                    let times = array.as_primitive::<TimestampMicrosecondType>();
                    (min(times), max(times))
                }
            };
            (low, high, factor)
        }
        _ => return Ok(()),
    };
    for value in [low, high].into_iter().flatten() {
        if value.checked_mul(factor).is_none() {
            return Err(failed("the time is beyond the range of a timestamp in nanoseconds, years 1678 to 2261"));
        }
    }
    Ok(())
}

/// One time in the unit of another, unless something would be lost.
pub(super) fn exactly(one: &Value, to: &DataType) -> Option<Value> {
    let there = cast(one, to, true).ok().filter(|v| v.array().is_valid(0))?;
    let nanos = DataType::Timestamp(TimeUnit::Nanosecond, None);
    let (fine, back) = (cast(one, &nanos, true).ok()?, cast(&there, &nanos, true).ok()?);
    // Beyond the range of nanoseconds both are NULL.
    (fine.array().to_data() == back.array().to_data()).then_some(there)
}

/// A column in another type; what cannot be cast is an error.
pub(super) fn column_to(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    cast(&Value::Array(array.clone()), to, false)?.into_column(array.len())
}

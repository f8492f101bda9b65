//! Days and times. There are no time zones: a time with an offset is turned to UTC.

use crate::actions::transform::sql::cast;
use crate::actions::transform::sql::error::SqlError;
use crate::actions::transform::sql::expr::{Expr, Run};
use crate::actions::transform::sql::plan::{Call, constant};
use crate::actions::transform::sql::types::{Arithmetic, INTERVAL};
use crate::actions::transform::sql::value::{Result as Computed, Value, extent, failed, numbers};
use arrow_arith::temporal::{DatePart, date_part as part_of};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, ArrowTimestampType, Date32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, ArrayRef, Date32Array, Int32Array, Int64Array, PrimitiveArray, TimestampNanosecondArray};
use arrow_cast::parse::IntervalUnit;
use arrow_schema::{DataType, TimeUnit};
use chrono::{Datelike, NaiveDate};
use std::str::FromStr;
use std::sync::Arc;

type Planned = Result<Expr, SqlError>;

const NANOS: DataType = DataType::Timestamp(TimeUnit::Nanosecond, None);
const DAY_SECONDS: i64 = 86_400;

pub(super) fn beyond() -> arrow_schema::ArrowError {
    failed("the time is beyond the range of a timestamp in nanoseconds, years 1678 to 2261")
}

pub(super) fn beyond_dates() -> arrow_schema::ArrowError {
    failed("the day is beyond the range of date")
}

/// Days and counts of days, which arrow does not compute with.
pub(in crate::actions::transform::sql) fn days(op: Arithmetic, left: &DataType, right: &DataType) -> Option<Arc<Run>> {
    let count = |value: &Value, rows: usize, make: fn(i64, i64) -> Option<i64>, other: &Value| {
        let dates = numbers::<Date32Type>(value)?;
        let counts = numbers::<Int64Type>(other)?;
        let made = (0..rows).map(|row| match (dates.get(row), counts.get(row)) {
            (Some(day), Some(days)) => {
                let made = make(i64::from(day), days).and_then(|day| i32::try_from(day).ok());
                made.map(Some).ok_or_else(beyond_dates)
            }
            _ => Ok(None),
        });
        made.collect::<Computed<Date32Array>>()
    };
    match (op, left, right) {
        (Arithmetic::Sub, DataType::Date32, DataType::Date32) => Some(Arc::new(|values, rows| {
            let (rows, one) = extent(values, rows);
            let (a, b) = (numbers::<Date32Type>(&values[0])?, numbers::<Date32Type>(&values[1])?);
            let made: Int64Array = (0..rows).map(|row| Some(i64::from(a.get(row)?) - i64::from(b.get(row)?))).collect();
            Ok(Value::made(Arc::new(made), one))
        })),
        (Arithmetic::Add, DataType::Date32, DataType::Int64) => Some(Arc::new(move |values, rows| {
            let (rows, one) = extent(values, rows);
            Ok(Value::made(Arc::new(count(&values[0], rows, i64::checked_add, &values[1])?), one))
        })),
        (Arithmetic::Add, DataType::Int64, DataType::Date32) => Some(Arc::new(move |values, rows| {
            let (rows, one) = extent(values, rows);
            Ok(Value::made(Arc::new(count(&values[1], rows, i64::checked_add, &values[0])?), one))
        })),
        (Arithmetic::Sub, DataType::Date32, DataType::Int64) => Some(Arc::new(move |values, rows| {
            let (rows, one) = extent(values, rows);
            Ok(Value::made(Arc::new(count(&values[0], rows, i64::checked_sub, &values[1])?), one))
        })),
        _ => None,
    }
}

pub(super) fn now(call: Call<'_>) -> Planned {
    call.count(0..=0)?;
    let nanos = call.planner.now.timestamp_nanos_opt();
    Ok(constant(Value::of(TimestampNanosecondArray::from(vec![nanos])), call.at))
}

pub(super) fn current_date(call: Call<'_>) -> Planned {
    call.count(0..=0)?;
    let days = Date32Type::from_naive_date(call.planner.now.date_naive());
    Ok(constant(Value::of(Date32Array::from(vec![days])), call.at))
}

/// The units of `date_trunc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// A fixed count of nanoseconds.
    Nanos(i64),
    Week,
    Month,
    Quarter,
    Year,
}

const SECOND: i64 = 1_000_000_000;

impl Unit {
    const NAMES: [(&'static str, Self); 10] = [
        ("microsecond", Self::Nanos(1_000)),
        ("millisecond", Self::Nanos(1_000_000)),
        ("second", Self::Nanos(SECOND)),
        ("minute", Self::Nanos(60 * SECOND)),
        ("hour", Self::Nanos(3_600 * SECOND)),
        ("day", Self::Nanos(DAY_SECONDS * SECOND)),
        ("week", Self::Week),
        ("month", Self::Month),
        ("quarter", Self::Quarter),
        ("year", Self::Year),
    ];

    /// The start of the unit, for a value with this many nanoseconds to its step.
    fn start(self, value: i64, step: i64) -> Computed<i64> {
        if let Self::Nanos(unit) = self {
            let unit = (unit / step).max(1);
            return value.checked_sub(value.rem_euclid(unit)).ok_or_else(beyond);
        }
        let per_day = DAY_SECONDS * (SECOND / step);
        // What has no place among nanoseconds is refused, as DataFusion does.
        value.checked_mul(step).ok_or_else(beyond)?;
        let days = value.div_euclid(per_day);
        let date = i32::try_from(days).ok().and_then(Date32Type::to_naive_date_opt).ok_or_else(beyond)?;
        let start = match self {
            Self::Week => return within(days - i64::from(date.weekday().num_days_from_monday()), per_day, step),
            Self::Month => date.with_day(1),
            Self::Quarter => NaiveDate::from_ymd_opt(date.year(), 1 + 3 * (date.month0() / 3), 1),
            Self::Year | Self::Nanos(_) => NaiveDate::from_ymd_opt(date.year(), 1, 1),
        };
        within(i64::from(Date32Type::from_naive_date(start.ok_or_else(beyond)?)), per_day, step)
    }
}

/// A day as a time, if it is one of nanoseconds too.
fn within(days: i64, per_day: i64, step: i64) -> Computed<i64> {
    let value = days.checked_mul(per_day).ok_or_else(beyond)?;
    value.checked_mul(step).ok_or_else(beyond)?;
    Ok(value)
}

pub(super) fn date_trunc(mut call: Call<'_>) -> Planned {
    call.count(2..=2)?;
    let name = call.known_text(0)?;
    let unit = Unit::NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
    let Some((_, unit)) = unit.copied() else {
        let known: Vec<&str> = Unit::NAMES.iter().map(|(name, _)| *name).collect();
        return Err(call.fault(0, format!("there is no unit {name:?}: the units are {}", known.join(", "))));
    };
    match call.type_of(1) {
        DataType::Timestamp(..) => {}
        DataType::Utf8 | DataType::Date32 | DataType::Null => call.make(1, &NANOS),
        _ => return Err(call.wrong(1, "a timestamp, a date or a text")),
    }
    let data_type = call.type_of(1).clone();
    Ok(call.run(data_type.clone(), move |values, _| {
        let value = &values[1];
        match data_type {
            DataType::Timestamp(TimeUnit::Second, _) => truncated::<TimestampSecondType>(value, unit),
            DataType::Timestamp(TimeUnit::Millisecond, _) => truncated::<TimestampMillisecondType>(value, unit),
            DataType::Timestamp(TimeUnit::Microsecond, _) => truncated::<TimestampMicrosecondType>(value, unit),
            _ => truncated::<TimestampNanosecondType>(value, unit),
        }
    }))
}

/// Nanoseconds to the step of a unit.
pub(super) const fn step(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => SECOND,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

fn truncated<T: ArrowTimestampType>(value: &Value, unit: Unit) -> Computed<Value> {
    let array = value.array().as_primitive_opt::<T>().ok_or_else(|| failed("a timestamp was expected here"))?;
    let made: PrimitiveArray<T> = array.try_unary(|v| unit.start(v, step(T::UNIT)))?;
    Ok(Value::made(Arc::new(made), value.is_one()))
}

/// The parts of `date_part`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// As arrow has it.
    Of(DatePart),
    /// Seconds with their fraction, in thousandths or millionths.
    Fine(i32),
    Nanos,
    Epoch,
}

fn part_named(name: &str) -> Option<Part> {
    if let Ok(unit) = IntervalUnit::from_str(name) {
        return Some(match unit {
            IntervalUnit::Year => Part::Of(DatePart::Year),
            IntervalUnit::Month => Part::Of(DatePart::Month),
            IntervalUnit::Week => Part::Of(DatePart::Week),
            IntervalUnit::Day => Part::Of(DatePart::Day),
            IntervalUnit::Hour => Part::Of(DatePart::Hour),
            IntervalUnit::Minute => Part::Of(DatePart::Minute),
            IntervalUnit::Second => Part::Of(DatePart::Second),
            IntervalUnit::Millisecond => Part::Fine(1_000),
            IntervalUnit::Microsecond => Part::Fine(1_000_000),
            IntervalUnit::Nanosecond => Part::Nanos,
            _ => return None,
        });
    }
    Some(match name.to_lowercase().as_str() {
        "isoyear" => Part::Of(DatePart::YearISO),
        "qtr" | "quarter" => Part::Of(DatePart::Quarter),
        "doy" => Part::Of(DatePart::DayOfYear),
        "dow" => Part::Of(DatePart::DayOfWeekSunday0),
        "isodow" => Part::Of(DatePart::DayOfWeekMonday1),
        "epoch" => Part::Epoch,
        _ => return None,
    })
}

pub(super) fn date_part(mut call: Call<'_>) -> Planned {
    call.count(2..=2)?;
    let name = call.known_text(0)?;
    let Some(part) = part_named(&name) else {
        let known = "year, isoyear, quarter, month, week, day, doy, dow, isodow, hour, minute, second, millisecond, \
                     microsecond, nanosecond, epoch";
        return Err(call.fault(0, format!("there is no part {name:?}: the parts are {known}")));
    };
    match call.type_of(1) {
        DataType::Timestamp(..) | DataType::Date32 => {}
        DataType::Duration(_) | DataType::Interval(_) if part == Part::Epoch => {}
        DataType::Utf8 | DataType::Null => call.make(1, &NANOS),
        DataType::Duration(_) | DataType::Interval(_) => return Err(call.wrong(1, "a timestamp or a date")),
        _ => return Err(call.wrong(1, "a timestamp, a date or a text")),
    }
    let data_type = match part {
        Part::Epoch => DataType::Float64,
        Part::Nanos => DataType::Int64,
        Part::Of(_) | Part::Fine(_) => DataType::Int32,
    };
    Ok(call.run(data_type, move |values, _| {
        let value = &values[1];
        let array = value.array();
        let made = match part {
            Part::Of(part) => part_of(array, part)?,
            Part::Fine(parts) => fraction(array, parts)?,
            Part::Nanos => nanos(array)?,
            Part::Epoch => epoch(array)?,
        };
        Ok(Value::made(made, value.is_one()))
    }))
}

fn seconds_and_nanos(array: &dyn Array) -> Computed<(ArrayRef, ArrayRef)> {
    Ok((part_of(array, DatePart::Second)?, part_of(array, DatePart::Nanosecond)?))
}

fn fraction(array: &dyn Array, parts: i32) -> Computed<ArrayRef> {
    if array.data_type() == &DataType::Date32 {
        return Ok(Arc::new(Int32Array::new(vec![0; array.len()].into(), array.nulls().cloned())));
    }
    let (seconds, nanos) = seconds_and_nanos(array)?;
    let per = 1_000_000_000 / parts;
    let (seconds, nanos) = (seconds.as_primitive::<Int32Type>(), nanos.as_primitive::<Int32Type>());
    let made: Int32Array = arrow_arith::arity::binary(seconds, nanos, |s, n| s * parts + n / per)?;
    Ok(Arc::new(made))
}

fn nanos(array: &dyn Array) -> Computed<ArrayRef> {
    if array.data_type() == &DataType::Date32 {
        return Ok(Arc::new(Int64Array::new(vec![0; array.len()].into(), array.nulls().cloned())));
    }
    let (seconds, nanos) = seconds_and_nanos(array)?;
    let (seconds, nanos) = (seconds.as_primitive::<Int32Type>(), nanos.as_primitive::<Int32Type>());
    let made: Int64Array = arrow_arith::arity::binary(seconds, nanos, |s, n| i64::from(s) * SECOND + i64::from(n))?;
    Ok(Arc::new(made))
}

#[allow(clippy::cast_precision_loss)] // seconds are floats: what is finer than a float is lost in DataFusion too
fn epoch(array: &dyn Array) -> Computed<ArrayRef> {
    use arrow_array::types::{
        DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType,
        IntervalMonthDayNanoType,
    };
    fn over<T: ArrowPrimitiveType>(array: &dyn Array, seconds: impl Fn(T::Native) -> f64) -> ArrayRef {
        Arc::new(array.as_primitive::<T>().unary::<_, Float64Type>(seconds))
    }
    Ok(match array.data_type() {
        DataType::Date32 => over::<Date32Type>(array, |v| f64::from(v) * 86_400.0),
        DataType::Timestamp(TimeUnit::Second, _) => over::<TimestampSecondType>(array, |v| v as f64),
        DataType::Timestamp(TimeUnit::Millisecond, _) => over::<TimestampMillisecondType>(array, |v| v as f64 / 1e3),
        DataType::Timestamp(TimeUnit::Microsecond, _) => over::<TimestampMicrosecondType>(array, |v| v as f64 / 1e6),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => over::<TimestampNanosecondType>(array, |v| v as f64 / 1e9),
        // Of a span of time it is the whole seconds and the fraction, each by itself.
        DataType::Duration(unit) => {
            let step = step(*unit);
            let seconds = move |v: i64| {
                let per = SECOND / step;
                (v / per) as f64 + ((v % per) * step) as f64 / 1e9
            };
            match unit {
                TimeUnit::Second => over::<DurationSecondType>(array, seconds),
                TimeUnit::Millisecond => over::<DurationMillisecondType>(array, seconds),
                TimeUnit::Microsecond => over::<DurationMicrosecondType>(array, seconds),
                TimeUnit::Nanosecond => over::<DurationNanosecondType>(array, seconds),
            }
        }
        interval if *interval == INTERVAL => over::<IntervalMonthDayNanoType>(array, |v| {
            f64::from(v.months) * 30.0 * 86_400.0 + f64::from(v.days) * 86_400.0 + v.nanoseconds as f64 / 1e9
        }),
        other => return Err(failed(format!("no seconds are known of {}", cast::with_article(other)))),
    })
}

//! From texts and numbers to days and times, and back.

use super::date::{beyond, beyond_dates, step};
use crate::actions::transform::sql::cast::column_to;
use crate::actions::transform::sql::error::SqlError;
use crate::actions::transform::sql::expr::Expr;
use crate::actions::transform::sql::plan::Call;
use crate::actions::transform::sql::value::{Result as Computed, TextBuilder, Value, extent, failed, texts};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, ArrowTimestampType, Date32Type, Float32Type, Float64Type, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, PrimitiveArray, TimestampNanosecondArray};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_cast::parse::{Parser, string_to_datetime};
use arrow_schema::{DataType, TimeUnit};
use chrono::format::{Parsed, StrftimeItems, parse};
use chrono::{DateTime, NaiveDateTime, Utc};
use std::sync::Arc;

type Planned = Result<Expr, SqlError>;

const DAY_MILLIS: i64 = 86_400_000;

/// The formats behind a value: texts, and NULLs that are left out.
fn formats(call: &mut Call<'_>) -> Result<(), SqlError> {
    (1..call.arguments.len()).try_for_each(|i| call.text(i))
}

pub(super) fn to_date(mut call: Call<'_>) -> Planned {
    call.count(1..=usize::MAX)?;
    formats(&mut call)?;
    let plain = match call.type_of(0) {
        DataType::Utf8 => false,
        DataType::Null | DataType::Int32 | DataType::Int64 | DataType::Date32 | DataType::Timestamp(..) => true,
        DataType::Float64 | DataType::Float32 | DataType::Decimal128(..) => {
            call.make(0, &DataType::Int64);
            true
        }
        _ => return Err(call.wrong(0, "a text, a number or a time")),
    };
    if plain {
        call.make(0, &DataType::Date32);
        return Ok(call.arguments.swap_remove(0));
    }
    Ok(call.run(DataType::Date32, |values, rows| {
        read::<Date32Type>(values, rows, |text, format| match format {
            None => Date32Type::parse(text).ok_or_else(|| failed(format!("cannot be made a date: {text:?}"))),
            Some(format) => {
                let days = by_format(text, format)?.timestamp_millis().div_euclid(DAY_MILLIS);
                i32::try_from(days).map_err(|_| beyond_dates())
            }
        })
    }))
}

/// Reads texts by the first format that fits; without formats, by the usual one.
fn read<T: ArrowPrimitiveType>(
    values: &[Value],
    rows: usize,
    one_text: impl Fn(&str, Option<&str>) -> Computed<T::Native>,
) -> Computed<Value> {
    let (rows, one) = extent(values, rows);
    let text = texts(&values[0])?;
    let formats = values[1..].iter().map(texts).collect::<Computed<Vec<_>>>()?;
    let made = (0..rows).map(|row| {
        let Some(text) = text.get(row) else { return Ok(None) };
        if formats.is_empty() {
            return one_text(text, None).map(Some);
        }
        let mut last = Ok(None);
        for format in formats.iter().filter_map(|f| f.get(row)) {
            last = one_text(text, Some(format)).map(Some);
            if last.is_ok() {
                break;
            }
        }
        last
    });
    let made = made.collect::<Computed<Vec<_>>>()?;
    let made: PrimitiveArray<T> = made.into_iter().collect();
    Ok(Value::made(Arc::new(made), one))
}

/// A time by a format of chrono. Without an offset it is UTC, without a time of day it is midnight.
fn by_format(text: &str, format: &str) -> Computed<DateTime<Utc>> {
    let unfit = |why: &dyn std::fmt::Display| failed(format!("does not fit the format {format:?}, {why}: {text:?}"));
    if format.contains("%Z") {
        return Err(failed(format!("names of time zones are not read: {format:?}")));
    }
    let mut parsed = Parsed::new();
    parse(&mut parsed, text, StrftimeItems::new(format)).map_err(|e| unfit(&e))?;
    if let Ok(time) = parsed.to_datetime() {
        return Ok(time.with_timezone(&Utc));
    }
    let time = parsed.to_naive_datetime_with_offset(0).or_else(|_| parsed.to_naive_date().map(NaiveDateTime::from));
    time.map(|t| t.and_utc()).map_err(|e| unfit(&e))
}

pub(super) fn to_timestamp(call: Call<'_>) -> Planned {
    timestamp::<TimestampNanosecondType>(call, true)
}

pub(super) fn to_timestamp_seconds(call: Call<'_>) -> Planned {
    timestamp::<TimestampSecondType>(call, false)
}

pub(super) fn to_timestamp_millis(call: Call<'_>) -> Planned {
    timestamp::<TimestampMillisecondType>(call, false)
}

pub(super) fn to_timestamp_micros(call: Call<'_>) -> Planned {
    timestamp::<TimestampMicrosecondType>(call, false)
}

pub(super) fn to_timestamp_nanos(call: Call<'_>) -> Planned {
    timestamp::<TimestampNanosecondType>(call, false)
}

/// A time in a unit. Numbers count that unit, or seconds.
fn timestamp<T: ArrowTimestampType>(mut call: Call<'_>, seconds: bool) -> Planned {
    call.count(1..=usize::MAX)?;
    formats(&mut call)?;
    let to = DataType::Timestamp(T::UNIT, None);
    match call.type_of(0).clone() {
        DataType::Utf8 => Ok(call.run(to, |values, rows| {
            read::<T>(values, rows, |text, format| {
                let time = match format {
                    None => string_to_datetime(&Utc, text)
                        .map_err(|_| failed(format!("cannot be made a timestamp: {text:?}")))?,
                    Some(format) => by_format(text, format)?,
                };
                time.timestamp_nanos_opt().map(|nanos| nanos / step(T::UNIT)).ok_or_else(beyond)
            })
        })),
        DataType::Null | DataType::Timestamp(..) => {
            call.make(0, &to);
            Ok(call.arguments.swap_remove(0))
        }
        whole if whole.is_integer() => {
            call.make(0, &DataType::Int64);
            if seconds {
                call.make(0, &DataType::Timestamp(TimeUnit::Second, None));
            }
            call.make(0, &to);
            Ok(call.arguments.swap_remove(0))
        }
        DataType::Float64 | DataType::Float32 if seconds => {
            let wide = *call.type_of(0) == DataType::Float64;
            call.arguments.truncate(1);
            #[allow(clippy::cast_possible_truncation)]
            // beyond its range a float becomes the end of it, as in DataFusion
            Ok(call.run(to, move |values, _| {
                let array = values[0].array();
                let made: TimestampNanosecondArray = if wide {
                    array.as_primitive::<Float64Type>().unary(|x| (x * 1e9) as i64)
                } else {
                    array.as_primitive::<Float32Type>().unary(|x| (f64::from(x) * 1e9) as i64)
                };
                Ok(Value::made(Arc::new(made), values[0].is_one()))
            }))
        }
        DataType::Float64 | DataType::Float32 => {
            call.make(0, &DataType::Int64);
            call.make(0, &to);
            Ok(call.arguments.swap_remove(0))
        }
        _ => Err(call.wrong(0, "a text, an int, a float or a time").hint("CAST it first")),
    }
}

pub(super) fn to_char(mut call: Call<'_>) -> Planned {
    call.count(2..=2)?;
    if !matches!(call.type_of(0), DataType::Date32 | DataType::Timestamp(..)) {
        return Err(call
            .wrong(0, "a date or a timestamp")
            .hint("CAST it: `to_char(CAST(x AS TIMESTAMP), '%d.%m.%Y')`"));
    }
    call.text(1)?;
    if let Some(value) = call.arguments[1].literal()
        && let Some(format) = texts(value).ok().and_then(|rows| rows.get(0).map(str::to_owned))
        && StrftimeItems::new(&format).any(|item| item == chrono::format::Item::Error)
    {
        return Err(call.fault(1, format!("the format cannot be read: {format:?}")));
    }
    Ok(call.run(DataType::Utf8, |values, rows| {
        let (rows, one) = extent(values, rows);
        let format = texts(&values[1])?;
        let times = values[0].clone().into_column(rows)?;
        // A day that is to be written with a time of day is one at midnight.
        let midnight = match times.data_type() {
            DataType::Date32 => Some(column_to(&times, &DataType::Date64)?),
            _ => None,
        };
        let mut out = TextBuilder::new(rows, rows * 16);
        let mut text = String::new();
        let mut formatters: Option<(&str, ArrayFormatter<'_>, Option<ArrayFormatter<'_>>)> = None;
        for row in 0..rows {
            let Some(format) = format.get(row).filter(|_| times.is_valid(row)) else {
                out.push_null()?;
                continue;
            };
            let same = matches!(&formatters, Some((of, ..)) if *of == format);
            if !same {
                let plain = ArrayFormatter::try_new(times.as_ref(), &format_options(format))?;
                let at_midnight = match &midnight {
                    Some(times) => Some(ArrayFormatter::try_new(times.as_ref(), &format_options(format))?),
                    None => None,
                };
                formatters = Some((format, plain, at_midnight));
            }
            let Some((_, plain, at_midnight)) = &formatters else { continue };
            text.clear();
            let mut written = plain.value(row).write(&mut text);
            if let (Err(_), Some(at_midnight)) = (&written, at_midnight) {
                text.clear();
                written = at_midnight.value(row).write(&mut text);
            }
            written.map_err(|_| failed(format!("the time cannot be written by the format: {format:?}")))?;
            out.push(&text)?;
        }
        Ok(Value::made(out.finish(), one))
    }))
}

fn format_options(format: &str) -> FormatOptions<'_> {
    FormatOptions::new()
        .with_date_format(Some(format))
        .with_datetime_format(Some(format))
        .with_timestamp_format(Some(format))
        .with_timestamp_tz_format(Some(format))
}

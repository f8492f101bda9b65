//! Functions that put texts together, and that look for one in another.

use super::text::{byte_of, characters, saturated, small, text_rows};
use crate::actions::transform::sql::error::SqlError;
use crate::actions::transform::sql::expr::Expr;
use crate::actions::transform::sql::plan::Call;
use crate::actions::transform::sql::value::{Result as Computed, Value, extent, failed, numbers, texts};
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, BooleanArray, Int32Array};
use arrow_schema::DataType;
use std::sync::Arc;

type Planned = Result<Expr, SqlError>;

pub(super) fn replace(mut call: Call<'_>) -> Planned {
    call.count(3..=3)?;
    (0..3).try_for_each(|i| call.text(i))?;
    Ok(call.run(DataType::Utf8, |values, rows| {
        let (text, from, to) = (texts(&values[0])?, texts(&values[1])?, texts(&values[2])?);
        text_rows(values, rows, |row, out| match (text.get(row), from.get(row), to.get(row)) {
            (Some(text), Some(""), Some(_)) => out.push(text),
            (Some(text), Some(from), Some(to)) => {
                if to.len() > from.len() {
                    // Asked before it is made: a short text can grow without bound.
                    let growth = text.matches(from).count().saturating_mul(to.len() - from.len());
                    out.room(growth)?;
                }
                out.push(&text.replace(from, to))
            }
            _ => out.push_null(),
        })
    }))
}

pub(super) fn translate(mut call: Call<'_>) -> Planned {
    call.count(3..=3)?;
    (0..3).try_for_each(|i| call.text(i))?;
    Ok(call.run(DataType::Utf8, |values, rows| {
        let (text, from, to) = (texts(&values[0])?, texts(&values[1])?, texts(&values[2])?);
        let mut table = std::collections::HashMap::new();
        let mut of: Option<(&str, &str)> = None;
        let mut made = String::new();
        text_rows(values, rows, |row, out| {
            let (Some(text), Some(from), Some(to)) = (text.get(row), from.get(row), to.get(row)) else {
                return out.push_null();
            };
            if of != Some((from, to)) {
                table.clear();
                let with = to;
                let mut to = to.chars();
                for c in from.chars() {
                    let instead = to.next();
                    table.entry(c).or_insert(instead);
                }
                of = Some((from, with));
            }
            made.clear();
            for c in text.chars() {
                match table.get(&c) {
                    Some(instead) => made.extend(*instead),
                    None => made.push(c),
                }
            }
            out.push(&made)
        })
    }))
}

pub(super) fn concat(mut call: Call<'_>) -> Planned {
    call.count(1..=usize::MAX)?;
    call.make_all(&DataType::Utf8);
    Ok(call.run(DataType::Utf8, |values, rows| {
        let parts = values.iter().map(texts).collect::<Computed<Vec<_>>>()?;
        let mut made = String::new();
        text_rows(values, rows, |row, out| {
            made.clear();
            parts.iter().filter_map(|part| part.get(row)).for_each(|part| made.push_str(part));
            out.push(&made)
        })
    }))
}

pub(super) fn concat_ws(mut call: Call<'_>) -> Planned {
    call.count(2..=usize::MAX)?;
    call.make_all(&DataType::Utf8);
    Ok(call.run(DataType::Utf8, |values, rows| {
        let parts = values.iter().map(texts).collect::<Computed<Vec<_>>>()?;
        let mut made = String::new();
        text_rows(values, rows, |row, out| {
            let Some(between) = parts[0].get(row) else { return out.push_null() };
            made.clear();
            for (i, part) in parts[1..].iter().filter_map(|part| part.get(row)).enumerate() {
                if i > 0 {
                    made.push_str(between);
                }
                made.push_str(part);
            }
            out.push(&made)
        })
    }))
}

pub(super) fn lpad(call: Call<'_>) -> Planned {
    padded(call, true)
}

pub(super) fn rpad(call: Call<'_>) -> Planned {
    padded(call, false)
}

fn padded(mut call: Call<'_>, at_start: bool) -> Planned {
    call.count(2..=3)?;
    call.text(0)?;
    call.whole(1)?;
    if call.arguments.len() == 3 {
        call.text(2)?;
    }
    Ok(call.run(DataType::Utf8, move |values, rows| {
        let (text, count) = (texts(&values[0])?, numbers::<Int64Type>(&values[1])?);
        let fill = values.get(2).map(texts).transpose()?;
        let mut made = String::new();
        text_rows(values, rows, |row, out| {
            let (Some(text), Some(count)) = (text.get(row), count.get(row)) else { return out.push_null() };
            let fill = match &fill {
                None => " ",
                Some(fill) => match fill.get(row) {
                    Some(fill) => fill,
                    None => return out.push_null(),
                },
            };
            if count > i64::from(i32::MAX) {
                return Err(failed(format!("the count of characters is too great: {count}")));
            }
            let count = usize::try_from(count).unwrap_or(0);
            let has = characters(text);
            if count <= has || fill.is_empty() {
                return out.push(&text[..byte_of(text, count)]);
            }
            let missing = count - has;
            out.room(missing)?;
            made.clear();
            let padding = fill.chars().cycle().take(missing);
            if at_start {
                made.extend(padding);
                made.push_str(text);
            } else {
                made.push_str(text);
                made.extend(padding);
            }
            out.push(&made)
        })
    }))
}

pub(super) fn repeat(mut call: Call<'_>) -> Planned {
    call.count(2..=2)?;
    call.text(0)?;
    call.whole(1)?;
    Ok(call.run(DataType::Utf8, |values, rows| {
        let (text, count) = (texts(&values[0])?, numbers::<Int64Type>(&values[1])?);
        text_rows(values, rows, |row, out| match (text.get(row), count.get(row)) {
            (Some(text), Some(count)) => {
                let count = usize::try_from(count).unwrap_or(0);
                out.room(text.len().saturating_mul(count))?;
                out.push(&text.repeat(count))
            }
            _ => out.push_null(),
        })
    }))
}

pub(super) fn split_part(mut call: Call<'_>) -> Planned {
    call.count(3..=3)?;
    call.text(0)?;
    call.text(1)?;
    call.whole(2)?;
    Ok(call.run(DataType::Utf8, |values, rows| {
        let (text, separator) = (texts(&values[0])?, texts(&values[1])?);
        let number = numbers::<Int64Type>(&values[2])?;
        text_rows(values, rows, |row, out| match (text.get(row), separator.get(row), number.get(row)) {
            (Some(text), Some(separator), Some(number)) => out.push(part_of(text, separator, number)?),
            _ => out.push_null(),
        })
    }))
}

fn part_of<'t>(text: &'t str, separator: &str, number: i64) -> Computed<&'t str> {
    let Some(back) = number.unsigned_abs().checked_sub(1) else {
        return Err(failed("parts are counted from 1, or from the end with negative numbers: 0"));
    };
    let back = saturated(back);
    let found = match (separator.is_empty(), number > 0) {
        (true, _) => (back == 0).then_some(text),
        (false, true) => text.split(separator).nth(back),
        (false, false) => text.rsplit(separator).nth(back),
    };
    Ok(found.unwrap_or(""))
}

pub(super) fn strpos(mut call: Call<'_>) -> Planned {
    call.count(2..=2)?;
    (0..2).try_for_each(|i| call.text(i))?;
    Ok(call.run(DataType::Int32, |values, rows| {
        let (rows, one) = extent(values, rows);
        let (text, part) = (texts(&values[0])?, texts(&values[1])?);
        let made = (0..rows).map(|row| match (text.get(row), part.get(row)) {
            (Some(text), Some(part)) => small(text.find(part).map_or(0, |at| characters(&text[..at]) + 1)).map(Some),
            _ => Ok(None),
        });
        let made: ArrayRef = Arc::new(made.collect::<Computed<Int32Array>>()?);
        Ok(Value::made(made, one))
    }))
}

pub(super) fn contains(call: Call<'_>) -> Planned {
    asked(call, |text, part| text.contains(part))
}

pub(super) fn starts_with(call: Call<'_>) -> Planned {
    asked(call, |text, part| text.starts_with(part))
}

pub(super) fn ends_with(call: Call<'_>) -> Planned {
    asked(call, |text, part| text.ends_with(part))
}

fn asked(mut call: Call<'_>, is: fn(&str, &str) -> bool) -> Planned {
    call.count(2..=2)?;
    (0..2).try_for_each(|i| call.text(i))?;
    Ok(call.run(DataType::Boolean, move |values, rows| {
        let (rows, one) = extent(values, rows);
        let (text, part) = (texts(&values[0])?, texts(&values[1])?);
        let made: BooleanArray = (0..rows).map(|row| Some(is(text.get(row)?, part.get(row)?))).collect();
        Ok(Value::made(Arc::new(made), one))
    }))
}

//! Functions on text. Characters are Unicode scalar values, as in `DataFusion`.

use crate::actions::transform::sql::error::SqlError;
use crate::actions::transform::sql::expr::Expr;
use crate::actions::transform::sql::plan::Call;
use crate::actions::transform::sql::value::{Result as Computed, TextBuilder, Value, extent, failed, numbers, texts};
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int32Array};
use arrow_schema::DataType;
use std::sync::Arc;

type Planned = Result<Expr, SqlError>;

/// A function from one text to another, written behind what is there.
fn one_text(mut call: Call<'_>, write: fn(&str, &mut String)) -> Planned {
    call.count(1..=1)?;
    call.text(0)?;
    Ok(mapped(call, write))
}

fn mapped(call: Call<'_>, write: fn(&str, &mut String)) -> Expr {
    call.run(DataType::Utf8, move |values, rows| {
        let text = texts(&values[0])?;
        let mut made = String::new();
        text_rows(values, rows, |row, out| {
            let Some(text) = text.get(row) else { return out.push_null() };
            made.clear();
            write(text, &mut made);
            out.push(&made)
        })
    })
}

/// A text for each row, or one if all arguments are one.
pub(super) fn text_rows(
    values: &[Value],
    rows: usize,
    mut each: impl FnMut(usize, &mut TextBuilder) -> Computed<()>,
) -> Computed<Value> {
    let (rows, one) = extent(values, rows);
    let mut out = TextBuilder::new(rows, rows * 8);
    for row in 0..rows {
        each(row, &mut out)?;
    }
    Ok(Value::made(out.finish(), one))
}

/// A whole number of 32 bits for each text.
fn count_of(call: Call<'_>, count: fn(&str) -> usize) -> Expr {
    call.run(DataType::Int32, move |values, rows| {
        let (rows, one) = extent(values, rows);
        let texts = texts(&values[0])?;
        let made = (0..rows).map(|row| texts.get(row).map(|text| small(count(text))).transpose());
        let made: ArrayRef = Arc::new(made.collect::<Computed<Int32Array>>()?);
        Ok(Value::made(made, one))
    })
}

pub(super) fn small(count: usize) -> Computed<i32> {
    i32::try_from(count).map_err(|_| failed("the count has more than 32 bits"))
}

pub(super) fn upper(call: Call<'_>) -> Planned {
    one_text(call, |text, out| {
        if text.is_ascii() {
            out.push_str(text);
            out.make_ascii_uppercase();
        } else {
            out.push_str(&text.to_uppercase());
        }
    })
}

pub(super) fn lower(call: Call<'_>) -> Planned {
    one_text(call, |text, out| {
        if text.is_ascii() {
            out.push_str(text);
            out.make_ascii_lowercase();
        } else {
            out.push_str(&text.to_lowercase());
        }
    })
}

pub(super) fn initcap(call: Call<'_>) -> Planned {
    one_text(call, |text, out| {
        let mut inside = false;
        for c in text.chars() {
            if inside {
                out.extend(c.to_lowercase());
            } else {
                out.extend(c.to_uppercase());
            }
            inside = c.is_alphanumeric();
        }
    })
}

/// Any value, as text.
fn any_as_text(call: &mut Call<'_>, i: usize) {
    call.make(i, &DataType::Utf8);
}

pub(super) fn reverse(mut call: Call<'_>) -> Planned {
    call.count(1..=1)?;
    any_as_text(&mut call, 0);
    Ok(mapped(call, |text, out| out.extend(text.chars().rev())))
}

pub(super) fn length(mut call: Call<'_>) -> Planned {
    call.count(1..=1)?;
    any_as_text(&mut call, 0);
    Ok(count_of(call, characters))
}

pub(super) fn characters(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().count() }
}

pub(super) fn octet_length(mut call: Call<'_>) -> Planned {
    call.count(1..=1)?;
    call.text(0)?;
    Ok(count_of(call, str::len))
}

pub(super) fn ascii(mut call: Call<'_>) -> Planned {
    call.count(1..=1)?;
    call.text(0)?;
    Ok(count_of(call, |text| text.chars().next().map_or(0, |c| c as usize)))
}

pub(super) fn chr(mut call: Call<'_>) -> Planned {
    call.count(1..=1)?;
    call.whole(0)?;
    Ok(call.run(DataType::Utf8, |values, rows| {
        let numbers = numbers::<Int64Type>(&values[0])?;
        text_rows(values, rows, |row, out| {
            let Some(number) = numbers.get(row) else { return out.push_null() };
            let character = u32::try_from(number).ok().and_then(char::from_u32);
            let character = character.ok_or_else(|| failed(format!("no character has this number: {number}")))?;
            out.push(character.encode_utf8(&mut [0; 4]))
        })
    }))
}

/// Which end is trimmed.
#[derive(Clone, Copy)]
struct Ends {
    start: bool,
    end: bool,
}

pub(super) fn btrim(call: Call<'_>) -> Planned {
    trimmed(call, Ends { start: true, end: true })
}

pub(super) fn ltrim(call: Call<'_>) -> Planned {
    trimmed(call, Ends { start: true, end: false })
}

pub(super) fn rtrim(call: Call<'_>) -> Planned {
    trimmed(call, Ends { start: false, end: true })
}

fn trimmed(mut call: Call<'_>, ends: Ends) -> Planned {
    call.count(1..=2)?;
    for i in 0..call.arguments.len() {
        call.text(i)?;
    }
    Ok(call.run(DataType::Utf8, move |values, rows| {
        let text = texts(&values[0])?;
        let set = values.get(1).map(texts).transpose()?;
        let mut characters: Vec<char> = vec![' '];
        let mut of: Option<&str> = None;
        text_rows(values, rows, |row, out| {
            let Some(text) = text.get(row) else { return out.push_null() };
            if let Some(set) = &set {
                let Some(set) = set.get(row) else { return out.push_null() };
                if of != Some(set) {
                    characters = set.chars().collect();
                    of = Some(set);
                }
            }
            let text = if ends.start { text.trim_start_matches(characters.as_slice()) } else { text };
            out.push(if ends.end { text.trim_end_matches(characters.as_slice()) } else { text })
        })
    }))
}

/// The byte at which the character with this number, from 0, starts; the end of the text if there are fewer.
pub(super) fn byte_of(text: &str, character: usize) -> usize {
    if text.is_ascii() {
        return character.min(text.len());
    }
    text.char_indices().nth(character).map_or(text.len(), |(at, _)| at)
}

/// The byte behind all but the last characters.
fn byte_before_last(text: &str, characters: usize) -> usize {
    if text.is_ascii() {
        return text.len().saturating_sub(characters);
    }
    match characters.checked_sub(1) {
        None => text.len(),
        Some(back) => text.char_indices().nth_back(back).map_or(0, |(at, _)| at),
    }
}

pub(super) fn saturated(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

pub(super) fn left(call: Call<'_>) -> Planned {
    text_and_count(call, |text, count| {
        let end = if count < 0 {
            byte_before_last(text, saturated(count.unsigned_abs()))
        } else {
            byte_of(text, saturated(count.unsigned_abs()))
        };
        Ok(&text[..end])
    })
}

pub(super) fn right(call: Call<'_>) -> Planned {
    text_and_count(call, |text, count| {
        let start = if count < 0 {
            byte_of(text, saturated(count.unsigned_abs()))
        } else {
            byte_before_last(text, saturated(count.unsigned_abs()))
        };
        Ok(&text[start..])
    })
}

/// A function from a text and a number to a part of the text.
fn text_and_count(mut call: Call<'_>, part: fn(&str, i64) -> Computed<&str>) -> Planned {
    call.count(2..=2)?;
    call.text(0)?;
    call.whole(1)?;
    Ok(call.run(DataType::Utf8, move |values, rows| {
        let (text, count) = (texts(&values[0])?, numbers::<Int64Type>(&values[1])?);
        text_rows(values, rows, |row, out| match (text.get(row), count.get(row)) {
            (Some(text), Some(count)) => out.push(part(text, count)?),
            _ => out.push_null(),
        })
    }))
}

pub(super) fn substr(mut call: Call<'_>) -> Planned {
    call.count(2..=3)?;
    call.text(0)?;
    for i in 1..call.arguments.len() {
        call.whole(i)?;
    }
    Ok(call.run(DataType::Utf8, |values, rows| {
        let (text, from) = (texts(&values[0])?, numbers::<Int64Type>(&values[1])?);
        let count = values.get(2).map(numbers::<Int64Type>).transpose()?;
        text_rows(values, rows, |row, out| {
            let (Some(text), Some(from)) = (text.get(row), from.get(row)) else { return out.push_null() };
            let Some(count) = &count else { return out.push(part(text, from, None)?) };
            match count.get(row) {
                Some(count) => out.push(part(text, from, Some(count))?),
                None => out.push_null(),
            }
        })
    }))
}

/// Characters from a place on, which counts from 1 and may lie before the text.
fn part(text: &str, from: i64, count: Option<i64>) -> Computed<&str> {
    if let Some(count) = count.filter(|c| *c < 0) {
        return Err(failed(format!("the count of characters is negative: {count}")));
    }
    let from = from.checked_sub(1).ok_or_else(|| failed("the place is beyond the range of int"))?;
    let place = |n: i64| saturated(u64::try_from(n).unwrap_or(0));
    let start = byte_of(text, place(from));
    let end = count.map_or(text.len(), |count| byte_of(text, place(from.saturating_add(count))));
    Ok(&text[start..end.max(start)])
}

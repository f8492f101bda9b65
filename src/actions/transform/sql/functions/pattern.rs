//! Regular expressions, in the syntax of the crate `regex`: linear in the text, whatever the pattern.

use crate::actions::transform::sql::cast;
use crate::actions::transform::sql::error::SqlError;
use crate::actions::transform::sql::expr::{Expr, Kind};
use crate::actions::transform::sql::plan::{Call, Planner, coerce, fold};
use crate::actions::transform::sql::value::{Result as Computed, TextBuilder, Value, extent, failed, texts};
use arrow_array::BooleanArray;
use arrow_schema::DataType;
use regex::Regex;
use std::collections::HashMap;
use std::sync::Arc;

type Planned = Result<Expr, SqlError>;

/// Most patterns of one column that are kept compiled; at more it starts over.
const COMPILED_MAX: usize = 256;

/// What an operator such as `~*` asks.
#[derive(Clone, Copy)]
pub(in crate::actions::transform::sql) struct Wanted {
    any_case: bool,
    negated: bool,
}

impl Wanted {
    pub(in crate::actions::transform::sql) const MATCH: Self = Self { any_case: false, negated: false };
    pub(in crate::actions::transform::sql) const MATCH_ANY_CASE: Self = Self { any_case: true, negated: false };
    pub(in crate::actions::transform::sql) const NO_MATCH: Self = Self { any_case: false, negated: true };
    pub(in crate::actions::transform::sql) const NO_MATCH_ANY_CASE: Self = Self { any_case: true, negated: true };

    const fn flags(self) -> &'static str {
        if self.any_case { "i" } else { "" }
    }
}

/// The operators `~`, `~*`, `!~` and `!~*`.
pub(in crate::actions::transform::sql) fn matches(
    planner: &Planner<'_>,
    text: Expr,
    pattern: Expr,
    wanted: Wanted,
) -> Planned {
    for side in [&text, &pattern] {
        if !matches!(side.data_type, DataType::Utf8 | DataType::Null) {
            let found = cast::with_article(&side.data_type);
            return Err(SqlError::new(format!("a pattern is matched with a text, not with {found}"), side.at.clone())
                .hint("CAST it: `CAST(x AS TEXT) ~ …`"));
        }
    }
    let at = text.at.start..pattern.at.end;
    let arguments = vec![coerce(text, &DataType::Utf8), coerce(pattern, &DataType::Utf8)];
    let known = known_pattern(&arguments[1], wanted.flags())?;
    let excerpt = Arc::from(planner.text.excerpt(&at));
    let run = move |values: &[Value], rows: usize| is_match(values, rows, known.as_ref(), wanted);
    Ok(fold(Kind::Call { arguments, run: Arc::new(run), text: excerpt }, DataType::Boolean, at))
}

/// The pattern compiled, if it is the same for all rows.
fn known_pattern(pattern: &Expr, flags: &str) -> Result<Option<Regex>, SqlError> {
    let Some(value) = pattern.literal() else { return Ok(None) };
    let Some(text) = texts(value).ok().and_then(|rows| rows.get(0)) else { return Ok(None) };
    compiled(text, flags).map(Some).map_err(|e| SqlError::new(super::super::reason(&e), pattern.at.clone()))
}

fn compiled(pattern: &str, flags: &str) -> Computed<Regex> {
    let with_flags = if flags.is_empty() { pattern.to_owned() } else { format!("(?{flags}){pattern}") };
    Regex::new(&with_flags).map_err(|error| {
        // The last line says what is wrong; those before it draw the place.
        let text = error.to_string();
        let cause = text.lines().last().unwrap_or("").trim().trim_start_matches("error: ");
        failed(format!("the pattern cannot be read: {cause}: {pattern}"))
    })
}

fn is_match(values: &[Value], rows: usize, known: Option<&Regex>, wanted: Wanted) -> Computed<Value> {
    let (rows, one) = extent(values, rows);
    let (text, pattern) = (texts(&values[0])?, texts(&values[1])?);
    let mut cache = Cache::default();
    let made = (0..rows).map(|row| {
        let (Some(text), Some(pattern)) = (text.get(row), pattern.get(row)) else { return Ok(None) };
        let found = match known {
            Some(regex) => regex.is_match(text),
            None => cache.get(pattern, wanted.flags())?.is_match(text),
        };
        Ok(Some(found != wanted.negated))
    });
    let made = made.collect::<Computed<BooleanArray>>()?;
    Ok(Value::made(Arc::new(made), one))
}

/// Patterns that differ from row to row, compiled once each.
#[derive(Default)]
struct Cache(HashMap<(String, String), Regex>);

impl Cache {
    fn get(&mut self, pattern: &str, flags: &str) -> Computed<&Regex> {
        if self.0.len() >= COMPILED_MAX {
            self.0.clear();
        }
        match self.0.entry((pattern.to_owned(), flags.to_owned())) {
            std::collections::hash_map::Entry::Occupied(found) => Ok(found.into_mut()),
            std::collections::hash_map::Entry::Vacant(place) => Ok(place.insert(compiled(pattern, flags)?)),
        }
    }
}

pub(super) fn regexp_like(mut call: Call<'_>) -> Planned {
    call.count(2..=3)?;
    (0..2).try_for_each(|i| call.text(i))?;
    let flags = flags(&mut call, 2, "imsUux")?;
    let known = known_pattern(&call.arguments[1], &flags)?;
    call.arguments.truncate(2);
    Ok(call.run(DataType::Boolean, move |values, rows| {
        let (rows, one) = extent(values, rows);
        let (text, pattern) = (texts(&values[0])?, texts(&values[1])?);
        let mut cache = Cache::default();
        let made = (0..rows).map(|row| {
            let (Some(text), Some(pattern)) = (text.get(row), pattern.get(row)) else { return Ok(None) };
            Ok(Some(match &known {
                Some(regex) => regex.is_match(text),
                None => cache.get(pattern, &flags)?.is_match(text),
            }))
        });
        let made = made.collect::<Computed<BooleanArray>>()?;
        Ok(Value::made(Arc::new(made), one))
    }))
}

/// The flags of a call: a constant text of the letters that are allowed.
fn flags(call: &mut Call<'_>, i: usize, allowed: &str) -> Result<String, SqlError> {
    if call.arguments.len() <= i {
        return Ok(String::new());
    }
    let flags = call.known_text(i)?;
    match flags.chars().find(|flag| !allowed.contains(*flag)) {
        None => Ok(flags),
        Some(flag) => {
            let listed = allowed.chars().map(String::from).collect::<Vec<_>>().join(", ");
            Err(call.fault(i, format!("there is no flag {flag:?}: the flags are {listed}")))
        }
    }
}

pub(super) fn regexp_replace(mut call: Call<'_>) -> Planned {
    call.count(3..=4)?;
    (0..3).try_for_each(|i| call.text(i))?;
    let flags = flags(&mut call, 3, "gimsUux")?;
    let all = flags.contains('g');
    let flags = flags.replace('g', "");
    let known = known_pattern(&call.arguments[1], &flags)?;
    call.arguments.truncate(3);
    Ok(call.run(DataType::Utf8, move |values, rows| {
        let (rows, one) = extent(values, rows);
        let (text, pattern, to) = (texts(&values[0])?, texts(&values[1])?, texts(&values[2])?);
        let mut cache = Cache::default();
        let mut out = TextBuilder::new(rows, rows * 8);
        let mut replacement = (None, String::new());
        for row in 0..rows {
            let (Some(text), Some(pattern), Some(to)) = (text.get(row), pattern.get(row), to.get(row)) else {
                out.push_null()?;
                continue;
            };
            if replacement.0 != Some(to) {
                replacement = (Some(to), groups(to));
            }
            let regex = match &known {
                Some(regex) => regex,
                None => cache.get(pattern, &flags)?,
            };
            out.push(&regex.replacen(text, usize::from(!all), replacement.1.as_str()))?;
        }
        Ok(Value::made(out.finish(), one))
    }))
}

/// `\1` as `${1}`, which the crate means by it; a doubled backslash counts as one.
fn groups(to: &str) -> String {
    let mut out = String::with_capacity(to.len());
    let mut rest = to;
    while let Some(at) = rest.find('\\') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let slashes = from.bytes().take_while(|b| *b == b'\\').count();
        let digits = from[slashes..].bytes().take_while(u8::is_ascii_digit).count();
        let group = &from[slashes..slashes + digits];
        if digits == 0 {
            out.push_str(&from[..slashes]);
        } else {
            // Of a row of backslashes the last one or two belong to the group.
            out.push_str(&from[..slashes - if slashes >= 2 { 2 } else { 1 }]);
            out.push_str("${");
            out.push_str(group);
            out.push('}');
        }
        rest = &from[slashes + digits..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_those_of_posix() {
        assert_eq!(groups(r"\1-\22"), "${1}-${22}");
        assert_eq!(groups(r"\\1x"), "${1}x");
        assert_eq!(groups(r"a\b\\"), r"a\b\\");
        assert_eq!(groups("${1}"), "${1}");
        assert_eq!(groups(r"\\\1"), r"\${1}");
    }

    #[test]
    fn the_cache_starts_over_at_its_bound() {
        let mut cache = Cache::default();
        for i in 0..COMPILED_MAX * 2 {
            assert!(cache.get(&format!("a{i}"), "").is_ok());
            assert!(cache.0.len() <= COMPILED_MAX);
        }
        let error = super::super::super::reason(&cache.get("a(", "").unwrap_err());
        assert_eq!(error, "the pattern cannot be read: unclosed group: a(");
    }
}

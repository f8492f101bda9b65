//! `when`: the conditions of a task.

use crate::model::block::{Block, Complaint, Spanned, Value, shown};
use crate::model::condition::{Condition, DayPart, WEEKDAYS};
use std::path::PathBuf;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Reads the conditions; all of them must hold. `None`: one is wrong, and why was reported.
pub(super) fn when(mut block: Block<'_>) -> Option<Vec<Condition>> {
    let mut all = Vec::new();
    let mut good = true;
    let mut take = |given: bool, read: Option<Condition>| {
        good &= !given || read.is_some();
        all.extend(read);
    };
    let given = block.has("no_success_within");
    let read = block.duration("no_success_within", Duration::from_secs(1)..=3660 * DAY);
    take(given, read.map(Condition::NoSuccessWithin));
    let given = block.has("file_exists");
    let read = block.path("file_exists");
    take(given, read.map(|path| Condition::FileExists(path.value)));
    let given = block.has("file_newer_than");
    let read =
        with_path(&mut block, "file_newer_than", "age", |b| b.duration("age", Duration::from_secs(1)..=3660 * DAY));
    take(given, read.map(|(path, age)| Condition::FileNewerThan { path, age }));
    let given = block.has("disk_free_above");
    let read = disk(&mut block);
    take(given, read);
    let given = block.has("load_below");
    let read = block.float("load_below", 0.01..=100_000.0);
    take(given, read.map(Condition::LoadBelow));
    let given = block.has("between");
    let read = words(&mut block, "between").and_then(|words| parts(&block, &words));
    take(given, read.map(Condition::Between));
    let given = block.has("weekday");
    let read = words(&mut block, "weekday").and_then(|words| days(&block, &words));
    take(given, read.map(Condition::Weekday));
    let given = block.has("command");
    let read = command(&mut block);
    take(given, read);
    let given = block.has("sql");
    let read = block.string("sql");
    take(given, read.map(|sql| Condition::Sql(sql.value)));
    good.then_some(all)
}

/// A table of a path and something else.
fn with_path<T>(
    block: &mut Block<'_>,
    key: &str,
    other: &str,
    read: impl FnOnce(&mut Block<'_>) -> Option<T>,
) -> Option<(PathBuf, T)> {
    let mut table = block.table(key)?;
    table.require("path");
    table.require(other);
    let path = table.path("path");
    let other = read(&mut table);
    Some((path?.value, other?))
}

/// `disk_free_above = "10GB"` is about the file system of the configuration.
fn disk(block: &mut Block<'_>) -> Option<Condition> {
    let key = "disk_free_above";
    if matches!(block.node(key)?.value, Value::Table(_)) {
        let (path, bytes) = with_path(block, key, "size", |b| b.size("size", 1..=u64::MAX / 2))?;
        return Some(Condition::DiskFreeAbove { path, bytes });
    }
    let bytes = block.size(key, 1..=u64::MAX / 2)?;
    Some(Condition::DiskFreeAbove { path: block.base().to_owned(), bytes })
}

/// One word or several.
fn words(block: &mut Block<'_>, key: &str) -> Option<Vec<Spanned<String>>> {
    if matches!(block.node(key)?.value, Value::String(_)) {
        return Some(vec![block.string(key)?]);
    }
    let words = block.strings(key)?;
    if words.is_empty() {
        let span = block.node(key).map_or_else(|| block.span(), |n| n.span.clone());
        block.problem(Complaint::new(span, format!("`{key}` is empty: the task never runs")));
        return None;
    }
    Some(words)
}

fn parts(block: &Block<'_>, words: &[Spanned<String>]) -> Option<Vec<DayPart>> {
    let read = |word: &Spanned<String>| {
        let part = DayPart::parse(&word.value);
        if part.is_none() {
            let complaint = Complaint::new(word.span.clone(), format!("no part of a day: {}", shown(&word.value)));
            block.problem(complaint.hint("write \"22:00-06:00\": from, up to"));
        }
        part
    };
    let parts: Vec<Option<DayPart>> = words.iter().map(read).collect();
    parts.into_iter().collect()
}

fn days(block: &Block<'_>, words: &[Spanned<String>]) -> Option<Vec<chrono::Weekday>> {
    let read = |word: &Spanned<String>| {
        let lower = word.value.to_ascii_lowercase();
        let day = WEEKDAYS.iter().find(|(name, _)| lower.starts_with(name)).map(|(_, day)| *day);
        if day.is_none() {
            let complaint = Complaint::new(word.span.clone(), format!("no day of the week: {}", shown(&word.value)));
            block.problem(complaint.hint("mon, tue, wed, thu, fri, sat or sun"));
        }
        day
    };
    let days: Vec<Option<chrono::Weekday>> = words.iter().map(read).collect();
    days.into_iter().collect()
}

fn command(block: &mut Block<'_>) -> Option<Condition> {
    let mut table = block.table("command")?;
    table.require("program");
    let program = table.string("program");
    let args = if table.has("args") { table.strings("args") } else { Some(Vec::new()) };
    let args = args?.into_iter().map(|arg| arg.value).collect();
    Some(Condition::Command { program: program?.value, args })
}

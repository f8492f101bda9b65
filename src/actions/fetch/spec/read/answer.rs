//! The keys that say what becomes of an answer: statuses, expectations, pages, the cache, the form it is written in.

use super::{key_span, mistyped};
use crate::actions::fetch::spec::{Cache, Expect, Form, Pages, Paging, Statuses, Write};
use crate::actions::keys::optional;
use crate::model::Block;
use crate::model::block::{Complaint, Spanned, Value, shown};
use std::time::Duration;

/// Pages of one job, unless the configuration says otherwise.
const PAGES: i64 = 100;
/// Most pages of one job.
const PAGES_MAX: i64 = 100_000;
/// Longest time that an answer is kept for.
const KEPT_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

pub(super) fn statuses(block: &mut Block<'_>) -> Option<Statuses> {
    let retry = optional(block, "retry_status", |b, key| codes(b, key, 400));
    let permanent = optional(block, "permanent_status", |b, key| codes(b, key, 400));
    let (retry, permanent) = (retry?.unwrap_or_default(), permanent?.unwrap_or_default());
    if let Some(both) = permanent.iter().find(|status| retry.contains(status)) {
        let message = format!("status {both} is in `retry_status` and in `permanent_status`");
        block.problem(Complaint::new(key_span(block, "permanent_status"), message));
        return None;
    }
    Some(Statuses { retry, permanent })
}

/// One status or several.
fn codes(block: &mut Block<'_>, key: &str, least: u16) -> Option<Vec<u16>> {
    let node = block.node(key)?;
    let list = match &node.value {
        Value::Integer(n) => vec![Spanned { value: *n, span: node.span.clone() }],
        _ => block.integers(key)?,
    };
    let mut codes = Vec::with_capacity(list.len());
    for status in &list {
        match u16::try_from(status.value).ok().filter(|n| (least..=599).contains(n)) {
            Some(code) => codes.push(code),
            None => {
                let message = format!("a status in `{key}` is between {least} and 599: {}", status.value);
                block.problem(Complaint::new(status.span.clone(), message));
            }
        }
    }
    (codes.len() == list.len()).then_some(codes)
}

pub(super) fn expect(block: &mut Block<'_>) -> Option<Expect> {
    let read = |table: &mut Block<'_>| {
        let status = optional(table, "status", |b, key| codes(b, key, 200));
        let json = optional(table, "json", |b, key| b.boolean(key));
        let has_json = table.has("json");
        let key = optional(table, "key", pointer);
        let min_bytes = optional(table, "min_bytes", bytes);
        let contains = optional(table, "contains", |b, key| b.string(key));
        let (json, key, contains) = (json?, key?, contains?);
        if has_json && json == Some(false) && key.is_some() {
            let complaint = Complaint::new(key_span(table, "key"), "`key` looks into JSON, and `json` is false");
            table.problem(complaint.hint("leave `json` out"));
            return None;
        }
        if let Some(text) = contains.as_ref().filter(|text| text.value.is_empty()) {
            table.problem(
                Complaint::new(text.span.clone(), "every answer contains an empty text").hint("leave `contains` out"),
            );
            return None;
        }
        Some(Expect {
            status: status?.unwrap_or_default(),
            json: json.unwrap_or(false) || key.is_some(),
            key,
            min_bytes: min_bytes?.unwrap_or(0),
            contains: contains.map(|text| text.value),
        })
    };
    optional(block, "expect", |b, key| b.table(key).and_then(|mut table| read(&mut table)))
        .map(Option::unwrap_or_default)
}

/// A size with its unit, or a number of bytes: here a bare number can mean nothing else.
fn bytes(block: &mut Block<'_>, key: &str) -> Option<u64> {
    match block.node(key)?.value {
        Value::Integer(_) => block.integer(key, 0..=i64::MAX).and_then(|n| u64::try_from(n).ok()),
        _ => block.size(key, 0..=u64::MAX),
    }
}

/// A place in JSON: a pointer `/data/items`, or keys with dots `data.items`.
fn pointer(block: &mut Block<'_>, key: &str) -> Option<String> {
    let text = block.string(key)?;
    let value = &text.value;
    if value.is_empty() || value.starts_with('/') {
        let is_good = value.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
        if !is_good {
            let message = format!("`{key}` is not a JSON pointer: {}", shown(value));
            block.problem(
                Complaint::new(text.span, message).hint("in a pointer, ~ is written ~0 and / within a key ~1"),
            );
        }
        return is_good.then(|| value.clone());
    }
    if value.split('.').any(str::is_empty) {
        let message = format!("`{key}` names no place in JSON: {}", shown(value));
        block.problem(Complaint::new(text.span, message).hint(r#"write "data.items" or "/data/items""#));
        return None;
    }
    Some(value.split('.').map(|part| format!("/{}", part.replace('~', "~0").replace('/', "~1"))).collect())
}

pub(super) fn write(block: &mut Block<'_>) -> Option<Write> {
    let forms = [("body", Form::Body), ("ndjson", Form::Ndjson), ("csv", Form::Csv)];
    let form = optional(block, "write", |b, key| b.choice(key, &forms));
    let items = optional(block, "items", pointer);
    let (form, items) = (form?.unwrap_or_default(), items?);
    if form == Form::Body && items.is_some() {
        let complaint = Complaint::new(key_span(block, "items"), "`items` without a form that has items");
        block.problem(complaint.hint(r#"add write = "ndjson" or write = "csv""#));
        return None;
    }
    Some(Write { form, items: items.unwrap_or_default() })
}

pub(super) fn pages(table: &mut Block<'_>) -> Option<Pages> {
    let span = table.span();
    let max = optional(table, "max", |b, key| b.integer(key, 1..=PAGES_MAX));
    let link = optional(table, "link", |b, key| b.boolean(key));
    let cursor = optional(table, "cursor", pointer);
    let number = optional(table, "number", parameter);
    let offset = optional(table, "offset", parameter);
    let ways: Vec<_> = ["link", "cursor", "number", "offset"].into_iter().filter(|key| table.has(key)).collect();
    let param = optional(table, "param", parameter);
    let start = optional(table, "start", |b, key| b.integer(key, 0..=i64::MAX));
    let limit = optional(table, "limit", |b, key| b.table(key).and_then(|mut t| page_size(&mut t)));
    let (param, start, limit, max) = (param?, start?, limit?, max?);
    let mut is_good = true;
    for (key, way) in [("param", "cursor"), ("start", "number"), ("limit", "offset")] {
        if table.has(key) && !table.has(way) {
            table.problem(Complaint::new(key_span(table, key), format!("`{key}` belongs to `{way}`")));
            is_good = false;
        }
    }
    let (link, cursor, number, offset) = (link?, cursor?, number?, offset?);
    let by = match (link, cursor, number, offset) {
        (Some(true), None, None, None) => Paging::Link,
        (None, Some(field), None, None) if !field.is_empty() => Paging::Cursor { field, param },
        (None, None, Some(param), None) => {
            Paging::Number { param, start: start.and_then(|n| u64::try_from(n).ok()).unwrap_or(1) }
        }
        (None, None, None, Some(param)) => Paging::Offset { param, limit },
        _ => {
            let message = if ways.len() > 1 {
                "`pages` names two ways to the next page"
            } else {
                "`pages` names no way to the next page"
            };
            let hint = r#"write { link = true }, { cursor = "/next", param = "cursor" }, { number = "page" } or { offset = "offset" }"#;
            table.problem(Complaint::new(span, message).hint(hint));
            return None;
        }
    };
    is_good.then(|| Pages { by, max: max.and_then(|n| u32::try_from(n).ok()).unwrap_or(PAGES as u32) })
}

fn page_size(table: &mut Block<'_>) -> Option<(String, u64)> {
    let has_all = table.require("param") & table.require("size");
    let param = parameter(table, "param");
    let size = table.integer("size", 1..=1_000_000).and_then(|n| u64::try_from(n).ok());
    has_all.then_some((param?, size?))
}

/// The name of a parameter in a query.
fn parameter(block: &mut Block<'_>, key: &str) -> Option<String> {
    let text = block.string(key)?;
    if text.value.is_empty() || text.value.chars().any(char::is_control) {
        block.problem(Complaint::new(text.span, format!("`{key}` is the name of a parameter: {}", shown(&text.value))));
        return None;
    }
    Some(text.value)
}

#[expect(clippy::option_option, reason = "wrong, off, and on are three things")]
pub(super) fn cache(block: &mut Block<'_>) -> Option<Option<Cache>> {
    let read = |block: &mut Block<'_>, key: &str| {
        let node = block.node(key)?;
        let time = Duration::ZERO..=KEPT_MAX;
        match &node.value {
            Value::Boolean(is_on) => Some(is_on.then_some(Cache { ttl: Duration::ZERO, stale_if_error: None })),
            Value::String(_) => block.duration(key, time).map(|ttl| Some(Cache { ttl, stale_if_error: None })),
            Value::Table(_) => {
                let mut table = block.below(key, node);
                let ttl = optional(&mut table, "ttl", |b, key| b.duration(key, time.clone()));
                let stale = optional(&mut table, "stale_if_error", |b, key| b.duration(key, time.clone()));
                let (ttl, stale_if_error) = (ttl?.unwrap_or_default(), stale?);
                if stale_if_error.is_some_and(|stale| stale <= ttl) {
                    let complaint =
                        Complaint::new(key_span(&table, "stale_if_error"), "`stale_if_error` is not longer than `ttl`");
                    table.problem(complaint.hint("an answer younger than `ttl` is taken anyway"));
                    return None;
                }
                Some(Some(Cache { ttl, stale_if_error }))
            }
            other => mistyped(block, key, "true, a duration or a table", other, &node.span),
        }
    };
    optional(block, "cache", read).map(Option::flatten)
}

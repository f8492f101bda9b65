//! What an attempt tells of its calls.

use super::answer::Page;
use crate::model::action::Report;
use crate::model::action::network::Call;
use crate::model::text;

/// Adds a call to those of the attempt.
pub(super) fn add(sum: &mut Call, made: Call) {
    sum.status = made.status.or(sum.status);
    sum.latency_ms = made.latency_ms.or(sum.latency_ms);
    sum.requests = sum.requests.saturating_add(made.requests);
    sum.bytes = sum.bytes.saturating_add(made.bytes);
}

/// What a job that did its work reports.
pub(super) fn report(call: &Call, cached: bool, page: &Page, pages: u32) -> Report {
    let mut note = match (call.status, cached) {
        (Some(status), true) => format!("{status}, from the cache"),
        (None, true) => "from the cache".to_owned(),
        (Some(status), false) => format!("{status}, {} bytes", text::count(call.bytes)),
        (None, false) => format!("{} bytes", text::count(call.bytes)),
    };
    if let Some(ms) = call.latency_ms {
        note.push_str(&format!(", {} ms", text::count(ms)));
    }
    if let Some(items) = page.items {
        note.push_str(&format!(", {}", text::counted(items, "item")));
    }
    if pages > 1 {
        note.push_str(&format!(", {pages} pages"));
    }
    if page.extra_keys > 0 {
        let key = page.extra_key.as_deref().unwrap_or_default();
        note.push_str(&format!(", {} values without a column, the first of {key}", text::count(page.extra_keys)));
    }
    let call = Call { cached, ..*call };
    Report { rows: page.items, note: Some(note), call: Some(call), ..Report::default() }
}

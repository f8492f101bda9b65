//! What a job on the network came to: its call, the answer that was no good, the run that it belongs to.

use super::Page;
use crate::model::action::network::Call;
use crate::model::view::{JobView, RunView};
use crate::model::{Failure, RunState};
use crate::tui::app::{App, plural};
use crate::tui::panes::PaneId;
use crate::tui::theme::Meaning;
use crate::tui::widgets::{text, time};
use ratatui::text::{Line, Span};

/// Lines of a bad answer shown beside the list before the rest is counted.
const ANSWER_SHOWN: usize = 6;
/// Rows that one line of a bad answer takes at most; the rest of it is cut.
const ANSWER_ROWS: usize = 40;

/// The head of the answer that was no good: the first lines at a glance, all that is kept once the pane has the focus.
pub(super) fn answer(page: &mut Page<'_>, app: &App, error: &Failure) {
    let Some(answer) = error.answer.as_ref().filter(|a| !a.is_empty()) else { return };
    page.gap();
    let lines: Vec<&str> = answer.lines().collect();
    let shown = if app.focus == PaneId::Details { lines.len() } else { lines.len().min(ANSWER_SHOWN) };
    let bar = page.theme.glyphs.frame[5];
    let room = page.width.saturating_sub(2);
    // The status stands first, the body behind the first empty line.
    let body = lines.iter().position(|line| line.is_empty()).unwrap_or(lines.len());
    for (n, line) in lines[..shown].iter().enumerate() {
        let meaning = match n {
            0 => Meaning::Strong,
            n if n < body => Meaning::Dim,
            _ => Meaning::Plain,
        };
        let mut rows = text::wrap(line, room, ANSWER_ROWS, page.theme.glyphs);
        if rows.is_empty() {
            rows.push(String::new());
        }
        for row in rows {
            page.lines.push(Line::from(vec![
                Span::styled(format!("{bar} "), page.theme.style(Meaning::Frame)),
                Span::styled(row, page.theme.style(meaning)),
            ]));
        }
    }
    if lines.len() > shown {
        page.row(Meaning::Dim, &format!("  and {} more lines: Enter", lines.len() - shown));
    }
}

/// `run 12: 98 ok, 2 failed, 0 open of 100`
pub(super) fn progress(run: &RunView) -> String {
    let [ok, failed, open, total] = [run.ok, run.failed, run.open, run.total].map(time::count);
    let aside = if run.skipped > 0 { format!(", {} set aside", time::count(run.skipped)) } else { String::new() };
    let more = if run.state == RunState::Expanding { ", more to come" } else { "" };
    format!("run {}: {ok} ok, {failed} failed{aside}, {open} open of {total}{more}", run.id)
}

/// `401, 123 ms, 2 requests, 4.1 kB, from the cache`: of the attempt looked at, else of the last one.
pub(super) fn facts(job: &JobView, attempt: Option<Option<Call>>) -> String {
    let call = attempt.unwrap_or_else(|| {
        let kept = job.error.as_ref().and_then(|e| e.call);
        let told = job.requests.is_some() || job.http_status.is_some() || job.cached;
        kept.or(told.then(|| Call {
            status: job.http_status,
            latency_ms: job.latency_ms,
            requests: job.requests.unwrap_or(0),
            bytes: job.bytes_out.unwrap_or(0),
            cached: job.cached,
        }))
    });
    let Some(call) = call else { return String::new() };
    let mut facts = Vec::new();
    facts.extend(call.status.map(|n| n.to_string()));
    facts.extend(call.latency_ms.map(time::latency));
    facts.push(format!("{} request{}", time::count(call.requests.into()), plural(call.requests.into())));
    facts.extend(Some(call.bytes).filter(|n| *n > 0).map(time::bytes));
    facts.extend(call.cached.then(|| "from the cache".to_owned()));
    facts.join(", ")
}

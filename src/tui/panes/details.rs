//! One job: what went wrong and where, every attempt, its files, who did what to it, and the keys valid for it.

mod call;

use super::{Pane, PaneId, Title, padded};
use crate::model::view::{AttemptView, JobDetail, JobView};
use crate::model::{Failure, JobState};
use crate::tui::action::Action;
use crate::tui::app::{App, plural};
use crate::tui::draw::keys;
use crate::tui::theme::{Meaning, Theme};
use crate::tui::widgets::line::put;
use crate::tui::widgets::{bar, text, time};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

/// One job.
pub struct Details;

/// Single causes shown before the rest is counted.
const CAUSES_SHOWN: usize = 10;
/// Rejected records shown beside the list before the rest is counted.
const REJECTS_SHOWN: usize = 3;
/// Lines of a job's own output shown.
const OUTPUT_SHOWN: usize = 40;

impl Pane for Details {
    fn id(&self) -> PaneId {
        PaneId::Details
    }

    fn title(&self, app: &App) -> Title {
        let Some(job) = app.rows.selected() else {
            return Title { name: "Details".to_owned(), note: String::new() };
        };
        let attempts = app.detail().map_or(0, |d| d.attempts.len());
        let note = match (app.attempt, attempts) {
            (_, 0 | 1) => format!("#{}", job.id),
            (at, n) => format!("#{} try {} of {n}", job.id, at.map_or(n, |i| i + 1)),
        };
        Title { name: format!("{}: {}", job.task, super::queue::name(job)), note }
    }

    fn draw(&self, app: &App, area: Rect, buf: &mut Buffer) {
        let area = padded(area);
        let lines = lines(app, area.width.into());
        // With the focus here the last line of the screen says the same.
        let foot = area.height >= 6 && app.focus != PaneId::Details;
        let room = usize::from(area.height).saturating_sub(if foot { 2 } else { 0 });
        for (row, line) in lines.into_iter().skip(app.detail_top).take(room).enumerate() {
            put(buf, area, row, line.spans);
        }
        if foot && app.rows.selected().is_some() {
            let own = [Action::Retry, Action::Skip, Action::Cancel, Action::CopyPath, Action::JobLogs];
            put(buf, area, usize::from(area.height) - 1, keys(app, &own, area.width.into()));
        }
    }
}

/// How many lines there are, at the width of the pane.
#[must_use]
pub fn length(app: &App) -> usize {
    let layout = app.layout();
    let width = layout.pane(PaneId::Details).map_or(80, |area| padded(layout.inside(area)).width);
    lines(app, width.into()).len()
}

/// The details as plain text, for the clipboard.
#[must_use]
pub fn plain(app: &App) -> String {
    let text = |line: Line<'static>| line.spans.iter().map(|s| s.content.as_ref()).collect::<String>();
    lines(app, 160).into_iter().map(|l| text(l).trim_end().to_owned() + "\n").collect()
}

/// Lines under construction.
struct Page<'a> {
    theme: &'a Theme,
    width: usize,
    lines: Vec<Line<'static>>,
}

impl Page<'_> {
    fn wrap(&mut self, meaning: Meaning, content: &str, max: usize) {
        let style = self.theme.style(meaning);
        let wrapped = text::wrap(content, self.width, max, self.theme.glyphs);
        self.lines.extend(wrapped.into_iter().map(|l| Line::from(Span::styled(l, style))));
    }

    fn row(&mut self, meaning: Meaning, content: &str) {
        self.wrap(meaning, content, 1);
    }

    /// An empty line, unless there is one already or nothing stands above.
    fn gap(&mut self) {
        if self.lines.last().is_some_and(|l| !l.spans.is_empty()) {
            self.lines.push(Line::default());
        }
    }

    fn fact(&mut self, label: &str, value: &str) {
        const LABEL: usize = 10;
        let glyphs = self.theme.glyphs;
        let room = self.width.saturating_sub(LABEL);
        for (i, part) in text::wrap(value, room, 4, glyphs).into_iter().enumerate() {
            let label = text::left(if i == 0 { label } else { "" }, LABEL, glyphs);
            self.lines.push(Line::from(vec![
                Span::styled(label, self.theme.style(Meaning::Dim)),
                Span::styled(part, self.theme.style(Meaning::Plain)),
            ]));
        }
    }
}

fn lines(app: &App, width: usize) -> Vec<Line<'static>> {
    let mut page = Page { theme: &app.theme, width, lines: Vec::new() };
    let Some(row) = app.rows.selected() else {
        page.row(Meaning::Dim, "no job is selected");
        return page.lines;
    };
    let detail = app.detail();
    let job = detail.map_or(row, |d| &d.job);
    head(&mut page, app, job);
    let attempt = app.attempt.and_then(|i| detail?.attempts.get(i));
    let error = attempt.map_or(job.error.as_ref(), |a| a.error.as_ref());
    if let Some(error) = error {
        failure(&mut page, error, &job.input);
        call::answer(&mut page, app, error);
    }
    if let Some(detail) = detail {
        rejects(&mut page, app, detail);
        rest(&mut page, app, detail, attempt);
    } else if let Some((_, why)) = &app.detail_error {
        page.gap();
        page.row(Meaning::Attention, &format!("cannot read the details: {why}"));
    }
    page.lines
}

fn head(page: &mut Page<'_>, app: &App, job: &JobView) {
    let (sign, word, meaning) = page.theme.state(job);
    let class = job.error.as_ref().filter(|_| job.state == JobState::Failed || job.is_retry());
    let class = class.map_or_else(String::new, |e| format!(": {}, {}", e.class, e.code));
    let tries = format!("{} of {} tries", job.spent, job.max_attempts);
    let left = format!("{sign} {word}{class}");
    let room = page.width.saturating_sub(text::width(&tries) + 1);
    let mut spans = vec![Span::styled(text::left(&left, room, page.theme.glyphs), page.theme.style(meaning))];
    if room > 8 {
        spans.push(Span::styled(format!(" {tries}"), page.theme.style(Meaning::Dim)));
    }
    page.lines.push(Line::from(spans));
    if let Some(at) = job.not_before.as_ref().filter(|_| job.state == JobState::Waiting) {
        let left = time::until(at, app.now()).map_or_else(String::new, |ms| format!(", in {}", time::exact(ms)));
        page.row(Meaning::Attention, &format!("next try {}{left}", time::stamp(at, app.now())));
    }
    if let Some(p) = app.progress.get(&job.id).filter(|_| job.state == JobState::Running) {
        let total = p.bytes_total.map_or_else(String::new, |t| format!(" of {}", time::bytes(t)));
        let share = p.share().map_or_else(String::new, |s| format!("{}, ", bar::percent(s)));
        let speed = p.bytes_per_second.map_or_else(String::new, |n| format!(", {}/s", time::bytes(n)));
        let left = p.left_ms.map_or_else(String::new, |ms| format!(", {} left", time::exact(ms)));
        page.row(Meaning::Plain, &format!("{share}{}{total}{speed}{left}", time::bytes(p.bytes)));
        if p.rows > 0 {
            page.row(Meaning::Plain, &super::queue::flow(p));
        }
        if p.rejected > 0 {
            page.row(Meaning::Attention, &format!("{} rejected", time::count(p.rejected)));
        }
    }
    if job.maybe_repeated {
        page.row(Meaning::Attention, "effects outside may have happened more than once");
    }
    if let Some(reason) = &job.reason {
        page.wrap(Meaning::Plain, &format!("reason: {reason}"), 3);
    }
}

fn failure(page: &mut Page<'_>, error: &Failure, input: &str) {
    page.gap();
    page.wrap(Meaning::Failed, &error.message, 4);
    let column = match (error.column, &error.column_name) {
        (Some(n), Some(name)) => format!(", column {n} \"{name}\""),
        (Some(n), None) => format!(", column {n}"),
        (None, Some(name)) => format!(", column \"{name}\""),
        (None, None) => String::new(),
    };
    // The job's own file stands below with its other facts.
    let file = error.file.as_ref().filter(|f| *f != input);
    if let Some(line) = error.line {
        let file = file.map_or_else(String::new, |f| format!("{f}, "));
        page.row(Meaning::Dim, &format!("{file}line {line}{column}"));
    } else if let Some(file) = file {
        page.row(Meaning::Dim, file);
    }
    record(page, error);
    if matches!(error.causes.as_slice(), [only] if error.message.contains(&only.message)) {
        return;
    }
    let shown = error.causes.len().min(CAUSES_SHOWN);
    for cause in &error.causes[..shown] {
        let place = cause.line.filter(|_| !cause.message.contains("line "));
        let place = place.map_or_else(String::new, |n| format!("line {n}: "));
        page.row(Meaning::Plain, &format!("  {place}{}", cause.message));
    }
    if error.causes.len() > shown {
        page.row(Meaning::Dim, &format!("  and {} more", error.causes.len() - shown));
    }
}

/// The raw record with its neighbours, and carets under the failing column.
fn record(page: &mut Page<'_>, error: &Failure) {
    let at = error.line.unwrap_or(0);
    let raw = error.raw.as_deref();
    let mut shown: Vec<(u64, &str)> = error.context.iter().map(|c| (c.line, c.text.as_str())).collect();
    if !shown.iter().any(|(n, _)| *n == at) {
        shown.extend(raw.map(|r| (at, r)));
        shown.sort_by_key(|(n, _)| *n);
    }
    if shown.is_empty() {
        return;
    }
    page.gap();
    let digits = shown.iter().map(|(n, _)| n.to_string().len()).max().unwrap_or(1).max(3);
    let room = page.width.saturating_sub(digits + 4);
    let failing = shown.iter().find(|(n, _)| *n == at).map_or("", |(_, t)| *t);
    let span = error.column.map(|column| match field(failing, column) {
        Some(r) => (text::width(&failing[..r.start]), text::width(&failing[r]).max(1)),
        // The field that is missing would stand behind the end.
        None => (text::width(failing), 1),
    });
    // A column behind the edge: the window moves, for all lines alike.
    let from = span.filter(|(start, len)| start + len > room).map_or(0, |(start, _)| start.saturating_sub(room / 3));
    let bar = page.theme.glyphs.frame[5];
    let dim = page.theme.style(Meaning::Dim);
    for (n, content) in shown {
        let failed = n == at;
        let number = if n == 0 { String::new() } else { n.to_string() };
        let style = page.theme.style(if failed { Meaning::Strong } else { Meaning::Dim });
        page.lines.push(Line::from(vec![
            Span::styled(format!("{number:>w$} {bar} ", w = digits + 1), dim),
            Span::styled(text::window(content, from, room), style),
        ]));
        if let Some((start, len)) = span.filter(|_| failed) {
            let start = start - from.min(start);
            let carets: String =
                std::iter::repeat_n(page.theme.glyphs.caret, len.min(room.saturating_sub(start))).collect();
            page.lines.push(Line::from(vec![
                Span::styled(format!("{:>w$} {bar} ", "", w = digits + 1), dim),
                Span::styled(format!("{}{carets}", " ".repeat(start)), page.theme.style(Meaning::Failed)),
            ]));
        }
    }
}

/// Bytes of field `column` (1-based) of a delimited record; the delimiter is the likeliest one.
fn field(record: &str, column: u64) -> Option<std::ops::Range<usize>> {
    let count = |d: char| record.matches(d).count();
    let delimiter = [',', ';', '\t', '|'].into_iter().max_by_key(|d| (count(*d), *d == ','))?;
    let (mut start, mut n, mut quoted) = (0, 1, false);
    for (i, c) in record.char_indices() {
        match c {
            '"' => quoted = !quoted,
            c if c == delimiter && !quoted => {
                if n == column {
                    return Some(start..i);
                }
                (n, start) = (n + 1, i + c.len_utf8());
            }
            _ => {}
        }
    }
    (n == column).then_some(start..record.len())
}

/// The records that were set aside: the first few at a glance, all that are kept once the pane has the focus.
fn rejects(page: &mut Page<'_>, app: &App, detail: &JobDetail) {
    let total = detail.job.rejected;
    if total == 0 {
        return;
    }
    page.gap();
    let all = app.focus == PaneId::Details;
    let shown = if all { detail.rejects.len() } else { detail.rejects.len().min(REJECTS_SHOWN) };
    page.row(Meaning::Attention, &format!("{} row{} rejected", time::count(total), plural(total)));
    for reject in &detail.rejects[..shown] {
        let mut place: Vec<String> = reject.line.map(|n| format!("line {n}")).into_iter().collect();
        place.extend(match (reject.column, &reject.column_name) {
            (Some(n), Some(name)) => Some(format!("column {n} \"{name}\"")),
            (Some(n), None) => Some(format!("column {n}")),
            (None, name) => name.as_ref().map(|name| format!("column \"{name}\"")),
        });
        place.extend(reject.byte.map(|n| format!("byte {}", time::count(n))));
        let place = if place.is_empty() { String::new() } else { format!("{}: ", place.join(", ")) };
        page.wrap(Meaning::Plain, &format!("  {place}{}", reject.message), 3);
        if let Some(raw) = &reject.raw {
            page.row(Meaning::Dim, &format!("  {} {raw}", page.theme.glyphs.frame[5]));
        }
    }
    let rest = total.saturating_sub(shown as u64);
    if rest > 0 && !all && detail.rejects.len() > shown {
        page.row(Meaning::Dim, &format!("  and {} more: Enter", time::count(rest)));
    } else if rest > 0 {
        page.row(Meaning::Dim, &format!("  and {} more", time::count(rest)));
    }
}

fn rest(page: &mut Page<'_>, app: &App, detail: &JobDetail, attempt: Option<&AttemptView>) {
    let now = app.now();
    if !detail.why.is_empty() && !detail.job.state.is_settled() {
        page.gap();
        for why in &detail.why {
            page.wrap(Meaning::Attention, &format!("not running: {why}"), 3);
        }
    }
    if let Some(cause) = detail.cause.as_ref().filter(|c| c.open > 1) {
        page.gap();
        let since = time::stamp(&cause.first_at, now);
        page.row(Meaning::Plain, &format!("same cause: {} jobs, since {since}", time::count(cause.open)));
    }
    if let Some(run) = detail.run.as_ref().filter(|run| run.total > 1 || detail.job.is_plan) {
        page.gap();
        page.row(Meaning::Plain, &call::progress(run));
    }
    if !detail.attempts.is_empty() {
        page.gap();
        let shown = app.attempt.unwrap_or(detail.attempts.len() - 1);
        for (i, a) in detail.attempts.iter().enumerate() {
            let took = a.duration_ms.map_or_else(|| "-".to_owned(), time::took);
            let how = outcome(a);
            let line = format!("try {:<2} {:<8} {took:>7}  {how}", a.n, time::stamp(&a.started_at, now));
            page.row(if i == shown { Meaning::Plain } else { Meaning::Dim }, &line);
        }
    }
    if let Some(output) = attempt.or(detail.attempts.last()).and_then(|a| a.output.as_ref()) {
        page.gap();
        for line in output.lines().take(OUTPUT_SHOWN) {
            page.wrap(Meaning::Dim, line, 3);
        }
    }
    page.gap();
    page.fact("input", &detail.job.input);
    let attempt_call = attempt.map(|a| a.error.as_ref().and_then(|e| e.call));
    let facts = call::facts(&detail.job, attempt_call);
    if !facts.is_empty() {
        page.fact("call", &facts);
    }
    for file in detail.files.iter().filter(|f| f.role != "in") {
        page.fact(&file.role, &file.path);
    }
    let job = &detail.job;
    let size = job.bytes_in.map(time::bytes);
    let rows = job.rows.map(|n| super::queue::rows(n, job.rows_out, None));
    let facts: Vec<String> = size.into_iter().chain(rows).collect();
    if !facts.is_empty() {
        page.fact("size", &facts.join(", "));
    }
    page.fact("created", &format!("{}, by {}", time::stamp(&job.created_at, now), job.action));
    if !detail.actions.is_empty() {
        page.gap();
        for a in &detail.actions {
            let who = a.user.clone().unwrap_or_else(|| format!("uid {}", a.uid));
            let why = a.reason.as_ref().map_or_else(String::new, |r| format!(": {r}"));
            page.wrap(Meaning::Dim, &format!("{} {who} {}{why}", time::stamp(&a.at, now), a.kind), 2);
        }
    }
}

fn outcome(a: &AttemptView) -> String {
    let outcome = a.outcome.as_deref().unwrap_or("running");
    let charged = if a.charged || a.ended_at.is_none() { "" } else { ", not charged" };
    let exit = a.exit.map_or_else(String::new, |e| format!(", exit {e}"));
    match a.class {
        Some(class) if outcome == "failed" && !class.is_retried() => format!("{class}: not retried{exit}{charged}"),
        Some(class) => format!("{outcome}, {class}{exit}{charged}"),
        None => format!("{outcome}{exit}{charged}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_failing_field_is_found() {
        let record = "1042,포도 상자,\"12,5\"";
        assert_eq!(&record[field(record, 3).unwrap()], "\"12,5\"");
        assert_eq!(&record[field(record, 2).unwrap()], "포도 상자");
        assert_eq!(field(record, 4), None);
        assert_eq!(field(record, 0), None);
        assert_eq!(&"a;b,1;c"[field("a;b,1;c", 2).unwrap()], "b,1");
        assert_eq!(field("", 1), Some(0..0));
    }
}

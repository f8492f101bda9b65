//! The job list: what failed first, its reason in a second line.

use super::{Pane, PaneId, Title};
use crate::model::view::{JobView, ProgressView};
use crate::model::{JobId, JobState, Millis};
use crate::tui::app::{App, Link, plural};
use crate::tui::theme::Meaning;
use crate::tui::widgets::line::{put, tint};
use crate::tui::widgets::table::{self, Column};
use crate::tui::widgets::{Glyphs, bar, text, time};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;
use std::collections::HashMap;

/// The job list.
pub struct Queue;

/// Columns before the table: cursor and mark.
const GUTTER: usize = 2;
/// Least columns before a reason: below the state's word.
const REASON_INDENT: usize = 4;
/// Widest column of task names.
const TASK_MAX: usize = 14;
/// What stands behind the URL of a call that was made, and how much of the URL must stay in sight beside it.
const FACTS: [(Column, usize); 3] = [
    (Column { title: "", width: 3, right: true, rank: 0 }, 18),
    (Column { title: "", width: 6, right: true, rank: 0 }, 22),
    (Column { title: "", width: 7, right: true, rank: 0 }, 28),
];
/// Number of the column of names, and of the first of those facts.
const INPUT: usize = 2;
const FACT: usize = 5;

impl Pane for Queue {
    fn id(&self) -> PaneId {
        PaneId::Queue
    }

    fn title(&self, app: &App) -> Title {
        let name = if app.filter.is_empty() { "Queue".to_owned() } else { format!("Queue /{}", app.filter) };
        Title { name, note: if app.rows.loaded { app.extent() } else { String::new() } }
    }

    fn draw(&self, app: &App, area: Rect, buf: &mut Buffer) {
        if app.rows.is_empty() {
            return draw_empty(app, super::padded(area), buf);
        }
        let theme = &app.theme;
        let columns = columns(app, usize::from(area.width).saturating_sub(GUTTER + 1));
        let dim = theme.style(Meaning::Dim);
        let mut head = vec![Span::raw(" ".repeat(GUTTER))];
        head.extend(table::head(&columns, dim, theme.glyphs));
        put(buf, area, 0, head);
        let mut at = 1;
        let range = range(app);
        for (index, job) in app.rows.iter().enumerate().skip(app.rows.top) {
            if at >= usize::from(area.height) {
                break;
            }
            let selected = index == app.rows.index();
            let marked = app.marks.has(job.id) || range.as_ref().is_some_and(|r| r.contains(&index));
            draw_row(app, job, &columns, (at, selected, marked), area, buf);
            at += height(&app.progress, job);
        }
    }
}

fn range(app: &App) -> Option<std::ops::RangeInclusive<usize>> {
    let from = app.rows.position(app.range?)?;
    let to = app.rows.index();
    Some(from.min(to)..=from.max(to))
}

fn columns(app: &App, width: usize) -> Vec<(usize, Column)> {
    let names = app.status.iter().flat_map(|s| &s.tasks).map(|t| t.name.chars().count());
    let task = names.max().unwrap_or(0).clamp(4, TASK_MAX);
    table::arrange(
        &[
            Column { title: "  STATE", width: 11, right: false, rank: 1 },
            Column { title: "TASK", width: task, right: false, rank: 3 },
            Column { title: "INPUT", width: 0, right: false, rank: 0 },
            Column { title: "TRY", width: 4, right: true, rank: 4 },
            Column { title: "AGE", width: 7, right: true, rank: 2 },
        ],
        width,
    )
}

fn draw_row(
    app: &App,
    job: &JobView,
    columns: &[(usize, Column)],
    (at, selected, marked): (usize, bool, bool),
    area: Rect,
    buf: &mut Buffer,
) {
    let theme = &app.theme;
    let (sign, word, meaning) = theme.state(job);
    let body = match meaning {
        Meaning::Dim => theme.style(Meaning::Dim),
        Meaning::Running => theme.style(Meaning::Strong),
        _ => theme.style(Meaning::Plain),
    };
    let quiet = theme.style(Meaning::Dim);
    let columns = &with_facts(job, columns);
    let input = columns.iter().find(|(i, _)| *i == INPUT).map_or(0, |(_, c)| c.width);
    let status = job.http_status.map_or_else(String::new, |n| n.to_string());
    let latency = if job.cached { Some("cached".to_owned()) } else { job.latency_ms.map(time::latency) };
    let cells = [
        (format!("{sign} {word}"), theme.style(meaning)),
        (job.task.clone(), body),
        (input_cell(app, job, input), body),
        (format!("{}/{}", job.spent, job.max_attempts), quiet),
        (age(job, app.now()), if job.is_retry() { theme.style(Meaning::Attention) } else { quiet }),
        (status, if job.http_status.is_some_and(|n| n >= 400) { body } else { quiet }),
        (latency.unwrap_or_default(), if job.cached { quiet } else { body }),
        (job.bytes_out.map_or_else(String::new, time::bytes), quiet),
    ];
    let focused = app.focus == PaneId::Queue;
    let cursor = if selected { theme.glyphs.cursor } else { ' ' };
    let mark = if marked { theme.glyphs.mark } else { ' ' };
    let accent = theme.style(if focused || marked { Meaning::Focus } else { Meaning::Dim });
    let mut spans = vec![Span::styled(format!("{cursor}{mark}"), accent)];
    spans.extend(table::row(columns, &cells, theme.glyphs));
    put(buf, area, at, spans);
    let lines = height(&app.progress, job);
    let second = second_line(&app.progress, job);
    if !second.is_empty() {
        // Below the task where it fits, else further left: the end of a reason says more than a straight edge.
        let column = columns.iter().find(|(i, _)| *i == 0).map_or(GUTTER, |(_, c)| GUTTER + c.width + 2);
        let width = usize::from(area.width).saturating_sub(1);
        let fits = column + second.iter().map(|(part, _)| text::width(part)).sum::<usize>() <= width;
        let indent = if fits { column } else { REASON_INDENT.min(column) };
        let mut room = width.saturating_sub(indent);
        let mut spans = vec![
            Span::styled(if selected { theme.glyphs.cursor } else { ' ' }.to_string(), accent),
            Span::raw(" ".repeat(indent - 1)),
        ];
        for (part, meaning) in second {
            let part = text::fit(&part, room, theme.glyphs);
            room -= text::width(&part);
            spans.push(Span::styled(part, theme.style(meaning)));
        }
        put(buf, area, at + 1, spans);
    }
    if selected {
        for line in at..at + lines {
            tint(buf, area, line, theme.selected(focused));
        }
    }
}

/// The columns of one row: where a call was made, what came of it stands behind the URL, as far as there is room.
fn with_facts(job: &JobView, columns: &[(usize, Column)]) -> Vec<(usize, Column)> {
    let mut out = columns.to_vec();
    let called = job.http_status.is_some() || job.latency_ms.is_some() || job.cached;
    let Some(at) = out.iter().position(|(i, _)| *i == INPUT).filter(|_| called) else { return out };
    for (n, (fact, least)) in FACTS.into_iter().enumerate() {
        let Some(left) = out[at].1.width.checked_sub(fact.width + table::GAP).filter(|left| *left >= least) else {
            break;
        };
        out[at].1.width = left;
        out.insert(at + 1 + n, (FACT + n, fact));
    }
    out
}

/// The name of the input; behind it, for a running job, how far it is.
fn input_cell(app: &App, job: &JobView, width: usize) -> String {
    const BAR_MIN: usize = 3;
    const BAR_MAX: usize = 10;
    /// The percentage, with the spaces around the bar.
    const NUMBER: usize = 6;
    let glyphs = app.theme.glyphs;
    let progress = app.progress.get(&job.id).filter(|_| job.state == JobState::Running);
    let share = progress.and_then(ProgressView::share);
    let rows = progress.map(|p| format!("{} rows", time::count(p.rows))).filter(|_| share.is_none());
    match share {
        Some(share) if width >= BAR_MIN + NUMBER + text::width(&name(job)) => {
            // The name first: it is what the operator knows the file by.
            let bar = (width - NUMBER - text::width(&name(job))).min(BAR_MAX);
            let name = text::left(&name(job), width - NUMBER - bar, glyphs);
            format!("{name} {} {:>4}", bar::bar(share, bar, glyphs), bar::percent(share))
        }
        Some(share) if width >= 12 => {
            let name = text::left(&short(job, width - 5, glyphs), width - 5, glyphs);
            format!("{name} {:>4}", bar::percent(share))
        }
        _ => match rows.filter(|r| text::width(r) + 10 <= width) {
            Some(rows) => {
                let room = width - text::width(&rows) - 1;
                format!("{} {rows}", text::left(&short(job, room, glyphs), room, glyphs))
            }
            None => short(job, width, glyphs),
        },
    }
}

/// The name in at most so many columns, cut in the middle; of a URL, the host and the last part stay.
fn short(job: &JobView, width: usize, glyphs: &Glyphs) -> String {
    if job.input.contains("://") && !job.is_plan {
        text::fit_url(&name(job), width, glyphs)
    } else {
        text::fit_middle(&name(job), width, glyphs)
    }
}

/// The short name of a job's input: the file's name, a URL without its scheme, a slot. A plan says that it is one.
#[must_use]
pub fn name(job: &JobView) -> String {
    let input = job.input.as_str();
    let name = match input.split_once("://") {
        Some((_, rest)) => rest,
        None => input.rsplit('/').find(|part| !part.is_empty()).unwrap_or(input),
    };
    if job.is_plan { format!("plan: {name}") } else { name.to_owned() }
}

/// Lines that a job takes in the list.
#[must_use]
pub fn height(progress: &HashMap<JobId, ProgressView>, job: &JobView) -> usize {
    if second_line(progress, job).is_empty() { 1 } else { 2 }
}

/// Index of the row that covers a line below the headings.
#[must_use]
pub fn row_at(app: &App, line: usize) -> Option<usize> {
    let mut end = 0;
    app.rows.iter().enumerate().skip(app.rows.top).find_map(|(index, job)| {
        end += height(&app.progress, job);
        (line < end).then_some(index)
    })
}

/// What stands below a job: why it is where it is, or how its work goes, once there is something to tell.
fn second_line(progress: &HashMap<JobId, ProgressView>, job: &JobView) -> Vec<(String, Meaning)> {
    if let Some(reason) = reason(job) {
        return vec![reason];
    }
    if job.rejected > 0 {
        let rows = job.rows.map(|n| format!(", {}", rows(n, job.rows_out, None)));
        return rejected(job.rejected, rows.unwrap_or_default());
    }
    let Some(p) = progress.get(&job.id).filter(|_| job.state == JobState::Running) else { return Vec::new() };
    // Short work has no speed: its row keeps its height.
    if p.rows == 0 || p.rows_per_second.is_none() {
        return Vec::new();
    }
    let mut rest = Vec::new();
    rest.extend(p.left_ms.map(|ms| format!("{} left", time::exact(ms))));
    rest.push(flow(p));
    let rest = rest.join(", ");
    match p.rejected {
        0 => vec![(rest, Meaning::Dim)],
        n => rejected(n, format!(", {rest}")),
    }
}

fn rejected(n: u64, rest: String) -> Vec<(String, Meaning)> {
    vec![(format!("{} rejected", time::count(n)), Meaning::Attention), (rest, Meaning::Dim)]
}

/// Rows in, out and each second.
#[must_use]
pub fn flow(p: &ProgressView) -> String {
    rows(p.rows, p.rows_out, p.rows_per_second)
}

/// `612,000 rows in, 598,120 out, 1.2M/s`, as far as it is known.
#[must_use]
pub fn rows(n: u64, written: Option<u64>, per_second: Option<u64>) -> String {
    let mut out = vec![match written {
        Some(_) => format!("{} row{} in", time::count(n), plural(n)),
        None => format!("{} row{}", time::count(n), plural(n)),
    }];
    out.extend(written.map(|n| format!("{} out", time::count(n))));
    out.extend(per_second.map(|n| format!("{}/s", time::short(n))));
    out.join(", ")
}

/// Why a job stands where it stands, where that is worth a line.
fn reason(job: &JobView) -> Option<(String, Meaning)> {
    match (&job.state, &job.error, &job.held) {
        (JobState::Failed, Some(error), _) => {
            let place = error.line.filter(|_| !error.message.contains("line "));
            let place = place.map_or_else(String::new, |n| format!("line {n}: "));
            Some((format!("{place}{}", error.message), Meaning::Plain))
        }
        (JobState::Waiting | JobState::Queued, _, Some(held)) => Some((format!("held: {held}"), Meaning::Attention)),
        _ => None,
    }
}

fn age(job: &JobView, now: Millis) -> String {
    let since = |at: Option<&String>| at.and_then(|at| time::between(at, now));
    match job.state {
        JobState::Running | JobState::Placing => since(job.started_at.as_ref()).map(time::exact),
        JobState::Waiting => {
            job.not_before.as_ref().and_then(|at| time::until(at, now)).map(|ms| format!("in {}", time::exact(ms)))
        }
        JobState::Queued => since(Some(&job.created_at)).map(time::age),
        _ => since(job.finished_at.as_ref()).map(time::age),
    }
    .unwrap_or_default()
}

fn draw_empty(app: &App, area: Rect, buf: &mut Buffer) {
    let dim = app.theme.style(Meaning::Dim);
    let mut lines = match (&app.link, app.rows.loaded, app.filter.is_empty()) {
        (Link::Stale { .. }, false, _) => vec!["waiting for the supervisor".to_owned()],
        (_, false, _) => vec!["loading".to_owned()],
        (_, true, false) => vec!["nothing matches the filter".to_owned(), "Esc clears it".to_owned()],
        (_, true, true) => vec!["no jobs yet".to_owned(), String::new()],
    };
    if app.rows.loaded && app.filter.is_empty() {
        let config = app.status.as_ref().map_or("", |s| s.config.as_str());
        let tasks = app.status.iter().flat_map(|s| &s.tasks);
        lines.extend(tasks.map(|t| format!("{}: {}", t.name, super::system::started_by(t, config))));
    }
    for (row, line) in lines.iter().enumerate() {
        let line = text::fit(line, area.width.into(), app.theme.glyphs);
        let style = if row == 0 { app.theme.style(Meaning::Plain) } else { dim };
        put(buf, area, row + 1, [Span::styled(line, Style::new().patch(style))]);
    }
}

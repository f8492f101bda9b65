//! The tasks with a schedule: what is late and why, how the last runs went, and what is next.

mod details;

use super::{Pane, PaneId, Title, padded};
use crate::model::view::{PastRun, ScheduleView};
use crate::tui::app::{App, plural};
use crate::tui::outlook::{is_under_way, last_ended};
use crate::tui::theme::{Meaning, Theme};
use crate::tui::widgets::line::{put, tint};
use crate::tui::widgets::table::{self, Column};
use crate::tui::widgets::{Glyphs, spark, text, time};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

/// The tasks with a schedule.
pub struct Schedules;

/// From this height on, list and details stand below each other.
const SPLIT_MIN: u16 = 28;
/// Lines of the details there, and least lines of the list.
const DETAILS: u16 = 18;
/// Columns before a reason: below the task.
const REASON_INDENT: usize = 11;
/// Widest column of task names.
const TASK_MAX: usize = 20;
/// Number of the column of times.
const TIMES: usize = 2;
/// Durations in the list.
const FEW: usize = 5;

impl Pane for Schedules {
    fn id(&self) -> PaneId {
        PaneId::Schedules
    }

    fn title(&self, app: &App) -> Title {
        let n = app.schedules.list().len() as u64;
        let late = app.schedules.overdue().count();
        let note = match (n, late) {
            (0, _) => String::new(),
            (n, 0) => format!("{n} schedule{}", plural(n)),
            (n, late) => format!("{n} schedule{}, {late} overdue", plural(n)),
        };
        Title { name: "Schedules".to_owned(), note }
    }

    fn draw(&self, app: &App, area: Rect, buf: &mut Buffer) {
        let area = padded(area);
        if app.schedules.list().is_empty() {
            return draw_empty(app, area, buf);
        }
        match (area.height >= SPLIT_MIN, app.schedules.open) {
            (true, _) => {
                let rows: usize = app.schedules.list().iter().map(height).sum();
                let most = area.height - DETAILS;
                let list = u16::try_from(rows + 1).unwrap_or(most).min(most);
                draw_list(app, Rect { height: list, ..area }, buf);
                let above = (list + 1).min(most);
                let below = Rect { y: area.y + above, height: area.height - above, ..area };
                details::draw(app, below, true, buf);
            }
            (false, true) => details::draw(app, area, false, buf),
            (false, false) => draw_list(app, area, buf),
        }
    }
}

/// Whether the details of the one under the cursor are on the screen.
#[must_use]
pub fn shows_details(app: &App) -> bool {
    app.schedules.open || app.room(PaneId::Schedules) + 1 >= SPLIT_MIN.into()
}

fn draw_empty(app: &App, area: Rect, buf: &mut Buffer) {
    let held = &app.schedules.held;
    let say = match (&held.error, &held.page) {
        (Some(why), _) => format!("cannot read the schedules: {why}"),
        (None, None) => "asking for the schedules".to_owned(),
        (None, Some(_)) => {
            "no task has a schedule: write one with schedule = { cron = \"0 9 * * 1-5\" } or { every = \"15m\" }"
                .to_owned()
        }
    };
    let meaning = if held.error.is_some() { Meaning::Attention } else { Meaning::Dim };
    for (row, line) in text::wrap(&say, area.width.into(), 3, app.theme.glyphs).into_iter().enumerate() {
        put(buf, area, row, [Span::styled(line, app.theme.style(meaning))]);
    }
}

fn draw_list(app: &App, area: Rect, buf: &mut Buffer) {
    let theme = &app.theme;
    let width = usize::from(area.width);
    let columns = columns(app, width);
    put(buf, area, 0, table::head(&columns, theme.style(Meaning::Dim), theme.glyphs));
    let focused = app.focus == PaneId::Schedules;
    let room = usize::from(area.height).saturating_sub(1);
    let mut at = 1;
    for (index, schedule) in app.schedules.list().iter().enumerate().skip(top(app, room)) {
        if at >= usize::from(area.height) {
            break;
        }
        put(buf, area, at, table::row(&columns, &cells(app, schedule, &columns), theme.glyphs));
        if let Some((why, meaning)) = reason(schedule) {
            let line = text::fit(&why, width.saturating_sub(REASON_INDENT), theme.glyphs);
            let indent = Span::raw(" ".repeat(REASON_INDENT));
            put(buf, area, at + 1, [indent, Span::styled(line, theme.style(meaning))]);
        }
        for line in at..at + height(schedule) {
            if index == app.schedules.index() {
                tint(buf, area, line, theme.selected(focused));
            }
        }
        at += height(schedule);
    }
}

/// Lines that a schedule takes.
fn height(schedule: &ScheduleView) -> usize {
    if reason(schedule).is_some() { 2 } else { 1 }
}

/// The first one on the screen, such that the cursor is seen.
fn top(app: &App, room: usize) -> usize {
    let list = app.schedules.list();
    let mut top = app.schedules.index();
    let mut used = list.get(top).map_or(0, height);
    while let Some(above) = top.checked_sub(1).filter(|i| used + list.get(*i).map_or(0, height) <= room) {
        used += list.get(above).map_or(0, height);
        top = above;
    }
    top
}

/// Index of the schedule that covers a line below the headings.
#[must_use]
pub fn row_at(app: &App, line: usize) -> Option<usize> {
    let inside = app.room(PaneId::Schedules) + 1;
    let room = match (inside >= SPLIT_MIN.into(), app.schedules.open) {
        (true, _) => inside - usize::from(DETAILS) - 1,
        (false, true) => return None,
        (false, false) => inside - 1,
    };
    let mut end = 0;
    let index = app.schedules.list().iter().enumerate().skip(top(app, room)).find_map(|(index, schedule)| {
        end += height(schedule);
        (line < end).then_some(index)
    });
    index.filter(|_| line < room)
}

fn columns(app: &App, width: usize) -> Vec<(usize, Column)> {
    let names = app.schedules.list().iter().map(|s| text::width(&s.task)).max();
    let task = names.unwrap_or(0).clamp(4, if width >= 90 { TASK_MAX } else { 14 });
    table::arrange(
        &[
            Column { title: "  STATE", width: 9, right: false, rank: 1 },
            Column { title: "TASK", width: task, right: false, rank: 0 },
            Column { title: "TIMES", width: 0, right: false, rank: 5 },
            Column { title: "LAST", width: 5, right: true, rank: 4 },
            Column { title: "LAST5", width: 5, right: false, rank: 7 },
            Column { title: "TOOK", width: 6, right: true, rank: 8 },
            Column { title: "NEXT", width: 9, right: false, rank: 3 },
            Column { title: "IN", width: 6, right: true, rank: 2 },
            Column { title: "ZONE", width: 11, right: false, rank: 9 },
        ],
        width,
    )
}

fn cells(app: &App, schedule: &ScheduleView, columns: &[(usize, Column)]) -> [(String, Style); 9] {
    let theme = &app.theme;
    let (quiet, plain) = (theme.style(Meaning::Dim), theme.style(Meaning::Plain));
    let (sign, word, meaning) = standing(schedule, theme);
    let last = last_ended(schedule);
    let next = schedule.next.first();
    let left = next.and_then(|at| time::until(at, app.now()));
    let zone = schedule.timezone.rsplit('/').next().unwrap_or(&schedule.timezone).replace('_', " ");
    [
        (format!("{sign} {word}"), theme.style(meaning)),
        (schedule.task.clone(), theme.style(Meaning::Strong)),
        (plainly(schedule, columns), quiet),
        last.map_or_else(
            || ("-".to_owned(), quiet),
            |run| {
                let (sign, _, meaning) = outcome(run, theme.glyphs);
                let age = time::between(&run.planned_at, app.now()).map(time::age).unwrap_or_default();
                (format!("{sign} {age}"), theme.style(meaning))
            },
        ),
        (spark::spark(&durations(schedule, FEW), FEW, theme.glyphs), theme.style(Meaning::Focus)),
        (last.and_then(|r| r.duration_ms).map_or_else(|| "-".to_owned(), time::took), quiet),
        (next.map_or_else(|| "-".to_owned(), |at| time::wall(at, app.now())), plain),
        if schedule.paused {
            ("paused".to_owned(), theme.style(Meaning::Attention))
        } else {
            (left.map_or_else(|| "-".to_owned(), countdown), plain)
        },
        (zone, quiet),
    ]
}

/// The times in words; where there is little room, what goes without saying is left out.
fn plainly(schedule: &ScheduleView, columns: &[(usize, Column)]) -> String {
    let width = columns.iter().find(|(i, _)| *i == TIMES).map_or(0, |(_, c)| c.width);
    let short = schedule.plain.strip_prefix("every day ").filter(|_| text::width(&schedule.plain) > width);
    short.unwrap_or(&schedule.plain).to_owned()
}

/// Time left to a planned start.
fn countdown(ms: u64) -> String {
    if ms == 0 { "now".to_owned() } else { time::exact(ms) }
}

/// The last durations in milliseconds, oldest first; none is zero, so that each is seen.
fn durations(schedule: &ScheduleView, most: usize) -> Vec<u64> {
    let mut all: Vec<u64> = schedule.runs.iter().filter_map(|r| r.duration_ms).take(most).map(|ms| ms.max(1)).collect();
    all.reverse();
    all
}

/// Sign, word and meaning of a schedule, in the order of trust.
fn standing(schedule: &ScheduleView, theme: &Theme) -> (char, &'static str, Meaning) {
    let glyphs = theme.glyphs;
    if schedule.overdue.is_some() {
        return ('!', "overdue", Meaning::Failed);
    }
    if schedule.runs.first().is_some_and(is_under_way) {
        return (glyphs.signs[2], "running", Meaning::Running);
    }
    match last_ended(schedule).map(|run| outcome(run, glyphs)) {
        Some((sign, word, meaning)) if matches!(meaning, Meaning::Failed | Meaning::Attention) => (sign, word, meaning),
        _ if schedule.paused => (glyphs.signs[5], "paused", Meaning::Attention),
        Some(outcome) => outcome,
        None => (glyphs.signs[5], "new", Meaning::Dim),
    }
}

/// Sign, word and meaning of a run. The signs differ in shape, so that a row of them needs no colour.
fn outcome(run: &PastRun, glyphs: &Glyphs) -> (char, &'static str, Meaning) {
    match run.state.as_str() {
        "succeeded" => (glyphs.signs[6], "ok", Meaning::Dim),
        "failed" => (glyphs.signs[0], "failed", Meaning::Failed),
        "partial" => ('%', "partial", Meaning::Failed),
        "skipped" => ('~', "skipped", Meaning::Dim),
        "missed" => (glyphs.dot, "missed", Meaning::Attention),
        "cancelled" => (glyphs.signs[8], "stopped", Meaning::Dim),
        _ => (glyphs.signs[2], "running", Meaning::Running),
    }
}

/// Why it is late, or why the last run is not a success.
fn reason(schedule: &ScheduleView) -> Option<(String, Meaning)> {
    if let Some(why) = &schedule.overdue {
        // What it failed with is often why it is late.
        let last = last_ended(schedule).filter(|r| r.state != "succeeded").and_then(|r| r.reason.as_ref());
        let because = last.map_or_else(String::new, |reason| format!(" (last run: {reason})"));
        return Some((format!("{why}{because}"), Meaning::Failed));
    }
    let run = last_ended(schedule).filter(|r| r.state != "succeeded")?;
    let meaning = match run.state.as_str() {
        "failed" | "partial" => Meaning::Failed,
        "missed" => Meaning::Attention,
        _ => Meaning::Dim,
    };
    Some((run.reason.clone()?, meaning))
}

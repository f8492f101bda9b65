//! One schedule: its next times, a timeline of its last runs, why some of them did nothing, and what follows it.

use super::{countdown, outcome, standing};
use crate::model::view::{PastRun, ScheduleView};
use crate::tui::app::App;
use crate::tui::outlook::is_under_way;
use crate::tui::theme::Meaning;
use crate::tui::widgets::line::put;
use crate::tui::widgets::{spark, text, time};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

/// Columns of the names of the lines.
const LABEL: usize = 8;
/// Columns of one run on the timeline, where there is room, and where there is not.
const CELL: (usize, usize) = (2, 1);

/// Parts that an empty line stands between, where there is room.
const SECTIONS: usize = 3;

type Spans = Vec<Span<'static>>;

/// Draws the schedule under the cursor; `ruled`: below a line, where something else stands above.
pub fn draw(app: &App, area: Rect, ruled: bool, buf: &mut Buffer) {
    let Some(schedule) = app.schedules.selected() else { return };
    let width = usize::from(area.width);
    let mut head = vec![title(app, schedule, width, ruled)];
    head.extend(overdue(app, schedule, width));
    head.extend(times(app, schedule, width));
    let past = timeline(app, schedule, width);
    let next = next(app, schedule, width);
    let then = followers(app, schedule, width);
    // The times and what follows are always there; the reasons take what is left, and empty lines what they leave.
    let height = usize::from(area.height);
    let room = height.saturating_sub(head.len() + past.len() + next.len() + then.len());
    let reasons = reasons(app, schedule, width, room);
    let is_loose = reasons.len() + SECTIONS <= room;
    let past = [past, reasons].concat();
    let mut at = 0;
    for (section, lines) in [head, past, next, then].into_iter().enumerate() {
        at += usize::from(is_loose && section > 0);
        for line in lines {
            put(buf, area, at, line);
            at += 1;
        }
    }
}

fn label(app: &App, name: &str) -> Span<'static> {
    Span::styled(text::left(name, LABEL, app.theme.glyphs), app.theme.style(Meaning::Dim))
}

fn title(app: &App, schedule: &ScheduleView, width: usize, ruled: bool) -> Spans {
    let theme = &app.theme;
    let (sign, word, meaning) = standing(schedule, theme);
    let room = width.saturating_sub(word.len() + 10);
    let name = text::fit_middle(&format!("{} ({})", schedule.task, schedule.action), room, theme.glyphs);
    let used = text::width(&name) + word.len() + 6;
    let mut spans = vec![
        Span::styled(format!("{sign} {word}  "), theme.style(meaning)),
        Span::styled(format!("{name} "), theme.style(Meaning::Strong)),
    ];
    if ruled {
        let rule: String = std::iter::repeat_n(theme.glyphs.frame[4], width.saturating_sub(used)).collect();
        spans.push(Span::styled(rule, theme.style(Meaning::Frame)));
    }
    spans
}

fn overdue(app: &App, schedule: &ScheduleView, width: usize) -> Vec<Spans> {
    let theme = &app.theme;
    let Some(why) = &schedule.overdue else { return Vec::new() };
    let lines = text::wrap(why, width.saturating_sub(LABEL), 2, theme.glyphs).into_iter().enumerate();
    let named = |row| label(app, if row == 0 { "late" } else { "" });
    lines.map(|(row, line)| vec![named(row), Span::styled(line, theme.style(Meaning::Failed))]).collect()
}

/// `times   every day at 02:30 · 30 2 * * * · Europe/Berlin`, and below it `success 26h ago · paused`
fn times(app: &App, schedule: &ScheduleView, width: usize) -> Vec<Spans> {
    let theme = &app.theme;
    let room = width.saturating_sub(LABEL);
    let dot = format!(" {} ", theme.glyphs.dot);
    let mut facts = vec![schedule.plain.as_str(), &schedule.source, &schedule.timezone];
    facts.retain(|f| !f.is_empty());
    facts.dedup();
    let line = text::fit(&facts.join(&dot), room, theme.glyphs);
    let success = match schedule.last_success.as_ref().and_then(|at| time::between(at, app.now())) {
        Some(ms) => format!("{} ago", time::age(ms)),
        None => "never yet".to_owned(),
    };
    let mut state = vec![label(app, "success"), Span::styled(success, theme.style(Meaning::Plain))];
    if schedule.paused {
        state.push(Span::styled(format!("{dot}paused, p resumes"), theme.style(Meaning::Attention)));
    }
    vec![vec![label(app, "times"), Span::styled(line, theme.style(Meaning::Plain))], state]
}

/// The last runs, one column for each, the newest at the right; how long each took stands below it.
fn timeline(app: &App, schedule: &ScheduleView, width: usize) -> Vec<Spans> {
    let theme = &app.theme;
    let room = width.saturating_sub(LABEL);
    if schedule.runs.is_empty() {
        let none = text::fit("none yet", room, theme.glyphs);
        return vec![vec![label(app, "runs"), Span::styled(none, theme.style(Meaning::Dim))]];
    }
    let cell = if schedule.runs.len() * CELL.0 <= room { CELL.0 } else { CELL.1 };
    let shown: Vec<&PastRun> = schedule.runs.iter().take(room / cell).rev().collect();
    let top = shown.iter().filter_map(|r| r.duration_ms).max().unwrap_or(0);
    let (mut signs, mut bars) = (vec![label(app, "runs")], vec![label(app, "took")]);
    let gap = " ".repeat(cell - 1);
    let mut legend: Vec<(char, &str)> = Vec::new();
    for run in shown {
        let (sign, word, meaning) = outcome(run, theme.glyphs);
        if !legend.contains(&(sign, word)) {
            legend.push((sign, word));
        }
        signs.push(Span::styled(format!("{sign}{gap}"), theme.style(meaning)));
        let bar = run.duration_ms.map_or(' ', |ms| spark::level(ms.max(1), top.max(1), theme.glyphs));
        bars.push(Span::styled(format!("{bar}{gap}"), theme.style(Meaning::Focus)));
    }
    let said: Vec<String> = legend.iter().map(|(sign, word)| format!("{sign} {word}")).collect();
    let longest = format!("longest {}", time::took(top));
    let key = format!("{}   {longest}", said.join("   "));
    let legend = vec![label(app, ""), Span::styled(text::fit(&key, room, theme.glyphs), theme.style(Meaning::Dim))];
    vec![signs, bars, legend]
}

/// What the runs that are no success say, newest first, on at most so many lines.
fn reasons(app: &App, schedule: &ScheduleView, width: usize, room: usize) -> Vec<Spans> {
    let theme = &app.theme;
    let told: Vec<&PastRun> = schedule.runs.iter().filter(|r| r.state != "succeeded" && !is_under_way(r)).collect();
    let fits = if told.len() > room { room.saturating_sub(1) } else { told.len() };
    let mut lines: Vec<Spans> = told.iter().take(fits).map(|run| past(app, run, width)).collect();
    if told.len() > fits && room > 0 {
        let rest = format!("and {} more", told.len() - fits);
        lines.push(vec![label(app, ""), Span::styled(rest, theme.style(Meaning::Dim))]);
    }
    lines
}

/// `✗ failed   Fri 02:30  12.4 s  1 of 10 jobs failed: status 500`
fn past(app: &App, run: &PastRun, width: usize) -> Spans {
    let theme = &app.theme;
    let (sign, word, meaning) = outcome(run, theme.glyphs);
    let took = run.duration_ms.map_or_else(String::new, |ms| format!("{}  ", time::took(ms)));
    let why = match (&run.reason, run.ok + run.failed) {
        (Some(reason), _) => reason.clone(),
        (None, 0) => String::new(),
        (None, all) => format!("{} of {all} failed", run.failed),
    };
    let at = time::wall(&run.planned_at, app.now());
    let head = format!("{sign} {word:<8} {at:<10} {took}");
    let room = width.saturating_sub(LABEL + text::width(&head));
    vec![
        label(app, ""),
        Span::styled(text::fit(&head, width.saturating_sub(LABEL), theme.glyphs), theme.style(meaning)),
        Span::styled(text::fit(&why, room, theme.glyphs), theme.style(Meaning::Plain)),
    ]
}

/// The next times in the zone of the task, and here where that is another one.
fn next(app: &App, schedule: &ScheduleView, width: usize) -> Vec<Spans> {
    let theme = &app.theme;
    let room = width.saturating_sub(LABEL);
    if schedule.next.is_empty() {
        let none = text::fit("never again", room, theme.glyphs);
        return vec![vec![label(app, "next"), Span::styled(none, theme.style(Meaning::Attention))]];
    }
    let line = |(row, at): (usize, &String)| {
        let left = time::until(at, app.now()).map_or_else(String::new, |ms| format!("  in {:<7}", countdown(ms)));
        let here = time::here(at, app.now()).map_or_else(String::new, |here| format!("  here {here}"));
        let say = format!("{}{left}{here}", time::calendar(at));
        let meaning = if row == 0 { Meaning::Strong } else { Meaning::Plain };
        let name = if row == 0 { "next" } else { "" };
        vec![label(app, name), Span::styled(text::fit(&say, room, theme.glyphs), theme.style(meaning))]
    };
    schedule.next.iter().enumerate().map(line).collect()
}

/// `then    partners ─▸ merge ─▸ report`: an arrow where one is known to wait for the other, else a comma.
fn followers(app: &App, schedule: &ScheduleView, width: usize) -> Vec<Spans> {
    let theme = &app.theme;
    if schedule.followers.is_empty() {
        return Vec::new();
    }
    let tasks = app.status.as_ref().map_or(&[][..], |s| &s.tasks);
    let waits_for = |task: &str, other: &str| {
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
        let source = tasks.iter().find(|t| t.name == task).map(|t| t.source.as_str());
        source.is_none_or(|s| s.split(|c| !is_part(c)).any(|word| word == other))
    };
    let arrow = format!(" {}{} ", theme.glyphs.frame[4], theme.glyphs.signs[2]);
    let mut line = schedule.task.clone();
    let mut before = schedule.task.as_str();
    for (i, follower) in schedule.followers.iter().enumerate() {
        line.push_str(if i == 0 || waits_for(follower, before) { &arrow } else { ", " });
        line.push_str(follower);
        before = follower;
    }
    let room = width.saturating_sub(LABEL);
    vec![vec![label(app, "then"), Span::styled(text::fit(&line, room, theme.glyphs), theme.style(Meaning::Plain))]]
}

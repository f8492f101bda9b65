//! The logs: jobs and supervisor together, or the supervisor's own with its targets.

use super::{Pane, PaneId, Title, padded};
use crate::model::action::Level;
use crate::model::view::LogLine;
use crate::tui::app::App;
use crate::tui::logbook::Tab;
use crate::tui::theme::{Meaning, Theme};
use crate::tui::widgets::line::put;
use crate::tui::widgets::{text, time};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;
use tui_logger::{ExtLogRecord, LogFormatter, TuiLoggerWidget};

/// The logs.
pub struct Logs;

/// Least width at which the widget of the supervisor's log is asked to draw.
const WIDGET_MIN: u16 = 20;

impl Pane for Logs {
    fn id(&self) -> PaneId {
        PaneId::Logs
    }

    fn title(&self, app: &App) -> Title {
        let book = &app.logs;
        let mut notes = Vec::new();
        if book.tab == Tab::Jobs {
            notes.extend(book.scope.job.map(|id| format!("job {id}, a: all")));
            notes.extend(book.scope.task.as_ref().map(|task| format!("task {task}, a: all")));
            notes.extend(book.scope.search.as_ref().map(|s| format!("/{s}")));
            if book.lost > 0 {
                notes.push(format!("{} lines lost", time::count(book.lost)));
            }
            notes.push(match (book.follows(), book.unseen()) {
                (true, _) => "follow".to_owned(),
                (false, 0) => "follow off, G to resume".to_owned(),
                (false, n) => format!("follow off, +{} new, G to resume", time::count(n as u64)),
            });
        }
        notes.push(match book.scope.level {
            None | Some(Level::Debug) => "all levels".to_owned(),
            Some(Level::Error) => "errors".to_owned(),
            Some(level) => format!("{} and above", level.name()),
        });
        let name = if book.tab == Tab::Jobs { "Logs" } else { "Logs: supervisor" };
        Title { name: name.to_owned(), note: notes.join(", ") }
    }

    fn draw(&self, app: &App, area: Rect, buf: &mut Buffer) {
        let area = padded(area);
        match app.logs.tab {
            Tab::Jobs => draw_jobs(app, area, buf),
            Tab::Supervisor => draw_supervisor(app, area, buf),
        }
    }
}

fn draw_jobs(app: &App, area: Rect, buf: &mut Buffer) {
    let lines = app.logs.lines();
    if lines.is_empty() {
        let scope = &app.logs.scope;
        let narrowed =
            scope.job.is_some() || scope.task.is_some() || scope.search.is_some() || scope.level == Some(Level::Error);
        let say =
            if narrowed { "no lines: the filter may hide some (L: level, a: all sources)" } else { "no lines yet" };
        let say = text::fit(say, area.width.into(), app.theme.glyphs);
        return put(buf, area, 0, [Span::styled(say, app.theme.style(Meaning::Dim))]);
    }
    let room = usize::from(area.height);
    let end = app.logs.end().max(room.min(lines.len()));
    let tasks = app.status.iter().flat_map(|s| &s.tasks).map(|t| t.name.chars().count()).max();
    let source = tasks.unwrap_or(0).clamp(8, 14);
    let shown = || lines.range(end.saturating_sub(room)..end);
    let digits = shown().filter_map(|line| line.job).map(|id| id.to_string().len()).max().unwrap_or(0);
    for (row, line) in shown().enumerate() {
        put(buf, area, row, spans(app, line, (source, digits), area.width.into()));
    }
}

/// A line; its source and the number of its job are so wide.
fn spans(app: &App, line: &LogLine, (source, digits): (usize, usize), width: usize) -> Vec<Span<'static>> {
    let theme = &app.theme;
    let (word, meaning) = level(line.level);
    let dim = theme.style(Meaning::Dim);
    let at = crate::clock::parse_rfc3339(&line.at).map_or_else(|| "--:--:--".to_owned(), time::of_day);
    let from = line.task.as_deref().or(line.target.as_deref()).unwrap_or("");
    let job = line
        .job
        .filter(|_| app.logs.scope.job.is_none())
        .map_or_else(String::new, |id| format!("{:<w$} ", format!("#{id}"), w = digits + 1));
    let mut out = vec![Span::styled(format!("{at} "), dim)];
    if width >= 40 {
        out.push(Span::styled(format!("{word:<5} "), theme.style(meaning)));
    }
    if width >= 60 {
        let shown = from.rsplit("::").next().unwrap_or(from);
        out.push(Span::styled(text::left(shown, source, theme.glyphs) + " ", dim));
    }
    let used: usize = out.iter().map(|s| text::width(&s.content)).sum();
    let body = text::fit(&format!("{job}{}", line.message), width.saturating_sub(used), theme.glyphs);
    let style = match meaning {
        Meaning::Dim => dim,
        _ => theme.style(Meaning::Plain),
    };
    out.extend(highlighted(&body, app.logs.scope.search.as_deref(), style, theme));
    out
}

/// The text with what was searched for made visible.
fn highlighted(body: &str, search: Option<&str>, style: ratatui::style::Style, theme: &Theme) -> Vec<Span<'static>> {
    // ASCII only: lowering other letters may change their length, and with it the places.
    let Some(at) = search.and_then(|s| body.to_ascii_lowercase().find(&s.to_ascii_lowercase()).map(|i| i..i + s.len()))
    else {
        return vec![Span::styled(body.to_owned(), style)];
    };
    vec![
        Span::styled(body[..at.start].to_owned(), style),
        Span::styled(body[at.clone()].to_owned(), theme.style(Meaning::Focus)),
        Span::styled(body[at.end..].to_owned(), style),
    ]
}

const fn level(level: Level) -> (&'static str, Meaning) {
    match level {
        Level::Error => ("ERROR", Meaning::Failed),
        Level::Warn => ("WARN", Meaning::Attention),
        Level::Info => ("INFO", Meaning::Plain),
        Level::Debug => ("DEBUG", Meaning::Dim),
    }
}

fn draw_supervisor(app: &App, area: Rect, buf: &mut Buffer) {
    let area = area.intersection(buf.area);
    if app.logs.fed.is_none() {
        let say = text::fit("no lines of the supervisor's own yet", area.width.into(), app.theme.glyphs);
        return put(buf, area, 0, [Span::styled(say, app.theme.style(Meaning::Dim))]);
    }
    if area.width < WIDGET_MIN || area.height == 0 {
        return;
    }
    TuiLoggerWidget::default()
        .formatter(Box::new(OneLine { theme: app.theme }))
        .state(&app.logs.widget)
        .render(area, buf);
}

/// One line for each record, cut at the edge: time, level, target, message.
struct OneLine {
    theme: Theme,
}

impl LogFormatter for OneLine {
    fn min_width(&self) -> u16 {
        WIDGET_MIN
    }

    fn format(&self, width: usize, record: &ExtLogRecord) -> Vec<Line<'_>> {
        let (word, meaning) = match record.level {
            log::Level::Error => level(Level::Error),
            log::Level::Warn => level(Level::Warn),
            log::Level::Info => level(Level::Info),
            log::Level::Debug | log::Level::Trace => level(Level::Debug),
        };
        let (at, message) = record.msg().split_once(' ').unwrap_or(("", record.msg()));
        let glyphs = self.theme.glyphs;
        let dim = self.theme.style(Meaning::Dim);
        let head = format!("{} {word:<5} ", text::left(at, 8, glyphs));
        let target = if width >= 60 { text::left(record.target(), 24, glyphs) + " " } else { String::new() };
        let room = width.saturating_sub(head.len() + text::width(&target));
        let (at, word) = head.split_at(9);
        vec![Line::from(vec![
            Span::styled(at.to_owned(), dim),
            Span::styled(word.to_owned(), self.theme.style(meaning)),
            Span::styled(target, dim),
            Span::styled(text::fit(message, room, glyphs), self.theme.style(Meaning::Plain)),
        ])]
    }
}

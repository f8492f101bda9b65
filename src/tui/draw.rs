//! The whole screen from the state: a pure function of [`App`] into a buffer, safe at every size down to nothing.

use super::action::Action;
use super::app::{App, Link};
use super::keymap::shown;
use super::panes::{PANES, Pane, PaneId, Title, queue, schedules, system};
use super::popups;
use super::theme::Meaning;
use super::widgets::line::{clear, frame, put, put_right};
use super::widgets::{bar, spark, text, time};
use crate::model::JobState;
use crate::model::view::Gravity;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::text::Span;

/// Draws everything. Answers where the terminal's cursor belongs, if a line is being typed.
pub fn draw(app: &App, buf: &mut Buffer) -> Option<Position> {
    let layout = app.layout();
    if layout.tiny {
        tiny(app, layout.header.intersection(buf.area), buf);
        return None;
    }
    header(app, layout.header, buf);
    for (row, (gravity, line)) in app.banners().into_iter().enumerate() {
        let meaning = match gravity {
            Gravity::Error => Meaning::Failed,
            Gravity::Warning => Meaning::Attention,
            Gravity::Info => Meaning::Plain,
        };
        let line = text::fit(&format!(" ! {line}"), layout.banners.width.into(), app.theme.glyphs);
        put(buf, layout.banners, row, [Span::styled(line, app.theme.style(meaning))]);
    }
    for (id, area) in &layout.panes {
        if let Some(pane) = PANES.iter().find(|p| p.id() == *id) {
            outline(app, *pane, *area, layout.framed, buf);
            pane.draw(app, layout.inside(*area), buf);
        }
    }
    footer(app, layout.footer, buf);
    let mut cursor = None;
    for layer in &app.layers {
        cursor = popups::draw(app, layer, &layout, buf);
    }
    cursor
}

/// The frame of a pane with its title, or only the title where frames are given up.
fn outline(app: &App, pane: &dyn Pane, area: Rect, framed: bool, buf: &mut Buffer) {
    let theme = &app.theme;
    let focused = app.focus == pane.id();
    let frame_style = theme.style(if focused { Meaning::Focus } else { Meaning::Frame });
    let name_style = theme.style(if focused { Meaning::Focus } else { Meaning::Strong });
    if framed {
        frame(buf, area, frame_style, theme.glyphs);
    }
    let Title { name, note } = pane.title(app);
    let inset = if framed { 2 } else { 0 };
    let inner = Rect { x: area.x + inset, width: area.width.saturating_sub(2 * inset), ..area };
    let room = usize::from(inner.width);
    let note_width = text::width(&note);
    let name_room = room.saturating_sub(if note.is_empty() { 2 } else { note_width + 5 }).max(room.min(10));
    let name = text::fit_middle(&name, name_room, theme.glyphs);
    let used = text::width(&name) + 2;
    put(buf, inner, 0, [Span::styled(format!(" {name} "), name_style)]);
    if !note.is_empty() {
        let note = text::fit(&note, room.saturating_sub(used + 3), theme.glyphs);
        put_right(buf, inner, 0, used, &format!(" {note} "), theme.style(Meaning::Dim));
    }
}

fn header(app: &App, area: Rect, buf: &mut Buffer) {
    let theme = &app.theme;
    let dim = theme.style(Meaning::Dim);
    let wide = area.width >= 100;
    let mut spans = vec![Span::raw(" ")];
    if wide {
        spans.push(Span::styled("shiftboss  ", dim));
    }
    spans.push(Span::styled(place(app), theme.style(Meaning::Strong)));
    let (word, meaning) = match (&app.link, app.status.as_ref().map(|s| s.state.as_str())) {
        (Link::Connecting, _) => ("connecting", Meaning::Dim),
        (Link::Stale { .. }, _) => ("not connected", Meaning::Attention),
        (Link::Up, None | Some("running")) => ("running", Meaning::Focus),
        (Link::Up, Some("draining")) => ("draining", Meaning::Attention),
        (Link::Up, Some(_)) => ("stopped", Meaning::Attention),
    };
    spans.push(Span::styled(format!("  {} ", theme.glyphs.live), theme.style(meaning)));
    let uptime =
        app.uptime_ms().filter(|_| word == "running").map_or_else(String::new, |ms| format!(" {}", time::uptime(ms)));
    spans.push(Span::styled(format!("{word}{uptime}"), theme.style(Meaning::Plain)));
    if app.read_only {
        spans.push(Span::styled("  read-only", theme.style(Meaning::Attention)));
    }
    spans.push(Span::raw(if wide { "   " } else { "  " }));
    let clock = time::of_day(app.now());
    let used: usize = spans.iter().map(|s| text::width(&s.content)).sum();
    let room = usize::from(area.width).saturating_sub(used + clock.len() + 3);
    spans.extend(counts(app, room));
    let used: usize = spans.iter().map(|s| text::width(&s.content)).sum();
    put(buf, area, 0, spans);
    put_right(buf, Rect { width: area.width.saturating_sub(1), ..area }, 0, used + 1, &clock, dim);
    if area.height > 1 {
        put(buf, area, 1, pulse(app, area.width.into()));
    }
}

/// `web-03:orders`: the host, and the configuration by its file or its folder.
fn place(app: &App) -> String {
    let Some(status) = &app.status else { return "shiftboss".to_owned() };
    let mut parts = status.config.rsplit('/').filter(|p| !p.is_empty());
    let file = parts.next().unwrap_or("").trim_end_matches(".toml");
    let name = if file == "config" { parts.next().unwrap_or(file) } else { file };
    let whole = match (status.host.as_str(), name) {
        ("", "") => "shiftboss".to_owned(),
        ("", name) => name.to_owned(),
        (host, "") => host.to_owned(),
        (host, name) => format!("{host}:{name}"),
    };
    text::fit_middle(&whole, 32, app.theme.glyphs)
}

/// The counts in words, or with signs where there is little room.
fn counts(app: &App, room: usize) -> Vec<Span<'static>> {
    let theme = &app.theme;
    let c = &app.counts;
    let signs = &theme.glyphs.signs;
    let all = [
        ("queued", signs[4], c.queued + c.waiting.saturating_sub(c.retry), Meaning::Plain),
        ("running", signs[2], c.running + c.placing, Meaning::Running),
        ("retry", signs[1], c.retry, Meaning::Attention),
        ("failed", signs[0], c.failed, Meaning::Failed),
        ("done", signs[6], c.get(JobState::Succeeded), Meaning::Dim),
    ];
    let style = |n: u64, meaning: Meaning| theme.style(if n == 0 { Meaning::Dim } else { meaning });
    let words: Vec<_> = all
        .iter()
        .map(|(word, _, n, m)| Span::styled(format!("{word} {}  ", time::count(*n)), style(*n, *m)))
        .collect();
    let width = |spans: &[Span<'_>]| spans.iter().map(|s| text::width(&s.content)).sum::<usize>();
    if width(&words) <= room + 2 {
        return words;
    }
    let short = all.iter().map(|(_, sign, n, m)| Span::styled(format!("{sign}{} ", time::count(*n)), style(*n, *m)));
    short.collect()
}

/// The gauges on one line, where there is no room for their pane.
fn pulse(app: &App, width: usize) -> Vec<Span<'static>> {
    let theme = &app.theme;
    let (dim, plain) = (theme.style(Meaning::Dim), theme.style(Meaning::Plain));
    let g = &app.gauges;
    let of = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    let disk = of(g.disk_total_bytes.saturating_sub(g.disk_free_bytes), g.disk_total_bytes);
    let jobs: Vec<u64> = app.flow.jobs_per_second.iter().map(|n| u64::from(*n)).collect();
    let mut spans = vec![Span::raw(" ")];
    let mut fact = |label: &str, value: String| {
        spans.push(Span::styled(format!("{label} "), dim));
        spans.push(Span::styled(format!("{value:>4}  "), plain));
    };
    fact("cpu", bar::percent(system::load(app)));
    fact("mem", bar::percent(of(g.memory_used_bytes, g.memory_total_bytes)));
    fact("disk", bar::percent(disk));
    fact("jobs/s", time::count(jobs.last().copied().unwrap_or(0)));
    let used: usize = spans.iter().map(|s| text::width(&s.content)).sum();
    let room = width.saturating_sub(used + 1).min(30);
    spans.push(Span::styled(spark::spark(&jobs, room, theme.glyphs), theme.style(Meaning::Focus)));
    spans
}

/// Keys that are valid now; those that are not are dim.
#[must_use]
pub fn keys(app: &App, actions: &[Action], width: usize) -> Vec<Span<'static>> {
    let mut spans = Vec::new();
    let mut used = 0;
    for action in actions {
        let spec = action.spec();
        let key = spec.keys.first().map_or_else(String::new, |k| shown(k));
        let name = match action {
            Action::Leave if app.is_at_top() => app.leave,
            Action::Leave => "back",
            Action::Open if app.focus == PaneId::Hosts => "its jobs",
            Action::Open if app.focus == PaneId::Schedules && !schedules::shows_details(app) => "details",
            Action::Open if matches!(app.focus, PaneId::Schedules | PaneId::Alerts) => "failed job",
            Action::Trigger if app.focus == PaneId::Alerts && app.alerts.channel().is_some() => "test",
            Action::JobLogs if app.focus == PaneId::Schedules || app.focus == PaneId::Alerts => "log",
            Action::RetryAll if app.focus == PaneId::Alerts => "retry all of it",
            Action::Pause if app.task_under_cursor().is_some_and(|t| t.paused.is_some()) => "resume",
            _ => spec.name,
        };
        let needed = text::width(&key) + 1 + name.len() + 2;
        if used + needed > width + 2 {
            break;
        }
        used += needed;
        let refused = action.refusal(app).is_some();
        let meaning = |m: Meaning| app.theme.style(if refused { Meaning::Frame } else { m });
        spans.push(Span::styled(key, meaning(Meaning::Focus)));
        spans.push(Span::styled(format!(" {name}  "), meaning(Meaning::Dim)));
    }
    spans
}

fn footer(app: &App, area: Rect, buf: &mut Buffer) {
    let theme = &app.theme;
    let inner = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    let marked = app.marked().unwrap_or_default();
    let left = usize::from(inner.width).saturating_sub(text::width(&marked) + 2);
    if let Some(notice) = &app.notice {
        let style = theme.style(if notice.bad { Meaning::Attention } else { Meaning::Strong });
        put(buf, inner, 0, [Span::styled(text::fit(&notice.text, left, theme.glyphs), style)]);
    } else {
        // The three that lead to all others and out stand at the end and are never cut.
        let last = keys(app, &[Action::Palette, Action::Help, Action::Leave], inner.width.into());
        let tail: usize = last.iter().map(|s| text::width(&s.content)).sum();
        let own: &[Action] = match app.focus {
            PaneId::Queue => &[
                Action::Retry,
                Action::Skip,
                Action::Cancel,
                Action::Open,
                Action::Filter,
                Action::Mark,
                Action::JobLogs,
                Action::Trigger,
                Action::Pause,
                Action::RetryAll,
            ],
            PaneId::Details => &[
                Action::Retry,
                Action::Skip,
                Action::Cancel,
                Action::PreviousAttempt,
                Action::NextAttempt,
                Action::JobLogs,
                Action::CopyPath,
                Action::Back,
            ],
            PaneId::Logs => &[
                Action::Filter,
                Action::Level,
                Action::LogTab,
                Action::AllLogs,
                Action::Last,
                Action::Zoom,
                Action::Back,
            ],
            PaneId::Hosts => &[Action::Open, Action::Zoom, Action::Filter, Action::Trigger, Action::Back],
            PaneId::Schedules => {
                &[Action::Open, Action::Trigger, Action::Pause, Action::JobLogs, Action::AlertsView, Action::Back]
            }
            PaneId::Alerts => {
                &[Action::Open, Action::RetryAll, Action::Trigger, Action::JobLogs, Action::Pause, Action::Back]
            }
            PaneId::System => &[Action::Pause, Action::Trigger, Action::PauseAll, Action::Zoom, Action::Back],
        };
        let mut spans = keys(app, own, left.saturating_sub(tail));
        spans.extend(last);
        put(buf, inner, 0, spans);
    }
    put_right(buf, inner, 0, left, &marked, theme.style(Meaning::Focus));
}

/// A list of a few lines, for a terminal where nothing else fits: the counts, then what failed.
fn tiny(app: &App, area: Rect, buf: &mut Buffer) {
    clear(buf, area);
    let mut spans = counts(app, 0);
    if let Link::Stale { since, .. } = &app.link {
        spans.insert(0, Span::styled(format!("stale {} ", time::of_day(*since)), app.theme.style(Meaning::Attention)));
    }
    put(buf, area, 0, spans);
    for (row, job) in app.rows.iter().skip(app.rows.top).take(area.height.into()).enumerate() {
        let (sign, _, meaning) = app.theme.state(job);
        let name = text::fit_middle(&queue::name(job), usize::from(area.width).saturating_sub(2), app.theme.glyphs);
        put(buf, area, row + 1, [Span::styled(format!("{sign} {name}"), app.theme.style(meaning))]);
    }
    // Never a question that nobody sees: the last line is its place, also where it is the only one.
    let said = app.notice.as_ref().map(|n| n.text.clone());
    if let Some(line) = app.layers.last().map(super::layers::Layer::brief).or(said) {
        let last = Rect { y: area.bottom().saturating_sub(1), height: area.height.min(1), ..area };
        clear(buf, last);
        let line = text::fit(&line, area.width.into(), app.theme.glyphs);
        put(buf, last, 0, [Span::styled(line, app.theme.style(Meaning::Focus))]);
    }
}

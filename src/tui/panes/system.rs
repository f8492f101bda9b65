//! What the machine does, how much work flows, and the tasks.

use super::{Pane, PaneId, Title, padded};
use crate::model::view::TaskView;
use crate::tui::app::App;
use crate::tui::theme::Meaning;
use crate::tui::widgets::line::{put, tint};
use crate::tui::widgets::table::{self, Column};
use crate::tui::widgets::{bar, spark, text, time};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

/// Machine and tasks.
pub struct System;

/// Cores with a bar of their own; more are drawn as one column each.
const BARS_MAX: usize = 4;
/// Space between the halves of a line.
const MIDDLE: usize = 3;

impl Pane for System {
    fn id(&self) -> PaneId {
        PaneId::System
    }

    fn title(&self, app: &App) -> Title {
        let tasks = app.status.as_ref().map_or(&[][..], |s| &s.tasks);
        let paused = tasks.iter().filter(|t| t.paused.is_some()).count();
        let note = match (tasks.len(), paused) {
            (0, _) => String::new(),
            (n, 0) => format!("{n} task{}", crate::tui::app::plural(n as u64)),
            (n, p) => format!("{n} task{}, {p} paused", crate::tui::app::plural(n as u64)),
        };
        Title { name: "System".to_owned(), note }
    }

    fn draw(&self, app: &App, area: Rect, buf: &mut Buffer) {
        let area = padded(area);
        let gauges = gauges(app, area.width.into());
        let flow = flow(app, area.width.into());
        let tasks = app.status.as_ref().map_or(0, |s| s.tasks.len());
        let mut at = 0;
        let room = usize::from(area.height);
        for line in gauges.into_iter().chain(flow).chain(outlook(app, area.width.into())) {
            put(buf, area, at, line);
            at += 1;
        }
        // Without the focus the table is only shown where all of it fits; with it, it may scroll.
        let wanted = if app.focus == PaneId::System { 3.min(tasks + 2) } else { tasks + 2 };
        if tasks > 0 && room >= at + wanted {
            let top = area.height.min(u16::try_from(at + 1).unwrap_or(u16::MAX));
            draw_tasks(app, Rect { y: area.y + top, height: area.height - top, ..area }, buf);
        }
    }
}

/// One labelled line: name, bar, number.
fn gauge(app: &App, name: &str, share: f64, value: &str, width: usize) -> Vec<Span<'static>> {
    const NAME: usize = 5;
    let glyphs = app.theme.glyphs;
    let room = width.saturating_sub(NAME + 1 + text::width(value));
    // Full is not failed: attention, not red.
    let meaning = if share >= 0.9 { Meaning::Attention } else { Meaning::Focus };
    vec![
        Span::styled(text::left(name, NAME, glyphs), app.theme.style(Meaning::Dim)),
        Span::styled(bar::bar(share, room, glyphs), app.theme.style(meaning)),
        Span::styled(format!(" {value}"), app.theme.style(Meaning::Plain)),
    ]
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Cores at the left, memory and disk at the right; below each other where it is narrow.
fn gauges(app: &App, width: usize) -> Vec<Vec<Span<'static>>> {
    let g = &app.gauges;
    let halves = width >= 40;
    // The right half is wider: its numbers are longer.
    let half = if halves { (width - MIDDLE) * 42 / 100 } else { width };
    let other = if halves { width - MIDDLE - half } else { width };
    let mut left: Vec<_> = if g.cpu_percent.len() <= BARS_MAX {
        let core = |(i, p): (usize, &f32)| {
            let share = f64::from(*p) / 100.0;
            gauge(app, &format!("cpu{i}"), share, &format!("{:>4}", bar::percent(share)), half)
        };
        g.cpu_percent.iter().enumerate().map(core).collect()
    } else {
        vec![mean(app, half), columns(app, half)]
    };
    let used = g.disk_total_bytes.saturating_sub(g.disk_free_bytes);
    let [in_use, in_all, free] = [g.memory_used_bytes, g.memory_total_bytes, g.disk_free_bytes].map(time::size);
    let memory = format!("{:>10}", format!("{in_use}/{in_all}"));
    let disk = format!("{:>10}", format!("{free} free"));
    let right = [
        gauge(app, "mem", share(g.memory_used_bytes, g.memory_total_bytes), &memory, other),
        gauge(app, "disk", share(used, g.disk_total_bytes), &disk, other),
    ];
    if !halves {
        left.extend(right);
        return left;
    }
    let rows = left.len().max(right.len());
    left.resize_with(rows, Vec::new);
    for (line, right) in left.iter_mut().zip(right) {
        let used: usize = line.iter().map(|s| text::width(&s.content)).sum();
        line.push(Span::raw(" ".repeat((half + MIDDLE).saturating_sub(used))));
        line.extend(right);
    }
    left
}

/// The mean of many cores.
fn mean(app: &App, width: usize) -> Vec<Span<'static>> {
    let share = load(app);
    gauge(app, "cpu", share, &format!("{:>4}", bar::percent(share)), width)
}

/// Mean load of all cores, 0 to 1.
#[must_use]
pub fn load(app: &App) -> f64 {
    let cores = &app.gauges.cpu_percent;
    if cores.is_empty() { 0.0 } else { cores.iter().map(|p| f64::from(*p)).sum::<f64>() / cores.len() as f64 / 100.0 }
}

/// Many cores, one column each.
fn columns(app: &App, width: usize) -> Vec<Span<'static>> {
    let glyphs = app.theme.glyphs;
    let cores = app.gauges.cpu_percent.iter().take(width.saturating_sub(5));
    let drawn: String = cores.map(|p| spark::level(p.clamp(1.0, 100.0) as u64, 100, glyphs)).collect();
    vec![
        Span::styled(text::left("", 5, glyphs), app.theme.style(Meaning::Dim)),
        Span::styled(drawn, app.theme.style(Meaning::Focus)),
    ]
}

/// Jobs, bytes and queue over the last seconds.
fn flow(app: &App, width: usize) -> Vec<Vec<Span<'static>>> {
    let flow = &app.flow;
    let jobs: Vec<u64> = flow.jobs_per_second.iter().map(|n| u64::from(*n)).collect();
    let last = |s: &[u64]| s.last().copied().unwrap_or(0);
    let mega = last(&flow.bytes_per_second) as f64 / 1e6;
    let rows = [
        ("jobs/s", time::count(last(&jobs)), jobs.as_slice()),
        ("MB/s", format!("{mega:.1}"), flow.bytes_per_second.as_slice()),
        ("queue", time::count(app.counts.queued), flow.queue_depth.as_slice()),
    ];
    let glyphs = app.theme.glyphs;
    rows.into_iter()
        .map(|(name, value, series)| {
            vec![
                Span::styled(text::left(name, 7, glyphs), app.theme.style(Meaning::Dim)),
                Span::styled(text::right(&value, 8, glyphs) + "  ", app.theme.style(Meaning::Plain)),
                Span::styled(spark::spark(series, width.saturating_sub(17), glyphs), app.theme.style(Meaning::Focus)),
            ]
        })
        .collect()
}

/// What is overdue, else what runs next; files that nobody takes; what is open. As far as there is anything to tell.
fn outlook(app: &App, width: usize) -> Vec<Vec<Span<'static>>> {
    let fact = |name: &str, meaning: Meaning, what: &str| {
        let line = text::fit(what, width.saturating_sub(8), app.theme.glyphs);
        let name = Span::styled(text::left(name, 8, app.theme.glyphs), app.theme.style(meaning));
        let told = if meaning == Meaning::Dim { Meaning::Plain } else { meaning };
        vec![name, Span::styled(line, app.theme.style(told))]
    };
    let mut lines = Vec::new();
    if let Some((schedule, why)) = app.schedules.overdue().next() {
        lines.push(fact("late", Meaning::Failed, &format!("{}: {why}", schedule.task)));
    } else if let Some((schedule, at)) = app.schedules.soonest() {
        let left = time::until(at, app.now()).map_or_else(String::new, |ms| format!(", in {}", time::age(ms)));
        lines.push(fact("next", Meaning::Dim, &format!("{} {}{left}", schedule.task, time::wall(at, app.now()))));
    }
    lines.extend(listed(app, width));
    let open = app.alerts.held.page.as_ref().map_or(&[][..], |p| &p.open);
    if let Some(first) = open.first() {
        let what = format!("{} open, first {} {}", open.len(), first.task, first.code);
        lines.push(fact("alerts", Meaning::Dim, &what));
    }
    lines
}

/// Files that stay where they are, if there are any.
fn listed(app: &App, width: usize) -> Option<Vec<Span<'static>>> {
    let listed = app.status.as_ref().map(|s| &s.listed).filter(|l| l.count > 0)?;
    let glyphs = app.theme.glyphs;
    // One file names itself; of several the number counts first.
    let number = if listed.count > 1 { format!("{}, first ", time::count(listed.count)) } else { String::new() };
    let first = listed.files.first().map_or_else(String::new, |f| {
        let name = f.path.rsplit('/').next().unwrap_or(&f.path);
        format!("{number}{name}: {}", f.reason)
    });
    Some(vec![
        Span::styled("untaken ", app.theme.style(Meaning::Attention)),
        Span::styled(text::fit(&first, width.saturating_sub(8), glyphs), app.theme.style(Meaning::Dim)),
    ])
}

/// What starts a task. A folder is told as the configuration tells it: from its own folder on.
pub fn started_by(task: &TaskView, config: &str) -> String {
    let base = config.rsplit_once('/').map_or("", |(base, _)| base);
    let below = task.source.strip_prefix(base).and_then(|rest| rest.strip_prefix('/'));
    let source = below.filter(|_| !base.is_empty()).unwrap_or(&task.source);
    format!("{} {source}", task.trigger).trim_end().to_owned()
}

fn draw_tasks(app: &App, area: Rect, buf: &mut Buffer) {
    let theme = &app.theme;
    let tasks = app.status.as_ref().map_or(&[][..], |s| &s.tasks);
    let config = app.status.as_ref().map_or("", |s| s.config.as_str());
    let arranged = table::arrange(
        &[
            Column { title: "TASK", width: 14, right: false, rank: 0 },
            Column { title: "STARTED BY", width: 0, right: false, rank: 3 },
            Column { title: "RUNNING", width: 7, right: true, rank: 5 },
            Column { title: "QUEUED", width: 7, right: true, rank: 4 },
            Column { title: "FAILED", width: 6, right: true, rank: 2 },
            Column { title: "DONE", width: 9, right: true, rank: 6 },
            Column { title: "", width: 8, right: false, rank: 1 },
        ],
        area.width.into(),
    );
    put(buf, area, 0, table::head(&arranged, theme.style(Meaning::Dim), theme.glyphs));
    let room = usize::from(area.height).saturating_sub(1);
    let focused = app.focus == PaneId::System;
    let top = if focused { (app.task_index + 1).saturating_sub(room) } else { 0 };
    for (row, (index, task)) in tasks.iter().enumerate().skip(top).take(room).enumerate() {
        let plain = theme.style(Meaning::Plain);
        let quiet = theme.style(Meaning::Dim);
        let number = |n: u64, style: Style| (time::count(n), if n == 0 { quiet } else { style });
        let (flag, flag_style) = match (&task.paused, task.removed, task.settling) {
            (Some(_), _, _) => ("paused".to_owned(), theme.style(Meaning::Attention)),
            (None, true, _) => ("removed".to_owned(), theme.style(Meaning::Attention)),
            (None, false, 0) => (String::new(), quiet),
            (None, false, n) => (format!("{n} new"), theme.style(Meaning::Running)),
        };
        let at_work = task.counts.running + task.counts.placing;
        let cells = [
            (task.name.clone(), theme.style(Meaning::Strong)),
            (started_by(task, config), quiet),
            (format!("{at_work}/{}", task.concurrency), if at_work == 0 { quiet } else { plain }),
            number(task.counts.queued + task.counts.waiting, plain),
            number(task.counts.failed, theme.style(Meaning::Failed)),
            number(task.counts.succeeded, quiet),
            (flag, flag_style),
        ];
        put(buf, area, row + 1, table::row(&arranged, &cells, theme.glyphs));
        if focused && index == app.task_index {
            tint(buf, area, row + 1, theme.selected(true));
        }
    }
}

//! `status`: is it all right? One screenful, the answer first.

use super::line::{Line, Style};
use super::out::Out;
use super::table::{Align, Table};
use super::{Backend, human, refused};
use crate::clock::parse_rfc3339;
use crate::error::{Exit, Fatal};
use crate::model::view::{Counts, Gravity, ProgressView, SchedulesPage, Status, TaskView};
use std::time::Duration;

/// Most running jobs whose progress is shown; the rest are counted.
const RUNNING_MAX: usize = 8;
/// Most tasks whose next time is told.
const NEXT_MAX: usize = 3;
/// Most listed files named; the rest are counted.
const LISTED_MAX: usize = 5;

/// Prints the state of everything.
pub(super) async fn status(backend: &Backend, out: &mut Out) -> Result<Exit, Fatal> {
    let status = backend.reader.status().await.map_err(refused)?;
    if out.is_json() {
        out.json(&status);
        return Ok(Exit::Ok);
    }
    health(&status, out);
    banners(&status, out);
    counts(&status, out);
    tasks(&status.tasks, out);
    // A supervisor of another version may have no schedules to tell; the state is told all the same.
    schedules(&backend.reader.schedules().await.unwrap_or_default(), out);
    progress(&status.progress, out);
    if backend.live {
        gauges(&status, out);
    }
    listed(&status, out);
    Ok(Exit::Ok)
}

fn health(status: &Status, out: &mut Out) {
    let style = match status.state.as_str() {
        "running" if status.paused.is_none() => Style::Good,
        "stopped" => Style::Bad,
        _ => Style::Warn,
    };
    let mut line = Line::of(Style::Strong, "shiftboss");
    if !status.host.is_empty() {
        line.push(Style::Plain, format!(" on {}", status.host));
    }
    line.push(Style::Plain, ": ");
    line.push(style, &status.state);
    if let Some(pid) = status.pid {
        let up = human::duration(Duration::from_millis(status.uptime_ms));
        line.push(Style::Plain, format!(" for {up}, pid {pid}, version {}", status.version));
    }
    out.line(line);
    if !status.config.is_empty() {
        out.line(Line::of(Style::Dim, format!("  {}", status.config)));
    }
    if let Some(paused) = &status.paused {
        out.line(Line::of(Style::Warn, "  everything is paused").text(format!(
            " by {}, {}",
            paused.by,
            human::moment(&paused.at, out.now())
        )));
    }
}

fn banners(status: &Status, out: &mut Out) {
    if status.banners.is_empty() {
        return;
    }
    out.blank();
    for banner in &status.banners {
        let (style, sign) = match banner.gravity {
            Gravity::Error => (Style::Bad, "X "),
            Gravity::Warning => (Style::Warn, "! "),
            Gravity::Info => (Style::Plain, "- "),
        };
        let mut line = Line::of(style, format!("{sign}{}", banner.text));
        if let Some(since) = &banner.since {
            line.push(Style::Dim, format!("  for {}", human::age(since, out.now())));
        }
        out.line(line);
    }
}

fn counts(status: &Status, out: &mut Out) {
    let c = &status.counts;
    out.blank();
    let mut line = Line::new();
    let waiting = c.waiting.saturating_sub(c.retry);
    for (name, n, style) in [
        ("failed", c.failed, Style::Bad),
        ("retry", c.retry, Style::Warn),
        ("running", c.running + c.placing, Style::Live),
        ("waiting", waiting, Style::Warn),
        ("queued", c.queued, Style::Plain),
        ("done", c.succeeded, Style::Good),
        ("skipped", c.skipped, Style::Dim),
        ("cancelled", c.cancelled, Style::Dim),
    ] {
        if !line.is_empty() {
            line.push(Style::Plain, "   ");
        }
        line.push(if n > 0 { style } else { Style::Dim }, format!("{name} {}", human::count(n)));
    }
    out.line(line);
    if let Some(ms) = status.oldest_queued_ms.filter(|_| c.queued > 0) {
        out.line(Line::of(Style::Dim, format!("the oldest queued job has waited {}", human::millis(ms))));
    }
}

fn tasks(tasks: &[TaskView], out: &mut Out) {
    if tasks.is_empty() {
        return;
    }
    out.blank();
    use Align::{Left, Right};
    let mut table = Table::new([
        ("TASK", Left),
        ("FAILED", Right),
        ("RETRY", Right),
        ("RUNNING", Right),
        ("QUEUED", Right),
        ("DONE", Right),
        ("WHAT", Left),
    ]);
    for task in tasks {
        let c: &Counts = &task.counts;
        let number = |n: u64, style| Line::of(if n > 0 { style } else { Style::Dim }, human::count(n));
        let started = format!("{} {}", task.trigger, task.source);
        let what = format!("{}, {}", started.trim_end(), task.action);
        table.row([
            Line::of(Style::Strong, &task.name),
            number(c.failed, Style::Bad),
            number(c.retry, Style::Warn),
            Line::of(
                if c.running > 0 { Style::Live } else { Style::Dim },
                format!("{} of {}", c.running + c.placing, task.concurrency),
            ),
            number(c.queued + c.waiting.saturating_sub(c.retry), Style::Plain),
            number(c.succeeded, Style::Good),
            Line::of(Style::Dim, what),
        ]);
        if let Some(paused) = &task.paused {
            let since = human::age(&paused.at, out.now());
            table.below(Line::of(Style::Warn, format!("paused by {} for {since}", paused.by)));
        }
        if task.removed {
            table.below(Line::of(Style::Warn, "no longer in the configuration: its jobs are held"));
        }
        if task.settling > 0 {
            table.below(Line::of(Style::Dim, format!("{} settling", human::plural(task.settling, "file"))));
        }
    }
    table.print(out);
}

/// What is overdue and what runs next, on one line; `next` says why and when.
fn schedules(page: &SchedulesPage, out: &mut Out) {
    let mut line = Line::new();
    let late: Vec<&str> = page.schedules.iter().filter(|s| s.overdue.is_some()).map(|s| s.task.as_str()).collect();
    if !late.is_empty() {
        line.push(Style::Bad, format!("overdue: {}   ", late.join(", ")));
    }
    let running = page.schedules.iter().filter(|s| !s.paused);
    let mut next: Vec<_> = running.filter_map(|s| Some((parse_rfc3339(s.next.first()?)?, &s.task))).collect();
    next.sort();
    let told = next.iter().take(NEXT_MAX);
    let told: Vec<_> = told.map(|(at, task)| format!("{task} in {}", human::short(at.since(out.now())))).collect();
    if !told.is_empty() {
        line.push(Style::Plain, format!("next: {}", told.join(", ")));
    }
    if !line.is_empty() {
        out.line(line);
    }
}

fn progress(running: &[ProgressView], out: &mut Out) {
    if running.is_empty() {
        return;
    }
    out.blank();
    use Align::{Left, Right};
    let mut table = Table::new([
        ("JOB", Right),
        ("DONE", Right),
        ("LEFT", Right),
        ("ROWS IN", Right),
        ("OUT", Right),
        ("REJECTED", Right),
        ("ROWS/S", Right),
        ("BYTES/S", Left),
    ]);
    for p in running.iter().take(RUNNING_MAX) {
        let number = |n: Option<u64>| Line::from(n.map(human::count).unwrap_or_default());
        table.row([
            Line::of(Style::Live, p.job.to_string()),
            Line::from(p.share().map(|s| format!("{:.0}%", (s * 100.0).floor())).unwrap_or_default()),
            Line::from(p.left_ms.map(human::millis).unwrap_or_default()),
            number(Some(p.rows).filter(|n| *n > 0)),
            number(p.rows_out),
            Line::of(if p.rejected > 0 { Style::Warn } else { Style::Dim }, human::count(p.rejected)),
            number(p.rows_per_second),
            Line::from(p.bytes_per_second.map(human::bytes).unwrap_or_default()),
        ]);
    }
    table.print(out);
    let rest = running.len().saturating_sub(RUNNING_MAX);
    if rest > 0 {
        out.line(Line::of(Style::Dim, format!("  and {} more", human::count(rest as u64))));
    }
}

fn gauges(status: &Status, out: &mut Out) {
    let g = &status.gauges;
    let mut parts = Vec::new();
    if !g.cpu_percent.is_empty() {
        let mean = g.cpu_percent.iter().sum::<f32>() / g.cpu_percent.len() as f32;
        parts.push(format!("cpu {mean:.0}% of {}", human::plural(g.cpu_percent.len() as u64, "core")));
    }
    if g.memory_total_bytes > 0 {
        let (used, total) = (human::bytes(g.memory_used_bytes), human::bytes(g.memory_total_bytes));
        parts.push(format!("memory {used} of {total}"));
    }
    if g.disk_total_bytes > 0 {
        parts.push(format!("disk {} free", human::bytes(g.disk_free_bytes)));
    }
    if g.process_memory_bytes > 0 {
        parts.push(format!("supervisor {}", human::bytes(g.process_memory_bytes)));
    }
    let t = &status.throughput;
    if let (Some(jobs), Some(bytes)) = (t.jobs_per_second.last(), t.bytes_per_second.last()) {
        parts.push(format!("{} jobs/s", human::count(u64::from(*jobs))));
        parts.push(format!("{}/s", human::bytes(*bytes)));
    }
    if !parts.is_empty() {
        out.blank();
        out.line(parts.join("   "));
    }
}

fn listed(status: &Status, out: &mut Out) {
    let listed = &status.listed;
    if listed.count == 0 {
        return;
    }
    out.blank();
    let stay = if listed.count == 1 { "stays where it is:" } else { "stay where they are:" };
    out.line(Line::of(Style::Warn, format!("{} {stay}", human::plural(listed.count, "file"))));
    let shown = listed.files.iter().take(LISTED_MAX);
    for file in shown.clone() {
        out.line(Line::from("  ").text(&file.path).and(Style::Dim, format!("  {}", file.reason)));
    }
    let rest = listed.count.saturating_sub(shown.count() as u64);
    if rest > 0 {
        out.line(Line::of(Style::Dim, format!("  and {} more", human::count(rest))));
    }
}

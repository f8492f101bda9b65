//! `next`: when tasks with a schedule run next.

use super::args::Next;
use super::line::{Line, Style};
use super::out::Out;
use super::table::{Align, Table};
use super::{Backend, human, refused};
use crate::clock::parse_rfc3339;
use crate::error::{Exit, Fatal};
use crate::model::view::{ScheduleView, SchedulesPage};
use serde::Serialize;

/// One time of one task, as `next --json` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Time<'a> {
    task: &'a str,
    at: &'a str,
}

/// Prints the next times: of one task, or of all in their order.
pub(super) async fn next(args: &Next, backend: &Backend, out: &mut Out) -> Result<Exit, Fatal> {
    let page = backend.reader.schedules().await.map_err(refused)?;
    let chosen: Vec<&ScheduleView> = match &args.task {
        None => page.schedules.iter().collect(),
        Some(name) => vec![named(&page, name)?],
    };
    let each = args.count.unwrap_or(if args.task.is_some() { ScheduleView::NEXT_MAX } else { 1 });
    let mut times: Vec<(&ScheduleView, &str)> =
        chosen.iter().flat_map(|s| s.next.iter().take(each).map(|at| (*s, at.as_str()))).collect();
    // What cannot be read as a time stands at the end, where it is seen.
    times.sort_by_key(|(s, at)| (parse_rfc3339(at).map_or(i64::MAX, |t| t.0), s.task.clone()));
    if out.is_json() {
        out.json(&times.iter().map(|(s, at)| Time { task: &s.task, at }).collect::<Vec<_>>());
    } else {
        table(&times, out);
        overdue(&chosen, out);
    }
    if page.schedules.is_empty() {
        out.remark("no task has a schedule: write one with schedule = { cron = \"0 9 * * *\" }");
    } else if times.is_empty() {
        out.remark("no further times");
    } else if each > ScheduleView::NEXT_MAX {
        out.remark(format!("no more than {} times of a task are known", ScheduleView::NEXT_MAX));
    }
    Ok(Exit::Ok)
}

/// The schedule of a task.
fn named<'a>(page: &'a SchedulesPage, name: &str) -> Result<&'a ScheduleView, Fatal> {
    page.schedules.iter().find(|s| s.task == name).ok_or_else(|| {
        let fatal = Fatal::new(Exit::Failed, format!("no task {name:?} with a schedule"));
        let known: Vec<_> = page.schedules.iter().map(|s| s.task.as_str()).collect();
        if known.is_empty() { fatal } else { fatal.hint(format!("these have one: {}", known.join(", "))) }
    })
}

fn table(times: &[(&ScheduleView, &str)], out: &mut Out) {
    use Align::{Left, Right};
    let mut table = Table::new([("TASK", Left), ("AT", Left), ("ZONE", Left), ("IN", Right), ("TIMES", Left)]);
    for (schedule, at) in times {
        let left = parse_rfc3339(at).map(|t| human::duration(t.since(out.now()))).unwrap_or_default();
        let (left, style) = if schedule.paused { ("paused".to_owned(), Style::Warn) } else { (left, Style::Plain) };
        table.row([
            Line::of(Style::Strong, &schedule.task),
            Line::from(human::time(at)),
            Line::of(Style::Dim, &schedule.timezone),
            Line::of(style, left),
            Line::of(Style::Dim, &schedule.plain),
        ]);
    }
    table.print(out);
}

/// What should have run, and did not.
fn overdue(chosen: &[&ScheduleView], out: &mut Out) {
    for schedule in chosen {
        if let Some(why) = &schedule.overdue {
            out.line(Line::of(Style::Bad, format!("X {} is overdue: {why}", schedule.task)));
        }
    }
}

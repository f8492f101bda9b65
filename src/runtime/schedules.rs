//! The schedules as they are shown: when each task runs, what became of its last runs, whether it is overdue.

use super::operate::refuse_store;
use super::shared::Shared;
use crate::clock::{in_zone, rfc3339};
use crate::model::ports::Refusal;
use crate::model::schedule::Schedule;
use crate::model::statistics::{NextRun, Overdue, Statistics};
use crate::model::view::{PastRun, ScheduleView, SchedulesPage};
use crate::model::{Millis, Task, TaskName, Trigger};
use crate::store::{PastRow, Queries};
use chrono::SecondsFormat;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Tasks whose schedule is overdue, since when, and why; bounded by the tasks.
#[derive(Debug, Default)]
pub struct OverdueTasks(Mutex<BTreeMap<TaskName, (Millis, String)>>);

impl OverdueTasks {
    /// Notes why a task is overdue; answers whether that is news.
    pub fn set(&self, task: &TaskName, now: Millis, why: &str) -> bool {
        match self.known().get_mut(task) {
            Some((_, said)) if said == why => return false,
            Some((_, said)) => {
                why.clone_into(said);
                return true;
            }
            None => {}
        }
        self.known().insert(TaskName::clone(task), (now, why.to_owned()));
        true
    }

    /// Notes that a task is not overdue; answers whether that is news.
    pub fn remove(&self, task: &TaskName) -> bool {
        self.known().remove(task).is_some()
    }

    /// Whether a task is overdue.
    pub fn has(&self, task: &TaskName) -> bool {
        self.known().contains_key(task)
    }

    /// All of them.
    pub fn all(&self) -> BTreeMap<TaskName, (Millis, String)> {
        self.known().clone()
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<TaskName, (Millis, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All schedules. Blocks.
pub fn page(shared: &Shared) -> Result<SchedulesPage, Refusal> {
    let config = shared.config.load();
    let queries = shared.store.queries();
    let overview = queries.overview().map_err(refuse_store)?;
    let standings = queries.standings().map_err(refuse_store)?;
    let overdue = shared.overdue.all();
    let now = shared.now();
    let mut schedules = Vec::new();
    for task in &config.tasks {
        let Trigger::Schedule(schedule) = &task.trigger else { continue };
        let known = standings.iter().find(|known| known.task == task.name);
        let anchor = known.map_or(now, |known| known.anchor);
        let mut view = view(task, schedule, anchor, now, &queries).map_err(refuse_store)?;
        view.overdue = overdue.get(&task.name).map(|(_, why)| why.clone());
        view.paused = overview.tasks.iter().any(|row| row.name == *task.name && row.paused.is_some());
        view.followers = followers(&config.tasks, &task.name);
        schedules.push(view);
    }
    schedules.sort_by(|a, b| {
        let key = |s: &ScheduleView| (s.overdue.is_none(), s.next.is_empty());
        key(a).cmp(&key(b)).then_with(|| first(a).cmp(&first(b)))
    });
    Ok(SchedulesPage { schedules })
}

/// The next time of a schedule.
fn first(view: &ScheduleView) -> Option<Millis> {
    view.next.first().and_then(|at| crate::clock::parse_rfc3339(at))
}

fn view(
    task: &Task,
    schedule: &Schedule,
    anchor: Millis,
    now: Millis,
    queries: &Queries,
) -> Result<ScheduleView, crate::model::ledger::StoreError> {
    let jitter = schedule.jitter_of(&task.name);
    let next = schedule.upcoming(now.minus(jitter), anchor, ScheduleView::NEXT_MAX);
    let zoned = |at: &Millis| in_zone(*at, schedule.timezone).to_rfc3339_opts(SecondsFormat::Secs, false);
    let rows = queries.runs_of(&task.name, ScheduleView::RUNS_MAX)?;
    Ok(ScheduleView {
        task: task.name.to_string(),
        action: task.action.name().to_owned(),
        plain: schedule.describe(),
        source: schedule.source(),
        timezone: schedule.timezone.name().to_owned(),
        next: next.iter().map(|at| zoned(&at.plus(jitter))).collect(),
        last_success: queries.last_success(&task.name)?.map(|(at, _)| rfc3339(at)),
        runs: rows.into_iter().map(past).collect(),
        overdue: None,
        paused: false,
        followers: Vec::new(),
    })
}

fn past(row: PastRow) -> PastRun {
    let ended = row.settled_at.zip(row.started_at).filter(|_| row.total > 0);
    PastRun {
        id: row.id.0,
        state: row.state.name().to_owned(),
        reason: row.reason,
        planned_at: rfc3339(row.planned_at),
        duration_ms: ended.map(|(end, start)| u64::try_from(end.since(start).as_millis()).unwrap_or(u64::MAX)),
        ok: row.ok,
        failed: row.failed,
        failed_job: row.failed_job.map(|job| job.0),
    }
}

/// The tasks that run after one, directly or after one of these, in the order of the configuration.
fn followers(tasks: &[Arc<Task>], of: &TaskName) -> Vec<String> {
    let mut known: Vec<&TaskName> = vec![of];
    // As many rounds as there are tasks follow the longest chain.
    for _ in tasks {
        let after = |task: &&Arc<Task>| match &task.trigger {
            Trigger::After(after) => after.tasks.iter().any(|up| known.contains(&up)),
            Trigger::Watch(_) | Trigger::Schedule(_) | Trigger::Manual => false,
        };
        let more: Vec<&TaskName> =
            tasks.iter().filter(after).map(|t| &t.name).filter(|name| !known.contains(name)).collect();
        if more.is_empty() {
            break;
        }
        known.extend(more);
    }
    known.into_iter().skip(1).map(ToString::to_string).collect()
}

/// Adds to statistics what comes next and what is overdue.
pub fn outlook(shared: &Shared, statistics: &mut Statistics) {
    let config = shared.config.load();
    let standings = shared.store.queries().standings().unwrap_or_default();
    let now = shared.now();
    for task in &config.tasks {
        let Trigger::Schedule(schedule) = &task.trigger else { continue };
        let anchor = standings.iter().find(|known| known.task == task.name).map_or(now, |known| known.anchor);
        let jitter = schedule.jitter_of(&task.name);
        let next = schedule.next(now.minus(jitter), anchor).map(|at| at.plus(jitter));
        let next = next.map(|at| NextRun { task: task.name.to_string(), at, plain: schedule.describe() });
        statistics.next.extend(next);
    }
    statistics.next.sort_by_key(|next| next.at);
    let told = |(task, (since, reason)): (TaskName, _)| Overdue { task: task.to_string(), since, reason };
    statistics.overdue.extend(shared.overdue.all().into_iter().map(told));
}

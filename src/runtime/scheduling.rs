//! Schedules at work: planned times that come due are put into the queue, each once, and silence is noticed. The
//! arithmetic is that of [`crate::model::schedule`]; what it must remember is in the store, in the commit that plans.

use super::operate::Operations;
use super::shared::Shared;
use crate::clock;
use crate::config::Config;
use crate::model::action::Level;
use crate::model::alert::{Notice, Severity};
use crate::model::ledger::{NewSlot, Remembered, SlotOrder, SlotsPlanned, StoreError};
use crate::model::ports::{Actor, Target};
use crate::model::schedule::{self, Schedule, Slot, Standing, SuccessWithin};
use crate::model::view::Gravity;
use crate::model::{Millis, RunId, Task, TaskName, Trigger};
use nix::unistd::Uid;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The wall clock may be set, and a sleep does not see it: it is looked at this often.
const LOOK: Duration = Duration::from_secs(10);
/// Shortest time between two looks because something changed.
const PAUSE: Duration = Duration::from_millis(250);
/// A store that cannot write is asked again after this time.
const RETRY: Duration = Duration::from_secs(2);
/// A start says nothing of silence for this long.
const PATIENCE: Duration = Duration::from_secs(5);
/// The kind of the notice of an overdue task.
const KIND: &str = "overdue";
/// Runs of one task whose start is watched; of more, the newest.
const WATCHED_MAX: usize = 16;

/// What is known of the schedule of one task.
struct Known {
    spec: String,
    standing: Standing,
    next_at: Option<Millis>,
    /// When silence becomes a notice; none: never.
    success_due: Option<Millis>,
    /// Runs that have not begun, with the latest time for it.
    unbegun: VecDeque<(RunId, Millis)>,
    /// When its times were last looked at; none: they are to be, whatever the time is. A clock that was set back since
    /// may have left what comes next far away.
    looked: Option<Millis>,
    /// Whether the store has the standing.
    is_kept: bool,
    /// Whether its silence was looked at since the start.
    is_told: bool,
}

/// Runs until the supervisor stops.
pub async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let remembered = loop {
        let worker = Arc::clone(&shared);
        match shared.tracker.run(move || worker.store.queries().standings()).await {
            Some(Ok(remembered)) => break remembered,
            Some(Err(e)) => shared.complain(&format!("cannot read the schedules: {e}")),
            None => shared.complain("reading the schedules panicked"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RETRY) => {}
        }
    };
    let mut remembered: HashMap<TaskName, Remembered> =
        remembered.into_iter().map(|r| (TaskName::clone(&r.task), r)).collect();
    let mut known: HashMap<TaskName, Known> = HashMap::new();
    let mut config: Option<Arc<Config>> = None;
    loop {
        let changed = shared.changed.notified();
        let live = shared.config.load_full();
        if !config.as_ref().is_some_and(|c| Arc::ptr_eq(c, &live)) {
            let before: Vec<TaskName> = known.keys().cloned().collect();
            known = reconciled(&shared, &live, known, &mut remembered);
            for task in before.iter().filter(|task| !known.contains_key(*task)) {
                tell(&shared, task, None, true).await;
            }
            config = Some(Arc::clone(&live));
        }
        let mut wait = LOOK;
        for (task, schedule) in scheduled(&live) {
            let Some(known) = known.get_mut(&task.name) else { continue };
            let now = shared.now();
            let is_due = known.next_at.is_some_and(|at| at <= now);
            if is_due || known.looked.is_none_or(|looked| now < looked) {
                match plan(&shared, task, schedule, known, now).await {
                    Ok(()) => known.looked = Some(now),
                    Err(StoreError::Closed) => return,
                    Err(e) => {
                        shared.store_failed(&e).await;
                        wait = wait.min(RETRY);
                        continue;
                    }
                }
            }
            look_for_silence(&shared, task, schedule, known, now).await;
            wait = known.next_at.map_or(wait, |at| wait.min(at.since(now)));
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = async { changed.await; tokio::time::sleep(PAUSE).await } => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// The tasks that have a schedule.
fn scheduled(config: &Config) -> impl Iterator<Item = (&Arc<Task>, &Schedule)> {
    config.tasks.iter().filter_map(|task| match &task.trigger {
        Trigger::Schedule(schedule) => Some((task, &**schedule)),
        Trigger::Watch(_) | Trigger::After(_) | Trigger::Manual => None,
    })
}

/// What tells one schedule from another: with other times it begins anew.
fn spec(schedule: &Schedule) -> String {
    let bounds = [schedule.start, schedule.end].map(|at| at.map_or_else(String::new, |at| at.0.to_string()));
    format!("{} {} {} {}", schedule.source(), schedule.timezone, bounds[0], bounds[1])
}

/// The schedules of a configuration, each with what was known of it as far as its times are the same.
fn reconciled(
    shared: &Shared,
    config: &Config,
    mut before: HashMap<TaskName, Known>,
    remembered: &mut HashMap<TaskName, Remembered>,
) -> HashMap<TaskName, Known> {
    let now = shared.now();
    let mut known = HashMap::new();
    for (task, schedule) in scheduled(config) {
        let spec = spec(schedule);
        let kept = before.remove(&task.name).filter(|k| k.spec == spec);
        let was = remembered.remove(&task.name).filter(|r| r.spec == spec);
        let standing = match (&kept, was) {
            (Some(kept), _) => kept.standing,
            (None, Some(was)) => Standing { anchor: was.anchor, last_planned: was.last_planned },
            (None, None) => Standing { anchor: now, last_planned: None },
        };
        let is_kept = standing.last_planned.is_some();
        let is_told = kept.as_ref().is_some_and(|k| k.is_told);
        let unbegun = kept.map(|k| k.unbegun).unwrap_or_default();
        let fresh = Known { spec, standing, next_at: None, success_due: None, unbegun, looked: None, is_kept, is_told };
        known.insert(TaskName::clone(&task.name), fresh);
    }
    known
}

/// Puts what came due into the queue.
async fn plan(
    shared: &Arc<Shared>,
    task: &Arc<Task>,
    schedule: &Schedule,
    known: &mut Known,
    now: Millis,
) -> Result<(), StoreError> {
    let planned = schedule::plan(schedule, &task.name, &known.standing, now);
    let standing = Standing { anchor: planned.anchor, last_planned: planned.last_planned };
    if known.is_kept && planned.slots.is_empty() && standing == known.standing {
        known.next_at = planned.next_at;
        return Ok(());
    }
    let is_paused = !planned.slots.is_empty() && is_paused(shared, &task.name).await;
    let runs = planned.slots.iter().filter(|slot| matches!(slot, Slot::Run { .. })).count();
    let slot = |slot: Slot| match slot {
        Slot::Run { at, .. } if is_paused => {
            NewSlot::Not { at, missed: false, reason: "the task is paused".to_owned() }
        }
        Slot::Run { at, note } => NewSlot::Run { at, note, in_turn: runs > 1 },
        Slot::Missed { at, reason } => NewSlot::Not { at, missed: true, reason },
    };
    let order = SlotOrder {
        remember: Remembered {
            task: TaskName::clone(&task.name),
            spec: known.spec.clone(),
            anchor: planned.anchor,
            last_planned: planned.last_planned,
        },
        next_at: planned.next_at,
        slots: planned.slots.into_iter().map(slot).collect(),
        overlap: schedule.overlap,
        now,
    };
    let done = shared.ledger.plan_slots(order).await?;
    (known.standing, known.is_kept) = (standing, true);
    known.next_at = planned.next_at;
    for (at, run, _) in done.runs.iter().filter(|(_, _, left_out)| left_out.is_none()) {
        if known.unbegun.len() == WATCHED_MAX {
            known.unbegun.pop_front();
        }
        // One that is made up for is late already: it counts from now.
        let start_by = schedule.start_by(&task.name, (*at).max(now), planned.anchor);
        known.unbegun.push_back((*run, start_by));
    }
    say(shared, task, &done);
    if !done.cancel.is_empty() {
        let by = Actor { uid: Uid::current().as_raw() };
        let operations = Operations::new(Arc::clone(shared), None);
        let reason = Some("the next run of its schedule is due");
        if let Err(refusal) = operations.cancel_all(by, Target::Jobs(done.cancel), reason).await {
            shared.complain(&format!("cannot cancel the run before: {refusal}"));
        }
    }
    shared.tell_lanes(done.lane.into_iter().collect()).await;
    Ok(())
}

fn say(shared: &Shared, task: &Task, done: &SlotsPlanned) {
    for (at, run, left_out) in &done.runs {
        let at = clock::rfc3339(*at);
        let (level, line) = match left_out {
            None => (Level::Info, format!("run {run} is due: {at}")),
            Some(why) => (Level::Warn, format!("{at} does not run: {why}")),
        };
        shared.log.append(level, Some(&task.name), None, None, &line);
    }
}

async fn is_paused(shared: &Arc<Shared>, task: &str) -> bool {
    let worker = Arc::clone(shared);
    match shared.tracker.run(move || worker.store.queries().pauses()).await {
        Some(Ok((all, tasks))) => all || tasks.iter().any(|paused| paused == task),
        // It is put into the queue, where a pause holds it.
        _ => false,
    }
}

/// Says that a task is overdue, and takes it back when it is not.
async fn look_for_silence(shared: &Arc<Shared>, task: &Arc<Task>, schedule: &Schedule, known: &mut Known, now: Millis) {
    let is_overdue = shared.overdue.has(&task.name);
    let success_due = known.success_due.is_none_or(|due| due <= now) && schedule.success_within != SuccessWithin::Never;
    let start_due = known.unbegun.iter().any(|(_, due)| *due <= now);
    if known.is_told && !(is_overdue || success_due || start_due) {
        return;
    }
    let (worker, name, runs) = (Arc::clone(shared), TaskName::clone(&task.name), known.unbegun.clone());
    let read = shared.tracker.run(move || {
        let queries = worker.store.queries();
        let mut unbegun = VecDeque::new();
        for (run, due) in runs {
            if !queries.has_begun(run)? {
                unbegun.push_back((run, due));
            }
        }
        Ok::<_, StoreError>((queries.last_success(&name)?, unbegun))
    });
    let Some(Ok((success, unbegun))) = read.await else { return };
    known.unbegun = unbegun;
    let since = success.map_or(known.standing.anchor, |(at, _)| at.max(known.standing.anchor));
    let is_first = !std::mem::replace(&mut known.is_told, true);
    known.success_due = schedule.success_by(&task.name, since, known.standing.anchor);
    // What was missed while nobody ran is being made up for: it gets a moment to do so.
    let is_early = now < shared.started_at.plus(PATIENCE);
    let late = known.unbegun.iter().find(|(_, due)| *due <= now);
    let text = match (late, known.success_due) {
        (Some((run, _)), _) => Some(format!("run {run} was due and has not started")),
        (None, Some(at)) if at <= now && !is_early => {
            let last = success.map_or_else(
                || "never succeeded".to_owned(),
                |(at, run)| format!("no success since {} (run {run})", schedule.shown(at)),
            );
            Some(format!("{last}; one was due by {}", schedule.shown(at)))
        }
        _ => None,
    };
    tell(shared, &task.name, text, is_first).await;
}

fn code(task: &str) -> String {
    format!("overdue:{task}")
}

/// Says what became of the silence of a task; `is_first`: it is not known yet what was said before the start.
async fn tell(shared: &Arc<Shared>, task: &TaskName, text: Option<String>, is_first: bool) {
    let Some(text) = text else {
        let was = shared.overdue.remove(task);
        if was {
            shared.log.append(Level::Info, Some(task), None, None, "no longer overdue");
            shared.clear_banner(&code(task));
        }
        if was || is_first {
            shared.clear_notice(Some(TaskName::clone(task)), KIND, "").await;
        }
        return;
    };
    if shared.overdue.set(task, shared.now(), &text) {
        let line = format!("{task} is overdue: {text}");
        shared.log.append(Level::Warn, Some(task), None, None, &line);
        shared.banner(Gravity::Warning, &code(task), line);
        let task = Some(TaskName::clone(task));
        shared.raise(Notice { task, kind: KIND, key: String::new(), severity: Severity::Warning, text }).await;
    }
}

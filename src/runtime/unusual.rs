//! Runs that are unlike those before them: looked at when they settle, told as a notice that the next usual run clears.

use super::shared::Shared;
use crate::model::action::Level;
use crate::model::alert::{Notice, Severity};
use crate::model::anomaly::{self, Anomaly};
use crate::model::ledger::{Settled, StoreError};
use crate::model::ports::Spawner;
use crate::model::{RunId, RunState, TaskName};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The kind of these notices.
const KIND: &str = "unusual";

/// What is known of the runs of each task since the start; bounded by the tasks. Of each, one run is looked at at a time
/// and one waits: where runs settle faster than they are looked at, the newest one is.
#[derive(Debug, Default)]
pub struct Unusual(Mutex<HashMap<TaskName, Known>>);

#[derive(Debug, Default)]
struct Known {
    /// Whether the last run that was looked at was unlike the others.
    was: Option<bool>,
    is_looking: bool,
    next: Option<RunId>,
}

impl Unusual {
    fn known(&self) -> MutexGuard<'_, HashMap<TaskName, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a run; answers whether somebody must begin to look.
    fn add(&self, task: &TaskName, run: RunId) -> bool {
        let mut known = self.known();
        let known = known.entry(TaskName::clone(task)).or_default();
        known.next = Some(run);
        !std::mem::replace(&mut known.is_looking, true)
    }

    /// The run to look at; with none, nobody looks any more.
    fn next(&self, task: &TaskName) -> Option<RunId> {
        let mut known = self.known();
        let known = known.get_mut(task)?;
        let next = known.next.take();
        known.is_looking = next.is_some();
        next
    }

    /// Notes what was found; answers what was before.
    fn set(&self, task: &TaskName, is_unusual: bool) -> Option<bool> {
        self.known().get_mut(task).and_then(|known| known.was.replace(is_unusual))
    }
}

/// Looks at runs that succeeded, beside everything else.
pub fn look(shared: &Arc<Shared>, settled: &[Settled]) {
    for Settled { run, task, .. } in settled.iter().filter(|run| run.state == RunState::Succeeded) {
        if shared.unusual.add(task, *run) {
            let (worker, task) = (Arc::clone(shared), TaskName::clone(task));
            let looking = async move {
                while let Some(run) = worker.unusual.next(&task) {
                    compare(&worker, &task, run).await;
                }
            };
            shared.tracker.task("unusual", Box::pin(looking));
        }
    }
}

async fn compare(shared: &Arc<Shared>, task: &TaskName, run: RunId) {
    let (worker, name) = (Arc::clone(shared), TaskName::clone(task));
    let read = shared.tracker.run(move || {
        let queries = worker.store.queries();
        let figures = queries.run_figures(run)?;
        let history = queries.run_history(&name, run)?;
        Ok::<_, StoreError>(figures.map(|new| anomaly::unlike(&history, &new)))
    });
    // What cannot be read is no news about the run.
    let Some(Ok(Some(found))) = read.await else { return };
    let before = shared.unusual.set(task, !found.is_empty());
    let of = Some(TaskName::clone(task));
    if !found.is_empty() {
        let sentences: Vec<String> = found.iter().map(Anomaly::sentence).collect();
        let text = format!("run {run} is unlike those before it: {}", sentences.join("; "));
        shared.log.append(Level::Warn, Some(task), None, None, &text);
        shared.raise(Notice { task: of, kind: KIND, key: String::new(), severity: Severity::Warning, text }).await;
    } else if before != Some(false) {
        shared.clear_notice(of, KIND, "").await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_run_of_a_task_is_looked_at_and_only_the_newest_waits() {
        let (known, task) = (Unusual::default(), TaskName::from("a"));
        assert!(known.add(&task, RunId(1)));
        assert_eq!(known.next(&task), Some(RunId(1)));
        for run in 2..100 {
            assert!(!known.add(&task, RunId(run)), "somebody looks already");
        }
        assert_eq!((known.next(&task), known.next(&task)), (Some(RunId(99)), None));
        assert!(known.add(&task, RunId(100)), "nobody looked any more");
        assert_eq!((known.set(&task, true), known.set(&task, false)), (None, Some(true)));
    }
}

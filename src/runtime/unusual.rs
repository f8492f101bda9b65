//! Runs that are unlike those before them: looked at when they settle, told as a notice that the next usual run clears.

use super::shared::Shared;
use crate::model::action::Level;
use crate::model::alert::{Notice, Severity};
use crate::model::anomaly;
use crate::model::ledger::{Settled, StoreError};
use crate::model::ports::Spawner;
use crate::model::{RunState, TaskName};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The kind of these notices.
const KIND: &str = "unusual";

/// Whether the last run of a task was unlike the others, as far as is known since the start; bounded by the tasks.
#[derive(Debug, Default)]
pub struct Unusual(Mutex<HashMap<TaskName, bool>>);

/// Looks at runs that succeeded, beside everything else.
pub fn look(shared: &Arc<Shared>, settled: &[Settled]) {
    for run in settled.iter().filter(|run| run.state == RunState::Succeeded) {
        let (shared, run) = (Arc::clone(shared), run.clone());
        let tracker = Arc::clone(&shared.tracker);
        tracker.task("unusual", Box::pin(async move { compare(&shared, &run).await }));
    }
}

async fn compare(shared: &Arc<Shared>, Settled { run, task, .. }: &Settled) {
    let (worker, name, id) = (Arc::clone(shared), TaskName::clone(task), *run);
    let read = shared.tracker.run(move || {
        let queries = worker.store.queries();
        let figures = queries.run_figures(id)?;
        let history = queries.run_history(&name, id)?;
        Ok::<_, StoreError>(figures.map(|new| anomaly::unlike(&history, &new)))
    });
    // What cannot be read is no news about the run.
    let Some(Ok(Some(found))) = read.await else { return };
    let is_unusual = !found.is_empty();
    let before =
        shared.unusual.0.lock().unwrap_or_else(PoisonError::into_inner).insert(TaskName::clone(task), is_unusual);
    if is_unusual {
        let sentences: Vec<String> = found.iter().map(anomaly::Anomaly::sentence).collect();
        let text = format!("run {run} is unlike those before it: {}", sentences.join("; "));
        shared.log.append(Level::Warn, Some(task), None, None, &text);
        let notice = Notice {
            task: Some(TaskName::clone(task)),
            kind: KIND,
            key: String::new(),
            severity: Severity::Warning,
            text,
        };
        shared.raise(notice).await;
    } else if before != Some(false) {
        shared.clear_notice(Some(TaskName::clone(task)), KIND, "").await;
    }
}

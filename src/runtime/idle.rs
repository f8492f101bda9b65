//! `run --until-idle`: a full scan found nothing new, nothing is settling, queued, running or placing, and no retry or
//! start time lies within the wait.

use super::looping::Signal;
use super::shared::Shared;
use super::watching::Watching;
use crate::model::view::Counts;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Longest time between two looks; every change of the queue is a look too.
const LOOK: Duration = Duration::from_millis(250);
/// Shortest time between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until there is nothing to do, then asks for a drain.
pub async fn run(
    shared: Arc<Shared>,
    watching: Arc<Watching>,
    wait: Duration,
    signals: mpsc::Sender<Signal>,
    stop: CancellationToken,
) {
    loop {
        let changed = shared.changed.notified();
        if is_idle(&shared, &watching, wait).await {
            // A full channel means that a stop is under way already.
            let _ = signals.try_send(Signal::Drain);
            return;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = async { changed.await; tokio::time::sleep(PAUSE).await } => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

async fn is_idle(shared: &Arc<Shared>, watching: &Watching, wait: Duration) -> bool {
    if !is_quiet(shared, wait).await || !watching.is_quiet().await {
        return false;
    }
    // Work may have landed while the folders were scanned.
    is_quiet(shared, wait).await
}

async fn is_quiet(shared: &Arc<Shared>, wait: Duration) -> bool {
    if !shared.kernel.lock().unwrap_or_else(PoisonError::into_inner).is_idle() {
        return false;
    }
    let worker = Arc::clone(shared);
    let before = shared.now().plus(wait);
    let read = shared.tracker.run(move || {
        let queries = worker.store.queries();
        Ok::<_, crate::model::ledger::StoreError>((queries.overview()?, queries.due_before(before)?))
    });
    let Some(Ok((overview, due))) = read.await else { return false };
    // Jobs that are held by a pause, or belong to a task that is gone, will not run: waiting for them would never end.
    let held = |t: &&crate::store::TaskRow| t.paused.is_some() || t.removed;
    let stuck: u64 = overview.tasks.iter().filter(held).map(|t| t.counts.queued).sum();
    let Counts { queued, running, placing, .. } = overview.counts;
    let stuck = if overview.paused.is_some() { queued } else { stuck };
    queued <= stuck && running == 0 && placing == 0 && due == 0
}

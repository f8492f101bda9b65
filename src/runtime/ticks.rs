//! The event stream: at most four ticks a second, and none while nothing changes but the clock. Costs nothing while
//! nobody listens.

use super::shared::{Live, Shared};
use crate::model::JobId;
use crate::model::ports::{BoxFuture2, Ticks};
use crate::model::view::{ProgressView, Tick};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Shortest time between two ticks.
const TICK: Duration = Duration::from_millis(250);
/// Longest time between two ticks: gauges move on their own.
const QUIET: Duration = Duration::from_secs(2);
/// The same while jobs tell how far they are.
const MOVING: Duration = Duration::from_millis(500);
/// Running jobs whose progress is in a tick; the rest shows none.
const PROGRESS_MAX: usize = 256;

/// Sends ticks until the supervisor stops.
pub async fn run(shared: Arc<Shared>, tx: watch::Sender<Option<Tick>>, stop: tokio_util::sync::CancellationToken) {
    loop {
        let changed = shared.changed.notified();
        if tx.is_closed() || tx.receiver_count() <= 1 {
            // Only the template receiver is left: nobody listens.
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(TICK * 4) => continue,
            }
        }
        let mut longest = QUIET;
        if let Some(tick) = tick(&shared).await {
            if !tick.progress.is_empty() {
                longest = MOVING;
            }
            // Slow readers see the newest value only.
            let _ = tx.send(Some(tick));
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = async { changed.await; tokio::time::sleep(TICK).await } => {}
            () = tokio::time::sleep(longest) => {}
        }
    }
}

async fn tick(shared: &Arc<Shared>) -> Option<Tick> {
    let worker = Arc::clone(shared);
    let overview = shared.tracker.run(move || worker.store.queries().overview()).await?.ok()?;
    let flow = shared.flow.view();
    Some(Tick {
        rev: overview.rev,
        counts: overview.counts,
        gauges: shared.gauges.sample(),
        jobs_per_second: flow.jobs_per_second.last().copied().unwrap_or(0),
        bytes_per_second: flow.bytes_per_second.last().copied().unwrap_or(0),
        touched: Vec::new(),
        progress: progress(shared),
        status_rev: shared.status_rev.load(Ordering::Relaxed),
        state: state(shared),
        now_ms: shared.now().0,
        hosts: super::network::hosts(shared),
    })
}

/// How far the jobs at work are, by their numbers.
pub fn progress(shared: &Shared) -> Vec<ProgressView> {
    let now = Instant::now();
    let live = shared.live.lock().unwrap_or_else(PoisonError::into_inner);
    let view = |(job, live): (&JobId, &Arc<Live>)| {
        live.progress.lock().unwrap_or_else(PoisonError::into_inner).view(*job, now)
    };
    let mut all: Vec<ProgressView> = live.iter().filter_map(view).collect();
    drop(live);
    all.sort_unstable_by_key(|p| p.job);
    all.truncate(PROGRESS_MAX);
    all
}

/// `running` or `draining`.
pub fn state(shared: &Shared) -> String {
    let ending = shared.kernel.lock().unwrap_or_else(PoisonError::into_inner).is_ending();
    if ending { "draining".into() } else { "running".into() }
}

/// A subscription.
pub struct Subscription(pub watch::Receiver<Option<Tick>>);

impl Ticks for Subscription {
    fn next(&mut self) -> BoxFuture2<'_, Option<Tick>> {
        Box::pin(async move {
            loop {
                self.0.changed().await.ok()?;
                if let Some(tick) = self.0.borrow_and_update().clone() {
                    return Some(tick);
                }
            }
        })
    }
}

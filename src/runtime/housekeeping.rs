//! What happens on its own time: the log reaches the disk, throughput is counted by the second, old history goes, and
//! a store that could not write is asked again.

use super::shared::Shared;
use crate::model::Millis;
use crate::model::ledger::Keep;
use crate::model::view::Gravity;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The log is written to disk this often.
const FLUSH: Duration = Duration::from_millis(500);
/// History is looked through this often.
const PRUNE: Duration = Duration::from_secs(600);
/// Output files looked at in one pass; the rest is left to the next.
const OUTPUT_SCAN_MAX: usize = 10_000;

/// Runs until the stop.
pub async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut flush = tokio::time::interval(FLUSH);
    flush.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut prune = tokio::time::interval(PRUNE);
    let mut written = 0;
    let mut second = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = flush.tick() => {
                let newest = *shared.log.subscribe().borrow();
                if newest != written {
                    written = newest;
                    let worker = Arc::clone(&shared);
                    shared.tracker.run(move || worker.log.flush()).await;
                }
                count(&shared, &mut second).await;
                shared.probe().await;
            }
            _ = prune.tick() => clean(&shared).await,
        }
    }
    let worker = Arc::clone(&shared);
    shared.tracker.run(move || worker.log.flush()).await;
}

async fn count(shared: &Arc<Shared>, last: &mut i64) {
    let second = shared.now().0.div_euclid(1000);
    if second == *last {
        return;
    }
    *last = second;
    let worker = Arc::clone(shared);
    let depth = shared.tracker.run(move || worker.store.queries().queued()).await.and_then(Result::ok).unwrap_or(0);
    shared.flow.tick(second, depth);
    match shared.log.trouble() {
        Some(trouble) => shared.banner(Gravity::Warning, "log_trouble", trouble),
        None => shared.clear_banner("log_trouble"),
    }
}

async fn clean(shared: &Arc<Shared>) {
    let now = shared.now();
    let retention = &shared.config.load().retention;
    let keep = Keep {
        succeeded_before: now.minus(retention.succeeded.age),
        succeeded_max: retention.succeeded.count,
        failed_before: now.minus(retention.failed.age),
        failed_max: retention.failed.count,
    };
    while let Ok(gone) = shared.ledger.prune(keep).await {
        if gone == 0 {
            break;
        }
    }
    let dir = shared.config.load().data_dir.join("output");
    shared.tracker.run(move || clean_outputs(&dir, keep.failed_before)).await;
}

/// Removes output files that are older than any history.
fn clean_outputs(dir: &Path, before: Millis) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten().take(OUTPUT_SCAN_MAX) {
        let modified = entry.metadata().and_then(|m| m.modified()).ok();
        let age = modified.and_then(|m| m.duration_since(std::time::UNIX_EPOCH).ok());
        let at = age.map(|a| Millis(i64::try_from(a.as_millis()).unwrap_or(i64::MAX)));
        if at.is_some_and(|at| at < before) {
            // It is looked at again the next time.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

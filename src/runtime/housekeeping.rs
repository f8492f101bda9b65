//! What happens on its own time: the log reaches the disk, throughput is counted by the second, old history goes, and
//! a store that could not write is asked again.

use super::shared::Shared;
use crate::model::Millis;
use crate::model::ledger::Keep;
use crate::model::view::Gravity;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// The log is written to disk this often.
const FLUSH: Duration = Duration::from_millis(500);
/// History is looked through this often.
const PRUNE: Duration = Duration::from_secs(600);
/// Output files looked at in one pass; the rest is left to the next.
const OUTPUT_SCAN_MAX: usize = 10_000;

/// A clock that is further off than this from how much time has passed has been set.
const JUMP: Duration = Duration::from_secs(3600);
/// After the clock was set nothing is deleted for this long: perhaps it was set wrongly, and is set back.
const DOUBT: Duration = Duration::from_secs(24 * 3600);

/// Whether the clock goes as time does.
struct Steady {
    wall: Millis,
    mono: Instant,
    doubt_until: Option<Instant>,
}

impl Steady {
    fn new(wall: Millis, mono: Instant) -> Self {
        Self { wall, mono, doubt_until: None }
    }

    fn is_steady(&mut self, wall: Millis, mono: Instant) -> bool {
        let passed = mono.saturating_duration_since(self.mono);
        let expected = self.wall.plus(passed);
        if wall.since(expected).max(expected.since(wall)) > JUMP {
            self.doubt_until = mono.checked_add(DOUBT);
        }
        (self.wall, self.mono) = (wall, mono);
        self.doubt_until.is_none_or(|until| mono >= until)
    }
}

/// Runs until the stop.
pub async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut flush = tokio::time::interval(FLUSH);
    flush.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut prune = tokio::time::interval(PRUNE);
    let mut written = 0;
    let mut second = 0;
    let mut steady = Steady::new(shared.now(), Instant::now());
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
            _ = prune.tick() => {
                if steady.is_steady(shared.now(), Instant::now()) {
                    shared.clear_banner("clock_set");
                    clean(&shared).await;
                } else {
                    let text = "the clock was set by more than an hour: no history is deleted for a day";
                    shared.banner(Gravity::Warning, "clock_set", text);
                }
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_is_doubted_for_a_day() {
        const HOUR: Duration = Duration::from_secs(3600);
        let (wall, mono) = (Millis(1_000_000_000_000), Instant::now());
        let mut steady = Steady::new(wall, mono);
        assert!(steady.is_steady(wall.plus(HOUR * 2), mono + HOUR * 2));
        let later = wall.plus(HOUR * 24 * 3650);
        assert!(!steady.is_steady(later, mono + HOUR * 3), "ten years ahead");
        assert!(!steady.is_steady(wall.plus(HOUR * 4), mono + HOUR * 4), "and back");
        assert!(!steady.is_steady(wall.plus(HOUR * 27), mono + HOUR * 27));
        assert!(steady.is_steady(wall.plus(HOUR * 28), mono + HOUR * 28));
    }
}

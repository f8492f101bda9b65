//! Whether to stop, asked from within long steps: whenever memory is taken and whenever the scratch folder is used.

use super::failure::Carried;
use crate::model::Failure;
use datafusion::common::Result as Planned;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

/// How often the question is passed on, in milliseconds.
const PAUSE: u64 = 5;

/// Says whether to stop. Asked from the thread of the caller, and may be asked from others.
pub type Stopped = Arc<dyn Fn() -> bool + Send + Sync>;

/// Asks whether to stop, now and then.
pub(super) struct Watch {
    stopped: Stopped,
    started: Instant,
    /// When it was asked last, in milliseconds since it started.
    asked: AtomicU64,
    /// The answer, once it is yes.
    is_over: AtomicBool,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("watch")
    }
}

impl Watch {
    pub(super) fn new(stopped: &Stopped) -> Self {
        let (asked, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { stopped: Arc::clone(stopped), started: Instant::now(), asked, is_over }
    }

    /// A failure if it is time to stop.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        // Two threads that ask at once do no harm.
        if now.saturating_sub(self.asked.load(Ordering::Relaxed)) >= PAUSE {
            self.asked.store(now, Ordering::Relaxed);
            if (self.stopped)() {
                self.is_over.store(true, Ordering::Relaxed);
            }
        }
        if self.is_over.load(Ordering::Relaxed) {
            return Err(Failure::transient("stopped", "stopped on request"));
        }
        Ok(())
    }
}

/// Memory that nobody gets once it is time to stop.
#[derive(Debug)]
pub(super) struct Watched<P> {
    pub(super) pool: P,
    pub(super) watch: Arc<Watch>,
}

impl<P: MemoryPool> fmt::Display for Watched<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.pool, f)
    }
}

impl<P: MemoryPool> MemoryPool for Watched<P> {
    fn name(&self) -> &'static str {
        "watched"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.pool.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.pool.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.pool.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.pool.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Planned<()> {
        self.watch.check().map_err(Carried::error)?;
        self.pool.try_grow(reservation, additional)
    }

    fn reserved(&self) -> usize {
        self.pool.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.pool.memory_limit()
    }
}

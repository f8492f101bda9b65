//! What the parts of a running supervisor share.

use super::hosts::Gate;
use super::memory::Budget;
use super::meter::Meter;
use super::network::{LazyAnswers, Rates};
use super::placing::Stuck;
use super::roots::Roots;
use super::schedules::OverdueTasks;
use super::spawn::Tracker;
use super::stop::StopSwitch;
use super::unusual::Unusual;
use crate::clock::Clock;
use crate::config::Config;
use crate::files::folders::Folders;
use crate::files::reserve::Names;
use crate::kernel::{Input, Kernel};
use crate::model::action::Level;
use crate::model::job::Claimed;
use crate::model::ledger::{ClaimAnswer, LaneHint, Ledger};
use crate::model::view::{Banner, Gravity};
use crate::model::{JobId, JobState, Millis, Task, TaskName};
use crate::store::Store;
use crate::telemetry::Log;
use crate::telemetry::{Gauges, Throughput};
use arc_swap::ArcSwap;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

/// What reaches the loop. It may hold this many; a sender beyond that waits.
pub const EVENTS_MAX: usize = 4096;

/// What reaches the loop.
#[derive(Debug)]
pub enum Event {
    /// For the kernel.
    Kernel(Input),
    /// A claim was answered.
    Claimed(TaskName, Box<ClaimAnswer>),
    /// The configuration was read again.
    Reloaded,
}

/// A job at work.
#[derive(Debug)]
pub struct Live {
    /// Stops it.
    pub stop: Arc<StopSwitch>,
    /// How far it has come.
    pub progress: Mutex<Meter>,
}

/// What the parts share. One per supervisor.
pub struct Shared {
    /// The configuration that is live.
    pub config: ArcSwap<Config>,
    /// The store, for reading.
    pub store: Store,
    /// The durable queue; in tests perhaps with faults in front of the store.
    pub ledger: Arc<dyn Ledger>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The life-cycle log.
    pub log: Arc<Log>,
    /// Finished jobs and bytes per second.
    pub flow: Throughput,
    /// What the machine does.
    pub gauges: Gauges,
    /// Starts tasks and threads.
    pub tracker: Arc<Tracker>,
    /// Folders in use.
    pub folders: Arc<Folders>,
    /// What the watched folders were when they were locked.
    pub roots: Roots,
    /// Final names in use.
    pub names: Arc<Names>,
    /// The memory that all jobs have together.
    pub memory: Arc<Budget>,
    /// The gate before every request.
    pub gate: Arc<Gate>,
    /// Ends the gate's timer, when no attempt is at work any more.
    pub gate_stop: CancellationToken,
    /// Requests a second, by host.
    pub rates: Rates,
    /// Answers that were fetched before.
    pub answers: LazyAnswers,
    /// To the loop.
    pub events: mpsc::Sender<Event>,
    /// Decided jobs that cannot be put in their place yet.
    pub stuck: Stuck,
    /// Jobs at work.
    pub live: Mutex<HashMap<JobId, Arc<Live>>>,
    /// The kernel; the loop alone steps it, others ask it why.
    pub kernel: Mutex<Kernel>,
    /// What is held, paused or degraded, by code.
    pub banners: Mutex<BTreeMap<String, Banner>>,
    /// Tasks whose schedule is overdue, and why.
    pub overdue: OverdueTasks,
    /// Runs that are unlike those before them.
    pub unusual: Unusual,
    /// Whether a job put a message into the outbox that no sender knows of.
    pub told: AtomicBool,
    /// Rises with everything that `status` shows and ticks do not.
    pub status_rev: AtomicU64,
    /// Rung when anything changed.
    pub changed: Notify,
    /// Whether the store can write.
    pub store_ok: AtomicBool,
    /// Inputs over [`super::sync::LARGE`] at work: no whole file system is synced meanwhile.
    pub large: AtomicU32,
    /// What was executed here, for the last line of `run --until-idle`.
    pub tally: Mutex<Tally>,
    /// Name of this host.
    pub host: String,
    /// When this supervisor started.
    pub started_at: Millis,
}

impl Shared {
    /// Now.
    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// The task as configured now.
    pub fn task(&self, name: &str) -> Option<Arc<Task>> {
        self.config.load().task(name).cloned()
    }

    /// Says something about a job in the log.
    pub fn say(&self, level: Level, job: &Claimed, message: &str) {
        self.log.append(level, Some(&job.task), Some(job.job), None, message);
    }

    /// Says that something of the supervisor's own went wrong.
    pub fn complain(&self, message: &str) {
        self.log.append(Level::Error, None, None, None, message);
    }

    /// Sends to the loop; waits for room. After the loop has ended nobody listens, which is no error.
    pub async fn tell(&self, event: Event) {
        let _ = self.events.send(event).await;
    }

    /// The same from a thread for blocking work.
    pub fn tell_blocking(&self, event: Event) {
        let _ = self.events.blocking_send(event);
    }

    /// Sends queue lengths to the loop.
    pub async fn tell_lanes(&self, lanes: Vec<LaneHint>) {
        if !lanes.is_empty() {
            self.tell(Event::Kernel(Input::Waiting(lanes))).await;
        }
        self.touch();
    }

    /// Something changed that a screen may show.
    pub fn touch(&self) {
        self.changed.notify_waiters();
    }

    /// Something changed that only `status` shows.
    pub fn touch_status(&self) {
        self.status_rev.fetch_add(1, Ordering::Relaxed);
        self.touch();
    }

    /// Shows a banner until it is taken down.
    pub fn banner(&self, gravity: Gravity, code: &str, text: impl Into<String>) {
        let since = Some(crate::clock::rfc3339(self.now()));
        let text = text.into();
        let mut banners = self.banners.lock().unwrap_or_else(PoisonError::into_inner);
        match banners.get_mut(code) {
            Some(known) if known.text == text => return,
            Some(known) => known.text = text,
            None => {
                banners.insert(code.to_owned(), Banner { gravity, code: code.to_owned(), text, since });
            }
        }
        drop(banners);
        self.touch_status();
    }

    /// Takes a banner down.
    pub fn clear_banner(&self, code: &str) {
        let gone = self.banners.lock().unwrap_or_else(PoisonError::into_inner).remove(code);
        if gone.is_some() {
            self.touch_status();
        }
    }

    /// The job at work with this number.
    pub fn live_job(&self, job: JobId) -> Option<Arc<Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).get(&job).cloned()
    }
}

/// Jobs executed by this supervisor, by how they ended last.
#[derive(Debug, Default)]
pub struct Tally {
    /// Those that succeeded.
    pub succeeded: u64,
    /// Those that failed and were not retried with success since. Bounded by [`Tally::FAILED_MAX`].
    pub failed: HashSet<JobId>,
    /// Those beyond the bound, only counted.
    pub more_failed: u64,
    /// Those that wait after a failed attempt. Bounded like `failed`; beyond it one stands for all.
    pub retrying: HashSet<JobId>,
    /// Those set aside.
    pub skipped: u64,
    /// Those withdrawn.
    pub cancelled: u64,
}

impl Tally {
    /// Failed jobs remembered one by one; a later success of one beyond it is not taken off the count.
    pub const FAILED_MAX: usize = 1_000_000;

    /// An attempt here failed, and the job waits for its next.
    pub fn waits(&mut self, job: JobId) {
        if self.retrying.len() < Self::FAILED_MAX {
            self.retrying.insert(job);
        }
    }

    /// Counts a job that is over.
    pub fn over(&mut self, job: JobId, state: JobState) {
        let was_failed = self.failed.remove(&job);
        self.retrying.remove(&job);
        match state {
            JobState::Succeeded => self.succeeded += 1,
            JobState::Failed if was_failed || self.failed.len() < Self::FAILED_MAX => {
                self.failed.insert(job);
            }
            JobState::Failed => self.more_failed += 1,
            JobState::Skipped => self.skipped += 1,
            JobState::Cancelled => self.cancelled += 1,
            JobState::Waiting | JobState::Queued | JobState::Running | JobState::Placing => {}
        }
    }
}

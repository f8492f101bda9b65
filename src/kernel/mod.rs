//! The kernel decides *when* work is claimed and *at most how much*, and what a stop waits for. It is pure:
//! [`Kernel::step`] takes one input and the time, and answers effects; it never awaits, reads a clock, draws a random
//! number or does I/O. It does not hold the queue: a million waiting jobs cost it nothing, one number per lane.
//!
//! It guarantees that at most `concurrency` jobs of a task and `workers` jobs in all are at work at once, that a paused
//! or draining lane claims nothing, and that what was claimed and not started goes back uncharged.

pub mod hosts;
mod input;
mod lane;
mod schedule;
#[cfg(test)]
mod tests;

pub use input::{Effect, Input, LaneSpec, Ready};
use lane::Lane;

use crate::model::action::{Stop, WaitsFor};
use crate::model::{JobId, Millis, TaskName};
use std::collections::BTreeMap;
use std::time::Duration;

/// How the supervisor is ending, if it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// It is not.
    No,
    /// Nothing new is claimed; running jobs may end until this time.
    Draining(Millis),
    /// Running jobs were told to stop; those that have not by this time are killed.
    Stopping(Millis),
    /// Whoever is still at work was killed.
    Hurried,
    /// Everything that can end has ended.
    Over,
}

/// The decider. See the module's documentation.
#[derive(Debug)]
pub struct Kernel {
    lanes: BTreeMap<TaskName, Lane>,
    workers: u32,
    connections: u32,
    /// At most [`UNSETTLED_MAX`], and fewer where the process may have few files open: each holds some.
    unsettled_max: u32,
    drain: Duration,
    paused: bool,
    store_ok: bool,
    ending: Ending,
    /// Jobs at work, with their task; a job told to stop stays until it has ended.
    executing: BTreeMap<JobId, TaskName>,
    /// Jobs that ended but are not decided yet.
    unsettled: u32,
    /// Jobs started so far; each lane remembers the number of its last one, so that equals take turns.
    starts: u64,
    timer: Option<Millis>,
}

/// A job that was told to stop may take this long: the usual time between TERM and KILL, and some more.
pub const STOP_MAX: Duration = Duration::from_secs(15);

/// Jobs that ended and are not yet decided; beyond it nothing is claimed until the disk has caught up.
pub const UNSETTLED_MAX: u32 = 1024;

impl Kernel {
    /// A kernel for a number of workers and a time to drain.
    #[must_use]
    pub fn new(workers: u32, drain: Duration) -> Self {
        Self {
            lanes: BTreeMap::new(),
            workers: workers.max(1),
            connections: 1,
            unsettled_max: UNSETTLED_MAX,
            drain,
            paused: false,
            store_ok: true,
            ending: Ending::No,
            executing: BTreeMap::new(),
            unsettled: 0,
            starts: 0,
            timer: None,
        }
    }

    /// Takes one input and answers what is to be done, in order.
    pub fn step(&mut self, input: Input, now: Millis) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.take(input, now, &mut effects);
        self.schedule(now, &mut effects);
        #[cfg(debug_assertions)]
        self.check();
        effects
    }

    fn take(&mut self, input: Input, now: Millis, effects: &mut Vec<Effect>) {
        if !matches!(input, Input::Claimed { .. } | Input::Timer) {
            self.lanes.values_mut().for_each(|lane| lane.dry_until = None);
        }
        match input {
            Input::Configured { workers, connections, unsettled, drain, lanes } => {
                self.connections = connections.max(1);
                self.unsettled_max = unsettled.clamp(1, UNSETTLED_MAX);
                self.configure(workers, drain, lanes, effects);
            }
            Input::Opened => self.lanes.values_mut().for_each(|lane| lane.shut_until = None),
            Input::Waiting(hints) => {
                for hint in hints {
                    let lane = self.lanes.entry(hint.task).or_default();
                    lane.shut_until = None;
                    lane.hear(hint.queued, hint.next_due);
                }
            }
            Input::Claimed { task, jobs, queued, next_due, again } => {
                let lane = self.lanes.entry(task).or_default();
                let is_dry = jobs.is_empty() && queued > 0;
                lane.dry_until = (is_dry && again.is_none()).then(|| now.plus(lane::DRY));
                lane.shut_until = again.filter(|_| is_dry);
                lane.claim_answered(queued, next_due);
                lane.ready.extend(jobs);
            }
            Input::ClaimFailed { task } => {
                if let Some(lane) = self.lanes.get_mut(&task) {
                    lane.claiming = 0;
                }
            }
            Input::Ended { job, took } => self.ended(job, took),
            Input::Settled { count } => self.unsettled = self.unsettled.saturating_sub(count),
            Input::Paused { task, paused } => match task {
                None => self.paused = paused,
                Some(task) => self.lanes.entry(task).or_default().paused = paused,
            },
            Input::Store { ok } => self.store_ok = ok,
            Input::Cancel { job } => {
                if self.executing.contains_key(&job) {
                    effects.push(Effect::Stop { job, why: Stop::Cancel });
                } else {
                    self.cancel_ready(job, effects);
                }
            }
            Input::Timer => self.timer = None,
            Input::Drain => {
                if self.ending == Ending::No {
                    self.ending = Ending::Draining(now.plus(self.drain));
                }
            }
            Input::Hurry => {
                if self.ending != Ending::Over {
                    self.ending = Ending::Hurried;
                    self.stop_all(effects);
                }
            }
        }
    }

    fn configure(&mut self, workers: u32, drain: Duration, specs: Vec<LaneSpec>, effects: &mut Vec<Effect>) {
        self.workers = workers.max(1);
        self.drain = drain;
        for lane in self.lanes.values_mut() {
            lane.concurrency = 0;
        }
        for spec in specs {
            let lane = self.lanes.entry(spec.task).or_default();
            lane.concurrency = spec.concurrency.max(1);
            lane.priority = spec.priority;
            lane.waits_for = spec.waits_for;
        }
        for lane in self.lanes.values_mut().filter(|l| l.concurrency == 0) {
            lane.give_back(effects);
        }
        let executing = &self.executing;
        self.lanes.retain(|task, l| {
            l.concurrency > 0 || l.claiming > 0 || l.queued > 0 || executing.values().any(|t| t == task)
        });
    }

    fn ended(&mut self, job: JobId, took: Duration) {
        let Some(task) = self.executing.remove(&job) else { return };
        self.unsettled += 1;
        if let Some(lane) = self.lanes.get_mut(&task) {
            lane.executing = lane.executing.saturating_sub(1);
            lane.shut_until = None;
            lane.learn(took);
        }
    }

    /// A claimed job that has not started is started as cancelled, whatever the limits and pauses: its action does not
    /// run, and its decision finds the cancel. Put back, it would be a queued job whose cancel nobody remembers.
    fn cancel_ready(&mut self, job: JobId, effects: &mut Vec<Effect>) {
        for (task, lane) in &mut self.lanes {
            let found = lane.ready.iter().position(|r| r.job == job).and_then(|at| lane.ready.remove(at));
            if let Some(ready) = found {
                lane.executing += 1;
                lane.executing_before = lane.executing_before.max(lane.executing);
                self.executing.insert(job, TaskName::clone(task));
                effects.push(Effect::Start { ready, cancelled: true });
                return;
            }
        }
    }

    fn stop_all(&self, effects: &mut Vec<Effect>) {
        for job in self.executing.keys() {
            effects.push(Effect::Stop { job: *job, why: Stop::Drain });
        }
    }

    /// Most jobs at work at once of those that wait for this.
    fn slots(&self, waits_for: WaitsFor) -> u32 {
        match waits_for {
            WaitsFor::Workers => self.workers,
            WaitsFor::Network => self.connections,
        }
    }

    /// Jobs at work of those that wait for this.
    fn busy(&self, waits_for: WaitsFor) -> u32 {
        self.lanes.values().filter(|l| l.waits_for == waits_for).map(|l| l.executing).sum()
    }

    /// Whether a stop was asked for.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.ending != Ending::No
    }

    /// Jobs at work now.
    pub fn executing(&self) -> impl Iterator<Item = JobId> + '_ {
        self.executing.keys().copied()
    }

    /// Whether nothing is claimed, at work or undecided.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.executing.is_empty()
            && self.unsettled == 0
            && self.lanes.values().all(|l| l.ready.is_empty() && l.claiming == 0)
    }

    /// Why a task's queued jobs do not start, most important first; empty if nothing holds them.
    #[must_use]
    pub fn why(&self, task: &str) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.ending != Ending::No {
            reasons.push("the supervisor is stopping: nothing new is started".to_owned());
        }
        if !self.store_ok {
            reasons.push("the store cannot write: nothing is claimed until it can".to_owned());
        }
        if self.paused {
            reasons.push("everything is paused".to_owned());
        }
        let Some(lane) = self.lanes.get(task) else { return reasons };
        if lane.concurrency == 0 {
            reasons.push(format!("the configuration no longer has the task {task}"));
        } else if lane.paused {
            reasons.push(format!("the task {task} is paused"));
        } else if lane.executing >= lane.concurrency {
            reasons.push(format!("{} of {} jobs of {task} are running", lane.executing, lane.concurrency));
        }
        let (waits_for, slots) = (lane.waits_for, self.slots(lane.waits_for));
        if self.busy(waits_for) >= slots {
            reasons.push(match waits_for {
                WaitsFor::Workers => format!("all {slots} workers are busy"),
                WaitsFor::Network => format!("all {slots} connections are in use"),
            });
        }
        if self.unsettled >= self.unsettled_max {
            reasons.push(format!("{} finished jobs wait for the disk", self.unsettled));
        }
        reasons
    }

    /// Recomputes what is kept twice and compares.
    #[cfg(debug_assertions)]
    fn check(&self) {
        for (task, lane) in &self.lanes {
            let executing = self.executing.values().filter(|t| *t == task).count();
            assert_eq!(executing, lane.executing as usize, "executing jobs of {task}");
            assert!(lane.concurrency == 0 || lane.executing <= lane.concurrency.max(lane.executing_before));
        }
    }
}

//! The closed sets of what can happen to the kernel and what it can want.

use crate::model::action::{Stop, WaitsFor};
use crate::model::ledger::LaneHint;
use crate::model::{JobId, Millis, TaskName};
use std::time::Duration;

/// What the kernel must know of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneSpec {
    /// The task.
    pub task: TaskName,
    /// Most jobs of it at work at once.
    pub concurrency: u32,
    /// The higher goes first.
    pub priority: i32,
    /// What its jobs wait for, and so whose number bounds them together with others.
    pub waits_for: WaitsFor,
}

/// A claimed job that may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The job.
    pub job: JobId,
    /// The attempt that the claim began.
    pub attempt: i64,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The configuration, at the start and after a reload.
    Configured {
        /// Most jobs at work at once, of those that wait for a core.
        workers: u32,
        /// Most jobs at work at once, of those that wait for the network.
        connections: u32,
        /// Most jobs that have ended and are not decided yet.
        unsettled: u32,
        /// How long a drain waits.
        drain: Duration,
        /// The tasks; others lose their lane.
        lanes: Vec<LaneSpec>,
    },
    /// How much waits in some lanes.
    Waiting(Vec<LaneHint>),
    /// The answer to [`Effect::Claim`].
    Claimed {
        /// The lane.
        task: TaskName,
        /// The jobs.
        jobs: Vec<Ready>,
        /// Jobs left in the queue.
        queued: u64,
        /// When the next waiting job is due.
        next_due: Option<Millis>,
        /// When the first of the hosts opens that jobs were held back for.
        again: Option<Millis>,
    },
    /// Hosts may take more requests than they did: lanes that were held back may claim.
    Opened,
    /// A claim was not answered: the store is paused or failed.
    ClaimFailed {
        /// The lane.
        task: TaskName,
    },
    /// A job is no longer at work; its decision is under way.
    Ended {
        /// The job.
        job: JobId,
        /// How long it was at work.
        took: Duration,
    },
    /// Ended jobs were decided.
    Settled {
        /// How many.
        count: u32,
    },
    /// A pause began or ended.
    Paused {
        /// The task; none = everything.
        task: Option<TaskName>,
        /// Whether it began.
        paused: bool,
    },
    /// The store can write, or cannot.
    Store {
        /// Whether it can.
        ok: bool,
    },
    /// An operator cancelled a running job.
    Cancel {
        /// The job.
        job: JobId,
    },
    /// The time asked for by [`Effect::Wake`] has come.
    Timer,
    /// Stop in good order.
    Drain,
    /// Stop at once.
    Hurry,
}

/// What the kernel wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Claim up to `max` jobs of a lane, as long as no more than `running_limit` of it are running.
    Claim {
        /// The lane.
        task: TaskName,
        /// Most jobs.
        max: u32,
        /// Limit checked by the store.
        running_limit: u32,
    },
    /// Start a claimed job.
    Start {
        /// The job.
        ready: Ready,
        /// It was cancelled while it waited: its file is taken and set aside, its action does not run.
        cancelled: bool,
    },
    /// Put claimed jobs that did not start back.
    PutBack {
        /// The jobs.
        jobs: Vec<Ready>,
    },
    /// Tell a job at work to stop.
    Stop {
        /// The job.
        job: JobId,
        /// Why.
        why: Stop,
    },
    /// Make waiting jobs that are due queued, and answer with [`Input::Waiting`].
    PromoteDue,
    /// Send [`Input::Timer`] at this time; replaces the last one.
    Wake {
        /// When.
        at: Millis,
    },
    /// The time to stop in good order is over: whoever is still at work is killed, and nobody is waited for much longer.
    Hurry,
    /// Everything has ended: leave.
    Leave,
}

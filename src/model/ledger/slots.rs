//! What schedules put into the queue, and what they must remember.

use super::LaneHint;
use crate::model::schedule::Overlap;
use crate::model::{JobId, Millis, RunId, TaskName};

/// What a schedule remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    /// The task.
    pub task: TaskName,
    /// Hash of the times that it was planned by; with other times it begins anew.
    pub spec: String,
    /// When these times were first seen.
    pub anchor: Millis,
    /// The newest planned time that was dealt with.
    pub last_planned: Option<Millis>,
}

/// One planned time of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewSlot {
    /// It runs.
    Run {
        /// The planned time, without jitter.
        at: Millis,
        /// What is to be said of it.
        note: Option<String>,
        /// Whether it waits for the run before it whatever [`SlotOrder::overlap`] says: one of several that are made up
        /// for.
        in_turn: bool,
    },
    /// It does not run, and is kept as a record.
    Not {
        /// The planned time.
        at: Millis,
        /// Whether nobody could run it in time; else it was left out by a rule.
        missed: bool,
        /// Why.
        reason: String,
    },
}

/// The planned times of a task that came due, and what its schedule remembers from now on: one transaction.
#[derive(Clone, Debug)]
pub struct SlotOrder {
    /// What is remembered.
    pub remember: Remembered,
    /// Its next planned time.
    pub next_at: Option<Millis>,
    /// The planned times, oldest first.
    pub slots: Vec<NewSlot>,
    /// What happens while a run of the task is at work.
    pub overlap: Overlap,
    /// Now.
    pub now: Millis,
}

/// What came of the planned times.
#[derive(Clone, Debug, Default)]
pub struct SlotsPlanned {
    /// One for each that was not known yet: its time, its run, and why it does not run, where it does not.
    pub runs: Vec<(Millis, RunId, Option<String>)>,
    /// Jobs of earlier runs that are to be cancelled for it.
    pub cancel: Vec<JobId>,
    /// How much waits.
    pub lane: Option<LaneHint>,
}

//! Runs of many jobs, and the lanes that these wait in.

use crate::model::action::network::HostName;
use crate::model::{Millis, RunId, RunState, TaskName};
use std::sync::Arc;

/// How many more jobs of a lane may be claimed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// So many.
    pub jobs: u32,
    /// When it is worth asking again, where that is known and no event will tell.
    pub again: Option<Millis>,
}

/// Asks how many jobs of a lane may be claimed; called on the writer's thread, must be quick and must not block.
pub type Allow = Arc<dyn Fn(&str) -> Allowance + Send + Sync>;

/// A run that has settled; those of single files that landed are not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The run.
    pub run: RunId,
    /// Its task.
    pub task: TaskName,
    /// How it ended.
    pub state: RunState,
    /// Its jobs, without the plan.
    pub total: u64,
    /// Those that succeeded.
    pub ok: u64,
    /// Those that failed.
    pub failed: u64,
}

/// What a plan knows of its run before it goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Planned {
    /// Items in the queue already.
    pub items: u64,
}

/// A lane that is closed for all tasks: a host that asked to be left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedLane {
    /// The host.
    pub lane: HostName,
    /// Until when.
    pub until: Millis,
    /// Why, in words.
    pub why: String,
}

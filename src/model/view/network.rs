//! Runs of many jobs, and the hosts that these call.

use crate::model::{RunId, RunState};
use serde::{Deserialize, Serialize};

/// A run: one firing of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunView {
    /// Its number.
    pub id: RunId,
    /// Where it is in its life.
    pub state: RunState,
    /// What fired: `watch`, `after` or `manual`.
    pub trigger: String,
    /// The run that it follows.
    #[serde(default)]
    pub upstream: Option<RunId>,
    /// When it was planned.
    pub planned_at: String,
    /// When its last job was over.
    #[serde(default)]
    pub settled_at: Option<String>,
    /// Its jobs, as far as they are planned; a plan that did its work is none of them.
    pub total: u64,
    /// Those that are not over.
    pub open: u64,
    /// Those that succeeded.
    pub ok: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that were set aside.
    pub skipped: u64,
}

/// A host that jobs call: what is under way, what holds it back, how it answers. Times are of the requests since the
/// supervisor started, the newest weighing most.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostView {
    /// Its name, with the port where that is not the usual one.
    pub host: String,
    /// Requests under way.
    pub in_flight: u32,
    /// Most of them at once, as the task that asked last allows.
    pub concurrency: u32,
    /// Requests that wait for their turn.
    pub waiting: u32,
    /// The rate that the task that asked last keeps to, such as `10/s`.
    #[serde(default)]
    pub rate: Option<String>,
    /// It is called by nobody until then.
    #[serde(default)]
    pub closed_until: Option<String>,
    /// Why.
    #[serde(default)]
    pub why: Option<String>,
    /// `closed` (all is well), `open` or `probing`.
    pub breaker: String,
    /// Requests that have ended.
    pub requests: u64,
    /// Those that failed on its side.
    pub bad: u64,
    /// Those that it refused because there were too many.
    pub busy: u64,
    /// Half of its answers began within this time, in milliseconds.
    #[serde(default)]
    pub p50_ms: Option<u64>,
    /// 95 of 100 did.
    #[serde(default)]
    pub p95_ms: Option<u64>,
    /// 99 of 100 did.
    #[serde(default)]
    pub p99_ms: Option<u64>,
    /// Requests ended in each of the last seconds, oldest first.
    #[serde(default)]
    pub per_second: Vec<u32>,
}

impl HostView {
    /// Most hosts shown at once.
    pub const MAX: usize = 24;
}

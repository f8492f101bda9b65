//! Schedules and runs, as they are shown.

use serde::{Deserialize, Serialize};

/// One task with a schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScheduleView {
    /// The task.
    pub task: String,
    /// The kind of work.
    pub action: String,
    /// Its times in words, for example `at 09:00 on weekdays`.
    pub plain: String,
    /// Its times as configured: the cron expression, or `every 15m`.
    pub source: String,
    /// Its zone, an IANA name.
    pub timezone: String,
    /// The next times, RFC 3339 in its zone; at most [`ScheduleView::NEXT_MAX`].
    pub next: Vec<String>,
    /// When it last succeeded, RFC 3339.
    pub last_success: Option<String>,
    /// Its last runs, the newest first; at most [`ScheduleView::RUNS_MAX`].
    pub runs: Vec<PastRun>,
    /// Why it is overdue, in a sentence; none if it is not.
    pub overdue: Option<String>,
    /// Whether an operator paused it.
    pub paused: bool,
    /// Tasks that run after it.
    pub followers: Vec<String>,
}

impl ScheduleView {
    /// Most next times.
    pub const NEXT_MAX: usize = 5;
    /// Most past runs.
    pub const RUNS_MAX: usize = 20;
}

/// A run that was planned, as a schedule shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PastRun {
    /// The run.
    pub id: i64,
    /// Its state, for example `succeeded`, `skipped` or `missed`.
    pub state: String,
    /// Why it ended so, where that is known.
    pub reason: Option<String>,
    /// The time it was planned for, RFC 3339.
    pub planned_at: String,
    /// From its first start to its end, in milliseconds.
    pub duration_ms: Option<u64>,
    /// Jobs that succeeded.
    pub ok: u64,
    /// Jobs that failed.
    pub failed: u64,
    /// Its newest failed job, to open it.
    pub failed_job: Option<i64>,
}

/// A page of the schedules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SchedulesPage {
    /// The tasks with a schedule, the overdue ones first, then by their next time.
    pub schedules: Vec<ScheduleView>,
}

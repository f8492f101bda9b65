//! What a client sees: plain, immutable data that travels on the control socket as JSON. Clients ignore fields that
//! they do not know. Times are RFC 3339 text with offset; durations and sizes carry their unit in the name.

mod alert;
mod flow;
mod log;
mod network;
mod schedule;
mod why;

pub use alert::{AlertsView, ChannelView, OpenCause, OutboxView, TestedView};
pub use flow::{Gauges, ProgressView, Throughput, Tick};
pub use log::{LogLine, LogsPage};
pub use network::{HostView, RunView};
pub use schedule::{PastRun, ScheduleView, SchedulesPage};
pub use why::{InputView, WhyView};

use super::{CauseId, Detail, Failure, FailureClass, JobId, JobState, RunId, SelectionId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Jobs by state; all eight are always there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Not before a time.
    pub waiting: u64,
    /// Ready.
    pub queued: u64,
    /// At work.
    pub running: u64,
    /// Being made visible.
    pub placing: u64,
    /// Done.
    pub succeeded: u64,
    /// An operator decides.
    pub failed: u64,
    /// Set aside.
    pub skipped: u64,
    /// Withdrawn.
    pub cancelled: u64,
    /// Of `waiting`, those that wait after a failed attempt (shown as `retry`).
    pub retry: u64,
}

impl Counts {
    /// The number for one state.
    #[must_use]
    pub const fn get(&self, state: JobState) -> u64 {
        match state {
            JobState::Waiting => self.waiting,
            JobState::Queued => self.queued,
            JobState::Running => self.running,
            JobState::Placing => self.placing,
            JobState::Succeeded => self.succeeded,
            JobState::Failed => self.failed,
            JobState::Skipped => self.skipped,
            JobState::Cancelled => self.cancelled,
        }
    }

    /// The number for one state, to be changed.
    pub const fn get_mut(&mut self, state: JobState) -> &mut u64 {
        match state {
            JobState::Waiting => &mut self.waiting,
            JobState::Queued => &mut self.queued,
            JobState::Running => &mut self.running,
            JobState::Placing => &mut self.placing,
            JobState::Succeeded => &mut self.succeeded,
            JobState::Failed => &mut self.failed,
            JobState::Skipped => &mut self.skipped,
            JobState::Cancelled => &mut self.cancelled,
        }
    }

    /// Jobs in all states together.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.waiting
            + self.queued
            + self.running
            + self.placing
            + self.succeeded
            + self.failed
            + self.skipped
            + self.cancelled
    }
}

/// One job, as `jobs --json` prints it and the queue pane shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobView {
    /// Its number.
    pub id: JobId,
    /// The run that it belongs to.
    pub run: RunId,
    /// Name of its task.
    pub task: String,
    /// Kind of work, for example `extract`.
    pub action: String,
    /// Where it is in its life.
    pub state: JobState,
    /// Absolute path as landed, URL or slot time; escaped text.
    pub input: String,
    /// The input's bytes in base64, only where they are not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_b64: Option<String>,
    /// Executions so far; 0 before the first.
    pub attempt: i64,
    /// Executions charged to the budget.
    pub spent: u32,
    /// The budget.
    pub max_attempts: u32,
    /// When it entered the queue.
    pub created_at: String,
    /// When its last attempt started.
    pub started_at: Option<String>,
    /// When it was over.
    pub finished_at: Option<String>,
    /// Length of the last attempt in milliseconds; while running, so far.
    pub duration_ms: Option<u64>,
    /// Not before this time, for a waiting job.
    #[serde(default)]
    pub not_before: Option<String>,
    /// Records read.
    pub rows: Option<u64>,
    /// Records written.
    #[serde(default)]
    pub rows_out: Option<u64>,
    /// Records that were set aside.
    #[serde(default)]
    pub rejected: u64,
    /// Size of the input in bytes.
    pub bytes_in: Option<u64>,
    /// Size of the outputs in bytes.
    pub bytes_out: Option<u64>,
    /// Absolute final paths of the outputs; escaped text.
    pub outputs: Vec<String>,
    /// Why the last attempt failed, if it did and the job has not succeeded since.
    pub error: Option<Failure>,
    /// Why it is held, where it is: a lane, a pause, a permission.
    #[serde(default)]
    pub held: Option<String>,
    /// Whether an attempt may have had effects outside more than once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub maybe_repeated: bool,
    /// Reason given when it was skipped or cancelled.
    #[serde(default)]
    pub reason: Option<String>,
    /// Rises whenever the job changes.
    #[serde(default)]
    pub rev: i64,
    /// The host that it calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Status of the last HTTP answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// From the dial to the head of that answer, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// Requests that the last attempt sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u32>,
    /// Whether the body came out of the cache.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cached: bool,
    /// Whether it puts the other jobs of its run into the queue.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_plan: bool,
}

impl JobView {
    /// Whether it waits after a failed attempt: shown as `retry`.
    #[must_use]
    pub const fn is_retry(&self) -> bool {
        matches!(self.state, JobState::Waiting) && self.spent > 0
    }
}

/// One execution of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptView {
    /// Its number, from 1.
    pub n: i64,
    /// Name of the node that ran it.
    pub node: String,
    /// When it started.
    pub started_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
    /// Its length in milliseconds.
    pub duration_ms: Option<u64>,
    /// How it ended: `succeeded`, `failed`, `retry`, `held`, `put_back`, `interrupted`, `skipped`, `cancelled`, or none
    /// while it runs.
    pub outcome: Option<String>,
    /// Class of its failure.
    pub class: Option<FailureClass>,
    /// Exit code, for a command.
    pub exit: Option<i64>,
    /// Whether it was charged to the budget.
    pub charged: bool,
    /// Its failure.
    pub error: Option<Failure>,
    /// Hash of the configuration that it ran with.
    pub config_hash: String,
    /// The first lines of its own output.
    pub output: Option<String>,
    /// Where the rest of its output lies, escaped text.
    pub output_file: Option<String>,
}

/// A file of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileView {
    /// `in`, `out`, `processed`, `failed` or `record`.
    pub role: String,
    /// Absolute path, escaped text.
    pub path: String,
    /// Size in bytes, where known.
    pub size: Option<u64>,
    /// When it was recorded.
    pub at: String,
}

/// What an operator did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionView {
    /// When.
    pub at: String,
    /// User id on this host.
    pub uid: u32,
    /// User name, where it is known.
    pub user: Option<String>,
    /// `retry`, `skip`, `cancel`, `pause`, …
    pub kind: String,
    /// The filter or the task it was about.
    pub filter: Option<String>,
    /// The reason given.
    pub reason: Option<String>,
}

/// Failures with the same cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CauseView {
    /// Its number.
    pub id: CauseId,
    /// The constant part of the message.
    pub text: String,
    /// When it was first seen.
    pub first_at: String,
    /// When it was last seen.
    pub last_at: String,
    /// Failed jobs that have it now.
    pub open: u64,
    /// Failures that had it, ever.
    pub total: u64,
}

/// Everything about one job: `show`, and the details pane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobDetail {
    /// The job.
    pub job: JobView,
    /// Its attempts, oldest first.
    pub attempts: Vec<AttemptView>,
    /// Its files.
    pub files: Vec<FileView>,
    /// The first records that were set aside, where it succeeded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejects: Vec<Detail>,
    /// What the open failures share.
    pub cause: Option<CauseView>,
    /// What operators did to it, oldest first.
    pub actions: Vec<ActionView>,
    /// Why it is not running, one reason a line; empty when it runs or is over.
    pub why: Vec<String>,
    /// Its run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunView>,
}

/// One page of the job list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JobsPage {
    /// The rows: rank first, then newest first.
    pub jobs: Vec<JobView>,
    /// Pass as `after` for the next page; none at the end.
    pub next: Option<String>,
    /// Rows that match the filter, exact up to [`JobsPage::COUNT_MAX`].
    pub matching: u64,
    /// Whether `matching` was cut off at the bound.
    pub more: bool,
    /// The revision that this page shows.
    pub rev: i64,
}

impl JobsPage {
    /// Matching rows are counted up to here; beyond it the count says "more than".
    pub const COUNT_MAX: u64 = 10_000;
}

/// A task, for the screen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskView {
    /// Its name.
    pub name: String,
    /// `watch`, `after` or `manual`.
    pub trigger: String,
    /// What it watches or waits for, in words that follow the trigger; empty for one that an operator starts.
    pub source: String,
    /// Kind of work.
    pub action: String,
    /// Jobs by state.
    pub counts: Counts,
    /// Most jobs that run at once.
    pub concurrency: u32,
    /// Who paused it, and when, if it is paused.
    pub paused: Option<Paused>,
    /// Whether a reload removed it while jobs were left.
    pub removed: bool,
    /// Files that are settling now.
    #[serde(default)]
    pub settling: u64,
}

/// A pause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// User name or number.
    pub by: String,
    /// Since when.
    pub at: String,
}

/// How grave a banner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gravity {
    /// Something is broken and needs a person.
    Error,
    /// Something is held back or degraded.
    Warning,
    /// Good to know.
    Info,
}

/// A line under the header: what is held, paused or degraded, why, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Banner {
    /// How grave it is.
    pub gravity: Gravity,
    /// Stable code, for example `store_full`, `paused`, `reload_failed`.
    pub code: String,
    /// What is the matter, in one line.
    pub text: String,
    /// Since when.
    pub since: Option<String>,
}

/// A file in a watched folder that no task takes, or that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedFile {
    /// Absolute path, escaped text.
    pub path: String,
    /// Why it stays: `no task matches`, `not a regular file`, `temporary name`, `permission denied`.
    pub reason: String,
}

/// Files that stay where they are, counted; the first few are named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// How many there are.
    pub count: u64,
    /// The first [`Listed::MAX`].
    pub files: Vec<ListedFile>,
}

impl Listed {
    /// Most files named; the rest are only counted.
    pub const MAX: usize = 100;
}

/// The whole state in one screenful: `status --json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// `running`, `draining` or `stopped`.
    pub state: String,
    /// Process id of the supervisor; none when it is stopped.
    pub pid: Option<u32>,
    /// Version of the program.
    pub version: String,
    /// Version of the API.
    pub api: u32,
    /// How long the supervisor has been running, in milliseconds.
    pub uptime_ms: u64,
    /// Path of its socket, escaped text.
    pub socket: String,
    /// Jobs by state.
    pub counts: Counts,
    /// The tasks, in the order of the configuration.
    pub tasks: Vec<TaskView>,
    /// Name of the host.
    #[serde(default)]
    pub host: String,
    /// Path of the configuration file, escaped text.
    #[serde(default)]
    pub config: String,
    /// What is held, paused or degraded.
    #[serde(default)]
    pub banners: Vec<Banner>,
    /// What the machine does.
    #[serde(default)]
    pub gauges: Gauges,
    /// How much work flows.
    #[serde(default)]
    pub throughput: Throughput,
    /// Files that no task takes.
    #[serde(default)]
    pub listed: Listed,
    /// How far running jobs are, as far as they tell; the first so many.
    #[serde(default)]
    pub progress: Vec<ProgressView>,
    /// Who paused everything, and when.
    #[serde(default)]
    pub paused: Option<Paused>,
    /// Age of the oldest queued job in milliseconds.
    #[serde(default)]
    pub oldest_queued_ms: Option<u64>,
    /// Hosts that jobs call; see [`Tick::hosts`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostView>,
    /// The supervisor's clock.
    #[serde(default)]
    pub now: String,
    /// The revision that this shows.
    #[serde(default)]
    pub rev: i64,
}

/// What a bulk action did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Jobs that it was done to.
    pub done: Vec<JobId>,
    /// Jobs that it was not done to, and why.
    pub refused: Vec<Refused>,
}

/// A job that an action was not done to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The job.
    pub id: JobId,
    /// Why.
    pub reason: String,
}

/// A filter frozen at a revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Its number.
    pub id: SelectionId,
    /// Jobs that match.
    pub count: u64,
    /// The inputs of the first three.
    pub names: Vec<String>,
    /// The revision it was taken at.
    pub rev: i64,
}

/// What a manual start put into the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Triggered {
    /// The run.
    pub run: RunId,
    /// Its jobs.
    pub jobs: Vec<JobId>,
}

/// The outcome of `run --until-idle`: its last line on stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Jobs executed here that succeeded.
    pub succeeded: u64,
    /// Jobs executed here that failed.
    pub failed: u64,
    /// Jobs skipped meanwhile.
    pub skipped: u64,
    /// Jobs cancelled meanwhile.
    pub cancelled: u64,
    /// Jobs left waiting.
    pub waiting: u64,
    /// Jobs left queued.
    pub queued: u64,
}

/// Free-form facts that `doctor` prints.
pub type Facts = BTreeMap<String, String>;

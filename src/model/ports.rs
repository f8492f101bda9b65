//! The ports that the parts meet at. The runtime implements them, the control server and the triggers use them.

use super::action::{BoxFuture, Level};
use super::view::{
    AlertsView, Done, InputView, JobDetail, JobsPage, LogsPage, Paused, SchedulesPage, Selection, Status, TestedView,
    Tick, Triggered, WhyView,
};
use super::{Filter, JobId, SelectionId};
use std::fmt;
use std::path::PathBuf;

/// Why a request was not done. Its code is stable; the hint says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status that fits: 400, 403, 404, 409 or 503.
    pub status: u16,
    /// Stable code, for example `unknown_job`.
    pub code: String,
    /// What is the matter.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Refusal {
    /// A refusal with a status, a code and a message.
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into(), hint: None }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

/// The answer of a port.
pub type Answer<T> = BoxFuture<Result<T, Refusal>>;

/// Who asks, as the kernel of this host tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actor {
    /// User id of the peer.
    pub uid: u32,
}

/// What to read of the job list.
#[derive(Clone, Debug, Default)]
pub struct JobsQuery {
    /// Which jobs.
    pub filter: Filter,
    /// Where the last page ended.
    pub after: Option<String>,
    /// Most rows; none = all.
    pub limit: Option<u32>,
    /// Only jobs that changed after this revision.
    pub since_rev: Option<i64>,
}

/// What to read of the log.
#[derive(Clone, Debug, Default)]
pub struct LogsQuery {
    /// Lines of one job.
    pub job: Option<JobId>,
    /// Lines of one task.
    pub task: Option<String>,
    /// This level and graver.
    pub level: Option<Level>,
    /// Substring of the message.
    pub search: Option<String>,
    /// Where to go on; none = the last `limit` lines.
    pub from: Option<u64>,
    /// Most lines.
    pub limit: u32,
}

/// Reads. Never blocks the caller's thread, never writes.
pub trait Reader: Send + Sync {
    /// The whole state in one screenful.
    fn status(&self) -> Answer<Status>;
    /// A page of the job list.
    fn jobs(&self, query: JobsQuery) -> Answer<JobsPage>;
    /// Everything about one job.
    fn job(&self, id: JobId) -> Answer<JobDetail>;
    /// Lines of a job's input around `line` (1-based), `context` on each side.
    fn input(&self, id: JobId, line: u64, context: u32) -> Answer<InputView>;
    /// The jobs that a path belonged to, as input or output.
    fn file(&self, path: PathBuf) -> Answer<JobsPage>;
    /// A page of the log.
    fn logs(&self, query: LogsQuery) -> Answer<LogsPage>;
    /// The tasks with a schedule: their next times and last runs.
    fn schedules(&self) -> Answer<SchedulesPage>;
    /// What people outside were told, and what waits to be told.
    fn alerts(&self) -> Answer<AlertsView>;
    /// The newest tick, and a way to wait for the next one.
    fn ticks(&self) -> Box<dyn Ticks>;
}

/// A subscription to the tick stream. A slow reader misses ticks, never delays them: each holds whole values.
pub trait Ticks: Send {
    /// The next tick; none when the supervisor has stopped.
    fn next(&mut self) -> BoxFuture2<'_, Option<Tick>>;
}

/// A boxed future that borrows.
pub type BoxFuture2<'a, T> = std::pin::Pin<Box<dyn std::future::Future<Output = T> + Send + 'a>>;

/// Which jobs an action is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// These.
    Jobs(Vec<JobId>),
    /// Every job of a selection that still matches and has not changed since it was taken.
    Selection(SelectionId),
}

/// Operator actions. Each is durable before it is answered.
pub trait Commands: Send + Sync {
    /// Freezes a filter for a bulk action.
    fn select(&self, actor: Actor, filter: Filter) -> Answer<Selection>;
    /// Puts failed (or waiting) jobs back into the queue at once, with a fresh budget.
    fn retry(&self, actor: Actor, target: Target) -> Answer<Done>;
    /// Sets jobs aside, with a reason.
    fn skip(&self, actor: Actor, target: Target, reason: String) -> Answer<Done>;
    /// Withdraws jobs; running ones are stopped.
    fn cancel(&self, actor: Actor, target: Target) -> Answer<Done>;
    /// Starts a task by hand, on a copy of `input` if one is given.
    fn trigger(&self, actor: Actor, task: String, input: Option<PathBuf>) -> Answer<Triggered>;
    /// Stops claiming jobs of a task, or of all tasks.
    fn pause(&self, actor: Actor, task: Option<String>) -> Answer<Paused>;
    /// Claims them again.
    fn resume(&self, actor: Actor, task: Option<String>) -> Answer<()>;
    /// Reads the configuration again; a bad file keeps the old one live. Answers what changed, in words.
    fn reload(&self, actor: Actor) -> Answer<Vec<String>>;
    /// Drains and stops; `now`: running jobs become interrupted.
    fn stop(&self, actor: Actor, now: bool) -> Answer<()>;
    /// Drains, then starts this program again with the same arguments.
    fn restart(&self, actor: Actor) -> Answer<()>;
    /// Sends a message to a channel, or to all of them, and answers what came of it.
    fn alert_test(&self, actor: Actor, channel: Option<String>) -> Answer<Vec<TestedView>>;
}

/// Why things do not run.
pub trait Explain: Send + Sync {
    /// Why a job is not running.
    fn why_job(&self, id: JobId) -> Answer<WhyView>;
    /// Why a task is not running.
    fn why_task(&self, task: String) -> Answer<WhyView>;
}

/// The way to start tasks and threads; `runtime/spawn.rs` implements it.
pub trait Spawner: Send + Sync {
    /// Starts a task that is waited for at the end.
    fn task(&self, name: &'static str, work: BoxFuture<()>);
    /// Starts a thread of its own for work that blocks for long.
    fn thread(&self, name: String, work: Box<dyn FnOnce() + Send + 'static>);
    /// Runs short blocking work on the shared pool.
    fn blocking(&self, work: Box<dyn FnOnce() + Send + 'static>);
}

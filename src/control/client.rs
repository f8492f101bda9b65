//! The client of the control socket: what the command line and the dashboard ask a supervisor through.
//!
//! Every call opens a connection of its own, so a call that is given up leaves nothing behind, and every call ends:
//! with an answer, or with an error when its deadline passes. The client starts no tasks. It never takes "permission
//! denied" for "not running": starting a second supervisor because the first is out of reach would be wrong.
//!
//! [`Client`] implements the ports of [`crate::model::ports`], so that code written against them does not know
//! whether it talks to a socket or to the database.

mod exchange;
mod ports;
mod stream;

pub use stream::{Events, LogEvents};

use super::wire::{
    ActBody, ErrorBody, PAGE_MAX, PEER_REFUSED, ReloadAnswer, SelectBody, StopBody, TriggerBody, UNKNOWN_ROUTE,
};
use crate::error::{Exit, Fatal};
use crate::model::ports::{JobsQuery, LogsQuery, Refusal, Target};
use crate::model::view::{
    AlertsView, Done, InputView, JobDetail, JobsPage, LogsPage, Paused, SchedulesPage, Selection, Status, TestedView,
    Triggered, WhyView,
};
use crate::model::{JobId, text};
use base64::Engine as _;
use exchange::{Exchange, Params};
use hyper::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for a connection; a supervisor accepts within milliseconds.
pub const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Longest wait for the answer to a question.
pub const READ_MAX: Duration = Duration::from_secs(30);
/// Longest wait for the answer to an operator action: a bulk action takes its rows in chunks, a manual start copies
/// its input.
pub const ACT_MAX: Duration = Duration::from_secs(600);
/// Longest silence on an event stream, three heartbeats of the server; after it the supervisor counts as gone.
pub const SILENCE_MAX: Duration = Duration::from_secs(45);
/// Largest answer accepted, in bytes; a larger one is an error.
pub const ANSWER_MAX: usize = 64 * 1024 * 1024;

/// Code of the refusal that stands for [`ClientError::NotRunning`].
pub const NOT_RUNNING: &str = "not_running";

/// Why a call did not bring an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there: no socket, or one left behind.
    #[error("no supervisor is running: {}", text::path(.socket))]
    NotRunning {
        /// The socket that was tried.
        socket: PathBuf,
    },
    /// Somebody may listen there, but not to us.
    #[error("permission denied: {}", text::path(.socket))]
    PermissionDenied {
        /// The socket that was tried.
        socket: PathBuf,
    },
    /// Somebody answers, and not in our version of the API.
    #[error("the supervisor speaks another version of the API: {detail}")]
    Incompatible {
        /// What was not understood.
        detail: String,
    },
    /// The supervisor understood and refused.
    #[error("{0}")]
    Refused(Refusal),
    /// The conversation broke off.
    #[error("cannot {doing}: {cause}")]
    Broken {
        /// What was being done.
        doing: &'static str,
        /// What went wrong.
        cause: String,
    },
}

impl ClientError {
    /// Whether the supervisor is not there, as opposed to there and unwilling or out of reach.
    #[must_use]
    pub const fn is_not_running(&self) -> bool {
        matches!(self, Self::NotRunning { .. })
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotRunning { .. } => {
                Some("start it with `shiftboss run`, or open the dashboard with `shiftboss`".into())
            }
            Self::PermissionDenied { .. } => {
                Some("run as the supervisor's user, or join the group named by `group` in `[control]`".into())
            }
            Self::Incompatible { .. } => Some("restart the supervisor, so that both run the same version".into()),
            Self::Refused(refusal) => refusal.hint.clone(),
            Self::Broken { .. } => None,
        }
    }
}

impl From<ClientError> for Refusal {
    fn from(error: ClientError) -> Self {
        let (status, code) = match &error {
            ClientError::NotRunning { .. } => (503, NOT_RUNNING),
            ClientError::PermissionDenied { .. } => (403, "permission_denied"),
            ClientError::Incompatible { .. } => (503, "incompatible"),
            ClientError::Broken { .. } => (503, "connection_broken"),
            ClientError::Refused(refusal) => return refusal.clone(),
        };
        Self { status, code: code.to_owned(), message: error.to_string(), hint: error.hint() }
    }
}

impl From<ClientError> for Fatal {
    fn from(error: ClientError) -> Self {
        let exit = if error.is_not_running() { Exit::Unavailable } else { Exit::Failed };
        let fatal = Self::new(exit, error.to_string());
        match error.hint() {
            Some(hint) => fatal.hint(hint),
            None => fatal,
        }
    }
}

/// A client of one socket. Cheap to clone; holds no connection.
#[derive(Clone, Debug)]
pub struct Client {
    socket: Arc<Path>,
}

impl Client {
    /// A client of the Unix socket at `path`. Nothing is opened yet.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self { socket: path.into().into() }
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Whether a supervisor is there that we may talk to and understand.
    pub async fn probe(&self) -> Result<(), ClientError> {
        self.status().await.map(|_| ())
    }

    /// The whole state in one screenful.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.get("status", Params::new()).await
    }

    /// A page of the job list. More rows than a page holds are fetched page by page: a job that changes its place
    /// meanwhile may be missing or appear twice, so who needs all rows exactly asks for pages and `since_rev`.
    pub async fn jobs(&self, query: &JobsQuery) -> Result<JobsPage, ClientError> {
        let mut wanted = query.limit.unwrap_or(u32::MAX);
        let mut after = query.after.clone();
        let mut all: Option<JobsPage> = None;
        loop {
            let params = Params::new()
                .some("q", Some(query.filter.to_string()).filter(|q| !q.is_empty()))
                .some("after", after.as_deref())
                .some("since_rev", query.since_rev)
                .some("limit", Some(wanted.min(PAGE_MAX)));
            let page: JobsPage = self.get("jobs", params).await?;
            wanted = wanted.saturating_sub(u32::try_from(page.jobs.len()).unwrap_or(u32::MAX));
            let is_last = page.next.is_none() || page.jobs.is_empty() || wanted == 0;
            after.clone_from(&page.next);
            let sum = match all.take() {
                None => page,
                Some(mut sum) => {
                    sum.jobs.extend(page.jobs);
                    sum.next = page.next;
                    sum
                }
            };
            if is_last {
                return Ok(sum);
            }
            all = Some(sum);
        }
    }

    /// Everything about one job.
    pub async fn job(&self, id: JobId) -> Result<JobDetail, ClientError> {
        self.get(&format!("jobs/{id}"), Params::new()).await
    }

    /// Lines of a job's input around `line` (1-based), `context` on each side.
    pub async fn input(&self, id: JobId, line: u64, context: u32) -> Result<InputView, ClientError> {
        let params = Params::new().some("line", Some(line)).some("context", Some(context));
        self.get(&format!("jobs/{id}/input"), params).await
    }

    /// The jobs that a path belonged to, as input or output.
    pub async fn file(&self, path: &Path) -> Result<JobsPage, ClientError> {
        let params = match path.to_str() {
            Some(path) => Params::new().some("path", Some(path)),
            None => Params::new().some("path_b64", Some(base64(path))),
        };
        self.get("files", params).await
    }

    /// A page of the log.
    pub async fn logs(&self, query: &LogsQuery) -> Result<LogsPage, ClientError> {
        self.get("logs", log_params(query)).await
    }

    /// The tasks with a schedule: their next times and last runs.
    pub async fn schedules(&self) -> Result<SchedulesPage, ClientError> {
        self.get("schedule", Params::new()).await
    }

    /// The tick stream.
    pub async fn events(&self) -> Result<Events, ClientError> {
        self.exchange().stream("events", Params::new()).await.map(Events::new)
    }

    /// The log as it grows, from `query.from` or its last `query.limit` lines on.
    pub async fn log_events(&self, query: &LogsQuery) -> Result<LogEvents, ClientError> {
        self.exchange().stream("logs/stream", log_params(query)).await.map(LogEvents::new)
    }

    /// Freezes a filter, in the grammar of [`crate::model::Filter`], for a bulk action.
    pub async fn select(&self, q: &str) -> Result<Selection, ClientError> {
        self.post("selections", &SelectBody { q: q.to_owned() }).await
    }

    /// Puts jobs back into the queue.
    pub async fn retry(&self, target: Target) -> Result<Done, ClientError> {
        self.act("retry", target, None).await
    }

    /// Sets jobs aside.
    pub async fn skip(&self, target: Target, reason: impl Into<String>) -> Result<Done, ClientError> {
        self.act("skip", target, Some(reason.into())).await
    }

    /// Withdraws jobs.
    pub async fn cancel(&self, target: Target) -> Result<Done, ClientError> {
        self.act("cancel", target, None).await
    }

    /// Starts a task by hand, on a copy of `input` if one is given.
    pub async fn trigger(&self, task: &str, input: Option<PathBuf>) -> Result<Triggered, ClientError> {
        let body = TriggerBody { input_b64: input.as_deref().map(base64) };
        self.post(&format!("tasks/{}/trigger", exchange::encode(task)), &body).await
    }

    /// Stops claiming jobs of a task, or of all tasks.
    pub async fn pause(&self, task: Option<&str>) -> Result<Paused, ClientError> {
        self.post(&of_task(task, "pause"), &Empty {}).await
    }

    /// Claims them again.
    pub async fn resume(&self, task: Option<&str>) -> Result<(), ClientError> {
        self.post(&of_task(task, "resume"), &Empty {}).await.map(|Empty {}| ())
    }

    /// Reads the configuration again; answers what changed, in words.
    pub async fn reload(&self) -> Result<Vec<String>, ClientError> {
        self.post("reload", &Empty {}).await.map(|answer: ReloadAnswer| answer.changes)
    }

    /// Drains and stops; `now`: running jobs become interrupted. Answered when the stop has begun.
    pub async fn stop(&self, now: bool) -> Result<(), ClientError> {
        self.post("stop", &StopBody { now }).await.map(|Empty {}| ())
    }

    /// Drains, then starts the supervisor again. Answered when the drain has begun.
    pub async fn restart(&self) -> Result<(), ClientError> {
        self.post("restart", &Empty {}).await.map(|Empty {}| ())
    }

    /// What people outside were told, and what waits to be told.
    pub async fn alerts(&self) -> Result<AlertsView, ClientError> {
        self.get("alerts", Params::new()).await
    }

    /// Sends a message to a channel, or to all of them, and answers what came of it.
    pub async fn alert_test(&self, channel: Option<&str>) -> Result<Vec<TestedView>, ClientError> {
        let path = channel.map_or_else(|| "alerts/test".into(), |c| format!("alerts/{}/test", exchange::encode(c)));
        self.post(&path, &Empty {}).await
    }

    /// Why a job is not running.
    pub async fn why_job(&self, id: JobId) -> Result<WhyView, ClientError> {
        self.get("why", Params::new().some("job", Some(id))).await
    }

    /// Why a task is not running.
    pub async fn why_task(&self, task: &str) -> Result<WhyView, ClientError> {
        self.get("why", Params::new().some("task", Some(task))).await
    }

    async fn act(&self, verb: &str, target: Target, reason: Option<String>) -> Result<Done, ClientError> {
        match target {
            Target::Jobs(ids) => self.post(&format!("jobs/{verb}"), &ActBody { ids, reason }).await,
            Target::Selection(id) => {
                self.post(&format!("selections/{id}/{verb}"), &ActBody { ids: Vec::new(), reason }).await
            }
        }
    }

    fn exchange(&self) -> Exchange<'_> {
        Exchange { socket: &self.socket }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, params: Params) -> Result<T, ClientError> {
        let (status, body) = self.exchange().answer(Method::GET, path, params, None, READ_MAX).await?;
        self.read(status, &body)
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body)
            .map_err(|e| ClientError::Broken { doing: "write the request", cause: e.to_string() })?;
        let (status, body) = self.exchange().answer(Method::POST, path, Params::new(), Some(body), ACT_MAX).await?;
        self.read(status, &body)
    }

    fn read<T: DeserializeOwned>(&self, status: StatusCode, body: &[u8]) -> Result<T, ClientError> {
        if !status.is_success() {
            return Err(refused(&self.socket, status, body));
        }
        serde_json::from_slice(body).map_err(|e| ClientError::Incompatible { detail: e.to_string() })
    }
}

/// The empty object, as body and as answer. Fields that a later version adds are ignored.
#[derive(Serialize, serde::Deserialize)]
struct Empty {}

/// The error that a status other than success stands for.
fn refused(socket: &Path, status: StatusCode, body: &[u8]) -> ClientError {
    let Ok(ErrorBody { error }) = serde_json::from_slice(body) else {
        return ClientError::Incompatible { detail: format!("status {} without an error body", status.as_u16()) };
    };
    match error.code.as_str() {
        PEER_REFUSED => ClientError::PermissionDenied { socket: socket.to_path_buf() },
        UNKNOWN_ROUTE => ClientError::Incompatible { detail: error.message },
        _ => ClientError::Refused(Refusal {
            status: status.as_u16(),
            code: error.code,
            message: error.message,
            hint: error.hint,
        }),
    }
}

fn of_task(task: Option<&str>, verb: &str) -> String {
    match task {
        Some(task) => format!("tasks/{}/{verb}", exchange::encode(task)),
        None => verb.to_owned(),
    }
}

fn log_params(query: &LogsQuery) -> Params {
    Params::new()
        .some("job", query.job)
        .some("task", query.task.as_deref())
        .some("level", query.level.map(crate::model::action::Level::name))
        .some("q", query.search.as_deref())
        .some("from", query.from)
        .some("limit", Some(query.limit))
}

fn base64(path: &Path) -> String {
    base64::engine::general_purpose::STANDARD.encode(path.as_os_str().as_bytes())
}

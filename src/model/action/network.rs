//! The ports of work on the network: who may send a request to a host now, what answers are kept, and what a call came to.

use super::BoxFuture;
use crate::model::{Failure, Millis};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Code of a failure that means: the host takes no request before [`Failure::not_before`]. The job waits, uncharged.
pub const HOST_CLOSED: &str = "host_closed";

/// Name of a host in limits and lanes: what stands in a URL between `//` and the path, in lower case, without the port if
/// it is the usual one of its scheme and without user name. For example `api.example.com` or `127.0.0.1:8080`.
pub type HostName = Arc<str>;

/// So many requests in a time, spread evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// Requests; at least 1.
    pub count: u32,
    /// In this time; longer than zero.
    pub per: Duration,
}

impl Rate {
    /// Time between two requests.
    #[must_use]
    pub fn interval(self) -> Duration {
        self.per / self.count.max(1)
    }
}

/// What a task allows itself towards one host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HostLimits {
    /// Most requests under way at once, from the dial to the last byte of the answer.
    pub concurrency: u32,
    /// Most requests in a time; none = no limit.
    pub rate: Option<Rate>,
    /// Retries that each first try pays for, for example 0.1.
    pub retry_ratio: f64,
    /// Retries that come on top of that, at this rate, so that a host that fails always is tried at all.
    pub retry_floor: Rate,
    /// Failures in a row that open the circuit breaker; 0 = never.
    pub breaker_after: u32,
}

impl HostLimits {
    /// Requests under way at once, where the configuration does not say.
    pub const CONCURRENCY: u32 = 8;
    /// Share of retries, where the configuration does not say.
    pub const RETRY_RATIO: f64 = 0.1;
    /// Retries beside that share, where the configuration does not say.
    pub const RETRY_FLOOR: Rate = Rate { count: 1, per: Duration::from_secs(2) };
    /// Failures in a row, where the configuration does not say.
    pub const BREAKER_AFTER: u32 = 10;
}

impl Default for HostLimits {
    fn default() -> Self {
        Self {
            concurrency: Self::CONCURRENCY,
            rate: None,
            retry_ratio: Self::RETRY_RATIO,
            retry_floor: Self::RETRY_FLOOR,
            breaker_after: Self::BREAKER_AFTER,
        }
    }
}

/// How a request ended, as far as its host is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The host answered as a host in good health does, an answer such as 404 included.
    Good {
        /// From the dial to the head of the answer.
        latency: Duration,
    },
    /// It could not be reached, did not answer in time, broke off, or answered 5xx or 408.
    Bad,
    /// It asked to be left alone until this time (`Retry-After`), or answered 429 without a time.
    Busy {
        /// Until when, if it said so.
        until: Option<Millis>,
        /// Status of the answer.
        status: u16,
    },
    /// Given up before it was known: a stop, or a fault on this side.
    Abandoned,
}

/// One request that may be sent. Dropping it without [`Pass::end`] ends it as [`Ending::Abandoned`].
pub struct Pass {
    end: Option<Box<dyn FnOnce(Ending) + Send>>,
}

impl Pass {
    /// A pass; `end` is called exactly once.
    #[must_use]
    pub fn new(end: Box<dyn FnOnce(Ending) + Send>) -> Self {
        Self { end: Some(end) }
    }

    /// The request is over, the body of its answer included.
    pub fn end(mut self, ending: Ending) {
        if let Some(end) = self.end.take() {
            end(ending);
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            end(Ending::Abandoned);
        }
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pass")
    }
}

/// The gate before every request, common to all jobs. It guarantees that a host never has more requests under way, or in
/// a time, than the task that sends them allows; that nobody calls a host that asked to be left alone; and that of a host
/// that fails only one probe at a time is sent until one succeeds.
pub trait Hosts: Send + Sync {
    /// Waits for a turn. An error with the code [`HOST_CLOSED`] and a time: the host is closed for longer than a job should
    /// hold its place, so the job waits in the queue.
    fn enter(&self, host: &HostName, limits: &HostLimits) -> BoxFuture<Result<Pass, Failure>>;

    /// Books a retry of a failed job and answers when it may run at the earliest, by the retry budget of the host.
    fn book_retry(&self, host: &HostName, limits: &HostLimits) -> Millis;
}

/// Names an answer in the cache: a hash of method, URL, the headers that matter and who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AnswerKey(pub [u8; 32]);

/// What is remembered of an answer beside its body.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerFacts {
    /// Status of the answer.
    pub status: u16,
    /// When it came, or was last said to be still right: milliseconds UTC.
    pub at: i64,
    /// The validator `ETag`.
    pub etag: Option<String>,
    /// The validator `Last-Modified`.
    pub last_modified: Option<String>,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Link`, for the next page.
    pub link: Option<String>,
}

/// An answer from the cache.
#[derive(Debug)]
pub struct CachedAnswer {
    /// What is remembered of it.
    pub facts: AnswerFacts,
    /// Its body, decoded, open for reading at its beginning; its hash was compared.
    pub body: File,
    /// Size of the body in bytes.
    pub size: u64,
}

/// Answers that were fetched before. Every call blocks: from a thread for blocking work.
pub trait AnswerCache: Send + Sync {
    /// The answer with this key. One whose body is gone or damaged is forgotten, not served.
    fn get(&self, key: &AnswerKey) -> Option<CachedAnswer>;

    /// Keeps an answer, whose body is the whole content of this file, in the place of an earlier one. The oldest ones go
    /// where there is not room for all.
    fn put(&self, key: &AnswerKey, facts: &AnswerFacts, body: &Path) -> std::io::Result<()>;

    /// The answer is still right (304): new facts, the same body.
    fn confirm(&self, key: &AnswerKey, facts: &AnswerFacts) -> std::io::Result<()>;
}

/// What the calls of one attempt came to, for the row of its job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Status of the last answer, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// From the dial of the last request to the head of its answer, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// Requests sent: redirects and pages count.
    pub requests: u32,
    /// Bytes of bodies received, decoded.
    pub bytes: u64,
    /// The body came out of the cache: it was fresh, or the other side said 304.
    #[serde(default)]
    pub cached: bool,
}

/// One of the many inputs that a run becomes jobs of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The input as shown and as handed to the attempt: a URL. Holds no secret.
    pub input: String,
    /// Its lane: the host.
    pub lane: HostName,
}

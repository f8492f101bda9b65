//! What travels on the control socket beside the views of [`crate::model::view`]. Golden files pin it.

use crate::model::{Filter, JobId};
use serde::{Deserialize, Serialize};

/// Version of the API; the path prefix is `/v1`.
pub const API: u32 = 1;
/// Longest request body accepted, in bytes; more is refused with 413.
pub const BODY_MAX: usize = 1024 * 1024;
/// Most jobs in one page; a larger `limit` is cut to it.
pub const PAGE_MAX: u32 = 1000;
/// Most connections at once; a further one is closed at once.
pub const CONNECTIONS_MAX: usize = 64;

/// Code of the error that a peer gets who is not admitted.
pub const PEER_REFUSED: &str = "peer_refused";
/// Code of the error for a path that the server does not know.
pub const UNKNOWN_ROUTE: &str = "unknown_route";

/// An error answer: `{"error": {"code", "message", "hint"}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorInfo,
}

/// What is the matter, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorInfo {
    /// Stable code.
    pub code: String,
    /// What is the matter.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Body of `POST selections`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelectBody {
    /// The filter, in the grammar of [`Filter`].
    pub q: String,
}

/// Body of `POST jobs/retry|skip|cancel` for several jobs at once, and of `…/skip` for one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActBody {
    /// The jobs; empty where the path names one.
    #[serde(default)]
    pub ids: Vec<JobId>,
    /// Why; required for skip.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Body of `POST tasks/{name}/trigger`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TriggerBody {
    /// A file to work on a copy of, as bytes in base64 so that any name passes.
    #[serde(default)]
    pub input_b64: Option<String>,
}

/// Body of `POST stop`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopBody {
    /// Do not drain.
    #[serde(default)]
    pub now: bool,
}

/// Answer of `POST reload`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadAnswer {
    /// What changed, in words.
    pub changes: Vec<String>,
}

/// Parses the filter of a query string; the empty text matches everything.
pub fn filter(q: Option<&str>) -> Result<Filter, crate::model::FilterError> {
    Filter::parse(q.unwrap_or(""))
}

//! The log as a client reads it.

use crate::model::JobId;
use crate::model::action::Level;
use serde::{Deserialize, Serialize};

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Its place in the log: rises by at least 1.
    pub seq: u64,
    /// When, RFC 3339.
    pub at: String,
    /// How grave.
    pub level: Level,
    /// The task that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The job that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// The part of the supervisor that said it, for its own lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// What was said; escaped text.
    pub message: String,
}

/// A page of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogsPage {
    /// The lines, oldest first.
    pub lines: Vec<LogLine>,
    /// Pass as `from` to go on.
    pub next: u64,
    /// Lines that were dropped before the first one because the reader was too slow or the log was cut.
    pub gap: u64,
}

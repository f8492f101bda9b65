//! What people outside were told, and what waits to be told, as it is shown.

use serde::{Deserialize, Serialize};

/// The alerts in one screenful.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AlertsView {
    /// What is open, the gravest and newest first; at most [`AlertsView::CAUSES_MAX`].
    pub open: Vec<OpenCause>,
    /// The channels, in the order of the configuration.
    pub channels: Vec<ChannelView>,
    /// The newest messages, newest first; at most [`AlertsView::MESSAGES_MAX`].
    pub messages: Vec<OutboxView>,
}

impl AlertsView {
    /// Most open causes listed.
    pub const CAUSES_MAX: usize = 200;
    /// Most messages listed.
    pub const MESSAGES_MAX: usize = 100;
}

/// Something that is wrong, once for all that have it in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OpenCause {
    /// `error` or `warning`.
    pub severity: String,
    /// The task; empty for the supervisor itself.
    pub task: String,
    /// Its code, for example `csv_bad_row` or `overdue`.
    pub code: String,
    /// What is the matter.
    pub text: String,
    /// Jobs that are failed with it now; 1 for what is no failed job.
    pub open: u64,
    /// How often it was seen in all.
    pub total: u64,
    /// RFC 3339.
    pub first_at: String,
    /// RFC 3339.
    pub last_at: String,
    /// Until when no channel repeats it, RFC 3339.
    pub muted_until: Option<String>,
    /// A job that failed with it, to open it.
    pub job: Option<i64>,
}

/// A channel of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChannelView {
    /// Its name.
    pub name: String,
    /// `email`, `slack`, `webhook` or `command`.
    pub kind: String,
    /// Where messages go, without secrets.
    pub target: String,
    /// Messages that wait.
    pub waiting: u64,
    /// Messages sent in the last 24 hours.
    pub sent: u64,
    /// Why the last try failed, if it did.
    pub error: Option<String>,
    /// When the next try is, RFC 3339.
    pub next_at: Option<String>,
    /// Until when it is quiet, RFC 3339.
    pub quiet_until: Option<String>,
}

/// What came of a try of a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TestedView {
    /// The channel.
    pub channel: String,
    /// `email`, `slack`, `webhook` or `command`.
    pub kind: String,
    /// Where messages go, without secrets.
    pub target: String,
    /// Whether it took the message.
    pub ok: bool,
    /// Why not.
    pub error: Option<String>,
}

/// A message on its way or sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OutboxView {
    /// Its number.
    pub id: i64,
    /// The channel.
    pub channel: String,
    /// `waiting`, `sent` or `given_up`.
    pub state: String,
    /// `error`, `warning`, `recovered` or `info`.
    pub severity: String,
    /// Its subject.
    pub subject: String,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// Tries so far.
    pub tries: u32,
    /// Why the last try failed.
    pub error: Option<String>,
}

//! What is told to people outside: a message, its severity, and what it is made of. Which message is sent to which
//! channel is decided in `alerts`; a message waits in the store's outbox until its channel took it.

pub mod channel;
pub mod outbox;

use super::Millis;
use serde::{Deserialize, Serialize};

/// How grave a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// News: a report, a test.
    Info,
    /// What was told before is over.
    Recovered,
    /// Something needs attention.
    Warning,
    /// Something failed.
    Error,
}

impl Severity {
    /// Every severity, the lightest first.
    pub const ALL: [Self; 4] = [Self::Info, Self::Recovered, Self::Warning, Self::Error];

    /// The number that the store keeps.
    #[must_use]
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// The severity with this number, if there is one.
    #[must_use]
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.code() == code)
    }

    /// Its name in the configuration and on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Recovered => "recovered",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Why a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageKind {
    /// A cause was seen for the first time, or again after it was over.
    First,
    /// It goes on, and the time for which it was muted is over.
    Again,
    /// It is over.
    Recovered,
    /// Several in one.
    Digest,
    /// A report that a task made.
    Report,
    /// An operator tries a channel.
    Test,
}

/// A line of the table that a message shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// What it is, for example `Task`.
    pub name: String,
    /// Its value: text from outside, not escaped for any channel yet.
    pub value: String,
}

/// A message, before a channel puts it into its own form. Every text may hold anything that came from outside: the
/// channel escapes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// How grave it is.
    pub severity: Severity,
    /// Why it is sent.
    pub kind: MessageKind,
    /// One line that says it all.
    pub subject: String,
    /// The table.
    pub facts: Vec<Fact>,
    /// Further text; empty for most.
    pub text: String,
    /// The same as HTML, where there is such a form: made by us with everything escaped.
    pub html: Option<String>,
    /// The last lines of the log.
    pub log: Vec<String>,
    /// What to type to see it or to put it right.
    pub commands: Vec<String>,
    /// The task that it is about.
    pub task: Option<String>,
    /// The host that sends it.
    pub host: String,
    /// How often it happened.
    pub count: u64,
    /// When.
    pub at: Millis,
}

/// Kind of the notices that are errors of the supervisor itself: their key is the code of the banner, and is shown as
/// their code.
pub const BANNER: &str = "supervisor";

/// Something that is wrong beside failed jobs: a schedule that is overdue, a run unlike the others, a full disk. It is
/// raised again and again while it lasts, and over when it is cleared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The task; none for the supervisor itself.
    pub task: Option<super::TaskName>,
    /// What it is, for example `overdue`: one word, stable.
    pub kind: &'static str,
    /// Tells it from others of its kind; often empty.
    pub key: String,
    /// How grave it is.
    pub severity: Severity,
    /// What is the matter, in a sentence.
    pub text: String,
}

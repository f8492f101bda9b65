//! The port to what is remembered of alerts: what is wrong, what each channel was told of it, and the messages that wait
//! for their channel.
//!
//! What is told follows from what stands in the store, not from events: whoever starts again and looks finds the same to
//! tell, and a message and the note that it was made are one commit.

use super::{Message, Notice, Severity};
use crate::model::ledger::Reply;
use crate::model::{Failure, JobId, Millis, TaskName};

/// Where something that is wrong stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Failed jobs with one cause.
    Cause = 0,
    /// A notice.
    Notice = 1,
    /// The channel itself: since when it collects.
    Channel = 2,
}

impl Source {
    /// The number that the store keeps.
    #[must_use]
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// The source with this number, if there is one.
    #[must_use]
    pub fn from_code(code: i64) -> Option<Self> {
        [Self::Cause, Self::Notice, Self::Channel].into_iter().find(|s| s.code() == code)
    }
}

/// Something that is wrong, or was when a channel was told last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Where it stands.
    pub source: Source,
    /// Its number there.
    pub id: i64,
    /// When it was seen for the first time.
    pub born: Millis,
    /// The task; none for the supervisor itself.
    pub task: Option<TaskName>,
    /// How grave it is.
    pub severity: Severity,
    /// Its code or kind.
    pub code: String,
    /// Tells a notice from others of its kind.
    pub key: String,
    /// What is the matter.
    pub text: String,
    /// When it was seen last.
    pub last_at: Millis,
    /// Jobs that are failed with it; 1 for a notice.
    pub open: u64,
    /// How often it was seen in all.
    pub total: u64,
    /// Whether it is wrong now. Failed jobs that an operator put back are still wrong until they are decided.
    pub is_open: bool,
}

/// What a channel knows of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToldState {
    /// That it is over, or nothing.
    Over = 0,
    /// That it is wrong.
    Told = 1,
    /// Nothing yet: the message is held back.
    Held = 2,
}

impl ToldState {
    /// The number that the store keeps.
    #[must_use]
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// The state with this number, if there is one.
    #[must_use]
    pub fn from_code(code: i64) -> Option<Self> {
        [Self::Over, Self::Told, Self::Held].into_iter().find(|s| s.code() == code)
    }
}

/// What a channel was told of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The channel.
    pub channel: String,
    /// Of what.
    pub source: Source,
    /// Its number.
    pub id: i64,
    /// When that was seen for the first time: another one may have the same number later.
    pub born: Millis,
    /// What the channel knows.
    pub state: ToldState,
    /// Counts how often it was over and came again.
    pub episode: i64,
    /// Counts the messages.
    pub seq: i64,
    /// Since when it is in this state.
    pub since: Millis,
    /// When the channel was last told that it had begun.
    pub first_at: Option<Millis>,
    /// When it was last told anything of it.
    pub told_at: Option<Millis>,
    /// How often it had been seen by then.
    pub told_total: u64,
    /// How often it had been seen when it was over: it comes again only with more.
    pub over_total: u64,
}

/// Everything that decides what is to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// What is wrong, and what was told and is wrong no longer; at most [`Standing::MAX`] of each source.
    pub troubles: Vec<Trouble>,
    /// What the channels were told.
    pub told: Vec<Told>,
    /// Channel and time of the messages made in the last hour.
    pub made: Vec<(String, Millis)>,
}

impl Standing {
    /// Most open causes and most open notices that are looked at, the newest first. Further ones wait until some of these
    /// are over; nobody reads so many messages.
    pub const MAX: usize = 1000;
}

/// A failed job that stands for its cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The job.
    pub job: JobId,
    /// Its input, escaped.
    pub input: String,
    /// Whether that is a file.
    pub is_file: bool,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// The first lines of its own output.
    pub log: Vec<String>,
}

/// A message for the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// The channel.
    pub channel: String,
    /// The same for the same message: a second one is not taken.
    pub key: String,
    /// The message.
    pub message: Message,
}

/// A message that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its number in the outbox.
    pub id: i64,
    /// The message.
    pub message: Message,
    /// When it was made.
    pub created_at: Millis,
    /// Tries so far.
    pub tries: u32,
}

/// What came of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The channel took it.
    Sent,
    /// Not now.
    Later {
        /// When to try again.
        at: Millis,
        /// Why.
        error: String,
    },
    /// Never.
    GivenUp {
        /// Why.
        error: String,
    },
}

/// The writing side. Each method is one transaction.
pub trait Outbox: Send + Sync {
    /// Something is wrong, or still is.
    fn raise(&self, notice: Notice, now: Millis) -> Reply<()>;
    /// It is over. False: it was not there.
    fn clear(&self, task: Option<TaskName>, kind: String, key: String, now: Millis) -> Reply<bool>;
    /// Puts messages into the outbox and notes what the channels know with them. Answers how many were new.
    fn put(&self, messages: Vec<NewMessage>, told: Vec<Told>, now: Millis) -> Reply<u64>;
    /// Notes what came of a try.
    fn mark(&self, id: i64, mark: Mark, now: Millis) -> Reply<()>;
    /// Gives up what waits for other channels than these, and forgets what those knew.
    fn keep_channels(&self, names: Vec<String>, now: Millis) -> Reply<u64>;
}

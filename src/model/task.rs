//! A task as the configuration says it, checked: one trigger, one action, and policies.

use super::condition::Condition;
use super::schedule::Schedule;
use super::{Action, RetryPolicy, Template};
use globset::GlobMatcher;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A task's name: letters, digits, `-` and `_`; cheap to clone.
pub type TaskName = Arc<str>;

/// A named entry of the configuration.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its name.
    pub name: TaskName,
    /// What starts it.
    pub trigger: Trigger,
    /// What it does.
    pub action: Arc<dyn Action>,
    /// Among tasks that want a worker, and among tasks that match one file, the higher goes first. Default 0.
    pub priority: i32,
    /// Most jobs of it that run at once.
    pub concurrency: u32,
    /// When a failed job runs again.
    pub retry: RetryPolicy,
    /// Longest time of one attempt.
    pub timeout: Option<Duration>,
    /// What becomes of a job whose attempt was cut off.
    pub on_interrupt: OnInterrupt,
    /// Folder for originals that succeeded.
    pub processed: Template,
    /// Folder for originals that failed.
    pub failed: Template,
    /// What must hold when a run of it starts; all of them.
    pub when: Vec<Condition>,
    /// Zone of `{date}`, an IANA name.
    pub timezone: chrono_tz::Tz,
    /// Hash of everything above: which configuration an attempt ran with.
    pub config_hash: String,
    /// Line of the task in the configuration file, 1-based.
    pub line: usize,
}

/// What starts a task.
#[derive(Clone, Debug)]
pub enum Trigger {
    /// A file lands in a folder.
    Watch(Watch),
    /// The time.
    Schedule(Box<Schedule>),
    /// Another task's run settled.
    After(After),
    /// The operator alone.
    Manual,
}

impl Trigger {
    /// Its key in the configuration.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Watch(_) => "watch",
            Self::Schedule(_) => "schedule",
            Self::After(_) => "after",
            Self::Manual => "manual",
        }
    }
}

/// A watched folder.
#[derive(Clone, Debug)]
pub struct Watch {
    /// The folder, absolute.
    pub dir: PathBuf,
    /// Names (or, with `recursive`, paths below the folder) that are taken, as compiled globs over bytes.
    pub matchers: Vec<GlobMatcher>,
    /// Their spellings.
    pub patterns: Vec<String>,
    /// Whether folders below it are watched too.
    pub recursive: bool,
    /// A file is complete when it was closed and has not changed for this long.
    pub settle: Duration,
    /// What to do with a file whose content was processed before.
    pub duplicates: Duplicates,
    /// Whether a file is moved or copied at the claim.
    pub claim: ClaimBy,
    /// Whether to poll, because the folder's file system sends no events.
    pub poll: bool,
}

impl Watch {
    /// Whether this watch takes a file with this path below its folder.
    #[must_use]
    pub fn takes(&self, relative: &std::path::Path) -> bool {
        let name: &OsStr = relative.file_name().unwrap_or(relative.as_os_str());
        self.matchers.iter().any(|m| m.is_match(name) || m.is_match(relative))
    }
}

/// How a landed file is brought under our control.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClaimBy {
    /// Renamed; needs the same file system.
    #[default]
    Rename,
    /// Copied, verified, then removed.
    Copy,
}

/// What to do with a file whose content was processed before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Duplicates {
    /// Process it like any other.
    #[default]
    Process,
}

/// Runs when other tasks' runs settle.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct After {
    /// The tasks waited for.
    pub tasks: Vec<TaskName>,
    /// Which end of their runs counts.
    pub on: AfterOn,
}

/// Which end of an upstream run starts the task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AfterOn {
    /// Every job succeeded.
    #[default]
    AllOk,
    /// At least one job succeeded.
    AnyOk,
    /// At least one job failed.
    Failed,
    /// Any end.
    Any,
}

/// What becomes of a job whose attempt was cut off by a crash, a stop or a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnInterrupt {
    /// It goes back into the queue.
    Retry,
    /// It fails, for an operator to decide: its effects outside may have happened.
    Fail,
}

/// What to do with a file in a watched folder that no task takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unmatched {
    /// Leave it and list it.
    #[default]
    List,
    /// Move it to `failed/` with a record.
    Fail,
}

//! The states of jobs and runs. Their numbers are stored, so they never change meaning; a test pins them.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a job is in its life. The number is what the store keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Not before a time: a first start in the future, or the backoff after a failed attempt.
    Waiting = 0,
    /// Ready to be claimed.
    Queued = 1,
    /// Claimed by a worker of this node.
    Running = 2,
    /// Decided, and being made visible.
    Placing = 3,
    /// Done, and everything is in its final place.
    Succeeded = 4,
    /// Done for now: an operator decides.
    Failed = 5,
    /// Set aside by an operator, with a reason.
    Skipped = 6,
    /// Withdrawn by an operator, or its input went away.
    Cancelled = 7,
}

impl JobState {
    /// Every state, in the order of its number.
    pub const ALL: [Self; 8] = [
        Self::Waiting,
        Self::Queued,
        Self::Running,
        Self::Placing,
        Self::Succeeded,
        Self::Failed,
        Self::Skipped,
        Self::Cancelled,
    ];

    /// The number that the store keeps.
    #[must_use]
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// The state with this number, if there is one.
    #[must_use]
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.code() == code)
    }

    /// The name used on the command line, on the wire and on the screen.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Placing => "placing",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state with this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }

    /// Order of the job list: what needs a person first, what is over last.
    #[must_use]
    pub const fn rank(self) -> i64 {
        match self {
            Self::Failed => 0,
            Self::Running | Self::Placing => 1,
            Self::Waiting => 2,
            Self::Queued => 3,
            Self::Succeeded | Self::Skipped | Self::Cancelled => 4,
        }
    }

    /// Whether the job is over. A failed job is over for its run, though an operator may retry it.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Skipped | Self::Cancelled)
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Where a run is in its life. The number is what the store keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// Due at a known time.
    Planned = 0,
    /// Its inputs are being put into the queue.
    Expanding = 1,
    /// Its jobs are all in the queue, and at least one is not over.
    Open = 2,
    /// Every job succeeded.
    Succeeded = 3,
    /// Every job failed.
    Failed = 4,
    /// Some jobs failed or were skipped, some succeeded.
    Partial = 5,
    /// Not done, by policy or by an operator.
    Skipped = 6,
    /// Its time passed while nobody could run it.
    Missed = 7,
    /// Withdrawn.
    Cancelled = 8,
}

impl RunState {
    /// Every state, in the order of its number.
    pub const ALL: [Self; 9] = [
        Self::Planned,
        Self::Expanding,
        Self::Open,
        Self::Succeeded,
        Self::Failed,
        Self::Partial,
        Self::Skipped,
        Self::Missed,
        Self::Cancelled,
    ];

    /// The number that the store keeps.
    #[must_use]
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// The state with this number, if there is one.
    #[must_use]
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.code() == code)
    }

    /// The name used on the wire and on the screen.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Expanding => "expanding",
            Self::Open => "open",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Partial => "partial",
            Self::Skipped => "skipped",
            Self::Missed => "missed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What a placing job will be once everything is in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The action did its work.
    Succeeded,
    /// The action failed and no retry is left.
    Failed,
    /// An operator set it aside.
    Skipped,
    /// An operator withdrew it, or its input went away.
    Cancelled,
}

impl Outcome {
    /// The final state that this outcome leads to.
    #[must_use]
    pub const fn state(self) -> JobState {
        match self {
            Self::Succeeded => JobState::Succeeded,
            Self::Failed => JobState::Failed,
            Self::Skipped => JobState::Skipped,
            Self::Cancelled => JobState::Cancelled,
        }
    }

    /// The outcome that leads to this final state, if it is final.
    #[must_use]
    pub const fn from_state(state: JobState) -> Option<Self> {
        match state {
            JobState::Succeeded => Some(Self::Succeeded),
            JobState::Failed => Some(Self::Failed),
            JobState::Skipped => Some(Self::Skipped),
            JobState::Cancelled => Some(Self::Cancelled),
            JobState::Waiting | JobState::Queued | JobState::Running | JobState::Placing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_numbers_keep_their_meaning() {
        let jobs: Vec<_> = JobState::ALL.iter().map(|s| (s.code(), s.name())).collect();
        assert_eq!(
            jobs,
            [
                (0, "waiting"),
                (1, "queued"),
                (2, "running"),
                (3, "placing"),
                (4, "succeeded"),
                (5, "failed"),
                (6, "skipped"),
                (7, "cancelled")
            ]
        );
        let runs: Vec<_> = RunState::ALL.iter().map(|s| (s.code(), s.name())).collect();
        assert_eq!(
            runs,
            [
                (0, "planned"),
                (1, "expanding"),
                (2, "open"),
                (3, "succeeded"),
                (4, "failed"),
                (5, "partial"),
                (6, "skipped"),
                (7, "missed"),
                (8, "cancelled")
            ]
        );
    }
}

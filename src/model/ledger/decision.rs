//! What becomes of a job, as it is decided, and where a later attempt goes on.

use super::{LaneHint, Settled};
use crate::model::action::network::Call;
use crate::model::job::{Facts, KeptFile, Move};
use crate::model::{Detail, Failure, JobId, JobState, Millis, Outcome};
use std::path::PathBuf;

/// Which row a decision may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// The job is running this attempt.
    Attempt(i64),
    /// The job is not running, and has not changed since this revision.
    Rev(i64),
}

/// What becomes of a job.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The point of no return (W3): it ends like this once the moves are done.
    Place {
        /// What it will be.
        outcome: Outcome,
        /// Why it failed, where it did.
        failure: Option<Failure>,
        /// The moves, in order.
        moves: Vec<Move>,
        /// Where the original will lie.
        original: Option<PathBuf>,
        /// Where its error record will lie.
        record: Option<PathBuf>,
        /// Reason given by an operator.
        reason: Option<String>,
    },
    /// Failed with budget left: waits, its file stays in WORK.
    Retry {
        /// Why it failed.
        failure: Failure,
        /// When it is due.
        at: Millis,
    },
    /// Could not start: waits uncharged, with the reason.
    Hold {
        /// Why.
        reason: String,
        /// When it is tried again.
        at: Millis,
    },
    /// Cut off: back into the queue, uncharged.
    Requeue {
        /// Why.
        failure: Failure,
    },
}

/// One output as recorded with the decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputRecord {
    /// Final path, absolute.
    pub path: PathBuf,
    /// Its inode.
    pub ino: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Its modification time in nanoseconds.
    pub mtime_ns: i64,
}

/// A decision about one job (W3).
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The job.
    pub job: JobId,
    /// The row it may change.
    pub fence: Fence,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Whether the attempt counts against the budget.
    pub charged: bool,
    /// When.
    pub at: Millis,
    /// Records read.
    pub rows: Option<u64>,
    /// Records written.
    pub rows_out: Option<u64>,
    /// Records that were set aside.
    pub rejected: u64,
    /// The first of them.
    pub rejects: Vec<Detail>,
    /// What its calls came to.
    pub call: Option<Call>,
    /// Size of the input.
    pub bytes_in: Option<u64>,
    /// The outputs.
    pub outputs: Vec<OutputRecord>,
    /// Exit code, for a command.
    pub exit: Option<i64>,
    /// The first lines of its own output.
    pub log_head: Option<String>,
    /// Where the rest lies.
    pub log_ref: Option<PathBuf>,
    /// Who decided, where an operator did.
    pub action: Option<i64>,
    /// Whether a checkpoint of the job stays, so that a later attempt goes on there; it leads to temporary files, which
    /// then stay too.
    pub keep_checkpoint: bool,
}

/// Where a later attempt may go on if this one is cut off (S4): what the attempt says of its outputs, and what must be
/// the same for that to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// Hash of the task's configuration.
    pub config_hash: String,
    /// The input; device and links do not count.
    pub facts: Option<Facts>,
    /// The outputs in the order they were opened.
    pub files: Vec<KeptFile>,
    /// What the action needs to know.
    pub state: Vec<u8>,
}

impl Decision {
    /// A decision with nothing to report beside its verdict.
    #[must_use]
    pub const fn new(job: JobId, fence: Fence, verdict: Verdict, at: Millis) -> Self {
        Self {
            job,
            fence,
            verdict,
            charged: true,
            at,
            rows: None,
            rows_out: None,
            rejected: 0,
            rejects: Vec::new(),
            call: None,
            bytes_in: None,
            outputs: Vec::new(),
            exit: None,
            log_head: None,
            log_ref: None,
            action: None,
            keep_checkpoint: false,
        }
    }
}

/// What came of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided {
    /// The job is in this state now.
    Now(JobState),
    /// An operator cancelled it meanwhile: decide again, as cancelled, for this action.
    CancelInstead(i64),
    /// The fence was lost: nothing changed, drop what you hold.
    Lost,
}

/// Answer to a batch of decisions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecideAnswer {
    /// One for each decision, in order.
    pub decided: Vec<Decided>,
    /// Runs that settled with them, but for those of single files that landed.
    pub settled: Vec<Settled>,
    /// Queue lengths of the lanes touched.
    pub lanes: Vec<LaneHint>,
}

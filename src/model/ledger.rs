//! The port to the durable queue. Each method is one whole transaction of the protocol, never a setter of a row; an
//! answer means that it is on the disk. Fences (`attempt`, `rev`) make late answers harmless: they change nothing.

mod decision;
mod lanes;
mod slots;

use super::action::BoxFuture;
use super::action::network::{HostName, Item};
use super::job::{Claimed, JobFile, JobKind, KeptFile, Landed, Move, Placing};
use super::view::{Done, Selection};
use super::{Failure, Filter, JobId, JobState, Millis, OnInterrupt, RunId, SelectionId, TaskName};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

pub use decision::{Checkpoint, DecideAnswer, Decided, Decision, Fence, OutputRecord, Verdict};
pub use lanes::{Allow, Allowance, ClosedLane, Planned, Settled};
pub use slots::{NewSlot, Remembered, SlotOrder, SlotsPlanned};

/// Why the store did not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// No space, or the disk reports errors: nothing was acknowledged; try again later.
    Paused(String),
    /// The store has been closed.
    Closed,
    /// The database is damaged or from another version.
    Damaged(String),
    /// A fault in a statement: a bug.
    Fault(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paused(why) => write!(f, "the store cannot write: {why}"),
            Self::Closed => f.write_str("the store is closed"),
            Self::Damaged(why) => write!(f, "the database is damaged: {why}"),
            Self::Fault(why) => write!(f, "the store failed: {why}"),
        }
    }
}

impl std::error::Error for StoreError {}

/// The answer of the store.
pub type Reply<T> = BoxFuture<Result<T, StoreError>>;

/// What a batch of landed files came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Landing {
    /// New jobs.
    pub new: u64,
    /// Files that have a live job already.
    pub known: u64,
    /// Files that the same task wrote as an output: never taken.
    pub own: u64,
    /// Queue lengths afterwards.
    pub lanes: Vec<LaneHint>,
}

/// How much waits in a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneHint {
    /// The task.
    pub task: TaskName,
    /// Jobs ready to be claimed.
    pub queued: u64,
    /// When the next waiting job is due.
    pub next_due: Option<Millis>,
}

/// What an attempt will need, computed from the job and its task inside the claim's transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttemptPlan {
    /// Hash of the task's configuration.
    pub config_hash: String,
    /// The work folder.
    pub work: PathBuf,
    /// Folders that may hold temporary files of the attempt.
    pub target_dirs: Vec<PathBuf>,
}

/// Plans an attempt; called on the writer's thread, must be quick and must not block.
pub type Planner = Arc<dyn Fn(&Claimed) -> AttemptPlan + Send + Sync>;

/// Asks for jobs of one lane.
#[derive(Clone)]
pub struct Claim {
    /// The task.
    pub task: TaskName,
    /// Most jobs to claim.
    pub max: u32,
    /// The lane may have at most this many running jobs afterwards.
    pub running_limit: u32,
    /// Now.
    pub now: Millis,
    /// Plans each attempt.
    pub plan: Planner,
    /// How many of each lane, for a task with lanes.
    pub allow: Option<Allow>,
}

/// Jobs that were claimed.
#[derive(Clone, Debug)]
pub struct ClaimAnswer {
    /// The jobs, in the order they should start.
    pub jobs: Vec<Claimed>,
    /// Where lanes held jobs back: when the first of them opens, as far as that is known.
    pub again: Option<Millis>,
    /// What is left.
    pub lane: LaneHint,
}

/// A job that is over (W4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Over {
    /// The job.
    pub job: JobId,
    /// Its task.
    pub task: TaskName,
    /// Its final state.
    pub state: JobState,
    /// Bytes read and written.
    pub bytes: u64,
}

/// Answer to a batch of finished jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FinishAnswer {
    /// Those that were still placing.
    pub over: Vec<Over>,
    /// Runs that settled with them, but for those of single files that landed.
    pub settled: Vec<Settled>,
    /// Lanes that got follow-on work.
    pub lanes: Vec<LaneHint>,
}

/// A job that was running when its supervisor died.
#[derive(Clone, Debug)]
pub struct Interrupted {
    /// The job as it was claimed.
    pub claimed: Claimed,
    /// Folders that may hold its temporary files.
    pub target_dirs: Vec<PathBuf>,
    /// Unexpected deaths of it in the last 24 hours, this one included.
    pub deaths: u32,
    /// An operator's cancel that was acknowledged, if there was one.
    pub cancel_action: Option<i64>,
    /// The temporary files that its checkpoint leads to.
    pub kept: Vec<KeptFile>,
}

/// What a start finds.
#[derive(Clone, Debug, Default)]
pub struct Leftovers {
    /// Jobs waiting or queued.
    pub queued: u64,
    /// Jobs that were running.
    pub running: Vec<Interrupted>,
    /// Jobs that were decided but not in their place.
    pub placing: Vec<Placing>,
}

/// A live job with a file, for the checks at a start.
#[derive(Clone, Debug)]
pub struct LiveFile {
    /// The job.
    pub job: JobId,
    /// Its state.
    pub state: JobState,
    /// Its revision.
    pub rev: i64,
    /// Its file.
    pub file: JobFile,
}

/// What an operator does, as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// User id.
    pub uid: u32,
    /// When.
    pub at: Millis,
    /// Reason given.
    pub reason: Option<String>,
}

/// Facts of one job for an operator action.
#[derive(Clone, Debug)]
pub struct JobFacts {
    /// The job.
    pub job: JobId,
    /// Its run.
    pub run: RunId,
    /// Its task.
    pub task: TaskName,
    /// Its state.
    pub state: JobState,
    /// Its revision.
    pub rev: i64,
    /// The number of its last attempt.
    pub attempt: i64,
    /// Attempts charged.
    pub spent: u32,
    /// What it is to its run.
    pub kind: JobKind,
    /// Its lane.
    pub lane: HostName,
    /// Place in its run, from 0.
    pub ordinal: i64,
    /// The run's planned time.
    pub planned_at: Millis,
    /// Its input as landed.
    pub label: Vec<u8>,
    /// Its file as landed or as last recorded.
    pub file: Option<JobFile>,
    /// Where its original lies after a failure.
    pub failed_at: Option<PathBuf>,
    /// Where its error record lies.
    pub record_at: Option<PathBuf>,
    /// The failure of its last attempt.
    pub failure: Option<Failure>,
    /// The temporary files that its checkpoint leads to.
    pub kept: Vec<KeptFile>,
}

/// What a manual start asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The task.
    pub task: TaskName,
    /// Priority of its jobs.
    pub priority: i32,
    /// Files to work on, already under our control; empty for one job without a file.
    pub files: Vec<Landed>,
    /// How many jobs without a file, when there are no files; normally 1.
    pub count: u32,
    /// Items of a task that is planned, chosen by the operator: the run has these alone and no plan.
    pub items: Vec<Item>,
    /// The name shown as the input of a job without a file.
    pub label: Vec<u8>,
}

/// What the store must know of a task: its budget and what follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskFacts {
    /// Its name.
    pub name: TaskName,
    /// Kind of work.
    pub action: String,
    /// Executions charged at most.
    pub max_attempts: u32,
    /// Hash of its configuration.
    pub config_hash: String,
    /// The tasks it runs after, and which end counts.
    pub after: Option<super::After>,
    /// Priority of its jobs.
    pub priority: i32,
    /// What becomes of a job that is cut off.
    pub on_interrupt: OnInterrupt,
    /// Whether its runs are planned: a run begins as one job that puts the others into the queue.
    pub planned: bool,
    /// Whether its runs have planned times: of these, one may wait for another.
    pub scheduled: bool,
}

/// How long history is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Jobs that succeeded, were skipped or cancelled: older ones are deleted.
    pub succeeded_before: Millis,
    /// Most of them kept.
    pub succeeded_max: u64,
    /// Failed jobs whose file is gone: older ones are deleted.
    pub failed_before: Millis,
    /// Most of them kept.
    pub failed_max: u64,
}

/// The durable queue.
pub trait Ledger: Send + Sync {
    /// Declares the tasks of a configuration; tasks that are gone are marked removed.
    fn configure(&self, tasks: Vec<TaskFacts>, now: Millis) -> Reply<Vec<LaneHint>>;
    /// S1: inserts a run and a job for each file that has no live job.
    fn land(&self, batch: Vec<Landed>, now: Millis) -> Reply<Landing>;
    /// Inserts a run by hand.
    fn start(&self, start: Start, by: Operator) -> Reply<(RunId, Vec<JobId>, LaneHint)>;
    /// S2: claims jobs of one lane.
    fn claim(&self, claim: Claim) -> Reply<ClaimAnswer>;
    /// S3: the file's facts after the move into WORK changed the record (an edited file, another inode).
    fn refresh(&self, job: JobId, attempt: i64, file: JobFile) -> Reply<()>;
    /// S4: notes how far the outputs of an attempt are, in the place of what was noted before. False: it is not the
    /// attempt of its job any more, and nothing was noted.
    fn checkpoint(&self, job: JobId, attempt: i64, checkpoint: Checkpoint, now: Millis) -> Reply<bool>;
    /// Forgets the checkpoint of a job. False: it is not the attempt of its job any more.
    fn forget(&self, job: JobId, attempt: i64) -> Reply<bool>;
    /// How far the plan of a run is. None: it is not the attempt of its job any more.
    fn planned(&self, job: JobId, attempt: i64) -> Reply<Option<Planned>>;
    /// Puts further items of a run into the queue, after `from` that are there; the job is its plan. None: it is not the
    /// attempt of its job any more, or another number is there, and nothing was put.
    fn expand(&self, job: JobId, attempt: i64, from: u64, items: Vec<Item>, now: Millis) -> Reply<Option<LaneHint>>;
    /// Remembers over a restart that a lane is closed; a time that has passed forgets it.
    fn close_lane(&self, closed: ClosedLane, now: Millis) -> Reply<()>;
    /// The lanes that are closed.
    fn closed_lanes(&self, now: Millis) -> Reply<Vec<ClosedLane>>;
    /// Puts planned times into the queue, each at most once, and remembers how far the schedule is.
    fn plan_slots(&self, order: SlotOrder) -> Reply<SlotsPlanned>;
    /// Puts claimed jobs that never started back, as if they had not been claimed.
    fn put_back(&self, jobs: Vec<(JobId, i64)>) -> Reply<Vec<LaneHint>>;
    /// S6: decides; the point of no return.
    fn decide(&self, batch: Vec<Decision>) -> Reply<DecideAnswer>;
    /// S7: a name was taken; these moves, told by their number, get the source and the target that they have here.
    fn retarget(&self, job: JobId, moves: Vec<Move>) -> Reply<()>;
    /// S9: the moves are done and synced.
    fn finish(&self, jobs: Vec<JobId>, now: Millis) -> Reply<FinishAnswer>;
    /// Waiting jobs that are due become queued.
    fn due(&self, now: Millis) -> Reply<Vec<LaneHint>>;
    /// Registers this node and answers what earlier ones left behind.
    fn recover(&self, node: String, boot: String, now: Millis) -> Reply<Leftovers>;
    /// The live jobs with files that are not running, a page at a time.
    fn live_files(&self, after: JobId, limit: u32) -> Reply<Vec<LiveFile>>;
    /// The facts of these jobs; unknown ones are left out.
    fn facts(&self, jobs: Vec<JobId>) -> Reply<Vec<JobFacts>>;
    /// Records an operator's action; decisions and cancels refer to it.
    fn record(&self, kind: &'static str, by: Operator, filter: Option<String>, jobs: Vec<JobId>) -> Reply<i64>;
    /// Failed and waiting jobs go back into the queue at once, with a fresh budget.
    fn retry(&self, action: i64, jobs: Vec<(JobId, i64)>, now: Millis) -> Reply<(Done, Vec<LaneHint>)>;
    /// Marks running jobs for cancel; a later decision finds it.
    fn mark_cancel(&self, action: i64, jobs: Vec<JobId>) -> Reply<Done>;
    /// Freezes a filter.
    fn select(&self, by: Operator, filter: Filter) -> Reply<Selection>;
    /// The jobs of a selection that still match and have not changed since, a page at a time, with their revisions.
    fn selected(&self, id: SelectionId, after: JobId, limit: u32) -> Reply<Vec<(JobId, i64)>>;
    /// Pauses (`Some`) or resumes (`None`) a task, or everything with the empty name.
    fn set_paused(&self, task: TaskName, by: Operator, paused: bool) -> Reply<()>;
    /// Deletes old history in small pieces; answers how many jobs went.
    fn prune(&self, keep: Keep) -> Reply<u64>;
    /// Writes something small, to see whether the disk takes it.
    fn probe(&self, now: Millis) -> Reply<()>;
}

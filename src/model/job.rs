//! What the store hands out about a job: the facts of its file and its place in the protocol.

use super::action::network::HostName;
use super::{JobId, Millis, OnExists, Outcome, RunId, TaskName};
use std::path::PathBuf;

/// The identity of a file as the file system tells it. An inode alone is not trusted: it is reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Facts {
    /// Device; compared only within one boot.
    pub dev: u64,
    /// Inode.
    pub ino: u64,
    /// Size in bytes.
    pub size: u64,
    /// Modification time in nanoseconds since the Unix epoch.
    pub mtime_ns: i64,
    /// Names that the file has.
    pub nlink: u64,
}

impl Facts {
    /// Whether both describe the same unchanged file.
    #[must_use]
    pub const fn same(&self, other: &Self) -> bool {
        self.ino == other.ino && self.size == other.size && self.mtime_ns == other.mtime_ns
    }
}

/// A complete file in a watched folder, ready for the queue (S1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landed {
    /// The task that takes it.
    pub task: TaskName,
    /// Its watched root, absolute.
    pub root: PathBuf,
    /// Its path below the root.
    pub path: PathBuf,
    /// What it looked like when it was complete.
    pub facts: Facts,
    /// Priority of its job.
    pub priority: i32,
    /// When it was looked at, at the latest: a job that had the file then and is over by now is no reason for another.
    pub seen: Millis,
}

/// What a job is to its run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum JobKind {
    /// One of the inputs that the run was made with.
    #[default]
    Plain,
    /// It puts the run's items into the queue, and is not counted among them.
    Plan,
    /// One of the items of a planned run.
    Item,
}

impl JobKind {
    /// Every kind, in the order of its number.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Plan, Self::Item];

    /// The number that the store keeps.
    #[must_use]
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// The kind with this number, if there is one.
    #[must_use]
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.code() == code)
    }
}

/// A job as claimed (S2): everything a worker needs to start.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The job.
    pub job: JobId,
    /// Its run.
    pub run: RunId,
    /// Its task.
    pub task: TaskName,
    /// What it is to its run.
    pub kind: JobKind,
    /// Its lane within the task: the host that it calls; empty where the task has no lanes.
    pub lane: HostName,
    /// Place in its run, from 0.
    pub ordinal: i64,
    /// Number of this attempt, from 1: the fence.
    pub attempt: i64,
    /// Attempts charged, this one included.
    pub spent: u32,
    /// The run's planned time.
    pub planned_at: Millis,
    /// Its file, if it has one.
    pub file: Option<JobFile>,
    /// The label as landed, as bytes.
    pub label: Vec<u8>,
    /// Outputs of the upstream run.
    pub upstream: Vec<PathBuf>,
    /// An operator has cancelled it already: it is set aside, not run.
    pub cancelled: bool,
    /// An earlier attempt was cut off and has noted where to go on.
    pub checkpoint: bool,
}

/// A temporary file that a checkpoint leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptFile {
    /// Its temporary path.
    pub temp: PathBuf,
    /// The final path that was chosen for it.
    pub target: PathBuf,
    /// What becomes of it if that is taken.
    pub on_exists: OnExists,
}

impl Claimed {
    /// Its place in the run as people count, from 1.
    #[must_use]
    pub const fn n(&self) -> i64 {
        // The first of a planned run is the plan.
        if matches!(self.kind, JobKind::Item) { self.ordinal } else { self.ordinal + 1 }
    }

    /// What a line of the log calls it: the name of its file without its folders, escaped. The whole path is one
    /// `show` away, and would push what matters off the screen.
    #[must_use]
    pub fn name(&self) -> String {
        if self.kind == JobKind::Item {
            return super::text::bytes(&self.label);
        }
        let name = self.label.rsplit(|&b| b == b'/').find(|part| !part.is_empty());
        crate::model::text::bytes(name.unwrap_or(&self.label))
    }
}

/// Where a job's file is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobFile {
    /// Its root: a watched folder, or the spool. Work happens in `.shiftboss/work/<job>/` below it.
    pub root: PathBuf,
    /// Path from the root, or absolute when the file lies elsewhere (under `failed/`, for a retry).
    pub path: PathBuf,
    /// Its name as it landed.
    pub name: std::ffi::OsString,
    /// What it looked like.
    pub facts: Facts,
}

impl JobFile {
    /// Absolute path of the file outside WORK.
    #[must_use]
    pub fn absolute(&self) -> PathBuf {
        self.root.join(&self.path)
    }

    /// Its name in the folder that it is taken from.
    #[must_use]
    pub fn source_name(&self) -> &std::ffi::OsStr {
        self.path.file_name().unwrap_or(self.path.as_os_str())
    }

    /// The work folder of a job below this file's root.
    #[must_use]
    pub fn work_dir(&self, job: JobId) -> PathBuf {
        self.root.join(WORK).join(job.to_string())
    }
}

/// The folder below a watched root that holds the files being worked on.
pub const WORK: &str = ".shiftboss/work";
/// The folder below a watched root that is ours and never scanned.
pub const OURS: &str = ".shiftboss";

/// One rename or removal that follows a decision (S7). Can be redone any number of times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Order in the job, from 0.
    pub seq: i64,
    /// What is done.
    pub kind: MoveKind,
    /// From here, absolute.
    pub src: PathBuf,
    /// To here, absolute. Empty for a removal.
    pub dst: PathBuf,
    /// Inode of what is moved, to recognise it at either end.
    pub ino: u64,
}

/// What a move row does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoveKind {
    /// Rename `src` to `dst`, never over another file.
    Place,
    /// Rename `src` over `dst`: an output with `on_exists = "replace"`.
    Replace,
    /// Remove `src` if it is still the same file.
    Remove,
    /// Rename the original: like `Place`, and it is found by identity when it is not at `src`.
    Original,
    /// Remove `src` after the folders were synced: the source of a copy across devices.
    RemoveSource,
}

impl MoveKind {
    /// Every kind, in the order of its number.
    pub const ALL: [Self; 5] = [Self::Place, Self::Replace, Self::Remove, Self::Original, Self::RemoveSource];

    /// The number that the store keeps.
    #[must_use]
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// The kind with this number, if there is one.
    #[must_use]
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.code() == code)
    }
}

/// A decided job whose moves are not all done: what recovery and the placer work on.
#[derive(Clone, Debug)]
pub struct Placing {
    /// The job.
    pub job: JobId,
    /// The attempt that was decided.
    pub attempt: i64,
    /// What it will be.
    pub outcome: Outcome,
    /// The moves left, in order.
    pub moves: Vec<Move>,
    /// Its file as last recorded, to find a lost original.
    pub file: Option<JobFile>,
}

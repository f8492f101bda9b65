//! The port between an action and the runtime. An action reads its claimed input and writes only to temporary
//! files that its desk hands out; every visible rename is done by the runtime.

mod desk;
pub mod network;

pub use desk::{ChildExit, ChildSpec, Desk, Grant, OUTPUT_BUSY, OnExists, Resume, Surroundings};

use super::tree::Spanned;
use super::{Block, Detail, Failure, JobId, Millis, RunId, Template, Vars};
use network::{Call, Item};
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

/// A boxed future that may move between threads.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send + 'static>>;

/// What a job does: one implementation per kind of work, built from its table in the configuration.
pub trait Action: Send + Sync + fmt::Debug + 'static {
    /// Its key in the configuration, for example `extract`.
    fn name(&self) -> &'static str;

    /// The files it may write, as templates; relative to the configuration's folder or absolute.
    fn outputs(&self) -> Vec<&Template>;

    /// Whether running it twice on one input does no harm. Decides the default of `on_interrupt`.
    fn idempotent(&self) -> bool;

    /// Prepares the work of one attempt. Called on the runtime's loop: must not block.
    fn work(self: Arc<Self>, order: JobOrder) -> Work;

    /// Whether it writes into the folder `[files] archive`, beside its [`Action::outputs`].
    fn uses_archive(&self) -> bool {
        false
    }

    /// The alert channels that it sends to, and where each is named.
    fn channels(&self) -> &[Spanned<String>] {
        &[]
    }

    /// What its jobs wait for.
    fn waits_for(&self) -> WaitsFor {
        WaitsFor::Workers
    }

    /// Most jobs of it at once, where its own table says so.
    fn concurrency(&self) -> Option<u32> {
        None
    }

    /// Whether a run of it that is given no file is planned first: it becomes a job for each of its items.
    fn is_planned(&self) -> bool {
        false
    }

    /// The items of a run in their order, the same ones at every call, so that a plan that was cut off goes on where it
    /// was. Blocks. Only for an action that [`Action::is_planned`].
    fn plan(&self, order: &PlanOrder) -> Result<Items, Failure> {
        let _ = order;
        Err(Failure::permanent("no_plan", format!("{} has nothing to plan", self.name())))
    }

    /// The item that an operator's text stands for, for `trigger --input`. `Err`: why it is none.
    fn item(&self, input: &str) -> Result<Item, String> {
        let _ = input;
        Err(format!("{} takes files", self.name()))
    }

    /// The name that an item gives to files: the value of `{name}`.
    fn item_name(&self, input: &str) -> OsString {
        OsString::from(input)
    }

    /// What of a host the action allows itself: how many jobs of a lane may be claimed at once. None: no lanes.
    fn host_limits(&self) -> Option<&network::HostLimits> {
        None
    }
}

/// The items of a run.
pub type Items = Box<dyn Iterator<Item = Result<Item, Failure>> + Send>;

/// What the jobs of an action mostly wait for, and so whose number bounds them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WaitsFor {
    /// A core: at most as many as there are workers.
    #[default]
    Workers,
    /// The other side of a connection: at most as many as there may be connections.
    Network,
}

/// What a run that is to be planned is about.
#[derive(Clone, Debug)]
pub struct PlanOrder {
    /// When the run was planned.
    pub planned_at: Millis,
    /// Zone of its dates.
    pub timezone: chrono_tz::Tz,
    /// The configuration's folder.
    pub base: PathBuf,
    /// Outputs of the upstream run.
    pub upstream: Vec<PathBuf>,
}

/// A kind of work, as the registry of the actions lists it: how its table in the configuration becomes an [`Action`].
pub trait Kind: Sync {
    /// Its key in a task, for example `extract`.
    fn key(&self) -> &'static str;

    /// What it does, in one line.
    fn summary(&self) -> &'static str;

    /// A TOML line that uses it, for the documentation.
    fn example(&self) -> &'static str;

    /// Builds the action from its table. `None`: the problems were reported to the block, all of them: read every key
    /// before leaving with `?`. [`Block::shorthand`] has a value that is no table.
    fn build(&self, block: &mut Block<'_>) -> Option<Arc<dyn Action>>;
}

/// The work of one attempt, as the runtime runs it.
pub enum Work {
    /// Runs on a thread for blocking work.
    Blocking(Box<dyn FnOnce() -> Result<Report, Failure> + Send + 'static>),
    /// Runs as a task.
    Async(BoxFuture<Result<Report, Failure>>),
}

/// What one attempt is about.
pub struct JobOrder {
    /// The job.
    pub job: JobId,
    /// Its run.
    pub run: RunId,
    /// Number of this attempt, from 1.
    pub attempt: i64,
    /// When the run was planned: what `now()` is, so that every attempt writes the same.
    pub planned_at: Millis,
    /// Values for templates; the folder of the configuration is [`JobOrder::base`].
    pub vars: Vars,
    /// The configuration's folder: relative outputs start here, and commands run here.
    pub base: PathBuf,
    /// The claimed file, or `None` for a job without one.
    pub input: Option<Input>,
    /// Its item, for a job of a planned run: the URL.
    pub item: Option<String>,
    /// A key that is the same in every attempt of the job, for the other side to know a repetition by.
    pub key: String,
    /// Outputs of the upstream run, for a task that runs `after` another.
    pub upstream: Vec<PathBuf>,
    /// A private folder of this attempt for scratch files, removed afterwards.
    pub scratch: PathBuf,
    /// What the attempt may touch.
    pub desk: Arc<dyn Desk>,
}

/// The claimed input file of an attempt.
#[derive(Debug)]
pub struct Input {
    /// Where it lies while it is worked on.
    pub path: PathBuf,
    /// Its name as it landed.
    pub name: OsString,
    /// The file, opened read-only without following links.
    pub file: File,
    /// Size in bytes at the claim.
    pub size: u64,
    /// Modification time in nanoseconds since the Unix epoch.
    pub mtime_ns: i64,
    /// Where it landed, escaped text.
    pub label: String,
}

/// An output under its temporary name.
#[derive(Debug)]
pub struct OutputFile {
    /// Open for writing, empty.
    pub file: File,
    /// The temporary path.
    pub temp: PathBuf,
    /// The final path that was chosen, suffix included.
    pub target: PathBuf,
}

/// A whole output that is small enough to be kept in memory until its attempt is decided.
#[derive(Debug)]
pub struct SmallOutput {
    /// The final path; with a suffix, where it is taken.
    pub target: PathBuf,
    /// What becomes of it if that name is taken.
    pub on_exists: OnExists,
    /// All of it.
    pub content: Vec<u8>,
}

/// What a successful attempt reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Records read, good and bad, where the action counts them.
    pub rows: Option<u64>,
    /// Records written, where the action counts them.
    pub rows_out: Option<u64>,
    /// Records that were set aside.
    pub rejected: u64,
    /// The first of them, each with its place and its reason; what is beyond [`Failure::CAUSES_MAX`] is not kept.
    pub rejects: Vec<Detail>,
    /// One line for the log, for example `1,041 rows, 3 columns`; how many were set aside is added to it.
    pub note: Option<String>,
    /// What its calls came to, where it made any.
    pub call: Option<Call>,
}

/// Why an attempt is asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// An operator cancelled the job.
    Cancel,
    /// The task's time limit ran out.
    Timeout,
    /// The supervisor is stopping.
    Drain,
}

/// Level of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Something failed.
    Error,
    /// Something needs attention.
    Warn,
    /// Normal life.
    Info,
    /// For finding faults.
    Debug,
}

impl Level {
    /// Every level, gravest first.
    pub const ALL: [Self; 4] = [Self::Error, Self::Warn, Self::Info, Self::Debug];

    /// The name used on the command line and the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }

    /// The level with this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|l| l.name().eq_ignore_ascii_case(name))
    }
}

/// How far an attempt has come. Live only, never stored.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    /// Bytes of the input consumed.
    pub bytes: u64,
    /// Bytes of the input in all, where known.
    pub bytes_total: Option<u64>,
    /// Records done so far, good and bad.
    pub rows: u64,
    /// Records written so far, where the action counts them.
    pub rows_out: Option<u64>,
    /// Records that were set aside so far.
    pub rejected: u64,
}

/// A file's type, by extension and then by content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileType {
    /// Plain text.
    Text,
    /// Rows and columns.
    Csv,
    /// A picture.
    Image,
    /// A PDF document.
    Pdf,
    /// Anything else.
    Other,
}

impl FileType {
    /// Every type.
    pub const ALL: [Self; 5] = [Self::Text, Self::Csv, Self::Image, Self::Pdf, Self::Other];

    /// The value of `{type}`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Csv => "csv",
            Self::Image => "image",
            Self::Pdf => "pdf",
            Self::Other => "other",
        }
    }

    /// The type that the extension tells, if it does.
    #[must_use]
    pub fn by_name(name: &std::ffi::OsStr) -> Option<Self> {
        let (_, ext) = super::template::split_name(name);
        let ext = ext.to_str()?.to_ascii_lowercase();
        match ext.as_str() {
            "txt" | "text" | "md" | "log" => Some(Self::Text),
            "csv" | "tsv" => Some(Self::Csv),
            "png" | "jpg" | "jpeg" | "gif" | "webp" | "bmp" | "tif" | "tiff" => Some(Self::Image),
            "pdf" => Some(Self::Pdf),
            _ => None,
        }
    }

    /// The type that the first bytes tell. Text that is no other type is `Text` only if it holds no NUL byte.
    #[must_use]
    pub fn by_content(head: &[u8]) -> Self {
        const IMAGES: [&[u8]; 5] = [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*"];
        // Two letters alone would make an image of every text that starts with them; four bytes behind are zero.
        let bitmap = head.starts_with(b"BM") && head.get(6..10) == Some(&[0; 4]);
        if head.starts_with(b"%PDF-") {
            Self::Pdf
        } else if bitmap
            || IMAGES.iter().any(|m| head.starts_with(m))
            || (head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP"))
        {
            Self::Image
        } else if head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]) || !head.contains(&0) {
            Self::Text
        } else {
            Self::Other
        }
    }
}

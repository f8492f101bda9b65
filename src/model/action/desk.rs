//! What the runtime lends to an attempt: outputs, threads, memory, a log, children.
//!
//! It guarantees that nothing which an attempt makes is visible before its job is decided, that all jobs together keep
//! within one number of bytes and wait for it in the order they asked, and that no thread of an attempt outlives it.

use super::network::{AnswerCache, Hosts};
use super::{BoxFuture, Level, OutputFile, Progress, SmallOutput, Stop};
use crate::model::statistics::Statistics;
use crate::model::{Failure, Millis, Secret, alert};
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What becomes of an output whose name is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnExists {
    /// It takes the next free name: `NAME-2.EXT`.
    #[default]
    Suffix,
    /// The job fails. This is looked at when the output is opened and once more before the job is decided; if somebody
    /// takes the name after that, the output gets the next free one: it is never lost and never goes over a file.
    Fail,
    /// It goes over the file that is there, in one rename. Anything that is no regular file is never replaced.
    Replace,
}

impl OnExists {
    /// Every choice, as the configuration spells it.
    pub const WORDS: [(&str, Self); 3] = [("suffix", Self::Suffix), ("fail", Self::Fail), ("replace", Self::Replace)];
}

/// Code of a failure that means: another job is about to write this very file. The job waits, uncharged.
pub const OUTPUT_BUSY: &str = "output_busy";

/// A share of the memory that all jobs have together; given back when it is dropped.
pub struct Grant {
    bytes: u64,
    _share: Box<dyn Send + Sync>,
}

impl Grant {
    /// A grant of so many bytes; dropping `share` gives them back.
    #[must_use]
    pub fn new(bytes: u64, share: Box<dyn Send + Sync>) -> Self {
        Self { bytes, _share: share }
    }

    /// How much was granted; less than asked for only where that was more than there is in all.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// Where an attempt goes on that an earlier one was cut off at.
#[derive(Debug)]
pub struct Resume {
    /// What the action noted.
    pub state: Vec<u8>,
    /// The outputs that were open at the checkpoint, in the order they were opened: open for reading and writing, at their
    /// beginning, and perhaps longer than they were at the checkpoint.
    pub outputs: Vec<OutputFile>,
}

/// What the runtime lends to an attempt. Calls are cheap, unless they say that they wait, and may come from any thread.
pub trait Desk: Send + Sync {
    /// Opens temporary files for outputs that are placed together: `target` and what `siblings` derives from it. All
    /// become visible at the same commit, or none does. With [`OnExists::Suffix`], if any of the names is taken, the next
    /// suffix of `target` is tried (`NAME-2.EXT`), so that all of them stay in step. Else these very names are used;
    /// one that another job is writing makes the failure [`OUTPUT_BUSY`], one that must not be there `output_exists`.
    fn outputs(
        &self,
        target: &Path,
        siblings: &dyn Fn(&Path) -> Vec<PathBuf>,
        on_exists: OnExists,
    ) -> Result<Vec<OutputFile>, Failure>;

    /// Hands over a whole output. It becomes a file after the attempt has ended, many of them at a time, and is placed
    /// with the others. Given back where it is not taken, because it is too large or the desk takes none: then it is
    /// written by way of [`Desk::outputs`].
    fn small_output(&self, small: SmallOutput) -> Result<(), SmallOutput> {
        Err(small)
    }

    /// Threads that an attempt should use at most, its own included; at least 1.
    fn workers(&self) -> usize;

    /// Runs `work(0)`, `work(1)`, … `work(threads - 1)` at the same time, the first on the calling thread, and returns when
    /// all have ended. Threads that the system does not give are left out, the highest numbers first: work is to be taken
    /// from a common place, not dealt out by number. A panic goes on in the caller, after all have ended.
    fn crew(&self, threads: usize, work: &(dyn Fn(usize) + Sync));

    /// Takes a share of the memory that all jobs have together, and waits until it is there: first come, first served.
    /// A stop ends the waiting with a failure. Who asks for more than there is in all gets all there is. An attempt asks
    /// once, for everything it needs: a second share beside the first is refused, because it could wait for itself.
    fn memory(&self, bytes: u64) -> Result<Grant, Failure>;

    /// Makes durable how far the outputs are, so that a later attempt goes on there if this one is cut off by a crash or a
    /// stop of the supervisor. `state`, at most 64 KiB, is for the action alone. Before the call the action has synced the
    /// content of every output as far as `state` speaks of it (`File::sync_data`); their names are the runtime's business.
    /// Costs a commit: once in some seconds is often enough. An error means that it was not noted; the work may go on.
    /// Waits; from a thread for blocking work.
    fn checkpoint(&self, state: &[u8]) -> Result<(), Failure>;

    /// What an earlier attempt of this job noted last, with its outputs, if this one can go on with it: input,
    /// configuration and final names are the same. Asked once, before the first output is opened; an attempt that opens
    /// outputs without having asked starts from zero, and what was noted is dropped. Waits like [`Desk::checkpoint`].
    fn resume(&self) -> Option<Resume>;

    /// Drops the checkpoint and every output that was opened or taken up so far: the attempt starts from zero after all.
    /// Waits like [`Desk::checkpoint`].
    fn start_afresh(&self) -> Result<(), Failure>;

    /// Writes a line to the job's log.
    fn log(&self, level: Level, line: &str);

    /// Says how far the attempt has come.
    fn progress(&self, progress: Progress);

    /// Whether the attempt should stop, and why. Blocking work asks between records.
    fn stopped(&self) -> Option<Stop>;

    /// Ends when the attempt should stop, and says why. Work that waits for something else waits for this beside it.
    fn until_stopped(&self) -> BoxFuture<Stop>;

    /// Runs short blocking work on a thread for it: what a task calls that must not block.
    fn blocking(&self, work: Box<dyn FnOnce() + Send + 'static>);

    /// The value of a secret, read anew. Blocks, and runs a program where the secret is what one prints.
    fn secret(&self, secret: &Secret) -> Result<String, Failure>;

    /// Writes a copy of the supervisor's own database to a new file, as it is at one moment, and checks it. Waits, and holds
    /// nobody up; ends early when the attempt should stop.
    fn snapshot(&self, to: &Path) -> Result<(), Failure> {
        let message = format!("there is no database to copy to {}", crate::model::text::path(to));
        Err(Failure::permanent("no_database", message))
    }

    /// The gate before every request.
    fn hosts(&self) -> Arc<dyn Hosts>;

    /// Answers that were fetched before.
    fn answers(&self) -> Arc<dyn AnswerCache>;

    /// Runs a child process to its end; see [`ChildSpec`].
    fn child(&self, spec: ChildSpec) -> BoxFuture<Result<ChildExit, Failure>>;

    /// What happened from one time, included, to another, not included. Blocks.
    fn statistics(&self, from: Millis, to: Millis) -> Result<Statistics, Failure> {
        let _ = (from, to);
        Err(Failure::permanent("no_statistics", "there is no history to make statistics of"))
    }

    /// For when the last run of the attempt's task was planned that succeeded; none if there is none. Blocks.
    fn last_success(&self) -> Result<Option<Millis>, Failure> {
        Ok(None)
    }

    /// What there is around the attempt.
    fn surroundings(&self) -> Surroundings {
        Surroundings::default()
    }

    /// Hands a message to an alert channel; returns when it is durable. A second message with the same key is the same
    /// message, so that an attempt that is repeated tells nothing twice. Blocks.
    fn tell(&self, channel: &str, key: &str, message: alert::Message) -> Result<(), Failure> {
        let _ = (key, message);
        let channel = crate::model::block::shown(channel);
        Err(Failure::permanent("no_channel", format!("there are no alert channels here: {channel}")))
    }
}

/// What an attempt may know of the supervisor that it runs in.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The folder for reports.
    pub archive: Option<PathBuf>,
    /// The folders that the configuration names: watched ones, those for originals, the archive and the data.
    pub folders: Vec<PathBuf>,
    /// The zone of the attempt's task.
    pub timezone: Option<chrono_tz::Tz>,
}

impl dyn Desk + '_ {
    /// An error if the attempt should stop; the runtime knows the reason and gives the failure its class.
    pub fn check(&self) -> Result<(), Failure> {
        match self.stopped() {
            None => Ok(()),
            Some(_) => Err(Failure::transient("stopped", "stopped on request")),
        }
    }
}

/// A child process. It runs in its own process group; on cancel, timeout or drain the group is sent TERM, and KILL
/// after `grace`. Its output goes to the job's log line by line, up to the cap.
#[derive(Clone)]
pub struct ChildSpec {
    /// Program name or path; a name without `/` is searched in `PATH`, a relative path starts at `cwd`.
    pub program: OsString,
    /// Arguments, passed as they are.
    pub args: Vec<OsString>,
    /// Variables on top of the inherited allow-list.
    pub env: Vec<(OsString, OsString)>,
    /// Working folder.
    pub cwd: PathBuf,
    /// Time between TERM and KILL.
    pub grace: Duration,
    /// Values that are hidden where the program prints them: the secrets among its variables.
    pub hide: Vec<String>,
}

/// Without the values of the variables: they may be secrets.
impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.env.iter().map(|(name, _)| name).collect();
        let mut shown = f.debug_struct("ChildSpec");
        shown.field("program", &self.program).field("args", &self.args).field("env", &names);
        shown.field("cwd", &self.cwd).field("grace", &self.grace).finish()
    }
}

/// How a child process ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChildExit {
    /// Exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// Signal number, if one ended it.
    pub signal: Option<i32>,
    /// Why it was stopped, if it was.
    pub stopped: Option<Stop>,
    /// The last lines of its output, decoded, at most 4 KiB.
    pub tail: String,
}

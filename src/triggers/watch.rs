//! Notices files that land in watched folders, and hands them on when they are complete.
//!
//! One [`Root`] serves all tasks that watch one folder: of the tasks whose patterns take a file, the one with the
//! highest priority gets it. The thread that calls [`Root::run`] does everything; the `notify` crate adds one thread
//! of its own, which only fills a set of paths.
//!
//! Guarantees: events are hints and the scan is the truth, so a lost event costs time and never a file; nothing is
//! handed on while a process of this host has it open for writing, as far as the kernel tells; links, FIFOs, sockets
//! and devices are never opened; memory is bounded whatever lands. A folder that is gone, or whose file system is not
//! mounted, is waited for and never taken for "all files deleted".
//!
//! Refuses to decide what is new: a [`Landing`] is offered the same file again after a while, and knows.

use crate::model::job::{Facts, Landed};
use crate::model::view::Listed;
use crate::model::{Millis, Task, TaskName, Trigger, Watch};
use globset::GlobMatcher;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

mod events;
mod folder;
mod listing;
mod root;
mod scan;
mod take;
#[cfg(test)]
mod tests;
mod walk;

pub use events::RootControl;
pub use root::Root;

/// Most files handed on in one call of [`Landing::land`]. A further file goes with the next call.
pub const BATCH_MAX: usize = 500;
/// Time from one scan to the next where the file system sends no events.
pub const SCAN_BLIND: Duration = Duration::from_secs(30);
/// Time from one scan to the next where it does.
pub const SCAN_SEEING: Duration = Duration::from_secs(600);
/// A scan is followed by a pause of at least this many times its own length.
pub const SCAN_SHARE: u32 = 30;
/// How often a root makes sure that its folder is still the same one.
pub const CHECK_EVERY: Duration = Duration::from_secs(5);
/// Folders deeper below the root than this are not entered, but listed.
pub const DEPTH_MAX: usize = 64;

/// A folder to watch, and for whom.
#[derive(Clone, Debug)]
pub struct WatchSpec {
    /// The folder, absolute.
    pub dir: PathBuf,
    /// Whether folders below it are watched too.
    pub recursive: bool,
    /// Whether to poll whatever the file system is.
    pub poll: bool,
    /// The tasks that watch it.
    pub tasks: Vec<Arc<Task>>,
    /// Names of files that are still being uploaded; folders with such names are not entered.
    pub ignore: Vec<GlobMatcher>,
    /// Folders that are not entered, absolute.
    pub exclude: Vec<PathBuf>,
    /// Whether files that no task takes are handed to [`Landing::strays`] when they are complete. They are listed
    /// either way.
    pub offer_strays: bool,
}

/// The folders that tasks watch, in the order of the tasks. A folder that lies below another watched one belongs to
/// itself alone, so that no file has two owners.
#[must_use]
pub fn specs(tasks: &[Arc<Task>], ignore: &[GlobMatcher], exclude: &[PathBuf]) -> Vec<WatchSpec> {
    let mut out: Vec<WatchSpec> = Vec::new();
    for task in tasks {
        let Some(watch) = watch_of(task) else { continue };
        let at = out.iter().position(|s| s.dir == watch.dir).unwrap_or_else(|| {
            out.push(WatchSpec {
                dir: watch.dir.clone(),
                recursive: false,
                poll: false,
                tasks: Vec::new(),
                ignore: ignore.to_vec(),
                exclude: exclude.to_vec(),
                offer_strays: false,
            });
            out.len() - 1
        });
        let spec = &mut out[at];
        spec.recursive |= watch.recursive;
        spec.poll |= watch.poll;
        spec.tasks.push(Arc::clone(task));
    }
    let dirs: Vec<PathBuf> = out.iter().map(|s| s.dir.clone()).collect();
    for spec in &mut out {
        spec.exclude.extend(dirs.iter().cloned());
        spec.exclude.retain(|e| *e != spec.dir && e.starts_with(&spec.dir));
    }
    out
}

fn watch_of(task: &Task) -> Option<&Watch> {
    match &task.trigger {
        Trigger::Watch(watch) => Some(watch),
        Trigger::Schedule(_) | Trigger::After(_) | Trigger::Manual => None,
    }
}

/// Where complete files go.
pub trait Landing: Send + Sync {
    /// Puts files into the queue and returns when that is durable. A file that is there already counts as known.
    /// Blocks; called from the root's thread.
    fn land(&self, batch: Vec<Landed>) -> Result<LandedCount, LandError>;

    /// Complete files that no task takes, where [`WatchSpec::offer_strays`] asks for them.
    fn strays(&self, batch: Vec<Stray>) -> Result<(), LandError> {
        drop(batch);
        Ok(())
    }
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LandedCount {
    /// Files that were not known.
    pub new: u64,
    /// Files that were in the queue already, or are not for it.
    pub known: u64,
}

/// Why a batch was not taken. Its files are offered again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LandError {
    /// What is the matter.
    pub message: String,
}

impl fmt::Display for LandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for LandError {}

/// A complete file that no task takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stray {
    /// Its watched root, absolute.
    pub root: PathBuf,
    /// Its path below the root.
    pub path: PathBuf,
    /// What it looked like when it was complete.
    pub facts: Facts,
}

/// What a scan found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanCount {
    /// Folders read.
    pub folders: u64,
    /// Files looked at: temporary names and what no task takes included.
    pub files: u64,
    /// Files handed on that were new.
    pub new: u64,
}

/// The answer to [`RootControl::scan_now`]. Nothing is to be waited for when both numbers are zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanReport {
    /// Files handed on that were new.
    pub new: u64,
    /// Files that are not complete yet, or about which there is news to look into. Files that may not be opened are
    /// not among them.
    pub settling: u64,
    /// Whether the folder was there and the scan came to its end.
    pub complete: bool,
}

/// What a root is doing, for the screen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RootStatus {
    /// The folder.
    pub dir: PathBuf,
    /// Files that settle.
    pub settling: u64,
    /// The same by task; tasks without one are left out.
    pub settling_by_task: BTreeMap<TaskName, u64>,
    /// Files that stay where they are.
    pub listed: Listed,
    /// Why it polls, if it does.
    pub polling: Option<String>,
    /// Whether the folder is not there.
    pub missing: bool,
    /// Whether another file system lies there than at the start: the one that holds the files of queued jobs may not
    /// be mounted.
    pub other_device: bool,
    /// What is wrong, if something is.
    pub problem: Option<String>,
    /// When the last scan ended.
    pub last_scan: Option<Millis>,
    /// How long it took.
    pub last_scan_took: Duration,
    /// How many scans there were.
    pub scans: u64,
    /// How often news was dropped because there was too much of it; each time a scan made up for it.
    pub overflowed: u64,
    /// How often a file was left to a later scan because too many settled at once.
    pub left_to_scan: u64,
}

/// Index of the task that takes a file: tasks are in the order of their rank.
fn taker(tasks: &[Arc<Task>], relative: &Path) -> Option<usize> {
    let is_nested = relative.components().nth(1).is_some();
    tasks
        .iter()
        .position(|task| watch_of(task).is_some_and(|watch| (watch.recursive || !is_nested) && watch.takes(relative)))
}

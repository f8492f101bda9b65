//! The configuration: a TOML file becomes checked tasks, or a list of problems with their places.
//!
//! It guarantees that a [`Config`] is right as far as this can be told without running it, that every problem of a
//! file is reported at once, in the order of the file, and that every path in it is absolute. It refuses a file that
//! somebody else could have written: the file names programs to run.
//!
//! Reading order: `raw` (text to tree), `supervisor`, `files` and `task` (tree to settings), `relations` (what only
//! shows when tasks are seen together).

mod alerts;
pub mod crontab;
mod files;
mod find;
mod init;
mod language;
mod locate;
mod raw;
mod relations;
mod schedule;
mod supervisor;
mod task;
#[cfg(test)]
mod tests;
mod when;

pub use alerts::CHANNELS_MAX;
pub use files::IGNORED;
pub use find::{find, load};
pub use init::{Created, EXAMPLE, init, init_from};
pub use locate::socket_despite;
pub use relations::ROOTS_MAX;
pub use supervisor::{Keep, LogPolicy, Retention};
pub use task::NAME_MAX;

use crate::error::{Problem, Problems, did_you_mean};
use crate::model::action::Kind;
use crate::model::alert::channel::Alerts;
use crate::model::block::{Block, Complaint, Complaints, Entry, Hint, Node, Value};
use crate::model::{Task, Template, Trigger, Unmatched, text};
use globset::GlobMatcher;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Most tasks of one configuration.
pub const TASKS_MAX: usize = 1000;

/// A configuration, checked. Every path is absolute; templates and commands are relative to [`Config::base`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The file that it was read from.
    pub path: PathBuf,
    /// The folder of that file: relative paths start here.
    pub base: PathBuf,
    /// The folder of the database, the log and the socket.
    pub data_dir: PathBuf,
    /// Most jobs that run at once; at least 1.
    pub workers: usize,
    /// Memory that all jobs have together for what they hold of their inputs and outputs, in bytes.
    pub memory: u64,
    /// Most jobs that wait for the network at once.
    pub connections: u32,
    /// Most bytes of answers that are kept.
    pub answers: u64,
    /// How long a stop waits for running jobs.
    pub drain: Duration,
    /// Whether systemd starts the supervisor, so that the dashboard does not.
    pub managed_by_systemd: bool,
    /// An input given by hand must lie below one of these.
    pub input_roots: Vec<PathBuf>,
    /// The group whose members may use the socket; none: the owner alone.
    pub group: Option<String>,
    /// The folder for originals that succeeded, unless a task has its own.
    pub processed: Template,
    /// The folder for originals that failed, unless a task has its own.
    pub failed: Template,
    /// The folder for reports.
    pub archive: PathBuf,
    /// What becomes of a file that no task takes.
    pub unmatched: Unmatched,
    /// Names that are not yet files; see [`Config::ignores`].
    pub ignore: Vec<GlobMatcher>,
    /// Their spellings.
    pub ignore_patterns: Vec<String>,
    /// How long the history is kept.
    pub retention: Retention,
    /// How much log is kept.
    pub log: LogPolicy,
    /// Who is told what goes wrong.
    pub alerts: Alerts,
    /// The tasks, in the order of the file.
    pub tasks: Vec<Arc<Task>>,
    /// Hash of what the file means; layout and comments do not count.
    pub hash: String,
}

impl Config {
    /// The socket of the supervisor.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        locate::socket_in(&self.data_dir)
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.data_dir.join("shiftboss.db")
    }

    /// The file that the supervisor holds locked while it runs.
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.data_dir.join("lock")
    }

    /// The task with this name.
    #[must_use]
    pub fn task(&self, name: &str) -> Option<&Arc<Task>> {
        self.tasks.iter().find(|t| &*t.name == name)
    }

    /// Whether a file name belongs to a file that is still being written.
    #[must_use]
    pub fn ignores(&self, name: &OsStr) -> bool {
        self.ignore.iter().any(|m| m.is_match(name))
    }

    /// The watched folders, each once, in the order of the file.
    #[must_use]
    pub fn roots(&self) -> Vec<&Path> {
        let mut roots: Vec<&Path> = Vec::new();
        for task in &self.tasks {
            if let Trigger::Watch(watch) = &task.trigger
                && !roots.contains(&watch.dir.as_path())
            {
                roots.push(&watch.dir);
            }
        }
        roots
    }
}

/// Checks the text of a configuration. `path` is absolute, and nothing is read from the disk: folders need not exist.
///
/// # Errors
/// Every problem of the text, in the order of its place.
pub fn parse(path: &Path, source: &str, kinds: &[&dyn Kind]) -> Result<Config, Problems> {
    let sink = Complaints::default();
    let config = raw::read(source, &sink).map(|root| build(path, source, &root, kinds, &sink));
    let list: Vec<Problem> = sink.into_sorted().into_iter().map(problem).collect();
    match config {
        Some(config) if list.is_empty() => Ok(config),
        _ => Err(Problems { path: path.to_owned(), source: source.to_owned(), list }),
    }
}

/// Builds what can be built; it is worth something only if nothing was reported.
fn build<'a>(path: &'a Path, source: &str, root: &'a Node, kinds: &[&dyn Kind], sink: &'a Complaints) -> Config {
    let base = path.parent().unwrap_or(Path::new("/"));
    let mut block = Block::open("", root, base, sink);
    let top = supervisor::supervisor(&mut block, base);
    let group = supervisor::group(&mut block);
    let files = files::files(&mut block, base);
    let retention = supervisor::retention(&mut block);
    let mut tasks = supervisor::section(&mut block, "tasks");
    let entries = task_entries(&mut tasks);

    let defaults = task::Defaults {
        kinds,
        workers: top.workers,
        processed: &files.processed,
        failed: &files.failed,
        timezone: find::local_zone(),
        source,
    };
    let read = |e: &'a Entry| task::task(tasks.below(&e.key, &e.node), e, &defaults);
    let drafts: Vec<_> = entries.iter().filter_map(read).collect();
    let names: Vec<&str> = entries.iter().map(|e| e.key.as_str()).collect();
    let log = supervisor::log(&mut block, &names);
    let channels = alerts::alerts(&mut block, &names);
    let told: Vec<&str> = match block.entry("alerts").map(|entry| &entry.node.value) {
        Some(Value::Table(entries)) => entries.iter().map(|e| e.key.as_str()).collect(),
        _ => Vec::new(),
    };
    let (data_dir, ignore) = (top.data_dir.as_path(), files.ignore.as_slice());
    let around = relations::Surroundings { base, path, data_dir, ignore, channels: &told, names: &names };
    relations::check(&around, &drafts, sink);

    let mut canonical = String::new();
    raw::canonical(root, &mut canonical);
    let (ignore, ignore_patterns) = files.ignore.into_iter().map(|p| (p.matcher, p.text.value)).unzip();
    let mut config = Config {
        path: path.to_owned(),
        base: base.to_owned(),
        data_dir: top.data_dir,
        workers: top.workers,
        memory: top.memory,
        connections: top.connections,
        answers: top.answers,
        drain: top.drain,
        managed_by_systemd: top.managed_by_systemd,
        input_roots: Vec::new(),
        group,
        processed: files.processed.template,
        failed: files.failed.template,
        archive: files.archive,
        unmatched: files.unmatched,
        ignore,
        ignore_patterns,
        retention,
        log,
        alerts: Alerts { channels, heartbeat: top.heartbeat },
        tasks: drafts.into_iter().map(|d| d.task).collect(),
        hash: raw::hash(&canonical),
    };
    config.input_roots = top.input_roots.unwrap_or_else(|| {
        let watched = config.roots().into_iter().map(Path::to_owned);
        std::iter::once(base.to_owned()).chain(watched).collect()
    });
    config
}

fn task_entries<'a>(tasks: &mut Block<'a>) -> &'a [Entry] {
    let entries = tasks.entries();
    entries.iter().for_each(|e| tasks.ask(&e.key));
    if let Some(entry) = entries.get(TASKS_MAX) {
        let message = format!("more than {TASKS_MAX} tasks: {}", entries.len());
        tasks.problem(Complaint::new(entry.key_span.clone(), message).hint("split them over several supervisors"));
    }
    &entries[..entries.len().min(TASKS_MAX)]
}

/// Most words that a hint lists when none of them is near.
const LISTED_MAX: usize = 16;

fn problem(complaint: Complaint) -> Problem {
    let hint = match complaint.hint {
        None => None,
        Some(Hint::Text(hint)) => Some(hint),
        Some(Hint::Known { word, known }) => match did_you_mean(&word, known.iter().map(String::as_str)) {
            Some(near) => Some(format!("did you mean `{}`?", text::escape(near))),
            None if known.is_empty() || known.len() > LISTED_MAX => None,
            None => Some(format!("known here: {}", known.join(", "))),
        },
    };
    Problem { span: complaint.span, message: complaint.message, hint }
}

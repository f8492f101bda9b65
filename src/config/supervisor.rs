//! The sections about the supervisor itself: `[supervisor]`, `[control]`, `[retention]` and `[log]`.
//!
//! Every setting has a default that is safe on a small server. Ranges refuse what could only be a slip.

use crate::model::action::Level;
use crate::model::alert::channel::Heartbeat;
use crate::model::block::{Block, Complaint, Node, Value, absolute, shown};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The data folder unless the configuration names one.
pub(super) const DATA_DIR: &str = "data";

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// As long as in a time span's `1y`.
const YEAR: Duration = Duration::from_secs(31_557_600);

/// Workers and connections that a machine of this decade can carry.
pub(super) const WORKERS: RangeInclusive<i64> = 1..=1024;

/// Memory for all jobs together unless the configuration says otherwise. Jobs beyond it wait.
const MEMORY_DEFAULT: u64 = 512 << 20;
/// Less than this does not hold one job with a few long records; more has no machine.
const MEMORY: RangeInclusive<u64> = 64 << 20..=1 << 50;

/// Jobs that wait for the network at once, unless the configuration says otherwise. Others wait in the queue.
const CONNECTIONS_DEFAULT: u32 = 256;
/// What a process may have open on a large server.
const CONNECTIONS: RangeInclusive<i64> = 1..=10_000;

/// Kept answers of other servers, in bytes, unless the configuration says otherwise. The oldest go.
const ANSWERS_DEFAULT: u64 = 256 << 20;
const ANSWERS: RangeInclusive<u64> = 1 << 20..=1 << 50;

/// Stands for a section that is not there.
pub(super) static EMPTY: Node = Node { span: 0..0, value: Value::Table(Vec::new()) };

/// A section, or an empty one in its place.
pub(super) fn section<'a>(root: &mut Block<'a>, key: &str) -> Block<'a> {
    match root.table(key) {
        Some(block) => block,
        None => root.below(key, &EMPTY),
    }
}

/// How long finished jobs are kept, and how many at most. Whichever is passed first ends the keeping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Jobs that ended longer ago are forgotten.
    pub age: Duration,
    /// Beyond this number the oldest are forgotten.
    pub count: u64,
}

/// How long the history is kept. Failures are kept longer than successes: they are rarer, and questions come later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Of jobs that succeeded, were skipped or were cancelled.
    pub succeeded: Keep,
    /// Of jobs that failed. A job whose file still lies in its folder for failures is never forgotten.
    pub failed: Keep,
}

impl Default for Retention {
    fn default() -> Self {
        Self { succeeded: Keep { age: 30 * DAY, count: 100_000 }, failed: Keep { age: 180 * DAY, count: 10_000 } }
    }
}

/// How much log is kept, and how talkative it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPolicy {
    /// Lines of this level and graver are kept.
    pub level: Level,
    /// The same for the lines of single tasks.
    pub tasks: BTreeMap<String, Level>,
    /// Longest segment, in bytes; then the next one is begun.
    pub max_bytes: u64,
    /// Segments kept; the oldest goes when one more is begun.
    pub segments: u32,
    /// Segments whose newest line is older go; none: they go by number alone.
    pub age: Option<Duration>,
}

impl Default for LogPolicy {
    fn default() -> Self {
        Self { level: Level::Info, tasks: BTreeMap::new(), max_bytes: 8 << 20, segments: 8, age: None }
    }
}

/// What `[supervisor]` says.
#[derive(Debug)]
pub(super) struct Supervisor {
    pub(super) data_dir: PathBuf,
    pub(super) workers: usize,
    pub(super) memory: u64,
    pub(super) connections: u32,
    pub(super) answers: u64,
    pub(super) drain: Duration,
    pub(super) managed_by_systemd: bool,
    pub(super) input_roots: Option<Vec<PathBuf>>,
    pub(super) heartbeat: Option<Heartbeat>,
}

pub(super) fn supervisor(root: &mut Block<'_>, base: &Path) -> Supervisor {
    let mut block = section(root, "supervisor");
    Supervisor {
        data_dir: block.path("data_dir").map_or_else(|| base.join(DATA_DIR), |p| p.value),
        workers: workers(&mut block),
        memory: block.size("memory", MEMORY).unwrap_or(MEMORY_DEFAULT),
        connections: block
            .integer("connections", CONNECTIONS)
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(CONNECTIONS_DEFAULT),
        answers: block.size("answer_cache", ANSWERS).unwrap_or(ANSWERS_DEFAULT),
        drain: block.duration("drain", Duration::ZERO..=HOUR).unwrap_or(25 * SECOND),
        managed_by_systemd: block.choice("managed", &[("systemd", true)]).unwrap_or(false),
        input_roots: input_roots(&mut block),
        heartbeat: super::alerts::heartbeat(&mut block),
    }
}

fn workers(block: &mut Block<'_>) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    match block.node("workers") {
        None => cores,
        Some(Node { value: Value::String(word), .. }) if word == "auto" => cores,
        Some(Node { value: Value::Integer(_), .. }) => {
            block.integer("workers", WORKERS).and_then(|n| usize::try_from(n).ok()).unwrap_or(cores)
        }
        Some(node) => {
            let complaint = Complaint::new(node.span.clone(), "`workers` must be a number or \"auto\"");
            block.problem(complaint.hint("\"auto\" is one for each core"));
            cores
        }
    }
}

fn input_roots(block: &mut Block<'_>) -> Option<Vec<PathBuf>> {
    let base = block.base();
    let list = block.strings("input_roots")?;
    for root in list.iter().filter(|r| r.value.is_empty() || r.value.contains('\0')) {
        block.problem(Complaint::new(root.span.clone(), format!("not a path: {}", shown(&root.value))));
    }
    Some(list.iter().map(|r| absolute(base, Path::new(&r.value))).collect())
}

/// What `[control]` says: the group whose members may use the socket.
pub(super) fn group(root: &mut Block<'_>) -> Option<String> {
    let mut block = section(root, "control");
    let group = block.string("group")?;
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '$');
    if group.value.is_empty() || group.value.len() > 32 || !group.value.chars().all(good) {
        let complaint = Complaint::new(group.span, format!("not the name of a group: {}", shown(&group.value)));
        block.problem(complaint.hint("see `getent group` for the groups of this host"));
        return None;
    }
    Some(group.value)
}

/// What `[retention]` says.
pub(super) fn retention(root: &mut Block<'_>) -> Retention {
    let mut block = section(root, "retention");
    let default = Retention::default();
    let mut keep = |key: &str, default: Keep| {
        let mut table = section(&mut block, key);
        Keep {
            age: table.duration("age", HOUR..=100 * YEAR).unwrap_or(default.age),
            count: table.integer("count", 1..=100_000_000).and_then(|n| u64::try_from(n).ok()).unwrap_or(default.count),
        }
    };
    Retention { succeeded: keep("succeeded", default.succeeded), failed: keep("failed", default.failed) }
}

/// What `[log]` says; `names`: those of the tasks.
pub(super) fn log(root: &mut Block<'_>, names: &[&str]) -> LogPolicy {
    let mut block = section(root, "log");
    let default = LogPolicy::default();
    let levels = Level::ALL.map(|l| (l.name(), l));
    LogPolicy {
        level: block.choice("level", &levels).unwrap_or(default.level),
        tasks: task_levels(&mut block, names),
        max_bytes: block.size("segment", 64 << 10..=1 << 30).unwrap_or(default.max_bytes),
        segments: block.integer("segments", 2..=1000).and_then(|n| u32::try_from(n).ok()).unwrap_or(default.segments),
        age: block.duration("age", DAY..=3660 * DAY),
    }
}

fn task_levels(block: &mut Block<'_>, names: &[&str]) -> BTreeMap<String, Level> {
    let Some(mut table) = block.table("tasks") else { return BTreeMap::new() };
    let mut found = BTreeMap::new();
    for entry in table.entries() {
        if !names.contains(&entry.key.as_str()) {
            table.ask(&entry.key);
            let message = format!("no such task: {}", shown(&entry.key));
            table.problem(Complaint::new(entry.key_span.clone(), message).known(&entry.key, names.iter().copied()));
        } else if let Some(level) = table.choice(&entry.key, &Level::ALL.map(|l| (l.name(), l))) {
            found.insert(entry.key.clone(), level);
        }
    }
    found
}

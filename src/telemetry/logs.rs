//! The one log: what happened to jobs, and what the supervisor says about itself.
//!
//! It guarantees that writing a line never waits for the disk; that numbers rise over restarts; that a line is one
//! line of safe text of at most [`MESSAGE_MAX`] bytes; and that neither memory nor disk grows without bound. What a
//! bound drops is counted, and a line says so. A disk that is full or gone costs lines on disk, never work.

mod query;
mod segments;
#[cfg(test)]
mod tests;

use crate::clock::{Clock, rfc3339};
use crate::model::action::Level;
use crate::model::ports::LogsQuery;
use crate::model::view::{LogLine, LogsPage};
use crate::model::{JobId, text};
pub use query::PAGE_MAX;
use query::Wanted;
pub use segments::Limits;
use segments::Segments;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::sync::watch;

/// Longest message, in bytes; of a longer one the beginning is kept, and how much was cut.
pub const MESSAGE_MAX: usize = 4 * 1024;
/// Most lines in memory for fast reads; the oldest goes first and is read from disk.
const RING_LINES: usize = 10_000;
/// Most bytes of them.
const RING_BYTES: usize = 4 * 1024 * 1024;
/// Most lines that wait for the disk. Further ones are kept in memory only, and counted. Less than the ring holds,
/// so that what waits can still be read.
const PENDING_LINES: usize = 8_000;
/// Most bytes of them.
const PENDING_BYTES: usize = 3 * 1024 * 1024;
/// What a line takes in memory beside its texts, in bytes.
const LINE_COST: usize = 160;
/// The part of the supervisor that lines about the log itself come from.
const TARGET: &str = "log";
/// How much of the end of the newest file is read at the start, in bytes; the first line in it may be cut, and is left out.
const TAIL: usize = 256 * 1024;

/// The log. Cheap to call from anywhere; [`Log::flush`] and [`Log::page`] read and write files and belong on a thread
/// for blocking work.
pub struct Log {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Taken before `state`, never after it.
    disk: Mutex<Segments>,
    newest: watch::Sender<u64>,
    writes: bool,
    levels: RwLock<Levels>,
}

/// How talkative the log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels {
    /// Lines of this level and graver are kept.
    pub level: Level,
    /// The same for the lines of single tasks.
    pub tasks: BTreeMap<String, Level>,
}

impl Default for Levels {
    fn default() -> Self {
        Self { level: Level::Debug, tasks: BTreeMap::new() }
    }
}

#[derive(Default)]
struct State {
    /// Number of the next line.
    next: u64,
    ring: VecDeque<Arc<LogLine>>,
    ring_bytes: usize,
    pending: Vec<Arc<LogLine>>,
    pending_bytes: usize,
    /// Lines that found no room in `pending` since the last flush.
    dropped: u64,
    /// The error that keeps lines from the disk, and how many it cost so far.
    failing: Option<(String, u64)>,
}

impl Log {
    /// Opens the log in a folder, or begins it. A folder that cannot be written is told by the first flush and by
    /// [`Log::trouble`]; the log then lives in memory.
    pub fn open(dir: PathBuf, limits: Limits, clock: Arc<dyn Clock>) -> Self {
        Self::new(dir, limits, clock, true)
    }

    /// Opens the log of another process for reading. Its lines of this moment are all that is seen.
    pub fn read_only(dir: PathBuf, clock: Arc<dyn Clock>) -> Self {
        Self::new(dir, Limits::default(), clock, false)
    }

    fn new(dir: PathBuf, limits: Limits, clock: Arc<dyn Clock>, writes: bool) -> Self {
        let mut disk = Segments::new(dir, limits);
        let mut state = State { next: 1, ..State::default() };
        if let Err(e) = disk.find(writes)
            && writes
        {
            state.failing = Some((format!("cannot write the log in {}: {e}", text::path(disk.dir())), 0));
        }
        if let Some(last) = disk.list().last() {
            state.next = last.first.max(1);
            let whole = last.read();
            // What came before is read from disk by whoever asks for it.
            let tail = &whole[whole.len().saturating_sub(TAIL)..];
            for raw in tail.split(|c| *c == b'\n') {
                if let Ok(line) = serde_json::from_slice::<LogLine>(raw)
                    && line.seq >= state.next
                {
                    state.next = line.seq + 1;
                    state.keep(Arc::new(line));
                }
            }
        }
        let newest = watch::Sender::new(state.next - 1);
        let log =
            Self { clock, state: Mutex::new(state), disk: Mutex::new(disk), newest, writes, levels: RwLock::default() };
        if let Some(trouble) = log.trouble() {
            log.append(Level::Error, None, None, Some(TARGET), &trouble);
        }
        log
    }

    /// Says how talkative the log is from now on; until then everything is kept.
    pub fn set_levels(&self, levels: Levels) {
        *self.levels.write().unwrap_or_else(PoisonError::into_inner) = levels;
    }

    fn keeps(&self, level: Level, task: Option<&str>) -> bool {
        let levels = self.levels.read().unwrap_or_else(PoisonError::into_inner);
        let of_task = task.and_then(|task| levels.tasks.get(task));
        level <= *of_task.unwrap_or(&levels.level)
    }

    /// Adds a line and answers its number; one that is too quiet is left out, and the number is that of the line before.
    /// Never waits for the disk. The message is made safe and cut.
    pub fn append(
        &self,
        level: Level,
        task: Option<&str>,
        job: Option<JobId>,
        target: Option<&str>,
        message: &str,
    ) -> u64 {
        if !self.keeps(level, task) {
            return self.state().next - 1;
        }
        let at = rfc3339(self.clock.now());
        let message = shorten(message);
        let task = task.map(|t| text::escape(t).into_owned());
        let target = target.map(|t| text::escape(t).into_owned());
        let mut state = self.state();
        let seq = state.next;
        state.next += 1;
        let line = Arc::new(LogLine { seq, at, level, task, job, target, message });
        state.keep(line.clone());
        if self.writes {
            state.queue(line);
        }
        drop(state);
        self.newest.send_modify(|newest| *newest = seq.max(*newest));
        seq
    }

    /// Writes what waits to disk. Called a few times a second and at the end; blocks for as long as the disk does.
    pub fn flush(&self) {
        if !self.writes {
            return;
        }
        let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        let (lines, dropped) = {
            let mut state = self.state();
            state.pending_bytes = 0;
            (std::mem::take(&mut state.pending), std::mem::take(&mut state.dropped))
        };
        let written = disk.append(&lines);
        let place = text::path(disk.dir());
        drop(disk);
        if dropped > 0 {
            let message = format!("the disk was slow: lines that are not in the log file: {dropped}");
            self.append(Level::Warn, None, None, Some(TARGET), &message);
        }
        match written {
            Ok(()) if lines.is_empty() => {} // tells nothing about the disk
            Ok(()) => {
                let failing = self.state().failing.take();
                if let Some((_, lost)) = failing {
                    let message = format!("the log is written again: lines that are not in the log file: {lost}");
                    self.append(Level::Warn, None, None, Some(TARGET), &message);
                }
            }
            Err(e) => {
                let message = format!("cannot write the log in {place}: {e}");
                let lost = lines.len() as u64;
                let before = self.state().failing.replace((message.clone(), lost));
                match before {
                    Some((_, earlier)) => self.state().failing = Some((message, earlier + lost)),
                    None => {
                        self.append(Level::Error, None, None, Some(TARGET), &message);
                    }
                }
            }
        }
    }

    /// What keeps lines from the disk, if anything does.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.state().failing.as_ref().map(|(message, _)| message.clone())
    }

    /// The number of the newest line, and a way to wait for the next.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// A page of the log. `from: None`: the last `limit` wanted lines. Otherwise wanted lines from that number on;
    /// `next` goes on behind the last line looked at, wanted or not, and `gap` counts the numbers in between that are
    /// not there any more. A number beyond the newest line starts at the next one. Blocks while it reads files.
    #[must_use]
    pub fn page(&self, query: &LogsQuery) -> LogsPage {
        let wanted = Wanted::new(query);
        match query.from {
            None => self.last(&wanted),
            Some(from) => self.from(from, &wanted),
        }
    }

    fn last(&self, wanted: &Wanted<'_>) -> LogsPage {
        let (mut lines, before, next) = {
            let state = self.state();
            let lines = state.ring.iter().rev().filter(|l| wanted.takes(l)).take(wanted.limit);
            (lines.map(|l| l.as_ref().clone()).collect::<Vec<_>>(), state.front(), state.next)
        };
        if lines.len() < wanted.limit {
            let segments = self.disk.lock().unwrap_or_else(PoisonError::into_inner).list();
            query::backward(&segments, before, wanted, &mut lines);
        }
        lines.reverse();
        LogsPage { lines, next, gap: 0 }
    }

    fn from(&self, from: u64, wanted: &Wanted<'_>) -> LogsPage {
        let (front, next) = {
            let state = self.state();
            (state.front(), state.next)
        };
        let mut page = LogsPage { lines: Vec::new(), next: from.clamp(1, next), gap: 0 };
        if page.next < front {
            let segments = self.disk.lock().unwrap_or_else(PoisonError::into_inner).list();
            if !query::forward(&segments, front, wanted, &mut page) {
                return page;
            }
        }
        query::forward_in_memory(self.state().ring.iter(), wanted, &mut page);
        page
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn keep(&mut self, line: Arc<LogLine>) {
        self.ring_bytes += cost(&line);
        self.ring.push_back(line);
        while self.ring.len() > RING_LINES || self.ring_bytes > RING_BYTES {
            let Some(oldest) = self.ring.pop_front() else { break };
            self.ring_bytes -= cost(&oldest);
        }
    }

    fn queue(&mut self, line: Arc<LogLine>) {
        let bytes = cost(&line);
        if self.pending.len() >= PENDING_LINES || self.pending_bytes + bytes > PENDING_BYTES {
            self.dropped += 1;
            return;
        }
        self.pending_bytes += bytes;
        self.pending.push(line);
    }

    /// Number of the oldest line in memory; of the next line, if there is none.
    fn front(&self) -> u64 {
        self.ring.front().map_or(self.next, |l| l.seq)
    }
}

fn cost(line: &LogLine) -> usize {
    let len = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    LINE_COST + line.message.len() + len(&line.task) + len(&line.target)
}

/// A message as one line of safe text, cut.
fn shorten(message: &str) -> String {
    // Escaping makes text longer, never shorter: what lies behind the bound would be cut anyway.
    let head = &message[..floor(message, MESSAGE_MAX)];
    let safe = text::escape(head);
    if safe.len() <= MESSAGE_MAX && head.len() == message.len() {
        return safe.into_owned();
    }
    let mark = format!("… ({} bytes)", message.len());
    format!("{}{mark}", &safe[..floor(&safe, MESSAGE_MAX - mark.len())])
}

/// The last character boundary of a text at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
}

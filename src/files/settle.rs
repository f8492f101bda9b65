//! When is a file that landed complete? Pure rules: no I/O, no clock of its own.
//!
//! - Renamed in: at once.
//! - Closed by its writer: when it has not changed for the settle time since.
//! - Found by a scan: when it has not changed for the settle time. A change time that lies further back than that
//!   counts, so that what was there before us does not wait.
//! - Seen being written, and not closed: as above, but only if the kernel says that nobody has it open for writing.
//!   Where the kernel cannot say, after [`UNPROVEN`] without a change.
//!
//! Any change starts the settle time again. All waiting is measured on a clock that never jumps, from our own first
//! sight, so that a change time in the future, or a clock set back, delays a file by one settle time at most.
//!
//! The table holds at most [`CANDIDATES_MAX`] files. When it is full, a further file is not noted: [`Settler::observe`]
//! says so, and the caller scans again when there is room.

use crate::model::job::Facts;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Most files that settle at once in one watched folder.
pub const CANDIDATES_MAX: usize = 65_536;
/// Without a change for this long, a file counts as complete although its close was never seen and the kernel does
/// not say whether it is open.
pub const UNPROVEN: Duration = Duration::from_secs(600);
/// Shortest time until a file that was not complete is looked at again.
pub const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// When a file that may not be opened is looked at again, unless it changes before.
pub const DENIED_AGAIN: Duration = Duration::from_secs(300);

/// A moment on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Time since some fixed start; never jumps.
    pub mono: Duration,
    /// Nanoseconds since the Unix epoch; only compared with change times of files.
    pub wall_ns: i64,
}

/// What is compared to see whether a file changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Print {
    /// Identity, size and time of modification.
    pub facts: Facts,
    /// Time of the last change of content or attributes, in nanoseconds since the Unix epoch.
    pub ctime_ns: i64,
}

impl Print {
    /// Whether nothing changed between two looks.
    #[must_use]
    pub const fn same(&self, other: &Self) -> bool {
        self.facts.same(&other.facts) && self.ctime_ns == other.ctime_ns
    }
}

impl From<&super::dir::Stat> for Print {
    fn from(stat: &super::dir::Stat) -> Self {
        Self { facts: stat.facts, ctime_ns: stat.ctime_ns }
    }
}

/// How a file came to our notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It was renamed to its name: whoever wrote it had finished.
    Renamed,
    /// A process that had it open for writing closed it.
    Closed,
    /// It was made or written to, and its writer has not closed it yet.
    Open,
    /// It was there when we looked.
    Scanned,
}

/// How long a file of some task has to be unchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Index of the task that takes it.
    pub task: usize,
    /// The settle time.
    pub settle: Duration,
    /// How far the file system's clock may be from ours; zero on a local one.
    pub skew: Duration,
}

/// A file that is not complete yet, as far as we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// What it looked like.
    pub print: Print,
    /// How it came.
    pub arrival: Arrival,
    /// Whose rule it waits by.
    pub rule: Rule,
    /// Whether it waits for a permission and not for its writer.
    pub denied: bool,
    changed: Duration,
    due: Duration,
}

/// What a close look at a due file means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It can be taken.
    Complete,
    /// It is not what it was: it settles again.
    Changed,
    /// It may still be written to.
    Busy,
}

impl Candidate {
    /// A file found by a scan that has been unchanged for its settle time already.
    #[must_use]
    pub const fn settled(print: Print, rule: Rule, now: Now) -> Self {
        Self { print, arrival: Arrival::Scanned, rule, denied: false, changed: now.mono, due: now.mono }
    }

    /// Judges a look at the open file: what it is now, and whether the kernel says that a process writes to it.
    #[must_use]
    pub fn judge(&self, print: &Print, writer_open: Option<bool>, now: Now) -> Verdict {
        if !self.print.same(print) {
            return Verdict::Changed;
        }
        match (writer_open, self.arrival) {
            (Some(true), _) => Verdict::Busy,
            (None, Arrival::Open) if now.mono.saturating_sub(self.changed) < UNPROVEN => Verdict::Busy,
            _ => Verdict::Complete,
        }
    }
}

/// Whether a file found by a scan has been unchanged for its settle time already, so that it need not be noted.
#[must_use]
pub fn settled_before(print: &Print, rule: Rule, now: Now) -> bool {
    unchanged_for(print, rule, now) >= rule.settle
}

/// How long a file has been unchanged, by its change time. Zero where that lies in the future.
fn unchanged_for(print: &Print, rule: Rule, now: Now) -> Duration {
    let age = u64::try_from(now.wall_ns.saturating_sub(print.ctime_ns)).unwrap_or(0);
    Duration::from_nanos(age).saturating_sub(rule.skew)
}

/// The files of one watched folder that settle.
#[derive(Debug, Default)]
pub struct Settler {
    files: HashMap<Arc<Path>, Candidate>,
    order: BTreeSet<(Duration, Arc<Path>)>,
    by_task: Vec<u64>,
    refused: u64,
}

impl Settler {
    /// An empty table for tasks with these indices.
    #[must_use]
    pub fn new(tasks: usize) -> Self {
        Self { by_task: vec![0; tasks], ..Self::default() }
    }

    /// Notes a look at a file by its path below the watched folder. False when the table is full and the file is not
    /// in it.
    pub fn observe(&mut self, path: &Path, print: Print, arrival: Arrival, rule: Rule, now: Now) -> bool {
        let settle = now.mono + rule.settle;
        let Some(known) = self.files.get(path).copied() else {
            let due = match arrival {
                Arrival::Renamed => now.mono,
                Arrival::Closed | Arrival::Open => settle,
                Arrival::Scanned => settle - unchanged_for(&print, rule, now).min(rule.settle),
            };
            return self.insert(path, Candidate { print, arrival, rule, denied: false, changed: now.mono, due });
        };
        let fresh = Candidate { print, arrival, rule, denied: false, changed: now.mono, due: settle };
        let next = match (arrival, known.print.same(&print)) {
            (Arrival::Renamed, _) => Candidate { due: now.mono, ..fresh },
            // Two writes in one tick of the file system's clock look the same: the event counts.
            (Arrival::Closed | Arrival::Open, _) => fresh,
            (Arrival::Scanned, true) => Candidate { rule, ..known },
            (Arrival::Scanned, false) => Candidate {
                arrival: if known.arrival == Arrival::Renamed { Arrival::Closed } else { known.arrival },
                ..fresh
            },
        };
        self.insert(path, next)
    }

    /// Lets a due file wait for another settle time.
    pub fn postpone(&mut self, path: &Path, now: Now) {
        if let Some(known) = self.files.get(path).copied() {
            let due = now.mono + known.rule.settle.max(LOOK_AGAIN);
            self.insert(path, Candidate { due, denied: false, ..known });
        }
    }

    /// Lets a due file that may not be opened wait for [`DENIED_AGAIN`], or for a change.
    pub fn deny(&mut self, path: &Path, now: Now) {
        if let Some(known) = self.files.get(path).copied() {
            self.insert(path, Candidate { due: now.mono + DENIED_AGAIN, denied: true, ..known });
        }
    }

    /// The file as noted.
    #[must_use]
    pub fn get(&self, path: &Path) -> Option<&Candidate> {
        self.files.get(path)
    }

    /// Forgets a file: it was taken, or is gone.
    pub fn remove(&mut self, path: &Path) {
        if let Some((path, old)) = self.files.remove_entry(path) {
            self.order.remove(&(old.due, path));
            self.count(old, -1);
        }
    }

    /// Forgets every file.
    pub fn clear(&mut self) {
        *self = Self { refused: self.refused, ..Self::new(self.by_task.len()) };
    }

    /// After events were lost: a close may be among them, so that nobody waits for one any more.
    pub fn events_lost(&mut self) {
        for file in self.files.values_mut().filter(|f| f.arrival == Arrival::Open) {
            file.arrival = Arrival::Scanned;
        }
    }

    /// Up to `max` files whose time has come, the longest due first. They stay in the table: the caller removes,
    /// observes, postpones or denies each.
    #[must_use]
    pub fn due(&self, now: Now, max: usize) -> Vec<(Arc<Path>, Candidate)> {
        self.order
            .iter()
            .take_while(|(due, _)| *due <= now.mono)
            .take(max)
            .filter_map(|(_, path)| self.files.get_key_value(path).map(|(p, c)| (Arc::clone(p), *c)))
            .collect()
    }

    /// When the next file is due, on the clock that never jumps.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        self.order.first().map(|(due, _)| *due)
    }

    /// Files in the table.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether the table is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Files that settle, for each task; those that wait for a permission are not among them.
    #[must_use]
    pub fn settling(&self) -> &[u64] {
        &self.by_task
    }

    /// How often a file was not noted because the table was full.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    fn insert(&mut self, path: &Path, candidate: Candidate) -> bool {
        let key = match self.files.remove_entry(path) {
            Some((key, old)) => {
                self.order.remove(&(old.due, Arc::clone(&key)));
                self.count(old, -1);
                key
            }
            None if self.files.len() >= CANDIDATES_MAX => {
                self.refused += 1;
                return false;
            }
            None => Arc::from(path),
        };
        self.order.insert((candidate.due, Arc::clone(&key)));
        self.count(candidate, 1);
        self.files.insert(key, candidate);
        true
    }

    fn count(&mut self, candidate: Candidate, by: i64) {
        if candidate.denied {
            return;
        }
        if let Some(n) = self.by_task.get_mut(candidate.rule.task) {
            *n = n.saturating_add_signed(by);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule { task: 0, settle: Duration::from_secs(2), skew: Duration::ZERO };
    const START_NS: i64 = 1_700_000_000_000_000_000;

    fn at(seconds: f64) -> Now {
        let mono = Duration::from_secs_f64(seconds);
        Now { mono, wall_ns: START_NS + i64::try_from(mono.as_nanos()).unwrap() }
    }

    /// A file of `size` bytes that changed last at `seconds` on our clock.
    fn print(size: u64, seconds: i64) -> Print {
        let facts = Facts { ino: 1, size, ..Facts::default() };
        Print { facts, ctime_ns: START_NS + seconds * 1_000_000_000 }
    }

    fn due(s: &Settler, seconds: f64) -> bool {
        !s.due(at(seconds), 10).is_empty()
    }

    fn path() -> &'static Path {
        Path::new("a.csv")
    }

    fn seen(size: u64, changed: i64, arrival: Arrival, seconds: f64) -> Settler {
        let mut s = Settler::new(1);
        assert!(s.observe(path(), print(size, changed), arrival, RULE, at(seconds)));
        s
    }

    #[test]
    fn each_arrival_has_its_own_patience() {
        assert!(due(&seen(1, 0, Arrival::Renamed, 0.0), 0.0));
        for arrival in [Arrival::Closed, Arrival::Open, Arrival::Scanned] {
            let s = seen(1, 0, arrival, 0.0);
            assert!(!due(&s, 1.9), "{arrival:?}");
            assert!(due(&s, 2.0), "{arrival:?}");
        }
        let old = seen(1, -100, Arrival::Scanned, 0.0);
        assert!(due(&old, 0.0) && settled_before(&print(1, -100), RULE, at(0.0)));
        let young = seen(1, 0, Arrival::Scanned, 1.5);
        assert_eq!(young.next_due(), Some(Duration::from_secs(2)));
    }

    #[test]
    fn a_clock_that_is_wrong_delays_by_one_settle_time() {
        let future = seen(1, 1_000_000, Arrival::Scanned, 0.0);
        assert_eq!(future.next_due(), Some(Duration::from_secs(2)));
        // A file server whose clock is behind makes a file look old while it is being written.
        let remote = Rule { skew: Duration::from_secs(300), ..RULE };
        assert!(!settled_before(&print(1, -100), remote, at(0.0)));
        assert!(settled_before(&print(1, -302), remote, at(0.0)));
        let ages = Print { ctime_ns: i64::MIN, ..print(1, 0) };
        assert!(settled_before(&ages, RULE, at(0.0)));
    }

    #[test]
    fn a_change_starts_the_settle_time_again() {
        let mut s = seen(1, 0, Arrival::Closed, 0.0);
        s.observe(path(), print(2, 1), Arrival::Scanned, RULE, at(1.0));
        assert_eq!(s.next_due(), Some(Duration::from_secs(3)));
        s.observe(path(), print(2, 1), Arrival::Scanned, RULE, at(2.5));
        assert_eq!(s.next_due(), Some(Duration::from_secs(3)), "an unchanged look does not delay");
        s.observe(path(), print(2, 1), Arrival::Open, RULE, at(2.9));
        assert_eq!(s.next_due(), Some(Duration::from_millis(4900)), "a write within one tick does");
    }

    #[test]
    fn a_late_write_to_a_renamed_file_makes_it_settle() {
        let mut s = seen(1, 0, Arrival::Renamed, 0.0);
        s.observe(path(), print(2, 0), Arrival::Scanned, RULE, at(0.0));
        assert!(!due(&s, 1.0) && due(&s, 2.0));
        assert_eq!(s.get(path()).unwrap().arrival, Arrival::Closed);
    }

    #[test]
    fn the_verdict_needs_proof() {
        let open = *seen(1, 0, Arrival::Open, 0.0).get(path()).unwrap();
        assert_eq!(open.judge(&print(1, 0), Some(false), at(2.0)), Verdict::Complete);
        assert_eq!(open.judge(&print(1, 0), Some(true), at(9_999.0)), Verdict::Busy);
        assert_eq!(open.judge(&print(1, 0), None, at(2.0)), Verdict::Busy);
        assert_eq!(open.judge(&print(1, 0), None, at(600.0)), Verdict::Complete);
        assert_eq!(open.judge(&print(1, 1), Some(false), at(2.0)), Verdict::Changed);
        let closed = *seen(1, 0, Arrival::Closed, 0.0).get(path()).unwrap();
        assert_eq!(closed.judge(&print(1, 0), None, at(2.0)), Verdict::Complete);
        assert_eq!(closed.judge(&print(1, 0), Some(true), at(2.0)), Verdict::Busy);
    }

    #[test]
    fn lost_events_may_hold_the_close() {
        let mut s = seen(1, 0, Arrival::Open, 0.0);
        s.events_lost();
        assert_eq!(s.get(path()).unwrap().judge(&print(1, 0), None, at(2.0)), Verdict::Complete);
    }

    #[test]
    fn a_denied_file_waits_long_and_does_not_count_as_settling() {
        let mut s = seen(1, 0, Arrival::Closed, 0.0);
        assert_eq!(s.settling(), [1]);
        s.deny(path(), at(2.0));
        assert_eq!((s.settling(), s.len()), (&[0][..], 1));
        s.observe(path(), print(1, 0), Arrival::Scanned, RULE, at(10.0));
        assert!(!due(&s, 301.0) && due(&s, 302.0));
        s.observe(path(), print(1, 11), Arrival::Scanned, RULE, at(11.0));
        assert!(due(&s, 13.0) && !s.get(path()).unwrap().denied);
        s.postpone(path(), at(13.0));
        assert!(!due(&s, 14.9) && due(&s, 15.0));
        s.remove(path());
        assert_eq!((s.settling(), s.len(), s.next_due()), (&[0][..], 0, None));
    }

    #[test]
    fn the_table_is_bounded() {
        let mut s = Settler::new(1);
        let one = |s: &mut Settler, n: usize| {
            s.observe(Path::new(&n.to_string()), print(1, 0), Arrival::Closed, RULE, at(0.0))
        };
        assert!((0..CANDIDATES_MAX).all(|n| one(&mut s, n)));
        assert!(!one(&mut s, CANDIDATES_MAX));
        assert!(one(&mut s, 5), "a known file is still noted");
        assert_eq!((s.len(), s.refused()), (CANDIDATES_MAX, 1));
        assert_eq!(s.due(at(2.0), 500).len(), 500);
        s.clear();
        assert!(s.is_empty() && s.next_due().is_none());
    }
}

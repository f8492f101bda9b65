//! One watched folder: its handle, its watcher, its clock, and the order of work in a turn.

use super::events::{Hint, RootControl};
use super::listing::{Listing, Offered, Reason};
use super::take::Batch;
use super::{Landing, RootStatus, SCAN_BLIND, SCAN_SEEING, SCAN_SHARE, ScanCount, ScanReport, WatchSpec};
use crate::clock::Clock;
use crate::files::dir::{Dir, Kind, Stat};
use crate::files::settle::{Arrival, CANDIDATES_MAX, Now, Print, Rule, Settler};
use crate::model::{Millis, Task, text};
use notify::RecommendedWatcher;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Settle time of files that no task takes, and the least one on a file system of another host.
const SETTLE_STRAY: Duration = Duration::from_secs(2);
const SETTLE_REMOTE: Duration = Duration::from_secs(30);
/// How far the clock of another host's file system may be from ours without a file looking settled too early.
const SKEW_REMOTE: Duration = Duration::from_secs(300);
/// After a batch was refused, and after an unfinished scan, nothing is offered for this long.
const LAND_AGAIN: Duration = Duration::from_secs(5);
/// Shortest time between two scans that events ask for.
const SCAN_GAP: Duration = Duration::from_secs(1);

/// A watched folder. See [`super`].
pub struct Root {
    pub(super) spec: WatchSpec,
    /// The tasks, highest priority first: the first that takes a file gets it.
    pub(super) tasks: Vec<Arc<Task>>,
    /// The excluded folders below the root, by their paths from it.
    pub(super) excluded: HashSet<PathBuf>,
    pub(super) control: RootControl,
    pub(super) settler: Settler,
    pub(super) listing: Listing,
    pub(super) offered: Offered,
    pub(super) dir: Option<Dir>,
    pub(super) watcher: Option<RecommendedWatcher>,
    /// Nothing is handed on before this time: the last batch was refused.
    pub(super) held_until: Duration,
    /// A file found no room in the table since the last scan.
    pub(super) crowded: bool,
    pub(super) scan_problem: Option<String>,
    pub(super) land_problem: Option<String>,
    pub(super) scans: u64,
    pub(super) clock: Arc<dyn Clock>,
    mono: Box<dyn Fn() -> Duration + Send>,
    pub(super) first_device: Option<u64>,
    pub(super) remote: Option<&'static str>,
    pub(super) limited: Option<String>,
    pub(super) folder_problem: Option<String>,
    pub(super) watch_again: Duration,
    pub(super) next_check: Duration,
    pub(super) next_scan: Duration,
    last_scan: Option<Millis>,
    last_scan_end: Duration,
    last_scan_took: Duration,
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Root").field("dir", &self.spec.dir).finish_non_exhaustive()
    }
}

impl Root {
    /// A root that has not looked yet.
    #[must_use]
    pub fn new(spec: WatchSpec, clock: Arc<dyn Clock>) -> Self {
        let start = Instant::now();
        Self::with_monotonic(spec, clock, Box::new(move || start.elapsed()))
    }

    /// The same with a clock of the caller's for settle times: time since some start, which must never go back.
    #[must_use]
    pub fn with_monotonic(spec: WatchSpec, clock: Arc<dyn Clock>, mono: Box<dyn Fn() -> Duration + Send>) -> Self {
        let mut tasks = spec.tasks.clone();
        tasks.sort_by_key(|task| std::cmp::Reverse(task.priority)); // stable: equal ones stay in order
        let below = |path: &PathBuf| path.strip_prefix(&spec.dir).ok().map(Path::to_owned);
        let excluded = spec.exclude.iter().filter_map(below).filter(|e| !e.as_os_str().is_empty()).collect();
        let control = RootControl::default();
        control.set_status(|status| status.dir.clone_from(&spec.dir));
        Self {
            settler: Settler::new(tasks.len() + 1), // the last one is for strays
            tasks,
            excluded,
            control,
            listing: Listing::default(),
            offered: Offered::default(),
            dir: None,
            watcher: None,
            held_until: Duration::ZERO,
            crowded: false,
            scan_problem: None,
            land_problem: None,
            scans: 0,
            clock,
            mono,
            first_device: None,
            remote: None,
            limited: None,
            folder_problem: None,
            watch_again: Duration::ZERO,
            next_check: Duration::ZERO,
            next_scan: Duration::ZERO,
            last_scan: None,
            last_scan_end: Duration::ZERO,
            last_scan_took: Duration::ZERO,
            spec,
        }
    }

    /// The handle by which others stop it, ask it for a scan and see what it does.
    #[must_use]
    pub fn control(&self) -> RootControl {
        self.control.clone()
    }

    /// Opens the folder, begins to watch it and scans it, before the supervisor says that it is ready. An error says
    /// why the folder could not be scanned; [`Root::run`] tries again.
    pub fn first_scan(&mut self, landing: &dyn Landing) -> io::Result<ScanCount> {
        self.check_folder();
        let count = if self.dir.is_some() { self.scan(landing) } else { Err(io::ErrorKind::NotFound.into()) };
        self.publish();
        count.map_err(|e| match self.problem() {
            Some(problem) => io::Error::new(e.kind(), problem),
            None => e,
        })
    }

    /// Works until [`RootControl::stop`] is called. Blocks its thread.
    pub fn run(mut self, landing: &dyn Landing) {
        while !self.control.is_stopped() {
            let wait = self.turn(landing);
            self.control.wait(wait);
        }
    }

    /// Looks at everything that came in and everything that is due. Returns how long nothing is due by itself.
    pub fn turn(&mut self, landing: &dyn Landing) -> Duration {
        if self.now().mono >= self.next_check {
            self.check_folder();
        }
        let news = self.control.take();
        if news.lost {
            self.settler.events_lost();
        }
        let wants_scan = news.wants_scan();
        if let Some(why) = news.blind {
            self.poll_because(why);
        }
        let mut new = 0;
        if self.dir.is_some() {
            let mut hints: Vec<(PathBuf, Hint)> = news.hints.into_iter().collect();
            hints.sort_unstable_by(|a, b| a.0.cmp(&b.0)); // names of one folder together: it is opened once
            new += self.follow(&hints, landing);
            if self.now().mono >= self.held_until {
                new += self.take_due(landing);
            }
        }
        let has_room = self.settler.len() < CANDIDATES_MAX / 2 && self.now().mono >= self.held_until;
        if !news.requests.is_empty() {
            self.want_scan(Duration::ZERO);
        } else if wants_scan || (self.crowded && has_room) {
            self.want_scan(self.last_scan_took.max(SCAN_GAP));
        }
        let mut complete = false;
        if self.dir.is_some()
            && self.now().mono >= self.next_scan
            && let Ok(count) = self.scan(landing)
        {
            complete = true;
            new += count.new;
        }
        self.publish();
        let settling = self.settler.settling().iter().sum::<u64>() + self.control.waiting() as u64;
        for answer in news.requests {
            answer(ScanReport { new, settling, complete });
        }
        self.rest()
    }

    /// How long nothing is due.
    fn rest(&self) -> Duration {
        let mut next = self.next_check;
        if self.dir.is_some() {
            next = next.min(self.next_scan);
            if let Some(due) = self.settler.next_due() {
                next = next.min(due.max(self.held_until));
            }
        }
        next.saturating_sub(self.now().mono)
    }

    pub(super) fn now(&self) -> Now {
        Now { mono: (self.mono)(), wall_ns: self.clock.now().0.saturating_mul(1_000_000) }
    }

    fn want_scan(&mut self, gap: Duration) {
        self.next_scan = self.next_scan.min(self.last_scan_end + gap);
    }

    /// Scans, and decides when the next scan is due.
    fn scan(&mut self, landing: &dyn Landing) -> io::Result<ScanCount> {
        let start = self.now().mono;
        self.crowded = false;
        let result = self.scan_all(landing);
        let end = self.now().mono;
        self.last_scan_took = end.saturating_sub(start);
        self.last_scan_end = end;
        let pause = match &result {
            Ok(_) => {
                self.scans += 1;
                self.scan_problem = None;
                self.last_scan = Some(self.clock.now());
                if self.watcher.is_some() && self.remote.is_none() { SCAN_SEEING } else { SCAN_BLIND }
            }
            Err(e) => {
                self.scan_problem = Some(format!("cannot scan {}: {e}", text::path(&self.spec.dir)));
                LAND_AGAIN
            }
        };
        self.next_scan = end + pause.max(self.last_scan_took.saturating_mul(SCAN_SHARE));
        result
    }

    /// Looks at the paths that events named. Returns how many files were handed on and were new.
    fn follow(&mut self, hints: &[(PathBuf, Hint)], landing: &dyn Landing) -> u64 {
        let mut batch = Batch::default();
        let mut open: Option<(PathBuf, Dir)> = None;
        for (path, hint) in hints {
            let Ok(relative) = path.strip_prefix(&self.spec.dir) else { continue };
            let Some(name) = relative.file_name() else {
                self.next_check = Duration::ZERO; // the root itself: removed, renamed or its permissions changed
                continue;
            };
            if *hint == Hint::Gone {
                self.settler.remove(relative);
                self.listing.remove(relative);
                continue;
            }
            let parent = relative.parent().unwrap_or(Path::new(""));
            if self.is_left_out(parent) {
                continue;
            }
            if open.as_ref().is_none_or(|(path, _)| path != parent) {
                open = self.folder(parent).ok().map(|dir| (parent.to_owned(), dir));
            }
            let Some((_, dir)) = &open else { continue };
            match dir.stat(name) {
                Ok(Some(stat)) if stat.kind == Kind::Dir && self.spec.recursive => {
                    if let Err(e) = self.scan_below(relative, landing, &mut batch) {
                        self.scan_problem = Some(format!("cannot scan {}: {e}", text::path(path)));
                        self.want_scan(LAND_AGAIN);
                    }
                }
                Ok(Some(stat)) => self.note(relative, name, &stat, *hint),
                Ok(None) => {
                    self.settler.remove(relative);
                    self.listing.remove(relative);
                }
                Err(_) => self.want_scan(LAND_AGAIN),
            }
        }
        // What an error keeps back lies where it lay, and the scan that the error asks for finds it.
        self.flush(&mut batch, landing).unwrap_or(0)
    }

    /// Notes what an event showed.
    fn note(&mut self, relative: &Path, name: &OsStr, stat: &Stat, hint: Hint) {
        match self.sort(relative, name, Some(stat.kind)) {
            Sorted::Ours => {}
            Sorted::Stays(reason) => {
                self.settler.remove(relative);
                self.listing.add(relative, reason);
            }
            Sorted::Folder => {}
            Sorted::File(rule) => {
                let arrival = match hint {
                    Hint::Renamed => Arrival::Renamed,
                    Hint::Closed => Arrival::Closed,
                    Hint::Open => Arrival::Open,
                    Hint::Look | Hint::Gone => Arrival::Scanned,
                };
                let now = self.now();
                self.observe(relative, Print::from(stat), arrival, rule, now);
            }
        }
    }

    pub(super) fn observe(&mut self, relative: &Path, print: Print, arrival: Arrival, rule: Rule, now: Now) {
        if !self.settler.observe(relative, print, arrival, rule, now) {
            self.crowded = true;
        }
    }

    /// Opens a folder below the root, the root itself for the empty path.
    pub(super) fn folder(&self, relative: &Path) -> io::Result<Dir> {
        self.dir.as_ref().ok_or(io::ErrorKind::NotFound)?.sub(relative)
    }

    /// What to do about a name, before anything is opened.
    pub(super) fn sort(&mut self, relative: &Path, name: &OsStr, kind: Option<Kind>) -> Sorted {
        if is_ours(name) || self.excluded.contains(relative) {
            return Sorted::Ours;
        }
        let is_ignored = self.spec.ignore.iter().any(|m| m.is_match(name));
        match kind {
            Some(Kind::Dir) if self.spec.recursive && !is_ignored => Sorted::Folder,
            Some(Kind::Dir) if self.spec.recursive => Sorted::Stays(Reason::Temporary),
            // Folders have a place in an inbox; one that is called like a file does not.
            Some(Kind::Dir) if super::taker(&self.tasks, relative).is_none() => Sorted::Ours,
            _ if is_ignored => Sorted::Stays(Reason::Temporary),
            Some(Kind::Dir | Kind::Symlink | Kind::Other) => Sorted::Stays(Reason::NotRegular),
            Some(Kind::File) | None => match super::taker(&self.tasks, relative) {
                Some(task) => Sorted::File(self.rule(task)),
                None if self.spec.offer_strays => {
                    self.listing.add(relative, Reason::NoTask);
                    Sorted::File(self.rule(self.tasks.len()))
                }
                None => Sorted::Stays(Reason::NoTask),
            },
        }
    }

    fn rule(&self, task: usize) -> Rule {
        let settle = self.tasks.get(task).and_then(|t| super::watch_of(t)).map_or(SETTLE_STRAY, |w| w.settle);
        match self.remote {
            // Whoever asked for polling has chosen the settle time for it.
            Some(_) if self.spec.poll => Rule { task, settle, skew: SKEW_REMOTE },
            Some(_) => Rule { task, settle: settle.max(SETTLE_REMOTE), skew: SKEW_REMOTE },
            None => Rule { task, settle, skew: Duration::ZERO },
        }
    }

    fn is_left_out(&self, parent: &Path) -> bool {
        (!self.spec.recursive && !parent.as_os_str().is_empty())
            || parent.iter().any(is_ours)
            || parent.ancestors().any(|p| self.excluded.contains(p))
    }

    fn problem(&self) -> Option<String> {
        self.folder_problem.clone().or_else(|| self.land_problem.clone()).or_else(|| self.scan_problem.clone())
    }

    fn publish(&self) {
        let settling = self.settler.settling();
        let by_task = self.tasks.iter().zip(settling).filter(|(_, n)| **n > 0).map(|(t, n)| (t.name.clone(), *n));
        let polling = if self.spec.poll {
            Some("the configuration says so".to_owned())
        } else {
            self.limited.clone().or_else(|| self.remote.map(|kind| format!("{kind} sends no events of other hosts")))
        };
        let listed = self.listing.view(&self.spec.dir);
        self.control.set_status(|status| {
            *status = RootStatus {
                dir: self.spec.dir.clone(),
                settling: settling.iter().sum(),
                settling_by_task: by_task.collect(),
                listed,
                polling,
                missing: self.dir.is_none(),
                other_device: self.dir.is_some() && self.folder_problem.is_some(),
                problem: self.problem(),
                last_scan: self.last_scan,
                last_scan_took: self.last_scan_took,
                scans: self.scans,
                overflowed: status.overflowed,
                left_to_scan: self.settler.refused(),
            };
        });
    }
}

/// What a name asks for.
pub(super) enum Sorted {
    /// Nothing: it is ours, or has a place here.
    Ours,
    /// To be listed.
    Stays(Reason),
    /// To be entered.
    Folder,
    /// To be taken by this rule once it is complete.
    File(Rule),
}

/// Whether a name is one of our own: the folder of files being worked on, or a temporary file.
fn is_ours(name: &OsStr) -> bool {
    name == crate::model::job::OURS || crate::files::names::parse_temp_name(name).is_some()
}

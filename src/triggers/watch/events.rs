//! What file system events leave behind: a bounded set of paths to look at, and requests from outside.
//!
//! The watcher's thread only fills the set; the root's thread empties it. Several events on one path become one hint.
//! When the set is full it is thrown away and a scan is asked for instead, and that is counted.

use super::{RootStatus, ScanReport};
use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind, RenameMode};
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Most paths that wait to be looked at. One more, and all of them are left to a scan.
pub const HINTS_MAX: usize = 16_384;
/// Most requests for a scan that wait at once. One more, and the oldest is dropped unanswered.
const REQUESTS_MAX: usize = 16;
/// News is collected for this long before it is looked at, so that a busy writer costs one look and not thousands.
const COLLECT: Duration = Duration::from_millis(20);

/// What events said about a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hint {
    /// Something happened: look.
    Look,
    /// It was made or written to.
    Open,
    /// A writer closed it.
    Closed,
    /// It was renamed to this name.
    Renamed,
    /// It is not there any more.
    Gone,
}

impl Hint {
    /// What is known after both: the later event counts, unless it says nothing.
    const fn then(self, later: Self) -> Self {
        match (self, later) {
            (Self::Gone, Self::Look) => Self::Look,
            (earlier, Self::Look) => earlier,
            (_, later) => later,
        }
    }
}

type Answer = Box<dyn FnOnce(ScanReport) + Send>;

/// Everything that came in since the last look.
#[derive(Default)]
pub(super) struct News {
    pub hints: HashMap<PathBuf, Hint>,
    /// Events were lost: the set was full, or the kernel's queue was.
    pub lost: bool,
    /// Why no more folders can be watched.
    pub blind: Option<String>,
    /// Who wants to know the result of a scan that starts from now on.
    pub requests: Vec<Answer>,
    rescan: bool,
    stop: bool,
}

impl News {
    /// Whether a scan was asked for.
    pub const fn wants_scan(&self) -> bool {
        self.rescan || self.lost || !self.requests.is_empty()
    }

    fn is_urgent(&self) -> bool {
        self.stop || self.rescan || !self.requests.is_empty()
    }

    fn is_empty(&self) -> bool {
        !self.is_urgent() && !self.lost && self.blind.is_none() && self.hints.is_empty()
    }
}

#[derive(Default)]
struct Shared {
    news: Mutex<News>,
    wake: Condvar,
    status: Mutex<RootStatus>,
}

/// The handle on a running root. Clones are the same handle.
#[derive(Clone, Default)]
pub struct RootControl(Arc<Shared>);

impl fmt::Debug for RootControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootControl").finish_non_exhaustive()
    }
}

impl RootControl {
    /// Lets [`super::Root::run`] return as soon as it has finished the batch in hand.
    pub fn stop(&self) {
        self.change(|news| {
            news.stop = true;
            news.requests.clear();
        });
    }

    /// Asks for a scan.
    pub fn rescan(&self) {
        self.change(|news| news.rescan = true);
    }

    /// Asks for a scan that begins after this call, and for its result. The answer is given on the root's thread and
    /// must not block. It is dropped without being called when the root stops, or when too many wait.
    pub fn scan_now(&self, answer: impl FnOnce(ScanReport) + Send + 'static) {
        self.change(|news| {
            if news.stop {
                return; // nobody would answer any more
            }
            if news.requests.len() >= REQUESTS_MAX {
                drop(news.requests.remove(0));
            }
            news.requests.push(Box::new(answer));
        });
    }

    /// What the root is doing.
    #[must_use]
    pub fn status(&self) -> RootStatus {
        lock(&self.0.status).clone()
    }

    /// Whether [`RootControl::stop`] was called.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        lock(&self.0.news).stop
    }

    pub(super) fn set_status(&self, change: impl FnOnce(&mut RootStatus)) {
        change(&mut lock(&self.0.status));
    }

    /// What came in since the last call.
    pub(super) fn take(&self) -> News {
        let mut news = lock(&self.0.news);
        let stop = news.stop;
        let taken = std::mem::take(&mut *news);
        news.stop = stop;
        taken
    }

    /// Paths that wait to be looked at.
    pub(super) fn waiting(&self) -> usize {
        lock(&self.0.news).hints.len()
    }

    /// Waits until there is news, at most `most`. Hints alone are collected for a moment.
    pub(super) fn wait(&self, most: Duration) {
        let until = Instant::now() + most;
        let left = || until.saturating_duration_since(Instant::now());
        let news = lock(&self.0.news);
        let (news, _) = self.wait_while(news, left().min(COLLECT), |n| !n.is_urgent());
        let _ = self.wait_while(news, left(), |n| n.is_empty());
    }

    fn wait_while<'a>(
        &'a self,
        news: MutexGuard<'a, News>,
        most: Duration,
        quiet: impl Fn(&News) -> bool,
    ) -> (MutexGuard<'a, News>, bool) {
        let (news, timeout) =
            self.0.wake.wait_timeout_while(news, most, |n| quiet(n)).unwrap_or_else(PoisonError::into_inner);
        (news, timeout.timed_out())
    }

    fn change(&self, change: impl FnOnce(&mut News)) {
        change(&mut lock(&self.0.news));
        self.0.wake.notify_all();
    }

    /// Takes an event of the watcher. Called on the watcher's thread; never blocks for long.
    pub(super) fn event(&self, event: notify::Result<notify::Event>) {
        match event {
            Ok(event) if event.need_rescan() => self.lose(),
            Ok(event) => {
                if let Some(hint) = hint(&event.kind) {
                    // A rename within the watched folders names both paths; the last is the new one. The old one
                    // has had an event of its own.
                    if let Some(path) = event.paths.last() {
                        self.hint(path, hint);
                    }
                }
            }
            Err(error) => match limit(&error) {
                Some(why) => self.change(|news| news.blind = Some(why)),
                None => self.lose(),
            },
        }
    }

    fn lose(&self) {
        self.change(|news| news.lost = true);
        self.set_status(|status| status.overflowed += 1);
    }

    fn hint(&self, path: &Path, hint: Hint) {
        let mut news = lock(&self.0.news);
        if let Some(known) = news.hints.get_mut(path) {
            *known = known.then(hint);
            return;
        }
        if news.hints.len() >= HINTS_MAX {
            news.hints.clear();
            drop(news);
            self.lose();
            return;
        }
        news.hints.insert(path.to_owned(), hint);
        drop(news);
        self.0.wake.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner) // plain data: no panic leaves it half-changed
}

fn hint(kind: &EventKind) -> Option<Hint> {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Hint::Closed),
        EventKind::Access(_) => None, // our own reading is among these
        EventKind::Create(CreateKind::Folder) => Some(Hint::Look),
        EventKind::Create(_) | EventKind::Modify(ModifyKind::Data(_)) => Some(Hint::Open),
        EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both)) => Some(Hint::Renamed),
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) | EventKind::Remove(_) => Some(Hint::Gone),
        EventKind::Modify(_) | EventKind::Any | EventKind::Other => Some(Hint::Look),
    }
}

/// Why no more folders can be watched, if that is what an error says.
pub(super) fn limit(error: &notify::Error) -> Option<String> {
    match &error.kind {
        notify::ErrorKind::MaxFilesWatch => Some("the limit fs.inotify.max_user_watches is reached".to_owned()),
        notify::ErrorKind::Io(e) if matches!(e.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
            Some(format!("no more files can be opened: {e}"))
        }
        notify::ErrorKind::Io(e) if matches!(e.raw_os_error(), Some(libc::ENOMEM | libc::ENOSPC)) => {
            Some(format!("the kernel watches no more folders: {e}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::Event;
    use notify::event::{DataChange, Flag, MetadataKind};

    fn event(kind: EventKind, path: &str) -> notify::Result<Event> {
        Ok(Event::new(kind).add_path(path.into()))
    }

    const CLOSE: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));
    const WRITE: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    const CHMOD: EventKind = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
    const INTO: EventKind = EventKind::Modify(ModifyKind::Name(RenameMode::To));
    const AWAY: EventKind = EventKind::Modify(ModifyKind::Name(RenameMode::From));

    #[test]
    fn several_events_become_one_hint() {
        for (kinds, expected) in [
            (&[EventKind::Create(CreateKind::File), WRITE, CLOSE, CHMOD][..], Hint::Closed),
            (&[CLOSE, WRITE], Hint::Open),
            (&[INTO, CHMOD], Hint::Renamed),
            (&[INTO, WRITE], Hint::Open),
            (&[INTO, AWAY], Hint::Gone),
            (&[AWAY, CHMOD], Hint::Look),
        ] {
            let control = RootControl::default();
            for kind in kinds {
                control.event(event(*kind, "/w/a"));
            }
            assert_eq!(control.take().hints.get(Path::new("/w/a")), Some(&expected), "{kinds:?}");
        }
    }

    #[test]
    fn a_flood_becomes_a_scan() {
        let control = RootControl::default();
        for n in 0..=HINTS_MAX {
            control.event(event(CLOSE, &format!("/w/{n}")));
        }
        let news = control.take();
        assert!(news.lost && news.wants_scan() && news.hints.is_empty());
        assert_eq!(control.status().overflowed, 1);
        control.event(Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan)));
        assert!(control.take().lost, "a notice without a path counts");
        assert!(!control.take().wants_scan());
    }

    #[test]
    fn nobody_waits_for_a_root_that_has_stopped() {
        for stop_first in [true, false] {
            let control = RootControl::default();
            let (tx, rx) = std::sync::mpsc::sync_channel::<ScanReport>(1);
            if stop_first {
                control.stop();
            }
            control.scan_now(move |report| tx.send(report).unwrap());
            control.stop();
            assert_eq!(rx.try_recv(), Err(std::sync::mpsc::TryRecvError::Disconnected));
        }
    }

    #[test]
    fn limits_are_told_from_other_errors() {
        let control = RootControl::default();
        control.event(Err(notify::Error::new(notify::ErrorKind::MaxFilesWatch)));
        let news = control.take();
        assert!(news.blind.is_some() && !news.lost);
        control.event(Err(notify::Error::generic("odd")));
        assert!(control.take().lost);
    }
}

//! Holding on to the folder: opening it, watching it, noticing that it is another one.

use super::CHECK_EVERY;
use super::SCAN_BLIND;
use super::events::limit;
use super::listing::{Listing, Offered};
use super::root::Root;
use crate::files::dir::{Dir, is_not_found};
use crate::model::text;
use notify::{Config, RecommendedWatcher, RecursiveMode, Watcher};
use std::path::Path;
use std::time::Duration;

/// When a root that polls because of a limit tries to watch again.
const WATCH_AGAIN: Duration = Duration::from_secs(600);

impl Root {
    /// Makes sure that the folder is there and is the one being watched; opens it and watches it anew if not.
    pub(super) fn check_folder(&mut self) {
        let now = self.now().mono;
        self.next_check = now + CHECK_EVERY;
        match Dir::open(&self.spec.dir).and_then(|dir| Ok((dir.stat_self()?, dir))) {
            Err(e) => {
                let what = if is_not_found(&e) { "is not there" } else { "cannot be opened" };
                self.folder_problem = Some(format!("watched folder {what}: {}: {e}", text::path(&self.spec.dir)));
                if self.dir.take().is_some() {
                    self.forget();
                }
            }
            Ok((stat, dir)) => {
                let first = *self.first_device.get_or_insert(stat.facts.dev);
                self.folder_problem = (stat.facts.dev != first).then(|| {
                    let path = text::path(&self.spec.dir);
                    format!("another file system than at the start lies at {path}")
                });
                let is_same =
                    self.dir.as_ref().and_then(|d| d.stat_self().ok()).is_some_and(|s| s.is_same_inode(&stat));
                let tries_again = self.limited.is_some() && now >= self.watch_again;
                if !is_same {
                    self.forget();
                    self.remote = remote(&dir);
                    self.dir = Some(dir);
                }
                if !is_same || tries_again {
                    self.watch();
                    self.next_scan = now;
                }
            }
        }
    }

    /// Forgets everything about a folder that is not the one any more. The files themselves are found again.
    fn forget(&mut self) {
        self.watcher = None;
        self.settler.clear();
        self.listing = Listing::default();
        self.offered = Offered::default();
    }

    /// Makes a watcher, if events are of use here. The scan adds the folders to it.
    fn watch(&mut self) {
        self.watcher = None;
        self.limited = None;
        if self.spec.poll {
            return;
        }
        let control = self.control.clone();
        let config = Config::default().with_follow_symlinks(false);
        match RecommendedWatcher::new(move |event| control.event(event), config) {
            Ok(watcher) => self.watcher = Some(watcher),
            Err(e) => self.poll_because(limit(&e).unwrap_or_else(|| format!("cannot watch: {e}"))),
        }
    }

    /// Watches one folder, before it is read.
    pub(super) fn watch_folder(&mut self, relative: &Path) {
        let Some(watcher) = &mut self.watcher else { return };
        match watcher.watch(&self.spec.dir.join(relative), RecursiveMode::NonRecursive) {
            Ok(()) => {}
            // Gone again, or not readable: the reading will tell.
            Err(e) if matches!(e.kind, notify::ErrorKind::PathNotFound) => {}
            Err(e) if is_access(&e) => {}
            Err(e) => {
                let why = limit(&e).unwrap_or_else(|| format!("cannot watch {}: {e}", text::path(relative)));
                self.poll_because(why);
            }
        }
    }

    pub(super) fn poll_because(&mut self, why: String) {
        let now = self.now().mono;
        self.watcher = None;
        self.limited = Some(why);
        self.watch_again = now + WATCH_AGAIN;
        self.settler.events_lost();
        self.next_scan = self.next_scan.min(now + SCAN_BLIND);
    }
}

fn is_access(error: &notify::Error) -> bool {
    matches!(&error.kind, notify::ErrorKind::Io(e) if e.raw_os_error() == Some(libc::EACCES))
}

/// The kind of file system, if it is one on which others write without our kernel knowing. The numbers are those of
/// `statfs(2)`.
fn remote(dir: &Dir) -> Option<&'static str> {
    let kind = dir.file_system().ok()?;
    match kind.0 as u32 {
        0x6969 => Some("nfs"),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => Some("smb"),
        0x6573_5546 => Some("fuse"),
        0x0102_1997 => Some("9p"),
        0x00c3_6400 => Some("ceph"),
        0x5346_414f | 0x6b41_4653 => Some("afs"),
        0x0bd0_0bd0 => Some("lustre"),
        0x786f_4256 => Some("vboxsf"),
        _ => None,
    }
}

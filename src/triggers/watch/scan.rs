//! Looking at everything in the folder: the truth that events only hint at.

use super::listing::{Listing, Reason};
use super::root::{Root, Sorted};
use super::take::Batch;
use super::walk::{Name, Walk};
use super::{DEPTH_MAX, Landing, ScanCount};
use crate::files::dir::{Dir, Kind, is_denied, is_not_found};
use crate::files::settle::{Arrival, Candidate, Print, Rule, settled_before};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

/// Device and inode of the excluded folders: they are told by these also where another path leads to them.
type Apart = HashSet<(u64, u64)>;

impl Root {
    /// Scans the whole folder and hands on what is complete. An error says why it did not come to its end.
    pub(super) fn scan_all(&mut self, landing: &dyn Landing) -> io::Result<ScanCount> {
        self.offered.turn();
        self.listing = Listing::default();
        let mut batch = Batch::default();
        let result = self.scan_below_counted(Path::new(""), landing, &mut batch);
        let flushed = self.flush(&mut batch, landing);
        if result.is_err() || flushed.is_err() {
            self.offered.turn_back();
        }
        let mut count = result?;
        count.new += flushed?;
        Ok(count)
    }

    /// Watches and scans one folder and those below it.
    pub(super) fn scan_below(&mut self, relative: &Path, landing: &dyn Landing, batch: &mut Batch) -> io::Result<()> {
        if relative.file_name().is_some_and(|name| self.is_shut(relative, name)) {
            return Ok(());
        }
        if relative.components().count() > DEPTH_MAX {
            self.listing.add(relative, Reason::TooDeep);
            return Ok(());
        }
        match self.scan_below_counted(relative, landing, batch) {
            Err(e) if is_not_found(&e) => Ok(()), // gone again
            other => other.map(drop),
        }
    }

    fn is_shut(&mut self, relative: &Path, name: &OsStr) -> bool {
        match self.sort(relative, name, Some(Kind::Dir)) {
            Sorted::Folder => false,
            Sorted::Stays(reason) => {
                self.listing.add(relative, reason);
                true
            }
            Sorted::Ours | Sorted::File(_) => true,
        }
    }

    fn scan_below_counted(
        &mut self,
        relative: &Path,
        landing: &dyn Landing,
        batch: &mut Batch,
    ) -> io::Result<ScanCount> {
        let apart = self.apart();
        let mut count = ScanCount { folders: 1, ..ScanCount::default() };
        self.watch_folder(relative); // before the reading: what lands in between is seen twice, not never
        let mut walk = Walk::new(self.folder(relative)?, relative.to_owned())?;
        let mut first_error = None;
        while let Some(step) = walk.next() {
            let entered = match step {
                Ok(name) => self.visit(&mut walk, &name, &apart, batch, &mut count),
                Err(e) => Err(e),
            };
            if let Err(e) = entered {
                first_error.get_or_insert(e); // one bad folder does not hide the others
            }
            if batch.is_full() {
                count.new += self.flush(batch, landing)?;
            }
            if self.control.is_stopped() {
                return Err(io::ErrorKind::Interrupted.into());
            }
        }
        first_error.map_or(Ok(count), Err)
    }

    fn visit(
        &mut self,
        walk: &mut Walk,
        name: &Name,
        apart: &Apart,
        batch: &mut Batch,
        count: &mut ScanCount,
    ) -> io::Result<()> {
        let Some(dir) = walk.dir() else { return Ok(()) };
        let kind = match name.hint {
            Some(kind) => kind,
            None => match dir.stat(&name.name)? {
                Some(stat) => stat.kind,
                None => return Ok(()),
            },
        };
        count.files += u64::from(kind == Kind::File);
        match self.sort(&name.relative, &name.name, Some(kind)) {
            Sorted::Ours => Ok(()),
            Sorted::Stays(reason) => {
                self.listing.add(&name.relative, reason);
                Ok(())
            }
            Sorted::File(rule) => {
                self.find(dir, name, rule, batch);
                Ok(())
            }
            Sorted::Folder if walk.is_deepest() => {
                self.listing.add(&name.relative, Reason::TooDeep);
                Ok(())
            }
            Sorted::Folder => self.enter(walk, name, apart, count),
        }
    }

    fn enter(&mut self, walk: &mut Walk, name: &Name, apart: &Apart, count: &mut ScanCount) -> io::Result<()> {
        match walk.open(&name.name) {
            Ok(dir) => {
                let stat = dir.stat_self()?;
                if apart.contains(&(stat.facts.dev, stat.facts.ino)) {
                    return Ok(());
                }
                count.folders += 1;
                self.watch_folder(&name.relative);
                walk.enter(dir, name.relative.clone())
            }
            Err(e) if is_denied(&e) => {
                self.listing.add(&name.relative, Reason::Denied);
                Ok(())
            }
            // Gone, or not a folder any more.
            Err(e) if is_not_found(&e) || e.kind() == io::ErrorKind::NotADirectory => Ok(()),
            Err(e) if e.raw_os_error() == Some(libc::ELOOP) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// A file that a task takes: at once if it has been still for long enough, else it settles.
    fn find(&mut self, dir: &Dir, name: &Name, rule: Rule, batch: &mut Batch) {
        // It cannot be looked at, or is gone: the next scan sees it if it is there.
        let Ok(Some(stat)) = dir.stat(&name.name) else { return };
        if stat.kind != Kind::File {
            self.listing.add(&name.relative, Reason::NotRegular);
            return;
        }
        let print = Print::from(&stat);
        if self.offered.has(&name.relative, &print) {
            return;
        }
        let now = self.now();
        if self.settler.get(&name.relative).is_some() || !settled_before(&print, rule, now) {
            self.observe(&name.relative, print, Arrival::Scanned, rule, now);
            if self.settler.get(&name.relative).is_some_and(|c| c.denied) {
                self.listing.add(&name.relative, Reason::Denied);
            }
            return;
        }
        self.look(dir, &name.relative, &name.name, &Candidate::settled(print, rule, now), batch);
    }

    fn apart(&self) -> Apart {
        let id = |path: &PathBuf| {
            let stat = Dir::open(path).and_then(|dir| dir.stat_self()).ok()?;
            Some((stat.facts.dev, stat.facts.ino))
        };
        if self.spec.recursive { self.spec.exclude.iter().filter_map(id).collect() } else { Apart::new() }
    }
}

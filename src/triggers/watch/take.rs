//! The close look at a file whose time has come, and handing it on.

use super::listing::Reason;
use super::root::Root;
use super::{BATCH_MAX, Landing, Stray};
use crate::files::dir::{Dir, is_busy, is_denied, is_not_found, is_not_regular};
use crate::files::lease;
use crate::files::settle::{Arrival, Candidate, Print, Verdict};
use crate::model::Millis;
use crate::model::job::Landed;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// After a batch was refused, nothing is offered for this long.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);

/// Complete files on their way out.
#[derive(Default)]
pub(super) struct Batch(Vec<Taken>);

struct Taken {
    path: PathBuf,
    print: Print,
    task: usize,
    seen: Millis,
}

impl Batch {
    pub fn is_full(&self) -> bool {
        self.0.len() >= BATCH_MAX
    }
}

impl Root {
    /// Looks at every file that is due and hands on those that are complete. Returns how many of them were new.
    pub(super) fn take_due(&mut self, landing: &dyn Landing) -> u64 {
        let mut new = 0;
        loop {
            let due = self.settler.due(self.now(), BATCH_MAX);
            if due.is_empty() || self.control.is_stopped() {
                return new;
            }
            let mut batch = Batch::default();
            let mut open: Option<(PathBuf, Dir)> = None;
            for (path, candidate) in &due {
                let (parent, Some(name)) = (path.parent().unwrap_or(Path::new("")), path.file_name()) else {
                    self.settler.remove(path);
                    continue;
                };
                if open.as_ref().is_none_or(|(known, _)| known != parent) {
                    match self.folder(parent) {
                        Ok(dir) => open = Some((parent.to_owned(), dir)),
                        Err(e) => {
                            self.failed(path, &e, candidate);
                            continue;
                        }
                    }
                }
                if let Some((_, dir)) = &open {
                    self.look(dir, path, name, candidate, &mut batch);
                }
            }
            match self.flush(&mut batch, landing) {
                Ok(n) => new += n,
                Err(_) => return new, // they stay due, and are offered after the pause
            }
        }
    }

    /// Opens a file and takes it if it is complete; else it settles on.
    pub(super) fn look(&mut self, dir: &Dir, path: &Path, name: &OsStr, candidate: &Candidate, batch: &mut Batch) {
        let seen = self.clock.now();
        let (file, stat) = match dir.open_seen(name) {
            Ok(opened) => opened,
            Err(e) => return self.failed(path, &e, candidate),
        };
        let print = Print::from(&stat);
        let now = self.now();
        let verdict = candidate.judge(&print, lease::writer_open(&file), now);
        drop(file);
        match verdict {
            Verdict::Complete => {
                if self.tasks.get(candidate.rule.task).is_some() {
                    self.listing.remove(path); // it may have been listed while it could not be opened
                }
                batch.0.push(Taken { path: path.to_owned(), print, task: candidate.rule.task, seen });
            }
            Verdict::Changed | Verdict::Busy => {
                self.observe(path, print, Arrival::Scanned, candidate.rule, now);
                self.settler.postpone(path, now);
            }
        }
    }

    /// A file that could not be opened.
    pub(super) fn failed(&mut self, path: &Path, error: &io::Error, candidate: &Candidate) {
        let now = self.now();
        if is_not_found(error) {
            self.settler.remove(path);
            self.listing.remove(path);
        } else if is_not_regular(error) {
            self.settler.remove(path);
            self.listing.add(path, Reason::NotRegular);
        } else if is_denied(error) {
            self.observe(path, candidate.print, Arrival::Scanned, candidate.rule, now);
            self.settler.deny(path, now);
            self.listing.add(path, Reason::Denied);
        } else {
            if !is_busy(error) {
                self.scan_problem = Some(format!("cannot open {}: {error}", crate::model::text::path(path)));
            }
            self.observe(path, candidate.print, Arrival::Scanned, candidate.rule, now);
            self.settler.postpone(path, now);
        }
    }

    /// Hands a batch on. Returns how many files were new. After an error the files that settled stay due, and a scan
    /// finds the others.
    pub(super) fn flush(&mut self, batch: &mut Batch, landing: &dyn Landing) -> io::Result<u64> {
        let taken = std::mem::take(&mut batch.0);
        if taken.is_empty() {
            return Ok(0);
        }
        let root = &self.spec.dir;
        let mut landed = Vec::with_capacity(taken.len());
        let mut strays = Vec::new();
        for file in &taken {
            let (path, facts) = (file.path.clone(), file.print.facts);
            match self.tasks.get(file.task) {
                Some(task) => landed.push(Landed {
                    task: task.name.clone(),
                    root: root.clone(),
                    path,
                    facts,
                    priority: task.priority,
                    seen: file.seen,
                }),
                None => strays.push(Stray { root: root.clone(), path, facts }),
            }
        }
        let count = if landed.is_empty() { Ok(Default::default()) } else { landing.land(landed) };
        let result = count.and_then(|count| {
            if !strays.is_empty() {
                landing.strays(strays)?;
            }
            Ok(count)
        });
        match result {
            Ok(count) => {
                self.land_problem = None;
                for file in &taken {
                    self.settler.remove(&file.path);
                    self.offered.add(&file.path, &file.print);
                }
                Ok(count.new)
            }
            Err(e) => {
                self.held_until = self.now().mono + REFUSED_PAUSE;
                self.land_problem = Some(format!("landed files cannot be queued: {e}"));
                self.crowded = true; // files that did not settle are in no table
                Err(io::Error::other(e))
            }
        }
    }
}

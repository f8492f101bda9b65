//! Checkpoints: an attempt notes how far its outputs are, and a later one goes on there if this one is cut off.
//!
//! The rule: a temporary file outlives its attempt only while the row of a checkpoint leads to it. The row is written
//! after the file's name is on the disk, and its content, by the word of the action; it goes with the decision that ends
//! the job, or before the files do. A row whose files are not all there any more, whose input or configuration is another,
//! or whose final names are taken, leads nowhere: the attempt starts from zero.

use super::desk::JobDesk;
use super::outputs::Temp;
use super::shared::Shared;
use crate::files::dir::{self, Dir};
use crate::files::names::parse_temp_name;
use crate::files::reserve::Reservation;
use crate::model::action::{Level, OutputFile, Resume};
use crate::model::job::{Facts, KeptFile};
use crate::model::ledger::{Checkpoint, StoreError};
use crate::model::{Failure, JobId, OnExists, crash, text};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Most bytes of what an action notes at a checkpoint.
const STATE_MAX: usize = 64 * 1024;

/// What must be the same for a checkpoint to hold.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// Hash of the task's configuration.
    pub config_hash: String,
    /// The input, if there is one.
    pub facts: Option<Facts>,
}

impl Identity {
    fn fits(&self, checkpoint: &Checkpoint) -> bool {
        let same_input = match (&self.facts, &checkpoint.facts) {
            (None, None) => true,
            (Some(now), Some(then)) => now.same(then),
            _ => false,
        };
        same_input && self.config_hash == checkpoint.config_hash
    }
}

/// Removes the temporary files of a job that a checkpoint led to. What cannot be removed is said, and left to a person.
pub fn unlink(job: JobId, files: &[KeptFile]) {
    for file in files {
        let (Some(folder), Some(name)) = (file.temp.parent(), file.temp.file_name()) else { continue };
        if parse_temp_name(name).is_none_or(|(owner, _, _)| owner != job) {
            continue;
        }
        match Dir::open(folder).and_then(|dir| dir.unlink(name)) {
            Err(e) if !dir::is_not_found(&e) => {
                tracing::warn!("cannot remove the temporary file {}: {e}", text::path(&file.temp));
            }
            Ok(()) | Err(_) => {}
        }
    }
}

/// Removes the temporary files that the checkpoint of a job leads to, if there is one; the row goes with the decision that
/// follows. Only for who is alone with the job.
pub fn unlink_all_of(shared: &Shared, job: JobId) {
    match shared.store.queries().checkpoint(job) {
        Ok(Some(checkpoint)) => unlink(job, &checkpoint.files),
        Ok(None) => {}
        Err(e) => tracing::warn!("cannot read the checkpoint of job {job}: {e}"),
    }
}

/// Earlier outputs, taken over by this attempt.
struct TakenOver {
    outputs: Vec<OutputFile>,
    temps: Vec<Temp>,
    held: Vec<Reservation>,
}

impl JobDesk {
    /// Notes how far the outputs are. See [`crate::model::Desk::checkpoint`].
    pub(super) fn note_checkpoint(&self, state: &[u8]) -> Result<(), Failure> {
        if state.len() > STATE_MAX {
            let message = format!("a checkpoint of more than {STATE_MAX} bytes: {}", text::count(state.len() as u64));
            return Err(Failure::permanent("internal", message));
        }
        self.forget_earlier()?;
        let (files, folders) = {
            let state = self.state();
            let kept = |t: &Temp| KeptFile {
                temp: t.dir.path().join(&t.name),
                target: t.target.clone(),
                on_exists: t.on_exists,
            };
            let new = state.temps.iter().filter(|t| !t.noted).map(|t| Arc::clone(&t.dir));
            (state.temps.iter().map(kept).collect::<Vec<_>>(), new.collect::<Vec<_>>())
        };
        sync_each(&folders).map_err(|e| Failure::transient("checkpoint", format!("cannot sync a folder: {e}")))?;
        crash::point("s4.before_checkpoint");
        let (job, attempt) = (self.claimed.job, self.claimed.attempt);
        let Identity { config_hash, facts } = self.state().identity.clone();
        let count = files.len();
        let checkpoint = Checkpoint { config_hash, facts, files, state: state.to_vec() };
        let reply = self.shared.ledger.checkpoint(job, attempt, checkpoint, self.shared.now());
        let noted = self.shared.tracker.handle().block_on(reply);
        crash::point("s4.after_checkpoint");
        answered(noted)?;
        self.state().temps.iter_mut().take(count).for_each(|t| t.noted = true);
        Ok(())
    }

    /// What an earlier attempt left, if this one can go on with it.
    pub(super) fn take_up(&self) -> Option<Resume> {
        if !self.state().earlier {
            return None;
        }
        let checkpoint = match self.shared.store.queries().checkpoint(self.claimed.job) {
            Ok(found) => found?,
            Err(e) => {
                tracing::warn!("cannot read the checkpoint of job {}: {e}", self.claimed.job);
                return None;
            }
        };
        let why = if self.state().identity.fits(&checkpoint) {
            match self.take_over(&checkpoint) {
                Ok(taken) => {
                    let mut state = self.state();
                    state.earlier = false;
                    state.temps.extend(taken.temps);
                    state.held.extend(taken.held);
                    drop(state);
                    crash::point("s4.resumed");
                    self.shared.say(Level::Info, &self.claimed, "goes on where an earlier attempt was cut off");
                    return Some(Resume { state: checkpoint.state, outputs: taken.outputs });
                }
                Err(why) => why,
            }
        } else {
            "the file or the configuration has changed".to_owned()
        };
        self.shared.say(Level::Info, &self.claimed, &format!("starts from zero: {why}"));
        // What cannot be forgotten now is forgotten before the first output is opened, or that fails.
        let _ = self.forget_earlier();
        None
    }

    /// Opens the files of a checkpoint and holds their final names again; all of them, or none.
    fn take_over(&self, checkpoint: &Checkpoint) -> Result<TakenOver, String> {
        let mut taken = TakenOver { outputs: Vec::new(), temps: Vec::new(), held: Vec::new() };
        for KeptFile { temp, target, on_exists } in &checkpoint.files {
            let fault = |e: io::Error| format!("cannot open {}: {e}", text::path(temp));
            let (Some(folder), Some(name)) = (temp.parent(), temp.file_name()) else {
                return Err(format!("not a temporary file: {}", text::path(temp)));
            };
            if parse_temp_name(name).is_none_or(|(owner, _, _)| owner != self.claimed.job) {
                return Err(format!("not a temporary file of this job: {}", text::path(temp)));
            }
            let dir = self.shared.folders.get(folder).map_err(fault)?;
            let file = dir.open_write(name).map_err(fault)?;
            let over = *on_exists == OnExists::Replace;
            let held = self.shared.names.exact(target, &|_| Vec::new(), over).map_err(fault)?;
            taken.held.push(held.map_err(|_| format!("the name is taken meanwhile: {}", text::path(target)))?);
            taken.outputs.push(OutputFile { file, temp: temp.clone(), target: target.clone() });
            let (name, target, on_exists) = (name.to_owned(), target.clone(), *on_exists);
            taken.temps.push(Temp { dir, name, target, on_exists, noted: true, file: None });
        }
        Ok(taken)
    }

    /// Drops what an earlier attempt left, where this one did not ask for it.
    pub(super) fn forget_earlier(&self) -> Result<(), Failure> {
        if !self.state().earlier {
            return Ok(());
        }
        let job = self.claimed.job;
        let fault = |e: StoreError| Failure::transient("checkpoint", format!("cannot read the checkpoint: {e}"));
        let found = self.shared.store.queries().checkpoint(job).map_err(fault)?;
        self.forget()?;
        unlink(job, &found.map(|c| c.files).unwrap_or_default());
        self.state().earlier = false;
        Ok(())
    }

    /// Drops every output opened so far, and the checkpoint.
    pub(super) fn drop_outputs(&self) -> Result<(), Failure> {
        self.forget_earlier()?;
        if self.state().temps.iter().any(|t| t.noted) {
            self.forget()?;
        }
        let (temps, held) = {
            let mut state = self.state();
            (std::mem::take(&mut state.temps), std::mem::take(&mut state.held))
        };
        for temp in &temps {
            // What cannot be removed now is removed with the attempt's other files by the next start.
            let _ = temp.dir.unlink(&temp.name);
        }
        drop(held);
        Ok(())
    }

    fn forget(&self) -> Result<(), Failure> {
        let reply = self.shared.ledger.forget(self.claimed.job, self.claimed.attempt);
        let forgotten = self.shared.tracker.handle().block_on(reply);
        crash::point("s4.forgotten");
        answered(forgotten)
    }
}

/// The store's answer to an attempt that may not be its job's any more.
fn answered(reply: Result<bool, StoreError>) -> Result<(), Failure> {
    match reply {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::transient("stopped", "the job was decided elsewhere")),
        Err(e) => Err(Failure::transient("checkpoint", format!("cannot note how far it is: {e}"))),
    }
}

/// Syncs each folder once.
fn sync_each(folders: &[Arc<Dir>]) -> io::Result<()> {
    let mut done: Vec<&Path> = Vec::new();
    for folder in folders {
        if !done.contains(&folder.path()) {
            folder.sync()?;
            done.push(folder.path());
        }
    }
    Ok(())
}

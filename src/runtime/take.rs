//! S3: the claimed file comes under our control, by a rename into WORK, or by a verified copy where a rename cannot
//! be or must not be. The attempt works on what the open handle shows, not on what a path says.

use super::shared::Shared;
use crate::files::dir::{self, Dir, Kind, Stat};
use crate::files::names::{candidates, temp_name};
use crate::model::job::{Claimed, Facts, JobFile};
use crate::model::task::ClaimBy;
use crate::model::{Failure, Task, Trigger, crash, text};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A file that cannot be taken for want of permission or space is tried again after this time.
const BLOCKED_RETRY: Duration = Duration::from_secs(300);
/// Bytes copied at a time.
const COPY_BUFFER: usize = 256 * 1024;

/// A file under our control.
#[derive(Debug)]
pub struct Taken {
    /// The folder of all jobs at work below the root.
    pub work: Arc<Dir>,
    /// The folder of this job.
    pub dir: Arc<Dir>,
    /// Its name, as it landed.
    pub name: OsString,
    /// The file, open for reading.
    pub file: File,
    /// What it looks like now.
    pub facts: Facts,
    /// The folder that it was taken from, if it was taken just now.
    pub from: Option<Arc<Dir>>,
    /// It was taken away from WORK: there is nothing to set aside.
    pub lost: bool,
}

impl Taken {
    /// Its path while it is worked on.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join(&self.name)
    }

    /// S4 afterwards: whether the file is still there and unchanged. What lies in WORK then is what is known of it from
    /// now on, so that it can be set aside whatever the action did to it.
    pub fn check(&mut self) -> Result<(), Failure> {
        let there = self.dir.stat(&self.name).map_err(|e| Failure::io("input", "look at", &self.path(), &e))?;
        let Some(there) = there else {
            self.lost = true;
            return Err(Failure::permanent("input_vanished", "the file was taken away while it was processed"));
        };
        let was = std::mem::replace(&mut self.facts, there.facts);
        if there.facts.same(&was) {
            Ok(())
        } else {
            Err(Failure::transient("input_changed", "the file was changed while it was processed"))
        }
    }
}

/// What came of taking a file.
pub enum Take {
    /// It is ours.
    Taken(Box<Taken>),
    /// It is not there and never was ours: the job is withdrawn, with this code and message.
    Gone(&'static str, String),
    /// It cannot be taken now: wait this long, with the reason.
    Hold(String, Duration),
    /// It was ours and is lost, or cannot be used.
    Failed(Box<Failure>),
}

/// Takes the file of a claimed job. An error of the file system never fails the job: nothing was done yet, the file
/// lies where it lay, and a failed job would leave it there to be found again.
pub fn take(shared: &Shared, task: &Task, claimed: &Claimed, file: &JobFile) -> Take {
    match try_take(shared, task, claimed, file) {
        Ok(take) => take,
        Err(e) => Take::Hold(format!("cannot take {}: {e}", text::path(&file.absolute())), BLOCKED_RETRY),
    }
}

fn try_take(shared: &Shared, task: &Task, claimed: &Claimed, file: &JobFile) -> io::Result<Take> {
    let work = match shared.folders.work(&file.root) {
        Ok(work) => work,
        Err(e) if is_nowhere(&e) => return Ok(not_there(file)),
        Err(e) => return Err(e),
    };
    let id = OsString::from(claimed.job.to_string());
    // A charged attempt had the file, and so did one that has left its folder behind.
    let was_ours = claimed.spent > 1 || (claimed.attempt > 1 && work.stat(&id)?.is_some());
    let dir = Arc::new(work.make_sub_unsynced(&id, 0o700)?);
    if dir.stat(&file.name)?.is_some() {
        finish_source(shared, file, &dir)?;
        return ours(work, dir, file.name.clone(), None);
    }
    let taken = from_source(shared, task, claimed, file, &work, &dir, was_ours);
    if !matches!(taken, Ok(Take::Taken(_))) {
        // Empty, or it holds what a later start puts back.
        let _ = work.rmdir(&id);
    }
    taken
}

/// Takes the file from where it landed, or from where a failure left it.
fn from_source(
    shared: &Shared,
    task: &Task,
    claimed: &Claimed,
    file: &JobFile,
    work: &Arc<Dir>,
    dir: &Arc<Dir>,
    was_ours: bool,
) -> io::Result<Take> {
    let gone = || if shared.roots.is_same(&file.root) { missing(file, was_ours) } else { not_there(file) };
    let parent = match source_folder(shared, file) {
        Ok(parent) => parent,
        Err(e) if is_nowhere(&e) => return Ok(gone()),
        Err(e) => return Err(e),
    };
    let source = file.source_name();
    let Some(stat) = parent.stat(source)? else { return Ok(gone()) };
    if let Some(refused) = refuse(task, claimed, file, &stat, was_ours) {
        return Ok(refused);
    }
    crash::point("s3.before_move");
    let by_copy = stat.facts.nlink > 1 || matches!(&task.trigger, Trigger::Watch(w) if w.claim == ClaimBy::Copy);
    let moved = if by_copy { None } else { Some(parent.rename_to(source, dir, &file.name)) };
    match moved {
        Some(Ok(())) => {}
        Some(Err(e)) if is_nowhere(&e) => return Ok(gone()),
        Some(Err(e)) if !dir::is_cross_device(&e) => return Err(e),
        None | Some(Err(_)) => {
            let temp = temp_name(claimed.job, claimed.attempt, u32::MAX);
            if !copy_in(&parent, source, &stat, dir, &file.name, &temp)? {
                return Ok(settles(task, claimed));
            }
        }
    }
    crash::point("s3.after_move");
    let taken = ours(Arc::clone(work), Arc::clone(dir), file.name.clone(), Some(Arc::clone(&parent)))?;
    if let Take::Taken(taken) = &taken
        && matches!(moved, Some(Ok(())))
        && is_first(file)
        && stat.facts.ino != taken.facts.ino
    {
        // Another file got the name between the look and the rename: it is not ours to work on.
        return put_back(&parent, source, taken, claimed);
    }
    Ok(taken)
}

/// A name that cannot lead to a file any more. A link in the way counts: the scan would not follow it either.
fn is_nowhere(e: &io::Error) -> bool {
    dir::is_not_found(e) || matches!(e.raw_os_error(), Some(libc::ENOTDIR | libc::ELOOP))
}

/// Whether the file comes from its watched folder, not from `failed/` by an operator's retry.
fn is_first(file: &JobFile) -> bool {
    file.path.is_relative()
}

fn source_folder(shared: &Shared, file: &JobFile) -> io::Result<Arc<Dir>> {
    let parent = file.path.parent().unwrap_or_else(|| Path::new(""));
    if file.path.is_absolute() {
        return shared.folders.get(parent);
    }
    let root = shared.folders.get(&file.root)?;
    if parent.as_os_str().is_empty() { Ok(root) } else { root.sub(parent).map(Arc::new) }
}

/// Why this file is not taken, if it is not.
fn refuse(task: &Task, claimed: &Claimed, file: &JobFile, stat: &Stat, was_ours: bool) -> Option<Take> {
    if !is_first(file) && stat.kind == Kind::File {
        // An operator may have mended it: another inode, size or time is what we hope for.
        return None;
    }
    if stat.kind != Kind::File || stat.facts.ino != file.facts.ino {
        if was_ours {
            return Some(missing(file, was_ours));
        }
        let message = "something else took its name before it was claimed";
        return Some(Take::Gone("input_replaced", message.into()));
    }
    (!stat.facts.same(&file.facts)).then(|| settles(task, claimed))
}

/// It is being written to: it settles again, and the folder's watcher tells the queue what it looks like then. A file
/// that never settles is looked at less and less often: each look is an attempt in the history.
fn settles(task: &Task, claimed: &Claimed) -> Take {
    let settle = match &task.trigger {
        Trigger::Watch(w) => w.settle,
        Trigger::Schedule(_) | Trigger::After(_) | Trigger::Manual => Duration::from_secs(2),
    };
    let doublings = u32::try_from(claimed.attempt.clamp(1, 16) - 1).unwrap_or(0);
    let wait = settle.saturating_mul(1 << doublings).min(BLOCKED_RETRY.max(settle));
    Take::Hold("it changed after it had landed: it settles again".into(), wait)
}

/// Neither at its path nor in WORK.
fn missing(file: &JobFile, was_ours: bool) -> Take {
    if !is_first(file) {
        let message = format!("the file is no longer where the failure left it: {}", text::path(&file.path));
        Take::Failed(Box::new(Failure::permanent("input_gone", message)))
    } else if was_ours {
        let message = "the file is neither where it landed nor in the work folder";
        Take::Failed(Box::new(Failure::permanent("input_vanished", message)))
    } else {
        Take::Gone("input_gone", "the file went away before it was claimed".into())
    }
}

/// The root is away, or another folder lies there: its files are not gone.
fn not_there(file: &JobFile) -> Take {
    let root = text::path(&file.root);
    Take::Hold(format!("the folder that the file landed in is away, perhaps not mounted: {root}"), BLOCKED_RETRY)
}

fn ours(work: Arc<Dir>, dir: Arc<Dir>, name: OsString, from: Option<Arc<Dir>>) -> io::Result<Take> {
    match dir.open_read(&name) {
        Ok((file, stat)) => {
            Ok(Take::Taken(Box::new(Taken { work, dir, name, file, facts: stat.facts, from, lost: false })))
        }
        Err(e) if dir::is_not_regular(&e) => {
            Ok(Take::Failed(Box::new(Failure::permanent("not_regular", "it is not a regular file"))))
        }
        Err(e) => Err(e),
    }
}

/// Under its own name, or the next one that is free: in the folder it is found again, in WORK it would lie unseen.
fn put_back(parent: &Dir, source: &OsStr, taken: &Taken, claimed: &Claimed) -> io::Result<Take> {
    for name in candidates(source, claimed.job) {
        match taken.dir.rename_to(&taken.name, parent, &name) {
            Ok(()) => break,
            Err(e) if dir::is_exists(&e) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(Take::Gone("input_replaced", "another file took its name before it was claimed".into()))
}

/// Copies under a temporary name, syncs, compares the bytes on the way back, and only then gives it its name. The
/// source goes last: whoever finds both knows that the copy is whole. False: the source is not the file that was
/// `seen`, or changed meanwhile, and nothing was taken.
pub fn copy_in(from: &Dir, source: &OsStr, seen: &Stat, to: &Dir, name: &OsStr, temp: &OsStr) -> io::Result<bool> {
    let (mut input, stat) = from.open_read(source)?;
    if !stat.facts.same(&seen.facts) {
        return Ok(false);
    }
    if to.stat(temp)?.is_some() {
        to.unlink(temp)?;
    }
    copy_verified(&mut input, to, temp)?;
    crash::point("s3.copying");
    if !Stat::of(&input)?.facts.same(&stat.facts) {
        to.unlink(temp)?;
        return Ok(false);
    }
    to.rename_to(temp, to, name)?;
    to.sync()?;
    crash::point("s3.copied");
    if from.stat(source)?.is_some_and(|s| s.facts.same(&stat.facts)) {
        from.unlink(source)?;
    }
    Ok(true)
}

/// Copies `input` to a new file, syncs it and reads it back: the hashes must agree. After an error nothing is left of
/// the copy, least of all on a disk that is full.
pub fn copy_verified(input: &mut File, to: &Dir, name: &OsStr) -> io::Result<Facts> {
    let output = to.create_new(name, 0o600)?;
    let copied = copy_all(input, output, to, name);
    if copied.is_err() {
        // The error of the copy is the one that matters.
        let _ = to.unlink(name);
    }
    copied
}

fn copy_all(input: &mut File, mut output: File, to: &Dir, name: &OsStr) -> io::Result<Facts> {
    let sent = hash(input, |piece| output.write_all(piece))?;
    if let Ok(meta) = input.metadata() {
        // The copy keeps its times where it can; they are a convenience, not a promise.
        let _ = output.set_permissions(meta.permissions());
        if let Ok(modified) = meta.modified() {
            let _ = output.set_modified(modified);
        }
    }
    output.sync_all()?;
    let (mut back, stat) = to.open_read(name)?;
    if hash(&mut back, |_| Ok(()))? != sent {
        return Err(io::Error::other("the copy differs from its source"));
    }
    Ok(stat.facts)
}

/// The hash of a file from where it stands, each piece handed on.
fn hash(file: &mut File, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<blake3::Hash> {
    let mut hash = blake3::Hasher::new();
    let mut buffer = vec![0; COPY_BUFFER];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hash.finalize()),
            Ok(n) => {
                hash.update(&buffer[..n]);
                each(&buffer[..n])?;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// Ends a move into WORK that a crash cut between its two names: a link pair loses the old one, and so does a copy,
/// which is only ever there whole. Nothing is removed that is not certainly in WORK too.
pub fn finish_source(shared: &Shared, file: &JobFile, dir: &Dir) -> io::Result<()> {
    let parent = match source_folder(shared, file) {
        Ok(parent) => parent,
        Err(e) if is_nowhere(&e) => return Ok(()),
        Err(e) => return Err(e),
    };
    let name = file.source_name();
    let (Some(source), Some(ours)) = (parent.stat(name)?, dir.stat(&file.name)?) else { return Ok(()) };
    let is_copied = || -> io::Result<bool> {
        // Under `failed/` it may have been mended after it was recorded; nothing new lands there.
        if (is_first(file) && !source.facts.same(&file.facts)) || source.facts.size != ours.facts.size {
            return Ok(false);
        }
        same_content(&parent, name, dir, &file.name)
    };
    if source.is_same_inode(&ours) || (source.kind == Kind::File && is_copied()?) {
        parent.unlink(name)?;
    }
    Ok(())
}

/// Whether two files hold the same bytes.
pub fn same_content(a: &Dir, a_name: &OsStr, b: &Dir, b_name: &OsStr) -> io::Result<bool> {
    let read = |dir: &Dir, name: &OsStr| hash(&mut dir.open_read(name)?.0, |_| Ok(()));
    Ok(read(a, a_name)? == read(b, b_name)?)
}

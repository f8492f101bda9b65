//! S3: the claimed file comes under our control, by a rename into WORK, or by a verified copy where a rename cannot
//! be or must not be. The attempt works on what the open handle shows, not on what a path says.

use super::shared::Shared;
use crate::files::dir::{self, Dir, Kind, Stat};
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
}

impl Taken {
    /// Its path while it is worked on.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join(&self.name)
    }

    /// S4 afterwards: whether the file is still there and unchanged.
    pub fn check(&self) -> Result<(), Failure> {
        let held = Stat::of(&self.file).map_err(|e| Failure::io("input", "look at", &self.path(), &e))?;
        match self.dir.stat(&self.name) {
            Ok(Some(there)) if there.facts.ino == self.facts.ino => {}
            Ok(_) => {
                return Err(Failure::permanent("input_vanished", "the file was taken away while it was processed"));
            }
            Err(e) => return Err(Failure::io("input", "look at", &self.path(), &e)),
        }
        if held.facts.same(&self.facts) {
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
    Failed(Failure),
}

/// Takes the file of a claimed job.
pub fn take(shared: &Shared, task: &Task, claimed: &Claimed, file: &JobFile) -> Take {
    match try_take(shared, task, claimed, file) {
        Ok(take) => take,
        Err(e) if is_blocked(&e) => {
            Take::Hold(format!("cannot take {}: {e}", text::path(&file.absolute())), BLOCKED_RETRY)
        }
        Err(e) => Take::Failed(Failure::io("input", "take", &file.absolute(), &e)),
    }
}

/// Whether waiting may help, and trying costs nothing.
fn is_blocked(e: &io::Error) -> bool {
    dir::is_denied(e)
        || dir::is_no_space(e)
        || matches!(
            e.raw_os_error(),
            Some(libc::EROFS | libc::EMFILE | libc::ENFILE | libc::EPERM | libc::EIO | libc::ESTALE)
        )
}

fn try_take(shared: &Shared, task: &Task, claimed: &Claimed, file: &JobFile) -> io::Result<Take> {
    let work = match shared.folders.work(&file.root) {
        Ok(work) => work,
        Err(e) if dir::is_not_found(&e) => {
            return Ok(Take::Hold(format!("the folder {} is not there", text::path(&file.root)), BLOCKED_RETRY));
        }
        Err(e) => return Err(e),
    };
    let own = OsString::from(claimed.job.to_string());
    // An earlier attempt that came as far as the move leaves its folder behind; one that did not removes it.
    let was_ours = claimed.attempt > 1 && work.stat(&own)?.is_some();
    let dir = Arc::new(work.make_sub_unsynced(&own, 0o700)?);
    if dir.stat(&file.name)?.is_some() {
        finish_source(shared, file, &dir)?;
        return ours(work, dir, file.name.clone(), None);
    }
    let missing = || {
        // Empty, or it would hold the file; a later sweep takes what is left.
        let _ = work.rmdir(&own);
        Ok(missing(was_ours))
    };
    let parent = match source_folder(shared, file) {
        Ok(parent) => parent,
        Err(e) if dir::is_not_found(&e) => return missing(),
        Err(e) => return Err(e),
    };
    let source = file.source_name().to_owned();
    let Some(stat) = parent.stat(&source)? else { return missing() };
    if let Some(refused) = refuse(task, file, &stat, was_ours) {
        let _ = work.rmdir(&own);
        return Ok(refused);
    }
    crash::point("s3.before_move");
    let mut by_copy = stat.facts.nlink > 1 || matches!(&task.trigger, Trigger::Watch(w) if w.claim == ClaimBy::Copy);
    if !by_copy {
        match parent.rename_to(&source, &dir, &file.name) {
            Ok(()) => {}
            Err(e) if dir::is_cross_device(&e) => by_copy = true,
            Err(e) if dir::is_not_found(&e) => return missing(),
            Err(e) => return Err(e),
        }
    }
    if by_copy && !copy_in(&parent, &source, &dir, &file.name, claimed)? {
        let _ = work.rmdir(&own);
        return Ok(Take::Hold("it changed while it was copied: it settles again".into(), settle(task)));
    }
    crash::point("s3.after_move");
    let taken = ours(work, dir, file.name.clone(), Some(Arc::clone(&parent)))?;
    if let Take::Taken(taken) = &taken
        && !by_copy
        && is_first(file)
        && stat.facts.ino != taken.facts.ino
    {
        // Another file got the name between the look and the rename: it is not ours to work on.
        return put_back(&parent, &source, taken, claimed);
    }
    Ok(taken)
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
fn refuse(task: &Task, file: &JobFile, stat: &Stat, was_ours: bool) -> Option<Take> {
    if stat.kind != Kind::File {
        return Some(Take::Gone(
            "input_replaced",
            "the name now stands for something that is not a regular file".into(),
        ));
    }
    if !is_first(file) {
        // An operator may have mended it: another inode, size or time is what we hope for.
        return None;
    }
    if stat.facts.ino != file.facts.ino {
        return Some(if was_ours {
            vanished()
        } else {
            Take::Gone("input_replaced", "another file took its name before it was claimed".into())
        });
    }
    if !stat.facts.same(&file.facts) {
        return Some(Take::Hold("it changed after it had landed: it settles again".into(), settle(task)));
    }
    None
}

/// How long a file that changed is left alone.
fn settle(task: &Task) -> Duration {
    match &task.trigger {
        Trigger::Watch(w) => w.settle,
        Trigger::After(_) | Trigger::Manual => Duration::from_secs(2),
    }
}

/// Neither at its path nor in WORK.
fn missing(was_ours: bool) -> Take {
    if was_ours { vanished() } else { Take::Gone("input_gone", "the file went away before it was claimed".into()) }
}

fn vanished() -> Take {
    let message = "the file is neither where it was left nor in the work folder";
    Take::Failed(Failure::permanent("input_vanished", message))
}

fn ours(work: Arc<Dir>, dir: Arc<Dir>, name: OsString, from: Option<Arc<Dir>>) -> io::Result<Take> {
    match dir.open_read(&name) {
        Ok((file, stat)) => Ok(Take::Taken(Box::new(Taken { work, dir, name, file, facts: stat.facts, from }))),
        Err(e) if dir::is_not_regular(&e) => {
            Ok(Take::Failed(Failure::permanent("not_regular", "it is not a regular file")))
        }
        Err(e) => Err(e),
    }
}

fn put_back(parent: &Dir, source: &OsStr, taken: &Taken, claimed: &Claimed) -> io::Result<Take> {
    match taken.dir.rename_to(&taken.name, parent, source) {
        Ok(()) => {
            let _ = taken.work.rmdir(OsStr::new(&claimed.job.to_string()));
            Ok(Take::Gone("input_replaced", "another file took its name before it was claimed".into()))
        }
        // The name is taken again: the file stays in WORK and the next start makes a job of it.
        Err(e) if dir::is_exists(&e) => {
            Ok(Take::Gone("input_replaced", "another file took its name; it was left in the work folder".into()))
        }
        Err(e) => Err(e),
    }
}

/// Copies under a temporary name, syncs, compares the bytes on the way back, and only then gives it its name. The
/// source goes last: whoever finds both knows that the copy is whole. False: the source changed meanwhile, and there is
/// no copy.
fn copy_in(from: &Dir, source: &OsStr, to: &Dir, name: &OsStr, claimed: &Claimed) -> io::Result<bool> {
    let (mut input, stat) = from.open_read(source)?;
    let temp = crate::files::names::temp_name(claimed.job, claimed.attempt, u32::MAX);
    if to.stat(&temp)?.is_some() {
        to.unlink(&temp)?;
    }
    copy_verified(&mut input, to, &temp)?;
    crash::point("s3.copying");
    if !Stat::of(&input)?.facts.same(&stat.facts) {
        to.unlink(&temp)?;
        return Ok(false);
    }
    to.rename_to(&temp, to, name)?;
    to.sync()?;
    crash::point("s3.copied");
    if from.stat(source)?.is_some_and(|s| s.facts.same(&stat.facts)) {
        from.unlink(source)?;
    }
    Ok(true)
}

/// Copies `input` to a new file, syncs it and reads it back: the hashes must agree.
pub fn copy_verified(input: &mut File, to: &Dir, name: &OsStr) -> io::Result<Facts> {
    let mut output = to.create_new(name, 0o600)?;
    let mut hash = blake3::Hasher::new();
    let mut buffer = vec![0; COPY_BUFFER];
    loop {
        let n = input.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        hash.update(&buffer[..n]);
        output.write_all(&buffer[..n])?;
    }
    if let Ok(meta) = input.metadata() {
        // The copy keeps its times where it can; they are a convenience, not a promise.
        let _ = output.set_permissions(meta.permissions());
        if let Ok(modified) = meta.modified() {
            let _ = output.set_modified(modified);
        }
    }
    output.sync_all()?;
    let (mut back, stat) = to.open_read(name)?;
    let mut again = blake3::Hasher::new();
    loop {
        let n = back.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        again.update(&buffer[..n]);
    }
    if hash.finalize() != again.finalize() {
        to.unlink(name)?;
        return Err(io::Error::other("the copy differs from its source"));
    }
    Ok(stat.facts)
}

/// Finishes a claim that was cut between the file's arrival in WORK and the end of its old name, as a copy and a rename
/// made of link and unlink can be. A file in WORK is only ever there whole, so its source may go.
pub fn finish_source(shared: &Shared, file: &JobFile, dir: &Dir) -> io::Result<()> {
    let Some(ours) = dir.stat(&file.name)? else { return Ok(()) };
    let parent = match source_folder(shared, file) {
        Ok(parent) => parent,
        Err(e) if dir::is_not_found(&e) => return Ok(()),
        Err(e) => return Err(e),
    };
    let source = file.source_name();
    let Some(there) = parent.stat(source)? else { return Ok(()) };
    let is_linked = there.is_same_inode(&ours);
    let is_copied = there.kind == Kind::File
        && there.facts.size == ours.facts.size
        && if is_first(file) {
            there.facts.same(&file.facts)
        } else {
            // Under `failed/` it may have been mended after it was recorded; nothing new lands there.
            same_content(&parent, source, dir, &file.name)?
        };
    if is_linked || is_copied { parent.unlink(source) } else { Ok(()) }
}

fn same_content(a: &Dir, a_name: &OsStr, b: &Dir, b_name: &OsStr) -> io::Result<bool> {
    let hash = |dir: &Dir, name: &OsStr| {
        let (file, _) = dir.open_read(name)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(file)?;
        Ok::<_, io::Error>(hasher.finalize())
    };
    Ok(hash(a, a_name)? == hash(b, b_name)?)
}

//! Whether a file can be renamed from one folder to another. Device numbers do not tell: bind mounts and subvolumes lie.
//! So it is tried, once for each pair of folders' devices.

use crate::files::dir::{self, Dir};
use crate::model::JobId;
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Pairs remembered; when there are more, all are forgotten and tried again.
const KNOWN_MAX: usize = 1024;

/// Where from, and device and inode of where to.
type Known = HashMap<(PathBuf, u64, u64), bool>;

/// Whether renames work from one folder to the other; answered from memory where it was tried before.
pub fn can_rename(from: &Dir, to: &Dir, job: JobId) -> io::Result<bool> {
    static KNOWN: OnceLock<Mutex<Known>> = OnceLock::new();
    let known = KNOWN.get_or_init(Mutex::default);
    let (a, b) = (from.stat_self()?.facts, to.stat_self()?.facts);
    if a.dev != b.dev {
        return Ok(false);
    }
    // A device may be mounted more than once, and between two mounts of it nothing can be renamed: so the source counts
    // by its path. The work folders of all jobs below one root count as one.
    let own = from.path().file_name().is_some_and(|name| name == job.to_string().as_str());
    let source = from.path().parent().filter(|_| own).unwrap_or(from.path());
    let key = (source.to_owned(), b.dev, b.ino);
    if let Some(&answer) = known.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Ok(answer);
    }
    let answer = probe(from, to, job)?;
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if known.len() >= KNOWN_MAX {
        known.clear();
    }
    known.insert(key, answer);
    Ok(answer)
}

fn probe(from: &Dir, to: &Dir, job: JobId) -> io::Result<bool> {
    let name = crate::files::names::temp_name(job, 0, u32::MAX);
    for dir in [from, to] {
        if dir.stat(&name)?.is_some() {
            dir.unlink(&name)?;
        }
    }
    drop(from.create_new(&name, 0o600)?);
    match from.rename_to(&name, to, &name) {
        Ok(()) => to.unlink(&name).map(|()| true),
        Err(e) if dir::is_cross_device(&e) => from.unlink(&name).map(|()| false),
        Err(e) => {
            from.unlink(&name)?;
            Err(e)
        }
    }
}

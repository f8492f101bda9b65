//! Final names that jobs in flight have chosen but not yet taken. Two jobs that want one name at the same moment get
//! two names; a name is free again when its reservation is dropped.

use super::names::candidates;
use crate::model::JobId;
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The names in use by jobs in flight. Bounded by them: each holds a handful.
#[derive(Debug, Default)]
pub struct Names {
    taken: Mutex<HashSet<PathBuf>>,
}

/// Names held for one job until it is dropped.
#[derive(Debug)]
pub struct Reservation {
    names: Arc<Names>,
    /// The names, the target first.
    pub paths: Vec<PathBuf>,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut taken = self.names.taken.lock().unwrap_or_else(PoisonError::into_inner);
        for path in &self.paths {
            taken.remove(path);
        }
    }
}

impl Names {
    /// Reserves `target`, or the next free suffix of it, together with what `siblings` derives from the name chosen. A
    /// name counts as free if nothing is there, or only `mine`, which is about to go.
    pub fn reserve(
        self: &Arc<Self>,
        target: &Path,
        job: JobId,
        siblings: &dyn Fn(&Path) -> Vec<PathBuf>,
        mine: Option<&Path>,
    ) -> io::Result<Reservation> {
        let (Some(folder), Some(name)) = (target.parent(), target.file_name()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a file name is missing"));
        };
        for candidate in candidates(name, job) {
            let first = folder.join(candidate);
            let mut paths = vec![first.clone()];
            paths.extend(siblings(&first));
            let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            if paths.iter().any(|p| taken.contains(p)) {
                continue;
            }
            let mut free = true;
            for path in &paths {
                free &= Some(path.as_path()) == mine || !exists(path)?;
            }
            if free {
                taken.extend(paths.iter().cloned());
                return Ok(Reservation { names: Arc::clone(self), paths });
            }
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "no free name is left"))
    }

    /// Holds exactly this name, whatever is there now: for an output that replaces.
    #[must_use]
    pub fn hold(self: &Arc<Self>, path: &Path) -> Option<Reservation> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.insert(path.to_owned()).then(|| Reservation { names: Arc::clone(self), paths: vec![path.to_owned()] })
    }
}

/// Whether anything has this name; a link that leads nowhere counts too.
fn exists(path: &Path) -> io::Result<bool> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        // A part of the path is a file: nothing can be there, and opening the folder will say so.
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(path: &Path) -> Vec<PathBuf> {
        let mut p = path.as_os_str().to_owned();
        p.push(".error.json");
        vec![p.into()]
    }

    #[test]
    fn two_jobs_never_hold_one_name() {
        let dir = tempfile::tempdir().unwrap();
        let names = Arc::new(Names::default());
        let target = dir.path().join("a.csv");
        let none = |_: &Path| Vec::new();
        let first = names.reserve(&target, JobId(1), &none, None).unwrap();
        let second = names.reserve(&target, JobId(2), &none, None).unwrap();
        assert_eq!(first.paths[0], target);
        assert_eq!(second.paths[0], dir.path().join("a-2.csv"));
        drop(first);
        assert_eq!(names.reserve(&target, JobId(3), &none, None).unwrap().paths[0], target);
    }

    #[test]
    fn a_name_and_its_record_take_one_suffix() {
        let dir = tempfile::tempdir().unwrap();
        let names = Arc::new(Names::default());
        let target = dir.path().join("a.csv");
        std::fs::write(dir.path().join("a.csv.error.json"), "x").unwrap();
        let got = names.reserve(&target, JobId(1), &record, None).unwrap();
        assert_eq!(got.paths, [dir.path().join("a-2.csv"), dir.path().join("a-2.csv.error.json")]);
        drop(got);
        let mine = dir.path().join("a.csv.error.json");
        let got = names.reserve(&target, JobId(1), &record, Some(&mine)).unwrap();
        assert_eq!(got.paths[0], target, "the old record of this very job is no obstacle");
    }
}

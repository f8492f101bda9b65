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

    /// Reserves exactly `target` and what `siblings` derives from it. With `over`, regular files may be there: they are
    /// going to be replaced.
    pub fn exact(
        self: &Arc<Self>,
        target: &Path,
        siblings: &dyn Fn(&Path) -> Vec<PathBuf>,
        over: bool,
    ) -> io::Result<Result<Reservation, Taken>> {
        if target.parent().is_none() || target.file_name().is_none() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a file name is missing"));
        }
        let mut paths = vec![target.to_owned()];
        paths.extend(siblings(target));
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        for path in &paths {
            if taken.contains(path) {
                return Ok(Err(Taken::Held(path.clone())));
            }
            if let Some(there) = in_the_way(path, over)? {
                return Ok(Err(there));
            }
        }
        taken.extend(paths.iter().cloned());
        Ok(Ok(Reservation { names: Arc::clone(self), paths }))
    }
}

/// Why a name cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// A job in flight has chosen it.
    Held(PathBuf),
    /// Something has it.
    There(PathBuf),
    /// What has it is no regular file, so that it cannot be replaced.
    NoFile(PathBuf),
}

/// What keeps an output from taking exactly this name, if anything does.
pub fn in_the_way(path: &Path, over: bool) -> io::Result<Option<Taken>> {
    match path.symlink_metadata() {
        Ok(there) if over && there.is_file() => Ok(None),
        Ok(_) if over => Ok(Some(Taken::NoFile(path.to_owned()))),
        Ok(_) => Ok(Some(Taken::There(path.to_owned()))),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(e),
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
    fn an_exact_name_is_had_or_said_to_be_taken() {
        let dir = tempfile::tempdir().unwrap();
        let names = Arc::new(Names::default());
        let target = dir.path().join("a.csv");
        let none = |_: &Path| Vec::new();
        let held = names.exact(&target, &record, false).unwrap().unwrap();
        assert_eq!(held.paths, [target.clone(), dir.path().join("a.csv.error.json")]);
        for over in [false, true] {
            let again = names.exact(&target, &none, over).unwrap();
            assert_eq!(again.unwrap_err(), Taken::Held(target.clone()), "two jobs never replace one file at once");
        }
        drop(held);
        std::fs::write(dir.path().join("a.csv.error.json"), "x").unwrap();
        let there = Taken::There(dir.path().join("a.csv.error.json"));
        assert_eq!(names.exact(&target, &record, false).unwrap().unwrap_err(), there);
        drop(names.exact(&target, &none, false).unwrap().unwrap());
        drop(names.exact(&target, &record, true).unwrap().unwrap());
        std::fs::create_dir(&target).unwrap();
        assert_eq!(names.exact(&target, &none, true).unwrap().unwrap_err(), Taken::NoFile(target.clone()));
        std::fs::remove_dir(&target).unwrap();
        std::os::unix::fs::symlink("a.csv.error.json", &target).unwrap();
        assert_eq!(names.exact(&target, &none, true).unwrap().unwrap_err(), Taken::NoFile(target));
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

//! Temporary files that nobody will place. What a decided job still has to place is named by its moves; every other
//! temporary name is removed: at once where the attempt ends otherwise, else by the next start.
//!
//! Which folders may hold some is known beforehand: an attempt's row lists them, and an operator's action, which has no
//! attempt, writes a note before it makes the first one.

use crate::files::dir::{self, Dir};
use crate::files::names::parse_temp_name;
use crate::model::job::{Move, MoveKind};
use crate::model::{JobId, text};
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Removes the temporary files of a job in these folders, but for those to `keep`. What cannot be removed is said and left
/// to the next start.
pub fn remove(job: JobId, dirs: &[PathBuf], keep: &[PathBuf]) {
    for dir in dirs {
        let Ok(dir) = Dir::open(dir) else { continue };
        let Ok(names) = dir.list() else { continue };
        for (name, _) in names.flatten() {
            if parse_temp_name(&name).is_some_and(|(owner, _, _)| owner == job)
                && !keep.contains(&dir.path().join(&name))
                && let Err(e) = dir.unlink(&name)
                && !dir::is_not_found(&e)
            {
                tracing::warn!("cannot remove the temporary file {}: {e}", text::path(&dir.path().join(&name)));
            }
        }
    }
}

/// Removes the temporary files that these moves would have placed.
pub fn drop_moves(moves: &[Move]) {
    for m in moves.iter().filter(|m| matches!(m.kind, MoveKind::Place | MoveKind::Replace)) {
        let (Some(folder), Some(name)) = (m.src.parent(), m.src.file_name()) else { continue };
        if parse_temp_name(name).is_some()
            && let Ok(folder) = Dir::open(folder)
            && folder.stat(name).is_ok_and(|s| s.is_some_and(|s| s.facts.ino == m.ino))
        {
            // The next start sweeps what cannot be removed now.
            let _ = folder.unlink(name);
        }
    }
}

/// Says on the disk which folders may hold temporary files of which jobs, until it is done.
#[derive(Debug)]
pub struct Note {
    path: PathBuf,
    jobs: Vec<(JobId, Vec<PathBuf>)>,
}

fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("asides")
}

impl Note {
    /// Writes a note that survives a power cut.
    pub fn write(data_dir: &Path, action: i64, jobs: Vec<(JobId, Vec<PathBuf>)>) -> io::Result<Self> {
        let dir = Dir::create_all(&folder(data_dir))?;
        let first = jobs.first().map_or(0, |(job, _)| job.0);
        let path = dir.path().join(format!("{action}-{first}"));
        let mut text = Vec::new();
        for (job, dirs) in &jobs {
            for dir in dirs {
                text.extend_from_slice(format!("{job} ").as_bytes());
                text.extend_from_slice(dir.as_os_str().as_bytes());
                text.push(0);
            }
        }
        let mut file = fs::File::create(&path)?;
        file.write_all(&text)?;
        file.sync_all()?;
        dir.sync()?;
        Ok(Self { path, jobs })
    }

    /// Everything that was made has a move now, or was removed.
    pub fn done(self) {
        // One note too many costs the next start a look.
        let _ = fs::remove_file(&self.path);
    }

    /// Nothing was decided: removes what was made, and nothing that a checkpoint leads to.
    pub fn undo(self, keep: &[PathBuf]) {
        self.jobs.iter().for_each(|(job, dirs)| remove(*job, dirs, keep));
        self.done();
    }
}

/// Does what the notes of an earlier supervisor, or of a command, say. Called when every decided job is in its place; what
/// a checkpoint leads to is to `keep`.
pub fn undo_all(data_dir: &Path, keep: &[PathBuf]) {
    let Ok(notes) = fs::read_dir(folder(data_dir)) else { return };
    for entry in notes.flatten() {
        for line in fs::read(entry.path()).unwrap_or_default().split(|&b| b == 0) {
            let Some(space) = line.iter().position(|&b| b == b' ') else { continue };
            let job = std::str::from_utf8(&line[..space]).ok().and_then(|n| n.parse().ok());
            if let Some(job) = job {
                remove(JobId(job), &[PathBuf::from(OsString::from_vec(line[space + 1..].to_vec()))], keep);
            }
        }
        let _ = fs::remove_file(entry.path());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::names::temp_name;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn only_the_jobs_own_temporary_files_go() {
        let dir = tempfile::tempdir().unwrap();
        for name in [temp_name(JobId(1), 1, 0), temp_name(JobId(1), 2, 7), temp_name(JobId(12), 1, 0), "a.part".into()]
        {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        let dirs = [dir.path().join("none"), dir.path().to_owned()];
        let left = || {
            let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
            left.sort();
            left
        };
        remove(JobId(1), &dirs, &[dir.path().join(temp_name(JobId(1), 2, 7))]);
        assert_eq!(left(), [temp_name(JobId(1), 2, 7), temp_name(JobId(12), 1, 0), "a.part".into()]);
        remove(JobId(1), &dirs, &[]);
        assert_eq!(left(), [temp_name(JobId(12), 1, 0), "a.part".into()]);
    }

    #[test]
    fn a_note_is_found_by_the_next_start() {
        let (data, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let odd = target.path().join(std::ffi::OsStr::from_bytes(b"a b\n\xff"));
        fs::create_dir(&odd).unwrap();
        let temp = odd.join(temp_name(JobId(3), 0, 1));
        let other = odd.join(temp_name(JobId(4), 0, 1));
        let note = Note::write(data.path(), 9, vec![(JobId(3), vec![target.path().to_owned(), odd])]).unwrap();
        for path in [&temp, &other] {
            fs::write(path, "x").unwrap();
        }
        drop(note); // as a crash would
        undo_all(data.path(), &[]);
        assert!(!temp.exists() && other.exists());
        assert_eq!(fs::read_dir(folder(data.path())).unwrap().count(), 0);
    }

    #[test]
    fn originals_are_never_taken_for_temporary_files() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: OsString, kind| {
            let src = dir.path().join(name);
            fs::write(&src, "x").unwrap();
            let ino = fs::metadata(&src).unwrap().ino();
            Move { seq: 0, kind, src, dst: PathBuf::from("/none/x"), ino }
        };
        let moves = [
            at(temp_name(JobId(1), 1, 0), MoveKind::Place),
            at("a.csv".into(), MoveKind::Original),
            at("b.csv".into(), MoveKind::Place),
        ];
        drop_moves(&moves);
        assert_eq!(moves.map(|m| m.src.exists()), [false, true, true]);
    }
}

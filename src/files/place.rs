//! S7: one move at a time, redone as often as needed. What is moved is recognised by its inode at either end, so a
//! second try after a crash finds what the first one did.

use super::dir::{self, Dir, Stat};
use super::folders::Folders;
use crate::model::job::{Move, MoveKind};
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// What came of a move.
#[derive(Debug)]
pub enum Placed {
    /// It is done, now or before; these folders must be synced.
    Done(Vec<Arc<Dir>>),
    /// Somebody else took the name.
    Taken,
    /// What should be moved is at neither end.
    Lost,
}

/// Does one move.
pub fn place(m: &Move, folders: &Folders) -> io::Result<Placed> {
    match m.kind {
        MoveKind::Remove | MoveKind::RemoveSource => remove(m, folders),
        MoveKind::Place | MoveKind::Replace | MoveKind::Original => rename(m, folders),
    }
}

fn rename(m: &Move, folders: &Folders) -> io::Result<Placed> {
    let target = folders.make(parent(&m.dst)?)?;
    let (src_name, dst_name) = (name(&m.src)?, name(&m.dst)?);
    let is_beside = parent(&m.src)? == parent(&m.dst)?;
    let source = match if is_beside { Ok(Arc::clone(&target)) } else { folders.get(parent(&m.src)?) } {
        Ok(dir) => Some(dir),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(e),
    };
    // The usual case needs no look first: a rename never goes over another file, and who is at the target now is
    // looked at only when it does not work.
    if let (Some(dir), true) = (&source, m.kind != MoveKind::Replace)
        && dir.stat(src_name)?.is_some_and(|s| s.facts.ino == m.ino)
        && dir.rename_to(src_name, &target, dst_name).is_ok()
    {
        return Ok(Placed::Done(vec![Arc::clone(dir), target]));
    }
    let at_source = match &source {
        Some(dir) => dir.stat(src_name)?.filter(|s| s.facts.ino == m.ino),
        None => None,
    };
    let there = target.stat(dst_name)?;
    // An inode has its number on its own device only: another file on another device is not the one that is moved.
    let is_it = |s: &Stat| s.facts.ino == m.ino && at_source.is_none_or(|from| from.is_same_inode(s));
    if there.as_ref().is_some_and(is_it) {
        // Done before. If both names are there, a rename was made of link and unlink and cut between the two.
        if let (Some(_), Some(source)) = (at_source, &source) {
            source.unlink(src_name)?;
        }
        return Ok(Placed::Done(source.into_iter().chain([target]).collect()));
    }
    if there.is_some() && m.kind != MoveKind::Replace {
        return Ok(Placed::Taken);
    }
    let (Some(_), Some(source)) = (at_source, source) else { return Ok(Placed::Lost) };
    let moved = if m.kind == MoveKind::Replace {
        source.replace_to(src_name, &target, dst_name)
    } else {
        source.rename_to(src_name, &target, dst_name)
    };
    match moved {
        Ok(()) => Ok(Placed::Done(vec![source, target])),
        Err(e) if dir::is_exists(&e) => Ok(Placed::Taken),
        Err(e) => Err(e),
    }
}

fn remove(m: &Move, folders: &Folders) -> io::Result<Placed> {
    let folder = match folders.get(parent(&m.src)?) {
        Ok(dir) => dir,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Placed::Done(Vec::new())),
        Err(e) => return Err(e),
    };
    let name = name(&m.src)?;
    if folder.stat(name)?.is_some_and(|s| s.facts.ino == m.ino) {
        folder.unlink(name)?;
    }
    Ok(Placed::Done(vec![folder]))
}

fn parent(path: &Path) -> io::Result<&Path> {
    path.parent().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a move without a folder"))
}

fn name(path: &Path) -> io::Result<&OsStr> {
    path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a move without a name"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    fn setup() -> (tempfile::TempDir, Folders, Move) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("work")).unwrap();
        let src = dir.path().join("work/a");
        fs::write(&src, "content").unwrap();
        let ino = fs::metadata(&src).unwrap().ino();
        let m = Move { seq: 0, kind: MoveKind::Place, dst: dir.path().join("done/a"), src, ino };
        (dir, Folders::default(), m)
    }

    #[test]
    fn a_move_may_be_repeated() {
        let (_keep, folders, m) = setup();
        for _ in 0..3 {
            assert!(matches!(place(&m, &folders).unwrap(), Placed::Done(_)));
        }
        assert_eq!(fs::read(&m.dst).unwrap(), b"content");
        assert!(!m.src.exists());
    }

    #[test]
    fn another_file_is_never_written_over() {
        let (_keep, folders, m) = setup();
        fs::create_dir(m.dst.parent().unwrap()).unwrap();
        fs::write(&m.dst, "theirs").unwrap();
        assert!(matches!(place(&m, &folders).unwrap(), Placed::Taken));
        assert_eq!(fs::read(&m.dst).unwrap(), b"theirs");
        assert_eq!(fs::read(&m.src).unwrap(), b"content");
    }

    #[test]
    fn a_link_pair_is_finished() {
        let (_keep, folders, m) = setup();
        fs::create_dir(m.dst.parent().unwrap()).unwrap();
        fs::hard_link(&m.src, &m.dst).unwrap();
        assert!(matches!(place(&m, &folders).unwrap(), Placed::Done(_)));
        assert!(!m.src.exists() && m.dst.exists());
    }

    #[test]
    fn a_removal_spares_another_file() {
        let (_keep, folders, mut m) = setup();
        m.kind = MoveKind::Remove;
        m.ino += 1;
        place(&m, &folders).unwrap();
        assert!(m.src.exists());
        m.ino -= 1;
        place(&m, &folders).unwrap();
        assert!(!m.src.exists());
    }

    #[test]
    fn what_is_at_neither_end_is_lost() {
        let (_keep, folders, m) = setup();
        fs::remove_file(&m.src).unwrap();
        assert!(matches!(place(&m, &folders).unwrap(), Placed::Lost));
    }
}

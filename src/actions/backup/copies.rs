//! The copies that lie in a folder: which there are of a task, which of them are whole, and how one goes.
//!
//! A copy goes so that a crash at any moment leaves nothing that looks like a good one: of an archive the archive goes
//! first and its manifest last, and a tree loses its name before it loses anything else.

use super::manifest::{BESIDE, Form, Head, INSIDE, Manifest};
use super::retain::Copy;
use crate::model::{Millis, crash};
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind};
use std::path::{Path, PathBuf};

/// What the name of a copy is followed by in the name of a note that it is damaged.
const BAD: &str = ".bad";
/// What the name of a tree ends with that is in the making or going.
pub const PART: &str = ".part";

/// A copy in a folder.
#[derive(Clone, Debug)]
pub struct Lying {
    /// The archive or the tree.
    pub path: PathBuf,
    /// Its manifest.
    pub manifest: PathBuf,
    /// What the manifest says of it.
    pub head: Head,
    /// As retention sees it.
    pub copy: Copy,
}

/// A path with something behind its name.
pub fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// The copies of a task in a folder, the newest first. A manifest without a head belongs to nobody and is left alone.
pub fn of_task(dir: &Path, task: &str) -> io::Result<Vec<Lying>> {
    let mut found = Vec::new();
    let listed = match fs::read_dir(dir) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(found),
        listed => listed?,
    };
    for entry in listed {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|n| n.to_str()) else { continue };
        let (copy, manifest) = match name.strip_suffix(BESIDE) {
            Some(archive) => (path.with_file_name(archive), path.clone()),
            None if name.ends_with(PART) => continue,
            None if path.join(INSIDE).is_file() => (path.clone(), path.join(INSIDE)),
            None => continue,
        };
        let Ok((head, is_whole)) = read(&manifest) else { continue };
        if head.task == task {
            found.push(lying(copy, manifest, head, is_whole));
        }
    }
    let good: BTreeMap<String, u64> = found
        .iter()
        .filter(|l| l.copy.good)
        .filter_map(|l| Some((l.copy.name.clone(), l.head.archive.as_ref()?.bytes)))
        .collect();
    for lying in &mut found {
        lying.copy.good &= lying.head.needs.iter().all(|need| good.get(&need.archive) == Some(&need.seal.bytes));
    }
    found.sort_by(|a, b| b.copy.planned.cmp(&a.copy.planned).then_with(|| b.copy.name.cmp(&a.copy.name)));
    Ok(found)
}

/// The head of a manifest, and whether all of it is whole.
fn read(path: &Path) -> io::Result<(Head, bool)> {
    let mut manifest = Manifest::open(BufReader::new(File::open(path)?))?;
    let is_whole = manifest.by_ref().all(|entry| entry.is_ok());
    Ok((manifest.head, is_whole))
}

fn lying(path: PathBuf, manifest: PathBuf, head: Head, is_whole: bool) -> Lying {
    let is_there = match (&head.form, &head.archive) {
        (Form::Archive, Some(seal)) => {
            path.symlink_metadata().is_ok_and(|meta| meta.is_file() && meta.len() == seal.bytes)
        }
        (Form::Archive, None) => false,
        (Form::Tree, _) => path.symlink_metadata().is_ok_and(|meta| meta.is_dir()),
    };
    let copy = Copy {
        name: path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(),
        planned: Millis(head.planned_ms),
        good: is_whole && is_there && with(&path, BAD).symlink_metadata().is_err(),
        verified: head.verified,
        needs: head.needs.iter().map(|need| need.archive.clone()).collect(),
    };
    Lying { path, manifest, head, copy }
}

/// Notes that a copy is damaged: it counts as good no more.
pub fn mark_bad(path: &Path, why: &str) -> io::Result<()> {
    fs::write(with(path, BAD), format!("{why}\n"))
}

/// Deletes a copy.
pub fn delete(lying: &Lying) -> io::Result<()> {
    let gone = |result: io::Result<()>| match result {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    };
    let dir = lying.path.parent().unwrap_or(Path::new("/"));
    match lying.head.form {
        Form::Archive => {
            gone(fs::remove_file(&lying.path))?;
            crash::point("backup.archive_deleted");
            File::open(dir)?.sync_all()?;
            gone(fs::remove_file(with(&lying.path, BAD)))?;
            gone(fs::remove_file(&lying.manifest))
        }
        Form::Tree => {
            let part = with(&lying.path, PART);
            gone(fs::remove_dir_all(&part))?;
            renameat2(AT_FDCWD, &lying.path, AT_FDCWD, &part, RenameFlags::RENAME_NOREPLACE)?;
            crash::point("backup.tree_unnamed");
            File::open(dir)?.sync_all()?;
            gone(fs::remove_file(with(&lying.path, BAD)))?;
            gone(fs::remove_dir_all(&part))
        }
    }
}

/// Removes what attempts at a tree, and the end of one, have left: folders with a name of this task that ends in
/// `.part`. Only one run of a task is at work at a time.
pub fn sweep(dir: &Path, task: &str) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_left = name.to_str().and_then(|n| n.strip_suffix(PART)).is_some_and(|n| is_of(n, task));
        if is_left && entry.file_type()?.is_dir() {
            unlock(&entry.path())?;
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Makes folders writable, so that what is in them can be removed.
pub fn unlock(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            unlock(&entry.path())?;
        }
    }
    Ok(())
}

/// The name of a copy: task and planned time.
pub fn name(task: &str, planned: Millis) -> String {
    let at = chrono::DateTime::from_timestamp_millis(planned.0).unwrap_or_default();
    format!("{task}-{}", at.format("%Y%m%dT%H%M%SZ"))
}

/// Whether a name is one that copies of this task get.
fn is_of(name: &str, task: &str) -> bool {
    let Some(stamp) = name.strip_prefix(task).and_then(|n| n.strip_prefix('-')) else { return false };
    let stamp = stamp.as_bytes();
    let is_time = stamp.get(..16).is_some_and(|s| {
        s.iter().enumerate().all(|(i, b)| match i {
            8 => *b == b'T',
            15 => *b == b'Z',
            _ => b.is_ascii_digit(),
        })
    });
    is_time && stamp.get(16..).is_some_and(|rest| rest.iter().all(|b| *b == b'-' || b.is_ascii_digit()))
}

/// The next free name of a tree.
pub fn free(dir: &Path, name: &str) -> PathBuf {
    let mut path = dir.join(name);
    let mut n = 2;
    while path.symlink_metadata().is_ok() {
        path = dir.join(OsString::from(format!("{name}-{n}")));
        n += 1;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_task_are_told_from_others() {
        let made = name("nightly", Millis(1_767_225_600_000));
        assert_eq!(made, "nightly-20260101T000000Z");
        assert!(is_of(&made, "nightly") && is_of(&format!("{made}-2"), "nightly"));
        for other in ["nightly", "nightly-x", "nightly-20260101T000000", "nightly-20260101T000000Z.old", "a-nightly"] {
            assert!(!is_of(other, "nightly"), "{other}");
        }
        assert!(!is_of(&name("nightly-two", Millis(0)), "nightly"));
    }
}

//! Goes through the files of a backup, name by name in the order of their bytes. Every folder is opened from the one
//! above it and no link is followed, so that a folder which becomes a link meanwhile leads nowhere.

use super::manifest::{Entry, EntryKind};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Folders that are open at once, one in the other; a deeper one fails the backup.
const DEPTH_MAX: usize = 400;

/// A path of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Where it is.
    pub path: PathBuf,
    /// What it is called in a copy; empty for the folder of the configuration itself.
    pub name: Vec<u8>,
}

/// What is left out.
#[derive(Clone, Debug)]
pub struct Exclude {
    /// Patterns without a `/`, for the last part of a path.
    names: GlobSet,
    /// The others, for the whole path.
    paths: GlobSet,
}

impl Exclude {
    /// Reads patterns. The error: which one is wrong, and why.
    pub fn new<'a>(patterns: impl Iterator<Item = &'a str>) -> Result<Self, (usize, String)> {
        let (mut names, mut paths) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        for (n, pattern) in patterns.enumerate() {
            let glob = GlobBuilder::new(pattern).literal_separator(true).build();
            let glob = glob.map_err(|e| (n, e.kind().to_string()))?;
            if pattern.contains('/') {
                paths.add(glob)
            } else {
                names.add(glob)
            };
        }
        let build = |set: GlobSetBuilder| set.build().map_err(|e| (0, e.kind().to_string()));
        Ok(Self { names: build(names)?, paths: build(paths)? })
    }

    /// Whether a path is left out, with everything below it.
    pub fn is_out(&self, path: &[u8]) -> bool {
        let path = Path::new(OsStr::from_bytes(path));
        let name = path.file_name().unwrap_or_default();
        // Outputs of jobs that are at work: they are gone in a moment.
        let is_temporary = name.as_bytes().starts_with(b".sb-") && name.as_bytes().ends_with(b".part");
        is_temporary || self.names.is_match(name) || self.paths.is_match(path)
    }
}

/// What was found.
pub enum Found {
    /// An entry; a file comes open.
    Entry(Box<Entry>, Option<(File, FileStat)>),
    /// A socket, a pipe or a device.
    Special,
    /// Something that cannot be read, with its path in the copy.
    Unreadable(Vec<u8>, io::Error),
}

/// What a name stands for.
pub fn kind_of(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

/// Modification time in nanoseconds since the Unix epoch.
pub fn mtime_ns(stat: &FileStat) -> i64 {
    stat.st_mtime.saturating_mul(1_000_000_000).saturating_add(stat.st_mtime_nsec)
}

fn entry(kind: EntryKind, path: Vec<u8>, stat: &FileStat) -> Box<Entry> {
    Box::new(Entry {
        kind,
        path,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime_ns: mtime_ns(stat),
        size: if kind == EntryKind::File { u64::try_from(stat.st_size).unwrap_or(0) } else { 0 },
        hash: None,
        link: None,
        changed: false,
        held: None,
    })
}

/// A folder on the way down.
struct Level {
    dir: OwnedFd,
    path: Vec<u8>,
    /// Its names that are still to come, the last one first.
    names: Vec<Vec<u8>>,
}

/// Goes through everything below a root. `skip`: folders that are left out, by device and inode.
pub fn walk<E>(
    root: &Root,
    exclude: &Exclude,
    skip: &[(u64, u64)],
    each: &mut dyn FnMut(Found) -> Result<(), E>,
) -> Result<(), E> {
    let parent = root.path.parent().unwrap_or(&root.path);
    // What the configuration names may be a link; what is found below it may not.
    let opened = File::open(parent).and_then(|parent| {
        let name = root.path.file_name().unwrap_or(OsStr::new("."));
        let stat = fstatat(&parent, name, AtFlags::empty())?;
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        Ok((stat, openat(&parent, name, flags, Mode::empty())?))
    });
    let (stat, fd) = match opened {
        Ok(opened) => opened,
        Err(e) => return each(Found::Unreadable(root.name.clone(), e)),
    };
    match kind_of(&stat) {
        SFlag::S_IFDIR => {}
        SFlag::S_IFREG => {
            return each(Found::Entry(entry(EntryKind::File, root.name.clone(), &stat), Some((fd.into(), stat))));
        }
        _ => return each(Found::Special),
    }
    if skip.contains(&(stat.st_dev, stat.st_ino)) {
        return Ok(());
    }
    if !root.name.is_empty() {
        each(Found::Entry(entry(EntryKind::Folder, root.name.clone(), &stat), None))?;
    }
    let mut levels = Vec::new();
    match names(&fd) {
        Ok(names) => levels.push(Level { dir: fd, path: root.name.clone(), names }),
        Err(e) => each(Found::Unreadable(root.name.clone(), e))?,
    }
    while let Some(level) = levels.last_mut() {
        let Some(name) = level.names.pop() else {
            levels.pop();
            continue;
        };
        let path = if level.path.is_empty() { name.clone() } else { [&*level.path, b"/", &name].concat() };
        if exclude.is_out(&path) {
            continue;
        }
        match look(level.dir.as_fd(), &name, &path) {
            Ok(Look::Folder(dir, stat)) if !skip.contains(&(stat.st_dev, stat.st_ino)) => {
                each(Found::Entry(entry(EntryKind::Folder, path.clone(), &stat), None))?;
                let names = if levels.len() < DEPTH_MAX { names(&dir) } else { Err(Errno::ENAMETOOLONG.into()) };
                match names {
                    Ok(names) => levels.push(Level { dir, path, names }),
                    Err(e) => each(Found::Unreadable(path, e))?,
                }
            }
            Ok(Look::Folder(..) | Look::Gone) => {}
            Ok(Look::Other(found)) => each(found)?,
            Err(e) => each(Found::Unreadable(path, e))?,
        }
    }
    Ok(())
}

enum Look {
    Folder(OwnedFd, FileStat),
    Other(Found),
    /// It was there when its folder was read, and is not any more.
    Gone,
}

/// What has this name in a folder.
fn look(dir: std::os::fd::BorrowedFd<'_>, name: &[u8], path: &[u8]) -> io::Result<Look> {
    let os = OsStr::from_bytes(name);
    let gone = |e: Errno| if e == Errno::ENOENT { Ok(Look::Gone) } else { Err(io::Error::from(e)) };
    let stat = match fstatat(dir, os, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(e) => return gone(e),
    };
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    match kind_of(&stat) {
        SFlag::S_IFDIR | SFlag::S_IFREG => match openat(dir, os, flags, Mode::empty()) {
            Ok(fd) => {
                // Of what was opened, which may be another by now.
                let stat = fstat(&fd)?;
                match kind_of(&stat) {
                    SFlag::S_IFDIR => Ok(Look::Folder(fd, stat)),
                    SFlag::S_IFREG => {
                        let entry = entry(EntryKind::File, path.to_vec(), &stat);
                        Ok(Look::Other(Found::Entry(entry, Some((fd.into(), stat)))))
                    }
                    _ => Ok(Look::Other(Found::Special)),
                }
            }
            // It has become a link: the next copy has it as one.
            Err(Errno::ELOOP) => Ok(Look::Gone),
            Err(e) => gone(e),
        },
        SFlag::S_IFLNK => match readlinkat(dir, os) {
            Ok(target) => {
                let mut entry = entry(EntryKind::Symlink, path.to_vec(), &stat);
                entry.link = Some(target.into_vec());
                Ok(Look::Other(Found::Entry(entry, None)))
            }
            Err(e) => gone(e),
        },
        _ => Ok(Look::Other(Found::Special)),
    }
}

/// The names in a folder, the last one first. All of them are in memory, for each folder on the way down.
fn names(dir: &OwnedFd) -> io::Result<Vec<Vec<u8>>> {
    // A handle of its own: reading moves its place.
    let again = openat(dir, ".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let mut names = Vec::new();
    for entry in &mut Dir::from_fd(again)?.iter() {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    names.sort_unstable_by(|a, b| b.cmp(a));
    Ok(names)
}

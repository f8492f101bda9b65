//! Writes entries below one folder and nowhere else: every step of a path is opened from the step before it, follows no
//! link and is no `..`. A file appears under its name when it is whole and its hash is right.

use super::manifest::Entry;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, RenameFlags, openat, renameat, renameat2};
use nix::sys::stat::{Mode, SFlag, UtimensatFlags, fchmod, fstatat, futimens, mkdirat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fchownat, geteuid, linkat, symlinkat, unlinkat};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What becomes of an entry whose name is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnThere {
    /// It is an error.
    #[default]
    Fail,
    /// It stays as it is.
    Skip,
    /// It is replaced, in one rename; a folder is never replaced.
    Replace,
}

/// A folder that entries are written below.
pub struct Place {
    root: OwnedFd,
    /// The folder that was used last, with its path.
    near: Option<(Vec<u8>, OwnedFd)>,
    /// Folders that get their mode and time at the end.
    folders: Vec<Entry>,
    on_there: OnThere,
    /// Whether owners can be given to others.
    owner: bool,
    temp: String,
    buffer: Vec<u8>,
}

fn folder_flags() -> OFlag {
    OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC
}

fn os(raw: &[u8]) -> &OsStr {
    OsStr::from_bytes(raw)
}

/// The steps of a path, if it leads nowhere but down.
pub fn steps(path: &[u8]) -> io::Result<Vec<&[u8]>> {
    let steps: Vec<&[u8]> = path.split(|b| *b == b'/').collect();
    let is_bad = |step: &&[u8]| step.is_empty() || *step == b"." || *step == b".." || step.contains(&0);
    if steps.iter().any(is_bad) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path leads out of the folder"));
    }
    Ok(steps)
}

impl Place {
    /// Opens the folder; it is made if it is not there.
    pub fn open(root: &Path, on_there: OnThere) -> io::Result<Self> {
        std::fs::create_dir_all(root)?;
        let root = OwnedFd::from(File::open(root)?);
        let temp = format!(".shiftboss-restore-{}.part", std::process::id());
        let owner = geteuid().is_root();
        Ok(Self { root, near: None, folders: Vec::new(), on_there, owner, temp, buffer: vec![0; 256 * 1024] })
    }

    /// Whether something has this name.
    pub fn is_there(&self, path: &[u8]) -> io::Result<bool> {
        let mut dir = self.root.try_clone()?;
        let steps = steps(path)?;
        let Some((name, above)) = steps.split_last() else { return Ok(true) };
        for step in above {
            match openat(&dir, os(step), folder_flags(), Mode::empty()) {
                Ok(next) => dir = next,
                Err(Errno::ENOENT) => return Ok(false),
                // Something else has the name of a folder on the way.
                Err(_) => return Ok(true),
            }
        }
        match fstatat(&dir, os(name), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    /// The folder that a path stands in, made if it is not there, and the last step.
    fn above<'p>(&mut self, path: &'p [u8]) -> io::Result<(OwnedFd, &'p OsStr)> {
        let steps = steps(path)?;
        let Some((name, above)) = steps.split_last() else { return Err(io::ErrorKind::InvalidInput.into()) };
        let key = above.join(&b'/');
        if let Some((near, dir)) = &self.near
            && *near == key
        {
            return Ok((dir.try_clone()?, os(name)));
        }
        let mut dir = self.root.try_clone()?;
        for step in above {
            dir = match openat(&dir, os(step), folder_flags(), Mode::empty()) {
                Err(Errno::ENOENT) => {
                    mkdirat(&dir, os(step), Mode::from_bits_truncate(0o777))?;
                    openat(&dir, os(step), folder_flags(), Mode::empty())?
                }
                Err(Errno::ELOOP | Errno::ENOTDIR) => {
                    let message = "something that is no folder has the name of a folder on the way";
                    return Err(io::Error::new(io::ErrorKind::NotADirectory, message));
                }
                other => other?,
            };
        }
        self.near = Some((key, dir.try_clone()?));
        Ok((dir, os(name)))
    }

    /// Makes a folder. Its mode and its time are set by [`Place::finish`].
    pub fn folder(&mut self, entry: &Entry) -> io::Result<()> {
        let (dir, name) = self.above(&entry.path)?;
        match mkdirat(&dir, name, Mode::from_bits_truncate(0o700)) {
            Ok(()) => self.folders.push(entry.clone()),
            Err(Errno::EEXIST) => {
                let stat = fstatat(&dir, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
                if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFDIR {
                    return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something that is no folder is there"));
                }
                if self.on_there == OnThere::Replace {
                    self.folders.push(entry.clone());
                }
            }
            Err(e) => return Err(e.into()),
        }
        Ok(())
    }

    /// Writes a file. `false`: it is there already and stays.
    pub fn file(&mut self, entry: &Entry, content: &mut dyn Read) -> io::Result<bool> {
        let (dir, name) = self.above(&entry.path)?;
        if self.on_there == OnThere::Skip && fstatat(&dir, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok() {
            return Ok(false);
        }
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        self.forget_temp(&dir);
        let mut file = File::from(openat(&dir, self.temp.as_str(), flags, Mode::from_bits_truncate(0o600))?);
        let written = copy(entry, content, &mut file, &mut self.buffer).and_then(|()| self.dress(entry, &file));
        drop(file);
        let placed = written.and_then(|()| self.name(&dir, name));
        self.forget_temp(&dir);
        placed.map(|()| true)
    }

    /// Makes a link that leads to wherever the entry says.
    pub fn symlink(&mut self, entry: &Entry) -> io::Result<bool> {
        let (dir, name) = self.above(&entry.path)?;
        if self.on_there == OnThere::Skip && fstatat(&dir, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok() {
            return Ok(false);
        }
        self.forget_temp(&dir);
        let made = (|| {
            symlinkat(os(entry.link.as_deref().unwrap_or_default()), &dir, self.temp.as_str())?;
            if self.owner {
                let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
                fchownat(&dir, self.temp.as_str(), Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)?;
            }
            let time = time(entry.mtime_ns);
            utimensat(&dir, self.temp.as_str(), &time, &time, UtimensatFlags::NoFollowSymlink)?;
            self.name(&dir, name)
        })();
        self.forget_temp(&dir);
        made.map(|()| true)
    }

    /// Gives a file that was written before a further name.
    pub fn hardlink(&mut self, entry: &Entry, to: &[u8]) -> io::Result<bool> {
        let (from, old) = self.above(to)?;
        let (dir, name) = self.above(&entry.path)?;
        if self.on_there == OnThere::Skip && fstatat(&dir, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok() {
            return Ok(false);
        }
        self.forget_temp(&dir);
        let made = linkat(&from, old, &dir, self.temp.as_str(), AtFlags::empty())
            .map_err(io::Error::from)
            .and_then(|()| self.name(&dir, name));
        self.forget_temp(&dir);
        made.map(|()| true)
    }

    /// Opens a file for reading that was written before.
    pub fn read(&mut self, path: &[u8]) -> io::Result<File> {
        let (dir, name) = self.above(path)?;
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        Ok(File::from(openat(&dir, name, flags, Mode::empty())?))
    }

    /// Gives folders their modes and times, the innermost first.
    pub fn finish(&mut self) -> io::Result<()> {
        self.near = None;
        while let Some(entry) = self.folders.pop() {
            let (dir, name) = self.above(&entry.path)?;
            let folder = File::from(openat(&dir, name, folder_flags(), Mode::empty())?);
            self.dress(&entry, &folder)?;
            self.near = None;
        }
        Ok(())
    }

    /// The folder that a path stands in, and the last step.
    pub fn beside<'p>(&mut self, path: &'p [u8]) -> io::Result<(OwnedFd, &'p [u8])> {
        self.above(path).map(|(dir, name)| (dir, name.as_bytes()))
    }

    /// Owner, mode and time, in this order: a change of the owner takes bits of the mode away.
    fn dress(&self, entry: &Entry, file: &File) -> io::Result<()> {
        let mut mode = entry.mode & 0o7777;
        if self.owner {
            fchown(file, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))?;
        } else {
            // Bits that would act for another owner than the one who set them.
            mode &= 0o1777;
        }
        fchmod(file, Mode::from_bits_truncate(mode))?;
        let time = time(entry.mtime_ns);
        Ok(futimens(file, &time, &time)?)
    }

    /// The temporary name becomes the final one.
    fn name(&self, dir: &OwnedFd, name: &OsStr) -> io::Result<()> {
        if self.on_there == OnThere::Replace {
            return Ok(renameat(dir, self.temp.as_str(), dir, name)?);
        }
        match renameat2(dir, self.temp.as_str(), dir, name, RenameFlags::RENAME_NOREPLACE) {
            // A file system without such a rename: a link refuses to replace too.
            Err(Errno::EINVAL | Errno::ENOSYS) => {
                linkat(dir, self.temp.as_str(), dir, name, AtFlags::empty())?;
                Ok(unlinkat(dir, self.temp.as_str(), UnlinkatFlags::NoRemoveDir)?)
            }
            other => Ok(other?),
        }
    }

    fn forget_temp(&self, dir: &OwnedFd) {
        // Mostly there is none.
        let _ = unlinkat(dir.as_fd(), self.temp.as_str(), UnlinkatFlags::NoRemoveDir);
    }
}

fn time(ns: i64) -> TimeSpec {
    TimeSpec::new(ns.div_euclid(1_000_000_000), ns.rem_euclid(1_000_000_000))
}

/// Copies exactly as much as the entry says, and compares its hash where it is known.
fn copy(entry: &Entry, content: &mut dyn Read, out: &mut File, buffer: &mut [u8]) -> io::Result<()> {
    let mut hash = blake3::Hasher::new();
    let mut left = entry.size;
    while left > 0 {
        let room = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let n = content.read(buffer.get_mut(..room).unwrap_or_default())?;
        if n == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "its content is shorter than it was"));
        }
        let piece = buffer.get(..n).unwrap_or_default();
        hash.update(piece);
        out.write_all(piece)?;
        left -= n as u64;
    }
    if entry.hash.is_some_and(|wanted| wanted != hash.finalize()) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its content is another than it was: the hash differs"));
    }
    Ok(())
}

//! An open folder, and everything that is done to the names in it.
//!
//! Guarantees: each operation is relative to the open folder, so that a folder renamed or replaced by a link
//! meanwhile cannot divert it; names are single components; no operation follows a symbolic link in a name that it is
//! given, and none opens a FIFO, a socket or a device. [`Dir::rename_to`] never replaces a file. Errors keep their
//! errno; the `is_…` functions tell them apart.
//!
//! Refuses, with `InvalidInput` and without asking the kernel: names that are empty, `.`, `..` or hold a `/`.

pub use self::errors::{is_busy, is_cross_device, is_denied, is_exists, is_no_space, is_not_found, is_not_regular};
pub use self::stat::{Kind, Stat};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, RenameFlags, ResolveFlag, openat, openat2, renameat, renameat2};
use nix::sys::stat::{Mode, fstat, fstatat, mkdirat};
use nix::sys::statfs::{FsType, fstatfs};
use nix::unistd::{UnlinkatFlags, fsync, linkat, syncfs, unlinkat};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

mod errors;
mod stat;

/// An open folder.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

/// Flags of every folder that is opened: readable, because it is listed and synced.
const FOLDER: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

impl Dir {
    /// Opens a folder by its absolute path. The path itself may lead through links: the operator wrote it.
    pub fn open(path: &Path) -> io::Result<Self> {
        if !path.is_absolute() {
            return Err(invalid("not an absolute path"));
        }
        let fd = nix::fcntl::open(path, FOLDER, Mode::empty())?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// Opens a folder, after making it and the folders above it where they are missing. Each folder made is synced
    /// into the one above it, so that files placed in it later survive a power cut.
    pub fn create_all(path: &Path) -> io::Result<Self> {
        let mut missing = Vec::new();
        let mut here = path;
        let mut dir = loop {
            match Self::open(here) {
                Ok(dir) => break dir,
                Err(e) if is_not_found(&e) => match (here.parent(), here.file_name()) {
                    (Some(parent), Some(name)) => {
                        missing.push(name);
                        here = parent;
                    }
                    _ => return Err(e),
                },
                Err(e) => return Err(e),
            }
        };
        while let Some(name) = missing.pop() {
            match mkdirat(&dir.fd, name, Mode::from_bits_truncate(0o777)) {
                Ok(()) => dir.sync()?,
                Err(Errno::EEXIST) => {} // somebody else was faster
                Err(e) => return Err(e.into()),
            }
            let fd = openat(&dir.fd, name, FOLDER, Mode::empty())?;
            dir = Self { fd, path: dir.path.join(name) };
        }
        Ok(dir)
    }

    /// Opens a folder below this one. Neither links nor `..` nor an absolute path lead anywhere: they are errors. The
    /// empty path opens this folder once more.
    pub fn sub(&self, relative: &Path) -> io::Result<Self> {
        let relative = beneath(relative)?;
        let opened = if relative.as_os_str().is_empty() {
            openat(&self.fd, ".", FOLDER, Mode::empty())
        } else {
            match self.open_beneath(&relative) {
                // No such call in this kernel, or a sandbox that does not know it.
                Err(Errno::ENOSYS | Errno::EPERM) => self.open_stepwise(&relative),
                other => other,
            }
        };
        Ok(Self { fd: opened?, path: self.path.join(relative) })
    }

    fn open_beneath(&self, relative: &Path) -> nix::Result<OwnedFd> {
        let how = OpenHow::new().flags(FOLDER).resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
        openat2(&self.fd, relative, how)
    }

    fn open_stepwise(&self, relative: &Path) -> nix::Result<OwnedFd> {
        let mut at: Option<OwnedFd> = None;
        for name in relative.iter() {
            let from = at.as_ref().map_or_else(|| self.fd.as_fd(), AsFd::as_fd);
            at = Some(openat(from, name, FOLDER | OFlag::O_NOFOLLOW, Mode::empty())?);
        }
        at.ok_or(Errno::EINVAL)
    }

    /// Opens the folder `name` in this one, after making it with the permission bits `mode` if it is missing (cut by
    /// the umask; use 0o700 for folders of our own). A link of that name is an error. A folder that was made is
    /// synced into this one.
    pub fn make_sub(&self, name: &OsStr, mode: u32) -> io::Result<Self> {
        self.make(name, mode, true)
    }

    /// The same without a sync: for a folder whose loss in a power cut loses nothing but the folder.
    pub fn make_sub_unsynced(&self, name: &OsStr, mode: u32) -> io::Result<Self> {
        self.make(name, mode, false)
    }

    fn make(&self, name: &OsStr, mode: u32, sync: bool) -> io::Result<Self> {
        check(name)?;
        match mkdirat(&self.fd, name, Mode::from_bits_truncate(mode)) {
            Ok(()) if sync => self.sync()?,
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(e) => return Err(e.into()),
        }
        let fd = openat(&self.fd, name, FOLDER | OFlag::O_NOFOLLOW, Mode::empty())?;
        Ok(Self { fd, path: self.path.join(name) })
    }

    /// The path it was opened by, for messages and records. The handle stays right when the path does not.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What a name stands for; none if there is no such name.
    pub fn stat(&self, name: &OsStr) -> io::Result<Option<Stat>> {
        check(name)?;
        match fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Stat::from(&stat))),
            Err(Errno::ENOENT) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// What this folder is itself: device and inode tell whether two handles are the same folder.
    pub fn stat_self(&self) -> io::Result<Stat> {
        Ok(Stat::from(&fstat(&self.fd)?))
    }

    /// Type of the file system that it lies on.
    pub fn file_system(&self) -> io::Result<FsType> {
        Ok(fstatfs(&self.fd)?.filesystem_type())
    }

    /// Opens a regular file for reading and tells what was opened. Anything else is an error that
    /// [`is_not_regular`], and is not opened: it is looked at first, because opening a device can act on it, and
    /// again afterwards, because the name may have changed hands in between.
    pub fn open_read(&self, name: &OsStr) -> io::Result<(File, Stat)> {
        let seen = self.stat(name)?.ok_or_else(|| io::Error::from(Errno::ENOENT))?;
        if seen.kind == Kind::File { self.open_seen(name) } else { Err(invalid("not a regular file")) }
    }

    /// Like [`Dir::open_read`], for a name that [`Dir::stat`] has just shown to be a regular file. An error that
    /// [`is_busy`]: another process holds a lease on it.
    pub fn open_seen(&self, name: &OsStr) -> io::Result<(File, Stat)> {
        check(name)?;
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
        let fd = match openat(&self.fd, name, flags, Mode::empty()) {
            Err(Errno::ELOOP) => return Err(invalid("not a regular file")), // it became a link
            other => other?,
        };
        let stat = Stat::from(&fstat(&fd)?);
        if stat.kind == Kind::File { Ok((File::from(fd), stat)) } else { Err(invalid("not a regular file")) }
    }

    /// Makes a new file, open for reading and writing. A name that is taken, by a link too, is an error.
    pub fn create_new(&self, name: &OsStr, mode: u32) -> io::Result<File> {
        check(name)?;
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(File::from(openat(&self.fd, name, flags, Mode::from_bits_truncate(mode))?))
    }

    /// Opens a regular file for reading and writing, with what is in it. Anything else is an error that
    /// [`is_not_regular`].
    pub fn open_write(&self, name: &OsStr) -> io::Result<File> {
        let seen = self.stat(name)?.ok_or_else(|| io::Error::from(Errno::ENOENT))?;
        if seen.kind != Kind::File {
            return Err(invalid("not a regular file"));
        }
        let flags = OFlag::O_RDWR | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
        let file = File::from(openat(&self.fd, name, flags, Mode::empty())?);
        if Stat::of(&file)?.kind == Kind::File { Ok(file) } else { Err(invalid("not a regular file")) }
    }

    /// Renames a file into a folder of the same file system. If the new name is taken, by whatever, nothing happens
    /// and the error [`is_exists`]. Where the file system has no such rename (NFS), the file gets its second name by
    /// a link and loses the first; a crash in between leaves both names on one inode.
    pub fn rename_to(&self, name: &OsStr, to: &Self, new_name: &OsStr) -> io::Result<()> {
        check(name)?;
        check(new_name)?;
        match renameat2(&self.fd, name, &to.fd, new_name, RenameFlags::RENAME_NOREPLACE) {
            Err(Errno::EINVAL | Errno::ENOSYS) => self.link_to(name, to, new_name),
            other => Ok(other?),
        }
    }

    /// The rename in two steps, for file systems without a no-replace rename.
    fn link_to(&self, name: &OsStr, to: &Self, new_name: &OsStr) -> io::Result<()> {
        linkat(&self.fd, name, &to.fd, new_name, AtFlags::empty())?;
        // Somebody may have put another file under the old name since: that one must not be removed.
        let (old, new) = (self.stat(name)?, to.stat(new_name)?);
        match (old, new) {
            (Some(old), Some(new)) if old.is_same_inode(&new) => self.unlink(name),
            _ => Ok(()),
        }
    }

    /// Renames a file into a folder of the same file system, over a file that has the new name.
    pub fn replace_to(&self, name: &OsStr, to: &Self, new_name: &OsStr) -> io::Result<()> {
        check(name)?;
        check(new_name)?;
        Ok(renameat(&self.fd, name, &to.fd, new_name)?)
    }

    /// Removes a name of a file.
    pub fn unlink(&self, name: &OsStr) -> io::Result<()> {
        check(name)?;
        Ok(unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir)?)
    }

    /// Removes an empty folder.
    pub fn rmdir(&self, name: &OsStr) -> io::Result<()> {
        check(name)?;
        Ok(unlinkat(&self.fd, name, UnlinkatFlags::RemoveDir)?)
    }

    /// The names in this folder, in the order of the file system, read piece by piece. The kind is a hint that some
    /// file systems do not give; [`Dir::stat`] knows.
    pub fn list(&self) -> io::Result<impl Iterator<Item = io::Result<(OsString, Option<Kind>)>> + use<>> {
        // A handle of its own, because the reading position belongs to the handle.
        let fd = openat(&self.fd, ".", FOLDER, Mode::empty())?;
        Ok(nix::dir::Dir::from_fd(fd)?.into_iter().filter_map(|entry| match entry {
            Err(e) => Some(Err(e.into())),
            Ok(entry) => match entry.file_name().to_bytes() {
                b"." | b".." => None,
                name => Some(Ok((OsString::from_vec(name.to_vec()), entry.file_type().map(Kind::from)))),
            },
        }))
    }

    /// Makes the names in this folder survive a power cut. File systems that cannot sync a folder say so with
    /// `EINVAL`, which counts as done.
    pub fn sync(&self) -> io::Result<()> {
        match fsync(&self.fd) {
            Err(Errno::EINVAL) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Writes everything of the file system that this folder lies on to disk.
    pub fn sync_fs(&self) -> io::Result<()> {
        Ok(syncfs(&self.fd)?)
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

fn check(name: &OsStr) -> io::Result<()> {
    match name.as_bytes() {
        b"" | b"." | b".." => Err(invalid("not a file name")),
        raw if raw.iter().any(|&b| b == b'/' || b == 0) => Err(invalid("not a file name")),
        _ => Ok(()),
    }
}

/// A relative path without `.` components; an error where it holds `..` or is absolute.
fn beneath(relative: &Path) -> io::Result<PathBuf> {
    let mut out = PathBuf::new();
    for part in relative.components() {
        match part {
            Component::Normal(name) => out.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(invalid("not a path below this folder"));
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::mkfifo;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn name(text: &str) -> &OsStr {
        OsStr::new(text)
    }

    fn temp() -> (tempfile::TempDir, Dir) {
        let t = tempfile::tempdir().unwrap();
        let d = Dir::open(t.path()).unwrap();
        (t, d)
    }

    #[test]
    fn a_rename_never_replaces() {
        let (t, d) = temp();
        fs::write(t.path().join("a"), "new").unwrap();
        fs::write(t.path().join("b"), "old").unwrap();
        for step in [Dir::rename_to, Dir::link_to] {
            let e = step(&d, name("a"), &d, name("b")).unwrap_err();
            assert!(is_exists(&e), "{e}");
            assert_eq!(fs::read(t.path().join("b")).unwrap(), b"old");
            assert_eq!(fs::read(t.path().join("a")).unwrap(), b"new");
        }
        symlink("nowhere", t.path().join("dangling")).unwrap();
        assert!(is_exists(&d.rename_to(name("a"), &d, name("dangling")).unwrap_err()));
        d.rename_to(name("a"), &d, name("c")).unwrap();
        d.link_to(name("c"), &d, name("d")).unwrap();
        assert_eq!(fs::read(t.path().join("d")).unwrap(), b"new");
        assert!(d.stat(name("c")).unwrap().is_none() && d.stat(name("a")).unwrap().is_none());
        d.replace_to(name("d"), &d, name("b")).unwrap();
        assert_eq!(fs::read(t.path().join("b")).unwrap(), b"new");
    }

    #[test]
    fn no_link_leads_out() {
        let (t, d) = temp();
        let outside = tempfile::tempdir().unwrap();
        fs::create_dir_all(outside.path().join("x")).unwrap();
        fs::create_dir_all(t.path().join("in/x")).unwrap();
        symlink(outside.path(), t.path().join("out")).unwrap();
        symlink("../in", t.path().join("in/loop")).unwrap();
        assert_eq!(d.sub(Path::new("in/./x")).unwrap().path(), t.path().join("in/x"));
        for bad in ["out", "out/x", "in/loop", "in/loop/x"] {
            assert!(d.sub(Path::new(bad)).is_err(), "{bad}");
            assert!(d.open_stepwise(Path::new(bad)).is_err(), "stepwise {bad}");
        }
        for bad in ["..", "in/../..", "/etc"] {
            assert_eq!(d.sub(Path::new(bad)).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{bad}");
        }
        assert!(d.open_stepwise(Path::new("in/x")).is_ok());
        assert!(d.make_sub(name("out"), 0o700).is_err());
        assert!(d.sub(Path::new("")).unwrap().stat_self().unwrap().is_same_inode(&d.stat_self().unwrap()));
    }

    #[test]
    fn only_regular_files_are_opened() {
        let (t, d) = temp();
        fs::write(t.path().join("file"), "abc").unwrap();
        symlink("file", t.path().join("link")).unwrap();
        fs::create_dir(t.path().join("dir")).unwrap();
        mkfifo(&t.path().join("fifo"), Mode::S_IRWXU).unwrap();
        let (_, stat) = d.open_read(name("file")).unwrap();
        assert_eq!((stat.facts.size, stat.facts.nlink, stat.kind), (3, 1, Kind::File));
        for bad in ["link", "dir", "fifo", "..", "a/b"] {
            let e = d.open_read(name(bad)).unwrap_err();
            assert!(is_not_regular(&e), "{bad}: {e}");
        }
        assert!(is_not_found(&d.open_read(name("none")).unwrap_err()));
        assert!(is_exists(&d.create_new(name("link"), 0o600).unwrap_err()));
        let kinds: std::collections::BTreeMap<_, _> = d.list().unwrap().map(Result::unwrap).collect();
        assert_eq!(kinds.len(), 4);
        assert_eq!(d.stat(name("fifo")).unwrap().unwrap().kind, Kind::Other);
        assert_eq!(d.stat(name("link")).unwrap().unwrap().kind, Kind::Symlink);
    }

    #[test]
    fn a_handle_outlives_its_path() {
        let (t, d) = temp();
        let inner = d.make_sub(name("a"), 0o700).unwrap();
        fs::write(t.path().join("a/f"), "1").unwrap();
        d.rename_to(name("a"), &d, name("b")).unwrap();
        symlink("/etc", t.path().join("a")).unwrap();
        inner.rename_to(name("f"), &inner, name("g")).unwrap();
        assert!(t.path().join("b/g").exists());
    }

    #[test]
    fn folders_are_made_on_the_way() {
        let (t, d) = temp();
        let deep = Dir::create_all(&t.path().join("x/y/z")).unwrap();
        assert_eq!(deep.path(), t.path().join("x/y/z"));
        assert!(Dir::create_all(&t.path().join("x/y/z")).is_ok());
        fs::write(t.path().join("f"), "").unwrap();
        assert!(Dir::create_all(&t.path().join("f/y")).is_err());
        assert!(Dir::open(Path::new("relative")).is_err());
        d.sub(Path::new("x/y")).unwrap().rmdir(name("z")).unwrap();
        deep.sync().unwrap();
        d.sync_fs().unwrap();
    }

    #[test]
    fn names_are_bytes() {
        let (_t, d) = temp();
        let odd = OsStr::from_bytes(b"\xff\xfe \n.csv");
        d.create_new(odd, 0o600).unwrap();
        let listed: Vec<_> = d.list().unwrap().map(|e| e.unwrap().0).collect();
        assert_eq!(listed, [odd]);
        d.unlink(odd).unwrap();
        assert_eq!(d.list().unwrap().count(), 0);
    }
}

//! What the file system tells about a name, without following a link.

use crate::model::job::Facts;
use nix::dir::Type;
use nix::sys::stat::{FileStat, SFlag, fstat};
use std::fs::File;
use std::io;

/// What kind of thing a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A FIFO, a socket or a device.
    Other,
}

/// What the file system tells about a name, without following a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Identity, size and time of modification.
    pub facts: Facts,
    /// What it is.
    pub kind: Kind,
    /// Time of the last change of content or attributes, in nanoseconds since the Unix epoch.
    pub ctime_ns: i64,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
}

impl Stat {
    /// Whether both are the same thing on disk, whatever happened to its content.
    #[must_use]
    pub const fn is_same_inode(&self, other: &Self) -> bool {
        self.facts.dev == other.facts.dev && self.facts.ino == other.facts.ino
    }

    /// What an open file is.
    pub fn of(file: &File) -> io::Result<Self> {
        Ok(Self::from(&fstat(file)?))
    }
}

impl From<&FileStat> for Stat {
    fn from(stat: &FileStat) -> Self {
        let kind = match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
            SFlag::S_IFREG => Kind::File,
            SFlag::S_IFDIR => Kind::Dir,
            SFlag::S_IFLNK => Kind::Symlink,
            _ => Kind::Other,
        };
        let ns = |seconds: i64, ns: i64| seconds.saturating_mul(1_000_000_000).saturating_add(ns);
        Self {
            facts: Facts {
                dev: stat.st_dev,
                ino: stat.st_ino,
                size: u64::try_from(stat.st_size).unwrap_or(0),
                mtime_ns: ns(stat.st_mtime, stat.st_mtime_nsec),
                nlink: stat.st_nlink,
            },
            kind,
            ctime_ns: ns(stat.st_ctime, stat.st_ctime_nsec),
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
        }
    }
}

impl From<Type> for Kind {
    fn from(hint: Type) -> Self {
        match hint {
            Type::File => Self::File,
            Type::Directory => Self::Dir,
            Type::Symlink => Self::Symlink,
            Type::Fifo | Type::CharacterDevice | Type::BlockDevice | Type::Socket => Self::Other,
        }
    }
}

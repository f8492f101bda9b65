//! A walk through a folder and those below it, one name at a time.
//!
//! Guarantees: links are never followed and nothing outside is entered, also when a folder is replaced by a link on
//! the way; memory and open handles grow with the depth, which has a bound, and not with the number of names.

use super::DEPTH_MAX;
use crate::files::dir::{Dir, Kind};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

struct Level {
    dir: Dir,
    names: Box<dyn Iterator<Item = io::Result<(OsString, Option<Kind>)>>>,
    relative: PathBuf,
}

pub(super) struct Walk {
    levels: Vec<Level>,
    above: usize,
}

/// A name on the way.
pub(super) struct Name {
    pub name: OsString,
    /// Path below the root.
    pub relative: PathBuf,
    /// What it is, where the file system tells with the name.
    pub hint: Option<Kind>,
}

impl Walk {
    /// A walk from a folder whose path below the root is `relative`.
    pub fn new(dir: Dir, relative: PathBuf) -> io::Result<Self> {
        let above = relative.components().count();
        let names = Box::new(dir.list()?);
        Ok(Self { levels: vec![Level { dir, names, relative }], above })
    }

    /// The next name of the folder at hand, or the next one of the folder above it when that is done. An error ends
    /// the reading of one folder.
    pub fn next(&mut self) -> Option<io::Result<Name>> {
        loop {
            let level = self.levels.last_mut()?;
            match level.names.next() {
                Some(Ok((name, hint))) => {
                    let relative = level.relative.join(&name);
                    return Some(Ok(Name { name, relative, hint }));
                }
                Some(Err(e)) => {
                    self.levels.pop();
                    return Some(Err(e));
                }
                None => {
                    self.levels.pop();
                }
            }
        }
    }

    /// The folder of the name that came last.
    pub fn dir(&self) -> Option<&Dir> {
        self.levels.last().map(|level| &level.dir)
    }

    /// Whether the folder at hand is as deep as a walk goes.
    pub fn is_deepest(&self) -> bool {
        self.above + self.levels.len() > DEPTH_MAX
    }

    /// Opens a folder of the one at hand.
    pub fn open(&self, name: &OsStr) -> io::Result<Dir> {
        let dir = self.dir().ok_or(io::ErrorKind::NotFound)?;
        dir.sub(Path::new(name))
    }

    /// Goes into a folder that was opened from the one at hand: its names come next.
    pub fn enter(&mut self, dir: Dir, relative: PathBuf) -> io::Result<()> {
        let names = Box::new(dir.list()?);
        self.levels.push(Level { dir, names, relative });
        Ok(())
    }
}

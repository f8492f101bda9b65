//! Open handles of the folders in use, so that a job costs no walk along paths. A handle is checked against its path
//! before every use: a folder that was moved or made anew is opened anew.

use super::dir::Dir;
use crate::model::job::{OURS, WORK};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Handles kept open; when there are more, all are closed and opened again as needed.
const OPEN_MAX: usize = 256;

/// The handles.
#[derive(Debug, Default)]
pub struct Folders {
    open: Mutex<HashMap<PathBuf, Known>>,
}

/// A handle with its device and inode, which never change while it is open.
#[derive(Clone, Debug)]
struct Known {
    dir: Arc<Dir>,
    id: (u64, u64),
}

impl Folders {
    /// A folder that must be there.
    pub fn get(&self, path: &Path) -> io::Result<Arc<Dir>> {
        self.find(path, || Dir::open(path))
    }

    /// A folder that is made, with everything above it, if it is missing.
    pub fn make(&self, path: &Path) -> io::Result<Arc<Dir>> {
        self.find(path, || Dir::create_all(path))
    }

    /// The folder below a watched root that holds one folder for each job at work.
    pub fn work(&self, root: &Path) -> io::Result<Arc<Dir>> {
        self.find(&root.join(WORK), || {
            let root = Dir::open(root)?;
            root.make_sub(OsStr::new(OURS), 0o700)?.make_sub(OsStr::new("work"), 0o700)
        })
    }

    fn find(&self, path: &Path, open: impl FnOnce() -> io::Result<Dir>) -> io::Result<Arc<Dir>> {
        let kept = self.open.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
        if let Some(known) = kept
            && std::fs::metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == known.id)
        {
            return Ok(known.dir);
        }
        let dir = Arc::new(open()?);
        let facts = dir.stat_self()?.facts;
        let mut kept = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= OPEN_MAX {
            kept.clear();
        }
        kept.insert(path.to_owned(), Known { dir: Arc::clone(&dir), id: (facts.dev, facts.ino) });
        Ok(dir)
    }
}

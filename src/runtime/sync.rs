//! S5 and S8: contents and folders reach the disk in groups, because one sync of many costs little more than one.

use crate::files::dir::Dir;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// From this many files on, the whole file system is synced once instead of each file.
const WHOLE_FROM: usize = 16;
/// An input from this size on, in bytes, may have much unwritten output: no whole file system is synced while one is
/// at work, because the group would wait for it.
pub const LARGE: u64 = 64 * 1024 * 1024;

/// Files and folders of one group that must reach the disk.
#[derive(Default)]
pub struct Batch {
    files: Vec<File>,
    /// By address of the handle: handles in use are shared, so that one folder is one handle.
    folders: HashMap<usize, Arc<Dir>>,
}

impl Batch {
    /// Adds a file in a folder.
    pub fn file(&mut self, folder: &Arc<Dir>, file: File) {
        self.files.push(file);
        self.folder(folder);
    }

    /// Adds a folder.
    pub fn folder(&mut self, folder: &Arc<Dir>) {
        self.folders.entry(Arc::as_ptr(folder) as usize).or_insert_with(|| Arc::clone(folder));
    }

    /// Syncs everything. `whole` allows to sync whole file systems.
    pub fn sync(self, whole: bool) -> io::Result<()> {
        if whole && self.files.len() + self.folders.len() >= WHOLE_FROM {
            let mut systems: HashMap<u64, Arc<Dir>> = HashMap::new();
            for folder in self.folders.into_values() {
                systems.entry(folder.stat_self()?.facts.dev).or_insert(folder);
            }
            return systems.values().try_for_each(|folder| folder.sync_fs());
        }
        self.files.iter().try_for_each(File::sync_all)?;
        self.folders.values().try_for_each(|folder| folder.sync())
    }
}

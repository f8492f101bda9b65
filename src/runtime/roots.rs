//! Whether a watched folder is still the one that files landed in. A file system that is not mounted leaves an empty
//! folder in its place, in which every file seems to be gone.

use crate::model::job::OURS;
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The folders, as they were when they were locked. Bounded by the configurations of this supervisor's life.
#[derive(Debug, Default)]
pub struct Roots {
    known: Mutex<HashMap<PathBuf, Root>>,
}

#[derive(Clone, Copy, Debug)]
struct Root {
    /// Device and inode.
    id: Option<(u64, u64)>,
    /// Whether our folder was in it before we made it.
    had_ours: bool,
    /// It has jobs from an earlier start, and our folder was not in it: files did not land in this one.
    strange: bool,
}

impl Roots {
    /// A root that is locked now; `had_ours` says whether our folder was there before.
    pub fn locked(&self, root: &Path, had_ours: bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(root.to_owned()).or_insert_with(|| Root { id: id(root), had_ours, strange: false });
    }

    /// A root with jobs from an earlier start. Answers whether it is the folder that their files landed in: every
    /// folder that was ever watched holds ours.
    pub fn expect(&self, root: &Path) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get_mut(root) {
            Some(root) => {
                root.strange = !root.had_ours;
                root.had_ours
            }
            None => root.join(OURS).is_dir(),
        }
    }

    /// Whether this is still the folder that files landed in.
    pub fn is_same(&self, root: &Path) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(root).copied();
        match known {
            Some(known) => !known.strange && id(root) == known.id,
            None => root.join(OURS).is_dir(),
        }
    }
}

fn id(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_the_place_of_another_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("in");
        std::fs::create_dir_all(root.join(OURS)).unwrap();
        let roots = Roots::default();
        roots.locked(&root, true);
        assert!(roots.expect(&root) && roots.is_same(&root));
        #[expect(clippy::disallowed_methods, reason = "an operator's mv")]
        std::fs::rename(&root, dir.path().join("away")).unwrap();
        assert!(!roots.is_same(&root), "away");
        std::fs::create_dir_all(root.join(OURS)).unwrap();
        assert!(!roots.is_same(&root), "another");
    }

    #[test]
    fn a_folder_without_ours_is_not_where_earlier_files_landed() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::default();
        roots.locked(dir.path(), false);
        assert!(roots.is_same(dir.path()), "its first start");
        assert!(!roots.expect(dir.path()) && !roots.is_same(dir.path()), "it has jobs from an earlier start");
        assert!(!roots.is_same(&dir.path().join("none")));
    }
}

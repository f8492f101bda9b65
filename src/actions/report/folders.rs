//! How much lies in a folder: a walk that follows no link and ends after so many entries or so much time.

use crate::model::text;
use serde::Serialize;
use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Entries that are looked at, in all folders together; the sizes are then at least what was seen.
const ENTRIES_MAX: u64 = 500_000;
/// Time for all of them together; the same.
const TIME_MAX: Duration = Duration::from_secs(20);

/// What lies in a folder and below.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FolderSize {
    /// The folder, from the configuration's where it lies below it; escaped text.
    pub path: String,
    /// Regular files.
    pub files: u64,
    /// Their sizes together, in bytes; a file with several names counts once.
    pub bytes: u64,
    /// Whether everything was looked at. If not, there is at least so much.
    pub complete: bool,
    /// Why it could not be looked at, if so.
    pub error: Option<String>,
}

/// The sizes of folders, in their order.
pub fn sizes(folders: &[PathBuf], base: &Path, stopped: &dyn Fn() -> bool) -> Vec<FolderSize> {
    let mut left = Left { entries: ENTRIES_MAX, until: Instant::now() + TIME_MAX };
    folders.iter().map(|folder| size(folder, base, &mut left, stopped)).collect()
}

/// What may still be spent.
struct Left {
    entries: u64,
    until: Instant,
}

impl Left {
    /// Whether one more entry may be looked at.
    fn take(&mut self) -> bool {
        if self.entries == 0 || (self.entries.is_multiple_of(256) && Instant::now() >= self.until) {
            self.entries = 0;
            return false;
        }
        self.entries -= 1;
        true
    }
}

fn size(folder: &Path, base: &Path, left: &mut Left, stopped: &dyn Fn() -> bool) -> FolderSize {
    let below = folder.strip_prefix(base).ok().filter(|p| !p.as_os_str().is_empty());
    let mut out = FolderSize { path: text::path(below.unwrap_or(folder)), complete: true, ..FolderSize::default() };
    let mut linked = HashSet::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(dir) = waiting.pop() {
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if dir == folder => {
                (out.complete, out.error) = (false, Some(error.to_string()));
                return out;
            }
            Err(_) => {
                out.complete = false;
                continue;
            }
        };
        for entry in entries {
            if !left.take() || stopped() {
                out.complete = false;
                return out;
            }
            // What goes away meanwhile is not there.
            let Ok((entry, facts)) = entry.and_then(|e| e.metadata().map(|m| (e, m))) else { continue };
            if facts.is_dir() {
                waiting.push(entry.path());
            } else if facts.is_file() && (facts.nlink() < 2 || linked.insert((facts.dev(), facts.ino()))) {
                out.files += 1;
                out.bytes = out.bytes.saturating_add(facts.len());
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_count_once_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let inbox = dir.path().join("inbox");
        std::fs::create_dir_all(inbox.join("deep/er")).unwrap();
        std::fs::write(inbox.join("a"), "12345").unwrap();
        std::fs::write(inbox.join("deep/er/b"), "123").unwrap();
        std::fs::hard_link(inbox.join("a"), inbox.join("again")).unwrap();
        std::os::unix::fs::symlink("/", inbox.join("everything")).unwrap();
        let sizes = sizes(&[inbox, dir.path().join("gone")], dir.path(), &|| false);
        assert_eq!((sizes[0].path.as_str(), sizes[0].files, sizes[0].bytes), ("inbox", 2, 8));
        assert!(sizes[0].complete && !sizes[1].complete && sizes[1].error.is_some());
    }

    #[test]
    fn a_walk_ends_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..20 {
            std::fs::write(dir.path().join(n.to_string()), "x").unwrap();
        }
        let mut left = Left { entries: 7, until: Instant::now() + TIME_MAX };
        let cut = size(dir.path(), Path::new("/"), &mut left, &|| false);
        assert_eq!((cut.files, cut.complete), (7, false));
        let mut late = Left { entries: 256, until: Instant::now() };
        assert!(!size(dir.path(), Path::new("/"), &mut late, &|| false).complete);
    }
}

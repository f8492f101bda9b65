//! What a root remembers about files that it does not hold: those that stay where they are, and those that it has
//! handed on.

use crate::files::settle::Print;
use crate::model::text;
use crate::model::view::{Listed, ListedFile};
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

/// Most files that are counted exactly. Beyond it the count stands still until some of them are gone.
const COUNTED_MAX: usize = 262_144;
/// Most files remembered as handed on. One more, and all are forgotten: they are offered again, which does no harm.
const OFFERED_MAX: usize = 262_144;

/// Why a file stays where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    NoTask,
    NotRegular,
    Temporary,
    Denied,
    TooDeep,
}

impl Reason {
    const fn text(self) -> &'static str {
        match self {
            Self::NoTask => "no task matches",
            Self::NotRegular => "not a regular file",
            Self::Temporary => "temporary name",
            Self::Denied => "permission denied",
            Self::TooDeep => "too many folders deep",
        }
    }
}

/// Files that stay where they are: each counted once, the first few with their names.
#[derive(Debug, Default)]
pub(super) struct Listing {
    keys: HashSet<u64>,
    hasher: RandomState,
    named: Vec<(PathBuf, Reason)>,
}

impl Listing {
    pub fn add(&mut self, relative: &Path, reason: Reason) {
        let key = self.hasher.hash_one(relative);
        if self.keys.contains(&key) {
            if let Some(known) = self.named.iter_mut().find(|(path, _)| path == relative) {
                known.1 = reason;
            }
        } else if self.keys.len() < COUNTED_MAX {
            self.keys.insert(key);
            if self.named.len() < Listed::MAX {
                self.named.push((relative.to_owned(), reason));
            }
        }
    }

    pub fn remove(&mut self, relative: &Path) {
        if !self.keys.is_empty() && self.keys.remove(&self.hasher.hash_one(relative)) {
            self.named.retain(|(path, _)| path != relative);
        }
    }

    pub fn view(&self, root: &Path) -> Listed {
        let file = |(path, reason): &(PathBuf, Reason)| ListedFile {
            path: text::path(&root.join(path)),
            reason: reason.text().to_owned(),
        };
        Listed { count: self.keys.len() as u64, files: self.named.iter().map(file).collect() }
    }
}

/// Files handed on since the last scan but one. A scan passes over those that have not changed since; the scan after
/// it offers them again, so that a file that was forgotten elsewhere is found.
#[derive(Debug, Default)]
pub(super) struct Offered {
    now: HashSet<u64>,
    before: HashSet<u64>,
    hasher: RandomState,
}

impl Offered {
    pub fn add(&mut self, relative: &Path, print: &Print) {
        if self.now.len() >= OFFERED_MAX {
            self.now.clear();
        }
        self.now.insert(self.key(relative, print));
    }

    /// A scan begins.
    pub fn turn(&mut self) {
        self.before = std::mem::take(&mut self.now);
    }

    /// A scan that did not come to its end passed over nothing.
    pub fn turn_back(&mut self) {
        self.now.extend(std::mem::take(&mut self.before));
    }

    pub fn has(&self, relative: &Path, print: &Print) -> bool {
        let key = self.key(relative, print);
        self.before.contains(&key) || self.now.contains(&key)
    }

    fn key(&self, relative: &Path, print: &Print) -> u64 {
        // The change time is in it: a file that went away and came back has another one.
        self.hasher.hash_one((relative, print.facts.ino, print.facts.size, print.facts.mtime_ns, print.ctime_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_listed_once_and_few_are_named() {
        let mut listing = Listing::default();
        for n in 0..150 {
            listing.add(Path::new(&format!("f{n}")), Reason::NoTask);
            listing.add(Path::new(&format!("f{n}")), Reason::Temporary);
        }
        listing.remove(Path::new("f0"));
        listing.remove(Path::new("f0"));
        let view = listing.view(Path::new("/in"));
        assert_eq!((view.count, view.files.len()), (149, Listed::MAX - 1));
        assert_eq!(view.files[0], ListedFile { path: "/in/f1".into(), reason: "temporary name".into() });
    }

    #[test]
    fn an_offer_lasts_for_one_scan() {
        let mut offered = Offered::default();
        let print = Print { ctime_ns: 1, ..Print::default() };
        offered.add(Path::new("a"), &print);
        assert!(offered.has(Path::new("a"), &print) && !offered.has(Path::new("b"), &print));
        offered.turn();
        assert!(offered.has(Path::new("a"), &print));
        assert!(!offered.has(Path::new("a"), &Print { ctime_ns: 2, ..print }), "it came back");
        offered.turn();
        assert!(!offered.has(Path::new("a"), &print));
    }
}

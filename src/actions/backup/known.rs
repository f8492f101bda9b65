//! The contents that earlier archives hold, for a copy that stores only what is new. A content is known by its hash: a
//! file that was touched or moved is not stored again.

use super::copies::Lying;
use super::manifest::{EntryKind, Held, Holder, Manifest};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufReader};

/// Most contents that are known, of some 150 bytes each; files beyond are stored again.
const KNOWN_MAX: usize = 1_000_000;
/// Most archives that one copy needs; where the newest one needs more, everything is stored again.
const HOLDERS_MAX: usize = 32;

/// What is known.
#[derive(Default)]
pub struct Known {
    contents: HashMap<blake3::Hash, (u32, Vec<u8>)>,
    sizes: HashSet<u64>,
    holders: Vec<Holder>,
    /// Holders that are used, by their new number.
    used: Vec<u32>,
}

impl Known {
    /// Reads what the newest good copy and the archives behind it hold.
    pub fn read(newest: Option<&Lying>) -> io::Result<Self> {
        let mut this = Self::default();
        let Some((lying, seal)) = newest.and_then(|l| Some((l, l.head.archive.clone()?))) else { return Ok(this) };
        if lying.head.needs.len() >= HOLDERS_MAX {
            return Ok(this);
        }
        this.holders.clone_from(&lying.head.needs);
        let own = u32::try_from(this.holders.len()).unwrap_or(u32::MAX);
        this.holders.push(Holder { archive: lying.copy.name.clone(), seal });
        for entry in Manifest::open(BufReader::new(File::open(&lying.manifest)?))? {
            let entry = entry?;
            let Some(hash) = entry.hash.filter(|_| entry.kind == EntryKind::File && entry.size > 0) else { continue };
            if this.contents.len() >= KNOWN_MAX {
                break;
            }
            this.sizes.insert(entry.size);
            let place = entry.held.map_or((own, entry.path), |held| (held.by, held.path));
            this.contents.entry(hash).or_insert(place);
        }
        Ok(this)
    }

    /// Whether a file of this size is worth a look.
    pub fn has_size(&self, size: u64) -> bool {
        self.sizes.contains(&size)
    }

    /// Where a content is, if it is known.
    pub fn held(&mut self, hash: &blake3::Hash) -> Option<Held> {
        let (holder, path) = self.contents.get(hash)?;
        let by = self.used.iter().position(|used| used == holder).unwrap_or_else(|| {
            self.used.push(*holder);
            self.used.len() - 1
        });
        Some(Held { by: u32::try_from(by).unwrap_or(u32::MAX), path: path.clone() })
    }

    /// The archives that were referred to.
    pub fn needs(&self) -> Vec<Holder> {
        self.used.iter().filter_map(|n| self.holders.get(usize::try_from(*n).ok()?).cloned()).collect()
    }
}

//! Finds rows with a key that an earlier row has: exactly, whatever the number of rows, in bounded memory.
//!
//! Keys are sorted by a hash and then as a whole, with the place of their row: equal ones come together, the earliest
//! first. What does not fit into memory is spilled as sorted runs to files in a private folder, which goes away with
//! the finder. The duplicates are then sorted by place, the same way. Only whole keys make a duplicate; the hash puts
//! them into an order that no input can make slow. A key over [`KEY_MAX`] bytes is compared by its length and its
//! BLAKE3 digest of 256 bits instead: nobody can make two that agree.
//!
//! As in SQL, a row with a NULL among the columns of its key is no duplicate of any other.

mod key;
mod run;
mod segment;
mod sorter;

pub use key::{KEY_MAX, KeyReader};

use crate::model::Failure;
use arrow_array::RecordBatch;
use run::Folder;
use segment::{Record, Segment};
use sorter::{Limits, Merge, Sorter};
use std::path::Path;
use std::sync::Arc;

/// Least memory of a finder.
pub const BUDGET_MIN: usize = 1024 * 1024;

/// Asked now and then in longer work: an error ends it.
pub type Check<'a> = &'a dyn Fn() -> Result<(), Failure>;

/// Where a row starts. The order of places is that of the input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Which input file, from 0.
    pub file: u32,
    /// Its first byte in that file.
    pub byte: u64,
}

/// A row with the key of an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// Where it starts.
    pub place: Place,
    /// Where the first row with this key starts.
    pub first: Place,
}

/// The keys of some rows, gathered by a worker.
#[derive(Debug, Default)]
pub struct Keys {
    segment: Segment,
    key: Vec<u8>,
}

impl Keys {
    /// Adds the rows of a batch; `columns` make the key, `place` tells where a row starts.
    pub fn add(
        &mut self,
        batch: &RecordBatch,
        columns: &[usize],
        place: impl Fn(usize) -> Place,
    ) -> Result<(), Failure> {
        let reader = KeyReader::new(batch, columns)?;
        for row in 0..batch.num_rows() {
            if reader.read(row, &mut self.key)? {
                if row == 0 {
                    self.segment.reserve(batch.num_rows(), &self.key);
                }
                self.segment.push(key::hash(&self.key), &self.key, place(row))?;
            }
        }
        Ok(())
    }

    /// Puts them into the order that the finder needs. It does so itself otherwise: but there is one finder, and
    /// workers are many.
    pub fn sort(&mut self) {
        self.segment.sort();
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.segment.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Finds duplicates.
#[derive(Debug)]
pub struct Finder {
    sorter: Sorter,
    /// Small deliveries, gathered until they are worth a segment.
    small: Segment,
    folder: Arc<Folder>,
    limits: Limits,
}

impl Finder {
    /// A finder that takes at most about `budget` bytes of memory, at least [`BUDGET_MIN`], and spills into a folder
    /// that it makes in `scratch` when it must.
    #[must_use]
    pub fn new(scratch: &Path, budget: usize) -> Self {
        Self::with(scratch, Limits::new(budget))
    }

    fn with(scratch: &Path, limits: Limits) -> Self {
        let folder = Arc::new(Folder::new(scratch));
        Self { sorter: Sorter::new(&folder, limits.keys, &limits), small: Segment::default(), folder, limits }
    }

    /// Adds keys. In any order: places decide which row is the first.
    pub fn add(&mut self, keys: Keys, check: Check<'_>) -> Result<(), Failure> {
        if self.sorter.is_enough(&keys.segment) {
            return self.sorter.add(keys.segment, check);
        }
        self.small.append(&keys.segment)?;
        if self.sorter.is_enough(&self.small) {
            self.sorter.add(std::mem::take(&mut self.small), check)?;
        }
        Ok(())
    }

    /// Bytes of memory that it holds.
    #[must_use]
    pub fn held(&self) -> usize {
        self.sorter.held() + self.small.held()
    }

    /// All duplicates, in the order of their places.
    pub fn finish(mut self, check: Check<'_>) -> Result<Duplicates, Failure> {
        self.sorter.add(std::mem::take(&mut self.small), check)?;
        let mut merge = self.sorter.finish(check)?;
        let mut found = Sorter::new(&self.folder, self.limits.places, &self.limits);
        let mut segment = Segment::default();
        let (mut first, mut next, mut count) = (Record::default(), Record::default(), 0);
        let found_any = merge.next(&mut first, check)?;
        while found_any && merge.next(&mut next, check)? {
            if (next.order, &next.key) != (first.order, &first.key) {
                std::mem::swap(&mut first, &mut next);
                continue;
            }
            // The same machine sorts by place: the file is the order, the byte is the key.
            segment.push(next.place.file.into(), &next.place.byte.to_be_bytes(), first.place)?;
            count += 1;
            if found.is_enough(&segment) {
                found.add(std::mem::take(&mut segment), check)?;
            }
        }
        drop(merge);
        found.add(segment, check)?;
        Ok(Duplicates { merge: found.finish(check)?, record: Record::default(), left: count })
    }
}

/// The duplicates, in the order of their places.
#[derive(Debug)]
pub struct Duplicates {
    merge: Merge,
    record: Record,
    left: u64,
}

impl Duplicates {
    /// How many are still to come.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left
    }

    fn read(&mut self) -> Result<Option<Duplicate>, Failure> {
        if !self.merge.next(&mut self.record, &|| Ok(()))? {
            return Ok(None);
        }
        self.left = self.left.saturating_sub(1);
        let byte = self.record.key.as_slice().try_into().map(u64::from_be_bytes);
        let (Ok(file), Ok(byte)) = (u32::try_from(self.record.order), byte) else {
            return Err(run::damaged());
        };
        Ok(Some(Duplicate { place: Place { file, byte }, first: self.record.place }))
    }
}

impl Iterator for Duplicates {
    type Item = Result<Duplicate, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

#[cfg(test)]
mod tests;

//! Records in memory: an order, a key and a place each, in two allocations for all of them.

use super::Place;
use crate::model::Failure;

/// One record: what is sorted by, first to last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// Comes first: a hash of the key, for example.
    pub(super) order: u64,
    /// Comes next.
    pub(super) key: Vec<u8>,
    /// Comes last.
    pub(super) place: Place,
}

/// Where a record lies in [`Segment::keys`].
#[derive(Clone, Copy, Debug)]
struct Entry {
    order: u64,
    at: u32,
    len: u32,
}

/// Records, sorted or not.
#[derive(Debug)]
pub(super) struct Segment {
    entries: Vec<Entry>,
    /// Each record's key, then its place as [`place_bytes`].
    keys: Vec<u8>,
    is_sorted: bool,
}

impl Default for Segment {
    fn default() -> Self {
        Self { entries: Vec::new(), keys: Vec::new(), is_sorted: true }
    }
}

/// Bytes of a place.
pub(super) const PLACE: usize = 12;

/// A place as bytes, which are in the same order.
pub(super) fn place_bytes(place: Place) -> [u8; PLACE] {
    let mut bytes = [0; PLACE];
    bytes[..4].copy_from_slice(&place.file.to_be_bytes());
    bytes[4..].copy_from_slice(&place.byte.to_be_bytes());
    bytes
}

/// The place that these bytes are; what is missing is zero.
pub(super) fn place_of(bytes: &[u8]) -> Place {
    let (mut file, mut byte) = ([0; 4], [0; 8]);
    if let Some((head, rest)) = bytes.split_at_checked(4) {
        file.copy_from_slice(head);
        if rest.len() == 8 {
            byte.copy_from_slice(rest);
        }
    }
    Place { file: u32::from_be_bytes(file), byte: u64::from_be_bytes(byte) }
}

impl Segment {
    /// Adds a record.
    pub(super) fn push(&mut self, order: u64, key: &[u8], place: Place) -> Result<(), Failure> {
        let (Ok(at), Ok(len)) = (u32::try_from(self.keys.len()), u32::try_from(key.len())) else {
            return Err(Failure::permanent("transform_unique", "the keys of one chunk take over 4 GiB"));
        };
        self.keys.extend_from_slice(key);
        self.keys.extend_from_slice(&place_bytes(place));
        self.entries.push(Entry { order, at, len });
        self.is_sorted = false;
        Ok(())
    }

    /// Adds all records of another.
    pub(super) fn append(&mut self, other: &Self) -> Result<(), Failure> {
        for (order, key, place) in (0..other.len()).filter_map(|i| other.get(i)) {
            self.push(order, key, place_of(place))?;
        }
        Ok(())
    }

    /// How many records there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of memory that it holds.
    pub(super) fn held(&self) -> usize {
        self.keys.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// A record: its order, its key, and its place as bytes.
    #[inline]
    pub(super) fn get(&self, i: usize) -> Option<(u64, &[u8], &[u8])> {
        let entry = self.entries.get(i)?;
        let (key, place) = self.bytes(entry);
        Some((entry.order, key, place))
    }

    fn bytes(&self, entry: &Entry) -> (&[u8], &[u8]) {
        let (at, len) = (entry.at as usize, entry.len as usize);
        self.keys[at..at + len + PLACE].split_at(len)
    }

    /// Makes room for records with keys like this one.
    pub(super) fn reserve(&mut self, records: usize, key: &[u8]) {
        self.entries.reserve(records);
        self.keys.reserve(records.saturating_mul(key.len() + PLACE));
    }

    /// Sorts the records, and their keys in memory: they are read in this order later, together with many others.
    pub(super) fn sort(&mut self) {
        if self.is_sorted {
            return;
        }
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_unstable_by_key(|entry| entry.order);
        // Where the order is the same the rest decides. That is rare, unless there are many duplicates.
        for same in entries.chunk_by_mut(|a, b| a.order == b.order).filter(|same| same.len() > 1) {
            same.sort_unstable_by(|a, b| self.bytes(a).cmp(&self.bytes(b)));
        }
        let mut keys = Vec::with_capacity(self.keys.len());
        for entry in &mut entries {
            let (start, end) = (entry.at as usize, entry.at as usize + entry.len as usize + PLACE);
            // No more than there was: it fits as it did.
            entry.at = u32::try_from(keys.len()).unwrap_or(u32::MAX);
            keys.extend_from_slice(&self.keys[start..end]);
        }
        entries.shrink_to_fit();
        self.keys = keys;
        self.entries = entries;
        self.is_sorted = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_sorted_segment_holds_the_same_records_in_order(
            mut records in prop::collection::vec(
                (0_u64..3, prop::collection::vec(0_u8..3, 0..4), 0_u32..3, 0_u64..300), 0..60
            )
        ) {
            let mut segment = Segment::default();
            for (order, key, file, byte) in &records {
                segment.push(*order, key, Place { file: *file, byte: *byte }).unwrap();
            }
            segment.sort();
            records.sort();
            let got: Vec<_> = (0..segment.len()).map(|i| {
                let (order, key, place) = segment.get(i).unwrap();
                let place = place_of(place);
                (order, key.to_vec(), place.file, place.byte)
            }).collect();
            prop_assert_eq!(got, records);
            prop_assert!(segment.get(segment.len()).is_none());
        }
    }
}

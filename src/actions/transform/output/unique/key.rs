//! The key of a row as bytes: two rows have the same bytes exactly if they have the same values.
//!
//! Each value has a tag of its type and then a fixed number of bytes, or its length and its bytes; so no two lists of
//! values run together to the same bytes. As in SQL, `0.0` and `-0.0` are the same number, and so are all `NaN`.

use crate::actions::transform::output::{column, failure};
use crate::model::Failure;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, TimeUnit};

/// Longest key that is kept as it is; a longer one becomes its length and a digest. Longer keys are rare, and many are
/// in memory at the same time.
pub const KEY_MAX: usize = 1024;
/// First byte of a key that is a digest: the tag of no value.
const LONG: u8 = 0xff;

/// Reads the keys of a batch.
#[derive(Debug)]
pub struct KeyReader {
    columns: Vec<ArrayRef>,
}

impl KeyReader {
    /// A reader of keys that these columns make.
    pub fn new(batch: &RecordBatch, columns: &[usize]) -> Result<Self, Failure> {
        let known = |i: &usize| {
            let array = batch.columns().get(*i).ok_or_else(|| {
                Failure::permanent("transform_unique", format!("no column of a unique key: {}", i + 1))
            })?;
            let array = column::plain(array).map_err(|error| failure(&error))?;
            if tag(array.data_type()).is_some() {
                Ok(array)
            } else {
                column::texts(&array).map(|t| std::sync::Arc::new(t) as ArrayRef).map_err(|error| failure(&error))
            }
        };
        Ok(Self { columns: columns.iter().map(known).collect::<Result<_, _>>()? })
    }

    /// Puts the key of a row into `key`. False: a value of it is NULL, so it has none.
    pub fn read(&self, row: usize, key: &mut Vec<u8>) -> Result<bool, Failure> {
        key.clear();
        for array in &self.columns {
            if array.is_null(row) {
                return Ok(false);
            }
            push(array, row, key)?;
        }
        if key.len() > KEY_MAX {
            let (len, digest) = (key.len() as u64, blake3::hash(key));
            key.clear();
            key.push(LONG);
            key.extend_from_slice(&len.to_le_bytes());
            key.extend_from_slice(digest.as_bytes());
        }
        Ok(true)
    }
}

/// The tag of a type, where its values are read as they are.
fn tag(kind: &DataType) -> Option<u8> {
    Some(match kind {
        DataType::Boolean => 1,
        DataType::Int64 => 2,
        DataType::Float64 => 3,
        DataType::Decimal128(..) => 4,
        DataType::Utf8 => 5,
        DataType::Date32 => 6,
        DataType::Timestamp(..) => 7,
        _ => return None,
    })
}

fn push(array: &ArrayRef, row: usize, key: &mut Vec<u8>) -> Result<(), Failure> {
    key.extend(tag(array.data_type()));
    match array.data_type() {
        DataType::Boolean => key.push(array.as_boolean().value(row).into()),
        DataType::Int64 => key.extend_from_slice(&array.as_primitive::<Int64Type>().value(row).to_le_bytes()),
        DataType::Float64 => {
            let x = array.as_primitive::<Float64Type>().value(row);
            let x = if x == 0.0 {
                0.0
            } else if x.is_nan() {
                f64::NAN
            } else {
                x
            };
            key.extend_from_slice(&x.to_bits().to_le_bytes());
        }
        DataType::Decimal128(..) => {
            key.extend_from_slice(&array.as_primitive::<Decimal128Type>().value(row).to_le_bytes());
        }
        DataType::Utf8 => {
            let text = array.as_string::<i32>().value(row).as_bytes();
            key.extend_from_slice(&(text.len() as u64).to_le_bytes());
            key.extend_from_slice(text);
        }
        DataType::Date32 => key.extend_from_slice(&array.as_primitive::<Date32Type>().value(row).to_le_bytes()),
        DataType::Timestamp(unit, _) => {
            let value = match unit {
                TimeUnit::Second => array.as_primitive::<TimestampSecondType>().value(row),
                TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().value(row),
                TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().value(row),
                TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().value(row),
            };
            key.extend_from_slice(&value.to_le_bytes());
        }
        other => {
            return Err(Failure::permanent("transform_unique", format!("no key can be made of the type {other}")));
        }
    }
    Ok(())
}

/// A hash of a key: well spread, and fast for short ones. It decides no more than an order.
pub(super) fn hash(key: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |word: u64| {
        let product = u128::from(word) * u128::from(FACTOR);
        #[expect(clippy::cast_possible_truncation, reason = "the low half, folded with the high one")]
        let (low, high) = (product as u64, (product >> 64) as u64);
        low ^ high
    };
    let (words, rest) = key.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let seed = FACTOR ^ key.len() as u64;
    let state = words.iter().fold(seed, |state, word| mix(state.rotate_left(23) ^ u64::from_le_bytes(*word)));
    mix(mix(state.rotate_left(23) ^ u64::from_le_bytes(last)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Float64Array, Int64Array, StringArray};
    use proptest::prelude::*;
    use std::collections::HashSet;
    use std::sync::Arc;

    fn keys(columns: Vec<ArrayRef>) -> Vec<Option<Vec<u8>>> {
        let names = ["a", "b", "c"];
        let batch = RecordBatch::try_from_iter(names.into_iter().zip(columns)).unwrap();
        let reader = KeyReader::new(&batch, &(0..batch.num_columns()).collect::<Vec<_>>()).unwrap();
        let mut key = Vec::new();
        (0..batch.num_rows()).map(|row| reader.read(row, &mut key).unwrap().then(|| key.clone())).collect()
    }

    fn text(values: &[Option<&str>]) -> ArrayRef {
        Arc::new(StringArray::from(values.to_vec()))
    }

    #[test]
    fn values_do_not_run_together() {
        // A text may hold what stands between two others.
        let a = text(&[Some("ab"), Some("a"), Some(""), None, Some("a\u{5}"), Some("a")]);
        let b = text(&[Some(""), Some("b"), Some("ab"), Some("ab"), Some("b"), Some("\u{5}b")]);
        let keys = keys(vec![a, b]);
        assert_eq!(keys[3], None);
        assert_eq!(keys.iter().flatten().collect::<HashSet<_>>().len(), 5);
    }

    #[test]
    fn equal_numbers_have_one_key() {
        let nan = f64::from_bits(f64::NAN.to_bits() ^ 1);
        let keys = keys(vec![Arc::new(Float64Array::from(vec![0.0, -0.0, f64::NAN, nan, -f64::NAN, 1.0]))]);
        assert_eq!(keys[0], keys[1]);
        assert!(keys[2] == keys[3] && keys[2] == keys[4]);
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), 3);
    }

    #[test]
    fn a_long_key_is_short_and_still_its_own() {
        let long = "x".repeat(KEY_MAX);
        let other = format!("{}y", &long[1..]);
        let keys = keys(vec![text(&[Some(&long), Some(&long), Some(&other), Some("x")])]);
        assert_eq!(keys[0], keys[1]);
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), 3);
        assert!(keys.iter().flatten().all(|key| key.len() <= KEY_MAX));
    }

    #[test]
    fn types_that_need_work_are_read_too() {
        let list = arrow_array::DurationSecondArray::from(vec![1, 2, 1]);
        let small = arrow_array::Int32Array::from(vec![1, 2, 1]);
        let keys = keys(vec![Arc::new(list), Arc::new(small)]);
        assert_eq!(keys[0], keys[2]);
        assert_ne!(keys[0], keys[1]);
        let batch = RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap();
        assert!(KeyReader::new(&batch, &[1]).is_err());
    }

    #[test]
    fn hashes_of_numbers_are_spread() {
        let mut low = HashSet::new();
        let mut high = HashSet::new();
        for n in 0..4096_u64 {
            let hash = hash(&[&[2], &n.to_le_bytes()[..]].concat());
            low.insert(hash & 0xfff);
            high.insert(hash >> 52);
        }
        // Of 4,096 balls in as many boxes about 63 % of the boxes hold one.
        assert!(low.len() > 2400 && high.len() > 2400, "{} {}", low.len(), high.len());
    }

    proptest! {
        #[test]
        fn a_key_is_the_same_exactly_for_the_same_values(
            rows in prop::collection::vec(("[ab]{0,3}", "[ab]{0,3}", -2_i64..3), 2..30)
        ) {
            let a = text(&rows.iter().map(|r| Some(r.0.as_str())).collect::<Vec<_>>());
            let b = text(&rows.iter().map(|r| Some(r.1.as_str())).collect::<Vec<_>>());
            let c = Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.2))) as ArrayRef;
            let keys = keys(vec![a, b, c]);
            for (x, kx) in rows.iter().zip(&keys) {
                for (y, ky) in rows.iter().zip(&keys) {
                    prop_assert_eq!(x == y, kx == ky);
                }
            }
        }
    }
}

//! The finder against a map in memory.

use super::*;
use arrow_array::{ArrayRef, Int64Array, StringArray};
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

const GO_ON: Check<'static> = &|| Ok(());

/// Limits so small that everything is spilled, and merged in rounds.
fn tiny() -> Limits {
    Limits { keys: 400, places: 200, buffer: 32, segment: 4, fan: 2 }
}

fn column(values: &[Option<String>]) -> RecordBatch {
    let array = Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    RecordBatch::try_from_iter([("key", array)]).unwrap()
}

/// Two files of rows of ten bytes each.
fn place(row: usize, rows: usize) -> Place {
    let half = rows / 2;
    let (file, row) = if row < half { (0, row) } else { (1, row - half) };
    Place { file, byte: 10 * row as u64 }
}

fn expected(values: &[Option<String>]) -> Vec<Duplicate> {
    let mut first = HashMap::new();
    let mut out = Vec::new();
    for (row, value) in values.iter().enumerate() {
        let place = place(row, values.len());
        if let Some(value) = value {
            let first = *first.entry(value).or_insert(place);
            if first != place {
                out.push(Duplicate { place, first });
            }
        }
    }
    out
}

/// Adds the values in deliveries of `step` rows, and returns the duplicates.
fn found(values: &[Option<String>], step: usize, limits: Limits, scratch: &Path) -> Vec<Duplicate> {
    let mut finder = Finder::with(scratch, limits);
    for (n, part) in values.chunks(step.max(1)).enumerate() {
        let mut keys = Keys::default();
        keys.add(&column(part), &[0], |row| place(n * step.max(1) + row, values.len())).unwrap();
        if n % 2 == 0 {
            keys.sort();
        }
        finder.add(keys, GO_ON).unwrap();
    }
    let duplicates = finder.finish(GO_ON).unwrap();
    let count = duplicates.left();
    let all: Vec<_> = duplicates.map(Result::unwrap).collect();
    assert_eq!(all.len() as u64, count);
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn exactly_the_later_rows_of_a_key_are_found(
        values in prop::collection::vec(prop::option::weighted(0.9, "[a-c]{0,3}"), 0..200),
        step in 1_usize..40,
        small: bool,
    ) {
        let scratch = tempfile::tempdir().unwrap();
        let limits = if small { tiny() } else { Limits::new(0) };
        prop_assert_eq!(found(&values, step, limits, scratch.path()), expected(&values));
        prop_assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0);
    }
}

#[test]
fn many_rows_with_few_and_with_many_keys() {
    let scratch = tempfile::tempdir().unwrap();
    for keys in [1_u64, 10, 5_000, u64::MAX] {
        let spread = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let values: Vec<_> = (0..6_000).map(|n| Some((spread(n) % keys).to_string())).collect();
        let limits = Limits { keys: 20_000, places: 10_000, buffer: 256, segment: 100, fan: 4 };
        assert_eq!(found(&values, 333, limits, scratch.path()), expected(&values), "{keys}");
    }
}

#[test]
fn keys_with_one_hash_are_still_told_apart() {
    let scratch = tempfile::tempdir().unwrap();
    for limits in [tiny(), Limits::new(0)] {
        let mut finder = Finder::with(scratch.path(), limits);
        for (byte, key) in (0..).zip(["a", "b", "a", "", "b", "a", "c"]) {
            let mut keys = Keys::default();
            keys.segment.push(7, key.as_bytes(), Place { file: 0, byte }).unwrap();
            finder.add(keys, GO_ON).unwrap();
        }
        let found = finder.finish(GO_ON).unwrap().map(|d| d.map(|d| (d.place.byte, d.first.byte)));
        assert_eq!(found.collect::<Result<Vec<_>, _>>().unwrap(), [(2, 0), (4, 1), (5, 0)]);
    }
}

#[test]
fn nothing_is_written_while_memory_does() {
    let scratch = tempfile::tempdir().unwrap();
    let values: Vec<_> = (0..1_000).map(|n| Some((n % 900).to_string())).collect();
    let mut finder = Finder::new(scratch.path(), 0);
    let mut keys = Keys::default();
    keys.add(&column(&values), &[0], |row| place(row, 1_000)).unwrap();
    assert_eq!((keys.len(), keys.is_empty()), (1_000, false));
    finder.add(keys, GO_ON).unwrap();
    let duplicates = finder.finish(GO_ON).unwrap();
    assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0);
    assert_eq!(duplicates.left(), 100);
}

#[test]
fn memory_stays_within_the_budget() {
    let scratch = tempfile::tempdir().unwrap();
    let mut finder = Finder::new(scratch.path(), BUDGET_MIN);
    let mut most = 0;
    for n in 0..60 {
        let rows = Int64Array::from_iter_values(n * 5_000..(n + 1) * 5_000);
        let batch = RecordBatch::try_from_iter([("key", Arc::new(rows) as ArrayRef)]).unwrap();
        let mut keys = Keys::default();
        keys.add(&batch, &[0], |row| Place { file: 0, byte: n as u64 * 5_000 + row as u64 }).unwrap();
        finder.add(keys, GO_ON).unwrap();
        most = most.max(finder.held());
    }
    assert!(most <= BUDGET_MIN, "{most}");
    assert!(std::fs::read_dir(&scratch).unwrap().count() == 1);
    assert_eq!(finder.finish(GO_ON).unwrap().count(), 0);
}

#[test]
fn a_stop_ends_the_work_and_leaves_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let values: Vec<_> = (0..40_000).map(|n| Some(n.to_string())).collect();
    for patience in [0, 1, 5, 13] {
        let left = Cell::new(patience);
        let stop = || match left.replace(left.get() - 1) {
            0 => Err(Failure::transient("stopped", "stopped on request")),
            _ => Ok(()),
        };
        let limits = Limits { keys: 200_000, places: 1_000, buffer: 4096, segment: 100, fan: 4 };
        let mut finder = Finder::with(scratch.path(), limits);
        let run = || {
            for (n, part) in values.chunks(1_000).enumerate() {
                let mut keys = Keys::default();
                keys.add(&column(part), &[0], |row| place(n * 1_000 + row, values.len()))?;
                finder.add(keys, &stop)?;
            }
            finder.finish(&stop)
        };
        let failure = run().unwrap_err();
        assert_eq!((failure.code.as_str(), left.get()), ("stopped", -1), "{patience}");
        assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0);
    }
}

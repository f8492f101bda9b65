//! A copy of the database while it is written to.

use super::*;
use std::cell::Cell;

#[test]
fn a_snapshot_is_of_one_moment_and_holds_up_nobody() {
    let (dir, store) = store();
    // More pages than one step copies.
    land(&store, "a", 0..3000);
    let to = dir.path().join("copy.db");
    let steps = Cell::new(0);
    let goes_on = || {
        // Committed between two steps: the writer is not held up, and the copy does not begin anew.
        let n = 3000 + steps.replace(steps.get() + 1);
        land(&store, "a", n..n + 1);
        true
    };
    store.snapshot(&to, &goes_on).unwrap();
    assert!(steps.get() > 1, "the copy took one step");
    let copy = rusqlite::Connection::open(&to).unwrap();
    let count = |conn: &rusqlite::Connection| -> u64 {
        conn.query_row("SELECT count(*) FROM job", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(count(&copy), 3000, "what was committed meanwhile is not in it");
    assert_eq!(count(&rusqlite::Connection::open(store.path()).unwrap()), 3000 + steps.get());
    drop(copy);
    let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!names.iter().any(|n| n == "copy.db-wal" || n == "copy.db-shm"), "{names:?}");
    // It is a database of its own.
    ok(Store::open(&to).unwrap().recover("host-a".into(), "boot-2".into(), Millis(0)));
}

#[test]
fn a_snapshot_ends_when_it_shall() {
    let (dir, store) = store();
    let failure = store.snapshot(&dir.path().join("copy.db"), &|| false).unwrap_err();
    assert_eq!(failure.code, "stopped");
    let failure = store.snapshot(store.path(), &|| true).unwrap_err();
    assert_eq!(failure.code, "snapshot", "it never goes over a file");
}

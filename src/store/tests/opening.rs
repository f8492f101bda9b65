//! Opening: what is refused, that a refused file keeps its bytes, and that a queue is never silently empty.

use super::*;
use crate::store::Queries;
use crate::store::schema::SCHEMA;
use rusqlite::Connection;
use std::fs;

fn why(path: &Path) -> String {
    let Err(fatal) = Store::open(path) else { panic!("{} was opened", path.display()) };
    fatal.render(false)
}

/// Refused, with these words, and nothing in the folder changed.
#[track_caller]
fn refuses(dir: &Path, words: &str) {
    let contents = || {
        let mut all: Vec<(String, Vec<u8>)> = fs::read_dir(dir)
            .unwrap()
            .map(|e| e.unwrap())
            // An index of the log that any reader makes anew.
            .filter(|e| !e.file_name().to_str().unwrap().ends_with("-shm"))
            .map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap()))
            // A reader makes an empty log where there is none.
            .filter(|(name, bytes)| !(name.ends_with("-wal") && bytes.is_empty()))
            .collect();
        all.sort();
        all
    };
    let before = contents();
    let said = why(&dir.join("store.db"));
    assert!(said.contains(words) && said.contains("hint:"), "{said}");
    let after = contents();
    let changed =
        |(name, bytes): &(String, Vec<u8>)| before.iter().find(|b| b.0 == *name).is_none_or(|b| b.1 != *bytes);
    let changed: Vec<&String> = after.iter().filter(|f| changed(f)).map(|f| &f.0).collect();
    assert!(changed.is_empty() && after.len() == before.len(), "changed {changed:?}");
}

/// A closed database with some jobs in it.
fn closed(jobs: u64) -> TempDir {
    let (dir, store) = store();
    if jobs > 0 {
        land(&store, "a", 0..jobs);
    }
    store.close();
    dir
}

#[test]
fn a_new_database_is_there_again_the_next_time() {
    let dir = closed(3);
    let store = Store::open(&dir.path().join("store.db")).unwrap();
    assert_eq!(queued(&store, "a"), 3);
    assert_eq!(store.queries().integrity().unwrap(), "ok");
    let version: i64 = store.queries().with(|c| c.query_row("PRAGMA user_version", [], |r| r.get(0))).unwrap();
    assert_eq!(version, SCHEMA);
}

#[test]
fn an_empty_file_is_no_empty_queue() {
    let dir = folder();
    fs::write(dir.path().join("store.db"), b"").unwrap();
    refuses(dir.path(), "the file is empty");
}

#[test]
fn a_missing_database_with_its_log_is_no_empty_queue() {
    let dir = folder();
    fs::write(dir.path().join("store.db-wal"), b"x").unwrap();
    refuses(dir.path(), "it is missing, but its log");
}

#[test]
fn what_is_no_database_is_refused() {
    let dir = folder();
    fs::write(dir.path().join("store.db"), "not a database, but long enough to look at\n".repeat(200)).unwrap();
    refuses(dir.path(), "cannot use the database");
    let dir = folder();
    fs::create_dir(dir.path().join("store.db")).unwrap();
    assert!(why(&dir.path().join("store.db")).contains("cannot use the database"));
}

#[test]
fn a_database_of_another_program_is_refused() {
    let dir = folder();
    let other = Connection::open(dir.path().join("store.db")).unwrap();
    other.execute_batch("CREATE TABLE job(id); INSERT INTO job VALUES (1);").unwrap();
    other.close().unwrap();
    refuses(dir.path(), "another program");
}

#[test]
fn a_newer_database_is_left_as_it_is() {
    let dir = closed(3);
    let conn = Connection::open(dir.path().join("store.db")).unwrap();
    conn.execute_batch(&format!("PRAGMA user_version = {}; CREATE TABLE more(x);", SCHEMA + 1)).unwrap();
    // As a kill leaves it: the newer version is known from the log alone.
    let killed = folder();
    for name in ["store.db", "store.db-wal"] {
        fs::copy(dir.path().join(name), killed.path().join(name)).unwrap();
    }
    assert!(fs::metadata(killed.path().join("store.db-wal")).unwrap().len() > 0);
    refuses(killed.path(), "newer version");
    conn.close().unwrap();
    refuses(dir.path(), "newer version");
    let Err(reading) = Queries::open(&dir.path().join("store.db")) else { panic!("it was read") };
    assert!(reading.render(false).contains("newer version"));
}

#[test]
fn an_older_database_is_not_read_before_it_was_brought_forward() {
    let dir = closed(0);
    let conn = Connection::open(dir.path().join("store.db")).unwrap();
    conn.execute_batch("PRAGMA user_version = 0").unwrap();
    conn.close().unwrap();
    let Err(reading) = Queries::open(&dir.path().join("store.db")) else { panic!("it was read") };
    assert!(reading.render(false).contains("older version"));
}

#[test]
fn a_truncated_database_is_refused() {
    for left in [100, 4096, 5000, 40_000] {
        let dir = closed(200);
        let path = dir.path().join("store.db");
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        assert!(file.metadata().unwrap().len() > left);
        file.set_len(left).unwrap();
        assert!(why(&path).contains("cannot use the database"), "{left} bytes");
        assert_eq!(fs::metadata(&path).unwrap().len(), left);
    }
}

#[test]
fn a_damaged_database_is_refused() {
    let dir = closed(200);
    let path = dir.path().join("store.db");
    let mut bytes = fs::read(&path).unwrap();
    let pages = bytes.len() / 4096;
    let mut refused = 0;
    let whole = bytes.clone();
    for page in 1..pages {
        bytes.copy_from_slice(&whole);
        bytes[page * 4096..page * 4096 + 512].fill(0xa5);
        fs::write(&path, &bytes).unwrap();
        refused += usize::from(Store::open(&path).is_err());
    }
    assert_eq!(refused, pages - 1, "of the pages after the first one");
}

#[test]
fn a_creation_that_was_cut_off_is_done_again() {
    let dir = folder();
    let path = dir.path().join("store.db");
    for name in ["store.db.new", "store.db.new-journal"] {
        fs::write(dir.path().join(name), b"half a database").unwrap();
    }
    let store = Store::open(&path).unwrap();
    ok(store.configure(tasks(), Millis(0)));
    land(&store, "a", 0..1);
    assert!(!dir.path().join("store.db.new").exists());
}

#[test]
fn a_killed_store_keeps_what_it_acknowledged() {
    let (dir, store) = store();
    land(&store, "a", 0..50);
    let c = claim(&store, "a");
    let (_dir, store) = crashed(store, &dir);
    audit::audit(&store);
    assert_eq!(state(&store, c.job), JobState::Running);
    assert_eq!(queued(&store, "a"), 49);
    assert_eq!(store.queries().integrity().unwrap(), "ok");
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let dir = folder();
    assert!(why(&dir.path().join("none/store.db")).contains("cannot create"));
    assert!(!dir.path().join("none").exists());
}

//! Opening the database: what is refused, how it is created, and how it is brought forward.

use super::schema::{APPLICATION_ID, SCHEMA, STEPS};
use crate::error::{Exit, Fatal};
use crate::model::text;
use rusqlite::{Connection, OpenFlags};
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Lowest SQLite accepted: earlier ones can damage a WAL database that two connections use at once.
const SQLITE_MIN: i32 = 3_051_003;
/// A WAL longer than this is cut after a checkpoint, in bytes.
const WAL_MAX: i64 = 64 * 1024 * 1024;
/// Page cache of the writing connection, in KiB.
const CACHE_KIB: i64 = 8 * 1024;
/// A file of at most this size, in bytes, is checked at every start: it takes no time.
const ALWAYS_CHECKED: u64 = 16 * 1024 * 1024;
/// Prepared statements kept.
const STATEMENTS: usize = 128;

/// A database that is ready for the writer.
pub(super) struct Opened {
    pub conn: Connection,
}

/// Opens or creates the database at `path`.
pub(super) fn for_writing(path: &Path) -> Result<Opened, Fatal> {
    if rusqlite::version_number() < SQLITE_MIN {
        return Err(Fatal::new(
            Exit::Internal,
            format!("this SQLite is too old to be safe with a write-ahead log: {}", rusqlite::version()),
        )
        .hint("build with the bundled SQLite"));
    }
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() && meta.len() == 0 => return Err(damaged(path, "the file is empty")),
        Ok(_) => {
            // Read-only first: a file that is refused stays as it is, to the byte, its log included.
            let conn = open_with(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            check_identity(&conn, path)?;
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let wal = with_suffix(path, "-wal");
            if wal.exists() {
                return Err(damaged(path, &format!("it is missing, but its log {} is there", text::path(&wal))));
            }
            create(path)?;
        }
        Err(e) => return Err(Fatal::io("read", path, &e)),
    }
    let conn = open_with(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Asked to write, SQLite opens a file that it may not write for reading, without a word.
    if conn.is_readonly(rusqlite::MAIN_DB).map_err(|e| damaged(path, &e.to_string()))? {
        return Err(Fatal::new(Exit::Failed, format!("cannot write to the database {}", text::path(path)))
            .hint("give this user the right to write to the file and its folder"));
    }
    configure(&conn, path)?;
    check_sound(&conn, path)?;
    migrate(&conn, path)?;
    Ok(Opened { conn })
}

/// Opens the database read-only, for queries.
pub(super) fn for_reading(path: &Path) -> Result<Connection, Fatal> {
    let conn = open_with(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let version = check_identity(&conn, path)?;
    if version < SCHEMA {
        let found = format!("{} is of an older version (schema {version} of {SCHEMA})", text::path(path));
        return Err(Fatal::new(Exit::Failed, found).hint("start the supervisor once: it brings the database forward"));
    }
    conn.execute_batch(
        "PRAGMA query_only = 1; PRAGMA busy_timeout = 5000; PRAGMA cache_size = -4096; PRAGMA temp_store = MEMORY;",
    )
    .map_err(|e| damaged(path, &e.to_string()))?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(conn)
}

/// An empty database in memory.
pub(super) fn in_memory() -> Result<Connection, Fatal> {
    let path = Path::new(":memory:");
    let conn = Connection::open_in_memory().map_err(|e| damaged(path, &e.to_string()))?;
    migrate(&conn, path)?;
    Ok(conn)
}

/// Makes the database under a temporary name and renames it, so that a file under its own name is always whole. It has
/// a write-ahead log from the start: the change to one is written through a journal, and a start that found one which a
/// crash had left could not look at the file without writing to it.
fn create(path: &Path) -> Result<(), Fatal> {
    let temp = with_suffix(path, ".new");
    // What an earlier try left, its journals included: these must not be played back into the new file.
    let journals = ["-journal", "-wal", "-shm"].map(|suffix| with_suffix(&temp, suffix));
    for left in std::iter::once(temp.clone()).chain(journals) {
        match fs::remove_file(&left) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(Fatal::io("remove", &left, &e)),
        }
    }
    let fault = |e: rusqlite::Error| Fatal::new(Exit::Failed, format!("cannot create {}", text::path(path))).because(e);
    let conn = Connection::open(&temp).map_err(fault)?;
    conn.execute_batch(&format!("PRAGMA synchronous = FULL; PRAGMA application_id = {APPLICATION_ID};"))
        .map_err(fault)?;
    set_wal(&conn, path)?;
    migrate(&conn, &temp)?;
    conn.close().map_err(|(_, e)| fault(e))?;
    let io = |doing: &'static str| move |e: std::io::Error| Fatal::io(doing, path, &e);
    // Ours alone, and its log files take after it: records of what failed hold pieces of the files.
    fs::set_permissions(&temp, fs::Permissions::from_mode(0o600)).map_err(io("set the mode of"))?;
    File::open(&temp).and_then(|f| f.sync_all()).map_err(io("sync"))?;
    #[expect(clippy::disallowed_methods, reason = "the lock of the data folder is held, and nothing is at the target")]
    fs::rename(&temp, path).map_err(io("create"))?;
    if let Some(parent) = path.parent() {
        File::open(parent).and_then(|d| d.sync_all()).map_err(io("sync the folder of"))?;
    }
    Ok(())
}

fn open_with(path: &Path, access: OpenFlags) -> Result<Connection, Fatal> {
    Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(|e| match File::open(path) {
        // SQLite does not say why it could not open a file. Nothing of it is open here, so looking loses no lock.
        Err(io) if io.kind() == std::io::ErrorKind::PermissionDenied => {
            Fatal::io("read the database", path, &io).hint("run as the supervisor's user")
        }
        _ => damaged(path, &e.to_string()),
    })
}

/// Refuses the database of another program or of a newer version; answers its version.
fn check_identity(conn: &Connection, path: &Path) -> Result<i64, Fatal> {
    let read =
        |pragma: &str| conn.query_row(pragma, [], |r| r.get::<_, i64>(0)).map_err(|e| damaged(path, &e.to_string()));
    let id = read("PRAGMA application_id")?;
    if id != i64::from(APPLICATION_ID) {
        return Err(damaged(path, "it is a database of another program"));
    }
    let version = read("PRAGMA user_version")?;
    if version > SCHEMA {
        return Err(Fatal::new(
            Exit::Failed,
            format!(
                "{} was written by a newer version (schema {version}, this program knows {SCHEMA})",
                text::path(path)
            ),
        )
        .hint("start the newer program; this one leaves the file untouched"));
    }
    Ok(version)
}

fn set_wal(conn: &Connection, path: &Path) -> Result<(), Fatal> {
    let mode: String =
        conn.query_row("PRAGMA journal_mode = WAL", [], |r| r.get(0)).map_err(|e| damaged(path, &e.to_string()))?;
    if mode == "wal" {
        return Ok(());
    }
    Err(Fatal::new(Exit::Failed, format!("cannot keep a write-ahead log beside {}", text::path(path)))
        .hint("put data_dir on a local file system"))
}

fn configure(conn: &Connection, path: &Path) -> Result<(), Fatal> {
    let fault = |e: rusqlite::Error| damaged(path, &e.to_string());
    set_wal(conn, path)?;
    conn.execute_batch(&format!(
        "PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = OFF; \
         PRAGMA journal_size_limit = {WAL_MAX}; PRAGMA wal_autocheckpoint = 8000; PRAGMA cache_size = -{CACHE_KIB}; PRAGMA temp_store = MEMORY;"
    ))
    .map_err(fault)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

/// After an unclean stop the file is checked before anything is built on it; a small one is checked at every start.
fn check_sound(conn: &Connection, path: &Path) -> Result<(), Fatal> {
    let fault = |e: rusqlite::Error| damaged(path, &e.to_string());
    let clean: i64 = conn.query_row("SELECT value FROM meta WHERE key = 'clean'", [], |r| r.get(0)).map_err(fault)?;
    let size = fs::metadata(path).map_or(0, |m| m.len());
    if clean == 0 || size <= ALWAYS_CHECKED {
        let verdict: String = conn.query_row("PRAGMA quick_check(1)", [], |r| r.get(0)).map_err(fault)?;
        if verdict != "ok" {
            return Err(damaged(path, &verdict));
        }
    }
    conn.execute("UPDATE meta SET value = 0 WHERE key = 'clean'", []).map_err(fault)?;
    Ok(())
}

/// Applies the steps that the file has not seen, each in one transaction with its number.
fn migrate(conn: &Connection, path: &Path) -> Result<(), Fatal> {
    let fault = |e: rusqlite::Error| damaged(path, &e.to_string());
    let version: i64 = conn.query_row("PRAGMA user_version", [], |r| r.get(0)).map_err(fault)?;
    for (i, step) in STEPS.iter().enumerate().skip(usize::try_from(version).unwrap_or(0)) {
        conn.execute_batch(&format!("BEGIN IMMEDIATE; {step} PRAGMA user_version = {}; COMMIT;", i + 1)).map_err(
            |e| {
                // The error that matters is the one of the step; a failed rollback only repeats it.
                let _ = conn.execute_batch("ROLLBACK");
                fault(e)
            },
        )?;
    }
    Ok(())
}

fn damaged(path: &Path, why: &str) -> Fatal {
    Fatal::new(Exit::Failed, format!("cannot use the database {}", text::path(path)))
        .because(why)
        .hint("it is left as it is; put a backup in its place, or move it away to start with an empty queue")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_database_has_its_log_before_it_has_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        create(&path).unwrap();
        // The format's versions for writing and reading: 2 is a write-ahead log.
        assert_eq!(fs::read(&path).unwrap()[18..20], [2, 2]);
        let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["store.db"], "a journal under its name could not be read without writing");
    }
}

//! The database of the cache: which answers there are, and which body each one has.

use super::{UNFINISHED, body_cost, body_path, row_cost};
use crate::error::{Exit, Fatal};
use crate::model::action::network::AnswerKey;
use crate::model::text;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, Transaction, params};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Its file in the folder of the cache.
pub(super) const NAME: &str = "answers.db";
/// What a database is called that was set aside; one at most is kept.
const ASIDE: &str = "answers.db.aside";
/// Marks the file as ours: "sbac".
const APPLICATION_ID: i64 = 0x7362_6163;
/// The schema below. A file of any other version is set aside: it is a cache.
const VERSION: i64 = 1;
/// A write-ahead log longer than this is cut after a checkpoint, in bytes.
const WAL_MAX: i64 = 4 * 1024 * 1024;
/// Page cache, in KiB.
const CACHE_KIB: i64 = 1024;

const SCHEMA: &str = "
    CREATE TABLE answer (
        key BLOB NOT NULL PRIMARY KEY CHECK (length(key) = 32),
        facts TEXT NOT NULL,                               -- AnswerFacts as JSON
        hash BLOB NOT NULL CHECK (length(hash) = 32),      -- of the body
        size INTEGER NOT NULL CHECK (size >= 0),           -- of the body
        used INTEGER NOT NULL                              -- rises with every use of any answer
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX answer_hash ON answer (hash);
    CREATE INDEX answer_used ON answer (used);";

/// What is noted of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Noted {
    pub(super) facts: String,
    pub(super) hash: blake3::Hash,
    pub(super) size: u64,
}

/// Why a database was not opened.
enum Fault {
    /// It is not one that this program can use.
    Unfit(String),
    /// It may be sound: something else is wrong.
    Other(String),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        use ErrorCode::{
            CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, FileLockingProtocolFailed, OutOfMemory,
            PermissionDenied, ReadOnly, SystemIoFailure,
        };
        let why = text::escape(&error.to_string()).into_owned();
        match error.sqlite_error_code() {
            Some(
                CannotOpen
                | DatabaseBusy
                | DatabaseLocked
                | DiskFull
                | FileLockingProtocolFailed
                | OutOfMemory
                | PermissionDenied
                | ReadOnly
                | SystemIoFailure,
            ) => Self::Other(why),
            _ => Self::Unfit(why),
        }
    }
}

/// Opens the database in this folder. One that is of no use is set aside, and a warning says so.
pub(super) fn open(dir: &Path) -> Result<(Connection, Option<String>), Fatal> {
    let path = dir.join(NAME);
    let fatal = |why: String| {
        Fatal::new(Exit::Failed, format!("cannot use the cache of answers {}", text::path(&path)))
            .because(why)
            .hint("it is only a cache: it may be moved away while no supervisor runs")
    };
    let why = match sound(&path) {
        Ok(conn) => return Ok((conn, None)),
        Err(Fault::Other(why)) => return Err(fatal(why)),
        Err(Fault::Unfit(why)) => why,
    };
    let aside = dir.join(ASIDE);
    for suffix in ["", "-wal", "-shm"] {
        set_aside(&with_suffix(&path, suffix), &with_suffix(&aside, suffix))?;
    }
    let conn = sound(&path).map_err(|(Fault::Unfit(why) | Fault::Other(why))| fatal(why))?;
    let warning = format!("the cache of answers starts anew, what was there is {}: {why}", text::path(&aside));
    Ok((conn, Some(warning)))
}

fn set_aside(from: &Path, to: &Path) -> Result<(), Fatal> {
    let removed = match fs::symlink_metadata(to) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(to),
        Ok(_) => fs::remove_file(to),
        Err(_) => Ok(()),
    };
    removed.map_err(|e| Fatal::io("remove", to, &e))?;
    #[expect(clippy::disallowed_methods, reason = "the lock of the data folder is held, and the target was removed")]
    match fs::rename(from, to) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Fatal::io("set aside", from, &e)),
        _ => Ok(()),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Opens a database, making it where there is none, and checks all of it.
fn sound(path: &Path) -> Result<Connection, Fault> {
    match fs::symlink_metadata(path) {
        Ok(meta) if !meta.is_file() => return Err(Fault::Unfit("it is not a file".to_owned())),
        Ok(_) => {}
        // The log of another database must not be played back into a new one.
        Err(_) => ["-wal", "-shm"].iter().for_each(|suffix| drop(fs::remove_file(with_suffix(path, suffix)))),
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    if conn.is_readonly(rusqlite::MAIN_DB)? {
        return Err(Fault::Other("it cannot be written to".to_owned()));
    }
    let number = |query: &str| conn.query_row(query, [], |r| r.get::<_, i64>(0));
    let id = number("PRAGMA application_id")?;
    let version = number("PRAGMA user_version")?;
    let is_new = id == 0 && version == 0 && number("SELECT count(*) FROM sqlite_schema")? == 0;
    if !is_new && id != APPLICATION_ID {
        return Err(Fault::Unfit("it is a database of another program".to_owned()));
    }
    if !is_new && version != VERSION {
        return Err(Fault::Unfit(format!("it is of another version: {version}")));
    }
    conn.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    conn.execute_batch(&format!(
        "PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 5000; PRAGMA journal_size_limit = {WAL_MAX}; \
         PRAGMA cache_size = -{CACHE_KIB}; PRAGMA temp_store = MEMORY;"
    ))?;
    if is_new {
        conn.execute_batch(&format!(
            "BEGIN IMMEDIATE; {SCHEMA} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; COMMIT;"
        ))?;
    }
    let verdict: String = conn.query_row("PRAGMA quick_check(1)", [], |r| r.get(0))?;
    if verdict != "ok" {
        return Err(Fault::Unfit(text::escape(&verdict).into_owned()));
    }
    conn.prepare("SELECT key, facts, hash, size, used FROM answer")?;
    Ok(conn)
}

/// Bytes that all answers take, and the number of the last use.
pub(super) fn sums(conn: &Connection) -> rusqlite::Result<(u64, i64)> {
    let mut total = 0;
    let mut last = None;
    let mut select = conn.prepare("SELECT hash, size, length(CAST(facts AS BLOB)) FROM answer ORDER BY hash")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let hash: [u8; 32] = row.get(0)?;
        if last.replace(hash) != Some(hash) {
            total += body_cost(row.get(1)?);
        }
        total += row_cost(row.get(2)?);
    }
    let uses = conn.query_row("SELECT ifnull(max(used), 0) FROM answer", [], |r| r.get(0))?;
    Ok((total, uses))
}

/// Removes what an earlier process left: files that were not finished, and bodies that no answer has.
pub(super) fn sweep(conn: &Connection, dir: &Path) -> rusqlite::Result<()> {
    let names = |dir: &Path| {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok())
    };
    for name in names(dir) {
        if name.starts_with(UNFINISHED) {
            // Here and below: what cannot be removed stays until the next start.
            let _ = fs::remove_file(dir.join(name));
        } else if name.len() == 2 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            for rest in names(&dir.join(&name)) {
                let hash = blake3::Hash::from_hex(format!("{name}{rest}")).ok();
                let is_wanted = match hash {
                    Some(hash) => has_body(conn, &hash)? && body_path(dir, &hash).ends_with(&rest),
                    None => false,
                };
                if !is_wanted {
                    let _ = fs::remove_file(dir.join(&name).join(rest));
                }
            }
        }
    }
    Ok(())
}

pub(super) fn find(conn: &Connection, key: &AnswerKey) -> rusqlite::Result<Option<Noted>> {
    let read = |row: &Row<'_>| {
        let hash = blake3::Hash::from_bytes(row.get(1)?);
        Ok(Noted { facts: row.get(0)?, hash, size: row.get(2)? })
    };
    conn.prepare_cached("SELECT facts, hash, size FROM answer WHERE key = ?")?.query_row([key.0], read).optional()
}

pub(super) fn has_body(conn: &Connection, hash: &blake3::Hash) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT 1 FROM answer WHERE hash = ? LIMIT 1")?.exists([hash.as_bytes()])
}

/// The answer that was not used for the longest time.
pub(super) fn oldest(txn: &Transaction<'_>) -> rusqlite::Result<Option<AnswerKey>> {
    let mut select = txn.prepare_cached("SELECT key FROM answer ORDER BY used LIMIT 1")?;
    select.query_row([], |row| row.get(0).map(AnswerKey)).optional()
}

pub(super) fn insert(txn: &Transaction<'_>, key: &AnswerKey, noted: &Noted, used: i64) -> rusqlite::Result<()> {
    let mut insert = txn.prepare_cached("INSERT INTO answer (key, facts, hash, size, used) VALUES (?, ?, ?, ?, ?)")?;
    insert.execute(params![key.0, noted.facts, noted.hash.as_bytes(), noted.size, used]).map(drop)
}

pub(super) fn delete(txn: &Transaction<'_>, key: &AnswerKey) -> rusqlite::Result<()> {
    txn.prepare_cached("DELETE FROM answer WHERE key = ?")?.execute([key.0]).map(drop)
}

pub(super) fn touch(txn: &Transaction<'_>, key: &AnswerKey, used: i64) -> rusqlite::Result<()> {
    txn.prepare_cached("UPDATE answer SET used = ? WHERE key = ?")?.execute(params![used, key.0]).map(drop)
}

pub(super) fn confirm(txn: &Transaction<'_>, key: &AnswerKey, facts: &str, used: i64) -> rusqlite::Result<()> {
    let mut update = txn.prepare_cached("UPDATE answer SET facts = ?, used = ? WHERE key = ?")?;
    update.execute(params![facts, used, key.0]).map(drop)
}

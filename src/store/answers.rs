//! Answers that were fetched before: a folder with one file for each body, and a database of its own that says whose.
//!
//! It is a cache, so nothing in it is worth an error of a job or a sync of the disk. It guarantees that a body it serves
//! is, byte for byte, the one that was put in: its hash is compared every time, and a body that is gone, cut or changed is
//! forgotten. The bodies of all answers and what is noted of them never take more than the given room, but for those that
//! are being put in at the moment. A database that is damaged or of another version is set aside, and the cache starts
//! anew. One process at a time may use a folder: whoever opens it holds the lock of the data folder.

mod database;
#[cfg(test)]
mod tests;

use crate::error::Fatal;
use crate::model::action::network::{AnswerCache, AnswerFacts, AnswerKey, CachedAnswer};
use crate::model::text;
use database::Noted;
use rusqlite::{Connection, Transaction};
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A body larger than this share of the room is not kept: it would drive out all others.
const SHARE: u64 = 4;
/// An answer whose facts are longer than this, in bytes as JSON, is not kept.
const FACTS_MAX: usize = 64 * 1024;
/// What an answer takes beside its body and its facts, in bytes.
const ROW: u64 = 1024;
/// A file takes whole blocks of the disk, in bytes.
const BLOCK: u64 = 4096;
/// Bytes that are read at once.
const PIECE: usize = 128 * 1024;
/// How the name of a file begins that is not whole yet.
const UNFINISHED: &str = "put-";

/// The answers in one folder.
pub struct Answers {
    dir: PathBuf,
    max: u64,
    inner: Mutex<Inner>,
}

struct Inner {
    conn: Connection,
    /// Bytes that all answers take, by [`row_cost`] and [`body_cost`].
    total: u64,
    /// Number of the last use; the order of uses is that of their numbers.
    uses: i64,
}

/// What a transaction changed; it counts once it is committed.
#[derive(Default)]
struct Change {
    added: u64,
    freed: u64,
    /// Bodies that no answer has any more.
    gone: Vec<blake3::Hash>,
}

impl Answers {
    /// Opens the cache in `dir`, which is made if it is not there, with room for `max_bytes`. A warning comes with it
    /// where the cache had to start anew.
    pub fn open(dir: &Path, max_bytes: u64) -> Result<(Self, Option<String>), Fatal> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| Fatal::io("create", dir, &e))?;
        // Answers hold what may only be read with a password; the folder may have been made by someone else.
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
            .map_err(|e| Fatal::io("set the mode of", dir, &e))?;
        let (conn, warning) = database::open(dir)?;
        let fault = |e: rusqlite::Error| Fatal::io("read", &dir.join(database::NAME), &io_error(&e));
        let (total, uses) = database::sums(&conn).map_err(fault)?;
        database::sweep(&conn, dir).map_err(fault)?;
        let answers = Self { dir: dir.to_owned(), max: max_bytes, inner: Mutex::new(Inner { conn, total, uses }) };
        answers.change(|_, _, _| Ok(())).map_err(|e| Fatal::io("make room in", dir, &e))?;
        Ok((answers, warning))
    }

    /// Bytes that all answers take now.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.lock().total
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, hash: &blake3::Hash) -> PathBuf {
        body_path(&self.dir, hash)
    }

    /// Changes the rows in one transaction, makes room, and removes the bodies that nobody has any more. Rows go first:
    /// what a crash leaves is a file too many, which the next start removes.
    fn change(&self, act: impl FnOnce(&Transaction<'_>, &mut Change, i64) -> rusqlite::Result<()>) -> io::Result<()> {
        let mut inner = self.lock();
        self.change_in(&mut inner, act)
    }

    /// The same for one that holds the lock.
    fn change_in(
        &self,
        inner: &mut Inner,
        act: impl FnOnce(&Transaction<'_>, &mut Change, i64) -> rusqlite::Result<()>,
    ) -> io::Result<()> {
        let (total, uses) = (inner.total, inner.uses + 1);
        let change = (|| {
            let txn = inner.conn.transaction()?;
            let mut change = Change::default();
            act(&txn, &mut change, uses)?;
            while (total + change.added).saturating_sub(change.freed) > self.max {
                let Some(oldest) = database::oldest(&txn)? else { break };
                remove(&txn, &oldest, &mut change)?;
            }
            txn.commit()?;
            Ok(change)
        })()
        .map_err(|e| io_error(&e))?;
        inner.total = (total + change.added).saturating_sub(change.freed);
        inner.uses = uses;
        for hash in &change.gone {
            // What cannot be removed now is removed at the next start.
            let _ = fs::remove_file(self.path(hash));
        }
        Ok(())
    }

    /// Forgets an answer whose body turned out to be wrong, if it still has that body.
    fn forget(&self, key: &AnswerKey, hash: &blake3::Hash) {
        // A row that cannot be removed is found wrong again.
        let _ = self.change(|txn, change, _| match database::find(txn, key)? {
            Some(noted) if noted.hash == *hash => remove(txn, key, change),
            _ => Ok(()),
        });
    }
}

impl AnswerCache for Answers {
    fn get(&self, key: &AnswerKey) -> Option<CachedAnswer> {
        let (noted, opened) = {
            let inner = self.lock();
            let noted = database::find(&inner.conn, key).ok().flatten()?;
            // Opened before another thread can remove it.
            let opened = open_body(&self.path(&noted.hash), noted.size);
            (noted, opened)
        };
        let facts: Option<AnswerFacts> = serde_json::from_str(&noted.facts).ok();
        let checked = match opened.and_then(|body| check(body, &noted)) {
            Ok(checked) => checked,
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => None,
            // Too many open files, for example: the answer may be sound.
            Err(_) => return None,
        };
        let (Some(body), Some(facts)) = (checked, facts) else {
            self.forget(key, &noted.hash);
            return None;
        };
        // An answer that is not noted as used only goes earlier.
        let _ = self.change(|txn, _, uses| database::touch(txn, key, uses));
        Some(CachedAnswer { facts, body, size: noted.size })
    }

    fn put(&self, key: &AnswerKey, facts: &AnswerFacts, body: &Path) -> io::Result<()> {
        let facts = serde_json::to_string(facts)?;
        let largest = self.max / SHARE;
        let mut source = File::open(body)?;
        let mut copied = None;
        if facts.len() <= FACTS_MAX && source.metadata()?.len() <= largest {
            let mut temp = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.dir)?;
            // One byte more than there may be: the file may have grown.
            let (hash, size) = hash_of(&mut (&mut source).take(largest.saturating_add(1)), temp.as_file_mut())?;
            copied = (size <= largest).then_some((temp, Noted { facts, hash, size }));
        }
        let Some((temp, noted)) = copied else {
            // The answer before is out of date all the same.
            return self.change(|txn, change, _| remove(txn, key, change));
        };
        let mut inner = self.lock();
        let path = self.path(&noted.hash);
        let folder = path.parent().unwrap_or(&self.dir);
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        self.change_in(&mut inner, |txn, change, uses| {
            remove(txn, key, change)?;
            if !database::has_body(txn, &noted.hash)? {
                change.added += body_cost(noted.size);
                change.gone.retain(|hash| *hash != noted.hash);
            }
            change.added += row_cost(noted.facts.len() as u64);
            database::insert(txn, key, &noted, uses)
        })?;
        if database::find(&inner.conn, key).map_err(|e| io_error(&e))?.is_none() {
            return Ok(()); // There is not even room for this one.
        }
        // In the place of one with the same content too: that one may be damaged.
        temp.persist(&path).map(drop).map_err(|e| {
            // A row that stays is found to have no body.
            let _ = self.change_in(&mut inner, |txn, change, _| remove(txn, key, change));
            e.error
        })
    }

    fn confirm(&self, key: &AnswerKey, facts: &AnswerFacts) -> io::Result<()> {
        let facts = serde_json::to_string(facts)?;
        self.change(|txn, change, uses| match database::find(txn, key)? {
            Some(_) if facts.len() > FACTS_MAX => remove(txn, key, change),
            Some(noted) => {
                change.freed += row_cost(noted.facts.len() as u64);
                change.added += row_cost(facts.len() as u64);
                database::confirm(txn, key, &facts, uses)
            }
            None => Ok(()),
        })
    }
}

/// Removes an answer, and its body unless another one has it too.
fn remove(txn: &Transaction<'_>, key: &AnswerKey, change: &mut Change) -> rusqlite::Result<()> {
    let Some(noted) = database::find(txn, key)? else { return Ok(()) };
    database::delete(txn, key)?;
    change.freed += row_cost(noted.facts.len() as u64);
    if !database::has_body(txn, &noted.hash)? {
        change.freed += body_cost(noted.size);
        change.gone.push(noted.hash);
    }
    Ok(())
}

/// What an answer takes whose facts have so many bytes.
fn row_cost(facts: u64) -> u64 {
    ROW + facts
}

/// What a body of this size takes.
fn body_cost(size: u64) -> u64 {
    size.div_ceil(BLOCK).max(1) * BLOCK
}

/// Where the body with this hash is.
fn body_path(dir: &Path, hash: &blake3::Hash) -> PathBuf {
    let hex = hash.to_hex();
    dir.join(&hex[..2]).join(&hex[2..])
}

/// Opens a body. What is not a file of the right size is an error of the kind `InvalidData`.
fn open_body(path: &Path, size: u64) -> io::Result<File> {
    let meta = fs::symlink_metadata(path)?;
    if !meta.is_file() || meta.len() != size {
        return Err(io::Error::from(ErrorKind::InvalidData));
    }
    File::open(path)
}

/// The body at its beginning, if its content is the one that was put in.
fn check(mut body: File, noted: &Noted) -> io::Result<Option<File>> {
    let found = hash_of(&mut (&mut body).take(noted.size.saturating_add(1)), &mut io::sink())?;
    body.rewind()?;
    Ok((found == (noted.hash, noted.size)).then_some(body))
}

/// Copies to the end; answers what the content is.
fn hash_of(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<(blake3::Hash, u64)> {
    let mut hash = blake3::Hasher::new();
    let mut piece = vec![0; PIECE];
    let mut size = 0;
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok((hash.finalize(), size)),
            Ok(n) => {
                hash.update(&piece[..n]);
                to.write_all(&piece[..n])?;
                size += n as u64;
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

fn io_error(error: &rusqlite::Error) -> io::Error {
    io::Error::other(format!("the cache of answers: {}", text::escape(&error.to_string())))
}

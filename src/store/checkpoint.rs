//! Where a job that is cut off may go on: one row for a job, written by the attempt that runs it, gone with the decision
//! that ends it.

use super::query::Queries;
use super::rows::{signed, unsigned};
use super::txn::Txn;
use crate::model::job::{Facts, KeptFile};
use crate::model::ledger::{Checkpoint, StoreError};
use crate::model::{JobId, Millis, OnExists};
use rusqlite::{Connection, OptionalExtension, Row};
use std::path::PathBuf;

/// The files of a checkpoint as JSON: `[temporary path, final path, what becomes of it if that is taken]`.
fn files_json(files: &[KeptFile]) -> String {
    let word = |on_exists| OnExists::WORDS.iter().find(|(_, w)| *w == on_exists).map_or("", |(word, _)| *word);
    let list = files.iter().map(|f| {
        let path = super::operate::path_json;
        serde_json::json!([path(&f.temp), path(&f.target), word(f.on_exists)])
    });
    serde_json::Value::from(list.collect::<Vec<_>>()).to_string()
}

/// The files of [`files_json`]; none if any of it cannot be read, for half of them lead nowhere.
pub(super) fn files_from_json(json: &str) -> Option<Vec<KeptFile>> {
    let list: Vec<(serde_json::Value, serde_json::Value, String)> = serde_json::from_str(json).ok()?;
    let file = |(temp, target, word): (serde_json::Value, serde_json::Value, String)| {
        let path = super::operate::path_from_json;
        let on_exists = OnExists::WORDS.iter().find(|(w, _)| *w == word).map(|(_, on_exists)| *on_exists);
        Some(KeptFile { temp: path(temp)?, target: path(target)?, on_exists: on_exists? })
    };
    list.into_iter().map(file).collect()
}

impl Txn<'_> {
    /// Notes how far the outputs of an attempt are; answers whether it is still the attempt of its job.
    pub(super) fn checkpoint(
        &mut self,
        job: JobId,
        attempt: i64,
        c: &Checkpoint,
        now: Millis,
    ) -> Result<bool, StoreError> {
        if !self.is_running(job, attempt)? {
            return Ok(false);
        }
        self.sql(
            "INSERT OR REPLACE INTO checkpoint(job, attempt, config_hash, ino, size, mtime_ns, files, state, at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute((
            job,
            attempt,
            &c.config_hash,
            c.facts.map(|f| signed(f.ino)),
            c.facts.map(|f| signed(f.size)),
            c.facts.map(|f| f.mtime_ns),
            files_json(&c.files),
            &c.state,
            now,
        ))?;
        Ok(true)
    }

    /// Forgets the checkpoint of a job, for the attempt that runs it; answers whether it is still that attempt.
    pub(super) fn forget(&mut self, job: JobId, attempt: i64) -> Result<bool, StoreError> {
        let running = self.is_running(job, attempt)?;
        if running {
            self.forget_checkpoint(job)?;
        }
        Ok(running)
    }

    /// The job is over, or starts afresh.
    pub(super) fn forget_checkpoint(&self, job: JobId) -> Result<(), StoreError> {
        self.sql("DELETE FROM checkpoint WHERE job = ?1")?.execute([job])?;
        Ok(())
    }

    fn is_running(&self, job: JobId, attempt: i64) -> Result<bool, StoreError> {
        Ok(self
            .sql("SELECT 1 FROM job WHERE id = ?1 AND state = 2 AND attempt = ?2")?
            .query_row((job, attempt), |_| Ok(()))
            .optional()?
            .is_some())
    }

    /// The files that the checkpoint of a job leads to.
    pub(super) fn kept_files(&self, job: JobId) -> Result<Vec<KeptFile>, StoreError> {
        let json: Option<String> =
            self.sql("SELECT files FROM checkpoint WHERE job = ?1")?.query_row([job], |r| r.get(0)).optional()?;
        Ok(json.and_then(|json| files_from_json(&json)).unwrap_or_default())
    }
}

impl Queries {
    /// Where a job may go on, if it may.
    pub fn checkpoint(&self, job: JobId) -> Result<Option<Checkpoint>, StoreError> {
        self.with(|conn: &Connection| {
            conn.prepare_cached("SELECT config_hash, ino, size, mtime_ns, files, state FROM checkpoint WHERE job = ?1")?
                .query_row([job], checkpoint_row)
                .optional()
                .map(Option::flatten)
        })
    }

    /// Every temporary file that a checkpoint leads to.
    pub fn kept(&self) -> Result<Vec<PathBuf>, StoreError> {
        self.with(|conn| {
            let mut all = conn.prepare_cached("SELECT files FROM checkpoint")?;
            let rows = all.query_map([], |r| r.get::<_, String>(0))?;
            let mut out = Vec::new();
            for json in rows {
                out.extend(files_from_json(&json?).unwrap_or_default().into_iter().map(|f| f.temp));
            }
            Ok(out)
        })
    }
}

/// None for one that cannot be read: it leads nowhere.
fn checkpoint_row(r: &Row<'_>) -> rusqlite::Result<Option<Checkpoint>> {
    let ino: Option<i64> = r.get(1)?;
    let facts = match ino {
        None => None,
        Some(ino) => {
            let size: i64 = r.get(2)?;
            Some(Facts { ino: unsigned(ino), size: unsigned(size), mtime_ns: r.get(3)?, ..Facts::default() })
        }
    };
    let files: String = r.get(4)?;
    let Some(files) = files_from_json(&files) else { return Ok(None) };
    Ok(Some(Checkpoint { config_hash: r.get(0)?, facts, files, state: r.get(5)? }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    #[test]
    fn files_are_read_back_whatever_their_names() {
        let odd = PathBuf::from(OsString::from_vec(b"/out/\xff\" ]\n.csv".to_vec()));
        let file = |target: PathBuf, on_exists| KeptFile { temp: "/out/.sb-1-1-0.part".into(), target, on_exists };
        let files = vec![
            file(odd, OnExists::Suffix),
            file("/out/주문.csv".into(), OnExists::Fail),
            file("/out/a".into(), OnExists::Replace),
        ];
        assert_eq!(files_from_json(&files_json(&files)), Some(files));
        for bad in ["", "[[1,2,3]]", "[[\"/a\",\"/b\",\"later\"]]", "[[\"/a\",\"/b\"]]"] {
            assert_eq!(files_from_json(bad), None, "{bad}");
        }
    }
}

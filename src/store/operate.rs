//! Operator actions: who, when, why; and the facts that they are decided on.

use super::rows::{FAILED, RECORD, blob, job_file, path};
use super::txn::Txn;
use crate::model::job::JobKind;
use crate::model::ledger::{JobFacts, LaneHint, Operator, StoreError};
use crate::model::view::{Done, Refused};
use crate::model::{Failure, JobId, JobState, Millis};
use rusqlite::OptionalExtension;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Folders as JSON: text where they are UTF-8, arrays of bytes where not.
pub(super) fn paths_json(paths: &[PathBuf]) -> String {
    serde_json::Value::from(paths.iter().map(|p| path_json(p)).collect::<Vec<_>>()).to_string()
}

/// A path as JSON: text where it is UTF-8, an array of bytes where not.
pub(super) fn path_json(path: &Path) -> serde_json::Value {
    match path.to_str() {
        Some(text) => serde_json::Value::from(text),
        None => serde_json::Value::from(blob(path).to_vec()),
    }
}

/// The path of [`path_json`].
pub(super) fn path_from_json(value: serde_json::Value) -> Option<PathBuf> {
    match value {
        serde_json::Value::String(s) => Some(PathBuf::from(s)),
        serde_json::Value::Array(bytes) => {
            let bytes = bytes.iter().filter_map(|b| b.as_u64().and_then(|b| u8::try_from(b).ok())).collect();
            Some(PathBuf::from(OsString::from_vec(bytes)))
        }
        _ => None,
    }
}

/// The folders of [`paths_json`]; what cannot be read is left out.
pub(super) fn paths_from_json(json: &str) -> Vec<PathBuf> {
    let list: Vec<serde_json::Value> = serde_json::from_str(json).unwrap_or_default();
    list.into_iter().filter_map(path_from_json).collect()
}

/// Why an action is not done to a job in this state.
pub(super) fn refusal(kind: &str, state: JobState) -> String {
    match (kind, state) {
        (_, JobState::Placing) => "already decided".into(),
        ("cancel", JobState::Failed) => "it has failed: retry or skip it".into(),
        ("skip", JobState::Running) => "it is running: cancel it first".into(),
        ("retry", JobState::Running | JobState::Queued) => format!("already {state}"),
        (_, JobState::Skipped | JobState::Cancelled | JobState::Succeeded) => format!("already {state}"),
        _ => format!("it is {state}"),
    }
}

impl Txn<'_> {
    /// Records what an operator does.
    pub(super) fn record(
        &mut self,
        kind: &str,
        by: &Operator,
        filter: Option<&str>,
        jobs: &[JobId],
    ) -> Result<i64, StoreError> {
        let rev = self.state.rev;
        self.sql("INSERT INTO action(at, uid, kind, filter, as_of_rev, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
            .execute((by.at, by.uid, kind, filter, rev, by.reason.as_deref()))?;
        let action = self.last_id();
        for &job in jobs {
            self.link(action, job)?;
        }
        Ok(action)
    }

    /// Notes that an action was done to a job.
    pub(super) fn link(&self, action: i64, job: JobId) -> Result<(), StoreError> {
        self.sql("INSERT OR IGNORE INTO action_job(job, action) VALUES (?1, ?2)")?.execute((job, action))?;
        Ok(())
    }

    /// The facts of some jobs.
    pub(super) fn facts(&self, jobs: &[JobId]) -> Result<Vec<JobFacts>, StoreError> {
        let mut select = self.sql(
            "SELECT j.id, j.run, j.task, j.state, j.rev, j.attempt, j.spent, j.ordinal, r.planned_at, j.input_label,
                    (SELECT path FROM job_file WHERE job = j.id AND dir = ?2 AND ord = 0),
                    (SELECT path FROM job_file WHERE job = j.id AND dir = ?3 AND ord = 0),
                    (SELECT error FROM attempt WHERE job = j.id AND n = j.attempt),
                    f.root, f.path, f.name, f.dev, f.ino, f.size, f.mtime_ns, j.kind, j.lane
             FROM job j JOIN run r ON r.id = j.run LEFT JOIN job_file f ON f.job = j.id AND f.dir = 0 AND f.ord = 0 WHERE j.id = ?1",
        )?;
        let mut out = Vec::new();
        for job in jobs {
            let row = select
                .query_row((job, FAILED, RECORD), |r| {
                    let error: Option<String> = r.get(12)?;
                    Ok(JobFacts {
                        job: r.get(0)?,
                        run: r.get(1)?,
                        task: self.task_name(r.get(2)?),
                        state: r.get(3)?,
                        rev: r.get(4)?,
                        attempt: r.get(5)?,
                        spent: r.get(6)?,
                        ordinal: r.get(7)?,
                        planned_at: r.get(8)?,
                        label: r.get(9)?,
                        failed_at: r.get::<_, Option<Vec<u8>>>(10)?.map(path),
                        record_at: r.get::<_, Option<Vec<u8>>>(11)?.map(path),
                        failure: error.and_then(|e| serde_json::from_str::<Failure>(&e).ok()),
                        kept: Vec::new(),
                        file: job_file(r, 13)?,
                        kind: JobKind::from_code(r.get(20)?).unwrap_or_default(),
                        lane: r.get::<_, String>(21)?.into(),
                    })
                })
                .optional()?;
            if let Some(mut facts) = row {
                facts.kept = self.kept_files(*job)?;
                out.push(facts);
            }
        }
        Ok(out)
    }

    /// Failed and waiting jobs go back into the queue, with a fresh budget. A revision of 0 fits any.
    pub(super) fn retry(
        &mut self,
        action: i64,
        jobs: &[(JobId, i64)],
        now: Millis,
    ) -> Result<(Done, Vec<LaneHint>), StoreError> {
        let mut done = Done::default();
        let mut tasks = Vec::new();
        for &(job, as_of) in jobs {
            let row = self
                .sql("SELECT task, state, spent, rev, cause FROM job WHERE id = ?1")?
                .query_row([job], |r| {
                    Ok((
                        r.get::<_, i64>(0)?,
                        r.get::<_, JobState>(1)?,
                        r.get::<_, u32>(2)?,
                        r.get::<_, i64>(3)?,
                        r.get(4)?,
                    ))
                })
                .optional()?;
            let refuse = |reason: String| Refused { id: job, reason };
            let Some((task, state, spent, rev, cause)) = row else {
                done.refused.push(refuse("no such job".into()));
                continue;
            };
            if as_of != 0 && rev != as_of {
                done.refused.push(refuse("it changed since".into()));
                continue;
            }
            if !matches!(state, JobState::Failed | JobState::Waiting) {
                done.refused.push(refuse(refusal("retry", state)));
                continue;
            }
            if state == JobState::Failed && self.file_is_taken(job)? {
                done.refused.push(refuse("another job has its file".into()));
                continue;
            }
            self.requeue(job, state, cause, now)?;
            self.link(action, job)?;
            self.moved(task, (state, spent), (JobState::Queued, 0));
            tasks.push(task);
            done.done.push(job);
        }
        self.note_action(action, &done)?;
        Ok((done, self.hints(tasks)?))
    }

    /// Whether a live job works on the file that a retry of this job would take: its name was used again, and the file
    /// system gave the new file the old inode.
    fn file_is_taken(&self, job: JobId) -> Result<bool, StoreError> {
        let other = self
            .sql(
                "SELECT 1 FROM job_file f JOIN job_file o ON o.root = f.root AND o.ino = f.ino AND o.live = 1 AND o.dir = 0
                   AND o.path = coalesce((SELECT path FROM job_file WHERE job = ?1 AND dir = ?2 AND ord = 0), f.path)
                 WHERE f.job = ?1 AND f.dir = 0 AND f.ord = 0 AND o.job <> ?1",
            )?
            .query_row((job, FAILED), |_| Ok(()))
            .optional()?;
        Ok(other.is_some())
    }

    fn requeue(&mut self, job: JobId, state: JobState, cause: Option<i64>, now: Millis) -> Result<(), StoreError> {
        if state == JobState::Failed {
            self.close_cause(cause)?;
            self.reopen_run(job)?;
            // The file is where the failure left it; the claim takes it from there. Where it landed is kept beside it.
            self.sql(
                "INSERT OR IGNORE INTO job_file(job, dir, ord, root, path, name, live, dev, ino, size, mtime_ns, at)
                 SELECT job, dir, 1, root, path, name, 0, dev, ino, size, mtime_ns, ?2 FROM job_file WHERE job = ?1 AND dir = 0 AND ord = 0",
            )?
            .execute((job, now))?;
            self.sql(
                "UPDATE job_file SET live = 1,
                   path = coalesce((SELECT p.path FROM job_file p WHERE p.job = ?1 AND p.dir = ?2 AND p.ord = 0), path)
                 WHERE job = ?1 AND dir = 0 AND ord = 0",
            )?
            .execute((job, FAILED))?;
        }
        let rev = self.bump();
        self.sql(
            "UPDATE job SET state = 1, rank = 3, spent = 0, not_before = NULL, held = NULL, outcome = NULL, again = coalesce(cause, again),
                    cause = NULL, reason = NULL, finished_at = NULL, cancel_action = NULL, keeps_file = 0, rev = ?2 WHERE id = ?1",
        )?
        .execute((job, rev))?;
        Ok(())
    }

    /// Marks running jobs for cancel.
    pub(super) fn mark_cancel(&mut self, action: i64, jobs: &[JobId]) -> Result<Done, StoreError> {
        let mut done = Done::default();
        for &job in jobs {
            let state: Option<JobState> =
                self.sql("SELECT state FROM job WHERE id = ?1")?.query_row([job], |r| r.get(0)).optional()?;
            match state {
                Some(JobState::Running) => {
                    let rev = self.bump();
                    // The first cancel stands; another one changes nothing.
                    self.sql("UPDATE job SET cancel_action = coalesce(cancel_action, ?2), rev = ?3 WHERE id = ?1")?
                        .execute((job, action, rev))?;
                    self.link(action, job)?;
                    done.done.push(job);
                }
                Some(state) => done.refused.push(Refused { id: job, reason: refusal("cancel", state) }),
                None => done.refused.push(Refused { id: job, reason: "no such job".into() }),
            }
        }
        self.note_action(action, &done)?;
        Ok(done)
    }

    fn note_action(&self, action: i64, done: &Done) -> Result<(), StoreError> {
        self.sql("UPDATE action SET done = done + ?2, refused = refused + ?3, state = 1 WHERE id = ?1")?.execute((
            action,
            done.done.len(),
            done.refused.len(),
        ))?;
        Ok(())
    }

    /// Writes a row that says nothing else than that it could be written.
    pub(super) fn probe(&self, now: Millis) -> Result<(), StoreError> {
        self.sql("INSERT INTO meta(key, value) VALUES ('probed_at', ?1) ON CONFLICT DO UPDATE SET value = ?1")?
            .execute([now])?;
        Ok(())
    }

    /// Pauses or resumes a task, or everything with the empty name.
    pub(super) fn set_paused(&mut self, task: &str, by: &Operator, paused: bool) -> Result<(), StoreError> {
        let kind = if paused { "pause" } else { "resume" };
        let about = if task.is_empty() { None } else { Some(task) };
        self.record(kind, by, about, &[])?;
        let (uid, at) = if paused { (Some(by.uid), Some(by.at)) } else { (None, None) };
        if task.is_empty() {
            for (key, value) in [("paused_by", uid.map(i64::from)), ("paused_at", at.map(|t| t.0))] {
                self.sql("INSERT INTO meta(key, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2")?
                    .execute((key, value))?;
            }
        } else {
            let id = self.task_id(task)?;
            self.sql("UPDATE task SET paused_by = ?2, paused_at = ?3 WHERE id = ?1")?.execute((id, uid, at))?;
        }
        self.bump();
        Ok(())
    }
}

//! S1: what enters the queue. A second sight of a file that has a live job changes nothing.

use super::rows::{IN, OUT, amount, blob, signed};
use super::txn::Txn;
use crate::model::job::{JobKind, Landed};
use crate::model::ledger::{Landing, LaneHint, Operator, Start, StoreError};
use crate::model::{JobId, JobState, Millis, RunId, RunState};
use rusqlite::OptionalExtension;
use std::os::unix::ffi::OsStrExt;

/// Jobs of one name that are looked through for one that overtook a scan: only the newest can have.
const OVERTAKEN_MAX: i64 = 8;

/// The newest jobs that had a file of this name.
pub(super) const NEWEST: &str =
    "SELECT f.dir, f.ino, f.size, f.mtime_ns, j.state, j.finished_at FROM job_file f JOIN job j ON j.id = f.job
     WHERE f.root = ?1 AND f.path = ?2 ORDER BY f.job DESC LIMIT ?3";

/// A run to be inserted.
pub(super) struct NewRun<'a> {
    pub task: i64,
    pub trigger: &'a str,
    pub at: Millis,
    /// Jobs that are inserted with it.
    pub jobs: i64,
    /// What these are to it.
    pub kind: JobKind,
    pub upstream: Option<RunId>,
}

/// A job to be inserted.
pub(super) struct NewJob<'a> {
    pub run: RunId,
    pub ordinal: i64,
    pub task: i64,
    pub kind: JobKind,
    pub lane: &'a str,
    pub priority: i32,
    pub label: &'a [u8],
    pub bytes_in: Option<u64>,
    pub at: Millis,
}

impl NewRun<'_> {
    /// The state and the number of jobs that a run begins with. A plan is one of the open jobs, but none of those that the
    /// run is about.
    pub(super) const fn first(kind: JobKind, jobs: i64) -> (RunState, i64) {
        match kind {
            JobKind::Plan => (RunState::Expanding, 0),
            JobKind::Plain | JobKind::Item => (RunState::Open, jobs),
        }
    }
}

impl Txn<'_> {
    /// Lands a batch of files, each as a run of one.
    pub(super) fn land(&mut self, batch: &[Landed], now: Millis) -> Result<Landing, StoreError> {
        let mut landing = Landing::default();
        let mut tasks = Vec::new();
        for file in batch {
            let task = self.task_id(&file.task)?;
            if self.is_own_output(task, file)? {
                landing.own += 1;
                continue;
            }
            if self.sees_again(file)? || self.saw_too_late(file)? {
                landing.known += 1;
                continue;
            }
            let kind = self.first_kind(task);
            let run = self.insert_run(&NewRun { task, trigger: "watch", at: now, jobs: 1, kind, upstream: None })?;
            let label = file.root.join(&file.path);
            let job = self.insert_job(&NewJob {
                run,
                ordinal: 0,
                task,
                kind,
                lane: "",
                priority: file.priority,
                label: blob(&label),
                bytes_in: Some(file.facts.size),
                at: now,
            })?;
            self.insert_input(job, file, now)?;
            landing.new += 1;
            tasks.push(task);
        }
        landing.lanes = self.hints(tasks)?;
        Ok(landing)
    }

    /// Starts a task by hand: one run, one job a file, or `count` jobs without a file.
    pub(super) fn start(&mut self, start: &Start, by: &Operator) -> Result<(RunId, Vec<JobId>, LaneHint), StoreError> {
        let task = self.task_id(&start.task)?;
        let kind = if start.items.is_empty() { self.first_kind(task) } else { JobKind::Item };
        // A run without a job would never settle.
        let total = match kind {
            JobKind::Item => signed(start.items.len() as u64),
            _ if start.files.is_empty() => i64::from(start.count.max(1)),
            _ => signed(start.files.len() as u64),
        };
        let run = self.insert_run(&NewRun { task, trigger: "manual", at: by.at, jobs: total, kind, upstream: None })?;
        let mut jobs = Vec::new();
        for at in 0..total {
            let index = usize::try_from(at).unwrap_or(usize::MAX);
            let (file, item) = (start.files.get(index), start.items.get(index));
            let landed = file.map(|f| f.root.join(&f.path));
            let label = landed.as_deref().map_or(start.label.as_slice(), blob);
            let job = self.insert_job(&NewJob {
                run,
                ordinal: at + i64::from(kind == JobKind::Item),
                task,
                kind,
                lane: item.map_or("", |i| &i.lane),
                priority: start.priority,
                label: item.map_or(label, |i| i.input.as_bytes()),
                bytes_in: file.map(|f| f.facts.size),
                at: by.at,
            })?;
            if let Some(file) = file {
                self.insert_input(job, file, by.at)?;
            }
            jobs.push(job);
        }
        self.record("trigger", by, Some(&start.task), &jobs)?;
        Ok((run, jobs, self.hint(task)?))
    }

    /// Whether this task wrote that very file: a folder never eats what its own task wrote.
    fn is_own_output(&self, task: i64, file: &Landed) -> Result<bool, StoreError> {
        let absolute = file.root.join(&file.path);
        let found = self
            .sql(
                "SELECT 1 FROM job_file f JOIN job j ON j.id = f.job
                 WHERE f.path = ?1 AND f.root = x'' AND f.dir = ?2 AND f.ino = ?3 AND f.size = ?4 AND f.mtime_ns = ?5 AND j.task = ?6",
            )?
            .query_row(
                (blob(&absolute), OUT, signed(file.facts.ino), signed(file.facts.size), file.facts.mtime_ns, task),
                |_| Ok(()),
            )
            .optional()?;
        Ok(found.is_some())
    }

    /// Whether the file has a live job. The facts of one that still lies there are brought up to date; those of one at
    /// work come from its open handle, which knows better than a scan that looked before the claim.
    fn sees_again(&mut self, file: &Landed) -> Result<bool, StoreError> {
        let found = self
            .sql(
                "SELECT j.id, j.rank IN (2, 3) AND (f.size <> ?4 OR f.mtime_ns <> ?5 OR f.dev IS NOT ?6)
                 FROM job_file f JOIN job j ON j.id = f.job
                 WHERE f.root = ?1 AND f.path = ?2 AND f.ino = ?3 AND f.live = 1 AND f.dir = 0",
            )?
            .query_row(
                (
                    blob(&file.root),
                    blob(&file.path),
                    signed(file.facts.ino),
                    signed(file.facts.size),
                    file.facts.mtime_ns,
                    signed(file.facts.dev),
                ),
                |r| Ok((r.get::<_, JobId>(0)?, r.get::<_, bool>(1)?)),
            )
            .optional()?;
        let Some((job, changed)) = found else { return Ok(false) };
        if changed {
            let rev = self.bump();
            self.sql("UPDATE job_file SET size = ?2, mtime_ns = ?3, dev = ?4 WHERE job = ?1 AND dir = 0 AND ord = 0")?
                .execute((job, signed(file.facts.size), file.facts.mtime_ns, signed(file.facts.dev)))?;
            self.sql("UPDATE job SET bytes_in = ?2, rev = ?3 WHERE id = ?1")?.execute((
                job,
                amount(file.facts.size),
                rev,
            ))?;
        }
        Ok(true)
    }

    /// Whether a job still had the file when it was looked at, and let go of it since: whoever looked was overtaken. A
    /// file that is put back into its folder is looked at after that.
    fn saw_too_late(&self, file: &Landed) -> Result<bool, StoreError> {
        let mut newest = self.sql(NEWEST)?;
        let mut rows = newest.query((blob(&file.root), blob(&file.path), OVERTAKEN_MAX))?;
        while let Some(row) = rows.next()? {
            let facts = (signed(file.facts.ino), signed(file.facts.size), file.facts.mtime_ns);
            let is_same = row.get::<_, i64>(0)? == IN && (row.get(1)?, row.get(2)?, row.get(3)?) == facts;
            let state: JobState = row.get(4)?;
            let over: Option<Millis> = row.get(5)?;
            if is_same && (state == JobState::Placing || over.is_some_and(|at| at >= file.seen)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What the first job of a run of this task is to it.
    pub(super) fn first_kind(&self, task: i64) -> JobKind {
        let planned = self.state.tables.tasks.get(&task).is_some_and(|t| t.planned);
        if planned { JobKind::Plan } else { JobKind::Plain }
    }

    /// Inserts a run that is open, or that its plan is about to expand.
    pub(super) fn insert_run(&self, new: &NewRun<'_>) -> Result<RunId, StoreError> {
        let (state, total) = NewRun::first(new.kind, new.jobs);
        self.sql(
            "INSERT OR IGNORE INTO run(task, upstream, trigger, state, planned_at, started_at, total, open)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7) RETURNING id",
        )?
        .query_row((new.task, new.upstream, new.trigger, state.code(), new.at, total, new.jobs), |r| r.get(0))
        .optional()?
        .ok_or_else(|| StoreError::Fault("a run for this upstream run exists".into()))
    }

    /// Inserts the first job of a run that has no file.
    pub(super) fn insert_first(&mut self, run: RunId, task: i64, label: &str, at: Millis) -> Result<(), StoreError> {
        let kind = self.first_kind(task);
        let priority = self.state.tables.tasks.get(&task).map_or(0, |t| t.priority);
        let label = label.as_bytes();
        self.insert_job(&NewJob { run, ordinal: 0, task, kind, lane: "", priority, label, bytes_in: None, at })?;
        Ok(())
    }

    /// Inserts a queued job.
    pub(super) fn insert_job(&mut self, new: &NewJob<'_>) -> Result<JobId, StoreError> {
        let rev = self.bump();
        let max = self.state.tables.tasks.get(&new.task).map_or(1, |t| t.max_attempts);
        self.sql(
            "INSERT INTO job(run, ordinal, task, priority, state, rank, max_spent, input_label, rev, created_at, bytes_in, kind, lane)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .execute((
            new.run,
            new.ordinal,
            new.task,
            new.priority,
            JobState::Queued,
            JobState::Queued.rank(),
            max,
            new.label,
            rev,
            new.at,
            new.bytes_in.map(amount),
            new.kind.code(),
            new.lane,
        ))?;
        let job = JobId(self.last_id());
        self.entered(new.task, JobState::Queued);
        Ok(job)
    }

    fn insert_input(&self, job: JobId, file: &Landed, at: Millis) -> Result<(), StoreError> {
        let name = file.path.file_name().unwrap_or(file.path.as_os_str());
        self.sql(
            "INSERT INTO job_file(job, dir, ord, root, path, name, live, dev, ino, size, mtime_ns, at)
             VALUES (?1, ?2, 0, ?3, ?4, ?5, 1, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute((
            job,
            IN,
            blob(&file.root),
            blob(&file.path),
            name.as_bytes(),
            signed(file.facts.dev),
            signed(file.facts.ino),
            signed(file.facts.size),
            file.facts.mtime_ns,
            at,
        ))?;
        Ok(())
    }
}

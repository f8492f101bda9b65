//! What a start finds: jobs that were running or being placed when the last supervisor ended.

use super::rows::{job_file, move_row};
use super::writer::Txn;
use crate::model::job::{Claimed, Placing};
use crate::model::ledger::{Interrupted, Leftovers, LiveFile, StoreError};
use crate::model::{JobId, JobState, Millis, Outcome};
use std::time::Duration;

/// Deaths further apart than this do not count together.
const DEATH_WINDOW: Duration = Duration::from_secs(24 * 3600);

impl Txn<'_> {
    /// Registers this node and lists what earlier ones left behind.
    pub(super) fn recover(&mut self, node: &str, boot: &str, now: Millis) -> Result<Leftovers, StoreError> {
        self.sql("INSERT INTO node(name, boot, started_at) VALUES (?1, ?2, ?3)")?.execute((node, boot, now))?;
        self.state.node = self.last_id();
        let tasks: Vec<i64> = self.state.tasks.keys().copied().collect();
        let held: i64 = tasks
            .iter()
            .map(|&t| self.state.count(t, JobState::Queued.code()) + self.state.count(t, JobState::Waiting.code()))
            .sum();
        Ok(Leftovers {
            queued: u64::try_from(held).unwrap_or(0),
            running: self.interrupted(now)?,
            placing: self.placing()?,
        })
    }

    fn interrupted(&self, now: Millis) -> Result<Vec<Interrupted>, StoreError> {
        let mut select = self.sql(
            "SELECT j.id, j.run, j.ordinal, j.attempt, j.spent, j.input_label, r.planned_at, j.task, a.target_dirs, j.cancel_action,
                    (SELECT count(*) FROM attempt d WHERE d.job = j.id AND d.outcome = 'crashed' AND d.ended_at > ?1),
                    f.root, f.path, f.name, f.dev, f.ino, f.size, f.mtime_ns
             FROM job j JOIN run r ON r.id = j.run LEFT JOIN attempt a ON a.job = j.id AND a.n = j.attempt
             LEFT JOIN job_file f ON f.job = j.id AND f.dir = 0 AND f.ord = 0
             WHERE j.state = 2 ORDER BY j.id",
        )?;
        let rows = select.query_map([now.minus(DEATH_WINDOW)], |r| {
            let task: i64 = r.get(7)?;
            let dirs: Option<String> = r.get(8)?;
            Ok(Interrupted {
                claimed: Claimed {
                    job: r.get(0)?,
                    run: r.get(1)?,
                    task: self.task_name(task),
                    ordinal: r.get(2)?,
                    attempt: r.get(3)?,
                    spent: r.get(4)?,
                    label: r.get(5)?,
                    planned_at: r.get(6)?,
                    file: job_file(r, 11)?,
                    upstream: Vec::new(),
                },
                target_dirs: super::operate::paths_from_json(dirs.as_deref().unwrap_or("[]")),
                cancel_action: r.get(9)?,
                deaths: r.get::<_, u32>(10)? + 1,
            })
        })?;
        let found: Vec<Interrupted> = rows.collect::<rusqlite::Result<_>>()?;
        drop(select);
        for job in &found {
            self.sql(
                "UPDATE attempt SET ended_at = ?3, outcome = 'crashed', charged = 0 WHERE job = ?1 AND n = ?2 AND ended_at IS NULL",
            )?
            .execute((job.claimed.job, job.claimed.attempt, now))?;
        }
        Ok(found)
    }

    fn placing(&self) -> Result<Vec<Placing>, StoreError> {
        let mut select = self.sql(
            "SELECT j.id, j.attempt, j.outcome, f.root, f.path, f.name, f.dev, f.ino, f.size, f.mtime_ns
             FROM job j LEFT JOIN job_file f ON f.job = j.id AND f.dir = 0 AND f.ord = 0 WHERE j.state = 3 ORDER BY j.id",
        )?;
        let rows = select.query_map([], |r| {
            let state: JobState = r.get(2)?;
            Ok(Placing {
                job: r.get(0)?,
                attempt: r.get(1)?,
                outcome: Outcome::from_state(state).unwrap_or(Outcome::Failed),
                moves: Vec::new(),
                file: job_file(r, 3)?,
            })
        })?;
        let mut found: Vec<Placing> = rows.collect::<rusqlite::Result<_>>()?;
        let mut moves = self.sql("SELECT seq, src, dst, ino, kind FROM move WHERE job = ?1 ORDER BY seq")?;
        for job in &mut found {
            job.moves = moves.query_map([job.job], move_row)?.collect::<rusqlite::Result<_>>()?;
        }
        Ok(found)
    }

    /// Live jobs with files that wait or are queued, in the order of their number.
    pub(super) fn live_files(&self, after: JobId, limit: u32) -> Result<Vec<LiveFile>, StoreError> {
        let mut select = self.sql(
            "SELECT j.id, j.state, j.rev, f.root, f.path, f.name, f.dev, f.ino, f.size, f.mtime_ns
             FROM job j JOIN job_file f ON f.job = j.id AND f.dir = 0 AND f.ord = 0
             WHERE j.rank IN (2, 3) AND j.id > ?1 ORDER BY j.id LIMIT ?2",
        )?;
        let rows = select
            .query_map((after, limit), |r| Ok(job_file(r, 3)?.map(|file| (r.get(0), r.get(1), r.get(2), file))))?;
        let mut out = Vec::new();
        for row in rows {
            if let Some((job, state, rev, file)) = row? {
                out.push(LiveFile { job: job?, state: state?, rev: rev?, file });
            }
        }
        Ok(out)
    }
}

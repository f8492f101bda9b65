//! What a start finds: jobs that were running or being placed when the last supervisor ended.

use super::rows::{job_file, move_row};
use super::txn::Txn;
use crate::model::job::{Claimed, JobKind, Placing};
use crate::model::ledger::{Interrupted, Leftovers, LiveFile, StoreError};
use crate::model::{JobId, JobState, Millis, Outcome};
use rusqlite::OptionalExtension;
use std::sync::Arc;
use std::time::Duration;

/// Deaths further apart than this do not count together.
const DEATH_WINDOW: Duration = Duration::from_secs(24 * 3600);

/// The jobs at work, with their deaths before the present one. The present attempt is not counted, for it may have been
/// marked by a start that itself did not get far.
pub(super) const INTERRUPTED: &str =
    "SELECT j.id, j.run, j.ordinal, j.attempt, j.spent, j.input_label, r.planned_at, j.task, a.target_dirs, j.cancel_action,
            (SELECT count(*) FROM attempt d WHERE d.job = j.id AND d.n <> j.attempt AND d.outcome = 'crashed' AND d.ended_at > ?1),
            f.root, f.path, f.name, f.dev, f.ino, f.size, f.mtime_ns, j.kind, j.lane
     FROM job j JOIN run r ON r.id = j.run LEFT JOIN attempt a ON a.job = j.id AND a.n = j.attempt
     LEFT JOIN job_file f ON f.job = j.id AND f.dir = 0 AND f.ord = 0
     WHERE j.rank = 1 AND j.state = 2 ORDER BY j.id";
pub(super) const PLACING: &str =
    "SELECT j.id, j.attempt, j.outcome, f.root, f.path, f.name, f.dev, f.ino, f.size, f.mtime_ns
     FROM job j LEFT JOIN job_file f ON f.job = j.id AND f.dir = 0 AND f.ord = 0 WHERE j.rank = 1 AND j.state = 3 ORDER BY j.id";
pub(super) const LIVE_FILES: &str =
    "SELECT j.id, j.state, j.rev, f.root, f.path, f.name, f.dev, f.ino, f.size, f.mtime_ns
     FROM job j JOIN job_file f ON f.job = j.id AND f.dir = 0 AND f.ord = 0 AND f.live = 1
     WHERE j.rank = ?1 AND j.id > ?2 ORDER BY j.id LIMIT ?3";

impl Txn<'_> {
    /// Registers this node and lists what earlier ones left behind.
    pub(super) fn recover(&mut self, node: &str, boot: &str, now: Millis) -> Result<Leftovers, StoreError> {
        let node = self.register(node, boot, now)?;
        Arc::make_mut(&mut self.state.tables).node = node;
        let held = self.state.count_all(JobState::Queued.code()) + self.state.count_all(JobState::Waiting.code());
        Ok(Leftovers {
            queued: u64::try_from(held).unwrap_or(0),
            running: self.interrupted(now)?,
            placing: self.placing()?,
        })
    }

    /// The number of this node. One row serves all starts within one boot, so that a supervisor that is started again
    /// and again does not fill the table.
    fn register(&self, name: &str, boot: &str, now: Millis) -> Result<i64, StoreError> {
        let same = self
            .sql(
                "UPDATE node SET started_at = ?3 WHERE id = (SELECT max(id) FROM node) AND name = ?1 AND boot = ?2
                 RETURNING id",
            )?
            .query_row((name, boot, now), |r| r.get(0))
            .optional()?;
        match same {
            Some(id) => Ok(id),
            None => {
                self.sql("INSERT INTO node(name, boot, started_at) VALUES (?1, ?2, ?3)")?.execute((name, boot, now))?;
                Ok(self.last_id())
            }
        }
    }

    fn interrupted(&self, now: Millis) -> Result<Vec<Interrupted>, StoreError> {
        let mut select = self.sql(INTERRUPTED)?;
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
                    cancelled: r.get::<_, Option<i64>>(9)?.is_some(),
                    checkpoint: false,
                    kind: JobKind::from_code(r.get(18)?).unwrap_or_default(),
                    lane: r.get::<_, String>(19)?.into(),
                },
                kept: Vec::new(),
                target_dirs: super::operate::paths_from_json(dirs.as_deref().unwrap_or("[]")),
                cancel_action: r.get(9)?,
                deaths: r.get::<_, u32>(10)? + 1,
            })
        })?;
        let mut found: Vec<Interrupted> = rows.collect::<rusqlite::Result<_>>()?;
        drop(select);
        for job in &mut found {
            job.kept = self.kept_files(job.claimed.job)?;
            job.claimed.checkpoint = !job.kept.is_empty();
            self.sql(
                "UPDATE attempt SET ended_at = ?3, outcome = 'crashed', charged = 0 WHERE job = ?1 AND n = ?2 AND ended_at IS NULL",
            )?
            .execute((job.claimed.job, job.claimed.attempt, now))?;
        }
        Ok(found)
    }

    fn placing(&self) -> Result<Vec<Placing>, StoreError> {
        let mut select = self.sql(PLACING)?;
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
        let mut select = self.sql(LIVE_FILES)?;
        let mut out = Vec::new();
        // One rank at a time, so that the index gives them in order; together they would be sorted for every page.
        for rank in [JobState::Waiting.rank(), JobState::Queued.rank()] {
            let rows = select.query_map((rank, after, limit), |r| {
                let Some(file) = job_file(r, 3)? else { return Ok(None) };
                Ok(Some(LiveFile { job: r.get(0)?, state: r.get(1)?, rev: r.get(2)?, file }))
            })?;
            for row in rows {
                out.extend(row?);
            }
        }
        out.sort_unstable_by_key(|live| live.job);
        out.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(out)
    }
}

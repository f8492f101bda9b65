//! S2: jobs are claimed in batches, with the limits checked in the same transaction; and the ways back from a claim
//! that did not lead to an attempt.

use super::rows::{IN, OUT, blob, job_file, path, signed};
use super::txn::Txn;
use crate::model::job::{Claimed, JobFile, JobKind};
use crate::model::ledger::{Allow, Allowance, Claim, ClaimAnswer, LaneHint, StoreError};
use crate::model::{JobId, JobState, Millis, RunId};
use rusqlite::OptionalExtension;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

/// Most outputs of an upstream run handed to a job; `{inputs_file}` lists no more than this.
const UPSTREAM_MAX: i64 = 100_000;

/// Most lanes that one claim looks at; the next claim goes on behind them.
const LANES_MAX: u32 = 512;

/// Most waiting jobs queued in one operation, so that no commit takes long; the hint says that more are due.
pub(super) const DUE_MAX: i64 = 2000;

pub(super) const CANDIDATES: &str =
    "SELECT j.id, j.run, j.ordinal, j.attempt, j.spent, j.input_label, r.planned_at, r.upstream,
            f.root, f.path, f.name, f.dev, f.ino, f.size, f.mtime_ns, j.cancel_action IS NOT NULL,
            EXISTS (SELECT 1 FROM checkpoint c WHERE c.job = j.id), j.kind, j.lane
     FROM job j JOIN run r ON r.id = j.run LEFT JOIN job_file f ON f.job = j.id AND f.dir = 0 AND f.ord = 0
     WHERE j.task = ?1 AND j.lane = ?3 AND j.state = 1 ORDER BY j.priority DESC, j.id LIMIT ?2";
/// The lane of a task after this one, in the order of their names, that has a queued job.
pub(super) const NEXT_LANE: &str = "SELECT min(lane) FROM job WHERE task = ?1 AND state = 1 AND lane > ?2";
pub(super) const UPSTREAM: &str = "SELECT f.path FROM job j JOIN job_file f ON f.job = j.id AND f.dir = ?2
     WHERE j.run = ?1 AND j.state = 4 ORDER BY j.ordinal, f.ord LIMIT ?3";
pub(super) const PROMOTE: &str = "UPDATE job SET state = 1, rank = 3, not_before = NULL, held = NULL, rev = ?3
     WHERE id IN (SELECT id FROM job WHERE task = ?1 AND state = 0 AND not_before <= ?2 ORDER BY not_before LIMIT ?4)
     RETURNING spent";

impl Txn<'_> {
    /// Claims up to `max` jobs of a lane.
    pub(super) fn claim(&mut self, claim: &Claim) -> Result<ClaimAnswer, StoreError> {
        let task = self.task_id(&claim.task)?;
        let running = self.state.count(task, JobState::Running.code());
        let room = (i64::from(claim.running_limit) - running).clamp(0, i64::from(claim.max));
        let mut again = None;
        let mut jobs = match &claim.allow {
            None => {
                let jobs = self.candidates(task, "", room)?;
                let has_more = self.state.count(task, JobState::Queued.code()) > signed(jobs.len() as u64);
                // Left over from a time when the task had lanes.
                if i64::try_from(jobs.len()).unwrap_or(room) < room && has_more {
                    let any: Allow = Arc::new(|_| Allowance { jobs: u32::MAX, again: None });
                    self.by_lane(task, room, &any, &mut again)?
                } else {
                    jobs
                }
            }
            Some(allow) => self.by_lane(task, room, allow, &mut again)?,
        };
        for (claimed, upstream) in &mut jobs {
            // An item has its input in its label.
            if let Some(run) = upstream
                && claimed.kind != JobKind::Item
            {
                claimed.upstream = self.upstream_outputs(*run)?;
            }
            self.take(task, claimed, claim)?;
        }
        let jobs = jobs.into_iter().map(|(claimed, _)| claimed).collect();
        Ok(ClaimAnswer { jobs, again, lane: self.hint(task)? })
    }

    /// Jobs of several lanes, as many of each as may be claimed. Lanes take turns: the next claim begins behind the last
    /// one served. Jobs without a lane come first.
    fn by_lane(
        &mut self,
        task: i64,
        room: i64,
        allow: &Allow,
        again: &mut Option<Millis>,
    ) -> Result<Vec<(Claimed, Option<RunId>)>, StoreError> {
        let mut jobs = self.candidates(task, "", room)?;
        let begin = self.state.lane_of_turn(task);
        let (mut lane, mut is_round, mut looked) = (begin.clone(), false, 0);
        while i64::try_from(jobs.len()).unwrap_or(room) < room && looked < LANES_MAX {
            let next: Option<String> = self.sql(NEXT_LANE)?.query_row((task, &lane), |r| r.get(0))?;
            match next {
                // All the way round.
                None if is_round || begin.is_empty() => break,
                Some(next) if is_round && next > begin => break,
                None => (lane, is_round) = (String::new(), true),
                Some(next) => {
                    lane = next;
                    looked += 1;
                    let left = room - i64::try_from(jobs.len()).unwrap_or(room);
                    let allowed = allow(&lane);
                    *again = (*again).into_iter().chain(allowed.again).min();
                    if allowed.jobs > 0 {
                        jobs.extend(self.candidates(task, &lane, left.min(i64::from(allowed.jobs)))?);
                    }
                }
            }
        }
        self.state.turn(task, lane);
        Ok(jobs)
    }

    fn candidates(&self, task: i64, lane: &str, room: i64) -> Result<Vec<(Claimed, Option<RunId>)>, StoreError> {
        let name = self.task_name(task);
        let mut select = self.sql(CANDIDATES)?;
        let rows = select.query_map((task, room, lane), |r| {
            let claimed = Claimed {
                job: r.get(0)?,
                run: r.get(1)?,
                task: name.clone(),
                ordinal: r.get(2)?,
                attempt: r.get::<_, i64>(3)?.saturating_add(1),
                spent: r.get::<_, u32>(4)?.saturating_add(1),
                label: r.get(5)?,
                planned_at: r.get(6)?,
                file: job_file(r, 8)?,
                upstream: Vec::new(),
                cancelled: r.get(15)?,
                checkpoint: r.get(16)?,
                kind: JobKind::from_code(r.get(17)?).unwrap_or_default(),
                lane: r.get::<_, String>(18)?.into(),
            };
            Ok((claimed, r.get(7)?))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn take(&mut self, task: i64, claimed: &Claimed, claim: &Claim) -> Result<(), StoreError> {
        let plan = (claim.plan)(claimed);
        let rev = self.bump();
        let node = self.state.tables.node;
        self.sql(
            "UPDATE job SET state = 2, rank = 1, attempt = ?2, spent = ?3, owner = ?4, started_at = ?5, held = NULL, rev = ?6,
                            finished_at = NULL WHERE id = ?1 AND state = 1",
        )?
        .execute((claimed.job, claimed.attempt, claimed.spent, node, claim.now, rev))?;
        let dirs = super::operate::paths_json(&plan.target_dirs);
        self.sql(
            "INSERT INTO attempt(job, n, node, started_at, config_hash, work, target_dirs) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute((claimed.job, claimed.attempt, node, claim.now, plan.config_hash, blob(&plan.work), dirs))?;
        self.moved(task, (JobState::Queued, 0), (JobState::Running, 0));
        Ok(())
    }

    fn upstream_outputs(&self, run: RunId) -> Result<Vec<PathBuf>, StoreError> {
        let mut select = self.sql(UPSTREAM)?;
        let rows = select.query_map((run, OUT, UPSTREAM_MAX), |r| r.get(0).map(path))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Records what the file looks like now that it is ours.
    pub(super) fn refresh(&mut self, job: JobId, attempt: i64, file: &JobFile) -> Result<(), StoreError> {
        let running = self
            .sql("SELECT 1 FROM job WHERE id = ?1 AND state = 2 AND attempt = ?2")?
            .query_row((job, attempt), |_| Ok(()))
            .optional()?
            .is_some();
        if running {
            // Another job may have been recorded with this very file at this very place before it was moved. Then both
            // rows would be one file; the older facts do no harm, because the attempt works on its open handle.
            self.sql("UPDATE OR IGNORE job_file SET dev = ?3, ino = ?4, size = ?5, mtime_ns = ?6, name = ?7 WHERE job = ?1 AND dir = ?2 AND ord = 0")?
                .execute((
                    job,
                    IN,
                    signed(file.facts.dev),
                    signed(file.facts.ino),
                    signed(file.facts.size),
                    file.facts.mtime_ns,
                    file.name.as_bytes(),
                ))?;
        }
        Ok(())
    }

    /// Puts claimed jobs that never started back: the attempt's row goes, but its number is not used again.
    pub(super) fn put_back(&mut self, jobs: &[(JobId, i64)]) -> Result<Vec<LaneHint>, StoreError> {
        let mut tasks = Vec::new();
        for &(job, attempt) in jobs {
            let task: Option<i64> = self
                .sql(
                    "UPDATE job SET state = 1, rank = 3, spent = max(spent - 1, 0), owner = NULL, started_at = NULL, rev = ?3
                     WHERE id = ?1 AND state = 2 AND attempt = ?2 RETURNING task",
                )?
                .query_row((job, attempt, self.state.rev + 1), |r| r.get(0))
                .optional()?;
            let Some(task) = task else { continue };
            self.bump();
            self.sql(
                "UPDATE attempt SET ended_at = started_at, outcome = 'put_back', charged = 0 WHERE job = ?1 AND n = ?2",
            )?
            .execute((job, attempt))?;
            self.moved(task, (JobState::Running, 0), (JobState::Queued, 0));
            tasks.push(task);
        }
        self.hints(tasks)
    }

    /// Waiting jobs that are due become queued.
    pub(super) fn due(&mut self, now: Millis) -> Result<Vec<LaneHint>, StoreError> {
        let tasks: Vec<i64> = self
            .state
            .tables
            .tasks
            .keys()
            .copied()
            .filter(|&t| self.state.count(t, JobState::Waiting.code()) > 0)
            .collect();
        for &task in &tasks {
            let rev = self.state.rev + 1;
            let spent: Vec<u32> = {
                let mut update = self.sql(PROMOTE)?;
                let rows = update.query_map((task, now, rev, DUE_MAX), |r| r.get(0))?;
                rows.collect::<rusqlite::Result<_>>()?
            };
            if !spent.is_empty() {
                self.bump();
            }
            for spent in spent {
                self.moved(task, (JobState::Waiting, spent), (JobState::Queued, spent));
            }
        }
        self.hints(tasks)
    }
}

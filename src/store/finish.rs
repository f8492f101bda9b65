//! S9: everything is in its place. Counts, the run and what follows it change in the same commit.

use super::land::NewJob;
use super::rows::unsigned;
use super::txn::Txn;
use crate::model::ledger::{FinishAnswer, Over, StoreError};
use crate::model::{AfterOn, JobId, JobState, Millis, RunId, RunState};
use rusqlite::OptionalExtension;

/// The counters of a run after a job of it was over.
struct Tally {
    run: RunId,
    task: i64,
    open: i64,
    total: i64,
    ok: i64,
    failed: i64,
    skipped: i64,
}

impl Tally {
    fn state(&self) -> RunState {
        let cancelled = self.total - self.ok - self.failed - self.skipped;
        if self.ok == self.total {
            RunState::Succeeded
        } else if self.failed == self.total {
            RunState::Failed
        } else if self.skipped == self.total {
            RunState::Skipped
        } else if cancelled == self.total {
            RunState::Cancelled
        } else {
            RunState::Partial
        }
    }

    fn meets(&self, on: AfterOn) -> bool {
        match on {
            AfterOn::AllOk => self.ok == self.total,
            AfterOn::AnyOk => self.ok > 0,
            AfterOn::Failed => self.failed > 0,
            AfterOn::Any => true,
        }
    }
}

impl Txn<'_> {
    /// Finishes a batch of placing jobs; those that are not placing are left out of the answer.
    pub(super) fn finish(&mut self, jobs: &[JobId], now: Millis) -> Result<FinishAnswer, StoreError> {
        let mut answer = FinishAnswer::default();
        let mut tasks = Vec::new();
        for &job in jobs {
            if let Some((over, started)) = self.finish_one(job, now)? {
                answer.over.push(over);
                tasks.extend(started);
            }
        }
        answer.lanes = self.hints(tasks)?;
        Ok(answer)
    }

    /// Finishes one job; answers it and the tasks that got follow-on work.
    pub(super) fn finish_one(&mut self, job: JobId, now: Millis) -> Result<Option<(Over, Vec<i64>)>, StoreError> {
        let row = self
            .sql(
                "UPDATE job SET state = outcome, rank = CASE outcome WHEN 5 THEN 0 ELSE 4 END, finished_at = ?2, owner = NULL,
                        cancel_action = NULL, rev = ?3
                 WHERE id = ?1 AND state = 3 RETURNING task, outcome, spent, run, bytes_in, bytes_out",
            )?
            .query_row((job, now, self.state.rev + 1), |r| {
                let sizes: [Option<i64>; 2] = [r.get(4)?, r.get(5)?];
                let bytes = sizes.into_iter().flatten().fold(0_u64, |sum, n| sum.saturating_add(unsigned(n)));
                Ok((r.get::<_, i64>(0)?, r.get::<_, JobState>(1)?, r.get::<_, u32>(2)?, r.get::<_, RunId>(3)?, bytes))
            })
            .optional()?;
        let Some((task, state, spent, run, bytes)) = row else { return Ok(None) };
        self.bump();
        self.sql("DELETE FROM move WHERE job = ?1")?.execute([job])?;
        self.moved(task, (JobState::Placing, spent), (state, spent));
        let started = self.settle_run(run, state, now)?;
        let over = Over { job, task: self.task_name(task), state, bytes };
        Ok(Some((over, started)))
    }

    fn settle_run(&mut self, run: RunId, state: JobState, now: Millis) -> Result<Vec<i64>, StoreError> {
        let one = |s: JobState| i64::from(state == s);
        let tally = self
            .sql(
                "UPDATE run SET open = max(open - 1, 0), ok = ok + ?2, failed = failed + ?3, skipped = skipped + ?4 WHERE id = ?1
                 RETURNING task, open, total, ok, failed, skipped",
            )?
            .query_row((run, one(JobState::Succeeded), one(JobState::Failed), one(JobState::Skipped)), |r| {
                Ok(Tally {
                    run,
                    task: r.get(0)?,
                    open: r.get(1)?,
                    total: r.get(2)?,
                    ok: r.get(3)?,
                    failed: r.get(4)?,
                    skipped: r.get(5)?,
                })
            })
            .optional()?;
        let Some(tally) = tally else { return Ok(Vec::new()) };
        if tally.open > 0 {
            return Ok(Vec::new());
        }
        self.sql("UPDATE run SET state = ?2, settled_at = ?3 WHERE id = ?1")?.execute((
            run,
            tally.state().code(),
            now,
        ))?;
        self.start_followers(&tally, now)
    }

    /// Starts the tasks that run after this one, once per upstream run: at the first settle that meets their condition.
    fn start_followers(&mut self, tally: &Tally, now: Millis) -> Result<Vec<i64>, StoreError> {
        let followers = self.state.tables.after.get(&tally.task).cloned().unwrap_or_default();
        let mut started = Vec::new();
        for (task, on) in followers {
            if !tally.meets(on) {
                continue;
            }
            let fired = self
                .sql("SELECT 1 FROM run WHERE upstream = ?1 AND task = ?2")?
                .query_row((tally.run, task), |_| Ok(()))
                .optional()?
                .is_some();
            if fired {
                continue;
            }
            let run = self.insert_run(task, "after", now, 1, Some(tally.run))?;
            let priority = self.state.tables.tasks.get(&task).map_or(0, |t| t.priority);
            let label = format!("after {} run {}", self.task_name(tally.task), tally.run);
            self.insert_job(&NewJob {
                run,
                ordinal: 0,
                task,
                priority,
                label: label.as_bytes(),
                bytes_in: None,
                at: now,
            })?;
            started.push(task);
        }
        Ok(started)
    }
}

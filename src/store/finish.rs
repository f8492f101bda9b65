//! S9: everything is in its place. Counts, the run and what follows it change in the same commit.

use super::land::NewRun;
use super::rows::unsigned;
use super::txn::Txn;
use crate::model::job::JobKind;
use crate::model::ledger::{FinishAnswer, Over, Settled, StoreError};
use crate::model::{AfterOn, JobId, JobState, Millis, RunId, RunState};
use rusqlite::OptionalExtension;
use std::collections::BTreeMap;

/// The counters of a run after a job of it was over.
struct Tally {
    run: RunId,
    task: i64,
    open: i64,
    total: i64,
    ok: i64,
    failed: i64,
    skipped: i64,
    /// Whether it is about a file that landed.
    is_file: bool,
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

/// What one job that is over, or several of one run, mean for the counters of the run.
#[derive(Default)]
struct Delta {
    closed: i64,
    ok: i64,
    failed: i64,
    skipped: i64,
    /// Plans that did not do their work: they are jobs that the run is about after all.
    more: i64,
    /// Whether the plan of the run is among them.
    planned: bool,
}

impl Delta {
    /// A plan that did its work is none of the jobs that its run is about; one that did not is.
    fn add(&mut self, kind: JobKind, state: JobState) {
        let is_plan = kind == JobKind::Plan;
        let one = |s: JobState| i64::from(state == s && !(is_plan && s == JobState::Succeeded));
        self.closed += 1;
        self.ok += one(JobState::Succeeded);
        self.failed += one(JobState::Failed);
        self.skipped += one(JobState::Skipped);
        self.more += i64::from(is_plan && state != JobState::Succeeded);
        self.planned |= is_plan;
    }
}

/// A job that was put into its final state, and what its run does not know yet.
struct Ended {
    over: Over,
    run: RunId,
    kind: JobKind,
}

impl Txn<'_> {
    /// Finishes a batch of placing jobs; those that are not placing are left out of the answer. A run is touched once,
    /// however many of its jobs are among them.
    pub(super) fn finish(&mut self, jobs: &[JobId], now: Millis) -> Result<FinishAnswer, StoreError> {
        let mut answer = FinishAnswer::default();
        let mut runs: BTreeMap<RunId, Delta> = BTreeMap::new();
        for &job in jobs {
            if let Some(ended) = self.end(job, now)? {
                runs.entry(ended.run).or_default().add(ended.kind, ended.over.state);
                answer.over.push(ended.over);
            }
        }
        let mut tasks = Vec::new();
        for (run, delta) in runs {
            let (settled, started) = self.settle_run(run, &delta, now)?;
            answer.settled.extend(settled);
            tasks.extend(started);
        }
        answer.lanes = self.hints(tasks)?;
        Ok(answer)
    }

    /// Finishes one job, its run if it was the last of it, and starts what follows the run. Answers with the run, if it
    /// has settled, and the tasks that got follow-on work.
    pub(super) fn finish_one(&mut self, job: JobId, now: Millis) -> Result<(Option<Settled>, Vec<i64>), StoreError> {
        let Some(ended) = self.end(job, now)? else { return Ok((None, Vec::new())) };
        let mut delta = Delta::default();
        delta.add(ended.kind, ended.over.state);
        self.settle_run(ended.run, &delta, now)
    }

    /// Puts a placing job into its final state.
    fn end(&mut self, job: JobId, now: Millis) -> Result<Option<Ended>, StoreError> {
        // Looked up first: what an update returns costs more than the update.
        let row = self
            .sql("SELECT task, outcome, spent, run, bytes_in, bytes_out, kind FROM job WHERE id = ?1 AND state = 3")?
            .query_row([job], |r| {
                let sizes: [Option<i64>; 2] = [r.get(4)?, r.get(5)?];
                let bytes = sizes.into_iter().flatten().fold(0_u64, |sum, n| sum.saturating_add(unsigned(n)));
                let kind = JobKind::from_code(r.get(6)?).unwrap_or_default();
                let run: RunId = r.get(3)?;
                Ok((r.get::<_, i64>(0)?, r.get::<_, JobState>(1)?, r.get::<_, u32>(2)?, run, bytes, kind))
            })
            .optional()?;
        let Some((task, state, spent, run, bytes, kind)) = row else { return Ok(None) };
        let rev = self.bump();
        self.sql(
            "UPDATE job SET state = outcome, rank = CASE outcome WHEN 5 THEN 0 ELSE 4 END, finished_at = ?2, owner = NULL,
                    cancel_action = NULL, rev = ?3 WHERE id = ?1",
        )?
        .execute((job, now, rev))?;
        self.sql("DELETE FROM move WHERE job = ?1")?.execute([job])?;
        self.moved(task, (JobState::Placing, spent), (state, spent));
        Ok(Some(Ended { over: Over { job, task: self.task_name(task), state, bytes }, run, kind }))
    }

    /// Counts what is over, and settles the run if that was the last of it.
    fn settle_run(
        &mut self,
        run: RunId,
        delta: &Delta,
        now: Millis,
    ) -> Result<(Option<Settled>, Vec<i64>), StoreError> {
        let tally = self
            .sql(
                "UPDATE run SET open = max(open - ?7, 0), ok = ok + ?2, failed = failed + ?3, skipped = skipped + ?4, total = total + ?5,
                   state = CASE WHEN state = 1 AND ?6 THEN 2 ELSE state END WHERE id = ?1
                 RETURNING task, open, total, ok, failed, skipped, trigger = 'watch'",
            )?
            .query_row((run, delta.ok, delta.failed, delta.skipped, delta.more, delta.planned, delta.closed), |r| {
                Ok(Tally {
                    run,
                    task: r.get(0)?,
                    open: r.get(1)?,
                    total: r.get(2)?,
                    ok: r.get(3)?,
                    failed: r.get(4)?,
                    skipped: r.get(5)?,
                    is_file: r.get(6)?,
                })
            })
            .optional()?;
        let Some(tally) = tally.filter(|t| t.open == 0) else { return Ok((None, Vec::new())) };
        // Of a run that was left out as a whole, the reason is that of its job.
        self.sql(
            "UPDATE run SET state = ?2, settled_at = ?3, reason = CASE WHEN ?2 = 6 THEN coalesce(
               (SELECT reason FROM job WHERE run = ?1 AND reason IS NOT NULL ORDER BY ordinal LIMIT 1), reason) ELSE reason END
             WHERE id = ?1",
        )?
        .execute((
            run,
            tally.state().code(),
            now,
        ))?;
        let amount = |n: i64| u64::try_from(n).unwrap_or(0);
        let settled = (tally.total > 1 || !tally.is_file).then(|| Settled {
            run,
            task: self.task_name(tally.task),
            state: tally.state(),
            total: amount(tally.total),
            ok: amount(tally.ok),
            failed: amount(tally.failed),
        });
        let mut started = self.start_followers(&tally, now)?;
        if self.state.tables.tasks.get(&tally.task).is_some_and(|t| t.scheduled)
            && self.next_in_turn(tally.task, now)?
        {
            started.push(tally.task);
        }
        Ok((settled, started))
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
            let kind = self.first_kind(task);
            let upstream = Some(tally.run);
            let run = self.insert_run(&NewRun { task, trigger: "after", at: now, jobs: 1, kind, upstream })?;
            let label = format!("after {} run {}", self.task_name(tally.task), tally.run);
            self.insert_first(run, task, &label, now)?;
            started.push(task);
        }
        Ok(started)
    }
}

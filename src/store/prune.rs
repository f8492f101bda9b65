//! Retention: old history goes by age and by count, in small pieces, successes sooner than failures. It never takes
//! a failed job whose file was put into `failed/`, a job of a run that is still open, nor the outputs that a run after
//! it may still read. A run that followed another stays as a row until that one goes, so that it cannot fire again.

use super::txn::Txn;
use crate::model::ledger::{Keep, StoreError};
use crate::model::{JobId, JobState, Millis, RunId};

/// Most jobs deleted in one operation, so that no commit takes long.
pub(super) const PIECE: i64 = 200;

/// The oldest jobs of a state that may go. What is pinned: every job of an open run, and the outputs of a run while a
/// job of a run that follows it is not over, or failed and may be retried.
pub(super) const OLDEST: &str = "SELECT j.finished_at, j.id, j.task, j.run, j.cause FROM job j
   WHERE j.state = ?1 AND j.finished_at IS NOT NULL AND j.keeps_file = 0 AND j.finished_at < ?2
     AND NOT EXISTS (SELECT 1 FROM run r WHERE r.id = j.run AND r.open > 0)
     AND NOT EXISTS (SELECT 1 FROM run d JOIN job x ON x.run = d.id WHERE d.upstream = j.run AND x.state IN (0, 1, 2, 3, 5))
   ORDER BY j.finished_at LIMIT ?3";

pub(super) const PRUNABLE_FAILURES: &str =
    "SELECT count(*) FROM (SELECT 1 FROM job WHERE state = 5 AND finished_at IS NOT NULL AND keeps_file = 0 LIMIT ?1)";

struct Old {
    finished: Millis,
    job: JobId,
    task: i64,
    run: RunId,
    cause: Option<i64>,
    state: JobState,
}

impl Txn<'_> {
    /// Deletes one piece of old history; answers how many jobs went.
    pub(super) fn prune(&mut self, keep: &Keep) -> Result<u64, StoreError> {
        let good = [JobState::Succeeded, JobState::Skipped, JobState::Cancelled];
        let have = good.iter().map(|s| self.state.count_all(s.code())).sum();
        let mut gone = self.prune_states(&good, keep.succeeded_before, have, keep.succeeded_max)?;
        let enough = i64::try_from(keep.failed_max).unwrap_or(i64::MAX).saturating_add(PIECE);
        let have = self.sql(PRUNABLE_FAILURES)?.query_row([enough], |r| r.get(0))?;
        gone += self.prune_states(&[JobState::Failed], keep.failed_before, have, keep.failed_max)?;
        self.prune_notes(keep)?;
        Ok(gone)
    }

    /// Of `have` jobs in some states together: the older than `before`, and the oldest of those beyond `max`.
    fn prune_states(&mut self, states: &[JobState], before: Millis, have: i64, max: u64) -> Result<u64, StoreError> {
        let surplus = have.saturating_sub(i64::try_from(max).unwrap_or(i64::MAX)).clamp(0, PIECE);
        let mut old = Vec::new();
        for &state in states {
            let aged = self.oldest(state, before, PIECE)?;
            let more = surplus.saturating_sub(aged.len() as i64);
            old.extend(if more > 0 { self.oldest(state, Millis(i64::MAX), surplus)? } else { aged });
        }
        old.sort_unstable_by_key(|o: &Old| (o.finished, o.job));
        let due = old.iter().filter(|o| o.finished < before).count().max(usize::try_from(surplus).unwrap_or(0));
        old.truncate(due.min(PIECE as usize));
        for job in &old {
            self.delete(job)?;
        }
        Ok(old.len() as u64)
    }

    fn oldest(&self, state: JobState, before: Millis, limit: i64) -> Result<Vec<Old>, StoreError> {
        let mut select = self.sql(OLDEST)?;
        let rows = select.query_map((state, before, limit), |r| {
            Ok(Old { finished: r.get(0)?, job: r.get(1)?, task: r.get(2)?, run: r.get(3)?, cause: r.get(4)?, state })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn delete(&mut self, old: &Old) -> Result<(), StoreError> {
        for table in ["attempt", "job_file", "move", "action_job", "checkpoint"] {
            self.sql(&format!("DELETE FROM {table} WHERE job = ?1"))?.execute([old.job])?;
        }
        self.sql("DELETE FROM job WHERE id = ?1")?.execute([old.job])?;
        if old.state == JobState::Failed {
            self.close_cause(old.cause)?;
        }
        self.left(old.task, old.state);
        self.delete_run(old.run)
    }

    /// A run without jobs goes when the run that it followed has gone, and takes the empty runs after it along.
    fn delete_run(&self, run: RunId) -> Result<(), StoreError> {
        let mut empty = vec![run];
        while let Some(run) = empty.pop() {
            let went = self
                .sql(
                    "DELETE FROM run WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM job WHERE run = ?1)
                     AND (upstream IS NULL OR NOT EXISTS (SELECT 1 FROM run u WHERE u.id = run.upstream))",
                )?
                .execute([run])?;
            if went > 0 {
                let mut after = self.sql("SELECT id FROM run WHERE upstream = ?1")?;
                let rows = after.query_map([run], |r| r.get(0))?;
                empty.extend(rows.collect::<rusqlite::Result<Vec<RunId>>>()?);
            }
        }
        Ok(())
    }

    /// What jobs leave behind: selections, actions that no job shows any more, causes that nothing has.
    fn prune_notes(&self, keep: &Keep) -> Result<(), StoreError> {
        self.sql("DELETE FROM selection WHERE id IN (SELECT id FROM selection ORDER BY id LIMIT ?2) AND at < ?1")?
            .execute((keep.succeeded_before, PIECE))?;
        self.sql(
            "DELETE FROM action WHERE id IN (SELECT id FROM action a WHERE at < ?1
               AND NOT EXISTS (SELECT 1 FROM action_job x WHERE x.action = a.id) ORDER BY id LIMIT ?2)",
        )?
        .execute((keep.failed_before, PIECE))?;
        self.sql(
            "DELETE FROM run WHERE id IN (SELECT id FROM run WHERE total = 0 AND state IN (6, 7) AND settled_at < ?1
               AND NOT EXISTS (SELECT 1 FROM job WHERE job.run = run.id) LIMIT ?2)",
        )?
        .execute((keep.failed_before, PIECE))?;
        self.sql("DELETE FROM cause WHERE id IN (SELECT id FROM cause WHERE open = 0 AND last_at < ?1 LIMIT ?2)")?
            .execute((keep.failed_before, PIECE))?;
        self.prune_alerts(keep)?;
        Ok(())
    }
}

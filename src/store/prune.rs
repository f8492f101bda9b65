//! Retention: old history goes by age and by count, in small pieces, successes sooner than failures. A failed job
//! whose file still lies in `failed/` never goes.

use super::rows::FAILED;
use super::writer::Txn;
use crate::model::ledger::{Keep, StoreError};
use crate::model::{JobId, JobState, Millis, RunId};

/// Most jobs deleted in one operation, so that no commit takes long.
const PIECE: i64 = 200;

impl Txn<'_> {
    /// Deletes one piece of old history; answers how many jobs went.
    pub(super) fn prune(&mut self, keep: &Keep) -> Result<u64, StoreError> {
        let mut gone = 0;
        for (state, before, max) in [
            (JobState::Succeeded, keep.succeeded_before, keep.succeeded_max),
            (JobState::Skipped, keep.succeeded_before, keep.succeeded_max),
            (JobState::Cancelled, keep.succeeded_before, keep.succeeded_max),
            (JobState::Failed, keep.failed_before, keep.failed_max),
        ] {
            gone += self.prune_state(state, before, max)?;
        }
        Ok(gone)
    }

    fn prune_state(&mut self, state: JobState, before: Millis, max: u64) -> Result<u64, StoreError> {
        let have: i64 = self.state.tasks.keys().map(|&t| self.state.count(t, state.code())).sum();
        let surplus = (have - i64::try_from(max).unwrap_or(i64::MAX)).max(0);
        let mut select = self.sql(
            "SELECT id, task, run, spent, cause, finished_at FROM job j WHERE finished_at IS NOT NULL AND state = ?1
             AND (state <> 5 OR NOT EXISTS (SELECT 1 FROM job_file f WHERE f.job = j.id AND f.dir = ?2))
             ORDER BY finished_at LIMIT ?3",
        )?;
        let old: Vec<(JobId, i64, RunId, u32, Option<i64>, Millis)> = select
            .query_map((state, FAILED, PIECE), |r| {
                Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        drop(select);
        let mut gone = 0;
        for (i, (job, task, run, _, cause, finished)) in old.into_iter().enumerate() {
            if finished >= before && i64::try_from(i).unwrap_or(i64::MAX) >= surplus {
                break;
            }
            for table in ["attempt", "job_file", "move", "action_job", "checkpoint"] {
                self.sql(&format!("DELETE FROM {table} WHERE job = ?1"))?.execute([job])?;
            }
            self.sql("DELETE FROM job WHERE id = ?1")?.execute([job])?;
            self.sql("DELETE FROM run WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM job WHERE run = ?1)")?
                .execute([run])?;
            if state == JobState::Failed {
                self.close_cause(cause)?;
            }
            self.left(task, state);
            gone += 1;
        }
        Ok(gone)
    }
}

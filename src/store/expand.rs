//! Planned runs: one job puts the others into the queue, some at a time; and lanes that are closed for all tasks.

use super::land::NewJob;
use super::rows::{signed, unsigned};
use super::txn::Txn;
use crate::model::action::network::Item;
use crate::model::job::JobKind;
use crate::model::ledger::{ClosedLane, LaneHint, Planned, StoreError};
use crate::model::{JobId, Millis, RunId};
use rusqlite::OptionalExtension;

/// A run and its plan at work.
struct Plan {
    run: RunId,
    task: i64,
    priority: i32,
    items: i64,
}

impl Txn<'_> {
    /// How far a plan is; none if this is not the attempt of the job any more.
    pub(super) fn planned(&self, job: JobId, attempt: i64) -> Result<Option<Planned>, StoreError> {
        Ok(self.plan(job, attempt)?.map(|plan| Planned { items: unsigned(plan.items) }))
    }

    /// Puts further items into the queue; see the port.
    pub(super) fn expand(
        &mut self,
        job: JobId,
        attempt: i64,
        from: u64,
        items: &[Item],
        now: Millis,
    ) -> Result<Option<LaneHint>, StoreError> {
        let Some(plan) = self.plan(job, attempt)?.filter(|plan| unsigned(plan.items) == from) else { return Ok(None) };
        let mut ordinal = plan.items;
        for item in items {
            ordinal += 1;
            self.insert_job(&NewJob {
                run: plan.run,
                ordinal,
                task: plan.task,
                kind: JobKind::Item,
                lane: &item.lane,
                priority: plan.priority,
                label: item.input.as_bytes(),
                bytes_in: None,
                at: now,
            })?;
        }
        self.sql("UPDATE run SET total = total + ?2, open = open + ?2, expand_cursor = ?3 WHERE id = ?1")?
            .execute((plan.run, signed(items.len() as u64), ordinal))?;
        Ok(Some(self.hint(plan.task)?))
    }

    fn plan(&self, job: JobId, attempt: i64) -> Result<Option<Plan>, StoreError> {
        Ok(self
            .sql(
                "SELECT j.run, j.task, j.priority, coalesce(r.expand_cursor, 0) FROM job j JOIN run r ON r.id = j.run
                 WHERE j.id = ?1 AND j.attempt = ?2 AND j.state = 2 AND j.kind = ?3",
            )?
            .query_row((job, attempt, JobKind::Plan.code()), |r| {
                Ok(Plan { run: r.get(0)?, task: r.get(1)?, priority: r.get(2)?, items: r.get(3)? })
            })
            .optional()?)
    }

    /// Remembers that a lane is closed. Those whose time has passed are forgotten with it.
    pub(super) fn close_lane(&self, closed: &ClosedLane, now: Millis) -> Result<(), StoreError> {
        self.sql("DELETE FROM lane WHERE task = 0 AND (blocked_until <= ?1 OR key = ?2)")?
            .execute((now, &*closed.lane))?;
        if closed.until > now {
            self.sql("INSERT INTO lane(task, key, blocked_until, why) VALUES (0, ?1, ?2, ?3)")?.execute((
                &*closed.lane,
                closed.until,
                &closed.why,
            ))?;
        }
        Ok(())
    }

    /// The lanes that are closed.
    pub(super) fn closed_lanes(&self, now: Millis) -> Result<Vec<ClosedLane>, StoreError> {
        let mut select =
            self.sql("SELECT key, blocked_until, coalesce(why, '') FROM lane WHERE task = 0 AND blocked_until > ?1")?;
        let rows = select.query_map([now], |r| {
            Ok(ClosedLane { lane: r.get::<_, String>(0)?.into(), until: r.get(1)?, why: r.get(2)? })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

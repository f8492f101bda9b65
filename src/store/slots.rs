//! Planned times become runs, each at most once: the time is the run's key.

use super::land::NewRun;
use super::txn::Txn;
use crate::model::ledger::{NewSlot, Remembered, SlotOrder, SlotsPlanned, StoreError};
use crate::model::schedule::Overlap;
use crate::model::{JobId, Millis, RunId, RunState};
use rusqlite::OptionalExtension;

/// Most runs of a task that wait for the one before them; a further one is left out, with a record.
const IN_TURN_MAX: i64 = 1000;

/// Most jobs of earlier runs that one planned time cancels; what is beyond goes on.
const CANCEL_MAX: i64 = 100_000;

pub(super) const AT_WORK: &str = "SELECT id FROM run WHERE task = ?1 AND state IN (1, 2) ORDER BY id LIMIT 1";
pub(super) const IN_TURN: &str = "SELECT count(*) FROM run WHERE task = ?1 AND state = 0";
pub(super) const FIRST_IN_TURN: &str =
    "SELECT id, planned_at FROM run WHERE task = ?1 AND state = 0 ORDER BY planned_at, id LIMIT 1";

impl Txn<'_> {
    /// Takes planned times in; see the port.
    pub(super) fn plan_slots(&mut self, order: &SlotOrder) -> Result<SlotsPlanned, StoreError> {
        let task = self.task_id(&order.remember.task)?;
        let mut planned = SlotsPlanned::default();
        for slot in &order.slots {
            match slot {
                NewSlot::Not { at, missed, reason } => {
                    let state = if *missed { RunState::Missed } else { RunState::Skipped };
                    if let Some(run) = self.insert_record(task, *at, state, reason, order.now)? {
                        planned.runs.push((*at, run, Some(reason.clone())));
                    }
                }
                NewSlot::Run { at, note, in_turn } => {
                    self.plan_slot(task, (*at, note.as_deref(), *in_turn), order, &mut planned)?;
                }
            }
        }
        let Remembered { spec, anchor, last_planned, .. } = &order.remember;
        self.sql(
            "INSERT INTO schedule(task, spec, anchor, last_planned, next_at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT(task) DO UPDATE SET spec = ?2, anchor = ?3, last_planned = ?4, next_at = ?5",
        )?
        .execute((task, spec, anchor, last_planned, order.next_at))?;
        // What is planned is part of what the screen shows.
        self.bump();
        planned.lane = Some(self.hint(task)?);
        Ok(planned)
    }

    fn plan_slot(
        &mut self,
        task: i64,
        (at, note, in_turn): (Millis, Option<&str>, bool),
        order: &SlotOrder,
        planned: &mut SlotsPlanned,
    ) -> Result<(), StoreError> {
        let at_work: Option<RunId> = self.sql(AT_WORK)?.query_row([task], |r| r.get(0)).optional()?;
        let waits = self.sql(IN_TURN)?.query_row([task], |r| r.get::<_, i64>(0))?;
        let overlap = if in_turn { Overlap::Queue } else { order.overlap };
        let (state, reason) = match (at_work, overlap) {
            (None, _) if waits == 0 => (RunState::Open, note.map(str::to_owned)),
            (Some(run), Overlap::Skip) => (RunState::Skipped, Some(format!("run {run} is not over yet"))),
            (Some(_), Overlap::CancelRunning) => {
                planned.cancel.extend(self.open_jobs(task)?);
                (RunState::Planned, note.map(str::to_owned))
            }
            _ if waits >= IN_TURN_MAX => (RunState::Skipped, Some(format!("{waits} runs wait already"))),
            _ => (RunState::Planned, note.map(str::to_owned)),
        };
        let is_over = state == RunState::Skipped;
        let inserted: Option<RunId> = self
            .sql(
                "INSERT OR IGNORE INTO run(task, slot, trigger, state, reason, planned_at, settled_at, total, open)
                 VALUES (?1, ?2, 'schedule', ?3, ?4, ?5, ?6, 0, 0) RETURNING id",
            )?
            .query_row(
                (
                    task,
                    slot_key(at),
                    RunState::code(if is_over { state } else { RunState::Planned }),
                    &reason,
                    at,
                    is_over.then_some(order.now),
                ),
                |r| r.get(0),
            )
            .optional()?;
        let Some(run) = inserted else { return Ok(()) };
        if state == RunState::Open {
            self.begin_run(task, run, at, order.now)?;
        }
        planned.runs.push((at, run, reason.filter(|_| is_over)));
        Ok(())
    }

    /// A planned run gets its first job.
    fn begin_run(&mut self, task: i64, run: RunId, at: Millis, now: Millis) -> Result<(), StoreError> {
        let kind = self.first_kind(task);
        let (state, total) = NewRun::first(kind, 1);
        self.sql("UPDATE run SET state = ?2, started_at = ?3, total = ?4, open = 1 WHERE id = ?1")?.execute((
            run,
            state.code(),
            now,
            total,
        ))?;
        self.insert_first(run, task, &crate::clock::rfc3339(at), now)
    }

    /// The next run that waited for its turn begins, if no other of the task is at work. Whether one did.
    pub(super) fn next_in_turn(&mut self, task: i64, now: Millis) -> Result<bool, StoreError> {
        let next = self.sql(FIRST_IN_TURN)?.query_row([task], |r| Ok((r.get(0)?, r.get(1)?))).optional()?;
        let Some((run, at)) = next else { return Ok(false) };
        if self.sql(AT_WORK)?.query_row([task], |_| Ok(())).optional()?.is_some() {
            return Ok(false);
        }
        self.begin_run(task, run, at, now)?;
        Ok(true)
    }

    fn insert_record(
        &mut self,
        task: i64,
        at: Millis,
        state: RunState,
        reason: &str,
        now: Millis,
    ) -> Result<Option<RunId>, StoreError> {
        Ok(self
            .sql(
                "INSERT OR IGNORE INTO run(task, slot, trigger, state, reason, planned_at, settled_at, total, open)
                 VALUES (?1, ?2, 'schedule', ?3, ?4, ?5, ?6, 0, 0) RETURNING id",
            )?
            .query_row((task, slot_key(at), state.code(), reason, at, now), |r| r.get(0))
            .optional()?)
    }

    fn open_jobs(&self, task: i64) -> Result<Vec<JobId>, StoreError> {
        let mut select = self.sql("SELECT id FROM job WHERE task = ?1 AND rank IN (1, 2, 3) LIMIT ?2")?;
        let rows = select.query_map((task, CANCEL_MAX), |r| r.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

/// The key of a planned time.
fn slot_key(at: Millis) -> String {
    at.0.to_string()
}

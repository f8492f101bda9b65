//! One operation's view of the open transaction: prepared statements, the next revision, and the counts that every
//! change of a state must go through.

use super::memory::State;
use super::rows::RETRY_SLOT;
use crate::model::ledger::{LaneHint, StoreError};
use crate::model::{JobState, Millis, TaskName};
use rusqlite::{CachedStatement, Connection, OptionalExtension};
use std::collections::BTreeSet;
use std::sync::Arc;

/// An operation's view of the open transaction.
pub(super) struct Txn<'a> {
    conn: &'a Connection,
    pub state: &'a mut State,
}

impl<'a> Txn<'a> {
    pub(super) fn new(conn: &'a Connection, state: &'a mut State) -> Self {
        Self { conn, state }
    }

    /// A prepared statement, kept for the next time.
    pub(super) fn sql(&self, text: &str) -> rusqlite::Result<CachedStatement<'_>> {
        self.conn.prepare_cached(text)
    }

    /// Id of the row inserted last.
    pub(super) fn last_id(&self) -> i64 {
        self.conn.last_insert_rowid()
    }

    /// The next revision.
    pub(super) fn bump(&mut self) -> i64 {
        self.state.rev += 1;
        self.state.rev
    }

    /// A job of `task` entered the store in this state.
    pub(super) fn entered(&mut self, task: i64, state: JobState) {
        self.state.add(task, state.code(), 1);
    }

    /// A settled job of `task` left the store from this state.
    pub(super) fn left(&mut self, task: i64, state: JobState) {
        self.state.add(task, state.code(), -1);
    }

    /// A job of `task` went from one state to another; `spent` before and after tell a retry from a first wait.
    pub(super) fn moved(&mut self, task: i64, from: (JobState, u32), to: (JobState, u32)) {
        self.state.add(task, from.0.code(), -1);
        self.state.add(task, to.0.code(), 1);
        for (at, delta) in [(from, -1), (to, 1)] {
            if at.0 == JobState::Waiting && at.1 > 0 {
                self.state.add(task, RETRY_SLOT, delta);
            }
        }
    }

    /// The id of a task by name.
    pub(super) fn task_id(&self, name: &str) -> Result<i64, StoreError> {
        let id = self.state.tables.names.get(name).copied();
        id.ok_or_else(|| StoreError::Fault(format!("no such task: {name}")))
    }

    /// The name of a task.
    pub(super) fn task_name(&self, id: i64) -> TaskName {
        self.state.tables.tasks.get(&id).map_or_else(|| TaskName::from(""), |t| Arc::clone(&t.name))
    }

    /// How much waits in the lane of a task.
    pub(super) fn hint(&self, task: i64) -> Result<LaneHint, StoreError> {
        let next_due = if self.state.count(task, JobState::Waiting.code()) > 0 {
            self.sql(NEXT_DUE)?.query_row([task], |r| r.get::<_, Option<Millis>>(0)).optional()?.flatten()
        } else {
            None
        };
        let queued = self.state.count(task, JobState::Queued.code());
        Ok(LaneHint { task: self.task_name(task), queued: u64::try_from(queued).unwrap_or(0), next_due })
    }

    /// The hints of several tasks.
    pub(super) fn hints(&self, tasks: impl IntoIterator<Item = i64>) -> Result<Vec<LaneHint>, StoreError> {
        let distinct: BTreeSet<i64> = tasks.into_iter().collect();
        distinct.into_iter().map(|t| self.hint(t)).collect()
    }
}

/// When the next waiting job of a task is due.
pub(super) const NEXT_DUE: &str = "SELECT min(not_before) FROM job WHERE task = ?1 AND state = 0";

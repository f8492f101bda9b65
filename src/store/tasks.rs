//! The tasks of the live configuration, as far as the store must know them.

use super::memory::{Tables, TaskState};
use super::rows::signed;
use super::txn::Txn;
use crate::model::ledger::{LaneHint, StoreError, TaskFacts};
use std::sync::Arc;

impl Txn<'_> {
    /// Declares the tasks of a configuration; those that it no longer has are kept with their jobs, marked removed.
    pub(super) fn configure(&mut self, tasks: &[TaskFacts]) -> Result<Vec<LaneHint>, StoreError> {
        self.sql("UPDATE task SET removed = 1")?.execute([])?;
        let mut tables = Tables::clone(&self.state.tables);
        let mut ids = Vec::with_capacity(tasks.len());
        for (position, task) in tasks.iter().enumerate() {
            let id: i64 = self
                .sql(
                    "INSERT INTO task(name, action, config_hash, max_attempts, position) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT(name) DO UPDATE SET action = ?2, config_hash = ?3, max_attempts = ?4, position = ?5, removed = 0
                     RETURNING id",
                )?
                .query_row(
                    (&*task.name, &task.action, &task.config_hash, task.max_attempts, signed(position as u64)),
                    |r| r.get(0),
                )?;
            tables.names.insert(Arc::clone(&task.name), id);
            let known = TaskState {
                name: Arc::clone(&task.name),
                max_attempts: task.max_attempts,
                priority: task.priority,
                planned: task.planned,
                scheduled: task.scheduled,
            };
            tables.tasks.insert(id, known);
            ids.push(id);
        }
        tables.after.clear();
        for (task, down) in tasks.iter().zip(&ids) {
            for up in task.after.iter().flat_map(|after| after.tasks.iter().map(move |up| (up, after.on))) {
                let (name, on) = up;
                let known = tables.names.get(name).copied();
                let up = known.ok_or_else(|| StoreError::Fault(format!("no such task: {name}")))?;
                tables.after.entry(up).or_default().push((*down, on));
            }
        }
        self.state.tables = Arc::new(tables);
        // The list of tasks is part of what `status` shows.
        self.bump();
        self.hints(ids)
    }
}

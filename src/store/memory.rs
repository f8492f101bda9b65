//! What the writer keeps in memory beside the database: the counts, the revision, and the tasks. It is the same as
//! what the open transaction has written, also after an operation or a whole group was rolled back.

use crate::model::{AfterOn, TaskName};
use rusqlite::Connection;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// What a task is to the writer.
#[derive(Clone, Debug)]
pub(super) struct TaskState {
    pub name: TaskName,
    pub max_attempts: u32,
    pub priority: i32,
    pub planned: bool,
    pub scheduled: bool,
}

/// What changes rarely, and as a whole.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    /// Number of this node; 0 before it was registered.
    pub node: i64,
    pub tasks: HashMap<i64, TaskState>,
    pub names: HashMap<TaskName, i64>,
    /// Upstream task -> tasks that run after it.
    pub after: HashMap<i64, Vec<(i64, AfterOn)>>,
}

/// The writer's memory. Changes of counts are logged and the tables are replaced, never changed in place, so that what
/// is rolled back leaves no trace.
pub(super) struct State {
    pub rev: i64,
    pub tables: Arc<Tables>,
    counts: HashMap<(i64, i64), i64>,
    /// Counts that the open transaction must write.
    dirty: BTreeSet<(i64, i64)>,
    undo: Vec<((i64, i64), i64)>,
    flushed_rev: i64,
    /// The lane that was served last, by task. Only about who comes next: it may be wrong after a rollback.
    turns: HashMap<i64, String>,
}

/// A point to go back to.
pub(super) struct Mark {
    undo: usize,
    rev: i64,
    tables: Arc<Tables>,
}

impl State {
    pub(super) fn load(conn: &Connection) -> rusqlite::Result<Self> {
        let rev = conn.query_row("SELECT value FROM meta WHERE key = 'rev'", [], |r| r.get(0))?;
        let mut counts = HashMap::new();
        let mut select = conn.prepare("SELECT task, slot, n FROM count")?;
        for row in select.query_map([], |r| Ok(((r.get(0)?, r.get(1)?), r.get(2)?)))? {
            let (key, n) = row?;
            counts.insert(key, n);
        }
        let mut tables = Tables::default();
        let mut select = conn.prepare("SELECT id, name, max_attempts FROM task")?;
        let rows = select.query_map([], |r| Ok((r.get::<_, i64>(0)?, r.get::<_, String>(1)?, r.get::<_, u32>(2)?)))?;
        for row in rows {
            let (id, name, max_attempts) = row?;
            let name: TaskName = name.into();
            tables.names.insert(Arc::clone(&name), id);
            tables.tasks.insert(id, TaskState { name, max_attempts, priority: 0, planned: false, scheduled: false });
        }
        Ok(Self {
            rev,
            tables: Arc::new(tables),
            counts,
            dirty: BTreeSet::new(),
            undo: Vec::new(),
            flushed_rev: rev,
            turns: HashMap::new(),
        })
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { undo: self.undo.len(), rev: self.rev, tables: Arc::clone(&self.tables) }
    }

    /// Goes back to a mark. What is dirty stays so: writing a count that did not change does no harm.
    pub(super) fn undo(&mut self, mark: Mark) {
        while self.undo.len() > mark.undo {
            if let Some((key, delta)) = self.undo.pop() {
                *self.counts.entry(key).or_default() -= delta;
            }
        }
        self.rev = mark.rev;
        self.tables = mark.tables;
    }

    /// The transaction is on the disk.
    pub(super) fn settle(&mut self) {
        self.undo.clear();
        self.dirty.clear();
        self.flushed_rev = self.rev;
    }

    /// Writes what changed into the open transaction.
    pub(super) fn flush(&self, conn: &Connection) -> rusqlite::Result<()> {
        for key in &self.dirty {
            conn.prepare_cached(
                "INSERT INTO count(task, slot, n) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET n = excluded.n",
            )?
            .execute((key.0, key.1, self.count(key.0, key.1)))?;
        }
        if self.rev != self.flushed_rev {
            conn.prepare_cached("UPDATE meta SET value = ?1 WHERE key = 'rev'")?.execute([self.rev])?;
        }
        Ok(())
    }

    /// Jobs of a task in a slot.
    pub(super) fn count(&self, task: i64, slot: i64) -> i64 {
        self.counts.get(&(task, slot)).copied().unwrap_or(0)
    }

    /// Jobs of all tasks in a slot.
    pub(super) fn count_all(&self, slot: i64) -> i64 {
        self.counts.iter().filter(|((_, s), _)| *s == slot).map(|(_, n)| n).sum()
    }

    /// The lane of a task that was served last.
    pub(super) fn lane_of_turn(&self, task: i64) -> String {
        self.turns.get(&task).cloned().unwrap_or_default()
    }

    /// This lane was served.
    pub(super) fn turn(&mut self, task: i64, lane: String) {
        self.turns.insert(task, lane);
    }

    pub(super) fn add(&mut self, task: i64, slot: i64, delta: i64) {
        let key = (task, slot);
        *self.counts.entry(key).or_default() += delta;
        self.dirty.insert(key);
        self.undo.push((key, delta));
    }
}

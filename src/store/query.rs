//! The read side: short queries on read-only connections, for screens and the command line. Never scans for counts.

use super::open;
use super::rows::RETRY_SLOT;
use crate::error::Fatal;
use crate::model::ledger::StoreError;
use crate::model::view::Counts;
use crate::model::{JobState, Millis};
use rusqlite::Connection;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Read connections kept open; a further reader opens its own for as long as it reads.
const IDLE_MAX: usize = 2;

/// The reading connections.
pub struct Queries {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

/// Jobs of one lane are counted up to here.
const LANE_COUNT_MAX: i64 = 10_000;
pub(super) const QUEUED_IN_LANE: &str =
    "SELECT count(*) FROM (SELECT 1 FROM task t JOIN job j ON j.task = t.id AND j.lane = ?1 AND j.state = 1 LIMIT ?2)";

/// A task as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskRow {
    /// Its name.
    pub name: String,
    /// Kind of work.
    pub action: String,
    /// Whether the configuration no longer has it.
    pub removed: bool,
    /// Who paused it, and when.
    pub paused: Option<(u32, Millis)>,
    /// Its jobs by state.
    pub counts: Counts,
}

/// Everything that `status` needs from the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// The newest revision.
    pub rev: i64,
    /// All jobs by state.
    pub counts: Counts,
    /// The tasks, in the order of the configuration.
    pub tasks: Vec<TaskRow>,
    /// Who paused everything, and when.
    pub paused: Option<(u32, Millis)>,
    /// When the oldest queued job entered the queue.
    pub oldest_queued: Option<Millis>,
}

impl Queries {
    /// Queued jobs in a lane, of all tasks together; no more than so many are counted.
    pub fn queued_in_lane(&self, lane: &str) -> Result<u64, StoreError> {
        self.with(|conn| conn.prepare_cached(QUEUED_IN_LANE)?.query_row((lane, LANE_COUNT_MAX), |r| r.get(0)))
    }

    /// Opens the database for reading.
    pub fn open(path: &Path) -> Result<Self, Fatal> {
        let first = open::for_reading(path)?;
        Ok(Self { path: path.to_owned(), idle: Mutex::new(vec![first]) })
    }

    /// An empty database in memory, for a data folder that has none yet.
    pub(super) fn empty() -> Result<Self, Fatal> {
        Ok(Self { path: PathBuf::from(":memory:"), idle: Mutex::new(vec![open::in_memory()?]) })
    }

    /// A further connection.
    pub(super) fn connection(&self) -> Result<Connection, StoreError> {
        open::for_reading(&self.path).map_err(|e| StoreError::Fault(e.render(false)))
    }

    /// Runs a query on a connection of its own for the time being, on one state of the database.
    pub(super) fn with<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let conn = match kept {
            Some(conn) => conn,
            None => self.connection()?,
        };
        // One transaction, so that all statements of a query see the same jobs; dropping it ends it.
        let result = conn.unchecked_transaction().and_then(|snapshot| read(&snapshot));
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(conn);
        }
        drop(idle);
        Ok(result?)
    }

    /// What `status` shows.
    pub fn overview(&self) -> Result<Overview, StoreError> {
        self.with(|conn| {
            let mut out = Overview {
                rev: conn.prepare_cached("SELECT value FROM meta WHERE key = 'rev'")?.query_row([], |r| r.get(0))?,
                ..Overview::default()
            };
            let per_task = counts(conn)?;
            for counts in per_task.values() {
                add(&mut out.counts, counts);
            }
            let mut tasks = conn.prepare_cached(
                "SELECT id, name, action, removed, paused_by, paused_at FROM task ORDER BY removed, position",
            )?;
            let rows = tasks.query_map([], |r| {
                let id: i64 = r.get(0)?;
                Ok(TaskRow {
                    name: r.get(1)?,
                    action: r.get(2)?,
                    removed: r.get(3)?,
                    paused: r.get::<_, Option<u32>>(4)?.zip(r.get::<_, Option<Millis>>(5)?),
                    counts: per_task.get(&id).copied().unwrap_or_default(),
                })
            })?;
            out.tasks = rows.collect::<rusqlite::Result<_>>()?;
            out.paused = paused(conn)?;
            out.oldest_queued = conn
                .prepare_cached("SELECT created_at FROM job WHERE rank = 3 ORDER BY id LIMIT 1")?
                .query_map([], |r| r.get(0))?
                .next()
                .transpose()?;
            Ok(out)
        })
    }

    /// Whether everything is paused, and which tasks are.
    pub fn pauses(&self) -> Result<(bool, Vec<String>), StoreError> {
        self.with(|conn| {
            let mut select = conn.prepare_cached("SELECT name FROM task WHERE paused_at IS NOT NULL")?;
            let names = select.query_map([], |r| r.get(0))?.collect::<rusqlite::Result<_>>()?;
            Ok((paused(conn)?.is_some(), names))
        })
    }

    /// Checks the whole file; answers `ok` or what is wrong.
    pub fn integrity(&self) -> Result<String, StoreError> {
        self.with(|conn| conn.query_row("PRAGMA integrity_check(1)", [], |r| r.get(0)))
    }
}

fn paused(conn: &Connection) -> rusqlite::Result<Option<(u32, Millis)>> {
    let mut get = conn.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
    let mut value = |key: &str| -> rusqlite::Result<Option<i64>> {
        Ok(get.query_map([key], |r| r.get::<_, Option<i64>>(0))?.next().transpose()?.flatten())
    };
    let by = value("paused_by")?.and_then(|n| u32::try_from(n).ok());
    let at = value("paused_at")?.map(Millis);
    Ok(by.zip(at))
}

/// All jobs by state, from the kept counts.
pub(super) fn all_counts(conn: &Connection) -> rusqlite::Result<Counts> {
    let mut sum = Counts::default();
    for counts in counts(conn)?.values() {
        add(&mut sum, counts);
    }
    Ok(sum)
}

fn counts(conn: &Connection) -> rusqlite::Result<HashMap<i64, Counts>> {
    let mut out: HashMap<i64, Counts> = HashMap::new();
    let mut select = conn.prepare_cached("SELECT task, slot, n FROM count")?;
    let rows = select.query_map([], |r| Ok((r.get::<_, i64>(0)?, r.get::<_, i64>(1)?, r.get::<_, i64>(2)?)))?;
    for row in rows {
        let (task, slot, n) = row?;
        let n = u64::try_from(n).unwrap_or(0);
        let counts = out.entry(task).or_default();
        if slot == RETRY_SLOT {
            counts.retry = n;
        } else if let Some(state) = JobState::from_code(slot) {
            *counts.get_mut(state) = n;
        }
    }
    Ok(out)
}

/// Adds one set of counts to another.
fn add(sum: &mut Counts, more: &Counts) {
    for state in JobState::ALL {
        *sum.get_mut(state) += more.get(state);
    }
    sum.retry += more.retry;
}

impl Queries {
    /// Jobs in the queue, from the kept counts.
    pub fn queued(&self) -> Result<u64, StoreError> {
        self.with(|conn| {
            conn.prepare_cached("SELECT coalesce(sum(n), 0) FROM count WHERE slot = ?1")?
                .query_row([JobState::Queued.code()], |r| r.get(0))
        })
    }

    /// Jobs that wait and are due before a time.
    pub fn due_before(&self, before: Millis) -> Result<u64, StoreError> {
        self.with(|conn| {
            conn.prepare_cached(
                "SELECT count(*) FROM task t JOIN job j ON j.task = t.id AND j.state = 0 AND j.not_before <= ?1",
            )?
            .query_row([before], |r| r.get(0))
        })
    }
}

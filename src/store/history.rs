//! The runs of a task, for its schedule: what became of them, when it last succeeded, whether one has begun.

use super::query::Queries;
use crate::model::condition::History;
use crate::model::ledger::{Remembered, StoreError};
use crate::model::{JobId, Millis, RunId, RunState};
use rusqlite::OptionalExtension;
use rusqlite::types::Value;
use std::time::{Duration, Instant};

/// How far back the last success of a task is looked for, in runs.
const LOOK_BACK: i64 = 10_000;

pub(super) const RUNS: &str = "SELECT r.id, r.state, r.reason, r.planned_at, r.settled_at, r.ok, r.failed,
    (SELECT min(a.started_at) FROM job j JOIN attempt a ON a.job = j.id AND a.n = 1 WHERE j.run = r.id AND j.ordinal = 0),
    (SELECT max(j.id) FROM job j WHERE j.run = r.id AND j.state = 5 AND r.failed > 0), r.total
  FROM run r JOIN task t ON t.id = r.task WHERE t.name = ?1 ORDER BY r.id DESC LIMIT ?2";
pub(super) const LAST_SUCCESS: &str = "SELECT settled_at, id FROM (SELECT r.id, r.state, r.settled_at FROM run r
    WHERE r.task = (SELECT id FROM task WHERE name = ?1) ORDER BY r.id DESC LIMIT ?2) WHERE state = 3 LIMIT 1";
const STANDINGS: &str = "SELECT t.name, s.spec, s.anchor, s.last_planned FROM schedule s JOIN task t ON t.id = s.task";
pub(super) const BEGUN: &str =
    "SELECT r.settled_at IS NOT NULL OR coalesce((SELECT attempt FROM job WHERE run = r.id AND ordinal = 0), 0) > 0
    FROM run r WHERE r.id = ?1";

/// Longest time that a query of a condition may take; it fails then.
const SQL_MAX: Duration = Duration::from_secs(5);
/// Steps of the database's machine between two looks at the clock.
const STEPS: i32 = 10_000;

/// What a query of a condition may read. Times are seconds since 1970, so that they compare with `unixepoch()`.
const VIEWS: &str = "WITH runs AS (SELECT r.id AS run, t.name AS task, r.planned_at / 1000 AS planned_at, r.settled_at / 1000 AS settled_at,
    r.total AS jobs, r.ok, r.failed, r.skipped, r.reason,
    CASE r.state WHEN 0 THEN 'planned' WHEN 1 THEN 'expanding' WHEN 2 THEN 'open' WHEN 3 THEN 'succeeded' WHEN 4 THEN 'failed'
      WHEN 5 THEN 'partial' WHEN 6 THEN 'skipped' WHEN 7 THEN 'missed' ELSE 'cancelled' END AS state
    FROM main.run r JOIN main.task t ON t.id = r.task),
  jobs AS (SELECT j.id AS job, j.run, t.name AS task, CAST(j.input_label AS TEXT) AS input, j.created_at / 1000 AS created_at,
    j.started_at / 1000 AS started_at, j.finished_at / 1000 AS finished_at, j.rows, j.bytes_in, j.bytes_out,
    CASE j.state WHEN 0 THEN 'waiting' WHEN 1 THEN 'queued' WHEN 2 THEN 'running' WHEN 3 THEN 'placing' WHEN 4 THEN 'succeeded'
      WHEN 5 THEN 'failed' WHEN 6 THEN 'skipped' ELSE 'cancelled' END AS state
    FROM main.job j JOIN main.task t ON t.id = j.task)";

/// A run as its task's history shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastRow {
    /// The run.
    pub id: RunId,
    /// Its state.
    pub state: RunState,
    /// What is said of it.
    pub reason: Option<String>,
    /// Its planned time.
    pub planned_at: Millis,
    /// When its first job first started.
    pub started_at: Option<Millis>,
    /// When it was over.
    pub settled_at: Option<Millis>,
    /// Its jobs.
    pub total: u64,
    /// Those that succeeded.
    pub ok: u64,
    /// Those that failed.
    pub failed: u64,
    /// The newest of them.
    pub failed_job: Option<JobId>,
}

impl Queries {
    /// The newest runs of a task, newest first.
    pub fn runs_of(&self, task: &str, limit: usize) -> Result<Vec<PastRow>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.with(|conn| {
            let mut select = conn.prepare_cached(RUNS)?;
            let rows = select.query_map((task, limit), |r| {
                Ok(PastRow {
                    id: r.get(0)?,
                    state: RunState::from_code(r.get(1)?).unwrap_or(RunState::Open),
                    reason: r.get(2)?,
                    planned_at: r.get(3)?,
                    settled_at: r.get(4)?,
                    ok: r.get(5)?,
                    failed: r.get(6)?,
                    started_at: r.get(7)?,
                    failed_job: r.get(8)?,
                    total: r.get(9)?,
                })
            })?;
            rows.collect()
        })
    }

    /// When a task last succeeded, and with which run; a success that is further back than some thousand runs is not found.
    pub fn last_success(&self, task: &str) -> Result<Option<(Millis, RunId)>, StoreError> {
        self.with(|conn| {
            conn.prepare_cached(LAST_SUCCESS)?.query_row((task, LOOK_BACK), |r| Ok((r.get(0)?, r.get(1)?))).optional()
        })
    }

    /// What the schedules remember.
    pub fn standings(&self) -> Result<Vec<Remembered>, StoreError> {
        self.with(|conn| {
            let mut select = conn.prepare_cached(STANDINGS)?;
            let rows = select.query_map([], |r| {
                let name: String = r.get(0)?;
                Ok(Remembered { task: name.into(), spec: r.get(1)?, anchor: r.get(2)?, last_planned: r.get(3)? })
            })?;
            rows.collect()
        })
    }

    /// Whether a run has begun; one that is forgotten has.
    pub fn has_begun(&self, run: RunId) -> Result<bool, StoreError> {
        self.with(|conn| Ok(conn.prepare_cached(BEGUN)?.query_row([run], |r| r.get(0)).optional()?.unwrap_or(true)))
    }
}

impl History for Queries {
    fn first_value(&self, sql: &str) -> Result<Option<String>, StoreError> {
        // On lines of its own, so that a comment at its end ends there.
        let whole = format!("{VIEWS} SELECT * FROM (\n{}\n)", sql.trim_end().trim_end_matches(';'));
        let end = Instant::now() + SQL_MAX;
        // A connection of its own: what a query of the configuration does to it is gone with it.
        let mut conn = self.connection()?;
        conn.progress_handler(STEPS, Some(move || Instant::now() >= end))?;
        let mut select = conn.prepare(&whole)?;
        let mut rows = select.query([])?;
        let value = rows.next()?.map(|row| row.get::<_, Value>(0)).transpose()?;
        Ok(value.and_then(text_of))
    }
}

/// A value as text; none for null.
fn text_of(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Integer(n) => Some(n.to_string()),
        Value::Real(x) => Some(x.to_string()),
        Value::Text(text) => Some(text),
        Value::Blob(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

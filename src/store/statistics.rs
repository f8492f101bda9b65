//! What a period came to, and what the last runs of a task came to. Read-only; one pass over the jobs of the period, in
//! the order of an index, keeps counts and bounded lists.
//!
//! Failed jobs whose original lies in `failed/` are in no index by time: those are all looked at. They are what an
//! operator still has to decide about.

use super::query::{self, Queries};
use super::rows::unsigned;
use crate::model::anomaly::{RUNS_MAX, RunFigures};
use crate::model::ledger::StoreError;
use crate::model::statistics::{
    CauseTotals, FailedJob, NotRun, Sample, SlowJob, Statistics, TaskTotals, Totals, TypeTotals,
};
use crate::model::template::split_name;
use crate::model::{Failure, FailureClass, JobId, JobState, Millis, RunId, RunState, text};
use rusqlite::{Connection, OptionalExtension, Row};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Runs that are looked at, the newest, for those that did not happen.
const RUNS_LOOKED_MAX: i64 = 200_000;
/// Types of input that are counted apart while the jobs are read; further ones count as others.
const TYPES_COUNTED_MAX: usize = 1000;
/// Causes that are counted while the jobs are read; further ones are left out.
const CAUSES_COUNTED_MAX: usize = 10_000;
/// Longest extension that makes a type of its own, in bytes.
const EXTENSION_MAX: usize = 16;
/// Runs that are looked at, the newest, for those that succeeded.
const HISTORY_LOOKED_MAX: i64 = 300;
/// Jobs whose figures are added up for a history; a task with more in its last runs has a shorter one.
const HISTORY_JOBS_MAX: u64 = 100_000;

const COLUMNS: &str = "j.id, j.task, j.state, j.input_label, j.attempt, j.started_at, j.finished_at, j.rows, j.rows_out, j.rejected, j.bytes_in,
  j.bytes_out, j.cause, a.ended_at";
const FROM: &str = "LEFT JOIN attempt a ON a.job = j.id AND a.n = j.attempt";

/// Jobs in a state that were over in a period, without originals in `failed/`; in the order of their end. A job that only
/// put others into the queue is none.
pub(super) fn over_sql() -> String {
    format!(
        "SELECT {COLUMNS} FROM job j INDEXED BY job_old {FROM}
         WHERE j.state = ?1 AND j.finished_at >= ?2 AND j.finished_at < ?3 AND j.keeps_file = 0
           AND NOT (j.kind = 1 AND j.state = 4) ORDER BY j.finished_at"
    )
}

/// Failed jobs of a period with an original in `failed/`, the newest first.
pub(super) fn kept_sql() -> String {
    format!(
        "SELECT {COLUMNS} FROM job j INDEXED BY job_page {FROM}
         WHERE j.rank = 0 AND j.state = ?1 AND j.finished_at >= ?2 AND j.finished_at < ?3 AND j.keeps_file = 1 ORDER BY j.id DESC"
    )
}

/// The newest runs, and of those the ones that did not happen. One that an operator skipped had jobs.
pub(super) const NOT_RUN: &str = "SELECT t.name, r.state, coalesce(r.reason, ''), r.planned_at
  FROM (SELECT id, task, state, reason, planned_at, total FROM run ORDER BY id DESC LIMIT ?1) r JOIN task t ON t.id = r.task
  WHERE (r.state = 7 OR (r.state = 6 AND r.total = 0)) AND r.planned_at >= ?2 AND r.planned_at < ?3 ORDER BY r.id DESC";

/// The newest runs of a task before one.
pub(super) const NEWEST_RUNS: &str = "SELECT r.id, r.state, r.planned_at, r.started_at, r.settled_at, r.total
  FROM task t JOIN run r ON r.task = t.id AND r.id < ?2 WHERE t.name = ?1 ORDER BY r.id DESC LIMIT ?3";

/// What the jobs of a run came to.
pub(super) const RUN_SUMS: &str =
    "SELECT sum(rows), sum(bytes_in), sum(bytes_out), min(started_at) FROM job WHERE run = ?1";

/// A job of the period.
struct Over {
    job: JobId,
    task: i64,
    state: JobState,
    label: Vec<u8>,
    attempts: i64,
    finished: Millis,
    duration_ms: Option<u64>,
    sums: [u64; 5],
    cause: Option<i64>,
}

impl Over {
    fn read(r: &Row<'_>) -> rusqlite::Result<Self> {
        let number = |at: usize| -> rusqlite::Result<u64> {
            Ok(u64::try_from(r.get::<_, Option<i64>>(at)?.unwrap_or(0)).unwrap_or(0))
        };
        let (started, ended): (Option<Millis>, Option<Millis>) = (r.get(5)?, r.get(13)?);
        let took = started.zip(ended).map(|(s, e)| u64::try_from(e.since(s).as_millis()).unwrap_or(u64::MAX));
        let state = r.get(2)?;
        Ok(Self {
            job: r.get(0)?,
            task: r.get(1)?,
            state,
            label: r.get(3)?,
            attempts: r.get(4)?,
            finished: r.get(6)?,
            // What was set aside or withdrawn was cut short.
            duration_ms: took.filter(|_| matches!(state, JobState::Succeeded | JobState::Failed)),
            sums: [number(7)?, number(8)?, number(9)?, number(10)?, number(11)?],
            cause: r.get(12)?,
        })
    }

    fn count(&self, totals: &mut Totals) {
        totals.count(self.state);
        totals.retried += u64::from(self.attempts > 1);
        totals.attempts = totals.attempts.saturating_add(unsigned(self.attempts.max(0)));
        let into =
            [&mut totals.rows, &mut totals.rows_out, &mut totals.rejected, &mut totals.bytes_in, &mut totals.bytes_out];
        for (sum, more) in into.into_iter().zip(self.sums) {
            *sum = sum.saturating_add(more);
        }
    }
}

/// What the pass over the jobs keeps.
struct Pass {
    totals: Totals,
    /// By the task's number; the place is its group in the sample.
    tasks: HashMap<i64, (usize, Totals)>,
    types: HashMap<String, Totals>,
    attempts: [u64; Statistics::ATTEMPTS_MAX],
    sample: Sample,
    /// The slowest so far, in no order.
    slowest: Vec<Over>,
    /// The newest failures so far, in no order.
    failures: Vec<Over>,
    causes: HashMap<i64, u64>,
}

impl Pass {
    fn new() -> Self {
        Self {
            totals: Totals::default(),
            tasks: HashMap::new(),
            types: HashMap::new(),
            attempts: Default::default(),
            sample: Sample::new(),
            slowest: Vec::new(),
            failures: Vec::new(),
            causes: HashMap::new(),
        }
    }

    fn take(&mut self, job: Over) {
        job.count(&mut self.totals);
        let group = self.tasks.len();
        let (group, of_task) = self.tasks.entry(job.task).or_insert((group, Totals::default()));
        job.count(of_task);
        if let Some(took) = job.duration_ms {
            self.sample.add(*group, took);
        }
        let name = input_type(&job.label);
        let known = self.types.len() < TYPES_COUNTED_MAX || self.types.contains_key(&name);
        job.count(self.types.entry(if known { name } else { OTHER_TYPES.to_owned() }).or_default());
        if let Ok(tries @ 1..) = usize::try_from(job.attempts) {
            let last = self.attempts.len() - 1;
            if let Some(n) = self.attempts.get_mut((tries - 1).min(last)) {
                *n += 1;
            }
        }
        if job.state == JobState::Failed {
            if let Some(cause) = job.cause
                && (self.causes.len() < CAUSES_COUNTED_MAX || self.causes.contains_key(&cause))
            {
                *self.causes.entry(cause).or_default() += 1;
            }
            let copy = Over { label: job.label.clone(), ..job };
            keep(&mut self.failures, copy, Statistics::FAILURES_MAX, |j| (j.finished.0, j.job.0));
        }
        if job.duration_ms.is_some() {
            keep(&mut self.slowest, job, Statistics::SLOWEST_MAX, |j| (j.duration_ms, -j.job.0));
        }
    }
}

/// Keeps the largest of a list.
fn keep<K: Ord>(list: &mut Vec<Over>, job: Over, max: usize, key: impl Fn(&Over) -> K) {
    if list.len() < max {
        list.push(job);
    } else if let Some(least) = list.iter_mut().min_by_key(|j| key(j))
        && key(least) < key(&job)
    {
        *least = job;
    }
}

/// What is counted together because there are too many types.
const OTHER_TYPES: &str = "other types";

/// The type of an input: the extension of a file's name, or in words what else it is.
fn input_type(label: &[u8]) -> String {
    if label.starts_with(b"http://") || label.starts_with(b"https://") {
        return "URL".to_owned();
    }
    if !label.starts_with(b"/") {
        return "no file".to_owned();
    }
    let name = label.rsplit(|b| *b == b'/').next().unwrap_or_default();
    let (_, extension) = split_name(OsStr::from_bytes(name));
    match extension.as_bytes() {
        [] => "no extension".to_owned(),
        long if long.len() > EXTENSION_MAX => OTHER_TYPES.to_owned(),
        short => text::bytes(&short.to_ascii_lowercase()),
    }
}

impl Queries {
    /// What the period from `from`, included, to `to`, not included, came to.
    pub fn statistics(&self, from: Millis, to: Millis) -> Result<Statistics, StoreError> {
        self.with(|conn| {
            let names = task_names(conn)?;
            let mut pass = Pass::new();
            for state in [JobState::Succeeded, JobState::Failed, JobState::Skipped, JobState::Cancelled] {
                let mut over = conn.prepare_cached(&over_sql())?;
                for job in over.query_map((state, from, to), Over::read)? {
                    pass.take(job?);
                }
            }
            let mut kept = conn.prepare_cached(&kept_sql())?;
            for job in kept.query_map((JobState::Failed, from, to), Over::read)? {
                pass.take(job?);
            }
            let mut out = made(conn, pass, &names)?;
            (out.from, out.to) = (from, to);
            out.not_run = not_run(conn, from, to)?;
            out.now = query::all_counts(conn)?;
            Ok(out)
        })
    }

    /// What the last runs of a task came to that succeeded, the newest first; only those before the run `before`.
    pub fn run_history(&self, task: &str, before: RunId) -> Result<Vec<RunFigures>, StoreError> {
        self.with(|conn| {
            let mut runs = conn.prepare_cached(NEWEST_RUNS)?;
            let mut history = Vec::new();
            let mut jobs = 0;
            let rows = runs.query_map((task, before, HISTORY_LOOKED_MAX), |r| {
                Ok((r.get::<_, RunId>(0)?, r.get(1)?, r.get::<_, Option<Millis>>(3)?, r.get(4)?, r.get(5)?))
            })?;
            for row in rows {
                let (run, state, started, settled, total): (_, i64, _, Option<Millis>, i64) = row?;
                if RunState::from_code(state) != Some(RunState::Succeeded) {
                    continue;
                }
                jobs += unsigned(total.max(0));
                if history.len() == RUNS_MAX || jobs > HISTORY_JOBS_MAX {
                    break;
                }
                history.push(figures(conn, run, started, settled)?);
            }
            Ok(history)
        })
    }

    /// What one run came to.
    pub fn run_figures(&self, run: RunId) -> Result<Option<RunFigures>, StoreError> {
        self.with(|conn| {
            let row = conn
                .prepare_cached("SELECT started_at, settled_at FROM run WHERE id = ?1")?
                .query_row([run], |r| Ok((r.get(0)?, r.get(1)?)))
                .optional()?;
            row.map(|(started, settled)| figures(conn, run, started, settled)).transpose()
        })
    }

    /// For when the newest run of a task was planned that succeeded, before the run `before`.
    pub fn success_before(&self, task: &str, before: RunId) -> Result<Option<Millis>, StoreError> {
        self.with(|conn| {
            let mut runs = conn.prepare_cached(NEWEST_RUNS)?;
            let rows = runs.query_map((task, before, HISTORY_LOOKED_MAX), |r| Ok((r.get(1)?, r.get(2)?)))?;
            for row in rows {
                let (state, planned): (i64, Millis) = row?;
                if RunState::from_code(state) == Some(RunState::Succeeded) {
                    return Ok(Some(planned));
                }
            }
            Ok(None)
        })
    }
}

fn figures(
    conn: &Connection,
    run: RunId,
    started: Option<Millis>,
    settled: Option<Millis>,
) -> rusqlite::Result<RunFigures> {
    conn.prepare_cached(RUN_SUMS)?.query_row([run], |r| {
        let sum = |at| -> rusqlite::Result<Option<u64>> {
            Ok(r.get::<_, Option<i64>>(at)?.and_then(|n| u64::try_from(n).ok()))
        };
        // A run that landed was there before anybody took it up.
        let started = r.get::<_, Option<Millis>>(3)?.or(started);
        Ok(RunFigures {
            rows: sum(0)?,
            bytes_in: sum(1)?,
            bytes_out: sum(2)?,
            duration_ms: started.zip(settled).map(|(s, e)| u64::try_from(e.since(s).as_millis()).unwrap_or(u64::MAX)),
        })
    })
}

fn task_names(conn: &Connection) -> rusqlite::Result<HashMap<i64, String>> {
    let mut select = conn.prepare_cached("SELECT id, name FROM task")?;
    select.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect()
}

/// Turns what the pass kept into lists in their order.
fn made(conn: &Connection, pass: Pass, names: &HashMap<i64, String>) -> rusqlite::Result<Statistics> {
    let Pass { totals, tasks, types, attempts, sample, mut slowest, mut failures, causes } = pass;
    let name = |task: i64| names.get(&task).cloned().unwrap_or_else(|| format!("task {task}"));
    let mut out = Statistics { totals, attempts, ..Statistics::default() };
    out.totals.durations = sample.all();
    for (task, (group, mut totals)) in tasks {
        totals.durations = sample.durations(group);
        out.tasks.push(TaskTotals { task: name(task), totals });
    }
    out.tasks.sort_by(|a, b| (b.totals.jobs(), &a.task).cmp(&(a.totals.jobs(), &b.task)));
    out.types = by_type(types);
    slowest.sort_by_key(|j| (std::cmp::Reverse(j.duration_ms), j.job));
    let slow = |j: Over| SlowJob {
        job: j.job,
        task: name(j.task),
        input: text::bytes(&j.label),
        state: j.state,
        duration_ms: j.duration_ms.unwrap_or(0),
    };
    out.slowest = slowest.into_iter().map(slow).collect();
    failures.sort_by_key(|j| std::cmp::Reverse((j.finished, j.job)));
    for job in failures {
        let failure = failure(conn, &job)?;
        out.failures.push(failed(&job, name(job.task), failure));
    }
    out.causes = by_cause(conn, causes, &name)?;
    Ok(out)
}

fn by_type(types: HashMap<String, Totals>) -> Vec<TypeTotals> {
    let mut list: Vec<_> = types.into_iter().map(|(name, totals)| TypeTotals { name, totals }).collect();
    list.sort_by(|a, b| (b.totals.jobs(), &a.name).cmp(&(a.totals.jobs(), &b.name)));
    if list.len() > Statistics::TYPES_MAX {
        let rest = list.split_off(Statistics::TYPES_MAX - 1);
        let mut others = TypeTotals { name: OTHER_TYPES.to_owned(), totals: Totals::default() };
        for TypeTotals { totals: t, .. } in rest {
            let o = &mut others.totals;
            (o.processed, o.failed) = (o.processed + t.processed, o.failed + t.failed);
            (o.skipped, o.cancelled) = (o.skipped + t.skipped, o.cancelled + t.cancelled);
            (o.retried, o.attempts) = (o.retried + t.retried, o.attempts.saturating_add(t.attempts));
            (o.rows, o.rows_out) = (o.rows.saturating_add(t.rows), o.rows_out.saturating_add(t.rows_out));
            o.rejected = o.rejected.saturating_add(t.rejected);
            (o.bytes_in, o.bytes_out) =
                (o.bytes_in.saturating_add(t.bytes_in), o.bytes_out.saturating_add(t.bytes_out));
        }
        list.push(others);
    }
    list
}

/// Why a job failed: of its newest attempt that says so.
fn failure(conn: &Connection, job: &Over) -> rusqlite::Result<Option<Failure>> {
    let json: Option<String> = conn
        .prepare_cached("SELECT error FROM attempt WHERE job = ?1 AND error IS NOT NULL ORDER BY n DESC LIMIT 1")?
        .query_row([job.job], |r| r.get(0))
        .optional()?;
    Ok(json.and_then(|json| serde_json::from_str(&json).ok()))
}

fn failed(job: &Over, task: String, failure: Option<Failure>) -> FailedJob {
    let blank = FailedJob {
        job: job.job,
        task,
        input: text::bytes(&job.label),
        at: job.finished,
        attempts: job.attempts,
        class: None,
        code: "unknown".to_owned(),
        message: "no reason was kept".to_owned(),
        file: None,
        line: None,
        column: None,
        column_name: None,
    };
    match failure {
        None => blank,
        Some(f) => FailedJob {
            class: Some(f.class),
            code: f.code,
            message: f.message,
            file: f.file,
            line: f.line,
            column: f.column,
            column_name: f.column_name,
            ..blank
        },
    }
}

fn by_cause(
    conn: &Connection,
    causes: HashMap<i64, u64>,
    name: &dyn Fn(i64) -> String,
) -> rusqlite::Result<Vec<CauseTotals>> {
    let mut counted: Vec<(u64, i64)> = causes.into_iter().map(|(cause, jobs)| (jobs, cause)).collect();
    counted.sort_unstable_by_key(|(jobs, cause)| (std::cmp::Reverse(*jobs), *cause));
    let mut select = conn.prepare_cached("SELECT task, class, code, text FROM cause WHERE id = ?1")?;
    let mut out = Vec::new();
    for (jobs, cause) in counted.into_iter().take(Statistics::CAUSES_MAX) {
        let found = select.query_row([cause], |r| {
            let class = FailureClass::from_code(r.get(1)?).map_or("unknown", FailureClass::name).to_owned();
            Ok(CauseTotals { task: name(r.get(0)?), class, code: r.get(2)?, text: r.get(3)?, jobs })
        });
        out.extend(found.optional()?);
    }
    Ok(out)
}

fn not_run(conn: &Connection, from: Millis, to: Millis) -> rusqlite::Result<Vec<NotRun>> {
    let mut out: Vec<NotRun> = Vec::new();
    let mut select = conn.prepare_cached(NOT_RUN)?;
    let rows = select.query_map((RUNS_LOOKED_MAX, from, to), |r| {
        let state = RunState::from_code(r.get(1)?).unwrap_or(RunState::Missed);
        Ok(NotRun { task: r.get(0)?, state, reason: r.get(2)?, runs: 1, last: r.get(3)? })
    })?;
    for run in rows {
        let run = run?;
        let same = |n: &&mut NotRun| n.task == run.task && n.state == run.state && n.reason == run.reason;
        if let Some(known) = out.iter_mut().find(same) {
            known.runs += 1;
            known.last = known.last.max(run.last);
        } else if out.len() < Statistics::NOT_RUN_MAX {
            out.push(run);
        }
    }
    Ok(out)
}

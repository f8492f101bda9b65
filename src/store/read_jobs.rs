//! Jobs for the screen and the command line: pages by rank and number, one job with its history, the history of a file.

use super::query::Queries;
use super::rows::{FAILED, IN, OUT, PROCESSED, blob};
use super::select;
use crate::clock::rfc3339;
use crate::model::action::network::Call;
use crate::model::job::JobKind;
use crate::model::ledger::StoreError;
use crate::model::ports::JobsQuery;
use crate::model::view::{ActionView, AttemptView, CauseView, FileView, JobDetail, JobView, JobsPage, RunView};
use crate::model::{CauseId, Detail, Failure, FailureClass, JobId, JobState, Millis, RunId, RunState, text};
use base64::Engine;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};
use std::path::Path;

/// Longest list of attempts, files or actions shown for one job; the newest are kept.
const HISTORY_MAX: i64 = 200;

/// Changes since a revision are looked up by it as long as there are not more revisions than this; beyond, page by page.
const SINCE_MAX: i64 = 10_000;

/// The jobs that a path belongs to, newest first.
pub(super) const BY_PATH: &str =
    "SELECT DISTINCT job FROM job_file WHERE path = ?1 AND (?2 IS NULL OR root = ?2) ORDER BY job DESC LIMIT ?3";

const COLUMNS: &str = "j.id, j.run, t.name, t.action, j.state, j.input_label, j.attempt, j.spent, j.max_spent, j.created_at, j.started_at,
  j.finished_at, j.not_before, j.rows, j.bytes_in, j.bytes_out, j.held, j.maybe_repeated, j.reason, j.rev, a.error, a.ended_at,
  j.rows_out, j.rejected, a.call, j.lane, j.kind";
const FROM: &str = "job j JOIN task t ON t.id = j.task LEFT JOIN attempt a ON a.job = j.id AND a.n = j.attempt";

impl Queries {
    /// A page of the job list: rank first, within it newest first.
    pub fn jobs(&self, query: &JobsQuery, now: Millis) -> Result<JobsPage, StoreError> {
        let after = query.after.as_deref().map(parse_cursor).transpose()?;
        self.with(|conn| {
            let rev = conn.prepare_cached("SELECT value FROM meta WHERE key = 'rev'")?.query_row([], |r| r.get(0))?;
            let (matching, more) = select::matching(conn, &query.filter, now)?;
            let mut page = JobsPage { rev, matching, more, ..JobsPage::default() };
            let wanted = query.limit.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
            page.jobs = match query.since_rev {
                Some(since) if i64::saturating_sub(rev, since) <= SINCE_MAX => {
                    changed(conn, query, now, since, after, wanted)?
                }
                since => by_rank(conn, query, now, since.unwrap_or(-1), after, wanted)?,
            };
            // One more than wanted was read, to know whether there is another page.
            if page.jobs.len() > wanted {
                page.jobs.truncate(wanted);
                page.next = page.jobs.last().map(|j| format!("{}.{}", j.state.rank(), j.id));
            }
            for job in &mut page.jobs {
                job.outputs = outputs(conn, job.id)?;
            }
            Ok(page)
        })
    }

    /// Everything about one job; none if there is no such job.
    pub fn job(&self, id: JobId, now: Millis) -> Result<Option<JobDetail>, StoreError> {
        self.with(|conn| {
            let Some(mut job) = one_job(conn, id, now)? else { return Ok(None) };
            job.outputs = outputs(conn, id)?;
            Ok(Some(JobDetail {
                attempts: attempts(conn, id, now)?,
                files: files(conn, id)?,
                rejects: if job.rejected > 0 { rejects(conn, id)? } else { Vec::new() },
                cause: cause(conn, id)?,
                actions: actions(conn, id)?,
                why: Vec::new(),
                run: run(conn, job.run)?,
                job,
            }))
        })
    }

    /// The jobs that a path belonged to, as input or output, newest first.
    pub fn file(&self, path: &Path, now: Millis) -> Result<JobsPage, StoreError> {
        self.with(|conn| {
            let mut ids = Vec::new();
            let mut find = conn.prepare_cached(BY_PATH)?;
            // An absolute path is one whatever root it is recorded with; others lie below one of its folders.
            let mut look = |path: &Path, root: Option<&Path>| -> rusqlite::Result<()> {
                for id in find.query_map((blob(path), root.map(blob), HISTORY_MAX), |r| r.get::<_, JobId>(0))? {
                    ids.push(id?);
                }
                Ok(())
            };
            look(path, None)?;
            for root in path.ancestors().skip(1) {
                if let Ok(rest) = path.strip_prefix(root) {
                    look(rest, Some(root))?;
                }
            }
            ids.sort_unstable_by(|a, b| b.cmp(a));
            ids.dedup();
            ids.truncate(usize::try_from(HISTORY_MAX).unwrap_or(usize::MAX));
            let mut page = JobsPage { matching: ids.len() as u64, ..JobsPage::default() };
            for id in ids {
                if let Some(mut job) = one_job(conn, id, now)? {
                    job.outputs = outputs(conn, id)?;
                    page.jobs.push(job);
                }
            }
            Ok(page)
        })
    }
}

/// The last row of a page: its rank and its number.
type Cursor = (i64, i64);

/// A page rank by rank, each in the order of an index: never sorted, never more rows than wanted.
fn by_rank(
    conn: &Connection,
    query: &JobsQuery,
    now: Millis,
    since: i64,
    after: Option<Cursor>,
    wanted: usize,
) -> rusqlite::Result<Vec<JobView>> {
    let mut jobs = Vec::new();
    let c = select::condition(&query.filter, now);
    let mut stmt = conn.prepare_cached(&page_sql(&c))?;
    for rank in select::ranks(&query.filter) {
        let below = match after {
            Some((last, _)) if rank < last => continue,
            Some((last, id)) if rank == last => id,
            _ => i64::MAX,
        };
        let left = i64::try_from(wanted.saturating_sub(jobs.len())).unwrap_or(i64::MAX).saturating_add(1);
        let mut values = vec![Value::from(rank), below.into(), since.into()];
        values.extend(c.values.iter().cloned());
        values.push(left.into());
        for row in stmt.query_map(params_from_iter(values), |r| job_view(r, now))? {
            jobs.push(row?);
        }
        if jobs.len() > wanted {
            break;
        }
    }
    Ok(jobs)
}

/// A page of what changed not long ago: few rows, found by their revision and then sorted.
fn changed(
    conn: &Connection,
    query: &JobsQuery,
    now: Millis,
    since: i64,
    after: Option<Cursor>,
    wanted: usize,
) -> rusqlite::Result<Vec<JobView>> {
    let c = select::condition(&query.filter, now);
    let (rank, id) = after.unwrap_or((-1, 0));
    let mut values = vec![Value::from(since), rank.into(), rank.into(), id.into()];
    values.extend(c.values.iter().cloned());
    values.push(i64::try_from(wanted).unwrap_or(i64::MAX).saturating_add(1).into());
    let mut stmt = conn.prepare_cached(&changed_sql(&c))?;
    stmt.query_map(params_from_iter(values), |r| job_view(r, now))?.collect()
}

pub(super) fn page_sql(c: &select::Condition) -> String {
    format!(
        "SELECT {COLUMNS} FROM {FROM} WHERE j.rank = ? AND j.id < ? AND j.rev > ? AND {} ORDER BY j.id DESC LIMIT ?",
        c.sql
    )
}

pub(super) fn changed_sql(c: &select::Condition) -> String {
    // The index is named, because any other would look through all jobs of a rank or a task.
    let from = FROM.replacen("job j", "job j INDEXED BY job_rev", 1);
    format!(
        "SELECT {COLUMNS} FROM {from} WHERE j.rev > ? AND (j.rank > ? OR (j.rank = ? AND j.id < ?)) AND ({})
         ORDER BY j.rank, j.id DESC LIMIT ?",
        c.sql
    )
}

fn parse_cursor(text: &str) -> Result<Cursor, StoreError> {
    let parsed = text.split_once('.').and_then(|(rank, id)| Some((rank.parse().ok()?, id.parse().ok()?)));
    let known = parsed.filter(|(rank, _)| (0..=select::RANK_MAX).contains(rank));
    known.ok_or_else(|| StoreError::Fault(format!("not a cursor: {text}")))
}

fn one_job(conn: &Connection, id: JobId, now: Millis) -> rusqlite::Result<Option<JobView>> {
    let sql = format!("SELECT {COLUMNS} FROM {FROM} WHERE j.id = ?1");
    conn.prepare_cached(&sql)?.query_map([id], |r| job_view(r, now))?.next().transpose()
}

fn job_view(r: &Row<'_>, now: Millis) -> rusqlite::Result<JobView> {
    let state: JobState = r.get(4)?;
    let label: Vec<u8> = r.get(5)?;
    let started: Option<Millis> = r.get(10)?;
    let ended: Option<Millis> = r.get(21)?;
    let error: Option<String> = r.get(20)?;
    let call: Option<String> = r.get(24)?;
    let call: Option<Call> = call.and_then(|c| serde_json::from_str(&c).ok());
    let running = matches!(state, JobState::Running);
    let until = if running { Some(now) } else { ended };
    Ok(JobView {
        id: r.get(0)?,
        run: r.get(1)?,
        task: r.get(2)?,
        action: r.get(3)?,
        state,
        input: text::bytes(&label),
        input_b64: std::str::from_utf8(&label)
            .is_err()
            .then(|| base64::engine::general_purpose::STANDARD.encode(&label)),
        attempt: r.get(6)?,
        spent: r.get(7)?,
        max_attempts: r.get(8)?,
        created_at: rfc3339(r.get(9)?),
        started_at: started.map(rfc3339),
        finished_at: r.get::<_, Option<Millis>>(11)?.map(rfc3339),
        duration_ms: started.zip(until).map(|(s, u)| u64::try_from(u.since(s).as_millis()).unwrap_or(u64::MAX)),
        not_before: r.get::<_, Option<Millis>>(12)?.map(rfc3339),
        rows: r.get(13)?,
        rows_out: r.get(22)?,
        rejected: r.get(23)?,
        bytes_in: r.get(14)?,
        bytes_out: r.get(15)?,
        outputs: Vec::new(),
        error: if state == JobState::Succeeded || running {
            None
        } else {
            error.and_then(|e| serde_json::from_str(&e).ok())
        },
        held: r.get(16)?,
        maybe_repeated: r.get(17)?,
        reason: r.get(18)?,
        rev: r.get(19)?,
        host: Some(r.get::<_, String>(25)?).filter(|lane| !lane.is_empty()),
        http_status: call.and_then(|c| c.status),
        latency_ms: call.and_then(|c| c.latency_ms),
        requests: call.map(|c| c.requests),
        cached: call.is_some_and(|c| c.cached),
        is_plan: JobKind::from_code(r.get(26)?) == Some(JobKind::Plan),
    })
}

fn outputs(conn: &Connection, id: JobId) -> rusqlite::Result<Vec<String>> {
    let mut stmt = conn.prepare_cached("SELECT path FROM job_file WHERE job = ?1 AND dir = ?2 ORDER BY ord")?;
    stmt.query_map((id, OUT), |r| r.get::<_, Vec<u8>>(0))?.map(|p| p.map(|p| text::bytes(&p))).collect()
}

fn attempts(conn: &Connection, id: JobId, now: Millis) -> rusqlite::Result<Vec<AttemptView>> {
    let mut stmt = conn.prepare_cached(
        "SELECT * FROM (SELECT a.n, coalesce(d.name, ''), a.started_at, a.ended_at, a.outcome, a.class, a.exit, a.charged, a.error, a.config_hash,
                a.log_head, a.log_ref FROM attempt a LEFT JOIN node d ON d.id = a.node WHERE a.job = ?1 ORDER BY a.n DESC LIMIT ?2) ORDER BY 1",
    )?;
    let rows = stmt.query_map((id, HISTORY_MAX), |r| {
        let started: Millis = r.get(2)?;
        let ended: Option<Millis> = r.get(3)?;
        let class: Option<i64> = r.get(5)?;
        let error: Option<String> = r.get(8)?;
        Ok(AttemptView {
            n: r.get(0)?,
            node: r.get(1)?,
            started_at: rfc3339(started),
            ended_at: ended.map(rfc3339),
            duration_ms: u64::try_from(ended.unwrap_or(now).since(started).as_millis()).ok(),
            // What the store needs to tell a crash by is no outcome of its own to an operator.
            outcome: r.get::<_, Option<String>>(4)?.map(|o| if o == "crashed" { "interrupted".into() } else { o }),
            class: class.and_then(FailureClass::from_code),
            exit: r.get(6)?,
            charged: r.get(7)?,
            error: error.and_then(|e| serde_json::from_str::<Failure>(&e).ok()),
            config_hash: r.get(9)?,
            output: r.get(10)?,
            output_file: r.get::<_, Option<Vec<u8>>>(11)?.map(|p| text::bytes(&p)),
        })
    })?;
    rows.collect()
}

/// A run and what its jobs came to.
fn run(conn: &Connection, id: RunId) -> rusqlite::Result<Option<RunView>> {
    let mut stmt = conn.prepare_cached(
        "SELECT state, trigger, upstream, planned_at, settled_at, total, open, ok, failed, skipped FROM run WHERE id = ?1",
    )?;
    let mut rows = stmt.query_map([id], |r| {
        let state: i64 = r.get(0)?;
        Ok(RunView {
            id,
            state: RunState::from_code(state).unwrap_or(RunState::Open),
            trigger: r.get(1)?,
            upstream: r.get(2)?,
            planned_at: rfc3339(r.get(3)?),
            settled_at: r.get::<_, Option<Millis>>(4)?.map(rfc3339),
            total: r.get(5)?,
            open: r.get(6)?,
            ok: r.get(7)?,
            failed: r.get(8)?,
            skipped: r.get(9)?,
        })
    })?;
    rows.next().transpose()
}

/// What the last attempt set aside.
fn rejects(conn: &Connection, id: JobId) -> rusqlite::Result<Vec<Detail>> {
    let mut stmt = conn.prepare_cached("SELECT rejects FROM attempt WHERE job = ?1 ORDER BY n DESC LIMIT 1")?;
    let text: Option<String> = stmt.query_map([id], |r| r.get(0))?.next().transpose()?.flatten();
    Ok(text.and_then(|t| serde_json::from_str(&t).ok()).unwrap_or_default())
}

fn files(conn: &Connection, id: JobId) -> rusqlite::Result<Vec<FileView>> {
    let mut stmt = conn
        .prepare_cached("SELECT dir, root, path, size, at FROM job_file WHERE job = ?1 ORDER BY dir, ord LIMIT ?2")?;
    let rows = stmt.query_map((id, HISTORY_MAX), |r| {
        let dir: i64 = r.get(0)?;
        let whole = super::rows::path(r.get(1)?).join(super::rows::path(r.get(2)?));
        let role = match dir {
            IN => "in",
            OUT => "out",
            PROCESSED => "processed",
            FAILED => "failed",
            _ => "record",
        };
        let size = super::rows::unsigned(r.get(3)?);
        Ok(FileView {
            role: role.into(),
            path: text::path(&whole),
            size: (dir <= OUT).then_some(size),
            at: rfc3339(r.get(4)?),
        })
    })?;
    rows.collect()
}

fn cause(conn: &Connection, id: JobId) -> rusqlite::Result<Option<CauseView>> {
    conn.prepare_cached(
        "SELECT c.id, c.text, c.first_at, c.last_at, c.open, c.total FROM job j JOIN cause c ON c.id = j.cause WHERE j.id = ?1",
    )?
    .query_map([id], |r| {
        Ok(CauseView {
            id: CauseId(r.get(0)?),
            text: r.get(1)?,
            first_at: rfc3339(r.get(2)?),
            last_at: rfc3339(r.get(3)?),
            open: r.get(4)?,
            total: r.get(5)?,
        })
    })?
    .next()
    .transpose()
}

fn actions(conn: &Connection, id: JobId) -> rusqlite::Result<Vec<ActionView>> {
    let mut stmt = conn.prepare_cached(
        "SELECT a.at, a.uid, a.kind, a.filter, a.reason FROM action_job x JOIN action a ON a.id = x.action WHERE x.job = ?1 ORDER BY a.id LIMIT ?2",
    )?;
    let rows = stmt.query_map((id, HISTORY_MAX), |r| {
        Ok(ActionView {
            at: rfc3339(r.get(0)?),
            uid: r.get(1)?,
            user: None,
            kind: r.get(2)?,
            filter: r.get(3)?,
            reason: r.get(4)?,
        })
    })?;
    rows.collect()
}

impl Queries {
    /// The run and the task of a job, for questions about why.
    pub fn run_of(&self, id: JobId) -> Result<Option<RunId>, StoreError> {
        self.with(|conn| {
            conn.prepare_cached("SELECT run FROM job WHERE id = ?1")?.query_map([id], |r| r.get(0))?.next().transpose()
        })
    }
}

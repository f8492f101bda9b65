//! S6: the point of no return. Before it everything rolls back, after it everything rolls forward.

use super::rows::{FAILED, IN, OUT, PROCESSED, RECORD, amount, blob, signed};
use super::txn::Txn;
use crate::model::job::{JobKind, Move};
use crate::model::ledger::{DecideAnswer, Decided, Decision, Fence, OutputRecord, Settled, StoreError, Verdict};
use crate::model::{Failure, FailureClass, JobId, JobState, Millis, Outcome};
use rusqlite::OptionalExtension;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The columns of a job that a decision looks at.
struct Row {
    task: i64,
    state: JobState,
    attempt: i64,
    spent: u32,
    rev: i64,
    cancel_action: Option<i64>,
    cause: Option<i64>,
    kind: JobKind,
}

impl Txn<'_> {
    /// Decides a batch of jobs.
    pub(super) fn decide(&mut self, batch: &[Decision]) -> Result<DecideAnswer, StoreError> {
        let mut answer = DecideAnswer::default();
        let mut tasks = Vec::new();
        for decision in batch {
            let decided = self.decide_one(decision, &mut tasks, &mut answer.settled)?;
            answer.decided.push(decided);
        }
        answer.lanes = self.hints(tasks)?;
        Ok(answer)
    }

    /// Decides one job; `touched` gets the tasks whose lanes changed.
    fn decide_one(
        &mut self,
        d: &Decision,
        touched: &mut Vec<i64>,
        settled: &mut Vec<Settled>,
    ) -> Result<Decided, StoreError> {
        let Some(row) = self.job_row(d.job)? else { return Ok(Decided::Lost) };
        let places = matches!(d.verdict, Verdict::Place { .. });
        let holds = match d.fence {
            Fence::Attempt(n) => row.state == JobState::Running && row.attempt == n,
            // A failed job goes back to work by `retry` alone, which also opens its run and takes up its file.
            Fence::Rev(rev) => {
                row.rev == rev
                    && (matches!(row.state, JobState::Waiting | JobState::Queued)
                        || (row.state == JobState::Failed && places))
            }
        };
        if !holds {
            return Ok(Decided::Lost);
        }
        let cancels = matches!(&d.verdict, Verdict::Place { outcome: Outcome::Cancelled, .. });
        // What cannot be written down now cannot be cancelled now either: it is held, and its next claim knows.
        let holds_off = matches!(d.verdict, Verdict::Hold { .. });
        if let (Some(action), Fence::Attempt(_), false, false) = (row.cancel_action, d.fence, cancels, holds_off) {
            return Ok(Decided::CancelInstead(action));
        }
        touched.push(row.task);
        if let Some(action) = d.action {
            self.link(action, d.job)?;
        }
        if !d.keep_checkpoint {
            self.forget_checkpoint(d.job)?;
        }
        let charged = d.charged && matches!(d.verdict, Verdict::Place { .. } | Verdict::Retry { .. });
        let spent = if charged || matches!(d.fence, Fence::Rev(_)) { row.spent } else { row.spent.saturating_sub(1) };
        let state = match &d.verdict {
            Verdict::Place { .. } => self.place(d, &row, spent, (touched, settled))?,
            Verdict::Retry { failure, at } => {
                self.end_attempt(d, "retry", Some(failure), charged)?;
                self.wait(d, &row, spent, *at, None)?;
                JobState::Waiting
            }
            Verdict::Hold { reason, at } => {
                self.end_attempt(d, "held", None, charged)?;
                self.wait(d, &row, spent, *at, Some(reason))?;
                JobState::Waiting
            }
            Verdict::Requeue { failure } => {
                self.end_attempt(d, "interrupted", Some(failure), charged)?;
                let rev = self.bump();
                self.sql(
                    "UPDATE job SET state = 1, rank = 3, spent = ?2, owner = NULL, not_before = NULL, held = NULL, rev = ?3, maybe_repeated = ?4
                     WHERE id = ?1",
                )?
                .execute((d.job, spent, rev, true))?;
                self.moved(row.task, (row.state, row.spent), (JobState::Queued, spent));
                JobState::Queued
            }
        };
        Ok(Decided::Now(state))
    }

    fn job_row(&self, job: JobId) -> Result<Option<Row>, StoreError> {
        Ok(self
            .sql("SELECT task, state, attempt, spent, rev, cancel_action, cause, kind FROM job WHERE id = ?1")?
            .query_row([job], |r| {
                Ok(Row {
                    task: r.get(0)?,
                    state: r.get(1)?,
                    attempt: r.get(2)?,
                    spent: r.get(3)?,
                    rev: r.get(4)?,
                    cancel_action: r.get(5)?,
                    cause: r.get(6)?,
                    kind: JobKind::from_code(r.get(7)?).unwrap_or_default(),
                })
            })
            .optional()?)
    }

    fn wait(&mut self, d: &Decision, row: &Row, spent: u32, at: Millis, held: Option<&str>) -> Result<(), StoreError> {
        let rev = self.bump();
        self.sql(
            "UPDATE job SET state = 0, rank = 2, spent = ?2, owner = NULL, not_before = ?3, held = ?4, rev = ?5 WHERE id = ?1",
        )?
        .execute((d.job, spent, at, held, rev))?;
        self.moved(row.task, (row.state, row.spent), (JobState::Waiting, spent));
        Ok(())
    }

    fn place(
        &mut self,
        d: &Decision,
        row: &Row,
        spent: u32,
        (touched, settled): (&mut Vec<i64>, &mut Vec<Settled>),
    ) -> Result<JobState, StoreError> {
        let Verdict::Place { outcome, failure, moves, original, record, reason } = &d.verdict else {
            return Err(StoreError::Fault("not a placing".into()));
        };
        if matches!(d.fence, Fence::Attempt(_)) {
            self.end_attempt(d, outcome.state().name(), failure.as_ref(), d.charged)?;
        }
        let cause = match (outcome, failure) {
            (Outcome::Failed, Some(failure)) => Some(self.count_cause(row.task, failure, d.at)?),
            _ => None,
        };
        if row.state == JobState::Failed {
            self.close_cause(row.cause)?;
            self.reopen_run(d.job)?;
        }
        let written = d.outputs.iter().fold(0_u64, |sum, o| sum.saturating_add(o.size));
        // A failed original stays in `failed/` until an operator takes it away, and its job is its history.
        let keeps_file = *outcome == Outcome::Failed && original.is_some();
        let rev = self.bump();
        self.sql(
            "UPDATE job SET state = 3, rank = 1, spent = ?2, outcome = ?3, cause = ?4, again = NULL, rows = coalesce(?5, rows),
                    bytes_in = coalesce(?6, bytes_in), bytes_out = ?7, rev = ?8, not_before = NULL, held = NULL, finished_at = NULL, reason = ?9,
                    keeps_file = ?10, rows_out = ?11, rejected = ?12 WHERE id = ?1",
        )?
        .execute((
            d.job,
            spent,
            outcome.state(),
            cause,
            d.rows.map(amount),
            d.bytes_in.map(amount),
            amount(written),
            rev,
            reason,
            keeps_file,
            d.rows_out.map(amount),
            amount(d.rejected),
        ))?;
        self.moved(row.task, (row.state, row.spent), (JobState::Placing, spent));
        self.insert_moves(d.job, row.attempt, moves)?;
        self.place_files(d, row.kind, *outcome, original.as_deref(), record.as_deref())?;
        if let Some(action) = d.action {
            self.sql("INSERT OR IGNORE INTO action_job(job, action) VALUES (?1, ?2)")?.execute((d.job, action))?;
        }
        if moves.is_empty() {
            let (run, started) = self.finish_one(d.job, d.at)?;
            touched.extend(started);
            settled.extend(run);
            return Ok(outcome.state());
        }
        Ok(JobState::Placing)
    }

    fn insert_moves(&self, job: JobId, attempt: i64, moves: &[Move]) -> Result<(), StoreError> {
        for m in moves {
            self.sql("INSERT INTO move(job, attempt, seq, src, dst, ino, kind) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
                .execute((job, attempt, m.seq, blob(&m.src), blob(&m.dst), signed(m.ino), m.kind.code()))?;
        }
        Ok(())
    }

    /// Records where everything will lie, and that the input no longer has a live job.
    fn place_files(
        &self,
        d: &Decision,
        kind: JobKind,
        outcome: Outcome,
        original: Option<&Path>,
        record: Option<&Path>,
    ) -> Result<(), StoreError> {
        // An item of a plan has no file of its own, and of a first attempt nothing was placed before.
        if kind != JobKind::Item {
            self.sql("UPDATE job_file SET live = 0 WHERE job = ?1 AND dir = ?2")?.execute((d.job, IN))?;
        }
        if d.fence != Fence::Attempt(1) {
            self.sql("DELETE FROM job_file WHERE job = ?1 AND dir > ?2")?.execute((d.job, IN))?;
        }
        for (ord, out) in d.outputs.iter().enumerate() {
            self.insert_place(d, OUT, signed(ord as u64), out)?;
        }
        let dir = if outcome == Outcome::Succeeded { PROCESSED } else { FAILED };
        for (dir, place) in [(dir, original), (RECORD, record)] {
            if let Some(place) = place {
                let nothing = OutputRecord { path: place.to_owned(), ino: 0, size: 0, mtime_ns: 0 };
                self.insert_place(d, dir, 0, &nothing)?;
            }
        }
        Ok(())
    }

    fn insert_place(&self, d: &Decision, dir: i64, ord: i64, file: &OutputRecord) -> Result<(), StoreError> {
        let name = file.path.file_name().unwrap_or_default();
        self.sql(
            "INSERT INTO job_file(job, dir, ord, root, path, name, live, ino, size, mtime_ns, at)
             VALUES (?1, ?2, ?3, x'', ?4, ?5, 0, ?6, ?7, ?8, ?9)",
        )?
        .execute((
            d.job,
            dir,
            ord,
            blob(&file.path),
            name.as_bytes(),
            signed(file.ino),
            signed(file.size),
            file.mtime_ns,
            d.at,
        ))?;
        Ok(())
    }

    /// Ends the attempt's row. One that a start has marked as crashed stays so: the deaths of a job are counted by it.
    fn end_attempt(
        &self,
        d: &Decision,
        outcome: &str,
        failure: Option<&Failure>,
        charged: bool,
    ) -> Result<(), StoreError> {
        let Fence::Attempt(n) = d.fence else { return Ok(()) };
        let error = failure.and_then(|f| serde_json::to_string(f).ok());
        let call = d.call.or_else(|| failure.and_then(|f| f.call));
        let call = call.and_then(|c| serde_json::to_string(&c).ok());
        let rejects = (!d.rejects.is_empty()).then(|| serde_json::to_string(&d.rejects).ok()).flatten();
        self.sql(
            "UPDATE attempt SET ended_at = coalesce(ended_at, ?3), outcome = CASE outcome WHEN 'crashed' THEN outcome ELSE ?4 END, class = ?5, code = ?6, charged = ?7, exit = ?8, error = ?9,
                    log_head = ?10, log_ref = ?11, rejects = ?12, call = ?13 WHERE job = ?1 AND n = ?2",
        )?
        .execute((
            d.job,
            n,
            d.at,
            outcome,
            failure.map(|f| f.class.code()),
            failure.map(|f| f.code.as_str()),
            charged,
            d.exit,
            error,
            d.log_head.as_deref(),
            d.log_ref.as_deref().map(blob),
            rejects,
            call,
        ))?;
        Ok(())
    }

    fn count_cause(&self, task: i64, failure: &Failure, at: Millis) -> Result<i64, StoreError> {
        Ok(self
            .sql(
                "INSERT INTO cause(task, class, code, text, first_at, last_at, open, total) VALUES (?1, ?2, ?3, ?4, ?5, ?5, 1, 1)
                 ON CONFLICT(task, class, code, text) DO UPDATE SET last_at = ?5, open = open + 1, total = total + 1 RETURNING id",
            )?
            .query_row((task, FailureClass::code(failure.class), &failure.code, failure.cause_text(), at), |r| r.get(0))?)
    }

    /// A failed job with this cause is failed no longer.
    pub(super) fn close_cause(&self, cause: Option<i64>) -> Result<(), StoreError> {
        if let Some(cause) = cause {
            self.sql("UPDATE cause SET open = max(open - 1, 0) WHERE id = ?1")?.execute([cause])?;
        }
        Ok(())
    }

    /// A failed job of a settled run is taken up again: the run is open again.
    pub(super) fn reopen_run(&self, job: JobId) -> Result<(), StoreError> {
        self.sql(
            "UPDATE run SET open = open + 1, failed = max(failed - 1, 0), settled_at = NULL,
               state = CASE WHEN (SELECT kind FROM job WHERE id = ?1) = 1 THEN 1 ELSE 2 END,
               total = total - ((SELECT kind FROM job WHERE id = ?1) = 1) WHERE id = (SELECT run FROM job WHERE id = ?1)",
        )?
        .execute([job])?;
        Ok(())
    }

    /// S7: a name was taken by somebody else; the moves go elsewhere, together.
    pub(super) fn retarget(&mut self, job: JobId, moves: &[Move]) -> Result<(), StoreError> {
        for Move { seq, src, dst, .. } in moves {
            let old: Vec<u8> =
                self.sql("SELECT dst FROM move WHERE job = ?1 AND seq = ?2")?.query_row((job, seq), |r| r.get(0))?;
            self.sql("UPDATE move SET src = ?3, dst = ?4 WHERE job = ?1 AND seq = ?2")?.execute((
                job,
                seq,
                blob(src),
                blob(dst),
            ))?;
            let name = dst.file_name().unwrap_or_default();
            self.sql(
                "UPDATE job_file SET path = ?3, name = ?4 WHERE job = ?1 AND root = x'' AND path = ?2 AND dir > 0",
            )?
            .execute((job, old, blob(dst), name.as_bytes()))?;
        }
        Ok(())
    }
}

//! A statement over more than one row at a time: workers read and check rows as ever, and hand them over in their order
//! to the engine that joins, groups and sorts. Only with the cargo feature `sql`.
//!
//! It guarantees that every row is read and checked, also behind the last one that the statement wanted; that the result
//! and the failure that is told depend on the input alone, not on who was faster; and that whoever ends first, by a
//! failure or because it has enough, leaves nobody waiting.

use super::engine::{CHUNK, Feed, Planned, Settled, Stopped, each, unplanned};
use super::query::{self, Query, Settings};
use super::sink::{Sink, Write};
use super::spec::{Select, Spec};
use super::sql::{CheckExpr, Program};
use super::table::{OnBadRow, Table};
use super::work::{Piece, Work};
use super::write::Writer;
use crate::model::{Desk, Failure};
use arrow_array::RecordBatch;
use chrono::{DateTime, Utc};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[cfg(test)]
mod tests;

/// Batches that wait for the engine; a worker that has more waits.
const AHEAD: usize = 4;
/// Memory for sorting, grouping and joining, in bytes; what does not fit goes to the scratch folder.
pub(super) const MEMORY: u64 = 192 * 1024 * 1024;
/// Least of it.
pub(super) const MEMORY_MIN: u64 = 32 * 1024 * 1024;
/// How long a thread may take to begin. One that the system gave begins at once, even on a machine that is very busy.
#[cfg(not(test))]
const START: Duration = Duration::from_secs(30);
/// The same where a test waits for it.
#[cfg(test)]
const START: Duration = Duration::from_secs(3);
/// Code of the failure that cuts the input off where the reason is told elsewhere.
const CUT: &str = "input_cut";

/// Plans a statement that needs more than one row at a time; none if it needs no more.
pub(super) fn plan(
    spec: &Spec,
    checks: &[CheckExpr],
    table: &Table,
    (now, scratch): (DateTime<Utc>, &Path),
) -> Result<Option<Planned>, Failure> {
    let query = match &spec.select {
        Select::All => return Ok(None),
        Select::OverRows(query) => query.as_ref().clone(),
        Select::ByRow(statement) => match Program::new(Some(statement), &[], table, now) {
            Err(error) if error.needs_engine.is_some() => {
                query::parse(statement.sql()).map_err(|error| unplanned(&error))?
            }
            _ => return Ok(None),
        },
    };
    std::fs::create_dir_all(scratch).map_err(|e| Failure::io("sql_scratch", "make", scratch, &e))?;
    let settings = Settings { memory: MEMORY_MIN, threads: 1, scratch, now, tables: &spec.tables };
    let outline = query::outline(&query, &table.schema(), &settings).map_err(|error| unplanned(&error))?;
    let program = Program::of_checks(checks, table, now).map_err(|error| unplanned(&error))?;
    Ok(Some(Planned { program, output: outline.output, inputs: outline.inputs, query: Some(query) }))
}

/// What one run is made of.
pub(super) struct Parts<'p, 'a> {
    pub(super) spec: &'a Spec,
    pub(super) settled: &'a Settled,
    pub(super) query: &'a Query,
    pub(super) work: &'p Work<'a>,
    /// Threads that read rows.
    pub(super) threads: usize,
    /// Bytes for the statement.
    pub(super) memory: u64,
    pub(super) now: DateTime<Utc>,
    pub(super) scratch: &'p Path,
    pub(super) stopped: Stopped,
    pub(super) desk: &'p dyn Desk,
}

type Rows = Result<RecordBatch, Failure>;
type Ordered<'w, 'a> = Sink<Result<Piece, Failure>, Forward<'w, 'a>>;

/// Runs the statement; the writer then has everything.
pub(super) fn run<'a>(parts: &Parts<'_, 'a>, feed: &Mutex<Feed>, writer: Writer<'a>) -> Result<Writer<'a>, Failure> {
    let writer = Mutex::new(writer);
    let (send, receive) = sync_channel(AHEAD);
    let way = Way { rows: Mutex::new(Some(send)), begun: Mutex::new(None), begins: Condvar::new() };
    let fails = parts.spec.on_bad_row == OnBadRow::Fail;
    let forward = Forward { writer: &writer, way: &way, fails };
    let sink = Sink::new(forward, 0, (parts.threads * 2 + 1) as u64);
    let receive = Mutex::new(Some(receive));
    let ended = Mutex::new(Ok(()));
    // One thread leads those that read; the statement has the other, and would wait for ever if there were none.
    parts.desk.crew(2, &|n| {
        if n > 0 {
            if way.begin() {
                let _end = End { way: &way, sink: &sink };
                let layout = &parts.settled.layout;
                each(feed, &sink, (parts.threads, layout), parts.desk, |taken, parser| parts.work.piece(taken, parser));
            }
            return;
        }
        let _guard = Halt(&sink);
        let Some(rows) = lock(&receive).take() else { return };
        let result = if way.has_begun() {
            evaluate(parts, rows, &writer)
        } else {
            Err(Failure::transient(
                "no_thread",
                "the system gives no more threads, and a statement over rows needs one more",
            ))
        };
        if let Err(failure) = &result
            && failure.code != CUT
        {
            sink.fail(failure.clone());
        }
        *lock(&ended) = result;
    });
    let ended = ended.into_inner().unwrap_or_else(PoisonError::into_inner);
    match (ended, sink.end()) {
        // What was wrong with rows that the statement had seen comes before what was wrong behind them.
        (Err(failure), _) if failure.code != CUT => Err(failure),
        (_, Err(failure)) => Err(failure),
        // If it was cut off, then by bad rows, which the writer knows.
        (_, Ok(_)) => Ok(writer.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

/// Runs the statement over what arrives, and writes its result.
fn evaluate(parts: &Parts<'_, '_>, rows: Receiver<Rows>, writer: &Mutex<Writer<'_>>) -> Result<(), Failure> {
    let settings = Settings {
        memory: parts.memory,
        threads: parts.threads,
        scratch: parts.scratch,
        now: parts.now,
        tables: &parts.spec.tables,
    };
    let mut piece = Piece::default();
    let hand_on = |piece: &mut Piece| {
        let piece = parts.work.packed(std::mem::take(piece))?;
        lock(writer).write(Ok(piece))
    };
    let schema = parts.settled.table.schema();
    query::run(parts.query, &schema, rows, &settings, &parts.stopped, &mut |_| Ok(()), &mut |batch| {
        piece.rows_out += batch.num_rows() as u64;
        parts.work.write(&[batch], &mut piece.parts)?;
        // Small pieces pack badly.
        let size: usize = piece.parts.iter().map(|(_, bytes)| bytes.len()).sum();
        if size >= CHUNK { hand_on(&mut piece) } else { Ok(()) }
    })?;
    hand_on(&mut piece)
}

/// The way of rows from those who read them to the statement.
struct Way {
    /// Where they go in; none: the input has ended, or is wanted no more.
    rows: Mutex<Option<SyncSender<Rows>>>,
    /// Whether those who read have begun; no: it is too late for it.
    begun: Mutex<Option<bool>>,
    begins: Condvar,
}

impl Way {
    /// Says that reading begins. No: nobody waits for it any more.
    fn begin(&self) -> bool {
        let begins = *lock(&self.begun).get_or_insert(true);
        self.begins.notify_all();
        begins
    }

    /// Waits until it has begun, as long as that can take.
    fn has_begun(&self) -> bool {
        let waited = self.begins.wait_timeout_while(lock(&self.begun), START, |begun| begun.is_none());
        let (mut begun, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *begun.get_or_insert(false)
    }

    /// Ends the input: as one that is whole, or cut off.
    fn end(&self, is_whole: bool) {
        let rows = lock(&self.rows).take();
        if let Some(rows) = rows.filter(|_| !is_whole) {
            // Who wants no more rows needs no end of them.
            let _ = rows.send(Err(Failure::transient(CUT, "the input was cut off")));
        }
    }
}

/// Rows on their way to the statement, in their order.
struct Forward<'w, 'a> {
    writer: &'w Mutex<Writer<'a>>,
    way: &'w Way,
    /// Whether a bad row fails the job.
    fails: bool,
}

impl Write<Result<Piece, Failure>> for Forward<'_, '_> {
    fn write(&mut self, piece: Result<Piece, Failure>) -> Result<(), Failure> {
        let (batches, bad, piece) = match piece {
            Ok(mut piece) => (std::mem::take(&mut piece.batches), piece.bad, Ok(piece)),
            Err(failure) => (Vec::new(), 0, Err(failure)),
        };
        let noted = lock(self.writer).write(piece);
        if noted.is_err() || (self.fails && bad > 0) {
            // Nothing will be written. The rows behind it are still checked.
            self.way.end(false);
            return noted;
        }
        let mut rows = lock(&self.way.rows);
        for batch in batches {
            // Who has enough rows, by LIMIT, takes no more: the rest is still checked.
            if rows.as_ref().is_some_and(|rows| rows.send(Ok(batch)).is_err()) {
                *rows = None;
            }
        }
        Ok(())
    }
}

/// Ends the input when its last reader has ended, however that was.
struct End<'s, 'w, 'a> {
    way: &'s Way,
    sink: &'s Ordered<'w, 'a>,
}

impl Drop for End<'_, '_, '_> {
    fn drop(&mut self) {
        self.way.end(!self.sink.is_over() && !std::thread::panicking());
    }
}

/// Ends the reading if the statement panics.
struct Halt<'s, 'w, 'a>(&'s Ordered<'w, 'a>);

impl Drop for Halt<'_, '_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(Failure::permanent("internal", "the SQL engine panicked"));
        }
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is locked is replaced as a whole, or belongs to work that a panic ends.
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

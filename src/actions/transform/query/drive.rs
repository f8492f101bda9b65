//! Runs a plan on the thread of the caller.

use super::feed::{Batches, Input};
use super::plan::{self, Plan, Wrong};
use super::spool::Spool;
use super::statement::Query;
use super::watch::{Stopped, Watch};
use super::{Outline, Settings, failure, session, written};
use crate::actions::transform::sql::SqlError;
use crate::model::Failure;
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use futures_util::StreamExt;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::time::interval;

/// How often a caller is asked whether to stop.
const TURN: Duration = Duration::from_millis(20);
/// Stack for a statement, in bytes. Only what is used of it is memory. It is enough for the deepest and the longest
/// expression that is let through, in a build without optimization.
const STACK: usize = 64 * 1024 * 1024;

/// Plans a statement, runs it, and hands its result over batch by batch.
///
/// `schema` has the columns of `input` as [`Table::schema`] makes it. Batches arrive in the order of the input and hold at
/// least the columns that [`outline`](super::outline) names, found by name; when whoever sends them is dropped, the input has ended. The
/// statement may end before the input does, as with LIMIT: then sending fails, and that is no error. `schema_out` is
/// called once, before the first batch and also without one. All three functions are called on this thread, outside any
/// runtime.
///
/// # Errors
/// With the failure that arrived, that one. When the statement does not fit the columns, `sql_statement`; when a value
/// cannot be computed, `sql_value`, `sql_overflow` or `sql_division_by_zero`; when it needs more than it may use,
/// `sql_memory` or `sql_scratch`.
///
/// [`Table::schema`]: crate::actions::transform::table::Table::schema
pub fn run(
    query: &Query,
    schema: &SchemaRef,
    batches: Batches,
    settings: &Settings<'_>,
    stopped: &Stopped,
    schema_out: &mut dyn FnMut(&SchemaRef) -> Result<(), Failure>,
    out: &mut dyn FnMut(RecordBatch) -> Result<(), Failure>,
) -> Result<(), Failure> {
    stacker::grow(STACK, || {
        let watch = Arc::new(Watch::new(stopped));
        let runtime = runtime(settings.threads)?;
        let plan = runtime.block_on(plan::make(query, schema, settings, &watch)).map_err(|wrong| match wrong {
            Wrong::Statement(error) => failure::wrong(&error),
            Wrong::Failure(failure) => *failure,
        })?;
        let result = Arc::clone(&plan.output);
        schema_out(&result)?;
        if plan.input.scans() > 1 || query.is_recursive {
            plan.input.spooled(spool(&batches, &plan.input, schema, settings, stopped)?);
            drop(batches);
        } else {
            plan.input.arrive(batches);
        }
        let mut out = |batch: RecordBatch| written::plain(&batch, &result).and_then(&mut *out);
        execute(&runtime, plan, settings, stopped, &mut out)
    })
}

/// Runs a plan whose input has its rows.
fn execute(
    runtime: &Runtime,
    Plan { state, input, root, .. }: Plan,
    settings: &Settings<'_>,
    stopped: &Stopped,
    out: &mut dyn FnMut(RecordBatch) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let failed = |error| failure::of(&error, settings.memory);
    let context = session::context(&state, &root, settings);
    // Spill files and tasks are dropped inside the runtime that made them.
    let mut rows = runtime.block_on(async { root.execute(0, context) }).map_err(failed)?;
    let ended = loop {
        if stopped() {
            break Err(Failure::transient("stopped", "stopped on request"));
        }
        match runtime.block_on(turn(&mut rows)) {
            Turn::Time => {}
            Turn::End => break Ok(()),
            // An error may be a way to say that it was stopped.
            Turn::Batch(Err(_)) if stopped() => {}
            Turn::Batch(Err(error)) => break Err(failed(error)),
            Turn::Batch(Ok(batch)) if batch.num_rows() == 0 => {}
            Turn::Batch(Ok(batch)) => {
                if let Err(failure) = out(batch) {
                    break Err(failure);
                }
            }
        }
    };
    input.end();
    drop((rows, root, state));
    ended
}

/// See [`outline`](super::outline).
pub(super) fn outline(query: &Query, schema: &SchemaRef, settings: &Settings<'_>) -> Result<Outline, SqlError> {
    let never: Stopped = Arc::new(|| false);
    let runtime = runtime(1).map_err(|failure| SqlError::whole(failure.message))?;
    let made =
        stacker::grow(STACK, || runtime.block_on(plan::make(query, schema, settings, &Arc::new(Watch::new(&never)))));
    let plan = made.map_err(|wrong| match wrong {
        Wrong::Statement(error) => error,
        Wrong::Failure(failure) => SqlError::whole(failure.message),
    })?;
    Ok(Outline { output: plan.output, inputs: plan.input.columns() })
}

fn runtime(threads: usize) -> Result<Runtime, Failure> {
    let built = Builder::new_current_thread().enable_time().max_blocking_threads(threads.max(1)).build();
    built.map_err(|error| Failure::transient("sql_internal", format!("the SQL engine cannot be started: {error}")))
}

/// What came of a turn.
enum Turn {
    Batch(Result<RecordBatch, datafusion::error::DataFusionError>),
    End,
    /// It is time to ask whether to stop.
    Time,
}

/// Works on the plan until there is a batch, or for a while.
async fn turn(rows: &mut SendableRecordBatchStream) -> Turn {
    let started = Instant::now();
    let mut tick = interval(TURN);
    poll_fn(|context| match rows.poll_next_unpin(context) {
        Poll::Ready(Some(batch)) => Poll::Ready(Turn::Batch(batch)),
        Poll::Ready(None) => Poll::Ready(Turn::End),
        Poll::Pending if started.elapsed() >= TURN => Poll::Ready(Turn::Time),
        Poll::Pending => {
            // Wakes us even when nothing of the plan does. The first tick is at once.
            while tick.poll_tick(context).is_ready() {}
            Poll::Pending
        }
    })
    .await
}

/// Puts all batches on the disk.
fn spool(
    batches: &Batches,
    input: &Input,
    schema: &SchemaRef,
    settings: &Settings<'_>,
    stopped: &Stopped,
) -> Result<Arc<std::fs::File>, Failure> {
    let failed = |error: arrow_schema::ArrowError| failure::arrow(&error);
    let needed = Arc::new(schema.project(&input.columns()).map_err(failed)?);
    let mut spool = Spool::new(settings.scratch, &needed).map_err(failed)?;
    loop {
        match batches.recv_timeout(TURN) {
            Ok(batch) => spool.write(&super::feed::columns(&batch?, &needed).map_err(failed)?).map_err(failed)?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return spool.finish().map_err(failed),
        }
        if stopped() {
            return Err(Failure::transient("stopped", "stopped on request"));
        }
    }
}

//! The table `input`: batches that arrive, as `DataFusion` reads a table.
//!
//! They arrive once and in order. A statement that reads the table twice reads it from the disk.

use super::failure::Carried;
use super::names::ROW;
use super::spool;
use crate::model::Failure;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result as Planned};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures_util::stream;
use std::fmt;
use std::fs::File;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

/// How long a reader waits for a batch before others get their turn, the question whether to stop among them.
const PATIENCE: Duration = Duration::from_millis(10);

/// Batches in the order of the input.
pub(super) type Batches = Receiver<Result<RecordBatch, Failure>>;

/// Where the rows come from.
enum Source {
    /// Nobody has said so yet: the statement is only planned.
    None,
    /// As they arrive; for the first reader.
    Arriving(Batches),
    /// From the disk; for any reader.
    Spooled(Arc<File>),
}

/// The table `input`.
pub(super) struct Input {
    /// The columns of the table, and the number of the row.
    schema: SchemaRef,
    source: Arc<Mutex<Source>>,
    scans: Mutex<Vec<Arc<dyn PartitionStream>>>,
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("input")
    }
}

impl Input {
    /// A table with these columns and no rows yet.
    pub(super) fn new(columns: &SchemaRef) -> Self {
        let row = Arc::new(Field::new(ROW, DataType::Int64, false));
        let schema = Arc::new(Schema::new(columns.fields().iter().cloned().chain([row]).collect::<Vec<_>>()));
        Self { schema, source: Arc::new(Mutex::new(Source::None)), scans: Mutex::default() }
    }

    /// How many places of the plan read it.
    pub(super) fn scans(&self) -> usize {
        lock(&self.scans).len()
    }

    /// Forgets the places that read it: it is planned anew.
    pub(super) fn forget(&self) {
        lock(&self.scans).clear();
    }

    /// Whether this part of a plan reads it.
    pub(super) fn is_read_by(&self, plan: &dyn ExecutionPlan) -> bool {
        let Some(scan) = plan.downcast_ref::<StreamingTableExec>() else { return false };
        let scans = lock(&self.scans);
        scan.partitions().iter().any(|one| scans.iter().any(|known| Arc::ptr_eq(known, one)))
    }

    /// The columns that are read, as indexes into the schema, ascending; the number of the row is not among them.
    pub(super) fn columns(&self) -> Vec<usize> {
        let scans = lock(&self.scans);
        let read = |name: &String| scans.iter().any(|scan| scan.schema().column_with_name(name).is_some());
        let fields = self.schema.fields().iter().enumerate().filter(|(_, f)| f.name() != ROW);
        fields.filter(|(_, f)| read(f.name())).map(|(i, _)| i).collect()
    }

    /// Gives it its rows, as they arrive.
    pub(super) fn arrive(&self, batches: Batches) {
        *lock(&self.source) = Source::Arriving(batches);
    }

    /// Gives it its rows, all of them.
    pub(super) fn spooled(&self, file: Arc<File>) {
        *lock(&self.source) = Source::Spooled(file);
    }

    /// Takes rows that arrive: nobody reads them any more, which whoever sends them notices.
    pub(super) fn end(&self) {
        *lock(&self.source) = Source::None;
    }
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What is locked is replaced as a whole.
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl TableProvider for Input {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Planned<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => Arc::clone(&self.schema),
        };
        let row = schema.index_of(ROW).ok().map(|at| PhysicalSortExpr::new_default(Arc::new(Column::new(ROW, at))));
        let order = row.and_then(|row| LexOrdering::new([row]));
        let scan: Arc<dyn PartitionStream> =
            Arc::new(Scan { schema: Arc::clone(&schema), source: Arc::clone(&self.source) });
        lock(&self.scans).push(Arc::clone(&scan));
        Ok(Arc::new(StreamingTableExec::try_new(schema, vec![scan], None, order, false, None)?))
    }
}

/// A place that reads the table.
struct Scan {
    /// The columns that are needed there.
    schema: SchemaRef,
    source: Arc<Mutex<Source>>,
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("input")
    }
}

impl PartitionStream for Scan {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut source = lock(&self.source);
        let next = match &*source {
            Source::Spooled(file) => Next::Spooled(Arc::clone(file), None),
            _ => match std::mem::replace(&mut *source, Source::None) {
                Source::Arriving(batches) => Next::Arriving(batches),
                _ => Next::Nothing,
            },
        };
        let mut rows = Rows { schema: Arc::clone(&self.schema), next, row: 0 };
        let stream = stream::poll_fn(move |context| match rows.next() {
            Poll::Ready(next) => Poll::Ready(next),
            Poll::Pending => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream))
    }
}

/// Where the next batch comes from.
enum Next {
    Arriving(Batches),
    Spooled(Arc<File>, Option<Box<spool::Batches>>),
    /// Somebody else has read it. The plan says that nobody does.
    Nothing,
    End,
}

/// The rows for one place.
struct Rows {
    schema: SchemaRef,
    next: Next,
    /// Number of the next row.
    row: i64,
}

impl Rows {
    fn next(&mut self) -> Poll<Option<Planned<RecordBatch>>> {
        let batch = match &mut self.next {
            Next::End => return Poll::Ready(None),
            Next::Nothing => Err(DataFusionError::Internal("the input is read twice, which was not planned".into())),
            Next::Arriving(batches) => match batches.recv_timeout(PATIENCE) {
                Ok(batch) => batch.map_err(Carried::error),
                Err(RecvTimeoutError::Timeout) => return Poll::Pending,
                Err(RecvTimeoutError::Disconnected) => return self.end(),
            },
            Next::Spooled(file, open) => match Self::spooled(file, open).transpose() {
                Some(batch) => batch.map_err(DataFusionError::from),
                None => return self.end(),
            },
        };
        let batch = batch.and_then(|batch| self.needed(&batch).map_err(DataFusionError::from));
        if batch.is_err() {
            self.next = Next::End;
        }
        Poll::Ready(Some(batch))
    }

    fn end(&mut self) -> Poll<Option<Planned<RecordBatch>>> {
        self.next = Next::End;
        Poll::Ready(None)
    }

    fn spooled(file: &Arc<File>, open: &mut Option<Box<spool::Batches>>) -> Result<Option<RecordBatch>, ArrowError> {
        let batches = match open {
            Some(batches) => batches,
            None => open.insert(Box::new(spool::read(file)?)),
        };
        batches.next().transpose()
    }

    /// The columns that are needed, and the numbers of the rows where they are.
    fn needed(&mut self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        // No file has rows enough to end this.
        let end = self.row.saturating_add(i64::try_from(batch.num_rows()).unwrap_or(i64::MAX));
        let rows = self.row..end;
        self.row = end;
        select(batch, &self.schema, |name| {
            (name == ROW).then(|| Arc::new(Int64Array::from_iter_values(rows.clone())) as _)
        })
    }
}

/// The columns of a batch that a schema has, found by name.
pub(super) fn columns(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    select(batch, schema, |_| None)
}

fn select(
    batch: &RecordBatch,
    schema: &SchemaRef,
    made: impl Fn(&str) -> Option<ArrayRef>,
) -> Result<RecordBatch, ArrowError> {
    let column = |field: &Arc<Field>| {
        let found = made(field.name()).or_else(|| batch.column_by_name(field.name()).cloned());
        found.ok_or_else(|| ArrowError::SchemaError(format!("no column arrived as {}", field.name())))
    };
    let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

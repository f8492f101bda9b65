//! Reference files: tables beside `input`. A text table is read just as the input is: its encoding, delimiter and
//! packing are found out, and so are its types. A row that cannot be read fails the job: what it would be joined to is
//! not known.

use super::failure::Carried;
use super::watch::Watch;
use crate::actions::transform::engine::CHUNK;
use crate::actions::transform::gather;
use crate::actions::transform::input::{Declared, InputFile, Source};
use crate::actions::transform::parse::{self, Layout, Parser};
use crate::actions::transform::table::{Format, OnBadRow, Ragged, Spelling};
use crate::model::{Failure, text};
use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result as Planned;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use datafusion::parquet::errors::ParquetError;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures_util::stream;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Rows of Parquet that are read at once.
const ROWS: usize = 8192;

type Batches = Box<dyn Iterator<Item = Result<RecordBatch, Failure>> + Send>;

/// A reference file.
pub(super) struct Reference {
    path: PathBuf,
    /// How its rows are read; `None` for Parquet.
    layout: Option<Layout>,
    schema: SchemaRef,
    watch: Arc<Watch>,
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::path(&self.path))
    }
}

impl Reference {
    /// Looks at a file: its columns and their types.
    pub(super) fn open(path: &Path, watch: &Arc<Watch>) -> Result<Self, Failure> {
        let (layout, schema) = if is_parquet(path) {
            let file = open_one(path)?.file.try_clone().map_err(|e| Failure::io("input_open", "open", path, &e))?;
            let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| damaged(path, &e))?;
            (None, Arc::clone(reader.schema()))
        } else {
            let source = source(path)?;
            let layout = layout(&source).map_err(|failure| blamed(path, failure))?;
            let fields = layout.table.columns.len();
            let schema = layout.table.schema().project(&(0..fields).collect::<Vec<_>>());
            (Some(layout), Arc::new(schema.unwrap_or_else(|_| Schema::empty())))
        };
        Ok(Self { path: path.to_path_buf(), layout, schema, watch: Arc::clone(watch) })
    }

    /// Some columns of its rows.
    fn rows(&self, columns: &[usize]) -> Result<Batches, Failure> {
        let watch = Arc::clone(&self.watch);
        let path = self.path.clone();
        if let Some(layout) = &self.layout {
            let layout = Layout { wanted: columns.to_vec(), ..layout.clone() };
            let mut rows = TextRows { source: source(&path)?, layout, buffer: Vec::new(), open: None };
            let next = std::iter::from_fn(move || watch.check().and_then(|()| rows.next()).transpose());
            return Ok(Box::new(next.map(move |batch| batch.map_err(|failure| blamed(&path, failure)))));
        }
        let file = File::open(&path).map_err(|e| Failure::io("input_open", "open", &path, &e))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| damaged(&path, &e))?;
        let mask = ProjectionMask::roots(reader.parquet_schema(), columns.iter().copied());
        let reader = reader.with_batch_size(ROWS).with_projection(mask).build();
        let reader = reader.map_err(|e| damaged(&path, &e))?;
        Ok(Box::new(reader.map(move |batch| {
            watch.check()?;
            batch.map_err(|e| damaged(&path, &e.into()))
        })))
    }
}

fn is_parquet(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("parquet"))
}

fn open_one(path: &Path) -> Result<InputFile, Failure> {
    let mut files = gather::open(&[path.to_path_buf()])?;
    files.pop().ok_or_else(|| Failure::permanent("input_none", format!("no such file: {}", text::path(path))))
}

fn source(path: &Path) -> Result<Source, Failure> {
    let opened = Source::open(vec![open_one(path)?], &Declared::default(), CHUNK);
    opened.map_err(|failure| blamed(path, failure))
}

fn layout(source: &Source) -> Result<Layout, Failure> {
    let (dialect, spelling) = (source.dialect(), Spelling::default());
    let fields = source.header().map_or_else(|| source.fields(), <[String]>::len);
    let table = parse::infer(source.sample(), source.header(), fields, &dialect, &spelling, &[])?;
    Ok(Layout {
        fields: if dialect.format == Format::Csv { fields } else { table.columns.len() },
        table,
        dialect,
        spelling,
        ragged: Ragged::Bad,
        on_bad_row: OnBadRow::Fail,
        wanted: Vec::new(),
        required: Vec::new(),
        validate_all: false,
        file_names: Vec::new(),
    })
}

fn damaged(path: &Path, error: &ParquetError) -> Failure {
    let reason = text::escape(&error.to_string()).into_owned();
    blamed(path, Failure::permanent("parquet", format!("it is no whole Parquet file: {reason}")))
}

/// A failure about a reference file, with its name.
fn blamed(path: &Path, mut failure: Failure) -> Failure {
    let name = text::path(path);
    if failure.code != "stopped" {
        failure.message = format!("the reference file cannot be read: {}: {name}", failure.message);
        failure.file.get_or_insert(name);
    }
    failure
}

/// The rows of a text table.
struct TextRows {
    source: Source,
    layout: Layout,
    /// Of the chunk before.
    buffer: Vec<u8>,
    /// A chunk that has more rows, and where.
    open: Option<(crate::actions::transform::chunk::Chunk, usize)>,
}

impl TextRows {
    fn next(&mut self) -> Result<Option<RecordBatch>, Failure> {
        let (chunk, from) = match self.open.take() {
            Some(open) => open,
            None => match self.source.next(std::mem::take(&mut self.buffer))? {
                Some(chunk) => (chunk, 0),
                None => return Ok(None),
            },
        };
        let mut parser = Parser::new(&self.layout);
        let parsed = parser.parse(&chunk, from);
        if let Some(bad) = parsed.bad_rows().next() {
            let column = bad.column.map(|n| format!(", column {n}")).unwrap_or_default();
            let mut failure =
                Failure::permanent("bad_row", format!("line {}{column}: {}", text::count(bad.line), bad.reason));
            failure.line = Some(bad.line);
            failure.column = bad.column.map(|n| n as u64);
            failure.raw = Some(text::cut(&bad.raw, Failure::RAW_MAX).into_owned());
            return Err(failure);
        }
        let (batch, rest) = (parsed.batch().clone(), parsed.rest());
        match rest {
            Some(from) => self.open = Some((chunk, from)),
            None => self.buffer = chunk.bytes,
        }
        Ok(Some(batch))
    }
}

#[async_trait]
impl TableProvider for Reference {
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
        let columns = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let schema = Arc::new(self.schema.project(&columns)?);
        let (layout, watch) = (self.layout.clone(), Arc::clone(&self.watch));
        let reference = Self { path: self.path.clone(), layout, schema: Arc::clone(&self.schema), watch };
        let scan = Scan { reference, columns, schema: Arc::clone(&schema) };
        Ok(Arc::new(StreamingTableExec::try_new(schema, vec![Arc::new(scan)], None, None, false, None)?))
    }
}

/// A place that reads a reference file.
#[derive(Debug)]
struct Scan {
    reference: Reference,
    columns: Vec<usize>,
    schema: SchemaRef,
}

impl PartitionStream for Scan {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let schema = Arc::clone(&self.schema);
        let mut columns = self.columns.clone();
        columns.sort_unstable();
        let rows = self.reference.rows(&columns).unwrap_or_else(|failure| Box::new(std::iter::once(Err(failure))));
        let rows = rows.map(move |batch| {
            let batch = batch.map_err(Carried::error)?;
            // In the order of the plan, whatever that of the reader is.
            Ok(super::feed::columns(&batch, &schema)?)
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream::iter(rows)))
    }
}

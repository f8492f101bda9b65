//! What a statement makes of a table.

mod bounds;
mod dialect;
mod failures;
mod references;
mod results;

use super::*;
use crate::actions::transform::output::{self, OutFormat, Style};
use crate::actions::transform::table::{Column, ColumnType, Compression, Table};
use crate::model::Failure;
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

/// A table of its own for each test: rows of `id`, `code` and `value`, in batches of three.
struct World {
    folder: tempfile::TempDir,
    tables: Vec<(String, PathBuf)>,
    memory: u64,
    rows: i64,
    batch: i64,
}

impl World {
    fn new(rows: i64) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), tables: Vec::new(), memory: 64 << 20, rows, batch: 3 }
    }

    fn table(mut self, name: &str, content: &str) -> Self {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let stem = name.split('.').next().unwrap().to_owned();
        self.tables.push((stem, path));
        self
    }

    fn settings(&self) -> Settings<'_> {
        let now = DateTime::from_timestamp(1_795_219_200, 0).unwrap();
        Settings { memory: self.memory, threads: 2, scratch: self.folder.path(), now, tables: &self.tables }
    }

    fn columns() -> Table {
        let column = |name: &str, kind| Column { name: name.into(), kind };
        Table {
            columns: vec![
                column("id", ColumnType::Int),
                column("Code", ColumnType::Text),
                column("value", ColumnType::Float),
            ],
        }
    }

    fn batch(schema: &SchemaRef, rows: std::ops::Range<i64>) -> RecordBatch {
        let codes = rows.clone().map(|i| (i % 5 != 4).then(|| format!("c{}", i % 5)));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(rows.clone())),
            Arc::new(codes.collect::<StringArray>()),
            Arc::new(Float64Array::from_iter_values(rows.clone().map(|i| (i * 7 % 10) as f64 / 2.0))),
            Arc::new(StringArray::from_iter_values(rows.clone().map(|_| "in.csv"))),
            Arc::new(Int64Array::from_iter_values(rows.map(|i| i + 2))),
        ];
        RecordBatch::try_new(Arc::clone(schema), columns).unwrap()
    }

    fn run(&self, sql: &str) -> Result<String, Failure> {
        let style = Style { format: OutFormat::Csv { delimiter: b',', header: true }, null: "NULL".into() };
        let mut text = Vec::new();
        let mut body = Vec::new();
        self.run_with(
            sql,
            &never(),
            &mut |schema| {
                output::header(schema, &style, &mut text);
                Ok(())
            },
            &mut |batch| output::format(&batch, &style, &mut body),
        )?;
        text.extend(body);
        Ok(String::from_utf8(text).unwrap())
    }

    fn run_with(
        &self,
        sql: &str,
        stopped: &Stopped,
        schema_out: &mut dyn FnMut(&SchemaRef) -> Result<(), Failure>,
        out: &mut dyn FnMut(RecordBatch) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let query = parse(sql).map_err(|error| Failure::permanent("sql_statement", error.to_string()))?;
        let schema = Self::columns().schema();
        let (send, batches) = sync_channel(2);
        std::thread::scope(|scope| {
            let ours = Arc::clone(&schema);
            let (rows, batch) = (self.rows, self.batch);
            scope.spawn(move || {
                for from in (0..rows).step_by(batch as usize) {
                    if send.send(Ok(Self::batch(&ours, from..rows.min(from + batch)))).is_err() {
                        return;
                    }
                }
            });
            run(&query, &schema, batches, &self.settings(), stopped, schema_out, out)
        })
    }

    /// Nothing is left in the scratch folder beside the tables.
    fn is_clean(&self) -> bool {
        std::fs::read_dir(self.folder.path()).unwrap().count() == self.tables.len()
    }
}

fn never() -> Stopped {
    Arc::new(|| false)
}

#[track_caller]
fn check(world: &World, sql: &str, want: &str) {
    let got = world.run(sql).unwrap_or_else(|failure| panic!("{sql}: {failure}"));
    assert_eq!(got, want, "{sql}");
    assert!(world.is_clean());
}

//! `transform`: rewrites tables of any size by a SQL statement, on all cores, in bounded memory, in the order of the input.
//!
//! The input is cut into chunks of whole records (`input`). Workers take a chunk each, read its columns (`parse`), hold
//! the checks against them and evaluate the statement (`sql`), and write the result as text (`output`). One place puts
//! the pieces into the order of the input again (`sink`). What a chunk becomes depends on the chunk alone, and how
//! chunks are cut depends on the bytes alone: the output is the same whatever the number of workers.
//!
//! It refuses to guess: types are settled before the first row, and a row that does not fit is named, never bent.

mod checkpoint;
pub mod chunk;
pub mod engine;
pub mod gather;
pub mod input;
pub mod output;
#[cfg(feature = "sql")]
mod over_rows;
pub mod parse;
#[cfg(feature = "sql")]
pub mod query;
mod sink;
pub mod spec;
pub mod sql;
pub mod table;
mod unique;
mod work;
mod write;

#[cfg(test)]
mod tests;

use crate::model::{Action, Block, Failure, JobOrder, Kind, Report, Template, Vars, Work};
use chrono::{DateTime, Utc};
use spec::Spec;
use std::sync::Arc;

/// The `transform` action of one task.
#[derive(Clone, Debug)]
pub struct Transform {
    spec: Spec,
}

/// The kind of work `transform`.
#[derive(Debug)]
pub struct TransformKind;

impl Kind for TransformKind {
    fn key(&self) -> &'static str {
        "transform"
    }

    fn summary(&self) -> &'static str {
        "rewrite a table by SQL, on all cores, in its order"
    }

    fn example(&self) -> &'static str {
        r#"transform = { sql = "SELECT id, value * 2 AS twice FROM input WHERE value > 0", output = "out/{stem}.csv" }"#
    }

    fn build(&self, block: &mut Block<'_>) -> Option<Arc<dyn Action>> {
        Some(Arc::new(Transform { spec: Spec::read(block)? }))
    }
}

impl Action for Transform {
    fn name(&self) -> &'static str {
        "transform"
    }

    fn outputs(&self) -> Vec<&Template> {
        vec![&self.spec.output]
    }

    fn idempotent(&self) -> bool {
        true
    }

    fn work(self: Arc<Self>, order: JobOrder) -> Work {
        Work::Blocking(Box::new(move || self.transform(order)))
    }
}

impl Transform {
    fn transform(&self, order: JobOrder) -> Result<Report, Failure> {
        let JobOrder { input, vars, base, upstream, scratch, desk, planned_at, .. } = order;
        let (inputs, vars) = match input {
            Some(input) => (vec![gather::claimed(input)], vars),
            None if !upstream.is_empty() => (gather::open(&upstream)?, named_after(vars, upstream.first())),
            None => {
                let paths = gather::named(&base, &self.spec.inputs)?;
                (gather::open(&paths)?, named_after(vars, paths.first()))
            }
        };
        if inputs.is_empty() {
            let message = "transform needs a file, and this job has none: give the task `inputs`";
            return Err(Failure::permanent("no_input", message));
        }
        let target = base.join(self.spec.output.expand_path(&vars));
        let now = DateTime::<Utc>::from_timestamp_millis(planned_at.0).unwrap_or(DateTime::UNIX_EPOCH);
        let asked = Arc::clone(&desk);
        engine::run(engine::Order {
            spec: &self.spec,
            inputs,
            target,
            now,
            tuning: engine::Tuning::default(),
            scratch: &scratch,
            desk: desk.as_ref(),
            stopped: Arc::new(move || asked.stopped().is_some()),
        })
    }
}

/// Names of a job without a claimed file are made from its first input.
fn named_after(mut vars: Vars, first: Option<&std::path::PathBuf>) -> Vars {
    if vars.name.is_empty()
        && let Some(name) = first.and_then(|path| path.file_name())
    {
        vars.name = name.to_owned();
    }
    vars
}

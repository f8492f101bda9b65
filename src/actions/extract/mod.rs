//! `extract`: writes a sidecar with the facts of a file, and for CSV a checked, normalised copy.
//!
//! It guarantees that the sidecar tells what the bytes are and nothing about when or where it ran, so that the same
//! file gives the same sidecar; that memory is bounded whatever the size of the file; and that a damaged file fails
//! with its place. It refuses to repair: what cannot be read as a whole is for a person.

mod csv;
#[cfg(test)]
mod csv_tests;
mod fields;
mod lines;
mod other;
mod rows;
mod sidecar;
mod source;
mod text;

use super::keys::{self, on_exists, optional};
pub(super) use crate::model::text::count as grouped;
use crate::model::{
    Action, Block, Desk, Failure, FileType, Input, JobOrder, Kind, OnExists, Report, Template, Vars, Work,
};
use encoding_rs::Encoding;
use source::Source;
use std::path::Path;
use std::sync::Arc;

/// Bytes that the type is told from where the name does not tell it.
const HEAD: usize = 1024;
/// Where the sidecar goes unless the configuration says otherwise.
const OUTPUT: &str = "out/{task}/{name}.json";

/// What to do with a file that is neither text nor CSV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unsupported {
    /// Write what every file has: type, size, time, hash.
    Describe,
    /// Fail.
    Fail,
}

/// The `extract` action of one task.
#[derive(Clone, Debug)]
pub struct Extract {
    output: Template,
    on_exists: OnExists,
    unsupported: Unsupported,
    encoding: Option<&'static Encoding>,
    delimiter: Option<u8>,
    max_size: Option<u64>,
}

/// The kind of work `extract`.
#[derive(Debug)]
pub struct ExtractKind;

impl Kind for ExtractKind {
    fn key(&self) -> &'static str {
        "extract"
    }

    fn summary(&self) -> &'static str {
        "write a JSON sidecar with the facts of a file; check and normalise CSV"
    }

    fn example(&self) -> &'static str {
        r#"extract = { output = "out/{task}/{name}.json" }"#
    }

    fn build(&self, block: &mut Block<'_>) -> Option<Arc<dyn Action>> {
        let output = optional(block, "output", |b, key| b.template(key).map(|t| t.value));
        let on_exists = on_exists(block);
        let words = [("describe", Unsupported::Describe), ("fail", Unsupported::Fail)];
        let unsupported = optional(block, "unsupported", |b, key| b.choice(key, &words));
        let encoding = optional(block, "encoding", keys::encoding);
        let delimiter = optional(block, "delimiter", keys::delimiter);
        let max_size = optional(block, "max_size", |b, key| b.size(key, 1..=u64::MAX));
        Some(Arc::new(Extract {
            output: output?.or_else(|| Template::parse(OUTPUT).ok())?,
            on_exists: on_exists?,
            unsupported: unsupported?.unwrap_or(Unsupported::Describe),
            encoding: encoding?,
            delimiter: delimiter?,
            max_size: max_size?,
        }))
    }
}

impl Action for Extract {
    fn name(&self) -> &'static str {
        "extract"
    }

    fn outputs(&self) -> Vec<&Template> {
        vec![&self.output]
    }

    fn idempotent(&self) -> bool {
        true
    }

    fn work(self: Arc<Self>, order: JobOrder) -> Work {
        Work::Blocking(Box::new(move || {
            let JobOrder { input, vars, base, desk, .. } = order;
            let Some(input) = input else {
                return Err(Failure::permanent("no_input", "extract needs a file, and this job has none"));
            };
            self.extract(&input, vars, &base, desk.as_ref())
        }))
    }
}

impl Extract {
    fn extract(&self, input: &Input, mut vars: Vars, base: &Path, desk: &dyn Desk) -> Result<Report, Failure> {
        let source = Source::new(input, desk);
        if let Some(max) = self.max_size.filter(|max| input.size > *max) {
            let message = format!("larger than max_size: {} bytes, {} allowed", grouped(input.size), grouped(max));
            return Err(source.blame(Failure::permanent("too_large", message)));
        }
        let file_type = file_type(input);
        vars.file_type = file_type.name();
        let target = base.join(self.output.expand_path(&vars));
        match file_type {
            FileType::Text => text::extract(self, input, source, target),
            FileType::Csv => csv::extract(self, input, source, target),
            other => other::extract(self, input, source, other, target),
        }
    }
}

/// The type of a file, by its name, else by its first bytes. A file without any is of no known type.
pub(super) fn file_type(input: &Input) -> FileType {
    FileType::by_name(&input.name).unwrap_or_else(|| match source::excerpt(input, 0, HEAD).as_slice() {
        [] => FileType::Other,
        head => FileType::by_content(head),
    })
}

#[cfg(test)]
mod tests;

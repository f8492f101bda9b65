//! What a job does. Each kind of work is a module and one line here; nobody else knows their names.
//!
//! An action reads its claimed input and writes only to the temporary files that its desk hands out. What becomes
//! visible, and when, is the runtime's business.

pub mod backup;
pub mod command;
mod encoding;
pub mod extract;
pub mod fetch;
mod keys;
pub mod report;
#[cfg(test)]
mod testing;
pub mod transform;

use crate::model::Kind;

/// Every kind of work, in the order of the documentation.
pub const KINDS: &[&dyn Kind] = &[
    &extract::ExtractKind,
    &transform::TransformKind,
    &fetch::FetchKind,
    &command::CommandKind,
    &backup::BackupKind,
    &report::ReportKind,
];

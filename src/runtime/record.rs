//! `NAME.error.json`: the record beside a file that failed, for people and scripts that look at the folder.

use crate::clock::rfc3339;
use crate::model::{Failure, Millis, text};
use serde::Serialize;

/// What the record says.
#[derive(Serialize)]
pub struct Record<'a> {
    /// When it was decided, RFC 3339.
    pub time: String,
    /// `failed`, `skipped` or `cancelled`.
    pub outcome: &'a str,
    /// The task.
    pub task: &'a str,
    /// The job.
    pub job: i64,
    /// Where the file landed, escaped text.
    pub input: String,
    /// Executions so far.
    pub attempts: i64,
    /// Class of the failure.
    pub class: Option<&'a str>,
    /// Its stable code.
    pub code: Option<&'a str>,
    /// What happened.
    pub reason: Option<&'a str>,
    /// Where in the file.
    pub place: Option<Place<'a>>,
    /// The single things that went wrong.
    pub causes: &'a [crate::model::Detail],
    /// What the operator said, for a job that was skipped or cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<&'a str>,
}

/// Where in the file it failed.
#[derive(Serialize)]
pub struct Place<'a> {
    file: Option<&'a str>,
    line: Option<u64>,
    column: Option<u64>,
    column_name: Option<&'a str>,
    raw: Option<&'a str>,
}

/// What a record is about.
pub struct About<'a> {
    /// `failed`, `skipped` or `cancelled`.
    pub outcome: &'a str,
    /// The task.
    pub task: &'a str,
    /// The job.
    pub job: i64,
    /// Where the file landed.
    pub label: &'a [u8],
    /// Executions so far.
    pub attempts: i64,
    /// The failure, if there is one.
    pub failure: Option<&'a Failure>,
    /// What the operator said.
    pub operator: Option<&'a str>,
    /// When.
    pub at: Millis,
}

/// The record as bytes: pretty JSON with a line end.
#[must_use]
pub fn render(about: &About<'_>) -> Vec<u8> {
    let f = about.failure;
    let record = Record {
        time: rfc3339(about.at),
        outcome: about.outcome,
        task: about.task,
        job: about.job,
        input: text::bytes(about.label),
        attempts: about.attempts,
        class: f.map(|f| f.class.name()),
        code: f.map(|f| f.code.as_str()),
        reason: f.map(|f| f.message.as_str()),
        place: f.filter(|f| f.line.is_some() || f.file.is_some()).map(|f| Place {
            file: f.file.as_deref(),
            line: f.line,
            column: f.column,
            column_name: f.column_name.as_deref(),
            raw: f.raw.as_deref(),
        }),
        causes: f.map_or(&[], |f| f.causes.as_slice()),
        operator: about.operator,
    };
    let mut bytes = serde_json::to_vec_pretty(&record).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

//! Answers to questions about one thing: why it does not run, what stands in its input.

use crate::model::ContextLine;
use serde::{Deserialize, Serialize};

/// Why a job or a task is not running, in words, most important first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyView {
    /// What was asked about: `job 12` or `task orders`.
    pub subject: String,
    /// The reasons.
    pub reasons: Vec<String>,
}

/// The input of a job around a line: for the details pane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputView {
    /// Where the file lies now, escaped text.
    pub path: String,
    /// Lines of it.
    pub lines: Vec<ContextLine>,
    /// Encoding that it was read with.
    pub encoding: String,
}

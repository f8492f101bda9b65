//! Why a job failed: as data, so that the screen, the command line, the error record and a filter all say the same.

use super::Millis;
use super::action::network::Call;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a failure means for the retry policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailureClass {
    /// May go away by itself: retried.
    Transient,
    /// Will fail again on the same input: not retried.
    Permanent,
    /// The task's time limit ran out: retried.
    Timeout,
    /// The action panicked: not retried.
    Panic,
    /// The supervisor or the job's worker died, or had to stop: not charged.
    Interrupted,
}

impl FailureClass {
    /// Every class, in the order of its number.
    pub const ALL: [Self; 5] = [Self::Transient, Self::Permanent, Self::Timeout, Self::Panic, Self::Interrupted];

    /// The number that the store keeps.
    #[must_use]
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// The class with this number, if there is one.
    #[must_use]
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.code() == code)
    }

    /// The name used on the wire and on the screen.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Permanent => "permanent",
            Self::Timeout => "timeout",
            Self::Panic => "panic",
            Self::Interrupted => "interrupted",
        }
    }

    /// Whether another attempt may help, while budget is left.
    #[must_use]
    pub const fn is_retried(self) -> bool {
        matches!(self, Self::Transient | Self::Timeout)
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One of several things that went wrong, for example one bad row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// What went wrong, in one line.
    pub message: String,
    /// Line in the file, 1-based; a header is line 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Byte offset of the record in the file, 0-based.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub byte: Option<u64>,
    /// Column number, 1-based.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
    /// Name of the column, from the header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column_name: Option<String>,
    /// The record as it stood in the file, decoded and cut at [`Failure::RAW_MAX`] characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
}

impl Detail {
    /// The same with texts no longer than those of a [`Failure`].
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.message = super::text::cut(&self.message, Failure::MESSAGE_MAX).into_owned();
        let cut = |text: String| super::text::cut(&text, Failure::RAW_MAX).into_owned();
        self.column_name = self.column_name.map(cut);
        self.raw = self.raw.map(cut);
        self
    }
}

/// A line around the failing one, as it stood when the job failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextLine {
    /// Line in the file, 1-based.
    pub line: u64,
    /// Its text, decoded and cut.
    pub text: String,
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What it means for the retry policy.
    pub class: FailureClass,
    /// A stable code for scripts and filters, for example `csv_bad_row`.
    pub code: String,
    /// What happened, in one line: lower case, no full stop, the value last.
    pub message: String,
    /// The single things that went wrong, at most [`Failure::CAUSES_MAX`].
    #[serde(default)]
    pub causes: Vec<Detail>,
    /// The file at fault, escaped text.
    #[serde(default)]
    pub file: Option<String>,
    /// Line in that file, 1-based; a header is line 1.
    #[serde(default)]
    pub line: Option<u64>,
    /// Column number in that line, 1-based.
    #[serde(default)]
    pub column: Option<u64>,
    /// Name of that column, from the header.
    #[serde(default)]
    pub column_name: Option<String>,
    /// The record as it stood in the file, decoded and cut at [`Failure::RAW_MAX`] characters.
    #[serde(default)]
    pub raw: Option<String>,
    /// Lines around the failing one, the failing one included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub context: Vec<ContextLine>,
    /// The constant part of the message: failures that share it have the same cause. Empty: [`Failure::cause_text`]
    /// derives it from the message.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub constant: String,
    /// No further attempt before this time: the other side asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Millis>,
    /// The head of the answer that was no good: status line, header and first bytes; escaped, without secrets, cut at
    /// [`Failure::ANSWER_MAX`] bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// What the calls of the attempt came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<Call>,
}

/// Code of a failure that means: the process, or the system, has no file handle left. The job waits, uncharged.
pub const NO_HANDLES: &str = "no_handles";

impl Failure {
    /// Most single causes kept with one failure; the rest are counted in the message.
    pub const CAUSES_MAX: usize = 100;
    /// Most characters kept of a raw record or a context line.
    pub const RAW_MAX: usize = 400;
    /// Most bytes kept of the head of an answer.
    pub const ANSWER_MAX: usize = 4096;
    /// Most characters kept of a message.
    pub const MESSAGE_MAX: usize = 1000;

    /// A failure with a class, a stable code and a message.
    pub fn new(class: FailureClass, code: &str, message: impl Into<String>) -> Self {
        let message: String = message.into();
        Self {
            class,
            code: code.to_owned(),
            message: super::text::cut(&message, Self::MESSAGE_MAX).into_owned(),
            causes: Vec::new(),
            file: None,
            line: None,
            column: None,
            column_name: None,
            raw: None,
            context: Vec::new(),
            constant: String::new(),
            not_before: None,
            answer: None,
            call: None,
        }
    }

    /// A failure that may go away by itself.
    pub fn transient(code: &str, message: impl Into<String>) -> Self {
        Self::new(FailureClass::Transient, code, message)
    }

    /// A failure that the same input will meet again.
    pub fn permanent(code: &str, message: impl Into<String>) -> Self {
        Self::new(FailureClass::Permanent, code, message)
    }

    /// An I/O failure on a path: transient, except where waiting cannot help.
    pub fn io(code: &str, doing: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind::{InvalidFilename, InvalidInput, IsADirectory, NotADirectory};
        if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) {
            return Self::transient(NO_HANDLES, format!("cannot {doing} {}: {error}", super::text::path(path)));
        }
        let is_final = matches!(error.kind(), InvalidFilename | InvalidInput | IsADirectory | NotADirectory);
        let class = if is_final { FailureClass::Permanent } else { FailureClass::Transient };
        Self::new(class, code, format!("cannot {doing} {}: {error}", super::text::path(path)))
    }

    /// The constant part that groups failures into causes: the given one, or the message with numbers and quoted
    /// values taken out.
    #[must_use]
    pub fn cause_text(&self) -> String {
        if self.constant.is_empty() { super::text::constant_part(&self.message) } else { self.constant.clone() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class, self.message)
    }
}

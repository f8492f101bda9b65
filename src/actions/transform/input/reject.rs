//! How a file is turned down: failures that name it.

use crate::model::{Detail, Failure, text};

/// A permanent failure about a file.
pub(super) fn refuse(label: &str, code: &str, message: impl Into<String>) -> Failure {
    let mut failure = Failure::permanent(code, message);
    failure.file = Some(label.to_owned());
    failure
}

/// Where in a file something is wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    /// Line, 1-based.
    pub(super) line: u64,
    /// Offset, 0-based.
    pub(super) byte: u64,
    /// Column number, 1-based.
    pub(super) column: Option<usize>,
}

/// A permanent failure at a place of a file; `constant` is what failures of its cause share. `raw`: the text there.
pub(super) fn refuse_at(label: &str, code: &str, place: Place, what: &str, constant: &str, raw: &str) -> Failure {
    let message = format!("line {}, byte {}: {what}", place.line, text::count(place.byte));
    let mut failure = refuse(label, code, message);
    failure.line = Some(place.line);
    failure.column = place.column.map(|n| n as u64);
    failure.raw = Some(text::cut(raw, Failure::RAW_MAX).into_owned()).filter(|r| !r.is_empty());
    failure.constant = constant.to_owned();
    failure.causes = vec![Detail {
        message: failure.message.clone(),
        line: failure.line,
        byte: Some(place.byte),
        column: failure.column,
        column_name: None,
        raw: failure.raw.clone(),
    }];
    failure
}

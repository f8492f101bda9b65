//! How far a long transform has come, in a form that a later attempt can go on from.
//!
//! It guarantees that nobody goes on with another input, other columns or another program version: whatever differs,
//! the work starts from zero. It refuses inputs that have no place to go on at (packed, decoded, one JSON array),
//! outputs in several files, and checks that need a pass of their own.

use super::engine::Settled;
use super::input::{InputFile, Position};
use super::spec::{Spec, Split};
use crate::model::{Detail, text};
use serde::{Deserialize, Serialize};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

/// Time between two checkpoints. Each waits for the disk; a crash costs the work since the last one.
pub const EVERY: Duration = Duration::from_secs(3);
/// Largest state, in bytes; the first bad rows are left out of it as far as needed.
const STATE_MAX: usize = 60 * 1024;
/// Most inputs of a job that notes how far it is.
const INPUTS_MAX: usize = 64;
/// Form of the state: another one is not read.
const FORM: u32 = 1;

/// How far the work is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    form: u32,
    identity: String,
    file: usize,
    byte: u64,
    line: u64,
    seq: u64,
    /// Length of the output.
    pub(super) out: u64,
    /// Length of the rejects, if there are any.
    pub(super) rejects: Option<u64>,
    /// Rows read, written and bad so far.
    pub(super) rows: [u64; 3],
    /// The first bad rows, with the number of their file.
    pub(super) first: Vec<(usize, Detail)>,
    /// What they have in common.
    pub(super) constant: String,
}

impl State {
    pub(super) fn new(identity: &str, at: Position) -> Self {
        let Position { file, byte, line, seq } = at;
        Self {
            form: FORM,
            identity: identity.to_owned(),
            file,
            byte,
            line,
            seq,
            out: 0,
            rejects: None,
            rows: [0; 3],
            first: Vec::new(),
            constant: String::new(),
        }
    }

    /// Where the input goes on.
    pub(super) fn position(&self) -> Position {
        Position { file: self.file, byte: self.byte, line: self.line, seq: self.seq }
    }

    /// As bytes; none if it is too large even without its bad rows.
    pub(super) fn write(mut self) -> Option<Vec<u8>> {
        loop {
            let bytes = serde_json::to_vec(&self).ok()?;
            if bytes.len() <= STATE_MAX {
                return Some(bytes);
            }
            if self.first.is_empty() {
                return None;
            }
            self.first.truncate(self.first.len() / 2);
        }
    }

    /// From bytes; none if it is of another form or about something else.
    pub(super) fn read(bytes: &[u8], identity: &str) -> Option<Self> {
        let state: Self = serde_json::from_slice(bytes).ok()?;
        (state.form == FORM && state.identity == identity).then_some(state)
    }
}

/// What the work is about: the inputs, and what their columns were taken for. None: it has to start from zero anyway.
pub(super) fn identity(spec: &Spec, settled: &Settled, inputs: &[InputFile]) -> Option<String> {
    if !settled.unique.is_empty() || spec.split != Split::None || inputs.len() > INPUTS_MAX {
        return None;
    }
    let mut hasher = blake3::Hasher::new();
    let mut add = |part: &str| {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    };
    add(env!("CARGO_PKG_VERSION"));
    for input in inputs {
        let facts = input.file.metadata().ok()?;
        add(&text::path(&input.path));
        add(&format!("{} {} {} {}", facts.ino(), facts.size(), facts.mtime(), facts.mtime_nsec()));
    }
    add(&format!("{:?} {:?}", settled.layout.dialect, settled.table));
    add(&format!("{:?}", settled.output));
    Some(hasher.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_fits_whatever_the_bad_rows_are() {
        let mut state = State::new("x", Position { file: 1, byte: 2, line: 3, seq: 4 });
        let detail = Detail { raw: Some("가".repeat(400)), ..Detail::default() };
        state.first = vec![(0, detail); 100];
        let bytes = state.clone().write().unwrap();
        assert!(bytes.len() <= STATE_MAX);
        let back = State::read(&bytes, "x").unwrap();
        assert_eq!(back.position(), state.position());
        assert!(!back.first.is_empty() && back.first.len() < 100);
        assert_eq!(State::read(&bytes, "y"), None, "it is about something else");
        assert_eq!(State::read(b"{}", "x"), None);
    }
}

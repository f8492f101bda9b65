//! What `fetch` prints: progress on standard error, and what came of it.

use super::human;
use super::line::{Line, Style};
use super::out::Out;
use crate::model::action::network::Call;
use crate::model::{Failure, text};
use serde::Serialize;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Lines that are printed of an answer that was no good.
const ANSWER_MAX: usize = 20;

/// What one URL came to.
#[derive(Debug, Serialize)]
pub struct Fetched {
    /// The URL; escaped text.
    pub url: String,
    /// The file that holds the answer; escaped text.
    pub output: Option<String>,
    /// What its calls came to.
    pub call: Option<Call>,
    /// Attempts.
    pub attempts: u32,
    /// Why there is no answer.
    pub error: Option<Failure>,
}

impl Fetched {
    /// The same with the file that holds the answer.
    #[must_use]
    pub fn at(mut self, path: Option<&PathBuf>) -> Self {
        self.output = path.map(|path| text::path(path));
        self
    }
}

/// How far a fetch is, on standard error: one line that changes on a terminal, a line for each failure, and the sum.
pub struct Progress {
    start: Instant,
    shows: bool,
    quiet: bool,
    drawn: bool,
    ok: u64,
    failed: u64,
    bytes: u64,
}

impl Progress {
    /// Progress that starts now.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        let shows = !quiet && std::io::stderr().is_terminal();
        Self { start: Instant::now(), shows, quiet, drawn: false, ok: 0, failed: 0, bytes: 0 }
    }

    /// One more URL is over.
    pub fn count(&mut self, fetched: &Fetched, out: &mut Out) {
        self.bytes += fetched.call.map_or(0, |call| call.bytes);
        let Some(failure) = &fetched.error else {
            self.ok += 1;
            return;
        };
        self.failed += 1;
        self.clear();
        let line = Line::of(Style::Bad, "failed ").text(format!("{}: {}", fetched.url, failure.message));
        out.remark(line);
        for line in failure.answer.iter().flat_map(|answer| answer.lines()).take(ANSWER_MAX) {
            out.remark(Line::of(Style::Dim, "  | ").text(line));
        }
    }

    /// Draws how far it is; `waiting`: URLs under way.
    pub fn show(&mut self, waiting: usize) {
        if self.shows {
            self.drawn = true;
            let failed = if self.failed > 0 { format!("  {} failed", text::count(self.failed)) } else { String::new() };
            let (ok, bytes) = (text::count(self.ok), human::bytes(self.bytes));
            // Nobody can be told that standard error is gone.
            let _ = write!(std::io::stderr(), "\r{ok} ok{failed}  {waiting} under way  {bytes}\x1b[K");
        }
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }

    /// Says the sum; `alone`: the answer itself was printed, and says enough.
    pub fn sum(&mut self, alone: bool, out: &mut Out) {
        self.clear();
        if self.quiet || alone {
            return;
        }
        let style = if self.failed > 0 { Style::Warn } else { Style::Good };
        let counts = format!("{} ok, {} failed", text::count(self.ok), text::count(self.failed));
        let rest = format!("  {} in {}", human::bytes(self.bytes), human::short(self.elapsed()));
        out.remark(Line::of(style, counts).and(Style::Dim, rest));
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Whether every URL was fetched.
    #[must_use]
    pub fn all_ok(&self) -> bool {
        self.failed == 0
    }
}

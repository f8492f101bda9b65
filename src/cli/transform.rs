//! What `transform` prints: a progress bar on a terminal, and what came out.

use super::human;
use super::line::{Line, Style};
use super::out::Out;
use crate::model::action::Progress;
use crate::model::{Failure, Report, text};
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Columns of the bar itself.
const WIDTH: usize = 24;

/// A progress bar on standard error; nothing where that is no terminal.
pub struct Bar {
    start: Instant,
    shows: bool,
    drawn: bool,
}

impl Bar {
    /// A bar that starts now.
    #[must_use]
    pub fn new(wanted: bool) -> Self {
        Self { start: Instant::now(), shows: wanted && std::io::stderr().is_terminal(), drawn: false }
    }

    /// Time since its start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Draws how far the work has come.
    pub fn show(&mut self, progress: Progress, _: &Out) {
        if self.shows && progress.rows > 0 {
            self.drawn = true;
            // Nobody can be told that standard error is gone.
            let _ = write!(std::io::stderr(), "\r{}\x1b[K", bar(progress, self.elapsed()));
        }
    }

    /// Takes the bar away.
    pub fn clear(&mut self, _: &Out) {
        if std::mem::take(&mut self.drawn) {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

/// One line: the bar, percent, rows and bytes each second, what was rejected, time left.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates and shares of a bar that is 24 columns wide"
)]
fn bar(progress: Progress, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(0.001);
    let share = progress.bytes_total.filter(|total| *total > 0).map(|total| progress.bytes as f64 / total as f64);
    let share = share.map(|share| share.clamp(0.0, 1.0));
    let full = share.map_or(0, |share| (share * WIDTH as f64) as usize).min(WIDTH);
    let percent = share.map_or_else(String::new, |share| format!(" {:3.0} %", share * 100.0));
    let rows = text::count((progress.rows as f64 / seconds) as u64);
    let bytes = human::bytes((progress.bytes as f64 / seconds) as u64);
    let left = share.filter(|share| *share > 0.0).map_or_else(String::new, |share| {
        format!("  {} left", human::short(Duration::from_secs_f64(seconds * (1.0 - share) / share)))
    });
    let rejected = match progress.rejected {
        0 => String::new(),
        n => format!("  {} rejected", text::count(n)),
    };
    format!("[{}{}]{percent}  {rows} rows/s  {bytes}/s{rejected}{left}", "#".repeat(full), "-".repeat(WIDTH - full))
}

/// What came out.
#[derive(Debug)]
pub struct Done {
    /// What the engine counted.
    pub report: Report,
    /// The files that are visible now.
    pub outputs: Vec<PathBuf>,
    /// How long it took.
    pub took: Duration,
    /// How much of that the disk took, at the end, to have it all.
    pub sync: Duration,
}

/// Prints the result.
pub fn done(done: &Done, out: &mut Out) {
    let report = &done.report;
    if out.is_json() {
        let outputs: Vec<_> = done.outputs.iter().map(|path| text::path(path)).collect();
        let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        out.json(&json!({
            "rows": report.rows, "rows_out": report.rows_out, "rejected": report.rejected,
            "rejects": report.rejects, "outputs": outputs,
            "duration_ms": millis(done.took), "sync_ms": millis(done.sync),
        }));
        return;
    }
    let mut note = report.note.clone().unwrap_or_default();
    if report.rejected > 0 {
        note.push_str(&format!(", {} rejected", text::count(report.rejected)));
    }
    out.line(Line::of(Style::Good, note).and(Style::Dim, format!("  in {}", human::short(done.took))));
    for path in &done.outputs {
        out.line(Line::from("  ").text(text::path(path)));
    }
    for detail in report.rejects.iter().take(REJECTS_SHOWN) {
        let line = detail.line.map(|n| format!("line {}", text::count(n))).unwrap_or_default();
        let column = detail.column_name.as_ref().map(|name| format!(", column {name}")).unwrap_or_default();
        out.line(Line::of(Style::Warn, "  rejected ").text(format!("{line}{column}: {}", detail.message)));
    }
    let more = report.rejected.saturating_sub(REJECTS_SHOWN as u64);
    if more > 0 {
        out.line(Line::of(Style::Dim, format!("  and {} more", text::count(more))));
    }
}

/// Rejected rows that are printed; the rest are counted.
const REJECTS_SHOWN: usize = 10;

/// Prints why there is no result.
pub fn failed(failure: &Failure, out: &mut Out) {
    if out.is_json() {
        out.json(&json!({ "error": failure }));
    } else {
        super::failure::print(failure, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_says_how_far_how_fast_and_how_long() {
        let progress = Progress { bytes: 500, bytes_total: Some(1000), rows: 50, rows_out: Some(48), rejected: 2 };
        let shown = bar(progress, Duration::from_secs(2));
        assert_eq!(shown, "[############------------]  50 %  25 rows/s  250 B/s  2 rejected  2s left");
        let unknown = bar(Progress { bytes_total: None, rejected: 0, ..progress }, Duration::from_secs(2));
        assert!(unknown.starts_with("[------------------------]  25 rows/s"), "{unknown}");
    }
}

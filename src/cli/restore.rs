//! What `restore` prints: progress on standard error, what is in a backup, and what came out of it.

use super::human;
use super::line::{Line, Style};
use super::out::Out;
use crate::model::{Failure, text};
use serde::Serialize;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Problems that are printed; the rest are counted.
const PROBLEMS_SHOWN: usize = 20;

/// One entry of a backup.
#[derive(Debug, Serialize)]
pub struct Listed {
    /// `folder`, `file`, `symlink` or `hardlink`.
    pub kind: &'static str,
    /// Its path in the backup; escaped text.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// When it was modified, RFC 3339.
    pub modified: String,
    /// Where a link leads; escaped text.
    pub link: Option<String>,
    /// BLAKE3 of a file's content.
    pub blake3: Option<String>,
    /// It changed while it was copied.
    pub changed: bool,
}

/// Something that was not restored.
#[derive(Debug, Serialize)]
pub struct Missing {
    /// Its path in the backup; escaped text.
    pub path: String,
    /// Why.
    pub message: String,
}

/// What came of a restore.
#[derive(Debug, Serialize)]
pub struct Restored {
    /// The folder; none where everything was only read and compared. Escaped text.
    pub to: Option<String>,
    /// Entries that are there now, or are as they were.
    pub restored: u64,
    /// Bytes of their contents.
    pub bytes: u64,
    /// Entries that were there before and stay.
    pub kept: u64,
    /// Entries that are missing.
    pub failed: u64,
    /// The first of them.
    pub problems: Vec<Missing>,
    /// How long it took.
    pub duration_ms: u64,
}

/// Prints what is in a backup.
pub fn list(entries: &[Listed], out: &mut Out) {
    if out.is_json() {
        out.json(&entries);
        return;
    }
    for entry in entries {
        let kind = match entry.kind {
            "folder" => 'd',
            "symlink" => 'l',
            "hardlink" => 'h',
            _ => '-',
        };
        let facts = format!("{kind} {:04o} {:>10}  {}  ", entry.mode, human::bytes(entry.size), entry.modified);
        let mut line = Line::of(Style::Dim, facts).text(&entry.path);
        if let Some(link) = &entry.link {
            line = line.and(Style::Dim, format!(" -> {link}"));
        }
        if entry.changed {
            line = line.and(Style::Warn, "  changed while it was copied");
        }
        out.line(line);
    }
}

/// Prints what came out.
pub fn done(done: &Restored, out: &mut Out) {
    if out.is_json() {
        out.json(done);
        return;
    }
    let style = if done.failed > 0 { Style::Warn } else { Style::Good };
    let what = if done.to.is_some() { "restored" } else { "as they were" };
    let mut counts = format!("{} {what}, {}", text::count(done.restored), human::bytes(done.bytes));
    for (n, what) in [(done.kept, "were there and stay"), (done.failed, "missing or damaged")] {
        if n > 0 {
            counts.push_str(&format!(", {} {what}", text::count(n)));
        }
    }
    let took = human::short(Duration::from_millis(done.duration_ms));
    out.line(Line::of(style, counts).and(Style::Dim, format!("  in {took}")));
    if let Some(to) = &done.to {
        out.line(Line::from("  ").text(to));
    }
    for problem in done.problems.iter().take(PROBLEMS_SHOWN) {
        out.line(Line::of(Style::Bad, "  failed ").text(format!("{}: {}", problem.path, problem.message)));
    }
    let more = done.failed.saturating_sub(PROBLEMS_SHOWN as u64);
    if more > 0 {
        out.line(Line::of(Style::Dim, format!("  and {} more", text::count(more))));
    }
}

/// Prints why nothing was done.
pub fn failed(failure: &Failure, out: &mut Out) {
    if out.is_json() {
        out.json(&serde_json::json!({ "error": failure }));
    } else {
        super::failure::print(failure, out);
    }
}

/// How much was read so far, on standard error; nothing where that is no terminal.
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

    /// Draws how far it is.
    pub fn show(&mut self, bytes: u64) {
        if self.shows && bytes > 0 {
            self.drawn = true;
            // Nobody can be told that standard error is gone.
            let _ = write!(std::io::stderr(), "\r{} read\x1b[K", human::bytes(bytes));
        }
    }

    /// Takes it away.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

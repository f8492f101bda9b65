//! Reading the log: from memory where it reaches, from disk before that, in bounded steps.

use super::segments::{Segment, seq_of};
use crate::model::ports::LogsQuery;
use crate::model::view::{LogLine, LogsPage};
use memchr::memmem;
use std::sync::Arc;

/// Most lines of a page, whatever is asked for.
pub const PAGE_MAX: u32 = 5_000;
/// Most bytes of disk that one call looks through. A forward read goes on where it stopped; a read of the last lines
/// answers with what it found.
pub(super) const SCAN_MAX: u64 = 32 * 1024 * 1024;

/// What lines are wanted.
pub(super) struct Wanted<'a> {
    query: &'a LogsQuery,
    /// What the raw line of a wanted job holds.
    job: Option<memmem::Finder<'a>>,
    search: Option<String>,
    /// Most lines.
    pub(super) limit: usize,
}

impl<'a> Wanted<'a> {
    pub(super) fn new(query: &'a LogsQuery) -> Self {
        let job = query.job.map(|id| memmem::Finder::new(format!("\"job\":{id},").as_bytes()).into_owned());
        let search = query.search.as_ref().filter(|s| !s.is_empty()).map(|s| s.to_ascii_lowercase());
        Self { query, job, search, limit: query.limit.clamp(1, PAGE_MAX) as usize }
    }

    /// Whether a line is wanted.
    pub(super) fn takes(&self, line: &LogLine) -> bool {
        let query = self.query;
        query.job.is_none_or(|job| line.job == Some(job))
            && query.task.as_ref().is_none_or(|task| line.task.as_ref() == Some(task))
            && query.level.is_none_or(|level| line.level <= level)
            && self.search.as_ref().is_none_or(|s| line.message.to_ascii_lowercase().contains(s))
    }

    fn parse(&self, raw: &[u8]) -> Option<LogLine> {
        if self.job.as_ref().is_some_and(|job| job.find(raw).is_none()) {
            return None;
        }
        serde_json::from_slice(raw).ok().filter(|line| self.takes(line))
    }
}

/// The last wanted lines before `before`, newest first, until there are enough.
pub(super) fn backward(segments: &[Segment], before: u64, wanted: &Wanted<'_>, out: &mut Vec<LogLine>) {
    let mut scanned = 0;
    for segment in segments.iter().rev().filter(|s| s.first < before) {
        if out.len() >= wanted.limit || scanned > SCAN_MAX {
            return;
        }
        scanned += segment.bytes;
        let raw = segment.read();
        for line in raw.split(|c| *c == b'\n').rev() {
            if seq_of(line).is_none_or(|seq| seq >= before) {
                continue;
            }
            out.extend(wanted.parse(line));
            if out.len() >= wanted.limit {
                return;
            }
        }
    }
}

/// Adds wanted lines from `page.next` on up to `before`. False: there is more to read before that.
pub(super) fn forward(segments: &[Segment], before: u64, wanted: &Wanted<'_>, page: &mut LogsPage) -> bool {
    let begin = segments.iter().rposition(|s| s.first <= page.next).unwrap_or(0);
    let mut scanned = 0;
    for segment in &segments[begin.min(segments.len())..] {
        if scanned > SCAN_MAX {
            return false;
        }
        scanned += segment.bytes;
        for raw in segment.read().split(|c| *c == b'\n') {
            let Some(seq) = seq_of(raw).filter(|seq| *seq >= page.next) else { continue };
            if seq >= before {
                return true;
            }
            if page.lines.len() >= wanted.limit {
                return false;
            }
            pass(page, seq);
            page.lines.extend(wanted.parse(raw));
        }
    }
    true
}

/// The same from memory.
pub(super) fn forward_in_memory<'l>(
    lines: impl Iterator<Item = &'l Arc<LogLine>>,
    wanted: &Wanted<'_>,
    page: &mut LogsPage,
) {
    for line in lines.filter(|l| l.seq >= page.next).collect::<Vec<_>>() {
        if page.lines.len() >= wanted.limit {
            return;
        }
        pass(page, line.seq);
        if wanted.takes(line) {
            page.lines.push(line.as_ref().clone());
        }
    }
}

/// Moves the cursor behind a line, and counts the lines that are missing in front of it.
fn pass(page: &mut LogsPage, seq: u64) {
    page.gap += seq.saturating_sub(page.next);
    page.next = seq + 1;
}

//! How far a job at work is, how fast it goes and how long it will take, from what its attempt says now and then.
//!
//! The speed is that of the last seconds, so that it follows what happens; before there is enough to tell, there is none.

use crate::model::JobId;
use crate::model::action::Progress;
use crate::model::view::ProgressView;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Least time between two values that are kept.
const STEP: Duration = Duration::from_millis(250);
/// The speed is the mean over this time. With [`STEP`] it bounds what is kept.
const WINDOW: Duration = Duration::from_secs(10);
/// A speed over less time than this says nothing.
const LEAST: Duration = Duration::from_millis(500);

/// Measures one attempt.
#[derive(Debug, Default)]
pub struct Meter {
    last: Progress,
    marks: VecDeque<Mark>,
}

/// How far it was at some time.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at: Instant,
    bytes: u64,
    rows: u64,
}

impl Meter {
    /// Takes what the attempt says. The first value is where it starts: not zero, where it goes on with earlier work.
    pub fn note(&mut self, progress: Progress, at: Instant) {
        self.last = progress;
        if self.marks.back().is_none_or(|m| at.saturating_duration_since(m.at) >= STEP) {
            self.marks.push_back(Mark { at, bytes: progress.bytes, rows: progress.rows });
        }
        while self.marks.get(1).is_some_and(|m| at.saturating_duration_since(m.at) >= WINDOW) {
            self.marks.pop_front();
        }
    }

    /// What a client is told; nothing before the attempt has said anything.
    #[must_use]
    pub fn view(&self, job: JobId, at: Instant) -> Option<ProgressView> {
        let Progress { bytes, bytes_total, rows, rows_out, rejected } = self.last;
        let first = self.marks.front()?;
        let took = at.saturating_duration_since(first.at);
        let per_second = |from: u64, to: u64| {
            (took >= LEAST).then(|| scaled(to.saturating_sub(from), 1000, took.as_millis().max(1)))
        };
        let left_ms = bytes_total.and_then(|total| {
            let done = bytes.saturating_sub(first.bytes);
            let left = total.saturating_sub(bytes);
            (took >= LEAST && done > 0).then(|| scaled(left, took.as_millis(), u128::from(done)))
        });
        Some(ProgressView {
            job,
            bytes,
            bytes_total,
            rows,
            rows_out,
            rejected,
            rows_per_second: per_second(first.rows, rows),
            bytes_per_second: per_second(first.bytes, bytes),
            left_ms,
        })
    }
}

/// `n * by / of`, as far as that can be counted.
fn scaled(n: u64, by: u128, of: u128) -> u64 {
    u64::try_from(u128::from(n).saturating_mul(by) / of.max(1)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(meter: &Meter, start: Instant, ms: u64) -> (u64, Option<u64>, Option<u64>, Option<u64>) {
        let view = meter.view(JobId(1), start + Duration::from_millis(ms)).unwrap();
        (view.bytes, view.bytes_per_second, view.rows_per_second, view.left_ms)
    }

    fn noted(meter: &mut Meter, start: Instant, ms: u64, bytes: u64) {
        let progress = Progress { bytes, bytes_total: Some(10_000), rows: bytes / 10, ..Progress::default() };
        meter.note(progress, start + Duration::from_millis(ms));
    }

    #[test]
    fn speed_and_time_left_follow_from_what_was_said() {
        let (mut meter, start) = (Meter::default(), Instant::now());
        assert_eq!(meter.view(JobId(1), start), None);
        noted(&mut meter, start, 0, 100);
        noted(&mut meter, start, 300, 400);
        assert_eq!(at(&meter, start, 300), (400, None, None, None), "too early to tell");
        noted(&mut meter, start, 1000, 1100);
        assert_eq!(
            at(&meter, start, 1000),
            (1100, Some(1000), Some(100), Some(8900)),
            "what was there before is not counted"
        );
        assert_eq!(
            at(&meter, start, 2000),
            (1100, Some(500), Some(50), Some(17_800)),
            "it slows down while nothing comes"
        );
        noted(&mut meter, start, 2000, 10_000);
        assert_eq!(at(&meter, start, 2000).3, Some(0));
    }

    #[test]
    fn the_past_is_forgotten_and_memory_is_bounded() {
        let (mut meter, start) = (Meter::default(), Instant::now());
        for n in 0..1000_u64 {
            noted(&mut meter, start, n * 10, n); // 100 a second
        }
        for n in 0..2000_u64 {
            noted(&mut meter, start, 10_000 + n * 10, 1000 + 2 * n); // 200 a second
        }
        assert!((38..=42).contains(&meter.marks.len()), "{}", meter.marks.len());
        let (_, speed, ..) = at(&meter, start, 29_990);
        assert!((198..=202).contains(&speed.unwrap()), "{speed:?}");
    }

    #[test]
    fn no_number_is_too_large() {
        let (mut meter, start) = (Meter::default(), Instant::now());
        meter.note(Progress::default(), start);
        let all = Progress { bytes: u64::MAX - 1, bytes_total: Some(u64::MAX), rows: u64::MAX, ..Progress::default() };
        meter.note(all, start + Duration::from_millis(500));
        assert_eq!(at(&meter, start, 500).2, Some(u64::MAX));
        let back = Progress { bytes: 0, bytes_total: Some(0), ..Progress::default() };
        meter.note(back, start + Duration::from_secs(1));
        assert_eq!(at(&meter, start, 1000), (0, Some(0), Some(0), None), "a clock or a count that goes back");
    }
}

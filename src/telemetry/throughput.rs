//! How much work flows: one value for each of the last seconds, in a ring of fixed length.

use crate::model::view;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Longest series, in seconds; older values are forgotten.
const SERIES_MAX: usize = view::Throughput::SERIES_MAX;

/// Counts finished work by the second.
#[derive(Debug, Default)]
pub struct Throughput {
    jobs: AtomicU32,
    bytes: AtomicU64,
    series: Mutex<Series>,
}

#[derive(Debug, Default)]
struct Series {
    second: Option<i64>,
    jobs: VecDeque<u32>,
    bytes: VecDeque<u64>,
    depth: VecDeque<u64>,
}

impl Throughput {
    /// Nothing has flowed yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts finished jobs, and the bytes of their inputs and outputs, in the current second.
    pub fn finished(&self, jobs: u32, bytes: u64) {
        self.jobs.fetch_add(jobs, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Ends the current second, if `now_seconds` (since the epoch) lies behind it; `queue_depth` is the number of
    /// queued jobs. Called about once a second; seconds in which it was not called are empty. A clock that was set
    /// back ends the current second and starts from there.
    pub fn tick(&self, now_seconds: i64, queue_depth: u64) {
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = match series.second {
            None => 0,
            Some(second) if now_seconds < second => 1,
            Some(second) => now_seconds.abs_diff(second),
        };
        series.second = Some(now_seconds);
        if passed == 0 {
            return;
        }
        let missed = usize::try_from(passed - 1).unwrap_or(SERIES_MAX).min(SERIES_MAX);
        for _ in 0..missed {
            series.push(0, 0, queue_depth);
        }
        series.push(self.jobs.swap(0, Ordering::Relaxed), self.bytes.swap(0, Ordering::Relaxed), queue_depth);
    }

    /// The series, oldest second first. The current second is not in it.
    #[must_use]
    pub fn view(&self) -> view::Throughput {
        let series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        view::Throughput {
            jobs_per_second: series.jobs.iter().copied().collect(),
            bytes_per_second: series.bytes.iter().copied().collect(),
            queue_depth: series.depth.iter().copied().collect(),
        }
    }
}

impl Series {
    fn push(&mut self, jobs: u32, bytes: u64, depth: u64) {
        if self.jobs.len() >= SERIES_MAX {
            self.jobs.pop_front();
            self.bytes.pop_front();
            self.depth.pop_front();
        }
        self.jobs.push_back(jobs);
        self.bytes.push_back(bytes);
        self.depth.push_back(depth);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_its_value() {
        let t = Throughput::new();
        t.tick(100, 9);
        t.finished(2, 10);
        t.finished(1, 5);
        t.tick(100, 8);
        assert_eq!(t.view(), view::Throughput::default(), "the second is not over");
        t.tick(101, 7);
        t.tick(102, 6);
        let view = t.view();
        assert_eq!((view.jobs_per_second, view.bytes_per_second), (vec![3, 0], vec![15, 0]));
        assert_eq!(view.queue_depth, [7, 6]);
    }

    #[test]
    fn missed_seconds_are_empty_and_the_length_is_bounded() {
        let t = Throughput::new();
        t.tick(100, 0);
        t.finished(4, 0);
        t.tick(103, 1);
        assert_eq!(t.view().jobs_per_second, [0, 0, 4]);
        t.finished(5, 0);
        t.tick(i64::MAX, 2);
        let view = t.view();
        assert_eq!((view.jobs_per_second.len(), view.jobs_per_second.last()), (SERIES_MAX, Some(&5)));
        assert_eq!(view.queue_depth.len(), SERIES_MAX);
        t.finished(6, 0);
        t.tick(50, 3);
        assert_eq!(t.view().jobs_per_second.last(), Some(&6), "a clock set back ends the second");
        t.tick(51, 3);
        assert_eq!(t.view().jobs_per_second.last(), Some(&0));
    }
}

//! What a period of time came to, as plain data: made by the store, shown by reports. Every list has a bound.

use super::view::Counts;
use super::{FailureClass, JobId, JobState, Millis, RunState};
use serde::Serialize;

/// What happened from one time to another. Texts are as they came from outside: whoever shows them escapes them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// The beginning of the period, included.
    pub from: Millis,
    /// Its end, not included.
    pub to: Millis,
    /// All jobs that were over in the period.
    pub totals: Totals,
    /// The same by task, those with most jobs first.
    pub tasks: Vec<TaskTotals>,
    /// The same by the type of their input, the most frequent first; at most [`Statistics::TYPES_MAX`].
    pub types: Vec<TypeTotals>,
    /// How many jobs took how many attempts: at index 0 those that took one; at the last index all that took more.
    pub attempts: [u64; Statistics::ATTEMPTS_MAX],
    /// The jobs that took longest, the slowest first; at most [`Statistics::SLOWEST_MAX`].
    pub slowest: Vec<SlowJob>,
    /// The failed jobs, the newest first; at most [`Statistics::FAILURES_MAX`].
    pub failures: Vec<FailedJob>,
    /// Why jobs failed, the most frequent first; at most [`Statistics::CAUSES_MAX`].
    pub causes: Vec<CauseTotals>,
    /// Runs that did not happen, by task and reason, the newest first; at most [`Statistics::NOT_RUN_MAX`].
    pub not_run: Vec<NotRun>,
    /// Every job as it is now, by state; not of the period.
    pub now: Counts,
    /// What comes next, the soonest first; filled by the runtime.
    pub next: Vec<NextRun>,
    /// What should have come; filled by the runtime.
    pub overdue: Vec<Overdue>,
}

impl Statistics {
    /// Most types of input; the rest is counted as `other types`.
    pub const TYPES_MAX: usize = 20;
    /// Numbers of attempts that are told apart.
    pub const ATTEMPTS_MAX: usize = 5;
    /// Most slow jobs.
    pub const SLOWEST_MAX: usize = 10;
    /// Most failed jobs.
    pub const FAILURES_MAX: usize = 20;
    /// Most causes.
    pub const CAUSES_MAX: usize = 20;
    /// Most kinds of runs that did not happen.
    pub const NOT_RUN_MAX: usize = 50;

    /// Length of the period in milliseconds.
    #[must_use]
    pub fn period_ms(&self) -> u64 {
        u64::try_from(self.to.0.saturating_sub(self.from.0)).unwrap_or(0)
    }
}

/// What jobs came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Jobs that succeeded.
    pub processed: u64,
    /// Jobs that failed.
    pub failed: u64,
    /// Jobs that an operator set aside.
    pub skipped: u64,
    /// Jobs that were withdrawn.
    pub cancelled: u64,
    /// Of all of them, those that took more than one attempt.
    pub retried: u64,
    /// Attempts of all of them.
    pub attempts: u64,
    /// Records read.
    pub rows: u64,
    /// Records written.
    pub rows_out: u64,
    /// Records set aside.
    pub rejected: u64,
    /// Bytes of their inputs.
    pub bytes_in: u64,
    /// Bytes of their outputs.
    pub bytes_out: u64,
    /// How long they took.
    pub durations: Durations,
}

impl Totals {
    /// Jobs in all.
    #[must_use]
    pub const fn jobs(&self) -> u64 {
        self.processed + self.failed + self.skipped + self.cancelled
    }

    /// Counts a job that ended in this state.
    pub const fn count(&mut self, state: JobState) {
        match state {
            JobState::Succeeded => self.processed += 1,
            JobState::Failed => self.failed += 1,
            JobState::Skipped => self.skipped += 1,
            JobState::Cancelled => self.cancelled += 1,
            JobState::Waiting | JobState::Queued | JobState::Running | JobState::Placing => {}
        }
    }
}

/// How long the last attempts of jobs took: of those that succeeded or failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Durations {
    /// Jobs whose duration is known.
    pub jobs: u64,
    /// Half of them took no longer, in milliseconds.
    pub p50_ms: Option<u64>,
    /// 95 of 100 took no longer.
    pub p95_ms: Option<u64>,
    /// The slowest.
    pub max_ms: Option<u64>,
    /// Whether `p50_ms` and `p95_ms` are those of a sample; the others are always exact.
    pub sampled: bool,
}

/// What the jobs of a task came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TaskTotals {
    /// The task.
    pub task: String,
    /// Its jobs.
    #[serde(flatten)]
    pub totals: Totals,
}

/// What the jobs with inputs of a type came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeTotals {
    /// The extension of the input's name in lower case; or what else it is, in words: `no extension`, `URL`, `no file`.
    pub name: String,
    /// The jobs; their durations are not told apart by type.
    pub totals: Totals,
}

/// One of the slowest jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowJob {
    /// Its number.
    pub job: JobId,
    /// Its task.
    pub task: String,
    /// Its input.
    pub input: String,
    /// What became of it.
    pub state: JobState,
    /// How long its last attempt took.
    pub duration_ms: u64,
}

/// One of the newest failures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedJob {
    /// Its number.
    pub job: JobId,
    /// Its task.
    pub task: String,
    /// Its input.
    pub input: String,
    /// When it failed.
    pub at: Millis,
    /// Attempts that it took.
    pub attempts: i64,
    /// What the failure means for the retry policy; none where its reason is not known.
    pub class: Option<FailureClass>,
    /// The code of the failure.
    pub code: String,
    /// What happened.
    pub message: String,
    /// The file at fault.
    pub file: Option<String>,
    /// The line in it, 1-based.
    pub line: Option<u64>,
    /// The column in that line, 1-based.
    pub column: Option<u64>,
    /// The name of that column.
    pub column_name: Option<String>,
}

/// Failed jobs with the same cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CauseTotals {
    /// Their task.
    pub task: String,
    /// Class of the failure, by name.
    pub class: String,
    /// Its code.
    pub code: String,
    /// The constant part of its message.
    pub text: String,
    /// Jobs of the period that stand failed with it.
    pub jobs: u64,
}

/// Runs of a task that did not happen, for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotRun {
    /// The task.
    pub task: String,
    /// Missed or skipped.
    pub state: RunState,
    /// Why.
    pub reason: String,
    /// How many.
    pub runs: u64,
    /// When the newest of them was planned for.
    pub last: Millis,
}

/// A run that is to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextRun {
    /// The task.
    pub task: String,
    /// When.
    pub at: Millis,
    /// Its schedule in words.
    pub plain: String,
}

/// A run that should have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overdue {
    /// The task.
    pub task: String,
    /// Since when.
    pub since: Millis,
    /// What it is that did not happen.
    pub reason: String,
}

/// Most durations that are kept of a period, of all tasks together; beyond, those of the largest task become a sample.
pub const SAMPLE_MAX: usize = 100_000;

/// How long jobs took, kept so that percentiles are exact up to [`SAMPLE_MAX`] jobs. Beyond that the largest group
/// keeps every second of its values, evenly over the period, then every fourth, and so on: small groups stay exact.
#[derive(Debug, Default)]
pub struct Sample {
    groups: Vec<Group>,
    kept: usize,
    max: usize,
}

#[derive(Debug)]
struct Group {
    values: Vec<u64>,
    stride: u64,
    seen: u64,
    max: Option<u64>,
}

impl Default for Group {
    fn default() -> Self {
        Self { values: Vec::new(), stride: 1, seen: 0, max: None }
    }
}

impl Sample {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::of(SAMPLE_MAX)
    }

    fn of(max: usize) -> Self {
        Self { groups: Vec::new(), kept: 0, max }
    }

    /// Takes a value of a group.
    pub fn add(&mut self, group: usize, value: u64) {
        if self.groups.len() <= group {
            self.groups.resize_with(group + 1, Group::default);
        }
        let Some(into) = self.groups.get_mut(group) else { return };
        if into.seen.is_multiple_of(into.stride) {
            into.values.push(value);
            self.kept += 1;
        }
        into.seen += 1;
        into.max = into.max.max(Some(value));
        if self.kept > self.max {
            self.thin_out();
        }
    }

    fn thin_out(&mut self) {
        let Some(largest) = self.groups.iter_mut().max_by_key(|g| g.values.len()) else { return };
        let before = largest.values.len();
        let mut n = 0_u64;
        largest.values.retain(|_| {
            n += 1;
            n % 2 == 1
        });
        largest.stride *= 2;
        self.kept -= before - largest.values.len();
    }

    /// How long the jobs of a group took.
    #[must_use]
    pub fn durations(&self, group: usize) -> Durations {
        self.groups.get(group).map_or_else(Durations::default, |g| spread(&[g]))
    }

    /// How long all jobs took.
    #[must_use]
    pub fn all(&self) -> Durations {
        spread(&self.groups.iter().collect::<Vec<_>>())
    }
}

/// Percentiles by nearest rank; a value stands for as many as its group's stride.
fn spread(groups: &[&Group]) -> Durations {
    let mut values: Vec<(u64, u64)> = groups.iter().flat_map(|g| g.values.iter().map(|v| (*v, g.stride))).collect();
    values.sort_unstable();
    let weight: u64 = values.iter().map(|(_, w)| w).sum();
    let at = |percent: u64| {
        let rank = (weight * percent).div_ceil(100).max(1);
        let mut below = 0;
        values.iter().find(|(_, w)| {
            below += w;
            below >= rank
        })
    };
    Durations {
        jobs: groups.iter().map(|g| g.seen).sum(),
        p50_ms: at(50).map(|(v, _)| *v),
        p95_ms: at(95).map(|(v, _)| *v),
        max_ms: groups.iter().filter_map(|g| g.max).max(),
        sampled: groups.iter().any(|g| g.stride > 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let mut sample = Sample::new();
        for n in (1..=200).rev() {
            sample.add(0, n);
        }
        let d = sample.durations(0);
        assert_eq!((d.p50_ms, d.p95_ms, d.max_ms, d.jobs, d.sampled), (Some(100), Some(190), Some(200), 200, false));
        sample.add(3, 7);
        assert_eq!(sample.durations(3).p95_ms, Some(7));
        assert_eq!(sample.durations(2), Durations::default());
        assert_eq!(sample.durations(9), Durations::default());
    }

    #[test]
    fn a_large_group_is_sampled_and_a_small_one_stays_exact() {
        let mut sample = Sample::of(1000);
        sample.add(1, 5);
        for n in 0..100_000 {
            sample.add(0, n);
        }
        let (large, small) = (sample.durations(0), sample.durations(1));
        assert!(sample.kept <= 1000, "{}", sample.kept);
        assert!(large.sampled && !small.sampled);
        assert_eq!((large.jobs, large.max_ms, small.p50_ms), (100_000, Some(99_999), Some(5)));
        let (p50, p95) = (large.p50_ms.unwrap(), large.p95_ms.unwrap());
        assert!(p50.abs_diff(50_000) < 500 && p95.abs_diff(95_000) < 500, "{p50} {p95}");
        let all = sample.all();
        assert_eq!((all.jobs, all.sampled), (100_001, true));
        assert!(all.p50_ms.unwrap().abs_diff(50_000) < 500, "a value stands for as many as were left out");
    }
}

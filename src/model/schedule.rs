//! Schedules: when a task is planned to run, as arithmetic over the calendar. No clock is read and nothing is kept.
//!
//! A *planned time* is a mark on the schedule. It is *due* at the planned time plus the jitter of its task, which is
//! the same every time. `plan` compares the planned times with the time on the clock and says what is to be done:
//!
//! - A planned time runs normally when it is found due no later than its grace: 60 s, or a tenth of the time to the next
//!   planned one if that is less, but at least 1 s.
//! - What is found later was missed: the supervisor was down, the machine asleep, or the clock set forward. `skip` leaves
//!   one record for the whole gap. `latest` makes one run, for the newest time that was missed; when a planned time is due on
//!   time in the same moment, that one is the run. Its note says for how many it stands. `all` makes up for each, the
//!   oldest first, up to [`MISSED_MAX`]; older ones share one record. What is older than `missed_within` only gets the record.
//! - Every planned time after the last one that was planned is in exactly one slot. So no time is planned twice and
//!   none passes in silence, whatever the clock does.
//! - A clock that is set back plans nothing twice: only times after the last planned one count. If that lies so far in the
//!   future that two planned times or more would pass unseen, and more than a minute, the clock had been wrong, and
//!   scheduling goes on from the time it shows now. A record says so. Times that were planned in that wrong future come
//!   again; the key of a slot (task, planned time) in the store keeps them from running again.
//! - The work is bounded, however long the gap and however short the period: a count of missed times may be "more than 1,000".
//!
//! Where the clock of a zone jumps, croner's rule holds. A pattern with one second, one minute and one hour is a *fixed
//! time*: it runs once a local day, in a gap at the first instant after it, in an hour that comes twice the first time.
//! Every other pattern (`*`, `/`, lists and ranges in those fields) is an *interval*: what lies in a gap does not exist,
//! and an hour that comes twice is run twice. `every` counts real time and knows no jumps, unless it is aligned to the clock.

mod cron;
mod describe;
mod every;
mod plan;
#[cfg(test)]
mod tests;

pub use cron::{Cron, CronError};
pub use plan::{GRACE, MISSED_MAX, Plan, Slot, Standing, plan};

use super::Millis;
use chrono::{DateTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;
use std::time::Duration;

/// Shortest period of an interval; a shorter one counts as this.
pub const PERIOD_MIN: Duration = Duration::from_secs(1);
/// Longest time to start in, unless the configuration says otherwise.
const START_WITHIN_MAX: Duration = Duration::from_secs(3600);
/// Shortest such time.
const START_WITHIN_MIN: Duration = Duration::from_secs(60);

/// When a task runs by itself, and what becomes of times at which it could not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The marks.
    pub times: Times,
    /// The zone whose clock and calendar they follow.
    pub timezone: Tz,
    /// Runs of a task start this much later at most, always by the same amount, so that tasks do not start all at once.
    pub jitter: Duration,
    /// No planned time lies before it. Intervals that are not aligned are counted from it.
    pub start: Option<Millis>,
    /// No planned time lies after it.
    pub end: Option<Millis>,
    /// What becomes of times that were missed.
    pub missed: Missed,
    /// Times that were due longer ago are not made up for.
    pub missed_within: Option<Duration>,
    /// What becomes of a planned time while an earlier run is not over.
    pub overlap: Overlap,
    /// How long after it was due a run must have started. None: the time to the next planned one, between a minute and an hour.
    pub start_within: Option<Duration>,
    /// How long it may go without a success.
    pub success_within: SuccessWithin,
}

/// The marks of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Times {
    /// By a cron pattern.
    Cron(Cron),
    /// At equal distances.
    Every {
        /// The distance.
        period: Duration,
        /// Whether the marks are multiples of the period on the local clock, counted from the midnight that 1970 began
        /// with there. Otherwise they are counted in real time, from the start date or from when the schedule was first seen.
        aligned: bool,
    },
}

/// What becomes of planned times that were missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Missed {
    /// A record, no run.
    Skip,
    /// One run for all of them.
    #[default]
    Latest,
    /// A run for each.
    All,
}

/// What becomes of a planned time while an earlier run of the task is not over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Overlap {
    /// It is skipped, with a record.
    #[default]
    Skip,
    /// It waits for its turn.
    Queue,
    /// The earlier run is cancelled.
    CancelRunning,
}

/// How long a task may go without a success before that is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SuccessWithin {
    /// This many planned times.
    Periods(u32),
    /// This long.
    After(Duration),
    /// Nobody wants to know.
    Never,
}

impl Default for SuccessWithin {
    fn default() -> Self {
        Self::Periods(2)
    }
}

impl Schedule {
    /// A schedule with the defaults for everything but its marks.
    #[must_use]
    pub fn new(times: Times, timezone: Tz) -> Self {
        Self {
            times,
            timezone,
            jitter: Duration::ZERO,
            start: None,
            end: None,
            missed: Missed::default(),
            missed_within: None,
            overlap: Overlap::default(),
            start_within: None,
            success_within: SuccessWithin::default(),
        }
    }

    /// The first planned time after an instant, without jitter. `anchor`: when the schedule was first seen or changed.
    #[must_use]
    pub fn next(&self, after: Millis, anchor: Millis) -> Option<Millis> {
        let after = self.start.map_or(after, |start| after.max(start.minus(Duration::from_millis(1))));
        let next = match &self.times {
            Times::Cron(cron) => cron.next(after, self.timezone)?,
            Times::Every { period, aligned: true } => every::aligned(*period, self.timezone, after)?,
            Times::Every { period, aligned: false } => every::counted(*period, self.start, anchor, after)?,
        };
        self.end.is_none_or(|end| next <= end).then_some(next)
    }

    /// The first planned times after an instant: `n` of them, or fewer where the schedule ends.
    #[must_use]
    pub fn upcoming(&self, after: Millis, anchor: Millis, n: usize) -> Vec<Millis> {
        std::iter::successors(self.next(after, anchor), |at| self.next(*at, anchor)).take(n).collect()
    }

    /// The distance between the two planned times after an instant. None: there are fewer.
    #[must_use]
    pub fn period(&self, at: Millis, anchor: Millis) -> Option<Duration> {
        let first = self.next(at, anchor)?;
        Some(self.next(first, anchor)?.since(first))
    }

    /// How much later than planned the runs of a task are due: less than `jitter`, and always the same.
    #[must_use]
    pub fn jitter_of(&self, task: &str) -> Duration {
        let range = u64::try_from(self.jitter.as_millis()).unwrap_or(u64::MAX);
        let mut bytes = [0; 8];
        blake3::Hasher::new().update(b"jitter\0").update(task.as_bytes()).finalize_xof().fill(&mut bytes);
        u64::from_le_bytes(bytes).checked_rem(range).map_or(Duration::ZERO, Duration::from_millis)
    }

    /// When the run of a planned time must have started. Later is overdue.
    #[must_use]
    pub fn start_by(&self, task: &str, planned: Millis, anchor: Millis) -> Millis {
        planned.plus(self.jitter_of(task)).plus(self.start_within(planned, anchor))
    }

    /// When a task is overdue that succeeded last at `since` (or never, and has its schedule since then): the
    /// configured time is over, or the second planned time has passed and the time to start in with it.
    #[must_use]
    pub fn success_by(&self, task: &str, since: Millis, anchor: Millis) -> Option<Millis> {
        match self.success_within {
            SuccessWithin::Never => None,
            SuccessWithin::After(within) => Some(since.plus(within)),
            SuccessWithin::Periods(n) => {
                let times = self.upcoming(since, anchor, usize::try_from(n.max(1)).unwrap_or(usize::MAX));
                times.last().map(|planned| self.start_by(task, *planned, anchor))
            }
        }
    }

    fn start_within(&self, planned: Millis, anchor: Millis) -> Duration {
        let default = || {
            let next = self.next(planned, anchor);
            next.map_or(START_WITHIN_MAX, |next| next.since(planned).clamp(START_WITHIN_MIN, START_WITHIN_MAX))
        };
        self.start_within.unwrap_or_else(default)
    }

    /// The marks as the configuration spells them.
    #[must_use]
    pub fn source(&self) -> String {
        match &self.times {
            Times::Cron(cron) => cron.source().to_owned(),
            Times::Every { period, aligned } => {
                format!("every {}{}", humantime::format_duration(*period), if *aligned { ", aligned" } else { "" })
            }
        }
    }

    /// The marks in plain words, for example `at 09:00, Monday to Friday`.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.times {
            Times::Cron(cron) => cron.describe(),
            Times::Every { period, aligned } => describe::every(*period, *aligned),
        }
    }

    /// An instant on the clock of the schedule's zone, for people: `2026-03-29 03:00 +02:00`.
    #[must_use]
    pub fn shown(&self, at: Millis) -> String {
        let Some(time) = utc(at) else { return format!("{} ms", at.0) };
        let format = if at.0.rem_euclid(60_000) == 0 { "%Y-%m-%d %H:%M %:z" } else { "%Y-%m-%d %H:%M:%S %:z" };
        time.with_timezone(&self.timezone).format(format).to_string()
    }
}

/// An instant as a calendar has it. None: beyond the years that chrono knows.
fn utc(at: Millis) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(at.0)
}

/// How far the clock of a zone is ahead of UTC at an instant, in milliseconds.
fn offset(zone: Tz, at: Millis) -> Option<i64> {
    let utc = utc(at)?.naive_utc();
    Some(i64::from(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc()) * 1000)
}

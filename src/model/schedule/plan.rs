//! What is to be done now: the slots that are due, those that were missed, and when to ask again.

use super::{Millis, Missed, Schedule, Times, every};
use std::time::Duration;

/// A planned time that is found due no later than this after it was due runs normally.
pub const GRACE: Duration = Duration::from_secs(60);
/// Least grace of a schedule with a short period.
const GRACE_MIN: Duration = Duration::from_secs(1);
/// Most missed times that are run, and that are counted one by one; older ones share one record, and the count says "more than".
pub const MISSED_MAX: usize = 1000;
/// The smallest step of time.
const TICK: Duration = Duration::from_millis(1);

/// What is kept of a task's schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// When the schedule was first seen or changed. No time up to it is planned.
    pub anchor: Millis,
    /// Every time up to this one was planned.
    pub last_planned: Option<Millis>,
}

/// What becomes of a planned time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slot {
    /// It is run.
    Run {
        /// The planned time.
        at: Millis,
        /// What an operator should know: that it is late, and which other times it stands for.
        note: Option<String>,
    },
    /// It is recorded as missed, with every missed time before it that has no slot of its own.
    Missed {
        /// The newest of them.
        at: Millis,
        /// How many, and from when to when.
        reason: String,
    },
}

impl Slot {
    /// Its time, which with the task is its key.
    #[must_use]
    pub const fn at(&self) -> Millis {
        match self {
            Self::Run { at, .. } | Self::Missed { at, .. } => *at,
        }
    }
}

/// What is to be done for a schedule now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The slots, the oldest first. To be kept with `last_planned` in one commit.
    pub slots: Vec<Slot>,
    /// What is kept as the anchor from now on: the same, or now where it lay in the future.
    pub anchor: Millis,
    /// What is kept as the last planned time from now on. It may lie before the one kept so far.
    pub last_planned: Option<Millis>,
    /// When to ask again: the next planned time with its jitter. None: there is none.
    pub next_at: Option<Millis>,
}

/// Says what is to be done for the schedule of a task. The rules stand in the documentation of the module above.
#[must_use]
pub fn plan(schedule: &Schedule, task: &str, standing: &Standing, now: Millis) -> Plan {
    let jitter = schedule.jitter_of(task);
    // The clock was ahead when the schedule was first seen.
    let anchor = if standing.anchor.since(now) > GRACE { now } else { standing.anchor };
    let marks = Marks { schedule, anchor };
    // What was planned up to here is due.
    let until = now.minus(jitter);
    let mut from = standing.last_planned.map_or(anchor, |last| last.max(anchor));
    let mut plan = Plan { slots: Vec::new(), anchor, last_planned: standing.last_planned, next_at: None };
    if let Some(slot) = marks.resume(from, until) {
        from = slot.at();
        plan.last_planned = Some(from);
        plan.slots.push(slot);
    }
    let mut next = marks.next(from);
    if let Some(first) = next.filter(|first| *first <= until) {
        let newest = marks.newest(first, until);
        next = marks.next(newest);
        let due = Due { marks, from, until, grace: grace(newest, next) };
        if newest == first && !due.is_late(first) {
            plan.slots.push(Slot::Run { at: first, note: None });
        } else {
            due.slots(&mut plan.slots);
        }
        plan.last_planned = Some(newest);
    }
    plan.next_at = next.map(|next| next.plus(jitter));
    plan
}

/// How late a time may be found, from the time that is planned after it.
fn grace(newest: Millis, next: Option<Millis>) -> Duration {
    next.map_or(GRACE, |next| (next.since(newest) / 10).clamp(GRACE_MIN, GRACE))
}

/// The planned times of a schedule.
#[derive(Clone, Copy)]
struct Marks<'a> {
    schedule: &'a Schedule,
    anchor: Millis,
}

/// Planned times without any between them that is not among them.
struct Stretch {
    first: Millis,
    newest: Millis,
    /// How many.
    count: u64,
    /// Whether there are more than that.
    more: bool,
}

impl Marks<'_> {
    fn next(&self, after: Millis) -> Option<Millis> {
        self.schedule.next(after, self.anchor)
    }

    fn next_until(&self, after: Millis, until: Millis) -> Option<Millis> {
        self.next(after).filter(|next| *next <= until)
    }

    fn iter(self, after: Millis, until: Millis) -> impl Iterator<Item = Millis> {
        std::iter::successors(self.next_until(after, until), move |at| self.next_until(*at, until))
    }

    /// The newest planned time not after `until`, from one that is known, in as many steps as the distance has bits.
    fn newest(&self, known: Millis, until: Millis) -> Millis {
        let mut newest = known;
        // Back from the end in growing strides, to what lies near it.
        let mut stride = Duration::from_secs(1);
        let mut high = until;
        while until.minus(stride) > newest {
            let start = until.minus(stride);
            if let Some(found) = self.next_until(start, until) {
                newest = found;
                break;
            }
            high = start;
            stride *= 2;
        }
        // No planned time lies after `high` and before `until`; `newest` is one.
        while let Some(next) = self.next_until(newest, high) {
            newest = next;
            let middle = Millis(newest.0 + (high.0 - newest.0) / 2);
            match self.next_until(middle, high) {
                Some(found) => newest = found,
                None => high = middle,
            }
        }
        newest
    }

    /// The planned times after `after` and not after `until`.
    fn stretch(&self, after: Millis, until: Millis) -> Option<Stretch> {
        let first = self.next_until(after, until)?;
        let newest = self.newest(first, until);
        if let Times::Every { period, aligned: false } = &self.schedule.times {
            let count = every::count(*period, self.schedule.start, self.anchor, after, newest);
            return Some(Stretch { first, newest, count, more: false });
        }
        let count = self.iter(after, until).take(MISSED_MAX + 1).count();
        Some(Stretch { first, newest, count: count.min(MISSED_MAX) as u64, more: count > MISSED_MAX })
    }

    /// The latest instant up to which the times can be left out so that no more than [`MISSED_MAX`] are left.
    fn cut(&self, after: Millis, until: Millis) -> Millis {
        let fits = |after: Millis| self.iter(after, until).nth(MISSED_MAX).is_none();
        if fits(after) {
            return after;
        }
        let (mut low, mut high) = (after, until);
        while high.0 - low.0 > 1 {
            let middle = Millis(low.0 + (high.0 - low.0) / 2);
            if fits(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        high
    }

    /// The record of a clock that was far ahead when it was planned up to `from`.
    fn resume(&self, from: Millis, until: Millis) -> Option<Slot> {
        if from.since(until) <= GRACE {
            return None;
        }
        self.iter(until, from).nth(1)?;
        let at = until.minus(TICK);
        let (last, now) = (self.schedule.shown(from), self.schedule.shown(until));
        let reason = format!(
            "the clock was set back: times were planned up to {last} already, and it is {now}; scheduling goes on from now"
        );
        Some(Slot::Missed { at, reason })
    }
}

/// The planned times after `from` and not after `until`; there is at least one.
struct Due<'a> {
    marks: Marks<'a>,
    from: Millis,
    until: Millis,
    grace: Duration,
}

impl Due<'_> {
    fn is_late(&self, at: Millis) -> bool {
        self.until.since(at) > self.grace
    }

    fn slots(&self, slots: &mut Vec<Slot>) {
        let schedule = self.marks.schedule;
        // Times after this one are not late.
        let late = self.until.minus(self.grace).minus(TICK).max(self.from);
        // Times after this one are made up for.
        let mut fresh = match (schedule.missed, schedule.missed_within) {
            (Missed::Skip, _) => late,
            (_, Some(within)) => self.until.minus(within).minus(TICK).clamp(self.from, late),
            (_, None) => self.from,
        };
        if schedule.missed == Missed::All {
            fresh = self.marks.cut(fresh, late);
        }
        if let Some(gone) = self.marks.stretch(self.from, fresh) {
            slots.push(Slot::Missed { at: gone.newest, reason: self.reason(&gone, fresh < late) });
        }
        let mut on_time = self.marks.iter(late, self.until).take(MISSED_MAX).map(|at| Slot::Run { at, note: None });
        match schedule.missed {
            Missed::Skip => {}
            Missed::All => {
                let late = self.marks.iter(fresh, late);
                slots.extend(late.map(|at| Slot::Run { at, note: Some(self.late(at)) }));
            }
            Missed::Latest => {
                if let Some(stretch) = self.marks.stretch(fresh, late) {
                    let on_time = on_time.next().map(|slot| slot.at());
                    let note = Some(self.stands_for(&stretch, on_time));
                    slots.push(Slot::Run { at: on_time.unwrap_or(stretch.newest), note });
                }
            }
        }
        slots.extend(on_time);
    }

    /// Why times that passed are not run. `too_old`: others of the same gap are.
    fn reason(&self, gone: &Stretch, too_old: bool) -> String {
        let schedule = self.marks.schedule;
        let why = match (schedule.missed, schedule.missed_within) {
            (Missed::Skip, _) => "not run, because the schedule says missed = \"skip\"".to_owned(),
            (_, Some(within)) if gone.newest < self.until.minus(within) => {
                format!("not run, because that is more than {} ago", humantime::format_duration(within))
            }
            _ if too_old => format!("not run, because no more than {} are made up for", grouped(MISSED_MAX as u64)),
            _ => "not run".to_owned(),
        };
        format!("{} missed: {why}", self.times(gone))
    }

    fn late(&self, at: Millis) -> String {
        format!("made up for: it was due {} ago", rounded(self.until.since(at)))
    }

    fn stands_for(&self, stretch: &Stretch, on_time: Option<Millis>) -> String {
        match (stretch.count, on_time) {
            (1, None) => self.late(stretch.newest),
            (_, None) => format!("made up for: it stands for {}", self.times(stretch)),
            (_, Some(_)) => format!("it also stands for {} missed before", self.times(stretch)),
        }
    }

    /// `1 planned time (FIRST)`, `3 planned times (from FIRST to NEWEST)`.
    fn times(&self, stretch: &Stretch) -> String {
        let shown = |at| self.marks.schedule.shown(at);
        if stretch.first == stretch.newest {
            return format!("1 planned time ({})", shown(stretch.first));
        }
        let more = if stretch.more { "more than " } else { "" };
        let (first, newest) = (shown(stretch.first), shown(stretch.newest));
        format!("{more}{} planned times (from {first} to {newest})", grouped(stretch.count))
    }
}

/// A span without what does not matter beside its length.
fn rounded(span: Duration) -> humantime::FormattedDuration {
    let seconds = span.as_secs();
    let unit = if seconds >= 86_400 {
        3600
    } else if seconds >= 3600 {
        60
    } else {
        1
    };
    humantime::format_duration(Duration::from_secs(seconds / unit * unit))
}

/// A number in groups of three digits.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

//! The rate of one host: a line of places in time that all tasks share. Each request takes the next place and moves the
//! line on by the interval of its own task, so that requests are spread evenly and a pause is not made up for.
//!
//! It guarantees that in a time `per` there are never more than `count` + 1 requests of a task. It counts microseconds:
//! in whole milliseconds, 600 in a second would become 1000 or 500.

use crate::model::Millis;
use crate::model::action::network::Rate;
use std::time::Duration;

/// A request that comes this much after its place, because a timer fired late, still counts as sent at its place; later
/// than that, the line starts anew at its time. Never more than one interval, or a window would hold one request too many.
const LATE: Duration = Duration::from_millis(2);

const MICROS: i64 = 1000;

/// A duration in whole microseconds, rounded up: a little slower is right, a little faster is not.
pub(super) fn micros(d: Duration) -> i64 {
    i64::try_from(d.as_nanos().div_ceil(1000)).unwrap_or(i64::MAX)
}

/// A time in microseconds.
pub(super) fn at(time: Millis) -> i64 {
    time.0.saturating_mul(MICROS)
}

/// The line of places.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// The next place, in microseconds; none before the first request.
    next: Option<i64>,
}

impl Pace {
    /// The millisecond that the next place lies in.
    pub(super) fn next(&self) -> Option<Millis> {
        self.next.map(|next| Millis(next.div_euclid(MICROS)))
    }

    /// Whether the next place has come.
    pub(super) fn is_due(&self, now: Millis) -> bool {
        self.next().is_none_or(|next| next <= now)
    }

    /// Takes the next place.
    pub(super) fn take(&mut self, rate: Rate, now: Millis) {
        let interval = micros(rate.interval());
        let late = micros(LATE).min(interval);
        let place = self.next.filter(|next| next.saturating_add(late) >= at(now)).unwrap_or(at(now));
        self.next = Some(place.saturating_add(interval));
    }

    /// Places between now and so much later.
    pub(super) fn places(&self, rate: Rate, now: Millis, ahead: Duration) -> u32 {
        let first = self.next.unwrap_or(i64::MIN).max(at(now));
        let left = at(now).saturating_add(micros(ahead)).saturating_sub(first);
        if left < 0 {
            return 0;
        }
        let interval = micros(rate.interval()).max(1);
        u32::try_from(left / interval).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// The first millisecond at which the `n`th place from now on, counted from 1, is at most so far ahead.
    pub(super) fn when(&self, n: u32, rate: Rate, now: Millis, ahead: Duration) -> Millis {
        let first = self.next.unwrap_or(i64::MIN).max(at(now));
        let steps = i64::from(n.saturating_sub(1)).saturating_mul(micros(rate.interval()));
        let place = first.saturating_add(steps).saturating_add(MICROS - 1).div_euclid(MICROS);
        Millis(place).minus(ahead)
    }

    /// The clock was set back by so many milliseconds.
    pub(super) fn shift(&mut self, back: i64) {
        self.next = self.next.map(|next| next.saturating_sub(back.saturating_mul(MICROS)));
    }
}

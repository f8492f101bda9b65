//! When a host must not be asked: because it asked for that (a cool-down), or because it failed so often in a row that one
//! request at a time is enough to see whether it is back (a circuit breaker).

use super::view::Breaker;
use super::{COOL_DEFAULT, COOL_DEFAULT_MAX, COOL_MAX, Closure, OPEN, OPEN_MAX};
use crate::model::Millis;
use std::sync::Arc;
use std::time::Duration;

/// The breaker, once it has opened; it is gone when a probe succeeds.
#[derive(Clone, Copy, Debug)]
struct Opened {
    /// No request before this time, and one at a time after it.
    until: Millis,
    /// How often in a row it opened.
    times: u32,
    /// The one request that is under way to see whether the host is back.
    probe: Option<u64>,
}

/// The cool-down and the breaker of one host.
#[derive(Clone, Debug, Default)]
pub(super) struct Closing {
    cool: Option<Closure>,
    /// Answers "too many" in a row.
    busy: u32,
    /// Cool-downs so far. A request remembers it, so that the answers to many requests that were sent together count as
    /// one word of the host.
    pub cools: u64,
    /// Failures in a row.
    failed: u32,
    opened: Option<Opened>,
}

/// `first`, doubled for each of `times` after the first, at most `max`.
fn doubled(first: Duration, times: u32, max: Duration) -> Duration {
    first.saturating_mul(1_u32.checked_shl(times.saturating_sub(1)).unwrap_or(u32::MAX)).min(max)
}

impl Closing {
    /// Until when nobody may ask the host, and why; none if it is open.
    pub(super) fn closure(&self, now: Millis) -> Option<Closure> {
        let broken = self.opened.map(|o| o.until).filter(|until| *until > now);
        match (self.cooling(now), broken) {
            (Some(cool), Some(until)) if until > cool.until => Some(self.broken(until)),
            (None, Some(until)) => Some(self.broken(until)),
            (cool, _) => cool.cloned(),
        }
    }

    fn broken(&self, until: Millis) -> Closure {
        Closure { until, why: format!("{} requests in a row failed", self.failed).into() }
    }

    /// The cool-down, while it lasts.
    pub(super) fn cooling(&self, now: Millis) -> Option<&Closure> {
        self.cool.as_ref().filter(|cool| cool.until > now)
    }

    /// The breaker's state.
    pub(super) fn breaker(&self, now: Millis) -> Breaker {
        match self.opened {
            None => Breaker::Closed,
            Some(opened) if opened.until > now => Breaker::Open(opened.until),
            Some(_) => Breaker::HalfOpen,
        }
    }

    /// Whether the host is open as far as time goes, but waits for what a probe comes to.
    pub(super) fn is_probing(&self) -> bool {
        self.opened.is_some_and(|o| o.probe.is_some())
    }

    /// A request is sent. After the breaker opened, it is the probe.
    pub(super) fn sent(&mut self, ticket: u64) {
        if let Some(opened) = &mut self.opened {
            opened.probe = Some(ticket);
        }
    }

    /// The breaker, if this request is its probe; which it is no longer then.
    fn end_probe(&mut self, ticket: u64) -> Option<&mut Opened> {
        let opened = self.opened.as_mut().filter(|o| o.probe == Some(ticket))?;
        opened.probe = None;
        Some(opened)
    }

    /// The host answered in good health. `cools` is what it was when the request was sent. While the breaker is open, only
    /// the probe's word counts: others were sent before it opened.
    pub(super) fn good(&mut self, ticket: u64, cools: u64) {
        if self.end_probe(ticket).is_some() {
            self.opened = None;
        }
        if self.opened.is_none() {
            self.failed = 0;
        }
        if cools == self.cools {
            self.busy = 0;
        }
    }

    /// The request failed; `after` failures in a row open the breaker, if it is not 0.
    pub(super) fn bad(&mut self, ticket: u64, after: u32, now: Millis) {
        if let Some(opened) = self.end_probe(ticket) {
            opened.times += 1;
            opened.until = now.plus(doubled(OPEN, opened.times, OPEN_MAX));
            self.failed = self.failed.saturating_add(1);
        } else if self.opened.is_none() {
            self.failed = self.failed.saturating_add(1);
            if after > 0 && self.failed >= after {
                self.opened = Some(Opened { until: now.plus(OPEN), times: 1, probe: None });
            }
        }
    }

    /// The host asked to be left alone. A probe that hears this has not succeeded: another one follows the cool-down.
    pub(super) fn busy(&mut self, ticket: u64, cools: u64, until: Option<Millis>, status: u16, now: Millis) {
        self.end_probe(ticket);
        if cools == self.cools {
            self.cools += 1;
            self.busy = self.busy.saturating_add(1);
        }
        match until.filter(|until| *until > now) {
            Some(until) => self.cool(until, format!("it answered {status} and asked for time").into(), now),
            None => {
                let until = now.plus(doubled(COOL_DEFAULT, self.busy, COOL_DEFAULT_MAX));
                self.cool(until, format!("it answered {status}").into(), now);
            }
        }
    }

    /// It is not known how the request ended.
    pub(super) fn abandoned(&mut self, ticket: u64) {
        self.end_probe(ticket);
    }

    /// Leaves the host alone until a time, at most [`COOL_MAX`] from now. It only ever makes a cool-down longer.
    pub(super) fn cool(&mut self, until: Millis, why: Arc<str>, now: Millis) {
        let until = until.min(now.plus(COOL_MAX));
        if until > now && self.cool.as_ref().is_none_or(|cool| cool.until < until) {
            self.cool = Some(Closure { until, why });
        }
    }

    /// The clock was set back by so many milliseconds.
    pub(super) fn shift(&mut self, back: i64) {
        if let Some(cool) = &mut self.cool {
            cool.until.0 = cool.until.0.saturating_sub(back);
        }
        if let Some(opened) = &mut self.opened {
            opened.until.0 = opened.until.0.saturating_sub(back);
        }
    }
}

//! One host: who is under way, who waits, and what may be sent next.

use super::budget::Budget;
use super::closing::Closing;
use super::latency::Latencies;
use super::pace::Pace;
use super::view::{Breaker, HostView, rate_text};
use super::{
    AHEAD, Allowance, Answer, CLAIM, CLAIMED_AHEAD_MAX, Closure, PATIENCE, REFUSED, STUCK, Verdict, WAITERS_MAX,
};
use crate::model::Millis;
use crate::model::action::network::{Ending, HostLimits, HostName};
use std::collections::BTreeMap;

/// A request under way.
#[derive(Clone, Copy, Debug)]
struct Flight {
    since: Millis,
    /// Cool-downs before it was sent.
    cools: u64,
    breaker_after: u32,
}

/// The state of one host.
#[derive(Clone, Debug, Default)]
pub(super) struct Host {
    under_way: BTreeMap<u64, Flight>,
    /// Who waits and has a rate, by ticket: the lowest one goes first.
    paced: BTreeMap<u64, HostLimits>,
    /// Who waits and has none: they need not wait until the place of another has come.
    free: BTreeMap<u64, HostLimits>,
    pace: Pace,
    closing: Closing,
    budget: Budget,
    latencies: Latencies,
    /// Jobs claimed and not ended.
    pub claimed: u32,
    /// When it was last used.
    pub used: Millis,
    /// What is set for it in the list of wakes.
    pub wake: Option<Millis>,
    /// Whether it was closed when it was last looked at.
    was_closed: bool,
    /// The limits of the task that asked last, for the screen.
    limits: HostLimits,
    requests: u64,
    good: u64,
    bad: u64,
    busy: u64,
}

impl Host {
    fn waiting(&self) -> usize {
        self.paced.len() + self.free.len()
    }

    /// Until when nobody may ask the host, and why.
    pub(super) fn closure(&self, now: Millis) -> Option<Closure> {
        self.closing.closure(now)
    }

    /// Whether it may be forgotten: nobody counts on it, and no rule holds anybody back now. A breaker that only waits for
    /// a probe does not keep a host: those that are never asked again would fill the place of others for ever.
    pub(super) fn is_at_rest(&self, now: Millis) -> bool {
        self.under_way.is_empty()
            && self.waiting() == 0
            && self.claimed == 0
            && self.closure(now).is_none()
            && self.pace.is_due(now)
            && !self.budget.has_line(now)
    }

    /// Who goes next: the one that waits longest, among those that no rate holds back.
    fn next(&self, now: Millis) -> Option<(u64, HostLimits)> {
        let paced = self.paced.first_key_value().filter(|_| self.pace.is_due(now));
        let first = paced.into_iter().chain(self.free.first_key_value()).min_by_key(|(ticket, _)| **ticket);
        first.map(|(ticket, limits)| (*ticket, *limits))
    }

    /// Who may be sent now. Nobody overtakes one who waits for others to end, or a task with a low limit would wait for
    /// ever beside one with a high one.
    fn next_to_go(&self, now: Millis) -> Option<(u64, HostLimits)> {
        if self.closing.is_probing() || self.closure(now).is_some() {
            return None;
        }
        self.next(now).filter(|(_, limits)| self.under_way.len() < limits.concurrency.max(1) as usize)
    }

    fn send(&mut self, ticket: u64, limits: &HostLimits, now: Millis) {
        self.paced.remove(&ticket);
        self.free.remove(&ticket);
        if let Some(rate) = limits.rate {
            self.pace.take(rate, now);
        }
        self.closing.sent(ticket);
        self.budget.sent(limits.retry_ratio);
        self.requests += 1;
        let flight = Flight { since: now, cools: self.closing.cools, breaker_after: limits.breaker_after };
        self.under_way.insert(ticket, flight);
    }

    /// Somebody wants to send a request.
    pub(super) fn enter(&mut self, limits: &HostLimits, ticket: u64, now: Millis) -> Verdict {
        self.limits = *limits;
        if let Some(closure) = self.closure(now).filter(|c| c.until.since(now) > PATIENCE) {
            return Verdict::Closed(closure);
        }
        if self.waiting() >= WAITERS_MAX {
            let why = format!("{} requests wait for it", self.waiting()).into();
            return Verdict::Closed(Closure { until: now.plus(REFUSED), why });
        }
        let line = if limits.rate.is_some() { &mut self.paced } else { &mut self.free };
        line.insert(ticket, *limits);
        match self.next_to_go(now) {
            Some((next, limits)) if next == ticket => {
                self.send(ticket, &limits, now);
                Verdict::Granted
            }
            _ => Verdict::Waiting { look: self.wake(now) },
        }
    }

    /// A request is over. None if it is not under way.
    pub(super) fn leave(&mut self, ticket: u64, ending: Ending, now: Millis) -> Option<()> {
        let flight = self.under_way.remove(&ticket)?;
        match ending {
            Ending::Good { latency } => {
                self.good += 1;
                self.latencies.add(latency);
                self.closing.good(ticket, flight.cools);
            }
            Ending::Bad => {
                self.bad += 1;
                self.closing.bad(ticket, flight.breaker_after, now);
            }
            Ending::Busy { until, status } => {
                self.busy += 1;
                self.closing.busy(ticket, flight.cools, until, status, now);
            }
            Ending::Abandoned => self.closing.abandoned(ticket),
        }
        Some(())
    }

    /// Somebody no longer waits.
    pub(super) fn abandon(&mut self, ticket: u64) {
        self.paced.remove(&ticket);
        self.free.remove(&ticket);
    }

    /// Leaves the host alone until a time.
    pub(super) fn restore(&mut self, until: Millis, why: &str, now: Millis) {
        self.closing.cool(until, why.into(), now);
    }

    /// Sends whoever may be sent, and sends away those who would wait too long.
    pub(super) fn pump(&mut self, now: Millis) -> Vec<Answer> {
        let mut answers = Vec::new();
        if let Some(closure) = self.closure(now).filter(|c| c.until.since(now) > PATIENCE) {
            let paced = std::mem::take(&mut self.paced);
            let free = std::mem::take(&mut self.free);
            answers.extend(paced.into_keys().chain(free.into_keys()).map(|t| Answer::closed(t, closure.clone())));
            answers.sort_unstable_by_key(|a| a.ticket);
        }
        while let Some((ticket, limits)) = self.next_to_go(now) {
            self.send(ticket, &limits, now);
            answers.push(Answer::granted(ticket));
        }
        answers
    }

    /// When something happens by itself: it opens, or the place of one who waits comes.
    pub(super) fn wake(&self, now: Millis) -> Option<Millis> {
        if let Some(closure) = self.closure(now) {
            return Some(closure.until);
        }
        if self.closing.is_probing() {
            return None;
        }
        if self.next_to_go(now).is_some() {
            return Some(now);
        }
        self.pace.next().filter(|next| !self.paced.is_empty() && *next > now)
    }

    /// Whether it opened or closed since this was last asked.
    pub(super) fn has_turned(&mut self, now: Millis) -> bool {
        let is_closed = self.closure(now).is_some() || self.closing.is_probing();
        std::mem::replace(&mut self.was_closed, is_closed) != is_closed
    }

    /// Books a retry: not before the host opens.
    pub(super) fn book_retry(&mut self, limits: &HostLimits, now: Millis) -> Millis {
        let open = self.closure(now).map_or(now, |c| c.until);
        self.budget.book(limits, open)
    }

    /// How many more jobs may be claimed.
    pub(super) fn allowance(&self, limits: &HostLimits, now: Millis) -> Allowance {
        if let Some(closure) = self.closure(now) {
            return Allowance { jobs: 0, again: Some(closure.until) };
        }
        if self.closing.breaker(now) == Breaker::HalfOpen {
            return Allowance { jobs: 1_u32.saturating_sub(self.claimed), again: None };
        }
        let concurrency = limits.concurrency.max(1);
        let slots = concurrency.saturating_add(self.ahead(concurrency, now)).saturating_sub(self.claimed);
        let Some(rate) = limits.rate.filter(|_| slots > 0) else { return Allowance { jobs: slots, again: None } };
        // A job whose request is under way has had its place on the line of time.
        let ahead = self.claimed.saturating_sub(u32::try_from(self.under_way.len()).unwrap_or(u32::MAX));
        match self.pace.places(rate, now, AHEAD).saturating_add(1).saturating_sub(ahead) {
            0 => Allowance { jobs: 0, again: Some(self.pace.when(ahead, rate, now, AHEAD)) },
            jobs => Allowance { jobs: jobs.min(slots), again: None },
        }
    }

    /// Jobs to claim beyond those that may be under way: as many as end within the time that a claim takes, so that no place
    /// stays empty. A host that is slow, not known yet, or answers no more gets none: each of them would hold a place of
    /// its task that another host can use.
    fn ahead(&self, concurrency: u32, now: Millis) -> u32 {
        let middle = self.under_way.values().nth(self.under_way.len() / 2);
        if middle.is_some_and(|flight| now.since(flight.since) > STUCK) {
            return 0;
        }
        let Some(latency) = self.latencies.percentile(50) else { return 0 };
        let claim = u64::try_from(CLAIM.as_millis()).unwrap_or(u64::MAX);
        let concurrency = u64::from(concurrency);
        let ahead = (concurrency * claim / latency.max(1)).min(concurrency * 3);
        u32::try_from(ahead).unwrap_or(u32::MAX).min(CLAIMED_AHEAD_MAX)
    }

    /// The clock was set back by so many milliseconds: what is to come stays as far away as it was.
    pub(super) fn shift(&mut self, back: i64) {
        self.pace.shift(back);
        self.closing.shift(back);
        self.budget.shift(back);
        self.used.0 = self.used.0.saturating_sub(back);
        self.under_way.values_mut().for_each(|flight| flight.since.0 = flight.since.0.saturating_sub(back));
        if let Some(wake) = &mut self.wake {
            wake.0 = wake.0.saturating_sub(back);
        }
    }

    /// What a screen shows of it.
    pub(super) fn view(&self, host: &HostName, now: Millis) -> HostView {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        HostView {
            host: HostName::clone(host),
            in_flight: count(self.under_way.len()),
            waiting: count(self.waiting()),
            claimed: self.claimed,
            concurrency: self.limits.concurrency,
            rate: self.limits.rate.map(rate_text),
            cooling: self.closing.cooling(now).cloned(),
            breaker: self.closing.breaker(now),
            p50_ms: self.latencies.percentile(50),
            p95_ms: self.latencies.percentile(95),
            p99_ms: self.latencies.percentile(99),
            requests: self.requests,
            good: self.good,
            bad: self.bad,
            busy: self.busy,
            retries: self.budget.booked,
        }
    }
}

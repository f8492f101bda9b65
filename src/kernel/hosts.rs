//! Who may send a request to a host now: the state of all hosts, common to all tasks. It is pure, as the kernel is: each
//! call takes the time and answers what follows; it never awaits, reads a clock, draws a random number or does I/O.
//!
//! It guarantees, for each host:
//! - A request is sent only while fewer are under way than its task allows, and at its place on the common line of time,
//!   if its task has a rate.
//! - None is sent while the host cools down or its circuit breaker is open, and one at a time until it has recovered.
//! - Of those that no rate holds back, the one that came first is sent first; so everybody is served some day. Who would
//!   have to wait longer than [`PATIENCE`] because the host is closed is told so instead.
//! - Retries are booked only within a share of what is sent anyway, and on a slow line beside it.
//!
//! A clock that is set back makes nothing late or early: whatever is to come stays as far away as it was. After one that
//! is set forward, cool-downs end early.

mod budget;
mod closing;
mod host;
mod latency;
mod pace;
#[cfg(test)]
mod tests;
mod view;

pub use view::{Breaker, HostView};

use crate::model::Millis;
use crate::model::action::network::{Ending, HostLimits, HostName};
use crate::model::text::{cut, escape};
use host::Host;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// A request that would have to wait longer than this for a closed host is told so, and its job waits in the queue.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Longest cool-down; a host that asks for more time is asked again after this.
pub const COOL_MAX: Duration = Duration::from_secs(3600);

/// First cool-down of a host that answers 429 and does not say for how long; doubled for each further one in a row.
pub const COOL_DEFAULT: Duration = Duration::from_secs(1);

/// Longest such cool-down; it is not doubled further.
pub const COOL_DEFAULT_MAX: Duration = Duration::from_secs(60);

/// How long the breaker stays open at first; doubled for each probe in a row that fails.
pub const OPEN: Duration = Duration::from_secs(5);

/// Longest time that the breaker stays open; it is not doubled further.
pub const OPEN_MAX: Duration = Duration::from_secs(300);

/// Most hosts remembered. Beyond it those at rest are forgotten, the ones longest unused first; if none is, a further
/// host is closed for [`REFUSED`], and a retry of it is put off by the interval of its floor.
pub const HOSTS_MAX: usize = 10_000;

/// Hosts forgotten at once, so that not every new host has to look for the oldest.
const FORGOTTEN_AT_ONCE: usize = 256;

/// Most requests that wait for one host; for a further one the host is closed for [`REFUSED`].
pub const WAITERS_MAX: usize = 4096;

/// How long a host is closed for those there is no room for.
pub const REFUSED: Duration = Duration::from_secs(1);

/// Retries that a host has without having been sent anything.
pub const RETRY_TOKENS: u32 = 3;

/// Most retries saved up; beyond it what is sent pays for no more.
pub const RETRY_TOKENS_MAX: u32 = 100;

/// Jobs of a host with a rate are claimed this much before their place comes.
pub const AHEAD: Duration = Duration::from_millis(250);

/// From the end of a request until a job claimed for its place begins, on a busy machine.
const CLAIM: Duration = Duration::from_millis(50);

/// A host that has not answered half of its requests under way for longer than this gets no job beside them.
const STUCK: Duration = Duration::from_secs(1);

/// Most jobs of one host claimed beside those that may be under way; the rest stays in the queue.
pub const CLAIMED_AHEAD_MAX: u32 = 256;

/// Longest reason of a closed host, in characters; the rest is cut.
const WHY_MAX: usize = 200;

/// A host takes no request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closure {
    /// Before this time.
    pub until: Millis,
    /// For this reason: half a sentence about the host, safe to show. For example `it answered 429`.
    pub why: Arc<str>,
}

/// What becomes of who wants to send a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be sent now.
    Granted,
    /// It waits: an [`Answer`] follows.
    Waiting {
        /// When to call [`Hosts::timer`], as far as this host is concerned; none if it waits for others to end.
        look: Option<Millis>,
    },
    /// It may not be sent, and does not wait.
    Closed(Closure),
}

/// The answer to one who waited. There is exactly one for each ticket, unless it was abandoned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The ticket that it entered with.
    pub ticket: u64,
    /// Why it may not be sent after all; none: it may be sent now.
    pub closed: Option<Closure>,
}

impl Answer {
    fn granted(ticket: u64) -> Self {
        Self { ticket, closed: None }
    }

    fn closed(ticket: u64, closure: Closure) -> Self {
        Self { ticket, closed: Some(closure) }
    }
}

/// How many more jobs of a host may be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// So many.
    pub jobs: u32,
    /// When there may be more, if that comes with time alone; else it comes with the end of a job or a request.
    pub again: Option<Millis>,
}

/// The state of all hosts. See the module's documentation.
///
/// Tickets are the caller's: every request has one of its own, and one that comes later has a higher number.
#[derive(Debug)]
pub struct Hosts {
    hosts: HashMap<HostName, Host>,
    /// When something happens at a host by itself; one entry for each host at most.
    wakes: BTreeSet<(Millis, HostName)>,
    /// The time of the last call.
    last: Millis,
    changed: bool,
}

impl Default for Hosts {
    fn default() -> Self {
        Self { hosts: HashMap::new(), wakes: BTreeSet::new(), last: Millis(i64::MIN), changed: false }
    }
}

impl Hosts {
    /// No host is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes note of the time, and of a clock that was set back.
    fn turn(&mut self, now: Millis) {
        if now < self.last {
            let back = self.last.0.saturating_sub(now.0);
            self.hosts.values_mut().for_each(|host| host.shift(back));
            self.wakes = self.hosts.iter().filter_map(|(n, h)| Some((h.wake?, HostName::clone(n)))).collect();
        }
        self.last = now;
    }

    /// Whether the host is known or there is room for it, if need be after others were forgotten.
    fn has_room(&mut self, name: &HostName, now: Millis) -> bool {
        if self.hosts.len() < HOSTS_MAX || self.hosts.contains_key(name) {
            return true;
        }
        let resting = self.hosts.iter().filter(|(_, host)| host.is_at_rest(now));
        let mut resting: Vec<(Millis, HostName)> = resting.map(|(n, h)| (h.used, HostName::clone(n))).collect();
        resting.sort_unstable();
        for (_, name) in resting.iter().take(FORGOTTEN_AT_ONCE) {
            if let Some(wake) = self.hosts.remove(name).and_then(|host| host.wake) {
                self.wakes.remove(&(wake, HostName::clone(name)));
            }
        }
        !resting.is_empty()
    }

    /// Does something with a host that is known, and sees to its wake.
    fn on<T>(&mut self, name: &HostName, now: Millis, act: impl FnOnce(&mut Host) -> T) -> Option<T> {
        let host = self.hosts.get_mut(name)?;
        host.used = now;
        let done = act(host);
        self.changed |= host.has_turned(now);
        let wake = host.wake(now);
        if wake != host.wake {
            if let Some(old) = std::mem::replace(&mut host.wake, wake) {
                self.wakes.remove(&(old, HostName::clone(name)));
            }
            self.wakes.extend(wake.map(|at| (at, HostName::clone(name))));
        }
        Some(done)
    }

    /// The same with a host that is known from now on; none if there is no room for it.
    fn on_new<T>(&mut self, name: &HostName, now: Millis, act: impl FnOnce(&mut Host) -> T) -> Option<T> {
        self.turn(now);
        if !self.has_room(name, now) {
            return None;
        }
        if !self.hosts.contains_key(name) {
            self.hosts.insert(HostName::clone(name), Host::default());
        }
        self.on(name, now, act)
    }

    /// Somebody wants to send a request.
    pub fn enter(&mut self, host: &HostName, limits: &HostLimits, ticket: u64, now: Millis) -> Verdict {
        let verdict = self.on_new(host, now, |h| h.enter(limits, ticket, now));
        verdict.unwrap_or_else(|| {
            let why = format!("{} other hosts are in use", self.hosts.len()).into();
            Verdict::Closed(Closure { until: now.plus(REFUSED), why })
        })
    }

    /// A request that was granted is over. The answers are for others, who waited. A ticket that is not under way changes
    /// nothing.
    pub fn leave(&mut self, host: &HostName, ticket: u64, ending: Ending, now: Millis) -> Vec<Answer> {
        self.turn(now);
        let left = self.on(host, now, |h| h.leave(ticket, ending, now).map(|()| h.pump(now)));
        left.flatten().unwrap_or_default()
    }

    /// Somebody who waited gave up. A ticket that does not wait changes nothing.
    pub fn abandon(&mut self, host: &HostName, ticket: u64, now: Millis) -> Vec<Answer> {
        self.turn(now);
        let answers = self.on(host, now, |h| {
            h.abandon(ticket);
            h.pump(now)
        });
        answers.unwrap_or_default()
    }

    /// Time has passed: answers whoever waited for that.
    pub fn timer(&mut self, now: Millis) -> Vec<Answer> {
        self.turn(now);
        let due: Vec<HostName> =
            self.wakes.iter().take_while(|(at, _)| *at <= now).map(|(_, name)| HostName::clone(name)).collect();
        due.iter().filter_map(|name| self.on(name, now, |h| h.pump(now))).flatten().collect()
    }

    /// When [`Hosts::timer`] is to be called next; none if time alone changes nothing.
    #[must_use]
    pub fn next_wake(&self) -> Option<Millis> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// Books a retry of a failed job, and answers when it may run at the earliest: at once if it is paid for, else at the
    /// next place of a slow line; and never before the host opens.
    pub fn book_retry(&mut self, host: &HostName, limits: &HostLimits, now: Millis) -> Millis {
        let at = self.on_new(host, now, |h| h.book_retry(limits, now));
        at.unwrap_or_else(|| now.plus(limits.retry_floor.interval()))
    }

    /// So many jobs of a host were claimed.
    pub fn claimed(&mut self, host: &HostName, jobs: u32, now: Millis) {
        self.on_new(host, now, |h| h.claimed = h.claimed.saturating_add(jobs));
    }

    /// So many claimed jobs of a host ended, or were put back.
    pub fn ended(&mut self, host: &HostName, jobs: u32, now: Millis) {
        self.turn(now);
        self.on(host, now, |h| h.claimed = h.claimed.saturating_sub(jobs));
        self.changed |= jobs > 0;
    }

    /// How many more jobs of a host may be claimed now, so that those that are claimed do not wait long for their turn.
    pub fn allowance(&mut self, host: &HostName, limits: &HostLimits, now: Millis) -> Allowance {
        self.turn(now);
        if !self.has_room(host, now) {
            return Allowance { jobs: 0, again: Some(now.plus(REFUSED)) };
        }
        match self.hosts.get(host) {
            Some(host) => host.allowance(limits, now),
            None => Host::default().allowance(limits, now),
        }
    }

    /// Leaves a host alone that was closed before a restart. A time in the past is ignored, as is a host for which there
    /// is no room.
    pub fn restore(&mut self, host: &HostName, until: Millis, why: &str, now: Millis) -> Vec<Answer> {
        if until <= now {
            return Vec::new();
        }
        let why = escape(why);
        let answers = self.on_new(host, now, |h| {
            h.restore(until, &cut(&why, WHY_MAX), now);
            h.pump(now)
        });
        answers.unwrap_or_default()
    }

    /// The hosts that are closed, for [`Hosts::restore`] after a restart. An open breaker comes back as a cool-down.
    pub fn closed(&self, now: Millis) -> impl Iterator<Item = (HostName, Closure)> + '_ {
        self.hosts.iter().filter_map(move |(name, host)| Some((HostName::clone(name), host.closure(now)?)))
    }

    /// Whether, since this was last asked, a host opened or closed or a job ended: an allowance may be another one.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// All hosts, by name.
    #[must_use]
    pub fn view(&self, now: Millis) -> Vec<HostView> {
        let mut all: Vec<HostView> = self.hosts.iter().map(|(name, host)| host.view(name, now)).collect();
        all.sort_unstable_by(|a, b| a.host.cmp(&b.host));
        all
    }
}

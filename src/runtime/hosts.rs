//! The gate before every request, at work: the decisions are those of [`crate::kernel::hosts`]; here are the lock around
//! them, a channel for each request that waits, and the one timer.
//!
//! It guarantees that every request that waits is answered, also when the gate is stopped; that one whose future is
//! dropped holds no place; and that nothing is awaited, and no answer handed over, under the lock.

#[cfg(test)]
mod tests;

use crate::clock::Clock;
use crate::kernel::hosts::{Allowance, Answer, Closure, HostView, Hosts as State, REFUSED, Verdict};
use crate::model::action::BoxFuture;
use crate::model::action::network::{Ending, HOST_CLOSED, HostLimits, HostName, Hosts, Pass};
use crate::model::ports::Spawner;
use crate::model::text::{cut, escape};
use crate::model::{Failure, Millis};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

/// The timer sleeps no longer than this while anything is to come: the wall clock may be set, and a sleep does not see it.
const SLEEP_MAX: Duration = Duration::from_secs(10);

/// Longest name of a host in a message, in characters; the rest is cut.
const NAME_MAX: usize = 260;

/// What a request that waits is told.
type Word = Result<Pass, Closure>;

/// The gate: one for all jobs.
#[derive(Clone)]
pub struct Gate {
    shared: Arc<Shared>,
}

struct Shared {
    inner: Mutex<Inner>,
    clock: Arc<dyn Clock>,
    /// Wakes the timer, when something is to come earlier than it knows.
    timer: Notify,
    changed: Notify,
}

#[derive(Default)]
struct Inner {
    hosts: State,
    /// The number of the last ticket.
    tickets: u64,
    /// Requests that wait; bounded by the bounds of the hosts.
    waiting: HashMap<u64, (HostName, oneshot::Sender<Word>)>,
    /// What the timer sleeps for.
    armed: Option<Millis>,
    stopped: bool,
}

/// Answers with whom they are for, to be handed over without the lock.
type Words = Vec<(oneshot::Sender<Word>, Word)>;

impl Gate {
    /// A gate; its timer runs until `stop`, which is for when no attempt is at work any more. From then on every host is
    /// closed, and who waits is told so.
    pub fn new(spawner: &dyn Spawner, clock: Arc<dyn Clock>, stop: CancellationToken) -> Self {
        let inner = Mutex::new(Inner::default());
        let shared = Arc::new(Shared { inner, clock, timer: Notify::new(), changed: Notify::new() });
        let timer = Arc::clone(&shared);
        spawner.task("hosts", Box::pin(async move { timer.keep_time(stop).await }));
        Self { shared }
    }

    /// Tells one who waits that an allowance may be another one: a host opened or closed, or a job ended. It remembers one
    /// such event for whoever asks later.
    #[must_use]
    pub fn changed(&self) -> &Notify {
        &self.shared.changed
    }

    /// So many jobs of a host were claimed.
    pub fn claimed(&self, host: &HostName, jobs: u32) {
        self.shared.on(|inner, now| inner.hosts.claimed(host, jobs, now));
    }

    /// So many claimed jobs of a host ended, or were put back.
    pub fn ended(&self, host: &HostName, jobs: u32) {
        self.shared.on(|inner, now| inner.hosts.ended(host, jobs, now));
    }

    /// How many more jobs of a host may be claimed now.
    #[must_use]
    pub fn allowance(&self, host: &HostName, limits: &HostLimits) -> Allowance {
        self.shared.on(|inner, now| inner.hosts.allowance(host, limits, now))
    }

    /// Leaves a host alone that was closed before a restart.
    pub fn restore(&self, host: &HostName, until: Millis, why: &str) {
        self.shared.answer(|inner, now| inner.hosts.restore(host, until, why, now));
    }

    /// The hosts that are closed, for [`Gate::restore`] after a restart.
    #[must_use]
    pub fn closed(&self) -> Vec<(HostName, Closure)> {
        self.shared.on(|inner, now| inner.hosts.closed(now).collect())
    }

    /// All hosts as they stand, by name.
    #[must_use]
    pub fn view(&self) -> Vec<HostView> {
        self.shared.on(|inner, now| inner.hosts.view(now))
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}

impl Hosts for Gate {
    fn enter(&self, host: &HostName, limits: &HostLimits) -> BoxFuture<Result<Pass, Failure>> {
        let (shared, host, limits) = (Arc::clone(&self.shared), HostName::clone(host), *limits);
        Box::pin(async move { shared.enter(&host, &limits).await.map_err(|closure| failure(&host, &closure)) })
    }

    fn book_retry(&self, host: &HostName, limits: &HostLimits) -> Millis {
        self.shared.on(|inner, now| inner.hosts.book_retry(host, limits, now))
    }
}

/// What a job fails with that must not ask its host.
fn failure(host: &HostName, closure: &Closure) -> Failure {
    let host = escape(host);
    let message = format!("the host is closed for now, {}: {}", closure.why, cut(&host, NAME_MAX));
    let mut failure = Failure::transient(HOST_CLOSED, message);
    failure.not_before = Some(closure.until);
    failure
}

fn stopped(now: Millis) -> Closure {
    Closure { until: now.plus(REFUSED), why: "the supervisor is stopping".into() }
}

/// Takes a request out of the line whose future was dropped.
struct Place<'a> {
    shared: &'a Arc<Shared>,
    host: &'a HostName,
    ticket: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.shared.answer(|inner, now| match inner.waiting.remove(&self.ticket) {
            Some(_) => inner.hosts.abandon(self.host, self.ticket, now),
            None => Vec::new(),
        });
    }
}

impl Shared {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something under the lock, and tells the timer and whoever listens what it changed. The clock is read under the
    /// lock, so that no call comes with an older time than the one before it.
    fn on<T>(&self, act: impl FnOnce(&mut Inner, Millis) -> T) -> T {
        let mut inner = self.inner();
        let now = self.clock.now();
        let done = act(&mut inner, now);
        let (changed, wake) = (inner.hosts.take_changed(), inner.hosts.next_wake());
        let is_earlier = wake.is_some_and(|wake| inner.armed.is_none_or(|armed| wake < armed));
        if is_earlier {
            inner.armed = wake;
        }
        drop(inner);
        if is_earlier {
            self.timer.notify_one();
        }
        if changed {
            self.changed.notify_one();
        }
        done
    }

    /// The same, with answers to hand over.
    fn answer(self: &Arc<Self>, act: impl FnOnce(&mut Inner, Millis) -> Vec<Answer>) {
        let words = self.on(|inner, now| {
            let answers = act(inner, now);
            self.words(inner, answers)
        });
        hand_over(words);
    }

    /// Looks up whom answers are for.
    fn words(self: &Arc<Self>, inner: &mut Inner, answers: Vec<Answer>) -> Words {
        let word = |answer: Answer| {
            let (host, tell) = inner.waiting.remove(&answer.ticket)?;
            let word = match answer.closed {
                None => Ok(self.pass(host, answer.ticket)),
                Some(closure) => Err(closure),
            };
            Some((tell, word))
        };
        answers.into_iter().filter_map(word).collect()
    }

    fn pass(self: &Arc<Self>, host: HostName, ticket: u64) -> Pass {
        let shared = Arc::clone(self);
        let end = move |ending: Ending| shared.answer(|inner, now| inner.hosts.leave(&host, ticket, ending, now));
        Pass::new(Box::new(end))
    }

    async fn enter(self: &Arc<Self>, host: &HostName, limits: &HostLimits) -> Word {
        let (ticket, verdict, told) = self.on(|inner, now| {
            if inner.stopped {
                return (0, Verdict::Closed(stopped(now)), None);
            }
            inner.tickets += 1;
            let ticket = inner.tickets;
            let verdict = inner.hosts.enter(host, limits, ticket, now);
            let told = matches!(verdict, Verdict::Waiting { .. }).then(|| {
                let (tell, told) = oneshot::channel();
                inner.waiting.insert(ticket, (HostName::clone(host), tell));
                told
            });
            (ticket, verdict, told)
        });
        match (verdict, told) {
            (Verdict::Closed(closure), _) => Err(closure),
            (Verdict::Waiting { .. }, Some(mut told)) => {
                // Dropped before the channel: a pass that is in there already ends when the channel is dropped.
                let _place = Place { shared: self, host, ticket };
                (&mut told).await.unwrap_or_else(|_| Err(stopped(self.clock.now())))
            }
            _ => Ok(self.pass(HostName::clone(host), ticket)),
        }
    }

    /// Calls the hosts whenever something is to come by itself.
    async fn keep_time(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let (words, sleep) = self.on(|inner, now| {
                let answers = inner.hosts.timer(now);
                let words = self.words(inner, answers);
                inner.armed = inner.hosts.next_wake();
                // A clock that shows a little less than what was slept must not make this a busy loop.
                let sleep = inner.armed.map(|at| at.since(now).clamp(Duration::from_millis(1), SLEEP_MAX));
                (words, sleep)
            });
            hand_over(words);
            let time = async {
                match sleep {
                    Some(sleep) => tokio::time::sleep(sleep).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.timer.notified() => {}
                () = time => {}
            }
        }
        let mut left = self.on(|inner, _| {
            inner.stopped = true;
            inner.waiting.keys().copied().collect::<Vec<_>>()
        });
        // From the end of the line, so that nobody is sent because one before has left.
        left.sort_unstable_by(|a, b| b.cmp(a));
        for ticket in left {
            let mut gone = None;
            self.answer(|inner, now| {
                let Some((host, tell)) = inner.waiting.remove(&ticket) else { return Vec::new() };
                gone = Some((tell, Err(stopped(now))));
                inner.hosts.abandon(&host, ticket, now)
            });
            hand_over(gone.into_iter().collect());
        }
    }
}

/// Hands answers over. Whoever gave up meanwhile drops the pass, which ends the request as abandoned; so this is not done
/// under the lock.
fn hand_over(words: Words) {
    for (tell, word) in words {
        drop(tell.send(word));
    }
}

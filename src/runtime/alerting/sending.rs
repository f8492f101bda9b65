//! The sender of one channel: takes what is due from the outbox, in order, and notes what came of it.

use super::{message_id, post};
use crate::alerts::{CHANNEL_FAILED, Undelivered};
use crate::model::Millis;
use crate::model::action::Level;
use crate::model::alert::channel::Channel;
use crate::model::alert::outbox::{Mark, Outbox, Waiting};
use crate::model::alert::{Notice, Severity};
use crate::model::view::Gravity;
use crate::runtime::shared::Shared;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Messages read from the outbox at once.
const BATCH: u32 = 20;
/// First wait after a try that failed; it doubles with every further one.
const BACKOFF_MIN: Duration = Duration::from_secs(5);
/// Longest wait between two tries.
const BACKOFF_MAX: Duration = Duration::from_secs(15 * 60);
/// A message that could not be sent for so long is given up; no mail server is down for longer without being missed.
const GIVE_UP: Duration = Duration::from_secs(72 * 3600);
/// Longest time without a look at the outbox; also what bounds a clock that was set.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// So many tries in a row that failed are told to the other channels, and on the screen.
const FAILING: u32 = 3;
/// At a stop, time for what can still be sent. The rest waits for the next start.
const LAST: Duration = Duration::from_secs(5);

pub(super) struct Sending {
    shared: Arc<Shared>,
    channel: Arc<Channel>,
    kick: Arc<Notify>,
    end: CancellationToken,
    finish: CancellationToken,
    /// Tries in a row that failed.
    failures: u32,
    closed_until: Option<Millis>,
}

impl Sending {
    pub(super) fn new(
        shared: Arc<Shared>,
        channel: Arc<Channel>,
        kick: Arc<Notify>,
        end: CancellationToken,
        finish: CancellationToken,
    ) -> Self {
        Self { shared, channel, kick, end, finish, failures: 0, closed_until: None }
    }

    pub(super) async fn run(mut self) {
        let (end, finish) = (self.end.clone(), self.finish.clone());
        let ending = async {
            tokio::select! {
                () = end.cancelled() => {}
                () = async { finish.cancelled().await; tokio::time::sleep(LAST).await } => {}
            }
        };
        // A try that is cut off is made again, under the same number.
        tokio::select! {
            () = ending => {}
            () = self.serve(finish.clone()) => {}
        }
    }

    async fn serve(&mut self, finish: CancellationToken) {
        loop {
            let is_last = finish.is_cancelled();
            self.pass().await;
            if is_last {
                return;
            }
            let wait = self.wait().await;
            let kick = Arc::clone(&self.kick);
            tokio::select! {
                () = finish.cancelled() => {}
                () = kick.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn wait(&self) -> Duration {
        let (store, name) = (self.shared.store.clone(), Arc::clone(&self.channel.name));
        let next = self.shared.tracker.run(move || store.queries().next_try(&name)).await;
        let now = self.shared.now();
        match next.and_then(Result::ok).flatten() {
            Some(at) => {
                at.max(self.closed_until.unwrap_or(at)).since(now).clamp(Duration::from_millis(100), LOOK_EVERY)
            }
            None => LOOK_EVERY,
        }
    }

    /// Sends what is due, until there is nothing left or the channel does not take it.
    async fn pass(&mut self) {
        loop {
            let now = self.shared.now();
            // A clock that was set back would keep it closed for ever.
            let is_closed = self.closed_until.is_some_and(|at| at > now && at <= now.plus(BACKOFF_MAX));
            if is_closed {
                return;
            }
            let (store, name) = (self.shared.store.clone(), Arc::clone(&self.channel.name));
            let due = self.shared.tracker.run(move || store.queries().waiting(&name, now, BATCH)).await;
            let due = due.and_then(Result::ok).unwrap_or_default();
            if due.is_empty() {
                return;
            }
            for waiting in due {
                if !self.one(waiting).await {
                    return;
                }
            }
        }
    }

    /// Sends one; answers whether the next may be sent.
    async fn one(&mut self, waiting: Waiting) -> bool {
        let id = message_id(&self.shared, waiting.id, waiting.created_at);
        let sent = post::send(&self.shared, &self.channel, &waiting.message, &id).await;
        let now = self.shared.now();
        match sent {
            Ok(()) => {
                let was_failing = std::mem::take(&mut self.failures) > 0;
                self.closed_until = None;
                let noted = self.mark(waiting.id, Mark::Sent).await;
                if was_failing {
                    self.say(Level::Info, "works again");
                }
                self.shared.clear_banner(&self.code());
                self.shared.clear_notice(None, CHANNEL_FAILED, &self.channel.name).await;
                noted
            }
            Err(Undelivered::Later { why, after }) => {
                self.failures = self.failures.saturating_add(1);
                let is_old = now.since(waiting.created_at) >= GIVE_UP;
                let wait = backoff(self.failures, waiting.id).max(after.unwrap_or_default()).min(BACKOFF_MAX);
                let at = now.plus(wait);
                self.closed_until = Some(at);
                if is_old {
                    self.give_up(waiting.id, format!("tried for {} days: {why}", GIVE_UP.as_secs() / 86_400)).await;
                } else {
                    if self.failures == 1 {
                        self.say(Level::Warn, &format!("does not take messages, which wait: {why}"));
                    }
                    if self.failures == FAILING {
                        let text = format!("the channel {} takes no messages, which wait: {why}", self.channel.name);
                        self.shared.banner(Gravity::Warning, &self.code(), text.clone());
                        self.tell_others(Severity::Warning, text).await;
                    }
                    self.mark(waiting.id, Mark::Later { at, error: why }).await;
                }
                false
            }
            Err(Undelivered::Refused(why)) => {
                self.give_up(waiting.id, why).await;
                true
            }
        }
    }

    async fn give_up(&self, id: i64, why: String) {
        self.say(Level::Error, &format!("refused a message, which is given up: {why}"));
        let name = &self.channel.name;
        let text = format!("the channel {name} did not take a message: {why}");
        self.mark(id, Mark::GivenUp { error: why }).await;
        self.tell_others(Severity::Error, text).await;
    }

    async fn tell_others(&self, severity: Severity, text: String) {
        let key = self.channel.name.to_string();
        self.shared.raise(Notice { task: None, kind: CHANNEL_FAILED, key, severity, text }).await;
    }

    /// The code of its banner.
    fn code(&self) -> String {
        format!("channel:{}", self.channel.name)
    }

    /// Notes what came of a try; insists, because what was sent and is not noted would be sent again.
    async fn mark(&self, id: i64, mark: Mark) -> bool {
        let now = self.shared.now();
        let noted = self
            .shared
            .insist("note what came of a message", || self.shared.store.mark(id, mark.clone(), now))
            .await
            .is_some();
        self.shared.touch_status();
        noted
    }

    fn say(&self, level: Level, what: &str) {
        self.shared.log.append(level, None, None, None, &format!("the channel {} {what}", self.channel.name));
    }
}

/// The wait after so many failed tries in a row. Jitter is a hash, so that channels of one server do not come together.
fn backoff(failures: u32, id: i64) -> Duration {
    let doubled = BACKOFF_MIN.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(BACKOFF_MAX);
    let hash = blake3::hash(&(id, failures).0.to_le_bytes());
    let part = f64::from(hash.as_bytes()[0]) / 255.0;
    doubled.mul_f64(0.8 + 0.2 * part)
}

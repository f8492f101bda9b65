//! Telling one attempt to stop, and why: by an operator, by its time limit, or because the supervisor ends.

use crate::model::action::Stop;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// The stop of one attempt. The first reason given stands.
#[derive(Debug)]
pub struct StopSwitch {
    reason: AtomicU8,
    token: CancellationToken,
    hurry: CancellationToken,
    deadline: Option<Instant>,
}

impl StopSwitch {
    /// A switch that turns itself at the deadline, if there is one.
    #[must_use]
    pub fn new(deadline: Option<Instant>) -> Self {
        Self { reason: AtomicU8::new(0), token: CancellationToken::new(), hurry: CancellationToken::new(), deadline }
    }

    /// Tells the attempt to stop.
    pub fn stop(&self, why: Stop) {
        let code = match why {
            Stop::Cancel => 1,
            Stop::Timeout => 2,
            Stop::Drain => 3,
        };
        // Losing the race means that another reason came first, which stands.
        let _ = self.reason.compare_exchange(0, code, Ordering::SeqCst, Ordering::SeqCst);
        self.token.cancel();
    }

    /// Tells the attempt to stop without any grace.
    pub fn hurry(&self, why: Stop) {
        self.stop(why);
        self.hurry.cancel();
    }

    /// Waits until there is no grace any more.
    pub async fn hurried(&self) {
        self.hurry.cancelled().await;
    }

    /// Why it was told to stop, if it was. Work that asks often enough needs no timer for its limit.
    #[must_use]
    pub fn reason(&self) -> Option<Stop> {
        if self.reason.load(Ordering::SeqCst) == 0 && self.deadline.is_some_and(|d| Instant::now() >= d) {
            self.stop(Stop::Timeout);
        }
        match self.reason.load(Ordering::SeqCst) {
            1 => Some(Stop::Cancel),
            2 => Some(Stop::Timeout),
            3 => Some(Stop::Drain),
            _ => None,
        }
    }

    /// Waits until it is told to stop, or its time is up.
    pub async fn wait(&self) -> Stop {
        loop {
            if let Some(why) = self.reason() {
                return why;
            }
            match self.deadline {
                Some(at) => tokio::select! {
                    () = self.token.cancelled() => {}
                    () = tokio::time::sleep_until(at.into()) => {}
                },
                None => self.token.cancelled().await,
            }
        }
    }
}

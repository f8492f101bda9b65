//! The retry budget of one host: a share of what is sent anyway, and a slow line beside it. It guarantees that a host
//! that fails is not sent much more than it would be sent if nobody tried again.

use super::pace::{at, micros};
use super::{RETRY_TOKENS, RETRY_TOKENS_MAX};
use crate::model::Millis;
use crate::model::action::network::HostLimits;

/// A token in millionths, so that ten tenths are one.
const TOKEN: u64 = 1_000_000;

/// The budget.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    /// Retries that are paid for, in millionths.
    tokens: u64,
    /// Retries booked whose request was not sent yet, as far as can be told: that many of the next requests pay nothing.
    owed: u64,
    /// The next place on the line of those that nobody paid for, in microseconds.
    line: Option<i64>,
    /// Retries booked in all.
    pub booked: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { tokens: u64::from(RETRY_TOKENS) * TOKEN, owed: 0, line: None, booked: 0 }
    }
}

impl Budget {
    /// A request was sent. Requests do not say whether they are retries, so the first ones after a booking count as those
    /// that were booked.
    pub(super) fn sent(&mut self, ratio: f64) {
        if self.owed > 0 {
            self.owed -= 1;
            return;
        }
        // A ratio that is no number or negative pays nothing; a huge one meets the bound.
        let paid = (ratio.max(0.0) * TOKEN as f64).round() as u64;
        self.tokens = self.tokens.saturating_add(paid).min(u64::from(RETRY_TOKENS_MAX) * TOKEN);
    }

    /// Books a retry for `from` at the earliest, and answers for when.
    pub(super) fn book(&mut self, limits: &HostLimits, from: Millis) -> Millis {
        self.booked += 1;
        self.owed += 1;
        if let Some(left) = self.tokens.checked_sub(TOKEN) {
            self.tokens = left;
            return from;
        }
        let place = self.line.unwrap_or(i64::MIN).max(at(from));
        self.line = Some(place.saturating_add(micros(limits.retry_floor.interval())));
        Millis(place.saturating_add(999).div_euclid(1000)).max(from)
    }

    /// Whether forgetting it would let more retries through.
    pub(super) fn has_line(&self, now: Millis) -> bool {
        self.line.is_some_and(|line| line > at(now))
    }

    /// The clock was set back by so many milliseconds.
    pub(super) fn shift(&mut self, back: i64) {
        self.line = self.line.map(|line| line.saturating_sub(back.saturating_mul(1000)));
    }
}

//! What a screen shows of a host.

use super::Closure;
use crate::model::Millis;
use crate::model::action::network::{HostName, Rate};
use std::fmt;
use std::time::Duration;

/// State of a host's circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaker {
    /// The host works, as far as is known.
    Closed,
    /// It failed too often in a row: no request before this time.
    Open(Millis),
    /// One request at a time, until one succeeds.
    HalfOpen,
}

impl Breaker {
    /// The name used on the wire and on the screen.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open(_) => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

impl fmt::Display for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A host as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostView {
    /// Its name, as it came: escape it before it is shown.
    pub host: HostName,
    /// Requests under way.
    pub in_flight: u32,
    /// Requests that wait for their turn.
    pub waiting: u32,
    /// Jobs claimed and not ended.
    pub claimed: u32,
    /// Most requests under way, as the task that asked last has it.
    pub concurrency: u32,
    /// Most requests in a time, as the task that asked last has it: `10/s`; none = no limit.
    pub rate: Option<String>,
    /// Until when it asked to be left alone, and what it said.
    pub cooling: Option<Closure>,
    /// Its circuit breaker.
    pub breaker: Breaker,
    /// Half of the latest good answers came within so many milliseconds.
    pub p50_ms: Option<u64>,
    /// 95 of 100 did.
    pub p95_ms: Option<u64>,
    /// 99 of 100 did.
    pub p99_ms: Option<u64>,
    /// Requests sent.
    pub requests: u64,
    /// Of these, those that were answered as by a host in good health.
    pub good: u64,
    /// Of these, those that failed.
    pub bad: u64,
    /// Of these, those that were answered with 429, or with a time to wait.
    pub busy: u64,
    /// Retries booked.
    pub retries: u64,
}

/// A rate as the configuration writes it: `10/s`, `90/min`, `1/2s`.
pub(super) fn rate_text(rate: Rate) -> String {
    const UNITS: [(u128, &str); 5] = [(86_400_000, "day"), (3_600_000, "h"), (60_000, "min"), (1000, "s"), (1, "ms")];
    let ms = Duration::as_millis(&rate.per).max(1);
    let (size, unit) = UNITS.into_iter().find(|(size, _)| ms.is_multiple_of(*size)).unwrap_or((1, "ms"));
    match ms / size {
        1 => format!("{}/{unit}", rate.count),
        n => format!("{}/{n}{unit}", rate.count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_reads_as_it_is_written() {
        for (count, ms, text) in [
            (10, 1000, "10/s"),
            (90, 60_000, "90/min"),
            (1, 2000, "1/2s"),
            (5, 86_400_000, "5/day"),
            (3, 1500, "3/1500ms"),
            (1, 0, "1/ms"),
        ] {
            assert_eq!(rate_text(Rate { count, per: Duration::from_millis(ms) }), text);
        }
    }
}

//! When a failed job runs again. Pure: jitter is a hash of job and attempt, so a decision can be repeated and tested.

use super::JobId;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How often and how long apart a job is tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Executions charged to the budget, the first included; at least 1.
    pub attempts: u32,
    /// Delay before the second execution.
    pub backoff: Duration,
    /// What each further delay is multiplied by; at least 1.
    pub factor: f64,
    /// No delay is longer than this.
    pub max: Duration,
    /// Whether the delay is drawn evenly from zero to its full length.
    pub jitter: bool,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: 3, backoff: Duration::from_secs(2), factor: 2.0, max: Duration::from_secs(60), jitter: true }
    }
}

impl RetryPolicy {
    /// Delay before the next execution, when `spent` executions have been charged (at least 1).
    #[must_use]
    pub fn delay(&self, job: JobId, attempt: i64, spent: u32) -> Duration {
        let exponent = i32::try_from(spent.saturating_sub(1).min(64)).unwrap_or(64);
        let full = self.backoff.as_secs_f64() * self.factor.powi(exponent);
        let full = full.min(self.max.as_secs_f64());
        let share = if self.jitter { unit_hash(job.0, attempt) } else { 1.0 };
        Duration::from_secs_f64((full * share).max(0.0))
    }
}

/// A number in 0..1 that depends only on its arguments (SplitMix64), spread evenly.
fn unit_hash(a: i64, b: i64) -> f64 {
    let mut z =
        (a as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(b as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap() {
        let p = RetryPolicy { jitter: false, ..RetryPolicy::default() };
        let secs: Vec<u64> = (1..=8).map(|n| p.delay(JobId(1), n.into(), n as u32).as_secs()).collect();
        assert_eq!(secs, [2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(p.delay(JobId(1), 1, u32::MAX).as_secs(), 60);
    }

    #[test]
    fn jitter_is_spread_and_repeatable() {
        let p = RetryPolicy::default();
        let at = |job| p.delay(JobId(job), 1, 5).as_secs_f64();
        assert_eq!(at(7), at(7));
        let mean: f64 = (0..1000).map(at).sum::<f64>() / 1000.0;
        assert!((14.0..18.0).contains(&mean), "full jitter has half the full delay as its mean: {mean}");
        assert!((0..1000).all(|j| at(j) <= 32.0));
    }
}

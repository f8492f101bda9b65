//! How long a host takes to answer: counts in classes that grow with the time, so that it needs the same little room
//! whatever is sent, and old answers fade.

use std::time::Duration;

/// Classes to each doubling: a percentile is at most an eighth too high.
const STEPS: u64 = 8;
/// Times from 2^19 ms on, almost nine minutes, share the last class.
const DOUBLINGS: u64 = 19;
const CLASSES: usize = (STEPS * (DOUBLINGS - 2)) as usize;
/// At so many answers all counts are halved, so that what was long ago weighs little.
const ANSWERS_MAX: u32 = 2048;

/// Counts of latencies.
#[derive(Clone, Debug)]
pub(super) struct Latencies {
    counts: [u16; CLASSES],
    all: u32,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { counts: [0; CLASSES], all: 0 }
    }
}

/// The class of a time in milliseconds.
fn class(ms: u64) -> usize {
    if ms < STEPS {
        return ms as usize;
    }
    let doubling = u64::from(ms.ilog2());
    let step = (ms >> (doubling - 3)) & (STEPS - 1);
    ((STEPS * (doubling - 2) + step) as usize).min(CLASSES - 1)
}

/// The longest time of a class.
fn longest(class: usize) -> u64 {
    let (doubling, step) = (class as u64 / STEPS, class as u64 % STEPS);
    if doubling == 0 { step } else { ((STEPS + step + 1) << (doubling - 1)) - 1 }
}

impl Latencies {
    /// Takes an answer into account.
    pub(super) fn add(&mut self, latency: Duration) {
        let ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
        self.counts[class(ms)] += 1;
        self.all += 1;
        if self.all >= ANSWERS_MAX {
            self.counts.iter_mut().for_each(|n| *n /= 2);
            self.all = self.counts.iter().map(|n| u32::from(*n)).sum();
        }
    }

    /// The time in milliseconds within which so many of a hundred answers came, rounded up to the end of its class.
    pub(super) fn percentile(&self, percent: u32) -> Option<u64> {
        let rank = (self.all * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let found = self.counts.iter().position(|n| {
            seen += u32::from(*n);
            seen >= rank
        });
        found.map(longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn classes_follow_each_other_without_a_gap() {
        for class_of in 0..CLASSES - 1 {
            assert_eq!(class(longest(class_of)), class_of);
            assert_eq!(class(longest(class_of) + 1), class_of + 1);
        }
        for far in [longest(CLASSES - 1), longest(CLASSES - 1) + 1, u64::MAX] {
            assert_eq!(class(far), CLASSES - 1);
        }
    }

    #[test]
    fn percentiles_are_never_too_low_and_at_most_an_eighth_too_high() {
        let mut all = Latencies::default();
        assert_eq!(all.percentile(50), None);
        (1..=1000).for_each(|n| all.add(ms(n)));
        for percent in [1, 50, 95, 99, 100] {
            let (found, right) = (all.percentile(percent).unwrap(), u64::from(percent) * 10);
            assert!((right..=right + right / 8 + 1).contains(&found), "p{percent}: {found}");
        }
        let mut one = Latencies::default();
        one.add(Duration::MAX);
        assert_eq!(one.percentile(50), Some(longest(CLASSES - 1)));
    }

    #[test]
    fn old_answers_fade() {
        let mut all = Latencies::default();
        (0..100_000).for_each(|_| all.add(ms(5)));
        assert!(all.all < ANSWERS_MAX);
        (0..3 * ANSWERS_MAX).for_each(|_| all.add(ms(100)));
        assert_eq!(all.percentile(50), Some(103));
    }
}

//! The deadlines of a body: the whole of it, the silence between two pieces, and the slowest rate.
//!
//! Only time spent waiting for the other side counts for silence and rate: a disk that is slow is not its fault.

use crate::actions::fetch::spec::{Deadlines, MIN_RATE, MIN_RATE_OVER};
use std::future::Future;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The slowest body that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Floor {
    /// Bytes a second.
    pub(super) rate: u64,
    /// Taken over this time.
    pub(super) over: Duration,
}

impl Default for Floor {
    fn default() -> Self {
        Self { rate: MIN_RATE, over: MIN_RATE_OVER }
    }
}

impl Floor {
    /// Bytes that one window has at least.
    fn bytes(self) -> u128 {
        u128::from(self.rate) * self.over.as_millis() / 1000
    }
}

/// Which deadline ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    /// The whole request.
    Total(Duration),
    /// The silence between two pieces.
    Idle(Duration),
    /// The slowest rate.
    Slow(Floor),
}

/// Watches over one body.
#[derive(Debug)]
pub(super) struct Pace {
    end: Instant,
    total: Duration,
    idle: Duration,
    floor: Floor,
    /// Time waited, and bytes received, in the current window.
    waited: Duration,
    bytes: u64,
}

impl Pace {
    /// A body that must be there at `end`.
    pub(super) fn new(end: Instant, deadlines: &Deadlines, floor: Floor) -> Self {
        Self { end, total: deadlines.total, idle: deadlines.idle, floor, waited: Duration::ZERO, bytes: 0 }
    }

    /// Waits for the next piece.
    pub(super) async fn wait<T>(&mut self, next: impl Future<Output = T>) -> Result<T, Late> {
        let mut next = std::pin::pin!(next);
        let silent = Instant::now() + self.idle;
        loop {
            let began = Instant::now();
            if began >= self.end {
                return Err(Late::Total(self.total));
            }
            let window = began + self.floor.over.saturating_sub(self.waited);
            let piece = timeout_at(self.end.min(silent).min(window), &mut next).await;
            self.waited += began.elapsed();
            match piece {
                Ok(piece) => return Ok(piece),
                Err(_) if Instant::now() >= self.end => return Err(Late::Total(self.total)),
                Err(_) if Instant::now() >= silent => return Err(Late::Idle(self.idle)),
                Err(_) => self.judge()?,
            }
        }
    }

    /// So many bytes came.
    pub(super) fn count(&mut self, bytes: usize) -> Result<(), Late> {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        self.judge()
    }

    /// Looks at the window that is over, if it is, and opens the next one.
    fn judge(&mut self) -> Result<(), Late> {
        if self.waited < self.floor.over {
            return Ok(());
        }
        if u128::from(self.bytes) < self.floor.bytes() {
            return Err(Late::Slow(self.floor));
        }
        (self.waited, self.bytes) = (Duration::ZERO, 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    fn pace() -> Pace {
        let seconds = Duration::from_secs;
        let deadlines = Deadlines { total: seconds(300), idle: seconds(30), ..Deadlines::default() };
        Pace::new(Instant::now() + deadlines.total, &deadlines, Floor::default())
    }

    async fn drip(every: Duration, bytes: usize) -> (Late, Duration) {
        let (mut pace, began) = (pace(), Instant::now());
        loop {
            match pace.wait(sleep(every)).await.and_then(|()| pace.count(bytes)) {
                Ok(()) => {}
                Err(late) => return (late, began.elapsed()),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_drip_ends_by_its_rate_and_a_slow_but_steady_body_by_the_whole() {
        let (late, after) = drip(Duration::from_secs(1), 1).await;
        assert_eq!(late, Late::Slow(Floor::default()));
        assert!(after >= MIN_RATE_OVER && after < MIN_RATE_OVER + Duration::from_secs(2), "{after:?}");
        let (late, _) = drip(Duration::from_secs(1), 101).await;
        assert_eq!(late, Late::Total(Duration::from_secs(300)));
        let (late, after) = drip(Duration::from_secs(31), 1_000_000).await;
        assert_eq!(late, Late::Idle(Duration::from_secs(30)));
        assert!(after < Duration::from_secs(31), "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_always_ready_ends_by_the_whole_too() {
        let mut pace = pace();
        tokio::time::advance(Duration::from_secs(301)).await;
        assert_eq!(pace.wait(std::future::ready(())).await, Err(Late::Total(Duration::from_secs(300))));
    }

    #[tokio::test(start_paused = true)]
    async fn time_that_the_reader_takes_is_not_the_fault_of_the_other_side() {
        let mut pace = pace();
        for _ in 0..100 {
            pace.wait(std::future::ready(())).await.unwrap();
            tokio::time::advance(Duration::from_secs(2)).await;
            pace.count(1).unwrap();
        }
    }
}

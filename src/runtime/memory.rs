//! One budget of memory for all jobs together. Who needs much waits for it, in the order of asking, instead of making the
//! machine run out; whoever asks for more than there is gets all there is, once everybody else has given back.
//!
//! It counts what it was asked for, not what is used: a job that takes a share keeps within it by itself.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Who waits looks this often whether it was stopped.
const LOOK: Duration = Duration::from_millis(20);

/// The budget.
#[derive(Debug)]
pub struct Budget {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    total: u64,
    used: u64,
    next: u64,
    /// Those who wait, first come first. Bounded by the jobs at work: each asks once.
    line: VecDeque<u64>,
}

impl State {
    /// What a request comes to, if it fits now.
    fn fits(&self, bytes: u64) -> Option<u64> {
        let bytes = bytes.min(self.total);
        self.used.checked_add(bytes).filter(|sum| *sum <= self.total).map(|_| bytes)
    }
}

/// A part of the budget, given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    /// How much it is.
    pub bytes: u64,
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut state = self.budget.state();
        state.used = state.used.saturating_sub(self.bytes);
        self.budget.changed.notify_all();
    }
}

impl Budget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(total: u64) -> Arc<Self> {
        let state = State { total, used: 0, next: 0, line: VecDeque::new() };
        Arc::new(Self { state: Mutex::new(state), changed: Condvar::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another size, after a reload. Shares that are out stay as they are.
    pub fn resize(&self, total: u64) {
        self.state().total = total;
        self.changed.notify_all();
    }

    /// Bytes that are out, and in all.
    #[must_use]
    pub fn in_use(&self) -> (u64, u64) {
        let state = self.state();
        (state.used, state.total)
    }

    /// A share, if it is there now and nobody waits.
    #[must_use]
    pub fn at_once(self: &Arc<Self>, bytes: u64) -> Option<Share> {
        let mut state = self.state();
        let bytes = state.fits(bytes).filter(|_| state.line.is_empty())?;
        state.used += bytes;
        Some(Share { budget: Arc::clone(self), bytes })
    }

    /// Waits for a share; none if `stopped` says so meanwhile.
    pub fn wait(self: &Arc<Self>, bytes: u64, stopped: &dyn Fn() -> bool) -> Option<Share> {
        let mut state = self.state();
        let ticket = state.next;
        state.next += 1;
        state.line.push_back(ticket);
        loop {
            let mine = state.line.front() == Some(&ticket);
            if let Some(bytes) = state.fits(bytes).filter(|_| mine) {
                state.line.pop_front();
                state.used += bytes;
                // What is left may be enough for the next in the line.
                self.changed.notify_all();
                return Some(Share { budget: Arc::clone(self), bytes });
            }
            if stopped() {
                state.line.retain(|t| *t != ticket);
                self.changed.notify_all();
                return None;
            }
            state = self.changed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    fn never() -> bool {
        false
    }

    #[test]
    fn what_is_given_back_can_be_had_again() {
        let budget = Budget::new(100);
        let first = budget.at_once(60).unwrap();
        assert!(budget.at_once(41).is_none());
        let second = budget.at_once(40).unwrap();
        assert_eq!(budget.in_use(), (100, 100));
        drop(first);
        assert_eq!(budget.wait(60, &never).unwrap().bytes, 60);
        drop(second);
        assert_eq!(budget.in_use(), (0, 100));
    }

    #[test]
    fn who_asks_for_too_much_gets_all_there_is() {
        let budget = Budget::new(100);
        let all = budget.at_once(u64::MAX).unwrap();
        assert_eq!((all.bytes, budget.in_use()), (100, (100, 100)));
        assert!(budget.at_once(1).is_none());
        budget.resize(150);
        assert_eq!(budget.at_once(u64::MAX).map(|s| s.bytes), None, "it waits until the others have given back");
        assert_eq!(budget.at_once(50).unwrap().bytes, 50);
        budget.resize(10);
        drop(all);
        assert_eq!(budget.at_once(20).unwrap().bytes, 10);
        assert_eq!(budget.in_use(), (0, 10));
    }

    /// Waits until so many stand in the line.
    fn until_waiting(budget: &Budget, n: usize) {
        while budget.state().line.len() < n {
            std::thread::yield_now();
        }
    }

    #[test]
    fn nobody_overtakes() {
        let budget = Budget::new(100);
        let held = budget.at_once(90).unwrap();
        let served = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for (n, bytes) in [(1, 50), (2, 5), (3, 5)] {
                let (budget, served) = (&budget, &served);
                scope.spawn(move || {
                    let share = budget.wait(bytes, &never).unwrap();
                    served.lock().unwrap().push(n);
                    drop(share);
                });
                until_waiting(budget, n);
            }
            assert!(budget.at_once(5).is_none(), "there is room, but others came first");
            drop(held);
        });
        assert_eq!(served.lock().unwrap().first(), Some(&1));
        assert_eq!((served.lock().unwrap().len(), budget.in_use()), (3, (0, 100)));
    }

    #[test]
    fn a_stop_ends_the_waiting_and_lets_the_next_one_in() {
        let budget = Budget::new(100);
        let held = budget.at_once(90).unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let stopped = scope.spawn(|| budget.wait(50, &|| stop.load(Ordering::SeqCst)).is_none());
            until_waiting(&budget, 1);
            let next = scope.spawn(|| budget.wait(10, &never).unwrap().bytes);
            until_waiting(&budget, 2);
            stop.store(true, Ordering::SeqCst);
            assert!(stopped.join().unwrap());
            assert_eq!(next.join().unwrap(), 10);
        });
        drop(held);
        assert_eq!(budget.in_use(), (0, 100));
    }

    #[test]
    fn never_more_is_out_than_there_is() {
        let budget = Budget::new(100);
        let (out, most) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for n in 1..=8_u64 {
                let (budget, out, most) = (&budget, &out, &most);
                scope.spawn(move || {
                    for i in 0..200 {
                        let share = budget.wait((n * 13 + i * 7) % 130, &never).unwrap();
                        most.fetch_max(out.fetch_add(share.bytes, Ordering::SeqCst) + share.bytes, Ordering::SeqCst);
                        out.fetch_sub(share.bytes, Ordering::SeqCst);
                        drop(share);
                    }
                });
            }
        });
        assert!((1..=100).contains(&most.load(Ordering::SeqCst)), "{most:?}");
        assert_eq!(budget.in_use(), (0, 100));
    }
}

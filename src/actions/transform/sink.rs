//! Puts the pieces of many workers into the order of the input again.
//!
//! It guarantees that pieces are handed on one at a time and in the order of their numbers, and that at most a window of
//! them waits: who is too far ahead waits for the others. Nobody waits who holds the piece that all others wait for.

use crate::model::Failure;
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// An ordered way from many hands into one.
pub(super) struct Sink<P, W> {
    line: Mutex<Line<P>>,
    moved: Condvar,
    window: u64,
    writer: Mutex<W>,
}

struct Line<P> {
    /// The number that is handed on next.
    next: u64,
    /// Pieces whose turn has not come.
    waiting: BTreeMap<u64, P>,
    /// Whether somebody is handing pieces on.
    busy: bool,
    /// Why nothing is handed on any more.
    failed: Option<Failure>,
}

/// Takes the pieces in their order.
pub(super) trait Write<P>: Send {
    /// The next piece.
    fn write(&mut self, piece: P) -> Result<(), Failure>;
}

impl<P, W: Write<P>> Sink<P, W> {
    /// A sink that starts with the piece `first` and lets `window` pieces wait.
    pub(super) fn new(writer: W, first: u64, window: u64) -> Self {
        let line = Line { next: first, waiting: BTreeMap::new(), busy: false, failed: None };
        Self { line: Mutex::new(line), moved: Condvar::new(), window: window.max(1), writer: Mutex::new(writer) }
    }

    /// Hands a piece in. An error: the work is over, and [`Sink::end`] says why.
    pub(super) fn put(&self, seq: u64, piece: P) -> Result<(), Over> {
        let mut line = self.lock();
        while line.failed.is_none() && seq >= line.next + self.window {
            line = self.moved.wait(line).unwrap_or_else(PoisonError::into_inner);
        }
        if line.failed.is_some() {
            return Err(Over);
        }
        line.waiting.insert(seq, piece);
        if line.busy {
            return Ok(());
        }
        line.busy = true;
        loop {
            let next = line.next;
            let Some(piece) = line.waiting.remove(&next) else { break };
            drop(line);
            let written = self.writer.lock().unwrap_or_else(PoisonError::into_inner).write(piece);
            line = self.lock();
            if let Err(failure) = written {
                line.failed.get_or_insert(failure);
                line.waiting.clear();
            }
            if line.failed.is_some() {
                line.busy = false;
                self.moved.notify_all();
                return Err(Over);
            }
            line.next += 1;
            self.moved.notify_all();
        }
        line.busy = false;
        Ok(())
    }

    /// Ends the work for everybody.
    pub(super) fn fail(&self, failure: Failure) {
        let mut line = self.lock();
        line.failed.get_or_insert(failure);
        line.waiting.clear();
        self.moved.notify_all();
    }

    /// Whether the work is over.
    pub(super) fn is_over(&self) -> bool {
        self.lock().failed.is_some()
    }

    /// What took the pieces, after all have been handed in.
    pub(super) fn end(self) -> Result<W, Failure> {
        let line = self.line.into_inner().unwrap_or_else(PoisonError::into_inner);
        match line.failed {
            Some(failure) => Err(failure),
            None => Ok(self.writer.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Line<P>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The work is over before its end.
#[derive(Debug)]
pub(super) struct Over;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Kept(Vec<u64>);

    impl Write<u64> for Kept {
        fn write(&mut self, piece: u64) -> Result<(), Failure> {
            if piece == 777 {
                return Err(Failure::permanent("full", "no room"));
            }
            self.0.push(piece);
            Ok(())
        }
    }

    fn work(sink: &Sink<u64, Kept>, threads: u64, last: u64) {
        let next = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for n in 0..threads {
                let next = &next;
                scope.spawn(move || {
                    loop {
                        let seq = next.fetch_add(1, Ordering::SeqCst);
                        // Some dawdle, so that others come first.
                        for _ in 0..(seq % 7) * n * 50 {
                            std::thread::yield_now();
                        }
                        if seq >= last || sink.put(seq, seq).is_err() {
                            return;
                        }
                    }
                });
            }
        });
    }

    #[test]
    fn pieces_leave_in_their_order_whoever_brings_them() {
        for threads in [1, 2, 5] {
            let sink = Sink::new(Kept(Vec::new()), 0, 2 * threads + 1);
            work(&sink, threads, 500);
            assert_eq!(sink.end().unwrap().0, (0..500).collect::<Vec<_>>(), "{threads} threads");
        }
    }

    #[test]
    fn a_failure_ends_everybody() {
        let sink = Sink::new(Kept(Vec::new()), 0, 3);
        work(&sink, 4, 1_000_000);
        assert!(sink.is_over());
        assert_eq!(sink.end().err().unwrap().code, "full");
    }

    #[test]
    fn nobody_is_further_ahead_than_the_window() {
        let sink = Sink::new(Kept(Vec::new()), 0, 2);
        std::thread::scope(|scope| {
            let far = scope.spawn(|| sink.put(2, 2).is_ok());
            sink.put(1, 1).unwrap();
            assert!(sink.writer.lock().unwrap().0.is_empty(), "the first one is missing");
            assert!(!far.is_finished());
            sink.put(0, 0).unwrap();
            assert!(far.join().unwrap());
        });
        assert_eq!(sink.end().unwrap().0, [0, 1, 2]);
    }
}

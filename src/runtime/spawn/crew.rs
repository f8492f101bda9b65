//! Several threads at one piece of work, for as long as it takes: they borrow what the caller has, and end before it goes
//! on, so that a stop which waits for the caller waits for them too.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread::{self, Builder};

/// Most threads at one piece of work.
const CREW_MAX: usize = 1024;

/// Runs `work(0..threads)` at the same time, `work(0)` on this thread, and returns when all have ended. A panic of one goes
/// on here, after all have ended. Where the system gives no more threads, fewer run; this one always does.
pub fn crew(threads: usize, work: &(dyn Fn(usize) + Sync)) {
    thread::scope(|scope| {
        let mut others = Vec::new();
        for n in 1..threads.min(CREW_MAX) {
            match Builder::new().name(format!("crew-{n}")).spawn_scoped(scope, move || work(n)) {
                Ok(thread) => others.push(thread),
                Err(error) => {
                    tracing::warn!("{n} threads instead of {threads}: {error}");
                    break;
                }
            }
        }
        let mut panicked = catch_unwind(AssertUnwindSafe(|| work(0))).err();
        for thread in others {
            // One panic is enough to tell: the first of the lowest number.
            if let Err(payload) = thread.join() {
                panicked.get_or_insert(payload);
            }
        }
        if let Some(payload) = panicked {
            resume_unwind(payload);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Barrier, Mutex};

    #[test]
    fn all_numbers_are_at_work_at_the_same_time() {
        let meet = Barrier::new(4);
        let seen = Mutex::new(Vec::new());
        let caller = thread::current().id();
        crew(4, &|n| {
            meet.wait(); // none would pass if one were missing
            assert_eq!(thread::current().id() == caller, n == 0);
            seen.lock().unwrap().push(n);
        });
        let mut seen = seen.into_inner().unwrap();
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, 3]);
    }

    #[test]
    fn one_is_always_at_work() {
        for threads in [0, 1] {
            let ran = AtomicUsize::new(0);
            crew(threads, &|n| {
                ran.fetch_add(n + 1, Ordering::SeqCst);
            });
            assert_eq!(ran.load(Ordering::SeqCst), 1, "{threads}");
        }
    }

    #[test]
    fn a_panic_goes_on_after_all_have_ended() {
        for at in [0, 2] {
            let ended = AtomicUsize::new(0);
            let caught = catch_unwind(AssertUnwindSafe(|| {
                crew(3, &|n| {
                    if n == at {
                        panic!("number {n}");
                    }
                    thread::yield_now();
                    ended.fetch_add(1, Ordering::SeqCst);
                });
            }));
            let payload = caught.unwrap_err();
            assert_eq!(payload.downcast_ref::<String>().map(String::as_str), Some(format!("number {at}").as_str()));
            assert_eq!(ended.load(Ordering::SeqCst), 2);
        }
    }
}

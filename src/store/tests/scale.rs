//! Large queues go through in bounded pieces. That no step looks through all jobs is what the plans say.

use super::audit::audit;
use super::*;

/// Jobs in the large store.
const MANY: u64 = 20_000;

#[test]
fn a_large_queue_goes_through_in_pieces() {
    let (_dir, store) = store();
    ok(store.configure(vec![task("a", None)], Millis(0)));
    for from in (0..MANY).step_by(500) {
        land(&store, "a", from..from + 500);
    }
    assert_eq!(store.queries().queued().unwrap(), MANY);
    let mut done = 0;
    loop {
        let jobs = try_claim(&store, "a", 256, 256, 20).jobs;
        if jobs.is_empty() {
            break;
        }
        let of =
            |c: &Claimed| Decision::new(c.job, Fence::Attempt(1), placing(c.job, Outcome::Succeeded, None), Millis(30));
        ok(store.decide(jobs.iter().map(of).collect()));
        done += ok(store.finish(jobs.iter().map(|c| c.job).collect(), Millis(40))).over.len() as u64;
    }
    assert_eq!(done, MANY);
    audit(&store);
}

#[test]
fn many_jobs_that_are_due_at_once_are_queued_in_pieces() {
    let (_dir, store) = store();
    let many = crate::store::claim::DUE_MAX as u64 + 500;
    for from in (0..many).step_by(500) {
        land(&store, "a", from..from + 500);
    }
    let jobs = try_claim(&store, "a", u32::MAX, u32::MAX, 20).jobs;
    let wait_for = |c: &Claimed| {
        let verdict = Verdict::Retry { failure: boom(), at: Millis(100) };
        Decision::new(c.job, Fence::Attempt(1), verdict, Millis(30))
    };
    ok(store.decide(jobs.iter().map(wait_for).collect()));
    let first = ok(store.due(Millis(100)));
    assert_eq!((first[0].queued, first[0].next_due), (many - 500, Some(Millis(100))), "more are due");
    let second = ok(store.due(Millis(100)));
    assert_eq!((second[0].queued, second[0].next_due), (many, None));
    assert!(ok(store.due(Millis(100))).is_empty());
    audit(&store);
}

//! Checkpoints: whose they are, and when they go.

use super::audit::audit;
use super::*;
use crate::model::OnExists;
use crate::model::job::KeptFile;
use crate::model::ledger::Checkpoint;

fn noted(state: &[u8]) -> Checkpoint {
    let file = |n: u32, on_exists| KeptFile {
        temp: format!("/srv/out/.sb-1-1-{n}.part").into(),
        target: format!("/srv/out/{n}.csv").into(),
        on_exists,
    };
    let facts = Some(Facts { ino: 5, size: 6, mtime_ns: -7, ..Facts::default() });
    let files = vec![file(0, OnExists::Suffix), file(1, OnExists::Fail)];
    Checkpoint { config_hash: "c".into(), facts, files, state: state.to_vec() }
}

#[test]
fn a_checkpoint_is_of_the_attempt_that_runs_and_outlives_only_a_cut() {
    let (_dir, store) = store();
    land(&store, "a", 0..1);
    let first = claim(&store, "a");
    let (job, at) = (first.job, Millis(40));
    let stored = || store.queries().checkpoint(job).unwrap();
    assert!(!first.checkpoint && stored().is_none());
    assert!(!ok(store.checkpoint(job, 2, noted(b"x"), at)), "another attempt");
    assert!(ok(store.checkpoint(job, 1, noted(b"1"), at)) && ok(store.checkpoint(job, 1, noted(b"\0\xff"), at)));
    assert_eq!(stored(), Some(noted(b"\0\xff")), "the last one counts");
    assert_eq!(store.queries().kept().unwrap(), noted(b"").files.into_iter().map(|f| f.temp).collect::<Vec<_>>());
    audit(&store);

    // Cut off by a stop, and claimed ahead and put back: it is still there.
    let failure = Failure::transient("interrupted", "cut");
    let mut d = Decision::new(job, Fence::Attempt(1), Verdict::Requeue { failure: failure.clone() }, at);
    d.keep_checkpoint = true;
    ok(store.decide(vec![d]));
    assert_eq!(facts(&store, job).kept, noted(b"").files);
    let second = claim(&store, "a");
    assert!(second.checkpoint);
    ok(store.put_back(vec![(job, 2)]));
    let third = claim(&store, "a");
    assert!(third.checkpoint && !ok(store.checkpoint(job, 2, noted(b"late"), at)), "a stale attempt notes nothing");
    assert!(!ok(store.forget(job, 2)) && stored().is_some());
    let left = ok(store.recover("host-a".into(), "boot-2".into(), Millis(50)));
    assert_eq!((left.running[0].kept.len(), left.running[0].claimed.checkpoint), (2, true));
    assert!(ok(store.forget(job, 3)) && stored().is_none());

    // Every other end takes it along.
    assert!(ok(store.checkpoint(job, 3, noted(b"3"), at)));
    end(&store, &third, Verdict::Retry { failure, at: Millis(60) });
    assert!(stored().is_none(), "a failed attempt is no place to go on from");
    ok(store.due(Millis(70)));
    let fourth = claim(&store, "a");
    assert!(!fourth.checkpoint && ok(store.checkpoint(job, 4, noted(b"4"), at)));
    let mut other = Decision::new(job, Fence::Attempt(3), placing(job, Outcome::Failed, Some(boom())), at);
    assert_eq!(ok(store.decide(vec![other.clone()])).decided, [Decided::Lost]);
    assert!(stored().is_some(), "who has lost the fence takes nothing along");
    other.fence = Fence::Attempt(4);
    ok(store.decide(vec![other]));
    assert!(stored().is_none());
    audit(&store);
}

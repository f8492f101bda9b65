//! Retention: what goes, what stays whatever its age, and that nothing which was deleted starts again.

use super::audit::{audit_pruned, number};
use super::*;
use crate::model::ledger::{Keep, OutputRecord, Start};

const NEVER: u64 = u64::MAX;

fn keep(succeeded: (i64, u64), failed: (i64, u64)) -> Keep {
    Keep {
        succeeded_before: Millis(succeeded.0),
        succeeded_max: succeeded.1,
        failed_before: Millis(failed.0),
        failed_max: failed.1,
    }
}

/// Deletes until nothing goes any more; answers how many went.
fn prune(store: &Store, keep: Keep) -> u64 {
    let mut gone = 0;
    loop {
        let piece = ok(store.prune(keep));
        audit_pruned(store);
        gone += piece;
        if piece == 0 {
            return gone;
        }
    }
}

fn all_old() -> Keep {
    keep((i64::MAX, NEVER), (i64::MAX, NEVER))
}

/// Without followers.
fn alone() -> (TempDir, Store) {
    let (dir, store) = store();
    ok(store.configure(vec![task("a", None), task("b", None)], Millis(0)));
    (dir, store)
}

fn jobs(store: &Store) -> i64 {
    number(store, "SELECT count(*) FROM job")
}

/// Ends one job at a time.
fn end_at(store: &Store, outcome: Outcome, at: i64) -> JobId {
    let c = claim(store, "a");
    end(store, &c, placing(c.job, outcome, (outcome == Outcome::Failed).then(boom)));
    assert_eq!(ok(store.finish(vec![c.job], Millis(at))).over.len(), 1);
    c.job
}

#[test]
fn history_goes_by_age() {
    let (_dir, store) = alone();
    land(&store, "a", 0..6);
    let ended: Vec<JobId> = (0..5).map(|n| end_at(&store, Outcome::Succeeded, 100 * n)).collect();
    assert_eq!(prune(&store, keep((200, NEVER), (i64::MAX, NEVER))), 2);
    assert!(ok(store.facts(ended[..2].to_vec())).is_empty());
    assert_eq!(ok(store.facts(ended[2..].to_vec())).len(), 3);
    assert_eq!(number(&store, "SELECT count(*) FROM run"), 4, "their runs went along, the queued one's did not");
    assert_eq!(prune(&store, all_old()), 3);
    assert_eq!(store.queries().overview().unwrap().counts.total(), 1);
}

#[test]
fn history_goes_by_count_oldest_first_over_all_good_ends() {
    let (_dir, store) = alone();
    land(&store, "a", 0..9);
    let outcomes = [Outcome::Succeeded, Outcome::Skipped, Outcome::Cancelled];
    let ended: Vec<JobId> = (0..9).map(|n| end_at(&store, outcomes[n % 3], n as i64)).collect();
    assert_eq!(prune(&store, keep((0, 4), (0, 0))), 5);
    let left: Vec<JobId> = ok(store.facts(ended.clone())).iter().map(|f| f.job).collect();
    assert_eq!(left, ended[5..]);
}

#[test]
fn a_failed_job_stays_as_long_as_its_file_lies_there() {
    let (_dir, store) = alone();
    land(&store, "a", 0..1);
    let kept = end_at(&store, Outcome::Failed, 1);
    let start =
        Start { task: "a".into(), priority: 0, files: vec![], count: 3, label: b"x".to_vec(), items: Vec::new() };
    ok(store.start(start, operator(None)));
    (0..3).for_each(|_| drop(run_one(&store, "a", Outcome::Failed)));
    assert_eq!(prune(&store, keep((0, 0), (0, 2))), 1, "three without a file, two are kept");
    assert_eq!(prune(&store, all_old()), 2);
    assert_eq!(state(&store, kept), JobState::Failed);
    assert_eq!(number(&store, "SELECT sum(open) FROM cause"), 1);
    assert!(retry(&store, kept));
    let c = claim(&store, "a");
    end(&store, &c, placing(kept, Outcome::Succeeded, None));
    finish(&store, kept);
    assert_eq!(prune(&store, all_old()), 1);
    assert_eq!(jobs(&store), 0);
    for table in ["run", "attempt", "job_file", "move", "cause", "action_job", "action"] {
        assert_eq!(number(&store, &format!("SELECT count(*) FROM {table}")), 0, "{table}");
    }
}

#[test]
fn a_skipped_file_is_no_reason_to_stay() {
    let (_dir, store) = alone();
    land(&store, "a", 0..1);
    let job = end_at(&store, Outcome::Failed, 1);
    decide(&store, job, Fence::Rev(facts(&store, job).rev), placing(job, Outcome::Skipped, None));
    finish(&store, job);
    assert_eq!(prune(&store, all_old()), 1);
}

#[test]
fn a_run_that_is_open_keeps_its_jobs() {
    let (_dir, store) = alone();
    let start =
        Start { task: "a".into(), priority: 0, files: vec![], count: 3, label: b"x".to_vec(), items: Vec::new() };
    ok(store.start(start, operator(None)));
    run_one(&store, "a", Outcome::Succeeded);
    run_one(&store, "a", Outcome::Succeeded);
    assert_eq!(prune(&store, all_old()), 0, "the third is queued");
    run_one(&store, "a", Outcome::Succeeded);
    assert_eq!(prune(&store, all_old()), 3);
}

#[test]
fn outputs_stay_while_a_follower_may_read_them() {
    let (_dir, store) = store();
    ok(store.configure(vec![task("a", None), task("ok", Some((&["a"], AfterOn::AllOk)))], Millis(0)));
    land(&store, "a", 0..1);
    let c = claim(&store, "a");
    let mut d = Decision::new(c.job, Fence::Attempt(1), placing(c.job, Outcome::Succeeded, None), Millis(1));
    d.outputs = vec![OutputRecord { path: "/srv/out/1".into(), ino: 8, size: 9, mtime_ns: 1 }];
    ok(store.decide(vec![d]));
    finish(&store, c.job);
    assert_eq!(prune(&store, all_old()), 0, "the follower is queued");
    let follower = claim(&store, "ok");
    assert_eq!(follower.upstream, [PathBuf::from("/srv/out/1")]);
    end(&store, &follower, bare(Outcome::Failed, Some(boom())));
    assert_eq!(prune(&store, keep((i64::MAX, NEVER), (0, NEVER))), 0, "it may be retried");
    assert!(retry(&store, follower.job));
    let follower = claim(&store, "ok");
    assert_eq!(follower.upstream, [PathBuf::from("/srv/out/1")]);
    end(&store, &follower, bare(Outcome::Succeeded, None));
    assert_eq!(prune(&store, all_old()), 2);
    assert_eq!(number(&store, "SELECT count(*) FROM run"), 0);
}

#[test]
fn a_follower_that_was_deleted_does_not_start_again() {
    let (_dir, store) = store();
    ok(store.configure(vec![task("a", None), task("bad", Some((&["a"], AfterOn::Failed)))], Millis(0)));
    land(&store, "a", 0..1);
    let c = run_one(&store, "a", Outcome::Failed);
    run_one(&store, "bad", Outcome::Succeeded);
    assert_eq!(prune(&store, all_old()), 1, "the follower; what failed keeps its file");
    assert!(retry(&store, c.job));
    let again = run_one(&store, "a", Outcome::Failed);
    assert_eq!(again.job, c.job);
    assert_eq!(jobs(&store), 1, "it fired once for this run");
    assert!(retry(&store, c.job));
    run_one(&store, "a", Outcome::Succeeded);
    assert_eq!(prune(&store, all_old()), 1);
    assert_eq!(number(&store, "SELECT count(*) FROM run"), 0, "the row that was kept for it went along");
}

#[test]
fn it_goes_in_pieces() {
    let (_dir, store) = alone();
    land(&store, "a", 0..500);
    let jobs = try_claim(&store, "a", 500, 500, 1).jobs;
    let all = jobs
        .iter()
        .map(|c| Decision::new(c.job, Fence::Attempt(1), placing(c.job, Outcome::Succeeded, None), Millis(1)));
    ok(store.decide(all.collect()));
    ok(store.finish(jobs.iter().map(|c| c.job).collect(), Millis(2)));
    let gone: Vec<u64> = (0..4).map(|_| ok(store.prune(all_old()))).collect();
    assert_eq!(gone, [200, 200, 100, 0]);
    audit_pruned(&store);
}

#[test]
fn selections_and_actions_do_not_pile_up() {
    let (_dir, store) = alone();
    land(&store, "a", 0..1);
    let job = end_at(&store, Outcome::Failed, 1);
    for _ in 0..5 {
        ok(store.select(operator(None), crate::model::Filter::default()));
        action(&store, "cancel");
    }
    assert!(retry(&store, job));
    let c = claim(&store, "a");
    ok(store.put_back(vec![(c.job, c.attempt)]));
    prune(&store, keep((50, NEVER), (50, NEVER)));
    assert_eq!(number(&store, "SELECT count(*) FROM selection"), 5, "not older than that");
    prune(&store, keep((51, NEVER), (51, NEVER)));
    assert_eq!(number(&store, "SELECT count(*) FROM selection"), 0);
    assert_eq!(number(&store, "SELECT count(*) FROM action"), 1, "the retry that the job still shows");
}

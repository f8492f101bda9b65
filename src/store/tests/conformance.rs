//! What every ledger must do: the steps of the protocol from landing to the end. The cases know the port alone.

use super::*;
use crate::model::ledger::{OutputRecord, Start};

macro_rules! conformance {
    ($($(#[$doc:meta])* fn $name:ident($ledger:ident) $body:block)*) => {$(
        #[test]
        fn $name() {
            $(#[$doc])*
            fn case($ledger: &dyn Ledger) $body
            let (_dir, store) = store();
            case(&store);
            audit::audit(&store);
        }
    )*};
}
pub(super) use conformance;

conformance! {
    fn a_file_has_one_live_job(l) {
        let twice = vec![landed("a", 1), landed("a", 1), landed("a", 2)];
        let first = ok(l.land(twice, Millis(10)));
        assert_eq!((first.new, first.known, first.own), (2, 1, 0));
        assert_eq!((first.lanes.len(), first.lanes[0].queued), (1, 2));
        let again = ok(l.land(vec![landed("a", 1)], Millis(11)));
        assert_eq!((again.new, again.known), (0, 1));
        let mut reborn = landed("a", 1);
        reborn.facts.ino = 9;
        assert_eq!(ok(l.land(vec![reborn], Millis(12))).new, 1, "another inode is another file");
    }

    fn a_second_sight_updates_the_facts_of_a_file_that_still_lies_there(l) {
        land(l, "a", 1..2);
        let mut grown = landed("a", 1);
        grown.facts.size = 999;
        assert_eq!(ok(l.land(vec![grown.clone()], Millis(11))).known, 1);
        let claimed = claim(l, "a");
        assert_eq!(claimed.file.unwrap().facts.size, 999);
        grown.facts.size = 5;
        assert_eq!(ok(l.land(vec![grown], Millis(12))).known, 1);
        let kept = facts(l, claimed.job).file.unwrap().facts.size;
        assert_eq!(kept, 999, "a scan that looked before the claim does not know better");
    }

    fn a_scan_that_was_overtaken_makes_no_second_job(l) {
        land(l, "a", 1..2);
        let c = claim(l, "a");
        let sight = |at| vec![Landed { seen: Millis(at), ..landed("a", 1) }];
        let done = placing(c.job, Outcome::Succeeded, None);
        ok(l.decide(vec![Decision::new(c.job, Fence::Attempt(1), done, Millis(30))]));
        assert_eq!(ok(l.land(sight(100), Millis(100))).known, 1, "it is on its way out of the folder");
        finish(l, c.job);
        let over = ok(l.land(sight(0), Millis(200)));
        assert_eq!((over.known, over.new), (1, 0), "it was looked at before it went");
        assert_eq!(ok(l.land(sight(i64::MAX), Millis(201))).new, 1, "it was put back since");
    }

    fn a_task_never_takes_its_own_output(l) {
        land(l, "a", 1..2);
        let c = claim(l, "a");
        let out = landed("a", 77);
        let mut decision = Decision::new(c.job, Fence::Attempt(1), placing(c.job, Outcome::Succeeded, None), Millis(1));
        decision.outputs = vec![OutputRecord {
            path: out.root.join(&out.path), ino: out.facts.ino, size: out.facts.size, mtime_ns: out.facts.mtime_ns,
        }];
        ok(l.decide(vec![decision]));
        finish(l, c.job);
        assert_eq!(ok(l.land(vec![out.clone()], Millis(2))).own, 1);
        let other = Landed { task: "b".into(), ..out.clone() };
        assert_eq!(ok(l.land(vec![other], Millis(3))).new, 1, "another task may");
        let mut edited = out;
        edited.facts.mtime_ns += 1;
        assert_eq!(ok(l.land(vec![edited], Millis(4))).known, 1, "an edited one is no longer ours; here another task has it");
    }

    fn claims_go_by_priority_and_age_within_the_limits(l) {
        land(l, "a", 0..4);
        let urgent = Landed { priority: 5, ..landed("a", 9) };
        ok(l.land(vec![urgent], Millis(11)));
        let first = try_claim(l, "a", 2, 3, 20);
        let names: Vec<_> = first.jobs.iter().map(|c| c.file.as_ref().unwrap().name.to_str().unwrap().to_owned()).collect();
        assert_eq!(names, ["a-9.csv", "a-0.csv"]);
        assert_eq!(first.lane.queued, 3);
        assert_eq!(try_claim(l, "a", 5, 3, 20).jobs.len(), 1, "three may run");
        assert!(try_claim(l, "a", 5, 3, 20).jobs.is_empty());
        assert!(try_claim(l, "a", 5, 2, 20).jobs.is_empty(), "a lowered limit claims nothing");
        assert_eq!(try_claim(l, "a", 5, 9, 20).jobs.len(), 2, "the rest, and none twice");
        assert!(try_claim(l, "b", 5, 9, 20).jobs.is_empty());
    }

    fn a_job_succeeds_once(l) {
        land(l, "a", 1..2);
        let c = claim(l, "a");
        assert_eq!((c.attempt, c.spent, c.label.as_slice()), (1, 1, b"/srv/inbox/a-1.csv".as_slice()));
        assert_eq!(finish(l, c.job), None, "not decided");
        assert_eq!(end(l, &c, placing(c.job, Outcome::Succeeded, None)), Decided::Now(JobState::Placing));
        assert_eq!(end(l, &c, placing(c.job, Outcome::Failed, Some(boom()))), Decided::Lost, "decided already");
        assert_eq!(finish(l, c.job), Some(JobState::Succeeded));
        assert_eq!(finish(l, c.job), None);
        assert_eq!(end(l, &c, bare(Outcome::Cancelled, None)), Decided::Lost);
        assert_eq!(ok(l.land(vec![landed("a", 1)], Millis(50))).new, 1, "the name is free again");
    }

    fn a_stale_worker_changes_nothing(l) {
        land(l, "a", 1..2);
        let old = claim(l, "a");
        ok(l.put_back(vec![(old.job, old.attempt)]));
        let new = claim(l, "a");
        assert_eq!((new.job, new.attempt, new.spent), (old.job, 2, 1), "the number goes on, the budget does not");
        assert_eq!(end(l, &old, placing(old.job, Outcome::Succeeded, None)), Decided::Lost);
        ok(l.put_back(vec![(old.job, old.attempt)]));
        assert_eq!(state(l, new.job), JobState::Running);
        let mut file = old.file.clone().unwrap();
        file.facts.size = 4;
        ok(l.refresh(old.job, old.attempt, file.clone()));
        assert_ne!(facts(l, new.job).file.unwrap().facts.size, 4);
        ok(l.refresh(new.job, new.attempt, file));
        assert_eq!(facts(l, new.job).file.unwrap().facts.size, 4);
    }

    fn a_failed_attempt_waits_for_its_time(l) {
        land(l, "a", 1..2);
        let c = claim(l, "a");
        let again = Verdict::Retry { failure: Failure::transient("busy", "try again"), at: Millis(500) };
        let answer = ok(l.decide(vec![Decision::new(c.job, Fence::Attempt(1), again, Millis(30))]));
        assert_eq!(answer.decided, [Decided::Now(JobState::Waiting)]);
        assert_eq!((answer.lanes[0].queued, answer.lanes[0].next_due), (0, Some(Millis(500))));
        assert_eq!(ok(l.land(vec![landed("a", 1)], Millis(31))).known, 1, "its file is still its own");
        assert_eq!(ok(l.due(Millis(499)))[0].queued, 0);
        let due = ok(l.due(Millis(500)));
        assert_eq!((due[0].queued, due[0].next_due), (1, None));
        let second = claim(l, "a");
        assert_eq!((second.job, second.attempt, second.spent), (c.job, 2, 2));
        assert_eq!(facts(l, c.job).failure, None, "of its last attempt");
    }

    fn what_did_not_run_its_course_is_not_charged(l) {
        land(l, "a", 1..2);
        let c = claim(l, "a");
        let hold = Verdict::Hold { reason: "no permission".into(), at: Millis(100) };
        assert_eq!(end(l, &c, hold), Decided::Now(JobState::Waiting));
        ok(l.due(Millis(100)));
        let c = claim(l, "a");
        assert_eq!((c.attempt, c.spent), (2, 1));
        assert_eq!(end(l, &c, Verdict::Requeue { failure: boom() }), Decided::Now(JobState::Queued));
        let c = claim(l, "a");
        assert_eq!((c.attempt, c.spent), (3, 1));
        let mut uncharged = Decision::new(c.job, Fence::Attempt(3), placing(c.job, Outcome::Failed, Some(boom())), Millis(1));
        uncharged.charged = false;
        ok(l.decide(vec![uncharged]));
        finish(l, c.job);
        assert_eq!(facts(l, c.job).spent, 0);
    }

    fn a_job_without_moves_is_over_at_once_and_what_follows_is_heard_of(l) {
        let start = Start { task: "a".into(), priority: 0, files: Vec::new(), count: 1, label: b"by hand".to_vec(), items: Vec::new() };
        let (_, jobs, lane) = ok(l.start(start, operator(None)));
        assert_eq!((jobs.len(), lane.queued), (1, 1));
        let c = claim(l, "a");
        let answer = ok(l.decide(vec![Decision::new(c.job, Fence::Attempt(1), bare(Outcome::Succeeded, None), Millis(30))]));
        assert_eq!(answer.decided, [Decided::Now(JobState::Succeeded)]);
        let queued: Vec<_> = answer.lanes.iter().map(|h| (&*h.task, h.queued)).collect();
        assert_eq!(queued, [("a", 0), ("ok", 1), ("any", 1), ("both", 1)]);
    }

    fn a_run_settles_with_its_last_job(l) {
        let start = Start { task: "a".into(), priority: 0, files: Vec::new(), count: 3, label: b"x".to_vec(), items: Vec::new() };
        let (_, jobs, _) = ok(l.start(start, operator(None)));
        assert_eq!(jobs.len(), 3);
        run_one(l, "a", Outcome::Succeeded);
        run_one(l, "a", Outcome::Failed);
        assert_eq!(queued(l, "any"), 0);
        run_one(l, "a", Outcome::Succeeded);
        assert_eq!([queued(l, "ok"), queued(l, "bad"), queued(l, "any"), queued(l, "both")], [0, 1, 1, 1]);
    }

    fn what_follows_a_run_starts_once(l) {
        land(l, "a", 1..2);
        let c = run_one(l, "a", Outcome::Failed);
        assert_eq!([queued(l, "ok"), queued(l, "bad"), queued(l, "any"), queued(l, "both")], [0, 1, 1, 0]);
        assert!(retry(l, c.job));
        run_one(l, "a", Outcome::Failed);
        assert_eq!([queued(l, "ok"), queued(l, "bad"), queued(l, "any"), queued(l, "both")], [0, 1, 1, 0], "not again");
        assert!(retry(l, c.job));
        run_one(l, "a", Outcome::Succeeded);
        assert_eq!([queued(l, "ok"), queued(l, "bad"), queued(l, "any"), queued(l, "both")], [1, 1, 1, 1], "met for the first time");
        land(l, "b", 1..2);
        run_one(l, "b", Outcome::Succeeded);
        assert_eq!(queued(l, "both"), 2, "one for each run that it follows");
    }

    fn a_follower_reads_the_outputs_of_its_run_in_order(l) {
        let start = Start { task: "a".into(), priority: 0, files: Vec::new(), count: 2, label: b"x".to_vec(), items: Vec::new() };
        ok(l.start(start, operator(None)));
        let both: Vec<Claimed> = (0..2).map(|_| claim(l, "a")).collect();
        for c in both.iter().rev() {
            let mut d = Decision::new(c.job, Fence::Attempt(1), bare(Outcome::Succeeded, None), Millis(30));
            let out = |n| OutputRecord { path: format!("/srv/out/{}-{n}", c.ordinal).into(), ino: 1, size: 2, mtime_ns: 3 };
            d.outputs = vec![out(1), out(0)];
            ok(l.decide(vec![d]));
        }
        let next = claim(l, "ok");
        let paths: Vec<_> = next.upstream.iter().map(|p| p.to_str().unwrap()).collect();
        assert_eq!(paths, ["/srv/out/0-1", "/srv/out/0-0", "/srv/out/1-1", "/srv/out/1-0"]);
    }

    fn a_move_that_finds_its_name_taken_goes_elsewhere(l) {
        land(l, "a", 1..2);
        let c = claim(l, "a");
        end(l, &c, placing(c.job, Outcome::Failed, Some(boom())));
        let mut moves = ok(l.recover("host-a".into(), "boot-1".into(), Millis(98))).placing.remove(0).moves;
        moves[0].src = moves[0].dst.clone();
        moves[0].dst = "/srv/failed/other.csv".into();
        ok(l.retarget(c.job, moves[..1].to_vec()));
        assert_eq!(facts(l, c.job).failed_at.unwrap(), Path::new("/srv/failed/other.csv"));
        let left = ok(l.recover("host-a".into(), "boot-1".into(), Millis(99))).placing;
        assert_eq!(left[0].moves, moves);
        finish(l, c.job);
        assert!(wait(l.retarget(c.job, moves)).is_err(), "there is nothing left to move");
    }

    fn what_is_not_there_is_no_error(l) {
        let nobody = JobId(4711);
        assert_eq!(decide(l, nobody, Fence::Rev(1), bare(Outcome::Skipped, None)), Decided::Lost);
        assert_eq!(decide(l, nobody, Fence::Attempt(1), bare(Outcome::Skipped, None)), Decided::Lost);
        assert_eq!(finish(l, nobody), None);
        assert!(ok(l.facts(vec![nobody])).is_empty());
        assert!(ok(l.put_back(vec![(nobody, 1)])).is_empty());
        assert!(!retry(l, nobody));
        let action = action(l, "cancel");
        assert_eq!(ok(l.mark_cancel(action, vec![nobody])).refused[0].reason, "no such job");
        land(l, "a", 1..2);
        let c = claim(l, "a");
        ok(l.refresh(nobody, 1, c.file.unwrap()));
        assert!(matches!(wait(l.land(vec![landed("nobody", 1)], Millis(1))), Err(StoreError::Fault(_))));
    }
}

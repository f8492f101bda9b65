//! What every ledger must do when an operator acts: fences, fresh budgets, cancels that are not lost, selections.

use super::conformance::conformance;
use super::*;
use crate::model::Filter;
use crate::model::filter::Test;

fn filter(text: &str) -> Filter {
    Filter::parse(text).unwrap()
}

conformance! {
    fn a_retry_takes_the_file_from_where_the_failure_left_it(l) {
        land(l, "a", 1..2);
        let c = run_one(l, "a", Outcome::Failed);
        let f = facts(l, c.job);
        assert_eq!((f.state, f.spent, f.failure.as_ref().unwrap().code.as_str()), (JobState::Failed, 1, "boom"));
        assert_eq!(f.failed_at.unwrap(), failed_path(c.job));
        assert_eq!(f.record_at.unwrap(), PathBuf::from(format!("/srv/failed/{}.csv.error.json", c.job)));
        assert!(retry(l, c.job));
        assert!(!retry(l, c.job), "it is queued already");
        assert_eq!(ok(l.land(vec![landed("a", 1)], Millis(61))).new, 1, "the name in the inbox is not its own any more");
        let again = claim(l, "a");
        let file = again.file.clone().unwrap();
        assert_eq!((again.job, again.attempt, again.spent), (c.job, 2, 1));
        assert_eq!((file.absolute(), file.root.as_path(), file.name.to_str()), (failed_path(c.job), Path::new(ROOT), Some("a-1.csv")));
        end(l, &again, placing(c.job, Outcome::Succeeded, None));
        finish(l, c.job);
        assert_eq!(state(l, c.job), JobState::Succeeded);
        assert!(!retry(l, c.job));
    }

    fn a_retry_as_of_a_revision_leaves_alone_what_changed_since(l) {
        land(l, "a", 1..3);
        let (x, y) = (run_one(l, "a", Outcome::Failed).job, run_one(l, "a", Outcome::Failed).job);
        let (rx, ry) = (facts(l, x).rev, facts(l, y).rev);
        assert!(retry(l, x));
        let action = action(l, "retry");
        let (done, lanes) = ok(l.retry(action, vec![(x, rx), (y, ry)], Millis(70)));
        assert_eq!((done.done, done.refused[0].id, done.refused[0].reason.as_str()), (vec![y], x, "it changed since"));
        assert_eq!(lanes[0].queued, 2);
    }

    fn a_waiting_job_can_be_told_to_go_at_once(l) {
        land(l, "a", 1..2);
        let c = claim(l, "a");
        end(l, &c, Verdict::Retry { failure: boom(), at: Millis(i64::MAX) });
        assert!(retry(l, c.job));
        let again = claim(l, "a");
        assert_eq!((again.attempt, again.spent), (2, 1));
        assert_eq!(again.file.unwrap().path, Path::new("a-1.csv"), "its file is in WORK, under its old name");
    }

    fn a_file_that_belongs_to_another_job_by_now_is_not_retried(l) {
        land(l, "a", 1..3);
        let lost = Verdict::Place { outcome: Outcome::Failed, failure: Some(boom()), moves: Vec::new(), original: None, record: None, reason: None };
        let c = claim(l, "a");
        assert_eq!(end(l, &c, lost), Decided::Now(JobState::Failed));
        assert_eq!(ok(l.land(vec![landed("a", 1)], Millis(50))).new, 1);
        let other = run_one(l, "a", Outcome::Failed).job;
        let action = action(l, "retry");
        let (done, _) = ok(l.retry(action, vec![(c.job, 0), (other, 0)], Millis(70)));
        assert_eq!(done.done, [other], "the others are retried all the same");
        assert_eq!(done.refused[0].reason, "another job has its file");
        assert_eq!(state(l, c.job), JobState::Failed);
    }

    fn a_cancel_of_a_running_job_is_found_by_whatever_is_decided(l) {
        for verdict in [
            placing(JobId(0), Outcome::Succeeded, None),
            Verdict::Retry { failure: boom(), at: Millis(9) },
            Verdict::Requeue { failure: boom() },
        ] {
            land(l, "a", 1..2);
            let c = claim(l, "a");
            let action = action(l, "cancel");
            assert_eq!(ok(l.mark_cancel(action, vec![c.job])).done, [c.job]);
            let second = self::action(l, "cancel");
            assert_eq!(ok(l.mark_cancel(second, vec![c.job])).done, [c.job]);
            assert_eq!(end(l, &c, verdict), Decided::CancelInstead(action), "the first one stands");
            assert_eq!(state(l, c.job), JobState::Running);
            assert_eq!(end(l, &c, placing(c.job, Outcome::Cancelled, None)), Decided::Now(JobState::Placing));
            assert_eq!(ok(l.mark_cancel(action, vec![c.job])).refused[0].reason, "already decided");
            assert_eq!(finish(l, c.job), Some(JobState::Cancelled));
            assert_eq!(ok(l.mark_cancel(action, vec![c.job])).refused[0].reason, "already cancelled");
        }
    }

    fn a_cancel_outlives_a_hold(l) {
        land(l, "a", 1..2);
        let c = claim(l, "a");
        let action = action(l, "cancel");
        ok(l.mark_cancel(action, vec![c.job]));
        let hold = Verdict::Hold { reason: "the disk is full".into(), at: Millis(9) };
        assert_eq!(end(l, &c, hold), Decided::Now(JobState::Waiting), "what cannot be written down is held all the same");
        ok(l.due(Millis(10)));
        let again = claim(l, "a");
        assert!(again.cancelled, "the next claim knows");
        assert_eq!(end(l, &again, placing(c.job, Outcome::Succeeded, None)), Decided::CancelInstead(action));
        end(l, &again, placing(c.job, Outcome::Cancelled, None));
        finish(l, c.job);
    }

    fn a_cancel_outlives_a_claim_that_is_put_back(l) {
        land(l, "a", 1..2);
        let c = claim(l, "a");
        let action = action(l, "cancel");
        ok(l.mark_cancel(action, vec![c.job]));
        ok(l.put_back(vec![(c.job, c.attempt)]));
        let again = claim(l, "a");
        assert_eq!(end(l, &again, placing(c.job, Outcome::Succeeded, None)), Decided::CancelInstead(action));
        end(l, &again, placing(c.job, Outcome::Cancelled, None));
        finish(l, c.job);
    }

    fn what_does_not_run_is_set_aside_as_long_as_it_has_not_changed(l) {
        land(l, "a", 1..4);
        let failed = run_one(l, "a", Outcome::Failed).job;
        let c = claim(l, "a");
        end(l, &c, Verdict::Retry { failure: boom(), at: Millis(900) });
        let (waiting, waiting_job) = (facts(l, c.job).rev, c.job);
        let running = claim(l, "a");
        let rev = facts(l, running.job).rev;
        assert_eq!(decide(l, running.job, Fence::Rev(rev), placing(running.job, Outcome::Skipped, None)), Decided::Lost);
        ok(l.put_back(vec![(running.job, 1)]));
        for (job, rev) in [(failed, facts(l, failed).rev), (waiting_job, waiting), (running.job, facts(l, running.job).rev)] {
            assert_eq!(decide(l, job, Fence::Rev(rev - 1), placing(job, Outcome::Skipped, None)), Decided::Lost);
            assert_eq!(decide(l, job, Fence::Rev(rev), placing(job, Outcome::Skipped, None)), Decided::Now(JobState::Placing));
            assert_eq!(decide(l, job, Fence::Rev(facts(l, job).rev), placing(job, Outcome::Skipped, None)), Decided::Lost);
            assert_eq!(finish(l, job), Some(JobState::Skipped));
        }
        assert_eq!(queued(l, "a"), 0);
    }

    fn a_failed_job_goes_back_to_work_by_a_retry_alone(l) {
        land(l, "a", 1..2);
        let job = run_one(l, "a", Outcome::Failed).job;
        for verdict in [
            Verdict::Requeue { failure: boom() },
            Verdict::Hold { reason: "x".into(), at: Millis(9) },
            Verdict::Retry { failure: boom(), at: Millis(9) },
        ] {
            assert_eq!(decide(l, job, Fence::Rev(facts(l, job).rev), verdict), Decided::Lost);
        }
        assert_eq!(state(l, job), JobState::Failed);
    }

    fn a_skip_does_not_count_against_the_budget(l) {
        land(l, "a", 1..2);
        let job = run_one(l, "a", Outcome::Failed).job;
        let mut skip = Decision::new(job, Fence::Rev(facts(l, job).rev), placing(job, Outcome::Skipped, None), Millis(1));
        skip.charged = false;
        ok(l.decide(vec![skip]));
        finish(l, job);
        assert_eq!(facts(l, job).spent, 1);
    }

    fn a_selection_holds_what_matched_and_did_not_change(l) {
        land(l, "a", 0..6);
        for _ in 0..5 { run_one(l, "a", Outcome::Failed); }
        let s = ok(l.select(operator(None), filter("state:failed task:a")));
        assert_eq!((s.count, s.names.len(), s.names[0].as_str()), (5, 3, "/srv/inbox/a-0.csv"));
        let all = ok(l.selected(s.id, JobId(i64::MIN), 100));
        assert_eq!(all.len(), 5);
        assert!(all.iter().all(|(job, rev)| facts(l, *job).rev == *rev));
        let first = ok(l.selected(s.id, JobId(i64::MIN), 2));
        let second = ok(l.selected(s.id, first[1].0, 2));
        assert_eq!([first, second].concat(), all[..4]);

        assert!(retry(l, all[0].0));
        run_one(l, "a", Outcome::Failed);
        run_one(l, "a", Outcome::Failed);
        let left = ok(l.selected(s.id, JobId(i64::MIN), 100));
        assert_eq!(left, all[1..], "neither what failed again nor what failed later");
        assert!(wait(l.selected(crate::model::SelectionId(99), JobId(0), 1)).is_err());
    }

    fn a_filter_that_cannot_be_read_again_is_refused(l) {
        let long = Filter::default().and(Test::Text("x".repeat(2000)));
        assert!(matches!(wait(l.select(operator(None), long)), Err(StoreError::Fault(_))));
    }
}

#[test]
fn who_did_what_is_shown_with_the_job() {
    let (_dir, store) = store();
    land(&store, "a", 1..3);
    let job = run_one(&store, "a", Outcome::Failed).job;
    let skip = ok(store.record("skip", operator(Some("not needed")), None, Vec::new()));
    let mut decision =
        Decision::new(job, Fence::Rev(facts(&store, job).rev), placing(job, Outcome::Skipped, None), Millis(70));
    decision.action = Some(skip);
    ok(store.decide(vec![decision]));
    finish(&store, job);
    let shown = store.queries().job(job, Millis(80)).unwrap().unwrap().actions;
    assert_eq!((shown.len(), shown[0].kind.as_str(), shown[0].reason.as_deref()), (1, "skip", Some("not needed")));

    let c = claim(&store, "a");
    let cancel = action(&store, "cancel");
    ok(store.mark_cancel(cancel, vec![c.job]));
    let shown = store.queries().job(c.job, Millis(80)).unwrap().unwrap().actions;
    assert_eq!((shown.len(), shown[0].kind.as_str()), (1, "cancel"));
    assert_eq!(audit::number(&store, &format!("SELECT done FROM action WHERE id = {cancel}")), 1);
}

#[test]
fn a_pause_is_remembered() {
    let (dir, store) = store();
    ok(store.set_paused("a".into(), operator(None), true));
    ok(store.set_paused("".into(), operator(None), true));
    let (_dir, store) = crashed(store, &dir);
    assert_eq!(store.queries().pauses().unwrap(), (true, vec!["a".to_owned()]));
    let overview = store.queries().overview().unwrap();
    assert_eq!(overview.paused, Some((1000, Millis(50))));
    ok(store.set_paused("".into(), operator(None), false));
    ok(store.set_paused("a".into(), operator(None), false));
    assert_eq!(store.queries().pauses().unwrap(), (false, Vec::new()));
    assert!(wait(store.set_paused("nobody".into(), operator(None), true)).is_err());
}

//! Planned runs: one job puts the others into the queue, each in its lane, and the run settles without counting it.

use super::*;
use crate::model::RunState;
use crate::model::action::network::Item;
use crate::model::job::JobKind;
use crate::model::ledger::{Allow, Allowance, ClosedLane, Start};
use std::collections::HashMap;

/// A store whose task `f` is planned, and `then` follows it when any of its jobs succeeded.
fn planned_store() -> (TempDir, Store) {
    let (dir, store) = store();
    ok(store.configure(planned_tasks(), Millis(0)));
    (dir, store)
}

fn planned_tasks() -> Vec<TaskFacts> {
    let f = TaskFacts { planned: true, ..task("f", None) };
    let follower = |name, on| task(name, Some((&["f"], on)));
    vec![f, follower("then", AfterOn::AnyOk), follower("whole", AfterOn::AllOk), follower("bad", AfterOn::Failed)]
}

fn start(store: &Store) {
    let start =
        Start { task: "f".into(), priority: 0, files: Vec::new(), count: 1, items: Vec::new(), label: b"x".to_vec() };
    ok(store.start(start, operator(None)));
}

fn item(host: &str, n: u64) -> Item {
    Item { input: format!("https://{host}/{n}"), lane: host.into() }
}

fn expand(store: &Store, plan: &Claimed, from: u64, items: Vec<Item>) -> Option<u64> {
    ok(store.expand(plan.job, plan.attempt, from, items, Millis(20))).map(|hint| hint.queued)
}

/// Claims with so many of each host allowed; the numbers of the answers by host.
fn claim_of(store: &Store, max: u32, allowed: &'static [(&'static str, u32)]) -> (Vec<Claimed>, Option<Millis>) {
    let allow: Allow = Arc::new(move |lane| match allowed.iter().find(|(host, _)| *host == lane) {
        Some((_, 0)) => Allowance { jobs: 0, again: Some(Millis(500)) },
        Some((_, jobs)) => Allowance { jobs: *jobs, again: None },
        None => Allowance { jobs: u32::MAX, again: None },
    });
    let plan = Arc::new(|_: &Claimed| AttemptPlan::default());
    let claim = Claim { task: "f".into(), max, running_limit: u32::MAX, now: Millis(20), plan, allow: Some(allow) };
    let answer = ok(store.claim(claim));
    (answer.jobs, answer.again)
}

fn by_host(jobs: &[Claimed]) -> HashMap<String, usize> {
    let mut count = HashMap::new();
    for job in jobs {
        *count.entry(job.lane.to_string()).or_default() += 1;
    }
    count
}

fn run_of(store: &Store, job: JobId) -> crate::model::view::RunView {
    store.queries().job(job, Millis(0)).unwrap().unwrap().run.unwrap()
}

#[test]
fn a_plan_puts_items_into_the_queue_and_is_none_of_them() {
    let (_dir, store) = planned_store();
    start(&store);
    let plan = claim(&store, "f");
    assert_eq!((plan.kind, plan.ordinal), (JobKind::Plan, 0));
    assert_eq!(ok(store.planned(plan.job, plan.attempt)).unwrap().items, 0);
    assert_eq!(expand(&store, &plan, 0, vec![item("a", 1), item("b", 2)]), Some(2));
    assert_eq!(expand(&store, &plan, 2, vec![item("a", 3)]), Some(3));
    assert_eq!(run_of(&store, plan.job).state, RunState::Expanding);
    end(&store, &plan, bare(Outcome::Succeeded, None));
    let run = run_of(&store, plan.job);
    assert_eq!((run.state, run.total, run.open, run.ok), (RunState::Open, 3, 3, 0));
    let (jobs, _) = claim_of(&store, 10, &[]);
    let seen: Vec<_> = jobs.iter().map(|j| (j.kind, j.n(), String::from_utf8_lossy(&j.label).into_owned())).collect();
    let wanted = [(1, "https://a/1"), (3, "https://a/3"), (2, "https://b/2")];
    assert_eq!(seen, wanted.map(|(n, url)| (JobKind::Item, n, url.to_owned())));
    end(&store, &jobs[0], bare(Outcome::Succeeded, None));
    end(&store, &jobs[1], bare(Outcome::Failed, Some(boom())));
    let last = Decision::new(jobs[2].job, Fence::Attempt(1), bare(Outcome::Succeeded, None), Millis(30));
    let answer = ok(store.decide(vec![last]));
    assert_eq!(answer.settled.len(), 1);
    let settled = &answer.settled[0];
    assert_eq!((settled.state, settled.total, settled.ok, settled.failed), (RunState::Partial, 3, 2, 1));
    let followers = ["then", "whole", "bad"].map(|name| answer.lanes.iter().any(|l| &*l.task == name && l.queued == 1));
    assert_eq!(followers, [true, false, true]);
}

#[test]
fn a_plan_that_was_cut_off_goes_on_where_it_was() {
    let (dir, store) = planned_store();
    start(&store);
    let plan = claim(&store, "f");
    expand(&store, &plan, 0, vec![item("a", 1), item("a", 2)]);
    let (_image, store) = crashed(store, &dir);
    ok(store.configure(planned_tasks(), Millis(0)));
    let left = ok(store.recover("host-a".into(), "boot-1".into(), Millis(50)));
    assert_eq!(left.running[0].claimed.kind, JobKind::Plan);
    end(&store, &left.running[0].claimed, Verdict::Requeue { failure: boom() });
    assert_eq!(expand(&store, &plan, 2, vec![item("a", 3)]), None, "the first attempt is over");
    let again = claim(&store, "f");
    assert_eq!(again.job, plan.job, "the plan comes before its items");
    assert_eq!(ok(store.planned(again.job, again.attempt)).unwrap().items, 2);
    assert_eq!(expand(&store, &again, 1, vec![item("a", 2)]), None, "nothing is put twice");
    assert_eq!(expand(&store, &again, 2, vec![item("a", 3)]), Some(3));
}

#[test]
fn a_run_whose_plan_failed_has_failed_and_a_retry_takes_that_back() {
    let (_dir, store) = planned_store();
    start(&store);
    let plan = claim(&store, "f");
    expand(&store, &plan, 0, vec![item("a", 1)]);
    end(&store, &plan, bare(Outcome::Failed, Some(boom())));
    let (jobs, _) = claim_of(&store, 10, &[]);
    end(&store, &jobs[0], bare(Outcome::Succeeded, None));
    let run = run_of(&store, plan.job);
    assert_eq!((run.state, run.total, run.ok, run.failed), (RunState::Partial, 2, 1, 1));
    assert!(retry(&store, plan.job));
    assert_eq!((run_of(&store, plan.job).state, run_of(&store, plan.job).total), (RunState::Expanding, 1));
    let again = claim(&store, "f");
    end(&store, &again, bare(Outcome::Succeeded, None));
    let run = run_of(&store, plan.job);
    assert_eq!((run.state, run.total, run.ok, run.failed), (RunState::Succeeded, 1, 1, 0));
}

#[test]
fn a_run_of_no_items_succeeds() {
    let (_dir, store) = planned_store();
    start(&store);
    let plan = claim(&store, "f");
    end(&store, &plan, bare(Outcome::Succeeded, None));
    let run = run_of(&store, plan.job);
    assert_eq!((run.state, run.total, run.open), (RunState::Succeeded, 0, 0));
}

#[test]
fn no_lane_is_served_beyond_what_it_may_and_others_are_not_held_up_by_it() {
    let (_dir, store) = planned_store();
    start(&store);
    let plan = claim(&store, "f");
    let items = (0..100).map(|n| item("busy", n)).chain((0..3).map(|n| item("free", n))).collect();
    expand(&store, &plan, 0, items);
    let (jobs, again) = claim_of(&store, 50, &[("busy", 4)]);
    assert_eq!(by_host(&jobs), HashMap::from([("busy".into(), 4), ("free".into(), 3)]));
    assert_eq!(again, None);
    let (jobs, again) = claim_of(&store, 50, &[("busy", 0)]);
    assert!(jobs.is_empty());
    assert_eq!(again, Some(Millis(500)));
}

#[test]
fn lanes_take_turns() {
    let (_dir, store) = planned_store();
    start(&store);
    let plan = claim(&store, "f");
    let items = (0..10).flat_map(|n| ["a", "b", "c"].map(|host| item(host, n))).collect();
    expand(&store, &plan, 0, items);
    let turns: Vec<String> = (0..6)
        .map(|_| {
            let (jobs, _) = claim_of(&store, 1, &[]);
            jobs[0].lane.to_string()
        })
        .collect();
    assert_eq!(turns, ["a", "b", "c", "a", "b", "c"]);
}

#[test]
fn a_task_that_lost_its_lanes_still_works_off_what_is_in_them() {
    let (_dir, store) = planned_store();
    start(&store);
    let plan = claim(&store, "f");
    expand(&store, &plan, 0, vec![item("a", 1), item("b", 2)]);
    let rest = try_claim(&store, "f", 10, u32::MAX, 30).jobs;
    assert_eq!(by_host(&rest), HashMap::from([("a".into(), 1), ("b".into(), 1)]));
}

#[test]
fn items_of_an_operator_need_no_plan() {
    let (_dir, store) = planned_store();
    let start =
        Start { task: "f".into(), priority: 0, files: Vec::new(), count: 1, items: vec![item("a", 7)], label: vec![] };
    let (_, jobs, lane) = ok(store.start(start, operator(None)));
    assert_eq!((jobs.len(), lane.queued), (1, 1));
    let (claimed, _) = claim_of(&store, 10, &[]);
    assert_eq!((claimed[0].kind, claimed[0].n(), &claimed[0].label[..]), (JobKind::Item, 1, &b"https://a/7"[..]));
}

#[test]
fn closed_hosts_are_remembered_until_their_time() {
    let (_dir, store) = planned_store();
    let closed = |until| ClosedLane { lane: "a".into(), until: Millis(until), why: "429".into() };
    ok(store.close_lane(closed(100), Millis(10)));
    ok(store.close_lane(closed(200), Millis(10)));
    assert_eq!(ok(store.closed_lanes(Millis(150))), [closed(200)]);
    assert_eq!(ok(store.closed_lanes(Millis(200))), []);
    ok(store.close_lane(closed(50), Millis(60)));
    assert_eq!(ok(store.closed_lanes(Millis(0))), [], "a time that has passed forgets it");
}

#[test]
fn a_plan_is_no_job_of_a_period() {
    let (_dir, store) = planned_store();
    start(&store);
    let plan = claim_of(&store, 1, &[]).0.remove(0);
    expand(&store, &plan, 0, vec![item("a.example.com", 1), item("a.example.com", 2)]);
    end(&store, &plan, bare(Outcome::Succeeded, None));
    for job in claim_of(&store, 9, &[]).0 {
        end(&store, &job, bare(Outcome::Succeeded, None));
    }
    let s = store.queries().statistics(Millis(0), Millis(1000)).unwrap();
    assert_eq!((s.totals.processed, s.types.len(), s.types[0].name.as_str()), (2, 1, "URL"));
}

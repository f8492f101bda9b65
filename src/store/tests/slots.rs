//! Planned times: each becomes one run at most, and while one is at work the next does what the schedule says.

use super::*;
use crate::model::RunState;
use crate::model::condition::History;
use crate::model::ledger::{Keep, NewSlot, Remembered, SlotOrder, SlotsPlanned};
use crate::model::schedule::Overlap;
use crate::store::history::{BEGUN, LAST_SUCCESS, RUNS};
use proptest::prelude::*;

/// A store with the task `s`, which has a schedule, and `then`, which follows it.
fn store_with_schedule() -> (TempDir, Store) {
    let (dir, store) = store();
    let s = TaskFacts { scheduled: true, ..task("s", None) };
    ok(store.configure(vec![s, task("then", Some((&["s"], AfterOn::AllOk)))], Millis(0)));
    (dir, store)
}

fn run_at(at: i64) -> NewSlot {
    NewSlot::Run { at: Millis(at), note: None, in_turn: false }
}

fn plan(store: &Store, overlap: Overlap, slots: Vec<NewSlot>) -> SlotsPlanned {
    let last_planned = slots
        .iter()
        .map(|s| match s {
            NewSlot::Run { at, .. } | NewSlot::Not { at, .. } => *at,
        })
        .max();
    let remember = Remembered { task: "s".into(), spec: "spec".into(), anchor: Millis(0), last_planned };
    ok(store.plan_slots(SlotOrder { remember, next_at: Some(Millis(99)), slots, overlap, now: Millis(20) }))
}

/// The runs of the task, oldest first: planned time, state and reason.
fn runs(store: &Store) -> Vec<(i64, RunState, Option<String>)> {
    let mut runs: Vec<_> =
        store.queries().runs_of("s", 100).unwrap().into_iter().map(|r| (r.planned_at.0, r.state, r.reason)).collect();
    runs.reverse();
    runs
}

#[test]
fn a_planned_time_becomes_one_run() {
    let (_dir, store) = store_with_schedule();
    let planned = plan(&store, Overlap::Skip, vec![run_at(10)]);
    assert_eq!((planned.runs.len(), planned.lane.unwrap().queued), (1, 1));
    let again = plan(&store, Overlap::Skip, vec![run_at(10)]);
    assert_eq!((again.runs.len(), again.lane.unwrap().queued), (0, 1), "the same time a second time is nothing");
    let (_, run, _) = planned.runs[0];
    assert!(!store.queries().has_begun(run).unwrap());
    let claimed = claim(&store, "s");
    assert!(store.queries().has_begun(run).unwrap());
    assert_eq!((claimed.planned_at, claimed.run), (Millis(10), run));
    end(&store, &claimed, bare(Outcome::Succeeded, None));
    assert_eq!(runs(&store), [(10, RunState::Succeeded, None)]);
    assert_eq!(store.queries().last_success("s").unwrap(), Some((Millis(30), run)));
    assert_eq!(try_claim(&store, "then", 9, 9, 50).jobs.len(), 1, "what follows it was started");
    let (_copy, store) = reopened(_dir, store);
    let known = store.queries().standings().unwrap();
    assert_eq!((known.len(), known[0].last_planned), (1, Some(Millis(10))));
}

fn reopened(dir: TempDir, store: Store) -> (TempDir, Store) {
    drop(store);
    let store = Store::open(&dir.path().join("store.db")).unwrap();
    (dir, store)
}

#[test]
fn while_a_run_is_at_work_the_next_is_skipped_with_its_reason() {
    let (_dir, store) = store_with_schedule();
    plan(&store, Overlap::Skip, vec![run_at(10)]);
    let claimed = claim(&store, "s");
    let second = plan(&store, Overlap::Skip, vec![run_at(11)]);
    assert_eq!(second.runs[0].2.as_deref(), Some(&*format!("run {} is not over yet", claimed.run)));
    assert!(try_claim(&store, "s", 9, 99, 50).jobs.is_empty());
    end(&store, &claimed, bare(Outcome::Failed, Some(boom())));
    plan(&store, Overlap::Skip, vec![run_at(12)]);
    let states: Vec<RunState> = runs(&store).into_iter().map(|(_, state, _)| state).collect();
    assert_eq!(states, [RunState::Failed, RunState::Skipped, RunState::Open]);
    let shown = store.queries().runs_of("s", 9).unwrap();
    assert_eq!(shown[2].failed_job, Some(claimed.job));
}

#[test]
fn runs_that_wait_take_their_turn_in_the_order_of_their_times() {
    let (_dir, store) = store_with_schedule();
    plan(&store, Overlap::Queue, vec![run_at(10), run_at(11), run_at(12)]);
    for at in 10..13 {
        let claimed = claim(&store, "s");
        assert_eq!(claimed.planned_at, Millis(at));
        assert!(try_claim(&store, "s", 9, 99, 50).jobs.is_empty(), "one at a time");
        let outcome = if at == 11 { Outcome::Failed } else { Outcome::Succeeded };
        end(&store, &claimed, bare(outcome, (at == 11).then(boom)));
    }
    assert!(try_claim(&store, "s", 9, 99, 50).jobs.is_empty());
}

#[test]
fn what_is_made_up_for_is_never_skipped_for_its_neighbour() {
    let (_dir, store) = store_with_schedule();
    let turn = |at| NewSlot::Run { at: Millis(at), note: Some("late".into()), in_turn: true };
    plan(&store, Overlap::Skip, vec![turn(10), turn(11)]);
    assert_eq!(runs(&store), [(10, RunState::Open, Some("late".into())), (11, RunState::Planned, Some("late".into()))]);
}

#[test]
fn a_run_that_cancels_the_one_before_waits_until_it_is_gone() {
    let (_dir, store) = store_with_schedule();
    plan(&store, Overlap::CancelRunning, vec![run_at(10)]);
    let first = claim(&store, "s");
    let planned = plan(&store, Overlap::CancelRunning, vec![run_at(11)]);
    assert_eq!(planned.cancel, [first.job]);
    assert!(try_claim(&store, "s", 9, 99, 50).jobs.is_empty());
    let action = action(&store, "cancel");
    assert_eq!(ok(store.mark_cancel(action, vec![first.job])).done, [first.job]);
    end(&store, &first, bare(Outcome::Cancelled, None));
    assert_eq!(claim(&store, "s").planned_at, Millis(11));
}

#[test]
fn what_does_not_run_is_a_record() {
    let (_dir, store) = store_with_schedule();
    let not = |at, missed| NewSlot::Not { at: Millis(at), missed, reason: format!("why {at}") };
    let planned = plan(&store, Overlap::Skip, vec![not(10, true), not(11, false)]);
    assert_eq!((planned.runs.len(), planned.lane.unwrap().queued), (2, 0));
    let expected = [(10, RunState::Missed, Some("why 10".into())), (11, RunState::Skipped, Some("why 11".into()))];
    assert_eq!(runs(&store), expected);
    plan(&store, Overlap::Skip, vec![run_at(10)]);
    assert!(try_claim(&store, "s", 9, 99, 50).jobs.is_empty(), "a time that was missed does not run later");
    let keep =
        |before| Keep { succeeded_before: Millis(0), succeeded_max: 9, failed_before: Millis(before), failed_max: 9 };
    ok(store.prune(keep(20)));
    assert_eq!(runs(&store).len(), 2);
    ok(store.prune(keep(21)));
    assert!(runs(&store).is_empty(), "old records go");
}

#[test]
fn a_run_that_a_condition_keeps_back_is_skipped_with_its_reason() {
    let (_dir, store) = store_with_schedule();
    plan(&store, Overlap::Skip, vec![run_at(10)]);
    let claimed = claim(&store, "s");
    let verdict = Verdict::Place {
        outcome: Outcome::Skipped,
        failure: None,
        moves: Vec::new(),
        original: None,
        record: None,
        reason: Some("it is Mon".into()),
    };
    end(&store, &claimed, verdict);
    assert_eq!(runs(&store), [(10, RunState::Skipped, Some("it is Mon".into()))]);
    assert!(try_claim(&store, "then", 9, 9, 50).jobs.is_empty(), "nothing follows a run that was left out");
}

#[test]
fn a_condition_asks_the_history() {
    let (_dir, store) = store_with_schedule();
    let queries = store.queries();
    let ask = |sql: &str| queries.first_value(sql);
    assert_eq!(ask("SELECT count(*) FROM runs").unwrap().as_deref(), Some("0"));
    assert_eq!(ask("SELECT task FROM runs").unwrap(), None);
    plan(&store, Overlap::Skip, vec![run_at(1_000)]);
    run_one(&store, "s", Outcome::Succeeded);
    let sql = "SELECT task || ' ' || state || ' ' || planned_at FROM runs WHERE task = 's'; -- the end";
    assert!(ask(sql).is_err(), "one statement alone");
    assert_eq!(ask(sql.split(';').next().unwrap()).unwrap().as_deref(), Some("s succeeded 1"));
    assert_eq!(ask("SELECT state FROM jobs -- a note").unwrap().as_deref(), Some("succeeded"));
    for sql in ["DELETE FROM job", "ATTACH 'x.db' AS x", "nonsense"] {
        assert!(ask(sql).is_err(), "{sql}");
    }
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    assert!(ask(endless).unwrap_err().to_string().contains("interrupted"));
}

#[test]
fn the_history_of_a_task_is_found_by_an_index() {
    let (_dir, store) = store_with_schedule();
    for sql in [RUNS, LAST_SUCCESS, BEGUN] {
        let steps: Vec<String> = store
            .queries()
            .with(|conn| {
                let mut explain = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                (1..=explain.parameter_count()).try_for_each(|i| explain.raw_bind_parameter(i, 1))?;
                let mut rows = explain.raw_query();
                let mut steps = Vec::new();
                while let Some(row) = rows.next()? {
                    steps.push(row.get(3)?);
                }
                Ok(steps)
            })
            .unwrap();
        let scans = steps.iter().any(|s| ["SCAN r", "SCAN j", "SCAN a", "SCAN run", "SCAN job"].contains(&s.as_str()));
        assert!(!scans && !steps.iter().any(|s| s.contains("TEMP B-TREE")), "{steps:#?}");
    }
}

#[derive(Clone, Debug)]
enum Act {
    Plan(Overlap, u8),
    Claim,
    End(bool),
    Reopen,
}

fn act() -> impl Strategy<Value = Act> {
    let overlap = prop_oneof![Just(Overlap::Skip), Just(Overlap::Queue), Just(Overlap::CancelRunning)];
    prop_oneof![
        3 => (overlap, 0u8..40).prop_map(|(overlap, at)| Act::Plan(overlap, at)),
        3 => Just(Act::Claim),
        3 => any::<bool>().prop_map(Act::End),
        1 => Just(Act::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Promise D4 and P15: no time runs twice, and no two runs of a task are at work, whatever comes in whatever order.
    #[test]
    fn a_time_runs_once_and_one_run_is_at_work(acts in prop::collection::vec(act(), 1..60)) {
        let (mut dir, mut store) = store_with_schedule();
        let mut at_work: Vec<Claimed> = Vec::new();
        let mut ran = std::collections::BTreeSet::new();
        for act in acts {
            match act {
                Act::Plan(overlap, at) => {
                    plan(&store, overlap, vec![run_at(i64::from(at))]);
                }
                Act::Claim => {
                    for claimed in try_claim(&store, "s", 9, 99, 20).jobs {
                        prop_assert!(ran.insert(claimed.planned_at), "{:?} ran twice", claimed.planned_at);
                        at_work.push(claimed);
                    }
                    prop_assert!(at_work.len() <= 1, "{} at work", at_work.len());
                }
                Act::End(good) => {
                    for claimed in at_work.drain(..) {
                        let outcome = if good { Outcome::Succeeded } else { Outcome::Cancelled };
                        end(&store, &claimed, bare(outcome, None));
                    }
                }
                Act::Reopen => {
                    (dir, store) = reopened(dir, store);
                    let s = TaskFacts { scheduled: true, ..task("s", None) };
                    ok(store.configure(vec![s, task("then", None)], Millis(0)));
                }
            }
            let open = runs(&store).iter().filter(|(_, state, _)| *state == RunState::Open).count();
            prop_assert!(open <= 1);
        }
        drop(dir);
    }
}

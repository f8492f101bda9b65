//! What a period and the last runs of a task came to, from jobs that really went through the store.

use super::*;
use crate::model::RunId;
use crate::model::ledger::OutputRecord;
use crate::model::statistics::Statistics;
use rusqlite::Connection;

/// A job that took `ms` and succeeded at `at`, with rows and bytes.
fn succeed(store: &Store, task: &str, at: i64, ms: i64, rows: u64) -> JobId {
    let job = try_claim(store, task, 1, u32::MAX, at - ms).jobs.remove(0);
    let verdict = bare(Outcome::Succeeded, None);
    let mut d = Decision::new(job.job, Fence::Attempt(job.attempt), verdict, Millis(at));
    d.outputs = vec![OutputRecord { path: "/srv/out/x".into(), ino: 5, size: 2 * rows, mtime_ns: 1 }];
    (d.rows, d.bytes_in, d.rows_out) = (Some(rows), Some(10 * rows), Some(rows));
    ok(store.decide(vec![d]));
    job.job
}

fn fail(store: &Store, task: &str, at: i64, failure: Failure, kept: bool) -> JobId {
    let job = try_claim(store, task, 1, u32::MAX, at - 5).jobs.remove(0);
    let verdict =
        if kept { placing(job.job, Outcome::Failed, Some(failure)) } else { bare(Outcome::Failed, Some(failure)) };
    let d = Decision::new(job.job, Fence::Attempt(job.attempt), verdict, Millis(at));
    ok(store.decide(vec![d]));
    if kept {
        assert_eq!(ok(store.finish(vec![job.job], Millis(at))).over.len(), 1);
    }
    job.job
}

fn period(store: &Store, from: i64, to: i64) -> Statistics {
    store.queries().statistics(Millis(from), Millis(to)).unwrap()
}

#[test]
fn a_period_is_what_was_over_in_it() {
    let (_dir, store) = store();
    land(&store, "a", 1..5);
    land(&store, "b", 10..12);
    succeed(&store, "a", 1000, 100, 7);
    let slow = succeed(&store, "a", 2000, 900, 3);
    let mut bad = boom();
    (bad.file, bad.line, bad.column) = (Some("a-3.csv".into()), Some(14), Some(3));
    let lost = fail(&store, "a", 2500, bad, true);
    fail(&store, "b", 2999, Failure::permanent("boom", "row 8 is bad"), false);
    succeed(&store, "b", 3000, 10, 1);

    let s = period(&store, 2000, 3000);
    assert_eq!((s.totals.processed, s.totals.failed, s.totals.jobs(), s.period_ms()), (1, 2, 3, 1000));
    assert_eq!((s.totals.rows, s.totals.rows_out, s.totals.bytes_in, s.totals.bytes_out), (3, 3, 30 + 13 + 20, 6));
    let tasks: Vec<_> = s.tasks.iter().map(|t| (t.task.as_str(), t.totals.processed, t.totals.failed)).collect();
    assert_eq!(tasks, [("a", 1, 1), ("b", 0, 1)]);
    let types: Vec<_> = s.types.iter().map(|t| (t.name.as_str(), t.totals.jobs())).collect();
    assert_eq!(types, [("csv", 3)]);
    assert_eq!((s.slowest[0].job, s.slowest[0].duration_ms), (slow, 900));
    assert_eq!(s.totals.durations.max_ms, Some(900));
    assert_eq!(s.attempts, [3, 0, 0, 0, 0]);
    let newest: Vec<_> = s.failures.iter().map(|f| (f.job, f.at.0, f.line, f.code.as_str())).collect();
    assert_eq!(newest[1], (lost, 2500, Some(14), "boom"));
    assert_eq!((newest[0].1, newest.len()), (2999, 2));
    let causes: Vec<_> = s.causes.iter().map(|c| (c.task.as_str(), c.text.as_str(), c.jobs)).collect();
    assert_eq!(causes, [("a", "row # is bad", 1), ("b", "row # is bad", 1)]);
    assert_eq!((s.now.failed, s.now.succeeded), (2, 3));

    assert_eq!(period(&store, 0, 2000).totals.processed, 1, "the end is not included");
    assert_eq!(period(&store, 3001, 9000).totals.jobs(), 0);
    let all = period(&store, 0, 9000);
    assert_eq!((all.totals.processed, all.totals.durations.jobs), (3, 5));
}

#[test]
fn retries_and_types_are_told_apart() {
    let (_dir, store) = store();
    land(&store, "a", 1..2);
    let first = try_claim(&store, "a", 1, 9, 20).jobs.remove(0);
    end(&store, &first, Verdict::Retry { failure: Failure::transient("busy", "try again"), at: Millis(40) });
    ok(store.due(Millis(50)));
    succeed(&store, "a", 100, 10, 1);
    let s = period(&store, 0, 1000);
    assert_eq!((s.totals.retried, s.totals.attempts, s.attempts), (1, 2, [0, 1, 0, 0, 0]));
}

/// Writes rows as a schedule would.
fn plant(store: &Store, sql: &str) {
    Connection::open(store.path()).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn runs_that_did_not_happen_are_counted_by_reason() {
    let (_dir, store) = store();
    let run = |slot, state, planned, total| {
        format!(
            "INSERT INTO run(task, slot, trigger, state, reason, planned_at, total, open)
             VALUES ((SELECT id FROM task WHERE name = 'a'), '{slot}', 'schedule', {state}, 'not running', {planned}, {total}, 0);"
        )
    };
    let rows =
        [run("1", 7, 100, 0), run("2", 7, 200, 0), run("3", 6, 300, 0), run("4", 6, 300, 1), run("5", 7, 999, 0)];
    plant(&store, &rows.concat());
    let s = period(&store, 0, 900);
    let told: Vec<_> = s.not_run.iter().map(|n| (n.state.name(), n.runs, n.last.0, n.reason.as_str())).collect();
    assert_eq!(told, [("skipped", 1, 300, "not running"), ("missed", 2, 200, "not running")]);
}

#[test]
fn the_history_of_a_task_is_its_last_good_runs() {
    let (_dir, store) = store();
    land(&store, "a", 1..45);
    for n in 1..=40 {
        if n % 10 == 0 {
            fail(&store, "a", 1000 * n, boom(), false);
        } else {
            succeed(&store, "a", 1000 * n, 10 * n, u64::try_from(n).unwrap());
        }
    }
    let newest = store.queries().run_history("a", RunId(i64::MAX)).unwrap();
    assert_eq!(newest.len(), 30);
    assert_eq!((newest[0].rows, newest[0].bytes_in, newest[0].bytes_out), (Some(39), Some(390), Some(78)));
    assert_eq!(newest[0].duration_ms, Some(390));
    let run = store.queries().job(JobId(39), Millis(0)).unwrap().unwrap().job.run;
    let before = store.queries().run_history("a", run).unwrap();
    assert_eq!(before[0].rows, Some(38), "a run is not compared with itself");
    assert_eq!(store.queries().run_figures(run).unwrap(), Some(newest[0]));
    assert!(store.queries().run_history("b", RunId(i64::MAX)).unwrap().is_empty());
    assert_eq!(store.queries().success_before("a", run).unwrap(), Some(Millis(10)));
    assert_eq!(store.queries().success_before("b", run).unwrap(), None);
}

#[test]
fn the_lists_have_their_bounds() {
    let (_dir, store) = store();
    land(&store, "a", 1..40);
    for n in 1..=39 {
        let failure = Failure::permanent(&format!("code_{n}"), "broken");
        fail(&store, "a", 1000 + n, failure, n % 2 == 0);
    }
    let s = period(&store, 0, 9000);
    assert_eq!((s.failures.len(), s.slowest.len(), s.causes.len()), (20, 10, 20));
    assert_eq!((s.failures[0].at, s.failures[19].at), (Millis(1039), Millis(1020)), "the newest");
    assert_eq!(s.totals.failed, 39);
}

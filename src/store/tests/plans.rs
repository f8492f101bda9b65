//! What runs often, or on the writer's thread, finds its rows by an index and never sorts or looks through all jobs.

use super::*;
use crate::model::Filter;
use crate::store::{claim, land, prune, read_jobs, recover, select, slots, statistics, txn};

/// The steps of SQLite's plan for a statement.
fn plan(store: &Store, sql: &str) -> Vec<String> {
    store
        .queries()
        .with(|conn| {
            let mut stmt = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
            let n = stmt.parameter_count();
            for i in 1..=n {
                stmt.raw_bind_parameter(i, 1)?;
            }
            let mut rows = stmt.raw_query();
            let mut out = Vec::new();
            while let Some(row) = rows.next()? {
                out.push(row.get::<_, String>(3)?);
            }
            Ok(out)
        })
        .unwrap()
}

#[track_caller]
fn never_scans(store: &Store, what: &str, sql: &str, may_sort: bool) {
    let plan = plan(store, sql);
    // A `count` of a bounded subquery scans that subquery, and the task table has a few rows.
    let scans =
        plan.iter().any(|step| step.starts_with("SCAN ") && !step.starts_with("SCAN (subquery") && step != "SCAN t");
    let sorts = plan.iter().any(|step| step.contains("TEMP B-TREE"));
    assert!(!scans && (may_sort || !sorts), "{what}: {plan:#?}");
}

fn filter(text: &str) -> select::Condition {
    select::condition(&Filter::parse(text).unwrap(), Millis(0))
}

#[test]
fn nothing_on_the_writer_looks_through_all_jobs() {
    let (_dir, store) = store();
    for (what, sql) in [
        ("claim", claim::CANDIDATES),
        ("upstream", claim::UPSTREAM),
        ("next due", txn::NEXT_DUE),
        ("newest of a name", land::NEWEST),
        ("interrupted", recover::INTERRUPTED),
        ("placing", recover::PLACING),
        ("live files", recover::LIVE_FILES),
        ("a run at work", slots::AT_WORK),
        ("runs in turn", slots::IN_TURN),
        ("the next in turn", slots::FIRST_IN_TURN),
        ("prune", prune::OLDEST),
        ("prune failures", prune::PRUNABLE_FAILURES),
    ] {
        // The outputs of one job are in order already, those of a run are sorted by its jobs.
        never_scans(&store, what, sql, false);
    }
    // Due jobs are found by an index; their numbers are collected once, which is what IN does.
    never_scans(&store, "due", claim::PROMOTE.split(" RETURNING").next().unwrap(), false);
    never_scans(
        &store,
        "own output",
        "SELECT 1 FROM job_file f JOIN job j ON j.id = f.job WHERE f.path = ? AND f.root = x'' AND f.dir = 1 AND j.task = ?",
        false,
    );
    never_scans(
        &store,
        "second sight",
        "SELECT 1 FROM job_file f WHERE f.root = ? AND f.path = ? AND f.ino = ? AND f.live = 1 AND f.dir = 0",
        false,
    );
    never_scans(&store, "follower", "SELECT 1 FROM run WHERE upstream = ?1 AND task = ?2", false);
    never_scans(&store, "followers", "SELECT id FROM run WHERE upstream = ?1", false);
}

#[test]
fn a_page_is_read_in_the_order_of_an_index() {
    let (_dir, store) = store();
    for text in
        ["", "state:failed", "state:retry", "task:a", "task:a state:failed", "!task:a", "csv", "code:boom", "age>1h"]
    {
        let c = filter(text);
        never_scans(&store, text, &read_jobs::page_sql(&c), false);
        never_scans(&store, text, &read_jobs::changed_sql(&c), true);
    }
    let by_task = plan(&store, &read_jobs::page_sql(&filter("task:a")));
    assert!(by_task.iter().any(|s| s.contains("job_task (task=? AND rank=? AND id<?)")), "{by_task:#?}");
    let changed = plan(&store, &read_jobs::changed_sql(&filter("state:failed")));
    assert!(changed.iter().any(|s| s.contains("job_rev (rev>?)")), "{changed:#?}");
    never_scans(&store, "by path", read_jobs::BY_PATH, true);
}

#[test]
fn a_selection_of_a_state_or_a_task_is_counted_by_an_index() {
    let (_dir, store) = store();
    for text in ["state:failed", "state:retry", "task:a state:failed", "state:failed code:boom", "task:a"] {
        let c = filter(text);
        let count = format!("SELECT count(*) FROM job j WHERE {}", c.sql);
        never_scans(&store, text, &count, false);
        let page = format!("SELECT j.id FROM job j WHERE {} AND j.rev <= ? AND j.id > ? ORDER BY j.id LIMIT ?", c.sql);
        never_scans(&store, text, &page, text == "task:a");
    }
}

#[test]
fn statistics_look_at_the_jobs_of_their_period_alone() {
    let (_dir, store) = store();
    never_scans(&store, "what was over", &statistics::over_sql(), false);
    never_scans(&store, "what is kept in failed/", &statistics::kept_sql(), false);
    never_scans(&store, "the newest runs of a task", statistics::NEWEST_RUNS, false);
    never_scans(&store, "the sums of a run", statistics::RUN_SUMS, false);
}

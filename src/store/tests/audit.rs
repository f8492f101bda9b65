//! Looks through the whole database for anything that contradicts anything else.

use super::*;
use rusqlite::Connection;

/// What must be empty, and what it means when it is not.
const WRONG: &[(&str, &str)] = &[
    (
        "a kept count differs from the jobs",
        "SELECT t.id, s.slot FROM task t, (SELECT 0 AS slot UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3
           UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8) s
         WHERE coalesce((SELECT n FROM count c WHERE c.task = t.id AND c.slot = s.slot), 0) <>
           (SELECT count(*) FROM job j WHERE j.task = t.id AND
             CASE s.slot WHEN 8 THEN j.state = 0 AND j.spent > 0 ELSE j.state = s.slot END)",
    ),
    (
        "a rank does not fit its state",
        "SELECT id, state FROM job WHERE rank <> CASE state WHEN 5 THEN 0 WHEN 2 THEN 1 WHEN 3 THEN 1 WHEN 0 THEN 2 WHEN 1 THEN 3 ELSE 4 END",
    ),
    ("a job is newer than the revision", "SELECT id, rev FROM job WHERE rev > (SELECT value FROM meta WHERE key = 'rev')"),
    (
        "the open jobs of a run are miscounted",
        "SELECT id, open FROM run r WHERE open <> (SELECT count(*) FROM job WHERE run = r.id AND state < 4)",
    ),
    (
        "a run is open without an open job, or settled with one",
        "SELECT id, open FROM run WHERE (open > 0) <> (state = 2) OR (open > 0) <> (settled_at IS NULL)",
    ),
    (
        "the open failures of a cause are miscounted",
        "SELECT id, open FROM cause c WHERE open <>
           (SELECT count(*) FROM job WHERE cause = c.id AND (state = 5 OR (state = 3 AND outcome = 5)))",
    ),
    (
        "a job has a cause without having failed",
        "SELECT id, cause FROM job WHERE cause IS NOT NULL AND NOT (state = 5 OR (state = 3 AND outcome = 5))",
    ),
    ("a move belongs to a job that is not placing", "SELECT m.job, m.seq FROM move m JOIN job j ON j.id = m.job WHERE j.state <> 3"),
    ("a placing job has no move", "SELECT id, outcome FROM job WHERE state = 3 AND NOT EXISTS (SELECT 1 FROM move WHERE job = id)"),
    (
        "an input is live without a live job, or the other way round",
        "SELECT j.id, j.state FROM job j JOIN job_file f ON f.job = j.id AND f.dir = 0 AND f.ord = 0 WHERE (f.live = 1) <> (j.state < 3)",
    ),
    ("only an input is live", "SELECT job, dir FROM job_file WHERE live = 1 AND (dir <> 0 OR ord <> 0)"),
    (
        "attempts have a gap",
        "SELECT id, attempt FROM job j WHERE attempt <> (SELECT count(*) FROM attempt WHERE job = j.id)
           OR attempt <> (SELECT coalesce(max(n), 0) FROM attempt WHERE job = j.id)",
    ),
    (
        "an attempt has not ended while its job does not run",
        "SELECT a.job, a.n FROM attempt a JOIN job j ON j.id = a.job WHERE a.ended_at IS NULL AND (j.state <> 2 OR a.n <> j.attempt)",
    ),
    ("more was spent than was tried", "SELECT id, spent FROM job WHERE spent > attempt OR spent < 0"),
    ("only a waiting job has a time", "SELECT id, state FROM job WHERE (not_before IS NOT NULL) <> (state = 0)"),
    ("only a job that is over has an end", "SELECT id, state FROM job WHERE (finished_at IS NOT NULL) <> (state > 3)"),
    (
        "a failed job does not know whether it keeps a file",
        "SELECT id, state FROM job j WHERE keeps_file <> ((state = 5 OR (state = 3 AND outcome = 5))
           AND EXISTS (SELECT 1 FROM job_file WHERE job = j.id AND dir = 3))",
    ),
    (
        "a job that is decided, or was never tried, may go on somewhere",
        "SELECT c.job, j.state FROM checkpoint c LEFT JOIN job j ON j.id = c.job WHERE j.id IS NULL OR j.state > 2 OR c.attempt > j.attempt",
    ),
    (
        "something belongs to no job",
        "SELECT job, n FROM attempt WHERE job NOT IN (SELECT id FROM job) UNION ALL SELECT job, dir FROM job_file WHERE job NOT IN (SELECT id FROM job)
         UNION ALL SELECT job, seq FROM move WHERE job NOT IN (SELECT id FROM job) UNION ALL SELECT id, run FROM job WHERE run NOT IN (SELECT id FROM run)
         UNION ALL SELECT job, action FROM action_job WHERE job NOT IN (SELECT id FROM job)",
    ),
];

/// The same for a database that nothing was pruned from: a run still has all its jobs.
const WRONG_UNPRUNED: (&str, &str) = (
    "the counters of a run differ from its jobs",
    "SELECT id, total FROM run r WHERE total <> (SELECT count(*) FROM job WHERE run = r.id)
       OR ok <> (SELECT count(*) FROM job WHERE run = r.id AND state = 4)
       OR failed <> (SELECT count(*) FROM job WHERE run = r.id AND state = 5)
       OR skipped <> (SELECT count(*) FROM job WHERE run = r.id AND state = 6)",
);

fn first(conn: &Connection, sql: &str) -> rusqlite::Result<Option<(i64, i64)>> {
    conn.prepare(sql)?.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.next().transpose()
}

/// Panics with what is wrong, if anything is.
#[track_caller]
pub fn audit_pruned(store: &Store) {
    for (what, sql) in WRONG {
        let found = store.queries().with(|conn| first(conn, sql)).unwrap();
        assert_eq!(found, None, "{what}");
    }
}

/// The same, for a database that nothing was pruned from.
#[track_caller]
pub fn audit(store: &Store) {
    audit_pruned(store);
    let found = store.queries().with(|conn| first(conn, WRONG_UNPRUNED.1)).unwrap();
    assert_eq!(found, None, "{}", WRONG_UNPRUNED.0);
}

/// One number of the database.
pub fn number(store: &Store, sql: &str) -> i64 {
    store.queries().with(|conn| conn.query_row(sql, [], |r| r.get(0))).unwrap()
}

#[test]
fn an_audit_finds_what_is_wrong() {
    let (dir, store) = store();
    land(&store, "a", 0..2);
    audit(&store);
    let conn = Connection::open(dir.path().join("store.db")).unwrap();
    for wrong in [
        "UPDATE job SET state = 5, rank = 0",
        "UPDATE run SET open = 2",
        "UPDATE job SET attempt = 1",
        "INSERT INTO checkpoint(job, attempt, config_hash, files, state, at) VALUES (1, 1, '', '[]', x'', 0)",
    ] {
        conn.execute_batch(&format!("SAVEPOINT s; {wrong}")).unwrap();
        let found = WRONG.iter().any(|(_, sql)| first(&conn, sql).unwrap().is_some());
        conn.execute_batch("ROLLBACK TO s; RELEASE s").unwrap();
        assert!(found, "{wrong}");
    }
}

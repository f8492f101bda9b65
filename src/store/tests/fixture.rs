//! A database of every schema, kept as a file: every later version opens it, brings it forward and reads what is in it.
//!
//! The first run after a step was added to the schema makes `tests/fixtures/store-vN.db` and says so; the file belongs
//! into the same commit. It is never made anew once a version with that schema is released.

use super::audit::{audit, number};
use super::*;
use crate::model::Detail;
use crate::model::job::KeptFile;
use crate::model::ledger::{Checkpoint, OutputRecord};
use crate::store::schema::SCHEMA;

fn file(schema: i64) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/store-v{schema}.db"))
}

/// A copy of the file of a schema, to be opened.
fn copy(schema: i64) -> (TempDir, PathBuf) {
    let dir = folder();
    let path = dir.path().join("store.db");
    std::fs::copy(file(schema), &path).unwrap();
    (dir, path)
}

fn checkpoint() -> Checkpoint {
    let file = KeptFile {
        temp: "/srv/out/.sb-7-1-0.part".into(),
        target: "/srv/out/7.csv".into(),
        on_exists: crate::model::OnExists::Replace,
    };
    let facts = Some(Facts { ino: 7, size: 70, mtime_ns: 700, ..Facts::default() });
    Checkpoint { config_hash: "b3a1".into(), facts, files: vec![file], state: b"row 12".to_vec() }
}

fn rejects() -> Vec<Detail> {
    let reject = Detail { message: "not a whole number: \"12x\"".into(), line: Some(7), ..Detail::default() };
    vec![Detail { byte: Some(120), column: Some(3), raw: Some("7,a,12x".into()), ..reject }]
}

/// Jobs in every state, a run with a follower, a cause, an action, a selection, a pause, rejected records.
fn fill(store: &Store) {
    ok(store.configure(vec![task("a", None), task("then", Some((&["a"], AfterOn::AllOk)))], Millis(0)));
    ok(store.recover("host-a".into(), "boot-1".into(), Millis(5)));
    land(store, "a", 1..10);
    let jobs = try_claim(store, "a", 7, 7, 20).jobs;
    let success = |c: &Claimed| {
        let mut d = Decision::new(c.job, Fence::Attempt(1), placing(c.job, Outcome::Succeeded, None), Millis(30));
        d.outputs =
            vec![OutputRecord { path: format!("/srv/out/{}.json", c.job).into(), ino: 50, size: 12, mtime_ns: 7 }];
        (d.rows, d.bytes_in) = (Some(3), Some(11));
        (d.rows_out, d.rejected, d.rejects) = (Some(2), 1, rejects());
        ok(store.decide(vec![d]));
    };
    success(&jobs[0]);
    finish(store, jobs[0].job);
    success(&jobs[1]);
    end(store, &jobs[2], placing(jobs[2].job, Outcome::Failed, Some(boom())));
    finish(store, jobs[2].job);
    end(store, &jobs[3], Verdict::Retry { failure: Failure::transient("busy", "try again"), at: Millis(90_000) });
    let cancel = action(store, "cancel");
    ok(store.mark_cancel(cancel, vec![jobs[4].job]));
    end(store, &jobs[4], placing(jobs[4].job, Outcome::Cancelled, None));
    finish(store, jobs[4].job);
    let skip = ok(store.record("skip", operator(Some("not needed")), None, Vec::new()));
    let job = JobId(8);
    let mut d = Decision::new(job, Fence::Rev(facts(store, job).rev), placing(job, Outcome::Skipped, None), Millis(50));
    d.action = Some(skip);
    ok(store.decide(vec![d]));
    finish(store, job);
    ok(store.put_back(vec![(jobs[5].job, 1)]));
    assert!(ok(store.checkpoint(jobs[6].job, 1, checkpoint(), Millis(55))));
    ok(store.select(operator(None), crate::model::Filter::parse("state:failed task:a").unwrap()));
    ok(store.set_paused("then".into(), operator(None), true));
}

/// The definition of everything in a database.
fn definition(store: &Store) -> Vec<(String, String)> {
    let all = store.queries().with(|conn| {
        let mut stmt = conn.prepare("SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY name")?;
        stmt.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect()
    });
    all.unwrap()
}

#[test]
fn there_is_a_database_of_this_schema() {
    let dir = folder();
    let path = dir.path().join("store.db");
    let store = Store::open(&path).unwrap();
    fill(&store);
    audit(&store);
    store.close();
    drop(store);
    if !file(SCHEMA).exists() {
        std::fs::create_dir_all(file(SCHEMA).parent().unwrap()).unwrap();
        std::fs::copy(&path, file(SCHEMA)).unwrap();
        panic!(
            "there was no database of schema {SCHEMA}: it has been made, commit it with the step: {:?}",
            file(SCHEMA)
        );
    }
    let (_dir, kept) = copy(SCHEMA);
    let version: i64 = rusqlite::Connection::open(&kept)
        .unwrap()
        .query_row("SELECT user_version FROM pragma_user_version", [], |r| r.get(0))
        .unwrap();
    assert_eq!(version, SCHEMA, "it is a database of this schema, not one that would be brought forward");
    assert_eq!(definition(&Store::open(&kept).unwrap()), definition(&Store::open(&path).unwrap()), "a step was edited");
}

#[test]
fn a_database_of_every_schema_is_opened_and_read() {
    for schema in 1..=SCHEMA {
        read(schema);
    }
}

fn read(schema: i64) {
    let (_dir, path) = copy(schema);
    let store = Store::open(&path).unwrap();
    audit(&store);
    assert_eq!(number(&store, "SELECT user_version FROM pragma_user_version"), SCHEMA);
    let overview = store.queries().overview().unwrap();
    let counts: Vec<u64> = JobState::ALL.iter().map(|s| overview.counts.get(*s)).collect();
    assert_eq!(counts, [1, 3, 1, 1, 1, 1, 1, 1], "one of each; three are queued");
    assert_eq!((overview.counts.retry, overview.tasks[1].paused), (1, Some((1000, Millis(50)))));

    let failed = store.queries().job(JobId(3), Millis(100)).unwrap().unwrap();
    assert_eq!((failed.job.state, failed.job.error.unwrap()), (JobState::Failed, boom()));
    assert_eq!((failed.cause.unwrap().open, failed.attempts[0].node.as_str()), (1, "host-a"));
    let skipped = store.queries().job(JobId(8), Millis(100)).unwrap().unwrap();
    assert_eq!(skipped.actions[0].reason.as_deref(), Some("not needed"));
    let detail = store.queries().job(JobId(1), Millis(100)).unwrap().unwrap();
    let succeeded = detail.job;
    assert_eq!((succeeded.outputs, succeeded.rows), (vec!["/srv/out/1.json".to_owned()], Some(3)));
    let told = if schema < 2 { (None, 0, Vec::new()) } else { (Some(2), 1, rejects()) };
    assert_eq!((succeeded.rows_out, succeeded.rejected, detail.rejects), told, "schema {schema}");

    ok(store.configure(vec![task("a", None), task("then", Some((&["a"], AfterOn::AllOk)))], Millis(0)));
    let left = ok(store.recover("host-a".into(), "boot-2".into(), Millis(100)));
    assert_eq!((left.queued, left.running[0].claimed.job, left.placing[0].job), (4, JobId(7), JobId(2)));
    let noted = (schema >= 2).then(checkpoint);
    assert_eq!(store.queries().checkpoint(JobId(7)).unwrap(), noted, "schema {schema}");
    assert_eq!(left.running[0].kept, noted.map(|c| c.files).unwrap_or_default());
    assert_eq!(left.placing[0].moves[0].dst, Path::new("/srv/processed/2.csv"));
    assert_eq!(finish(&store, JobId(2)), Some(JobState::Succeeded));
    assert_eq!(ok(store.selected(crate::model::SelectionId(1), JobId(0), 9)).len(), 1);
    assert!(retry(&store, JobId(3)));
    ok(store.put_back(vec![(JobId(7), 1)]));
    let claimed = try_claim(&store, "a", 9, 9, 200).jobs;
    assert_eq!(claimed.iter().map(|c| (c.job.0, c.attempt)).collect::<Vec<_>>(), [(3, 2), (6, 2), (7, 2), (9, 1)]);
    assert_eq!(claim(&store, "then").upstream, [PathBuf::from("/srv/out/1.json")]);
    audit(&store);
}

#[test]
fn a_database_that_was_brought_forward_is_like_a_new_one() {
    let (_new_dir, new) = store();
    for schema in 1..=SCHEMA {
        let (_dir, path) = copy(schema);
        let brought = definition(&Store::open(&path).unwrap());
        assert_eq!(brought, definition(&new), "schema {schema}: a released step was edited");
    }
}

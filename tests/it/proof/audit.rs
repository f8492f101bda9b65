//! The audit: what is on the disk and what the database says, held against each other and against what was handed in.

use super::{Hash, World, files_below, hash, is_temp, record_of};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

const OUT: i64 = 1;
const PROCESSED: i64 = 2;
const FAILED: i64 = 3;
const RECORD: i64 = 4;

/// A path that the database names.
struct Row {
    job: i64,
    dir: i64,
    state: i64,
    path: PathBuf,
    ino: u64,
    size: u64,
}

fn rows(db: &Connection) -> Vec<Row> {
    let sql = "SELECT f.job, f.dir, j.state, f.path, f.ino, f.size FROM job_file f JOIN job j ON j.id = f.job WHERE f.dir > 0";
    let mut select = db.prepare(sql).unwrap();
    let rows = select.query_map([], |r| {
        Ok(Row {
            job: r.get(0)?,
            dir: r.get(1)?,
            state: r.get(2)?,
            path: PathBuf::from(OsString::from_vec(r.get(3)?)),
            ino: r.get::<_, i64>(4)?.cast_unsigned(),
            size: r.get::<_, i64>(5)?.cast_unsigned(),
        })
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

/// What is visible: outputs, originals that were placed, records. Temporary names are not.
struct Visible {
    outputs: BTreeSet<PathBuf>,
    processed: BTreeSet<PathBuf>,
    failed: BTreeSet<PathBuf>,
    records: BTreeSet<PathBuf>,
    temps: Vec<PathBuf>,
    waiting: Vec<PathBuf>,
}

fn visible(world: &World) -> Visible {
    let whole = |dir: PathBuf| files_below(&dir).into_iter().filter(|p| !is_temp(p));
    let is_record = |p: &PathBuf| p.as_os_str().as_encoded_bytes().ends_with(b".error.json");
    let failed: Vec<PathBuf> = whole(world.outcome("failed")).collect();
    let mut temps = files_below(world.root());
    temps.extend(world.away.iter().flat_map(|away| files_below(away.path())));
    temps.retain(|p| is_temp(p));
    let ours = |p: &PathBuf, root: &Path| {
        let below = p.strip_prefix(root.join(".shiftboss"));
        below.is_err() || below.is_ok_and(|b| b.starts_with("work"))
    };
    Visible {
        outputs: whole(world.path("out")).collect(),
        processed: whole(world.outcome("processed")).collect(),
        records: failed.iter().filter(|p| is_record(p)).cloned().collect(),
        failed: failed.into_iter().filter(|p| !is_record(p)).collect(),
        temps,
        waiting: world.roots.iter().flat_map(|root| whole(root.clone()).filter(|p| ours(p, root))).collect(),
    }
}

fn contents<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> BTreeMap<Hash, Vec<&'a Path>> {
    let mut found: BTreeMap<Hash, Vec<&Path>> = BTreeMap::new();
    for path in paths {
        let content = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        found.entry(hash(&content)).or_default().push(path);
    }
    found
}

/// Every content that was handed in is somewhere.
pub fn nothing_is_lost(world: &World, what: &str) {
    let seen = visible(world);
    let places = contents(seen.waiting.iter().chain(&seen.processed).chain(&seen.failed));
    for (content, count) in &world.sent {
        let found = places.get(content).map_or(0, Vec::len);
        assert!(found >= *count, "{what}: a file is lost: {found} of {count} are left");
    }
}

/// What must hold at any instant, however the program died: nothing is lost, and nothing is visible that was not
/// decided before.
pub fn after_death(world: &World, what: &str) {
    nothing_is_lost(world, what);
    let seen = visible(world);
    if !world.path("data/shiftboss.db").exists() {
        return;
    }
    let db = world.db();
    let named = rows(&db).into_iter().filter(|r| r.state >= 3 || r.dir != OUT).map(|r| r.path);
    let mut moves = db.prepare("SELECT src FROM move").unwrap();
    let from = moves.query_map([], |r| Ok(PathBuf::from(OsString::from_vec(r.get(0)?)))).unwrap();
    let decided: BTreeSet<PathBuf> = named.chain(from.map(Result::unwrap)).collect();
    for path in seen.outputs.iter().chain(&seen.processed).chain(&seen.failed).chain(&seen.records) {
        assert!(decided.contains(path), "{what}: visible before it was decided: {}", path.display());
    }
}

/// What a start must have cleared up.
pub fn no_temporary_names(world: &World, what: &str) {
    let temps = visible(world).temps;
    assert!(temps.is_empty(), "{what}: temporary names are left: {temps:?}");
}

/// What must hold when nothing is left to do.
pub fn at_rest(world: &World, what: &str) {
    let seen = visible(world);
    no_temporary_names(world, what);
    for root in &world.roots {
        let work = root.join(".shiftboss/work");
        let left: Vec<_> = std::fs::read_dir(&work).into_iter().flatten().map(|e| e.unwrap().path()).collect();
        let held = |p: &PathBuf| world.number(&held_by(p)) > 0;
        let left: Vec<_> = left.iter().filter(|p| !held(p)).collect();
        assert!(left.is_empty(), "{what}: the work folder is not empty: {left:?}");
    }
    every_content_once(world, &seen, what);
    let db = world.db();
    database(&db, what);
    paths(&db, &seen, what);
    sidecars(&db, what);
}

/// Whether a job that waits has its file in this work folder.
fn held_by(folder: &Path) -> String {
    let id: i64 = folder.file_name().and_then(|n| n.to_str()).and_then(|n| n.parse().ok()).unwrap_or(-1);
    format!("SELECT count(*) FROM job WHERE id = {id} AND state IN (0, 1)")
}

fn every_content_once(world: &World, seen: &Visible, what: &str) {
    let places = contents(seen.waiting.iter().chain(&seen.processed).chain(&seen.failed));
    for (content, count) in &world.sent {
        let found = places.get(content).map_or(&[][..], Vec::as_slice);
        assert_eq!(found.len(), *count, "{what}: a file is in the wrong number of places: {found:?}");
    }
    for (content, found) in &places {
        assert!(world.sent.contains_key(content), "{what}: nobody sent this: {found:?}");
    }
}

fn none(db: &Connection, what: &str, wrong: &str, sql: &str) {
    let mut select = db.prepare(sql).unwrap();
    let width = select.column_count();
    let rows = select.query_map([], |r| (0..width).map(|i| r.get::<_, rusqlite::types::Value>(i)).collect());
    let rows: Vec<Vec<rusqlite::types::Value>> = rows.unwrap().collect::<Result<_, _>>().unwrap();
    assert!(rows.is_empty(), "{what}: {wrong}: {rows:?}");
}

fn database(db: &Connection, what: &str) {
    let verdict: String = db.query_row("PRAGMA integrity_check", [], |r| r.get(0)).unwrap();
    assert_eq!(verdict, "ok", "{what}");
    let check = |wrong: &str, sql: &str| none(db, what, wrong, sql);
    check("a job is at work", "SELECT id, state FROM job WHERE state IN (2, 3)");
    check("a move is left", "SELECT job, seq FROM move");
    check(
        "a job that is over could go on",
        "SELECT c.job FROM checkpoint c LEFT JOIN job j ON j.id = c.job WHERE coalesce(j.state, 9) > 1",
    );
    check("an attempt has no end", "SELECT job, n FROM attempt WHERE ended_at IS NULL OR outcome IS NULL");
    check(
        "attempts are not numbered from one on",
        "SELECT id, attempt FROM job j WHERE attempt <> (SELECT count(*) FROM attempt a WHERE a.job = j.id)
         OR attempt <> (SELECT coalesce(max(n), 0) FROM attempt a WHERE a.job = j.id)",
    );
    check(
        "the budget differs from the attempts charged",
        "SELECT id, spent FROM job j WHERE spent <> (SELECT count(*) FROM attempt a WHERE a.job = j.id AND a.charged = 1)
         AND NOT EXISTS (SELECT 1 FROM action_job x JOIN action a ON a.id = x.action WHERE x.job = j.id AND a.kind = 'retry')",
    );
    check("more was spent than allowed", "SELECT id, spent, max_spent FROM job WHERE spent > max_spent");
    check(
        "a file has the wrong liveness",
        "SELECT f.job, j.state, f.live FROM job_file f JOIN job j ON j.id = f.job
         WHERE f.dir = 0 AND f.ord = 0 AND f.live <> (j.state IN (0, 1))",
    );
    check(
        "a count differs from the rows",
        "SELECT task, slot, n, (SELECT count(*) FROM job j WHERE j.task = c.task AND
             CASE c.slot WHEN 8 THEN j.state = 0 AND j.spent > 0 ELSE j.state = c.slot END) AS real
         FROM count c WHERE n <> real",
    );
    check(
        "a state has no count",
        "SELECT task, state FROM job j WHERE NOT EXISTS (SELECT 1 FROM count c WHERE c.task = j.task AND c.slot = j.state)",
    );
    // A plan that did its work is none of the jobs that its run is about.
    check(
        "a run's numbers differ from its jobs",
        "SELECT r.id, r.total, r.open, r.ok, r.failed, r.skipped FROM run r WHERE
            r.total <> (SELECT count(*) FROM job j WHERE j.run = r.id AND NOT (j.kind = 1 AND j.state = 4))
         OR r.open <> (SELECT count(*) FROM job j WHERE j.run = r.id AND j.state < 4)
         OR r.ok <> (SELECT count(*) FROM job j WHERE j.run = r.id AND j.state = 4 AND j.kind <> 1)
         OR r.failed <> (SELECT count(*) FROM job j WHERE j.run = r.id AND j.state = 5)
         OR r.skipped <> (SELECT count(*) FROM job j WHERE j.run = r.id AND j.state = 6)",
    );
    check(
        "a cause's open count differs from its jobs",
        "SELECT c.id, c.open FROM cause c WHERE c.open <> (SELECT count(*) FROM job j WHERE j.cause = c.id AND j.state = 5)",
    );
    check(
        "a failed job has no reason",
        "SELECT j.id FROM job j LEFT JOIN attempt a ON a.job = j.id AND a.n = j.attempt
         WHERE j.state = 5 AND (a.error IS NULL OR a.code IS NULL OR j.cause IS NULL)",
    );
}

/// The disk and the database name the same files, each once.
fn paths(db: &Connection, seen: &Visible, what: &str) {
    let rows = rows(db);
    let named = |dir: i64| {
        let mut set = BTreeSet::new();
        for row in rows.iter().filter(|r| r.dir == dir) {
            assert!(set.insert(row.path.clone()), "{what}: two jobs name {}", row.path.display());
        }
        set
    };
    assert_eq!(named(OUT), seen.outputs, "{what}: outputs");
    assert_eq!(named(PROCESSED), seen.processed, "{what}: originals that succeeded");
    assert_eq!(named(FAILED), seen.failed, "{what}: originals that did not");
    assert_eq!(named(RECORD), seen.records, "{what}: records");
    let beside: BTreeSet<PathBuf> = seen.failed.iter().map(|p| record_of(p)).collect();
    assert_eq!(beside, seen.records, "{what}: each record lies beside its file");
    for row in rows.iter().filter(|r| r.dir == OUT) {
        use std::os::unix::fs::MetadataExt;
        let facts = std::fs::metadata(&row.path).unwrap();
        assert_eq!((facts.ino(), facts.size()), (row.ino, row.size), "{what}: {}", row.path.display());
        assert_eq!(row.state, 4, "{what}: an output of job {} that did not succeed", row.job);
    }
    for record in &seen.records {
        let text = std::fs::read_to_string(record).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let has_reason = value["code"].is_string() && value["reason"].is_string();
        let by_operator = matches!(value["outcome"].as_str(), Some("skipped" | "cancelled"));
        assert!(has_reason || by_operator, "{what}: a record without a reason: {text}");
    }
}

/// Every success of `extract` has one sidecar, which is about its original; a table has its normalised copy.
fn sidecars(db: &Connection, what: &str) {
    let sql =
        "SELECT j.id, (SELECT path FROM job_file WHERE job = j.id AND dir = 2) FROM job j JOIN task t ON t.id = j.task
               WHERE j.state = 4 AND t.action = 'extract'";
    let mut select = db.prepare(sql).unwrap();
    let jobs = select.query_map([], |r| Ok((r.get::<_, i64>(0)?, r.get::<_, Vec<u8>>(1)?))).unwrap();
    let rows = rows(db);
    for (job, original) in jobs.map(Result::unwrap) {
        let original = PathBuf::from(OsString::from_vec(original));
        let outputs: Vec<&PathBuf> = rows.iter().filter(|r| r.job == job && r.dir == OUT).map(|r| &r.path).collect();
        let sidecar: serde_json::Value = serde_json::from_slice(&std::fs::read(outputs[0]).unwrap()).unwrap();
        let content = blake3::hash(&std::fs::read(&original).unwrap()).to_hex();
        assert_eq!(sidecar["blake3"], content.as_str(), "{what}: the sidecar of {}", original.display());
        let copy = sidecar["normalised"].as_str().map(PathBuf::from);
        let others: Vec<PathBuf> = outputs[1..].iter().map(|p| (*p).clone()).collect();
        if sidecar["type"] == "csv" {
            assert!(copy.is_some(), "{what}: a table without its copy");
        }
        let utf8: Vec<PathBuf> = copy.into_iter().collect();
        if others.iter().all(|p| p.to_str().is_some()) {
            assert_eq!(others, utf8, "{what}: the normalised copy of {}", original.display());
        } else {
            assert_eq!(others.len(), utf8.len(), "{what}: the normalised copy of {}", original.display());
        }
    }
}

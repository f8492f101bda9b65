//! Every crash point of the protocol, in every kind of work that comes by it: the program dies there by SIGKILL, dies
//! again in its recovery, and then runs to its end. Nothing may be lost, done twice or left half done.
//!
//! Each scenario says which points it comes by; a point that it does not reach fails the test, and so does a point that
//! no scenario reaches.

use super::proof::{World, audit, hash, record_of, until};
use shiftboss::model::crash::POINTS;
use std::collections::BTreeSet;
use std::os::unix::ffi::OsStringExt;

/// What a start goes through, and dies at, in this order.
const RECOVERY: [&str; 6] =
    ["recover.begin", "recover.placed", "recover.prepared", "recover.decided", "recover.interrupted", "recover.swept"];

/// Points of every start.
const START: &[&str] =
    &["recover.begin", "recover.placed", "recover.interrupted", "recover.swept", "store.before_commit:1"];
/// Points of a file that lands.
const LANDS: &[&str] = &["s1.before_land", "s1.after_land", "store.before_commit:2", "store.before_commit:3"];
/// Points of a file that is claimed and worked on.
const WORKS: &[&str] = &[
    "s2.before_claim",
    "s2.after_claim",
    "s3.before_move",
    "s3.after_move",
    "s4.before_work",
    "s4.after_work",
    "store.before_commit:4",
];
/// Points of a decision by an attempt.
const DECIDES: &[&str] = &["s5.before_sync", "s5.after_sync", "s6.before_decide", "s6.after_decide"];
/// Points of a decision that moves files.
const PLACES: &[&str] = &[
    "s7.before_move",
    "s7.after_move",
    "s7.after_move:2",
    "s8.before_sync",
    "s8.after_sync",
    "s8.sources_removed",
    "s9.before_finish",
    "s9.after_finish",
];
/// Points of a copy into WORK.
const COPIES: &[&str] = &["s3.copying", "s3.copied"];
/// Points of an action by an operator that sets a job aside.
const ASIDE: &[&str] = &["op.recorded", "op.noted", "s5.record_written", "op.before_aside", "op.after_aside"];

/// One kind of work.
struct Scenario {
    name: &'static str,
    /// A world up to the moment before the command that dies.
    world: fn() -> World,
    /// The command that dies.
    armed: &'static str,
    /// The points it comes by.
    points: &'static [&'static [&'static str]],
    /// What the operator says again after the crash, if there is one: nobody knows whether it was done.
    again: Option<&'static str>,
    /// What must have become of it. Gets what the crash left.
    expect: fn(&World, &Left),
}

/// What a crash left, as the database tells.
struct Left {
    what: String,
    /// A job at work had taken its file: it was interrupted. One that had not is put back as if nothing had been.
    begun: bool,
    cancelled: bool,
}

/// Whether a job was at work and had come as far as its file.
fn has_begun(world: &World) -> bool {
    let db = world.path("data/shiftboss.db");
    let files = || {
        let db = world.db();
        let sql = "SELECT j.id, f.name, j.cancel_action IS NOT NULL FROM job j JOIN job_file f ON f.job = j.id
                   WHERE j.state = 2 AND f.dir = 0 AND f.ord = 0";
        let mut select = db.prepare(sql).unwrap();
        let rows = select.query_map([], |r| Ok((r.get::<_, i64>(0)?, r.get::<_, Vec<u8>>(1)?, r.get::<_, bool>(2)?)));
        rows.unwrap().collect::<Result<Vec<_>, _>>().unwrap()
    };
    let is_in_work = |(job, name, cancelled): (i64, Vec<u8>, bool)| {
        let work = world.path("inbox/.shiftboss/work").join(job.to_string());
        cancelled || work.join(std::ffi::OsString::from_vec(name)).exists()
    };
    db.exists() && has_schema(world) && files().into_iter().any(is_in_work)
}

/// The first commit of all makes the tables.
fn has_schema(world: &World) -> bool {
    world.number("SELECT count(*) FROM sqlite_schema WHERE name = 'job_file'") > 0
}

impl Scenario {
    fn prove(&self) {
        let points: Vec<&str> = self.points.iter().flat_map(|p| p.iter().copied()).collect();
        for (i, point) in points.iter().enumerate() {
            self.die_and_recover(point, &RECOVERY);
            self.die_and_recover(point, &RECOVERY[i % RECOVERY.len()..][..1]);
        }
    }

    /// Dies at the point, then once at each of these points of the recovery, then runs to the end.
    fn die_and_recover(&self, point: &str, recovery: &[&str]) {
        let what = format!("{}, killed at {point}, then at {recovery:?}", self.name);
        let world = (self.world)();
        audit::after_death(&world, &what);
        let died = world.armed(point, self.armed);
        assert!(died.is_killed(), "{what}: it did not die there: {died:#?}");
        audit::after_death(&world, &what);
        let left = Left {
            begun: has_begun(&world),
            cancelled: world.number("SELECT count(*) FROM job WHERE cancel_action IS NOT NULL") > 0,
            what: what.clone(),
        };
        for again in recovery {
            let needs_running = matches!(*again, "recover.prepared" | "recover.decided");
            if needs_running && !has_begun(&world) {
                continue;
            }
            let died = world.armed(again, "run --until-idle");
            assert!(died.is_killed(), "{what}: it did not die in its recovery at {again}: {died:#?}");
            audit::after_death(&world, &what);
        }
        world.settle();
        audit::no_temporary_names(&world, &what);
        if let Some(line) = self.again {
            // Refused where it was done before it died.
            world.line(line);
            world.settle();
        }
        audit::at_rest(&world, &what);
        (self.expect)(&world, &left);
    }
}

const TEXT: &[u8] = b"three small words\n";
const TABLE: &[u8] = b"id,value\n1,10\n2,20\n";
const BAD_TABLE: &[u8] = b"id,value\n1\n";
const MENDED: &[u8] = b"id,value\n1,99\n";

const EXTRACT: &str = r#"
[tasks.docs]
watch = { dir = "inbox", match = ["*.txt", "*.csv"], settle = "20ms" }
extract = { output = "out/{name}.json" }
"#;
const BY_COPY: &str = r#"
[tasks.docs]
watch = { dir = "inbox", match = ["*.txt", "*.csv"], settle = "20ms", claim = "copy" }
extract = { output = "out/{name}.json" }
"#;
const COMMAND: &str = r#"
[tasks.copy]
watch = { dir = "inbox", match = ["*.txt"], settle = "20ms" }
command = { program = "cp", args = ["{input}", "{output}"], output = "out/{name}.copy", idempotent = true }
"#;
const COMMAND_ONCE: &str = r#"
[tasks.copy]
watch = { dir = "inbox", match = ["*.txt"], settle = "20ms" }
command = { program = "cp", args = ["{input}", "{output}"], output = "out/{name}.copy" }
"#;
const FAILS_TWICE: &str = r#"
[tasks.weak]
watch = { dir = "inbox", match = ["*.txt"], settle = "20ms" }
command = { program = "false", output = "out/{name}", idempotent = true }
retry = { attempts = 2, backoff = "1ms" }
"#;
const FAILS_FOR_LONG: &str = r#"
[tasks.weak]
watch = { dir = "inbox", match = ["*.txt"], settle = "20ms" }
command = { program = "sh", args = ["-c", "test -e mended"], idempotent = true }
retry = { attempts = 3, backoff = "2h", max = "2h", jitter = false }
"#;
const SLOW: &str = r#"
[tasks.slow]
watch = { dir = "inbox", match = ["*.txt"], settle = "20ms" }
command = { program = "sh", args = ["-c", "test -e go || exec sleep 100"], idempotent = true }
"#;

fn one(tasks: &str, name: &str, content: &[u8]) -> World {
    let mut world = World::new(tasks);
    world.land(name, content);
    world
}

/// A world in which the table has failed.
fn failed() -> World {
    let world = one(EXTRACT, "a.csv", BAD_TABLE);
    world.settle();
    assert_eq!(world.job("a.csv").state, "failed");
    world
}

/// The same after somebody has mended the file in its place, as an editor does: with a new inode.
fn mended() -> World {
    let mut world = failed();
    let place = world.path("failed/docs/a.csv");
    let part = world.path("editing");
    std::fs::write(&part, MENDED).unwrap();
    std::fs::rename(&part, &place).unwrap();
    world.takes_back(BAD_TABLE);
    world.sends(MENDED);
    world
}

/// A world that died after the file had landed.
fn queued() -> World {
    let world = one(EXTRACT, "a.txt", TEXT);
    assert!(world.armed("s2.before_claim", "run --until-idle").is_killed());
    assert_eq!(world.job("a.txt").state, "queued");
    world
}

/// A world whose job waits for its second attempt, its file in WORK.
fn waiting() -> World {
    let world = one(FAILS_FOR_LONG, "a.txt", TEXT);
    world.settle();
    assert_eq!(world.job("a.txt").state, "waiting");
    world
}

/// A world that died while the job ran.
fn running() -> World {
    let world = one(EXTRACT, "a.txt", TEXT);
    assert!(world.armed("s4.before_work", "run --until-idle").is_killed());
    assert_eq!(world.job("a.txt").state, "running");
    world
}

fn is(world: &World, name: &str, state: &str, left: &Left) {
    let job = world.job(name);
    assert_eq!(job.state, state, "{}: {job:?}", left.what);
}

const SUCCESS: Scenario = Scenario {
    name: "success",
    world: || {
        let mut world = one(EXTRACT, "a.txt", TEXT);
        world.land("b.csv", TABLE);
        // A second name elsewhere: the file is copied, and that name is left alone.
        std::fs::write(world.path("kept"), b"shared content\n").unwrap();
        std::fs::hard_link(world.path("kept"), world.path("inbox/c.txt")).unwrap();
        world.sends(b"shared content\n");
        world
    },
    armed: "run --until-idle",
    points: &[
        START,
        LANDS,
        WORKS,
        COPIES,
        DECIDES,
        PLACES,
        &[
            "s4.in_output",
            "s4.in_output:3",
            "s3.after_move:3",
            "s7.before_move:2",
            "s7.after_move:4",
            "s7.after_move:7",
        ],
    ],
    again: None,
    expect: |world, left| {
        for name in ["a.txt", "b.csv", "c.txt"] {
            is(world, name, "succeeded", left);
            assert_eq!(world.job(name).spent, 1, "{}: a death costs no attempt", left.what);
        }
        assert_eq!(world.read("kept"), b"shared content\n");
        assert_eq!(world.read("processed/docs/c.txt"), b"shared content\n");
        assert!(world.path("out/b.csv.normalised.csv").exists());
    },
};

const CLAIM_BY_COPY: Scenario = Scenario {
    name: "claim by copy",
    world: || one(BY_COPY, "a.csv", TABLE),
    armed: "run --until-idle",
    points: &[START, LANDS, WORKS, COPIES, DECIDES, PLACES, &["s4.in_output", "s7.after_move:3"]],
    again: None,
    expect: |world, left| {
        is(world, "a.csv", "succeeded", left);
        assert_eq!(world.jobs_of("a.csv").len(), 1, "{}: one file is one job", left.what);
    },
};

const FAILURE: Scenario = Scenario {
    name: "failure",
    world: || one(EXTRACT, "a.csv", BAD_TABLE),
    armed: "run --until-idle",
    points: &[START, LANDS, WORKS, DECIDES, PLACES, &["s5.record_written"]],
    again: None,
    expect: |world, left| {
        is(world, "a.csv", "failed", left);
        let job = world.job("a.csv");
        assert_eq!((job.code.as_deref(), job.spent), (Some("csv_bad_row"), 1), "{}", left.what);
        assert!(record_of(&world.path("failed/docs/a.csv")).exists());
    },
};

const TRANSIENT: Scenario = Scenario {
    name: "transient failure",
    world: || one(FAILS_TWICE, "a.txt", TEXT),
    armed: "run --until-idle",
    points: &[
        START,
        LANDS,
        WORKS,
        DECIDES,
        PLACES,
        &["s4.child_started", "s4.child_started:2", "s2.after_claim:2", "s5.after_sync:2", "s6.after_decide:2"],
    ],
    again: None,
    expect: |world, left| {
        is(world, "a.txt", "failed", left);
        assert_eq!(world.job("a.txt").spent, 2, "{}: only its own failures are charged", left.what);
    },
};

const PROGRAM: Scenario = Scenario {
    name: "idempotent command",
    world: || one(COMMAND, "a.txt", TEXT),
    armed: "run --until-idle",
    points: &[START, LANDS, WORKS, DECIDES, PLACES, &["s4.child_started"]],
    again: None,
    expect: |world, left| {
        is(world, "a.txt", "succeeded", left);
        assert_eq!(world.read("out/a.txt.copy"), TEXT);
    },
};

const PROGRAM_ONCE: Scenario = Scenario {
    name: "command that must not be repeated",
    world: || one(COMMAND_ONCE, "a.txt", TEXT),
    armed: "run --until-idle",
    points: &[START, LANDS, WORKS, DECIDES, PLACES, &["s4.child_started"]],
    again: None,
    expect: |world, left| {
        let job = world.job("a.txt");
        if left.begun {
            assert_eq!((job.state, job.code.as_deref()), ("failed", Some("interrupted")), "{}", left.what);
            assert_eq!((job.attempt, job.spent), (1, 0), "{}: never run again, and not charged", left.what);
        } else {
            assert_eq!((job.state, job.spent), ("succeeded", 1), "{}", left.what);
        }
    },
};

const ACROSS: Scenario = Scenario {
    name: "success and failure across devices",
    world: || {
        let mut world = World::across_devices(EXTRACT);
        world.land("a.txt", TEXT);
        world.land("b.csv", BAD_TABLE);
        world
    },
    armed: "run --until-idle",
    points: &[
        START,
        LANDS,
        WORKS,
        DECIDES,
        PLACES,
        &["s5.record_written", "s5.original_copied", "s5.original_copied:2"],
    ],
    again: None,
    expect: |world, left| {
        is(world, "a.txt", "succeeded", left);
        is(world, "b.csv", "failed", left);
    },
};

const RETRY_ACROSS: Scenario = Scenario {
    name: "retry of a mended file across devices",
    world: || {
        let mut world = World::across_devices(EXTRACT);
        world.land("a.csv", BAD_TABLE);
        world.settle();
        std::fs::write(world.outcome("failed/docs/a.csv"), MENDED).unwrap();
        world.takes_back(BAD_TABLE);
        world.sends(MENDED);
        world.line("retry 1").expect(0);
        world
    },
    armed: "run --until-idle",
    points: &[START, WORKS, COPIES, DECIDES, PLACES, &["s5.original_copied", "s7.after_move:3"]],
    again: None,
    expect: |world, left| is(world, "a.csv", "succeeded", left),
};

const RETRY: Scenario = Scenario {
    name: "retry of a mended file",
    world: || {
        let world = mended();
        world.line("retry 1").expect(0);
        world
    },
    armed: "run --until-idle",
    points: &[START, WORKS, DECIDES, PLACES, &["s4.in_output", "s7.after_move:3", "s7.after_move:4"]],
    again: None,
    expect: expect_retried,
};

const RETRY_FAILS: Scenario = Scenario {
    name: "retry of a file that fails again",
    world: || {
        let world = failed();
        world.line("retry 1").expect(0);
        world
    },
    armed: "run --until-idle",
    points: &[START, WORKS, DECIDES, PLACES, &["s5.record_written", "s7.after_move:3"]],
    again: None,
    expect: |world, left| {
        is(world, "a.csv", "failed", left);
        assert_eq!(world.read("failed/docs/a.csv"), BAD_TABLE, "{}: it keeps its name", left.what);
    },
};

const SAY_RETRY: Scenario = Scenario {
    name: "saying retry",
    world: mended,
    armed: "retry 1",
    points: &[&["op.before_retry", "op.after_retry", "store.before_commit:1", "store.before_commit:2"]],
    again: Some("retry 1"),
    expect: expect_retried,
};

fn expect_retried(world: &World, left: &Left) {
    is(world, "a.csv", "succeeded", left);
    assert_eq!(world.read("processed/docs/a.csv"), MENDED);
    assert!(!world.path("failed/docs/a.csv").exists(), "{}", left.what);
    assert!(!record_of(&world.path("failed/docs/a.csv")).exists(), "{}", left.what);
}

const SKIP_FAILED: Scenario = Scenario {
    name: "skip of a failed file",
    world: failed,
    armed: "skip 1 --reason test-data",
    points: &[
        ASIDE,
        PLACES,
        &["s7.after_move:3", "store.before_commit:1", "store.before_commit:2", "store.before_commit:3"],
    ],
    again: Some("skip 1 --reason test-data"),
    expect: |world, left| {
        is(world, "a.csv", "skipped", left);
        let place = world.path("failed/docs/skipped/a.csv");
        assert_eq!(std::fs::read(&place).unwrap(), BAD_TABLE, "{}", left.what);
        let record = std::fs::read_to_string(record_of(&place)).unwrap();
        assert!(record.contains("test-data") && record.contains("csv_bad_row"), "{}: {record}", left.what);
    },
};

const SKIP_RETRIED: Scenario = Scenario {
    name: "skip of a retried file",
    world: || {
        let world = failed();
        world.line("retry 1").expect(0);
        world
    },
    armed: "skip 1 --reason no",
    points: &[ASIDE, PLACES],
    again: Some("skip 1 --reason no"),
    expect: |world, left| is(world, "a.csv", "skipped", left),
};

const CANCEL_QUEUED: Scenario = Scenario {
    name: "cancel of a queued file",
    world: queued,
    armed: "cancel 1",
    points: &[ASIDE_CANCEL, PLACES],
    again: None,
    expect: |world, left| {
        let job = world.job("a.txt");
        assert!(matches!(job.state, "cancelled" | "succeeded"), "{}: {job:?}", left.what);
        assert_eq!(world.jobs_of("a.txt").len(), 1, "{}: it did not land again", left.what);
    },
};

/// The same as [`ASIDE`] for a cancel.
const ASIDE_CANCEL: &[&str] =
    &["op.before_mark", "op.after_mark", "op.noted", "s5.record_written", "op.before_aside", "op.after_aside"];

const CANCEL_WAITING: Scenario = Scenario {
    name: "cancel of a waiting file",
    world: waiting,
    armed: "cancel 1",
    points: &[ASIDE_CANCEL, PLACES],
    again: Some("cancel 1"),
    expect: |world, left| is(world, "a.txt", "cancelled", left),
};

const SKIP_WAITING: Scenario = Scenario {
    name: "skip of a waiting file",
    world: waiting,
    armed: "skip 1 --reason no",
    points: &[ASIDE, PLACES],
    again: Some("skip 1 --reason no"),
    expect: |world, left| is(world, "a.txt", "skipped", left),
};

const CANCEL_RUNNING: Scenario = Scenario {
    name: "cancel of a file that ran when the supervisor died",
    world: running,
    armed: "cancel 1",
    points: &[&["op.before_mark", "op.after_mark"]],
    again: None,
    expect: |world, left| is(world, "a.txt", if left.cancelled { "cancelled" } else { "succeeded" }, left),
};

macro_rules! matrix {
    ($($test:ident: $scenario:ident,)*) => {
        const ALL: &[&Scenario] = &[$(&$scenario),*];
        $(
            #[test]
            fn $test() {
                $scenario.prove();
            }
        )*
    };
}

matrix! {
    success: SUCCESS,
    claim_by_copy: CLAIM_BY_COPY,
    failure: FAILURE,
    transient_failure: TRANSIENT,
    idempotent_command: PROGRAM,
    command_that_must_not_be_repeated: PROGRAM_ONCE,
    across_devices: ACROSS,
    retry_across_devices: RETRY_ACROSS,
    retry_of_a_mended_file: RETRY,
    retry_that_fails_again: RETRY_FAILS,
    saying_retry: SAY_RETRY,
    skip_of_a_failed_file: SKIP_FAILED,
    skip_of_a_retried_file: SKIP_RETRIED,
    skip_of_a_waiting_file: SKIP_WAITING,
    cancel_of_a_queued_file: CANCEL_QUEUED,
    cancel_of_a_waiting_file: CANCEL_WAITING,
    cancel_of_an_interrupted_file: CANCEL_RUNNING,
}

/// Points that a supervisor comes by when a running job is cancelled.
const CANCEL_LIVE: &[&str] = &[
    "op.before_mark",
    "op.after_mark",
    "s4.after_work",
    "s5.record_written",
    "s5.before_sync",
    "s5.after_sync",
    "s6.before_decide",
    "s6.after_decide",
    "s7.before_move",
    "s7.after_move",
    "s8.before_sync",
    "s8.after_sync",
    "s8.sources_removed",
    "s9.before_finish",
    "s9.after_finish",
];

#[test]
fn cancel_of_a_running_job() {
    for (i, point) in CANCEL_LIVE.iter().enumerate() {
        let what = format!("cancel of a running job, killed at {point}");
        let world = one(SLOW, "a.txt", TEXT);
        let supervisor = world.start("run", Some(point));
        until("the job to run", || {
            let is_running = world.number("SELECT count(*) FROM job WHERE state = 2") > 0;
            (is_running && world.path("data/children").read_dir().is_ok_and(|mut d| d.next().is_some())).then_some(())
        });
        let asked = world.line("cancel 1");
        let status = supervisor.wait();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{what}: {status}");
        audit::after_death(&world, &what);
        std::fs::write(world.path("go"), "").unwrap();
        let state = world.number("SELECT state FROM job");
        let is_marked = world.number("SELECT count(*) FROM job WHERE cancel_action IS NOT NULL") > 0;
        let is_cancelled = is_marked || matches!(state, 3 | 7);
        assert!(is_cancelled || asked.status.code() != Some(0), "{what}: acknowledged and lost");
        assert!(world.armed(RECOVERY[i % 2], "run --until-idle").is_killed());
        world.settle();
        audit::at_rest(&world, &what);
        let job = world.job("a.txt");
        assert_eq!(job.state, if is_cancelled { "cancelled" } else { "succeeded" }, "{what}: {job:?}");
    }
}

#[test]
fn every_point_is_died_at() {
    let name = |p: &&str| p.split(':').next().unwrap().to_owned();
    let mut met: BTreeSet<String> = RECOVERY.iter().chain(CANCEL_LIVE).map(name).collect();
    for scenario in ALL {
        met.extend(scenario.points.iter().flat_map(|p| p.iter()).map(name));
    }
    let all: BTreeSet<String> = POINTS.iter().map(|p| (*p).to_owned()).collect();
    assert_eq!(met, all);
}

#[test]
fn a_job_that_takes_the_supervisor_down_three_times_fails_alone() {
    let mut world = one(SLOW, "poison.txt", TEXT);
    for _ in 0..3 {
        assert!(world.armed("s4.child_started", "run --until-idle").is_killed());
        // A death in the recovery is not another death of the job.
        assert!(world.armed("recover.prepared", "run --until-idle").is_killed());
    }
    std::fs::write(world.path("go"), "").unwrap();
    world.land("good.txt", b"good\n");
    world.settle();
    audit::at_rest(&world, "poison");
    let job = world.job("poison.txt");
    assert_eq!((job.state, job.code.as_deref(), job.spent), ("failed", Some("crashed_worker"), 0), "{job:?}");
    assert_eq!(world.job("good.txt").state, "succeeded");
}

/// Somebody puts a file where a decided one is going, and the program dies at every move of its way around it.
#[test]
fn a_file_and_its_record_make_way_together() {
    for taken in ["a.csv", "a.csv.error.json"] {
        for (n, point) in (1..=6).flat_map(|n| [(n, "s7.before_move"), (n, "s7.after_move")]) {
            let what = format!("{taken} was taken, killed at {point}:{n}");
            let world = one(EXTRACT, "a.csv", BAD_TABLE);
            assert!(world.armed("s6.after_decide", "run --until-idle").is_killed());
            let theirs = world.path("failed/docs").join(taken);
            std::fs::write(&theirs, "theirs").unwrap();
            let died = world.armed(&format!("{point}:{n}"), "run --until-idle").is_killed();
            assert!(died || n > 2, "{what}: it has at least two moves");
            world.settle();
            assert_eq!(std::fs::read(&theirs).unwrap(), b"theirs", "{what}");
            std::fs::remove_file(&theirs).unwrap();
            audit::at_rest(&world, &what);
            assert_eq!(world.read("failed/docs/a-2.csv"), BAD_TABLE, "{what}");
            world.line("retry 1").expect(0);
            world.settle();
            audit::at_rest(&world, &what);
        }
    }
}

#[test]
fn a_rename_cut_in_two_is_finished() {
    // Where there is no rename that refuses to replace, it is made of a link and an unlink.
    for by_recovery in [true, false] {
        let world = one(EXTRACT, "a.txt", TEXT);
        assert!(world.armed("s3.after_move", "run --until-idle").is_killed());
        std::fs::hard_link(world.path("inbox/.shiftboss/work/1/a.txt"), world.path("inbox/a.txt")).unwrap();
        if by_recovery {
            // Recovered, and cancelled before anybody claims it again.
            assert!(world.armed("recover.swept", "run --until-idle").is_killed());
            world.line("cancel 1").expect(0);
        }
        world.settle();
        audit::at_rest(&world, "a cut rename");
        assert_eq!(world.jobs_of("a.txt").len(), 1);
    }
}

#[test]
fn what_outlived_the_supervisor_is_ended_before_its_job_runs_again() {
    let tasks = r#"
[tasks.slow]
watch = { dir = "inbox", match = ["*.txt"], settle = "20ms" }
command = { program = "sh", args = ["-c", "test -e go || exec sleep 100; echo x >> ran"], idempotent = true }
"#;
    let world = one(tasks, "a.txt", TEXT);
    assert!(world.armed("s4.child_started", "run --until-idle").is_killed());
    let note = std::fs::read_dir(world.path("data/children")).unwrap().next().unwrap().unwrap().path();
    let group: i32 = std::fs::read_to_string(note).unwrap().split(' ').next().unwrap().parse().unwrap();
    let is_alive = || nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group), None).is_ok();
    assert!(is_alive());
    std::fs::write(world.path("go"), "").unwrap();
    world.settle();
    // It may be a zombie until whoever inherited it looks.
    until("the end of the old child", || (!is_alive() || is_zombie(group)).then_some(()));
    assert_eq!(world.read("ran"), b"x\n");
    assert_eq!(hash(&world.read("processed/slow/a.txt")), hash(TEXT));
}

fn is_zombie(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| s.contains(") Z "))
}

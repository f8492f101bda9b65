//! The kinds of work that are killed: how each begins, which points it comes by, and what must become of it.

use super::{Left, Scenario};
use crate::proof::{World, record_of};

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

pub(super) const TEXT: &[u8] = b"three small words\n";
pub(super) const TABLE: &[u8] = b"id,value\n1,10\n2,20\n";
pub(super) const BAD_TABLE: &[u8] = b"id,value\n1\n";
pub(super) const MENDED: &[u8] = b"id,value\n1,99\n";

pub(super) const EXTRACT: &str = r#"
[tasks.docs]
watch = { dir = "inbox", match = ["*.txt", "*.csv"], settle = "20ms" }
extract = { output = "out/{name}.json" }
"#;
pub(super) const BY_COPY: &str = r#"
[tasks.docs]
watch = { dir = "inbox", match = ["*.txt", "*.csv"], settle = "20ms", claim = "copy" }
extract = { output = "out/{name}.json" }
"#;
pub(super) const COMMAND: &str = r#"
[tasks.copy]
watch = { dir = "inbox", match = ["*.txt"], settle = "20ms" }
command = { program = "cp", args = ["{input}", "{output}"], output = "out/{name}.copy", idempotent = true }
"#;
pub(super) const COMMAND_ONCE: &str = r#"
[tasks.copy]
watch = { dir = "inbox", match = ["*.txt"], settle = "20ms" }
command = { program = "cp", args = ["{input}", "{output}"], output = "out/{name}.copy" }
"#;
pub(super) const FAILS_TWICE: &str = r#"
[tasks.weak]
watch = { dir = "inbox", match = ["*.txt"], settle = "20ms" }
command = { program = "false", output = "out/{name}", idempotent = true }
retry = { attempts = 2, backoff = "1ms" }
"#;
pub(super) const FAILS_FOR_LONG: &str = r#"
[tasks.weak]
watch = { dir = "inbox", match = ["*.txt"], settle = "20ms" }
command = { program = "sh", args = ["-c", "test -e mended"], idempotent = true }
retry = { attempts = 3, backoff = "2h", max = "2h", jitter = false }
"#;
pub(super) const SLOW: &str = r#"
[tasks.slow]
watch = { dir = "inbox", match = ["*.txt"], settle = "20ms" }
command = { program = "sh", args = ["-c", "test -e go || exec sleep 100"], idempotent = true }
"#;

pub(super) fn one(tasks: &str, name: &str, content: &[u8]) -> World {
    let mut world = World::new(tasks);
    world.land(name, content);
    world
}

/// A world in which the table has failed.
pub(super) fn failed() -> World {
    let world = one(EXTRACT, "a.csv", BAD_TABLE);
    world.settle();
    assert_eq!(world.job("a.csv").state, "failed");
    world
}

/// The same after somebody has mended the file in its place, as an editor does: with a new inode.
pub(super) fn mended() -> World {
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
pub(super) fn queued() -> World {
    let world = one(EXTRACT, "a.txt", TEXT);
    assert!(world.armed("s2.before_claim", "run --until-idle").is_killed());
    assert_eq!(world.job("a.txt").state, "queued");
    world
}

/// A world whose job waits for its second attempt, its file in WORK.
pub(super) fn waiting() -> World {
    let world = one(FAILS_FOR_LONG, "a.txt", TEXT);
    world.settle();
    assert_eq!(world.job("a.txt").state, "waiting");
    world
}

/// A world that died while the job ran.
pub(super) fn running() -> World {
    let world = one(EXTRACT, "a.txt", TEXT);
    assert!(world.armed("s4.before_work", "run --until-idle").is_killed());
    assert_eq!(world.job("a.txt").state, "running");
    world
}

pub(super) fn is(world: &World, name: &str, state: &str, left: &Left) {
    let job = world.job(name);
    assert_eq!(job.state, state, "{}: {job:?}", left.what);
}

pub(super) const SUCCESS: Scenario = Scenario {
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

pub(super) const CLAIM_BY_COPY: Scenario = Scenario {
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

pub(super) const FAILURE: Scenario = Scenario {
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

pub(super) const TRANSIENT: Scenario = Scenario {
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

pub(super) const PROGRAM: Scenario = Scenario {
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

pub(super) const PROGRAM_ONCE: Scenario = Scenario {
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

pub(super) const ACROSS: Scenario = Scenario {
    name: "success and failure across devices",
    world: || {
        let mut world = World::across_devices("", EXTRACT);
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

pub(super) const RETRY_ACROSS: Scenario = Scenario {
    name: "retry of a mended file across devices",
    world: || {
        let mut world = World::across_devices("", EXTRACT);
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

pub(super) const RETRY: Scenario = Scenario {
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

pub(super) const RETRY_FAILS: Scenario = Scenario {
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

pub(super) const SAY_RETRY: Scenario = Scenario {
    name: "saying retry",
    world: mended,
    armed: "retry 1",
    points: &[&["op.before_retry", "op.after_retry", "store.before_commit:1", "store.before_commit:2"]],
    again: Some("retry 1"),
    expect: expect_retried,
};

pub(super) fn expect_retried(world: &World, left: &Left) {
    is(world, "a.csv", "succeeded", left);
    assert_eq!(world.read("processed/docs/a.csv"), MENDED);
    assert!(!world.path("failed/docs/a.csv").exists(), "{}", left.what);
    assert!(!record_of(&world.path("failed/docs/a.csv")).exists(), "{}", left.what);
}

pub(super) const SKIP_FAILED: Scenario = Scenario {
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

pub(super) const SKIP_RETRIED: Scenario = Scenario {
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

pub(super) const CANCEL_QUEUED: Scenario = Scenario {
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
pub(super) const ASIDE_CANCEL: &[&str] =
    &["op.before_mark", "op.after_mark", "op.noted", "s5.record_written", "op.before_aside", "op.after_aside"];

pub(super) const CANCEL_WAITING: Scenario = Scenario {
    name: "cancel of a waiting file",
    world: waiting,
    armed: "cancel 1",
    points: &[ASIDE_CANCEL, PLACES],
    again: Some("cancel 1"),
    expect: |world, left| is(world, "a.txt", "cancelled", left),
};

pub(super) const SKIP_WAITING: Scenario = Scenario {
    name: "skip of a waiting file",
    world: waiting,
    armed: "skip 1 --reason no",
    points: &[ASIDE, PLACES],
    again: Some("skip 1 --reason no"),
    expect: |world, left| is(world, "a.txt", "skipped", left),
};

pub(super) const CANCEL_RUNNING: Scenario = Scenario {
    name: "cancel of a file that ran when the supervisor died",
    world: running,
    armed: "cancel 1",
    points: &[&["op.before_mark", "op.after_mark"]],
    again: None,
    expect: |world, left| is(world, "a.txt", if left.cancelled { "cancelled" } else { "succeeded" }, left),
};

//! Every crash point of the protocol, in every kind of work that comes by it: the program dies there by SIGKILL, dies
//! again in its recovery, and then runs to its end. Nothing may be lost, done twice or left half done.
//!
//! Each scenario says which points it comes by; a point that it does not reach fails the test, and so does a point that
//! no scenario reaches.

mod checkpoints;
mod scenarios;

use super::proof::{World, audit, until};
use scenarios::*;
use shiftboss::model::crash::POINTS;
use std::collections::BTreeSet;
use std::os::unix::ffi::OsStringExt;

/// What a start goes through, and dies at, in this order.
const RECOVERY: [&str; 6] =
    ["recover.begin", "recover.placed", "recover.prepared", "recover.decided", "recover.interrupted", "recover.swept"];

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
    met.extend(checkpoints::NOTES.iter().chain(checkpoints::GOES_ON).chain(checkpoints::FORGETS).map(name));
    met.extend(["op.copied", "stray.record_written", "stray.moved"].map(str::to_owned));
    met.extend(super::backup::POINTS.iter().chain(super::fetch::POINTS).map(name));
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

/// No job is made of a file that no task takes, so nothing remembers it but the folders.
#[test]
fn a_file_that_no_task_takes_fails_once() {
    for across in [false, true] {
        for point in ["stray.record_written", "s3.copying", "s3.copied", "stray.moved"] {
            if point.starts_with("s3") && !across {
                continue;
            }
            let what = format!("a stray file, across devices: {across}, killed at {point}");
            let mut world = if across {
                World::across_devices("unmatched = \"fail\"", EXTRACT)
            } else {
                World::with_settings("[files]\nunmatched = \"fail\"", EXTRACT)
            };
            let supervisor = world.start("run", Some(point));
            world.land("a.odd", TEXT);
            let status = supervisor.wait();
            assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{what}: {status}");
            audit::nothing_is_lost(&world, &what);
            let again = world.start("run", None);
            let folder = world.outcome("failed/unmatched");
            let names = || -> BTreeSet<_> {
                let entries = std::fs::read_dir(&folder).into_iter().flatten();
                entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
            };
            let wanted = ["a.odd", "a.odd.error.json"].map(str::to_owned).into();
            until(&what, || (names() == wanted && !world.path("inbox/a.odd").exists()).then_some(()));
            again.stop();
            audit::no_temporary_names(&world, &what);
            audit::nothing_is_lost(&world, &what);
        }
    }
}

/// The copy of an input that an operator names.
#[test]
fn a_start_by_hand_leaves_nothing_in_the_spool() {
    for (point, armed) in [
        ("op.copied", "trigger docs --input mine.txt"),
        ("s2.before_claim", "run --until-idle"),
        ("s3.before_move", "run --until-idle"),
        ("s6.after_decide", "run --until-idle"),
        ("s9.before_finish", "run --until-idle"),
    ] {
        let mut world = World::new(EXTRACT);
        std::fs::write(world.path("mine.txt"), TEXT).unwrap();
        let is_queued = armed.starts_with("run");
        if is_queued {
            world.line("trigger docs --input mine.txt").expect(0);
            world.sends(TEXT);
        }
        assert!(world.armed(point, armed).is_killed(), "{point}");
        world.settle();
        audit::at_rest(&world, point);
        assert_eq!(world.read("mine.txt"), TEXT, "{point}: it is copied, never moved");
        let left: Vec<_> =
            std::fs::read_dir(world.path("data/spool")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| name == ".shiftboss"), "{point}: {left:?}");
        assert_eq!(world.number("SELECT count(*) FROM job WHERE state = 4"), i64::from(is_queued), "{point}");
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

//! Crash points around checkpoints. The work is an action of this test, which copies a table line by line and notes every
//! line; so the program that dies here is this test's own binary, started again with that action.

use super::RECOVERY;
use crate::proof::{Ended, World, audit};
use shiftboss::clock::{Clock, SystemClock};
use shiftboss::model::action::{Action, Kind, Resume, Work};
use shiftboss::model::crash::VARIABLE;
use shiftboss::model::ports::{Actor, Commands, Target};
use shiftboss::model::{Block, Failure, JobId, JobOrder, OnExists, OutputFile, Report, Template};
use shiftboss::runtime::{Mode, Offline, Options, Supervisor, limits, offline};
use shiftboss::telemetry::Log;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// What the child is to do.
const VERB: &str = "SHIFTBOSS_TEST_VERB";
/// The test that is the child.
const CHILD: &str = "crash::checkpoints::the_program_that_dies";
/// Lines of the input.
const LINES: &[u8] = b"one\ntwo\nthree\nfour\nfive\n";

const TASKS: &str = r#"
[tasks.copy]
watch = { dir = "inbox", match = ["*.txt"], settle = "20ms" }
lines = { output = "out/{name}" }
"#;

/// Points of an attempt that notes how far it is.
pub(super) const NOTES: &[&str] = &[
    "s4.before_checkpoint",
    "s4.before_checkpoint:3",
    "s4.after_checkpoint",
    "s4.after_checkpoint:2",
    "s4.after_checkpoint:5",
    "s4.after_work",
    "s5.before_sync",
    "s5.after_sync",
    "s6.before_decide",
    "s6.after_decide",
    "s7.before_move",
    "s7.after_move:2",
    "s9.before_finish",
];
/// Points of one that goes on, or does not.
pub(super) const GOES_ON: &[&str] = &["s4.resumed", "s4.before_checkpoint", "s4.after_checkpoint", "s6.before_decide"];
pub(super) const FORGETS: &[&str] = &["s4.forgotten", "s4.after_checkpoint"];
const WITHDRAWN: &[&str] = &["op.after_mark", "op.noted", "op.before_aside", "op.after_aside", "s7.before_move"];

/// Copies its input line by line, and counts the lines in a second output.
#[derive(Debug)]
struct Lines {
    output: Template,
}

#[derive(Debug)]
struct LinesKind;

impl Kind for LinesKind {
    fn key(&self) -> &'static str {
        "lines"
    }
    fn summary(&self) -> &'static str {
        "copy line by line"
    }
    fn example(&self) -> &'static str {
        r#"lines = { output = "out/{name}" }"#
    }
    fn build(&self, block: &mut Block<'_>) -> Option<Arc<dyn Action>> {
        // An older way of doing the same, for a configuration that is changed.
        block.boolean("again");
        Some(Arc::new(Lines { output: block.template("output")?.value }))
    }
}

impl Action for Lines {
    fn name(&self) -> &'static str {
        "lines"
    }
    fn outputs(&self) -> Vec<&Template> {
        vec![&self.output]
    }
    fn idempotent(&self) -> bool {
        true
    }
    fn work(self: Arc<Self>, order: JobOrder) -> Work {
        Work::Blocking(Box::new(move || self.copy(order)))
    }
}

impl Lines {
    fn copy(&self, order: JobOrder) -> Result<Report, Failure> {
        let JobOrder { input, vars, base, desk, .. } = order;
        let mut input = input.unwrap();
        let mut text = String::new();
        input.file.read_to_string(&mut text).unwrap();
        let (mut outputs, mut done, mut bytes) = match desk.resume() {
            Some(Resume { state, outputs }) => (outputs, usize::from(state[0]), u64::from(state[1])),
            None => {
                let target = base.join(self.output.expand_path(&vars));
                let count = |path: &std::path::Path| vec![path.with_extension("count")];
                (desk.outputs(&target, &count, OnExists::Fail)?, 0, 0)
            }
        };
        for output in &mut outputs[..1] {
            output.file.set_len(bytes).unwrap();
            output.file.seek(SeekFrom::End(0)).unwrap();
        }
        for line in text.lines().skip(done) {
            let mut trace = std::fs::File::options().create(true).append(true).open(base.join("trace")).unwrap();
            trace.write_all(b".").unwrap();
            let OutputFile { file, .. } = &mut outputs[0];
            file.write_all(format!("{line}\n").as_bytes()).unwrap();
            file.sync_data().unwrap();
            (done, bytes) = (done + 1, bytes + line.len() as u64 + 1);
            desk.checkpoint(&[u8::try_from(done).unwrap(), u8::try_from(bytes).unwrap()])?;
        }
        outputs[1].file.set_len(0).unwrap();
        outputs[1].file.rewind().unwrap();
        outputs[1].file.write_all(format!("{done}\n").as_bytes()).unwrap();
        Ok(Report { rows: Some(done as u64), ..Report::default() })
    }
}

/// Does nothing among the other tests; what it does when it is started by one of them, the environment says.
#[test]
fn the_program_that_dies() {
    static KINDS: &[&dyn Kind] = &[&LinesKind];
    let Ok(verb) = std::env::var(VERB) else { return };
    let config = shiftboss::config::load(&std::env::current_dir().unwrap().join("config.toml"), KINDS).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    runtime.block_on(async {
        if verb == "cancel" {
            let Offline { operations, store, .. } = offline(config, clock, true).await.unwrap();
            operations.cancel(Actor { uid: 0 }, Target::Jobs(vec![JobId(1)])).await.unwrap();
            store.close();
            return;
        }
        let log = Arc::new(Log::open(config.data_dir.join("logs"), limits(&config), Arc::clone(&clock)));
        let mode = Mode::UntilIdle(Duration::from_secs(60));
        let options = Options { mode, clock, log, kinds: KINDS, ready: Box::new(|_, _| {}) };
        Supervisor::open(config, options).unwrap().run().await.unwrap();
    });
}

/// Starts this binary again, to do this and perhaps to die at a point.
fn child(world: &World, verb: &str, point: Option<&str>) -> Ended {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", CHILD, "--nocapture"]).current_dir(world.root()).stdin(Stdio::null());
    command.env(VERB, verb).env_remove(VARIABLE).env_remove("RUST_LOG").env("TZ", "UTC");
    if let Some(point) = point {
        command.env(VARIABLE, point);
    }
    let output = command.output().unwrap();
    Ended {
        status: output.status,
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn dies(world: &World, verb: &str, point: &str, what: &str) {
    let ended = child(world, verb, Some(point));
    assert_eq!(ended.status.signal(), Some(9), "{what}: it did not die at {point}: {ended:#?}");
    audit::after_death(world, what);
}

fn settles(world: &World, what: &str) {
    let ended = child(world, "run", None);
    assert!(ended.status.success(), "{what}: {ended:#?}");
    audit::at_rest(world, what);
    assert_eq!(world.number("SELECT count(*) FROM checkpoint"), 0, "{what}: a checkpoint is left");
}

fn one() -> World {
    let mut world = World::new(TASKS);
    world.land("a.txt", LINES);
    world
}

/// A world that died when three lines had been noted.
fn noted() -> World {
    let world = one();
    dies(&world, "run", "s4.after_checkpoint:3", "making a world");
    world
}

fn is_copied(world: &World, what: &str) {
    let job = world.job("a.txt");
    assert_eq!((job.state, job.spent), ("succeeded", 1), "{what}: {job:?}");
    assert_eq!((world.read("out/a.txt"), world.read("out/a.count")), (LINES.to_vec(), b"5\n".to_vec()), "{what}");
}

/// Lines that were worked on, over all attempts.
fn worked(world: &World) -> usize {
    world.read("trace").len()
}

/// The temporary files of outputs.
fn temps(world: &World) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(world.path("out")).into_iter().flatten();
    entries.map(|e| e.unwrap().path()).filter(|p| crate::proof::is_temp(p)).collect()
}

#[test]
fn an_attempt_that_notes_how_far_it_is() {
    for (i, point) in NOTES.iter().enumerate() {
        for recovery in [&RECOVERY[..], &RECOVERY[i % RECOVERY.len()..][..1]] {
            let what = format!("killed at {point}, then at {recovery:?}");
            let world = one();
            dies(&world, "run", point, &what);
            let is_running = world.number("SELECT count(*) FROM job WHERE state = 2") > 0;
            for again in recovery {
                if is_running || !matches!(*again, "recover.prepared" | "recover.decided") {
                    let ended = child(&world, "run", Some(again));
                    // Once it was decided there is nothing to interrupt at a second start.
                    assert!(ended.status.signal() == Some(9) || ended.status.success(), "{what}: {ended:#?}");
                    audit::after_death(&world, &what);
                }
            }
            settles(&world, &what);
            is_copied(&world, &what);
            // At most the line that was being worked on is worked on again.
            assert!((5..=6).contains(&worked(&world)), "{what}: {} lines", worked(&world));
        }
    }
}

#[test]
fn an_attempt_that_goes_on_and_is_cut_off_again() {
    for point in GOES_ON {
        let what = format!("went on, killed at {point}");
        let world = noted();
        assert_eq!((temps(&world).len(), worked(&world)), (2, 3));
        dies(&world, "run", point, &what);
        settles(&world, &what);
        is_copied(&world, &what);
        assert!((5..=6).contains(&worked(&world)), "{what}: {} lines", worked(&world));
        assert_eq!(world.job("a.txt").attempt, 3, "{what}");
    }
}

#[test]
fn an_attempt_that_cannot_go_on_starts_from_zero() {
    for point in FORGETS {
        let what = format!("another configuration, killed at {point}");
        let world = noted();
        let text = std::fs::read_to_string(world.path("config.toml")).unwrap();
        std::fs::write(world.path("config.toml"), text.replace("lines = {", "lines = { again = true,")).unwrap();
        dies(&world, "run", point, &what);
        settles(&world, &what);
        is_copied(&world, &what);
        assert!(worked(&world) >= 8, "{what}: {} lines", worked(&world));
    }
}

#[test]
fn a_job_that_may_go_on_is_withdrawn() {
    for point in WITHDRAWN {
        let what = format!("withdrawn, killed at {point}");
        let world = noted();
        // It is back in the queue, and nobody has claimed it.
        dies(&world, "run", "recover.swept", &what);
        assert_eq!((temps(&world).len(), world.job("a.txt").state), (2, "queued"), "{what}");
        dies(&world, "cancel", point, &what);
        settles(&world, &what);
        let job = world.job("a.txt");
        assert!(matches!(job.state, "cancelled" | "succeeded"), "{what}: {job:?}");
        assert_eq!(temps(&world), Vec::<PathBuf>::new(), "{what}");
    }
}

//! A transform that dies after it has noted how far it is goes on from there, and what comes out is to the last byte
//! what comes out undisturbed.
//!
//! It notes that only now and then. So that no test depends on how fast a machine is, the program is held in the middle
//! of the work until that time has passed; the next piece that it writes is then noted, and there it dies.

use super::super::proof::{Running, World, audit, files_below, is_temp};
use super::super::support::{freeze, thaw, until};
use super::table;
use shiftboss::model::text;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Rows of the table: more than a second of work.
const ROWS: u64 = 400_000;
/// Time between two checkpoints.
const EVERY: Duration = Duration::from_secs(3);
/// Dies when it is noted how far the work is.
const NOTED: &str = "s4.after_checkpoint";

/// The output is packed and some rows are rejected: two files to go on with, one of them in frames.
const TASKS: &str = r#"
[tasks.orders]
watch = { dir = "inbox", match = ["*.csv"], settle = "10ms" }

[tasks.orders.transform]
sql = "SELECT id, value, _line FROM input WHERE id % 7 <> 3"
output = "out/{stem}.csv.zst"
columns = { value = "int" }
on_bad_row = "reject"
"#;

/// A table where every 50,000th row is bad.
fn input() -> Vec<u8> {
    let mut text = String::new();
    for (n, line) in table(ROWS).lines().enumerate() {
        text.push_str(line);
        text.push_str(if n % 50_000 == 49_999 { "x\n" } else { "\n" });
    }
    text.into_bytes()
}

/// The output and the rejects of a run that nothing disturbs.
fn undisturbed(input: &[u8]) -> [Vec<u8>; 2] {
    let mut world = World::new(TASKS);
    world.land("t.csv", input);
    world.settle();
    outputs(&world)
}

fn outputs(world: &World) -> [Vec<u8>; 2] {
    ["out/t.csv.zst", "out/t.rejects.csv"].map(|below| world.read(below))
}

/// The temporary outputs.
fn temps(world: &World) -> Vec<PathBuf> {
    files_below(&world.path("out")).into_iter().filter(|path| is_temp(path)).collect()
}

fn written(world: &World) -> u64 {
    temps(world).iter().filter_map(|path| path.metadata().ok()).map(|facts| facts.len()).sum()
}

/// What the last checkpoint says.
fn state(world: &World) -> serde_json::Value {
    let state: Vec<u8> = world.db().query_row("SELECT state FROM checkpoint", [], |row| row.get(0)).unwrap();
    serde_json::from_slice(&state).unwrap()
}

/// Starts the program, which writes more than there was, and dies when it has noted how far it is; the rows until there.
fn dies(world: &World, what: &str) -> u64 {
    let before = written(world);
    let Running(child) = &mut world.start("run --until-idle", Some(NOTED));
    until("the work to go on", || (written(world) > before).then_some(()));
    freeze(child.id());
    let held = Instant::now();
    until("the time between two checkpoints", || (held.elapsed() > EVERY).then_some(()));
    thaw(child.id());
    let status = until("its death", || child.try_wait().unwrap());
    assert_eq!(status.signal(), Some(9), "{what}: it noted nothing: {status}");
    audit::after_death(world, what);
    let rows = state(world)["rows"][0].as_u64().unwrap();
    assert!((1..ROWS).contains(&rows), "{what}: {rows} rows");
    rows
}

#[test]
fn a_transform_that_dies_twice_goes_on_twice_and_makes_the_same_bytes() {
    let input = input();
    let mut world = World::new(TASKS);
    world.land("t.csv", &input);
    let first = dies(&world, "first");
    let files = temps(&world);
    let inodes = || -> Vec<u64> { temps(&world).iter().map(|path| path.metadata().unwrap().ino()).collect() };
    let begun = inodes();
    assert!(!begun.is_empty());
    let second = dies(&world, "second");
    assert!(second > first, "it did not start from zero: {first} rows, then {second}");
    assert!(files.iter().all(|path| path.exists()), "with the same files");
    world.settle();
    audit::at_rest(&world, "in the end");
    assert!(outputs(&world) == undisturbed(&input), "the same bytes");
    let job = world.job("t.csv");
    assert_eq!((job.state, job.attempt, job.spent), ("succeeded", 3, 1), "{job:?}");
    let output = world.path("out/t.csv.zst").metadata().unwrap().ino();
    assert!(begun.contains(&output), "what the first attempt began is what came out");
    let log = world.line("logs 1").expect(0).out;
    for rows in [first, second] {
        let told = format!("goes on where the attempt before was cut off, after {}", text::counted(rows, "row"));
        assert!(log.contains(&told), "{told}: {log}");
    }
}

#[test]
fn a_table_that_changed_while_nobody_was_there_is_read_from_its_first_row() {
    let input = input();
    let mut world = World::new(TASKS);
    world.land("t.csv", &input);
    dies(&world, "before it changed");
    // The same size, and in what was read already: only its time tells.
    let mut changed = input.clone();
    let at = "id,value\n1,91".len();
    assert_eq!(changed[at], b'6');
    changed[at] = b'0';
    std::fs::write(world.path("inbox/.shiftboss/work/1/t.csv"), &changed).unwrap();
    world.takes_back(&input);
    world.sends(&changed);
    world.settle();
    audit::at_rest(&world, "in the end");
    assert!(outputs(&world) == undisturbed(&changed), "what it is now");
    let log = world.line("logs 1").expect(0).out;
    assert!(log.contains("starts from zero"), "{log}");
}

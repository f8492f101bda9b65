//! Where files are while others meddle with them: a second supervisor, writers that are slow, and people who replace,
//! remove, mend and set aside.

use super::proof::{Job, World, audit, record_of, until};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

const DOCS: &str = r#"
[tasks.docs]
watch = { dir = "inbox", match = ["*.txt", "*.csv"], settle = "50ms" }
extract = { output = "out/{name}.json" }
"#;
/// A program that waits until the test says go.
const SLOW: &str = r#"
[tasks.slow]
watch = { dir = "inbox", match = ["*.txt"], settle = "20ms" }
command = { program = "sh", args = ["-c", "echo x >> ran; until test -e go; do sleep 0.02; done; cat \"$0\" > \"$1\"", "{input}", "{output}"], output = "out/{name}", idempotent = true }
retry = { attempts = 3, backoff = "1ms" }
"#;
const BAD: &[u8] = b"id,value\n1\n";
const GOOD: &[u8] = b"id,value\n1,5\n";

fn wait_for(world: &World, name: &str, state: &str) -> Job {
    until(&format!("{name} to be {state}"), || world.jobs_of(name).pop().filter(|job| job.state == state))
}

/// A supervisor that is at work on `a.txt`, which lies in its work folder.
fn at_work(world: &World) -> PathBuf {
    until("the program to run", || world.path("ran").exists().then_some(()));
    world.path("inbox/.shiftboss/work/1/a.txt")
}

fn states(world: &World, name: &str) -> Vec<(&'static str, Option<String>)> {
    world.jobs_of(name).into_iter().map(|job| (job.state, job.code)).collect()
}

#[test]
fn a_second_supervisor_is_refused_and_told_who_the_first_is() {
    let mut world = World::new(SLOW);
    world.land("a.txt", b"mine\n");
    let first = world.serve();
    let held = at_work(&world);
    let named = format!("process {}", first.0.id());

    let same_data = world.line("run --until-idle").expect(1);
    assert!(same_data.err.contains(&named) && same_data.err.contains("config.toml"), "{same_data:?}");

    // Another configuration with data of its own, and the same inbox.
    let other = World::new(&SLOW.replace("\"inbox\"", &format!("{:?}", world.path("inbox"))));
    let same_inbox = other.line("run --until-idle").expect(1);
    assert!(same_inbox.err.contains(&named), "{same_inbox:?}");
    assert_eq!(std::fs::read(&held).unwrap(), b"mine\n", "it has touched nothing");
    assert!(!world.path("inbox/a.txt").exists());

    std::fs::write(world.path("go"), "").unwrap();
    assert_eq!(wait_for(&world, "a.txt", "succeeded").attempt, 1);
    assert_eq!(first.stop().code(), Some(0));
    audit::at_rest(&world, "two supervisors");
    // A lock goes with its holder.
    other.line("run --until-idle").expect(0);
}

#[test]
fn a_file_that_is_replaced_before_its_claim_is_another_file() {
    let mut world = World::new(DOCS);
    let _supervisor = world.serve();
    world.line("pause docs").expect(0);
    let place = world.land("a.txt", b"old\n");
    wait_for(&world, "a.txt", "queued");
    std::fs::remove_file(&place).unwrap();
    world.takes_back(b"old\n");
    world.land("a.txt", b"new\n");
    until("the new file to be queued", || (world.jobs_of("a.txt").len() == 2).then_some(()));
    world.line("resume docs").expect(0);
    wait_for(&world, "a.txt", "succeeded");
    until("the end of the old job", || (world.jobs_of("a.txt")[0].state == "cancelled").then_some(()));
    // Which of the two is claimed first is open: the file of the other is there still, or gone to `processed` already.
    let (state, code) = states(&world, "a.txt")[0].clone();
    assert_eq!(state, "cancelled");
    assert!(matches!(code.as_deref(), Some("input_replaced" | "input_gone")), "{code:?}");
    assert_eq!(world.read("processed/docs/a.txt"), b"new\n");
    audit::at_rest(&world, "replaced");
}

#[test]
fn a_file_that_is_removed_before_its_claim_withdraws_its_job() {
    let mut world = World::new(DOCS);
    let supervisor = world.serve();
    world.line("pause docs").expect(0);
    for name in ["a.txt", "b.txt"] {
        world.land(name, name.as_bytes());
        wait_for(&world, name, "queued");
    }
    std::fs::remove_file(world.path("inbox/a.txt")).unwrap();
    world.takes_back(b"a.txt");
    world.line("resume docs").expect(0);
    assert_eq!(wait_for(&world, "a.txt", "cancelled").code.as_deref(), Some("input_gone"));
    wait_for(&world, "b.txt", "succeeded");
    // The same while no supervisor runs.
    world.line("pause docs").expect(0);
    world.land("c.txt", b"c");
    wait_for(&world, "c.txt", "queued");
    supervisor.stop();
    std::fs::remove_file(world.path("inbox/c.txt")).unwrap();
    world.takes_back(b"c");
    world.settle();
    assert_eq!(world.job("c.txt").reason.as_deref(), Some("input_gone"));
    audit::at_rest(&world, "removed");
}

#[test]
fn a_file_that_is_removed_during_its_processing_fails_its_job() {
    let mut world = World::new(SLOW);
    world.land("a.txt", b"mine\n");
    let _supervisor = world.serve();
    std::fs::remove_file(at_work(&world)).unwrap();
    world.takes_back(b"mine\n");
    std::fs::write(world.path("go"), "").unwrap();
    until("the end of the job", || matches!(world.job("a.txt").state, "failed" | "succeeded").then_some(()));
    assert_eq!(world.job("a.txt").state, "failed");
    assert!(!world.path("out/a.txt").exists(), "no output of a file that is gone");
    audit::at_rest(&world, "removed during processing");
}

#[test]
fn a_file_that_changes_during_its_processing_is_processed_again() {
    let mut world = World::new(SLOW);
    world.land("a.txt", b"first\n");
    let _supervisor = world.serve();
    let held = at_work(&world);
    File::options().append(true).open(&held).unwrap().write_all(b"second\n").unwrap();
    world.takes_back(b"first\n");
    world.sends(b"first\nsecond\n");
    std::fs::write(world.path("go"), "").unwrap();
    let job = wait_for(&world, "a.txt", "succeeded");
    assert_eq!((job.attempt, job.spent), (2, 2), "the first attempt saw a file that was not whole");
    assert_eq!(world.read("out/a.txt"), b"first\nsecond\n");
    audit::at_rest(&world, "changed during processing");
}

#[test]
fn files_are_never_taken_while_they_are_written() {
    const WRITERS: usize = 200;
    let mut world = World::new(DOCS);
    let path = |n: usize| format!("slow-{n}.txt");
    // Some are there at the start, some come later.
    let open = |n: usize| File::create(world.path("inbox").join(path(n))).unwrap();
    let mut files: Vec<File> = (0..WRITERS / 2).map(open).collect();
    let supervisor = world.serve();
    files.extend((WRITERS / 2..WRITERS).map(open));
    let mut contents = vec![Vec::new(); WRITERS];
    for round in 0..4 {
        for (n, file) in files.iter_mut().enumerate() {
            let piece = format!("{n} {round}\n");
            file.write_all(piece.as_bytes()).unwrap();
            contents[n].extend(piece.bytes());
        }
        // Written in place too, so that it takes longer than the settle time.
        let (name, content) = (format!("mark-{round}.txt"), format!("mark {round}\n"));
        std::fs::write(world.path("inbox").join(&name), &content).unwrap();
        world.sends(content.as_bytes());
        wait_for(&world, &name, "succeeded");
        let taken = world.number("SELECT count(*) FROM job_file WHERE CAST(name AS TEXT) LIKE 'slow-%'");
        assert_eq!(taken, 0, "in round {round}");
    }
    contents.iter().for_each(|content| world.sends(content));
    drop(files);
    until("all to be processed", || {
        (world.number("SELECT count(*) FROM job WHERE state = 4") == WRITERS as i64 + 4).then_some(())
    });
    supervisor.stop();
    audit::at_rest(&world, "slow writers");
}

#[test]
fn a_folder_never_eats_what_its_own_task_wrote() {
    let into_itself = DOCS.replace("out/{name}.json", "inbox/{name}.csv");
    let refused = World::new(&into_itself).line("check").expect(78);
    assert!(refused.err.contains("docs"), "{refused:?}");

    let mut world = World::new(&DOCS.replace("out/{name}.json", "inbox/{name}.json"));
    world.land("a.txt", b"words\n");
    world.settle();
    world.settle();
    assert_eq!(world.number("SELECT count(*) FROM job"), 1);
    assert!(world.path("inbox/a.txt.json").exists());
    assert_eq!(world.job("a.txt").state, "succeeded");
}

#[test]
fn one_task_takes_what_another_wrote_once() {
    let mut world = World::at(
        &super::proof::base(),
        &["inbox"],
        r#"
[tasks.first]
watch = { dir = "inbox", match = ["*.txt"], settle = "20ms" }
command = { program = "cp", args = ["{input}", "{output}"], output = "second/{name}", idempotent = true }

[tasks.second]
watch = { dir = "second", match = ["*.txt"], settle = "20ms" }
extract = { output = "out/{name}.json" }
"#,
    );
    for n in 0..20 {
        world.land(format!("{n}.txt"), format!("text {n}\n").as_bytes());
    }
    world.settle();
    assert_eq!(world.number("SELECT count(*) FROM job WHERE state = 4"), 40);
    assert_eq!(std::fs::read_dir(world.path("processed/second")).unwrap().count(), 20);
}

#[test]
fn a_mended_file_is_retried_from_where_it_failed() {
    let mut world = World::new(DOCS);
    world.land("a.csv", BAD);
    let supervisor = world.serve();
    let id = wait_for(&world, "a.csv", "failed").id;
    let place = world.path("failed/docs/a.csv");
    assert!(String::from_utf8(std::fs::read(record_of(&place)).unwrap()).unwrap().contains("csv_bad_row"));
    std::fs::write(&place, GOOD).unwrap();
    world.takes_back(BAD);
    world.sends(GOOD);
    world.line(&format!("retry {id}")).expect(0);
    wait_for(&world, "a.csv", "succeeded");
    supervisor.stop();
    assert_eq!(std::fs::read_dir(world.path("failed/docs")).unwrap().count(), 0);
    audit::at_rest(&world, "mended");
}

#[test]
fn a_skipped_file_lies_apart_with_the_reason_beside_it() {
    let mut world = World::new(DOCS);
    world.land("a.csv", BAD);
    let supervisor = world.serve();
    let id = wait_for(&world, "a.csv", "failed").id;
    world.run(["skip", &id.to_string(), "--reason", "a test of the sender's"]).expect(0);
    wait_for(&world, "a.csv", "skipped");
    let record = world.read("failed/docs/skipped/a.csv.error.json");
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    assert_eq!(record["operator"], "a test of the sender's");
    assert_eq!((&record["outcome"], &record["code"]), (&"skipped".into(), &"csv_bad_row".into()));
    assert!(!world.path("failed/docs/a.csv").exists() && !world.path("failed/docs/a.csv.error.json").exists());
    supervisor.stop();
    audit::at_rest(&world, "skipped");
}

#[test]
fn setting_a_job_aside_never_touches_another_file_of_its_name() {
    let mut world = World::new(DOCS);
    world.land("a.csv", BAD);
    let _supervisor = world.serve();
    let id = wait_for(&world, "a.csv", "failed").id;
    // Somebody takes the failed file away, and a new one of its name waits for its turn.
    world.line("pause docs").expect(0);
    std::fs::remove_file(world.path("failed/docs/a.csv")).unwrap();
    world.takes_back(BAD);
    world.land("a.csv", GOOD);
    wait_for(&world, "a.csv", "queued");
    world.run(["skip", &id.to_string(), "--reason", "gone"]).expect(0);
    assert_eq!(world.read("inbox/a.csv"), GOOD);
    world.line("resume docs").expect(0);
    wait_for(&world, "a.csv", "succeeded");
    assert_eq!(world.jobs_of("a.csv")[0].state, "skipped");
    // The same with a job that waits: another file has its name, and is not landed yet.
    world.line("pause docs").expect(0);
    let place = world.land("b.txt", b"old\n");
    let id = wait_for(&world, "b.txt", "queued").id;
    std::fs::remove_file(&place).unwrap();
    let writer = File::create(&place).unwrap();
    world.line(&format!("cancel {id}")).expect(0);
    assert!(place.exists() && !world.path("failed/docs/b.txt").exists());
    drop(writer);
}

#[test]
fn one_name_may_come_again_and_again() {
    let mut world = World::new(DOCS);
    for n in 0..4 {
        world.land("daily.csv", format!("id,value\n1,{n}\n").as_bytes());
        world.land("other.csv", format!("id,value\n{n}\n").as_bytes());
        world.settle();
    }
    let names = |dir: &str| {
        let mut names: Vec<_> = std::fs::read_dir(world.path(dir)).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names("processed/docs"), ["daily-2.csv", "daily-3.csv", "daily-4.csv", "daily.csv"]);
    assert_eq!(names("failed/docs")[..2], ["other-2.csv", "other-2.csv.error.json"]);
    assert_eq!(names("failed/docs").len(), 8);
    audit::at_rest(&world, "one name");
}

#[test]
fn an_output_whose_name_is_taken_replaces_or_fails_as_the_task_says() {
    let tasks = r#"
[tasks.latest]
watch = { dir = "inbox", match = ["*.csv"], settle = "20ms" }
extract = { output = "out/{name}.json", on_exists = "replace" }
[tasks.once]
watch = { dir = "inbox", match = ["*.txt"], settle = "20ms" }
command = { program = "cp", args = ["{input}", "{output}"], output = "out/{name}", on_exists = "fail", idempotent = true }
"#;
    let mut world = World::new(tasks);
    for n in 1..=2 {
        world.land("daily.csv", "id,value\n".repeat(1 + n).as_bytes());
        world.land("note.txt", format!("{n}\n").as_bytes());
        world.settle();
    }
    let sidecar: serde_json::Value = serde_json::from_slice(&world.read("out/daily.csv.json")).unwrap();
    assert_eq!(sidecar["rows"], 2, "that of the second file");
    assert_eq!(std::fs::read_dir(world.path("out")).unwrap().count(), 3, "a sidecar, its copy and the note");
    assert_eq!(world.read("out/note.txt"), b"1\n");
    let states = states(&world, "note.txt");
    assert_eq!(states, [("succeeded", None), ("failed", Some("output_exists".to_owned()))]);
    assert_eq!(world.read("failed/once/note.txt"), b"2\n");
}

//! Schedules in the real program: times come due by themselves, each runs once whatever happens to the supervisor, and
//! what does not run says why.

use crate::support::{Site, Supervisor, until};
use serde_json::Value;
use std::collections::BTreeSet;

/// The numbers of the states of runs.
const STATES: [&str; 9] =
    ["planned", "expanding", "open", "succeeded", "failed", "partial", "skipped", "missed", "cancelled"];

/// A run as its row has it.
#[derive(Clone, Debug)]
struct Run {
    state: &'static str,
    reason: String,
    planned_at: i64,
    slot: Option<String>,
}

/// The runs of a task, oldest first.
fn runs(site: &Site, task: &str) -> Vec<Run> {
    let db = rusqlite::Connection::open_with_flags(
        site.path("data/shiftboss.db"),
        rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
    )
    .unwrap();
    let sql = "SELECT r.state, coalesce(r.reason, ''), r.planned_at, r.slot FROM run r JOIN task t ON t.id = r.task
               WHERE t.name = ?1 ORDER BY r.id";
    let mut select = db.prepare(sql).unwrap();
    let rows = select.query_map([task], |r| {
        let state = STATES[usize::try_from(r.get::<_, i64>(0)?).unwrap()];
        Ok(Run { state, reason: r.get(1)?, planned_at: r.get(2)?, slot: r.get(3)? })
    });
    rows.unwrap().collect::<rusqlite::Result<_>>().unwrap()
}

fn in_state(site: &Site, task: &str, state: &str) -> Vec<Run> {
    runs(site, task).into_iter().filter(|run| run.state == state).collect()
}

/// A task that runs a line of shell.
fn shell(name: &str, trigger: &str, line: &str) -> String {
    format!(
        "[tasks.{name}]\n{trigger}\nretry = {{ attempts = 1 }}\n\
         command = {{ program = \"sh\", args = [\"-c\", {line:?}], idempotent = true }}\n"
    )
}

fn start(tasks: &str) -> (Site, Supervisor) {
    let site = Site::new(tasks);
    let supervisor = site.start();
    (site, supervisor)
}

fn banner(site: &Site, text: &str) -> Option<Value> {
    let status = site.json("status");
    let found = status["banners"].as_array()?.iter().find(|b| b["text"].as_str().unwrap_or_default().contains(text));
    found.cloned()
}

#[test]
fn times_come_due_and_each_runs_once_over_kills() {
    let site =
        Site::new(&shell("beat", "schedule = { every = \"1s\", overlap = \"queue\" }", "echo $SHIFTBOSS_RUN >> beats"));
    for round in 1..4 {
        let mut supervisor = site.start();
        until("two more runs", || (in_state(&site, "beat", "succeeded").len() >= 2 * round).then_some(()));
        supervisor.signal(nix::sys::signal::Signal::SIGKILL);
        supervisor.end();
    }
    let supervisor = site.start();
    until("it goes on", || (in_state(&site, "beat", "succeeded").len() >= 8).then_some(()));
    drop(supervisor);
    let all = runs(&site, "beat");
    let slots: BTreeSet<_> = all.iter().map(|r| r.slot.clone().unwrap()).collect();
    assert_eq!(slots.len(), all.len(), "a time ran twice: {all:?}");
    assert!(all.windows(2).all(|pair| pair[0].planned_at < pair[1].planned_at), "{all:?}");
    let first = all[0].planned_at;
    assert!(all.iter().all(|r| (r.planned_at - first) % 1000 == 0), "on the marks: {all:?}");
    let job = &site.jobs()[0];
    assert!(job["input"].as_str().unwrap().starts_with("20"), "the planned time is the input: {job:#}");
}

#[test]
fn a_second_start_within_the_hour_is_skipped_with_its_reason() {
    let (site, _supervisor) =
        start(&shell("daily", "manual = true\nwhen = { no_success_within = \"1h\" }", "echo ran >> ran"));
    site.run("trigger daily").expect(0);
    until("the first run", || (in_state(&site, "daily", "succeeded").len() == 1).then_some(()));
    site.run("trigger daily").expect(0);
    let skipped = until("the second run", || in_state(&site, "daily", "skipped").pop());
    assert!(skipped.reason.contains("it succeeded") && skipped.reason.ends_with("within 1h"), "{}", skipped.reason);
    let jobs = site.jobs();
    assert_eq!((&jobs[0]["state"], &jobs[0]["reason"]), (&"skipped".into(), &skipped.reason.clone().into()));
    assert_eq!(std::fs::read_to_string(site.path("ran")).unwrap(), "ran\n");
    let shown = site.run(&format!("show {}", jobs[0]["id"])).expect(0).out;
    assert!(shown.contains("it succeeded"), "{shown}");
}

#[test]
fn conditions_say_what_is_missing() {
    let refusing = [
        ("file", "when = { file_exists = \"go\" }", "there is no "),
        ("newer", "when = { file_newer_than = { path = \"config.toml\", age = \"1s\" } }", "was changed "),
        ("disk", "when = { disk_free_above = \"4000000TB\" }", "are free on the disk of"),
        (
            "program",
            "when = { command = { program = \"sh\", args = [\"-c\", \"exit 3\"] } }",
            "sh ended with exit code 3",
        ),
        (
            "asks",
            "when = { sql = \"SELECT count(*) FROM runs WHERE task = 'nobody'\" }",
            "the query over the history says 0",
        ),
    ];
    let tasks: String =
        refusing.iter().map(|(name, when, _)| shell(name, &format!("manual = true\n{when}"), "touch ran")).collect();
    let tasks = tasks
        + &shell("fine", "manual = true\nwhen = { file_exists = \"config.toml\", load_below = 100000.0 }", "true");
    let (site, _supervisor) = start(&tasks);
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    let config = std::fs::File::options().write(true).open(site.path("config.toml")).unwrap();
    config.set_modified(old).unwrap();
    for (name, _, reason) in refusing {
        site.run(&format!("trigger {name}")).expect(0);
        let run = until(name, || in_state(&site, name, "skipped").pop());
        assert!(run.reason.contains(reason), "{name}: {}", run.reason);
    }
    site.run("trigger fine").expect(0);
    until("the one whose conditions hold", || in_state(&site, "fine", "succeeded").pop());
    assert!(!site.path("ran").exists());
    std::fs::write(site.path("go"), "").unwrap();
    site.run("trigger file").expect(0);
    until("its file is there now", || in_state(&site, "file", "succeeded").pop());
}

#[test]
fn while_a_run_is_at_work_times_are_left_out_or_wait_or_end_it() {
    let waits = "while [ ! -e go ]; do sleep 0.02; done";
    let tasks = shell("skips", "schedule = { every = \"1s\", overlap = \"skip\" }", waits)
        + &shell("queues", "schedule = { every = \"1s\", overlap = \"queue\" }", waits)
        + &shell("cuts", "schedule = { every = \"1s\", overlap = \"cancel-running\" }", waits);
    let (site, _supervisor) = start(&tasks);
    until("times that are left out", || (in_state(&site, "skips", "skipped").len() >= 2).then_some(()));
    until("times that wait", || (in_state(&site, "queues", "planned").len() >= 2).then_some(()));
    until("runs that were ended", || (in_state(&site, "cuts", "cancelled").len() >= 2).then_some(()));
    for task in ["skips", "queues", "cuts"] {
        assert!(in_state(&site, task, "open").len() <= 1, "{task}: {:?}", runs(&site, task));
    }
    let cut = site.jobs().into_iter().find(|job| job["task"] == "cuts" && job["state"] == "cancelled").unwrap();
    let shown = site.run(&format!("show {}", cut["id"])).expect(0).out;
    assert!(shown.contains("the next run of its schedule is due"), "{shown}");
    let left_out = in_state(&site, "skips", "skipped").pop().unwrap();
    assert!(left_out.reason.ends_with("is not over yet"), "{}", left_out.reason);
    std::fs::write(site.path("go"), "").unwrap();
    let waiting = in_state(&site, "queues", "planned");
    until("those that waited", || {
        let done = in_state(&site, "queues", "succeeded");
        waiting.iter().all(|run| done.iter().any(|d| d.planned_at == run.planned_at)).then_some(())
    });
    let all = runs(&site, "queues");
    assert!(all.iter().all(|run| run.state != "skipped" && run.state != "missed"), "{all:?}");
}

#[test]
fn silence_is_said_and_taken_back() {
    let trigger = "schedule = { every = \"1s\", success_within = \"2s\" }";
    let (site, _supervisor) = start(&shell("quiet", trigger, "test -e good"));
    let said = until("the banner", || banner(&site, "quiet is overdue"));
    assert!(said["text"].as_str().unwrap().contains("never succeeded; one was due by"), "{said:#}");
    std::fs::write(site.path("good"), "").unwrap();
    until("the banner to go", || banner(&site, "quiet is overdue").is_none().then_some(()));
}

#[test]
fn a_paused_task_leaves_its_times_out() {
    let (site, _supervisor) = start(&shell("beat", "schedule = { every = \"1s\" }", "true"));
    site.run("pause beat").expect(0);
    let left_out = until("a time that is left out", || in_state(&site, "beat", "skipped").pop());
    assert_eq!(left_out.reason, "the task is paused");
    site.run("resume beat").expect(0);
    let last = runs(&site, "beat").last().unwrap().planned_at;
    until("it goes on", || in_state(&site, "beat", "succeeded").into_iter().find(|run| run.planned_at > last));
}

#[test]
fn a_script_that_waits_for_idleness_is_not_held_up_by_a_schedule() {
    let site = Site::new(&shell("beat", "schedule = { every = \"1s\" }", "true"));
    site.run("run --until-idle --wait 0s").expect(0);
    assert!(runs(&site, "beat").is_empty());
}

//! `fetch`, the real binary against a real server that keeps its own log. What was sent, how often, how much at once and
//! when is told by the server alone; what became of it by `jobs --json`, the files, and the rows of runs.

mod answers;
mod cached;
mod killed;
mod many;
mod oneshot;
mod pages;
#[cfg(debug_assertions)] // in a release build there are no crash points
mod points;
mod secrets;
mod server;
mod settled;

use crate::support::web::{Seen, Web};
use crate::support::{Site, Supervisor};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The crash points of a plan.
pub const POINTS: &[&str] = &["s4.before_expand", "s4.after_expand"];

/// Longest wait for a run of many requests.
const PATIENCE: Duration = Duration::from_secs(120);
/// Pause between two looks at something that nobody announces.
const STEP: Duration = Duration::from_millis(10);

/// Retries that come soon, and as many as a test needs.
const EAGER: &str = "retry = { attempts = 20, backoff = \"20ms\", max = \"100ms\" }\n";
/// No retry.
const ONCE: &str = "retry = { attempts = 1 }\n";

/// A task by hand with this table for `fetch`; what follows goes into the task.
fn task(name: &str, fetch: &str, more: &str) -> String {
    format!("[tasks.{name}]\nmanual = true\nfetch = {{ {fetch} }}\n{more}\n")
}

/// Waits for something that may take as long as many requests do.
#[track_caller]
fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::park_timeout(STEP);
    }
}

/// The names of the states of runs, by their number.
const STATES: [&str; 9] =
    ["planned", "expanding", "open", "succeeded", "failed", "partial", "skipped", "missed", "cancelled"];

/// A run, as its row says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Run {
    /// Name of its state.
    state: &'static str,
    ok: i64,
    failed: i64,
    skipped: i64,
}

/// The database, for looking.
fn db(site: &Site) -> rusqlite::Connection {
    // Reading only: closing it must not tidy up what a crash left.
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let db = rusqlite::Connection::open_with_flags(site.path("data/shiftboss.db"), flags).unwrap();
    db.busy_timeout(PATIENCE).unwrap();
    db
}

/// A number from the database.
#[track_caller]
fn number(site: &Site, sql: &str) -> i64 {
    db(site).query_row(sql, [], |row| row.get(0)).unwrap_or_else(|e| panic!("{sql}: {e}"))
}

/// How many runs a task has.
#[track_caller]
fn runs_of(site: &Site, task: &str) -> i64 {
    number(site, &format!("SELECT count(*) FROM run r JOIN task t ON t.id = r.task WHERE t.name = '{task}'"))
}

/// Starts a task by hand: the number of its run.
#[track_caller]
fn trigger(site: &Site, task: &str) -> i64 {
    site.json(&format!("trigger {task}"))["run"].as_i64().unwrap()
}

/// The row of a run.
#[track_caller]
fn run(site: &Site, id: i64) -> Run {
    let sql = "SELECT state, ok, failed, skipped FROM run WHERE id = ?1";
    let row = db(site).query_row(sql, [id], |r| Ok((r.get::<_, i64>(0)?, r.get(1)?, r.get(2)?, r.get(3)?)));
    let (state, ok, failed, skipped) = row.unwrap();
    let state = STATES[usize::try_from(state).unwrap()];
    Run { state, ok, failed, skipped }
}

/// Waits until a run is over.
#[track_caller]
fn settled(site: &Site, id: i64) -> Run {
    wait(&format!("run {id} to be over"), || {
        let run = run(site, id);
        (!matches!(run.state, "planned" | "expanding" | "open")).then_some(run)
    })
}

/// Starts a task by hand and waits until its run is over.
#[track_caller]
fn run_through(site: &Site, task: &str) -> Run {
    settled(site, trigger(site, task))
}

/// The jobs that are about a URL, in the order of their runs: the oldest first.
#[track_caller]
fn calls(site: &Site) -> Vec<Value> {
    let mut jobs: Vec<Value> =
        site.jobs().into_iter().filter(|j| j["input"].as_str().unwrap().starts_with("http")).collect();
    jobs.sort_by_key(|j| j["id"].as_i64());
    jobs
}

/// The one call of a task that is started by hand, when it is over.
#[track_caller]
fn call(site: &Site, task: &str) -> Value {
    let run = trigger(site, task);
    settled(site, run);
    let mut found = calls(site).into_iter().filter(|j| j["run"] == run);
    let job = found.next().unwrap_or_else(|| panic!("run {run} has no call"));
    assert!(found.next().is_none(), "run {run} has more than one call");
    job
}

/// The path in the URL of a job.
fn path_of(job: &Value) -> String {
    let rest = job["input"].as_str().unwrap().split_once("//").unwrap().1;
    let path = rest.find('/').map_or("/", |at| &rest[at..]);
    path.split('?').next().unwrap().to_owned()
}

/// The text of the only output of a job.
#[track_caller]
fn output(job: &Value) -> String {
    let outputs = job["outputs"].as_array().unwrap();
    assert_eq!(outputs.len(), 1, "{job:#}");
    std::fs::read_to_string(outputs[0].as_str().unwrap()).unwrap()
}

/// How many jobs are in which state.
fn states(jobs: &[Value]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    jobs.iter().for_each(|job| *counts.entry(job["state"].as_str().unwrap()).or_default() += 1);
    counts
}

/// Requests by path.
fn by_path(log: &[Seen]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    log.iter().for_each(|seen| *counts.entry(seen.path.as_str()).or_default() += 1);
    counts
}

/// Most requests that came in any window of this length.
fn most_within(log: &[Seen], window: Duration) -> usize {
    let mut from = 0;
    let mut most = 0;
    for (to, last) in log.iter().enumerate() {
        while last.at.duration_since(log[from].at) >= window {
            from += 1;
        }
        most = most.max(to - from + 1);
    }
    most
}

/// A site with these tasks, and its supervisor.
fn start(tasks: &str) -> (Site, Supervisor) {
    let site = Site::new(tasks);
    let supervisor = site.start();
    (site, supervisor)
}

/// The supervisor of a site, with these variables.
fn start_with_env(site: &Site, variables: &[(&str, &str)]) -> Supervisor {
    let mut command = site.command(["run"]);
    command.envs(variables.iter().copied());
    Supervisor::start_with(site, command)
}

/// The supervisor of a site, which may have so many files open.
fn start_with_files(site: &Site, files: u32) -> Supervisor {
    let plain = site.command(["run"]);
    let mut command = std::process::Command::new("sh");
    command.arg("-c").arg(format!("ulimit -n {files} && exec \"$0\" run")).arg(plain.get_program());
    command.current_dir(site.root());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Supervisor::start_with(site, command)
}

/// A server.
fn web() -> Web {
    Web::start()
}

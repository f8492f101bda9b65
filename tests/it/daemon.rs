//! The supervisor as a process, asked over its socket and on its command line: what lands, fails, is mended, skipped,
//! cancelled, reloaded and stopped.

use crate::support::{BAD, GOOD, ORDERS, Site, Supervisor, request, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// A task that runs a shell script on the files that land as `*.job`, one at a time.
fn shell(name: &str, script: &str, policies: &str) -> String {
    format!(
        "[tasks.{name}]\nwatch = {{ dir = \"inbox\", match = [\"*.job\"], settle = \"50ms\" }}\nconcurrency = 1\n\
         command = {{ program = \"sh\", args = [\"-c\", '''{script}''', \"sh\", \"{{input}}\"], grace = \"1s\", \
         idempotent = true }}\n{policies}\n"
    )
}

/// A task that an operator starts, with a shell script.
fn manual(name: &str, script: &str, policies: &str) -> String {
    format!(
        "[tasks.{name}]\nmanual = true\ncommand = {{ program = \"sh\", args = [\"-c\", '''{script}'''], \
         grace = \"1s\", idempotent = true }}\n{policies}\n"
    )
}

/// Whether a process is alive; one that only waits to be collected is not.
fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|s| !s.is_empty() && !s.starts_with(['Z', 'X']))
}

/// The process id that a script wrote into a file.
fn pid_in(path: &Path) -> i32 {
    until("a process id", || std::fs::read_to_string(path).ok()?.trim().parse().ok())
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path.as_ref()).unwrap_or_else(|e| panic!("{}: {e}", path.as_ref().display()))
}

fn banner(site: &Site, code: &str) -> Option<String> {
    let status = site.json("status");
    let found = status["banners"].as_array().unwrap().iter().find(|b| b["code"] == code)?;
    Some(found["text"].as_str().unwrap().to_owned())
}

#[test]
fn what_lands_is_processed_or_set_aside_with_the_reason() {
    let site = Site::new(ORDERS);
    let _supervisor = site.start();
    let good = site.land("inbox/good.csv", GOOD);
    site.land("inbox/bad.csv", BAD);
    let done = site.job_in("good.csv", "succeeded");
    assert_eq!((&done["input"], &done["rows"], &done["bytes_in"]), (&json!(good), &json!(2), &json!(GOOD.len())));
    let outputs = json!([site.path("out/good.csv.json"), site.path("out/good.csv.normalised.csv")]);
    assert_eq!(done["outputs"], outputs);
    let sidecar: Value = serde_json::from_str(&read(site.path("out/good.csv.json"))).unwrap();
    assert_eq!((&sidecar["type"], &sidecar["rows"]), (&json!("csv"), &json!(2)));
    assert_eq!(read(site.path("processed/orders/good.csv")), GOOD);

    let failed = site.job_in("bad.csv", "failed");
    let error = &failed["error"];
    assert_eq!(
        (&error["class"], &error["code"], &error["line"], &error["raw"]),
        (&json!("permanent"), &json!("csv_bad_row"), &json!(3), &json!("short"))
    );
    assert_eq!(site.tree("failed"), ["failed/orders/bad.csv", "failed/orders/bad.csv.error.json"]);
    let record: Value = serde_json::from_str(&read(site.path("failed/orders/bad.csv.error.json"))).unwrap();
    assert!(record.to_string().contains("csv_bad_row"), "{record}");
    assert_eq!(site.tree("inbox"), [""; 0]);

    let status = site.json("status");
    assert_eq!(status["state"], "running");
    assert_eq!((&status["counts"]["succeeded"], &status["counts"]["failed"]), (&json!(1), &json!(1)));
    // The history of a file is found by every name that it had.
    for path in ["inbox/good.csv", "processed/orders/good.csv", "out/good.csv.json"] {
        let found = site.run(&format!("file {path} --json")).expect(0).json();
        assert!(found.to_string().contains("good.csv"), "{path}: {found}");
    }
    let log = site.run(&format!("logs {}", failed["id"])).expect(0);
    assert!(log.out.contains("csv_bad_row"), "{log:?}");
}

#[test]
fn a_mended_file_succeeds_when_it_is_retried() {
    let site = Site::new(ORDERS);
    let _supervisor = site.start();
    site.land("inbox/bad.csv", BAD);
    let id = site.job_in("bad.csv", "failed")["id"].as_i64().unwrap();

    assert_eq!(site.json(&format!("retry {id}")), json!({ "done": [id], "refused": [] }));
    let again =
        until("the second failure", || site.job("bad.csv").filter(|j| j["attempt"] == 2 && j["state"] == "failed"));
    assert_eq!(again["spent"], 1, "a retry by hand has a fresh budget");
    assert_eq!(site.tree("failed"), ["failed/orders/bad.csv", "failed/orders/bad.csv.error.json"]);

    std::fs::write(site.path("failed/orders/bad.csv"), GOOD).unwrap();
    site.run(&format!("retry {id}")).expect(0);
    let done = site.state_of(id, "succeeded");
    assert_eq!((&done["attempt"], &done["error"], &done["rows"]), (&json!(3), &Value::Null, &json!(2)));
    assert_eq!(site.tree("failed"), [""; 0], "the file and its record are gone");
    assert_eq!(read(site.path("processed/orders/bad.csv")), GOOD);

    let refused = site.run(&format!("retry {id} --json")).expect(1).json();
    assert_eq!(refused["done"], json!([]));
    assert_eq!(refused["refused"][0]["id"], id);
    let detail = site.json(&format!("show {id}"));
    assert_eq!(detail["attempts"].as_array().unwrap().len(), 3);
    let kinds: Vec<&str> = detail["actions"].as_array().unwrap().iter().map(|a| a["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds.iter().filter(|k| **k == "retry").count(), 2, "{kinds:?}");
}

#[test]
fn a_selection_acts_on_what_still_matches() {
    let site = Site::new(ORDERS);
    let supervisor = site.start();
    for n in 1..=4 {
        site.land(&format!("inbox/bad-{n}.csv"), BAD);
    }
    site.land("inbox/empty.csv", "");
    until("five failures", || (site.json("status")["counts"]["failed"] == 5).then_some(()));

    let filter = r#"{"q": "state:failed task:orders bad-"}"#;
    let selected = supervisor.post("/v1/selections", Some(filter));
    assert_eq!(selected.code, 200, "{selected:?}");
    let selected = selected.json();
    assert_eq!(selected["count"], 4);
    assert_eq!(selected["names"].as_array().unwrap().len(), 3);

    // One of them is dealt with by somebody else before the answer.
    let first = site.job("bad-1.csv").unwrap()["id"].as_i64().unwrap();
    site.run_args(["skip", &first.to_string(), "--reason", "mine"]).expect(0);
    for n in 2..=4 {
        std::fs::write(site.path(format!("failed/orders/bad-{n}.csv")), GOOD).unwrap();
    }
    let done = supervisor.post(&format!("/v1/selections/{}/retry", selected["id"]), Some("{}"));
    assert_eq!(done.code, 200, "{done:?}");
    let done = done.json();
    assert_eq!(done["done"].as_array().unwrap().len(), 3, "{done}");
    for n in 2..=4 {
        site.job_in(&format!("bad-{n}.csv"), "succeeded");
    }
    site.job_in("bad-1.csv", "skipped");
    assert_eq!(site.job("empty.csv").unwrap()["attempt"], 1, "what did not match was left alone");

    let rest = site.json("retry --all-failed --search empty");
    assert_eq!(rest["done"].as_array().unwrap().len(), 1);
    until("the second try", || site.job("empty.csv").filter(|j| j["attempt"] == 2 && j["state"] == "failed"));
}

#[test]
fn a_skipped_file_keeps_its_reason() {
    let site = Site::new(ORDERS);
    let _supervisor = site.start();
    site.land("inbox/bad.csv", BAD);
    let id = site.job_in("bad.csv", "failed")["id"].as_i64().unwrap();
    site.run_args(["skip", &id.to_string(), "--reason", "시험 자료"]).expect(0);
    let job = site.state_of(id, "skipped");
    assert_eq!(job["reason"], "시험 자료");
    assert_eq!(site.tree("failed"), ["failed/orders/skipped/bad.csv", "failed/orders/skipped/bad.csv.error.json"]);
    let record = read(site.path("failed/orders/skipped/bad.csv.error.json"));
    assert!(record.contains("시험 자료"), "{record}");
    let detail = site.json(&format!("show {id}"));
    let action = detail["actions"].as_array().unwrap().last().unwrap().clone();
    let uid = nix::unistd::geteuid().as_raw();
    assert_eq!(
        (&action["kind"], &action["reason"], &action["uid"]),
        (&json!("skip"), &json!("시험 자료"), &json!(uid))
    );
}

#[test]
fn cancelling_a_running_command_frees_its_worker() {
    let site = Site::new(&shell("slow", r#"case "$1" in */stuck.job) echo $$ > pid; exec sleep 600;; esac"#, ""));
    let _supervisor = site.start();
    site.land("inbox/stuck.job", "1");
    let stuck = site.job_in("stuck.job", "running")["id"].as_i64().unwrap();
    let pid = pid_in(&site.path("pid"));
    site.land("inbox/next.job", "22");
    site.job_in("next.job", "queued");
    let why = site.json("why slow").to_string();
    assert!(why.contains("1"), "{why}");

    assert_eq!(site.json(&format!("cancel {stuck}"))["done"], json!([stuck]));
    site.state_of(stuck, "cancelled");
    site.job_in("next.job", "succeeded");
    assert!(!is_alive(pid), "the program is gone");
    assert!(site.tree("failed").contains(&"failed/slow/stuck.job".to_owned()), "{:?}", site.tree("failed"));
    assert_eq!(site.tree("inbox"), [""; 0]);
    let again = site.run(&format!("cancel {stuck} --json")).expect(1).json();
    assert_eq!(again["refused"][0]["id"], stuck);
}

#[test]
fn a_waiting_file_can_be_withdrawn_and_does_not_come_back() {
    let site = Site::new(ORDERS);
    site.run("pause").expect(0);
    let supervisor = site.start();
    site.land("inbox/a.csv", GOOD);
    let id = site.job_in("a.csv", "queued")["id"].as_i64().unwrap();
    site.run(&format!("cancel {id}")).expect(0);
    site.state_of(id, "cancelled");
    drop(supervisor);
    site.run("resume").expect(0);
    let _again = site.start();
    site.land("inbox/b.csv", GOOD);
    site.job_in("b.csv", "succeeded");
    assert_eq!(site.jobs().len(), 2, "the cancelled file was not found again");
}

#[test]
fn a_pause_holds_new_work_and_survives_a_restart() {
    let site = Site::new(ORDERS);
    let supervisor = site.start();
    site.run("pause orders").expect(0);
    site.land("inbox/a.csv", GOOD);
    let id = site.job_in("a.csv", "queued")["id"].as_i64().unwrap();
    assert!(site.json(&format!("why {id}")).to_string().contains("paused"));
    assert!(banner(&site, "task_paused").is_some());
    assert!(site.path("inbox/a.csv").exists(), "a held file is not touched");
    drop(supervisor);
    let _again = site.start();
    assert_eq!(site.job("a.csv").unwrap()["state"], "queued");
    site.run("resume orders").expect(0);
    site.state_of(id, "succeeded");
    assert!(banner(&site, "task_paused").is_none());
}

#[test]
fn an_operator_starts_tasks_by_hand() {
    let site = Site::new(&format!("{ORDERS}{}", manual("hello", "echo hello >> said", "")));
    let _supervisor = site.start();
    let triggered = site.json("trigger hello");
    let id = triggered["jobs"][0].as_i64().unwrap();
    site.state_of(id, "succeeded");
    assert_eq!(read(site.path("said")), "hello\n");

    std::fs::create_dir(site.path("spare")).unwrap();
    std::fs::write(site.path("spare/again.csv"), GOOD).unwrap();
    site.run("trigger orders --input spare/again.csv").expect(0);
    site.job_in("again.csv", "succeeded");
    assert!(site.path("spare/again.csv").exists(), "it is copied, never moved");
    assert!(site.path("out/again.csv.json").exists());

    let outside = tempfile::NamedTempFile::new().unwrap();
    let refused =
        site.run_args(["trigger".as_ref(), "orders".as_ref(), "--input".as_ref(), outside.path().as_os_str()]);
    assert!(refused.expect(1).err.contains("input_roots"));
    std::os::unix::fs::symlink(outside.path(), site.path("spare/link.csv")).unwrap();
    site.run("trigger orders --input spare/link.csv").expect(1);
    assert!(site.run("trigger ordres").expect(1).err.contains("did you mean `orders`?"));
    assert!(site.run("trigger orders").expect(1).err.contains("--input"));
}

#[test]
fn follow_on_work_starts_once_with_the_outputs() {
    let first = r#"
[tasks.gather]
manual = true
command = { program = "sh", args = ["-c", "echo gathered > \"$SHIFTBOSS_OUTPUT\""], output = "raw/{run}.txt", idempotent = true }
[tasks.merge]
after = "gather"
command = { program = "sh", args = ["-c", "echo \"$@\" >> merged; cat \"$@\" >> merged", "sh", "{inputs}"], idempotent = true }
[tasks.never]
after = { tasks = ["gather"], on = "failed" }
command = { program = "touch", args = ["never"], idempotent = true }
"#;
    let site = Site::new(first);
    let supervisor = site.start();
    let run = site.json("trigger gather")["run"].as_i64().unwrap();
    until("the follow-on job", || site.jobs().into_iter().find(|j| j["task"] == "merge" && j["state"] == "succeeded"));
    let merged = read(site.path("merged"));
    let output = site.path(format!("raw/{run}.txt"));
    assert_eq!(merged, format!("{}\ngathered\n", output.display()));
    drop(supervisor);
    let _again = site.start();
    site.json("trigger gather");
    until("the second follow-on job", || {
        (site.jobs().iter().filter(|j| j["task"] == "merge" && j["state"] == "succeeded").count() == 2).then_some(())
    });
    assert_eq!(site.jobs().iter().filter(|j| j["task"] == "merge").count(), 2, "once for each run, across a restart");
    assert!(!site.path("never").exists() && !site.jobs().iter().any(|j| j["task"] == "never"));
}

#[test]
fn a_bad_reload_keeps_the_old_configuration_and_a_good_one_leaves_running_jobs_alone() {
    let slow = shell("slow", "echo $$ > pid; while [ ! -e go ]; do sleep 0.05; done", "");
    let site = Site::new(&slow);
    let supervisor = site.start();
    site.land("inbox/a.job", "1");
    let job = site.job_in("a.job", "running");
    let pid = pid_in(&site.path("pid"));

    site.configure(&format!("{slow}\n[tasks.broken]\nmanual = true\ncomand = {{}}\n"));
    let refused = site.run("reload").expect(1);
    assert!(refused.err.contains("comand") && refused.err.contains("config.toml:"), "{refused:?}");
    assert!(banner(&site, "reload_failed").is_some());
    assert!(is_alive(pid));

    site.configure(&format!("{slow}{ORDERS}"));
    let done = site.json("reload");
    assert_eq!(done["changes"], json!(["added orders"]));
    assert_eq!(banner(&site, "reload_failed"), None);
    site.land("inbox/b.csv", GOOD);
    site.job_in("b.csv", "succeeded");
    let still = site.job_in("a.job", "running");
    assert_eq!((&still["attempt"], is_alive(pid)), (&job["attempt"], true), "nothing happened to it");

    // SIGHUP is the same; a task that is gone keeps its running job.
    site.configure(ORDERS);
    supervisor.signal(Signal::SIGHUP);
    until("the task to go", || {
        let tasks = site.json("status")["tasks"].as_array().unwrap().clone();
        tasks.iter().find(|t| t["name"] == "slow").filter(|t| t["removed"] == true).map(drop)
    });
    assert!(is_alive(pid));
    std::fs::write(site.path("go"), "").unwrap();
    site.job_in("a.job", "succeeded");
}

#[test]
fn a_stop_drains_and_a_second_one_does_not_wait() {
    let site = Site::new(&shell("slow", "echo $$ > pid; while [ ! -e go ]; do sleep 0.05; done; rm go", ""));
    let mut supervisor = site.start();
    site.land("inbox/a.job", "1");
    site.job_in("a.job", "running");
    site.land("inbox/b.job", "22");
    site.job_in("b.job", "queued");
    supervisor.signal(Signal::SIGTERM);
    until("the drain", || (site.json("status")["state"] == "draining").then_some(()));
    std::fs::write(site.path("go"), "").unwrap();
    assert_eq!(supervisor.end(), 0, "{}", supervisor.said());
    assert_eq!(site.json("status")["state"], "stopped");
    site.job_in("a.job", "succeeded");
    site.job_in("b.job", "queued");

    // The next start takes what was left; now nobody lets it end in good order.
    std::fs::remove_file(site.path("pid")).unwrap();
    let mut supervisor = site.start();
    site.job_in("b.job", "running");
    let pid = pid_in(&site.path("pid"));
    until("the second program", || (pid_in(&site.path("pid")) != 0 && is_alive(pid)).then_some(()));
    supervisor.signal(Signal::SIGTERM);
    until("the drain", || (site.json("status")["state"] == "draining").then_some(()));
    let hurried = Instant::now();
    supervisor.signal(Signal::SIGTERM);
    assert_eq!(supervisor.end(), 1);
    assert!(hurried.elapsed() < Duration::from_secs(5), "{:?}", hurried.elapsed());
    until("the program's end", || (!is_alive(pid)).then_some(()));
    let left = site.job("b.job").unwrap();
    assert_eq!((&left["state"], &left["spent"]), (&json!("queued"), &json!(0)), "{left}");

    std::fs::write(site.path("go"), "").unwrap();
    let _supervisor = site.start();
    let done = site.job_in("b.job", "succeeded");
    assert_eq!((&done["attempt"], &done["spent"]), (&json!(2), &json!(1)));
}

#[test]
fn stop_waits_until_the_supervisor_is_gone() {
    let site = Site::new(&shell("slow", "exec sleep 600", ""));
    let mut supervisor = site.start();
    site.land("inbox/a.job", "1");
    site.job_in("a.job", "running");
    site.run("stop --now").expect(0);
    assert_eq!(supervisor.end(), 1);
    assert_eq!(site.job("a.job").unwrap()["state"], "queued");
    site.run("stop").expect(69);
    let mut supervisor = site.start();
    site.run("cancel 1").expect(0);
    site.job_in("a.job", "cancelled");
    let stopped = site.run("stop").expect(0);
    assert_eq!(stopped.out, "stopped\n");
    assert!(!is_alive(supervisor.pid()), "`stop && next` may rely on it");
    assert_eq!(supervisor.end(), 0);
}

#[test]
fn a_command_that_may_not_run_twice_is_left_to_the_operator() {
    let site = Site::new(
        &shell("once", "echo $$ > pid; exec sleep 600", "").replace("idempotent = true", "idempotent = false"),
    );
    let mut supervisor = site.start();
    site.land("inbox/a.job", "1");
    // Claimed is not enough: what was never started may run.
    pid_in(&site.path("pid"));
    supervisor.signal(Signal::SIGKILL);
    assert_eq!(supervisor.end(), -1);
    let _again = site.start();
    let job = site.job_in("a.job", "failed");
    assert_eq!((&job["error"]["class"], &job["attempt"]), (&json!("interrupted"), &json!(1)));
    assert!(site.path("failed/once/a.job").exists());
}

#[test]
fn programs_that_outlive_a_killed_supervisor_are_ended_before_their_job_runs_again() {
    let site = Site::new(&shell("slow", "echo $$ >> pids; while [ ! -e go ]; do sleep 0.05; done", ""));
    let mut supervisor = site.start();
    site.land("inbox/a.job", "1");
    let first = pid_in(&site.path("pids"));
    supervisor.signal(Signal::SIGKILL);
    supervisor.end();
    let _again = site.start();
    let second = until("the second program", || read(site.path("pids")).lines().nth(1)?.parse::<i32>().ok());
    assert!(!is_alive(first), "never two of them at once");
    assert!(is_alive(second));
    std::fs::write(site.path("go"), "").unwrap();
    assert_eq!(site.job_in("a.job", "succeeded")["attempt"], 2);
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let site = Site::new(ORDERS);
    let supervisor = site.start();
    site.land("inbox/a.csv", GOOD);
    site.job_in("a.csv", "succeeded");
    let before = site.json("status");
    site.run("restart").expect(0);
    let after = until("the new supervisor", || {
        let answer = request(&site.socket(), "GET", "/v1/status", None).filter(|a| a.code == 200)?.json();
        (answer["uptime_ms"].as_u64()? < before["uptime_ms"].as_u64()?).then_some(answer)
    });
    assert_eq!(after["pid"], supervisor.pid(), "it takes the place of the old one");
    assert_eq!(after["counts"]["succeeded"], 1);
    site.land("inbox/b.csv", GOOD);
    site.job_in("b.csv", "succeeded");
}

#[test]
fn a_second_supervisor_is_refused() {
    let site = Site::new(ORDERS);
    let _supervisor = site.start();
    let second = site.run("run").expect(1);
    assert!(second.err.contains("in use by process"), "{second:?}");
    // The same inbox from another configuration.
    let text = read(site.path("config.toml")).replace("\"data\"", "\"other-data\"");
    std::fs::write(site.path("other.toml"), text).unwrap();
    let other = site.run("run -c other.toml").expect(1);
    assert!(other.err.contains("the watched folder") && other.err.contains("in use by process"), "{other:?}");
}

#[test]
fn a_timeout_ends_the_whole_process_group() {
    let script = "sleep 600 & echo $! > grandchild; wait";
    let site = Site::new(&shell("slow", script, "timeout = \"400ms\"\nretry = { attempts = 1 }"));
    let _supervisor = site.start();
    site.land("inbox/a.job", "1");
    let grandchild = pid_in(&site.path("grandchild"));
    let job = site.job_in("a.job", "failed");
    assert_eq!((&job["error"]["class"], &job["error"]["code"]), (&json!("timeout"), &json!("timeout")));
    until("the grandchild's end", || (!is_alive(grandchild)).then_some(()));
}

#[test]
fn a_program_that_ignores_the_request_to_end_is_ended_by_force() {
    let site = Site::new(&shell(
        "deaf",
        "trap '' TERM; echo $$ > pid; while :; do sleep 0.05; done",
        "timeout = \"200ms\"\nretry = { attempts = 1 }",
    ));
    let _supervisor = site.start();
    site.land("inbox/a.job", "1");
    let pid = pid_in(&site.path("pid"));
    site.job_in("a.job", "failed");
    assert!(!is_alive(pid));
}

#[test]
fn failures_that_may_pass_are_tried_again_and_spaced() {
    let script = r#"echo x >> tries; if [ $(wc -l < tries) -lt 3 ]; then echo "not yet" >&2; exit 75; fi"#;
    let policies = "retry = { attempts = 3, backoff = \"300ms\", factor = 2.0, jitter = false }";
    let site = Site::new(&shell("flaky", script, policies));
    let _supervisor = site.start();
    site.land("inbox/a.job", "1");
    let waiting = until("the backoff", || site.run("jobs --state retry --json").json()[0].as_object().cloned());
    assert_eq!(waiting["state"], "waiting");
    assert!(waiting["not_before"].is_string() && waiting["error"]["code"] == "exit_75", "{waiting:?}");
    let done = site.job_in("a.job", "succeeded");
    assert_eq!((&done["attempt"], &done["spent"]), (&json!(3), &json!(3)));
    let attempts = site.json(&format!("show {}", done["id"]))["attempts"].as_array().unwrap().clone();
    let outcomes: Vec<&str> = attempts.iter().map(|a| a["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["retry", "retry", "succeeded"]);
    let at = |n: usize, what: &str| chrono::DateTime::parse_from_rfc3339(attempts[n][what].as_str().unwrap()).unwrap();
    for (n, least) in [(0, 300), (1, 600)] {
        let pause = (at(n + 1, "started_at") - at(n, "ended_at")).num_milliseconds();
        assert!((least..least + 5000).contains(&pause), "{pause} ms after attempt {}", n + 1);
    }
    assert!(attempts[0]["error"]["message"].as_str().unwrap().contains("not yet"));
}

#[test]
fn exit_codes_say_whether_another_try_helps() {
    let script = r#"case "$1" in *data*) exit 65;; *) exit 3;; esac"#;
    let task = shell("rules", script, "retry = { attempts = 2, backoff = \"10ms\", jitter = false }");
    let site = Site::new(&task.replace("grace = \"1s\"", "grace = \"1s\", exit = { retry = [75], permanent = [65] }"));
    let _supervisor = site.start();
    site.land("inbox/data.job", "1");
    site.land("inbox/other.job", "22");
    let data = site.job_in("data.job", "failed");
    assert_eq!(
        (&data["attempt"], &data["error"]["class"], &data["error"]["code"]),
        (&json!(1), &json!("permanent"), &json!("exit_65"))
    );
    let other = site.job_in("other.job", "failed");
    assert_eq!(
        (&other["attempt"], &other["error"]["class"], &other["error"]["code"]),
        (&json!(2), &json!("transient"), &json!("exit_3"))
    );
}

#[test]
fn a_flood_of_output_is_kept_within_bounds() {
    let script = "i=0; while [ $i -lt 400 ]; do head -c 65536 /dev/zero | tr '\\0' 'x'; i=$((i+1)); done";
    let site = Site::new(&format!("[log]\nsegment = \"256KiB\"\nsegments = 2\n{}", shell("flood", script, "")));
    let _supervisor = site.start();
    site.land("inbox/a.job", "1");
    let job = site.job_in("a.job", "succeeded");
    let detail = site.json(&format!("show {}", job["id"]));
    let head = detail["attempts"][0]["output"].as_str().unwrap();
    assert!(!head.is_empty() && head.len() <= 16 * 1024, "{} bytes in the database", head.len());
    let size = |below| -> u64 {
        site.tree(below).iter().map(|p| std::fs::metadata(site.path(p)).map_or(0, |m| m.len())).sum()
    };
    let (kept, log) = (size("data/output"), size("data/logs"));
    assert!(kept > 4 << 20 && kept < 9 << 20, "26 MB of output left {kept} bytes");
    assert!(log < 1 << 20, "and {log} bytes of log");
}

#[test]
fn files_with_any_name_pass() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let site = Site::new(ORDERS);
    let supervisor = site.start();
    let names: [&[u8]; 5] = [
        "주문 2026.csv".as_bytes(),
        b"\x1b]0;title\x07\x1b[2J.csv",
        "evil\u{202e}vsc.csv".as_bytes(),
        b"latin-\xe9\xff.csv",
        b"-rf --all {input} $(id) `id`;.csv",
    ];
    for name in names {
        std::fs::write(site.path("inbox").join(OsStr::from_bytes(name)), GOOD).unwrap();
    }
    until("all of them", || (site.json("status")["counts"]["succeeded"] == names.len()).then_some(()));
    for name in names {
        let at = site.path("processed/orders").join(OsStr::from_bytes(name));
        assert!(at.exists(), "{at:?}");
    }
    let shown = [site.run("jobs").out, site.run("jobs --json").out, site.run("logs").out, supervisor.said()].concat();
    assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{shown:?}");
    let bytes = site.jobs().into_iter().find(|j| j["input_b64"].is_string()).expect("one name is not UTF-8");
    assert!(bytes["input"].as_str().unwrap().contains("\\xff"), "{bytes}");
}

#[test]
fn a_file_that_is_still_written_is_left_alone() {
    use std::io::Write;
    let site = Site::new(ORDERS);
    let _supervisor = site.start();
    let mut writer = std::fs::File::create(site.path("inbox/slow.csv")).unwrap();
    writer.write_all(b"id,value\n").unwrap();
    // A whole file that lands later is done first: nothing was waited for in between.
    site.land("inbox/whole.csv", GOOD);
    site.job_in("whole.csv", "succeeded");
    assert!(site.job("slow.csv").is_none_or(|j| j["state"] == "queued"), "{:?}", site.job("slow.csv"));
    writer.write_all(b"1,10\n2,20\n3,30\n").unwrap();
    drop(writer);
    assert_eq!(site.job_in("slow.csv", "succeeded")["rows"], 3);
}

#[test]
fn any_client_can_talk_to_the_socket() {
    let site = Site::new(ORDERS);
    let supervisor = site.start();
    let status = supervisor.get("/v1/status");
    assert_eq!((status.code, &status.json()["api"]), (200, &json!(1)));
    assert!(status.head.to_lowercase().contains("content-type: application/json"), "{}", status.head);
    for (method, path, body, code, error) in [
        ("GET", "/v1/nothing", None, 404, "unknown_route"),
        ("GET", "/v2/status", None, 404, "unknown_route"),
        ("POST", "/v1/status", None, 405, "wrong_method"),
        ("GET", "/v1/jobs/99", None, 404, "unknown_job"),
        ("GET", "/v1/jobs/x", None, 400, "bad_id"),
        ("GET", "/v1/jobs?q=state%3Ano", None, 400, "bad_filter"),
        ("GET", "/v1/jobs?limit=-1", None, 400, "bad_query"),
        ("POST", "/v1/jobs/skip", Some(r#"{"ids":[1]}"#), 400, "reason_required"),
        ("POST", "/v1/jobs/retry", Some("{nonsense"), 400, "bad_json"),
        ("POST", "/v1/tasks/none/pause", Some("{}"), 404, "unknown_task"),
    ] {
        let answer = request(&site.socket(), method, path, body).unwrap();
        assert_eq!((answer.code, answer.json()["error"]["code"].as_str().unwrap()), (code, error), "{method} {path}");
        assert!(answer.json()["error"]["message"].as_str().is_some_and(|m| !m.is_empty()));
    }
    let huge = format!(r#"{{"q": "{}"}}"#, "x".repeat(2 * 1024 * 1024));
    let refused = request(&site.socket(), "POST", "/v1/selections", Some(&huge));
    assert!(refused.is_none_or(|a| a.code == 413), "a body of 2 MiB is not read");
    assert_eq!(supervisor.get("/v1/tasks").json()["tasks"][0]["name"], "orders");
    assert_eq!(supervisor.post("/v1/pause", None).code, 200);
    assert_eq!(supervisor.get("/v1/status").json()["banners"][0]["code"], "paused");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(site.socket()).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_thousand_files_are_each_done_once() {
    let site = Site::new(ORDERS);
    for n in 0..1000 {
        std::fs::write(site.path(format!("inbox/f{n:04}.csv")), if n % 100 == 7 { BAD } else { GOOD }).unwrap();
    }
    let _supervisor = site.start();
    until("all of them", || {
        let counts = site.json("status")["counts"].clone();
        (counts["succeeded"] == 990 && counts["failed"] == 10).then_some(())
    });
    assert_eq!(site.tree("processed").len(), 990);
    assert_eq!(site.tree("failed").len(), 20);
    assert_eq!(site.tree("out").len(), 1980);
    assert_eq!(site.tree("inbox"), [""; 0]);
    assert!(site.jobs().iter().all(|j| j["attempt"] == 1));
}

/// Not in the list of the tests above: that a test's supervisor does not outlive it is what the others rely on.
#[test]
fn a_dropped_supervisor_is_gone() {
    let site = Site::new(ORDERS);
    let supervisor: Supervisor = site.start();
    let pid = supervisor.pid();
    drop(supervisor);
    assert_eq!(kill(Pid::from_raw(pid), None), Err(nix::errno::Errno::ESRCH));
}

/// Names of files, errors and lines of output are nobody else's business.
#[test]
fn what_it_remembers_is_closed_to_others() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new(ORDERS);
    let _supervisor = site.start();
    for (path, mode) in [("data", 0o700), ("data/logs", 0o700), ("data/shiftboss.db", 0o600), ("data/lock", 0o600)] {
        let found = std::fs::metadata(site.path(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{path}: {found:o}");
    }
}

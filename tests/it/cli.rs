//! The command line as scripts see it: exit codes, JSON, and what is printed where, with a supervisor and without.

use crate::support::{BAD, GOOD, ORDERS, Site, until};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;

/// Two tasks: one that watches, one that is started by hand.
fn both() -> String {
    format!("{ORDERS}[tasks.hello]\nmanual = true\ncommand = {{ program = \"true\", idempotent = true }}\n")
}

#[test]
fn without_a_supervisor_reads_answer_and_actions_are_kept() {
    let site = Site::new(&both());
    for line in ["status", "jobs", "logs", "file inbox/none.csv", "why orders", "check"] {
        site.run(line).expect(0);
        site.run(&format!("{line} --json")).expect(0);
    }
    assert!(!site.path("data/shiftboss.db").exists(), "a question leaves nothing behind");
    let status = site.json("status");
    assert_eq!((&status["state"], &status["pid"]), (&json!("stopped"), &Value::Null));
    for line in ["stop", "stop --now", "attach", "reload", "restart"] {
        let refused = site.run(line).expect(69);
        assert!(refused.err.contains("no supervisor is running") && refused.out.is_empty(), "{refused:?}");
    }
    for line in ["show 5", "why 5", "retry 5", "cancel 5", "skip 5 --reason x", "pause ordres", "trigger ordres"] {
        site.run(line).expect(1);
    }
    site.run("pause").expect(0);
    site.run("resume").expect(0);
    site.run("pause orders").expect(0);
    let started = site.json("trigger hello");
    assert_eq!(started["jobs"].as_array().unwrap().len(), 1);
    assert_eq!(site.json("status")["counts"]["queued"], 1);
    assert_eq!(site.jobs()[0]["state"], "queued");
    // What was done then holds now.
    let _supervisor = site.start();
    until("the job that was started before", || site.jobs().into_iter().find(|j| j["state"] == "succeeded"));
    let tasks = site.json("status")["tasks"].as_array().unwrap().clone();
    assert!(tasks.iter().find(|t| t["name"] == "orders").unwrap()["paused"].is_object());
}

#[test]
fn with_a_supervisor_every_command_answers() {
    let site = Site::new(&both());
    let _supervisor = site.start();
    site.land("inbox/bad.csv", BAD);
    let id = site.job_in("bad.csv", "failed")["id"].clone();
    for line in [
        "status",
        "jobs",
        &format!("show {id}"),
        &format!("why {id}"),
        "why orders",
        "file inbox/bad.csv",
        "logs",
        "logs --task orders --level error",
        "check",
        "pause hello",
        "resume hello",
        "pause",
        "resume",
        "reload",
        "trigger hello",
    ] {
        let text = site.run(line).expect(0);
        assert!(!text.out.is_empty(), "{line}: {text:?}");
        site.run(&format!("{line} --json")).expect(0).json_lines();
    }
    for line in ["show 99", "why 99", "retry 99", "cancel 99", "skip 99 --reason x", "pause helo", "trigger orders"] {
        let refused = site.run(line).expect(1);
        assert!(!refused.err.is_empty(), "{line}");
    }
    assert_eq!(site.run(&format!("cancel {id} --json")).expect(1).json()["refused"][0]["id"], id);
    assert!(site.run("show 99 --json").expect(1).out.is_empty(), "an error is no data");
}

#[test]
fn what_is_typed_wrong_is_a_usage_error() {
    let site = Site::new(ORDERS);
    for line in [
        "nonsense",
        "jobs --state bad",
        "jobs --limit 0",
        "jobs --limit x",
        "show",
        "show abc",
        "retry",
        "retry 1 --all-failed",
        "retry 1 --task orders",
        "skip 1",
        "skip 1 --reason",
        "logs 1 --task orders",
        "logs --level loud",
        "run --wait 1m",
        "run --until-idle --wait banana",
        "completions tcl",
        "--color sometimes status",
        "trigger",
        "pause a b",
    ] {
        let refused = site.run(line).expect(2);
        assert!(refused.out.is_empty() && !refused.err.is_empty(), "{line}: {refused:?}");
    }
    // The dashboard needs a terminal; a supervisor that nobody could see is not started.
    let refused = site.run("").expect(2);
    assert!(refused.err.contains("needs a terminal"), "{refused:?}");
    assert_eq!(site.json("status")["state"], "stopped");
    assert!(!site.path("data/supervisor.log").exists());
}

#[test]
fn a_job_has_every_field_of_the_contract() {
    let site = Site::new(ORDERS);
    let supervisor = site.start();
    site.land("inbox/good.csv", GOOD);
    site.land("inbox/bad.csv", BAD);
    site.job_in("good.csv", "succeeded");
    site.job_in("bad.csv", "failed");
    let check = |jobs: &[Value]| {
        let order: Vec<&str> = jobs.iter().map(|j| j["state"].as_str().unwrap()).collect();
        assert_eq!(order, ["failed", "succeeded"], "what needs a person comes first");
        for job in jobs {
            for (field, fits) in [
                ("id", job["id"].is_i64()),
                ("task", job["task"] == "orders"),
                ("action", job["action"] == "extract"),
                ("input", job["input"].as_str().is_some_and(|p| p.starts_with('/'))),
                ("attempt", job["attempt"] == 1),
                ("spent", job["spent"] == 1),
                ("max_attempts", job["max_attempts"] == 3),
                ("duration_ms", job["duration_ms"].is_u64()),
                ("rows", job["rows"].is_u64() == (job["state"] == "succeeded")),
                ("bytes_in", job["bytes_in"].is_u64()),
                ("bytes_out", job["bytes_out"].is_u64()),
                ("outputs", job["outputs"].is_array()),
                ("input_b64", job.get("input_b64").is_none()),
            ] {
                assert!(fits, "{field}: {job}");
            }
            for field in ["created_at", "started_at", "finished_at"] {
                let at = job[field].as_str().unwrap_or_default();
                assert!(chrono::DateTime::parse_from_rfc3339(at).is_ok(), "{field}: {at}");
            }
        }
        let error = &jobs[0]["error"];
        for field in ["class", "code", "message", "causes", "file", "line", "column", "column_name", "raw"] {
            assert!(!error[field].is_null(), "{field}: {error}");
        }
        assert_eq!((&error["line"], &error["column"]), (&json!(3), &json!(2)), "both count from 1");
        assert!(jobs[1]["error"].is_null());
    };
    let live = site.jobs();
    check(&live);
    let only = |line: &str| site.json(line).as_array().unwrap().len();
    assert_eq!(only("jobs --state failed"), 1);
    assert_eq!(only("jobs --state failed --state succeeded"), 2);
    assert_eq!(only("jobs --state retry"), 0);
    assert_eq!(only("jobs --task orders --search good"), 1);
    assert_eq!(only("jobs --task other"), 0);
    assert_eq!(only("jobs --limit 1"), 1);
    drop(supervisor);
    check(&site.jobs());

    let status = site.json("status");
    for state in ["waiting", "queued", "running", "placing", "succeeded", "failed", "skipped", "cancelled"] {
        assert!(status["counts"][state].is_u64(), "{state}: {status}");
    }
    assert_eq!((&status["version"], &status["api"]), (&json!(env!("CARGO_PKG_VERSION")), &json!(1)));
    assert_eq!(status["tasks"][0]["name"], "orders");
    // Without a supervisor an action is taken by the same rules, and is done when it is answered.
    let id = live[0]["id"].as_i64().unwrap();
    let done = site.run_args(["skip", &id.to_string(), "--reason", "test data", "--json"]).expect(0).json();
    assert_eq!(done, json!({ "done": [id], "refused": [] }));
    assert_eq!(site.job("bad.csv").unwrap()["state"], "skipped");
    assert!(site.path("failed/orders/skipped/bad.csv").exists());
    let again = site.run(&format!("retry {} --json", live[1]["id"])).expect(1).json();
    assert_eq!(again["refused"][0]["id"], live[1]["id"]);
}

#[test]
fn a_new_folder_is_ready_at_once() {
    let site = Site::empty();
    let none = site.run("check").expect(78);
    assert!(none.err.contains("shiftboss init"), "{none:?}");
    site.run("run").expect(78);
    site.run("").expect(78);
    site.run("status").expect(78);
    let made = site.run("init").expect(0);
    assert!(made.out.contains("config.toml") && made.out.contains("inbox"), "{made:?}");
    site.run("check").expect(0);
    let checked = site.run("check --json").expect(0).json();
    assert_eq!((&checked["ok"], checked["tasks"].as_array().unwrap().len()), (&json!(true), 3));
    let before = std::fs::read(site.path("config.toml")).unwrap();
    site.run("init").expect(1);
    assert_eq!(std::fs::read(site.path("config.toml")).unwrap(), before, "nothing is overwritten");
    site.run("init elsewhere/deep").expect(0);
    site.run("check -c elsewhere/deep/config.toml").expect(0);
    let idle = site.run("run --until-idle --wait 0s --json").expect(0);
    assert_eq!(idle.json()["succeeded"], 0);
}

#[test]
fn every_problem_has_its_place() {
    let site =
        Site::new("[tasks.a]\nmanual = true\nsetle = 1\n[tasks.b]\nafter = \"c\"\ncommand = { program = \"x\" }\n");
    for line in ["check", "run", "status", "jobs", ""] {
        let bad = site.run(line).expect(78);
        for place in ["config.toml:7:1", "config.toml:9:9", "did you mean"] {
            assert!(bad.err.contains(place), "{line}: {place} in {}", bad.err);
        }
    }
    let listed = site.run("check --json").expect(78).json();
    assert_eq!(listed["ok"], false);
    assert!(listed["problems"].as_array().unwrap().iter().any(|p| p["line"] == 7 && p["column"] == 1), "{listed}");
    site.configure("[tasks\n");
    assert!(site.run("check").expect(78).err.contains("config.toml:5:"), "broken TOML too");
    std::fs::set_permissions(site.path("config.toml"), std::fs::Permissions::from_mode(0o666)).unwrap();
    assert!(site.run("check").expect(78).err.contains("can be written by others"));
    site.run("check -c nowhere.toml").expect(78);
}

#[test]
fn a_supervisor_is_reached_although_its_configuration_was_broken_since() {
    let site = Site::new(ORDERS);
    let mut supervisor = site.start();
    site.configure("[tasks.orders]\nwatch = banana\n");
    assert_eq!(site.json("status")["state"], "running");
    site.run("jobs").expect(0);
    site.run("check").expect(78);
    site.run("stop").expect(0);
    assert_eq!(supervisor.end(), 0);
    site.run("status").expect(78);
}

#[test]
fn run_until_idle_tells_what_it_did() {
    let site = Site::new(&both());
    let nothing = site.run("run --until-idle --wait 0s").expect(0);
    assert_eq!(nothing.out.lines().last(), Some("0 succeeded, 0 failed, 0 skipped, 0 cancelled, 0 waiting, 0 queued"));
    std::fs::write(site.path("inbox/good.csv"), GOOD).unwrap();
    site.run("run --until-idle --json").expect(0);
    std::fs::write(site.path("inbox/good-2.csv"), GOOD).unwrap();
    std::fs::write(site.path("inbox/bad.csv"), BAD).unwrap();
    let mixed = site.run("run --until-idle --json").expect(1);
    assert_eq!(
        mixed.json(),
        json!({ "succeeded": 1, "failed": 1, "skipped": 0, "cancelled": 0, "waiting": 0, "queued": 0 })
    );
    let idle = site.run("run --until-idle").expect(0);
    assert!(idle.out.starts_with("0 succeeded"), "a failure of another run is not this one's: {idle:?}");
    assert!(!site.socket().exists() || site.run("stop").code == 69);
}

#[test]
fn run_until_idle_waits_for_retries_and_follow_on_work() {
    let site = Site::new(
        r#"
[tasks.flaky]
watch = { dir = "inbox", match = ["*.job"], settle = "50ms" }
command = { program = "sh", args = ["-c", "test -e seen || { touch seen; exit 1; }"], idempotent = true }
retry = { attempts = 2, backoff = "400ms", jitter = false }
[tasks.then]
after = "flaky"
command = { program = "touch", args = ["followed"], idempotent = true }
"#
        .replace("|| { touch seen; exit 1; }", "|| (touch seen && false)")
        .as_str(),
    );
    std::fs::write(site.path("inbox/a.job"), "1").unwrap();
    let short = site.run("run --until-idle --wait 0s --json");
    assert_eq!((short.code, &short.json()["waiting"]), (1, &json!(1)), "a retry beyond the wait is left: {short:?}");
    let long = site.run("run --until-idle --json").expect(0);
    assert_eq!(long.json()["succeeded"], 2);
    assert!(site.path("followed").exists());
}

#[test]
fn documents_are_printed() {
    let site = Site::empty();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = site.run(&format!("completions {shell}")).expect(0).out;
        assert!(script.contains("shiftboss") && script.len() > 1000, "{shell}");
    }
    let man = site.run("man").expect(0).out;
    assert!(man.starts_with(".") && man.contains("EXIT") || man.contains("Exit codes"), "{man}");
    let help = site.run("--help").expect(0).out;
    for word in ["retry", "Exit codes", "--json"] {
        assert!(help.contains(word), "{word}");
    }
    assert!(site.run("--version").expect(0).out.contains(env!("CARGO_PKG_VERSION")));
    let doctor = site.run("doctor");
    assert!([0, 1].contains(&doctor.code) && !doctor.out.is_empty(), "{doctor:?}");
}

#[test]
fn colours_are_an_option_and_a_wish() {
    let site = Site::new(ORDERS);
    assert!(!site.run("status").expect(0).out.contains('\u{1b}'), "not to a pipe");
    assert!(site.run("status --color always").expect(0).out.contains('\u{1b}'));
    let output = site.command(["status", "--color", "auto"]).env("NO_COLOR", "1").output().unwrap();
    assert!(!String::from_utf8(output.stdout).unwrap().contains('\u{1b}'));
    assert!(!site.run("status --json --color always").expect(0).out.contains('\u{1b}'));
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    let site = Site::new(ORDERS);
    for n in 0..300 {
        std::fs::write(site.path(format!("inbox/a-file-with-a-rather-long-name-{n}.csv")), BAD).unwrap();
    }
    site.run("run --until-idle --wait 0s").expect(1);
    for line in ["jobs", "jobs --json", "logs -n 100000"] {
        let mut child = site.command(line.split(' ')).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        BufReader::with_capacity(16, child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && !said.contains("panic") && !said.contains("error"), "{line}: {said}");
    }
}

#[test]
fn a_disk_that_takes_no_output_is_an_error() {
    let site = Site::new(ORDERS);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = site.command(["status"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("standard output"));
}

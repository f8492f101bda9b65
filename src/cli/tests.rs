//! Every command against fixed answers: what it prints, its exit code, and which port it asked.

use super::*;
use crate::clock::ManualClock;
use crate::model::JobId;
use crate::model::sample::{self, FakePorts};
use crate::model::view::Refused;
use crate::model::{JobState, text};
use clap::Parser;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

/// Output that a test can read.
#[derive(Clone)]
pub(super) struct Captured {
    stdout: Bytes,
    stderr: Bytes,
    json: bool,
}

#[derive(Clone, Default)]
struct Bytes(Arc<Mutex<Vec<u8>>>);

impl Bytes {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap()
    }
}

impl Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Captured {
    pub(super) fn human() -> Self {
        Self { stdout: Bytes::default(), stderr: Bytes::default(), json: false }
    }

    pub(super) fn json() -> Self {
        Self { json: true, ..Self::human() }
    }

    pub(super) fn out(&self) -> Out {
        let clock = Arc::new(ManualClock::new(sample::NOW));
        Out::to(self.stdout.clone(), self.stderr.clone(), self.json, clock)
    }

    pub(super) fn stdout(&self) -> String {
        self.stdout.text()
    }
}

fn backend(fake: &FakePorts, live: bool) -> Backend {
    let all = Arc::new(fake.clone());
    Backend { reader: all.clone(), commands: all.clone(), explain: all, live }
}

/// Runs a command line and spells the result: exit code, standard output, and standard error behind a mark.
async fn run_with(fake: &FakePorts, live: bool, line: &str) -> String {
    let words = std::iter::once("shiftboss").chain(line.split_whitespace());
    let args = Args::try_parse_from(words).unwrap();
    let Some(Command::Ask(ask)) = args.command else { panic!("{line} needs more than a backend") };
    let captured = Captured { json: args.global.json, ..Captured::human() };
    let mut out = captured.out();
    let exit = match dispatch(&ask, &backend(fake, live), &mut out).await {
        Ok(exit) => exit,
        Err(fatal) => {
            out.fatal(&fatal);
            fatal.exit
        }
    };
    let mut spelled = format!("exit {}\n{}", exit as i32, captured.stdout());
    let stderr = captured.stderr.text();
    if !stderr.is_empty() {
        spelled.push_str(&format!("--- stderr\n{stderr}"));
    }
    spelled
}

async fn run(fake: &FakePorts, line: &str) -> String {
    run_with(fake, true, line).await
}

#[tokio::test]
async fn status_answers_on_one_screen() {
    let text = run(&FakePorts::default(), "status").await;
    assert!(text.lines().count() <= 24, "one screenful");
    insta::assert_snapshot!(text);
    let stopped = run_with(&FakePorts::default(), false, "status --json").await;
    assert!(stopped.starts_with("exit 0\n{\"state\":\"running\",\"pid\":4242,"), "{stopped}");
}

#[tokio::test]
async fn jobs_line_up() {
    let fake = FakePorts::default();
    let mut retry = sample::job(6, JobState::Waiting);
    retry.not_before = Some(sample::ago(-41));
    retry.held = Some("api.example.com asked us to wait".into());
    fake.jobs.lock().unwrap().push(retry);
    insta::assert_snapshot!(run(&fake, "jobs").await);
}

#[tokio::test]
async fn jobs_as_json_are_one_array() {
    let fake = FakePorts::default();
    let text = run(&fake, "jobs --json").await;
    let jobs: Vec<crate::model::view::JobView> = serde_json::from_str(text.strip_prefix("exit 0\n").unwrap()).unwrap();
    assert_eq!(jobs, *fake.jobs.lock().unwrap());
    fake.jobs.lock().unwrap().clear();
    assert_eq!(run(&fake, "jobs --json").await, "exit 0\n[]\n--- stderr\nno jobs\n");
    assert_eq!(run(&fake, "jobs").await, "exit 0\n--- stderr\nno jobs\n");
}

#[tokio::test]
async fn long_lists_are_read_page_by_page_and_each_job_comes_once() {
    let fake = FakePorts::default();
    let many: Vec<_> = (1..=2500).rev().map(|id| sample::job(id, JobState::Queued)).collect();
    *fake.jobs.lock().unwrap() = many;
    let text = run(&fake, "jobs --json").await;
    let jobs: Vec<serde_json::Value> = serde_json::from_str(text.strip_prefix("exit 0\n").unwrap()).unwrap();
    assert_eq!(jobs.len(), 2500);
    assert_eq!(fake.calls().last().unwrap(), "jobs  after=Some(\"1000\") limit=Some(1000) since=Some(991)");

    let text = run(&fake, "jobs --limit 1200").await;
    assert_eq!(text.lines().filter(|l| l.contains("queued")).count(), 1200);
    assert!(text.ends_with("--- stderr\n1,200 of 2,500 jobs\n"), "{}", &text[text.len() - 200..]);
    assert_eq!(fake.calls().last().unwrap(), "jobs  after=Some(\"1000\") limit=Some(200) since=None");
}

#[tokio::test]
async fn next_times_come_in_their_order() {
    let fake = FakePorts::default();
    insta::assert_snapshot!(run(&fake, "next -n 2").await);
    let text = run(&fake, "next --json").await;
    let times: serde_json::Value = serde_json::from_str(text.strip_prefix("exit 0\n").unwrap()).unwrap();
    let [partners, nightly] = ["partners", "nightly"].map(|name| {
        let page = sample::schedules();
        serde_json::json!({"task": name, "at": page.schedules.iter().find(|s| s.task == name).unwrap().next[0]})
    });
    assert_eq!(times, serde_json::json!([partners, nightly]), "the soonest first, one of each");
    let text = run(&fake, "next nightly --json").await;
    assert_eq!(text.matches("\"task\":\"nightly\"").count(), 2, "{text}");
    assert_eq!(
        run(&fake, "next nightly -n 9 --json").await,
        format!("{text}--- stderr\nno more than 5 times of a task are known\n")
    );
    let text = run(&fake, "next orders").await;
    assert!(text.starts_with("exit 1\n") && text.contains("these have one: nightly, partners"), "{text}");
    fake.schedules.lock().unwrap().schedules.clear();
    let text = run(&fake, "next --json").await;
    assert!(text.starts_with("exit 0\n[]\n--- stderr\nno task has a schedule"), "{text}");
}

#[tokio::test]
async fn states_become_filters() {
    let fake = FakePorts::default();
    for (line, filter) in [
        ("jobs --state failed", "state:failed"),
        ("jobs --state retry", "state:retry"),
        (
            "jobs --state failed --state retry",
            "!state:queued !state:running !state:placing !state:succeeded !state:skipped !state:cancelled",
        ),
        ("jobs --task orders --search state:failed", "task:orders \"state:failed\""),
    ] {
        run(&fake, line).await;
        let call = fake.calls().pop().unwrap();
        assert_eq!(call, format!("jobs {filter} after=None limit=Some(1000) since=None"), "{line}");
    }
    // The filter above lets first starts through; the command does not.
    let mut first = sample::job(8, JobState::Waiting);
    (first.attempt, first.spent) = (0, 0);
    *fake.jobs.lock().unwrap() = vec![first, sample::job(7, JobState::Waiting), sample::failed(5)];
    let text = run(&fake, "jobs --state failed --state retry --json").await;
    assert!(text.contains("\"id\":7,") && text.contains("\"id\":5,") && !text.contains("\"id\":8,"), "{text}");
}

#[tokio::test]
async fn show_shows_the_place() {
    insta::assert_snapshot!(run(&FakePorts::default(), "show 5").await);
}

#[tokio::test]
async fn show_lists_what_was_rejected() {
    let fake = FakePorts::default();
    *fake.detail.lock().unwrap() = Some(sample::with_rejects(5));
    insta::assert_snapshot!(run(&fake, "show 5").await);
    let text = run(&fake, "show 5 --json").await;
    let shown: serde_json::Value = serde_json::from_str(text.strip_prefix("exit 0\n").unwrap()).unwrap();
    assert_eq!((&shown["job"]["rejected"], &shown["rejects"][1]["byte"]), (&2.into(), &1266.into()));
    fake.jobs.lock().unwrap().insert(0, sample::with_rejects(9).job);
    assert!(run(&fake, "jobs --limit 1").await.contains("2 rejected"));
}

#[tokio::test]
async fn unknown_jobs_are_exit_code_1() {
    let fake = FakePorts::default();
    let expected = "exit 1\n--- stderr\nerror: no such job: 5000\n  hint: list them with `shiftboss jobs`\n";
    assert_eq!(run(&fake, "show 5000").await, expected);
    assert_eq!(run(&fake, "show 5000 --json").await, expected);
}

#[tokio::test]
async fn why_takes_jobs_and_tasks() {
    let fake = FakePorts::default();
    assert_eq!(run(&fake, "why 5").await, "exit 0\njob 5\n  - task orders is paused by mina\n");
    assert_eq!(
        run(&fake, "why #5 --json").await,
        "exit 0\n{\"subject\":\"job 5\",\"reasons\":[\"task orders is paused by mina\"]}\n"
    );
    assert_eq!(run(&fake, "why orders").await, "exit 0\ntask orders: nothing holds it back\n");
    assert_eq!(run(&fake, "why 2026").await, "exit 0\ntask 2026: nothing holds it back\n", "a task may be named so");
}

#[tokio::test]
async fn a_file_is_asked_for_by_its_absolute_path() {
    let fake = FakePorts::default();
    let text = run(&fake, "file some/a.csv").await;
    assert!(text.starts_with("exit 0\nID"), "{text}");
    let expected = std::path::absolute("some/a.csv").unwrap();
    assert_eq!(fake.calls(), [format!("file {expected:?}")]);
}

#[tokio::test]
async fn logs_print_what_is_there() {
    let fake = FakePorts::default();
    insta::assert_snapshot!(run(&fake, "logs").await, @r"
    exit 0
    2026-11-20 14:02:01 INFO  orders #5 landed
    2026-11-20 14:02:01 INFO  orders #5 started
    ");
    insta::assert_snapshot!(run_with(&fake, false, "logs -f --json -n 1").await, @r#"
    exit 0
    {"seq":2,"at":"2026-11-20T14:02:01.000+09:00","level":"info","task":"orders","job":5,"message":"started"}
    --- stderr
    no supervisor is running: nothing to follow
    "#);
    run(&fake, "logs 5").await;
    assert!(fake.calls().iter().any(|c| c.contains("from: Some(0)")), "all of a job's log is read");
}

#[tokio::test]
async fn logs_are_followed_until_the_supervisor_stops() {
    let fake = FakePorts::default();
    let follow = run(&fake, "logs --follow");
    let speak = async {
        while !fake.calls().iter().any(|c| c.starts_with("logs")) {
            tokio::task::yield_now().await;
        }
        fake.log(sample::log_line(3, "third"));
        fake.send(sample::tick(1));
        while !fake.calls().iter().any(|c| c.contains("from: Some(4)")) {
            tokio::task::yield_now().await;
        }
        fake.log(sample::log_line(4, "last"));
        fake.end();
    };
    let (text, ()) = futures_util::future::join(follow, speak).await;
    let said: Vec<&str> = text.lines().filter_map(|l| l.split_once("#5 ")).map(|(_, m)| m).collect();
    assert_eq!(said, ["landed", "started", "third", "last"]);
}

#[tokio::test]
async fn actions_report_what_was_done_and_refused() {
    let fake = FakePorts::default();
    assert_eq!(run(&fake, "retry 5 4 5").await, "exit 0\n2 jobs back in the queue: #5 #4\n");
    assert_eq!(fake.calls(), ["retry Jobs([JobId(5), JobId(4)])"]);
    *fake.refused.lock().unwrap() = vec![Refused { id: JobId(4), reason: "already decided".into() }];
    assert_eq!(
        run(&fake, "cancel 5 4 --json").await,
        "exit 1\n{\"done\":[5],\"refused\":[{\"id\":4,\"reason\":\"already decided\"}]}\n"
    );
    assert_eq!(
        run(&fake, "skip 5 4 --reason bad").await,
        "exit 1\n1 job skipped: #5\n--- stderr\n#4 refused: already decided\n"
    );
}

#[tokio::test]
async fn all_failed_acts_on_a_selection() {
    let fake = FakePorts::default();
    let text = run(&fake, "retry --all-failed --task orders --search number").await;
    assert_eq!(text, "exit 0\n2 jobs back in the queue: #5 #4\n");
    let uid = nix::unistd::geteuid();
    assert_eq!(
        fake.calls(),
        [format!("select state:failed task:orders number by {uid}"), "retry Selection(SelectionId(9))".into()]
    );
    fake.jobs.lock().unwrap().clear();
    assert_eq!(run(&fake, "skip --all-failed --reason x --json").await, "exit 0\n{\"done\":[],\"refused\":[]}\n");
    assert!(fake.calls().last().unwrap().starts_with("select"), "nothing matches, nothing is done");
    let wrong = run(&fake, "retry --all-failed --task ordres").await;
    assert!(wrong.starts_with("exit 1\n") && wrong.contains("no such task: ordres"), "{wrong}");
    assert!(wrong.contains("did you mean `orders`?"), "{wrong}");
    assert!(run(&fake, "retry --all-failed --task orders").await.starts_with("exit 0\n0 jobs"));
}

#[tokio::test]
async fn tasks_are_started_paused_and_resumed() {
    let fake = FakePorts::default();
    assert_eq!(run(&fake, "trigger orders --json").await, "exit 0\n{\"run\":78,\"jobs\":[6]}\n");
    assert_eq!(run(&fake, "trigger orders --input a.csv").await, "exit 0\nrun 78 of orders is queued: #6\n");
    let absolute = std::path::absolute("a.csv").unwrap();
    assert_eq!(fake.calls()[1], format!("trigger orders Some({absolute:?})"));
    assert_eq!(
        run(&fake, "pause").await,
        "exit 0\neverything paused by mina, 2026-11-20 14:02:11; running jobs go on\n"
    );
    assert_eq!(run(&fake, "resume orders").await, "exit 0\ntask orders resumed\n");
    assert_eq!(run(&fake, "reload").await, "exit 0\nreloaded: 1 change\n  - task orders: settle 2s -> 5s\n");
    assert_eq!(run(&fake, "restart").await, "exit 0\nrestarting: running jobs are drained first\n");
}

#[tokio::test]
async fn stop_returns_when_the_supervisor_is_gone() {
    let fake = FakePorts::default();
    fake.set_pid(None);
    assert_eq!(run(&fake, "stop").await, "exit 0\nstopped\n--- stderr\ndraining 2 running jobs\n");
    assert_eq!(fake.calls(), ["status", "stop now=false", "status"]);
}

#[tokio::test]
async fn what_needs_a_supervisor_says_so() {
    for line in ["stop", "stop --now --json", "reload", "restart"] {
        let fake = FakePorts::default();
        let text = run_with(&fake, false, line).await;
        assert!(text.starts_with("exit 69\n--- stderr\nerror: no supervisor is running\n"), "{line}: {text}");
        assert!(fake.calls().is_empty(), "{line}");
    }
}

#[tokio::test]
async fn refusals_have_their_exit_codes() {
    let fake = FakePorts::default();
    for (code, exit) in [("not_running", 69), ("permission_denied", 1), ("task_unknown", 1)] {
        *fake.refusal.lock().unwrap() = Some(Refusal::new(503, code, "bad \x1b[2J news"));
        for line in ["status", "jobs --json", "retry 5", "pause", "logs", "file x", "stop"] {
            let text = run(&fake, line).await;
            assert_eq!(text, format!("exit {exit}\n--- stderr\nerror: bad \\x1b[2J news\n"), "{line}");
        }
    }
}

#[tokio::test]
async fn nothing_from_outside_acts_on_the_terminal() {
    const HOSTILE: &str = "\x1b]52;c;eA==\x07\u{9b}2J\u{202e}\r\n\x7f";
    let fake = FakePorts::default();
    let mut job = sample::failed(5);
    job.input = HOSTILE.into();
    job.task = HOSTILE.into();
    job.held = Some(HOSTILE.into());
    job.not_before = Some(HOSTILE.into());
    let mut error = sample::failure();
    error.message = HOSTILE.into();
    error.raw = Some(HOSTILE.into());
    error.context[1].text = format!("a,b,{HOSTILE}");
    error.column_name = Some(HOSTILE.into());
    job.error = Some(error);
    *fake.jobs.lock().unwrap() = vec![job.clone()];
    let mut detail = sample::detail(5);
    detail.job = job;
    detail.attempts[0].output = Some(HOSTILE.into());
    detail.attempts[0].node = HOSTILE.into();
    detail.files[0].path = HOSTILE.into();
    detail.actions[0].reason = Some(HOSTILE.into());
    detail.why = vec![HOSTILE.into()];
    fake.set_detail(detail);
    *fake.log.lock().unwrap() = vec![sample::log_line(1, HOSTILE)];
    for line in ["jobs", "jobs --json", "show 5", "show 5 --json", "logs", "logs --json", "file x"] {
        let text = run(&fake, line).await;
        assert!(text.chars().all(|c| c == '\n' || text::is_shown(c)), "{line}: {text:?}");
        let shown = if line.ends_with("json") { "\\u001b]52" } else { "\\x1b]52" };
        assert!(line == "file x" || text.contains(shown), "{line}: {text}");
    }
}

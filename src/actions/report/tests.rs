//! What a report says, in each form; what a hostile name becomes; what a wrong template and a wrong setting is told.

use super::super::testing::{TestDesk, order, run};
use super::render::{Format, Templates, render};
use super::sheet::{About, Sheet};
use super::*;
use crate::model::statistics::{
    CauseTotals, Durations, FailedJob, NextRun, NotRun, Overdue, SlowJob, Statistics, TaskTotals, Totals, TypeTotals,
};
use crate::model::{FailureClass, JobId, JobState, Millis, RunState};

const NIGHT: i64 = 1_767_225_600_000;
const HOUR: i64 = 3_600_000;

/// A day of a small shop, with a name that means harm.
fn day() -> Statistics {
    let durations =
        Durations { jobs: 1207, p50_ms: Some(40), p95_ms: Some(1250), max_ms: Some(134_000), sampled: false };
    let totals = Totals {
        processed: 1204,
        failed: 3,
        skipped: 1,
        retried: 17,
        attempts: 1225,
        rows: 4_182_000,
        bytes_in: 91_000_000,
        bytes_out: 45_000_000,
        durations,
        ..Totals::default()
    };
    let failed = |job, at, input: &str, message: &str| FailedJob {
        job: JobId(job),
        task: "orders".into(),
        input: input.into(),
        at: Millis(at),
        attempts: 1,
        class: Some(FailureClass::Permanent),
        code: "csv_bad_row".into(),
        message: message.into(),
        file: Some("orders-7.csv".into()),
        line: Some(14),
        column: Some(3),
        column_name: Some("value".into()),
    };
    Statistics {
        from: Millis(NIGHT - 24 * HOUR),
        to: Millis(NIGHT),
        totals,
        tasks: vec![
            TaskTotals { task: "orders".into(), totals },
            TaskTotals { task: "partners".into(), totals: Totals { processed: 10, ..Totals::default() } },
        ],
        types: vec![
            TypeTotals { name: "csv".into(), totals: Totals { processed: 1190, failed: 3, ..Totals::default() } },
            TypeTotals { name: "URL".into(), totals: Totals { processed: 14, ..Totals::default() } },
        ],
        attempts: [1190, 15, 2, 0, 0],
        slowest: vec![SlowJob {
            job: JobId(88),
            task: "orders".into(),
            input: "/srv/inbox/big.csv".into(),
            state: JobState::Succeeded,
            duration_ms: 134_000,
        }],
        failures: vec![
            failed(
                19,
                NIGHT - HOUR,
                "/srv/inbox/<script>alert(1)</script>\x1b]0;x\x07.csv",
                "row 14 is short: \x1b[2J<b>",
            ),
            failed(12, NIGHT - 2 * HOUR, "/srv/inbox/orders-7.csv", "column value: \"12x\" is not a number"),
        ],
        causes: vec![CauseTotals {
            task: "orders".into(),
            class: "permanent".into(),
            code: "csv_bad_row".into(),
            text: "column value: \"…\" is not a number".into(),
            jobs: 2,
        }],
        not_run: vec![NotRun {
            task: "partners".into(),
            state: RunState::Missed,
            reason: "the supervisor was not running".into(),
            runs: 4,
            last: Millis(NIGHT - 5 * HOUR),
        }],
        next: vec![NextRun { task: "partners".into(), at: Millis(NIGHT + HOUR), plain: "every hour".into() }],
        overdue: vec![Overdue {
            task: "nightly".into(),
            since: Millis(NIGHT - HOUR),
            reason: "no success within 2 days".into(),
        }],
        ..Statistics::default()
    }
}

fn sheet() -> Sheet {
    let mut before = day();
    before.totals.processed = 1100;
    before.totals.failed = 0;
    let about = About {
        title: "daily".into(),
        host: "host-a".into(),
        made_at: Millis(NIGHT),
        zone: Some(chrono_tz::Asia::Seoul),
    };
    let inbox = folders::FolderSize { path: "inbox".into(), files: 12, bytes: 4096, complete: true, error: None };
    let cut = folders::FolderSize { path: "processed".into(), files: 500_000, complete: false, ..inbox.clone() };
    Sheet::new(&about, &day(), &before, vec![inbox, cut])
}

fn made(format: Format) -> String {
    render(format, &sheet(), &Templates::default()).unwrap()
}

#[test]
fn the_text_form_says_it_all_on_one_screen() {
    let text = made(Format::Text);
    insta::assert_snapshot!(text);
    assert!(text.lines().count() <= 45, "{text}");
}

#[test]
fn no_name_acts_on_a_terminal_or_in_a_mail() {
    for format in Format::ALL {
        let made = made(format);
        assert!(made.chars().all(|c| c == '\n' || crate::model::text::is_shown(c)), "{format:?}: {made}");
    }
    let html = made(Format::Html);
    assert!(!html.contains("<script>") && !html.contains("<b>\n"), "{html}");
    assert!(html.contains("&lt;script&gt;alert(1)") && html.contains("\\x1b[2J&lt;b&gt;"), "{html}");
    for outside in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!html.contains(outside), "it brings everything with it: {outside}");
    }
}

#[test]
fn the_html_form_is_well_formed_and_says_the_same() {
    let html = made(Format::Html);
    for tag in ["table", "tr", "td", "th", "div", "h2", "style", "body"] {
        let opened = html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "{tag}");
    }
    for told in ["1,204", "csv_bad_row", "orders-7.csv:14:3 (value)", "2m 14s", "at least", "nightly", "+9 %", "missed"]
    {
        assert!(html.contains(told), "{told}");
    }
}

#[test]
fn the_json_form_has_every_number() {
    let json: serde_json::Value = serde_json::from_str(&made(Format::Json)).unwrap();
    assert_eq!((json["totals"]["processed"].as_u64(), json["before"]["processed"].as_u64()), (Some(1204), Some(1100)));
    assert_eq!(
        (json["totals"]["jobs_per_hour"].as_u64(), json["totals"]["durations"]["p95_ms"].as_u64()),
        (Some(50), Some(1250))
    );
    assert_eq!(json["failures"][1]["place"], "orders-7.csv:14:3");
    assert_eq!(
        (&json["from"], &json["to"]),
        (&"2025-12-31T09:00:00.000+09:00".into(), &"2026-01-01T09:00:00.000+09:00".into())
    );
    assert_eq!((json["tasks"][0]["task"].as_str(), json["tasks"][0]["failed"].as_u64()), (Some("orders"), Some(3)));
    assert_eq!(json["headline"], "1,204 processed, 3 failed, 1 set aside, 4 missed, 1 overdue");
}

fn own(dir: &Path, source: &str) -> Result<String, Failure> {
    let path = dir.join("own.j2");
    std::fs::write(&path, source).unwrap();
    render(Format::Html, &sheet(), &Templates { text: None, html: Some(path) })
}

#[test]
fn a_wrong_template_is_told_with_its_file_and_line() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(own(dir.path(), "{{ failures[0].message }}").unwrap(), "row 14 is short: \\x1b[2J&lt;b&gt;\n");
    for (source, line, told) in [
        ("a\n{{ totals.procesed }}", Some(2), "undefined"),
        ("\n\n{% for x in %}", Some(3), "syntax"),
        ("{{ title|no_such }}", Some(1), "filter"),
        ("{% for i in range(90000) %}{% for j in range(90000) %}{% endfor %}{% endfor %}", Some(1), "steps"),
        ("a\n{% for i in range(90000) %}{{ 'x' * 100 }}{% endfor %}", None, "writes more than 4,194,304 bytes"),
        ("{% include \"/etc/hostname\" %}", Some(1), "template"),
    ] {
        let failure = own(dir.path(), source).unwrap_err();
        assert!(failure.message.contains(told), "{source}: {}", failure.message);
        assert_eq!((failure.line, failure.class), (line, FailureClass::Permanent), "{source}: {failure:?}");
        let place = line.map_or_else(|| "own.j2: ".to_owned(), |line| format!("own.j2:{line}: "));
        assert!(failure.message.contains(&place), "{}", failure.message);
    }
    let gone = Templates { text: Some(dir.path().join("gone")), html: None };
    assert_eq!(render(Format::Text, &sheet(), &gone).unwrap_err().code, "template_read");
}

/// Builds the action from `report = { … }`.
fn build(text: &str) -> Result<Arc<dyn Action>, Vec<String>> {
    let channels = ["ops", "mail", "chat"].map(|name| format!("[alerts.{name}]\ncommand = {{ program = \"true\" }}\n"));
    let config = format!("[tasks.daily]\nmanual = true\nreport = {text}\n{}", channels.concat());
    match crate::config::parse(Path::new("/srv/config.toml"), &config, &[&ReportKind]) {
        Ok(config) => Ok(Arc::clone(&config.tasks[0].action)),
        Err(problems) => Err(problems.list.into_iter().map(|p| p.message).collect()),
    }
}

#[test]
fn wrong_settings_are_told() {
    for (text, told) in [
        ("{ period = \"yesterday\" }", "`period` is not a period: \"yesterday\""),
        ("{ period = \"1s\" }", "`period` is not a period: \"1s\""),
        ("{ formats = [\"pdf\"] }", "no such format: \"pdf\""),
        ("{ formats = [] }", "`formats` is empty"),
        ("{ formats = [\"text\", \"text\"] }", "named twice: \"text\""),
        ("{ output = \"a/{date}\" }", "`output` must end with `.{ext}`, and have it nowhere else"),
        ("{ output = \"{ext}/{date}.{ext}\" }", "`output` must end with `.{ext}`, and have it nowhere else"),
        ("{ output = \"a/{name}.{ext}\" }", "`output` cannot use {name}"),
        ("{ to = [\"a\", \"a\"] }", "named twice: \"a\""),
        ("{ to = [\"opps\"] }", "no such alert channel: \"opps\""),
        ("{ folders = [\"\"] }", "not a folder: \"\""),
        ("{ template = \"x\" }", "unknown key: template"),
    ] {
        assert_eq!(build(text).unwrap_err(), [told], "{text}");
    }
    let one = build("{ formats = [\"html\"], output = \"reports/today.html\", to = [\"ops\"] }").unwrap();
    assert_eq!((one.outputs().len(), one.uses_archive(), one.channels()[0].value.as_str()), (1, false, "ops"));
    let default = build("{}").unwrap();
    assert!(default.uses_archive() && default.idempotent() && default.channels().is_empty());
}

/// A desk with a history.
fn desk() -> Arc<TestDesk> {
    let desk = TestDesk::new();
    *desk.statistics.lock().unwrap() = Some(day());
    Arc::new(desk)
}

#[test]
fn every_form_lies_in_the_archive_under_one_name() {
    let desk = desk();
    let report = run(build("{ folders = [\"inbox\"] }").unwrap(), order(&desk, None)).unwrap();
    let names: Vec<_> = desk.written().iter().map(|p| p.display().to_string()).collect();
    assert_eq!(names, ["/base/archive/docs-.txt", "/base/archive/docs-.html", "/base/archive/docs-.json"]);
    assert!(desk.bytes("docs-.txt").starts_with(b"docs: 1,204 processed, 3 failed"));
    assert_eq!(desk.json("docs-.json")["folders"][0]["complete"], false, "there is no such folder");
    assert_eq!(report.note.unwrap(), "1,204 processed, 3 failed, 1 set aside, 4 missed, 1 overdue; 3 files");
    assert!(desk.told.lock().unwrap().is_empty());
    let asked = desk.asked.lock().unwrap().clone();
    assert_eq!(
        asked,
        [(NIGHT - 24 * HOUR, NIGHT), (NIGHT - 48 * HOUR, NIGHT - 24 * HOUR)],
        "the period, and the one before"
    );
}

#[test]
fn channels_get_text_and_html_under_a_key_that_a_repetition_shares() {
    let desk = desk();
    let action = build("{ formats = [\"json\"], to = [\"mail\", \"chat\"] }").unwrap();
    run(Arc::clone(&action), order(&desk, None)).unwrap();
    let told = desk.told.lock().unwrap();
    let keys: Vec<_> = told.iter().map(|(channel, key, _)| (channel.as_str(), key.as_str())).collect();
    assert_eq!(keys, [("mail", "report-docs-7-12-mail"), ("chat", "report-docs-7-12-chat")]);
    let message = &told[0].2;
    assert_eq!(message.subject, "docs: 1,204 processed, 3 failed, 1 set aside, 4 missed, 1 overdue");
    assert!(message.text.contains("newest failures") && message.html.as_ref().unwrap().contains("Newest failures"));
    assert_eq!(message.commands, ["shiftboss jobs --state failed"]);
}

#[test]
fn a_stop_and_a_missing_history_end_it() {
    let none = Arc::new(TestDesk::new());
    assert_eq!(run(build("{}").unwrap(), order(&none, None)).unwrap_err().code, "no_statistics");
    let stopped = desk();
    stopped.patience.store(0, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(run(build("{}").unwrap(), order(&stopped, None)).unwrap_err().code, "stopped");
    assert!(stopped.written().is_empty());
}

//! Reports of a supervisor that really worked, in each form; and a crontab that becomes a configuration.

use super::support::{BAD, GOOD, ORDERS, Site};
use std::fs::read_to_string;

/// A name that is markup and moves the cursor.
const HOSTILE: &str = "<img src=x onerror=alert(1)>\x1b[2J&\u{202e}.csv";

fn site(report: &str) -> Site {
    Site::new(&format!("[files]\narchive = \"reports\"\n{ORDERS}\n[tasks.daily]\nmanual = true\nreport = {report}\n"))
}

/// Lands three files that pass and two that fail.
fn work(site: &Site) {
    for n in 1..=3 {
        site.land(&format!("inbox/good-{n}.csv"), GOOD);
        site.job_in(&format!("good-{n}.csv"), "succeeded");
    }
    site.land("inbox/bad.csv", BAD);
    site.job_in("/bad.csv", "failed");
    site.land(&format!("inbox/{HOSTILE}"), BAD);
    site.job_in("\\u{202e}.csv", "failed");
}

fn report(site: &Site) {
    let id = site.json("trigger daily")["jobs"][0].as_i64().unwrap();
    site.state_of(id, "succeeded");
}

#[test]
fn a_report_says_what_was_processed_and_what_failed_where() {
    let site = site("{ folders = [\"inbox\", \"processed\", \"failed\", \"nowhere\"] }");
    let _supervisor = site.start();
    work(&site);
    report(&site);
    let files = site.tree("reports");
    let named = |extension: &str| {
        let found = files.iter().find(|f| f.starts_with("reports/daily-2") && f.ends_with(extension));
        read_to_string(site.path(found.unwrap_or_else(|| panic!("no {extension} in {files:?}")))).unwrap()
    };
    assert_eq!(files.len(), 3, "{files:?}");
    let (text, html, json) = (named(".txt"), named(".html"), named(".json"));

    assert!(text.starts_with("daily: 3 processed, 2 failed\n"), "{text}");
    assert!(text.contains("/bad.csv: ") && text.contains("line 3"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json["totals"]["processed"].as_u64(), json["totals"]["failed"].as_u64()), (Some(3), Some(2)));
    assert_eq!((json["types"][0]["name"].as_str(), json["types"][0]["failed"].as_u64()), (Some("csv"), Some(2)));
    assert_eq!(json["failures"].as_array().unwrap().len(), 2);
    assert_eq!(
        (json["failures"][1]["code"].as_str(), json["failures"][1]["line"].as_u64()),
        (Some("csv_bad_row"), Some(3))
    );
    assert_eq!((json["causes"][0]["jobs"].as_u64(), json["before"]["jobs"].as_u64()), (Some(2), Some(0)));
    assert_eq!(json["tasks"][0]["durations"]["jobs"].as_u64(), Some(5));
    let folder =
        |n: usize| (json["folders"][n]["path"].as_str().unwrap(), json["folders"][n]["files"].as_u64().unwrap());
    assert_eq!((folder(1), folder(2)), (("processed", 3), ("failed", 4)), "two files and two records of their reason");
    assert!(json["folders"][3]["error"].is_string());

    for made in [&text, &html, &json.to_string()] {
        assert!(made.chars().all(|c| c == '\n' || !(c.is_control() || c == '\u{202e}')), "{made}");
    }
    assert!(!html.contains("<img") && html.contains("&lt;img src=x onerror=alert(1)&gt;"), "{html}");

    report(&site);
    let files = site.tree("reports");
    assert_eq!(
        files.iter().filter(|f| f.contains("-2.")).count(),
        3,
        "the second of a day has names of its own: {files:?}"
    );
}

#[test]
fn templates_of_the_user_take_the_place_of_ours() {
    let site = site(
        "{ formats = [\"text\"], output = \"out/{task}.txt\", on_exists = \"replace\", template_text = \"own.j2\" }",
    );
    std::fs::write(
        site.path("own.j2"),
        "{{ totals.processed }} of {{ totals.jobs }}\n{% for f in failures %}{{ f.task }} {% endfor %}\n",
    )
    .unwrap();
    let _supervisor = site.start();
    site.land("inbox/good.csv", GOOD);
    site.job_in("good.csv", "succeeded");
    report(&site);
    assert_eq!(read_to_string(site.path("out/daily.txt")).unwrap(), "1 of 1\n");
    std::fs::write(site.path("own.j2"), "\n{{ totals.processd }}\n").unwrap();
    let id = site.json("trigger daily")["jobs"][0].as_i64().unwrap();
    let failed = site.state_of(id, "failed");
    assert_eq!((failed["error"]["code"].as_str(), failed["error"]["line"].as_u64()), (Some("template"), Some(2)));
    assert!(failed["error"]["file"].as_str().unwrap().ends_with("own.j2"));
    assert_eq!(read_to_string(site.path("out/daily.txt")).unwrap(), "1 of 1\n", "the old one stays");
}

#[test]
fn a_period_is_reported_on_the_command_line_with_a_supervisor_and_without() {
    let site = site("{}");
    assert_eq!(site.json("report")["totals"]["jobs"].as_u64(), Some(0), "nothing has happened yet");
    {
        let _supervisor = site.start();
        work(&site);
        assert_eq!(site.json("report --period 1h")["totals"]["processed"].as_u64(), Some(3));
    }
    let text = site.run("report").expect(0).out;
    assert!(text.starts_with("shiftboss: 3 processed, 2 failed\n"), "{text}");
    site.run("report --format html -o week.html --period 7d").expect(0);
    assert!(read_to_string(site.path("week.html")).unwrap().starts_with("<!doctype html>"));
    assert!(site.run("report -o week.html").expect(1).err.contains("week.html"), "nothing is overwritten");
    site.run("report --period soon").expect(2);
    site.run("report --format pdf").expect(2);
}

#[test]
fn a_crontab_becomes_a_configuration_and_what_is_left_out_is_told() {
    let site = Site::empty();
    let crontab = "MAILTO=ops@example.com\n15 2 * * * /usr/bin/true --all >/dev/null 2>&1\n@reboot /usr/bin/agent\n";
    std::fs::write(site.path("crontab"), crontab).unwrap();
    let ran = site.run("init --from-crontab crontab work").expect(1);
    assert!(ran.err.contains("left out: line 3: @reboot") && ran.out.contains("1 task"), "{ran:?}");
    let made = read_to_string(site.path("work/config.toml")).unwrap();
    assert!(
        made.contains("[tasks.true]")
            && made.contains("cron = \"15 2 * * *\"")
            && made.contains("# @reboot /usr/bin/agent"),
        "{made}"
    );
    assert!(site.run("init --from-crontab crontab work").expect(1).err.contains("already"), "nothing is overwritten");
    site.run("init --system").expect(2);
    std::fs::write(site.path("raw"), b"# caf\xe9\n").unwrap();
    assert!(site.run("init --from-crontab raw other").expect(1).err.contains("line 1"));
    assert!(!site.path("other").exists());
}

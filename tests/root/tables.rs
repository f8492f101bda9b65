//! A disk that fills up while a large table is written to it.

use crate::mounts;
use crate::need_root;
use crate::support::{Site, until};
use std::fmt::Write as _;

/// Room for outputs, in MiB, as long as it is short.
const SHORT: u64 = 8;
/// Most memory that a transform may take beside what an idle supervisor has, in KiB: the share of two threads.
const GROWTH_MAX: u64 = 2 * 24 * 1024;

fn site(retry: &str) -> Site {
    Site::new(&format!(
        "[tasks.tables]\nwatch = {{ dir = \"inbox\", match = [\"*.csv\"], settle = \"50ms\" }}\nretry = {{ {retry} }}\n\
         transform = {{ sql = \"SELECT * FROM input\", output = \"out/{{stem}}.csv\" }}\n"
    ))
}

/// A table of so many MiB that comes out as it went in.
fn table(size: u64) -> String {
    let mut text = String::from("id,note\n");
    for id in 1..=size * 1024 {
        writeln!(text, "{id},{}", "abcdefghijklmno ".repeat(64).trim_end()).unwrap();
    }
    text
}

fn check_done(site: &Site, input: &str) {
    assert_eq!(site.tree("out"), ["out/t.csv"], "nothing temporary is left");
    assert!(std::fs::read_to_string(site.path("out/t.csv")).unwrap() == input, "the output is whole");
    assert!(std::fs::read_to_string(site.path("processed/tables/t.csv")).unwrap() == input);
    assert_eq!(site.tree("failed"), [""; 0]);
}

/// The most memory that a process has had so far, in KiB.
fn peak(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn room(site: &Site, size: u64) -> Option<mounts::Mount> {
    mounts::tmpfs(site, "out", &format!("{size}m"))
}

#[test]
fn a_table_that_fills_the_disk_waits_without_a_trace_and_is_whole_after_a_retry() {
    need_root();
    let site = site("attempts = 2, backoff = \"1h\", max = \"1h\"");
    let Some(disk) = room(&site, SHORT) else { return };
    let supervisor = site.start();
    let before = peak(supervisor.pid());
    let input = table(64);
    site.land("inbox/t.csv", &input);
    let waiting = site.job_in("t.csv", "waiting");
    let error = &waiting["error"];
    assert_eq!((error["class"].as_str(), error["code"].as_str()), (Some("transient"), Some("output_write")));
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("No space left on device") && message.contains("out/t.csv"), "{message}");
    assert_eq!(site.tree("out"), [""; 0], "nothing half-written is left: others have the room");
    let claimed = site.path(format!("inbox/.shiftboss/work/{}/t.csv", waiting["id"]));
    assert!(std::fs::read_to_string(claimed).unwrap() == input, "the original is whole");

    disk.again("size=80m");
    site.run(&format!("retry {}", waiting["id"])).expect(0);
    site.job_in("t.csv", "succeeded");
    check_done(&site, &input);
    let growth = peak(supervisor.pid()) - before;
    assert!(growth < GROWTH_MAX, "{growth} KiB more for a table of {} KiB", input.len() / 1024);
}

#[test]
fn a_table_that_fills_the_disk_goes_through_by_itself_when_there_is_room() {
    need_root();
    let site = site("attempts = 100, backoff = \"100ms\", factor = 1.0, jitter = false");
    let Some(disk) = room(&site, SHORT) else { return };
    let _supervisor = site.start();
    let input = table(16);
    site.land("inbox/t.csv", &input);
    until("a second attempt", || site.job("t.csv").filter(|job| job["attempt"].as_i64() > Some(1)));
    assert!(!site.path("out/t.csv").exists());
    disk.again("size=32m");
    let done = site.job_in("t.csv", "succeeded");
    assert!(done["spent"].as_i64() > Some(1), "{done:#}");
    check_done(&site, &input);
}

//! The log over restarts, full disks, slow disks and readers that come late.

use super::*;
use crate::clock::ManualClock;
use crate::model::Millis;
use std::path::Path;

const SMALL: Limits = Limits { segment_bytes: 2_000, segments: 3, age: None };

fn clock() -> Arc<dyn Clock> {
    Arc::new(ManualClock::new(Millis(1_767_225_600_000)))
}

fn open(dir: &Path, limits: Limits) -> Log {
    Log::open(dir.join("logs"), limits, clock())
}

fn say(log: &Log, message: &str) -> u64 {
    log.append(Level::Info, Some("orders"), Some(JobId(7)), None, message)
}

fn query(from: Option<u64>, limit: u32) -> LogsQuery {
    LogsQuery { from, limit, ..LogsQuery::default() }
}

fn messages(page: &LogsPage) -> Vec<&str> {
    page.lines.iter().map(|l| l.message.as_str()).collect()
}

fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut list: Vec<_> = std::fs::read_dir(dir.join("logs"))
        .unwrap()
        .map(|e| e.unwrap())
        .map(|e| (e.file_name().into_string().unwrap(), std::fs::read(e.path()).unwrap()))
        .collect();
    list.sort();
    list
}

/// Drops everything from memory, so that only the disk can answer.
fn forget(log: &Log) {
    let mut state = log.state();
    state.ring.clear();
    state.ring_bytes = 0;
}

#[test]
fn lines_are_found_in_memory_and_on_disk_alike() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), Limits::default());
    for i in 1..=50 {
        let level = if i % 10 == 0 { Level::Error } else { Level::Info };
        let job = (i % 2 == 0).then_some(JobId(i));
        log.append(level, Some(if i % 5 == 0 { "a" } else { "b" }), job, Some("t"), &format!("Line {i}"));
    }
    log.flush();
    let queries = [
        LogsQuery { limit: 3, ..LogsQuery::default() },
        LogsQuery { limit: 100, level: Some(Level::Warn), ..LogsQuery::default() },
        LogsQuery { limit: 100, job: Some(JobId(4)), ..LogsQuery::default() },
        LogsQuery { limit: 4, task: Some("a".into()), from: Some(12), ..LogsQuery::default() },
        LogsQuery { limit: 100, search: Some("line 4".into()), ..LogsQuery::default() },
        LogsQuery { limit: 5, from: Some(48), ..LogsQuery::default() },
    ];
    let in_memory: Vec<_> = queries.iter().map(|q| log.page(q)).collect();
    assert_eq!(messages(&in_memory[0]), ["Line 48", "Line 49", "Line 50"]);
    assert_eq!(in_memory[0].next, 51);
    assert_eq!(messages(&in_memory[1]).len(), 5);
    assert_eq!(messages(&in_memory[2]), ["Line 4"]);
    assert_eq!(messages(&in_memory[3]), ["Line 15", "Line 20", "Line 25", "Line 30"]);
    assert_eq!((in_memory[3].next, in_memory[3].gap), (31, 0));
    assert_eq!(messages(&in_memory[4]).len(), 11);
    assert_eq!((messages(&in_memory[5]).len(), in_memory[5].next), (3, 51));
    forget(&log);
    let on_disk: Vec<_> = queries.iter().map(|q| log.page(q)).collect();
    assert_eq!(in_memory, on_disk);
}

#[test]
fn a_cursor_walks_the_whole_log_once() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), Limits::default());
    for i in 1..=100 {
        say(&log, &format!("{i}"));
        if i == 60 {
            log.flush();
            forget(&log);
        }
    }
    let (mut from, mut seen) = (1, Vec::new());
    loop {
        let page = log.page(&query(Some(from), 7));
        assert_eq!(page.gap, 0);
        if page.lines.is_empty() {
            break;
        }
        seen.extend(page.lines.iter().map(|l| l.seq));
        from = page.next;
    }
    assert_eq!(seen, (1..=100).collect::<Vec<_>>());
    assert_eq!(log.page(&query(Some(9_999), 7)).next, 101, "a cursor of another life starts at the end");
}

#[test]
fn the_oldest_lines_go_and_the_reader_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), SMALL);
    for i in 1..=100 {
        say(&log, &format!("line {i} {}", "x".repeat(100)));
        log.flush();
    }
    let on_disk = files(dir.path());
    assert_eq!(on_disk.len(), 3);
    assert!(on_disk.iter().all(|(_, raw)| raw.len() as u64 <= SMALL.segment_bytes && raw.ends_with(b"\n")));
    forget(&log);
    let page = log.page(&query(Some(10), 1000));
    let first = page.lines[0].seq;
    assert!(on_disk[0].0 == format!("log-{first:012}.jsonl"), "{first} in {}", on_disk[0].0);
    assert_eq!(page.gap, first - 10);
    assert_eq!(page.lines.last().map(|l| l.seq), Some(100));
    assert_eq!(log.page(&query(None, 1000)).lines, page.lines);
}

#[test]
fn one_batch_fills_several_files() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), SMALL);
    for i in 1..=40 {
        say(&log, &format!("line {i} {}", "x".repeat(100)));
    }
    log.flush();
    let on_disk = files(dir.path());
    assert_eq!(on_disk.len(), 3);
    assert!(on_disk.iter().all(|(_, raw)| raw.len() as u64 <= SMALL.segment_bytes));
    assert!(String::from_utf8_lossy(&on_disk[2].1).contains("line 40 "));
}

#[test]
fn numbers_go_on_after_a_restart_and_a_torn_line_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), Limits::default());
    say(&log, "one");
    say(&log, "two");
    log.flush();
    drop(log);
    let path = dir.path().join("logs").join(&files(dir.path())[0].0);
    let mut raw = std::fs::read(&path).unwrap();
    raw.extend_from_slice(b"{\"seq\":3,\"at\":\"2026-01-0");
    std::fs::write(&path, raw).unwrap();

    let reader = Log::read_only(dir.path().join("logs"), clock());
    assert_eq!(messages(&reader.page(&query(None, 10))), ["one", "two"]);
    assert!(std::fs::read(&path).unwrap().ends_with(b"2026-01-0"), "a reader repairs nothing");

    let log = open(dir.path(), Limits::default());
    assert_eq!(*log.subscribe().borrow(), 2);
    assert_eq!(say(&log, "three"), 3);
    log.flush();
    let text = String::from_utf8(std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(text.lines().count(), 3);
    assert!(text.lines().all(|l| serde_json::from_str::<LogLine>(l).is_ok()), "{text}");
    assert_eq!(messages(&log.page(&query(None, 10))), ["one", "two", "three"]);
}

#[test]
fn no_line_is_forged_or_endless() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), Limits::default());
    say(&log, "a\n{\"seq\":9,\"level\":\"info\"}\r\n\x1b[2J\u{202e}");
    say(&log, &"가".repeat(4_000_000));
    say(&log, &"\n".repeat(MESSAGE_MAX));
    log.flush();
    let text = String::from_utf8(files(dir.path()).remove(0).1).unwrap();
    let lines: Vec<LogLine> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines[0].message, "a\\n{\"seq\":9,\"level\":\"info\"}\\r\\n\\x1b[2J\\u{202e}");
    assert!(lines[1].message.ends_with("… (12000000 bytes)"), "{}", lines[1].message);
    assert!(lines.iter().all(|l| l.message.len() <= MESSAGE_MAX), "{:?}", lines[2].message.len());
    assert_eq!(lines.len(), 3);
}

#[test]
fn a_flood_is_bounded_in_memory_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), Limits::default());
    for i in 0..PENDING_LINES + 5_000 {
        say(&log, &format!("{i}"));
    }
    assert!(log.state().ring.len() <= RING_LINES);
    log.flush();
    let told = log.page(&query(None, 1));
    assert_eq!(messages(&told), ["the disk was slow: lines that are not in the log file: 5000"]);
    assert_eq!(told.lines[0].level, Level::Warn);
    log.flush();
    assert_eq!(messages(&log.page(&query(None, 1))), messages(&told), "told once");
    for _ in 0..2_000 {
        say(&log, &"y".repeat(MESSAGE_MAX));
    }
    let state = log.state();
    assert!(state.ring_bytes <= RING_BYTES && state.pending_bytes <= PENDING_BYTES && state.dropped > 0);
}

#[test]
fn lines_that_never_reached_the_disk_are_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), Limits::default());
    for i in 1..=3 {
        say(&log, &format!("{i}"));
    }
    log.flush();
    for i in 4..=6 {
        say(&log, &format!("{i}"));
    }
    log.state().pending.clear();
    say(&log, "7");
    log.flush();
    forget(&log);
    let page = log.page(&query(Some(1), 100));
    assert_eq!((messages(&page), page.gap, page.next), (vec!["1", "2", "3", "7"], 3, 8));
}

#[test]
fn a_disk_that_cannot_be_written_costs_lines_not_work() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("logs"), "a file where the folder should be").unwrap();
    let log = open(dir.path(), Limits::default());
    assert!(log.trouble().unwrap().starts_with("cannot write the log in "));
    for _ in 0..3 {
        say(&log, "kept in memory");
        log.flush();
    }
    let told = log.page(&LogsQuery { limit: 100, level: Some(Level::Error), ..LogsQuery::default() });
    assert_eq!(told.lines.len(), 1, "told once: {:?}", messages(&told));
    assert_eq!(log.page(&query(None, 100)).lines.len(), 4);

    std::fs::remove_file(dir.path().join("logs")).unwrap();
    say(&log, "back");
    log.flush();
    assert_eq!(log.trouble(), None);
    let last = log.page(&query(None, 1));
    assert_eq!(messages(&last), ["the log is written again: lines that are not in the log file: 4"]);
    assert!(String::from_utf8_lossy(&files(dir.path())[0].1).contains("back"));
}

#[test]
fn a_follower_wakes_up_for_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), Limits::default());
    let mut newest = log.subscribe();
    assert!(!newest.has_changed().unwrap());
    let seq = say(&log, "x");
    assert!(newest.has_changed().unwrap());
    assert_eq!(*newest.borrow_and_update(), seq);
}

#[test]
fn lines_that_are_too_quiet_are_left_out_also_of_one_task() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), Limits::default());
    let lines = |log: &Log| {
        for level in Level::ALL {
            log.append(level, Some("orders"), None, None, &format!("orders {}", level.name()));
            log.append(level, None, None, None, level.name());
        }
    };
    lines(&log);
    let before = log.page(&query(None, 100)).lines.len();
    assert_eq!(before, 8, "until it is told, it keeps everything");
    let tasks = std::collections::BTreeMap::from([("orders".to_owned(), Level::Warn)]);
    log.set_levels(Levels { level: Level::Info, tasks });
    lines(&log);
    let page = log.page(&query(None, 100));
    assert_eq!(messages(&page)[before..], ["orders error", "error", "orders warn", "warn", "info"]);
    let last = page.lines.last().unwrap().seq;
    assert_eq!(log.append(Level::Debug, None, None, None, "x"), last, "a line that is left out has no number");
}

#[test]
fn a_day_is_a_file_of_its_own_and_old_days_go() {
    const DAY: i64 = 86_400_000;
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(Millis(1_767_225_600_000)));
    let limits = Limits { age: Some(std::time::Duration::from_secs(3 * 86_400)), segments: 100, ..Limits::default() };
    let reopened = || Log::open(dir.path().join("logs"), limits, Arc::clone(&clock) as Arc<dyn Clock>);
    let mut log = reopened();
    for day in 0..10 {
        clock.set(Millis(1_767_225_600_000 + day * DAY));
        if day == 5 {
            log = reopened();
        }
        say(&log, &format!("day {day}"));
        say(&log, "more of it");
        log.flush();
    }
    // The youngest four days: a line of three days ago is kept whole, with its day.
    let kept = files(dir.path());
    assert_eq!(kept.len(), 4, "{:?}", kept.iter().map(|(name, _)| name).collect::<Vec<_>>());
    assert!(String::from_utf8_lossy(&kept[0].1).contains("day 6"));
    assert!(kept.iter().all(|(_, raw)| raw.iter().filter(|c| **c == b'\n').count() == 2));
}

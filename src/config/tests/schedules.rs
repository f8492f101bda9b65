//! The table `schedule`: what it becomes, and what is refused.

use super::super::raw;
use super::super::schedule::schedule;
use super::*;
use crate::model::block::{Complaints, Hint};
use crate::model::schedule::{Missed, Overlap, Schedule, SuccessWithin, Times};
use crate::model::{Block, Millis};
use std::time::Duration;

/// What the line `schedule = …` becomes, and its problems as `column message | hint`.
fn said(line: &str) -> (Option<Schedule>, Vec<String>) {
    let source = format!("schedule = {line}");
    let sink = Complaints::default();
    let root = raw::read(&source, &sink).expect(&source);
    let mut block = Block::open("", &root, Path::new("/srv"), &sink);
    let node = block.node("schedule").unwrap();
    let read = schedule(block.below("schedule", node), chrono_tz::Asia::Seoul);
    drop(block);
    let tell = |c: crate::model::block::Complaint| {
        let hint = match c.hint {
            None => String::new(),
            Some(Hint::Text(text)) => format!(" | {text}"),
            Some(Hint::Known { known, .. }) => format!(" | one of {}", known.len()),
        };
        format!("{} {}{hint}", c.span.start + 1, c.message)
    };
    (read, sink.into_sorted().into_iter().map(tell).collect())
}

fn fine(line: &str) -> Schedule {
    let (read, problems) = said(line);
    assert!(problems.is_empty(), "{line}: {problems:?}");
    read.expect(line)
}

/// The problems of a table that is refused.
fn refused(line: &str) -> String {
    let (read, problems) = said(line);
    assert!(read.is_none() || !problems.is_empty(), "{line} was taken");
    problems.join("\n")
}

fn instant(text: &str) -> Option<Millis> {
    Some(Millis(chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()))
}

#[test]
fn a_schedule_has_its_defaults() {
    let schedule = fine("{ cron = \"0 9 * * 1-5\" }");
    assert_eq!(schedule.source(), "0 9 * * 1-5");
    assert_eq!(schedule.timezone, chrono_tz::Asia::Seoul);
    assert_eq!((schedule.missed, schedule.overlap, schedule.jitter), (Missed::Latest, Overlap::Skip, Duration::ZERO));
    assert_eq!((schedule.missed_within, schedule.start_within), (None, None));
    assert_eq!((schedule.success_within, schedule.start, schedule.end), (SuccessWithin::Periods(2), None, None));
}

#[test]
fn a_schedule_is_read_whole() {
    let schedule = fine(
        "{ every = \"15m\", aligned = true, timezone = \"Europe/Berlin\", jitter = \"30s\", start = \"2026-03-01\", \
         end = 2026-03-29, missed = \"all\", missed_within = \"2d\", overlap = \"cancel-running\", \
         start_within = \"5m\", success_within = \"1h\" }",
    );
    assert_eq!(schedule.times, Times::Every { period: Duration::from_secs(900), aligned: true });
    assert_eq!((schedule.timezone, schedule.jitter), (chrono_tz::Europe::Berlin, Duration::from_secs(30)));
    // Days of the schedule's zone, the last one whole; it has 23 hours.
    assert_eq!(schedule.start, instant("2026-03-01T00:00:00+01:00"));
    assert_eq!(schedule.end, instant("2026-03-29T23:59:59.999+02:00"));
    assert_eq!((schedule.missed, schedule.overlap), (Missed::All, Overlap::CancelRunning));
    assert_eq!(schedule.missed_within, Some(Duration::from_secs(2 * 86_400)));
    assert_eq!(schedule.start_within, Some(Duration::from_secs(300)));
    assert_eq!(schedule.success_within, SuccessWithin::After(Duration::from_secs(3600)));

    let schedule = fine("{ cron = \"@daily\", start = \"2026-03-01T12:00:00Z\", success_within = false }");
    assert_eq!((schedule.start, schedule.success_within), (instant("2026-03-01T12:00:00Z"), SuccessWithin::Never));
    // A day that begins at one o'clock.
    let schedule = fine("{ every = \"1h\", timezone = \"America/Sao_Paulo\", start = 2018-11-04 }");
    assert_eq!(schedule.start, instant("2018-11-04T01:00:00-02:00"));
}

#[test]
fn wrong_schedules_are_refused_each_with_a_hint() {
    let table: &[(&str, &str)] = &[
        (
            "{ }",
            "12 the schedule says no times: it has no `cron` and no `every` | write cron = \"0 9 * * 1-5\" or every = \"15m\"",
        ),
        (
            "{ cron = \"@daily\", every = \"1h\" }",
            "39 a schedule has `cron` or `every`, not both | make two tasks of it",
        ),
        ("\"0 9 * * *\"", "12 `schedule` must be a table, not a string | write { cron = \"0 9 * * *\" }"),
        ("\"15m\"", "12 `schedule` must be a table, not a string | write { every = \"15m\" }"),
        (
            "15",
            "12 `schedule` must be a table, not an integer | write { cron = \"0 9 * * 1-5\" } or { every = \"15m\" }",
        ),
        (
            "{ cron = \"0 25 * * *\" }",
            "24 \"25\" cannot be the hour of a cron pattern | 0 to 23, with * , - and /, for example 9-17",
        ),
        (
            "{ cron = \"0 0 30 2 *\" }",
            "22 this pattern never comes | no such day is in the calendar: for the end of a month write L as the day, \"0 9 L * *\"",
        ),
        ("{ every = 15 }", "22 `every` must be a duration, not an integer | write \"15s\""),
        ("{ every = \"500ms\" }", "22 `every` must be between 1s and 1year 18h: 500ms"),
        (
            "{ cron = \"@daily\", aligned = true }",
            "41 `aligned` does nothing beside `cron` | remove it: a cron pattern follows the clock",
        ),
        ("{ cron = \"@daily\", timezone = \"Asia/Soul\" }", "42 unknown time zone: \"Asia/Soul\" | one of 597"),
        (
            "{ every = \"1m\", jitter = \"1m\" }",
            "37 `jitter` 1m is not shorter than the time between two runs, 1m | lower it: less than 1m",
        ),
        (
            "{ cron = \"0,5 9 * * *\", jitter = \"10m\" }",
            "45 `jitter` 10m is not shorter than the time between two runs, 5m | lower it: less than 5m",
        ),
        (
            "{ every = \"1h\", start = \"tomorrow\" }",
            "36 `start` is not a date: \"tomorrow\" | write \"2026-12-31\" or \"2026-12-31T18:00:00+09:00\"",
        ),
        ("{ every = \"1h\", end = 5 }", "34 `end` must be a date, not an integer | write \"2026-12-31\""),
        (
            "{ every = \"1h\", start = 2026-03-02, end = 2026-03-01 }",
            "54 `end` 2026-03-01 23:59:59 +09:00 lies before `start` 2026-03-02 00:00 +09:00 | exchange the two",
        ),
        (
            "{ cron = \"0 9 * * SUN\", start = 2026-03-02, end = 2026-03-03 }",
            "62 no planned time lies between `start` and `end` | raise it: no run would ever start",
        ),
        (
            "{ every = \"1h\", missed = \"skip\", missed_within = \"1h\" }",
            "61 `missed_within` does nothing beside missed = \"skip\" | remove one of the two",
        ),
        (
            "{ every = \"1h\", missed = \"last\" }",
            "37 `missed` must be \"skip\" or \"latest\" or \"all\", not \"last\" | one of 3",
        ),
        (
            "{ every = \"1h\", success_within = true }",
            "45 `success_within` is a duration or false | remove it: two planned times without a success are told anyway",
        ),
        ("{ every = \"1h\", evry = 1 }", "28 unknown key: evry | one of 12"),
    ];
    let found: Vec<_> = table.iter().map(|(line, _)| (*line, refused(line))).collect();
    let wanted: Vec<_> = table.iter().map(|(line, wanted)| (*line, (*wanted).to_owned())).collect();
    assert_eq!(found, wanted);
}

#[test]
fn every_problem_of_a_schedule_comes_at_once() {
    let found = refused("{ cron = \"61 9 * * *\", timezone = \"Mars\", start = 1, overlap = \"no\", jitter = 5 }");
    assert_eq!(found.lines().count(), 5, "{found}");
}

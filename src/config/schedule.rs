//! The trigger `schedule`: by a cron pattern or an interval, in a zone, between two dates, and what becomes of times
//! that were missed or that come while an earlier run is not over.

use super::task::timezone;
use crate::model::Millis;
use crate::model::block::{Block, Complaint, Spanned, Value, shown};
use crate::model::schedule::{Cron, Missed, Overlap, PERIOD_MIN, Schedule, SuccessWithin, Times};
use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, TimeZone};
use chrono_tz::Tz;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);
const YEAR: Duration = Duration::from_secs(366 * 24 * 3600);
/// Planned times that are looked at to find the shortest distance between two.
const LOOKED_AT: usize = 64;
/// Where that begins without a start date: 2026-01-01.
const BEGINNING: Millis = Millis(1_767_225_600_000);

/// Reads the table. `timezone`: the zone where it names none. `None`: it is wrong, and why was reported.
pub(super) fn schedule(mut block: Block<'_>, timezone: Tz) -> Option<Schedule> {
    if let Some(node) = block.shorthand() {
        let (message, hint) = match &node.value {
            Value::String(text) if humantime::parse_duration(text).is_ok() => {
                ("`schedule` must be a table, not a string".to_owned(), format!("write {{ every = {} }}", shown(text)))
            }
            Value::String(text) => {
                ("`schedule` must be a table, not a string".to_owned(), format!("write {{ cron = {} }}", shown(text)))
            }
            other => (
                format!("`schedule` must be a table, not {}", other.kind()),
                "write { cron = \"0 9 * * 1-5\" } or { every = \"15m\" }".to_owned(),
            ),
        };
        block.problem(Complaint::new(node.span.clone(), message).hint(hint));
        return None;
    }
    let named = zone(&mut block);
    let timezone = named.unwrap_or(Some(timezone));
    let times = times(&mut block);
    let jitter = block.duration("jitter", Duration::ZERO..=DAY);
    // Dates need the zone; where that is wrong, they are read in any, for what is wrong with them.
    let start = date(&mut block, "start", timezone.unwrap_or(Tz::UTC), false);
    let end = date(&mut block, "end", timezone.unwrap_or(Tz::UTC), true);
    let missed = block.choice("missed", &[("skip", Missed::Skip), ("latest", Missed::Latest), ("all", Missed::All)]);
    let missed_within = block.duration("missed_within", Duration::from_secs(1)..=YEAR);
    let overlap = block.choice(
        "overlap",
        &[("skip", Overlap::Skip), ("queue", Overlap::Queue), ("cancel-running", Overlap::CancelRunning)],
    );
    let start_within = block.duration("start_within", Duration::from_secs(1)..=30 * DAY);
    let success_within = success_within(&mut block);
    if missed == Some(Missed::Skip)
        && let Some(node) = block.node("missed_within")
    {
        let complaint = Complaint::new(node.span.clone(), "`missed_within` does nothing beside missed = \"skip\"");
        block.problem(complaint.hint("remove one of the two"));
    }
    let schedule = Schedule {
        jitter: jitter.unwrap_or_default(),
        start: start?,
        end: end?,
        missed: missed.unwrap_or_default(),
        missed_within,
        overlap: overlap.unwrap_or_default(),
        start_within,
        success_within: success_within.unwrap_or_default(),
        ..Schedule::new(times?, timezone?)
    };
    check(&mut block, schedule)
}

/// The zone that the table names. The outer option is none where it names none, the inner one where that is wrong.
#[expect(clippy::option_option, reason = "no zone is right, a wrong one is not")]
fn zone(block: &mut Block<'_>) -> Option<Option<Tz>> {
    block.has("timezone").then(|| timezone(block))
}

fn times(block: &mut Block<'_>) -> Option<Times> {
    let (has_cron, has_every) = (block.has("cron"), block.has("every"));
    let cron = block.string("cron").and_then(|text| cron(block, &text));
    let every = block.duration("every", PERIOD_MIN..=YEAR);
    let aligned = block.boolean("aligned");
    if has_cron && let Some(node) = block.node("aligned") {
        let complaint = Complaint::new(node.span.clone(), "`aligned` does nothing beside `cron`");
        block.problem(complaint.hint("remove it: a cron pattern follows the clock"));
    }
    match (has_cron, has_every) {
        (true, true) => {
            let span = block.node("every").map_or(block.span(), |n| n.span.clone());
            let complaint = Complaint::new(span, "a schedule has `cron` or `every`, not both");
            block.problem(complaint.hint("make two tasks of it"));
            None
        }
        (false, false) => {
            let complaint = Complaint::new(block.span(), "the schedule says no times: it has no `cron` and no `every`");
            block.problem(complaint.hint("write cron = \"0 9 * * 1-5\" or every = \"15m\""));
            None
        }
        (true, false) => cron.map(Times::Cron),
        (false, true) => every.map(|period| Times::Every { period, aligned: aligned.unwrap_or(false) }),
    }
}

fn cron(block: &Block<'_>, text: &Spanned<String>) -> Option<Cron> {
    match Cron::parse(&text.value) {
        Ok(cron) => Some(cron),
        Err(e) => {
            // A text without escapes is as long as it stands there between two quotes.
            let is_plain = text.span.len() == text.value.len() + 2;
            let start = text.span.start + 1;
            let span = if is_plain { start + e.span.start..start + e.span.end } else { text.span.clone() };
            block.problem(Complaint::new(span, e.message).hint(e.hint));
            None
        }
    }
}

/// A point in time or a day; of a day the first instant, or the last. The outer option is none if it is wrong.
#[expect(clippy::option_option, reason = "no date is right, a wrong one is not")]
fn date(block: &mut Block<'_>, key: &str, zone: Tz, is_end: bool) -> Option<Option<Millis>> {
    let Some(node) = block.node(key) else { return Some(None) };
    let (Value::String(text) | Value::Datetime(text)) = &node.value else {
        let message = format!("`{key}` must be a date, not {}", node.value.kind());
        block.problem(Complaint::new(node.span.clone(), message).hint("write \"2026-12-31\""));
        return None;
    };
    let instant = DateTime::parse_from_rfc3339(text).ok().map(|at| at.timestamp_millis());
    let day = || {
        let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        if is_end { Some(first_of(day.checked_add_days(Days::new(1))?, zone)? - 1) } else { first_of(day, zone) }
    };
    let Some(at) = instant.or_else(day) else {
        let complaint = Complaint::new(node.span.clone(), format!("`{key}` is not a date: {}", shown(text)));
        block.problem(complaint.hint("write \"2026-12-31\" or \"2026-12-31T18:00:00+09:00\""));
        return None;
    };
    Some(Some(Millis(at)))
}

/// The first instant of a day by the clock of a zone, which may begin after midnight.
fn first_of(day: NaiveDate, zone: Tz) -> Option<i64> {
    let quarters = (0..=4 * 24).map(|n| day.and_time(NaiveTime::MIN) + TimeDelta::minutes(15 * n));
    quarters.filter_map(|time| zone.from_local_datetime(&time).earliest()).map(|at| at.timestamp_millis()).next()
}

fn success_within(block: &mut Block<'_>) -> Option<SuccessWithin> {
    let node = block.node("success_within")?;
    match node.value {
        Value::Boolean(false) => Some(SuccessWithin::Never),
        Value::Boolean(true) => {
            let complaint = Complaint::new(node.span.clone(), "`success_within` is a duration or false");
            block.problem(complaint.hint("remove it: two planned times without a success are told anyway"));
            None
        }
        _ => block.duration("success_within", PERIOD_MIN..=YEAR).map(SuccessWithin::After),
    }
}

/// What cannot be seen by one key alone.
fn check(block: &mut Block<'_>, schedule: Schedule) -> Option<Schedule> {
    let from = schedule.start.unwrap_or(BEGINNING);
    let from = schedule.end.map_or(from, |end| from.min(end)).minus(Duration::from_millis(1));
    let mut good = true;
    let mut refuse = |key: &str, message: String, hint: String| {
        let span = block.node(key).map_or(block.span(), |n| n.span.clone());
        block.problem(Complaint::new(span, message).hint(hint));
        good = false;
    };
    if let (Some(start), Some(end)) = (schedule.start, schedule.end) {
        if end < start {
            let message = format!("`end` {} lies before `start` {}", schedule.shown(end), schedule.shown(start));
            refuse("end", message, "exchange the two".to_owned());
        } else if schedule.next(start.minus(Duration::from_millis(1)), start).is_none() {
            let message = "no planned time lies between `start` and `end`".to_owned();
            refuse("end", message, "raise it: no run would ever start".to_owned());
        }
    }
    let endless = Schedule { end: None, ..schedule.clone() };
    let marks = endless.upcoming(from, from, LOOKED_AT);
    let shortest = marks.iter().zip(marks.iter().skip(1)).map(|(a, b)| b.since(*a)).min();
    if let Some(shortest) = shortest.filter(|shortest| *shortest <= schedule.jitter) {
        let (jitter, shortest) = (humantime::format_duration(schedule.jitter), humantime::format_duration(shortest));
        let message = format!("`jitter` {jitter} is not shorter than the time between two runs, {shortest}");
        refuse("jitter", message, format!("lower it: less than {shortest}"));
    }
    good.then_some(schedule)
}

//! Intervals, periods, deadlines.

use super::*;

#[test]
fn an_interval_counts_real_time_from_its_anchor() {
    let schedule = every("45m", false, "America/New_York");
    // Over the hour that comes twice.
    assert_eq!(
        times(&schedule, "2026-11-01T04:10:00Z", "2026-11-01T07:30:00Z"),
        ["2026-11-01 00:55 -04:00", "2026-11-01 01:40 -04:00", "2026-11-01 01:25 -05:00", "2026-11-01 02:10 -05:00"]
    );
    let anchor = at("2026-11-01T04:10:00Z");
    assert_eq!(schedule.next(anchor.minus(span("10h")), anchor), Some(anchor.plus(span("45m"))));
    let started = Schedule { start: Some(at("2026-11-01T05:00:00Z")), ..schedule };
    let next = started.upcoming(anchor, anchor, 2);
    assert_eq!(next, [at("2026-11-01T05:00:00Z"), at("2026-11-01T05:45:00Z")]);
}

#[test]
fn an_aligned_interval_follows_the_clock() {
    let aligned = |period: &str, zone: &str, after: &str, until: &str| times(&every(period, true, zone), after, until);
    assert_eq!(
        aligned("15m", "Asia/Kathmandu", "2026-01-01T00:01:00Z", "2026-01-01T00:31:00Z"),
        ["2026-01-01 06:00 +05:45", "2026-01-01 06:15 +05:45"]
    );
    // Midnight, also on the day that begins at one o'clock.
    assert_eq!(
        aligned("1day", "America/Sao_Paulo", "2018-11-03T12:00:00Z", "2018-11-05T12:00:00Z"),
        ["2018-11-04 01:00 -02:00", "2018-11-05 00:00 -02:00"]
    );
    // Short periods come in both passes, long ones once.
    assert_eq!(
        aligned("30m", "Europe/Berlin", "2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z"),
        ["2026-10-25 02:30 +02:00", "2026-10-25 02:00 +01:00", "2026-10-25 02:30 +01:00", "2026-10-25 03:00 +01:00"]
    );
    assert_eq!(
        aligned("2h", "Europe/Berlin", "2026-10-24T21:00:00Z", "2026-10-25T03:00:00Z"),
        ["2026-10-25 00:00 +02:00", "2026-10-25 02:00 +02:00", "2026-10-25 04:00 +01:00"]
    );
}

#[test]
fn a_period_is_the_distance_of_the_next_two_times() {
    let schedule = cron("0 9 * * 1-5", "Europe/Berlin");
    let (thursday, friday) = (at("2026-03-26T00:00:00Z"), at("2026-03-27T00:00:00Z"));
    assert_eq!(schedule.period(thursday, thursday), Some(span("24h")));
    // Over a weekend in which the clock goes forward.
    assert_eq!(schedule.period(friday, friday), Some(span("71h")));
    let ended = Schedule { end: Some(friday.plus(span("1day"))), ..schedule };
    assert_eq!(ended.period(friday, friday), None);
}

#[test]
fn deadlines_follow_the_times() {
    let schedule = cron("0 9 * * 1-5", "UTC");
    let friday = at("2026-03-27T09:00:00Z");
    assert_eq!(schedule.start_by("orders", friday, friday), friday.plus(span("1h")));
    // Two planned times: Monday and Tuesday.
    let due = schedule.success_by("orders", friday.plus(span("5m")), friday);
    assert_eq!(due, Some(at("2026-03-31T10:00:00Z")));
    let often = every("5m", true, "UTC");
    assert_eq!(often.start_by("orders", friday, friday), friday.plus(span("5m")));
    let set = Schedule {
        start_within: Some(span("10m")),
        success_within: SuccessWithin::After(span("2days")),
        ..cron("0 9 * * 1-5", "UTC")
    };
    assert_eq!(set.start_by("orders", friday, friday), friday.plus(span("10m")));
    assert_eq!(set.success_by("orders", friday, friday), Some(friday.plus(span("48h"))));
    let never = Schedule { success_within: SuccessWithin::Never, ..set };
    assert_eq!(never.success_by("orders", friday, friday), None);
}

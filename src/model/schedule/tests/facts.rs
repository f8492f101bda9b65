//! Facts that others have published: which times a pattern stands for. The patterns are those of manuals of cron
//! daemons and libraries, the times those that they name or that follow from a calendar on the wall.

use super::*;

#[test]
fn patterns_come_when_their_manuals_say() {
    // A pattern, a zone, an instant, and the first times after it.
    let table: &[(&str, &str, &str, &[&str])] = &[
        // Examples of crontab(5).
        ("5 0 * * *", "UTC", "2026-01-01T00:05:00Z", &["2026-01-02 00:05 +00:00", "2026-01-03 00:05 +00:00"]),
        ("15 14 1 * *", "UTC", "2026-01-31T00:00:00Z", &["2026-02-01 14:15 +00:00", "2026-03-01 14:15 +00:00"]),
        ("0 22 * * 1-5", "UTC", "2026-01-02T00:00:00Z", &["2026-01-02 22:00 +00:00", "2026-01-05 22:00 +00:00"]),
        ("23 0-23/2 * * *", "UTC", "2026-01-01T22:00:00Z", &["2026-01-01 22:23 +00:00", "2026-01-02 00:23 +00:00"]),
        ("5 4 * * sun", "UTC", "2026-01-01T00:00:00Z", &["2026-01-04 04:05 +00:00", "2026-01-11 04:05 +00:00"]),
        // Days are joined by "or" when both fields are restricted: the 1st, the 15th and every Friday.
        (
            "30 4 1,15 * 5",
            "UTC",
            "2026-01-01T05:00:00Z",
            &[
                "2026-01-02 04:30 +00:00",
                "2026-01-09 04:30 +00:00",
                "2026-01-15 04:30 +00:00",
                "2026-01-16 04:30 +00:00",
            ],
        ),
        ("0 0 13 * 5", "UTC", "2026-02-07T00:00:00Z", &["2026-02-13 00:00 +00:00", "2026-02-20 00:00 +00:00"]),
        // Both conditions at once: Friday the 13th.
        ("0 0 13 * +5", "UTC", "2026-01-01T00:00:00Z", &["2026-02-13 00:00 +00:00", "2026-03-13 00:00 +00:00"]),
        ("@hourly", "UTC", "2026-01-01T00:00:00Z", &["2026-01-01 01:00 +00:00", "2026-01-01 02:00 +00:00"]),
        ("@daily", "UTC", "2026-01-01T00:00:00Z", &["2026-01-02 00:00 +00:00"]),
        ("@weekly", "UTC", "2026-01-01T00:00:00Z", &["2026-01-04 00:00 +00:00"]),
        ("@monthly", "UTC", "2026-01-01T00:00:00Z", &["2026-02-01 00:00 +00:00"]),
        ("@yearly", "UTC", "2026-01-01T00:00:00Z", &["2027-01-01 00:00 +00:00"]),
        // Quartz: the last day, the last Friday, the third Friday, the weekday next to the 15th, the last weekday.
        ("15 10 L * ?", "UTC", "2028-02-01T00:00:00Z", &["2028-02-29 10:15 +00:00", "2028-03-31 10:15 +00:00"]),
        ("15 10 ? * 5L", "UTC", "2026-01-01T00:00:00Z", &["2026-01-30 10:15 +00:00", "2026-02-27 10:15 +00:00"]),
        ("15 10 ? * 5#3", "UTC", "2026-01-01T00:00:00Z", &["2026-01-16 10:15 +00:00", "2026-02-20 10:15 +00:00"]),
        ("0 0 15W * ?", "UTC", "2026-02-01T00:00:00Z", &["2026-02-16 00:00 +00:00", "2026-03-16 00:00 +00:00"]),
        ("0 0 15W * ?", "UTC", "2026-08-01T00:00:00Z", &["2026-08-14 00:00 +00:00", "2026-09-15 00:00 +00:00"]),
        ("0 0 1W * ?", "UTC", "2026-07-15T00:00:00Z", &["2026-08-03 00:00 +00:00"]),
        ("0 0 LW * ?", "UTC", "2026-01-01T00:00:00Z", &["2026-01-30 00:00 +00:00", "2026-02-27 00:00 +00:00"]),
        ("0/5 14 * * *", "UTC", "", &[]),
        ("0 11 11 11 *", "UTC", "2026-01-01T00:00:00Z", &["2026-11-11 11:00 +00:00", "2027-11-11 11:00 +00:00"]),
        // The leap day, also over the year 2100, which has none.
        ("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", &["2104-02-29 00:00 +00:00"]),
        // Seconds first.
        (
            "*/10 * * * * *",
            "UTC",
            "2026-01-01T00:00:05Z",
            &["2026-01-01 00:00:10 +00:00", "2026-01-01 00:00:20 +00:00"],
        ),
        // 0 and 7 are Sunday, and a range may end with it.
        ("0 9 * * 7", "UTC", "2026-01-01T00:00:00Z", &["2026-01-04 09:00 +00:00"]),
        ("0 9 * * sat-sun", "UTC", "2026-01-01T00:00:00Z", &["2026-01-03 09:00 +00:00", "2026-01-04 09:00 +00:00"]),
    ];
    for (pattern, zone, after, wanted) in table {
        if wanted.is_empty() {
            assert!(Cron::parse(pattern).is_err(), "{pattern}");
            continue;
        }
        let schedule = cron(pattern, zone);
        let found = schedule.upcoming(at(after), at(after), wanted.len());
        let found: Vec<_> = found.into_iter().map(|t| schedule.shown(t)).collect();
        assert_eq!(found, *wanted, "{pattern} after {after}");
    }
}

#[test]
fn changes_of_the_clock_are_those_that_cron_manuals_describe() {
    type Case<'a> = (&'a str, &'a str, (&'a str, &'a str), &'a [&'a str]);
    let table: &[Case<'_>] = &[
        // Fixed times run at the end of the gap, and once in an hour that comes twice.
        (
            "30 2 * * *",
            "America/New_York",
            ("2027-03-13T12:00:00Z", "2027-03-15T12:00:00Z"),
            &["2027-03-14 03:00 -04:00", "2027-03-15 02:30 -04:00"],
        ),
        (
            "30 1 * * *",
            "America/New_York",
            ("2026-10-31T12:00:00Z", "2026-11-02T12:00:00Z"),
            &["2026-11-01 01:30 -04:00", "2026-11-02 01:30 -05:00"],
        ),
        (
            "0 2 * * *",
            "Europe/Berlin",
            ("2027-03-27T12:00:00Z", "2027-03-29T12:00:00Z"),
            &["2027-03-28 03:00 +02:00", "2027-03-29 02:00 +02:00"],
        ),
        (
            "15 0 * * *",
            "America/Sao_Paulo",
            ("2018-11-03T12:00:00Z", "2018-11-05T12:00:00Z"),
            &["2018-11-04 01:00 -02:00", "2018-11-05 00:15 -02:00"],
        ),
        (
            "0 2 * * *",
            "Australia/Lord_Howe",
            ("2026-10-03T00:00:00Z", "2026-10-04T12:00:00Z"),
            &["2026-10-04 02:30 +11:00"],
        ),
        // Intervals follow real time: not in the gap, twice in the hour that comes twice.
        (
            "*/30 1-3 * * *",
            "America/New_York",
            ("2027-03-14T05:00:00Z", "2027-03-14T08:00:00Z"),
            &[
                "2027-03-14 01:00 -05:00",
                "2027-03-14 01:30 -05:00",
                "2027-03-14 03:00 -04:00",
                "2027-03-14 03:30 -04:00",
            ],
        ),
        (
            "*/30 1 * * *",
            "America/New_York",
            ("2026-11-01T04:00:00Z", "2026-11-01T12:00:00Z"),
            &[
                "2026-11-01 01:00 -04:00",
                "2026-11-01 01:30 -04:00",
                "2026-11-01 01:00 -05:00",
                "2026-11-01 01:30 -05:00",
            ],
        ),
    ];
    for (pattern, zone, (after, until), wanted) in table {
        assert_eq!(times(&cron(pattern, zone), after, until), *wanted, "{pattern} {zone}");
    }
}

#[test]
fn a_day_that_a_zone_does_not_have_stops_nothing() {
    // Samoa had no 30 December 2011.
    let schedule = cron("30 9 * * *", "Pacific/Apia");
    assert_eq!(
        times(&schedule, "2011-12-29T10:00:00Z", "2011-12-31T12:00:00Z"),
        ["2011-12-29 09:30 -10:00", "2011-12-31 09:30 +14:00"]
    );
}

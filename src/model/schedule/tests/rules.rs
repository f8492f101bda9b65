//! What a plan does with times that are due, that were missed, and with clocks that are set.

use super::*;

const DAILY: &str = "0 9 * * *";

/// A plan with what was planned last, or with the anchor alone.
fn planned(schedule: &Schedule, last: &str, now: &str) -> Plan {
    let standing = Standing { anchor: at("2026-01-01T00:00:00Z"), last_planned: Some(at(last)) };
    plan(schedule, "orders", &standing, at(now))
}

/// A slot as `run TIME: NOTE` or `missed TIME: REASON`.
fn told(schedule: &Schedule, plan: &Plan) -> Vec<String> {
    let tell = |slot: &Slot| match slot {
        Slot::Run { at, note: None } => format!("run {}", schedule.shown(*at)),
        Slot::Run { at, note: Some(note) } => format!("run {}: {note}", schedule.shown(*at)),
        Slot::Missed { at, reason } => format!("missed {}: {reason}", schedule.shown(*at)),
    };
    plan.slots.iter().map(tell).collect()
}

fn with(missed: Missed, within: Option<&str>) -> Schedule {
    Schedule { missed, missed_within: within.map(span), ..cron(DAILY, "UTC") }
}

#[test]
fn a_planned_time_runs_when_it_is_due() {
    let schedule = cron(DAILY, "UTC");
    let early = planned(&schedule, "2026-03-01T09:00:00Z", "2026-03-02T08:59:59.999Z");
    assert_eq!((early.slots.len(), early.last_planned), (0, Some(at("2026-03-01T09:00:00Z"))));
    assert_eq!(early.next_at, Some(at("2026-03-02T09:00:00Z")));
    for now in ["2026-03-02T09:00:00Z", "2026-03-02T09:01:00Z"] {
        let due = planned(&schedule, "2026-03-01T09:00:00Z", now);
        assert_eq!(told(&schedule, &due), ["run 2026-03-02 09:00 +00:00"]);
        assert_eq!(due.last_planned, Some(at("2026-03-02T09:00:00Z")));
        assert_eq!(due.next_at, Some(at("2026-03-03T09:00:00Z")));
    }
}

#[test]
fn the_first_time_lies_after_the_anchor() {
    let schedule = cron(DAILY, "UTC");
    let standing = Standing { anchor: at("2026-03-02T09:00:00Z"), last_planned: None };
    let plan = plan(&schedule, "orders", &standing, at("2026-03-02T09:00:01Z"));
    assert_eq!((plan.slots.len(), plan.last_planned), (0, None));
    assert_eq!(plan.next_at, Some(at("2026-03-03T09:00:00Z")));
    // A schedule that was changed leaves what lies before the change alone.
    let standing = Standing { last_planned: Some(at("2026-02-01T09:00:00Z")), ..standing };
    assert_eq!(super::plan(&schedule, "orders", &standing, at("2026-03-02T09:00:01Z")).slots, []);
}

#[test]
fn grace_is_a_tenth_of_a_short_period() {
    let schedule = every("2m", true, "UTC");
    let late = |now| told(&schedule, &planned(&schedule, "2026-03-02T09:00:00Z", now));
    assert_eq!(late("2026-03-02T09:02:12Z"), ["run 2026-03-02 09:02 +00:00"]);
    assert_eq!(late("2026-03-02T09:02:12.001Z"), ["run 2026-03-02 09:02 +00:00: made up for: it was due 12s ago"]);
    let schedule = every("1s", true, "UTC");
    let late = told(&schedule, &planned(&schedule, "2026-03-02T09:00:00Z", "2026-03-02T09:00:02Z"));
    assert_eq!(late, ["run 2026-03-02 09:00:01 +00:00", "run 2026-03-02 09:00:02 +00:00"]);
}

#[test]
fn skip_leaves_one_record_for_a_gap() {
    let schedule = with(Missed::Skip, None);
    let late = planned(&schedule, "2026-03-01T09:00:00Z", "2026-03-04T12:00:00Z");
    assert_eq!(
        told(&schedule, &late),
        ["missed 2026-03-04 09:00 +00:00: 3 planned times (from 2026-03-02 09:00 +00:00 to 2026-03-04 09:00 +00:00) \
             missed: not run, because the schedule says missed = \"skip\""]
    );
    assert_eq!(late.last_planned, Some(at("2026-03-04T09:00:00Z")));
    // One that is on time runs all the same.
    let on_time = told(&schedule, &planned(&schedule, "2026-03-01T09:00:00Z", "2026-03-03T09:00:10Z"));
    assert_eq!(
        on_time,
        [
            "missed 2026-03-02 09:00 +00:00: 1 planned time (2026-03-02 09:00 +00:00) missed: not run, because the \
             schedule says missed = \"skip\"",
            "run 2026-03-03 09:00 +00:00"
        ]
    );
}

#[test]
fn latest_makes_one_run_for_a_gap() {
    let schedule = with(Missed::Latest, None);
    let late = |now| told(&schedule, &planned(&schedule, "2026-03-01T09:00:00Z", now));
    assert_eq!(
        late("2026-03-04T12:00:00Z"),
        ["run 2026-03-04 09:00 +00:00: made up for: it stands for 3 planned times (from 2026-03-02 09:00 +00:00 to \
             2026-03-04 09:00 +00:00)"]
    );
    assert_eq!(late("2026-03-02T12:30:40Z"), ["run 2026-03-02 09:00 +00:00: made up for: it was due 3h 30m ago"]);
    // One that is due on time is the run.
    assert_eq!(
        late("2026-03-04T09:00:30Z"),
        ["run 2026-03-04 09:00 +00:00: it also stands for 2 planned times (from 2026-03-02 09:00 +00:00 to \
             2026-03-03 09:00 +00:00) missed before"]
    );
}

#[test]
fn all_makes_up_for_each() {
    let schedule = with(Missed::All, None);
    let late = told(&schedule, &planned(&schedule, "2026-03-01T09:00:00Z", "2026-03-04T09:00:00Z"));
    assert_eq!(
        late,
        [
            "run 2026-03-02 09:00 +00:00: made up for: it was due 2days ago",
            "run 2026-03-03 09:00 +00:00: made up for: it was due 1day ago",
            "run 2026-03-04 09:00 +00:00"
        ]
    );
    // No more than a thousand; the older ones share a record.
    let schedule = Schedule { missed: Missed::All, ..cron("* * * * *", "UTC") };
    let late = planned(&schedule, "2026-03-01T00:00:00Z", "2026-03-03T00:00:30Z");
    let runs = late.slots.iter().filter(|s| matches!(s, Slot::Run { .. })).count();
    // Of 2,880 the last came on time or nearly so: the grace of a minute is six seconds.
    assert_eq!((runs, late.slots.len()), (MISSED_MAX, MISSED_MAX + 1));
    assert_eq!(
        told(&schedule, &late)[0],
        "missed 2026-03-02 07:20 +00:00: more than 1,000 planned times (from 2026-03-01 00:01 +00:00 to 2026-03-02 07:20 \
         +00:00) missed: not run, because no more than 1,000 are made up for"
    );
    let mut keys: Vec<_> = late.slots.iter().map(Slot::at).collect();
    let ordered = keys.is_sorted();
    keys.dedup();
    assert!(ordered && keys.len() == late.slots.len());
}

#[test]
fn what_is_too_old_only_gets_a_record() {
    let schedule = with(Missed::Latest, Some("12h"));
    let late = |now| told(&schedule, &planned(&schedule, "2026-03-01T09:00:00Z", now));
    let record = "missed 2026-03-03 09:00 +00:00: 2 planned times (from 2026-03-02 09:00 +00:00 to 2026-03-03 09:00 \
                  +00:00) missed: not run, because that is more than 12h ago";
    assert_eq!(late("2026-03-04T12:00:00Z"), [record, "run 2026-03-04 09:00 +00:00: made up for: it was due 3h ago"]);
    assert_eq!(late("2026-03-04T08:00:00Z"), [record]);
    assert_eq!(late("2026-03-04T09:00:00Z"), [record, "run 2026-03-04 09:00 +00:00"]);
    // Exactly as old as it may be.
    assert_eq!(late("2026-03-02T21:00:00Z"), ["run 2026-03-02 09:00 +00:00: made up for: it was due 12h ago"]);
    let schedule = with(Missed::All, Some("30h"));
    let late = told(&schedule, &planned(&schedule, "2026-03-01T09:00:00Z", "2026-03-05T12:00:00Z"));
    assert_eq!(late.len(), 3, "{late:?}");
    assert!(late[0].starts_with("missed 2026-03-03") && late[1].starts_with("run 2026-03-04"), "{late:?}");
}

#[test]
fn jitter_moves_when_a_time_is_due_and_not_what_it_is() {
    let schedule = Schedule { jitter: span("10m"), ..cron(DAILY, "UTC") };
    let jitter = schedule.jitter_of("orders");
    assert!(jitter < span("10m") && jitter == schedule.jitter_of("orders"));
    assert!((0..100).map(|n| schedule.jitter_of(&format!("task{n}"))).all(|j| j < span("10m")));
    assert_ne!(jitter, schedule.jitter_of("partners"));
    assert_eq!(cron(DAILY, "UTC").jitter_of("orders"), Duration::ZERO);
    let (standing, due) =
        (Standing { anchor: at("2026-03-01T09:00:00Z"), last_planned: None }, at("2026-03-02T09:00:00Z").plus(jitter));
    let early = plan(&schedule, "orders", &standing, due.minus(Duration::from_millis(1)));
    assert_eq!((early.slots.len(), early.next_at), (0, Some(due)));
    let now = plan(&schedule, "orders", &standing, due);
    assert_eq!(now.slots, [Slot::Run { at: at("2026-03-02T09:00:00Z"), note: None }]);
    assert_eq!(now.next_at, Some(at("2026-03-03T09:00:00Z").plus(jitter)));
}

#[test]
fn a_clock_that_is_set_back_plans_nothing_twice() {
    let schedule = cron(DAILY, "UTC");
    // One planned time passes twice on the clock, and counts once.
    for now in ["2026-03-02T08:00:00Z", "2026-03-02T09:00:00Z"] {
        let plan = planned(&schedule, "2026-03-02T09:00:00Z", now);
        assert_eq!((plan.slots.len(), plan.last_planned), (0, Some(at("2026-03-02T09:00:00Z"))), "{now}");
        assert_eq!(plan.next_at, Some(at("2026-03-03T09:00:00Z")));
    }
    // A few seconds, of a schedule that has run in each of them.
    let schedule = every("1s", true, "UTC");
    let plan = planned(&schedule, "2026-03-02T09:00:30Z", "2026-03-02T09:00:00Z");
    assert_eq!((plan.slots.len(), plan.next_at), (0, Some(at("2026-03-02T09:00:31Z"))));
}

#[test]
fn a_clock_that_was_far_ahead_does_not_stop_the_schedule() {
    let schedule = cron(DAILY, "UTC");
    let back = planned(&schedule, "2027-06-01T09:00:00Z", "2026-03-02T08:00:00Z");
    assert_eq!(
        told(&schedule, &back),
        [
            "missed 2026-03-02 07:59:59 +00:00: the clock was set back: times were planned up to 2027-06-01 09:00 +00:00 \
             already, and it is 2026-03-02 08:00 +00:00; scheduling goes on from now"
        ]
    );
    assert_eq!(back.next_at, Some(at("2026-03-02T09:00:00Z")));
    let standing = Standing { anchor: back.anchor, last_planned: back.last_planned };
    let due = plan(&schedule, "orders", &standing, at("2026-03-02T09:00:00Z"));
    assert_eq!(told(&schedule, &due), ["run 2026-03-02 09:00 +00:00"]);
    // In the very moment of a planned time, that one still runs.
    let back = planned(&schedule, "2027-06-01T09:00:00Z", "2026-03-02T09:00:00Z");
    assert_eq!(told(&schedule, &back)[1..], ["run 2026-03-02 09:00 +00:00"]);
}

#[test]
fn a_clock_that_was_ahead_when_the_schedule_came_does_not_stop_it() {
    for schedule in [cron(DAILY, "UTC"), every("1h", false, "UTC")] {
        let standing = Standing { anchor: at("2036-01-01T00:00:00Z"), last_planned: None };
        let now = at("2026-03-02T08:00:00Z");
        let first = plan(&schedule, "orders", &standing, now);
        assert_eq!((&first.slots[..], first.anchor), (&[][..], now));
        let next = at("2026-03-02T09:00:00Z");
        assert_eq!(first.next_at, Some(next));
        let standing = Standing { anchor: first.anchor, last_planned: first.last_planned };
        assert_eq!(plan(&schedule, "orders", &standing, next).slots, [Slot::Run { at: next, note: None }]);
    }
}

#[test]
fn the_work_is_bounded_however_long_the_gap() {
    let gap = |schedule: &Schedule| {
        let started = std::time::Instant::now();
        let plan = planned(schedule, "2026-03-01T00:00:00Z", "2027-04-05T00:00:00.500Z");
        assert!(started.elapsed() < Duration::from_secs(20), "{} took {:?}", schedule.source(), started.elapsed());
        told(schedule, &plan)
    };
    for missed in [Missed::Latest, Missed::Skip] {
        let counted = gap(&Schedule { missed, ..every("1s", false, "UTC") });
        // Of 400 days of seconds, the last two are on time.
        assert!(
            counted.iter().any(|t| t.contains("34,559,999 planned times") || t.contains("34,559,998")),
            "{counted:?}"
        );
        for schedule in [cron("* * * * * *", "Europe/Berlin"), every("1s", true, "UTC")] {
            let capped = gap(&Schedule { missed, ..schedule });
            assert!(capped.len() <= 3 && capped.iter().any(|t| t.contains("more than 1,000")), "{capped:?}");
        }
    }
    let all = gap(&Schedule { missed: Missed::All, ..cron("* * * * * *", "UTC") });
    assert!((MISSED_MAX..=MISSED_MAX + 3).contains(&all.len()), "{}", all.len());
}

#[test]
fn a_gap_of_any_length_is_one_run_or_one_record() {
    let mut seed = Seed(14);
    for _ in 0..300 {
        let missed = *seed.pick(&[Missed::Skip, Missed::Latest]);
        let base = match seed.below(4) {
            0 => cron("*/15 * * * *", "America/New_York"),
            1 => cron("30 2 * * 1-5", "Europe/Berlin"),
            2 => every("37m", false, "UTC"),
            _ => every("6h", true, "Australia/Lord_Howe"),
        };
        let schedule = Schedule { missed, ..base };
        let standing = Standing { anchor: at("2026-01-01T00:00:00Z"), last_planned: None };
        let gap = Duration::from_secs(60 + seed.below(400 * 86_400));
        let now = standing.anchor.plus(gap);
        let plan = plan(&schedule, "orders", &standing, now);
        let first = schedule.next(standing.anchor, standing.anchor).unwrap();
        let on_time = |at: Millis| now.since(at) <= GRACE;
        let (mut runs, mut records) = (0, 0);
        for slot in &plan.slots {
            match slot {
                Slot::Run { .. } => runs += 1,
                Slot::Missed { .. } => records += 1,
            }
        }
        let newest = plan.last_planned;
        let expected = match (first <= now, missed) {
            (false, _) => (0, 0),
            (true, Missed::Latest) => (1, 0),
            (true, _) if newest.is_some_and(on_time) && newest == Some(first) => (1, 0),
            (true, _) if newest.is_some_and(on_time) => (1, 1),
            (true, _) => (0, 1),
        };
        assert_eq!((runs, records), expected, "{} after {gap:?}", schedule.source());
        let next = newest.map_or(Some(first), |newest| schedule.next(newest, standing.anchor));
        assert_eq!(plan.next_at, next);
        assert!(plan.next_at.is_some_and(|next| next > now));
    }
}

#[test]
fn nothing_is_planned_outside_the_dates() {
    let dates = |start: &str, end: &str, schedule: Schedule| Schedule {
        start: Some(at(start)),
        end: Some(at(end)),
        ..schedule
    };
    let schedule = dates("2026-03-02T00:00:00Z", "2026-03-04T09:00:00Z", cron(DAILY, "UTC"));
    assert_eq!(
        times(&schedule, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ["2026-03-02 09:00 +00:00", "2026-03-03 09:00 +00:00", "2026-03-04 09:00 +00:00"]
    );
    let over = planned(&schedule, "2026-03-03T09:00:00Z", "2026-05-01T00:00:00Z");
    assert_eq!((over.slots.len(), over.next_at), (1, None));
    let schedule = dates("2026-03-02T10:00:00Z", "2026-03-03T00:00:00Z", every("6h", false, "UTC"));
    assert_eq!(
        times(&schedule, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ["2026-03-02 10:00 +00:00", "2026-03-02 16:00 +00:00", "2026-03-02 22:00 +00:00"]
    );
}

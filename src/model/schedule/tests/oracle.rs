//! Against brute force: every minute of real time around a change of the clock is looked at, with nothing but chrono's
//! calendar, for generated patterns whose meaning the generator knows without reading them.

use super::*;
use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike};
use std::collections::BTreeSet;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const PATTERNS: u64 = 200;

/// Zones with an instant next to each of two changes, or in any two weeks where there are none.
const CHANGES: [(&str, [&str; 2]); 6] = [
    ("America/New_York", ["2026-03-08T07:00:00Z", "2026-11-01T06:00:00Z"]),
    ("Europe/Berlin", ["2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z"]),
    ("America/Sao_Paulo", ["2018-11-04T03:00:00Z", "2018-02-18T02:00:00Z"]),
    ("Australia/Lord_Howe", ["2026-10-03T15:30:00Z", "2026-04-04T15:00:00Z"]),
    ("Asia/Seoul", ["2026-03-10T00:00:00Z", "2026-10-28T00:00:00Z"]),
    ("Asia/Seoul", ["1988-05-07T17:00:00Z", "1988-10-08T17:00:00Z"]),
];

/// A field of numbers: what is written, and what it stands for.
struct Numbers {
    text: String,
    set: BTreeSet<u32>,
    /// Written without `*` and `/`, and one number.
    plain: bool,
}

fn numbers(seed: &mut Seed, low: u32, high: u32, kinds: &[&str]) -> Numbers {
    let one = |seed: &mut Seed| low + seed.below(u64::from(high - low + 1)) as u32;
    let (mut text, mut set, mut plain) = (String::new(), BTreeSet::new(), false);
    match *seed.pick(kinds) {
        "star" => (text, set) = ("*".into(), (low..=high).collect()),
        "step" => {
            let step = *seed.pick(&[2, 3, 5, 7, 10, 15, 20]);
            (text, set) = (format!("*/{step}"), (low..=high).step_by(step).collect());
        }
        "range" => {
            let (a, b) = (one(seed), one(seed));
            (text, set) = (format!("{}-{}", a.min(b), a.max(b)), (a.min(b)..=a.max(b)).collect());
            plain = a == b;
        }
        "stepped" => {
            let (a, b) = (one(seed), high);
            let step = 2 + seed.below(4) as usize;
            (text, set) = (format!("{a}-{b}/{step}"), (a..=b).step_by(step).collect());
        }
        "list" => {
            let all: Vec<u32> = (0..2 + seed.below(3)).map(|_| one(seed)).collect();
            text = all.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
            set.extend(all);
            plain = set.len() == 1;
        }
        _ => {
            let number = one(seed);
            text.push_str(&number.to_string());
            set.insert(number);
            plain = true;
        }
    }
    Numbers { text, set, plain }
}

/// Days, by a rule over the calendar.
type DayRule = Box<dyn Fn(NaiveDate) -> bool>;

fn month_length(day: NaiveDate) -> u32 {
    let next = if day.month() == 12 { (day.year() + 1, 1) } else { (day.year(), day.month() + 1) };
    NaiveDate::from_ymd_opt(next.0, next.1, 1).unwrap().pred_opt().unwrap().day()
}

fn day_of_month(seed: &mut Seed) -> (String, DayRule) {
    match seed.below(8) {
        0 => ("L".into(), Box::new(|day| day.day() == month_length(day))),
        1 => {
            let wanted = 1 + seed.below(28) as u32;
            let rule = move |day: NaiveDate| {
                let target = day.with_day(wanted).unwrap();
                let nearest = match target.weekday().number_from_monday() {
                    6 if wanted == 1 => 3,
                    6 => wanted - 1,
                    7 if wanted == month_length(day) => wanted - 2,
                    7 => wanted + 1,
                    _ => wanted,
                };
                day.day() == nearest
            };
            (format!("{wanted}W"), Box::new(rule))
        }
        _ => {
            let field = numbers(seed, 1, 31, &["range", "list", "plain", "step", "range"]);
            (field.text, Box::new(move |day| field.set.contains(&day.day())))
        }
    }
}

fn day_of_week(seed: &mut Seed) -> (String, DayRule) {
    let names = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
    let of = |day: NaiveDate| day.weekday().num_days_from_sunday();
    let wanted = seed.below(7) as u32;
    match seed.below(6) {
        0 => (format!("{wanted}L"), Box::new(move |day| of(day) == wanted && day.day() + 7 > month_length(day))),
        1 => {
            let nth = 1 + seed.below(5) as u32;
            let rule = move |day: NaiveDate| of(day) == wanted && (day.day() - 1) / 7 + 1 == nth;
            (format!("{wanted}#{nth}"), Box::new(rule))
        }
        2 => (names[wanted as usize].to_lowercase(), Box::new(move |day| of(day) == wanted)),
        3 => ("7".into(), Box::new(move |day| of(day) == 0)),
        4 => ("MON-FRI".into(), Box::new(move |day| (1..=5).contains(&of(day)))),
        _ => {
            let field = numbers(seed, 0, 6, &["range", "list"]);
            (field.text, Box::new(move |day| field.set.contains(&of(day))))
        }
    }
}

struct Pattern {
    text: String,
    seconds: Numbers,
    minutes: Numbers,
    hours: Numbers,
    day: DayRule,
}

impl Pattern {
    fn generate(seed: &mut Seed) -> Self {
        let kinds: &[&str] = match seed.below(4) {
            // Near the hours in which clocks change, half of them at fixed times.
            0 | 1 => &["plain"],
            2 => &["star", "step", "stepped", "plain"],
            _ => &["star", "step", "range", "stepped", "list", "plain"],
        };
        let plain_seconds = seed.chance(85);
        let seconds =
            if plain_seconds { numbers(seed, 0, 59, &["plain"]) } else { numbers(seed, 0, 59, &["step", "list"]) };
        let minutes = numbers(seed, 0, 59, kinds);
        let hours = if seed.chance(60) { numbers(seed, 0, 3, kinds) } else { numbers(seed, 0, 23, kinds) };
        let hours = if hours.text.starts_with('*') { numbers(seed, 0, 23, &["star", "step"]) } else { hours };
        let ((dom, on_date), (dow, on_weekday)) = (day_of_month(seed), day_of_week(seed));
        let (dom, dow, day): (String, String, DayRule) = match seed.below(10) {
            0 => (dom, dow, Box::new(move |day| on_date(day) || on_weekday(day))),
            1 => (dom, format!("+{dow}"), Box::new(move |day| on_date(day) && on_weekday(day))),
            2 => (dom, "*".into(), on_date),
            3 => ("*".into(), dow, on_weekday),
            4 => ("?".into(), dow, on_weekday),
            _ => ("*".into(), "*".into(), Box::new(|_| true)),
        };
        let with_seconds = !plain_seconds || seed.chance(30);
        let mut pattern = Self { text: String::new(), seconds, minutes, hours, day };
        if !with_seconds {
            pattern.seconds = Numbers { text: "0".into(), set: [0].into(), plain: true };
        }
        let first = if with_seconds { format!("{} ", pattern.seconds.text) } else { String::new() };
        pattern.text = format!("{first}{} {} {dom} * {dow}", pattern.minutes.text, pattern.hours.text);
        pattern
    }

    fn is_fixed(&self) -> bool {
        self.seconds.plain && self.minutes.plain && self.hours.plain
    }

    /// About how many times there are in a day.
    fn a_day(&self) -> usize {
        self.seconds.set.len() * self.minutes.set.len() * self.hours.set.len()
    }

    /// The times in some days, by looking at each minute.
    fn walk(&self, days: &[Vec<Minute>]) -> Vec<i64> {
        let mut found = Vec::new();
        for (n, minutes) in days.iter().enumerate().filter(|(_, minutes)| (self.day)(minutes[0].1.date())) {
            if self.is_fixed() {
                // The first day begins somewhere in its middle.
                found.extend(self.once(minutes, n == 0));
                continue;
            }
            for (instant, shown) in minutes {
                if self.hours.set.contains(&shown.hour()) && self.minutes.set.contains(&shown.minute()) {
                    found.extend(self.seconds.set.iter().map(|s| instant + i64::from(*s) * 1000));
                }
            }
        }
        found
    }

    /// Once for a local day: the first minute that shows the time, or a later one where none does.
    fn once(&self, minutes: &[Minute], is_part: bool) -> Option<i64> {
        let only = |field: &Numbers| *field.set.first().unwrap();
        let wanted = minutes[0].1.date().and_hms_opt(only(&self.hours), only(&self.minutes), 0).unwrap();
        let (instant, shown) = minutes.iter().find(|(_, shown)| *shown >= wanted)?;
        match *shown == wanted {
            true => Some(instant + i64::from(only(&self.seconds)) * 1000),
            false => (!is_part).then_some(*instant),
        }
    }
}

/// A minute of real time, and what the clock shows at its beginning.
type Minute = (i64, NaiveDateTime);

/// Every minute from one instant to before another.
fn minutes(zone: Tz, from: i64, to: i64) -> Vec<Minute> {
    let local = |t: i64| DateTime::from_timestamp_millis(t).unwrap().with_timezone(&zone).naive_local();
    (from / MINUTE..to / MINUTE).map(|m| (m * MINUTE, local(m * MINUTE))).collect()
}

#[test]
fn planned_times_are_those_of_a_walk_over_every_minute() {
    let mut seed = Seed(13);
    let (mut compared, mut fixed) = (0, 0);
    for (name, changes) in CHANGES {
        for change in changes {
            let change = at(change).0;
            let all = minutes(zone(name), change - 4 * DAY, change + 4 * DAY);
            let days: Vec<_> = all.chunk_by(|a, b| a.1.date() == b.1.date()).map(<[Minute]>::to_vec).collect();
            for _ in 0..PATTERNS {
                let pattern = Pattern::generate(&mut seed);
                let reach = match pattern.a_day() {
                    0..=8 => 4 * DAY,
                    9..=50 => 36 * HOUR,
                    51..=1500 => 4 * HOUR,
                    _ => HOUR,
                };
                let (from, to) = (change - reach, change + reach);
                // The walk sees everything, so that the first day is a whole one where days count.
                let wanted: Vec<i64> = pattern.walk(&days).into_iter().filter(|t| (from..to).contains(t)).collect();
                // A pattern may be one that never comes, and is refused then.
                let Ok(cron) = Cron::parse(&pattern.text) else {
                    assert!(wanted.is_empty(), "{name}: {} was refused", pattern.text);
                    continue;
                };
                let schedule = Schedule::new(Times::Cron(cron), zone(name));
                let next = |after: i64| schedule.next(Millis(after), Millis(0)).map(|t| t.0);
                let found: Vec<i64> =
                    std::iter::successors(next(from - 1), |t| next(*t)).take_while(|t| *t < to).collect();
                let show = |times: &[i64]| times.iter().map(|t| schedule.shown(Millis(*t))).collect::<Vec<_>>();
                if let Some(i) = (0..wanted.len().max(found.len())).find(|i| wanted.get(*i) != found.get(*i)) {
                    let near =
                        |times: &[i64]| show(&times[i.saturating_sub(2).min(times.len())..times.len().min(i + 3)]);
                    panic!("{name}: {}\nwalk  {:?}\nfound {:?}", pattern.text, near(&wanted), near(&found));
                }
                // From anywhere, also from the midst of an hour that comes twice.
                for _ in 0..10 {
                    let after = change - reach.min(3 * HOUR) + seed.below(2 * reach.min(3 * HOUR) as u64) as i64;
                    let wanted = wanted.iter().copied().find(|t| *t > after);
                    let found = next(after).filter(|t| wanted.is_some() || *t < to);
                    assert_eq!(found, wanted, "{name}: {} after {}", pattern.text, schedule.shown(Millis(after)));
                }
                compared += wanted.len();
                fixed += usize::from(pattern.is_fixed());
            }
        }
    }
    assert!(compared > 10_000 && fixed > 500, "{compared} times, {fixed} fixed patterns");
}

#[test]
fn aligned_intervals_are_those_of_a_walk_over_every_minute() {
    for (name, changes) in CHANGES {
        for (change, minutes_of_period) in
            changes.iter().flat_map(|c| [1, 5, 7, 15, 20, 60, 90, 120, 360, 720, 1440, 10_080].map(|p| (*c, p)))
        {
            let change = at(change).0;
            let (from, to) = (change - 4 * DAY, change + 4 * DAY);
            let all = minutes(zone(name), from, to);
            let period = i64::from(minutes_of_period) * 60;
            let (mut wanted, mut highest): (Vec<i64>, Option<i64>) = (Vec::new(), None);
            for (instant, shown) in &all {
                let now = shown.and_utc().timestamp();
                // A long period has each mark once: when the clock first shows it or something later.
                let passes = |before: i64| now.div_euclid(period) > before.div_euclid(period);
                let is_mark = now.rem_euclid(period) == 0;
                if if period <= 3600 { is_mark } else { highest.is_some_and(passes) } && *instant > from {
                    wanted.push(*instant);
                }
                highest = highest.max(Some(now));
            }
            let schedule =
                Schedule::new(Times::Every { period: Duration::from_secs(period as u64), aligned: true }, zone(name));
            let next = |after: i64| schedule.next(Millis(after), Millis(0)).map(|t| t.0);
            let found: Vec<i64> = std::iter::successors(next(from), |t| next(*t)).take_while(|t| *t < to).collect();
            let show = |times: &[i64]| times.iter().map(|t| schedule.shown(Millis(*t))).collect::<Vec<_>>();
            assert_eq!(show(&found), show(&wanted), "{name}: every {minutes_of_period} minutes");
        }
    }
}

//! Schedules in plain words. What is common is said as people say it; for the rest croner has a sentence.

use croner::{Cron, CronComponent};
use std::time::Duration;

/// Most times of the day that are listed one by one.
const LISTED_MAX: usize = 6;
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// `every 15 minutes`, `every 1 hour 30 minutes, by the clock`.
pub(super) fn every(period: Duration, aligned: bool) -> String {
    let seconds = period.as_secs();
    let parts = [
        ("day", seconds / 86_400),
        ("hour", seconds / 3600 % 24),
        ("minute", seconds / 60 % 60),
        ("second", seconds % 60),
    ];
    let parts: Vec<_> = parts.into_iter().filter(|(_, n)| *n > 0).collect();
    let text = match parts.as_slice() {
        [(unit, 1)] => format!("every {unit}"),
        [] => format!("every {}", humantime::format_duration(period)),
        parts => {
            let words: Vec<_> =
                parts.iter().map(|(unit, n)| format!("{n} {unit}{}", if *n == 1 { "" } else { "s" })).collect();
            format!("every {}", words.join(" "))
        }
    };
    if aligned { text + ", by the clock" } else { text }
}

/// `at 09:00, Monday to Friday`.
pub(super) fn cron(cron: &Cron) -> String {
    let ours = || {
        let parts = [times(cron)?, days(cron)?, months(cron)?];
        Some(parts.into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join(", "))
    };
    ours().unwrap_or_else(|| {
        let text = cron.describe();
        let text = text.trim_end_matches('.');
        let mut letters = text.chars();
        letters.next().map_or(String::new(), |first| first.to_lowercase().chain(letters).collect())
    })
}

fn is_any(field: &CronComponent) -> bool {
    field.values().len() == usize::from(field.max - field.min) + 1
}

/// The step of a field such as `*/15` that comes out even.
fn step(field: &CronComponent) -> Option<u16> {
    let all = field.max - field.min + 1;
    let even = field.step > 1 && all.is_multiple_of(field.step);
    let whole = field.values().iter().copied().eq((field.min..=field.max).step_by(usize::from(field.step.max(1))));
    (even && whole).then_some(field.step)
}

/// The one value of a field.
fn one(field: &CronComponent) -> Option<u16> {
    match field.values().as_slice() {
        [value] => Some(*value),
        _ => None,
    }
}

fn times(cron: &Cron) -> Option<String> {
    let (seconds, minutes, hours) = (&cron.pattern.seconds, &cron.pattern.minutes, &cron.pattern.hours);
    let Some(second) = one(seconds) else {
        (is_any(minutes) && is_any(hours)).then_some(())?;
        if is_any(seconds) {
            return Some("every second".into());
        }
        return step(seconds).map(|n| format!("every {n} seconds"));
    };
    if second == 0 && is_any(minutes) && is_any(hours) {
        return Some("every minute".into());
    }
    let Some(minute) = one(minutes) else {
        let n = step(minutes).filter(|_| second == 0)?;
        if is_any(hours) {
            return Some(format!("every {n} minutes"));
        }
        let (first, last) = span(&hours.values())?;
        let end = 60 - n;
        return Some(format!("every {n} minutes from {first:02}:00 to {last:02}:{end:02}"));
    };
    let clock = |hour: u16| match second {
        0 => format!("{hour:02}:{minute:02}"),
        _ => format!("{hour:02}:{minute:02}:{second:02}"),
    };
    let past = match (minute, second) {
        (0, 0) => String::new(),
        (_, 0) => format!(" at minute {minute}"),
        _ => return (!is_any(hours)).then(|| at(&hours.values(), clock))?,
    };
    if is_any(hours) {
        return Some(format!("every hour{past}"));
    }
    if let Some(n) = step(hours).filter(|n| *n < 12) {
        return Some(format!("every {n} hours{past}"));
    }
    at(&hours.values(), clock)
}

/// `at 09:00 and 17:00`, `every hour from 09:00 to 17:00`.
fn at(hours: &[u16], clock: impl Fn(u16) -> String) -> Option<String> {
    if let Some((first, last)) = span(hours).filter(|_| hours.len() > 2) {
        return Some(format!("every hour from {} to {}", clock(first), clock(last)));
    }
    let list: Vec<_> = hours.iter().map(|h| clock(*h)).collect();
    (list.len() <= LISTED_MAX).then(|| format!("at {}", listed(&list)))
}

/// The ends of values without a gap.
fn span(values: &[u16]) -> Option<(u16, u16)> {
    let (first, last) = (*values.first()?, *values.last()?);
    (usize::from(last - first) + 1 == values.len()).then_some((first, last))
}

/// `a`, `a and b`, `a, b and c`.
fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [front @ .., last] => format!("{} and {last}", front.join(", ")),
    }
}

/// Values by name: three or more in a row as a range.
fn named(values: &[u16], name: impl Fn(u16) -> String) -> String {
    match span(values).filter(|_| values.len() > 2) {
        Some((first, last)) => format!("{} to {}", name(first), name(last)),
        None => listed(&values.iter().map(|v| name(*v)).collect::<Vec<_>>()),
    }
}

fn days(cron: &Cron) -> Option<String> {
    let pattern = &cron.pattern;
    let weekday = |day: u16| WEEKDAYS.get(usize::from(day % 7)).map_or(String::new(), |d| (*d).to_owned());
    match (pattern.is_dom_wildcard(), pattern.is_dow_wildcard()) {
        (true, true) => Some(String::new()),
        (true, false) if !pattern.days_of_week.has_modifiers() => {
            let mut days = pattern.days_of_week.values();
            if days.len() == 7 {
                return Some(String::new());
            }
            // A week begins on Monday, for people and so that a weekend is not torn apart.
            days.iter_mut().filter(|d| **d == 0).for_each(|d| *d = 7);
            days.sort_unstable();
            Some(named(&days, weekday))
        }
        (false, true) if !pattern.days.has_modifiers() && step(&pattern.days).is_none() => {
            let days = pattern.days.values();
            if days.is_empty() {
                return None;
            }
            let list = named(&days, |d| d.to_string());
            Some(format!("on day {list} of the month"))
        }
        _ => None,
    }
}

fn months(cron: &Cron) -> Option<String> {
    let months = &cron.pattern.months;
    if is_any(months) {
        return Some(String::new());
    }
    let name =
        |m: u16| usize::from(m).checked_sub(1).and_then(|m| MONTHS.get(m)).map_or(String::new(), |m| (*m).to_owned());
    Some(format!("in {}", named(&months.values(), name)))
}

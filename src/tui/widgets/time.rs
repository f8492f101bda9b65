//! Times, ages, sizes and numbers in the units that a person reads: `1.2 s`, `2m14`, `3.4 MB`, `18,204`.

use crate::clock::{local, parse_rfc3339};
use crate::model::Millis;
pub use crate::model::text::count;
use chrono::DateTime;

/// Time between two instants in milliseconds; zero when they are the wrong way round.
#[must_use]
pub fn between(earlier: &str, now: Millis) -> Option<u64> {
    let earlier = parse_rfc3339(earlier)?;
    Some(u64::try_from(now.0.saturating_sub(earlier.0)).unwrap_or(0))
}

/// Time left until an instant in milliseconds; zero when it has passed.
#[must_use]
pub fn until(later: &str, now: Millis) -> Option<u64> {
    let later = parse_rfc3339(later)?;
    Some(u64::try_from(later.0.saturating_sub(now.0)).unwrap_or(0))
}

/// A length of time to two places: `41s`, `2m14`, `3h05`, `4d02`. At most 6 columns up to 999 days.
#[must_use]
pub fn exact(ms: u64) -> String {
    let s = ms / 1000;
    match s {
        0..60 => format!("{s}s"),
        60..3_600 => format!("{}m{:02}", s / 60, s % 60),
        3_600..86_400 => format!("{}h{:02}", s / 3_600, s / 60 % 60),
        _ => format!("{}d{:02}", s / 86_400, s / 3_600 % 24),
    }
}

/// An age to one place: `41s`, `2m`, `3h`, `4d`. Rarely changes, so that an idle screen stays quiet.
#[must_use]
pub fn age(ms: u64) -> String {
    let s = ms / 1000;
    match s {
        0..60 => format!("{s}s"),
        60..3_600 => format!("{}m", s / 60),
        3_600..86_400 => format!("{}h", s / 3_600),
        _ => format!("{}d", s / 86_400),
    }
}

/// How long something took: `3 ms`, `0.3 s`, `12.4 s`, then as [`exact`].
#[must_use]
pub fn took(ms: u64) -> String {
    match ms {
        0..100 => format!("{ms} ms"),
        100..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        _ => exact(ms),
    }
}

/// How long an answer took to come: `123 ms`, `1.2 s`, then as [`exact`]. At most 6 columns up to 999 days.
#[must_use]
pub fn latency(ms: u64) -> String {
    if ms < 1_000 { format!("{ms} ms") } else { took(ms) }
}

/// How long a supervisor has been running: `4d 02:11`.
#[must_use]
pub fn uptime(ms: u64) -> String {
    let m = ms / 60_000;
    match m {
        0 => format!("{}s", ms / 1000),
        1..1_440 => format!("{:02}:{:02}", m / 60, m % 60),
        _ => format!("{}d {:02}:{:02}", m / 1_440, m / 60 % 24, m % 60),
    }
}

/// Time of day in this host's zone, `14:02:11`.
#[must_use]
pub fn of_day(at: Millis) -> String {
    local(at).format("%H:%M:%S").to_string()
}

/// Time of day of an RFC 3339 text; with the day in front where it is not today.
#[must_use]
pub fn stamp(at: &str, now: Millis) -> String {
    let Some(at) = parse_rfc3339(at) else { return at.to_owned() };
    let (then, now) = (local(at), local(now));
    let pattern = if then.date_naive() == now.date_naive() { "%H:%M:%S" } else { "%m-%d %H:%M" };
    then.format(pattern).to_string()
}

/// Time of day of an RFC 3339 text in its own zone, `09:00`; with the day of the week within a week, `Sat 09:00`; else
/// the date, `Dec 01`. At most 9 columns.
#[must_use]
pub fn wall(at: &str, now: Millis) -> String {
    let Ok(then) = DateTime::parse_from_rfc3339(at) else { return at.to_owned() };
    let today = local(now).with_timezone(then.offset()).date_naive();
    let pattern = match (then.date_naive() - today).num_days() {
        0 => "%H:%M",
        -6..=6 => "%a %H:%M",
        _ => "%b %d",
    };
    then.format(pattern).to_string()
}

/// Day and time of an RFC 3339 text in its own zone: `Sat 2026-11-21 09:00:00`.
#[must_use]
pub fn calendar(at: &str) -> String {
    DateTime::parse_from_rfc3339(at).map_or_else(|_| at.to_owned(), |t| t.format("%a %Y-%m-%d %H:%M:%S").to_string())
}

/// The same instant in this host's zone as [`wall`] spells it; none where that shows the same time.
#[must_use]
pub fn here(at: &str, now: Millis) -> Option<String> {
    let then = DateTime::parse_from_rfc3339(at).ok()?;
    let here = local(Millis(then.timestamp_millis())).fixed_offset();
    (here.offset() != then.offset()).then(|| wall(&here.to_rfc3339(), now))
}

/// A size in bytes, decimal units: `980 B`, `3.4 MB`, `120 GB`.
#[must_use]
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = n as f64;
    let mut unit = 0;
    // Rounding must not give "1000.0 kB".
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 || value >= 99.95 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// A size in as few columns as possible: `980B`, `3.4M`, `120G`.
#[must_use]
pub fn size(n: u64) -> String {
    let long = bytes(n);
    let (value, unit) = long.split_once(' ').unwrap_or((&long, ""));
    let short = unit.strip_suffix('B').filter(|u| !u.is_empty()).unwrap_or(unit);
    format!("{}{short}", value.strip_suffix(".0").unwrap_or(value))
}

/// A number in as few columns as possible: `980`, `9.8k`, `1.2M`.
#[must_use]
pub fn short(n: u64) -> String {
    let size = size(n);
    size.strip_suffix('B').map_or_else(|| size.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        assert_eq!([0, 59_999, 134_000, 11_100_000, 356_460_000].map(exact), ["0s", "59s", "2m14", "3h05", "4d03"]);
        assert_eq!([0, 59_999, 134_000, 11_100_000, 356_460_000].map(age), ["0s", "59s", "2m", "3h", "4d"]);
        assert_eq!([3, 340, 1_250, 134_000].map(took), ["3 ms", "0.3 s", "1.2 s", "2m14"]);
        assert_eq!([3, 999, 1_250, 134_000].map(latency), ["3 ms", "999 ms", "1.2 s", "2m14"]);
        assert_eq!([4_000, 7_860_000, 353_460_000].map(uptime), ["4s", "02:11", "4d 02:11"]);
    }

    #[test]
    fn sizes_and_numbers() {
        assert_eq!(
            [0, 999, 1_000, 3_400_000, 999_960, 120_000_000_000].map(bytes),
            ["0 B", "999 B", "1.0 kB", "3.4 MB", "1.0 MB", "120 GB"]
        );
        assert_eq!([980, 3_400_000, 80_000_000_000].map(size), ["980B", "3.4M", "80G"]);
        assert_eq!([7, 980, 9_800, 612_000, 1_204_000].map(short), ["7", "980", "9.8k", "612k", "1.2M"]);
        assert_eq!([7, 999, 18_204, 1_000_000].map(count), ["7", "999", "18,204", "1,000,000"]);
    }

    #[test]
    fn times_stay_in_their_zone() {
        let now = crate::clock::parse_rfc3339("2026-11-20T14:02:11+09:00").unwrap();
        let all = ["2026-11-20T23:59:00+09:00", "2026-11-21T09:00:00+09:00", "2026-12-01T09:00:00+09:00", "soon"];
        assert_eq!(all.map(|at| wall(at, now)), ["23:59", "Sat 09:00", "Dec 01", "soon"]);
        // The same day there is another one elsewhere.
        assert_eq!(wall("2026-11-19T23:00:00-08:00", now), "23:00");
        assert_eq!(calendar("2026-11-21T09:00:00+09:00"), "Sat 2026-11-21 09:00:00");
        let there = local(now).fixed_offset();
        assert_eq!(here(&there.to_rfc3339(), now), None);
        let east = chrono::FixedOffset::east_opt(there.offset().local_minus_utc() - 3_600).unwrap();
        assert_eq!(here(&there.with_timezone(&east).to_rfc3339(), now), Some(there.format("%H:%M").to_string()));
    }

    #[test]
    fn a_clock_that_was_set_back_gives_zero() {
        assert_eq!(between("2026-11-20T14:00:00+09:00", Millis(0)), Some(0));
        assert_eq!(between("soon", Millis(0)), None);
    }
}

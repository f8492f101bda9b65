//! Conditions of a task: what must hold when one of its runs starts. A condition that says no makes the run a skipped one
//! with the reason; it is looked at once, before the first job of the run begins.

use super::ledger::StoreError;
use chrono::{Datelike, NaiveTime, Timelike, Weekday};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// One condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// The task has not succeeded for so long.
    NoSuccessWithin(Duration),
    /// There is something with this path.
    FileExists(PathBuf),
    /// A file was changed within this time.
    FileNewerThan {
        /// The file.
        path: PathBuf,
        /// Its greatest age.
        age: Duration,
    },
    /// A file system has more than so many bytes free for us.
    DiskFreeAbove {
        /// A path on it.
        path: PathBuf,
        /// So many bytes.
        bytes: u64,
    },
    /// The load of the last minute is lower.
    LoadBelow(f64),
    /// The time of the day, in the task's zone, is in one of these.
    Between(Vec<DayPart>),
    /// The day of the week, in the task's zone, is one of these.
    Weekday(Vec<Weekday>),
    /// A program ends with exit code 0.
    Command {
        /// Program name or path.
        program: String,
        /// Its arguments.
        args: Vec<String>,
    },
    /// The first value that a query over the history answers is true: neither 0 nor empty nor null.
    Sql(String),
}

/// A part of the day: from a minute up to another, not included; over midnight where the second is the earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayPart {
    from: NaiveTime,
    to: NaiveTime,
}

impl DayPart {
    /// Reads `22:00-06:00`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (from, to) = text.split_once('-')?;
        let time = |part: &str| match part.trim() {
            "24:00" => Some(NaiveTime::MIN),
            part => NaiveTime::parse_from_str(part, "%H:%M").ok(),
        };
        let (from, to) = (time(from)?, time(to)?);
        (from != to).then_some(Self { from, to })
    }

    /// Whether a time of the day is in it.
    #[must_use]
    pub fn holds(&self, at: NaiveTime) -> bool {
        if self.from < self.to { self.from <= at && at < self.to } else { self.from <= at || at < self.to }
    }
}

impl fmt::Display for DayPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.from.format("%H:%M"), self.to.format("%H:%M"))
    }
}

/// The names of days in the configuration.
pub const WEEKDAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Mon),
    ("tue", Weekday::Tue),
    ("wed", Weekday::Wed),
    ("thu", Weekday::Thu),
    ("fri", Weekday::Fri),
    ("sat", Weekday::Sat),
    ("sun", Weekday::Sun),
];

/// Why a time is in none of these parts of the day; none if it is in one.
#[must_use]
pub fn outside(parts: &[DayPart], at: &impl Timelike) -> Option<String> {
    let time = NaiveTime::from_hms_opt(at.hour(), at.minute(), at.second()).unwrap_or_default();
    if parts.iter().any(|part| part.holds(time)) {
        return None;
    }
    let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
    Some(format!("it is {}, and runs are for {}", time.format("%H:%M"), parts.join(" and ")))
}

/// Why a day is none of these; none if it is one.
#[must_use]
pub fn other_day(days: &[Weekday], at: &impl Datelike) -> Option<String> {
    if days.contains(&at.weekday()) {
        return None;
    }
    let days: Vec<String> = days.iter().map(ToString::to_string).collect();
    Some(format!("it is {}, and runs are for {}", at.weekday(), days.join(", ")))
}

/// Answers a query over the history for [`Condition::Sql`]. `Err`: it could not be answered.
pub trait History {
    /// The first value of the first row as text; none for no row and for null.
    fn first_value(&self, sql: &str) -> Result<Option<String>, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone;

    #[test]
    fn parts_of_the_day_go_over_midnight() {
        let time = |text: &str| NaiveTime::parse_from_str(text, "%H:%M").unwrap();
        let night = DayPart::parse("22:00-06:00").unwrap();
        for (at, holds) in
            [("22:00", true), ("23:59", true), ("00:00", true), ("05:59", true), ("06:00", false), ("21:59", false)]
        {
            assert_eq!(night.holds(time(at)), holds, "{at}");
        }
        let day = DayPart::parse(" 9:30 - 24:00").unwrap();
        assert!(
            day.holds(time("09:30"))
                && day.holds(time("23:59"))
                && !day.holds(time("00:00"))
                && !day.holds(time("09:29"))
        );
        assert_eq!(night.to_string(), "22:00-06:00");
        for text in ["", "22:00", "22-06", "22:00-22:00", "25:00-06:00", "a-b"] {
            assert_eq!(DayPart::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_reason_says_what_is_and_what_must_be() {
        let at = chrono::Utc.with_ymd_and_hms(2025, 6, 2, 12, 0, 0).unwrap();
        let night = DayPart::parse("22:00-06:00").unwrap();
        assert_eq!(outside(&[night], &at).unwrap(), "it is 12:00, and runs are for 22:00-06:00");
        assert_eq!(outside(&[night, DayPart::parse("12:00-12:01").unwrap()], &at), None);
        assert_eq!(other_day(&[Weekday::Sat, Weekday::Sun], &at).unwrap(), "it is Mon, and runs are for Sat, Sun");
        assert_eq!(other_day(&[Weekday::Mon], &at), None);
    }
}

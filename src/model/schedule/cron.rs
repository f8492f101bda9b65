//! Cron patterns: what is accepted, what is said about what is not, and the next time.
//!
//! Parsing and search are croner's. It accepts some things that do something else than they seem to (a name of a month in
//! the field of minutes, an empty part of a list), and its messages do not say which field is meant; so each field is
//! looked at by itself first.

use super::{Millis, describe, every, utc};
use crate::model::block::shown;
use chrono::Datelike;
use chrono_tz::Tz;
use croner::parser::{CronParser, Seconds, Year};
use std::fmt;
use std::ops::Range;

/// Longest pattern, in bytes; a longer one is refused.
const PATTERN_MAX: usize = 256;
/// Last year in which a failed search is tried again from a later day.
const YEAR_MAX: i32 = 4000;
/// Most changes of a zone's clock that are tried then. Some islands lost a day at the date line; croner does not cross it.
const CHANGES_MAX: usize = 16;
/// How far ahead each of them is looked for, in milliseconds: over a year.
const CHANGE_WITHIN: i64 = 400 * 24 * 3600 * 1000;

/// A cron pattern of 5 or 6 fields, or a name such as `@daily`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    source: String,
    pub(super) pattern: Box<croner::Cron>,
}

/// Why a text is no cron pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronError {
    /// What is wrong, in one line of safe text.
    pub message: String,
    /// What to write instead.
    pub hint: String,
    /// Where in the text, in bytes; the whole text where no part of it is to blame.
    pub span: Range<usize>,
}

impl fmt::Display for CronError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.message, self.hint)
    }
}

impl std::error::Error for CronError {}

/// A field of a pattern.
struct Field {
    name: &'static str,
    /// What may stand in it, beside `*`, lists, ranges and steps of numbers.
    letters: &'static str,
    names: &'static [&'static str],
    hint: &'static str,
}

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// The fields of a pattern in their order.
const FIELDS: [Field; 6] = [
    Field { name: "second", letters: "", names: &[], hint: "0 to 59, with * , - and /, for example */10" },
    Field { name: "minute", letters: "", names: &[], hint: "0 to 59, with * , - and /, for example */15" },
    Field { name: "hour", letters: "", names: &[], hint: "0 to 23, with * , - and /, for example 9-17" },
    Field {
        name: "day of the month",
        letters: "LW?",
        names: &[],
        hint: "1 to 31, with * , - and /, L for the last day, 15W for the weekday nearest to the 15th",
    },
    Field { name: "month", letters: "", names: &MONTHS, hint: "1 to 12 or JAN to DEC, with * , - and /" },
    Field {
        name: "day of the week",
        letters: "L#?+",
        names: &WEEKDAYS,
        hint: "0 to 7 or SUN to SAT (0 and 7 are Sunday), 5L for the last Friday, 1#2 for the second Monday",
    },
];

impl Cron {
    /// Reads a pattern. One that never comes is refused like one that cannot be read.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        let whole = 0..text.len();
        let refuse = |message: String, hint: &str| CronError { message, hint: hint.to_owned(), span: whole.clone() };
        if text.len() > PATTERN_MAX {
            return Err(refuse(format!("a cron pattern has at most {PATTERN_MAX} bytes"), "make two tasks of it"));
        }
        let words = words(text);
        match words.as_slice() {
            [] => return Err(refuse("the cron pattern is empty".into(), "five fields, for example \"0 9 * * 1-5\"")),
            [(_, nickname)] if nickname.starts_with('@') => check_nickname(nickname, &whole)?,
            [_, _, _, _, _] => check_fields(&words, &FIELDS[1..])?,
            [_, _, _, _, _, _] => check_fields(&words, &FIELDS)?,
            more => {
                let message = format!("a cron pattern has 5 fields, or 6 with seconds first: this has {}", more.len());
                return Err(refuse(message, "minute, hour, day of the month, month, day of the week: \"0 9 * * 1-5\""));
            }
        }
        let joined = words.iter().map(|(_, word)| *word).collect::<Vec<_>>().join(" ");
        let pattern =
            parser().parse(&joined).map_err(|e| refuse(format!("no cron pattern: {e}"), "\"0 9 * * 1-5\""))?;
        let cron = Self { source: joined, pattern: Box::new(pattern) };
        let beginning = chrono::DateTime::UNIX_EPOCH;
        if cron.pattern.find_next_occurrence(&beginning, true).is_err() {
            let hint = "no such day is in the calendar: for the end of a month write L as the day, \"0 9 L * *\"";
            return Err(refuse("this pattern never comes".into(), hint));
        }
        Ok(cron)
    }

    /// The pattern as it was written, with single spaces.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// In plain words, for example `at 09:00, Monday to Friday`.
    #[must_use]
    pub fn describe(&self) -> String {
        describe::cron(&self.pattern)
    }

    /// The first time after an instant, by the clock of a zone.
    pub(super) fn next(&self, after: Millis, zone: Tz) -> Option<Millis> {
        let mut from = utc(Millis(after.0.div_euclid(1000).checked_mul(1000)?))?.with_timezone(&zone);
        let mut inclusive = false;
        for _ in 0..=CHANGES_MAX {
            match self.pattern.find_next_occurrence(&from, inclusive) {
                Ok(next) => return Some(Millis(next.timestamp_millis())),
                // A fixed time on a day that the zone does not have. Nothing lies between here and the day after.
                Err(_) if from.year() < YEAR_MAX => {
                    let here = from.timestamp_millis();
                    let change = every::change(zone, here, here.saturating_add(CHANGE_WITHIN))??;
                    from = utc(Millis(change))?.with_timezone(&zone);
                    inclusive = true;
                }
                Err(_) => return None,
            }
        }
        None
    }
}

fn parser() -> CronParser {
    CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build()
}

/// The words of a text with their places.
fn words(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| !c.is_whitespace()) {
        let word = rest[start..].split(char::is_whitespace).next().unwrap_or_default();
        found.push((text.len() - rest.len() + start, word));
        rest = &rest[start + word.len()..];
    }
    found
}

fn check_nickname(word: &str, span: &Range<usize>) -> Result<(), CronError> {
    let known = ["@hourly", "@daily", "@weekly", "@monthly", "@yearly", "@annually"];
    if known.iter().any(|k| k.eq_ignore_ascii_case(word)) {
        return Ok(());
    }
    let (message, hint) = match word.to_ascii_lowercase().as_str() {
        "@reboot" => (
            "@reboot is no time".to_owned(),
            "give the task `every` with the time that may lie between two runs, or start it when the system starts: \
             `shiftboss trigger TASK`"
                .to_owned(),
        ),
        "@midnight" => ("unknown name: @midnight".to_owned(), "write @daily".to_owned()),
        _ => (format!("unknown name: {}", shown(word)), format!("known are {}", known[..5].join(" "))),
    };
    Err(CronError { message, hint, span: span.clone() })
}

fn check_fields(words: &[(usize, &str)], fields: &[Field]) -> Result<(), CronError> {
    for (i, ((start, word), field)) in words.iter().zip(fields).enumerate() {
        let refuse = |message: String, hint: &str| {
            Err(CronError { message, hint: hint.to_owned(), span: *start..start + word.len() })
        };
        let wrong = |part: &str| format!("{} cannot be the {} of a cron pattern", shown(part), field.name);
        for part in word.split(',') {
            if part.is_empty() {
                return refuse(format!("an empty part in the {}: {}", field.name, shown(word)), field.hint);
            }
            // croner takes a lone L for a day of the week that never comes.
            if !spells(part, field) || (field.name == "day of the week" && part.eq_ignore_ascii_case("L")) {
                return refuse(wrong(part), field.hint);
            }
            if let Some(hint) = backwards(part, field) {
                return refuse(wrong(part), &hint);
            }
        }
        // By itself, so that what croner refuses has a place.
        let mut alone = ["*"; 6];
        if let Some(place) = alone.get_mut(i + FIELDS.len() - fields.len()) {
            *place = word;
        }
        if parser().parse(&alone.join(" ")).is_err() {
            return refuse(wrong(word), field.hint);
        }
    }
    Ok(())
}

/// Whether a part of a list is made of numbers, and of the names and letters that the field knows.
fn spells(part: &str, field: &Field) -> bool {
    let known = |word: &str| {
        let bare = word.trim_end_matches(|c: char| c.is_ascii_alphabetic() && field.letters.contains(c));
        let named = |word: &str| field.names.contains(&word);
        named(word) || named(bare) || bare.chars().all(|c| c.is_ascii_digit())
    };
    part.to_ascii_uppercase().split(['*', '-', '/', '#', '?', '+']).all(known)
}

/// What to write for a range that runs over the end of its field, such as `22-6`.
fn backwards(part: &str, field: &Field) -> Option<String> {
    let number = |text: &str| {
        let name = field.names.iter().position(|n| n.eq_ignore_ascii_case(text));
        let first = usize::from(field.names.len() == MONTHS.len());
        name.map(|n| n + first).or_else(|| text.parse().ok())
    };
    let (from, to) = part.split_once('-')?;
    let (low, high) = (number(from)?, number(to)?);
    let (first, last) = match field.name {
        "hour" => (0, 23),
        "day of the month" => (1, 31),
        "month" => (1, 12),
        "day of the week" => (0, 6),
        _ => (0, 59),
    };
    // A week may end with Sunday, which is 7 there.
    let is_sunday = field.name == "day of the week" && high == 0;
    (low > high && low <= last && !is_sunday)
        .then(|| format!("a range runs upwards: write {low}-{last},{first}-{high}"))
}

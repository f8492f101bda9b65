//! Days and times, read by hand in the forms of ISO 8601 and by `chrono` in any other.
//!
//! It guarantees that what is read exists in the calendar, and that a time with an offset becomes the same moment in
//! UTC. Digits of a second behind the microsecond are dropped. It knows no leap second, no hour 24 and no time zone by name.

use crate::actions::transform::table::Spelling;
use chrono::format::{Item, Parsed, StrftimeItems, parse};
use chrono::{DateTime, Datelike};

const DAY: i64 = 86_400;
const MICROS: i64 = 1_000_000;
/// `chrono` counts days from the year 1, arrow from 1970.
const EPOCH_FROM_CE: i32 = 719_163;

/// The formats of dates and timestamps, ready for use.
#[derive(Debug)]
pub(super) struct Formats<'a> {
    dates: Vec<Vec<Item<'a>>>,
    timestamps: Vec<Vec<Item<'a>>>,
}

impl<'a> Formats<'a> {
    /// Reads the formats. One that `chrono` does not know matches nothing.
    pub(super) fn of(spelling: &'a Spelling) -> Self {
        let all = |list: &'a [String]| list.iter().map(|format| StrftimeItems::new(format).collect()).collect();
        Self { dates: all(&spelling.dates), timestamps: all(&spelling.timestamps) }
    }

    /// A day, counted from 1970.
    #[inline]
    pub(super) fn date(&self, text: &[u8]) -> Option<i32> {
        if self.dates.is_empty() {
            return iso_date(text);
        }
        let text = std::str::from_utf8(text).ok()?;
        self.dates.iter().find_map(|items| {
            let date = by_format(text, items)?.to_naive_date().ok()?;
            Some(date.num_days_from_ce() - EPOCH_FROM_CE)
        })
    }

    /// A moment, in microseconds from 1970.
    #[inline]
    pub(super) fn timestamp(&self, text: &[u8]) -> Option<i64> {
        if self.timestamps.is_empty() {
            return iso_timestamp(text);
        }
        let text = std::str::from_utf8(text).ok()?;
        self.timestamps.iter().find_map(|items| moment(&by_format(text, items)?))
    }
}

fn by_format(text: &str, items: &[Item<'_>]) -> Option<Parsed> {
    let mut parsed = Parsed::new();
    parse(&mut parsed, text, items.iter()).ok()?;
    Some(parsed)
}

/// The moment that was read. A format without a time of day means midnight.
fn moment(parsed: &Parsed) -> Option<i64> {
    if parsed.offset().is_some() || parsed.timestamp().is_some() {
        let zone = chrono::FixedOffset::east_opt(parsed.offset().unwrap_or(0))?;
        return parsed.to_datetime_with_timezone(&zone).ok().map(|t: DateTime<_>| t.timestamp_micros());
    }
    let has_time = parsed.hour_div_12().is_some() || parsed.hour_mod_12().is_some() || parsed.minute().is_some();
    let time = if has_time {
        parsed.to_naive_datetime_with_offset(0).ok()?
    } else {
        parsed.to_naive_date().ok()?.and_hms_opt(0, 0, 0)?
    };
    Some(time.and_utc().timestamp_micros())
}

/// The number that digits make; `None` if one of them is none.
#[inline]
fn number<const N: usize>(text: &[u8], at: usize) -> Option<u32> {
    text.get(at..)?.first_chunk::<N>()?.iter().try_fold(0, |n, b| {
        let digit = b.wrapping_sub(b'0');
        (digit <= 9).then(|| n * 10 + u32::from(digit))
    })
}

/// `2026-01-31`
#[inline]
pub(super) fn iso_date(text: &[u8]) -> Option<i32> {
    if text.len() == 10 { day(text) } else { None }
}

/// The day that a text starts with.
#[inline]
fn day(text: &[u8]) -> Option<i32> {
    if text.get(4) != Some(&b'-') || text.get(7) != Some(&b'-') {
        return None;
    }
    let (year, month, day) = (number::<4>(text, 0)?, number::<2>(text, 5)?, number::<2>(text, 8)?);
    if !(1..=12).contains(&month) || day == 0 || day > 28 && day > days_of(year, month) {
        return None;
    }
    Some(days_from_1970(year, month, day))
}

fn days_of(year: u32, month: u32) -> u32 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 => 28 + u32::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970 on, for a day of the years 0 to 9999: years start in March, so that a leap day is the last of one.
#[expect(clippy::cast_possible_wrap, reason = "less than four million days")]
fn days_from_1970(year: u32, month: u32, day: u32) -> i32 {
    let year = year + 400 - u32::from(month <= 2); // 400 years more, so that nothing is negative
    let century = year / 100;
    let since_march = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    (year * 365 + year / 4 - century + century / 4 + since_march) as i32 - 719_468 - 146_097
}

/// `2026-01-31T12:30`, `2026-01-31 12:30:59.123456+09:00` and what is between them.
#[inline]
pub(super) fn iso_timestamp(text: &[u8]) -> Option<i64> {
    let day = i64::from(day(text)?);
    if !matches!(text.get(10), Some(b'T' | b't' | b' ')) || text.get(13) != Some(&b':') {
        return None;
    }
    let (hour, minute) = (number::<2>(text, 11)?, number::<2>(text, 14)?);
    let (mut second, mut micros, mut rest) = (0, 0, text.get(16..)?);
    if let [b':', ..] = rest {
        second = number::<2>(rest, 1)?;
        rest = &rest[3..];
        if let [b'.' | b',', fraction @ ..] = rest {
            let len = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
            if !(1..=9).contains(&len) {
                return None;
            }
            for i in 0..6 {
                micros = micros * 10 + fraction.get(i).filter(|_| i < len).map_or(0, |b| i64::from(b - b'0'));
            }
            rest = &fraction[len..];
        }
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = day * DAY + i64::from(hour * 3600 + minute * 60 + second) - offset(rest)?;
    Some(seconds * MICROS + micros)
}

/// Seconds that a place is ahead of UTC: nothing, `Z`, `+09`, `+0900`, `+09:00`.
fn offset(text: &[u8]) -> Option<i64> {
    let (sign, rest) = match text {
        [] | [b'Z' | b'z'] => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let minutes = match rest.len() {
        2 => 0,
        4 => number::<2>(rest, 2)?,
        5 if rest[2] == b':' => number::<2>(rest, 3)?,
        _ => return None,
    };
    let hours = number::<2>(rest, 0)?;
    (hours <= 23 && minutes <= 59).then_some(sign * i64::from(hours * 3600 + minutes * 60))
}

/// Whether `chrono` knows all of a format.
#[must_use]
pub fn is_format(format: &str) -> bool {
    StrftimeItems::new(format).all(|item| !matches!(item, Item::Error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{NaiveDate, NaiveDateTime};
    use proptest::prelude::*;

    fn formats(dates: &[&str], timestamps: &[&str]) -> Spelling {
        let owned = |list: &[&str]| list.iter().map(|f| (*f).to_owned()).collect();
        Spelling { dates: owned(dates), timestamps: owned(timestamps), ..Spelling::default() }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn days_are_those_of_the_calendar(year in 0..10_000, month in 0_u32..14, day in 0_u32..33) {
            let expected = NaiveDate::from_ymd_opt(year, month, day).map(|d| d.num_days_from_ce() - EPOCH_FROM_CE);
            prop_assert_eq!(iso_date(format!("{year:04}-{month:02}-{day:02}").as_bytes()), expected);
        }

        #[test]
        fn times_are_those_of_chrono(micros in -62_135_596_800_000_000_i64..253_402_300_799_999_999, digits in 0_usize..10, t in "[T ]") {
            let time = DateTime::from_timestamp_micros(micros).unwrap().naive_utc();
            let whole = time.format(&format!("%Y-%m-%d{t}%H:%M:%S%.9f")).to_string();
            let text = &whole[..19 + if digits == 0 { 0 } else { 1 + digits }];
            let expected = NaiveDateTime::parse_from_str(&text.replace('T', " "), "%Y-%m-%d %H:%M:%S%.f").unwrap();
            prop_assert_eq!(iso_timestamp(text.as_bytes()), Some(expected.and_utc().timestamp_micros()));
        }

        #[test]
        fn no_text_is_too_odd(text in "[0-9TZ:. +-]{0,40}|\\PC{0,30}") {
            let _ = (iso_date(text.as_bytes()), iso_timestamp(text.as_bytes()));
            let spelling = formats(&["%d.%m.%Y", "%s", "%Y"], &["%s", "%d.%m.%Y %H:%M", "%+", "%Y-%m-%d"]);
            let formats = Formats::of(&spelling);
            let _ = (formats.date(text.as_bytes()), formats.timestamp(text.as_bytes()));
        }
    }

    #[test]
    fn a_time_may_have_an_offset() {
        let of = |text: &str| iso_timestamp(text.as_bytes());
        let noon = of("2026-01-31T12:00:00").unwrap();
        for text in [
            "2026-01-31 12:00",
            "2026-01-31T12:00:00Z",
            "2026-01-31T21:00:00+09:00",
            "2026-01-31T21:00+0900",
            "2026-01-31T04:00:00.000-08",
            "2026-01-31t12:00:00,0z",
        ] {
            assert_eq!(of(text), Some(noon), "{text}");
        }
        assert_eq!(of("1969-12-31T23:59:59.9999999"), Some(-1));
        for text in [
            "2026-01-31",
            "2026-02-29 00:00",
            "2026-01-31T24:00",
            "2026-01-31T12:60",
            "2026-01-31T12:00:60",
            "2026-01-31T12:00:00.",
            "2026-01-31T12:00:00.1234567890",
            "2026-01-31T12:00:00 +09:00",
            "2026-01-31T12:00:00+9",
            "2026-01-31T12:00:00+09:0",
            "2026-01-31T12:00:",
            "2026-01-31X12:00",
            "26-01-31T12:00:00",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn formats_are_tried_in_turn() {
        let spelling = formats(&["%d.%m.%Y", "%Y/%m/%d"], &["%d.%m.%Y %H:%M", "%s", "%Y-%m-%dT%H:%M:%S%z", "%d.%m.%Y"]);
        let formats = Formats::of(&spelling);
        let day = iso_date(b"2026-01-31");
        assert_eq!(formats.date(b"31.01.2026"), day);
        assert_eq!(formats.date(b"2026/01/31"), day);
        assert_eq!(formats.date(b"2026-01-31"), None, "the default is no longer meant");
        let noon = iso_timestamp(b"2026-01-31T12:00");
        assert_eq!(formats.timestamp(b"31.01.2026 12:00"), noon);
        assert_eq!(formats.timestamp(b"1769860800"), noon);
        assert_eq!(formats.timestamp(b"2026-01-31T21:00:00+0900"), noon);
        assert_eq!(formats.timestamp(b"31.01.2026"), iso_timestamp(b"2026-01-31T00:00"));
        assert_eq!(formats.timestamp(b"31.01.2026 25:00"), None);
        assert!(is_format("%d.%m.%Y") && !is_format("%Q"));
    }
}

//! `Retry-After`: when the other side may be asked again.

use crate::model::Millis;
use chrono::{DateTime, NaiveDateTime};
use std::time::Duration;

/// Furthest time that is taken from `Retry-After`; a later one becomes this one, so that no server parks a job for ever.
const MAX: Duration = Duration::from_secs(3600);

/// The time that `Retry-After` names: seconds from now, or a date. A date is measured by the server's own clock where the
/// answer shows it (`date`). None for what is not later than now, or nonsense.
pub(super) fn parse(value: &str, date: Option<&str>, now: Millis) -> Option<Millis> {
    let value = value.trim();
    let wait = if value.bytes().all(|b| b.is_ascii_digit()) && !value.is_empty() {
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let from = date.and_then(|d| http_date(d.trim())).unwrap_or(now);
        http_date(value)?.since(from)
    };
    (!wait.is_zero()).then(|| now.plus(wait.min(MAX)))
}

/// A date in one of the three forms that RFC 9110 knows.
fn http_date(text: &str) -> Option<Millis> {
    if let Ok(at) = DateTime::parse_from_rfc2822(text) {
        return Some(Millis(at.timestamp_millis()));
    }
    ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .map(|at| Millis(at.and_utc().timestamp_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21T12:00:00Z, a Saturday.
    const NOW: Millis = Millis(1_795_262_400_000);

    #[test]
    fn both_forms_are_read_and_nonsense_is_not() {
        let seconds = |n: u64| Some(NOW.plus(Duration::from_secs(n)));
        for (value, expected) in [
            ("120", seconds(120)),
            (" 1 ", seconds(1)),
            ("0", None),
            ("-1", None),
            ("+5", None),
            ("1.5", None),
            ("", None),
            ("99999999999", seconds(3600)),
            ("99999999999999999999999999", seconds(3600)),
            ("soon", None),
            ("\u{1b}[2J", None),
            ("Sat, 21 Nov 2026 12:00:30 GMT", seconds(30)),
            ("Saturday, 21-Nov-26 12:00:30 GMT", seconds(30)),
            ("Sat Nov 21 12:00:30 2026", seconds(30)),
            ("Sat, 21 Nov 2026 11:59:59 GMT", None),
            ("Thu, 01 Jan 1970 00:00:00 GMT", None),
            ("Sat, 21 Nov 2099 12:00:30 GMT", seconds(3600)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", seconds(3600)),
            ("Sat, 32 Nov 2026 12:00:30 GMT", None),
        ] {
            assert_eq!(parse(value, None, NOW), expected, "{value:?}");
        }
    }

    #[test]
    fn a_date_is_measured_by_the_clock_of_the_server() {
        let date = Some("Sat, 21 Nov 2026 14:00:00 GMT");
        let at = parse("Sat, 21 Nov 2026 14:00:10 GMT", date, NOW);
        assert_eq!(at, Some(NOW.plus(Duration::from_secs(10))));
        assert_eq!(parse("Sat, 21 Nov 2026 13:59:50 GMT", date, NOW), None);
        assert_eq!(parse("10", Some("nonsense"), NOW), Some(NOW.plus(Duration::from_secs(10))));
    }
}

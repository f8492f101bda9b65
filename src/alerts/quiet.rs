//! Quiet hours: whether a channel holds its messages back now, and until when.

use crate::model::Millis;
use crate::model::alert::channel::Quiet;
use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Timelike, Utc};

/// Until when it is quiet; none if it is not.
#[must_use]
pub fn until(quiet: &Quiet, now: Millis) -> Option<Millis> {
    let local = Utc.timestamp_millis_opt(now.0).single()?.with_timezone(&quiet.zone);
    let minute = u16::try_from(local.hour() * 60 + local.minute()).unwrap_or(0);
    let over_midnight = quiet.from >= quiet.until;
    let is_quiet = if over_midnight {
        minute >= quiet.from || minute < quiet.until
    } else {
        (quiet.from..quiet.until).contains(&minute)
    };
    if !is_quiet {
        return None;
    }
    let today = local.date_naive();
    let day = if over_midnight && minute >= quiet.from { today.checked_add_days(Days::new(1))? } else { today };
    let end = instant(day, quiet.until, quiet.zone)?;
    Some(Millis(end.timestamp_millis().max(now.0 + 1)))
}

/// The instant of a minute of a day; where clocks skip it, the first one after.
fn instant(day: NaiveDate, minute: u16, zone: chrono_tz::Tz) -> Option<DateTime<chrono_tz::Tz>> {
    let at: NaiveDateTime = day.and_hms_opt(u32::from(minute / 60), u32::from(minute % 60), 0)?;
    (0..=8).find_map(|quarters| {
        let later = at.checked_add_signed(TimeDelta::minutes(quarters * 15))?;
        zone.from_local_datetime(&later).earliest()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::parse_rfc3339;

    fn quiet(from: u16, until: u16, zone: &str) -> Quiet {
        Quiet { from, until, zone: zone.parse().unwrap(), except: Vec::new() }
    }

    fn check(quiet: &Quiet, now: &str, end: Option<&str>) {
        let found = until(quiet, parse_rfc3339(now).unwrap());
        assert_eq!(found, end.map(|e| parse_rfc3339(e).unwrap()), "{now}");
    }

    #[test]
    fn a_night_ends_in_the_morning_of_its_zone() {
        let night = quiet(22 * 60, 6 * 60, "Asia/Seoul");
        check(&night, "2026-03-01T21:59:59+09:00", None);
        check(&night, "2026-03-01T22:00:00+09:00", Some("2026-03-02T06:00:00+09:00"));
        check(&night, "2026-03-02T05:59:59+09:00", Some("2026-03-02T06:00:00+09:00"));
        check(&night, "2026-03-02T06:00:00+09:00", None);
        let lunch = quiet(12 * 60, 13 * 60, "Asia/Seoul");
        check(&lunch, "2026-03-02T12:30:00+09:00", Some("2026-03-02T13:00:00+09:00"));
        check(&lunch, "2026-03-02T13:00:00+09:00", None);
    }

    #[test]
    fn an_end_that_clocks_skip_is_the_first_instant_after() {
        let night = quiet(23 * 60, 2 * 60 + 30, "Europe/Berlin");
        check(&night, "2026-03-29T01:30:00+01:00", Some("2026-03-29T03:00:00+02:00"));
    }
}

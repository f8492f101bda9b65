//! Intervals: counted in real time from a point, or aligned to the marks of a zone's clock.

use super::{Millis, PERIOD_MIN, offset, utc};
use chrono::{MappedLocalTime, Offset, TimeZone};
use chrono_tz::Tz;
use std::time::Duration;

/// Longest period whose marks come twice when an hour comes twice: the runs stay a period apart then. A longer one is
/// run once for each mark.
const BOTH_PASSES_MAX: i64 = 3600 * 1000;
/// How far apart a zone's offset is looked at, in milliseconds; no zone changes twice in less.
const LOOK: i64 = 24 * 3600 * 1000;
/// Most changes of a zone's clock and repeated marks that one search crosses; where there are more, there is no next mark.
const STEPS_MAX: usize = 1000;

/// A period in milliseconds, at least the shortest.
pub(super) fn millis(period: Duration) -> i64 {
    i64::try_from(period.max(PERIOD_MIN).as_millis()).unwrap_or(i64::MAX)
}

/// The first time after `after` among `start`, `start` + period, …, or without a start among `anchor` + period, ….
pub(super) fn counted(period: Duration, start: Option<Millis>, anchor: Millis, after: Millis) -> Option<Millis> {
    let period = millis(period);
    let first = start.map_or_else(|| anchor.0.checked_add(period), |start| Some(start.0))?;
    if after.0 < first {
        return Some(Millis(first));
    }
    let passed = after.0.checked_sub(first)? / period;
    Some(Millis(first.checked_add(passed.checked_add(1)?.checked_mul(period)?)?))
}

/// How many of those times lie after `after` and not after `until`.
pub(super) fn count(period: Duration, start: Option<Millis>, anchor: Millis, after: Millis, until: Millis) -> u64 {
    let Some(first) = counted(period, start, anchor, after).filter(|first| *first <= until) else { return 0 };
    u64::try_from(until.0.saturating_sub(first.0) / millis(period)).unwrap_or(0) + 1
}

/// The first time after `after` at which the clock of `zone` shows a multiple of the period.
///
/// The search goes along real time. Within a stretch of one offset a mark is a division away; at a change of the clock
/// it starts anew with what the clock shows then.
pub(super) fn aligned(period: Duration, zone: Tz, after: Millis) -> Option<Millis> {
    let period = millis(period);
    let once = period > BOTH_PASSES_MAX;
    let mut after = after.0;
    for _ in 0..STEPS_MAX {
        let before = offset(zone, Millis(after))?;
        let mark = after.checked_add(before)?.div_euclid(period).checked_add(1)?.checked_mul(period)?;
        let at = mark.checked_sub(before)?;
        let Some(change) = change(zone, after, at)? else {
            if once && is_repeated(zone, mark, before)? {
                after = at;
                continue;
            }
            return Some(Millis(at));
        };
        let (shown_before, shown) = (change + before, change + offset(zone, Millis(change))?);
        after = change;
        if once && shown < shown_before {
            continue; // what the clock shows now, it showed before
        }
        // A mark at this instant, or one that the gap has swallowed.
        if shown.rem_euclid(period) == 0 || (once && mark < shown) {
            return Some(Millis(change));
        }
    }
    None
}

/// Whether the clock shows `mark` twice, and with this offset for the second time.
fn is_repeated(zone: Tz, mark: i64, offset: i64) -> Option<bool> {
    let shown = utc(Millis(mark))?.naive_utc();
    Some(match zone.offset_from_local_datetime(&shown) {
        MappedLocalTime::Ambiguous(one, other) => {
            let ahead = one.fix().local_minus_utc().max(other.fix().local_minus_utc());
            offset < i64::from(ahead) * 1000
        }
        _ => false,
    })
}

/// The first instant after `after` and not after `until` at which the clock of a zone changes. The outer option is
/// none beyond the calendar.
#[expect(clippy::option_option, reason = "no change is an answer, no calendar is not")]
pub(super) fn change(zone: Tz, after: i64, until: i64) -> Option<Option<i64>> {
    let before = offset(zone, Millis(after))?;
    let mut low = after;
    while low < until {
        let mut high = until.min(low.saturating_add(LOOK));
        if offset(zone, Millis(high))? == before {
            low = high;
            continue;
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if offset(zone, Millis(middle))? == before {
                low = middle;
            } else {
                high = middle;
            }
        }
        return Some(Some(high));
    }
    Some(None)
}

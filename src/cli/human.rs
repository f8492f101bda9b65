//! Numbers, sizes and times for people. Sizes count in 1024s and say so; times are shown in the offset that the
//! supervisor wrote them with.

use crate::clock::parse_rfc3339;
use crate::model::Millis;
pub use crate::model::figure::{duration, millis, size as bytes};
pub use crate::model::text::{count, counted as plural};
use std::time::Duration;

/// The largest unit alone: `3s`, `2m`, `4d`.
#[must_use]
pub fn short(d: Duration) -> String {
    let s = d.as_secs();
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m", s / 60),
        3600..86_400 => format!("{}h", s / 3600),
        _ => format!("{}d", s / 86_400),
    }
}

/// How long ago a time was, in one unit; nothing for a text that is no time.
#[must_use]
pub fn age(at: &str, now: Millis) -> String {
    parse_rfc3339(at).map(|at| short(now.since(at))).unwrap_or_default()
}

/// `2026-11-20 14:00:02`, as written, without its offset.
#[must_use]
pub fn time(at: &str) -> String {
    let chars: String = at.chars().take(19).collect();
    chars.replacen('T', " ", 1)
}

/// `2026-11-20 14:00:02 (2m 9s ago)`, or `(in 41.0 s)`.
#[must_use]
pub fn moment(at: &str, now: Millis) -> String {
    let Some(then) = parse_rfc3339(at) else { return at.to_owned() };
    let far = if then.0 > now.0 {
        format!("in {}", duration(then.since(now)))
    } else {
        format!("{} ago", duration(now.since(then)))
    };
    format!("{} ({far})", time(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        let all: Vec<_> = [0, 999, 1000, 18_204, 1_234_567].map(count).into();
        assert_eq!(all, ["0", "999", "1,000", "18,204", "1,234,567"]);
        assert_eq!((plural(1, "job"), plural(0, "job")), ("1 job".into(), "0 jobs".into()));
    }

    #[test]
    fn sizes_never_show_1024() {
        for (n, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_048_575, "1.0 MiB"),
            (4_404_019, "4.2 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes(n), shown);
        }
    }

    #[test]
    fn durations_show_two_units() {
        for (ms, shown) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (59_999, "59.9 s"),
            (134_000, "2m 14s"),
            (14_220_000, "3h 57m"),
            (353_460_000, "4d 2h"),
        ] {
            assert_eq!(millis(ms), shown);
        }
    }

    #[test]
    fn moments_lie_behind_or_ahead() {
        let now = Millis(1_795_150_931_000);
        assert_eq!(moment("2026-11-20T14:00:02+09:00", now), "2026-11-20 14:00:02 (2m 9s ago)");
        assert_eq!(moment("2026-11-20T05:02:52Z", now), "2026-11-20 05:02:52 (in 41.0 s)");
        assert_eq!(moment("soon", now), "soon");
        assert_eq!(age("2026-11-20T14:00:02+09:00", now), "2m");
    }
}

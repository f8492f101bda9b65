//! Sizes and durations as people read them. Sizes count in 1024s and say so.

use std::time::Duration;

/// `4.2 KiB`
#[must_use]
pub fn size(n: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "one digit behind the point is shown")]
    let mut value = n as f64 / 1024.0;
    let mut unit = 0;
    // 1023.95 and above would read as 1024.0.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `312 ms`, `12.4 s`, `2m 14s`, `3h 57m`, `4d 2h`
#[must_use]
pub fn duration(d: Duration) -> String {
    let (ms, s) = (d.as_millis(), d.as_secs());
    if ms < 1000 {
        format!("{ms} ms")
    } else if s < 60 {
        // Cut, not rounded: 59.96 s is not yet a minute.
        format!("{}.{} s", s, ms % 1000 / 100)
    } else if s < 3600 {
        format!("{}m {}s", s / 60, s % 60)
    } else if s < 86_400 {
        format!("{}h {}m", s / 3600, s % 3600 / 60)
    } else {
        format!("{}d {}h", s / 86_400, s % 86_400 / 3600)
    }
}

/// The same for a number of milliseconds.
#[must_use]
pub fn millis(ms: u64) -> String {
    duration(Duration::from_millis(ms))
}

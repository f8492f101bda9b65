//! The clock as a port: the system's, or one that a test turns by hand. Rendering of times for people and JSON.

use crate::model::Millis;
use chrono::{DateTime, Local, SecondsFormat, TimeZone, Utc};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Tells the wall-clock time.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Millis;
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the system clock")]
        let now = Utc::now();
        Millis(now.timestamp_millis())
    }
}

/// A clock that stands still until it is turned.
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that shows `at`.
    #[must_use]
    pub fn new(at: Millis) -> Self {
        Self(Arc::new(AtomicI64::new(at.0)))
    }

    /// Turns it to `at`.
    pub fn set(&self, at: Millis) {
        self.0.store(at.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::SeqCst))
    }
}

/// RFC 3339 with the offset of this host's zone, milliseconds included.
#[must_use]
pub fn rfc3339(at: Millis) -> String {
    local(at).to_rfc3339_opts(SecondsFormat::Millis, false)
}

/// The time of an RFC 3339 text.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<Millis> {
    DateTime::parse_from_rfc3339(text).ok().map(|t| Millis(t.timestamp_millis()))
}

/// A time in this host's zone; the epoch for one that no calendar holds.
#[must_use]
pub fn local(at: Millis) -> DateTime<Local> {
    Local.timestamp_millis_opt(at.0).single().unwrap_or_else(|| DateTime::<Utc>::UNIX_EPOCH.with_timezone(&Local))
}

/// A time in a zone; the epoch for one that no calendar holds.
#[must_use]
pub fn in_zone(at: Millis, zone: chrono_tz::Tz) -> DateTime<chrono_tz::Tz> {
    Utc.timestamp_millis_opt(at.0).single().unwrap_or(DateTime::<Utc>::UNIX_EPOCH).with_timezone(&zone)
}

/// `YYYY-MM-DD` of a time in a zone.
#[must_use]
pub fn date_in(at: Millis, zone: chrono_tz::Tz) -> String {
    in_zone(at, zone).format("%Y-%m-%d").to_string()
}

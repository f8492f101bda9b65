//! What a report is about: the time before it.

use crate::model::block::{Complaint, shown};
use crate::model::{Block, Failure, Millis};
use std::time::Duration;

/// Length of a period unless the configuration says otherwise, and of the first one of `since_last`.
pub const DAY: Duration = Duration::from_secs(24 * 3600);
/// Shortest period.
const SHORTEST: Duration = Duration::from_secs(60);
/// Longest period; what is older than the retention is not there any more.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// The time that a report is about; it ends with the planned time of its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// So long.
    Last(Duration),
    /// Since the planned time of the last run that succeeded.
    SinceLast,
}

impl Default for Period {
    fn default() -> Self {
        Self::Last(DAY)
    }
}

impl Period {
    /// `"24h"`, `"7d"` or `"since_last"`.
    pub(super) fn read(block: &mut Block<'_>, key: &str) -> Option<Self> {
        let text = block.string(key)?;
        let read = Self::parse(&text.value);
        if read.is_none() {
            let message = format!("`{key}` is not a period: {}", shown(&text.value));
            block.problem(Complaint::new(text.span, message).hint(HINT));
        }
        read
    }

    /// The period that a text stands for.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "since_last" {
            return Some(Self::SinceLast);
        }
        let length = humantime::parse_duration(text).ok()?;
        (SHORTEST..=LONGEST).contains(&length).then_some(Self::Last(length))
    }

    /// Its beginning and its end.
    pub(super) fn ending(
        self,
        at: Millis,
        last: impl FnOnce() -> Result<Option<Millis>, Failure>,
    ) -> Result<(Millis, Millis), Failure> {
        let from = match self {
            Self::Last(length) => at.minus(length),
            // A clock that was set back gives a period that would end before it begins.
            Self::SinceLast => last()?.filter(|last| *last < at).unwrap_or_else(|| at.minus(DAY)),
        };
        Ok((from.max(at.minus(LONGEST)), at))
    }

    /// The beginning of the period before one, as long as that.
    #[must_use]
    pub fn before(from: Millis, to: Millis) -> Millis {
        from.minus(to.since(from))
    }
}

/// What a period looks like.
pub const HINT: &str = "write \"24h\", \"7d\" (from 1m to 366d) or \"since_last\"";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_ends_with_its_run() {
        let at = Millis(1_000_000_000);
        let none = || Ok(None);
        assert_eq!(Period::parse("1h").unwrap().ending(at, none).unwrap(), (Millis(996_400_000), at));
        let since = Period::parse("since_last").unwrap();
        assert_eq!(since.ending(at, || Ok(Some(Millis(999_000_000)))).unwrap(), (Millis(999_000_000), at));
        assert_eq!(since.ending(at, none).unwrap().0, at.minus(DAY), "the first one");
        assert_eq!(since.ending(at, || Ok(Some(Millis(i64::MAX)))).unwrap().0, at.minus(DAY), "a clock set back");
        assert_eq!(Period::before(Millis(70), Millis(100)), Millis(40));
        assert_eq!(["1s", "400d", "24", "", "yesterday"].map(Period::parse), [None; 5]);
    }
}

//! Which copies may go. A pure function: what is there, the rule, and the time; nothing is deleted here.
//!
//! It guarantees that the newest good copy stays, that nothing goes unless a newer copy was read back and compared, that
//! an archive stays as long as one that stays needs it, and that nothing goes while the clock looks wrong. Ages count from
//! the newest good copy and not from now: a backup that did not run for a month finds everything that it had.

use crate::model::Millis;
use chrono::{DateTime, Datelike, Utc};
use std::collections::BTreeSet;
use std::time::Duration;

/// A clock that is so far from the newest copy is wrong.
const STALE: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// Every copy that is no older than this.
    pub within: Option<Duration>,
    /// The newest one of each of so many days.
    pub daily: usize,
    /// The newest one of each of so many weeks.
    pub weekly: usize,
    /// The newest one of each of so many months.
    pub monthly: usize,
    /// The newest ones, whatever their age.
    pub min: usize,
}

/// A copy as retention sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copy {
    /// Its name.
    pub name: String,
    /// When its run was planned.
    pub planned: Millis,
    /// It is whole, as far as its size and its manifest tell, and nobody found it damaged.
    pub good: bool,
    /// It was read back and compared when it was made.
    pub verified: bool,
    /// Copies that hold bytes of it.
    pub needs: Vec<String>,
}

/// What retention decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Copies to be deleted, in this order: one that needs another goes before it.
    pub delete: Vec<String>,
    /// Why nothing is deleted.
    pub warning: Option<String>,
}

/// Decides which copies go.
pub fn retain(copies: &[Copy], keep: &Keep, now: Millis) -> Verdict {
    let mut sorted: Vec<&Copy> = copies.iter().collect();
    sorted.sort_by(|a, b| b.planned.cmp(&a.planned).then_with(|| b.name.cmp(&a.name)));
    let warn = |warning: &str| Verdict { delete: Vec::new(), warning: Some(warning.to_owned()) };
    let Some(latest) = sorted.first() else { return Verdict::default() };
    if latest.planned > now {
        return warn("the newest copy is from the future: the clock looks wrong, and no old copy is deleted");
    }
    if now.since(latest.planned) > STALE {
        return warn("the newest copy is older than 10 years: the clock looks wrong, and no old copy is deleted");
    }
    let good: Vec<&Copy> = sorted.iter().copied().filter(|c| c.good).collect();
    let Some((newest, proven)) = good.first().zip(good.iter().find(|c| c.verified)) else {
        return Verdict::default();
    };
    let mut kept: BTreeSet<&str> = [newest.name.as_str(), proven.name.as_str()].into();
    kept.extend(good.iter().take(keep.min).map(|c| c.name.as_str()));
    if let Some(within) = keep.within {
        let since = newest.planned.minus(within);
        kept.extend(good.iter().filter(|c| c.planned >= since).map(|c| c.name.as_str()));
    }
    for (most, period) in [(keep.daily, day as fn(Millis) -> (i32, u32)), (keep.weekly, week), (keep.monthly, month)] {
        let mut seen = BTreeSet::new();
        for copy in &good {
            if seen.len() >= most {
                break;
            }
            if seen.insert(period(copy.planned)) {
                kept.insert(&copy.name);
            }
        }
    }
    // A damaged one is perhaps all that is left of something that a person looks for: it goes last.
    let oldest = good.iter().filter(|c| kept.contains(c.name.as_str())).map(|c| c.planned).min();
    let bad = sorted.iter().filter(|c| !c.good && oldest.is_none_or(|oldest| c.planned >= oldest));
    kept.extend(bad.map(|c| c.name.as_str()));
    // What is not older than the newest proven one has nothing that stands in for it.
    kept.extend(sorted.iter().filter(|c| c.planned >= proven.planned).map(|c| c.name.as_str()));
    loop {
        let needed: Vec<&str> = sorted
            .iter()
            .filter(|c| kept.contains(c.name.as_str()))
            .flat_map(|c| c.needs.iter().map(String::as_str))
            .filter(|name| !kept.contains(name))
            .collect();
        if needed.is_empty() {
            break;
        }
        kept.extend(needed);
    }
    let delete = sorted.iter().filter(|c| !kept.contains(c.name.as_str())).map(|c| c.name.clone()).collect();
    Verdict { delete, warning: None }
}

fn date(at: Millis) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at.0).unwrap_or_default()
}

fn day(at: Millis) -> (i32, u32) {
    (date(at).year(), date(at).ordinal())
}

fn week(at: Millis) -> (i32, u32) {
    let week = date(at).iso_week();
    (week.year(), week.week())
}

fn month(at: Millis) -> (i32, u32) {
    (date(at).year(), date(at).month())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: i64 = 86_400_000;
    const NOW: Millis = Millis(1_790_000_000_000);

    fn copy(days_ago: i64) -> Copy {
        let planned = Millis(NOW.0 - days_ago * DAY);
        Copy { name: format!("c{days_ago:05}"), planned, good: true, verified: true, needs: Vec::new() }
    }

    fn week_of() -> Keep {
        Keep { within: Some(Duration::from_secs(7 * 24 * 3600)), ..Keep::default() }
    }

    #[test]
    fn what_is_older_than_the_time_goes_newest_first() {
        let copies: Vec<Copy> = (0..10).map(copy).collect();
        assert_eq!(retain(&copies, &week_of(), NOW).delete, ["c00008", "c00009"]);
    }

    #[test]
    fn one_of_each_day_week_and_month_stays() {
        let copies: Vec<Copy> = (0..400).map(copy).collect();
        let keep = Keep { within: None, daily: 7, weekly: 4, monthly: 12, min: 2 };
        let left = 400 - retain(&copies, &keep, NOW).delete.len();
        assert!((7 + 2 + 11..=7 + 4 + 12).contains(&left), "{left} are left");
    }

    #[test]
    fn a_wrong_clock_deletes_nothing() {
        let copies: Vec<Copy> = (0..30).map(copy).collect();
        for years in [-10, 11, 50] {
            let verdict = retain(&copies, &week_of(), Millis(NOW.0 + years * 366 * DAY));
            assert!(verdict.delete.is_empty() && verdict.warning.is_some(), "{years}: {verdict:?}");
        }
        // Whatever the clock says, ages count from the newest copy.
        assert_eq!(retain(&copies, &week_of(), Millis(NOW.0 + 300 * DAY)), retain(&copies, &week_of(), NOW));
    }

    #[test]
    fn nothing_goes_before_a_newer_copy_is_proven() {
        let mut copies: Vec<Copy> = (0..30).map(copy).collect();
        copies.iter_mut().for_each(|c| c.verified = false);
        assert!(retain(&copies, &week_of(), NOW).delete.is_empty());
        copies[20].verified = true;
        assert_eq!(retain(&copies, &week_of(), NOW).delete.len(), 9, "only what is older than the proven one");
    }

    fn any_copies() -> impl Strategy<Value = Vec<Copy>> {
        let one =
            (0_i64..4000, any::<bool>(), any::<bool>(), proptest::collection::vec(any::<prop::sample::Index>(), 0..3));
        proptest::collection::vec(one, 0..40).prop_map(|list| {
            let mut list = list;
            list.sort_by_key(|(hours, ..)| *hours);
            list.dedup_by_key(|(hours, ..)| *hours);
            let made = |i: usize| format!("c{i}");
            let whole = list.len();
            let all = list.into_iter().enumerate().map(|(i, (hours, good, verified, needs))| {
                // Bytes are only ever held by older ones, which stand further down.
                let needs = needs.iter().filter(|_| i + 1 < whole).map(|n| made(i + 1 + n.index(whole - i - 1)));
                let planned = Millis(NOW.0 - hours * 3_600_000);
                Copy { name: made(i), planned, good, verified, needs: needs.collect() }
            });
            all.collect()
        })
    }

    proptest! {
        #[test]
        fn the_rules_hold(copies in any_copies(), days in 0_u64..40, numbers in proptest::array::uniform4(0_usize..6), shift in -8000_i64..8000) {
            let [daily, weekly, monthly, min] = numbers;
            let keep = Keep { within: Some(Duration::from_secs(days * 86_400)), daily, weekly, monthly, min };
            let now = Millis(NOW.0 + shift * DAY);
            let Verdict { delete, warning } = retain(&copies, &keep, now);
            let is_gone = |name: &String| delete.contains(name);
            prop_assert!(warning.is_none() || delete.is_empty());
            let good: Vec<&Copy> = copies.iter().filter(|c| c.good).collect();
            if let Some(newest) = good.first() {
                prop_assert!(!is_gone(&newest.name), "the newest good copy stays");
            }
            prop_assert!(good.iter().take(min).all(|c| !is_gone(&c.name)));
            if copies.first().is_some_and(|c| c.planned > now) {
                prop_assert!(delete.is_empty());
            }
            for copy in &copies {
                if is_gone(&copy.name) {
                    let stands_in = good.iter().any(|c| c.verified && c.planned > copy.planned && !is_gone(&c.name));
                    prop_assert!(stands_in, "a proven newer copy is there");
                } else {
                    prop_assert!(copy.needs.iter().all(|n| !is_gone(n)), "what a kept copy needs stays");
                }
            }
            for (n, name) in delete.iter().enumerate() {
                let copy = copies.iter().find(|c| c.name == *name).unwrap();
                prop_assert!(copy.needs.iter().all(|need| !delete[..n].contains(need)), "who needs another goes first");
            }
        }
    }
}

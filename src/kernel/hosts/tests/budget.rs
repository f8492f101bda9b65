//! The retry budget.

use super::*;

#[test]
fn a_new_host_has_three_retries_and_then_a_slow_line() {
    let mut d = Desk::new();
    let booked: Vec<i64> = (0..7).map(|_| d.book(&limits(8), 1000)).collect();
    assert_eq!(booked, [1000, 1000, 1000, 1000, 3000, 5000, 7000]);
    assert_eq!(d.book(&limits(8), 60_000), 60_000, "a line that is over begins anew");
    assert_eq!(d.book(&limits(8), 60_000), 62_000);
    assert_eq!(d.view(60_000).retries, 9);
}

#[test]
fn first_tries_pay_for_retries_and_retries_do_not() {
    let mut d = Desk::new();
    (0..4).for_each(|_| assert_eq!(d.book(&limits(8), 0), 0));
    (0..4).for_each(|_| d.request(&limits(8), GOOD, 10));
    assert_eq!(d.book(&limits(8), 10), 2000, "the four that were sent were the four that were booked");
    (0..10).for_each(|_| d.request(&limits(8), GOOD, 10));
    assert_eq!(d.book(&limits(8), 10), 4000, "the first of these was the fifth, so nine tenths are paid");
    (0..2).for_each(|_| d.request(&limits(8), GOOD, 10));
    assert_eq!(d.book(&limits(8), 10), 10, "ten tenths");
}

#[test]
fn savings_have_a_bound() {
    let mut d = Desk::new();
    let half = HostLimits { retry_ratio: 0.5, ..limits(8) };
    (0..5000).for_each(|_| d.request(&half, GOOD, 0));
    let at_once = (0..200).filter(|_| d.book(&half, 10) == 10).count();
    assert_eq!(at_once, 101, "a hundred, and the first place of the line");
}

#[test]
fn a_ratio_that_is_no_number_pays_nothing() {
    for ratio in [f64::NAN, -1.0, f64::NEG_INFINITY, 0.0] {
        let mut d = Desk::new();
        let odd = HostLimits { retry_ratio: ratio, ..limits(8) };
        (0..100).for_each(|_| d.request(&odd, GOOD, 0));
        let booked: Vec<i64> = (0..5).map(|_| d.book(&odd, 0)).collect();
        assert_eq!(booked, [0, 0, 0, 0, 2000]);
    }
    let mut d = Desk::new();
    let all = HostLimits { retry_ratio: f64::INFINITY, ..limits(8) };
    d.request(&all, GOOD, 0);
    assert_eq!((0..200).filter(|_| d.book(&all, 0) == 0).count(), 101);
}

#[test]
fn nobody_tries_again_before_the_host_opens() {
    let mut d = Desk::new();
    d.request(&limits(8), busy(Some(50_000)), 0);
    let booked: Vec<i64> = (0..5).map(|_| d.book(&limits(8), 1000)).collect();
    assert_eq!(booked, [50_000, 50_000, 50_000, 50_000, 52_000]);
}

/// 200 endpoints that fail for five minutes, each retried for ever: what they are sent beside first tries.
#[test]
fn a_host_that_always_fails_is_sent_little_more_than_without_retries() {
    let mut d = Desk::new();
    let task = HostLimits { breaker_after: 0, ..limits(8) };
    let mut due: BTreeSet<(i64, u32)> = BTreeSet::new();
    let (mut firsts, mut retries) = (0, 0);
    for now in (0..300_000).step_by(100) {
        // A first try ten times a second.
        d.request(&task, Ending::Bad, now);
        firsts += 1;
        due.insert((d.book(&task, now), firsts));
        while due.first().is_some_and(|(at, _)| *at <= now) {
            due.pop_first();
            d.request(&task, Ending::Bad, now);
            retries += 1;
            due.insert((d.book(&task, now), firsts));
        }
    }
    assert!(retries * 5 <= firsts, "{retries} retries beside {firsts} first tries");
    assert!(retries > 150, "the line goes on: {retries}");
}

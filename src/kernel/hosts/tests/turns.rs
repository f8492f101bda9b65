//! Who is sent when: concurrency, rate, turns, clocks and bounds.

use super::*;

#[test]
fn no_more_are_under_way_than_the_task_that_asks_allows() {
    let mut d = Desk::new();
    let first = d.granted(&limits(2), 0);
    let second = d.granted(&limits(2), 0);
    let third = d.waits(&limits(2), 0, None);
    let other = d.waits(&limits(4), 0, None);
    assert_eq!(d.wake(), None, "only an ending changes anything");
    assert_eq!(d.leave(first, GOOD, 5), granted(&[third, other]), "two are under way, so four allows one more");
    assert_eq!(d.leave(second, GOOD, 6), []);
    assert_eq!(d.leave(second, GOOD, 7), [], "a ticket ends once");
    assert_eq!((d.view(7).in_flight, d.view(7).requests, d.view(7).good), (2, 4, 2));
}

#[test]
fn nobody_overtakes_one_who_waits_for_others_to_end() {
    let mut d = Desk::new();
    let first = d.granted(&limits(8), 0);
    let low = d.waits(&limits(1), 0, None);
    let high = d.waits(&limits(8), 0, None);
    assert_eq!(d.leave(first, Ending::Abandoned, 1), granted(&[low, high]));
}

#[test]
fn who_gives_up_lets_the_next_one_in() {
    let mut d = Desk::new();
    let first = d.granted(&limits(8), 0);
    let low = d.waits(&limits(1), 0, None);
    let high = d.waits(&limits(8), 0, None);
    let host = name("a.example");
    assert_eq!(d.hosts.abandon(&host, low, Millis(1)), granted(&[high]));
    assert_eq!(d.hosts.abandon(&host, first, Millis(1)), [], "one that is under way does not wait");
    assert_eq!((d.view(1).in_flight, d.view(1).waiting), (2, 0));
}

#[test]
fn a_concurrency_of_nothing_is_one() {
    let mut d = Desk::new();
    d.granted(&limits(0), 0);
    d.waits(&limits(0), 0, None);
}

#[test]
fn requests_are_spread_evenly_over_the_time_of_a_rate() {
    let mut d = Desk::new();
    let ten = HostLimits { rate: rate(10, 1000), ..limits(100) };
    d.granted(&ten, 0);
    let tickets: Vec<u64> = (0..3).map(|_| d.waits(&ten, 0, Some(100))).collect();
    assert_eq!(d.timer(99), []);
    assert_eq!(d.timer(100), granted(&tickets[..1]));
    assert_eq!(d.timer(199), []);
    assert_eq!(d.timer(201), granted(&tickets[1..2]), "a timer that is a little late");
    assert_eq!(d.wake(), Some(300), "does not slow the others down");
    assert_eq!(d.timer(350), granted(&tickets[2..]));
    d.waits(&ten, 351, Some(450));
    assert_eq!(d.timer(5000), granted(&[5]));
    d.waits(&ten, 5000, Some(5100));
}

#[test]
fn a_rate_keeps_its_fractions_of_milliseconds() {
    for (count, per) in [(600, 1000), (7, 1000), (300, 1000), (1500, 1000), (13, 60_000)] {
        let mut d = Desk::new();
        let fast = HostLimits { rate: rate(count, per), ..limits(100_000) };
        let mut sent = 0_i64;
        let end = 20 * i64::try_from(per).unwrap();
        for now in 0..end {
            if d.hosts.next_wake().is_none_or(|at| at.0 <= now) {
                let due = d.hosts.timer(Millis(now)).len();
                sent += i64::try_from(due).unwrap();
                while d.enter(&fast, now) == Verdict::Granted {
                    sent += 1;
                }
            }
        }
        let right = 20 * i64::from(count);
        // An interval is rounded up to a microsecond.
        assert!((right - 1 - right / 1000..=right + 1).contains(&sent), "{count} in {per} ms: {sent}, not {right}");
    }
}

#[test]
fn tasks_share_the_line_of_time_and_each_moves_it_by_its_own_interval() {
    let mut d = Desk::new();
    let slow = HostLimits { rate: rate(1, 1000), ..limits(8) };
    let fast = HostLimits { rate: rate(10, 1000), ..limits(8) };
    d.granted(&fast, 0);
    let second = d.waits(&slow, 0, Some(100));
    let third = d.waits(&fast, 0, Some(100));
    d.granted(&limits(8), 0);
    assert_eq!(d.timer(100), granted(&[second]));
    assert_eq!(d.wake(), Some(1100));
    assert_eq!(d.timer(1100), granted(&[third]));
    assert_eq!(d.wake(), None);
}

#[test]
fn one_without_a_rate_passes_those_who_wait_for_their_place_and_no_others() {
    let mut d = Desk::new();
    let paced = HostLimits { rate: rate(1, 1000), ..limits(2) };
    let first = d.granted(&paced, 0);
    let second = d.waits(&paced, 0, Some(1000));
    let free = d.granted(&limits(2), 0);
    let last = d.waits(&limits(2), 0, Some(1000));
    assert_eq!(d.timer(1000), [], "both places are taken");
    assert_eq!(d.leave(free, GOOD, 1001), granted(&[second]), "it came before");
    assert_eq!(d.leave(first, GOOD, 1002), granted(&[last]));
}

#[test]
fn one_who_comes_does_not_go_before_one_whose_place_has_come() {
    let mut d = Desk::new();
    let paced = HostLimits { rate: rate(1, 1000), ..limits(8) };
    d.granted(&paced, 0);
    let second = d.waits(&paced, 0, Some(1000));
    let third = d.waits(&limits(8), 1500, Some(1500));
    assert_eq!(d.timer(1500), granted(&[second, third]));
}

#[test]
fn hosts_do_not_hold_each_other_up() {
    let mut d = Desk::new();
    d.granted(&limits(1), 0);
    d.waits(&limits(1), 0, None);
    d.host = name("b.example");
    d.granted(&limits(1), 0);
    assert_eq!(d.hosts.view(Millis(0)).iter().map(|v| &*v.host).collect::<Vec<_>>(), ["a.example", "b.example"]);
}

#[test]
fn a_clock_that_is_set_back_moves_nothing_nearer_or_further() {
    let mut d = Desk::new();
    let paced = HostLimits { rate: rate(1, 60_000), ..limits(8) };
    let day = 86_400_000;
    d.granted(&paced, day);
    let second = d.waits(&paced, day, Some(day + 60_000));
    assert_eq!(d.timer(day + 20_000), []);
    assert_eq!(d.timer(1000), [], "almost a day back");
    assert_eq!(d.wake(), Some(41_000));
    assert_eq!(d.timer(41_000), granted(&[second]));
    let ticket = d.granted(&limits(8), 41_000);
    d.leave(ticket, busy(Some(100_000)), 41_000);
    d.timer(0);
    assert_eq!(d.closed_until(0), Some(59_000));
    assert_eq!(d.wake(), Some(59_000));
}

#[test]
fn times_at_the_end_of_the_calendar_do_no_harm() {
    for now in [i64::MIN, i64::MIN / 2, i64::MAX / 2, i64::MAX - 1, i64::MAX] {
        let mut d = Desk::new();
        let paced = HostLimits { rate: rate(1, u64::MAX / 4), ..limits(8) };
        let ticket = d.granted(&paced, now);
        d.enter(&paced, now);
        d.leave(ticket, busy(Some(i64::MAX)), now);
        (0..10).for_each(|_| assert!(d.book(&limits(8), now) >= now));
        d.allowance(&paced, now);
        d.timer(now);
        d.hosts.timer(Millis(i64::MIN));
    }
}

#[test]
fn at_most_so_many_wait_for_one_host() {
    let mut d = Desk::new();
    d.granted(&limits(1), 0);
    for _ in 0..WAITERS_MAX {
        d.waits(&limits(1), 0, None);
    }
    let why = "4096 requests wait for it".into();
    assert_eq!(d.enter(&limits(1), 0), Verdict::Closed(Closure { until: Millis(1000), why }));
}

#[test]
fn hosts_at_rest_are_forgotten_for_others_and_those_in_use_are_not() {
    let mut d = Desk::new();
    for n in 0..HOSTS_MAX {
        d.host = name(&format!("{n}.example"));
        let ticket = d.granted(&limits(1), n as i64);
        if n > 0 {
            d.leave(ticket, GOOD, n as i64);
        }
    }
    d.host = name("new.example");
    let now = HOSTS_MAX as i64;
    let new = d.granted(&limits(1), now);
    let known: Vec<HostName> = d.hosts.view(Millis(now)).into_iter().map(|v| v.host).collect();
    assert_eq!(known.len(), HOSTS_MAX + 1 - FORGOTTEN_AT_ONCE);
    assert!(known.contains(&name("0.example")), "a request is under way");
    assert!(!known.contains(&name("256.example")) && known.contains(&name("257.example")), "the oldest go");
    d.leave(new, busy(None), now);
    for n in 0..HOSTS_MAX {
        d.hosts.claimed(&name(&format!("{n}.example")), 1, Millis(now));
    }
    assert_eq!(d.hosts.view(Millis(now)).len(), HOSTS_MAX, "one that was claimed found no room");
    d.host = name("further.example");
    let why = "10000 other hosts are in use".into();
    assert_eq!(d.enter(&limits(1), now), Verdict::Closed(Closure { until: Millis(now + 1000), why }));
    assert_eq!(d.allowance(&limits(1), now), (0, Some(now + 1000)));
    assert_eq!(d.book(&limits(1), now), now + 2000);
    d.hosts.ended(&name("5.example"), 1, Millis(now));
    d.granted(&limits(1), now);
}

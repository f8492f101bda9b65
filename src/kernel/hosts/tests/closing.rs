//! When a host is closed: cool-downs, the circuit breaker, and what becomes of those who wait.

use super::*;

fn closed(ticket: u64, until: i64, why: &str) -> Answer {
    Answer::closed(ticket, Closure { until: Millis(until), why: why.into() })
}

#[test]
fn a_host_that_asks_for_time_gets_it() {
    let mut d = Desk::new();
    let first = d.granted(&limits(8), 1000);
    let second = d.granted(&limits(8), 1000);
    assert!(!d.hosts.take_changed());
    d.leave(first, busy(Some(9000)), 2000);
    assert!(d.hosts.take_changed());
    let third = d.waits(&limits(8), 3000, Some(9000));
    d.leave(second, busy(Some(5000)), 3000);
    assert_eq!(d.closed_until(3000), Some(9000), "an earlier time does not shorten it");
    assert_eq!(d.timer(8999), []);
    assert!(!d.hosts.take_changed());
    assert_eq!(d.timer(9000), granted(&[third]));
    assert!(d.hosts.take_changed());
    d.leave(third, busy(Some(10_000)), 9000);
    let cooling = d.view(9000).cooling.unwrap();
    assert_eq!((cooling.until.0, &*cooling.why), (10_000, "it answered 429 and asked for time"));
    assert_eq!(d.view(9000).busy, 3);
}

#[test]
fn a_host_opens_by_itself_though_nobody_waits() {
    let mut d = Desk::new();
    d.request(&limits(8), busy(Some(5000)), 0);
    assert_eq!(d.wake(), Some(5000));
    d.hosts.take_changed();
    assert_eq!(d.timer(5000), []);
    assert!(d.hosts.take_changed());
    assert_eq!(d.wake(), None);
}

#[test]
fn times_that_make_no_sense_count_as_none_or_as_an_hour() {
    for (until, closed) in [
        (Some(-1), 101_000),
        (Some(0), 101_000),
        (Some(100_000), 101_000),
        (Some(i64::MIN), 101_000),
        (None, 101_000),
        (Some(99_999_999_999_000), 3_700_000),
        (Some(i64::MAX), 3_700_000),
        (Some(3_700_001), 3_700_000),
        (Some(3_699_999), 3_699_999),
    ] {
        let mut d = Desk::new();
        d.request(&limits(8), busy(until), 100_000);
        assert_eq!(d.closed_until(100_000), Some(closed), "{until:?}");
    }
}

#[test]
fn without_a_time_each_refusal_in_a_row_doubles_the_wait() {
    let mut d = Desk::new();
    let mut now = 0;
    for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
        d.request(&limits(8), busy(None), now);
        assert_eq!(d.closed_until(now), Some(now + seconds * 1000));
        now += seconds * 1000;
    }
    d.request(&limits(8), GOOD, now);
    d.request(&limits(8), busy(None), now);
    assert_eq!(d.closed_until(now), Some(now + 1000), "a good answer ends the row");
}

#[test]
fn answers_to_requests_that_were_sent_together_are_one_word() {
    let mut d = Desk::new();
    let tickets: Vec<u64> = (0..8).map(|_| d.granted(&limits(8), 0)).collect();
    for ticket in &tickets[1..] {
        d.leave(*ticket, busy(None), 10);
    }
    assert_eq!(d.closed_until(10), Some(1010));
    d.leave(tickets[0], GOOD, 500);
    d.request(&limits(8), busy(None), 1010);
    assert_eq!(d.closed_until(1010), Some(3010), "the good answer was sent before the host had enough");
}

#[test]
fn who_would_wait_too_long_for_a_closed_host_is_told_so() {
    let mut d = Desk::new();
    let why = "it answered 429 and asked for time";
    let first = d.granted(&limits(1), 0);
    let paced = HostLimits { rate: rate(1, 1000), ..limits(1) };
    let (second, third) = (d.waits(&limits(1), 0, None), d.waits(&paced, 0, None));
    assert_eq!(d.leave(first, busy(Some(20_000)), 0), [closed(second, 20_000, why), closed(third, 20_000, why)]);
    assert_eq!(d.enter(&limits(1), 9999), Verdict::Closed(Closure { until: Millis(20_000), why: why.into() }));
    d.waits(&limits(1), 10_000, Some(20_000));
}

#[test]
fn waiting_for_a_place_is_not_waiting_for_a_closed_host() {
    let mut d = Desk::new();
    let slow = HostLimits { rate: rate(1, 3_600_000), ..limits(1) };
    d.granted(&slow, 0);
    d.waits(&slow, 0, Some(3_600_000));
    assert_eq!(d.timer(3_000_000), []);
    assert_eq!(d.view(3_000_000).waiting, 1);
}

#[test]
fn failures_in_a_row_open_the_breaker_and_a_probe_closes_it() {
    let mut d = Desk::new();
    let three = HostLimits { breaker_after: 3, ..limits(8) };
    let early = d.granted(&three, 0);
    let earlier = d.granted(&three, 0);
    d.request(&three, Ending::Bad, 0);
    d.request(&three, Ending::Bad, 0);
    d.request(&three, GOOD, 0);
    (0..3).for_each(|n| d.request(&three, Ending::Bad, n));
    assert_eq!((d.closed_until(2), d.view(2).breaker), (Some(5002), Breaker::Open(Millis(5002))));
    let closure = d.hosts.closed(Millis(2)).next().unwrap().1;
    assert_eq!(&*closure.why, "3 requests in a row failed");
    d.leave(early, GOOD, 3);
    d.leave(earlier, Ending::Bad, 3);
    assert_eq!(d.closed_until(3), Some(5002), "those that were sent before it opened do not count");

    let tickets: Vec<u64> = (0..3).map(|_| d.waits(&three, 3, Some(5002))).collect();
    assert_eq!(d.timer(5002), granted(&tickets[..1]), "one probe");
    assert_eq!(d.view(5002).breaker, Breaker::HalfOpen);
    assert_eq!(d.wake(), None);
    d.waits(&three, 5003, None);
    assert_eq!(d.leave(tickets[0], Ending::Abandoned, 5004), granted(&tickets[1..2]), "the next probe");
    assert_eq!(d.leave(tickets[1], GOOD, 5005).len(), 2, "all others");
    assert_eq!(d.view(5005).breaker, Breaker::Closed);
    d.request(&three, Ending::Bad, 5006);
    assert_eq!(d.closed_until(5006), None, "the row begins anew");
}

#[test]
fn a_probe_that_fails_doubles_the_time() {
    let mut d = Desk::new();
    let one = HostLimits { breaker_after: 1, ..limits(8) };
    let mut now = 0;
    for seconds in [5, 10, 20, 40, 80, 160, 300, 300] {
        d.request(&one, Ending::Bad, now);
        assert_eq!(d.closed_until(now), Some(now + seconds * 1000));
        now += seconds * 1000;
    }
    d.request(&one, GOOD, now);
    d.request(&one, Ending::Bad, now);
    assert_eq!(d.closed_until(now), Some(now + 5000), "back at the first time");
}

#[test]
fn a_probe_that_is_asked_to_wait_has_not_succeeded() {
    let mut d = Desk::new();
    let one = HostLimits { breaker_after: 1, ..limits(8) };
    d.request(&one, Ending::Bad, 0);
    d.request(&one, busy(None), 5000);
    assert_eq!((d.closed_until(5000), d.view(5000).breaker), (Some(6000), Breaker::HalfOpen));
    let probe = d.granted(&one, 6000);
    let next = d.waits(&one, 6000, None);
    assert_eq!(d.leave(probe, GOOD, 6001), granted(&[next]));
}

#[test]
fn a_breaker_that_reopens_for_long_sends_everybody_away() {
    let mut d = Desk::new();
    let one = HostLimits { breaker_after: 1, ..limits(8) };
    d.request(&one, Ending::Bad, 0);
    d.request(&one, Ending::Bad, 5000);
    let probe = d.granted(&one, 15_000);
    let next = d.waits(&one, 15_000, None);
    assert_eq!(d.leave(probe, Ending::Bad, 15_001), [closed(next, 35_001, "3 requests in a row failed")]);
}

#[test]
fn a_task_without_a_breaker_opens_none() {
    let mut d = Desk::new();
    let never = HostLimits { breaker_after: 0, ..limits(8) };
    (0..1000).for_each(|n| d.request(&never, Ending::Bad, n));
    assert_eq!(d.closed_until(1000), None);
    assert_eq!(d.view(1000).bad, 1000);
}

#[test]
fn a_closed_host_is_closed_after_a_restart() {
    let mut d = Desk::new();
    d.request(&limits(8), busy(Some(60_000)), 0);
    let kept: Vec<_> = d.hosts.closed(Millis(0)).collect();
    let mut d = Desk::new();
    for (host, closure) in &kept {
        d.hosts.restore(host, closure.until, &closure.why, Millis(10_000));
    }
    assert_eq!(d.hosts.closed(Millis(10_000)).collect::<Vec<_>>(), kept);
    assert!(matches!(d.enter(&limits(8), 10_000), Verdict::Closed(_)));

    d.hosts.restore(&name("b.example"), Millis(9999), "long ago", Millis(10_000));
    assert_eq!(d.hosts.view(Millis(10_000)).len(), 1, "what is over is not worth knowing");
    d.hosts.restore(&name("b.example"), Millis(i64::MAX), "\x1b[2J", Millis(10_000));
    let closed = d.hosts.view(Millis(10_000)).remove(1).cooling.unwrap();
    assert_eq!((closed.until.0, &*closed.why), (3_610_000, "\\x1b[2J"));
}

#[test]
fn a_restored_cool_down_reaches_those_who_wait() {
    let mut d = Desk::new();
    d.granted(&limits(1), 0);
    let second = d.waits(&limits(1), 0, None);
    let host = name("a.example");
    assert_eq!(d.hosts.restore(&host, Millis(60_000), "it said so", Millis(0)), [closed(second, 60_000, "it said so")]);
}

//! How many jobs of a host may be claimed, and what the screen shows.

use super::*;

#[test]
fn as_many_are_claimed_as_may_be_under_way() {
    let mut d = Desk::new();
    let host = name("a.example");
    assert_eq!(d.allowance(&limits(8), 0), (8, None));
    assert_eq!(d.allowance(&limits(0), 0), (1, None));
    assert!(d.hosts.view(Millis(0)).is_empty(), "who only asks is not noted");
    d.hosts.claimed(&host, 6, Millis(0));
    assert_eq!(d.allowance(&limits(8), 0), (2, None));
    assert_eq!(d.allowance(&limits(2), 0), (0, None));
    assert!(!d.hosts.take_changed());
    d.hosts.ended(&host, 5, Millis(0));
    assert!(d.hosts.take_changed());
    assert_eq!(d.allowance(&limits(2), 0), (1, None));
    d.hosts.ended(&host, 5, Millis(0));
    assert_eq!(d.allowance(&limits(2), 0), (2, None), "no fewer than none are claimed");
}

#[test]
fn more_are_claimed_of_a_host_that_answers_quickly_and_only_while_it_does() {
    for (latency, ahead) in [(1, 24), (10, 24), (25, 16), (50, 8), (100, 4), (400, 1), (1000, 0)] {
        let mut d = Desk::new();
        d.request(&limits(8), Ending::Good { latency: ms(latency) }, 0);
        let jobs = d.allowance(&limits(8), 0).0;
        assert!(jobs <= 8 + ahead && jobs + 2 >= 8 + ahead, "{jobs} at {latency} ms");
    }
    let mut d = Desk::new();
    d.request(&limits(200), Ending::Good { latency: ms(1) }, 0);
    assert_eq!(d.allowance(&limits(200), 0), (456, None), "never more than so many");
    for _ in 0..3 {
        d.granted(&limits(8), 100);
    }
    assert_eq!(d.allowance(&limits(8), 1100), (32, None));
    assert_eq!(d.allowance(&limits(8), 1101), (8, None), "it answers no more");
    for _ in 0..4 {
        d.granted(&limits(8), 1101);
    }
    assert_eq!(d.allowance(&limits(8), 1101), (32, None), "half of them are young");
    assert_eq!(d.allowance(&limits(8), 1001), (32, None), "a clock that is set back makes nobody slow");
}

#[test]
fn with_a_rate_so_many_are_claimed_as_are_sent_soon() {
    let mut d = Desk::new();
    let host = name("a.example");
    let ten = HostLimits { rate: rate(10, 1000), ..limits(8) };
    assert_eq!(d.allowance(&ten, 0), (4, None), "at 0, 100 and 200, and one more");
    d.hosts.claimed(&host, 4, Millis(0));
    assert_eq!(d.allowance(&ten, 0), (0, Some(50)), "the fourth place is at 300");
    assert_eq!(d.allowance(&HostLimits { rate: rate(10, 1000), ..limits(1) }, 0), (0, None), "an ending changes it");
    let first = d.granted(&ten, 0);
    assert_eq!(d.allowance(&ten, 0), (0, Some(50)), "three to come, at 100, 200 and 300");
    assert_eq!(d.allowance(&ten, 49).0, 0);
    assert_eq!(d.allowance(&ten, 50), (1, None));
    d.leave(first, GOOD, 50);
    d.hosts.ended(&host, 4, Millis(50));
    assert_eq!(d.allowance(&ten, 50), (4, None));

    let slow = HostLimits { rate: rate(1, 60_000), ..limits(8) };
    d.host = name("b.example");
    d.granted(&slow, 0);
    assert_eq!(d.allowance(&slow, 1000), (1, None));
    d.hosts.claimed(&d.host.clone(), 2, Millis(1000));
    assert_eq!(d.allowance(&slow, 1000), (0, Some(59_750)));
    assert_eq!(d.allowance(&slow, 59_749), (0, Some(59_750)));
    assert_eq!(d.allowance(&slow, 59_750), (1, None));
}

#[test]
fn of_a_closed_host_nothing_is_claimed() {
    let mut d = Desk::new();
    let one = HostLimits { breaker_after: 1, ..limits(8) };
    d.request(&one, Ending::Bad, 0);
    assert_eq!(d.allowance(&one, 0), (0, Some(5000)));
    assert_eq!(d.allowance(&one, 5000), (1, None), "a probe");
    d.hosts.claimed(&name("a.example"), 1, Millis(5000));
    assert_eq!(d.allowance(&one, 5000), (0, None));
    d.request(&one, busy(None), 5000);
    assert_eq!(d.allowance(&one, 5000), (0, Some(6000)));
}

#[test]
fn the_screen_sees_what_goes_on() {
    let mut d = Desk::new();
    let task = HostLimits { rate: rate(10, 1000), ..limits(4) };
    d.request(&task, Ending::Good { latency: ms(30) }, 0);
    d.request(&task, Ending::Bad, 1000);
    d.granted(&task, 2000);
    d.waits(&task, 2000, Some(2100));
    d.hosts.claimed(&name("a.example"), 3, Millis(2000));
    d.book(&task, 2000);
    let expected = HostView {
        host: name("a.example"),
        in_flight: 1,
        waiting: 1,
        claimed: 3,
        concurrency: 4,
        rate: Some("10/s".into()),
        cooling: None,
        breaker: Breaker::Closed,
        p50_ms: Some(31),
        p95_ms: Some(31),
        p99_ms: Some(31),
        requests: 3,
        good: 1,
        bad: 1,
        busy: 0,
        retries: 1,
    };
    assert_eq!(d.view(2000), expected);
}

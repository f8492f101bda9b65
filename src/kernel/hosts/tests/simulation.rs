//! Thousands of requests of several tasks to several hosts, in virtual time, with a judge beside them that knows the rules
//! and not the code: it sees only what was asked and what was answered.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// What happens next. Numbers are taken modulo what there is to choose from.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A task wants to send a request to a host.
    Enter { host: usize, task: usize },
    /// A request ends.
    End { which: usize, how: usize },
    /// Somebody gives up waiting.
    GiveUp { which: usize },
    /// A retry is booked.
    Book { host: usize, task: usize },
    /// So many milliseconds pass; the timer is called when it asked for that, or late by so much.
    Pass { ms: i64, late: i64 },
    /// The clock is set back.
    SetBack { ms: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..3_usize, 0..4_usize).prop_map(|(host, task)| Step::Enter { host, task }),
        7 => (any::<usize>(), 0..24_usize).prop_map(|(which, how)| Step::End { which, how }),
        1 => any::<usize>().prop_map(|which| Step::GiveUp { which }),
        2 => (0..3_usize, 0..4_usize).prop_map(|(host, task)| Step::Book { host, task }),
        6 => (0..400_i64, 0..8_i64).prop_map(|(ms, late)| Step::Pass { ms, late }),
        1 => (0..20_000_i64, Just(0)).prop_map(|(ms, late)| Step::Pass { ms, late }),
        1 => (0..100_000_i64).prop_map(|ms| Step::SetBack { ms }),
    ]
}

fn tasks() -> [HostLimits; 4] {
    let base = HostLimits { breaker_after: 3, ..limits(2) };
    [
        base,
        HostLimits { concurrency: 5, rate: rate(7, 1000), retry_ratio: 0.25, ..base },
        HostLimits { concurrency: 3, rate: rate(2, 1500), breaker_after: 5, ..base },
        HostLimits { concurrency: 8, rate: rate(90, 1000), breaker_after: 0, ..base },
    ]
}

#[derive(Clone, Copy, Debug)]
struct Request {
    host: usize,
    task: usize,
    /// How many cool-downs the judge had counted when it was sent.
    cools: u32,
}

/// What the judge knows of one host. Its times are of a clock that is never set back.
#[derive(Debug, Default)]
struct Known {
    /// Nobody may be sent before this time, because the host said so.
    cool: i64,
    cools: u32,
    busy: u32,
    /// Failures in a row.
    failed: u32,
    /// Nobody may be sent before this time, and one at a time after it.
    open: Option<(i64, u32)>,
    probe: Option<u64>,
    /// Requests with a rate, when they were sent and by which task.
    sent: Vec<(i64, usize)>,
    requests: u32,
    /// Retries, for when they were booked, what the requests had paid for when they were, and the floor.
    booked: Vec<i64>,
}

struct Judge {
    hosts: Hosts,
    names: Vec<HostName>,
    known: Vec<Known>,
    /// The judge's time, and how much the clock shows beside it.
    now: i64,
    offset: i64,
    tickets: u64,
    waiting: BTreeMap<u64, Request>,
    under_way: BTreeMap<u64, Request>,
}

impl Judge {
    fn new() -> Self {
        let names: Vec<HostName> = ["a", "b", "c"].map(name).to_vec();
        let known = names.iter().map(|_| Known::default()).collect();
        let (waiting, under_way) = (BTreeMap::new(), BTreeMap::new());
        Self { hosts: Hosts::new(), names, known, now: 0, offset: 1_000_000_000, tickets: 0, waiting, under_way }
    }

    fn clock(&self) -> Millis {
        Millis(self.now + self.offset)
    }

    fn on_host(&self, host: usize) -> usize {
        self.under_way.values().filter(|r| r.host == host).count()
    }

    /// A request was sent: was it right?
    fn sent(&mut self, ticket: u64, mut request: Request) {
        let limits = tasks()[request.task];
        assert!(self.on_host(request.host) < limits.concurrency as usize, "too many under way");
        let now = self.now;
        let known = &mut self.known[request.host];
        assert!(now >= known.cool, "sent at {now} though the host cools down until {}", known.cool);
        if let Some((until, _)) = known.open {
            assert!(now >= until, "sent at {now} though the breaker is open until {until}");
            assert_eq!(known.probe, None, "a second probe");
            known.probe = Some(ticket);
        }
        known.requests += 1;
        if limits.rate.is_some() {
            known.sent.push((now, request.task));
        }
        request.cools = known.cools;
        // Of one task, nobody goes before one who came earlier.
        let earlier =
            self.waiting.iter().find(|(t, r)| **t < ticket && (r.host, r.task) == (request.host, request.task));
        assert!(earlier.is_none(), "{ticket} went before {earlier:?}");
        self.under_way.insert(ticket, request);
    }

    /// A request was sent away: was the host closed for long?
    fn closed(&self, closure: &Closure, request: Request) {
        let known = &self.known[request.host];
        let until = known.cool.max(known.open.map_or(0, |(until, _)| until));
        assert_eq!(closure.until.0 - self.offset, until, "{closure:?}");
        assert!(until - self.now > 10_000 && until - self.now <= 3_600_000);
    }

    fn answers(&mut self, answers: Vec<Answer>) {
        for answer in answers {
            let request = self.waiting.remove(&answer.ticket).expect("only who waits is answered, and once");
            match answer.closed {
                None => self.sent(answer.ticket, request),
                Some(closure) => self.closed(&closure, request),
            }
        }
    }

    fn enter(&mut self, host: usize, task: usize) {
        self.tickets += 1;
        let request = Request { host, task, cools: 0 };
        match self.hosts.enter(&self.names[host], &tasks()[task], self.tickets, self.clock()) {
            Verdict::Granted => self.sent(self.tickets, request),
            Verdict::Waiting { look } => {
                assert!(look.is_none_or(|at| self.hosts.next_wake().is_some_and(|first| first <= at)));
                self.waiting.insert(self.tickets, request);
            }
            Verdict::Closed(closure) => self.closed(&closure, request),
        }
    }

    fn end(&mut self, ticket: u64, how: usize) {
        let request = self.under_way.remove(&ticket).unwrap();
        let (now, after) = (self.now, tasks()[request.task].breaker_after);
        let known = &mut self.known[request.host];
        let was_probe = known.probe == Some(ticket);
        if was_probe {
            known.probe = None;
        }
        let asked = [None, Some(-5000), Some(300), Some(4000), Some(30_000), Some(1 << 40)][how % 6];
        let ending = match how {
            0..10 => {
                if was_probe {
                    known.open = None;
                }
                if known.open.is_none() {
                    known.failed = 0;
                }
                if request.cools == known.cools {
                    known.busy = 0;
                }
                Ending::Good { latency: ms(how as u64) }
            }
            10..18 => {
                match known.open {
                    Some((_, times)) if was_probe => {
                        known.open = Some((now + (5000 << times).min(300_000), times + 1));
                    }
                    Some(_) => {}
                    None => {
                        known.failed += 1;
                        if after > 0 && known.failed >= after {
                            known.open = Some((now + 5000, 1));
                        }
                    }
                }
                Ending::Bad
            }
            18..23 => {
                if request.cools == known.cools {
                    known.cools += 1;
                    known.busy += 1;
                }
                let default = (500_i64 << known.busy.clamp(1, 20)).min(60_000);
                let wait = asked.filter(|wait| *wait > 0).unwrap_or(default).min(3_600_000);
                known.cool = known.cool.max(now + wait);
                Ending::Busy { until: asked.map(|wait| Millis(now + self.offset + wait)), status: 429 }
            }
            _ => Ending::Abandoned,
        };
        let answers = self.hosts.leave(&self.names[request.host], ticket, ending, self.clock());
        self.answers(answers);
    }

    /// Passes time, and calls the timer as often as it asks for that.
    fn pass(&mut self, ms: i64, late: i64) {
        let end = self.now + ms;
        while let Some(at) = self.hosts.next_wake().map(|at| at.0 - self.offset).filter(|at| *at <= end) {
            self.now = (at + late).clamp(self.now, end);
            self.timer();
            if self.now == end {
                break;
            }
        }
        self.now = end;
    }

    fn timer(&mut self) {
        let answers = self.hosts.timer(self.clock());
        self.answers(answers);
        let next = self.hosts.next_wake();
        assert!(next.is_none_or(|at| at > self.clock()), "the timer would be called again and again: {next:?}");
    }

    fn set_back(&mut self, ms: i64) {
        // The hosts see it when they are next asked: here at once, so that no time is lost in between.
        self.timer();
        self.offset -= ms;
        let answers = self.hosts.timer(self.clock());
        assert_eq!(answers, [], "no time has passed");
    }

    fn take(&mut self, step: Step) {
        let pick = |from: &BTreeMap<u64, Request>, which: usize| {
            from.keys().nth(which.checked_rem(from.len()).unwrap_or(0)).copied()
        };
        match step {
            Step::Enter { host, task } => self.enter(host, task),
            Step::End { which, how } => {
                if let Some(ticket) = pick(&self.under_way, which) {
                    self.end(ticket, how);
                }
            }
            Step::GiveUp { which } => {
                if let Some(ticket) = pick(&self.waiting, which) {
                    let host = self.waiting.remove(&ticket).unwrap().host;
                    let answers = self.hosts.abandon(&self.names[host], ticket, self.clock());
                    self.answers(answers);
                }
            }
            Step::Book { host, task } => {
                let at = self.hosts.book_retry(&self.names[host], &tasks()[task], self.clock()).0 - self.offset;
                assert!(at >= self.now && at >= self.known[host].cool, "before the host opens");
                self.known[host].booked.push(at);
                self.judge_retries(host);
            }
            Step::Pass { ms, late } => self.pass(ms, late),
            Step::SetBack { ms } => self.set_back(ms),
        }
        self.judge_views();
    }

    /// Up to any time, no more retries may run than were paid for and than the line has places.
    fn judge_retries(&self, host: usize) {
        let known = &self.known[host];
        let most_paid = 3.0 + 0.25 * f64::from(known.requests);
        let mut booked = known.booked.clone();
        booked.sort_unstable();
        for (n, at) in booked.iter().enumerate() {
            let places = at / 2000 + 1;
            assert!(n as f64 + 1.0 <= most_paid + places as f64, "{booked:?} with {} requests", known.requests);
        }
    }

    fn judge_views(&mut self) {
        for view in self.hosts.view(self.clock()) {
            let host = self.names.iter().position(|n| *n == view.host).unwrap();
            let waiting = self.waiting.values().filter(|r| r.host == host).count();
            assert_eq!((view.in_flight as usize, view.waiting as usize), (self.on_host(host), waiting));
            let known = &self.known[host];
            let until = known.cool.max(known.open.map_or(0, |(until, _)| until));
            let shown = self.hosts.closed(self.clock()).find(|(n, _)| *n == view.host).map(|(_, c)| c.until.0);
            assert_eq!(shown.map(|at| at - self.offset), (until > self.now).then_some(until));
            let allowance = self.hosts.allowance(&view.host, &tasks()[0], self.clock());
            let (jobs, again) = (allowance.jobs, allowance.again.map(|at| at.0 - self.offset));
            if until > self.now {
                assert_eq!((jobs, again), (0, Some(until)));
            } else {
                // Its concurrency, and up to three times as many of a host that answers quickly.
                let claims = if known.open.is_some() { 1..=1 } else { 2..=8 };
                assert!(claims.contains(&jobs) && again.is_none(), "{jobs}, again {again:?}");
            }
        }
    }

    /// In no window of time were there more requests than a rate allows: of each task by its own, and of all together by
    /// the common line, where each request fills the time until the next.
    fn judge_rates(&self) {
        for known in &self.known {
            for (task, limits) in tasks().iter().enumerate() {
                let Some(rate) = limits.rate else { continue };
                let per = i64::try_from(rate.per.as_millis()).unwrap();
                let times: Vec<i64> = known.sent.iter().filter(|(_, t)| *t == task).map(|(at, _)| *at).collect();
                for (i, start) in times.iter().enumerate() {
                    let inside = times[i..].iter().take_while(|at| **at < start + per).count();
                    assert!(inside <= rate.count as usize + 1, "{inside} in {per} ms from {start}: {times:?}");
                }
            }
            let (mut filled, mut least) = (0.0, f64::INFINITY);
            for (at, task) in &known.sent {
                least = least.min(filled - *at as f64);
                // A millisecond is as exact as a time is, two are what a timer may be late.
                assert!(filled - *at as f64 - least <= 3.0, "too close together: {:?}", known.sent);
                filled += tasks()[*task].rate.map_or(0.0, |r| r.interval().as_secs_f64() * 1000.0);
            }
        }
    }

    /// Everything ends well and time passes: everybody is answered.
    fn judge_end(&mut self) {
        for _ in 0..100_000 {
            if let Some(ticket) = self.under_way.keys().next().copied() {
                self.end(ticket, 0);
            } else if self.waiting.is_empty() {
                break;
            } else {
                let at = self.hosts.next_wake().expect("who waits is waited for").0 - self.offset;
                self.pass((at - self.now).max(0), 0);
            }
        }
        assert!(self.waiting.is_empty() && self.under_way.is_empty(), "some wait for ever: {:?}", self.waiting);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_rules_hold_and_nobody_waits_for_ever(steps in prop::collection::vec(step(), 1..600)) {
        let mut judge = Judge::new();
        for step in steps {
            judge.take(step);
        }
        judge.judge_end();
        judge.judge_rates();
    }

    #[test]
    fn a_busy_host_keeps_its_rate(gaps in prop::collection::vec((0..30_i64, 0..6_i64, 0..4_usize), 1..400)) {
        let mut judge = Judge::new();
        for (gap, late, task) in gaps {
            judge.enter(0, task);
            judge.pass(gap, late);
            if let Some(ticket) = judge.under_way.keys().next().copied() {
                judge.end(ticket, 0);
            }
        }
        judge.judge_end();
        judge.judge_rates();
    }
}

//! Tables and a simulation of the gate before every request.

mod budget;
mod claims;
mod closing;
mod simulation;
mod turns;

use super::*;
use crate::model::action::network::Rate;

const GOOD: Ending = Ending::Good { latency: Duration::from_millis(20) };

fn name(text: &str) -> HostName {
    text.into()
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn rate(count: u32, per_ms: u64) -> Option<Rate> {
    Some(Rate { count, per: ms(per_ms) })
}

fn limits(concurrency: u32) -> HostLimits {
    HostLimits { concurrency, ..HostLimits::default() }
}

fn busy(until: Option<i64>) -> Ending {
    Ending::Busy { until: until.map(Millis), status: 429 }
}

/// The hosts, of which the tests use one, and a number for each ticket.
struct Desk {
    hosts: Hosts,
    host: HostName,
    tickets: u64,
}

impl Desk {
    fn new() -> Self {
        Self { hosts: Hosts::new(), host: name("a.example"), tickets: 0 }
    }

    fn enter(&mut self, limits: &HostLimits, now: i64) -> Verdict {
        self.tickets += 1;
        self.hosts.enter(&self.host, limits, self.tickets, Millis(now))
    }

    /// Enters, and is granted at once; answers the ticket.
    fn granted(&mut self, limits: &HostLimits, now: i64) -> u64 {
        assert_eq!(self.enter(limits, now), Verdict::Granted);
        self.tickets
    }

    /// Enters, and waits; answers the ticket.
    fn waits(&mut self, limits: &HostLimits, now: i64, look: Option<i64>) -> u64 {
        assert_eq!(self.enter(limits, now), Verdict::Waiting { look: look.map(Millis) });
        self.tickets
    }

    fn leave(&mut self, ticket: u64, ending: Ending, now: i64) -> Vec<Answer> {
        self.hosts.leave(&self.host, ticket, ending, Millis(now))
    }

    fn timer(&mut self, now: i64) -> Vec<Answer> {
        let answers = self.hosts.timer(Millis(now));
        assert!(self.hosts.next_wake().is_none_or(|at| at.0 > now), "the timer would be called again and again");
        answers
    }

    fn wake(&self) -> Option<i64> {
        self.hosts.next_wake().map(|at| at.0)
    }

    /// One request that ends as soon as it is sent.
    fn request(&mut self, limits: &HostLimits, ending: Ending, now: i64) {
        let ticket = self.granted(limits, now);
        assert_eq!(self.leave(ticket, ending, now), []);
    }

    fn closed_until(&self, now: i64) -> Option<i64> {
        self.hosts.closed(Millis(now)).next().map(|(_, closure)| closure.until.0)
    }

    fn view(&self, now: i64) -> HostView {
        self.hosts.view(Millis(now)).remove(0)
    }

    fn allowance(&mut self, limits: &HostLimits, now: i64) -> (u32, Option<i64>) {
        let allowance = self.hosts.allowance(&self.host, limits, Millis(now));
        (allowance.jobs, allowance.again.map(|at| at.0))
    }

    fn book(&mut self, limits: &HostLimits, now: i64) -> i64 {
        self.hosts.book_retry(&self.host, limits, Millis(now)).0
    }
}

fn granted(tickets: &[u64]) -> Vec<Answer> {
    tickets.iter().map(|t| Answer::granted(*t)).collect()
}

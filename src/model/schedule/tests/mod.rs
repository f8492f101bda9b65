mod facts;
mod marks;
mod oracle;
mod rules;
mod words;
mod year;

use super::*;

/// An instant by its spelling in RFC 3339.
fn at(text: &str) -> Millis {
    Millis(DateTime::parse_from_rfc3339(text).unwrap_or_else(|e| panic!("{text}: {e}")).timestamp_millis())
}

fn zone(name: &str) -> Tz {
    name.parse().unwrap()
}

fn cron(pattern: &str, timezone: &str) -> Schedule {
    Schedule::new(Times::Cron(Cron::parse(pattern).unwrap_or_else(|e| panic!("{pattern}: {e}"))), zone(timezone))
}

fn every(period: &str, aligned: bool, timezone: &str) -> Schedule {
    let period = humantime::parse_duration(period).unwrap();
    Schedule::new(Times::Every { period, aligned }, zone(timezone))
}

fn span(text: &str) -> Duration {
    humantime::parse_duration(text).unwrap()
}

/// The planned times after one instant and not after another, on the local clock with the offset.
fn times(schedule: &Schedule, after: &str, until: &str) -> Vec<String> {
    let (after, until) = (at(after), at(until));
    let marks = std::iter::successors(schedule.next(after, after), |t| schedule.next(*t, after));
    marks.take_while(|t| *t <= until).map(|t| schedule.shown(t)).collect()
}

/// Numbers that are the same in every run.
struct Seed(u64);

impl Seed {
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `0..n`.
    fn below(&mut self, n: u64) -> u64 {
        self.number() % n
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }
}

//! A year of two hundred tasks on a clock that is set, while the supervisor is stopped and started and the machine
//! sleeps: no time runs twice, none passes in silence, and scheduling never stops.

use super::*;
use std::collections::{HashMap, HashSet};

const TASKS: usize = 200;
const DAY: i64 = 86_400_000;

/// A task and what the store keeps of it.
struct Kept {
    name: String,
    schedule: Schedule,
    standing: Standing,
    next_at: Option<Millis>,
    /// The slots, by their planned time: whether it ran.
    slots: HashMap<Millis, bool>,
    /// Planned times that are accounted for without a slot of their own, as stretches up to one that has it.
    covered: Vec<(Millis, Millis)>,
    resumed: usize,
}

fn tasks(seed: &mut Seed, begin: Millis) -> Vec<Kept> {
    let zones = ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Seoul", "UTC"];
    let patterns =
        ["30 2 * * *", "0 9 * * 1-5", "15 1 * * *", "0 */12 * * *", "0 18 L * *", "30 1 * * SUN", "0 0 1 * *"];
    (0..TASKS)
        .map(|n| {
            let zone = seed.pick(&zones);
            let base = match seed.below(8) {
                0 => every(["17h", "23h", "36h", "7days"][n % 4], false, zone),
                1 => every(["12h", "1day", "2days", "7days"][n % 4], true, zone),
                _ if n == 2 => cron("*/30 * * * *", zone),
                _ => cron(patterns[seed.below(7) as usize], zone),
            };
            let schedule = Schedule {
                missed: *seed.pick(&[Missed::Skip, Missed::Latest, Missed::All]),
                missed_within: seed.chance(20).then(|| span("12h")),
                jitter: if seed.chance(30) { span("10m") } else { Duration::ZERO },
                ..base
            };
            Kept {
                name: format!("task{n}"),
                schedule,
                standing: Standing { anchor: begin, last_planned: None },
                next_at: None,
                slots: HashMap::new(),
                covered: Vec::new(),
                resumed: 0,
            }
        })
        .collect()
}

/// Asks for one task and keeps what is said, as the store does. `grace`: how late it may be asked in time.
fn ask(kept: &mut Kept, now: Millis) {
    let before = kept.standing;
    let plan = plan(&kept.schedule, &kept.name, &before, now);
    let resumed = plan.slots.iter().any(|s| matches!(s, Slot::Missed { reason, .. } if reason.contains("set back")));
    kept.resumed += usize::from(resumed);
    let from = before.last_planned.unwrap_or(before.anchor).max(before.anchor);
    let (mut runs, mut records) = (0, 0);
    for slot in &plan.slots {
        let ran = matches!(slot, Slot::Run { .. });
        // The key of a slot is unique. Only after a clock that was wrong by more than a period may one come again.
        if kept.slots.contains_key(&slot.at()) {
            assert!(kept.resumed > 0, "{}: {slot:?} comes twice", kept.name);
            continue;
        }
        kept.slots.insert(slot.at(), ran);
        runs += usize::from(ran);
        records += usize::from(!ran);
        let due = slot.at().plus(kept.schedule.jitter_of(&kept.name));
        assert!(due <= now || resumed, "{}: {slot:?} runs before it is due", kept.name);
    }
    if let Some(last) = plan.last_planned.filter(|last| *last > from) {
        // Every planned time since the last is a slot, or stands behind the one record or the one run.
        kept.covered.push((from, last));
        assert!(runs + records > 0 || kept.resumed > 0, "{}: silence up to {}", kept.name, last.0);
        assert!(records <= 1 + usize::from(resumed), "{}: {:?}", kept.name, plan.slots);
        if kept.schedule.missed == Missed::Latest {
            assert!(runs <= 1, "{}: {:?}", kept.name, plan.slots);
        }
    }
    kept.standing = Standing { anchor: plan.anchor, last_planned: plan.last_planned };
    kept.next_at = plan.next_at;
    let next = plan.next_at.unwrap_or_else(|| panic!("{} has stopped", kept.name));
    assert!(next > now, "{}: the next time has passed", kept.name);
}

/// A year on one seed. `steps`: whether the clock is set, beside stops of the supervisor and sleep of the machine.
fn year(number: u64, steps: bool) -> Vec<Kept> {
    let mut seed = Seed(number);
    let begin = at("2026-01-01T00:00:00Z");
    let mut kept = tasks(&mut seed, begin);
    // What the clock shows is the real time and an error.
    let (mut real, mut error) = (begin.0, 0_i64);
    let end = begin.0 + 365 * DAY;
    let mut woken = HashSet::new();
    while real < end {
        let now = Millis(real + error);
        for task in &mut kept {
            // A look is cheap and changes nothing before the time; the loop looks again whenever the clock was set.
            if task.next_at.is_none_or(|at| at <= now) || woken.contains(&task.name) {
                ask(task, now);
            }
        }
        woken.clear();
        let due = kept.iter().filter_map(|t| t.next_at).min().unwrap_or(now);
        let wait = due.0.saturating_sub(now.0).clamp(1000, DAY);
        let late = seed.below(500) as i64;
        match seed.below(1000) {
            // Stopped, or asleep: minutes, hours, or days.
            0..=2 => {
                let longest = *seed.pick(&[3_600_000, 20 * 3_600_000, 9 * 86_400_000]);
                real += 60_000 + seed.below(longest) as i64;
                woken.extend(kept.iter().map(|t| t.name.clone()));
            }
            3 | 4 if steps => {
                error = match seed.below(5) {
                    0 => seed.below(40) as i64 * DAY,
                    1 => seed.below(20) as i64 * 3_600_000,
                    2 => -(seed.below(20) as i64) * 3_600_000,
                    _ => 0,
                };
                real += wait.min(60_000);
                woken.extend(kept.iter().map(|t| t.name.clone()));
            }
            _ => real += wait + late,
        }
    }
    // The clock is right at the end, so that all that is due is seen.
    for task in &mut kept {
        ask(task, Millis(end));
    }
    kept
}

#[test]
fn a_year_with_stops_and_sleep_accounts_for_every_planned_time() {
    for number in [1] {
        let (mut ran, mut missed, mut stood_for) = (0, 0, 0);
        for task in year(number, false) {
            let begin = at("2026-01-01T00:00:00Z");
            let all: Vec<Millis> =
                std::iter::successors(task.schedule.next(begin, begin), |t| task.schedule.next(*t, begin))
                    .take_while(|t| *t <= task.standing.last_planned.unwrap())
                    .collect();
            // Every slot is a planned time, and the stretches that were accounted for leave nothing out.
            assert!(task.slots.keys().all(|slot| all.binary_search(slot).is_ok()), "{}", task.name);
            let mut up_to = begin;
            for (from, last) in &task.covered {
                assert_eq!(*from, up_to, "{}", task.name);
                up_to = *last;
            }
            assert_eq!(Some(up_to), task.standing.last_planned);
            ran += task.slots.values().filter(|ran| **ran).count();
            missed += task.slots.values().filter(|ran| !**ran).count();
            stood_for += all.len() - task.slots.len();
            assert_eq!(task.resumed, 0);
        }
        assert!(ran > 30_000 && missed > 100 && stood_for > 100, "{ran} {missed} {stood_for}");
    }
}

#[test]
fn a_year_with_a_clock_that_is_set_never_stops() {
    for number in [3] {
        let kept = year(number, true);
        let resumed: usize = kept.iter().map(|t| t.resumed).sum();
        assert!(resumed > 3, "the clock was hardly set back: {resumed}");
        for task in kept {
            // What is planned next is what comes next on the right clock, or one time later.
            let end = at("2026-01-01T00:00:00Z").plus(span("365days"));
            let jitter = task.schedule.jitter_of(&task.name);
            let next = task.schedule.upcoming(end.minus(jitter), task.standing.anchor, 2);
            let at = task.next_at.unwrap().minus(jitter);
            assert!(next.contains(&at), "{}: {} is planned next", task.name, task.schedule.shown(at));
        }
    }
}

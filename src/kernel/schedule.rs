//! After every input: start what may start, claim what is wanted, arm the one timer, and see whether a stop is done.

use super::lane::{AHEAD_MAX, Lane};
use super::{Effect, Ending, Kernel, STOP_MAX};
use crate::model::action::WaitsFor;
use crate::model::{Millis, TaskName};

impl Kernel {
    pub(super) fn schedule(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        self.finish_ending(now, effects);
        if self.ending != Ending::No || self.paused {
            for lane in self.lanes.values_mut() {
                lane.give_back(effects);
            }
        } else {
            for lane in self.lanes.values_mut().filter(|l| !l.is_open()) {
                lane.give_back(effects);
            }
            for waits_for in [WaitsFor::Workers, WaitsFor::Network] {
                self.start_ready(waits_for, effects);
                if self.store_ok {
                    self.claim(waits_for, now, effects);
                }
            }
        }
        self.arm(now, effects);
    }

    fn finish_ending(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        match self.ending {
            Ending::Draining(until) if now >= until => {
                self.ending = Ending::Stopping(now.plus(STOP_MAX));
                self.stop_all(effects);
            }
            Ending::Stopping(until) if now >= until => {
                self.ending = Ending::Hurried;
                effects.push(Effect::Hurry);
                self.stop_all(effects);
            }
            _ => {}
        }
        if matches!(self.ending, Ending::Draining(_) | Ending::Stopping(_) | Ending::Hurried) && self.is_idle() {
            self.ending = Ending::Over;
            effects.push(Effect::Leave);
        }
    }

    /// The open lanes: higher priority first, and among equals the one that has not started a job for longest.
    fn order(&self, waits_for: WaitsFor) -> Vec<TaskName> {
        let mut open: Vec<(i32, u64, &TaskName)> = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.is_open() && lane.waits_for == waits_for)
            .map(|(task, lane)| (-lane.priority, lane.last_start, task))
            .collect();
        open.sort();
        open.into_iter().map(|(_, _, task)| TaskName::clone(task)).collect()
    }

    fn start_ready(&mut self, waits_for: WaitsFor, effects: &mut Vec<Effect>) {
        while self.busy(waits_for) < self.slots(waits_for) && self.unsettled < self.unsettled_max {
            let next = self
                .order(waits_for)
                .into_iter()
                .find(|task| self.lanes.get(task).is_some_and(|l| !l.ready.is_empty() && l.executing < l.concurrency));
            let Some(task) = next else { break };
            let Some(lane) = self.lanes.get_mut(&task) else { break };
            let Some(ready) = lane.ready.pop_front() else { break };
            lane.executing += 1;
            lane.executing_before = lane.executing;
            self.starts += 1;
            lane.last_start = self.starts;
            self.executing.insert(ready.job, task);
            effects.push(Effect::Start { ready, cancelled: false });
        }
    }

    fn claim(&mut self, waits_for: WaitsFor, now: Millis, effects: &mut Vec<Effect>) {
        if self.unsettled >= self.unsettled_max {
            return;
        }
        let slots = self.slots(waits_for);
        let idle = slots.saturating_sub(self.busy(waits_for));
        let ours = || self.lanes.values().filter(|l| l.waits_for == waits_for);
        let in_hand: u32 = ours().map(|lane| lane.ready.len() as u32 + lane.claiming).sum();
        let mut free = idle.saturating_sub(in_hand);
        // The lowest priority of a lane that holds more than the workers can start now.
        let hoarded = ours().filter(|l| l.ready.len() as u32 > idle).map(|l| l.priority).min();
        for task in self.order(waits_for) {
            let workers = slots;
            let unsettled = self.unsettled;
            let Some(lane) = self.lanes.get_mut(&task) else { continue };
            if lane.claiming > 0 || lane.queued == 0 || lane.is_held_back(now) {
                continue;
            }
            let held = lane.ready.len() as u32;
            // What another lane claimed ahead would fill every worker that comes free, for as long as that lane has
            // work. One job in hand lets this lane take its turn.
            let turn = u32::from(held == 0 && hoarded.is_some_and(|priority| priority <= lane.priority));
            let slots = free.max(turn).min(lane.concurrency.saturating_sub(lane.executing + held));
            // A lane that has no worker waits for those of others, perhaps for long: what it claimed would count as running.
            let ahead = if idle == 0 && lane.executing == 0 { 0 } else { lane.ahead().min(AHEAD_MAX) };
            // Claimed ahead in large pieces: a new claim only when half of the last one is used up.
            let refill = if ahead > 0 && held * 2 <= ahead {
                (ahead + lane.concurrency.min(workers)).saturating_sub(held)
            } else {
                0
            };
            let max = slots.max(refill).min(u32::try_from(lane.queued).unwrap_or(u32::MAX));
            if max == 0 {
                continue;
            }
            lane.claiming = max;
            free = free.saturating_sub(max);
            let running_limit = lane.executing + held + unsettled + max;
            effects.push(Effect::Claim { task, max, running_limit });
        }
    }

    /// One timer for everything: the next waiting job of any lane, or the end of a drain.
    fn arm(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        let due = match self.ending {
            Ending::No => {
                let later = |at: Option<Millis>| at.filter(|until| now < *until);
                let times = |l: &Lane| [l.next_due, later(l.dry_until), later(l.shut_until)];
                self.lanes.values().flat_map(times).flatten().min()
            }
            Ending::Draining(until) | Ending::Stopping(until) => Some(until),
            Ending::Hurried | Ending::Over => None,
        };
        let Some(at) = due else { return };
        if at <= now && self.ending == Ending::No {
            for lane in self.lanes.values_mut() {
                if lane.next_due.is_some_and(|d| d <= now) {
                    lane.next_due = None;
                }
            }
            effects.push(Effect::PromoteDue);
            return self.arm(now, effects);
        }
        if self.timer.is_none_or(|t| t != at) {
            self.timer = Some(at);
            effects.push(Effect::Wake { at });
        }
    }
}

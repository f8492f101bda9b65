//! One lane: the jobs of one task that are claimed, at work, or wanted.

use super::{Effect, Ready};
use crate::model::Millis;
use crate::model::action::WaitsFor;
use std::collections::VecDeque;
use std::time::Duration;

/// A claim takes about this long; jobs shorter than it are claimed ahead, so that workers never wait for the disk.
const CLAIM_AHEAD: Duration = Duration::from_millis(20);
/// A lane whose claim got nothing is asked for again after this time.
pub(super) const DRY: Duration = Duration::from_millis(100);
/// Most jobs claimed ahead in one lane. They count as running, so a longer list would hide who is really at work.
pub(super) const AHEAD_MAX: u32 = 256;

/// The state of one lane.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Most jobs at work at once; 0 when the configuration no longer has the task.
    pub concurrency: u32,
    pub priority: i32,
    pub waits_for: WaitsFor,
    pub paused: bool,
    /// Jobs in the queue, as far as known; perhaps fewer by now, never more.
    pub queued: u64,
    /// The longest queue heard of while a claim is under way.
    heard: u64,
    pub next_due: Option<Millis>,
    /// Jobs asked for in the claim under way; 0 if there is none.
    pub claiming: u32,
    /// Claimed, not started.
    pub ready: VecDeque<Ready>,
    pub executing: u32,
    /// The last claim got nothing though jobs were queued, for a reason that only the store knows. Asked again at once,
    /// it would say so again and again: it is asked when something has happened, and at this time at the latest.
    pub dry_until: Option<Millis>,
    /// The last claim got nothing because every host of its jobs is closed or busy. Other tasks' news do not change that.
    pub shut_until: Option<Millis>,
    /// Executing jobs when the concurrency was last lowered: allowed to end.
    pub executing_before: u32,
    /// Number of the last start, over all lanes.
    pub last_start: u64,
    /// Mean time at work, in milliseconds; grows slowly towards new values.
    mean_ms: Option<f64>,
}

impl Lane {
    /// Takes a word about the queue into account. Words overtake each other on their way here, and an old one that says
    /// "nothing" must not hide a newer one; so a word alone never lowers what is known. One that says too much costs a
    /// claim or a look at what is due, and the answer to that puts it right.
    pub(super) fn hear(&mut self, queued: u64, next_due: Option<Millis>) {
        self.queued = self.queued.max(queued);
        if self.claiming > 0 {
            self.heard = self.heard.max(queued);
        }
        self.next_due = self.next_due.into_iter().chain(next_due).min();
    }

    /// Takes the answer to a claim into account: it is as new as the claim, and what was heard meanwhile may be newer.
    pub(super) fn claim_answered(&mut self, queued: u64, next_due: Option<Millis>) {
        self.claiming = 0;
        self.queued = queued.max(std::mem::take(&mut self.heard));
        self.next_due = self.next_due.into_iter().chain(next_due).min();
    }

    /// Takes the length of an attempt into account.
    pub(super) fn learn(&mut self, took: Duration) {
        let ms = took.as_secs_f64() * 1000.0;
        self.mean_ms = Some(self.mean_ms.map_or(ms, |mean| mean + (ms - mean) * 0.2));
    }

    /// Jobs to hold ready beyond the free workers: none for long jobs, more the shorter they are.
    pub(super) fn ahead(&self) -> u32 {
        let Some(mean) = self.mean_ms else { return 0 };
        let per_worker = CLAIM_AHEAD.as_secs_f64() * 1000.0 / mean.max(0.01);
        if per_worker < 1.0 {
            return 0;
        }
        let all = per_worker * f64::from(self.concurrency);
        if all >= f64::from(AHEAD_MAX) { AHEAD_MAX } else { all as u32 }
    }

    /// Whether it may claim and start jobs, as far as it is concerned.
    pub(super) fn is_open(&self) -> bool {
        self.concurrency > 0 && !self.paused
    }

    /// Whether its last claim got nothing, and it is too early for another.
    pub(super) fn is_held_back(&self, now: Millis) -> bool {
        [self.dry_until, self.shut_until].into_iter().flatten().any(|until| now < until)
    }

    /// Puts what is ready back.
    pub(super) fn give_back(&mut self, effects: &mut Vec<Effect>) {
        if !self.ready.is_empty() {
            effects.push(Effect::PutBack { jobs: self.ready.drain(..).collect() });
        }
    }
}

//! What interferes with a simulated supervisor: an operator, a kill, a stop in good order.

use super::*;

impl World {
    /// An operator pauses, cancels, skips or retries something.
    pub(super) fn operate(&mut self) {
        let kind = self.rng.below(4);
        let known = self.attempts.len().max(1);
        let job = JobId(1 + self.rng.below(known + 2) as i64);
        match (kind, ok(self.store().facts(vec![job])).pop()) {
            (0, _) => {
                let (task, paused) = (self.rng.below(4), self.rng.chance(50));
                let name: TaskName = if task == 3 { "".into() } else { LANES[task].0.into() };
                ok(self.store().set_paused(name.clone(), operator(None), paused));
                let task = (!name.is_empty()).then_some(name);
                self.tell(Input::Paused { task, paused });
            }
            (1, Some(f)) if f.state == JobState::Running => {
                let action = action(self.store(), "cancel");
                assert_eq!(ok(self.store().mark_cancel(action, vec![job])).done, [job]);
                self.pending.push(Pending::Tell(Input::Cancel { job }));
            }
            (1 | 2, Some(f)) => {
                let verdict =
                    if f.file.is_some() { placing(job, Outcome::Skipped, None) } else { bare(Outcome::Skipped, None) };
                let answer =
                    ok(self.store().decide(vec![Decision::new(job, Fence::Rev(f.rev), verdict, Millis(self.now))]));
                if answer.decided[0] == Decided::Now(JobState::Placing) {
                    self.placing.push(job);
                }
                self.pending.push(Pending::Tell(Input::Waiting(answer.lanes)));
            }
            (3, Some(f)) if f.state == JobState::Failed => {
                let action = action(self.store(), "retry");
                let (_, lanes) = ok(self.store().retry(action, vec![(job, 0)], Millis(self.now)));
                self.pending.push(Pending::Tell(Input::Waiting(lanes)));
            }
            _ => {}
        }
    }

    pub(super) fn crash(&mut self) {
        let (dir, store) = crashed(self.store.take().unwrap(), &self.dir);
        (self.dir, self.store) = (dir, Some(store));
        self.begin();
    }

    /// A stop in good order, and a start after it.
    pub(super) fn restart(&mut self) {
        self.tell(Input::Drain);
        for _ in 0..10_000 {
            if self.left {
                break;
            }
            self.work_off();
            let wait = self.wake.map_or(1, |at| (at.0 - self.now).max(1));
            self.turn_clock(wait);
        }
        assert!(self.left, "a drain does not end");
        assert!(self.at_work.is_empty() && self.ended.is_empty() && self.claimed.is_empty());
        while !self.pending.is_empty() {
            self.pass();
        }
        self.store().close();
        self.store = None;
        self.store = Some(Store::open(&self.dir.path().join("store.db")).unwrap());
        self.begin();
    }
}

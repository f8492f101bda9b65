//! The kernel on the real store, under a clock that is turned by hand. A seed decides what happens next: what lands,
//! which answer arrives first, how an attempt ends, who pauses or cancels, and when everything is killed. Whatever the
//! seed, the limits hold, no job is at work twice, and in the end every job is over.

mod faults;

use super::audit::audit;
use super::rng::Rng;
use super::*;
use crate::kernel::{Effect, Input, Kernel, LaneSpec, Ready};
use crate::model::action::Stop;
use crate::model::{FailureClass, RetryPolicy};
use std::collections::{BTreeMap, BTreeSet};

const SEEDS: u64 = 250;
/// Short runs end in rare states, long ones reach them.
const STEPS: std::ops::Range<u64> = 15..95;
const WORKERS: u32 = 3;
const DRAIN: Duration = Duration::from_secs(25);
/// Name, most at work, priority. `then` follows `a`.
const LANES: [(&str, u32, i32); 3] = [("a", 2, 0), ("b", 3, 1), ("then", 1, 0)];

/// What is under way beside the kernel; each may come to pass at any time, in any order.
enum Pending {
    Tell(Input),
    Claim { task: TaskName, max: u32, limit: u32 },
    Claimed(TaskName, ClaimAnswer),
    PutBack(Vec<Ready>),
    Due,
}

struct AtWork {
    claimed: Claimed,
    stop: Option<Stop>,
    /// Started only to be cancelled: does not count against the limits.
    beside: bool,
}

struct World {
    rng: Rng,
    dir: TempDir,
    store: Option<Store>,
    kernel: Kernel,
    now: i64,
    wake: Option<Millis>,
    pending: Vec<Pending>,
    claimed: BTreeMap<JobId, Claimed>,
    at_work: Vec<AtWork>,
    ended: Vec<(Claimed, Option<Stop>)>,
    placing: Vec<JobId>,
    /// Number of the last attempt of each job.
    attempts: BTreeMap<JobId, i64>,
    landed: u64,
    left: bool,
    /// Faults are over: everything must come to its end.
    calm: bool,
}

fn specs() -> Vec<LaneSpec> {
    LANES
        .iter()
        .map(|(task, concurrency, priority)| LaneSpec {
            task: (*task).into(),
            concurrency: *concurrency,
            priority: *priority,
            waits_for: crate::model::action::WaitsFor::Workers,
        })
        .collect()
}

fn facts_of_tasks() -> Vec<TaskFacts> {
    vec![task("a", None), task("b", None), task("then", Some((&["a"], AfterOn::AnyOk)))]
}

impl World {
    fn new(seed: u64) -> Self {
        let dir = folder();
        let store = Store::open(&dir.path().join("store.db")).unwrap();
        let mut world = Self {
            rng: Rng(seed),
            dir,
            store: Some(store),
            kernel: Kernel::new(WORKERS, DRAIN),
            now: 1_000_000,
            wake: None,
            pending: Vec::new(),
            claimed: BTreeMap::new(),
            at_work: Vec::new(),
            ended: Vec::new(),
            placing: Vec::new(),
            attempts: BTreeMap::new(),
            landed: 0,
            left: false,
            calm: false,
        };
        world.begin();
        world
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    /// What a supervisor does when it starts: recover first, then tell the kernel what there is.
    fn begin(&mut self) {
        (self.kernel, self.wake, self.left) = (Kernel::new(WORKERS, DRAIN), None, false);
        self.pending.clear();
        self.claimed.clear();
        self.at_work.clear();
        self.ended.clear();
        self.placing.clear();
        ok(self.store().configure(facts_of_tasks(), Millis(self.now)));
        let found = ok(self.store().recover("host-a".into(), "boot-1".into(), Millis(self.now)));
        ok(self.store().finish(found.placing.iter().map(|p| p.job).collect(), Millis(self.now)));
        for left in found.running {
            let c = left.claimed;
            let crashed = || Failure::new(FailureClass::Interrupted, "crashed_worker", "it died again");
            let verdict = if left.cancel_action.is_some() {
                self.verdict(&c, Outcome::Cancelled, None)
            } else if left.deaths >= 3 {
                self.verdict(&c, Outcome::Failed, Some(crashed()))
            } else {
                Verdict::Requeue { failure: crashed() }
            };
            let decided = end(self.store(), &c, verdict);
            if decided == Decided::Now(JobState::Placing) {
                finish(self.store(), c.job);
            }
        }
        audit(self.store());
        let hints = ok(self.store().configure(facts_of_tasks(), Millis(self.now)));
        self.tell(Input::Configured {
            workers: WORKERS,
            connections: 1,
            unsettled: u32::MAX,
            drain: DRAIN,
            lanes: specs(),
        });
        let (all, tasks) = self.store().queries().pauses().unwrap();
        self.tell(Input::Paused { task: None, paused: all });
        for task in tasks {
            self.tell(Input::Paused { task: Some(task.into()), paused: true });
        }
        self.tell(Input::Waiting(hints));
    }

    fn tell(&mut self, input: Input) {
        for effect in self.kernel.step(input, Millis(self.now)) {
            match effect {
                Effect::Claim { task, max, running_limit } => {
                    self.pending.push(Pending::Claim { task, max, limit: running_limit });
                }
                Effect::Start { ready, cancelled } => self.start(ready, cancelled),
                Effect::PutBack { jobs } => {
                    for ready in &jobs {
                        assert!(self.claimed.remove(&ready.job).is_some(), "put back without a claim");
                    }
                    self.pending.push(Pending::PutBack(jobs));
                }
                Effect::Stop { job, why } => {
                    if let Some(w) = self.at_work.iter_mut().find(|w| w.claimed.job == job) {
                        w.stop = Some(why);
                    }
                }
                Effect::PromoteDue => self.pending.push(Pending::Due),
                Effect::Wake { at } => self.wake = Some(at),
                // Whoever is told to stop does so here.
                Effect::Hurry => {}
                Effect::Leave => self.left = true,
            }
        }
    }

    /// A cancelled job is started whatever the limits: its action does not run.
    fn start(&mut self, ready: Ready, cancelled: bool) {
        let claimed = self.claimed.remove(&ready.job).expect("started without a claim");
        assert_eq!(claimed.attempt, ready.attempt);
        let stop = (cancelled || claimed.cancelled).then_some(Stop::Cancel);
        self.at_work.push(AtWork { claimed, stop, beside: cancelled });
        let counted = || self.at_work.iter().filter(|w| !w.beside);
        assert!(counted().count() <= WORKERS as usize, "more at work than workers");
        for (task, concurrency, _) in LANES {
            let n = counted().filter(|w| &*w.claimed.task == task).count();
            assert!(n <= concurrency as usize, "{n} of {task} at work");
        }
    }

    /// One of the things under way comes to pass.
    fn pass(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let at = self.rng.below(self.pending.len());
        match self.pending.swap_remove(at) {
            Pending::Tell(input) => self.tell(input),
            Pending::Claim { task, max, limit } => {
                if !self.calm && self.rng.chance(10) {
                    return self.pending.push(Pending::Tell(Input::ClaimFailed { task }));
                }
                let answer = try_claim(self.store(), &task, max, limit, self.now);
                for c in &answer.jobs {
                    let busy = self.claimed.contains_key(&c.job)
                        || self.at_work.iter().any(|w| w.claimed.job == c.job)
                        || self.ended.iter().any(|(e, _)| e.job == c.job)
                        || self.placing.contains(&c.job);
                    assert!(!busy, "job {} was claimed twice", c.job);
                    let last = self.attempts.insert(c.job, c.attempt).unwrap_or(0);
                    assert_eq!(c.attempt, last + 1, "attempts of job {}", c.job);
                    assert!(c.spent <= 3, "job {} has spent more than its budget", c.job);
                }
                self.pending.push(Pending::Claimed(task, answer));
            }
            Pending::Claimed(task, answer) => {
                let jobs = answer.jobs.iter().map(|c| Ready { job: c.job, attempt: c.attempt }).collect();
                self.claimed.extend(answer.jobs.into_iter().map(|c| (c.job, c)));
                let (queued, next_due) = (answer.lane.queued, answer.lane.next_due);
                self.tell(Input::Claimed { task, jobs, queued, next_due, again: None });
            }
            Pending::PutBack(jobs) => {
                let hints = ok(self.store().put_back(jobs.into_iter().map(|r| (r.job, r.attempt)).collect()));
                self.pending.push(Pending::Tell(Input::Waiting(hints)));
            }
            Pending::Due => {
                let hints = ok(self.store().due(Millis(self.now)));
                self.pending.push(Pending::Tell(Input::Waiting(hints)));
            }
        }
    }

    fn land(&mut self) {
        let task = LANES[self.rng.below(2)].0;
        let n = 1 + self.rng.below(4) as u64;
        let batch = (self.landed..self.landed + n).map(|n| landed(task, n)).collect();
        self.landed += n;
        let landing = ok(self.store().land(batch, Millis(self.now)));
        assert_eq!(landing.new, n);
        self.pending.push(Pending::Tell(Input::Waiting(landing.lanes)));
    }

    fn end_one(&mut self) {
        if self.at_work.is_empty() {
            return;
        }
        let at = self.rng.below(self.at_work.len());
        let work = self.at_work.swap_remove(at);
        let took = ms(self.rng.next() % 40);
        let job = work.claimed.job;
        self.ended.push((work.claimed, work.stop));
        self.tell(Input::Ended { job, took });
    }

    fn verdict(&self, claimed: &Claimed, outcome: Outcome, failure: Option<Failure>) -> Verdict {
        if claimed.file.is_some() { placing(claimed.job, outcome, failure) } else { bare(outcome, failure) }
    }

    fn rule(&mut self, claimed: &Claimed, stop: Option<Stop>) -> Decision {
        let at = Millis(self.now);
        let new = |verdict| Decision::new(claimed.job, Fence::Attempt(claimed.attempt), verdict, at);
        match (stop, self.rng.below(10)) {
            (Some(Stop::Cancel), _) => new(self.verdict(claimed, Outcome::Cancelled, None)),
            (Some(_), _) => new(Verdict::Requeue { failure: boom() }),
            (None, 0..=4) => new(self.verdict(claimed, Outcome::Succeeded, None)),
            (None, 5) => new(self.verdict(claimed, Outcome::Failed, Some(boom()))),
            (None, 6) if !self.calm => {
                new(Verdict::Hold { reason: "no permission".into(), at: at.plus(ms(self.rng.next() % 3000)) })
            }
            (None, _) => {
                let failure = Failure::transient("busy", "try again");
                if claimed.spent < 3 {
                    let delay = RetryPolicy::default().delay(claimed.job, claimed.attempt, claimed.spent);
                    new(Verdict::Retry { failure, at: at.plus(delay) })
                } else {
                    new(self.verdict(claimed, Outcome::Failed, Some(failure)))
                }
            }
        }
    }

    /// A group of what has ended is decided.
    fn decide(&mut self) {
        if self.ended.is_empty() {
            return;
        }
        let n = 1 + self.rng.below(self.ended.len());
        let group: Vec<_> = self.ended.drain(..n).collect();
        let mut decisions: Vec<Decision> = group.iter().map(|(c, stop)| self.rule(c, *stop)).collect();
        let mut hints = Vec::new();
        while !decisions.is_empty() {
            let answer = ok(self.store().decide(decisions.clone()));
            hints.push(answer.lanes);
            let mut again = Vec::new();
            for (d, decided) in decisions.iter().zip(answer.decided) {
                match decided {
                    Decided::Now(JobState::Placing) => self.placing.push(d.job),
                    Decided::Now(_) => {}
                    Decided::CancelInstead(_) => {
                        let (c, _) = group.iter().find(|(c, _)| c.job == d.job).unwrap();
                        let cancelled = self.verdict(c, Outcome::Cancelled, None);
                        again.push(Decision::new(d.job, d.fence, cancelled, d.at));
                    }
                    Decided::Lost => panic!("job {} was decided elsewhere", d.job),
                }
            }
            decisions = again;
        }
        self.pending.extend(hints.into_iter().map(|h| Pending::Tell(Input::Waiting(h))));
        self.pending.push(Pending::Tell(Input::Settled { count: n as u32 }));
    }

    fn finish(&mut self) {
        if self.placing.is_empty() {
            return;
        }
        let n = 1 + self.rng.below(self.placing.len());
        let group: Vec<JobId> = self.placing.drain(..n).collect();
        let answer = ok(self.store().finish(group, Millis(self.now)));
        assert_eq!(answer.over.len(), n);
        self.pending.push(Pending::Tell(Input::Waiting(answer.lanes)));
    }

    fn turn_clock(&mut self, by: i64) {
        self.now += by;
        if self.wake.is_some_and(|at| at.0 <= self.now) {
            self.wake = None;
            self.tell(Input::Timer);
        }
    }

    fn step(&mut self) {
        match self.rng.below(100) {
            0..=9 => self.land(),
            10..=49 => self.pass(),
            50..=64 => self.end_one(),
            65..=74 => self.decide(),
            75..=82 => self.finish(),
            83..=89 => {
                let by = self.rng.below(2500) as i64;
                self.turn_clock(by);
            }
            90..=94 => self.operate(),
            95 => {
                self.tell(Input::Store { ok: false });
                self.pending.push(Pending::Tell(Input::Store { ok: true }));
            }
            96 | 97 => self.crash(),
            98 if self.rng.chance(50) => self.restart(),
            _ => self.pass(),
        }
    }

    fn work_off(&mut self) {
        let mut turns = 0;
        while !(self.pending.is_empty() && self.at_work.is_empty() && self.ended.is_empty() && self.placing.is_empty())
        {
            turns += 1;
            assert!(turns < 10_000, "it never comes to rest: {:?}", self.kernel);
            self.pass();
            self.end_one();
            self.decide();
            self.finish();
        }
    }

    /// No more faults: only what the kernel asks for happens, and it must be enough.
    fn calm_down(&mut self) {
        self.calm = true;
        for name in ["", "a", "b", "then"] {
            ok(self.store().set_paused(name.into(), operator(None), false));
            self.tell(Input::Paused { task: (!name.is_empty()).then(|| name.into()), paused: false });
        }
        self.work_off();
        while let Some(at) = self.wake {
            self.turn_clock((at.0 - self.now).max(0));
            self.work_off();
        }
    }

    fn check_the_end(&self) {
        audit(self.store());
        assert!(self.kernel.is_idle());
        let counts = self.store().queries().overview().unwrap().counts;
        let open = [counts.waiting, counts.queued, counts.running, counts.placing];
        assert_eq!(open, [0; 4], "waiting, queued, running, placing");
        let jobs = ok(self.store().facts((1..=counts.total() as i64).map(JobId).collect()));
        let files: BTreeSet<u64> = jobs.iter().filter_map(|f| f.file.as_ref().map(|x| x.facts.ino)).collect();
        assert_eq!(files.len() as u64, self.landed, "every file has one job");
        assert_eq!(jobs.iter().filter(|f| f.file.is_some()).count() as u64, self.landed);
        for f in &jobs {
            assert!(f.attempt >= self.attempts.get(&f.job).copied().unwrap_or(0), "an attempt fell");
        }
    }
}

#[test]
fn every_job_comes_to_its_end_whatever_happens() {
    for seed in 0..SEEDS {
        let run = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..STEPS.start + seed % (STEPS.end - STEPS.start) {
                world.step();
            }
            world.calm_down();
            world.check_the_end();
        });
        assert!(run.is_ok(), "seed {seed}");
    }
}

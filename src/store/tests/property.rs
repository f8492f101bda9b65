//! Random operations on the store and on the model: they never disagree, whatever is stopped or killed in between.

use super::model::{Model, TASKS};
use super::*;
use crate::model::ledger::Start;
use proptest::prelude::*;

/// What may happen. Jobs are picked by a number, modulo how many there are.
#[derive(Clone, Debug)]
enum Op {
    Land(usize, Vec<u64>),
    Start(usize, u32),
    Claim(usize, u32, u32),
    Decide(usize, u8, bool, bool),
    Finish(usize),
    Retry(usize),
    Skip(usize, bool),
    Cancel(usize),
    PutBack(usize, bool),
    Due(i64),
    Prune,
    Reopen,
    Crash,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..2usize, proptest::collection::vec(0..8u64, 1..4)).prop_map(|(t, ns)| Op::Land(t, ns)),
        1 => (0..2usize, 1..4u32).prop_map(|(t, n)| Op::Start(t, n)),
        4 => (0..6usize, 1..4u32, 0..6u32).prop_map(|(t, n, l)| Op::Claim(t, n, l)),
        6 => (any::<usize>(), 0..6u8, any::<bool>(), prop::bool::weighted(0.1)).prop_map(|(i, v, c, s)| Op::Decide(i, v, c, s)),
        5 => any::<usize>().prop_map(Op::Finish),
        2 => any::<usize>().prop_map(Op::Retry),
        1 => (any::<usize>(), prop::bool::weighted(0.2)).prop_map(|(i, s)| Op::Skip(i, s)),
        1 => any::<usize>().prop_map(Op::Cancel),
        1 => (any::<usize>(), prop::bool::weighted(0.2)).prop_map(|(i, s)| Op::PutBack(i, s)),
        1 => (0..300i64).prop_map(Op::Due),
        1 => Just(Op::Prune),
        1 => Just(Op::Reopen),
        1 => Just(Op::Crash),
    ]
}

struct Pair {
    dir: TempDir,
    store: Option<Store>,
    model: Model,
    now: i64,
}

fn id(job: usize) -> JobId {
    JobId(job as i64 + 1)
}

impl Pair {
    fn new() -> Self {
        let (dir, store) = store();
        Self { dir, store: Some(store), model: Model::default(), now: 1000 }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn pick(&self, pick: usize, fits: impl Fn(JobState) -> bool) -> Option<usize> {
        let jobs: Vec<usize> = (0..self.model.jobs.len()).filter(|j| fits(self.model.jobs[*j].state)).collect();
        (!jobs.is_empty()).then(|| jobs[pick % jobs.len()])
    }

    fn apply(&mut self, op: Op) {
        self.now += 7;
        let now = Millis(self.now);
        match op {
            Op::Land(task, numbers) => {
                let batch = numbers.iter().map(|n| Landed { seen: now, ..landed(TASKS[task], *n) }).collect();
                let mut new = 0;
                for n in numbers {
                    if !self.model.is_live(task, n) && !self.model.is_placing(task, n) {
                        new += 1;
                        self.model.add(task, &[Some(n)], None);
                    }
                }
                assert_eq!(ok(self.store().land(batch, now)).new, new);
            }
            Op::Start(task, count) => {
                let start = Start {
                    task: TASKS[task].into(),
                    priority: 0,
                    files: vec![],
                    count,
                    label: b"x".to_vec(),
                    items: Vec::new(),
                };
                ok(self.store().start(start, operator(None)));
                self.model.add(task, &vec![None; count as usize], None);
            }
            Op::Claim(task, max, limit) => {
                let answer = try_claim(self.store(), TASKS[task], max, limit, self.now);
                let taken = self.model.claim(task, max, limit);
                let numbers: Vec<_> = answer.jobs.iter().map(|c| (c.job, c.attempt, c.spent, c.cancelled)).collect();
                let of = |j: &usize| (id(*j), &self.model.jobs[*j]);
                let wanted: Vec<_> =
                    taken.iter().map(of).map(|(id, j)| (id, j.attempt, j.spent, j.cancel.is_some())).collect();
                assert_eq!(numbers, wanted);
                assert_eq!(answer.lane.queued, self.model.count(task, JobState::Queued));
            }
            Op::Decide(pick, verdict, charged, stale) => {
                let Some(job) = self.pick(pick, |s| s == JobState::Running) else { return };
                self.decide(job, verdict, charged, stale);
            }
            Op::Finish(pick) => {
                let Some(job) = self.pick(pick, |_| true) else { return };
                let placing = self.model.jobs[job].state == JobState::Placing;
                let over = ok(self.store().finish(vec![id(job), id(job)], now)).over;
                assert_eq!(over.len(), usize::from(placing), "once, and only what was placing");
                if placing {
                    self.model.finish(job);
                }
            }
            Op::Retry(pick) => {
                let Some(job) = self.pick(pick, |_| true) else { return };
                assert_eq!(retry(self.store(), id(job)), self.model.retry(job));
            }
            Op::Skip(pick, stale) => {
                let Some(job) = self.pick(pick, |_| true) else { return };
                let rev = facts(self.store(), id(job)).rev - i64::from(stale);
                let fits =
                    matches!(self.model.jobs[job].state, JobState::Waiting | JobState::Queued | JobState::Failed);
                let verdict = self.verdict(job, Outcome::Skipped, None);
                let decided = decide(self.store(), id(job), Fence::Rev(rev), verdict);
                let wanted = if fits && !stale {
                    Decided::Now(self.model.decide(job, Outcome::Skipped, true))
                } else {
                    Decided::Lost
                };
                assert_eq!(decided, wanted);
            }
            Op::Cancel(pick) => {
                let Some(job) = self.pick(pick, |_| true) else { return };
                let action = action(self.store(), "cancel");
                let done = ok(self.store().mark_cancel(action, vec![id(job)])).done;
                let job = &mut self.model.jobs[job];
                assert_eq!(!done.is_empty(), job.state == JobState::Running);
                if job.state == JobState::Running {
                    job.cancel.get_or_insert(action);
                }
            }
            Op::PutBack(pick, stale) => {
                let Some(job) = self.pick(pick, |_| true) else { return };
                let attempt = self.model.jobs[job].attempt - i64::from(stale);
                let hints = ok(self.store().put_back(vec![(id(job), attempt)]));
                let j = &mut self.model.jobs[job];
                let fits = j.state == JobState::Running && !stale;
                assert_eq!(hints.len(), usize::from(fits));
                if fits {
                    (j.state, j.spent) = (JobState::Queued, j.spent - 1);
                }
            }
            Op::Due(later) => {
                self.now += later;
                ok(self.store().due(Millis(self.now)));
                for j in &mut self.model.jobs {
                    if j.state == JobState::Waiting && j.due <= self.now {
                        j.state = JobState::Queued;
                    }
                }
            }
            Op::Prune => {
                let keep = crate::model::ledger::Keep {
                    succeeded_before: Millis(0),
                    succeeded_max: u64::MAX,
                    failed_before: Millis(0),
                    failed_max: u64::MAX,
                };
                assert_eq!(ok(self.store().prune(keep)), 0, "nothing is old");
            }
            Op::Reopen => {
                self.store().close();
                self.store = None;
                self.store = Some(Store::open(&self.dir.path().join("store.db")).unwrap());
                ok(self.store().configure(tasks(), now));
                self.recover();
            }
            Op::Crash => {
                let (dir, store) = crashed(self.store.take().unwrap(), &self.dir);
                (self.dir, self.store) = (dir, Some(store));
                ok(self.store().configure(tasks(), now));
                self.recover();
            }
        }
    }

    fn verdict(&self, job: usize, outcome: Outcome, failure: Option<Failure>) -> Verdict {
        if self.model.jobs[job].file.is_some() { placing(id(job), outcome, failure) } else { bare(outcome, failure) }
    }

    fn decide(&mut self, job: usize, verdict: u8, charged: bool, stale: bool) {
        let at = Millis(self.now + 50);
        // Three messages, two causes.
        let failure =
            Failure::transient("boom", format!("row {} is bad{}", self.now, if charged { "" } else { "ly so" }));
        let sent = match verdict {
            0 => self.verdict(job, Outcome::Succeeded, None),
            1 => self.verdict(job, Outcome::Failed, Some(failure)),
            2 => self.verdict(job, Outcome::Cancelled, None),
            3 => Verdict::Retry { failure, at },
            4 => Verdict::Hold { reason: "no space".into(), at },
            _ => Verdict::Requeue { failure },
        };
        let fence = Fence::Attempt(self.model.jobs[job].attempt - i64::from(stale));
        let mut decision = Decision::new(id(job), fence, sent, Millis(self.now));
        decision.charged = charged;
        let decided = ok(self.store().decide(vec![decision])).decided[0];
        let j = &mut self.model.jobs[job];
        let wanted = match (stale, j.cancel, verdict) {
            (true, ..) => Decided::Lost,
            // A hold passes: its mark is found later.
            (false, Some(action), 0 | 1 | 3 | 5..) => Decided::CancelInstead(action),
            (false, _, 0) => Decided::Now(self.model.decide(job, Outcome::Succeeded, charged)),
            (false, _, 1) => Decided::Now(self.model.decide(job, Outcome::Failed, charged)),
            (false, _, 2) => Decided::Now(self.model.decide(job, Outcome::Cancelled, charged)),
            (false, _, 3 | 4) => {
                j.spent -= u32::from(verdict == 4 || !charged);
                (j.state, j.due) = (JobState::Waiting, at.0);
                Decided::Now(JobState::Waiting)
            }
            (false, _, _) => {
                (j.state, j.spent) = (JobState::Queued, j.spent - 1);
                Decided::Now(JobState::Queued)
            }
        };
        assert_eq!(decided, wanted);
    }

    /// As the protocol says: what was running is put back or withdrawn; what was placing stays for a later finish.
    fn recover(&mut self) {
        let left = ok(self.store().recover("host-a".into(), "boot-1".into(), Millis(self.now)));
        let of = |m: &Model, state| (0..m.jobs.len()).filter(|j| m.jobs[*j].state == state).collect::<Vec<_>>();
        let running = of(&self.model, JobState::Running);
        let found: Vec<_> =
            left.running.iter().map(|r| (r.claimed.job, r.claimed.attempt, r.deaths, r.cancel_action)).collect();
        let wanted: Vec<_> = running
            .iter()
            .map(|j| (id(*j), self.model.jobs[*j].attempt, self.model.jobs[*j].crashes + 1, self.model.jobs[*j].cancel))
            .collect();
        assert_eq!(found, wanted);
        let placing: Vec<JobId> = of(&self.model, JobState::Placing).into_iter().map(id).collect();
        assert_eq!(left.placing.iter().map(|p| p.job).collect::<Vec<_>>(), placing);
        for job in running {
            self.model.jobs[job].crashes += 1;
            let verdict = if self.model.jobs[job].cancel.is_some() { 2 } else { 5 };
            self.decide(job, verdict, false, false);
        }
    }

    fn compare(&self) {
        let store = self.store();
        audit::audit(store);
        let all = ok(store.facts((0..self.model.jobs.len() + 1).map(id).collect()));
        assert_eq!(all.len(), self.model.jobs.len());
        for (f, j) in all.iter().zip(&self.model.jobs) {
            let found = (f.state, f.attempt, f.spent, f.run.0 as usize, &*f.task, f.file.is_some());
            assert_eq!(
                found,
                (j.state, j.attempt, j.spent, j.run + 1, TASKS[j.task], j.file.is_some()),
                "job {}",
                f.job
            );
        }
        let overview = store.queries().overview().unwrap();
        for (row, task) in overview.tasks.iter().zip(0..) {
            for state in JobState::ALL {
                assert_eq!(row.counts.get(state), self.model.count(task, state), "{} {state}", row.name);
            }
        }
        let runs: Vec<(i64, Option<i64>)> = store
            .queries()
            .with(|conn| {
                let mut stmt = conn.prepare("SELECT state, upstream FROM run ORDER BY id")?;
                stmt.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect()
            })
            .unwrap();
        let wanted: Vec<_> =
            self.model.runs.iter().map(|r| (r.state.code(), r.upstream.map(|u| u as i64 + 1))).collect();
        assert_eq!(runs, wanted);
        assert_eq!(overview.rev, store.rev());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_agrees_with_the_model(ops in proptest::collection::vec(op(), 1..80)) {
        let mut pair = Pair::new();
        for op in ops {
            pair.apply(op);
            pair.compare();
        }
    }
}

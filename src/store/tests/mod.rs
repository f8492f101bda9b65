//! Tests of the store: what every ledger must do, the same against a model and under a simulated supervisor, and what
//! this one does with its file, its memory and its plans.

mod alerts;
mod audit;
mod checkpoints;
mod conformance;
mod conformance_operator;
mod conformance_start;
mod fixture;
mod groups;
mod model;
mod opening;
mod pages;
mod planned;
mod plans;
mod property;
mod prune;
mod rng;
mod scale;
mod simulation;
mod slots;
mod snapshot;
mod statistics;

use super::Store;
use crate::model::job::{Claimed, Facts, Landed, Move, MoveKind};
use crate::model::ledger::{
    AttemptPlan, Claim, ClaimAnswer, Decided, Decision, Fence, JobFacts, Ledger, Operator, Reply, StoreError,
    TaskFacts, Verdict,
};
use crate::model::{After, AfterOn, Failure, JobId, JobState, Millis, OnInterrupt, Outcome, TaskName};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use tempfile::TempDir;

/// The folder that the files of these tests would lie in; none of them exists.
const ROOT: &str = "/srv/inbox";

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The answer, waited for on this thread.
fn wait<T>(mut reply: Reply<T>) -> Result<T, StoreError> {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match reply.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// The answer, which must be there.
fn ok<T>(reply: Reply<T>) -> T {
    wait(reply).unwrap()
}

/// A folder in memory where there is one, so that the thousands of commits of a random run cost no disk time.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap()
}

/// A store in a folder of its own, with the tasks of [`tasks`].
fn store() -> (TempDir, Store) {
    let dir = folder();
    let store = Store::open(&dir.path().join("store.db")).unwrap();
    ok(store.configure(tasks(), Millis(0)));
    ok(store.recover("host-a".into(), "boot-1".into(), Millis(0)));
    (dir, store)
}

/// The database as a kill would leave it: everything committed and nothing else.
fn crashed(store: Store, dir: &TempDir) -> (TempDir, Store) {
    let image = folder();
    for name in ["store.db", "store.db-wal"] {
        let from = dir.path().join(name);
        if from.exists() {
            std::fs::copy(from, image.path().join(name)).unwrap();
        }
    }
    drop(store);
    let store = Store::open(&image.path().join("store.db")).unwrap();
    (image, store)
}

fn task(name: &str, after: Option<(&[&str], AfterOn)>) -> TaskFacts {
    TaskFacts {
        name: name.into(),
        action: "extract".into(),
        max_attempts: 3,
        config_hash: "c0ffee".into(),
        after: after.map(|(tasks, on)| After { tasks: tasks.iter().map(|t| TaskName::from(*t)).collect(), on }),
        priority: 0,
        on_interrupt: OnInterrupt::Retry,
        planned: false,
        scheduled: false,
    }
}

/// `a` and `b` take files; `ok`, `bad` and `any` follow `a`; `both` follows `a` and `b`.
fn tasks() -> Vec<TaskFacts> {
    vec![
        task("a", None),
        task("b", None),
        task("ok", Some((&["a"], AfterOn::AllOk))),
        task("bad", Some((&["a"], AfterOn::Failed))),
        task("any", Some((&["a"], AfterOn::Any))),
        task("both", Some((&["a", "b"], AfterOn::AnyOk))),
    ]
}

fn landed(task: &str, n: u64) -> Landed {
    Landed {
        seen: Millis(i64::MAX),
        task: task.into(),
        root: ROOT.into(),
        path: format!("{task}-{n}.csv").into(),
        facts: Facts { dev: 1, ino: 1000 + n, size: 10 + n, mtime_ns: 5, nlink: 1 },
        priority: 0,
    }
}

fn land(ledger: &dyn Ledger, task: &str, numbers: std::ops::Range<u64>) {
    let batch: Vec<Landed> = numbers.map(|n| landed(task, n)).collect();
    let wanted = batch.len() as u64;
    assert_eq!(ok(ledger.land(batch, Millis(10))).new, wanted);
}

fn try_claim(ledger: &dyn Ledger, task: &str, max: u32, limit: u32, now: i64) -> ClaimAnswer {
    let plan = Arc::new(|c: &Claimed| AttemptPlan {
        config_hash: "c0ffee".into(),
        work: PathBuf::from(format!("{ROOT}/.shiftboss/work/{}", c.job)),
        target_dirs: vec!["/srv/out".into(), "/srv/failed".into()],
    });
    ok(ledger.claim(Claim { task: task.into(), max, running_limit: limit, now: Millis(now), plan, allow: None }))
}

/// Claims exactly one job.
fn claim(ledger: &dyn Ledger, task: &str) -> Claimed {
    let mut jobs = try_claim(ledger, task, 1, u32::MAX, 20).jobs;
    assert_eq!(jobs.len(), 1, "nothing to claim of {task}");
    jobs.remove(0)
}

/// Where the original of a job lies after it failed.
fn failed_path(job: JobId) -> PathBuf {
    PathBuf::from(format!("/srv/failed/{job}.csv"))
}

/// A verdict with the moves of an original and, for what failed, its record.
fn placing(job: JobId, outcome: Outcome, failure: Option<Failure>) -> Verdict {
    let (original, record) = match outcome {
        Outcome::Succeeded => (PathBuf::from(format!("/srv/processed/{job}.csv")), None),
        _ => (failed_path(job), Some(PathBuf::from(format!("/srv/failed/{job}.csv.error.json")))),
    };
    let mv = |seq, dst: &Path| Move {
        seq,
        kind: MoveKind::Original,
        src: PathBuf::from(format!("{ROOT}/.shiftboss/work/{job}/{seq}")),
        dst: dst.to_owned(),
        ino: 7,
    };
    let moves = std::iter::once(&original).chain(&record).enumerate().map(|(i, dst)| mv(i as i64, dst)).collect();
    Verdict::Place { outcome, failure, moves, original: Some(original), record, reason: None }
}

/// A verdict of a job without a file.
fn bare(outcome: Outcome, failure: Option<Failure>) -> Verdict {
    Verdict::Place { outcome, failure, moves: Vec::new(), original: None, record: None, reason: None }
}

fn boom() -> Failure {
    Failure::permanent("boom", "row 7 is bad")
}

fn decide(ledger: &dyn Ledger, job: JobId, fence: Fence, verdict: Verdict) -> Decided {
    ok(ledger.decide(vec![Decision::new(job, fence, verdict, Millis(30))])).decided[0]
}

/// Decides a claimed job.
fn end(ledger: &dyn Ledger, claimed: &Claimed, verdict: Verdict) -> Decided {
    decide(ledger, claimed.job, Fence::Attempt(claimed.attempt), verdict)
}

fn finish(ledger: &dyn Ledger, job: JobId) -> Option<JobState> {
    ok(ledger.finish(vec![job], Millis(40))).over.first().map(|o| o.state)
}

/// Runs one job of a task to its end.
fn run_one(ledger: &dyn Ledger, task: &str, outcome: Outcome) -> Claimed {
    let claimed = claim(ledger, task);
    let failure = (outcome == Outcome::Failed).then(boom);
    if claimed.file.is_some() {
        assert_eq!(end(ledger, &claimed, placing(claimed.job, outcome, failure)), Decided::Now(JobState::Placing));
        assert_eq!(finish(ledger, claimed.job), Some(outcome.state()));
    } else {
        assert_eq!(end(ledger, &claimed, bare(outcome, failure)), Decided::Now(outcome.state()));
    }
    claimed
}

fn facts(ledger: &dyn Ledger, job: JobId) -> JobFacts {
    let mut all = ok(ledger.facts(vec![job]));
    assert_eq!(all.len(), 1, "no such job: {job}");
    all.remove(0)
}

fn state(ledger: &dyn Ledger, job: JobId) -> JobState {
    facts(ledger, job).state
}

fn operator(reason: Option<&str>) -> Operator {
    Operator { uid: 1000, at: Millis(50), reason: reason.map(str::to_owned) }
}

fn action(ledger: &dyn Ledger, kind: &'static str) -> i64 {
    ok(ledger.record(kind, operator(None), None, Vec::new()))
}

fn retry(ledger: &dyn Ledger, job: JobId) -> bool {
    let action = action(ledger, "retry");
    ok(ledger.retry(action, vec![(job, 0)], Millis(60))).0.done == [job]
}

/// Jobs in the queue of a task.
fn queued(ledger: &dyn Ledger, task: &str) -> u64 {
    let hints = ok(ledger.configure(tasks(), Millis(0)));
    hints.iter().find(|h| &*h.task == task).map_or(0, |h| h.queued)
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

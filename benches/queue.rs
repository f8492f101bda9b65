//! 100,000 no-op jobs through the durable queue: inserted, claimed, run and finished by a whole supervisor, every state
//! change on the disk before it is answered.
//!
//! `cargo bench --bench queue [-- JOBS]` prints jobs per second. It is a figure to compare, not a test.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark ends at the first surprise and prints its figures"
)]

use shiftboss::clock::SystemClock;
use shiftboss::model::ledger::{Ledger, Operator, Start, TaskFacts};
use shiftboss::model::{Action, Block, JobOrder, Kind, Millis, OnInterrupt, Report, Template, Work};
use shiftboss::runtime::{Mode, Options, Supervisor, limits};
use shiftboss::store::Store;
use shiftboss::telemetry::Log;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Debug)]
struct Noop;

impl Action for Noop {
    fn name(&self) -> &'static str {
        "noop"
    }
    fn outputs(&self) -> Vec<&Template> {
        Vec::new()
    }
    fn idempotent(&self) -> bool {
        true
    }
    fn work(self: Arc<Self>, _order: JobOrder) -> Work {
        Work::Blocking(Box::new(|| Ok(Report::default())))
    }
}

struct NoopKind;

impl Kind for NoopKind {
    fn key(&self) -> &'static str {
        "noop"
    }
    fn summary(&self) -> &'static str {
        "does nothing"
    }
    fn example(&self) -> &'static str {
        "noop = {}"
    }
    fn build(&self, _block: &mut Block<'_>) -> Option<Arc<dyn Action>> {
        Some(Arc::new(Noop))
    }
}

static KINDS: &[&dyn Kind] = &[&NoopKind];

fn main() {
    let jobs: u32 = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(100_000);
    let dir = tempfile::Builder::new().prefix("bench-queue").tempdir_in(".").expect("a folder for the queue");
    let path = dir.path().join("config.toml");
    let source = "[tasks.nothing]\nmanual = true\nnoop = {}\n";
    let path = std::path::absolute(path).expect("an absolute path");
    std::fs::write(&path, source).expect("the configuration");
    let config = shiftboss::config::parse(&path, source, KINDS).expect("a good configuration");
    let workers = config.workers;
    std::fs::create_dir_all(&config.data_dir).expect("the data folder");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(workers + 32)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async move {
        let inserted = insert(&config, jobs).await;
        let clock = Arc::new(SystemClock);
        let options = Options {
            mode: Mode::UntilIdle(Duration::ZERO),
            log: Arc::new(Log::open(config.data_dir.join("logs"), limits(&config), clock.clone())),
            clock,
            kinds: KINDS,
            ready: Box::new(|_, _| {}),
        };
        let began = Instant::now();
        let ended = Supervisor::open(config, options).expect("a supervisor").run().await.expect("a run");
        let took = began.elapsed();
        assert_eq!(ended.summary.succeeded, u64::from(jobs));
        let rate = |d: Duration| f64::from(jobs) / d.as_secs_f64();
        println!("inserted {jobs} jobs in {inserted:.2?}: {:.0}/s", rate(inserted));
        println!("claimed, run and finished in {took:.2?}: {:.0}/s", rate(took));
        println!("together: {:.0} jobs/s on {workers} workers", rate(took + inserted));
    });
}

async fn insert(config: &shiftboss::config::Config, jobs: u32) -> Duration {
    let store = Store::open(&config.database()).expect("a store");
    let task = TaskFacts {
        planned: false,
        scheduled: false,
        name: "nothing".into(),
        action: "noop".into(),
        max_attempts: 3,
        config_hash: String::new(),
        after: None,
        priority: 0,
        on_interrupt: OnInterrupt::Retry,
    };
    store.configure(vec![task], Millis(1)).await.expect("the task");
    let began = Instant::now();
    let start = Start {
        task: "nothing".into(),
        priority: 0,
        files: vec![],
        count: jobs,
        items: vec![],
        label: b"bench".to_vec(),
    };
    let by = Operator { uid: 0, at: Millis(1), reason: None };
    store.start(start, by).await.expect("the jobs");
    let took = began.elapsed();
    store.close();
    took
}

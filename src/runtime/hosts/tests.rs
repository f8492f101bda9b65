//! The gate with real channels and a timer, mostly in the paused time of tokio.

use super::*;
use crate::model::action::network::Rate;
use futures_util::FutureExt;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

const GOOD: Ending = Ending::Good { latency: Duration::from_millis(20) };

struct Tasks(TaskTracker);

impl Spawner for Tasks {
    fn task(&self, _name: &'static str, work: BoxFuture<()>) {
        self.0.spawn(work);
    }
    fn thread(&self, _name: String, _work: Box<dyn FnOnce() + Send + 'static>) {
        unreachable!("the gate needs no thread");
    }
    fn blocking(&self, _work: Box<dyn FnOnce() + Send + 'static>) {
        unreachable!("the gate does not block");
    }
}

/// A wall clock that goes with the time of the tests, and can be set.
struct Wall(Instant, AtomicI64);

impl Clock for Wall {
    fn now(&self) -> Millis {
        Millis(self.1.load(Ordering::SeqCst)).plus(self.0.elapsed())
    }
}

struct Bench {
    gate: Gate,
    wall: Arc<Wall>,
    tasks: TaskTracker,
    stop: CancellationToken,
    host: HostName,
}

impl Bench {
    fn new() -> Self {
        let wall = Arc::new(Wall(Instant::now(), AtomicI64::new(1_000_000_000)));
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let gate = Gate::new(&Tasks(tasks.clone()), Arc::<Wall>::clone(&wall), stop.clone());
        Self { gate, wall, tasks, stop, host: "a.example".into() }
    }

    fn enter(&self, limits: &HostLimits) -> BoxFuture<Result<Pass, Failure>> {
        self.gate.enter(&self.host, limits)
    }

    /// Enters as far as it goes at once: it must wait.
    fn waits(&self, limits: &HostLimits) -> BoxFuture<Result<Pass, Failure>> {
        let mut turn = self.enter(limits);
        assert!((&mut turn).now_or_never().is_none(), "it did not wait");
        turn
    }

    fn ms(&self) -> i64 {
        i64::try_from(self.wall.0.elapsed().as_millis()).unwrap()
    }

    fn in_flight(&self) -> (u32, u32) {
        let view = self.gate.view().remove(0);
        (view.in_flight, view.waiting)
    }
}

fn limits(concurrency: u32) -> HostLimits {
    HostLimits { concurrency, breaker_after: 1, ..HostLimits::default() }
}

fn busy(until: Millis) -> Ending {
    Ending::Busy { until: Some(until), status: 429 }
}

#[tokio::test(start_paused = true)]
async fn one_who_waits_goes_when_another_has_ended() {
    let bench = Bench::new();
    let first = bench.enter(&limits(1)).await.unwrap();
    let second = bench.waits(&limits(1));
    let third = bench.waits(&limits(1));
    first.end(GOOD);
    let second = second.await.unwrap();
    assert_eq!(bench.in_flight(), (1, 1));
    drop(second);
    third.await.unwrap().end(GOOD);
    assert_eq!((bench.in_flight(), bench.ms()), ((0, 0), 0));
    assert_eq!((bench.gate.view()[0].requests, bench.gate.view()[0].good), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn the_timer_lets_one_after_the_other_in() {
    let bench = Bench::new();
    let ten = HostLimits { rate: Some(Rate { count: 10, per: Duration::from_secs(1) }), ..limits(100) };
    let turns: Vec<_> = (0..30).map(|_| bench.enter(&ten)).collect();
    let times = futures_util::future::join_all(turns.into_iter().map(async |turn| {
        turn.await.unwrap().end(GOOD);
        bench.ms()
    }));
    let times = times.await;
    for (n, at) in (0..).zip(&times) {
        assert!((n * 100..n * 100 + 3).contains(at), "{times:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_dropped_holds_no_place() {
    let bench = Bench::new();
    let first = bench.enter(&limits(1)).await.unwrap();
    let (second, third) = (bench.waits(&limits(1)), bench.waits(&limits(1)));
    drop(second);
    assert_eq!(bench.in_flight(), (1, 1));
    first.end(GOOD);
    assert_eq!(bench.in_flight(), (1, 0));
    // It was sent a pass that it has not seen.
    let fourth = bench.waits(&limits(1));
    drop(third);
    fourth.await.unwrap().end(GOOD);
    drop(bench.enter(&limits(1)));
    assert_eq!(bench.in_flight(), (0, 0));
    assert!(bench.gate.shared.inner().waiting.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_closed_for_long_is_told_as_a_failure_with_its_time() {
    let mut bench = Bench::new();
    bench.host = "a\x1b[2J".into();
    let until = bench.wall.now().plus(Duration::from_secs(60));
    let first = bench.enter(&limits(1)).await.unwrap();
    let second = bench.waits(&limits(1));
    first.end(busy(until));
    for failure in [second.await.unwrap_err(), bench.enter(&limits(1)).await.unwrap_err()] {
        assert_eq!((failure.code.as_str(), failure.not_before), (HOST_CLOSED, Some(until)));
        let said = "the host is closed for now, it answered 429 and asked for time: a\\x1b[2J";
        assert_eq!(failure.message, said);
    }
    assert_eq!(bench.gate.closed().len(), 1);
    assert_eq!(bench.gate.allowance(&bench.host, &limits(1)).again, Some(until));
}

#[tokio::test(start_paused = true)]
async fn who_listens_hears_that_a_host_closed_and_opened_and_that_a_job_ended() {
    let bench = Bench::new();
    let changed = bench.gate.changed();
    bench.gate.claimed(&bench.host, 2);
    assert!(changed.notified().now_or_never().is_none());
    bench.gate.ended(&bench.host, 1);
    assert!(changed.notified().now_or_never().is_some());
    bench.enter(&limits(1)).await.unwrap().end(Ending::Bad);
    assert!(changed.notified().now_or_never().is_some(), "the breaker opened");
    assert_eq!(bench.gate.allowance(&bench.host, &limits(1)).jobs, 0);
    changed.notified().await;
    assert!((5000..5003).contains(&bench.ms()), "{}", bench.ms());
    bench.gate.ended(&bench.host, 1);
    assert_eq!(bench.gate.allowance(&bench.host, &limits(1)).jobs, 1);
}

#[tokio::test(start_paused = true)]
async fn a_restored_cool_down_holds_and_ends() {
    let bench = Bench::new();
    bench.gate.restore(&bench.host, bench.wall.now().plus(Duration::from_secs(3)), "it said so");
    bench.enter(&limits(1)).await.unwrap().end(GOOD);
    assert!((3000..3003).contains(&bench.ms()), "{}", bench.ms());
    let retry = bench.gate.book_retry(&bench.host, &limits(1));
    assert_eq!(retry, bench.wall.now());
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_is_set_back_keeps_nobody_waiting() {
    let bench = Bench::new();
    let slow = HostLimits { rate: Some(Rate { count: 1, per: Duration::from_secs(30) }), ..limits(8) };
    bench.enter(&slow).await.unwrap().end(GOOD);
    let second = bench.waits(&slow);
    bench.wall.1.store(5, Ordering::SeqCst);
    second.await.unwrap().end(GOOD);
    assert!((30_000..30_005).contains(&bench.ms()), "{}", bench.ms());
    bench.wall.1.store(10_000_000_000, Ordering::SeqCst);
    bench.enter(&slow).await.unwrap().end(GOOD);
    let third = bench.waits(&slow);
    bench.wall.1.store(20_000_000_000, Ordering::SeqCst);
    third.await.unwrap().end(GOOD);
    assert!(bench.ms() < 45_000, "the timer looks now and then: {}", bench.ms());
}

#[tokio::test(start_paused = true)]
async fn a_stop_answers_everybody_and_ends_the_timer() {
    let bench = Bench::new();
    let first = bench.enter(&limits(1)).await.unwrap();
    let waiting: Vec<_> = (0..100).map(|_| bench.waits(&limits(1))).collect();
    bench.stop.cancel();
    bench.tasks.close();
    bench.tasks.wait().await;
    for turn in waiting {
        assert_eq!(turn.await.unwrap_err().code, HOST_CLOSED);
    }
    assert_eq!(bench.enter(&limits(1)).await.unwrap_err().code, HOST_CLOSED);
    first.end(GOOD);
    assert_eq!((bench.in_flight(), bench.ms()), ((0, 0), 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_keep_to_the_limit_and_all_are_served() {
    let bench = Arc::new(Bench::new());
    let (under_way, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let callers = TaskTracker::new();
    for n in 0..64 {
        let (bench, under_way, most) = (Arc::clone(&bench), Arc::clone(&under_way), Arc::clone(&most));
        callers.spawn(async move {
            for i in 0..100 {
                let mut turn = bench.enter(&limits(3));
                if (n + i) % 7 == 0 && (&mut turn).now_or_never().is_none() {
                    continue;
                }
                let pass = if (n + i) % 7 == 0 { bench.enter(&limits(3)).await } else { turn.await };
                let pass = pass.unwrap();
                most.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                under_way.fetch_sub(1, Ordering::SeqCst);
                pass.end(GOOD);
            }
        });
    }
    callers.close();
    tokio::time::timeout(Duration::from_secs(60), callers.wait()).await.expect("all are served");
    assert!((1..=3).contains(&most.load(Ordering::SeqCst)), "{most:?}");
    assert_eq!(bench.in_flight(), (0, 0));
}

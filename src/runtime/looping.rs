//! The one loop: everything that can happen comes through one channel or one of three wake-ups, goes into the kernel,
//! and its effects are carried out in order.

use super::network;
use super::pipeline::Pipeline;
use super::plan;
use super::shared::{Event, Shared};
use super::worker;
use crate::kernel::{Effect, Input, Ready};
use crate::model::action::{Level, Stop};
use crate::model::job::Claimed;
use crate::model::ledger::{Claim, ClaimAnswer, Planner, StoreError};
use crate::model::ports::Spawner;
use crate::model::{JobId, Millis, TaskName, crash};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// A claim that the store refused is asked again after this time.
const CLAIM_RETRY: Duration = Duration::from_secs(5);
/// While a stop waits, it says who is still running this often.
const STILL_EVERY: Duration = Duration::from_secs(5);
/// A hurried stop waits this long for killed jobs to be put back in good order.
const HURRY_MAX: Duration = Duration::from_secs(2);
/// A timer is checked against the wall clock at least this often: timers do not count a machine's sleep.
const CLOCK_CHECK: Duration = Duration::from_secs(10);

/// The loop's own state.
pub struct Loop {
    shared: Arc<Shared>,
    events: mpsc::Receiver<Event>,
    pipeline: Pipeline,
    plan: Planner,
    /// Claimed jobs that have not started.
    claimed: HashMap<JobId, Claimed>,
    wake_at: Option<Millis>,
    leaving: bool,
    hurried: bool,
    /// When a hurried stop leaves whoever has not ended by then; the next start finds them.
    hurry_until: tokio::time::Instant,
}

/// What the loop is told from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Stop in good order.
    Drain,
    /// Stop at once.
    Hurry,
}

impl Loop {
    /// A loop over the events of a supervisor.
    pub fn new(shared: &Arc<Shared>, events: mpsc::Receiver<Event>) -> Self {
        Self {
            shared: Arc::clone(shared),
            events,
            pipeline: Pipeline::start(shared),
            plan: plan::planner(shared),
            claimed: HashMap::new(),
            wake_at: None,
            leaving: false,
            hurried: false,
            hurry_until: tokio::time::Instant::now(),
        }
    }

    /// Runs until a stop has ended everything. Answers whether it was hurried.
    pub async fn run(mut self, mut signals: mpsc::Receiver<Signal>) -> bool {
        let mut still = tokio::time::interval(STILL_EVERY);
        still.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !self.leaving {
            let sleep = self.sleep();
            tokio::select! {
                biased;
                Some(signal) = signals.recv() => self.signal(signal),
                Some(event) = self.events.recv() => self.event(event).await,
                () = sleep => self.timer(),
                _ = still.tick(), if self.is_ending() => self.say_still(),
                () = tokio::time::sleep_until(self.hurry_until), if self.hurried => self.leaving = true,
            }
        }
        self.hurried
    }

    fn is_ending(&self) -> bool {
        self.shared.kernel.lock().unwrap_or_else(PoisonError::into_inner).is_ending()
    }

    /// Until the kernel's timer, but never longer than a clock check.
    fn sleep(&self) -> impl Future<Output = ()> + use<> {
        let wait = self.wake_at.map(|at| at.since(self.shared.now()).min(CLOCK_CHECK));
        async move {
            match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        }
    }

    fn timer(&mut self) {
        let now = self.shared.now();
        if self.wake_at.is_some_and(|at| at <= now) {
            self.wake_at = None;
            self.step(Input::Timer);
        }
    }

    fn signal(&mut self, signal: Signal) {
        let was_ending = self.is_ending();
        let input = match signal {
            Signal::Drain if !was_ending => Input::Drain,
            Signal::Drain | Signal::Hurry => Input::Hurry,
        };
        if input == Input::Hurry {
            self.hurry();
        }
        if input == Input::Hurry && !was_ending {
            self.step(Input::Drain);
        }
        self.shared.log.append(
            Level::Info,
            None,
            None,
            None,
            if self.hurried { "stopping at once" } else { "stopping: nothing new is started" },
        );
        self.shared.touch_status();
        self.step(input);
        self.say_still();
    }

    fn hurry(&mut self) {
        if !self.hurried {
            self.hurried = true;
            self.hurry_until = tokio::time::Instant::now() + HURRY_MAX;
        }
    }

    async fn event(&mut self, event: Event) {
        match event {
            Event::Kernel(input) => self.step(input),
            Event::Claimed(task, answer) => self.take(task, *answer),
            Event::Reloaded => self.configure().await,
        }
        // What is there already is taken in one go, so that a screen is woken once.
        while let Ok(event) = self.events.try_recv() {
            match event {
                Event::Kernel(input) => self.step(input),
                Event::Claimed(task, answer) => self.take(task, *answer),
                Event::Reloaded => self.configure().await,
            }
        }
    }

    fn take(&mut self, task: TaskName, answer: ClaimAnswer) {
        let ready = |c: &Claimed| Ready { job: c.job, attempt: c.attempt };
        let jobs = answer.jobs.iter().map(ready).collect();
        answer.jobs.iter().filter(|c| !c.lane.is_empty()).for_each(|c| self.shared.gate.claimed(&c.lane, 1));
        self.claimed.extend(answer.jobs.into_iter().map(|c| (c.job, c)));
        let (queued, next_due) = (answer.lane.queued, answer.lane.next_due);
        self.step(Input::Claimed { task, jobs, queued, next_due, again: answer.again });
        self.shared.touch();
    }

    /// Hands the tasks of the live configuration to the store and the kernel.
    async fn configure(&mut self) {
        let config = self.shared.config.load_full();
        let (facts, lanes): (Vec<_>, Vec<_>) = config.tasks.iter().map(|t| plan::facts(t)).unzip();
        let workers = u32::try_from(config.workers).unwrap_or(u32::MAX);
        let connections = network::connections(config.connections);
        let unsettled = network::unsettled();
        self.step(Input::Configured { workers, connections, unsettled, drain: config.drain, lanes });
        // Before it hears of waiting jobs: it would claim one of a task that is paused.
        match self.shared.store.queries().pauses() {
            Ok((all, tasks)) => {
                self.step(Input::Paused { task: None, paused: all });
                for task in tasks {
                    self.step(Input::Paused { task: Some(task.into()), paused: true });
                }
            }
            Err(e) => self.shared.complain(&format!("cannot read what is paused: {e}")),
        }
        match self.shared.ledger.configure(facts, self.shared.now()).await {
            Ok(hints) => self.step(Input::Waiting(hints)),
            Err(StoreError::Closed) => {}
            Err(e) => self.shared.complain(&format!("cannot store the configuration: {e}")),
        }
        self.shared.touch_status();
    }

    fn step(&mut self, input: Input) {
        let now = self.shared.now();
        let effects = self.shared.kernel.lock().unwrap_or_else(PoisonError::into_inner).step(input, now);
        for effect in effects {
            self.act(effect);
        }
    }

    fn act(&mut self, effect: Effect) {
        match effect {
            Effect::Claim { task, max, running_limit } => self.claim(task, max, running_limit),
            Effect::Start { ready, cancelled } => self.start(ready, cancelled),
            Effect::PutBack { jobs } => self.put_back(jobs),
            Effect::Stop { job, why } => self.stop(job, why),
            Effect::PromoteDue => self.promote_due(),
            Effect::Wake { at } => self.wake_at = Some(at),
            Effect::Hurry => self.hurry(),
            Effect::Leave => self.leaving = true,
        }
    }

    fn claim(&self, task: TaskName, max: u32, running_limit: u32) {
        let shared = Arc::clone(&self.shared);
        let allow = shared.task(&task).and_then(|task| network::allow(&shared, &task));
        let (name, plan) = (TaskName::clone(&task), Arc::clone(&self.plan));
        let claim = Claim { task: name, max, running_limit, now: shared.now(), plan, allow };
        self.shared.tracker.task(
            "claim",
            Box::pin(async move {
                crash::point("s2.before_claim");
                let claimed = shared.ledger.claim(claim).await;
                crash::point("s2.after_claim");
                match claimed {
                    Ok(answer) => shared.tell(Event::Claimed(task, Box::new(answer))).await,
                    Err(error) => {
                        if !matches!(error, StoreError::Closed) {
                            shared.store_failed(&error).await;
                            tokio::time::sleep(CLAIM_RETRY).await;
                            shared.probe().await;
                        }
                        shared.tell(Event::Kernel(Input::ClaimFailed { task })).await;
                    }
                }
            }),
        );
    }

    fn start(&mut self, ready: Ready, cancelled: bool) {
        let Some(claimed) = self.claimed.remove(&ready.job) else { return };
        let Some(task) = self.shared.task(&claimed.task) else {
            if !claimed.lane.is_empty() {
                self.shared.gate.ended(&claimed.lane, 1);
            }
            self.start_removed(ready);
            return;
        };
        let live = worker::live(&task);
        if cancelled || claimed.cancelled {
            live.stop.stop(Stop::Cancel);
        }
        self.shared.live.lock().unwrap_or_else(PoisonError::into_inner).insert(ready.job, Arc::clone(&live));
        worker::start(&self.shared, self.pipeline.clone(), claimed, task, live);
    }

    /// A reload has just removed the task, and the kernel has not heard of it yet: for it the job is at work, so it
    /// must also hear that it is not.
    fn start_removed(&self, ready: Ready) {
        let shared = Arc::clone(&self.shared);
        self.shared.tracker.task(
            "put back",
            Box::pin(async move {
                if let Err(e) = shared.ledger.put_back(vec![(ready.job, ready.attempt)]).await {
                    shared.complain(&format!("cannot put a claimed job back: {e}"));
                }
                shared.tell(Event::Kernel(Input::Ended { job: ready.job, took: Duration::ZERO })).await;
                shared.tell(Event::Kernel(Input::Settled { count: 1 })).await;
            }),
        );
    }

    fn put_back(&mut self, jobs: Vec<Ready>) {
        let jobs: Vec<(JobId, i64)> = jobs.into_iter().map(|r| (r.job, r.attempt)).collect();
        for (job, _) in &jobs {
            if let Some(claimed) = self.claimed.remove(job).filter(|c| !c.lane.is_empty()) {
                self.shared.gate.ended(&claimed.lane, 1);
            }
        }
        let shared = Arc::clone(&self.shared);
        self.shared.tracker.task(
            "put back",
            Box::pin(async move {
                let put_back = || shared.ledger.put_back(jobs.clone());
                if let Some(lanes) = shared.insist("put claimed jobs back", put_back).await {
                    shared.tell_lanes(lanes).await;
                }
            }),
        );
    }

    fn stop(&self, job: JobId, why: Stop) {
        let Some(live) = self.shared.live_job(job) else { return };
        if self.hurried { live.stop.hurry(why) } else { live.stop.stop(why) }
    }

    fn promote_due(&self) {
        let shared = Arc::clone(&self.shared);
        self.shared.tracker.task(
            "due",
            Box::pin(async move {
                let due = || shared.ledger.due(shared.now());
                if let Some(lanes) = shared.insist("queue what is due", due).await {
                    shared.tell_lanes(lanes).await;
                }
            }),
        );
    }

    /// Says who a stop is waiting for.
    fn say_still(&self) {
        let running: Vec<String> = {
            let kernel = self.shared.kernel.lock().unwrap_or_else(PoisonError::into_inner);
            kernel.executing().map(|job| format!("job {job}")).collect()
        };
        if !running.is_empty() {
            let first = running.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
            let more = running.len().saturating_sub(5);
            let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
            self.shared.log.append(Level::Info, None, None, None, &format!("waiting for {first}{rest}"));
        }
    }
}

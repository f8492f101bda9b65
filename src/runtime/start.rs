//! From a configuration to a running supervisor and back: locks, store, recovery, the loop, the folders, the socket.

use super::hosts::Gate;
use super::housekeeping;
use super::idle;
use super::locks::{self, Lock};
use super::looping::{Loop, Signal};
use super::operate::Operations;
use super::read::Reads;
use super::recover::{self, Found};
use super::shared::{EVENTS_MAX, Event, Shared, Tally};
use super::spawn::Tracker;
use super::ticks;
use super::watching::Watching;
use super::why::Reasons;
use crate::clock::Clock;
use crate::config::Config;
use crate::control::server::{self, Access, Ports};
use crate::error::{Exit, Fatal};
use crate::files::folders::Folders;
use crate::files::reserve::Names;
use crate::kernel::Kernel;
use crate::model::action::Level;
use crate::model::ports::{Actor, Refusal, Spawner};
use crate::model::view::{Gravity, Summary, Tick};
use crate::model::{Kind, text};
use crate::store::Store;
use crate::telemetry::{Gauges, Log, Throughput};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

/// How a supervisor runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Until it is told to stop.
    Serve,
    /// Until there is nothing left to do; retries due within this time are waited for.
    UntilIdle(Duration),
}

/// Called with what recovery found and how many files the first scan found new.
pub type Ready = Box<dyn FnOnce(&Found, u64) + Send>;

/// What a supervisor is started with.
pub struct Options {
    /// How it runs.
    pub mode: Mode,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The log.
    pub log: Arc<Log>,
    /// Kinds of work, for a reload.
    pub kinds: &'static [&'static dyn Kind],
    /// Called once everything is scanned and the socket answers.
    pub ready: Ready,
}

/// How a supervisor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// It was told to stop at once.
    pub hurried: bool,
    /// It shall be started again.
    pub restart: bool,
    /// What was executed.
    pub summary: Summary,
    /// Whether a job executed here ended failed, or waits after a failed attempt.
    pub failed: bool,
}

/// What only a running supervisor can do.
#[derive(Clone)]
pub struct Control {
    shared: Arc<Shared>,
    watching: Arc<Watching>,
    signals: mpsc::Sender<Signal>,
    restart: Arc<AtomicBool>,
    kinds: &'static [&'static dyn Kind],
}

impl Control {
    /// Stops, and perhaps starts again.
    pub fn stop(&self, now: bool, restart: bool) {
        self.restart.fetch_or(restart, Ordering::SeqCst);
        // A full channel means that it has been told often enough.
        let _ = self.signals.try_send(if now { Signal::Hurry } else { Signal::Drain });
    }

    /// Reads the configuration again. A bad one leaves the old one live.
    pub async fn reload(&self, actor: Actor) -> Result<Vec<String>, Refusal> {
        let this = self.clone();
        let tracker = Arc::clone(&self.shared.tracker);
        let done = tracker.run(move || this.reload_now(actor)).await;
        let changes = done.unwrap_or_else(|| Err(Refusal::new(500, "panic", "reading the configuration panicked")))?;
        self.shared.tell(Event::Reloaded).await;
        Ok(changes)
    }

    fn reload_now(&self, actor: Actor) -> Result<Vec<String>, Refusal> {
        let shared = &self.shared;
        let old = shared.config.load_full();
        let refuse = |message: String| {
            shared.banner(
                Gravity::Warning,
                "reload_failed",
                format!("the configuration was not reloaded: {}", message.lines().next().unwrap_or("")),
            );
            shared.log.append(Level::Error, None, None, None, &format!("reload refused: {message}"));
            Refusal::new(400, "bad_config", message).hint("the old configuration stays live")
        };
        let new = crate::config::load(&old.path, self.kinds).map_err(|fatal| refuse(fatal.render(false)))?;
        if new.data_dir != old.data_dir {
            return Err(refuse("data_dir cannot change while the supervisor runs: restart it".into()));
        }
        self.watching.lock(shared, &new).map_err(|fatal| refuse(fatal.render(false)))?;
        let changes = changes(&old, &new);
        shared.memory.resize(new.memory);
        shared.log.set_levels(levels(&new));
        shared.config.store(Arc::new(new));
        shared.clear_banner("reload_failed");
        self.watching.restart(shared);
        let said = if changes.is_empty() { "nothing changed".to_owned() } else { changes.join("; ") };
        shared.log.append(
            Level::Info,
            None,
            None,
            None,
            &format!("reloaded by {}: {said}", super::read::user(actor.uid)),
        );
        shared.touch_status();
        Ok(changes)
    }
}

/// What a reload changes, in words.
fn changes(old: &Config, new: &Config) -> Vec<String> {
    let mut out = Vec::new();
    for task in &new.tasks {
        match old.task(&task.name) {
            None => out.push(format!("added {}", task.name)),
            Some(was) if was.config_hash != task.config_hash => out.push(format!("changed {}", task.name)),
            Some(_) => {}
        }
    }
    out.extend(old.tasks.iter().filter(|t| new.task(&t.name).is_none()).map(|t| format!("removed {}", t.name)));
    if old.workers != new.workers {
        out.push(format!("workers {} -> {}", old.workers, new.workers));
    }
    if old.connections != new.connections {
        out.push(format!("connections {} -> {}", old.connections, new.connections));
    }
    if old.memory != new.memory {
        out.push(format!("memory {} -> {} bytes", text::count(old.memory), text::count(new.memory)));
    }
    out
}

/// A supervisor: everything that one data folder needs.
pub struct Supervisor {
    shared: Arc<Shared>,
    events: mpsc::Receiver<Event>,
    options: Options,
    _lock: Lock,
}

/// The data of a configuration that no supervisor uses, opened for one command.
pub struct Offline {
    /// Reads.
    pub reads: Reads,
    /// Operator actions; they fail where it was opened for reading only.
    pub operations: Operations,
    /// Why things do not run.
    pub reasons: Reasons,
    /// The store, to be closed at the end.
    pub store: Store,
    _lock: Option<Lock>,
}

/// Opens the data of a configuration: for `acting` with its lock, else for reading only.
pub async fn offline(config: Config, clock: Arc<dyn Clock>, acting: bool) -> Result<Offline, Fatal> {
    let logs = config.data_dir.join("logs");
    let (lock, store, log) = if acting {
        let lock = lock_data(&config)?;
        let log = Log::open(logs, limits(&config), Arc::clone(&clock));
        (Some(lock), Store::open(&config.database())?, log)
    } else {
        (None, Store::open_read_only(&config.database())?, Log::read_only(logs, Arc::clone(&clock)))
    };
    let (shared, _) = share(config, clock, Arc::new(log), store);
    if acting {
        declare(&shared).await?;
    }
    let (_, ticks) = watch::channel::<Option<Tick>>(None);
    Ok(Offline {
        reads: Reads::new(Arc::clone(&shared), None, ticks),
        operations: Operations::new(Arc::clone(&shared), None),
        store: shared.store.clone(),
        reasons: Reasons::new(shared, false),
        _lock: lock,
    })
}

/// How talkative the log is.
pub fn levels(config: &Config) -> crate::telemetry::logs::Levels {
    crate::telemetry::logs::Levels { level: config.log.level, tasks: config.log.tasks.clone() }
}

/// Bounds of the log.
#[must_use]
pub fn limits(config: &Config) -> crate::telemetry::logs::Limits {
    crate::telemetry::logs::Limits {
        segment_bytes: config.log.max_bytes,
        segments: config.log.segments as usize,
        age: config.log.age,
    }
}

fn lock_data(config: &Config) -> Result<Lock, Fatal> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().mode(0o700).recursive(true).create(&config.data_dir);
    made.map_err(|e| Fatal::io("create the data folder", &config.data_dir, &e))?;
    locks::data(&config.lock_file(), &config.path)
}

pub(super) fn share(
    config: Config,
    clock: Arc<dyn Clock>,
    log: Arc<Log>,
    store: Store,
) -> (Arc<Shared>, mpsc::Receiver<Event>) {
    let (events, rx) = mpsc::channel(EVENTS_MAX);
    let workers = u32::try_from(config.workers).unwrap_or(u32::MAX);
    let host =
        nix::unistd::gethostname().map(|h| text::bytes(h.as_encoded_bytes())).unwrap_or_else(|_| "localhost".into());
    let tracker = Arc::new(Tracker::new(tokio::runtime::Handle::current()));
    let gate_stop = CancellationToken::new();
    let gate = Arc::new(Gate::new(&*tracker, Arc::clone(&clock), gate_stop.clone()));
    let shared = Shared {
        ledger: Arc::new(store.clone()),
        store,
        log,
        flow: Throughput::new(),
        gauges: Gauges::new(config.data_dir.clone()),
        tracker,
        folders: Arc::new(Folders::default()),
        roots: super::roots::Roots::default(),
        names: Arc::new(Names::default()),
        memory: super::memory::Budget::new(config.memory),
        gate,
        gate_stop,
        rates: super::network::Rates::default(),
        answers: super::network::LazyAnswers::default(),
        events,
        stuck: super::placing::Stuck::default(),
        live: Mutex::new(HashMap::new()),
        kernel: Mutex::new(Kernel::new(workers, config.drain)),
        banners: Mutex::new(BTreeMap::new()),
        overdue: super::schedules::OverdueTasks::default(),
        unusual: super::unusual::Unusual::default(),
        told: AtomicBool::new(false),
        status_rev: AtomicU64::new(0),
        changed: Notify::new(),
        store_ok: AtomicBool::new(true),
        large: AtomicU32::new(0),
        tally: Mutex::new(Tally::default()),
        host,
        started_at: clock.now(),
        clock,
        config: arc_swap::ArcSwap::from_pointee(config),
    };
    (Arc::new(shared), rx)
}

impl Supervisor {
    /// Takes the lock of the data folder and opens the store. Must be called inside a tokio runtime.
    pub fn open(config: Config, options: Options) -> Result<Self, Fatal> {
        let lock = lock_data(&config)?;
        let store = Store::open(&config.database())?;
        let (shared, events) = share(config, Arc::clone(&options.clock), Arc::clone(&options.log), store);
        Ok(Self { shared, events, options, _lock: lock })
    }

    /// Runs to the end.
    pub async fn run(self) -> Result<Ended, Fatal> {
        let Self { shared, events, options, _lock } = self;
        let config = shared.config.load_full();
        let listener = server::bind(&config.socket(), config.group.as_deref())?;
        let access = Access::new(config.group.as_deref())?;
        let (signals, signal_rx) = mpsc::channel(16);
        let stop = CancellationToken::new();
        let served = CancellationToken::new();
        let watching = Arc::new(Watching::default());
        let restart = Arc::new(AtomicBool::new(false));
        let control = Control {
            shared: Arc::clone(&shared),
            watching: Arc::clone(&watching),
            signals: signals.clone(),
            restart: Arc::clone(&restart),
            kinds: options.kinds,
        };
        let (tick_tx, ticks) = watch::channel(None);
        let ports = Ports {
            reader: Arc::new(Reads::new(Arc::clone(&shared), Some(Arc::clone(&watching)), ticks)),
            commands: Arc::new(Operations::new(Arc::clone(&shared), Some(control.clone()))),
            explain: Arc::new(Reasons::new(Arc::clone(&shared), true)),
        };
        let (locker, folders) = (Arc::clone(&shared), Arc::clone(&watching));
        let locked = shared.tracker.run(move || folders.lock(&locker, &config)).await;
        locked.unwrap_or_else(|| Err(Fatal::new(Exit::Internal, "locking the watched folders panicked")))?;
        let found = declare_and_recover(&shared).await?;
        let tracker = Arc::clone(&shared.tracker);
        tracker.task("signals", Box::pin(super::signals::run(control.clone(), stop.clone())));
        tracker.task("ticks", Box::pin(ticks::run(Arc::clone(&shared), tick_tx, stop.clone())));
        tracker.task("gate", Box::pin(super::network::run(Arc::clone(&shared), stop.clone())));
        if !matches!(options.mode, Mode::UntilIdle(_)) {
            tracker.task("schedules", Box::pin(super::scheduling::run(Arc::clone(&shared), stop.clone())));
        }
        tracker.task("alerts", Box::pin(super::alerting::run(Arc::clone(&shared), stop.clone())));
        tracker.task("housekeeping", Box::pin(housekeeping::run(Arc::clone(&shared), stop.clone())));
        let closing = served.clone();
        tracker.task(
            "control",
            Box::pin(server::serve(listener, ports, access, async move { closing.cancelled().await })),
        );
        shared.tell(Event::Reloaded).await;
        let running = Loop::new(&shared, events);
        let first = first_scan(&shared, &watching, &signals, options.mode, options.ready, found, stop.clone());
        let running = async {
            let hurried = tracker.beside(running.run(signal_rx)).await;
            // Also a first scan that is still under way.
            watching.close();
            hurried
        };
        let (hurried, scanned) = futures_util::future::join(running, first).await;
        watching.close();
        stop.cancel();
        served.cancel();
        shared.gate_stop.cancel();
        if !hurried {
            tracker.wait().await;
        }
        let summary = summary(&shared);
        shared.log.append(Level::Info, None, None, None, "stopped");
        let log = Arc::clone(&shared.log);
        tracker.run(move || log.flush()).await;
        let store = shared.store.clone();
        tracker.run(move || store.close()).await;
        scanned?;
        let failed = summary.0.failed > 0 || summary.1;
        Ok(Ended { hurried, restart: restart.load(Ordering::SeqCst), summary: summary.0, failed })
    }
}

/// Tells the store which tasks there are.
async fn declare(shared: &Shared) -> Result<(), Fatal> {
    let facts = shared.config.load().tasks.iter().map(|t| super::plan::facts(t).0).collect();
    let fault = |e| Fatal::new(Exit::Failed, "cannot store the configuration").because(e);
    shared.ledger.configure(facts, shared.now()).await.map_err(fault)?;
    Ok(())
}

async fn declare_and_recover(shared: &Arc<Shared>) -> Result<Found, Fatal> {
    declare(shared).await?;
    let found = recover::recover(shared).await?;
    if let Some(line) = found.line() {
        shared.log.append(Level::Info, None, None, None, &line);
    }
    Ok(found)
}

/// The first scan of every folder, beside the loop: what it finds is worked on at once.
async fn first_scan(
    shared: &Arc<Shared>,
    watching: &Arc<Watching>,
    signals: &mpsc::Sender<Signal>,
    mode: Mode,
    ready: Ready,
    found: Found,
    stop: CancellationToken,
) -> Result<(), Fatal> {
    let (worker, folders) = (Arc::clone(shared), Arc::clone(watching));
    let scanned = shared.tracker.run(move || folders.start(&worker)).await;
    let scanned = scanned.unwrap_or_else(|| Err(Fatal::new(Exit::Internal, "scanning the watched folders panicked")));
    match scanned {
        Ok(new) => {
            let n = watching.status().len();
            shared.log.append(
                Level::Info,
                None,
                None,
                None,
                &format!("ready: watching {}, {} found", text::counted(n as u64, "folder"), text::counted(new, "file")),
            );
            ready(&found, new);
            if let Mode::UntilIdle(wait) = mode {
                let run = idle::run(Arc::clone(shared), Arc::clone(watching), wait, signals.clone(), stop);
                shared.tracker.task("idle", Box::pin(run));
            }
            Ok(())
        }
        Err(fatal) => {
            // Without its folders it must not run: what was recovered is drained, and the error is the answer.
            let _ = signals.send(Signal::Drain).await;
            Err(fatal)
        }
    }
}

/// What was executed here, and whether a job waits after a failed attempt.
fn summary(shared: &Shared) -> (Summary, bool) {
    let counts = shared.store.queries().overview().map(|o| o.counts).unwrap_or_default();
    let tally = shared.tally.lock().unwrap_or_else(PoisonError::into_inner);
    let summary = Summary {
        succeeded: tally.succeeded,
        failed: tally.failed.len() as u64 + tally.more_failed,
        skipped: tally.skipped,
        cancelled: tally.cancelled,
        waiting: counts.waiting,
        queued: counts.queued,
    };
    (summary, !tally.retrying.is_empty())
}

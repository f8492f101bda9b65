//! What jobs that call other hosts need of the supervisor: how many may at once, a gate that survives a restart, kept
//! answers, and words on the screen about hosts that hold jobs back.

use super::hosts::Gate;
use super::shared::{Event, Shared};
use crate::kernel::Input;
use crate::kernel::hosts::{Breaker, Closure};
use crate::model::action::Level;
use crate::model::action::network::{AnswerCache, AnswerFacts, AnswerKey, CachedAnswer, HostName};
use crate::model::ledger::{Allow, Allowance, ClosedLane, Settled};
use crate::model::view::{Gravity, HostView};
use crate::model::{Millis, Task, text};
use crate::store::answers::Answers;
use nix::sys::resource::{Resource, getrlimit};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Files that are not for jobs on the network: the store, the log, the socket, the folders, children.
const RESERVED_FILES: u64 = 96;
/// Files that a job on the network has open at once, at most: a connection and what it writes; and some slack, because
/// connections stay open for the next job.
const FILES_PER_JOB: u64 = 3;
/// Of the files that are left for jobs, one in this many is for jobs that ended and wait for the disk: each has its
/// output open until then.
const FILES_OF_ENDED: u64 = 4;
/// Hosts that have a banner of their own; the others are counted in one.
const BANNERS_MAX: usize = 5;
/// Banners say until when, so they are looked at when that has passed, or this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Jobs that may wait for the network at once: what the configuration says, as far as the process may open files.
#[must_use]
pub fn connections(asked: u32) -> u32 {
    let fit = (job_files() - job_files() / FILES_OF_ENDED) / FILES_PER_JOB;
    asked.min(u32::try_from(fit).unwrap_or(u32::MAX)).max(1)
}

/// Jobs that may have ended and not been decided yet, as far as the process may open files.
#[must_use]
pub fn unsettled() -> u32 {
    u32::try_from(job_files() / FILES_OF_ENDED).unwrap_or(u32::MAX).max(1)
}

/// Files that jobs may have open.
fn job_files() -> u64 {
    // Without an answer the usual limit is assumed.
    let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
    files.saturating_sub(RESERVED_FILES)
}

/// Asks the gate how many jobs of a host a task may claim; none for a task without lanes.
#[must_use]
pub fn allow(shared: &Arc<Shared>, task: &Task) -> Option<Allow> {
    let limits = *task.action.host_limits()?;
    let shared = Arc::clone(shared);
    Some(Arc::new(move |lane: &str| {
        let allowed = shared.gate.allowance(&HostName::from(lane), &limits);
        Allowance { jobs: allowed.jobs, again: allowed.again }
    }))
}

/// Says what came of runs with many jobs.
pub fn say_settled(shared: &Shared, settled: &[Settled]) {
    for Settled { run, task, total, ok, failed, .. } in settled.iter().filter(|s| s.total > 1) {
        let others = total.saturating_sub(ok + failed);
        let rest = if others > 0 { format!(", {} set aside", text::count(others)) } else { String::new() };
        let line = format!("run {run} is over: {} ok, {} failed{rest}", text::count(*ok), text::count(*failed));
        let level = if *failed > 0 { Level::Warn } else { Level::Info };
        shared.log.append(level, Some(task), None, None, &line);
    }
}

/// Runs beside the loop: passes on that hosts opened, remembers those that closed, and keeps the banners true.
pub async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    match shared.ledger.closed_lanes(shared.now()).await {
        Ok(closed) => closed.into_iter().for_each(|lane| shared.gate.restore(&lane.lane, lane.until, &lane.why)),
        Err(e) => shared.complain(&format!("cannot read which hosts are to be left alone: {e}")),
    }
    let mut known: BTreeMap<HostName, Millis> = BTreeMap::new();
    let (mut next_look, mut is_busy) = (Instant::now(), false);
    loop {
        let changed = shared.gate.changed().notified();
        let closed: Vec<ClosedLane> = shared.gate.closed().into_iter().map(closed_lane).collect();
        let is_new = |lane: &&ClosedLane| known.get(&lane.lane) != Some(&lane.until);
        // This comes with every job that ends, so what a screen shows is looked at only if there may be something new.
        let is_due = next_look <= Instant::now();
        if is_due || closed.len() != known.len() || closed.iter().any(|lane| is_new(&lane)) {
            for lane in closed.iter().filter(is_new) {
                remember(&shared, lane.clone()).await;
            }
            known = closed.iter().map(|lane| (Arc::clone(&lane.lane), lane.until)).collect();
            let worker = Arc::clone(&shared);
            shared.tracker.run(move || banners(&worker, &closed)).await;
        }
        shared.tell(Event::Kernel(Input::Opened)).await;
        if is_due {
            is_busy = shared.rates.sample(&shared.gate) || !known.is_empty();
            next_look = Instant::now() + LOOK_EVERY;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = changed => is_busy = true,
            () = tokio::time::sleep_until(next_look), if is_busy => {}
        }
    }
}

fn closed_lane((host, closure): (HostName, Closure)) -> ClosedLane {
    ClosedLane { lane: host, until: closure.until, why: closure.why.to_string() }
}

/// Requests ended in each of the last seconds, by host; for the screen alone.
#[derive(Debug, Default)]
pub struct Rates(Mutex<HashMap<HostName, Rate>>);

#[derive(Debug, Default)]
struct Rate {
    last: u64,
    seconds: VecDeque<u32>,
}

/// Seconds that are remembered.
const SECONDS: usize = 30;
/// Hosts whose seconds are remembered; a further one is shown without.
const RATES_MAX: usize = 256;

impl Rates {
    /// Takes the sample of a second; answers whether anything goes on.
    fn sample(&self, gate: &Gate) -> bool {
        let hosts = gate.view();
        let mut rates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rates.retain(|name, _| hosts.iter().any(|h| h.host == *name));
        let mut is_busy = false;
        for host in &hosts {
            if rates.len() >= RATES_MAX && !rates.contains_key(&host.host) {
                continue;
            }
            let rate = rates.entry(HostName::clone(&host.host)).or_default();
            let ended = u32::try_from(host.requests.saturating_sub(rate.last)).unwrap_or(u32::MAX);
            is_busy |= ended > 0 || host.in_flight > 0 || host.waiting > 0 || rate.seconds.iter().any(|n| *n > 0);
            rate.last = host.requests;
            if rate.seconds.len() == SECONDS {
                rate.seconds.pop_front();
            }
            rate.seconds.push_back(ended);
        }
        is_busy
    }

    fn of(&self, host: &str) -> Vec<u32> {
        let rates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rates.get(host).map(|rate| rate.seconds.iter().copied().collect()).unwrap_or_default()
    }
}

/// The hosts as they stand, the most interesting ones first: closed, failing, busy.
#[must_use]
pub fn hosts(shared: &Shared) -> Vec<HostView> {
    let mut all = shared.gate.view();
    all.sort_by_key(|h| {
        let closed = h.cooling.is_some() || h.breaker != Breaker::Closed;
        std::cmp::Reverse((closed, h.waiting + h.in_flight, h.requests))
    });
    all.truncate(HostView::MAX);
    let view = |h: crate::kernel::hosts::HostView| {
        let opens = match h.breaker {
            Breaker::Open(until) => Some((until, "too many failures in a row".to_owned())),
            Breaker::Closed | Breaker::HalfOpen => None,
        };
        let closed = h.cooling.map(|c| (c.until, c.why.to_string())).into_iter().chain(opens).max_by_key(|c| c.0);
        HostView {
            per_second: shared.rates.of(&h.host),
            host: text::escape(&h.host).into_owned(),
            in_flight: h.in_flight,
            concurrency: h.concurrency,
            waiting: h.waiting,
            rate: h.rate,
            closed_until: closed.as_ref().map(|(until, _)| crate::clock::rfc3339(*until)),
            why: closed.map(|(_, why)| why),
            breaker: h.breaker.name().to_owned(),
            requests: h.requests,
            bad: h.bad,
            busy: h.busy,
            p50_ms: h.p50_ms,
            p95_ms: h.p95_ms,
            p99_ms: h.p99_ms,
        }
    };
    all.into_iter().map(view).collect()
}

/// A restart must not call a host that has just asked to be left alone.
async fn remember(shared: &Shared, lane: ClosedLane) {
    let line = format!("{} is left alone until {}: {}", lane.lane, time(lane.until), lane.why);
    shared.log.append(Level::Warn, None, None, None, &line);
    if let Err(e) = shared.ledger.close_lane(lane, shared.now()).await {
        shared.complain(&format!("cannot remember a host that is to be left alone: {e}"));
    }
}

fn time(at: Millis) -> String {
    crate::clock::local(at).format("%H:%M:%S").to_string()
}

fn banners(shared: &Shared, closed: &[ClosedLane]) {
    let code = |host: &str| format!("host:{host}");
    let shown: Vec<&ClosedLane> = closed.iter().take(BANNERS_MAX).collect();
    for lane in &shown {
        let held = shared.store.queries().queued_in_lane(&lane.lane).unwrap_or(0);
        let jobs = if held > 0 { format!(": {} held", text::counted(held, "job")) } else { String::new() };
        let line = format!("{} is left alone until {} ({}){jobs}", lane.lane, time(lane.until), lane.why);
        shared.banner(Gravity::Warning, &code(&lane.lane), line);
    }
    match closed.len() - shown.len() {
        0 => shared.clear_banner(&code("")),
        more => {
            let line = format!("{more} more hosts are left alone for a while");
            shared.banner(Gravity::Warning, &code(""), line);
        }
    }
    let gone: Vec<String> = {
        let banners = shared.banners.lock().unwrap_or_else(PoisonError::into_inner);
        let stays = |known: &str| known == code("") || shown.iter().any(|lane| code(&lane.lane) == known);
        banners.keys().filter(|known| known.starts_with("host:") && !stays(known)).cloned().collect()
    };
    gone.iter().for_each(|known| shared.clear_banner(known));
}

/// Kept answers; opened when the first job asks for them.
#[derive(Default)]
pub struct LazyAnswers(OnceLock<Arc<dyn AnswerCache>>);

impl LazyAnswers {
    /// The answers. Where they cannot be opened there are none: a cache is no reason to fail.
    pub fn get(&self, shared: &Shared) -> Arc<dyn AnswerCache> {
        let open = || -> Arc<dyn AnswerCache> {
            let config = shared.config.load();
            match Answers::open(&config.data_dir.join("answers"), config.answers) {
                Ok((answers, warning)) => {
                    if let Some(warning) = warning {
                        shared.log.append(Level::Warn, None, None, None, &warning);
                    }
                    Arc::new(answers)
                }
                Err(e) => {
                    shared.complain(&format!("answers are not kept: {e}"));
                    Arc::new(NoAnswers)
                }
            }
        };
        Arc::clone(self.0.get_or_init(open))
    }
}

/// Keeps nothing.
#[derive(Debug)]
pub struct NoAnswers;

impl AnswerCache for NoAnswers {
    fn get(&self, _: &AnswerKey) -> Option<CachedAnswer> {
        None
    }

    fn put(&self, _: &AnswerKey, _: &AnswerFacts, _: &Path) -> std::io::Result<()> {
        Ok(())
    }

    fn confirm(&self, _: &AnswerKey, _: &AnswerFacts) -> std::io::Result<()> {
        Ok(())
    }
}

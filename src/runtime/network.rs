//! What jobs that call other hosts need of the supervisor: how many may at once, a gate that survives a restart, kept
//! answers, and words on the screen about hosts that hold jobs back.

use super::shared::{Event, Shared};
use crate::kernel::Input;
use crate::model::action::Level;
use crate::model::action::network::{AnswerCache, AnswerFacts, AnswerKey, CachedAnswer};
use crate::model::ledger::{Allow, ClosedLane, Settled};
use crate::model::view::Gravity;
use crate::model::{Millis, Task, text};
use crate::store::answers::Answers;
use nix::sys::resource::{Resource, getrlimit};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Files that are not for jobs on the network: the store, the log, the socket, the folders, children.
const RESERVED_FILES: u64 = 96;
/// Files that a job on the network has open at once, at most: a connection and what it writes; and some slack, because
/// connections stay open for the next job.
const FILES_PER_JOB: u64 = 3;
/// Hosts that have a banner of their own; the others are counted in one.
const BANNERS_MAX: usize = 5;
/// Banners say until when, so they are looked at when that has passed, or this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Jobs that may wait for the network at once: what the configuration says, as far as the process may open files.
#[must_use]
pub fn connections(asked: u32) -> u32 {
    // Without an answer the usual limit is assumed.
    let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
    let fit = files.saturating_sub(RESERVED_FILES) / FILES_PER_JOB;
    asked.min(u32::try_from(fit).unwrap_or(u32::MAX)).max(1)
}

/// Asks the gate how many jobs of a host a task may claim; none for a task without lanes.
#[must_use]
pub fn allow(shared: &Arc<Shared>, task: &Task) -> Option<Allow> {
    let limits = *task.action.host_limits()?;
    let shared = Arc::clone(shared);
    Some(Arc::new(move |lane: &str| shared.gate.allowance(lane, &limits)))
}

/// Says what came of runs with many jobs.
pub fn say_settled(shared: &Shared, settled: &[Settled]) {
    for Settled { run, task, total, ok, failed, .. } in settled {
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
    let timer = Arc::clone(&shared.gate);
    let ended = stop.clone();
    let gate = async move { timer.run(ended).await };
    let watch = watch(&shared, &stop);
    futures_util::future::join(gate, watch).await;
}

async fn watch(shared: &Arc<Shared>, stop: &CancellationToken) {
    let mut known: BTreeMap<Arc<str>, Millis> = BTreeMap::new();
    loop {
        let changed = shared.gate.changed().notified();
        let closed = shared.gate.closed();
        for lane in closed.iter().filter(|lane| known.get(&lane.lane) != Some(&lane.until)) {
            remember(shared, lane.clone()).await;
        }
        known = closed.iter().map(|lane| (Arc::clone(&lane.lane), lane.until)).collect();
        let worker = Arc::clone(shared);
        shared.tracker.run(move || banners(&worker, &closed)).await;
        shared.tell(Event::Kernel(Input::Opened)).await;
        tokio::select! {
            () = stop.cancelled() => return,
            () = changed => {}
            () = tokio::time::sleep(LOOK_EVERY), if !known.is_empty() => {}
        }
    }
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
        let banners = shared.banners.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
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

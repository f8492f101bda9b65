//! S5 and S6 for everything that has ended, in groups: what arrives while one group is synced is the next group. Three
//! stages run at once: the first prepares and syncs, the second decides, the third ([`super::placing`]) places, syncs and
//! finishes.

use super::placing::{self, Placing};
use super::prepare::{self, Case, Prepared};
use super::ruling::Ruling;
use super::shared::{Event, Shared};
use super::sync::Batch;
use super::temps;
use super::worker::Ended;
use crate::kernel::Input;
use crate::model::action::Level;
use crate::model::ledger::{Decided, Decision, Fence, StoreError, Verdict};
use crate::model::{Failure, FailureClass, JobId, JobState, Millis, Outcome, crash, text};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// Ended attempts waiting for the first stage; a worker beyond that waits.
const ENDED_MAX: usize = 1024;
/// Attempts in one group.
const GROUP_MAX: usize = 256;
/// Groups waiting for the next stage; a stage waits beyond that.
const GROUPS_MAX: usize = 2;
/// A disk that does not take a group is tried again after this time.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Where workers hand in what has ended. Cheap to clone; the pipeline ends when the last clone is gone.
#[derive(Clone)]
pub struct Pipeline(mpsc::Sender<Ended>);

impl Pipeline {
    /// Starts the stages.
    pub fn start(shared: &Arc<Shared>) -> Self {
        use crate::model::ports::Spawner;
        let (tx, rx) = mpsc::channel(ENDED_MAX);
        let (synced_tx, synced_rx) = mpsc::channel(GROUPS_MAX);
        let (groups_tx, groups_rx) = mpsc::channel(GROUPS_MAX);
        shared.tracker.task("prepare", Box::pin(first_stage(Arc::clone(shared), rx, synced_tx)));
        shared.tracker.task("decide", Box::pin(second_stage(Arc::clone(shared), synced_rx, groups_tx)));
        shared.tracker.task("place", Box::pin(placing::stage(Arc::clone(shared), groups_rx)));
        Self(tx)
    }

    /// Hands in an ended attempt.
    pub async fn push(&self, ended: Ended) {
        // The stages live as long as any sender.
        let _ = self.0.send(ended).await;
    }

    /// The same from a thread for blocking work.
    pub fn push_blocking(&self, ended: Ended) {
        let _ = self.0.blocking_send(ended);
    }
}

/// A group with everything on the disk that its decisions need.
struct Synced {
    prepared: Vec<Prepared>,
    panicked: Vec<Panicked>,
    /// Attempts in it.
    size: u32,
}

async fn first_stage(shared: Arc<Shared>, mut ended: mpsc::Receiver<Ended>, next: mpsc::Sender<Synced>) {
    let mut group = Vec::with_capacity(GROUP_MAX);
    while ended.recv_many(&mut group, GROUP_MAX).await > 0 {
        let size = u32::try_from(group.len()).unwrap_or(u32::MAX);
        let (worker, cases) = (Arc::clone(&shared), std::mem::take(&mut group));
        let done = shared.tracker.run(move || prepare_group(&worker, cases)).await;
        if done.is_none() {
            tracing::error!("syncing a group of decisions panicked; the jobs stay running until the next start");
        }
        let (prepared, panicked) = done.unwrap_or_default();
        crash::point("s5.after_sync");
        if next.send(Synced { prepared, panicked, size }).await.is_err() {
            break;
        }
    }
}

async fn second_stage(shared: Arc<Shared>, mut synced: mpsc::Receiver<Synced>, next: mpsc::Sender<Vec<Placing>>) {
    while let Some(Synced { prepared, panicked, size }) = synced.recv().await {
        let placing = decide_group(&shared, prepared, panicked).await;
        shared.tell(Event::Kernel(Input::Settled { count: size })).await;
        if !placing.is_empty() && next.send(placing).await.is_err() {
            break;
        }
    }
}

async fn decide_group(shared: &Arc<Shared>, prepared: Vec<Prepared>, panicked: Vec<Panicked>) -> Vec<Placing> {
    let mut out = Vec::new();
    let mut groups = vec![prepared];
    while let Some(prepared) = groups.pop() {
        if prepared.is_empty() {
            continue;
        }
        let decisions: Vec<Decision> = prepared.iter().map(|p| p.decision.clone()).collect();
        crash::point("s6.before_decide");
        let answer = match shared.ledger.decide(decisions).await {
            Ok(answer) => answer,
            Err(StoreError::Closed) => return out,
            // One decision that the store cannot take must not keep the others.
            Err(StoreError::Fault(_)) if prepared.len() > 1 => {
                groups.extend(prepared.into_iter().map(|p| vec![p]));
                continue;
            }
            Err(StoreError::Fault(why)) => {
                for p in &prepared {
                    shared.complain(&format!("job {} cannot be decided before the next start: {why}", p.claimed.job));
                }
                continue;
            }
            Err(e) => {
                shared.store_failed(&e).await;
                tokio::time::sleep(RETRY_AFTER).await;
                if shared.is_leaving() {
                    // Nothing was decided: the next start finds these jobs running, and their files in WORK.
                    return out;
                }
                groups.push(prepared);
                continue;
            }
        };
        crash::point("s6.after_decide");
        shared.store_works().await;
        super::network::say_settled(shared, &answer.settled);
        super::unusual::look(shared, &answer.settled);
        shared.tell_lanes(answer.lanes).await;
        let mut again = Vec::new();
        for (mut p, decided) in prepared.into_iter().zip(answer.decided) {
            match decided {
                Decided::CancelInstead(action) => again.push((p, action)),
                Decided::Now(state) => out.extend(settle(shared, p, state)),
                Decided::Lost => {
                    tracing::warn!("job {} was decided elsewhere; what this attempt left is dropped", p.claimed.job);
                    discard(&mut p);
                }
            }
        }
        groups.push(cancel_instead(shared, again).await);
    }
    fail_panicked(shared, panicked).await;
    out
}

/// A job whose outcome could not even be worked out.
struct Panicked {
    job: JobId,
    attempt: i64,
    at: Millis,
}

/// On a thread for blocking work: decisions for a group, and everything that they need on the disk. What is not placed
/// goes before the decision: after it, nobody would know of it.
fn prepare_group(shared: &Shared, ended: Vec<Ended>) -> (Vec<Prepared>, Vec<Panicked>) {
    let mut batch = Batch::default();
    let mut prepared = Vec::with_capacity(ended.len());
    let mut panicked = Vec::new();
    for e in ended {
        let case = Panicked { job: e.claimed.job, attempt: e.claimed.attempt, at: e.at };
        match catch_unwind(AssertUnwindSafe(|| prepare::prepare(shared, e, &mut batch))) {
            Ok(p) => prepared.push(p),
            Err(_) => panicked.push(case),
        }
    }
    crash::point("s5.before_sync");
    if let Err(e) = sync(shared, batch) {
        hold_all(&mut prepared, &e);
    }
    for p in &mut prepared {
        drop_temps(p);
    }
    (prepared, panicked)
}

/// A fault of ours in one job is that job's failure alone. Its file stays in WORK, where its retry finds it.
async fn fail_panicked(shared: &Arc<Shared>, cases: Vec<Panicked>) {
    for Panicked { job, attempt, at } in cases {
        let failure = Failure::new(FailureClass::Panic, "panic", "working out the outcome panicked");
        super::keep::unlink_all_of(shared, job);
        shared.complain(&format!("job {job} failed: {}", failure.message));
        let decision = Decision::new(job, Fence::Attempt(attempt), prepare::in_place(Outcome::Failed, failure), at);
        match shared.ledger.decide(vec![decision]).await {
            Ok(answer) => {
                shared.tally.lock().unwrap_or_else(PoisonError::into_inner).over(job, JobState::Failed);
                shared.tell_lanes(answer.lanes).await;
            }
            Err(e) => shared.complain(&format!("job {job} stays running until the next start: {e}")),
        }
    }
}

/// What happens right after the decision; answers what must be placed.
fn settle(shared: &Shared, p: Prepared, state: JobState) -> Option<Placing> {
    let line = line(&p, state);
    let (job, task) = (p.claimed.job, Arc::clone(&p.claimed.task));
    if matches!(p.decision.verdict, Verdict::Retry { .. }) {
        shared.tally.lock().unwrap_or_else(PoisonError::into_inner).waits(job);
    }
    if let Verdict::Place { moves, .. } = p.decision.verdict
        && state == JobState::Placing
    {
        let keep = Box::new((p.held, p.taken));
        let line = line.map(|(level, text)| (level, task, text));
        return Some(Placing::new(job, moves, p.claimed.file, keep).saying(line));
    }
    if let Some((level, text)) = line {
        shared.log.append(level, Some(&task), Some(job), None, &text);
    }
    if state.is_settled() {
        shared.flow.finished(1, 0);
        shared.tally.lock().unwrap_or_else(PoisonError::into_inner).over(job, state);
    }
    None
}

fn drop_temps(p: &mut Prepared) {
    for temp in p.drop.drain(..) {
        // What cannot be removed now is removed with the next attempt's.
        let _ = temp.dir.unlink(&temp.name);
    }
}

/// Nothing of it will be placed, and nobody will go on with it.
fn discard(p: &mut Prepared) {
    for temp in p.kept.drain(..) {
        // What cannot be removed now is removed with the next attempt's.
        let _ = temp.dir.unlink(&temp.name);
    }
    if let Verdict::Place { moves, .. } = &p.decision.verdict {
        temps::drop_moves(moves);
    }
}

/// Which attempt it was, of how many: `2 of 3`.
fn tries(p: &Prepared) -> String {
    format!("{} of {}", p.claimed.spent, p.task.retry.attempts)
}

/// What the log says about an outcome.
fn line(p: &Prepared, state: JobState) -> Option<(Level, String)> {
    let label = p.claimed.name();
    let because = |f: &Failure| format!("{}: {}", f.code, f.message);
    // The first one of several goes without saying, if it is the last.
    let nth = if p.claimed.spent > 1 { format!(", attempt {}", tries(p)) } else { String::new() };
    match &p.decision.verdict {
        Verdict::Place { outcome: Outcome::Succeeded, .. } => {
            let rows = || p.decision.rows.map(|n| format!("{} rows", text::count(n)));
            let what = p.note.as_deref().map(|note| text::escape(note).into_owned()).or_else(rows);
            let what = what.map_or_else(String::new, |w| format!(": {w}"));
            match p.decision.rejected {
                0 => Some((Level::Info, format!("succeeded {label}{nth}{what}"))),
                n => Some((Level::Warn, format!("succeeded {label}{nth}{what}, {} rejected", text::count(n)))),
            }
        }
        Verdict::Place { outcome: Outcome::Failed, failure, .. } => {
            Some((Level::Error, format!("failed {label}{nth}: {}", failure.as_ref().map_or_else(String::new, because))))
        }
        Verdict::Place { outcome, failure, .. } => {
            let why = failure.as_ref().map_or_else(String::new, |f| format!(": {}", because(f)));
            Some((Level::Warn, format!("{} {label}{why}", outcome.state())))
        }
        Verdict::Retry { failure, at } => {
            let again = crate::clock::local(*at).format("%H:%M:%S");
            let nth = tries(p);
            Some((Level::Warn, format!("attempt {nth} of {label} failed, again at {again}: {}", because(failure))))
        }
        Verdict::Hold { reason, .. } => Some((Level::Warn, format!("held: {reason}"))),
        Verdict::Requeue { failure } => Some((Level::Warn, format!("put back: {}", because(failure)))),
    }
    .filter(|_| state != JobState::Running)
}

/// The disk did not take the group: nothing of it can be placed. What only goes back into the queue may do so.
fn hold_all(prepared: &mut [Prepared], error: &std::io::Error) {
    for p in prepared {
        let Verdict::Place { outcome, failure, .. } = &p.decision.verdict else { continue };
        let (outcome, failure) = (*outcome, failure.clone());
        discard(p);
        p.decision.outputs.clear();
        prepare::unwritable(p, outcome, failure, error);
    }
}

/// An operator cancelled these while they ran: they are decided again, as cancelled.
async fn cancel_instead(shared: &Arc<Shared>, cases: Vec<(Prepared, i64)>) -> Vec<Prepared> {
    if cases.is_empty() {
        return Vec::new();
    }
    let worker = Arc::clone(shared);
    let done = shared.tracker.run(move || {
        let mut batch = Batch::default();
        let mut prepared: Vec<Prepared> = cases
            .into_iter()
            .map(|(mut p, action)| {
                discard(&mut p);
                let left = super::desk::Left {
                    temps: Vec::new(),
                    held: Vec::new(),
                    small: Vec::new(),
                    earlier: p.earlier,
                    exit: None,
                    log_head: None,
                    log_ref: None,
                };
                let Prepared { decision, claimed, task, vars, held, taken, .. } = p;
                drop(held); // the names are free for the record of the cancel
                let case = Case { claimed, task, vars, left, taken, at: decision.at };
                let mut again = prepare::decide(&worker, case, Ruling::Cancel, &mut batch);
                again.decision.action = Some(action);
                again
            })
            .collect();
        if let Err(e) = sync(&worker, batch) {
            hold_all(&mut prepared, &e);
        }
        prepared
    });
    done.await.unwrap_or_default()
}

/// Syncs a batch, whole file systems only while no large output is being written.
pub fn sync(shared: &Shared, batch: Batch) -> std::io::Result<()> {
    batch.sync(shared.large.load(Ordering::SeqCst) == 0)
}

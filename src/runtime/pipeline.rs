//! S5 to S9 for everything that has ended, in groups: what arrives while one group is synced is the next group. Two
//! stages run at once: one syncs and decides, the other places, syncs and finishes.

use super::prepare::{self, Case, Prepared};
use super::ruling::Ruling;
use super::shared::{Event, Shared};
use super::sync::Batch;
use super::temps;
use super::worker::Ended;
use crate::files::place::{self, Placed};
use crate::kernel::Input;
use crate::model::action::Level;
use crate::model::job::{JobFile, Move, MoveKind};
use crate::model::ledger::{Decided, Decision, StoreError, Verdict};
use crate::model::{Failure, JobId, JobState, Outcome, crash, text};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// Ended attempts waiting for the first stage; a worker beyond that waits.
const ENDED_MAX: usize = 1024;
/// Attempts in one group.
const GROUP_MAX: usize = 256;
/// Groups waiting for the second stage; the first stage waits beyond that.
const GROUPS_MAX: usize = 2;
/// A disk that does not take a group is tried again after this time.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Where workers hand in what has ended. Cheap to clone; the pipeline ends when the last clone is gone.
#[derive(Clone)]
pub struct Pipeline(mpsc::Sender<Ended>);

impl Pipeline {
    /// Starts both stages.
    pub fn start(shared: &Arc<Shared>) -> Self {
        use crate::model::ports::Spawner;
        let (tx, rx) = mpsc::channel(ENDED_MAX);
        let (groups_tx, groups_rx) = mpsc::channel(GROUPS_MAX);
        shared.tracker.task("decide", Box::pin(first_stage(Arc::clone(shared), rx, groups_tx)));
        shared.tracker.task("place", Box::pin(second_stage(Arc::clone(shared), groups_rx)));
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

/// A decided job on its way to its place.
pub struct Placing {
    /// The job.
    pub job: JobId,
    /// Its moves, in order.
    pub moves: Vec<Move>,
    /// Where its original may be when it is not where it should be.
    pub fallback: Option<std::path::PathBuf>,
    /// Its work folder, if it has a file.
    pub work: Option<std::path::PathBuf>,
    /// What is held until then: names, folders.
    #[expect(dead_code, reason = "held, not read")]
    pub keep: Box<dyn Send + Sync>,
    /// What the log says once it is in its place.
    pub line: Option<(Level, crate::model::TaskName, String)>,
}

async fn first_stage(shared: Arc<Shared>, mut ended: mpsc::Receiver<Ended>, next: mpsc::Sender<Vec<Placing>>) {
    let mut group = Vec::with_capacity(GROUP_MAX);
    while ended.recv_many(&mut group, GROUP_MAX).await > 0 {
        let size = u32::try_from(group.len()).unwrap_or(u32::MAX);
        let cases = std::mem::take(&mut group);
        let placing = decide_group(&shared, cases).await;
        shared.tell(Event::Kernel(Input::Settled { count: size })).await;
        if !placing.is_empty() && next.send(placing).await.is_err() {
            break;
        }
    }
}

async fn decide_group(shared: &Arc<Shared>, ended: Vec<Ended>) -> Vec<Placing> {
    let worker = Arc::clone(shared);
    let prepared = shared
        .tracker
        .run(move || {
            let mut batch = Batch::default();
            let prepared: Vec<Prepared> = ended.into_iter().map(|e| prepare::prepare(&worker, e, &mut batch)).collect();
            crash::point("s5.before_sync");
            (prepared, sync(&worker, batch))
        })
        .await;
    let Some((mut prepared, synced)) = prepared else {
        tracing::error!("preparing a group of decisions panicked; the jobs stay running until the next start");
        return Vec::new();
    };
    if let Err(e) = synced {
        hold_all(&mut prepared, &e);
    }
    crash::point("s5.after_sync");
    let mut out = Vec::new();
    while !prepared.is_empty() {
        let decisions: Vec<Decision> = prepared.iter().map(|p| p.decision.clone()).collect();
        crash::point("s6.before_decide");
        let answer = match shared.ledger.decide(decisions).await {
            Ok(answer) => answer,
            Err(StoreError::Closed) => return out,
            Err(e) => {
                shared.store_failed(&e).await;
                tokio::time::sleep(RETRY_AFTER).await;
                continue;
            }
        };
        crash::point("s6.after_decide");
        shared.store_works().await;
        shared.tell_lanes(answer.lanes).await;
        let mut again = Vec::new();
        for (p, decided) in std::mem::take(&mut prepared).into_iter().zip(answer.decided) {
            match decided {
                Decided::CancelInstead(action) => again.push((p, action)),
                Decided::Now(state) => out.extend(settle(shared, p, state)),
                Decided::Lost => {
                    tracing::warn!("job {} was decided elsewhere; what this attempt left is dropped", p.claimed.job);
                    discard(&p);
                }
            }
        }
        prepared = cancel_instead(shared, again).await;
    }
    out
}

/// What happens right after the decision; answers what must be placed.
fn settle(shared: &Shared, p: Prepared, state: JobState) -> Option<Placing> {
    let line = line(&p, state);
    let file = p.claimed.file.as_ref();
    let fallback = file.map(JobFile::absolute);
    let work = file.map(|f| f.work_dir(p.claimed.job));
    let (job, task) = (p.claimed.job, Arc::clone(&p.claimed.task));
    drop_temps(&p);
    if let Verdict::Place { moves, .. } = p.decision.verdict
        && state == JobState::Placing
    {
        let keep = Box::new((p.held, p.taken));
        return Some(Placing { job, moves, fallback, work, keep, line: line.map(|(level, text)| (level, task, text)) });
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

fn drop_temps(p: &Prepared) {
    for temp in &p.drop {
        // The next start sweeps what cannot be removed now.
        let _ = temp.dir.unlink(&temp.name);
    }
}

/// Nothing of it will be placed.
fn discard(p: &Prepared) {
    drop_temps(p);
    if let Verdict::Place { moves, .. } = &p.decision.verdict {
        temps::drop_moves(moves);
    }
}

/// What the log says about an outcome.
fn line(p: &Prepared, state: JobState) -> Option<(Level, String)> {
    let label = text::bytes(&p.claimed.label);
    let because = |f: &Failure| format!("{}: {}", f.code, f.message);
    match &p.decision.verdict {
        Verdict::Place { outcome: Outcome::Succeeded, .. } => {
            let rows = p.decision.rows.map_or_else(String::new, |r| format!(", {r} rows"));
            Some((Level::Info, format!("succeeded {label}{rows}")))
        }
        Verdict::Place { outcome: Outcome::Failed, failure, .. } => {
            Some((Level::Error, format!("failed {label}: {}", failure.as_ref().map_or_else(String::new, because))))
        }
        Verdict::Place { outcome, failure, .. } => {
            let why = failure.as_ref().map_or_else(String::new, |f| format!(": {}", because(f)));
            Some((Level::Warn, format!("{} {label}{why}", outcome.state())))
        }
        Verdict::Retry { failure, at } => {
            let again = crate::clock::local(*at).format("%H:%M:%S");
            Some((Level::Warn, format!("attempt {} failed, again at {again}: {}", p.claimed.attempt, because(failure))))
        }
        Verdict::Hold { reason, .. } => Some((Level::Warn, format!("held: {reason}"))),
        Verdict::Requeue { failure } => Some((Level::Warn, format!("put back: {}", because(failure)))),
    }
    .filter(|_| state != JobState::Running)
}

/// The disk did not take the group: nothing was decided, so everything is held and done again later.
fn hold_all(prepared: &mut [Prepared], error: &std::io::Error) {
    for p in prepared {
        discard(p);
        p.drop.clear();
        let at = p.decision.at.plus(Duration::from_secs(30));
        p.decision.verdict = Verdict::Hold { reason: format!("the disk does not take the results: {error}"), at };
        p.decision.charged = false;
        p.decision.outputs.clear();
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
        let prepared: Vec<Prepared> = cases
            .into_iter()
            .map(|(p, action)| {
                discard(&p);
                let left = super::desk::Left {
                    temps: Vec::new(),
                    held: Vec::new(),
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
        (prepared, sync(&worker, batch))
    });
    match done.await {
        Some((prepared, Ok(()))) => prepared,
        Some((mut prepared, Err(e))) => {
            hold_all(&mut prepared, &e);
            prepared
        }
        None => Vec::new(),
    }
}

/// Syncs a batch, whole file systems only while no large output is being written.
pub fn sync(shared: &Shared, batch: Batch) -> std::io::Result<()> {
    batch.sync(shared.large.load(Ordering::SeqCst) == 0)
}

async fn second_stage(shared: Arc<Shared>, mut groups: mpsc::Receiver<Vec<Placing>>) {
    while let Some(group) = groups.recv().await {
        place_group(&shared, group).await;
    }
}

/// S7 to S9 for a group of decided jobs; does not return before they are finished or the store is closed.
pub async fn place_group(shared: &Arc<Shared>, group: Vec<Placing>) {
    let mut left = group;
    while !left.is_empty() {
        let worker = Arc::clone(shared);
        let moved = shared.tracker.run(move || move_all(&worker, left)).await;
        let Some(moved) = moved else { return };
        finish(shared, moved.done).await;
        for (placing, seq, dst) in &moved.taken {
            if let Err(e) = shared.ledger.retarget(placing.job, *seq, dst.clone()).await {
                tracing::warn!("cannot choose another name for job {}: {e}", placing.job);
            }
        }
        left = moved.taken.into_iter().map(|(placing, seq, dst)| retargeted(placing, seq, &dst)).collect();
        if !moved.failed.is_empty() {
            tokio::time::sleep(RETRY_AFTER).await;
            left.extend(moved.failed);
        }
    }
    shared.touch();
}

fn retargeted(mut placing: Placing, seq: i64, dst: &std::path::Path) -> Placing {
    for m in &mut placing.moves {
        if m.seq == seq {
            dst.clone_into(&mut m.dst);
        }
    }
    placing
}

async fn finish(shared: &Arc<Shared>, done: Vec<Placing>) {
    if done.is_empty() {
        return;
    }
    let jobs: Vec<JobId> = done.iter().map(|p| p.job).collect();
    loop {
        crash::point("s9.before_finish");
        match shared.ledger.finish(jobs.clone(), shared.now()).await {
            Ok(answer) => {
                crash::point("s9.after_finish");
                shared.store_works().await;
                {
                    let mut tally = shared.tally.lock().unwrap_or_else(PoisonError::into_inner);
                    answer.over.iter().for_each(|o| tally.over(o.job, o.state));
                }
                let bytes = answer.over.iter().map(|o| o.bytes).sum();
                shared.flow.finished(u32::try_from(answer.over.len()).unwrap_or(u32::MAX), bytes);
                shared.tell_lanes(answer.lanes).await;
                break;
            }
            Err(StoreError::Closed) => return,
            Err(e) => {
                shared.store_failed(&e).await;
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    }
    for placing in done {
        if let Some((level, task, text)) = &placing.line {
            shared.log.append(*level, Some(task), Some(placing.job), None, text);
        }
    }
    shared.touch();
}

#[derive(Default)]
struct Moved {
    done: Vec<Placing>,
    taken: Vec<(Placing, i64, std::path::PathBuf)>,
    failed: Vec<Placing>,
}

/// On a thread for blocking work: all renames of a group, one sync of every folder touched, then the removals of
/// sources that were copied.
fn move_all(shared: &Shared, group: Vec<Placing>) -> Moved {
    let mut moved = Moved::default();
    let mut batch = Batch::default();
    for placing in group {
        match rename_all(shared, &placing, &mut batch) {
            Ok(None) => moved.done.push(placing),
            Ok(Some((seq, dst))) => moved.taken.push((placing, seq, dst)),
            Err(e) => {
                let line = format!("cannot be put in its place, tried again: {e}");
                shared.log.append(Level::Error, None, Some(placing.job), None, &line);
                moved.failed.push(placing);
            }
        }
    }
    crash::point("s8.before_sync");
    let synced = sync(shared, batch);
    crash::point("s8.after_sync");
    if let Err(e) = synced.and_then(|()| remove_sources(shared, &moved.done)) {
        tracing::error!("the disk does not take the placed files, tried again: {e}");
        moved.failed.append(&mut moved.done);
    }
    crash::point("s8.sources_removed");
    for placing in &moved.done {
        remove_work(shared, placing);
    }
    moved
}

fn rename_all(
    shared: &Shared,
    placing: &Placing,
    batch: &mut Batch,
) -> std::io::Result<Option<(i64, std::path::PathBuf)>> {
    for m in placing.moves.iter().filter(|m| m.kind != MoveKind::RemoveSource) {
        crash::point("s7.before_move");
        match place::place(m, &shared.folders)? {
            Placed::Done(folders) => folders.iter().for_each(|f| batch.folder(f)),
            Placed::Taken => return Ok(Some((m.seq, another_name(shared, m, placing.job)?))),
            Placed::Lost => lost(shared, m, placing, batch)?,
        }
        crash::point("s7.after_move");
    }
    Ok(None)
}

/// The source of a move is at neither end. An original may still be where it landed: the rename into WORK was lost in
/// a power cut. Otherwise it is gone, which is said loudly and does not hold up the rest.
fn lost(shared: &Shared, m: &Move, placing: &Placing, batch: &mut Batch) -> std::io::Result<()> {
    if let (MoveKind::Original, Some(fallback)) = (m.kind, &placing.fallback) {
        let from_there = Move { src: fallback.clone(), ..m.clone() };
        if let Placed::Done(folders) = place::place(&from_there, &shared.folders)? {
            folders.iter().for_each(|f| batch.folder(f));
            return Ok(());
        }
    }
    let what = text::path(&m.src);
    shared.log.append(Level::Error, None, Some(placing.job), None, &format!("not found, so not moved: {what}"));
    shared.banner(
        crate::model::view::Gravity::Error,
        "lost_file",
        format!("job {}: {what} is gone; its place would be {}", placing.job, text::path(&m.dst)),
    );
    Ok(())
}

fn another_name(shared: &Shared, m: &Move, job: JobId) -> std::io::Result<std::path::PathBuf> {
    let reserved = shared.names.reserve(&m.dst, job, &|_| Vec::new(), None)?;
    reserved.paths.first().cloned().ok_or_else(|| std::io::Error::other("no name"))
}

fn remove_sources(shared: &Shared, done: &[Placing]) -> std::io::Result<()> {
    for m in done.iter().flat_map(|p| &p.moves).filter(|m| m.kind == MoveKind::RemoveSource) {
        place::place(m, &shared.folders)?;
    }
    Ok(())
}

/// The work folder of a job that is done is empty; the next start sweeps it if it cannot be removed now.
fn remove_work(shared: &Shared, placing: &Placing) {
    let Some(folder) = &placing.work else { return };
    if let (Some(work), Some(name)) = (folder.parent(), folder.file_name())
        && let Ok(work) = shared.folders.get(work)
    {
        let _ = work.rmdir(name);
    }
}

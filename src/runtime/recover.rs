//! The start after whatever happened: decided jobs roll forward, everything else rolls back, and what was found is
//! said. It runs before the first scan and before anything is claimed.

use super::desk::Left;
use super::keep;
use super::pipeline;
use super::placing::{self, Placing};
use super::prepare::{self, Case};
use super::ruling::{self, Policy, Ruling};
use super::shared::Shared;
use super::spool;
use super::sync::Batch;
use super::take::{self, Take};
use super::temps;
use super::worker;
use crate::error::{Exit, Fatal};
use crate::files::dir::{Dir, is_not_found};
use crate::files::names::parse_temp_name;
use crate::model::action::Level;
use crate::model::job::{JobFile, KeptFile, OURS, WORK};
use crate::model::ledger::{Decided, Decision, Fence, Interrupted, StoreError, Verdict};
use crate::model::{Failure, FailureClass, JobId, JobState, Outcome, RetryPolicy, Task, crash, text};
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Unexpected deaths of one job within a day after which it fails.
const DEATHS_MAX: u32 = 3;
/// Jobs looked at in one piece.
const PIECE: u32 = 1000;

/// What a start found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Jobs that waited or were queued.
    pub queued: u64,
    /// Jobs that were running.
    pub interrupted: u64,
    /// Jobs that were decided and have now been put in their place.
    pub placed: u64,
    /// Queued jobs whose file had gone.
    pub gone: u64,
    /// Files in work folders that no job knew, put back where they landed.
    pub adopted: u64,
}

impl Found {
    /// What it found, in one line; none if there was nothing.
    #[must_use]
    pub fn line(&self) -> Option<String> {
        let parts = [
            (self.queued, "queued"),
            (self.interrupted, "interrupted"),
            (self.placed, "put in their place"),
            (self.gone, "whose file had gone"),
            (self.adopted, "adopted from a work folder"),
        ];
        let said: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        (!said.is_empty()).then(|| format!("recovered {}", said.join(", ")))
    }
}

fn fault(error: StoreError) -> Fatal {
    Fatal::new(Exit::Failed, "cannot recover the queue").because(error)
}

/// Brings everything into order.
pub async fn recover(shared: &Arc<Shared>) -> Result<Found, Fatal> {
    let config = shared.config.load_full();
    let children = super::orphans::end_all(&config.data_dir);
    if children > 0 {
        shared.log.append(
            Level::Warn,
            None,
            None,
            None,
            &format!("ended {children} programs that outlived the last supervisor"),
        );
    }
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let left = shared.ledger.recover(shared.host.clone(), boot.trim().to_owned(), shared.now()).await.map_err(fault)?;
    let mut found = Found { queued: left.queued, interrupted: left.running.len() as u64, ..Found::default() };
    crash::point("recover.begin");
    for piece in pieces(left.placing) {
        found.placed += piece.len() as u64;
        let placing = piece.into_iter().map(|p| Placing::left_behind(p.job, p.moves, p.file)).collect();
        placing::place_group(shared, placing).await;
    }
    crash::point("recover.placed");
    let (unbegun, begun): (Vec<_>, Vec<_>) = left.running.into_iter().partition(never_began);
    for piece in pieces(unbegun) {
        // Its copy into WORK may have begun.
        for job in &piece {
            let work = job.claimed.file.iter().map(|f| f.work_dir(job.claimed.job));
            let dirs: Vec<PathBuf> = job.target_dirs.iter().cloned().chain(work).collect();
            temps::remove(job.claimed.job, &dirs, &paths(&job.kept));
        }
        let jobs = piece.into_iter().map(|job| (job.claimed.job, job.claimed.attempt)).collect();
        shared.ledger.put_back(jobs).await.map_err(fault)?;
    }
    for piece in pieces(begun) {
        interrupted(shared, piece).await?;
    }
    crash::point("recover.interrupted");
    // What a note names belongs to nobody once every decided job is in its place.
    if shared.stuck.count() == 0 {
        let kept = shared.store.queries().kept().map_err(fault)?;
        temps::undo_all(&config.data_dir, &kept);
    }
    found.gone = missing(shared).await?;
    found.adopted = sweep(shared).await?;
    crash::point("recover.swept");
    // Scratch files belong to attempts, and no attempt is left.
    let _ = std::fs::remove_dir_all(config.data_dir.join("scratch"));
    Ok(found)
}

fn pieces<T>(mut all: Vec<T>) -> Vec<Vec<T>> {
    let mut out = Vec::new();
    while !all.is_empty() {
        let rest = all.split_off(all.len().min(256));
        out.push(std::mem::replace(&mut all, rest));
    }
    out
}

/// Whether a claimed job had not even taken its file: nothing of it was interrupted, however many of them there are
/// and whatever its policy says. Most of what a crash finds claimed had only been claimed ahead.
fn never_began(job: &Interrupted) -> bool {
    let Some(file) = &job.claimed.file else { return false };
    let in_work = file.work_dir(job.claimed.job).join(&file.name);
    job.cancel_action.is_none() && is_gone(&in_work) && !is_gone(&file.absolute())
}

/// Whether nothing has this name, for certain: what may not be looked at is not gone.
fn is_gone(path: &Path) -> bool {
    let error = path.symlink_metadata().err();
    error.is_some_and(|e| matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory))
}

/// Jobs that were running: their temporary files go, and they are put back or fail by their policy.
async fn interrupted(shared: &Arc<Shared>, jobs: Vec<Interrupted>) -> Result<(), Fatal> {
    let worker = Arc::clone(shared);
    let prepared = shared.tracker.run(move || {
        let mut batch = Batch::default();
        let prepared: io::Result<Vec<_>> = jobs.into_iter().map(|j| one_interrupted(&worker, j, &mut batch)).collect();
        prepared.and_then(|p| pipeline::sync(&worker, batch).map(|()| p))
    });
    let prepared = prepared
        .await
        .ok_or_else(|| Fatal::new(Exit::Internal, "recovering the interrupted jobs panicked"))?
        .map_err(|e| Fatal::new(Exit::Failed, "cannot recover the interrupted jobs").because(e))?;
    crash::point("recover.prepared");
    let decisions: Vec<Decision> = prepared.iter().map(|p| p.decision.clone()).collect();
    let answer = shared.ledger.decide(decisions).await.map_err(fault)?;
    crash::point("recover.decided");
    let mut placing = Vec::new();
    for (p, decided) in prepared.into_iter().zip(answer.decided) {
        if let (Decided::Now(JobState::Placing), Verdict::Place { moves, .. }) = (decided, p.decision.verdict) {
            placing.push(Placing::new(p.claimed.job, moves, p.claimed.file, Box::new((p.held, p.taken))));
        }
    }
    placing::place_group(shared, placing).await;
    Ok(())
}

fn one_interrupted(shared: &Shared, job: Interrupted, batch: &mut Batch) -> io::Result<prepare::Prepared> {
    let Interrupted { claimed, target_dirs, deaths, cancel_action, kept } = job;
    temps::remove(claimed.job, &target_dirs, &paths(&kept));
    let known = shared.task(&claimed.task);
    let task = known.unwrap_or_else(|| Arc::new(removed_task(shared, &claimed.task)));
    let vars = worker::vars(shared, &claimed, &task);
    let retry = RetryPolicy::default();
    let policy = Policy {
        job: claimed.job,
        attempt: claimed.attempt,
        spent: claimed.spent,
        retry: &retry,
        on_interrupt: super::plan::on_interrupt(&task, &claimed),
        timeout: task.timeout,
    };
    let ruling = if cancel_action.is_some() {
        Ruling::Cancel
    } else if deaths >= DEATHS_MAX {
        let why = format!("the supervisor died {deaths} times within a day while this job ran");
        Ruling::Fail(Failure::new(FailureClass::Interrupted, "crashed_worker", why), false)
    } else {
        ruling::interrupted(&policy, "the supervisor died before the attempt ended")
    };
    let needs_file = !matches!(ruling, Ruling::Requeue(_));
    if !needs_file
        && let Some(file) = &claimed.file
        && let Err(e) = finish_source(shared, claimed.job, file)
    {
        // The next attempt finishes it; one folder that cannot be looked at must not keep everything from starting.
        tracing::warn!("cannot look at where the file of job {} was: {e}", claimed.job);
    }
    let taken = match claimed.file.as_ref().filter(|_| needs_file).map(|f| take::take(shared, &task, &claimed, f)) {
        Some(Take::Taken(taken)) => Some(taken),
        _ => None,
    };
    let earlier = !kept.is_empty();
    let left = Left {
        temps: Vec::new(),
        held: Vec::new(),
        small: Vec::new(),
        earlier,
        exit: None,
        log_head: None,
        log_ref: None,
    };
    let case = Case { claimed, task, vars, left, taken, at: shared.now() };
    let mut prepared = prepare::decide(shared, case, ruling, batch);
    prepared.decision.action = cancel_action;
    Ok(prepared)
}

fn paths(kept: &[KeptFile]) -> Vec<PathBuf> {
    kept.iter().map(|k| k.temp.clone()).collect()
}

/// A job that goes back into the queue has its file in one place.
fn finish_source(shared: &Shared, job: JobId, file: &JobFile) -> io::Result<()> {
    match Dir::open(&file.work_dir(job)) {
        Ok(dir) => take::finish_source(shared, file, &dir),
        Err(e) if is_not_found(&e) => Ok(()),
        Err(e) => Err(e),
    }
}

/// A stand-in for a task that the configuration no longer has: its interrupted jobs wait in the queue, held.
fn removed_task(shared: &Shared, name: &str) -> Task {
    let config = shared.config.load();
    Task {
        name: name.into(),
        trigger: crate::model::Trigger::Manual,
        when: Vec::new(),
        action: Arc::new(Nothing),
        priority: 0,
        concurrency: 1,
        retry: RetryPolicy::default(),
        timeout: None,
        on_interrupt: crate::model::OnInterrupt::Retry,
        processed: config.processed.clone(),
        failed: config.failed.clone(),
        timezone: chrono_tz::UTC,
        config_hash: String::new(),
        line: 0,
    }
}

/// The action of a task that is not configured: never run.
#[derive(Debug)]
struct Nothing;

impl crate::model::Action for Nothing {
    fn name(&self) -> &'static str {
        "removed"
    }
    fn outputs(&self) -> Vec<&crate::model::Template> {
        Vec::new()
    }
    fn idempotent(&self) -> bool {
        true
    }
    fn work(self: Arc<Self>, _order: crate::model::JobOrder) -> crate::model::Work {
        crate::model::Work::Blocking(Box::new(|| Err(Failure::permanent("removed", "the task is not configured"))))
    }
}

/// Queued jobs whose file is neither at its path nor in WORK are withdrawn, with the reason.
async fn missing(shared: &Arc<Shared>) -> Result<u64, Fatal> {
    let mut gone = 0;
    let mut after = JobId(0);
    let mut roots: HashMap<PathBuf, bool> = HashMap::new();
    loop {
        let page = shared.ledger.live_files(after, PIECE).await.map_err(fault)?;
        let Some(last) = page.last() else { return Ok(gone) };
        after = last.job;
        let mut decisions = Vec::new();
        for live in page {
            let known = *roots.entry(live.file.root.clone()).or_insert_with(|| shared.roots.expect(&live.file.root));
            let in_work = live.file.work_dir(live.job).join(&live.file.name);
            // A root that is not the one they landed in may only be unmounted: its files are not gone.
            if !known || !is_gone(&live.file.absolute()) || !is_gone(&in_work) {
                continue;
            }
            keep::unlink_all_of(shared, live.job);
            let failure = Failure::permanent("input_gone", "the file went away while no supervisor ran");
            let verdict = Verdict::Place {
                outcome: Outcome::Cancelled,
                failure: Some(failure),
                moves: Vec::new(),
                original: None,
                record: None,
                reason: Some("input_gone".into()),
            };
            decisions.push(Decision::new(live.job, Fence::Rev(live.rev), verdict, shared.now()));
        }
        gone += decisions.len() as u64;
        shared.ledger.decide(decisions).await.map_err(fault)?;
    }
}

/// Work folders: an empty one goes; a file in one that no live job knows goes back where it can land again.
async fn sweep(shared: &Arc<Shared>) -> Result<u64, Fatal> {
    let config = shared.config.load_full();
    let mut known: HashSet<i64> = HashSet::new();
    let mut spooled: HashSet<OsString> = HashSet::new();
    let mut after = JobId(0);
    loop {
        let page = shared.ledger.live_files(after, PIECE).await.map_err(fault)?;
        let Some(last) = page.last() else { break };
        after = last.job;
        known.extend(page.iter().map(|l| l.job.0));
        spooled.extend(page.iter().filter_map(|l| spool::own_folder(&config, &l.file)).map(OsString::from));
    }
    if shared.stuck.count() == 0 {
        spool::sweep(&config, &spooled);
    }
    let mut adopted = 0;
    let mut roots: Vec<PathBuf> = config.roots().into_iter().map(Path::to_owned).collect();
    roots.push(spool::folder(&config));
    for root in roots {
        // A job that could not be placed yet has its file in WORK, and so has a failed one whose outcome could not be
        // written down.
        let strangers: Vec<JobId> = folders_of(&root).into_iter().filter(|id| !known.contains(&id.0)).collect();
        for piece in pieces(strangers) {
            let facts = shared.ledger.facts(piece).await.map_err(fault)?;
            known.extend(facts.iter().filter(|f| keeps_work(f.state)).map(|f| f.job.0));
        }
        adopted += sweep_root(shared, &root, &known).unwrap_or_else(|e| {
            tracing::warn!("cannot sweep the work folder of {}: {e}", text::path(&root));
            0
        });
    }
    Ok(adopted)
}

/// Whether what lies in the work folder of a job in this state is still that job's.
fn keeps_work(state: JobState) -> bool {
    !matches!(state, JobState::Succeeded | JobState::Skipped | JobState::Cancelled)
}

/// The jobs that have a work folder below a root.
fn folders_of(root: &Path) -> Vec<JobId> {
    let Ok(entries) = std::fs::read_dir(root.join(WORK)) else { return Vec::new() };
    entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok().map(JobId)).collect()
}

fn sweep_root(shared: &Shared, root: &Path, known: &HashSet<i64>) -> io::Result<u64> {
    if !root.join(WORK).is_dir() {
        return Ok(0);
    }
    let top = Dir::open(root)?;
    let work = top.sub(Path::new(OURS))?.sub(Path::new("work"))?;
    let mut adopted = 0;
    for (name, _) in work.list()?.collect::<io::Result<Vec<_>>>()? {
        let id: Option<i64> = name.to_str().and_then(|n| n.parse().ok());
        if id.is_some_and(|id| known.contains(&id)) {
            continue;
        }
        let Ok(folder) = work.sub(Path::new(&name)) else { continue };
        for (file, _) in folder.list()?.collect::<io::Result<Vec<_>>>()? {
            adopted += u64::from(adopt(shared, &top, &folder, &file, id)?);
        }
        // Not empty only if something could not be put back, which was said.
        let _ = work.rmdir(&name);
    }
    Ok(adopted)
}

fn adopt(shared: &Shared, root: &Dir, folder: &Dir, file: &OsString, id: Option<i64>) -> io::Result<bool> {
    if parse_temp_name(file).is_some() {
        folder.unlink(file)?;
        return Ok(false);
    }
    for name in crate::files::names::candidates(file, JobId(id.unwrap_or(0))) {
        match folder.rename_to(file, root, &name) {
            Ok(()) => {
                root.sync()?;
                let line = format!("a file without a job was put back: {}", text::path(&root.path().join(&name)));
                shared.log.append(Level::Warn, None, None, None, &line);
                return Ok(true);
            }
            Err(e) if crate::files::dir::is_exists(&e) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(false)
}

//! Operator actions. Each is on the disk before it is answered, with who did it, when and why; where files have to move,
//! the same protocol moves them as for any other decision.

use super::keep;
use super::pipeline;
use super::placing::{self, Placing};
use super::prepare::{self, Aside, Original};
use super::shared::{Event, Shared};
use super::start::Control;
use super::sync::Batch;
use super::temps::{self, Note};
use super::worker;
use crate::files::reserve::Reservation;
use crate::kernel::Input;
use crate::model::action::Level;
use crate::model::job::{Claimed, JobFile, KeptFile};
use crate::model::ledger::{Decided, Decision, Fence, JobFacts, Operator, StoreError, Verdict};
use crate::model::ports::{Actor, Answer, Commands, Refusal, Target};
use crate::model::view::{Done, Paused, Refused, Selection, TestedView, Triggered};
use crate::model::{Filter, JobId, JobState, Outcome, Task, TaskName, crash};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Jobs that a bulk action takes in one transaction.
const CHUNK: u32 = 500;
/// Longest reason kept, in characters.
const REASON_MAX: usize = 1000;

/// The actions, on a running supervisor or on a database that none uses.
#[derive(Clone)]
pub struct Operations {
    pub(super) shared: Arc<Shared>,
    /// What only a running supervisor can do.
    control: Option<Control>,
}

impl Operations {
    /// Actions over a supervisor's parts.
    #[must_use]
    pub fn new(shared: Arc<Shared>, control: Option<Control>) -> Self {
        Self { shared, control }
    }

    pub(super) fn by(&self, actor: Actor, reason: Option<&str>) -> Operator {
        Operator { uid: actor.uid, at: self.shared.now(), reason: reason.map(str::to_owned) }
    }

    fn control(&self) -> Result<&Control, Refusal> {
        self.control.as_ref().ok_or_else(|| Refusal::new(503, "not_running", "no supervisor is running"))
    }

    /// The jobs of a target, in pieces; a revision of 0 fits any.
    async fn piece(&self, target: &Target, after: JobId) -> Result<Vec<(JobId, i64)>, Refusal> {
        match target {
            Target::Jobs(ids) => {
                let mut ids: Vec<JobId> = ids.iter().copied().filter(|id| *id > after).collect();
                ids.sort_unstable();
                ids.dedup();
                ids.truncate(CHUNK as usize);
                Ok(ids.into_iter().map(|id| (id, 0)).collect())
            }
            Target::Selection(id) => self.shared.ledger.selected(*id, after, CHUNK).await.map_err(refuse_store),
        }
    }

    async fn in_pieces<F>(&self, target: Target, mut act: impl FnMut(Vec<(JobId, i64)>) -> F) -> Result<Done, Refusal>
    where
        F: Future<Output = Result<Done, Refusal>>,
    {
        let mut all = Done::default();
        let mut after = JobId(i64::MIN);
        loop {
            let piece = self.piece(&target, after).await?;
            let Some((last, _)) = piece.last() else { return Ok(all) };
            after = *last;
            let done = act(piece).await?;
            all.done.extend(done.done);
            all.refused.extend(done.refused);
        }
    }

    async fn retry_all(self, actor: Actor, target: Target) -> Result<Done, Refusal> {
        let by = self.by(actor, None);
        let action =
            self.shared.ledger.record("retry", by, described(&target), Vec::new()).await.map_err(refuse_store)?;
        let shared = &self.shared;
        let done = self
            .in_pieces(target, |piece| async move {
                crash::point("op.before_retry");
                let (done, lanes) = shared.ledger.retry(action, piece, shared.now()).await.map_err(refuse_store)?;
                crash::point("op.after_retry");
                shared.tell_lanes(lanes).await;
                Ok(done)
            })
            .await?;
        self.note("retried", actor, &done, None);
        Ok(done)
    }

    async fn skip_all(self, actor: Actor, target: Target, reason: String) -> Result<Done, Refusal> {
        let reason = crate::model::text::cut(reason.trim(), REASON_MAX).into_owned();
        if reason.is_empty() {
            return Err(Refusal::new(400, "no_reason", "a skip needs a reason").hint("say why in a few words"));
        }
        let by = self.by(actor, Some(&reason));
        let action =
            self.shared.ledger.record("skip", by, described(&target), Vec::new()).await.map_err(refuse_store)?;
        crash::point("op.recorded");
        let done = self
            .in_pieces(target, |piece| self.set_aside(piece, Outcome::Skipped, Some(reason.clone()), action))
            .await?;
        self.note("skipped", actor, &done, Some(&reason));
        Ok(done)
    }

    /// Cancels jobs; with a reason where no operator asked for it.
    pub(super) async fn cancel_all(self, actor: Actor, target: Target, reason: Option<&str>) -> Result<Done, Refusal> {
        let by = self.by(actor, reason);
        let action =
            self.shared.ledger.record("cancel", by, described(&target), Vec::new()).await.map_err(refuse_store)?;
        let done = self.in_pieces(target, |piece| self.cancel_piece(piece, action)).await?;
        self.note("cancelled", actor, &done, reason);
        Ok(done)
    }

    /// Running jobs are marked and told to stop; their decision finds the mark. Others are set aside at once.
    async fn cancel_piece(&self, piece: Vec<(JobId, i64)>, action: i64) -> Result<Done, Refusal> {
        let ids = piece.iter().map(|(id, _)| *id).collect();
        let facts = self.shared.ledger.facts(ids).await.map_err(refuse_store)?;
        let running: Vec<JobId> = facts.iter().filter(|f| f.state == JobState::Running).map(|f| f.job).collect();
        crash::point("op.before_mark");
        let mut done = self.shared.ledger.mark_cancel(action, running.clone()).await.map_err(refuse_store)?;
        crash::point("op.after_mark");
        for job in &done.done {
            self.shared.tell(Event::Kernel(Input::Cancel { job: *job })).await;
        }
        let others = piece.into_iter().filter(|(id, _)| !running.contains(id)).collect();
        let more = self.set_aside(others, Outcome::Cancelled, None, action).await?;
        done.done.extend(more.done);
        done.refused.extend(more.refused);
        Ok(done)
    }

    /// Jobs that do not run go to `failed/…` by the same protocol: decide, place, finish.
    async fn set_aside(
        &self,
        piece: Vec<(JobId, i64)>,
        outcome: Outcome,
        reason: Option<String>,
        action: i64,
    ) -> Result<Done, Refusal> {
        let mut done = Done::default();
        let ids: Vec<JobId> = piece.iter().map(|(id, _)| *id).collect();
        let facts = self.shared.ledger.facts(ids.clone()).await.map_err(refuse_store)?;
        for (id, rev) in &piece {
            let refusal = match facts.iter().find(|f| f.job == *id) {
                None => Some("no such job".to_owned()),
                Some(f) if *rev != 0 && f.rev != *rev => Some("it changed since".to_owned()),
                Some(f) => refused(outcome, f.state),
            };
            done.refused.extend(refusal.map(|reason| Refused { id: *id, reason }));
        }
        let fit: Vec<JobFacts> = facts.into_iter().filter(|f| !done.refused.iter().any(|r| r.id == f.job)).collect();
        if fit.is_empty() {
            return Ok(done);
        }
        let shared = Arc::clone(&self.shared);
        let prepared = self.shared.tracker.run(move || aside_all(&shared, &fit, outcome, reason.as_deref(), action));
        let prepared = prepared.await.ok_or_else(|| Refusal::new(500, "panic", "moving the files panicked"))?;
        let (prepared, note) =
            prepared.map_err(|e| Refusal::new(503, "files", format!("the files cannot be moved: {e}")))?;
        crash::point("op.before_aside");
        let decisions = prepared.iter().map(|p| p.decision.clone()).collect();
        let kept: Vec<PathBuf> = prepared.iter().flat_map(|p| p.kept.iter().map(|k| k.temp.clone())).collect();
        let answer = match self.shared.ledger.decide(decisions).await {
            Ok(answer) => answer,
            Err(error) => {
                self.shared.tracker.run(move || note.undo(&kept)).await;
                return Err(refuse_store(error));
            }
        };
        crash::point("op.after_aside");
        let mut placing = Vec::new();
        for (p, decided) in prepared.into_iter().zip(answer.decided) {
            match decided {
                Decided::Now(_) => {
                    // Nobody goes on with it; the note leads to these files until they are gone.
                    keep::unlink(p.decision.job, &p.kept);
                    done.done.push(p.decision.job);
                }
                Decided::Lost | Decided::CancelInstead(_) => {
                    if let Verdict::Place { moves, .. } = &p.decision.verdict {
                        temps::drop_moves(moves);
                    }
                    done.refused.push(Refused { id: p.decision.job, reason: "it changed meanwhile".into() });
                    continue;
                }
            }
            if decided == Decided::Now(JobState::Placing)
                && let Verdict::Place { moves, .. } = p.decision.verdict
            {
                placing.push(Placing::new(p.decision.job, moves, p.file, Box::new(p.held)));
            }
        }
        note.done();
        self.shared.tell_lanes(answer.lanes).await;
        placing::place_group(&self.shared, placing).await;
        Ok(done)
    }

    fn note(&self, what: &str, actor: Actor, done: &Done, reason: Option<&str>) {
        let n = done.done.len();
        let refused = if done.refused.is_empty() { String::new() } else { format!(", refused {}", done.refused.len()) };
        let why = reason.map_or_else(String::new, |r| format!(": {r}"));
        let line = format!(
            "{what} {n} job{} for {}{refused}{why}",
            if n == 1 { "" } else { "s" },
            super::read::user(actor.uid)
        );
        self.shared.log.append(Level::Info, None, done.done.first().copied().filter(|_| n == 1), None, &line);
    }

    pub(super) fn known(&self, name: &str) -> Result<Arc<Task>, Refusal> {
        self.shared.task(name).ok_or_else(|| {
            let config = self.shared.config.load();
            let near = crate::error::did_you_mean(name, config.tasks.iter().map(|t| &*t.name));
            let refusal = Refusal::new(404, "unknown_task", format!("no such task: {name}"));
            match near {
                Some(near) => refusal.hint(format!("did you mean `{near}`?")),
                None => refusal,
            }
        })
    }

    async fn set_paused(self, actor: Actor, task: Option<String>, paused: bool) -> Result<Paused, Refusal> {
        let name: TaskName = match &task {
            Some(name) => Arc::clone(&self.known(name)?.name),
            None => "".into(),
        };
        let by = self.by(actor, None);
        let at = crate::clock::rfc3339(by.at);
        self.shared.ledger.set_paused(Arc::clone(&name), by, paused).await.map_err(refuse_store)?;
        let about = task.as_ref().map(|_| Arc::clone(&name));
        self.shared.tell(Event::Kernel(Input::Paused { task: about, paused })).await;
        let user = super::read::user(actor.uid);
        let what = if paused { "paused" } else { "resumed" };
        self.shared.log.append(Level::Info, task.as_deref(), None, None, &format!("{what} by {user}"));
        self.shared.touch_status();
        Ok(Paused { by: user, at })
    }
}

/// Why a job in this state is not set aside, if it is not.
fn refused(outcome: Outcome, state: JobState) -> Option<String> {
    match (outcome, state) {
        (_, JobState::Waiting | JobState::Queued) | (Outcome::Skipped, JobState::Failed) => None,
        (_, JobState::Failed) => Some("it has failed: retry or skip it".into()),
        (_, JobState::Running) => Some("it is running: cancel it first".into()),
        (_, JobState::Placing) => Some("already decided".into()),
        (_, state) => Some(format!("already {state}")),
    }
}

/// Where a job goes that is set aside.
struct PlannedAside<'a> {
    facts: &'a JobFacts,
    claimed: Claimed,
    original: Option<Original<'a>>,
    folder: PathBuf,
}

struct AsideCase {
    decision: Decision,
    held: Vec<Reservation>,
    file: Option<JobFile>,
    kept: Vec<KeptFile>,
}

/// On a thread for blocking work: writes what the decisions need, and syncs it. Nothing is left behind by an error.
fn aside_all(
    shared: &Shared,
    jobs: &[JobFacts],
    outcome: Outcome,
    reason: Option<&str>,
    action: i64,
) -> io::Result<(Vec<AsideCase>, Note)> {
    let planned: Vec<_> = jobs.iter().map(|f| plan_aside(shared, f, outcome)).collect::<io::Result<_>>()?;
    let dirs = |p: &PlannedAside<'_>| {
        let source = p.original.as_ref().and_then(|o| o.path.parent()).map(Path::to_owned);
        let kept = p.facts.kept.iter().filter_map(|k| k.temp.parent()).map(Path::to_owned);
        (p.facts.job, std::iter::once(p.folder.clone()).chain(source).chain(kept).collect())
    };
    let note = Note::write(&shared.config.load().data_dir, action, planned.iter().map(dirs).collect())?;
    crash::point("op.noted");
    let mut batch = Batch::default();
    let out: io::Result<Vec<_>> =
        planned.into_iter().map(|p| aside(shared, p, outcome, reason, action, &mut batch)).collect();
    match out.and_then(|out| pipeline::sync(shared, batch).map(|()| out)) {
        Ok(out) => Ok((out, note)),
        Err(e) => {
            note.undo(&jobs.iter().flat_map(|f| f.kept.iter().map(|k| k.temp.clone())).collect::<Vec<_>>());
            Err(e)
        }
    }
}

fn plan_aside<'a>(shared: &Shared, facts: &'a JobFacts, outcome: Outcome) -> io::Result<PlannedAside<'a>> {
    let claimed = Claimed {
        job: facts.job,
        run: facts.run,
        task: Arc::clone(&facts.task),
        kind: facts.kind,
        lane: Arc::clone(&facts.lane),
        ordinal: facts.ordinal,
        attempt: facts.attempt,
        spent: facts.spent,
        planned_at: facts.planned_at,
        file: facts.file.clone(),
        label: facts.label.clone(),
        upstream: Vec::new(),
        cancelled: false,
        checkpoint: !facts.kept.is_empty(),
    };
    let config = shared.config.load();
    let task = shared.task(&facts.task);
    let vars = match &task {
        Some(task) => worker::vars(shared, &claimed, task),
        None => crate::model::Vars { task: facts.task.to_string(), ..crate::model::Vars::default() },
    };
    let template = task.as_ref().map_or(&config.failed, |t| &t.failed);
    let mut folder = prepare::folder(shared, template, &vars);
    if outcome == Outcome::Skipped {
        folder.push("skipped");
    }
    let original = find_original(facts)?;
    Ok(PlannedAside { facts, claimed, original, folder })
}

fn aside(
    shared: &Shared,
    planned: PlannedAside<'_>,
    outcome: Outcome,
    reason: Option<&str>,
    action: i64,
    batch: &mut Batch,
) -> io::Result<AsideCase> {
    let PlannedAside { facts, claimed, original, folder } = planned;
    let at = shared.now();
    let about = prepare::about(outcome.state().name(), &claimed, facts.failure.as_ref(), reason, at);
    let mut held = Vec::new();
    let verdict =
        prepare::set_aside(shared, &claimed, original.as_ref(), &Aside { outcome, folder, about }, batch, &mut held)?;
    let mut decision = Decision::new(facts.job, Fence::Rev(facts.rev), verdict, at);
    decision.action = Some(action);
    Ok(AsideCase { decision, held, file: facts.file.clone(), kept: facts.kept.clone() })
}

/// Where the original of a job that does not run lies: in WORK, where a failure left it, or where it landed. What has
/// taken its place where it landed is another file, and none of this job's business.
fn find_original(facts: &JobFacts) -> io::Result<Option<Original<'_>>> {
    let Some(file) = &facts.file else { return Ok(None) };
    let original = |path: PathBuf, stat, old_record| Some(Original { path, facts: stat, name: &file.name, old_record });
    if facts.state == JobState::Failed {
        // One whose outcome could not be written down was left in WORK.
        let path = facts.failed_at.clone().unwrap_or_else(|| file.work_dir(facts.job).join(&file.name));
        return Ok(stat(&path)?.and_then(|s| original(path, s, facts.record_at.clone())));
    }
    // A retried job still has the record of its last failure beside its file.
    let is_retried = file.path.is_absolute();
    let old_record = is_retried.then(|| prepare::with_record(&file.path));
    let in_work = file.work_dir(facts.job).join(&file.name);
    if let Some(stat) = stat(&in_work)? {
        return Ok(original(in_work, stat, old_record));
    }
    let outside = file.absolute();
    let found = stat(&outside)?.filter(|s| is_retried || s.ino == file.facts.ino);
    Ok(found.and_then(|s| original(outside, s, old_record)))
}

fn stat(path: &Path) -> io::Result<Option<crate::model::job::Facts>> {
    use std::os::unix::fs::MetadataExt;
    match path.symlink_metadata() {
        Ok(m) => Ok(Some(crate::model::job::Facts {
            dev: m.dev(),
            ino: m.ino(),
            size: m.size(),
            mtime_ns: m.mtime() * 1_000_000_000 + m.mtime_nsec(),
            nlink: m.nlink(),
        })),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

fn described(target: &Target) -> Option<String> {
    match target {
        Target::Jobs(_) => None,
        Target::Selection(id) => Some(format!("selection {id}")),
    }
}

/// A store error as an answer. By value, for `map_err`.
#[expect(clippy::needless_pass_by_value, reason = "its place is `map_err`, which gives a value")]
pub fn refuse_store(error: StoreError) -> Refusal {
    match error {
        StoreError::Paused(_) => {
            Refusal::new(503, "store_paused", error.to_string()).hint("free space on the data folder's disk")
        }
        StoreError::Closed => Refusal::new(503, "stopping", "the supervisor is stopping"),
        StoreError::Fault(ref why) if why.starts_with("no such selection") => {
            Refusal::new(404, "unknown_selection", why.clone())
        }
        StoreError::Fault(ref why) if why.starts_with("not a cursor") => Refusal::new(400, "bad_cursor", why.clone()),
        StoreError::Damaged(_) | StoreError::Fault(_) => Refusal::new(500, "store", error.to_string()),
    }
}

impl Commands for Operations {
    fn select(&self, actor: Actor, filter: Filter) -> Answer<Selection> {
        let this = self.clone();
        Box::pin(async move { this.shared.ledger.select(this.by(actor, None), filter).await.map_err(refuse_store) })
    }

    fn retry(&self, actor: Actor, target: Target) -> Answer<Done> {
        Box::pin(self.clone().retry_all(actor, target))
    }

    fn skip(&self, actor: Actor, target: Target, reason: String) -> Answer<Done> {
        Box::pin(self.clone().skip_all(actor, target, reason))
    }

    fn cancel(&self, actor: Actor, target: Target) -> Answer<Done> {
        Box::pin(self.clone().cancel_all(actor, target, None))
    }

    fn trigger(&self, actor: Actor, task: String, input: Option<PathBuf>) -> Answer<Triggered> {
        Box::pin(self.clone().trigger_task(actor, task, input))
    }

    fn pause(&self, actor: Actor, task: Option<String>) -> Answer<Paused> {
        Box::pin(self.clone().set_paused(actor, task, true))
    }

    fn resume(&self, actor: Actor, task: Option<String>) -> Answer<()> {
        let this = self.clone();
        Box::pin(async move { this.set_paused(actor, task, false).await.map(|_| ()) })
    }

    fn reload(&self, actor: Actor) -> Answer<Vec<String>> {
        let this = self.clone();
        Box::pin(async move { this.control()?.reload(actor).await })
    }

    fn stop(&self, _actor: Actor, now: bool) -> Answer<()> {
        let this = self.clone();
        Box::pin(async move {
            this.control()?.stop(now, false);
            Ok(())
        })
    }

    fn restart(&self, _actor: Actor) -> Answer<()> {
        let this = self.clone();
        Box::pin(async move {
            this.control()?.stop(false, true);
            Ok(())
        })
    }

    fn alert_test(&self, _actor: Actor, channel: Option<String>) -> Answer<Vec<TestedView>> {
        Box::pin(super::alerting::test(Arc::clone(&self.shared), channel))
    }
}

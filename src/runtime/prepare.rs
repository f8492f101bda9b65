//! S5, first half: from an ended attempt to a decision. Final names are chosen, the error record is written under a
//! temporary name, and everything that must be on the disk before the decision is listed.

use super::desk::Left;
use super::keep;
use super::outputs::{self, Temp};
use super::plan;
use super::record::{self, About};
use super::ruling::{self, Policy, Ruling};
use super::shared::Shared;
use super::sync::Batch;
use super::take::{self, Taken};
use super::temps;
use super::worker::{End, Ended};
use crate::files::dir;
use crate::files::names::{RECORD, temp_name};
use crate::files::reserve::Reservation;
use crate::model::job::{Claimed, Facts, Move, MoveKind};
use crate::model::ledger::{Decision, Fence, OutputRecord, Verdict};
use crate::model::{Detail, Failure, Millis, OnExists, OnInterrupt, Outcome, Task, Template, Vars, crash};
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Number of the temporary name of the error record; outputs count up from 0.
const RECORD_N: u32 = 1_000_001;
/// Number of the temporary name of an original that is copied across devices.
const ORIGINAL_N: u32 = 1_000_002;
/// A job whose outcome cannot be written down is tried again after this time.
const UNWRITABLE_RETRY: Duration = Duration::from_secs(30);

/// A decision ready for the store, with what it holds.
pub struct Prepared {
    /// The decision.
    pub decision: Decision,
    /// The job as claimed.
    pub claimed: Claimed,
    /// Its task.
    pub task: Arc<Task>,
    /// Values for its names.
    pub vars: Vars,
    /// Names held until everything is placed.
    pub held: Vec<Reservation>,
    /// Its file at work.
    pub taken: Option<Box<Taken>>,
    /// Temporary files that are not placed: dropped before the decision.
    pub drop: Vec<Temp>,
    /// Temporary files that a checkpoint leads to, and that stay with it.
    pub kept: Vec<Temp>,
    /// Whether a checkpoint of an earlier attempt stays.
    pub earlier: bool,
    /// What the action has to say of its success.
    pub note: Option<String>,
}

/// An original and where it lies.
pub struct Original<'a> {
    /// Its path now.
    pub path: PathBuf,
    /// What it looks like.
    pub facts: Facts,
    /// Its name as it landed.
    pub name: &'a OsStr,
    /// Its old error record, which goes first.
    pub old_record: Option<PathBuf>,
}

/// Prepares one ended attempt. An I/O error means that the outcome cannot be written down now.
pub fn prepare(shared: &Shared, ended: Ended, batch: &mut Batch) -> Prepared {
    let Ended { claimed, task, end, vars, at } = ended;
    let fence = Fence::Attempt(claimed.attempt);
    let (result, stop, mut left, taken) = match end {
        End::Gone(code, message) => {
            if claimed.checkpoint {
                keep::unlink_all_of(shared, claimed.job);
            }
            let verdict = Verdict::Place {
                outcome: Outcome::Cancelled,
                failure: Some(Failure::permanent(code, message)),
                moves: Vec::new(),
                original: None,
                record: None,
                reason: Some(code.into()),
            };
            return plain(claimed, task, vars, fence, verdict, false, at);
        }
        End::Hold(reason, wait) => {
            let verdict = Verdict::Hold { reason, at: at.plus(wait) };
            let mut held = plain(claimed, task, vars, fence, verdict, false, at);
            // Nothing was begun: what an earlier attempt left is as good as it was.
            (held.decision.keep_checkpoint, held.earlier) = (true, held.claimed.checkpoint);
            return held;
        }
        End::Skip(reason) => {
            let verdict = Verdict::Place {
                outcome: Outcome::Skipped,
                failure: None,
                moves: Vec::new(),
                original: None,
                record: None,
                reason: Some(reason),
            };
            return plain(claimed, task, vars, fence, verdict, false, at);
        }
        End::Worked { result, stop, left, taken } => (result, stop, left, taken),
    };
    let policy = Policy {
        job: claimed.job,
        attempt: claimed.attempt,
        spent: claimed.spent,
        retry: &task.retry,
        on_interrupt: plan::on_interrupt(&task, &claimed),
        timeout: task.timeout,
    };
    let result = result.and_then(|report| match finish_outputs(shared, &claimed, &mut left) {
        Ok(()) => Ok(report),
        Err(failure) => Err(Failure { call: report.call, ..failure }),
    });
    let ruling = ruling::rule(&policy, result, stop, at);
    decide(shared, Case { claimed, task, vars, left, taken, at }, ruling, batch)
}

/// The outputs are all there, under names that they can have.
fn finish_outputs(shared: &Shared, claimed: &Claimed, left: &mut Left) -> Result<(), Failure> {
    // Names that must be these very ones may have been taken while it worked.
    outputs::still_free(&left.temps)?;
    outputs::write_small(shared, claimed, left)
}

/// Everything that one decision is about.
pub struct Case {
    /// The job as claimed.
    pub claimed: Claimed,
    /// Its task.
    pub task: Arc<Task>,
    /// Values for its names.
    pub vars: Vars,
    /// What the attempt left.
    pub left: Left,
    /// Its file at work.
    pub taken: Option<Box<Taken>>,
    /// When.
    pub at: Millis,
}

/// Turns a ruling into a decision.
pub fn decide(shared: &Shared, case: Case, ruling: Ruling, batch: &mut Batch) -> Prepared {
    let Case { claimed, task, vars, mut left, taken, at } = case;
    let fence = Fence::Attempt(claimed.attempt);
    let mut held = std::mem::take(&mut left.held);
    let placed = match &ruling {
        Ruling::Wait(reason, at) => Ok((Verdict::Hold { reason: reason.clone(), at: *at }, Vec::new())),
        Ruling::Retry(failure, at) => Ok((Verdict::Retry { failure: failure.clone(), at: *at }, Vec::new())),
        Ruling::Requeue(failure) => Ok((Verdict::Requeue { failure: failure.clone() }, Vec::new())),
        Ruling::Succeed(_) => succeed(shared, &claimed, &task, &vars, &mut left, taken.as_deref(), batch, &mut held),
        Ruling::Fail(failure, _) => {
            let about = about("failed", &claimed, Some(failure), None, at);
            let original = taken.as_deref().map(|t| original(&claimed, t));
            let aside = Aside { outcome: Outcome::Failed, folder: folder(shared, &task.failed, &vars), about };
            set_aside(shared, &claimed, original.as_ref(), &aside, batch, &mut held).map(|v| (v, Vec::new()))
        }
        Ruling::Cancel => {
            let about = about("cancelled", &claimed, None, None, at);
            let original = taken.as_deref().map(|t| original(&claimed, t));
            let aside = Aside { outcome: Outcome::Cancelled, folder: folder(shared, &task.failed, &vars), about };
            set_aside(shared, &claimed, original.as_ref(), &aside, batch, &mut held).map(|v| (v, Vec::new()))
        }
    };
    if let Some(taken) = taken.as_deref() {
        // The file's way into WORK: the folder it left, the one it is in, and that one's own name.
        batch.folder(taken.from.as_ref().unwrap_or(&taken.work));
        batch.folder(&taken.dir);
        batch.folder(&taken.work);
    }
    let mut unwritten = None;
    let (verdict, outputs, drop, charged) = match placed {
        Ok((verdict, outputs)) => {
            let places = matches!(ruling, Ruling::Succeed(_));
            let drop = if places { Vec::new() } else { std::mem::take(&mut left.temps) };
            let charged = !matches!(ruling, Ruling::Requeue(_) | Ruling::Fail(_, false) | Ruling::Wait(..));
            (verdict, outputs, drop, charged)
        }
        Err(e) => {
            // Whatever was made so far has no move.
            temps::remove(claimed.job, &plan::target_dirs(shared, &claimed), &[]);
            left.temps.drain(..).for_each(|temp| drop(temp.dir.unlink(&temp.name)));
            unwritten = Some(e);
            let verdict = Verdict::Hold { reason: String::new(), at };
            (verdict, Vec::new(), Vec::new(), false)
        }
    };
    // Who was cut off goes on where it had noted that it was. Everybody else is done with it.
    let goes_on = matches!(ruling, Ruling::Requeue(_));
    let (kept, drop) = drop.into_iter().partition(|temp| goes_on && temp.noted);
    if left.earlier && !goes_on {
        keep::unlink_all_of(shared, claimed.job);
    }
    let mut decision = Decision::new(claimed.job, fence, verdict, at);
    decision.keep_checkpoint = goes_on;
    decision.charged = charged;
    decision.outputs = outputs;
    decision.bytes_in = taken.as_ref().map(|t| t.facts.size);
    decision.exit = left.exit.map(i64::from);
    decision.log_head = left.log_head;
    decision.log_ref = left.log_ref;
    let mut note = None;
    if let Ruling::Succeed(report) = &ruling {
        (decision.rows, decision.rows_out, decision.rejected) = (report.rows, report.rows_out, report.rejected);
        let first = report.rejects.iter().take(Failure::CAUSES_MAX);
        decision.rejects = first.cloned().map(Detail::bounded).collect();
        note.clone_from(&report.note);
        decision.call = report.call;
    }
    let earlier = left.earlier && goes_on;
    let mut prepared = Prepared { decision, claimed, task, vars, held, taken, drop, kept, earlier, note };
    if let Some(e) = unwritten {
        let (outcome, failure) = match ruling {
            Ruling::Fail(failure, _) => (Outcome::Failed, Some(failure)),
            Ruling::Cancel => (Outcome::Cancelled, None),
            Ruling::Succeed(_) | Ruling::Retry(..) | Ruling::Requeue(_) | Ruling::Wait(..) => {
                (Outcome::Succeeded, None)
            }
        };
        unwritable(&mut prepared, outcome, failure, &e);
    }
    prepared
}

/// The disk does not take an outcome, so that nothing can be placed. Work that may be repeated waits and is done again,
/// uncharged. Other work fails where it is: its file stays in WORK for an operator's retry.
pub fn unwritable(p: &mut Prepared, outcome: Outcome, failure: Option<Failure>, error: &io::Error) {
    let reason = format!("the outcome cannot be written down: {error}");
    if plan::on_interrupt(&p.task, &p.claimed) == OnInterrupt::Fail && outcome != Outcome::Cancelled {
        let failure = failure.unwrap_or_else(|| Failure::permanent("outcome_unwritable", reason));
        p.decision.verdict = in_place(Outcome::Failed, failure);
        return;
    }
    p.decision.verdict = Verdict::Hold { reason, at: p.decision.at.plus(UNWRITABLE_RETRY) };
    p.decision.charged = false;
}

/// The end of a job whose file stays where it is.
pub fn in_place(outcome: Outcome, failure: Failure) -> Verdict {
    Verdict::Place { outcome, failure: Some(failure), moves: Vec::new(), original: None, record: None, reason: None }
}

fn plain(
    claimed: Claimed,
    task: Arc<Task>,
    vars: Vars,
    fence: Fence,
    verdict: Verdict,
    charged: bool,
    at: Millis,
) -> Prepared {
    let mut decision = Decision::new(claimed.job, fence, verdict, at);
    decision.charged = charged;
    Prepared {
        decision,
        claimed,
        task,
        vars,
        held: Vec::new(),
        taken: None,
        drop: Vec::new(),
        kept: Vec::new(),
        earlier: false,
        note: None,
    }
}

fn original<'a>(claimed: &'a Claimed, taken: &'a Taken) -> Original<'a> {
    let old_record = claimed.file.as_ref().filter(|f| f.path.is_absolute()).map(|f| with_record(&f.path));
    Original { path: taken.path(), facts: taken.facts, name: &taken.name, old_record }
}

/// The record beside a file.
pub fn with_record(path: &Path) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(RECORD);
    PathBuf::from(name)
}

/// What a record says of a claimed job.
pub fn about<'a>(
    outcome: &'a str,
    claimed: &'a Claimed,
    failure: Option<&'a Failure>,
    operator: Option<&'a str>,
    at: Millis,
) -> About<'a> {
    About {
        outcome,
        task: &claimed.task,
        job: claimed.job.0,
        label: &claimed.label,
        attempts: claimed.attempt,
        failure,
        operator,
        at,
    }
}

/// A folder of the configuration for this job.
pub fn folder(shared: &Shared, template: &Template, vars: &Vars) -> PathBuf {
    shared.config.load().base.join(template.expand_folder(vars))
}

#[expect(clippy::too_many_arguments, reason = "the parts of one case, some borrowed and some filled")]
fn succeed(
    shared: &Shared,
    claimed: &Claimed,
    task: &Task,
    vars: &Vars,
    left: &mut Left,
    taken: Option<&Taken>,
    batch: &mut Batch,
    held: &mut Vec<Reservation>,
) -> io::Result<(Verdict, Vec<OutputRecord>)> {
    let original = taken.map(|t| original(claimed, t));
    let mut moves = Moves::default();
    if let Some(record) = original.as_ref().and_then(|o| o.old_record.as_deref()) {
        moves.remove(record)?;
    }
    let mut outputs = Vec::with_capacity(left.temps.len());
    for temp in &mut left.temps {
        let (file, stat) = match temp.file.take() {
            Some(file) => {
                let stat = dir::Stat::of(&file)?;
                (file, stat)
            }
            // Opened anew: a program may have put another file under the temporary name.
            None => temp.dir.open_read(&temp.name)?,
        };
        batch.file(&temp.dir, file);
        let src = temp.dir.path().join(&temp.name);
        let kind = if temp.on_exists == OnExists::Replace { MoveKind::Replace } else { MoveKind::Place };
        moves.push(kind, src, temp.target.clone(), stat.facts.ino);
        outputs.push(OutputRecord {
            path: temp.target.clone(),
            ino: stat.facts.ino,
            size: stat.facts.size,
            mtime_ns: stat.facts.mtime_ns,
        });
    }
    let mut place = None;
    if let Some(original) = &original {
        let target = folder(shared, &task.processed, vars).join(original.name);
        let reserved = shared.names.reserve(&target, claimed.job, &|_| Vec::new(), None)?;
        place = reserved.paths.first().cloned();
        move_original(shared, claimed, original, &reserved.paths[0], &mut moves, batch)?;
        held.push(reserved);
    }
    let verdict = Verdict::Place {
        outcome: Outcome::Succeeded,
        failure: None,
        moves: moves.list,
        original: place,
        record: None,
        reason: None,
    };
    Ok((verdict, outputs))
}

/// Where a file goes that did not succeed, and what its record says.
pub struct Aside<'a> {
    /// What the job will be.
    pub outcome: Outcome,
    /// The folder.
    pub folder: PathBuf,
    /// The record.
    pub about: About<'a>,
}

/// An original goes to `failed/…` with a record beside it; a job without a file has neither.
pub fn set_aside(
    shared: &Shared,
    claimed: &Claimed,
    original: Option<&Original<'_>>,
    aside: &Aside<'_>,
    batch: &mut Batch,
    held: &mut Vec<Reservation>,
) -> io::Result<Verdict> {
    let mut moves = Moves::default();
    let mut places = (None, None);
    if let Some(original) = original {
        if let Some(record) = &original.old_record {
            moves.remove(record)?;
        }
        let target = aside.folder.join(original.name);
        let reserved = shared.names.reserve(
            &target,
            claimed.job,
            &|path| vec![with_record(path)],
            original.old_record.as_deref(),
        )?;
        let (place, record) = (reserved.paths[0].clone(), reserved.paths[1].clone());
        let dir = shared.folders.make(&aside.folder)?;
        let temp = temp_name(claimed.job, claimed.attempt, RECORD_N);
        if dir.stat(&temp)?.is_some() {
            dir.unlink(&temp)?;
        }
        let mut file = dir.create_new(&temp, 0o644)?;
        file.write_all(&record::render(&aside.about))?;
        let ino = dir::Stat::of(&file)?.facts.ino;
        batch.file(&dir, file);
        crash::point("s5.record_written");
        moves.push(MoveKind::Place, dir.path().join(&temp), record.clone(), ino);
        move_original(shared, claimed, original, &place, &mut moves, batch)?;
        places = (Some(place), Some(record));
        held.push(reserved);
    }
    Ok(Verdict::Place {
        outcome: aside.outcome,
        failure: aside.about.failure.cloned(),
        moves: moves.list,
        original: places.0,
        record: places.1,
        reason: aside.about.operator.map(str::to_owned),
    })
}

/// Lists the move of an original; across devices it is copied and verified now, and its source goes last.
fn move_original(
    shared: &Shared,
    claimed: &Claimed,
    original: &Original<'_>,
    target: &Path,
    moves: &mut Moves,
    batch: &mut Batch,
) -> io::Result<()> {
    let folder = target.parent().unwrap_or_else(|| Path::new("/"));
    let there = shared.folders.make(folder)?;
    let source = shared.folders.get(original.path.parent().unwrap_or_else(|| Path::new("/")))?;
    if super::devices::can_rename(&source, &there, claimed.job)? {
        moves.push(MoveKind::Original, original.path.clone(), target.to_owned(), original.facts.ino);
        return Ok(());
    }
    let temp = temp_name(claimed.job, claimed.attempt, ORIGINAL_N);
    if there.stat(&temp)?.is_some() {
        there.unlink(&temp)?;
    }
    let name = original.path.file_name().unwrap_or_default();
    let (mut file, _) = source.open_read(name)?;
    let copy = take::copy_verified(&mut file, &there, &temp)?;
    crash::point("s5.original_copied");
    batch.folder(&there);
    moves.push(MoveKind::Place, there.path().join(&temp), target.to_owned(), copy.ino);
    moves.push(MoveKind::RemoveSource, original.path.clone(), PathBuf::new(), original.facts.ino);
    Ok(())
}

/// Moves in the making.
#[derive(Default)]
struct Moves {
    list: Vec<Move>,
}

impl Moves {
    fn push(&mut self, kind: MoveKind, src: PathBuf, dst: PathBuf, ino: u64) {
        self.list.push(Move { seq: self.list.len() as i64, kind, src, dst, ino });
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        use std::os::unix::fs::MetadataExt;
        match path.symlink_metadata() {
            Ok(meta) => self.push(MoveKind::Remove, path.to_owned(), PathBuf::new(), meta.ino()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        Ok(())
    }
}

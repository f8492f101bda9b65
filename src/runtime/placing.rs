//! S7 to S9: decided jobs are put in their place, in groups: all renames, one sync, one commit. A job that cannot be
//! placed now holds up nobody: it is tried again beside the others until it can be, and the screen says so.

use super::pipeline::sync;
use super::prepare::with_record;
use super::shared::Shared;
use super::sync::Batch;
use super::take;
use crate::files::dir::{self, Dir};
use crate::files::names::temp_name;
use crate::files::place::{self, Placed};
use crate::files::reserve::Reservation;
use crate::model::action::Level;
use crate::model::job::{JobFile, Move, MoveKind};
use crate::model::ledger::StoreError;
use crate::model::view::Gravity;
use crate::model::{JobId, TaskName, crash, text};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};

/// What could not be placed, and a store that cannot write, is tried again after this time.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// Jobs that cannot be placed; beyond it nothing further is placed until some of them can be, so that the queue waits.
const STUCK_MAX: usize = 1024;
/// Banner of the jobs that cannot be placed.
const BANNER: &str = "placing_stuck";

/// A decided job on its way to its place.
pub struct Placing {
    /// The job.
    pub job: JobId,
    /// Its moves, in order.
    pub moves: Vec<Move>,
    /// Its file as last recorded: where its original may be when it is not where it should be, and its work folder.
    pub file: Option<JobFile>,
    /// It was decided by this process: whatever is at neither end of a move was never placed. After a crash it may have
    /// been placed, and fetched by whoever waited for it.
    fresh: bool,
    /// The moves done by this process, one bit for each of the first 64.
    placed: u64,
    /// What is held until then: names, folders.
    keep: Box<dyn Send + Sync>,
    /// What the log says once it is in its place.
    line: Option<(Level, TaskName, String)>,
}

impl Placing {
    /// A job just decided.
    pub fn new(job: JobId, moves: Vec<Move>, file: Option<JobFile>, keep: Box<dyn Send + Sync>) -> Self {
        Self { job, moves, file, fresh: true, placed: 0, keep, line: None }
    }

    /// The same with a line for the log, for when it is in its place.
    #[must_use]
    pub fn saying(mut self, line: Option<(Level, TaskName, String)>) -> Self {
        self.line = line;
        self
    }

    /// A job decided by an earlier process.
    pub fn left_behind(job: JobId, moves: Vec<Move>, file: Option<JobFile>) -> Self {
        Self { fresh: false, ..Self::new(job, moves, file, Box::new(())) }
    }

    fn is_placed(&self, m: &Move) -> bool {
        bit(m).is_some_and(|bit| self.placed & bit != 0)
    }
}

fn bit(m: &Move) -> Option<u64> {
    u32::try_from(m.seq).ok().and_then(|seq| 1_u64.checked_shl(seq))
}

/// Jobs that could not be placed yet.
#[derive(Default)]
pub struct Stuck {
    jobs: Mutex<Vec<Placing>>,
    rung: Notify,
}

impl Stuck {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn add(&self, jobs: Vec<Placing>) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).extend(jobs);
        self.rung.notify_one();
    }

    /// Takes them for another try.
    pub fn take(&self) -> Vec<Placing> {
        std::mem::take(&mut *self.jobs.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Places group after group until no more can come. What is stuck then is placed by the next start.
pub async fn stage(shared: Arc<Shared>, mut groups: mpsc::Receiver<Vec<Placing>>) {
    loop {
        let stuck = shared.stuck.count();
        if stuck >= STUCK_MAX && groups.is_closed() {
            return;
        }
        tokio::select! {
            group = groups.recv(), if stuck < STUCK_MAX => match group {
                Some(group) => place_group(&shared, group).await,
                None => return,
            },
            () = shared.stuck.rung.notified(), if stuck == 0 => {}
            () = tokio::time::sleep(RETRY_AFTER), if stuck > 0 => {
                place_group(&shared, shared.stuck.take()).await;
                if shared.stuck.count() == 0 {
                    shared.clear_banner(BANNER);
                }
            }
        }
    }
}

/// S7 to S9 for a group of decided jobs. Those that cannot be placed are left to the stage above, or the next start.
pub async fn place_group(shared: &Arc<Shared>, group: Vec<Placing>) {
    let mut left = group;
    while !left.is_empty() {
        let worker = Arc::clone(shared);
        let Some(mut moved) = shared.tracker.run(move || move_all(&worker, left)).await else {
            shared.complain("placing a group of jobs panicked: the next start places them");
            return;
        };
        finish(shared, moved.done).await;
        left = Vec::new();
        for (placing, way) in moved.taken {
            match shared.ledger.retarget(placing.job, way.moves.clone()).await {
                Ok(()) => left.push(rerouted(placing, way)),
                Err(e) => {
                    tracing::warn!("cannot choose another name for job {}: {e}", placing.job);
                    moved.failed.push(placing);
                }
            }
        }
        if !moved.failed.is_empty() {
            shared.stuck.add(moved.failed);
        }
    }
    shared.touch();
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
                super::network::say_settled(shared, &answer.settled);
                super::unusual::look(shared, &answer.settled);
                shared.tell_lanes(answer.lanes).await;
                break;
            }
            Err(StoreError::Closed) => return,
            Err(e) => {
                shared.store_failed(&e).await;
                tokio::time::sleep(RETRY_AFTER).await;
                if shared.is_leaving() {
                    // Everything is in its place; the next start finishes what it finds done.
                    return;
                }
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

/// Moves whose names were taken by somebody else, with other ones, and what holds these.
struct Rerouted {
    held: Reservation,
    moves: Vec<Move>,
}

/// Follows what the store has noted.
fn rerouted(mut placing: Placing, Rerouted { held, moves }: Rerouted) -> Placing {
    for m in moves {
        placing.placed &= !bit(&m).unwrap_or(0);
        if let Some(old) = placing.moves.iter_mut().find(|old| old.seq == m.seq) {
            *old = m;
        }
    }
    placing.keep = Box::new((std::mem::replace(&mut placing.keep, Box::new(())), held));
    placing
}

#[derive(Default)]
struct Moved {
    done: Vec<Placing>,
    taken: Vec<(Placing, Rerouted)>,
    failed: Vec<Placing>,
}

/// On a thread for blocking work: all renames of a group, one sync of every folder touched, then the removals of
/// sources that were copied.
fn move_all(shared: &Shared, group: Vec<Placing>) -> Moved {
    let mut moved = Moved::default();
    let mut batch = Batch::default();
    for mut placing in group {
        match rename_all(shared, &mut placing, &mut batch) {
            Ok(None) => moved.done.push(placing),
            Ok(Some(way)) => moved.taken.push((placing, way)),
            Err(e) => {
                let line = format!("job {} cannot be put in its place, tried again: {e}", placing.job);
                shared.banner(Gravity::Error, BANNER, line);
                moved.failed.push(placing);
            }
        }
    }
    crash::point("s8.before_sync");
    let synced = sync(shared, batch);
    crash::point("s8.after_sync");
    if let Err(e) = synced.and_then(|()| remove_sources(shared, &moved.done)) {
        shared.banner(Gravity::Error, BANNER, format!("the disk does not take the placed files, tried again: {e}"));
        moved.failed.append(&mut moved.done);
    }
    crash::point("s8.sources_removed");
    for placing in &moved.done {
        remove_work(shared, placing);
    }
    moved
}

fn rename_all(shared: &Shared, placing: &mut Placing, batch: &mut Batch) -> io::Result<Option<Rerouted>> {
    for at in 0..placing.moves.len() {
        let m = &placing.moves[at];
        if m.kind == MoveKind::RemoveSource {
            continue;
        }
        crash::point("s7.before_move");
        match place_anywhere(shared, placing.job, m)? {
            Placed::Done(folders) => folders.iter().for_each(|f| batch.folder(f)),
            Placed::Taken => return reroute(shared, placing, m).map(Some),
            Placed::Lost => lost(shared, m, placing, batch)?,
        }
        placing.placed |= bit(m).unwrap_or(0);
        crash::point("s7.after_move");
    }
    Ok(None)
}

/// One move. Where no rename leads to the target any more, because something else is mounted there than when it was
/// decided, the file is copied, and its source goes last.
fn place_anywhere(shared: &Shared, job: JobId, m: &Move) -> io::Result<Placed> {
    let placed = place::place(m, &shared.folders);
    let is_across = match &placed {
        Err(e) => dir::is_cross_device(e),
        // Perhaps the copy of a try that was cut before its source had gone.
        Ok(Placed::Taken) => m.kind != MoveKind::Replace,
        Ok(_) => false,
    };
    let (Some(from), Some(to)) = (m.src.parent(), m.dst.parent()) else { return placed };
    let (Some(src), Some(dst)) = (m.src.file_name(), m.dst.file_name()) else { return placed };
    if !is_across {
        return placed;
    }
    let (Ok(from), to) = (shared.folders.get(from), shared.folders.make(to)?) else { return placed };
    let Some(seen) = from.stat(src)?.filter(|s| s.facts.ino == m.ino) else { return placed };
    if let Some(there) = to.stat(dst)? {
        let is_copy = there.facts.dev != seen.facts.dev
            && there.facts.size == seen.facts.size
            && take::same_content(&from, src, &to, dst)?;
        if !is_copy {
            return Ok(Placed::Taken);
        }
        from.unlink(src)?;
        return Ok(Placed::Done(vec![from, to]));
    }
    if !take::copy_in(&from, src, &seen, &to, dst, &temp_name(job, 0, u32::MAX))? {
        return Err(io::Error::other("it changed while it was copied"));
    }
    Ok(Placed::Done(vec![from, to]))
}

/// The source of a move is at neither end. An original may still be where it landed: the rename into WORK was lost in
/// a power cut. Otherwise the job is not finished as if all were well: it is held, and said loudly. Only where a crash
/// may have come between its placing and its end is it let go, because then it may have been fetched from its place.
fn lost(shared: &Shared, m: &Move, placing: &Placing, batch: &mut Batch) -> io::Result<()> {
    if placing.is_placed(m) {
        return Ok(());
    }
    if let (MoveKind::Original, Some(file)) = (m.kind, &placing.file)
        && is_still_there(file, m.ino)
        && let Placed::Done(folders) = place::place(&Move { src: file.absolute(), ..m.clone() }, &shared.folders)?
    {
        folders.iter().for_each(|f| batch.folder(f));
        return Ok(());
    }
    let line = format!("{} is gone; its place would be {}", text::path(&m.src), text::path(&m.dst));
    shared.banner(Gravity::Error, "lost_file", format!("job {}: {line}", placing.job));
    if placing.fresh {
        return Err(io::Error::new(io::ErrorKind::NotFound, line));
    }
    shared.log.append(Level::Error, None, Some(placing.job), None, &format!("not found, so not moved: {line}"));
    Ok(())
}

/// Whether the very file that was recorded lies where it landed. Its inode alone does not tell: another file may have
/// got the name and the inode since.
fn is_still_there(file: &JobFile, ino: u64) -> bool {
    let (path, facts) = (file.absolute(), file.facts);
    let Some((parent, name)) = path.parent().zip(path.file_name()) else { return false };
    let found = Dir::open(parent).and_then(|dir| dir.stat(name)).ok().flatten();
    found.is_some_and(|there| there.facts.ino == ino && there.facts.same(&facts))
}

/// To the next free name. A file and its record take one suffix together: the one that is in its place already goes on
/// from there.
fn reroute(shared: &Shared, placing: &Placing, m: &Move) -> io::Result<Rerouted> {
    let placed = |m: &&Move| !matches!(m.kind, MoveKind::Remove | MoveKind::RemoveSource);
    let pair = placing.moves.iter().filter(placed).find_map(|file| {
        let record = with_record(&file.dst);
        let record = placing.moves.iter().filter(placed).find(|r| r.dst == record)?;
        [file.seq, record.seq].contains(&m.seq).then_some((file, record))
    });
    let (first, second) = pair.map_or((m, None), |(file, record)| (file, Some(record)));
    let siblings = |path: &Path| if second.is_some() { vec![with_record(path)] } else { Vec::new() };
    let held = shared.names.reserve(&first.dst, placing.job, &siblings, None)?;
    let move_to = |(m, dst): (&Move, &PathBuf)| {
        let src = if placing.is_placed(m) { &m.dst } else { &m.src };
        Move { src: src.clone(), dst: dst.clone(), ..m.clone() }
    };
    let moves = std::iter::once(first).chain(second).zip(&held.paths).map(move_to).collect();
    Ok(Rerouted { held, moves })
}

/// Sources go last, and are gone for certain before the job is over: a power cut must not bring them back.
fn remove_sources(shared: &Shared, done: &[Placing]) -> io::Result<()> {
    let mut batch = Batch::default();
    for m in done.iter().flat_map(|p| &p.moves).filter(|m| m.kind == MoveKind::RemoveSource) {
        if let Placed::Done(folders) = place::place(m, &shared.folders)? {
            folders.iter().for_each(|f| batch.folder(f));
        }
    }
    sync(shared, batch)
}

/// The work folder of a job that is done is empty; the next start sweeps it if it cannot be removed now.
fn remove_work(shared: &Shared, placing: &Placing) {
    let Some(file) = &placing.file else { return };
    if let Ok(work) = shared.folders.get(&file.root.join(crate::model::job::WORK)) {
        let _ = work.rmdir(std::ffi::OsStr::new(&placing.job.to_string()));
    }
    super::spool::forget(&shared.config.load(), file);
}

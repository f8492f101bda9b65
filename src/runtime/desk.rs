//! What an attempt may touch: temporary outputs, the log, its progress, a child.

use super::keep::Identity;
use super::memory::Share;
use super::orphans;
use super::outputs::{self, SMALL_MAX, Temp};
use super::secrets;
use super::shared::{Live, Shared};
use super::spawn::child::{self, Lines};
use super::spill::Spill;
use crate::files::reserve::Reservation;
use crate::model::action::network::{AnswerCache, Hosts};
use crate::model::action::{
    BoxFuture, ChildExit, ChildSpec, Desk, Grant, Level, OnExists, OutputFile, Progress, Resume, SmallOutput, Stop,
    Surroundings,
};
use crate::model::alert;
use crate::model::alert::outbox::{NewMessage, Outbox};
use crate::model::job::Claimed;
use crate::model::ledger::StoreError;
use crate::model::ports::Spawner;
use crate::model::statistics::Statistics;
use crate::model::{Failure, Millis, Secret, crash, text};
use std::borrow::Cow;
use std::cmp::Ordering as CmpOrdering;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Most outputs of one attempt.
const OUTPUTS_MAX: u32 = 1000;
/// Most outputs of one attempt that are kept in memory until it is decided; further ones are files at once.
const SMALL_COUNT: usize = 1;
/// A program that prints a secret may take this long.
const SECRET_MAX: Duration = Duration::from_secs(10);

/// The desk of one attempt.
pub struct JobDesk {
    pub(super) shared: Arc<Shared>,
    pub(super) claimed: Claimed,
    live: Arc<Live>,
    next: AtomicU32,
    state: Mutex<State>,
    /// Whether it holds a share of the memory.
    granted: Arc<AtomicBool>,
    spill: Spill,
}

/// What changes while it works.
#[derive(Default)]
pub(super) struct State {
    pub(super) temps: Vec<Temp>,
    pub(super) held: Vec<Reservation>,
    small: Vec<SmallOutput>,
    pub(super) identity: Identity,
    /// An earlier attempt has left a checkpoint that nobody has taken up or dropped.
    pub(super) earlier: bool,
    exit: Option<i32>,
}

/// What an attempt left on its desk.
pub struct Left {
    /// The temporary outputs.
    pub temps: Vec<Temp>,
    /// Their final names, held.
    pub held: Vec<Reservation>,
    /// Outputs that are no files yet.
    pub small: Vec<SmallOutput>,
    /// Whether an earlier attempt has left a checkpoint that this one has neither taken up nor dropped.
    pub earlier: bool,
    /// Exit code of the last child.
    pub exit: Option<i32>,
    /// The first lines of its own output.
    pub log_head: Option<String>,
    /// Where the rest lies.
    pub log_ref: Option<PathBuf>,
}

impl JobDesk {
    /// A desk for an attempt.
    pub fn new(shared: Arc<Shared>, claimed: Claimed, live: Arc<Live>) -> Self {
        let spill = Spill::new(shared.config.load().data_dir.join("output"), claimed.job, claimed.attempt);
        let (next, granted) = (AtomicU32::new(0), Arc::default());
        let state = Mutex::new(State { earlier: claimed.checkpoint, ..State::default() });
        Self { shared, claimed, live, next, state, granted, spill }
    }

    /// Takes what the attempt left. Called once, after the action has ended.
    pub fn clear(&self) -> Left {
        let state = std::mem::take(&mut *self.state());
        let (log_head, log_ref) = self.spill.finish();
        let State { temps, held, small, earlier, exit, .. } = state;
        Left { temps, held, small, earlier, exit, log_head, log_ref }
    }

    /// What a checkpoint of an earlier attempt must be about, and one of this attempt will be.
    pub fn identify(&self, identity: Identity) {
        self.state().identity = identity;
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A share of the memory; the attempt may ask again when it has gone.
struct Granted {
    _share: Share,
    flag: Arc<AtomicBool>,
}

impl Drop for Granted {
    fn drop(&mut self) {
        self.flag.store(false, Ordering::SeqCst);
    }
}

impl Desk for JobDesk {
    fn outputs(
        &self,
        target: &Path,
        siblings: &dyn Fn(&Path) -> Vec<PathBuf>,
        on_exists: OnExists,
    ) -> Result<Vec<OutputFile>, Failure> {
        if self.next.load(Ordering::Relaxed) >= OUTPUTS_MAX {
            return Err(Failure::permanent("too_many_outputs", format!("more than {OUTPUTS_MAX} outputs")));
        }
        self.forget_earlier()?;
        let has = |path: &PathBuf| self.state().held.iter().any(|h| h.paths.contains(path));
        let held = outputs::hold(&self.shared, &self.claimed, target, siblings, on_exists, has)?;
        let mut opened = Vec::with_capacity(held.paths.len());
        for path in &held.paths {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            let (file, temp) = outputs::open(&self.shared, &self.claimed, n, path, on_exists)
                .map_err(|e| Failure::io("output", "create", target, &e))?;
            opened.push(OutputFile { file, temp: temp.dir.path().join(&temp.name), target: path.clone() });
            self.state().temps.push(temp);
        }
        self.state().held.push(held);
        Ok(opened)
    }

    fn small_output(&self, small: SmallOutput) -> Result<(), SmallOutput> {
        let mut state = self.state();
        // To forget what an earlier attempt noted is to wait for the disk.
        if small.content.len() > SMALL_MAX || state.earlier || state.small.len() >= SMALL_COUNT {
            return Err(small);
        }
        state.small.push(small);
        Ok(())
    }

    fn workers(&self) -> usize {
        self.shared.config.load().workers.max(1)
    }

    fn crew(&self, threads: usize, work: &(dyn Fn(usize) + Sync)) {
        super::spawn::crew(threads, work);
    }

    fn memory(&self, bytes: u64) -> Result<Grant, Failure> {
        if self.granted.swap(true, Ordering::SeqCst) {
            return Err(Failure::permanent("internal", "the attempt holds a share of the memory already"));
        }
        let budget = &self.shared.memory;
        let share = budget.at_once(bytes).or_else(|| {
            let (used, total) = budget.in_use();
            let [wanted, used, total] = [bytes.min(total), used, total].map(text::count);
            let line = format!("waits for {wanted} bytes of memory: {used} of {total} are in use");
            self.shared.say(Level::Info, &self.claimed, &line);
            budget.wait(bytes, &|| self.stopped().is_some())
        });
        let Some(share) = share else {
            self.granted.store(false, Ordering::SeqCst);
            return Err(Failure::transient("stopped", "stopped while it waited for memory"));
        };
        let bytes = share.bytes;
        Ok(Grant::new(bytes, Box::new(Granted { _share: share, flag: Arc::clone(&self.granted) })))
    }

    fn checkpoint(&self, state: &[u8]) -> Result<(), Failure> {
        self.note_checkpoint(state)
    }

    fn resume(&self) -> Option<Resume> {
        self.take_up()
    }

    fn start_afresh(&self) -> Result<(), Failure> {
        self.drop_outputs()
    }

    fn log(&self, level: Level, line: &str) {
        self.spill.line(line.as_bytes());
        self.shared.say(level, &self.claimed, line);
    }

    fn progress(&self, progress: Progress) {
        self.live.progress.lock().unwrap_or_else(PoisonError::into_inner).note(progress, Instant::now());
    }

    fn stopped(&self) -> Option<Stop> {
        self.live.stop.reason()
    }

    fn until_stopped(&self) -> BoxFuture<Stop> {
        let live = Arc::clone(&self.live);
        Box::pin(async move { live.stop.wait().await })
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        self.shared.tracker.blocking(work);
    }

    fn secret(&self, secret: &Secret) -> Result<String, Failure> {
        secrets::resolve(secret, SECRET_MAX)
    }

    fn snapshot(&self, to: &Path) -> Result<(), Failure> {
        self.shared.store.snapshot(to, &|| self.stopped().is_none())
    }

    fn hosts(&self) -> Arc<dyn Hosts> {
        Arc::clone(&self.shared.gate) as Arc<dyn Hosts>
    }

    fn answers(&self) -> Arc<dyn AnswerCache> {
        self.shared.answers.get(&self.shared)
    }

    fn child(&self, mut spec: ChildSpec) -> BoxFuture<Result<ChildExit, Failure>> {
        // Before it starts: a supervisor that is killed meanwhile still knows it by this.
        spec.env.push((orphans::NOTE.into(), orphans::announce(&self.shared, &self.claimed)));
        let lines = ChildLines {
            shared: Arc::clone(&self.shared),
            claimed: self.claimed.clone(),
            spill: self.spill.clone(),
            program: text::bytes(spec.program.as_encoded_bytes()),
            logged: AtomicU32::new(0),
            hide: spec.hide.clone(),
        };
        let live = Arc::clone(&self.live);
        Box::pin(async move {
            let ended = child::run(spec, &live.stop, &lines).await;
            orphans::forget(&lines.shared, &lines.claimed);
            ended
        })
    }

    fn statistics(&self, from: Millis, to: Millis) -> Result<Statistics, Failure> {
        let mut statistics = self.shared.store.queries().statistics(from, to).map_err(|e| unread(&e))?;
        super::schedules::outlook(&self.shared, &mut statistics);
        Ok(statistics)
    }

    fn last_success(&self) -> Result<Option<Millis>, Failure> {
        let Claimed { task, run, .. } = &self.claimed;
        self.shared.store.queries().success_before(task, *run).map_err(|e| unread(&e))
    }

    fn tell(&self, channel: &str, key: &str, message: alert::Message) -> Result<(), Failure> {
        if !self.shared.config.load().alerts.channels.iter().any(|known| &*known.name == channel) {
            let message = format!("no alert channel is called {}", crate::model::block::shown(channel));
            return Err(Failure::permanent("no_channel", message));
        }
        let message = NewMessage { channel: channel.to_owned(), key: key.to_owned(), message };
        let put = self.shared.store.put(vec![message], Vec::new(), self.shared.now());
        let put = self.shared.tracker.handle().block_on(put);
        put.map_err(|e| Failure::transient("outbox", format!("cannot put the message into the outbox: {e}")))?;
        self.shared.told.store(true, Ordering::SeqCst);
        self.shared.touch();
        Ok(())
    }

    fn surroundings(&self) -> Surroundings {
        let config = self.shared.config.load();
        Surroundings {
            archive: Some(config.archive.clone()),
            folders: super::folders::named(&config),
            timezone: config.task(&self.claimed.task).map(|task| task.timezone),
        }
    }
}

/// What is said where the history could not be read: later it may be.
fn unread(error: &StoreError) -> Failure {
    Failure::transient("history", format!("cannot read the history: {error}"))
}

/// Lines of one program that go to the common log, so that a flood does not wash away what others said. All of its
/// output, up to a cap of its own, is kept with the job.
const LOGGED_MAX: u32 = 1000;
/// Longest part of a line that goes to the common log, in bytes.
const LOGGED_LINE: usize = 1024;

fn text_of(raw: &[u8]) -> &[u8] {
    &raw[..raw.len().min(LOGGED_LINE)]
}

struct ChildLines {
    shared: Arc<Shared>,
    claimed: Claimed,
    spill: Spill,
    program: String,
    logged: AtomicU32,
    hide: Vec<String>,
}

/// What stands for a secret.
const HIDDEN: &[u8; 8] = b"[hidden]";

/// A line without the secrets that its program was given. One that is cut by the length of a line is not found.
fn without<'a>(raw: &'a [u8], hide: &[String]) -> Cow<'a, [u8]> {
    let mut line = Cow::Borrowed(raw);
    for secret in hide {
        let mut from = 0;
        while let Some(at) = memchr::memmem::find(&line[from..], secret.as_bytes()).map(|at| from + at) {
            line.to_mut().splice(at..at + secret.len(), *HIDDEN);
            from = at + HIDDEN.len();
        }
    }
    line
}

impl Lines for ChildLines {
    fn line(&self, level: Level, raw: &[u8]) {
        let raw = &*without(raw, &self.hide);
        self.spill.line(raw);
        let said = self.logged.fetch_add(1, Ordering::Relaxed);
        let (level, line) = match said.cmp(&LOGGED_MAX) {
            CmpOrdering::Less => (level, text::bytes(text_of(raw))),
            CmpOrdering::Equal => (Level::Warn, "more output follows: it is kept with the job alone".to_owned()),
            CmpOrdering::Greater => return,
        };
        self.shared.log.append(level, Some(&self.claimed.task), Some(self.claimed.job), Some(&self.program), &line);
    }

    fn started(&self, group: i32) {
        orphans::remember(&self.shared, &self.claimed, group);
        crash::point("s4.child_started");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_prints_shows_no_secret_of_its_own() {
        let hide = ["hunter2".to_owned(), "hidden".to_owned()];
        let shown = |raw: &str| String::from_utf8(without(raw.as_bytes(), &hide).into_owned()).unwrap();
        assert_eq!(
            shown("token=hunter2&again=hunter2"),
            "token=[[hidden]]&again=[[hidden]]",
            "replaced twice, shown never"
        );
        assert_eq!(shown("nothing here"), "nothing here");
    }
}

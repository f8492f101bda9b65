//! The desk of work that has no queue: what `transform` and `fetch` write on the command line becomes visible at the end,
//! all of it or none.

use crate::files::dir::Dir;
use crate::files::names::temp_name;
use crate::files::reserve::{Names, Reservation};
use crate::model::action::network::{AnswerCache, Hosts};
use crate::model::action::{
    BoxFuture, ChildExit, ChildSpec, Grant, Level, OnExists, OutputFile, Progress, Resume, Stop,
};
use crate::model::ports::Spawner;
use crate::model::{Desk, Failure, JobId, Secret, text};
use crate::runtime::{NoAnswers, Tracker, crew, secrets};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Number of the next temporary file of this process.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A program that prints a secret may take this long.
const SECRET_MAX: Duration = Duration::from_secs(10);

/// A desk without a supervisor: temporary files beside their targets, renamed at the end.
pub struct LocalDesk {
    force: bool,
    stop: CancellationToken,
    tracker: Arc<Tracker>,
    gate: Arc<dyn Hosts>,
    /// Where it is given, outputs get the next free name.
    names: Option<Arc<Names>>,
    held: Mutex<Vec<Reservation>>,
    temps: Mutex<Vec<Temp>>,
    progress: Mutex<Progress>,
}

/// What is visible now.
pub struct Placed {
    /// The files.
    pub outputs: Vec<PathBuf>,
    /// How long the disk took for it.
    pub took: Duration,
}

struct Temp {
    dir: Dir,
    name: OsString,
    target: PathBuf,
}

impl LocalDesk {
    /// A desk; `force`: outputs replace files that are there. `gate`: common to all desks of one command.
    #[must_use]
    pub fn new(force: bool, tracker: Arc<Tracker>, gate: Arc<dyn Hosts>) -> Self {
        let stop = CancellationToken::new();
        let (names, held) = (None, Mutex::default());
        Self { force, stop, tracker, gate, names, held, temps: Mutex::default(), progress: Mutex::default() }
    }

    /// The same, and an output whose name is taken gets the next free one.
    #[must_use]
    pub fn with_names(mut self, names: Arc<Names>) -> Self {
        self.names = Some(names);
        self
    }

    /// The same, stopped by somebody else.
    #[must_use]
    pub fn stopped_by(mut self, stop: CancellationToken) -> Self {
        self.stop = stop;
        self
    }

    /// Tells the work to stop.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// How far the work has come.
    pub fn progress_now(&self) -> Progress {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn taken(&self) -> Vec<Temp> {
        std::mem::take(&mut *self.temps.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes every output visible: contents first, then names, then folders.
    pub fn place(&self) -> Result<Placed, Failure> {
        let temps = self.taken();
        let began = Instant::now();
        let placed = place_all(&temps, self.force);
        if placed.is_err() {
            remove(&temps);
        }
        placed.map(|()| Placed { outputs: temps.into_iter().map(|t| t.target).collect(), took: began.elapsed() })
    }

    /// Removes what was not placed.
    pub fn drop_all(&self) {
        remove(&self.taken());
    }
}

fn place_all(temps: &[Temp], force: bool) -> Result<(), Failure> {
    let fault = |temp: &Temp, e: &std::io::Error| Failure::io("output", "write", &temp.target, e);
    for temp in temps {
        let (file, _) = temp.dir.open_read(&temp.name).map_err(|e| fault(temp, &e))?;
        file.sync_all().map_err(|e| fault(temp, &e))?;
    }
    for temp in temps {
        let name = temp.target.file_name().unwrap_or_default();
        let renamed = if force {
            temp.dir.replace_to(&temp.name, &temp.dir, name)
        } else {
            temp.dir.rename_to(&temp.name, &temp.dir, name)
        };
        renamed.map_err(|e| fault(temp, &e))?;
    }
    for temp in temps {
        temp.dir.sync().map_err(|e| fault(temp, &e))?;
    }
    Ok(())
}

/// What was not placed is worth nothing.
fn remove(temps: &[Temp]) {
    for temp in temps {
        let _ = temp.dir.unlink(&temp.name);
    }
}

impl Desk for LocalDesk {
    fn outputs(
        &self,
        target: &Path,
        siblings: &dyn Fn(&Path) -> Vec<PathBuf>,
        _: OnExists,
    ) -> Result<Vec<OutputFile>, Failure> {
        let mut made = Vec::new();
        let targets = match self.names.as_ref().filter(|_| !self.force) {
            None => std::iter::once(target.to_owned()).chain(siblings(target)).collect(),
            Some(names) => {
                let held = names.reserve(target, JobId(0), siblings, None);
                let held = held.map_err(|e| Failure::io("output", "create", target, &e))?;
                let paths = held.paths.clone();
                self.held.lock().unwrap_or_else(PoisonError::into_inner).push(held);
                paths
            }
        };
        for target in targets {
            let fault = |e: &std::io::Error| Failure::io("output", "create", &target, e);
            if !self.force && target.symlink_metadata().is_ok() {
                let message = format!("the output is there already, --force replaces it: {}", text::path(&target));
                return Err(Failure::permanent("output_exists", message));
            }
            let folder = target.parent().unwrap_or_else(|| Path::new("/"));
            let dir = Dir::create_all(folder).map_err(|e| fault(&e))?;
            // One process may have many desks.
            let n = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = temp_name(JobId(0), i64::from(std::process::id()), n);
            let file = dir.create_new(&name, 0o666).map_err(|e| fault(&e))?;
            made.push(OutputFile { file, temp: folder.join(&name), target: target.clone() });
            self.temps.lock().unwrap_or_else(PoisonError::into_inner).push(Temp { dir, name, target });
        }
        Ok(made)
    }

    fn log(&self, _: Level, _: &str) {}

    fn progress(&self, progress: Progress) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = progress;
    }

    fn stopped(&self) -> Option<Stop> {
        self.stop.is_cancelled().then_some(Stop::Cancel)
    }

    fn child(&self, _: ChildSpec) -> BoxFuture<Result<ChildExit, Failure>> {
        Box::pin(std::future::ready(Err(Failure::permanent("internal", "work without a queue runs no program"))))
    }

    fn workers(&self) -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    fn crew(&self, threads: usize, work: &(dyn Fn(usize) + Sync)) {
        crew(threads, work);
    }

    fn memory(&self, bytes: u64) -> Result<Grant, Failure> {
        // One table, and nobody to share with.
        Ok(Grant::new(bytes, Box::new(())))
    }

    fn checkpoint(&self, _: &[u8]) -> Result<(), Failure> {
        Err(Failure::permanent("no_checkpoints", "work without a queue is not taken up again"))
    }

    fn resume(&self) -> Option<Resume> {
        None
    }

    fn start_afresh(&self) -> Result<(), Failure> {
        self.drop_all();
        Ok(())
    }

    fn until_stopped(&self) -> BoxFuture<Stop> {
        let stop = self.stop.clone();
        Box::pin(async move {
            stop.cancelled().await;
            Stop::Cancel
        })
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        self.tracker.blocking(work);
    }

    fn secret(&self, secret: &Secret) -> Result<String, Failure> {
        secrets::resolve(secret, SECRET_MAX)
    }

    fn hosts(&self) -> Arc<dyn Hosts> {
        Arc::clone(&self.gate)
    }

    fn answers(&self) -> Arc<dyn AnswerCache> {
        Arc::new(NoAnswers)
    }
}

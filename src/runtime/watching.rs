//! The watched folders of a running supervisor: one thread each, what they land goes into the queue.

use super::locks::{self, Lock};
use super::shared::{Event, Shared};
use crate::config::Config;
use crate::error::{Exit, Fatal};
use crate::files::dir::Dir;
use crate::kernel::Input;
use crate::model::action::Level;
use crate::model::job::{Landed, OURS};
use crate::model::ledger::StoreError;
use crate::model::ports::Spawner;
use crate::model::view::{Gravity, Listed};
use crate::model::{Unmatched, crash, text};
use crate::triggers::watch::{LandError, LandedCount, Landing, Root, RootControl, RootStatus, Stray, WatchSpec, specs};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The folders that are watched now.
#[derive(Default)]
pub struct Watching {
    roots: Mutex<Vec<Watched>>,
    /// The supervisor ends: no folder is watched any more, whatever a reload under way still wants.
    closed: AtomicBool,
    /// One reload at a time: two at once would watch a folder twice.
    restarting: Mutex<()>,
    /// The locks of all folders that were ever watched. One that a reload no longer names stays locked: jobs may still
    /// have their files in its work folder.
    locks: Mutex<HashMap<PathBuf, Lock>>,
}

struct Watched {
    dir: PathBuf,
    control: RootControl,
}

struct Lander(Arc<Shared>);

impl Landing for Lander {
    fn land(&self, batch: Vec<Landed>) -> Result<LandedCount, LandError> {
        let shared = &self.0;
        crash::point("s1.before_land");
        let landed = shared.tracker.handle().block_on(shared.ledger.land(batch, shared.now()));
        crash::point("s1.after_land");
        match landed {
            Ok(landing) => {
                if landing.new > 0 {
                    let lanes = landing.lanes;
                    shared.tracker.handle().block_on(shared.tell(Event::Kernel(Input::Waiting(lanes))));
                    shared.touch();
                }
                Ok(LandedCount { new: landing.new, known: landing.known + landing.own })
            }
            Err(error) => {
                if !matches!(error, StoreError::Closed) {
                    shared.tracker.handle().block_on(shared.store_failed(&error));
                }
                Err(LandError { message: error.to_string() })
            }
        }
    }

    /// Files that no task takes, where the configuration says that they fail: each is moved with a record, no job.
    fn strays(&self, batch: Vec<Stray>) -> Result<(), LandError> {
        for stray in batch {
            if let Err(error) = super::stray::fail(&self.0, &stray) {
                tracing::warn!("{} cannot be moved to the failed folder: {error}", text::path(&stray.path));
            }
        }
        Ok(())
    }
}

impl Watching {
    /// Makes and locks every folder that a configuration watches. It comes before anything is looked at or moved in
    /// them: the work folder of another supervisor must not be touched. Two names of one folder are refused.
    pub fn lock(&self, shared: &Shared, config: &Config) -> Result<(), Fatal> {
        let mut seen: HashMap<(u64, u64), PathBuf> = HashMap::new();
        for dir in config.roots() {
            let opened = Dir::create_all(dir).and_then(|opened| opened.stat_self());
            let facts = opened.map_err(|e| Fatal::io("create the watched folder", dir, &e))?.facts;
            if let Some(other) = seen.insert((facts.dev, facts.ino), dir.to_owned()) {
                let (one, two) = (text::path(&other), text::path(dir));
                return Err(Fatal::new(Exit::Config, format!("two watched folders are one: {one} and {two}"))
                    .hint("watch it under one name only"));
            }
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            if !locks.contains_key(dir) {
                let had_ours = dir.join(OURS).is_dir();
                locks.insert(dir.to_owned(), locks::root(dir, &config.path)?);
                shared.roots.locked(dir, had_ours);
            }
        }
        Ok(())
    }

    /// Starts to watch what the configuration says: each folder, locked before, is scanned once and then left to its
    /// thread. Answers how many files the first scans found new, or the first error; the other folders are watched
    /// all the same.
    pub fn start(&self, shared: &Arc<Shared>) -> Result<u64, Fatal> {
        let mut new = Ok(0);
        for spec in wanted(shared) {
            new = match (self.add(shared, spec), new) {
                (Ok(more), Ok(new)) => Ok(new + more),
                (Err(e), Ok(_)) | (_, Err(e)) => Err(e),
            };
        }
        new
    }

    fn add(&self, shared: &Arc<Shared>, spec: WatchSpec) -> Result<u64, Fatal> {
        let dir = spec.dir.clone();
        let mut root = Root::new(spec, Arc::clone(&shared.clock));
        let landing = Lander(Arc::clone(shared));
        let control = root.control();
        // Before the scan, which may take long: a stop must reach it.
        let watched = Watched { dir: dir.clone(), control: control.clone() };
        {
            let mut roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
            if self.closed.load(Ordering::SeqCst) {
                return Ok(0);
            }
            roots.push(watched);
        }
        let found = root.first_scan(&landing);
        let name = format!("watch {}", text::path(&dir));
        shared.tracker.thread(name, Box::new(move || root.run(&landing)));
        match found {
            Ok(found) => Ok(found.new),
            Err(_) if control.is_stopped() => Ok(0),
            Err(e) => Err(Fatal::io("scan", &dir, &e)),
        }
    }

    /// After a reload: every folder gets the tasks of the new configuration. A folder that cannot be watched is said.
    pub fn restart(&self, shared: &Arc<Shared>) {
        let _one = self.restarting.lock().unwrap_or_else(PoisonError::into_inner);
        self.stop();
        if let Err(fatal) = self.start(shared) {
            shared.banner(Gravity::Error, "watch_failed", fatal.message.clone());
            shared.log.append(Level::Error, None, None, None, &fatal.render(false));
        } else {
            shared.clear_banner("watch_failed");
        }
    }

    /// Tells every thread to end, for good.
    pub fn close(&self) {
        // Set under the lock, so that who adds a folder either sees it or is seen by the stop.
        let roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        self.closed.store(true, Ordering::SeqCst);
        drop(roots);
        self.stop();
    }

    /// Tells every thread to end.
    fn stop(&self) {
        for watched in self.roots.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            watched.control.stop();
        }
    }

    /// The state of each folder.
    pub fn status(&self) -> Vec<RootStatus> {
        let roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        roots.iter().map(|r| r.control.status()).collect()
    }

    /// Files that no task takes, of all folders together.
    pub fn listed(&self) -> Listed {
        let mut all = Listed::default();
        for status in self.status() {
            all.count += status.listed.count;
            let room = Listed::MAX.saturating_sub(all.files.len());
            all.files.extend(status.listed.files.into_iter().take(room));
        }
        all
    }

    /// A full scan of every folder: whether all were complete and found nothing new and nothing settling.
    pub async fn is_quiet(&self) -> bool {
        let controls: Vec<(PathBuf, RootControl)> = {
            let roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
            roots.iter().map(|r| (r.dir.clone(), r.control.clone())).collect()
        };
        for (_, control) in controls {
            let (tx, rx) = tokio::sync::oneshot::channel();
            control.scan_now(move |report| {
                // Whoever asked may have stopped waiting.
                let _ = tx.send(report);
            });
            match rx.await {
                Ok(report) if report.complete && report.new == 0 && report.settling == 0 => {}
                _ => return false,
            }
        }
        true
    }
}

/// What the configuration wants watched.
fn wanted(shared: &Shared) -> Vec<WatchSpec> {
    let config = shared.config.load();
    let exclude = super::folders::ours(&config);
    let mut wanted = specs(&config.tasks, &config.ignore, &exclude);
    for spec in &mut wanted {
        spec.offer_strays = config.unmatched == Unmatched::Fail;
    }
    wanted
}

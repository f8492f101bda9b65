//! The watched folders of a running supervisor: one thread each, what they land goes into the queue.

use super::locks::{self, Lock};
use super::shared::{Event, Shared};
use crate::error::Fatal;
use crate::files::dir::Dir;
use crate::kernel::Input;
use crate::model::action::Level;
use crate::model::job::Landed;
use crate::model::ledger::StoreError;
use crate::model::ports::Spawner;
use crate::model::view::{Gravity, Listed};
use crate::model::{Unmatched, crash, text};
use crate::triggers::watch::{LandError, LandedCount, Landing, Root, RootControl, RootStatus, Stray, WatchSpec, specs};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// The folders that are watched now.
#[derive(Default)]
pub struct Watching {
    roots: Mutex<Vec<Watched>>,
    /// The locks of all folders that were ever watched. One that a reload no longer names stays locked: jobs may still
    /// have their files in its work folder.
    locks: Mutex<BTreeMap<PathBuf, Lock>>,
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
    /// Locks what the configuration says. It comes before recovery, which must not touch the work folder of another
    /// supervisor.
    pub fn lock(&self, shared: &Shared) -> Result<(), Fatal> {
        let config = shared.config.load_full();
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        for dir in config.roots() {
            if !locks.contains_key(dir) {
                Dir::create_all(dir).map_err(|e| Fatal::io("create the watched folder", dir, &e))?;
                locks.insert(dir.to_owned(), locks::root(dir, &config.path)?);
            }
        }
        Ok(())
    }

    /// Starts to watch what the configuration says: each folder is locked, scanned once, and then left to its thread.
    /// Answers how many files the first scans found new.
    pub fn start(&self, shared: &Arc<Shared>) -> Result<u64, Fatal> {
        self.lock(shared)?;
        let mut new = 0;
        for spec in wanted(shared) {
            new += self.add(shared, spec)?;
        }
        Ok(new)
    }

    fn add(&self, shared: &Arc<Shared>, spec: WatchSpec) -> Result<u64, Fatal> {
        let dir = spec.dir.clone();
        let mut root = Root::new(spec, Arc::clone(&shared.clock));
        let landing = Lander(Arc::clone(shared));
        let found = root.first_scan(&landing).map_err(|e| Fatal::io("scan", &dir, &e))?;
        let control = root.control();
        let name = format!("watch {}", text::path(&dir));
        shared.tracker.thread(name, Box::new(move || root.run(&landing)));
        self.roots.lock().unwrap_or_else(PoisonError::into_inner).push(Watched { dir, control });
        Ok(found.new)
    }

    /// After a reload: every folder gets the tasks of the new configuration. A folder that cannot be watched is said.
    pub fn restart(&self, shared: &Arc<Shared>) {
        self.stop();
        if let Err(fatal) = self.start(shared) {
            shared.banner(Gravity::Error, "watch_failed", fatal.message.clone());
            shared.log.append(Level::Error, None, None, None, &fatal.render(false));
        } else {
            shared.clear_banner("watch_failed");
        }
    }

    /// Tells every thread to end.
    pub fn stop(&self) {
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

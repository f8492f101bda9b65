//! The runtime's parts on a real store and real folders, step by step, without the loop.

#![allow(clippy::disallowed_methods, reason = "tests meddle with files as others do")]

mod keeping;
mod network;
mod outputs;
mod placing;
mod recovery;
mod taking;

use super::shared::Shared;
use super::{start, take};
use crate::actions::KINDS;
use crate::clock::SystemClock;
use crate::files::dir::Dir;
use crate::model::job::{Claimed, Landed};
use crate::model::ledger::{AttemptPlan, Claim};
use crate::model::{JobState, Task};
use crate::store::Store;
use crate::telemetry::Log;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A folder with a configuration of one task `a` that watches `inbox`, its store, and what the parts share.
struct Site {
    dir: tempfile::TempDir,
    shared: Arc<Shared>,
}

impl Site {
    async fn new(action: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let text = format!("[tasks.a]\nwatch = {{ dir = \"inbox\", match = [\"*\"] }}\n{action}\n");
        fs::write(dir.path().join("config.toml"), text).unwrap();
        fs::create_dir_all(dir.path().join("inbox/.shiftboss")).unwrap();
        let shared = open(dir.path()).await;
        Self { dir, shared }
    }

    /// What another supervisor of the same data finds.
    async fn again(self) -> Self {
        self.shared.store.close();
        let shared = open(self.dir.path()).await;
        Self { dir: self.dir, shared }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    fn task(&self) -> Arc<Task> {
        self.shared.task("a").unwrap()
    }

    /// Puts a file into the inbox and into the queue.
    async fn land(&self, name: &str, content: &str) {
        fs::write(self.path("inbox").join(name), content).unwrap();
        let root = self.path("inbox");
        let stat = Dir::open(&root).unwrap().stat(OsStr::new(name)).unwrap().unwrap();
        let landed = Landed {
            task: "a".into(),
            root,
            path: name.into(),
            facts: stat.facts,
            priority: 0,
            seen: self.shared.now(),
        };
        assert_eq!(self.shared.ledger.land(vec![landed], self.shared.now()).await.unwrap().new, 1);
    }

    /// Claims every queued job.
    async fn claim(&self) -> Vec<Claimed> {
        let plan = Arc::new(|_: &Claimed| AttemptPlan::default());
        let claim = Claim { task: "a".into(), max: 100, running_limit: 100, now: self.shared.now(), plan, allow: None };
        self.shared.ledger.claim(claim).await.unwrap().jobs
    }

    async fn claim_one(&self) -> Claimed {
        let mut jobs = self.claim().await;
        assert_eq!(jobs.len(), 1);
        jobs.remove(0)
    }

    fn take(&self, claimed: &Claimed) -> take::Take {
        take::take(&self.shared, &self.task(), claimed, claimed.file.as_ref().unwrap())
    }

    async fn state(&self, claimed: &Claimed) -> JobState {
        self.shared.ledger.facts(vec![claimed.job]).await.unwrap()[0].state
    }
}

async fn open(dir: &Path) -> Arc<Shared> {
    let config = crate::config::load(&dir.join("config.toml"), KINDS).unwrap();
    fs::create_dir_all(&config.data_dir).unwrap();
    let store = Store::open(&config.database()).unwrap();
    let clock: Arc<dyn crate::clock::Clock> = Arc::new(SystemClock);
    let log = Arc::new(Log::open(config.data_dir.join("logs"), start::limits(&config), Arc::clone(&clock)));
    let (shared, _) = start::share(config, clock, log, store);
    let facts = shared.config.load().tasks.iter().map(|t| super::plan::facts(t).0).collect();
    shared.ledger.configure(facts, shared.now()).await.unwrap();
    shared
}

const EXTRACT: &str = "extract = {}";
const COMMAND: &str = "command = { program = \"true\" }";

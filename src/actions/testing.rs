//! A desk for tests: outputs are files in a temporary folder, and children end as the test says.

use crate::model::action::network::{
    AnswerCache, AnswerFacts, AnswerKey, CachedAnswer, HostLimits, HostName, Hosts, Pass,
};
use crate::model::action::{BoxFuture, ChildExit, ChildSpec, Grant, Level, OutputFile, Progress, Resume, Stop};
use crate::model::statistics::Statistics;
use crate::model::{
    Action, Desk, Failure, Input, JobId, JobOrder, Millis, OnExists, Report, RunId, Secret, Vars, Work, alert,
};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What a child does instead of running.
type Script = Box<dyn Fn(&ChildSpec) -> Result<ChildExit, Failure> + Send + Sync>;

/// The desk.
pub(super) struct TestDesk {
    /// The folder of everything.
    pub(super) dir: tempfile::TempDir,
    /// Temporary and final path of every output that was opened.
    outputs: Mutex<Vec<(PathBuf, PathBuf)>>,
    /// How far the attempt came.
    pub(super) progress: Mutex<Vec<Progress>>,
    /// Every child that was asked for.
    pub(super) children: Mutex<Vec<ChildSpec>>,
    script: Script,
    /// How often the attempt may still ask before it is told to stop.
    pub(super) patience: AtomicUsize,
    /// Threads that an attempt may use; 2 unless a test says otherwise.
    pub(super) workers: AtomicUsize,
    /// Most memory that is granted, in bytes.
    pub(super) memory: AtomicU64,
    /// What was noted at each checkpoint.
    pub(super) checkpoints: Mutex<Vec<Vec<u8>>>,
    /// What the next attempt on this desk finds noted; it gets the outputs that were opened so far.
    pub(super) resume: Mutex<Option<Vec<u8>>>,
    /// What was to become of each output whose name is taken.
    pub(super) on_exists: Mutex<Vec<OnExists>>,
    /// What every period came to; none: there is no history.
    pub(super) statistics: Mutex<Option<Statistics>>,
    /// The periods that were asked for.
    pub(super) asked: Mutex<Vec<(i64, i64)>>,
    /// What was told, with its channel and its key.
    pub(super) told: Mutex<Vec<(String, String, alert::Message)>>,
}

impl TestDesk {
    /// A desk whose children succeed.
    pub(super) fn new() -> Self {
        Self::with_children(|_| Ok(ChildExit { code: Some(0), ..ChildExit::default() }))
    }

    /// A desk whose children end as `script` says.
    pub(super) fn with_children(
        script: impl Fn(&ChildSpec) -> Result<ChildExit, Failure> + Send + Sync + 'static,
    ) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            outputs: Mutex::default(),
            progress: Mutex::default(),
            children: Mutex::default(),
            script: Box::new(script),
            patience: AtomicUsize::new(usize::MAX),
            workers: AtomicUsize::new(2),
            memory: AtomicU64::new(u64::MAX),
            checkpoints: Mutex::default(),
            resume: Mutex::default(),
            on_exists: Mutex::default(),
            statistics: Mutex::default(),
            asked: Mutex::default(),
            told: Mutex::default(),
        }
    }

    /// Final paths of the outputs that were opened.
    pub(super) fn written(&self) -> Vec<PathBuf> {
        self.outputs.lock().unwrap().iter().map(|(_, target)| target.clone()).collect()
    }

    /// Content of the output with this name.
    pub(super) fn bytes(&self, name: &str) -> Vec<u8> {
        let outputs = self.outputs.lock().unwrap();
        let found = outputs.iter().find(|(_, target)| target.file_name().is_some_and(|n| n == name));
        let (temp, _) = found.unwrap_or_else(|| panic!("no output {name} in {outputs:?}"));
        std::fs::read(temp).unwrap()
    }

    /// The same as JSON.
    pub(super) fn json(&self, name: &str) -> serde_json::Value {
        serde_json::from_slice(&self.bytes(name)).unwrap()
    }
}

impl Desk for TestDesk {
    fn outputs(
        &self,
        target: &Path,
        siblings: &dyn Fn(&Path) -> Vec<PathBuf>,
        on_exists: OnExists,
    ) -> Result<Vec<OutputFile>, Failure> {
        self.on_exists.lock().unwrap().push(on_exists);
        let mut outputs = self.outputs.lock().unwrap();
        let mut files = Vec::new();
        for target in std::iter::once(target.to_path_buf()).chain(siblings(target)) {
            let temp = self.dir.path().join(format!(".sb-1-1-{}.part", outputs.len()));
            files.push(OutputFile {
                file: File::create_new(&temp).unwrap(),
                temp: temp.clone(),
                target: target.clone(),
            });
            outputs.push((temp, target));
        }
        Ok(files)
    }

    fn workers(&self) -> usize {
        self.workers.load(Ordering::SeqCst)
    }

    fn crew(&self, threads: usize, work: &(dyn Fn(usize) + Sync)) {
        std::thread::scope(|scope| {
            for n in 1..threads {
                scope.spawn(move || work(n));
            }
            work(0);
        });
    }

    fn memory(&self, bytes: u64) -> Result<Grant, Failure> {
        Ok(Grant::new(bytes.min(self.memory.load(Ordering::SeqCst)), Box::new(())))
    }

    fn checkpoint(&self, state: &[u8]) -> Result<(), Failure> {
        self.checkpoints.lock().unwrap().push(state.to_vec());
        Ok(())
    }

    fn resume(&self) -> Option<Resume> {
        let state = self.resume.lock().unwrap().take()?;
        let mut outputs = self.outputs.lock().unwrap().clone();
        let open = |(temp, target): (PathBuf, PathBuf)| OutputFile {
            file: File::options().read(true).write(true).open(&temp).unwrap(),
            temp,
            target,
        };
        Some(Resume { state, outputs: outputs.drain(..).map(open).collect() })
    }

    fn start_afresh(&self) -> Result<(), Failure> {
        for (temp, _) in self.outputs.lock().unwrap().drain(..) {
            std::fs::remove_file(temp).unwrap();
        }
        Ok(())
    }

    fn log(&self, _: Level, _: &str) {}

    fn progress(&self, progress: Progress) {
        self.progress.lock().unwrap().push(progress);
    }

    fn stopped(&self) -> Option<Stop> {
        let left = self.patience.load(Ordering::SeqCst);
        self.patience.store(left.saturating_sub(1), Ordering::SeqCst);
        (left == 0).then_some(Stop::Cancel)
    }

    fn until_stopped(&self) -> BoxFuture<Stop> {
        Box::pin(std::future::pending())
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        work();
    }

    fn secret(&self, secret: &Secret) -> Result<String, Failure> {
        let value = match secret {
            Secret::Env(name) => std::env::var(name).ok(),
            Secret::File(path) => std::fs::read_to_string(path).ok().map(|s| s.trim_end().to_owned()),
            Secret::Command(_) => None,
        };
        value.ok_or_else(|| Failure::permanent("secret_missing", format!("no value from {secret}")))
    }

    fn hosts(&self) -> Arc<dyn Hosts> {
        Arc::new(Open)
    }

    fn answers(&self) -> Arc<dyn AnswerCache> {
        Arc::new(Open)
    }

    fn child(&self, spec: ChildSpec) -> BoxFuture<Result<ChildExit, Failure>> {
        let exit = (self.script)(&spec);
        self.children.lock().unwrap().push(spec);
        Box::pin(std::future::ready(exit))
    }

    fn statistics(&self, from: Millis, to: Millis) -> Result<Statistics, Failure> {
        self.asked.lock().unwrap().push((from.0, to.0));
        let known = self.statistics.lock().unwrap().clone();
        known.ok_or_else(|| Failure::permanent("no_statistics", "no history"))
    }

    fn tell(&self, channel: &str, key: &str, message: alert::Message) -> Result<(), Failure> {
        self.told.lock().unwrap().push((channel.into(), key.into(), message));
        Ok(())
    }
}

/// A gate that lets everybody through, and a cache that keeps nothing.
struct Open;

impl Hosts for Open {
    fn enter(&self, _: &HostName, _: &HostLimits) -> BoxFuture<Result<Pass, Failure>> {
        Box::pin(std::future::ready(Ok(Pass::new(Box::new(|_| {})))))
    }

    fn book_retry(&self, _: &HostName, _: &HostLimits) -> Millis {
        Millis(0)
    }
}

impl AnswerCache for Open {
    fn get(&self, _: &AnswerKey) -> Option<CachedAnswer> {
        None
    }

    fn put(&self, _: &AnswerKey, _: &AnswerFacts, _: &Path) -> std::io::Result<()> {
        Ok(())
    }

    fn confirm(&self, _: &AnswerKey, _: &AnswerFacts) -> std::io::Result<()> {
        Ok(())
    }
}

/// A claimed file with this content, modified at the beginning of 2026.
pub(super) fn input(desk: &TestDesk, name: &str, raw: &[u8]) -> Input {
    let path = desk.dir.path().join(name);
    std::fs::write(&path, raw).unwrap();
    Input {
        file: File::open(&path).unwrap(),
        path,
        name: name.into(),
        size: raw.len() as u64,
        mtime_ns: 1_767_225_600_000_000_000,
        label: format!("/inbox/{name}"),
    }
}

/// An order for a job of the task `docs`, whose configuration lies in `/base`.
pub(super) fn order(desk: &Arc<TestDesk>, input: Option<Input>) -> JobOrder {
    let name = input.as_ref().map(|i| i.name.clone()).unwrap_or_default();
    let vars = Vars { name, task: "docs".into(), run: 7, job: 12, n: 1, ..Vars::default() };
    let scratch = desk.dir.path().join("scratch");
    std::fs::create_dir_all(&scratch).unwrap();
    JobOrder {
        job: JobId(12),
        run: RunId(7),
        attempt: 2,
        planned_at: Millis(1_767_225_600_000),
        vars,
        base: "/base".into(),
        input,
        item: None,
        key: "docs-7-12".into(),
        upstream: Vec::new(),
        scratch,
        desk: desk.clone(),
    }
}

/// Does the work of an order.
pub(super) fn run(action: Arc<dyn Action>, order: JobOrder) -> Result<Report, Failure> {
    match action.work(order) {
        Work::Blocking(work) => work(),
        Work::Async(work) => tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work),
    }
}

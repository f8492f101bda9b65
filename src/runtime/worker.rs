//! One attempt from its claim to its end: take the file, run the action, contain whatever it does. It answers exactly
//! once, to the pipeline that decides and places.

use super::conditions;
use super::desk::{JobDesk, Left};
use super::keep::Identity;
use super::pipeline::Pipeline;
use super::planning;
use super::ruling;
use super::shared::{Event, Live, Shared};
use super::stop::StopSwitch;
use super::take::{self, Take, Taken};
use crate::kernel::Input;
use crate::model::action::{
    BoxFuture, FileType, Input as FileInput, JobOrder, Level, PlanOrder, Report, Stop, WaitsFor, Work,
};
use crate::model::job::{Claimed, JobKind};
use crate::model::{Failure, FailureClass, Millis, Placeholder, Task, Vars, crash, text};
use futures_util::FutureExt;
use std::any::Any;
use std::fs::DirBuilder;
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bytes read to tell a file's type.
const HEAD: usize = 512;

/// An attempt that has ended.
pub struct Ended {
    /// The job as it was claimed.
    pub claimed: Claimed,
    /// Its task, as configured at the claim.
    pub task: Arc<Task>,
    /// How it ended.
    pub end: End,
    /// Values for the names of its original.
    pub vars: Vars,
    /// When it ended.
    pub at: Millis,
}

/// How an attempt ended.
#[expect(clippy::large_enum_variant, reason = "one for each attempt, moved twice; the large one is the usual one")]
pub enum End {
    /// The action ran.
    Worked {
        /// What it answered.
        result: Result<Report, Failure>,
        /// Why it was stopped, if it was.
        stop: Option<Stop>,
        /// What it left.
        left: Left,
        /// Its file, if it had one.
        taken: Option<Box<Taken>>,
    },
    /// Its file went away before it was ours.
    Gone(&'static str, String),
    /// It could not start.
    Hold(String, Duration),
    /// A condition of its task says no.
    Skip(String),
}

/// Starts one attempt: on a thread for blocking work, and as a task from there if its action is one. It is handed to the
/// pipeline when it has ended.
pub fn start(shared: &Arc<Shared>, pipeline: Pipeline, claimed: Claimed, task: Arc<Task>, live: Arc<Live>) {
    use crate::model::ports::Spawner;
    let shared = Arc::clone(shared);
    let tracker = Arc::clone(&shared.tracker);
    // Nothing of it blocks, and a thread for each of them is what there is not.
    if claimed.kind == JobKind::Item && task.action.waits_for() == WaitsFor::Network {
        tracker.task("attempt", Box::pin(call(shared, pipeline, claimed, task, live)));
        return;
    }
    tracker.blocking(Box::new(move || {
        let began = Instant::now();
        let desk = Arc::new(JobDesk::new(Arc::clone(&shared), claimed.clone(), Arc::clone(&live)));
        let caught = std::panic::catch_unwind(AssertUnwindSafe(|| begin(&shared, &claimed, &task, &desk, &live)));
        let (begun, vars) = caught.unwrap_or_else(|p| {
            let failure = panicked(&payload(p.as_ref()));
            (Begun::Over(worked(Err(failure), None, None, &desk)), Vars::default())
        });
        let attempt = Attempt { shared: Arc::clone(&shared), pipeline, claimed, task, vars, began };
        match begun {
            Begun::Over(end) => attempt.over_blocking(end),
            Begun::Working(work, taken) => {
                // Short work in this process says only how it ended.
                let size = attempt
                    .claimed
                    .file
                    .as_ref()
                    .map_or_else(String::new, |f| format!(", {} bytes", text::count(f.facts.size)));
                let nth = match attempt.claimed.spent {
                    0 | 1 => String::new(),
                    spent => format!(", attempt {spent} of {}", attempt.task.retry.attempts),
                };
                let line = format!("started {}{nth}{size}", attempt.claimed.name());
                shared.say(Level::Info, &attempt.claimed, &line);
                let running = attempt.run(work, taken, desk, live);
                shared.tracker.task("attempt", Box::pin(running));
            }
        }
    }));
}

/// An attempt that waits for the network: it has no file, and what it does that blocks it does elsewhere.
async fn call(shared: Arc<Shared>, pipeline: Pipeline, claimed: Claimed, task: Arc<Task>, live: Arc<Live>) {
    let began = Instant::now();
    let desk = Arc::new(JobDesk::new(Arc::clone(&shared), claimed.clone(), Arc::clone(&live)));
    let caught = std::panic::catch_unwind(AssertUnwindSafe(|| prepare_call(&shared, &claimed, &task, &desk, &live)));
    let (work, vars) = caught.unwrap_or_else(|p| {
        let failure = panicked(&payload(p.as_ref()));
        (Err(failure), Vars::default())
    });
    let attempt = Attempt { shared, pipeline, claimed, task, vars, began };
    match work {
        Ok(work) => attempt.run(work, None, desk, live).await,
        Err(failure) => {
            let end = worked(Err(failure), live.stop.reason(), None, &desk);
            attempt.over(end).await;
        }
    }
}

fn prepare_call(
    shared: &Shared,
    claimed: &Claimed,
    task: &Arc<Task>,
    desk: &Arc<JobDesk>,
    live: &Live,
) -> (Result<BoxFuture<Result<Report, Failure>>, Failure>, Vars) {
    let vars = vars(shared, claimed, task);
    if live.stop.reason().is_some() {
        return (Err(Failure::transient(ruling::NOT_BEGUN, "stopped before it began")), vars);
    }
    desk.identify(Identity { config_hash: task.config_hash.clone(), facts: None });
    let order = order(shared, claimed, vars.clone(), None, desk);
    let work = match Arc::clone(&task.action).work(order) {
        Work::Async(work) => Ok(work),
        Work::Blocking(_) => Err(Failure::permanent("internal", "work on the network must not block")),
    };
    (work, vars)
}

fn order(shared: &Shared, claimed: &Claimed, vars: Vars, input: Option<FileInput>, desk: &Arc<JobDesk>) -> JobOrder {
    let is_item = claimed.kind == JobKind::Item;
    JobOrder {
        job: claimed.job,
        run: claimed.run,
        attempt: claimed.attempt,
        planned_at: claimed.planned_at,
        key: format!("{}-{}-{}", claimed.task, claimed.run, claimed.job),
        vars,
        base: shared.config.load().base.clone(),
        input,
        item: is_item.then(|| String::from_utf8_lossy(&claimed.label).into_owned()),
        upstream: claimed.upstream.clone(),
        scratch: scratch(shared, claimed),
        desk: Arc::clone(desk) as Arc<dyn crate::model::action::Desk>,
    }
}

/// An attempt on its way.
struct Attempt {
    shared: Arc<Shared>,
    pipeline: Pipeline,
    claimed: Claimed,
    task: Arc<Task>,
    vars: Vars,
    began: Instant,
}

impl Attempt {
    async fn run(
        self,
        work: BoxFuture<Result<Report, Failure>>,
        mut taken: Option<Box<Taken>>,
        desk: Arc<JobDesk>,
        live: Arc<Live>,
    ) {
        let result =
            AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|p| Err(panicked(&payload(p.as_ref()))));
        crash::point("s4.after_work");
        remove_scratch(&scratch(&self.shared, &self.claimed));
        let result = checked(result, &mut taken);
        self.over(worked(result, live.stop.reason(), taken, &desk)).await;
    }

    async fn over(self, end: End) {
        let (shared, pipeline) = (Arc::clone(&self.shared), self.pipeline.clone());
        let (event, ended) = self.end(end);
        shared.tell(event).await;
        pipeline.push(ended).await;
    }

    /// On a thread for blocking work.
    fn over_blocking(self, end: End) {
        let (shared, pipeline) = (Arc::clone(&self.shared), self.pipeline.clone());
        let (event, ended) = self.end(end);
        shared.tell_blocking(event);
        pipeline.push_blocking(ended);
    }

    fn end(self, end: End) -> (Event, Ended) {
        let Self { shared, claimed, task, vars, began, .. } = self;
        shared.live.lock().unwrap_or_else(PoisonError::into_inner).remove(&claimed.job);
        if !claimed.lane.is_empty() {
            shared.gate.ended(&claimed.lane, 1);
        }
        let event = Event::Kernel(Input::Ended { job: claimed.job, took: began.elapsed() });
        (event, Ended { claimed, task, end, vars, at: shared.now() })
    }
}

/// A live entry for an attempt that is about to start.
pub fn live(task: &Task) -> Arc<Live> {
    let deadline = task.timeout.and_then(|t| Instant::now().checked_add(t));
    Arc::new(Live { stop: Arc::new(StopSwitch::new(deadline)), progress: Mutex::default() })
}

#[expect(clippy::large_enum_variant, reason = "one for each attempt, and the large one is the usual one")]
enum Begun {
    Over(End),
    Working(BoxFuture<Result<Report, Failure>>, Option<Box<Taken>>),
}

/// On a thread for blocking work: takes the file, and runs the action here if it blocks.
fn begin(shared: &Arc<Shared>, claimed: &Claimed, task: &Arc<Task>, desk: &Arc<JobDesk>, live: &Live) -> (Begun, Vars) {
    let mut vars = vars(shared, claimed, task);
    // Once for each run: its first job begins it.
    if claimed.ordinal == 0 && claimed.file.is_none() && !task.when.is_empty() && live.stop.reason().is_none() {
        match conditions::refused(shared, task, &**desk) {
            Ok(None) => {}
            Ok(Some(why)) => return (Begun::Over(End::Skip(why)), vars),
            Err(failure) => return (Begun::Over(worked(Err(failure), live.stop.reason(), None, desk)), vars),
        }
    }
    let mut taken = match claimed.file.as_ref().map(|file| take::take(shared, task, claimed, file)) {
        None => None,
        Some(Take::Taken(taken)) => Some(taken),
        Some(Take::Gone(code, message)) => return (Begun::Over(End::Gone(code, message)), vars),
        Some(Take::Hold(reason, wait)) => return (Begun::Over(End::Hold(reason, wait)), vars),
        Some(Take::Failed(failure)) => return (Begun::Over(worked(Err(*failure), None, None, desk)), vars),
    };
    if let Some(why) = live.stop.reason() {
        let failure = Failure::transient(ruling::NOT_BEGUN, "stopped before it began");
        return (Begun::Over(worked(Err(failure), Some(why), taken, desk)), vars);
    }
    let input = match taken.as_deref().map(|t| open(t, claimed)).transpose() {
        Ok(input) => input,
        Err(failure) => return (Begun::Over(worked(Err(failure), None, taken, desk)), vars),
    };
    if let Some(input) = &input {
        vars.file_type = file_type(input).name();
        vars.input = input.path.clone().into_os_string();
    }
    desk.identify(Identity { config_hash: task.config_hash.clone(), facts: taken.as_ref().map(|t| t.facts) });
    let large = taken.as_ref().is_some_and(|t| t.facts.size >= super::sync::LARGE);
    crash::point("s4.before_work");
    let begun = if claimed.kind == JobKind::Plan {
        Ok(plan_work(shared, claimed, task, input, desk))
    } else {
        let order = order(shared, claimed, vars.clone(), input, desk);
        std::panic::catch_unwind(AssertUnwindSafe(|| Arc::clone(&task.action).work(order)))
    };
    match begun.unwrap_or_else(|p| Work::Blocking(Box::new(move || Err(panicked(&payload(p.as_ref())))))) {
        Work::Async(work) => {
            if let Err(e) = DirBuilder::new().mode(0o700).recursive(true).create(scratch(shared, claimed)) {
                let failure = Failure::io("scratch", "create", &scratch(shared, claimed), &e);
                return (Begun::Over(worked(Err(failure), None, taken, desk)), vars);
            }
            (Begun::Working(work, taken), vars)
        }
        Work::Blocking(work) => {
            shared.large.fetch_add(u32::from(large), Ordering::SeqCst);
            let result = std::panic::catch_unwind(AssertUnwindSafe(work))
                .unwrap_or_else(|p| Err(panicked(&payload(p.as_ref()))));
            shared.large.fetch_sub(u32::from(large), Ordering::SeqCst);
            crash::point("s4.after_work");
            let result = checked(result, &mut taken);
            (Begun::Over(worked(result, live.stop.reason(), taken, desk)), vars)
        }
    }
}

/// The work of the job that plans its run. The claimed file, if there is one, is read like an output of an upstream run.
fn plan_work(
    shared: &Arc<Shared>,
    claimed: &Claimed,
    task: &Arc<Task>,
    input: Option<FileInput>,
    desk: &Arc<JobDesk>,
) -> Work {
    let files = input.map_or_else(|| claimed.upstream.clone(), |file| vec![file.path]);
    let order = PlanOrder {
        planned_at: claimed.planned_at,
        timezone: task.timezone,
        base: shared.config.load().base.clone(),
        upstream: files,
    };
    let (shared, claimed, desk) = (Arc::clone(shared), claimed.clone(), Arc::clone(desk));
    let action = Arc::clone(&task.action);
    Work::Blocking(Box::new(move || planning::plan(&shared, &action, &claimed, &order, &*desk)))
}

/// S4 afterwards, also when the work failed: what is set aside is what lies in WORK then.
fn checked(result: Result<Report, Failure>, taken: &mut Option<Box<Taken>>) -> Result<Report, Failure> {
    let checked = taken.as_mut().map_or(Ok(()), |t| t.check());
    if taken.as_ref().is_some_and(|t| t.lost) {
        *taken = None;
    }
    result.and_then(|report| checked.map(|()| report))
}

fn worked(result: Result<Report, Failure>, stop: Option<Stop>, taken: Option<Box<Taken>>, desk: &JobDesk) -> End {
    End::Worked { result, stop, left: desk.clear(), taken }
}

/// The values that names are made of.
pub fn vars(shared: &Shared, claimed: &Claimed, task: &Task) -> Vars {
    let name = claimed.file.as_ref().map(|f| f.name.clone()).unwrap_or_default();
    // To name an item is to take its input apart, which only few templates want.
    let of_name = [Placeholder::Name, Placeholder::Stem, Placeholder::Ext, Placeholder::Type];
    let is_named = || task.action.outputs().iter().any(|t| t.placeholders().any(|p| of_name.contains(&p)));
    let is_item = claimed.kind == JobKind::Item && is_named();
    let name = if is_item { task.action.item_name(&String::from_utf8_lossy(&claimed.label)) } else { name };
    Vars {
        file_type: FileType::by_name(&name).unwrap_or(FileType::Other).name(),
        name,
        task: task.name.to_string(),
        date: crate::clock::date_in(claimed.planned_at, task.timezone),
        run: claimed.run.0,
        job: claimed.job.0,
        n: claimed.n(),
        host: if claimed.lane.is_empty() { shared.host.clone() } else { claimed.lane.to_string() },
        ..Vars::default()
    }
}

fn scratch(shared: &Shared, claimed: &Claimed) -> PathBuf {
    shared.config.load().data_dir.join("scratch").join(format!("{}-{}", claimed.job, claimed.attempt))
}

/// Scratch files are worth nothing afterwards; what cannot be removed now goes at the next start.
fn remove_scratch(path: &std::path::Path) {
    let _ = std::fs::remove_dir_all(path);
}

fn open(taken: &Taken, claimed: &Claimed) -> Result<FileInput, Failure> {
    let file = taken.file.try_clone().map_err(|e| Failure::io("input", "open", &taken.path(), &e))?;
    Ok(FileInput {
        path: taken.path(),
        name: taken.name.clone(),
        file,
        size: taken.facts.size,
        mtime_ns: taken.facts.mtime_ns,
        label: text::bytes(&claimed.label),
    })
}

fn file_type(input: &FileInput) -> FileType {
    FileType::by_name(&input.name).unwrap_or_else(|| {
        let mut head = [0; HEAD];
        // A file that cannot be read here fails in the action, with a better message.
        let n = input.file.read_at(&mut head, 0).or_else(|_| (&input.file).read(&mut head)).unwrap_or(0);
        FileType::by_content(&head[..n])
    })
}

fn panicked(message: &str) -> Failure {
    Failure::new(FailureClass::Panic, "panic", format!("the action panicked: {message}"))
}

fn payload(panic: &(dyn Any + Send)) -> String {
    let message = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    message.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}

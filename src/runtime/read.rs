//! Reads for screens and the command line: what the store remembers, overlaid with what only memory knows.

use super::operate::refuse_store;
use super::shared::Shared;
use super::ticks::{self, Subscription};
use super::watching::Watching;
use crate::clock::rfc3339;
use crate::model::ports::{Answer, JobsQuery, LogsQuery, Reader, Refusal, Ticks};
use crate::model::view::{
    AlertsView, Banner, Gravity, InputView, JobDetail, JobsPage, LogsPage, Paused, SchedulesPage, Status, TaskView,
    Tick,
};
use crate::model::{ContextLine, JobId, Millis, Trigger, text};
use crate::store::{Overview, TaskRow};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use tokio::sync::watch;

/// Most lines of an input shown on each side.
const CONTEXT_MAX: u32 = 100;
/// Lines looked through for one; beyond it the answer says so.
const LINES_MAX: u64 = 50_000_000;

/// The read side of a supervisor, running or not.
#[derive(Clone)]
pub struct Reads {
    shared: Arc<Shared>,
    watching: Option<Arc<Watching>>,
    ticks: watch::Receiver<Option<Tick>>,
}

/// The name of a user, or the number where there is none.
#[must_use]
pub fn user(uid: u32) -> String {
    nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid))
        .ok()
        .flatten()
        .map_or_else(|| format!("uid {uid}"), |u| u.name)
}

impl Reads {
    /// Reads over a supervisor's parts; without watched folders when none runs.
    #[must_use]
    pub fn new(shared: Arc<Shared>, watching: Option<Arc<Watching>>, ticks: watch::Receiver<Option<Tick>>) -> Self {
        Self { shared, watching, ticks }
    }

    fn ask<T: Send + 'static>(&self, read: impl FnOnce(&Self) -> Result<T, Refusal> + Send + 'static) -> Answer<T> {
        let this = self.clone();
        Box::pin(async move {
            let tracker = Arc::clone(&this.shared.tracker);
            tracker
                .run(move || read(&this))
                .await
                .unwrap_or_else(|| Err(Refusal::new(500, "panic", "reading panicked")))
        })
    }

    fn read_status(&self) -> Result<Status, Refusal> {
        let shared = &self.shared;
        let config = shared.config.load();
        let overview = shared.store.queries().overview().map_err(refuse_store)?;
        let running = self.watching.is_some();
        let now = shared.now();
        Ok(Status {
            state: if running { ticks::state(shared) } else { "stopped".into() },
            pid: running.then(std::process::id),
            version: env!("CARGO_PKG_VERSION").into(),
            api: 1,
            uptime_ms: if running { u64::try_from(now.since(shared.started_at).as_millis()).unwrap_or(0) } else { 0 },
            socket: text::path(&config.socket()),
            counts: overview.counts,
            tasks: self.tasks(&overview),
            host: shared.host.clone(),
            config: text::path(&config.path),
            banners: self.banners(&overview),
            gauges: shared.gauges.sample(),
            throughput: shared.flow.view(),
            listed: self.watching.as_ref().map(|w| w.listed()).unwrap_or_default(),
            progress: ticks::progress(shared),
            hosts: super::network::hosts(shared),
            paused: overview.paused.map(paused),
            oldest_queued_ms: overview.oldest_queued.map(|at| u64::try_from(now.since(at).as_millis()).unwrap_or(0)),
            now: rfc3339(now),
            rev: overview.rev,
        })
    }

    fn tasks(&self, overview: &Overview) -> Vec<TaskView> {
        let config = self.shared.config.load();
        let roots = self.watching.as_ref().map(|w| w.status()).unwrap_or_default();
        let view = |row: &TaskRow| {
            let task = config.task(&row.name);
            let settling = roots.iter().filter_map(|r| r.settling_by_task.get(row.name.as_str())).sum();
            if task.is_none() && row.counts.total() == row.counts.succeeded + row.counts.skipped + row.counts.cancelled
            {
                return None;
            }
            Some(TaskView {
                name: row.name.clone(),
                trigger: task.map_or("", |t| t.trigger.name()).to_owned(),
                source: task.map(|t| source(&t.trigger)).unwrap_or_default(),
                action: row.action.clone(),
                counts: row.counts,
                concurrency: task.map_or(0, |t| t.concurrency),
                paused: row.paused.map(paused),
                removed: task.is_none(),
                settling,
            })
        };
        overview.tasks.iter().filter_map(view).collect()
    }

    /// What is held, paused or degraded, gravest first.
    fn banners(&self, overview: &Overview) -> Vec<Banner> {
        let mut out: Vec<Banner> =
            self.shared.banners.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        let mut add = |gravity, code: &str, text: String, since: Option<Millis>| {
            out.push(Banner { gravity, code: code.into(), text, since: since.map(rfc3339) });
        };
        if let Some((uid, at)) = overview.paused {
            add(
                Gravity::Warning,
                "paused",
                format!("everything is paused by {}: nothing new is started", user(uid)),
                Some(at),
            );
        }
        for task in &overview.tasks {
            if let Some((uid, at)) = task.paused {
                let held = task.counts.queued;
                add(
                    Gravity::Warning,
                    "task_paused",
                    format!("{} is paused by {}: {} held", task.name, user(uid), text::counted(held, "job")),
                    Some(at),
                );
            }
            let left = task.counts.queued + task.counts.waiting;
            if task.removed && left > 0 {
                let text = format!(
                    "{} is no longer configured: {left} jobs held, cancel them or configure it again",
                    task.name
                );
                add(Gravity::Warning, "task_removed", text, None);
            }
        }
        for root in self.watching.as_ref().map(|w| w.status()).unwrap_or_default() {
            let dir = text::path(&root.dir);
            if let Some(problem) = &root.problem {
                add(Gravity::Error, "watch_problem", format!("{dir}: {problem}"), None);
            } else if let Some(why) = &root.polling {
                add(Gravity::Info, "polling", format!("{dir} is polled: {why}"), None);
            }
        }
        out.sort_by(|a, b| (a.gravity, &a.code).cmp(&(b.gravity, &b.code)));
        out
    }

    fn read_input(&self, id: JobId, line: u64, context: u32) -> Result<InputView, Refusal> {
        let detail = self.read_job(id)?;
        let wanted = ["failed", "processed", "in"];
        let path = wanted
            .iter()
            .filter_map(|role| detail.files.iter().find(|f| f.role == *role))
            .map(|f| PathBuf::from(&f.path))
            .find(|p| p.is_file())
            .ok_or_else(|| Refusal::new(404, "no_input", "the input is no longer there"))?;
        let fault =
            |e: std::io::Error| Refusal::new(503, "no_input", format!("cannot read {}: {e}", text::path(&path)));
        let context = u64::from(context.min(CONTEXT_MAX));
        let (from, to) = (line.saturating_sub(context).max(1), line.saturating_add(context).min(LINES_MAX));
        let mut reader = BufReader::new(std::fs::File::open(&path).map_err(fault)?);
        let mut lines = Vec::new();
        for n in 1..=to {
            let mut raw = Vec::new();
            if reader.read_until(b'\n', &mut raw).map_err(fault)? == 0 {
                break;
            }
            if n >= from {
                while matches!(raw.last(), Some(b'\n' | b'\r')) {
                    raw.pop();
                }
                lines.push((n, raw));
            }
        }
        Ok(decoded(text::path(&path), &lines))
    }

    fn read_job(&self, id: JobId) -> Result<JobDetail, Refusal> {
        let found = self.shared.store.queries().job(id, self.shared.now()).map_err(refuse_store)?;
        let mut detail = found.ok_or_else(|| unknown_job(id))?;
        for action in &mut detail.actions {
            action.user = Some(user(action.uid));
        }
        detail.why = super::why::job(&self.shared, self.watching.is_some(), &detail.job);
        Ok(detail)
    }
}

/// The answer to a number that no job has.
pub fn unknown_job(id: JobId) -> Refusal {
    Refusal::new(404, "unknown_job", format!("no such job: {id}"))
}

fn paused((uid, at): (u32, Millis)) -> Paused {
    Paused { by: user(uid), at: rfc3339(at) }
}

/// What a task watches or waits for; the trigger stands before it.
fn source(trigger: &Trigger) -> String {
    match trigger {
        Trigger::Watch(w) => format!("{}/{}", text::path(&w.dir), w.patterns.join(" ")),
        Trigger::After(after) => after.tasks.join(", "),
        Trigger::Schedule(schedule) => schedule.describe(),
        Trigger::Manual => String::new(),
    }
}

fn decoded(path: String, lines: &[(u64, Vec<u8>)]) -> InputView {
    let sample: Vec<u8> = lines.iter().flat_map(|(_, raw)| raw.iter().copied()).collect();
    let encoding = if std::str::from_utf8(&sample).is_ok() {
        encoding_rs::UTF_8
    } else {
        let mut detector = chardetng::EncodingDetector::new(chardetng::Iso2022JpDetection::Deny);
        detector.feed(&sample, true);
        detector.guess(Some(b"kr"), chardetng::Utf8Detection::Allow)
    };
    let show = |raw: &[u8]| {
        let (decoded, _, _) = encoding.decode(raw);
        text::cut(&text::escape(&decoded), crate::model::Failure::RAW_MAX).into_owned()
    };
    InputView {
        path,
        lines: lines.iter().map(|(line, raw)| ContextLine { line: *line, text: show(raw) }).collect(),
        encoding: encoding.name().to_owned(),
    }
}

impl Reader for Reads {
    fn status(&self) -> Answer<Status> {
        self.ask(Self::read_status)
    }

    fn jobs(&self, query: JobsQuery) -> Answer<JobsPage> {
        self.ask(move |this| this.shared.store.queries().jobs(&query, this.shared.now()).map_err(refuse_store))
    }

    fn job(&self, id: JobId) -> Answer<JobDetail> {
        self.ask(move |this| this.read_job(id))
    }

    fn input(&self, id: JobId, line: u64, context: u32) -> Answer<InputView> {
        self.ask(move |this| this.read_input(id, line, context))
    }

    fn file(&self, path: PathBuf) -> Answer<JobsPage> {
        self.ask(move |this| {
            let path = std::path::absolute(&path).unwrap_or(path);
            this.shared.store.queries().file(&path, this.shared.now()).map_err(refuse_store)
        })
    }

    fn logs(&self, query: LogsQuery) -> Answer<LogsPage> {
        self.ask(move |this| {
            if let Some(job) = query.job
                && this.shared.store.queries().run_of(job).map_err(refuse_store)?.is_none()
            {
                return Err(unknown_job(job));
            }
            Ok(this.shared.log.page(&query))
        })
    }

    fn schedules(&self) -> Answer<SchedulesPage> {
        self.ask(|this| super::schedules::page(&this.shared))
    }

    fn alerts(&self) -> Answer<AlertsView> {
        self.ask(|this| super::alerting::view(&this.shared).map_err(refuse_store))
    }

    fn ticks(&self) -> Box<dyn Ticks> {
        let mut ticks = self.ticks.clone();
        ticks.mark_unchanged();
        self.shared.touch();
        Box::new(Subscription(ticks))
    }
}

//! Ports that answer with the samples.

use super::outlook::{alerts, schedules};
use super::{ago, detail, failed, failure, job, log_line, status};
use crate::model::ports::{
    Actor, Answer, BoxFuture2, Commands, Explain, JobsQuery, LogsQuery, Reader, Refusal, Target, Ticks,
};
use crate::model::view::{
    AlertsView, Done, InputView, JobDetail, JobView, JobsPage, LogLine, LogsPage, Paused, Refused, SchedulesPage,
    Selection, Status, TestedView, Tick, Triggered, WhyView,
};
use crate::model::{Filter, JobId, JobState, RunId, SelectionId};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// Ports that answer with the samples, note every call, and refuse where they are told to.
#[derive(Clone)]
pub struct FakePorts(Arc<Fake>);

/// What the fake answers from; change it in place.
pub struct Fake {
    /// Every call, spelled out.
    pub calls: Mutex<Vec<String>>,
    /// All jobs, in the order of the list.
    pub jobs: Mutex<Vec<JobView>>,
    /// The log.
    pub log: Mutex<Vec<LogLine>>,
    /// Refused jobs.
    pub refused: Mutex<Vec<Refused>>,
    /// The supervisor's state.
    pub status: Mutex<Status>,
    /// The schedules.
    pub schedules: Mutex<SchedulesPage>,
    /// The alerts.
    pub alerts: Mutex<AlertsView>,
    /// What `job` answers instead of the sample.
    pub detail: Mutex<Option<JobDetail>>,
    /// The call that panics, if one does.
    pub panic_on: Mutex<Option<&'static str>>,
    /// What everything is refused with, if it is.
    pub refusal: Mutex<Option<Refusal>>,
    /// The newest tick; dropping the sender stops the supervisor.
    pub ticks: Mutex<Option<watch::Sender<Option<Tick>>>>,
}

impl Default for FakePorts {
    fn default() -> Self {
        Self(Arc::new(Fake {
            calls: Mutex::default(),
            jobs: Mutex::new(vec![failed(5), failed(4), job(3, JobState::Running), job(2, JobState::Queued)]),
            log: Mutex::new(vec![log_line(1, "landed"), log_line(2, "started")]),
            refused: Mutex::default(),
            status: Mutex::new(status()),
            schedules: Mutex::new(schedules()),
            alerts: Mutex::new(alerts()),
            detail: Mutex::default(),
            panic_on: Mutex::default(),
            refusal: Mutex::default(),
            ticks: Mutex::new(Some(watch::Sender::new(None))),
        }))
    }
}

impl std::ops::Deref for FakePorts {
    type Target = Fake;

    fn deref(&self) -> &Fake {
        &self.0
    }
}

impl FakePorts {
    fn answer<T: Send + 'static>(&self, call: String, value: impl FnOnce(&Fake) -> Result<T, Refusal>) -> Answer<T> {
        let panics = self.panic_on.lock().unwrap().is_some_and(|c| c == call);
        assert!(!panics, "told to panic");
        self.calls.lock().unwrap().push(call);
        let refusal = self.refusal.lock().unwrap().clone();
        let answer = match refusal {
            Some(refusal) => Err(refusal),
            None => value(&self.0),
        };
        Box::pin(async move { answer })
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    /// Sends a tick to everybody who waits.
    pub fn send(&self, tick: Tick) {
        if let Some(ticks) = &*self.ticks.lock().unwrap() {
            ticks.send_replace(Some(tick));
        }
    }

    /// Adds a line to the log.
    pub fn log(&self, line: LogLine) {
        self.log.lock().unwrap().push(line);
    }

    /// Sets the supervisor's pid.
    pub fn set_pid(&self, pid: Option<u32>) {
        self.status.lock().unwrap().pid = pid;
    }

    /// Sets what `job` answers.
    pub fn set_detail(&self, detail: JobDetail) {
        *self.detail.lock().unwrap() = Some(detail);
    }

    /// Ends the tick stream.
    pub fn end(&self) {
        self.ticks.lock().unwrap().take();
    }

    fn act(&self, call: &str, target: &Target) -> Answer<Done> {
        let ids = match target {
            Target::Jobs(ids) => ids.clone(),
            Target::Selection(_) => vec![JobId(5), JobId(4)],
        };
        self.answer(format!("{call} {target:?}"), |fake| {
            let refused = fake.refused.lock().unwrap().clone();
            let done = ids.into_iter().filter(|id| refused.iter().all(|r| r.id != *id)).collect();
            Ok(Done { done, refused })
        })
    }
}

fn unknown(id: JobId) -> Refusal {
    Refusal::new(404, "unknown_job", format!("no such job: {id}")).hint("list them with `shiftboss jobs`")
}

impl Reader for FakePorts {
    fn status(&self) -> Answer<Status> {
        self.answer("status".into(), |fake| Ok(fake.status.lock().unwrap().clone()))
    }

    fn jobs(&self, query: JobsQuery) -> Answer<JobsPage> {
        let call = format!(
            "jobs {} after={:?} limit={:?} since={:?}",
            query.filter, query.after, query.limit, query.since_rev
        );
        self.answer(call, |fake| {
            let mut jobs = fake.jobs.lock().unwrap().clone();
            let matching = jobs.len() as u64;
            jobs.retain(|j| query.since_rev.is_none_or(|rev| j.rev > rev));
            let start: usize = query.after.map_or(0, |a| a.parse().unwrap());
            let end = jobs.len().min(start + query.limit.map_or(usize::MAX / 2, |l| l as usize));
            let next = (end < jobs.len()).then(|| end.to_string());
            let jobs = jobs.drain(start.min(end)..end).collect();
            Ok(JobsPage { jobs, next, matching, more: false, rev: 991 })
        })
    }

    fn job(&self, id: JobId) -> Answer<JobDetail> {
        self.answer(format!("job {id}"), |fake| {
            if id.0 >= 1000 {
                return Err(unknown(id));
            }
            Ok(fake.detail.lock().unwrap().clone().unwrap_or_else(|| detail(id.0)))
        })
    }

    fn input(&self, id: JobId, line: u64, context: u32) -> Answer<InputView> {
        self.answer(format!("input {id} {line} {context}"), |_| {
            let lines = failure().context;
            Ok(InputView { path: "/srv/a.csv".into(), lines, encoding: "UTF-8".into() })
        })
    }

    fn file(&self, path: PathBuf) -> Answer<JobsPage> {
        self.answer(format!("file {path:?}"), |_| {
            Ok(JobsPage { jobs: vec![failed(5)], matching: 1, ..JobsPage::default() })
        })
    }

    fn logs(&self, query: LogsQuery) -> Answer<LogsPage> {
        let call = format!("logs {query:?}");
        self.answer(call, |fake| {
            let mut lines = fake.log.lock().unwrap().clone();
            let next = lines.last().map_or(0, |l| l.seq) + 1;
            match query.from {
                Some(from) => {
                    lines.retain(|l| l.seq >= from);
                    lines.truncate(query.limit as usize);
                }
                None => drop(lines.drain(..lines.len().saturating_sub(query.limit as usize))),
            }
            let next = lines.last().map_or(next, |l| l.seq + 1);
            Ok(LogsPage { lines, next, gap: 0 })
        })
    }

    fn schedules(&self) -> Answer<SchedulesPage> {
        self.answer("schedules".into(), |fake| Ok(fake.schedules.lock().unwrap().clone()))
    }

    fn alerts(&self) -> Answer<AlertsView> {
        self.answer("alerts".into(), |fake| Ok(fake.alerts.lock().unwrap().clone()))
    }

    fn ticks(&self) -> Box<dyn Ticks> {
        let receiver = self.ticks.lock().unwrap().as_ref().map(watch::Sender::subscribe);
        Box::new(FakeTicks(receiver))
    }
}

struct FakeTicks(Option<watch::Receiver<Option<Tick>>>);

impl Ticks for FakeTicks {
    fn next(&mut self) -> BoxFuture2<'_, Option<Tick>> {
        Box::pin(async move {
            let receiver = self.0.as_mut()?;
            receiver.changed().await.ok()?;
            receiver.borrow_and_update().clone()
        })
    }
}

impl Commands for FakePorts {
    fn select(&self, actor: Actor, filter: Filter) -> Answer<Selection> {
        self.answer(format!("select {filter} by {}", actor.uid), |fake| {
            let count = fake.jobs.lock().unwrap().len() as u64;
            Ok(Selection { id: SelectionId(9), count, names: vec!["a.csv".into()], rev: 991 })
        })
    }

    fn retry(&self, _: Actor, target: Target) -> Answer<Done> {
        self.act("retry", &target)
    }

    fn skip(&self, _: Actor, target: Target, reason: String) -> Answer<Done> {
        self.act(&format!("skip {reason:?}"), &target)
    }

    fn cancel(&self, _: Actor, target: Target) -> Answer<Done> {
        self.act("cancel", &target)
    }

    fn trigger(&self, _: Actor, task: String, input: Option<PathBuf>) -> Answer<Triggered> {
        self.answer(format!("trigger {task} {input:?}"), |_| Ok(Triggered { run: RunId(78), jobs: vec![JobId(6)] }))
    }

    fn pause(&self, _: Actor, task: Option<String>) -> Answer<Paused> {
        self.answer(format!("pause {task:?}"), |_| Ok(Paused { by: "mina".into(), at: ago(0) }))
    }

    fn resume(&self, _: Actor, task: Option<String>) -> Answer<()> {
        self.answer(format!("resume {task:?}"), |_| Ok(()))
    }

    fn reload(&self, _: Actor) -> Answer<Vec<String>> {
        self.answer("reload".into(), |_| Ok(vec!["task orders: settle 2s -> 5s".into()]))
    }

    fn stop(&self, _: Actor, now: bool) -> Answer<()> {
        self.answer(format!("stop now={now}"), |fake| {
            *fake.refusal.lock().unwrap() = Some(Refusal::new(503, "not_running", "no supervisor is running"));
            Ok(())
        })
    }

    fn restart(&self, _: Actor) -> Answer<()> {
        self.answer("restart".into(), |_| Ok(()))
    }

    fn alert_test(&self, _: Actor, channel: Option<String>) -> Answer<Vec<TestedView>> {
        let tested = |name: &str, error: Option<&str>| TestedView {
            channel: name.into(),
            kind: "webhook".into(),
            target: "hook.example.com".into(),
            ok: error.is_none(),
            error: error.map(str::to_owned),
        };
        self.answer(format!("alert_test {channel:?}"), move |_| {
            Ok(vec![tested(channel.as_deref().unwrap_or("hook"), None), tested("mail", Some("no such host"))])
        })
    }
}

impl Explain for FakePorts {
    fn why_job(&self, id: JobId) -> Answer<WhyView> {
        self.answer(format!("why job {id}"), |_| {
            if id.0 >= 1000 {
                return Err(unknown(id));
            }
            Ok(WhyView { subject: format!("job {id}"), reasons: vec!["task orders is paused by mina".into()] })
        })
    }

    fn why_task(&self, task: String) -> Answer<WhyView> {
        self.answer(format!("why task {task}"), |_| Ok(WhyView { subject: format!("task {task}"), reasons: vec![] }))
    }
}

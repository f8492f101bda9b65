//! Fixed views and ports that answer with them, for the tests of everything that speaks to the ports.

use super::action::Level;
use super::ports::{
    Actor, Answer, BoxFuture2, Commands, Explain, JobsQuery, LogsQuery, Reader, Refusal, Target, Ticks,
};
use super::view::{
    ActionView, AttemptView, Banner, CauseView, Counts, Done, FileView, Gauges, Gravity, InputView, JobDetail, JobView,
    JobsPage, Listed, ListedFile, LogLine, LogsPage, Paused, ProgressView, Refused, Selection, Status, TaskView,
    Throughput, Tick, Triggered, WhyView,
};
use super::{CauseId, ContextLine, Detail, Failure, Filter, JobId, JobState, Millis, RunId, SelectionId};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// The moment at which the samples are looked at: 2026-11-20T05:02:11Z.
pub const NOW: Millis = Millis(1_795_150_931_000);

/// A time so many seconds before [`NOW`], as the views spell times.
pub fn ago(seconds: i64) -> String {
    use chrono::{SecondsFormat, TimeZone};
    let at = chrono::Utc.timestamp_millis_opt(NOW.0 - seconds * 1000).unwrap();
    at.with_timezone(&chrono_tz::Asia::Seoul).to_rfc3339_opts(SecondsFormat::Millis, false)
}

/// A failure at a place in a CSV file.
pub fn failure() -> Failure {
    let mut f = Failure::permanent("csv_bad_row", "line 14, column 3 \"value\": not a number: \"12,5\"");
    f.file = Some("/srv/orders/failed/orders/주문-2026-11-20.csv".into());
    f.line = Some(14);
    f.column = Some(3);
    f.column_name = Some("value".into());
    f.raw = Some("1042,포도 상자,\"12,5\"".into());
    f.context = vec![
        ContextLine { line: 13, text: "1041,사과 상자,88".into() },
        ContextLine { line: 14, text: "1042,포도 상자,\"12,5\"".into() },
        ContextLine { line: 15, text: "1043,감귤 상자,91".into() },
    ];
    f.causes = vec![
        Detail { message: "not a number: \"12,5\"".into(), line: Some(14), column: Some(3), ..Detail::default() },
        Detail { message: "not a number: \"-\"".into(), line: Some(20), column: Some(3), ..Detail::default() },
    ];
    f
}

/// A job in a state.
pub fn job(id: i64, state: JobState) -> JobView {
    JobView {
        id: JobId(id),
        run: RunId(77),
        task: "orders".into(),
        action: "extract".into(),
        state,
        input: format!("/srv/orders/inbox/주문-{id}.csv"),
        input_b64: None,
        attempt: 1,
        spent: 1,
        max_attempts: 3,
        created_at: ago(134),
        started_at: Some(ago(130)),
        finished_at: state.is_settled().then(|| ago(129)),
        duration_ms: Some(312),
        not_before: None,
        rows: Some(13),
        rows_out: None,
        rejected: 0,
        bytes_in: Some(4_300),
        bytes_out: None,
        outputs: vec![],
        error: None,
        held: None,
        maybe_repeated: false,
        reason: None,
        rev: id,
    }
}

/// A failed job.
pub fn failed(id: i64) -> JobView {
    JobView { error: Some(failure()), ..job(id, JobState::Failed) }
}

/// Everything about a failed job.
pub fn detail(id: i64) -> JobDetail {
    JobDetail {
        job: failed(id),
        attempts: vec![AttemptView {
            n: 1,
            node: "web-03".into(),
            started_at: ago(130),
            ended_at: Some(ago(129)),
            duration_ms: Some(312),
            outcome: Some("failed".into()),
            class: Some(super::FailureClass::Permanent),
            exit: None,
            charged: true,
            error: Some(failure()),
            config_hash: "5f3c".into(),
            output: Some("reading\nfailed".into()),
            output_file: None,
        }],
        files: vec![
            FileView {
                role: "in".into(),
                path: format!("/srv/orders/inbox/주문-{id}.csv"),
                size: Some(4_300),
                at: ago(134),
            },
            FileView {
                role: "failed".into(),
                path: format!("/srv/orders/failed/orders/주문-{id}.csv"),
                size: Some(4_300),
                at: ago(129),
            },
        ],
        cause: Some(CauseView {
            id: CauseId(3),
            text: "line #, column # \"…\": not a number: \"…\"".into(),
            first_at: ago(180),
            last_at: ago(129),
            open: 2,
            total: 14,
        }),
        rejects: Vec::new(),
        actions: vec![ActionView {
            at: ago(100),
            uid: 1000,
            user: Some("mina".into()),
            kind: "retry".into(),
            filter: None,
            reason: None,
        }],
        why: vec!["it failed, and an operator decides".into()],
    }
}

/// Everything about a job that succeeded and set records aside.
pub fn with_rejects(id: i64) -> JobDetail {
    let reject = |line, byte, value: &str| Detail {
        message: format!("not a whole number: \"{value}\""),
        line: Some(line),
        byte: Some(byte),
        column: Some(3),
        column_name: Some("value".into()),
        raw: Some(format!("{line},포도 상자,{value}")),
    };
    let mut detail = detail(id);
    detail.job = JobView { rows_out: Some(11), rejected: 2, ..job(id, JobState::Succeeded) };
    let attempt = &mut detail.attempts[0];
    (attempt.outcome, attempt.class, attempt.error) = (Some("succeeded".into()), None, None);
    JobDetail { rejects: vec![reject(7, 1204, "12x"), reject(9, 1266, "-")], cause: None, why: Vec::new(), ..detail }
}

/// The state of a busy supervisor.
pub fn status() -> Status {
    let counts = Counts {
        waiting: 3,
        queued: 128,
        running: 2,
        succeeded: 18_204,
        failed: 3,
        skipped: 4,
        cancelled: 1,
        retry: 2,
        ..Counts::default()
    };
    let task = |name: &str, source: &str, action: &str, counts, settling| TaskView {
        name: name.into(),
        trigger: "watch".into(),
        source: source.into(),
        action: action.into(),
        counts,
        concurrency: 2,
        paused: None,
        removed: false,
        settling,
    };
    let mut thumbs = task("thumbs", "/srv/orders/pictures", "command", Counts::default(), 0);
    thumbs.paused = Some(Paused { by: "mina".into(), at: ago(300) });
    Status {
        state: "running".into(),
        pid: Some(4242),
        version: "0.1.0".into(),
        api: 1,
        uptime_ms: 353_460_000,
        socket: "/srv/orders/data/run/control.sock".into(),
        counts,
        tasks: vec![task("orders", "/srv/orders/inbox", "extract", counts, 1), thumbs],
        host: "web-03".into(),
        config: "/srv/orders/config.toml".into(),
        banners: vec![Banner {
            gravity: Gravity::Warning,
            code: "paused".into(),
            text: "task thumbs is paused by mina".into(),
            since: Some(ago(300)),
        }],
        gauges: Gauges {
            cpu_percent: vec![75.0, 91.0],
            memory_used_bytes: 3_328_599_654,
            memory_total_bytes: 25_232_932_864,
            disk_free_bytes: 85_899_345_920,
            disk_total_bytes: 145_600_000_000,
            process_memory_bytes: 42_991_616,
        },
        throughput: Throughput {
            jobs_per_second: vec![210, 212],
            bytes_per_second: vec![18_000_000, 18_400_000],
            queue_depth: vec![130, 128],
        },
        listed: Listed {
            count: 3,
            files: vec![ListedFile { path: "/srv/orders/inbox/notes.xyz".into(), reason: "no task matches".into() }],
        },
        progress: vec![progress()],
        paused: None,
        oldest_queued_ms: Some(184_000),
        now: ago(0),
        rev: 991,
    }
}

/// A tick.
pub fn tick(rev: i64) -> Tick {
    Tick {
        rev,
        counts: status().counts,
        gauges: status().gauges,
        jobs_per_second: 212,
        bytes_per_second: 18_400_000,
        touched: vec!["orders".into()],
        progress: vec![progress()],
        status_rev: 1,
        state: "running".into(),
        now_ms: NOW.0,
    }
}

/// How far the running job is.
pub fn progress() -> ProgressView {
    ProgressView {
        job: JobId(5),
        bytes: 61,
        bytes_total: Some(100),
        rows: 612_000,
        rows_out: Some(598_120),
        rejected: 12,
        rows_per_second: Some(1_204_000),
        bytes_per_second: Some(18_400_000),
        left_ms: Some(41_300),
    }
}

/// A line of the log.
pub fn log_line(seq: u64, message: &str) -> LogLine {
    LogLine {
        seq,
        at: ago(10),
        level: Level::Info,
        task: Some("orders".into()),
        job: Some(JobId(5)),
        target: None,
        message: message.into(),
    }
}

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

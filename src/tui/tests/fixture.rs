//! A busy server in the small, with a fixed clock.

pub use super::bench::*;
pub use super::calls::*;

use crate::clock;
use crate::model::action::Level;
use crate::model::view::{
    ActionView, AttemptView, Banner, CauseView, Counts, FileView, Gauges, Gravity, JobDetail, JobView, LogLine,
    LogsPage, Paused, ProgressView, Status, TaskView, Throughput, Tick,
};
use crate::model::{CauseId, ContextLine, Detail, Failure, FailureClass, JobId, JobState, Millis, RunId};

/// A time of day in this host's zone, so that screens are the same wherever the tests run.
pub fn at(hour: u32, minute: u32, second: u32) -> Millis {
    use chrono::TimeZone;
    let there = chrono::Local.with_ymd_and_hms(2026, 11, 20, hour, minute, second).unwrap();
    Millis(there.timestamp_millis())
}

/// The same as text.
pub fn stamp(hour: u32, minute: u32, second: u32) -> String {
    clock::rfc3339(at(hour, minute, second))
}

/// When the screens are taken.
pub fn now() -> Millis {
    at(14, 2, 11)
}

pub fn job(id: i64, state: JobState) -> JobView {
    JobView {
        id: JobId(id),
        run: RunId(id),
        task: "orders".into(),
        action: "transform".into(),
        state,
        input: format!("/srv/inbox/orders-{id}.csv"),
        input_b64: None,
        attempt: 0,
        spent: 0,
        max_attempts: 3,
        created_at: stamp(13, 59, 0),
        started_at: None,
        finished_at: None,
        duration_ms: None,
        not_before: None,
        rows: None,
        bytes_in: Some(4_100_000),
        rows_out: None,
        rejected: 0,
        bytes_out: None,
        outputs: Vec::new(),
        error: None,
        held: None,
        maybe_repeated: false,
        reason: None,
        rev: 1,
        host: None,
        http_status: None,
        latency_ms: None,
        requests: None,
        cached: false,
        is_plan: false,
    }
}

pub fn failure() -> Failure {
    let mut f = Failure::permanent("not_a_number", "line 14, value: \"12,5\" is not a number");
    f.file = Some("주문-2026-11-20.csv".into());
    (f.line, f.column, f.column_name) = (Some(14), Some(3), Some("value".into()));
    f.raw = Some("1042,포도 상자,\"12,5\"".into());
    f.context = [(13, "1041,사과 상자,88"), (14, "1042,포도 상자,\"12,5\""), (15, "1043,감귤 상자,91")]
        .map(|(line, text)| ContextLine { line, text: text.into() })
        .to_vec();
    f
}

pub fn failed(id: i64, input: &str, error: Failure) -> JobView {
    JobView {
        input: input.into(),
        attempt: 1,
        spent: 1,
        started_at: Some(stamp(14, 0, 2)),
        finished_at: Some(stamp(14, 0, 2)),
        duration_ms: Some(300),
        error: Some(error),
        ..job(id, JobState::Failed)
    }
}

/// The rows of the busy screen, in the order of the server.
pub fn busy_rows() -> Vec<JobView> {
    let mut dash = failure();
    dash.message = "line 9, value: \"-\" is not a number".into();
    let retry = JobView {
        task: "partners".into(),
        action: "fetch".into(),
        input: "https://api.partner.com/v2/items/12".into(),
        spent: 2,
        attempt: 2,
        max_attempts: 5,
        not_before: Some(stamp(14, 2, 52)),
        error: Some(Failure::transient("http_503", "503 service unavailable")),
        ..job(18_290, JobState::Waiting)
    };
    let running = |id, task: &str, input: &str, s| JobView {
        task: task.into(),
        input: input.into(),
        spent: 1,
        attempt: 1,
        started_at: Some(stamp(14, 1, s)),
        ..job(id, JobState::Running)
    };
    let queued = |id, input: &str| JobView { task: "thumbs".into(), input: input.into(), ..job(id, JobState::Queued) };
    vec![
        failed(18_331, "/srv/inbox/주문-2026-11-20.csv", failure()),
        failed(18_329, "/srv/inbox/주문-2026-11-19.csv", dash),
        JobView {
            task: "partners".into(),
            ..failed(
                18_301,
                "https://api.partner.com/v2/items/81",
                Failure::permanent("http_401", "401 unauthorized: token expired"),
            )
        },
        running(18_340, "orders", "/srv/inbox/orders-b.csv", 59),
        running(18_339, "thumbs", "/srv/inbox/IMG_2041.jpg", 10),
        retry,
        JobView {
            held: Some("api.partner.com asked us to wait until 14:03:10".into()),
            ..queued(18_344, "/srv/inbox/IMG_2043.jpg")
        },
        queued(18_343, "/srv/inbox/a-very-long-name-of-a-picture-that-somebody-took-in-spring-2026.jpg"),
        queued(18_342, "/srv/inbox/IMG_2042.jpg"),
        JobView {
            task: "documents".into(),
            spent: 1,
            attempt: 1,
            finished_at: Some(stamp(14, 2, 8)),
            ..JobView { input: "/srv/inbox/contract.pdf".into(), ..job(18_338, JobState::Succeeded) }
        },
        JobView {
            reason: Some("known bad".into()),
            finished_at: Some(stamp(12, 0, 0)),
            ..job(18_300, JobState::Skipped)
        },
        JobView { finished_at: Some(stamp(9, 0, 0)), ..job(18_200, JobState::Cancelled) },
    ]
}

pub fn counts() -> Counts {
    Counts {
        waiting: 2,
        queued: 128,
        running: 2,
        succeeded: 18_204,
        failed: 3,
        skipped: 1,
        cancelled: 1,
        retry: 2,
        placing: 0,
    }
}

pub fn gauges() -> Gauges {
    Gauges {
        cpu_percent: vec![75.0, 91.0],
        memory_used_bytes: 3_100_000_000,
        memory_total_bytes: 23_500_000_000,
        disk_free_bytes: 80_000_000_000,
        disk_total_bytes: 136_000_000_000,
        process_memory_bytes: 40_000_000,
    }
}

fn task(name: &str, trigger: &str, source: &str, action: &str, counts: Counts) -> TaskView {
    TaskView {
        name: name.into(),
        trigger: trigger.into(),
        source: source.into(),
        action: action.into(),
        counts,
        concurrency: 2,
        paused: None,
        removed: false,
        settling: 0,
    }
}

pub fn status() -> Status {
    let wave = |n: u64| [2, 3, 5, 8, 13, 18, 15, 11, 7, 4].map(|v| v * n).repeat(6);
    let of = |failed, running, queued, succeeded| Counts { failed, running, queued, succeeded, ..Counts::default() };
    Status {
        state: "running".into(),
        pid: Some(4711),
        version: "0.1.0".into(),
        api: 1,
        uptime_ms: 353_460_000,
        socket: "/srv/orders/data/run/control.sock".into(),
        counts: counts(),
        tasks: vec![
            task("orders", "watch", "/srv/inbox orders-*.csv, 주문-*.csv", "transform", of(2, 1, 0, 9_120)),
            TaskView {
                paused: Some(Paused { by: "jun".into(), at: stamp(13, 40, 0) }),
                ..task("partners", "manual", "", "fetch", of(1, 0, 2, 310))
            },
            TaskView { settling: 2, ..task("thumbs", "watch", "/srv/inbox *.jpg", "command", of(0, 1, 128, 8_700)) },
            task("documents", "watch", "/srv/inbox *.pdf", "extract", of(0, 0, 0, 74)),
        ],
        host: "web-03".into(),
        config: "/srv/orders/config.toml".into(),
        banners: Vec::new(),
        gauges: gauges(),
        throughput: Throughput {
            jobs_per_second: wave(12).into_iter().map(|v| u32::try_from(v).unwrap()).collect(),
            bytes_per_second: wave(1_000_000),
            queue_depth: (68..=128).collect(),
        },
        listed: Default::default(),
        progress: Vec::new(),
        paused: None,
        oldest_queued_ms: Some(61_000),
        hosts: Vec::new(),
        now: clock::rfc3339(now()),
        rev: 10,
    }
}

pub fn banner(gravity: Gravity, text: &str) -> Banner {
    Banner { gravity, code: "test".into(), text: text.into(), since: Some(stamp(13, 50, 0)) }
}

pub fn tick(rev: i64) -> Tick {
    let progress = |job, bytes| ProgressView {
        job: JobId(job),
        bytes,
        bytes_total: Some(100),
        rows: 0,
        rows_out: None,
        rejected: 0,
        rows_per_second: None,
        bytes_per_second: None,
        left_ms: None,
    };
    let told = ProgressView {
        rows: 612_000,
        rows_out: Some(598_120),
        rejected: 12,
        rows_per_second: Some(1_204_000),
        bytes_per_second: Some(18_400_000),
        left_ms: Some(41_300),
        ..progress(18_340, 61)
    };
    Tick {
        rev,
        counts: counts(),
        gauges: gauges(),
        jobs_per_second: 84,
        bytes_per_second: 18_400_000,
        touched: Vec::new(),
        progress: vec![told, progress(18_339, 4)],
        status_rev: 1,
        state: "running".into(),
        now_ms: now().0,
        hosts: Vec::new(),
    }
}

/// A job that set rows aside.
pub fn with_rejects() -> Vec<JobView> {
    let mut rows = busy_rows();
    let done = JobView { finished_at: Some(stamp(14, 2, 0)), spent: 1, attempt: 1, ..job(18_341, JobState::Succeeded) };
    rows.insert(0, JobView { rows: Some(612_000), rows_out: Some(611_988), rejected: 12, ..done });
    rows
}

fn reject(n: u64) -> Detail {
    Detail {
        message: "not a whole number: \"12x\"".into(),
        line: Some(n * 7),
        byte: Some(n * 1_204),
        column: Some(3),
        column_name: Some("value".into()),
        raw: Some(format!("{n},포도 상자,12x")),
    }
}

pub fn detail(job: JobView) -> JobDetail {
    let file =
        |role: &str, path: String| FileView { role: role.into(), path, size: Some(4_100_000), at: stamp(14, 0, 2) };
    let settled = job.state == JobState::Failed;
    JobDetail {
        run: job.host.as_ref().map(|_| run()),
        attempts: vec![AttemptView {
            n: 1,
            node: "web-03".into(),
            started_at: stamp(14, 0, 2),
            ended_at: settled.then(|| stamp(14, 0, 2)),
            duration_ms: settled.then_some(300),
            outcome: settled.then(|| "failed".into()),
            class: settled.then_some(FailureClass::Permanent),
            exit: None,
            charged: true,
            error: job.error.clone(),
            config_hash: "b3a1".into(),
            output: None,
            output_file: None,
        }],
        files: vec![
            file("in", job.input.clone()),
            file("failed", format!("/srv/failed/orders/{}", job.input.rsplit('/').next().unwrap_or(""))),
        ],
        cause: settled.then(|| CauseView {
            id: CauseId(1),
            text: "line #, value: \"…\" is not a number".into(),
            first_at: stamp(13, 59, 1),
            last_at: stamp(14, 0, 2),
            open: 2,
            total: 7,
        }),
        rejects: (1..=job.rejected.min(100)).map(reject).collect(),
        actions: vec![ActionView {
            at: stamp(13, 58, 0),
            uid: 1000,
            user: Some("jun".into()),
            kind: "retry".into(),
            filter: None,
            reason: None,
        }],
        why: Vec::new(),
        job,
    }
}

pub fn line(seq: u64, level: Level, message: &str) -> LogLine {
    LogLine {
        seq,
        at: stamp(14, 2, u32::try_from(seq % 60).unwrap()),
        level,
        task: None,
        job: None,
        target: None,
        message: message.into(),
    }
}

pub fn log() -> LogsPage {
    let of = |seq, level, task: &str, id: i64, message: &str| LogLine {
        task: Some(task.into()),
        job: Some(JobId(id)),
        ..line(seq, level, message)
    };
    let lines = vec![
        of(7, Level::Info, "orders", 18_340, "started orders-b.csv, 4.1 MB"),
        of(8, Level::Warn, "partners", 18_290, "503 service unavailable: attempt 3 of 5 in 41 s"),
        LogLine { target: Some("shiftboss::triggers::watch".into()), ..line(9, Level::Info, "2 landed, 1 settling") },
        of(10, Level::Error, "orders", 18_331, "line 14, value: \"12,5\" is not a number"),
        of(11, Level::Debug, "thumbs", 18_339, "convert IMG_2041.jpg"),
    ];
    LogsPage { lines, next: 12, gap: 0 }
}

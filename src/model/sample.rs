//! Fixed views and ports that answer with them, for the tests of everything that speaks to the ports.

mod outlook;
mod ports;

pub use outlook::{alerts, schedules};
pub use ports::{Fake, FakePorts};

use super::action::Level;
use super::view::{
    ActionView, AttemptView, Banner, CauseView, Counts, FileView, Gauges, Gravity, JobDetail, JobView, Listed,
    ListedFile, LogLine, Paused, ProgressView, Status, TaskView, Throughput, Tick,
};
use super::{CauseId, ContextLine, Detail, Failure, JobId, JobState, Millis, RunId};

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
        host: None,
        http_status: None,
        latency_ms: None,
        requests: None,
        cached: false,
        is_plan: false,
    }
}

/// A failed job.
pub fn failed(id: i64) -> JobView {
    JobView { error: Some(failure()), ..job(id, JobState::Failed) }
}

/// Everything about a failed job.
pub fn detail(id: i64) -> JobDetail {
    JobDetail {
        run: None,
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
        hosts: Vec::new(),
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
        hosts: Vec::new(),
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

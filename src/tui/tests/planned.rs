//! Schedules and alerts of the busy server.

use super::fixture::{at, stamp, status};
use crate::clock;
use crate::model::Millis;
use crate::model::view::{
    AlertsView, ChannelView, Counts, OpenCause, OutboxView, PastRun, ScheduleView, SchedulesPage, Status, TaskView,
};

/// So many hours and minutes after a time of the day, as text: tomorrow is 24 hours away.
fn on(hour: u32, minute: u32, days: i64) -> String {
    clock::rfc3339(Millis(at(hour, minute, 0).0 + days * 86_400_000))
}

/// The same instant as a zone three hours west of here tells it.
fn west(at: &str) -> String {
    let there = chrono::DateTime::parse_from_rfc3339(at).unwrap();
    let zone = chrono::FixedOffset::east_opt(there.offset().local_minus_utc() - 3 * 3_600).unwrap();
    there.with_timezone(&zone).to_rfc3339()
}

fn run(id: i64, state: &str, planned_at: String, duration_ms: u64, reason: &str) -> PastRun {
    let failed = matches!(state, "failed" | "partial");
    PastRun {
        id,
        state: state.into(),
        reason: (!reason.is_empty()).then(|| reason.to_owned()),
        planned_at,
        duration_ms: (duration_ms > 0).then_some(duration_ms),
        ok: u64::from(!failed) * 10,
        failed: u64::from(failed) * 2,
        failed_job: failed.then_some(18_301),
    }
}

fn daily(hour: u32, minute: u32, ms: [u64; 5]) -> Vec<PastRun> {
    let one = |(i, ms): (usize, u64)| {
        let days = i64::try_from(i).unwrap() + 1;
        run(500 - days, "succeeded", on(hour, minute, -days), ms, "")
    };
    ms.into_iter().enumerate().map(one).collect()
}

fn schedule(task: &str, action: &str, plain: &str, source: &str) -> ScheduleView {
    ScheduleView {
        task: task.into(),
        action: action.into(),
        plain: plain.into(),
        source: source.into(),
        timezone: "Asia/Seoul".into(),
        last_success: Some(on(9, 0, -1)),
        ..ScheduleView::default()
    }
}

/// One that runs, one that is paused, one whose condition said no, one that failed and one that is late, in the order
/// of their next times.
pub fn schedules() -> SchedulesPage {
    let quarter = |n: i64| clock::rfc3339(Millis(at(14, 0, 0).0 + n * 900_000));
    let poll = ScheduleView {
        next: (1..=5).map(quarter).collect(),
        last_success: Some(quarter(-1)),
        runs: (0..20)
            .map(|i| match i {
                0 => PastRun { duration_ms: None, ..run(420, "open", quarter(0), 0, "") },
                7 => run(413, "failed", quarter(-7), 30_100, "2 of 10 jobs failed: 503 service unavailable"),
                8 => run(412, "missed", quarter(-8), 0, "the supervisor was not running"),
                i => run(420 - i, "succeeded", quarter(-i), 8_000 + u64::try_from(i % 5).unwrap() * 1_900, ""),
            })
            .collect(),
        ..schedule("poll-prices", "fetch", "every 15 minutes", "every 15m")
    };
    let report = ScheduleView {
        next: (0..5).map(|days| on(18, 0, days)).collect(),
        runs: daily(18, 0, [2_100, 2_000, 2_300, 1_900, 2_200]),
        paused: true,
        ..schedule("daily-report", "report", "at 18:00 on weekdays", "0 18 * * 1-5")
    };
    let mut partners = ScheduleView {
        next: (1..=5).map(|days| west(&on(9, 0, days))).collect(),
        timezone: "America/Argentina/Buenos_Aires".into(),
        runs: daily(9, 0, [41_000, 38_000, 44_000, 39_000, 40_000]),
        followers: vec!["merge".into(), "publish".into(), "archive".into()],
        ..schedule("partners", "fetch", "every day at 06:00", "0 6 * * *")
    };
    let skip =
        run(500, "skipped", west(&on(9, 0, 0)), 0, "no_success_within = \"1h\": the last success was 12m before");
    partners.runs.insert(0, skip);
    let mut cleanup = ScheduleView {
        next: (1..=5).map(|days| on(3, 0, days)).collect(),
        runs: daily(3, 0, [900, 800, 950, 870, 910]),
        ..schedule("cleanup", "command", "every day at 03:00", "0 3 * * *")
    };
    cleanup
        .runs
        .insert(0, run(501, "failed", on(3, 0, 0), 1_200, "1 of 1 jobs failed: rm: 읽기 전용 파일 시스템 (exit 1)"));
    let mut nightly = ScheduleView {
        next: (1..=5).map(|days| on(2, 30, days)).collect(),
        runs: daily(2, 30, [754_000, 733_000, 741_000, 728_000, 719_000]),
        last_success: Some(on(2, 30, -2)),
        overdue: Some("no success for 59h, one is expected every 24h".into()),
        ..schedule("nightly-backup", "backup", "every day at 02:30", "30 2 * * *")
    };
    nightly.runs.remove(0);
    nightly.runs.insert(0, run(490, "failed", on(2, 30, -1), 12_000, "1 of 1 jobs failed: no space left on /backup"));
    nightly.runs.insert(0, run(502, "missed", on(2, 30, 0), 0, "the supervisor was not running"));
    SchedulesPage { schedules: vec![poll, report, partners, cleanup, nightly] }
}

/// The busy server, whose tasks have those schedules and follow each other.
pub fn planned_status() -> Status {
    let mut status = status();
    let task = |name: &str, trigger: &str, source: &str| TaskView {
        name: name.into(),
        trigger: trigger.into(),
        source: source.into(),
        action: "command".into(),
        counts: Counts::default(),
        concurrency: 1,
        paused: None,
        removed: false,
        settling: 0,
    };
    status.tasks.retain(|t| t.name != "partners");
    status.tasks.extend(schedules().schedules.iter().map(|s| task(&s.task, "schedule", &s.plain)));
    status.tasks.extend([
        task("merge", "after", "partners"),
        task("publish", "after", "merge"),
        task("archive", "after", "partners, any"),
    ]);
    status
}

/// Causes of every kind, and channels of which one cannot send.
pub fn alerts() -> AlertsView {
    let cause = |severity: &str, task: &str, code: &str, what: &str, open, total, job| OpenCause {
        severity: severity.into(),
        task: task.into(),
        code: code.into(),
        text: what.into(),
        open,
        total,
        first_at: stamp(13, 59, 1),
        last_at: stamp(14, 0, 2),
        muted_until: Some(stamp(14, 59, 1)),
        job,
    };
    let refused = "cannot connect to smtp.example.com:587: connection refused";
    let channel = |name: &str, kind: &str, target: &str, sent| ChannelView {
        name: name.into(),
        kind: kind.into(),
        target: target.into(),
        sent,
        ..ChannelView::default()
    };
    let message = |id, channel: &str, state: &str, severity: &str, subject: &str| OutboxView {
        id,
        channel: channel.into(),
        state: state.into(),
        severity: severity.into(),
        subject: subject.into(),
        created_at: stamp(13, 59, 1),
        tries: 1,
        error: None,
    };
    AlertsView {
        open: vec![
            cause("error", "nightly-backup", "overdue", "no success for 59h, one is expected every 24h", 1, 3, None),
            cause("error", "orders", "not_a_number", "line #, value: \"…\" is not a number", 2, 7, Some(18_331)),
            OpenCause {
                muted_until: None,
                ..cause("warning", "", "disk_low", "the disk of the data folder has 2.1 GB left", 1, 1, None)
            },
        ],
        channels: vec![
            ChannelView {
                waiting: 2,
                error: Some(refused.into()),
                next_at: Some(stamp(14, 2, 52)),
                ..channel("ops-mail", "email", "ops@example.com, night@example.com", 12)
            },
            channel("ops-slack", "slack", "hooks.slack.com", 31),
            ChannelView { quiet_until: Some(stamp(18, 0, 0)), ..channel("pager", "webhook", "pager.example.com", 0) },
        ],
        messages: vec![
            OutboxView {
                tries: 4,
                error: Some(refused.into()),
                ..message(92, "ops-mail", "waiting", "error", "orders: 주문-2026-11-20.csv: not a number (7 times)")
            },
            message(91, "ops-slack", "sent", "error", "orders: not a number"),
            message(90, "ops-slack", "sent", "recovered", "partners: 401 unauthorized is over"),
            OutboxView { tries: 20, ..message(77, "pager", "given_up", "warning", "the disk has 2.1 GB left") },
        ],
    }
}

/// A schedule with hostile words in every place.
pub fn hostile_schedule(words: &[String], n: u64) -> ScheduleView {
    let word = |i: usize| words[i % words.len()].clone();
    let past = |i: usize| PastRun {
        id: i64::MIN,
        state: ["failed", "missed", "open", "skipped", "\x1b[2J"][i % 5].into(),
        reason: Some(word(i)),
        planned_at: if i.is_multiple_of(2) { word(i) } else { stamp(1, 2, 3) },
        duration_ms: (!i.is_multiple_of(3)).then_some(n),
        ok: n / 4,
        failed: n / 4,
        failed_job: Some(1),
    };
    ScheduleView {
        task: word(0),
        action: word(1),
        plain: word(2),
        source: word(3),
        timezone: word(4),
        next: vec![word(5), stamp(23, 0, 0), "9999-12-31T23:59:59Z".into(), "0000-01-01T00:00:00Z".into(), word(6)],
        last_success: Some(word(7)),
        runs: (0..usize::try_from(n % 40).unwrap()).map(past).collect(),
        overdue: n.is_multiple_of(2).then(|| word(6)),
        paused: n.is_multiple_of(3),
        followers: words.to_vec(),
    }
}

/// Alerts with hostile words in every place.
pub fn hostile_alerts(words: &[String], n: u64) -> AlertsView {
    let mut page = alerts();
    for (i, cause) in page.open.iter_mut().enumerate() {
        let word = |k: usize| words[(i + k) % words.len()].clone();
        (cause.severity, cause.task, cause.code, cause.text) = (word(0), word(1), word(2), word(3));
        (cause.open, cause.total, cause.last_at, cause.muted_until) = (n, u64::MAX, word(4), Some(word(5)));
    }
    for (i, channel) in page.channels.iter_mut().enumerate() {
        let word = |k: usize| words[(i + k) % words.len()].clone();
        (channel.name, channel.kind, channel.target, channel.error) = (word(0), word(1), word(2), Some(word(3)));
        (channel.waiting, channel.sent) = (n, u64::MAX);
    }
    for (i, message) in page.messages.iter_mut().enumerate() {
        let word = |k: usize| words[(i + k) % words.len()].clone();
        (message.channel, message.state, message.subject, message.error) = (word(0), word(1), word(2), Some(word(3)));
        message.tries = u32::MAX;
    }
    page
}

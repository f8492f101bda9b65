//! Schedules and alerts as a supervisor might tell them.

use super::ago;
use crate::model::view::{AlertsView, ChannelView, OpenCause, OutboxView, PastRun, ScheduleView, SchedulesPage};

fn run(id: i64, state: &str, seconds: i64, reason: Option<&str>) -> PastRun {
    let failed = state == "failed";
    PastRun {
        id,
        state: state.into(),
        reason: reason.map(Into::into),
        planned_at: ago(seconds),
        duration_ms: matches!(state, "succeeded" | "failed").then_some(12_400),
        ok: u64::from(!failed),
        failed: u64::from(failed),
        failed_job: failed.then_some(5),
    }
}

/// A schedule that is overdue, and one that is not.
pub fn schedules() -> SchedulesPage {
    let nightly = ScheduleView {
        task: "nightly".into(),
        action: "command".into(),
        plain: "every day at 02:30".into(),
        source: "30 2 * * *".into(),
        timezone: "Asia/Seoul".into(),
        next: vec![ago(-44_869), ago(-131_269)],
        last_success: Some(ago(128_000)),
        runs: vec![
            run(72, "failed", 41_531, Some("1 of 1 jobs failed: exit status 1")),
            run(61, "succeeded", 127_931, None),
        ],
        overdue: Some("no success for 35h, one is expected every 24h".into()),
        paused: false,
        followers: vec!["report".into()],
    };
    let partners = ScheduleView {
        task: "partners".into(),
        action: "fetch".into(),
        plain: "every 15 minutes".into(),
        source: "every 15m".into(),
        timezone: "UTC".into(),
        next: vec![ago(-469), ago(-1369)],
        last_success: Some(ago(431)),
        runs: vec![run(71, "succeeded", 431, None)],
        ..ScheduleView::default()
    };
    SchedulesPage { schedules: vec![nightly, partners] }
}

/// One open cause, one channel that cannot send, one message that waits for it.
pub fn alerts() -> AlertsView {
    let refused = "cannot connect to smtp.example.com:587: connection refused";
    AlertsView {
        open: vec![OpenCause {
            severity: "error".into(),
            task: "orders".into(),
            code: "csv_bad_row".into(),
            text: "line #, column # \"value\": not a number".into(),
            open: 2,
            total: 7,
            first_at: ago(190),
            last_at: ago(129),
            muted_until: Some(ago(-3410)),
            job: Some(5),
        }],
        channels: vec![ChannelView {
            name: "ops-mail".into(),
            kind: "email".into(),
            target: "ops@example.com".into(),
            waiting: 1,
            sent: 12,
            error: Some(refused.into()),
            next_at: Some(ago(-41)),
            quiet_until: None,
        }],
        messages: vec![OutboxView {
            id: 31,
            channel: "ops-mail".into(),
            state: "waiting".into(),
            severity: "error".into(),
            subject: "orders: line #, column # \"value\": not a number".into(),
            created_at: ago(189),
            tries: 2,
            error: Some(refused.into()),
        }],
    }
}

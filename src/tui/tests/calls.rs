//! Jobs that call hosts, and what is done with the pane of hosts.

use super::fixture::*;
use crate::model::action::network::Call;
use crate::model::view::{HostView, JobView, RunView, Status, Tick};
use crate::model::{Failure, JobState, RunId, RunState};
use crate::tui::msg::Msg;
use crate::tui::panes::PaneId;
use crate::tui::theme::Depth;
use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

/// Hosts in the order of the server: one that failed, one that asked for a pause, one that is tried, and two in health.
pub fn hosts() -> Vec<HostView> {
    let host = |name: &str, in_flight, requests| HostView {
        host: name.into(),
        in_flight,
        concurrency: 8,
        breaker: "closed".into(),
        requests,
        p50_ms: Some(84),
        p95_ms: Some(123),
        p99_ms: Some(1_204),
        per_second: [0, 2, 3, 5, 8, 13, 11, 7, 4, 1].repeat(6),
        ..HostView::default()
    };
    vec![
        HostView {
            closed_until: Some(stamp(14, 2, 52)),
            why: Some("10 requests in a row failed".into()),
            breaker: "open".into(),
            bad: 41,
            p95_ms: Some(12_400),
            ..host("files.주문.example.com:8443", 0, 1_310)
        },
        HostView {
            closed_until: Some(stamp(14, 3, 10)),
            why: Some("answered 429, Retry-After: 60".into()),
            waiting: 12,
            rate: Some("10/s".into()),
            busy: 3,
            ..host("api.partner.com", 0, 18_204)
        },
        HostView {
            breaker: "probing".into(),
            bad: 2,
            ..host("a-host-with-a-long-name.eu-central-1.example.com", 1, 7)
        },
        HostView { rate: Some("600/m".into()), ..host("img.example.com", 8, 1_204_000) },
        HostView { p50_ms: None, p95_ms: None, per_second: vec![0; 60], ..host("127.0.0.1:8080", 0, 0) },
    ]
}

/// Jobs that call hosts: one with an answer that was no good, others at every stage.
pub fn fetch_rows() -> Vec<JobView> {
    let url = |id, state, path: &str| JobView {
        task: "partners".into(),
        action: "fetch".into(),
        input: format!("https://api.partner.com/v2/{path}"),
        host: Some("api.partner.com".into()),
        run: RunId(12),
        max_attempts: 5,
        bytes_in: None,
        ..job(id, state)
    };
    let called = |status, ms, row: JobView| JobView {
        http_status: Some(status),
        latency_ms: Some(ms),
        requests: Some(1),
        spent: 1,
        attempt: 1,
        started_at: Some(stamp(14, 2, 3)),
        finished_at: Some(stamp(14, 2, 4)),
        ..row
    };
    let mut refused =
        Failure::permanent("http_401", "answered 401 Unauthorized: GET https://api.partner.com/v2/items/81");
    refused.call = Some(Call { status: Some(401), latency_ms: Some(123), requests: 2, bytes: 4_096, cached: false });
    refused.answer = Some(
        "HTTP/2.0 401 Unauthorized\ncontent-type: application/json\nwww-authenticate: Bearer error=\"invalid_token\"\n\
         set-cookie: [hidden]\n\n{\n  \"error\": \"token expired\",\n  \"안내\": \"토큰이 만료되었습니다, 새 토큰으로 다시 시도하십시오\"\n}"
            .into(),
    );
    let retry = JobView {
        not_before: Some(stamp(14, 2, 52)),
        finished_at: None,
        error: Some(Failure::transient("http_503", "answered 503 Service Unavailable")),
        ..called(503, 12_400, url(18_290, JobState::Waiting, "items/12"))
    };
    vec![
        JobView { error: Some(refused), ..called(401, 123, url(18_301, JobState::Failed, "items/81")) },
        JobView {
            finished_at: None,
            ..url(18_340, JobState::Running, "a/path/of/many/parts/and-a-long-last-one.json?page=100")
        },
        retry,
        url(18_342, JobState::Queued, "items/82"),
        JobView { bytes_out: Some(4_100), ..called(200, 84, url(18_338, JobState::Succeeded, "items/80")) },
        JobView {
            bytes_out: Some(99_940),
            cached: true,
            ..called(304, 41, url(18_337, JobState::Succeeded, "items/79"))
        },
        JobView {
            is_plan: true,
            host: None,
            input: "manual start of partners".into(),
            finished_at: Some(stamp(14, 1, 0)),
            ..url(18_200, JobState::Succeeded, "")
        },
    ]
}

/// The run that they belong to.
pub fn run() -> RunView {
    RunView {
        id: RunId(12),
        state: RunState::Open,
        trigger: "manual".into(),
        upstream: None,
        planned_at: stamp(14, 1, 0),
        settled_at: None,
        total: 100,
        open: 3,
        ok: 95,
        failed: 2,
        skipped: 0,
    }
}

#[test]
fn a_host_leads_to_its_jobs() {
    let mut b = Bench::with(120, 36, Depth::Mono, fetch_rows());
    b.keys("7 enter");
    assert!(b.app.filter.is_empty(), "there is no host yet");
    b.send(Msg::Status(Box::new(Status { hosts: hosts(), ..status() })));
    b.keys("j");
    assert_eq!(b.app.host.as_deref(), Some("api.partner.com"));
    let mut turned = hosts();
    turned.reverse();
    b.wait(1_000);
    b.send(Msg::Tick(Box::new(Tick { hosts: turned, ..tick(1) })));
    assert_eq!(b.app.host_index(), 3, "the cursor follows its host");
    b.keys("enter");
    assert_eq!(
        (b.app.focus, b.app.zoomed, b.app.filter.to_string().as_str()),
        (PaneId::Queue, false, "host:api.partner.com")
    );
    b.keys("7 G j");
    assert_eq!(b.app.host_index(), 4);
    b.keys("g k");
    assert_eq!(b.app.host_index(), 0);
    b.send(Msg::Status(Box::new(status())));
    b.keys("j enter");
    assert_eq!(b.app.focus, PaneId::Hosts, "nothing is opened where nothing is");
}

#[test]
fn tab_steps_over_hosts_where_there_are_none() {
    let mut b = Bench::busy(120, 36, Depth::Mono);
    b.keys("tab tab tab");
    assert_eq!(b.app.focus, PaneId::System);
    b.send(Msg::Status(Box::new(Status { hosts: hosts(), ..status() })));
    b.keys("backtab");
    assert_eq!(b.app.focus, PaneId::Hosts);
    b.send(Msg::Status(Box::new(status())));
    b.keys("tab");
    assert_eq!(b.app.focus, PaneId::System, "and one that is gone is left like any other");
}

#[test]
fn every_host_can_be_scrolled_to_and_clicked() {
    let mut b = Bench::busy(120, 36, Depth::Mono);
    b.send(Msg::Status(Box::new(Status { hosts: hosts(), ..status() })));
    let area = b.app.layout().pane(PaneId::Hosts).unwrap();
    let click = |row| {
        let kind = MouseEventKind::Down(MouseButton::Left);
        Msg::Mouse(MouseEvent { kind, column: area.x + 9, row, modifiers: KeyModifiers::NONE })
    };
    b.send(click(area.y + 3));
    assert_eq!((b.app.focus, b.app.host_index()), (PaneId::Hosts, 0), "the second line of a host is the host");
    b.send(click(area.y + 4));
    assert_eq!(b.app.host.as_deref(), Some("api.partner.com"));
    b.keys("G");
    for host in hosts().iter().rev() {
        let screen = b.screen();
        let pane: Vec<&str> = screen.lines().skip(area.y.into()).take(area.height.into()).collect();
        assert!(pane.iter().any(|line| line.contains(&host.host[..4])), "{}: {screen}", host.host);
        b.keys("k");
    }
}

#[test]
fn hosts_change_once_a_second_and_no_more_than_a_server_may_tell() {
    let mut b = Bench::busy(120, 36, Depth::Mono);
    let told = |n: usize| Tick { hosts: hosts().into_iter().cycle().take(n).collect(), ..tick(1) };
    b.wait(1_000);
    b.send(Msg::Tick(Box::new(told(100))));
    assert_eq!(b.app.hosts.len(), 24);
    b.send(Msg::Tick(Box::new(told(1))));
    assert_eq!(b.app.hosts.len(), 24);
    b.wait(1_000);
    b.send(Msg::Tick(Box::new(told(1))));
    assert_eq!(b.app.hosts.len(), 1);
}

#[test]
fn a_long_answer_is_scrolled_like_the_rest() {
    let mut rows = fetch_rows();
    let body: Vec<String> = (1..=60).map(|n| format!("line {n} of it")).collect();
    rows[0].error.as_mut().unwrap().answer = Some(format!("HTTP/1.1 401 Unauthorized\n\n{}", body.join("\n")));
    let mut b = Bench::with(120, 36, Depth::Mono, rows);
    let screen = b.screen();
    assert!(screen.contains("line 4 of it") && screen.contains("and 56 more lines: Enter"), "{screen}");
    assert!(screen.contains("run 12: 95 ok, 2 failed, 3 open of 100"), "{screen}");
    assert!(screen.contains("401, 123 ms, 2 requests, 4.1 kB"), "{screen}");
    b.keys("enter z");
    assert!(!b.screen().contains("line 60 of it"));
    b.keys("pgdn pgdn");
    assert!(b.screen().contains("line 60 of it"), "{}", b.screen());
}

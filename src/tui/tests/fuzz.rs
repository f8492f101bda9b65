//! Hostile data at every size: nothing panics, and nothing but printable cells is drawn.

use super::fixture::*;
use super::planned::{hostile_alerts, hostile_schedule};
use crate::model::action::Level;
use crate::model::action::network::Call;
use crate::model::text::is_shown;
use crate::model::view::{Gravity, HostView, JobView};
use crate::model::{ContextLine, Failure, JobState};
use crate::tui::msg::Msg;
use crate::tui::theme::Depth;
use proptest::prelude::*;

/// Text as an attacker would write it, mixed with any text at all.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-zA-Z0-9/:. ]{0,300}",
        Just("\x1b[2J\x1b]52;c;aGk=\x07\u{9b}31m\u{202e}\u{200b}\r\n\t\0".to_owned()),
        Just("주문서류🙂é\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}".repeat(20)),
        Just("\"\"\",;;\t|".repeat(40)),
        Just(String::new()),
    ]
}

fn rows() -> impl Strategy<Value = Vec<JobView>> {
    let row = (hostile(), hostile(), hostile(), 0usize..8, any::<u64>(), any::<u64>());
    proptest::collection::vec(row, 0..30).prop_map(|rows| {
        let build = |(i, (a, b, c, state, n, m)): (usize, (String, String, String, usize, u64, u64))| {
            let mut failure = Failure::permanent(&a, b.clone());
            (failure.line, failure.column) = (Some(n), Some(m % 9));
            (failure.file, failure.raw, failure.column_name) = (Some(c.clone()), Some(b.clone()), Some(a.clone()));
            failure.answer = (m % 2 == 0).then(|| format!("{a}\n{b}\n\n{c}"));
            failure.call =
                Some(Call { status: Some(n as u16), latency_ms: Some(m), requests: 1, bytes: n, cached: true });
            failure.context = vec![ContextLine { line: n, text: c.clone() }, ContextLine { line: m, text: a.clone() }];
            JobView {
                task: a.clone(),
                action: c.clone(),
                input: b,
                spent: n as u32,
                max_attempts: m as u32,
                created_at: a.clone(),
                started_at: Some(stamp(1, 2, 3)),
                finished_at: Some(c.clone()),
                not_before: Some(stamp(23, 0, 0)),
                bytes_in: Some(n),
                rows: Some(m),
                error: (n % 2 == 0).then_some(failure),
                held: (m % 2 == 0).then(|| a.clone()),
                reason: Some(c),
                host: (n % 3 == 0).then(|| a.clone()),
                http_status: (m % 3 == 0).then_some(n as u16),
                latency_ms: (n % 5 == 0).then_some(m),
                requests: (n % 7 == 0).then_some(m as u32),
                bytes_out: (m % 5 == 0).then_some(n),
                cached: n % 11 == 0,
                is_plan: m % 7 == 0,
                ..job(i as i64 + 1, JobState::ALL[state])
            }
        };
        rows.into_iter().enumerate().map(build).collect()
    })
}

const KEYS: [&str; 49] = [
    "j", "k", "g", "G", "pgdn", "pgup", "ctrl-d", "ctrl-u", "tab", "backtab", "enter", "esc", "space", "v", "*", "/",
    "r", "R", "s", "S", "x", "p", "P", "t", "l", "a", "[", "]", "y", "Y", "z", "F", "m", "?", ":", "1", "2", "3", "4",
    "5", "6", "7", "8", "4", "8", "L", "right", "n", "up",
];

fn check(bench: &Bench) {
    let buf = bench.buffer();
    for cell in buf.content() {
        assert!(cell.symbol().chars().all(is_shown), "{:?}", cell.symbol());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn any_data_any_size_any_keys(
        rows in rows(),
        (words, level) in (proptest::collection::vec(hostile(), 8), 0usize..4),
        sizes in proptest::collection::vec((0u16..200, 0u16..60), 1..6),
        keys in proptest::collection::vec(0usize..KEYS.len(), 0..40),
        depth in prop_oneof![Just(Depth::Mono), Just(Depth::Ansi), Just(Depth::Indexed)],
    ) {
        let mut b = Bench::with(120, 36, depth, rows);
        let mut state = status();
        (state.host, state.config, state.state) = (words[0].clone(), words[1].clone(), words[2].clone());
        state.banners = vec![banner(Gravity::Error, &words[3]), banner(Gravity::Info, &words[4])];
        state.tasks[0].name = words[5].clone();
        state.tasks[1].source = words[6].clone();
        state.gauges.cpu_percent = vec![f32::NAN, -5.0, 700.0, f32::INFINITY, 3.0];
        (state.gauges.memory_used_bytes, state.gauges.disk_free_bytes) = (u64::MAX, u64::MAX);
        state.throughput.bytes_per_second = vec![u64::MAX; 300];
        let host = |(i, word): (usize, &String)| HostView {
            host: word.clone(),
            in_flight: u32::MAX,
            rate: Some(word.clone()),
            closed_until: (i % 2 == 0).then(|| words[7].clone()),
            why: (i % 3 == 0).then(|| words[6].clone()),
            breaker: words[5].clone(),
            requests: u64::MAX,
            bad: i as u64,
            p50_ms: Some(u64::MAX),
            per_second: vec![u32::MAX; i * 40],
            ..HostView::default()
        };
        state.hosts = words.iter().enumerate().map(host).collect();
        b.send(Msg::Status(Box::new(state)));
        b.schedules.schedules = (0..9).map(|n| hostile_schedule(&words[n as usize % 3..], n * 7)).collect();
        b.alerts = hostile_alerts(&words, u64::MAX / 3);
        let mut page = log();
        page.lines.push(line(40, Level::ALL[level], &words[7]));
        page.lines[0].task = Some(words[0].clone());
        page.lines[0].at = words[1].clone();
        b.send(Msg::Logs(1, page));
        check(&b);
        let mut keys = keys.into_iter().map(|k| KEYS[k]);
        for (width, height) in sizes {
            b.send(Msg::Resize(width, height));
            check(&b);
            for key in keys.by_ref().take(8) {
                b.keys(key);
                b.send(Msg::Paste(words[7].clone()));
                b.wait(700);
                b.answer();
                check(&b);
            }
        }
        b.send(Msg::Lost(words[2].clone()));
        b.send(Msg::Acted(crate::tui::msg::Verb::Skip, Err(words[3].clone())));
        check(&b);
    }
}

/// The widget of the supervisor's log is not ours: its lines go through our own formatting.
#[test]
fn hostile_lines_of_the_supervisors_log_are_written_out() {
    let mut lines: Vec<_> = ["\x1b[2Jboom \u{202e}", "주문🙂\r\n\x07", ""].map(|m| line(1, Level::Error, m)).to_vec();
    for line in &mut lines {
        line.target = Some("shiftboss::\x1b]0;t\x07".into());
    }
    crate::tui::logbook::feed(&lines);
    tui_logger::move_events();
    let mut b = Bench::busy(120, 36, Depth::Mono);
    b.app.logs.fed = Some(3);
    b.keys("5 right");
    for (width, height) in [(120, 36), (60, 15), (40, 10), (41, 11)] {
        b.send(Msg::Resize(width, height));
        check(&b);
    }
    b.send(Msg::Resize(120, 36));
    assert!(b.screen().contains("\\x1b[2Jboom \\u{202e}"), "{}", b.screen());
    b.keys("pgup pgup pgdn G k j");
    check(&b);
}

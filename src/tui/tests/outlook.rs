//! The panes of schedules and alerts: what they show, and what keys do on them.

use super::fixture::*;
use super::planned::{alerts, planned_status, schedules};
use super::screens::{colours, shoot};
use crate::model::view::{AlertsView, SchedulesPage, Selection};
use crate::model::{Filter, SelectionId};
use crate::tui::msg::{Cmd, LogScope, Msg, Verb};
use crate::tui::panes::PaneId;
use crate::tui::theme::{Depth, Theme};
use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::style::{Color, Modifier};

/// A server with schedules and alerts.
fn plan(b: &mut Bench) {
    (b.schedules, b.alerts) = (schedules(), alerts());
    b.send(Msg::Status(Box::new(planned_status())));
    b.send(Msg::Schedules(Ok(Box::new(schedules()))));
    b.send(Msg::Alerts(Ok(Box::new(alerts()))));
    b.answer();
}

fn bench(width: u16, height: u16) -> Bench {
    let mut b = Bench::busy(width, height, Depth::Mono);
    plan(&mut b);
    b
}

fn notice(bench: &Bench) -> &str {
    bench.app.notice.as_ref().map_or("", |n| n.text.as_str())
}

/// The line of the screen with these words.
fn line_of(screen: &str, words: &str) -> String {
    screen.lines().find(|l| l.contains(words)).unwrap_or_else(|| panic!("no {words}:\n{screen}")).to_owned()
}

fn with_keys(keys: &'static str) -> impl Fn(&mut Bench) {
    move |b| {
        plan(b);
        b.keys(keys);
        b.answer();
    }
}

#[test]
fn schedules_on_the_screen() {
    shoot("schedules", with_keys("4"), busy_rows);
    shoot("schedule", with_keys("4 j j j enter"), busy_rows);
}

#[test]
fn alerts_on_the_screen() {
    shoot("alerts", with_keys("8"), busy_rows);
}

#[test]
fn the_overview_tells_what_is_late_and_what_is_next() {
    shoot("planned", with_keys("1"), busy_rows);
    let mut b = bench(120, 36);
    let screen = b.screen();
    assert!(screen.contains("nightly-backup is overdue: no success for 59h"), "{screen}");
    b.schedules.schedules.pop();
    b.wait(6_000);
    b.answer();
    let screen = b.screen();
    assert!(!screen.contains("overdue"), "{screen}");
    assert!(line_of(&screen, "next ").contains("poll-prices 14:15, in 12m"), "{screen}");
}

#[test]
fn what_is_late_is_the_only_red_of_a_plan_that_is_well_otherwise() {
    let mut b = Bench::with(120, 36, Depth::Indexed, Vec::new());
    plan(&mut b);
    b.keys("4");
    let map = colours(&b);
    assert!(!map.contains('?'), "a colour without a meaning:\n{map}");
    let red = |b: &Bench| colours(b).lines().skip(2).filter(|l| l.contains('F')).count();
    assert!(red(&b) >= 4, "late and failed, each with its reason:\n{map}");
    b.schedules.schedules.truncate(3);
    b.schedules.schedules[0].runs.truncate(5);
    b.wait(6_000);
    b.answer();
    assert_eq!(red(&b), 0, "{}", colours(&b));
}

#[test]
fn an_empty_plan_says_what_to_write() {
    for (width, height) in [(120, 36), (80, 24)] {
        let mut b = Bench::busy(width, height, Depth::Mono);
        b.keys("4");
        assert!(b.screen().contains("asking for the schedules"), "{}", b.screen());
        b.answer();
        let screen = b.screen();
        assert!(screen.contains("no task has a schedule: write one with schedule = { cron ="), "{screen}");
        b.keys("enter t esc p l 8");
        b.answer();
        let screen = b.screen();
        assert!(screen.contains("nothing is open") && screen.contains("nobody is told"), "{screen}");
        b.keys("enter j R l");
        assert_eq!(notice(&b), "no task is under the cursor");
        b.send(Msg::Alerts(Err("the supervisor speaks another version of the API".into())));
        assert!(b.screen().contains("nothing is open"), "what was there stays");
    }
    let mut b = Bench::busy(80, 24, Depth::Mono);
    b.keys("4");
    b.send(Msg::Schedules(Err("the supervisor speaks another version of the API".into())));
    assert!(b.screen().contains("cannot read the schedules: the supervisor speaks"), "{}", b.screen());
}

#[test]
fn what_is_late_stands_first_with_its_reason() {
    for (width, height) in [(120, 36), (80, 24), (60, 15)] {
        let mut b = bench(width, height);
        b.keys("4");
        let screen = b.screen();
        let lines: Vec<&str> = screen.lines().collect();
        let at = lines.iter().position(|l| l.contains("! overdue")).unwrap();
        assert!(lines[at].contains("nightly-backup"), "{screen}");
        assert!(lines[at + 1].contains("no success for 59h, one is expected"), "{screen}");
        assert!(lines[at + 2].contains("✗ failed") && lines[at + 2].contains("cleanup"), "{screen}");
    }
}

#[test]
fn pages_are_asked_for_while_they_are_seen_and_when_something_changed() {
    let asked = |b: &mut Bench| b.taken_reads().into_iter().filter(|c| matches!(c, Cmd::Schedules)).count();
    let mut b = Bench::busy(80, 24, Depth::Mono);
    b.wait(60_000);
    assert_eq!(asked(&mut b), 0, "no task has a schedule");
    b.keys("4");
    assert_eq!(asked(&mut b), 1);
    for s in 0..4 {
        b.send(Msg::Tick(Box::new(tick(1))));
        b.wait(900);
        assert_eq!(asked(&mut b), 0, "{s}: nothing changed");
    }
    b.send(Msg::Tick(Box::new(tick(2))));
    assert_eq!(asked(&mut b), 1);
    for rev in 3..10 {
        b.send(Msg::Tick(Box::new(tick(rev))));
        assert_eq!(asked(&mut b), 0, "not more than once a second");
    }
    b.wait(1_000);
    assert_eq!(asked(&mut b), 1);
    b.wait(5_000);
    assert_eq!(asked(&mut b), 1, "what is late becomes so by nothing happening");
    b.keys("2 F");
    b.wait(60_000);
    b.keys("4");
    assert_eq!(asked(&mut b), 0, "the display stands still");
    b.keys("F");
    assert_eq!(asked(&mut b), 1);
    b.send(Msg::Status(Box::new(planned_status())));
    b.keys("2");
    b.wait(14_000);
    assert_eq!(asked(&mut b), 0);
    b.wait(1_000);
    assert_eq!(asked(&mut b), 1, "for the banner");
}

#[test]
fn the_cursor_follows_its_schedule_and_keys_are_about_it() {
    let mut b = bench(80, 24);
    b.keys("4 j");
    assert_eq!(b.app.task_in_sight(), Some("cleanup"));
    b.schedules.schedules.rotate_left(2);
    b.wait(6_000);
    b.answer();
    assert_eq!(b.app.task_in_sight(), Some("cleanup"));
    b.keys("t");
    assert!(b.screen().contains("start cleanup now?"), "{}", b.screen());
    b.keys("y p");
    let cleanup = || "cleanup".to_owned();
    assert_eq!(b.taken(), [Cmd::Trigger(cleanup()), Cmd::Switch { task: Some(cleanup()), pause: true }]);
    b.keys("l");
    let scope = LogScope { task: Some(cleanup()), ..LogScope::default() };
    assert!(b.cmds.iter().any(|c| matches!(c, Cmd::Follow(_, s) if *s == scope)), "{:?}", b.cmds);
    assert!(b.screen().contains("task cleanup, a: all"), "{}", b.screen());
    b.keys("a");
    assert_eq!(b.app.logs.scope.task, None);
    b.app.read_only = true;
    b.keys("4 t");
    assert_eq!(notice(&b), "this session is read-only");
}

#[test]
fn enter_leads_to_the_details_and_then_to_the_job_that_failed() {
    let mut b = bench(80, 24);
    b.keys("4 j enter");
    let screen = b.screen();
    for words in ["every day at 03:00", "0 3 * * *", "Asia/Seoul", "읽기 전용", "Sat 2026-11-21 03:00:00"] {
        assert!(screen.contains(words), "{words}: {screen}");
    }
    assert_eq!(line_of(&screen, "runs ").trim_matches(['│', ' ']), "runs    ✓ ✓ ✓ ✓ ✓ ✗");
    b.keys("esc");
    assert!(b.screen().contains("nightly-backup"), "back to the list");
    b.keys("enter enter");
    assert_eq!((b.app.focus, b.app.filter.to_string().as_str()), (PaneId::Details, "state:failed task:cleanup"));
    b.answer();
    assert_eq!(b.app.rows.selected().map(|j| j.id.0), Some(18_301), "the cursor is on it");
    b.keys("4 G enter enter");
    assert_eq!(notice(&b), "no run of partners has a failed job");
    // Where there is room for both, the details are there already.
    let mut b = bench(120, 36);
    b.keys("4 enter");
    assert_eq!(b.app.focus, PaneId::Details);
}

#[test]
fn times_are_told_in_the_zone_of_the_task_and_here() {
    let mut b = bench(120, 36);
    b.keys("4 G");
    assert_eq!(b.app.task_in_sight(), Some("partners"));
    let screen = b.screen();
    assert!(line_of(&screen, "2026-11-21").contains("Sat 2026-11-21 06:00:00  in 18h57    here Sat 09:00"), "{screen}");
    assert!(screen.contains("then    partners ─▸ merge ─▸ publish, archive"), "{screen}");
    assert!(screen.contains("~ skipped") && screen.contains("no_success_within = \"1h\""), "{screen}");
}

#[test]
fn a_cause_leads_to_its_job_and_all_of_it_is_retried() {
    let mut b = bench(80, 24);
    b.keys("8");
    b.answer();
    b.keys("enter");
    assert_eq!(notice(&b), "it is no job that failed");
    b.keys("R");
    assert_eq!(notice(&b), "no cause of failed jobs is under the cursor");
    b.keys("j R");
    let filter = Filter::parse("state:failed task:orders code:not_a_number").unwrap();
    assert_eq!(b.taken(), [Cmd::Select(1, filter.clone())]);
    b.send(Msg::Selected(1, Ok(Selection { id: SelectionId(4), count: 2, names: vec![], rev: 10 })));
    b.keys("y");
    let cmds = b.taken();
    assert!(matches!(cmds.as_slice(), [Cmd::Act(Verb::Retry, ..)]), "{cmds:?}");
    b.keys("enter");
    assert_eq!((b.app.focus, &b.app.filter), (PaneId::Details, &filter));
    b.answer();
    assert_eq!(b.app.rows.selected().map(|j| j.id.0), Some(18_331));
}

#[test]
fn a_channel_is_tried_and_every_line_can_be_reached() {
    let mut b = bench(80, 24);
    b.keys("8");
    b.answer();
    b.keys("j j j t");
    assert!(b.screen().contains("send a test message on ops-mail?"), "{}", b.screen());
    b.keys("y");
    assert_eq!(b.taken(), [Cmd::Test("ops-mail".into())]);
    b.send(Msg::Tested("ops-mail".into(), Err("connection refused".into())));
    assert_eq!(notice(&b), "cannot test ops-mail: connection refused");
    b.send(Msg::Tested("ops-mail".into(), Ok(())));
    assert_eq!(notice(&b), "a test message for ops-mail is on its way");
    b.send(Msg::Resize(80, 16));
    b.keys("G");
    assert!(b.screen().contains("the disk has 2.1 GB left"), "{}", b.screen());
    b.keys("g");
    assert!(b.screen().contains("nightly-backup"), "{}", b.screen());
}

#[test]
fn ascii_is_enough_and_the_cursor_is_seen_without_colour() {
    for keys in ["4", "4 j", "8", "8 j"] {
        let mut b = bench(120, 36);
        b.app.theme = Theme::new(Depth::Mono, false);
        b.keys(keys);
        b.answer();
        let is_theirs = |c: &char| c.is_ascii() || *c == '…' || ('가'..='힣').contains(c);
        let foreign: Vec<char> = b.screen().chars().filter(|c| !is_theirs(c)).collect();
        assert!(foreign.is_empty(), "{keys}: {foreign:?}");
        let buf = b.buffer();
        assert!(buf.content().iter().all(|c| c.fg == Color::Reset && c.bg == Color::Reset), "{keys}");
        let reversed = (0..36).filter(|y| buf[(20, *y)].modifier.contains(Modifier::REVERSED)).count();
        assert_eq!(reversed, 2, "{keys}: a row and its reason\n{}", b.screen());
    }
}

#[test]
fn what_is_clicked_is_under_the_cursor() {
    let click = |row| {
        let kind = MouseEventKind::Down(MouseButton::Left);
        Msg::Mouse(MouseEvent { kind, column: 20, row, modifiers: KeyModifiers::NONE })
    };
    for (width, height) in [(120, 36), (80, 24)] {
        let mut b = bench(width, height);
        for (keys, words) in [("4", "poll-prices"), ("8", "disk_low"), ("8", "pager.example.com")] {
            b.keys(keys);
            b.answer();
            let screen = b.screen();
            let row = screen.lines().position(|l| l.contains(words)).unwrap();
            b.send(click(u16::try_from(row).unwrap()));
            let buf = b.buffer();
            assert!(buf[(20, u16::try_from(row).unwrap())].modifier.contains(Modifier::REVERSED), "{words}:\n{screen}");
        }
    }
}

#[test]
fn tab_steps_over_what_is_empty() {
    let mut b = Bench::busy(80, 24, Depth::Mono);
    b.keys("backtab");
    assert_eq!(b.app.focus, PaneId::System);
    let mut b = bench(80, 24);
    b.keys("backtab");
    assert_eq!(b.app.focus, PaneId::Alerts);
    b.keys("backtab");
    assert_eq!(b.app.focus, PaneId::Schedules);
    b.keys("esc");
    assert!(b.app.is_at_top());
}

#[test]
fn a_page_is_no_longer_than_it_may_be() {
    let mut b = bench(80, 24);
    let mut many = alerts();
    many.open = many.open.iter().cycle().take(1_000).cloned().collect();
    many.messages = many.messages.iter().cycle().take(1_000).cloned().collect();
    b.send(Msg::Alerts(Ok(Box::new(many))));
    let page = b.app.alerts.held.page.as_ref().unwrap();
    assert_eq!((page.open.len(), page.messages.len()), (AlertsView::CAUSES_MAX, AlertsView::MESSAGES_MAX));
    b.send(Msg::Schedules(Ok(Box::new(SchedulesPage::default()))));
    assert!(b.app.schedules.selected().is_none());
}

//! What is on the screen, as text, and in which colours.

use super::fixture::*;
use crate::model::JobState;
use crate::model::view::{Counts, Gravity, HostView, Status, Tick};
use crate::tui::msg::Msg;
use crate::tui::theme::{Depth, Meaning, Theme};
use ratatui::style::{Color, Modifier};

const SIZES: [(u16, u16); 3] = [(120, 36), (80, 24), (60, 15)];
const DEPTHS: [Depth; 3] = [Depth::Mono, Depth::Ansi, Depth::Indexed];

/// The same scene at every size. The text is the same with and without colour.
pub fn shoot(name: &str, scene: impl Fn(&mut Bench), rows: fn() -> Vec<crate::model::view::JobView>) {
    for (width, height) in SIZES {
        let text = DEPTHS.map(|depth| {
            let mut b = Bench::with(width, height, depth, rows());
            scene(&mut b);
            b.answer();
            b.screen()
        });
        assert!(text.iter().all(|t| *t == text[0]), "{name}: colours change the text");
        insta::assert_snapshot!(format!("{name}_{width}x{height}"), text[0]);
    }
}

#[test]
fn empty() {
    shoot(
        "empty",
        |b| {
            let mut idle = status();
            idle.counts = Counts::default();
            b.send(Msg::Status(Box::new(idle)));
        },
        Vec::new,
    );
}

#[test]
fn busy() {
    shoot("busy", |_| {}, busy_rows);
}

#[test]
fn a_failure_in_detail() {
    shoot("details", |b| b.keys("enter"), busy_rows);
}

#[test]
fn a_running_job_in_detail() {
    shoot("running", |b| b.keys("j j j enter"), busy_rows);
}

#[test]
fn rows_that_were_set_aside() {
    shoot("aside", |_| {}, with_rejects);
    shoot("rejects", |b| b.keys("enter"), with_rejects);
}

/// A tick with hosts.
fn call_hosts(b: &mut Bench) {
    b.wait(2_000);
    b.send(Msg::Tick(Box::new(Tick { hosts: hosts(), ..tick(1) })));
}

#[test]
fn hosts_and_calls() {
    shoot("fetch", call_hosts, fetch_rows);
    shoot(
        "hosts",
        |b| {
            call_hosts(b);
            b.keys("7 j j");
        },
        fetch_rows,
    );
    shoot(
        "answer",
        |b| {
            call_hosts(b);
            b.keys("enter");
        },
        fetch_rows,
    );
    shoot(
        "calls",
        |b| {
            call_hosts(b);
            b.keys("2");
        },
        fetch_rows,
    );
}

#[test]
fn a_screen_without_hosts_has_no_pane_for_them() {
    let mut b = Bench::busy(120, 36, Depth::Mono);
    assert!(!b.screen().contains(" Fetch "), "{}", b.screen());
    b.keys("7");
    assert!(b.screen().contains("no host has been called yet"), "{}", b.screen());
    call_hosts(&mut b);
    b.keys("1");
    assert!(b.screen().contains(" Fetch "), "{}", b.screen());
}

#[test]
fn banners() {
    shoot(
        "banners",
        |b| {
            let mut held = status();
            held.banners = vec![
                banner(Gravity::Warning, "api.partner.com asked us to wait until 14:03:10: 12 jobs held"),
                banner(Gravity::Error, "the disk of the data folder is full: nothing new is started"),
            ];
            b.send(Msg::Status(Box::new(held)));
            b.send(Msg::Lost("the supervisor has stopped or cannot be heard".into()));
        },
        busy_rows,
    );
}

#[test]
fn a_prompt() {
    shoot("prompt", |b| b.keys("space space r"), busy_rows);
}

#[test]
fn a_reason() {
    shoot("reason", |b| b.keys("s enter"), busy_rows);
}

#[test]
fn a_filter_with_a_mistake() {
    shoot(
        "filter",
        |b| {
            b.keys("/");
            b.text("state:faild");
        },
        busy_rows,
    );
}

#[test]
fn help() {
    shoot("help", |b| b.keys("?"), busy_rows);
}

#[test]
fn system_and_logs() {
    shoot("system", |b| b.keys("6"), busy_rows);
    shoot("logs", |b| b.keys("5"), busy_rows);
}

#[test]
fn tasks_to_start() {
    shoot("tasks", |b| b.keys("t j"), busy_rows);
}

#[test]
fn ascii_is_enough() {
    let mut b = Bench::busy(120, 36, Depth::Mono);
    b.app.theme = Theme::new(Depth::Mono, false);
    let foreign: Vec<char> = b.screen().chars().filter(|c| !c.is_ascii() && !('가'..='힣').contains(c)).collect();
    assert!(foreign.is_empty(), "other than what the data brought: {foreign:?}");
    insta::assert_snapshot!("ascii_120x36", b.screen());
}

#[test]
fn a_tiny_terminal_still_says_something() {
    for size in [(39, 9), (20, 3), (30, 1), (200, 9)] {
        let b = Bench::busy(size.0, size.1, Depth::Mono);
        assert!(b.screen().contains('✗'), "{size:?}: {}", b.screen());
    }
    for size in [(0, 0), (1, 1), (0, 50), (200, 0)] {
        Bench::busy(size.0, size.1, Depth::Mono).screen();
    }
}

/// The screen as one letter for each cell: what its foreground means.
pub fn colours(b: &Bench) -> String {
    let theme = Theme::new(Depth::Indexed, true);
    let letters = [
        (Meaning::Failed, 'F'),
        (Meaning::Attention, 'a'),
        (Meaning::Focus, 'c'),
        (Meaning::Strong, 's'),
        (Meaning::Dim, 'd'),
        (Meaning::Frame, '-'),
        (Meaning::Plain, '.'),
    ];
    let buf = b.buffer();
    let mut out = String::new();
    for y in buf.area.top()..buf.area.bottom() {
        let mut line = String::new();
        for x in buf.area.left()..buf.area.right() {
            let cell = &buf[(x, y)];
            let blank = cell.symbol() == " " || cell.fg == Color::Reset;
            let letter = letters.iter().find(|(m, _)| theme.style(*m).fg == Some(cell.fg)).map_or('?', |(_, l)| *l);
            line.push(if blank { ' ' } else { letter });
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[test]
fn colours_have_meanings() {
    let b = Bench::busy(120, 36, Depth::Indexed);
    let map = colours(&b);
    assert!(!map.contains('?'), "a colour without a meaning:\n{map}");
    insta::assert_snapshot!("busy_120x36_colours", map);
    let mut b = Bench::with(120, 36, Depth::Indexed, fetch_rows());
    call_hosts(&mut b);
    b.keys("enter");
    b.answer();
    let map = colours(&b);
    assert!(!map.contains('?'), "a colour without a meaning:\n{map}");
    insta::assert_snapshot!("answer_120x36_colours", map);
}

#[test]
fn failures_are_the_only_red() {
    let red = Theme::new(Depth::Ansi, true).style(Meaning::Failed).fg.unwrap();
    let reds = |b: &Bench| b.buffer().content().iter().filter(|c| c.fg == red && c.symbol() != " ").count();
    let healthy = busy_rows().into_iter().filter(|j| j.state != JobState::Failed).collect();
    let mut b = Bench::with(120, 36, Depth::Ansi, healthy);
    let mut well = status();
    well.hosts = hosts().into_iter().map(|h| HostView { bad: 0, ..h }).collect();
    well.counts.failed = 0;
    for task in &mut well.tasks {
        task.counts.failed = 0;
    }
    let ill = Status { hosts: hosts(), ..well.clone() };
    b.send(Msg::Status(Box::new(well)));
    b.keys("6");
    assert_eq!(reds(&b), 0);
    b.keys("2");
    assert_eq!(reds(&b), 0);
    b.keys("7");
    assert_eq!(reds(&b), 0, "also not for a host that is left alone");
    b.send(Msg::Status(Box::new(ill)));
    assert!(reds(&b) > 0, "but for calls that failed");
    assert!(reds(&Bench::busy(120, 36, Depth::Ansi)) > 20);
}

#[test]
fn without_colour_nothing_is_coloured_and_the_cursor_is_seen() {
    for keys in ["j", "?", "6", "5", "space space r"] {
        let mut b = Bench::busy(120, 36, Depth::Mono);
        b.keys(keys);
        b.answer();
        let buf = b.buffer();
        assert!(buf.content().iter().all(|c| c.fg == Color::Reset && c.bg == Color::Reset), "{keys}");
    }
    let b = Bench::busy(120, 36, Depth::Mono);
    let buf = b.buffer();
    let reversed = |y| buf[(10, y)].modifier.contains(Modifier::REVERSED);
    assert_eq!((1..8).map(reversed).collect::<Vec<_>>(), [false, false, true, true, false, false, false]);
}

#[test]
fn wide_characters_line_up() {
    let b = Bench::busy(80, 24, Depth::Mono);
    let buf = b.buffer();
    let column = |y: u16| (0..80).rev().find(|x| buf[(*x, y)].symbol() == "/").unwrap();
    let rows = [4u16, 6, 10];
    assert!(b.screen().contains("주문"), "a row with Hangul is among them");
    assert!(rows.iter().all(|y| column(*y) == column(4)), "{}", b.screen());
}

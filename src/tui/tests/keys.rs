//! Keys typed into the dashboard, and what it then asks for.

use super::fixture::*;
use crate::model::ports::Target;
use crate::model::view::{Done, Paused, Refused, Selection};
use crate::model::{Filter, JobId, JobState, SelectionId};
use crate::tui::app::{Due, Link, Marks};
use crate::tui::layers::Layer;
use crate::tui::logbook::Tab;
use crate::tui::msg::{Cmd, LogScope, Msg, Verb};
use crate::tui::panes::PaneId;
use crate::tui::theme::Depth;
use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

fn bench() -> Bench {
    Bench::busy(120, 36, Depth::Mono)
}

fn jobs(ids: &[i64]) -> Target {
    Target::Jobs(ids.iter().map(|id| JobId(*id)).collect())
}

fn notice(bench: &Bench) -> &str {
    bench.app.notice.as_ref().map_or("", |n| n.text.as_str())
}

fn selected(bench: &Bench) -> i64 {
    bench.app.rows.selected().unwrap().id.0
}

#[test]
fn one_job_is_retried_at_once() {
    let mut b = bench();
    b.keys("r");
    assert_eq!(b.taken(), [Cmd::Act(Verb::Retry, jobs(&[18_331]), None)]);
    b.send(Msg::Acted(Verb::Retry, Ok(Done { done: vec![JobId(18_331)], refused: vec![] })));
    assert_eq!(notice(&b), "retried job 18331");
}

#[test]
fn several_are_asked_about_and_stay_marked() {
    let mut b = bench();
    b.keys("space space r");
    assert_eq!(b.taken(), [], "the prompt comes first");
    b.keys("enter");
    assert_eq!(b.taken(), [], "Enter confirms nothing");
    // What happens behind the prompt does not change whom it is about.
    b.rows.remove(0);
    b.send(Msg::Tick(Box::new(tick(5))));
    b.wait(1_000);
    b.answer();
    b.keys("y");
    assert_eq!(b.taken(), [Cmd::Act(Verb::Retry, jobs(&[18_329, 18_331]), None)]);
    let refused = vec![Refused { id: JobId(18_331), reason: "already running".into() }];
    b.send(Msg::Acted(Verb::Retry, Ok(Done { done: vec![JobId(18_329), JobId(7)], refused })));
    assert_eq!(notice(&b), "retried 2, refused 1: already running");
    assert!(b.app.marks.has(JobId(18_329)));
}

#[test]
fn everything_that_matches_is_counted_before_it_is_asked() {
    let mut b = bench();
    b.keys("/");
    b.text("task:orders");
    b.keys("enter R");
    let cmds = b.taken();
    let [Cmd::Select(number, filter)] = cmds.as_slice() else { panic!("{cmds:?}") };
    assert_eq!(filter.to_string(), "task:orders state:failed");
    b.keys("y");
    assert_eq!(b.taken(), [], "not counted yet");
    let selection = Selection { id: SelectionId(4), count: 11, names: vec!["a.csv".into(), "b.csv".into()], rev: 10 };
    b.send(Msg::Selected(number + 1, Ok(selection.clone())));
    b.keys("y");
    assert_eq!(b.taken(), [], "the answer to another question");
    b.send(Msg::Selected(*number, Ok(selection)));
    let screen = b.screen();
    assert!(screen.contains("retry 11 jobs?") && screen.contains("a.csv") && screen.contains("and 9 more"), "{screen}");
    b.keys("y");
    assert_eq!(b.taken(), [Cmd::Act(Verb::Retry, Target::Selection(SelectionId(4)), None)]);
    assert_eq!(b.app.filter.to_string(), "task:orders", "the filter stays");
}

#[test]
fn a_count_that_comes_after_the_prompt_was_closed_does_nothing() {
    let mut b = bench();
    b.keys("R esc");
    b.send(Msg::Selected(1, Ok(Selection { id: SelectionId(4), count: 11, names: vec![], rev: 10 })));
    assert!(b.app.layers.is_empty());
}

#[test]
fn skipping_needs_a_reason_and_offers_the_last_one() {
    let mut b = bench();
    b.keys("s enter");
    assert_eq!(b.taken(), []);
    assert!(b.screen().contains("a reason is required"));
    b.text("known bad");
    b.keys("enter");
    let skip = |id| Cmd::Act(Verb::Skip, jobs(&[id]), Some("known bad".into()));
    assert_eq!(b.taken(), [skip(18_331)]);
    b.keys("j s up enter");
    assert_eq!(b.taken(), [skip(18_329)]);
}

#[test]
fn cancelling_is_asked_about_and_only_offered_for_what_can_be_cancelled() {
    let mut b = bench();
    b.keys("x");
    assert_eq!(notice(&b), "cannot cancel job 18331: it is failed");
    assert!(b.app.layers.is_empty());
    b.keys("j j j x n");
    assert_eq!(b.taken(), []);
    b.keys("x y");
    assert_eq!(b.taken(), [Cmd::Act(Verb::Cancel, jobs(&[18_340]), None)]);
    b.keys("r");
    assert_eq!(notice(&b), "cannot retry job 18340: it is running");
}

#[test]
fn a_read_only_session_does_nothing() {
    let mut b = bench();
    b.app.read_only = true;
    for key in ["r", "R", "s", "S", "x", "p", "P", "t"] {
        b.keys(key);
        assert_eq!(notice(&b), "this session is read-only", "{key}");
    }
    assert!(b.app.layers.is_empty());
    assert_eq!(b.taken(), []);
}

#[test]
fn nothing_is_sent_to_a_supervisor_that_does_not_answer() {
    let mut b = bench();
    b.send(Msg::Lost("connection reset".into()));
    b.keys("r");
    assert_eq!(b.taken(), []);
    assert_eq!(notice(&b), "the supervisor does not answer");
    let screen = b.screen();
    assert!(screen.contains("stale since 14:02:11, reconnecting: connection reset"), "{screen}");
    assert!(screen.contains("주문-2026-11-20.csv"), "the last data stays");
    b.wait(60_000);
    b.send(Msg::Lost("no supervisor is running".into()));
    assert!(matches!(&b.app.link, Link::Stale { since, .. } if *since == now()), "since the first loss");
    b.send(Msg::Connected);
    assert!(b.cmds.iter().any(|c| matches!(c, Cmd::Jobs(..))), "everything is asked for again");
    assert!(!b.screen().contains("stale"));
}

#[test]
fn a_filter_narrows_and_esc_takes_back_step_by_step() {
    let mut b = bench();
    b.keys("space /");
    b.text("state:faild");
    b.keys("enter");
    assert!(b.screen().contains("no such state"), "{}", b.screen());
    assert_eq!(b.app.layers.len(), 1, "the line stays open");
    b.keys("esc");
    b.keys("/");
    b.text("state:failed");
    b.keys("enter");
    let asked = b.cmds.iter().find_map(|c| match c {
        Cmd::Jobs(_, filter) => Some(filter.to_string()),
        _ => None,
    });
    assert_eq!(asked.as_deref(), Some("state:failed"));
    b.answer();
    b.keys("esc");
    assert!(b.app.filter.is_empty() && !b.app.marks.is_empty(), "the filter first");
    b.keys("esc");
    assert!(b.app.marks.is_empty(), "then the marks");
    b.keys("/ up enter");
    assert_eq!(b.app.filter, Filter::state(JobState::Failed), "the last one is recalled");
}

#[test]
fn marks_of_a_range_and_of_everything() {
    let mut b = bench();
    b.keys("v j j v");
    assert!(matches!(&b.app.marks, Marks::Ids(ids) if ids.len() == 3));
    assert!(b.screen().contains("3 marked of 12 matching"));
    b.keys("*");
    assert!(matches!(&b.app.marks, Marks::Ids(ids) if ids.len() == 12), "all are at hand");
    let many = (1..=1_000).rev().map(|id| job(id, JobState::Queued)).collect();
    let mut b = Bench::with(120, 36, Depth::Mono, many);
    b.keys("*");
    assert_eq!(b.app.marks, Marks::Matching, "not all are at hand");
    b.keys("x");
    assert!(matches!(b.taken().as_slice(), [Cmd::Select(..)]), "the supervisor decides who matches");
}

#[test]
fn the_list_is_read_in_pages_and_the_cursor_follows_its_job() {
    let rows: Vec<_> = (1..=1_000).rev().map(|id| job(id, JobState::Queued)).collect();
    let mut b = Bench::with(120, 36, Depth::Mono, rows);
    for _ in 0..300 {
        b.keys("j");
        b.answer();
    }
    assert_eq!(selected(&b), 700);
    assert!(b.app.rows.len() <= 300, "a window, not the queue");
    b.keys("g");
    b.answer();
    b.keys("j j j");
    b.answer();
    assert_eq!(selected(&b), 997);
    b.rows.insert(0, failed(2_000, "/srv/inbox/new.csv", failure()));
    b.send(Msg::Tick(Box::new(tick(50))));
    b.wait(1_000);
    b.answer();
    assert_eq!(selected(&b), 997);
    assert!(b.screen().contains("new.csv"), "and what is new is seen above it");
}

#[test]
fn late_answers_never_move_the_cursor() {
    let mut b = bench();
    b.keys("/");
    b.text("contract");
    b.keys("enter");
    let late = b.cmds.iter().find_map(|c| if let Cmd::Jobs(r, _) = c { Some(r.clone()) } else { None }).unwrap();
    b.keys("esc");
    b.answer();
    b.keys("j j");
    b.answer();
    let before = (selected(&b), b.app.detail().map(|d| d.job.id));
    b.send(Msg::Jobs(late, Ok(Default::default())));
    b.send(Msg::Detail(JobId(18_331), Ok(Box::new(detail(b.rows[0].clone())))));
    assert_eq!((selected(&b), b.app.detail().map(|d| d.job.id)), before);
}

#[test]
fn details_are_asked_for_one_at_a_time() {
    let mut b = bench();
    b.keys("j j j j");
    let asked = b.cmds.iter().filter(|c| matches!(c, Cmd::Detail(_))).count();
    assert_eq!(asked, 1);
    b.answer();
    assert_eq!(b.app.detail().unwrap().job.id, JobId(18_339), "and in the end those of the cursor");
}

#[test]
fn q_goes_back_and_detaches_at_the_top() {
    let mut b = bench();
    b.keys("enter z q");
    assert_eq!((b.app.focus, b.app.zoomed), (PaneId::Queue, false));
    assert_eq!(b.taken(), []);
    b.keys("q");
    assert_eq!(b.taken(), [Cmd::Leave]);
    b.keys("ctrl-c");
    assert_eq!(b.taken(), [Cmd::Leave]);
}

#[test]
fn panes_are_reached_by_tab_and_number() {
    let mut b = bench();
    b.keys("tab tab");
    assert_eq!(b.app.focus, PaneId::Logs);
    b.keys("backtab backtab backtab");
    assert_eq!(b.app.focus, PaneId::System);
    b.keys("5");
    assert_eq!((b.app.focus, b.app.zoomed), (PaneId::Logs, true));
    b.keys("3");
    b.answer();
    assert_eq!((b.app.focus, b.app.filter.to_string().as_str()), (PaneId::Queue, "state:failed"));
}

#[test]
fn tasks_are_paused_resumed_and_started() {
    let mut b = bench();
    b.keys("p");
    assert_eq!(b.taken(), [Cmd::Switch { task: Some("orders".into()), pause: true }]);
    b.send(Msg::Switched { task: Some("orders".into()), paused: true, result: Ok(()) });
    assert!(notice(&b).starts_with("paused orders"));
    b.keys("6 j p");
    assert_eq!(b.taken(), [Cmd::Switch { task: Some("partners".into()), pause: false }], "it is paused already");
    b.keys("P");
    assert_eq!(b.taken(), []);
    b.keys("y");
    assert_eq!(b.taken(), [Cmd::Switch { task: None, pause: true }]);
    let mut paused = status();
    paused.paused = Some(Paused { by: "jun".into(), at: stamp(14, 0, 0) });
    b.send(Msg::Status(Box::new(paused)));
    assert!(b.screen().contains("everything is paused by jun"));
    b.keys("P y");
    assert_eq!(b.taken(), [Cmd::Switch { task: None, pause: false }]);
    b.keys("1 t j j enter");
    assert_eq!(b.taken(), [], "it is asked about");
    b.keys("y");
    assert_eq!(b.taken(), [Cmd::Trigger("thumbs".into())]);
}

#[test]
fn logs_are_narrowed_by_the_supervisor() {
    let mut b = bench();
    b.cmds.clear();
    let followed = |b: &mut Bench| {
        let found = b.cmds.iter().rev().find_map(|c| if let Cmd::Follow(_, s) = c { Some(s.clone()) } else { None });
        b.answer();
        found
    };
    b.keys("l");
    assert_eq!(followed(&mut b), Some(LogScope { job: Some(JobId(18_331)), ..LogScope::default() }));
    assert_eq!(b.app.focus, PaneId::Logs);
    b.keys("L L");
    assert_eq!(followed(&mut b).unwrap().level, Some(crate::model::action::Level::Warn));
    b.keys("/");
    b.text("number");
    b.keys("enter a");
    let scope = followed(&mut b).unwrap();
    assert_eq!((scope.job, scope.search.as_deref()), (None, Some("number")));
    b.keys("right");
    assert_eq!(b.app.logs.tab, Tab::Supervisor);
}

#[test]
fn attempts_are_turned_through() {
    let mut b = bench();
    let mut twice = detail(b.rows[0].clone());
    let mut first = twice.attempts[0].clone();
    first.error = Some(crate::model::Failure::transient("locked", "the file was locked"));
    twice.attempts[0].n = 2;
    twice.attempts.insert(0, first);
    b.send(Msg::Detail(JobId(18_331), Ok(Box::new(twice))));
    b.keys("[");
    assert!(b.screen().contains("the file was locked") && b.screen().contains("try 1 of 2"));
    b.keys("] ]");
    assert!(!b.screen().contains("the file was locked"));
}

#[test]
fn copying_shows_what_was_copied() {
    let mut b = bench();
    b.keys("y");
    let path = "/srv/failed/orders/주문-2026-11-20.csv";
    assert_eq!(b.taken(), [Cmd::Copy(path.into())]);
    assert_eq!(notice(&b), format!("copied {path}"));
    b.keys("Y");
    assert!(matches!(b.taken().as_slice(), [Cmd::Copy(all)] if all.contains("is not a number") && all.contains("^^^")));
}

#[test]
fn a_frozen_display_stands_still_until_it_is_thawed() {
    let mut b = bench();
    b.keys("F");
    let before = b.screen();
    b.rows.clear();
    let mut other = tick(99);
    other.counts.failed = 77;
    b.send(Msg::Tick(Box::new(other)));
    b.answer();
    assert_eq!(b.screen(), before);
    assert!(before.contains("display frozen"));
    b.keys("F");
    b.wait(1_000);
    b.answer();
    assert!(b.screen().contains("no jobs yet"));
}

#[test]
fn any_action_is_found_by_name() {
    let mut b = bench();
    b.keys(":");
    b.text("trig");
    b.keys("enter");
    assert!(matches!(b.app.layers.as_slice(), [Layer::Tasks(_)]));
}

#[test]
fn a_paste_runs_no_command() {
    let mut b = bench();
    b.send(Msg::Paste("rRxyq\u{1b}[A".repeat(100_000)));
    assert_eq!(b.taken(), []);
    assert!(b.app.layers.is_empty());
}

#[test]
fn every_act_of_the_mouse_has_its_place() {
    let mut b = bench();
    let mouse = |kind, column, row| Msg::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE });
    b.send(mouse(MouseEventKind::Down(MouseButton::Left), 20, 6));
    assert_eq!(selected(&b), 18_329, "the second line of a job is the job");
    b.send(mouse(MouseEventKind::Down(MouseButton::Left), 20, 30));
    assert_eq!(b.app.focus, PaneId::Logs);
    b.send(mouse(MouseEventKind::ScrollDown, 20, 6));
    assert_eq!((b.app.focus, selected(&b)), (PaneId::Logs, 18_339), "the wheel moves what it is over");
    b.send(mouse(MouseEventKind::Down(MouseButton::Left), 65_000, 65_000));
}

#[test]
fn keys_are_drawn_at_once_and_data_soon() {
    let mut b = bench();
    b.app.due = Due::Never;
    b.send(Msg::Tick(Box::new(tick(1))));
    assert_eq!(b.app.due, Due::Soon);
    b.keys("j");
    assert_eq!(b.app.due, Due::Now);
}

#[test]
fn an_idle_screen_changes_its_clock_and_nothing_else() {
    let done = (0..20).map(|i| {
        let mut j = job(100 - i, JobState::Succeeded);
        j.finished_at = Some(stamp(13, 10, 5));
        j
    });
    let mut b = Bench::with(120, 36, Depth::Indexed, done.collect());
    let before = b.buffer();
    b.wait(1_000);
    b.send(Msg::Clock(now()));
    b.answer();
    let cells = before.diff(&b.buffer()).len();
    assert!(cells <= 2, "{cells} cells changed in an idle second");
}

#[test]
fn a_question_is_seen_on_the_smallest_terminal() {
    for size in [(30, 6), (60, 1)] {
        let mut b = Bench::busy(size.0, size.1, Depth::Mono);
        b.keys("space space r");
        assert!(b.screen().contains("retry 2 marked jobs? y/n"), "{}", b.screen());
    }
}

#[test]
fn files_that_nobody_takes_are_named() {
    let mut b = bench();
    let mut left = status();
    left.listed.count = 3;
    left.listed.files.push(crate::model::view::ListedFile {
        path: "/srv/inbox/readme.doc".into(),
        reason: "no task matches".into(),
    });
    b.send(Msg::Status(Box::new(left)));
    assert!(b.screen().contains("readme.doc: no task"), "{}", b.screen());
}

#[test]
fn the_numbers_of_tasks_that_are_seen_stay_true() {
    let mut b = bench();
    b.keys("6");
    b.taken();
    let mut asked = |wait, rev| {
        b.wait(wait);
        b.send(Msg::Tick(Box::new(tick(rev))));
        let asked = b.cmds.contains(&Cmd::Status);
        b.taken();
        asked
    };
    assert!(asked(1_100, 11));
    assert!(!asked(100, 12), "not twice in a second");
    assert!(asked(1_100, 12), "the last change is not forgotten");
    assert!(!asked(1_100, 12), "nothing changed");
}

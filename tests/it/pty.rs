//! The whole program as an operator meets it: started in a terminal, with a supervisor of its own in the background.

use crate::support::{BAD, Background, GOOD, ORDERS, Site, Terminal, until};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

/// A site with a dashboard; the supervisor in the background was started by it.
fn open(site: &Site, columns: u16, rows: u16) -> (Background, Terminal) {
    let guard = Background::of(site);
    let terminal = Terminal::open(site, &[], columns, rows);
    terminal.sees("q detach");
    (guard, terminal)
}

#[test]
fn what_broke_is_seen_mended_retried_and_skipped() {
    let site = Site::new(ORDERS);
    let (guard, mut terminal) = open(&site, 120, 36);
    let pid = guard.pid().expect("a supervisor was started");
    site.land("inbox/good.csv", GOOD);
    site.land("inbox/bad.csv", BAD);
    let screen =
        terminal.until("both files", |s| s.contains("─ 2 ─╮") && s.contains("✓ done") && s.contains("✗ failed"));
    assert!(screen.contains("good.csv") && screen.contains("bad.csv"), "{screen}");
    assert!(screen.contains("line 3: 1 field, the header has 2"), "a failed row carries its reason:\n{screen}");

    // Open it: the place and the record as it stood.
    terminal.press("g\r");
    let screen = terminal.until("the failure", |s| s.contains("q back") && s.contains("line 3") && s.contains("short"));
    assert!(screen.contains("value"), "the column is named:\n{screen}");
    // What follows Esc at once would be taken for a key with Alt.
    terminal.press("\u{1b}");
    terminal.sees("Enter open");

    std::fs::write(site.path("failed/orders/bad.csv"), GOOD).unwrap();
    terminal.press("gr");
    site.job_in("bad.csv", "succeeded");
    terminal.until("no failure any more", |s| s.contains("failed 0") && s.contains("done 2"));

    site.land("inbox/worse.csv", "id,value\nworse\n");
    site.job_in("worse.csv", "failed");
    terminal.sees("line 2: 1 field");
    terminal.press("gs");
    terminal.sees("skip worse.csv: why?");
    terminal.press("시험 자료\r");
    let skipped = site.job_in("worse.csv", "skipped");
    assert_eq!(skipped["reason"], "시험 자료");

    terminal.press("q");
    terminal.sees("detached");
    terminal.assert_restored();
    assert_eq!(terminal.end(), 0);
    assert_eq!(guard.pid(), Some(pid), "the supervisor goes on");
    site.land("inbox/later.csv", GOOD);
    site.job_in("later.csv", "succeeded");

    // A second dashboard finds the first one's supervisor.
    let mut again = Terminal::open(&site, &[], 120, 36);
    again.sees("later.csv");
    assert_eq!(guard.pid(), Some(pid));
    again.press("q");
    assert_eq!(again.end(), 0);
    site.run("stop").expect(0);
    assert_eq!(guard.pid(), None);
}

#[test]
fn leaving_says_that_work_goes_on() {
    let site = Site::new(
        "[tasks.slow]\nmanual = true\ncommand = { program = \"sleep\", args = [\"600\"], grace = \"1s\", idempotent = true }\n",
    );
    let (guard, mut terminal) = open(&site, 100, 30);
    let id = site.json("trigger slow")["jobs"][0].as_i64().unwrap();
    site.state_of(id, "running");
    terminal.until("the running job", |s| s.contains("running 1") || s.contains("> run"));
    terminal.press("q");
    terminal.sees("1 job still running");
    terminal.assert_restored();
    assert_eq!(terminal.end(), 0);
    assert_eq!(site.state_of(id, "running")["attempt"], 1);
    drop(guard);
    assert_eq!(site.json("status")["state"], "stopped");
}

#[test]
fn a_signal_gives_the_terminal_back_and_leaves_the_supervisor_alone() {
    let site = Site::new(ORDERS);
    let (guard, mut terminal) = open(&site, 80, 24);
    let pid = guard.pid();
    terminal.signal(Signal::SIGTERM);
    terminal.assert_restored();
    terminal.end();
    assert_eq!(guard.pid(), pid);

    // The line drops: the client is gone soon, whatever it was doing.
    let mut terminal = Terminal::open(&site, &[], 80, 24);
    terminal.sees("q detach");
    terminal.hang_up();
    let dropped = Instant::now();
    terminal.end();
    assert!(dropped.elapsed() < Duration::from_secs(2), "{:?}", dropped.elapsed());
    assert_eq!(guard.pid(), pid);
    site.land("inbox/a.csv", GOOD);
    site.job_in("a.csv", "succeeded");
}

#[test]
fn a_supervisor_that_cannot_start_says_why() {
    let site = Site::new(ORDERS);
    std::fs::create_dir_all(site.path("data")).unwrap();
    std::fs::write(site.path("data/shiftboss.db"), "this is not a database, and it is long enough to look like one")
        .unwrap();
    let _guard = Background::of(&site);
    let mut terminal = Terminal::open(&site, &[], 120, 30);
    let code = terminal.end();
    let screen = terminal.until("the reason", |s| s.contains("did not start"));
    assert!(code != 0 && screen.contains("database"), "{code}\n{screen}");
    terminal.assert_restored();
    assert_eq!(
        std::fs::read(site.path("data/shiftboss.db")).unwrap(),
        b"this is not a database, and it is long enough to look like one",
        "what is not ours is left alone"
    );
}

#[test]
fn names_and_contents_from_outside_never_act_on_the_terminal() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let site = Site::new(ORDERS);
    let (_guard, mut terminal) = open(&site, 120, 36);
    let names: [&[u8]; 4] = [
        b"a\x1b]0;HIJACK\x07\x1b[2J\x1b[31m.csv",
        "b\u{202e}vsc.csv".as_bytes(),
        b"c\xff\xfe\x9b2J.csv",
        "d\u{9b}31m\r\n\t.csv".as_bytes(),
    ];
    let content = b"id,value\n1,2\n\x1b]52;c;SElKQUNL\x07\x1b[?1049l\xe2\x80\xae\n";
    for name in names {
        std::fs::write(site.path("inbox").join(OsStr::from_bytes(name)), content).unwrap();
    }
    until("four failures", || (site.json("status")["counts"]["failed"] == 4).then_some(()));
    terminal.until("all of them", |s| s.contains("\\x1b]0;HIJACK") && s.contains("\\xff"));
    terminal.sees("─ 4 ─╮");
    for _ in 0..4 {
        terminal.press("\r");
        terminal.sees("q back");
        terminal.press("\u{1b}");
        terminal.sees("Enter open");
        terminal.press("j");
    }
    terminal.press("l");
    terminal.sees("Logs");
    let raw = terminal.raw();
    let shown = String::from_utf8_lossy(&raw);
    for harm in ["\x1b]0;", "\x1b]52", "\u{202e}", "\u{9b}", "\x07"] {
        assert!(!shown.contains(harm), "{harm:?} reached the terminal");
    }
    assert!(!raw.windows(4).any(|w| w == b"\x1b[2J" && shown.contains("HIJACK\x07")));
    terminal.wait("the second screen", |s| s.parser.screen().alternate_screen().then_some(()));
    terminal.press("qq");
    terminal.sees("detached");
    terminal.assert_restored();
}

#[test]
fn any_size_is_taken() {
    let site = Site::new(ORDERS);
    let (_guard, mut terminal) = open(&site, 120, 36);
    for n in 0..30 {
        site.land(&format!("inbox/주문-{n:02}.csv"), if n % 3 == 0 { BAD } else { GOOD });
    }
    until("all of them", || (site.json("status")["counts"]["failed"] == 10).then_some(()));
    terminal.sees("주문-");
    for (columns, rows) in [(80, 24), (20, 5), (200, 60), (1, 1), (80, 24)] {
        terminal.resize(columns, rows);
        terminal.press("jk");
        terminal.until("a screen of that size", |s| columns < 20 || !s.trim().is_empty());
    }
    let screen = terminal.until("the list again", |s| s.contains("q detach") && s.contains("주문-"));
    assert!(screen.lines().count() <= 24);
    terminal.press("q");
    terminal.sees("detached");
    terminal.assert_restored();
    assert_eq!(terminal.end(), 0);
}

#[test]
fn wide_names_do_not_shift_the_columns() {
    let site = Site::new(ORDERS);
    let (_guard, mut terminal) = open(&site, 120, 36);
    for name in ["latin-name", "주문-내역", "ｆｕｌｌ", "e\u{301}tude"] {
        site.land(&format!("inbox/{name}.csv"), BAD);
    }
    until("four failures", || (site.json("status")["counts"]["failed"] == 4).then_some(()));
    terminal.until("all of them", |s| s.contains("주문-내역.csv") && s.contains("latin-name.csv"));
    // The column of the tries begins at one and the same cell in every row of a job.
    let columns = terminal.wait("the rows", |shown| {
        let screen = shown.parser.screen();
        let (rows, width) = screen.size();
        let mut found = Vec::new();
        for row in 0..rows {
            let cell = |column| screen.cell(row, column).map_or("", |c| c.contents());
            let tries = (0..width.saturating_sub(3))
                .find(|c| [cell(*c), cell(c + 1), cell(c + 2)].concat() == "1/3" && *c < width / 2 + 10);
            let line: String = (0..width).map(cell).collect();
            if line.contains("failed") && line.contains("orders") {
                found.extend(tries);
            }
        }
        (found.len() >= 4).then_some(found)
    });
    assert!(columns.iter().all(|c| *c == columns[0]), "{columns:?}\n{}", terminal.screen());
    terminal.press("q");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn a_read_only_dashboard_changes_nothing() {
    let site = Site::new(ORDERS);
    let _supervisor = site.start();
    site.land("inbox/bad.csv", BAD);
    let before = site.job_in("bad.csv", "failed");
    let mut terminal = Terminal::open(&site, &["attach", "--read-only"], 100, 30);
    terminal.sees("bad.csv");
    terminal.press("gr");
    terminal.sees("read-only");
    terminal.press("q");
    assert_eq!(terminal.end(), 0);
    assert_eq!(site.job("bad.csv").unwrap()["rev"], before["rev"]);
}

#[test]
fn a_stopped_supervisor_is_said_and_a_new_one_is_found() {
    let site = Site::new(ORDERS);
    let supervisor = site.start();
    let mut terminal = Terminal::open(&site, &["attach"], 100, 30);
    terminal.sees("q detach");
    drop(supervisor);
    terminal.until("the loss", |s| s.contains("not running") || s.contains("no supervisor") || s.contains("lost"));
    let _again = site.start();
    site.land("inbox/good.csv", GOOD);
    terminal.sees("good.csv");
    terminal.press("q");
    terminal.sees("detached");
    assert_eq!(terminal.end(), 0);
}

//! The demo: it shows what fails and why, and nothing of it is left on any way out.

use crate::support::{PATIENCE, Site, Terminal, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Instant;

/// The workspaces of demos that run here.
fn workspaces(site: &Site) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(site.root()).unwrap().map(|e| e.unwrap().path());
    entries.filter(|p| p.file_name().unwrap().to_string_lossy().starts_with("shiftboss-demo-")).collect()
}

/// Waits until a job has failed, one has succeeded and a slow program runs.
fn busy(site: &Site) -> PathBuf {
    until("a failed file, a good one and a program", || {
        let workspace = workspaces(site).pop()?;
        let has = |folder: &str| std::fs::read_dir(workspace.join(folder)).is_ok_and(|mut d| d.next().is_some());
        let working = std::fs::read_dir(workspace.join("inbox/.shiftboss/work")).is_ok_and(|d| d.count() > 0);
        if !has("processed/documents") || !working {
            return None;
        }
        // What lies in its folder is over only when the supervisor says so.
        let config = workspace.join("config.toml");
        let failed = site.run(&format!("jobs --state failed --config {}", config.display())).out;
        let told = failed.contains("line 14: 2 fields") && failed.contains("no tax number");
        told.then_some(workspace)
    })
}

/// Programs that work in this folder, on systems that tell.
fn working_in(folder: &std::path::Path) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().filter_map(|e| Some(e.ok()?.path()));
    processes
        .filter(|p| std::fs::read_link(p.join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder)))
        .filter_map(|p| std::fs::read_to_string(p.join("cmdline")).ok())
        .collect()
}

#[track_caller]
fn assert_nothing_left(site: &Site, workspace: &std::path::Path) {
    assert_eq!(workspaces(site), Vec::<PathBuf>::new());
    assert_eq!(working_in(workspace), Vec::<String>::new());
}

fn ended(mut child: Child) -> (Option<i32>, String) {
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("the demo did not end");
        }
        std::thread::park_timeout(std::time::Duration::from_millis(10));
    }
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code(), said)
}

#[test]
fn without_a_screen_it_ends_by_itself_and_says_what_became_of_the_work() {
    let site = Site::empty();
    let ran = site.run("demo --headless --for 2s").expect(0);
    assert!(ran.err.starts_with("the demo runs without a screen for 2s"), "{ran:#?}");
    assert!(ran.out.contains(" succeeded, ") && ran.out.contains("its workspace removed"), "{ran:#?}");
    assert_eq!(site.tree(""), Vec::<String>::new());
    let json = site.run("demo --headless --for 1s --json").expect(0).json();
    assert!(json["counts"]["succeeded"].is_u64() && json["failed"].is_array(), "{json}");
}

#[test]
fn a_signal_ends_it_and_the_failures_are_told_with_their_reasons() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let site = Site::empty();
        let mut command = site.command(["demo", "--headless", "--for", "1h"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let workspace = busy(&site);
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
        let (code, said) = ended(child);
        assert_eq!(code, Some(0), "{signal}: {said}");
        assert!(said.contains("line 14: 2 fields, the header has 3"), "{signal}: {said}");
        assert!(said.contains("exit code 65: no tax number in the invoice"), "{signal}: {said}");
        assert_nothing_left(&site, &workspace);
    }
}

#[test]
fn without_a_terminal_it_says_so() {
    let site = Site::empty();
    let child = site.command(["demo"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let workspace = busy(&site);
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    let (_, said) = ended(child);
    assert!(said.contains("no terminal: the demo runs without a screen for 20s"), "{said}");
    assert_nothing_left(&site, &workspace);
}

#[test]
fn leaving_the_dashboard_ends_it() {
    let site = Site::empty();
    let mut terminal = Terminal::open(&site, &["demo"], 120, 36);
    terminal.sees("no tax number in the invoice");
    terminal.sees("end demo");
    terminal.sees("주문-0002.csv");
    let workspace = busy(&site);
    terminal.press("q");
    terminal.sees("its supervisor is stopped, its workspace removed");
    assert_eq!(terminal.end(), 0);
    terminal.assert_restored();
    assert_nothing_left(&site, &workspace);
}

#[test]
fn the_time_ends_the_dashboard_too() {
    let site = Site::empty();
    let mut terminal = Terminal::open(&site, &["demo", "--for", "2s"], 80, 24);
    terminal.sees("the demo is over");
    assert_eq!(terminal.end(), 0);
    terminal.assert_restored();
    assert_eq!(workspaces(&site), Vec::<PathBuf>::new());
}

#[test]
fn a_signal_or_a_lost_terminal_ends_the_dashboard_and_the_demo() {
    let site = Site::empty();
    let mut terminal = Terminal::open(&site, &["demo"], 120, 36);
    let workspace = busy(&site);
    terminal.signal(Signal::SIGTERM);
    assert_eq!(terminal.end(), 0);
    terminal.assert_restored();
    assert_nothing_left(&site, &workspace);

    let mut terminal = Terminal::open(&site, &["demo"], 120, 36);
    terminal.sees("end demo");
    let workspace = busy(&site);
    terminal.hang_up();
    assert_eq!(terminal.end(), 0);
    assert_nothing_left(&site, &workspace);
}

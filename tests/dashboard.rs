//! The dashboard in a real pseudo-terminal, on a real socket: it shows the state, it gives the terminal back on every
//! way out, it leaves when the terminal does, and it is quiet when nothing happens.
//!
//! The test runs itself again as the child that owns the terminal.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends at the first surprise")]

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use shiftboss::clock::{Clock, SystemClock, rfc3339};
use shiftboss::control::client::Client;
use shiftboss::control::server::{self, Access, Ports};
use shiftboss::model::action::Level;
use shiftboss::model::ports::{
    Actor, Answer, BoxFuture2, Commands, Explain, JobsQuery, LogsQuery, Reader, Refusal, Target, Ticks,
};
use shiftboss::model::view::*;
use shiftboss::model::{Failure, Filter, JobId, JobState, RunId, SelectionId};
use shiftboss::tui::{self, Ended, Options};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Set for the child: the socket to attach to.
const SOCKET: &str = "SHIFTBOSS_TEST_SOCKET";
/// Set for the child: another thread panics once this file exists.
const PANIC: &str = "SHIFTBOSS_TEST_PANIC";
/// Longest wait for anything that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// The child: runs only when the test below starts it.
#[test]
fn child() {
    let Some(socket) = std::env::var_os(SOCKET) else { return };
    if let Some(path) = std::env::var_os(PANIC).map(PathBuf::from) {
        let wait = move || {
            while !path.exists() {
                std::thread::park_timeout(STEP);
            }
            panic!("a thread of the test fails");
        };
        std::thread::Builder::new().spawn(wait).unwrap();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options = Options { read_only: false, color: true, unicode: true, mouse: true, leave: "detach" };
    match runtime.block_on(tui::run(Client::unix(PathBuf::from(socket)), options)) {
        Ok(Ended::Detached { running }) => println!("\r\ndetached, {running} jobs still running"),
        Ok(other) => println!("\r\nended: {other:?}"),
        Err(fatal) => println!("\r\nfatal: {}", fatal.message),
    }
}

/// Pause between two looks at something that nobody announces.
const STEP: Duration = Duration::from_millis(10);

/// A supervisor with two jobs.
#[derive(Default)]
struct Fake {
    acted: Mutex<Vec<String>>,
    ticks: Arc<AtomicI64>,
}

fn job(id: i64, state: JobState) -> JobView {
    JobView {
        id: JobId(id),
        run: RunId(id),
        task: "orders".into(),
        action: "extract".into(),
        state,
        input: format!("/srv/inbox/주문-{id}.csv"),
        input_b64: None,
        attempt: 1,
        spent: 1,
        max_attempts: 3,
        created_at: rfc3339(SystemClock.now()),
        started_at: None,
        finished_at: None,
        duration_ms: None,
        not_before: None,
        rows: None,
        bytes_in: None,
        rows_out: None,
        rejected: 0,
        bytes_out: None,
        outputs: Vec::new(),
        error: (state == JobState::Failed).then(|| Failure::permanent("bad", "hostile \x1b[2J\x1b]0;title\x07 text")),
        held: None,
        maybe_repeated: false,
        reason: None,
        rev: 1,
        host: None,
        http_status: None,
        latency_ms: None,
        requests: None,
        cached: false,
        is_plan: false,
    }
}

fn ready<T: Send + 'static>(value: T) -> Answer<T> {
    Box::pin(std::future::ready(Ok(value)))
}

fn counts() -> Counts {
    Counts { failed: 1, running: 1, ..Counts::default() }
}

impl Reader for Fake {
    fn status(&self) -> Answer<Status> {
        let value = serde_json::json!({
            "state": "running", "pid": 1, "version": "0.1.0", "api": 1, "uptime_ms": 1000, "socket": "/run/x",
            "counts": counts(), "tasks": [], "host": "web-03", "config": "/srv/orders/config.toml",
            "now": rfc3339(SystemClock.now()), "rev": 1
        });
        ready(serde_json::from_value(value).unwrap())
    }

    fn jobs(&self, _: JobsQuery) -> Answer<JobsPage> {
        let jobs = vec![job(2, JobState::Failed), job(1, JobState::Running)];
        ready(JobsPage { jobs, next: None, matching: 2, more: false, rev: 1 })
    }

    fn job(&self, id: JobId) -> Answer<JobDetail> {
        let job = job(id.0, if id.0 == 2 { JobState::Failed } else { JobState::Running });
        ready(JobDetail {
            run: None,
            job,
            attempts: vec![],
            files: vec![],
            rejects: vec![],
            cause: None,
            actions: vec![],
            why: vec![],
        })
    }

    fn input(&self, _: JobId, _: u64, _: u32) -> Answer<InputView> {
        ready(InputView::default())
    }

    fn file(&self, _: PathBuf) -> Answer<JobsPage> {
        ready(JobsPage::default())
    }

    fn schedules(&self) -> Answer<SchedulesPage> {
        ready(SchedulesPage::default())
    }

    fn alerts(&self) -> Answer<AlertsView> {
        ready(AlertsView::default())
    }

    fn logs(&self, query: LogsQuery) -> Answer<LogsPage> {
        let line = LogLine {
            seq: 1,
            at: rfc3339(SystemClock.now()),
            level: Level::Info,
            task: None,
            job: None,
            target: Some("shiftboss".into()),
            message: "a line of the log".into(),
        };
        let lines = if query.from.is_none() { vec![line] } else { Vec::new() };
        ready(LogsPage { lines, next: 2, gap: 0 })
    }

    fn ticks(&self) -> Box<dyn Ticks> {
        Box::new(Every(self.ticks.clone(), tokio::time::interval(Duration::from_millis(250))))
    }
}

/// Four ticks a second on which nothing happens.
struct Every(Arc<AtomicI64>, tokio::time::Interval);

impl Ticks for Every {
    fn next(&mut self) -> BoxFuture2<'_, Option<Tick>> {
        Box::pin(async {
            self.1.tick().await;
            self.0.fetch_add(1, Ordering::SeqCst);
            let now_ms = SystemClock.now().0;
            Some(Tick { rev: 1, counts: counts(), now_ms, state: "running".into(), ..Tick::default() })
        })
    }
}

fn refused<T: Send + 'static>() -> Answer<T> {
    Box::pin(std::future::ready(Err(Refusal::new(409, "test", "not in this test"))))
}

impl Commands for Fake {
    fn select(&self, _: Actor, _: Filter) -> Answer<Selection> {
        ready(Selection { id: SelectionId(1), count: 0, names: vec![], rev: 1 })
    }
    fn retry(&self, _: Actor, target: Target) -> Answer<Done> {
        self.acted.lock().unwrap().push(format!("{target:?}"));
        ready(Done { done: vec![JobId(2)], refused: vec![] })
    }
    fn skip(&self, _: Actor, _: Target, _: String) -> Answer<Done> {
        refused()
    }
    fn cancel(&self, _: Actor, _: Target) -> Answer<Done> {
        refused()
    }
    fn trigger(&self, _: Actor, _: String, _: Option<PathBuf>) -> Answer<Triggered> {
        refused()
    }
    fn pause(&self, _: Actor, _: Option<String>) -> Answer<Paused> {
        refused()
    }
    fn resume(&self, _: Actor, _: Option<String>) -> Answer<()> {
        refused()
    }
    fn reload(&self, _: Actor) -> Answer<Vec<String>> {
        refused()
    }
    fn stop(&self, _: Actor, _: bool) -> Answer<()> {
        refused()
    }
    fn restart(&self, _: Actor) -> Answer<()> {
        refused()
    }
    fn alert_test(&self, _: Actor, _: Option<String>) -> Answer<Vec<TestedView>> {
        refused()
    }
}

impl Explain for Fake {
    fn why_job(&self, _: JobId) -> Answer<WhyView> {
        ready(WhyView::default())
    }
    fn why_task(&self, _: String) -> Answer<WhyView> {
        ready(WhyView::default())
    }
}

/// What has come out of the terminal.
struct Shown {
    parser: vt100::Parser,
    raw: Vec<u8>,
    closing: bool,
    ended: bool,
}

/// A supervisor, and a dashboard in a terminal.
struct Stage {
    _runtime: tokio::runtime::Runtime,
    _root: tempfile::TempDir,
    fake: Arc<Fake>,
    master: Option<Box<dyn MasterPty + Send>>,
    writer: Option<Box<dyn Write + Send>>,
    child: Box<dyn Child + Send + Sync>,
    shown: Arc<(Mutex<Shown>, Condvar)>,
    modes: String,
    panic: PathBuf,
}

impl Stage {
    fn open() -> Self {
        Self::open_with(true)
    }

    /// `controlling`: whether the kernel tells the child by a signal when the terminal goes away.
    fn open_with(controlling: bool) -> Self {
        let root = tempfile::tempdir().unwrap();
        let socket = root.path().join("control.sock");
        let panic = root.path().join("panic");
        let fake = Arc::new(Fake::default());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = {
            let _inside = runtime.enter();
            server::bind(&socket, None).unwrap()
        };
        let ports = Ports { reader: fake.clone(), commands: fake.clone(), explain: fake.clone() };
        runtime.spawn(server::serve(listener, ports, Access::new(None).unwrap(), std::future::pending()));

        let size = PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let modes = format!("{:?}", pair.master.get_termios());
        let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child", "--nocapture", "--test-threads=1"]);
        command.env(SOCKET, &socket);
        command.env(PANIC, &panic);
        command.set_controlling_tty(controlling);
        command.env("TERM", "xterm-256color");
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let writer = pair.master.take_writer().unwrap();
        let shown = Shown { parser: vt100::Parser::new(24, 80, 0), raw: Vec::new(), closing: false, ended: false };
        let shown = Arc::new((Mutex::new(shown), Condvar::new()));
        let theirs = shown.clone();
        let read = move || {
            let mut bytes = [0; 4096];
            loop {
                let n = reader.read(&mut bytes).unwrap_or(0);
                let mut shown = theirs.0.lock().unwrap();
                shown.parser.process(&bytes[..n]);
                shown.raw.extend_from_slice(&bytes[..n]);
                shown.ended = n == 0 || shown.closing;
                if shown.ended {
                    drop(reader);
                    theirs.1.notify_all();
                    return;
                }
                theirs.1.notify_all();
            }
        };
        std::thread::Builder::new().spawn(read).unwrap();
        let stage = Self {
            _runtime: runtime,
            _root: root,
            fake,
            master: Some(pair.master),
            writer: Some(writer),
            child,
            shown,
            modes,
            panic,
        };
        stage.until("the list", |s| s.contains("주문-2.csv") && s.contains("hostile"));
        stage
    }

    /// Waits until something is on the screen.
    fn until(&self, what: &str, there: impl Fn(&str) -> bool) -> String {
        self.wait(what, |shown| {
            let text = shown.parser.screen().contents();
            there(&text).then_some(text)
        })
    }

    fn wait<T>(&self, what: &str, there: impl Fn(&Shown) -> Option<T>) -> T {
        let (lock, changed) = &*self.shown;
        let deadline = Instant::now() + PATIENCE;
        let mut shown = lock.lock().unwrap();
        loop {
            if let Some(found) = there(&shown) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited for {what}:\n{}", shown.parser.screen().contents());
            shown = changed.wait_timeout(shown, left).unwrap().0;
        }
    }

    fn press(&mut self, keys: &str) {
        self.writer.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = i32::try_from(self.child.process_id().unwrap()).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
    }

    /// Waits until the kernel says that the child is stopped.
    fn until_stopped(&self) {
        let stat = format!("/proc/{}/stat", self.child.process_id().unwrap());
        let deadline = Instant::now() + PATIENCE;
        while !std::fs::read_to_string(&stat).unwrap().contains(") T ") {
            assert!(Instant::now() < deadline, "the dashboard did not stop");
            std::thread::park_timeout(STEP);
        }
    }

    /// The terminal is as it was before.
    fn assert_restored(&self) {
        let restored = |s: &Shown| {
            let screen = s.parser.screen();
            let plain = !screen.alternate_screen()
                && !screen.hide_cursor()
                && !screen.bracketed_paste()
                && screen.mouse_protocol_mode() == vt100::MouseProtocolMode::None;
            plain.then_some(())
        };
        self.wait("the first screen, a cursor, no mouse, no paste mode", restored);
        let deadline = Instant::now() + PATIENCE;
        // Nothing tells when modes change; they are set just after the last byte.
        while format!("{:?}", self.master.as_ref().unwrap().get_termios()) != self.modes {
            assert!(Instant::now() < deadline, "the modes of the terminal were not restored");
            std::thread::park_timeout(STEP);
        }
    }

    /// Waits for the end of the child: its exit code.
    fn end(&mut self) -> u32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.exit_code();
            }
            if Instant::now() > deadline {
                self.child.kill().unwrap();
                panic!("the dashboard did not end");
            }
            std::thread::park_timeout(STEP);
        }
    }

    /// Closes our side of the terminal: a real hang-up.
    fn hang_up(&mut self) {
        self.shown.0.lock().unwrap().closing = true;
        // The reading thread holds the last descriptor; the next byte lets it go.
        self.press("?");
        self.wait("the reader's end", |s| s.ended.then_some(()));
        drop(self.writer.take());
        drop(self.master.take());
    }
}

#[test]
fn it_shows_the_state_acts_and_detaches() {
    let mut stage = Stage::open();
    let screen = stage.until("the header", |s| s.contains("web-03:orders"));
    assert!(screen.contains("hostile \\x1b[2J\\x1b]0;title\\x07 text"), "{screen}");
    stage.press("r");
    stage.until("the result", |s| s.contains("retried job 2"));
    assert_eq!(*stage.fake.acted.lock().unwrap(), ["Jobs([JobId(2)])"]);
    stage.press("5");
    stage.until("the log", |s| s.contains("a line of the log"));
    stage.press("\x1b[C");
    stage.until("the other log", |s| s.contains("Logs: supervisor") && s.contains("a line of the log"));
    stage.press("qq");
    stage.until("the farewell", |s| s.contains("detached, 1 jobs still running"));
    stage.assert_restored();
    assert_eq!(stage.end(), 0);
}

#[test]
fn signals_give_the_terminal_back() {
    use nix::sys::signal::Signal;
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
        let mut stage = Stage::open();
        stage.signal(signal);
        stage.until("the end", |s| s.contains("ended: Signalled"));
        stage.assert_restored();
        assert_eq!(stage.end(), 0, "{signal}");
    }
}

#[test]
fn a_panic_in_another_thread_gives_the_terminal_back() {
    let mut stage = Stage::open();
    std::fs::write(&stage.panic, "").unwrap();
    stage.until("the message", |s| s.contains("a thread of the test fails"));
    stage.until("the end", |s| s.contains("fatal: a part of the dashboard failed"));
    stage.assert_restored();
    assert_eq!(stage.end(), 0, "the dashboard itself ends in order");
}

#[test]
fn it_stops_and_goes_on_as_the_shell_expects() {
    let mut stage = Stage::open();
    stage.press("\x1a");
    stage.wait("the first screen", |s| (!s.parser.screen().alternate_screen()).then_some(()));
    stage.assert_restored();
    // The terminal is given back before the process stops: told to go on too early, it would stop for good.
    stage.until_stopped();
    stage.signal(nix::sys::signal::Signal::SIGCONT);
    stage.until("the list again", |s| s.contains("주문-2.csv") && s.contains("q detach"));
    stage.press("q");
    stage.until("the farewell", |s| s.contains("detached"));
    stage.assert_restored();
    stage.end();
}

#[test]
fn a_lost_terminal_is_a_detach() {
    for told_by_signal in [true, false] {
        let mut stage = Stage::open_with(told_by_signal);
        stage.hang_up();
        let started = Instant::now();
        stage.end();
        assert!(started.elapsed() < Duration::from_secs(2), "{told_by_signal}: {:?}", started.elapsed());
        assert_eq!(stage.fake.acted.lock().unwrap().len(), 0, "nothing was done to the work");
    }
}

#[test]
fn an_idle_screen_is_quiet_and_asks_the_terminal_nothing() {
    let stage = Stage::open();
    let ticks = |n: i64| {
        let from = stage.fake.ticks.load(Ordering::SeqCst);
        stage.wait("ticks", |_| (stage.fake.ticks.load(Ordering::SeqCst) >= from + n).then_some(()));
    };
    ticks(8);
    let before = stage.shown.0.lock().unwrap().raw.len();
    ticks(16);
    let shown = stage.shown.0.lock().unwrap();
    let idle = shown.raw.len() - before;
    assert!(idle < 4 * 200, "{idle} bytes in four idle seconds");
    let raw = String::from_utf8_lossy(&shown.raw);
    for query in ["\x1b[6n", "\x1b[c", "\x1b[>c", "\x1b[?u", "\x1b]11;?", "\x1b[14t", "\x1b]0;"] {
        assert!(!raw.contains(query), "{query:?}");
    }
}

//! The real program in a pseudo-terminal: what is on the screen, what came out byte by byte, and the terminal's modes.

use super::{PATIENCE, STEP, Site};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

/// What has come out of the terminal.
pub struct Shown {
    /// The screen, as a terminal would draw it.
    pub parser: vt100::Parser,
    /// Every byte.
    pub raw: Vec<u8>,
    closing: bool,
    ended: bool,
}

impl Shown {
    /// What there is to know when something is missing: an empty screen alone tells nothing.
    fn told(&self) -> String {
        let last = self.raw[self.raw.len().saturating_sub(300)..].escape_ascii();
        let end = if self.ended { "the program has let it go" } else { "the program has it" };
        format!("{}\n{end}; the last bytes: {last}", self.parser.screen().contents())
    }
}

/// A terminal with the program in it.
pub struct Terminal {
    master: Option<Box<dyn MasterPty + Send>>,
    writer: Option<Box<dyn Write + Send>>,
    child: Box<dyn Child + Send + Sync>,
    shown: Arc<(Mutex<Shown>, Condvar)>,
    modes: String,
}

impl Terminal {
    /// Starts the program with these arguments in a terminal of this size.
    pub fn open(site: &Site, args: &[&str], columns: u16, rows: u16) -> Self {
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let modes = format!("{:?}", pair.master.get_termios());
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_shiftboss"));
        command.args(args);
        command.cwd(site.root());
        command.env("HOME", site.root());
        command.env("TMPDIR", site.root());
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        command.env("TZ", "UTC");
        for name in ["NO_COLOR", "COLORTERM", "LC_ALL", "LC_CTYPE", "XDG_CONFIG_HOME", "TMUX"] {
            command.env_remove(name);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let writer = pair.master.take_writer().unwrap();
        let parser = vt100::Parser::new(rows, columns, 0);
        let shown =
            Arc::new((Mutex::new(Shown { parser, raw: Vec::new(), closing: false, ended: false }), Condvar::new()));
        let theirs = Arc::clone(&shown);
        let read = move || {
            let mut bytes = [0; 4096];
            loop {
                let n = reader.read(&mut bytes).unwrap_or(0);
                let mut shown = theirs.0.lock().unwrap_or_else(PoisonError::into_inner);
                shown.parser.process(&bytes[..n]);
                shown.raw.extend_from_slice(&bytes[..n]);
                shown.ended = n == 0 || shown.closing;
                let over = shown.ended;
                if over {
                    drop(reader);
                    theirs.1.notify_all();
                    return;
                }
                theirs.1.notify_all();
            }
        };
        std::thread::Builder::new().spawn(read).unwrap();
        Self { master: Some(pair.master), writer: Some(writer), child, shown, modes }
    }

    /// Waits until `there` says so of the screen's text, and answers that text.
    #[track_caller]
    pub fn until(&self, what: &str, there: impl Fn(&str) -> bool) -> String {
        self.wait(what, |shown| {
            let text = shown.parser.screen().contents();
            there(&text).then_some(text)
        })
    }

    /// Waits until a text is on the screen.
    #[track_caller]
    pub fn sees(&self, text: &str) -> String {
        self.until(text, |screen| screen.contains(text))
    }

    /// Waits until `there` finds something in what was shown.
    #[track_caller]
    pub fn wait<T>(&self, what: &str, there: impl Fn(&Shown) -> Option<T>) -> T {
        let (lock, changed) = &*self.shown;
        let deadline = Instant::now() + PATIENCE;
        let mut shown = lock.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(found) = there(&shown) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited for {what}:\n{}", shown.told());
            shown = changed.wait_timeout(shown, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The screen as it is now.
    pub fn screen(&self) -> String {
        self.wait("the screen", |s| Some(s.parser.screen().contents()))
    }

    /// Every byte that came out so far.
    pub fn raw(&self) -> Vec<u8> {
        self.wait("the bytes", |s| Some(s.raw.clone()))
    }

    /// Types.
    pub fn press(&mut self, keys: &str) {
        self.writer.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// Gives the terminal another size.
    pub fn resize(&self, columns: u16, rows: u16) {
        self.shown.0.lock().unwrap().parser.screen_mut().set_size(rows, columns);
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        self.master.as_ref().unwrap().resize(size).unwrap();
    }

    /// Sends a signal to the program.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.process_id().unwrap()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    /// Checks that the terminal is as it was before.
    #[track_caller]
    pub fn assert_restored(&self) {
        self.wait("the first screen, a cursor, no mouse, no paste mode", |s| {
            let screen = s.parser.screen();
            let plain = !screen.alternate_screen()
                && !screen.hide_cursor()
                && !screen.bracketed_paste()
                && screen.mouse_protocol_mode() == vt100::MouseProtocolMode::None;
            plain.then_some(())
        });
        super::until("the terminal's modes", || {
            (format!("{:?}", self.master.as_ref().unwrap().get_termios()) == self.modes).then_some(())
        });
    }

    /// Closes our side of the terminal: a real hang-up.
    pub fn hang_up(&mut self) {
        self.shown.0.lock().unwrap().closing = true;
        // The reading thread holds a descriptor of its own: the bytes that this key causes let it go.
        self.press("?");
        self.wait("the reader's end", |s| s.ended.then_some(()));
        drop(self.writer.take());
        drop(self.master.take());
    }

    /// Waits for the program's end: its exit code.
    #[track_caller]
    pub fn end(&mut self) -> u32 {
        self.status().exit_code()
    }

    /// Waits for the program's end: how it ended.
    #[track_caller]
    pub fn status(&mut self) -> portable_pty::ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the program did not end:\n{}", self.screen());
            std::thread::park_timeout(STEP);
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

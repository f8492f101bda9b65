//! The terminal: taken once, given back once on every way out (leaving, an error, a panic in any thread, a signal,
//! job control), and noticed when it goes away.
//!
//! Nothing is ever asked of the terminal after the start, so nothing waits for an answer of it. Input is read by a
//! thread that first waits on the descriptor: a terminal that was hung up is told from one that is silent, which the
//! event reader alone does not do. The main loop looks for a hang-up on its own as well, so that it ends even if that
//! thread is caught in a read.

use crossterm::event::{
    self, DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture, Event,
};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{cursor, execute};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, raise};
use std::io::{self, Write, stdin, stdout};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{self, SignalKind};
use tokio::sync::mpsc;

/// Events read ahead; when it is full, the reading thread waits and the terminal holds the rest back.
const EVENTS_AHEAD: usize = 256;
/// How often the reading thread looks whether it is still wanted, in milliseconds.
const LOOK_EVERY: u16 = 500;
/// Longest text put on the clipboard, in bytes; what is beyond it is cut.
const COPY_MAX: usize = 48 * 1024;

/// Whether the terminal is ours now.
static HELD: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();

/// The terminal in our hands; given back when this is dropped.
#[derive(Debug)]
pub struct Guard(());

impl Guard {
    /// Takes the terminal: raw mode, second screen, bracketed paste, and the mouse if that is wanted.
    pub fn take(mouse: bool) -> io::Result<Self> {
        HOOK.call_once(|| {
            let previous = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                give_back();
                previous(info);
            }));
        });
        // Made first, so that a failure half-way gives back what was taken.
        let guard = Self(());
        take(mouse)?;
        Ok(guard)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        give_back();
    }
}

fn take(mouse: bool) -> io::Result<()> {
    HELD.store(true, Ordering::SeqCst);
    enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste, cursor::Hide)?;
    set_mouse(mouse)
}

/// Gives the terminal back, once. Errors are ignored: there is nobody to tell, and the rest must still be tried.
fn give_back() {
    if HELD.swap(false, Ordering::SeqCst) {
        // A line that takes nothing would hold us here: then only the modes are restored.
        if can_write() {
            let _ = execute!(stdout(), DisableMouseCapture);
            let _ = execute!(stdout(), DisableBracketedPaste, LeaveAlternateScreen, cursor::Show);
        }
        let _ = disable_raw_mode();
    }
}

/// Whether the terminal is still in our hands. It is not after a panic in another thread.
#[must_use]
pub fn is_held() -> bool {
    HELD.load(Ordering::SeqCst)
}

/// Takes or leaves the mouse.
pub fn set_mouse(ours: bool) -> io::Result<()> {
    if ours { execute!(stdout(), EnableMouseCapture) } else { execute!(stdout(), DisableMouseCapture) }
}

/// Gives the terminal back and stops this process, as the shell's job control expects; takes it again afterwards.
pub fn suspend(mouse: bool) -> io::Result<()> {
    give_back();
    // STOP and not TSTP: our own handler would catch the latter. Raised in this thread: sent to the process, another
    // thread could take it, and this one would take the terminal again before it stops.
    raise(Signal::SIGSTOP)?;
    take(mouse)
}

/// Takes the terminal again after somebody else stopped and continued us: its modes may be the shell's.
pub fn retake(mouse: bool) -> io::Result<()> {
    give_back();
    take(mouse)
}

/// Puts text on the clipboard of the terminal (OSC 52). A terminal that does not know how ignores it.
pub fn copy(text: &str) -> io::Result<()> {
    use base64::Engine as _;
    let mut end = text.len().min(COPY_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let encoded = base64::engine::general_purpose::STANDARD.encode(&text[..end]);
    let mut out = stdout().lock();
    write!(out, "\x1b]52;c;{encoded}\x07")?;
    out.flush()
}

/// Columns and rows; nothing is asked of the terminal, only of the system.
#[must_use]
pub fn size() -> (u16, u16) {
    crossterm::terminal::window_size().map_or((80, 24), |s| (s.columns, s.rows))
}

/// Whether the terminal was hung up.
#[must_use]
pub fn is_gone() -> bool {
    look(stdin().as_fd(), PollFlags::POLLIN, 0).is_some_and(is_broken)
}

/// Whether the terminal takes output now. A slow line does not: then no frame is drawn, and the newest one is later.
#[must_use]
pub fn can_write() -> bool {
    look(stdout().as_fd(), PollFlags::POLLOUT, 0).is_some_and(|f| f.contains(PollFlags::POLLOUT))
}

fn is_broken(flags: PollFlags) -> bool {
    flags.intersects(PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL)
}

/// What there is to say about a descriptor within some milliseconds; none when that is nothing.
fn look(fd: BorrowedFd<'_>, flags: PollFlags, wait: u16) -> Option<PollFlags> {
    let mut fds = [PollFd::new(fd, flags)];
    match poll(&mut fds, PollTimeout::from(wait)) {
        Ok(n) if n > 0 => fds[0].revents(),
        _ => None,
    }
}

/// What comes from the terminal.
#[derive(Debug)]
pub enum Input {
    /// A key, the mouse, a paste, another size.
    Event(Event),
    /// It was hung up.
    Gone,
}

/// What is there is read within this time. Zero would read nothing: the reader looks at its clock first. If it is not
/// enough, the next round reads the rest.
const READ_FOR: std::time::Duration = std::time::Duration::from_millis(2);

/// Starts the thread that reads the terminal. It ends when the receiver is dropped or the terminal is gone.
pub fn listen() -> io::Result<mpsc::Receiver<Input>> {
    let (tx, rx) = mpsc::channel(EVENTS_AHEAD);
    std::thread::Builder::new().name("terminal-input".to_owned()).spawn(move || read(&tx))?;
    Ok(rx)
}

fn read(tx: &mpsc::Sender<Input>) {
    while !tx.is_closed() {
        match look(stdin().as_fd(), PollFlags::POLLIN, LOOK_EVERY) {
            None => {}
            Some(flags) if is_broken(flags) => break,
            Some(_) => {
                while let Ok(true) = event::poll(READ_FOR) {
                    let Ok(event) = event::read() else { break };
                    if tx.blocking_send(Input::Event(event)).is_err() {
                        return;
                    }
                }
            }
        }
    }
    let _ = tx.blocking_send(Input::Gone);
}

/// The signals that are about the terminal.
#[derive(Debug)]
pub struct Signals {
    hangup: unix::Signal,
    terminate: unix::Signal,
    interrupt: unix::Signal,
    quit: unix::Signal,
    stop: unix::Signal,
    resume: unix::Signal,
    resize: unix::Signal,
}

/// What a signal means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The terminal is gone.
    Hangup,
    /// Leave.
    End,
    /// Stop until continued.
    Stop,
    /// We were stopped and go on.
    Continue,
    /// The terminal has another size.
    Resize,
}

impl Signals {
    /// Listens for them from now on.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: unix::signal(SignalKind::hangup())?,
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
            quit: unix::signal(SignalKind::quit())?,
            stop: unix::signal(SignalKind::from_raw(libc::SIGTSTP))?,
            resume: unix::signal(SignalKind::from_raw(libc::SIGCONT))?,
            resize: unix::signal(SignalKind::window_change())?,
        })
    }

    /// The next one. May be given up at any time without losing any.
    pub async fn next(&mut self) -> Told {
        tokio::select! {
            biased;
            _ = self.hangup.recv() => Told::Hangup,
            _ = self.terminate.recv() => Told::End,
            _ = self.interrupt.recv() => Told::End,
            _ = self.quit.recv() => Told::End,
            _ = self.stop.recv() => Told::Stop,
            _ = self.resume.recv() => Told::Continue,
            _ = self.resize.recv() => Told::Resize,
        }
    }
}

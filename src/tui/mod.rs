//! The dashboard: a client that draws. It shows what the supervisor tells it over the control socket, and sends what
//! the operator decides; the work never depends on it.
//!
//! One loop owns the state. Messages (keys, answers, time) change it in [`app`], which answers with commands that
//! [`runner`] carries out; [`draw`] turns it into cells and reads only. A frame is drawn when something changed: at
//! once for a key, at most ten times a second for data, and not at all while the terminal takes no output.
//!
//! What it refuses: to start without a terminal, to leave by itself when the supervisor goes away, to let any text
//! from outside reach the terminal unescaped.

pub mod action;
pub mod app;
pub mod draw;
pub mod keymap;
pub mod layers;
pub mod layout;
pub mod logbook;
pub mod msg;
pub mod outlook;
pub mod panes;
mod popups;
pub mod rows;
mod runner;
pub mod theme;
mod tty;
pub mod widgets;

#[cfg(test)]
mod tests;

use crate::clock::{Clock, SystemClock};
use crate::control::client::Client;
use crate::error::{Exit, Fatal};
use app::{App, Due};
use crossterm::event::Event;
use msg::{Cmd, Msg};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use runner::Runner;
use std::io::{self, BufWriter, IsTerminal, Stdout};
use std::mem::ManuallyDrop;
use std::time::Duration;
use theme::{Depth, Theme};
use tokio::time::{Instant, MissedTickBehavior};
use tty::{Input, Told};

/// Least time between two frames that data caused.
const DATA_FRAME: Duration = Duration::from_millis(100);
/// Least time between a frame and the next one that a person caused: a key is drawn at once, a flood of them is not.
const KEY_FRAME: Duration = Duration::from_millis(10);
/// A frame is written in one piece up to this size, in bytes; a larger one in several.
const FRAME_BYTES: usize = 64 * 1024;
/// Events taken in one go before the screen is drawn.
const EVENTS_AT_ONCE: usize = 256;

/// How the dashboard behaves.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Refuse actions here already.
    pub read_only: bool,
    /// Use colours.
    pub color: bool,
    /// Use more than ASCII for frames, bars and signs.
    pub unicode: bool,
    /// Take the mouse.
    pub mouse: bool,
    /// What leaving is called in the footer: `detach`, where the work goes on.
    pub leave: &'static str,
}

/// How the dashboard ended. The work goes on in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The operator left; so many jobs are running.
    Detached {
        /// Jobs at work.
        running: u64,
    },
    /// The terminal was hung up: there is nobody to tell.
    TerminalGone,
    /// A signal asked for it.
    Signalled,
}

/// Refuses to go on without a terminal: nothing is started for a screen that nobody would see.
///
/// # Errors
/// Exit code 2: standard input or output is something else.
pub fn need_terminal() -> Result<(), Fatal> {
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        return Ok(());
    }
    Err(Fatal::new(Exit::Usage, "the dashboard needs a terminal").hint("`shiftboss status` prints the state"))
}

/// Runs the dashboard until the operator leaves.
///
/// # Errors
/// No terminal, no supervisor that answers at the start, or a terminal that cannot be written to.
pub async fn run(client: Client, options: Options) -> Result<Ended, Fatal> {
    need_terminal()?;
    let status = client.status().await?;
    let variable = |name| std::env::var(name).unwrap_or_default();
    let depth = Depth::of(options.color, &variable("TERM"), &variable("COLORTERM"));
    if options.color {
        // The wish was settled by the caller; the library must not take it back half-way.
        crossterm::style::force_color_output(true);
    }
    tui_logger::set_default_level(tui_logger::LevelFilter::Trace);
    let now = SystemClock.now();
    let theme = Theme::new(depth, options.unicode);
    let mut app = App::new(theme, options.read_only, options.mouse, tty::size(), now);
    app.leave = options.leave;
    app.update(Msg::Status(Box::new(status)), now);

    let mut signals = tty::Signals::new().map_err(|e| broken(&e))?;
    let _guard = tty::Guard::take(options.mouse).map_err(|e| broken(&e))?;
    let input = tty::listen().map_err(|e| broken(&e))?;
    let screen = Screen::new(app.size).map_err(|e| broken(&e))?;
    let shell = Shell { app, runner: Runner::new(client), screen, input };
    Box::pin(shell.live(&mut signals)).await
}

fn broken(error: &io::Error) -> Fatal {
    Fatal::new(Exit::Failed, "cannot use the terminal").because(error)
}

/// The loop and what it owns.
struct Shell {
    app: App,
    runner: Runner,
    screen: Screen,
    input: tokio::sync::mpsc::Receiver<Input>,
}

impl Shell {
    async fn live(mut self, signals: &mut tty::Signals) -> Result<Ended, Fatal> {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let next = self.frame()?;
            let ended = tokio::select! {
                biased;
                told = signals.next() => self.told(told)?,
                input = self.input.recv() => self.taken(input)?,
                msg = self.runner.next() => self.handle(msg)?,
                _ = tokio::time::sleep_until(next), if self.app.due != Due::Never => None,
                _ = seconds.tick() => {
                    if tty::is_gone() { Some(Ended::TerminalGone) } else { self.handle(Msg::Clock(SystemClock.now()))? }
                }
            };
            if let Some(ended) = ended {
                return Ok(ended);
            }
        }
    }

    /// Draws if it is time; answers when it will be time.
    fn frame(&mut self) -> Result<Instant, Fatal> {
        if !tty::is_held() {
            return Err(Fatal::new(Exit::Internal, "a part of the dashboard failed").hint("the work goes on"));
        }
        let gap = if self.app.due == Due::Now { KEY_FRAME } else { DATA_FRAME };
        let now = Instant::now();
        if self.app.due == Due::Never || now < self.screen.drawn + gap {
            return Ok(self.screen.drawn + gap);
        }
        if !tty::can_write() {
            return Ok(now + DATA_FRAME);
        }
        self.app.due = Due::Never;
        match self.screen.draw(&self.app) {
            Ok(()) => Ok(now + DATA_FRAME),
            Err(_) if tty::is_gone() => Ok(now + DATA_FRAME),
            Err(error) => Err(broken(&error)),
        }
    }

    fn told(&mut self, told: Told) -> Result<Option<Ended>, Fatal> {
        match told {
            Told::Hangup => return Ok(Some(Ended::TerminalGone)),
            Told::End => return Ok(Some(Ended::Signalled)),
            Told::Stop => return self.obey(Cmd::Suspend),
            Told::Continue => {
                tty::retake(self.app.mouse).map_err(|e| broken(&e))?;
                return self.handle(Msg::Redraw);
            }
            Told::Resize => {}
        }
        let (width, height) = tty::size();
        self.handle(Msg::Resize(width, height))?;
        // A size that changed and came back between two looks has still spoilt what the terminal shows.
        self.handle(Msg::Redraw)
    }

    /// Takes all input that is there, so that a flood of it is drawn once.
    fn taken(&mut self, first: Option<Input>) -> Result<Option<Ended>, Fatal> {
        let mut next = first;
        for _ in 0..EVENTS_AT_ONCE {
            let msg = match next {
                None | Some(Input::Gone) => return Ok(Some(Ended::TerminalGone)),
                Some(Input::Event(Event::Key(key))) => Msg::Key(key),
                Some(Input::Event(Event::Paste(text))) => Msg::Paste(text),
                Some(Input::Event(Event::Mouse(mouse))) => Msg::Mouse(mouse),
                Some(Input::Event(Event::Resize(width, height))) => Msg::Resize(width, height),
                Some(Input::Event(Event::FocusGained | Event::FocusLost)) => Msg::Clock(SystemClock.now()),
            };
            if let Some(ended) = self.handle(msg)? {
                return Ok(Some(ended));
            }
            match self.input.try_recv() {
                Ok(more) => next = Some(more),
                Err(_) => break,
            }
        }
        Ok(None)
    }

    fn handle(&mut self, msg: Msg) -> Result<Option<Ended>, Fatal> {
        for cmd in self.app.update(msg, SystemClock.now()) {
            if let Some(ended) = self.obey(cmd)? {
                return Ok(Some(ended));
            }
        }
        Ok(None)
    }

    fn obey(&mut self, cmd: Cmd) -> Result<Option<Ended>, Fatal> {
        let done = match cmd {
            Cmd::Leave => {
                return Ok(Some(Ended::Detached { running: self.app.counts.running + self.app.counts.placing }));
            }
            Cmd::Feed(lines) => {
                logbook::feed(&lines);
                Ok(())
            }
            Cmd::Copy(text) => tty::copy(&text),
            Cmd::Mouse(ours) => tty::set_mouse(ours),
            Cmd::Repaint => {
                self.app.size = tty::size();
                self.screen.repaint = true;
                Ok(())
            }
            Cmd::Suspend => {
                let back = tty::suspend(self.app.mouse);
                (self.screen.repaint, self.app.due, self.app.size) = (true, Due::Now, tty::size());
                back
            }
            other => {
                self.runner.carry_out(other);
                Ok(())
            }
        };
        done.map(|()| None).map_err(|e| broken(&e))
    }
}

/// What is on the terminal, and the way to change it.
struct Screen {
    /// Never dropped: that would write to the terminal once more, and panic where it is gone. The guard gives it back.
    terminal: ManuallyDrop<Terminal<CrosstermBackend<BufWriter<Stdout>>>>,
    next: Buffer,
    last: Buffer,
    cursor: Option<Position>,
    drawn: Instant,
    repaint: bool,
}

impl Screen {
    fn new(size: (u16, u16)) -> io::Result<Self> {
        let out = BufWriter::with_capacity(FRAME_BYTES, io::stdout());
        let terminal = ManuallyDrop::new(Terminal::new(CrosstermBackend::new(out))?);
        let next = Buffer::empty(Rect::new(0, 0, size.0, size.1));
        let drawn = Instant::now().checked_sub(DATA_FRAME).unwrap_or_else(Instant::now);
        Ok(Self { terminal, last: next.clone(), next, cursor: None, drawn, repaint: true })
    }

    /// Writes the cells that changed; nothing if none did.
    fn draw(&mut self, app: &App) -> io::Result<()> {
        self.drawn = Instant::now();
        tui_logger::move_events();
        let area = Rect::new(0, 0, app.size.0, app.size.1);
        self.next.resize(area);
        self.next.reset();
        let cursor = draw::draw(app, &mut self.next);
        if self.repaint || self.last.area != area {
            // Clears the terminal and forgets what was on it; asks it nothing.
            self.terminal.resize(area)?;
            self.repaint = false;
        } else if self.next == self.last && cursor == self.cursor {
            return Ok(());
        }
        self.terminal.current_buffer_mut().clone_from(&self.next);
        self.terminal.apply_buffer_with_cursor(cursor)?;
        self.cursor = cursor;
        std::mem::swap(&mut self.last, &mut self.next);
        Ok(())
    }
}

//! The dashboard under test: keys go in, commands and screens come out, a small server answers.

use super::fixture::{busy_rows, detail, log, now, status, tick};
use crate::model::Millis;
use crate::model::view::{AlertsView, JobView, JobsPage, SchedulesPage};
use crate::tui::app::App;
use crate::tui::draw::draw;
use crate::tui::keymap::Chord;
use crate::tui::msg::{Cmd, Msg};
use crate::tui::theme::{Depth, Theme};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// The app under test, and the commands that it gave and nobody has answered.
pub struct Bench {
    pub app: App,
    pub cmds: Vec<Cmd>,
    /// The server's rows.
    pub rows: Vec<JobView>,
    /// The server's schedules and alerts.
    pub schedules: SchedulesPage,
    pub alerts: AlertsView,
}

impl Bench {
    pub fn new(width: u16, height: u16, depth: Depth) -> Self {
        let app = App::new(Theme::new(depth, true), false, false, (width, height), now());
        Self { app, cmds: Vec::new(), rows: Vec::new(), schedules: Default::default(), alerts: Default::default() }
    }

    /// Connected to a server with these rows, everything answered.
    pub fn with(width: u16, height: u16, depth: Depth, rows: Vec<JobView>) -> Self {
        let mut bench = Self::new(width, height, depth);
        bench.rows = rows;
        bench.send(Msg::Connected);
        bench.send(Msg::Status(Box::new(status())));
        bench.send(Msg::Tick(Box::new(tick(1))));
        bench.answer();
        bench
    }

    pub fn busy(width: u16, height: u16, depth: Depth) -> Self {
        Self::with(width, height, depth, busy_rows())
    }

    pub fn send(&mut self, msg: Msg) {
        let now = self.app.local_now();
        self.cmds.extend(self.app.update(msg, now));
    }

    /// Lets time pass.
    pub fn wait(&mut self, ms: i64) {
        let later = Millis(self.app.local_now().0 + ms);
        self.cmds.extend(self.app.update(Msg::Clock(later), later));
    }

    /// Types keys, by their spelling, apart by spaces.
    pub fn keys(&mut self, keys: &str) {
        for key in keys.split(' ') {
            self.send(Msg::Key(press(key)));
        }
    }

    /// Types text as it is.
    pub fn text(&mut self, text: &str) {
        for c in text.chars() {
            self.send(Msg::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)));
        }
    }

    /// Answers what was asked for as a server would, until nothing more is; other commands are left.
    pub fn answer(&mut self) {
        loop {
            let asked = self.cmds.iter().position(is_read);
            let Some(at) = asked else { return };
            match self.cmds.remove(at) {
                Cmd::Jobs(request, _) => {
                    let from = request.after.as_ref().map_or(0, |a| a.parse().unwrap());
                    let to = (from + 100).min(self.rows.len());
                    let page = JobsPage {
                        jobs: self.rows[from..to].to_vec(),
                        next: (to < self.rows.len()).then(|| to.to_string()),
                        matching: self.rows.len() as u64,
                        more: false,
                        rev: 1,
                    };
                    self.send(Msg::Jobs(request, Ok(page)));
                }
                Cmd::Detail(id) => {
                    let found = self.rows.iter().find(|j| j.id == id).cloned();
                    let result = found.map(|j| Box::new(detail(j))).ok_or_else(|| "unknown job".to_owned());
                    self.send(Msg::Detail(id, result));
                }
                Cmd::Follow(epoch, _) => self.send(Msg::Logs(epoch, log())),
                Cmd::Status => {}
                Cmd::Schedules => self.send(Msg::Schedules(Ok(Box::new(self.schedules.clone())))),
                Cmd::Alerts => self.send(Msg::Alerts(Ok(Box::new(self.alerts.clone())))),
                _ => unreachable!(),
            }
        }
    }

    /// The commands that wait for an answer, other than reads.
    pub fn taken(&mut self) -> Vec<Cmd> {
        self.answer();
        self.cmds.drain(..).filter(|c| !matches!(c, Cmd::Feed(_))).collect()
    }

    /// What was asked for meanwhile; each question is answered, and so are those that follow from it.
    pub fn taken_reads(&mut self) -> Vec<Cmd> {
        let asked = self.cmds.iter().filter(|c| is_read(c)).cloned().collect();
        self.answer();
        asked
    }

    pub fn buffer(&self) -> Buffer {
        let mut buf = Buffer::empty(Rect::new(0, 0, self.app.size.0, self.app.size.1));
        draw(&self.app, &mut buf);
        buf
    }

    pub fn screen(&self) -> String {
        text_of(&self.buffer())
    }
}

/// Whether a command asks for something that only the screen shows.
fn is_read(cmd: &Cmd) -> bool {
    use Cmd::{Alerts, Detail, Follow, Jobs, Schedules, Status};
    matches!(cmd, Jobs(..) | Detail(_) | Follow(..) | Status | Schedules | Alerts)
}

pub fn press(spelling: &str) -> KeyEvent {
    assert!(Chord::parse(spelling).is_some(), "{spelling}");
    let (modifiers, name) = match spelling.strip_prefix("ctrl-") {
        Some(rest) => (KeyModifiers::CONTROL, rest),
        None => (KeyModifiers::NONE, spelling),
    };
    let code = match name {
        "enter" => KeyCode::Enter,
        "esc" => KeyCode::Esc,
        "tab" => KeyCode::Tab,
        "backtab" => KeyCode::BackTab,
        "space" => KeyCode::Char(' '),
        "up" => KeyCode::Up,
        "down" => KeyCode::Down,
        "left" => KeyCode::Left,
        "right" => KeyCode::Right,
        "home" => KeyCode::Home,
        "end" => KeyCode::End,
        "pgup" => KeyCode::PageUp,
        "pgdn" => KeyCode::PageDown,
        one => KeyCode::Char(one.chars().next().unwrap()),
    };
    KeyEvent::new(code, modifiers)
}

/// A buffer as lines of text, spaces at the end left out. Wide characters stand for two columns.
pub fn text_of(buf: &Buffer) -> String {
    let mut out = String::new();
    for y in buf.area.top()..buf.area.bottom() {
        let mut line = String::new();
        let mut skip = 0;
        for x in buf.area.left()..buf.area.right() {
            if skip > 0 {
                skip -= 1;
                continue;
            }
            let symbol = buf[(x, y)].symbol();
            skip = unicode_width::UnicodeWidthStr::width(symbol).saturating_sub(1);
            line.push_str(symbol);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

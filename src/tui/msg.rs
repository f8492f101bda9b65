//! What can happen to the dashboard, and what it can ask for. Both are closed: a new message is a change here and the
//! compiler lists the rest.

use super::rows::PageRequest;
use crate::model::action::Level;
use crate::model::ports::Target;
use crate::model::view::{
    AlertsView, Done, JobDetail, JobsPage, LogLine, LogsPage, SchedulesPage, Selection, Status, Tick, Triggered,
};
use crate::model::{Filter, JobId, Millis};
use crossterm::event::{KeyEvent, MouseEvent};

/// What happened.
#[derive(Debug)]
pub enum Msg {
    /// A key was pressed.
    Key(KeyEvent),
    /// Text was pasted: it may only land in an open line editor.
    Paste(String),
    /// The mouse was used.
    Mouse(MouseEvent),
    /// The terminal has this many columns and rows now.
    Resize(u16, u16),
    /// Time has passed; the clock of this host.
    Clock(Millis),
    /// The supervisor answers.
    Connected,
    /// The supervisor does not answer any more.
    Lost(String),
    /// The whole state.
    Status(Box<Status>),
    /// The whole state could not be read, and why.
    Unknown(String),
    /// What changed, a few times a second.
    Tick(Box<Tick>),
    /// A page of the job list, or why not.
    Jobs(PageRequest, Result<JobsPage, String>),
    /// Everything about one job, or why not.
    Detail(JobId, Result<Box<JobDetail>, String>),
    /// The schedules, or why not.
    Schedules(Result<Box<SchedulesPage>, String>),
    /// The alerts, or why not.
    Alerts(Result<Box<AlertsView>, String>),
    /// A test message was put on its way, or why not.
    Tested(String, Result<(), String>),
    /// Lines of the log, for the request with this number.
    Logs(u64, LogsPage),
    /// A filter was frozen for a bulk action, or why not. The number is the prompt that waits for it.
    Selected(u64, Result<Selection, String>),
    /// A job action is over.
    Acted(Verb, Result<Done, String>),
    /// A task was started by hand, or why not.
    Triggered(String, Result<Triggered, String>),
    /// A pause or resume is over; no name means everything.
    Switched {
        /// The task.
        task: Option<String>,
        /// Whether it is paused now.
        paused: bool,
        /// Why not, if not.
        result: Result<(), String>,
    },
    /// The terminal was given back to us: draw everything again.
    Redraw,
}

/// What the dashboard asks for. Nothing here waits: answers come back as messages.
#[derive(Clone, Debug, PartialEq)]
pub enum Cmd {
    /// Ask for the whole state.
    Status,
    /// Ask for a page of the job list.
    Jobs(PageRequest, Filter),
    /// Ask for everything about one job.
    Detail(JobId),
    /// Ask for the schedules.
    Schedules,
    /// Ask for the alerts.
    Alerts,
    /// Send a test message on a channel.
    Test(String),
    /// Follow the log from its tail; replaces what was followed before.
    Follow(u64, LogScope),
    /// Hand lines to the widget with the supervisor's own log.
    Feed(Vec<LogLine>),
    /// Freeze a filter; the number comes back with the answer.
    Select(u64, Filter),
    /// Do something to jobs.
    Act(Verb, Target, Option<String>),
    /// Start a task by hand.
    Trigger(String),
    /// Pause or resume a task, or everything.
    Switch {
        /// The task; none means everything.
        task: Option<String>,
        /// Whether to pause.
        pause: bool,
    },
    /// Put text on the terminal's clipboard.
    Copy(String),
    /// Take or leave the mouse.
    Mouse(bool),
    /// Give the terminal back and stop, as the shell's job control expects.
    Suspend,
    /// Draw every cell again.
    Repaint,
    /// Leave; the work goes on.
    Leave,
}

/// What can be done to jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Put back into the queue with a fresh budget.
    Retry,
    /// Set aside with a reason.
    Skip,
    /// Withdraw.
    Cancel,
}

impl Verb {
    /// As an order: `retry 3 jobs?`
    #[must_use]
    pub const fn order(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Skip => "skip",
            Self::Cancel => "cancel",
        }
    }

    /// As a result: `retried 3`.
    #[must_use]
    pub const fn past(self) -> &'static str {
        match self {
            Self::Retry => "retried",
            Self::Skip => "skipped",
            Self::Cancel => "cancelled",
        }
    }
}

/// Which part of the log is followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogScope {
    /// Lines of one job.
    pub job: Option<JobId>,
    /// Lines of one task.
    pub task: Option<String>,
    /// This level and graver.
    pub level: Option<Level>,
    /// Substring of the message.
    pub search: Option<String>,
}

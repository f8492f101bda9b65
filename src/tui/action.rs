//! The one table of actions: name, explanation, keys, and where they are valid. Keymap, help, footer and palette read
//! it; nothing else knows a key.

use super::app::{App, Link};
use super::msg::Verb;
use super::panes::PaneId;
use crate::model::JobState;
use crate::model::view::JobView;

/// Something that a person can ask for with a key or by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the table says what each does, and a test refuses an empty explanation")]
pub enum Action {
    Down,
    Up,
    PageDown,
    PageUp,
    HalfDown,
    HalfUp,
    First,
    Last,
    Open,
    Back,
    NextPane,
    PreviousPane,
    Overview,
    QueueView,
    FailedView,
    SchedulesView,
    LogsView,
    HostsView,
    SystemView,
    AlertsView,
    Zoom,
    Mark,
    Range,
    MarkAll,
    Filter,
    Retry,
    RetryAll,
    Skip,
    SkipAll,
    Cancel,
    Pause,
    PauseAll,
    Trigger,
    JobLogs,
    AllLogs,
    Level,
    LogTab,
    PreviousAttempt,
    NextAttempt,
    CopyPath,
    CopyAll,
    Freeze,
    Mouse,
    Redraw,
    Suspend,
    Help,
    Palette,
    Leave,
}

/// Headings of the help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// What is done to work.
    Work,
    /// Marks and filters.
    Choose,
    /// Getting about.
    Move,
    /// What is shown.
    View,
}

impl Group {
    /// In the order of the help.
    pub const ALL: [Self; 4] = [Self::Work, Self::Choose, Self::Move, Self::View];

    /// Its heading.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Work => "Work",
            Self::Choose => "Choose",
            Self::Move => "Move",
            Self::View => "View",
        }
    }
}

/// A line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// The action.
    pub action: Action,
    /// What it is called, in the palette and the footer.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub doc: &'static str,
    /// Its keys; the first one is shown.
    pub keys: &'static [&'static str],
    /// Where it is valid; empty: everywhere.
    pub panes: &'static [PaneId],
    /// Its place in the help.
    pub group: Group,
}

const JOBS: &[PaneId] = &[PaneId::Queue, PaneId::Details];
const QUEUE: &[PaneId] = &[PaneId::Queue];
const LOGS: &[PaneId] = &[PaneId::Logs];
const TASKS: &[PaneId] = &[PaneId::Queue, PaneId::Details, PaneId::System, PaneId::Schedules, PaneId::Alerts];
const FAILURES: &[PaneId] = &[PaneId::Queue, PaneId::Details, PaneId::Alerts];
const LOGGED: &[PaneId] = &[PaneId::Queue, PaneId::Details, PaneId::Schedules, PaneId::Alerts];
const ANY: &[PaneId] = &[];

const fn spec(
    action: Action,
    name: &'static str,
    keys: &'static [&'static str],
    panes: &'static [PaneId],
    group: Group,
    doc: &'static str,
) -> Spec {
    Spec { action, name, doc, keys, panes, group }
}

/// Every action, in the order of the help and of the footer.
#[rustfmt::skip]
pub static TABLE: &[Spec] = &[
    spec(Action::Retry, "retry", &["r"], JOBS, Group::Work, "Put the selected or marked jobs back into the queue with a fresh budget."),
    spec(Action::Skip, "skip", &["s"], JOBS, Group::Work, "Set the selected or marked jobs aside, with a reason."),
    spec(Action::Cancel, "cancel", &["x"], JOBS, Group::Work, "Withdraw the selected or marked jobs; running ones are stopped."),
    spec(Action::RetryAll, "retry all", &["R"], FAILURES, Group::Work, "Retry what failed and matches the filter; on the alerts: what failed by the cause."),
    spec(Action::SkipAll, "skip all", &["S"], JOBS, Group::Work, "Skip what failed and matches the filter, with a reason."),
    spec(Action::Pause, "pause", &["p"], TASKS, Group::Work, "Pause or resume the task under the cursor."),
    spec(Action::PauseAll, "pause all", &["P"], ANY, Group::Work, "Pause or resume everything."),
    spec(Action::Trigger, "trigger", &["t"], ANY, Group::Work, "Start a task by hand; on a channel of the alerts: send a test message."),
    spec(Action::Filter, "filter", &["/"], ANY, Group::Choose, "Narrow the list (words, task: state: host: code: age>, ! negates), or search the log."),
    spec(Action::Mark, "mark", &["space"], QUEUE, Group::Choose, "Mark or unmark the job under the cursor."),
    spec(Action::Range, "range", &["v"], QUEUE, Group::Choose, "Start a range here; again: mark it."),
    spec(Action::MarkAll, "mark all", &["*"], QUEUE, Group::Choose, "Mark everything that matches the filter."),
    spec(Action::Open, "open", &["enter"], ANY, Group::Move, "Go into the details; there: the whole screen. On a host: its jobs; on a schedule or a cause: the job that failed."),
    spec(Action::Back, "back", &["esc"], ANY, Group::Move, "Clear the filter, then the marks, then go back."),
    spec(Action::Down, "down", &["j", "down"], ANY, Group::Move, "One line down."),
    spec(Action::Up, "up", &["k", "up"], ANY, Group::Move, "One line up."),
    spec(Action::PageDown, "page down", &["pgdn"], ANY, Group::Move, "One page down."),
    spec(Action::PageUp, "page up", &["pgup"], ANY, Group::Move, "One page up."),
    spec(Action::HalfDown, "half page down", &["ctrl-d"], ANY, Group::Move, "Half a page down."),
    spec(Action::HalfUp, "half page up", &["ctrl-u"], ANY, Group::Move, "Half a page up."),
    spec(Action::First, "first", &["g", "home"], ANY, Group::Move, "To the beginning."),
    spec(Action::Last, "last", &["G", "end"], ANY, Group::Move, "To the end; in the log: follow it."),
    spec(Action::NextPane, "next pane", &["tab"], ANY, Group::Move, "To the next pane."),
    spec(Action::PreviousPane, "previous pane", &["backtab"], ANY, Group::Move, "To the previous pane."),
    spec(Action::Overview, "overview", &["1"], ANY, Group::View, "All panes."),
    spec(Action::QueueView, "queue", &["2"], ANY, Group::View, "The queue on the whole screen."),
    spec(Action::FailedView, "failed", &["3"], ANY, Group::View, "What failed, with details."),
    spec(Action::SchedulesView, "schedules", &["4"], ANY, Group::View, "What runs when: next times, last runs, what is overdue."),
    spec(Action::LogsView, "logs", &["5"], ANY, Group::View, "The logs on the whole screen."),
    spec(Action::SystemView, "system", &["6"], ANY, Group::View, "Machine and tasks on the whole screen."),
    spec(Action::HostsView, "fetch", &["7"], ANY, Group::View, "The hosts that jobs call, on the whole screen."),
    spec(Action::AlertsView, "alerts", &["8"], ANY, Group::View, "What is wrong, once for each cause, and who was told."),
    spec(Action::Zoom, "zoom", &["z"], ANY, Group::View, "This pane on the whole screen, and back."),
    spec(Action::JobLogs, "job's log", &["l"], LOGGED, Group::View, "The log of the selected job; on schedules and alerts: of the task."),
    spec(Action::AllLogs, "all logs", &["a"], ANY, Group::View, "The log of all jobs and of the supervisor."),
    spec(Action::Level, "level", &["L"], LOGS, Group::View, "Show only lines of a level and graver: all, info, warn, error."),
    spec(Action::LogTab, "other log", &["right", "left"], LOGS, Group::View, "Switch between jobs and the supervisor's own log."),
    spec(Action::PreviousAttempt, "earlier attempt", &["["], JOBS, Group::View, "Details of the attempt before."),
    spec(Action::NextAttempt, "later attempt", &["]"], JOBS, Group::View, "Details of the attempt after."),
    spec(Action::CopyPath, "copy path", &["y"], JOBS, Group::View, "Copy the path of the selected job's file."),
    spec(Action::CopyAll, "copy details", &["Y"], JOBS, Group::View, "Copy the details of the selected job."),
    spec(Action::Freeze, "freeze", &["F"], ANY, Group::View, "Stop the display, not the work; again: go on."),
    spec(Action::Mouse, "mouse", &["m"], ANY, Group::View, "Leave the mouse to the terminal, for selecting text, or take it."),
    spec(Action::Redraw, "redraw", &["ctrl-l"], ANY, Group::View, "Draw the screen again."),
    spec(Action::Suspend, "suspend", &["ctrl-z"], ANY, Group::View, "Stop the dashboard and go to the shell; `fg` comes back."),
    spec(Action::Palette, "actions", &[":"], ANY, Group::View, "Find any action by name."),
    spec(Action::Help, "help", &["?"], ANY, Group::View, "What the keys do here."),
    spec(Action::Leave, "leave", &["q", "ctrl-c"], ANY, Group::View, "Back; at the top: detach. The work goes on."),
];

impl Action {
    /// Its line of the table.
    #[must_use]
    pub fn spec(self) -> &'static Spec {
        TABLE.iter().find(|s| s.action == self).unwrap_or(&TABLE[0])
    }

    /// Why it cannot be done now, if it cannot.
    #[must_use]
    pub fn refusal(self, app: &App) -> Option<String> {
        let spec = self.spec();
        if !spec.panes.is_empty() && !spec.panes.contains(&app.focus) {
            return Some(format!("not in this pane: {}", spec.name));
        }
        let verb = match self {
            Self::Retry | Self::RetryAll => Some(Verb::Retry),
            Self::Skip | Self::SkipAll => Some(Verb::Skip),
            Self::Cancel => Some(Verb::Cancel),
            Self::Pause | Self::PauseAll | Self::Trigger => None,
            Self::JobLogs if matches!(app.focus, PaneId::Schedules | PaneId::Alerts) => {
                return app.task_in_sight().is_none().then(|| "no task is under the cursor".to_owned());
            }
            Self::JobLogs | Self::PreviousAttempt | Self::NextAttempt | Self::CopyPath | Self::CopyAll => {
                return app.rows.selected().is_none().then(|| "no job is selected".to_owned());
            }
            _ => return None,
        };
        if app.read_only {
            return Some("this session is read-only".to_owned());
        }
        if !matches!(app.link, Link::Up) {
            return Some("the supervisor does not answer".to_owned());
        }
        match self {
            Self::RetryAll if app.focus == PaneId::Alerts => {
                let is_job = app.alerts.cause().is_some_and(|c| c.job.is_some());
                (!is_job).then(|| "no cause of failed jobs is under the cursor".to_owned())
            }
            Self::RetryAll | Self::SkipAll => (app.rows.matching == 0).then(|| "nothing matches the filter".to_owned()),
            Self::Retry | Self::Skip | Self::Cancel if app.marks.is_empty() => match (app.rows.selected(), verb) {
                (Some(job), Some(verb)) => verb_refusal(verb, job),
                _ => Some("no job is selected".to_owned()),
            },
            Self::Pause => app.task_under_cursor().is_none().then(|| "no task is under the cursor".to_owned()),
            Self::Trigger if app.focus == PaneId::Alerts && app.alerts.channel().is_some() => None,
            Self::Trigger => app
                .status
                .as_ref()
                .is_none_or(|s| s.tasks.is_empty())
                .then(|| "the configuration has no tasks".to_owned()),
            _ => None,
        }
    }
}

/// Why a job's state does not allow this, if it does not.
fn verb_refusal(verb: Verb, job: &JobView) -> Option<String> {
    let allowed = match verb {
        Verb::Retry => matches!(job.state, JobState::Failed | JobState::Waiting),
        Verb::Skip => matches!(job.state, JobState::Failed | JobState::Waiting | JobState::Queued),
        Verb::Cancel => matches!(job.state, JobState::Waiting | JobState::Queued | JobState::Running),
    };
    (!allowed).then(|| format!("cannot {} job {}: it is {}", verb.order(), job.id, job.state))
}

#[cfg(test)]
mod tests {
    use super::super::keymap::Chord;
    use super::*;
    use std::collections::HashSet;

    fn overlap(a: &Spec, b: &Spec) -> bool {
        a.panes.is_empty() || b.panes.is_empty() || a.panes.iter().any(|p| b.panes.contains(p))
    }

    #[test]
    fn no_key_means_two_things_in_one_place() {
        for (i, a) in TABLE.iter().enumerate() {
            for b in &TABLE[i + 1..] {
                let shared = a.keys.iter().any(|k| b.keys.contains(k));
                assert!(!(shared && overlap(a, b)), "{} and {} share a key", a.name, b.name);
            }
        }
    }

    #[test]
    fn every_action_is_named_explained_and_has_a_key_that_exists() {
        let mut names = HashSet::new();
        let mut actions = HashSet::new();
        for s in TABLE {
            assert!(names.insert(s.name), "{} twice", s.name);
            assert!(actions.insert(s.action), "{:?} twice", s.action);
            assert!(s.doc.ends_with('.') && s.doc.len() > 8, "{} is not explained", s.name);
            assert!(!s.keys.is_empty(), "{} has no key", s.name);
            for key in s.keys {
                assert!(Chord::parse(key).is_some(), "no such key: {key}");
            }
        }
    }
}

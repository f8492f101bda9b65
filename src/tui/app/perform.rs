//! What keys, the mouse and popups do to the dashboard.

use crate::model::filter::Test;
use crate::model::view::JobView;
use crate::model::{Filter, JobState};
use crate::tui::action::Action;
use crate::tui::app::{App, MARKS_MAX, Marks};
use crate::tui::keymap;
use crate::tui::layers::{Answer, Layer};
use crate::tui::logbook::Tab;
use crate::tui::msg::{Cmd, LogScope, Verb};
use crate::tui::panes::{PaneId, details, hosts, queue};
use crossterm::event::{KeyEvent, KeyEventKind, MouseButton, MouseEvent, MouseEventKind};
use std::collections::BTreeMap;
use tui_input::Input;

impl App {
    /// A key was pressed.
    pub(super) fn key(&mut self, key: KeyEvent) -> Vec<Cmd> {
        if key.kind == KeyEventKind::Release {
            return Vec::new();
        }
        let Some(mut layer) = self.layers.pop() else {
            return match keymap::lookup(key, self.focus) {
                Some(action) => self.perform(action),
                None => Vec::new(),
            };
        };
        let reasons: Vec<&str> = self.reasons.iter().map(String::as_str).collect();
        let tasks = self.status.as_ref().map_or(0, |s| s.tasks.len());
        let last = if self.focus == PaneId::Logs { "" } else { self.last_filter.as_str() };
        match layer.key(key, &reasons, last, tasks) {
            Answer::Stay => self.layers.push(layer),
            Answer::Close => {}
            Answer::Do(intent, reason) => return self.do_it(intent, reason),
            Answer::Filter(text) if self.focus == PaneId::Logs => return self.search_logs(text),
            Answer::Filter(text) => match Filter::parse(&text) {
                Ok(filter) => self.set_filter(filter),
                // The line stays open; what is wrong stands beside it.
                Err(_) => self.layers.push(layer),
            },
            Answer::Perform(action) => return self.perform(action),
            Answer::Task(index) => self.ask_trigger(index),
        }
        Vec::new()
    }

    /// Text was pasted.
    pub(super) fn paste(&mut self, text: &str) {
        if let Some(layer) = self.layers.last_mut() {
            layer.paste(text);
        }
    }

    /// Does what an action says, or says why not.
    pub fn perform(&mut self, action: Action) -> Vec<Cmd> {
        if let Some(why) = action.refusal(self) {
            self.complain(why);
            return Vec::new();
        }
        match action {
            Action::Down => self.step(1),
            Action::Up => self.step(-1),
            Action::PageDown => self.step(self.page()),
            Action::PageUp => self.step(-self.page()),
            Action::HalfDown => self.step((self.page() / 2).max(1)),
            Action::HalfUp => self.step(-(self.page() / 2).max(1)),
            Action::First => self.first(),
            Action::Last => self.last(),
            Action::Open => self.open(),
            Action::Back => self.back(),
            Action::NextPane => self.turn(1),
            Action::PreviousPane => self.turn(-1),
            Action::Overview => (self.focus, self.zoomed) = (PaneId::Queue, false),
            Action::QueueView => (self.focus, self.zoomed) = (PaneId::Queue, true),
            Action::SchedulesView => {
                (self.focus, self.zoomed) = (PaneId::Schedules, true);
                self.schedules.open = false;
            }
            Action::AlertsView => (self.focus, self.zoomed) = (PaneId::Alerts, true),
            Action::LogsView => (self.focus, self.zoomed) = (PaneId::Logs, true),
            Action::HostsView => (self.focus, self.zoomed) = (PaneId::Hosts, true),
            Action::SystemView => (self.focus, self.zoomed) = (PaneId::System, true),
            Action::FailedView => {
                (self.focus, self.zoomed) = (PaneId::Queue, false);
                self.set_filter(Filter::state(JobState::Failed));
            }
            Action::Zoom => self.zoomed = !self.zoomed,
            Action::Mark => self.mark(),
            Action::Range => self.range(),
            Action::MarkAll => self.mark_all(),
            Action::Filter => self.edit_filter(),
            Action::Retry => return self.act(Verb::Retry),
            Action::Skip => return self.act(Verb::Skip),
            Action::Cancel => return self.act(Verb::Cancel),
            Action::RetryAll if self.focus == PaneId::Alerts => return self.retry_cause(),
            Action::RetryAll => return self.act_on_matching(Verb::Retry),
            Action::SkipAll => return self.act_on_matching(Verb::Skip),
            Action::Pause => return self.pause_task(),
            Action::PauseAll => self.ask_pause_all(),
            Action::Trigger => self.ask_start(),
            Action::JobLogs if matches!(self.focus, PaneId::Schedules | PaneId::Alerts) => return self.follow_task(),
            Action::JobLogs => {
                let job = self.rows.selected().map(|j| j.id);
                self.focus = PaneId::Logs;
                self.logs.tab = Tab::Jobs;
                return self.follow(LogScope { job, ..LogScope::default() });
            }
            Action::AllLogs => {
                self.logs.tab = Tab::Jobs;
                return self.follow(LogScope { job: None, task: None, ..self.logs.scope.clone() });
            }
            Action::Level => return self.next_level(),
            Action::LogTab => self.logs.tab = if self.logs.tab == Tab::Jobs { Tab::Supervisor } else { Tab::Jobs },
            Action::PreviousAttempt => self.turn_attempt(-1),
            Action::NextAttempt => self.turn_attempt(1),
            Action::CopyPath => return self.copy(false),
            Action::CopyAll => return self.copy(true),
            Action::Freeze => return self.freeze(),
            Action::Mouse => {
                self.mouse = !self.mouse;
                let to = if self.mouse { "ours: click and wheel work" } else { "the terminal's: text can be selected" };
                self.say(format!("the mouse is {to}"), false);
                return vec![Cmd::Mouse(self.mouse)];
            }
            Action::Redraw => return vec![Cmd::Repaint],
            Action::Suspend => return vec![Cmd::Suspend],
            Action::Help => self.layers.push(Layer::Help(0)),
            Action::Palette => self.layers.push(Layer::Palette(Input::default(), 0)),
            Action::Leave => {
                if self.is_at_top() {
                    return vec![Cmd::Leave];
                }
                (self.focus, self.zoomed) = (PaneId::Queue, false);
            }
        }
        Vec::new()
    }

    /// Whether `q` would detach and not only go back.
    #[must_use]
    pub fn is_at_top(&self) -> bool {
        !self.zoomed && self.focus == PaneId::Queue
    }

    fn page(&self) -> isize {
        isize::try_from(self.room(self.focus)).unwrap_or(1)
    }

    fn step(&mut self, by: isize) {
        match self.focus {
            PaneId::Queue => self.rows.step(by),
            PaneId::Details => {
                let last = details::length(self).saturating_sub(1);
                self.detail_top = self.detail_top.saturating_add_signed(by).min(last);
            }
            PaneId::Logs => self.logs.step(by, self.room(PaneId::Logs)),
            PaneId::Hosts => self.select_host(self.host_index().saturating_add_signed(by)),
            PaneId::System => self.task_index = self.task_index.saturating_add_signed(by),
            PaneId::Schedules => self.schedules.select(self.schedules.index().saturating_add_signed(by)),
            PaneId::Alerts => self.alerts.select(self.alerts.index().saturating_add_signed(by)),
        }
    }

    fn first(&mut self) {
        match self.focus {
            PaneId::Queue => self.rows.first(),
            PaneId::Details => self.detail_top = 0,
            PaneId::Logs => self.logs.first(self.room(PaneId::Logs)),
            PaneId::Hosts => self.select_host(0),
            PaneId::System => self.task_index = 0,
            PaneId::Schedules => self.schedules.select(0),
            PaneId::Alerts => self.alerts.select(0),
        }
    }

    fn last(&mut self) {
        match self.focus {
            PaneId::Queue => self.rows.last(),
            PaneId::Details => {
                self.detail_top = details::length(self).saturating_sub(self.room(PaneId::Details));
            }
            PaneId::Logs => self.logs.follow(),
            PaneId::Hosts => self.select_host(usize::MAX),
            PaneId::System => self.task_index = usize::MAX,
            PaneId::Schedules => self.schedules.select(usize::MAX),
            PaneId::Alerts => self.alerts.select(usize::MAX),
        }
    }

    /// Puts the cursor on a host; on the last one, where there are not so many.
    fn select_host(&mut self, index: usize) {
        self.host = self.hosts.get(index).or(self.hosts.last()).map(|h| h.host.clone());
    }

    /// The jobs that call the host under the cursor.
    fn open_host(&mut self) {
        let Some(host) = self.hosts.get(self.host_index()).map(|h| h.host.clone()) else { return };
        (self.focus, self.zoomed) = (PaneId::Queue, false);
        self.set_filter(Filter::default().and(Test::Host(host)));
    }

    fn open(&mut self) {
        match self.focus {
            PaneId::Queue if self.rows.selected().is_some() => (self.focus, self.zoomed) = (PaneId::Details, false),
            PaneId::Queue => {}
            PaneId::Hosts => self.open_host(),
            PaneId::Schedules => self.open_schedule(),
            PaneId::Alerts => self.open_alert(),
            PaneId::Details | PaneId::Logs | PaneId::System => self.zoomed = true,
        }
    }

    fn back(&mut self) {
        if self.focus == PaneId::Schedules && std::mem::take(&mut self.schedules.open) {
        } else if self.focus != PaneId::Queue {
            self.focus = PaneId::Queue;
            self.zoomed = false;
        } else if self.range.take().is_some() {
        } else if !self.filter.is_empty() {
            self.set_filter(Filter::default());
        } else if !self.marks.is_empty() {
            self.marks = Marks::Ids(BTreeMap::new());
        } else {
            self.zoomed = false;
        }
    }

    fn turn(&mut self, by: isize) {
        // Where nothing is fetched, planned or told, there are fewer panes to step over.
        let has = |pane: PaneId| match pane {
            PaneId::Hosts => !self.hosts.is_empty(),
            PaneId::Schedules => self.has_schedules(),
            PaneId::Alerts => !self.alerts.is_empty(),
            PaneId::Queue | PaneId::Details | PaneId::Logs | PaneId::System => true,
        };
        let all: Vec<PaneId> = PaneId::ALL.into_iter().filter(|p| self.focus == *p || has(*p)).collect();
        let at = all.iter().position(|p| *p == self.focus).unwrap_or(0);
        let next = at + if by < 0 { all.len() - 1 } else { 1 };
        self.focus = all[next % all.len()];
    }

    fn turn_attempt(&mut self, by: isize) {
        let Some(len) = self.detail().map(|d| d.attempts.len()).filter(|n| *n > 0) else {
            return self.complain("this job has not been tried yet".to_owned());
        };
        let at = self.attempt.unwrap_or(len - 1).saturating_add_signed(by).min(len - 1);
        self.attempt = (at + 1 < len).then_some(at);
        self.detail_top = 0;
    }

    fn mark(&mut self) {
        if self.range.is_some() {
            return self.range();
        }
        let Some(job) = self.rows.selected() else { return };
        let (id, name) = (job.id, queue::name(job));
        match &mut self.marks {
            Marks::Matching => self.complain("everything that matches is marked: Esc clears".to_owned()),
            Marks::Ids(ids) => {
                if ids.remove(&id).is_none() {
                    if ids.len() >= MARKS_MAX {
                        return self.complain(format!("no more than {MARKS_MAX} jobs: use a filter and *"));
                    }
                    ids.insert(id, name);
                }
                self.rows.step(1);
            }
        }
    }

    fn range(&mut self) {
        let Some(cursor) = self.rows.selected().map(|j| j.id) else { return };
        let Some(anchor) = self.range.take() else {
            self.range = Some(cursor);
            return;
        };
        let (Some(a), Some(b)) = (self.rows.position(anchor), self.rows.position(cursor)) else {
            return self.complain("the range is longer than what is loaded: use a filter and *".to_owned());
        };
        let chosen: Vec<_> =
            self.rows.iter().skip(a.min(b)).take(a.abs_diff(b) + 1).map(|j| (j.id, queue::name(j))).collect();
        if let Marks::Ids(ids) = &mut self.marks {
            let left = MARKS_MAX.saturating_sub(ids.len());
            ids.extend(chosen.into_iter().take(left));
        }
    }

    fn mark_all(&mut self) {
        if self.rows.is_whole() && self.rows.len() <= MARKS_MAX {
            self.marks = Marks::Ids(self.rows.iter().map(|j| (j.id, queue::name(j))).collect());
        } else {
            self.marks = Marks::Matching;
        }
    }

    fn edit_filter(&mut self) {
        let text = match self.focus {
            PaneId::Logs => self.logs.scope.search.clone().unwrap_or_default(),
            _ => self.filter.to_string(),
        };
        self.layers.push(Layer::Filter(Input::new(text)));
    }

    pub(super) fn set_filter(&mut self, filter: Filter) {
        if !self.filter.is_empty() {
            self.last_filter = self.filter.to_string();
        }
        // What "everything that matches" meant is gone with the filter.
        if self.marks == Marks::Matching {
            self.marks = Marks::Ids(BTreeMap::new());
        }
        self.range = None;
        self.filter = filter;
        self.rows.renew();
    }

    pub(super) fn follow(&mut self, scope: LogScope) -> Vec<Cmd> {
        let epoch = self.logs.renew(scope.clone());
        vec![Cmd::Follow(epoch, scope)]
    }

    fn search_logs(&mut self, text: String) -> Vec<Cmd> {
        let search = Some(text).filter(|t| !t.is_empty());
        self.follow(LogScope { search, ..self.logs.scope.clone() })
    }

    fn next_level(&mut self) -> Vec<Cmd> {
        let level = self.logs.next_level();
        self.logs.show_level(level);
        self.follow(LogScope { level, ..self.logs.scope.clone() })
    }

    fn freeze(&mut self) -> Vec<Cmd> {
        if self.frozen.take().is_none() {
            self.frozen = Some(self.local_now());
            return Vec::new();
        }
        self.rows.touch();
        self.renew_pages();
        vec![Cmd::Status, Cmd::Follow(self.logs.again(), self.logs.scope.clone())]
    }

    fn copy(&mut self, all: bool) -> Vec<Cmd> {
        let Some(path) = self.rows.selected().map(|job| self.path_of(job)) else { return Vec::new() };
        let text = if all { details::plain(self) } else { path.clone() };
        self.say(if all { format!("copied the details of {path}") } else { format!("copied {path}") }, false);
        vec![Cmd::Copy(text)]
    }

    /// Where the file of a job lies now, as far as that is known; else where it landed.
    fn path_of(&self, job: &JobView) -> String {
        let files = self.detail().map_or(&[][..], |d| &d.files);
        let last = |role: &str| files.iter().rev().find(|f| f.role == role).map(|f| f.path.clone());
        last("failed").or_else(|| last("processed")).unwrap_or_else(|| job.input.clone())
    }

    /// The mouse was used: every act of it has a key, too.
    pub(super) fn mouse_event(&mut self, mouse: MouseEvent) -> Vec<Cmd> {
        if !self.layers.is_empty() {
            return Vec::new();
        }
        let layout = self.layout();
        let at = ratatui::layout::Position::new(mouse.column, mouse.row);
        let Some((pane, area)) = layout.panes.iter().copied().find(|(_, area)| area.contains(at)) else {
            return Vec::new();
        };
        match mouse.kind {
            MouseEventKind::Down(MouseButton::Left) => {
                let inside = layout.inside(area);
                let line = usize::from(mouse.row.saturating_sub(inside.y));
                if mouse.row > inside.y {
                    self.point_at(pane, line);
                }
                // As it stands on the screen: with the focus the list may stand elsewhere.
                if pane == PaneId::Hosts
                    && mouse.row > inside.y
                    && let Some(index) = hosts::row_at(self, line - 1)
                {
                    self.select_host(index);
                }
                self.focus = pane;
                if pane == PaneId::Queue
                    && mouse.row > inside.y
                    && let Some(index) = queue::row_at(self, line - 1)
                {
                    self.rows.select(index);
                }
            }
            MouseEventKind::ScrollDown | MouseEventKind::ScrollUp => {
                let focus = std::mem::replace(&mut self.focus, pane);
                self.step(if mouse.kind == MouseEventKind::ScrollDown { 3 } else { -3 });
                self.focus = focus;
            }
            _ => {}
        }
        Vec::new()
    }

    /// What is marked, for the footer: `12 marked of 340 matching`.
    #[must_use]
    pub fn marked(&self) -> Option<String> {
        let matching = crate::tui::widgets::time::count(self.rows.matching);
        match &self.marks {
            Marks::Matching => Some(format!("all {matching} matching marked")),
            Marks::Ids(ids) if ids.is_empty() => self.range.map(|_| "range: v marks it, Esc drops it".to_owned()),
            Marks::Ids(ids) => Some(format!("{} marked of {matching} matching", ids.len())),
        }
    }

    /// `137 of 18,341`: how many match the filter, of how many there are; without a filter one number says both.
    #[must_use]
    pub fn extent(&self) -> String {
        use crate::tui::widgets::time::count;
        if self.filter.is_empty() {
            return count(self.counts.total());
        }
        let more = if self.rows.more { "more than " } else { "" };
        format!("{more}{} of {}", count(self.rows.matching), count(self.counts.total().max(self.rows.matching)))
    }
}

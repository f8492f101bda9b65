//! Schedules and alerts: when their pages are asked for, and what keys do on them.

use super::App;
use crate::model::filter::Test;
use crate::model::view::{OpenCause, TaskView};
use crate::model::{Filter, JobId, JobState};
use crate::tui::layers::{Intent, Layer, Prompt};
use crate::tui::logbook::Tab;
use crate::tui::msg::{Cmd, LogScope, Verb};
use crate::tui::outlook::Item;
use crate::tui::panes::{PaneId, alerts, schedules};

impl App {
    /// Whether a task has a schedule.
    #[must_use]
    pub fn has_schedules(&self) -> bool {
        let is_scheduled = |t: &TaskView| t.trigger == "schedule";
        !self.schedules.list().is_empty() || self.status.iter().flat_map(|s| &s.tasks).any(is_scheduled)
    }

    /// Asks for the pages that are seen, and for what a banner depends on.
    pub(super) fn ask_pages(&mut self, cmds: &mut Vec<Cmd>) {
        if self.frozen.is_some() {
            return;
        }
        let layout = self.layout();
        let is_seen = |pane| layout.pane(pane).is_some();
        let news = (self.rev, self.status_rev.unwrap_or(0));
        let system = is_seen(PaneId::System);
        let seen = is_seen(PaneId::Schedules);
        if (seen || self.has_schedules()) && self.schedules.held.want(news, seen || system, self.now) {
            cmds.push(Cmd::Schedules);
        }
        if (is_seen(PaneId::Alerts) || system) && self.alerts.held.want(news, true, self.now) {
            cmds.push(Cmd::Alerts);
        }
    }

    /// Both pages are to be asked for again.
    pub(super) const fn renew_pages(&mut self) {
        self.schedules.held.renew();
        self.alerts.held.renew();
    }

    /// Name of the task under the cursor of these panes.
    #[must_use]
    pub fn task_in_sight(&self) -> Option<&str> {
        match self.focus {
            PaneId::Schedules => self.schedules.selected().map(|s| s.task.as_str()),
            PaneId::Alerts => self.alerts.cause().map(|c| c.task.as_str()).filter(|t| !t.is_empty()),
            _ => None,
        }
    }

    /// The details, where they are not seen; then the job that failed.
    pub(super) fn open_schedule(&mut self) {
        let Some(schedule) = self.schedules.selected() else { return };
        if !schedules::shows_details(self) {
            self.schedules.open = true;
            return;
        }
        let task = schedule.task.clone();
        match schedule.runs.iter().find_map(|r| r.failed_job) {
            Some(job) => self.open_job(JobId(job), Filter::state(JobState::Failed).and(Test::Task(task))),
            None => self.say(format!("no run of {task} has a failed job"), false),
        }
    }

    /// The job of the cause under the cursor.
    pub(super) fn open_alert(&mut self) {
        match self.alerts.selected() {
            Some(Item::Cause(cause)) => match (cause.job, cause_filter(cause)) {
                (Some(job), Some(filter)) => self.open_job(JobId(job), filter),
                _ => self.say("it is no job that failed".to_owned(), false),
            },
            Some(Item::Channel(_)) => self.say("t sends a test message on this channel".to_owned(), false),
            Some(Item::Message(_)) | None => {}
        }
    }

    /// The list, narrowed to what is like a job, with the cursor on it, and its details.
    fn open_job(&mut self, id: JobId, filter: Filter) {
        self.set_filter(filter);
        self.rows.aim(id);
        (self.focus, self.zoomed) = (PaneId::Details, false);
    }

    /// Retries what failed by the cause under the cursor.
    pub(super) fn retry_cause(&mut self) -> Vec<Cmd> {
        let filter = self.alerts.cause().and_then(cause_filter);
        filter.map(|filter| self.act_on_all(Verb::Retry, filter)).unwrap_or_default()
    }

    /// Puts the cursor on what stands on a line of one of these panes.
    pub(super) fn point_at(&mut self, pane: PaneId, line: usize) {
        match pane {
            PaneId::Schedules => {
                if let Some(index) = schedules::row_at(self, line.saturating_sub(1)) {
                    self.schedules.select(index);
                }
            }
            PaneId::Alerts => {
                if let Some(index) = alerts::row_at(self, line) {
                    self.alerts.select(index);
                }
            }
            _ => {}
        }
    }

    /// Follows the log of the task under the cursor.
    pub(super) fn follow_task(&mut self) -> Vec<Cmd> {
        let task = self.task_in_sight().map(str::to_owned);
        self.focus = PaneId::Logs;
        self.logs.tab = Tab::Jobs;
        self.follow(LogScope { task, ..LogScope::default() })
    }

    /// Starts the task under the cursor, tries the channel under it, or offers all tasks.
    pub(super) fn ask_start(&mut self) {
        if self.focus == PaneId::Alerts
            && let Some(channel) = self.alerts.channel()
        {
            let (name, kind, target) = (channel.name.clone(), &channel.kind, &channel.target);
            let prompt = Prompt {
                title: format!("send a test message on {name}?"),
                facts: vec![format!("{kind} to {target}")],
                intent: Some(Intent::Test(name)),
                counting: None,
            };
            return self.layers.push(Layer::Prompt(prompt));
        }
        if self.focus == PaneId::Schedules && self.task_under_cursor().is_some() {
            return self.ask_trigger(self.task_of_interest());
        }
        self.layers.push(Layer::Tasks(self.task_of_interest()));
    }
}

/// What failed by a cause; none for what is no failed job.
#[must_use]
pub fn cause_filter(cause: &OpenCause) -> Option<Filter> {
    cause.job?;
    let failed = Filter::state(JobState::Failed);
    Some(failed.and(Test::Task(cause.task.clone())).and(Test::Code(cause.code.clone())))
}

//! What messages do to the state, and what is then asked for.

use super::{App, Due, Link, plural};
use crate::model::view::{Done, HostView, JobDetail, Selection, Status, Throughput, Tick};
use crate::model::{JobId, Millis};
use crate::tui::msg::{Cmd, Msg, Verb};
use crate::tui::panes::{PaneId, details, queue};
use std::time::Duration;

/// Least time between two refreshes of rows that are held already.
const REFRESH_EVERY: Duration = Duration::from_millis(400);
/// Least time between two questions for the numbers of each task.
const TASKS_EVERY: Duration = Duration::from_secs(1);
/// Least time between two changes of the gauges on the screen.
const GAUGES_EVERY: Duration = Duration::from_secs(2);
/// Least time between two changes of the hosts on the screen.
const HOSTS_EVERY: Duration = Duration::from_secs(1);
/// The reasons why a job waits are asked for again after this long.
const WHY_EVERY: Duration = Duration::from_secs(3);

impl App {
    /// Takes a message; `now` is this host's clock. Answers what to do about it.
    pub fn update(&mut self, msg: Msg, now: Millis) -> Vec<Cmd> {
        self.now = now;
        let mut cmds = self.take(msg);
        self.settle(&mut cmds);
        cmds
    }

    fn take(&mut self, msg: Msg) -> Vec<Cmd> {
        let due = match msg {
            Msg::Key(_) | Msg::Paste(_) | Msg::Mouse(_) | Msg::Resize(..) | Msg::Redraw => Due::Now,
            Msg::Acted(..) | Msg::Triggered(..) | Msg::Switched { .. } | Msg::Selected(..) | Msg::Tested(..) => {
                Due::Now
            }
            _ => Due::Soon,
        };
        self.due = self.due.max(due);
        match msg {
            Msg::Key(key) => return self.key(key),
            Msg::Mouse(mouse) => return self.mouse_event(mouse),
            Msg::Paste(text) => self.paste(&text),
            Msg::Resize(width, height) => self.size = (width, height),
            Msg::Redraw => return vec![Cmd::Repaint],
            Msg::Clock(_) => self.pass_time(),
            Msg::Connected => return self.connected(),
            Msg::Lost(why) => self.lost(why),
            Msg::Status(status) => self.take_status(status),
            Msg::Unknown(why) => {
                if self.link == Link::Up {
                    self.complain(format!("cannot read the state: {why}"));
                }
            }
            Msg::Tick(tick) => return self.take_tick(*tick),
            Msg::Jobs(request, Ok(page)) => {
                let room = self.room(PaneId::Queue);
                self.rows.absorb(&request, page, room);
            }
            Msg::Jobs(request, Err(why)) => {
                self.rows.give_up(&request);
                self.complain(why);
            }
            Msg::Detail(id, result) => self.take_detail(id, result),
            Msg::Schedules(_) | Msg::Alerts(_) if self.frozen.is_some() => self.renew_pages(),
            Msg::Schedules(result) => self.schedules.take(result),
            Msg::Alerts(result) => self.alerts.take(result),
            Msg::Tested(channel, Ok(())) => {
                self.alerts.held.renew();
                self.say(format!("a test message for {channel} is on its way"), false);
            }
            Msg::Tested(channel, Err(why)) => self.complain(format!("cannot test {channel}: {why}")),
            Msg::Logs(epoch, page) => {
                if self.frozen.is_none() {
                    let own = self.logs.absorb(epoch, page);
                    if !own.is_empty() {
                        return vec![Cmd::Feed(own)];
                    }
                }
            }
            Msg::Selected(number, result) => self.take_selection(number, result),
            Msg::Acted(verb, result) => {
                self.rows.touch();
                match result {
                    Ok(done) => self.say(outcome(verb, &done), done.done.is_empty()),
                    Err(why) => self.complain(format!("cannot {}: {why}", verb.order())),
                }
            }
            Msg::Triggered(task, Ok(triggered)) => {
                self.rows.touch();
                let n = triggered.jobs.len();
                self.say(format!("started {task}: run {}, {n} job{}", triggered.run, plural(n as u64)), false);
            }
            Msg::Triggered(task, Err(why)) => self.complain(format!("cannot start {task}: {why}")),
            Msg::Switched { task, paused, result } => {
                let what = task.as_deref().unwrap_or("everything");
                match (result, paused) {
                    (Ok(()), true) => self.say(format!("paused {what}: running jobs go on, no new ones start"), false),
                    (Ok(()), false) => self.say(format!("resumed {what}"), false),
                    (Err(why), true) => self.complain(format!("cannot pause {what}: {why}")),
                    (Err(why), false) => self.complain(format!("cannot resume {what}: {why}")),
                }
                self.schedules.held.renew();
                return vec![Cmd::Status];
            }
        }
        Vec::new()
    }

    /// Asks for what the screen lacks, and keeps cursors where they can be seen.
    fn settle(&mut self, cmds: &mut Vec<Cmd>) {
        let room = self.room(PaneId::Queue);
        let progress = &self.progress;
        self.rows.keep_in_view(room, |job| queue::height(progress, job));
        if self.detail_top > 0 {
            self.detail_top = self.detail_top.min(details::length(self).saturating_sub(1));
        }
        let tasks = self.status.as_ref().map_or(0, |s| s.tasks.len());
        self.task_index = self.task_index.min(tasks.saturating_sub(1));
        if self.link != Link::Up {
            return;
        }
        let refresh = self.frozen.is_none() && self.now.since(self.refreshed_at) >= REFRESH_EVERY;
        if let Some(request) = self.rows.want(refresh) {
            self.refreshed_at = self.now;
            cmds.push(Cmd::Jobs(request, self.filter.clone()));
        }
        self.ask_pages(cmds);
        if let Some(id) = self.wanted_detail() {
            (self.detail_asked, self.detail_at) = (Some(id), self.now);
            cmds.push(Cmd::Detail(id));
        }
    }

    /// The job whose details are to be asked for now. One request at a time: while the cursor runs, only the details
    /// of where it pauses are asked for.
    fn wanted_detail(&self) -> Option<JobId> {
        let row = self.rows.selected().filter(|_| self.detail_asked.is_none())?;
        let waited = self.now.since(self.detail_at) >= WHY_EVERY;
        if self.detail_error.as_ref().is_some_and(|(id, _)| *id == row.id) {
            return waited.then_some(row.id);
        }
        let fresh = self.detail().is_some_and(|d| d.job.rev >= row.rev && (row.state.is_settled() || !waited));
        (!fresh && (self.frozen.is_none() || self.detail().is_none())).then_some(row.id)
    }

    fn take_detail(&mut self, id: JobId, result: Result<Box<JobDetail>, String>) {
        self.detail_asked = None;
        if self.rows.selected().is_none_or(|j| j.id != id) {
            return;
        }
        match result {
            Ok(detail) => {
                if self.detail.as_ref().is_none_or(|d| d.job.id != id) {
                    (self.detail_top, self.attempt) = (0, None);
                }
                (self.detail, self.detail_error) = (Some(detail), None);
            }
            Err(why) => self.detail_error = Some((id, why)),
        }
    }

    fn pass_time(&mut self) {
        if self.notice.as_ref().is_some_and(|n| n.until <= self.now) {
            self.notice = None;
        }
    }

    fn connected(&mut self) -> Vec<Cmd> {
        self.link = Link::Up;
        self.status_rev = None;
        self.refreshed_at = Millis(0);
        self.detail_asked = None;
        self.rows.forget_requests();
        self.renew_pages();
        vec![Cmd::Status, Cmd::Follow(self.logs.again(), self.logs.scope.clone())]
    }

    fn lost(&mut self, why: String) {
        self.link = match &self.link {
            Link::Stale { since, .. } => Link::Stale { since: *since, why },
            _ => Link::Stale { since: self.now, why },
        };
        self.rows.forget_requests();
        self.detail_asked = None;
    }

    fn take_status(&mut self, status: Box<Status>) {
        if self.frozen.is_some() {
            return;
        }
        if let Some(there) = crate::clock::parse_rfc3339(&status.now) {
            self.skew = there.0 - self.now.0;
        }
        self.counts = status.counts;
        self.gauges = status.gauges.clone();
        self.flow = status.throughput.clone();
        self.take_hosts(status.hosts.clone());
        self.flow_second = (self.now.0 + self.skew) / 1000;
        self.status_at = self.now;
        self.status = Some(status);
    }

    fn take_tick(&mut self, tick: Tick) -> Vec<Cmd> {
        if self.frozen.is_some() {
            return Vec::new();
        }
        self.skew = tick.now_ms.saturating_sub(self.now.0);
        self.rev = tick.rev;
        self.counts = tick.counts;
        self.progress = tick.progress.into_iter().map(|p| (p.job, p)).collect();
        if let Some(status) = &mut self.status {
            status.state = tick.state;
        }
        if self.now.since(self.gauges_at) >= GAUGES_EVERY {
            (self.gauges, self.gauges_at) = (tick.gauges, self.now);
        }
        if self.now.since(self.hosts_at) >= HOSTS_EVERY {
            self.take_hosts(tick.hosts);
        }
        let second = tick.now_ms / 1000;
        if second > self.flow_second {
            self.flow_second = second;
            push(&mut self.flow.jobs_per_second, tick.jobs_per_second);
            push(&mut self.flow.bytes_per_second, tick.bytes_per_second);
            push(&mut self.flow.queue_depth, tick.counts.queued);
        }
        if tick.rev > self.rows.rev {
            self.rows.touch();
        }
        let is_news = self.status_rev.replace(tick.status_rev) != Some(tick.status_rev);
        // A tick holds the numbers of all jobs together. Those of each task are asked for, calmly, where they are seen.
        let (rev, at) = self.tasks_asked;
        let is_old = tick.rev > rev && self.now.since(at) >= TASKS_EVERY;
        if !(is_news || is_old && self.layout().pane(PaneId::System).is_some()) {
            return Vec::new();
        }
        self.tasks_asked = (tick.rev, self.now);
        vec![Cmd::Status]
    }

    /// No more of them than a server may tell.
    fn take_hosts(&mut self, mut hosts: Vec<HostView>) {
        hosts.truncate(HostView::MAX);
        (self.hosts, self.hosts_at) = (hosts, self.now);
    }

    fn take_selection(&mut self, number: u64, result: Result<Selection, String>) {
        let Some(at) = self.layers.iter().position(|l| l.awaits(number)) else { return };
        match result {
            Ok(selection) if selection.count == 0 => {
                self.layers.remove(at);
                self.complain("nothing matches the filter".to_owned());
            }
            Ok(selection) => self.layers[at].counted(&selection),
            Err(why) => {
                self.layers.remove(at);
                self.complain(why);
            }
        }
    }
}

/// Appends to a series of bounded length.
fn push<T>(series: &mut Vec<T>, value: T) {
    if series.len() >= Throughput::SERIES_MAX {
        series.drain(..=series.len() - Throughput::SERIES_MAX);
    }
    series.push(value);
}

/// `retried 11, refused 1: already running`
fn outcome(verb: Verb, done: &Done) -> String {
    let refused = done.refused.len();
    let why = done.refused.first().map_or("", |r| r.reason.as_str());
    match (done.done.as_slice(), refused) {
        ([], 0) => format!("{} nothing: no job was left", verb.past()),
        ([], 1) => format!("refused: {why}"),
        ([id], 0) => format!("{} job {id}", verb.past()),
        (done, 0) => format!("{} {}", verb.past(), done.len()),
        (done, n) => format!("{} {}, refused {n}: {why}", verb.past(), done.len()),
    }
}

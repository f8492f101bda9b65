//! The state of the dashboard and what messages do to it. No I/O: [`App::update`] answers with commands, and drawing
//! only reads.

use super::layers::Layer;
use super::layout::{Layout, Wish};
use super::logbook::Logbook;
use super::msg::{Cmd, Msg, Verb};
use super::panes::{PaneId, queue};
use super::rows::Rows;
use super::theme::Theme;
use super::widgets::time;
use crate::model::view::{
    Counts, Done, Gauges, Gravity, JobDetail, ProgressView, Selection, Status, TaskView, Throughput, Tick,
};
use crate::model::{Filter, JobId, Millis};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

/// Least time between two refreshes of rows that are held already.
const REFRESH_EVERY: Duration = Duration::from_millis(400);
/// Least time between two changes of the gauges on the screen.
const GAUGES_EVERY: Duration = Duration::from_secs(2);
/// The reasons why a job waits are asked for again after this long.
const WHY_EVERY: Duration = Duration::from_secs(3);
/// How long the result of an action is shown.
const NOTICE_FOR: Duration = Duration::from_secs(8);
/// Jobs that can be marked one by one; beyond it, everything that matches can be.
pub const MARKS_MAX: usize = 10_000;
/// Reasons for skipping that are offered again; older ones are forgotten.
pub const REASONS_MAX: usize = 8;

/// Whether the supervisor answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// Not asked yet.
    Connecting,
    /// It does.
    Up,
    /// It does not; what is shown is old.
    Stale {
        /// Since when, by this host's clock.
        since: Millis,
        /// What went wrong.
        why: String,
    },
}

/// Which jobs are marked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Marks {
    /// These, with the names they had.
    Ids(BTreeMap<JobId, String>),
    /// Everything that matches the filter.
    Matching,
}

impl Marks {
    /// Whether nothing is marked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Ids(ids) if ids.is_empty())
    }

    /// Whether a job is marked.
    #[must_use]
    pub fn has(&self, id: JobId) -> bool {
        match self {
            Self::Ids(ids) => ids.contains_key(&id),
            Self::Matching => true,
        }
    }
}

/// One line about what an action did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The line.
    pub text: String,
    /// Whether it was refused or went wrong.
    pub bad: bool,
    until: Millis,
}

/// When the screen must be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// Nothing changed.
    Never,
    /// Data changed: with the next frame.
    Soon,
    /// A person did something: at once.
    Now,
}

/// The dashboard.
pub struct App {
    /// Styles and characters.
    pub theme: Theme,
    /// Whether actions are refused here already.
    pub read_only: bool,
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// Whether the supervisor answers.
    pub link: Link,
    /// The whole state, as last told.
    pub status: Option<Box<Status>>,
    /// Jobs by state.
    pub counts: Counts,
    /// What the machine does.
    pub gauges: Gauges,
    /// How much work flows.
    pub flow: Throughput,
    /// Progress of running jobs.
    pub progress: HashMap<JobId, ProgressView>,
    /// The job list.
    pub rows: Rows,
    /// What the list is narrowed to.
    pub filter: Filter,
    /// The last filter, for recall.
    pub last_filter: String,
    /// Marked jobs.
    pub marks: Marks,
    /// Where a range began.
    pub range: Option<JobId>,
    /// Details of a job: of the selected one, once they have come.
    pub detail: Option<Box<JobDetail>>,
    /// Why they did not come.
    pub detail_error: Option<(JobId, String)>,
    /// First line of the details on the screen.
    pub detail_top: usize,
    /// The attempt looked at; none: the last one.
    pub attempt: Option<usize>,
    /// The logs.
    pub logs: Logbook,
    /// The pane that keys go to.
    pub focus: PaneId,
    /// Whether it has the whole screen.
    pub zoomed: bool,
    /// The task under the cursor of the system pane.
    pub task_index: usize,
    /// Popups, the top one last. Keys go to it.
    pub layers: Vec<Layer>,
    /// The result of the last action.
    pub notice: Option<Notice>,
    /// Since when the display stands still, if it does.
    pub frozen: Option<Millis>,
    /// Whether we take the mouse.
    pub mouse: bool,
    /// Reasons given for skipping, newest first.
    pub reasons: VecDeque<String>,
    /// Number of the last prompt that waits for an answer.
    pub prompts: u64,
    /// When the screen must be drawn; the loop takes it.
    pub due: Due,
    now: Millis,
    skew: i64,
    status_rev: Option<u64>,
    status_at: Millis,
    refreshed_at: Millis,
    gauges_at: Millis,
    flow_second: i64,
    detail_asked: Option<JobId>,
    detail_at: Millis,
}

impl App {
    /// A dashboard that has seen nothing yet.
    #[must_use]
    pub fn new(theme: Theme, read_only: bool, mouse: bool, size: (u16, u16), now: Millis) -> Self {
        Self {
            theme,
            read_only,
            size,
            link: Link::Connecting,
            status: None,
            counts: Counts::default(),
            gauges: Gauges::default(),
            flow: Throughput::default(),
            progress: HashMap::new(),
            rows: Rows::default(),
            filter: Filter::default(),
            last_filter: String::new(),
            marks: Marks::Ids(BTreeMap::new()),
            range: None,
            detail: None,
            detail_error: None,
            detail_top: 0,
            attempt: None,
            logs: Logbook::default(),
            focus: PaneId::Queue,
            zoomed: false,
            task_index: 0,
            layers: Vec::new(),
            notice: None,
            frozen: None,
            mouse,
            reasons: VecDeque::new(),
            prompts: 0,
            due: Due::Now,
            now,
            skew: 0,
            status_rev: None,
            status_at: now,
            refreshed_at: Millis(0),
            gauges_at: Millis(0),
            flow_second: 0,
            detail_asked: None,
            detail_at: Millis(0),
        }
    }

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
            Msg::Acted(..) | Msg::Triggered(..) | Msg::Switched { .. } | Msg::Selected(..) => Due::Now,
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
            Msg::Logs(epoch, page) => {
                if self.frozen.is_none() {
                    let own = page.lines.iter().filter(|l| l.target.is_some()).cloned().collect::<Vec<_>>();
                    if self.logs.absorb(epoch, page) && !own.is_empty() {
                        self.logs.own += own.len() as u64;
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
                return vec![Cmd::Status];
            }
        }
        Vec::new()
    }

    /// Asks for what the screen lacks, and keeps cursors where they can be seen.
    fn settle(&mut self, cmds: &mut Vec<Cmd>) {
        let room = self.room(PaneId::Queue);
        self.rows.keep_in_view(room, queue::height);
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

    /// Details of the selected job, once they have come.
    #[must_use]
    pub fn detail(&self) -> Option<&JobDetail> {
        let id = self.rows.selected()?.id;
        self.detail.as_deref().filter(|d| d.job.id == id)
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
        self.flow_second = (self.now.0 + self.skew) / 1000;
        self.status_at = self.now;
        self.status = Some(status);
    }

    fn take_tick(&mut self, tick: Tick) -> Vec<Cmd> {
        if self.frozen.is_some() {
            return Vec::new();
        }
        self.skew = tick.now_ms.saturating_sub(self.now.0);
        self.counts = tick.counts;
        self.progress = tick.progress.into_iter().map(|p| (p.job, p)).collect();
        if let Some(status) = &mut self.status {
            status.state = tick.state;
        }
        if self.now.since(self.gauges_at) >= GAUGES_EVERY {
            (self.gauges, self.gauges_at) = (tick.gauges, self.now);
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
        if self.status_rev.replace(tick.status_rev) == Some(tick.status_rev) { Vec::new() } else { vec![Cmd::Status] }
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

    /// Shows the result of an action.
    pub fn say(&mut self, text: String, bad: bool) {
        self.notice = Some(Notice { text, bad, until: self.now.plus(NOTICE_FOR) });
    }

    /// Shows why something was not done.
    pub fn complain(&mut self, text: String) {
        self.say(text, true);
    }

    /// This host's clock, as of the last message.
    #[must_use]
    pub const fn local_now(&self) -> Millis {
        self.now
    }

    /// The supervisor's clock, as far as it is known.
    #[must_use]
    pub fn now(&self) -> Millis {
        Millis(self.now.0.saturating_add(self.skew))
    }

    /// How long the supervisor has been running, in milliseconds.
    #[must_use]
    pub fn uptime_ms(&self) -> Option<u64> {
        let passed = u64::try_from(self.now.since(self.status_at).as_millis()).unwrap_or(0);
        self.status.as_ref().map(|s| s.uptime_ms.saturating_add(passed))
    }

    /// Where everything stands.
    #[must_use]
    pub fn layout(&self) -> Layout {
        let banners = u16::try_from(self.banners().len()).unwrap_or(u16::MAX);
        Layout::of(Wish { size: self.size, banners, focus: self.focus, zoomed: self.zoomed })
    }

    /// Lines inside a pane below its heading, as far as it is seen; 1 if it is not.
    #[must_use]
    pub fn room(&self, pane: PaneId) -> usize {
        let layout = self.layout();
        let inside = layout.pane(pane).map(|area| layout.inside(area).height).unwrap_or(1);
        let heading = u16::from(pane == PaneId::Queue);
        usize::from(inside.saturating_sub(heading)).max(1)
    }

    /// Lines that exist only while something is held, paused, degraded or stale, gravest first.
    #[must_use]
    pub fn banners(&self) -> Vec<(Gravity, String)> {
        let mut out = Vec::new();
        if let Link::Stale { since, why } = &self.link {
            out.push((Gravity::Warning, format!("stale since {}, reconnecting: {why}", time::of_day(*since))));
        }
        if let Some(since) = self.frozen {
            let ms = u64::try_from(self.now.since(since).as_millis()).unwrap_or(0);
            out.push((Gravity::Warning, format!("display frozen for {}, the work goes on: F thaws", time::exact(ms))));
        }
        if let Some(status) = &self.status {
            let mut told: Vec<_> = status.banners.iter().collect();
            told.sort_by_key(|b| b.gravity);
            for banner in told {
                let since = banner.since.as_ref().map(|at| format!(", since {}", time::stamp(at, self.now())));
                out.push((banner.gravity, format!("{}{}", banner.text, since.unwrap_or_default())));
            }
            if let Some(paused) = &status.paused
                && !status.banners.iter().any(|b| b.code == "paused")
            {
                let at = time::stamp(&paused.at, self.now());
                out.push((Gravity::Warning, format!("everything is paused by {}, since {at}: P resumes", paused.by)));
            }
        }
        out
    }

    /// The task that `p` is about: of the selected job, or under the cursor of the system pane.
    #[must_use]
    pub fn task_under_cursor(&self) -> Option<&TaskView> {
        let tasks = &self.status.as_ref()?.tasks;
        match self.focus {
            PaneId::System => tasks.get(self.task_index),
            _ => {
                let name = &self.rows.selected()?.task;
                tasks.iter().find(|t| t.name == *name)
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

/// `s`, except for one.
#[must_use]
pub const fn plural(n: u64) -> &'static str {
    if n == 1 { "" } else { "s" }
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

//! The state of the dashboard. No I/O: messages change it in `update`, keys in `perform` and `act`; all answer with
//! commands. Drawing only reads.

mod act;
mod outlook;
mod perform;
mod update;

use super::layers::Layer;
use super::layout::{Layout, Wish};
use super::logbook::Logbook;
use super::outlook::{Alerts, Schedules};
use super::panes::PaneId;
use super::rows::Rows;
use super::theme::Theme;
use super::widgets::time;
use crate::model::view::{Counts, Gauges, Gravity, HostView, JobDetail, ProgressView, Status, TaskView, Throughput};
use crate::model::{Filter, JobId, Millis};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

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
    /// Hosts that jobs call, in the order of the server.
    pub hosts: Vec<HostView>,
    /// The one under the cursor, by its name: their order changes.
    pub host: Option<String>,
    /// The schedules.
    pub schedules: Schedules,
    /// The alerts.
    pub alerts: Alerts,
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
    /// What leaving is called in the footer.
    pub leave: &'static str,
    /// Reasons given for skipping, newest first.
    pub reasons: VecDeque<String>,
    /// Number of the last prompt that waits for an answer.
    pub prompts: u64,
    /// When the screen must be drawn; the loop takes it.
    pub due: Due,
    now: Millis,
    skew: i64,
    /// The newest revision that a tick told.
    rev: i64,
    status_rev: Option<u64>,
    /// Revision that the numbers of the tasks are about, and when they were asked for.
    tasks_asked: (i64, Millis),
    status_at: Millis,
    refreshed_at: Millis,
    gauges_at: Millis,
    hosts_at: Millis,
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
            hosts: Vec::new(),
            host: None,
            schedules: Schedules::default(),
            alerts: Alerts::default(),
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
            leave: "detach",
            reasons: VecDeque::new(),
            prompts: 0,
            due: Due::Now,
            now,
            skew: 0,
            rev: 0,
            status_rev: None,
            tasks_asked: (0, now),
            status_at: now,
            refreshed_at: Millis(0),
            gauges_at: Millis(0),
            hosts_at: Millis(0),
            flow_second: 0,
            detail_asked: None,
            detail_at: Millis(0),
        }
    }

    /// Details of the selected job, once they have come.
    #[must_use]
    pub fn detail(&self) -> Option<&JobDetail> {
        let id = self.rows.selected()?.id;
        self.detail.as_deref().filter(|d| d.job.id == id)
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

    /// Index of the host under the cursor; the first one where that is gone.
    #[must_use]
    pub fn host_index(&self) -> usize {
        self.host.as_ref().and_then(|name| self.hosts.iter().position(|h| h.host == *name)).unwrap_or(0)
    }

    /// Where everything stands.
    #[must_use]
    pub fn layout(&self) -> Layout {
        let banners = u16::try_from(self.banners().len()).unwrap_or(u16::MAX);
        let hosts = !self.hosts.is_empty();
        Layout::of(Wish { size: self.size, banners, focus: self.focus, zoomed: self.zoomed, hosts })
    }

    /// Lines inside a pane below its heading, as far as it is seen; 1 if it is not.
    #[must_use]
    pub fn room(&self, pane: PaneId) -> usize {
        let layout = self.layout();
        let inside = layout.pane(pane).map(|area| layout.inside(area).height).unwrap_or(1);
        let heading = u16::from(matches!(pane, PaneId::Queue | PaneId::Hosts | PaneId::Schedules));
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
        self.overdue_banner(&mut out);
        out
    }

    /// What is overdue, where the supervisor has no banner for it. Red, as everything that failed.
    fn overdue_banner(&self, out: &mut Vec<(Gravity, String)>) {
        let is_told = self.status.iter().flat_map(|s| &s.banners).any(|b| b.code.starts_with("overdue"));
        if is_told || self.focus == PaneId::Schedules {
            return;
        }
        let mut late = self.schedules.overdue();
        if let Some((schedule, why)) = late.next() {
            let more = match late.count() {
                0 => String::new(),
                n => format!(", and {n} more"),
            };
            out.push((Gravity::Error, format!("{} is overdue: {why}{more}: 4 shows it", schedule.task)));
        }
    }

    /// The task that `p` is about: of the selected job, or under the cursor of the system pane.
    #[must_use]
    pub fn task_under_cursor(&self) -> Option<&TaskView> {
        let tasks = &self.status.as_ref()?.tasks;
        match self.focus {
            PaneId::System => tasks.get(self.task_index),
            PaneId::Schedules | PaneId::Alerts => {
                let name = self.task_in_sight()?;
                tasks.iter().find(|t| t.name == name)
            }
            _ => {
                let name = &self.rows.selected()?.task;
                tasks.iter().find(|t| t.name == *name)
            }
        }
    }
}

/// `s`, except for one.
#[must_use]
pub const fn plural(n: u64) -> &'static str {
    if n == 1 { "" } else { "s" }
}

//! What the panes of schedules and of alerts show: pages that are asked for, calmly, while something shows them. The
//! cursors are names, so that they follow what they are on when a page brings another order.

use crate::model::Millis;
use crate::model::view::{AlertsView, ChannelView, OpenCause, OutboxView, PastRun, ScheduleView, SchedulesPage};
use std::time::Duration;

/// Least time between two questions for a page where something changed meanwhile.
const CHANGED_EVERY: Duration = Duration::from_secs(1);
/// A page that is seen is asked for again after this long also where nothing changed: what is overdue becomes so by
/// nothing happening.
const SEEN_EVERY: Duration = Duration::from_secs(5);
/// The same for a page that only a banner depends on.
const UNSEEN_EVERY: Duration = Duration::from_secs(15);

/// A page of the supervisor, and when it was asked for.
#[derive(Debug)]
pub struct Held<T> {
    /// The page, once it has come.
    pub page: Option<Box<T>>,
    /// Why the last one did not come.
    pub error: Option<String>,
    asked: bool,
    at: Option<Millis>,
    news: (i64, u64),
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self { page: None, error: None, asked: false, at: None, news: (0, 0) }
    }
}

impl<T> Held<T> {
    /// Whether to ask for it now; who asks is answered once. `news`: changes with the supervisor's state.
    pub fn want(&mut self, news: (i64, u64), seen: bool, now: Millis) -> bool {
        let is_due = self.at.is_none_or(|at| {
            let passed = now.since(at);
            let changed = seen && news != self.news && passed >= CHANGED_EVERY;
            changed || passed >= if seen { SEEN_EVERY } else { UNSEEN_EVERY }
        });
        if self.asked || !is_due {
            return false;
        }
        (self.asked, self.at, self.news) = (true, Some(now), news);
        true
    }

    /// It is to be asked for at the next occasion, and no answer is awaited.
    pub const fn renew(&mut self) {
        (self.asked, self.at) = (false, None);
    }

    /// An answer came. What was there stays where there is no new page.
    fn answer(&mut self, result: Result<Box<T>, String>) {
        self.asked = false;
        match result {
            Ok(page) => (self.page, self.error) = (Some(page), None),
            Err(why) => self.error = Some(why),
        }
    }
}

/// The schedules.
#[derive(Debug, Default)]
pub struct Schedules {
    /// The page.
    pub held: Held<SchedulesPage>,
    /// The task under the cursor.
    pub cursor: Option<String>,
    /// Whether its details stand in place of the list, where there is no room for both.
    pub open: bool,
}

impl Schedules {
    /// Takes a page: what is overdue stands first, then what failed, else in the order of the server.
    pub fn take(&mut self, mut result: Result<Box<SchedulesPage>, String>) {
        if let Ok(page) = &mut result {
            for schedule in &mut page.schedules {
                schedule.next.truncate(ScheduleView::NEXT_MAX);
                schedule.runs.truncate(ScheduleView::RUNS_MAX);
            }
            page.schedules.sort_by_key(|s| (s.overdue.is_none(), !last_ended(s).is_some_and(is_bad)));
        }
        self.held.answer(result);
    }

    /// All of them.
    #[must_use]
    pub fn list(&self) -> &[ScheduleView] {
        self.held.page.as_ref().map_or(&[], |p| &p.schedules)
    }

    /// Index of the one under the cursor; the first one where that is gone.
    #[must_use]
    pub fn index(&self) -> usize {
        self.cursor.as_ref().and_then(|name| self.list().iter().position(|s| s.task == *name)).unwrap_or(0)
    }

    /// The one under the cursor.
    #[must_use]
    pub fn selected(&self) -> Option<&ScheduleView> {
        self.list().get(self.index())
    }

    /// Puts the cursor on one; on the last one, where there are not so many.
    pub fn select(&mut self, index: usize) {
        self.cursor = self.list().get(index).or(self.list().last()).map(|s| s.task.clone());
    }

    /// Those that are overdue.
    pub fn overdue(&self) -> impl Iterator<Item = (&ScheduleView, &str)> {
        self.list().iter().filter_map(|s| Some((s, s.overdue.as_deref()?)))
    }

    /// The one that runs next, and when.
    #[must_use]
    pub fn soonest(&self) -> Option<(&ScheduleView, &str)> {
        let next = |s: &ScheduleView| s.next.first().and_then(|at| crate::clock::parse_rfc3339(at));
        let all = self.list().iter().filter(|s| !s.paused);
        let (_, schedule) = all.filter_map(|s| Some((next(s)?, s))).min_by_key(|(at, _)| *at)?;
        Some((schedule, schedule.next.first()?))
    }
}

/// The newest run that is over.
#[must_use]
pub fn last_ended(schedule: &ScheduleView) -> Option<&PastRun> {
    schedule.runs.iter().find(|r| !is_under_way(r))
}

/// Whether a run is planned or at work.
#[must_use]
pub fn is_under_way(run: &PastRun) -> bool {
    matches!(run.state.as_str(), "planned" | "expanding" | "open")
}

/// Whether a run did not do what it should have done.
#[must_use]
pub fn is_bad(run: &PastRun) -> bool {
    matches!(run.state.as_str(), "failed" | "partial" | "missed")
}

/// The alerts.
#[derive(Debug, Default)]
pub struct Alerts {
    /// The page.
    pub held: Held<AlertsView>,
    /// What the cursor is on.
    pub cursor: Option<Key>,
}

/// What tells a thing on the pane of alerts from the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// Task, code and text of a cause.
    Cause(String, String, String),
    /// Name of a channel.
    Channel(String),
    /// Number of a message.
    Message(i64),
}

/// A thing on the pane of alerts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Item<'a> {
    /// Something that is wrong.
    Cause(&'a OpenCause),
    /// Where messages go.
    Channel(&'a ChannelView),
    /// A message.
    Message(&'a OutboxView),
}

impl Item<'_> {
    /// What tells it from the others.
    #[must_use]
    pub fn key(&self) -> Key {
        match self {
            Self::Cause(c) => Key::Cause(c.task.clone(), c.code.clone(), c.text.clone()),
            Self::Channel(c) => Key::Channel(c.name.clone()),
            Self::Message(m) => Key::Message(m.id),
        }
    }
}

impl Alerts {
    /// Takes a page.
    pub fn take(&mut self, mut result: Result<Box<AlertsView>, String>) {
        if let Ok(page) = &mut result {
            page.open.truncate(AlertsView::CAUSES_MAX);
            page.messages.truncate(AlertsView::MESSAGES_MAX);
        }
        self.held.answer(result);
    }

    /// Everything that the cursor can be on, from above.
    pub fn items(&self) -> impl Iterator<Item = Item<'_>> {
        let page = self.held.page.as_deref();
        let open = page.into_iter().flat_map(|p| p.open.iter().map(Item::Cause));
        let channels = page.into_iter().flat_map(|p| p.channels.iter().map(Item::Channel));
        let messages = page.into_iter().flat_map(|p| p.messages.iter().map(Item::Message));
        open.chain(channels).chain(messages)
    }

    /// Whether there is anything to see.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items().next().is_none()
    }

    /// Index of what the cursor is on; the first one where that is gone.
    #[must_use]
    pub fn index(&self) -> usize {
        self.cursor.as_ref().and_then(|key| self.items().position(|i| i.key() == *key)).unwrap_or(0)
    }

    /// What the cursor is on.
    #[must_use]
    pub fn selected(&self) -> Option<Item<'_>> {
        self.items().nth(self.index())
    }

    /// The cause that the cursor is on.
    #[must_use]
    pub fn cause(&self) -> Option<&OpenCause> {
        match self.selected() {
            Some(Item::Cause(cause)) => Some(cause),
            _ => None,
        }
    }

    /// The channel that the cursor is on.
    #[must_use]
    pub fn channel(&self) -> Option<&ChannelView> {
        match self.selected() {
            Some(Item::Channel(channel)) => Some(channel),
            _ => None,
        }
    }

    /// Puts the cursor on something; on the last one, where there are not so many.
    pub fn select(&mut self, index: usize) {
        let key = self.items().nth(index).or_else(|| self.items().last()).map(|i| i.key());
        self.cursor = key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_asked_for_once_and_then_as_often_as_it_matters() {
        let mut held = Held::<AlertsView>::default();
        let at = |s: i64| Millis(s * 1000);
        assert!(held.want((1, 1), true, at(100)));
        assert!(!held.want((2, 1), true, at(200)), "an answer is awaited");
        held.answer(Ok(Box::default()));
        assert!(!held.want((1, 1), true, at(104)), "nothing changed");
        assert!(held.want((2, 1), true, at(104)), "something did");
        held.answer(Err("gone".into()));
        assert!(held.page.is_some() && held.error.is_some(), "the last data stays");
        assert!(!held.want((3, 1), false, at(110)), "nobody sees it");
        assert!(held.want((2, 1), false, at(119)));
        held.renew();
        assert!(held.want((2, 1), false, at(119)));
    }

    #[test]
    fn what_is_late_stands_first_and_then_what_failed() {
        let run = |state: &str| PastRun { state: state.into(), ..PastRun::default() };
        let of = |task: &str, overdue: bool, states: &[&str]| ScheduleView {
            task: task.into(),
            overdue: overdue.then(|| "late".into()),
            runs: states.iter().map(|s| run(s)).collect(),
            ..ScheduleView::default()
        };
        let all = vec![
            of("well", false, &["succeeded", "failed"]),
            of("new", false, &[]),
            of("again", false, &["open", "failed"]),
            of("late", true, &["succeeded"]),
            of("missed", false, &["missed"]),
        ];
        let mut schedules = Schedules { cursor: Some("well".into()), ..Schedules::default() };
        schedules.take(Ok(Box::new(SchedulesPage { schedules: all })));
        let order: Vec<_> = schedules.list().iter().map(|s| s.task.as_str()).collect();
        assert_eq!(order, ["late", "again", "missed", "well", "new"]);
        assert_eq!(schedules.selected().map(|s| s.task.as_str()), Some("well"), "the cursor follows");
        schedules.select(99);
        assert_eq!(schedules.index(), 4);
    }
}

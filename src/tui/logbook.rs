//! The log lines at hand, what part of the log they are, and whether the view follows their end.

use super::msg::LogScope;
use crate::model::action::Level;
use crate::model::view::{LogLine, LogsPage};
use std::collections::VecDeque;
use tui_logger::{TuiWidgetEvent, TuiWidgetState};

/// Lines kept; the oldest go first, and can be read again by a search.
pub const LINES_MAX: usize = 5_000;

/// Which log is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tab {
    /// Jobs and supervisor together.
    Jobs,
    /// The supervisor's own log, with its targets.
    Supervisor,
}

/// The logs pane's state.
pub struct Logbook {
    /// Which log is shown.
    pub tab: Tab,
    /// What is followed.
    pub scope: LogScope,
    /// Lines that were lost because they came too fast, since the scope was set.
    pub lost: u64,
    /// The last line of the supervisor's own that was handed to its widget, which keeps what it has.
    pub fed: Option<u64>,
    /// State of the widget with the supervisor's own log; it moves its own marks when it is drawn.
    pub widget: TuiWidgetState,
    lines: VecDeque<LogLine>,
    epoch: u64,
    /// Sequence number of the last line shown; none: the end is followed.
    anchor: Option<u64>,
}

impl Default for Logbook {
    fn default() -> Self {
        Self {
            tab: Tab::Jobs,
            scope: LogScope { level: Some(Level::Info), ..LogScope::default() },
            lost: 0,
            fed: None,
            widget: TuiWidgetState::new().set_default_display_level(tui_logger::LevelFilter::Debug),
            lines: VecDeque::new(),
            epoch: 0,
            anchor: None,
        }
    }
}

impl Logbook {
    /// The lines, oldest first.
    #[must_use]
    pub const fn lines(&self) -> &VecDeque<LogLine> {
        &self.lines
    }

    /// Another part of the log is wanted: the number of the request for it.
    pub fn renew(&mut self, scope: LogScope) -> u64 {
        self.scope = scope;
        self.again()
    }

    /// The same part is wanted again, from its tail.
    pub fn again(&mut self) -> u64 {
        self.lines.clear();
        self.lost = 0;
        self.anchor = None;
        self.epoch += 1;
        self.epoch
    }

    /// Takes lines, if they belong to what is wanted. Answers those of the supervisor's own that its widget has not
    /// got yet: a new scope reads a part of the log again.
    pub fn absorb(&mut self, epoch: u64, page: LogsPage) -> Vec<LogLine> {
        if epoch != self.epoch {
            return Vec::new();
        }
        // A log that was begun anew counts from its beginning.
        let fed = self.fed.filter(|seq| *seq < page.next);
        let own = |l: &&LogLine| l.job.is_none() && fed.is_none_or(|seq| l.seq > seq);
        let own: Vec<LogLine> = page.lines.iter().filter(own).cloned().collect();
        self.fed = own.last().map(|l| l.seq).or(fed);
        self.lost = self.lost.saturating_add(page.gap);
        let last = self.lines.back().map_or(0, |l| l.seq);
        let known = !self.lines.is_empty();
        self.lines.extend(page.lines.into_iter().filter(|l| !known || l.seq > last));
        while self.lines.len() > LINES_MAX {
            self.lines.pop_front();
        }
        own
    }

    /// Whether the end is followed.
    #[must_use]
    pub const fn follows(&self) -> bool {
        self.anchor.is_none()
    }

    /// Lines that came since the view stopped following.
    #[must_use]
    pub fn unseen(&self) -> usize {
        self.anchor.map_or(0, |seq| self.lines.len() - self.end_of(seq))
    }

    /// One past the last line shown.
    #[must_use]
    pub fn end(&self) -> usize {
        self.anchor.map_or(self.lines.len(), |seq| self.end_of(seq))
    }

    fn end_of(&self, seq: u64) -> usize {
        self.lines.partition_point(|l| l.seq <= seq)
    }

    /// Moves the view by lines; `room` is how many are shown. At the end it follows again only on request.
    pub fn step(&mut self, by: isize, room: usize) {
        if self.tab == Tab::Supervisor {
            let event = if by < 0 { TuiWidgetEvent::PrevPageKey } else { TuiWidgetEvent::NextPageKey };
            self.widget.transition(event);
            return;
        }
        let least = room.min(self.lines.len());
        let end = self.end().saturating_add_signed(by).clamp(least, self.lines.len());
        if (by < 0 || self.anchor.is_some())
            && let Some(line) = end.checked_sub(1).and_then(|i| self.lines.get(i))
        {
            self.anchor = Some(line.seq);
        }
    }

    /// To the first line held.
    pub fn first(&mut self, room: usize) {
        self.step(isize::MIN / 2, room);
    }

    /// To the end, and follow it.
    pub fn follow(&mut self) {
        self.anchor = None;
        self.widget.transition(TuiWidgetEvent::EscapeKey);
    }

    /// Sets the least grave level that the supervisor's own log shows.
    pub fn show_level(&mut self, level: Option<Level>) {
        let level = match level {
            None | Some(Level::Debug) => tui_logger::LevelFilter::Debug,
            Some(Level::Info) => tui_logger::LevelFilter::Info,
            Some(Level::Warn) => tui_logger::LevelFilter::Warn,
            Some(Level::Error) => tui_logger::LevelFilter::Error,
        };
        self.widget = std::mem::take(&mut self.widget).set_default_display_level(level);
    }

    /// The level after this one: everything, info, warnings, errors.
    #[must_use]
    pub const fn next_level(&self) -> Option<Level> {
        match self.scope.level {
            None => Some(Level::Info),
            Some(Level::Info) => Some(Level::Warn),
            Some(Level::Warn) => Some(Level::Error),
            Some(Level::Error | Level::Debug) => None,
        }
    }
}

/// Hands lines of the supervisor's own log to the widget that shows them. Their level and target are kept; their time
/// is written in front, since the widget would take the time of arrival.
pub fn feed(lines: &[LogLine]) {
    let drain = tui_logger::Drain::new();
    for line in lines {
        let target = line.target.as_deref().or(line.task.as_deref()).unwrap_or("supervisor");
        let level = match line.level {
            Level::Error => log::Level::Error,
            Level::Warn => log::Level::Warn,
            Level::Info => log::Level::Info,
            Level::Debug => log::Level::Debug,
        };
        let at = crate::clock::parse_rfc3339(&line.at).map_or_else(String::new, super::widgets::time::of_day);
        drain.log(
            &log::Record::builder().level(level).target(target).args(format_args!("{at} {}", line.message)).build(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fixture::line;
    use super::*;

    fn page(from: u64, to: u64) -> LogsPage {
        LogsPage { lines: (from..to).map(|n| line(n, Level::Info, "x")).collect(), next: to, gap: 0 }
    }

    #[test]
    fn scrolling_up_stops_following_and_counts_what_is_new() {
        let mut book = Logbook::default();
        let epoch = book.again();
        assert_eq!(book.absorb(epoch, page(1, 101)).len(), 100);
        assert!(book.follows());
        book.step(-10, 20);
        assert_eq!((book.follows(), book.end()), (false, 90));
        book.absorb(epoch, page(101, 151));
        assert_eq!((book.end(), book.unseen()), (90, 60));
        book.step(1_000, 20);
        assert_eq!((book.follows(), book.unseen()), (false, 0));
        book.first(20);
        assert_eq!(book.end(), 20);
        book.follow();
        assert_eq!((book.follows(), book.end()), (true, 150));
    }

    #[test]
    fn it_is_bounded_and_takes_no_stranger() {
        let mut book = Logbook::default();
        let epoch = book.again();
        book.absorb(epoch, page(0, 2 * LINES_MAX as u64));
        assert_eq!(book.lines().len(), LINES_MAX);
        assert_eq!(book.lines()[0].seq, LINES_MAX as u64);
        assert!(book.absorb(epoch - 1, page(0, 5)).is_empty());
        book.absorb(epoch, page(0, 5));
        assert_eq!(book.lines().len(), LINES_MAX, "lines that were seen are not taken twice");
    }

    #[test]
    fn the_widget_gets_each_line_once() {
        let mut book = Logbook::default();
        let epoch = book.again();
        let mut first = page(1, 6);
        first.lines[2].job = Some(crate::model::JobId(9));
        let seqs = |lines: Vec<LogLine>| lines.iter().map(|l| l.seq).collect::<Vec<_>>();
        assert_eq!(seqs(book.absorb(epoch, first)), [1, 2, 4, 5], "what jobs say is not the supervisor's own");
        let epoch = book.again();
        assert_eq!(seqs(book.absorb(epoch, page(1, 8))), [6, 7]);
        let epoch = book.again();
        assert_eq!(seqs(book.absorb(epoch, page(1, 3))), [1, 2], "another log");
    }

    #[test]
    fn an_empty_log_can_be_scrolled() {
        let mut book = Logbook::default();
        book.step(-5, 10);
        book.first(10);
        book.step(5, 10);
        assert!(book.follows());
    }
}

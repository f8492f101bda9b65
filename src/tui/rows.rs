//! A window on the job list: a few pages of rows around the cursor, never the whole queue.
//!
//! The cursor is an id, so that it follows its job when rows move. A reply that comes late, for a filter or a page
//! that is no longer wanted, changes nothing. The list can only be read forwards (keyset paging), so the starts of
//! the pages that lie behind are remembered: one short text for each [`PAGE`] rows scrolled past.

use crate::model::JobId;
use crate::model::view::{JobView, JobsPage};
use std::collections::VecDeque;

/// Rows asked for at a time: enough for the tallest screen.
pub const PAGE: u32 = 100;
/// Pages held at once; the one farthest from the cursor is dropped when another comes.
const PAGES_HELD: usize = 3;
/// Starts of pages remembered. Scrolling does not go deeper than that many pages: a filter does.
const STARTS_MAX: usize = 10_000;
/// Pages fetched one after another on the way to the end of the list; then the way ends where it is.
const CHASE_MAX: u32 = 100;
/// Rows between the cursor and the edge of what is held at which the next page is fetched.
const MARGIN: usize = 40;

/// A page to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// The filter that it belongs to: rises with each new one.
    pub epoch: u64,
    /// Its number in the list, from 0.
    pub page: usize,
    /// Where it starts.
    pub after: Option<String>,
}

#[derive(Debug, Default)]
struct Page {
    rows: Vec<JobView>,
    next: Option<String>,
    stale: bool,
    /// When it was read, counted in answers.
    read: u64,
}

/// The rows at hand, and the cursor.
#[derive(Debug)]
pub struct Rows {
    epoch: u64,
    /// Number of the first page held.
    first: usize,
    pages: VecDeque<Page>,
    starts: Vec<Option<String>>,
    in_flight: Option<usize>,
    /// A new filter was set: the pages held are of the old one, and only shown until its first page is here.
    renewed: bool,
    cursor: Option<JobId>,
    index: usize,
    chase: u32,
    answers: u64,
    /// First row on the screen, counted in the rows held.
    pub top: usize,
    /// Rows that match the filter.
    pub matching: u64,
    /// Whether there are more than could be counted.
    pub more: bool,
    /// Revision of the newest page.
    pub rev: i64,
    /// Whether a first page has come.
    pub loaded: bool,
}

impl Default for Rows {
    fn default() -> Self {
        Self {
            epoch: 0,
            first: 0,
            pages: VecDeque::new(),
            starts: vec![None],
            in_flight: None,
            renewed: true,
            cursor: None,
            index: 0,
            chase: 0,
            answers: 0,
            top: 0,
            matching: 0,
            more: false,
            rev: 0,
            loaded: false,
        }
    }
}

impl Rows {
    /// The rows held, in order.
    pub fn iter(&self) -> impl Iterator<Item = &JobView> {
        self.pages.iter().flat_map(|p| &p.rows)
    }

    /// How many rows are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pages.iter().map(|p| p.rows.len()).sum()
    }

    /// Whether no row is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The row with this index among those held.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&JobView> {
        self.iter().nth(index)
    }

    /// The job under the cursor.
    #[must_use]
    pub fn selected(&self) -> Option<&JobView> {
        self.cursor.and_then(|_| self.get(self.index))
    }

    /// Index of the cursor among the rows held.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Index of a job among the rows held.
    #[must_use]
    pub fn position(&self, id: JobId) -> Option<usize> {
        self.iter().position(|j| j.id == id)
    }

    /// Whether every row that matches is held.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.first == 0 && self.pages.back().is_none_or(|p| p.next.is_none())
    }

    /// Place of the cursor in the whole list, from 1; 0 when there is none.
    #[must_use]
    pub fn place(&self) -> u64 {
        if self.is_empty() { 0 } else { (self.first * PAGE as usize + self.index + 1) as u64 }
    }

    /// Another filter: what is held is shown until its first page is here.
    pub fn renew(&mut self) {
        self.epoch += 1;
        self.in_flight = None;
        self.renewed = true;
        self.starts = vec![None];
        self.chase = 0;
    }

    /// Jobs have changed: every page held is to be asked for again.
    pub fn touch(&mut self) {
        for page in &mut self.pages {
            page.stale = true;
        }
    }

    /// What is held is not to be trusted (a connection was lost): like [`Rows::touch`], and no answer is awaited.
    pub fn forget_requests(&mut self) {
        self.in_flight = None;
        self.touch();
    }

    /// The page to ask for now, if any. `refresh` says whether stale pages may be asked for again already.
    pub fn want(&mut self, refresh: bool) -> Option<PageRequest> {
        if self.in_flight.is_some() {
            return None;
        }
        let page = self.wanted(refresh)?;
        let after = self.starts.get(page)?.clone();
        self.in_flight = Some(page);
        Some(PageRequest { epoch: self.epoch, page, after })
    }

    fn wanted(&self, refresh: bool) -> Option<usize> {
        if self.renewed {
            return Some(0);
        }
        let len = self.len();
        let last = self.pages.back()?;
        let beyond = self.first + self.pages.len();
        if self.index + MARGIN >= len && last.next.is_some() && beyond < STARTS_MAX {
            return Some(beyond);
        }
        if self.index < MARGIN && self.first > 0 {
            return Some(self.first - 1);
        }
        if !refresh {
            return None;
        }
        // The one read longest ago, so that under steady change each gets its turn.
        let stale = self.pages.iter().enumerate().filter(|(_, p)| p.stale);
        stale.min_by_key(|(_, p)| p.read).map(|(i, _)| self.first + i)
    }

    /// Takes an answer. `room` is how many rows the pane shows at least. Answers whether anything was taken.
    pub fn absorb(&mut self, request: &PageRequest, page: JobsPage, room: usize) -> bool {
        if request.epoch != self.epoch || self.in_flight != Some(request.page) {
            return false;
        }
        self.in_flight = None;
        let screen_row = self.index.saturating_sub(self.top);
        let was_at_top = self.first == 0 && self.top == 0;
        (self.matching, self.more, self.rev, self.loaded) = (page.matching, page.more, page.rev, true);
        let next = page.next.clone();
        self.answers += 1;
        self.put(request.page, Page { rows: page.jobs, next, stale: false, read: self.answers });
        if self.starts.len() == request.page + 1 {
            self.starts.extend(page.next.map(Some));
        } else if let (Some(start), Some(next)) = (self.starts.get_mut(request.page + 1), page.next) {
            *start = Some(next);
        }
        self.find_cursor();
        if self.chase > 0 {
            self.chase -= 1;
            self.go_to(self.len().saturating_sub(1));
        }
        self.top =
            if was_at_top && self.first == 0 && self.index < room { 0 } else { self.index.saturating_sub(screen_row) };
        true
    }

    /// An answer did not come.
    pub fn give_up(&mut self, request: &PageRequest) {
        if request.epoch == self.epoch {
            self.in_flight = None;
            self.chase = 0;
        }
    }

    fn put(&mut self, number: usize, page: Page) {
        if self.renewed {
            self.renewed = false;
            (self.first, self.pages, self.top) = (0, VecDeque::from([page]), 0);
            return;
        }
        let ids: std::collections::HashSet<JobId> = page.rows.iter().map(|j| j.id).collect();
        for other in &mut self.pages {
            // A job that moved to the new page meanwhile is not shown twice.
            other.rows.retain(|j| !ids.contains(&j.id));
        }
        let end = self.first + self.pages.len();
        if number >= self.first && number < end {
            let i = number - self.first;
            let moved = self.pages[i].next != page.next;
            let is_last = page.next.is_none();
            self.pages[i] = page;
            if is_last {
                self.pages.truncate(i + 1);
            } else if let (true, Some(following)) = (moved, self.pages.get_mut(i + 1)) {
                following.stale = true;
            }
        } else if number == end {
            self.pages.push_back(page);
            if self.pages.len() > PAGES_HELD
                && let Some(gone) = self.pages.pop_front()
            {
                self.first += 1;
                self.index = self.index.saturating_sub(gone.rows.len());
                self.top = self.top.saturating_sub(gone.rows.len());
            }
        } else if number + 1 == self.first {
            self.index += page.rows.len();
            self.top += page.rows.len();
            self.pages.push_front(page);
            self.first = number;
            self.pages.truncate(PAGES_HELD);
        }
    }

    /// The cursor stays on its job; if that is no longer among the rows, on its place.
    fn find_cursor(&mut self) {
        match self.cursor.and_then(|id| self.position(id)) {
            Some(index) => self.index = index,
            None => self.go_to(self.index.min(self.len().saturating_sub(1))),
        }
    }

    fn go_to(&mut self, index: usize) {
        self.index = index;
        self.cursor = self.get(index).map(|j| j.id);
    }

    /// Moves the cursor by rows; not past what is held.
    pub fn step(&mut self, by: isize) {
        self.chase = 0;
        let last = self.len().saturating_sub(1);
        self.go_to(self.index.saturating_add_signed(by).min(last));
    }

    /// Puts the cursor on a row among those held.
    pub fn select(&mut self, index: usize) {
        if index < self.len() {
            self.chase = 0;
            self.go_to(index);
        }
    }

    /// Puts the cursor on a job, as soon as it is among the rows.
    pub fn aim(&mut self, id: JobId) {
        self.chase = 0;
        match self.position(id) {
            Some(index) => self.go_to(index),
            None => (self.cursor, self.index) = (Some(id), 0),
        }
    }

    /// To the first row of the list.
    pub fn first(&mut self) {
        self.chase = 0;
        if self.first == 0 {
            self.go_to(0);
            self.top = 0;
        } else {
            self.epoch += 1;
            self.in_flight = None;
            self.renewed = true;
            self.cursor = None;
            self.index = 0;
        }
    }

    /// To the last row of the list, page by page.
    pub fn last(&mut self) {
        self.go_to(self.len().saturating_sub(1));
        self.chase = if self.pages.back().is_some_and(|p| p.next.is_some()) { CHASE_MAX } else { 0 };
    }

    /// Moves the first row on the screen so that the cursor is seen. `height` tells the lines of a row, `room` how
    /// many lines there are.
    pub fn keep_in_view(&mut self, room: usize, height: impl Fn(&JobView) -> usize) {
        self.top = self.top.min(self.index);
        let heights: Vec<usize> = self.iter().skip(self.top).take(self.index - self.top + 1).map(height).collect();
        let mut used: usize = heights.iter().sum();
        for h in heights {
            if used <= room || self.top >= self.index {
                break;
            }
            used -= h;
            self.top += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fixture::job;
    use super::*;
    use crate::model::JobState;

    /// A server that holds `n` jobs, newest first.
    fn serve(ids: &[i64], request: &PageRequest) -> JobsPage {
        let from = request.after.as_ref().map_or(0, |a| a.parse().unwrap());
        let to = (from + PAGE as usize).min(ids.len());
        JobsPage {
            jobs: ids[from..to].iter().map(|id| job(*id, JobState::Queued)).collect(),
            next: (to < ids.len()).then(|| to.to_string()),
            matching: ids.len() as u64,
            more: false,
            rev: 1,
        }
    }

    fn settle(rows: &mut Rows, ids: &[i64]) {
        while let Some(request) = rows.want(true) {
            let page = serve(ids, &request);
            assert!(rows.absorb(&request, page, 20));
        }
    }

    #[test]
    fn the_cursor_follows_its_job() {
        let mut rows = Rows::default();
        let mut ids: Vec<i64> = (1..=50).rev().collect();
        settle(&mut rows, &ids);
        rows.step(5);
        assert_eq!(rows.selected().unwrap().id, JobId(45));
        ids.splice(0..0, [53, 52, 51]);
        rows.touch();
        settle(&mut rows, &ids);
        assert_eq!((rows.selected().unwrap().id, rows.index()), (JobId(45), 8));
        ids.retain(|id| *id != 45);
        rows.touch();
        settle(&mut rows, &ids);
        assert_eq!((rows.selected().unwrap().id, rows.index()), (JobId(44), 8), "its place, when it is gone");
    }

    #[test]
    fn only_a_window_of_a_long_list_is_held() {
        let ids: Vec<i64> = (1..=2_000).rev().collect();
        let mut rows = Rows::default();
        settle(&mut rows, &ids);
        for n in 1..2_000 {
            rows.step(1);
            settle(&mut rows, &ids);
            assert!(rows.len() <= PAGES_HELD * PAGE as usize);
            assert_eq!(rows.selected().unwrap().id, JobId(2_000 - n), "step {n}");
            assert_eq!(rows.place(), n as u64 + 1);
        }
        for n in (0..1_999).rev() {
            rows.step(-1);
            settle(&mut rows, &ids);
            assert_eq!(rows.selected().unwrap().id, JobId(2_000 - n), "step back {n}");
        }
    }

    #[test]
    fn the_end_is_reached_page_by_page_and_the_beginning_at_once() {
        let ids: Vec<i64> = (1..=2_000).rev().collect();
        let mut rows = Rows::default();
        settle(&mut rows, &ids);
        rows.last();
        settle(&mut rows, &ids);
        assert_eq!(rows.selected().unwrap().id, JobId(1));
        rows.first();
        settle(&mut rows, &ids);
        assert_eq!(rows.selected().unwrap().id, JobId(2_000));
    }

    #[test]
    fn under_steady_change_every_page_gets_its_turn() {
        let ids: Vec<i64> = (1..=250).rev().collect();
        let mut rows = Rows::default();
        settle(&mut rows, &ids);
        rows.step(90);
        settle(&mut rows, &ids);
        let mut asked = Vec::new();
        for _ in 0..4 {
            rows.touch();
            let request = rows.want(true).unwrap();
            asked.push(request.page);
            rows.absorb(&request, serve(&ids, &request), 20);
        }
        assert_eq!(asked, [0, 1, 0, 1]);
    }

    #[test]
    fn late_answers_change_nothing() {
        let ids: Vec<i64> = (1..=50).rev().collect();
        let mut rows = Rows::default();
        let late = rows.want(true).unwrap();
        rows.renew();
        assert!(!rows.absorb(&late, serve(&ids, &late), 20));
        assert!(rows.is_empty());
        settle(&mut rows, &ids);
        assert!(!rows.absorb(&late, serve(&[1], &late), 20));
        assert_eq!(rows.len(), 50);
    }

    #[test]
    fn the_cursor_stays_on_the_screen() {
        let ids: Vec<i64> = (1..=50).rev().collect();
        let mut rows = Rows::default();
        settle(&mut rows, &ids);
        rows.step(30);
        rows.keep_in_view(10, |_| 2);
        assert_eq!(rows.top, 26, "five rows of two lines");
        rows.step(-30);
        rows.keep_in_view(10, |_| 2);
        assert_eq!(rows.top, 0);
        rows.keep_in_view(0, |_| 2);
    }
}

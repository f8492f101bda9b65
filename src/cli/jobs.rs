//! `jobs` and `file`: lists of jobs.
//!
//! A list of any length is printed page by page, so its cost in memory is one number per job. Each job is printed once:
//! one that changed its place while the pages were read, and was therefore missed, follows at the end.

use super::args::{Jobs, StateArg};
use super::line::{Line, Style};
use super::out::{self, Out};
use super::table::{Align, Table};
use super::{Backend, human, refused};
use crate::control::wire::PAGE_MAX;
use crate::error::{Exit, Fatal};
use crate::model::filter::{Filter, Term, Test};
use crate::model::ports::JobsQuery;
use crate::model::view::JobView;
use crate::model::{JobId, JobState, text};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Most characters of an error shown below its job; `show` has all of it.
const ERROR_MAX: usize = 160;

/// Prints the jobs that match.
pub(super) async fn jobs(args: &Jobs, backend: &Backend, out: &mut Out) -> Result<Exit, Fatal> {
    let filter = filter(args);
    let mut list = List::new(args.limit);
    let mut after = None;
    let mut first_rev = None;
    let mut matching = 0;
    let mut is_one_page = true;
    loop {
        let query = JobsQuery { filter: filter.clone(), after, limit: Some(list.page()), since_rev: None };
        let page = backend.reader.jobs(query).await.map_err(refused)?;
        if first_rev.is_none() {
            first_rev = Some(page.rev);
            matching = page.matching;
            list.start(out);
        }
        list.add(page.jobs, &args.states, out);
        after = page.next;
        if after.is_none() || list.is_full() || out.is_closed() {
            break;
        }
        is_one_page = false;
    }
    // What moved up the list between two pages was seen on neither.
    let since_rev = first_rev.filter(|_| !is_one_page && !list.is_full() && !out.is_closed());
    if since_rev.is_some() {
        let mut after = None;
        loop {
            let query = JobsQuery { filter: filter.clone(), after, limit: Some(PAGE_MAX), since_rev };
            let page = backend.reader.jobs(query).await.map_err(refused)?;
            list.add(page.jobs, &args.states, out);
            after = page.next;
            if after.is_none() || out.is_closed() {
                break;
            }
        }
    }
    list.end(out);
    if list.seen.is_empty() {
        out.remark(Line::of(Style::Dim, "no jobs"));
    } else if list.is_full() && matching > list.seen.len() as u64 {
        let text = format!("{} of {} jobs", human::count(list.seen.len() as u64), human::count(matching));
        out.remark(Line::of(Style::Dim, text));
    }
    Ok(Exit::Ok)
}

/// Prints the history of a file.
pub(super) async fn file(path: &Path, backend: &Backend, out: &mut Out) -> Result<Exit, Fatal> {
    let absolute = std::path::absolute(path).map_err(|e| Fatal::io("find", path, &e))?;
    let mut page = backend.reader.file(absolute.clone()).await.map_err(refused)?;
    if page.jobs.is_empty()
        && let Some(resolved) = resolved(&absolute)
        && resolved != absolute
    {
        page = backend.reader.file(resolved).await.map_err(refused)?;
    }
    let mut list = List::new(None);
    list.start(out);
    if page.jobs.is_empty() && !out.is_json() {
        out.remark(Line::of(Style::Dim, format!("no job ever took or wrote {}", text::path(&absolute))));
    }
    list.add(page.jobs, &[], out);
    list.end(out);
    Ok(Exit::Ok)
}

/// The path with the links in its folder followed. The file itself may be gone.
fn resolved(path: &Path) -> Option<PathBuf> {
    Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?))
}

/// The filter for what was asked. One state is a term; several are "none of the others", because terms are joined by
/// and. That cannot tell `retry` from `waiting`, so [`is_wanted`] looks again.
fn filter(args: &Jobs) -> Filter {
    let mut filter = Filter::default();
    if let [one] = args.states.as_slice() {
        filter = filter.and(match one {
            StateArg::State(state) => Test::State(*state),
            StateArg::Retry => Test::Retry,
        });
    } else if !args.states.is_empty() {
        let wanted = |state| {
            args.states.contains(&StateArg::State(state))
                || state == JobState::Waiting && args.states.contains(&StateArg::Retry)
        };
        let others = JobState::ALL.into_iter().filter(|state| !wanted(*state));
        filter.terms.extend(others.map(|state| Term { negated: true, test: Test::State(state) }));
    }
    narrowed(filter, args.task.as_deref(), args.search.as_deref())
}

/// A filter narrowed to a task and a text.
pub(super) fn narrowed(mut filter: Filter, task: Option<&str>, search: Option<&str>) -> Filter {
    if let Some(task) = task {
        filter = filter.and(Test::Task(task.to_owned()));
    }
    if let Some(search) = search {
        filter = filter.and(Test::Text(search.to_owned()));
    }
    filter
}

fn is_wanted(job: &JobView, states: &[StateArg]) -> bool {
    states.is_empty()
        || states.iter().any(|s| match s {
            StateArg::State(state) => job.state == *state,
            StateArg::Retry => job.is_retry(),
        })
}

/// A list while it is printed.
struct List {
    limit: Option<u32>,
    seen: HashSet<JobId>,
    table: Table<6>,
}

impl List {
    fn new(limit: Option<u32>) -> Self {
        use Align::{Left, Right};
        let heads = [("ID", Right), ("STATE", Left), ("TASK", Left), ("TRY", Right), ("AGE", Right), ("INPUT", Left)];
        Self { limit, seen: HashSet::new(), table: Table::new(heads) }
    }

    /// Rows to ask for.
    fn page(&self) -> u32 {
        PAGE_MAX.min(self.left().try_into().unwrap_or(u32::MAX))
    }

    fn left(&self) -> usize {
        self.limit.map_or(usize::MAX, |limit| (limit as usize).saturating_sub(self.seen.len()))
    }

    fn is_full(&self) -> bool {
        self.left() == 0
    }

    fn start(&self, out: &mut Out) {
        if out.is_json() {
            out.document(b"[");
        }
    }

    fn add(&mut self, jobs: Vec<JobView>, states: &[StateArg], out: &mut Out) {
        for job in jobs {
            if self.is_full() || !is_wanted(&job, states) || !self.seen.insert(job.id) {
                continue;
            }
            if out.is_json() {
                let comma = if self.seen.len() == 1 { "\n" } else { ",\n" };
                out.document(comma.as_bytes());
                out.document(out::json(&job).as_bytes());
            } else {
                self.row(&job, out);
            }
        }
        self.table.print(out);
    }

    fn end(&self, out: &mut Out) {
        if out.is_json() {
            out.document(if self.seen.is_empty() { b"]\n" } else { b"\n]\n" });
        }
    }

    fn row(&mut self, job: &JobView, out: &Out) {
        let style = Style::of(job.state);
        let now = out.now();
        let age = match (&job.not_before, job.state) {
            (Some(at), JobState::Waiting) => due(at, now),
            _ => human::age(job.finished_at.as_ref().or(job.started_at.as_ref()).unwrap_or(&job.created_at), now),
        };
        self.table.row([
            Line::from(job.id.to_string()),
            Line::of(style, state_name(job)),
            Line::from(job.task.as_str()),
            Line::of(Style::Dim, format!("{}/{}", job.spent, job.max_attempts)),
            Line::of(Style::Dim, age),
            Line::from(job.input.as_str()),
        ]);
        if let Some(error) = &job.error {
            self.table.below(Line::of(style, text::cut(&text::escape(&error.message), ERROR_MAX)));
        }
        if job.rejected > 0 {
            self.table.below(Line::of(Style::Warn, format!("{} rejected", human::count(job.rejected))));
        }
        if let Some(why) = job.held.as_ref().or(job.reason.as_ref()) {
            self.table.below(Line::of(Style::Dim, why));
        }
    }
}

/// The state as it is shown: a job that waits after a failed attempt is a `retry`.
pub(super) fn state_name(job: &JobView) -> &'static str {
    if job.is_retry() { "retry" } else { job.state.name() }
}

/// `in 41s`, or `now` when the time has come.
fn due(at: &str, now: crate::model::Millis) -> String {
    match crate::clock::parse_rfc3339(at) {
        Some(at) if at > now => format!("in {}", human::short(at.since(now))),
        Some(_) => "now".to_owned(),
        None => String::new(),
    }
}

//! The document that every form of a report is made of: the JSON form prints it, and templates see it. Its fields are
//! documented in `docs/report.md` and only ever added to. Every text in it is escaped, times are RFC 3339.

use super::folders::FolderSize;
use crate::clock::rfc3339;
use crate::model::statistics::{FailedJob, Statistics, TaskTotals, Totals};
use crate::model::view::Counts;
use crate::model::{Millis, figure, text};
use chrono::{DateTime, SecondsFormat, TimeZone, Utc};
use chrono_tz::Tz;
use serde::Serialize;

/// Longest message of a failure, in characters.
const MESSAGE_MAX: usize = 300;

/// What the statistics do not say of themselves.
#[derive(Clone, Debug)]
pub struct About {
    /// Its title: the name of its task.
    pub title: String,
    /// The host that it is made on.
    pub host: String,
    /// When it is made.
    pub made_at: Millis,
    /// Zone of its times; none: this host's.
    pub zone: Option<Tz>,
}

/// The document.
#[derive(Clone, Debug, Serialize)]
pub struct Sheet {
    /// The name of the task that makes it.
    pub title: String,
    /// What it says in one line: `1,204 processed, 3 failed, 1 missed, 1 overdue`.
    pub headline: String,
    /// The host.
    pub host: String,
    /// When it was made.
    pub made_at: String,
    /// Beginning of the period, included.
    pub from: String,
    /// End of the period, not included.
    pub to: String,
    /// Its length in milliseconds.
    pub period_ms: u64,
    /// What all jobs came to.
    pub totals: Sums,
    /// The same in the period before, as long as this one.
    pub before: Sums,
    /// By task, those with most jobs first.
    pub tasks: Vec<TaskTotals>,
    /// By type of input, the most frequent first.
    pub types: Vec<TypeSums>,
    /// How many jobs took how many attempts.
    pub attempts: Vec<Attempts>,
    /// The slowest jobs.
    pub slowest: Vec<Slow>,
    /// The newest failures.
    pub failures: Vec<Failed>,
    /// Why jobs failed, the most frequent first.
    pub causes: Vec<Cause>,
    /// Runs that were missed or skipped.
    pub not_run: Vec<Missing>,
    /// Jobs by state at the time of the report.
    pub now: Counts,
    /// Sizes of folders.
    pub folders: Vec<FolderSize>,
    /// What comes next.
    pub next: Vec<Next>,
    /// What should have come.
    pub overdue: Vec<Late>,
}

/// What jobs came to, with what follows from the length of the period.
#[derive(Clone, Debug, Serialize)]
pub struct Sums {
    /// Jobs in all.
    pub jobs: u64,
    /// By state, rows, bytes, durations.
    #[serde(flatten)]
    pub totals: Totals,
    /// Jobs that succeeded or failed, each hour.
    pub jobs_per_hour: u64,
    /// Bytes of their inputs, each second.
    pub bytes_per_second: u64,
}

/// What the jobs of one type of input came to.
#[derive(Clone, Debug, Serialize)]
pub struct TypeSums {
    /// The extension, or what else it is.
    pub name: String,
    /// Jobs that succeeded.
    pub processed: u64,
    /// Jobs that failed.
    pub failed: u64,
    /// Records read.
    pub rows: u64,
    /// Bytes of their inputs.
    pub bytes_in: u64,
    /// Bytes of their outputs.
    pub bytes_out: u64,
}

/// Jobs that took so many attempts.
#[derive(Clone, Debug, Serialize)]
pub struct Attempts {
    /// How many.
    pub attempts: u64,
    /// Whether these took so many or more.
    pub or_more: bool,
    /// The jobs.
    pub jobs: u64,
}

/// A slow job.
#[derive(Clone, Debug, Serialize)]
pub struct Slow {
    /// Its number.
    pub job: i64,
    /// Its task.
    pub task: String,
    /// Its input.
    pub input: String,
    /// What became of it.
    pub state: &'static str,
    /// How long its last attempt took, in milliseconds.
    pub duration_ms: u64,
}

/// A failed job.
#[derive(Clone, Debug, Serialize)]
pub struct Failed {
    /// Its number.
    pub job: i64,
    /// Its task.
    pub task: String,
    /// Its input.
    pub input: String,
    /// When it failed.
    pub at: String,
    /// Attempts that it took.
    pub attempts: i64,
    /// Class of the failure.
    pub class: Option<&'static str>,
    /// Its code.
    pub code: String,
    /// What happened, cut.
    pub message: String,
    /// The file at fault.
    pub file: Option<String>,
    /// The line in it, 1-based.
    pub line: Option<u64>,
    /// The column, 1-based.
    pub column: Option<u64>,
    /// The name of that column.
    pub column_name: Option<String>,
    /// `file:line:column`, as far as these are known; empty if none is.
    pub place: String,
}

/// Jobs that failed for one cause.
#[derive(Clone, Debug, Serialize)]
pub struct Cause {
    /// Their task.
    pub task: String,
    /// Class of the failure.
    pub class: String,
    /// Its code.
    pub code: String,
    /// The constant part of its message, cut.
    pub text: String,
    /// How many.
    pub jobs: u64,
}

/// Runs that did not happen.
#[derive(Clone, Debug, Serialize)]
pub struct Missing {
    /// The task.
    pub task: String,
    /// `missed` or `skipped`.
    pub state: &'static str,
    /// Why.
    pub reason: String,
    /// How many.
    pub runs: u64,
    /// When the newest was planned for.
    pub last: String,
}

/// A run that is to come.
#[derive(Clone, Debug, Serialize)]
pub struct Next {
    /// The task.
    pub task: String,
    /// When.
    pub at: String,
    /// Its schedule in words.
    pub plain: String,
}

/// A run that should have come.
#[derive(Clone, Debug, Serialize)]
pub struct Late {
    /// The task.
    pub task: String,
    /// Since when.
    pub since: String,
    /// What did not happen.
    pub reason: String,
}

/// Text from outside, escaped.
fn safe(raw: &str) -> String {
    text::escape(raw).into_owned()
}

/// The same, cut.
fn short(raw: &str) -> String {
    text::cut(&text::escape(raw), MESSAGE_MAX).into_owned()
}

fn time(at: Millis, zone: Option<Tz>) -> String {
    let Some(zone) = zone else { return rfc3339(at) };
    let at = Utc.timestamp_millis_opt(at.0).single().unwrap_or(DateTime::<Utc>::UNIX_EPOCH);
    at.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::Millis, false)
}

impl Sheet {
    /// The document of a period, beside the one before.
    #[must_use]
    pub fn new(about: &About, of: &Statistics, before: &Statistics, folders: Vec<FolderSize>) -> Self {
        let at = |at: Millis| time(at, about.zone);
        let last = u64::try_from(of.attempts.len()).unwrap_or(u64::MAX);
        let mut sheet = Self {
            title: safe(&about.title),
            headline: String::new(),
            host: safe(&about.host),
            made_at: at(about.made_at),
            from: at(of.from),
            to: at(of.to),
            period_ms: of.period_ms(),
            totals: sums(of),
            before: sums(before),
            tasks: of.tasks.iter().map(|t| TaskTotals { task: safe(&t.task), totals: t.totals }).collect(),
            types: of
                .types
                .iter()
                .map(|t| TypeSums {
                    name: safe(&t.name),
                    processed: t.totals.processed,
                    failed: t.totals.failed,
                    rows: t.totals.rows,
                    bytes_in: t.totals.bytes_in,
                    bytes_out: t.totals.bytes_out,
                })
                .collect(),
            attempts: (1..)
                .zip(of.attempts)
                .map(|(attempts, jobs)| Attempts { attempts, or_more: attempts == last, jobs })
                .collect(),
            slowest: of
                .slowest
                .iter()
                .map(|s| Slow {
                    job: s.job.0,
                    task: safe(&s.task),
                    input: safe(&s.input),
                    state: s.state.name(),
                    duration_ms: s.duration_ms,
                })
                .collect(),
            failures: of.failures.iter().map(|f| failed(f, at(f.at))).collect(),
            causes: of
                .causes
                .iter()
                .map(|c| Cause {
                    task: safe(&c.task),
                    class: safe(&c.class),
                    code: safe(&c.code),
                    text: short(&c.text),
                    jobs: c.jobs,
                })
                .collect(),
            not_run: of
                .not_run
                .iter()
                .map(|n| Missing {
                    task: safe(&n.task),
                    state: n.state.name(),
                    reason: short(&n.reason),
                    runs: n.runs,
                    last: at(n.last),
                })
                .collect(),
            now: of.now,
            folders,
            next: of.next.iter().map(|n| Next { task: safe(&n.task), at: at(n.at), plain: safe(&n.plain) }).collect(),
            overdue: of
                .overdue
                .iter()
                .map(|o| Late { task: safe(&o.task), since: at(o.since), reason: short(&o.reason) })
                .collect(),
        };
        sheet.headline = sheet.in_one_line();
        sheet
    }

    fn in_one_line(&self) -> String {
        let Totals { processed, failed, skipped, cancelled, .. } = self.totals.totals;
        let not_run = |state: &str| self.not_run.iter().filter(|n| n.state == state).map(|n| n.runs).sum::<u64>();
        let mut parts =
            vec![format!("{} processed", text::count(processed)), format!("{} failed", text::count(failed))];
        let more = [
            (skipped, "set aside"),
            (cancelled, "cancelled"),
            (not_run("missed"), "missed"),
            (not_run("skipped"), "skipped"),
            (self.overdue.len() as u64, "overdue"),
        ];
        parts.extend(more.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{} {what}", text::count(n))));
        parts.join(", ")
    }

    /// The table of a message.
    #[must_use]
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let Totals { processed, failed, rows, bytes_in, durations, .. } = self.totals.totals;
        let mut facts = vec![
            ("Period", format!("{} to {}", minute(&self.from), minute(&self.to))),
            ("Processed", text::count(processed)),
            ("Failed", text::count(failed)),
        ];
        if rows > 0 {
            facts.push(("Rows", text::count(rows)));
        }
        facts.push(("Bytes in", figure::size(bytes_in)));
        facts.extend(durations.p95_ms.map(|ms| ("95 % within", figure::millis(ms))));
        facts.extend(
            self.causes.first().map(|c| ("Most frequent cause", format!("{} ({})", c.text, text::count(c.jobs)))),
        );
        facts
    }

    /// What to type to see more.
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        if self.failures.is_empty() { Vec::new() } else { vec!["shiftboss jobs --state failed".to_owned()] }
    }
}

/// `2026-11-20 14:00`: an RFC 3339 time to the minute, without its offset.
pub(super) fn minute(at: &str) -> String {
    at.chars().take(16).map(|c| if c == 'T' { ' ' } else { c }).collect()
}

fn sums(of: &Statistics) -> Sums {
    let done = of.totals.processed + of.totals.failed;
    let each = |n: u64, ms: u128| {
        let period = u128::from(of.period_ms().max(1));
        u64::try_from(u128::from(n) * ms / period).unwrap_or(u64::MAX)
    };
    Sums {
        jobs: of.totals.jobs(),
        totals: of.totals,
        jobs_per_hour: each(done, 3_600_000),
        bytes_per_second: each(of.totals.bytes_in, 1000),
    }
}

fn failed(f: &FailedJob, at: String) -> Failed {
    let number = |n: Option<u64>| n.map(|n| n.to_string());
    let place = [f.file.as_deref().map(safe), number(f.line), number(f.line.and(f.column))];
    Failed {
        job: f.job.0,
        task: safe(&f.task),
        input: safe(&f.input),
        at,
        attempts: f.attempts,
        class: f.class.map(crate::model::FailureClass::name),
        code: safe(&f.code),
        message: short(&f.message),
        file: f.file.as_deref().map(safe),
        line: f.line,
        column: f.column,
        column_name: f.column_name.as_deref().map(safe),
        place: place.into_iter().flatten().collect::<Vec<_>>().join(":"),
    }
}

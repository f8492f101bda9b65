//! What can be typed. Types only: what a command does stands in its own file.

mod fetch;
mod report;
mod restore;
mod transform;

pub use fetch::Fetch;
pub use report::Report;
pub use restore::{Restore, There};
pub use transform::Transform;

use crate::error::Exit;
use crate::model::action::Level;
use crate::model::{JobId, JobState};
use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  shiftboss demo                         see it at work in a temporary folder
  shiftboss init && shiftboss            write a configuration, then open the dashboard
  shiftboss run                          supervise in the foreground, for systemd and containers
  shiftboss jobs --state failed          what broke
  shiftboss show 18331                   everything about one job
  shiftboss retry --all-failed --task orders
  shiftboss logs -f --level warn

Exit codes: 0 done, 1 a job failed or the request was refused, 2 usage, 69 no supervisor to talk to,
70 internal error, 78 bad configuration.";

/// Supervises the work that files start on a server, under a terminal dashboard.
///
/// Without a command it opens the dashboard, and starts the supervisor in the background first if none is running.
/// Leaving the dashboard never stops the work.
#[derive(Clone, Debug, Parser)]
#[command(name = "shiftboss", version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Args {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// The command; none: the dashboard.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Options of every command.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Global {
    /// Configuration file [default: ./config.toml, then the user's configuration folder]
    #[arg(short, long, global = true, value_name = "FILE", display_order = 100)]
    pub config: Option<PathBuf>,
    /// Print data as JSON
    #[arg(long, global = true, display_order = 101)]
    pub json: bool,
    /// When to use colours; auto honours NO_COLOR [default: auto]
    #[arg(
        long,
        global = true,
        value_name = "auto|always|never",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        hide_default_value = true,
        display_order = 102
    )]
    pub color: Color,
    /// Say more; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count, display_order = 103)]
    pub verbose: u8,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Open the dashboard on a supervisor that is running
    Attach(Attach),
    /// Show a living example in a temporary workspace
    Demo(Demo),
    /// Write config.toml and the folders it names
    #[command(
        after_help = "Examples:\n  shiftboss init\n  crontab -l | shiftboss init --from-crontab - work\n  shiftboss init --from-crontab /etc/crontab --system work\n\nWhat of a crontab cannot be turned into a task is a comment at its place and a line on standard error, and the exit\ncode is then 1; the file is written all the same."
    )]
    Init(Init),
    /// Check the configuration: every problem with its place and a hint
    Check,
    /// Supervise in the foreground, without a screen
    Run(Run),
    /// Commands that ask a supervisor, or the database when none runs.
    #[command(flatten)]
    Ask(Ask),
    /// Rewrite tables by SQL, now, without a configuration
    #[command(
        after_help = "Examples:\n  shiftboss transform orders.csv -o clean.csv --sql \"SELECT id, value * 2 AS twice FROM input WHERE value > 0\"\n  shiftboss transform 'in/*.csv.gz' -o all.ndjson\n  shiftboss transform orders.csv -o good.csv --require id --expect \"value >= 0\" --on-bad-row reject --max-rejects 1%"
    )]
    Transform(Box<Transform>),
    /// Call URLs at once, politely, and keep the answers, without a configuration
    Fetch(Box<Fetch>),
    /// Print what a period came to: totals, tasks, slowest jobs, newest failures
    #[command(
        after_help = "Examples:\n  shiftboss report\n  shiftboss report --period 7d --format html -o week.html\n  shiftboss report --json | jq .totals"
    )]
    Report(Report),
    /// Take a backup apart: all of it, or some paths
    #[command(
        after_help = "Examples:\n  shiftboss restore backup/nightly-20260131T020000Z.tar.zst --list\n  shiftboss restore backup/nightly-20260131T020000Z.tar.zst --verify\n  shiftboss restore backup/nightly-20260131T020000Z.tar.zst processed/orders --to /srv/again"
    )]
    Restore(Box<Restore>),
    /// Check what the program needs from this machine
    Doctor,
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  shiftboss completions bash > ~/.local/share/bash-completion/completions/shiftboss"
    )]
    Completions(Completions),
    /// Print the manual page
    #[command(after_help = "Example:\n  shiftboss man | man -l -")]
    Man,
}

/// Commands that ask a supervisor, or the database when none runs.
#[derive(Clone, Debug, Subcommand)]
pub enum Ask {
    /// The whole state in one screenful: health, counts, tasks, gauges
    Status,
    /// List jobs: failed first, then running, waiting, queued, and what is over
    #[command(
        after_help = "Examples:\n  shiftboss jobs --state failed --task orders\n  shiftboss jobs --state retry --state waiting\n  shiftboss jobs --json | jq '.[] | select(.rows > 1000) | .input'"
    )]
    Jobs(Jobs),
    /// Everything about one job: why it failed and where, attempts, files, operator actions
    Show(Show),
    /// Why a job or a task is not running
    Why(Why),
    /// The history of one file: every job that took it or wrote it
    File(FileArgs),
    /// The log: of everything, of one task or of one job
    #[command(
        after_help = "Examples:\n  shiftboss logs -f\n  shiftboss logs 18331\n  shiftboss logs --task orders --level error --search \"not a number\""
    )]
    Logs(Logs),
    /// When tasks with a schedule run next
    #[command(
        after_help = "Examples:\n  shiftboss next\n  shiftboss next nightly-backup -n 5\n  shiftboss next --json | jq -r '.[0].at'"
    )]
    Next(Next),
    /// Put failed or waiting jobs back into the queue, with a fresh budget
    #[command(
        after_help = "Examples:\n  shiftboss retry 18331 18329\n  shiftboss retry --all-failed --task orders --search \"not a number\""
    )]
    Retry(Retry),
    /// Set jobs aside, with a reason
    #[command(
        override_usage = "shiftboss skip [OPTIONS] --reason <TEXT> <JOB>...\n       shiftboss skip [OPTIONS] --reason <TEXT> --all-failed [--task <TASK>] [--search <TEXT>]"
    )]
    #[command(after_help = "Example:\n  shiftboss skip 18331 --reason \"test data\"")]
    Skip(Skip),
    /// Withdraw jobs; running ones are stopped
    Cancel(Cancel),
    /// Start a task by hand
    #[command(
        after_help = "Examples:\n  shiftboss trigger reindex\n  shiftboss trigger orders --input spare/orders-7.csv"
    )]
    Trigger(Trigger),
    /// Stop starting jobs, of one task or of all; running ones go on
    Pause(OneTask),
    /// Start jobs again after a pause
    Resume(OneTask),
    /// Read the configuration again; a bad file keeps the old one live
    Reload,
    /// Drain, then start the supervisor again
    Restart,
    /// Drain and stop the supervisor
    Stop(Stop),
    /// Send a message to a channel of the configuration, or to all of them
    #[command(after_help = "Examples:\n  shiftboss alert-test\n  shiftboss alert-test ops-mail")]
    AlertTest(AlertTest),
}

/// What a command needs, for the one who builds its [`super::Backend`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// A supervisor, or the database read-only.
    Read,
    /// A supervisor, or the database with its lock.
    Act,
    /// A supervisor.
    Supervisor,
}

impl Ask {
    /// What the command needs.
    #[must_use]
    pub const fn needs(&self) -> Needs {
        match self {
            Self::Status
            | Self::Jobs(_)
            | Self::Show(_)
            | Self::Why(_)
            | Self::File(_)
            | Self::Logs(_)
            | Self::Next(_) => Needs::Read,
            // Without a supervisor it sends by itself, and writes nothing.
            Self::AlertTest(_) => Needs::Read,
            Self::Retry(_) | Self::Skip(_) | Self::Cancel(_) | Self::Trigger(_) | Self::Pause(_) | Self::Resume(_) => {
                Needs::Act
            }
            Self::Reload | Self::Restart | Self::Stop(_) => Needs::Supervisor,
        }
    }
}

/// `attach`
#[derive(Clone, Debug, clap::Args)]
pub struct Attach {
    /// Socket of the supervisor [default: the configuration's]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Look only: no key acts on a job
    #[arg(long)]
    pub read_only: bool,
}

/// `demo`
#[derive(Clone, Debug, clap::Args)]
pub struct Demo {
    /// Do not open the dashboard
    #[arg(long)]
    pub headless: bool,
    /// End after this time, for example 20s
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub length: Option<Duration>,
}

/// `init`
#[derive(Clone, Debug, clap::Args)]
pub struct Init {
    /// The folder to write into
    #[arg(value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Turn this crontab into tasks; `-`: standard input. Exit code 1 if something was left out
    #[arg(long, value_name = "FILE")]
    pub from_crontab: Option<PathBuf>,
    /// With --from-crontab: its lines name a user, as in /etc/crontab [default: told from the file]
    #[arg(long, requires = "from_crontab")]
    pub system: bool,
}

/// `run`
#[derive(Clone, Debug, clap::Args)]
pub struct Run {
    /// End when nothing is left to do; exit code 1 if a job failed
    #[arg(long)]
    pub until_idle: bool,
    /// With --until-idle: wait for retries that are due within this time
    #[arg(long, value_name = "DURATION", requires = "until_idle", default_value = "1m", value_parser = humantime::parse_duration)]
    pub wait: Duration,
    /// Started by the dashboard: no terminal
    #[arg(long, hide = true, conflicts_with = "until_idle")]
    pub background: bool,
}

/// `jobs`
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Jobs {
    /// Only jobs in this state; repeat for more than one
    #[arg(long = "state", value_name = "STATE", value_parser = states())]
    pub states: Vec<StateArg>,
    /// Only jobs of this task
    #[arg(long, value_name = "TASK")]
    pub task: Option<String>,
    /// Only jobs with this text in the input or the error
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub search: Option<String>,
    /// At most this many [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
}

/// A state as it can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateArg {
    /// One of the eight.
    State(JobState),
    /// Waiting after a failed attempt.
    Retry,
}

fn states() -> impl TypedValueParser<Value = StateArg> {
    let names = JobState::ALL.map(JobState::name).into_iter().chain(["retry"]);
    PossibleValuesParser::new(names).map(|name| JobState::from_name(&name).map_or(StateArg::Retry, StateArg::State))
}

/// `show`
#[derive(Clone, Debug, clap::Args)]
pub struct Show {
    /// Number of the job
    #[arg(value_name = "JOB", value_parser = job_id)]
    pub job: JobId,
}

/// `why`
#[derive(Clone, Debug, clap::Args)]
pub struct Why {
    /// Number of a job, or name of a task
    #[arg(value_name = "JOB|TASK", value_parser = NonEmptyStringValueParser::new())]
    pub subject: String,
}

/// `file`
#[derive(Clone, Debug, clap::Args)]
pub struct FileArgs {
    /// The file, wherever it is or was
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
}

/// `logs`
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Logs {
    /// All lines of this job
    #[arg(value_name = "JOB", value_parser = job_id, conflicts_with = "task")]
    pub job: Option<JobId>,
    /// Only lines of this task
    #[arg(long, value_name = "TASK")]
    pub task: Option<String>,
    /// Go on as the log grows, until interrupted or the supervisor stops
    #[arg(short, long)]
    pub follow: bool,
    /// This level and graver
    #[arg(long, value_name = "LEVEL", value_parser = levels())]
    pub level: Option<Level>,
    /// Only lines with this text
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub search: Option<String>,
    /// The last N lines [default: all lines of a job, else 200]
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub lines: Option<u32>,
}

/// `next`
#[derive(Clone, Debug, clap::Args)]
pub struct Next {
    /// Only this task
    #[arg(value_name = "TASK")]
    pub task: Option<String>,
    /// So many times of each task [default: 5 of one task, 1 of each of all]
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..).map(usize::from))]
    pub count: Option<usize>,
}

fn levels() -> impl TypedValueParser<Value = Level> {
    PossibleValuesParser::new(Level::ALL.map(Level::name)).map(|name| Level::from_name(&name).unwrap_or(Level::Debug))
}

/// Which failed jobs an action is about.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Which {
    /// Numbers of jobs
    #[arg(value_name = "JOB", value_parser = job_id, required_unless_present = "all_failed", conflicts_with = "all_failed")]
    pub jobs: Vec<JobId>,
    /// Every failed job
    #[arg(long)]
    pub all_failed: bool,
    /// With --all-failed: only of this task
    #[arg(long, value_name = "TASK", requires = "all_failed", conflicts_with = "jobs")]
    pub task: Option<String>,
    /// With --all-failed: only with this text in the input or the error
    #[arg(long, value_name = "TEXT", requires = "all_failed", conflicts_with = "jobs", value_parser = NonEmptyStringValueParser::new())]
    pub search: Option<String>,
}

/// `retry`
#[derive(Clone, Debug, clap::Args)]
pub struct Retry {
    /// Which jobs.
    #[command(flatten)]
    pub which: Which,
}

/// `skip`
#[derive(Clone, Debug, clap::Args)]
pub struct Skip {
    /// Which jobs.
    #[command(flatten)]
    pub which: Which,
    /// Why; it is kept with the job
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: String,
}

/// `cancel`
#[derive(Clone, Debug, clap::Args)]
pub struct Cancel {
    /// Numbers of jobs
    #[arg(value_name = "JOB", value_parser = job_id, required = true)]
    pub jobs: Vec<JobId>,
}

/// `trigger`
#[derive(Clone, Debug, clap::Args)]
pub struct Trigger {
    /// The task
    #[arg(value_name = "TASK")]
    pub task: String,
    /// Work on a copy of this file
    #[arg(long, value_name = "PATH")]
    pub input: Option<PathBuf>,
}

/// `pause` and `resume`
#[derive(Clone, Debug, clap::Args)]
pub struct OneTask {
    /// The task [default: everything]
    #[arg(value_name = "TASK")]
    pub task: Option<String>,
}

/// `alert-test`
#[derive(Clone, Debug, clap::Args)]
pub struct AlertTest {
    /// The channel [default: every one]
    #[arg(value_name = "CHANNEL")]
    pub channel: Option<String>,
}

/// `stop`
#[derive(Clone, Debug, clap::Args)]
pub struct Stop {
    /// Do not drain: running jobs become interrupted
    #[arg(long)]
    pub now: bool,
}

/// `completions`
#[derive(Clone, Debug, clap::Args)]
pub struct Completions {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: clap_complete::Shell,
}

/// The number of a job, as `18331` or, as the screen shows it, `#18331`.
fn job_id(text: &str) -> Result<JobId, String> {
    text.strip_prefix('#')
        .unwrap_or(text)
        .parse()
        .ok()
        .filter(|id| *id > 0)
        .map(JobId)
        .ok_or_else(|| "not the number of a job".to_owned())
}

fn reason(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("a reason is needed".to_owned()),
        text => Ok(text.to_owned()),
    }
}

/// Reads the command line.
///
/// # Errors
/// Help and version were printed (0), or the command line is wrong and that was said (2).
pub fn parse() -> Result<Args, Exit> {
    Args::try_parse().map_err(|e| super::out::usage(&e))
}

#[cfg(test)]
mod tests;

//! `demo`: a supervisor with real work in a temporary workspace, under the dashboard or without a screen.
//!
//! The supervisor runs in this process, so that nothing of the demo outlives it; the dashboard is a client of its
//! socket as everywhere. On every way out (leaving, the time, a signal, a lost terminal, an error, a panic) the
//! supervisor is stopped and the workspace removed. Only a KILL leaves the folder behind, with nobody working in it.

mod feed;
mod files;
mod workspace;

use super::signals::Signals;
use super::{backend, dashboard, supervisor_runtime};
use crate::actions::KINDS;
use crate::cli::args::{Demo, Jobs, StateArg};
use crate::cli::{self, Ask, Out, human};
use crate::clock::Clock;
use crate::control::client::Client;
use crate::error::{Exit, Fatal};
use crate::model::filter::Test;
use crate::model::ports::{JobsQuery, Spawner};
use crate::model::view::Counts;
use crate::model::{Filter, JobState};
use crate::runtime::{Ended, Mode, Options, Supervisor, Tracker, limits};
use crate::telemetry::{Log, tracing_setup};
use crate::tui;
use feed::Feeder;
use serde_json::json;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use workspace::Workspace;

/// How long a demo without a screen lasts unless it was told.
const LENGTH: Duration = Duration::from_secs(20);
/// A supervisor that was told to stop may take this long; then it is left, and its folder removed all the same.
const STOP_MAX: Duration = Duration::from_secs(8);
/// A signal to this process reaches the supervisor by itself; this long is waited before it is told once more, which
/// would otherwise be the second signal and mean "at once".
const SIGNAL_MAX: Duration = Duration::from_secs(3);

/// Why the demo ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// The operator left the dashboard, or the time was over.
    Done,
    /// A signal asked for it.
    Signalled,
    /// Nobody is there any more.
    TerminalGone,
}

/// Runs the demo.
pub fn run(args: &Demo, out: &mut Out, clock: &Arc<dyn Clock>) -> Result<Exit, Fatal> {
    let screen = !args.headless && std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let length = args.length.or((!screen).then_some(LENGTH));
    if let Some(length) = length.filter(|_| !screen) {
        let why = if args.headless { "" } else { "no terminal: " };
        out.remark(format!("{why}the demo runs without a screen for {}", humantime::format_duration(length)));
    }
    let runtime = supervisor_runtime(1)?;
    let played = runtime.block_on(async {
        // Before there is anything to clean up.
        let mut signals = Signals::listen()?;
        let workspace = Workspace::create()?;
        let played = Box::pin(play(&workspace, screen, length, &mut signals, out, clock)).await;
        Ok::<_, Fatal>((workspace, played))
    });
    // What still blocks after its deadline is left behind: the folder below it goes.
    runtime.shutdown_timeout(Duration::from_millis(500));
    let (workspace, played) = played?;
    let removed = workspace.remove();
    let (left, counts) = played?;
    removed?;
    if left != Left::TerminalGone && !out.is_json() {
        let (done, failed) = (human::plural(counts.succeeded, "job"), human::count(counts.failed));
        let line =
            format!("the demo is over: {done} done, {failed} failed; its supervisor is stopped, its workspace removed");
        out.line(line);
    }
    Ok(Exit::Ok)
}

/// Starts the supervisor, feeds it, shows it, and stops it.
async fn play(
    workspace: &Workspace,
    screen: bool,
    length: Option<Duration>,
    signals: &mut Signals,
    out: &mut Out,
    clock: &Arc<dyn Clock>,
) -> Result<(Left, Counts), Fatal> {
    let config = workspace.config()?;
    let client = Client::unix(config.socket());
    let log = Arc::new(Log::open(config.data_dir.join("logs"), limits(&config), Arc::clone(clock)));
    // Only the first supervisor of a process is the one that its events are about.
    let _ = tracing_setup::init(config.log.level, Arc::clone(&log), false);
    let (ready_tx, ready) = oneshot::channel();
    let ready_tx = Box::new(move |_: &_, _| {
        // Whoever does not wait any more has another reason to go on.
        let _ = ready_tx.send(());
    });
    let options = Options { mode: Mode::Serve, clock: Arc::clone(clock), log, kinds: KINDS, ready: ready_tx };
    let supervisor = Supervisor::open(config, options)?;

    let tracker = Tracker::new(Handle::current());
    let (ended_tx, mut ended) = oneshot::channel();
    tracker.task("supervisor", Box::pin(async move { drop(ended_tx.send(supervisor.run().await)) }));
    let stop = CancellationToken::new();
    let shown = tokio::select! {
        ended = &mut ended => Err(early(ended)),
        () = signals.next() => Ok(Left::Signalled),
        _ = ready => {
            tracker.task("feeder", Box::pin(Feeder::new(workspace.path("")).run(stop.clone())));
            let time = async {
                match length {
                    Some(length) => tokio::time::sleep(length).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                shown = dashboard(client.clone(), out), if screen => shown,
                () = signals.next() => Ok(Left::Signalled),
                ended = &mut ended => Err(early(ended)),
                () = time => Ok(Left::Done),
            }
        }
    };
    stop.cancel();
    let counts = client.status().await.map(|status| status.counts);
    let told = match &counts {
        Ok(counts) if !screen && shown.is_ok() => outcome(&client, counts, out).await,
        _ => Ok(()),
    };
    // Whatever went wrong before: nobody may write in the workspace when it is removed.
    let hears_signals = matches!(shown, Ok(Left::Signalled));
    if !hears_signals || tokio::time::timeout(SIGNAL_MAX, &mut ended).await.is_err() {
        // One that does not answer is on its way out, or is left below.
        let _ = client.stop(false).await;
        let _ = tokio::time::timeout(STOP_MAX, &mut ended).await;
    }
    let left = shown?;
    told?;
    Ok((left, counts.unwrap_or_default()))
}

/// Draws until the operator leaves.
async fn dashboard(client: Client, out: &Out) -> Result<Left, Fatal> {
    Ok(match tui::run(client, tui::Options { leave: "end demo", ..dashboard::options(false, out) }).await? {
        tui::Ended::Detached { .. } => Left::Done,
        tui::Ended::Signalled => Left::Signalled,
        tui::Ended::TerminalGone => Left::TerminalGone,
    })
}

/// Prints what became of the work.
async fn outcome(client: &Client, counts: &Counts, out: &mut Out) -> Result<(), Fatal> {
    if out.is_json() {
        let failed = Filter::default().and(Test::State(JobState::Failed));
        let page = client.jobs(&JobsQuery { filter: failed, ..JobsQuery::default() }).await?;
        out.json(&json!({ "counts": counts, "failed": page.jobs }));
        return Ok(());
    }
    let retry = counts.retry;
    out.line(format!(
        "{} succeeded, {} failed, {} to be retried, {} at work or queued",
        human::count(counts.succeeded),
        human::count(counts.failed),
        human::count(retry),
        human::count(counts.queued + counts.running + counts.placing + counts.waiting.saturating_sub(retry)),
    ));
    out.blank();
    let failed = Jobs { states: vec![StateArg::State(JobState::Failed)], ..Jobs::default() };
    cli::dispatch(&Ask::Jobs(failed), &backend::live(client.clone()), out).await?;
    out.blank();
    Ok(())
}

/// The error of a supervisor that ended before it was told to.
fn early(ended: Result<Result<Ended, Fatal>, oneshot::error::RecvError>) -> Fatal {
    match ended {
        Ok(Err(fatal)) => fatal,
        Ok(Ok(_)) => Fatal::new(Exit::Failed, "the supervisor of the demo was stopped"),
        Err(_) => Fatal::new(Exit::Internal, "the supervisor of the demo panicked"),
    }
}

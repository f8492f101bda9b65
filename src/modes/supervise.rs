//! `run`: the supervisor in the foreground, or as the background start runs it.

use super::supervisor_runtime;
use crate::actions::KINDS;
use crate::cli::Out;
use crate::cli::args::{Global, Run};
use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Exit, Fatal};
use crate::model::action::Level;
use crate::model::ports::LogsQuery;
use crate::runtime::{Ended, Mode, Options, Supervisor, background, levels, limits};
use crate::telemetry::{Log, tracing_setup};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

/// Lines printed at a time.
const LINES: u32 = 1000;

/// Runs a supervisor until it is told to stop, or until nothing is left to do.
pub fn run(
    args: &Run,
    load: impl FnOnce() -> Result<Config, Fatal>,
    global: &Global,
    out: &mut Out,
    clock: &Arc<dyn Clock>,
) -> Result<Exit, Fatal> {
    if args.background {
        // The parent's session and its terminal may go; this process must not notice. It fails only for a process
        // that leads a session already, which is as good.
        let _ = nix::unistd::setsid();
    }
    let config = load()?;
    let mode = if args.until_idle { Mode::UntilIdle(args.wait) } else { Mode::Serve };
    let level = match global.verbose {
        0 if args.until_idle && config.log.level == Level::Info => Some(Level::Warn),
        0 => None,
        1 => Some(Level::Info),
        _ => Some(Level::Debug),
    };
    let ended = supervise(config, mode, level, clock)?;
    if ended.restart {
        return Err(background::again());
    }
    if args.until_idle {
        summary(&ended, out);
    }
    Ok(if ended.hurried || (args.until_idle && ended.failed) { Exit::Failed } else { Exit::Ok })
}

/// The last line on stdout.
fn summary(ended: &Ended, out: &mut Out) {
    if out.is_json() {
        out.json(&ended.summary);
        return;
    }
    let s = &ended.summary;
    out.line(format!(
        "{} succeeded, {} failed, {} skipped, {} cancelled, {} waiting, {} queued",
        s.succeeded, s.failed, s.skipped, s.cancelled, s.waiting, s.queued
    ));
}

/// Runs a supervisor to its end, printing its log to stderr: from this level on, or everything that is kept.
pub fn supervise(config: Config, mode: Mode, level: Option<Level>, clock: &Arc<dyn Clock>) -> Result<Ended, Fatal> {
    let runtime = supervisor_runtime(config.workers)?;
    let done = runtime.block_on(async {
        let log = Arc::new(Log::open(config.data_dir.join("logs"), limits(&config), Arc::clone(clock)));
        let mut levels = levels(&config);
        levels.level = level.map_or(levels.level, |level| levels.level.max(level));
        log.set_levels(levels);
        let level = level.unwrap_or(Level::Debug);
        let start = log.page(&LogsQuery { limit: 1, ..LogsQuery::default() }).next;
        // Only the first supervisor of a process is the one that its events are about.
        let _ = tracing_setup::init(config.log.level, Arc::clone(&log), false);
        let options =
            Options { mode, clock: Arc::clone(clock), log: Arc::clone(&log), kinds: KINDS, ready: Box::new(|_, _| {}) };
        let supervisor = Supervisor::open(config, options)?;
        let mut run = std::pin::pin!(supervisor.run());
        let mut next = start;
        let mut newest = log.subscribe();
        loop {
            tokio::select! {
                ended = &mut run => {
                    print(&log, level, &mut next);
                    return ended;
                }
                _ = newest.changed() => print(&log, level, &mut next),
            }
        }
    });
    // What still blocks after a hurried stop is left behind; the next start finds it.
    runtime.shutdown_timeout(Duration::from_millis(100));
    done
}

/// Prints what the log has got since. A terminal that is gone takes nothing, which is no trouble of ours.
fn print(log: &Log, level: Level, next: &mut u64) {
    let query = LogsQuery { level: Some(level), from: Some(*next), limit: LINES, ..LogsQuery::default() };
    let page = log.page(&query);
    *next = page.next;
    let mut text = String::new();
    if page.gap > 0 {
        text.push_str(&format!("… {} lines left out\n", page.gap));
    }
    for line in &page.lines {
        let about = match (&line.task, line.job) {
            (Some(task), Some(job)) => format!(" {task} #{job}"),
            (Some(task), None) => format!(" {task}"),
            (None, Some(job)) => format!(" #{job}"),
            (None, None) => String::new(),
        };
        let time = crate::clock::parse_rfc3339(&line.at).map(crate::clock::local);
        let time = time.map_or_else(String::new, |t| t.format("%H:%M:%S").to_string());
        text.push_str(&format!("{time} {:5}{about} {}\n", line.level.name(), line.message));
    }
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

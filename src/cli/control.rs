//! `trigger`, `pause`, `resume`, `reload`, `restart`, `stop`: what an operator does to tasks and to the supervisor.

use super::args::{OneTask, Stop, Trigger};
use super::line::{Line, Style};
use super::out::Out;
use super::{Backend, human, me, need_supervisor, refused};
use crate::control::client::NOT_RUNNING;
use crate::error::{Exit, Fatal};
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde_json::json;
use std::path::Path;
use std::time::Duration;

/// Pause between two looks at a supervisor that is stopping.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long the process may outlive its socket before `stop` returns all the same.
const EXIT_MAX: Duration = Duration::from_secs(10);

/// Starts a task by hand.
pub(super) async fn trigger(args: &Trigger, backend: &Backend, out: &mut Out) -> Result<Exit, Fatal> {
    // The supervisor's working folder is not ours.
    let absolute = |path: &Path| match path.to_str() {
        Some(url) if url.starts_with("http://") || url.starts_with("https://") => Ok(path.to_owned()),
        _ => std::path::absolute(path).map_err(|e| Fatal::io("find", path, &e)),
    };
    let input = args.input.as_deref().map(absolute).transpose()?;
    let triggered = backend.commands.trigger(me(), args.task.clone(), input).await.map_err(refused)?;
    if out.is_json() {
        out.json(&triggered);
    } else {
        let jobs: Vec<String> = triggered.jobs.iter().map(|id| format!("#{id}")).collect();
        out.line(format!("run {} of {} is queued: {}", triggered.run, args.task, jobs.join(" ")));
    }
    Ok(Exit::Ok)
}

/// Stops starting jobs.
pub(super) async fn pause(args: &OneTask, backend: &Backend, out: &mut Out) -> Result<Exit, Fatal> {
    let paused = backend.commands.pause(me(), args.task.clone()).await.map_err(refused)?;
    if out.is_json() {
        out.json(&paused);
    } else {
        let who = format!(" by {}, {}; running jobs go on", paused.by, human::time(&paused.at));
        out.line(Line::of(Style::Strong, what(args)).and(Style::Warn, " paused").text(who));
    }
    Ok(Exit::Ok)
}

/// Starts jobs again.
pub(super) async fn resume(args: &OneTask, backend: &Backend, out: &mut Out) -> Result<Exit, Fatal> {
    backend.commands.resume(me(), args.task.clone()).await.map_err(refused)?;
    if out.is_json() {
        out.json(&json!({}));
    } else {
        out.line(Line::of(Style::Strong, what(args)).and(Style::Good, " resumed"));
    }
    Ok(Exit::Ok)
}

fn what(args: &OneTask) -> String {
    args.task.as_ref().map_or_else(|| "everything".to_owned(), |task| format!("task {task}"))
}

/// Reads the configuration again.
pub(super) async fn reload(backend: &Backend, out: &mut Out) -> Result<Exit, Fatal> {
    need_supervisor(backend)?;
    let changes = backend.commands.reload(me()).await.map_err(refused)?;
    if out.is_json() {
        out.json(&json!({ "changes": changes }));
    } else if changes.is_empty() {
        out.line("reloaded: nothing changed");
    } else {
        out.line(format!("reloaded: {}", human::plural(changes.len() as u64, "change")));
        for change in changes {
            out.line(Line::from("  - ").text(change));
        }
    }
    Ok(Exit::Ok)
}

/// Drains, then starts the supervisor again.
pub(super) async fn restart(backend: &Backend, out: &mut Out) -> Result<Exit, Fatal> {
    need_supervisor(backend)?;
    backend.commands.restart(me()).await.map_err(refused)?;
    if out.is_json() {
        out.json(&json!({}));
    } else {
        out.line("restarting: running jobs are drained first");
    }
    Ok(Exit::Ok)
}

/// Drains and stops the supervisor, and returns when it is gone.
pub(super) async fn stop(args: &Stop, backend: &Backend, out: &mut Out) -> Result<Exit, Fatal> {
    need_supervisor(backend)?;
    let before = backend.reader.status().await.map_err(refused)?;
    backend.commands.stop(me(), args.now).await.map_err(refused)?;
    let running = before.counts.running + before.counts.placing;
    if !out.is_json() && !args.now && running > 0 {
        out.remark(format!("draining {}", human::plural(running, "running job")));
    }
    // Ends when the drain ends, which the supervisor bounds; another pid is another supervisor.
    loop {
        match backend.reader.status().await {
            Ok(now) if now.pid == before.pid => {}
            Err(refusal) if refusal.code != NOT_RUNNING => {}
            Ok(_) | Err(_) => break,
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    if let Some(pid) = before.pid.and_then(|pid| i32::try_from(pid).ok()) {
        // The socket goes first, then the lock with the process: `stop && next` wants both gone. A wait that ends
        // early, as in another pid namespace, does no harm.
        let gone = async {
            while !is_over(pid) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let _ = tokio::time::timeout(EXIT_MAX, gone).await;
    }
    if out.is_json() {
        out.json(&json!({}));
    } else {
        out.line("stopped");
    }
    Ok(Exit::Ok)
}

/// Whether a process has ended. One that its parent has not collected yet has: it holds nothing any more.
fn is_over(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH)
        || std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|state| state.starts_with(['Z', 'X'])))
}

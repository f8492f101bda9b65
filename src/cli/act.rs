//! `retry`, `skip`, `cancel`: what an operator decides about jobs.

use super::args::{Cancel, Retry, Skip, Which};
use super::line::{Line, Style};
use super::out::Out;
use super::{Backend, human, jobs, me, refused};
use crate::error::{Exit, Fatal, did_you_mean};
use crate::model::ports::Target;
use crate::model::view::Done;
use crate::model::{Filter, JobId, JobState};
use std::collections::HashSet;

/// Most numbers of jobs named in the answer; more are only counted.
const NAMED_MAX: usize = 20;

/// Puts jobs back into the queue.
pub(super) async fn retry(args: &Retry, backend: &Backend, out: &mut Out) -> Result<Exit, Fatal> {
    let done = match target(&args.which, backend).await? {
        None => Done::default(),
        Some(target) => backend.commands.retry(me(), target).await.map_err(refused)?,
    };
    Ok(report("back in the queue", &done, out))
}

/// Sets jobs aside.
pub(super) async fn skip(args: &Skip, backend: &Backend, out: &mut Out) -> Result<Exit, Fatal> {
    let done = match target(&args.which, backend).await? {
        None => Done::default(),
        Some(target) => backend.commands.skip(me(), target, args.reason.clone()).await.map_err(refused)?,
    };
    Ok(report("skipped", &done, out))
}

/// Withdraws jobs.
pub(super) async fn cancel(args: &Cancel, backend: &Backend, out: &mut Out) -> Result<Exit, Fatal> {
    let target = Target::Jobs(each_once(&args.jobs));
    let done = backend.commands.cancel(me(), target).await.map_err(refused)?;
    Ok(report("cancelled", &done, out))
}

/// The jobs that were named, or a selection of the failed ones; none when nothing matches.
async fn target(which: &Which, backend: &Backend) -> Result<Option<Target>, Fatal> {
    if !which.all_failed {
        return Ok(Some(Target::Jobs(each_once(&which.jobs))));
    }
    let filter = jobs::narrowed(Filter::state(JobState::Failed), which.task.as_deref(), which.search.as_deref());
    let selection = backend.commands.select(me(), filter).await.map_err(refused)?;
    if selection.count > 0 {
        return Ok(Some(Target::Selection(selection.id)));
    }
    if let Some(name) = &which.task {
        known(name, backend).await?;
    }
    Ok(None)
}

/// A task without failed jobs is no error, and a wrong name is one.
async fn known(name: &str, backend: &Backend) -> Result<(), Fatal> {
    let tasks = backend.reader.status().await.map_err(refused)?.tasks;
    if tasks.iter().any(|task| task.name == name) {
        return Ok(());
    }
    let fatal = Fatal::new(Exit::Failed, format!("no such task: {name}"));
    let near = did_you_mean(name, tasks.iter().map(|task| task.name.as_str()));
    Err(match near {
        Some(near) => fatal.hint(format!("did you mean `{near}`?")),
        None => fatal,
    })
}

fn each_once(jobs: &[JobId]) -> Vec<JobId> {
    let mut seen = HashSet::new();
    jobs.iter().copied().filter(|id| seen.insert(*id)).collect()
}

fn report(what: &str, done: &Done, out: &mut Out) -> Exit {
    if out.is_json() {
        out.json(done);
    } else {
        let mut line = Line::of(Style::Strong, human::plural(done.done.len() as u64, "job")).text(format!(" {what}"));
        if !done.done.is_empty() && done.done.len() <= NAMED_MAX {
            let names: Vec<String> = done.done.iter().map(|id| format!("#{id}")).collect();
            line.push(Style::Plain, format!(": {}", names.join(" ")));
        }
        out.line(line);
        for refused in &done.refused {
            out.remark(Line::of(Style::Bad, format!("#{} refused: ", refused.id)).text(&refused.reason));
        }
    }
    if done.refused.is_empty() { Exit::Ok } else { Exit::Failed }
}

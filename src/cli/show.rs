//! `show` and `why`: one job from all sides, and why something does not run.

use super::jobs::state_name;
use super::line::{Line, Style};
use super::out::Out;
use super::table::{Align, Table};
use super::{Backend, failure, human, refused};
use crate::error::{Exit, Fatal};
use crate::model::view::{JobDetail, JobView};
use crate::model::{JobId, JobState, Millis};

/// Width of the names in front of the facts of a job.
const LABEL: usize = 9;

/// Prints everything about one job.
pub(super) async fn show(id: JobId, backend: &Backend, out: &mut Out) -> Result<Exit, Fatal> {
    let detail = backend.reader.job(id).await.map_err(refused)?;
    if out.is_json() {
        out.json(&detail);
        return Ok(Exit::Ok);
    }
    facts(&detail.job, out);
    run(&detail, out);
    if !detail.why.is_empty() && !detail.job.state.is_settled() {
        out.blank();
        out.heading("why it is not running");
        for why in &detail.why {
            out.line(Line::from("  - ").text(why));
        }
    }
    if let Some(error) = &detail.job.error {
        out.blank();
        failure::print(error, out);
    }
    failure::rejects(&detail.rejects, detail.job.rejected, out);
    if let Some(cause) = &detail.cause {
        out.line(
            Line::of(Style::Strong, "same cause: ")
                .text(format!("{} now, ", human::plural(cause.open, "failed job")))
                .text(format!("{} in all, first ", human::count(cause.total)))
                .text(human::moment(&cause.first_at, out.now())),
        );
    }
    attempts(&detail, out);
    files(&detail, out);
    actions(&detail, out);
    Ok(Exit::Ok)
}

fn facts(job: &JobView, out: &mut Out) {
    let now = out.now();
    out.line(
        Line::of(Style::Strong, format!("job {}  ", job.id))
            .and(Style::of(job.state), state_name(job))
            .text(format!("  {} ({}), run {}", job.task, job.action, job.run)),
    );
    fact("input", &job.input, out);
    for output in &job.outputs {
        fact("output", output, out);
    }
    fact("queued", &human::moment(&job.created_at, now), out);
    if let Some(at) = &job.started_at {
        fact("started", &human::moment(at, now), out);
    }
    if let Some(at) = &job.finished_at {
        fact("finished", &human::moment(at, now), out);
    }
    if let (Some(at), JobState::Waiting) = (&job.not_before, job.state) {
        fact("waits for", &human::moment(at, now), out);
    }
    fact("tries", &tries(job), out);
    let mut work = Vec::new();
    work.extend(job.duration_ms.map(|ms| format!("took {}", human::millis(ms))));
    work.extend(job.rows.map(|n| human::plural(n, "row")));
    work.extend(job.rows_out.map(|n| format!("{} written", human::plural(n, "row"))));
    work.extend((job.rejected > 0).then(|| format!("{} rejected", human::count(job.rejected))));
    work.extend(job.bytes_in.map(|n| format!("{} in", human::bytes(n))));
    work.extend(job.bytes_out.map(|n| format!("{} out", human::bytes(n))));
    let mut call = Vec::new();
    call.extend(job.http_status.map(|status| format!("status {status}")));
    call.extend(job.latency_ms.map(|ms| format!("after {}", human::millis(ms))));
    call.extend(job.requests.map(|n| human::plural(u64::from(n), "request")));
    call.extend(job.cached.then(|| "from the cache".to_owned()));
    if !call.is_empty() {
        fact("call", &call.join(", "), out);
    }
    if !work.is_empty() {
        fact("work", &work.join(", "), out);
    }
    for (label, text) in [("held", &job.held), ("reason", &job.reason)] {
        if let Some(text) = text {
            fact(label, text, out);
        }
    }
    if job.maybe_repeated {
        fact("note", "an attempt was cut off: its effects outside may have happened more than once", out);
    }
}

/// What came of the run, where it has more jobs than this one.
fn run(detail: &JobDetail, out: &mut Out) {
    let Some(run) = detail.run.as_ref().filter(|run| run.total > 1) else { return };
    let mut parts = vec![format!("{} ok", human::count(run.ok)), format!("{} failed", human::count(run.failed))];
    parts.extend((run.skipped > 0).then(|| format!("{} skipped", human::count(run.skipped))));
    parts.extend((run.open > 0).then(|| format!("{} to go", human::count(run.open))));
    fact("run", &format!("{}: {} of {}", run.state.name(), parts.join(", "), human::count(run.total)), out);
}

fn fact(label: &str, text: &str, out: &mut Out) {
    out.line(Line::of(Style::Dim, format!("{label:<LABEL$}  ")).text(text));
}

fn tries(job: &JobView) -> String {
    let mut text = format!("{} of {} charged", job.spent, job.max_attempts);
    if job.attempt != i64::from(job.spent) {
        text.push_str(&format!(", {} in all", human::plural(job.attempt.max(0).unsigned_abs(), "execution")));
    }
    text
}

fn attempts(detail: &JobDetail, out: &mut Out) {
    if detail.attempts.is_empty() {
        return;
    }
    out.blank();
    out.heading("attempts");
    use Align::{Left, Right};
    let heads = [("N", Right), ("STARTED", Left), ("TOOK", Right), ("NODE", Left), ("OUTCOME", Left)];
    let mut table = Table::new(heads).indent(2);
    for attempt in &detail.attempts {
        let outcome = attempt.outcome.as_deref().unwrap_or("running");
        let style = match outcome {
            "succeeded" => Style::Good,
            "failed" => Style::Bad,
            "running" => Style::Live,
            _ => Style::Warn,
        };
        let mut end = Line::of(style, outcome);
        if let Some(class) = attempt.class {
            end.push(Style::Plain, format!(", {class}"));
        }
        if let Some(exit) = attempt.exit {
            end.push(Style::Plain, format!(", exit code {exit}"));
        }
        if !attempt.charged && attempt.outcome.is_some() {
            end.push(Style::Dim, ", not charged");
        }
        table.row([
            Line::from(attempt.n.to_string()),
            Line::from(human::time(&attempt.started_at)),
            Line::from(attempt.duration_ms.map(human::millis).unwrap_or_default()),
            Line::from(attempt.node.as_str()),
            end,
        ]);
        // The last failure is shown in full above.
        if let Some(error) = attempt.error.as_ref().filter(|e| detail.job.error.as_ref() != Some(e)) {
            table.below(Line::of(Style::Dim, &error.message));
        }
        for line in attempt.output.iter().flat_map(|o| o.lines()) {
            table.below(Line::of(Style::Dim, "| ").text(line));
        }
        if let Some(file) = &attempt.output_file {
            table.below(Line::of(Style::Dim, "| all of it: ").text(file));
        }
    }
    table.print(out);
}

fn files(detail: &JobDetail, out: &mut Out) {
    if detail.files.is_empty() {
        return;
    }
    out.blank();
    out.heading("files");
    let mut table = Table::new([("ROLE", Align::Left), ("SIZE", Align::Right), ("PATH", Align::Left)]).indent(2);
    for file in &detail.files {
        table.row([
            Line::from(file.role.as_str()),
            Line::from(file.size.map(human::bytes).unwrap_or_default()),
            Line::from(file.path.as_str()),
        ]);
    }
    table.print(out);
}

fn actions(detail: &JobDetail, out: &mut Out) {
    if detail.actions.is_empty() {
        return;
    }
    let now: Millis = out.now();
    out.blank();
    out.heading("operator actions");
    for action in &detail.actions {
        let who = action.user.clone().unwrap_or_else(|| format!("user {}", action.uid));
        let mut line = Line::from("  ").and(Style::Strong, &action.kind).text(format!(" by {who}, "));
        line.push(Style::Plain, human::moment(&action.at, now));
        if let Some(filter) = &action.filter {
            line.push(Style::Dim, format!(", {filter}"));
        }
        if let Some(reason) = &action.reason {
            line.push(Style::Plain, format!(": {reason}"));
        }
        out.line(line);
    }
}

/// Prints why a job or a task is not running. A number is a job; where there is none, it may be a task's name.
pub(super) async fn why(subject: &str, backend: &Backend, out: &mut Out) -> Result<Exit, Fatal> {
    let number = subject.strip_prefix('#').unwrap_or(subject).parse().ok().filter(|id| *id > 0).map(JobId);
    let view = match number {
        None => backend.explain.why_task(subject.to_owned()).await.map_err(refused)?,
        Some(id) => match backend.explain.why_job(id).await {
            Ok(view) => view,
            Err(unknown) if unknown.status == 404 => match backend.explain.why_task(subject.to_owned()).await {
                Ok(view) => view,
                Err(_) => return Err(refused(unknown)),
            },
            Err(refusal) => return Err(refused(refusal)),
        },
    };
    if out.is_json() {
        out.json(&view);
    } else if view.reasons.is_empty() {
        out.line(Line::of(Style::Strong, &view.subject).text(": nothing holds it back"));
    } else {
        out.line(Line::of(Style::Strong, &view.subject));
        for reason in &view.reasons {
            out.line(Line::from("  - ").text(reason));
        }
    }
    Ok(Exit::Ok)
}

//! The paths under `/v1`, one line each, and the checks that a request passes before a port sees it.

use super::Ports;
use super::answer::{Answered, Id, JsonBody, Named, Nothing, Params, Refused, answered, bad, done};
use super::{answer, sse};
use crate::control::wire::{self, ActBody, PAGE_MAX, ReloadAnswer, SelectBody, StopBody, TriggerBody};
use crate::model::action::Level;
use crate::model::ports::{Actor, JobsQuery, LogsQuery, Refusal, Target};
use crate::model::view::{
    AlertsView, Done, InputView, JobDetail, JobsPage, LogsPage, Paused, SchedulesPage, Selection, Status, TaskView,
    TestedView, Triggered, WhyView,
};
use crate::model::{JobId, SelectionId};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use base64::Engine as _;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

/// Jobs in a page when the request names no limit.
const JOBS_DEFAULT: u32 = 100;
/// Log lines in a page when the request names no limit.
const LOGS_DEFAULT: u32 = 200;
/// Most lines on each side of the wanted line of an input; a larger number is cut to it.
const CONTEXT_MAX: u32 = 100;
/// Lines on each side of the wanted line when the request does not say.
const CONTEXT_DEFAULT: u32 = 3;
/// Longest reason of an operator, in characters; a longer one is refused.
const REASON_MAX: usize = 1000;

/// All routes. Streams end when `closing` is cancelled.
pub(super) fn router(ports: Ports, closing: CancellationToken) -> Router {
    let v1 = Router::new()
        .route("/status", get(status))
        .route("/tasks", get(tasks))
        .route("/jobs", get(jobs))
        .route("/jobs/{id}", get(job))
        .route("/jobs/{id}/input", get(input))
        .route("/files", get(files))
        .route("/schedule", get(schedule))
        .route("/alerts", get(alerts))
        .route("/logs", get(logs))
        .route("/logs/stream", get(sse::logs))
        .route("/events", get(sse::ticks))
        .route("/why", get(why))
        .route("/selections", post(select))
        .route("/jobs/retry", post(retry_jobs))
        .route("/jobs/skip", post(skip_jobs))
        .route("/jobs/cancel", post(cancel_jobs))
        .route("/jobs/{id}/retry", post(retry_job))
        .route("/jobs/{id}/skip", post(skip_job))
        .route("/jobs/{id}/cancel", post(cancel_job))
        .route("/selections/{id}/retry", post(retry_selection))
        .route("/selections/{id}/skip", post(skip_selection))
        .route("/selections/{id}/cancel", post(cancel_selection))
        .route("/tasks/{name}/trigger", post(trigger))
        .route("/tasks/{name}/pause", post(pause_task))
        .route("/tasks/{name}/resume", post(resume_task))
        .route("/pause", post(pause_all))
        .route("/resume", post(resume_all))
        .route("/reload", post(reload))
        .route("/stop", post(stop))
        .route("/restart", post(restart))
        .route("/alerts/test", post(test_all))
        .route("/alerts/{name}/test", post(test_one))
        .with_state(ports)
        .layer(Extension(closing));
    Router::new()
        .nest(&format!("/v{}", wire::API), v1)
        .fallback(answer::unknown_route)
        .method_not_allowed_fallback(answer::wrong_method)
        .layer(from_fn(refuse_browsers))
}

/// A page in a browser can reach a local socket only through a proxy that somebody set up; it is not for browsers.
async fn refuse_browsers(request: Request, next: Next) -> Response {
    if request.headers().contains_key(header::ORIGIN) {
        let refusal = bad(StatusCode::FORBIDDEN, "browser_refused", "requests with an Origin are refused");
        return Refused::from(refusal).into_response();
    }
    next.run(request).await
}

type Asks = State<Ports>;
type Acts = Extension<Actor>;

async fn status(State(ports): Asks) -> Answered<Status> {
    answered(ports.reader.status().await)
}

#[derive(Serialize)]
struct Tasks {
    tasks: Vec<TaskView>,
}

async fn tasks(State(ports): Asks) -> Answered<Tasks> {
    answered(ports.reader.status().await.map(|s| Tasks { tasks: s.tasks }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JobsParams {
    q: Option<String>,
    after: Option<String>,
    limit: Option<u32>,
    since_rev: Option<i64>,
}

async fn jobs(State(ports): Asks, Params(p): Params<JobsParams>) -> Answered<JobsPage> {
    let filter = filter(p.q.as_deref())?;
    let limit = Some(p.limit.unwrap_or(JOBS_DEFAULT).min(PAGE_MAX));
    answered(ports.reader.jobs(JobsQuery { filter, after: p.after, limit, since_rev: p.since_rev }).await)
}

async fn job(State(ports): Asks, id: Id) -> Answered<JobDetail> {
    answered(ports.reader.job(id.job()).await)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InputParams {
    line: Option<u64>,
    context: Option<u32>,
}

async fn input(State(ports): Asks, id: Id, Params(p): Params<InputParams>) -> Answered<InputView> {
    let context = p.context.unwrap_or(CONTEXT_DEFAULT).min(CONTEXT_MAX);
    answered(ports.reader.input(id.job(), p.line.unwrap_or(1).max(1), context).await)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileParams {
    path: Option<String>,
    path_b64: Option<String>,
}

async fn files(State(ports): Asks, Params(p): Params<FileParams>) -> Answered<JobsPage> {
    let path = match (p.path, p.path_b64) {
        (Some(path), None) => PathBuf::from(path),
        (None, Some(b64)) => decoded(&b64)?,
        _ => return Err(bad(StatusCode::BAD_REQUEST, "bad_query", "one of path and path_b64 is needed").into()),
    };
    answered(ports.reader.file(absolute(path)?).await)
}

async fn schedule(State(ports): Asks) -> Answered<SchedulesPage> {
    answered(ports.reader.schedules().await)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogsParams {
    job: Option<i64>,
    task: Option<String>,
    level: Option<String>,
    q: Option<String>,
    from: Option<u64>,
    limit: Option<u32>,
}

impl TryFrom<LogsParams> for LogsQuery {
    type Error = Refusal;

    fn try_from(p: LogsParams) -> Result<Self, Refusal> {
        let level = match p.level {
            None => None,
            Some(name) => Some(Level::from_name(&name).ok_or_else(|| {
                bad(StatusCode::BAD_REQUEST, "bad_query", format!("no such level: {name:?}"))
                    .hint(format!("one of {}", Level::ALL.map(Level::name).join(", ")))
            })?),
        };
        let limit = p.limit.unwrap_or(LOGS_DEFAULT).min(PAGE_MAX);
        Ok(Self { job: p.job.map(JobId), task: p.task, level, search: p.q, from: p.from, limit })
    }
}

async fn logs(State(ports): Asks, Params(p): Params<LogsParams>) -> Answered<LogsPage> {
    answered(ports.reader.logs(p.try_into()?).await)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WhyParams {
    job: Option<i64>,
    task: Option<String>,
}

async fn why(State(ports): Asks, Params(p): Params<WhyParams>) -> Answered<WhyView> {
    match (p.job, p.task) {
        (Some(id), None) => answered(ports.explain.why_job(JobId(id)).await),
        (None, Some(task)) => answered(ports.explain.why_task(task).await),
        _ => Err(bad(StatusCode::BAD_REQUEST, "bad_query", "one of job and task is needed").into()),
    }
}

async fn select(State(ports): Asks, Extension(actor): Acts, JsonBody(b): JsonBody<SelectBody>) -> Answered<Selection> {
    let filter = filter(Some(&b.q))?;
    answered(ports.commands.select(actor, filter).await)
}

async fn retry_jobs(State(ports): Asks, Extension(actor): Acts, JsonBody(b): JsonBody<ActBody>) -> Answered<Done> {
    answered(ports.commands.retry(actor, several(b.ids)?).await)
}

async fn skip_jobs(State(ports): Asks, Extension(actor): Acts, JsonBody(b): JsonBody<ActBody>) -> Answered<Done> {
    let target = several(b.ids)?;
    answered(ports.commands.skip(actor, target, reason(b.reason)?).await)
}

async fn cancel_jobs(State(ports): Asks, Extension(actor): Acts, JsonBody(b): JsonBody<ActBody>) -> Answered<Done> {
    answered(ports.commands.cancel(actor, several(b.ids)?).await)
}

async fn retry_job(ports: Asks, actor: Acts, id: Id, JsonBody(b): JsonBody<ActBody>) -> Answered<Done> {
    retry_jobs(ports, actor, JsonBody(only(id, b)?)).await
}

async fn skip_job(ports: Asks, actor: Acts, id: Id, JsonBody(b): JsonBody<ActBody>) -> Answered<Done> {
    skip_jobs(ports, actor, JsonBody(only(id, b)?)).await
}

async fn cancel_job(ports: Asks, actor: Acts, id: Id, JsonBody(b): JsonBody<ActBody>) -> Answered<Done> {
    cancel_jobs(ports, actor, JsonBody(only(id, b)?)).await
}

async fn retry_selection(
    State(ports): Asks,
    Extension(actor): Acts,
    id: Id,
    JsonBody(b): JsonBody<ActBody>,
) -> Answered<Done> {
    answered(ports.commands.retry(actor, selected(id, &b)?).await)
}

async fn skip_selection(
    State(ports): Asks,
    Extension(actor): Acts,
    id: Id,
    JsonBody(b): JsonBody<ActBody>,
) -> Answered<Done> {
    let target = selected(id, &b)?;
    answered(ports.commands.skip(actor, target, reason(b.reason)?).await)
}

async fn cancel_selection(
    State(ports): Asks,
    Extension(actor): Acts,
    id: Id,
    JsonBody(b): JsonBody<ActBody>,
) -> Answered<Done> {
    answered(ports.commands.cancel(actor, selected(id, &b)?).await)
}

async fn trigger(
    State(ports): Asks,
    Extension(actor): Acts,
    Named(task): Named,
    JsonBody(b): JsonBody<TriggerBody>,
) -> Answered<Triggered> {
    let input = match b.input_b64 {
        None => None,
        Some(b64) => Some(absolute(decoded(&b64)?)?),
    };
    answered(ports.commands.trigger(actor, task, input).await)
}

/// The body of an action that takes no arguments.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoArguments {}

type Bare = JsonBody<NoArguments>;

async fn pause_task(State(ports): Asks, Extension(actor): Acts, Named(task): Named, _: Bare) -> Answered<Paused> {
    answered(ports.commands.pause(actor, Some(task)).await)
}

async fn resume_task(State(ports): Asks, Extension(actor): Acts, Named(task): Named, _: Bare) -> Answered<Nothing> {
    done(ports.commands.resume(actor, Some(task)).await)
}

async fn pause_all(State(ports): Asks, Extension(actor): Acts, _: Bare) -> Answered<Paused> {
    answered(ports.commands.pause(actor, None).await)
}

async fn resume_all(State(ports): Asks, Extension(actor): Acts, _: Bare) -> Answered<Nothing> {
    done(ports.commands.resume(actor, None).await)
}

async fn reload(State(ports): Asks, Extension(actor): Acts, _: Bare) -> Answered<ReloadAnswer> {
    answered(ports.commands.reload(actor).await.map(|changes| ReloadAnswer { changes }))
}

async fn stop(State(ports): Asks, Extension(actor): Acts, JsonBody(b): JsonBody<StopBody>) -> Answered<Nothing> {
    done(ports.commands.stop(actor, b.now).await)
}

async fn restart(State(ports): Asks, Extension(actor): Acts, _: Bare) -> Answered<Nothing> {
    done(ports.commands.restart(actor).await)
}

async fn alerts(State(ports): Asks) -> Answered<AlertsView> {
    answered(ports.reader.alerts().await)
}

async fn test_one(
    State(ports): Asks,
    Extension(actor): Acts,
    Named(channel): Named,
    _: Bare,
) -> Answered<Vec<TestedView>> {
    answered(ports.commands.alert_test(actor, Some(channel)).await)
}

async fn test_all(State(ports): Asks, Extension(actor): Acts, _: Bare) -> Answered<Vec<TestedView>> {
    answered(ports.commands.alert_test(actor, None).await)
}

fn filter(q: Option<&str>) -> Result<crate::model::Filter, Refusal> {
    wire::filter(q).map_err(|e| bad(StatusCode::BAD_REQUEST, "bad_filter", e.message).hint(e.hint))
}

/// The jobs that a body names, each once, in its order.
fn several(mut ids: Vec<JobId>) -> Result<Target, Refusal> {
    let mut seen = HashSet::new();
    ids.retain(|id| seen.insert(*id));
    if ids.is_empty() {
        return Err(bad(StatusCode::BAD_REQUEST, "no_jobs", "no jobs are named").hint("send {\"ids\": [1, 2]}"));
    }
    Ok(Target::Jobs(ids))
}

/// The body for the one job that the path names.
fn only(id: Id, body: ActBody) -> Result<ActBody, Refusal> {
    if !body.ids.is_empty() {
        return Err(bad(StatusCode::BAD_REQUEST, "ids_twice", "the path names the job, the body must not"));
    }
    Ok(ActBody { ids: vec![id.job()], reason: body.reason })
}

fn selected(id: Id, body: &ActBody) -> Result<Target, Refusal> {
    if !body.ids.is_empty() {
        return Err(bad(StatusCode::BAD_REQUEST, "ids_twice", "the selection names the jobs, the body must not"));
    }
    Ok(Target::Selection(SelectionId(id.0)))
}

fn reason(reason: Option<String>) -> Result<String, Refusal> {
    let reason = reason.unwrap_or_default();
    let reason = reason.trim();
    if reason.is_empty() {
        let refusal = bad(StatusCode::BAD_REQUEST, "reason_required", "a reason is needed to skip a job");
        return Err(refusal.hint("send {\"reason\": \"…\"}"));
    }
    if reason.chars().count() > REASON_MAX {
        let message = format!("the reason is longer than {REASON_MAX} characters");
        return Err(bad(StatusCode::BAD_REQUEST, "reason_too_long", message));
    }
    Ok(reason.to_owned())
}

fn decoded(b64: &str) -> Result<PathBuf, Refusal> {
    base64::engine::general_purpose::STANDARD
        .decode(b64)
        .map(|bytes| PathBuf::from(OsString::from_vec(bytes)))
        .map_err(|e| bad(StatusCode::BAD_REQUEST, "bad_base64", format!("the path is not base64: {e}")))
}

/// The server's working folder means nothing to a client.
fn absolute(path: PathBuf) -> Result<PathBuf, Refusal> {
    let is_url = path.to_str().is_some_and(|s| s.starts_with("http://") || s.starts_with("https://"));
    if path.is_absolute() || is_url {
        return Ok(path);
    }
    let message = format!("not an absolute path: {}", crate::model::text::path(&path));
    Err(bad(StatusCode::BAD_REQUEST, "relative_path", message))
}

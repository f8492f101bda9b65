//! `fetch`: some URLs, now, without a configuration and without a queue. The same requests as in a task, with the same
//! politeness; each answer becomes visible as soon as it is whole.

use super::client_runtime;
use super::local::{LocalDesk, Placed};
use super::options::{self, pairs, text_node, words};
use super::signals::Signals;
use crate::actions::fetch::spec::Spec;
use crate::actions::fetch::{Fetch, shown};
use crate::cli::Out;
use crate::cli::args::Fetch as FetchArgs;
use crate::cli::fetch::{Fetched, Progress};
use crate::clock::{Clock, SystemClock};
use crate::error::{Exit, Fatal};
use crate::files::reserve::Names;
use crate::model::action::network::{HOST_CLOSED, Item};
use crate::model::action::{Action, PlanOrder, Report};
use crate::model::block::{Entry, Node, Value};
use crate::model::{Failure, FailureClass, JobId, JobOrder, Millis, RetryPolicy, RunId, Vars, Work, text};
use crate::runtime::{Gate, Tracker};
use futures_util::{StreamExt, stream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Between two states of the progress line.
const TICK: Duration = Duration::from_millis(200);
/// Largest answer that is printed, in bytes; a larger one needs a file.
const PRINT_MAX: u64 = 256 << 20;

/// Everything that the URLs of one command share.
struct Session {
    action: Arc<Fetch>,
    args: FetchArgs,
    base: PathBuf,
    scratch: PathBuf,
    tracker: Arc<Tracker>,
    gate: Gate,
    names: Arc<Names>,
    stop: CancellationToken,
    retry: RetryPolicy,
    started: Millis,
}

/// Runs the command.
pub fn run(args: &FetchArgs, out: &mut Out) -> Result<Exit, Fatal> {
    let here =
        std::env::current_dir().map_err(|e| Fatal::new(Exit::Failed, "cannot tell the working folder").because(e))?;
    let scratch =
        tempfile::tempdir().map_err(|e| Fatal::new(Exit::Failed, "cannot make a temporary folder").because(e))?;
    let base = args.output.as_ref().map_or_else(|| scratch.path().to_owned(), |folder| here.join(folder));
    let spec = options::read(entries(args), &here, Spec::read, |_| None)?;
    let runtime = client_runtime()?;
    let tracker = Arc::new(Tracker::new(runtime.handle().clone()));
    let stop = CancellationToken::new();
    let gate = Gate::new(&*tracker, Arc::new(SystemClock), stop.clone());
    let session = Session {
        action: Arc::new(Fetch::new(spec)),
        args: args.clone(),
        base,
        scratch: scratch.path().to_owned(),
        tracker,
        gate,
        names: Arc::new(Names::default()),
        stop,
        retry: RetryPolicy { attempts: args.attempts, ..RetryPolicy::default() },
        started: SystemClock.now(),
    };
    let order = PlanOrder { planned_at: session.started, timezone: chrono_tz::UTC, base: here, upstream: Vec::new() };
    let items = session.action.plan(&order).map_err(|failure| Fatal::new(Exit::Usage, failure.message))?;
    let mut items = items.enumerate().peekable();
    let first = items.next();
    let alone = args.output.is_none();
    if alone && items.peek().is_some() {
        let fatal = Fatal::new(Exit::Usage, "several URLs need a folder for their answers");
        return Err(fatal.hint("name one with -o DIR"));
    }
    runtime.block_on(session.fetch(first.into_iter().chain(items), alone, out))
}

impl Session {
    async fn fetch(
        &self,
        items: impl Iterator<Item = (usize, Result<Item, Failure>)>,
        alone: bool,
        out: &mut Out,
    ) -> Result<Exit, Fatal> {
        let mut signals = Signals::listen()?;
        let mut progress = Progress::new(self.args.quiet || out.is_json());
        let at_once = usize::try_from(self.args.concurrency).unwrap_or(1);
        let mut under_way = stream::iter(items).map(|(n, item)| self.one(n, item)).buffer_unordered(at_once);
        let mut tick = tokio::time::interval(TICK);
        let mut all = Vec::new();
        let mut body = None;
        loop {
            tokio::select! {
                next = under_way.next() => match next {
                    None => break,
                    Some((fetched, path)) => {
                        progress.count(&fetched, out);
                        body = path.filter(|_| alone);
                        if out.is_json() {
                            all.push(fetched);
                        }
                    }
                },
                _ = tick.tick() => progress.show(at_once),
                () = signals.next() => self.stop.cancel(),
            }
        }
        drop(under_way);
        progress.sum(alone, out);
        if let Some(path) = body {
            out.document(&printable(&path)?);
        } else if out.is_json() {
            out.json(&all);
        }
        Ok(if progress.all_ok() { Exit::Ok } else { Exit::Failed })
    }

    /// One URL to its end, tried again where that may help.
    async fn one(&self, n: usize, item: Result<Item, Failure>) -> (Fetched, Option<PathBuf>) {
        let ended = |url: &str, attempts, call, error| Fetched {
            url: if url.is_empty() { String::new() } else { shown(url) },
            output: None,
            call,
            attempts,
            error,
        };
        let item = match item {
            Ok(item) => item,
            Err(failure) => return (ended("", 0, None, Some(failure)), None),
        };
        if self.stop.is_cancelled() {
            let stopped = Failure::transient("stopped", "stopped on request");
            return (ended(&item.input, 0, None, Some(stopped)), None);
        }
        let job = JobId(i64::try_from(n).unwrap_or(i64::MAX).saturating_add(1));
        let (mut attempt, mut spent) = (0, 0);
        loop {
            attempt += 1;
            let desk = LocalDesk::new(self.args.force, Arc::clone(&self.tracker), Arc::new(self.gate.clone()))
                .with_names(Arc::clone(&self.names))
                .stopped_by(self.stop.clone());
            let desk = Arc::new(desk);
            let result = self.attempt(job, i64::from(attempt), &item, &desk).await;
            let placed = match result {
                Ok(report) => {
                    let placer = Arc::clone(&desk);
                    let placed = self.tracker.run(move || placer.place()).await;
                    placed.unwrap_or_else(|| Err(panicked())).map(|placed| (report, placed))
                }
                Err(failure) => Err(failure),
            };
            match placed {
                Ok((report, Placed { outputs, .. })) => {
                    let path = outputs.first().cloned();
                    return (ended(&item.input, attempt, report.call, None).at(path.as_ref()), path);
                }
                Err(failure) => {
                    desk.drop_all();
                    let is_held = failure.code == HOST_CLOSED;
                    spent += u32::from(!is_held);
                    let goes_on = is_held || (failure.class.is_retried() && spent < self.retry.attempts);
                    if !goes_on || self.stop.is_cancelled() {
                        return (ended(&item.input, attempt, failure.call, Some(failure)), None);
                    }
                    self.wait(job, i64::from(attempt), spent, failure.not_before).await;
                }
            }
        }
    }

    async fn attempt(&self, job: JobId, attempt: i64, item: &Item, desk: &Arc<LocalDesk>) -> Result<Report, Failure> {
        let vars = Vars {
            name: self.action.item_name(&item.input),
            task: "fetch".into(),
            date: crate::clock::date_in(self.started, chrono_tz::UTC),
            job: job.0,
            n: job.0,
            host: item.lane.to_string(),
            ..Vars::default()
        };
        let order = JobOrder {
            job,
            run: RunId(0),
            attempt,
            planned_at: self.started,
            key: format!("fetch-{}-{}-{job}", std::process::id(), self.started.0),
            vars,
            base: self.base.clone(),
            input: None,
            item: Some(item.input.clone()),
            upstream: Vec::new(),
            scratch: self.scratch.join(job.to_string()),
            desk: Arc::clone(desk) as Arc<dyn crate::model::Desk>,
        };
        let scratch = order.scratch.clone();
        let result = match Arc::clone(&self.action).work(order) {
            Work::Async(work) => work.await,
            Work::Blocking(work) => self.tracker.run(work).await.unwrap_or_else(|| Err(panicked())),
        };
        // It is there only if something was spooled to it.
        let _ = std::fs::remove_dir_all(scratch);
        result
    }

    async fn wait(&self, job: JobId, attempt: i64, spent: u32, not_before: Option<Millis>) {
        let asked = not_before.map_or(Duration::ZERO, |at| at.since(SystemClock.now()));
        let delay = self.retry.delay(job, attempt, spent).max(asked);
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = self.stop.cancelled() => {}
        }
    }
}

fn panicked() -> Failure {
    Failure::new(FailureClass::Panic, "panic", "the work panicked: this is a fault of the program")
}

/// The answer, to be printed.
fn printable(path: &Path) -> Result<Vec<u8>, Fatal> {
    let fault = |e: &std::io::Error| Fatal::io("read", path, e);
    let size = path.metadata().map_err(|e| fault(&e))?.len();
    if size > PRINT_MAX {
        let message = format!("the answer has {} bytes, which is too much to print", text::count(size));
        return Err(Fatal::new(Exit::Failed, message).hint("give it a folder with -o DIR"));
    }
    std::fs::read(path).map_err(|e| fault(&e))
}

fn entries(args: &FetchArgs) -> Vec<Entry> {
    let mut made = Vec::new();
    let mut add = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            made.push(Entry { key: key.into(), key_span: 0..0, node: Node { span: 0..0, value } });
        }
    };
    let word = |text: &Option<String>| text.clone().map(Value::String);
    let table = |entries: Vec<(&str, Value)>| {
        let entry =
            |(key, value): (&str, Value)| Entry { key: key.into(), key_span: 0..0, node: Node { span: 0..0, value } };
        Value::Table(entries.into_iter().map(entry).collect())
    };
    add("urls", words(&args.urls));
    add("concurrency", Some(Value::Integer(args.concurrency)));
    let mut per_host = vec![("concurrency", Value::Integer(args.concurrency))];
    per_host.extend(args.rate.clone().map(|rate| ("rate", Value::String(rate))));
    add("per_host", Some(table(per_host)));
    add("output", Some(Value::String(args.name.clone().unwrap_or_else(|| "{name}".to_owned()))));
    let method = args.method.clone().or_else(|| args.body.as_ref().map(|_| "POST".to_owned()));
    add("method", method.map(Value::String));
    add("headers", pairs(&args.headers));
    add(
        "body",
        args.body.as_ref().map(|body| table(vec![("type", text_node(&args.body_type)), ("text", text_node(body))])),
    );
    let env = |name: &String| table(vec![("bearer", table(vec![("env", text_node(name))]))]);
    add("auth", args.bearer_env.as_ref().map(env));
    add("deadlines", args.timeout.as_ref().map(|time| table(vec![("total", text_node(time))])));
    add("max_bytes", word(&args.max_bytes));
    add("ca_file", word(&args.ca_file));
    add("proxy", word(&args.proxy));
    made
}

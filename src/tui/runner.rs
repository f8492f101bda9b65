//! Carries out commands with the client, and brings what comes back as messages. Starts no tasks: everything under way
//! is polled by the one loop, and ends with it.
//!
//! A lost supervisor is tried again with growing pauses, for ever; the dashboard never leaves by itself.

use super::msg::{Cmd, LogScope, Msg, Verb};
use super::rows::PAGE;
use crate::control::client::{Client, ClientError, Events, LogEvents};
use crate::model::ports::{JobsQuery, LogsQuery, Target};
use crate::model::view::{Done, LogsPage, TestedView, Tick};
use futures_util::StreamExt as _;
use futures_util::future::{AbortHandle, BoxFuture, FutureExt as _, abortable};
use futures_util::stream::FuturesUnordered;
use std::time::Duration;

/// Requests under way at once; a further action is refused. The dashboard itself needs about seven.
const UNDER_WAY_MAX: usize = 32;
/// Pause before the first new try of a lost connection; doubled each time.
const RETRY_FIRST: Duration = Duration::from_millis(250);
/// Longest pause between two tries.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// Lines of the log read when it is opened.
const LOG_TAIL: u32 = 500;

/// What a piece of work brought.
enum Brought {
    Message(Msg),
    Heard(Listener, Msg),
    Read(Follower, u64, LogsPage),
    Status(Msg),
    Nothing,
}

/// Everything under way.
pub struct Runner {
    client: Client,
    work: FuturesUnordered<BoxFuture<'static, Brought>>,
    log: Option<AbortHandle>,
    /// A status was asked for, and whether another one is wanted after it.
    status: Option<bool>,
}

impl Runner {
    /// Starts to listen to the supervisor.
    #[must_use]
    pub fn new(client: Client) -> Self {
        let listener = Listener { client: client.clone(), events: None, pause: Duration::ZERO };
        let work = FuturesUnordered::new();
        work.push(listener.step().boxed());
        Self { client, work, log: None, status: None }
    }

    /// The next message. May be given up at any time without losing any.
    pub async fn next(&mut self) -> Msg {
        loop {
            match self.work.next().await {
                Some(Brought::Message(msg)) => return msg,
                Some(Brought::Heard(listener, msg)) => {
                    self.work.push(listener.step().boxed());
                    return msg;
                }
                Some(Brought::Read(follower, epoch, page)) => {
                    self.read(follower);
                    return Msg::Logs(epoch, page);
                }
                Some(Brought::Status(msg)) => {
                    if self.status.take() == Some(true) {
                        self.ask_status();
                    }
                    return msg;
                }
                Some(Brought::Nothing) => {}
                // The listener is always under way; without it there is nothing to wait for.
                None => std::future::pending::<()>().await,
            }
        }
    }

    /// Carries out a command that is not about the terminal.
    pub fn carry_out(&mut self, cmd: Cmd) {
        let client = self.client.clone();
        if self.work.len() >= UNDER_WAY_MAX
            && let Some(msg) = too_many(&cmd)
        {
            return self.bring(std::future::ready(msg));
        }
        match cmd {
            Cmd::Status => self.ask_status(),
            Cmd::Jobs(request, filter) => self.bring(async move {
                let query = JobsQuery { filter, after: request.after.clone(), limit: Some(PAGE), since_rev: None };
                let page = client.jobs(&query).await.map_err(|e| say(&e));
                Msg::Jobs(request, page)
            }),
            Cmd::Detail(id) => {
                self.bring(async move { Msg::Detail(id, client.job(id).await.map(Box::new).map_err(|e| say(&e))) });
            }
            Cmd::Schedules => {
                self.bring(async move { Msg::Schedules(client.schedules().await.map(Box::new).map_err(|e| say(&e))) });
            }
            Cmd::Alerts => {
                self.bring(async move { Msg::Alerts(client.alerts().await.map(Box::new).map_err(|e| say(&e))) });
            }
            Cmd::Test(channel) => self.bring(async move {
                let tested = client.alert_test(Some(&channel)).await.map_err(|e| say(&e));
                let refused =
                    |all: Vec<TestedView>| all.into_iter().find(|t| !t.ok).map(|t| t.error.unwrap_or_default());
                let result = tested.and_then(|all| refused(all).map_or(Ok(()), Err));
                Msg::Tested(channel, result)
            }),
            Cmd::Follow(epoch, scope) => self.read(Follower::new(client, epoch, scope)),
            Cmd::Select(number, filter) => {
                let q = filter.to_string();
                self.bring(async move { Msg::Selected(number, client.select(&q).await.map_err(|e| say(&e))) });
            }
            Cmd::Act(verb, target, reason) => self
                .bring(async move { Msg::Acted(verb, act(&client, verb, target, reason).await.map_err(|e| say(&e))) }),
            Cmd::Trigger(task) => self.bring(async move {
                let result = client.trigger(&task, None).await.map_err(|e| say(&e));
                Msg::Triggered(task, result)
            }),
            Cmd::Switch { task, pause } => self.bring(async move {
                let result = if pause {
                    client.pause(task.as_deref()).await.map(|_| ())
                } else {
                    client.resume(task.as_deref()).await
                };
                Msg::Switched { task, paused: pause, result: result.map_err(|e| say(&e)) }
            }),
            // About the terminal: the loop has done them.
            Cmd::Feed(_) | Cmd::Copy(_) | Cmd::Mouse(_) | Cmd::Suspend | Cmd::Repaint | Cmd::Leave => {}
        }
    }

    fn bring(&mut self, work: impl Future<Output = Msg> + Send + 'static) {
        self.work.push(work.map(Brought::Message).boxed());
    }

    /// One status at a time; asked for meanwhile, it is read once more afterwards.
    fn ask_status(&mut self) {
        if self.status.is_some() {
            self.status = Some(true);
            return;
        }
        self.status = Some(false);
        let client = self.client.clone();
        let ask = async move {
            match client.status().await {
                Ok(status) => Brought::Status(Msg::Status(Box::new(status))),
                Err(error) => Brought::Status(Msg::Unknown(say(&error))),
            }
        };
        self.work.push(ask.boxed());
    }

    /// Reads on in a log. What was read before is given up.
    fn read(&mut self, follower: Follower) {
        if let Some(before) = self.log.take() {
            before.abort();
        }
        let (work, handle) = abortable(follower.step());
        self.log = Some(handle);
        self.work.push(work.map(|brought| brought.unwrap_or(Brought::Nothing)).boxed());
    }
}

/// The answer to an action when too much is under way already.
fn too_many(cmd: &Cmd) -> Option<Msg> {
    let why = "too much is under way: wait for it".to_owned();
    match cmd {
        Cmd::Select(number, _) => Some(Msg::Selected(*number, Err(why))),
        Cmd::Act(verb, ..) => Some(Msg::Acted(*verb, Err(why))),
        Cmd::Test(channel) => Some(Msg::Tested(channel.clone(), Err(why))),
        Cmd::Trigger(task) => Some(Msg::Triggered(task.clone(), Err(why))),
        Cmd::Switch { task, pause } => Some(Msg::Switched { task: task.clone(), paused: *pause, result: Err(why) }),
        _ => None,
    }
}

fn say(error: &ClientError) -> String {
    match error.hint() {
        Some(hint) => format!("{error} ({hint})"),
        None => error.to_string(),
    }
}

async fn act(client: &Client, verb: Verb, target: Target, reason: Option<String>) -> Result<Done, ClientError> {
    match verb {
        Verb::Retry => client.retry(target).await,
        Verb::Skip => client.skip(target, reason.unwrap_or_default()).await,
        Verb::Cancel => client.cancel(target).await,
    }
}

/// Listens to the ticks; connects again when they end.
struct Listener {
    client: Client,
    events: Option<Events>,
    pause: Duration,
}

impl Listener {
    async fn step(mut self) -> Brought {
        let msg = match &mut self.events {
            Some(events) => match events.next().await {
                Some(tick) => tick_message(tick),
                None => {
                    self.events = None;
                    Msg::Lost("the supervisor has stopped or cannot be heard".to_owned())
                }
            },
            None => {
                tokio::time::sleep(self.pause).await;
                self.pause = (self.pause * 2).clamp(RETRY_FIRST, RETRY_MAX);
                match self.client.events().await {
                    Ok(events) => {
                        (self.events, self.pause) = (Some(events), RETRY_FIRST);
                        Msg::Connected
                    }
                    Err(error) => Msg::Lost(error.to_string()),
                }
            }
        };
        Brought::Heard(self, msg)
    }
}

fn tick_message(tick: Tick) -> Msg {
    Msg::Tick(Box::new(tick))
}

/// Reads a log as it grows; opens it again where it broke off.
struct Follower {
    client: Client,
    epoch: u64,
    query: LogsQuery,
    lines: Option<LogEvents>,
}

impl Follower {
    fn new(client: Client, epoch: u64, scope: LogScope) -> Self {
        let LogScope { job, task, level, search } = scope;
        let query = LogsQuery { job, task, level, search, from: None, limit: LOG_TAIL };
        Self { client, epoch, query, lines: None }
    }

    async fn step(mut self) -> Brought {
        loop {
            if let Some(lines) = &mut self.lines {
                if let Some(page) = lines.next().await {
                    self.query.from = Some(page.next);
                    let epoch = self.epoch;
                    return Brought::Read(self, epoch, page);
                }
                self.lines = None;
            }
            match self.client.log_events(&self.query).await {
                Ok(lines) => self.lines = Some(lines),
                Err(_) => tokio::time::sleep(RETRY_MAX).await,
            }
        }
    }
}

//! The client as the ports that the command line and the dashboard are written against. The actor that a caller
//! names is ignored: the server asks the kernel who its peer is.

use super::{Client, Events};
use crate::model::ports::{
    Actor, Answer, BoxFuture2, Commands, Explain, JobsQuery, LogsQuery, Reader, Refusal, Target, Ticks,
};
use crate::model::view::{
    AlertsView, Done, InputView, JobDetail, JobsPage, LogsPage, Paused, SchedulesPage, Selection, Status, TestedView,
    Tick, Triggered, WhyView,
};
use crate::model::{Filter, JobId};
use std::path::PathBuf;

/// Runs a call on a clone of the client, so that the answer borrows nothing.
macro_rules! call {
    ($client:expr, |$c:ident| $call:expr) => {{
        let $c = $client.clone();
        Box::pin(async move { $call.await.map_err(Refusal::from) })
    }};
}

impl Reader for Client {
    fn status(&self) -> Answer<Status> {
        call!(self, |c| c.status())
    }

    fn jobs(&self, query: JobsQuery) -> Answer<JobsPage> {
        call!(self, |c| c.jobs(&query))
    }

    fn job(&self, id: JobId) -> Answer<JobDetail> {
        call!(self, |c| c.job(id))
    }

    fn input(&self, id: JobId, line: u64, context: u32) -> Answer<InputView> {
        call!(self, |c| c.input(id, line, context))
    }

    fn file(&self, path: PathBuf) -> Answer<JobsPage> {
        call!(self, |c| c.file(&path))
    }

    fn logs(&self, query: LogsQuery) -> Answer<LogsPage> {
        call!(self, |c| c.logs(&query))
    }

    fn schedules(&self) -> Answer<SchedulesPage> {
        call!(self, |c| c.schedules())
    }

    fn alerts(&self) -> Answer<AlertsView> {
        call!(self, |c| c.alerts())
    }

    fn ticks(&self) -> Box<dyn Ticks> {
        Box::new(RemoteTicks { client: self.clone(), events: None })
    }
}

impl Commands for Client {
    fn select(&self, _: Actor, filter: Filter) -> Answer<Selection> {
        call!(self, |c| c.select(&filter.to_string()))
    }

    fn retry(&self, _: Actor, target: Target) -> Answer<Done> {
        call!(self, |c| c.retry(target))
    }

    fn skip(&self, _: Actor, target: Target, reason: String) -> Answer<Done> {
        call!(self, |c| c.skip(target, reason))
    }

    fn cancel(&self, _: Actor, target: Target) -> Answer<Done> {
        call!(self, |c| c.cancel(target))
    }

    fn trigger(&self, _: Actor, task: String, input: Option<PathBuf>) -> Answer<Triggered> {
        call!(self, |c| c.trigger(&task, input))
    }

    fn pause(&self, _: Actor, task: Option<String>) -> Answer<Paused> {
        call!(self, |c| c.pause(task.as_deref()))
    }

    fn resume(&self, _: Actor, task: Option<String>) -> Answer<()> {
        call!(self, |c| c.resume(task.as_deref()))
    }

    fn reload(&self, _: Actor) -> Answer<Vec<String>> {
        call!(self, |c| c.reload())
    }

    fn stop(&self, _: Actor, now: bool) -> Answer<()> {
        call!(self, |c| c.stop(now))
    }

    fn restart(&self, _: Actor) -> Answer<()> {
        call!(self, |c| c.restart())
    }

    fn alert_test(&self, _: Actor, channel: Option<String>) -> Answer<Vec<TestedView>> {
        call!(self, |c| c.alert_test(channel.as_deref()))
    }
}

impl Explain for Client {
    fn why_job(&self, id: JobId) -> Answer<WhyView> {
        call!(self, |c| c.why_job(id))
    }

    fn why_task(&self, task: String) -> Answer<WhyView> {
        call!(self, |c| c.why_task(&task))
    }
}

/// The tick stream of a supervisor, opened at the first wait.
struct RemoteTicks {
    client: Client,
    events: Option<Events>,
}

impl Ticks for RemoteTicks {
    fn next(&mut self) -> BoxFuture2<'_, Option<Tick>> {
        Box::pin(async move {
            let events = match &mut self.events {
                Some(events) => events,
                empty => empty.insert(self.client.events().await.ok()?),
            };
            events.next().await
        })
    }
}

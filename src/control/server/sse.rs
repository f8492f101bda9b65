//! The two event streams. Nothing is queued for a reader: the next value is asked for when the last one is written, so
//! a slow reader misses ticks (each holds whole values) and reads the log later, and neither delays anybody.

use super::Ports;
use super::answer::{Params, Refused, bad};
use super::routes::LogsParams;
use crate::control::wire::{ErrorBody, ErrorInfo};
use crate::model::ports::{LogsQuery, Reader, Ticks};
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use futures_util::stream::{self, Stream};
use serde::Serialize;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A comment is sent after this long without an event, so that both sides notice when the other is gone.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(15);
/// The log is looked at again at least this often while a stream waits for it.
const LOG_PAUSE: Duration = Duration::from_millis(500);

/// `GET events`: a `tick` event at most four times a second.
pub(super) async fn ticks(State(ports): State<Ports>, Extension(closing): Extension<CancellationToken>) -> Response {
    let events = stream::unfold(ports.reader.ticks(), async |mut ticks| {
        let tick = ticks.next().await?;
        Some((event("tick", None, &tick), ticks))
    });
    respond(events, closing)
}

/// `GET logs/stream`: `log` events, each a page of new lines; its id is where to go on. `Last-Event-ID` wins over
/// `from`, as a client that reconnects repeats its first address.
pub(super) async fn logs(
    State(ports): State<Ports>,
    Extension(closing): Extension<CancellationToken>,
    headers: HeaderMap,
    Params(params): Params<LogsParams>,
) -> Result<Response, Refused> {
    let mut query = LogsQuery::try_from(params)?;
    if let Some(id) = headers.get("last-event-id") {
        let id = id.to_str().ok().and_then(|id| id.parse().ok());
        query.from =
            Some(id.ok_or_else(|| bad(StatusCode::BAD_REQUEST, "bad_event_id", "Last-Event-ID is not a number"))?);
    }
    let tail = Tail { ticks: ports.reader.ticks(), reader: ports.reader, query, state: TailState::First };
    Ok(respond(stream::unfold(tail, Tail::next), closing))
}

/// Reads the log as it grows.
struct Tail {
    reader: Arc<dyn Reader>,
    ticks: Box<dyn Ticks>,
    query: LogsQuery,
    state: TailState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TailState {
    /// Nothing sent yet: the first page goes out even when it is empty, because it says where to go on.
    First,
    /// More may be there already.
    Behind,
    /// Everything was sent.
    Level,
    /// The supervisor is stopping: one last look.
    Last,
    /// Over.
    Ended,
}

impl Tail {
    async fn next(mut self) -> Option<(Event, Self)> {
        loop {
            match self.state {
                TailState::Ended => return None,
                TailState::Level => self.wait().await,
                TailState::First | TailState::Behind | TailState::Last => {}
            }
            let page = match self.reader.logs(self.query.clone()).await {
                Ok(page) => page,
                Err(refusal) => {
                    self.state = TailState::Ended;
                    let error = ErrorInfo { code: refusal.code, message: refusal.message, hint: refusal.hint };
                    return Some((event("error", None, &ErrorBody { error }), self));
                }
            };
            let is_full = page.lines.len() >= usize::try_from(self.query.limit).unwrap_or(usize::MAX);
            let is_news = !page.lines.is_empty() || page.gap > 0 || self.state == TailState::First;
            self.query.from = Some(page.next);
            self.state = match self.state {
                TailState::Last if !is_full => TailState::Ended,
                TailState::Last => TailState::Last,
                _ if is_full => TailState::Behind,
                _ => TailState::Level,
            };
            if is_news {
                return Some((event("log", Some(page.next), &page), self));
            }
        }
    }

    async fn wait(&mut self) {
        tokio::select! {
            tick = self.ticks.next() => {
                self.state = if tick.is_some() { TailState::Behind } else { TailState::Last };
            }
            () = tokio::time::sleep(LOG_PAUSE) => self.state = TailState::Behind,
        }
    }
}

fn event(name: &str, id: Option<u64>, data: &impl Serialize) -> Event {
    let event = Event::default().event(name);
    let event = match id {
        Some(id) => event.id(id.to_string()),
        None => event,
    };
    match event.json_data(data) {
        Ok(event) => event,
        // The views hold nothing that JSON cannot say; if one ever does, the reader learns it.
        Err(_) => Event::default().event("error").data("{}"),
    }
}

fn respond(events: impl Stream<Item = Event> + Send + 'static, closing: CancellationToken) -> Response {
    let events = events.map(Ok::<_, Infallible>).take_until(closing.cancelled_owned());
    Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT).text("")).into_response()
}

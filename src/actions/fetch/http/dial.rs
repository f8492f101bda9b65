//! How far a request has come before its answer: whether a connection is being made for it, and since when it is there.
//!
//! The library does not say when a request leaves. A layer around its connector tells: a request for which no
//! connection was asked went out at once, on one that was kept; any other went out when the connection was there. So the
//! deadline for the first byte starts where it should, and it is known whether anything can have been sent.

use crate::actions::fetch::spec::Deadlines;
use reqwest::{Request, Response};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tower_layer::Layer;
use tower_service::Service;

tokio::task_local! {
    static STATE: Arc<watch::Sender<State>>;
}

/// Given to the library beyond its own deadline for connecting, so that its more exact answer comes first.
const GRACE: Duration = Duration::from_millis(100);

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No connection was asked for: it has one that was kept.
    Kept,
    /// One is being made.
    Dialling,
    /// It is there since then.
    Connected(Instant),
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Lost {
    /// The library says so.
    Error(reqwest::Error),
    /// Nothing came in this time after the request was sent.
    FirstByte(Duration),
    /// The whole took longer than this.
    Total(Duration),
}

impl Lost {
    /// Whether bytes of the request may have been sent.
    pub(super) fn was_sent(&self) -> bool {
        match self {
            Self::Error(e) => !e.is_connect() && !e.is_builder(),
            Self::FirstByte(_) | Self::Total(_) => true,
        }
    }
}

/// Sends a request and waits for the head of the answer, until `end` at the latest. While a connection is being made
/// the library's deadline for that counts, which is never later than the whole.
pub(super) async fn exchange(
    client: &reqwest::Client,
    request: Request,
    deadlines: &Deadlines,
    end: Instant,
) -> Result<Response, Lost> {
    let began = Instant::now();
    let (state, mut changes) = watch::channel(State::Kept);
    let mut answer = std::pin::pin!(STATE.scope(Arc::new(state), client.execute(request)));
    loop {
        let now = *changes.borrow_and_update();
        let first_byte = match now {
            State::Kept => began,
            State::Dialling => began + connect_max(deadlines) + GRACE,
            State::Connected(at) => at,
        } + deadlines.first_byte;
        let end = match now {
            State::Dialling => end.max(began + connect_max(deadlines) + GRACE),
            State::Kept | State::Connected(_) => end,
        };
        tokio::select! {
            biased;
            answer = &mut answer => return answer.map_err(Lost::Error),
            Ok(()) = changes.changed() => {}
            () = sleep_until(end.min(first_byte)) => {
                return Err(if first_byte < end { Lost::FirstByte(deadlines.first_byte) } else { Lost::Total(deadlines.total) });
            }
        }
    }
}

/// Longest time for name, connection and TLS.
pub(super) fn connect_max(deadlines: &Deadlines) -> Duration {
    deadlines.connect.min(deadlines.total)
}

/// Puts a [`Mark`] around the connector.
#[derive(Clone, Copy, Debug)]
pub(super) struct MarkLayer;

impl<S> Layer<S> for MarkLayer {
    type Service = Mark<S>;

    fn layer(&self, inner: S) -> Mark<S> {
        Mark(inner)
    }
}

/// A connector that tells the request for which it is asked.
#[derive(Clone, Debug)]
pub(super) struct Mark<S>(S);

impl<S, R> Service<R> for Mark<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, to: R) -> Self::Future {
        let state = STATE.try_with(Arc::clone).ok();
        if let Some(state) = &state {
            state.send_replace(State::Dialling);
        }
        let connecting = self.0.call(to);
        Box::pin(async move {
            let connection = connecting.await;
            if let (Some(state), Ok(_)) = (state, &connection) {
                state.send_replace(State::Connected(Instant::now()));
            }
            connection
        })
    }
}

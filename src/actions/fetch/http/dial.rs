//! How far a request has come before its answer: whether a connection is being made for it, and since when it is there.
//!
//! The pool does not say when a request leaves. The connector tells: a request for which no connection was asked went out
//! at once, on one that was kept; any other went out when the connection was there. So the deadline for the first byte
//! starts where it should, and it is known whether anything can have been sent.

use super::client::Connections;
use crate::actions::fetch::spec::Deadlines;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::client::legacy::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

tokio::task_local! {
    static PROGRESS: Arc<Progress>;
}

/// Given to the connector beyond its own deadline, so that its more exact answer comes first.
const GRACE: Duration = Duration::from_millis(100);

/// How far a request has come, as the connector tells it.
#[derive(Default)]
struct Progress {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// No connection was asked for: it has one that was kept.
    #[default]
    Kept,
    /// One is being made.
    Dialling,
    /// It is there since then.
    Connected(Instant),
}

impl Progress {
    fn get(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
        self.changed.notify_one();
    }
}

/// The request for which the connector was asked; it is told how far that is.
pub(super) struct Mark(Option<Arc<Progress>>);

impl Mark {
    /// A connection is being made.
    pub(super) fn dialling() -> Self {
        let mark = Self(PROGRESS.try_with(Arc::clone).ok());
        mark.set(State::Dialling);
        mark
    }

    /// It is there.
    pub(super) fn connected(&self) {
        self.set(State::Connected(Instant::now()));
    }

    fn set(&self, state: State) {
        if let Some(progress) = &self.0 {
            progress.set(state);
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Lost {
    /// The library says so.
    Error(Error),
    /// Nothing came in this time after the request was sent.
    FirstByte(Duration),
    /// The whole took longer than this.
    Total(Duration),
}

impl Lost {
    /// Whether bytes of the request may have been sent.
    pub(super) fn was_sent(&self) -> bool {
        match self {
            Self::Error(e) => !e.is_connect(),
            Self::FirstByte(_) | Self::Total(_) => true,
        }
    }
}

/// Sends a request and waits for the head of the answer, until `end` at the latest. While a connection is being made
/// the deadline for that counts, which is never later than the whole.
pub(super) async fn exchange(
    connections: &Connections,
    request: Request<Full<Bytes>>,
    deadlines: &Deadlines,
    end: Instant,
) -> Result<Response<Incoming>, Lost> {
    let began = Instant::now();
    let progress = Arc::<Progress>::default();
    let mut answer = std::pin::pin!(PROGRESS.scope(progress.clone(), connections.request(request)));
    loop {
        let connecting = began + connect_max(deadlines) + GRACE;
        let (sent, end) = match progress.get() {
            State::Kept => (began, end),
            State::Dialling => (connecting, end.max(connecting)),
            State::Connected(at) => (at, end),
        };
        let first_byte = sent + deadlines.first_byte;
        tokio::select! {
            biased;
            answer = &mut answer => return answer.map_err(Lost::Error),
            () = progress.changed.notified() => {}
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

//! The control server: HTTP/1.1 with JSON and server-sent events on a Unix socket.
//!
//! Guarantees: only admitted peers are answered ([`Access`]), every action carries the uid that the kernel tells, every
//! error is `{"error": {"code", "message", "hint"}}`, and what a peer can hold is bounded: connections, header time,
//! header and body size, page size. A slow reader of a stream misses ticks and delays nobody.
//!
//! Refuses: browsers (any request with an `Origin`), and bodies that do not say that they are JSON.
//!
//! All connections are driven by the one future that [`serve`] returns; nothing is started behind its back, and a
//! panic in one conversation ends that conversation alone.

mod answer;
mod peer;
mod routes;
mod socket;
mod sse;

pub use peer::Access;
pub use socket::{PATH_MAX, bind};

use super::wire::CONNECTIONS_MAX;
use crate::model::ports::{Actor, Commands, Explain, Reader};
use axum::Router;
use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

/// Time for the whole header of a request, idle time between two requests included; then the connection is closed.
pub const HEADER_TIME_MAX: Duration = Duration::from_secs(5);
/// Largest request header, in bytes; hyper refuses more.
pub const HEADER_MAX: usize = 64 * 1024;
/// Time that conversations have to end after the stop; then they are cut off.
pub const CLOSE_MAX: Duration = Duration::from_secs(2);
/// Pause after a failed accept (no file descriptors left, most likely), instead of a hot loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the server answers from.
#[derive(Clone)]
pub struct Ports {
    /// Reads.
    pub reader: Arc<dyn Reader>,
    /// Operator actions.
    pub commands: Arc<dyn Commands>,
    /// Why things do not run.
    pub explain: Arc<dyn Explain>,
}

/// Serves the socket until `stop` completes, then ends every conversation within [`CLOSE_MAX`] and removes the socket.
/// The caller holds the data lock until this returns.
pub async fn serve(listener: UnixListener, ports: Ports, access: Access, stop: impl Future<Output = ()>) {
    let closing = CancellationToken::new();
    let router = routes::router(ports, closing.clone());
    let access = Arc::new(access);
    let mut connections = FuturesUnordered::new();
    let mut stop = pin!(stop);
    let mut is_pausing = false;
    loop {
        tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept(), if !is_pausing => match accepted {
                // Dropping the stream closes it: the peer sees an end of file, not a wait.
                Ok(_) if connections.len() >= CONNECTIONS_MAX => {
                    tracing::warn!(max = CONNECTIONS_MAX, "too many connections, one was closed");
                }
                Ok((stream, _)) => {
                    let conversation = converse(stream, router.clone(), access.clone(), closing.clone());
                    connections.push(AssertUnwindSafe(conversation).catch_unwind());
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    is_pausing = true;
                }
            },
            () = tokio::time::sleep(ACCEPT_PAUSE), if is_pausing => is_pausing = false,
            Some(ended) = connections.next() => {
                if ended.is_err() {
                    tracing::error!("a conversation panicked and was closed");
                }
            }
        }
    }
    if let Some(path) = listener.local_addr().ok().as_ref().and_then(|a| a.as_pathname()) {
        // A socket left behind is removed by the next start; nothing is lost here.
        let _ = std::fs::remove_file(path);
    }
    drop(listener);
    closing.cancel();
    let _ = tokio::time::timeout(CLOSE_MAX, connections.for_each(|_| async {})).await;
}

/// Serves one connection to its end.
async fn converse(stream: UnixStream, router: Router, access: Arc<Access>, closing: CancellationToken) {
    let peer = match stream.peer_cred() {
        Ok(peer) => peer,
        Err(error) => {
            tracing::warn!(%error, "cannot tell who the peer is");
            return;
        }
    };
    let is_admitted = access.admits(peer.uid(), peer.gid());
    if !is_admitted {
        tracing::warn!(uid = peer.uid(), "a peer was refused");
    }
    let actor = Actor { uid: peer.uid() };
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(actor);
        let answer = is_admitted.then(|| router.call(request));
        async move {
            match answer {
                Some(answer) => answer.await,
                None => Ok::<_, Infallible>(answer::peer_refused()),
            }
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME_MAX)
        .max_buf_size(HEADER_MAX)
        .keep_alive(is_admitted)
        // `printf … | nc -U` closes its sending side first and still wants the answer.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // A broken conversation is the peer's business: it sees the same.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

#[cfg(test)]
mod tests;

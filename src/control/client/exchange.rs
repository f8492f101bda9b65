//! One request on one connection: connect, ask, read, within deadlines. The connection's own future is polled beside
//! the request's, so no task is started for it.

use super::{ANSWER_MAX, CONNECT_MAX, ClientError, READ_MAX, SILENCE_MAX};
use crate::control::wire::API;
use futures_util::future::{Either, select};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use std::fmt::Display;
use std::future::Future;
use std::io::ErrorKind;
use std::path::Path;
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

/// Pause before another try when the server's accept queue is full.
const BUSY_PAUSE: Duration = Duration::from_millis(20);

type Io = TokioIo<UnixStream>;
type Connection = http1::Connection<Io, Full<Bytes>>;
type Sender = http1::SendRequest<Full<Bytes>>;

/// A query string being put together.
#[derive(Debug, Default)]
pub(super) struct Params(String);

impl Params {
    pub(super) const fn new() -> Self {
        Self(String::new())
    }

    /// Adds `key=value` if there is a value.
    #[must_use]
    pub(super) fn some(mut self, key: &str, value: Option<impl Display>) -> Self {
        if let Some(value) = value {
            self.0.push(if self.0.is_empty() { '?' } else { '&' });
            self.0.push_str(key);
            self.0.push('=');
            self.0.push_str(&encode(&value.to_string()));
        }
        self
    }
}

/// Percent-encoding of everything that is not unreserved in RFC 3986; fits path segments and query values alike.
pub(super) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~') {
            out.push(b as char);
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

/// Where requests go.
#[derive(Clone, Copy)]
pub(super) struct Exchange<'a> {
    pub(super) socket: &'a Path,
}

impl Exchange<'_> {
    /// Sends a request and reads the whole answer, within `limit` after the connection stands.
    pub(super) async fn answer(
        self,
        method: Method,
        path: &str,
        params: Params,
        body: Option<Vec<u8>>,
        limit: Duration,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let request = request(method, path, &params, body)?;
        let (mut sender, mut connection) = self.open().await?;
        let exchange = async {
            let (head, body) = sender.send_request(request).await.map_err(broken("ask the supervisor"))?.into_parts();
            let body = Limited::new(body, ANSWER_MAX).collect().await.map_err(broken("read the answer"))?;
            Ok((head.status, body.to_bytes()))
        };
        match timeout(limit, beside(&mut connection, exchange)).await {
            Ok(answer) => answer,
            Err(_) => Err(too_slow("wait for the answer", limit)),
        }
    }

    /// Opens a stream of events.
    pub(super) async fn stream(self, path: &str, params: Params) -> Result<Streaming, ClientError> {
        let request = request(Method::GET, path, &params, None)?;
        let (mut sender, mut connection) = self.open().await?;
        let head = async { sender.send_request(request).await.map_err(broken("ask the supervisor")) };
        let response: Response<Incoming> = match timeout(READ_MAX, beside(&mut connection, head)).await {
            Ok(answer) => answer?,
            Err(_) => return Err(too_slow("wait for the stream", READ_MAX)),
        };
        let (head, body) = response.into_parts();
        let mut streaming = Streaming { connection: Some(Box::pin(connection)), body };
        if head.status.is_success() {
            return Ok(streaming);
        }
        let mut error = Vec::new();
        while let Some(part) = streaming.part().await {
            error.extend_from_slice(&part);
            if error.len() > ANSWER_MAX {
                break;
            }
        }
        Err(super::refused(self.socket, head.status, &error))
    }

    async fn open(self) -> Result<(Sender, Connection), ClientError> {
        let connect = async {
            loop {
                match UnixStream::connect(self.socket).await {
                    Err(e) if e.kind() == ErrorKind::WouldBlock => sleep(BUSY_PAUSE).await,
                    other => return other,
                }
            }
        };
        let stream = match timeout(CONNECT_MAX, connect).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(e)) => return Err(not_connected(self.socket, &e)),
            Err(_) => return Err(too_slow("connect to the supervisor", CONNECT_MAX)),
        };
        http1::handshake(TokioIo::new(stream)).await.map_err(broken("connect to the supervisor"))
    }
}

/// The body of an event stream, and the connection that carries it.
pub(super) struct Streaming {
    connection: Option<Pin<Box<Connection>>>,
    body: Incoming,
}

impl Streaming {
    /// The next bytes; none at the end, after a fault, and when the server has been silent for too long. May be
    /// dropped while it waits: nothing is lost.
    pub(super) async fn part(&mut self) -> Option<Bytes> {
        timeout(SILENCE_MAX, self.data()).await.ok().flatten()
    }

    async fn data(&mut self) -> Option<Bytes> {
        loop {
            let frame = match &mut self.connection {
                None => self.body.frame().await,
                Some(connection) => match select(connection.as_mut(), self.body.frame()).await {
                    Either::Right((frame, _)) => frame,
                    // What has arrived can still be read.
                    Either::Left(_) => {
                        self.connection = None;
                        continue;
                    }
                },
            };
            if let Ok(data) = frame?.ok()?.into_data() {
                return Some(data);
            }
        }
    }
}

/// Polls a connection beside the work that depends on it. When the connection ends first, the work still finishes
/// with what has arrived, or with an error.
async fn beside<T>(connection: &mut Connection, work: impl Future<Output = T>) -> T {
    match select(connection, pin!(work)).await {
        Either::Left((_, work)) => work.await,
        Either::Right((answer, _)) => answer,
    }
}

fn request(
    method: Method,
    path: &str,
    params: &Params,
    body: Option<Vec<u8>>,
) -> Result<Request<Full<Bytes>>, ClientError> {
    let mut builder =
        Request::builder().method(method).uri(format!("/v{API}/{path}{}", params.0)).header(header::HOST, "shiftboss");
    if body.is_some() {
        builder = builder.header(header::CONTENT_TYPE, "application/json");
    }
    builder.body(Full::from(body.unwrap_or_default())).map_err(broken("write the request"))
}

/// What a failed connect means. A folder that we may not look into is no proof that nobody is there.
fn not_connected(socket: &Path, error: &std::io::Error) -> ClientError {
    let socket = socket.to_path_buf();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => ClientError::NotRunning { socket },
        ErrorKind::PermissionDenied => ClientError::PermissionDenied { socket },
        _ => broken("connect to the supervisor")(error),
    }
}

fn broken<E: Display>(doing: &'static str) -> impl Fn(E) -> ClientError {
    move |e| ClientError::Broken { doing, cause: e.to_string() }
}

fn too_slow(doing: &'static str, limit: Duration) -> ClientError {
    ClientError::Broken { doing, cause: format!("no answer within {}", humantime::format_duration(limit)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permission_denied_is_never_taken_for_not_running() {
        let at = Path::new("/srv/run/control.sock");
        let error = |kind: ErrorKind| not_connected(at, &kind.into());
        assert!(error(ErrorKind::NotFound).is_not_running());
        assert!(error(ErrorKind::ConnectionRefused).is_not_running());
        assert_eq!(error(ErrorKind::PermissionDenied), ClientError::PermissionDenied { socket: at.into() });
        assert!(matches!(error(ErrorKind::NotADirectory), ClientError::Broken { .. }));
        assert!(matches!(error(ErrorKind::TimedOut), ClientError::Broken { .. }));
    }

    #[test]
    fn query_values_are_encoded() {
        let params = Params::new().some("q", Some("a b&c=가?")).some("after", None::<&str>).some("n", Some(7));
        assert_eq!(params.0, "?q=a%20b%26c%3D%EA%B0%80%3F&n=7");
        assert_eq!(encode("../x"), "..%2Fx");
    }
}

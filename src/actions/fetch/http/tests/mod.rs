//! Calls against real servers on loopback: HTTP/1.1, HTTP/2 under TLS, and ones that break the rules.
#![expect(clippy::disallowed_methods, reason = "the servers of the tests are tasks of the test")]

mod addresses;
mod bodies;
mod faults;
mod proxies;
mod redirects;
mod statuses;
mod tls;
mod unpacking;

use super::{Answer, Client, Outgoing, Trust, parse, send};
use crate::actions::fetch::spec::{Connection, Deadlines, Statuses};
use crate::clock::ManualClock;
use crate::model::action::BoxFuture;
use crate::model::action::network::{Ending, HOST_CLOSED, HostLimits, HostName, Hosts, Pass};
use crate::model::{Failure, Millis};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// 2026-11-21T12:00:00Z
const NOW: Millis = Millis(1_795_262_400_000);

/// A request as a server saw it.
#[derive(Clone, Debug)]
struct Seen {
    method: String,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Seen {
    fn has(&self, name: &str) -> bool {
        self.headers.contains_key(name)
    }
}

/// What a server answers.
type Handler = Arc<dyn Fn(&Seen) -> Response<Full<Bytes>> + Send + Sync>;

/// A server; it ends when it is dropped.
struct Site {
    addr: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Site {
    /// A server of HTTP/1.1.
    async fn http(handler: impl Fn(&Seen) -> Response<Full<Bytes>> + Send + Sync + 'static) -> Self {
        Self::start(Arc::new(handler), None).await
    }

    /// A server of HTTP/1.1 and HTTP/2 under TLS.
    async fn https(
        acceptor: TlsAcceptor,
        handler: impl Fn(&Seen) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        Self::start(Arc::new(handler), Some(acceptor)).await
    }

    async fn start(handler: Handler, acceptor: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let all = seen.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (handler, all, acceptor) = (handler.clone(), all.clone(), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(stream, false, handler, all).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                                serve(stream, is_h2, handler, all).await;
                            }
                        }
                    }
                });
            }
        });
        Self { addr, seen, task }
    }

    /// A server that does with each connection what it is told, which is numbered from 0.
    async fn raw<F>(script: impl Fn(usize, TcpStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut n = 0;
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(script(n, stream));
                n += 1;
            }
        });
        Self { addr, seen: Arc::default(), task }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve<S>(stream: S, is_h2: bool, handler: Handler, all: Arc<Mutex<Vec<Seen>>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let (handler, all) = (handler.clone(), all.clone());
        async move {
            let (head, body) = request.into_parts();
            let seen = Seen {
                method: head.method.to_string(),
                path: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
                headers: head.headers,
                body: body.collect().await.map(|b| b.to_bytes()).unwrap_or_default(),
            };
            all.lock().unwrap().push(seen.clone());
            Ok::<_, Infallible>(handler(&seen))
        }
    });
    let io = TokioIo::new(stream);
    if is_h2 {
        let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await;
    } else {
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
    }
}

/// An answer with this status, these fields and this body.
fn reply(status: u16, fields: &[(&str, &str)], body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut answer = Response::builder().status(status);
    for (name, value) in fields {
        answer = answer.header(*name, *value);
    }
    answer.body(Full::new(body.into())).unwrap()
}

/// Reads the head of a request off a raw connection. False: it was closed.
async fn read_head(stream: &mut TcpStream) -> bool {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return false,
        }
    }
    true
}

/// A gate that notes who comes and how it ends.
#[derive(Default)]
struct Gate {
    entered: Mutex<Vec<HostName>>,
    ended: Arc<Mutex<Vec<Ending>>>,
    /// Closed for everybody after so many passes.
    closes_after: Option<usize>,
    /// How long everybody waits.
    wait: Duration,
}

impl Gate {
    /// How the passes ended. Every one of them has.
    #[track_caller]
    fn endings(&self) -> Vec<Ending> {
        let ended = self.ended.lock().unwrap().clone();
        assert_eq!(ended.len(), self.entered.lock().unwrap().len(), "every pass is ended");
        ended
    }

    /// How the only pass ended.
    #[track_caller]
    fn ending(&self) -> Ending {
        let endings = self.endings();
        assert_eq!(endings.len(), 1, "{endings:?}");
        endings[0]
    }
}

impl Hosts for Gate {
    fn enter(&self, host: &HostName, _: &HostLimits) -> BoxFuture<Result<Pass, Failure>> {
        let mut entered = self.entered.lock().unwrap();
        if self.closes_after.is_some_and(|n| entered.len() >= n) {
            let mut failure = Failure::transient(HOST_CLOSED, format!("the host is closed: {host}"));
            failure.not_before = Some(NOW);
            return Box::pin(std::future::ready(Err(failure)));
        }
        entered.push(host.clone());
        let (ended, wait) = (self.ended.clone(), self.wait);
        Box::pin(async move {
            tokio::time::sleep(wait).await;
            Ok(Pass::new(Box::new(move |ending| ended.lock().unwrap().push(ending))))
        })
    }

    fn book_retry(&self, _: &HostName, _: &HostLimits) -> Millis {
        NOW
    }
}

fn is_good(ending: Ending) -> bool {
    matches!(ending, Ending::Good { .. })
}

fn client() -> Client {
    client_with(&Connection::default(), &Deadlines::default())
}

fn client_with(connection: &Connection, deadlines: &Deadlines) -> Client {
    client_of(Trust::Written, connection, deadlines)
}

fn client_of(trust: Trust, connection: &Connection, deadlines: &Deadlines) -> Client {
    Client::new(connection, deadlines, 8, trust).unwrap().with_clock(Arc::new(ManualClock::new(NOW)))
}

/// A client that gives up soon.
fn hasty(change: impl FnOnce(&mut Deadlines)) -> Client {
    let mut deadlines = Deadlines::default();
    change(&mut deadlines);
    client_with(&Connection::default(), &deadlines)
}

fn get(url: &str) -> Outgoing {
    Outgoing {
        method: "GET".into(),
        url: parse(url).unwrap(),
        headers: Vec::new(),
        auth: Vec::new(),
        body: None,
        repeatable: true,
        max_bytes: 1 << 20,
        hide: Vec::new(),
    }
}

/// A POST without a key.
fn post(url: &str) -> Outgoing {
    let body = Some(("application/json".into(), Bytes::from_static(b"{}")));
    Outgoing { method: "POST".into(), body, repeatable: false, ..get(url) }
}

async fn call(client: &Client, gate: &Gate, outgoing: &Outgoing) -> Result<Answer, Failure> {
    call_with(client, gate, outgoing, &Statuses::default()).await
}

async fn call_with(client: &Client, gate: &Gate, outgoing: &Outgoing, statuses: &Statuses) -> Result<Answer, Failure> {
    let good = |status| (200..300).contains(&status);
    send(client, outgoing, gate, &HostLimits::default(), statuses, 5, &good).await
}

/// The whole body.
async fn read(mut answer: Answer) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// Calls and reads the whole body.
async fn fetch(client: &Client, gate: &Gate, outgoing: &Outgoing) -> Result<Vec<u8>, Failure> {
    read(call(client, gate, outgoing).await?).await
}

#[test]
fn a_call_may_move_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    let (gate, outgoing, limits, statuses) =
        (Gate::default(), get("http://a/"), HostLimits::default(), Statuses::default());
    let client = client();
    is_send(&send(&client, &outgoing, &gate, &limits, &statuses, 5, &|_| true));
    fn is_shared<T: Send + 'static>() {}
    is_shared::<Answer>();
}

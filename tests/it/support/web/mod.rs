//! A real HTTP server for tests, on a port of its own, that keeps its own log: what it says about a client owes nothing
//! to the client.
//!
//! What it does with a request is said by the request's own query: `/a/7?delay=20&fail=30`. [`behave`] has the list.
//! Without one it answers `{"path":"/a/7"}`, another body for every path.
//!
//! A request counts as under way from its head until the last byte of its answer is handed over, so a client that keeps
//! within a number can never be seen above it. One that hangs for ever does not count: nobody can tell here when the
//! other side has given it up.

mod behave;
mod body;

pub use behave::{PAGE, is_chosen, items, plain};

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{oneshot, watch};

/// Most bytes of a request's body that are read; a longer one ends its connection.
const BODY_MAX: usize = 1 << 20;
/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;

/// One request, as the server saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When its head had come.
    pub at: Instant,
    /// Number of the connection that it came on, from 0.
    pub connection: u64,
    /// Its method.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// Its query; empty if there is none.
    pub query: String,
    /// Fields of its header, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
    /// Status of the answer; 0 while there is none.
    pub status: u16,
    /// Bytes of the answer's body that were handed over so far.
    pub sent: u64,
}

impl Seen {
    /// The first field with this name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter of the query, as it was written.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|pair| pair.split_once('=').filter(|(n, _)| *n == name)).map(|(_, value)| value)
    }
}

/// What all connections share.
struct State {
    address: SocketAddr,
    book: Mutex<Book>,
    connections: AtomicU64,
    /// Whether the gate is open.
    gate: watch::Sender<bool>,
    /// Status that everything is answered with; 0: none.
    down: AtomicU16,
}

/// The log, and what is counted from it.
#[derive(Default)]
struct Book {
    log: Vec<Seen>,
    /// Requests by path.
    by_path: HashMap<String, u64>,
    /// When requests were let through by `limit`.
    passed: Vec<Instant>,
    now: usize,
    most: usize,
}

impl State {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request under way; dropped when the last byte of its answer is handed over.
struct UnderWay {
    state: Arc<State>,
    /// Its place in the log.
    place: usize,
    counts: bool,
}

impl UnderWay {
    /// No longer one of those that count.
    fn forget(&mut self) {
        if std::mem::take(&mut self.counts) {
            self.state.book().now -= 1;
        }
    }

    /// So many bytes more of its answer were handed over.
    fn sent(&self, bytes: usize) {
        self.state.book().log[self.place].sent += bytes as u64;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.forget();
    }
}

/// A running server. It ends, and with it every connection, when this is dropped.
pub struct Web {
    state: Arc<State>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Web {
    /// Starts one on a free port of 127.0.0.1.
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(async {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
            socket.listen(BACKLOG).unwrap()
        });
        let state = Arc::new(State {
            address: listener.local_addr().unwrap(),
            book: Mutex::default(),
            connections: AtomicU64::new(0),
            gate: watch::Sender::new(false),
            down: AtomicU16::new(0),
        });
        let (end, ended) = oneshot::channel();
        let shared = Arc::clone(&state);
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, shared) => {}
                    _ = ended => {}
                }
            });
            // Hanging requests wait for nothing that would come.
            runtime.shutdown_timeout(Duration::ZERO);
        };
        let thread = std::thread::Builder::new().name("web".to_owned()).spawn(serve).unwrap();
        Self { state, end: Some(end), thread: Some(thread) }
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.state.address.to_string()
    }

    /// The URL of a path, which starts with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.state.address)
    }

    /// Every request so far, in the order they came.
    pub fn log(&self) -> Vec<Seen> {
        self.state.book().log.clone()
    }

    /// The requests for one path, whatever their query.
    pub fn seen(&self, path: &str) -> Vec<Seen> {
        self.state.book().log.iter().filter(|seen| seen.path == path).cloned().collect()
    }

    /// How many requests came so far.
    pub fn requests(&self) -> usize {
        self.state.book().log.len()
    }

    /// How many are under way.
    pub fn at_once(&self) -> usize {
        self.state.book().now
    }

    /// How many were under way at once at most.
    pub fn most_at_once(&self) -> usize {
        self.state.book().most
    }

    /// How many connections were made.
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Opens the gate: requests that wait there go on, and later ones find it open.
    pub fn open(&self) {
        self.state.gate.send_replace(true);
    }

    /// Closes the gate again.
    pub fn close(&self) {
        self.state.gate.send_replace(false);
    }

    /// Answers everything with this status until told otherwise; none: as usual.
    pub fn down(&self, status: Option<u16>) {
        self.state.down.store(status.unwrap_or(0), Ordering::Relaxed);
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    loop {
        // Out of descriptors, or the other side is gone already: not the end of the server.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let state = Arc::clone(&state);
        let connection = state.connections.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(Arc::clone(&state), connection, request));
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new());
            // A connection that breaks is the other side's business.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    state: Arc<State>,
    connection: u64,
    request: Request<Incoming>,
) -> Result<Response<body::Sent>, Infallible> {
    let at = Instant::now();
    let (head, body) = request.into_parts();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let seen = Seen {
        at,
        connection,
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect(),
        body: Vec::new(),
        status: 0,
        sent: 0,
    };
    let (under_way, nth) = {
        let mut book = state.book();
        book.now += 1;
        book.most = book.most.max(book.now);
        let nth = book.by_path.entry(seen.path.clone()).or_default();
        *nth += 1;
        let nth = *nth;
        book.log.push(seen.clone());
        (UnderWay { state: Arc::clone(&state), place: book.log.len() - 1, counts: true }, nth)
    };
    let body = Limited::new(body, BODY_MAX).collect().await.map(|all| all.to_bytes().to_vec()).unwrap_or_default();
    state.book().log[under_way.place].body.clone_from(&body);
    let place = under_way.place;
    let response = behave::behave(&state, &Seen { body, ..seen }, nth, under_way).await;
    state.book().log[place].status = response.status().as_u16();
    Ok(response)
}

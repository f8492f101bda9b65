//! The other side of `bench/fetch.sh`: a server that costs as little as can be, and a client that does nothing with what
//! it gets, for the ceiling.
//!
//! `web serve` prints its port and answers until its standard input ends. `web load HOST:PORT PATH COUNT AT_ONCE` sends so
//! many requests over so many connections and prints what they took, as JSON. Paths of the server:
//!
//! | path | answer |
//! | --- | --- |
//! | `/d/MS/N` | `{"n":N}` after MS milliseconds |
//! | `/b/SIZE/N` | SIZE bytes, the same ones in every answer |
//! | `/count` | how many requests there were, the most at once, and the connections, since the last `/count` |

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a tool of the benchmarks ends at the first surprise and prints its figures"
)]

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 8192;
/// Size of the piece that large bodies are made of.
const PIECE: usize = 256 * 1024;
/// Longest head of an answer that the client reads; a longer one ends it.
const HEAD_MAX: usize = 16 * 1024;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["serve"] => runtime.block_on(serve()),
        ["load", host, path, count, at_once] => {
            let (count, at_once) = (count.parse().expect("a count"), at_once.parse().expect("a number of connections"));
            println!("{}", runtime.block_on(load(host, path, count, at_once)));
        }
        // As `cargo bench` starts it among the others.
        _ => println!("web: a part of bench/fetch.sh, see there"),
    }
}

#[derive(Default)]
struct Counts {
    requests: AtomicU64,
    now: AtomicU64,
    most: AtomicU64,
    connections: AtomicU64,
}

async fn serve() {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let listener = socket.listen(BACKLOG).expect("a listener");
    println!("{}", listener.local_addr().expect("an address").port());
    let counts = Arc::new(Counts::default());
    let piece = Bytes::from((0..PIECE).map(|n| b"abcdefghijklmnopqrstuvwxyz"[n % 26]).collect::<Vec<u8>>());
    let accept = async {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let _ = stream.set_nodelay(true);
            counts.connections.fetch_add(1, Ordering::Relaxed);
            let (counts, piece) = (Arc::clone(&counts), piece.clone());
            tokio::spawn(async move {
                let service = service_fn(|request| answer(Arc::clone(&counts), piece.clone(), request));
                // A connection that breaks is the other side's business.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    };
    // Whoever started it closes this end by going away, however it goes.
    let (gone, until_gone) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = gone.send(());
    });
    tokio::select! {
        () = accept => {}
        _ = until_gone => {}
    }
}

/// A request under way, until it is dropped.
struct UnderWay(Arc<Counts>);

impl UnderWay {
    fn new(counts: Arc<Counts>) -> Self {
        let now = counts.now.fetch_add(1, Ordering::Relaxed) + 1;
        counts.most.fetch_max(now, Ordering::Relaxed);
        Self(counts)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A body: the piece again and again, up to a size.
struct Sent {
    piece: Bytes,
    left: u64,
    /// None from the last piece on: who has that may send the next request.
    under_way: Option<UnderWay>,
}

impl Sent {
    fn whole(text: String, under_way: Option<UnderWay>) -> Self {
        Self { left: text.len() as u64, piece: text.into(), under_way }
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let size = usize::try_from(self.left).map_or(self.piece.len(), |left| left.min(self.piece.len()));
        self.left -= size as u64;
        if self.left == 0 {
            self.under_way = None;
        }
        Poll::Ready(Some(Ok(Frame::data(self.piece.slice(..size)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

async fn answer(counts: Arc<Counts>, piece: Bytes, request: Request<Incoming>) -> Result<Response<Sent>, Infallible> {
    let mut parts = request.uri().path().trim_start_matches('/').split('/');
    let kind = parts.next().unwrap_or_default();
    if kind == "count" {
        let [requests, most, connections] =
            [&counts.requests, &counts.most, &counts.connections].map(|n| n.swap(0, Ordering::Relaxed));
        let text = format!("{{\"requests\":{requests},\"most\":{most},\"connections\":{connections}}}");
        return Ok(Response::new(Sent::whole(text, None)));
    }
    counts.requests.fetch_add(1, Ordering::Relaxed);
    let under_way = Some(UnderWay::new(counts));
    let number = parts.next().and_then(|text| text.parse::<u64>().ok());
    let n = parts.next().unwrap_or_default();
    let response = match (kind, number) {
        ("d", Some(ms)) => {
            if ms > 0 {
                tokio::time::sleep(Duration::from_millis(ms)).await;
            }
            Response::new(Sent::whole(format!("{{\"n\":{n}}}"), under_way))
        }
        ("b", Some(size)) => Response::new(Sent { piece, left: size, under_way }),
        _ => {
            let mut response = Response::new(Sent::whole(String::new(), None));
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    };
    Ok(response)
}

/// Sends the requests `PATH1`, `PATH2`, … and reads every answer to its end.
async fn load(host: &str, path: &str, count: u64, at_once: u64) -> String {
    let next = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let workers: Vec<_> = (0..at_once)
        .map(|_| {
            let (host, path, next) = (host.to_owned(), path.to_owned(), Arc::clone(&next));
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(&host).await.expect("a connection");
                stream.set_nodelay(true).expect("no delay");
                let (mut good, mut bytes, mut buffer) = (0_u64, 0_u64, vec![0; 64 * 1024]);
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed) + 1;
                    if n > count {
                        return (good, bytes);
                    }
                    let request = format!("GET {path}{n} HTTP/1.1\r\nhost: {host}\r\n\r\n");
                    stream.write_all(request.as_bytes()).await.expect("the request to be sent");
                    let (status, size) = read_answer(&mut stream, &mut buffer).await;
                    good += u64::from(status == 200);
                    bytes += size;
                }
            })
        })
        .collect();
    let (mut good, mut bytes) = (0, 0);
    for worker in workers {
        let (g, b) = worker.await.expect("a worker to end");
        good += g;
        bytes += b;
    }
    format!("{{\"wall\":{:.6},\"good\":{good},\"bytes\":{bytes}}}", started.elapsed().as_secs_f64())
}

/// Status and size of one answer, which has a `content-length`.
async fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> (u16, u64) {
    let mut have = 0;
    loop {
        have += stream.read(&mut buffer[have..]).await.expect("an answer");
        if let Some(end) = buffer[..have].windows(4).position(|w| w == b"\r\n\r\n") {
            let head = std::str::from_utf8(&buffer[..end]).expect("a head in ASCII");
            let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
            let size = head
                .lines()
                .find_map(|l| l.strip_prefix("content-length: "))
                .and_then(|n| n.parse().ok())
                .expect("a size");
            let mut left = size - (have - end - 4) as u64;
            while left > 0 {
                let most = usize::try_from(left).map_or(buffer.len(), |l| l.min(buffer.len()));
                let n = stream.read(&mut buffer[..most]).await.expect("the rest of an answer");
                assert!(n > 0, "an answer was cut short");
                left -= n as u64;
            }
            return (status, size);
        }
        assert!(have < HEAD_MAX, "a head of more than {HEAD_MAX} bytes");
    }
}

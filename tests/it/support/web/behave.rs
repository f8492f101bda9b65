//! What the server does with a request, by the parameters of its query. They are looked at in this order:
//!
//! | parameter | what happens |
//! | --- | --- |
//! | `gate=1` | it waits until the test opens the gate |
//! | `gate=page:N` | the same, for page N of `pages` alone |
//! | `delay=MS` | it waits so long |
//! | `hang=PERCENT` | that share of the paths gets no answer, ever |
//! | `limit=N` | more than N requests in a second: 429 with `Retry-After`, `after=S` seconds (1) |
//! | `fail=PERCENT` | that share of the paths gets 503 |
//! | `shut=CODE` | this status until the test opens the gate |
//! | `auth=TEXT` | 401 unless `Authorization` is this text (`+` is a space) |
//! | `to=URL` | a redirect to there, 302 or `status` |
//! | `etag=TAG` | an `ETag`, and 304 to who has it; `status` and the rest as usual |
//! | `pages=N&by=HOW` | one of N pages of ten items: by `link`, `cursor`, `url`, `number` or `offset` |
//! | `echo=1` | the body tells the request: method, path, query, headers, body |
//! | `text=TEXT` | the body is this text (`+` is a space) |
//! | `size=N` | the body has N bytes |
//! | `gzip=1` | the body is packed |
//! | `drip=MS` | the body comes a byte at a time, with this pause |
//! | `cut=1` | half the body comes, then the connection breaks |
//! | `status=CODE` | the status of the answer |
//!
//! `times=N` limits `hang`, `fail`, `cut` and `status` to the first N requests of each path. `seed=N` chooses other paths
//! for the shares.

use super::body::Sent;
use super::{Seen, State, UnderWay};
use hyper::body::Bytes;
use hyper::{Response, header};
use serde_json::{Value, json};
use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Items of a page.
pub const PAGE: u64 = 10;
/// The window of `limit`.
const WINDOW: Duration = Duration::from_secs(1);

/// Whether a path is one of a share: the same ones every time.
pub fn is_chosen(path: &str, seed: u64, percent: u64) -> bool {
    // FNV-1a, and a last mix, because neighbours differ in one byte only.
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = path.bytes().fold(0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), mix);
    let hash = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (hash >> 32) % 100 < percent
}

/// The body that a path has where nothing else is said.
pub fn plain(path: &str) -> String {
    json!({ "path": path }).to_string()
}

/// The item with this number, from 0.
fn item(n: u64) -> Value {
    json!({ "id": n, "name": format!("item {n}") })
}

/// Items of all pages, as a line of JSON for each.
pub fn items(pages: u64) -> String {
    (0..pages * PAGE).map(|n| format!("{}\n", item(n))).collect()
}

/// An answer that is being made.
struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
    size: Option<u64>,
}

impl Reply {
    fn json(body: String) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self { status: 200, headers, body: body.into(), size: None }
    }

    fn text(status: u16, body: &str) -> Self {
        let headers = vec![("content-type", "text/plain".to_owned())];
        Self { status, headers, body: body.to_owned().into(), size: None }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

pub(super) async fn behave(state: &State, seen: &Seen, nth: u64, mut under_way: UnderWay) -> Response<Sent> {
    let number = |name: &str| seen.param(name).and_then(|value| value.parse::<u64>().ok());
    let early = number("times").is_none_or(|times| nth <= times);
    let chosen =
        |name: &str| early && number(name).is_some_and(|p| is_chosen(&seen.path, number("seed").unwrap_or(0), p));
    let is_open = || *state.gate.borrow();

    let page = seen.param("page").or(seen.param("cursor")).unwrap_or("1");
    if seen.param("gate").is_some_and(|gate| gate.strip_prefix("page:").is_none_or(|n| n == page)) {
        // The sender is in the state, so it outlives this.
        let _ = state.gate.subscribe().wait_for(|open| *open).await;
    }
    if let Some(ms) = number("delay") {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
    if chosen("hang") {
        under_way.forget();
        std::future::pending::<()>().await;
    }
    let cut = early && seen.param("cut").is_some();
    let drip = number("drip").map(Duration::from_millis);
    let mut reply = reply(state, seen, early, chosen("fail"), is_open());
    if seen.param("gzip").is_some() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut left = usize::try_from(reply.size.take().unwrap_or(reply.body.len() as u64)).unwrap();
        while left > 0 {
            let piece = left.min(reply.body.len());
            packed.write_all(&reply.body[..piece]).unwrap();
            left -= piece;
        }
        reply.body = packed.finish().unwrap().into();
        reply = reply.with("content-encoding", "gzip");
    }
    let mut response = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(*name, value);
    }
    let has_body = seen.method != "HEAD" && !matches!(reply.status, 204 | 304);
    let size = reply.size.unwrap_or(reply.body.len() as u64);
    let mut body = Sent::repeated(reply.body, if has_body { size } else { 0 }, under_way);
    if has_body {
        response = response.header(header::CONTENT_LENGTH, body.promised());
    }
    if let Some(pause) = drip {
        body = body.dripping(pause);
    }
    response.body(if cut { body.cut() } else { body }).unwrap()
}

fn reply(state: &State, seen: &Seen, early: bool, fails: bool, is_open: bool) -> Reply {
    let number = |name: &str| seen.param(name).and_then(|value| value.parse::<u64>().ok());
    let code = |name: &str| seen.param(name).and_then(|value| value.parse::<u16>().ok());
    if let Some(most) = number("limit")
        && !passes(state, most)
    {
        return Reply::text(429, "too many requests").with("retry-after", seen.param("after").unwrap_or("1"));
    }
    let down = state.down.load(Ordering::Relaxed);
    if down != 0 {
        return Reply::text(down, "down");
    }
    if fails {
        return Reply::text(503, "not now");
    }
    if let Some(code) = code("shut").filter(|_| !is_open) {
        return Reply::text(code, "shut");
    }
    if let Some(wanted) = seen.param("auth")
        && seen.header("authorization") != Some(&wanted.replace('+', " "))
    {
        return Reply::text(401, "who are you");
    }
    if let Some(to) = seen.param("to") {
        let again = format!("{}?{}", seen.path, seen.query);
        let to = if to == "self" { &again } else { to };
        return Reply::text(code("status").unwrap_or(302), "").with("location", to);
    }
    let status = code("status").filter(|_| early).unwrap_or(200);
    let tag = seen.param("etag").map(|tag| format!("\"{tag}\""));
    if tag.is_some() && seen.header("if-none-match") == tag.as_deref() {
        return Reply::text(304, "").with("etag", tag.unwrap_or_default());
    }
    let mut reply = if let Some(pages) = number("pages") {
        page(state, seen, pages)
    } else if seen.param("echo").is_some() {
        let body = String::from_utf8_lossy(&seen.body);
        let told = json!({ "method": seen.method, "path": seen.path, "query": seen.query, "headers": seen.headers, "body": body });
        Reply::json(told.to_string())
    } else if let Some(text) = seen.param("text") {
        Reply::text(200, &text.replace('+', " "))
    } else if let Some(size) = number("size") {
        let pattern: Vec<u8> = (0..64 * 1024_u32).map(|n| b'a' + (n % 26) as u8).collect();
        Reply { status, headers: Vec::new(), body: pattern.into(), size: Some(size) }
    } else {
        Reply::json(plain(&seen.path))
    };
    reply.status = status;
    match tag {
        Some(tag) => reply.with("etag", tag),
        None => reply,
    }
}

/// Whether a request is one of the first so many in the window that ends now.
fn passes(state: &State, most: u64) -> bool {
    let now = Instant::now();
    let mut book = state.book();
    book.passed.retain(|at| now.duration_since(*at) < WINDOW);
    let passes = (book.passed.len() as u64) < most;
    if passes {
        book.passed.push(now);
    }
    passes
}

/// One of several pages.
fn page(state: &State, seen: &Seen, pages: u64) -> Reply {
    let number = |name: &str| seen.param(name).and_then(|value| value.parse::<u64>().ok());
    let by = seen.param("by").unwrap_or("link");
    let (first, size) = match by {
        "offset" => (number("offset").unwrap_or(0), number("limit_items").unwrap_or(PAGE)),
        "cursor" => ((number("cursor").unwrap_or(1) - 1) * PAGE, PAGE),
        _ => ((number("page").unwrap_or(1) - 1) * PAGE, PAGE),
    };
    let last = (first + size).min(pages * PAGE);
    let found: Vec<Value> = (first.min(last)..last).map(item).collect();
    let here = first / PAGE + 1;
    let next = (here < pages).then_some(here + 1);
    // The rest of the query goes with it.
    let query: Vec<&str> = seen.query.split('&').filter(|pair| !pair.starts_with("page=")).collect();
    let url = |n: u64| format!("http://{}{}?{}&page={n}", state.address, seen.path, query.join("&"));
    match by {
        "cursor" => Reply::json(json!({ "data": found, "next": next.map(|n| n.to_string()) }).to_string()),
        "url" => Reply::json(json!({ "data": found, "next": next.map(url) }).to_string()),
        "link" => {
            let reply = Reply::json(Value::from(found).to_string());
            let first = format!("<{}>; rel=\"first\"", url(1));
            match next {
                Some(n) => reply.with("link", format!("{first}, <{}>; rel=\"next\"", url(n))),
                None => reply.with("link", first),
            }
        }
        _ => Reply::json(Value::from(found).to_string()),
    }
}

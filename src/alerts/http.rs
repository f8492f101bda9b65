//! Requests of channels: deadlines, no redirects, and an answer that says whether trying again may help. A URL is a
//! secret here: no message holds more of it than its host.

use super::delivery::{CONNECT, DEADLINE, Undelivered, said};
use crate::model::text;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use percent_encoding::percent_decode_str;
use rustls::ClientConfig;
use rustls::crypto::ring;
use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tower_service::Service as _;
use url::{Position, Url};

/// Longest answer that is read, in bytes; the rest is left.
const ANSWER_BYTES: usize = 4096;
/// `User-Agent` of every request.
const AGENT: &str = concat!("shiftboss/", env!("CARGO_PKG_VERSION"));

type BoxError = Box<dyn Error + Send + Sync>;

/// The answer to a request: its head, and the first bytes of its body where it is no good one.
struct Answer {
    status: StatusCode,
    after: Option<Duration>,
    body: String,
}

/// Connections without a proxy, plain or under TLS.
fn connector() -> Result<HttpsConnector<HttpConnector>, BoxError> {
    let provider = Arc::new(ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let tls = tls.with_root_certificates(crate::trust::authorities()).with_no_client_auth();
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    Ok(HttpsConnector::from((tcp, tls)))
}

/// Sends one request on a connection of its own, which is polled beside it, so that no task is started for it.
async fn exchange(url: &Url, request: Request<Full<Bytes>>) -> Result<Answer, BoxError> {
    let place = &url[Position::BeforeHost..Position::AfterPort];
    let to = Uri::builder().scheme(url.scheme()).authority(place).path_and_query("/").build()?;
    let made = timeout(CONNECT, connector()?.call(to)).await.map_err(|_| "no connection in time")??;
    let (mut sender, connection) = http1::handshake(made).await?;
    let mut asked = pin!(async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let after = answer.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(retry_after);
        let body = if status.is_success() { String::new() } else { first_bytes(answer.into_body()).await };
        Ok(Answer { status, after, body })
    });
    tokio::select! {
        biased;
        answer = &mut asked => answer,
        _ = connection => asked.await, // it is over, but what came on it may not have been read yet
    }
}

/// The same within a deadline, and with what went wrong in words, which never hold the URL.
async fn send(
    method: Method,
    url: &Url,
    fields: HeaderMap,
    body: Vec<u8>,
    most: Duration,
) -> Result<Answer, Undelivered> {
    let host = url.host_str().unwrap_or_default();
    let later = |why: &str| Undelivered::later(format!("{host}: {}", text::cut(&text::escape(why), 300)));
    let request = request(method, url, fields, body).map_err(|e| later(&in_words(&*e)))?;
    match timeout(most, exchange(url, request)).await {
        Ok(answer) => answer.map_err(|e| later(&in_words(&*e))),
        Err(_) => Err(later(&format!("no answer within {} s", most.as_secs()))),
    }
}

fn request(method: Method, url: &Url, fields: HeaderMap, body: Vec<u8>) -> Result<Request<Full<Bytes>>, BoxError> {
    let mut request = Request::new(Full::from(body));
    *request.method_mut() = method;
    *request.uri_mut() = Uri::try_from(&url[Position::BeforePath..Position::AfterQuery])?;
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::try_from(&url[Position::BeforeHost..Position::AfterPort])?);
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    if !url.username().is_empty() || url.password().is_some() {
        let plain = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
        let user = format!("{}:{}", plain(url.username()), plain(url.password().unwrap_or_default()));
        let mut basic = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(user)))?;
        basic.set_sensitive(true);
        headers.insert(AUTHORIZATION, basic);
    }
    headers.extend(fields);
    Ok(request)
}

/// What went wrong, from the outside in.
fn in_words(error: &(dyn Error + 'static)) -> String {
    let mut out = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        out = format!("{out}: {cause}");
        source = cause.source();
    }
    out
}

fn parse(url: &str) -> Result<Url, Undelivered> {
    let bad = || Undelivered::Refused("the URL of the channel is none: http or https, with a host".into());
    Url::parse(url).ok().filter(|u| matches!(u.scheme(), "http" | "https") && u.has_host()).ok_or_else(bad)
}

/// Posts JSON. Secrets in `hide` are not repeated if the other side repeats them.
pub async fn post(url: &str, headers: &[(String, String)], body: Vec<u8>, hide: &[&str]) -> Result<(), Undelivered> {
    let url = parse(url)?;
    let mut fields = HeaderMap::new();
    for (name, value) in headers {
        let (Ok(name), Ok(mut value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else {
            return Err(Undelivered::Refused(format!("the header field {} cannot be sent", text::escape(name))));
        };
        value.set_sensitive(true);
        fields.insert(name, value);
    }
    fields.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    let Answer { status, after, body } = send(Method::POST, &url, fields, body, DEADLINE).await?;
    if status.is_success() {
        return Ok(());
    }
    let host = url.host_str().unwrap_or_default();
    let body = said(&body, hide);
    let colon = if body.is_empty() { "" } else { ": " };
    let why = format!("{host} answered {}{colon}{body}", status.as_u16());
    Err(if may_pass(status) { Undelivered::Later { why, after } } else { Undelivered::Refused(why) })
}

/// Whether another try may get another answer. A redirect is not followed: it would take the message elsewhere.
fn may_pass(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429)
}

/// Seconds of a `Retry-After`; a date is rare here and is left to the own pace.
fn retry_after(value: &str) -> Option<Duration> {
    value.trim().parse().ok().map(Duration::from_secs)
}

async fn first_bytes(mut answer: Incoming) -> String {
    let mut body = Vec::new();
    while body.len() < ANSWER_BYTES {
        match answer.frame().await {
            Some(Ok(frame)) => body.extend_from_slice(frame.data_ref().map_or(&[], |data| &data[..])),
            Some(Err(_)) | None => break,
        }
    }
    body.truncate(ANSWER_BYTES);
    String::from_utf8_lossy(&body).into_owned()
}

/// Tells a monitor that all is well.
pub async fn beat(url: &str) -> Result<(), Undelivered> {
    let url = parse(url)?;
    let status = send(Method::GET, &url, HeaderMap::new(), Vec::new(), CONNECT).await?.status;
    if status.is_success() {
        return Ok(());
    }
    let host = url.host_str().unwrap_or_default();
    Err(Undelivered::later(format!("{host} answered {}", status.as_u16())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// Posts `{}` to a server that answers with these bytes. Also what the server saw.
    async fn posted(place: &str, answer: &str) -> (Result<(), Undelivered>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = place.replace("HERE", &listener.local_addr().unwrap().to_string());
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"{}") {
                stream.read_buf(&mut seen).await.unwrap();
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(seen).unwrap()
        };
        let fields = [("X-Own".to_owned(), "1".to_owned())];
        tokio::join!(post(&url, &fields, b"{}".to_vec(), &["canary"]), serve)
    }

    #[tokio::test]
    async fn a_message_is_posted_as_the_url_says() {
        let (sent, seen) = posted("http://me:p%40ss@HERE/a/b?c=d#e", "HTTP/1.1 204 Thanks\r\n\r\n").await;
        sent.unwrap();
        let seen = seen.to_ascii_lowercase();
        assert!(seen.starts_with("post /a/b?c=d http/1.1\r\nhost: 127.0.0.1:"), "{seen}");
        for field in [
            "authorization: basic bwu6cebzcw==",
            "content-type: application/json",
            "content-length: 2",
            "x-own: 1",
            concat!("user-agent: shiftboss/", env!("CARGO_PKG_VERSION")),
        ] {
            assert!(seen.contains(&format!("\r\n{field}\r\n")), "{field}: {seen}");
        }
    }

    #[tokio::test]
    async fn what_comes_back_tells_whether_to_try_again() {
        let busy = "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 12\r\n\r\nwait, canary";
        let Err(Undelivered::Later { why, after }) = posted("http://HERE/secret", busy).await.0 else { panic!() };
        assert!(why.starts_with("127.0.0.1 answered 503: wait, ") && !why.contains("canary"), "{why}");
        assert_eq!(after, Some(Duration::from_secs(7)));
        let (sent, _) = posted("http://HERE/", "HTTP/1.1 302 There\r\nLocation: /b\r\n\r\n").await;
        assert_eq!(sent, Err(Undelivered::Refused("127.0.0.1 answered 302".into())));
        let (sent, _) = posted("http://HERE/secret", "").await;
        let Err(Undelivered::Later { why, after: None }) = sent else { panic!() };
        assert!(why.starts_with("127.0.0.1: ") && !why.contains("secret"), "{why}");
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let why = beat(&format!("http://{nobody}/secret")).await.unwrap_err().to_string();
        assert!(why.to_lowercase().contains("refused") && !why.contains("secret"), "{why}");
    }
}

//! Requests of channels: deadlines, no redirects, and an answer that says whether trying again may help. A URL is a
//! secret here: no message holds more of it than its host.

use super::delivery::{CONNECT, DEADLINE, Undelivered, said};
use crate::model::text;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, StatusCode, Url};
use std::time::Duration;

/// Longest answer that is read, in bytes; the rest is left.
const ANSWER_BYTES: usize = 4096;
/// `User-Agent` of every request.
const USER_AGENT: &str = concat!("shiftboss/", env!("CARGO_PKG_VERSION"));

fn client() -> Result<Client, Undelivered> {
    // An error says that one was installed before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = || {
        Client::builder()
            .no_proxy()
            .user_agent(USER_AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(CONNECT)
            .timeout(DEADLINE)
            .pool_max_idle_per_host(0)
    };
    // A bare container has no certificates of authorities; what is not encrypted works there all the same.
    builder()
        .build()
        .or_else(|_| builder().tls_certs_only([]).build())
        .map_err(|e| Undelivered::later(format!("no client can be made: {}", without_url(e))))
}

/// What went wrong, from the outside in, without the URL.
fn without_url(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut out = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        out = format!("{out}: {cause}");
        source = cause.source();
    }
    text::cut(&text::escape(&out), 300).into_owned()
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
    let host = url.host_str().unwrap_or_default().to_owned();
    let request = client()?.post(url).header("Content-Type", "application/json").headers(fields).body(body);
    let answer = request.send().await.map_err(|e| Undelivered::later(format!("{host}: {}", without_url(e))))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let after = answer.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(retry_after);
    let body = said(&first_bytes(answer).await, hide);
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

async fn first_bytes(mut answer: reqwest::Response) -> String {
    let mut body = Vec::new();
    while body.len() < ANSWER_BYTES {
        match answer.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    body.truncate(ANSWER_BYTES);
    String::from_utf8_lossy(&body).into_owned()
}

/// Tells a monitor that all is well.
pub async fn beat(url: &str) -> Result<(), Undelivered> {
    let url = parse(url)?;
    let host = url.host_str().unwrap_or_default().to_owned();
    let asked = client()?.get(url).timeout(CONNECT).send().await;
    let answer = asked.map_err(|e| Undelivered::later(format!("{host}: {}", without_url(e))))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    Err(Undelivered::later(format!("{host} answered {}", status.as_u16())))
}

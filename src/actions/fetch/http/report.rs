//! What is shown of a call: its failures, and the head of an answer that was no good. Nothing of it holds a secret, the
//! query of a URL, or a byte that acts on a terminal.

use super::{Outgoing, place};
use crate::model::action::network::{Call, HostName};
use crate::model::text::{self, cut, escape};
use crate::model::{Failure, FailureClass};
use hyper::StatusCode;
use hyper::header::HeaderMap;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Stands in the place of a secret.
const HIDDEN: &str = "[hidden]";
/// What a failure of a request that may not be repeated ends with.
const MAYBE_RECEIVED: &str = ", it may have been received";
/// Most bytes that are shown of the body of an answer; the rest is not shown.
pub(super) const BODY_SHOWN: usize = 1024;
/// Most bytes that are shown of the fields of its header; the rest is not shown.
const FIELDS_SHOWN: usize = 2560;
/// Most characters of a URL or a reason in a message; the rest is cut.
const PART_MAX: usize = 300;

/// Puts `[hidden]` in the place of secrets.
#[derive(Debug, Default)]
pub(super) struct Veil {
    /// Longest first, so that of two secrets one of which holds the other nothing is left over.
    secrets: Vec<Vec<u8>>,
}

impl Veil {
    /// Hides the secrets of a request: as they are, and as they stand in a URL, a form or a JSON text.
    pub(super) fn new(outgoing: &Outgoing) -> Self {
        let mut values: Vec<&str> = outgoing.hide.iter().map(String::as_str).collect();
        for (_, value) in &outgoing.auth {
            values.push(value);
            values.extend(value.split_once(' ').map(|(_, rest)| rest)); // without `Bearer`
        }
        let mut secrets: Vec<Vec<u8>> = Vec::new();
        for value in values.into_iter().map(str::trim).filter(|v| !v.is_empty()) {
            let form: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
            let json = serde_json::to_string(value).unwrap_or_default();
            secrets.push(form.replace('+', "%20").into_bytes());
            secrets.push(form.into_bytes());
            secrets.push(json.trim_matches('"').as_bytes().to_vec());
            secrets.push(value.as_bytes().to_vec());
        }
        secrets.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        secrets.dedup();
        Self { secrets }
    }

    /// The bytes without secrets.
    pub(super) fn bytes(&self, raw: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(raw.len());
        let mut at = 0;
        while at < raw.len() {
            match self.secrets.iter().find(|s| raw[at..].starts_with(s)) {
                Some(secret) => {
                    out.extend_from_slice(HIDDEN.as_bytes());
                    at += secret.len();
                }
                None => {
                    out.push(raw[at]);
                    at += 1;
                }
            }
        }
        out
    }

    /// The text without secrets.
    pub(super) fn text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.bytes(text.as_bytes())).into_owned()
    }

    /// Whether something of it is in these bytes.
    pub(super) fn covers(&self, raw: &[u8]) -> bool {
        self.secrets.iter().any(|s| raw.len() >= s.len() && raw.windows(s.len()).any(|w| w == s))
    }

    /// Length of the longest secret.
    pub(super) fn longest(&self) -> usize {
        self.secrets.first().map_or(0, Vec::len)
    }
}

/// What went wrong, before it is known for which request.
#[derive(Debug)]
pub(super) struct Fault {
    /// What it means for a retry.
    pub(super) class: FailureClass,
    /// The stable code.
    pub(super) code: &'static str,
    /// What happened, the same for every request of the host.
    pub(super) what: String,
    /// The configuration names the class, so it is the same for requests that may not be repeated.
    pub(super) is_final: bool,
    /// Whether to name the host alone.
    pub(super) host_alone: bool,
}

impl Fault {
    /// A fault.
    pub(super) fn new(class: FailureClass, code: &'static str, what: impl Into<String>) -> Self {
        Self { class, code, what: what.into(), is_final: false, host_alone: false }
    }
}

/// What is known of a call while it goes on: enough to say what failed.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// Method of the request under way.
    pub(super) method: String,
    /// Its URL.
    pub(super) url: Url,
    /// Its host.
    pub(super) host: HostName,
    /// Whether the call may be repeated, and whether bytes of it may have been sent.
    pub(super) repeatable: bool,
    /// See above.
    pub(super) sent: bool,
    /// What it came to so far.
    pub(super) call: Call,
    /// From the dial of the last request to the head of its answer.
    pub(super) latency: Duration,
    /// Hides its secrets.
    pub(super) veil: Arc<Veil>,
}

impl Case {
    /// The failure that a fault is.
    pub(super) fn failure(&self, fault: &Fault) -> Failure {
        let what = self.shown(&fault.what);
        let host = self.shown(&self.host);
        let lost = self.sent && !self.repeatable && !fault.is_final && fault.class.is_retried();
        let (class, tail) = if lost { (FailureClass::Permanent, MAYBE_RECEIVED) } else { (fault.class, "") };
        let place = if fault.host_alone {
            host.clone()
        } else {
            format!("{} {}", self.shown(&self.method), self.shown(&place::bare(&self.url)))
        };
        let mut failure = Failure::new(class, fault.code, format!("{what}: {place}{tail}"));
        failure.constant = format!("{what}: {host}");
        failure.call = Some(self.call);
        failure
    }

    fn shown(&self, text: &str) -> String {
        cut(&escape(&self.veil.text(text)), PART_MAX).into_owned()
    }

    /// The head of an answer as it is shown. `body` has its first bytes, at least [`Veil::longest`] more of them than are
    /// shown where it goes on.
    pub(super) fn head(&self, version: &str, status: u16, headers: &HeaderMap, body: &[u8]) -> String {
        let mut out = format!("{version} {}", status_text(status));
        for (name, value) in headers {
            let value = match name.as_str() {
                "set-cookie" | "set-cookie2" => HIDDEN.into(),
                "location" | "content-location" | "link" | "refresh" => {
                    self.veil.bytes(&without_queries(value.as_bytes()))
                }
                _ => self.veil.bytes(value.as_bytes()),
            };
            let line = format!("\n{name}: {}", cut(&text::bytes(&value), PART_MAX));
            if out.len() + line.len() > FIELDS_SHOWN {
                out.push_str("\n…");
                break;
            }
            out.push_str(&line);
        }
        let hidden = self.veil.bytes(body);
        let shown = &hidden[..hidden.len().min(BODY_SHOWN)];
        if !shown.is_empty() {
            out.push('\n');
            for line in shown.split(|b| *b == b'\n') {
                out.push('\n');
                out.push_str(&text::bytes(line.strip_suffix(b"\r").unwrap_or(line)));
            }
        }
        let end = (0..=Failure::ANSWER_MAX.min(out.len())).rev().find(|end| out.is_char_boundary(*end)).unwrap_or(0);
        out.truncate(end);
        out
    }
}

/// `503 Service Unavailable`
pub(super) fn status_text(status: u16) -> String {
    match StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()) {
        Some(reason) => format!("{status} {reason}"),
        None => status.to_string(),
    }
}

/// URLs without their queries.
fn without_queries(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut in_query = false;
    for &b in value {
        in_query = if in_query { !matches!(b, b'>' | b'"' | b'\'' | b' ' | b';' | b',') } else { b == b'?' };
        if !in_query {
            out.push(b);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outgoing(hide: &[&str], auth: &[(&str, &str)]) -> Outgoing {
        Outgoing {
            method: "GET".into(),
            url: Url::parse("https://example.com/a?key=canary").unwrap(),
            headers: Vec::new(),
            auth: auth.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect(),
            body: None,
            repeatable: true,
            max_bytes: 1,
            hide: hide.iter().map(|h| (*h).into()).collect(),
        }
    }

    fn case(outgoing: &Outgoing) -> Case {
        Case {
            method: outgoing.method.clone(),
            url: outgoing.url.clone(),
            host: crate::actions::fetch::urls::host_name(&outgoing.url),
            repeatable: outgoing.repeatable,
            sent: true,
            call: Call::default(),
            latency: Duration::ZERO,
            veil: Arc::new(Veil::new(outgoing)),
        }
    }

    #[test]
    fn secrets_are_hidden_in_every_form_they_come_back_in() {
        let veil =
            Veil::new(&outgoing(&["can ary/1", "can ary/12", "q\"uote", ""], &[("Authorization", "Basic Y2FuYXJ5")]));
        assert_eq!(veil.text("a can ary/12 b"), "a [hidden] b");
        assert_eq!(veil.text("k=can+ary%2F1&l=can%20ary%2F12"), "k=[hidden]&l=[hidden]");
        assert_eq!(veil.text(r#"{"k":"q\"uote"}"#), r#"{"k":"[hidden]"}"#);
        assert_eq!(veil.text("token Y2FuYXJ5 is bad"), "token [hidden] is bad");
        assert!(veil.covers(b"x=can+ary%2F1") && !veil.covers(b"x=can"));
        assert!(!format!("{:?}", outgoing(&["canary"], &[("X-Api-Key", "canary")])).contains("canary"));
    }

    #[test]
    fn the_head_of_an_answer_is_bounded_and_harmless() {
        let case = case(&outgoing(&["canary"], &[]));
        let mut headers = HeaderMap::new();
        headers.insert("set-cookie", "id=1234".parse().unwrap());
        headers.insert("location", "https://example.com/x?token=abc".parse().unwrap());
        headers.insert("link", "<https://example.com/x?token=abc>; rel=\"next\"".parse().unwrap());
        headers.insert("x-echo", "key=canary".parse().unwrap());
        let head = case.head("HTTP/1.1", 503, &headers, b"one\r\n\x1b[2J canary\xff");
        assert!(head.starts_with("HTTP/1.1 503 Service Unavailable\n"), "{head}");
        assert!(head.contains("set-cookie: [hidden]") && head.contains("x-echo: key=[hidden]"), "{head}");
        assert!(head.contains("link: <https://example.com/x>; rel=\"next\""), "{head}");
        assert!(head.ends_with("\n\none\n\\x1b[2J [hidden]\\xff"), "{head}");
        assert!(!head.contains("1234") && !head.contains("abc"), "{head}");
        for n in 0..100 {
            headers.insert(
                hyper::header::HeaderName::from_bytes(format!("x-{n}").as_bytes()).unwrap(),
                "é".repeat(300).parse().unwrap(),
            );
        }
        let head = case.head("HTTP/1.1", 599, &headers, &b"\xff".repeat(5000));
        assert!(head.len() <= Failure::ANSWER_MAX && head.contains("\n…\n"), "{}", head.len());
    }

    #[test]
    fn a_secret_across_the_edge_of_the_body_is_hidden() {
        let case = case(&outgoing(&["canary"], &[]));
        let body = [b"a".repeat(BODY_SHOWN - 3), b"canary".to_vec()].concat();
        assert!(!case.head("HTTP/1.1", 500, &HeaderMap::new(), &body).contains("can"));
    }

    #[test]
    fn a_request_that_may_have_been_received_is_not_retried() {
        let mut case = case(&outgoing(&[], &[]));
        let fault = |class| Fault::new(class, "http_cut_short", "the connection was closed");
        assert_eq!(case.failure(&fault(FailureClass::Timeout)).class, FailureClass::Timeout);
        case.repeatable = false;
        let failure = case.failure(&fault(FailureClass::Timeout));
        assert_eq!(failure.class, FailureClass::Permanent);
        assert_eq!(failure.message, "the connection was closed: GET https://example.com/a, it may have been received");
        assert_eq!(failure.constant, "the connection was closed: example.com");
        let named = Fault { is_final: true, ..fault(FailureClass::Transient) };
        assert_eq!(case.failure(&named).class, FailureClass::Transient);
        case.sent = false;
        assert_eq!(case.failure(&fault(FailureClass::Transient)).class, FailureClass::Transient);
    }
}

//! The answer to a call: its head, and its body piece by piece.

use super::pace::Pace;
use super::report::{Case, Fault};
use super::unpack::Body;
use super::{classify, place};
use crate::model::action::network::{Call, Ending, Pass};
use crate::model::text::count;
use crate::model::{Failure, FailureClass};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Response, Version};
use std::fmt;
use std::time::Duration;
use url::Url;

/// The fields of an answer's header.
#[derive(Clone, Default)]
pub struct Headers(pub(super) HeaderMap);

impl Headers {
    /// The first value of a field, if it is plain ASCII text. It comes from outside: escape it before it is shown, and
    /// never make a path of it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.to_str().ok()
    }

    /// Every value of a field that is plain ASCII text.
    pub fn all<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h str> + use<'h> {
        self.0.get_all(name).into_iter().filter_map(|v| v.to_str().ok())
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys().map(|k| k.as_str())).finish() // values may be secret
    }
}

/// An answer, good or not: its head, and its body without its packing.
pub(super) struct Reply {
    /// Its status.
    pub(super) status: u16,
    /// `HTTP/1.1`, for example.
    pub(super) version: &'static str,
    /// Its header.
    pub(super) headers: HeaderMap,
    /// Its body.
    pub(super) body: Body,
}

impl Reply {
    /// The answer as it came. `unpacks`: its packing was asked for and is taken off.
    pub(super) fn new(response: Response<Incoming>, unpacks: bool) -> Self {
        let (head, body) = response.into_parts();
        let mut headers = head.headers;
        let body = Body::new(body, &mut headers, unpacks);
        Self { status: head.status.as_u16(), version: version(head.version), headers, body }
    }
}

/// A good answer whose body is to be read. Its host is occupied until the body is read to its end, failed, or the answer is
/// dropped.
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// `HTTP/1.1`, for example.
    pub version: &'static str,
    /// Its header.
    pub headers: Headers,
    /// Where it came from, after redirects. Its query may be secret: show it with [`place::shown`].
    pub url: Url,
    /// From the dial of the last request to the head of the answer.
    pub latency: Duration,
    rest: Rest,
    pace: Pace,
    case: Box<Case>,
    max_bytes: u64,
}

/// What there is of a body.
enum Rest {
    /// It goes on.
    Open(Box<Body>, Pass),
    /// All of it was read.
    Over,
    /// It failed; whoever asks again is told again.
    Failed(Box<Failure>),
}

impl Answer {
    /// The answer that has this head, or why it is none. The pass is ended at once where no body can come.
    pub(super) fn new(reply: Reply, pass: Pass, pace: Pace, case: Case, max_bytes: u64) -> Result<Self, Failure> {
        let (status, length) = (reply.status, reply.body.length());
        let latency = case.latency;
        let mut answer = Self {
            status,
            version: reply.version,
            headers: Headers(reply.headers),
            url: case.url.clone(),
            latency,
            rest: Rest::Over,
            pace,
            max_bytes,
            case: Box::new(case),
        };
        if answer.case.method == "HEAD" || matches!(status, 204 | 205 | 304) {
            pass.end(Ending::Good { latency });
            return Ok(answer);
        }
        answer.rest = Rest::Open(Box::new(reply.body), pass);
        if length.is_some_and(|n| n > max_bytes) {
            let fault = answer.too_large();
            return Err(answer.fail(&fault));
        }
        Ok(answer)
    }

    /// The next piece of the body, decoded; none at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        let body = match &mut self.rest {
            Rest::Open(body, _) => body,
            Rest::Over => return Ok(None),
            Rest::Failed(failure) => return Err((**failure).clone()),
        };
        let fault = match self.pace.wait(body.chunk()).await {
            Ok(Ok(Some(piece))) => {
                self.case.call.bytes = self.case.call.bytes.saturating_add(piece.len() as u64);
                if self.case.call.bytes > self.max_bytes {
                    self.too_large()
                } else {
                    match self.pace.count(piece.len()) {
                        Ok(()) => return Ok(Some(piece)),
                        Err(late) => classify::slow(late),
                    }
                }
            }
            Ok(Ok(None)) => {
                if let Rest::Open(_, pass) = std::mem::replace(&mut self.rest, Rest::Over) {
                    pass.end(Ending::Good { latency: self.latency });
                }
                return Ok(None);
            }
            Ok(Err(error)) => classify::body(&error),
            Err(late) => classify::slow(late),
        };
        Err(self.fail(&fault))
    }

    /// What the call came to so far.
    #[must_use]
    pub fn call(&self) -> Call {
        self.case.call
    }

    fn too_large(&self) -> Fault {
        let what = format!("the answer has more than {} bytes", count(self.max_bytes));
        Fault::new(FailureClass::Permanent, "http_too_large", what)
    }

    fn fail(&mut self, fault: &Fault) -> Failure {
        let failure = self.case.failure(fault);
        if let Rest::Open(_, pass) = std::mem::replace(&mut self.rest, Rest::Failed(Box::new(failure.clone()))) {
            // A host that sends more than is wanted is in good health.
            let is_good = fault.code == "http_too_large";
            pass.end(if is_good { Ending::Good { latency: self.latency } } else { Ending::Bad });
        }
        failure
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({} {})", self.status, self.case.veil.text(&place::shown(&self.url)))
    }
}

/// The name of the version of HTTP.
fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP/1.1",
    }
}

//! One call: the turn at the gate, the request, its redirects, and what the status of the answer means.

use super::answer::{Answer, Reply};
use super::client::Client;
use super::dial;
use super::pace::Pace;
use super::report::{BODY_SHOWN, Case, Fault, Veil, status_text};
use super::{Outgoing, classify, redirect, retry_after};
use crate::actions::fetch::spec::Statuses;
use crate::actions::fetch::urls::host_name;
use crate::model::FailureClass::{Permanent, Transient};
use crate::model::action::network::{Call, Ending, HostLimits, Hosts, Pass};
use crate::model::text::escape;
use crate::model::{Failure, Millis};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use hyper::{Method, Request, Uri};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};
use url::Url;

/// Fields that are the connection's business; a request that sets one is refused (`http_header`).
const RESERVED: [&str; 6] = ["content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"];
/// Fields that name a user, whoever wrote them.
const NAMING: [&str; 4] = ["authorization", "cookie", "cookie2", "proxy-authorization"];
/// Most bytes that are read of the body of an answer that is not wanted, so that its connection can be kept; with more it
/// is closed.
const DRAIN_MAX: usize = 16 * 1024;
/// Longest time for that.
const DRAIN_FOR: Duration = Duration::from_secs(2);
/// Longest `Retry-After` of a redirect that is waited for on the spot; a longer one fails the call until then.
const REDIRECT_WAIT: Duration = Duration::from_secs(10);

/// Sends a request and answers with a good answer, or with why there is none. Every request waits for its pass first; that
/// time is no part of any deadline. A status is good if `good` says so, or if it is 304 and the request had a validator; a
/// redirect that is not good is followed up to `max_redirects` times.
pub async fn send(
    client: &Client,
    outgoing: &Outgoing,
    hosts: &dyn Hosts,
    limits: &HostLimits,
    statuses: &Statuses,
    max_redirects: u32,
    good: &(dyn Fn(u16) -> bool + Sync),
) -> Result<Answer, Failure> {
    let mut trip = Trip::new(client, outgoing);
    loop {
        let (request, unpacks) = trip.request()?;
        let pass = hosts.enter(&trip.case.host, limits).await.map_err(|f| trip.closed(f))?;
        let (reply, pass, began) = trip.exchange(request, unpacks, pass).await?;
        let status = reply.status;
        if good(status) || (status == 304 && trip.is_conditional()) {
            let pace = Pace::new(began + trip.left, client.deadlines(), client.floor());
            return Answer::new(reply, pass, pace, trip.case, outgoing.max_bytes);
        }
        if redirect::is_followed(status) && max_redirects > 0 && reply.headers.contains_key(LOCATION) {
            trip.follow(reply, pass, began, max_redirects).await?;
        } else {
            return Err(trip.refuse(reply, pass, began, statuses, max_redirects).await);
        }
    }
}

/// A call under way.
struct Trip<'c> {
    client: &'c Client,
    outgoing: &'c Outgoing,
    case: Case,
    /// Whether it is still at the origin of its first URL; once it left, it never counts as back.
    is_home: bool,
    has_body: bool,
    /// What is left of the time for the whole.
    left: Duration,
    /// What was asked for before, to know a circle by.
    seen: Vec<(String, Url)>,
}

impl<'c> Trip<'c> {
    fn new(client: &'c Client, outgoing: &'c Outgoing) -> Self {
        let case = Case {
            method: outgoing.method.clone(),
            url: outgoing.url.clone(),
            host: host_name(&outgoing.url),
            repeatable: outgoing.repeatable,
            sent: false,
            call: Call::default(),
            latency: Duration::ZERO,
            veil: Arc::new(Veil::new(outgoing)),
        };
        let (left, has_body) = (client.deadlines().total, outgoing.body.is_some());
        Self { client, outgoing, case, is_home: true, has_body, left, seen: Vec::new() }
    }

    /// The next request, if it may be sent at all, and whether the packing of its answer is to be taken off.
    fn request(&self) -> Result<(Request<Full<Bytes>>, bool), Failure> {
        let fail = |fault: &Fault| self.case.failure(fault);
        super::place::check(&self.case.url).map_err(|why| fail(&Fault::new(Permanent, "http_url", why)))?;
        self.client.check(&self.case.url).map_err(|fault| fail(&fault))?;
        let method = Method::from_bytes(self.case.method.as_bytes())
            .ok()
            .filter(|m| *m != Method::CONNECT)
            .ok_or_else(|| fail(&Fault::new(Permanent, "http_header", "this method cannot be sent")))?;
        let uri = Uri::try_from(self.case.url.as_str())
            .map_err(|_| fail(&Fault::new(Permanent, "http_url", "this URL cannot be sent")))?;
        let mut request = Request::new(Full::default());
        (*request.method_mut(), *request.uri_mut()) = (method, uri);
        if self.has_body
            && let Some((content_type, body)) = &self.outgoing.body
        {
            *request.body_mut() = Full::new(body.clone());
            self.add(request.headers_mut(), CONTENT_TYPE.as_str(), content_type, false)?;
        }
        for (name, value) in &self.outgoing.headers {
            let lower = name.to_ascii_lowercase();
            let is_private = NAMING.contains(&lower.as_str()) || self.case.veil.covers(value.as_bytes());
            let is_of_body = lower.starts_with("content-");
            if (self.is_home || !is_private) && (self.has_body || !is_of_body || self.outgoing.body.is_none()) {
                self.add(request.headers_mut(), name, value, is_private)?;
            }
        }
        if self.is_home {
            for (name, value) in &self.outgoing.auth {
                self.add(request.headers_mut(), name, value, true)?;
            }
        }
        let unpacks = self.client.complete(&self.case.url, request.headers_mut());
        Ok((request, unpacks))
    }

    fn add(&self, headers: &mut HeaderMap, name: &str, value: &str, is_private: bool) -> Result<(), Failure> {
        let refuse = |why: &str| {
            let what = format!("{why} {}", escape(name));
            self.case.failure(&Fault::new(Permanent, "http_header", what))
        };
        let field = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refuse("no name of a header field,"))?;
        if RESERVED.contains(&field.as_str()) {
            return Err(refuse("this header field is not for requests to set,"));
        }
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| refuse("a line break or another control character in the header field"))?;
        value.set_sensitive(is_private);
        if field == CONTENT_TYPE {
            headers.insert(field, value);
        } else {
            headers.append(field, value);
        }
        Ok(())
    }

    /// Whether the request asked for an answer only if it is another one than before.
    fn is_conditional(&self) -> bool {
        let names = ["if-none-match", "if-modified-since"];
        self.outgoing.headers.iter().any(|(name, _)| names.iter().any(|n| name.eq_ignore_ascii_case(n)))
    }

    /// The gate is closed. A job that waits for it starts over, which a request that was sent may not.
    fn closed(&self, mut failure: Failure) -> Failure {
        if self.case.sent && !self.case.repeatable {
            let what = format!("the redirect leads to a host that is closed, {}", failure.message);
            return self.case.failure(&Fault::new(Transient, "http_redirect", what));
        }
        if self.case.call.requests > 0 {
            failure.call = Some(self.case.call);
        }
        failure
    }

    /// Sends the request and takes the head of the answer.
    async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        unpacks: bool,
        pass: Pass,
    ) -> Result<(Reply, Pass, Instant), Failure> {
        let call = &mut self.case.call;
        (call.requests, call.status, call.latency_ms) = (call.requests.saturating_add(1), None, None);
        let began = Instant::now();
        let connections = self.client.connections();
        match dial::exchange(connections, request, self.client.deadlines(), began + self.left).await {
            Ok(response) => {
                self.case.sent = true;
                self.case.call.status = Some(response.status().as_u16());
                self.case.latency = began.elapsed();
                self.case.call.latency_ms = Some(u64::try_from(self.case.latency.as_millis()).unwrap_or(u64::MAX));
                Ok((Reply::new(response, unpacks), pass, began))
            }
            Err(lost) => {
                self.case.sent |= lost.was_sent();
                let fault = classify::lost(&lost, self.client.deadlines(), self.client.has_roots());
                // What is refused here is no sign of the host's health.
                pass.end(if fault.code == "http_address" { Ending::Abandoned } else { Ending::Bad });
                Err(self.case.failure(&fault))
            }
        }
    }

    /// Makes the next request of a redirect.
    async fn follow(&mut self, mut reply: Reply, pass: Pass, began: Instant, most: u32) -> Result<(), Failure> {
        let status = reply.status;
        let location = reply.headers.get(LOCATION).map(|v| v.as_bytes().to_vec()).unwrap_or_default();
        let until = self.retry_after(&reply);
        self.drain(&mut reply, began).await;
        drop(reply);
        pass.end(Ending::Good { latency: self.case.latency });
        let fail = |trip: &Self, what: &str| trip.case.failure(&Fault::new(Permanent, "http_redirect", what));
        let to = redirect::target(&self.case.url, &location).map_err(|why| fail(self, why))?;
        self.seen.push((self.case.method.clone(), self.case.url.clone()));
        if self.seen.len() as u64 > u64::from(most) {
            return Err(fail(self, &format!("more than {most} redirects")));
        }
        let method = redirect::method_after(status, &self.case.method).to_owned();
        self.has_body &= method == self.case.method;
        if self.seen.iter().any(|(m, u)| *m == method && *u == to) {
            return Err(fail(self, "the redirects go round in a circle"));
        }
        if to.origin() != self.case.url.origin() {
            self.is_home = false;
            let body = self.outgoing.body.as_ref().filter(|_| self.has_body);
            if body.is_some_and(|(_, b)| self.case.veil.covers(b)) {
                return Err(fail(self, "the redirect would carry a secret in the body to another host"));
            }
        }
        self.left = self.left.saturating_sub(began.elapsed());
        if let Some(until) = until {
            let wait = until.since(self.client.clock().now());
            if wait > REDIRECT_WAIT && self.case.repeatable {
                let what = format!("answered {} and asked to wait", status_text(status));
                let mut failure = self.case.failure(&Fault::new(Transient, "http_status", what));
                failure.not_before = Some(until);
                return Err(failure);
            }
            sleep(wait.min(REDIRECT_WAIT)).await;
        }
        self.case.host = host_name(&to);
        (self.case.method, self.case.url) = (method, to);
        Ok(())
    }

    /// The failure that an answer with this status is.
    async fn refuse(
        &self,
        mut reply: Reply,
        pass: Pass,
        began: Instant,
        statuses: &Statuses,
        max_redirects: u32,
    ) -> Failure {
        let status = reply.status;
        let until = self.retry_after(&reply);
        let is_bad = status == 408 || status >= 500;
        let named = statuses.permanent.contains(&status) || statuses.retry.contains(&status);
        let is_retried = !statuses.permanent.contains(&status)
            && (statuses.retry.contains(&status) || is_bad || matches!(status, 425 | 429));
        let mut what = format!("answered {}", status_text(status));
        if redirect::is_followed(status) && max_redirects == 0 {
            what.push_str(", redirects are not followed");
        }
        let class = if is_retried { Transient } else { Permanent };
        let fault = Fault { is_final: named, ..Fault::new(class, "http_status", what) };
        let mut failure = self.case.failure(&fault);
        failure.not_before = until;
        let body = self.drain(&mut reply, began).await;
        failure.answer = Some(self.case.head(reply.version, status, &reply.headers, &body));
        drop(reply);
        pass.end(match status {
            429 => Ending::Busy { until, status },
            503 if until.is_some() => Ending::Busy { until, status },
            _ if is_bad => Ending::Bad,
            _ => Ending::Good { latency: self.case.latency },
        });
        failure
    }

    fn retry_after(&self, reply: &Reply) -> Option<Millis> {
        let field = |name| reply.headers.get(name).and_then(|v| v.to_str().ok());
        retry_after::parse(field(RETRY_AFTER)?, field(DATE), self.client.clock().now())
    }

    /// Reads a body that is not wanted, up to a bound, and answers with its first bytes: enough to show them without
    /// secrets.
    async fn drain(&self, reply: &mut Reply, began: Instant) -> Vec<u8> {
        let keep = BODY_SHOWN + self.case.veil.longest();
        let (mut kept, mut read) = (Vec::new(), 0);
        let end = (Instant::now() + DRAIN_FOR).min(began + self.left);
        while read < DRAIN_MAX.max(keep) {
            match timeout_at(end, reply.body.chunk()).await {
                Ok(Ok(Some(piece))) => {
                    read += piece.len();
                    kept.extend_from_slice(&piece[..piece.len().min(keep - kept.len())]);
                }
                _ => break,
            }
        }
        kept
    }
}

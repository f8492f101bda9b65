//! Connections as one task wants them: certificates, proxy, addresses, deadlines.

use super::address::Policy;
use super::connect::Connector;
use super::dial::connect_max;
use super::pace::Floor;
use super::proxy::Proxy;
use super::report::Fault;
use super::resolver::{Lookups, Resolver};
use super::{Trust, classify, tls, unpack};
use crate::actions::fetch::spec::{Connection, Deadlines};
use crate::clock::{Clock, SystemClock};
use crate::model::Failure;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderValue, PROXY_AUTHORIZATION, RANGE, USER_AGENT};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use url::{Host, Url};

/// How long a connection without requests is kept.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// Most bytes that a connection reads at once; the head of an answer must fit into it (`http_broken`). The library's own
/// bound is 408 KiB, which each connection with a large body grows to.
const READ_MAX: usize = 64 * 1024;
/// `User-Agent` where the configuration says nothing.
const AGENT: &str = concat!("shiftboss/", env!("CARGO_PKG_VERSION"));

/// The pool of connections.
pub(super) type Connections = legacy::Client<Connector, Full<Bytes>>;

/// Makes the calls of one task and keeps its connections. Cheap to clone.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    connections: Connections,
    agent: HeaderValue,
    policy: Policy,
    proxy: Option<Host<String>>,
    /// What proves to a proxy of HTTP who asks.
    proxy_auth: Option<HeaderValue>,
    deadlines: Deadlines,
    floor: Floor,
    clock: Arc<dyn Clock>,
    has_roots: bool,
}

impl Client {
    /// A client for URLs of one trust: one out of data never finds an open connection to a private address, which a
    /// written one may have. Blocks: it reads the certificates of the system and of `ca_file`. At most `idle_per_host`
    /// connections without requests are kept for each host; more are closed.
    pub fn new(
        connection: &Connection,
        deadlines: &Deadlines,
        idle_per_host: usize,
        trust: Trust,
    ) -> Result<Self, Failure> {
        Self::build(connection, deadlines, idle_per_host, trust, &Lookups::system())
    }

    /// The same with these lookups.
    pub(super) fn build(
        connection: &Connection,
        deadlines: &Deadlines,
        idle_per_host: usize,
        trust: Trust,
        lookups: &Arc<Lookups>,
    ) -> Result<Self, Failure> {
        let proxy = connection.proxy.as_deref().map(Proxy::parse).transpose()?;
        let (proxy_host, proxy_auth) = proxy.as_ref().map(|p| (p.host.clone(), p.basic().cloned())).unzip();
        let agent = HeaderValue::from_str(connection.user_agent.as_deref().unwrap_or(AGENT))
            .map_err(|_| Failure::permanent("http_header", "`user_agent` cannot be sent"))?;
        let policy = Policy::of(connection.networks, trust);
        let (tls, has_roots) = tls::config(connection)?;
        let resolver = Resolver::new(lookups.clone(), policy, proxy_host.as_ref().map(ToString::to_string));
        // The library has a task for each connection, which ends with it.
        // A request that was not begun on a connection that was kept and is closed by now goes out on another one, which
        // is the library's way if nothing else is said. Nothing else is ever sent again here.
        let connections = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(idle_per_host)
            .pool_idle_timeout(IDLE_MAX)
            .http1_max_buf_size(READ_MAX)
            .build(Connector::new(resolver, tls, proxy, connect_max(deadlines)));
        Ok(Self(Arc::new(Inner {
            connections,
            agent,
            policy,
            proxy: proxy_host,
            proxy_auth: proxy_auth.flatten(),
            deadlines: *deadlines,
            floor: Floor::default(),
            clock: Arc::new(SystemClock),
            has_roots,
        })))
    }

    /// The same with another clock to read `Retry-After` by.
    #[cfg(test)]
    pub(super) fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        if let Some(inner) = self.inner_mut() {
            inner.clock = clock;
        }
        self
    }

    /// The same with another slowest rate.
    #[cfg(test)]
    pub(super) fn with_floor(mut self, floor: Floor) -> Self {
        self.inner_mut().unwrap().floor = floor;
        self
    }

    /// What is inside, as long as there is no second clone.
    #[cfg(test)]
    fn inner_mut(&mut self) -> Option<&mut Inner> {
        Arc::get_mut(&mut self.0)
    }

    /// The connections.
    pub(super) fn connections(&self) -> &Connections {
        &self.0.connections
    }

    /// Adds the fields that every request has, where it has none of its own. Answers whether the packing of the answer is to
    /// be taken off: who asks for packings or parts by himself gets what comes.
    pub(super) fn complete(&self, url: &Url, headers: &mut HeaderMap) -> bool {
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        headers.entry(USER_AGENT).or_insert_with(|| self.0.agent.clone());
        // Under TLS the proxy is told when the tunnel is made, and what goes through it is for the host alone.
        if let Some(auth) = self.0.proxy_auth.as_ref().filter(|_| url.scheme() == "http") {
            headers.entry(PROXY_AUTHORIZATION).or_insert_with(|| auth.clone());
        }
        let unpacks = !headers.contains_key(ACCEPT_ENCODING) && !headers.contains_key(RANGE);
        if unpacks {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(unpack::ACCEPTED));
        }
        unpacks
    }

    /// Refuses a URL whose host is an address that may not be dialled. A name is checked by the resolver.
    pub(super) fn check(&self, url: &Url) -> Result<(), Fault> {
        let policy = self.0.policy;
        let host = url.host().map(|h| h.to_owned());
        let allowed = match &host {
            Some(Host::Ipv4(ip)) => policy.allows(IpAddr::V4(*ip)),
            Some(Host::Ipv6(ip)) => policy.allows(IpAddr::V6(*ip)),
            // The resolver lets the proxy's name through, so that a URL out of data must not name it.
            Some(Host::Domain(_)) => policy != Policy::Public || host != self.0.proxy,
            None => false,
        };
        if allowed { Ok(()) } else { Err(classify::refused(policy.text())) }
    }

    /// How long things may take.
    pub(super) fn deadlines(&self) -> &Deadlines {
        &self.0.deadlines
    }

    /// The slowest body that is waited for.
    pub(super) fn floor(&self) -> Floor {
        self.0.floor
    }

    /// The clock.
    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    /// Whether there are certificates of authorities at all.
    pub(super) fn has_roots(&self) -> bool {
        self.0.has_roots
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client") // what is inside may show the password of a proxy
    }
}

//! Connections as one task wants them: certificates, proxy, addresses, deadlines.

use super::address::Policy;
use super::dial::{MarkLayer, connect_max};
use super::pace::Floor;
use super::report::Fault;
use super::resolver::{Lookups, Resolver};
use super::{Trust, classify};
use crate::actions::fetch::spec::{Connection, Deadlines};
use crate::clock::{Clock, SystemClock};
use crate::model::{Failure, text};
use reqwest::{Certificate, Proxy};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use url::{Host, Url};

/// Largest file with certificates; a larger one is refused.
const CA_MAX: u64 = 4 * 1024 * 1024;
/// How long a connection without requests is kept.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// `User-Agent` where the configuration says nothing.
const USER_AGENT: &str = concat!("shiftboss/", env!("CARGO_PKG_VERSION"));

/// Makes the calls of one task and keeps its connections. Cheap to clone.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    connections: reqwest::Client,
    policy: Policy,
    proxy: Option<Host<String>>,
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
        // An error says that one was installed before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let certificates = connection.ca_file.as_deref().map(read_certificates).transpose()?.unwrap_or_default();
        let proxy = connection.proxy.as_deref().map(read_proxy).transpose()?;
        let proxy_host = proxy.as_ref().map(|(_, host)| host.clone());
        let policy = Policy::of(connection.networks, trust);
        let build = |with_roots: bool| {
            let name = proxy_host.as_ref().map(ToString::to_string);
            let mut builder = reqwest::Client::builder()
                .no_proxy()
                .user_agent(connection.user_agent.as_deref().unwrap_or(USER_AGENT))
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .dns_resolver(Resolver::new(lookups.clone(), policy, name))
                .connector_layer(MarkLayer)
                .connect_timeout(connect_max(deadlines))
                .pool_max_idle_per_host(idle_per_host)
                .pool_idle_timeout(IDLE_MAX)
                .tls_danger_accept_invalid_certs(connection.insecure);
            builder = if with_roots {
                builder.tls_certs_merge(certificates.iter().cloned())
            } else {
                builder.tls_certs_only(certificates.iter().cloned())
            };
            if connection.http1 {
                builder = builder.http1_only();
            }
            if let Some((proxy, _)) = &proxy {
                builder = builder.proxy(proxy.clone());
            }
            builder.build()
        };
        // A bare container has no certificates of authorities; what is not encrypted works there all the same.
        let mut has_roots = true;
        let built = build(true).or_else(|_| {
            has_roots = !certificates.is_empty();
            build(false)
        });
        let connections = built.map_err(|e| unusable(connection, &e))?;
        Ok(Self(Arc::new(Inner {
            connections,
            policy,
            proxy: proxy_host,
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
    pub(super) fn connections(&self) -> &reqwest::Client {
        &self.0.connections
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

fn read_certificates(path: &Path) -> Result<Vec<Certificate>, Failure> {
    let io = |e: std::io::Error| Failure::io("http_tls", "read the certificates in", path, &e);
    let refuse = |why: &str| Failure::permanent("http_tls", format!("{why}: {}", text::path(path)));
    let mut pem = Vec::new();
    File::open(path).map_err(io)?.take(CA_MAX + 1).read_to_end(&mut pem).map_err(io)?;
    if pem.len() as u64 > CA_MAX {
        return Err(refuse("a file with certificates has at most 4 MiB"));
    }
    let found = Certificate::from_pem_bundle(&pem).map_err(|_| refuse("the file is no PEM file with certificates"))?;
    if found.is_empty() {
        return Err(refuse("the file holds no certificate"));
    }
    Ok(found)
}

/// The proxy and its host. Its URL may hold a password, so it is never shown.
fn read_proxy(text: &str) -> Result<(Proxy, Host<String>), Failure> {
    let refuse = || Failure::permanent("http_url", "`proxy` is no URL of a proxy (http, https, socks5, socks5h)");
    let url = Url::parse(text).map_err(|_| refuse())?;
    if !matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h") {
        return Err(refuse());
    }
    // For schemes that are not of the web, the host is read as a mere text.
    let host = url.host_str().and_then(|h| Host::parse(h).ok()).ok_or_else(refuse)?;
    Ok((Proxy::all(url.as_str()).map_err(|_| refuse())?, host))
}

fn unusable(connection: &Connection, error: &reqwest::Error) -> Failure {
    let why =
        std::error::Error::source(error).map_or_else(String::new, |e| format!(", {}", text::escape(&e.to_string())));
    match &connection.ca_file {
        Some(path) => {
            Failure::permanent("http_tls", format!("the certificates cannot be used{why}: {}", text::path(path)))
        }
        None => Failure::permanent("http_tls", format!("no client can be made{why}")),
    }
}

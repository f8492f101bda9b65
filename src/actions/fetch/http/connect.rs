//! Makes connections: to the host itself or by way of a proxy, plain or under TLS, within the deadline for it.

use super::dial::Mark;
use super::proxy::{Kind, Proxy};
use super::resolver::Resolver;
use hyper::Uri;
use hyper::http::uri::Scheme;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use std::error::Error;
use std::fmt;
use std::future::{Future, Ready, ready};
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_service::Service;

/// When a connection on which nothing moves is asked whether it is still there, and how often.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// How many of these questions stay without an answer before it counts as broken.
const KEEPALIVE_TRIES: u32 = 3;
/// Longest time that the other side takes to confirm what was sent; after it the connection counts as broken.
#[cfg(target_os = "linux")]
const UNCONFIRMED_MAX: Duration = Duration::from_secs(30);

type BoxError = Box<dyn Error + Send + Sync>;
/// To the host, or to the proxy, which may be under TLS of its own.
type Lower = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Makes connections. Cheap to clone. It shows nothing of itself, since it may hold the password of a proxy.
#[derive(Clone)]
pub(super) struct Connector(Arc<Inner>);

struct Inner {
    tcp: HttpConnector<Resolver>,
    tls: Arc<ClientConfig>,
    /// The proxy, and TLS towards it, without HTTP/2.
    proxy: Option<(Proxy, Arc<ClientConfig>)>,
    resolver: Resolver,
    most: Duration,
}

impl Connector {
    /// Connections that are there after `most` or never. `tls` says which versions of HTTP are spoken under it.
    pub(super) fn new(resolver: Resolver, tls: ClientConfig, proxy: Option<Proxy>, most: Duration) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(resolver.clone());
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(most));
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_keepalive_interval(Some(KEEPALIVE));
        tcp.set_keepalive_retries(Some(KEEPALIVE_TRIES));
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(UNCONFIRMED_MAX));
        let proxy = proxy.map(|proxy| {
            let mut towards = tls.clone();
            towards.alpn_protocols.clear();
            (proxy, Arc::new(towards))
        });
        Self(Arc::new(Inner { tcp, tls: Arc::new(tls), proxy, resolver, most }))
    }
}

impl Service<Uri> for Connector {
    type Response = Wire;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Wire, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let (inner, mark) = (self.0.clone(), Mark::dialling());
        Box::pin(async move {
            let wire = timeout(inner.most, inner.connect(to)).await.map_err(|_| NotInTime)??;
            mark.connected();
            Ok(wire)
        })
    }
}

impl Inner {
    async fn connect(&self, to: Uri) -> Result<Wire, BoxError> {
        let is_tls = to.scheme() == Some(&Scheme::HTTPS);
        let (lower, is_proxied) = match &self.proxy {
            None => (MaybeHttpsStream::Http(self.tcp.clone().call(to.clone()).await?), false),
            Some((proxy, tls)) => (self.connect_by(proxy, tls, &to).await?, !is_tls && proxy.kind == Kind::Http),
        };
        let stream = if is_tls {
            HttpsConnector::from((Made(Some(lower)), self.tls.clone())).call(to).await?
        } else {
            MaybeHttpsStream::Http(lower)
        };
        Ok(Wire { stream, is_proxied })
    }

    /// A connection that ends at the proxy for a plain request to a proxy of HTTP, and at the host for everything else.
    async fn connect_by(&self, proxy: &Proxy, tls: &Arc<ClientConfig>, to: &Uri) -> Result<Lower, BoxError> {
        let to = match proxy.kind {
            Kind::Http => to.clone(),
            Kind::Socks { is_local } => self.socks_target(to, is_local).await?,
        };
        let made = HttpsConnector::from((self.tcp.clone(), tls.clone())).call(proxy.uri.clone()).await?;
        match proxy.kind {
            Kind::Http if to.scheme() != Some(&Scheme::HTTPS) => Ok(made),
            Kind::Http => {
                let mut tunnel = Tunnel::new(proxy.uri.clone(), Made(Some(made)));
                if let Some(credentials) = proxy.basic() {
                    tunnel = tunnel.with_auth(credentials.clone());
                }
                Ok(tunnel.call(to).await?)
            }
            Kind::Socks { .. } => {
                let mut socks = SocksV5::new(proxy.uri.clone(), Made(Some(made)));
                if let Some((user, password)) = proxy.user() {
                    socks = socks.with_auth(user.to_owned(), password.to_owned());
                }
                Ok(socks.call(to).await?)
            }
        }
    }

    /// The host as a proxy of SOCKS is told it: by its address if names are looked up here, and always with its port.
    async fn socks_target(&self, to: &Uri, is_local: bool) -> Result<Uri, BoxError> {
        let host = to.host().unwrap_or_default();
        let port = to.port_u16().unwrap_or(if to.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 });
        let mut place = format!("{host}:{port}");
        let is_name = host.trim_matches(['[', ']']).parse::<IpAddr>().is_err();
        if is_local
            && is_name
            && let Some(ip) = self.resolver.find(host).await?.first()
        {
            place = SocketAddr::new(*ip, port).to_string();
        }
        Ok(Uri::builder().scheme(Scheme::HTTP).authority(place).path_and_query("/").build()?)
    }
}

/// A connection that was made already, for what goes on from it.
struct Made(Option<Lower>);

impl Service<Uri> for Made {
    type Response = Lower;
    type Error = io::Error;
    type Future = Ready<io::Result<Lower>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        ready(self.0.take().ok_or_else(|| io::Error::other("the connection is in use")))
    }
}

/// A connection over which requests go.
pub(super) struct Wire {
    stream: MaybeHttpsStream<Lower>,
    /// Whether it ends at a proxy, which has to be told the whole URL.
    is_proxied: bool,
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        let connected = Connected::new().proxy(self.is_proxied);
        match &self.stream {
            MaybeHttpsStream::Https(tls) if tls.inner().get_ref().1.alpn_protocol() == Some(b"h2") => {
                connected.negotiated_h2()
            }
            _ => connected,
        }
    }
}

impl Read for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl Write for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The connection was not there in time.
#[derive(Debug)]
pub(super) struct NotInTime;

impl fmt::Display for NotInTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection takes too long")
    }
}

impl Error for NotInTime {}

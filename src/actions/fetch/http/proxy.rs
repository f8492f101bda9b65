//! A proxy as the configuration names it. Its URL may hold a password, so nothing here shows itself.

use crate::model::Failure;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::Uri;
use hyper::header::HeaderValue;
use hyper::http::uri::Scheme;
use percent_encoding::percent_decode_str;
use url::{Host, Url};

/// The port of SOCKS, where the URL names none.
const SOCKS_PORT: u16 = 1080;

/// A proxy.
pub(super) struct Proxy {
    /// Where it is, without user and password.
    pub(super) uri: Uri,
    /// Its host.
    pub(super) host: Host<String>,
    /// What it speaks.
    pub(super) kind: Kind,
    credentials: Option<Credentials>,
}

struct Credentials {
    user: String,
    password: String,
    basic: HeaderValue,
}

/// What a proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// HTTP, plain or under TLS.
    Http,
    /// SOCKS 5.
    Socks {
        /// Whether names are looked up here.
        is_local: bool,
    },
}

impl Proxy {
    /// The proxy that a URL names.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let refuse = || Failure::permanent("http_url", "`proxy` is no URL of a proxy (http, https, socks5, socks5h)");
        let url = Url::parse(text).map_err(|_| refuse())?;
        let (kind, scheme, port) = match url.scheme() {
            "http" => (Kind::Http, Scheme::HTTP, 80),
            "https" => (Kind::Http, Scheme::HTTPS, 443),
            "socks5" => (Kind::Socks { is_local: true }, Scheme::HTTP, SOCKS_PORT),
            "socks5h" => (Kind::Socks { is_local: false }, Scheme::HTTP, SOCKS_PORT),
            _ => return Err(refuse()),
        };
        // For schemes that are not of the web, the host is read as a mere text.
        let host = url.host_str().and_then(|h| Host::parse(h).ok()).ok_or_else(refuse)?;
        let place = format!("{host}:{}", url.port().unwrap_or(port));
        let uri = Uri::builder().scheme(scheme).authority(place).path_and_query("/").build().map_err(|_| refuse())?;
        let credentials = if url.username().is_empty() && url.password().is_none() {
            None
        } else {
            let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
            let (user, password) = (plain(url.username()), plain(url.password().unwrap_or_default()));
            let packed = BASE64_STANDARD.encode(format!("{user}:{password}"));
            let mut basic = HeaderValue::try_from(format!("Basic {packed}")).map_err(|_| refuse())?;
            basic.set_sensitive(true);
            Some(Credentials { user, password, basic })
        };
        Ok(Self { uri, host, kind, credentials })
    }

    /// `Proxy-Authorization`, for a proxy of HTTP.
    pub(super) fn basic(&self) -> Option<&HeaderValue> {
        self.credentials.as_ref().filter(|_| self.kind == Kind::Http).map(|c| &c.basic)
    }

    /// User and password.
    pub(super) fn user(&self) -> Option<(&str, &str)> {
        self.credentials.as_ref().map(|c| (c.user.as_str(), c.password.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_read_with_its_port_and_its_password() {
        for (text, uri, kind) in [
            ("http://proxy.example", "http://proxy.example:80/", Kind::Http),
            ("https://proxy.example", "https://proxy.example:443/", Kind::Http),
            ("http://proxy.example:3128/", "http://proxy.example:3128/", Kind::Http),
            ("socks5://proxy.example", "http://proxy.example:1080/", Kind::Socks { is_local: true }),
            ("socks5h://[::1]:9050", "http://[::1]:9050/", Kind::Socks { is_local: false }),
        ] {
            let proxy = Proxy::parse(text).unwrap();
            assert_eq!((proxy.uri.to_string().as_str(), proxy.kind), (uri, kind));
            assert!(proxy.user().is_none() && proxy.basic().is_none());
        }
        let proxy = Proxy::parse("http://me:p%40ss@proxy.example").unwrap();
        assert_eq!(proxy.user(), Some(("me", "p@ss")));
        assert_eq!(proxy.basic().unwrap(), "Basic bWU6cEBzcw==");
        assert!(proxy.basic().unwrap().is_sensitive() && !proxy.uri.to_string().contains("p@ss"));
        assert!(Proxy::parse("socks5://me:pass@proxy.example").unwrap().basic().is_none());
    }
}

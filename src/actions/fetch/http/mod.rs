//! One call over HTTP, from the turn at the gate of its host to the last byte of the answer.
//!
//! It guarantees that no request leaves without a pass for its host, and that every pass is ended exactly once; that
//! an address is checked where it is dialled, on every hop, so that a name that changes its mind gains nothing; that
//! what proves who asks never reaches another origin; that every wait has a deadline and every body a size; and that
//! neither the query of a URL nor a secret stands in anything that is shown.
//!
//! A request is sent again by nobody in here. The connection pool takes another connection for a request whose bytes
//! never left, which is safe for every method.
//!
//! Bounds that the libraries keep: the head of an answer has at most 100 fields in 64 KiB (HTTP/1.1) or 16 KiB
//! (HTTP/2); a larger one is `http_broken`. Interim answers (1xx) are read over until the first-byte deadline. A body
//! that ends with its connection, as HTTP/1.0 allows, is taken as whole when the connection is closed in order:
//! nothing tells that it was cut. What unpacks a body keeps a window of what it unpacked, which the sender chooses: at most
//! 32 KiB for gzip and deflate, 16 MiB for brotli, 32 MiB for zstd; a body that wants more is refused.

mod address;
mod answer;
mod call;
mod classify;
mod client;
mod connect;
mod dial;
mod pace;
mod place;
mod proxy;
mod redirect;
mod report;
mod resolver;
mod retry_after;
#[cfg(test)]
mod tests;
mod tls;
mod unpack;

pub use answer::Answer;
pub use call::send;
pub use client::Client;
pub use place::{parse, shown};

use bytes::Bytes;
use std::fmt;
use url::Url;

/// Where a URL comes from, and so which addresses it may lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trust {
    /// Written in the configuration: any address but those of link-local and metadata services.
    Written,
    /// Out of data: public addresses alone.
    Data,
}

/// A request that is to be sent.
#[derive(Clone)]
pub struct Outgoing {
    /// The method in capitals.
    pub method: String,
    /// Where to; from [`parse`].
    pub url: Url,
    /// Fields of the header in their order. Those that name a user (`Authorization`, `Cookie`) or hold a value of
    /// [`Outgoing::hide`] are dropped when a redirect leaves the origin.
    pub headers: Vec<(String, String)>,
    /// Fields that prove who asks; dropped when a redirect leaves the origin, and never shown.
    pub auth: Vec<(String, String)>,
    /// Type and bytes of the body.
    pub body: Option<(String, Bytes)>,
    /// Whether it may be sent again when nobody knows what became of it. If not, a failure after its bytes may have
    /// left is permanent and says so.
    pub repeatable: bool,
    /// Most bytes of the body of the answer, decoded; one more fails the call.
    pub max_bytes: u64,
    /// Values of secrets: `[hidden]` stands in their place in everything that is shown.
    pub hide: Vec<String>,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outgoing({} {})", self.method, report::Veil::new(self).text(&shown(&self.url)))
    }
}

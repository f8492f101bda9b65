//! The control socket: HTTP/1.1 with JSON and server-sent events, so that curl is a client.

pub mod client;
pub mod server;
pub mod wire;

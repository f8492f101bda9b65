//! Alerts: what people outside are told, by which channel, and when.
//!
//! [`route`] decides, and is pure: it looks at what is wrong and at what each channel was told of it, so a crash between
//! two looks neither loses nor doubles a message. [`compose`] puts it into words. [`Sender`] brings a message to its
//! channel and says whether trying again may help.
//!
//! It guarantees one message for each cause, not for each failure, and that no text from outside acts on whoever reads
//! it. It refuses to be on the way of a job: nothing here is waited for by one.

mod command;
mod delivery;
mod email;
mod http;
mod message;
mod quiet;
mod routing;
mod slack;
#[cfg(test)]
mod tests;
mod webhook;

pub use delivery::{Hands, Sender, Step, Undelivered};
pub use http::beat;
pub use message::{From, compose, test_message};
pub use quiet::until as quiet_until;
pub use routing::{CHANNEL_FAILED, FLAPPING, Note, Routed, Want, Why, route};

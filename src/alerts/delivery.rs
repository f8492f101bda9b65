//! Brings one message to its channel, and says what came of it.

use super::{command, email, slack, webhook};
use crate::model::alert::Message;
use crate::model::alert::channel::{Channel, Held, Way};
use crate::model::{Failure, Secret};
use std::ffi::OsString;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// Time for one message, from the first connection to the answer; one that takes longer is tried again.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// Time for a connection.
pub const CONNECT: Duration = Duration::from_secs(10);
/// Longest answer of the other side that is repeated in a message, in characters.
pub const ANSWER_MAX: usize = 200;

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undelivered {
    /// Another try may help.
    Later {
        /// Why, without secrets.
        why: String,
        /// The other side asked for no earlier one than after this time.
        after: Option<Duration>,
    },
    /// It was refused for good.
    Refused(String),
}

impl Undelivered {
    /// Another try may help.
    pub fn later(why: impl Into<String>) -> Self {
        Self::Later { why: why.into(), after: None }
    }

    /// Why.
    #[must_use]
    pub fn why(&self) -> &str {
        match self {
            Self::Later { why, .. } | Self::Refused(why) => why,
        }
    }
}

impl fmt::Display for Undelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.why())
    }
}

/// An answer that borrows.
pub type Step<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a channel needs of the runtime.
pub trait Hands: Send + Sync {
    /// The value of a secret, as it is now.
    fn secret<'a>(&'a self, secret: &'a Secret) -> Step<'a, Result<String, Failure>>;
    /// Runs a program with this input and these variables, at most for a time; `Err` says why it did not end well. Its
    /// whole process group is killed when the time is up.
    fn program<'a>(
        &'a self,
        program: &'a str,
        args: &'a [String],
        env: Vec<(OsString, OsString)>,
        input: Vec<u8>,
        deadline: Duration,
    ) -> Step<'a, Result<(), String>>;
}

/// A message as it goes out: its number, which stays the same over all tries, and who sends it.
#[derive(Clone, Copy, Debug)]
pub struct Parcel<'a> {
    /// The message.
    pub message: &'a Message,
    /// The same at every try, and for no other message of any supervisor: `NUMBER.NODE`.
    pub id: &'a str,
    /// Unix time of this try, in seconds.
    pub at: i64,
}

/// Sends to one channel.
pub struct Sender<'a> {
    /// The channel.
    pub channel: &'a Channel,
    /// What it needs.
    pub hands: &'a dyn Hands,
}

impl Sender<'_> {
    /// Sends a message; `id` tells it from every other, and `at` is the time of this try in seconds.
    pub async fn send(&self, message: &Message, id: &str, at: i64) -> Result<(), Undelivered> {
        let parcel = Parcel { message, id, at };
        let sent = async {
            match &self.channel.way {
                Way::Email(mail) => Box::pin(email::send(mail, &parcel, self.hands)).await,
                Way::Slack(url) => slack::send(url, &parcel, self.hands).await,
                Way::Webhook(hook) => webhook::send(hook, &parcel, self.hands).await,
                Way::Command(program) => command::send(program, &parcel, self.hands).await,
            }
        };
        let late = || Undelivered::later(format!("no end within {}", humantime::format_duration(DEADLINE)));
        tokio::time::timeout(DEADLINE, sent).await.unwrap_or_else(|_| Err(late()))
    }
}

/// The value of a text or secret. A secret that cannot be read may be there later.
pub(super) async fn value(held: &Held, hands: &dyn Hands) -> Result<String, Undelivered> {
    match held {
        Held::Text(text) => Ok(text.clone()),
        Held::Secret(secret) => hands.secret(secret).await.map_err(|f| Undelivered::later(f.message)),
    }
}

/// What the other side said, safe and short, without this secret.
pub(super) fn said(answer: &str, hide: &[&str]) -> String {
    let mut text = answer.to_owned();
    for secret in hide.iter().filter(|s| s.len() >= 4) {
        text = text.replace(secret, "[hidden]");
    }
    crate::model::text::cut(&crate::model::text::escape(text.trim()), ANSWER_MAX).into_owned()
}

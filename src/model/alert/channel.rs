//! A channel of the configuration, checked: where messages go, which ones, and how often.

use super::Severity;
use crate::model::Secret;
use globset::GlobMatcher;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A text that the configuration holds, or a secret that it names.
#[derive(Clone, PartialEq, Eq)]
pub enum Held {
    /// The text itself.
    Text(String),
    /// Kept elsewhere.
    Secret(Secret),
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // A URL may hold a token, and a header field often is one.
            Self::Text(_) => f.write_str("Text"),
            Self::Secret(secret) => write!(f, "{secret:?}"),
        }
    }
}

/// How a connection to a mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTls {
    /// The connection begins in the clear and is protected before anything is said.
    StartTls,
    /// It is protected from its first byte.
    Implicit,
    /// It is not protected.
    None,
}

/// A user of a mail server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Its name.
    pub user: String,
    /// Its password.
    pub password: Secret,
}

/// Mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Name or address of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: MailTls,
    /// A file with further certificates that are trusted; absolute.
    pub ca: Option<PathBuf>,
    /// Who sends.
    pub from: String,
    /// Who gets it; at least one.
    pub to: Vec<String>,
    /// Who logs in.
    pub login: Option<Login>,
}

/// A message as JSON to a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Where to.
    pub url: Held,
    /// Signs the body.
    pub secret: Option<Secret>,
    /// Further fields of the header.
    pub headers: Vec<(String, Held)>,
}

/// A program that gets a message as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name or path.
    pub program: String,
    /// Its arguments, as they are.
    pub args: Vec<String>,
}

/// How messages leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// By mail.
    Email(Mail),
    /// To a webhook of Slack.
    Slack(Held),
    /// As JSON to a URL.
    Webhook(Webhook),
    /// To a program.
    Command(Program),
}

impl Way {
    /// Its key in the configuration.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Email(_) => "email",
            Self::Slack(_) => "slack",
            Self::Webhook(_) => "webhook",
            Self::Command(_) => "command",
        }
    }

    /// Where messages go, without secrets: of a URL no more than its host.
    #[must_use]
    pub fn target(&self) -> String {
        let url = |held: &Held| match held {
            Held::Secret(secret) => format!("a URL in {secret}"),
            Held::Text(url) => {
                let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
                let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
                host.rsplit('@').next().unwrap_or_default().to_owned()
            }
        };
        let target = match self {
            Self::Email(mail) => format!("{} by {}:{}", mail.to.join(", "), mail.host, mail.port),
            Self::Slack(webhook) => url(webhook),
            Self::Webhook(webhook) => url(&webhook.url),
            Self::Command(program) => program.program.clone(),
        };
        crate::model::text::escape(&target).into_owned()
    }
}

/// Hours in which a channel holds messages back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quiet {
    /// First minute of the day; 1320 is 22:00.
    pub from: u16,
    /// First minute after it; earlier than `from` where midnight lies between.
    pub until: u16,
    /// The zone of both.
    pub zone: chrono_tz::Tz,
    /// What is sent all the same.
    pub except: Vec<Severity>,
}

/// A channel.
#[derive(Clone, Debug)]
pub struct Channel {
    /// Its name.
    pub name: Arc<str>,
    /// How messages leave.
    pub way: Way,
    /// Severities that it is told.
    pub on: Vec<Severity>,
    /// Names of the tasks that it is told of; empty: all, and the supervisor itself.
    pub tasks: Vec<GlobMatcher>,
    /// Codes and kinds that it is told of; empty: all.
    pub codes: Vec<GlobMatcher>,
    /// For this long a cause is not told again.
    pub repeat: Duration,
    /// Messages are collected for this long.
    pub digest: Option<Duration>,
    /// When messages are held back.
    pub quiet: Option<Quiet>,
    /// Most messages in an hour; what is over becomes one.
    pub max_per_hour: u32,
    /// Hash of everything above.
    pub hash: String,
}

impl Channel {
    /// Whether it is told of this severity.
    #[must_use]
    pub fn wants(&self, severity: Severity) -> bool {
        self.on.contains(&severity)
    }

    /// Whether it is told of this task (none: the supervisor itself) and this code.
    #[must_use]
    pub fn concerns(&self, task: Option<&str>, code: &str) -> bool {
        let of_task = self.tasks.is_empty() || task.is_some_and(|t| self.tasks.iter().any(|m| m.is_match(t)));
        of_task && (self.codes.is_empty() || self.codes.iter().any(|m| m.is_match(code)))
    }
}

/// A monitor outside that is told, again and again, that the supervisor is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// What is asked with GET.
    pub url: Held,
    /// How often.
    pub every: Duration,
}

/// What the configuration says about alerts.
#[derive(Clone, Debug, Default)]
pub struct Alerts {
    /// The channels, in the order of the file.
    pub channels: Vec<Arc<Channel>>,
    /// Told that all is well.
    pub heartbeat: Option<Heartbeat>,
}

impl Alerts {
    /// The channel with this name.
    #[must_use]
    pub fn channel(&self, name: &str) -> Option<&Arc<Channel>> {
        self.channels.iter().find(|c| &*c.name == name)
    }
}

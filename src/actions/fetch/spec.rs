//! What one fetch shall do, as its table in the configuration says. Plain data; `spec/read.rs` reads it.

mod read;

use crate::model::action::network::{HostLimits, Rate};
use crate::model::secret::Secret;
use crate::model::{OnExists, Template};
use std::path::PathBuf;
use std::time::Duration;

/// What one fetch shall do.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Where the URLs come from.
    pub source: Source,
    /// What is sent.
    pub request: Request,
    /// What the task allows itself towards one host.
    pub limits: HostLimits,
    /// Most requests of the task at once; none = the task's `concurrency`.
    pub concurrency: Option<u32>,
    /// How long things may take.
    pub deadlines: Deadlines,
    /// Which answers are retried.
    pub statuses: Statuses,
    /// What makes an answer good.
    pub expect: Expect,
    /// Most bytes of one job's answers, decoded.
    pub max_bytes: u64,
    /// How the answer is written.
    pub write: Write,
    /// Where it goes.
    pub output: Template,
    /// What happens where it is there already.
    pub on_exists: OnExists,
    /// How further pages are found.
    pub pages: Option<Pages>,
    /// How earlier answers are used.
    pub cache: Option<Cache>,
    /// How connections are made.
    pub connection: Connection,
}

/// Where the URLs come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// From the configuration: URLs and URL templates with ranges (`{1..100}`), lists (`{a,b}`) and dates.
    Urls(Vec<String>),
    /// From a file that is read when the run starts, or from the claimed or the upstream files.
    Files {
        /// Its paths, absolute; empty: the job's own file, or the outputs of the upstream run.
        paths: Vec<PathBuf>,
        /// How it is written; none: by its extension.
        format: Option<ListFormat>,
        /// Column of a table, or key of the objects, that holds the URL or the value for `{value}`; none: the first one.
        column: Option<String>,
        /// A URL that each value is put into, for `{value}`; none: each value is a URL.
        template: Option<String>,
        /// Scheme, host and port that a URL out of the files may name, such as `https://api.example.com`; empty: any. Not
        /// empty where the request carries a secret and there is no template.
        hosts: Vec<String>,
    },
}

/// How a file with URLs is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListFormat {
    /// A URL a line; empty lines and those that start with `#` are no URLs.
    Text,
    /// A table with a header.
    Csv,
    /// An array, or an object a line.
    Json,
}

/// What is sent.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method in capitals.
    pub method: String,
    /// Fields of the header in their order; names are valid.
    pub headers: Vec<(String, Text)>,
    /// Added to the query of every URL.
    pub query: Vec<(String, Text)>,
    /// The body.
    pub body: Body,
    /// Who asks.
    pub auth: Option<Auth>,
    /// Name of a header that carries a key which is the same in every attempt of a job, such as `Idempotency-Key`.
    pub idempotency_key: Option<String>,
}

impl Request {
    /// Whether a secret is sent.
    #[must_use]
    pub fn has_secret(&self) -> bool {
        let form: &[(String, Text)] = if let Body::Form(fields) = &self.body { fields } else { &[] };
        let mut texts = self.headers.iter().chain(&self.query).chain(form).map(|(_, text)| text);
        self.auth.is_some() || texts.any(|text| matches!(text, Text::Secret(_)))
    }

    /// Whether a request whose fate is unknown may be sent again.
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        self.idempotency_key.is_some()
            || matches!(self.method.as_str(), "GET" | "HEAD" | "PUT" | "DELETE" | "OPTIONS" | "TRACE")
    }
}

/// A value: written down, or kept elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// Written in the configuration.
    Plain(String),
    /// Kept elsewhere; resolved anew for every attempt.
    Secret(Secret),
}

/// The body of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Body {
    /// None.
    #[default]
    None,
    /// JSON; its text as it is sent.
    Json(String),
    /// A form: `application/x-www-form-urlencoded`.
    Form(Vec<(String, Text)>),
    /// A text with its type.
    Text {
        /// `Content-Type`.
        content_type: String,
        /// The body.
        text: String,
    },
}

/// Who asks. Never sent to another origin than that of the job's URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer …`
    Bearer(Secret),
    /// `Authorization: Basic …`
    Basic {
        /// Name.
        user: String,
        /// Password.
        password: Secret,
    },
    /// A header of its own, such as `X-Api-Key`.
    Header {
        /// Its name.
        name: String,
        /// Its value.
        value: Secret,
    },
}

/// How long things may take. Every one of them ends the attempt with a failure of the class `timeout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// Name, connection and TLS.
    pub connect: Duration,
    /// From the sent request to the head of the answer.
    pub first_byte: Duration,
    /// Between two pieces of the body.
    pub idle: Duration,
    /// One request with its redirects, from the dial to the last byte.
    pub total: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { connect: seconds(5), first_byte: seconds(30), idle: seconds(30), total: seconds(300) }
    }
}

/// A body slower than this, taken over [`MIN_RATE_OVER`], is a failure: bytes per second.
pub const MIN_RATE: u64 = 100;
/// See [`MIN_RATE`].
pub const MIN_RATE_OVER: Duration = Duration::from_secs(60);

/// Statuses that are treated otherwise than usual.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statuses {
    /// Retried although they are not in 408, 425, 429, 5xx.
    pub retry: Vec<u16>,
    /// Not retried although they are.
    pub permanent: Vec<u16>,
}

/// What makes an answer good.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expect {
    /// Good statuses; empty: 200 to 299.
    pub status: Vec<u16>,
    /// The body is JSON.
    pub json: bool,
    /// The JSON has a value that is not null at this place: a JSON pointer such as `/data/items`.
    pub key: Option<String>,
    /// The body has at least so many bytes.
    pub min_bytes: u64,
    /// The body holds this text.
    pub contains: Option<String>,
}

/// How the answer is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Write {
    /// In which form.
    pub form: Form,
    /// Where the items are in the JSON: a JSON pointer; empty: the document itself, if it is an array.
    pub items: String,
}

/// In which form the answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// As it came, byte for byte, after unpacking.
    #[default]
    Body,
    /// The items of a JSON array, one a line.
    Ndjson,
    /// The items of a JSON array, objects, as a table: the header has the keys of the first page's items.
    Csv,
}

/// How further pages are found, and when to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pages {
    /// How.
    pub by: Paging,
    /// Most pages; more fail the job unless `max_is_end`.
    pub max: u32,
}

/// How the next page is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Paging {
    /// `Link: <…>; rel="next"`.
    Link,
    /// A field of the JSON holds a cursor, or the URL of the next page; absent, null or empty: the end.
    Cursor {
        /// JSON pointer to it.
        field: String,
        /// Parameter of the query that takes it; none: it is a URL.
        param: Option<String>,
    },
    /// A number in the query, raised by one; an empty page is the end.
    Number {
        /// Parameter.
        param: String,
        /// First number.
        start: u64,
    },
    /// An offset in the query, raised by the items of each page; an empty page is the end.
    Offset {
        /// Parameter.
        param: String,
        /// Parameter of the size of a page, and the size.
        limit: Option<(String, u64)>,
    },
}

/// How earlier answers are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cache {
    /// An answer younger than this is taken without asking.
    pub ttl: Duration,
    /// An answer younger than this stands in for one that cannot be had.
    pub stale_if_error: Option<Duration>,
}

/// How connections are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// Certificates that are trusted beside those of the system: a PEM file.
    pub ca_file: Option<PathBuf>,
    /// `http://HOST:PORT` or `socks5://…`; none: no proxy, whatever the environment says.
    pub proxy: Option<String>,
    /// Whether certificates are not checked. Logged with every attempt.
    pub insecure: bool,
    /// Most redirects that are followed; 0 = none.
    pub redirects: u32,
    /// Which addresses may be dialled.
    pub networks: Networks,
    /// `User-Agent`.
    pub user_agent: Option<String>,
    /// HTTP/1.1 alone.
    pub http1: bool,
}

/// Which addresses may be dialled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Networks {
    /// For URLs written in the configuration any but link-local ones (metadata services); for URLs out of data public
    /// ones alone.
    #[default]
    Auto,
    /// Public ones alone.
    Public,
    /// Any.
    Any,
}

/// Reads so many in a time: `10/s`, `600/m`, `5000/h`.
#[must_use]
pub fn parse_rate(text: &str) -> Option<Rate> {
    let (count, unit) = text.trim().split_once('/')?;
    let per = match unit.trim() {
        "s" | "sec" | "second" => Duration::from_secs(1),
        "m" | "min" | "minute" => Duration::from_secs(60),
        "h" | "hour" => Duration::from_secs(3600),
        "d" | "day" => Duration::from_secs(86_400),
        _ => return None,
    };
    let count: u32 = count.trim().parse().ok().filter(|n| (1..=1_000_000).contains(n))?;
    Some(Rate { count, per })
}

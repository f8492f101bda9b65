//! Reads the table of a `fetch`.
//!
//! It guarantees that every problem is reported with its place before anything is sent, and that what it lets pass can be
//! sent: URLs have a host, headers are headers, and keys fit together. It refuses secrets that are written down, and
//! requests with a secret whose host would be for a file to say.

mod answer;
mod connection;
mod request;
mod source;
#[cfg(test)]
mod tests;

use super::{Body, Form, Source, Spec, Write};
use crate::actions::fetch::urls::{Mistake, UrlTemplate};
use crate::actions::keys::{on_exists, optional};
use crate::model::action::network::{HostLimits, Rate};
use crate::model::block::{Complaint, Span, Spanned, Value, shown};
use crate::model::{Block, OnExists, Placeholder, Template};

/// Where an answer goes unless the configuration says otherwise.
const OUTPUT: &str = "out/{task}/{run}/{n}-{name}";
/// The same for items, which have another form than what came.
const OUTPUT_NDJSON: &str = "out/{task}/{run}/{n}-{stem}.ndjson";
/// The same for a table.
const OUTPUT_CSV: &str = "out/{task}/{run}/{n}-{stem}.csv";
/// Most requests of a task at once; each holds a connection.
const CONCURRENCY_MAX: i64 = 4096;
/// Most requests to one host at once.
const HOST_CONCURRENCY_MAX: i64 = 1024;
/// Most failures in a row that a breaker can be told to wait for.
const BREAKER_MAX: i64 = 1_000_000;
/// Bytes of one job's answers, unless the configuration says otherwise.
const MAX_BYTES: u64 = 1 << 30;

impl Spec {
    /// Reads the table of a `fetch`. `None`: the problems were reported to the block.
    pub fn read(block: &mut Block<'_>) -> Option<Self> {
        let source = source::read(block);
        let request = request::read(block);
        let concurrency = optional(block, "concurrency", |b, key| b.integer(key, 1..=CONCURRENCY_MAX));
        let limits = optional(block, "per_host", |b, key| b.table(key).and_then(|mut table| limits(&mut table)));
        let deadlines = connection::deadlines(block);
        let statuses = answer::statuses(block);
        let expect = answer::expect(block);
        let max_bytes = optional(block, "max_bytes", |b, key| b.size(key, 1..=u64::MAX));
        let write = answer::write(block);
        let output = optional(block, "output", |b, key| b.template(key).map(|t| t.value));
        let on_exists = on_exists(block);
        let pages = optional(block, "pages", |b, key| b.table(key).and_then(|mut table| answer::pages(&mut table)));
        let cache = answer::cache(block);
        let connection = connection::read(block);

        let write = write?;
        let preset = match write.form {
            Form::Body => OUTPUT,
            Form::Ndjson => OUTPUT_NDJSON,
            Form::Csv => OUTPUT_CSV,
        };
        let spec = Self {
            source: source?,
            request: request?,
            limits: limits?.unwrap_or_default(),
            concurrency: concurrency?.and_then(|n| u32::try_from(n).ok()),
            deadlines: deadlines?,
            statuses: statuses?,
            expect: expect?,
            max_bytes: max_bytes?.unwrap_or(MAX_BYTES),
            write,
            output: output?.or_else(|| Template::parse(preset).ok())?,
            on_exists: on_exists?,
            pages: pages?,
            cache: cache?,
            connection: connection?,
        };
        spec.fits(block).then_some(spec)
    }

    /// What only several keys together can have wrong. Asked once each of them is right by itself.
    fn fits(&self, block: &Block<'_>) -> bool {
        let mut is_good = true;
        let mut wrong = |key: &str, message: &str, hint: &str| {
            let span = key_span(block, key);
            block.problem(Complaint::new(span, message).hint(hint));
            is_good = false;
        };
        let is_body = matches!(self.write, Write { form: Form::Body, .. });
        if is_body && self.pages.is_some() {
            let message = "pages have no common form as they come";
            wrong(
                "pages",
                message,
                r#"add write = "ndjson" or write = "csv", and say with `items` where the items are"#,
            );
        }
        if self.request.method == "HEAD" && self.wants_body() {
            wrong("method", "the answer to HEAD has no body to look at", "use GET, or expect no body");
        }
        if self.cache.is_some() && !matches!(self.request.method.as_str(), "GET" | "HEAD") {
            let message = format!("an answer to {} is not kept", self.request.method);
            wrong("cache", &message, "leave `cache` out, or use GET");
        }
        let condition = |name: &str| name.eq_ignore_ascii_case("range") || name.to_ascii_lowercase().starts_with("if-");
        if self.cache.is_some() && self.request.headers.iter().any(|(name, _)| condition(name)) {
            wrong("cache", "a request with conditions of its own cannot use the cache", "leave one of both out");
        }
        if self.expect.min_bytes > self.max_bytes {
            wrong("expect", "`min_bytes` is more than `max_bytes`", "raise `max_bytes`");
        }
        if self
            .expect
            .status
            .iter()
            .any(|good| self.statuses.retry.contains(good) || self.statuses.permanent.contains(good))
        {
            wrong("expect", "a status cannot be good and a failure", "leave it out of one list");
        }
        if let Some(name) = self.twice() {
            let message = format!("the header {} is set twice", shown(&name));
            wrong("headers", &message, "leave it out of `headers`");
        }
        if let Source::Files { template: None, hosts, .. } = &self.source
            && hosts.is_empty()
            && self.request.has_secret()
        {
            let message = "a file would decide which hosts get the secret";
            let hint = r#"name them: from = { files = […], hosts = ["https://api.example.com"] }, or give the URL: url = "https://api.example.com/{value}""#;
            wrong("from", message, hint);
        }
        if self.on_exists == OnExists::Replace && self.has_many() && !self.tells_apart() {
            let message = "every answer would replace the one before";
            wrong("output", message, "use {n}, {name} or {job} in `output`");
        }
        is_good
    }

    fn wants_body(&self) -> bool {
        let expect = &self.expect;
        self.write.form != Form::Body
            || expect.json
            || expect.key.is_some()
            || expect.contains.is_some()
            || expect.min_bytes > 0
    }

    /// A header that two keys set.
    fn twice(&self) -> Option<String> {
        let request = &self.request;
        let from_auth = request.auth.as_ref().map(|auth| match auth {
            super::Auth::Header { name, .. } => name.as_str(),
            _ => "authorization",
        });
        let typed = (request.body != Body::None).then_some("content-type");
        let agent = self.connection.user_agent.is_some().then_some("user-agent");
        let others: Vec<&str> =
            [from_auth, request.idempotency_key.as_deref(), typed, agent].into_iter().flatten().collect();
        let is_other = |name: &&(String, super::Text)| others.iter().any(|other| other.eq_ignore_ascii_case(&name.0));
        request.headers.iter().find(is_other).map(|(name, _)| name.clone())
    }

    fn has_many(&self) -> bool {
        match &self.source {
            Source::Files { .. } => true,
            Source::Urls(urls) => {
                let one = |url: &String| UrlTemplate::parse(url, false).is_ok_and(|t| t.fixed_total() == Some(1));
                urls.len() > 1 || !urls.iter().all(one)
            }
        }
    }

    fn tells_apart(&self) -> bool {
        let telling = [Placeholder::N, Placeholder::Name, Placeholder::Stem, Placeholder::Job];
        telling.into_iter().any(|placeholder| self.output.uses(placeholder))
    }
}

fn limits(table: &mut Block<'_>) -> Option<HostLimits> {
    let concurrency = optional(table, "concurrency", |b, key| b.integer(key, 1..=HOST_CONCURRENCY_MAX));
    let per_time = optional(table, "rate", rate);
    let ratio = optional(table, "retry_budget", |b, key| b.float(key, 0.0..=10.0));
    let floor = optional(table, "retry_rate", rate);
    let breaker = optional(table, "breaker", |b, key| b.integer(key, 0..=BREAKER_MAX));
    let standard = HostLimits::default();
    let whole = |n: Option<i64>, standard| n.and_then(|n| u32::try_from(n).ok()).unwrap_or(standard);
    Some(HostLimits {
        concurrency: whole(concurrency?, standard.concurrency),
        rate: per_time?,
        retry_ratio: ratio?.unwrap_or(standard.retry_ratio),
        retry_floor: floor?.unwrap_or(standard.retry_floor),
        breaker_after: whole(breaker?, standard.breaker_after),
    })
}

fn rate(block: &mut Block<'_>, key: &str) -> Option<Rate> {
    let text = block.string(key)?;
    let rate = super::parse_rate(&text.value);
    if rate.is_none() {
        let message = format!("`{key}` is not a number of requests in a time: {}", shown(&text.value));
        block.problem(Complaint::new(text.span, message).hint(r#"write "10/s", "600/m" or "5000/h""#));
    }
    rate
}

/// Where a key stands; the table, if it is not there.
fn key_span(block: &Block<'_>, key: &str) -> Span {
    let entry = block.entries().iter().find(|entry| entry.key == key);
    entry.map_or_else(|| block.span(), |entry| entry.key_span.clone())
}

/// Reports what a key is instead of what it should be.
fn mistyped<T>(block: &Block<'_>, key: &str, wanted: &str, found: &Value, span: &Span) -> Option<T> {
    block.problem(Complaint::new(span.clone(), format!("`{key}` must be {wanted}, not {}", found.kind())));
    None
}

/// Whether a URL of the configuration is right; if not, that is reported at its place.
fn check_url(block: &Block<'_>, text: &Spanned<String>, with_value: bool) -> Option<UrlTemplate> {
    match UrlTemplate::parse(&text.value, with_value) {
        Ok(template) => Some(template),
        Err(Mistake { at, message, hint }) => {
            // Without escapes the source is as long as the text and its two quotes.
            let is_plain = text.span.len() == text.value.len() + 2;
            let first = text.span.start + 1;
            let span = if is_plain { first + at.start..first + at.end } else { text.span.clone() };
            let complaint = Complaint::new(span, message);
            block.problem(match hint {
                Some(hint) => complaint.hint(hint),
                None => complaint,
            });
            None
        }
    }
}

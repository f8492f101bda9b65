//! The keys that say how connections are made, and how long things may take.

use super::key_span;
use super::request::is_header_value;
use crate::actions::fetch::spec::{Connection, Deadlines, Networks};
use crate::actions::keys::optional;
use crate::model::Block;
use crate::model::block::{Complaint, shown};
use std::time::Duration;
use url::Url;

/// Redirects that are followed, unless the configuration says otherwise.
const REDIRECTS: u32 = 5;
/// Most redirects that can be asked for.
const REDIRECTS_MAX: i64 = 20;
/// Shortest deadline: nothing on a network is faster.
const LEAST: Duration = Duration::from_millis(1);
/// Longest deadline of one step.
const STEP_MAX: Duration = Duration::from_secs(3600);
/// Longest deadline of a whole request.
const TOTAL_MAX: Duration = Duration::from_secs(24 * 3600);
/// How a proxy is written.
const PROXY: &str = r#"write "http://HOST:PORT" or "socks5://HOST:PORT""#;

pub(super) fn deadlines(block: &mut Block<'_>) -> Option<Deadlines> {
    let read = |table: &mut Block<'_>| {
        let mut step = |key, max| optional(table, key, |b, key| b.duration(key, LEAST..=max));
        let steps = [
            ("connect", step("connect", STEP_MAX)),
            ("first_byte", step("first_byte", STEP_MAX)),
            ("idle", step("idle", STEP_MAX)),
        ];
        let total = step("total", TOTAL_MAX);
        let standard = Deadlines::default();
        let total = total?.unwrap_or(standard.total);
        let mut is_good = true;
        for (key, given) in &steps {
            if given.as_ref()?.is_some_and(|given| given > total) {
                let message = format!("`{key}` is longer than `total`: {}", humantime::format_duration(total));
                table.problem(Complaint::new(key_span(table, key), message).hint("raise `total`"));
                is_good = false;
            }
        }
        let [connect, first_byte, idle] = steps.map(|(_, given)| given.flatten());
        is_good.then(|| Deadlines {
            connect: connect.unwrap_or(standard.connect),
            first_byte: first_byte.unwrap_or(standard.first_byte),
            idle: idle.unwrap_or(standard.idle),
            total,
        })
    };
    optional(block, "deadlines", |b, key| b.table(key).and_then(|mut table| read(&mut table)))
        .map(Option::unwrap_or_default)
}

pub(super) fn read(block: &mut Block<'_>) -> Option<Connection> {
    let ca_file = optional(block, "ca_file", |b, key| b.path(key).map(|p| p.value));
    let proxy = optional(block, "proxy", proxy);
    let insecure = optional(block, "insecure", |b, key| b.boolean(key));
    let redirects = optional(block, "redirects", |b, key| b.integer(key, 0..=REDIRECTS_MAX));
    let words = [("auto", Networks::Auto), ("public", Networks::Public), ("any", Networks::Any)];
    let networks = optional(block, "networks", |b, key| b.choice(key, &words));
    let user_agent = optional(block, "user_agent", |b, key| {
        let text = b.string(key)?;
        is_header_value(b, key, &text.value, &text.span).then_some(text.value)
    });
    let http1 = optional(block, "http1", |b, key| b.boolean(key));
    let (ca_file, insecure) = (ca_file?, insecure?.unwrap_or(false));
    if insecure && ca_file.is_some() {
        let complaint = Complaint::new(key_span(block, "ca_file"), "`ca_file` has no say where `insecure` is true");
        block.problem(complaint.hint("leave `insecure` out: certificates of this file are trusted"));
        return None;
    }
    Some(Connection {
        ca_file,
        proxy: proxy?,
        insecure,
        redirects: redirects?.and_then(|n| u32::try_from(n).ok()).unwrap_or(REDIRECTS),
        networks: networks?.unwrap_or_default(),
        user_agent: user_agent?,
        http1: http1?.unwrap_or(false),
    })
}

fn proxy(block: &mut Block<'_>, key: &str) -> Option<String> {
    let text = block.string(key)?;
    let url = Url::parse(&text.value).ok().filter(|url| {
        let is_known = matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h");
        is_known
            && url.host_str().is_some_and(|host| !host.is_empty())
            && matches!(url.path(), "" | "/")
            && url.query().is_none()
    });
    let Some(url) = url else {
        // It may hold a password, so it is shown only where it cannot.
        let message = if text.value.contains('@') {
            "`proxy` is not a proxy".to_owned()
        } else {
            format!("`proxy` is not a proxy: {}", shown(&text.value))
        };
        block.problem(Complaint::new(text.span, message).hint(PROXY));
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() {
        let complaint = Complaint::new(text.span, "a proxy is written without user name and password");
        block.problem(complaint.hint("use a proxy that knows this host by its address"));
        return None;
    }
    Some(text.value)
}

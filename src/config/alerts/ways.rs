//! The ways out of a channel: mail, Slack, a webhook, a program.

use super::held_url;
use crate::model::alert::channel::{Held, Login, Mail, MailTls, Program, Webhook};
use crate::model::block::{Block, Complaint, Spanned, Value, shown};
use crate::model::{Secret, text};
use lettre::message::Mailbox;
use std::net::IpAddr;

/// Most addresses of one channel; a list of the mail server has room for more.
const RECIPIENTS_MAX: usize = 50;

fn secret(block: &mut Block<'_>, key: &str) -> Option<Secret> {
    let node = block.node(key)?;
    Secret::read(block.below(key, node))
}

fn address(block: &Block<'_>, key: &str, text: Spanned<String>) -> Option<String> {
    if text.value.parse::<Mailbox>().is_ok() && !text.value.contains(['\n', '\r', '\0']) {
        return Some(text.value);
    }
    let complaint = Complaint::new(text.span, format!("`{key}` is not an address: {}", shown(&text.value)));
    block.problem(complaint.hint("write \"ops@example.com\" or \"Operations <ops@example.com>\""));
    None
}

/// Name and port of a server.
fn server(block: &Block<'_>, text: &Spanned<String>) -> Option<(String, Option<u16>)> {
    let whole = text.value.as_str();
    let (host, port) = match whole.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (whole, None),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = match port.map(str::parse::<u16>) {
        None => Some(None),
        Some(Ok(port)) if port > 0 => Some(Some(port)),
        Some(_) => None,
    };
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    match port {
        Some(port) if !host.is_empty() && host.chars().all(good) => Some((host.to_owned(), port)),
        _ => {
            let complaint = Complaint::new(text.span.clone(), format!("`smtp` is no server: {}", shown(whole)));
            block.problem(complaint.hint("write name and port: \"smtp.example.com:587\""));
            None
        }
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

pub(super) fn email(mut block: Block<'_>) -> Option<Mail> {
    let required = ["smtp", "from", "to"].map(|key| block.require(key)).into_iter().all(|there| there);
    let smtp = block.string("smtp").and_then(|s| server(&block, &s));
    let words = [("starttls", MailTls::StartTls), ("implicit", MailTls::Implicit), ("none", MailTls::None)];
    let implied = match &smtp {
        Some((_, Some(465))) => MailTls::Implicit,
        _ => MailTls::StartTls,
    };
    let has_tls = block.has("tls");
    let tls = block.choice("tls", &words);
    let ca = block.path("ca").map(|p| p.value);
    let from = block.string("from").and_then(|s| address(&block, "from", s));
    let to = recipients(&mut block);
    let user = block.string("user").map(|s| s.value);
    let (has_user, has_password) = (block.has("user"), block.has("password"));
    let password = secret(&mut block, "password");
    if has_user != has_password
        && let Some(entry) = block.entry(if has_user { "user" } else { "password" })
    {
        let complaint = Complaint::new(entry.key_span.clone(), "`user` and `password` go together");
        block.problem(complaint.hint(r#"add user = "NAME", password = { env = "SMTP_PASSWORD" }, or leave out both"#));
    }
    let tls = if has_tls { tls } else { Some(implied) };
    if let (Some((host, _)), Some(MailTls::None), true) = (&smtp, tls, has_password)
        && !is_loopback(host)
        && let Some(entry) = block.entry("tls")
    {
        let message = format!("the password would go in the clear to {}", text::escape(host));
        let complaint = Complaint::new(entry.node.span.clone(), message);
        block.problem(complaint.hint(r#"use tls = "starttls" or "implicit"; "none" is for this host alone"#));
    }
    let (host, port) = smtp.filter(|_| required)?;
    let tls = tls?;
    let port = port.unwrap_or(match tls {
        MailTls::StartTls => 587,
        MailTls::Implicit => 465,
        MailTls::None => 25,
    });
    let login = match (user, password) {
        (Some(user), Some(password)) => Some(Login { user, password }),
        _ => None,
    };
    Some(Mail { host, port, tls, ca, from: from?, to: to?, login })
}

fn recipients(block: &mut Block<'_>) -> Option<Vec<String>> {
    let list = match block.node("to")?.value {
        Value::String(_) => vec![block.string("to")?],
        _ => block.strings("to")?,
    };
    let entry = block.entry("to")?;
    if list.is_empty() || list.len() > RECIPIENTS_MAX {
        let message = format!("`to` has between 1 and {RECIPIENTS_MAX} addresses: {}", list.len());
        block.problem(Complaint::new(entry.node.span.clone(), message));
        return None;
    }
    let read: Vec<Option<String>> = list.into_iter().map(|s| address(block, "to", s)).collect();
    read.into_iter().collect()
}

pub(super) fn slack(mut block: Block<'_>) -> Option<Held> {
    let required = block.require("webhook");
    // Whoever has the URL may write to the channel, so it is a secret whole.
    secret(&mut block, "webhook").map(Held::Secret).filter(|_| required)
}

pub(super) fn webhook(mut block: Block<'_>) -> Option<Webhook> {
    let required = block.require("url");
    let url = held_url(&mut block, "url");
    let has_secret = block.has("secret");
    let secret = secret(&mut block, "secret");
    let headers = match block.table("headers") {
        None => Some(Vec::new()),
        Some(mut table) => headers(&mut table),
    };
    let has_all = secret.is_some() || !has_secret;
    Some(Webhook { url: url.filter(|_| required && has_all)?, secret, headers: headers? })
}

fn headers(table: &mut Block<'_>) -> Option<Vec<(String, Held)>> {
    let mut out = Some(Vec::new());
    for entry in table.entries() {
        table.ask(&entry.key);
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let ours = ["content-type", "content-length", "host", "idempotency-key"];
        let lower = entry.key.to_ascii_lowercase();
        let held = if entry.key.is_empty() || !entry.key.chars().all(good) {
            let message = format!("not the name of a header field: {}", shown(&entry.key));
            table.problem(Complaint::new(entry.key_span.clone(), message));
            None
        } else if ours.contains(&lower.as_str()) || lower.starts_with("x-shiftboss-") {
            let message = format!("the field {} is set by shiftboss", text::escape(&entry.key));
            table.problem(Complaint::new(entry.key_span.clone(), message).hint("leave it out"));
            None
        } else {
            match &entry.node.value {
                Value::String(value) if value.chars().all(|c| !c.is_control()) => Some(Held::Text(value.clone())),
                Value::String(_) => {
                    let complaint = Complaint::new(entry.node.span.clone(), "a header field is one line");
                    table.problem(complaint);
                    None
                }
                _ => Secret::read(table.below(&entry.key, &entry.node)).map(Held::Secret),
            }
        };
        out = out.zip(held).map(|(mut list, held)| {
            list.push((entry.key.clone(), held));
            list
        });
    }
    out
}

pub(super) fn command(mut block: Block<'_>) -> Option<Program> {
    let required = block.require("program");
    let program = block.string("program");
    let args = block.strings("args").unwrap_or_default().into_iter().map(|a| a.value).collect();
    let program = program.filter(|_| required)?;
    if program.value.is_empty() || program.value.contains('\0') {
        block.problem(Complaint::new(program.span, "`program` is the name or the path of a program"));
        return None;
    }
    let is_path = program.value.contains('/');
    let path = crate::model::block::absolute(block.base(), std::path::Path::new(&program.value));
    let program = if is_path { path.to_string_lossy().into_owned() } else { program.value };
    Some(Program { program, args })
}

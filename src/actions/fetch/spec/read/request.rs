//! The keys that say what is sent: method, headers, query, body, who asks.

use super::{key_span, mistyped};
use crate::actions::fetch::spec::{Auth, Body, Request, Text};
use crate::actions::keys::optional;
use crate::model::block::{Complaint, Entry, Node, Span, Value, shown};
use crate::model::{Block, Secret};

/// Methods that can be sent.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// Headers that hold secrets, and so are not written down.
const SECRET: [&str; 7] =
    ["authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "x-auth-token", "x-access-token"];
/// Headers that follow from the rest, with what to write instead.
const OURS: [(&str, &str); 11] = [
    ("host", "it follows from the URL"),
    ("content-length", "it follows from the body"),
    ("transfer-encoding", "it follows from the body"),
    ("accept-encoding", "answers are unpacked as they come"),
    ("connection", "connections are kept by themselves"),
    ("keep-alive", "connections are kept by themselves"),
    ("proxy-connection", "connections are kept by themselves"),
    ("upgrade", "leave it out"),
    ("expect", "leave it out"),
    ("te", "leave it out"),
    ("trailer", "leave it out"),
];
/// The header of `idempotency_key = true`.
const KEY_HEADER: &str = "Idempotency-Key";

pub(super) fn read(block: &mut Block<'_>) -> Option<Request> {
    let method = optional(block, "method", method);
    let headers = optional(block, "headers", |b, key| b.table(key).and_then(|mut table| headers(&mut table)));
    let query = optional(block, "query", |b, key| b.table(key).and_then(|mut table| texts(&mut table)));
    let body = body(block);
    let auth = optional(block, "auth", |b, key| b.table(key).and_then(|mut table| auth(&mut table)));
    let key = optional(block, "idempotency_key", idempotency_key);
    let (method, body) = (method?, body?);
    let has_body = body != Body::None;
    let method = method.unwrap_or_else(|| if has_body { "POST" } else { "GET" }.to_owned());
    if has_body && matches!(method.as_str(), "GET" | "HEAD") {
        let complaint = Complaint::new(key_span(block, "method"), format!("{method} with a body"));
        block.problem(complaint.hint("use POST, or `query` for what belongs into the URL"));
        return None;
    }
    Some(Request {
        method,
        headers: headers?.unwrap_or_default(),
        query: query?.unwrap_or_default(),
        body,
        auth: auth?,
        idempotency_key: key?.flatten(),
    })
}

fn method(block: &mut Block<'_>, key: &str) -> Option<String> {
    let text = block.string(key)?;
    let method = text.value.to_ascii_uppercase();
    if METHODS.contains(&method.as_str()) {
        return Some(method);
    }
    let message = format!("no such method: {}", shown(&text.value));
    block.problem(Complaint::new(text.span, message).known(&method, METHODS));
    None
}

/// Whether it can be the name of a header; if not, that is reported.
pub(super) fn is_header_name(block: &Block<'_>, name: &str, span: &Span) -> bool {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let is_good = !name.is_empty() && name.bytes().all(is_token);
    if !is_good {
        block.problem(Complaint::new(span.clone(), format!("not the name of a header: {}", shown(name))));
    }
    is_good
}

/// Whether it can be the value of a header; if not, that is reported, without the value.
pub(super) fn is_header_value(block: &Block<'_>, name: &str, value: &str, span: &Span) -> bool {
    let is_good = value.bytes().all(|b| b == b'\t' || (0x20..0x7f).contains(&b));
    if !is_good {
        let message = format!("the value of {} holds line breaks, controls or other than ASCII", shown(name));
        block.problem(Complaint::new(span.clone(), message).hint("encode it as the other side expects it"));
    }
    is_good
}

fn headers(table: &mut Block<'_>) -> Option<Vec<(String, Text)>> {
    let read = texts(table);
    let mut is_good = true;
    let mut seen: Vec<String> = Vec::new();
    for entry in table.entries() {
        let (name, span) = (entry.key.to_ascii_lowercase(), &entry.key_span);
        let mut wrong = |complaint| {
            table.problem(complaint);
            is_good = false;
        };
        if let Some((_, hint)) = OURS.iter().find(|(ours, _)| *ours == name) {
            wrong(
                Complaint::new(span.clone(), format!("the header {} is not for a task to set", shown(&entry.key)))
                    .hint(*hint),
            );
        } else if SECRET.contains(&name.as_str()) && !matches!(entry.node.value, Value::Table(_)) {
            let message = format!("the header {} is a secret and is not written down", shown(&entry.key));
            wrong(
                Complaint::new(entry.node.span.clone(), message)
                    .hint("write { env = \"NAME\" } or { file = \"PATH\" }, or use `auth`"),
            );
        } else if matches!(entry.node.value, Value::Array(_)) {
            wrong(Complaint::new(entry.node.span.clone(), format!("the header {} has one value", shown(&entry.key))));
        } else if seen.contains(&name) {
            wrong(Complaint::new(span.clone(), format!("the header {} is set twice", shown(&entry.key))));
        } else if !is_header_name(table, &entry.key, span) {
            is_good = false;
        } else if let Value::String(value) = &entry.node.value {
            is_good &= is_header_value(table, &entry.key, value, &entry.node.span);
        }
        seen.push(name);
    }
    read.filter(|_| is_good)
}

/// Names and values, in their order; a list is one name with several values.
fn texts(table: &mut Block<'_>) -> Option<Vec<(String, Text)>> {
    let mut all = Vec::new();
    let mut is_good = true;
    for entry in table.entries() {
        table.ask(&entry.key);
        match &entry.node.value {
            Value::Array(list) => {
                for node in list {
                    is_good &= text(table, entry, node).map(|text| all.push((entry.key.clone(), text))).is_some();
                }
            }
            _ => is_good &= text(table, entry, &entry.node).map(|text| all.push((entry.key.clone(), text))).is_some(),
        }
    }
    is_good.then_some(all)
}

fn text(table: &Block<'_>, entry: &Entry, node: &Node) -> Option<Text> {
    Some(Text::Plain(match &node.value {
        Value::String(text) | Value::Datetime(text) => text.clone(),
        Value::Integer(n) => n.to_string(),
        Value::Float(n) => n.to_string(),
        Value::Boolean(b) => b.to_string(),
        Value::Table(_) => return Secret::read(table.below(&entry.key, node)).map(Text::Secret),
        other @ Value::Array(_) => return mistyped(table, &entry.key, "a text or a secret", other, &node.span),
    }))
}

fn body(block: &mut Block<'_>) -> Option<Body> {
    let json = optional(block, "json", |b, key| {
        let node = b.node(key)?;
        let mut text = String::new();
        json_text(b, node, &mut text).then_some(text)
    });
    let form = optional(block, "form", |b, key| b.table(key).and_then(|mut table| texts(&mut table)));
    let text = optional(block, "body", |b, key| b.table(key).and_then(|mut table| text_body(&mut table)));
    let mut given = ["json", "form", "body"].into_iter().filter(|key| block.has(key)).collect::<Vec<_>>().into_iter();
    if let (Some(first), Some(second)) = (given.next(), given.next()) {
        let complaint = Complaint::new(key_span(block, second), format!("`{first}` and `{second}` exclude each other"));
        block.problem(complaint.hint("a request has one body"));
        return None;
    }
    Some(match (json?, form?, text?) {
        (Some(json), ..) => Body::Json(json),
        (_, Some(form), _) => Body::Form(form),
        (.., Some(text)) => text,
        _ => Body::None,
    })
}

fn text_body(table: &mut Block<'_>) -> Option<Body> {
    let has_all = table.require("type") & table.require("text");
    let content_type = table.string("type");
    let text = table.string("text").map(|t| t.value);
    let content_type = content_type.filter(|t| is_header_value(table, "type", &t.value, &t.span))?.value;
    has_all.then_some(Body::Text { content_type, text: text? })
}

/// Writes a value as JSON, keys in their order. False: it has none, which was reported.
fn json_text(block: &Block<'_>, node: &Node, out: &mut String) -> bool {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    match &node.value {
        Value::String(text) | Value::Datetime(text) => out.push_str(&quoted(text)),
        Value::Integer(n) => out.push_str(&n.to_string()),
        Value::Boolean(b) => out.push_str(&b.to_string()),
        Value::Float(n) => match serde_json::Number::from_f64(*n) {
            Some(number) => out.push_str(&number.to_string()),
            None => {
                block.problem(Complaint::new(node.span.clone(), format!("JSON has no such number: {n}")));
                return false;
            }
        },
        Value::Array(list) => {
            out.push('[');
            let mut is_good = true;
            for (i, node) in list.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                is_good &= json_text(block, node, out);
            }
            out.push(']');
            return is_good;
        }
        Value::Table(entries) => {
            out.push('{');
            let mut is_good = true;
            for (i, entry) in entries.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                out.push_str(&quoted(&entry.key));
                out.push(':');
                is_good &= json_text(block, &entry.node, out);
            }
            out.push('}');
            return is_good;
        }
    }
    true
}

fn auth(table: &mut Block<'_>) -> Option<Auth> {
    let span = table.span();
    let mut secret = |key: &str| {
        optional(table, key, |b, key| {
            let node = b.node(key)?;
            Secret::read(b.below(key, node))
        })
    };
    let (bearer, password, value) = (secret("bearer"), secret("password"), secret("value"));
    let user = optional(table, "user", |b, key| b.string(key));
    let header = optional(table, "header", |b, key| b.string(key));
    let (user, header) = (user?, header?);
    if let Some(user) = user.as_ref().filter(|u| u.value.contains(':') || u.value.contains(char::is_control)) {
        table.problem(Complaint::new(user.span.clone(), "a user name holds no colon and no control characters"));
        return None;
    }
    if let Some(header) = &header
        && !is_header_name(table, &header.value, &header.span)
    {
        return None;
    }
    match (bearer?, user, password?, header, value?) {
        (Some(token), None, None, None, None) => Some(Auth::Bearer(token)),
        (None, Some(user), Some(password), None, None) => Some(Auth::Basic { user: user.value, password }),
        (None, None, None, Some(name), Some(value)) => Some(Auth::Header { name: name.value, value }),
        _ => {
            let hint = "write { bearer = … }, { user = \"NAME\", password = … } or { header = \"X-Api-Key\", value = … }, with { env = \"NAME\" } for …";
            table.problem(Complaint::new(span, "`auth` must be one way to say who asks").hint(hint));
            None
        }
    }
}

#[expect(clippy::option_option, reason = "wrong, off, and a name are three things")]
fn idempotency_key(block: &mut Block<'_>, key: &str) -> Option<Option<String>> {
    let node = block.node(key)?;
    match &node.value {
        Value::Boolean(is_on) => Some(is_on.then(|| KEY_HEADER.to_owned())),
        Value::String(name) => {
            let is_good = is_header_name(block, name, &node.span);
            let is_ours = OURS.iter().any(|(ours, _)| name.eq_ignore_ascii_case(ours));
            if is_good && is_ours {
                block.problem(Complaint::new(
                    node.span.clone(),
                    format!("the header {} is not for a task to set", shown(name)),
                ));
            }
            (is_good && !is_ours).then(|| Some(name.clone()))
        }
        other => mistyped(block, key, "true or the name of a header", other, &node.span),
    }
}

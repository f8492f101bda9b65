//! A message for a webhook of Slack: an attachment with a colour and fields. Whatever came from outside is escaped, so
//! that it can neither make a link nor call anybody.

use super::delivery::{Hands, Parcel, Undelivered, value};
use super::http::post;
use crate::model::alert::channel::Held;
use crate::model::alert::{Message, Severity};
use crate::model::text;
use serde_json::{Value, json};

/// Slack shows attachments with more fields badly; further ones are counted.
const FIELDS_MAX: usize = 20;
/// Longest value of a field, in characters before escaping; a longer one is cut.
const FIELD_MAX: usize = 1000;
/// Longest text of an attachment, in characters before escaping. Slack cuts at 8,000 bytes by itself, in the middle of
/// what it cuts.
const TEXT_MAX: usize = 2500;

pub async fn send(url: &Held, parcel: &Parcel<'_>, hands: &dyn Hands) -> Result<(), Undelivered> {
    let url = value(url, hands).await?;
    let body = serde_json::to_vec(&body(parcel.message)).unwrap_or_default();
    // The token is the path; the other side may name it in an error.
    let token = url.rsplit('/').next().unwrap_or_default().to_owned();
    post(&url, &[], body, &[&url, &token]).await
}

/// The three characters that Slack gives a meaning, and everything that is not to be shown.
fn escaped(text: &str, max: usize) -> String {
    // Without a back-quote nothing ends a block of code early.
    let safe: Vec<String> = text.lines().map(|l| text::escape(l).replace('`', "'")).collect();
    let cut = text::cut(&safe.join("\n"), max).into_owned();
    cut.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

const fn colour(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "#c62828",
        Severity::Warning => "#f9a825",
        Severity::Recovered => "#2e7d32",
        Severity::Info => "#1565c0",
    }
}

pub(super) fn body(message: &Message) -> Value {
    let subject = escaped(&message.subject, 200);
    let mut fields: Vec<Value> = message
        .facts
        .iter()
        .take(FIELDS_MAX)
        .map(|f| {
            let value = escaped(&f.value, FIELD_MAX);
            json!({ "title": escaped(&f.name, 100), "short": value.len() <= 40, "value": value })
        })
        .collect();
    if message.facts.len() > FIELDS_MAX {
        let more = format!("{} more", message.facts.len() - FIELDS_MAX);
        fields.push(json!({ "title": "And", "value": more, "short": true }));
    }
    let block = |text: String| if text.is_empty() { text } else { format!("```{text}```") };
    let parts = [
        escaped(&message.text, TEXT_MAX),
        block(escaped(&message.log.join("\n"), TEXT_MAX)),
        block(escaped(&message.commands.join("\n"), TEXT_MAX)),
    ];
    let text: Vec<String> = parts.into_iter().filter(|p| !p.is_empty()).collect();
    json!({
        "text": format!("[{}] {subject}", message.severity.name()),
        "attachments": [{
            "color": colour(message.severity),
            "fallback": subject,
            "title": subject,
            "text": text.join("\n"),
            "mrkdwn_in": ["text"],
            "fields": fields,
            "footer": escaped(&format!("shiftboss on {}", message.host), 100),
            "ts": message.at.0.div_euclid(1000),
        }],
    })
}

//! A message as JSON to any URL, signed so that the other side knows who sent it and when.

use super::delivery::{Hands, Parcel, Undelivered, value};
use super::http::post;
use crate::clock::rfc3339;
use crate::model::alert::Message;
use crate::model::alert::channel::{Held, Webhook};
use ring::hmac;
use serde_json::{Value, json};
use std::fmt::Write;

pub async fn send(hook: &Webhook, parcel: &Parcel<'_>, hands: &dyn Hands) -> Result<(), Undelivered> {
    let url = value(&hook.url, hands).await?;
    let body = serde_json::to_vec(&body(parcel.message, parcel.id)).unwrap_or_default();
    let mut headers = vec![
        ("X-Shiftboss-Timestamp".to_owned(), parcel.at.to_string()),
        ("Idempotency-Key".to_owned(), parcel.id.to_owned()),
    ];
    let mut hide = vec![url.clone()];
    for (name, held) in &hook.headers {
        let value = value(held, hands).await?;
        if matches!(held, Held::Secret(_)) {
            hide.push(value.clone());
        }
        headers.push((name.clone(), value));
    }
    if let Some(secret) = &hook.secret {
        let key = value(&Held::Secret(secret.clone()), hands).await?;
        headers.push(("X-Shiftboss-Signature".to_owned(), format!("sha256={}", signature(&key, parcel.at, &body))));
        hide.push(key);
    }
    let hide: Vec<&str> = hide.iter().map(String::as_str).collect();
    post(&url, &headers, body, &hide).await
}

/// HMAC-SHA256 of `TIMESTAMP.BODY` in hexadecimal digits. The time is signed too, so that an old message cannot be sent
/// again as a new one.
pub(super) fn signature(key: &str, at: i64, body: &[u8]) -> String {
    let mut signed = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()));
    signed.update(format!("{at}.").as_bytes());
    signed.update(body);
    signed.sign().as_ref().iter().fold(String::new(), |mut out, byte| {
        // Writing to a string does not fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// A message as other programs read it.
pub(super) fn body(message: &Message, id: &str) -> Value {
    let mut body = serde_json::to_value(message).unwrap_or_default();
    if let Some(fields) = body.as_object_mut() {
        fields.remove("html");
        fields.insert("id".into(), json!(id));
        fields.insert("at".into(), json!(rfc3339(message.at)));
        fields.insert("at_ms".into(), json!(message.at.0));
    }
    body
}

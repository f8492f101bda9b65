//! Writing TOML: quoted texts, comments, keys.

use crate::model::text;
use std::fmt::Write as _;

/// A text as a TOML string.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if text::is_shown(c) => out.push(c),
            c => {
                let _ = write!(out, "\\U{:08X}", u32::from(c));
            }
        }
    }
    out.push('"');
    out
}

/// A text that stands for itself where placeholders are looked for.
pub(super) fn template(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

/// A key.
pub(super) fn key(name: &str) -> String {
    let is_bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if is_bare { name.to_owned() } else { quoted(name) }
}

/// A line of a comment, with its end.
pub(super) fn comment(text: &str) -> String {
    let safe = text::escape(text.trim_end());
    if safe.is_empty() { "#\n".to_owned() } else { format!("# {safe}\n") }
}

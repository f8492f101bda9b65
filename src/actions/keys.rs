//! Reading optional keys of a configuration table.

use super::encoding::by_label;
use crate::model::block::{Complaint, shown};
use crate::model::{Block, OnExists};
use encoding_rs::Encoding;

/// An optional key: `Some(None)` when it is absent, `None` when it is there and wrong (the block was told).
#[expect(clippy::option_option, reason = "absent, wrong and right are three things, and `?` takes the wrong one away")]
pub(super) fn optional<'a, T>(
    block: &mut Block<'a>,
    key: &str,
    read: impl FnOnce(&mut Block<'a>, &str) -> Option<T>,
) -> Option<Option<T>> {
    let value = read(block, key);
    if value.is_none() && block.has(key) { None } else { Some(value) }
}

/// The key `on_exists` of whatever writes outputs.
pub(super) fn on_exists(block: &mut Block<'_>) -> Option<OnExists> {
    optional(block, "on_exists", |b, key| b.choice(key, &OnExists::WORDS)).map(Option::unwrap_or_default)
}

/// A character between two fields.
pub(super) fn delimiter(block: &mut Block<'_>, key: &str) -> Option<u8> {
    let text = block.string(key)?;
    match text.value.as_bytes() {
        [c] if *c == b'\t' || (c.is_ascii_punctuation() && *c != b'"') || *c == b' ' => Some(*c),
        _ => {
            let message = format!("`{key}` must be one ASCII punctuation character, not {}", shown(&text.value));
            block.problem(Complaint::new(text.span, message).hint(r#"write ",", ";", "|" or "\t""#));
            None
        }
    }
}

/// The name of an encoding that files may be declared to have.
pub(super) fn encoding(block: &mut Block<'_>, key: &str) -> Option<&'static Encoding> {
    let label = block.string(key)?;
    let found = by_label(&label.value);
    if found.is_none() {
        let message = format!("no such encoding: {}", shown(&label.value));
        let hint = "write for example \"UTF-8\", \"EUC-KR\" (which includes CP949), \"UTF-16LE\" or \"Shift_JIS\"";
        block.problem(Complaint::new(label.span, message).hint(hint));
    }
    found
}

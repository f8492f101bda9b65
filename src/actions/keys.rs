//! Reading optional keys of a configuration table.

use crate::model::{Block, OnExists};

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

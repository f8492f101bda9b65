//! What is wrong with a statement: one line, its place in the text, and what to do about it.

use std::fmt;
use std::ops::Range;

/// Most edits between a name and the one that is suggested for it: more is another word.
const EDITS_MAX: usize = 2;
/// Longest name that is compared with others for a suggestion, in characters.
const COMPARED_MAX: usize = 64;

/// A statement or an expression that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlError {
    /// What is wrong, in one line: lower case, no full stop, the value last.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The bytes of the text that are at fault.
    pub at: Option<Range<usize>>,
    /// The clause or function, such as `GROUP BY`, that only the cargo feature `sql` runs.
    pub needs_engine: Option<&'static str>,
}

impl SqlError {
    /// A fault at a place.
    pub(in crate::actions::transform) fn new(message: impl Into<String>, at: Range<usize>) -> Self {
        Self { message: message.into(), hint: None, at: Some(at), needs_engine: None }
    }

    /// A fault of the text as a whole.
    pub(in crate::actions::transform) fn whole(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, at: None, needs_engine: None }
    }

    /// Something that the engine of this build does not do row by row.
    pub(super) fn engine(what: &'static str, at: Option<Range<usize>>) -> Self {
        Self {
            message: format!("only a build with the feature `sql` runs {what}"),
            hint: Some("this build computes each row by itself; build with `--features sql`, or leave it out".into()),
            at,
            needs_engine: Some(what),
        }
    }

    /// The same with advice.
    pub(in crate::actions::transform) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for SqlError {}

/// The candidate that `name` most likely stands for; case is ignored.
pub(in crate::actions::transform) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let name: Vec<char> = name.chars().flat_map(char::to_lowercase).take(COMPARED_MAX + 1).collect();
    if name.is_empty() || name.len() > COMPARED_MAX {
        return None;
    }
    // A short name is near to everything: at most a third of it may differ.
    let allowed = EDITS_MAX.min(name.len().div_ceil(3));
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let other: Vec<char> = candidate.chars().flat_map(char::to_lowercase).take(COMPARED_MAX + 1).collect();
        if other.len().abs_diff(name.len()) > allowed {
            continue;
        }
        let distance = edits(&name, &other);
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// How many characters have to be put in, taken out, replaced or swapped with their neighbour to get from one to the other.
fn edits(a: &[char], b: &[char]) -> usize {
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_another_word_is_not() {
        let columns = ["id", "value", "created_at", "Amount"];
        assert_eq!(nearest("vlaue", columns), Some("value"));
        assert_eq!(nearest("amonut", columns), Some("Amount"));
        assert_eq!(nearest("create_at", columns), Some("created_at"));
        assert_eq!(nearest("price", columns), None);
        assert_eq!(nearest("x", columns), None);
        assert_eq!(nearest("", columns), None);
        assert_eq!(nearest(&"v".repeat(10_000), columns), None);
    }

    #[test]
    fn edits_count_swaps_as_one() {
        let of = |a: &str, b: &str| edits(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>());
        assert_eq!(of("ab", "ba"), 1);
        assert_eq!(of("kitten", "sitting"), 3);
        assert_eq!(of("", "abc"), 3);
    }
}

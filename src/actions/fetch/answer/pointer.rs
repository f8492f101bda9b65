//! JSON pointers (RFC 6901), and where the one that walks through a document stands to them.

/// A place in a JSON document: `/data/items/0`. Empty: the document itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    tokens: Vec<String>,
}

impl Pointer {
    /// Reads a pointer; none: it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self { tokens: Vec::new() });
        }
        let tokens = text.strip_prefix('/')?.split('/').map(unescape).collect::<Option<_>>()?;
        Some(Self { tokens })
    }
}

/// `~1` is `/` and `~0` is `~`; nothing else may follow a `~`.
fn unescape(token: &str) -> Option<String> {
    let mut parts = token.split('~');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (c, rest) = match part.as_bytes().first() {
            Some(b'0') => ('~', &part[1..]),
            Some(b'1') => ('/', &part[1..]),
            _ => return None,
        };
        out.push(c);
        out.push_str(rest);
    }
    Some(out)
}

/// How much of a pointer leads to the value at hand. The walk tells every step into a value and out of it.
#[derive(Debug)]
pub(super) struct Track {
    pointer: Pointer,
    /// So many tokens, from the first, are those of the path.
    matched: usize,
}

impl Track {
    pub(super) fn new(pointer: Pointer) -> Self {
        Self { pointer, matched: 0 }
    }

    /// The token that a value in the container at this depth must have to be on the way.
    fn wanted(&self, depth: usize) -> Option<&str> {
        if self.matched == depth { self.pointer.tokens.get(depth).map(String::as_str) } else { None }
    }

    /// Longest key, as it stands in the document with its quotes, that can be on the way from the container at this
    /// depth; 0: none is.
    pub(super) fn longest(&self, depth: usize) -> usize {
        // A byte is written with six at most: `\u0041`.
        self.wanted(depth).map_or(0, |token| 6 * token.len() + 2)
    }

    /// Into the value with this key, of the object at this depth.
    pub(super) fn enter_key(&mut self, depth: usize, key: &str) {
        if self.wanted(depth) == Some(key) {
            self.matched += 1;
        }
    }

    /// Into the value with this index, of the array at this depth.
    pub(super) fn enter_index(&mut self, depth: usize, index: u64) {
        // One spelling alone counts: `+1` and `01` are no indices.
        let is_it = |token: &str| token.parse() == Ok(index) && (token.len() == 1 || !token.starts_with(['0', '+']));
        if self.wanted(depth).is_some_and(is_it) {
            self.matched += 1;
        }
    }

    /// Whether the value at this depth is the one.
    pub(super) fn is_at(&self, depth: usize) -> bool {
        self.matched == depth && self.pointer.tokens.len() == depth
    }

    /// Out of a value at this depth.
    pub(super) fn leave(&mut self, depth: usize) {
        if depth > 0 && self.matched == depth {
            self.matched -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_read_by_the_standard() {
        let tokens = |text| Pointer::parse(text).map(|p| p.tokens);
        let some = |list: &[&str]| Some(list.iter().map(|&t| t.to_owned()).collect::<Vec<_>>());
        assert_eq!(tokens(""), some(&[]));
        assert_eq!(tokens("/"), some(&[""]));
        assert_eq!(tokens("/a~1b/m~0n/~01"), some(&["a/b", "m~n", "~1"]));
        assert_eq!(tokens("/a//b"), some(&["a", "", "b"]));
        for wrong in ["a", "#/a", "/~", "/a~2", "/~~1"] {
            assert_eq!(tokens(wrong), None, "{wrong}");
        }
    }
}

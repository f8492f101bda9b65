//! Sets of paths, to find out before anything runs whether two tasks can take one file and whether a task can take
//! what a task wrote.
//!
//! A set is what a pattern below a folder matches, or what a template can become. Whether two sets share a path is
//! answered exactly for the usual patterns. A placeholder stands for any text without a `/`, a `**` that is not a whole
//! part of a path for any text, and what is too large to spell out for everything below its folder. So an overlap may be
//! reported where none can happen, never the other way round.

use crate::model::block::absolute;
use crate::model::template::Piece;
use crate::model::{Placeholder, Template};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// Most ways that `{a,b}` and `**/` may spread one pattern into; one that spreads further counts as everything.
const WAYS_MAX: usize = 64;

/// A set of bytes, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bytes([u64; 4]);

impl Bytes {
    const ALL: Self = Self([u64::MAX; 4]);
    const NONE: Self = Self([0; 4]);

    fn one(byte: u8) -> Self {
        let mut set = Self::NONE;
        set.add(byte);
        set
    }

    fn not_slash() -> Self {
        Self::one(b'/').inverse()
    }

    fn add(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    fn inverse(self) -> Self {
        Self(self.0.map(|word| !word))
    }

    fn meets(self, other: Self) -> bool {
        self.0.iter().zip(other.0).any(|(a, b)| a & b != 0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    /// One byte of these.
    One(Bytes),
    /// Any number of these.
    Many(Bytes),
}

type Way = Vec<Token>;

/// A set of absolute paths.
#[derive(Clone, Debug)]
pub(super) struct Language {
    ways: Vec<Way>,
}

impl Language {
    /// The files that a watch of `dir` takes by `pattern`.
    pub(super) fn watched(dir: &Path, pattern: &str, recursive: bool) -> Self {
        let mut folders = vec![below(literal(dir.as_os_str().as_bytes()))];
        if recursive && !pattern.contains('/') {
            let mut deep = folders[0].clone();
            deep.extend([Token::Many(Bytes::ALL), Token::One(Bytes::one(b'/'))]);
            folders.push(deep);
        }
        Self { ways: product(&folders, &glob(pattern)) }
    }

    /// The paths that a template can become for a task.
    pub(super) fn template(base: &Path, template: &Template, task: &str) -> Self {
        Self { ways: vec![expand(base, template, task)] }
    }

    /// The files in the folder that a template can become for a task, with the names that `pattern` matches.
    pub(super) fn in_folder(base: &Path, folder: &Template, task: &str, pattern: &str) -> Self {
        Self { ways: product(&[below(expand(base, folder, task))], &glob(pattern)) }
    }

    /// One path.
    pub(super) fn path(path: &Path) -> Self {
        Self { ways: vec![literal(path.as_os_str().as_bytes())] }
    }

    /// Whether some path lies in both.
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.ways.iter().any(|a| other.ways.iter().any(|b| meet(a, b)))
    }
}

fn literal(bytes: &[u8]) -> Way {
    bytes.iter().map(|&b| Token::One(Bytes::one(b))).collect()
}

fn below(mut folder: Way) -> Way {
    if folder.last() != Some(&Token::One(Bytes::one(b'/'))) {
        folder.push(Token::One(Bytes::one(b'/')));
    }
    folder
}

fn product(folders: &[Way], names: &[Way]) -> Vec<Way> {
    let join = |f: &Way, n: &Way| f.iter().chain(n).copied().collect();
    folders.iter().flat_map(|f| names.iter().map(move |n| join(f, n))).collect()
}

/// A template as one way. NUL marks a value while the path is made absolute: no path holds one.
fn expand(base: &Path, template: &Template, task: &str) -> Way {
    let mut raw = Vec::new();
    for piece in template.pieces() {
        match piece {
            Piece::Text(text) => raw.extend(text.bytes().filter(|&b| b != 0)),
            Piece::Value(Placeholder::Task) => raw.extend(task.bytes()),
            Piece::Value(_) => raw.push(0),
        }
    }
    let path = absolute(base, Path::new(&OsString::from_vec(raw)));
    let token = |&b: &u8| if b == 0 { Token::Many(Bytes::not_slash()) } else { Token::One(Bytes::one(b)) };
    path.as_os_str().as_bytes().iter().map(token).collect()
}

/// The ways of a glob pattern, with the meaning that `globset` gives it when `*` does not match `/`.
fn glob(pattern: &str) -> Vec<Way> {
    let mut ways = Vec::new();
    let mut spread = vec![pattern.to_owned()];
    while let Some(text) = spread.pop() {
        if spread.len() + ways.len() >= WAYS_MAX {
            return vec![vec![Token::Many(Bytes::ALL)]];
        }
        match alternatives(&text) {
            Some(more) => spread.extend(more),
            None => ways.push(tokens(&text)),
        }
    }
    ways
}

/// The texts that a pattern stands for by its first `{a,b}` or `**/`; none when it has neither.
fn alternatives(pattern: &str) -> Option<Vec<String>> {
    let bytes = pattern.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'[' => at = class_end(bytes, at),
            b'*' if bytes[at..].starts_with(b"**/") => {
                // No folder at all, or any folders: spelled `**` without its slash, which `tokens` takes for any text.
                let rest = &pattern[at + 3..];
                return Some(vec![format!("{}{rest}", &pattern[..at]), format!("{}**\\/{rest}", &pattern[..at])]);
            }
            b'{' => {
                let (end, parts) = braces(pattern, at);
                return Some(parts.iter().map(|p| format!("{}{p}{}", &pattern[..at], &pattern[end..])).collect());
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The end of the braces that open at `at`, and what stands between their commas.
fn braces(pattern: &str, at: usize) -> (usize, Vec<&str>) {
    let bytes = pattern.as_bytes();
    let (mut depth, mut start, mut parts) = (0, at + 1, Vec::new());
    let mut i = at;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 1,
            b'[' => i = class_end(bytes, i),
            b'{' => depth += 1,
            b',' if depth == 1 => {
                parts.push(&pattern[start..i]);
                start = i + 1;
            }
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    parts.push(&pattern[start..i]);
                    return (i + 1, parts);
                }
            }
            _ => {}
        }
        i += 1;
    }
    // Unbalanced braces were refused when the pattern was compiled.
    (bytes.len(), vec!["**"])
}

/// The last byte of the class that opens at `at`; a `]` right after the opening stands for itself.
fn class_end(bytes: &[u8], at: usize) -> usize {
    let mut i = at + 1;
    if matches!(bytes.get(i), Some(b'!' | b'^')) {
        i += 1;
    }
    if bytes.get(i) == Some(&b']') {
        i += 1;
    }
    while i < bytes.len() && bytes[i] != b']' {
        i += 1;
    }
    i.min(bytes.len() - 1)
}

fn class(bytes: &[u8]) -> Bytes {
    let (negated, inner) = match bytes {
        [b'!' | b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut set = Bytes::NONE;
    let mut i = 0;
    while i < inner.len() {
        let (from, mut to) = (inner[i], inner[i]);
        if inner.get(i + 1) == Some(&b'-') && i + 2 < inner.len() {
            to = inner[i + 2];
            i += 2;
        }
        (from..=to).for_each(|b| set.add(b));
        i += 1;
    }
    if negated { set.inverse() } else { set }
}

/// A pattern without braces.
fn tokens(pattern: &str) -> Way {
    let bytes = pattern.as_bytes();
    let mut way = Way::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if at + 1 < bytes.len() => {
                at += 1;
                way.push(Token::One(Bytes::one(bytes[at])));
            }
            b'*' if bytes.get(at + 1) == Some(&b'*') => {
                at += 1;
                way.push(Token::Many(Bytes::ALL));
            }
            b'*' => way.push(Token::Many(Bytes::not_slash())),
            b'?' => way.push(Token::One(Bytes::not_slash())),
            b'[' => {
                let end = class_end(bytes, at);
                way.push(Token::One(class(&bytes[at + 1..end.max(at + 1)])));
                at = end;
            }
            byte => way.push(Token::One(Bytes::one(byte))),
        }
        at += 1;
    }
    way
}

/// Whether one text fits both ways: a walk over the pairs of places that a common text can lead to.
fn meet(mut a: &[Token], mut b: &[Token]) -> bool {
    // Almost every pair parts in the fixed text at its front.
    while let ([Token::One(x), rest_a @ ..], [Token::One(y), rest_b @ ..]) = (a, b) {
        if !x.meets(*y) {
            return false;
        }
        (a, b) = (rest_a, rest_b);
    }
    let width = b.len() + 1;
    let mut seen = vec![false; (a.len() + 1) * width];
    let mut todo = vec![(0, 0)];
    while let Some((i, j)) = todo.pop() {
        if i == a.len() && j == b.len() {
            return true;
        }
        if std::mem::replace(&mut seen[i * width + j], true) {
            continue;
        }
        match (a.get(i), b.get(j)) {
            (Some(Token::One(x)), Some(Token::One(y))) if x.meets(*y) => todo.push((i + 1, j + 1)),
            (Some(Token::Many(x)), Some(Token::One(y))) if x.meets(*y) => todo.push((i, j + 1)),
            (Some(Token::One(x)), Some(Token::Many(y))) if x.meets(*y) => todo.push((i + 1, j)),
            _ => {}
        }
        if matches!(a.get(i), Some(Token::Many(_))) {
            todo.push((i + 1, j));
        }
        if matches!(b.get(j), Some(Token::Many(_))) {
            todo.push((i, j + 1));
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use globset::GlobBuilder;
    use proptest::prelude::*;

    fn names(pattern: &str) -> Language {
        Language::watched(Path::new("/in"), pattern, false)
    }

    #[test]
    fn patterns_that_share_a_name_meet() {
        for (a, b) in [
            ("*.csv", "orders-*.csv"),
            ("*.csv", "orders.csv"),
            ("a*b*c", "*abc*"),
            ("{a,b}.txt", "b.*"),
            ("[a-c]?.txt", "bz.txt"),
            ("*", ".hidden"),
            ("a\\*b", "a*b"),
        ] {
            assert!(names(a).meets(&names(b)) && names(b).meets(&names(a)), "{a} and {b}");
        }
    }

    #[test]
    fn patterns_without_a_common_name_do_not_meet() {
        for (a, b) in [
            ("*.csv", "*.txt"),
            ("orders-*.csv", "invoices-*.csv"),
            ("{a,b}.txt", "c.*"),
            ("[!a]*.txt", "a*.txt"),
            ("a\\*b", "axb"),
            ("??", "*???*"),
        ] {
            assert!(!names(a).meets(&names(b)) && !names(b).meets(&names(a)), "{a} and {b}");
        }
    }

    #[test]
    fn folders_below_count_only_for_a_recursive_watch() {
        let sub = Language::watched(Path::new("/in/sub"), "*.csv", false);
        assert!(!sub.meets(&names("*.csv")));
        assert!(sub.meets(&Language::watched(Path::new("/in"), "*.csv", true)));
        assert!(sub.meets(&Language::watched(Path::new("/in"), "**/x.csv", true)));
        assert!(sub.meets(&Language::watched(Path::new("/in"), "sub/*", true)));
        assert!(!sub.meets(&Language::watched(Path::new("/in"), "other/*", true)));
        assert!(names("x.csv").meets(&Language::watched(Path::new("/in"), "**/x.csv", true)));
        assert!(!names("yx.csv").meets(&Language::watched(Path::new("/in"), "**/x.csv", true)));
    }

    #[test]
    fn a_template_is_any_text_without_a_folder() {
        let out = |t: &str| Language::template(Path::new("/base"), &Template::parse(t).unwrap(), "orders");
        let watch = Language::watched(Path::new("/base/in"), "*.csv", false);
        assert!(out("in/{stem}.csv").meets(&watch));
        assert!(out("x/../in/{name}").meets(&watch));
        assert!(out("/base/in/{ext}").meets(&watch));
        assert!(!out("in/{stem}.json").meets(&watch));
        assert!(!out("in/{task}/{stem}.csv").meets(&watch));
        assert!(!out("{name}/{name}/{name}.csv").meets(&watch));
    }

    #[test]
    fn what_is_too_large_to_spell_out_is_everything() {
        assert!(names(&"{a,b}".repeat(20)).meets(&names("zzz")));
    }

    /// Patterns of up to three folders, of pieces that `globset` knows.
    fn patterns() -> impl Strategy<Value = String> {
        const PIECES: [&str; 10] = ["a", "b", "-", "*", "?", "{a,b}", "{a*,?b,[c-]}", "[ab]", "[!a]", "\\*"];
        let part = prop::collection::vec(prop::sample::select(&PIECES[..]), 1..4).prop_map(|p| p.concat());
        let part = prop_oneof![4 => part, 1 => Just("**".to_owned())];
        prop::collection::vec(part, 1..4).prop_map(|p| p.join("/"))
    }

    proptest! {
        #[test]
        fn the_language_agrees_with_globset(pattern in patterns(), name in "[abc*/-]{0,6}") {
            let matcher = GlobBuilder::new(&pattern).literal_separator(true).build().unwrap().compile_matcher();
            let path = Language::path(Path::new(&format!("/in/{name}")));
            let (matches, lies_in) = (matcher.is_match(&name), names(&pattern).meets(&path));
            let spelled_out = pattern.matches('{').count() <= 2 && !pattern.contains("}*");
            let exact = spelled_out && pattern.split('/').all(|part| part == "**" || !part.contains("**"));
            prop_assert!(matches == lies_in || (lies_in && !exact), "matches {matches}, lies in {lies_in}");
        }

        #[test]
        fn a_name_of_both_is_a_meeting(a in patterns(), b in patterns(), name in "[abc/-]{1,5}") {
            let is_match = |p: &str| {
                GlobBuilder::new(p).literal_separator(true).build().unwrap().compile_matcher().is_match(&name)
            };
            if is_match(&a) && is_match(&b) {
                prop_assert!(names(&a).meets(&names(&b)));
            }
        }
    }
}

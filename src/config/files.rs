//! The section `[files]`: where originals go, which names are not yet files, and what becomes of a file that nobody
//! takes; and the compiling of patterns, which tasks share.

use super::supervisor::section;
use crate::model::block::{Block, Complaint, Span, Spanned, shown};
use crate::model::{Placeholder, Template, Unmatched};
use globset::{GlobBuilder, GlobMatcher};
use std::path::{Path, PathBuf};

/// Names that a writer uses until a file is complete. The rename to the final name is what counts as landing.
pub const IGNORED: [&str; 9] =
    [".*", "*~", "*.part", "*.partial", "*.tmp", "*.filepart", "*.crdownload", ".~lock.*", ".nfs*"];

/// Longest pattern, in bytes: more than any file name.
const PATTERN_MAX: usize = 512;
/// Most patterns of one list.
const PATTERNS_MAX: usize = 64;

/// A pattern, compiled.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    pub(super) text: Spanned<String>,
    pub(super) matcher: GlobMatcher,
}

/// A folder for originals, and where it is named; nowhere if it is the default.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    pub(super) template: Template,
    pub(super) span: Option<Span>,
}

/// What `[files]` says.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) processed: Folder,
    pub(super) failed: Folder,
    pub(super) archive: PathBuf,
    pub(super) unmatched: Unmatched,
    pub(super) ignore: Vec<Pattern>,
}

pub(super) fn files(root: &mut Block<'_>, base: &Path) -> Files {
    let mut block = section(root, "files");
    let default =
        |text: &str| Folder { template: Template::parse(text).unwrap_or_else(|_| Template::literal(text)), span: None };
    let ignore = patterns(&mut block, "ignore", true);
    Files {
        processed: folder(&mut block, "processed").unwrap_or_else(|| default("processed/{task}")),
        failed: folder(&mut block, "failed").unwrap_or_else(|| default("failed/{task}")),
        archive: block.path("archive").map_or_else(|| base.join("archive"), |p| p.value),
        unmatched: block
            .choice("unmatched", &[("list", Unmatched::List), ("fail", Unmatched::Fail)])
            .unwrap_or_default(),
        ignore: ignore.unwrap_or_else(|| IGNORED.iter().filter_map(|text| ignored(text)).collect()),
    }
}

fn ignored(text: &str) -> Option<Pattern> {
    let matcher = GlobBuilder::new(text).literal_separator(true).build().ok()?.compile_matcher();
    Some(Pattern { text: Spanned { value: text.to_owned(), span: 0..0 }, matcher })
}

/// A folder for originals: a template with the values that a landed file has.
pub(super) fn folder(block: &mut Block<'_>, key: &str) -> Option<Folder> {
    let text = block.string(key)?;
    if text.value.is_empty() || text.value.contains('\0') {
        block.problem(Complaint::new(text.span, format!("`{key}` is not a folder: {}", shown(&text.value))));
        return None;
    }
    let of_a_file = |p| {
        use Placeholder::{Date, Ext, Name, Stem, Task, Type};
        matches!(p, Task | Type | Date | Name | Stem | Ext)
    };
    let template = block.as_template(key, &text, of_a_file)?;
    Some(Folder { template: template.value, span: Some(template.span) })
}

/// A list of patterns. With `names_only`, none may hold a `/`.
pub(super) fn patterns(block: &mut Block<'_>, key: &str, names_only: bool) -> Option<Vec<Pattern>> {
    let list = block.strings(key)?;
    if list.len() > PATTERNS_MAX {
        let span = list[PATTERNS_MAX].span.clone();
        block.problem(Complaint::new(span, format!("more than {PATTERNS_MAX} patterns in `{key}`")));
    }
    let all: Vec<_> = list.into_iter().take(PATTERNS_MAX).map(|text| pattern(block, text, names_only)).collect();
    all.into_iter().collect()
}

fn pattern(block: &Block<'_>, text: Spanned<String>, names_only: bool) -> Option<Pattern> {
    let wrong = |message: &str, hint: &str| {
        let message = format!("{message}: {}", shown(&text.value));
        block.problem(Complaint::new(text.span.clone(), message).hint(hint));
        None
    };
    let value = &text.value;
    if value.is_empty() || value.contains('\0') {
        return wrong("a pattern that matches no name", "\"*\" matches every name");
    }
    if value.len() > PATTERN_MAX {
        return wrong("the pattern is too long", "a file name has at most 255 bytes");
    }
    if value.starts_with('/') || value.split('/').any(|part| matches!(part, "." | ".." | "")) {
        return wrong("a pattern starts below the watched folder", "leave out /, ./ and ../");
    }
    if names_only && value.contains('/') {
        return wrong("a pattern for names holds no `/`", "with `recursive = true`, patterns may name folders");
    }
    if class_of_characters(value) {
        return wrong("[…] holds bytes, and this one holds a longer character", "write {é,è} instead of [éè]");
    }
    match GlobBuilder::new(value).literal_separator(true).build() {
        Ok(glob) => Some(Pattern { matcher: glob.compile_matcher(), text }),
        Err(error) => wrong(&format!("{}", error.kind()), "* ? [abc] [!a-z] {a,b} are special; \\ takes that away"),
    }
}

/// Whether a class holds characters of several bytes. It would match single bytes of them.
fn class_of_characters(pattern: &str) -> bool {
    let (mut inside, mut escaped) = (false, false);
    for c in pattern.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if !inside => escaped = true,
            '[' => inside = true,
            ']' => inside = false,
            c if inside && !c.is_ascii() => return true,
            _ => {}
        }
    }
    false
}

//! What goes wrong for the whole program: fatal errors with an exit code and a hint, problems in a file with their
//! place, and the one renderer of both. What goes wrong for a job is data: [`crate::model::Failure`].

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// How the program ends. A contract: scripts depend on the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// A job failed, or the request was refused.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// No supervisor to talk to.
    Unavailable = 69,
    /// A fault in this program.
    Internal = 70,
    /// The configuration is wrong or missing.
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// One problem in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, in bytes of the source.
    pub span: Range<usize>,
    /// What is wrong, in one line.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem at a place.
    pub fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), hint: None }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Every problem of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// The file.
    pub path: PathBuf,
    /// Its text.
    pub source: String,
    /// The problems, in the order of their place.
    pub list: Vec<Problem>,
}

impl Problems {
    /// Line and column of a byte offset, both 1-based; the column counts characters.
    #[must_use]
    pub fn place(&self, at: usize) -> (usize, usize) {
        let at = at.min(self.source.len());
        let before = &self.source.as_bytes()[..at];
        let line = before.iter().filter(|&&b| b == b'\n').count() + 1;
        let start = before.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
        let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
        (line, column)
    }

    /// All problems for a person: `file:line:column`, the source line with a mark, the hint.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let path = crate::model::text::path(&self.path);
        let mut out = String::new();
        for problem in &self.list {
            let end = problem.span.end.min(self.source.len());
            let start = problem.span.start.min(end);
            let snippet = Snippet::source(self.source.as_str())
                .path(path.as_str())
                .annotation(AnnotationKind::Primary.span(start..end));
            let mut report = vec![Level::ERROR.primary_title(problem.message.as_str()).element(snippet)];
            if let Some(hint) = &problem.hint {
                report.push(Group::with_title(Level::HELP.secondary_title(hint.as_str())));
            }
            out.push_str(&renderer.render(&report));
            out.push_str("\n\n");
        }
        let n = self.list.len();
        out.push_str(&format!("{n} problem{} in {path}", if n == 1 { "" } else { "s" }));
        out
    }
}

/// An error that ends the program.
#[derive(Debug)]
pub struct Fatal {
    /// The exit code.
    pub exit: Exit,
    /// What happened: lower case, no full stop, the value last.
    pub message: String,
    /// What caused it, outermost first.
    pub causes: Vec<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Problems of a file, shown instead of the message.
    pub problems: Option<Box<Problems>>,
}

impl Fatal {
    /// An error with an exit code.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), causes: Vec::new(), hint: None, problems: None }
    }

    /// An I/O error on a path.
    pub fn io(doing: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::new(Exit::Failed, format!("cannot {doing} {}", crate::model::text::path(path))).because(error)
    }

    /// Problems of a configuration file.
    #[must_use]
    pub fn config(problems: Problems) -> Self {
        let mut fatal = Self::new(Exit::Config, "the configuration has problems");
        fatal.problems = Some(Box::new(problems));
        fatal
    }

    /// The same with a cause.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The error for a person.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        if let Some(problems) = &self.problems {
            return problems.render(color);
        }
        let (red, dim, off) = if color { ("\x1b[1;31m", "\x1b[1m", "\x1b[0m") } else { ("", "", "") };
        let mut out = format!("{red}error:{off} {}", self.message);
        for cause in &self.causes {
            out.push_str(&format!("\n  {dim}because:{off} {cause}"));
        }
        if let Some(hint) = &self.hint {
            out.push_str(&format!("\n  {dim}hint:{off} {hint}"));
        }
        out
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Fatal {}

/// The known word nearest to an unknown one, if it is near enough to be meant.
#[must_use]
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|k| (distance(word, k), k))
        .filter(|(d, k)| *d <= (k.chars().count().max(word.chars().count())).div_ceil(3))
        .min()
        .map(|(_, k)| k)
}

/// Edits (insert, delete, replace, swap of neighbours) between two words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let cost = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested() {
        assert_eq!(did_you_mean("setle", ["settle", "match", "dir"]), Some("settle"));
        assert_eq!(did_you_mean("mtach", ["settle", "match", "dir"]), Some("match"));
        assert_eq!(did_you_mean("banana", ["settle", "match", "dir"]), None);
    }

    #[test]
    fn places_count_lines_and_characters() {
        let p = Problems { path: "c".into(), source: "가나\nxy = 1\n".into(), list: vec![] };
        assert_eq!(p.place(0), (1, 1));
        assert_eq!(p.place(3), (1, 2));
        assert_eq!(p.place("가나\nxy".len()), (2, 3));
        assert_eq!(p.place(9999), (3, 1));
    }

    #[test]
    fn a_problem_shows_its_place_and_hint() {
        let p = Problems {
            path: "config.toml".into(),
            source: "[tasks.a]\nsetle = 1\n".into(),
            list: vec![Problem::new(10..15, "unknown key: setle").hint("did you mean `settle`?")],
        };
        let text = p.render(false);
        assert!(
            text.contains("config.toml:2:1") && text.contains("setle = 1") && text.contains("did you mean"),
            "{text}"
        );
    }
}

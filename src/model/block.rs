//! A typed reader over one table of the configuration, so that a kind of work parses its own keys without knowing
//! TOML.
//!
//! It guarantees that every problem is collected, each with its place; that no key is ignored: a key that nobody asked
//! for is a problem when its [`Block`] is dropped; and that what it hands out lies in the range that was asked for.
//! It refuses to guess: a bare number is no duration and no size.
//!
//! Readers give `None` both for a key that is absent and for one that is wrong; the wrong one was reported. So read
//! every key first, and only then leave with `?`, or keys that were never reached are taken for unknown ones.

use super::size::{format_size, parse_size};
use super::text;
use super::{Placeholder, Template, TemplateError};
use std::ops::RangeInclusive;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

pub use super::complaint::{Complaint, Complaints, Hint};
pub use super::tree::{Entry, Node, Span, Spanned, Value};

/// Reads one table. When it is dropped, every key that was never asked for is reported as unknown.
#[derive(Debug)]
pub struct Block<'a> {
    name: String,
    node: &'a Node,
    base: &'a Path,
    asked: Vec<String>,
    shorthand_taken: bool,
    sink: &'a Complaints,
}

impl<'a> Block<'a> {
    /// Opens a value. `name` is its path for messages, for example `tasks.orders.extract`; relative paths in it start
    /// at `base`. A value that is no table is reported at the drop, unless [`Block::shorthand`] took it.
    pub fn open(name: impl Into<String>, node: &'a Node, base: &'a Path, sink: &'a Complaints) -> Self {
        Self { name: name.into(), node, base, asked: Vec::new(), shorthand_taken: false, sink }
    }

    /// Where the table stands.
    #[must_use]
    pub fn span(&self) -> Span {
        self.node.span.clone()
    }

    /// Its path for messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder that relative paths start at.
    #[must_use]
    pub fn base(&self) -> &'a Path {
        self.base
    }

    /// Its entries, in the order of the file. Does not count as asking for them; see [`Block::ask`].
    #[must_use]
    pub fn entries(&self) -> &'a [Entry] {
        match &self.node.value {
            Value::Table(entries) => entries,
            _ => &[],
        }
    }

    /// The value itself when it is no table: for kinds that accept a short form, such as `after = "partners"`.
    pub fn shorthand(&mut self) -> Option<&'a Node> {
        if matches!(self.node.value, Value::Table(_)) {
            return None;
        }
        self.shorthand_taken = true;
        Some(self.node)
    }

    /// Reports a problem.
    pub fn problem(&self, complaint: Complaint) {
        self.sink.push(complaint);
    }

    /// Marks a key as known without reading it.
    pub fn ask(&mut self, key: &str) {
        if !self.asked.iter().any(|k| k == key) {
            self.asked.push(key.to_owned());
        }
    }

    /// The entry of a key.
    pub fn entry(&mut self, key: &str) -> Option<&'a Entry> {
        self.ask(key);
        self.entries().iter().find(|e| e.key == key)
    }

    /// The value of a key, for shapes that no other reader covers.
    pub fn node(&mut self, key: &str) -> Option<&'a Node> {
        self.entry(key).map(|e| &e.node)
    }

    /// Whether a key is there.
    pub fn has(&mut self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// Whether a key is there; if not, that is reported.
    pub fn require(&mut self, key: &str) -> bool {
        let found = self.has(key);
        if !found && matches!(self.node.value, Value::Table(_)) {
            self.problem(Complaint::new(self.span(), format!("missing key `{key}` in {}", self.name)));
        }
        found
    }

    /// A text.
    pub fn string(&mut self, key: &str) -> Option<Spanned<String>> {
        let node = self.node(key)?;
        match &node.value {
            Value::String(s) => Some(Spanned { value: s.clone(), span: node.span.clone() }),
            other => self.mistyped(key, "a string", other, &node.span),
        }
    }

    /// A list of texts.
    pub fn strings(&mut self, key: &str) -> Option<Vec<Spanned<String>>> {
        self.list(key, "a list of strings", |v| match v {
            Value::String(s) => Some(s.clone()),
            _ => None,
        })
    }

    /// A list of whole numbers.
    pub fn integers(&mut self, key: &str) -> Option<Vec<Spanned<i64>>> {
        self.list(key, "a list of integers", |v| match v {
            Value::Integer(n) => Some(*n),
            _ => None,
        })
    }

    fn list<T>(&mut self, key: &str, wanted: &str, read: impl Fn(&Value) -> Option<T>) -> Option<Vec<Spanned<T>>> {
        let node = self.node(key)?;
        let Value::Array(items) = &node.value else {
            return self.mistyped(key, wanted, &node.value, &node.span);
        };
        let mut out = Vec::with_capacity(items.len());
        let mut good = true;
        for item in items {
            match read(&item.value) {
                Some(value) => out.push(Spanned { value, span: item.span.clone() }),
                None => {
                    good = false;
                    self.mistyped::<()>(key, wanted, &item.value, &item.span);
                }
            }
        }
        good.then_some(out)
    }

    /// True or false.
    pub fn boolean(&mut self, key: &str) -> Option<bool> {
        let node = self.node(key)?;
        match &node.value {
            Value::Boolean(b) => Some(*b),
            other => self.mistyped(key, "true or false", other, &node.span),
        }
    }

    /// A whole number in a range.
    pub fn integer(&mut self, key: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let node = self.node(key)?;
        match &node.value {
            Value::Integer(n) if range.contains(n) => Some(*n),
            Value::Integer(n) => self.outside(key, range.start(), range.end(), n, &node.span),
            other => self.mistyped(key, "an integer", other, &node.span),
        }
    }

    /// A number in a range; a whole number will do.
    pub fn float(&mut self, key: &str, range: RangeInclusive<f64>) -> Option<f64> {
        let node = self.node(key)?;
        let number = match &node.value {
            Value::Float(f) => *f,
            #[expect(clippy::cast_precision_loss, reason = "a setting far below 2^53, and the range is checked")]
            Value::Integer(n) => *n as f64,
            other => return self.mistyped(key, "a number", other, &node.span),
        };
        if range.contains(&number) {
            return Some(number);
        }
        self.outside(key, range.start(), range.end(), &number, &node.span)
    }

    /// A time span such as `"2s"`, `"10m"` or `"1h 30m"`, in a range.
    pub fn duration(&mut self, key: &str, range: RangeInclusive<Duration>) -> Option<Duration> {
        let node = self.node(key)?;
        let Value::String(s) = &node.value else {
            return self.unitless(key, "a duration", "s", &node.value, &node.span);
        };
        let Ok(value) = humantime::parse_duration(s) else {
            let message = format!("`{key}` is not a duration: {}", shown(s));
            self.problem(
                Complaint::new(node.span.clone(), message)
                    .hint("write a number and a unit: \"2s\", \"10m\", \"1h 30m\", \"7d\""),
            );
            return None;
        };
        if range.contains(&value) {
            return Some(value);
        }
        let (from, to) = (humantime::format_duration(*range.start()), humantime::format_duration(*range.end()));
        self.outside(key, &from, &to, &s, &node.span)
    }

    /// A number of bytes such as `"10MB"` (a thousand thousands) or `"4KiB"` (1024), in a range.
    pub fn size(&mut self, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let node = self.node(key)?;
        let Value::String(s) = &node.value else {
            return self.unitless(key, "a size", "B", &node.value, &node.span);
        };
        let Some(value) = parse_size(s) else {
            let message = format!("`{key}` is not a size: {}", shown(s));
            self.problem(
                Complaint::new(node.span.clone(), message)
                    .hint("write a number and a unit: \"512B\", \"4KiB\", \"10MB\", \"2GiB\""),
            );
            return None;
        };
        if range.contains(&value) {
            return Some(value);
        }
        self.outside(key, &format_size(*range.start()), &format_size(*range.end()), &s, &node.span)
    }

    /// A path, made absolute: it starts at [`Block::base`], and `.` and `..` are resolved without asking the file
    /// system.
    pub fn path(&mut self, key: &str) -> Option<Spanned<PathBuf>> {
        let Spanned { value, span } = self.string(key)?;
        if value.is_empty() || value.contains('\0') {
            self.problem(Complaint::new(span, format!("`{key}` is not a path: {}", shown(&value))));
            return None;
        }
        Some(Spanned { value: absolute(self.base, Path::new(&value)), span })
    }

    /// A text with placeholders that a file name may hold; those of a running command are refused.
    pub fn template(&mut self, key: &str) -> Option<Spanned<Template>> {
        let text = self.string(key)?;
        self.as_template(key, &text, |p| !p.is_command_only())
    }

    /// Texts with any placeholder: the arguments of a command.
    pub fn arguments(&mut self, key: &str) -> Option<Vec<Spanned<Template>>> {
        let texts = self.strings(key)?;
        let all: Vec<_> = texts.iter().map(|t| self.as_template(key, t, |_| true)).collect();
        all.into_iter().collect()
    }

    /// A text that was read before as a template with the placeholders that `allowed` lets pass.
    pub fn as_template(
        &self,
        key: &str,
        text: &Spanned<String>,
        allowed: impl Fn(Placeholder) -> bool,
    ) -> Option<Spanned<Template>> {
        let names = || Placeholder::ALL.iter().filter(|(p, _)| allowed(*p)).map(|(_, s)| *s);
        let complaint = match Template::parse(&text.value) {
            Ok(template) => {
                let refused = template.placeholders().find(|p| !allowed(*p));
                let Some(refused) = refused else {
                    return Some(Spanned { value: template, span: text.span.clone() });
                };
                let written = format!("{{{}}}", refused.spelling());
                let span = part_span(text, text.value.find(&written), written.len());
                let list: Vec<_> = names().map(|n| format!("{{{n}}}")).collect();
                Complaint::new(span, format!("`{key}` cannot use {written}"))
                    .hint(format!("it can use {}", list.join(" ")))
            }
            Err(TemplateError::Unknown(name)) => {
                let written = format!("{{{name}}}");
                let span = part_span(text, text.value.find(&written), written.len());
                Complaint::new(span, format!("unknown placeholder {}", text::cut(&text::escape(&written), 60)))
                    .known(&name, names())
            }
            Err(TemplateError::Unbalanced(at)) => {
                Complaint::new(part_span(text, Some(at), 1), format!("unbalanced brace in `{key}`"))
                    .hint("write {{ and }} for braces that stand for themselves")
            }
        };
        self.problem(complaint);
        None
    }

    /// One of several words.
    pub fn choice<T: Copy>(&mut self, key: &str, options: &[(&str, T)]) -> Option<T> {
        let Spanned { value, span } = self.string(key)?;
        if let Some((_, option)) = options.iter().find(|(name, _)| *name == value) {
            return Some(*option);
        }
        let list: Vec<_> = options.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let message = format!("`{key}` must be {}, not {}", list.join(" or "), shown(&value));
        self.problem(Complaint::new(span, message).known(&value, options.iter().map(|(name, _)| *name)));
        None
    }

    /// A table below this one.
    pub fn table(&mut self, key: &str) -> Option<Block<'a>> {
        let node = self.node(key)?;
        match &node.value {
            Value::Table(_) => Some(self.below(key, node)),
            other => self.mistyped(key, "a table", other, &node.span),
        }
    }

    /// A value below this one, table or not, as a block.
    #[must_use]
    pub fn below(&self, key: &str, node: &'a Node) -> Block<'a> {
        let name = if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) };
        Block::open(name, node, self.base, self.sink)
    }

    fn mistyped<T>(&self, key: &str, wanted: &str, found: &Value, span: &Span) -> Option<T> {
        self.problem(Complaint::new(span.clone(), format!("`{key}` must be {wanted}, not {}", found.kind())));
        None
    }

    fn unitless<T>(&self, key: &str, wanted: &str, unit: &str, found: &Value, span: &Span) -> Option<T> {
        let complaint = Complaint::new(span.clone(), format!("`{key}` must be {wanted}, not {}", found.kind()));
        self.problem(match found {
            Value::Integer(n) => complaint.hint(format!("write \"{n}{unit}\"")),
            Value::Float(n) => complaint.hint(format!("write \"{n}{unit}\"")),
            _ => complaint,
        });
        None
    }

    fn outside<T>(
        &self,
        key: &str,
        from: &dyn std::fmt::Display,
        to: &dyn std::fmt::Display,
        found: &dyn std::fmt::Display,
        span: &Span,
    ) -> Option<T> {
        self.problem(Complaint::new(span.clone(), format!("`{key}` must be between {from} and {to}: {found}")));
        None
    }
}

impl Drop for Block<'_> {
    fn drop(&mut self) {
        if !matches!(self.node.value, Value::Table(_)) {
            if !self.shorthand_taken {
                let message = format!("`{}` must be a table, not {}", self.name, self.node.value.kind());
                self.sink.push(Complaint::new(self.span(), message));
            }
            return;
        }
        for entry in self.entries() {
            if !self.asked.contains(&entry.key) {
                let message = format!("unknown key: {}", text::cut(&text::escape(&entry.key), 60));
                let known = self.asked.iter().map(String::as_str);
                self.sink.push(Complaint::new(entry.key_span.clone(), message).known(&entry.key, known));
            }
        }
    }
}

/// A text as it may stand in a message: quoted, safe, and cut.
#[must_use]
pub fn shown(value: &str) -> String {
    format!("\"{}\"", text::cut(&text::escape(value), 60))
}

/// A path from `base`, with `.` and `..` resolved by their text alone.
#[must_use]
pub fn absolute(base: &Path, path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in base.join(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

/// Where a part of a text stands in the source. Known only when the text holds no escapes: then the source is as long
/// as the text and its two quotes. Otherwise the whole text is meant.
fn part_span(text: &Spanned<String>, at: Option<usize>, len: usize) -> Span {
    match at {
        Some(at) if text.span.len() == text.value.len() + 2 => {
            let start = text.span.start + 1 + at;
            start..start + len
        }
        _ => text.span.clone(),
    }
}

#[cfg(test)]
mod tests;

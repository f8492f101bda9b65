//! The forms of a report. A template sees the document of [`super::sheet`] and no file, no variable and no clock; what it
//! may write and how long it may work have bounds.

use super::sheet::{Sheet, minute};
use crate::model::{Failure, figure, text};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value};
use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The text form, unless the configuration names another.
pub const TEXT: &str = include_str!("templates/report.txt.j2");
/// The HTML form, unless the configuration names another.
pub const HTML: &str = include_str!("templates/report.html.j2");

/// Most bytes that a template writes; one that writes more fails the job.
const WRITTEN_MAX: usize = 4 * 1024 * 1024;
/// Most bytes of a template; a larger one fails the job.
const TEMPLATE_MAX: u64 = 256 * 1024;
/// Most steps that a template takes; one that takes more fails the job.
const STEPS_MAX: u64 = 5_000_000;
/// Widest column that a template can ask for.
const WIDTH_MAX: usize = 500;

/// A form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One screenful for a terminal.
    Text,
    /// For browsers and mail programs.
    Html,
    /// The document itself.
    Json,
}

impl Format {
    /// Every form.
    pub const ALL: [Self; 3] = [Self::Text, Self::Html, Self::Json];

    /// Its name in the configuration and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Html => "html",
            Self::Json => "json",
        }
    }

    /// The form with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|f| f.name() == name)
    }

    /// Extension of its files.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Text => "txt",
            Self::Html => "html",
            Self::Json => "json",
        }
    }
}

/// The user's own templates, where there are some.
#[derive(Clone, Debug, Default)]
pub struct Templates {
    /// Of the text form.
    pub text: Option<PathBuf>,
    /// Of the HTML form.
    pub html: Option<PathBuf>,
}

/// A report in one form; it ends with a line end.
///
/// # Errors
/// The user's template cannot be read, or has a fault: with its file and line.
pub fn render(format: Format, sheet: &Sheet, templates: &Templates) -> Result<String, Failure> {
    let (own, built_in) = match format {
        Format::Json => {
            let made = serde_json::to_string_pretty(sheet);
            return made.map(|json| json + "\n").map_err(|e| Failure::permanent("internal", format!("no JSON: {e}")));
        }
        Format::Text => (&templates.text, TEXT),
        Format::Html => (&templates.html, HTML),
    };
    let source = match own {
        Some(path) => read(path)?,
        None => built_in.to_owned(),
    };
    let name = own.as_ref().map_or_else(|| format!("report.{}.j2", format.extension()), |path| text::path(path));
    fill(format, sheet, &name, &source)
}

fn read(path: &PathBuf) -> Result<String, Failure> {
    let fault = |e: &std::io::Error| Failure::io("template_read", "read the template", path, e);
    let mut source = String::new();
    let file = File::open(path).map_err(|e| fault(&e))?;
    file.take(TEMPLATE_MAX + 1).read_to_string(&mut source).map_err(|e| fault(&e))?;
    if source.len() as u64 > TEMPLATE_MAX {
        let message = format!("the template is larger than {} bytes: {}", text::count(TEMPLATE_MAX), text::path(path));
        return Err(Failure::permanent("template", message));
    }
    Ok(source)
}

fn fill(format: Format, sheet: &Sheet, name: &str, source: &str) -> Result<String, Failure> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_fuel(Some(STEPS_MAX));
    env.set_auto_escape_callback(move |_| if format == Format::Html { AutoEscape::Html } else { AutoEscape::None });
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        env.set_syntax(syntax);
    }
    add_filters(&mut env);
    let mut out = Written(Vec::new());
    let template = env.template_from_named_str(name, source).map_err(|e| blame(&e, name))?;
    template.render_captured_to(Value::from(Serde(sheet)), &mut out).map_err(|e| blame(&e, name))?;
    let mut made = String::from_utf8(out.0).map_err(|_| Failure::permanent("template", format!("no UTF-8: {name}")))?;
    if !made.ends_with('\n') {
        made.push('\n');
    }
    Ok(made)
}

/// What is wrong with a template, where.
fn blame(error: &minijinja::Error, name: &str) -> Failure {
    let line = error.line().map(|n| n as u64);
    let what = match error.kind() {
        ErrorKind::OutOfFuel => "it takes too many steps".to_owned(),
        ErrorKind::WriteFailure => format!("it writes more than {} bytes", text::count(WRITTEN_MAX as u64)),
        kind => match error.detail() {
            Some(detail) => format!("{kind}: {}", text::escape(detail)),
            None => kind.to_string(),
        },
    };
    let place = line.map_or_else(|| name.to_owned(), |line| format!("{name}:{line}"));
    let mut failure = Failure::permanent("template", format!("{place}: {what}"));
    failure.constant = format!("{name}: {what}");
    (failure.file, failure.line) = (Some(name.to_owned()), line);
    failure
}

/// What a template writes, up to its bound.
struct Written(Vec<u8>);

impl Write for Written {
    fn write(&mut self, raw: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + raw.len() > WRITTEN_MAX {
            return Err(std::io::Error::other("too long"));
        }
        self.0.extend_from_slice(raw);
        Ok(raw.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What templates may use beside what the language has. A missing value is shown as `-`.
fn add_filters(env: &mut Environment<'_>) {
    let number = |value: Option<u64>, show: fn(u64) -> String| value.map_or_else(|| "-".to_owned(), show);
    env.add_filter("count", move |n: Option<u64>| number(n, text::count));
    env.add_filter("size", move |n: Option<u64>| number(n, figure::size));
    env.add_filter("millis", move |n: Option<u64>| number(n, figure::millis));
    env.add_filter("minute", |at: &str| minute(at));
    env.add_filter("change", change);
    env.add_filter("tail", |value: &str, width: usize| tail(value, width));
    env.add_filter("left", |value: &str, width: usize| pad(value, width, false));
    env.add_filter("right", |value: &str, width: usize| pad(value, width, true));
}

/// By how much a number differs from an earlier one: `+12 %`, `-3 %`, `=`, `new`.
fn change(now: u64, before: u64) -> String {
    match (now, before) {
        (now, before) if now == before => "=".to_owned(),
        (_, 0) => "new".to_owned(),
        (now, before) => {
            let percent = (i128::from(now) - i128::from(before)) * 100 / i128::from(before);
            format!("{percent:+} %")
        }
    }
}

/// The end of a text, in at most so many columns: what tells paths apart is their end.
fn tail(value: &str, max: usize) -> String {
    if value.width() <= max {
        return value.to_owned();
    }
    let mut width = 1;
    let kept = value.char_indices().rev().take_while(|(_, c)| {
        width += c.width().unwrap_or(0);
        width <= max
    });
    let at = kept.last().map_or(value.len(), |(at, _)| at);
    format!("…{}", value.get(at..).unwrap_or_default())
}

/// A text in exactly so many columns, cut at its end or filled up with blanks.
fn pad(value: &str, width: usize, right: bool) -> String {
    let width = width.min(WIDTH_MAX);
    let mut used = 0;
    let fits = |max: usize| {
        value.chars().take_while(move |c| {
            used += c.width().unwrap_or(0);
            used <= max
        })
    };
    let shown =
        if value.width() <= width { value.to_owned() } else { fits(width.saturating_sub(1)).chain(['…']).collect() };
    let blank = " ".repeat(width.saturating_sub(shown.width()));
    if right { format!("{blank}{shown}") } else { format!("{shown}{blank}") }
}

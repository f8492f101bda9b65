//! Names with placeholders, `out/{task}/{stem}.csv`. Values are bytes and never add a `/`.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// A value that a template may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Placeholder {
    /// File name with its extension.
    Name,
    /// File name without its last extension.
    Stem,
    /// The last extension without the dot.
    Ext,
    /// `text`, `csv`, `image`, `pdf` or `other`.
    Type,
    /// Name of the task.
    Task,
    /// `YYYY-MM-DD` of the run's planned time in the task's zone.
    Date,
    /// Number of the run.
    Run,
    /// Number of the job.
    Job,
    /// Place of the job in its run, from 1.
    N,
    /// Name of this host.
    Host,
    /// Absolute path of the input while it is being worked on. `command` only.
    Input,
    /// One argument for each input. `command` only, as an argument of its own.
    Inputs,
    /// Path of a NUL-separated list of the inputs. `command` only.
    InputsFile,
    /// A temporary path that becomes the output. `command` only.
    Output,
}

impl Placeholder {
    /// Every placeholder with its spelling.
    pub const ALL: [(Self, &'static str); 14] = [
        (Self::Name, "name"),
        (Self::Stem, "stem"),
        (Self::Ext, "ext"),
        (Self::Type, "type"),
        (Self::Task, "task"),
        (Self::Date, "date"),
        (Self::Run, "run"),
        (Self::Job, "job"),
        (Self::N, "n"),
        (Self::Host, "host"),
        (Self::Input, "input"),
        (Self::Inputs, "inputs"),
        (Self::InputsFile, "inputs_file"),
        (Self::Output, "output"),
    ];

    /// Its spelling between the braces.
    #[must_use]
    pub fn spelling(self) -> &'static str {
        Self::ALL.iter().find(|(p, _)| *p == self).map_or("", |(_, s)| s)
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, s)| *s == text).map(|(p, _)| *p)
    }

    /// Whether it stands for a path of the running attempt, which only `command` has.
    #[must_use]
    pub const fn is_command_only(self) -> bool {
        matches!(self, Self::Input | Self::Inputs | Self::InputsFile | Self::Output)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Part {
    Text(String),
    Value(Placeholder),
}

/// A piece of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text that stands for itself, braces resolved.
    Text(&'a str),
    /// A value to be filled in.
    Value(Placeholder),
}

/// A text with placeholders, checked. `{{` and `}}` stand for braces.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Template {
    source: String,
    parts: Vec<Part>,
}

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// `{` without `}`, or the other way round; the byte where it stands.
    Unbalanced(usize),
    /// A name in braces that is no placeholder.
    Unknown(String),
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unbalanced(at) => write!(f, "unbalanced brace at character {}", at + 1),
            Self::Unknown(name) => write!(f, "unknown placeholder {{{name}}}"),
        }
    }
}

impl std::error::Error for TemplateError {}

impl Template {
    /// Parses a template; an unknown placeholder is an error.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = source;
        while let Some(at) = rest.find(['{', '}']) {
            text.push_str(&rest[..at]);
            let here = source.len() - rest.len() + at;
            let brace = &rest[at..=at];
            if rest[at + 1..].starts_with(brace) {
                text.push_str(brace);
                rest = &rest[at + 2..];
                continue;
            }
            let end = rest[at..].find('}').filter(|_| brace == "{").ok_or(TemplateError::Unbalanced(here))?;
            let name = &rest[at + 1..at + end];
            let value = Placeholder::parse(name).ok_or_else(|| TemplateError::Unknown(name.to_owned()))?;
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text)));
            }
            parts.push(Part::Value(value));
            rest = &rest[at + end + 1..];
        }
        text.push_str(rest);
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Ok(Self { source: source.to_owned(), parts })
    }

    /// A template without placeholders, taken literally.
    #[must_use]
    pub fn literal(text: &str) -> Self {
        Self { source: text.to_owned(), parts: vec![Part::Text(text.to_owned())] }
    }

    /// As it stands in the configuration.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it names this placeholder.
    #[must_use]
    pub fn uses(&self, placeholder: Placeholder) -> bool {
        self.parts.iter().any(|p| matches!(p, Part::Value(v) if *v == placeholder))
    }

    /// The placeholders that it names, in order.
    pub fn placeholders(&self) -> impl Iterator<Item = Placeholder> + '_ {
        self.parts.iter().filter_map(|p| match p {
            Part::Value(v) => Some(*v),
            Part::Text(_) => None,
        })
    }

    /// Its pieces, in order.
    pub fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        self.parts.iter().map(|p| match p {
            Part::Text(t) => Piece::Text(t),
            Part::Value(v) => Piece::Value(*v),
        })
    }

    /// The single placeholder that it consists of, if it is nothing else.
    #[must_use]
    pub fn only(&self) -> Option<Placeholder> {
        match self.parts.as_slice() {
            [Part::Value(v)] => Some(*v),
            _ => None,
        }
    }

    /// The text in front of the first placeholder.
    #[must_use]
    pub fn fixed_prefix(&self) -> &str {
        match self.parts.first() {
            Some(Part::Text(t)) => t,
            _ => "",
        }
    }

    /// The folder of the path, without its last `/`, where no value is part of it.
    #[must_use]
    pub fn fixed_folder(&self) -> Option<&str> {
        let prefix = self.fixed_prefix();
        let has_folder = |part: &Part| matches!(part, Part::Text(text) if text.contains('/'));
        let folder = prefix.rfind('/').map_or("", |at| &prefix[..at]);
        if folder.is_empty() && prefix.starts_with('/') {
            return None; // the root is not written like the others
        }
        let is_plain = !folder.split('/').any(|part| matches!(part, "." | "..") || part.len() > NAME_MAX);
        (is_plain && !self.parts.iter().skip(1).any(has_folder)).then_some(folder)
    }

    /// The template with its values filled in.
    #[must_use]
    pub fn expand(&self, vars: &Vars) -> OsString {
        let mut out = Vec::with_capacity(self.source.len() + 32);
        for part in &self.parts {
            match part {
                Part::Text(t) => out.extend_from_slice(t.as_bytes()),
                Part::Value(v) => out.extend_from_slice(&vars.bytes(*v)),
            }
        }
        OsString::from_vec(out)
    }

    /// The expanded template as the path of a file. No value leads out of the folders that are written in the template:
    /// a part of the path that values make `.` or `..` gets `_` for each dot, and an empty first part becomes `_`. The
    /// name of a folder that is too long is cut and carries `~JOB`; that of the file is left to whoever chooses it.
    #[must_use]
    pub fn expand_path(&self, vars: &Vars) -> PathBuf {
        self.safe_path(vars, false)
    }

    /// The same for the path of a folder: its last part is cut too.
    #[must_use]
    pub fn expand_folder(&self, vars: &Vars) -> PathBuf {
        self.safe_path(vars, true)
    }

    fn safe_path(&self, vars: &Vars, is_folder: bool) -> PathBuf {
        let plain = self.expand(vars);
        let is_odd = |part: &[u8]| matches!(part, b"." | b"..") || part.len() > NAME_MAX;
        let is_rooted = plain.as_bytes().first() == Some(&b'/') && !self.source.starts_with('/');
        if !is_rooted && !plain.as_bytes().split(|&b| b == b'/').any(is_odd) {
            return PathBuf::from(plain); // nearly always
        }
        let mut parts: Vec<Component> = vec![Component::default()];
        for part in &self.parts {
            let (bytes, is_value) = match part {
                Part::Text(t) => (t.as_bytes().to_vec(), false),
                Part::Value(v) => (vars.bytes(*v), true),
            };
            for (i, piece) in bytes.split(|&b| b == b'/').enumerate() {
                if i > 0 {
                    parts.push(Component::default());
                }
                if let Some(last) = parts.last_mut() {
                    last.bytes.extend_from_slice(piece);
                    last.has_value |= is_value;
                }
            }
        }
        let last = parts.len() - 1;
        let mut out = Vec::with_capacity(self.source.len() + 32);
        for (i, mut part) in parts.into_iter().enumerate() {
            if i > 0 {
                out.push(b'/');
            }
            if part.has_value && matches!(&part.bytes[..], b"." | b"..") {
                part.bytes.iter_mut().for_each(|b| *b = b'_');
            }
            if i == 0 && part.has_value && part.bytes.is_empty() {
                part.bytes.push(b'_');
            }
            if part.bytes.len() > NAME_MAX && (i < last || is_folder) {
                let tail = format!("~{}", vars.job);
                let end = char_end(&part.bytes, NAME_MAX - tail.len());
                part.bytes.truncate(end);
                part.bytes.extend_from_slice(tail.as_bytes());
            }
            out.extend_from_slice(&part.bytes);
        }
        PathBuf::from(OsString::from_vec(out))
    }
}

/// Longest name of a folder, in bytes.
const NAME_MAX: usize = 255;

/// A part of a path between two slashes, and whether a value has a share in it.
#[derive(Default)]
struct Component {
    bytes: Vec<u8>,
    has_value: bool,
}

/// At most `max` bytes that do not end inside a UTF-8 character; bytes that are no UTF-8 are cut anywhere.
fn char_end(raw: &[u8], max: usize) -> usize {
    let is_inner = |b: &u8| b & 0xc0 == 0x80;
    let mut end = max.min(raw.len());
    while end > 0 && max - end < 4 && raw.get(end).is_some_and(is_inner) {
        end -= 1;
    }
    if raw.get(end).is_some_and(is_inner) { max.min(raw.len()) } else { end }
}

/// The values of one job. File values are empty for a job without a file.
#[derive(Clone, Debug, Default)]
pub struct Vars {
    /// File name with extension, as bytes.
    pub name: OsString,
    /// `text`, `csv`, `image`, `pdf` or `other`.
    pub file_type: &'static str,
    /// Name of the task.
    pub task: String,
    /// `YYYY-MM-DD`.
    pub date: String,
    /// Number of the run.
    pub run: i64,
    /// Number of the job.
    pub job: i64,
    /// Place of the job in its run, from 1.
    pub n: i64,
    /// Name of this host.
    pub host: String,
    /// Path of the input while it is worked on; may hold `/`.
    pub input: OsString,
    /// Path of the list of inputs; may hold `/`.
    pub inputs_file: OsString,
    /// Temporary path of the output; may hold `/`.
    pub output: OsString,
}

impl Vars {
    fn bytes(&self, placeholder: Placeholder) -> Vec<u8> {
        let flat = |s: &[u8]| -> Vec<u8> { s.iter().map(|&b| if b == b'/' || b == 0 { b'_' } else { b }).collect() };
        let (stem, ext) = split_name(&self.name);
        match placeholder {
            Placeholder::Name => flat(self.name.as_bytes()),
            Placeholder::Stem => flat(stem.as_bytes()),
            Placeholder::Ext => flat(ext.as_bytes()),
            Placeholder::Type => flat(self.file_type.as_bytes()),
            Placeholder::Task => flat(self.task.as_bytes()),
            Placeholder::Date => flat(self.date.as_bytes()),
            Placeholder::Run => self.run.to_string().into_bytes(),
            Placeholder::Job => self.job.to_string().into_bytes(),
            Placeholder::N => self.n.to_string().into_bytes(),
            Placeholder::Host => flat(self.host.as_bytes()),
            Placeholder::Input => self.input.as_bytes().to_vec(),
            Placeholder::Inputs => Vec::new(),
            Placeholder::InputsFile => self.inputs_file.as_bytes().to_vec(),
            Placeholder::Output => self.output.as_bytes().to_vec(),
        }
    }
}

/// A file name cut at its last dot: `a.tar.gz` is `a.tar` and `gz`. A leading dot starts no extension.
#[must_use]
pub fn split_name(name: &OsStr) -> (&OsStr, &OsStr) {
    let raw = name.as_bytes();
    match raw.iter().rposition(|&b| b == b'.') {
        Some(dot) if dot > 0 => (OsStr::from_bytes(&raw[..dot]), OsStr::from_bytes(&raw[dot + 1..])),
        _ => (name, OsStr::new("")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars() -> Vars {
        Vars { name: "orders.v2.csv".into(), task: "orders".into(), run: 7, ..Vars::default() }
    }

    #[test]
    fn values_are_filled_in() {
        let t = Template::parse("out/{task}/{stem}-{run}.{ext}.{{x}}").unwrap();
        assert_eq!(t.expand(&vars()), "out/orders/orders.v2-7.csv.{x}");
        assert_eq!(t.fixed_prefix(), "out/");
    }

    #[test]
    fn a_fixed_folder_is_that_of_every_path() {
        let fixed = |source: &str| Template::parse(source).unwrap().fixed_folder().map(str::to_owned);
        for (source, folder) in [
            ("out/{n}", "out"),
            ("/srv/out/a-{name}.{ext}", "/srv/out"),
            ("{n}", ""),
            ("a/b/c", "a/b"),
            ("a/{{x}}{n}", "a"),
        ] {
            assert_eq!(fixed(source).as_deref(), Some(folder), "{source}");
            let path = Template::parse(source).unwrap().expand_path(&vars());
            assert_eq!(path.parent().unwrap().to_str(), Some(folder), "{source}");
        }
        for source in ["{task}/x", "out/{date}/{n}", "out/{n}/x", "/{n}", "out/../{n}", "./{n}"] {
            assert_eq!(fixed(source), None, "{source}");
        }
    }

    #[test]
    fn a_value_never_adds_a_folder() {
        let mut v = vars();
        v.name = OsString::from("../../etc/passwd");
        let t = Template::parse("out/{name}").unwrap();
        assert_eq!(t.expand(&v), "out/.._.._etc_passwd");
    }

    #[test]
    fn no_value_leads_out_of_the_folders() {
        let path = |template: &str, name: &str| {
            let vars = Vars { name: name.into(), job: 7, ..Vars::default() };
            Template::parse(template).unwrap().expand_path(&vars).into_os_string().into_string().unwrap()
        };
        assert_eq!(path("out/{stem}/x", "...csv"), "out/__/x");
        assert_eq!(path("out/{stem}{ext}", "..."), "out/__");
        assert_eq!(path("out/{stem}.", "..x"), "out/__");
        assert_eq!(path("../{stem}", "a.csv"), "../a", "what the operator wrote stands");
        assert_eq!(path("{stem}/x", ""), "_/x", "not an absolute path");
        assert_eq!(path("/out/{stem}", ".."), "/out/_");
        assert_eq!(path("out/{name}", "a..b"), "out/a..b");
    }

    #[test]
    fn a_folder_with_a_long_name_is_cut_between_characters() {
        let vars = Vars { name: "가".repeat(85).into(), job: 7, ..Vars::default() };
        let t = Template::parse("by-{name}").unwrap();
        let cut = t.expand_folder(&vars).into_os_string().into_string().unwrap();
        assert_eq!(cut, format!("by-{}~7", "가".repeat(83)));
        assert_eq!(Template::parse("by-{name}/x").unwrap().expand_path(&vars).as_os_str().len(), cut.len() + 2);
        assert_eq!(t.expand_path(&vars).as_os_str().len(), 258, "the name of a file is cut by whoever chooses it");
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(Template::parse("a{nam}").unwrap_err(), TemplateError::Unknown("nam".into()));
        assert_eq!(Template::parse("a{name").unwrap_err(), TemplateError::Unbalanced(1));
        assert_eq!(Template::parse("a}b").unwrap_err(), TemplateError::Unbalanced(1));
    }
}

//! What one transform shall do, as its table in the configuration says. The command line writes the same table, so that
//! there is one reader, one set of defaults and one set of messages.

use super::input::Declared;
use super::output::{OutFormat, Style};
#[cfg(feature = "sql")]
use super::query::{self, Query};
use super::sql::{self, CheckExpr, SqlError, Statement};
use super::table::{ColumnType, Compression, Format, OnBadRow, Ragged, Spelling};
use crate::actions::keys::{self, optional};
use crate::model::block::{Complaint, Span, Spanned, Value, shown};
use crate::model::{Block, OnExists, Template};
use std::ffi::OsStr;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Where the output goes unless the configuration says otherwise.
const OUTPUT: &str = "out/{task}/{stem}.csv";
/// Most threads of one job.
const THREADS_MAX: i64 = 256;
/// Smallest size of a part, in bytes: parts are cut between chunks, and the output of a chunk has to fit into one.
const PART_MIN: u64 = 16 * 1024 * 1024;

/// How many rows may be rejected before the job fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MaxRejects {
    /// So many.
    Rows(u64),
    /// This share of the rows read, in percent; known at the end.
    Percent(f64),
}

/// Into which files the output goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Split {
    /// Into one.
    #[default]
    None,
    /// Into one for each value of a column of the output.
    By(String),
    /// Into the next one when the next piece would make it larger than this, in bytes.
    Size(u64),
}

/// What is made of the rows.
#[derive(Clone, Debug, Default)]
pub enum Select {
    /// Every column as it is.
    #[default]
    All,
    /// A row of each row, or none.
    ByRow(Box<Statement>),
    /// Something that needs more than one row at a time.
    #[cfg(feature = "sql")]
    OverRows(Box<Query>),
}

impl Select {
    /// The statement that is computed row by row, if it is one.
    #[must_use]
    pub fn by_row(&self) -> Option<&Statement> {
        match self {
            Self::ByRow(statement) => Some(statement),
            _ => None,
        }
    }
}

/// What one transform shall do.
#[derive(Clone, Debug)]
pub struct Spec {
    /// How the input is written, where that is not left to be found out.
    pub declared: Declared,
    /// Types of columns, where they are not left to be found out.
    pub columns: Vec<(String, ColumnType)>,
    /// How values are spelled.
    pub spelling: Spelling,
    /// What a wrong number of fields means.
    pub ragged: Ragged,
    /// The statement.
    pub select: Select,
    /// Reference files that the statement may read beside the input, each with the name of its table.
    pub tables: Vec<(String, PathBuf)>,
    /// Columns that must not be NULL.
    pub require: Vec<String>,
    /// Conditions that every row must hold, with their text.
    pub expect: Vec<(String, CheckExpr)>,
    /// Columns that no two rows may agree in.
    pub unique: Vec<String>,
    /// What becomes of a bad row.
    pub on_bad_row: OnBadRow,
    /// How many may be rejected.
    pub max_rejects: Option<MaxRejects>,
    /// Where the output goes.
    pub output: Template,
    /// What happens where it is there already.
    pub on_exists: OnExists,
    /// How it is written, where that is not left to the output's extension.
    pub style: OutStyle,
    /// Into which files.
    pub split: Split,
    /// Files to read where the job has none: paths and patterns.
    pub inputs: Vec<String>,
    /// Threads; none: one for each of the supervisor's workers.
    pub threads: Option<usize>,
}

/// How the output is written.
#[derive(Clone, Debug, Default)]
pub struct OutStyle {
    format: Option<Words>,
    delimiter: Option<u8>,
    header: Option<bool>,
    null: Option<String>,
    compression: Option<Compression>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Words {
    Csv,
    Tsv,
    Ndjson,
}

impl OutStyle {
    /// The style of a file with this name, and how it is packed.
    #[must_use]
    pub fn of(&self, target: &Path) -> (Style, Compression) {
        let name = target.file_name().unwrap_or_default();
        let compression = self.compression.unwrap_or_else(|| Compression::by_extension(name));
        let inner = if Compression::by_extension(name) == Compression::None {
            name
        } else {
            Path::new(name).file_stem().unwrap_or_default()
        };
        let extension = Path::new(inner).extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
        let word = self.format.unwrap_or(match extension.as_deref() {
            Some("tsv" | "tab") => Words::Tsv,
            Some("ndjson" | "jsonl") => Words::Ndjson,
            _ => Words::Csv,
        });
        let delimiter = self.delimiter.unwrap_or(if word == Words::Tsv { b'\t' } else { b',' });
        let format = match word {
            Words::Csv | Words::Tsv => OutFormat::Csv { delimiter, header: self.header.unwrap_or(true) },
            Words::Ndjson => OutFormat::Ndjson,
        };
        (Style { format, null: self.null.clone().unwrap_or_default() }, compression)
    }
}

const COMPRESSIONS: [(&str, Compression); 5] = [
    ("none", Compression::None),
    ("gzip", Compression::Gzip),
    ("zstd", Compression::Zstd),
    ("bzip2", Compression::Bzip2),
    ("xz", Compression::Xz),
];

impl Spec {
    /// Reads the table of a `transform`. `None`: the problems were reported to the block.
    pub fn read(block: &mut Block<'_>) -> Option<Self> {
        let declared = read_declared(block);
        let columns = optional(block, "columns", |b, key| b.table(key).and_then(|mut t| read_columns(&mut t)));
        let spelling = read_spelling(block);
        let ragged = [("bad", Ragged::Bad), ("pad", Ragged::Pad), ("fit", Ragged::Fit)];
        let ragged = optional(block, "ragged", |b, key| b.choice(key, &ragged));
        let tables = optional(block, "tables", |b, key| b.table(key).and_then(|mut t| read_tables(&mut t)));
        let known = tables.as_ref().map(|tables| tables.as_deref().unwrap_or_default());
        let select = optional(block, "sql", |b, key| b.string(key).and_then(|text| read_sql(b, &text, known)));
        let require = names(block, "require");
        let expect = optional(block, "expect", read_expect);
        let unique = names(block, "unique");
        let words = [("fail", OnBadRow::Fail), ("reject", OnBadRow::Reject), ("null", OnBadRow::Null)];
        let on_bad_row = optional(block, "on_bad_row", |b, key| b.choice(key, &words));
        let max_rejects = optional(block, "max_rejects", read_max_rejects);
        let output = optional(block, "output", |b, key| b.template(key).map(|t| t.value));
        let on_exists = keys::on_exists(block);
        let style = read_style(block);
        let split = read_split(block);
        let inputs = names(block, "inputs");
        let threads = optional(block, "threads", |b, key| b.integer(key, 1..=THREADS_MAX));
        Some(Self {
            declared: declared?,
            columns: columns?.unwrap_or_default(),
            spelling: spelling?,
            ragged: ragged?.unwrap_or_default(),
            select: select?.unwrap_or_default(),
            tables: tables?.unwrap_or_default(),
            require: require?,
            expect: expect?.unwrap_or_default(),
            unique: unique?,
            on_bad_row: on_bad_row?.unwrap_or_default(),
            max_rejects: max_rejects?,
            output: output?.or_else(|| Template::parse(OUTPUT).ok())?,
            on_exists: on_exists?,
            style: style?,
            split: split?,
            inputs: inputs?,
            threads: threads?.and_then(|n| usize::try_from(n).ok()),
        })
    }
}

fn read_declared(block: &mut Block<'_>) -> Option<Declared> {
    let formats = [("csv", Format::Csv), ("tsv", Format::Csv), ("ndjson", Format::Ndjson), ("json", Format::Json)];
    let is_tsv = block.string("format").is_some_and(|f| f.value == "tsv");
    let format = optional(block, "format", |b, key| b.choice(key, &formats));
    let delimiter = optional(block, "delimiter", keys::delimiter);
    let quote = optional(block, "quote", read_quote);
    let encoding = optional(block, "encoding", keys::encoding);
    let header = optional(block, "header", |b, key| b.boolean(key));
    let compression = optional(block, "compression", |b, key| b.choice(key, &COMPRESSIONS));
    let max_expanded = optional(block, "max_expanded", |b, key| b.size(key, 1..=u64::MAX));
    Some(Declared {
        format: format?,
        delimiter: delimiter?.or_else(|| is_tsv.then_some(b'\t')),
        quote: quote?,
        encoding: encoding?,
        header: header?,
        compression: compression?,
        max_expanded: max_expanded?,
    })
}

#[expect(clippy::option_option, reason = "absent, no quoting at all, and a character are three things")]
fn read_quote(block: &mut Block<'_>, key: &str) -> Option<Option<u8>> {
    let text = block.string(key)?;
    match text.value.as_bytes() {
        [] => Some(None),
        [c] if c.is_ascii_punctuation() => Some(Some(*c)),
        _ => {
            let message =
                format!("`quote` must be one ASCII punctuation character or empty, not {}", shown(&text.value));
            block.problem(
                Complaint::new(text.span, message).hint("an empty text says that quotes are plain characters"),
            );
            None
        }
    }
}

fn read_columns(table: &mut Block<'_>) -> Option<Vec<(String, ColumnType)>> {
    let mut columns = Vec::new();
    let mut good = true;
    for entry in table.entries() {
        let Some(text) = table.string(&entry.key) else {
            good = false;
            continue;
        };
        match super::parse::column_type(&text.value) {
            Ok(kind) => columns.push((entry.key.clone(), kind)),
            Err(message) => {
                let hint = "types are bool, int, float, decimal(12,2), text, date and timestamp";
                table.problem(Complaint::new(text.span, message).hint(hint));
                good = false;
            }
        }
    }
    good.then_some(columns)
}

fn read_spelling(block: &mut Block<'_>) -> Option<Spelling> {
    let plain = |list: Vec<Spanned<String>>| list.into_iter().map(|s| s.value).collect::<Vec<_>>();
    let nulls = optional(block, "null", |b, key| b.strings(key).map(plain));
    let decimal = optional(block, "decimal_point", |b, key| b.choice(key, &[(".", b'.'), (",", b',')]));
    let dates = optional(block, "dates", read_formats);
    let timestamps = optional(block, "timestamps", read_formats);
    let standard = Spelling::default();
    Some(Spelling {
        nulls: nulls?.unwrap_or(standard.nulls),
        decimal_point: decimal?.unwrap_or(standard.decimal_point),
        dates: dates?.unwrap_or_default(),
        timestamps: timestamps?.unwrap_or_default(),
    })
}

/// Formats of dates and times as `chrono` writes them.
fn read_formats(block: &mut Block<'_>, key: &str) -> Option<Vec<String>> {
    use chrono::format::{Item, StrftimeItems};
    let list = block.strings(key)?;
    let mut good = true;
    for format in &list {
        if format.value.is_empty() || StrftimeItems::new(&format.value).any(|item| item == Item::Error) {
            let message = format!("no format of a date or a time: {}", shown(&format.value));
            block.problem(Complaint::new(format.span.clone(), message).hint(r#"write for example "%d.%m.%Y %H:%M""#));
            good = false;
        }
    }
    good.then(|| list.into_iter().map(|s| s.value).collect())
}

fn names(block: &mut Block<'_>, key: &str) -> Option<Vec<String>> {
    let list = optional(block, key, |b, key| b.strings(key))?;
    Some(list.unwrap_or_default().into_iter().map(|s| s.value).collect())
}

/// Reads a statement. `known` are the reference tables; none: what they are is not known, and is complained about already.
fn read_sql(block: &Block<'_>, text: &Spanned<String>, known: Option<&[(String, PathBuf)]>) -> Option<Select> {
    match statement(&text.value, known) {
        Ok(select) => Some(select),
        Err(error) => {
            block.problem(complaint(text, &error));
            None
        }
    }
}

#[cfg(not(feature = "sql"))]
fn statement(text: &str, _: Option<&[(String, PathBuf)]>) -> Result<Select, SqlError> {
    sql::parse(text).map(|statement| Select::ByRow(Box::new(statement)))
}

#[cfg(feature = "sql")]
fn statement(text: &str, known: Option<&[(String, PathBuf)]>) -> Result<Select, SqlError> {
    let query = match sql::parse(text) {
        // Whether an expression needs more than its row is found out when it meets the columns, but for other tables.
        Ok(statement) => match query::parse(text) {
            Ok(query) if query.tables().next().is_some() => query,
            _ => return Ok(Select::ByRow(Box::new(statement))),
        },
        Err(error) if error.needs_engine.is_some() => query::parse(text)?,
        Err(error) => return Err(error),
    };
    if let Some(known) = known {
        query.check_tables(known.iter().map(|(name, _)| name.as_str()))?;
    }
    Ok(Select::OverRows(Box::new(query)))
}

#[cfg(not(feature = "sql"))]
fn read_tables(table: &mut Block<'_>) -> Option<Vec<(String, PathBuf)>> {
    // Their values are as good as any.
    table.entries().iter().for_each(|entry| table.ask(&entry.key));
    let complaint = Complaint::new(table.span(), "only a build with the feature `sql` reads reference tables");
    table.problem(complaint.hint("build with `--features sql`, or leave `tables` out"));
    None
}

#[cfg(feature = "sql")]
fn read_tables(table: &mut Block<'_>) -> Option<Vec<(String, PathBuf)>> {
    let mut tables: Vec<(String, PathBuf)> = Vec::new();
    let mut good = true;
    for entry in table.entries() {
        let Some(path) = table.path(&entry.key) else {
            good = false;
            continue;
        };
        let wrong = if entry.key.is_empty() {
            Some("a table needs a name".to_owned())
        } else if entry.key.eq_ignore_ascii_case(sql::TABLE) {
            Some(format!("`{}` is the table of the rows that are read", sql::TABLE))
        } else {
            None
        };
        if let Some(message) = wrong {
            table.problem(Complaint::new(entry.key_span.clone(), message).hint("give the reference file another name"));
            good = false;
        }
        tables.push((entry.key.clone(), path.value));
    }
    good.then_some(tables)
}

fn read_expect(block: &mut Block<'_>, key: &str) -> Option<Vec<(String, CheckExpr)>> {
    let list = block.strings(key)?;
    let mut good = Vec::with_capacity(list.len());
    for text in &list {
        match sql::parse_check(&text.value) {
            Ok(check) => good.push((text.value.clone(), check)),
            Err(error) => block.problem(complaint(text, &error)),
        }
    }
    (good.len() == list.len()).then_some(good)
}

/// A problem of a statement, at its place in the configuration.
fn complaint(text: &Spanned<String>, error: &SqlError) -> Complaint {
    let span = error.at.clone().map_or_else(|| text.span.clone(), |at| within(text, &at));
    let made = Complaint::new(span, &error.message);
    match &error.hint {
        Some(hint) => made.hint(hint),
        None => made,
    }
}

/// Where a part of a text stands in the file, or in a text that has no quotes around it. Known if the text has no escapes: then its quotes are all that the file
/// has more; they are one character on each side, or three, and a line break may follow the first three.
fn within(text: &Spanned<String>, at: &Range<usize>) -> Span {
    let opening = match (text.span.end - text.span.start).checked_sub(text.value.len()) {
        Some(0) => 0,
        Some(2) => 1,
        Some(6) => 3,
        Some(7) => 4,
        _ => return text.span.clone(),
    };
    let start = text.span.start + opening;
    start + at.start..start + at.end.max(at.start + 1)
}

fn read_max_rejects(block: &mut Block<'_>, key: &str) -> Option<MaxRejects> {
    let span = block.node(key)?.span.clone();
    if block.node(key).is_some_and(|node| matches!(node.value, Value::Integer(_))) {
        let rows = block.integer(key, 0..=i64::MAX)?;
        return u64::try_from(rows).ok().map(MaxRejects::Rows);
    }
    let text = block.string(key)?;
    let share = text.value.trim().strip_suffix('%').and_then(|share| share.trim().parse::<f64>().ok());
    match share {
        Some(share) if (0.0..=100.0).contains(&share) => Some(MaxRejects::Percent(share)),
        _ => {
            let complaint = Complaint::new(span, "`max_rejects` is a number of rows or a share of them");
            block.problem(complaint.hint(r#"write 100 or "1%""#));
            None
        }
    }
}

fn read_style(block: &mut Block<'_>) -> Option<OutStyle> {
    let words = [("csv", Words::Csv), ("tsv", Words::Tsv), ("ndjson", Words::Ndjson)];
    let format = optional(block, "output_format", |b, key| b.choice(key, &words));
    let delimiter = optional(block, "output_delimiter", keys::delimiter);
    let header = optional(block, "output_header", |b, key| b.boolean(key));
    let null = optional(block, "output_null", |b, key| b.string(key).map(|s| s.value));
    let compression = optional(block, "output_compression", |b, key| b.choice(key, &COMPRESSIONS));
    Some(OutStyle { format: format?, delimiter: delimiter?, header: header?, null: null?, compression: compression? })
}

fn read_split(block: &mut Block<'_>) -> Option<Split> {
    let by = optional(block, "split_by", |b, key| b.string(key));
    let size = optional(block, "split_size", |b, key| b.size(key, PART_MIN..=u64::MAX));
    match (by?, size?) {
        (Some(by), Some(_)) => {
            block.problem(Complaint::new(by.span, "`split_by` and `split_size` exclude each other"));
            None
        }
        (Some(by), None) => Some(Split::By(by.value)),
        (None, Some(size)) => Some(Split::Size(size)),
        (None, None) => Some(Split::None),
    }
}

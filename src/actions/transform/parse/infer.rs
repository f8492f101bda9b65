//! The columns of an input: their names, and the types that the start of it shows.
//!
//! A type is found only where every value of the sample has it; where two are possible, the narrower one is taken. It
//! refuses what would change a value: `007` and `+82` are texts, and so is a number that a float cannot hold exactly.

use super::cut::Marks;
use super::span::{Kind, Span};
use super::time::Formats;
use super::{json, number, record};
use crate::actions::transform::table::{Column, ColumnType, Dialect, FILE, Format, LINE, Spelling, Table};
use crate::error::did_you_mean;
use crate::model::Failure;
use crate::model::block::shown;
use crate::model::text::count;
use std::collections::HashMap;

/// Most columns of a table. More fail the file.
pub(super) const COLUMNS_MAX: usize = 16_384;
/// Whole numbers beyond this are not all floats.
const EXACT_MAX: u64 = 1 << 53;
/// Longest name that is compared with others for "did you mean", in bytes.
const NAME_MAX: usize = 64;

/// The columns of an input. `sample`: whole records from its start, without the header, in UTF-8. `header`: the names
/// of its columns; without one they are `column_1` and so on, or the declared ones if those are as many as `fields`.
/// `declared`: types that are not to be found out.
///
/// # Errors
///
/// When a declared column does not exist, when there are too many columns, or when a name is one of ours.
pub fn infer(
    sample: &[u8],
    header: Option<&[String]>,
    fields: usize,
    dialect: &Dialect,
    spelling: &Spelling,
    declared: &[(String, ColumnType)],
) -> Result<Table, Failure> {
    let formats = Formats::of(spelling);
    let mut guesses = Guesses { formats: &formats, point: spelling.decimal_point, names: Vec::new(), list: Vec::new() };
    if dialect.format == Format::Csv {
        guesses.names = names(header, fields, declared);
        guesses.list = vec![Guess::new(); guesses.names.len()];
        guesses.read_records(sample, Marks { delimiter: dialect.delimiter, quote: dialect.quote }, spelling);
    } else {
        guesses.read_objects(sample)?;
        guesses.add_declared(declared);
    }
    let Guesses { names, list, .. } = guesses;
    if names.len() > COLUMNS_MAX {
        return Err(too_many());
    }
    if let Some(i) = names.iter().position(|name| name == FILE || name == LINE) {
        let message =
            format!("column {} has a name that is kept for the place of a row, rename it: {}", i + 1, names[i]);
        return Err(Failure::permanent("column_reserved", message));
    }
    let mut kinds: HashMap<&str, ColumnType> = HashMap::new();
    for (name, kind) in declared {
        if !names.contains(name) {
            return Err(missing(name, &names, header.is_none()));
        }
        kinds.insert(name, *kind);
    }
    let columns = names.iter().zip(list).map(|(name, guess)| Column {
        name: name.clone(),
        kind: kinds.get(name.as_str()).copied().unwrap_or_else(|| guess.kind()),
    });
    Ok(Table { columns: columns.collect() })
}

/// The names of the columns of delimited text.
fn names(header: Option<&[String]>, fields: usize, declared: &[(String, ColumnType)]) -> Vec<String> {
    match header {
        Some(header) => header.to_vec(),
        None if declared.len() == fields => declared.iter().map(|(name, _)| name.clone()).collect(),
        None => (1..=fields.min(COLUMNS_MAX + 1)).map(|n| format!("column_{n}")).collect(),
    }
}

fn too_many() -> Failure {
    Failure::permanent("too_many_columns", format!("more than {} columns", count(COLUMNS_MAX as u64)))
}

fn missing(name: &str, names: &[String], is_unnamed: bool) -> Failure {
    let known = names.iter().map(String::as_str).filter(|n| n.len() <= NAME_MAX && name.len() <= NAME_MAX);
    let hint = match did_you_mean(name, known) {
        Some(meant) => format!(", did you mean {}", shown(meant)),
        None if is_unnamed => {
            format!(", the file has no header: declare all {} of its columns to name them", names.len())
        }
        None => String::new(),
    };
    let mut failure =
        Failure::permanent("column_missing", format!("a declared column is not in the file{hint}: {}", shown(name)));
    failure.constant = "a declared column is not in the file".into();
    failure
}

/// What the columns may be.
struct Guesses<'a> {
    formats: &'a Formats<'a>,
    point: u8,
    names: Vec<String>,
    list: Vec<Guess>,
}

impl Guesses<'_> {
    fn read_records(&mut self, sample: &[u8], marks: Marks, spelling: &Spelling) {
        let (mut at, mut text) = (0, Vec::new());
        while let Some(b) = sample.get(at) {
            if matches!(b, b'\n' | b'\r') {
                at += 1;
                continue;
            }
            let mut guesses = self.list.iter_mut();
            let ends = record::read(sample, at, marks, |field| {
                let Some(guess) = guesses.next() else { return };
                if let Some(quote) = marks.quote.filter(|q| field.first() == Some(q)) {
                    record::unquote(field, quote, &mut text);
                    guess.narrow(&text, self.formats, self.point);
                } else if !spelling.nulls.iter().any(|null| null.as_bytes() == field) {
                    guess.narrow(field, self.formats, self.point);
                }
            });
            at = ends.line;
        }
    }

    fn read_objects(&mut self, sample: &[u8]) -> Result<(), Failure> {
        let mut columns: HashMap<Vec<u8>, usize> = HashMap::new();
        let (mut at, mut buffer, mut text) = (0, Vec::new(), Vec::new());
        while at < sample.len() {
            let end = json::line_end(sample, at);
            let mut is_over = false;
            // A line that is no object tells nothing; it will be a bad row.
            let _ = json::members(sample, at, end, &mut buffer, |key, span| {
                let column = match columns.get(key) {
                    Some(column) => *column,
                    None if self.list.len() == COLUMNS_MAX => {
                        is_over = true;
                        return Err("too many columns");
                    }
                    None => {
                        columns.insert(key.to_vec(), self.list.len());
                        self.names.push(String::from_utf8_lossy(key).into_owned());
                        self.list.push(Guess::new());
                        self.list.len() - 1
                    }
                };
                self.list[column].narrow_json(sample, span, &mut text, self.formats, self.point);
                Ok(())
            });
            if is_over {
                return Err(too_many());
            }
            at = end + 1;
        }
        Ok(())
    }

    /// Adds columns that no object of the sample has: one further on may.
    fn add_declared(&mut self, declared: &[(String, ColumnType)]) {
        for (name, _) in declared {
            if !self.names.contains(name) {
                self.names.push(name.clone());
                self.list.push(Guess::new());
            }
        }
    }
}

/// What a column may be by the values that were seen.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "a set of types, by name")]
struct Guess {
    bool: bool,
    int: bool,
    float: bool,
    date: bool,
    timestamp: bool,
    /// Whether there was any value.
    seen: bool,
    /// Whether there was a number that is written with digits.
    counted: bool,
}

impl Guess {
    const fn new() -> Self {
        Self { bool: true, int: true, float: true, date: true, timestamp: true, seen: false, counted: false }
    }

    /// Takes a value.
    fn narrow(&mut self, text: &[u8], formats: &Formats<'_>, point: u8) {
        self.seen = true;
        self.bool = self.bool && number::bool(text).is_some();
        if self.int || self.float {
            self.narrow_numbers(text, point);
        }
        self.date = self.date && formats.date(text).is_some();
        self.timestamp = self.timestamp && formats.timestamp(text).is_some();
    }

    fn narrow_numbers(&mut self, text: &[u8], point: u8) {
        let digits = text.strip_prefix(b"-").unwrap_or(text);
        let is_whole = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        // A number of a phone or an article, not of anything that is counted.
        let is_code = text.starts_with(b"+") || matches!(digits, [b'0', b'0'..=b'9', ..]);
        let whole = if is_code { None } else { number::int(text) };
        self.int = self.int && whole.is_some();
        self.float = self.float
            && !is_code
            && (!is_whole || whole.is_some_and(|n| n.unsigned_abs() <= EXACT_MAX))
            && number::float(text, point).is_some();
        self.counted |= text.iter().any(u8::is_ascii_digit);
    }

    /// Takes a value of an object: there, a string is no number.
    fn narrow_json(&mut self, bytes: &[u8], span: Span, text: &mut Vec<u8>, formats: &Formats<'_>, point: u8) {
        let raw = span.of(bytes);
        match span.kind() {
            Kind::Absent | Kind::Dead => return,
            Kind::Escaped => {
                json::unescape(raw, text);
                self.narrow(text, formats, point);
            }
            Kind::Bare | Kind::Quoted => self.narrow(raw, formats, point),
        }
        if span.is_bare() {
            (self.date, self.timestamp) = (false, false);
        } else {
            (self.bool, self.int, self.float) = (false, false, false);
        }
    }

    const fn kind(self) -> ColumnType {
        if !self.seen {
            ColumnType::Text
        } else if self.bool {
            ColumnType::Bool
        } else if self.int {
            ColumnType::Int
        } else if self.float && self.counted {
            ColumnType::Float
        } else if self.date {
            ColumnType::Date
        } else if self.timestamp {
            ColumnType::Timestamp
        } else {
            ColumnType::Text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use encoding_rs::UTF_8;

    const CSV: Dialect =
        Dialect { format: Format::Csv, delimiter: b',', quote: Some(b'"'), encoding: UTF_8, header: true };
    const NDJSON: Dialect = Dialect { format: Format::Ndjson, ..CSV };

    fn of(dialect: &Dialect, header: Option<&str>, sample: &str, declared: &str) -> Result<String, Failure> {
        let header: Option<Vec<String>> = header.map(|h| h.split(',').map(str::to_owned).collect());
        let fields = header.as_ref().map_or_else(|| sample.split('\n').next().unwrap().split(',').count(), Vec::len);
        let declared: Vec<_> = declared
            .split_whitespace()
            .map(|column| {
                let (name, kind) = column.split_once(':').unwrap();
                (name.to_owned(), super::super::column_type(kind).unwrap())
            })
            .collect();
        let table = infer(sample.as_bytes(), header.as_deref(), fields, dialect, &Spelling::default(), &declared)?;
        let columns = table.columns.iter().map(|c| format!("{}:{}", c.name, c.kind.name()));
        Ok(columns.collect::<Vec<_>>().join(" "))
    }

    /// The type of one column with these values.
    fn kind(values: &str) -> String {
        let sample = values.split_whitespace().collect::<Vec<_>>().join("\n");
        of(&CSV, Some("a"), &sample, "").unwrap().replace("a:", "")
    }

    #[test]
    fn the_narrowest_type_of_all_values_is_taken() {
        assert_eq!(kind("1 -2 0"), "int");
        assert_eq!(kind("1 -2.5 1e3"), "float");
        assert_eq!(kind("1 \"2\""), "int", "quotes say nothing about the type");
        assert_eq!(kind("1 nan"), "float");
        assert_eq!(kind("true False"), "bool");
        assert_eq!(kind("true 1"), "text");
        assert_eq!(kind("2026-01-31 2026-02-28"), "date");
        assert_eq!(kind("2026-01-31T12:00 2026-02-28T12:00:00Z"), "timestamp");
        assert_eq!(kind("2026-01-31 2026-02-28T12:00:00Z"), "text");
        assert_eq!(kind("2026-02-29"), "text");
        assert_eq!(kind("1 x"), "text");
        assert_eq!(kind(""), "text", "nothing was seen");
        assert_eq!(kind("1 \"\""), "text", "an empty text is a text");
    }

    #[test]
    fn what_would_change_a_value_stays_text() {
        assert_eq!(kind("007 1"), "text");
        assert_eq!(kind("-01"), "text");
        assert_eq!(kind("01.5"), "text");
        assert_eq!(kind("0.5 0"), "float");
        assert_eq!(kind("+821012345678"), "text");
        assert_eq!(kind("99999999999999999999"), "text");
        assert_eq!(kind("9007199254740993 1"), "int");
        assert_eq!(kind("9007199254740993 1.5"), "text", "no float is this number");
        assert_eq!(kind("1.5 9007199254740993"), "text");
        assert_eq!(kind("nan inf"), "text", "perhaps names");
    }

    #[test]
    fn ragged_and_damaged_records_do_no_harm() {
        assert_eq!(of(&CSV, Some("a,b"), "1,2\n3\n\r\n4,5,6\n7,\"8\n", "").unwrap(), "a:int b:text");
        assert_eq!(of(&CSV, Some("a,b"), "", "").unwrap(), "a:text b:text");
    }

    #[test]
    fn declared_types_win_and_must_exist() {
        assert_eq!(of(&CSV, Some("a,b"), "007,x\n", "a:int").unwrap(), "a:int b:text");
        let failure = of(&CSV, Some("id,value"), "1,2\n", "valeu:int").unwrap_err();
        assert_eq!(failure.code, "column_missing");
        assert_eq!(failure.message, "a declared column is not in the file, did you mean \"value\": \"valeu\"");
    }

    #[test]
    fn a_file_without_a_header_is_named_by_number_or_by_declaration() {
        assert_eq!(of(&CSV, None, "1,x\n2,y\n", "").unwrap(), "column_1:int column_2:text");
        assert_eq!(of(&CSV, None, "1,x\n2,y\n", "column_1:float").unwrap(), "column_1:float column_2:text");
        assert_eq!(of(&CSV, None, "1,x\n2,y\n", "id:int name:text").unwrap(), "id:int name:text");
        let failure = of(&CSV, None, "1,x\n", "id:int").unwrap_err();
        assert_eq!(
            failure.message,
            "a declared column is not in the file, the file has no header: declare all 2 of its columns to name them: \"id\""
        );
    }

    #[test]
    fn names_of_ours_are_refused() {
        let failure = of(&CSV, Some("a,_line"), "1,2\n", "").unwrap_err();
        assert_eq!(failure.code, "column_reserved");
    }

    #[test]
    fn keys_of_objects_are_columns_in_the_order_of_their_sight() {
        let sample = "{\"id\":1,\"at\":\"2026-01-31\",\"zip\":\"123\"}\n[]\n\n\
                      {\"ok\":true,\"id\":2.5,\"x\":{\"y\":1},\"n\":null,\"d\":20260131}\n";
        assert_eq!(
            of(&NDJSON, None, sample, "late:int").unwrap(),
            "id:float at:date zip:text ok:bool x:text n:text d:int late:int"
        );
    }

    #[test]
    fn too_many_columns_are_refused() {
        let keys = |n: usize| format!("{{{}}}", (0..n).map(|i| format!("\"k{i}\":1")).collect::<Vec<_>>().join(","));
        assert!(of(&NDJSON, None, &keys(COLUMNS_MAX), "").is_ok());
        let failure = of(&NDJSON, None, &keys(COLUMNS_MAX + 1), "").unwrap_err();
        assert_eq!((failure.code.as_str(), failure.message.as_str()), ("too_many_columns", "more than 16,384 columns"));
        assert_eq!(of(&CSV, None, &",".repeat(COLUMNS_MAX), "").unwrap_err().code, "too_many_columns");
    }
}

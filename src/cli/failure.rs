//! A failure on the terminal: what, where, and the failing record between its neighbours with the field marked.

use super::line::{Line, Style};
use super::out::Out;
use crate::model::{ContextLine, Detail, Failure, text};
use std::ops::Range;
use unicode_width::UnicodeWidthStr;

/// Most columns of a record that are shown; a longer one is shown around the failing field.
const RECORD_MAX: usize = 100;
/// Most further causes listed; the rest are counted.
const CAUSES_MAX: usize = 10;

/// Prints a failure.
pub(super) fn print(failure: &Failure, out: &mut Out) {
    let head = Line::of(Style::Bad, "failed: ").and(Style::Strong, &failure.message);
    out.line(head.and(Style::Dim, format!("  ({}, {})", failure.class, failure.code)));
    if let Some(file) = &failure.file {
        out.line(Line::from("  in ").text(file));
    }
    let says_where = failure.line.is_some_and(|n| failure.message.contains(&format!("line {n}")));
    let place_of_it = place(failure.line, failure.column, failure.column_name.as_deref());
    if let Some(place) = place_of_it.filter(|_| !says_where) {
        out.line(Line::from("  at ").text(place));
    }
    record(failure, out);
    let others: Vec<_> = failure.causes.iter().filter(|c| failure.causes.len() > 1 || c.line != failure.line).collect();
    for cause in others.iter().take(CAUSES_MAX) {
        let mut line = Line::from("  - ");
        if let Some(place) = place(cause.line, cause.column, cause.column_name.as_deref()) {
            line.push(Style::Plain, format!("{place}: "));
        }
        out.line(line.text(&cause.message));
    }
    if others.len() > CAUSES_MAX {
        out.line(Line::of(Style::Dim, format!("  and {} more", others.len() - CAUSES_MAX)));
    }
    for line in failure.answer.iter().flat_map(|answer| answer.lines()) {
        out.line(Line::of(Style::Dim, "  | ").text(line));
    }
}

/// Prints records that were set aside: all that are known, for they are to be mended.
pub(super) fn rejects(rejects: &[Detail], total: u64, out: &mut Out) {
    if total == 0 {
        return;
    }
    out.blank();
    out.heading("rejected");
    for reject in rejects {
        let mut line = Line::from("  ");
        let byte = reject.byte.map(|n| format!("byte {n}"));
        let place = place(reject.line, reject.column, reject.column_name.as_deref());
        let place: Vec<String> = place.into_iter().chain(byte).collect();
        if !place.is_empty() {
            line.push(Style::Plain, format!("{}: ", place.join(", ")));
        }
        out.line(line.and(Style::Warn, &reject.message));
        if let Some(raw) = &reject.raw {
            out.line(Line::of(Style::Dim, format!("    | {}", window(raw, None).0)));
        }
    }
    let rest = total.saturating_sub(rejects.len() as u64);
    if rest > 0 {
        out.line(Line::of(Style::Dim, format!("  and {} more", text::count(rest))));
    }
}

/// `line 14, column 3 "value"`
fn place(line: Option<u64>, column: Option<u64>, name: Option<&str>) -> Option<String> {
    let mut parts = Vec::new();
    if let Some(line) = line {
        parts.push(format!("line {line}"));
    }
    match (column, name) {
        (Some(column), Some(name)) => parts.push(format!("column {column} \"{name}\"")),
        (Some(column), None) => parts.push(format!("column {column}")),
        (None, Some(name)) => parts.push(format!("column \"{name}\"")),
        (None, None) => {}
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn record(failure: &Failure, out: &mut Out) {
    let alone: Vec<ContextLine>;
    let lines = match (&failure.raw, failure.line) {
        _ if !failure.context.is_empty() => &failure.context,
        (Some(raw), line) => {
            alone = vec![ContextLine { line: line.unwrap_or(0), text: raw.clone() }];
            &alone
        }
        (None, _) => return,
    };
    let gutter = lines.iter().map(|l| l.line.to_string().len()).max().unwrap_or(1);
    out.blank();
    for line in lines {
        let is_failing = Some(line.line) == failure.line || lines.len() == 1;
        let number = if line.line == 0 { String::new() } else { line.line.to_string() };
        let field = failure.column.filter(|_| is_failing).and_then(|column| field(&line.text, column));
        let (shown, marked) = window(&line.text, field);
        let style = if is_failing { Style::Plain } else { Style::Dim };
        out.line(Line::of(Style::Dim, format!("  {number:>gutter$} | ")).and(style, shown));
        if let Some(marked) = marked {
            let mark = format!("{}{}", " ".repeat(marked.start), "^".repeat(marked.len().max(1)));
            out.line(Line::of(Style::Dim, format!("  {:>gutter$} | ", "")).and(Style::Bad, mark));
        }
    }
    out.blank();
}

/// The bytes of a field (1-based) in a record. The delimiter is the one of the usual four that makes the most fields.
fn field(record: &str, column: u64) -> Option<Range<usize>> {
    let index = usize::try_from(column.checked_sub(1)?).ok()?;
    [',', ';', '\t', '|']
        .into_iter()
        .map(|delimiter| fields(record, delimiter))
        // The first of the longest: `max_by_key` would take the last.
        .reduce(|a, b| if b.len() > a.len() { b } else { a })
        .filter(|fields| fields.len() > 1)
        .and_then(|fields| fields.get(index).cloned())
}

fn fields(record: &str, delimiter: char) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    let (mut start, mut is_quoted) = (0, false);
    for (i, c) in record.char_indices() {
        if c == '"' {
            is_quoted = !is_quoted;
        } else if c == delimiter && !is_quoted {
            out.push(start..i);
            start = i + c.len_utf8();
        }
    }
    out.push(start..record.len());
    out
}

/// The part of a record that is shown, and the columns of the field in it.
fn window(record: &str, field: Option<Range<usize>>) -> (String, Option<Range<usize>>) {
    let columns = |part: &str| text::escape(part).width();
    let (mut from, mut ahead) = (0, "");
    if columns(record) > RECORD_MAX
        && let Some(field) = &field
        && columns(&record[..field.end]) > RECORD_MAX
    {
        // A third of the room in front of the field, the rest for the field and what follows.
        let skip = columns(&record[..field.start]).saturating_sub(RECORD_MAX / 3);
        from = record.char_indices().map(|(i, _)| i).find(|&i| columns(&record[..i]) >= skip).unwrap_or(0);
        ahead = "…";
    }
    let mut shown = ahead.to_owned();
    let mut width = ahead.width();
    for c in record[from..].chars() {
        let escaped = text::escape(c.encode_utf8(&mut [0; 4])).into_owned();
        if width + escaped.width() > RECORD_MAX {
            shown.push('…');
            width += 1;
            break;
        }
        width += escaped.width();
        shown.push_str(&escaped);
    }
    let marked = field.map(|field| {
        let start = (ahead.width() + columns(&record[from.min(field.start)..field.start])).min(width);
        let end = (start + columns(&record[field])).min(width);
        start..end
    });
    (shown, marked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_delimiter() {
        let at = |record: &str, column| field(record, column).map(|r| record[r].to_owned());
        assert_eq!(at("1042,포도 상자,\"12,5\"", 3).as_deref(), Some("\"12,5\""));
        assert_eq!(at("a;b,c;d", 2).as_deref(), Some("b,c"));
        assert_eq!(at("a\tb\tc", 3).as_deref(), Some("c"));
        assert_eq!(at("a,b", 3), None);
        assert_eq!(at("only one", 1), None);
        assert_eq!(at("a,b", 0), None);
    }

    #[test]
    fn the_mark_stands_under_the_field_at_any_width() {
        let (shown, marked) = window("a\t가,b", field("a\t가,b", 2));
        assert_eq!((shown.as_str(), marked), ("a\\t가,b", Some(6..7)));

        let long = format!("{},bad,{}", "가".repeat(90), "x".repeat(200));
        let (shown, marked) = window(&long, field(&long, 2));
        let marked = marked.unwrap();
        assert!(shown.width() <= RECORD_MAX + 1 && shown.starts_with('…') && shown.ends_with('…'), "{shown}");
        let before: String = shown.chars().take_while(|c| *c != 'b').collect();
        assert_eq!((before.width(), 3), (marked.start, marked.len()));
    }
}

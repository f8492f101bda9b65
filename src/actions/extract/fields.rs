//! Records of delimited text: cutting them into fields, writing them in one normal form, finding out the delimiter.
//!
//! The rules are those of the `csv` crate, and a property test holds them together: a quote opens a field only as its
//! first character, two quotes inside stand for one, and what follows a closing quote belongs to the field as it is.

use super::lines::line_end;
use encoding_rs::UTF_8;
use memchr::{memchr, memchr3};

/// Longest field, in bytes of UTF-8. A longer one fails the file; most often a quote was not closed.
pub(super) const FIELD_MAX: usize = 1024 * 1024;
/// Most fields of a record. More fail the file.
pub(super) const COLUMNS_MAX: usize = 16_384;
/// Records that the delimiter is found out from.
const SAMPLE_RECORDS: usize = 32;
/// What separates fields, unless it is declared; of equals, the first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At the first character of a field.
    Start,
    /// In a field that is not quoted, or behind its quotes.
    Plain,
    /// Between quotes.
    Quoted,
    /// Behind a quote inside quotes: its end, or the first of two.
    Closing,
}

/// A bound that a record passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// This field, from 1, is longer than [`FIELD_MAX`].
    Field(usize),
    /// There are more than [`COLUMNS_MAX`] fields.
    Columns,
}

/// The fields of one record, which may take several lines.
#[derive(Debug)]
pub(super) struct Fields {
    delimiter: u8,
    state: State,
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Fields {
    /// No fields yet.
    pub(super) fn new(delimiter: u8) -> Self {
        Self { delimiter, state: State::Start, text: Vec::new(), ends: Vec::new() }
    }

    /// Forgets the record.
    pub(super) fn clear(&mut self) {
        self.state = State::Start;
        self.text.clear();
        self.ends.clear();
    }

    /// Adds a physical line with its line end. True: the record is complete; false: a quote is open.
    pub(super) fn feed(&mut self, line: &str) -> Result<bool, Limit> {
        let mut rest = line.as_bytes();
        while let Some(&c) = rest.first() {
            match self.state {
                State::Start | State::Closing if c == b'"' => {
                    if self.state == State::Closing {
                        self.text.push(c);
                    }
                    self.state = State::Quoted;
                    rest = &rest[1..];
                }
                State::Quoted => {
                    let len = memchr(b'"', rest).unwrap_or(rest.len());
                    self.text.extend_from_slice(&rest[..len]);
                    if len < rest.len() {
                        self.state = State::Closing;
                    }
                    rest = rest.get(len + 1..).unwrap_or_default();
                }
                State::Start | State::Plain | State::Closing => {
                    let len = memchr3(self.delimiter, b'\n', b'\r', rest).unwrap_or(rest.len());
                    self.text.extend_from_slice(&rest[..len]);
                    self.state = State::Plain;
                    if rest.get(len).is_some_and(|c| *c != self.delimiter) {
                        break; // the line end
                    }
                    if len < rest.len() {
                        self.end_field()?;
                    }
                    rest = rest.get(len + 1..).unwrap_or_default();
                }
            }
        }
        if self.state == State::Quoted {
            self.check_field()?;
            return Ok(false);
        }
        self.end_field()?;
        Ok(true)
    }

    fn end_field(&mut self) -> Result<(), Limit> {
        self.check_field()?;
        self.ends.push(self.text.len());
        self.state = State::Start;
        if self.ends.len() > COLUMNS_MAX { Err(Limit::Columns) } else { Ok(()) }
    }

    fn check_field(&self) -> Result<(), Limit> {
        let len = self.text.len() - self.ends.last().copied().unwrap_or(0);
        if len > FIELD_MAX { Err(Limit::Field(self.ends.len() + 1)) } else { Ok(()) }
    }

    /// How many fields are complete.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The complete fields.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.ends.iter().scan(0, |start, end| {
            let field = &self.text[*start..*end];
            *start = *end;
            Some(field)
        })
    }

    /// The complete fields as text.
    pub(super) fn to_strings(&self) -> Vec<String> {
        self.iter().map(|f| String::from_utf8_lossy(f).into_owned()).collect()
    }

    /// Writes the record with commas, `\n`, and quotes only where they are needed.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for (i, field) in self.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            let lone_and_empty = field.is_empty() && self.len() == 1; // else it would read as a blank line
            if !lone_and_empty && !field.iter().any(|c| matches!(c, b',' | b'"' | b'\n' | b'\r')) {
                out.extend_from_slice(field);
                continue;
            }
            out.push(b'"');
            for part in field.split_inclusive(|c| *c == b'"') {
                out.extend_from_slice(part);
                if part.ends_with(b"\"") {
                    out.push(b'"');
                }
            }
            out.push(b'"');
        }
        out.push(b'\n');
    }
}

/// The delimiter of a text: the one that cuts most records into as many fields as the header; of equals, the one that
/// makes more fields. A tab comes first when the name says so. `whole`: the sample is all of the text.
pub(super) fn detect_delimiter(sample: &str, whole: bool, tabs_first: bool) -> u8 {
    let mut candidates = DELIMITERS;
    if tabs_first {
        candidates.swap(0, 2);
    }
    let mut best = (candidates[0], (0, 1));
    for delimiter in candidates {
        let counts = field_counts(sample, whole, delimiter);
        let Some((&header, rows)) = counts.split_first() else { continue };
        let agreeing = rows.iter().filter(|n| **n == header).count();
        let score = (agreeing * 1000 / rows.len().max(1), header);
        if header > 1 && score > best.1 {
            best = (delimiter, score);
        }
    }
    best.0
}

/// How many fields the first records of a text have.
fn field_counts(sample: &str, whole: bool, delimiter: u8) -> Vec<usize> {
    let mut counts = Vec::with_capacity(SAMPLE_RECORDS);
    let mut fields = Fields::new(delimiter);
    let mut rest = sample;
    while counts.len() < SAMPLE_RECORDS && !rest.is_empty() {
        let end = line_end(rest.as_bytes(), 0, UTF_8, true);
        if end.is_none() && !whole && !counts.is_empty() {
            break; // cut by the sample
        }
        let (line, behind) = rest.split_at(end.unwrap_or(rest.len()));
        rest = behind;
        if fields.state == State::Start && fields.len() == 0 && line.starts_with(['\n', '\r']) {
            continue;
        }
        match fields.feed(line) {
            Ok(false) => {}
            Ok(true) => {
                counts.push(fields.len());
                fields.clear();
            }
            Err(_) => break,
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All records of a text, blank lines left out; an open quote ends at the end.
    fn records(text: &str, delimiter: u8) -> Vec<Vec<String>> {
        let mut out = Vec::new();
        let mut fields = Fields::new(delimiter);
        let (mut rest, mut open) = (text, false);
        while !rest.is_empty() {
            let (line, behind) = rest.split_at(line_end(rest.as_bytes(), 0, UTF_8, true).unwrap_or(rest.len()));
            rest = behind;
            if !open && line.starts_with(['\n', '\r']) {
                continue;
            }
            open = !fields.feed(line).unwrap();
            if !open || rest.is_empty() {
                if open {
                    fields.end_field().unwrap();
                }
                out.push(fields.to_strings());
                fields.clear();
            }
        }
        out
    }

    fn by_csv_crate(text: &str, delimiter: u8) -> Vec<Vec<String>> {
        let mut reader = csv::ReaderBuilder::new();
        let reader = reader.has_headers(false).flexible(true).delimiter(delimiter);
        let records = reader.from_reader(text.as_bytes()).into_records();
        records.map(|r| r.unwrap().iter().map(str::to_owned).collect()).collect()
    }

    proptest! {
        #[test]
        fn any_text_is_cut_as_the_csv_crate_cuts_it(text in "[ab가,;\"\n\r ]{0,60}") {
            prop_assert_eq!(records(&text, b','), by_csv_crate(&text, b','));
            prop_assert_eq!(records(&text, b';'), by_csv_crate(&text, b';'));
        }

        #[test]
        fn the_normal_form_is_what_the_csv_crate_writes(
            rows in prop::collection::vec(prop::collection::vec("[ab가,;\"\n\r ]{0,6}", 1..5), 1..6)
        ) {
            let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
            let mut source = csv::WriterBuilder::new();
            let source = source.flexible(true).delimiter(b';').quote_style(csv::QuoteStyle::Always);
            let mut source = source.from_writer(Vec::new());
            for row in &rows {
                writer.write_record(row).unwrap();
                source.write_record(row).unwrap();
            }
            let source = String::from_utf8(source.into_inner().unwrap()).unwrap();
            let mut out = Vec::new();
            for row in by_csv_crate(&source, b';') {
                let quoted: Vec<_> = row.iter().map(|f| format!("\"{}\"", f.replace('"', "\"\""))).collect();
                let mut fields = Fields::new(b';');
                prop_assert!(fields.feed(&quoted.join(";")).unwrap());
                fields.write(&mut out);
            }
            prop_assert_eq!(String::from_utf8(out), String::from_utf8(writer.into_inner().unwrap()));
        }
    }

    #[test]
    fn the_delimiter_is_found_out() {
        let of = |text: &str| char::from(detect_delimiter(text, true, false));
        assert_eq!(of("id,value\n1,2\n"), ',');
        assert_eq!(of("a;b;c\n1,5;2,5;3\n"), ';');
        assert_eq!(of("a\tb\n1\t2\n"), '\t');
        assert_eq!(of("a|b\nx, y|z\n"), '|');
        assert_eq!(of("name;note\n\"a,b,c\";\"d\ne;f\"\n"), ';', "quotes hide delimiters");
        assert_eq!(of("a,b,c\n1,2,3\n1,2\n1,2,3\n"), ',', "one bad row does not mislead");
        assert_eq!(of("name\nx\n"), ',', "a single column");
        assert_eq!(of(""), ',');
        assert_eq!(char::from(detect_delimiter("name\nx\n", true, true)), '\t');
        assert_eq!(char::from(detect_delimiter("a;b\n1;2\n1", false, false)), ';', "a sample may be cut");
    }

    #[test]
    fn limits_name_the_field() {
        let mut fields = Fields::new(b',');
        assert_eq!(fields.feed(&format!("a,\"{}", "x".repeat(FIELD_MAX + 1))), Err(Limit::Field(2)));
        fields.clear();
        assert_eq!(fields.feed(&",".repeat(COLUMNS_MAX)), Err(Limit::Columns));
        fields.clear();
        assert_eq!(fields.feed(&",".repeat(COLUMNS_MAX - 1)), Ok(true));
    }
}

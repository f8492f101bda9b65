//! How delimited text is written, found out from its first records, and what its header says.
//!
//! It guarantees that a guess is the reading under which the most records agree, that a single quote is taken for a
//! quote only if records agree with it and do not without, and that names of columns are those of the file, to the
//! character. It refuses headers that leave a column without a name or give two the same.

use super::records::{Marks, first};
use super::reject::{Place, refuse_at};
use crate::actions::encoding;
use crate::model::{Failure, text};
use encoding_rs::Encoding;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::Path;

use crate::actions::transform::table::{Compression, Format};

/// Delimiters that are looked for, the likeliest first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// Records that are looked at for it.
const RECORDS: usize = 200;
/// Bytes of a sample that are looked at for it.
const SAMPLE: usize = 64 * 1024;
/// All records agree, in thousandths.
const ALL: usize = 1000;

/// What a name says: the format, and the delimiter where it says that too. Endings of packed files are passed over.
pub(super) fn by_name(name: &str) -> (Option<Format>, Option<u8>) {
    let mut path = Path::new(name);
    if Compression::by_extension(path.as_os_str()) != Compression::None {
        path = Path::new(path.file_stem().unwrap_or_default());
    }
    let extension = path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
    match extension.as_deref() {
        Some("csv") => (Some(Format::Csv), None),
        Some("tsv" | "tab") => (Some(Format::Csv), Some(b'\t')),
        Some("ndjson" | "jsonl") => (Some(Format::Ndjson), None),
        Some("json") => (Some(Format::Json), None),
        _ => (None, None),
    }
}

/// What the first characters of a text say: `[` before an object is an array, an object is the first of lines.
pub(super) fn by_content(text: &[u8]) -> Format {
    let mut marks = text.iter().filter(|b| !b.is_ascii_whitespace());
    match (marks.next(), marks.next()) {
        (Some(b'['), Some(b'{' | b']')) => Format::Json,
        (Some(b'{'), Some(b'"' | b'}')) => Format::Ndjson,
        _ => Format::Csv,
    }
}

/// Delimiter and quote of a text, as far as they are not known. `has_header`: its first record names the columns.
pub(super) fn detect(
    sample: &[u8],
    whole: bool,
    delimiter: Option<u8>,
    quote: Option<Option<u8>>,
    has_header: bool,
) -> (u8, Option<u8>) {
    let whole = whole && sample.len() <= SAMPLE;
    let sample = &sample[..sample.len().min(SAMPLE)];
    let best = |quote: Option<u8>| {
        let mut best = (delimiter.unwrap_or(DELIMITERS[0]), (0, 0));
        for candidate in delimiter.map_or(DELIMITERS.to_vec(), |d| vec![d]) {
            let found = agreement(sample, whole, candidate, quote, has_header);
            if found.1 > 1 && found > best.1 {
                best = (candidate, found);
            }
        }
        best
    };
    let (found, (agree, _)) = best(quote.unwrap_or(Some(b'"')));
    if quote.is_none() && agree < ALL && !sample.contains(&b'"') {
        let (other, (agree, _)) = best(Some(b'\''));
        if agree == ALL {
            return (other, Some(b'\''));
        }
    }
    (found, quote.unwrap_or(Some(b'"')))
}

/// How many of the first records, in thousandths, have as many fields as the header, or as most have; and how many
/// fields those are.
fn agreement(sample: &[u8], whole: bool, delimiter: u8, quote: Option<u8>, has_header: bool) -> (usize, usize) {
    let marks = Marks { delimiter: Some(delimiter), quote };
    let mut counts = Vec::with_capacity(RECORDS);
    let mut rest = sample;
    while counts.len() < RECORDS {
        let found = first(rest, marks, whole);
        match found.end {
            Some((_, end)) => {
                counts.push(found.fields);
                rest = &rest[end..];
            }
            None => {
                // Cut by the sample, or a quote that is never closed: it counts if there is nothing else to go by.
                if counts.is_empty() || (whole && found.open) {
                    counts.push(found.fields);
                }
                break;
            }
        }
    }
    let Some((&head, rows)) = counts.split_first() else { return (0, 0) };
    let (fields, rows) = if has_header && !rows.is_empty() { (head, rows) } else { (most(&counts), &counts[..]) };
    (rows.iter().filter(|n| **n == fields).count() * ALL / rows.len(), fields)
}

/// The commonest of some numbers, the largest of equals.
fn most(counts: &[usize]) -> usize {
    let mut times = HashMap::new();
    for n in counts {
        *times.entry(*n).or_insert(0) += 1;
    }
    times.into_iter().max_by_key(|(n, times)| (*times, *n)).map_or(0, |(n, _)| n)
}

/// A record as it stands in a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header<'a> {
    pub(super) label: &'a str,
    pub(super) raw: &'a [u8],
    pub(super) marks: Marks,
    pub(super) encoding: &'static Encoding,
    pub(super) line: u64,
    pub(super) byte: u64,
}

impl Header<'_> {
    /// The names of the columns.
    pub(super) fn names(&self) -> Result<Vec<String>, Failure> {
        let (decoded, fault) = encoding::decode(self.encoding, self.raw);
        if let Some(fault) = fault {
            let at = text::count(self.byte + fault.at as u64);
            let what = format!("byte 0x{:02x} at {at} is not valid {}", fault.byte, self.encoding.name());
            return Err(self.refuse("bad_encoding", None, &what, "a header that is not valid text"));
        }
        let mut reader = csv::ReaderBuilder::new();
        reader.has_headers(false).flexible(true).delimiter(self.marks.delimiter.unwrap_or(b','));
        match self.marks.quote {
            Some(quote) => reader.quote(quote),
            None => reader.quoting(false),
        };
        let record = reader.from_reader(decoded.as_bytes()).into_records().next();
        let Some(Ok(record)) = record else {
            return Err(self.refuse("bad_encoding", None, "the header cannot be read", "a header that cannot be read"));
        };
        let names: Vec<String> = record.iter().map(str::to_owned).collect();
        self.check(&names)?;
        Ok(names)
    }

    fn check(&self, names: &[String]) -> Result<(), Failure> {
        let mut seen = HashMap::with_capacity(names.len());
        for (i, name) in names.iter().enumerate() {
            let column = i + 1;
            if name.is_empty() {
                let what = format!("column {column} of {} has no name", names.len());
                return Err(self.refuse("header_empty", Some(column), &what, "a column without a name"));
            }
            if let Some(before) = seen.insert(name.as_str(), column) {
                let shown = text::cut(&text::escape(name), 60).into_owned();
                let what = format!("columns {before} and {column} have the same name: \"{shown}\"");
                return Err(self.refuse("header_duplicate", Some(column), &what, "two columns of the same name"));
            }
        }
        Ok(())
    }

    /// A failure about this record.
    pub(super) fn refuse(&self, code: &str, column: Option<usize>, what: &str, constant: &str) -> Failure {
        let place = Place { line: self.line, byte: self.byte, column };
        let raw = encoding::decode_lossy(self.encoding, &self.raw[..self.raw.len().min(4 * Failure::RAW_MAX)]);
        refuse_at(self.label, code, place, what, constant, &raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> (char, Option<char>) {
        let (delimiter, quote) = detect(text.as_bytes(), true, None, None, true);
        (char::from(delimiter), quote.map(char::from))
    }

    #[test]
    fn the_delimiter_is_the_one_that_records_agree_on() {
        let of = |text: &str| found(text).0;
        assert_eq!(of("id,value\n1,2\n"), ',');
        assert_eq!(of("a;b;c\n1,5;2,5;3\n"), ';');
        assert_eq!(of("a\tb\n1\t2\n"), '\t');
        assert_eq!(of("a|b\nx, y|z\n"), '|');
        assert_eq!(of("name;note\n\"a,b,c\";\"d\ne;f\"\n"), ';', "quotes hide delimiters");
        assert_eq!(of("a,b,c\n1,2,3\n1,2\n1,2,3\n"), ',', "one bad row does not mislead");
        assert_eq!(of("a,b;c\n1;2\n"), ';', "most agree");
        assert_eq!(of("name\nx\n"), ',', "a single column");
        assert_eq!(of("a;b"), ';', "a header alone");
        assert_eq!(of("\n\r\na;b\n\n1;2"), ';', "empty lines are none");
        let cut = |text: &str| char::from(detect(text.as_bytes(), false, None, None, true).0);
        assert_eq!(cut("a;b\n1;2\n1"), ';', "a sample may be cut");
        assert_eq!(cut(&format!("a;b;{}", "x".repeat(SAMPLE))), ';', "in its first record");
        let headless = detect(b"1;a\n2;b,c\n3;d,e\n4;f,g\n", true, None, None, false);
        assert_eq!(headless.0, b';');
    }

    #[test]
    fn a_single_quote_is_a_quote_only_if_nothing_else_fits() {
        assert_eq!(found("a,b\n'x,y',1\n'z',2\n"), (',', Some('\'')));
        assert_eq!(found("a,b\n'x',1\n'y',2\n"), (',', Some('"')), "it could be text");
        assert_eq!(found("a,b\n'x,y',1\n\"z\",2\n"), (',', Some('"')));
        assert_eq!(found("a,b\n'tis,1\n'twas,2\n"), (',', Some('"')));
        let declared = detect(b"a,b\n'x,y',1\n", true, None, Some(None), true);
        assert_eq!(declared, (b',', None));
        assert_eq!(detect(b"a,b;c\n1,2;3\n1,2;3\n", true, Some(b';'), None, true).0, b';');
    }

    #[test]
    fn names_and_contents_tell_formats() {
        assert_eq!(by_name("a.csv.gz"), (Some(Format::Csv), None));
        assert_eq!(by_name("a.TSV"), (Some(Format::Csv), Some(b'\t')));
        assert_eq!(by_name("a.b.jsonl.zst").0, Some(Format::Ndjson));
        assert_eq!(by_name("a.json").0, Some(Format::Json));
        assert_eq!((by_name("a.txt"), by_name("a"), by_name(".gz")), ((None, None), (None, None), (None, None)));
        assert_eq!(by_content(b" [\n{"), Format::Json);
        assert_eq!(by_content(b"{\"a\":1}"), Format::Ndjson);
        assert_eq!(by_content(b"[a],b\n"), Format::Csv);
        assert_eq!(by_content(b""), Format::Csv);
    }

    fn names(raw: &[u8], encoding: &'static Encoding) -> Result<Vec<String>, Failure> {
        let marks = Marks { delimiter: Some(b','), quote: Some(b'"') };
        Header { label: "/inbox/a.csv", raw, marks, encoding, line: 3, byte: 7 }.names()
    }

    #[test]
    fn names_are_those_of_the_file() {
        use encoding_rs::{EUC_KR, UTF_8};
        assert_eq!(names(b"id,\" a \"\"b\"\"\n\", x", UTF_8).unwrap(), ["id", " a \"b\"\n", " x"]);
        assert_eq!(names(&EUC_KR.encode("이름,나이").0, EUC_KR).unwrap(), ["이름", "나이"]);
        let failure = names(b"id,\"x\",a,x", UTF_8).unwrap_err();
        assert_eq!(failure.message, "line 3, byte 7: columns 2 and 4 have the same name: \"x\"");
        assert_eq!((failure.code.as_str(), failure.line, failure.column), ("header_duplicate", Some(3), Some(4)));
        let failure = names(b"id,,x", UTF_8).unwrap_err();
        assert_eq!(failure.message, "line 3, byte 7: column 2 of 3 has no name");
        assert_eq!(
            (failure.code.as_str(), failure.column, failure.raw.as_deref()),
            ("header_empty", Some(2), Some("id,,x"))
        );
        let failure = names(b"id,\xff", UTF_8).unwrap_err();
        assert_eq!(failure.message, "line 3, byte 7: byte 0xff at 10 is not valid UTF-8");
    }
}

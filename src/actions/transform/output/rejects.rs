//! The rejects: the rows that were not processed, in a form to mend and to feed again.
//!
//! A file of rejects has the columns of the input, with the fields as they stood, and behind them six of its own that
//! say where a row was and what is wrong with it. Who mends the fields can drop the file in again as it is: the reader
//! knows it by its last columns ([`is_rejects`]) and leaves them out. So it is written with the delimiter and the quote
//! of the input.
//!
//! A row that does not fall into the fields of the header has empty fields and its text in `_raw`. Fed again like that
//! it is no row without values but one that nobody mended ([`is_unmended`]), so nothing slips through.
//!
//! The bytes that no text has are U+FFFD, and so are NUL bytes: with one of those the whole file would count as binary.

use crate::actions::transform::chunk::BadRow;
use crate::actions::transform::table::Dialect;
use std::borrow::Cow;

/// The columns behind those of the input: the file a row was in, its first line, where it starts, the column at fault
/// (by name, or by number where it has none), what is wrong, and the record as it stood.
pub const OWN: [&str; 6] = ["_file", "_line", "_byte", "_column", "_reason", "_raw"];

/// Writes rejects.
#[derive(Clone, Debug)]
pub struct Rejects {
    /// Names of the columns of the input.
    columns: Vec<String>,
    delimiter: u8,
    quote: Option<u8>,
}

impl Rejects {
    /// Rejects of an input with these columns, in this dialect.
    #[must_use]
    pub fn new(columns: Vec<String>, dialect: &Dialect) -> Self {
        Self { columns, delimiter: dialect.delimiter, quote: dialect.quote }
    }

    /// Writes the line that names the columns.
    pub fn header(&self, out: &mut Vec<u8>) {
        self.line(self.columns.iter().map(String::as_str), OWN, out);
    }

    /// Writes a row. `file`: the name of the file it was in.
    pub fn write(&self, bad: &BadRow, file: &str, out: &mut Vec<u8>) {
        let fields = if bad.fields.len() == self.columns.len() { bad.fields.as_slice() } else { &[] };
        let fields = (0..self.columns.len()).map(|i| fields.get(i).map_or("", String::as_str));
        let column = bad.column.map(|n| {
            let name = n.checked_sub(1).and_then(|i| self.columns.get(i));
            name.cloned().unwrap_or_else(|| n.to_string())
        });
        let (line, byte) = (bad.line.to_string(), bad.byte.to_string());
        self.line(fields, [file, &line, &byte, column.as_deref().unwrap_or_default(), &bad.reason, &bad.raw], out);
    }

    fn line<'a>(&self, fields: impl Iterator<Item = &'a str>, own: [&'a str; OWN.len()], out: &mut Vec<u8>) {
        for (i, field) in fields.chain(own).enumerate() {
            if i > 0 {
                out.push(self.delimiter);
            }
            self.field(field, out);
        }
        out.push(b'\n');
    }

    fn field(&self, text: &str, out: &mut Vec<u8>) {
        let text = match text.contains('\0') {
            true => Cow::Owned(text.replace('\0', "\u{fffd}")),
            false => Cow::Borrowed(text),
        };
        let bytes = text.as_bytes();
        let breaks = |b: u8| b == self.delimiter || b == b'\n' || b == b'\r';
        let Some(quote) = self.quote else {
            // Without quotes there is no way to write these. A field of the input holds none then.
            out.extend(bytes.iter().map(|b| if breaks(*b) { b' ' } else { *b }));
            return;
        };
        if !bytes.iter().any(|b| breaks(*b) || *b == quote) {
            out.extend_from_slice(bytes);
            return;
        }
        out.push(quote);
        for byte in bytes {
            if *byte == quote {
                out.push(quote);
            }
            out.push(*byte);
        }
        out.push(quote);
    }
}

/// Whether a header is that of rejects, and if so, how many of its columns are those of the input.
#[must_use]
pub fn is_rejects(header: &[String]) -> Option<usize> {
    let data = header.len().checked_sub(OWN.len())?;
    (header[data..] == OWN).then_some(data)
}

/// Whether a record of rejects, of which the first `data` fields are those of the input, is still as it was written for
/// a row that does not fall into fields. It is a bad row again.
#[must_use]
pub fn is_unmended<T: AsRef<str>>(record: &[T], data: usize) -> bool {
    let raw = record.get(data + OWN.len() - 1).map_or("", T::as_ref);
    !raw.is_empty() && record.iter().take(data).all(|field| field.as_ref().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::transform::table::Format;
    use proptest::prelude::*;

    fn dialect(delimiter: u8, quote: Option<u8>) -> Dialect {
        Dialect { format: Format::Csv, delimiter, quote, encoding: encoding_rs::UTF_8, header: true }
    }

    fn rejects(delimiter: u8, quote: Option<u8>) -> Rejects {
        Rejects::new(vec!["id".into(), "note".into()], &dialect(delimiter, quote))
    }

    fn bad(fields: &[&str], raw: &str) -> BadRow {
        BadRow {
            line: 7,
            byte: 120,
            column: Some(1),
            reason: "not a whole number: \"x1\"".into(),
            constant: "not a whole number".into(),
            raw: raw.into(),
            fields: fields.iter().map(|f| (*f).to_owned()).collect(),
        }
    }

    fn written(rejects: &Rejects, rows: &[BadRow]) -> String {
        let mut out = Vec::new();
        rejects.header(&mut out);
        for row in rows {
            rejects.write(row, "a.csv", &mut out);
        }
        String::from_utf8(out).unwrap()
    }

    /// Header and records, as the csv crate reads them.
    fn read(text: &str, delimiter: u8, quote: Option<u8>) -> Vec<Vec<String>> {
        let mut builder = csv::ReaderBuilder::new();
        builder.has_headers(false).delimiter(delimiter).quoting(quote.is_some()).quote(quote.unwrap_or(b'"'));
        let records = builder.from_reader(text.as_bytes()).into_records();
        records.map(|r| r.unwrap().iter().map(str::to_owned).collect()).collect()
    }

    #[test]
    fn a_row_stands_with_its_place_and_its_reason() {
        let mut far = bad(&["1", "a", "b"], "1,a,b");
        far.column = Some(3);
        let text = written(&rejects(b',', Some(b'"')), &[bad(&["x1", "say \"hi\""], "x1,\"say \"\"hi\"\"\""), far]);
        let want = "id,note,_file,_line,_byte,_column,_reason,_raw\n\
            x1,\"say \"\"hi\"\"\",a.csv,7,120,id,\"not a whole number: \"\"x1\"\"\",\"x1,\"\"say \"\"\"\"hi\"\"\"\"\"\"\"\n\
            ,,a.csv,7,120,3,\"not a whole number: \"\"x1\"\"\",\"1,a,b\"\n";
        assert_eq!(text, want);
    }

    #[test]
    fn what_is_mended_is_read_back() {
        let text =
            written(&rejects(b';', Some(b'"')), &[bad(&["x1", "two\nlines; \"and\" more"], "raw"), bad(&[], "1;2;3")]);
        let mended = text.replacen("x1", "11", 1);
        let records = read(&mended, b';', Some(b'"'));
        let data = is_rejects(&records[0]).unwrap();
        assert_eq!(records[0][..data], ["id", "note"]);
        assert_eq!(records[1][..data], ["11", "two\nlines; \"and\" more"]);
        assert!(!is_unmended(&records[1], data));
        // The second row is as it was: two empty fields, but not a row of nothing.
        assert_eq!(records[2][..data], ["", ""]);
        assert!(is_unmended(&records[2], data));
        assert_eq!(records[2][data + 5], "1;2;3");
    }

    #[test]
    fn only_a_header_of_rejects_is_taken_for_one() {
        let names = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(is_rejects(&names("a,b,_file,_line,_byte,_column,_reason,_raw")), Some(2));
        assert_eq!(is_rejects(&names("_file,_line,_byte,_column,_reason,_raw")), Some(0));
        assert_eq!(is_rejects(&names("a,_line,_file,_byte,_column,_reason,_raw")), None);
        assert_eq!(is_rejects(&names("a,_file,_line,_byte,_column,_reason,_raw,b")), None);
        assert_eq!(is_rejects(&names("a,b")), None);
    }

    #[test]
    fn without_quotes_every_row_is_still_one_line() {
        let text = written(&rejects(b'\t', None), &[bad(&["\"x", "a b"], "\"x\ta b\r\n")]);
        let want = "\"x\ta b\ta.csv\t7\t120\tid\tnot a whole number: \"x1\"\t\"x a b  \n";
        assert_eq!(text.split_once('\n').unwrap().1, want);
    }

    #[test]
    fn nul_bytes_do_not_make_the_file_binary() {
        let text = written(&rejects(b',', Some(b'"')), &[bad(&["1", "a\0b"], "1,a\0b")]);
        assert!(!text.contains('\0') && text.contains("1,a\u{fffd}b,a.csv"), "{text}");
    }

    proptest! {
        #[test]
        fn any_row_comes_back(
            fields in prop::collection::vec("(?s)[,;'\"\r\n\ta-c가]{0,12}", 2),
            raw in "(?s)[,'\"\r\na]{0,12}",
            single: bool,
        ) {
            let (delimiter, quote) = if single { (b';', b'\'') } else { (b',', b'"') };
            let text = written(&rejects(delimiter, Some(quote)), &[bad(&[&fields[0], &fields[1]], &raw)]);
            let records = read(&text, delimiter, Some(quote));
            prop_assert_eq!(records.len(), 2);
            prop_assert_eq!(&records[1][..2], &fields[..]);
            prop_assert_eq!(&records[1][7], &raw);
        }
    }
}

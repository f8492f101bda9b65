//! Chunks of every kind, and what becomes of them; any text against the `csv` crate.

use super::*;
use crate::actions::transform::chunk::{BadRow, Chunk};
use crate::actions::transform::table::{Column, Format};
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use encoding_rs::{EUC_KR, Encoding, SHIFT_JIS, UTF_8, WINDOWS_1252};
use proptest::prelude::*;

const CSV: Dialect = Dialect { format: Format::Csv, delimiter: b',', quote: Some(b'"'), encoding: UTF_8, header: true };
const NDJSON: Dialect = Dialect { format: Format::Ndjson, ..CSV };

/// A layout of columns written `name:type`, all of them wanted.
fn layout(columns: &str) -> Layout {
    let columns: Vec<_> = columns
        .split_whitespace()
        .map(|column| {
            let (name, kind) = column.split_once(':').unwrap();
            Column { name: name.to_owned(), kind: column_type(kind).unwrap() }
        })
        .collect();
    Layout {
        dialect: CSV,
        spelling: Spelling::default(),
        ragged: Ragged::Bad,
        on_bad_row: OnBadRow::Fail,
        fields: columns.len(),
        wanted: (0..columns.len()).collect(),
        required: Vec::new(),
        validate_all: false,
        file_names: vec!["a.csv".into(), "b.csv".into()],
        table: Table { columns },
    }
}

fn chunk(bytes: impl AsRef<[u8]>) -> Chunk {
    Chunk { seq: 0, file: 0, bytes: bytes.as_ref().to_vec(), line: 2, byte: 100 }
}

/// A batch as texts, NULL as `-`.
fn texts(batch: &RecordBatch) -> Vec<Vec<String>> {
    let cell = |array: &dyn Array, row: usize| {
        if array.is_null(row) {
            return "-".to_owned();
        }
        match array.data_type() {
            DataType::Boolean => array.as_boolean().value(row).to_string(),
            DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
            DataType::Float64 => array.as_primitive::<Float64Type>().value(row).to_string(),
            DataType::Decimal128(..) => array.as_primitive::<Decimal128Type>().value_as_string(row),
            DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
            DataType::Date32 => array.as_primitive::<Date32Type>().value_as_date(row).unwrap().to_string(),
            _ => array.as_primitive::<TimestampMicrosecondType>().value_as_datetime(row).unwrap().to_string(),
        }
    };
    (0..batch.num_rows()).map(|row| batch.columns().iter().map(|array| cell(array, row)).collect()).collect()
}

/// All batches and bad rows of a chunk.
fn read(layout: &Layout, chunk: &Chunk) -> (Vec<Vec<String>>, Vec<BadRow>) {
    let mut parser = Parser::new(layout);
    let (mut rows, mut bad, mut from) = (Vec::new(), Vec::new(), Some(0));
    while let Some(at) = from {
        let parsed = parser.parse(chunk, at);
        assert_eq!(usize::try_from(parsed.rows()).unwrap(), parsed.batch().num_rows() + parsed.bad_count());
        assert_eq!(parsed.bad_rows().count(), parsed.bad_count());
        rows.extend(texts(parsed.batch()));
        bad.extend(parsed.bad_rows());
        from = parsed.rest();
    }
    (rows, bad)
}

fn good(layout: &Layout, bytes: impl AsRef<[u8]>) -> Vec<String> {
    let (rows, bad) = read(layout, &chunk(bytes));
    assert_eq!(bad, []);
    rows.iter().map(|row| row.join("|")).collect()
}

/// Line, byte, column and reason of every bad row.
fn bad(layout: &Layout, bytes: impl AsRef<[u8]>) -> Vec<(u64, u64, Option<usize>, String)> {
    let (_, bad) = read(layout, &chunk(bytes));
    bad.into_iter().map(|b| (b.line, b.byte, b.column, b.reason)).collect()
}

fn reasons(layout: &Layout, bytes: impl AsRef<[u8]>) -> Vec<String> {
    bad(layout, bytes).into_iter().map(|b| b.3).collect()
}

#[test]
fn every_type_is_read() {
    let layout = layout("b:bool i:int f:float d:decimal(6,2) t:text day:date at:timestamp");
    let rows = good(
        &layout,
        "true,1,1.5,2.5,x,2026-01-31,2026-01-31T12:00\n\
         FALSE,-9223372036854775808,-1e3,-9999.99,\"a,\"\"b\"\"\",1969-12-31,1969-12-31 23:59:59.5Z\n\
         ,,,,,,\n\
         true,007,0,0,\"\",0001-01-01,2026-01-31T12:00:00+09:00",
    );
    assert_eq!(
        rows,
        [
            "true|1|1.5|2.50|x|2026-01-31|2026-01-31 12:00:00",
            "false|-9223372036854775808|-1000|-9999.99|a,\"b\"|1969-12-31|1969-12-31 23:59:59.500",
            "-|-|-|-|-|-|-",
            "true|7|0|0.00||0001-01-01|2026-01-31 03:00:00",
        ]
    );
}

#[test]
fn a_bad_row_is_named_by_place_column_reason_and_text() {
    let layout = layout("id:int value:float note:text");
    let bytes = "1,1.5,a\n\n12x,2,\"b\nc\"\n3,x,d\r\n4,4\n5,5,e\n6,\"6\",\"f";
    let (rows, bad) = read(&layout, &chunk(bytes));
    assert_eq!(rows.concat(), ["1", "1.5", "a", "5", "5", "e"]);
    let row = |line, byte, column, reason: &str, constant: &str, raw: &str, fields: &[&str]| BadRow {
        line,
        byte,
        column,
        reason: reason.into(),
        constant: constant.into(),
        raw: raw.into(),
        fields: fields.iter().map(|f| (*f).to_owned()).collect(),
    };
    let count = "rows with another number of fields than the header";
    assert_eq!(
        bad,
        [
            row(
                4,
                109,
                Some(1),
                "not a whole number: \"12x\"",
                "not a whole number",
                "12x,2,\"b\nc\"",
                &["12x", "2", "b\nc"]
            ),
            row(6, 121, Some(2), "not a number: \"x\"", "not a number", "3,x,d", &["3", "x", "d"]),
            row(7, 128, Some(3), "2 fields, the header has 3", count, "4,4", &[]),
            row(
                9,
                138,
                Some(3),
                "the quote that opens column 3 is never closed",
                "a quote that is never closed",
                "6,\"6\",\"f",
                &[]
            ),
        ]
    );
}

#[test]
fn the_first_column_at_fault_is_named() {
    let layout = layout("a:int b:int c:int");
    assert_eq!(
        bad(&layout, "1,x,y\nx,2,y\n"),
        [(2, 100, Some(2), "not a whole number: \"x\"".into()), (3, 106, Some(1), "not a whole number: \"x\"".into()),]
    );
}

#[test]
fn reasons_say_what_is_wrong() {
    assert_eq!(
        reasons(&layout("a:int"), "99999999999999999999\n+1\n1.0\n 1\n"),
        [
            "a whole number of more than 64 bits: \"99999999999999999999\"",
            "not a whole number: \"+1\"",
            "not a whole number: \"1.0\"",
            "not a whole number: \" 1\"",
        ]
    );
    assert_eq!(
        reasons(&layout("a:float"), "1e999\n1.2.3\n"),
        ["a number too large for a float: \"1e999\"", "not a number: \"1.2.3\"",]
    );
    assert_eq!(
        reasons(&layout("a:decimal(4,2)"), "1.234\n123\n1e2\n"),
        [
            "more than 2 decimal places: \"1.234\"",
            "too large for decimal(4,2): \"123\"",
            "not a decimal number: \"1e2\"",
        ]
    );
    assert_eq!(reasons(&layout("a:date"), "2026-02-29\n"), ["not a date: \"2026-02-29\""]);
    assert_eq!(reasons(&layout("a:timestamp"), "2026-02-28\n"), ["not a timestamp: \"2026-02-28\""]);
    assert_eq!(reasons(&layout("a:bool"), "yes\n"), ["not true or false: \"yes\""]);
}

#[test]
fn no_value_is_an_unquoted_null() {
    let mut layout = layout("a:text b:int");
    layout.spelling.nulls = vec!["NA".into(), "없음".into(), "-1".into()];
    assert_eq!(good(&layout, "NA,1\n\"NA\",-1\n없음,2\n\"\",3\n,4\n"), ["-|1", "NA|-", "-|2", "|3", "|4"]);
    layout.dialect.encoding = EUC_KR;
    assert_eq!(good(&layout, EUC_KR.encode("없음,1\n\"없음\",2\n").0), ["-|1", "없음|2"]);
}

#[test]
fn a_required_column_has_a_value_in_every_row() {
    let mut layout = layout("a:int b:text c:text");
    layout.required = vec![1, 0];
    layout.wanted = vec![2];
    let expected = [(2, 100, Some(2), "no value, and the column is required".into())];
    assert_eq!(bad(&layout, "1,,x\n2,y,z\n3,\"\",z\n"), expected);
    layout.on_bad_row = OnBadRow::Null;
    assert_eq!(bad(&layout, "x,y,z\n"), [(2, 100, Some(1), "not a whole number: \"x\"".into())]);
}

#[test]
fn only_what_is_asked_for_is_checked() {
    let mut layout = layout("a:int b:int");
    layout.wanted = vec![1];
    assert_eq!(good(&layout, "x,1\n"), ["1"]);
    layout.validate_all = true;
    assert_eq!(reasons(&layout, "x,1\n"), ["not a whole number: \"x\""]);
    layout.wanted = Vec::new();
    layout.validate_all = false;
    let chunk = chunk("x,1\ny\nz,3\n");
    let mut parser = Parser::new(&layout);
    let parsed = parser.parse(&chunk, 0);
    assert_eq!((parsed.batch().num_rows(), parsed.batch().num_columns(), parsed.rows()), (2, 0, 3));
}

#[test]
fn what_cannot_be_read_may_become_null() {
    let mut layout = layout("a:int b:text");
    layout.on_bad_row = OnBadRow::Null;
    assert_eq!(good(&layout, b"x,y\n1,\xff\n2,a\0b\n3,c\n"), ["-|y", "1|-", "2|-", "3|c"]);
    assert_eq!(reasons(&layout, "1\n"), ["1 field, the header has 2"]);
}

#[test]
fn ragged_rows_follow_the_policy() {
    let mut layout = layout("a:int b:text c:text");
    let text = "1\n2,x\n3,x,y\n4,x,y,z\n";
    assert_eq!(
        reasons(&layout, text),
        ["1 field, the header has 3", "2 fields, the header has 3", "4 fields, the header has 3"]
    );
    layout.ragged = Ragged::Pad;
    assert_eq!(reasons(&layout, text), ["4 fields, the header has 3"]);
    layout.ragged = Ragged::Fit;
    assert_eq!(good(&layout, text), ["1|-|-", "2|x|-", "3|x|y", "4|x|y"]);
}

#[test]
fn surplus_fields_of_a_rejects_file_are_passed_over() {
    let mut layout = layout("a:int b:text");
    layout.fields = 4;
    let (rows, bad) = read(&layout, &chunk(b"1,x,reason,\xe2\x82\nx,y,reason,raw\n2,y\n"));
    assert_eq!(rows, [["1", "x"]]);
    assert_eq!(bad[0].fields, ["x", "y"]);
    assert_eq!(bad[1].reason, "2 fields, the header has 4");
}

#[test]
fn malformed_bytes_are_named_by_their_place() {
    let layout = layout("a:int b:text c:text");
    let bytes = b"1,\xea\xb0\x80,x\n2,ok,\xffy\n3,\xea\xb0,z\n4,\"\"\"\xc3\",z\nx,\xff,\n5,,a\0b\n";
    assert_eq!(
        bad(&layout, bytes),
        [
            (3, 108, Some(3), "byte 0xff at 113 is not valid UTF-8".into()),
            (4, 116, Some(2), "byte 0xea at 118 is not valid UTF-8".into()),
            (5, 123, Some(2), "byte 0xc3 at 128 is not valid UTF-8".into()),
            (6, 133, Some(1), "not a whole number: \"x\"".into()),
            (7, 138, Some(3), "a NUL byte at 142".into()),
        ]
    );
}

#[test]
fn legacy_encodings_are_decoded_and_keep_their_places() {
    for (encoding, text) in [(EUC_KR, "똠방각하 한글"), (SHIFT_JIS, "表示ソ能"), (WINDOWS_1252, "Köln €")]
    {
        let mut layout = layout("id:int name:text other:text");
        layout.dialect.encoding = encoding;
        let whole = format!("1,{text},\"{text}\"\n2,plain,\"{text}\"\"{text}\"\n");
        let encoded = encoding.encode(&whole).0;
        assert_eq!(good(&layout, &encoded), [format!("1|{text}|{text}"), format!("2|plain|{text}\"{text}")]);
        let mut bytes = encoded.into_owned();
        let start = bytes.len();
        bytes.extend_from_slice(b"x,");
        bytes.extend_from_slice(&encoding.encode(text).0);
        bytes.extend_from_slice(b",\n");
        let (_, bad) = read(&layout, &chunk(&bytes));
        assert_eq!((bad[0].byte, bad[0].line), (100 + start as u64, 4));
        assert_eq!(bad[0].fields, ["x", text, ""]);
    }
    let mut layout = layout("id:int name:text other:text");
    layout.dialect.encoding = EUC_KR;
    let malformed = b"1,\xb0\xa1,\xb0\xa1\n2,\xb0\xa1\xb0,x\n3,x,\"\"\"\xb0\"\n";
    let expected = [
        (3, 108, Some(2), "byte 0xb0 at 112 is not valid EUC-KR".to_owned()),
        (4, 116, Some(3), "byte 0xb0 at 123 is not valid EUC-KR".to_owned()),
    ];
    assert_eq!(bad(&layout, malformed), expected);
    layout.wanted = vec![0];
    assert_eq!(bad(&layout, malformed), expected, "also where nobody wants the column");
}

#[test]
fn the_file_and_the_line_are_columns() {
    let mut layout = layout("a:int");
    layout.wanted = vec![0, 1, 2];
    let mut two = chunk("1\n2\n3\n");
    two.file = 1;
    assert_eq!(read(&layout, &two).0.concat().join(" "), "1 b.csv 2 2 b.csv 3 3 b.csv 4");
    let (rows, bad) = read(&layout, &chunk("1\r\n\r\nx\r\n\"4\"\r5\n\n6"));
    assert_eq!(rows.concat().join(" "), "1 a.csv 2 4 a.csv 5 5 a.csv 6 6 a.csv 8");
    assert_eq!(bad[0].line, 4);
    layout.wanted = vec![2];
    assert_eq!(read(&layout, &chunk("1\nx\n3\n")).0, [["2"], ["3"], ["4"]], "the type of a column not wanted");
    layout.wanted = vec![0, 2];
    assert_eq!(read(&layout, &chunk("1\nx\n3\n")).0, [["1", "2"], ["3", "4"]]);
}

#[test]
fn a_later_check_names_its_row() {
    let layout = layout("a:int b:text");
    let chunk = chunk("1,x\n?,y\n\n3,\"z\"\n");
    let mut parser = Parser::new(&layout);
    let parsed = parser.parse(&chunk, 0);
    assert_eq!(parsed.place(1), (5, 109));
    let row = parsed.bad_row(1, Some(0), "a < 3: \"3\"".into(), "a < 3".into());
    assert_eq!((row.line, row.byte, row.column, row.raw.as_str()), (5, 109, Some(1), "3,\"z\""));
    assert_eq!(row.fields, ["3", "z"]);
}

#[test]
fn objects_are_rows() {
    let mut layout = layout("id:int name:text ok:bool at:timestamp");
    layout.dialect = NDJSON;
    layout.spelling.nulls = vec!["x".into(), "7".into()];
    let text = "{\"id\":1,\"name\":\"x\",\"ok\":true,\"at\":\"2026-01-31T12:00:00Z\"}\n\n\
                {\"name\":{\"a\":[1, \"\\n\"]},\"id\":7,\"more\":null}\r\n\
                {\"id\":\"3\",\"name\":\"\\u00e9\\n\",\"ok\":null}";
    assert_eq!(good(&layout, text), ["1|x|true|2026-01-31 12:00:00", "7|{\"a\":[1, \"\\n\"]}|-|-", "3|é\n|-|-"]);
    let (_, bad) = read(&layout, &chunk("{\"id\":1.0,\"name\":\"a\\tb\"}\n[]\n{\"id\":1,}\n"));
    let bad: Vec<_> = bad.into_iter().map(|b| (b.line, b.byte, b.column, b.reason, b.raw, b.fields)).collect();
    let fields = ["1.0", "a\tb", "", ""].map(str::to_owned).to_vec();
    assert_eq!(
        bad,
        [
            (2, 100, Some(1), "not a whole number: \"1.0\"".into(), "{\"id\":1.0,\"name\":\"a\\tb\"}".into(), fields),
            (
                3,
                125,
                None,
                "not a JSON object, at byte 1 of the line: an object is expected".into(),
                "[]".into(),
                vec![]
            ),
            (
                4,
                128,
                None,
                "not a JSON object, at byte 9 of the line: a key in quotes is expected".into(),
                "{\"id\":1,}".into(),
                vec![]
            ),
        ]
    );
    assert_eq!(reasons(&layout, b"{\"name\":\"\xff\"}"), ["byte 0xff at 109 is not valid UTF-8"]);
}

#[test]
fn a_table_may_have_no_columns() {
    let mut layout = layout("");
    layout.dialect = NDJSON;
    let (rows, bad) = read(&layout, &chunk(b"{}\n{\"a\":\"\xff\"}\n1\n"));
    assert_eq!((rows.len(), bad.len()), (2, 1));
}

#[test]
fn padding_makes_several_batches_of_a_chunk() {
    let names: Vec<_> = (0..1000).map(|i| format!("c{i}:text")).collect();
    let mut layout = layout(&names.join(" "));
    (layout.ragged, layout.wanted) = (Ragged::Pad, vec![0, 1001]);
    let chunk = chunk("a\n".repeat(4000));
    let mut parser = Parser::new(&layout);
    let first = parser.parse(&chunk, 0);
    let rest = first.rest().unwrap();
    assert!(first.batch().num_rows() < CELLS_MAX / 1000 + 100, "{}", first.batch().num_rows());
    let second = parser.parse(&chunk, rest);
    assert_eq!((first.rows() + second.rows(), second.rest()), (4000, None));
    assert_eq!(second.place(0), (2 + first.rows(), 100 + 2 * first.rows()));
    let line = second.batch().column(1).as_primitive::<Int64Type>().value(0);
    assert_eq!(line.cast_unsigned(), 2 + first.rows());
}

#[test]
fn quotes_around_everything_change_only_texts() {
    let layout = layout("a:int b:text c:date");
    let chunk = chunk("\"1\",\"\",\"2026-01-31\"\n\"\",\"x\",\"\"\n");
    let (rows, bad) = read(&layout, &chunk);
    assert!(bad.is_empty(), "{bad:?}");
    assert_eq!(rows, [["1", "", "2026-01-31"], ["-", "x", "-"]]);
}

#[test]
fn parsers_and_what_they_read_may_cross_threads() {
    fn check<T: Send>() {}
    check::<Parser<'static>>();
    check::<Parsed<'static>>();
}

#[test]
fn a_very_long_record_is_shown_in_part() {
    let layout = layout("a:int b:text");
    let (_, bad) = read(&layout, &chunk(format!("x,{}\n", "가".repeat(100_000))));
    assert!(bad[0].raw.len() <= BadRow::RAW_MAX && bad[0].raw.len() > BadRow::RAW_MAX - 4);
    assert!(bad[0].raw.ends_with('가'));
}

/// Rows as the `csv` crate reads them and Rust reads numbers.
fn expected(bytes: &[u8], ragged: Ragged) -> (Vec<[String; 2]>, usize) {
    let mut reader = csv::ReaderBuilder::new();
    let reader = reader.has_headers(false).flexible(true).from_reader(bytes);
    let (mut rows, mut bad) = (Vec::new(), 0);
    for record in reader.into_byte_records() {
        let record = record.unwrap();
        let fields: Vec<_> = record.iter().collect();
        let fits = match ragged {
            Ragged::Bad => fields.len() == 2,
            Ragged::Pad => fields.len() <= 2,
            Ragged::Fit => true,
        };
        let number = std::str::from_utf8(fields[0]).ok().filter(|t| !t.starts_with('+'));
        let number = number.and_then(|t| Some(t.parse::<i64>().ok()?.to_string()));
        let text = fields.get(1).map_or(Some("-".to_owned()), |f| std::str::from_utf8(f).ok().map(str::to_owned));
        match (number, text) {
            (Some(number), Some(text)) if fits && !text.contains('\0') => rows.push([number, text]),
            _ => bad += 1,
        }
    }
    (rows, bad)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn every_record_is_a_row_or_a_bad_row(
        records in prop::collection::vec("(-?[0-9]{1,18}|[0-9]x|\"[0-9]{1,3}\"|)(,(a{0,20}|\"[ab,\n\r가]{0,20}(\"\")?[a,]{0,3}\"x?|가{1,3}|é))?(,b)?", 0..20),
        ends in prop::collection::vec(prop::sample::select(vec!["\n", "\r\n", "\r", "\n\n"]), 20),
        damage in prop::option::of((0_usize..200, prop::sample::select(vec![0_u8, 0xff, b'"', b'\n', b',']))),
        ragged in prop::sample::select(vec![Ragged::Bad, Ragged::Pad, Ragged::Fit])
    ) {
        let mut bytes: Vec<u8> = records.iter().zip(&ends).flat_map(|(r, e)| [r.as_bytes(), e.as_bytes()].concat()).collect();
        if let Some((at, byte)) = damage && let Some(b) = bytes.get_mut(at) {
            *b = byte;
        }
        let mut layout = layout("a:int b:text");
        layout.ragged = ragged;
        // The crate cannot tell an empty field in quotes from one without: neither means "no value" here.
        layout.spelling.nulls.clear();
        let chunk = chunk(&bytes);
        let (rows, bad) = read(&layout, &chunk);
        let is_open = bad.last().is_some_and(|b| b.constant == "a quote that is never closed");
        let (mut expected, mut expected_bad) = expected(&bytes, ragged);
        if is_open {
            // The crate takes an open quote for one that ends with the file.
            let opened = bad.last().map_or(0, |b| usize::try_from(b.byte).unwrap() - 100);
            (expected, expected_bad) = self::expected(&bytes[..opened], ragged);
            expected_bad += 1;
        }
        prop_assert_eq!(rows.len() + bad.len(), expected.len() + expected_bad);
        prop_assert_eq!(rows, expected);
        for row in &bad {
            let at = usize::try_from(row.byte).unwrap() - 100;
            prop_assert!(at == 0 || matches!(bytes[at - 1], b'\n' | b'\r'), "byte {}", at);
            let before = String::from_utf8_lossy(&bytes[..at]).replace("\r\n", "\n").replace('\r', "\n");
            prop_assert_eq!(row.line, 2 + before.matches('\n').count() as u64);
        }
    }

    #[test]
    fn no_bytes_are_too_odd(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        encoding in prop::sample::select(vec![UTF_8, EUC_KR, SHIFT_JIS, WINDOWS_1252]),
        delimiter in any::<u8>(), quote in prop::option::of(any::<u8>()), is_json in any::<bool>(),
        on_bad_row in prop::sample::select(vec![OnBadRow::Fail, OnBadRow::Null])
    ) {
        let mut layout = layout("a:text b:float c:timestamp");
        let format = if is_json { Format::Ndjson } else { Format::Csv };
        let encoding: &'static Encoding = encoding;
        layout.dialect = Dialect { format, delimiter, quote, encoding, header: true };
        (layout.on_bad_row, layout.ragged) = (on_bad_row, Ragged::Fit);
        layout.wanted = vec![0, 1, 2, 3, 4];
        read(&layout, &chunk(&bytes));
        let _ = infer(&bytes, None, 3, &layout.dialect, &layout.spelling, &[]);
    }
}

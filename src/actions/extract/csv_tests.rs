//! CSV files through the action.

use super::source::CHUNK;
use super::tests::{desk, run};
use super::{Extract, Unsupported};
use crate::model::{Detail, Failure, FailureClass};
use encoding_rs::{EUC_KR, Encoding, SHIFT_JIS};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Sidecar and normalised copy of a file that passes.
fn pass(raw: &[u8]) -> (Value, String) {
    let desk = desk();
    run(&desk, Extract::default(), "a.csv", raw).unwrap();
    (desk.json("a.csv.json"), String::from_utf8(desk.bytes("a.csv.normalised.csv")).unwrap())
}

/// The failure of a file that does not.
fn fail(raw: &[u8]) -> Failure {
    let failure = run(&desk(), Extract::default(), "a.csv", raw).unwrap_err();
    assert_eq!(failure.file.as_deref(), Some("/inbox/a.csv"));
    failure
}

fn encode(text: &str, encoding: &'static Encoding) -> Vec<u8> {
    let (raw, _, unmappable) = encoding.encode(text);
    assert!(!unmappable);
    raw.into_owned()
}

fn utf16(text: &str) -> Vec<u8> {
    "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

#[test]
fn a_good_file_has_a_sidecar_and_a_copy() {
    let desk = desk();
    let raw = encode("번호,이름\r\n1,김철수\r\n2,\"이, 영희\"\r\n", EUC_KR);
    let report = run(&desk, Extract::default(), "명단.csv", &raw).unwrap();
    assert_eq!((report.rows, report.note.as_deref()), (Some(2), Some("2 rows, 2 columns, EUC-KR")));
    let text = String::from_utf8(desk.bytes("명단.csv.json")).unwrap();
    let want = format!(
        r#"{{
  "file": "명단.csv",
  "type": "csv",
  "size": {},
  "modified": "2026-01-01T00:00:00.000Z",
  "blake3": "{}",
  "encoding": "EUC-KR",
  "rows": 2,
  "columns": 2,
  "header": [
    "번호",
    "이름"
  ],
  "delimiter": ",",
  "normalised": "/base/out/docs/명단.csv.normalised.csv"
}}
"#,
        raw.len(),
        blake3::hash(&raw)
    );
    assert_eq!(text, want);
    assert_eq!(desk.bytes("명단.csv.normalised.csv"), "번호,이름\n1,김철수\n2,\"이, 영희\"\n".as_bytes());
}

#[test]
fn the_copy_has_one_form_whatever_the_original() {
    let want = "id,note\n1,\"a, b\"\n2,\"say \"\"hi\"\"\"\n3,plain\n";
    for raw in [
        want.as_bytes().to_vec(),
        b"\xef\xbb\xbf\"id\",\"note\"\r\n\"1\",\"a, b\"\r\n\r\n2,\"say \"\"hi\"\"\"\r\n3,plain".to_vec(),
        b"id;note\n1;a, b\n2;\"say \"\"hi\"\"\"\n\n3;plain\n".to_vec(),
        b"id\tnote\r1\ta, b\r2\t\"say \"\"hi\"\"\"\r3\tplain\r".to_vec(),
        b"id|note\n1|\"a, b\"\n2|\"say \"\"hi\"\"\"\n3|plain\n".to_vec(),
        utf16("id,note\r\n1,\"a, b\"\r\n2,\"say \"\"hi\"\"\"\r\n3,plain\r\n"),
    ] {
        let (sidecar, copy) = pass(&raw);
        assert_eq!(copy, want, "{sidecar}");
        assert_eq!((&sidecar["rows"], &sidecar["columns"]), (&json!(3), &json!(2)));
    }
}

#[test]
fn quoted_line_ends_stay_in_their_field() {
    let (sidecar, copy) = pass(b"id,note\n1,\"two\r\nlines\"\n2,\"\n\n\"\n");
    assert_eq!((&sidecar["rows"], copy.as_str()), (&json!(2), "id,note\n1,\"two\r\nlines\"\n2,\"\n\n\"\n"));
}

#[test]
fn a_trail_byte_is_no_delimiter() {
    // In both encodings the second byte of these characters is that of `|`.
    let (sidecar, copy) = pass(&encode("a|b\nポ|表\n", SHIFT_JIS));
    assert_eq!((&sidecar["encoding"], copy.as_str()), (&json!("Shift_JIS"), "a,b\nポ,表\n"));
    let desk = desk();
    let declared = Extract { encoding: Some(EUC_KR), delimiter: Some(b'|'), ..Extract::default() };
    run(&desk, declared, "a.csv", &encode("a|b\n똠방|각하\n", EUC_KR)).unwrap();
    assert_eq!(desk.bytes("a.csv.normalised.csv"), "a,b\n똠방,각하\n".as_bytes());
}

#[test]
fn a_bad_row_is_placed_exactly_in_every_encoding() {
    let text = "번호,이름,나이\r\n1,\"두\r\n줄\",30\r\n\r\n2,이영희\r\n3,박민수,41,x\r\n4,끝,5\r\n";
    for raw in
        [text.as_bytes().to_vec(), encode(text, EUC_KR), utf16(text), [b"\xef\xbb\xbf", text.as_bytes()].concat()]
    {
        let failure = fail(&raw);
        assert_eq!((failure.class, failure.code.as_str()), (FailureClass::Permanent, "csv_bad_row"));
        assert_eq!(failure.message, "2 bad rows, the first in line 5: 2 fields, the header has 3");
        assert_eq!((failure.line, failure.column), (Some(5), Some(3)));
        assert_eq!(failure.column_name.as_deref(), Some("나이"));
        assert_eq!(failure.raw.as_deref(), Some("2,이영희"));
        let context: Vec<_> = failure.context.iter().map(|c| (c.line, c.text.as_str())).collect();
        assert_eq!(context, [(3, "줄\",30"), (4, ""), (5, "2,이영희"), (6, "3,박민수,41,x"), (7, "4,끝,5")]);
        let places: Vec<_> = failure.causes.iter().map(|c| (c.line, c.byte.map(|b| b as usize))).collect();
        let at = |needle: &str| {
            let unit = encode_like(&raw, needle);
            raw.windows(unit.len()).position(|w| w == unit)
        };
        assert_eq!(places, [(Some(5), at("2,이")), (Some(6), at("3,박"))]);
        assert_eq!(failure.causes[1].message, "line 6: 4 fields, the header has 3");
        assert_eq!((failure.causes[1].column, failure.causes[1].column_name.as_deref()), (Some(4), None));
        assert_eq!(failure.cause_text(), "rows with another number of fields than the header");
    }
}

/// Text in the encoding of a file.
fn encode_like(raw: &[u8], text: &str) -> Vec<u8> {
    match raw {
        [0xff, 0xfe, ..] => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        _ if std::str::from_utf8(raw).is_ok() => text.as_bytes().to_vec(),
        _ => encode(text, EUC_KR),
    }
}

#[test]
fn one_bad_row_speaks_for_itself() {
    let failure = fail(b"a,b,c\n1,2,3\n1,2,3,4\n");
    assert_eq!(failure.message, "line 3: 4 fields, the header has 3");
    let want = Detail {
        message: failure.message.clone(),
        line: Some(3),
        byte: Some(12),
        column: Some(4),
        column_name: None,
        raw: Some("1,2,3,4".into()),
    };
    assert_eq!(failure.causes, [want]);
    assert_eq!(fail(b"a,b\n1\n").message, "line 2: 1 field, the header has 2");
}

#[test]
fn only_the_first_hundred_bad_rows_are_kept() {
    let failure = fail(format!("a,b\n{}", "1,2,3\n".repeat(1041)).as_bytes());
    assert_eq!(failure.causes.len(), Failure::CAUSES_MAX);
    assert!(failure.message.starts_with("1,041 bad rows, the first in line 2: "), "{}", failure.message);
    assert_eq!(failure.causes[99].line, Some(101));
}

#[test]
fn a_quote_that_is_never_closed_is_found_where_it_opens() {
    let failure = fail("이름,비고\n가,나\n다,\"라\n마,바\n".as_bytes());
    assert_eq!(failure.code, "csv_bad_row");
    assert_eq!(failure.message, "line 3: the quote that opens column 2 is never closed");
    assert_eq!((failure.column, failure.column_name.as_deref()), (Some(2), Some("비고")));
    assert_eq!(failure.raw.as_deref(), Some("다,\"라\n마,바"));
    assert_eq!(fail(b"\"a,b\n1,2\n").line, Some(1), "in the header too");
}

#[test]
fn bad_bytes_fail_their_row() {
    let mut raw = encode("이름,나이\n김철수,30\n이영희,25\n박민수,41\n", EUC_KR);
    let at = raw.windows(2).position(|w| w == b"25").unwrap();
    raw[at] = 0xff;
    let failure = fail(&raw);
    assert_eq!(failure.message, format!("line 3, column 2: byte 0xff at {at} is not valid EUC-KR"));
    assert_eq!(failure.raw.as_deref(), Some("이영희,\u{fffd}5"));
    let mut raw = "이름,나이\n김철수,30\n이영희,25\n".as_bytes().to_vec();
    let at = raw.windows(2).position(|w| w == b"30").unwrap();
    raw[at] = 0xfe;
    assert_eq!(fail(&raw).message, format!("line 2, column 2: byte 0xfe at {at} is not valid UTF-8"));
    assert_eq!(fail(b"a,b\n1,x\0y\n").message, "line 2, column 2: NUL byte");
}

#[test]
fn a_late_legacy_byte_starts_the_pass_again() {
    let mut raw = b"id,name\n".to_vec();
    while raw.len() < 3 * CHUNK {
        raw.extend_from_slice(b"12345,somebody with a plain name\n");
    }
    let rows = raw.iter().filter(|b| **b == b'\n').count();
    raw.extend_from_slice(&encode("99,김철수\n", EUC_KR));
    let (sidecar, copy) = pass(&raw);
    assert_eq!((&sidecar["encoding"], &sidecar["rows"]), (&json!("EUC-KR"), &json!(rows)));
    assert!(copy.starts_with("id,name\n12345,") && copy.ends_with("\n99,김철수\n"));
    assert_eq!(copy.lines().count(), rows + 1, "the copy was started again");
    assert_eq!(sidecar["blake3"], blake3::hash(&raw).to_hex().to_string());
}

#[test]
fn files_without_rows_are_empty() {
    for (raw, message) in [
        (&b""[..], "the file is empty"),
        (b"\xef\xbb\xbf", "the file holds nothing but blank lines"),
        (b"\n\r\n\n", "the file holds nothing but blank lines"),
        (b"a,b\n", "the file has a header and no rows"),
        (b"a,b\n\n\n", "the file has a header and no rows"),
    ] {
        let failure = fail(raw);
        assert_eq!((failure.class, failure.code.as_str()), (FailureClass::Permanent, "empty"));
        assert_eq!(failure.message, message);
    }
}

#[test]
fn what_is_no_csv_or_not_complete_is_told_apart() {
    let failure = fail(b"PK\x03\x04\x14\0\x06\0rest\n\0\0");
    assert_eq!((failure.class, failure.code.as_str()), (FailureClass::Permanent, "not_text"));
    for raw in [&b"a,b\n1,2\n\0\0\0\0"[..], b"a,\0\0\0"] {
        let failure = fail(raw);
        assert_eq!((failure.class, failure.code.as_str()), (FailureClass::Transient, "incomplete"));
    }
}

#[test]
fn limits_name_line_and_byte() {
    let long = "x".repeat(super::fields::FIELD_MAX + 1);
    let failure = fail(format!("a,b\n1,2\n3,{long}\n").as_bytes());
    assert_eq!((failure.code.as_str(), failure.line, failure.column), ("csv_limit", Some(3), Some(2)));
    assert_eq!(failure.message, "line 3, byte 8: column 2 longer than 1 MiB: perhaps a quote is not closed");
    assert_eq!(failure.column_name.as_deref(), Some("b"));
    let failure = fail(format!("a,b\n1,\"{}", "text\n".repeat(300_000)).as_bytes());
    assert_eq!((failure.code.as_str(), failure.line), ("csv_limit", Some(2)));
    let failure = fail(format!("a{}\n", ",".repeat(20_000)).as_bytes());
    assert_eq!(failure.message, "line 1, byte 0: more than 16,384 columns");
    let wide = format!("{}\n", vec!["y".repeat(1_000_000); 10].join(","));
    let failure = fail(format!("{}\n{wide}", "h,".repeat(9) + "h").as_bytes());
    assert_eq!((failure.code.as_str(), failure.line), ("csv_limit", Some(2)), "{}", failure.message);
}

#[test]
fn a_declared_delimiter_is_taken_and_names_may_repeat() {
    let desk = desk();
    let action = Extract { delimiter: Some(b';'), unsupported: Unsupported::Fail, ..Extract::default() };
    run(&desk, action, "a.csv", b"a,a;\n1,2;3\n").unwrap();
    let sidecar = desk.json("a.csv.json");
    assert_eq!((&sidecar["header"], &sidecar["delimiter"]), (&json!(["a,a", ""]), &json!(";")));
    assert_eq!(desk.bytes("a.csv.normalised.csv"), b"\"a,a\",\n\"1,2\",3\n");
}

#[test]
fn a_single_column_keeps_its_empty_values() {
    let (sidecar, copy) = pass(b"name\nx\n\"\"\n\ny\n");
    assert_eq!((&sidecar["rows"], copy.as_str()), (&json!(3), "name\nx\n\"\"\ny\n"));
}

/// What the `csv` crate makes of a file: its rows and its normal form, or the line of the first row that does not fit.
fn by_csv_crate(text: &str) -> Result<(u64, Vec<u8>), u64> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut rows = 0;
    for record in reader.records() {
        match record {
            Ok(record) => {
                writer.write_record(&record).unwrap();
                rows += 1;
            }
            Err(e) => return Err(e.position().unwrap().record()),
        }
    }
    Ok((rows, writer.into_inner().unwrap()))
}

proptest! {
    #[test]
    fn good_and_bad_files_are_those_of_the_csv_crate(
        header in "[ab가]{1,3},[ab나]{1,3}",
        rows in prop::collection::vec(prop::collection::vec("[ab다 ]{0,3}|\"[ab,라\n ]{0,4}(\"\"){0,2}\"", 1..4), 1..8),
        ends in prop::sample::select(vec!["\n", "\r\n", "\r", "\n\n"]),
    ) {
        let mut text = header;
        for row in &rows {
            text.push_str(ends);
            text.push_str(&row.join(","));
        }
        let desk = desk();
        let action = Extract { delimiter: Some(b','), ..Extract::default() };
        let ours = run(&desk, action, "a.csv", text.as_bytes());
        match by_csv_crate(&text) {
            Ok((1, _)) => prop_assert_eq!(ours.unwrap_err().code, "empty"),
            Ok((rows, copy)) => {
                prop_assert_eq!(ours.unwrap().rows, Some(rows - 1));
                prop_assert_eq!(desk.bytes("a.csv.normalised.csv"), copy);
            }
            Err(record) => {
                let failure = ours.unwrap_err();
                prop_assert_eq!(&failure.code, "csv_bad_row");
                let byte = failure.causes[0].byte.unwrap() as usize;
                let before = csv::ReaderBuilder::new().has_headers(false).flexible(true)
                    .from_reader(&text.as_bytes()[..byte]).into_records().count() as u64;
                prop_assert_eq!(before, record);
            }
        }
    }
}

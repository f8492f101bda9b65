//! What comes out of files, good and bad.

use super::testing::{Files, bzip2, chunks, failure, gzip, joined, read, xz, zstd};
use super::*;
use crate::actions::transform::chunk::Chunk;
use crate::model::Failure;
use encoding_rs::{BIG5, EUC_KR, SHIFT_JIS, UTF_8, WINDOWS_1252};
use proptest::prelude::*;
use std::io::Write;
use std::os::unix::fs::FileExt;

fn declared() -> Declared {
    Declared::default()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Text and dialect of one file.
fn text(name: &str, raw: &[u8]) -> (String, Source) {
    let (chunks, source) = read(name, raw, &declared(), 8).unwrap();
    (String::from_utf8(joined(&chunks)).unwrap(), source)
}

#[test]
fn workers_may_share_a_source_under_a_lock() {
    fn is_send<T: Send>() {}
    is_send::<Source>();
}

#[test]
fn rows_start_behind_the_header() {
    let (rows, source) = text("a.csv", b"\xef\xbb\xbfid,\"na\nme\"\r\n1,2\r\n3,4");
    assert_eq!(rows, "1,2\r\n3,4");
    assert_eq!(source.header().unwrap(), ["id", "na\nme"]);
    assert_eq!((source.fields(), source.sample()), (2, b"1,2\r\n3,4".as_slice()));
    let (chunks, _) = read("a.csv", b"\xef\xbb\xbfid,\"na\nme\"\r\n1,2\r\n3,4", &declared(), 5).unwrap();
    assert_eq!((chunks[0].line, chunks[0].byte, chunks[0].seq), (3, 15, 0));
    assert_eq!((chunks[1].line, chunks[1].byte, chunks[1].seq), (4, 20, 1));
    let (rows, source) = text("a.csv", b"\r\n\n\nid;v\n\n1;2\n");
    assert_eq!((rows.as_str(), source.dialect().delimiter), ("\n1;2\n", b';'));
}

#[test]
fn without_a_header_all_records_are_rows() {
    let headless = Declared { header: Some(false), ..declared() };
    let (chunks, source) = read("a.csv", b"\n1,2,3\n4,5,6\n", &headless, 100).unwrap();
    assert_eq!((joined(&chunks), chunks[0].line, chunks[0].byte), (b"1,2,3\n4,5,6\n".to_vec(), 2, 1));
    assert_eq!((source.header(), source.fields()), (None, 3));
}

#[test]
fn a_header_alone_has_no_rows() {
    for raw in [b"id,value\n".as_slice(), b"id,value", b"id,value\r\n"] {
        let (chunks, source) = read("a.csv", raw, &declared(), 100).unwrap();
        assert!(chunks.is_empty() && source.sample().is_empty());
        assert_eq!(source.header().unwrap(), ["id", "value"]);
    }
}

#[test]
fn what_holds_nothing_is_empty() {
    for (name, raw, message) in [
        ("a.csv", b"".to_vec(), "the file is empty"),
        ("a.csv", b"\xef\xbb\xbf".to_vec(), "the file holds nothing but empty lines"),
        ("a.csv", b"\r\n\n".to_vec(), "the file holds nothing but empty lines"),
        ("a.csv.gz", b"".to_vec(), "the file is empty"),
        ("a.csv.gz", gzip(b""), "the file unpacks to nothing"),
        ("a.ndjson", b"\n \n".to_vec(), "the file holds nothing but white space"),
        ("a.json", b"".to_vec(), "the file is empty"),
    ] {
        let failure = failure(name, &raw);
        assert_eq!((failure.code.as_str(), failure.message.as_str()), ("empty", message), "{name}");
        assert_eq!(failure.file, Some(format!("/inbox/{name}")));
    }
}

#[test]
fn bad_headers_are_placed() {
    let of = |raw: &[u8]| {
        let failure = failure("a.csv", raw);
        (failure.code, failure.line, failure.column)
    };
    assert_eq!(of(b"\nid,v,id\n1,2,3\n"), ("header_duplicate".into(), Some(2), Some(3)));
    assert_eq!(of(b"id,,v\n1,2,3\n"), ("header_empty".into(), Some(1), Some(2)));
    assert_eq!(of(b"id,\"v\n1,2\n3,4\n"), ("unclosed_quote".into(), Some(1), Some(2)));
    assert_eq!(of("이름,\u{0}\n".as_bytes()).0, "binary");
    assert_eq!(of(b"ab\xff\xff\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9,c\n1,2\n").0, "bad_encoding");
}

#[test]
fn too_many_columns_are_refused_early() {
    let wide = "x,".repeat(COLUMNS_MAX);
    let failure = failure("a.csv", format!("{wide}y\n1\n").as_bytes());
    assert_eq!(failure.code, "too_many_columns");
    assert_eq!(failure.message, "line 1, byte 0: more than 16,384 columns, perhaps the line ends are missing");
    // A million columns need not be read: the first bytes tell.
    let failure = self::failure("a.csv", &b"column,".repeat(1_000_000));
    assert_eq!(failure.code, "too_many_columns");
    assert!(failure.raw.unwrap().chars().count() <= Failure::RAW_MAX);
    let names: Vec<_> = (0..COLUMNS_MAX).map(|i| i.to_string()).collect();
    let (_, source) = read("a.csv", names.join(",").as_bytes(), &declared(), 100).unwrap();
    assert_eq!(source.header().unwrap().len(), COLUMNS_MAX);
}

#[test]
fn binary_data_is_no_table() {
    for (raw, message) in [
        (b"PK\x03\x04\x14\0\x06\0".as_slice(), "not a table: a zip archive or an office document; save it as CSV"),
        (b"\x7fELF\x02\x01\x01\0\0\0x", "line 1, byte 7: not a table: binary data, a NUL byte"),
        (b"PAR1\x15\x04", "not a table: a Parquet file"),
        (b"id,v\0\n1,2\n", "line 1, byte 4: not a table: binary data, a NUL byte"),
    ] {
        let failure = failure("a.csv", raw);
        assert_eq!((failure.code.as_str(), failure.message.as_str()), ("binary", message));
    }
    let later = read("a.csv", b"id,v\n1,\0\n", &declared(), 100).unwrap().0;
    assert_eq!(joined(&later), b"1,\0\n", "a NUL in a row makes a bad row, no bad file");
    let unwritten = failure("a.csv", b"id,v\n1,2\n\0\0\0\0");
    assert_eq!((unwritten.code.as_str(), unwritten.class.is_retried()), ("incomplete", true));
}

#[test]
fn a_record_without_end_is_refused_in_bounded_memory() {
    let mut raw = b"id,v\n1,2\n3,\"open\n".to_vec();
    raw.resize(RECORD_MAX + 5000, b'x');
    let files = Files::new();
    let mut source = Source::open(vec![files.add("a.csv", &raw)], &declared(), 4096).unwrap();
    let first = source.next(Vec::new()).unwrap().unwrap();
    assert_eq!(first.bytes, b"1,2\n", "what is before it is read");
    let failure = source.next(first.bytes).unwrap_err();
    assert_eq!(failure.code, "record_too_long");
    let message = "line 3, byte 9: a record longer than 16 MiB: the quote that opens column 2 is not closed";
    assert_eq!((failure.message.as_str(), failure.line, failure.column), (message, Some(3), Some(2)));
    assert_eq!(failure.causes[0].byte, Some(9));
    assert!(failure.raw.as_ref().unwrap().starts_with("3,\"open\nxxx"));
    assert_eq!(source.next(Vec::new()).unwrap_err(), failure, "a failure stays");
    assert!(source.position().is_none());

    let mut raw = b"id,v\n".to_vec();
    raw.resize(RECORD_MAX + 5000, b'x');
    let failure = self::failure("a.csv", &raw);
    assert_eq!(failure.message, "line 2, byte 5: a record longer than 16 MiB: perhaps its line ends are missing");
    let failure = self::failure("a.csv", &raw[5..].repeat(2));
    assert_eq!((failure.code.as_str(), failure.line), ("record_too_long", Some(1)), "in place of a header");
}

#[test]
fn of_a_field_of_a_gigabyte_no_more_is_read_than_a_record_may_have() {
    let files = Files::new();
    let mut input = files.add("a.csv", b"");
    let mut file = File::options().write(true).open(&input.path).unwrap();
    file.write_all(b"id,v\n1,\"").unwrap();
    file.write_all_at(b"x", (1 << 30) - 1).unwrap(); // what is between takes no room on the disk
    input.size = 1 << 30;
    let mut source = Source::open(vec![input], &declared(), 1024 * 1024).unwrap();
    let failure = source.next(Vec::new()).unwrap_err();
    assert_eq!((failure.code.as_str(), failure.line, failure.column), ("record_too_long", Some(2), Some(2)));
    let (read, total) = source.progress();
    assert!(total == 1 << 30 && (RECORD_MAX as u64..=2 * RECORD_MAX as u64).contains(&read), "{read}");
}

#[test]
fn a_long_record_is_whole() {
    let long = "x\n".repeat(SAMPLE_MAX);
    let raw = format!("id,v\n1,\"{long}\"\n2,b\n");
    let (chunks, source) = read("a.csv", raw.as_bytes(), &declared(), 1000).unwrap();
    assert_eq!(joined(&chunks), raw.as_bytes()[5..]);
    assert_eq!(source.sample().len(), raw.len() - 5, "at least one record is in the sample");
    assert_eq!(chunks.last().map(|c| c.line), Some(2));
    let (chunks, _) = read("a.csv", raw.as_bytes(), &declared(), raw.len() - 8).unwrap();
    assert_eq!((chunks.len(), chunks[1].line), (2, 3 + SAMPLE_MAX as u64));
}

#[test]
fn an_unclosed_quote_at_the_end_is_left_to_the_reader_of_rows() {
    let (chunks, source) = read("a.csv", b"id,v\n1,2\n3,\"x\n4,5\n", &declared(), 100).unwrap();
    assert_eq!(joined(&chunks), b"1,2\n3,\"x\n4,5\n");
    assert_eq!(source.sample(), b"1,2\n", "types are not told from it");
}

#[test]
fn mixed_line_ends_are_counted_once() {
    let raw = b"id,v\r1,2\n3,4\r\n5,6\r7,8\n\r9,0";
    let (chunks, _) = read("a.csv", raw, &declared(), 1).unwrap();
    let got: Vec<_> = chunks.iter().map(|c| (c.line, c.byte, String::from_utf8_lossy(&c.bytes))).collect();
    let want = [(2, 5, "1,2\n"), (3, 9, "3,4\r\n"), (4, 14, "5,6\r7,8\n"), (6, 22, "\r"), (7, 23, "9,0")];
    assert_eq!(got, want.map(|(l, b, t)| (l, b, t.into())));
}

#[test]
fn encodings_are_found_out() {
    let korean = "이름,나이\n김철수,30\n이영희,25\n";
    let (raw, ..) = EUC_KR.encode(korean);
    let (chunks, source) = read("a.csv", &raw, &declared(), 4).unwrap();
    assert_eq!((joined(&chunks), source.dialect().encoding), (raw[10..].to_vec(), EUC_KR));
    assert_eq!(source.header().unwrap(), ["이름", "나이"]);
    assert_eq!(source.sample(), "김철수,30\n이영희,25\n".as_bytes());

    let with_mark = [b"\xff\xfe".to_vec(), utf16(korean)].concat();
    for raw in [with_mark, utf16(korean)] {
        let (rows, source) = text("a.csv", &raw);
        assert_eq!((rows.as_str(), source.dialect().encoding), ("김철수,30\n이영희,25\n", UTF_8));
        assert_eq!(source.position(), Some(Position { file: 1, byte: 0, line: 1, seq: 2 }));
    }
    for (encoding, pipes, commas) in [(SHIFT_JIS, UTF_8, SHIFT_JIS), (BIG5, UTF_8, BIG5), (EUC_KR, EUC_KR, EUC_KR)] {
        let declared = Declared { encoding: Some(encoding), ..declared() };
        for (delimiter, chunk_encoding) in [("|", pipes), (",", commas)] {
            let table = format!("名{delimiter}値\n表{delimiter}1\n");
            let raw = encoding.encode(&table).0.into_owned();
            let (chunks, source) = read("a.csv", &raw, &declared, 100).unwrap();
            assert_eq!(source.dialect().encoding, chunk_encoding);
            assert_eq!(source.sample(), format!("表{delimiter}1\n").as_bytes());
            assert_eq!(chunk_encoding.decode_without_bom_handling(&joined(&chunks)).0, format!("表{delimiter}1\n"));
        }
    }
    let (_, source) = read("a.csv", "name\nJürgen\nRené\n".as_bytes(), &declared(), 9).unwrap();
    assert_eq!(source.dialect().encoding, UTF_8);
    let (_, source) = read("a.csv", &WINDOWS_1252.encode("name\nJürgen\nRené\n").0, &declared(), 9).unwrap();
    assert_eq!(source.dialect().encoding, WINDOWS_1252);
}

#[test]
fn an_encoding_that_shows_late_is_found_by_probes() {
    let mut raw = b"id,name\n".to_vec();
    while raw.len() < 2 * SAMPLE_MAX {
        raw.extend_from_slice(b"1,plain\n");
    }
    for _ in 0..100_000 {
        raw.extend_from_slice(&EUC_KR.encode("2,김철수\n").0);
    }
    let files = Files::new();
    let source = Source::open(vec![files.add("a.csv", &raw)], &declared(), 1024).unwrap();
    assert_eq!(source.dialect().encoding, EUC_KR);
    let half = raw.len() / 2;
    raw.truncate(half);
    let source = Source::open(vec![files.add("a.csv", &raw)], &declared(), 1024).unwrap();
    assert_eq!(source.dialect().encoding, UTF_8);
}

#[test]
fn malformed_bytes_are_not_made_up_for() {
    let raw = [b"\xff\xfe".to_vec(), utf16("id,v\n1,"), vec![0, 0xd8], utf16("\n")].concat();
    let (chunks, _) = read("a.csv", &raw, &declared(), 100).unwrap();
    assert_eq!(joined(&chunks), b"1,\xff\n");
}

#[test]
fn packed_files_read_as_what_is_in_them() {
    let raw: String = (0..5000).map(|i| format!("{i},{}\n", i * 3)).collect();
    let raw = format!("id,v\n{raw}");
    let plain = read("a.csv", raw.as_bytes(), &declared(), 777).unwrap().0;
    for (name, packed) in [
        ("a.csv.gz", gzip(raw.as_bytes())),
        ("a.csv.zst", zstd(raw.as_bytes())),
        ("a.csv.bz2", bzip2(raw.as_bytes())),
        ("a.csv.xz", xz(raw.as_bytes())),
    ] {
        let (chunks, source) = read(name, &packed, &declared(), 777).unwrap();
        assert_eq!(chunks.len(), plain.len());
        for (a, b) in chunks.iter().zip(&plain) {
            assert_eq!((&a.bytes, a.line, a.byte, a.seq), (&b.bytes, b.line, b.byte, b.seq), "{name}");
        }
        assert_eq!(source.progress(), (packed.len() as u64, packed.len() as u64));
    }
}

#[test]
fn a_cut_off_gzip_fails_behind_what_is_whole() {
    let raw: String = (0..200_000).map(|i| format!("{i},{}\n", i * 7919 % 10_007)).collect();
    let packed = gzip(format!("id,v\n{raw}").as_bytes());
    let files = Files::new();
    let input = files.add("a.csv.gz", &packed[..packed.len() - 10]);
    let mut source = Source::open(vec![input], &declared(), 64 * 1024).unwrap();
    let mut rows = Vec::new();
    let failure = loop {
        match source.next(Vec::new()) {
            Ok(chunk) => rows.extend(chunk.unwrap().bytes),
            Err(failure) => break failure,
        }
    };
    assert_eq!((failure.code.as_str(), failure.class.is_retried()), ("truncated_gzip", false));
    assert!(raw.as_bytes().starts_with(&rows) && rows.len() > raw.len() / 2);
}

#[test]
fn a_bomb_is_stopped() {
    let bomb = gzip(&b"id,v\n".repeat(1_000_000));
    let files = Files::new();
    let declared = Declared { max_expanded: Some(2_000_000), ..declared() };
    let mut source = Source::open(vec![files.add("a.csv", &bomb)], &declared, 64 * 1024).unwrap();
    let failure = chunks(&mut source).unwrap_err();
    assert_eq!((failure.code.as_str(), failure.file.as_deref()), ("expands_too_much", Some("/inbox/a.csv")));
}

#[test]
fn a_change_meanwhile_is_a_transient_failure() {
    let raw = [b"id,v\n".to_vec(), b"1,2\n".repeat(SAMPLE_MAX)].concat();
    let files = Files::new();
    let input = files.add("a.csv", &raw);
    let mut source = Source::open(vec![input.clone()], &declared(), 4096).unwrap();
    source.next(Vec::new()).unwrap();
    source.check_unchanged().unwrap();
    let file = File::options().write(true).open(&input.path).unwrap();
    file.set_len(SAMPLE_MAX as u64 + 100).unwrap();
    assert!(source.check_unchanged().is_err());
    let failure = chunks(&mut source).unwrap_err();
    assert_eq!((failure.code.as_str(), failure.class.is_retried()), ("input_changed", true));
    let before = Source::open(vec![input], &declared(), 4096).err().unwrap();
    assert_eq!(before.code, "input_changed", "another size than at the claim");
}

#[test]
fn a_change_after_the_last_byte_was_read_is_noticed() {
    let files = Files::new();
    let input = files.add("a.csv", b"id,v\n1,2\n");
    let mut source = Source::open(vec![input.clone()], &declared(), 4096).unwrap();
    source.next(Vec::new()).unwrap().unwrap();
    File::options().write(true).open(&input.path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(source.next(Vec::new()).unwrap_err().code, "input_changed");
}

#[test]
fn several_files_are_one_input() {
    let files = Files::new();
    let inputs = vec![
        files.add("a.csv", b"id,v\n1,2\n"),
        files.add("b.csv", b"\xef\xbb\xbf\"id\",v\r\n3,4"),
        files.add("c.csv.gz", &gzip(b"id,v\n")),
        files.add("d.csv", &utf16("id,v\n5,6\n7,8\n")),
    ];
    let total = inputs.iter().map(|i| i.size).sum();
    let mut source = Source::open(inputs, &declared(), 4).unwrap();
    assert_eq!(source.progress().1, total);
    let got: Vec<_> =
        chunks(&mut source).unwrap().into_iter().map(|c| (c.seq, c.file, c.line, c.byte, c.bytes)).collect();
    let want = [(0, 0, 2, 5, "1,2\n"), (1, 1, 2, 11, "3,4"), (2, 3, 2, 5, "5,6\n"), (3, 3, 3, 9, "7,8\n")];
    assert_eq!(got, want.map(|(s, f, l, b, t)| (s, f, l, b, t.as_bytes().to_vec())));
    assert_eq!(source.progress(), (total, total));
}

#[test]
fn files_that_do_not_fit_the_first_are_named() {
    let files = Files::new();
    let of = |second: &[u8], first: &[u8]| {
        let inputs = vec![files.add("a.csv", first), files.add("b.csv", second)];
        let mut source = Source::open(inputs, &declared(), 100).unwrap();
        let failure = chunks(&mut source).unwrap_err();
        assert_eq!(failure.file.as_deref(), Some("/inbox/b.csv"));
        (failure.code, failure.message)
    };
    let start = "the header differs from that of /inbox/a.csv: column";
    let differs = |what: &str| ("header_differs".to_owned(), format!("{start} {what}"));
    assert_eq!(of(b"id,w\n", b"id,v\n"), differs("2 is \"w\" here and \"v\" there"));
    assert_eq!(of(b"id\n", b"id,v\n"), differs("2 is missing here and \"v\" there"));
    assert_eq!(of(b"id,v,w\n", b"id,v\n"), differs("3 is \"w\" here and missing there"));
    assert_eq!(of(b"", b"id,v\n").0, "empty");
    let (korean, ..) = EUC_KR.encode("이름\n김철수\n");
    assert_eq!(
        of("이름\n김철수\n".as_bytes(), &korean),
        ("encoding_differs".into(), "the file is UTF-8, but /inbox/a.csv is EUC-KR: convert one of them".into())
    );
}

#[test]
fn a_file_that_tells_nothing_is_read_as_the_first() {
    let files = Files::new();
    let (korean, ..) = EUC_KR.encode("id,v\n1,김철수\n2,이영희\n");
    let inputs = vec![files.add("a.csv", &korean), files.add("b.csv", b"id,v\n3,plain\n"), files.add("c.csv", &korean)];
    let mut source = Source::open(inputs, &declared(), 100).unwrap();
    assert_eq!(chunks(&mut source).unwrap().len(), 3);
    let inputs = vec![files.add("a.csv", b"id,v\n3,plain\n"), files.add("b.csv", &korean)];
    let mut source = Source::open(inputs, &declared(), 100).unwrap();
    let text = String::from_utf8(joined(&chunks(&mut source).unwrap())).unwrap();
    assert_eq!(text, "3,plain\n1,김철수\n2,이영희\n", "what can be decoded is");
}

#[test]
fn json_comes_as_lines() {
    let (rows, source) = text("a.json", b"[\n {\"a\": 1},\n {\"a\":\n 2}\n]\n");
    let lines: Vec<_> = rows.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()).collect();
    assert_eq!(lines, [serde_json::json!({"a": 1}), serde_json::json!({"a": 2})]);
    assert_eq!((source.dialect().format, source.header(), source.dialect().header), (Format::Ndjson, None, false));
    assert_eq!(source.sample().iter().filter(|b| **b == b'\n').count(), 2);
    let (chunks, _) = read("a.json", b"[{\"a\":1},{\"a\":2},{\"a\":3}]", &declared(), 1).unwrap();
    assert_eq!(chunks.iter().map(|c| (c.line, c.byte)).collect::<Vec<_>>(), [(1, 0), (2, 9), (3, 17)]);
    assert_eq!(text("a.json", b"[]").0, "");
    assert_eq!(text("a.json", b"{\"a\":1}\n{\"a\":2}\n").0, "{\"a\":1}\n{\"a\":2}\n");
    assert_eq!(text("a.ndjson", b"{\"a\":1}\r\n{\"a\":2}").0, "{\"a\":1}\r\n{\"a\":2}");
    assert_eq!(text("a.json", &[b"\xff\xfe".to_vec(), utf16("[{\"가\":1}]")].concat()).0, " {\"가\":1}\n");
    assert_eq!(text("a", b"{\"a\":1}\n").1.dialect().format, Format::Ndjson);
    let files = Files::new();
    let inputs = vec![files.add("a.json", b"[{\"a\":1}]"), files.add("b.json", b"{\"a\":2}\n")];
    let mut source = Source::open(inputs, &declared(), 100).unwrap();
    assert_eq!(joined(&testing::chunks(&mut source).unwrap()), b" {\"a\":1}\n{\"a\":2}\n");
}

#[test]
fn bad_json_arrays_are_placed() {
    for (raw, code, message) in [
        (
            "[{\"a\":1},\n{\"a\":2}",
            "truncated_json",
            "element 2, byte 17: the array is cut off: it has no closing bracket",
        ),
        ("[{\"a\":1},,{\"a\":2}]", "json_syntax", "element 2, byte 9: an element is missing"),
        ("[{\"a\":1}] x", "json_syntax", "element 2, byte 10: text behind the end of the array"),
        ("x", "json_syntax", "element 1, byte 0: no JSON array: it does not start with a bracket"),
    ] {
        let failure = failure("a.json", raw.as_bytes());
        assert_eq!((failure.code.as_str(), failure.message.as_str()), (code, message));
    }
    let mut long = b"[\"".to_vec();
    long.resize(RECORD_MAX + 10, b'x');
    assert_eq!(failure("a.json", &long).message, "element 1, byte 0: an element longer than 16 MiB");
}

/// Bytes with all that matters in them.
fn table() -> impl Strategy<Value = Vec<u8>> {
    let field = prop_oneof![
        4 => "[a-c가]{0,5}",
        1 => "\"[a\n,\r]{0,6}\"",
        1 => "a\"[b\"]{0,2}",
    ];
    let end = prop::sample::select(vec!["\n", "\r\n", "\r", "\n\n"]);
    prop::collection::vec((prop::collection::vec(field, 1..4), end), 0..30)
        .prop_map(|rows| rows.into_iter().map(|(r, e)| r.join(",") + e).collect::<String>())
        .prop_map(|rows| format!("x,y\n{rows}").into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn any_chunk_size_gives_the_same_rows_in_the_same_places(raw in table(), chunk in 1..200usize) {
        let files = Files::new();
        let csv = Declared { delimiter: Some(b','), quote: Some(Some(b'"')), ..declared() };
        let input = files.add("a.csv", &raw);
        let mut source = Source::open(vec![input.clone(), input.clone()], &csv, chunk).unwrap();
        let all = chunks(&mut source).unwrap();
        for file in 0..2 {
            let mine: Vec<_> = all.iter().filter(|c| c.file == file).collect();
            let mut at = 4;
            for c in &mine {
                prop_assert_eq!(c.byte, at as u64);
                prop_assert_eq!(&c.bytes[..], &raw[at..at + c.bytes.len()]);
                prop_assert_eq!(c.line, 1 + records::line_ends(&raw[..at]));
                at += c.bytes.len();
            }
            prop_assert_eq!(at, raw.len());
        }
        prop_assert!(all.iter().enumerate().all(|(i, c)| c.seq == i as u64));
        prop_assert_eq!(source.progress(), (2 * raw.len() as u64, 2 * raw.len() as u64));

        // A run that goes on at any chunk reads what the first one read.
        let place = |c: &Chunk| Position { file: c.file, byte: c.byte, line: c.line, seq: c.seq };
        for (i, from) in all.iter().enumerate() {
            let mut again = Source::open(vec![input.clone(), input.clone()], &csv, chunk).unwrap();
            again.resume(place(from)).unwrap();
            prop_assert_eq!(again.position(), Some(place(from)));
            for want in &all[i..] {
                let got = again.next(vec![7; 3]).unwrap().unwrap();
                prop_assert_eq!((got.seq, got.file, got.line, got.byte), (want.seq, want.file, want.line, want.byte));
                prop_assert_eq!(&got.bytes, &want.bytes);
            }
            prop_assert!(again.next(Vec::new()).unwrap().is_none());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(
        raw in prop::collection::vec(any::<u8>(), 0..300), head in "(id,v\n|\\[|\\{|)", chunk in 1..50usize,
        name in prop::sample::select(vec!["a.csv", "a.json", "a.ndjson", "a", "a.tsv"]),
    ) {
        let raw = [head.into_bytes(), raw].concat();
        drop(read(name, &raw, &declared(), chunk));
    }
}

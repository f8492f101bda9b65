//! Whole answers in pieces of every size: what is let through, what is refused, and what the outputs hold.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufReader, Read};

/// A body that comes in pieces of this size.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.1.min(self.0.len()).min(into.len());
        into[..n].copy_from_slice(&self.0[..n]);
        self.0 = &self.0[n..];
        Ok(n)
    }
}

#[derive(Default)]
struct Ask {
    expect: Expect,
    write: Write,
    paging: Option<Paging>,
    columns: Option<Vec<String>>,
}

impl Ask {
    fn json() -> Self {
        Self { expect: Expect { json: true, ..Expect::default() }, ..Self::default() }
    }

    fn form(form: Form, items: &str) -> Self {
        Self { write: Write { form, items: items.to_owned() }, ..Self::default() }
    }

    fn key(key: &str) -> Self {
        Self { expect: Expect { key: Some(key.to_owned()), ..Expect::default() }, ..Self::default() }
    }

    fn cursor(field: &str) -> Self {
        Self { paging: Some(Paging::Cursor { field: field.to_owned(), param: None }), ..Self::default() }
    }

    fn of(&mut self, body: impl AsRef<[u8]>, size: usize) -> Result<(Page, String), Failure> {
        let mut out = Vec::new();
        let about = About { expect: &self.expect, write: &self.write, paging: self.paging.as_ref() };
        let mut body = BufReader::with_capacity(size, Pieces(body.as_ref(), size));
        let page = examine(&mut body, &about, &mut self.columns, Some(&mut out))?;
        Ok((page, String::from_utf8(out).unwrap()))
    }

    fn page(&mut self, body: &str) -> Page {
        self.of(body, 7).unwrap().0
    }

    fn text(&mut self, body: &str) -> String {
        self.of(body, 7).unwrap().1
    }

    fn fails(&mut self, body: impl AsRef<[u8]>) -> Failure {
        self.of(body, 7).unwrap_err()
    }
}

#[test]
fn a_body_is_not_read_as_json_where_nothing_depends_on_it() {
    let mut ask = Ask::default();
    assert_eq!(ask.of(b"\xff{", 7).unwrap().0, Page { bytes: 2, ..Page::default() });
    ask.paging = Some(Paging::Link);
    assert_eq!(ask.page("<html>").items, None);
}

#[test]
fn a_page_with_an_error_on_it_is_no_json_and_is_shown() {
    let failure = Ask::json().fails("<!DOCTYPE html>\n<b>\x1b[2Jdown</b>");
    assert_eq!((failure.code.as_str(), failure.class.is_retried()), ("answer_not_json", true));
    let expected = "the body is not JSON: a value is missing, at line 1, column 1, byte 0: \"<!DOCTYPE html>\\n<b>\\x1b[2Jdown</b>\"";
    assert_eq!(failure.message, expected);
    let long = format!("{{\n\"a\": [\"{}\",\n oops, {}", "가".repeat(100), "나".repeat(100));
    let failure = Ask::json().fails(&long);
    assert_eq!(failure.cause_text(), "the body is not JSON: a value is missing");
    assert!(failure.message.contains("at line 3, column 2, byte 313: \"…가"), "{failure}");
    assert!(
        failure.message.contains("가\\\",\\n oops, 나") || failure.message.contains("가\",\\n oops, 나"),
        "{failure}"
    );
    assert!(failure.message.ends_with("나…\""), "{failure}");
    for (body, why) in [("", "the body is empty"), ("\u{feff} ", "the body is empty"), ("[1", "it ends too early")] {
        assert!(Ask::json().fails(body).message.contains(why), "{body}");
    }
    assert!(Ask::json().fails("{} {}").message.contains("there is more behind the document, at line 1, column 4"));
}

#[test]
fn exactly_what_is_json_is_let_through() {
    let good = [
        "null",
        " 1 ",
        "-0",
        "-0.0e-1",
        "1E5",
        "[]",
        "{}",
        "[1,2]",
        "{\"a\":{}}",
        "\"\\u00e9\\ud83d\\ude00\\ud800\"",
        "\u{feff}{}",
        "[[],{},\"\",0,true,false,null]",
        "\"\u{10ffff}\u{800}\u{7f}\"",
        "\r\n\t [ ] \r\n",
        "1e400",
    ];
    let bad: &[&[u8]] = &[
        b"",
        b"nul",
        b"nulll",
        b"+1",
        b"01",
        b"-",
        b"1.",
        b".5",
        b"1e",
        b"1e+",
        b"0x1",
        b"NaN",
        b"[1,]",
        b"[,1]",
        b"{,}",
        b"{\"a\"}",
        b"{\"a\":}",
        b"{\"a\":1,}",
        b"{a:1}",
        b"{1:1}",
        b"'a'",
        b"\"a",
        b"\"\\x\"",
        b"\"\\u12g4\"",
        b"\"\n\"",
        b"\"\x00\"",
        b"[1}",
        b"{\"a\":1]",
        b"]",
        b"1 2",
        b"[1 2]",
        b"\"\xff\"",
        b"\"\xc0\xaf\"",
        b"\"\xed\xa0\x80\"",
        b"\"\xf4\x90\x80\x80\"",
        b"\"\xe2\x82\"",
        b"\xef\xbb1",
        b"\xef\xbb",
        b"\x0b1",
        b"// x\n1",
        b"{\"a\":1 \"b\":2}",
        b"1\x00",
        b"\"\xe0\x80\x80\"",
        b"\"\xf0\x80\x80\x80\"",
        b"\"\xf5\x80\x80\x80\"",
    ];
    for size in [1, 2, 3, 64] {
        for body in good {
            assert!(Ask::json().of(body, size).is_ok(), "{body}");
        }
        for body in bad {
            let code = Ask::json().of(body, size).unwrap_err().code;
            assert_eq!(code, "answer_not_json", "{}", text::bytes(body));
        }
    }
}

#[test]
fn a_document_is_nested_as_deep_as_readers_take() {
    let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    assert!(Ask::json().of(deep(scan::DEPTH_MAX), 9).is_ok());
    assert!(serde_json::from_str::<Value>(&deep(scan::DEPTH_MAX)).is_ok());
    let failure = Ask::json().fails(deep(scan::DEPTH_MAX + 1));
    assert_eq!((failure.code.as_str(), failure.class.is_retried()), ("answer_deep", false));
    assert!(serde_json::from_str::<Value>(&deep(scan::DEPTH_MAX + 1)).is_err());
}

#[test]
fn a_key_is_there_only_with_a_value() {
    let body = r#"{"a/b": [{"x": 1}, {"~": false, "n": null}], "": 2, "d": 1, "d": null, "\u0065": {}}"#;
    for there in ["", "/a~1b", "/a~1b/0", "/a~1b/0/x", "/a~1b/1/~0", "/", "/e"] {
        assert!(Ask::key(there).of(body, 5).is_ok(), "{there}");
    }
    // Of two values with one key the last one counts.
    for missing in
        ["/a", "/a~1b/2", "/a~1b/00", "/a~1b/+0", "/a~1b/-", "/a~1b/1/n", "/d", "/a~1b/0/x/y", "/A~1b", "/e/e"]
    {
        assert_eq!(Ask::key(missing).fails(body).code, "answer_key", "{missing}");
    }
    assert_eq!(Ask::key("").fails("null").code, "answer_key");
    assert_eq!(Ask::key("a").fails("null").code, "answer_pointer");
}

#[test]
fn a_cursor_is_found_and_an_empty_one_is_the_end() {
    let cursor = |body: &str| Ask::cursor("/meta/next").page(body).cursor;
    assert_eq!(cursor(r#"{"meta": {"next": "a\/b\u00e9\n"}}"#).as_deref(), Some("a/b\u{e9}\n"));
    assert_eq!(cursor(r#"{"meta": {"next": 12345678901234567890}}"#).as_deref(), Some("12345678901234567890"));
    assert_eq!(cursor(r#"{"meta": {"next": "1", "next": "2", "other": "3"}, "next": "4"}"#).as_deref(), Some("2"));
    for end in
        [r#"{"meta": {"next": ""}}"#, r#"{"meta": {"next": null}}"#, "{}", r#"{"meta": {"next": "1", "next": null}}"#]
    {
        assert_eq!(cursor(end), None, "{end}");
    }
    assert_eq!(Ask::cursor("/n").fails(r#"{"n": {"a": 1}}"#).code, "pages_cursor");
    assert_eq!(Ask::cursor("/n").fails(format!("{{\"n\": \"{}\"}}", "x".repeat(20_000))).code, "pages_cursor");
    // It may stand within the items, as the number of the last one.
    let mut ask = Ask::cursor("/0/id");
    ask.write.form = Form::Ndjson;
    let (page, lines) = ask.of(r#"[{"id": 7}]"#, 3).unwrap();
    assert_eq!((page.cursor.as_deref(), page.items, lines.as_str()), (Some("7"), Some(1), "{\"id\":7}\n"));
}

#[test]
fn items_are_lines_as_they_came() {
    let body = "{\"z\": 1, \"data\": {\"items\": [ {\"b\" : 1.50e+3,\n\"a\": [ ] } ,\"x \\n\\/\u{2028}\", 1, null,[1 , 2]]}, \"after\": [3]}";
    let mut ask = Ask::form(Form::Ndjson, "/data/items");
    let (page, lines) = ask.of(body, 3).unwrap();
    assert_eq!(lines, "{\"b\":1.50e+3,\"a\":[]}\n\"x \\n\\/\u{2028}\"\n1\nnull\n[1,2]\n");
    assert_eq!((page.items, page.bytes), (Some(5), body.len() as u64));
    assert_eq!(Ask::form(Form::Ndjson, "").text("[[],{}]"), "[]\n{}\n");
    // Some servers write an empty list as null. One that has no list at all has sent something else.
    assert_eq!(ask.page("{\"data\": {\"items\": null}}").items, Some(0));
    let failure = ask.fails("{\"error\": \"try again\"}");
    assert_eq!((failure.code.as_str(), failure.class.is_retried()), ("answer_items", true));
    for other in
        ["{\"data\": {\"items\": {}}}", "{\"data\": {\"items\": 1}}", "{\"data\": {\"items\": [], \"items\": []}}"]
    {
        let failure = ask.fails(other);
        assert_eq!((failure.code.as_str(), failure.class.is_retried()), ("answer_items", false), "{other}");
    }
}

#[test]
fn an_item_that_no_reader_takes_fails() {
    let body = |n: usize| format!("[1, \"{}\"]", "x".repeat(n));
    let mut ask = Ask::form(Form::Ndjson, "");
    assert!(ask.of(body(items::ITEM_MAX - 2), 1 << 16).is_ok());
    assert_eq!(ask.of(body(items::ITEM_MAX - 1), 1 << 16).unwrap_err().message, "item 2 is longer than 16777216 bytes");
}

#[test]
fn items_are_rows_of_a_table() {
    let mut ask = Ask::form(Form::Csv, "/rows");
    let first = r#"{"rows": [{"id": 1, "na\u006de": "a \"b\", c\n", "tags": [ 1, {"x": "y"} ], "none": null},
        {"name": "\ud83d\ude00", "id": 1.10, "late": true, "id": 2}, {}]}"#;
    let expected =
        "id,name,tags,none,late\n1,\"a \"\"b\"\", c\n\",\"[1,{\"\"x\"\":\"\"y\"\"}]\",,\n2,\u{1f600},,,true\n,,,,\n";
    assert_eq!(ask.text(first), expected);
    // The columns stay those of the first page; what has none is counted, but for nulls.
    let (page, rows) = ask.of(r#"{"rows": [{"new\u001b": 1, "late": "x"}, {"new2": 1, "new3": null}]}"#, 4).unwrap();
    assert_eq!(rows, ",,,,x\n,,,,\n");
    assert_eq!((page.items, page.extra_keys, page.extra_key.as_deref()), (Some(2), 2, Some("new\\x1b")));
    let failure = ask.fails(r#"{"rows": [{"id": 1}, [2]]}"#);
    assert_eq!(
        (failure.code.as_str(), failure.message.as_str()),
        ("answer_items", "item 2 is not an object but an array")
    );
}

#[test]
fn a_table_begins_with_the_first_page_that_has_items() {
    let mut ask = Ask::form(Form::Csv, "");
    assert_eq!(ask.text("[]"), "");
    assert_eq!(ask.columns, None);
    assert_eq!(ask.text("[{\"a\": \"\"}]"), "a\n\"\"\n");
    assert_eq!(ask.text("[{\"a\": 5}]"), "5\n");
    assert_eq!(Ask::form(Form::Csv, "").fails("[{}, {}]").code, "answer_items");
}

#[test]
fn the_first_hundred_items_make_the_header() {
    let mut items = vec![json!({"a": 1}); 99];
    items.extend([json!({"b": 2}), json!({"c": 3})]);
    let (page, rows) = Ask::form(Form::Csv, "").of(Value::from(items).to_string(), 50).unwrap();
    assert!(rows.starts_with("a,b\n1,\n"), "{rows}");
    assert!(rows.ends_with("\n,2\n,\n"), "{rows}");
    assert_eq!(page.extra_keys, 1);
    // Large ones are not held until there are so many.
    let large = json!([{"a": "x".repeat(9 << 20)}, {"b": 1}]);
    assert_eq!(Ask::form(Form::Csv, "").of(large.to_string(), 1 << 16).unwrap().0.extra_keys, 1);
    let keys: HashMap<String, u8> = (0..16_385).map(|n| (n.to_string(), 0)).collect();
    assert_eq!(Ask::form(Form::Csv, "").of(json!([keys]).to_string(), 1 << 16).unwrap_err().code, "answer_items");
}

#[test]
fn pages_that_are_numbered_count_their_items_and_are_told_apart() {
    let paging = Paging::Number { param: "p".into(), start: 1 };
    let mut ask = Ask { paging: Some(paging), ..Ask::default() };
    ask.write.items = "/d".into();
    let page = ask.page("{\"d\": [1, [2]]}");
    assert_eq!((page.items, page.digest), (Some(2), Some(*blake3::hash(b"{\"d\": [1, [2]]}").as_bytes())));
    assert_eq!(ask.text("{\"d\": [1]}"), "");
}

#[test]
fn a_body_is_measured_and_searched_across_pieces() {
    let mut ask = Ask::default();
    ask.expect.min_bytes = 5;
    assert!(ask.of("12345", 2).is_ok());
    assert_eq!(ask.fails("1234").message, "the body has fewer bytes than 5: 4");
    for size in 1..8 {
        for (text, body, is_there) in [
            ("aab", "aaab", true),
            ("abcabd", "xabcabcabd", true),
            ("abd", "abcab", false),
            ("가나", "x가나", true),
            ("", "", true),
            ("x", "", false),
            ("abc", "ab", false),
        ] {
            let mut ask = Ask::default();
            ask.expect.contains = Some(text.into());
            match ask.of(body, size) {
                Ok(_) => assert!(is_there, "{text} {body} {size}"),
                Err(failure) => assert!(!is_there && failure.code == "answer_contains", "{text} {body} {size}"),
            }
        }
    }
}

#[test]
fn what_cannot_be_read_or_written_is_a_failure() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("cut\x1b off"))
        }
    }
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::from(io::ErrorKind::StorageFull))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let ask = Ask::form(Form::Ndjson, "");
    let about = About { expect: &ask.expect, write: &ask.write, paging: None };
    let failure = examine(&mut BufReader::new(Broken), &about, &mut None, None).unwrap_err();
    assert_eq!(
        (failure.code.as_str(), failure.message.as_str()),
        ("answer_read", "cannot read the body: cut\\x1b off")
    );
    for form in [Form::Ndjson, Form::Csv] {
        let ask = Ask::form(form, "");
        let about = About { expect: &ask.expect, write: &ask.write, paging: None };
        let failure = examine(&mut &b"[{\"a\":1}]"[..], &about, &mut None, Some(&mut Full)).unwrap_err();
        assert_eq!((failure.code.as_str(), failure.class.is_retried()), ("output_write", true));
    }
}

fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[ -~]{0,8}".prop_map(Value::from),
    ];
    scalar.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map(any::<String>(), inner, 0..4).prop_map(|m| m.into_iter().collect()),
        ]
    })
}

fn spelled(value: &Value, pretty: bool) -> String {
    if pretty { serde_json::to_string_pretty(value).unwrap() } else { value.to_string() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn lines_read_again_are_the_items(list in proptest::collection::vec(value(), 0..6), pretty: bool, size in 1usize..40) {
        let document = json!({"before": [1, {"items": 2}], "data": {"items": list}, "items": []});
        let (page, lines) = Ask::form(Form::Ndjson, "/data/items").of(spelled(&document, pretty), size).unwrap();
        prop_assert_eq!(page.items, Some(list.len() as u64));
        prop_assert_eq!(lines, list.iter().map(|item| format!("{item}\n")).collect::<String>());
    }

    #[test]
    fn a_table_read_again_has_the_values(
        list in proptest::collection::vec(proptest::collection::hash_map("[a-e\"\n]{0,2}", value(), 0..5), 1..6),
        pretty: bool,
        size in 1usize..40,
    ) {
        prop_assume!(list.iter().any(|item| !item.is_empty()));
        let (page, table) = Ask::form(Form::Csv, "").of(spelled(&json!(list), pretty), size).unwrap();
        prop_assert_eq!(page.extra_keys, 0);
        let mut reader = csv::Reader::from_reader(table.as_bytes());
        let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        prop_assert_eq!(rows.len(), list.len());
        for (row, item) in rows.iter().zip(&list) {
            prop_assert!(item.keys().all(|key| names.contains(key)));
            for (cell, name) in row.iter().zip(&names) {
                let expected = match item.get(name) {
                    None | Some(Value::Null) => String::new(),
                    Some(Value::String(text)) => text.clone(),
                    Some(other) => other.to_string(),
                };
                prop_assert_eq!(cell, expected);
            }
        }
    }

    #[test]
    fn what_is_json_is_the_same_to_serde(document in value(), at: prop::sample::Index, put: u8, how in 0..3, size in 1usize..9) {
        let mut bytes = document.to_string().into_bytes();
        let at = at.index(bytes.len());
        match how {
            0 => bytes[at] = put,
            1 => bytes.insert(at, b"{}[],:\"\\0e-. \n"[usize::from(put) % 14]),
            _ => drop(bytes.remove(at)),
        }
        prop_assume!(!bytes.starts_with(b"\xef\xbb\xbf"));
        let is_json = std::str::from_utf8(&bytes).is_ok_and(|t| serde_json::from_str::<serde::de::IgnoredAny>(t).is_ok());
        prop_assert_eq!(Ask::json().of(&bytes, size).is_ok(), is_json, "{}", text::bytes(&bytes));
    }

    #[test]
    fn a_pointer_leads_where_serde_says(document in value(), pointer in "(/(0|1|2|a)){0,3}", size in 1usize..9) {
        let there = document.pointer(&pointer).is_some_and(|v| !v.is_null());
        prop_assert_eq!(Ask::key(&pointer).of(document.to_string(), size).is_ok(), there);
    }
}

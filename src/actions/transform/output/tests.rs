//! What is written, against arrow's display, the csv crate and `serde_json`.

use super::*;
use arrow_array::*;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, Field};
use proptest::prelude::*;
use std::sync::Arc;

fn csv(null: &str) -> Style {
    Style { format: OutFormat::Csv { delimiter: b',', header: true }, null: null.into() }
}

fn json() -> Style {
    Style { format: OutFormat::Ndjson, null: String::new() }
}

fn batch(columns: Vec<ArrayRef>) -> RecordBatch {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i"].map(str::to_owned);
    RecordBatch::try_from_iter_with_nullable(names.into_iter().zip(columns).map(|(n, c)| (n, c, true))).unwrap()
}

fn written(batch: &RecordBatch, style: &Style) -> String {
    let mut out = b"before|".to_vec();
    format(batch, style, &mut out).unwrap();
    String::from_utf8(out).unwrap().strip_prefix("before|").unwrap().to_owned()
}

fn text(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// One array of every type that a statement makes, three rows each.
fn of_every_type() -> Vec<ArrayRef> {
    let time = 1_795_251_600_000_000;
    vec![
        Arc::new(Int64Array::from(vec![Some(1), None, Some(-30)])),
        Arc::new(Float64Array::from(vec![Some(1.0), None, Some(f64::NAN)])),
        Arc::new(Decimal128Array::from(vec![Some(1250), None, Some(-5)]).with_precision_and_scale(10, 2).unwrap()),
        Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
        text(&[Some("x, \"y\""), None, Some("")]),
        Arc::new(Date32Array::from(vec![Some(20_778), None, Some(0)])),
        Arc::new(TimestampMicrosecondArray::from(vec![Some(time), None, Some(time + 250_000)])),
        Arc::new(TimestampNanosecondArray::from(vec![Some(time * 1000), None, Some(1)]).with_timezone("+00:00")),
        Arc::new(Time64MicrosecondArray::from(vec![Some(1), None, Some(2_000_000)])),
    ]
}

#[test]
fn every_type_has_its_text() {
    let batch = batch(of_every_type());
    let want = "1,1.0,12.50,true,\"x, \"\"y\"\"\",2026-11-21,2026-11-21T09:00:00,2026-11-21T09:00:00Z,00:00:00.000001\n\
        ,,,,,,,,\n\
        -30,NaN,-0.05,false,\"\",1970-01-01,2026-11-21T09:00:00.250,1970-01-01T00:00:00.000000001Z,00:00:02\n";
    assert_eq!(written(&batch, &csv("")), want);
    let want = "{\"a\":1,\"b\":1.0,\"c\":12.50,\"d\":true,\"e\":\"x, \\\"y\\\"\",\"f\":\"2026-11-21\",\
        \"g\":\"2026-11-21T09:00:00\",\"h\":\"2026-11-21T09:00:00Z\",\"i\":\"00:00:00.000001\"}\n\
        {\"a\":null,\"b\":null,\"c\":null,\"d\":null,\"e\":null,\"f\":null,\"g\":null,\"h\":null,\"i\":null}\n\
        {\"a\":-30,\"b\":null,\"c\":-0.05,\"d\":false,\"e\":\"\",\"f\":\"1970-01-01\",\
        \"g\":\"2026-11-21T09:00:00.250\",\"h\":\"1970-01-01T00:00:00.000000001Z\",\"i\":\"00:00:02\"}\n";
    assert_eq!(written(&batch, &json()), want);
}

#[test]
fn a_column_of_one_value_is_written_as_any_other() {
    let whole = batch(of_every_type());
    for style in [csv(""), csv("NULL"), csv("1"), json()] {
        for row in 0..3 {
            // The same row many times: every column is constant. Each alone is not.
            let rows = UInt32Array::from(vec![row; 5]);
            let same = arrow_select::take::take_record_batch(&whole, &rows).unwrap();
            let one = written(&whole.slice(row as usize, 1), &style);
            assert_eq!(written(&same, &style), one.repeat(5), "{style:?}");
        }
        let mixed = batch(vec![
            Arc::new(Int64Array::from(vec![7, 7])),
            text(&[Some("a"), Some("b")]),
            text(&[Some("c"), Some("c")]),
            Arc::new(Int64Array::from(vec![8, 8])),
        ]);
        let rows: String = (0..2).map(|row| written(&mixed.slice(row, 1), &style)).collect();
        assert_eq!(written(&mixed, &style), rows, "{style:?}");
    }
    // The same letters throughout are not the same text throughout.
    let letters = batch(vec![text(&[Some("a"), Some("aa"), Some("a")]), text(&[Some("aa"), Some(""), Some("a")])]);
    assert_eq!(written(&letters, &csv("")), "a,aa\naa,\"\"\na,a\n");
    assert_eq!(written(&whole.slice(0, 0), &csv("")), "");
}

#[test]
fn a_missing_value_and_a_text_that_looks_like_it_stay_two() {
    let values = batch(vec![text(&[Some("NULL"), None, Some(""), Some("null")]), text(&[Some("x"); 4])]);
    assert_eq!(written(&values, &csv("NULL")), "\"NULL\",x\nNULL,x\n\"\",x\nnull,x\n");
    let numbers =
        batch(vec![Arc::new(Int64Array::from(vec![Some(0), None, Some(10)])), text(&[Some("0"), None, Some("1")])]);
    assert_eq!(written(&numbers, &csv("0")), "\"0\",\"0\"\n0,0\n10,1\n");
    let floats = batch(vec![Arc::new(Float64Array::from(vec![Some(f64::NAN), None])), text(&[Some("inf"), None])]);
    assert_eq!(written(&floats, &csv("NaN")), "\"NaN\",inf\nNaN,NaN\n");
}

#[test]
fn no_row_is_an_empty_line() {
    let values = batch(vec![text(&[None, Some(""), Some("a"), None])]);
    assert_eq!(written(&values, &csv("")), "\"\"\n\"\"\na\n\"\"\n");
    assert_eq!(written(&values, &csv("-")), "-\n\"\"\na\n-\n");
    let numbers = batch(vec![Arc::new(Int64Array::from(vec![None::<i64>, None]))]);
    assert_eq!(written(&numbers, &csv("")), "\"\"\n\"\"\n");
    let none = batch(vec![Arc::new(NullArray::new(2)), text(&[Some("a"), Some("b")])]);
    assert_eq!(written(&none, &csv("")), ",a\n,b\n");
    assert_eq!(written(&none, &json()), "{\"a\":null,\"b\":\"a\"}\n{\"a\":null,\"b\":\"b\"}\n");
}

#[test]
fn a_delimiter_that_values_hold_has_them_quoted() {
    let time = Arc::new(TimestampSecondArray::from(vec![0, 60]));
    let style = |delimiter| Style { format: OutFormat::Csv { delimiter, header: false }, null: String::new() };
    let times = batch(vec![time, Arc::new(Int64Array::from(vec![1, 2]))]);
    assert_eq!(written(&times, &style(b':')), "\"1970-01-01T00:00:00\":1\n\"1970-01-01T00:01:00\":2\n");
    assert_eq!(written(&times, &style(b'\t')), "1970-01-01T00:00:00\t1\n1970-01-01T00:01:00\t2\n");
    assert_eq!(written(&times, &style(b'1')), "\"1970-01-01T00:00:00\"1\"1\"\n\"1970-01-01T00:01:00\"12\n");
}

#[test]
fn a_style_that_breaks_files_is_told() {
    let style = |delimiter, null: &str| Style { format: OutFormat::Csv { delimiter, header: true }, null: null.into() };
    for delimiter in *b",;\t|" {
        assert_eq!(style(delimiter, "NULL").problem(), None);
    }
    assert_eq!(style(b'\n', "").problem().unwrap(), "no delimiter of an output: \"\\n\"");
    assert!(style(b'"', "").problem().is_some() && style(0xe9, "").problem().is_some());
    assert!(style(b',', "a,b").problem().unwrap().ends_with(": \"a,b\""));
    assert_eq!(json().problem(), None);
    // Not asked, it still writes whole records.
    assert_eq!(written(&batch(vec![text(&[None]), text(&[None])]), &style(b',', "a,b")), "\"a,b\",\"a,b\"\n");
}

#[test]
fn the_header_names_every_column() {
    let names = ["\u{feff}id", "", "a,b", "say \"x\"", "plain"];
    let schema = Schema::new(names.map(|n| Field::new(n, DataType::Int64, true)).to_vec());
    let mut out = Vec::new();
    header(&schema, &csv(""), &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), "\"\u{feff}id\",\"\",\"a,b\",\"say \"\"x\"\"\",plain\n");
    let mut out = Vec::new();
    header(&schema, &json(), &mut out);
    header(
        &schema,
        &Style { format: OutFormat::Csv { delimiter: b',', header: false }, null: String::new() },
        &mut out,
    );
    assert!(out.is_empty());
}

#[test]
fn names_of_json_are_strings() {
    let named = RecordBatch::try_from_iter([("a\"b\n", text(&[Some("x"), Some("y")]))]).unwrap();
    assert_eq!(written(&named, &json()), "{\"a\\\"b\\n\":\"x\"}\n{\"a\\\"b\\n\":\"y\"}\n");
}

#[test]
fn other_types_are_written_as_arrow_shows_them() {
    let dictionary: DictionaryArray<types::Int8Type> = vec![Some("x"), None, Some("y,z")].into_iter().collect();
    let values = batch(vec![
        Arc::new(dictionary),
        Arc::new(StringViewArray::from(vec![Some("a"), None, Some("a rather long text, longer than 12")])),
        Arc::new(LargeStringArray::from(vec![Some("a"), None, Some("")])),
        Arc::new(Int32Array::from(vec![Some(-1), None, Some(i32::MIN)])),
        Arc::new(UInt64Array::from(vec![Some(u64::MAX), None, Some(0)])),
        Arc::new(Float32Array::from(vec![Some(0.1), None, Some(f32::INFINITY)])),
        Arc::new(BinaryArray::from(vec![Some(&b"\xff\x01"[..]), None, Some(b"")])),
        Arc::new(Decimal128Array::from(vec![Some(12), None, Some(-3)]).with_precision_and_scale(5, -2).unwrap()),
        Arc::new(ListArray::from_iter_primitive::<types::Int64Type, _, _>([
            Some([Some(1), Some(2)]),
            None,
            Some([None, None]),
        ])),
    ]);
    let want = "x,a,a,-1,18446744073709551615,0.1,ff01,1200,\"[1, 2]\"\n,,,,,,,,\n\
        \"y,z\",\"a rather long text, longer than 12\",\"\",-2147483648,0,inf,\"\",-300,\"[, ]\"\n";
    assert_eq!(written(&values, &csv("")), want);
    for (line, rows) in written(&values, &json()).lines().zip(0..) {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(value["d"].is_number(), rows != 1);
        assert_eq!((value["f"].is_number(), value["f"].is_null()), (rows == 0, rows != 0));
        assert_eq!(value["g"].is_string(), rows != 1);
    }
}

#[test]
fn long_and_short_texts_lie_beside_each_other() {
    let long = "가나다".repeat(5_000);
    let quoted = format!("{long}\"");
    let values: Vec<_> = (0..300)
        .map(|n| match n % 7 {
            0 => Some(long.as_str()),
            1 => Some(quoted.as_str()),
            2 => Some("exactly thirty-two bytes of text"),
            3 => Some("exactly thirty-three bytes of one"),
            4 => None,
            _ => Some("x"),
        })
        .collect();
    let numbers = Arc::new(Int64Array::from_iter_values(0..300)) as ArrayRef;
    let batch = batch(vec![numbers.clone(), text(&values), numbers]);
    check(&batch.slice(1, 299));
    check(&batch);
}

/// Holds the text of a batch against the csv crate and arrow, and against `serde_json`.
fn check(batch: &RecordBatch) {
    let options = FormatOptions::default();
    let columns: Vec<_> = batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).unwrap()).collect();
    let out = written(batch, &csv("NULL"));
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(out.as_bytes());
    let mut rows = 0;
    for (row, record) in reader.records().enumerate() {
        let record = record.unwrap();
        assert_eq!(record.len(), columns.len());
        for ((field, column), array) in record.iter().zip(&columns).zip(batch.columns()) {
            let want = if array.is_null(row) { "NULL".to_owned() } else { column.value(row).to_string() };
            assert_eq!(field, want);
        }
        rows += 1;
    }
    assert_eq!(rows, batch.num_rows());
    let out = written(batch, &json());
    for (row, line) in out.lines().enumerate() {
        let value: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        for ((column, array), field) in columns.iter().zip(batch.columns()).zip(batch.schema_ref().fields()) {
            let value = &value[field.name()];
            let shown = column.value(row).to_string();
            let is_null = array.is_null(row) || matches!(shown.as_str(), "NaN" | "inf" | "-inf") && !value.is_string();
            assert_eq!(value.is_null(), is_null, "{line}");
            match (value, array.data_type()) {
                (serde_json::Value::String(text), _) => assert_eq!(*text, shown),
                (serde_json::Value::Number(n), DataType::Int64) => assert_eq!(n.to_string(), shown),
                (serde_json::Value::Bool(b), _) => assert_eq!(b.to_string(), shown),
                _ => {}
            }
        }
    }
}

fn rows() -> impl Strategy<Value = RecordBatch> {
    let number = prop::option::weighted(0.8, any::<(i64, u32, u64)>());
    let word = prop::option::weighted(0.8, "(?s)[,\"\\\\\r\n\tab가]{0,40}|NULL|[a-z]{0,70}|.{0,3}");
    let row = (number, word, prop::option::weighted(0.8, any::<bool>()));
    (prop::collection::vec(row, 0..200), any::<bool>()).prop_map(|(rows, constant)| {
        let pick = |i: usize| &rows[if constant { 0 } else { i }];
        let all = 0..rows.len();
        let numbers = |f: fn(&(i64, u32, u64)) -> i64| -> Vec<Option<i64>> {
            all.clone().map(|i| rows[i].0.as_ref().map(f)).collect()
        };
        let small = |n: &(i64, u32, u64)| n.0 >> (n.1 % 64);
        let floats = all.clone().map(|i| pick(i).0.map(|n| f64::from_bits(n.2))).collect::<Float64Array>();
        let decimals = all.clone().map(|i| pick(i).0.map(|n| i128::from(n.0))).collect::<Decimal128Array>();
        batch(vec![
            Arc::new(Int64Array::from(numbers(small))),
            text(&all.clone().map(|i| rows[i].1.as_deref()).collect::<Vec<_>>()),
            Arc::new(floats),
            text(&all.clone().map(|i| pick(i).1.as_deref()).collect::<Vec<_>>()),
            Arc::new(decimals.with_precision_and_scale(38, 3).unwrap()),
            Arc::new(all.clone().map(|i| rows[i].2).collect::<BooleanArray>()),
            Arc::new(TimestampMicrosecondArray::from(numbers(|n| i64::from(n.1) * 999_999))),
            Arc::new(all.clone().map(|i| rows[i].0.map(|n| n.1 as i32 >> 12)).collect::<Date32Array>()),
        ])
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn any_batch_is_read_back_as_it_was(batch in rows(), cut in 0_usize..200) {
        check(&batch);
        let cut = cut.min(batch.num_rows());
        let end = batch.slice(cut, batch.num_rows() - cut);
        check(&end);
        // What a chunk becomes depends on its rows alone, not on how they come together.
        let apart = written(&batch.slice(0, cut), &csv("")) + &written(&end, &csv(""));
        prop_assert_eq!(written(&batch, &csv("")), apart);
    }
}

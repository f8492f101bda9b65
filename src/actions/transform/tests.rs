//! The whole engine: what comes out does not depend on how it was cut and who worked on it, and every row is somewhere.

use super::engine::{self, Order, Tuning};
use super::gather;
use super::spec::Spec;
use crate::actions::testing::{self, TestDesk};
use crate::model::block::{Complaints, Entry, Node, Value};
use crate::model::{Block, Failure, Report};
use chrono::DateTime;
use proptest::prelude::*;
use std::path::Path;

fn node(value: Value) -> Node {
    Node { span: 0..0, value }
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn texts(list: &[&str]) -> Value {
    Value::Array(list.iter().map(|t| node(text(t))).collect())
}

/// The settings that a table with these keys means.
fn spec(keys: Vec<(&str, Value)>) -> Spec {
    let entries = keys.into_iter().map(|(key, value)| Entry { key: key.into(), key_span: 0..0, node: node(value) });
    let table = node(Value::Table(entries.collect()));
    let complaints = Complaints::default();
    let spec = Spec::read(&mut Block::open("t", &table, Path::new("/"), &complaints));
    assert!(complaints.is_empty(), "{:?}", complaints.into_sorted());
    spec.unwrap()
}

/// The content of `out.csv` and of its rejects, and the report.
struct Ran {
    report: Report,
    out: Vec<u8>,
    rejects: Option<Vec<u8>>,
}

fn run(spec: &Spec, input: &[u8], chunk: usize, threads: usize) -> Result<Ran, Failure> {
    let desk = TestDesk::new();
    desk.workers.store(threads, std::sync::atomic::Ordering::SeqCst);
    let inputs = vec![gather::claimed(testing::input(&desk, "in.csv", input))];
    let scratch = desk.dir.path().join("scratch");
    let target = "/base/out.csv".into();
    let now = DateTime::from_timestamp_millis(1_767_225_600_000).unwrap();
    let report = engine::run(Order {
        spec,
        inputs,
        target,
        now,
        tuning: Tuning { chunk, checkpoints: None },
        scratch: &scratch,
        desk: &desk,
        stopped: std::sync::Arc::new(|| false),
    })?;
    let rejects = desk.written().iter().any(|path| path.ends_with("out.rejects.csv"));
    Ok(Ran { report, out: desk.bytes("out.csv"), rejects: rejects.then(|| desk.bytes("out.rejects.csv")) })
}

fn records(csv: &[u8]) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(csv);
    reader.records().map(|r| r.unwrap().iter().map(str::to_owned).collect()).collect()
}

/// A table of texts as somebody writes it: some fields need quotes, some have them without need.
fn table() -> impl Strategy<Value = (Vec<Vec<String>>, Vec<bool>, &'static str)> {
    let field = prop_oneof!["[a-z0-9]{1,6}", "[a-c,\"\n\r 가]{1,8}", Just("x".to_owned())];
    let rows = prop::collection::vec(prop::collection::vec(field, 3), 0..40);
    let quoted = prop::collection::vec(any::<bool>(), 120);
    (rows, quoted, prop::sample::select(vec!["\n", "\r\n"]))
}

fn write(rows: &[Vec<String>], quoted: &[bool], end: &str) -> String {
    let mut out = format!("a,b,c{end}");
    for (row, record) in rows.iter().enumerate() {
        for (column, field) in record.iter().enumerate() {
            if column > 0 {
                out.push(',');
            }
            let must = field.contains([',', '"', '\n', '\r']);
            if must || quoted[(row * 3 + column) % quoted.len()] {
                out.push_str(&format!("\"{}\"", field.replace('"', "\"\"")));
            } else {
                out.push_str(field);
            }
        }
        out.push_str(end);
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn however_it_is_cut_it_is_what_the_csv_crate_reads(
        (rows, quoted, end) in table(), chunk in 1_usize..200, threads in 1_usize..5
    ) {
        let input = write(&rows, &quoted, end);
        let types = [("a", "text"), ("b", "text"), ("c", "text")];
        let columns = types.iter().map(|(name, kind)| Entry {
            key: (*name).into(), key_span: 0..0, node: node(text(kind)),
        });
        let spec = spec(vec![("columns", Value::Table(columns.collect())), ("quote", text("\"")), ("delimiter", text(","))]);
        let ran = run(&spec, input.as_bytes(), chunk, threads).unwrap();
        prop_assert_eq!(records(&ran.out), records(input.as_bytes()));
        prop_assert_eq!(ran.report.rows, Some(rows.len() as u64));
        let whole = run(&spec, input.as_bytes(), engine::CHUNK, 1).unwrap();
        prop_assert!(whole.out == ran.out, "the same bytes");
    }

    #[test]
    fn every_row_is_written_or_rejected(
        cells in prop::collection::vec(("[0-9]{1,3}|x[0-9]|", "-?[0-9]{1,4}|many|\"\"|5,5"), 0..60),
        chunk in 1_usize..120, threads in 1_usize..4
    ) {
        let mut input = String::from("id,value\n");
        for (id, value) in &cells {
            input.push_str(&format!("{id},{value}\n"));
        }
        let types = ["id", "value"].map(|name| Entry { key: name.into(), key_span: 0..0, node: node(text("int")) });
        let spec = spec(vec![
            ("columns", Value::Table(types.to_vec())),
            ("require", texts(&["id"])),
            ("expect", texts(&["value >= -500"])),
            ("unique", texts(&["id"])),
            ("sql", text("SELECT id, 1000 / value AS share FROM input")),
            ("on_bad_row", text("reject")),
        ]);
        let ran = run(&spec, input.as_bytes(), chunk, threads).unwrap();
        let (out, rejects) = (records(&ran.out), ran.rejects.as_deref().map(records).unwrap_or_default());
        let rejected = rejects.len().saturating_sub(1);
        prop_assert_eq!(out.len() - 1 + rejected, cells.len());
        prop_assert_eq!(ran.report.rejected, rejected as u64);
        prop_assert_eq!(ran.report.rows_out, Some(out.len() as u64 - 1));
        prop_assert_eq!(ran.report.rejects.len(), rejected.min(Failure::CAUSES_MAX));
        let places: Vec<u64> = rejects.iter().skip(1).map(|r| r[4].parse().unwrap()).collect();
        prop_assert!(places.is_sorted_by(|a, b| a < b), "in the order of the file: {:?}", places);
        for reject in rejects.iter().skip(1) {
            let byte: usize = reject[4].parse().unwrap();
            prop_assert!(input[byte..].starts_with(&reject[7]), "{:?} at {}", &reject[7], byte);
            let line = 1 + input[..byte].matches('\n').count();
            prop_assert_eq!(&reject[3], &line.to_string());
        }
        let whole = run(&spec, input.as_bytes(), engine::CHUNK, 1).unwrap();
        prop_assert!(whole.out == ran.out && whole.rejects == ran.rejects, "the same bytes");
    }
}

#[test]
fn a_check_is_told_with_its_words_and_an_error_with_its_row() {
    let input = "id,value\n1,10\n2,0\n3,-7\n4,\n";
    let spec = spec(vec![
        ("expect", texts(&["value > -5"])),
        ("sql", text("SELECT id, 100 / value AS share FROM input")),
        ("on_bad_row", text("reject")),
    ]);
    let ran = run(&spec, input.as_bytes(), 7, 2).unwrap();
    assert_eq!(String::from_utf8(ran.out).unwrap(), "id,share\n1,10\n4,\n", "NULL passes a check");
    let lines: Vec<_> = ran.report.rejects.iter().map(|d| d.line).collect();
    assert_eq!(lines, [Some(3), Some(4)]);
    let reasons: Vec<_> = ran.report.rejects.iter().map(|d| d.message.as_str()).collect();
    assert_eq!(reasons, ["division by zero: 100 / value", "not as expected: value > -5"]);
}

#[test]
fn a_field_that_cannot_be_read_becomes_null_where_that_is_wanted() {
    let types = Value::Table(vec![Entry { key: "value".into(), key_span: 0..0, node: node(text("int")) }]);
    let keys = || vec![("columns", types.clone()), ("on_bad_row", text("null"))];
    let ran = run(&spec(keys()), b"id,value\n1,x\n2,5\n3\n", 5, 2).unwrap();
    assert_eq!(String::from_utf8(ran.out).unwrap(), "id,value\n1,\n2,5\n");
    assert_eq!(ran.report.rejected, 1, "a row without its fields is no row");
    let mut required = keys();
    required.push(("require", texts(&["value"])));
    let ran = run(&spec(required), b"id,value\n1,x\n2,5\n", 5, 2).unwrap();
    assert_eq!(ran.report.rejected, 1);
}

#[test]
fn a_stop_is_met_between_two_chunks() {
    let desk = TestDesk::new();
    desk.patience.store(3, std::sync::atomic::Ordering::SeqCst);
    let input: String = std::iter::once("id\n".to_owned()).chain((0..10_000).map(|n| format!("{n}\n"))).collect();
    let inputs = vec![gather::claimed(testing::input(&desk, "in.csv", input.as_bytes()))];
    let (spec, scratch) = (spec(Vec::new()), desk.dir.path().join("scratch"));
    let (now, target) = (DateTime::UNIX_EPOCH, "/base/out.csv".into());
    let stopped = engine::run(Order {
        spec: &spec,
        inputs,
        target,
        now,
        tuning: Tuning { chunk: 64, checkpoints: None },
        scratch: &scratch,
        desk: &desk,
        stopped: std::sync::Arc::new(|| false),
    });
    assert_eq!(stopped.unwrap_err().code, "stopped");
}

#[test]
fn parts_begin_where_the_next_piece_would_not_fit() {
    let desk = TestDesk::new();
    let input: String = std::iter::once("id\n".to_owned()).chain((0..3_000_000).map(|n| format!("{n:07}\n"))).collect();
    let inputs = vec![gather::claimed(testing::input(&desk, "in.csv", input.as_bytes()))];
    let spec = spec(vec![("split_size", text("16MiB"))]);
    let (scratch, now) = (desk.dir.path().join("scratch"), DateTime::UNIX_EPOCH);
    let order = Order {
        spec: &spec,
        inputs,
        target: "/base/out.csv".into(),
        now,
        tuning: Tuning::default(),
        scratch: &scratch,
        desk: &desk,
        stopped: std::sync::Arc::new(|| false),
    };
    engine::run(order).unwrap();
    let (first, second) = (desk.bytes("out-1.csv"), desk.bytes("out-2.csv"));
    assert!(first.len() <= 16 << 20 && first.len() > 14 << 20, "{}", first.len());
    assert!(second.starts_with(b"id\n"), "each part has its names");
    assert_eq!([&first[..], &second[3..]].concat(), input.as_bytes());
}

#[test]
fn an_attempt_goes_on_where_the_one_before_was_cut_off() {
    let mut input = String::from("id,value\n");
    for id in 0..2000 {
        input.push_str(&format!("{id},{}\n", if id % 50 == 7 { "many".into() } else { (id * 3).to_string() }));
    }
    let types = Value::Table(vec![Entry { key: "value".into(), key_span: 0..0, node: node(text("int")) }]);
    let sql = text("SELECT id, value + 1 AS next, _line FROM input");
    let spec = spec(vec![("columns", types), ("on_bad_row", text("reject")), ("sql", sql)]);
    let whole = run(&spec, input.as_bytes(), 256, 1).unwrap();
    let tuning = Tuning { chunk: 256, checkpoints: Some(std::time::Duration::ZERO) };
    for cut in [1, 2, 10, 40] {
        let desk = TestDesk::new();
        let claimed = testing::input(&desk, "in.csv", input.as_bytes());
        let inputs = vec![gather::claimed(claimed)];
        let (now, scratch) = (DateTime::UNIX_EPOCH, desk.dir.path().join("scratch"));
        let again = |inputs| Order {
            spec: &spec,
            inputs,
            target: "/base/out.csv".into(),
            now,
            tuning,
            scratch: &scratch,
            desk: &desk,
            stopped: std::sync::Arc::new(|| false),
        };
        desk.patience.store(cut, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(engine::run(again(inputs.clone())).unwrap_err().code, "stopped");
        desk.patience.store(usize::MAX, std::sync::atomic::Ordering::SeqCst);
        let state = desk.checkpoints.lock().unwrap().last().cloned();
        assert!(state.is_some() || cut < 10, "noted after every piece");
        if let Some(state) = state {
            // What was written behind the checkpoint is cut off again.
            let out = desk.written().len();
            *desk.resume.lock().unwrap() = Some(state);
            let report = engine::run(again(inputs)).unwrap();
            assert_eq!(desk.written().len(), out.max(2), "the same files");
            assert_eq!(report, whole.report);
            assert!(
                desk.bytes("out.csv") == whole.out && desk.bytes("out.rejects.csv") == whole.rejects.clone().unwrap()
            );
        }
    }
}

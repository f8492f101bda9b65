//! Whole files through the action: what the sidecar says, what the copy holds, what a failure tells.

use super::*;
use crate::actions::testing::{TestDesk, input, order};
use crate::model::FailureClass;
use std::os::unix::ffi::OsStringExt;
use std::sync::atomic::Ordering;

impl Default for Extract {
    fn default() -> Self {
        Self {
            output: Template::parse(OUTPUT).unwrap(),
            on_exists: OnExists::Suffix,
            unsupported: Unsupported::Describe,
            encoding: None,
            delimiter: None,
            max_size: None,
        }
    }
}

/// Runs an action on a file.
pub(super) fn run(desk: &Arc<TestDesk>, action: Extract, name: &str, raw: &[u8]) -> Result<Report, Failure> {
    let order = order(desk, Some(input(desk, name, raw)));
    crate::actions::testing::run(Arc::new(action), order)
}

/// A desk in an Arc, as orders want it.
pub(super) fn desk() -> Arc<TestDesk> {
    Arc::new(TestDesk::new())
}

#[test]
fn a_file_is_too_large_for_its_task() {
    let desk = desk();
    let failure = run(&desk, Extract { max_size: Some(3), ..Extract::default() }, "a.txt", b"four").unwrap_err();
    assert_eq!((failure.class, failure.code.as_str()), (FailureClass::Permanent, "too_large"));
    run(&desk, Extract { max_size: Some(4), ..Extract::default() }, "a.txt", b"four").unwrap();
}

#[test]
fn a_name_that_is_not_utf8_is_kept_in_base64() {
    let desk = desk();
    let mut file = input(&desk, "a.txt", b"words");
    file.name = std::ffi::OsString::from_vec(b"\xff\x1b.txt".to_vec());
    crate::actions::testing::run(Arc::new(Extract::default()), order(&desk, Some(file))).unwrap();
    let target = desk.written()[0].clone();
    assert_eq!(target.as_os_str().as_encoded_bytes(), b"/base/out/docs/\xff\x1b.txt.json");
    let name = target.file_name().unwrap().to_owned();
    let raw = std::fs::read_dir(desk.dir.path()).unwrap().find_map(|e| {
        let e = e.unwrap();
        e.file_name().to_string_lossy().starts_with(".sb-").then(|| std::fs::read(e.path()).unwrap())
    });
    let json: serde_json::Value = serde_json::from_slice(&raw.unwrap()).unwrap();
    assert_eq!(
        (json["file"].as_str(), json["file_b64"].as_str()),
        (Some("\\xff\\x1b.txt"), Some("/xsudHh0")),
        "{name:?}"
    );
}

#[test]
fn a_stop_is_met_between_chunks() {
    for name in ["a.txt", "a.csv", "a.bin"] {
        let desk = desk();
        desk.patience.store(2, Ordering::SeqCst);
        let failure = run(&desk, Extract::default(), name, &b"a,b\n".repeat(source::CHUNK)).unwrap_err();
        assert_eq!(failure.code, "stopped", "{name}");
    }
}

#[test]
fn progress_is_shown_for_large_files_only() {
    let desk = desk();
    run(&desk, Extract::default(), "small.csv", b"a,b\n1,2\n").unwrap();
    assert_eq!(desk.progress.lock().unwrap().len(), 0);
    let raw = b"a,b\n".repeat(source::CHUNK);
    run(&desk, Extract::default(), "large.csv", &raw).unwrap();
    let progress = desk.progress.lock().unwrap();
    let last = progress.last().unwrap();
    assert_eq!((last.bytes, last.bytes_total), (raw.len() as u64, Some(raw.len() as u64)));
    assert!(progress.windows(2).all(|w| w[0].bytes <= w[1].bytes && w[0].rows <= w[1].rows));
}

#[test]
fn a_job_without_a_file_is_refused() {
    let desk = desk();
    let failure = crate::actions::testing::run(Arc::new(Extract::default()), order(&desk, None)).unwrap_err();
    assert_eq!(failure.code, "no_input");
}

#[test]
fn numbers_are_grouped() {
    let of = |n| grouped(n);
    assert_eq!([of(0), of(999), of(1041), of(1_234_567)], ["0", "999", "1,041", "1,234,567"]);
}

mod configuration {
    use super::super::*;
    use crate::model::block::{Complaints, Entry, Node, Value};

    fn build(entries: &[(&str, Value)]) -> (Option<Arc<dyn Action>>, Vec<String>) {
        let entries = entries.iter().map(|(key, value)| Entry {
            key: (*key).to_owned(),
            key_span: 0..1,
            node: Node { span: 1..2, value: value.clone() },
        });
        let node = Node { span: 0..9, value: Value::Table(entries.collect()) };
        let sink = Complaints::default();
        let action = ExtractKind.build(&mut Block::open("tasks.a.extract", &node, Path::new("/base"), &sink));
        (action, sink.into_sorted().into_iter().map(|c| c.message).collect())
    }

    fn text(s: &str) -> Value {
        Value::String(s.to_owned())
    }

    #[test]
    fn the_empty_table_is_enough() {
        let (action, problems) = build(&[]);
        let action = action.unwrap();
        assert_eq!((action.name(), action.idempotent(), problems.len()), ("extract", true, 0));
        assert_eq!(action.outputs()[0].source(), "out/{task}/{name}.json");
    }

    #[test]
    fn every_key_is_read() {
        let (action, problems) = build(&[
            ("output", text("facts/{name}.json")),
            ("on_exists", text("replace")),
            ("unsupported", text("fail")),
            ("encoding", text("cp949")),
            ("delimiter", text("\t")),
            ("max_size", text("10MB")),
        ]);
        assert!(problems.is_empty(), "{problems:?}");
        let shown = format!("{:?}", action.unwrap());
        for part in ["facts/{name}.json", "Replace", "Fail", "EUC-KR", "Some(9)", "Some(10000000)"] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
    }

    #[test]
    fn every_mistake_is_told() {
        let (action, problems) = build(&[
            ("output", text("{input}.json")),
            ("unsupported", text("ignore")),
            ("encoding", text("klingon")),
            ("delimiter", text("\"")),
            ("max_size", Value::Integer(5)),
            ("colour", text("red")),
        ]);
        assert!(action.is_none());
        assert_eq!(problems.len(), 6, "{problems:?}");
        for key in ["output", "unsupported", "encoding", "delimiter", "max_size"] {
            assert!(build(&[(key, Value::Boolean(true))]).0.is_none(), "{key}");
        }
    }
}

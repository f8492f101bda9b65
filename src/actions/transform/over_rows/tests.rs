//! Statements over more than one row, from the files to the files.

use crate::actions::testing::{self, TestDesk};
use crate::actions::transform::engine::{self, CHUNK, Order, Tuning};
use crate::actions::transform::gather;
use crate::actions::transform::spec::Spec;
use crate::model::action::network::{AnswerCache, Hosts};
use crate::model::action::{Level, Resume, Stop};
use crate::model::block::{Complaint, Complaints, Entry, Node, Value};
use crate::model::{Block, Desk, Failure, Report};
use chrono::DateTime;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Longest time that anything here may take, even on a busy machine.
const SOON: Duration = Duration::from_secs(20);

fn entry(key: &str, value: Value) -> Entry {
    // A text stands at the places of its own bytes.
    let len = if let Value::String(text) = &value { text.len() } else { 0 };
    Entry { key: key.into(), key_span: 0..0, node: Node { span: 0..len, value } }
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn texts(list: &[&str]) -> Value {
    Value::Array(list.iter().map(|t| Node { span: 0..0, value: text(t) }).collect())
}

fn pairs(list: &[(&str, &str)]) -> Value {
    Value::Table(list.iter().map(|(key, value)| entry(key, text(value))).collect())
}

fn read(keys: Vec<(&str, Value)>, base: &Path) -> Result<Spec, Vec<Complaint>> {
    let entries = keys.into_iter().map(|(key, value)| entry(key, value)).collect();
    let table = Node { span: 0..0, value: Value::Table(entries) };
    let complaints = Complaints::default();
    let spec = Spec::read(&mut Block::open("t", &table, base, &complaints));
    if complaints.is_empty() { Ok(spec.unwrap()) } else { Err(complaints.into_sorted()) }
}

/// A run with its desk, as a test wants it.
struct Case {
    desk: TestDesk,
    spec: Spec,
    chunk: usize,
}

impl Case {
    /// `files` lie in the folder that relative paths start at.
    fn new(keys: Vec<(&str, Value)>, files: &[(&str, &str)]) -> Self {
        let desk = TestDesk::new();
        for (name, content) in files {
            std::fs::write(desk.dir.path().join(name), content).unwrap();
        }
        let spec = read(keys, desk.dir.path()).unwrap();
        Self { desk, spec, chunk: 64 }
    }

    fn order<'a>(&'a self, input: &str, scratch: &'a Path, desk: &'a dyn Desk) -> Order<'a> {
        Order {
            spec: &self.spec,
            inputs: vec![gather::claimed(testing::input(&self.desk, "in.csv", input.as_bytes()))],
            target: "/base/out.csv".into(),
            now: DateTime::UNIX_EPOCH,
            tuning: Tuning { chunk: self.chunk, ..Tuning::default() },
            scratch,
            desk,
            stopped: Arc::new(|| false),
        }
    }

    fn run(&self, input: &str, threads: usize) -> Result<Report, Failure> {
        self.desk.workers.store(threads, Ordering::SeqCst);
        let scratch = self.desk.dir.path().join("scratch");
        let report = engine::run(self.order(input, &scratch, &self.desk));
        let left = std::fs::read_dir(&scratch).map_or(0, Iterator::count);
        assert_eq!(left, 0, "nothing is left in the scratch folder");
        report
    }

    fn out(&self, name: &str) -> String {
        String::from_utf8(self.desk.bytes(name)).unwrap()
    }
}

/// Runs a statement with 1, 2 and 5 threads, and gives what all of them wrote.
#[track_caller]
fn same(keys: &dyn Fn() -> Vec<(&'static str, Value)>, files: &[(&str, &str)], input: &str) -> (Report, Case) {
    let mut first: Option<(Report, Case)> = None;
    for threads in [1, 2, 5] {
        let case = Case::new(keys(), files);
        let report = case.run(input, threads).unwrap();
        match &first {
            None => first = Some((report, case)),
            Some((known, other)) => {
                assert_eq!(*known, report, "{threads} threads");
                assert_eq!(other.desk.written(), case.desk.written());
                for path in case.desk.written() {
                    let name = path.file_name().unwrap().to_str().unwrap();
                    assert_eq!(other.out(name), case.out(name), "{threads} threads");
                }
            }
        }
    }
    first.unwrap()
}

fn sales(rows: u32) -> String {
    let row = |n: u32| format!("{n},c{},{}\n", n % 7, f64::from(n % 100) / 8.0);
    std::iter::once("id,code,value\n".to_owned()).chain((0..rows).map(row)).collect()
}

#[test]
fn rows_are_grouped_and_ordered() {
    let sql = "SELECT code, count(*) AS n, sum(value) AS total FROM input GROUP BY code ORDER BY code DESC LIMIT 2";
    let (report, case) = same(&|| vec![("sql", text(sql))], &[], &sales(2000));
    let total = |code: u32| (0..2000).filter(|n| n % 7 == code).map(|n| f64::from(n % 100) / 8.0).sum::<f64>();
    assert_eq!(case.out("out.csv"), format!("code,n,total\nc6,285,{}\nc5,285,{}\n", total(6), total(5)));
    assert_eq!((report.rows, report.rows_out), (Some(2000), Some(2)));
}

#[test]
fn an_expression_over_all_rows_is_noticed_when_it_meets_the_columns() {
    let (report, case) = same(&|| vec![("sql", text("SELECT count(*) AS n FROM input"))], &[], &sales(500));
    assert_eq!(case.out("out.csv"), "n\n500\n");
    assert_eq!((report.rows, report.rows_out), (Some(500), Some(1)));
}

#[test]
fn rows_are_joined_to_a_reference_file_in_their_order() {
    let sql = "SELECT id, name FROM input JOIN names ON input.code = names.code WHERE id % 100 < 9";
    let keys = || vec![("sql", text(sql)), ("tables", pairs(&[("names", "./ref/../names.csv")]))];
    let (_, case) = same(&keys, &[("names.csv", "code,name\nc1,one\nc2,two\n")], &sales(1000));
    let wanted = (0..1000).filter(|n| n % 100 < 9 && [1, 2].contains(&(n % 7)));
    let rows = wanted.map(|n| format!("{n},{}\n", if n % 7 == 1 { "one" } else { "two" }));
    let wanted: String = std::iter::once("id,name\n".to_owned()).chain(rows).collect();
    assert_eq!(case.out("out.csv"), wanted);
}

#[test]
fn a_table_in_a_condition_is_looked_for_too() {
    let sql = "SELECT id FROM input WHERE code IN (SELECT code FROM names) AND id < 10";
    let keys = || vec![("sql", text(sql)), ("tables", pairs(&[("names", "names.csv")]))];
    let (_, case) = same(&keys, &[("names.csv", "code\nc3\n")], &sales(100));
    assert_eq!(case.out("out.csv"), "id\n3\n");
    let error = read(vec![("sql", text(sql))], Path::new("/")).unwrap_err();
    assert_eq!(error[0].message, "there is no table names");
}

#[test]
fn bad_rows_are_set_aside_beside_it() {
    let mut input = sales(300);
    input.push_str("300,c1,many\n5,c1,1\n301,c1,-1\n302,c9,5\n");
    let keys = || {
        vec![
            ("sql", text("SELECT code, count(*) AS n FROM input GROUP BY code ORDER BY n, code")),
            ("columns", pairs(&[("value", "float")])),
            ("expect", texts(&["value >= 0"])),
            ("unique", texts(&["id"])),
            ("on_bad_row", text("reject")),
        ]
    };
    let (report, case) = same(&keys, &[], &input);
    assert_eq!(case.out("out.csv"), "code,n\nc9,1\nc6,42\nc0,43\nc1,43\nc2,43\nc3,43\nc4,43\nc5,43\n");
    assert_eq!((report.rows, report.rows_out, report.rejected), (Some(304), Some(8), 3));
    let rejects = case.out("out.rejects.csv");
    assert_eq!(rejects.lines().count(), 4, "{rejects}");
    assert!(rejects.contains("300,c1,many") && rejects.contains("the same id as the row at byte"), "{rejects}");
}

#[test]
fn a_bad_row_fails_the_job_and_all_of_them_are_counted() {
    let mut input = sales(300);
    input.push_str("300,c1,many\n");
    input.push_str(sales(300).strip_prefix("id,code,value\n").unwrap());
    input.push_str("301,c1,few\n");
    for sql in ["SELECT DISTINCT code FROM input", "SELECT * FROM input LIMIT 3", "SELECT sum(value) FROM input"] {
        for threads in [1, 2, 5] {
            let case = Case::new(vec![("sql", text(sql)), ("columns", pairs(&[("value", "float")]))], &[]);
            let failure = case.run(&input, threads).unwrap_err();
            assert_eq!((failure.code.as_str(), failure.line), ("bad_row", Some(302)), "{sql}: {failure}");
            assert_eq!(failure.causes.len(), 2);
        }
    }
}

#[test]
fn who_has_enough_keeps_nobody_waiting() {
    let (report, case) = same(&|| vec![("sql", text("SELECT id FROM input LIMIT 3"))], &[], &sales(5000));
    assert_eq!(case.out("out.csv"), "id\n0\n1\n2\n");
    assert_eq!((report.rows, report.rows_out), (Some(5000), Some(3)), "the others are checked");
}

#[test]
fn the_failure_of_a_statement_ends_everybody() {
    for threads in [1, 2, 5] {
        let began = Instant::now();
        let sql = "SELECT DISTINCT 100 / (id - 700) AS x FROM input";
        let case = Case::new(vec![("sql", text(sql)), ("columns", pairs(&[("id", "int")]))], &[]);
        // The bad row stands behind what the statement cannot compute.
        let mut input = sales(20_000);
        input.push_str("x,y\n");
        assert_eq!(case.run(&input, threads).unwrap_err().code, "sql_division_by_zero");
        assert!(began.elapsed() < SOON);
        let input = sales(20_000).replace("\n100,", "\nx,");
        let case = Case { desk: TestDesk::new(), ..case };
        assert_eq!(case.run(&input, threads).unwrap_err().code, "bad_row", "it stands before that");
    }
}

#[test]
fn what_a_statement_cannot_mean_is_told_before_any_output() {
    let case = Case::new(vec![("sql", text("SELECT cod, count(*) FROM input GROUP BY cod"))], &[]);
    let failure = case.run(&sales(3), 2).unwrap_err();
    assert!(failure.code == "sql" && failure.message.contains("did you mean code"), "{failure}");
    assert!(case.desk.written().is_empty());
    let tables = pairs(&[("names", "names.csv")]);
    let case = Case::new(vec![("sql", text("SELECT * FROM input, names")), ("tables", tables)], &[]);
    let failure = case.run(&sales(3), 2).unwrap_err();
    assert!(failure.message.contains("names.csv"), "{failure}");
}

#[test]
fn a_failure_of_the_input_ends_the_statement() {
    // The second file has another header.
    for threads in [1, 2, 5] {
        let case = Case::new(vec![("sql", text("SELECT id FROM input ORDER BY id"))], &[]);
        case.desk.workers.store(threads, Ordering::SeqCst);
        let scratch = case.desk.dir.path().join("scratch");
        let mut order = case.order(&sales(400), &scratch, &case.desk);
        order.inputs.push(gather::claimed(testing::input(&case.desk, "b.csv", b"id,cod\n1,2\n")));
        let failure = engine::run(order).unwrap_err();
        assert!(failure.code.starts_with("header"), "{failure}");
    }
}

#[test]
fn an_output_that_cannot_be_checked_any_more_is_told_in_its_words() {
    for threads in [1, 2, 5] {
        let keys = vec![
            ("sql", text("SELECT code, count(*) AS n FROM input GROUP BY code")),
            ("expect", texts(&["id < 50"])),
            ("on_bad_row", text("reject")),
            ("max_rejects", Value::Integer(10)),
        ];
        let failure = Case::new(keys, &[]).run(&sales(3000), threads).unwrap_err();
        assert_eq!(failure.code, "too_many_rejects");
    }
}

#[test]
fn the_result_can_be_split_and_packed() {
    let keys = || {
        vec![
            ("sql", text("SELECT code, max(id) AS last FROM input GROUP BY code ORDER BY code")),
            ("split_by", text("code")),
            ("output_compression", text("gzip")),
        ]
    };
    let case = Case::new(keys(), &[]);
    case.run(&sales(100), 2).unwrap();
    assert_eq!(case.desk.written().len(), 7);
    let mut plain = String::new();
    let packed = case.desk.bytes("out-c3.csv");
    std::io::Read::read_to_string(&mut flate2::read::MultiGzDecoder::new(&packed[..]), &mut plain).unwrap();
    assert_eq!(plain, "code,last\nc3,94\n");
}

#[test]
fn a_small_share_of_the_memory_is_enough() {
    let case = Case::new(vec![("sql", text("SELECT id, value FROM input ORDER BY value, id DESC"))], &[]);
    case.desk.memory.store(1, Ordering::SeqCst);
    case.run(&sales(3000), 5).unwrap();
    let out = case.out("out.csv");
    assert!(out.starts_with("id,value\n2900,0.0\n2800,0.0\n"), "{}", &out[..40]);
    assert_eq!(out.lines().count(), 3001);
}

#[test]
fn a_stop_is_heard_by_both_sides() {
    for threads in [1, 2, 5] {
        for patience in [0, 3, 40] {
            let case = Case::new(vec![("sql", text("SELECT DISTINCT id FROM input"))], &[]);
            case.desk.workers.store(threads, Ordering::SeqCst);
            case.desk.patience.store(patience, Ordering::SeqCst);
            let scratch = case.desk.dir.path().join("scratch");
            let order = case.order(&sales(5000), &scratch, &case.desk);
            assert_eq!(engine::run(order).unwrap_err().code, "stopped");
        }
        // The statement alone hears it: it is the one that is slow.
        let sql = "SELECT count(*) AS n FROM input a, input b, input c WHERE a.value < b.value + c.value";
        let case = Case { chunk: CHUNK, ..Case::new(vec![("sql", text(sql))], &[]) };
        case.desk.workers.store(threads, Ordering::SeqCst);
        let scratch = case.desk.dir.path().join("scratch");
        let began = Instant::now();
        let stopped = move || began.elapsed() > Duration::from_millis(300);
        let order = Order { stopped: Arc::new(stopped), ..case.order(&sales(5000), &scratch, &case.desk) };
        assert_eq!(engine::run(order).unwrap_err().code, "stopped");
        assert!(began.elapsed() < SOON);
    }
}

/// A desk whose system gives no thread, or whose output fails by a panic.
struct Odd<'a> {
    desk: &'a TestDesk,
    alone: bool,
    panics: AtomicBool,
    asked: AtomicUsize,
}

impl<'a> Odd<'a> {
    fn new(desk: &'a TestDesk, alone: bool, panics: bool) -> Self {
        Self { desk, alone, panics: AtomicBool::new(panics), asked: AtomicUsize::new(0) }
    }
}

impl Desk for Odd<'_> {
    fn outputs(
        &self,
        target: &Path,
        siblings: &dyn Fn(&Path) -> Vec<std::path::PathBuf>,
        on_exists: crate::model::OnExists,
    ) -> Result<Vec<crate::model::action::OutputFile>, Failure> {
        self.desk.outputs(target, siblings, on_exists)
    }

    fn workers(&self) -> usize {
        3
    }

    fn crew(&self, threads: usize, work: &(dyn Fn(usize) + Sync)) {
        if self.alone { work(0) } else { self.desk.crew(threads, work) }
    }

    fn memory(&self, bytes: u64) -> Result<crate::model::action::Grant, Failure> {
        self.desk.memory(bytes)
    }

    fn checkpoint(&self, state: &[u8]) -> Result<(), Failure> {
        self.desk.checkpoint(state)
    }

    fn resume(&self) -> Option<Resume> {
        None
    }

    fn start_afresh(&self) -> Result<(), Failure> {
        self.desk.start_afresh()
    }

    fn log(&self, _: Level, _: &str) {}

    fn progress(&self, _: crate::model::action::Progress) {}

    fn stopped(&self) -> Option<Stop> {
        assert!(
            self.asked.fetch_add(1, Ordering::SeqCst) != 20 || !self.panics.swap(false, Ordering::SeqCst),
            "a worker panics"
        );
        None
    }

    fn child(
        &self,
        spec: crate::model::action::ChildSpec,
    ) -> crate::model::action::BoxFuture<Result<crate::model::action::ChildExit, Failure>> {
        self.desk.child(spec)
    }

    fn until_stopped(&self) -> crate::model::action::BoxFuture<Stop> {
        self.desk.until_stopped()
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        self.desk.blocking(work);
    }

    fn secret(&self, secret: &crate::model::Secret) -> Result<String, Failure> {
        self.desk.secret(secret)
    }

    fn hosts(&self) -> Arc<dyn Hosts> {
        self.desk.hosts()
    }

    fn answers(&self) -> Arc<dyn AnswerCache> {
        self.desk.answers()
    }
}

#[test]
fn a_system_without_threads_fails_the_job_and_keeps_nobody_waiting() {
    let case = Case::new(vec![("sql", text("SELECT DISTINCT code FROM input"))], &[]);
    let scratch = case.desk.dir.path().join("scratch");
    let odd = Odd::new(&case.desk, true, false);
    let failure = engine::run(case.order(&sales(50), &scratch, &odd)).unwrap_err();
    assert_eq!(failure.code, "no_thread");
}

#[test]
fn a_panic_of_a_worker_keeps_nobody_waiting() {
    let case = Case::new(vec![("sql", text("SELECT DISTINCT id FROM input"))], &[]);
    let scratch = case.desk.dir.path().join("scratch");
    let odd = Odd::new(&case.desk, false, true);
    let order = case.order(&sales(5000), &scratch, &odd);
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| engine::run(order))).is_err());
}

#[test]
fn tables_are_named_and_found_when_the_configuration_is_read() {
    let told = |keys| read(keys, Path::new("/conf")).unwrap_err().remove(0);
    let sql = "SELECT * FROM input JOIN price USING (id)";
    let complaint = told(vec![("sql", text(sql)), ("tables", pairs(&[("prices", "p.csv")]))]);
    assert_eq!(complaint.message, "there is no table price");
    let complaint = told(vec![("tables", pairs(&[("Input", "p.csv")]))]);
    assert_eq!(complaint.message, "`input` is the table of the rows that are read");
    let spec = read(vec![("tables", pairs(&[("prices", "ref/p.csv")]))], Path::new("/conf")).unwrap();
    assert_eq!(spec.tables, [("prices".to_owned(), "/conf/ref/p.csv".into())]);
    assert_eq!(
        told(vec![("sql", text("SELECT a FROM input ORDER BY"))]).message,
        "expected an expression, found the end"
    );
}

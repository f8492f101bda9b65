//! What a statement makes of a table.

use super::*;
use crate::actions::transform::output::{self, OutFormat, Style};
use crate::actions::transform::table::{Column, ColumnType, Compression, Table};
use crate::model::Failure;
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

/// A table of its own for each test: rows of `id`, `code` and `value`, in batches of three.
struct World {
    folder: tempfile::TempDir,
    tables: Vec<(String, PathBuf)>,
    memory: u64,
    rows: i64,
    batch: i64,
}

impl World {
    fn new(rows: i64) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), tables: Vec::new(), memory: 64 << 20, rows, batch: 3 }
    }

    fn table(mut self, name: &str, content: &str) -> Self {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let stem = name.split('.').next().unwrap().to_owned();
        self.tables.push((stem, path));
        self
    }

    fn settings(&self) -> Settings<'_> {
        let now = DateTime::from_timestamp(1_795_219_200, 0).unwrap();
        Settings { memory: self.memory, threads: 2, scratch: self.folder.path(), now, tables: &self.tables }
    }

    fn columns() -> Table {
        let column = |name: &str, kind| Column { name: name.into(), kind };
        Table {
            columns: vec![
                column("id", ColumnType::Int),
                column("Code", ColumnType::Text),
                column("value", ColumnType::Float),
            ],
        }
    }

    fn batch(schema: &SchemaRef, rows: std::ops::Range<i64>) -> RecordBatch {
        let codes = rows.clone().map(|i| (i % 5 != 4).then(|| format!("c{}", i % 5)));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(rows.clone())),
            Arc::new(codes.collect::<StringArray>()),
            Arc::new(Float64Array::from_iter_values(rows.clone().map(|i| (i * 7 % 10) as f64 / 2.0))),
            Arc::new(StringArray::from_iter_values(rows.clone().map(|_| "in.csv"))),
            Arc::new(Int64Array::from_iter_values(rows.map(|i| i + 2))),
        ];
        RecordBatch::try_new(Arc::clone(schema), columns).unwrap()
    }

    fn run(&self, sql: &str) -> Result<String, Failure> {
        let style = Style { format: OutFormat::Csv { delimiter: b',', header: true }, null: "NULL".into() };
        let mut text = Vec::new();
        let mut body = Vec::new();
        self.run_with(
            sql,
            &never(),
            &mut |schema| {
                output::header(schema, &style, &mut text);
                Ok(())
            },
            &mut |batch| output::format(&batch, &style, &mut body),
        )?;
        text.extend(body);
        Ok(String::from_utf8(text).unwrap())
    }

    fn run_with(
        &self,
        sql: &str,
        stopped: &Stopped,
        schema_out: &mut dyn FnMut(&SchemaRef) -> Result<(), Failure>,
        out: &mut dyn FnMut(RecordBatch) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let query = parse(sql).map_err(|error| Failure::permanent("sql_statement", error.to_string()))?;
        let schema = Self::columns().schema();
        let (send, batches) = sync_channel(2);
        std::thread::scope(|scope| {
            let ours = Arc::clone(&schema);
            let (rows, batch) = (self.rows, self.batch);
            scope.spawn(move || {
                for from in (0..rows).step_by(batch as usize) {
                    if send.send(Ok(Self::batch(&ours, from..rows.min(from + batch)))).is_err() {
                        return;
                    }
                }
            });
            run(&query, &schema, batches, &self.settings(), stopped, schema_out, out)
        })
    }

    /// Nothing is left in the scratch folder beside the tables.
    fn is_clean(&self) -> bool {
        std::fs::read_dir(self.folder.path()).unwrap().count() == self.tables.len()
    }
}

fn never() -> Stopped {
    Arc::new(|| false)
}

#[track_caller]
fn check(world: &World, sql: &str, want: &str) {
    let got = world.run(sql).unwrap_or_else(|failure| panic!("{sql}: {failure}"));
    assert_eq!(got, want, "{sql}");
    assert!(world.is_clean());
}

#[test]
fn a_wildcard_is_the_columns_of_the_records() {
    let world = World::new(2);
    check(&world, "SELECT * FROM input", "id,Code,value\n0,c0,0.0\n1,c1,3.5\n");
    check(&world, "SELECT i.*, _line FROM input AS i", "id,Code,value,_line\n0,c0,0.0,2\n1,c1,3.5,3\n");
    check(&world, "SELECT * EXCLUDE (CODE) FROM Input", "id,value\n0,0.0\n1,3.5\n");
    check(&world, "SELECT * FROM (SELECT * FROM input) WHERE ID > 0", "id,Code,value\n1,c1,3.5\n");
    check(&world, "SELECT a.id, b.Id AS other FROM input a JOIN input b ON a.id < b.id", "id,other\n0,1\n");
    check(
        &world,
        "SELECT a.*, 1 AS one FROM input a, input b WHERE a.id = b.id",
        "id,Code,value,one\n0,c0,0.0,1\n1,c1,3.5,1\n",
    );
}

#[test]
fn names_mean_the_only_column_that_differs_in_case() {
    let world = World::new(2);
    check(&world, "SELECT ID, code, input.CODE || 'x' FROM input", "id,Code,input.CODE || 'x'\n0,c0,c0x\n1,c1,c1x\n");
    check(&world, "SELECT id AS Code, \"Code\" AS c FROM input ORDER BY CODE DESC", "code,c\n1,c1\n0,c0\n");
}

#[test]
fn groups_order_and_distinct() {
    let world = World::new(10);
    check(
        &world,
        "SELECT code, count(*), sum(value) AS s FROM input GROUP BY code ORDER BY s DESC, code",
        "Code,count(*),s\nc2,2,6.5\nNULL,2,5.5\nc1,2,4.5\nc3,2,3.5\nc0,2,2.5\n",
    );
    check(&world, "SELECT DISTINCT code FROM input ORDER BY code LIMIT 2", "Code\nc0\nc1\n");
    check(&world, "SELECT DISTINCT upper(code) FROM input ORDER BY upper(code) LIMIT 2", "upper(code)\nC0\nC1\n");
    check(&world, "SELECT sum(id) + 1 FROM input WHERE id < 0", "sum(id) + 1\nNULL\n");
    check(&world, "SELECT id FROM input WHERE id < 0", "id\n");
}

#[test]
fn a_join_keeps_the_order_of_the_input_and_holds_the_reference() {
    let names = "code,Name\nc2,two\nc0,zero\nc2,deux\n";
    let world = World::new(7).table("names.csv", names);
    let inner = "id,Name\n0,zero\n2,two\n2,deux\n5,zero\n";
    check(&world, "SELECT id, name FROM input JOIN names ON input.code = names.code", inner);
    check(&world, "SELECT id, name FROM names n JOIN input i ON n.code = i.code", inner);
    let left = "id,Name\n0,zero\n1,NULL\n2,two\n2,deux\n3,NULL\n4,NULL\n5,zero\n6,NULL\n";
    check(&world, "SELECT id, name FROM input LEFT JOIN names ON input.code = names.code", left);
    check(&world, "SELECT id FROM input WHERE code IN (SELECT code FROM names)", "id\n0\n2\n5\n");
    check(
        &world,
        "SELECT id FROM input i WHERE NOT EXISTS (SELECT 1 FROM names n WHERE n.code = i.code)",
        "id\n1\n3\n4\n6\n",
    );
    check(&world, "SELECT id FROM input WHERE code NOT IN (SELECT code FROM names)", "id\n1\n3\n6\n");
    check(&world, "SELECT id, name FROM input, names WHERE id < 2 AND value > 1", "id,Name\n1,two\n1,zero\n1,deux\n");
    check(
        &world,
        "SELECT id, name FROM input LEFT JOIN names ON id > length(name) AND id < 5 WHERE id > 3",
        "id,Name\n4,two\n5,NULL\n6,NULL\n",
    );
    check(
        &world,
        "SELECT n.code, id FROM input FULL JOIN names n ON n.code = input.code AND id = 5",
        "code,id\nNULL,0\nNULL,1\nNULL,2\nNULL,3\nNULL,4\nc0,5\nNULL,6\nc2,NULL\nc2,NULL\n",
    );
}

#[test]
fn order_does_not_depend_on_batches() {
    let names = "code,name\nc2,two\nc0,zero\n";
    let sql = "SELECT id, name, row_number() OVER (PARTITION BY i.code ORDER BY value DESC) AS n FROM input i LEFT JOIN names ON i.code = names.code WHERE id % 3 <> 1";
    let mut want = None;
    for batch in [1, 7, 1000, 50_000] {
        let mut world = World::new(20_000).table("names.csv", names);
        world.batch = batch;
        let got = world.run(sql).unwrap();
        let ids: Vec<i64> = got.lines().skip(1).map(|l| l.split(',').next().unwrap().parse().unwrap()).collect();
        assert!(ids.is_sorted() && ids.len() == 13_333, "{batch}");
        assert_eq!(&got, want.get_or_insert(got.clone()), "{batch}");
    }
}

#[test]
fn parts_of_a_union_come_one_after_the_other() {
    let world = World::new(4).table("more.ndjson", "{\"id\": 7}\n{\"id\": 8}\n");
    check(&world, "SELECT id FROM input UNION ALL SELECT id FROM more", "id\n0\n1\n2\n3\n7\n8\n");
    check(&world, "SELECT id FROM more UNION ALL SELECT id FROM input", "id\n7\n8\n0\n1\n2\n3\n");
    check(&world, "SELECT id + 1 FROM input UNION ALL SELECT id FROM input LIMIT 6", "id + 1\n1\n2\n3\n4\n0\n1\n");
    check(&world, "SELECT count(*) AS n FROM (SELECT id FROM input UNION SELECT id FROM more)", "n\n6\n");
    check(&world, "SELECT id FROM input EXCEPT SELECT id FROM input WHERE id < 3", "id\n3\n");
}

#[test]
fn the_input_may_be_read_more_than_once() {
    let world = World::new(8);
    check(
        &world,
        "WITH m AS (SELECT avg(value) AS a FROM input) SELECT id FROM input, m WHERE value > a",
        "id\n1\n4\n5\n7\n",
    );
    check(&world, "SELECT id FROM input WHERE value = (SELECT max(value) FROM input)", "id\n7\n");
    check(
        &world,
        "WITH RECURSIVE up AS (SELECT 0 AS n UNION ALL SELECT up.n + 1 FROM up JOIN input ON input.id = up.n WHERE up.n < 3) SELECT n, id FROM up JOIN input ON id = n ORDER BY n",
        "n,id\n0,0\n1,1\n2,2\n3,3\n",
    );
}

#[test]
fn windows_see_the_order_of_the_input() {
    let world = World::new(6);
    check(
        &world,
        "SELECT id, lag(id) OVER () AS before, row_number() OVER () AS n FROM input WHERE id <> 2",
        "id,before,n\n0,NULL,1\n1,0,2\n3,1,3\n4,3,4\n5,4,5\n",
    );
    check(
        &world,
        "SELECT id, sum(value) OVER (ORDER BY id DESC) AS s FROM input",
        "id,s\n0,12.5\n1,12.5\n2,9.0\n3,7.0\n4,6.5\n5,2.5\n",
    );
}

#[test]
fn the_time_is_the_given_one() {
    let world = World::new(1);
    check(&world, "SELECT now() AS t, current_date AS d FROM input", "t,d\n2026-11-21T00:00:00,2026-11-21\n");
}

#[test]
fn what_does_not_fit_into_memory_goes_to_the_disk() {
    let mut world = World::new(300_000);
    world.memory = 32 << 20;
    world.batch = 20_000;
    for (sql, rows) in [
        ("SELECT id, repeat(code, 40) AS t FROM input ORDER BY t DESC, id", 300_000),
        ("SELECT concat(repeat('x', 60), id) AS t, count(*) AS n FROM input GROUP BY t", 300_000),
        (
            "SELECT id, concat(repeat('x', 60), id) AS t, row_number() OVER (PARTITION BY code ORDER BY value, id) AS n FROM input",
            300_000,
        ),
        ("SELECT a.id, b.code FROM input a JOIN input b ON a.id + 1 = b.id ORDER BY b.code, a.id DESC", 299_999),
    ] {
        let (mut spilled, mut got) = (false, 0);
        world
            .run_with(sql, &never(), &mut |_| Ok(()), &mut |batch| {
                let mut folders = std::fs::read_dir(world.folder.path()).unwrap();
                spilled |= folders.any(|f| std::fs::read_dir(f.unwrap().path()).unwrap().count() > 0);
                got += batch.num_rows();
                Ok(())
            })
            .unwrap();
        assert!(spilled, "{sql}");
        assert_eq!(got, rows, "{sql}");
        assert!(world.is_clean());
    }
}

#[test]
fn what_cannot_go_to_the_disk_fails_for_want_of_memory() {
    let mut world = World::new(300_000);
    world.memory = 8 << 20;
    world.batch = 20_000;
    let failure = world.run("SELECT string_agg(repeat('x', id % 100), ',') AS all_of_them FROM input").unwrap_err();
    assert_eq!(failure.code, "sql_memory");
    assert_eq!(
        failure.message,
        "the statement needs more memory than it may use, raise `memory` of the supervisor or hold less with it: 8 MiB"
    );
}

#[test]
fn a_stop_is_heard_at_once() {
    for sql in [
        "SELECT id FROM input",
        "SELECT id FROM input ORDER BY value",
        "SELECT a.id FROM input a, input b",
        "SELECT id, count(*) FROM input GROUP BY id",
    ] {
        let mut world = World::new(i64::MAX);
        world.batch = 1000;
        let started = std::time::Instant::now();
        let after = std::time::Duration::from_millis(300);
        let stopped: Stopped = Arc::new(move || started.elapsed() > after);
        let failure = world.run_with(sql, &stopped, &mut |_| Ok(()), &mut |_| Ok(())).unwrap_err();
        assert_eq!(failure.code, "stopped", "{sql}");
        let took = started.elapsed().saturating_sub(after);
        // Steps that cannot be interrupted, such as a hash table that grows, take long without optimization.
        let most = if cfg!(debug_assertions) { 400 } else { 100 };
        assert!(took.as_millis() < most, "{sql}: {took:?}");
        assert!(world.is_clean(), "{sql}");
    }
}

#[test]
fn a_limit_ends_the_input_early() {
    let mut world = World::new(i64::MAX);
    world.batch = 1000;
    assert_eq!(world.run("SELECT id FROM input WHERE id >= 1500 LIMIT 2").unwrap(), "id\n1500\n1501\n");
}

#[test]
fn reference_files_are_read_as_the_input_is() {
    let mut world = World::new(3);
    let path = |name: &str| world.folder.path().join(name);
    let (korean, _, _) = encoding_rs::EUC_KR.encode("code;이름;no\nc0;서울;007\nc1;\"부;산\";010\n");
    std::fs::write(path("a.csv"), &korean).unwrap();
    let mut packed = Vec::new();
    let (array, gzip) = (br#"[{"code": "c1", "n": 1.5}, {"code": "c2"}]"#, Compression::Gzip);
    output::compress(array, gzip, &mut packed).unwrap();
    std::fs::write(path("b.json.gz"), packed).unwrap();
    let columns: [(&str, ArrayRef); 2] = [
        ("Code", Arc::new(StringArray::from(vec!["c2", "c0"]))),
        ("Unit Price", Arc::new(Float64Array::from(vec![2.25, 0.5]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = std::fs::File::create(path("c.PARQUET")).unwrap();
    let mut writer = datafusion::parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    world.tables =
        [("a", "a.csv"), ("b", "b.json.gz"), ("c", "c.PARQUET")].map(|(n, f)| (n.to_owned(), path(f))).into();
    let sql = "SELECT i.id, a.\"이름\", no, n, \"Unit Price\" * 2 AS p FROM input i LEFT JOIN a ON a.code = i.code \
               LEFT JOIN b ON b.code = i.code LEFT JOIN c ON c.code = i.code";
    check(&world, sql, "id,이름,no,n,p\n0,서울,007,NULL,1.0\n1,부;산,010,1.5,NULL\n2,NULL,NULL,NULL,4.5\n");
    check(&world, "SELECT count(*) AS n FROM input, c", "n\n6\n");
}

#[test]
fn a_reference_that_cannot_be_read_is_named() {
    let bad = format!("code,n\n{}c2,two\n", "c1,1\n".repeat(300_000));
    let world = World::new(3).table("bad.csv", &bad).table("empty.csv", "").table("cut.parquet", "PAR1");
    let failure = world.run("SELECT id, n FROM input JOIN bad ON bad.code = input.code").unwrap_err();
    let name = world.folder.path().join("bad.csv").display().to_string();
    assert_eq!(
        failure.message,
        format!("the reference file cannot be read: line 300,002, column 2: not a whole number: \"two\": {name}")
    );
    assert_eq!((failure.code.as_str(), failure.line, failure.file), ("bad_row", Some(300_002), Some(name)));
    let failure = world.run("SELECT id FROM input, empty").unwrap_err();
    assert_eq!(failure.code, "empty", "{failure}");
    let failure = world.run("SELECT id FROM input, cut").unwrap_err();
    assert_eq!(failure.code, "parquet", "{failure}");
}

#[test]
fn a_statement_that_does_not_fit_is_told_at_its_place() {
    let world = World::new(1).table("other.csv", "id,x\n1,2\n");
    for (sql, message, at) in [
        ("SELECT vlaue FROM input GROUP BY 1", "there is no column vlaue (did you mean value?)", "vlaue"),
        ("SELECT i.price FROM input i", "there is no column i.price (the columns are id, \"Code\", value)", "i.price"),
        (
            "SELECT id FROM input, other",
            "several tables have the column id (write the table in front, for example input.id)",
            "id",
        ),
        ("SELECT id FROM input JOIN othr ON true", "there is no table othr (did you mean other?)", "othr"),
        ("SELECT uper(code) FROM input", "there is no function uper (did you mean upper?)", "uper"),
        ("SELECT id, id FROM input", "two columns have the same name: id (name one of them with AS)", ""),
        ("SELECT random() FROM input", "a function gives another result each time: random()", ""),
        ("SELECT uuid() FROM input ORDER BY 1", "a function gives another result each time: uuid()", ""),
        (
            "SELECT i.id, o.id FROM input i, other o",
            "two columns have the same name: id (name one of them with AS)",
            "",
        ),
        ("SELECT id + true FROM input", "cannot coerce arithmetic expression int + bool to valid types", "id"),
        (
            "SELECT code FROM input GROUP BY id",
            "the column is neither grouped by nor summed up: Code (put it behind GROUP BY, or into a function such as min())",
            "code",
        ),
        (
            "SELECT sum(code) FROM input",
            "a function does not take such values: sum (cast them, for example `value::float`)",
            "",
        ),
        (
            "SELECT id FROM input UNION SELECT id, x FROM other",
            "UNION queries have different number of columns",
            "SELECT id FROM input UNION SELECT id, x FROM other",
        ),
        ("SELECT id FROM input WHERE value", "a condition must be true or false, not input.value", ""),
        ("SELECT $1 FROM input", "placeholder '$1' was not provided a value for execution", ""),
        ("SELECT id FROM input ORDER BY 2", "order by column out of bounds, specified: 2, max: 1", ""),
        ("SELECT CAST(id AS banana) FROM input", "this is not supported: unsupported SQL type banana", ""),
        (
            "SELECT array_agg(id) AS a FROM input",
            "a column of this type cannot be written: a (make text of it, for example with string_agg() or encode())",
            "",
        ),
        (
            "SELECT now() - now() AS a FROM input",
            "a span of time cannot be written: a (its seconds are date_part('epoch', x))",
            "",
        ),
    ] {
        let error = match parse(sql) {
            Ok(query) => outline(&query, &World::columns().schema(), &world.settings()).unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(error.to_string(), message, "{sql}");
        assert_eq!(error.at.map_or("", |a| &sql[a]), at, "{sql}");
    }
}

#[test]
fn a_value_that_cannot_be_computed_fails_the_job() {
    let world = World::new(3);
    for (sql, code, message) in [
        ("SELECT 10 / id AS x FROM input ORDER BY x", "sql_division_by_zero", "division by zero"),
        (
            "SELECT CAST(code AS INT) AS x FROM input GROUP BY x",
            "sql_value",
            "cannot cast string 'c0' to value of int type",
        ),
    ] {
        let failure = world.run(sql).unwrap_err();
        assert_eq!((failure.code.as_str(), failure.message.as_str()), (code, message), "{sql}");
        assert!(world.is_clean());
    }
}

#[test]
fn the_outline_tells_what_is_needed() {
    let world = World::new(0).table("names.csv", "code,name\nc2,two\n");
    let inputs = |sql| outline(&parse(sql).unwrap(), &World::columns().schema(), &world.settings()).unwrap();
    assert_eq!(inputs("SELECT count(*) AS n FROM input").inputs, Vec::<usize>::new());
    assert_eq!(inputs("SELECT name FROM input i JOIN names n ON n.code = i.code").inputs, [1]);
    let outline = inputs("SELECT sum(value), _line FROM input WHERE id > 1 GROUP BY _line ORDER BY 2");
    assert_eq!(outline.inputs, [0, 2, 4]);
    let names: Vec<_> = outline.output.fields().iter().map(|f| (f.name().as_str(), f.data_type().clone())).collect();
    assert_eq!(names, [("sum(value)", arrow_schema::DataType::Float64), ("_line", arrow_schema::DataType::Int64)]);
    assert_eq!(inputs("SELECT * FROM input").inputs, [0, 1, 2]);
}

#[test]
fn a_failure_of_the_input_arrives_as_it_is() {
    let world = World::new(0);
    for sql in ["SELECT id FROM input ORDER BY id", "SELECT a.id FROM input a JOIN input b ON a.id = b.id"] {
        let (send, batches) = sync_channel(1);
        send.send(Err(Failure::transient("input_changed", "it changed"))).unwrap();
        let schema = World::columns().schema();
        let query = parse(sql).unwrap();
        let mut nothing = |_: RecordBatch| Ok(());
        let failure =
            run(&query, &schema, batches, &world.settings(), &never(), &mut |_| Ok(()), &mut nothing).unwrap_err();
        assert_eq!(failure, Failure::transient("input_changed", "it changed"), "{sql}");
    }
}

#[test]
fn a_failure_of_the_output_ends_the_run() {
    let mut world = World::new(i64::MAX);
    world.batch = 1000;
    let mut full = |_: RecordBatch| Err(Failure::transient("disk_full", "no room"));
    let failure = world.run_with("SELECT id FROM input", &never(), &mut |_| Ok(()), &mut full).unwrap_err();
    assert_eq!(failure.code, "disk_full");
    let mut taken = |_: &SchemaRef| Err(Failure::permanent("output_exists", "taken"));
    let failure = world.run_with("SELECT id FROM input", &never(), &mut taken, &mut |_| Ok(())).unwrap_err();
    assert_eq!(failure.code, "output_exists");
}

#[test]
fn the_longest_and_the_deepest_statement_is_run() {
    let world = World::new(2);
    let chain = format!("SELECT id{} AS x FROM input", " + 1".repeat(490));
    check(&world, &chain, "x\n490\n491\n");
    let conditions = (0..240).map(|i| format!("id = {i}")).collect::<Vec<_>>().join(" OR ");
    check(&world, &format!("SELECT id FROM input WHERE {conditions} ORDER BY id"), "id\n0\n1\n");
    let deep = format!("SELECT {}id{} AS x FROM input", "abs(".repeat(48), ")".repeat(48));
    check(&world, &deep, "x\n0\n1\n");
    let nested = (0..20).fold("input".to_owned(), |inner, i| match i {
        0 => "(SELECT id FROM input) t0".to_owned(),
        _ => format!("(SELECT id FROM {inner}) t{i}"),
    });
    check(&world, &format!("SELECT id FROM {nested}"), "id\n0\n1\n");
}

//! Several tables: reference files, the input twice, unions, and the order of what comes of them.

use super::*;

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

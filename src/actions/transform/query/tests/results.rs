//! What statements make of a table.

use super::*;

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
    check(
        &world,
        "SELECT sum(id) AS a, sum(DISTINCT id % 3) AS b, sum(value) AS c, sum(1.5::decimal(9, 2)) AS d FROM input",
        "a,b,c,d\n45,3,22.5,15.00\n",
    );
    check(&world, "SELECT code, sum(id) AS s FROM input WHERE id < 0 GROUP BY code", "Code,s\n");
    check(&world, "SELECT 3 * (id + 1) - -id + 2 AS x FROM input WHERE id * 2 = 8", "x\n21\n");
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
fn a_condition_is_asked_only_where_those_before_it_leave_it_open() {
    let world = World::new(6).table("other.csv", "id,n\n0,0\n4,2\n");
    check(&world, "SELECT id FROM input WHERE id <> 0 AND 10 / id > 2 ORDER BY id DESC", "id\n3\n2\n1\n");
    check(
        &world,
        "SELECT id, id = 0 OR 10 % id = 1 AS b FROM input WHERE id < 4 ORDER BY id",
        "id,b\n0,true\n1,false\n2,false\n3,true\n",
    );
    check(&world, "SELECT id FROM input WHERE code ~ '[0-9]' AND value <> 0.5 AND substr(code, 2)::int > 1", "id\n2\n");
    check(&world, "SELECT i.id FROM input i, other o WHERE i.id = o.id AND n <> 0 AND 10 / n = 5", "id\n4\n");
    check(
        &world,
        "SELECT id FROM input WHERE id IN (SELECT id FROM other WHERE n > 0) AND id <> 0 AND 8 / id = 2",
        "id\n4\n",
    );
    check(&world, "SELECT count(*) FILTER (WHERE id <> 0 AND 10 / id > 2) AS n FROM input WHERE id > 0", "n\n3\n");
}

//! The rules that are our own: what counts, what fails, what things are called.

use super::{Rows, cell};
use crate::actions::transform::table::ColumnType;
use arrow_array::{Date32Array, TimestampMicrosecondArray};
use serde_json::{Value as Json, json};
use std::sync::Arc;

#[test]
fn a_statement_is_optional_and_a_star_is_the_columns_of_the_records() {
    let rows = Rows::ints(&[("Id", &[Some(1), None]), ("value", &[Some(3), Some(4)])]);
    for sql in ["", "SELECT * FROM input", "SELECT input.* FROM input", "SELECT t.* FROM input t"] {
        let batch = rows.run(sql).unwrap();
        let names: Vec<String> = batch.schema().fields().iter().map(|f| f.name().clone()).collect();
        assert_eq!(names, ["Id", "value"], "{sql}");
    }
    assert_eq!(rows.first("SELECT _line, _file FROM input"), [json!(2), json!(3)]);
    let batch = rows.run("SELECT * EXCLUDE (id), value AS v FROM input").unwrap();
    assert_eq!(batch.schema().fields().len(), 2);
    assert_eq!(rows.refused("SELECT * EXCEPT (id, value) FROM input").0, "nothing is left of *");
    assert_eq!(rows.refused("SELECT * EXCEPT (nope) FROM input").1, "nope");
    assert_eq!(
        rows.refused("SELECT * REPLACE (1 AS id) FROM input").0,
        "behind * there is EXCEPT or EXCLUDE, nothing else"
    );
}

#[test]
fn only_the_columns_that_are_read_are_asked_for() {
    let rows = Rows::ints(&[("a", &[Some(1)]), ("b", &[Some(2)]), ("c", &[Some(3)]), ("d", &[Some(4)])]);
    let program = rows.program("SELECT d + b AS x FROM input WHERE _line > 1", &["b > 0"]).unwrap();
    assert_eq!(program.inputs(), [1, 3, 5]);
    assert_eq!(cell(program.run(&rows.batch(&program)).unwrap().column(0), 0), json!(6));
    let program = rows.program("SELECT 1 AS one, now() AS t FROM input", &[]).unwrap();
    assert!(program.inputs().is_empty());
    assert_eq!(program.run(&rows.batch(&program)).unwrap().num_rows(), 1, "rows are counted without columns too");
}

#[test]
fn results_are_called_by_alias_column_or_text() {
    let rows = Rows::ints(&[("Id", &[Some(1)]), ("value", &[Some(2)])]);
    let names = |sql: &str| -> Vec<String> {
        rows.program(sql, &[]).unwrap().output().fields().iter().map(|f| f.name().clone()).collect()
    };
    let sql = "SELECT id, value AS Total, value AS \"Total\",  value *\n 2, Abs(value), (id) FROM input WHERE id > 0";
    let error = rows.refused(sql);
    assert_eq!(error, ("two columns have the same name: Id".into(), "(id)".into()));
    let sql = sql.replace(", (id)", "");
    assert_eq!(names(&sql), ["Id", "total", "Total", "value * 2", "Abs(value)"]);
    assert_eq!(rows.refused("SELECT id, * FROM input").0, "two columns have the same name: Id");
    let spelled = rows.program(&sql, &[]).unwrap();
    assert_eq!(
        spelled.engine_sql(),
        "SELECT \"Id\" AS \"Id\", \"value\" AS Total, \"value\" AS \"Total\",  \"value\" *\n 2 AS \"value * 2\", \
         Abs(\"value\") AS \"Abs(value)\" FROM input WHERE \"Id\" > 0"
    );
    let star = rows.program("SELECT *, t.id + 1 AS x FROM input t", &[]).unwrap();
    assert_eq!(star.engine_sql(), "SELECT \"Id\", \"value\", t.\"Id\" + 1 AS x FROM input t");
    assert_eq!(
        rows.program(star.engine_sql(), &[]).unwrap().engine_sql(),
        star.engine_sql().replace("\"Id\", \"value\"", "\"Id\" AS \"Id\", \"value\" AS \"value\"")
    );
}

#[test]
fn what_no_row_asks_for_is_no_error() {
    let rows = Rows::ints(&[
        ("x", &[Some(0), Some(2), None, Some(-5)]),
        ("big", &[Some(i64::MAX), Some(1), Some(2), Some(3)]),
    ]);
    let lazy = [
        ("CASE WHEN x <> 0 THEN 10 / x ELSE -1 END", json!([-1, 5, -1, -2])),
        ("CASE WHEN x = 0 THEN 0 WHEN 10 / x > 1 THEN big + 1 ELSE 7 END", json!([0, 2, 7, 7])),
        ("CASE x WHEN 2 THEN 10 / x ELSE 0 END", json!([0, 5, 0, 0])),
        ("x <> 0 AND 10 / x > 1", json!([false, true, null, false])),
        ("x = 0 OR 10 / x > 1", json!([true, true, null, false])),
        ("coalesce(nullif(x, 0), 99) > 0 AND big < 9", json!([false, true, true, false])),
        ("coalesce(x, 10 / (x - x))", json!(null)),
        ("nvl2(x, 1, 2)", json!([1, 1, 2, 1])),
        ("CASE WHEN x < 0 THEN CAST(concat('n', x) AS BIGINT) ELSE 1 END", json!(null)),
        (
            "CASE WHEN x > 100 THEN sqrt(-1) ELSE 1.0 END",
            json!(["3ff0000000000000", "3ff0000000000000", "3ff0000000000000", "3ff0000000000000"]),
        ),
        ("CASE WHEN x > 0 THEN substr('abc', 1, x - 3) END", json!(null)),
    ];
    for (expr, expected) in lazy {
        let sql = format!("SELECT {expr} AS r FROM input");
        match expected {
            Json::Null => {
                assert!(rows.run(&sql).is_err() || expr.starts_with("coalesce"), "{expr}");
            }
            expected => assert_eq!(Json::Array(rows.first(&sql)), expected, "{expr}"),
        }
    }
    assert_eq!(rows.first("SELECT coalesce(x, 1) AS r FROM input WHERE x <> 0 AND 10 / x <> 5"), [json!(-5)]);
}

#[test]
fn errors_of_rows_name_the_part_that_failed_and_the_rows() {
    let rows = Rows::ints(&[("x", &[Some(0), Some(2), Some(i64::MAX), Some(0)])]);
    assert_eq!(rows.run("SELECT 10 / x AS r FROM input").unwrap_err(), "division by zero: 10 / x");
    assert_eq!(rows.run("SELECT x % (x - x) AS r FROM input").unwrap_err(), "division by zero: x % (x - x)");
    assert_eq!(rows.run("SELECT x + 1 AS r FROM input").unwrap_err(), "the result is beyond the range of int: x + 1");
    assert_eq!(rows.run("SELECT x * x AS r FROM input").unwrap_err(), "the result is beyond the range of int: x * x");
    assert_eq!(rows.run("SELECT -x - 2 AS r FROM input").unwrap_err(), "the result is beyond the range of int: -x - 2");
    assert_eq!(
        rows.run("SELECT CAST(x AS INT) AS r FROM input").unwrap_err(),
        "cannot be made an integer of 32 bits: 9223372036854775807, in CAST(x AS INT)"
    );
    let program = rows.program("SELECT 10 / x AS r, x + 1 AS s FROM input", &["100 / x < 60"]).unwrap();
    let batch = rows.batch(&program);
    assert_eq!(
        program.failures(&batch),
        [
            (0, "division by zero: 100 / x".to_owned()),
            (2, "the result is beyond the range of int: x + 1".to_owned()),
            (3, "division by zero: 100 / x".to_owned()),
        ]
    );
    assert!(program.run(&batch.slice(1, 1)).is_ok());
    assert_eq!(program.run(&batch.slice(0, 0)).unwrap().num_rows(), 0, "no row, no error");
}

#[test]
fn a_check_holds_for_null_and_is_told_apart_by_row() {
    let rows = Rows::ints(&[("x", &[Some(1), None, Some(-1)])]);
    let program = rows.program("", &["x >= 0", "x IS NOT NULL", "NULL"]).unwrap();
    let batch = rows.batch(&program);
    let held = |i: usize| program.check(i, &batch).unwrap().iter().map(Option::unwrap).collect::<Vec<_>>();
    assert_eq!(held(0), [true, true, false]);
    assert_eq!(held(1), [true, false, true]);
    assert_eq!(held(2), [true, true, true]);
    assert!(program.check(3, &batch).is_err());
    let error = rows.program("", &["x + 1"]).unwrap_err();
    assert_eq!(error.message, "a check must be true or false, not an int");
    assert_eq!(error.at, Some(0..5));
}

#[test]
fn kept_rows_are_those_of_the_result() {
    let rows = Rows::ints(&[("x", &[Some(1), None, Some(-1), Some(5)])]);
    let program = rows.program("SELECT x FROM input WHERE x > 0", &[]).unwrap();
    let batch = rows.batch(&program);
    assert_eq!(program.kept(&batch).unwrap(), [0, 3]);
    assert_eq!(program.run(&batch).unwrap().num_rows(), 2);
}

#[test]
fn the_clock_is_the_one_that_is_given() {
    let rows = Rows::ints(&[("x", &[Some(1)])]);
    assert_eq!(rows.first("SELECT now() AS t FROM input"), [json!(1_700_000_000_123_456_789_i64)]);
    assert_eq!(rows.first("SELECT current_timestamp AS t FROM input"), [json!(1_700_000_000_123_456_789_i64)]);
    assert_eq!(rows.first("SELECT current_date AS t FROM input"), [json!(19_675)]);
    assert_eq!(rows.first("SELECT today() AS t FROM input"), [json!(19_675)]);
}

#[test]
fn the_end_of_time_can_be_compared_with() {
    let far = 253_402_300_799_000_000_i64;
    let rows = Rows::new(vec![
        ("at", ColumnType::Timestamp, Arc::new(TimestampMicrosecondArray::from(vec![Some(0), Some(far), None]))),
        ("day", ColumnType::Date, Arc::new(Date32Array::from(vec![Some(1), Some(2_932_896), Some(0)]))),
    ]);
    let answers = |expr: &str| Json::Array(rows.first(&format!("SELECT {expr} AS r FROM input")));
    assert_eq!(answers("at < '9999-12-31'"), json!([true, false, null]));
    assert_eq!(answers("at >= TIMESTAMP '2024-01-01 00:00:00'"), json!([false, true, null]));
    assert_eq!(answers("at > day"), json!([false, true, null]));
    assert_eq!(answers("'1970-01-01T00:00:00' = at"), json!([true, false, null]));
    assert_eq!(answers("at BETWEEN '1970-01-01' AND '9999-12-31 23:59:59'"), json!([true, true, null]));
    assert_eq!(answers("at IN ('1970-01-01', '9999-12-31 23:59:59')"), json!([true, true, null]));
    assert_eq!(answers("CASE at WHEN '1970-01-01' THEN 1 ELSE 2 END"), json!([1, 2, 2]));
    assert_eq!(
        rows.run("SELECT CAST(at AS TIMESTAMP) AS r FROM input").unwrap_err(),
        "cannot be made a timestamp: 9999-12-31T23:59:59, in CAST(at AS TIMESTAMP)"
    );
}

#[test]
fn text_that_grows_without_bound_is_an_error() {
    let rows = Rows::ints(&[("n", &[Some(1_000_000_000), Some(2)])]);
    for sql in [
        "SELECT repeat('x', n) AS r FROM input",
        "SELECT lpad('x', n) AS r FROM input",
        "SELECT replace(repeat('x', 1000000), 'x', repeat('y', n / 1000000)) AS r FROM input",
    ] {
        let error = rows.run(sql).unwrap_err();
        assert!(error.contains("the text of one column grows beyond 256 MiB"), "{sql}: {error}");
    }
    assert!(
        rows.run("SELECT rpad('x', 3000000000) AS r FROM input")
            .unwrap_err()
            .starts_with("the count of characters is too great")
    );
}

#[test]
fn the_longest_chains_fit_the_stack() {
    let rows = Rows::ints(&[("x", &[Some(0), Some(2)])]);
    let sum = format!("SELECT x{} AS r FROM input", " + x".repeat(450));
    assert_eq!(rows.first(&sum), [json!(0), json!(902)]);
    let and = format!("SELECT x >= 0{} AS r FROM input", " AND x >= 0".repeat(230));
    assert_eq!(rows.first(&and), [json!(true), json!(true)]);
    let is = format!("SELECT x{} AS r FROM input", " IS NULL".repeat(99));
    assert_eq!(rows.first(&is), [json!(false), json!(false)]);
    let deeper = format!("SELECT x{} AS r FROM input", " IS NULL".repeat(450));
    assert!(rows.refused(&deeper).0.starts_with("the expression is nested too deeply"));
    let nested = format!("SELECT {}x{} AS r FROM input", "abs(".repeat(45), ")".repeat(45));
    assert_eq!(rows.first(&nested), [json!(0), json!(2)]);
    let cases = format!("SELECT {}x{} AS r FROM input", "CASE WHEN x >= 0 THEN ".repeat(45), " END".repeat(45));
    assert_eq!(rows.first(&cases), [json!(0), json!(2)]);
    let list =
        format!("SELECT x IN ({}) AS r FROM input", (1..5000).map(|n| n.to_string()).collect::<Vec<_>>().join(", "));
    assert_eq!(rows.first(&list), [json!(false), json!(true)]);
    let branches: String = (1..1500).map(|n| format!("WHEN {n} THEN 'n{n}' ")).collect();
    assert_eq!(rows.first(&format!("SELECT CASE x {branches}END AS r FROM input")), [Json::Null, json!("n2")]);
}

#[test]
fn a_program_may_be_used_by_several_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<crate::actions::transform::sql::Program>();
    shared::<crate::actions::transform::sql::Statement>();
}

//! Whole statements: held against the answers of `DataFusion`, and against the rules of their own.

use super::*;
use crate::actions::transform::table::{Column, ColumnType, Table};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch,
    RecordBatchOptions, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, TimeUnit};
use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::sync::Arc;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 123_456_789).unwrap()
}

/// A table with the rows it has.
struct Rows {
    table: Table,
    columns: Vec<ArrayRef>,
}

impl Rows {
    fn new(columns: Vec<(&str, ColumnType, ArrayRef)>) -> Self {
        let rows = columns[0].2.len();
        let mut arrays: Vec<ArrayRef> = columns.iter().map(|(_, _, array)| Arc::clone(array)).collect();
        arrays.push(Arc::new(StringArray::from(vec!["a.csv"; rows])));
        arrays.push(Arc::new((0..rows).map(|i| Some(i64::try_from(i).unwrap() + 2)).collect::<Int64Array>()));
        let columns = columns.into_iter().map(|(name, kind, _)| Column { name: name.into(), kind }).collect();
        Self { table: Table { columns }, columns: arrays }
    }

    fn ints(columns: &[(&str, &[Option<i64>])]) -> Self {
        let column = |values: &[Option<i64>]| -> ArrayRef { Arc::new(values.iter().copied().collect::<Int64Array>()) };
        Self::new(columns.iter().map(|(name, values)| (*name, ColumnType::Int, column(values))).collect())
    }

    fn program(&self, sql: &str, checks: &[&str]) -> Result<Program, SqlError> {
        let checks = checks.iter().map(|c| parse_check(c)).collect::<Result<Vec<_>, _>>()?;
        let statement = if sql.is_empty() { None } else { Some(parse(sql)?) };
        Program::new(statement.as_ref(), &checks, &self.table, now())
    }

    fn batch(&self, program: &Program) -> RecordBatch {
        let schema = Arc::new(self.table.schema().project(program.inputs()).unwrap());
        let columns = program.inputs().iter().map(|i| Arc::clone(&self.columns[*i])).collect();
        let rows = RecordBatchOptions::new().with_row_count(Some(self.columns[0].len()));
        RecordBatch::try_new_with_options(schema, columns, &rows).unwrap()
    }

    fn run(&self, sql: &str) -> Result<RecordBatch, String> {
        let program = self.program(sql, &[]).map_err(|e| e.to_string())?;
        program.run(&self.batch(&program)).map_err(|e| reason(&e))
    }

    /// The first column of a result.
    #[track_caller]
    fn first(&self, sql: &str) -> Vec<Json> {
        let batch = self.run(sql).unwrap();
        (0..batch.num_rows()).map(|row| cell(batch.column(0), row)).collect()
    }

    #[track_caller]
    fn refused(&self, sql: &str) -> (String, String) {
        let error = self.program(sql, &[]).unwrap_err();
        let at = error.at.clone().map_or(String::new(), |at| sql[at].to_owned());
        (error.message, at)
    }
}

/// A value as the answers spell it.
fn cell(array: &ArrayRef, row: usize) -> Json {
    if array.is_null(row) {
        return Json::Null;
    }
    match array.data_type() {
        DataType::Boolean => json!(array.as_boolean().value(row)),
        DataType::Utf8 => json!(array.as_string::<i32>().value(row)),
        DataType::Int8 => json!(array.as_primitive::<Int8Type>().value(row)),
        DataType::Int16 => json!(array.as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => json!(array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => json!(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float32 => match array.as_primitive::<Float32Type>().value(row) {
            nan if nan.is_nan() => json!("nan"),
            value => json!(format!("{:08x}", value.to_bits())),
        },
        DataType::Float64 => match array.as_primitive::<Float64Type>().value(row) {
            nan if nan.is_nan() => json!("nan"),
            value => json!(format!("{:016x}", value.to_bits())),
        },
        DataType::Decimal128(..) => json!(array.as_primitive::<Decimal128Type>().value(row).to_string()),
        DataType::Date32 => json!(array.as_primitive::<Date32Type>().value(row)),
        DataType::Timestamp(TimeUnit::Second, _) => json!(array.as_primitive::<TimestampSecondType>().value(row)),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            json!(array.as_primitive::<TimestampMillisecondType>().value(row))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            json!(array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            json!(array.as_primitive::<TimestampNanosecondType>().value(row))
        }
        other => panic!("no column has this type: {other}"),
    }
}

/// The table that the answers are about.
fn agreed_rows(table: &Json) -> Rows {
    let column = |c: &Json| {
        let values = c["values"].as_array().unwrap();
        let (kind, array): (ColumnType, ArrayRef) = match c["type"].as_str().unwrap() {
            "int" => (ColumnType::Int, Arc::new(values.iter().map(Json::as_i64).collect::<Int64Array>())),
            "text" => (ColumnType::Text, Arc::new(values.iter().map(Json::as_str).collect::<StringArray>())),
            "bool" => (ColumnType::Bool, Arc::new(values.iter().map(Json::as_bool).collect::<BooleanArray>())),
            "date" => {
                let days = values.iter().map(|v| v.as_i64().map(|days| i32::try_from(days).unwrap()));
                (ColumnType::Date, Arc::new(days.collect::<Date32Array>()))
            }
            "timestamp" => {
                let times = values.iter().map(Json::as_i64).collect::<TimestampMicrosecondArray>();
                (ColumnType::Timestamp, Arc::new(times))
            }
            "decimal" => {
                let digits = values.iter().map(|v| v.as_i64().map(i128::from)).collect::<Decimal128Array>();
                let kind = ColumnType::Decimal { precision: 12, scale: 2 };
                (kind, Arc::new(digits.with_precision_and_scale(12, 2).unwrap()))
            }
            "float" => {
                let bits = |s: &str| match s {
                    "nan" => f64::NAN,
                    bits => f64::from_bits(u64::from_str_radix(bits, 16).unwrap()),
                };
                let floats = values.iter().map(|v| v.as_str().map(bits)).collect::<Float64Array>();
                (ColumnType::Float, Arc::new(floats))
            }
            other => panic!("unknown type: {other}"),
        };
        (c["name"].as_str().unwrap().to_owned(), kind, array)
    };
    let columns: Vec<_> = table.as_array().unwrap().iter().map(column).collect();
    Rows::new(columns.iter().map(|(name, kind, array)| (name.as_str(), *kind, Arc::clone(array))).collect())
}

#[test]
fn the_answers_are_those_of_the_other_engine() {
    let known = include_str!("../../../../tests/fixtures/agreement.json");
    let known: Json = serde_json::from_str(known).unwrap();
    let rows = agreed_rows(&known["table"]);
    let answers = known["answers"].as_array().unwrap();
    let mut wrong = Vec::new();
    for answer in answers {
        let sql = answer["sql"].as_str().unwrap();
        let ours = rows.run(sql).map(|batch| {
            let types: Vec<Json> = batch.schema().fields().iter().map(|f| json!(f.data_type().to_string())).collect();
            let cells = |row| Json::Array(batch.columns().iter().map(|c| cell(c, row)).collect());
            json!({ "sql": sql, "types": types, "rows": (0..batch.num_rows()).map(cells).collect::<Vec<_>>() })
        });
        if ours.as_ref() != Ok(answer) {
            wrong.push(format!("{sql}\n  ours   {ours:?}\n  theirs {answer}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), answers.len(), wrong.join("\n"));
    assert!(answers.len() > 400, "the answers are not whole: {}", answers.len());
}

/// Every function of the list is asked somewhere in the agreement, under every name.
#[test]
fn every_function_is_held_against_the_other_engine() {
    let asked = include_str!("../../../../tests/fixtures/agreement.sql").to_lowercase();
    let clock = ["now", "current_timestamp", "current_date", "today"];
    for name in functions::FUNCTIONS.iter().map(|f| f.name).filter(|name| !clock.contains(name)) {
        assert!(asked.contains(&format!("{name}(")), "nowhere asked: {name}");
    }
}

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
fn mistakes_are_named_with_their_place() {
    let rows = Rows::new(vec![
        ("id", ColumnType::Int, Arc::new(Int64Array::from(vec![1]))),
        ("name", ColumnType::Text, Arc::new(StringArray::from(vec!["x"]))),
        ("at", ColumnType::Timestamp, Arc::new(TimestampMicrosecondArray::from(vec![0]))),
    ]);
    for (sql, message, at) in [
        ("SELECT nmae FROM input", "there is no column nmae", "nmae"),
        ("SELECT id FROM input WHERE vlaue > 1", "there is no column vlaue", "vlaue"),
        ("SELECT x.id FROM input", "there is no table x", "x"),
        ("SELECT uper(name) FROM input", "there is no function uper", "uper"),
        ("SELECT sum(id) FROM input", "only a build with the feature `sql` runs sum", "sum"),
        (
            "SELECT row_number() OVER () FROM input",
            "only a build with the feature `sql` runs window functions",
            "row_number",
        ),
        ("SELECT upper(id) FROM input", "upper takes a text here, not an int", "id"),
        ("SELECT upper(name, name) FROM input", "upper takes 1 argument, not 2", "upper(name, name)"),
        ("SELECT round() FROM input", "round takes 1 to 2 arguments, not 0", "round()"),
        ("SELECT id + name FROM input", "cannot be computed with: int and text", "id + name"),
        ("SELECT id + (name || 'x') FROM input", "cannot be computed with: int and text", "id + (name || 'x')"),
        ("SELECT id = true FROM input", "cannot be compared: int and bool", "id = true"),
        ("SELECT id || 1 FROM input", "cannot be joined with ||: int and int", "id || 1"),
        ("SELECT NOT id FROM input", "what stands behind NOT must be true or false, not an int", "id"),
        ("SELECT id AND true FROM input", "AND takes true or false, not an int", "id"),
        ("SELECT id FROM input WHERE id", "what stands behind WHERE must be true or false, not an int", "id"),
        (
            "SELECT CASE WHEN id THEN 1 END FROM input",
            "a condition behind WHEN must be true or false, not an int",
            "id",
        ),
        (
            "SELECT CASE WHEN true THEN true ELSE id END FROM input",
            "cannot be branches of one CASE: int and bool",
            "true ELSE id",
        ),
        ("SELECT CAST(at AS BOOLEAN) FROM input", "a timestamp cannot be made a bool", "CAST(at AS BOOLEAN)"),
        ("SELECT CAST(id AS BLOB) FROM input", "the type is not supported: BLOB", "CAST(id AS BLOB)"),
        (
            "SELECT CAST(id AS DECIMAL(39, 2)) FROM input",
            "the type is not supported: DECIMAL(39,2)",
            "CAST(id AS DECIMAL(39, 2))",
        ),
        ("SELECT id::timestamptz FROM input", "only a build with the feature `sql` runs time zones", "id::timestamptz"),
        ("SELECT CAST('abc' AS INT) FROM input", "cannot be made an integer of 32 bits: \"abc\"", "'abc'"),
        ("SELECT id > 'abc' FROM input", "cannot be made an int: \"abc\"", "'abc'"),
        ("SELECT DATE '2024-13-01' FROM input", "cannot be made a date: \"2024-13-01\"", "'2024-13-01'"),
        ("SELECT at + INTERVAL 'x' FROM input", "the interval cannot be read: \"x\"", "'x'"),
        ("SELECT at - at FROM input", "a span of time cannot be written", "at - at"),
        ("SELECT INTERVAL '1 day' FROM input", "a span of time cannot be written", "'1 day'"),
        ("SELECT name ~ '(' FROM input", "the pattern cannot be read: unclosed group: (", "'('"),
        (
            "SELECT regexp_like(name, 'a', 'g') FROM input",
            "there is no flag 'g': the flags are i, m, s, U, u, x",
            "'g'",
        ),
        (
            "SELECT date_trunc('eon', at) FROM input",
            "there is no unit \"eon\": the units are microsecond, millisecond, second, minute, hour, day, week, month, quarter, year",
            "'eon'",
        ),
        ("SELECT date_part(name, at) FROM input", "date_part takes a constant text here", "name"),
        ("SELECT to_char(at, '%Q') FROM input", "the format cannot be read: \"%Q\"", "'%Q'"),
        (
            "SELECT name LIKE 'a' ESCAPE 'x' FROM input",
            "the escape of LIKE is the backslash, no other character",
            "name LIKE 'a'",
        ),
        ("SELECT id LIKE 'a' FROM input", "LIKE takes a text, not an int", "id"),
        (
            "SELECT 99999999999999999999 FROM input",
            "the whole number has more than 64 bits: 99999999999999999999",
            "99999999999999999999",
        ),
        (
            "SELECT id FROM input WHERE id IN (SELECT 1)",
            "only a build with the feature `sql` runs a subquery",
            "id IN (SELECT 1",
        ),
        ("SELECT (SELECT 1) FROM input", "only a build with the feature `sql` runs a subquery", "SELECT 1"),
        ("SELECT ARRAY[1] FROM input", "only a build with the feature `sql` runs arrays, maps and structs", ""),
        ("SELECT $1 FROM input", "nothing is put in for a placeholder: $1", "$1"),
        ("SELECT id & 1 FROM input", "only a build with the feature `sql` runs operators on bits", "id & 1"),
        (
            "SELECT name SIMILAR TO 'a' FROM input",
            "only a build with the feature `sql` runs SIMILAR TO",
            "name SIMILAR TO 'a'",
        ),
        ("SELECT coalesce(id, true) FROM input", "the values differ in type: int, bool", "coalesce(id, true)"),
        ("SELECT count(*) FROM input", "only a build with the feature `sql` runs count", "count"),
        ("SELECT upper(*) FROM input", "upper takes values only", "upper"),
        ("SELECT upper(DISTINCT name) FROM input", "upper takes arguments only", "upper"),
        ("SELECT -name FROM input", "- stands before a number, not before a text", "-name"),
    ] {
        let (found, place) = rows.refused(sql);
        assert_eq!(found, message, "{sql}");
        if !at.is_empty() {
            assert_eq!(place, at, "{sql}");
        }
    }
    let hint = |sql: &str| rows.program(sql, &[]).unwrap_err().hint.unwrap_or_default();
    assert_eq!(hint("SELECT nmae FROM input"), "did you mean name?");
    assert_eq!(hint("SELECT uper(name) FROM input"), "did you mean upper?");
    assert_eq!(hint("SELECT mod(id, 2) FROM input"), "write a % b");
    assert_eq!(hint("SELECT upper(1) FROM input"), "upper(text)");
    assert_eq!(hint("SELECT id FROM input WHERE name = \"x\""), "a text stands in single quotes: 'x'");
    assert_eq!(hint("SELECT name + 'x' FROM input"), "texts are joined with ||");
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

/// Expressions whose value in a row does not depend on the other rows of its batch: all of them.
fn expressions() -> Vec<String> {
    let asked = include_str!("../../../../tests/fixtures/agreement.sql");
    asked.lines().filter(|l| !l.starts_with("--") && !l.starts_with("SELECT")).map(str::to_owned).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_row_is_the_same_in_any_batch(expr in proptest::sample::select(expressions()), cut in 0_usize..12, keep in "[0-1]{12}") {
        let known: Json = serde_json::from_str(include_str!("../../../../tests/fixtures/agreement.json")).unwrap();
        let rows = agreed_rows(&known["table"]);
        let listed: Vec<String> = keep.bytes().enumerate().filter(|(_, k)| *k == b'1').map(|(i, _)| (i + 1).to_string()).collect();
        let filter = if listed.is_empty() { "false".to_owned() } else { format!("id IN ({})", listed.join(", ")) };
        let program = rows.program(&format!("SELECT id, {expr} AS x FROM input WHERE {filter}"), &[]).unwrap();
        let batch = rows.batch(&program);
        let show = |part: &RecordBatch| -> Vec<(Json, Json)> {
            (0..part.num_rows()).map(|row| (cell(part.column(0), row), cell(part.column(1), row))).collect()
        };
        let whole = program.run(&batch).unwrap();
        let mut parts = show(&program.run(&batch.slice(0, cut)).unwrap());
        parts.extend(show(&program.run(&batch.slice(cut, 12 - cut)).unwrap()));
        prop_assert_eq!(show(&whole), parts, "{}", expr);
        prop_assert_eq!(whole.num_rows(), listed.len());
    }

    #[test]
    fn no_text_is_a_panic(sql in "[ -~\n]{0,60}", tail in "(SELECT|FROM|input|WHERE|CASE|\\(|\\)|'|\"|,|\\*|1|x|\\+|-|::|INTERVAL|é| ){0,20}") {
        for text in [sql.clone(), tail.clone(), format!("SELECT {sql} FROM input"), format!("SELECT {tail} FROM input")] {
            let rows = Rows::ints(&[("x", &[Some(1)])]);
            if let Err(error) = rows.program(&text, &[&sql])
                && let Some(at) = error.at
            {
                prop_assert!(at.start <= at.end);
                let fits = |t: &str| at.end <= t.len() && t.is_char_boundary(at.start) && t.is_char_boundary(at.end);
                prop_assert!(fits(&text) || fits(&sql), "{:?} in {:?}", at, text);
            }
        }
    }
}

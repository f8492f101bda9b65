//! What is wrong with a statement, and where.

use super::Rows;
use crate::actions::transform::table::ColumnType;
use arrow_array::{Int64Array, StringArray, TimestampMicrosecondArray};
use proptest::prelude::*;
use std::sync::Arc;

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

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn no_text_is_a_panic(sql in "[ -~\n]{0,60}", tail in "(SELECT|FROM|input|WHERE|CASE|\\(|\\)|'|\"|,|\\*|1|x|\\+|-|::|INTERVAL|é| ){0,20}") {
        for text in [sql.clone(), tail.clone(), format!("SELECT {sql} FROM input"), format!("SELECT {tail} FROM input")] {
            let rows = Rows::ints(&[("x", &[Some(1)])]);
            if let Err(error) = rows.program(&text, &[&sql]) && let Some(at) = error.at {
                prop_assert!(at.start <= at.end);
                let fits = |t: &str| at.end <= t.len() && t.is_char_boundary(at.start) && t.is_char_boundary(at.end);
                prop_assert!(fits(&text) || fits(&sql), "{:?} in {:?}", at, text);
            }
        }
    }
}

//! What is told when a statement, a value, the input or the output is at fault.

use super::*;

const SUM: &str = "a sum is too large for a whole number of 64 bits";

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
        (
            "SELECT id + 9223372036854775807 AS x FROM input",
            "sql_overflow",
            "overflow happened on: 1 + 9223372036854775807",
        ),
        (
            "SELECT -(id - 9223372036854775807 - 1) AS x FROM input",
            "sql_overflow",
            "overflow happened on: - -9223372036854775808",
        ),
        ("SELECT sum(id + 9223372036854775800) AS x FROM input", "sql_overflow", SUM),
        (
            "SELECT code, sum(DISTINCT id % 2 + 9223372036854775806) AS x FROM input GROUP BY rollup(code)",
            "sql_overflow",
            SUM,
        ),
        (
            "SELECT sum(id + 9223372036854775800) OVER (ORDER BY id ROWS 1 PRECEDING) AS x FROM input",
            "sql_overflow",
            SUM,
        ),
    ] {
        let failure = world.run(sql).unwrap_err();
        assert_eq!((failure.code.as_str(), failure.message.as_str()), (code, message), "{sql}");
        assert!(world.is_clean());
    }
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

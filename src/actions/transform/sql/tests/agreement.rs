//! Our answers and those of `DataFusion`, which `tests/fixtures/agreement.py` asked for them.

use super::{Rows, agreed_rows, cell};
use crate::actions::transform::sql::functions;
use arrow_array::RecordBatch;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

const ASKED: &str = include_str!("../../../../../tests/fixtures/agreement.sql");

fn known() -> Json {
    serde_json::from_str(include_str!("../../../../../tests/fixtures/agreement.json")).unwrap()
}

#[test]
fn the_answers_are_those_of_the_other_engine() {
    let known = known();
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
    let asked = ASKED.to_lowercase();
    let clock = ["now", "current_timestamp", "current_date", "today"];
    for name in functions::FUNCTIONS.iter().map(|f| f.name).filter(|name| !clock.contains(name)) {
        assert!(asked.contains(&format!("{name}(")), "nowhere asked: {name}");
    }
}

/// The table of the answers, read once.
fn agreed() -> &'static Rows {
    static ROWS: std::sync::LazyLock<Rows> = std::sync::LazyLock::new(|| agreed_rows(&known()["table"]));
    &ROWS
}

/// Expressions whose value in a row does not depend on the other rows of its batch: all of them.
fn expressions() -> Vec<String> {
    ASKED.lines().filter(|l| !l.starts_with("--") && !l.starts_with("SELECT")).map(str::to_owned).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_row_is_the_same_in_any_batch(expr in proptest::sample::select(expressions()), cut in 0_usize..12, keep in "[0-1]{12}") {
        let rows = agreed();
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
}

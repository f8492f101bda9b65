//! The supervisor dies at each step of a plan, and of answers that are written in groups: what was planned is there once,
//! and what is visible was decided.

use super::{task, web};
use crate::proof::{World, audit, files_below};
use crate::support::web::plain;
use std::collections::BTreeSet;

/// More than two commits of a plan hold.
const MANY: usize = 1_200;
const FEW: usize = 40;
/// Where a call comes by that writes a small answer.
const OF_A_CALL: [&str; 10] = [
    "s4.after_work:7",
    "s5.before_sync",
    "s5.after_sync",
    "s6.before_decide",
    "s6.after_decide",
    "s7.before_move:3",
    "s7.after_move:3",
    "s8.after_sync",
    "s9.before_finish",
    "s9.after_finish",
];

/// A run over so many URLs that dies here and is then run to its end.
fn died_at(point: &str, urls: usize) {
    let web = web();
    let url = web.url(&format!("/get/{{1..{urls}}}"));
    let world = World::new(&task(
        "calls",
        &format!(
            "urls = [\"{url}\"], concurrency = 20, per_host = {{ concurrency = 20 }}, output = \"out/{{n}}.json\", \
             on_exists = \"fail\""
        ),
        "",
    ));
    world.line("trigger calls").expect(0);
    assert!(world.armed(point, "run --until-idle").is_killed(), "{point}");

    audit::after_death(&world, point);
    let asked = web.requests();
    let stored: BTreeSet<String> = done(&world);

    world.settle();
    audit::at_rest(&world, point);
    let again: BTreeSet<String> = web.log().into_iter().skip(asked).map(|seen| seen.path).collect();
    assert!(stored.is_disjoint(&again), "{point}: decided and fetched again");
    assert_eq!(world.number("SELECT count(*) FROM run WHERE state = 3"), 1, "{point}");
    assert_eq!(done(&world).len(), urls, "{point}: each URL has one job");
    assert_eq!(world.number("SELECT count(*) FROM job WHERE kind = 2"), urls as i64, "{point}");
    let files = files_below(&world.path("out"));
    assert_eq!(files.len(), urls, "{point}: each answer is there once, and no temporary file");
    for n in 1..=urls {
        let path = format!("/get/{n}");
        assert_eq!(world.read(format!("out/{n}.json")), plain(&path).into_bytes(), "{point}: {path}");
    }
}

/// The paths of the URLs whose jobs are decided.
fn done(world: &World) -> BTreeSet<String> {
    let db = world.db();
    let sql = "SELECT CAST(input_label AS TEXT) FROM job WHERE kind = 2 AND state IN (3, 4)";
    let mut select = db.prepare(sql).unwrap();
    let labels = select.query_map([], |r| r.get::<_, String>(0)).unwrap();
    labels.map(|url| url.unwrap().split_once("/get/").map(|(_, n)| format!("/get/{n}")).unwrap()).collect()
}

#[test]
fn a_plan_that_dies_at_a_commit_goes_on_where_it_was() {
    for point in super::POINTS.iter().flat_map(|point| [(*point).to_owned(), format!("{point}:2")]) {
        died_at(&point, MANY);
    }
}

#[test]
fn answers_written_in_groups_are_there_once_wherever_it_dies() {
    for point in OF_A_CALL {
        died_at(point, FEW);
    }
}

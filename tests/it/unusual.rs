//! A run unlike those before it: a warning that names the figure and what was usual, until a usual run comes.

use crate::support::{Site, Supervisor, until};
use serde_json::Value;

const TASK: &str = "[tasks.table]\nmanual = true\n\
                    transform = { sql = \"SELECT id FROM input\", output = \"out/{run}.csv\", inputs = [\"data.csv\"] }\n";

/// Writes so many rows, and runs the task over them.
fn run(site: &Site, rows: usize) {
    let table = "id\n".to_owned() + &(0..rows).map(|n| format!("{n}\n")).collect::<String>();
    std::fs::write(site.path("data.csv"), table).unwrap();
    let job = site.json("trigger table")["jobs"][0].clone();
    let is_done = |jobs: Vec<Value>| jobs.iter().any(|j| j["id"] == job && j["state"] == "succeeded");
    until("the run", || is_done(site.jobs()).then_some(()));
}

fn open(supervisor: &Supervisor) -> Option<Value> {
    let view = supervisor.get("/v1/alerts").json();
    view["open"].as_array().unwrap().iter().find(|open| open["code"] == "unusual").cloned()
}

#[test]
fn a_run_with_far_fewer_rows_is_a_warning_until_a_usual_one_comes() {
    let site = Site::new(TASK);
    let supervisor = site.start();
    for n in 0..10 {
        run(&site, 1000 + n);
    }
    assert!(open(&supervisor).is_none());
    run(&site, 10);
    let warning = until("the warning", || open(&supervisor));
    let text = warning["text"].as_str().unwrap();
    assert_eq!((&warning["severity"], &warning["task"]), (&"warning".into(), &"table".into()));
    assert!(text.contains("rows: 10, usually 1,0"), "{text}");
    let log = site.run("logs --task table").expect(0).out;
    assert!(log.contains("is unlike those before it"), "{log}");
    run(&site, 1004);
    until("that it is over", || open(&supervisor).is_none().then_some(()));
}

//! A run of a hundred calls of which two fail: what it says, what follows it, and what an operator does about the two.

use super::{ONCE, Web, calls, path_of, run, run_through, runs_of, settled, start, states, task, trigger, wait, web};
use crate::support::Site;
use serde_json::Value;
use std::collections::BTreeMap;

/// The task, and one that follows it for every condition.
fn tasks(web: &Web) -> String {
    let calls = task(
        "calls",
        &format!("urls = [\"{}\", \"{}\"]", web.url("/ok/{1..98}"), web.url("/bad/{1..2}?shut=404")),
        ONCE,
    );
    let follows = ["all_ok", "any_ok", "failed", "any"].map(|on| {
        format!(
            "[tasks.on_{on}]\nafter = {{ tasks = [\"calls\"], on = \"{on}\" }}\n\
             command = {{ program = \"true\", idempotent = true }}\n"
        )
    });
    calls + &follows.concat()
}

/// How often each follower ran.
fn followers(site: &Site) -> [i64; 4] {
    ["on_all_ok", "on_any_ok", "on_failed", "on_any"].map(|task| runs_of(site, task))
}

fn failed(site: &Site) -> Vec<Value> {
    calls(site).into_iter().filter(|j| j["state"] == "failed").collect()
}

#[test]
fn a_run_says_how_many_failed_and_starts_what_follows() {
    let web = web();
    let (site, _supervisor) = start(&tasks(&web));
    let id = trigger(&site, "calls");
    let over = settled(&site, id);
    assert_eq!((over.state, over.ok, over.failed), ("partial", 98, 2));
    assert_eq!(followers(&site), [0, 1, 1, 1]);
    let two = failed(&site);
    for job in &two {
        assert!(path_of(job).starts_with("/bad/") && job["run"] == id, "{job:#}");
        let error = &job["error"];
        assert_eq!((&error["code"], &error["class"]), (&"http_status".into(), &"permanent".into()), "{error:#}");
        assert_eq!(job["http_status"], 404);
        let answer = error["answer"].as_str().unwrap();
        assert!(answer.contains("404") && answer.contains("content-type") && answer.contains("shut"), "{answer}");
        let shown = site.run(&format!("show {}", job["id"])).expect(0).out;
        assert!(shown.contains("404") && shown.contains(&path_of(job)), "{shown}");
    }

    // The two are tried again, and nothing else is.
    let before = web.requests();
    web.open();
    let done = site.json("retry --all-failed --task calls");
    assert_eq!(done["done"].as_array().unwrap().len(), 2);
    wait("the two to be done", || (run(&site, id).ok == 100).then_some(()));
    let over = settled(&site, id);
    assert_eq!((over.state, over.ok, over.failed), ("succeeded", 100, 0));
    assert_eq!(web.requests(), before + 2);
    // What fired once for a run does not fire again; what waited for all to be well does now.
    wait("what follows success", || (followers(&site) == [1, 1, 1, 1]).then_some(()));
}

#[test]
fn failed_calls_are_skipped_with_a_reason() {
    let web = web();
    let (site, _supervisor) = start(&tasks(&web));
    let id = trigger(&site, "calls");
    settled(&site, id);
    let two = failed(&site);
    let ids: Vec<String> = two.iter().map(|j| j["id"].to_string()).collect();
    let ran = site.run_args(["skip", &ids[0], &ids[1], "--reason", "gone for good", "--json"]).expect(0).json();
    assert_eq!(ran["done"].as_array().unwrap().len(), 2);
    wait("two skipped calls", || {
        let jobs = calls(&site);
        (states(&jobs) == BTreeMap::from([("succeeded", 98), ("skipped", 2)])).then_some(())
    });
    let over = settled(&site, id);
    assert_eq!((over.state, over.ok, over.failed, over.skipped), ("partial", 98, 0, 2));
    assert!(calls(&site).iter().filter(|j| j["state"] == "skipped").all(|j| j["reason"] == "gone for good"));
    assert_eq!(web.requests(), 100);
}

#[test]
fn calls_are_cancelled_wherever_they_are() {
    let web = web();
    let url = web.url("/x/{1..20}?gate=1");
    let (site, _supervisor) =
        start(&task("calls", &format!("urls = [\"{url}\"], per_host = {{ concurrency = 2 }}"), ""));
    let id = trigger(&site, "calls");
    wait("two at the gate", || (web.at_once() == 2).then_some(()));
    let at_server: Vec<String> = web.log().iter().map(|s| s.path.clone()).collect();
    let jobs = wait("all calls in the queue", || Some(calls(&site)).filter(|jobs| jobs.len() == 20));
    let running = jobs.iter().find(|j| path_of(j) == at_server[0]).unwrap()["id"].to_string();
    let queued = jobs.iter().find(|j| path_of(j) == "/x/20").unwrap()["id"].to_string();
    site.run_args(["cancel", &running, &queued]).expect(0);
    site.state_of(running.parse().unwrap(), "cancelled");
    site.state_of(queued.parse().unwrap(), "cancelled");
    web.open();
    let over = settled(&site, id);
    assert_eq!((over.ok, over.failed), (18, 0));
    assert!(web.seen("/x/20").is_empty(), "a cancelled call is never sent");
    assert_eq!(web.seen(&at_server[0]).len(), 1);
    assert_eq!(site.tree("out").len(), 18);
}

#[test]
fn a_task_that_follows_gets_the_answers_as_its_inputs() {
    let web = web();
    let tasks = task("calls", &format!("urls = [\"{}\"], output = \"raw/{{n}}.json\"", web.url("/x/{1..30}")), "")
        + "[tasks.merge]\nafter = \"calls\"\n\
           command = { program = \"sh\", args = [\"-c\", 'cat \"$@\" > \"$0\"', \"{output}\", \"{inputs}\"], \
           output = \"out/all\", idempotent = true }\n";
    let (site, _supervisor) = start(&tasks);
    assert_eq!(run_through(&site, "calls").ok, 30);
    let all = wait("the merged file", || std::fs::read_to_string(site.path("out/all")).ok());
    let each = (1..=30).map(|n| std::fs::read_to_string(site.path(format!("raw/{n}.json"))).unwrap());
    assert_eq!(all.len(), each.map(|text| text.len()).sum::<usize>());
}

#[test]
fn one_url_by_hand_is_one_call() {
    let web = web();
    let (site, _supervisor) = start(&tasks(&web));
    let url = web.url("/mine");
    let answer = site.run_args(["trigger", "calls", "--input", &url, "--json"]).expect(0).json();
    let over = settled(&site, answer["run"].as_i64().unwrap());
    assert_eq!((over.state, over.ok), ("succeeded", 1));
    assert_eq!(web.log().iter().map(|s| s.path.as_str()).collect::<Vec<_>>(), ["/mine"]);
    for wrong in ["ftp://127.0.0.1/x", "not a url", "http://user:pass@127.0.0.1/"] {
        let ran = site.run_args(["trigger", "calls", "--input", wrong]).expect(1);
        assert!(!format!("{}{}", ran.out, ran.err).contains("pass@"), "{ran:?}");
    }
    assert_eq!(web.requests(), 1);
}

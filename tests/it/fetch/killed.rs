//! The supervisor is killed while requests are under way: no URL is lost, what was stored is not fetched again, and what
//! may not be sent twice is not.

use super::{Web, calls, db, output, pages, path_of, run, settled, states, task, trigger, wait, web};
use crate::support::Site;
use crate::support::web::plain;
use nix::sys::signal::Signal;
use std::collections::{BTreeMap, BTreeSet};

/// State numbers of a job.
const RUNNING: i64 = 2;
const DECIDED: [i64; 2] = [3, 4];

/// The state of each URL's job, as the database has it after a death.
fn left(site: &Site) -> BTreeMap<String, i64> {
    let db = db(site);
    let mut select = db.prepare("SELECT CAST(input_label AS TEXT), state FROM job").unwrap();
    let rows = select.query_map([], |r| Ok((r.get::<_, String>(0)?, r.get::<_, i64>(1)?))).unwrap();
    rows.map(Result::unwrap).filter(|(label, _)| label.starts_with("http")).collect()
}

/// Paths of the requests from the one with this number on.
fn since(web: &Web, mark: usize) -> BTreeSet<String> {
    web.log().into_iter().skip(mark).map(|seen| seen.path).collect()
}

fn path(url: &str) -> String {
    let rest = url.split_once("//").unwrap().1;
    rest[rest.find('/').unwrap()..].split('?').next().unwrap().to_owned()
}

#[test]
fn no_url_is_lost_and_no_stored_answer_fetched_again() {
    let web = web();
    let url = web.url("/get/{1..300}?delay=5");
    let site = Site::new(&task(
        "calls",
        &format!(
            "urls = [\"{url}\"], concurrency = 20, per_host = {{ concurrency = 20 }}, output = \"out/{{n}}.json\", \
             on_exists = \"fail\""
        ),
        "",
    ));
    let mut supervisor = site.start();
    let id = trigger(&site, "calls");
    let mut repeatable = BTreeMap::<String, usize>::new();
    // While it is still planning, in the middle, and near the end.
    for mark in [1, 60, 150, 260] {
        wait(&format!("{mark} requests"), || (web.requests() >= mark).then_some(()));
        supervisor.signal(Signal::SIGKILL);
        supervisor.end();
        let (left, mark) = (left(&site), web.requests());
        for (url, _) in left.iter().filter(|(_, state)| **state == RUNNING) {
            *repeatable.entry(path(url)).or_default() += 1;
        }
        let stored: BTreeSet<String> =
            left.iter().filter(|(_, state)| DECIDED.contains(state)).map(|(url, _)| path(url)).collect();
        supervisor = site.start();
        // As far as the next kill, and to the end in the last round.
        wait("work to go on", || {
            (web.requests() > mark
                || super::number(&site, "SELECT count(*) FROM job WHERE state = 4 AND kind = 2") == 300)
                .then_some(())
        });
        let again = since(&web, mark);
        let twice: Vec<_> = stored.intersection(&again).collect();
        assert!(twice.is_empty(), "stored and fetched again: {twice:?}");
    }
    let over = settled(&site, id);
    assert_eq!((over.state, over.ok, over.failed), ("succeeded", 300, 0));
    let jobs = calls(&site);
    assert_eq!(states(&jobs), BTreeMap::from([("succeeded", 300)]));
    let paths: BTreeSet<String> = jobs.iter().map(path_of).collect();
    assert_eq!(paths.len(), 300, "each URL has one job");
    for job in &jobs {
        assert_eq!(output(job), plain(&path_of(job)));
    }
    assert_eq!(site.tree("out").len(), 300, "nothing was stored twice, and no temporary file is left");
    for (path, requests) in super::by_path(&web.log()) {
        let allowed = 1 + repeatable.get(path).copied().unwrap_or(0);
        assert!(requests <= allowed, "{path}: {requests} requests, {allowed} attempts were under way or decided");
    }
}

#[test]
fn what_is_at_the_server_when_it_dies_is_asked_once_more_and_nothing_else() {
    let web = web();
    let site = Site::new(&task(
        "calls",
        &format!(
            "urls = [\"{}\", \"{}\"], concurrency = 10, per_host = {{ concurrency = 10 }}",
            web.url("/done/{1..50}"),
            web.url("/open/{1..30}?gate=1")
        ),
        "",
    ));
    let mut supervisor = site.start();
    let id = trigger(&site, "calls");
    wait("fifty stored, ten at the gate", || (web.at_once() == 10 && run(&site, id).ok == 50).then_some(()));
    supervisor.signal(Signal::SIGKILL);
    supervisor.end();
    web.open();
    let _again = site.start();
    assert_eq!(settled(&site, id).ok, 80);
    for (path, requests) in super::by_path(&web.log()) {
        assert!(requests == 1 || path.starts_with("/open/"), "{path}: {requests}");
    }
    assert_eq!(web.requests(), 50 + 30 + 10);
}

#[test]
fn a_post_with_a_key_is_repeated_with_the_same_key_and_one_without_is_not_repeated() {
    let web = web();
    let post = |name: &str, key: &str| {
        task(
            name,
            &format!(
                "urls = [\"{}\"], method = \"POST\", json = {{ amount = 5 }}{key}, concurrency = 5, \
                 per_host = {{ concurrency = 5 }}",
                web.url(&format!("/{name}/{{1..20}}?gate=1"))
            ),
            "",
        )
    };
    let site = Site::new(&(post("keyed", ", idempotency_key = true") + &post("bare", "")));
    let mut supervisor = site.start();
    let keyed = trigger(&site, "keyed");
    let bare = trigger(&site, "bare");
    let at_gate = |name: &str| web.log().iter().filter(|s| s.path.starts_with(name)).count();
    // The five of one task do not keep those of the other from the host for ever: the count is common.
    wait("requests of both at the gate", || {
        (web.at_once() == 5 && at_gate("/keyed/") + at_gate("/bare/") == 5).then_some(())
    });
    supervisor.signal(Signal::SIGKILL);
    supervisor.end();
    let died = web.requests();
    web.open();
    let _again = site.start();
    assert_eq!(settled(&site, keyed).ok, 20);
    let over = settled(&site, bare);
    assert_eq!(over.ok + over.failed, 20);

    let mut keys = BTreeMap::<String, BTreeSet<String>>::new();
    for seen in web.log() {
        assert_eq!((seen.method.as_str(), seen.body.as_slice()), ("POST", br#"{"amount":5}"#.as_slice()));
        if seen.path.starts_with("/keyed/") {
            let key = seen.header("idempotency-key").expect("a key").to_owned();
            keys.entry(seen.path).or_default().insert(key);
        } else {
            assert_eq!(seen.header("idempotency-key"), None);
            assert_eq!(web.seen(&seen.path).len(), 1, "{} was sent twice", seen.path);
        }
    }
    assert!(keys.values().all(|of_one| of_one.len() == 1), "one key for each: {keys:?}");
    let different: BTreeSet<_> = keys.values().flatten().collect();
    assert_eq!((keys.len(), different.len()), (20, 20));
    assert!(web.requests() >= 40.max(died) && web.requests() <= 45);
    // Who cannot know whether it was received leaves it to the operator.
    let unsure: Vec<_> = calls(&site).into_iter().filter(|j| j["state"] == "failed").collect();
    assert_eq!(i64::try_from(unsure.len()).unwrap(), over.failed);
    // One that was claimed and not sent yet looks the same to whoever finds it.
    assert!(unsure.iter().all(|job| web.seen(&path_of(job)).len() <= 1), "never sent twice");
}

#[test]
fn pages_go_on_after_the_last_stored_one() {
    let web = web();
    let url = web.url("/list?pages=20&by=link&gate=page:8");
    let site = Site::new(&task(
        "list",
        &format!(
            "url = \"{url}\", pages = {{ link = true, max = 100 }}, write = \"ndjson\", output = \"out/list.ndjson\""
        ),
        "",
    ));
    let mut supervisor = site.start();
    let id = trigger(&site, "list");
    wait("page 8 at the gate", || web.log().iter().any(|s| s.param("page") == Some("8")).then_some(()));
    supervisor.signal(Signal::SIGKILL);
    supervisor.end();
    let died = web.requests();
    assert_eq!(site.tree("out").iter().filter(|f| !f.contains(".sb-")).count(), 0, "no part of it is visible");
    web.open();
    let _again = site.start();
    assert_eq!(settled(&site, id).ok, 1);
    pages::assert_whole(&site, "out/list.ndjson", 20);
    let after: Vec<String> = web.log()[died..].iter().map(|s| s.param("page").unwrap_or("1").to_owned()).collect();
    let wanted: Vec<String> = (8..=20).map(|n| n.to_string()).collect();
    assert_eq!(after, wanted, "pages asked for after the restart");
}

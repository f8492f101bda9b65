//! Many URLs at a server that misbehaves: all end as they should, and the server saw no more than it was promised.

use super::{
    EAGER, Seen, by_path, calls, path_of, run, settled, start, start_with_files, states, task, trigger, wait, web,
};
use crate::support::Site;
use crate::support::web::{Web, is_chosen};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Checks that in every window of this length at most `count` requests were let go. What the server sees in a window may
/// have been let go before it, but no more than may be under way at once.
#[track_caller]
fn assert_rate(log: &[Seen], count: usize, window: Duration, at_once: usize) {
    let most = super::most_within(log, window);
    assert!(most <= count + 1 + at_once, "{most} requests within {window:?}, at most {count} and {at_once} late ones");
}

#[test]
fn a_thousand_urls_end_as_they_should_at_a_server_that_fails_limits_and_hangs() {
    let (poor, strict) = (web(), web());
    // 30 % of eight hundred fail at first, 1 % hang; two hundred are at a server that wants no more than 50/s.
    let tasks = task(
        "calls",
        &format!(
            "urls = [\"{}\", \"{}\"], concurrency = 40, deadlines = {{ first_byte = \"1s\" }}, per_host = {{ concurrency = 16, \
             rate = \"200/s\", retry_budget = 0.5, retry_rate = \"20/s\", breaker = 0 }}, output = \"out/{{n}}.json\"",
            poor.url("/a/{1..800}?fail=30&hang=1&seed=7&times=1"),
            strict.url("/b/{1..200}?limit=50&after=1"),
        ),
        EAGER,
    );
    let (site, _supervisor) = start(&tasks);
    let started = Instant::now();
    let run = settled(&site, trigger(&site, "calls"));
    let took = started.elapsed();
    assert_eq!((run.state, run.ok, run.failed, run.skipped), ("succeeded", 1000, 0, 0));

    let jobs = calls(&site);
    assert_eq!(states(&jobs), BTreeMap::from([("succeeded", 1000)]));
    for job in &jobs {
        let web = if path_of(job).starts_with("/a/") { &poor } else { &strict };
        assert_eq!(
            (job["http_status"].as_u64(), job["host"].as_str()),
            (Some(200), Some(web.host().as_str())),
            "{job:#}"
        );
        assert!(job["latency_ms"].is_u64() && job["requests"].as_u64() >= Some(1), "{job:#}");
        assert_eq!(super::output(job), crate::support::web::plain(&path_of(job)));
    }
    assert_eq!(site.tree("out").len(), 1000);

    for (web, first) in [(&poor, 800), (&strict, 200)] {
        let log = web.log();
        assert!(web.most_at_once() <= 16, "{} at once", web.most_at_once());
        assert_rate(&log, 200, Duration::from_secs(1), 16);
        assert_rate(&log, 20, Duration::from_millis(100), 16);
        let retries = log.len() - first;
        let floor = usize::try_from(took.as_secs()).unwrap() * 20 + 21;
        assert!(retries <= 3 + first / 2 + floor, "{retries} retries of {first} in {took:?}");
    }
    // Exactly those were tried again that had to be.
    for (path, requests) in by_path(&poor.log()) {
        let again = is_chosen(path, 7, 30);
        assert_eq!(requests, if again { 2 } else { 1 }, "{path}");
    }
    assert!(poor.log().iter().any(|seen| seen.status == 0), "some hung");
    assert_leaves_alone(&strict);
}

/// Nobody called between a 429 and the end of its `Retry-After`, but who was on the way already, or let go before the
/// answer was read.
#[track_caller]
fn assert_leaves_alone(web: &Web) {
    let log = web.log();
    let refused: Vec<&Seen> = log.iter().filter(|seen| seen.status == 429).collect();
    assert!(!refused.is_empty(), "the limit was met");
    for one in &refused {
        // From the head of the refused request, so a little less than the second that it said.
        let after = log.iter().filter(|s| s.at > one.at && s.at < one.at + Duration::from_millis(950)).count();
        assert!(after < 32, "{after} requests in the second after a 429");
    }
    assert!(refused.len() < log.len() / 2, "{} of {} were refused", refused.len(), log.len());
}

#[test]
fn a_url_that_always_hangs_fails_and_no_other_waits_for_it() {
    let web = web();
    let tasks = task(
        "calls",
        &format!(
            "urls = [\"{}\", \"{}\"], per_host = {{ concurrency = 8, breaker = 0 }}, \
             deadlines = {{ first_byte = \"300ms\" }}",
            web.url("/never/{1..3}?hang=100"),
            web.url("/good/{1..97}"),
        ),
        "retry = { attempts = 2, backoff = \"10ms\" }",
    );
    let (site, _supervisor) = start(&tasks);
    let run = settled(&site, trigger(&site, "calls"));
    assert_eq!((run.state, run.ok, run.failed), ("partial", 97, 3));
    for job in calls(&site) {
        let hangs = path_of(&job).starts_with("/never/");
        assert_eq!(job["state"], if hangs { "failed" } else { "succeeded" });
        if hangs {
            assert_eq!((&job["error"]["class"], &job["error"]["code"]), (&"timeout".into(), &"http_timeout".into()));
            assert_eq!(web.seen(&path_of(&job)).len(), 2);
        }
    }
}

#[test]
fn a_hundred_endpoints_are_called_at_once() {
    let web = web();
    let tasks = task(
        "calls",
        &format!(
            "urls = [\"{}\"], concurrency = 100, per_host = {{ concurrency = 100 }}",
            web.url("/slow/{1..100}?gate=1")
        ),
        "",
    );
    let (site, _supervisor) = start(&tasks);
    let id = trigger(&site, "calls");
    wait("a hundred requests at the gate", || (web.at_once() == 100).then_some(()));
    web.open();
    assert_eq!(settled(&site, id).ok, 100);
    assert_eq!((web.most_at_once(), web.requests()), (100, 100));
}

#[test]
fn one_host_at_its_limit_does_not_hold_up_another() {
    let (stuck, free) = (web(), web());
    let tasks = task(
        "calls",
        &format!(
            "urls = [\"{}\", \"{}\"], concurrency = 16, per_host = {{ concurrency = 4 }}",
            stuck.url("/stuck/{1..200}?gate=1"),
            free.url("/free/{1..50}")
        ),
        "",
    );
    let (site, _supervisor) = start(&tasks);
    let id = trigger(&site, "calls");
    wait("the free host to be done", || (run(&site, id).ok >= 50).then_some(()));
    assert_eq!(stuck.most_at_once(), 4);
    assert_eq!(run(&site, id).ok, 50);
    stuck.open();
    assert_eq!(settled(&site, id).ok, 250);
    assert!(stuck.most_at_once() <= 4 && free.most_at_once() <= 4);
}

#[test]
fn with_few_open_files_every_url_is_called_once() {
    let web = web();
    let tasks = task(
        "calls",
        &format!(
            "urls = [\"{}\"], concurrency = 200, per_host = {{ concurrency = 200 }}, output = \"out/{{n}}.json\"",
            web.url("/a/{1..3000}")
        ),
        "",
    );
    let site = Site::new(&tasks);
    let _supervisor = start_with_files(&site, 150);
    let run = settled(&site, trigger(&site, "calls"));
    assert_eq!((run.state, run.ok, run.failed), ("succeeded", 3000, 0));
    assert_eq!(web.requests(), 3000, "no file was missing for an answer");
    assert_eq!(site.tree("out").len(), 3000);
}

#[test]
fn retries_keep_within_the_budget_at_every_moment() {
    let web = web();
    let tasks = task(
        "calls",
        &format!(
            "urls = [\"{}\"], concurrency = 16, per_host = {{ concurrency = 16, retry_budget = 0.1, retry_rate = \"10/s\", \
             breaker = 0 }}",
            web.url("/bad/{1..200}?status=500")
        ),
        EAGER,
    );
    let (site, _supervisor) = start(&tasks);
    trigger(&site, "calls");
    wait("retries beyond the budget's first tokens", || (web.requests() >= 200 + 3 + 20 + 15).then_some(()));
    let log = web.log();
    let mut met = BTreeSet::new();
    let mut retries = 0;
    for seen in &log {
        if !met.insert(&seen.path) {
            retries += 1;
        }
        let floor = seen.at.duration_since(log[0].at).as_millis() / 100 + 1;
        let allowed = 3 + met.len().div_ceil(10) + usize::try_from(floor).unwrap();
        assert!(
            retries <= allowed,
            "{retries} retries after {} first tries and {floor} places, at most {allowed}",
            met.len()
        );
    }
}

#[test]
fn a_host_that_only_fails_is_probed_by_one_request_at_a_time() {
    let web = web();
    let tasks = task(
        "calls",
        &format!(
            "urls = [\"{}\"], concurrency = 8, per_host = {{ concurrency = 8, retry_budget = 1.0, retry_rate = \"100/s\", \
             breaker = 5 }}",
            web.url("/x/{1..50}?gate=1")
        ),
        EAGER,
    );
    web.open();
    web.down(Some(500));
    let (site, _supervisor) = start(&tasks);
    let id = trigger(&site, "calls");
    let before = wait("the breaker to open", || {
        let log = web.log();
        let quiet = log.last().is_some_and(|seen| seen.at.elapsed() >= Duration::from_secs(2));
        (quiet && log.len() >= 5).then_some(log.len())
    });
    // Those that were under way when it opened had come already.
    assert!(before <= 5 + 7, "{before} requests before the breaker opened");
    web.down(None);
    web.close();
    wait("the probe", || (web.at_once() == 1).then_some(()));
    site.json("status");
    assert_eq!((web.at_once(), web.requests()), (1, before + 1), "one probe alone finds out that all is well");
    web.open();
    assert_eq!(settled(&site, id).ok, 50);
    assert!(web.most_at_once() <= 8);
}

#[test]
fn what_the_screen_of_a_script_says_names_the_host_that_is_left_alone() {
    let web = web();
    let url = web.url("/x/{1..4}?limit=1&after=30");
    let (site, _supervisor) =
        start(&task("calls", &format!("urls = [\"{url}\"], per_host = {{ concurrency = 1 }}"), EAGER));
    trigger(&site, "calls");
    wait("a 429", || web.log().iter().any(|s| s.status == 429).then_some(()));
    let at_rest = wait("the waiting calls", || {
        let held =
            calls(&site).into_iter().filter(|j| matches!(j["state"].as_str(), Some("waiting" | "queued"))).count();
        (held == 3).then(|| web.requests())
    });
    // A banner says which host is left alone, and until when.
    let banner = wait("the banner", || {
        let banners = site.json("status")["banners"].as_array().unwrap().clone();
        banners.into_iter().find(|b| b["text"].as_str().unwrap().contains(&web.host()))
    });
    assert!(
        banner["text"].as_str().unwrap().contains("429") || banner["text"].as_str().unwrap().contains("until"),
        "{banner}"
    );
    assert_eq!(web.requests(), at_rest, "nobody called in the meantime");
}

//! Answers that are there already: a 304 costs no body, a fresh one no request, and nobody gets what another was given.

use super::{EAGER, ONCE, call, calls, output, run_through, start, states, task, web};
use crate::support::Site;
use crate::support::web::plain;
use std::collections::BTreeMap;

#[test]
fn an_answer_that_has_not_changed_costs_no_body() {
    let web = web();
    let fetch = format!("urls = [\"{}\"], cache = true", web.url("/x/{1..10}?etag=v1"));
    let (site, supervisor) = start(&task("calls", &fetch, ""));
    assert_eq!(run_through(&site, "calls").ok, 10);
    assert!(web.log().iter().all(|s| s.status == 200 && s.header("if-none-match").is_none()));
    assert_eq!(run_through(&site, "calls").ok, 10);
    // Over a restart too.
    drop(supervisor);
    let _again = site.start();
    assert_eq!(run_through(&site, "calls").ok, 10);
    let log = web.log();
    assert_eq!(log.len(), 30);
    for seen in &log[10..] {
        assert_eq!((seen.status, seen.sent, seen.header("if-none-match")), (304, 0, Some("\"v1\"")), "{seen:?}");
    }
    let jobs = calls(&site);
    assert_eq!(states(&jobs), BTreeMap::from([("succeeded", 30)]));
    for job in &jobs {
        assert_eq!(output(job), plain(&super::path_of(job)), "{job:#}");
    }
}

#[test]
fn a_fresh_answer_costs_no_request() {
    let web = web();
    let fetch = format!("urls = [\"{}\"], cache = \"1h\"", web.url("/x/{1..10}"));
    let (site, _supervisor) = start(&task("calls", &fetch, ""));
    assert_eq!((run_through(&site, "calls").ok, run_through(&site, "calls").ok), (10, 10));
    assert_eq!(web.requests(), 10);
    assert_eq!(calls(&site).iter().filter(|j| output(j) == plain(&super::path_of(j))).count(), 20);
}

#[test]
fn an_answer_is_for_who_asked_for_it() {
    let web = web();
    let one = |who: &str| {
        let url = web.url("/private?echo=1&etag=v1");
        task(who, &format!("url = \"{url}\", cache = \"1h\", auth = {{ bearer = {{ env = \"{who}\" }} }}"), ONCE)
    };
    let site = Site::new(&(one("ANNA") + &one("BERT")));
    let _supervisor = super::start_with_env(&site, &[("ANNA", "token-of-anna"), ("BERT", "token-of-bert")]);
    for who in ["anna", "bert", "anna", "bert"] {
        let told = output(&call(&site, &who.to_uppercase()));
        assert!(told.contains(&format!("Bearer token-of-{who}")), "{who} got {told}");
    }
    assert_eq!(web.requests(), 2);
    assert!(web.log().iter().all(|s| s.header("if-none-match").is_none()));
}

#[test]
fn a_stale_answer_stands_in_only_where_that_was_chosen() {
    let web = web();
    let one = |name: &str, cache: &str| task(name, &format!("url = \"{}\", cache = {cache}", web.url("/x")), ONCE);
    let tasks = one("lenient", "{ ttl = \"1ms\", stale_if_error = \"1d\" }") + &one("strict", "{ ttl = \"1ms\" }");
    let (site, _supervisor) = start(&tasks);
    assert_eq!((run_through(&site, "lenient").ok, run_through(&site, "strict").ok), (1, 1));
    web.down(Some(503));
    let stale = call(&site, "lenient");
    assert_eq!((stale["state"].as_str(), output(&stale)), (Some("succeeded"), plain("/x")), "{stale:#}");
    let failed = call(&site, "strict");
    assert_eq!((&failed["state"], &failed["error"]["code"]), (&"failed".into(), &"http_status".into()), "{failed:#}");
}

#[test]
fn half_an_answer_is_never_kept() {
    let web = web();
    let fetch = format!("url = \"{}\", cache = \"1h\"", web.url("/big?size=100000&cut=1&times=2"));
    let (site, _supervisor) = start(&task("calls", &fetch, EAGER));
    let job = call(&site, "calls");
    assert_eq!((job["state"].as_str(), output(&job).len()), (Some("succeeded"), 100_000), "{job:#}");
    assert_eq!(output(&call(&site, "calls")).len(), 100_000);
    assert_eq!(web.requests(), 3);
}

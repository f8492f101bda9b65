//! What is a good answer and what is none: by status, by content, by size and by place; and where it is written.

use super::{EAGER, ONCE, call, calls, output, run_through, start, states, task, web};
use crate::support::Site;
use serde_json::json;
use std::collections::BTreeMap;

#[test]
fn an_error_page_with_status_200_fails() {
    let web = web();
    let one = |name: &str, expect: &str, path: &str| {
        task(name, &format!("url = \"{}\", expect = {{ {expect} }}", web.url(path)), ONCE)
    };
    let cases = [
        ("json", "json = true", "/page?text=<html>sorry</html>", "answer_not_json"),
        ("key", "key = \"/data\"", "/page", "answer_key"),
        ("small", "min_bytes = 1000", "/page", "answer_small"),
        ("text", "contains = \"all is well\"", "/page?text=all+is+lost", "answer_contains"),
        ("status", "status = [201]", "/page", "http_status"),
    ];
    let tasks: String = cases.map(|(name, expect, path, _)| one(name, expect, path)).concat();
    let good = [
        ("g_json", "json = true", "/good"),
        ("g_key", "key = \"path\"", "/good"),
        ("g_small", "min_bytes = 10", "/good"),
        ("g_text", "contains = \"all is well\"", "/good?text=now+all+is+well"),
        ("g_status", "status = [201]", "/good?status=201"),
        ("g_404", "status = [404]", "/good?status=404"),
    ];
    let tasks = tasks + &good.map(|(name, expect, path)| one(name, expect, path)).concat();
    let (site, _supervisor) = start(&tasks);
    for (name, _, _, code) in cases {
        let job = call(&site, name);
        assert_eq!((&job["state"], &job["error"]["code"]), (&"failed".into(), &code.into()), "{name}: {job:#}");
        assert_eq!((job["http_status"].as_u64(), &job["outputs"]), (Some(200), &json!([])), "{name}");
    }
    assert_eq!(site.tree("out"), [""; 0], "nothing of it is visible");
    for (name, ..) in good {
        assert_eq!(call(&site, name)["state"], "succeeded", "{name}");
    }
}

#[test]
fn statuses_are_tried_again_by_their_kind() {
    let web = web();
    let again = [408, 425, 429, 500, 502, 503, 504];
    let never = [400, 401, 403, 404, 405, 410, 422];
    let tasks: String = again
        .iter()
        .chain(&never)
        .map(|code| {
            let url = web.url(&format!("/s{code}?status={code}&times=1"));
            task(&format!("s{code}"), &format!("url = \"{url}\", per_host = {{ breaker = 0 }}"), EAGER)
        })
        .collect();
    let chosen =
        task("retried", &format!("url = \"{}\", retry_status = [404]", web.url("/retried?status=404&times=1")), EAGER)
            + &task(
                "final",
                &format!("url = \"{}\", permanent_status = [500]", web.url("/final?status=500&times=1")),
                EAGER,
            );
    let (site, _supervisor) = start(&(tasks + &chosen));
    for code in again {
        let job = call(&site, &format!("s{code}"));
        assert_eq!((&job["state"], web.seen(&format!("/s{code}")).len()), (&"succeeded".into(), 2), "{code}: {job:#}");
    }
    for code in never {
        let job = call(&site, &format!("s{code}"));
        assert_eq!((&job["state"], web.seen(&format!("/s{code}")).len()), (&"failed".into(), 1), "{code}: {job:#}");
        assert_eq!(job["http_status"].as_u64(), Some(code));
    }
    assert_eq!((call(&site, "retried")["state"].as_str(), web.seen("/retried").len()), (Some("succeeded"), 2));
    assert_eq!((call(&site, "final")["state"].as_str(), web.seen("/final").len()), (Some("failed"), 1));
}

#[test]
fn half_a_body_is_no_answer() {
    let web = web();
    let url = web.url("/half?size=300000&cut=1&times=2");
    let (site, _supervisor) = start(&task("calls", &format!("url = \"{url}\", output = \"out/body\""), EAGER));
    let job = call(&site, "calls");
    assert_eq!((job["state"].as_str(), job["attempt"].as_u64()), (Some("succeeded"), Some(3)), "{job:#}");
    assert_eq!((output(&job).len(), job["bytes_out"].as_u64()), (300_000, Some(300_000)));
    let detail = site.json(&format!("show {}", job["id"]));
    let codes: Vec<&str> =
        detail["attempts"].as_array().unwrap().iter().filter_map(|a| a["error"]["code"].as_str()).collect();
    assert_eq!(codes, ["http_cut_short", "http_cut_short"]);
    assert_eq!(site.tree("out"), ["out/body"]);
}

#[test]
fn too_much_and_too_slow_end() {
    let web = web();
    let big = format!("url = \"{}\", max_bytes = \"1MB\"", web.url("/big?size=5000000"));
    let drip = format!("url = \"{}\", deadlines = {{ total = \"500ms\" }}", web.url("/drip?size=100000&drip=20"));
    let quiet = format!("url = \"{}\", deadlines = {{ idle = \"300ms\" }}", web.url("/quiet?size=10&drip=60000"));
    let (site, _supervisor) =
        start(&(task("big", &big, ONCE) + &task("drip", &drip, ONCE) + &task("quiet", &quiet, ONCE)));
    for (name, class, code) in [
        ("big", "permanent", "http_too_large"),
        ("drip", "timeout", "http_timeout"),
        ("quiet", "timeout", "http_timeout"),
    ] {
        let error = call(&site, name)["error"].clone();
        assert_eq!((&error["class"], &error["code"]), (&class.into(), &code.into()), "{name}: {error:#}");
    }
    assert_eq!(site.tree("out"), [""; 0]);
}

#[test]
fn packed_answers_are_unpacked_and_redirects_followed_as_far_as_allowed() {
    let (web, other) = (web(), web());
    let packed = format!("url = \"{}\", output = \"out/packed\"", web.url("/packed?gzip=1&size=100000"));
    let round = format!("url = \"{}\"", web.url("/round?to=self&n=7"));
    let none = format!("url = \"{}\", redirects = 0", web.url("/none?to=/there"));
    let auth = "auth = { header = \"X-Api-Key\", value = { env = \"KEY\" } }";
    let near = format!("url = \"{}\", {auth}", web.url("/near?to=/there"));
    let away = format!("url = \"{}\", {auth}", web.url(&format!("/away?to={}", other.url("/elsewhere"))));
    let site = Site::new(
        &[("packed", packed), ("round", round), ("none", none), ("near", near), ("away", away)]
            .map(|(name, fetch)| task(name, &fetch, ONCE))
            .concat(),
    );
    let _supervisor = super::start_with_env(&site, &[("KEY", "key-of-mine")]);
    let job = call(&site, "packed");
    assert_eq!(output(&job).len(), 100_000, "{job:#}");
    assert_eq!(call(&site, "round")["error"]["code"], "http_redirect");
    assert!(web.seen("/round").len() <= 6, "the first request and at most five redirects");
    assert_eq!(call(&site, "none")["state"], "failed");
    assert!(web.seen("/there").is_empty());
    assert_eq!(call(&site, "near")["requests"], 2);
    assert_eq!(web.seen("/there")[0].header("x-api-key"), Some("key-of-mine"));
    assert_eq!(call(&site, "away")["state"], "succeeded");
    assert_eq!(web.seen("/away")[0].header("x-api-key"), Some("key-of-mine"));
    assert_eq!(other.seen("/elsewhere")[0].header("x-api-key"), None, "another origin gets no key");
}

#[test]
fn urls_come_from_files_and_may_not_reach_into_this_machine_unless_that_was_said() {
    let web = web();
    let list = |from: &str| task("list", &format!("from = {from}, networks = \"any\", output = \"out/{{n}}\""), ONCE);
    let site = Site::empty();
    let urls: Vec<String> = (1..=5).map(|n| web.url(&format!("/x/{n}"))).collect();
    std::fs::write(site.path("urls.txt"), format!("# five\n\n{}\n", urls.join("\n"))).unwrap();
    let rows: String = urls.iter().enumerate().map(|(n, url)| format!("{n},\"{url}\"\n")).collect();
    std::fs::write(site.path("urls.csv"), format!("id,address\n{rows}")).unwrap();
    std::fs::write(site.path("urls.json"), json!(urls).to_string()).unwrap();
    std::fs::write(site.path("ids.txt"), "1\n2\n3\n4\n5\n").unwrap();
    let sources = [
        list("\"urls.txt\""),
        list("{ files = [\"urls.csv\"], column = \"address\" }"),
        list("\"urls.json\""),
        list(&format!("\"ids.txt\", url = \"{}\"", web.url("/x/{value}"))),
    ];
    for (n, tasks) in sources.iter().enumerate() {
        site.configure(tasks);
        let _supervisor = site.start();
        assert_eq!(run_through(&site, "list").ok, 5, "source {n}");
        assert_eq!(web.requests(), 5 * (n + 1));
    }
    site.configure(&task("list", "from = \"urls.txt\"", ONCE));
    let _supervisor = site.start();
    let run = run_through(&site, "list");
    assert_eq!((run.state, run.failed), ("failed", 5));
    let refused: Vec<_> = calls(&site).into_iter().filter(|j| j["state"] == "failed").collect();
    assert_eq!(states(&refused), BTreeMap::from([("failed", 5)]));
    assert!(refused.iter().all(|job| job["error"]["code"] == "http_address"), "{refused:#?}");
    assert_eq!(web.requests(), 20, "nothing was dialled");
}

#[test]
fn what_is_sent_is_what_was_written() {
    let web = web();
    let post = |name: &str, more: &str| {
        let url = web.url(&format!("/{name}?echo=1"));
        task(name, &format!("url = \"{url}\", method = \"POST\", idempotency_key = \"X-Once\", {more}"), ONCE)
    };
    let tasks =
        post("json", "json = { a = 1, b = [\"x\"] }, headers = { X-Team = \"ops\" }, query = { page = \"1 2\" }")
            + &post("form", "form = { a = \"1 & 2\", b = \"c\" }")
            + &post("text", "body = { type = \"text/csv\", text = \"a,b\\n\" }");
    let (site, _supervisor) = start(&tasks);
    for name in ["json", "form", "text"] {
        assert_eq!(call(&site, name)["state"], "succeeded", "{name}");
    }
    let one = |path: &str| web.seen(path).remove(0);
    let json = one("/json");
    assert_eq!((json.header("content-type"), json.header("x-team")), (Some("application/json"), Some("ops")));
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&json.body).unwrap(), json!({ "a": 1, "b": ["x"] }));
    assert!(json.header("x-once").is_some() && matches!(json.param("page"), Some("1+2" | "1%202")), "{json:?}");
    let form = one("/form");
    assert_eq!(form.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(form.body, b"a=1+%26+2&b=c");
    let text = one("/text");
    assert_eq!((text.header("content-type"), text.body.as_slice()), (Some("text/csv"), b"a,b\n".as_slice()));
    assert!(web.log().iter().all(|s| s.header("host") == Some(web.host().as_str())));
}

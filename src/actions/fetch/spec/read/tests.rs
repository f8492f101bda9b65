//! Tables of a `fetch`, right and wrong.

use super::*;
use crate::actions::fetch::spec::{
    Auth, Cache, Connection, Deadlines, Expect, ListFormat, Networks, Pages, Paging, Statuses, Text, parse_rate,
};
use crate::model::Secret;
use crate::model::block::{Complaints, Entry, Hint, Node};
use std::path::Path;
use std::time::Duration;
use toml::de::{DeTable, DeValue};

/// The tree of a TOML text.
fn tree(source: &str) -> Node {
    fn value(spanned: &toml::Spanned<DeValue<'_>>) -> Node {
        let value = match spanned.get_ref() {
            DeValue::String(s) => Value::String(s.to_string()),
            DeValue::Integer(n) => Value::Integer(i64::from_str_radix(n.as_str(), n.radix()).unwrap()),
            DeValue::Float(f) => Value::Float(f.as_str().parse().unwrap()),
            DeValue::Boolean(b) => Value::Boolean(*b),
            DeValue::Datetime(d) => Value::Datetime(d.to_string()),
            DeValue::Array(list) => Value::Array(list.iter().map(value).collect()),
            DeValue::Table(t) => Value::Table(entries(t)),
        };
        Node { span: spanned.span(), value }
    }
    fn entries(table: &DeTable<'_>) -> Vec<Entry> {
        let entry = |(key, node): (&toml::Spanned<std::borrow::Cow<'_, str>>, _)| Entry {
            key: key.get_ref().to_string(),
            key_span: key.span(),
            node: value(node),
        };
        let mut all: Vec<Entry> = table.iter().map(entry).collect();
        all.sort_by_key(|entry| entry.key_span.start);
        all
    }
    let table = DeTable::parse(source).unwrap();
    Node { span: 0..0, value: Value::Table(entries(table.get_ref())) }
}

fn read(source: &str) -> (Option<Spec>, Vec<String>) {
    let (root, sink) = (tree(source), Complaints::default());
    let spec = Spec::read(&mut Block::open("fetch", &root, Path::new("/base"), &sink));
    let told = sink.into_sorted().into_iter().map(|c| {
        assert!(!matches!(&c.hint, Some(Hint::Text(hint)) if hint.is_empty()));
        format!("{} | {}", &source[c.span.clone()], c.message)
    });
    (spec, told.collect())
}

fn good(source: &str) -> Spec {
    let (spec, told) = read(source);
    assert!(told.is_empty(), "{told:?}");
    spec.unwrap()
}

/// What is told about a wrong table whose URL is right.
fn told(source: &str) -> String {
    let (spec, told) = read(&format!("url = \"http://a\"\n{source}"));
    assert!(spec.is_none() && !told.is_empty(), "{spec:?}");
    told.join("; ")
}

#[test]
fn one_url_is_enough() {
    let spec = good("url = \"https://a/b\"");
    assert_eq!(spec.source, Source::Urls(vec!["https://a/b".into()]));
    assert_eq!((spec.request.method.as_str(), spec.max_bytes, spec.concurrency), ("GET", 1 << 30, None));
    assert_eq!((spec.output.source(), spec.on_exists), ("out/{task}/{run}/{n}-{name}", OnExists::Suffix));
    assert_eq!((spec.limits, spec.deadlines), (HostLimits::default(), Deadlines::default()));
    assert_eq!(spec.connection, Connection { redirects: 5, ..Connection::default() });
    assert_eq!((spec.pages, spec.cache, spec.expect), (None, None, Expect::default()));
}

#[test]
fn every_key_is_read() {
    let spec = good(
        r#"
urls = ["https://a/{1..2}", "http://b:8080/{date-1}"]
method = "put"
headers = { Accept = "text/csv", "X-Trace" = { env = "TRACE" }, X-N = 7 }
query = { page = 1, tag = ["a", "b"], key = { file = "key" } }
json = { z = [1, 2.5, true, 2026-01-31], a = { t = "\"x\"" } }
auth = { user = "me", password = { command = ["pass"] } }
idempotency_key = true
concurrency = 100
per_host = { concurrency = 4, rate = "10/s", retry_budget = 0.2, retry_rate = "30/m", breaker = 5 }
deadlines = { connect = "1s", first_byte = "2s", idle = "3s", total = "4s" }
retry_status = [404]
permanent_status = 503
expect = { status = [200, 201], key = "data.items.0", min_bytes = "1KB", contains = "ok" }
max_bytes = "2GiB"
output = "raw/{n}.csv"
on_exists = "fail"
write = "csv"
items = "/data/items"
pages = { offset = "skip", limit = { param = "top", size = 50 }, max = 7 }
ca_file = "ca.pem"
proxy = "socks5://proxy:1080"
redirects = 0
networks = "public"
user_agent = "me/1"
http1 = true
"#,
    );
    let plain = |name: &str, text: &str| (name.to_owned(), Text::Plain(text.to_owned()));
    let secret = |name: &str, secret| (name.to_owned(), Text::Secret(secret));
    assert_eq!(spec.request.method, "PUT");
    assert_eq!(
        spec.request.headers,
        [plain("Accept", "text/csv"), secret("X-Trace", Secret::Env("TRACE".into())), plain("X-N", "7")]
    );
    assert_eq!(
        spec.request.query,
        [plain("page", "1"), plain("tag", "a"), plain("tag", "b"), secret("key", Secret::File("/base/key".into()))]
    );
    assert_eq!(spec.request.body, Body::Json(r#"{"z":[1,2.5,true,"2026-01-31"],"a":{"t":"\"x\""}}"#.into()));
    assert_eq!(
        spec.request.auth,
        Some(Auth::Basic { user: "me".into(), password: Secret::Command(vec!["pass".into()]) })
    );
    assert_eq!(spec.request.idempotency_key.as_deref(), Some("Idempotency-Key"));
    let limits = HostLimits {
        concurrency: 4,
        rate: parse_rate("10/s"),
        retry_ratio: 0.2,
        retry_floor: parse_rate("30/m").unwrap(),
        breaker_after: 5,
    };
    assert_eq!((spec.limits, spec.concurrency), (limits, Some(100)));
    let seconds = Duration::from_secs;
    assert_eq!(
        spec.deadlines,
        Deadlines { connect: seconds(1), first_byte: seconds(2), idle: seconds(3), total: seconds(4) }
    );
    assert_eq!(spec.statuses, Statuses { retry: vec![404], permanent: vec![503] });
    let expect = Expect {
        status: vec![200, 201],
        json: true,
        key: Some("/data/items/0".into()),
        min_bytes: 1000,
        contains: Some("ok".into()),
    };
    assert_eq!((spec.expect, spec.max_bytes), (expect, 2 << 30));
    assert_eq!(spec.write, Write { form: Form::Csv, items: "/data/items".into() });
    let by = Paging::Offset { param: "skip".into(), limit: Some(("top".into(), 50)) };
    assert_eq!(spec.pages, Some(Pages { by, max: 7 }));
    let connection = Connection {
        ca_file: Some("/base/ca.pem".into()),
        proxy: Some("socks5://proxy:1080".into()),
        insecure: false,
        redirects: 0,
        networks: Networks::Public,
        user_agent: Some("me/1".into()),
        http1: true,
    };
    assert_eq!(spec.connection, connection);
}

#[test]
fn short_forms_are_read() {
    let with = |source: &str| good(&format!("url = \"http://a\"\n{source}"));
    let cache =
        |source: &str| with(source).cache.map(|c: Cache| (c.ttl.as_secs(), c.stale_if_error.map(|d| d.as_secs())));
    assert_eq!(cache("cache = true"), Some((0, None)));
    assert_eq!(cache("cache = false"), None);
    assert_eq!(cache("cache = \"10m\""), Some((600, None)));
    assert_eq!(cache("cache = { stale_if_error = \"1h\" }"), Some((0, Some(3600))));
    let by = |source: &str| with(&format!("write = \"ndjson\"\n{source}")).pages.unwrap();
    assert_eq!(by("pages = { link = true }"), Pages { by: Paging::Link, max: 100 });
    assert_eq!(by("pages = { cursor = \"next\" }").by, Paging::Cursor { field: "/next".into(), param: None });
    assert_eq!(by("pages = { number = \"p\", start = 0 }").by, Paging::Number { param: "p".into(), start: 0 });
    assert_eq!(with("form = { a = \"b\" }").request.method, "POST");
    assert_eq!(
        with("body = { type = \"text/xml\", text = \"<a/>\" }").request.body,
        Body::Text { content_type: "text/xml".into(), text: "<a/>".into() }
    );
    assert_eq!(with("expect = { status = 404, min_bytes = 5 }").expect.status, [404]);
    assert_eq!(with("write = \"ndjson\"").output.source(), "out/{task}/{run}/{n}-{stem}.ndjson");
    assert_eq!(with("auth = { bearer = { env = \"T\" } }").request.auth, Some(Auth::Bearer(Secret::Env("T".into()))));
    assert_eq!(with("idempotency_key = \"X-Once\"").request.idempotency_key.as_deref(), Some("X-Once"));
}

#[test]
fn lists_come_from_files() {
    let source = |text: &str| match good(text).source {
        Source::Files { paths, format, column, template, hosts } => {
            let paths: Vec<_> = paths.iter().map(|p| p.to_str().unwrap().to_owned()).collect();
            (paths.join(" "), format, column, template, hosts.join(" "))
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(source("from = \"l.csv\"\nurl = \"http://a/{value}\"").3.as_deref(), Some("http://a/{value}"));
    assert_eq!(source("from = \"inputs\"").0, "");
    let all = source(
        "from = { files = [\"a\", \"/b\"], format = \"csv\", column = \"u\", hosts = [\"API.x\", \"http://b:80\"] }",
    );
    assert_eq!(
        all,
        ("/base/a /b".into(), Some(ListFormat::Csv), Some("u".into()), None, "https://api.x http://b".into())
    );
}

#[test]
fn every_problem_is_told_with_its_place() {
    let (spec, told) = read(
        "urls = [\"http://a/{nam}\", \"ftp://b\"]\nconcurrency = 0\nper_host = { rate = \"fast\" }\nretry_status = [200]\nurl_ = 1\nredirects = 21\nnetworks = \"all\"",
    );
    assert!(spec.is_none());
    assert_eq!(
        told,
        [
            "{nam} | unknown placeholder {nam}",
            "ftp://b | a URL starts with http:// or https://",
            "0 | `concurrency` must be between 1 and 4096: 0",
            "\"fast\" | `rate` is not a number of requests in a time: \"fast\"",
            "200 | a status in `retry_status` is between 400 and 599: 200",
            "url_ | unknown key: url_",
            "21 | `redirects` must be between 0 and 20: 21",
            "\"all\" | `networks` must be \"auto\" or \"public\" or \"any\", not \"all\"",
        ]
    );
}

#[test]
fn sources_exclude_each_other() {
    let told = |source: &str| read(source).1.join("; ");
    assert_eq!(told(""), " | fetch has no URL");
    assert_eq!(told("urls = []"), "urls | `urls` is empty");
    assert_eq!(told("urls = [\"http://a\"]\nfrom = \"x\""), "from | `from` and `urls` exclude each other");
    assert_eq!(told("urls = [\"http://a\"]\nurl = \"http://a\""), "url | `url` and `urls` exclude each other");
    assert_eq!(
        told("from = \"x\"\nurl = \"http://a\""),
        "http://a | the URL does not say where a value of `from` goes"
    );
    assert_eq!(told("url = \"http://a/{value}\""), "{value} | {value} without a `from` that it could come from");
    assert_eq!(told("url = \"http://a/{1..10000001}\""), "url | more than 10000000 URLs in one run");
    assert_eq!(told("from = { files = [] }"), "[] | `files` is empty");
    assert_eq!(told("from = [\"http://a/x\"]"), "[\"http://a/x\"] | `from` must be a file or a table, not a list");
    assert_eq!(told("from = \"http://a/x\""), "\"http://a/x\" | a list is a file, not a URL: \"http://a/x\"");
    assert_eq!(told("from = { files = \"a\", format = \"text\", column = \"x\" }"), "column | a text has no columns");
    assert_eq!(told("from = { files = \"a\", hosts = [\"a/b\"] }"), "\"a/b\" | not a host: \"a/b\"");
}

#[test]
fn secrets_are_not_written_down_and_go_nowhere_by_chance() {
    for name in ["Authorization", "cookie", "X-API-Key", "Proxy-Authorization"] {
        let message = told(&format!("headers = {{ {name} = \"hunter2\" }}"));
        assert_eq!(message, format!("\"hunter2\" | the header \"{name}\" is a secret and is not written down"));
    }
    assert_eq!(
        told("auth = { bearer = \"hunter2\" }"),
        "\"hunter2\" | `fetch.auth.bearer` must say where the secret is, not hold it"
    );
    assert!(told("proxy = \"http://u:hunter2@p:1\"").ends_with("a proxy is written without user name and password"));
    let (_, problems) = read("url = \"http://u:hunter2@a/\"");
    assert_eq!(problems, ["http://u:hunter2@a/ | a URL holds no user name and no password"]);
    for secret in [
        "auth = { bearer = { env = \"T\" } }",
        "query = { k = { env = \"T\" } }",
        "headers = { k = { env = \"T\" } }",
        "form = { k = { env = \"T\" } }",
    ] {
        for from in ["\"l.csv\"", "\"inputs\"", "{ files = \"l\" }"] {
            let (spec, problems) = read(&format!("from = {from}\n{secret}"));
            assert!(spec.is_none());
            assert_eq!(problems, ["from | a file would decide which hosts get the secret"]);
        }
        good(&format!("from = \"l.csv\"\nurl = \"https://a/{{value}}\"\n{secret}"));
        good(&format!("from = {{ files = \"l\", hosts = [\"a\"] }}\n{secret}"));
    }
}

#[test]
fn what_cannot_be_sent_is_refused() {
    assert_eq!(told("method = \"GTE\""), "\"GTE\" | no such method: \"GTE\"");
    assert_eq!(told("method = \"GET\"\njson = 1"), "method | GET with a body");
    assert_eq!(told("json = 1\nform = { a = 1 }"), "form | `json` and `form` exclude each other");
    assert_eq!(told("json = [nan]"), "nan | JSON has no such number: NaN");
    assert_eq!(told("headers = { \"a b\" = \"x\" }"), "\"a b\" | not the name of a header: \"a b\"");
    assert_eq!(
        told("headers = { a = \"x\\r\\nHost: b\" }"),
        "\"x\\r\\nHost: b\" | the value of \"a\" holds line breaks, controls or other than ASCII"
    );
    assert_eq!(told("headers = { Host = \"x\" }"), "Host | the header \"Host\" is not for a task to set");
    assert_eq!(told("headers = { a = \"x\", A = \"y\" }"), "A | the header \"A\" is set twice");
    assert_eq!(
        told("headers = { Content-Type = \"x\" }\njson = 1"),
        "headers | the header \"Content-Type\" is set twice"
    );
    assert_eq!(
        told("headers = { x = \"1\" }\nauth = { header = \"X\", value = { env = \"T\" } }"),
        "headers | the header \"x\" is set twice"
    );
    assert!(told("auth = { user = \"me\" }").ends_with("`auth` must be one way to say who asks"));
    assert!(told("auth = { user = \"a:b\", password = { env = \"T\" } }").contains("holds no colon"));
    assert!(told("proxy = \"p:1080\"").ends_with("`proxy` is not a proxy: \"p:1080\""));
    assert!(told("insecure = true\nca_file = \"x\"").starts_with("ca_file"));
    assert_eq!(
        told("deadlines = { connect = \"10s\", total = \"5s\" }"),
        "connect | `connect` is longer than `total`: 5s"
    );
    assert_eq!(told("idempotency_key = \"a b\""), "\"a b\" | not the name of a header: \"a b\"");
}

#[test]
fn keys_that_do_not_fit_together_are_refused() {
    assert_eq!(told("pages = { link = true }"), "pages | pages have no common form as they come");
    assert_eq!(told("items = \"/a\""), "items | `items` without a form that has items");
    assert_eq!(told("cache = true\nmethod = \"POST\""), "cache | an answer to POST is not kept");
    assert_eq!(
        told("cache = true\nheaders = { If-None-Match = \"x\" }"),
        "cache | a request with conditions of its own cannot use the cache"
    );
    assert_eq!(
        told("method = \"HEAD\"\nexpect = { json = true }"),
        "method | the answer to HEAD has no body to look at"
    );
    assert_eq!(told("expect = { min_bytes = \"2GB\" }"), "expect | `min_bytes` is more than `max_bytes`");
    assert_eq!(told("expect = { status = 404 }\nretry_status = 404"), "expect | a status cannot be good and a failure");
    assert_eq!(told("expect = { key = \"a..b\" }"), "\"a..b\" | `key` names no place in JSON: \"a..b\"");
    assert_eq!(told("expect = { key = \"/a~2\" }"), "\"/a~2\" | `key` is not a JSON pointer: \"/a~2\"");
    assert_eq!(
        told("retry_status = 404\npermanent_status = 404"),
        "permanent_status | status 404 is in `retry_status` and in `permanent_status`"
    );
    assert!(
        told("write = \"csv\"\npages = { link = true, number = \"p\" }")
            .ends_with("`pages` names two ways to the next page")
    );
    assert!(told("write = \"csv\"\npages = { link = false }").ends_with("`pages` names no way to the next page"));
    assert_eq!(told("write = \"csv\"\npages = { link = true, start = 1 }"), "start | `start` belongs to `number`");
    assert!(told("cache = { ttl = \"1h\", stale_if_error = \"1h\" }").starts_with("stale_if_error | "));
    let (_, problems) = read("url = \"http://a/{1..2}\"\noutput = \"x.json\"\non_exists = \"replace\"");
    assert_eq!(problems, ["output | every answer would replace the one before"]);
    good("url = \"http://a\"\noutput = \"x.json\"\non_exists = \"replace\"");
}

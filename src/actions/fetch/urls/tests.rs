//! The items of whole runs.

use super::*;
use crate::actions::fetch::spec::{
    Auth, Body, Cache, Connection, Deadlines, Expect, ListFormat, Pages, Request, Statuses, Write,
};
use crate::model::action::network::HostLimits;
use crate::model::{OnExists, Secret, Template};

fn spec(source: Source) -> Spec {
    let request = Request {
        method: "GET".into(),
        headers: Vec::new(),
        query: Vec::new(),
        body: Body::None,
        auth: None,
        idempotency_key: None,
    };
    Spec {
        source,
        request,
        limits: HostLimits::default(),
        concurrency: None,
        deadlines: Deadlines::default(),
        statuses: Statuses::default(),
        expect: Expect::default(),
        max_bytes: 1,
        write: Write::default(),
        output: Template::literal("x"),
        on_exists: OnExists::Suffix,
        pages: None::<Pages>,
        cache: None::<Cache>,
        connection: Connection::default(),
    }
}

fn urls(list: &[&str]) -> Spec {
    spec(Source::Urls(list.iter().map(|s| (*s).to_owned()).collect()))
}

fn files(paths: Vec<PathBuf>, template: Option<&str>, hosts: &[&str]) -> Spec {
    let hosts = hosts.iter().map(|s| (*s).to_owned()).collect();
    spec(Source::Files {
        paths,
        format: None::<ListFormat>,
        column: None,
        template: template.map(str::to_owned),
        hosts,
    })
}

fn order() -> PlanOrder {
    // Still the 1st of March in UTC, and the 2nd in Seoul.
    let planned_at = Millis(1_772_380_800_000 - 3_600_000);
    PlanOrder { planned_at, timezone: chrono_tz::Asia::Seoul, base: "/base".into(), upstream: Vec::new() }
}

/// `lane input` of every item, or what went wrong.
fn all(spec: &Spec, order: &PlanOrder) -> Vec<String> {
    let plain = |failure: Failure| {
        failure
            .message
            .rsplit_once('/')
            .map_or(failure.message.clone(), |(a, b)| format!("{} {b}", a.split(": /").next().unwrap_or_default()))
    };
    match items(spec, order) {
        Err(failure) => vec![plain(failure)],
        Ok(items) => {
            items.map(|item| item.map_or_else(plain, |item| format!("{} {}", item.lane, item.input))).collect()
        }
    }
}

#[test]
fn items_come_in_the_order_of_the_configuration() {
    let found = all(&urls(&["http://a:81/{1..2}", "https://B/{date}"]), &order());
    assert_eq!(found, ["a:81 http://a:81/1", "a:81 http://a:81/2", "b https://b/2026-03-02"]);
    let lanes: Vec<_> = items(&urls(&["http://a/{1..2}"]), &order()).unwrap().map(|i| i.unwrap().lane).collect();
    assert!(std::sync::Arc::ptr_eq(&lanes[0], &lanes[1]), "a host has one name in memory");
}

#[test]
fn a_plan_with_too_many_items_sends_nothing() {
    let many = urls(&["http://a/{1..10000000}", "http://a/"]);
    assert_eq!(items(&many, &order()).err().unwrap().code, "urls_too_many");
    let last = items(&urls(&["http://a/{1..10000000}"]), &order()).unwrap().nth(2).unwrap().unwrap();
    assert_eq!(last.input, "http://a/3");
    let dates = urls(&["http://a/{0001-01-01..date}/{1..100}"]);
    assert_eq!(items(&dates, &order()).err().unwrap().code, "urls_too_many");
    let item = Item { input: String::new(), lane: "a".into() };
    let mut bounded = Bounded { items: std::iter::repeat_n(item, 5).map(Ok), left: 2, has_failed: false };
    assert!(bounded.next().unwrap().is_ok() && bounded.next().unwrap().is_ok());
    assert_eq!(bounded.next().unwrap().unwrap_err().code, "urls_too_many");
    assert!(bounded.next().is_none(), "a plan ends behind its failure");
}

#[test]
fn files_are_read_in_their_order_up_to_a_bad_line() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        std::fs::write(dir.path().join(name), text).unwrap();
        dir.path().join(name)
    };
    let (a, b) = (write("a.txt", "http://a/1\n\nhttp://b/2#x\n"), write("b.txt", "http://a/3\nhunter2\nhttp://a/4\n"));
    let found = all(&files(vec![a.clone(), b.clone()], None, &[]), &order());
    assert_eq!(found[..3], ["a http://a/1", "b http://b/2", "a http://a/3"]);
    assert_eq!(found[3..], ["not a URL: relative URL without a base b.txt:2"]);
    let upstream = PlanOrder { upstream: vec![b, a], ..order() };
    assert_eq!(all(&files(Vec::new(), None, &[]), &upstream)[0], "a http://a/3", "the outputs of the upstream run");
    assert!(all(&files(Vec::new(), None, &[]), &order()).is_empty());
    let absent = files(vec![dir.path().join("a.txt"), dir.path().join("absent")], None, &[]);
    assert_eq!(items(&absent, &order()).err().unwrap().code, "urls_unreadable", "before anything is planned");
}

#[test]
fn values_of_files_are_put_into_a_url() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ids.csv");
    std::fs::write(&path, "id,n\nx/y,1\n?z,2\n..,3\nq,4\n").unwrap();
    let found = all(&files(vec![path], Some("https://a/{value}/{1..2}"), &[]), &order());
    let want = ["a https://a/x%2Fy/1", "a https://a/x%2Fy/2", "a https://a/%3Fz/1", "a https://a/%3Fz/2"];
    assert_eq!(found[..4], want);
    assert_eq!(found[4..], ["a value cannot be . or .. ids.csv:4"]);
}

#[test]
fn only_hosts_that_are_named_get_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("l");
    std::fs::write(&path, "https://a/1\nhttp://a/2\n").unwrap();
    let found = all(&files(vec![path], None, &["https://a"]), &order());
    assert_eq!(found, ["a https://a/1", "a URL of a host that `hosts` does not name l:2"]);

    let with_secret = |mut spec: Spec| {
        spec.request.auth = Some(Auth::Bearer(Secret::Env("T".into())));
        spec
    };
    let refused = |spec: &Spec, url: &str| item(spec, url).unwrap_err();
    let listed = with_secret(urls(&["https://n{1..3}.a/x", "http://b:81/"]));
    assert_eq!(&*item(&listed, " https://n2.a/y ").unwrap().lane, "n2.a");
    assert!(item(&listed, "http://b:81/z").is_ok());
    for url in ["https://n4.a/", "http://n2.a/", "https://n2.a:444/", "http://b/"] {
        assert!(refused(&listed, url).starts_with("the task sends secrets"), "{url}");
    }
    let from_file = with_secret(files(Vec::new(), Some("https://a/{value}"), &[]));
    assert!(item(&from_file, "https://a/q").is_ok() && item(&from_file, "https://c/q").is_err());
    let from_hosts = with_secret(files(Vec::new(), None, &["https://a"]));
    assert!(item(&from_hosts, "https://a/q").is_ok() && item(&from_hosts, "https://c/q").is_err());
    assert_eq!(
        item(&urls(&["https://a/"]), "https://c/").unwrap().input,
        "https://c/",
        "without secrets any URL will do"
    );
    assert_eq!(refused(&urls(&["https://a/"]), "c"), "not a URL: relative URL without a base");
}

//! What a status means.

use super::*;
use crate::model::FailureClass;

/// A server that answers as its path says.
async fn site() -> Site {
    Site::http(|seen| {
        let status = seen.path[1..4].parse().unwrap();
        match seen.path.split_once('=') {
            Some((_, value)) => reply(status, &[("retry-after", value)], "body"),
            None => reply(status, &[], "body"),
        }
    })
    .await
}

#[tokio::test]
async fn a_good_answer_is_read_to_its_end() {
    let (site, gate, client) = (site().await, Gate::default(), client());
    let mut answer = call(&client, &gate, &get(&site.url("/200"))).await.unwrap();
    assert_eq!((answer.status, answer.version, answer.call().requests), (200, "HTTP/1.1", 1));
    assert_eq!(answer.headers.get("Content-Length"), Some("4"));
    assert!(gate.ended.lock().unwrap().is_empty(), "the host is occupied until the body is read");
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "body");
    assert_eq!(answer.chunk().await.unwrap(), None);
    assert_eq!(answer.chunk().await.unwrap(), None);
    assert_eq!((answer.call().bytes, answer.call().status), (4, Some(200)));
    assert!(is_good(gate.ending()));
    let host = site.addr.to_string();
    assert_eq!(**gate.entered.lock().unwrap(), [HostName::from(host)]);
    assert!(site.seen()[0].headers["user-agent"].to_str().unwrap().starts_with("shiftboss/"));
}

#[tokio::test]
async fn every_status_has_its_class_and_its_ending() {
    let (site, client) = (site().await, client());
    let until = |seconds| Some(NOW.plus(Duration::from_secs(seconds)));
    let busy = |status, until| Ending::Busy { until, status };
    let good = Ending::Good { latency: Duration::ZERO };
    let (soon, not) = (FailureClass::Transient, FailureClass::Permanent);
    for (path, class, ending) in [
        ("/400", not, good),
        ("/401", not, good),
        ("/403", not, good),
        ("/404", not, good),
        ("/410", not, good),
        ("/408", soon, Ending::Bad),
        ("/425", soon, good),
        ("/429", soon, busy(429, None)),
        ("/429?=120", soon, busy(429, until(120))),
        ("/429?=-1", soon, busy(429, None)),
        ("/429?=99999999999", soon, busy(429, until(3600))),
        ("/500", soon, Ending::Bad),
        ("/501", soon, Ending::Bad),
        ("/502", soon, Ending::Bad),
        ("/503", soon, Ending::Bad),
        ("/503?=7", soon, busy(503, until(7))),
        ("/503?=garbage", soon, Ending::Bad),
        ("/504", soon, Ending::Bad),
        ("/599", soon, Ending::Bad),
        ("/300", not, good),
        ("/304", not, good),
        ("/302", not, good),
    ] {
        let gate = Gate::default();
        let failure = call(&client, &gate, &get(&site.url(path))).await.unwrap_err();
        assert_eq!((failure.class, failure.code.as_str()), (class, "http_status"), "{path}: {failure}");
        let end = gate.ending();
        assert!(end == ending || (is_good(end) && is_good(ending)), "{path}: {end:?}");
        if let Ending::Busy { until, .. } = ending {
            assert_eq!(failure.not_before, until, "{path}");
        }
        assert_eq!(failure.call.unwrap().status, Some(path[1..4].parse().unwrap()));
    }
}

#[tokio::test]
async fn the_configuration_may_say_otherwise() {
    let (site, client) = (site().await, client());
    let statuses = Statuses { retry: vec![404], permanent: vec![500] };
    for (path, class) in
        [("/404", FailureClass::Transient), ("/500", FailureClass::Permanent), ("/502", FailureClass::Transient)]
    {
        let failure = call_with(&client, &Gate::default(), &get(&site.url(path)), &statuses).await.unwrap_err();
        assert_eq!(failure.class, class, "{path}");
    }
    let found = call_with(&client, &Gate::default(), &post(&site.url("/404")), &statuses).await.unwrap_err();
    assert_eq!(found.class, FailureClass::Transient, "named statuses are retried whatever the method");
    let good = |status| status == 404;
    let (outgoing, limits) = (get(&site.url("/404")), HostLimits::default());
    let answer = send(&client, &outgoing, &Gate::default(), &limits, &statuses, 5, &good).await.unwrap();
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn a_post_without_a_key_is_not_repeated_once_it_was_answered() {
    let (site, client) = (site().await, client());
    for path in ["/500", "/503?=1", "/429", "/408"] {
        let failure = call(&client, &Gate::default(), &post(&site.url(path))).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Permanent, "{path}");
        assert!(failure.message.ends_with("it may have been received"), "{}", failure.message);
        let with_key = Outgoing { repeatable: true, ..post(&site.url(path)) };
        let failure = call(&client, &Gate::default(), &with_key).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Transient, "{path}");
    }
}

#[tokio::test]
async fn not_modified_is_an_answer_to_whom_asked_for_it() {
    let (site, client, gate) = (site().await, client(), Gate::default());
    let mut outgoing = get(&site.url("/304"));
    outgoing.headers = vec![("If-None-Match".into(), "\"v1\"".into())];
    let answer = call(&client, &gate, &outgoing).await.unwrap();
    assert_eq!(answer.status, 304);
    assert!(is_good(gate.ending()), "nothing follows");
    assert!(read(answer).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_head_of_a_bad_answer_is_kept_without_secrets() {
    let site = Site::http(|seen| {
        let echo = seen.headers["x-api-key"].to_str().unwrap().to_owned();
        let query = seen.path.split_once('=').unwrap().1.to_owned();
        let body = format!("key {echo}\nquery {query}\n\x1b[31mred");
        reply(500, &[("x-echo", &echo), ("set-cookie", "session=abcdef")], body)
    })
    .await;
    let mut outgoing = get(&site.url("/path?token=top%2Fsecret"));
    outgoing.auth = vec![("X-Api-Key".into(), "canary".into())];
    outgoing.hide = vec!["top/secret".into()];
    let failure = call(&client(), &Gate::default(), &outgoing).await.unwrap_err();
    assert_eq!(failure.message, format!("answered 500 Internal Server Error: GET {}", site.url("/path")));
    assert_eq!(failure.cause_text(), format!("answered 500 Internal Server Error: {}", site.addr));
    let answer = failure.answer.clone().unwrap();
    assert!(answer.starts_with("HTTP/1.1 500 Internal Server Error\n"), "{answer}");
    assert!(answer.contains("\nx-echo: [hidden]\n") && answer.contains("\nset-cookie: [hidden]\n"), "{answer}");
    assert!(answer.ends_with("\n\nkey [hidden]\nquery [hidden]\n\\x1b[31mred"), "{answer}");
    for secret in ["canary", "abcdef", "secret"] {
        assert!(!format!("{failure:?}").contains(secret), "{failure:?}");
    }
}

#[tokio::test]
async fn a_header_that_cannot_be_sent_is_refused_without_its_value() {
    let (client, gate) = (client(), Gate::default());
    for (name, value) in [
        ("X-Key", "canary\r\nX-Evil: 1"),
        ("no name", "canary"),
        ("Content-Length", "3"),
        ("Transfer-Encoding", "chunked"),
    ] {
        let outgoing = Outgoing { auth: vec![(name.into(), value.into())], ..get("http://127.0.0.1:9/") };
        let failure = call(&client, &gate, &outgoing).await.unwrap_err();
        assert_eq!((failure.code.as_str(), failure.class), ("http_header", FailureClass::Permanent));
        assert!(!format!("{failure:?}").contains("canary"), "{failure:?}");
    }
    assert!(gate.endings().is_empty(), "no turn was taken");
}

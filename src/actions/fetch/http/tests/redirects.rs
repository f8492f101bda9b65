//! Redirects: where they may lead, and what goes along.

use super::*;
use crate::model::FailureClass;

/// A server whose path says where to: `/302/next` leads to `/next`.
async fn site() -> Site {
    Site::http(|seen| match seen.path.get(1..4).and_then(|s| s.parse().ok()) {
        Some(status) => reply(status, &[("location", &seen.path[4..])], "moved"),
        None => reply(200, &[], seen.method.clone()),
    })
    .await
}

/// A server that leads everything to another one.
async fn to(status: u16, url: String) -> Site {
    Site::http(move |_| reply(status, &[("location", &url)], "")).await
}

#[tokio::test]
async fn a_redirect_is_followed_with_a_pass_of_its_own() {
    let (site, gate) = (site().await, Gate::default());
    let answer = call(&client(), &gate, &get(&site.url("/302/301/308/end"))).await.unwrap();
    assert_eq!((answer.call().requests, answer.url.as_str()), (4, site.url("/end").as_str()));
    assert_eq!(read(answer).await.unwrap(), b"GET");
    assert_eq!(gate.endings().len(), 4);
    assert!(gate.endings().into_iter().all(is_good));
}

#[tokio::test]
async fn the_method_and_the_body_change_as_they_should() {
    let site = site().await;
    for (path, method, body) in
        [("/303/x", "GET", ""), ("/302/x", "GET", ""), ("/307/x", "POST", "{}"), ("/308/x", "POST", "{}")]
    {
        fetch(&client(), &Gate::default(), &post(&site.url(path))).await.unwrap();
        let last = site.seen().pop().unwrap();
        assert_eq!((last.method.as_str(), &last.body[..]), (method, body.as_bytes()), "{path}");
        assert_eq!(last.has("content-type"), !body.is_empty(), "{path}");
    }
}

#[tokio::test]
async fn circles_and_long_chains_end() {
    let (site, gate) = (site().await, Gate::default());
    let circle = to(302, "/again".into()).await;
    let failure = call(&client(), &gate, &get(&circle.url("/again"))).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.class), ("http_redirect", FailureClass::Permanent));
    assert!(failure.message.contains("circle"), "{failure}");
    assert!(is_good(gate.ending()));
    let failure = call(&client(), &Gate::default(), &get(&site.url("/302/302/302/302/302/302/end"))).await.unwrap_err();
    assert!(failure.message.starts_with("more than 5 redirects"), "{failure}");
    assert_eq!(failure.call.unwrap().requests, 6);
    fetch(&client(), &Gate::default(), &get(&site.url("/302/302/302/302/302/end"))).await.unwrap();
}

#[tokio::test]
async fn no_redirect_is_followed_where_none_is_wanted() {
    let (site, good) = (site().await, |status| status == 200);
    let (outgoing, limits) = (get(&site.url("/302/x")), HostLimits::default());
    let (client, gate, statuses) = (client(), Gate::default(), Statuses::default());
    let none = send(&client, &outgoing, &gate, &limits, &statuses, 0, &good);
    let failure = none.await.unwrap_err();
    assert!(failure.message.contains("redirects are not followed"), "{failure}");
    assert_eq!(site.seen().len(), 1);
}

#[tokio::test]
async fn what_proves_who_asks_stays_at_its_origin() {
    let target = Site::http(|_| reply(200, &[], "there")).await;
    let url = target.url("/there");
    let site = Site::http(move |seen| match seen.path.as_str() {
        "/here" => reply(200, &[], "here"),
        "/home" => reply(307, &[("location", "/here")], ""),
        _ => reply(307, &[("location", &url)], ""),
    })
    .await;
    let mut outgoing = get(&site.url("/away"));
    outgoing.auth = vec![("X-Api-Key".into(), "canary".into())];
    outgoing.hide = vec!["other".into()];
    outgoing.headers = vec![
        ("Cookie".into(), "a=b".into()),
        ("authorization".into(), "Basic eDp5".into()),
        ("X-Other".into(), "an other one".into()),
        ("X-Plain".into(), "1".into()),
    ];
    assert_eq!(fetch(&client(), &Gate::default(), &outgoing).await.unwrap(), b"there");
    let (first, second) = (site.seen().remove(0), target.seen().remove(0));
    for name in ["x-api-key", "cookie", "authorization", "x-other"] {
        assert!(first.has(name) && !second.has(name), "{name}");
    }
    assert!(second.has("x-plain"));
    outgoing.url = parse(&site.url("/home")).unwrap();
    assert_eq!(fetch(&client(), &Gate::default(), &outgoing).await.unwrap(), b"here");
    assert!(site.seen().pop().unwrap().has("x-api-key"), "the origin is the same");
}

#[tokio::test]
async fn what_was_dropped_does_not_come_back() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let home = format!("http://{}/back", listener.local_addr().unwrap());
    let other = to(302, home.clone()).await;
    let away = other.url("/");
    let handler: Handler = Arc::new(move |seen| match seen.path.as_str() {
        "/back" => reply(200, &[], "back"),
        _ => reply(302, &[("location", &away)], ""),
    });
    listener.set_nonblocking(true).unwrap();
    let (listener, seen) = (TcpListener::from_std(listener).unwrap(), Arc::<Mutex<Vec<Seen>>>::default());
    let all = seen.clone();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, false, handler.clone(), all.clone()));
        }
    });
    let mut outgoing = get(&home.replace("/back", "/start"));
    outgoing.auth = vec![("X-Api-Key".into(), "canary".into())];
    assert_eq!(fetch(&client(), &Gate::default(), &outgoing).await.unwrap(), b"back");
    let has_key: Vec<_> = seen.lock().unwrap().iter().map(|s| s.has("x-api-key")).collect();
    assert_eq!(has_key, [true, false]);
    task.abort();
}

#[tokio::test]
async fn a_secret_in_a_body_is_not_carried_to_another_origin() {
    let target = Site::http(|_| reply(200, &[], "")).await;
    let site = to(307, target.url("/")).await;
    let mut outgoing = post(&site.url("/"));
    outgoing.body = Some(("text/plain".into(), Bytes::from_static(b"key=canary")));
    outgoing.hide = vec!["canary".into()];
    let failure = call(&client(), &Gate::default(), &outgoing).await.unwrap_err();
    assert_eq!(failure.code, "http_redirect");
    assert!(target.seen().is_empty());
}

#[tokio::test]
async fn a_redirect_that_leads_nowhere_good_is_refused() {
    for location in
        ["ftp://example.com/canary?canary", "http://u:canary@example.com/", "http://[", "javascript:alert(1)"]
    {
        let (site, gate) = (to(302, location.into()).await, Gate::default());
        let failure = call(&client(), &gate, &get(&site.url("/"))).await.unwrap_err();
        assert_eq!((failure.code.as_str(), failure.class), ("http_redirect", FailureClass::Permanent), "{location}");
        assert!(!format!("{failure:?}").contains("canary"), "{failure:?}");
        assert!(is_good(gate.ending()));
    }
}

#[tokio::test]
async fn a_redirect_that_asks_for_patience_is_followed_by_a_later_attempt() {
    let site = Site::http(|_| reply(302, &[("location", "/x"), ("retry-after", "60")], "")).await;
    let failure = call(&client(), &Gate::default(), &get(&site.url("/"))).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Transient);
    assert_eq!(failure.not_before, Some(NOW.plus(Duration::from_secs(60))));
}

#[tokio::test]
async fn a_gate_that_closes_halfway_makes_no_second_post() {
    let site = site().await;
    let gate = || Gate { closes_after: Some(1), ..Gate::default() };
    let failure = call(&client(), &gate(), &get(&site.url("/302/x"))).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.not_before), (HOST_CLOSED, Some(NOW)));
    let failure = call(&client(), &gate(), &post(&site.url("/302/x"))).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.class), ("http_redirect", FailureClass::Permanent));
    assert!(failure.message.ends_with("it may have been received"), "{failure}");
    let closed = Gate { closes_after: Some(0), ..Gate::default() };
    let failure = call(&client(), &closed, &post(&site.url("/302/x"))).await.unwrap_err();
    assert_eq!(failure.code, HOST_CLOSED, "nothing was sent");
}

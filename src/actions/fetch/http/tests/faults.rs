//! Servers that do not answer, or not as they should.

use super::super::resolver::Lookups;
use super::*;
use crate::model::FailureClass::{Permanent, Timeout, Transient};
use tokio::io::AsyncWriteExt;

/// No answer ever.
async fn silent() -> Site {
    Site::raw(|_, mut stream| async move {
        read_head(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await
}

/// An answer of these bytes, and the end.
async fn says(bytes: &'static [u8]) -> Site {
    Site::raw(move |_, mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(bytes).await;
    })
    .await
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_given_up() {
    let (site, gate) = (silent().await, Gate::default());
    let client = hasty(|d| d.first_byte = Duration::from_millis(80));
    let failure = call(&client, &gate, &get(&site.url("/x?canary"))).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.class), ("http_timeout", Timeout));
    assert_eq!(failure.message, format!("no answer within 80ms: GET {}", site.url("/x")));
    assert_eq!(gate.ending(), Ending::Bad);
    let failure = call(&client, &Gate::default(), &post(&site.url("/x"))).await.unwrap_err();
    assert_eq!(failure.class, Permanent);
    assert!(failure.message.ends_with(", it may have been received"), "{failure}");
    let client = hasty(|d| d.total = Duration::from_millis(80));
    let failure = call(&client, &Gate::default(), &get(&site.url("/x"))).await.unwrap_err();
    assert!(failure.message.starts_with("not done within 80ms"), "{failure}");
}

#[tokio::test]
async fn a_connection_that_is_not_made_is_given_up_and_nothing_was_sent() {
    let site = silent().await; // it does not answer the greeting of TLS
    let url = site.url("/").replace("http://", "https://");
    let client = hasty(|d| d.connect = Duration::from_millis(80));
    let failure = call(&client, &Gate::default(), &post(&url)).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.class), ("http_timeout", Timeout), "{failure}");
    assert!(failure.message.starts_with("no connection within 80ms"), "{failure}");
    let client = hasty(|d| d.total = Duration::from_millis(80));
    let failure = call(&client, &Gate::default(), &post(&url)).await.unwrap_err();
    assert_eq!(failure.class, Timeout, "{failure}");
}

#[tokio::test]
async fn nobody_there_is_a_failure_that_may_go_away() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gate = Gate::default();
    let failure = call(&client(), &gate, &post(&format!("http://{free}/x?canary"))).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.class), ("http_connect", Transient), "nothing was sent");
    assert!(failure.message.to_lowercase().contains("refused"), "{failure}");
    assert_eq!(gate.ending(), Ending::Bad);
}

#[tokio::test]
async fn a_name_that_is_not_found_is_a_failure_that_may_go_away() {
    let lookups = Lookups::new(Arc::new(|name| {
        Box::pin(async move {
            match name.as_str() {
                "unknown.example" => Err(std::io::Error::other("no such name")),
                "inside.example" => Ok(vec!["127.0.0.1".parse().unwrap(), "169.254.169.254".parse().unwrap()]),
                "metadata.example" => Ok(vec!["::ffff:169.254.169.254".parse().unwrap()]),
                _ => std::future::pending().await,
            }
        })
    }));
    let deadlines = Deadlines { connect: Duration::from_millis(80), ..Deadlines::default() };
    let client = Client::build(&Connection::default(), &deadlines, 1, Trust::Written, &lookups).unwrap();
    let (site, gate) = (Site::http(|_| reply(200, &[], "body")).await, Gate::default());
    let at = |host: &str| format!("http://{host}:{}/x?canary", site.addr.port());
    let failure = call(&client, &gate, &post(&at("unknown.example"))).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.class), ("http_dns", Transient), "{failure}");
    assert!(failure.message.starts_with("cannot find the host, no such name: POST http://unknown"), "{failure}");
    assert!(!format!("{failure:?}").contains("canary"));
    assert_eq!(gate.ending(), Ending::Bad);
    let failure = call(&client, &Gate::default(), &post(&at("slow.example"))).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.class), ("http_timeout", Timeout), "{failure}");
    let failure = call(&client, &Gate::default(), &post(&at("metadata.example"))).await.unwrap_err();
    assert_eq!(failure.code, "http_address", "{failure}");
    assert_eq!(fetch(&client, &Gate::default(), &get(&at("inside.example"))).await.unwrap(), b"body");
}

#[tokio::test]
async fn the_time_at_the_gate_is_no_part_of_a_deadline() {
    let site = Site::http(|_| reply(200, &[], "body")).await;
    let client = hasty(|d| d.total = Duration::from_secs(2));
    let gate = Gate { wait: Duration::from_millis(2200), ..Gate::default() };
    assert_eq!(fetch(&client, &gate, &get(&site.url("/"))).await.unwrap(), b"body");
}

#[tokio::test]
async fn a_post_that_was_cut_after_sending_is_sent_once() {
    let count = Arc::new(Mutex::new(0));
    let heads = count.clone();
    let site = Site::raw(move |_, mut stream| {
        let heads = heads.clone();
        async move {
            // The first request of a connection is answered; the second one is read, and the connection closed.
            for n in 0..2 {
                let mut body = [0; 2];
                if !read_head(&mut stream).await || stream.read_exact(&mut body).await.is_err() {
                    return;
                }
                *heads.lock().unwrap() += 1;
                if n == 0 {
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
                }
            }
        }
    })
    .await;
    let (client, gate) = (client(), Gate::default());
    assert_eq!(fetch(&client, &gate, &post(&site.url("/"))).await.unwrap(), b"ok");
    let failure = call(&client, &Gate::default(), &post(&site.url("/"))).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.class), ("http_cut_short", Permanent), "{failure}");
    assert!(failure.message.ends_with("it may have been received"), "{failure}");
    assert_eq!(*count.lock().unwrap(), 2, "nobody sent it again");
    let with_key = Outgoing { repeatable: true, ..post(&site.url("/")) };
    fetch(&client, &Gate::default(), &with_key).await.unwrap();
    let failure = call(&client, &Gate::default(), &with_key).await.unwrap_err();
    assert_eq!(failure.class, Transient);
}

#[tokio::test]
async fn a_head_that_is_no_http_or_has_no_end_is_refused() {
    let huge = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(5_000_000)).leak().as_bytes();
    for (bytes, code) in [
        (huge, "http_broken"),
        (&b"SSH-2.0-OpenSSH_9.9\r\n\r\n"[..], "http_broken"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", "http_broken"),
        (b"", "http_cut_short"),
        (b"HTTP/1.1 200 OK\r\nX-Half", "http_cut_short"),
    ] {
        let (site, gate) = (says(bytes).await, Gate::default());
        let failure = fetch(&client(), &gate, &get(&site.url("/?canary"))).await.unwrap_err();
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(30)]);
        assert_eq!((failure.code.as_str(), failure.class), (code, Transient), "{start}: {failure}");
        assert!(!format!("{failure:?}").contains("canary"), "{failure:?}");
        assert_eq!(gate.ending(), Ending::Bad);
    }
}

#[tokio::test]
async fn a_flood_of_interim_answers_ends_by_its_deadline() {
    let site = Site::raw(|_, mut stream| async move {
        read_head(&mut stream).await;
        while stream.write_all(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    let client = hasty(|d| d.first_byte = Duration::from_millis(100));
    let failure = call(&client, &Gate::default(), &get(&site.url("/"))).await.unwrap_err();
    assert_eq!(failure.code, "http_timeout", "{failure}");
}

#[tokio::test]
async fn a_call_that_is_dropped_abandons_its_pass() {
    let (site, gate) = (silent().await, Gate::default());
    let (client, outgoing) = (client(), get(&site.url("/")));
    let waits = tokio::time::timeout(Duration::from_millis(50), call(&client, &gate, &outgoing)).await;
    assert!(waits.is_err());
    assert_eq!(gate.ending(), Ending::Abandoned);
}

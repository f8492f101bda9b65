//! Bodies: their packing, their size, their pace and their end.

use super::super::pace::Floor;
use super::*;
use crate::model::FailureClass::{Permanent, Timeout, Transient};
use std::io::Write;
use tokio::io::AsyncWriteExt;

/// The body in one of the packings that are understood.
pub(super) fn packed(how: &str, raw: &[u8]) -> Vec<u8> {
    match how {
        "gzip" => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            out.write_all(raw).unwrap();
            out.finish().unwrap()
        }
        "deflate" => {
            let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
            out.write_all(raw).unwrap();
            out.finish().unwrap()
        }
        "zstd" => zstd::encode_all(raw, 3).unwrap(),
        "br" => {
            let mut out = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 20);
            out.write_all(raw).unwrap();
            out.into_inner()
        }
        other => panic!("{other}"),
    }
}

pub(super) const PACKINGS: [&str; 4] = ["gzip", "br", "zstd", "deflate"];

/// A server that answers with this body, packed like this.
pub(super) async fn site(how: &'static str, body: Vec<u8>) -> Site {
    let body = Bytes::from(body);
    Site::http(move |_| reply(200, &[("content-encoding", how)], body.clone())).await
}

#[tokio::test]
async fn every_packing_is_taken_off() {
    let raw: Vec<u8> = (0..200_000_u32).flat_map(|n| (n / 7).to_string().into_bytes()).collect();
    for how in PACKINGS {
        let (site, gate) = (site(how, packed(how, &raw)).await, Gate::default());
        let outgoing = Outgoing { max_bytes: raw.len() as u64, ..get(&site.url("/")) };
        assert!(fetch(&client(), &gate, &outgoing).await.unwrap() == raw, "{how}");
        assert!(site.seen()[0].headers["accept-encoding"].to_str().unwrap().contains(how));
        assert!(is_good(gate.ending()));
    }
}

#[tokio::test]
async fn a_bomb_is_cut_at_the_cap() {
    const CAP: u64 = 100_000;
    for how in PACKINGS {
        let (site, gate) = (site(how, packed(how, &vec![0; 64 << 20])).await, Gate::default());
        let outgoing = Outgoing { max_bytes: CAP, ..get(&site.url("/")) };
        let mut answer = call(&client(), &gate, &outgoing).await.unwrap();
        let failure = loop {
            match answer.chunk().await {
                Ok(piece) => assert!(piece.is_some(), "{how}"),
                Err(failure) => break failure,
            }
        };
        assert_eq!((failure.code.as_str(), failure.class), ("http_too_large", Permanent), "{how}");
        assert!(failure.message.starts_with("the answer has more than 100,000 bytes"), "{failure}");
        let read = failure.call.unwrap().bytes;
        assert!(read > CAP && read < CAP + (256 << 10), "{how}: {read}");
        assert_eq!(answer.chunk().await.unwrap_err(), failure, "whoever asks again is told again");
        assert!(is_good(gate.ending()), "the host is in good health");
    }
}

#[tokio::test]
async fn a_length_beyond_the_cap_is_refused_before_a_byte_is_read() {
    let (site, gate) = (Site::http(|_| reply(200, &[], vec![b'x'; 2000])).await, Gate::default());
    let failure = call(&client(), &gate, &Outgoing { max_bytes: 1999, ..get(&site.url("/")) }).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.call.unwrap().bytes), ("http_too_large", 0));
    assert!(is_good(gate.ending()));
    let whole = Outgoing { max_bytes: 2000, ..get(&site.url("/")) };
    assert_eq!(fetch(&client(), &Gate::default(), &whole).await.unwrap().len(), 2000);
    let head = Outgoing { method: "HEAD".into(), max_bytes: 10, ..get(&site.url("/")) };
    let gate = Gate::default();
    let answer = call(&client(), &gate, &head).await.unwrap();
    assert_eq!(answer.headers.get("content-length"), Some("2000"));
    assert!(is_good(gate.ending()));
}

/// A server that answers with this head and then with this piece, again and again.
async fn drip(head: &'static str, piece: &'static [u8], every: Duration) -> Site {
    Site::raw(move |_, mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(head.as_bytes()).await;
        while stream.write_all(piece).await.is_ok() {
            tokio::time::sleep(every).await;
        }
    })
    .await
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

#[tokio::test]
async fn endless_chunks_end_at_the_cap() {
    let site = drip(CHUNKED, b"400\r\n0123456789abcdef", Duration::ZERO).await;
    let failure = fetch(&client(), &Gate::default(), &get(&site.url("/"))).await.unwrap_err();
    assert!(matches!(failure.code.as_str(), "http_cut_short" | "http_broken"), "{failure}");
    let long = format!("400\r\n{}\r\n", "x".repeat(1024)).leak().as_bytes();
    let site = drip(CHUNKED, long, Duration::ZERO).await;
    let failure = fetch(&client(), &Gate::default(), &get(&site.url("/"))).await.unwrap_err();
    assert_eq!(failure.code, "http_too_large", "{failure}");
}

#[tokio::test]
async fn a_drip_is_given_up() {
    let site = drip(CHUNKED, b"1\r\nx\r\n", Duration::from_millis(10)).await;
    let floor = Floor { rate: 1000, over: Duration::from_millis(200) };
    let gate = Gate::default();
    let failure = fetch(&client().with_floor(floor), &gate, &get(&site.url("/"))).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.class), ("http_slow", Timeout));
    assert!(failure.message.starts_with("less than 1000 bytes a second over 200ms"), "{failure}");
    assert_eq!(gate.ending(), Ending::Bad);
    let client = hasty(|d| d.total = Duration::from_millis(150));
    let failure = fetch(&client, &Gate::default(), &get(&site.url("/"))).await.unwrap_err();
    assert!(failure.message.starts_with("not done within 150ms"), "{failure}");
    let failure = fetch(&client, &Gate::default(), &post(&site.url("/"))).await.unwrap_err();
    assert_eq!(failure.class, Permanent);
}

#[tokio::test]
async fn a_silence_in_the_middle_is_given_up() {
    let site = Site::raw(|_, mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").await;
        std::future::pending::<()>().await;
    })
    .await;
    let (client, gate) = (hasty(|d| d.idle = Duration::from_millis(60)), Gate::default());
    let failure = fetch(&client, &gate, &get(&site.url("/"))).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.class), ("http_timeout", Timeout));
    assert!(failure.message.starts_with("nothing more came within 60ms"), "{failure}");
    assert_eq!((failure.call.unwrap().bytes, gate.ending()), (5, Ending::Bad));
}

#[tokio::test]
async fn half_a_body_is_no_success() {
    let gzip = packed("gzip", &[7; 100_000]);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", gzip.len() / 2);
    let half_gzip = [head.as_bytes(), &gzip[..gzip.len() / 2]].concat().leak();
    for bytes in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        half_gzip,
    ] {
        for reset in [false, true] {
            let site = Site::raw(move |_, mut stream| async move {
                read_head(&mut stream).await;
                let _ = stream.write_all(bytes).await;
                if reset {
                    // What was not read when a connection is closed makes a reset of its end.
                    let _ = stream.readable().await;
                }
            })
            .await;
            let mut outgoing = post(&site.url("/?canary"));
            outgoing.repeatable = true;
            if !reset {
                outgoing = get(&site.url("/?canary"));
            }
            let gate = Gate::default();
            let failure = fetch(&client(), &gate, &outgoing).await.unwrap_err();
            assert_eq!((failure.code.as_str(), failure.class), ("http_cut_short", Transient), "{failure}");
            assert!(!format!("{failure:?}").contains("canary"), "{failure:?}");
            assert_eq!(gate.ending(), Ending::Bad);
        }
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_unpacked_is_broken() {
    for how in PACKINGS {
        let (site, gate) = (site(how, b"this is not packed at all, whatever was said".to_vec()).await, Gate::default());
        let failure = fetch(&client(), &gate, &get(&site.url("/"))).await.unwrap_err();
        assert!(matches!(failure.code.as_str(), "http_broken" | "http_cut_short"), "{how}: {failure}");
        assert_eq!(gate.ending(), Ending::Bad);
    }
}

#[tokio::test]
async fn an_answer_that_is_dropped_abandons_its_pass() {
    let (site, gate) = (Site::http(|_| reply(200, &[], "body")).await, Gate::default());
    drop(call(&client(), &gate, &get(&site.url("/"))).await.unwrap());
    assert_eq!(gate.ending(), Ending::Abandoned);
}

//! Packed bodies: how much memory they may want, where they end, and when they are left as they come.

use super::bodies::{PACKINGS, packed, site};
use super::*;
use crate::model::FailureClass::{Permanent, Transient};
use std::io::Write as _;
use tokio::io::AsyncWriteExt as _;

/// One frame that wants a window of so many bytes, in powers of two.
fn zstd_frame(raw: &[u8], window_log: u32) -> Vec<u8> {
    let mut out = zstd::Encoder::new(Vec::new(), 1).unwrap();
    out.window_log(window_log).unwrap();
    out.write_all(raw).unwrap();
    out.finish().unwrap()
}

/// A brotli stream with a large window, as no standard knows it.
fn brotli_large(raw: &[u8]) -> Vec<u8> {
    let params = brotli::enc::BrotliEncoderParams { large_window: true, lgwin: 28, ..Default::default() };
    let mut out = brotli::CompressorWriter::with_params(Vec::new(), 4096, &params);
    out.write_all(raw).unwrap();
    out.into_inner()
}

async fn ask(how: &'static str, body: Vec<u8>) -> Result<Vec<u8>, Failure> {
    let site = site(how, body).await;
    fetch(&client(), &Gate::default(), &get(&site.url("/?canary"))).await
}

#[tokio::test]
async fn a_window_is_bounded() {
    let raw = b"the same again and again, ".repeat(1000);
    for window_log in [23, 25] {
        assert_eq!(ask("zstd", zstd_frame(&raw, window_log)).await.unwrap(), raw, "{window_log}");
    }
    let second = [zstd_frame(&raw, 20), zstd_frame(&raw, 26)].concat();
    for (how, body) in [("zstd", zstd_frame(&raw, 26)), ("zstd", second), ("br", brotli_large(&raw))] {
        let failure = ask(how, body).await.unwrap_err();
        assert_eq!((failure.code.as_str(), failure.class), ("http_too_large", Permanent), "{how}: {failure}");
        let start = "the answer wants more than 32 MiB of memory to be unpacked: GET http://127.0.0.1";
        assert!(failure.message.starts_with(start), "{failure}");
        assert!(!format!("{failure:?}").contains("canary"), "{failure:?}");
    }
}

#[tokio::test]
async fn the_decoder_takes_large_brotli_windows_if_nobody_looks() {
    use tokio::io::AsyncReadExt as _;
    let raw = b"the same again and again, ".repeat(1000);
    let large = brotli_large(&raw);
    assert_eq!(large[0] & 0x7f, 0x11, "which is why the first byte is looked at");
    let mut out = Vec::new();
    let mut decoder = async_compression::tokio::bufread::BrotliDecoder::new(&large[..]);
    decoder.read_to_end(&mut out).await.unwrap();
    assert_eq!(out, raw);
}

/// A server that sends these bytes as chunks of so many.
async fn chunks(how: &'static str, body: Vec<u8>, size: usize) -> Site {
    Site::raw(move |_, mut stream| {
        let body = body.clone();
        async move {
            read_head(&mut stream).await;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {how}\r\nTransfer-Encoding: chunked\r\n\r\n");
            let mut out = head.into_bytes();
            for chunk in body.chunks(size) {
                out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                out.extend_from_slice(chunk);
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(b"0\r\n\r\n");
            let _ = stream.write_all(&out).await;
        }
    })
    .await
}

#[tokio::test]
async fn several_parts_are_one_body_however_they_come() {
    for how in ["gzip", "zstd"] {
        let (one, two) = (packed(how, &[b'1'; 5000]), packed(how, &[b'2'; 5000]));
        let whole = [&one[..], &two[..]].concat();
        for size in [1, one.len(), whole.len()] {
            let site = chunks(how, whole.clone(), size).await;
            let body = fetch(&client(), &Gate::default(), &get(&site.url("/"))).await.unwrap();
            assert!(body == [[b'1'; 5000], [b'2'; 5000]].concat(), "{how} {size}");
        }
    }
}

#[tokio::test]
async fn a_packing_that_is_not_complete_is_cut_short() {
    let raw: Vec<u8> = (0..20_000_u32).flat_map(|n| n.to_string().into_bytes()).collect();
    for how in PACKINGS {
        let whole = packed(how, &raw);
        for end in [1, whole.len() / 2, whole.len() - 1] {
            let failure = ask(how, whole[..end].to_vec()).await.unwrap_err();
            assert_eq!(failure.class, Transient, "{how} {end}: {failure}");
            let start = "the body was cut short, its packing is not complete";
            // The decoder of deflate has another error for the end of its input, now and then.
            let is_told = failure.code == "http_cut_short" && failure.message.starts_with(start);
            assert!(is_told || (how == "deflate" && failure.code == "http_broken"), "{how} {end}: {failure}");
        }
        assert!(ask(how, Vec::new()).await.unwrap().is_empty(), "{how}: an empty body is packed by nobody");
    }
}

#[tokio::test]
async fn what_follows_a_packed_body_is_broken() {
    for how in PACKINGS {
        let one = packed(how, b"body");
        let site = chunks(how, [&one[..], b"and more of it"].concat(), one.len()).await;
        let failure = fetch(&client(), &Gate::default(), &get(&site.url("/"))).await.unwrap_err();
        assert_eq!(failure.code, "http_broken", "{how}: {failure}");
        assert!(failure.message.starts_with("the body cannot be unpacked, "), "{how}: {failure}");
    }
}

#[tokio::test]
async fn a_connection_is_kept_after_a_packed_body() {
    let connections = Arc::new(Mutex::new(0));
    let count = connections.clone();
    let site = Site::raw(move |_, mut stream| {
        *count.lock().unwrap() += 1;
        let body = packed("br", b"body");
        async move {
            while read_head(&mut stream).await {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: {}\r\n\r\n", body.len());
                let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
            }
        }
    })
    .await;
    let client = client();
    for _ in 0..3 {
        assert_eq!(fetch(&client, &Gate::default(), &get(&site.url("/"))).await.unwrap(), b"body");
        tokio::time::sleep(Duration::from_millis(20)).await; // the connection goes back when its task had its turn
    }
    assert_eq!(*connections.lock().unwrap(), 1);
}

#[tokio::test]
async fn only_what_was_asked_for_is_unpacked() {
    let site = site("gzip", packed("gzip", b"body")).await;
    let answer = call(&client(), &Gate::default(), &get(&site.url("/"))).await.unwrap();
    assert_eq!((answer.headers.get("content-encoding"), answer.headers.get("content-length")), (None, None));
    assert_eq!(read(answer).await.unwrap(), b"body");
    for (name, value) in [("Accept-Encoding", "gzip"), ("Range", "bytes=0-99")] {
        let outgoing = Outgoing { headers: vec![(name.into(), value.into())], ..get(&site.url("/")) };
        let answer = call(&client(), &Gate::default(), &outgoing).await.unwrap();
        assert_eq!(answer.headers.get("content-encoding"), Some("gzip"), "{name}");
        assert_eq!(read(answer).await.unwrap(), packed("gzip", b"body"), "{name}");
    }
    let asked: Vec<_> = site.seen().iter().map(|s| s.headers.get("accept-encoding").cloned()).collect();
    assert_eq!(asked, [Some("zstd,gzip,deflate,br".parse().unwrap()), Some("gzip".parse().unwrap()), None]);
}

#[tokio::test]
async fn fields_of_the_configuration_win() {
    let site = Site::http(|_| reply(200, &[], "")).await;
    fetch(&client(), &Gate::default(), &get(&site.url("/"))).await.unwrap();
    let own = vec![("Accept".into(), "text/csv".into()), ("User-Agent".into(), "me/1".into())];
    let outgoing = Outgoing { headers: own, ..get(&site.url("/")) };
    fetch(&client(), &Gate::default(), &outgoing).await.unwrap();
    let named = Connection { user_agent: Some("night shift/1".into()), ..Connection::default() };
    let client = client_with(&named, &Deadlines::default());
    fetch(&client, &Gate::default(), &get(&site.url("/"))).await.unwrap();
    let usual = concat!("shiftboss/", env!("CARGO_PKG_VERSION"));
    let told = [("*/*", usual), ("text/csv", "me/1"), ("*/*", "night shift/1")];
    for (seen, (accept, agent)) in site.seen().iter().zip(told) {
        let all = |name: &str| seen.headers.get_all(name).iter().cloned().collect::<Vec<_>>();
        assert_eq!((all("accept"), all("user-agent")), (vec![accept.parse().unwrap()], vec![agent.parse().unwrap()]));
        assert_eq!(seen.headers["host"], site.addr.to_string());
    }
}

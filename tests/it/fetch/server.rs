//! The server itself: what it says about clients is only worth something if it is right.

use super::{by_path, most_within, web};
use crate::support::until;
use crate::support::web::{Web, is_chosen, items, plain};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Sends a request on a connection of its own and reads all that comes.
fn ask(web: &Web, method: &str, path: &str, headers: &str) -> (u16, String, Vec<u8>) {
    let mut stream = TcpStream::connect(web.host()).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{headers}\r\n", web.host()).unwrap();
    let mut all = Vec::new();
    // A connection that is broken on purpose may end in an error.
    let _ = stream.read_to_end(&mut all);
    let end = all.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(all[..end].to_vec()).unwrap().to_lowercase();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head, all[end + 4..].to_vec())
}

fn get(web: &Web, path: &str) -> (u16, String, String) {
    let (code, head, body) = ask(web, "GET", path, "");
    (code, head, String::from_utf8(body).unwrap())
}

#[test]
fn every_way_to_answer_is_one_that_it_says() {
    let web = web();
    assert_eq!(get(&web, "/a/1"), (200, get(&web, "/a/1").1, plain("/a/1")));
    assert_eq!(get(&web, "/a?status=404&text=not+here").0, 404);
    assert_eq!(get(&web, "/a?text=not+here").2, "not here");
    assert!(get(&web, "/a?to=/b&status=307").1.contains("location: /b"));
    assert_eq!(get(&web, "/big?size=200000").2.len(), 200_000);
    assert_eq!(get(&web, "/drip?text=slow&drip=1").2, "slow");
    let (code, head, body) = get(&web, "/cut?size=1000&cut=1&times=1");
    assert_eq!((code, head.contains("content-length: 1000"), body.len()), (200, true, 500));
    assert_eq!(get(&web, "/cut?size=1000&cut=1&times=1").2.len(), 1000);
    assert!(get(&web, "/e?etag=x").1.contains("etag: \"x\""));
    assert_eq!(ask(&web, "GET", "/e?etag=x", "if-none-match: \"x\"\r\n").0, 304);
    assert_eq!((get(&web, "/g?auth=Bearer+x").0, get(&web, "/g").0), (401, 200));
    assert_eq!(ask(&web, "GET", "/g?auth=Bearer+x", "authorization: Bearer x\r\n").0, 200);
    let (code, head, body) = ask(&web, "GET", "/z?gzip=1", "");
    assert!(code == 200 && head.contains("content-encoding: gzip") && body.starts_with(&[0x1f, 0x8b]));
    let (code, _, body) = ask(&web, "HEAD", "/a/1", "");
    assert_eq!((code, body.len()), (200, 0));
    let (_, _, body) = ask(&web, "POST", "/post?echo=1", "content-length: 2\r\n\r\nhi");
    assert!(String::from_utf8(body).unwrap().contains("\"body\":\"hi\""));
    assert_eq!(web.seen("/post")[0].body, b"hi");
    assert_eq!(get(&web, "/shut?shut=404").0, 404);
    web.open();
    assert_eq!(get(&web, "/shut?shut=404").0, 200);
    web.down(Some(502));
    assert_eq!(get(&web, "/a/1").0, 502);
    let sent: u64 = web.seen("/big").iter().map(|seen| seen.sent).sum();
    assert_eq!(sent, 200_000);
}

#[test]
fn pages_hold_every_item_once() {
    let web = web();
    for (by, first) in [("link", ""), ("url", ""), ("number", ""), ("offset", ""), ("cursor", "")] {
        let mut found = String::new();
        let mut path = format!("/list?pages=3&by={by}{first}");
        for n in 1..=4 {
            let (_, head, body) = get(&web, &path);
            let json: serde_json::Value = serde_json::from_str(&body).unwrap();
            let list = json.get("data").unwrap_or(&json).as_array().unwrap();
            list.iter().for_each(|item| found += &format!("{item}\n"));
            let url = |url: &str| url.strip_prefix(&web.url("")).unwrap().to_owned();
            let next = match by {
                "link" => {
                    head.split('<').find(|l| l.contains("rel=\"next\"")).map(|l| url(l.split('>').next().unwrap()))
                }
                "url" => json["next"].as_str().map(url),
                "cursor" => json["next"].as_str().map(|c| format!("/list?pages=3&by=cursor&cursor={c}")),
                "number" => (!list.is_empty()).then(|| format!("/list?pages=3&by=number&page={}", n + 1)),
                _ => (!list.is_empty()).then(|| format!("/list?pages=3&by=offset&offset={}", n * 10)),
            };
            let Some(next) = next else { break };
            path = next;
        }
        assert_eq!(found, items(3), "{by}");
    }
}

#[test]
fn it_counts_what_is_there_at_once_and_what_came_when() {
    let web = web();
    std::thread::scope(|scope| {
        for n in 0..20 {
            let web = &web;
            scope.spawn(move || get(web, &format!("/g/{n}?gate=1")));
        }
        until("twenty at the gate", || (web.at_once() == 20).then_some(()));
        web.open();
    });
    assert_eq!((web.most_at_once(), web.at_once(), web.requests(), web.connections()), (20, 0, 20, 20));
    let codes: Vec<u16> = (0..30).map(|n| get(&web, &format!("/l/{n}?limit=10")).0).collect();
    assert!(codes[..10].iter().all(|code| *code == 200) && codes.contains(&429), "{codes:?}");
    let passed: Vec<_> = web.log().into_iter().filter(|s| s.path.starts_with("/l/") && s.status == 200).collect();
    assert!(most_within(&passed, Duration::from_secs(1)) <= 10);
    // A share is about that share, the same paths every time, and others with another seed.
    let chosen = |seed| (0..1000).filter(|n| is_chosen(&format!("/s/{n}"), seed, 30)).collect::<Vec<_>>();
    assert!((250..350).contains(&chosen(1).len()), "{}", chosen(1).len());
    assert_ne!(chosen(1), chosen(2));
    for path in ["/s/1", "/s/1", "/s/2"] {
        let code = get(&web, &format!("{path}?fail=30&seed=1&times=1")).0;
        assert_eq!(code == 503, is_chosen(path, 1, 30) && web.seen(path).len() == 1);
    }
    assert_eq!(by_path(&web.log())["/s/1"], 2);
}

#[test]
fn one_that_hangs_is_not_counted_but_noted() {
    let web = web();
    let mut stream = TcpStream::connect(web.host()).unwrap();
    write!(stream, "GET /h?hang=100 HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    until("the request", || (web.requests() == 1 && web.at_once() == 0).then_some(()));
    assert_eq!(web.seen("/h")[0].status, 0);
}

//! The server over a real socket, with ports that answer fixed values.

use super::*;
use crate::control::client::{Client, ClientError};
use crate::control::wire::{BODY_MAX, ErrorBody};
use crate::model::action::Level;
use crate::model::ports::{JobsQuery, LogsQuery, Refusal, Target};
use crate::model::sample::{self, FakePorts};
use crate::model::{Filter, JobId, SelectionId};
use futures_util::future::join;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Runs a test beside a server, and the server to its end after it.
async fn with<T>(fake: &FakePorts, access: Access, test: impl AsyncFnOnce(Client) -> T) -> T {
    let root = tempfile::tempdir().unwrap();
    let socket = root.path().join("run/control.sock");
    let listener = bind(&socket, None).unwrap();
    let all = Arc::new(fake.clone());
    let ports = Ports { reader: all.clone(), commands: all.clone(), explain: all };
    let stop = CancellationToken::new();
    let serving = serve(listener, ports, access, stop.cancelled());
    let testing = async {
        let result = test(Client::unix(&socket)).await;
        stop.cancel();
        result
    };
    let ((), result) = join(serving, testing).await;
    assert!(!socket.exists(), "the socket goes with the server");
    result
}

async fn with_server<T>(fake: &FakePorts, test: impl AsyncFnOnce(Client) -> T) -> T {
    with(fake, Access::new(None).unwrap(), test).await
}

/// Writes bytes to the socket and reads to the end, as `nc -U` does.
async fn raw(socket: &Path, request: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    // A server that refuses half way may close before everything is written.
    let _ = stream.write_all(request).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

/// Status and body of a request with these extra header lines.
async fn ask(client: &Client, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
    let length = body.len();
    let request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n{headers}\r\n{body}");
    let answer = raw(client.socket(), request.as_bytes()).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (head.split(' ').nth(1).unwrap_or("0").parse().unwrap(), body.to_owned())
}

const JSON: &str = "content-type: application/json\r\n";

#[tokio::test]
async fn the_wire_is_pinned() {
    let fake = FakePorts::default();
    fake.jobs.lock().unwrap().truncate(1);
    with_server(&fake, async |client| {
        for (name, path) in [
            ("status", "/v1/status"),
            ("tasks", "/v1/tasks"),
            ("jobs", "/v1/jobs"),
            ("job", "/v1/jobs/5"),
            ("input", "/v1/jobs/5/input?line=14&context=1"),
            ("logs", "/v1/logs"),
            ("schedule", "/v1/schedule"),
            ("alerts", "/v1/alerts"),
            ("why", "/v1/why?job=5"),
        ] {
            let (status, body) = ask(&client, "GET", path, "", "").await;
            assert_eq!(status, 200, "{body}");
            let value: serde_json::Value = serde_json::from_str(&body).unwrap();
            insta::assert_snapshot!(format!("get_{name}"), serde_json::to_string_pretty(&value).unwrap());
        }
        *fake.detail.lock().unwrap() = Some(sample::with_rejects(5));
        let (_, body) = ask(&client, "GET", "/v1/jobs/5", "", "").await;
        let value: serde_json::Value = serde_json::from_str(&body).unwrap();
        insta::assert_snapshot!("get_job_with_rejects", serde_json::to_string_pretty(&value["rejects"]).unwrap());
    })
    .await;
    let tick = serde_json::to_value(sample::tick(7)).unwrap();
    insta::assert_snapshot!("tick", serde_json::to_string_pretty(&tick).unwrap());
}

#[tokio::test]
async fn actions_answer_in_pinned_forms() {
    with_server(&FakePorts::default(), async |client| {
        let mut answers = String::new();
        for (path, body) in [
            ("/v1/selections", r#"{"q":"state:failed task:orders"}"#),
            ("/v1/jobs/retry", r#"{"ids":[5,4,5]}"#),
            ("/v1/jobs/5/skip", r#"{"reason":"known bad"}"#),
            ("/v1/selections/9/cancel", ""),
            ("/v1/tasks/orders/trigger", r#"{"input_b64":"L3Nydi9hLmNzdg=="}"#),
            ("/v1/tasks/orders/pause", ""),
            ("/v1/resume", "{}"),
            ("/v1/reload", ""),
            ("/v1/restart", ""),
            ("/v1/stop", r#"{"now":true}"#),
        ] {
            let (status, answer) = ask(&client, "POST", path, JSON, body).await;
            answers.push_str(&format!("{status} {path}\n    {answer}\n"));
        }
        insta::assert_snapshot!(answers, @r#"
        200 /v1/selections
            {"id":9,"count":4,"names":["a.csv"],"rev":991}
        200 /v1/jobs/retry
            {"done":[5,4],"refused":[]}
        200 /v1/jobs/5/skip
            {"done":[5],"refused":[]}
        200 /v1/selections/9/cancel
            {"done":[5,4],"refused":[]}
        200 /v1/tasks/orders/trigger
            {"run":78,"jobs":[6]}
        200 /v1/tasks/orders/pause
            {"by":"mina","at":"2026-11-20T14:02:11.000+09:00"}
        200 /v1/resume
            {}
        200 /v1/reload
            {"changes":["task orders: settle 2s -> 5s"]}
        200 /v1/restart
            {}
        200 /v1/stop
            {}
        "#);
    })
    .await;
}

#[tokio::test]
async fn every_error_has_the_same_form() {
    let fake = FakePorts::default();
    let big = format!("{{\"ids\":[{}1]}}", "1,".repeat(BODY_MAX / 2));
    with_server(&fake, async |client| {
        let mut seen = Vec::new();
        for (method, path, headers, body) in [
            ("GET", "/", "", ""),
            ("GET", "/v2/status", "", ""),
            ("GET", "/v1/jobs/..%2f..%2fetc", "", ""),
            ("GET", "/v1/jobs/%00", "", ""),
            ("GET", "/v1/jobs/-1", "", ""),
            ("GET", "/v1/jobs/99999999999999999999", "", ""),
            ("GET", "/v1/jobs/5000", "", ""),
            ("POST", "/v1/status", "", ""),
            ("GET", "/v1/stop", "", ""),
            ("GET", "/v1/jobs?q=state:nonsense", "", ""),
            ("GET", "/v1/jobs?limit=many", "", ""),
            ("GET", "/v1/jobs?stat=failed", "", ""),
            ("GET", "/v1/files?path=relative", "", ""),
            ("GET", "/v1/files", "", ""),
            ("GET", "/v1/files?path_b64=?", "", ""),
            ("GET", "/v1/logs?level=loud", "", ""),
            ("GET", "/v1/logs/stream", "last-event-id: x\r\n", ""),
            ("GET", "/v1/why?job=1&task=a", "", ""),
            ("POST", "/v1/jobs/retry", JSON, "{\"ids\":"),
            ("POST", "/v1/jobs/retry", JSON, "{\"id\":[1]}"),
            ("POST", "/v1/jobs/retry", "content-type: text/plain\r\n", "{\"ids\":[1]}"),
            ("POST", "/v1/jobs/retry", JSON, "{}"),
            ("POST", "/v1/jobs/5/retry", JSON, "{\"ids\":[6]}"),
            ("POST", "/v1/jobs/5/skip", JSON, "{\"reason\":\"  \"}"),
            ("POST", "/v1/jobs/retry", JSON, &big),
            ("POST", "/v1/tasks/%ff/pause", "", ""),
            ("POST", "/v1/stop", "origin: http://evil.example\r\n", ""),
            ("GET", "/v1/status", "origin: null\r\n", ""),
        ] {
            let (status, answer) = ask(&client, method, path, headers, body).await;
            let error = serde_json::from_str::<ErrorBody>(&answer);
            let error = error.unwrap_or_else(|e| panic!("{method} {path}: {e}: {answer}")).error;
            assert!(error.message.chars().all(crate::model::text::is_shown), "{error:?}");
            seen.push(format!("{status} {:<18} {method} {path}: {}", error.code, error.message));
        }
        insta::assert_snapshot!(seen.join("\n"));
    })
    .await;
    let calls = fake.calls();
    assert_eq!(calls, ["job 5000"], "nothing but the unknown job reached a port");
}

#[tokio::test]
async fn a_refusal_of_a_port_arrives_whole() {
    let fake = FakePorts::default();
    let refusal = Refusal::new(409, "already_decided", "job 5 is already decided").hint("nothing to do");
    *fake.refusal.lock().unwrap() = Some(refusal.clone());
    with_server(&fake, async |client| {
        assert_eq!(client.retry(Target::Jobs(vec![JobId(5)])).await, Err(ClientError::Refused(refusal)));
        assert_eq!(ask(&client, "POST", "/v1/jobs/5/retry", "", "").await.0, 409);
    })
    .await;
}

#[tokio::test]
async fn a_peer_that_is_not_admitted_gets_403_and_the_end() {
    let fake = FakePorts::default();
    with(&fake, Access::nobody(), async |client| {
        let twice = "GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\nPOST /v1/stop HTTP/1.1\r\nhost: x\r\n\r\n";
        let answer = raw(client.socket(), twice.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("peer_refused"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
        let socket = client.socket().to_path_buf();
        assert_eq!(client.probe().await, Err(ClientError::PermissionDenied { socket }));
    })
    .await;
    assert!(fake.calls().is_empty());
}

#[tokio::test]
async fn the_protocol_can_be_spoken_by_hand() {
    with_server(&FakePorts::default(), async |client| {
        let answer = raw(client.socket(), b"GET /v1/jobs?q=state%3Afailed&limit=1 HTTP/1.0\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
        assert!(answer.contains("content-type: application/json\r\n"), "{answer}");
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        let page: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(page["jobs"][0]["id"], 5);
        assert_eq!(page["next"], "1");

        // Two questions on one connection.
        let one = "GET /v1/tasks HTTP/1.1\r\nhost: x\r\n\r\n";
        let answer = raw(client.socket(), one.repeat(2).as_bytes()).await;
        assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2);

        // What is no HTTP costs its connection only.
        assert!(raw(client.socket(), b"\x16\x03\x01\x02garbage\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
        client.probe().await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_header_that_does_not_arrive_ends_the_connection() {
    with_server(&FakePorts::default(), async |client| {
        let mut stream = UnixStream::connect(client.socket()).await.unwrap();
        stream.write_all(b"GET /v1/status HT").await.unwrap();
        let before = tokio::time::Instant::now();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        let after = before.elapsed();
        assert!(after >= HEADER_TIME_MAX && after < 2 * HEADER_TIME_MAX, "closed after {after:?}");
    })
    .await;
}

#[tokio::test]
async fn connections_are_bounded() {
    with_server(&FakePorts::default(), async |client| {
        let mut held = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            held.push(UnixStream::connect(client.socket()).await.unwrap());
        }
        let mut one_more = UnixStream::connect(client.socket()).await.unwrap();
        assert_eq!(one_more.read(&mut [0; 1]).await.unwrap(), 0, "closed at once");
        drop(held.pop());
        // The place is free as soon as the server has seen the end of the other.
        while client.probe().await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_panic_ends_one_conversation() {
    let fake = FakePorts::default();
    *fake.panic_on.lock().unwrap() = Some("status");
    with_server(&fake, async |client| {
        assert!(matches!(client.status().await, Err(ClientError::Broken { .. })));
        client.job(JobId(5)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn ticks_stream_until_the_supervisor_stops() {
    let fake = FakePorts::default();
    with_server(&fake, async |client| {
        let mut events = client.events().await.unwrap();
        fake.send(sample::tick(1));
        assert_eq!(events.next().await, Some(sample::tick(1)));
        // Ticks that nobody fetched are gone; the newest is there.
        for rev in 2..100 {
            fake.send(sample::tick(rev));
        }
        assert_eq!(events.next().await.unwrap().rev, 99);
        fake.end();
        assert_eq!(events.next().await, None);
    })
    .await;
}

#[tokio::test]
async fn a_stop_ends_streams_that_wait() {
    let fake = FakePorts::default();
    let mut events = with_server(&fake, async |client| client.events().await.unwrap()).await;
    assert_eq!(events.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_carries_a_heartbeat() {
    with_server(&FakePorts::default(), async |client| {
        let mut stream = UnixStream::connect(client.socket()).await.unwrap();
        stream.write_all(b"GET /v1/events HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut seen = String::new();
        while !seen.contains("\n:") {
            let mut part = [0; 1024];
            let n = stream.read(&mut part).await.unwrap();
            assert!(n > 0, "{seen}");
            seen.push_str(std::str::from_utf8(&part[..n]).unwrap());
        }
        assert!(seen.contains("content-type: text/event-stream"), "{seen}");
    })
    .await;
}

#[tokio::test]
async fn the_log_stream_grows_and_resumes() {
    let fake = FakePorts::default();
    let messages =
        |page: crate::model::view::LogsPage| -> Vec<String> { page.lines.into_iter().map(|l| l.message).collect() };
    with_server(&fake, async |client| {
        let query = LogsQuery { limit: 1, level: Some(Level::Info), ..LogsQuery::default() };
        let mut log = client.log_events(&query).await.unwrap();
        assert_eq!(messages(log.next().await.unwrap()), ["started"]);
        fake.log(sample::log_line(3, "one third"));
        fake.log(sample::log_line(4, "two thirds"));
        fake.send(sample::tick(1));
        let page = log.next().await.unwrap();
        let next = page.next;
        assert_eq!((messages(page), next), (vec!["one third".to_owned()], 4));
        drop(log);

        let mut log =
            client.log_events(&LogsQuery { from: Some(next), limit: 10, ..LogsQuery::default() }).await.unwrap();
        assert_eq!(messages(log.next().await.unwrap()), ["two thirds"]);
        fake.log(sample::log_line(5, "stopping"));
        fake.end();
        assert_eq!(messages(log.next().await.unwrap()), ["stopping"], "what was said last still arrives");
        assert!(log.next().await.is_none());

        let from = "last-event-id: 5\r\n";
        let (_, body) = ask(&client, "GET", "/v1/logs/stream?from=1&limit=10", from, "").await;
        assert!(body.contains("id: 6\n") && body.contains("stopping") && !body.contains("landed"), "{body}");
    })
    .await;
}

#[tokio::test]
async fn every_call_of_the_client_reaches_its_port() {
    let fake = FakePorts::default();
    let uid = nix::unistd::geteuid().as_raw();
    with_server(&fake, async |client| {
        let jobs = vec![JobId(5), JobId(4)];
        let odd = PathBuf::from(std::ffi::OsStr::from_bytes(b"/srv/\xff?&.csv"));
        assert_eq!(client.status().await.unwrap(), sample::status());
        let q = JobsQuery {
            filter: Filter::parse("state:failed \"a \\\"b\"").unwrap(),
            after: Some("1".into()),
            limit: Some(2),
            since_rev: Some(0),
        };
        assert_eq!(client.jobs(&q).await.unwrap().jobs.len(), 2);
        assert_eq!(client.job(JobId(5)).await.unwrap(), sample::detail(5));
        client.input(JobId(5), 14, 1).await.unwrap();
        client.file(Path::new("/srv/가 나.csv")).await.unwrap();
        client.file(&odd).await.unwrap();
        let q = LogsQuery {
            job: Some(JobId(5)),
            task: Some("orders".into()),
            level: Some(Level::Warn),
            search: Some("a&b".into()),
            from: Some(7),
            limit: 3,
        };
        client.logs(&q).await.unwrap();
        assert_eq!(client.schedules().await.unwrap(), sample::schedules());
        assert_eq!(client.alerts().await.unwrap(), sample::alerts());
        client.select("state:failed").await.unwrap();
        assert_eq!(client.retry(Target::Jobs(jobs.clone())).await.unwrap().done, jobs);
        client.retry(Target::Selection(SelectionId(9))).await.unwrap();
        client.skip(Target::Jobs(jobs.clone()), "known bad").await.unwrap();
        client.skip(Target::Selection(SelectionId(9)), "known bad").await.unwrap();
        client.cancel(Target::Jobs(jobs)).await.unwrap();
        client.cancel(Target::Selection(SelectionId(9))).await.unwrap();
        client.trigger("orders", Some(odd)).await.unwrap();
        client.trigger("a/b", None).await.unwrap();
        client.pause(None).await.unwrap();
        client.pause(Some("orders")).await.unwrap();
        client.resume(None).await.unwrap();
        client.resume(Some("orders")).await.unwrap();
        client.reload().await.unwrap();
        client.restart().await.unwrap();
        client.why_job(JobId(5)).await.unwrap();
        client.why_task("orders").await.unwrap();
        client.stop(true).await.unwrap();
    })
    .await;
    let calls = fake.calls().join("\n").replace(&format!("by {uid}"), "by UID");
    insta::assert_snapshot!(calls);
}

#[tokio::test]
async fn the_client_stands_in_for_the_ports() {
    let fake = FakePorts::default();
    let left = with_server(&fake, async |client| {
        let (reader, commands): (Arc<dyn Reader>, Arc<dyn Commands>) =
            (Arc::new(client.clone()), Arc::new(client.clone()));
        assert_eq!(reader.status().await, Ok(sample::status()));
        let mut ticks = reader.ticks();
        let sending = async {
            loop {
                fake.send(sample::tick(3));
                tokio::task::yield_now().await;
            }
        };
        let tick = tokio::select! {
            tick = ticks.next() => tick,
            () = sending => unreachable!("it never ends"),
        };
        assert_eq!(tick.unwrap().rev, 3);
        // The server asks the kernel, not the caller, who is calling.
        let somebody = Actor { uid: 12345 };
        commands.select(somebody, Filter::state(crate::model::JobState::Failed)).await.unwrap();
        let uid = nix::unistd::geteuid();
        assert_eq!(fake.calls().pop().unwrap(), format!("select state:failed by {uid}"));
        reader
    })
    .await;
    assert_eq!(left.status().await.unwrap_err().code, "not_running");
    assert!(left.ticks().next().await.is_none());
}

#[tokio::test]
async fn all_jobs_are_fetched_page_by_page() {
    let fake = FakePorts::default();
    let many: Vec<_> = (1..=2500).map(|id| sample::job(id, crate::model::JobState::Queued)).collect();
    fake.jobs.lock().unwrap().clone_from(&many);
    with_server(&fake, async |client| {
        assert_eq!(client.jobs(&JobsQuery::default()).await.unwrap().jobs, many);
        let some = client.jobs(&JobsQuery { limit: Some(1001), ..JobsQuery::default() }).await.unwrap();
        assert_eq!((some.jobs.len(), some.next.as_deref()), (1001, Some("1001")));
    })
    .await;
}

#[tokio::test]
async fn who_is_not_there_is_told_apart() {
    let root = tempfile::tempdir().unwrap();
    let nowhere = Client::unix(root.path().join("control.sock"));
    assert!(nowhere.probe().await.unwrap_err().is_not_running());
    drop(std::os::unix::net::UnixListener::bind(nowhere.socket()).unwrap());
    assert!(nowhere.probe().await.unwrap_err().is_not_running(), "a socket left behind");

    // Somebody else's server: it speaks, but not our language.
    for answer in
        ["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]", "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"]
    {
        std::fs::remove_file(nowhere.socket()).unwrap();
        let listener = UnixListener::bind(nowhere.socket()).unwrap();
        let stranger = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        };
        let ((), probed) = join(stranger, nowhere.probe()).await;
        assert!(matches!(probed, Err(ClientError::Incompatible { .. })), "{probed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_that_does_not_answer_costs_a_deadline() {
    let root = tempfile::tempdir().unwrap();
    let client = Client::unix(root.path().join("control.sock"));
    let _listener = UnixListener::bind(client.socket()).unwrap();
    let error = client.probe().await.unwrap_err();
    assert!(matches!(&error, ClientError::Broken { cause, .. } if cause == "no answer within 30s"), "{error}");
}

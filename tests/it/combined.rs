//! The whole system of `docs/examples/daily.toml`, with servers of the test in the place of those it names: ten APIs of
//! which some fail at first, a merge, a million rows, and a report by mail and Slack.

use crate::support::smtp::Smtp;
use crate::support::web::Web;
use crate::support::{Site, Supervisor, until};
use mailparse::{MailHeaderMap, parse_mail};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

const EXAMPLE: &str = include_str!("../../docs/examples/daily.toml");

/// Rows of each API.
const ROWS: u64 = 100_000;

/// How often each path was asked for.
type Asked = Arc<Mutex<HashMap<String, u32>>>;

/// Ten tables over HTTP; every third one answers 503 twice before it gives its rows.
fn tables() -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let asked = Asked::default();
    let count = Arc::clone(&asked);
    // It ends with the process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, count) = (stream.unwrap(), Arc::clone(&count));
            std::thread::spawn(move || serve(stream, &count));
        }
    });
    (host, asked)
}

/// One connection: one request, one answer. Whoever leaves early is no trouble of the server's.
fn serve(mut stream: TcpStream, asked: &Asked) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    lines.find(String::is_empty);
    let path = request.split(' ').nth(1).unwrap().to_owned();
    let n: u64 = path.trim_start_matches("/orders/").trim_end_matches(".csv").parse().unwrap();
    let before = {
        let mut asked = asked.lock().unwrap();
        let times = asked.entry(path).or_default();
        *times += 1;
        *times - 1
    };
    let answer = if n.is_multiple_of(3) && before < 2 {
        "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned()
    } else {
        let rows = (0..ROWS).map(|row| {
            let id = (n - 1) * ROWS + row;
            format!("{id},{}\n", id as i64 % 7 - 3)
        });
        let body = "id,value\n".to_owned() + &rows.collect::<String>();
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/csv\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    let _ = stream.write_all(answer.as_bytes());
}

/// The newest run of a task: its state by name, and its reason.
fn run(site: &Site, task: &str) -> Option<(i64, String)> {
    let db = rusqlite::Connection::open(site.path("data/shiftboss.db")).unwrap();
    let sql = "SELECT r.state, coalesce(r.reason, '') FROM run r JOIN task t ON t.id = r.task
               WHERE t.name = ?1 AND r.settled_at IS NOT NULL ORDER BY r.id DESC LIMIT 1";
    db.query_row(sql, [task], |r| Ok((r.get(0)?, r.get(1)?))).ok()
}

#[test]
fn a_day_from_ten_apis_to_a_report_and_a_second_start_is_left_out() {
    let (apis, asked) = tables();
    let (smtp, web) = (Smtp::start(), Web::start());
    // What is changed of the example: where the servers are, and that a test waits for no breaker.
    let config = EXAMPLE
        .replace("https://api.example.com", &format!("http://{apis}"))
        .replace("backoff = \"2s\"", "backoff = \"50ms\"")
        .replace("retry_budget = 1.0", "retry_budget = 1.0, retry_rate = \"100/s\", breaker = 0")
        .replace("smtp = \"smtp.example.com:587\"", &format!("smtp = \"{}\", ca = \"ca.pem\"", smtp.address()));
    let site = Site::new(&config);
    std::fs::write(site.path("ca.pem"), smtp.pem()).unwrap();
    let mut command = site.command(["run"]);
    command.env("SMTP_PASSWORD", "canary").env("SLACK_WEBHOOK", web.url("/services/hook"));
    let supervisor = Supervisor::start_with(&site, command);

    site.run("trigger partners").expect(0);
    let (state, _) = until("the report", || run(&site, "report"));
    assert_eq!(state, 3, "the report succeeded: {:#?}", site.jobs());

    // Ten URLs, some of them three times.
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 10);
    for n in 1..=10 {
        assert_eq!(asked[&format!("/orders/{n}.csv")], if u32::is_multiple_of(n, 3) { 3 } else { 1 }, "API {n}");
    }
    // A million rows, each once, in their order.
    let out = site.tree("out");
    assert_eq!(out.len(), 1, "{out:?}");
    let made = std::fs::read_to_string(site.path(&out[0])).unwrap();
    let mut lines = made.lines();
    assert_eq!(lines.next(), Some("id,value,processed,timestamp"));
    let mut rows = 0;
    for (n, line) in lines.enumerate() {
        let fields: Vec<&str> = line.split(',').collect();
        let value = n as i64 % 7 - 3;
        let processed = if value > 0 { value * 2 } else { 0 };
        assert_eq!(fields[..3], [n.to_string(), value.to_string(), processed.to_string()], "row {n}");
        rows += 1;
    }
    assert_eq!(rows, 10 * ROWS);

    // Both are told, and the report lies in the archive.
    let mail = until("the mail", || smtp.taken().into_iter().next());
    let subject = parse_mail(&mail.data).unwrap().headers.get_first_value("subject").unwrap();
    assert!(subject.contains("processed"), "{subject}");
    let post = until("Slack", || web.seen("/services/hook").into_iter().next());
    assert!(String::from_utf8_lossy(&post.body).contains("processed"));
    assert!(site.tree("archive").iter().any(|name| name.ends_with(".html")), "{:?}", site.tree("archive"));

    // The second start within the hour.
    site.run("trigger partners").expect(0);
    let reason = until("the second start", || run(&site, "partners").filter(|(state, _)| *state == 6)).1;
    assert!(reason.contains("it succeeded") && reason.ends_with("which is within 1h"), "{reason}");
    let schedule = supervisor.get("/v1/schedule").json();
    let partners = &schedule["schedules"][0];
    assert_eq!((&partners["task"], &partners["timezone"]), (&"partners".into(), &"Asia/Seoul".into()));
    assert_eq!(
        (&partners["runs"][0]["state"], &partners["runs"][1]["state"]),
        (&"skipped".into(), &"succeeded".into())
    );
    assert_eq!(partners["followers"], serde_json::json!(["merge", "totals", "report"]));
    assert!(partners["next"][0].as_str().unwrap().ends_with("T09:00:00+09:00"), "{partners:#}");
    let next = site.json("next");
    assert_eq!(next[0]["task"], "partners");
}

//! `fetch` against httpbin: statuses, redirects, delays, drips, packings, validators, cookies, who asks, ranges.

use crate::support::{PATIENCE, Site, Supervisor, until};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Names the Python that has httpbin.
const PYTHON: &str = "SHIFTBOSS_HTTPBIN_PYTHON";
/// Requests that httpbin answers at once.
const THREADS: &str = "16";

/// A running httpbin, which never outlives its test.
struct Httpbin {
    child: Child,
    host: String,
    dir: tempfile::TempDir,
}

impl Httpbin {
    /// The one that all tests share while they run: the last one to go ends it.
    #[track_caller]
    fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Httpbin>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let new = Arc::new(Self::start());
            *shared = Arc::downgrade(&new);
            new
        })
    }

    #[track_caller]
    fn start() -> Self {
        let python = std::env::var_os(PYTHON);
        let python =
            python.unwrap_or_else(|| panic!("{PYTHON} is not set: the path of a Python that has httpbin and gunicorn"));
        let dir = tempfile::tempdir().unwrap();
        let said = dir.path().join("said");
        let file = std::fs::File::create(&said).unwrap();
        let child = Command::new(&python)
            .args(["-m", "gunicorn", "--bind", "127.0.0.1:0", "--worker-class", "gthread"])
            .args(["--threads", THREADS, "--worker-tmp-dir"])
            .arg(dir.path())
            .arg("httpbin:app")
            .current_dir(dir.path())
            // It keeps a socket of its own below this folder.
            .env("HOME", dir.path())
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {}: {e}", python.display()));
        let mut this = Self { child, host: String::new(), dir };
        this.host = until("httpbin to listen", || {
            let said = this.said();
            if let Some(status) = this.child.try_wait().unwrap() {
                panic!("httpbin ended: {status}\n{said}");
            }
            let (_, rest) = said.split_once("Listening at: http://")?;
            rest.contains("Booting worker").then(|| rest.split_whitespace().next().unwrap().to_owned())
        });
        this
    }

    fn said(&self) -> String {
        let mut text = String::new();
        std::fs::File::open(self.dir.path().join("said")).and_then(|mut f| f.read_to_string(&mut text)).unwrap();
        text
    }
}

impl Drop for Httpbin {
    fn drop(&mut self) {
        // Not KILL, so that it takes its worker with it; and not TERM, which waits for connections that are kept.
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGQUIT);
        let deadline = std::time::Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) && std::time::Instant::now() < deadline {
            std::thread::park_timeout(std::time::Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One case: the name of its task, what follows the URL in the table, and the path.
struct Case {
    name: &'static str,
    path: &'static str,
    more: &'static str,
}

const fn case(name: &'static str, path: &'static str, more: &'static str) -> Case {
    Case { name, path, more }
}

/// A supervisor with a task for each case.
struct Bench {
    site: Site,
    _supervisor: Supervisor,
    _httpbin: Arc<Httpbin>,
    host: String,
}

impl Bench {
    fn new(cases: &[Case]) -> Self {
        let httpbin = Httpbin::shared();
        let host = httpbin.host.clone();
        let tasks: String = cases
            .iter()
            .map(|case| {
                let more = case.more.replace("HOST", &host);
                let more = if more.is_empty() { more } else { format!(", {more}") };
                format!(
                    "[tasks.{name}]\nmanual = true\nretry = {{ attempts = 1 }}\n\
                     fetch = {{ url = \"http://{host}{path}\", output = \"out/{name}\", on_exists = \"replace\"{more} }}\n",
                    name = case.name,
                    path = case.path,
                )
            })
            .collect();
        let site = Site::new(&tasks);
        let mut command = site.command(["run"]);
        command.env("PASSWORD", "s3cret").env("TOKEN", "tok-123");
        let supervisor = Supervisor::start_with(&site, command);
        Self { site, _supervisor: supervisor, _httpbin: httpbin, host }
    }

    /// Runs a task: its job when it is over.
    #[track_caller]
    fn call(&self, name: &str) -> Value {
        let run = self.site.json(&format!("trigger {name}"))["run"].clone();
        until(&format!("{name} to be over"), || {
            self.site.jobs().into_iter().find(|j| {
                let is_call = j["input"].as_str().unwrap().starts_with("http");
                j["run"] == run && is_call && !j["finished_at"].is_null()
            })
        })
    }

    /// Runs a task that must succeed: its answer.
    #[track_caller]
    fn bytes(&self, name: &str) -> Vec<u8> {
        let job = self.call(name);
        assert_eq!(job["state"], "succeeded", "{name}: {job:#}");
        std::fs::read(self.site.path("out").join(name)).unwrap()
    }

    /// The same as JSON.
    #[track_caller]
    fn told(&self, name: &str) -> Value {
        serde_json::from_slice(&self.bytes(name)).unwrap()
    }

    /// Runs a task that must fail: code of the failure, its class, and the status of the answer.
    #[track_caller]
    fn failed(&self, name: &str) -> (String, String, Option<u64>) {
        let job = self.call(name);
        assert_eq!(job["state"], "failed", "{name}: {job:#}");
        assert!(!self.site.path("out").join(name).exists(), "{name} left something");
        let text = |key: &str| job["error"][key].as_str().unwrap().to_owned();
        (text("code"), text("class"), job["http_status"].as_u64())
    }
}

#[test]
fn statuses_have_their_class() {
    static CASES: [Case; 8] = [
        case("s200", "/status/200", ""),
        case("s204", "/status/204", ""),
        case("s404", "/status/404", ""),
        case("s418", "/status/418", ""),
        case("s429", "/status/429", ""),
        case("s500", "/status/500", "per_host = { breaker = 0 }"),
        case("s503", "/status/503", "per_host = { breaker = 0 }"),
        case("teapot", "/status/418", "expect = { status = [418], contains = \"teapot\" }"),
    ];
    // The one that says that it is busy comes last: its host is left alone for a while.
    let bench = Bench::new(&CASES);
    assert_eq!(bench.bytes("s200"), b"");
    assert_eq!(bench.bytes("s204"), b"");
    assert!(String::from_utf8(bench.bytes("teapot")).unwrap().contains("teapot"));
    for (name, class, status) in [
        ("s404", "permanent", 404),
        ("s418", "permanent", 418),
        ("s500", "transient", 500),
        ("s503", "transient", 503),
        ("s429", "transient", 429),
    ] {
        assert_eq!(bench.failed(name), ("http_status".to_owned(), class.to_owned(), Some(status)), "{name}");
    }
}

#[test]
fn redirects_are_followed_to_their_limit() {
    static CASES: [Case; 6] = [
        case("relative", "/relative-redirect/3", ""),
        case("absolute", "/absolute-redirect/3", ""),
        case("many", "/relative-redirect/6", ""),
        case("none", "/relative-redirect/1", "redirects = 0"),
        case("posted", "/redirect-to?url=/anything&status_code=303", "method = \"POST\", json = { a = 1 }"),
        case("kept", "/redirect-to?url=/anything&status_code=307", "method = \"POST\", json = { a = 1 }"),
    ];
    let bench = Bench::new(&CASES);
    for name in ["relative", "absolute"] {
        assert_eq!(bench.told(name)["url"], format!("http://{}/get", bench.host), "{name}");
    }
    assert_eq!(bench.call("relative")["requests"], 4);
    assert_eq!(bench.failed("many").0, "http_redirect");
    assert_eq!(bench.call("none")["state"], "failed");
    let posted = bench.told("posted");
    assert_eq!((&posted["method"], &posted["data"]), (&json!("GET"), &json!("")), "{posted:#}");
    let kept = bench.told("kept");
    assert_eq!((&kept["method"], &kept["json"]), (&json!("POST"), &json!({ "a": 1 })), "{kept:#}");
}

#[test]
fn slow_answers_are_waited_for_as_long_as_was_said() {
    static CASES: [Case; 5] = [
        case("delay", "/delay/1", ""),
        case("late", "/delay/5", "deadlines = { first_byte = \"300ms\" }"),
        case("drip", "/drip?numbytes=10&duration=1&delay=0", ""),
        case("stalls", "/drip?numbytes=2&duration=8&delay=0", "deadlines = { idle = \"500ms\" }"),
        case("endless", "/drip?numbytes=100&duration=20&delay=0", "deadlines = { total = \"1s\" }"),
    ];
    let bench = Bench::new(&CASES);
    assert_eq!(bench.told("delay")["url"], format!("http://{}/delay/1", bench.host));
    assert_eq!(bench.bytes("drip"), b"**********");
    for name in ["late", "stalls", "endless"] {
        let (code, class, _) = bench.failed(name);
        assert_eq!((code.as_str(), class.as_str()), ("http_timeout", "timeout"), "{name}");
    }
}

#[test]
fn packings_are_undone() {
    static CASES: [Case; 4] = [
        case("gzip", "/gzip", ""),
        case("deflate", "/deflate", ""),
        case("brotli", "/brotli", ""),
        case("utf8", "/encoding/utf8", ""),
    ];
    let bench = Bench::new(&CASES);
    for (name, told) in [("gzip", "gzipped"), ("deflate", "deflated"), ("brotli", "brotli")] {
        let answer = bench.told(name);
        assert_eq!(answer[told], true, "{name}: {answer:#}");
        let accepted = answer["headers"]["Accept-Encoding"].as_str().unwrap();
        assert!(accepted.contains("gzip") && accepted.contains("br"), "{accepted}");
    }
    assert!(String::from_utf8(bench.bytes("utf8")).unwrap().contains("Unicode Demo"));
}

#[test]
fn validators_save_the_body() {
    static CASES: [Case; 2] = [case("etag", "/etag/abc", "cache = true"), case("since", "/cache", "cache = true")];
    let bench = Bench::new(&CASES);
    for name in ["etag", "since"] {
        let first = bench.bytes(name);
        let again = bench.call(name);
        assert_eq!((again["state"].as_str(), again["requests"].as_u64()), (Some("succeeded"), Some(1)), "{again:#}");
        let second = std::fs::read(bench.site.path("out").join(name)).unwrap();
        // It tells the request that it was made for: a new one would tell the validator.
        assert_eq!(first, second, "{name}");
        assert!(!String::from_utf8(second).unwrap().contains("If-None-Match"), "{name}");
    }
}

#[test]
fn who_asks_is_told_as_it_was_written() {
    static CASES: [Case; 6] = [
        case("basic", "/basic-auth/anna/s3cret", "auth = { user = \"anna\", password = { env = \"PASSWORD\" } }"),
        case("wrong", "/basic-auth/anna/other", "auth = { user = \"anna\", password = { env = \"PASSWORD\" } }"),
        case("bearer", "/bearer", "auth = { bearer = { env = \"TOKEN\" } }"),
        case("nobody", "/bearer", ""),
        case("header", "/headers", "auth = { header = \"X-Api-Key\", value = { env = \"TOKEN\" } }"),
        case("agent", "/user-agent", "user_agent = \"night shift/1\""),
    ];
    let bench = Bench::new(&CASES);
    let basic = bench.told("basic");
    assert_eq!((&basic["authenticated"], &basic["user"]), (&json!(true), &json!("anna")));
    assert_eq!(bench.told("bearer")["token"], "tok-123");
    assert_eq!(bench.told("header")["headers"]["X-Api-Key"], "tok-123");
    assert_eq!(bench.told("agent")["user-agent"], "night shift/1");
    for name in ["wrong", "nobody"] {
        assert_eq!(bench.failed(name), ("http_status".to_owned(), "permanent".to_owned(), Some(401)), "{name}");
    }
}

#[test]
fn cookies_are_not_kept_from_one_call_to_the_next() {
    static CASES: [Case; 2] = [case("set", "/cookies/set/a/b", ""), case("get", "/cookies", "")];
    let bench = Bench::new(&CASES);
    // No jar: a call is the same whatever was called before it.
    bench.bytes("set");
    assert_eq!(bench.told("get")["cookies"], json!({}));
}

#[test]
fn ranges_bodies_and_headers_arrive() {
    static CASES: [Case; 6] = [
        case("whole", "/range/1000", ""),
        case("part", "/range/1000", "headers = { Range = \"bytes=10-19\" }, expect = { status = [206] }"),
        case("beyond", "/range/10", "headers = { Range = \"bytes=50-60\" }"),
        case("stream", "/stream/20", ""),
        case("form", "/post", "method = \"POST\", form = { a = \"1 & 2\", b = \"ü\" }"),
        case("put", "/put", "method = \"PUT\", json = { list = [1, 2.5, true] }, query = { q = \"x y\" }"),
    ];
    let bench = Bench::new(&CASES);
    let whole = bench.bytes("whole");
    assert_eq!(whole.len(), 1000);
    assert_eq!(bench.bytes("part"), &whole[10..20]);
    assert_eq!(bench.failed("beyond").2, Some(416));
    assert_eq!(String::from_utf8(bench.bytes("stream")).unwrap().lines().count(), 20);
    assert_eq!(bench.told("form")["form"], json!({ "a": "1 & 2", "b": "ü" }));
    let put = bench.told("put");
    assert_eq!((&put["json"], &put["args"]), (&json!({ "list": [1, 2.5, true] }), &json!({ "q": "x y" })));
}

#[test]
fn the_service_is_there_and_is_httpbin() {
    let httpbin = Httpbin::shared();
    let ask = |path: &str, field: &str| {
        let mut stream = std::net::TcpStream::connect(&httpbin.host).unwrap();
        let host = &httpbin.host;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{field}\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    // What the other tests take for granted.
    assert!(ask("/range/26", "").ends_with("abcdefghijklmnopqrstuvwxyz"));
    for (path, field, status) in [
        ("/range/1000", "Range: bytes=10-19\r\n", " 206 "),
        ("/range/10", "Range: bytes=50-60\r\n", " 416 "),
        ("/etag/abc", "If-None-Match: abc\r\n", " 304 "),
        ("/cache", "If-None-Match: abc\r\n", " 304 "),
        ("/redirect-to?url=/anything&status_code=307", "", " 307 "),
        ("/basic-auth/a/b", "", " 401 "),
        ("/status/204", "", " 204 "),
    ] {
        let answer = ask(path, field);
        assert!(answer.split('\r').next().unwrap().contains(status), "{path}: {answer}");
    }
}

//! Secrets reach the server, and nothing else: no file of the data folder, no log, no answer of a command, no error.

use super::{call, start_with_env, task, web};
use crate::support::{Site, Terminal};
use std::path::{Path, PathBuf};

/// What must not be found anywhere, and how it could be written.
const CANARIES: [(&str, &str); 4] = [
    ("BEARER", "canary-bearer-7f3a9"),
    ("HEADER", "canary-header-51c02"),
    ("QUERY", "canary-query-b8d4e"),
    ("PASSWORD", "canary-password-09af1"),
];

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![dir.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().map(Result::unwrap) {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                left.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
    }
    found
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// How a secret may look where it was written down.
fn spellings() -> Vec<String> {
    let base64 = |text: &str| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
    let plain = CANARIES.iter().map(|(_, value)| (*value).to_owned());
    plain.chain([base64(&format!("anna:{}", CANARIES[3].1))]).collect()
}

#[track_caller]
fn assert_clean(what: &str, bytes: &[u8]) {
    for text in spellings() {
        assert!(!holds(bytes, &text), "{what} holds {text}");
    }
}

fn tasks(web: &super::Web, down: &super::Web) -> String {
    let secrets = "headers = { X-Api-Key = { env = \"HEADER\" } }, query = { token = { env = \"QUERY\" } }";
    let bearer = "auth = { bearer = { env = \"BEARER\" } }";
    let basic = "auth = { user = \"anna\", password = { env = \"PASSWORD\" } }";
    let one = |name: &str, url: &str, auth: &str, more: &str| {
        task(name, &format!("url = \"{url}\", {secrets}, {auth}{more}"), "retry = { attempts = 2, backoff = \"10ms\" }")
    };
    one("good", &web.url("/good"), bearer, ", cache = \"1h\"")
        + &one("basic", &web.url("/basic"), basic, "")
        // Every way to fail: by an answer that tells what was sent, in the middle of a body, by a redirect, by no answer at
        // all, by content, and by a host that cannot be reached.
        + &one("told", &web.url("/told?echo=1&status=500"), bearer, ", per_host = { breaker = 0 }")
        + &one("told_basic", &web.url("/told?echo=1&status=400"), basic, "")
        + &one("cut", &web.url("/cut?size=1000&cut=1"), bearer, "")
        + &one("round", &web.url("/round?to=self&n=7"), basic, "")
        + &one("hang", &web.url("/hang?hang=100"), bearer, ", deadlines = { first_byte = \"200ms\" }")
        + &one("content", &web.url("/content?echo=1"), bearer, ", expect = { key = \"/nothing\" }")
        + &one("json", &web.url("/json?text=no"), bearer, ", expect = { json = true }")
        + &one("refused", &down.url("/refused"), basic, "")
}

#[test]
fn no_secret_is_found_anywhere_but_at_the_server() {
    let web = web();
    let tasks = {
        // A port where nobody listens any more.
        let down = super::web();
        tasks(&web, &down)
    };
    let site = Site::new(&tasks);
    let supervisor = start_with_env(&site, &CANARIES);
    for name in ["good", "basic"] {
        assert_eq!(call(&site, name)["state"], "succeeded", "{name}");
    }
    for name in ["told", "told_basic", "cut", "round", "hang", "content", "json", "refused"] {
        let job = call(&site, name);
        assert_eq!(job["state"], "failed", "{name}: {job:#}");
        assert!(job["error"]["message"].as_str().unwrap().len() > 5);
    }
    // They did arrive.
    let good = web.seen("/good").remove(0);
    assert_eq!(good.header("authorization"), Some("Bearer canary-bearer-7f3a9"));
    assert_eq!(
        (good.header("x-api-key"), good.param("token")),
        (Some("canary-header-51c02"), Some("canary-query-b8d4e"))
    );
    let basic = web.seen("/basic")[0].header("authorization").unwrap().to_owned();
    assert_eq!(basic, format!("Basic {}", spellings().last().unwrap()));

    for job in super::calls(&site) {
        for line in [format!("show {}", job["id"]), format!("logs {}", job["id"]), format!("why {}", job["id"])] {
            for json in ["", " --json"] {
                let ran = site.run(&format!("{line}{json}"));
                assert_clean(&format!("{line}{json}"), format!("{}{}", ran.out, ran.err).as_bytes());
            }
        }
    }
    for line in ["jobs", "jobs --json", "logs", "logs --json", "status --json", "check"] {
        let ran = site.run(line);
        assert_clean(line, format!("{}{}", ran.out, ran.err).as_bytes());
    }
    let mut dashboard = Terminal::open(&site, &["attach"], 160, 50);
    dashboard.sees("told");
    dashboard.press("\r");
    dashboard
        .until("the details", |screen| screen.contains("500") || screen.contains("400") || screen.contains("failed"));
    assert_clean("the dashboard", &dashboard.raw());
    drop(dashboard);
    drop(supervisor);
    assert_nothing_below(&site);
}

#[test]
fn no_secret_is_left_by_a_kill() {
    let web = web();
    let fetch = format!(
        "url = \"{}\", auth = {{ bearer = {{ env = \"BEARER\" }} }}, query = {{ token = {{ env = \"QUERY\" }} }}, \
         idempotency_key = true, method = \"POST\", form = {{ key = {{ env = \"HEADER\" }} }}",
        web.url("/gate?gate=1")
    );
    let site = Site::new(&task("calls", &fetch, ""));
    let mut supervisor = start_with_env(&site, &CANARIES);
    super::trigger(&site, "calls");
    super::wait("the request at the gate", || (web.at_once() == 1).then_some(()));
    supervisor.signal(nix::sys::signal::Signal::SIGKILL);
    supervisor.end();
    assert!(holds(&web.log()[0].body, CANARIES[1].1), "it did arrive");
    assert_nothing_below(&site);
}

#[track_caller]
fn assert_nothing_below(site: &Site) {
    let files = files_below(site.root());
    assert!(files.iter().any(|path| path.ends_with("shiftboss.db")), "{files:?}");
    for path in files {
        assert_clean(&path.display().to_string(), &std::fs::read(&path).unwrap());
    }
}

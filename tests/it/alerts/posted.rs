//! Webhooks, Slack, programs, the heartbeat; and that no secret of them is found anywhere.

use super::{ORDERS, PASSWORD, fail, failed, start};
use crate::support::web::Web;
use crate::support::{Site, until};
use serde_json::Value;

const KEY: &str = "canary-key-93be0";
const TOKEN: &str = "canary-token-71aa2";

fn files_below(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().map(Result::unwrap) {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(files_below(&entry.path()));
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    found
}

#[test]
fn the_same_is_posted_to_a_webhook_to_slack_and_to_a_program() {
    let web = Web::start();
    let channels = format!(
        "[alerts.hook]\nwebhook = {{ url = \"{}\", secret = {{ env = \"KEY\" }}, headers = {{ X-Team = \"ops\" }} }}\n\
         [alerts.slack]\nslack = {{ webhook = {{ env = \"SLACK\" }} }}\n\
         [alerts.down]\nslack = {{ webhook = {{ env = \"BROKEN\" }} }}\n\
         [alerts.run]\ncommand = {{ program = \"sh\", args = [\"-c\", \"cat > told.new; echo $SHIFTBOSS_ALERT_SEVERITY > severity; mv told.new told\"] }}\n",
        web.url("/hook?times=1&status=503")
    );
    let beat = format!("heartbeat = {{ url = \"{}\", every = \"10s\" }}\n", web.url("/beat"));
    let site = Site::new(&(beat + ORDERS + &channels));
    let slack = web.url(&format!("/services/{TOKEN}"));
    let broken = web.url(&format!("/broken/{TOKEN}?echo=1&status=404"));
    let supervisor = start(&site, &[("KEY", KEY), ("SLACK", &slack), ("BROKEN", &broken)]);
    until("the heartbeat", || (!web.seen("/beat").is_empty()).then_some(()));
    fail(&site, 0..3);
    failed(&supervisor, 3);

    let told: Value = until("the program", || std::fs::read(site.path("told")).ok()).as_slice().as_json();
    assert_eq!((&told["task"], &told["severity"]), (&"orders".into(), &"error".into()));
    assert_eq!(std::fs::read_to_string(site.path("severity")).unwrap().trim(), "error");

    let seen = until("Slack", || web.seen(&format!("/services/{TOKEN}")).into_iter().next());
    let body: Value = seen.body.as_slice().as_json();
    let attachment = &body["attachments"][0];
    assert_eq!(attachment["color"], "#c62828");
    assert!(attachment["title"].as_str().unwrap().starts_with("orders: csv_bad_row"));
    let fields = attachment["fields"].as_array().unwrap();
    assert!(fields.iter().any(|f| f["title"] == "Task" && f["value"] == "orders"), "{body}");

    // The first answer was 503: the second try brings the same message.
    let id =
        until("the webhook", || web.seen("/hook").first().map(|s| s.header("idempotency-key").unwrap().to_owned()));
    let posts = until("the webhook again", || {
        let mut posts = web.seen("/hook");
        posts.retain(|s| s.header("idempotency-key") == Some(&*id));
        Some(posts).filter(|s| s.len() >= 2)
    });
    for post in &posts {
        let at = post.header("x-shiftboss-timestamp").unwrap();
        let tag = post.header("x-shiftboss-signature").unwrap().strip_prefix("sha256=").unwrap();
        let tag: Vec<u8> = (0..tag.len()).step_by(2).map(|i| u8::from_str_radix(&tag[i..i + 2], 16).unwrap()).collect();
        let signed = [at.as_bytes(), b".", &post.body].concat();
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, KEY.as_bytes());
        ring::hmac::verify(&key, &signed, &tag).unwrap();
        assert_eq!(post.header("x-team"), Some("ops"));
        let body: Value = post.body.as_slice().as_json();
        assert_eq!((&body["id"], &body["kind"]), (&id.as_str().into(), &"first".into()));
    }
    // 404 is for good: the others are told that this channel does not work.
    until("news of the broken channel", || {
        let posted = web.seen(&format!("/services/{TOKEN}"));
        posted.iter().any(|s| String::from_utf8_lossy(&s.body).contains("channel_failed")).then_some(())
    });
    site.run("alert-test down").expect(1);
    let shown = supervisor.get("/v1/alerts").body + &site.run("alert-test --json").out + &supervisor.said();
    for secret in [KEY, TOKEN, PASSWORD] {
        assert!(!shown.contains(secret), "an answer holds {secret}: {shown}");
        for file in files_below(&site.path("data")) {
            let bytes = std::fs::read(&file).unwrap_or_default();
            let is_found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
            assert!(!is_found, "{} holds {secret}", file.display());
        }
    }
}

#[test]
fn a_channel_is_tried_without_a_supervisor() {
    let web = Web::start();
    let hook = format!("[alerts.hook]\nwebhook = {{ url = \"{}\" }}\n", web.url("/hook"));
    let site = Site::new(&(ORDERS.to_owned() + &hook));
    let said = site.run("alert-test hook").expect(0).out;
    assert!(said.starts_with("hook (webhook: 127.0.0.1:") && said.trim_end().ends_with(" took the message"), "{said}");
    assert_eq!(web.seen("/hook").len(), 1);
    assert!(site.run("alert-test hok").expect(1).err.contains("no channel is called"));
    web.down(Some(500));
    assert_eq!(site.run("alert-test --json").expect(1).json()[0]["ok"], false);
}

#[test]
fn a_channel_that_takes_nothing_is_told_to_the_others_and_shown() {
    let web = Web::start();
    let channels = format!(
        "[alerts.good]\nwebhook = {{ url = \"{}\" }}\n[alerts.mute]\nslack = {{ webhook = {{ env = \"NOT_SET\" }} }}\n",
        web.url("/good")
    );
    let site = Site::new(&(ORDERS.to_owned() + &channels));
    let supervisor = start(&site, &[]);
    fail(&site, 0..1);
    failed(&supervisor, 1);
    let told = until("news of the channel", || {
        let bodies = web.seen("/good").into_iter().map(|s| String::from_utf8_lossy(&s.body).into_owned());
        bodies.into_iter().rfind(|body| body.contains("channel_failed"))
    });
    assert!(told.contains("the channel mute takes no messages"), "{told}");
    let banners = supervisor.get("/v1/status").json()["banners"].clone();
    assert!(banners.as_array().unwrap().iter().any(|b| b["code"] == "channel:mute"), "{banners}");
}

trait AsJson {
    fn as_json(&self) -> Value;
}

impl AsJson for [u8] {
    fn as_json(&self) -> Value {
        serde_json::from_slice(self).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(self)))
    }
}

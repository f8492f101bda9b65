//! Mail: what arrives, and that it arrives whatever becomes of the server and of the supervisor.

use super::{ORDERS, PASSWORD, fail, failed, start};
use crate::support::smtp::{Mood, Smtp, Taken};
use crate::support::{Site, until};
use mailparse::{MailHeaderMap, parse_mail};
use nix::sys::signal::Signal;

fn site(smtp: &Smtp) -> Site {
    site_with(smtp, "starttls", "")
}

fn site_with(smtp: &Smtp, tls: &str, more: &str) -> Site {
    let channel = format!(
        "[alerts.ops]\nemail = {{ smtp = \"{}\", tls = \"{tls}\", ca = \"ca.pem\", from = \"Boss <boss@example.com>\", \
         to = [\"a@example.com\", \"b@example.com\"], user = \"boss\", password = {{ env = \"SMTP_PASSWORD\" }} }}\n{more}\n",
        smtp.address()
    );
    let site = Site::new(&(ORDERS.to_owned() + &channel));
    std::fs::write(site.path("ca.pem"), smtp.pem()).unwrap();
    site
}

fn header(mail: &Taken, name: &str) -> String {
    parse_mail(&mail.data).unwrap().headers.get_first_value(name).unwrap_or_default()
}

#[test]
fn a_cause_is_one_mail_with_a_table_and_its_end_is_another() {
    let smtp = Smtp::start();
    let site = site(&smtp);
    let supervisor = start(&site, &[]);
    fail(&site, 0..30);
    failed(&supervisor, 30);
    let first = until("the mail", || smtp.taken().into_iter().next());
    assert_eq!(first.to, ["a@example.com", "b@example.com"]);
    assert!(first.is_secure);
    assert_eq!(first.login, Some(("boss".into(), PASSWORD.into())));
    let parsed = parse_mail(&first.data).unwrap();
    assert_eq!(parsed.ctype.mimetype, "multipart/alternative");
    let (plain, html) = (parsed.subparts[0].get_body().unwrap(), parsed.subparts[1].get_body().unwrap());
    assert!(header(&first, "subject").starts_with("[error] orders: csv_bad_row, "), "{}", header(&first, "subject"));
    for part in ["orders", "csv_bad_row", "line 3", "retry --all-failed --task orders", "shiftboss -c "] {
        assert!(plain.contains(part) && html.contains(part), "{part} is in both\n{plain}");
    }
    assert!(html.contains("#c62828") && html.contains("<table"));

    let view = supervisor.get("/v1/alerts").json();
    assert_eq!((&view["open"][0]["code"], &view["open"][0]["open"]), (&"csv_bad_row".into(), &30.into()));
    assert_eq!(view["open"].as_array().unwrap().len(), 1);
    until("the mail is noted", || {
        (supervisor.get("/v1/alerts").json()["messages"][0]["state"] == "sent").then_some(())
    });
    site.run("skip --all-failed --reason test").expect(0);
    let over = until("the second mail", || smtp.taken().get(1).cloned());
    let subject = header(&over, "subject");
    assert_eq!(subject, "[recovered] orders: csv_bad_row is over after 30 failures");
    assert_eq!(smtp.taken().len(), 2, "thirty failures, one message");
    assert!(supervisor.get("/v1/alerts").json()["open"].as_array().unwrap().is_empty());
}

#[test]
fn a_server_that_is_down_and_a_supervisor_that_is_killed_lose_nothing() {
    let smtp = Smtp::start();
    smtp.mood(Mood::Down);
    let site = site(&smtp);
    let mut supervisor = start(&site, &[]);
    fail(&site, 0..1);
    failed(&supervisor, 1);
    until("a try", || {
        let view = supervisor.get("/v1/alerts").json();
        (view["messages"][0]["tries"].as_u64() >= Some(1) && view["channels"][0]["waiting"] == 1).then_some(())
    });
    smtp.mood(Mood::Busy);
    supervisor.signal(Signal::SIGKILL);
    supervisor.end();
    drop(supervisor);
    assert!(smtp.taken().is_empty());

    // The server takes the content and dies before it says so: nobody here can know that it has the mail.
    smtp.mood(Mood::DyingOnce);
    let mut supervisor = start(&site, &[]);
    until("the unanswered mail", || smtp.taken().first().map(|m| assert!(!m.is_answered)));
    supervisor.signal(Signal::SIGKILL);
    supervisor.end();
    drop(supervisor);

    let supervisor = start(&site, &[]);
    until("the mail again", || smtp.taken().iter().any(|m| m.is_answered).then_some(()));
    until("that it is noted", || (supervisor.get("/v1/alerts").json()["messages"][0]["state"] == "sent").then_some(()));
    let ids: Vec<String> = smtp.taken().iter().map(|m| header(m, "message-id")).collect();
    assert!(ids.len() >= 2 && ids[0].contains('@'), "{ids:?}");
    assert!(ids.iter().all(|id| *id == ids[0]), "a repeat is the same mail: {ids:?}");
    assert_eq!(smtp.taken().iter().filter(|m| m.is_answered).count(), 1);
    assert_eq!(supervisor.get("/v1/alerts").json()["messages"].as_array().unwrap().len(), 1);
}

#[test]
fn a_mail_that_is_refused_is_given_up_and_shown() {
    let smtp = Smtp::start();
    smtp.mood(Mood::Refusing);
    let site = site(&smtp);
    let supervisor = start(&site, &[]);
    fail(&site, 0..1);
    failed(&supervisor, 1);
    let view = until("the refusal", || {
        let view = supervisor.get("/v1/alerts").json();
        let is_shown = view["open"].as_array()?.iter().any(|o| o["code"] == "channel_failed");
        is_shown.then_some(view)
    });
    assert_eq!((&view["messages"][0]["state"], &view["channels"][0]["waiting"]), (&"given_up".into(), &0.into()));
    assert!(view["messages"][0]["error"].as_str().unwrap().contains("no such user"), "{view}");
    assert_eq!(view["messages"].as_array().unwrap().len(), 1, "it is not told of itself");
    smtp.mood(Mood::Well);
    let tested = supervisor.post("/v1/alerts/ops/test", Some("{}"));
    assert_eq!((tested.code, &tested.json()[0]["ok"]), (200, &true.into()));
    assert_eq!(header(&smtp.taken()[0], "subject"), "[info] test of the channel ops");
    assert_eq!(supervisor.post("/v1/alerts/osp/test", Some("{}")).code, 404);
}

#[test]
fn a_connection_may_be_protected_from_its_first_byte_on() {
    let smtp = Smtp::start_implicit();
    let site = site_with(&smtp, "implicit", "");
    let _supervisor = start(&site, &[]);
    assert_eq!(site.json("alert-test ops")[0]["ok"], true);
    let mail = smtp.taken().remove(0);
    assert_eq!((mail.is_secure, mail.login), (true, Some(("boss".into(), PASSWORD.into()))));
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused() {
    let smtp = Smtp::start();
    let site = site(&smtp);
    let other = Smtp::start();
    std::fs::write(site.path("ca.pem"), other.pem()).unwrap();
    let _supervisor = start(&site, &[]);
    let tested = site.run("alert-test ops --json");
    assert_eq!(tested.code, 1);
    assert_eq!(tested.json()[0]["ok"], false);
    assert!(smtp.taken().is_empty(), "neither the mail nor the password went there");
}

#[test]
fn in_quiet_hours_a_mail_waits_and_what_is_excepted_does_not() {
    // All hours but one minute of the day that it is not now.
    let now = chrono::Timelike::hour(&chrono::Utc::now());
    let (from, to) = ((now + 12) % 24, (now + 11) % 24);
    let quiet =
        |except: &str| format!("quiet = {{ between = \"{from:02}:30-{to:02}:30\", timezone = \"UTC\"{except} }}");
    let (held, told) = (Smtp::start(), Smtp::start());
    let site = site_with(&held, "starttls", &quiet(""));
    let second = format!(
        "[alerts.second]\nemail = {{ smtp = \"{}\", ca = \"second.pem\", from = \"boss@example.com\", to = [\"c@example.com\"] }}\n{}\n",
        told.address(),
        quiet(", except = [\"error\"]")
    );
    std::fs::write(site.path("second.pem"), told.pem()).unwrap();
    let config = std::fs::read_to_string(site.path("config.toml")).unwrap();
    std::fs::write(site.path("config.toml"), config + &second).unwrap();
    let supervisor = start(&site, &[]);
    fail(&site, 0..1);
    failed(&supervisor, 1);
    until("the mail that is excepted", || told.taken().pop());
    let view = supervisor.get("/v1/alerts").json();
    assert!(held.taken().is_empty(), "the other one waits");
    assert!(view["channels"][0]["quiet_until"].is_string(), "{view:#}");
}

//! `[alerts.NAME]` and `heartbeat`: what good ones become, and what is refused.

use super::*;
use crate::model::alert::Severity;
use crate::model::alert::channel::{Held, MailTls, Way};

const ALL: &str = r#"
[supervisor]
heartbeat = { url = { env = "BEAT" }, every = "30s" }

[alerts.ops-mail]
email = { smtp = "smtp.example.com:465", from = "Boss <boss@example.com>", to = ["a@example.com", "b@example.com"], user = "boss", password = { env = "SMTP_PASSWORD" } }
on = ["error"]
tasks = ["a", "part-*"]
codes = ["csv_*"]
repeat = "1h"
digest = "15m"
quiet = { between = "22:00-06:30", timezone = "Asia/Seoul", except = ["error"] }
max_per_hour = 5

[alerts.ops-slack]
slack = { webhook = { env = "SLACK_WEBHOOK" } }

[alerts.hook]
webhook = { url = "https://user:word@hook.example.com/secret?token=1", secret = { file = "key" }, headers = { X-Team = "ops", X-Key = { env = "KEY" } } }

[alerts.run]
command = { program = "bin/page", args = ["--now"] }
"#;

#[test]
fn good_channels_become_what_they_say() {
    let config = good(&(ALL.to_owned() + &with("")));
    let channels = &config.alerts.channels;
    let targets: Vec<String> =
        channels.iter().map(|c| format!("{} {} {}", c.name, c.way.name(), c.way.target())).collect();
    assert_eq!(
        targets,
        [
            "ops-mail email a@example.com, b@example.com by smtp.example.com:465",
            "ops-slack slack a URL in the variable SLACK_WEBHOOK",
            "hook webhook hook.example.com",
            "run command /srv/bin/page",
        ]
    );
    let mail = &channels[0];
    let Way::Email(way) = &mail.way else { panic!("{:?}", mail.way) };
    assert_eq!((way.tls, way.port), (MailTls::Implicit, 465), "as the port implies");
    assert_eq!((mail.on.as_slice(), mail.max_per_hour), (&[Severity::Error][..], 5));
    assert!(mail.concerns(Some("part-7"), "csv_bad_row") && !mail.concerns(None, "csv_bad_row"));
    assert!(!mail.concerns(Some("a"), "overdue"));
    let quiet = mail.quiet.as_ref().unwrap();
    assert_eq!((quiet.from, quiet.until, quiet.zone), (22 * 60, 6 * 60 + 30, chrono_tz::Asia::Seoul));
    assert_eq!(channels[1].on.len(), 3, "all but news unless it says otherwise");
    assert!(matches!(config.alerts.heartbeat.as_ref().unwrap().url, Held::Secret(_)));
    let shown = format!("{:?}", config.alerts);
    assert!(!shown.contains("token=1") && !shown.contains("word@"), "{shown}");
}

#[test]
fn wrong_channels_are_refused_each_with_a_hint() {
    let mail = |rest: &str| {
        format!(
            "[alerts.m]\nemail = {{ smtp = \"mail.example.com:25\", from = \"a@example.com\", to = \"b@example.com\"{rest} }}"
        )
    };
    let slack = |rest: &str| format!("[alerts.s]\nslack = {{ webhook = {{ env = \"X\" }} }}\n{rest}");
    let one_of = "give it one of `email`, `slack`, `webhook` and `command`; a second channel can have another";
    let table: &[(String, String)] = &[
        ("[alerts.a]".into(), format!("1:9 the channel \"a\" has no way out | {one_of}")),
        (
            slack("command = { program = \"true\" }"),
            format!("1:9 the channel \"s\" has both `slack` and `command` | {one_of}"),
        ),
        (
            mail(", user = \"u\", password = \"hunter2\""),
            "2:110 `alerts.m.email.password` must say where the secret is, not hold it | write { env = \"NAME\" }, { file = \"PATH\" } or { command = [\"PROGRAM\", …] }".into(),
        ),
        (
            mail(", tls = \"none\", user = \"u\", password = { env = \"P\" }"),
            "2:93 the password would go in the clear to mail.example.com | use tls = \"starttls\" or \"implicit\"; \"none\" is for this host alone".into(),
        ),
        (
            mail(", user = \"u\""),
            "2:87 `user` and `password` go together | add user = \"NAME\", password = { env = \"SMTP_PASSWORD\" }, or leave out both".into(),
        ),
        (
            "[alerts.m]\nemail = { smtp = \"mail.example.com\", from = \"nobody\", to = [] }".into(),
            "2:45 `from` is not an address: \"nobody\" | write \"ops@example.com\" or \"Operations <ops@example.com>\"\n2:60 `to` has between 1 and 50 addresses: 0".into(),
        ),
        (
            "[alerts.m]\nemail = { smtp = \"mail:many\", from = \"a@example.com\", to = \"b@example.com\" }".into(),
            "2:18 `smtp` is no server: \"mail:many\" | write name and port: \"smtp.example.com:587\"".into(),
        ),
        (slack("tasks = [\"ordres\", \"x-*\"]"), "3:10 no task is called \"ordres\"".into()),
        (slack("on = [\"eror\"]"), "3:6 `on` lets nothing through that could be over | add \"error\" or \"warning\"\n3:7 no such severity: \"eror\" | did you mean `error`?".into()),
        (slack("quiet = { between = \"22-6\" }"), "3:21 not a time of the day: \"22-6\" | write two times that differ, for example \"22:00-06:00\"".into()),
        (slack("repeet = \"1h\""), "3:1 unknown key: repeet | did you mean `repeat`?".into()),
        (slack("max_per_hour = 0"), "3:16 `max_per_hour` must be between 1 and 3600: 0".into()),
        (
            "[alerts.h]\nwebhook = { url = \"ftp://example.com/token\" }".into(),
            "2:19 `url` is not a URL of http or https with a host | write \"https://…\", or { env = \"NAME\" } where it holds a secret".into(),
        ),
        (
            "[alerts.h]\nwebhook = { url = \"https://example.com\", headers = { Host = \"x\" } }".into(),
            "2:54 the field Host is set by shiftboss | leave it out".into(),
        ),
        ("[alerts.\"a b\"]\ncommand = { program = \"true\" }".into(), format!("1:9 not the name of a channel: \"a b\" | use letters, digits, `-` and `_`, at most {NAME_MAX}")),
    ];
    for (source, wanted) in table {
        let found = problems(source);
        assert_eq!(found.join("\n"), *wanted, "{source}");
        assert!(!found.join("").contains("hunter2"));
    }
    assert_eq!(good(&mail(", tls = \"none\"")).alerts.channels.len(), 1, "without a password");
}

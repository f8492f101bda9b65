//! Crontabs with odd lines, and what becomes of them. What comes out is TOML that reads back as it was meant.

use super::*;

fn origin() -> Origin {
    Origin { name: "a crontab".into(), system: Some(false), user: Some("ops".into()), home: Some("/srv/ops".into()) }
}

fn user(crontab: &str) -> Imported {
    import(crontab, &origin())
}

fn parsed(imported: &Imported) -> ::toml::Table {
    imported.toml.parse().unwrap_or_else(|e| panic!("{e}: {}", imported.toml))
}

/// The one task of a crontab.
#[track_caller]
fn one(crontab: &str) -> ::toml::Table {
    let imported = user(crontab);
    assert_eq!(imported.tasks.len(), 1, "{imported:#?}");
    parsed(&imported)["tasks"][&imported.tasks[0]].as_table().unwrap().clone()
}

/// Program and arguments of the one task of an entry that runs every minute.
#[track_caller]
fn command(entry: &str) -> Vec<String> {
    let task = one(&format!("* * * * * {entry}"));
    let command = task["command"].as_table().unwrap();
    let mut words = vec![command["program"].as_str().unwrap().to_owned()];
    if let Some(args) = command.get("args") {
        words.extend(args.as_array().unwrap().iter().map(|a| a.as_str().unwrap().to_owned()));
    }
    words
}

const WHOLE: &str = r#"
# m h dom mon dow command
SHELL=/bin/bash
PATH = "/usr/local/bin:/usr/bin:/bin"
MAILTO=ops@example.com, night@example.com

# the books are closed at night
15 2 * * *  /usr/local/bin/close-books --all >/dev/null 2>&1
*/5 9-17 * * mon-fri flock -n /tmp/poll.lock /usr/bin/poll --quick
@reboot /usr/bin/start-agent
CRON_TZ=Asia/Seoul
0 7 1 * * cd /srv/reports && ./monthly.sh "$(date +\%Y-\%m)" | tee last.txt
0 0 31 2 * /usr/bin/never
30 6 * * 0 mail -s weekly team@example.com%Hello,%%this is the week.
@daily /usr/local/bin/close-books --rest
"#;

#[test]
fn a_whole_crontab_becomes_a_configuration() {
    let imported = user(WHOLE);
    insta::assert_snapshot!(imported.toml);
    let remarks: Vec<_> = imported.remarks.iter().map(|r| format!("{} {} {}", r.line, r.left_out, r.text)).collect();
    insta::assert_snapshot!(remarks.join("\n"));
    assert_eq!(imported.tasks, ["close-books", "poll", "monthly", "mail", "close-books-2"]);
    assert_eq!((imported.left_out(), parsed(&imported)["tasks"].as_table().unwrap().len()), (2, 5));
}

#[test]
fn the_result_is_what_the_configuration_reads() {
    let text = user(WHOLE).toml;
    let config = crate::config::parse(std::path::Path::new("/srv/config.toml"), &text, crate::actions::KINDS);
    let config = config.unwrap_or_else(|p| panic!("{:#?}\n{text}", p.list));
    assert_eq!(config.tasks.len(), 5);
}

#[test]
fn times_mean_the_same() {
    let cron = |times: &str| one(&format!("{times} x"))["schedule"]["cron"].as_str().unwrap().to_owned();
    for (times, same) in [
        ("5 4 * * sun", "5 4 * * sun"),
        ("0 0 1,15 * 7", "0 0 1,15 * 7"),
        ("0 0 */2 * 1", "0 0 */2 * +1"),
        ("0 0 1 * */2", "0 0 1 * +*/2"),
        ("0 0 */2 * *", "0 0 */2 * *"),
        ("0-59/10 * * JAN-mar *", "0-59/10 * * JAN-mar *"),
        ("@midnight", "0 0 * * *"),
        ("@Weekly", "0 0 * * 0"),
    ] {
        assert_eq!(cron(times), same);
    }
    for (line, why) in [
        ("61 * * * * x", "not a schedule"),
        ("0 0 30 2 * x", "it never comes"),
        ("0~30 * * * * x", "a random time"),
        ("@fortnightly x", "not a name of times"),
        ("* * * * *", "there is no command"),
        ("rm -rf *", "five fields of times"),
        ("1 2 * *", "five fields of times and a command"),
        ("@reboot x", "@reboot"),
    ] {
        let imported = user(line);
        assert!(imported.tasks.is_empty() && imported.left_out() == 1, "{line}: {imported:#?}");
        assert!(imported.remarks[0].text.contains(why), "{line}: {imported:#?}");
        assert!(imported.toml.contains(&format!("# {line}")), "the line stays: {}", imported.toml);
        parsed(&imported);
    }
}

/// By the rule of cron itself: the fields that begin with a star leave the day to the other one.
#[test]
fn days_are_those_of_cron() {
    use chrono::{Datelike, TimeZone, Utc};
    for (day, weekday) in [("*/2", "1"), ("13", "5"), ("*", "5"), ("13", "*"), ("1-10", "*/3")] {
        let cron = one(&format!("0 0 {day} * {weekday} x"))["schedule"]["cron"].as_str().unwrap().to_owned();
        let cron: croner::Cron = cron.parse().unwrap();
        let in_field = |field: &str, n: u32| match field {
            "*" => true,
            "*/2" => n % 2 == 1,
            "*/3" => n.is_multiple_of(3),
            "1-10" => n <= 10,
            exact => n == exact.parse::<u32>().unwrap(),
        };
        for n in 0..730 {
            let at = Utc.with_ymd_and_hms(2025, 1, 1, 0, 0, 0).unwrap() + chrono::Days::new(n);
            let (d, w) = (in_field(day, at.day()), in_field(weekday, at.weekday().num_days_from_sunday()));
            let want = if day.starts_with('*') || weekday.starts_with('*') { d && w } else { d || w };
            assert_eq!(cron.is_time_matching(&at).unwrap(), want, "{day} {weekday} on {at}");
        }
    }
}

#[test]
fn a_command_without_a_shell_needs_none() {
    assert_eq!(command("/usr/bin/backup --to=/srv  -v"), ["/usr/bin/backup", "--to=/srv", "-v"]);
    for shell in
        ["a; b", "a 'b c'", "A=1 b", "cd /x", "echo $HOME", "./here.sh", "ls *.txt", "a > /srv/log", "[ -f x ]"]
    {
        assert_eq!(command(shell), ["/bin/sh", "-c", shell]);
    }
    assert_eq!(command("awk '{print ${X}}'"), ["/bin/sh", "-c", "awk '{{print ${{X}}}}'"], "no placeholders");
    assert_eq!(command("date +\\%F"), ["date", "+%F"]);
}

#[test]
fn what_follows_a_percent_sign_is_standard_input() {
    let words = command("cat - > x%it's \"$me\"%second");
    assert_eq!(words[0], "/bin/sh");
    assert_eq!(words[2], "printf '%s\\n' \"$0\" | {{ cat - > x\n}}");
    assert_eq!(words[3], "it's \"$me\"\nsecond");
    let ran = std::process::Command::new("/bin/sh")
        .args(["-c", "printf '%s\\n' \"$0\" | { cat -\n}", &words[3]])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(ran.stdout).unwrap(), "it's \"$me\"\nsecond\n");
}

#[test]
fn silence_at_the_end_is_no_longer_needed() {
    for entry in [
        "/usr/bin/x -a >/dev/null 2>&1",
        "/usr/bin/x -a > /dev/null 2>&1",
        "/usr/bin/x -a 2>/dev/null >/dev/null",
        "/usr/bin/x -a &>/dev/null",
        "/usr/bin/x -a >& /dev/null",
    ] {
        assert_eq!(command(entry), ["/usr/bin/x", "-a"], "{entry}");
    }
    for kept in ["x >> /srv/log 2>&1", "x 2>&1 | logger", "sh -c 'x >/dev/null 2>&1'", "x 12>/dev/null", "x </dev/null"]
    {
        assert_eq!(command(kept)[2], kept);
    }
}

#[test]
fn a_lock_that_one_entry_takes_is_no_overlap() {
    for entry in [
        "flock -n /tmp/a.lock /usr/bin/x -a",
        "/usr/bin/flock --nonblock -E 0 /tmp/a.lock /usr/bin/x -a",
        "flock -xn /tmp/a.lock -c '/usr/bin/x -a' >/dev/null",
    ] {
        let task = one(&format!("* * * * * {entry}"));
        assert_eq!(
            (task["schedule"]["overlap"].as_str(), task["command"]["program"].as_str()),
            (Some("skip"), Some("/usr/bin/x"))
        );
    }
    for kept in ["flock /tmp/a.lock x", "flock -w 5 /tmp/a.lock x", "flock -n /tmp/a.lock x; y", "flock -n 9"] {
        let task = one(&format!("* * * * * {kept}"));
        assert_eq!(task["schedule"].get("overlap"), None, "{kept}");
    }
    let shared = user("1 * * * * flock -n /tmp/a.lock /bin/x\n2 * * * * flock -n /tmp/a.lock /bin/y\n");
    assert_eq!(shared.tasks, ["x", "y"]);
    assert!(
        shared.toml.matches("program = \"flock\"").count() == 2 && !shared.toml.contains("overlap = \"skip\""),
        "{}",
        shared.toml
    );
}

#[test]
fn settings_hold_for_the_lines_below_them() {
    let imported = user(
        "1 * * * * a\nX='{b} c'\nCRON_TZ=Europe/Berlin\nRANDOM_DELAY=10\nHOME=/srv/x\n2 * * * * b\nCRON_TZ=\n3 * * * * c\n",
    );
    let parsed = parsed(&imported);
    let task = |name: &str| parsed["tasks"][name].clone();
    assert!(task("a")["command"].get("env").is_none());
    assert_eq!(task("a")["command"]["cwd"].as_str(), Some("/srv/ops"));
    let b = task("b");
    assert_eq!((b["command"]["env"]["X"].as_str(), b["command"]["cwd"].as_str()), (Some("{{b}} c"), Some("/srv/x")));
    assert_eq!(
        (b["schedule"]["timezone"].as_str(), b["schedule"]["jitter"].as_str()),
        (Some("Europe/Berlin"), Some("10m"))
    );
    assert!(task("c")["schedule"].get("timezone").is_none());
    assert_eq!(user("CRON_TZ=Mars/Base\n1 * * * * a\n").left_out(), 1);
}

#[test]
fn lines_of_a_system_name_their_user() {
    let crontab = "17 * * * * root cd / && run-parts /etc/cron.hourly\n25 6 * * * www-data /usr/bin/tidy\n";
    let as_root = Origin { system: None, user: Some("root".into()), ..origin() };
    let imported = import(crontab, &as_root);
    assert_eq!((imported.tasks.clone(), imported.left_out()), (vec!["run-parts".to_owned(), "tidy".to_owned()], 0));
    let tidy = &parsed(&imported)["tasks"]["tidy"]["command"];
    assert_eq!(tidy["program"].as_str(), Some("runuser"));
    assert_eq!(tidy["args"].as_array().unwrap().len(), 4);
    let other = import(crontab, &Origin { system: None, ..origin() });
    assert_eq!((other.tasks.len(), other.left_out()), (0, 2), "nobody else's work, and none with other rights");
    assert_eq!(user("1 * * * * rooter x\n").tasks, ["rooter"], "a command, no user");
}

#[test]
fn names_are_made_of_what_is_run() {
    let names =
        |commands: &[&str]| user(&commands.iter().map(|c| format!("* * * * * {c}\n")).collect::<String>()).tasks;
    assert_eq!(
        names(&[
            "/usr/bin/python3 -u /srv/etl/load_orders.py",
            "cd /srv && nice -n 10 ./do.it.sh",
            "A=1 /bin/x",
            "'a b'",
            "한글",
            "/bin/x again",
            "sudo bash",
            "curl -s https://example.com/ping",
        ]),
        ["load_orders", "do-it", "x", "a", "job", "x-2", "sudo", "curl"]
    );
    let long = names(&[&"x".repeat(200)]);
    assert!(long[0].len() <= super::super::NAME_MAX);
}

#[test]
fn nothing_in_a_crontab_acts_on_a_terminal_or_breaks_out_of_a_comment() {
    let imported = user("# a\x1b]0;x\x07\r\n* * * * * echo \"\x1b[2J\" '''\\n\n!! \x1b[31m\n");
    assert!(imported.toml.chars().all(|c| c == '\n' || text::is_shown(c)), "{}", imported.toml);
    assert!(imported.remarks.iter().all(|r| r.text.chars().all(text::is_shown)));
    assert_eq!(parsed(&imported)["tasks"].as_table().unwrap().len(), 1);
}

proptest::proptest! {
    #[test]
    fn whatever_comes_in_what_comes_out_is_toml(lines in proptest::collection::vec("[ -~\t]{0,60}", 0..8), entries in proptest::collection::vec("[ -~가\t]{1,60}", 0..8)) {
        let entries: String = entries.iter().map(|e| format!("*/7 1-3 * * * {e}\n")).collect();
        let imported = user(&format!("{}\n{entries}", lines.join("\n")));
        let found = parsed(&imported).get("tasks").and_then(|t| t.as_table()).map_or(0, |t| t.len());
        proptest::prop_assert_eq!(found, imported.tasks.len());
    }
}

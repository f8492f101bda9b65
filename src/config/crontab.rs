//! A crontab as a configuration: what can be turned becomes tasks, comments stay at their places, and what cannot be
//! turned is a comment that says why. Pure: text in, text and remarks out.
//!
//! cron's rules are those of its manuals: the environment of a line is what stands above it; an unescaped `%` ends the
//! command and begins its standard input; a day matches if the day of the month or the day of the week does, unless one
//! of the two fields begins with `*`. Only a lone `*` is that to the schedules of this program, and a `+` before the
//! weekday asks for both days; so a field such as `*/2` is written with it.

mod command;
mod line;
#[cfg(test)]
mod tests;
mod times;
mod toml;

use crate::model::text;
use command::Turned;
use line::{Entry, Line, When};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use toml::{comment, quoted};

/// Longest crontab, in bytes.
pub const LEN_MAX: usize = 1024 * 1024;

/// What is known of a crontab beside its text.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// Where it comes from, for the comment at the beginning.
    pub name: String,
    /// Whether its lines name a user: `/etc/crontab` and `/etc/cron.d`. None: told from the lines.
    pub system: Option<bool>,
    /// The user whom the supervisor will run as, as far as that is known.
    pub user: Option<String>,
    /// The folder that commands of a user's crontab start in.
    pub home: Option<String>,
}

/// What a crontab became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The configuration.
    pub toml: String,
    /// Names of the tasks, in the order of the lines.
    pub tasks: Vec<String>,
    /// What is to be known, in the order of the lines.
    pub remarks: Vec<Remark>,
}

impl Imported {
    /// Lines that became no task.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.remarks.iter().filter(|r| r.left_out).count()
    }
}

/// Something to know about a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The line, 1-based.
    pub line: usize,
    /// What it is, as safe text.
    pub text: String,
    /// Whether the line became no task; otherwise it became one, and this is different.
    pub left_out: bool,
}

/// The settings above a line.
#[derive(Clone, Debug, Default)]
struct Settings {
    shell: Option<String>,
    /// Further variables, which commands get.
    env: BTreeMap<String, String>,
    home: Option<String>,
    timezone: Option<String>,
    /// Minutes that starts are spread over.
    jitter: Option<u32>,
}

/// Turns a crontab into a configuration.
#[must_use]
pub fn import(crontab: &str, origin: &Origin) -> Imported {
    let system = origin.system.unwrap_or_else(|| line::names_users(crontab));
    let lines: Vec<Line<'_>> = crontab.lines().map(|l| line::read(l, system)).collect();
    let mut import = Import {
        origin,
        system,
        shared_locks: shared_locks(&lines),
        settings: Settings::default(),
        body: String::new(),
        names: BTreeSet::new(),
        mail: None,
        out: Imported { toml: String::new(), tasks: Vec::new(), remarks: Vec::new() },
    };
    for (n, line) in lines.into_iter().enumerate() {
        import.line(n + 1, line);
    }
    import.finish()
}

/// Lock files that more than one line takes: there they keep two different commands apart, which no task alone can.
fn shared_locks(lines: &[Line<'_>]) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let locks = lines.iter().filter_map(|line| match line {
        Line::Entry(entry) => command::lock_of(&entry.command),
        _ => None,
    });
    locks.filter(|lock| !seen.insert(lock.clone())).collect()
}

struct Import<'a> {
    origin: &'a Origin,
    system: bool,
    shared_locks: BTreeSet<String>,
    settings: Settings,
    body: String,
    names: BTreeSet<String>,
    mail: Option<String>,
    out: Imported,
}

impl Import<'_> {
    fn line(&mut self, n: usize, line: Line<'_>) {
        match line {
            Line::Blank => {
                if !self.body.is_empty() && !self.body.ends_with("\n\n") {
                    self.body.push('\n');
                }
            }
            Line::Comment(comment) => self.comment(comment),
            Line::Setting(name, value) => self.setting(n, &name, value),
            Line::Entry(entry) => self.entry(n, &entry),
            Line::Unknown(raw, why) => self.leave_out(n, raw, why),
        }
    }

    fn comment(&mut self, comment: &str) {
        self.body.push_str(&toml::comment(comment.trim_start()));
    }

    fn remark(&mut self, line: usize, what: &str, left_out: bool) {
        self.out.remarks.push(Remark { line, text: text::escape(what).into_owned(), left_out });
    }

    /// A line that becomes no task: it stays as a comment, with the reason above it.
    fn leave_out(&mut self, n: usize, raw: &str, why: &str) {
        self.remark(n, why, true);
        self.comment(&format!("LEFT OUT (line {n}): {why}"));
        self.comment(raw);
        self.body.push('\n');
    }

    fn setting(&mut self, n: usize, name: &str, value: String) {
        let settings = &mut self.settings;
        match name {
            "SHELL" => settings.shell = Some(value).filter(|v| !v.is_empty()),
            "MAILTO" => self.mail = Some(value),
            "MAILFROM" | "CONTENT_TYPE" | "CONTENT_TRANSFER_ENCODING" => {
                self.remark(n, &format!("{name} is about cron's mails: see [alerts]"), false);
            }
            "CRON_TZ" if value.is_empty() => settings.timezone = None,
            "CRON_TZ" => match value.parse::<chrono_tz::Tz>() {
                Ok(zone) => settings.timezone = Some(zone.name().to_owned()),
                Err(_) => self.remark(n, &format!("CRON_TZ is no time zone, and is left out: {value}"), true),
            },
            "RANDOM_DELAY" => match value.trim().parse() {
                Ok(minutes) => settings.jitter = Some(minutes).filter(|m| *m > 0),
                Err(_) => self.remark(n, &format!("RANDOM_DELAY is no number of minutes: {value}"), true),
            },
            "LOGNAME" | "USER" => {}
            name => {
                if name == "HOME" {
                    settings.home = Some(value.clone()).filter(|v| v.starts_with('/'));
                }
                if name == "TZ" {
                    let what = "TZ is given to the commands; cron's times are those of the host, unless CRON_TZ is set";
                    self.out.remarks.push(Remark { line: n, text: what.to_owned(), left_out: false });
                }
                settings.env.insert(name.to_owned(), value);
            }
        }
    }

    fn entry(&mut self, n: usize, entry: &Entry<'_>) {
        let cron = match &entry.when {
            When::Reboot => {
                let why = "@reboot starts with the machine, which no schedule does: make it a service of the system";
                return self.leave_out(n, entry.raw, why);
            }
            When::Times(times) => match times::checked(times) {
                Ok(cron) => cron,
                Err(why) => return self.leave_out(n, entry.raw, &why),
            },
        };
        let as_user = match self.as_user(entry) {
            Ok(user) => user,
            Err(why) => return self.leave_out(n, entry.raw, &why),
        };
        let settings = self.settings.clone();
        let is_shared = |lock: &str| self.shared_locks.contains(lock);
        let mut turned = command::turn(&entry.command, settings.shell.as_deref(), &is_shared);
        if turned.args.is_empty() && turned.program.is_empty() {
            return self.leave_out(n, entry.raw, "there is no command");
        }
        if let Some(user) = as_user {
            turned.run_as(user);
        }
        let name = self.name(&turned.name);
        for note in &turned.notes {
            self.remark(n, &format!("{name}: {note}"), false);
        }
        self.task(n, entry, &name, &cron, &turned, &settings);
        self.out.tasks.push(name);
    }

    /// Whom a line is to run as, if not as the supervisor.
    fn as_user<'e>(&self, entry: &Entry<'e>) -> Result<Option<&'e str>, String> {
        let Some(user) = entry.user else { return Ok(None) };
        match self.origin.user.as_deref() {
            Some(ours) if ours == user => Ok(None),
            Some("root") => Ok(Some(user)),
            Some(ours) => Err(format!("it runs as {user}, and this supervisor would run as {ours}")),
            None => Err(format!("it runs as {user}, and a task runs as its supervisor")),
        }
    }

    /// A name that no task has yet.
    fn name(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        let mut n = 1_u32;
        while !self.names.insert(name.clone()) {
            n += 1;
            name = format!("{wanted}-{n}");
        }
        name
    }

    fn task(&mut self, n: usize, entry: &Entry<'_>, name: &str, cron: &str, turned: &Turned, settings: &Settings) {
        let mut schedule = format!("cron = {}", quoted(cron));
        if let Some(zone) = &settings.timezone {
            let _ = write!(schedule, ", timezone = {}", quoted(zone));
        }
        if let Some(minutes) = settings.jitter {
            let _ = write!(schedule, ", jitter = \"{minutes}m\"");
        }
        if turned.skips_overlap {
            schedule.push_str(", overlap = \"skip\"");
        }
        let args: Vec<String> = turned.args.iter().map(|a| quoted(&toml::template(a))).collect();
        let mut action = format!("program = {}", quoted(&turned.program));
        if !args.is_empty() {
            let _ = write!(action, ", args = [{}]", args.join(", "));
        }
        if !settings.env.is_empty() {
            let pairs = settings.env.iter().map(|(k, v)| format!("{} = {}", toml::key(k), quoted(&toml::template(v))));
            let _ = write!(action, ", env = {{ {} }}", pairs.collect::<Vec<_>>().join(", "));
        }
        let home = self.origin.home.as_ref().filter(|_| !self.system);
        if let Some(home) = settings.home.as_ref().or(home) {
            let _ = write!(action, ", cwd = {}", quoted(home));
        }
        // A comment above a line is about it: it goes above its table.
        let body = &mut self.body;
        let _ = write!(body, "[tasks.{name}]\n{}", comment(&format!("line {n}: {}", entry.raw.trim())));
        for note in &turned.notes {
            body.push_str(&comment(note));
        }
        let _ = write!(body, "schedule = {{ {schedule} }}\ncommand = {{ {action} }}\nretry = {{ attempts = 1 }}\n\n");
    }

    fn finish(mut self) -> Imported {
        let mut head = comment(&format!("From {}.", self.origin.name));
        for line in HEAD {
            head.push_str(&comment(line));
        }
        let mut toml = format!("{head}\n{}", self.body);
        match self.mail.take() {
            Some(to) if !to.trim().is_empty() => toml.push_str(&alerts(&to)),
            _ => {}
        }
        self.out.toml = format!("{}\n", toml.trim_end());
        self.out
    }
}

/// What is different from cron for every task.
const HEAD: [&str; 5] = [
    "A command that fails is not started again before its next time, as with cron: raise `attempts` where a",
    "second try does no harm. A task is not started while it still runs: write overlap = \"queue\" where it must be.",
    "What a command prints is kept with its job: `shiftboss logs`. Commands start in the folder of this file",
    "unless `cwd` says otherwise, and with the supervisor's PATH unless `env` does.",
    "Times are those of this host unless `timezone` says otherwise.",
];

/// Where cron's mails went, as a section to be filled in.
fn alerts(to: &str) -> String {
    let to: Vec<String> = to.split(',').map(str::trim).filter(|t| !t.is_empty()).map(quoted).collect();
    let lines = [
        "cron mailed what a command printed. Here a failure is told; fill this in and take the # away:".to_owned(),
        "[alerts.mail]".to_owned(),
        format!(
            "email = {{ smtp = \"smtp.example.com:587\", from = \"shiftboss@example.com\", to = [{}] }}",
            to.join(", ")
        ),
        "on = [\"error\", \"recovered\"]".to_owned(),
    ];
    lines.iter().map(|l| comment(l)).collect()
}

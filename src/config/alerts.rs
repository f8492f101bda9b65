//! `[alerts.NAME]`: where messages go, which ones, and how often. One way for each channel.

use super::raw;
use super::supervisor::section;
use super::task::NAME_MAX;
use crate::model::alert::Severity;
use crate::model::alert::channel::{Channel, Heartbeat, Held, Quiet, Way};
use crate::model::block::{Block, Complaint, Entry, Spanned, Value, shown};
use globset::{Glob, GlobMatcher};
use std::sync::Arc;
use std::time::Duration;

mod ways;

/// Most channels of one configuration: each has a sender of its own.
pub const CHANNELS_MAX: usize = 32;
/// For this long a cause is not told again, unless the channel says otherwise.
const REPEAT: Duration = Duration::from_secs(4 * 3600);
/// Messages in an hour, unless the channel says otherwise.
const PER_HOUR: u32 = 30;
/// Between two heartbeats, unless the configuration says otherwise.
const EVERY: Duration = Duration::from_secs(60);

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What `[alerts]` says. `tasks`: the names of the tasks of the configuration.
pub(super) fn alerts(root: &mut Block<'_>, tasks: &[&str]) -> Vec<Arc<Channel>> {
    let mut block = section(root, "alerts");
    let entries = block.entries();
    entries.iter().for_each(|e| block.ask(&e.key));
    if let Some(entry) = entries.get(CHANNELS_MAX) {
        let message = format!("more than {CHANNELS_MAX} channels: {}", entries.len());
        block.problem(Complaint::new(entry.key_span.clone(), message).hint("send to one, and let it distribute"));
    }
    entries.iter().take(CHANNELS_MAX).filter_map(|e| channel(block.below(&e.key, &e.node), e, tasks)).collect()
}

fn channel(mut block: Block<'_>, entry: &Entry, tasks: &[&str]) -> Option<Arc<Channel>> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let is_name = !entry.key.is_empty() && entry.key.len() <= NAME_MAX && entry.key.chars().all(good);
    if !is_name {
        let message = format!("not the name of a channel: {}", shown(&entry.key));
        let hint = format!("use letters, digits, `-` and `_`, at most {NAME_MAX}");
        block.problem(Complaint::new(entry.key_span.clone(), message).hint(hint));
    }
    let way = way(&mut block, entry);
    let on = severities(&mut block, "on");
    if let Some(on) = &on
        && !on.iter().any(|s| *s != Severity::Recovered)
        && let Some(entry) = block.entry("on")
    {
        let complaint = Complaint::new(entry.node.span.clone(), "`on` lets nothing through that could be over");
        block.problem(complaint.hint(r#"add "error" or "warning""#));
    }
    let names = globs(&mut block, "tasks");
    unknown_tasks(&block, &names, tasks);
    let mut codes = globs(&mut block, "codes");
    codes.extend(globs(&mut block, "kinds"));
    let repeat = block.duration("repeat", Duration::from_secs(60)..=30 * DAY);
    let digest = block.duration("digest", SECOND..=DAY);
    let quiet = block.table("quiet").and_then(quiet);
    let max_per_hour = block.integer("max_per_hour", 1..=3600).and_then(|n| u32::try_from(n).ok());
    let mut canonical = String::new();
    raw::canonical(&entry.node, &mut canonical);
    Some(Arc::new(Channel {
        name: entry.key.as_str().into(),
        way: way.filter(|_| is_name)?,
        on: on.unwrap_or_else(|| vec![Severity::Warning, Severity::Error, Severity::Recovered]),
        tasks: names.into_iter().map(|g| g.value).collect(),
        codes: codes.into_iter().map(|g| g.value).collect(),
        repeat: repeat.unwrap_or(REPEAT),
        digest,
        quiet,
        max_per_hour: max_per_hour.unwrap_or(PER_HOUR),
        hash: raw::hash(&canonical),
    }))
}

/// The one way that a channel has.
fn way(block: &mut Block<'_>, entry: &Entry) -> Option<Way> {
    const WAYS: [&str; 4] = ["email", "slack", "webhook", "command"];
    let given: Vec<&str> = WAYS.into_iter().filter(|key| block.has(key)).collect();
    if given.len() != 1 {
        let message = match given.as_slice() {
            [] => format!("the channel {} has no way out", shown(&entry.key)),
            [first, second, ..] => format!("the channel {} has both `{first}` and `{second}`", shown(&entry.key)),
            [_] => String::new(),
        };
        let hint = "give it one of `email`, `slack`, `webhook` and `command`; a second channel can have another";
        block.problem(Complaint::new(entry.key_span.clone(), message).hint(hint));
    }
    let mut read: Vec<Option<Way>> = Vec::new();
    for key in given {
        let Some(table) = block.table(key) else { continue };
        read.push(match key {
            "email" => ways::email(table).map(Way::Email),
            "slack" => ways::slack(table).map(Way::Slack),
            "webhook" => ways::webhook(table).map(Way::Webhook),
            _ => ways::command(table).map(Way::Command),
        });
    }
    read.pop().flatten()
}

fn severities(block: &mut Block<'_>, key: &str) -> Option<Vec<Severity>> {
    let list = block.strings(key)?;
    let mut out = Vec::new();
    for word in list {
        match Severity::ALL.into_iter().find(|s| s.name() == word.value) {
            Some(severity) => out.push(severity),
            None => {
                let message = format!("no such severity: {}", shown(&word.value));
                block.problem(Complaint::new(word.span, message).known(&word.value, Severity::ALL.map(Severity::name)));
            }
        }
    }
    Some(out)
}

fn globs(block: &mut Block<'_>, key: &str) -> Vec<Spanned<GlobMatcher>> {
    let list = block.strings(key).unwrap_or_default();
    let mut out = Vec::new();
    for pattern in list {
        match Glob::new(&pattern.value) {
            Ok(glob) if !pattern.value.is_empty() => {
                out.push(Spanned { value: glob.compile_matcher(), span: pattern.span });
            }
            _ => block.problem(Complaint::new(pattern.span, format!("not a pattern: {}", shown(&pattern.value)))),
        }
    }
    out
}

/// A pattern without a wildcard names a task, and a task that is not there is never told of.
fn unknown_tasks(block: &Block<'_>, names: &[Spanned<GlobMatcher>], tasks: &[&str]) {
    for name in names {
        let glob = name.value.glob().glob();
        if !glob.contains(['*', '?', '[', '{']) && !tasks.contains(&glob) {
            let complaint = Complaint::new(name.span.clone(), format!("no task is called {}", shown(glob)));
            block.problem(complaint.known(glob, tasks.iter().copied()));
        }
    }
}

fn quiet(mut block: Block<'_>) -> Option<Quiet> {
    let required = block.require("between");
    let between = block.string("between").and_then(|text| hours(&block, &text));
    let zone = match block.string("timezone") {
        None => Some(super::find::local_zone()),
        Some(name) => match name.value.parse() {
            Ok(zone) => Some(zone),
            Err(_) => {
                let complaint = Complaint::new(name.span, format!("unknown time zone: {}", shown(&name.value)));
                block.problem(complaint.known(&name.value, chrono_tz::TZ_VARIANTS.iter().map(|z| z.name())));
                None
            }
        },
    };
    let except = severities(&mut block, "except").unwrap_or_default();
    let (from, until) = between.filter(|_| required)?;
    Some(Quiet { from, until, zone: zone?, except })
}

/// `22:00-06:00` in minutes of the day.
fn hours(block: &Block<'_>, text: &Spanned<String>) -> Option<(u16, u16)> {
    let minute = |part: &str| {
        let (h, m) = part.trim().split_once(':')?;
        let (h, m) = (h.parse::<u16>().ok()?, m.parse::<u16>().ok()?);
        (h < 24 && m < 60).then_some(h * 60 + m)
    };
    let read = text.value.split_once('-').and_then(|(from, until)| Some((minute(from)?, minute(until)?)));
    let read = read.filter(|(from, until)| from != until);
    if read.is_none() {
        let complaint = Complaint::new(text.span.clone(), format!("not a time of the day: {}", shown(&text.value)));
        block.problem(complaint.hint("write two times that differ, for example \"22:00-06:00\""));
    }
    read
}

/// `heartbeat` of `[supervisor]`.
pub(super) fn heartbeat(root: &mut Block<'_>) -> Option<Heartbeat> {
    let mut block = root.table("heartbeat")?;
    let required = block.require("url");
    let url = held_url(&mut block, "url");
    let every = block.duration("every", 10 * SECOND..=DAY).unwrap_or(EVERY);
    Some(Heartbeat { url: url.filter(|_| required)?, every })
}

/// A URL, or where one is kept.
pub(super) fn held_url(block: &mut Block<'_>, key: &str) -> Option<Held> {
    let node = block.node(key)?;
    let Value::String(text) = &node.value else {
        return crate::model::Secret::read(block.below(key, node)).map(Held::Secret);
    };
    let good = url::Url::parse(text).is_ok_and(|u| matches!(u.scheme(), "http" | "https") && u.has_host());
    if !good {
        // Not repeated: it may hold a token.
        let complaint = Complaint::new(node.span.clone(), format!("`{key}` is not a URL of http or https with a host"));
        block.problem(complaint.hint("write \"https://…\", or { env = \"NAME\" } where it holds a secret"));
    }
    good.then(|| Held::Text(text.clone()))
}

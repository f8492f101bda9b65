//! A message in words: what broke where, since when, how often, and what to type.

use super::routing::{Note, Want, Why, severity};
use crate::clock::rfc3339;
use crate::model::alert::outbox::{Sample, Source};
use crate::model::alert::{Fact, Message, MessageKind, Severity};
use crate::model::{Millis, text};
use std::collections::HashMap;
use std::path::Path;

/// Most things that one digest lists; the rest are counted.
const LISTED_MAX: usize = 50;
/// Most characters of a value in the table.
const VALUE_MAX: usize = 1000;

/// Who sends.
#[derive(Clone, Copy, Debug)]
pub struct From<'a> {
    /// Name of the host.
    pub host: &'a str,
    /// The configuration, for the commands.
    pub config: &'a Path,
    /// Now.
    pub now: Millis,
}

impl From<'_> {
    fn command(&self, rest: &str) -> String {
        format!("shiftboss -c {} {rest}", quoted(&text::path(self.config)))
    }

    fn message(&self, severity: Severity, kind: MessageKind, subject: String) -> Message {
        Message {
            severity,
            kind,
            subject,
            facts: Vec::new(),
            text: String::new(),
            html: None,
            log: Vec::new(),
            commands: Vec::new(),
            task: None,
            host: self.host.to_owned(),
            count: 1,
            at: self.now,
        }
    }
}

/// A text as one word of a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | ':' | '@' | '%');
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Puts a note into words. `samples`: of each cause a job that stands for it.
#[must_use]
pub fn compose(note: &Note, samples: &HashMap<i64, Sample>, from: &From<'_>) -> Message {
    match (note.wants.as_slice(), note.why) {
        ([want], None) => one(want, sample(want, samples), from),
        (wants, why) => several(wants, why.unwrap_or(Why::Digest), samples, from),
    }
}

fn sample<'a>(want: &Want, samples: &'a HashMap<i64, Sample>) -> Option<&'a Sample> {
    if want.trouble.source == Source::Cause { samples.get(&want.trouble.id) } else { None }
}

/// `orders: csv_bad_row`
fn name(want: &Want) -> String {
    let task = want.trouble.task.as_deref().unwrap_or("supervisor");
    format!("{task}: {}", want.trouble.code)
}

/// `3 files failed`, or what a notice says.
fn state(want: &Want, sample: Option<&Sample>) -> String {
    let trouble = &want.trouble;
    match (want.kind, trouble.source) {
        (MessageKind::Recovered, Source::Cause) => format!("is over after {}", text::counted(trouble.total, "failure")),
        (MessageKind::Recovered, _) => "is over".to_owned(),
        (kind, Source::Cause) => {
            let what = if sample.is_some_and(|s| s.is_file) { "file" } else { "job" };
            let again = if kind == MessageKind::Again { "still " } else { "" };
            let more =
                if want.news > trouble.open { format!(", {} failures", text::count(want.news)) } else { String::new() };
            format!("{again}{} failed{more}", text::counted(trouble.open.max(1), what))
        }
        (_, _) => trouble.text.clone(),
    }
}

fn one(want: &Want, sample: Option<&Sample>, from: &From<'_>) -> Message {
    let trouble = &want.trouble;
    let link = if want.kind == MessageKind::Recovered { " " } else { ", " };
    let subject = text::cut(&format!("{}{link}{}", name(want), state(want, sample)), 200).into_owned();
    let mut message = from.message(severity(want), want.kind, subject);
    let mut fact = |name: &str, value: String| {
        if !value.is_empty() {
            message.facts.push(Fact { name: name.into(), value: text::cut(&value, VALUE_MAX).into_owned() });
        }
    };
    fact("Task", trouble.task.as_deref().unwrap_or("supervisor").to_owned());
    fact("Code", trouble.code.clone());
    let failure = sample.and_then(|s| s.failure.as_ref());
    fact("What", failure.map_or_else(|| trouble.text.clone(), |f| f.message.clone()));
    if let Some(sample) = sample {
        fact(if sample.is_file { "File" } else { "Input" }, sample.input.clone());
    }
    if let Some(failure) = failure {
        let place = [("line", failure.line), ("column", failure.column)];
        let place: Vec<String> = place.iter().filter_map(|(n, v)| v.map(|v| format!("{n} {v}"))).collect();
        let column = failure.column_name.as_ref().map_or_else(String::new, |c| format!(" ({c})"));
        fact("Place", if place.is_empty() { String::new() } else { place.join(", ") + &column });
        fact("Record", failure.raw.clone().unwrap_or_default());
    }
    if trouble.source == Source::Cause {
        fact("Failed now", text::count(trouble.open));
    }
    fact("Seen in all", text::count(trouble.total));
    fact("First seen", rfc3339(trouble.born));
    fact("Last seen", rfc3339(trouble.last_at));
    fact("Host", from.host.to_owned());
    message.log = sample.map(|s| s.log.clone()).unwrap_or_default();
    message.commands = if want.kind == MessageKind::Recovered { Vec::new() } else { commands(want, sample, from) };
    message.task = trouble.task.as_deref().map(str::to_owned);
    message.count = trouble.total;
    message
}

fn commands(want: &Want, sample: Option<&Sample>, from: &From<'_>) -> Vec<String> {
    let task = want.trouble.task.as_deref();
    match (sample, task) {
        (Some(sample), Some(task)) => vec![
            from.command(&format!("show {}", sample.job)),
            from.command(&format!("retry --all-failed --task {}", quoted(task))),
        ],
        (Some(sample), None) => vec![from.command(&format!("show {}", sample.job))],
        (None, Some(task)) => vec![from.command(&format!("why {}", quoted(task)))],
        (None, None) => vec![from.command("status")],
    }
}

fn several(wants: &[Want], why: Why, samples: &HashMap<i64, Sample>, from: &From<'_>) -> Message {
    let gravest = wants.iter().map(severity).max().unwrap_or(Severity::Info);
    let over = wants.iter().filter(|w| w.kind == MessageKind::Recovered).count() as u64;
    let open = wants.len() as u64 - over;
    let mut parts = Vec::new();
    if open > 0 {
        parts.push(format!("{} wrong", text::counted(open, "thing")));
    }
    if over > 0 {
        parts.push(format!("{} over", text::count(over)));
    }
    let mut message = from.message(gravest, MessageKind::Digest, parts.join(", "));
    let reason = match why {
        Why::Digest => "Collected since the last message.",
        Why::Quiet => "Held back during the quiet hours.",
        Why::Limit => "Put together because of the limit on messages in an hour.",
    };
    reason.clone_into(&mut message.text);
    let mut sorted: Vec<&Want> = wants.iter().collect();
    sorted.sort_by_key(|w| (std::cmp::Reverse(severity(w)), w.since));
    for want in sorted.iter().take(LISTED_MAX) {
        let value = format!("{}, last seen {}", state(want, sample(want, samples)), rfc3339(want.trouble.last_at));
        message.facts.push(Fact { name: name(want), value: text::cut(&value, VALUE_MAX).into_owned() });
    }
    if wants.len() > LISTED_MAX {
        message.facts.push(Fact { name: "And".into(), value: format!("{} more", wants.len() - LISTED_MAX) });
    }
    message.facts.push(Fact { name: "Host".into(), value: from.host.to_owned() });
    message.commands = vec![from.command("status"), from.command("jobs --state failed")];
    message.count = wants.len() as u64;
    message
}

/// A message that tries a channel.
#[must_use]
pub fn test_message(channel: &str, from: &From<'_>) -> Message {
    let mut message = from.message(Severity::Info, MessageKind::Test, format!("test of the channel {channel}"));
    message.text = "Somebody tries this channel. Nothing is wrong.".to_owned();
    message.facts = vec![
        Fact { name: "Channel".into(), value: channel.to_owned() },
        Fact { name: "Host".into(), value: from.host.to_owned() },
        Fact { name: "At".into(), value: rfc3339(from.now) },
    ];
    message.commands = vec![from.command("status")];
    message
}

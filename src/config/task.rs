//! One entry of `[tasks]`: exactly one trigger, exactly one action of the registry, and policies.
//!
//! What belongs to other tasks is checked in `relations`; this file sees one task at a time. It reads everything that
//! it can of a wrong task, so that all problems come out at once.

use super::files::{self, Folder, Pattern};
use super::raw;
use super::schedule::schedule;
use crate::model::action::Kind;
use crate::model::block::{Block, Complaint, Entry, Node, Span, Spanned, Value, shown};
use crate::model::condition::Condition;
use crate::model::task::ClaimBy;
use crate::model::{Action, After, AfterOn, Duplicates, OnInterrupt, RetryPolicy, Task, TaskName, Trigger, Watch};
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Longest name of a task, in bytes: it is a folder's name, a column on the screen and a word on the command line.
pub const NAME_MAX: usize = 64;

/// Triggers of this version.
const TRIGGERS: [&str; 4] = ["watch", "schedule", "after", "manual"];

/// What a task takes from the rest of the file.
pub(super) struct Defaults<'a> {
    pub(super) kinds: &'a [&'a dyn Kind],
    pub(super) workers: usize,
    pub(super) processed: &'a Folder,
    pub(super) failed: &'a Folder,
    pub(super) timezone: chrono_tz::Tz,
    pub(super) source: &'a str,
}

/// A task that is right by itself, with the places of what other tasks may clash with.
pub(super) struct Draft<'a> {
    pub(super) task: Arc<Task>,
    /// Where its name stands.
    pub(super) name: Span,
    /// Where its folder and its patterns stand, if it watches.
    pub(super) watch: Option<(Span, Vec<Span>)>,
    /// Where the tasks stand that it runs after.
    pub(super) after: Vec<Span>,
    pub(super) action: &'a Entry,
    pub(super) processed: Span,
    pub(super) failed: Span,
}

/// Reads one task. `None`: it is wrong, and why was reported.
pub(super) fn task<'a>(mut block: Block<'a>, entry: &'a Entry, defaults: &Defaults<'_>) -> Option<Draft<'a>> {
    if !matches!(entry.node.value, Value::Table(_)) {
        return None; // reported when the block is dropped
    }
    let named = name(&block, entry);
    let zone = timezone(&mut block).unwrap_or(defaults.timezone);
    let trigger = trigger(&mut block, zone);
    let when = when(&mut block, trigger.as_ref());
    let action = action(&mut block, defaults.kinds);
    let retry = retry(&mut block);
    let timeout = block.duration("timeout", Duration::from_millis(1)..=30 * DAY);
    let priority = block.integer("priority", -1_000_000..=1_000_000).and_then(|n| i32::try_from(n).ok()).unwrap_or(0);
    let concurrency = block.integer("concurrency", 1..=1024).and_then(|n| u32::try_from(n).ok());
    let on_interrupt = block.choice("on_interrupt", &[("retry", OnInterrupt::Retry), ("fail", OnInterrupt::Fail)]);
    let processed = files::folder(&mut block, "processed").unwrap_or_else(|| defaults.processed.clone());
    let failed = files::folder(&mut block, "failed").unwrap_or_else(|| defaults.failed.clone());

    named.then_some(())?;
    let (trigger, action, when) = (trigger?, action?, when?);
    let timezone = match &trigger.trigger {
        Trigger::Schedule(schedule) => schedule.timezone,
        Trigger::Watch(_) | Trigger::After(_) | Trigger::Manual => zone,
    };
    let concurrency = action
        .built
        .concurrency()
        .or(concurrency)
        .unwrap_or_else(|| u32::try_from(defaults.workers).unwrap_or(u32::MAX));
    let on_interrupt =
        on_interrupt.unwrap_or(if action.built.idempotent() { OnInterrupt::Retry } else { OnInterrupt::Fail });
    let mut canonical = format!(
        "{}\n{}\n{}\n{concurrency}\n{timezone}\n",
        entry.key,
        processed.template.source(),
        failed.template.source()
    );
    raw::canonical(&entry.node, &mut canonical);
    let line = 1 + defaults.source.as_bytes()[..block.span().start].iter().filter(|&&b| b == b'\n').count();
    let task = Task {
        name: TaskName::from(entry.key.as_str()),
        trigger: trigger.trigger,
        action: action.built,
        priority,
        concurrency,
        retry,
        timeout,
        on_interrupt,
        processed: processed.template,
        failed: failed.template,
        when,
        timezone,
        config_hash: raw::hash(&canonical),
        line,
    };
    Some(Draft {
        task: Arc::new(task),
        name: entry.key_span.clone(),
        watch: trigger.watch,
        after: trigger.after,
        action: action.entry,
        processed: processed.span.unwrap_or_else(|| entry.key_span.clone()),
        failed: failed.span.unwrap_or_else(|| entry.key_span.clone()),
    })
}

fn name(block: &Block<'_>, entry: &Entry) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let fine = (1..=NAME_MAX).contains(&entry.key.len()) && entry.key.bytes().all(good);
    if !fine {
        let message = format!("a task cannot be called {}", shown(&entry.key));
        let hint = format!("1 to {NAME_MAX} letters, digits, - and _");
        block.problem(Complaint::new(entry.key_span.clone(), message).hint(hint));
    }
    fine
}

/// Keys in a sentence: `a`, `b` or `c`.
fn list(keys: &[&str]) -> String {
    match keys {
        [] => "none".to_owned(),
        [one] => format!("`{one}`"),
        [front @ .., last] => {
            let front: Vec<_> = front.iter().map(|k| format!("`{k}`")).collect();
            format!("{} or `{last}`", front.join(", "))
        }
    }
}

/// The one entry of `keys`; another one, or none, is a problem.
fn only<'a>(block: &mut Block<'a>, what: &str, keys: &[&str]) -> Option<&'a Entry> {
    let mut given: Vec<_> = keys.iter().filter_map(|k| block.entry(k)).collect();
    given.sort_by_key(|e| e.key_span.start);
    if given.is_empty() {
        let message = format!("`{}` has no {what}", block.name());
        block.problem(Complaint::new(block.span(), message).hint(format!("give it {}", list(keys))));
    }
    let (first, more) = given.split_first()?;
    for entry in more {
        let message = format!("a second {what} beside `{}`: {}", first.key, entry.key);
        block.problem(
            Complaint::new(entry.key_span.clone(), message).hint(format!("one {what} a task: make two tasks of it")),
        );
    }
    Some(first)
}

struct Triggered {
    trigger: Trigger,
    watch: Option<(Span, Vec<Span>)>,
    after: Vec<Span>,
}

fn trigger(block: &mut Block<'_>, zone: chrono_tz::Tz) -> Option<Triggered> {
    let entry = only(block, "trigger", &TRIGGERS)?;
    match entry.key.as_str() {
        "watch" => watch(block.below("watch", &entry.node)),
        "schedule" => schedule(block.below("schedule", &entry.node), zone).map(|schedule| Triggered {
            trigger: Trigger::Schedule(Box::new(schedule)),
            watch: None,
            after: Vec::new(),
        }),
        "after" => after(block.below("after", &entry.node)),
        _ => manual(block),
    }
}

/// The conditions of the task. A file that landed is taken whatever the time is: the conditions are those of runs.
fn when(block: &mut Block<'_>, trigger: Option<&Triggered>) -> Option<Vec<Condition>> {
    let Some(entry) = block.entry("when") else { return Some(Vec::new()) };
    let conditions = super::when::when(block.below("when", &entry.node));
    if trigger.is_some_and(|t| matches!(t.trigger, Trigger::Watch(_))) {
        let message = "`when` beside `watch`: a file that landed is always taken";
        let hint = "remove it, or start the task by `schedule`, `after` or `manual`";
        block.problem(Complaint::new(entry.key_span.clone(), message).hint(hint));
        return None;
    }
    conditions
}

fn manual(block: &mut Block<'_>) -> Option<Triggered> {
    let span = block.node("manual")?.span.clone();
    if block.boolean("manual")? {
        return Some(Triggered { trigger: Trigger::Manual, watch: None, after: Vec::new() });
    }
    block.problem(Complaint::new(span, "`manual` is true or absent").hint("a task needs a trigger"));
    None
}

fn watch(mut block: Block<'_>) -> Option<Triggered> {
    block.require("dir");
    block.require("match");
    let recursive = block.boolean("recursive").unwrap_or(false);
    let poll = block.boolean("poll").unwrap_or(false);
    let dir = block.path("dir");
    let patterns = files::patterns(&mut block, "match", !recursive);
    if patterns.as_ref().is_some_and(Vec::is_empty) {
        let span = block.node("match").map_or(0..0, |n| n.span.clone());
        block
            .problem(Complaint::new(span, "`match` is empty: the task takes nothing").hint("[\"*\"] takes every name"));
    }
    // A polled folder is looked at every few seconds, so a writer needs longer to prove that it is still there.
    let settle = block.duration("settle", Duration::ZERO..=DAY).unwrap_or(if poll { 30 * SECOND } else { 2 * SECOND });
    let duplicates = block.choice("duplicates", &[("process", Duplicates::Process)]).unwrap_or_default();
    let claim = block.choice("claim", &[("rename", ClaimBy::Rename), ("copy", ClaimBy::Copy)]).unwrap_or_default();
    drop(block);

    let (dir, patterns) = (dir?, patterns?);
    let spans = patterns.iter().map(|p| p.text.span.clone()).collect();
    let (matchers, patterns) = patterns.into_iter().map(|Pattern { text, matcher }| (matcher, text.value)).unzip();
    let watch = Watch { dir: dir.value, matchers, patterns, recursive, settle, duplicates, claim, poll };
    Some(Triggered { trigger: Trigger::Watch(watch), watch: Some((dir.span, spans)), after: Vec::new() })
}

/// `after = "a"`, `after = ["a", "b"]` or `after = { tasks = […], on = … }`.
fn after(mut block: Block<'_>) -> Option<Triggered> {
    let (tasks, on) = match block.shorthand() {
        Some(Node { value: Value::String(name), span }) => {
            (vec![Spanned { value: name.clone(), span: span.clone() }], AfterOn::default())
        }
        Some(node) => {
            let complaint =
                Complaint::new(node.span.clone(), format!("`after` must name a task, not {}", node.value.kind()));
            block.problem(complaint.hint("write \"a\" or { tasks = [\"a\", \"b\"] }"));
            return None;
        }
        None => {
            block.require("tasks");
            let options = [
                ("all_ok", AfterOn::AllOk),
                ("any_ok", AfterOn::AnyOk),
                ("failed", AfterOn::Failed),
                ("any", AfterOn::Any),
            ];
            let on = block.choice("on", &options).unwrap_or_default();
            (block.strings("tasks")?, on)
        }
    };
    if tasks.is_empty() {
        block.problem(Complaint::new(block.span(), "`after` names no task"));
        return None;
    }
    for (i, task) in tasks.iter().enumerate() {
        if tasks[..i].iter().any(|t| t.value == task.value) {
            block.problem(Complaint::new(task.span.clone(), format!("named twice: {}", shown(&task.value))));
        }
    }
    let (names, spans) = tasks.into_iter().map(|t| (TaskName::from(t.value), t.span)).unzip();
    Some(Triggered { trigger: Trigger::After(After { tasks: names, on }), watch: None, after: spans })
}

struct Built<'a> {
    built: Arc<dyn Action>,
    entry: &'a Entry,
}

fn action<'a>(block: &mut Block<'a>, kinds: &[&dyn Kind]) -> Option<Built<'a>> {
    let keys: Vec<_> = kinds.iter().map(|k| k.key()).collect();
    let entry = only(block, "action", &keys)?;
    let kind = kinds.iter().find(|k| k.key() == entry.key)?;
    let mut below = block.below(&entry.key, &entry.node);
    Some(Built { built: kind.build(&mut below)?, entry })
}

fn retry(block: &mut Block<'_>) -> RetryPolicy {
    let default = RetryPolicy::default();
    let Some(mut table) = block.table("retry") else { return default };
    let policy = RetryPolicy {
        attempts: table.integer("attempts", 1..=100).and_then(|n| u32::try_from(n).ok()).unwrap_or(default.attempts),
        backoff: table.duration("backoff", Duration::ZERO..=7 * DAY).unwrap_or(default.backoff),
        factor: table.float("factor", 1.0..=100.0).unwrap_or(default.factor),
        max: table.duration("max", Duration::ZERO..=30 * DAY).unwrap_or(default.max),
        jitter: table.boolean("jitter").unwrap_or(default.jitter),
    };
    if policy.max < policy.backoff {
        let (backoff, max) = (humantime::format_duration(policy.backoff), humantime::format_duration(policy.max));
        let place = table.node("max").or_else(|| table.node("backoff")).map_or(table.span(), |n| n.span.clone());
        let complaint = Complaint::new(place, format!("`backoff` {backoff} is longer than `max` {max}"));
        table.problem(complaint.hint("`max` is the longest delay: raise it"));
    }
    policy
}

pub(super) fn timezone(block: &mut Block<'_>) -> Option<chrono_tz::Tz> {
    let name = block.string("timezone")?;
    let zone = name.value.parse().ok();
    if zone.is_none() {
        let message = format!("unknown time zone: {}", shown(&name.value));
        let complaint = Complaint::new(name.span, message);
        block.problem(complaint.known(&name.value, chrono_tz::TZ_VARIANTS.iter().map(|z| z.name())));
    }
    zone
}

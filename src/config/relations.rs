//! What only shows when tasks are seen together: names that are not there, two tasks for one file, work that feeds
//! itself, and folders that lie inside each other.
//!
//! Where certainty would need the running system, an overlap is assumed: a task that feeds itself fills a disk
//! overnight, a refused configuration costs a minute.

use super::files::Pattern;
use super::language::Language;
use super::task::Draft;
use crate::model::block::{Complaint, Complaints, Node, Span, Value, shown};
use crate::model::{Task, Template, Trigger, Watch, text};
use std::collections::{BTreeSet, VecDeque};
use std::path::Path;

/// Most watched folders: each is a watch, a scan and a line on the screen.
pub const ROOTS_MAX: usize = 64;

/// Most patterns of all tasks together: each is compared with each, and a check takes a moment at most.
const PATTERNS_MAX: usize = 4096;

/// What the checks need to know of the rest of the file.
pub(super) struct Surroundings<'a> {
    pub(super) base: &'a Path,
    pub(super) path: &'a Path,
    pub(super) data_dir: &'a Path,
    pub(super) ignore: &'a [Pattern],
    /// Every name in `[alerts]`, also of the channels that are wrong.
    pub(super) channels: &'a [&'a str],
    /// Every name in `[tasks]`, also of the tasks that are wrong.
    pub(super) names: &'a [&'a str],
}

pub(super) fn check(around: &Surroundings<'_>, drafts: &[Draft<'_>], sink: &Complaints) {
    let watches: Vec<Seen<'_>> = drafts.iter().enumerate().filter_map(|(i, d)| Seen::new(i, d)).collect();
    channels(around, drafts, sink);
    roots(around, &watches, sink);
    ignored(around, &watches, sink);
    if !comparable(&watches, sink) {
        return;
    }
    shared_names(drafts, &watches, sink);
    let after = after(around, drafts, sink);
    feeding(around, drafts, &watches, &after, sink);
}

/// A watching task, with what each of its patterns takes.
struct Seen<'a> {
    index: usize,
    task: &'a Task,
    watch: &'a Watch,
    dir: &'a Span,
    patterns: Vec<(&'a Span, Language)>,
}

impl<'a> Seen<'a> {
    fn new(index: usize, draft: &'a Draft<'_>) -> Option<Self> {
        let (Trigger::Watch(watch), Some((dir, spans))) = (&draft.task.trigger, &draft.watch) else { return None };
        let language = |p: &String| Language::watched(&watch.dir, p, watch.recursive);
        let patterns = spans.iter().zip(watch.patterns.iter().map(language)).collect();
        Some(Self { index, task: &draft.task, watch, dir, patterns })
    }

    fn takes(&self, files: &Language) -> bool {
        self.patterns.iter().any(|(_, pattern)| pattern.meets(files))
    }
}

/// Channels that a task tells something to.
fn channels(around: &Surroundings<'_>, drafts: &[Draft<'_>], sink: &Complaints) {
    let named = drafts.iter().flat_map(|draft| draft.task.action.channels());
    for channel in named.filter(|channel| !around.channels.contains(&channel.value.as_str())) {
        let complaint =
            Complaint::new(channel.span.clone(), format!("no such alert channel: {}", shown(&channel.value)));
        sink.push(if around.channels.is_empty() {
            complaint.hint(format!("add a section [alerts.{}]", channel.value.escape_default()))
        } else {
            complaint.known(&channel.value, around.channels.iter().copied())
        });
    }
}

fn roots(around: &Surroundings<'_>, watches: &[Seen<'_>], sink: &Complaints) {
    let config = Language::path(around.path);
    let mut roots = BTreeSet::new();
    for seen in watches {
        let dir = &seen.watch.dir;
        let complain = |message: String, hint: &str| sink.push(Complaint::new(seen.dir.clone(), message).hint(hint));
        if dir.starts_with(around.data_dir) {
            complain(
                format!("the watched folder lies in the data folder {}", text::path(around.data_dir)),
                "watch another folder",
            );
        } else if seen.watch.recursive && around.data_dir.starts_with(dir) {
            complain(
                format!("the data folder {} lies in the watched folder", text::path(around.data_dir)),
                "leave out `recursive`, or set `data_dir` to a folder outside",
            );
        }
        if seen.takes(&config) {
            complain(
                "the task would take this configuration file".to_owned(),
                "watch another folder, or match fewer names",
            );
        }
        if roots.insert(dir) && roots.len() == ROOTS_MAX + 1 {
            complain(format!("more than {ROOTS_MAX} watched folders"), "watch a common parent with `recursive = true`");
        }
    }
}

/// Patterns whose every name is ignored. A name that an ignored pattern of stars matches when the stars in it are taken
/// literally is matched whatever they stand for; other patterns are let pass.
fn ignored(around: &Surroundings<'_>, watches: &[Seen<'_>], sink: &Complaints) {
    let stars_alone = |pattern: &str| !pattern.contains(['?', '[', '{', '\\']);
    for seen in watches {
        for (pattern, (span, _)) in seen.watch.patterns.iter().zip(&seen.patterns) {
            let name = name_of(pattern);
            let covers = |i: &&Pattern| stars_alone(&i.text.value) && i.matcher.is_match(name);
            if let Some(ignore) = around.ignore.iter().find(covers).filter(|_| stars_alone(name)) {
                let message = format!("names like {} are ignored by {}", shown(pattern), shown(&ignore.text.value));
                let hint = "take it out of `ignore` in [files], which lists the names of unfinished files";
                sink.push(Complaint::new((*span).clone(), message).hint(hint));
            }
        }
    }
}

/// Whether there are few enough patterns to compare each with each; if not, that is reported.
fn comparable(watches: &[Seen<'_>], sink: &Complaints) -> bool {
    let Some((span, _)) = watches.iter().flat_map(|w| &w.patterns).nth(PATTERNS_MAX) else { return true };
    let message = format!("more than {PATTERNS_MAX} patterns in all tasks together");
    sink.push(Complaint::new((*span).clone(), message).hint("use fewer, wider patterns"));
    false
}

/// Two tasks that can match one file: the priority decides, so it must be distinct. Under two roots nothing decides.
fn shared_names(drafts: &[Draft<'_>], watches: &[Seen<'_>], sink: &Complaints) {
    for (i, later) in watches.iter().enumerate() {
        for earlier in &watches[..i] {
            let same_root = earlier.watch.dir == later.watch.dir;
            if same_root && earlier.task.priority != later.task.priority {
                continue;
            }
            let clash = later.patterns.iter().enumerate().find_map(|(p, (span, mine))| {
                let q = earlier.patterns.iter().position(|(_, theirs)| mine.meets(theirs))?;
                Some((*span, &later.watch.patterns[p], &earlier.watch.patterns[q]))
            });
            let Some((span, mine, theirs)) = clash else { continue };
            let message = format!(
                "one file can match {} and {} of task `{}`",
                shown(mine),
                shown(theirs),
                drafts[earlier.index].task.name
            );
            sink.push(Complaint::new(span.clone(), message).hint(if same_root {
                "give one of the tasks a higher `priority`: it takes the file"
            } else {
                "one folder lies in the other: leave out `recursive`, or match other names"
            }));
        }
    }
}

/// Which tasks each task runs after, by index; reports names that are not there, and circles.
fn after(around: &Surroundings<'_>, drafts: &[Draft<'_>], sink: &Complaints) -> Vec<Vec<usize>> {
    // Edges run from the task waited for to the one that waits.
    let mut next = vec![Vec::new(); drafts.len()];
    for (i, draft) in drafts.iter().enumerate() {
        let Trigger::After(after) = &draft.task.trigger else { continue };
        for (name, span) in after.tasks.iter().zip(&draft.after) {
            match drafts.iter().position(|d| d.task.name == *name) {
                Some(from) => next[from].push(i),
                None if around.names.contains(&&**name) => {}
                None => {
                    let message = format!("no task is called {}", shown(name));
                    sink.push(Complaint::new(span.clone(), message).known(name, around.names.iter().copied()));
                }
            }
        }
    }
    let mut told = BTreeSet::new();
    for (i, draft) in drafts.iter().enumerate() {
        if told.contains(&i) {
            continue;
        }
        let Some(circle) = next[i].iter().filter_map(|&n| route(n, i, &next)).min_by_key(Vec::len) else { continue };
        let span = draft.after.first().unwrap_or(&draft.name).clone();
        let message = format!("`after` runs in a circle: {}", spelled(i, &circle, drafts));
        sink.push(Complaint::new(span, message).hint("one of these tasks needs another trigger"));
        told.extend(circle);
    }
    next
}

/// What a task leaves behind in a folder.
struct Product {
    what: &'static str,
    span: Span,
    files: Language,
}

fn products(around: &Surroundings<'_>, draft: &Draft<'_>) -> Vec<Product> {
    let task = &draft.task;
    let mut all: Vec<Product> = task
        .action
        .outputs()
        .into_iter()
        .map(|output| Product {
            what: "output",
            span: written(&draft.action.node, output).unwrap_or_else(|| draft.action.key_span.clone()),
            files: Language::template(around.base, output, &task.name),
        })
        .collect();
    let names: Vec<&str> = match &task.trigger {
        Trigger::Watch(watch) => watch.patterns.iter().map(|p| name_of(p)).collect(),
        Trigger::Schedule(_) | Trigger::Manual => vec!["*"],
        Trigger::After(_) => Vec::new(),
    };
    for name in names {
        let mut put = |what, span: &Span, folder, name: &str| {
            let files = Language::in_folder(around.base, folder, &task.name, name);
            all.push(Product { what, span: span.clone(), files });
        };
        put("`processed` folder", &draft.processed, &task.processed, name);
        put("`failed` folder", &draft.failed, &task.failed, name);
        put("`failed` folder", &draft.failed, &task.failed, &format!("{name}.error.json"));
    }
    all
}

/// The part of a pattern that the name of a file has to match.
fn name_of(pattern: &str) -> &str {
    match pattern.rsplit_once('/') {
        None => pattern,
        Some((front, _)) if front.contains(['{', '[']) => "*",
        Some((_, name)) => name,
    }
}

/// Where a template stands in an action's table, if it stands there as it is.
fn written(node: &Node, template: &Template) -> Option<Span> {
    match &node.value {
        Value::String(s) if s == template.source() => Some(node.span.clone()),
        Value::Table(entries) => entries.iter().find_map(|e| written(&e.node, template)),
        _ => None,
    }
}

/// Tasks that feed themselves through folders, alone or through others.
fn feeding(
    around: &Surroundings<'_>,
    drafts: &[Draft<'_>],
    watches: &[Seen<'_>],
    after: &[Vec<usize>],
    sink: &Complaints,
) {
    let mut fed = Vec::new();
    let mut next = after.to_vec();
    for (from, draft) in drafts.iter().enumerate() {
        for product in products(around, draft) {
            for seen in watches.iter().filter(|seen| seen.takes(&product.files)) {
                next[from].push(seen.index);
                fed.push((from, seen.index, product.what, product.span.clone()));
            }
        }
    }
    let (mut places, mut circled) = (BTreeSet::new(), BTreeSet::new());
    for (from, to, what, span) in fed {
        if from == to {
            // Several patterns may stumble over one place: told once for each task.
            if places.insert((from, span.start)) {
                let message = format!("task `{}` would take files from its own {what} again", drafts[from].task.name);
                let hint = "name a folder outside the watched one, or match other names";
                sink.push(Complaint::new(span, message).hint(hint));
            }
        } else if !circled.contains(&from)
            && let Some(circle) = route(to, from, &next)
        {
            let message = format!("files go round in a circle: {}", spelled(from, &circle, drafts));
            let hint = "let one of these tasks write to a folder that none of them watches";
            sink.push(Complaint::new(span, message).hint(hint));
            circled.extend(circle);
        }
    }
}

/// The shortest way from one task to another along `next`, both included.
fn route(from: usize, to: usize, next: &[Vec<usize>]) -> Option<Vec<usize>> {
    let mut came = vec![None; next.len()];
    let mut todo = VecDeque::from([from]);
    came[from] = Some(from);
    while let Some(at) = todo.pop_front() {
        if at == to {
            let mut way = vec![at];
            while let Some(before) = came[way[way.len() - 1]].filter(|b| *b != way[way.len() - 1]) {
                way.push(before);
            }
            way.reverse();
            return Some(way);
        }
        for &n in &next[at] {
            if came[n].is_none() {
                came[n] = Some(at);
                todo.push_back(n);
            }
        }
    }
    None
}

fn spelled(from: usize, circle: &[usize], drafts: &[Draft<'_>]) -> String {
    let names: Vec<&str> = std::iter::once(from).chain(circle.iter().copied()).map(|i| &*drafts[i].task.name).collect();
    names.join(" -> ")
}

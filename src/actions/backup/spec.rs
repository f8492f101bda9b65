//! The table of a `backup`, read and checked.

use super::super::keys::optional;
use super::fill::DATABASE;
use super::manifest::Form;
use super::retain::Keep;
use super::walk::{Exclude, Root};
use crate::model::block::{Complaint, Spanned, Value, absolute, shown};
use crate::model::{Block, OnExists};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Longest time that copies can be kept by their age.
const KEEP_MAX: Duration = Duration::from_secs(100 * 366 * 24 * 3600);
/// The level of zstd unless the configuration says otherwise.
const LEVEL: i32 = 3;

/// What is copied, where to, and how long copies are kept.
#[derive(Clone, Debug)]
pub struct Spec {
    /// What goes into a copy.
    pub roots: Vec<Root>,
    /// What is left out of it.
    pub exclude: Exclude,
    /// The folder of the copies.
    pub dir: PathBuf,
    /// What a copy is.
    pub form: Form,
    /// Whether contents that earlier archives hold are stored again.
    pub incremental: bool,
    /// Whether the supervisor's own database goes along.
    pub database: bool,
    /// Level of zstd.
    pub level: i32,
    /// Which copies are kept; none: all.
    pub keep: Option<Keep>,
    /// Whether a copy is read back before it counts.
    pub verify: bool,
    /// Whether each run restores a copy on trial.
    pub test_restore: bool,
    /// Whether a file that cannot be read is left out instead of failing the copy.
    pub skip_unreadable: bool,
    /// What becomes of a copy whose name is taken.
    pub on_exists: OnExists,
}

impl Spec {
    /// Reads the table. `None`: the problems were reported.
    pub fn read(block: &mut Block<'_>) -> Option<Self> {
        let has_dir = block.require("dir");
        let dir = optional(block, "dir", |b, key| b.path(key).map(|p| p.value));
        let database = optional(block, "database", |b, key| b.boolean(key));
        let wants_database = database.flatten().unwrap_or(false);
        let roots = optional(block, "paths", |b, key| roots(b, key, wants_database));
        if !block.has("paths") && !wants_database {
            let complaint = Complaint::new(block.span(), format!("missing key `paths` in {}", block.name()));
            block.problem(complaint.hint(r#"write paths = ["processed"], or database = true for the database alone"#));
        }
        let exclude = optional(block, "exclude", exclude);
        let forms = [("tar.zst", Form::Archive), ("tree", Form::Tree)];
        let form = optional(block, "form", |b, key| b.choice(key, &forms));
        let is_tree = form.flatten() == Some(Form::Tree);
        let incremental = optional(block, "incremental", |b, key| b.boolean(key));
        let level = optional(block, "level", |b, key| b.integer(key, 1..=19));
        let keep = optional(block, "keep", keep);
        let verify = optional(block, "verify", |b, key| b.boolean(key));
        let test_restore = optional(block, "test_restore", |b, key| b.boolean(key));
        let unreadable = [("fail", false), ("skip", true)];
        let skip_unreadable = optional(block, "on_unreadable", |b, key| b.choice(key, &unreadable));
        let words = [("suffix", OnExists::Suffix), ("fail", OnExists::Fail)];
        let on_exists = optional(block, "on_exists", |b, key| b.choice(key, &words));
        let mut fits = true;
        if let (Some(Some(roots)), Some(Some(dir))) = (&roots, &dir)
            && let Some(own) = roots.iter().find(|root| root.path.starts_with(dir))
        {
            let span = block.node("paths").map_or(block.span(), |node| node.span.clone());
            let message = format!("the copies themselves lie there: {}", crate::model::text::path(&own.path));
            block.problem(Complaint::new(span, message).hint("copy another folder, or set `dir` to one outside"));
            fits = false;
        }
        let mut refuse = |block: &mut Block<'_>, key: &str, message: &str, hint: &str| {
            if let Some(entry) = block.entry(key) {
                block.problem(Complaint::new(entry.key_span.clone(), message).hint(hint));
            }
            fits = false;
        };
        if is_tree && incremental.flatten() == Some(true) {
            refuse(block, "incremental", "a tree is never incremental", r#"use form = "tar.zst", or remove it"#);
        }
        if is_tree && level.flatten().is_some() {
            refuse(block, "level", "a tree is not packed", r#"use form = "tar.zst", or remove it"#);
        }
        if verify.flatten() == Some(false) && block.has("keep") {
            let message = "`keep` needs copies that are read back: without that no old copy would ever go";
            refuse(block, "keep", message, "remove verify = false");
        }
        Some(Self {
            roots: roots?.unwrap_or_default(),
            exclude: exclude?.or_else(|| Exclude::new(std::iter::empty()).ok())?,
            dir: dir?.filter(|_| has_dir)?,
            form: form?.unwrap_or(Form::Archive),
            incremental: incremental?.unwrap_or(false),
            database: database?.unwrap_or(false),
            level: level?.and_then(|n| i32::try_from(n).ok()).unwrap_or(LEVEL),
            keep: keep?,
            verify: verify?.unwrap_or(true),
            test_restore: test_restore?.unwrap_or(false),
            skip_unreadable: skip_unreadable?.unwrap_or(false),
            on_exists: on_exists?.unwrap_or_default(),
        })
        .filter(|spec| fits && (spec.database || !spec.roots.is_empty()))
    }
}

/// Files and folders, each with its name in a copy: relative to the configuration's folder, or the whole path without
/// its first `/`.
fn roots(block: &mut Block<'_>, key: &str, has_database: bool) -> Option<Vec<Root>> {
    let texts = block.strings(key)?;
    let mut made: Vec<(Root, Spanned<String>)> = Vec::new();
    let mut is_good = true;
    let mut bad = |block: &Block<'_>, complaint: Complaint| {
        block.problem(complaint);
        is_good = false;
    };
    if texts.is_empty() && !has_database {
        let span = block.node(key).map_or(0..0, |node| node.span.clone());
        bad(block, Complaint::new(span, format!("`{key}` is empty: there is nothing to copy")));
    }
    for text in texts {
        if text.value.is_empty() || text.value.contains('\0') {
            bad(block, Complaint::new(text.span.clone(), format!("this is not a path: {}", shown(&text.value))));
            continue;
        }
        let path = absolute(block.base(), Path::new(&text.value));
        let name = path.strip_prefix(block.base()).or_else(|_| path.strip_prefix("/")).unwrap_or(&path);
        let root = Root { name: name.as_os_str().as_bytes().to_vec(), path };
        let holds =
            |a: &[u8], b: &[u8]| a.is_empty() || a == b || b.strip_prefix(a).is_some_and(|b| b.starts_with(b"/"));
        if let Some((other, _)) = made.iter().find(|(o, _)| holds(&o.name, &root.name) || holds(&root.name, &o.name)) {
            let other = shown(&String::from_utf8_lossy(&other.name));
            let message = format!("one path holds the other in a copy: {} and {other}", shown(&text.value));
            bad(block, Complaint::new(text.span.clone(), message));
            continue;
        }
        if has_database && root.name == DATABASE.as_bytes() {
            let message = format!("{} is the name of the supervisor's own database in a copy", shown(DATABASE));
            bad(block, Complaint::new(text.span.clone(), message));
            continue;
        }
        made.push((root, text));
    }
    is_good.then(|| made.into_iter().map(|(root, _)| root).collect())
}

fn exclude(block: &mut Block<'_>, key: &str) -> Option<Exclude> {
    let texts = block.strings(key)?;
    match Exclude::new(texts.iter().map(|text| text.value.as_str())) {
        Ok(exclude) => Some(exclude),
        Err((n, why)) => {
            let text = texts.get(n)?;
            let message = format!("{} is not a pattern: {why}", shown(&text.value));
            let complaint = Complaint::new(text.span.clone(), message);
            block.problem(complaint.hint(r#"write for example "*.tmp" or "**/cache/**""#));
            None
        }
    }
}

/// `keep = "7d"` or a table.
fn keep(block: &mut Block<'_>, key: &str) -> Option<Keep> {
    let node = block.node(key)?;
    if !matches!(node.value, Value::Table(_)) {
        let within = block.duration(key, Duration::ZERO..=KEEP_MAX)?;
        return Some(Keep { within: Some(within), min: 1, ..Keep::default() });
    }
    let mut table = block.table(key)?;
    if table.entries().is_empty() {
        let complaint = Complaint::new(table.span(), "`keep` is empty: only the newest copy would stay");
        table.problem(complaint.hint("write keep = { days = 7, weekly = 4 }, or remove it: then every copy stays"));
        return None;
    }
    let mut number = |key| optional(&mut table, key, |t, key| t.integer(key, 0..=36_600));
    let (days, daily, weekly, monthly, min) =
        (number("days"), number("daily"), number("weekly"), number("monthly"), number("min"));
    let count = |n: Option<i64>| n.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    let days = days?.and_then(|n| u32::try_from(n).ok());
    Some(Keep {
        within: days.map(|n| DAY * n),
        daily: count(daily?),
        weekly: count(weekly?),
        monthly: count(monthly?),
        min: count(min?).max(1),
    })
}

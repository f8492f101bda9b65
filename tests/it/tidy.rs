//! The rules of the house, read from the text of the sources: who may import whom, who may start threads and
//! programs, who knows SQL and the terminal, and whether the documents still tell the truth.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Longest source file, in lines.
const LINES_MAX: usize = 500;
/// Longest map of the code, in lines.
const MAP_MAX: usize = 250;

/// Who may import whom: a module of the crate and what it sees beside itself. `a::b` allows that part of `a` alone.
const IMPORTS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("error", &["model"]),
    ("clock", &["model"]),
    ("trust", &[]),
    ("kernel", &["model"]),
    ("config", &["model", "error"]),
    ("alerts", &["model", "error", "clock", "trust"]),
    ("store", &["model", "error", "clock"]),
    ("files", &["model", "error", "clock"]),
    ("actions", &["model", "error", "clock", "trust"]),
    ("triggers", &["model", "error", "clock", "files"]),
    ("control", &["model", "error", "clock"]),
    ("telemetry", &["model", "error", "clock"]),
    (
        "runtime",
        &[
            "model",
            "error",
            "clock",
            "kernel",
            "alerts",
            "store",
            "files",
            "actions",
            "triggers",
            "control",
            "telemetry",
            "config",
        ],
    ),
    ("cli", &["model", "error", "clock", "config", "control::wire", "control::client"]),
    ("tui", &["model", "error", "clock", "control::wire", "control::client"]),
    // The composition root sees everything.
    ("modes", &["*"]),
    ("main", &["*"]),
    ("lib", &["*"]),
];

/// Words that only some files may hold, and why.
const KEPT: &[(&[&str], &[&str], &str)] = &[
    (
        &["tokio::spawn", "thread::Builder", "thread::spawn", "Command::new(", "spawn_blocking"],
        &["src/runtime/spawn.rs", "src/runtime/spawn/", "src/store/writer.rs", "src/tui/tty.rs"],
        "tasks, threads and programs are started where a stop can wait for them",
    ),
    (&["rusqlite"], &["src/store/"], "only the store knows SQL"),
    (&["ratatui", "crossterm", "tui_logger", "tui_input"], &["src/tui/"], "only the dashboard knows the terminal"),
    (&["unsafe "], &["src/files/lease.rs"], "one module is reviewed for unsafe code"),
    (&["unbounded"], &[], "every queue has a bound"),
    (&["std::process::exit", "process::abort"], &[], "only the end of main ends the process"),
    (&["todo!(", "unimplemented!(", "TODO", "FIXME", "XXX"], &[], "what is there is finished"),
];

/// Texts that no tracked file may hold: each is about one machine or one day, not about the program.
const FOREIGN: &[(&str, &str)] = &[
    ("/ho", "me/"),
    ("/ro", "ot/"),
    ("/Us", "ers/"),
    ("/work/", "shared"),
    ("/tmp/", "wt-"),
    ("index.", "crates.io"),
    ("static.", "crates.io"),
    ("iss", "ue #"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of the project below `dir`, relative to its root, without what builds leave.
fn files(dir: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![root().join(dir)];
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(&dir).unwrap().map(Result::unwrap) {
            let name = entry.file_name();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() && name != "target" && name != ".git" {
                left.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path().strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The sources of the program, with their text.
fn sources() -> Vec<(PathBuf, String)> {
    let rust = files("src").into_iter().filter(|p| p.extension().is_some_and(|e| e == "rs"));
    rust.map(|p| (p.clone(), std::fs::read_to_string(root().join(&p)).unwrap())).collect()
}

/// The text without comments.
fn code(text: &str) -> String {
    text.lines().map(|l| if l.trim_start().starts_with("//") { "\n" } else { l }).collect::<Vec<_>>().join("\n")
}

/// The text without comments and without the unit tests at its end.
fn shipped(path: &Path, text: &str) -> String {
    let is_test = path.components().any(|c| c.as_os_str() == "tests")
        || path.file_stem().is_some_and(|s| s.to_string_lossy().ends_with("tests"))
        || ["src/model/sample.rs", "src/actions/testing.rs"].iter().any(|p| path == Path::new(p));
    if is_test {
        return String::new();
    }
    code(text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default())
}

/// The module of the crate that a file belongs to.
fn module(path: &Path) -> String {
    let first = path.components().nth(1).unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// What follows every `crate::`: up to two segments, with groups taken apart.
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        if !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            paths(&code[at + "crate::".len()..], "", &mut found);
        }
    }
    found
}

fn paths(text: &str, before: &str, found: &mut BTreeSet<String>) {
    let text = text.trim_start();
    if let Some(group) = text.strip_prefix('{') {
        let mut depth = 1;
        let mut start = 0;
        for (i, c) in group.char_indices() {
            depth += match c {
                '{' => 1,
                '}' => -1,
                _ => 0,
            };
            if depth == 0 || (depth == 1 && c == ',') {
                if !group[start..i].trim().is_empty() {
                    paths(&group[start..i], before, found);
                }
                start = i + 1;
            }
            if depth == 0 {
                return;
            }
        }
        return;
    }
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    match rest.strip_prefix("::") {
        Some(rest) if before.is_empty() => paths(rest, name, found),
        _ if before.is_empty() => drop(found.insert(name.to_owned())),
        _ => drop(found.insert(format!("{before}::{name}"))),
    }
}

#[test]
fn imports_are_taken_apart() {
    let found = imports("use crate::{cli, a::{b::c, d}};\nuse crate::control::client::{X, Y}; mycrate::no");
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["a::b", "a::d", "cli", "control::client"]);
}

#[test]
fn each_module_sees_only_what_it_may() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let own = module(&path);
        let Some((_, seen)) = IMPORTS.iter().find(|(m, _)| *m == own) else {
            wrong.push(format!("{}: {own} has no line in IMPORTS", path.display()));
            continue;
        };
        let allowed = |import: &str| {
            let first = import.split("::").next().unwrap_or(import);
            first == own
                || seen.contains(&"*")
                || seen.contains(&first)
                || seen.contains(&import)
                // The registry of kinds, which a configuration is read with.
                || (own == "config" && import == "actions::KINDS")
        };
        let code = shipped(&path, &text);
        let bad = imports(&code).into_iter().filter(|i| !allowed(i));
        wrong.extend(bad.map(|i| format!("{} must not import {i}", path.display())));
        // A chain of `super` that leaves the module would go around the rule.
        let depth = path.components().count() - if path.ends_with("mod.rs") { 2 } else { 1 };
        if code.contains(&"super::".repeat(depth)) && own != "main" && own != "lib" {
            wrong.push(format!("{} leaves its module by `super`", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn some_things_are_known_in_one_place() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let code = shipped(&path, &text);
        for (words, places, why) in KEPT {
            if places.iter().any(|p| path.to_string_lossy().starts_with(p)) {
                continue;
            }
            for (n, line) in code.lines().enumerate() {
                for word in words.iter().filter(|w| line.contains(**w)) {
                    wrong.push(format!("{}:{}: {word}: {why}", path.display(), n + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_are_short_and_say_what_they_are() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let lines = text.lines().count();
        if lines > LINES_MAX {
            wrong.push(format!("{}: {lines} lines, at most {LINES_MAX}", path.display()));
        }
        let is_tests = path.components().any(|c| c.as_os_str() == "tests");
        if !(text.starts_with("//! ") || is_tests && path.ends_with("mod.rs")) {
            wrong.push(format!("{} does not open with what it is", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_map_is_true() {
    let map = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    assert!(map.lines().count() <= MAP_MAX, "a map of {} lines is no map", map.lines().count());
    let mut wrong = Vec::new();
    for word in map.split('`').skip(1).step_by(2) {
        let word = word.trim_end_matches('/');
        let is_path = ["src/", "tests/", "benches/", ".ci/"].iter().any(|p| word.starts_with(p));
        if is_path && !word.contains([' ', '<', '*']) && !root().join(word).exists() {
            wrong.push(format!("ARCHITECTURE.md names {word}, which is not there"));
        }
    }
    let modules: BTreeSet<String> = files("src").iter().map(|p| module(p)).collect();
    for module in modules {
        let named = [format!("`src/{module}/`"), format!("`src/{module}.rs`"), format!("`src/{module}`")];
        if !named.iter().any(|n| map.contains(n.as_str())) {
            wrong.push(format!("ARCHITECTURE.md does not name src/{module}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The value of a constant in a source, as it is written.
fn constant(name: &str, sources: &[(PathBuf, String)]) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for (path, text) in sources {
        for line in code(text).lines() {
            let Some((head, value)) = line.split_once(" = ") else { continue };
            if head.contains(&format!("const {name}:")) {
                found.insert(path.clone(), value.trim_end_matches(';').to_owned());
            }
        }
    }
    found
}

#[test]
fn the_bounds_that_are_told_are_the_bounds_in_the_code() {
    let table = std::fs::read_to_string(root().join("docs/bounds.md")).unwrap();
    let sources = sources();
    let mut rows = 0;
    for line in table.lines().filter(|l| l.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(|c| c.trim().trim_matches('`')).collect();
        let [name, place, value, ..] = cells.as_slice() else { continue };
        if !name.chars().all(|c| c.is_ascii_uppercase() || c == '_') {
            continue;
        }
        rows += 1;
        let found = constant(name, &sources);
        assert_eq!(found.get(Path::new(place)).map(String::as_str), Some(*value), "{name} in {place}: {found:?}");
    }
    assert!(rows >= 10, "the table of bounds has {rows} rows");
}

#[test]
fn nothing_is_about_one_machine() {
    let mut wrong = Vec::new();
    for path in files(".") {
        if path == Path::new("Cargo.lock") {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(root().join(&path)) else { continue };
        for (n, line) in text.lines().enumerate() {
            for (a, b) in FOREIGN {
                let word = format!("{a}{b}");
                let starts = |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
                if line.match_indices(&word).any(|(at, _)| starts(at)) {
                    wrong.push(format!("{}:{}: {word}", path.display(), n + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_change_log_knows_this_version() {
    let log = std::fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    let heading = format!("## [{}]", env!("CARGO_PKG_VERSION"));
    let entry = log.split(&heading).nth(1).unwrap_or_else(|| panic!("CHANGELOG.md has no {heading}"));
    let entry = entry.split("\n## ").next().unwrap();
    assert!(entry.lines().any(|l| l.starts_with("- ")), "{heading} says nothing");
}

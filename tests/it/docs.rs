//! The README says what is true: every key, command, setting and exit code that exists stands in it, and no other key.

use clap::CommandFactory;
use shiftboss::actions::KINDS;
use shiftboss::cli::Args;
use shiftboss::tui::action::TABLE;
use shiftboss::tui::keymap::shown;
use std::collections::BTreeSet;
use std::path::Path;

const README: &str = include_str!("../../README.md");
const EXAMPLE: &str = include_str!("../../config.toml.example");

/// The section of the README with this heading.
#[track_caller]
fn section(heading: &str) -> &'static str {
    let (_, rest) = README.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no section {heading}"));
    rest.split("\n## ").next().unwrap()
}

#[test]
fn every_key_of_the_dashboard_is_in_the_readme() {
    let rows: Vec<String> = TABLE
        .iter()
        .map(|s| {
            let keys: Vec<String> = s.keys.iter().map(|k| format!("`{}`", shown(k))).collect();
            format!("| {} | {} | {} |", keys.join(" "), s.name, s.doc.replace('|', "\\|"))
        })
        .collect();
    let table = format!("| key | name | what it does |\n| --- | --- | --- |\n{}\n", rows.join("\n"));
    assert!(section("Keys").contains(&table), "the table of keys should be:\n\n{table}");
}

#[test]
fn every_command_is_in_the_readme() {
    let commands = section("Commands");
    for command in Args::command().get_subcommands() {
        let name = format!("`shiftboss {}`", command.get_name());
        assert!(commands.contains(&name), "{name} is not in the table of commands");
    }
    for code in ["0", "1", "2", "69", "70", "78"] {
        assert!(commands.contains(&format!("\n| {code} | ")), "exit code {code} is not explained");
    }
}

/// Every setting, as the checker itself names them where one is misspelt.
fn settings() -> BTreeSet<String> {
    const WRONG: &str = r#"
        [supervisor]
        zzz = 1
        [control]
        zzz = 1
        [files]
        zzz = 1
        [retention]
        zzz = 1
        [log]
        zzz = 1
        [tasks.a]
        zzz = 1
        watch = { dir = "in", match = ["*"], zzz = 1 }
        extract = { zzz = 1 }
        retry = { zzz = 1 }
        [tasks.b]
        after = { tasks = ["a"], zzz = 1 }
        command = { program = "x", zzz = 1, exit = { zzz = 1 } }
        [tasks.c]
        manual = true
        report = { zzz = 1 }
    "#;
    let problems = shiftboss::config::parse(Path::new("/srv/config.toml"), WRONG, KINDS).unwrap_err();
    let hints = problems.list.iter().filter_map(|p| p.hint.as_ref()?.strip_prefix("known here: "));
    hints.flat_map(|list| list.split(", ")).map(str::to_owned).collect()
}

#[test]
fn every_setting_is_in_the_readme_and_in_the_example() {
    let settings = settings();
    assert!(settings.len() > 40, "{settings:?}");
    let reference = section("Configuration");
    for name in &settings {
        let is_word = |text: &str| {
            text.match_indices(name.as_str()).any(|(at, _)| {
                let around = [text[..at].chars().next_back(), text[at + name.len()..].chars().next()];
                !around.into_iter().flatten().any(|c| c.is_ascii_alphanumeric() || c == '_')
            })
        };
        assert!(is_word(reference), "{name} is not in the README");
        assert!(is_word(EXAMPLE), "{name} is not in config.toml.example");
    }
}

#[test]
fn everything_that_the_readme_points_at_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (_, rest) in README.match_indices("](").map(|(at, _)| README.split_at(at + 2)) {
        let target = rest.split(')').next().unwrap();
        match target.strip_prefix('#') {
            Some(anchor) => {
                let heading =
                    README.lines().any(|l| l.trim_start_matches('#').trim().to_lowercase().replace(' ', "-") == anchor);
                assert!(heading, "no heading for #{anchor}");
            }
            None if target.starts_with("https://") => {}
            None => assert!(root.join(target).exists(), "{target} is not there"),
        }
    }
}

#[test]
fn every_function_of_a_statement_is_documented_as_it_is() {
    use shiftboss::actions::transform::sql::functions::FUNCTIONS;
    let document = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sql.md")).unwrap();
    let rows: Vec<_> = document.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(rows.len(), FUNCTIONS.len(), "one row a function");
    for (row, function) in rows.iter().zip(FUNCTIONS) {
        let start = format!("| `{}` | {}", function.usage.replace('|', "\\|"), function.summary.replace('|', "\\|"));
        assert!(row.starts_with(&start), "{row}\nshould start with\n{start}");
        for alias in function.aliases.iter().filter(|alias| !function.usage.starts_with(**alias)) {
            assert!(row.contains(&format!("`{alias}`")), "{alias} is missing: {row}");
        }
    }
}

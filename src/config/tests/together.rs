//! What only shows when tasks are seen together.

use super::*;

/// Two tasks that watch, with the tables of their triggers and their outputs.
fn two(a: &str, out_a: &str, b: &str, out_b: &str) -> String {
    format!(
        "[tasks.a]\nwatch = {{ {a} }}\nextract = {{ output = \"{out_a}\" }}\n[tasks.b]\nwatch = {{ {b} }}\nextract = {{ output = \"{out_b}\" }}\n"
    )
}

#[test]
fn two_tasks_for_one_file_need_distinct_priorities() {
    let csv = "dir = \"in\", match = [\"*.txt\", \"*.csv\"]";
    let orders = "dir = \"./x/../in\", match = [\"orders-*\"]";
    let clash = two(csv, "o/{name}", orders, "p/{name}");
    assert_eq!(
        problems(&clash),
        [
            "5:39 one file can match \"orders-*\" and \"*.txt\" of task `a` | give one of the tasks a higher `priority`: it takes the file"
        ]
    );
    good(&format!("{clash}priority = 1\n"));
    good(&two(csv, "o/{name}", "dir = \"in\", match = [\"*.json\"]", "p/{name}"));
    good(&two(csv, "o/{name}", "dir = \"in/sub\", match = [\"*.csv\"]", "p/{name}"));
    let nested = two(
        "dir = \"in\", match = [\"*.csv\"], recursive = true",
        "o/{name}",
        "dir = \"in/sub\", match = [\"*\"]",
        "p/{name}",
    );
    assert_eq!(
        problems(&format!("{nested}priority = 1\n")),
        [
            "5:36 one file can match \"*\" and \"*.csv\" of task `a` | one folder lies in the other: leave out `recursive`, or match other names"
        ]
    );
}

#[test]
fn a_task_that_feeds_itself_is_refused() {
    let one = |watch: &str, output: &str, more: &str| {
        format!("[tasks.a]\nwatch = {{ dir = \"in\", {watch} }}\nextract = {{ output = \"{output}\" }}\n{more}\n")
    };
    let hint = "name a folder outside the watched one, or match other names";
    assert_eq!(
        problems(&one("match = [\"*\"]", "in/{stem}.json", "")),
        [format!("3:22 task `a` would take files from its own output again | {hint}")]
    );
    assert_eq!(
        problems(&one("match = [\"*.csv\"]", "o/{n}", "processed = \"in\"\nfailed = \"/srv/in/.\"")),
        [
            format!("4:13 task `a` would take files from its own `processed` folder again | {hint}"),
            format!("5:10 task `a` would take files from its own `failed` folder again | {hint}"),
        ]
    );
    assert_eq!(
        problems(&one("match = [\"*.csv\"], recursive = true", "o/{n}", "processed = \"in/done/{task}\"")),
        [format!("4:13 task `a` would take files from its own `processed` folder again | {hint}")]
    );
    // The folder is the same and no name can come back.
    good(&one("match = [\"*.csv\"]", "in/{stem}.json", ""));
    good(&one("match = [\"*.csv\"]", "o/{n}", "processed = \"in/done\""));
}

#[test]
fn defaults_that_feed_a_task_point_at_the_task() {
    let source = "[tasks.a]\nwatch = { dir = \".\", match = [\"*.csv\"], recursive = true }\nextract = {}\n[supervisor]\ndata_dir = \"/var/x\"\n";
    let found = problems(source);
    assert!(found.iter().all(|p| p.starts_with("1:8 task `a` would take files from its own `")), "{found:?}");
    assert_eq!(found.len(), 1, "one place, one problem: {found:?}");
}

#[test]
fn files_that_go_round_through_several_tasks_are_refused() {
    let source = two("dir = \"x\", match = [\"*\"]", "y/{name}", "dir = \"y\", match = [\"*.csv\"]", "x/{stem}.csv");
    assert_eq!(
        problems(&source),
        [
            "3:22 files go round in a circle: a -> b -> a | let one of these tasks write to a folder that none of them watches"
        ]
    );
    // A chain is no circle.
    good(&two("dir = \"x\", match = [\"*\"]", "y/{name}", "dir = \"y\", match = [\"*.csv\"]", "z/{stem}.csv"));
    good(&two("dir = \"x\", match = [\"*.csv\"]", "y/{name}", "dir = \"y\", match = [\"*\"]", "x/{stem}.json"));
    // Through a task that runs after another.
    let through = "[tasks.a]\nwatch = { dir = \"x\", match = [\"*\"] }\nextract = { output = \"y/{name}\" }\n[tasks.b]\nafter = \"a\"\nextract = { output = \"x/new\" }\n";
    assert_eq!(
        problems(through),
        [
            "6:22 files go round in a circle: b -> a -> b | let one of these tasks write to a folder that none of them watches"
        ]
    );
}

#[test]
fn circles_of_after_are_told_once() {
    let source = "[tasks.a]\nafter = \"c\"\nextract = {}\n[tasks.b]\nafter = \"a\"\nextract = {}\n[tasks.c]\nafter = { tasks = [\"b\", \"b\"] }\nextract = {}\n";
    assert_eq!(
        problems(source),
        [
            "2:9 `after` runs in a circle: a -> b -> c -> a | one of these tasks needs another trigger",
            "8:25 named twice: \"b\"",
        ]
    );
}

#[test]
fn a_wrong_task_is_still_a_task_that_others_may_name() {
    let source =
        "[tasks.a]\nmanual = true\nextract = { x = 1 }\nconcurrency = 0\n[tasks.b]\nafter = \"a\"\nextract = {}\n";
    assert_eq!(problems(source).len(), 2, "{:?}", problems(source));
}

#[test]
fn folders_that_lie_in_the_data_folder_are_refused() {
    let watch = |dir: &str, more: &str| {
        format!("[tasks.a]\nwatch = {{ dir = \"{dir}\", match = [\"*.t*\"]{more} }}\nextract = {{}}\n")
    };
    let inside = "2:17 the watched folder lies in the data folder /srv/data | watch another folder";
    assert_eq!(problems(&watch("data", "")), [inside]);
    assert_eq!(problems(&watch("data/in", "")), [inside]);
    let found = problems(&watch("/srv", ", recursive = true"));
    assert!(found.contains(&"2:17 the data folder /srv/data lies in the watched folder | leave out `recursive`, or set `data_dir` to a folder outside".to_owned()), "{found:?}");
    assert_eq!(
        problems(&watch(".", "")),
        ["2:17 the task would take this configuration file | watch another folder, or match fewer names"]
    );
}

#[test]
fn the_number_of_watched_folders_is_bounded() {
    let tasks = |n: usize| -> String {
        (0..n)
            .map(|i| format!("[tasks.t{i}]\nwatch = {{ dir = \"in{i}\", match = [\"*\"] }}\nextract = {{}}\n"))
            .collect()
    };
    good(&tasks(ROOTS_MAX));
    assert_eq!(
        problems(&tasks(ROOTS_MAX + 1)),
        ["194:17 more than 64 watched folders | watch a common parent with `recursive = true`"]
    );
}

#[test]
fn a_pattern_that_only_matches_ignored_names_is_refused() {
    let watch = |p: &str| format!("[tasks.a]\nwatch = {{ dir = \"in\", match = [\"{p}\"] }}\nextract = {{}}\n");
    let hint = "take it out of `ignore` in [files], which lists the names of unfinished files";
    assert_eq!(
        problems(&watch("*.csv.part")),
        [format!("2:32 names like \"*.csv.part\" are ignored by \"*.part\" | {hint}")]
    );
    assert_eq!(problems(&watch(".env")).len(), 1);
    good(&watch("*"));
    good(&watch("*.part*"));
    good(&format!("[files]\nignore = []\n{}", watch(".env")));
}

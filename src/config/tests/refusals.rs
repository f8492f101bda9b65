//! What is wrong with one setting or one task: where, and with which hint.

use super::*;

#[test]
fn a_problem_is_rendered_with_its_line_and_its_hint() {
    let text = read("[tasks.orders]\nwatch = { dir = \"inbox\", match = [\"*.csv\"], setle = \"2s\" }\nextract = {}\n")
        .unwrap_err()
        .render(false);
    assert_eq!(
        text,
        "error: unknown key: setle\n \
         --> /srv/config.toml:2:45\n  \
           |\n\
         2 | watch = { dir = \"inbox\", match = [\"*.csv\"], setle = \"2s\" }\n  \
           |                                             ^^^^^\n  \
           |\n\
         help: did you mean `settle`?\n\n\
         1 problem in /srv/config.toml"
    );
}

#[test]
fn every_problem_of_a_file_is_reported_at_once_and_in_order() {
    let source = "\
[supervisor]
worker = 4
drain = 25

[files]
processed = \"processed/{tsk}\"

[tasks.orders]
watch = { dir = \"inbox\", match = [\"orders-[.csv\"], settle = \"2 apples\" }
extract = { output = \"out/{input}.json\" }
retry = { attempts = 0, factor = 0.5 }

[tasks.\"a b\"]
manual = true
after = \"ordrs\"

[alert]
";
    assert_eq!(
        problems(source),
        [
            "2:1 unknown key: worker | did you mean `workers`?",
            "3:9 `drain` must be a duration, not an integer | write \"25s\"",
            "6:24 unknown placeholder {tsk} | did you mean `task`?",
            "9:35 unclosed character class; missing ']': \"orders-[.csv\" | * ? [abc] [!a-z] {a,b} are special; \\ takes that away",
            "9:61 `settle` is not a duration: \"2 apples\" | write a number and a unit: \"2s\", \"10m\", \"1h 30m\", \"7d\"",
            "10:27 `output` cannot use {input} | it can use {name} {stem} {ext} {type} {task} {date} {run} {job} {n} {host}",
            "11:22 `attempts` must be between 1 and 100: 0",
            "11:34 `factor` must be between 1 and 100: 0.5",
            "13:1 `tasks.a b` has no action | give it `extract` or `command`",
            "13:8 a task cannot be called \"a b\" | 1 to 64 letters, digits, - and _",
            "15:1 a second trigger beside `manual`: after | one trigger a task: make two tasks of it",
            "17:2 unknown key: alert | did you mean `alerts`?",
        ]
    );
}

#[test]
fn wrong_settings_are_refused_each_with_a_hint() {
    let table: &[(&str, &str)] = &[
        (
            "[supervisor]\nworkers = \"many\"",
            "2:11 `workers` must be a number or \"auto\" | \"auto\" is one for each core",
        ),
        ("[supervisor]\nmemory = \"1MiB\"", "2:10 `memory` must be between 64MiB and 1024TiB: 1MiB"),
        ("[supervisor]\nworkers = 0", "2:11 `workers` must be between 1 and 1024: 0"),
        (
            "[supervisor]\nmanaged = \"sytemd\"",
            "2:11 `managed` must be \"systemd\", not \"sytemd\" | did you mean `systemd`?",
        ),
        ("[supervisor]\ndata_dir = \"\"", "2:12 `data_dir` is not a path: \"\""),
        ("[supervisor]\ninput_roots = [\"a\", 1]", "2:21 `input_roots` must be a list of strings, not an integer"),
        (
            "[control]\ngroup = \"ops staff\"",
            "2:9 not the name of a group: \"ops staff\" | see `getent group` for the groups of this host",
        ),
        (
            "[files]\nunmatched = \"delete\"",
            "2:13 `unmatched` must be \"list\" or \"fail\", not \"delete\" | known here: list, fail",
        ),
        (
            "[files]\nprocessed = \"p/{run}\"",
            "2:16 `processed` cannot use {run} | it can use {name} {stem} {ext} {type} {task} {date}",
        ),
        (
            "[log]\nsegment = \"8M\"",
            "2:11 `segment` is not a size: \"8M\" | write a number and a unit: \"512B\", \"4KiB\", \"10MB\", \"2GiB\"",
        ),
        ("[log]\nsegment = 8", "2:11 `segment` must be a size, not an integer | write \"8B\""),
        ("[log]\nsegment = \"1KiB\"", "2:11 `segment` must be between 64KiB and 1GiB: 1KiB"),
        (
            "[log]\nlevel = \"trace\"",
            "2:9 `level` must be \"error\" or \"warn\" or \"info\" or \"debug\", not \"trace\" | known here: error, warn, info, debug",
        ),
        ("[retention]\nsucceeded = { age = \"30d\", cuont = 5 }", "2:28 unknown key: cuont | did you mean `count`?"),
        ("[retention]\nfailed = { age = \"1s\" }", "2:18 `age` must be between 1h and 100years: 1s"),
        ("supervisor = 1", "1:14 `supervisor` must be a table, not an integer"),
        (
            "[tasks.a]",
            "1:1 `tasks.a` has no action | give it `extract` or `command`\n1:1 `tasks.a` has no trigger | give it `watch`, `schedule`, `after` or `manual`",
        ),
        ("[tasks]\na = 1", "2:5 `tasks.a` must be a table, not an integer"),
    ];
    for (source, wanted) in table {
        let mut found = problems(source);
        found.sort();
        assert_eq!(found.join("\n"), *wanted, "{source}");
    }
}

#[test]
fn wrong_policies_are_refused_each_with_a_hint() {
    let table: &[(&str, &str)] = &[
        ("concurrency = 0", "4:15 `concurrency` must be between 1 and 1024: 0"),
        ("concurrency = 1025", "4:15 `concurrency` must be between 1 and 1024: 1025"),
        ("priority = 1.5", "4:12 `priority` must be an integer, not a float"),
        ("timeout = 600", "4:11 `timeout` must be a duration, not an integer | write \"600s\""),
        ("retry = 3", "4:9 `retry` must be a table, not an integer"),
        (
            "retry = { backoff = \"5m\" }",
            "4:21 `backoff` 5m is longer than `max` 1m | `max` is the longest delay: raise it",
        ),
        (
            "on_interrupt = \"rety\"",
            "4:16 `on_interrupt` must be \"retry\" or \"fail\", not \"rety\" | did you mean `retry`?",
        ),
        ("timezone = \"Asia/Soul\"", "4:12 unknown time zone: \"Asia/Soul\" | did you mean `Asia/Seoul`?"),
        (
            "schedule = { every = \"1h\" }",
            "4:1 a second trigger beside `watch`: schedule | one trigger a task: make two tasks of it",
        ),
        (
            "when = {}",
            "4:1 `when` beside `watch`: a file that landed is always taken | remove it, or start the task by `schedule`, `after` or `manual`",
        ),
        ("manual = true", "4:1 a second trigger beside `watch`: manual | one trigger a task: make two tasks of it"),
        ("command = {}", "4:1 a second action beside `extract`: command | one action a task: make two tasks of it"),
        ("prioritty = 1", "4:1 unknown key: prioritty | did you mean `priority`?"),
        ("failed = \"x/{nme}\"", "4:13 unknown placeholder {nme} | did you mean `name`?"),
        (
            "failed = \"x/{name\"",
            "4:13 unbalanced brace in `failed` | write {{ and }} for braces that stand for themselves",
        ),
    ];
    for (line, wanted) in table {
        assert_eq!(problems(&with(line)).join("\n"), *wanted, "{line}");
    }
}

#[test]
fn wrong_triggers_are_refused_each_with_a_hint() {
    let table: &[(&str, &str)] = &[
        ("watch = \"inbox\"", "2:9 `tasks.a.watch` must be a table, not a string"),
        ("watch = {}", "2:9 missing key `dir` in tasks.a.watch\n2:9 missing key `match` in tasks.a.watch"),
        (
            "watch = { dir = \"i\", match = [] }",
            "2:30 `match` is empty: the task takes nothing | [\"*\"] takes every name",
        ),
        (
            "watch = { dir = \"i\", match = [\"a/*\"] }",
            "2:31 a pattern for names holds no `/`: \"a/*\" | with `recursive = true`, patterns may name folders",
        ),
        (
            "watch = { dir = \"i\", match = [\"../*\"] }",
            "2:31 a pattern starts below the watched folder: \"../*\" | leave out /, ./ and ../",
        ),
        (
            "watch = { dir = \"i\", match = [\"[가-힣]*\"] }",
            "2:31 […] holds bytes, and this one holds a longer character: \"[가-힣]*\" | write {é,è} instead of [éè]",
        ),
        (
            "watch = { dir = \"i\", match = [\"*\"], duplicates = \"skip\" }",
            "2:50 `duplicates` must be \"process\", not \"skip\" | known here: process",
        ),
        ("manual = false", "2:10 `manual` is true or absent | a task needs a trigger"),
        ("after = 1", "2:9 `after` must name a task, not an integer | write \"a\" or { tasks = [\"a\", \"b\"] }"),
        ("after = { tasks = [] }", "2:9 `after` names no task"),
        (
            "after = { tasks = [\"a\"], on = \"ok\" }",
            "2:31 `on` must be \"all_ok\" or \"any_ok\" or \"failed\" or \"any\", not \"ok\" | known here: all_ok, any_ok, failed, any\n2:20 `after` runs in a circle: a -> a | one of these tasks needs another trigger",
        ),
        ("after = \"ordres\"", "2:9 no task is called \"ordres\" | did you mean `orders`?"),
    ];
    for (line, wanted) in table {
        let source = format!("[tasks.a]\n{line}\nextract = {{}}\n[tasks.orders]\nmanual = true\nextract = {{}}\n");
        let mut found = problems(&source);
        let mut wanted: Vec<_> = wanted.split('\n').collect();
        found.sort();
        wanted.sort_unstable();
        assert_eq!(found, wanted, "{line}");
    }
}

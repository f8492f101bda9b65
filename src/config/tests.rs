//! Whole configurations: what is refused, where, and with which hint; and what good ones become.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::model::action::{JobOrder, Work};
use crate::model::block::Spanned;
use crate::model::task::ClaimBy;
use crate::model::{Action, After, AfterOn, Duplicates, OnInterrupt, RetryPolicy};

/// An action that is nothing but its settings.
#[derive(Debug)]
struct Fake {
    key: &'static str,
    outputs: Vec<Template>,
    idempotent: bool,
}

impl Action for Fake {
    fn name(&self) -> &'static str {
        self.key
    }
    fn outputs(&self) -> Vec<&Template> {
        self.outputs.iter().collect()
    }
    fn idempotent(&self) -> bool {
        self.idempotent
    }
    fn work(self: Arc<Self>, _: JobOrder) -> Work {
        Work::Blocking(Box::new(|| Ok(crate::model::Report::default())))
    }
}

struct FakeExtract;
struct FakeCommand;

impl Kind for FakeExtract {
    fn key(&self) -> &'static str {
        "extract"
    }
    fn summary(&self) -> &'static str {
        "describes"
    }
    fn example(&self) -> &'static str {
        "extract = {}"
    }
    fn build(&self, block: &mut Block<'_>) -> Option<Arc<dyn Action>> {
        let output = block.template("output");
        let given = block.has("output");
        let output = if given { output? } else { Spanned { value: Template::literal("out/x.json"), span: 0..0 } };
        Some(Arc::new(Fake { key: "extract", outputs: vec![output.value], idempotent: true }))
    }
}

impl Kind for FakeCommand {
    fn key(&self) -> &'static str {
        "command"
    }
    fn summary(&self) -> &'static str {
        "runs"
    }
    fn example(&self) -> &'static str {
        "command = { program = \"true\" }"
    }
    fn build(&self, block: &mut Block<'_>) -> Option<Arc<dyn Action>> {
        block.require("program");
        let (program, args) = (block.string("program"), block.arguments("args"));
        let (output, idempotent) = (block.template("output"), block.boolean("idempotent").unwrap_or(false));
        program?;
        drop(args);
        Some(Arc::new(Fake { key: "command", outputs: output.into_iter().map(|o| o.value).collect(), idempotent }))
    }
}

const KINDS: &[&dyn Kind] = &[&FakeExtract, &FakeCommand];

fn read(source: &str) -> Result<Config, Problems> {
    parse(Path::new("/srv/config.toml"), source, KINDS)
}

fn good(source: &str) -> Config {
    read(source).unwrap_or_else(|problems| panic!("{}", problems.render(false)))
}

/// Every problem as `line:column message | hint`.
fn problems(source: &str) -> Vec<String> {
    let problems = read(source).expect_err(source);
    let line = |p: &Problem| {
        let (line, column) = problems.place(p.span.start);
        format!("{line}:{column} {}{}", p.message, p.hint.as_ref().map_or(String::new(), |h| format!(" | {h}")))
    };
    problems.list.iter().map(line).collect()
}

/// A task `a` that watches `inbox`, with one more line.
fn with(line: &str) -> String {
    format!(
        "[tasks.a]\nwatch = {{ dir = \"inbox\", match = [\"*.csv\"] }}\nextract = {{ output = \"out/{{name}}\" }}\n{line}\n"
    )
}

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
            "[alerts.ops]\nemail = 1",
            "1:2 `alerts` is not available in this version | remove the section: failures show on the dashboard and in `shiftboss status`",
        ),
        (
            "[tasks.a]",
            "1:1 `tasks.a` has no action | give it `extract` or `command`\n1:1 `tasks.a` has no trigger | give it `watch`, `after` or `manual`",
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
            "4:1 `schedule` is not available in this version | this version starts tasks by `watch`, `after` or `manual`",
        ),
        (
            "transform = { sql = \"\" }",
            "4:1 `transform` is not available in this version | this version has `extract` or `command`",
        ),
        (
            "when = {}",
            "4:1 `when` is not available in this version | remove it: the task then runs whenever its trigger says so",
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
fn the_settings_of_the_design_become_a_configuration() {
    let config = good(
        r#"
[supervisor]
data_dir = "data"
workers = 3
[control]
group = "ops"
[files]
processed = "processed/{task}"
[tasks.orders]
watch = { dir = "inbox", match = ["orders-*.csv"], settle = "2s", duplicates = "process" }
extract = { output = "out/{stem}.csv" }
retry = { attempts = 3, backoff = "2s", factor = 2.0, max = "1m", jitter = true }
timeout = "10m"
concurrency = 2
[tasks.documents]
watch = { dir = "inbox", match = ["*.txt", "*.pdf"], poll = true, claim = "copy" }
extract = { output = "out/documents/{name}.json" }
timezone = "Asia/Seoul"
[tasks.merge]
after = { tasks = ["orders", "documents"], on = "any" }
command = { program = "python3", args = ["merge.py", "{inputs}"], idempotent = true }
[tasks.reindex]
manual = true
command = { program = "reindex", args = ["{input}"] }
"#,
    );
    assert_eq!(config.base, Path::new("/srv"));
    assert_eq!(config.socket(), Path::new("/srv/data/run/control.sock"));
    assert_eq!(config.database(), Path::new("/srv/data/shiftboss.db"));
    assert_eq!((config.workers, config.group.as_deref()), (3, Some("ops")));
    assert_eq!(config.drain, Duration::from_secs(25));
    assert_eq!(config.input_roots, [Path::new("/srv"), Path::new("/srv/inbox")]);
    assert!(
        config.ignores(OsStr::new("x.part")) && config.ignores(OsStr::new(".x")) && !config.ignores(OsStr::new("x"))
    );
    let names: Vec<&str> = config.tasks.iter().map(|t| &*t.name).collect();
    assert_eq!(names, ["orders", "documents", "merge", "reindex"]);

    let orders = config.task("orders").unwrap();
    assert_eq!((orders.concurrency, orders.timeout, orders.line), (2, Some(Duration::from_secs(600)), 9));
    assert_eq!(orders.retry, RetryPolicy::default());
    let Trigger::Watch(watch) = &orders.trigger else { panic!() };
    assert_eq!(
        (watch.dir.as_path(), watch.settle, watch.duplicates),
        (Path::new("/srv/inbox"), Duration::from_secs(2), Duplicates::Process)
    );
    assert!(watch.takes(Path::new("orders-1.csv")) && !watch.takes(Path::new("x.csv")));

    let documents = config.task("documents").unwrap();
    let Trigger::Watch(watch) = &documents.trigger else { panic!() };
    assert_eq!((watch.settle, watch.claim), (Duration::from_secs(30), ClaimBy::Copy));
    assert_eq!((documents.concurrency, documents.timezone), (3, chrono_tz::Asia::Seoul));

    let merge = config.task("merge").unwrap();
    let Trigger::After(After { tasks, on }) = &merge.trigger else { panic!() };
    assert_eq!((tasks.len(), *on, merge.on_interrupt), (2, AfterOn::Any, OnInterrupt::Retry));
    assert_eq!(config.task("reindex").unwrap().on_interrupt, OnInterrupt::Fail, "may have acted outside");
}

#[test]
fn an_empty_file_is_a_configuration_of_defaults() {
    let config = good("");
    assert!(config.tasks.is_empty());
    assert_eq!(config.retention, Retention::default());
    assert!(config.retention.succeeded.age < config.retention.failed.age);
}

#[test]
fn the_hash_follows_the_meaning() {
    let (a, b) = (good(&with("")), good(&format!("# note\n{}", with("priority   = 0x0")).replace("= 0x0", "= 0")));
    assert_eq!(a.tasks[0].config_hash.len(), 16);
    assert_ne!(a.tasks[0].config_hash, b.tasks[0].config_hash, "a setting was added");
    let spaced = good(&with("").replace(" = ", "  =  ").replace("[tasks.a]", "# x\n[ tasks . a ]"));
    assert_eq!((&spaced.tasks[0].config_hash, &spaced.hash), (&a.tasks[0].config_hash, &a.hash));
    let moved = good(&format!("[files]\nprocessed = \"done\"\n{}", with("")));
    assert_ne!(moved.tasks[0].config_hash, a.tasks[0].config_hash, "what a task inherits counts");
}

#[test]
fn names_are_matched_as_bytes() {
    use std::os::unix::ffi::OsStrExt;
    let config = good(&with(""));
    let Trigger::Watch(watch) = &config.tasks[0].trigger else { panic!() };
    assert!(watch.takes(Path::new(OsStr::from_bytes(b"\xff\xfe.csv"))));
}

#[test]
fn the_number_of_problems_is_bounded() {
    let many: String = (0..5000).map(|i| format!("k{i} = 1\n")).collect();
    assert_eq!(read(&many).unwrap_err().list.len(), Complaints::MAX);
}

/// The example with every comment that is a setting made one: `#key`, never `# prose`.
fn uncommented() -> String {
    let line = |l: &str| match l.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => rest.to_owned(),
        _ => l.to_owned(),
    };
    EXAMPLE.lines().map(|l| line(l) + "\n").collect()
}

#[test]
fn the_example_loads_as_it_is_and_with_every_setting() {
    let (plain, full) = (good(EXAMPLE), good(&uncommented()));
    assert_eq!((plain.tasks.len(), full.tasks.len()), (3, 5));
    assert!(full.managed_by_systemd && full.group.is_some());
    // What is commented out as a default is the default.
    assert_eq!((plain.retention, plain.log, plain.drain), (full.retention, full.log, full.drain));
    assert_eq!((plain.workers, &plain.archive, plain.unmatched), (full.workers, &full.archive, full.unmatched));
    assert_eq!(plain.ignore_patterns, full.ignore_patterns);
    let (a, b) = (plain.task("documents").unwrap(), full.task("documents").unwrap());
    assert_eq!((a.priority, &a.retry, a.on_interrupt, &a.failed), (b.priority, &b.retry, b.on_interrupt, &b.failed));
}

#[test]
fn init_writes_what_it_can_load_and_never_overwrites() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("new");
    let created = init(&place, KINDS).unwrap();
    let config = load(&created.config, KINDS).unwrap();
    for folder in ["data", "inbox", "out/documents", "processed", "failed", "archive"] {
        let folder = config.base.join(folder);
        assert!(folder.is_dir() && created.folders.contains(&folder), "{}", folder.display());
    }
    std::fs::write(&created.config, "# mine\n").unwrap();
    let error = init(&place, KINDS).unwrap_err();
    assert!(error.message.starts_with("there is a configuration already: "), "{}", error.message);
    assert_eq!(std::fs::read_to_string(&created.config).unwrap(), "# mine\n");
}

//! What good configurations become, and the example.

use super::*;

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
    // With the real kinds of work: the example shows their settings too.
    let real = |text: &str| {
        let read = parse(Path::new("/srv/config.toml"), text, crate::actions::KINDS);
        read.unwrap_or_else(|problems| panic!("{}", problems.render(false)))
    };
    let (plain, full) = (real(EXAMPLE), real(&uncommented()));
    assert_eq!((plain.tasks.len(), full.tasks.len()), (3, 12));
    assert!(full.managed_by_systemd && full.group.is_some());
    // What is commented out as a default is the default.
    assert_eq!((plain.retention, plain.drain), (full.retention, full.drain));
    let log = |config: &Config| (config.log.level, config.log.max_bytes, config.log.segments);
    assert_eq!(log(&plain), log(&full));
    assert_eq!((plain.workers, &plain.archive, plain.unmatched), (full.workers, &full.archive, full.unmatched));
    assert_eq!((plain.memory, plain.connections), (full.memory, full.connections));
    assert_eq!(plain.answers, full.answers);
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

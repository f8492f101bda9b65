//! Commands on a desk whose children end as the test says.

use super::*;
use crate::actions::testing::{TestDesk, input, order, run};
use crate::model::action::ChildExit;
use crate::model::block::{Complaints, Entry, Node, Value};
use crate::model::{FailureClass, Secret};
use std::os::unix::ffi::OsStringExt;

fn command(args: &[&str]) -> Command {
    Command {
        program: "tool".into(),
        args: args.iter().map(|a| Template::parse(a).unwrap()).collect(),
        env: Vec::new(),
        cwd: None,
        idempotent: false,
        exit: ExitRules::default(),
        output: None,
        on_exists: OnExists::Suffix,
        grace: GRACE,
    }
}

/// Runs a command and answers the child that it asked for.
fn child(command: Command, order: impl FnOnce(&Arc<TestDesk>) -> JobOrder) -> Result<ChildSpec, Failure> {
    let desk = Arc::new(TestDesk::new());
    run(Arc::new(command), order(&desk))?;
    Ok(desk.children.lock().unwrap().remove(0))
}

fn env<'a>(spec: &'a ChildSpec, name: &str) -> Option<&'a OsStr> {
    spec.env.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_os_str())
}

#[test]
fn every_value_is_one_argument() {
    let name = "$(touch x); a b\n'\".csv";
    let spec = child(command(&["-n", "{name}", "{stem}/{run}", "{input}", ""]), |desk| {
        order(desk, Some(input(desk, name, b"x")))
    });
    let spec = spec.unwrap();
    assert_eq!(spec.args[..3], ["-n", name, "$(touch x); a b\n'\"/7"]);
    assert!(Path::new(&spec.args[3]).is_absolute() && spec.args[3].as_bytes().ends_with(name.as_bytes()));
    assert_eq!((spec.args[4].as_os_str(), spec.args.len()), (OsStr::new(""), 5));
    assert_eq!((spec.program.as_os_str(), spec.cwd.as_path(), spec.grace), ("tool".as_ref(), "/base".as_ref(), GRACE));
}

#[test]
fn a_name_is_never_an_option() {
    let spec = child(command(&["{name}", "{stem}.bak", "-{name}", "--file={name}"]), |desk| {
        order(desk, Some(input(desk, "-rf.csv", b"x")))
    });
    assert_eq!(spec.unwrap().args, ["./-rf.csv", "./-rf.bak", "--rf.csv", "--file=-rf.csv"]);
}

#[test]
fn a_name_may_hold_any_bytes() {
    let desk = Arc::new(TestDesk::new());
    let mut file = input(&desk, "a", b"x");
    file.name = OsString::from_vec(b"\xff.csv".to_vec());
    run(Arc::new(command(&["{name}"])), order(&desk, Some(file))).unwrap();
    assert_eq!(desk.children.lock().unwrap()[0].args[0].as_bytes(), b"\xff.csv");
}

#[test]
fn the_environment_tells_the_job() {
    let mut action = command(&[]);
    let text = Source::Text(Template::parse("run {run} of {task}").unwrap());
    action.env = vec![Variable { name: "LABEL".into(), source: text }];
    let spec = child(action, |desk| order(desk, Some(input(desk, "a.csv", b"x")))).unwrap();
    for (name, want) in [
        ("LABEL", "run 7 of docs"),
        ("SHIFTBOSS_TASK", "docs"),
        ("SHIFTBOSS_RUN", "7"),
        ("SHIFTBOSS_JOB", "12"),
        ("SHIFTBOSS_ATTEMPT", "2"),
        ("SHIFTBOSS_KEY", "docs-7-12"),
        ("SHIFTBOSS_INPUT_NAME", "a.csv"),
    ] {
        assert_eq!(env(&spec, name), Some(OsStr::new(want)), "{name}");
    }
    assert!(env(&spec, "SHIFTBOSS_INPUT").is_some_and(|v| v.as_bytes().starts_with(b"/")));
    assert_eq!(env(&spec, "SHIFTBOSS_OUTPUT"), None);
}

#[test]
fn a_secret_reaches_the_program_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("s"), "hunter2\n").unwrap();
    let mut action = command(&[]);
    action.env = vec![Variable { name: "TOKEN".into(), source: Source::Secret(Secret::File(dir.path().join("s"))) }];
    let desk = Arc::new(TestDesk::with_children(|spec| {
        let tail = format!("refused {}", env(spec, "TOKEN").unwrap().display());
        Ok(ChildExit { code: Some(1), tail, ..ChildExit::default() })
    }));
    let failure = run(Arc::new(action.clone()), order(&desk, None)).unwrap_err();
    assert_eq!(failure.message, "exit code 1: refused ***");
    let shown = format!("{action:?} {:?}", desk.children.lock().unwrap());
    assert!(shown.contains("TOKEN") && !shown.contains("hunter2"), "{shown}");
    std::fs::remove_file(dir.path().join("s")).unwrap();
    let failure = run(Arc::new(action), order(&desk, None)).unwrap_err();
    assert_eq!((failure.class, failure.code.as_str()), (FailureClass::Permanent, "secret_missing"));
    assert!(failure.message.starts_with("no value for TOKEN: "), "{}", failure.message);
}

#[test]
fn inputs_are_arguments_or_a_list() {
    let many = |n: usize| {
        move |desk: &Arc<TestDesk>| {
            let mut order = order(desk, None);
            order.upstream = (0..n).map(|i| PathBuf::from(format!("/out/{i} x"))).collect();
            order
        }
    };
    let spec = child(command(&["go", "{inputs}", "end"]), many(2)).unwrap();
    assert_eq!(spec.args, ["go", "/out/0 x", "/out/1 x", "end"]);
    assert_eq!(child(command(&["{inputs}"]), many(INPUTS_MAX)).unwrap().args.len(), INPUTS_MAX);
    let failure = child(command(&["{inputs}"]), many(INPUTS_MAX + 1)).unwrap_err();
    assert_eq!((failure.class, failure.code.as_str()), (FailureClass::Permanent, "too_many_inputs"));
    assert!(failure.message.contains("{inputs_file}"), "{}", failure.message);

    let desk = Arc::new(TestDesk::new());
    run(Arc::new(command(&["--list={inputs_file}"])), many(1001)(&desk)).unwrap();
    let spec = desk.children.lock().unwrap().remove(0);
    let path = spec.args[0].to_str().unwrap().strip_prefix("--list=").unwrap().to_owned();
    let list = std::fs::read_to_string(path).unwrap();
    assert!(list.starts_with("/out/0 x\0/out/1 x\0") && list.ends_with("/out/1000 x\0"));

    let spec = child(command(&["{inputs}"]), |desk| order(desk, Some(input(desk, "a", b"x")))).unwrap();
    assert!(spec.args[0].as_bytes().ends_with(b"/a"), "the job's own file is its input");
    assert_eq!(child(command(&["{input}"]), |desk| order(desk, None)).unwrap_err().code, "no_input");
}

/// Runs a command whose program does `work` to its output, and answers the report.
fn with_output(work: impl Fn(&Path) + Send + Sync + 'static) -> Result<Report, Failure> {
    let desk = Arc::new(TestDesk::with_children(move |spec| {
        assert_eq!(Some(spec.args[0].as_os_str()), env(spec, "SHIFTBOSS_OUTPUT"));
        work(Path::new(&spec.args[0]));
        Ok(ChildExit { code: Some(0), ..ChildExit::default() })
    }));
    let mut action = command(&["{output}"]);
    action.output = Some(Template::parse("out/{type}/{name}.gz").unwrap());
    let report = run(Arc::new(action), order(&desk, Some(input(&desk, "data", b"%PDF-1.7"))));
    assert_eq!(desk.written(), [Path::new("/base/out/pdf/data.gz")]);
    report
}

#[test]
fn the_output_is_what_the_program_leaves() {
    let note = |report: Result<Report, Failure>| report.unwrap().note;
    assert_eq!(note(with_output(|path| std::fs::write(path, b"1234").unwrap())).as_deref(), Some("4 bytes"));
    assert_eq!(note(with_output(|_| {})).as_deref(), Some("the output is empty"));
    let failure = with_output(|path| std::fs::remove_file(path).unwrap()).unwrap_err();
    assert_eq!((failure.class, failure.code.as_str()), (FailureClass::Permanent, "no_output"));
    assert!(failure.message.ends_with("/base/out/pdf/data.gz"), "{}", failure.message);
    let failure = with_output(|path| {
        std::fs::remove_file(path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", path).unwrap();
    });
    assert_eq!(failure.unwrap_err().code, "no_output");
}

#[test]
fn a_program_beside_the_configuration_is_found() {
    let program = |p: &str| {
        let action = Command { program: p.into(), cwd: Some("/elsewhere".into()), ..command(&[]) };
        let spec = child(action, |desk| order(desk, None)).unwrap();
        assert_eq!(spec.cwd, Path::new("/elsewhere"));
        spec.program
    };
    assert_eq!(program("./tool.sh"), "/base/./tool.sh");
    assert_eq!(program("bin/tool"), "/base/bin/tool");
    assert_eq!(program("/bin/true"), "/bin/true");
    assert_eq!(program("gzip"), "gzip");
}

#[test]
fn what_the_desk_says_about_a_start_is_passed_on() {
    let desk = Arc::new(TestDesk::with_children(|_| Err(Failure::permanent("spawn_not_found", "no such program: x"))));
    assert_eq!(run(Arc::new(command(&[])), order(&desk, None)).unwrap_err().code, "spawn_not_found");
}

fn build(entries: Vec<(&str, Value)>) -> (Option<Arc<dyn Action>>, Vec<String>) {
    let node = node(Value::Table(entries.into_iter().map(entry).collect()));
    let sink = Complaints::default();
    let action = CommandKind.build(&mut Block::open("tasks.a.command", &node, Path::new("/base"), &sink));
    (action, sink.into_sorted().into_iter().map(|c| c.message).collect())
}

fn node(value: Value) -> Node {
    Node { span: 0..1, value }
}

fn entry((key, value): (&str, Value)) -> Entry {
    Entry { key: key.to_owned(), key_span: 0..1, node: node(value) }
}

fn string(s: &str) -> Value {
    Value::String(s.to_owned())
}

fn list(items: &[&str]) -> Value {
    Value::Array(items.iter().map(|s| node(string(s))).collect())
}

fn numbers(items: &[i64]) -> Value {
    Value::Array(items.iter().map(|n| node(Value::Integer(*n))).collect())
}

fn table(entries: Vec<(&str, Value)>) -> Value {
    Value::Table(entries.into_iter().map(entry).collect())
}

#[test]
fn every_key_is_read() {
    let (action, problems) = build(vec![
        ("program", string("python3")),
        ("args", list(&["x.py", "{inputs}", "{output}"])),
        (
            "env",
            table(vec![
                ("A", string("{run}")),
                ("B", table(vec![("env", string("TOKEN"))])),
                ("C", table(vec![("command", list(&["pass", "x"]))])),
            ]),
        ),
        ("cwd", string("work")),
        ("idempotent", Value::Boolean(true)),
        ("exit", table(vec![("retry", numbers(&[75])), ("permanent", numbers(&[65, 66]))])),
        ("output", string("out/{name}")),
        ("on_exists", string("fail")),
        ("grace", string("3s")),
    ]);
    assert!(problems.is_empty(), "{problems:?}");
    let action = action.unwrap();
    assert!(action.idempotent() && action.outputs().len() == 1);
    let shown = format!("{action:?}");
    for part in [
        "python3",
        "/base/work",
        "[75]",
        "[65, 66]",
        "3s",
        "Fail",
        "Secret(the variable TOKEN)",
        "Secret(the command pass)",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let (action, problems) = build(vec![("program", string("true"))]);
    assert!(problems.is_empty() && !action.unwrap().idempotent());
}

#[test]
fn every_mistake_is_told() {
    let told = |entries| {
        let (action, problems) = build(entries);
        assert!(action.is_none(), "{problems:?}");
        problems.join("; ")
    };
    assert_eq!(told(vec![]), "missing key `program` in tasks.a.command");
    let with = |key, value| told(vec![("program", string("x")), (key, value)]);
    assert_eq!(told(vec![("program", string("gzip -9"))]), "`program` is one program, without arguments");
    assert_eq!(with("args", list(&["--in={inputs}"])), "{inputs} must be an argument of its own");
    assert_eq!(with("args", list(&["{output}"])), "{output} without an `output` to place");
    assert_eq!(with("env", table(vec![("A", string("{output}"))])), "{output} without an `output` to place");
    assert_eq!(with("env", table(vec![("A", string("{inputs}"))])), "`A` cannot use {inputs}");
    assert_eq!(with("env", table(vec![("SHIFTBOSS_JOB", string("1"))])), "variable SHIFTBOSS_JOB is set by shiftboss");
    assert_eq!(with("env", table(vec![("A=B", string("1"))])), "the name of a variable is not empty and holds no `=`");
    assert_eq!(with("env", table(vec![("A", table(vec![]))])), "`tasks.a.command.env.A` must name one place");
    assert_eq!(
        with("exit", table(vec![("retry", numbers(&[0])), ("permanent", numbers(&[300]))])),
        "an exit code that fails is between 1 and 255: 0; an exit code that fails is between 1 and 255: 300"
    );
    assert_eq!(
        with("exit", table(vec![("retry", numbers(&[7])), ("permanent", numbers(&[7]))])),
        "exit code 7 is in `retry` and in `permanent`"
    );
    let (_, problems) = build(vec![("program", string("x")), ("shell", Value::Boolean(true))]);
    assert_eq!(problems, ["unknown key: shell"]);
}

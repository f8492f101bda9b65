//! Tables as a kind of work reads them, right and wrong.

use super::*;

/// A table whose keys stand at 100, 200, … and whose values stand ten bytes later, as long as a quoted text.
fn table(entries: Vec<(&str, Value)>) -> Node {
    let entry = |(i, (key, value)): (usize, (&str, Value))| {
        let at = (i + 1) * 100;
        let len = if let Value::String(s) = &value { s.len() + 2 } else { 5 };
        let node = Node { span: at + 10..at + 10 + len, value };
        Entry { key: key.to_owned(), key_span: at..at + key.len(), node }
    };
    Node { span: 0..9, value: Value::Table(entries.into_iter().enumerate().map(entry).collect()) }
}

fn text(s: &str) -> Value {
    Value::String(s.to_owned())
}

/// What `read` complains about, as `start..end message`.
fn complaints(node: &Node, read: impl FnOnce(&mut Block<'_>)) -> Vec<String> {
    let sink = Complaints::default();
    read(&mut Block::open("tasks.a", node, Path::new("/base"), &sink));
    sink.into_sorted().into_iter().map(|c| format!("{:?} {}", c.span, c.message)).collect()
}

#[test]
fn a_key_nobody_asked_for_is_unknown_and_knows_its_neighbours() {
    let node = table(vec![("dir", text("in")), ("setle", text("2s"))]);
    let sink = Complaints::default();
    {
        let mut block = Block::open("watch", &node, Path::new("/"), &sink);
        assert!(block.has("dir"));
        assert_eq!(block.duration("settle", Duration::ZERO..=Duration::MAX), None);
    }
    let list = sink.into_sorted();
    assert_eq!(list.len(), 1);
    assert_eq!((list[0].span.clone(), list[0].message.as_str()), (200..205, "unknown key: setle"));
    let known = vec!["dir".to_owned(), "settle".to_owned()];
    assert_eq!(list[0].hint, Some(Hint::Known { word: "setle".into(), known }));
}

#[test]
fn values_are_read_within_their_ranges() {
    let node = table(vec![
        ("t", text("1h 30m")),
        ("s", text("4KiB")),
        ("n", Value::Integer(7)),
        ("f", Value::Integer(2)),
        ("p", text("a/../b/./c")),
    ]);
    let found = complaints(&node, |b| {
        assert_eq!(b.duration("t", Duration::ZERO..=Duration::MAX), Some(Duration::from_secs(5400)));
        assert_eq!(b.size("s", 0..=u64::MAX), Some(4096));
        assert_eq!(b.integer("n", 1..=7), Some(7));
        assert_eq!(b.float("f", 1.0..=3.0), Some(2.0));
        assert_eq!(b.path("p").map(|p| p.value), Some(PathBuf::from("/base/b/c")));
    });
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn every_problem_of_a_table_is_collected() {
    let node = table(vec![
        ("t", Value::Integer(2)),
        ("s", text("12 apples")),
        ("n", Value::Integer(8)),
        ("c", text("mvoe")),
        ("l", Value::Array(vec![Node { span: 511..514, value: Value::Integer(1) }])),
    ]);
    let found = complaints(&node, |b| {
        assert_eq!(b.duration("t", Duration::ZERO..=Duration::MAX), None);
        assert_eq!(b.size("s", 0..=u64::MAX), None);
        assert_eq!(b.integer("n", 1..=7), None);
        assert_eq!(b.choice("c", &[("copy", 1), ("move", 2)]), None);
        assert_eq!(b.strings("l"), None);
        assert!(!b.require("dir"));
    });
    assert_eq!(
        found,
        [
            "0..9 missing key `dir` in tasks.a",
            "110..115 `t` must be a duration, not an integer",
            "210..221 `s` is not a size: \"12 apples\"",
            "310..315 `n` must be between 1 and 7: 8",
            "410..416 `c` must be \"copy\" or \"move\", not \"mvoe\"",
            "511..514 `l` must be a list of strings, not an integer",
        ]
    );
}

#[test]
fn a_placeholder_is_pointed_at_exactly() {
    let node = table(vec![("a", text("out/{nam}")), ("b", text("out/{input}")), ("c", text("x}"))]);
    let found = complaints(&node, |b| {
        assert!(b.template("a").is_none() && b.template("b").is_none() && b.template("c").is_none());
    });
    assert_eq!(
        found,
        ["115..120 unknown placeholder {nam}", "215..222 `b` cannot use {input}", "312..313 unbalanced brace in `c`"]
    );
}

#[test]
fn a_value_that_is_no_table_is_a_problem_unless_it_is_a_shorthand() {
    let node = Node { span: 3..7, value: Value::Boolean(true) };
    assert_eq!(complaints(&node, |_| {}), ["3..7 `tasks.a` must be a table, not a boolean"]);
    assert!(complaints(&node, |b| assert!(b.shorthand().is_some())).is_empty());
}

#[test]
fn hostile_text_is_written_out_and_cut() {
    let node = table(vec![("c", text(&"\x1b[2J".repeat(100)))]);
    let found = complaints(&node, |b| assert_eq!(b.choice("c", &[("copy", 1)]), None));
    assert!(!found[0].contains('\x1b') && found[0].len() < 120, "{found:?}");
}

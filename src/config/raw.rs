//! TOML text becomes a neutral tree in which every key and value knows its place.
//!
//! It guarantees that the tree is shallow, so that whoever walks it may recurse, and that syntax errors and duplicate
//! keys are reported with their places, as many as there are. It refuses a text over [`LEN_MAX`] and a tree deeper
//! than [`DEPTH_MAX`].

use crate::model::block::{Complaint, Complaints, Entry, Node, Span, Value};
use toml::de::{DeTable, DeValue};

/// Longest configuration, in bytes; a longer one is refused before it is parsed.
pub const LEN_MAX: usize = 1024 * 1024;
/// Deepest nesting of tables and lists; the settings need six levels. A deeper value is refused.
pub const DEPTH_MAX: usize = 32;

/// Parses a configuration. `None`: it cannot be read as a tree, and why was reported.
pub(super) fn read(source: &str, sink: &Complaints) -> Option<Node> {
    if source.len() > LEN_MAX {
        sink.push(Complaint::new(0..0, format!("the configuration is larger than 1 MiB: {} bytes", source.len())));
        return None;
    }
    let (table, errors) = DeTable::parse_recoverable(source);
    let mut broken = false;
    let mut last = None;
    for error in errors {
        let message = error.message();
        let span = error.span().unwrap_or(0..0);
        // A duplicate leaves a tree that can be checked further. Anything else leaves guesses behind.
        broken |= message != DUPLICATE;
        if last.as_ref() == Some(&span) {
            continue;
        }
        last = Some(span.clone());
        let complaint = Complaint::new(span, message);
        sink.push(match message {
            DUPLICATE => complaint.hint("remove one of the two"),
            "string values must be quoted, expected literal string" => complaint.hint("write it between quotes"),
            "cannot recurse further; max recursion depth met" => complaint.hint("nest less deeply"),
            _ => complaint,
        });
    }
    let root = convert(DeValue::Table(table.into_inner()), 0..0, 0, sink);
    (!broken).then_some(root)
}

/// How the parser says that a key stands twice in one table.
const DUPLICATE: &str = "duplicate key";

fn convert(value: DeValue<'_>, span: Span, depth: usize, sink: &Complaints) -> Node {
    if depth > DEPTH_MAX && matches!(value, DeValue::Array(_) | DeValue::Table(_)) {
        sink.push(Complaint::new(span.clone(), "nested too deeply").hint("nest less deeply"));
        dismantle(value);
        return Node { span, value: Value::Boolean(false) };
    }
    let value = match value {
        DeValue::String(s) => Value::String(s.into_owned()),
        DeValue::Integer(n) => match i64::from_str_radix(n.as_str(), n.radix()) {
            Ok(n) => Value::Integer(n),
            Err(_) => {
                sink.push(Complaint::new(span.clone(), "number out of range"));
                Value::Integer(0)
            }
        },
        DeValue::Float(f) => match f.as_str().parse() {
            Ok(f) => Value::Float(f),
            Err(_) => {
                sink.push(Complaint::new(span.clone(), "number out of range"));
                Value::Float(0.0)
            }
        },
        DeValue::Boolean(b) => Value::Boolean(b),
        DeValue::Datetime(at) => Value::Datetime(at.to_string()),
        DeValue::Array(items) => Value::Array(
            items
                .into_iter()
                .map(|item| {
                    let span = item.span();
                    convert(item.into_inner(), span, depth + 1, sink)
                })
                .collect(),
        ),
        DeValue::Table(table) => {
            let mut entries: Vec<Entry> = table
                .into_iter()
                .map(|(key, item)| {
                    let (key_span, span) = (key.span(), item.span());
                    let node = convert(item.into_inner(), span, depth + 1, sink);
                    Entry { key: key.into_inner().into_owned(), key_span, node }
                })
                .collect();
            entries.sort_by_key(|e| e.key_span.start);
            Value::Table(entries)
        }
    };
    Node { span, value }
}

/// Frees a value of any depth with a list of its own in place of the stack.
fn dismantle(value: DeValue<'_>) {
    let mut todo = vec![value];
    while let Some(value) = todo.pop() {
        match value {
            DeValue::Array(items) => todo.extend(items.into_iter().map(toml::Spanned::into_inner)),
            DeValue::Table(table) => todo.extend(table.into_iter().map(|(_, v)| v.into_inner())),
            _ => {}
        }
    }
}

/// A value as text that depends on what it means alone, not on layout, comments or the order of keys.
pub(super) fn canonical(node: &Node, out: &mut String) {
    match &node.value {
        Value::String(s) => out.push_str(&format!("{s:?}")),
        Value::Integer(n) => out.push_str(&n.to_string()),
        Value::Float(f) => out.push_str(&format!("{f:?}")),
        Value::Boolean(b) => out.push_str(&b.to_string()),
        Value::Datetime(at) => out.push_str(at),
        Value::Array(items) => {
            out.push('[');
            for item in items {
                canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        Value::Table(entries) => {
            let mut sorted: Vec<&Entry> = entries.iter().collect();
            sorted.sort_by(|a, b| a.key.cmp(&b.key));
            out.push('{');
            for entry in sorted {
                out.push_str(&format!("{:?}=", entry.key));
                canonical(&entry.node, out);
                out.push(',');
            }
            out.push('}');
        }
    }
}

/// The first 16 hexadecimal digits of a text's BLAKE3 hash.
pub(super) fn hash(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex()[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(source: &str) -> (bool, Vec<String>) {
        let sink = Complaints::default();
        let tree = read(source, &sink).is_some();
        (tree, sink.into_sorted().into_iter().map(|c| format!("{:?} {}", c.span, c.message)).collect())
    }

    #[test]
    fn several_syntax_errors_are_reported_at_once() {
        let (tree, list) = messages("a = 1\nb = x\nc = 'x\n");
        assert!(!tree);
        assert_eq!(list.len(), 2, "{list:?}");
        assert!(list[0].starts_with("10..11 string values must be quoted"), "{list:?}");
    }

    #[test]
    fn a_duplicate_key_does_not_hide_the_rest() {
        assert_eq!(messages("a = 1\na = 2\n"), (true, vec!["6..7 duplicate key".to_owned()]));
    }

    #[test]
    fn keys_keep_the_order_of_the_file() {
        let sink = Complaints::default();
        let Some(Node { value: Value::Table(entries), .. }) = read("b = 1\na = 2\n[z]\n[c]\n", &sink) else { panic!() };
        assert_eq!(entries.iter().map(|e| e.key.as_str()).collect::<Vec<_>>(), ["b", "a", "z", "c"]);
    }

    #[test]
    fn no_nesting_reaches_the_end_of_the_stack() {
        let brackets = format!("a = {}", "[".repeat(LEN_MAX - 10));
        let dotted = format!("{} = 1", vec!["a"; LEN_MAX / 2 - 10].join("."));
        // As deep as the parser goes: a dotted key of 79 parts in each of 79 inline tables.
        let key = vec!["a"; 79].join(".");
        let mixed = format!("{key} = {}1{}", format!("{{ {key} = ").repeat(78), " }".repeat(78));
        for source in [brackets, dotted, mixed] {
            let (_, list) = messages(&source);
            assert!(!list.is_empty(), "refused: {}", &source[..20]);
        }
        let (_, list) = messages(&format!("{} = 1", vec!["a"; 40].join(".")));
        assert!(list[0].ends_with("nested too deeply"), "{list:?}");
    }

    #[test]
    fn numbers_that_fit_nowhere_are_refused() {
        assert_eq!(messages("a = 99999999999999999999").1, ["4..24 number out of range"]);
        assert_eq!(messages("a = 0xff\nb = 1_000\nc = inf").1, Vec::<String>::new());
    }

    #[test]
    fn the_canonical_text_ignores_layout() {
        let text = |source: &str| {
            let mut out = String::new();
            canonical(&read(source, &Complaints::default()).unwrap(), &mut out);
            out
        };
        assert_eq!(text("[t]\nb = \"x\" # c\na = [1]\n"), text("t = { a = [ 1 ], b = 'x' }"));
        assert_ne!(text("a = 1"), text("a = 2"));
    }
}

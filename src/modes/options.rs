//! Options of a command, read as the table that a task would have: one reader, one set of defaults, one set of messages.

use crate::error::{Exit, Fatal};
use crate::model::Block;
use crate::model::block::{Complaint, Complaints, Entry, Hint, Node, Value};
use std::path::Path;

/// Reads options. Problems are told with the option's name; `place`: what shows where one is, better than its hint.
pub(super) fn read<T>(
    entries: Vec<Entry>,
    base: &Path,
    read: impl FnOnce(&mut Block<'_>) -> Option<T>,
    place: impl FnOnce(&Complaint) -> Option<String>,
) -> Result<T, Fatal> {
    let node = Node { span: 0..0, value: Value::Table(entries) };
    let complaints = Complaints::default();
    let made = {
        let mut block = Block::open("", &node, base, &complaints);
        read(&mut block)
    };
    let told = complaints.into_sorted();
    match (made, told.first()) {
        (Some(made), None) => Ok(made),
        (_, None) => Err(Fatal::new(Exit::Usage, "the options do not fit")),
        (_, Some(first)) => {
            let fatal = Fatal::new(Exit::Usage, first.message.clone());
            Err(match place(first).or_else(|| hint(first)) {
                Some(hint) => fatal.hint(hint),
                None => fatal,
            })
        }
    }
}

pub(super) fn hint(complaint: &Complaint) -> Option<String> {
    match complaint.hint.as_ref()? {
        Hint::Text(text) => Some(text.clone()),
        Hint::Known { word, known } => crate::error::did_you_mean(word, known.iter().map(String::as_str))
            .map(|near| format!("did you mean `{near}`?")),
    }
}

/// A text as it would stand in a table.
pub(super) fn text_node(text: &str) -> Value {
    Value::String(text.to_owned())
}

/// A list of texts; none for an empty one.
pub(super) fn words(list: &[String]) -> Option<Value> {
    let nodes = list.iter().map(|s| Node { span: 0..0, value: text_node(s) }).collect();
    (!list.is_empty()).then_some(Value::Array(nodes))
}

/// A table of texts; none for an empty one.
pub(super) fn pairs(list: &[(String, String)]) -> Option<Value> {
    let pair = |(name, text): &(String, String)| Entry {
        key: name.clone(),
        key_span: 0..0,
        node: Node { span: 0..0, value: text_node(text) },
    };
    (!list.is_empty()).then(|| Value::Table(list.iter().map(pair).collect()))
}

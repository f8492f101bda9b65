//! Values of environment variables: texts with placeholders, or secrets by reference.
//!
//! A secret is read anew for every attempt, so that a rotated one is taken without a reload, and lives no longer than
//! the attempt. It refuses secrets in the configuration itself: what is written there is no secret.

use crate::model::block::{Complaint, Entry, Spanned, Value};
use crate::model::{Block, Failure, Placeholder, Secret, Template, text};
use std::ffi::OsString;

/// Where a variable's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A text with placeholders.
    Text(Template),
    /// Kept elsewhere.
    Secret(Secret),
}

/// One variable for the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: OsString,
    pub(super) source: Source,
}

impl Variable {
    /// Reads one entry of the `env` table.
    pub(super) fn read(block: &mut Block<'_>, entry: &Entry) -> Option<Self> {
        let name = &entry.key;
        let span = entry.key_span.clone();
        block.ask(name);
        if name.is_empty() || name.contains(['=', '\0']) {
            block.problem(Complaint::new(span, "the name of a variable is not empty and holds no `=`"));
            return None;
        }
        if name.starts_with("SHIFTBOSS_") {
            let message = format!("variable {} is set by shiftboss", text::escape(name));
            block.problem(Complaint::new(span, message).hint("choose a name that does not start with SHIFTBOSS_"));
            return None;
        }
        let source = match &entry.node.value {
            Value::String(value) => {
                let value = Spanned { value: value.clone(), span: entry.node.span.clone() };
                Source::Text(block.as_template(name, &value, |p| p != Placeholder::Inputs)?.value)
            }
            Value::Table(_) => Source::Secret(Secret::read(block.below(name, &entry.node))?),
            other => {
                let message =
                    format!("variable {} must be a string or a table, not {}", text::escape(name), other.kind());
                block.problem(Complaint::new(entry.node.span.clone(), message));
                return None;
            }
        };
        Some(Self { name: name.into(), source })
    }

    /// The same failure, which names the variable too.
    pub(super) fn blame(&self, mut failure: Failure) -> Failure {
        let name = text::bytes(self.name.as_encoded_bytes());
        failure.message = format!("no value for {name}: {}", failure.message);
        failure
    }
}

/// A secret as it may be searched for in text; one that is too short to be told from other text is not.
pub(super) fn needle(secret: &str) -> Option<String> {
    (secret.len() >= 4).then(|| secret.to_owned())
}

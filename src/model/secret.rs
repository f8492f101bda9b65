//! Secrets by reference: `{ env = "NAME" }`, `{ file = "PATH" }` or `{ command = ["pass", "show", "smtp"] }`.
//!
//! The configuration never holds a secret itself, so a copy of it in a ticket gives nothing away. Only the reference
//! is read here. Showing one names where the secret comes from, and never its value or the arguments of a command.

use super::block::{Block, Complaint};
use super::text;
use std::fmt;
use std::path::PathBuf;

/// Where a secret comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// A variable of the environment.
    Env(String),
    /// A file, without the line break at its end; absolute.
    File(PathBuf),
    /// What a program prints, without the line break at its end.
    Command(Vec<String>),
}

impl Secret {
    /// Reads a reference. `None`: problems were reported; a text in place of a reference is not repeated there.
    pub fn read(mut block: Block<'_>) -> Option<Self> {
        const HINT: &str = "write { env = \"NAME\" }, { file = \"PATH\" } or { command = [\"PROGRAM\", …] }";
        let (name, span) = (block.name().to_owned(), block.span());
        let wrong = |block: &Block<'_>, what: &str| {
            block.problem(Complaint::new(span.clone(), format!("`{name}` {what}")).hint(HINT));
            None
        };
        if block.shorthand().is_some() {
            return wrong(&block, "must say where the secret is, not hold it");
        }
        let given = ["env", "file", "command"].into_iter().filter(|k| block.has(k)).count();
        let env = block.string("env").map(|s| s.value);
        let file = block.path("file").map(|p| p.value);
        let command = block.strings("command").map(|l| l.into_iter().map(|s| s.value).collect::<Vec<_>>());
        match (given, env, file, command) {
            (1, Some(env), _, _) if !env.is_empty() && !env.contains(['=', '\0']) => Some(Self::Env(env)),
            (1, Some(_), _, _) => wrong(&block, "does not name a variable"),
            (1, _, Some(file), _) => Some(Self::File(file)),
            (1, _, _, Some(command)) if command.is_empty() => wrong(&block, "names no program"),
            (1, _, _, Some(command)) => Some(Self::Command(command)),
            (1, ..) => None,
            _ => wrong(&block, "must name one place"),
        }
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "the variable {}", text::escape(name)),
            Self::File(path) => write!(f, "the file {}", text::path(path)),
            Self::Command(args) => {
                write!(f, "the command {}", args.first().map_or_else(|| "".into(), |p| text::escape(p)))
            }
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({self})")
    }
}

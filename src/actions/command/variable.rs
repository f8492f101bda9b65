//! Values of environment variables: texts with placeholders, or secrets by reference.
//!
//! A secret is read anew for every attempt, so that a rotated one is taken without a reload, and lives no longer than
//! the attempt. It refuses secrets in the configuration itself: what is written there is no secret.

use crate::model::block::{Complaint, Entry, Spanned, Value};
use crate::model::{Block, Failure, Placeholder, Template, text};
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Longest secret in a file, in bytes. A longer file is no secret, and is refused.
const SECRET_MAX: u64 = 64 * 1024;

/// Where a variable's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A text with placeholders.
    Text(Template),
    /// A variable of the supervisor's own environment.
    Env(String),
    /// The content of a file, without its last line end.
    File(PathBuf),
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
            Value::Table(_) => Self::reference(&mut block.below(name, &entry.node))?,
            other => {
                let message =
                    format!("variable {} must be a string or a table, not {}", text::escape(name), other.kind());
                block.problem(Complaint::new(entry.node.span.clone(), message));
                return None;
            }
        };
        Some(Self { name: name.into(), source })
    }

    fn reference(block: &mut Block<'_>) -> Option<Source> {
        let env = block.string("env").map(|s| s.value);
        let file = block.path("file").map(|p| p.value);
        match (env, file) {
            (Some(name), None) if !name.is_empty() && !name.contains(['=', '\0']) => Some(Source::Env(name)),
            (None, Some(path)) => Some(Source::File(path)),
            _ => {
                let message = "a secret is one name of a variable or one path of a file";
                let hint = r#"write { env = "NAME" } or { file = "PATH" }"#;
                block.problem(Complaint::new(block.span(), message).hint(hint));
                None
            }
        }
    }

    /// The secret, or `None` for a text. Reads a small local file at most.
    pub(super) fn secret(&self) -> Result<Option<OsString>, Failure> {
        let name = text::bytes(self.name.as_encoded_bytes());
        match &self.source {
            Source::Text(_) => Ok(None),
            Source::Env(from) => std::env::var_os(from).map(Some).ok_or_else(|| {
                let message = format!("no value for {name}: the supervisor has no variable {}", text::escape(from));
                Failure::permanent("secret_missing", message)
            }),
            Source::File(path) => read_secret(path).map(Some).map_err(|e| {
                let message = format!("no value for {name}: cannot read {}: {e}", text::path(path));
                Failure::permanent("secret_missing", message)
            }),
        }
    }
}

fn read_secret(path: &Path) -> std::io::Result<OsString> {
    // Without O_NONBLOCK a FIFO would hold the attempt for ever.
    let file = std::fs::File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let kind = file.metadata()?;
    if !kind.is_file() || kind.len() > SECRET_MAX {
        return Err(std::io::Error::other(format!("not a regular file of at most {SECRET_MAX} bytes")));
    }
    let mut raw = Vec::new();
    file.take(SECRET_MAX).read_to_end(&mut raw)?;
    for end in [b'\n', b'\r'] {
        if raw.last() == Some(&end) {
            raw.pop();
        }
    }
    if raw.contains(&0) {
        return Err(std::io::Error::other("it holds a NUL byte"));
    }
    Ok(OsString::from_vec(raw))
}

/// A secret as it may be searched for in text; one that is too short to be told from other text is not.
pub(super) fn needle(secret: &OsStr) -> Option<String> {
    secret.to_str().filter(|s| s.len() >= 4).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8]) -> (tempfile::TempDir, Variable) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, content).unwrap();
        (dir, Variable { name: "TOKEN".into(), source: Source::File(path) })
    }

    #[test]
    fn a_secret_file_loses_its_last_line_end_only() {
        for (raw, want) in [(&b"hunter2\n"[..], "hunter2"), (b"hunter2\r\n", "hunter2"), (b"a\n\n", "a\n"), (b"", "")] {
            let (_dir, variable) = file(raw);
            assert_eq!(variable.secret().unwrap(), Some(want.into()));
        }
    }

    #[test]
    fn what_is_no_secret_file_is_refused() {
        let (dir, large) = file(&vec![b'x'; SECRET_MAX as usize + 1]);
        assert!(large.secret().unwrap_err().message.contains("at most 65536 bytes"));
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).unwrap();
        for path in [fifo, dir.path().to_path_buf(), dir.path().join("absent")] {
            let variable = Variable { name: "TOKEN".into(), source: Source::File(path) };
            assert_eq!(variable.secret().unwrap_err().code, "secret_missing");
        }
        let variable = Variable { name: "TOKEN".into(), source: Source::Env("SHIFTBOSS_NO_SUCH_VARIABLE".into()) };
        assert!(variable.secret().unwrap_err().message.ends_with("no variable SHIFTBOSS_NO_SUCH_VARIABLE"));
    }
}

//! Inputs of manual starts: a path given by an operator is copied here, never moved, and then treated as a landed file.

use super::shared::Shared;
use crate::config::Config;
use crate::files::dir::Dir;
use crate::model::job::{Facts, JobFile, Landed, OURS};
use crate::model::ports::Refusal;
use crate::model::{Task, crash, text};
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The folder of the copies.
#[must_use]
pub fn folder(config: &Config) -> PathBuf {
    config.data_dir.join("spool")
}

/// Copies an input into the spool. It must be a regular file under a configured root.
pub fn copy(shared: &Shared, task: &Task, input: &Path) -> Result<Landed, Refusal> {
    let config = shared.config.load();
    let shown = text::path(input);
    let real = input.canonicalize().map_err(|e| Refusal::new(400, "bad_input", format!("cannot use {shown}: {e}")))?;
    let roots: Vec<PathBuf> = config.input_roots.iter().filter_map(|r| r.canonicalize().ok()).collect();
    if !roots.iter().any(|root| real.starts_with(root)) {
        return Err(Refusal::new(403, "outside_roots", format!("not under a configured root: {shown}"))
            .hint("add its folder to input_roots in [supervisor]"));
    }
    copy_in(shared, &config, task, &real)
        .map_err(|e| Refusal::new(503, "copy_failed", format!("cannot copy {shown}: {e}")))
}

fn copy_in(shared: &Shared, config: &Config, task: &Task, real: &Path) -> std::io::Result<Landed> {
    let (Some(parent), Some(name)) = (real.parent(), real.file_name()) else {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a file"));
    };
    let root = folder(config);
    let spool = Dir::create_all(&root)?;
    let number = (1u32..)
        .map(|n| format!("{}-{n}", shared.now().0))
        .find(|id| spool.stat(OsStr::new(id)).is_ok_and(|s| s.is_none()))
        .unwrap_or_default();
    let target = spool.make_sub(OsStr::new(&number), 0o700)?;
    let (mut source, _) = Dir::open(parent)?.open_read(name)?;
    let facts: Facts = super::take::copy_verified(&mut source, &target, name)?;
    target.sync()?;
    crash::point("op.copied");
    let stat = target.stat(name)?.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotFound))?;
    debug_assert_eq!(facts.ino, stat.facts.ino);
    let path = PathBuf::from(number).join(name);
    Ok(Landed { task: task.name.clone(), root, path, facts: stat.facts, priority: task.priority, seen: shared.now() })
}

/// The folder that a copy has for itself in the spool; none for a file from elsewhere.
#[must_use]
pub fn own_folder<'a>(config: &Config, file: &'a JobFile) -> Option<&'a OsStr> {
    let below = file.path.is_relative() && file.root == folder(config);
    file.path.iter().next().filter(|_| below)
}

/// Removes the folder of a copy whose job is over. What cannot be removed now is swept by the next start.
pub fn forget(config: &Config, file: &JobFile) {
    if let Some(name) = own_folder(config, file) {
        let _ = std::fs::remove_dir(file.root.join(name));
    }
}

/// Removes the copies that no job was made of: whoever asked for the start was not answered, and has the original.
pub fn sweep(config: &Config, live: &HashSet<OsString>) {
    let root = folder(config);
    for entry in std::fs::read_dir(&root).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name == OURS || live.contains(&name) || !entry.file_type().is_ok_and(|t| t.is_dir()) {
            continue;
        }
        if let Err(e) = std::fs::remove_dir_all(entry.path()) {
            tracing::warn!("cannot remove {}: {e}", text::path(&entry.path()));
        }
    }
}

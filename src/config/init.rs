//! Writes a first configuration and the folders that it names, so that `shiftboss` runs at once.
//!
//! It never overwrites a file. The text is the documented example, which tests load as it is and with every setting
//! uncommented.

use super::{Config, find, parse};
use crate::error::{Exit, Fatal, Problems};
use crate::model::action::Kind;
use crate::model::{Template, text};
use std::collections::BTreeSet;
use std::fs::{DirBuilder, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The documented example: every setting with its default.
pub const EXAMPLE: &str = include_str!("../../config.toml.example");

/// What [`init`] made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// The configuration file.
    pub config: PathBuf,
    /// The folders that were not there before.
    pub folders: Vec<PathBuf>,
}

/// Writes `config.toml` into `dir`, and the folders that it names.
///
/// # Errors
/// Exit code 1: there is such a file already, or something cannot be written.
pub fn init(dir: &Path, kinds: &[&dyn Kind]) -> Result<Created, Fatal> {
    let path = place(dir)?;
    let config = parse(&path, EXAMPLE, kinds).map_err(Fatal::config)?;
    write_new(&path, EXAMPLE)?;
    Ok(Created { folders: make_folders(&config)?, config: path })
}

/// The same with another text: one that was made from something else, and so is written even if it is not right, for
/// somebody to mend it. Answers what is wrong with it.
///
/// # Errors
/// Exit code 1: there is such a file already, or something cannot be written.
pub fn init_from(dir: &Path, content: &str, kinds: &[&dyn Kind]) -> Result<(Created, Option<Problems>), Fatal> {
    let path = place(dir)?;
    write_new(&path, content)?;
    match parse(&path, content, kinds) {
        Ok(config) => Ok((Created { folders: make_folders(&config)?, config: path }, None)),
        Err(problems) => Ok((Created { config: path, folders: Vec::new() }, Some(problems))),
    }
}

/// The file in a folder, which is made.
fn place(dir: &Path) -> Result<PathBuf, Fatal> {
    std::fs::create_dir_all(dir).map_err(|e| Fatal::io("create the folder", dir, &e))?;
    let dir = dir.canonicalize().map_err(|e| Fatal::io("find the folder", dir, &e))?;
    Ok(dir.join(find::NAME))
}

/// Makes the folders that are not there.
fn make_folders(config: &Config) -> Result<Vec<PathBuf>, Fatal> {
    let mut folders = Vec::new();
    for (folder, mode) in folders_of(config) {
        if folder.is_dir() {
            continue;
        }
        DirBuilder::new()
            .recursive(true)
            .mode(mode)
            .create(&folder)
            .map_err(|e| Fatal::io("create the folder", &folder, &e))?;
        folders.push(folder);
    }
    Ok(folders)
}

fn write_new(path: &Path, content: &str) -> Result<(), Fatal> {
    // Not writable by others whatever the umask is: `load` would refuse the file.
    let file = File::options().write(true).create_new(true).mode(0o644).open(path);
    let mut file = file.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            Fatal::new(Exit::Failed, format!("there is a configuration already: {}", text::path(path)))
                .hint("edit that file, or name another folder: `shiftboss init DIR`")
        }
        _ => Fatal::io("write", path, &error),
    })?;
    let written = file.write_all(content.as_bytes()).and_then(|()| file.sync_all());
    written.map_err(|error| {
        // Half a file would stand in the way of the next try.
        let _ = std::fs::remove_file(path);
        Fatal::io("write", path, &error)
    })
}

/// The folders that a configuration names, with their modes: those that are the same for every job.
fn folders_of(config: &Config) -> BTreeSet<(PathBuf, u32)> {
    let fixed = |template: &Template| {
        let path = crate::model::block::absolute(&config.base, Path::new(template.fixed_prefix()));
        // `out/a-{n}` names the folder `out`, `out/{n}` too.
        if template.fixed_prefix().ends_with('/') { path } else { path.parent().map_or(path.clone(), Path::to_owned) }
    };
    let mut folders = BTreeSet::from([(config.data_dir.clone(), 0o750), (config.archive.clone(), 0o777)]);
    folders.extend(config.roots().into_iter().map(|root| (root.to_owned(), 0o777)));
    for task in &config.tasks {
        let outputs = task.action.outputs();
        let templates = outputs.into_iter().chain([&task.processed, &task.failed]);
        folders.extend(templates.map(|t| (fixed(t), 0o777)));
    }
    folders
}

//! The files that a transform without a claimed one reads: outputs of the run before it, or paths and patterns.

use super::input::InputFile;
use crate::model::block::absolute;
use crate::model::{Failure, Input, text};
use globset::{GlobBuilder, GlobMatcher};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most files of one job.
const FILES_MAX: usize = 100_000;
/// Deepest folder below a pattern's first one.
const DEPTH_MAX: usize = 32;
/// Characters that make a path a pattern.
const PATTERN: [char; 4] = ['*', '?', '[', '{'];

/// The claimed file of a job.
pub(super) fn claimed(input: Input) -> InputFile {
    let Input { path, name, file, size, label, .. } = input;
    InputFile { path, name: text::bytes(name.as_encoded_bytes()), label, file: Arc::new(file), size }
}

/// Opens files by their paths.
pub fn open(paths: &[PathBuf]) -> Result<Vec<InputFile>, Failure> {
    paths.iter().map(|path| open_one(path)).collect()
}

fn open_one(path: &Path) -> Result<InputFile, Failure> {
    let fault = |e: &std::io::Error| {
        let failure = Failure::io("input_open", "open", path, e);
        Failure { file: Some(text::path(path)), ..failure }
    };
    let file = File::open(path).map_err(|e| fault(&e))?;
    let facts = file.metadata().map_err(|e| fault(&e))?;
    if !facts.is_file() {
        let message = format!("not a regular file: {}", text::path(path));
        return Err(Failure::permanent("input_not_a_file", message));
    }
    let name = text::bytes(path.file_name().unwrap_or_default().as_encoded_bytes());
    Ok(InputFile { path: path.to_owned(), name, label: text::path(path), file: Arc::new(file), size: facts.len() })
}

/// The files that paths and patterns name, in this order; those of a pattern by name. A path that exists is itself,
/// also if it looks like a pattern.
pub fn named(base: &Path, patterns: &[String]) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for pattern in patterns {
        let path = absolute(base, Path::new(pattern));
        if !pattern.contains(PATTERN) || path.exists() {
            found.push(path);
            continue;
        }
        let before = found.len();
        let glob = GlobBuilder::new(&path.to_string_lossy()).literal_separator(true).build().map_err(|e| {
            Failure::permanent("input_pattern", format!("`inputs` has no pattern of paths: {}: {pattern}", e.kind()))
        })?;
        let first: PathBuf =
            path.components().take_while(|c| !c.as_os_str().to_string_lossy().contains(PATTERN)).collect();
        walk(&first, &glob.compile_matcher(), DEPTH_MAX, &mut found)?;
        found[before..].sort();
        if found.len() == before {
            return Err(Failure::permanent("input_none", format!("no file fits the pattern: {pattern}")));
        }
    }
    Ok(found)
}

fn walk(folder: &Path, glob: &GlobMatcher, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let fault = |e: &std::io::Error| Failure::io("input_list", "list", folder, e);
    for entry in std::fs::read_dir(folder).map_err(|e| fault(&e))? {
        let entry = entry.map_err(|e| fault(&e))?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(|e| fault(&e))?);
        if kind.is_dir() {
            if depth > 0 {
                walk(&path, glob, depth - 1, found)?;
            }
        } else if glob.is_match(&path) {
            if found.len() >= FILES_MAX {
                let message = format!("more than {} files of one job", text::count(FILES_MAX as u64));
                return Err(Failure::permanent("too_many_inputs", message));
            }
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_files_in_order() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.csv", "a.csv", "c.txt", "sub/d.csv", "[x].csv"] {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        let names = |patterns: &[&str]| {
            let patterns: Vec<String> = patterns.iter().map(|p| (*p).to_owned()).collect();
            named(dir.path(), &patterns).map(|found| {
                found.iter().map(|p| p.strip_prefix(dir.path()).unwrap().display().to_string()).collect::<Vec<_>>()
            })
        };
        assert_eq!(names(&["c.txt", "*.csv"]).unwrap(), ["c.txt", "[x].csv", "a.csv", "b.csv"]);
        assert_eq!(names(&["**/*.csv"]).unwrap(), ["[x].csv", "a.csv", "b.csv", "sub/d.csv"]);
        assert_eq!(names(&["[x].csv"]).unwrap(), ["[x].csv"], "a file of that name is meant");
        assert_eq!(names(&["*.parquet"]).unwrap_err().code, "input_none");
        assert_eq!(open(&[dir.path().join("sub")]).err().unwrap().code, "input_not_a_file");
    }
}

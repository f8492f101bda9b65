//! A restore on trial: into the attempt's own folder, compared there, and removed.

use super::check::{self, Check};
use super::copies::unlock;
use super::manifest::Manifest;
use super::place::OnThere;
use super::restore::{self, Source};
use crate::model::text;
use nix::sys::statvfs::statvfs;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::Path;

/// Restores a copy below `scratch`. What it says: how much that was, or that there was no room for it.
pub fn run(path: &Path, manifest: &Path, dir: &Path, scratch: &Path, check: Check<'_>) -> io::Result<String> {
    let read = Manifest::open(BufReader::new(File::open(manifest)?))?;
    let head = read.head.clone();
    let stat = statvfs(scratch)?;
    let free = stat.blocks_available().saturating_mul(stat.fragment_size());
    // A block for each entry, and a tenth that stays free.
    let wanted = head.totals.bytes.saturating_add(head.totals.entries.saturating_mul(4096));
    if wanted > free / 10 * 9 {
        let (wanted, free) = (text::count(wanted), text::count(free));
        return Ok(format!("left out, it needs {wanted} bytes and {free} are free"));
    }
    let entries = read.collect::<io::Result<Vec<_>>>()?;
    let source = Source { path: path.to_owned(), folder: dir.to_owned(), head, entries, beside: None };
    let to = scratch.join("restored");
    let tried = (|| {
        let done = restore::run(&source, Some((&to, OnThere::Fail)), &|_| true, check)?;
        if let Some(problem) = done.problems.first() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem.to_string()));
        }
        check::tree(&to, &mut source.entries.iter().cloned().map(Ok), check)?;
        Ok(text::counted(done.restored, "entry").replace("entrys", "entries"))
    })();
    if to.exists() {
        unlock(&to)?;
        fs::remove_dir_all(&to)?;
    }
    tried
}

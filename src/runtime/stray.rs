//! `unmatched = "fail"`: a complete file that no task takes goes to `failed/` with a record. No job is made of it; the
//! move is a single rename that either happened or did not; across devices, a copy whose source goes last.

use super::prepare::with_record;
use super::record::{self, About};
use super::shared::Shared;
use crate::files::dir::{Dir, is_cross_device};
use crate::files::names::{candidates, error_record_name, temp_name};
use crate::model::action::Level;
use crate::model::{Failure, JobId, Vars, crash, text};
use crate::triggers::watch::Stray;
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Longest record that is read back, in bytes; ours are far shorter.
const RECORD_MAX: u64 = 64 * 1024;

/// Moves one stray file.
pub fn fail(shared: &Shared, stray: &Stray) -> io::Result<()> {
    let config = shared.config.load();
    let source = stray.root.join(&stray.path);
    let name = stray.path.file_name().unwrap_or_default();
    let vars = Vars {
        name: name.to_owned(),
        task: "unmatched".into(),
        file_type: "other",
        host: shared.host.clone(),
        ..Vars::default()
    };
    let folder = config.base.join(config.failed.expand_folder(&vars));
    let failure = Failure::permanent("unmatched", "no task takes a file of this name");
    let about = About {
        outcome: "failed",
        task: "unmatched",
        job: 0,
        label: source.as_os_str().as_bytes(),
        attempts: 0,
        failure: Some(&failure),
        operator: None,
        at: shared.now(),
    };
    let from = shared.folders.get(source.parent().unwrap_or_else(|| Path::new("/")))?;
    let to = shared.folders.make(&folder)?;
    if is_finished(&from, &to, name, &source)? {
        return Ok(());
    }
    let reserved = shared.names.reserve(&folder.join(name), JobId(0), &|p| vec![with_record(p)], None)?;
    let file_name = |p: &Path| p.file_name().unwrap_or(OsStr::new("file")).to_owned();
    // The record first: a file without its reason would be worse than a reason without its file.
    let record_name = file_name(&reserved.paths[1]);
    let mut record = to.create_new(&record_name, 0o644)?;
    record.write_all(&record::render(&about))?;
    record.sync_all()?;
    crash::point("stray.record_written");
    let target = file_name(&reserved.paths[0]);
    let moved = match from.rename_to(name, &to, &target) {
        Err(e) if is_cross_device(&e) => copy(&from, name, &to, &target),
        other => other,
    };
    if let Err(e) = moved {
        to.unlink(&record_name)?;
        return Err(e);
    }
    crash::point("stray.moved");
    to.sync()?;
    from.sync()?;
    shared.log.append(
        Level::Warn,
        None,
        None,
        None,
        &format!("no task takes {}: moved to {}", text::path(&source), text::path(&folder)),
    );
    Ok(())
}

/// Clears up what a crash left of an earlier try: a record without its file goes, and a source whose copy is whole goes,
/// which finishes it. No file is here without its record.
fn is_finished(from: &Dir, to: &Dir, name: &OsStr, source: &Path) -> io::Result<bool> {
    let Some(seen) = from.stat(name)? else { return Ok(false) };
    for target in candidates(name, JobId(0)) {
        let record = error_record_name(&target);
        let there = to.stat(&target)?;
        if there.is_none() && to.stat(&record)?.is_none() {
            break;
        }
        if !is_about(to, &record, source) {
            continue;
        }
        match there {
            None => to.unlink(&record)?,
            // A copy keeps the time of its source, and a rename would have left no source.
            Some(there) if (there.facts.size, there.facts.mtime_ns) == (seen.facts.size, seen.facts.mtime_ns) => {
                if super::take::same_content(from, name, to, &target)? {
                    from.unlink(name)?;
                    return Ok(true);
                }
            }
            Some(_) => {}
        }
    }
    Ok(false)
}

/// Whether a record is about a stray file of this path.
fn is_about(folder: &Dir, record: &OsStr, source: &Path) -> bool {
    let mut raw = Vec::new();
    let read = folder.open_read(record).and_then(|(file, _)| file.take(RECORD_MAX).read_to_end(&mut raw));
    let value: serde_json::Value = read.ok().and_then(|_| serde_json::from_slice(&raw).ok()).unwrap_or_default();
    value["job"] == 0 && value["input"] == text::bytes(source.as_os_str().as_bytes())
}

fn copy(from: &Dir, name: &OsStr, to: &Dir, target: &OsStr) -> io::Result<()> {
    let seen = from.stat(name)?.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    let temp = temp_name(JobId(0), 0, u32::MAX);
    if super::take::copy_in(from, name, &seen, to, target, &temp)? {
        Ok(())
    } else {
        Err(io::Error::other("it changed while it was copied"))
    }
}

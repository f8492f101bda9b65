//! `unmatched = "fail"`: a complete file that no task takes goes to `failed/` with a record. No job is made of it; the
//! move is a single rename that either happened or did not; across devices, a copy whose source goes last.

use super::prepare::with_record;
use super::record::{self, About};
use super::shared::Shared;
use crate::files::dir::{Dir, is_cross_device};
use crate::files::names::temp_name;
use crate::model::action::Level;
use crate::model::{Failure, JobId, Vars, text};
use crate::triggers::watch::Stray;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

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
    let reserved = shared.names.reserve(&folder.join(name), JobId(0), &|p| vec![with_record(p)], None)?;
    let from = shared.folders.get(source.parent().unwrap_or_else(|| Path::new("/")))?;
    let to = shared.folders.make(&folder)?;
    let file_name = |p: &Path| p.file_name().unwrap_or(OsStr::new("file")).to_owned();
    // The record first: a file without its reason would be worse than a reason without its file.
    let record_name = file_name(&reserved.paths[1]);
    let mut record = to.create_new(&record_name, 0o644)?;
    record.write_all(&record::render(&about))?;
    record.sync_all()?;
    let target = file_name(&reserved.paths[0]);
    let moved = match from.rename_to(name, &to, &target) {
        Err(e) if is_cross_device(&e) => copy(&from, name, &to, &target),
        other => other,
    };
    if let Err(e) = moved {
        to.unlink(&record_name)?;
        return Err(e);
    }
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

fn copy(from: &Dir, name: &OsStr, to: &Dir, target: &OsStr) -> io::Result<()> {
    let seen = from.stat(name)?.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    let temp = temp_name(JobId(0), 0, u32::MAX);
    if super::take::copy_in(from, name, &seen, to, target, &temp)? {
        Ok(())
    } else {
        Err(io::Error::other("it changed while it was copied"))
    }
}

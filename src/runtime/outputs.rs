//! Outputs of an attempt: a temporary file beside each final name, and that name held until it is placed. Small ones are
//! handed over as bytes and written here in groups, by the thread that syncs the group: a thread for each of them, and a
//! second look at each file, cost more than the file.

use super::desk::Left;
use super::shared::Shared;
use crate::files::dir::Dir;
use crate::files::names::temp_name;
use crate::files::reserve::{self, Reservation, Taken};
use crate::model::action::{OUTPUT_BUSY, OnExists, SmallOutput};
use crate::model::job::Claimed;
use crate::model::{Failure, text};
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most bytes of an output that is kept in memory until its attempt is decided; what is larger is a file at once.
pub const SMALL_MAX: usize = 8 * 1024;
/// Numbers of the temporary names of small outputs begin here; files count up from 0.
const SMALL_N: u32 = 2_000_000;

/// A temporary output and the name that it will take.
#[derive(Debug)]
pub struct Temp {
    /// Folder of both.
    pub dir: Arc<Dir>,
    /// The temporary name.
    pub name: OsString,
    /// The final path.
    pub target: PathBuf,
    /// What becomes of it if that name is taken.
    pub on_exists: OnExists,
    /// A checkpoint leads to it: it stays where its attempt is cut off.
    pub noted: bool,
    /// The file, where nobody but us can have touched it since.
    pub file: Option<File>,
}

/// The final names of an output, held until they are placed. `has`: whether this job holds a name already.
pub fn hold(
    shared: &Shared,
    claimed: &Claimed,
    target: &Path,
    siblings: &dyn Fn(&Path) -> Vec<PathBuf>,
    on_exists: OnExists,
    has: impl Fn(&PathBuf) -> bool,
) -> Result<Reservation, Failure> {
    let fault = |e: &std::io::Error| Failure::io("output", "create", target, e);
    let names = &shared.names;
    if on_exists == OnExists::Suffix {
        return names.reserve(target, claimed.job, siblings, None).map_err(|e| fault(&e));
    }
    let had = names.exact(target, siblings, on_exists == OnExists::Replace).map_err(|e| fault(&e))?;
    had.map_err(|taken| match taken {
        // Waiting would be for itself.
        Taken::Held(path) if has(&path) => {
            let message = format!("two outputs of this job have the same name: {}", text::path(&path));
            Failure::permanent("output_twice", message)
        }
        Taken::Held(path) => Failure::transient(OUTPUT_BUSY, format!("another job is writing {}", text::path(&path))),
        other => output_exists(&other),
    })
}

/// Makes the temporary file number `n` of an attempt beside its final name.
pub fn open(
    shared: &Shared,
    claimed: &Claimed,
    n: u32,
    target: &Path,
    on_exists: OnExists,
) -> std::io::Result<(File, Temp)> {
    let folder = target.parent().unwrap_or_else(|| Path::new("/"));
    let dir = shared.folders.make(folder)?;
    let name = temp_name(claimed.job, claimed.attempt, n);
    let file = dir.create_new(&name, 0o666)?;
    Ok((file, Temp { dir, name, target: target.to_owned(), on_exists, noted: false, file: None }))
}

/// Writes the small outputs that an attempt handed over: from here on they are outputs like any other.
pub fn write_small(shared: &Shared, claimed: &Claimed, left: &mut Left) -> Result<(), Failure> {
    for (n, small) in (SMALL_N..).zip(std::mem::take(&mut left.small)) {
        let SmallOutput { target, on_exists, content } = small;
        let has = |path: &PathBuf| left.held.iter().any(|h| h.paths.contains(path));
        let held = hold(shared, claimed, &target, &|_| Vec::new(), on_exists, has)?;
        let path = held.paths.first().unwrap_or(&target);
        let (mut file, temp) =
            open(shared, claimed, n, path, on_exists).map_err(|e| Failure::io("output", "create", path, &e))?;
        let written = file.write_all(&content).map_err(|e| Failure::io("output", "write", path, &e));
        left.temps.push(Temp { file: Some(file), ..temp });
        left.held.push(held);
        written?;
    }
    Ok(())
}

/// What is said of an output whose name is taken, where it must be this very name.
fn output_exists(taken: &Taken) -> Failure {
    let message = match taken {
        Taken::NoFile(path) => format!("only a regular file is replaced, which this is not: {}", text::path(path)),
        Taken::There(path) | Taken::Held(path) => {
            format!("the output is there already, and on_exists is \"fail\": {}", text::path(path))
        }
    };
    Failure::permanent("output_exists", message)
}

/// Whether these outputs can still take the names that they must have, now that the attempt has ended.
pub fn still_free(temps: &[Temp]) -> Result<(), Failure> {
    for temp in temps.iter().filter(|t| t.on_exists != OnExists::Suffix) {
        match reserve::in_the_way(&temp.target, temp.on_exists == OnExists::Replace) {
            Ok(None) => {}
            Ok(Some(taken)) => return Err(output_exists(&taken)),
            Err(e) => return Err(Failure::io("output", "look at", &temp.target, &e)),
        }
    }
    Ok(())
}

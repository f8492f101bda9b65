//! One supervisor for each data folder and each watched folder. A lock is a file held open under `flock`: it goes with
//! the process, however that ends. Its content names the holder.

use crate::error::{Exit, Fatal};
use crate::model::job::OURS;
use crate::model::text;
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

/// Whoever only looks whether a lock is held has it for an instant: it is tried again a few times, this far apart.
const LOOK: Duration = Duration::from_millis(5);
/// How many times.
const LOOKS_MAX: u32 = 10;
/// And where the holder is dead: a program that it was about to start when it was killed keeps its files, until it
/// becomes that program.
const LOOKS_AFTER_DEATH_MAX: u32 = 600;

/// A lock held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Who holds a lock, as its file says.
fn holder(mut file: &File) -> String {
    let mut text = String::new();
    match file.read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => text::escape(text.trim()).into_owned(),
        _ => "another supervisor".into(),
    }
}

/// Whether the process that a lock names is no more.
fn is_left_by_the_dead(path: &Path) -> bool {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let pid = text.strip_prefix("process ").and_then(|rest| rest.split(' ').next()).and_then(|pid| pid.parse().ok());
    pid.is_some_and(|pid| kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH))
}

/// Takes the lock of a data folder.
pub fn data(path: &Path, config: &Path) -> Result<Lock, Fatal> {
    take(path, config, "the data folder", path.parent().unwrap_or(path))
}

/// Takes the lock of a watched folder.
pub fn root(root: &Path, config: &Path) -> Result<Lock, Fatal> {
    let ours = root.join(OURS);
    let made = std::fs::DirBuilder::new().mode(0o700).recursive(true).create(&ours);
    made.map_err(|e| Fatal::io("create", &ours, &e).hint("the supervisor needs to write in the folders it watches"))?;
    take(&ours.join("lock"), config, "the watched folder", root)
}

/// Whether somebody holds the lock of a data folder; who, if so.
pub fn is_held(path: &Path) -> Option<String> {
    let file = File::open(path).ok()?;
    match file.try_lock() {
        Ok(()) => None,
        Err(_) => Some(holder(&file)),
    }
}

fn take(path: &Path, config: &Path, what: &str, folder: &Path) -> Result<Lock, Fatal> {
    let open = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(path);
    let mut file = open.map_err(|e| Fatal::io("open the lock", path, &e))?;
    let mut tried = file.try_lock();
    for look in 0..LOOKS_AFTER_DEATH_MAX {
        if !matches!(tried, Err(TryLockError::WouldBlock)) || (look >= LOOKS_MAX && !is_left_by_the_dead(path)) {
            break;
        }
        std::thread::sleep(LOOK);
        tried = file.try_lock();
    }
    match tried {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(Fatal::new(
                Exit::Failed,
                format!("{what} {} is in use by {}", text::path(folder), holder(&file)),
            )
            .hint("stop that supervisor first, or use another folder"));
        }
        Err(TryLockError::Error(e)) => return Err(Fatal::io("lock", path, &e)),
    }
    // Written only while the lock is held; the content is for people.
    let line = format!("process {} with {}\n", std::process::id(), text::path(config));
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(line.as_bytes()))
        .map_err(|e| Fatal::io("write the lock", path, &e))?;
    Ok(Lock { _file: file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_and_told_who_the_first_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = data(&path, Path::new("/etc/a.toml")).unwrap();
        let refused = data(&path, Path::new("/etc/b.toml")).unwrap_err();
        assert!(refused.message.contains(&format!("process {}", std::process::id())), "{refused}");
        assert!(refused.message.contains("/etc/a.toml") && refused.exit == Exit::Failed);
        assert!(is_held(&path).is_some());
        drop(held);
        assert!(is_held(&path).is_none());
        data(&path, Path::new("/etc/b.toml")).unwrap();
    }

    #[test]
    fn a_lock_that_a_dead_holder_left_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = data(&path, Path::new("/etc/a.toml")).unwrap();
        // No process has this number: it is beyond what the kernel gives.
        std::fs::write(&path, "process 2147483646 with /etc/a.toml\n").unwrap();
        assert!(is_left_by_the_dead(&path));
        let other = path.clone();
        #[expect(clippy::disallowed_methods, reason = "a test that waits for another thread")]
        let waiting = std::thread::spawn(move || data(&other, Path::new("/etc/b.toml")).is_ok());
        // Longer than a live holder would be waited for.
        std::thread::park_timeout(LOOK * (LOOKS_MAX + 10));
        drop(held);
        assert!(waiting.join().unwrap());
    }
}

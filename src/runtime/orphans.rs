//! Children that outlived a killed supervisor. Each running child's group is noted in a file with the start time of
//! its leader; the next start ends what is still alive. A number alone is never trusted: it may be another's by now.

use super::shared::Shared;
use super::spawn::child::alive;
use crate::model::job::Claimed;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a group may take to die of KILL before the start goes on without it.
const PATIENCE: Duration = Duration::from_secs(2);

fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("children")
}

fn note(shared: &Shared, claimed: &Claimed) -> PathBuf {
    folder(&shared.config.load().data_dir).join(format!("{}-{}", claimed.job, claimed.attempt))
}

/// Notes a child's group.
pub fn remember(shared: &Shared, claimed: &Claimed, group: i32) {
    let path = note(shared, claimed);
    let Some(start) = start_time(group) else { return };
    let written =
        path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, format!("{group} {start}")));
    if let Err(error) = written {
        tracing::warn!("cannot note the child of job {}: {error}", claimed.job);
    }
}

/// Forgets it.
pub fn forget(shared: &Shared, claimed: &Claimed) {
    // A note that was never written is forgotten already.
    let _ = fs::remove_file(note(shared, claimed));
}

/// Ends the children that an earlier supervisor left; answers how many groups there were.
pub fn end_all(data_dir: &Path) -> usize {
    let Ok(notes) = fs::read_dir(folder(data_dir)) else { return 0 };
    let mut ended = 0;
    for entry in notes.flatten() {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        let mut words = text.split_whitespace();
        let group: Option<i32> = words.next().and_then(|w| w.parse().ok());
        let start = words.next();
        if let (Some(group), Some(start)) = (group, start)
            && group > 1
            && start_time(group).as_deref() == Some(start)
        {
            ended += 1;
            end(group);
        }
        let _ = fs::remove_file(entry.path());
    }
    ended
}

fn end(group: i32) {
    let deadline = Instant::now() + PATIENCE;
    while killpg(Pid::from_raw(group), Signal::SIGKILL).is_ok() && alive(group) && Instant::now() < deadline {
        std::thread::yield_now();
    }
}

/// Field 22 of `/proc/PID/stat`: when the process started, in ticks since boot.
fn start_time(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    after_name.split_whitespace().nth(19).map(str::to_owned)
}

//! Children that outlived a killed supervisor. A note is made before a child starts, and the child has its path in the
//! environment; once it runs, its group is noted with the start time of its leader. The next start ends what is still
//! alive. A number alone is never trusted: it may be another's by now.

use super::shared::Shared;
use super::spawn::child::alive;
use crate::model::job::Claimed;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a group may take to die of KILL before the start goes on without it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two looks at whether it is dead.
const LOOK: Duration = Duration::from_millis(5);
/// Fields of `/proc/PID/stat` after the name: the state, the process group, and the time of the start.
const STATE: usize = 0;
const GROUP: usize = 2;
const START: usize = 19;

fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("children")
}

fn note(shared: &Shared, claimed: &Claimed) -> PathBuf {
    folder(&shared.config.load().data_dir).join(format!("{}-{}", claimed.job, claimed.attempt))
}

/// The variable that leads from a process to the note of its job.
pub const NOTE: &str = "SHIFTBOSS_NOTE";

/// Makes the note of a child that is about to start; answers the value of [`NOTE`].
pub fn announce(shared: &Shared, claimed: &Claimed) -> OsString {
    let path = note(shared, claimed);
    let made = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, ""));
    if let Err(error) = made {
        tracing::warn!("cannot note the child of job {}: {error}", claimed.job);
    }
    path.into_os_string()
}

/// Notes a child's group.
pub fn remember(shared: &Shared, claimed: &Claimed, group: i32) {
    let path = note(shared, claimed);
    let Some(start) = start_time(group) else { return };
    if let Err(error) = fs::write(&path, format!("{group} {start}")) {
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
            && is_ours(group, start, &entry.file_name().to_string_lossy())
        {
            ended += 1;
            end(group);
        }
        // One that was killed before its group was noted, and what left the group.
        let strays = with_variable(format!("{NOTE}={}", entry.path().display()).as_bytes());
        ended += usize::from(!strays.is_empty());
        for pid in strays {
            end_one(pid);
        }
        let _ = fs::remove_file(entry.path());
    }
    ended
}

fn end(group: i32) {
    let deadline = Instant::now() + PATIENCE;
    while killpg(Pid::from_raw(group), Signal::SIGKILL).is_ok() && alive(group) && Instant::now() < deadline {
        std::thread::sleep(LOOK);
    }
}

fn end_one(pid: i32) {
    let deadline = Instant::now() + PATIENCE;
    let works = || field(pid, STATE).is_some_and(|state| state != "Z" && state != "X");
    while kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok() && works() && Instant::now() < deadline {
        std::thread::sleep(LOOK);
    }
}

/// Processes with a variable of this name and value.
fn with_variable(variable: &[u8]) -> Vec<i32> {
    let has = |pid: &i32| {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|&b| b == 0).any(|v| v == variable)
    };
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.flatten().filter_map(|p| p.file_name().to_str()?.parse::<i32>().ok());
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    pids.filter(|pid| *pid != own && has(pid)).collect()
}

/// Whether a group is the one that was noted. Its leader tells by when it started; where the leader has gone and
/// others of the group live on, they tell by the job and attempt in their environment.
fn is_ours(group: i32, start: &str, note: &str) -> bool {
    if let Some(now) = start_time(group) {
        return now == start;
    }
    let Some((job, attempt)) = note.split_once('-') else { return false };
    let wanted = [format!("SHIFTBOSS_JOB={job}"), format!("SHIFTBOSS_ATTEMPT={attempt}")];
    let Ok(processes) = fs::read_dir("/proc") else { return false };
    let pids = processes.flatten().filter_map(|p| p.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| field(*pid, GROUP).is_some_and(|g| g == group.to_string())).any(|pid| {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        wanted.iter().all(|w| environ.split(|&b| b == 0).any(|v| v == w.as_bytes()))
    })
}

/// When a process started, in ticks since boot.
fn start_time(pid: i32) -> Option<String> {
    field(pid, START)
}

/// A field of `/proc/PID/stat`, counted from the one after the name.
fn field(pid: i32, n: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    after_name.split_whitespace().nth(n).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    /// A group whose leader has gone and whose member lives on.
    fn headless(job: &str) -> (i32, String) {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & read end"]).env("SHIFTBOSS_JOB", job).env("SHIFTBOSS_ATTEMPT", "2");
        let mut leader =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn().unwrap();
        let group = i32::try_from(leader.id()).unwrap();
        let start = start_time(group).unwrap();
        while members(group) < 2 {
            std::thread::sleep(LOOK);
        }
        drop(leader.stdin.take());
        leader.wait().unwrap();
        (group, start)
    }

    fn members(group: i32) -> usize {
        let pids = fs::read_dir("/proc").unwrap().flatten();
        let pids = pids.filter_map(|p| p.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|pid| field(*pid, GROUP).is_some_and(|g| g == group.to_string())).count()
    }

    #[test]
    fn a_group_is_ended_though_its_leader_has_gone_and_never_on_a_number_alone() {
        let data = tempfile::tempdir().unwrap();
        let notes = folder(data.path());
        fs::create_dir(&notes).unwrap();
        let (ours, other) = (headless("7"), headless("8"));
        fs::write(notes.join("7-2"), format!("{} {}", ours.0, ours.1)).unwrap();
        fs::write(notes.join("9-2"), format!("{} {}", other.0, other.1)).unwrap();
        assert_eq!(end_all(data.path()), 1);
        assert!(!alive(ours.0));
        assert!(alive(other.0), "the note is of another job");
        end(other.0);
        assert_eq!(fs::read_dir(notes).unwrap().count(), 0);
    }

    #[test]
    fn a_program_is_found_by_its_note_before_its_group_is_noted_and_after_it_left_it() {
        let data = tempfile::tempdir().unwrap();
        let notes = folder(data.path());
        fs::create_dir(&notes).unwrap();
        let start = |note: PathBuf| {
            let mut command = Command::new("sleep");
            command.arg("600").env(NOTE, &note).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.process_group(0).spawn().unwrap()
        };
        let (mut ours, mut other) = (start(notes.join("7-2")), start(data.path().join("elsewhere/7-2")));
        fs::write(notes.join("7-2"), "").unwrap();
        assert_eq!(end_all(data.path()), 1);
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ours.wait().unwrap()), Some(9));
        assert!(other.try_wait().unwrap().is_none(), "it belongs to another supervisor");
        other.kill().unwrap();
        other.wait().unwrap();
    }
}

//! A program held where it is, so that a test can act in the middle of its work however fast the machine is.

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Holds a child of this test where it is, and waits until each of its threads stands still.
#[track_caller]
pub fn freeze(child: u32) {
    let pid = pid(child);
    kill(pid, Signal::SIGSTOP).unwrap();
    let status = waitpid(pid, Some(WaitPidFlag::WUNTRACED)).unwrap();
    assert_eq!(status, WaitStatus::Stopped(pid, Signal::SIGSTOP), "it ended before it could be held");
}

/// Lets it go on.
pub fn thaw(child: u32) {
    kill(pid(child), Signal::SIGCONT).unwrap();
}

fn pid(child: u32) -> Pid {
    Pid::from_raw(i32::try_from(child).unwrap())
}

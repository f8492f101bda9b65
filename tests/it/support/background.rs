//! A supervisor that the program started by itself, in the background: it must not outlive the test.

use super::{STEP, Site};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Ends the supervisor of a site, if there is one, when it is dropped.
pub struct Background {
    lock: PathBuf,
}

impl Background {
    /// Watches over a site.
    pub fn of(site: &Site) -> Self {
        Self { lock: site.path("data/lock") }
    }

    /// The process that holds the data folder; none if nobody does.
    pub fn pid(&self) -> Option<i32> {
        let file = std::fs::File::open(&self.lock).ok()?;
        if file.try_lock().is_ok() {
            return None;
        }
        std::fs::read_to_string(&self.lock).ok()?.split_whitespace().nth(1)?.parse().ok()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(5);
        while let Some(pid) = self.pid() {
            let late = Instant::now() > deadline;
            let _ = kill(Pid::from_raw(pid), if late { Signal::SIGKILL } else { Signal::SIGTERM });
            std::thread::park_timeout(STEP);
        }
    }
}

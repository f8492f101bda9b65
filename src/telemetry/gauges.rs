//! What the machine does: cores, memory, the data folder's disk, our own memory.
//!
//! Read at most every [`EVERY`], and only what is shown. A value that cannot be read is 0, never an error.

use crate::model::view;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Shortest time between two readings; asked sooner, the last one is handed out.
pub const EVERY: Duration = Duration::from_secs(2);

/// Reads the machine's gauges.
pub struct Gauges {
    data_dir: PathBuf,
    state: Mutex<State>,
}

struct State {
    system: Option<System>,
    own: Option<Pid>,
    read_at: Option<Instant>,
    last: view::Gauges,
}

impl Gauges {
    /// Gauges of this machine and of the disk that `data_dir` lies on.
    #[must_use]
    pub fn new(data_dir: PathBuf) -> Self {
        let (system, own) = (System::new().ok(), sysinfo::get_current_pid().ok());
        Self { data_dir, state: Mutex::new(State { system, own, read_at: None, last: view::Gauges::default() }) }
    }

    /// The gauges. Reads a few files of the kernel, at most every [`EVERY`]; the load of the cores is that since the
    /// reading before, and 0 at first.
    #[must_use]
    pub fn sample(&self) -> view::Gauges {
        self.sample_at(Instant::now())
    }

    fn sample_at(&self, now: Instant) -> view::Gauges {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.read_at.is_none_or(|at| now.saturating_duration_since(at) >= EVERY) {
            state.read_at = Some(now);
            state.last = self.read(&mut state);
        }
        state.last.clone()
    }

    fn read(&self, state: &mut State) -> view::Gauges {
        let mut gauges = view::Gauges::default();
        if let Some(system) = &mut state.system {
            system.refresh_cpu_specifics(CpuRefreshKind::nothing().with_usage());
            system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
            gauges.cpu_percent = system.cpus().iter().map(|c| c.usage().clamp(0.0, 100.0)).collect();
            gauges.memory_used_bytes = system.used_memory();
            gauges.memory_total_bytes = system.total_memory();
            if let Some(own) = state.own {
                let kind = ProcessRefreshKind::nothing().with_memory().without_tasks();
                system.refresh_processes_specifics(ProcessesToUpdate::Some(&[own]), false, kind);
                gauges.process_memory_bytes = system.process(own).map_or(0, sysinfo::Process::memory);
            }
        }
        if let Ok(disk) = nix::sys::statvfs::statvfs(&self.data_dir) {
            // What an ordinary user may fill, not what root may.
            let unit = disk.fragment_size();
            gauges.disk_free_bytes = disk.blocks_available().saturating_mul(unit);
            gauges.disk_total_bytes = disk.blocks().saturating_mul(unit);
        }
        gauges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_read_at_most_every_two_seconds() {
        let dir = tempfile::tempdir().unwrap();
        let gauges = Gauges::new(dir.path().to_path_buf());
        let start = Instant::now();
        let first = gauges.sample_at(start);
        assert!(!first.cpu_percent.is_empty() && first.cpu_percent.iter().all(|p| (0.0..=100.0).contains(p)));
        assert!(first.memory_used_bytes > 0 && first.memory_used_bytes <= first.memory_total_bytes);
        assert!(first.disk_free_bytes <= first.disk_total_bytes && first.disk_total_bytes > 0);
        assert!((1..first.memory_total_bytes).contains(&first.process_memory_bytes));

        gauges.state.lock().unwrap().last.memory_total_bytes = 1;
        assert_eq!(gauges.sample_at(start + EVERY / 2).memory_total_bytes, 1, "the last reading");
        assert_eq!(gauges.sample_at(start + EVERY).memory_total_bytes, first.memory_total_bytes, "a new one");
    }

    #[test]
    fn a_disk_that_is_gone_is_no_error() {
        let gauges = Gauges::new(PathBuf::from("/nowhere/at/all"));
        assert_eq!(gauges.sample().disk_total_bytes, 0);
    }
}

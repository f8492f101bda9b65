//! What changes all the time: gauges, throughput, progress, and the ticks that carry them.

use super::{Counts, HostView};
use crate::model::JobId;
use serde::{Deserialize, Serialize};

/// What the machine does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gauges {
    /// Load of each core in percent, 0 to 100.
    pub cpu_percent: Vec<f32>,
    /// Memory in use, in bytes.
    pub memory_used_bytes: u64,
    /// Memory in all, in bytes.
    pub memory_total_bytes: u64,
    /// Room left on the data folder's disk, in bytes.
    pub disk_free_bytes: u64,
    /// Size of that disk, in bytes.
    pub disk_total_bytes: u64,
    /// Resident memory of the supervisor, in bytes.
    pub process_memory_bytes: u64,
}

/// How much work flows. The series hold one value for each of the last seconds, oldest first, at most
/// [`Throughput::SERIES_MAX`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Throughput {
    /// Jobs that were over in each second.
    pub jobs_per_second: Vec<u32>,
    /// Bytes of their inputs and outputs in each second.
    pub bytes_per_second: Vec<u64>,
    /// Jobs queued at the end of each second.
    pub queue_depth: Vec<u64>,
}

impl Throughput {
    /// Length of each series, in seconds.
    pub const SERIES_MAX: usize = 120;
}

/// Live progress of a running job, from memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProgressView {
    /// The job.
    pub job: JobId,
    /// Bytes consumed.
    pub bytes: u64,
    /// Bytes in all, where known.
    pub bytes_total: Option<u64>,
    /// Records done, good and bad.
    pub rows: u64,
    /// Records written, where they are counted.
    #[serde(default)]
    pub rows_out: Option<u64>,
    /// Records that were set aside.
    #[serde(default)]
    pub rejected: u64,
    /// Records a second of late, once that can be told.
    #[serde(default)]
    pub rows_per_second: Option<u64>,
    /// Bytes of the input a second of late, once that can be told.
    #[serde(default)]
    pub bytes_per_second: Option<u64>,
    /// How long it will take at this speed, in milliseconds, where that can be told.
    #[serde(default)]
    pub left_ms: Option<u64>,
}

impl ProgressView {
    /// How much of the input is done, from 0 to 1, where its size is known.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        let total = self.bytes_total.filter(|total| *total > 0)?;
        Some((self.bytes as f64 / total as f64).clamp(0.0, 1.0))
    }
}

/// One tick of the event stream: at most four a second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tick {
    /// Rises whenever a job changed.
    pub rev: i64,
    /// Jobs by state.
    pub counts: Counts,
    /// What the machine does.
    pub gauges: Gauges,
    /// Finished jobs in the last full second.
    pub jobs_per_second: u32,
    /// Bytes in and out in the last full second.
    pub bytes_per_second: u64,
    /// Names of the tasks whose jobs changed since the last tick.
    pub touched: Vec<String>,
    /// Live progress of running jobs.
    pub progress: Vec<ProgressView>,
    /// Rises whenever banners, tasks, pauses or listed files changed: time to ask for `status` again.
    pub status_rev: u64,
    /// `running` or `draining`.
    pub state: String,
    /// The supervisor's clock, milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// Hosts that jobs call, the most interesting ones first: closed, failing, busy; the first [`HostView::MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostView>,
}

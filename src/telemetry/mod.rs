//! What the supervisor tells about itself: the log, the gauges of the machine, the flow of work.
//!
//! None of it is on the path of a job: a log that cannot be written, a gauge that cannot be read and a reader that is
//! too slow cost lines or values, which are counted, never work.

pub mod gauges;
pub mod logs;
pub mod throughput;
pub mod tracing_setup;

pub use gauges::Gauges;
pub use logs::Log;
pub use throughput::Throughput;

//! The runtime acts: it owns the one loop that feeds the kernel and carries out its effects, and everything that work
//! needs: taking files, workers, the pipeline that decides and places, watched folders, operator actions, recovery.
//!
//! It guarantees that every job started is decided exactly once, that nothing visible happens before its decision is on
//! the disk, and that a stop says who is still running.

mod alerting;
mod conditions;
mod desk;
mod devices;
mod folders;
mod health;
mod hosts;
mod housekeeping;
mod idle;
mod keep;
pub mod locks;
mod looping;
mod memory;
mod meter;
mod network;
mod operate;
mod orphans;
mod outputs;
mod pipeline;
mod placing;
mod plan;
mod planning;
mod prepare;
mod read;
mod record;
pub mod recover;
mod roots;
mod ruling;
mod schedules;
mod scheduling;
pub mod secrets;
mod shared;
mod signals;
mod spawn;
mod spill;
mod spool;
mod start;
mod stop;
mod stray;
mod sync;
mod take;
mod temps;
#[cfg(test)]
mod tests;
mod ticks;
mod trigger;
mod unusual;
mod watching;
mod why;
mod worker;

pub use folders::named as named_folders;
pub use hosts::Gate;
pub use network::NoAnswers;
pub use operate::Operations;
pub use read::Reads;
pub use shared::Shared;
pub use spawn::{Tracker, background, crew};
pub use start::{Control, Ended, Mode, Offline, Options, Supervisor, levels, limits, offline};
pub use why::Reasons;

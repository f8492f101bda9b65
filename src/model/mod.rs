//! The shared vocabulary: plain data, and the ports (traits) that the parts meet at.
//!
//! Nothing in here does I/O, starts a task, reads a clock or knows SQL, HTTP or a screen. Everything else may
//! import `model`; `model` imports nothing of ours.

pub mod action;
pub mod alert;
pub mod anomaly;
pub mod block;
pub mod complaint;
pub mod condition;
pub mod crash;
pub mod failure;
pub mod figure;
pub mod filter;
pub mod ids;
pub mod job;
pub mod ledger;
pub mod ports;
pub mod retry;
#[cfg(test)]
pub mod sample;
pub mod schedule;
pub mod secret;
mod size;
pub mod state;
pub mod statistics;
pub mod task;
pub mod template;
pub mod text;
pub mod time;
pub mod tree;
pub mod view;

pub use action::{Action, Desk, FileType, Input, JobOrder, Kind, OnExists, OutputFile, PlanOrder, Report, Work};
pub use block::Block;
pub use failure::{ContextLine, Detail, Failure, FailureClass};
pub use filter::{Filter, FilterError};
pub use ids::{CauseId, JobId, RunId, SelectionId};
pub use retry::RetryPolicy;
pub use schedule::Schedule;
pub use secret::Secret;
pub use state::{JobState, Outcome, RunState};
pub use task::{After, AfterOn, Duplicates, OnInterrupt, Task, TaskName, Trigger, Unmatched, Watch};
pub use template::{Placeholder, Template, TemplateError, Vars};
pub use time::Millis;

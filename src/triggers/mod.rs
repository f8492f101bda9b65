//! What starts a job. [`watch`] notices files that land in folders.

pub mod watch;

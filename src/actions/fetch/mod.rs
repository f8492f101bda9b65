//! `fetch`: calls many URLs at once, politely, and keeps every answer or the reason why there is none.
//!
//! A run is planned into one job for each URL, so that each is retried, skipped and inspected alone. A job waits at the
//! gate of its host before every request it sends.

pub mod spec;

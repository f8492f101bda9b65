//! The outer rings of tests, in one binary: the rules of the house, the command line, the supervisor over its socket,
//! the whole program in a pseudo-terminal, and the program killed wherever it can be. Nothing here needs root, a
//! network or an installed service.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends at the first surprise")]
#![allow(clippy::disallowed_methods, reason = "tests do what operators and other programs do")]
#![allow(clippy::print_stdout, reason = "a big run prints its figures")]

mod alerts;
mod backup;
mod cli;
mod combined;
#[cfg(debug_assertions)] // in a release build there are no crash points
mod crash;
mod daemon;
mod demo;
mod docs;
mod fetch;
mod kill;
mod places;
mod proof;
mod pty;
mod report;
mod schedule;
mod support;
mod tidy;
mod transform;
mod unusual;

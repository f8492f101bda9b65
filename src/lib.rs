//! shiftboss supervises work on a server: files that land in folders are processed, retried and put where they
//! belong, and an operator sees over SSH what broke and retries or skips it with a keystroke.
//!
//! The map, in reading order:
//!
//! - [`model`]: the vocabulary, and the ports that parts meet at
//! - [`error`], [`clock`], [`trust`]: what may go wrong for the program, what time it is, and whose certificates hold
//! - [`config`]: a TOML file becomes checked tasks, or a list of problems with their places
//! - [`kernel`]: decides; pure
//! - [`store`]: remembers; the only place that knows SQL
//! - [`files`]: brings files under control and puts them where they belong
//! - [`triggers`], [`actions`]: what starts a job, and what a job does
//! - [`runtime`]: acts on what the kernel decides
//! - [`alerts`]: what people outside are told, and when
//! - [`telemetry`]: logs, gauges, throughput
//! - [`control`]: the socket
//! - [`tui`]: a client that draws
//! - [`cli`], [`modes`]: the command line, and the composition root

pub mod clock;
pub mod error;
pub mod model;
pub mod trust;

pub mod actions;
pub mod alerts;
pub mod cli;
pub mod config;
pub mod control;
pub mod files;
pub mod kernel;
pub mod modes;
pub mod runtime;
pub mod store;
pub mod telemetry;
pub mod triggers;
pub mod tui;

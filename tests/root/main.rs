//! Tests that need root: full disks, other file systems, other users, failing system calls and power cuts. They are no
//! part of `cargo test`; `.ci/run` runs them with `cargo test --test root`. A missing tool is a failure. Where the
//! kernel itself refuses (a container without mounts), the test says so and is left out.

mod cuts;
mod disks;
mod mounts;
#[path = "../it/support/mod.rs"]
#[expect(unused_imports, reason = "these tests open no terminal")]
mod support;
mod tables;
mod users;

use std::process::Command;

/// Ends the test here, loudly, unless it runs as root.
#[track_caller]
fn need_root() {
    assert!(nix::unistd::geteuid().is_root(), "this test needs root: run it with `sudo -E cargo test --test root`");
}

/// Ends the test here unless a tool is installed.
#[track_caller]
fn need(tool: &str) {
    let found = Command::new("sh").args(["-c", &format!("command -v {tool}")]).output().unwrap();
    assert!(found.status.success(), "this test needs {tool}: install it first");
}

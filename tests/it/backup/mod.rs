//! `backup` and `restore`, the real binary on real files: what comes back, what a death leaves, and what old copies
//! become. Whether a copy is whole is told by `restore --verify` and by the files themselves.

mod killed;
mod oneshot;
#[cfg(debug_assertions)] // in a release build there are no crash points
mod points;

use super::proof::World;
use serde_json::Value;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

/// The crash points that these tests die at.
pub const POINTS: &[&str] =
    &["backup.tree_whole", "backup.tree_named", "backup.archive_deleted", "backup.tree_unnamed"];

/// A task by hand with this table for `backup`.
fn task(backup: &str) -> String {
    format!("[tasks.nightly]\nmanual = true\nbackup = {{ paths = [\"in\"], dir = \"backup\", {backup} }}\n")
}

/// Files to be copied: small ones, and enough bytes that a copy takes a while.
fn furnish(world: &World, megabytes: usize) {
    std::fs::create_dir_all(world.path("in/많다")).unwrap();
    for n in 0..100 {
        std::fs::write(world.path(format!("in/많다/{n}.txt")), format!("file {n}\n").repeat(n)).unwrap();
    }
    let mut state = 1_u64;
    let noise: Vec<u8> = (0..megabytes << 20)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_le_bytes()[7]
        })
        .collect();
    std::fs::write(world.path("in/large.bin"), noise).unwrap();
}

/// Starts the task by hand and runs it to its end.
#[track_caller]
fn back_up(world: &World) {
    world.line("trigger nightly").expect(0);
    world.settle();
}

/// A copy, as its manifest says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Made {
    planned: i64,
    run: i64,
    path: PathBuf,
}

/// Manifests of copies, the newest first; whole or not.
fn made(world: &World) -> Vec<Made> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(world.path("backup")).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let manifest = match name.strip_suffix(".manifest.ndjson") {
            Some(archive) if path.with_file_name(archive).exists() => path.clone(),
            None if path.is_dir() && !name.ends_with(".part") => path.join(".shiftboss-manifest.ndjson"),
            _ => continue,
        };
        let Ok(text) = std::fs::read_to_string(&manifest) else { continue };
        let Ok(head) = serde_json::from_str::<Value>(text.lines().next().unwrap_or_default()) else { continue };
        found.push(Made { planned: head["planned_ms"].as_i64().unwrap(), run: head["run"].as_i64().unwrap(), path });
    }
    found.sort_by(|a, b| b.cmp(a));
    found
}

/// Whether every byte of a copy is as it was.
fn is_whole(world: &World, copy: &Path) -> bool {
    let ran = world.run(["restore".as_ref(), copy.as_os_str(), "--verify".as_ref()]);
    assert_eq!(ran.status.signal(), None, "{ran:?}");
    ran.status.success()
}

/// The newest copy that is whole.
fn newest_whole(world: &World) -> Option<Made> {
    made(world).into_iter().find(|made| is_whole(world, &made.path))
}

//! Named points where a test can make the process die, exactly as a power cut or `kill -9` would.
//!
//! Only in builds with debug assertions: in a release build [`point`] is empty, and a test checks that.

/// Every point of the protocol, in the order of its steps. A test holds this list against the calls in the source.
pub const POINTS: &[&str] = &[
    // The first start: before anything is recovered, and between the parts of the recovery.
    "recover.begin",
    "recover.placed",
    "recover.prepared",
    "recover.decided",
    "recover.interrupted",
    "recover.swept",
    // S1: a complete file enters the queue.
    "s1.before_land",
    "s1.after_land",
    // S2: the claim's commit.
    "s2.before_claim",
    "s2.after_claim",
    // S3: the file comes under our control.
    "s3.before_move",
    "s3.copying",
    "s3.copied",
    "s3.after_move",
    // S4: the action works.
    "s4.before_work",
    "s4.in_output",
    "s4.child_started",
    "s4.before_expand",
    "s4.after_expand",
    "s4.before_checkpoint",
    "s4.after_checkpoint",
    "s4.resumed",
    "s4.forgotten",
    "s4.after_work",
    // S5: everything that the decision needs reaches the disk.
    "s5.record_written",
    "s5.original_copied",
    "s5.before_sync",
    "s5.after_sync",
    // S6: the point of no return.
    "s6.before_decide",
    "s6.after_decide",
    // S7: the renames, one by one.
    "s7.before_move",
    "s7.after_move",
    // S8: the folders reach the disk, then the sources of copies go.
    "s8.before_sync",
    "s8.after_sync",
    "s8.sources_removed",
    // S9: the end of the job.
    "s9.before_finish",
    "s9.after_finish",
    // What an operator does, before and after its durable step.
    "op.copied",
    "op.recorded",
    "op.before_retry",
    "op.after_retry",
    "op.noted",
    "op.before_aside",
    "op.after_aside",
    "op.before_mark",
    "op.after_mark",
    // A file that no task takes, where these fail: no job is made of it.
    "stray.record_written",
    "stray.moved",
    // A backup: a tree gets its name, and an old copy goes.
    "backup.tree_whole",
    "backup.tree_named",
    "backup.archive_deleted",
    "backup.tree_unnamed",
    // Every commit of the store.
    "store.before_commit",
];

/// The variable that names the point: `NAME`, or `NAME:N` for the N-th time it is reached.
pub const VARIABLE: &str = "SHIFTBOSS_CRASH_AT";

/// Dies here, by SIGKILL, if this point was named in the environment.
#[inline]
pub fn point(name: &str) {
    debug_assert!(POINTS.contains(&name), "not in the list of crash points: {name}");
    #[cfg(debug_assertions)]
    armed(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

#[cfg(debug_assertions)]
fn armed(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static TARGET: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static REACHED: AtomicU64 = AtomicU64::new(0);
    let target = TARGET.get_or_init(|| {
        let value = std::env::var(VARIABLE).ok()?;
        Some(match value.split_once(':') {
            Some((name, n)) => (name.to_owned(), n.parse().unwrap_or(1)),
            None => (value, 1),
        })
    });
    let Some((wanted, n)) = target else { return };
    if wanted == name && REACHED.fetch_add(1, Ordering::SeqCst) + 1 == *n {
        // SIGKILL: no destructor, no flush, no handler runs.
        let _ = nix::sys::signal::kill(nix::unistd::getpid(), nix::sys::signal::Signal::SIGKILL);
    }
}

#[cfg(test)]
mod tests {
    use super::POINTS;
    use std::collections::BTreeSet;
    use std::path::Path;

    /// Names of the points in the source below a folder.
    fn calls(dir: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                calls(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let names = text.split("crash::point(\"").skip(1).filter_map(|rest| rest.split('"').next());
                found.extend(names.map(str::to_owned));
            }
        }
    }

    #[test]
    fn the_list_and_the_calls_agree() {
        let mut found = BTreeSet::new();
        calls(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        // This file names no point of its own; the text searched for is not one.
        found.retain(|name| !name.contains(['(', '\\', ' ']));
        let listed: BTreeSet<String> = POINTS.iter().map(|p| (*p).to_owned()).collect();
        assert_eq!(listed.len(), POINTS.len(), "a point is listed twice");
        assert_eq!(found, listed);
    }
}

//! The supervisor is killed at random moments of a backup and of the deletion of old copies: at every moment there is a
//! whole copy, and none that looks whole is not. The large run:
//!
//! ```text
//! KILLS=200 SEED=1 cargo test --release --test it backup::killed -- --nocapture
//! ```

use super::{back_up, furnish, made, newest_whole, task};
use crate::proof::World;
use std::process::Stdio;
use std::time::{Duration, Instant};

fn setting(name: &str, standard: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(standard)
}

/// `most`: copies that are left in the end.
fn killed(form: &str, kills: u64, most: usize) {
    let world = World::new(&task(&format!("{form}, keep = {{ min = 1 }}")));
    furnish(&world, 12);
    back_up(&world);
    let began = Instant::now();
    back_up(&world);
    let whole_run = began.elapsed();
    let mut state = setting("SEED", 1);
    let mut before = newest_whole(&world).expect("the first copies are whole");
    let mut cut = 0;
    for kill in 0..kills {
        world.line("trigger nightly").expect(0);
        let mut child =
            world.command(["run", "--until-idle"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let share = f64::from(u32::try_from(state >> 33).unwrap()) / f64::from(1_u32 << 31);
        std::thread::park_timeout(whole_run.mul_f64(share * 1.2).max(Duration::from_millis(1)));
        if child.try_wait().unwrap().is_none() {
            cut += 1;
            child.kill().unwrap();
        }
        child.wait().unwrap();
        let now = newest_whole(&world).unwrap_or_else(|| panic!("kill {kill}: no copy is whole"));
        assert!(now >= before, "kill {kill}: {before:?} was whole, and now {now:?} is the newest one");
        before = now;
    }
    assert!(cut * 3 >= kills, "{cut} of {kills} were cut: the moments are wrong");
    back_up(&world);
    back_up(&world);
    let left = made(&world);
    assert!(left.len() <= most, "old copies go in the end: {left:?}");
    assert!(left.iter().all(|made| super::is_whole(&world, &made.path)), "{left:?}");
    let names = std::fs::read_dir(world.path("backup")).unwrap().map(|e| e.unwrap().file_name());
    let names: Vec<_> = names.map(|n| n.into_string().unwrap()).collect();
    assert!(!names.iter().any(|n| n.ends_with(".part")), "{names:?}");
}

#[test]
fn a_whole_archive_is_there_after_any_kill() {
    killed("form = \"tar.zst\"", setting("KILLS", 12), 2);
}

#[test]
fn a_whole_chain_is_there_after_any_kill() {
    // The first one holds what all others need.
    killed("incremental = true", setting("KILLS", 6), 3);
}

#[test]
fn a_whole_tree_is_there_after_any_kill() {
    killed("form = \"tree\"", setting("KILLS", 8), 2);
}

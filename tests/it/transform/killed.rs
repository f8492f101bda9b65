//! The supervisor is killed in the middle of a transform, again and again: the output is absent or whole, never a part,
//! and in the end it is right. The large run:
//!
//! ```text
//! KILLS=50 SEED=1 cargo test --release --test it transform::killed -- --nocapture
//! ```

use super::super::support::{Site, until};
use super::{SQL, processed, table};
use std::process::Stdio;
use std::time::Duration;

/// Rows of the table: some tenths of a second of work.
const ROWS: u64 = if cfg!(debug_assertions) { 400_000 } else { 4_000_000 };

fn setting(name: &str, standard: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(standard)
}

#[test]
fn an_output_is_absent_or_whole_after_any_kill() {
    let (kills, seed) = (setting("KILLS", 5), setting("SEED", 1));
    let site = Site::new(&format!(
        "[tasks.orders]\nwatch = {{ dir = \"inbox\", match = [\"*.csv\"], settle = \"10ms\" }}\n\
         transform = {{ sql = \"{SQL}\", output = \"out/{{stem}}.csv\" }}\n"
    ));
    let (input, expected) = (table(ROWS), processed(ROWS));
    let mut state = seed;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut done = 0;
    for kill in 0..kills {
        let name = format!("t{kill}");
        site.land(&format!("inbox/{name}.csv"), &input);
        let mut child = site.command(["run"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Counted from when the work has begun, so that a slow machine is killed in the middle too.
        until("the work to begin", || {
            let begun =
                site.tree("out").iter().any(|f| f.contains(".sb-")) || site.path(format!("out/{name}.csv")).exists();
            begun.then_some(())
        });
        std::thread::park_timeout(Duration::from_millis(random(150)));
        child.kill().unwrap();
        child.wait().unwrap();
        let output = site.path(format!("out/{name}.csv"));
        if output.exists() {
            done += 1;
            assert!(
                std::fs::read_to_string(&output).unwrap() == expected,
                "seed {seed}, kill {kill}: a part is visible"
            );
        }
        site.run("run --until-idle").expect(0);
        assert!(
            std::fs::read_to_string(&output).unwrap() == expected,
            "seed {seed}, kill {kill}: wrong after a restart"
        );
    }
    println!("seed {seed}: {kills} kills, {done} outputs were there at once");
    let mut names: Vec<_> = (0..kills).map(|kill| format!("out/t{kill}.csv")).collect();
    names.sort();
    assert_eq!(site.tree("out"), names, "nothing twice, nothing temporary");
    assert_eq!(site.tree("failed"), [""; 0]);
}

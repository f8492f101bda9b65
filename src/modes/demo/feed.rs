//! Feeds the demo's inbox, calmly and for ever, and takes away what is old, so that the workspace stays small.

use super::files::{self, Kind, OPENING_LEN};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Between two files of the opening.
const OPENING_EVERY: Duration = Duration::from_millis(60);
/// Between two files afterwards.
const EVERY: Duration = Duration::from_millis(400);
/// Good files, with their outputs, that are kept; older ones are removed.
const KEPT_MAX: usize = 250;
/// Bad files of one demo. They stay until an operator decides, so there is an end to them: then only good ones come.
const BAD_MAX: u32 = 60;

/// Where files go, and what was written.
#[derive(Debug)]
pub(super) struct Feeder {
    base: PathBuf,
    next: u32,
    bad: u32,
    kept: VecDeque<(Kind, String)>,
}

impl Feeder {
    /// A feeder of the workspace at `base`.
    pub(super) fn new(base: PathBuf) -> Self {
        Self { base, next: 0, bad: 0, kept: VecDeque::with_capacity(KEPT_MAX + 1) }
    }

    /// Feeds until the stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            self.feed();
            let pause = if self.next < OPENING_LEN { OPENING_EVERY } else { EVERY };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Writes the next file.
    fn feed(&mut self) {
        let n = self.next;
        self.next += 1;
        let mut kind = files::kind(n);
        if kind.is_bad() {
            self.bad += 1;
            if self.bad > BAD_MAX {
                kind = Kind::Note;
            }
        }
        let name = kind.name(n);
        if let Err(error) = std::fs::write(self.base.join("inbox").join(&name), kind.content(n)) {
            tracing::warn!("cannot write {name}: {error}");
            return;
        }
        if !kind.is_bad() {
            self.kept.push_back((kind, name));
        }
        if self.kept.len() > KEPT_MAX
            && let Some((kind, name)) = self.kept.pop_front()
        {
            self.remove(kind, &name);
        }
    }

    /// Removes what became of a file. What is not there was moved elsewhere by an operator, and stays.
    fn remove(&self, kind: Kind, name: &str) {
        let task = kind.task();
        for path in [
            format!("processed/{task}/{name}"),
            format!("out/{task}/{name}.json"),
            format!("out/{task}/{name}.normalised.csv"),
        ] {
            let _ = std::fs::remove_file(self.base.join(path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_stays_small() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("inbox")).unwrap();
        std::fs::create_dir_all(dir.path().join("processed/orders")).unwrap();
        let mut feeder = Feeder::new(dir.path().to_owned());
        feeder.feed();
        let first = Kind::Orders.name(0);
        let processed = dir.path().join("processed/orders").join(&first);
        std::fs::copy(dir.path().join("inbox").join(&first), &processed).unwrap();
        while feeder.kept.len() < KEPT_MAX {
            feeder.feed();
        }
        assert!(processed.exists());
        while feeder.next < 400 {
            feeder.feed();
        }
        assert!(!processed.exists());
        assert_eq!(feeder.kept.len(), KEPT_MAX);
    }
}

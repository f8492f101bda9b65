//! The demo's workspace: a temporary folder with a configuration, removed when it is dropped.

use crate::actions::KINDS;
use crate::config::{self, Config};
use crate::error::{Exit, Fatal};
use crate::model::text;
use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// What the demo supervises.
const CONFIG: &str = include_str!("config.toml");
/// Folders that must be there before the supervisor starts.
const FOLDERS: [&str; 3] = ["inbox", "out", "data"];
/// A folder in which somebody still writes is emptied this many times before it is left where it is.
const REMOVE_TRIES: u32 = 50;
/// Between two such tries.
const REMOVE_EVERY: Duration = Duration::from_millis(20);

/// A temporary folder with everything that a supervisor needs.
#[derive(Debug)]
pub(super) struct Workspace {
    dir: TempDir,
}

impl Workspace {
    /// Makes it, for its owner alone.
    pub(super) fn create() -> Result<Self, Fatal> {
        let parent = std::env::temp_dir();
        let made = tempfile::Builder::new().prefix("shiftboss-demo-").tempdir_in(&parent);
        let dir = made.map_err(|e| {
            Fatal::io("create a folder in", &parent, &e).hint("set TMPDIR to a folder that you can write to")
        })?;
        let workspace = Self { dir };
        for folder in FOLDERS {
            let path = workspace.path(folder);
            DirBuilder::new().mode(0o700).create(&path).map_err(|e| Fatal::io("create the folder", &path, &e))?;
        }
        workspace.write_config().map_err(|e| Fatal::io("write", &workspace.path("config.toml"), &e))?;
        Ok(workspace)
    }

    /// Not writable by others whatever the umask is, as every configuration must be.
    fn write_config(&self) -> std::io::Result<()> {
        let mut file =
            std::fs::File::options().write(true).create_new(true).mode(0o600).open(self.path("config.toml"))?;
        std::io::Write::write_all(&mut file, CONFIG.as_bytes())
    }

    /// A path in it.
    pub(super) fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(below)
    }

    /// Its configuration, checked.
    pub(super) fn config(&self) -> Result<Config, Fatal> {
        config::load(&self.path("config.toml"), KINDS)
    }

    /// Removes it with all that is in it.
    pub(super) fn remove(self) -> Result<(), Fatal> {
        let path = self.dir.path().to_owned();
        let mut tries = 0;
        loop {
            match std::fs::remove_dir_all(&path) {
                Ok(()) => return Ok(()),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
                // Somebody wrote a file meanwhile: a program that did not hear the stop.
                Err(_) if tries < REMOVE_TRIES => {
                    tries += 1;
                    std::thread::sleep(REMOVE_EVERY);
                }
                Err(e) => {
                    let message = format!("the demo's workspace was not removed: {}", text::path(&path));
                    return Err(Fatal::new(Exit::Failed, message).because(e).hint("remove it by hand"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_of_the_demo_is_right() {
        let workspace = Workspace::create().unwrap();
        let config = workspace.config().unwrap_or_else(|e| panic!("{e}"));
        let names: Vec<_> = config.tasks.iter().map(|t| t.name.to_string()).collect();
        assert_eq!(names, ["orders", "documents", "videos", "deliveries", "invoices", "receipts", "tidy"]);
        assert!(config.drain <= Duration::from_secs(2), "the demo ends quickly");
    }

    #[test]
    fn nothing_is_left_of_it() {
        let workspace = Workspace::create().unwrap();
        let path = workspace.path("");
        std::fs::write(workspace.path("inbox/a.txt"), "a").unwrap();
        workspace.remove().unwrap();
        assert!(!path.exists());
    }
}

//! Where the supervisor of a configuration listens, also when the file is broken: whoever has just broken it must still
//! be able to look at what runs and to stop it.
//!
//! It guarantees nothing but a place to knock. It refuses nothing: a wrong guess finds nobody there.

use super::supervisor::DATA_DIR;
use crate::error::Problems;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// The socket below a data folder.
pub(super) fn socket_in(data_dir: &Path) -> PathBuf {
    data_dir.join("run").join("control.sock")
}

/// The socket that a configuration with problems most likely means.
#[must_use]
pub fn socket_despite(problems: &Problems) -> PathBuf {
    let (table, _) = DeTable::parse_recoverable(&problems.source);
    let data_dir = match table.get_ref().get("supervisor").map(|s| s.get_ref()) {
        Some(DeValue::Table(section)) => section.get("data_dir").and_then(|d| d.get_ref().as_str()),
        _ => None,
    };
    let base = problems.path.parent().unwrap_or(Path::new("/"));
    socket_in(&base.join(data_dir.unwrap_or(DATA_DIR)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(source: &str) -> String {
        let problems = Problems { path: "/srv/config.toml".into(), source: source.into(), list: Vec::new() };
        socket_despite(&problems).to_string_lossy().into_owned()
    }

    #[test]
    fn the_place_is_found_in_a_broken_file() {
        assert_eq!(socket("[supervisor]\ndata_dir = \"d\"\nworkers = banana\n[tasks"), "/srv/d/run/control.sock");
        assert_eq!(socket("[supervisor]\ndata_dir = \"/var/d\"\n"), "/var/d/run/control.sock");
        for source in ["", "supervisor = 1", "[supervisor]\ndata_dir = 7", "\u{0}[[["] {
            assert_eq!(socket(source), "/srv/data/run/control.sock", "{source:?}");
        }
    }
}

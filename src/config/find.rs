//! Finds the configuration file, and reads it only if nobody else could have written it.

use super::{Config, parse, raw};
use crate::error::{Exit, Fatal, Problem, Problems};
use crate::model::action::Kind;
use crate::model::text;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The name of the file in a folder.
pub(super) const NAME: &str = "config.toml";

/// The configuration file: the one given, else `./config.toml`, else the one in the user's configuration folder.
///
/// # Errors
/// Exit code 78 when there is none.
pub fn find(explicit: Option<&Path>) -> Result<PathBuf, Fatal> {
    let none = |message: String| Err(Fatal::new(Exit::Config, message).hint("run `shiftboss init` to write one"));
    if let Some(path) = explicit {
        // A path that cannot be looked at is left to `load`, which says why.
        return match path.try_exists() {
            Ok(false) => none(format!("no configuration file: {}", text::path(path))),
            _ => Ok(path.to_owned()),
        };
    }
    let user = |key: &str| std::env::var_os(key).map(PathBuf::from).filter(|p| p.is_absolute());
    let folder = user("XDG_CONFIG_HOME").or_else(|| Some(user("HOME")?.join(".config")));
    let places = [Some(PathBuf::from(NAME)), folder.map(|f| f.join("shiftboss").join(NAME))];
    let places: Vec<_> = places.into_iter().flatten().collect();
    if let Some(found) = places.iter().find(|p| p.exists()) {
        return Ok(found.clone());
    }
    let looked: Vec<_> = places.iter().map(|p| text::path(p)).collect();
    none(format!("no configuration file, looked for {}", looked.join(" and ")))
}

/// Reads and checks a configuration file.
///
/// # Errors
/// Exit code 78: the file is missing, cannot be read, can be written by others, is not UTF-8, or has problems.
pub fn load(path: &Path, kinds: &[&dyn Kind]) -> Result<Config, Fatal> {
    let doing = |error: &std::io::Error| {
        Fatal::new(Exit::Config, format!("cannot read the configuration {}", text::path(path))).because(error)
    };
    let real = path.canonicalize().map_err(|e| doing(&e))?;
    // Without blocking: a FIFO in its place would wait for a writer for ever.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&real).map_err(|e| doing(&e))?;
    let meta = file.metadata().map_err(|e| doing(&e))?;
    trusted(&real, &meta)?;
    let mut bytes = Vec::new();
    file.take(raw::LEN_MAX as u64 + 1).read_to_end(&mut bytes).map_err(|e| doing(&e))?;
    let source = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let source = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let problem = Problem::new(at..at + 3, "not UTF-8").hint("save the file as UTF-8");
        Fatal::config(Problems { path: real.clone(), source, list: vec![problem] })
    })?;
    parse(&real, &source, kinds).map_err(Fatal::config)
}

/// Refuses a file that somebody else could have written: it names programs that we run.
fn trusted(path: &Path, meta: &Metadata) -> Result<(), Fatal> {
    let shown = text::path(path);
    let refuse = |message: String, hint: String| Err(Fatal::new(Exit::Config, message).hint(hint));
    if !meta.is_file() {
        return refuse(format!("the configuration is not a regular file: {shown}"), "name a file".to_owned());
    }
    let us = nix::unistd::geteuid().as_raw();
    if meta.uid() != us && meta.uid() != 0 {
        return refuse(
            format!("the configuration belongs to another user (uid {}): {shown}", meta.uid()),
            format!("chown {us} {}", quoted(path)),
        );
    }
    if meta.mode() & 0o022 != 0 {
        return refuse(
            format!("the configuration can be written by others (mode {:04o}): {shown}", meta.mode() & 0o7777),
            format!("chmod go-w {}", quoted(path)),
        );
    }
    Ok(())
}

/// A path as one word of a shell, to be copied.
fn quoted(path: &Path) -> String {
    let shown = text::path(path);
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | '+' | '@' | ':' | ',');
    if shown.chars().all(plain) { shown } else { format!("'{}'", shown.replace('\'', "'\\''")) }
}

/// The zone of this host: `TZ`, else what `/etc/localtime` links to, else UTC.
pub(super) fn local_zone() -> chrono_tz::Tz {
    let variable = std::env::var("TZ").ok();
    let link = || std::fs::read_link("/etc/localtime").ok();
    zone(variable.as_deref(), link).unwrap_or(chrono_tz::UTC)
}

fn zone(variable: Option<&str>, link: impl Fn() -> Option<PathBuf>) -> Option<chrono_tz::Tz> {
    if let Some(zone) = variable.and_then(|name| name.trim_start_matches(':').parse().ok()) {
        return Some(zone);
    }
    let link = link()?;
    let (_, name) = link.to_str()?.split_once("zoneinfo/")?;
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn written(text: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    #[test]
    fn a_file_that_others_can_write_is_refused() {
        for mode in [0o664, 0o646, 0o666] {
            let (_dir, path) = written(b"", mode);
            let error = load(&path, &[]).unwrap_err();
            assert_eq!(error.exit, Exit::Config);
            assert!(error.message.contains(&format!("(mode {mode:04o})")), "{}", error.message);
            assert!(error.hint.as_ref().unwrap().starts_with("chmod go-w /"), "{:?}", error.hint);
        }
        for mode in [0o600, 0o640, 0o644] {
            let (_dir, path) = written(b"", mode);
            assert!(load(&path, &[]).is_ok());
        }
    }

    #[test]
    fn a_link_leads_to_the_folder_of_the_file() {
        let (dir, path) = written(b"", 0o644);
        let elsewhere = tempfile::tempdir().unwrap();
        let link = elsewhere.path().join("link.toml");
        symlink(&path, &link).unwrap();
        let config = load(&link, &[]).unwrap();
        assert_eq!(config.base, dir.path().canonicalize().unwrap());
        assert_eq!(config.data_dir, config.base.join("data"));
    }

    #[test]
    fn what_is_no_text_file_is_refused() {
        let (dir, path) = written(b"a = 1\nb = \"\xff\"\n", 0o644);
        let text = load(&path, &[]).unwrap_err().render(false);
        assert!(text.contains("config.toml:2:6") && text.contains("not UTF-8"), "{text}");
        assert!(load(dir.path(), &[]).unwrap_err().message.contains("not a regular file"));
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(load(&fifo, &[]).unwrap_err().message.contains("not a regular file"));
        assert_eq!(load(&dir.path().join("none"), &[]).unwrap_err().exit, Exit::Config);
        let (_dir, path) = written(&vec![b'#'; raw::LEN_MAX + 1], 0o644);
        assert!(load(&path, &[]).unwrap_err().render(false).contains("larger than 1 MiB"));
    }

    #[test]
    fn a_missing_file_leads_to_init() {
        let error = find(Some(Path::new("/nowhere/config.toml"))).unwrap_err();
        assert_eq!((error.exit, error.message.as_str()), (Exit::Config, "no configuration file: /nowhere/config.toml"));
        assert_eq!(error.hint.as_deref(), Some("run `shiftboss init` to write one"));
    }

    #[test]
    fn the_zone_of_the_host_is_found() {
        let link = || Some(PathBuf::from("../usr/share/zoneinfo/Asia/Seoul"));
        assert_eq!(zone(None, link), Some(chrono_tz::Asia::Seoul));
        assert_eq!(zone(Some(":Europe/Berlin"), link), Some(chrono_tz::Europe::Berlin));
        assert_eq!(zone(Some("nonsense"), || None), None);
    }

    #[test]
    fn a_path_in_a_hint_can_be_copied() {
        assert_eq!(quoted(Path::new("/etc/a b's.toml")), "'/etc/a b'\\''s.toml'");
        assert_eq!(quoted(Path::new("/etc/shiftboss/config.toml")), "/etc/shiftboss/config.toml");
    }
}

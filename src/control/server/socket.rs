//! Opening the socket: a private folder, a private socket, and nothing of somebody else's removed.

use super::peer::group_id;
use crate::error::{Exit, Fatal};
use crate::model::text;
use nix::unistd::{Gid, chown, geteuid};
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use tokio::net::UnixListener;

/// Longest path of a Unix socket on Linux, in bytes, without the closing NUL.
pub const PATH_MAX: usize = 107;

/// Opens the socket at `path`, in a folder of its own with mode 0700, for the owner alone; with a group, the folder is
/// 0750 and the socket 0660 for its members.
///
/// The caller holds the data lock: a socket found at the path is therefore a leftover and is removed. Anything else at
/// the path is refused. Must be called inside a tokio runtime.
///
/// There is no moment at which others could connect: the folder stays closed to everybody else until the socket has
/// its mode and group. That does what a umask around the bind would do, and leaves alone the umask, which belongs to
/// the whole process and would spoil the files that other threads create meanwhile.
///
/// # Errors
/// The path is too long or taken, the folder is not ours, the group does not exist or cannot be given.
pub fn bind(path: &Path, group: Option<&str>) -> Result<UnixListener, Fatal> {
    let length = path.as_os_str().as_bytes().len();
    if length > PATH_MAX {
        return Err(Fatal::new(
            Exit::Failed,
            format!("the socket's path is {length} bytes long, the system allows {PATH_MAX}: {}", text::path(path)),
        )
        .hint("set `data_dir` in `[supervisor]` to a shorter path"));
    }
    let group = group.map(group_id).transpose()?;
    let dir = path.parent().unwrap_or(Path::new("."));
    prepare_folder(dir)?;
    remove_leftover(path)?;

    let listener = std::os::unix::net::UnixListener::bind(path).map_err(|e| Fatal::io("open the socket", path, &e))?;
    let (socket_mode, dir_mode) = if group.is_some() { (0o660, 0o750) } else { (0o600, 0o700) };
    set_mode(path, socket_mode)?;
    if let Some(group) = group {
        for (what, at) in [("socket", path), ("folder", dir)] {
            give(at, group).map_err(|e| {
                Fatal::io(&format!("give the {what} to the group of `[control]`:"), at, &e)
                    .hint("the supervisor's user must be a member of the group")
            })?;
        }
    }
    if let Some(group) = group {
        open_way(dir, group)?;
    }
    set_mode(dir, dir_mode)?;
    listener.set_nonblocking(true).map_err(|e| Fatal::io("open the socket", path, &e))?;
    UnixListener::from_std(listener).map_err(|e| Fatal::io("open the socket", path, &e))
}

fn set_mode(path: &Path, mode: u32) -> Result<(), Fatal> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(|e| Fatal::io("set the mode of", path, &e))
}

fn give(path: &Path, group: Gid) -> std::io::Result<()> {
    chown(path, None, Some(group)).map_err(std::io::Error::from)
}

/// Makes the socket's folder, or checks that the one there is a folder of ours, and closes it to everybody else when
/// it was open to them.
fn prepare_folder(dir: &Path) -> Result<(), Fatal> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => return Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(Fatal::io("create the socket's folder", dir, &e)),
    }
    let found = fs::symlink_metadata(dir).map_err(|e| Fatal::io("look at the socket's folder", dir, &e))?;
    if !found.is_dir() {
        return Err(Fatal::new(Exit::Failed, format!("not a folder: {}", text::path(dir)))
            .hint("the socket's folder must not be a link; remove what is there"));
    }
    if found.uid() != geteuid().as_raw() {
        return Err(Fatal::new(
            Exit::Failed,
            format!("the socket's folder belongs to user {}: {}", found.uid(), text::path(dir)),
        )
        .hint("run as the user that owns the data folder"));
    }
    // Also when it was open to a group by choice: it opens again when the new socket is ready.
    set_mode(dir, 0o700)
}

/// Lets the group pass through the folder above, which is for us alone: pass, not look around.
fn open_way(dir: &Path, group: Gid) -> Result<(), Fatal> {
    let Some(above) = dir.parent() else { return Ok(()) };
    let found = fs::metadata(above).map_err(|e| Fatal::io("look at", above, &e))?;
    let mode = found.mode() & 0o7777;
    let is_theirs = found.gid() == group.as_raw();
    let passes = mode & if is_theirs { 0o010 } else { 0o001 } != 0;
    if passes || found.uid() != geteuid().as_raw() {
        return Ok(());
    }
    if is_theirs {
        return set_mode(above, mode | 0o010);
    }
    // What the folder's group was allowed until now is not this one's.
    set_mode(above, mode & !0o070)?;
    give(above, group).map_err(|e| Fatal::io("give the data folder to the group of `[control]`:", above, &e))?;
    set_mode(above, (mode & !0o070) | 0o010)
}

fn remove_leftover(path: &Path) -> Result<(), Fatal> {
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(Fatal::io("look at the socket's path", path, &e)),
        Ok(found) if found.file_type().is_socket() => {
            fs::remove_file(path).map_err(|e| Fatal::io("remove the old socket", path, &e))
        }
        Ok(_) => Err(Fatal::new(
            Exit::Failed,
            format!("something that is not a socket is in its place: {}", text::path(path)),
        )
        .hint("find out where it came from, then remove it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    fn own_group() -> String {
        nix::unistd::Group::from_gid(nix::unistd::getegid()).unwrap().unwrap().name
    }

    #[tokio::test]
    async fn folder_and_socket_are_private() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("run/control.sock");
        drop(bind(&path, None).unwrap());
        assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o700, 0o600));

        // The leftover of a crash is replaced, a folder that was opened is closed again.
        fs::set_permissions(path.parent().unwrap(), Permissions::from_mode(0o777)).unwrap();
        drop(bind(&path, None).unwrap());
        assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o700, 0o600));

        fs::set_permissions(root.path(), Permissions::from_mode(0o700)).unwrap();
        drop(bind(&path, Some(&own_group())).unwrap());
        assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o750, 0o660));
        assert_eq!(mode(root.path()), 0o710, "the group may pass through the folder above");
    }

    #[tokio::test]
    async fn what_is_not_a_leftover_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let run = root.path().join("run");
        fs::create_dir(&run).unwrap();
        let path = run.join("control.sock");

        fs::write(&path, "precious").unwrap();
        assert!(bind(&path, None).unwrap_err().message.starts_with("something that is not a socket"));
        assert_eq!(fs::read(&path).unwrap(), b"precious");

        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(root.path().join("elsewhere"), &path).unwrap();
        assert!(bind(&path, None).is_err());
        assert!(!root.path().join("elsewhere").exists());

        let link = root.path().join("link");
        std::os::unix::fs::symlink(&run, &link).unwrap();
        assert!(bind(&link.join("control.sock"), None).unwrap_err().message.starts_with("not a folder"));
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_is_named() {
        let path = Path::new("/tmp").join("x".repeat(PATH_MAX)).join("control.sock");
        let fatal = bind(&path, None).unwrap_err();
        assert!(fatal.message.contains("107") && fatal.hint.unwrap().contains("data_dir"));
    }

    #[tokio::test]
    async fn a_group_that_does_not_exist_is_a_configuration_error() {
        let root = tempfile::tempdir().unwrap();
        let fatal = bind(&root.path().join("run/s"), Some("no-such-group-here")).unwrap_err();
        assert_eq!(fatal.exit, Exit::Config);
        assert!(!root.path().join("run").exists(), "nothing is made before everything is known");
    }
}

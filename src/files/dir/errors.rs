//! What an I/O error means for a file operation, told from its errno.

use nix::errno::Errno;
use std::io;

/// The name is taken.
#[must_use]
pub fn is_exists(error: &io::Error) -> bool {
    errno(error) == Some(Errno::EEXIST)
}

/// Source and target lie on different file systems, or on two mounts of one.
#[must_use]
pub fn is_cross_device(error: &io::Error) -> bool {
    errno(error) == Some(Errno::EXDEV)
}

/// There is no such name.
#[must_use]
pub fn is_not_found(error: &io::Error) -> bool {
    errno(error) == Some(Errno::ENOENT)
}

/// No room is left, or none for this user.
#[must_use]
pub fn is_no_space(error: &io::Error) -> bool {
    matches!(errno(error), Some(Errno::ENOSPC | Errno::EDQUOT))
}

/// Permissions, an immutable flag or a read-only file system forbid it.
#[must_use]
pub fn is_denied(error: &io::Error) -> bool {
    matches!(errno(error), Some(Errno::EACCES | Errno::EPERM | Errno::EROFS))
}

/// Another process holds a lease or a lock on it: look again later.
#[must_use]
pub fn is_busy(error: &io::Error) -> bool {
    matches!(errno(error), Some(Errno::EAGAIN | Errno::EBUSY | Errno::ETXTBSY))
}

/// It is not a regular file (see [`super::Dir::open_read`]), or the name is none.
#[must_use]
pub fn is_not_regular(error: &io::Error) -> bool {
    error.raw_os_error().is_none() && error.kind() == io::ErrorKind::InvalidInput
}

fn errno(error: &io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw)
}

//! Asks the kernel whether any process of this host has a file open for writing.
//!
//! A read lease is granted only while nobody has the file open for writing, so trying to take one and giving it back
//! at once is the question. Guarantees: no lease is left behind, and a lease that is broken in the instant between
//! the two calls cannot end this process: the notice is sent as a signal that is ignored by default.
//!
//! The answer says nothing about writers on other hosts (NFS, SMB), nor about a process that will open the file
//! next. A process that opens the file for writing between the two calls waits for the microseconds in between.

#![allow(unsafe_code, reason = "no safe wrapper of F_SETSIG and F_SETLEASE exists; this module holds nothing else")]

use std::fs::File;
use std::os::fd::AsRawFd;

/// Chooses the signal of a lease break (`fcntl.h`); the libc crate lacks it for most targets.
const F_SETSIG: libc::c_int = 10;

/// Whether a process of this host, this one included, has the file open for writing. None where the kernel does not
/// say: the file belongs to another user and we lack `CAP_LEASE`, or its file system has no leases. `file` must be
/// open for reading only.
#[must_use]
pub fn writer_open(file: &File) -> Option<bool> {
    if !control(file, F_SETSIG, libc::SIGURG) {
        return None;
    }
    if control(file, libc::F_SETLEASE, libc::F_RDLCK) {
        // If this failed, closing the file would end the lease.
        control(file, libc::F_SETLEASE, libc::F_UNLCK);
        return Some(false);
    }
    match std::io::Error::last_os_error().raw_os_error() {
        Some(libc::EAGAIN) => Some(true),
        _ => None,
    }
}

/// One `fcntl` call; whether it succeeded.
fn control(file: &File, command: libc::c_int, argument: libc::c_int) -> bool {
    // SAFETY: the descriptor is open as long as `file` is borrowed, and each of the commands above takes one integer
    // and touches no memory of ours.
    let answer = unsafe { libc::fcntl(file.as_raw_fd(), command, argument) };
    answer != -1
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;
    use std::os::unix::fs::OpenOptionsExt;

    #[test]
    fn a_writer_is_seen_while_it_lasts() {
        let t = tempfile::tempdir().unwrap();
        let path = t.path().join("f");
        let writer = File::create(&path).unwrap();
        let reader = File::open(&path).unwrap();
        let Some(seen) = writer_open(&reader) else { return }; // no leases on this file system
        assert!(seen);
        drop(writer);
        assert_eq!(writer_open(&reader), Some(false));
        // A lease left behind would make this open fail instead of wait.
        let again = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&path);
        assert!(again.is_ok(), "{again:?}");
        assert_eq!(writer_open(&reader), Some(true));
    }

    #[test]
    fn what_is_no_file_is_not_known() {
        assert_eq!(writer_open(&File::open("/dev/null").unwrap()), None);
    }
}

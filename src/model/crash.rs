//! Named points where a test can make the process die, exactly as a power cut or `kill -9` would.
//!
//! Only in builds with debug assertions: in a release build [`point`] is empty, and a test checks that.

/// The variable that names the point: `NAME`, or `NAME:N` for the N-th time it is reached.
pub const VARIABLE: &str = "SHIFTBOSS_CRASH_AT";

/// Dies here, by SIGKILL, if this point was named in the environment.
#[inline]
pub fn point(name: &str) {
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

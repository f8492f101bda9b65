//! Values of secrets, read where the configuration says that they are.
//!
//! It guarantees that no message holds a value, nor what a program printed; that reading ends; and that nothing is kept:
//! whoever asks again gets what is there then. It refuses what cannot be a secret: more than [`SECRET_MAX`] bytes, a NUL
//! byte, what is no UTF-8, and everything but a regular file.

use crate::model::{Failure, FailureClass, Secret, text};
use crate::runtime::spawn::capture::{NoOutput, capture};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// Longest secret, in bytes. A longer file or a longer output is no secret, and is refused.
pub const SECRET_MAX: usize = 64 * 1024;
/// Time that a program has to print a secret; one that takes longer is killed, and the attempt fails.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// The value of a secret. Blocks: for a program `deadline` at most.
pub fn resolve(secret: &Secret, deadline: Duration) -> Result<String, Failure> {
    let missing = |why: &str| Failure::permanent("secret_missing", why);
    let raw = match secret {
        Secret::Env(name) => std::env::var_os(name)
            .ok_or_else(|| missing(&format!("the supervisor has no variable {}", text::escape(name))))?
            .into_encoded_bytes(),
        Secret::File(path) => {
            without_line_end(read(path).map_err(|e| missing(&format!("cannot read {}: {e}", text::path(path))))?)
        }
        Secret::Command(args) => without_line_end(run(secret, args, deadline)?),
    };
    if raw.contains(&0) {
        return Err(missing(&format!("{secret} gives a NUL byte")));
    }
    String::from_utf8(raw).map_err(|_| missing(&format!("{secret} gives something that is not UTF-8")))
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    // Without O_NONBLOCK a FIFO would hold the attempt for ever.
    let file = std::fs::File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let refused = || std::io::Error::other(format!("not a regular file of at most {SECRET_MAX} bytes"));
    if !file.metadata()?.is_file() {
        return Err(refused());
    }
    let mut raw = Vec::new();
    file.take(SECRET_MAX as u64 + 1).read_to_end(&mut raw)?;
    if raw.len() > SECRET_MAX { Err(refused()) } else { Ok(raw) }
}

fn run(secret: &Secret, args: &[String], deadline: Duration) -> Result<Vec<u8>, Failure> {
    let Some((program, args)) = args.split_first() else {
        return Err(Failure::permanent("secret_missing", "a command without a program"));
    };
    let failed = |class, why: &str| Failure::new(class, "secret_command", format!("{secret} {why}"));
    capture(program, args, SECRET_MAX, deadline).map_err(|why| match why {
        NoOutput::NotStarted(e) => Failure::permanent("secret_missing", format!("cannot start {secret}: {e}")),
        NoOutput::Lost(e) => failed(FailureClass::Transient, &format!("was lost: {e}")),
        NoOutput::TooMuch => {
            failed(FailureClass::Permanent, &format!("printed more than a secret has: {SECRET_MAX} bytes"))
        }
        NoOutput::TooLate => {
            failed(FailureClass::Timeout, &format!("did not end within {}", humantime::format_duration(deadline)))
        }
        // The other side of such a program is often a service that is away for a while.
        NoOutput::Failed(status) => failed(FailureClass::Transient, &format!("failed: {status}")),
    })
}

fn without_line_end(mut raw: Vec<u8>) -> Vec<u8> {
    for end in [b'\n', b'\r'] {
        if raw.last() == Some(&end) {
            raw.pop();
        }
    }
    raw
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn file(content: &[u8]) -> (tempfile::TempDir, Secret) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, content).unwrap();
        (dir, Secret::File(path))
    }

    fn command(args: &[&str]) -> Secret {
        Secret::Command(args.iter().map(|s| (*s).to_owned()).collect())
    }

    fn shell(script: &str) -> Secret {
        command(&["sh", "-c", script])
    }

    #[test]
    fn a_secret_loses_its_last_line_end_only() {
        for (raw, want) in [(&b"hunter2\n"[..], "hunter2"), (b"hunter2\r\n", "hunter2"), (b"a\n\n", "a\n"), (b"", "")] {
            let (_dir, secret) = file(raw);
            assert_eq!(resolve(&secret, DEADLINE).unwrap(), want);
        }
        assert_eq!(resolve(&command(&["printf", "hunter2\n\n"]), DEADLINE).unwrap(), "hunter2\n");
    }

    #[test]
    fn what_is_no_secret_is_refused_and_not_shown() {
        let (dir, large) = file(&vec![b'x'; SECRET_MAX + 1]);
        assert!(resolve(&large, DEADLINE).unwrap_err().message.contains("at most 65536 bytes"));
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).unwrap();
        for path in [fifo, dir.path().to_path_buf(), dir.path().join("absent")] {
            assert_eq!(resolve(&Secret::File(path), DEADLINE).unwrap_err().code, "secret_missing");
        }
        let absent = resolve(&Secret::Env("SHIFTBOSS_NO_SUCH_VARIABLE".into()), DEADLINE).unwrap_err();
        assert_eq!(absent.message, "the supervisor has no variable SHIFTBOSS_NO_SUCH_VARIABLE");
        for raw in [&b"hunter2\0"[..], b"hunter2\xff"] {
            let (_dir, odd) = file(raw);
            let failure = resolve(&odd, DEADLINE).unwrap_err();
            assert!(failure.code == "secret_missing" && !failure.message.contains("hunter2"), "{failure}");
        }
    }

    #[test]
    fn a_program_that_fails_is_named_without_its_output() {
        let failed = resolve(&shell("echo hunter2; echo hunter2 >&2; exit 3 # hunter2"), DEADLINE).unwrap_err();
        assert_eq!((failed.class, failed.code.as_str()), (FailureClass::Transient, "secret_command"));
        assert_eq!(failed.message, "the command sh failed: exit status: 3");
        let absent = resolve(&command(&["/no/such/program", "hunter2"]), DEADLINE).unwrap_err();
        assert!(absent.message.starts_with("cannot start the command /no/such/program: No such file"), "{absent}");
        let much = resolve(&shell("yes hunter2"), DEADLINE).unwrap_err();
        assert_eq!(much.message, "the command sh printed more than a secret has: 65536 bytes");
        let full = resolve(&shell("head -c 65536 /dev/zero | tr '\\0' x"), DEADLINE).unwrap();
        assert_eq!(full.len(), SECRET_MAX);
    }

    #[test]
    fn a_program_that_hangs_is_killed_with_what_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; echo hunter2; wait", pid.display());
        let began = Instant::now();
        let late = resolve(&shell(&script), Duration::from_millis(300)).unwrap_err();
        assert_eq!(
            (late.class, late.message.as_str()),
            (FailureClass::Timeout, "the command sh did not end within 300ms")
        );
        assert!(began.elapsed() < Duration::from_secs(60));
        let closed = resolve(&shell("exec >&-; sleep 600"), Duration::from_millis(300)).unwrap_err();
        assert_eq!(closed.class, FailureClass::Timeout, "also behind the end of its output");
        let pid: i32 = std::fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
        let is_gone = || match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) => stat.contains(") Z "), // nobody may have waited for it yet
            Err(_) => true,
        };
        while !is_gone() {
            assert!(began.elapsed() < Duration::from_secs(60), "{pid} is still there");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_program_that_leaves_something_behind_is_not_waited_for() {
        let began = Instant::now();
        assert_eq!(resolve(&shell("sleep 5 & echo hunter2"), Duration::from_secs(60)).unwrap(), "hunter2");
        assert!(began.elapsed() < Duration::from_secs(4), "it waited for the background process");
    }
}

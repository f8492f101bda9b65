//! What a short program prints, for whoever waits for it on a thread for blocking work.
//!
//! It guarantees an end: with the program, at a number of bytes, or at a deadline, where the program's whole process group
//! is killed. What the program leaves running behind a good end is left alone: `pass` starts an agent.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Between two looks at whether the program has ended while it holds its output open, or has closed it and goes on.
const LOOK: Duration = Duration::from_millis(20);

/// Why there is no output.
#[derive(Debug)]
pub enum NoOutput {
    /// It was not started.
    NotStarted(std::io::Error),
    /// It could not be read from or waited for.
    Lost(std::io::Error),
    /// It printed more than allowed, and was killed.
    TooMuch,
    /// It did not end in time, and was killed.
    TooLate,
    /// It failed.
    Failed(ExitStatus),
}

/// Runs a program without a shell and answers what it printed: at most `max` bytes, within `deadline`. It gets the whole
/// environment of the supervisor, no input, and nobody reads its errors.
pub fn capture(program: &str, args: &[String], max: usize, deadline: Duration) -> Result<Vec<u8>, NoOutput> {
    let began = Instant::now();
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(NoOutput::NotStarted)?;
    let Some(mut out) = child.stdout.take() else { return Ok(Vec::new()) };
    let read = read(&mut child, &mut out, max, || deadline.saturating_sub(began.elapsed()));
    if read.is_err() {
        if let Ok(group) = i32::try_from(child.id()) {
            // One that has ended meanwhile has no group.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ = child.wait();
    }
    match read? {
        (status, raw) if status.success() => Ok(raw),
        (status, _) => Err(NoOutput::Failed(status)),
    }
}

fn read(
    child: &mut Child,
    out: &mut ChildStdout,
    max: usize,
    left: impl Fn() -> Duration,
) -> Result<(ExitStatus, Vec<u8>), NoOutput> {
    let (mut raw, mut piece) = (Vec::new(), vec![0; 8 * 1024]);
    let (mut ended, mut is_open) = (None, true);
    loop {
        if ended.is_none() {
            ended = child.try_wait().map_err(NoOutput::Lost)?;
        }
        let left = left();
        match (ended, is_open) {
            (Some(status), false) => return Ok((status, raw)),
            (None, _) if left.is_zero() => return Err(NoOutput::TooLate),
            (None, false) => {
                std::thread::sleep(LOOK.min(left));
                continue;
            }
            _ => {}
        }
        // What a program has printed before its end is in the pipe; whoever else holds it is not waited for.
        let wait = if ended.is_some() { Duration::ZERO } else { LOOK.min(left) };
        let wait = PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO);
        match poll(&mut [PollFd::new(out.as_fd(), PollFlags::POLLIN)], wait) {
            Ok(0) if ended.is_some() => is_open = false,
            Ok(0) | Err(nix::errno::Errno::EINTR) => {}
            Ok(_) => match out.read(&mut piece).map_err(NoOutput::Lost)? {
                0 => is_open = false,
                n => raw.extend_from_slice(&piece[..n]),
            },
            Err(e) => return Err(NoOutput::Lost(e.into())),
        }
        if raw.len() > max {
            return Err(NoOutput::TooMuch);
        }
    }
}

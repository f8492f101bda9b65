//! A short program that is fed: it gets its input, nobody reads its output, and what it says in error is kept in part.

use super::child::INHERITED;
use crate::model::text;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

/// Kept of what it says in error, in bytes; more is read and dropped.
const ERROR_MAX: usize = 300;

/// Runs a program to its end, or for `deadline`: then its process group is killed. `Err` says what was not well.
pub async fn feed(
    program: &str,
    args: &[String],
    env: Vec<(OsString, OsString)>,
    cwd: &Path,
    input: Vec<u8>,
    deadline: Duration,
) -> Result<(), String> {
    let name = text::escape(program).into_owned();
    let mut child = Command::new(program)
        .args(args)
        .env_clear()
        .envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .envs(env)
        .current_dir(cwd)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| format!("cannot start {name}: {e}"))?;
    let group = Group(child.id().and_then(|id| i32::try_from(id).ok()));
    let ended = tokio::time::timeout(deadline, run(&mut child, &input)).await;
    let result = match ended {
        Err(_) => Err(format!("{name} did not end within {}", humantime::format_duration(deadline))),
        Ok(Err(e)) => Err(format!("cannot wait for {name}: {e}")),
        Ok(Ok((status, _))) if status.success() => Ok(()),
        Ok(Ok((status, said))) => {
            let said = text::bytes(said.trim_ascii());
            Err(format!("{name} failed: {status}{}{said}", if said.is_empty() { "" } else { ": " }))
        }
    };
    if result.is_ok() {
        group.spare();
    }
    result
}

/// The process group, killed unless its program ended well: what that leaves running is its own business.
struct Group(Option<i32>);

impl Group {
    fn spare(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // One that has ended meanwhile has no group.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }
}

async fn run(child: &mut Child, input: &[u8]) -> std::io::Result<(std::process::ExitStatus, Vec<u8>)> {
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let feeding = async {
        if let Some(mut stdin) = stdin {
            // A program that does not read it closes the pipe, which is no error.
            let _ = stdin.write_all(input).await;
        }
    };
    let reading = async {
        let (mut said, mut piece) = (Vec::new(), [0; 1024]);
        let Some(mut stderr) = stderr else { return said };
        while let Ok(n @ 1..) = stderr.read(&mut piece).await {
            let room = ERROR_MAX.saturating_sub(said.len()).min(n);
            said.extend_from_slice(piece.get(..room).unwrap_or_default());
        }
        said
    };
    let told = async { tokio::join!(feeding, reading).1 };
    tokio::pin!(told);
    let mut said = None;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            text = &mut told, if said.is_none() => said = Some(text),
        }
    };
    // Whoever it left behind may hold the pipe open; it is not waited for.
    let said = match said {
        Some(said) => said,
        None => tokio::time::timeout(Duration::from_millis(200), told).await.unwrap_or_default(),
    };
    Ok((status, said))
}

//! Starting a supervisor of its own in the background, as tmux does, and starting this program again in its place.

use crate::error::{Exit, Fatal};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Starts `shiftboss run --background` with this configuration: its output goes to `output`, its working folder is
/// `base`. It leaves the session by itself, so that a hang-up of this terminal does not reach it.
pub fn start(config: &Path, base: &Path, output: &Path) -> Result<Child, Fatal> {
    let log = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(output)
        .map_err(|e| Fatal::io("open", output, &e))?;
    let errors = log.try_clone().map_err(|e| Fatal::io("open", output, &e))?;
    let program = program()?;
    Command::new(&program)
        .arg("run")
        .arg("--background")
        .arg("--config")
        .arg(config)
        .current_dir(base)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .map_err(|e| Fatal::io("start", &program, &e))
}

/// Replaces this process by a new one of the same program and arguments. Returns only if that fails.
pub fn again() -> Fatal {
    match program() {
        Ok(program) => {
            let error = Command::new(&program).args(std::env::args_os().skip(1)).exec();
            Fatal::io("start again", &program, &error)
        }
        Err(fatal) => fatal,
    }
}

fn program() -> Result<std::path::PathBuf, Fatal> {
    let found = std::env::current_exe();
    let path = found.map_err(|e| Fatal::new(Exit::Internal, "cannot find this program's own file").because(e))?;
    // After an upgrade the old file is gone and Linux says so in the name: the new one is at the old place.
    let text = path.to_string_lossy().into_owned();
    Ok(match text.strip_suffix(" (deleted)") {
        Some(kept) => kept.into(),
        None => path,
    })
}

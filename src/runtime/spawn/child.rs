//! One child process from start to end: its own process group, output read to the end, TERM then KILL, no zombies.

use crate::model::action::{ChildExit, ChildSpec, Level, Stop};
use crate::model::{Failure, text};
use crate::runtime::stop::StopSwitch;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{AccessFlags, Pid};
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

/// Variables that a child inherits; everything else comes from its task.
pub(super) const INHERITED: [&str; 9] =
    ["PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"];
/// Output kept with the attempt, in bytes; of longer output the last part is kept.
pub const TAIL_MAX: usize = 4096;
/// A line longer than this is cut into several, in bytes.
const LINE_MAX: usize = 8 * 1024;
/// After the child has ended, whoever still holds its pipes may write for this long.
const PIPE_GRACE: Duration = Duration::from_millis(500);
/// Between two looks at whether a process group is gone.
const GROUP_POLL: Duration = Duration::from_millis(20);
/// Rounds of KILL before a group that does not die is given up and said so.
const KILL_ROUNDS: u32 = 100;

/// Where the lines of a child go.
pub trait Lines: Send + Sync {
    /// One line of output, without its end; raw bytes.
    fn line(&self, level: Level, raw: &[u8]);
    /// The process group that was started, so that a later start of the supervisor can end what was left of it.
    fn started(&self, group: i32);
}

/// Runs a child to its end.
pub async fn run(spec: ChildSpec, stop: &StopSwitch, lines: &dyn Lines) -> Result<ChildExit, Failure> {
    let mut child = start(&spec)?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).unwrap_or(0);
    lines.started(group);
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let tail = std::sync::Mutex::new(Tail::default());
    let reading = async {
        futures_util::join!(
            read(out, |raw| take(&tail, lines, Level::Info, raw)),
            read(err, |raw| take(&tail, lines, Level::Warn, raw))
        );
    };
    tokio::pin!(reading);
    let mut stopped = None;
    let mut read_all = false;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            () = &mut reading, if !read_all => read_all = true,
            why = stop.wait(), if stopped.is_none() => {
                stopped = Some(why);
                let ended = end(&mut child, group, spec.grace, stop, reading.as_mut(), &mut read_all).await;
                break ended;
            }
        }
    };
    // The end of a job is the end of its child, not of a grandchild that kept the pipe.
    if !read_all && tokio::time::timeout(PIPE_GRACE, &mut reading).await.is_err() {
        lines.line(Level::Warn, b"output is still held open by another process: not read further");
    }
    if stopped.is_some() {
        clear(group, lines).await;
    }
    let status = status.map_err(|e| Failure::transient("wait_failed", format!("cannot wait for the program: {e}")))?;
    let tail = tail.lock().map(|mut t| std::mem::take(&mut *t).text()).unwrap_or_default();
    Ok(exit(status, stopped, tail))
}

fn start(spec: &ChildSpec) -> Result<Child, Failure> {
    let mut command = Command::new(found(program(spec), &spec.env));
    command
        .arg0(program(spec))
        .args(&spec.args)
        .env_clear()
        .envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .envs(spec.env.iter().map(|(k, v)| (k, v)))
        .current_dir(&spec.cwd)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    command.spawn().map_err(|e| {
        let name = text::bytes(spec.program.as_encoded_bytes());
        match e.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) if !spec.cwd.is_dir() => {
                let message = format!("the working folder is not there: {}", text::path(&spec.cwd));
                Failure::permanent("spawn_no_cwd", message)
            }
            Some(libc::ENOENT) => Failure::permanent("spawn_not_found", format!("no such program: {name}")),
            Some(libc::EACCES | libc::ENOEXEC) => {
                Failure::permanent("spawn_denied", format!("not a program that may be run: {name}"))
            }
            _ => Failure::transient("spawn_failed", format!("cannot start {name}: {e}")),
        }
    })
}

/// A relative path with a `/` starts at the working folder; a bare name is searched in `PATH`.
fn program(spec: &ChildSpec) -> OsString {
    let path = Path::new(&spec.program);
    if path.is_relative() && path.components().count() > 1 { spec.cwd.join(path).into() } else { spec.program.clone() }
}

/// Where `PATH` finds a bare name, so that the child is not left to search: looked up there, a name costs one failed
/// `execve` a folder, and the standard library a whole `fork` where otherwise a `vfork` does. A name that is found
/// nowhere stays, for the error that its start gives.
fn found(program: OsString, env: &[(OsString, OsString)]) -> OsString {
    if program.as_encoded_bytes().contains(&b'/') {
        return program;
    }
    let own = env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, path)| path.clone());
    let Some(path) = own.or_else(|| std::env::var_os("PATH")) else { return program };
    std::env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(&program))
        .find(|file| nix::unistd::access(file, AccessFlags::X_OK).is_ok() && file.is_file())
        .map_or(program, PathBuf::into_os_string)
}

/// TERM to the group, then KILL after the grace; output is read all the while.
async fn end(
    child: &mut Child,
    group: i32,
    grace: Duration,
    stop: &StopSwitch,
    mut reading: std::pin::Pin<&mut impl Future<Output = ()>>,
    read_all: &mut bool,
) -> std::io::Result<ExitStatus> {
    signal(group, Signal::SIGTERM);
    let kill_at = tokio::time::sleep(grace);
    tokio::pin!(kill_at);
    let mut killed = false;
    loop {
        tokio::select! {
            status = child.wait() => return status,
            () = &mut reading, if !*read_all => *read_all = true,
            () = &mut kill_at, if !killed => {
                killed = true;
                signal(group, Signal::SIGKILL);
            }
            () = stop.hurried(), if !killed => {
                killed = true;
                signal(group, Signal::SIGKILL);
            }
        }
    }
}

/// Ends what is left of a group after its leader has gone: a fork may have raced with the first signal.
async fn clear(group: i32, lines: &dyn Lines) {
    for _ in 0..KILL_ROUNDS {
        if !alive(group) {
            return;
        }
        signal(group, Signal::SIGKILL);
        tokio::time::sleep(GROUP_POLL).await;
    }
    lines.line(Level::Error, b"some processes of the job did not end after KILL");
}

/// Whether a process of the group still works. One that is dead and waits until its new parent notices is gone: in a
/// container that parent may never look.
pub fn alive(group: i32) -> bool {
    group > 1 && killpg(Pid::from_raw(group), None).is_ok() && works(group).unwrap_or(true)
}

/// The same by `/proc`; none where that does not tell.
fn works(group: i32) -> Option<bool> {
    let mut is_seen = false;
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        // After the name: state, parent, group.
        let mut fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
        let (state, of) = (fields.next(), fields.nth(1));
        if of.and_then(|of| of.parse().ok()) == Some(group) {
            is_seen = true;
            if !matches!(state, Some("Z" | "X")) {
                return Some(true);
            }
        }
    }
    is_seen.then_some(false)
}

fn signal(group: i32, signal: Signal) {
    if group > 1 {
        // The group may have ended by itself, which is what we want.
        let _ = killpg(Pid::from_raw(group), signal);
    }
}

fn exit(status: ExitStatus, stopped: Option<Stop>, tail: String) -> ChildExit {
    ChildExit { code: status.code(), signal: status.signal(), stopped, tail }
}

/// Reads a pipe line by line to its end.
async fn read(pipe: Option<impl AsyncRead + Unpin>, mut line: impl FnMut(&[u8])) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = vec![0; LINE_MAX];
    let mut held: Vec<u8> = Vec::new();
    while let Ok(n) = pipe.read(&mut buffer).await {
        if n == 0 {
            break;
        }
        held.extend_from_slice(&buffer[..n]);
        let mut start = 0;
        while let Some(end) = memchr::memchr(b'\n', &held[start..]).map(|i| start + i) {
            line(held[start..end].strip_suffix(b"\r").unwrap_or(&held[start..end]));
            start = end + 1;
        }
        held.drain(..start);
        if held.len() >= LINE_MAX {
            line(&held);
            held.clear();
        }
    }
    if !held.is_empty() {
        line(&held);
    }
}

fn take(tail: &std::sync::Mutex<Tail>, lines: &dyn Lines, level: Level, raw: &[u8]) {
    if let Ok(mut tail) = tail.lock() {
        tail.push(raw);
    }
    lines.line(level, raw);
}

/// The last [`TAIL_MAX`] bytes of the output.
#[derive(Default)]
struct Tail {
    kept: Vec<u8>,
    cut: bool,
}

impl Tail {
    fn push(&mut self, line: &[u8]) {
        self.kept.extend_from_slice(line);
        self.kept.push(b'\n');
        if self.kept.len() > 2 * TAIL_MAX {
            self.kept.drain(..self.kept.len() - TAIL_MAX);
            self.cut = true;
        }
    }

    fn text(mut self) -> String {
        if self.kept.len() > TAIL_MAX {
            self.kept.drain(..self.kept.len() - TAIL_MAX);
            self.cut = true;
        }
        let (decoded, _) = encoding_rs::UTF_8.decode_without_bom_handling(&self.kept);
        let lines: Vec<_> = decoded.lines().map(|l| text::escape(l).into_owned()).collect();
        let skip = usize::from(self.cut && lines.len() > 1);
        lines[skip..].join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use std::time::Instant;

    #[derive(Default)]
    struct Kept(Mutex<Vec<String>>);

    impl Lines for Kept {
        fn line(&self, level: Level, raw: &[u8]) {
            self.0.lock().unwrap().push(format!("{} {}", level.name(), String::from_utf8_lossy(raw)));
        }
        fn started(&self, _group: i32) {}
    }

    fn sh(script: &str) -> ChildSpec {
        ChildSpec {
            program: "sh".into(),
            args: vec!["-c".into(), script.into()],
            env: vec![("MINE".into(), "1".into())],
            cwd: "/".into(),
            grace: Duration::from_millis(200),
            hide: Vec::new(),
        }
    }

    #[tokio::test]
    async fn output_and_exit_code_come_back() {
        let kept = Kept::default();
        let stop = StopSwitch::new(None);
        let exit = run(sh("echo out; echo err >&2; echo $MINE; pwd; exit 3"), &stop, &kept).await.unwrap();
        assert_eq!((exit.code, exit.signal, exit.stopped), (Some(3), None, None));
        let lines = kept.0.into_inner().unwrap();
        for line in ["info out", "warn err", "info 1", "info /"] {
            assert!(lines.iter().any(|l| l == line), "{line} in {lines:?}");
        }
        assert!(exit.tail.contains("out\n"));
    }

    #[tokio::test]
    async fn a_flood_of_output_is_cut_to_its_tail() {
        let stop = StopSwitch::new(None);
        let exit = run(sh("yes 0123456789 | head -c 3000000; echo; echo last"), &stop, &Kept::default()).await.unwrap();
        assert!(exit.tail.len() <= TAIL_MAX && exit.tail.ends_with("last"), "{}", exit.tail.len());
    }

    #[tokio::test]
    async fn a_missing_program_is_permanent() {
        let mut spec = sh("");
        spec.program = "no-such-program-here".into();
        let failure = run(spec, &StopSwitch::new(None), &Kept::default()).await.unwrap_err();
        assert_eq!(failure.code, "spawn_not_found");
        let mut spec = sh("true");
        spec.cwd = "/no/such/folder".into();
        let failure = run(spec, &StopSwitch::new(None), &Kept::default()).await.unwrap_err();
        assert_eq!(failure.code, "spawn_no_cwd", "{}", failure.message);
    }

    #[tokio::test]
    async fn a_bare_name_is_searched_in_the_path_that_the_child_gets() {
        use std::os::unix::fs::PermissionsExt;
        let folders = tempfile::tempdir().unwrap();
        let (plain, runs) = (folders.path().join("plain"), folders.path().join("runs"));
        for (folder, mode) in [(&plain, 0o644), (&runs, 0o755)] {
            std::fs::create_dir(folder).unwrap();
            let file = folder.join("mine");
            std::fs::write(&file, "#!/bin/sh\necho $0 ran\n").unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let path = std::env::join_paths([plain.as_path(), &runs, Path::new("/bin")]).unwrap();
        let mut spec = ChildSpec { program: "mine".into(), args: Vec::new(), ..sh("") };
        spec.env = vec![("PATH".into(), path.clone())];
        let exit = run(spec.clone(), &StopSwitch::new(None), &Kept::default()).await.unwrap();
        assert_eq!((exit.code, exit.tail), (Some(0), format!("{} ran", runs.join("mine").display())));
        let file = found("mine".into(), &[("PATH".into(), path)]);
        assert_eq!(Path::new(&file), runs.join("mine"), "not the one that may not be run");
        spec.env.clear();
        let failure = run(spec, &StopSwitch::new(None), &Kept::default()).await.unwrap_err();
        assert_eq!(failure.code, "spawn_not_found");
    }

    #[tokio::test]
    async fn the_whole_group_is_ended_at_the_time_limit() {
        let stop = StopSwitch::new(Some(Instant::now() + Duration::from_millis(100)));
        let kept = Kept::default();
        let script = "trap '' TERM; sleep 1000 & echo pid $!; while :; do sleep 1000; done";
        let exit = run(sh(script), &stop, &kept).await.unwrap();
        assert_eq!(exit.stopped, Some(Stop::Timeout));
        assert_eq!(exit.signal, Some(9), "TERM was ignored");
        let lines = kept.0.into_inner().unwrap();
        let pid: i32 = lines.iter().find_map(|l| l.strip_prefix("info pid ")).unwrap().parse().unwrap();
        let gone = || match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) => stat.contains(") Z "),
            Err(_) => true,
        };
        let deadline = Instant::now() + Duration::from_secs(5);
        while !gone() {
            assert!(Instant::now() < deadline, "the grandchild lives on");
            tokio::task::yield_now().await;
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_dead_grandchild_that_nobody_reaps_is_gone() {
        // It becomes ours, and we do not look: as in a container without an init.
        nix::sys::prctl::set_child_subreaper(true).unwrap();
        let kept = Kept::default();
        let stop = Arc::new(StopSwitch::new(None));
        let script = sh("sleep 600 & echo ready; wait");
        let (switch, told) = (Arc::clone(&stop), async {
            while kept.0.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
            stop.stop(Stop::Cancel);
        });
        let (exit, ()) = futures_util::join!(run(script, &switch, &kept), told);
        assert_eq!(exit.unwrap().stopped, Some(Stop::Cancel));
        let lines = kept.0.into_inner().unwrap();
        assert!(!lines.iter().any(|l| l.contains("did not end")), "{lines:?}");
    }
}

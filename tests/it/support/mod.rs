//! What the outer tests share: a workspace of its own for each test, the real program, and its supervisor.

#![allow(dead_code, reason = "each test takes what it needs")]

mod background;
mod freeze;
mod http;
pub mod smtp;
mod supervisor;
mod terminal;
pub mod web;

pub use background::Background;
pub use freeze::{freeze, thaw};
pub use http::{Answer, request};
pub use supervisor::Supervisor;
pub use terminal::Terminal;

use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for anything that must happen.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two looks at something that nobody announces.
const STEP: Duration = Duration::from_millis(10);

/// Waits until `look` finds something; `what` says what was waited for when it does not.
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::park_timeout(STEP);
    }
}

/// What a finished command left.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code; -1 for a signal.
    pub code: i32,
    /// What it printed.
    pub out: String,
    /// What it complained.
    pub err: String,
}

impl Ran {
    /// The same, if it ended with this code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// What it printed, as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:#?}"))
    }

    /// What it printed, as one value of JSON or one on each line.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<Value> {
        let values = serde_json::Deserializer::from_str(&self.out).into_iter();
        values.collect::<Result<_, _>>().unwrap_or_else(|e| panic!("{e}: {self:#?}"))
    }
}

/// A folder with a configuration, where the real program works.
pub struct Site {
    dir: tempfile::TempDir,
}

impl Site {
    /// A site with this configuration; `data_dir` and two workers are given.
    pub fn new(tasks: &str) -> Self {
        let site = Self { dir: tempfile::Builder::new().prefix("sb").tempdir().unwrap() };
        site.configure(tasks);
        site
    }

    /// A site without a configuration.
    pub fn empty() -> Self {
        Self { dir: tempfile::Builder::new().prefix("sb").tempdir().unwrap() }
    }

    /// Writes the configuration anew.
    pub fn configure(&self, tasks: &str) {
        std::fs::create_dir_all(self.path("inbox")).unwrap();
        let text = format!("[supervisor]\ndata_dir = \"data\"\nworkers = 2\ndrain = \"20s\"\n{tasks}");
        std::fs::write(self.path("config.toml"), text).unwrap();
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    /// A path below it.
    pub fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(below)
    }

    /// The supervisor's socket.
    pub fn socket(&self) -> PathBuf {
        self.path("data/run/control.sock")
    }

    /// The program, ready to be started here, with nothing of the tester's own configuration.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shiftboss"));
        command.args(args).current_dir(self.root()).stdin(Stdio::null());
        command.env("HOME", self.root()).env("TZ", "UTC").env("LANG", "C.UTF-8").env("TMPDIR", self.root());
        for name in ["NO_COLOR", "CLICOLOR_FORCE", "XDG_CONFIG_HOME", "LC_ALL", "LC_CTYPE", "RUST_LOG"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs a command line to its end.
    pub fn run(&self, line: &str) -> Ran {
        self.run_args(line.split_whitespace())
    }

    /// Runs a command to its end.
    pub fn run_args<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        let output = self.command(args).output().unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs a command line that must succeed, and takes its answer as JSON.
    #[track_caller]
    pub fn json(&self, line: &str) -> Value {
        self.run(&format!("{line} --json")).expect(0).json()
    }

    /// Every job.
    #[track_caller]
    pub fn jobs(&self) -> Vec<Value> {
        self.json("jobs").as_array().unwrap().clone()
    }

    /// The one job whose input ends so, if there is one.
    #[track_caller]
    pub fn job(&self, input: &str) -> Option<Value> {
        let mut found = self.jobs().into_iter().filter(|j| j["input"].as_str().unwrap().ends_with(input));
        let job = found.next();
        assert!(found.next().is_none(), "more than one job for {input}");
        job
    }

    /// Waits until the one job with this input is in this state.
    #[track_caller]
    pub fn job_in(&self, input: &str, state: &str) -> Value {
        let mut last = None;
        let started = Instant::now();
        loop {
            if let Some(job) = self.job(input) {
                if job["state"] == state {
                    return job;
                }
                last = Some(job);
            }
            assert!(started.elapsed() < PATIENCE, "waited for {input} to be {state}: {last:#?}");
            std::thread::park_timeout(STEP);
        }
    }

    /// Waits until the job with this number is in this state.
    #[track_caller]
    pub fn state_of(&self, id: i64, state: &str) -> Value {
        until(&format!("job {id} to be {state}"), || {
            self.jobs().into_iter().find(|j| j["id"] == id && j["state"] == state)
        })
    }

    /// Lands a file: whole, by a rename, as a careful writer does.
    pub fn land(&self, below: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let target = self.path(below);
        let part = self.path(format!("landing-{}", content.as_ref().len()));
        std::fs::write(&part, content).unwrap();
        std::fs::rename(&part, &target).unwrap();
        target
    }

    /// Starts the supervisor and waits until it answers.
    pub fn start(&self) -> Supervisor {
        Supervisor::start(self)
    }

    /// Everything below a folder that is not the program's own, as paths relative to the site, sorted.
    pub fn tree(&self, below: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut left = vec![self.path(below)];
        while let Some(dir) = left.pop() {
            for entry in std::fs::read_dir(&dir).into_iter().flatten().map(Result::unwrap) {
                if entry.file_name() == ".shiftboss" {
                    continue;
                }
                if entry.file_type().unwrap().is_dir() {
                    left.push(entry.path());
                } else {
                    found.push(entry.path().strip_prefix(self.root()).unwrap().to_string_lossy().into_owned());
                }
            }
        }
        found.sort();
        found
    }
}

/// A task that describes what lands in `inbox/`.
pub const ORDERS: &str = r#"
[tasks.orders]
watch = { dir = "inbox", match = ["*.csv"], settle = "50ms" }
extract = { output = "out/{name}.json" }
"#;

/// A table that passes.
pub const GOOD: &str = "id,value\n1,10\n2,20\n";
/// A table whose third line is short of a field.
pub const BAD: &str = "id,value\n1,10\nshort\n2,20\n";

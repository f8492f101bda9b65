//! What the proofs share: a workspace in which the real program works and dies, and the audit of what it left.

pub mod audit;

use nix::sys::signal::Signal;
use shiftboss::model::crash::VARIABLE;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for anything that must happen.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks at something that nobody announces.
const STEP: Duration = Duration::from_millis(5);

/// Hash of a content.
pub type Hash = [u8; 32];

/// Hash of some bytes.
pub fn hash(bytes: &[u8]) -> Hash {
    *blake3::hash(bytes).as_bytes()
}

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

/// Where worlds are made: in memory, where there is some. A kill, unlike a power cut, takes back nothing that was
/// written, so a disk would only cost time.
pub fn base() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if tempfile::tempfile_in(&memory).is_ok() { memory } else { std::env::temp_dir() }
}

/// A folder with a configuration, and everything that was put into its inboxes.
pub struct World {
    dir: tempfile::TempDir,
    /// A folder on another device, if there is one and the configuration names it.
    pub away: Option<tempfile::TempDir>,
    /// How often each content was handed in.
    pub sent: BTreeMap<Hash, usize>,
    /// The folders that are watched.
    pub roots: Vec<PathBuf>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub out: String,
    pub err: String,
}

impl Ended {
    pub fn is_killed(&self) -> bool {
        self.status.signal() == Some(Signal::SIGKILL as i32)
    }

    /// The same, if it ended with this code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{self:#?}");
        self
    }
}

impl World {
    /// A world with these tasks, and one inbox.
    pub fn new(tasks: &str) -> Self {
        Self::with_settings("", tasks)
    }

    /// The same with other sections before the tasks.
    pub fn with_settings(settings: &str, tasks: &str) -> Self {
        Self::at(&base(), &["inbox"], &format!("{settings}\n{tasks}"))
    }

    /// A world in this folder, with these inboxes; two workers.
    pub fn at(base: &Path, roots: &[&str], config: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("sb").tempdir_in(base).unwrap();
        let roots: Vec<PathBuf> = roots.iter().map(|root| dir.path().join(root)).collect();
        roots.iter().for_each(|root| std::fs::create_dir(root).unwrap());
        std::fs::write(dir.path().join("config.toml"), format!("[supervisor]\nworkers = 2\n{config}")).unwrap();
        Self { dir, away: None, sent: BTreeMap::new(), roots }
    }

    /// A world whose originals go to another device.
    pub fn across_devices(files: &str, tasks: &str) -> Self {
        use std::os::unix::fs::MetadataExt;
        let device = |path: &Path| std::fs::metadata(path).unwrap().dev();
        let other =
            if device(&base()) == device(&std::env::temp_dir()) { "/var/tmp".into() } else { std::env::temp_dir() };
        let away = tempfile::Builder::new().prefix("sb").tempdir_in(other).unwrap();
        let files = format!(
            "[files]\n{files}\nprocessed = \"{0}/processed/{{task}}\"\nfailed = \"{0}/failed/{{task}}\"\n",
            away.path().display()
        );
        let mut world = Self::with_settings(&files, tasks);
        assert_ne!(device(away.path()), device(world.root()), "this host has one file system only");
        world.away = Some(away);
        world
    }

    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    pub fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(below)
    }

    pub fn read(&self, below: impl AsRef<Path>) -> Vec<u8> {
        let path = self.path(below);
        std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// Where the originals go: here, or on the other device.
    pub fn outcome(&self, below: &str) -> PathBuf {
        self.away.as_ref().map_or_else(|| self.path(below), |away| away.path().join(below))
    }

    /// Counts a content that the program must not lose.
    pub fn sends(&mut self, content: &[u8]) {
        *self.sent.entry(hash(content)).or_default() += 1;
    }

    /// A content that is no longer anywhere, by the hand of the test.
    pub fn takes_back(&mut self, content: &[u8]) {
        let key = hash(content);
        match self.sent.get_mut(&key) {
            Some(1) => drop(self.sent.remove(&key)),
            Some(n) => *n -= 1,
            None => panic!("never sent"),
        }
    }

    /// Lands a file: whole, by a rename, as a careful writer does.
    pub fn land(&mut self, name: impl AsRef<OsStr>, content: &[u8]) -> PathBuf {
        let target = self.path("inbox").join(name.as_ref());
        let part = self.path("landing");
        std::fs::write(&part, content).unwrap();
        std::fs::rename(&part, &target).unwrap();
        self.sends(content);
        target
    }

    /// The program, ready to be started here.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shiftboss"));
        command.args(args).current_dir(self.root()).stdin(Stdio::null());
        command.env("HOME", self.root()).env("TZ", "UTC").env_remove(VARIABLE).env_remove("RUST_LOG");
        command
    }

    /// Runs a command to its end.
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ended {
        ended(&self.command(args).output().unwrap())
    }

    /// Runs a command line to its end.
    pub fn line(&self, line: &str) -> Ended {
        self.run(line.split_whitespace())
    }

    /// Runs a command line that is to die at a crash point; `NAME` or `NAME:N`.
    pub fn armed(&self, point: &str, line: &str) -> Ended {
        ended(&self.command(line.split_whitespace()).env(VARIABLE, point).output().unwrap())
    }

    /// Runs until nothing is left to do.
    #[track_caller]
    pub fn settle(&self) -> Ended {
        let ended = self.line("run --until-idle");
        assert!(matches!(ended.status.code(), Some(0 | 1)), "{ended:#?}");
        ended
    }

    /// Starts the program and leaves it running.
    pub fn start(&self, line: &str, point: Option<&str>) -> Running {
        let mut command = self.command(line.split_whitespace());
        if let Some(point) = point {
            command.env(VARIABLE, point);
        }
        let said = std::fs::File::create(self.path("said")).unwrap();
        command.stdout(Stdio::null()).stderr(said);
        Running(command.spawn().unwrap())
    }

    /// Starts a supervisor and waits until it answers.
    #[track_caller]
    pub fn serve(&self) -> Running {
        let mut running = self.start("run", None);
        until("the supervisor's first answer", || {
            if let Some(status) = running.0.try_wait().unwrap() {
                panic!("the supervisor ended: {status}\n{}", String::from_utf8_lossy(&self.read("said")));
            }
            let answer = self.line("status --json");
            answer.out.contains("\"state\":\"running\"").then_some(())
        });
        running
    }

    /// The database, for looking.
    pub fn db(&self) -> rusqlite::Connection {
        // Reading only: closing it must not tidy up what a crash left.
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let db = rusqlite::Connection::open_with_flags(self.path("data/shiftboss.db"), flags).unwrap();
        db.busy_timeout(PATIENCE).unwrap();
        db
    }

    /// One number from the database; 0 where there is no database yet.
    pub fn number(&self, sql: &str) -> i64 {
        if !self.path("data/shiftboss.db").exists() {
            return 0;
        }
        self.db().query_row(sql, [], |r| r.get(0)).unwrap_or(0)
    }

    /// State and code of the last attempt of a job, by the name that its input has.
    #[track_caller]
    pub fn job(&self, name: &str) -> Job {
        let mut found = self.jobs_of(name);
        let last = found.pop();
        last.unwrap_or_else(|| panic!("no job for {name}"))
    }

    /// Every job whose input has this name, the oldest first.
    pub fn jobs_of(&self, name: &str) -> Vec<Job> {
        let db = self.db();
        let sql = "SELECT j.id, j.state, j.attempt, j.spent,
                          (SELECT code FROM attempt a WHERE a.job = j.id AND a.n = j.attempt), j.reason
                   FROM job j JOIN job_file f ON f.job = j.id AND f.dir = 0 AND f.ord = 0
                   WHERE CAST(f.name AS TEXT) = ?1 ORDER BY j.id";
        let mut select = db.prepare(sql).unwrap();
        let rows = select.query_map([name], |r| {
            Ok(Job {
                id: r.get(0)?,
                state: STATES[usize::try_from(r.get::<_, i64>(1)?).unwrap()],
                attempt: r.get(2)?,
                spent: r.get(3)?,
                code: r.get(4)?,
                reason: r.get(5)?,
            })
        });
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    }
}

/// The names of the states, by their number.
const STATES: [&str; 8] = ["waiting", "queued", "running", "placing", "succeeded", "failed", "skipped", "cancelled"];

/// A job as the database has it.
#[derive(Clone, Debug)]
pub struct Job {
    pub id: i64,
    pub state: &'static str,
    pub attempt: i64,
    pub spent: i64,
    pub code: Option<String>,
    pub reason: Option<String>,
}

fn ended(output: &std::process::Output) -> Ended {
    Ended {
        status: output.status,
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A process that never outlives its test.
pub struct Running(pub Child);

impl Running {
    /// Kills it at once, whatever it does.
    pub fn kill(mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(mut self) -> ExitStatus {
        until("the end of the program", || self.0.try_wait().unwrap())
    }

    /// Ends it in good order.
    #[track_caller]
    pub fn stop(self) -> ExitStatus {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        nix::sys::signal::kill(pid, Signal::SIGTERM).unwrap();
        self.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Every file below a folder, with its path; links are not followed.
pub fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![dir.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().map(Result::unwrap) {
            // It may go while we look.
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => left.push(entry.path()),
                Ok(_) => found.push(entry.path()),
                Err(_) => {}
            }
        }
    }
    found.sort();
    found
}

/// Whether a name is one of the program's temporary ones.
pub fn is_temp(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    name.starts_with(b".sb-") && name.ends_with(b".part")
}

/// The record beside a file.
pub fn record_of(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".error.json");
    name.into()
}

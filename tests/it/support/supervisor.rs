//! The real supervisor in the foreground, as a child that never outlives its test.

use super::{Answer, PATIENCE, STEP, Site, request, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// A running supervisor.
pub struct Supervisor {
    child: Child,
    socket: PathBuf,
    said: PathBuf,
}

impl Supervisor {
    /// Starts one and waits until it answers.
    #[track_caller]
    pub fn start(site: &Site) -> Self {
        Self::start_with(site, site.command(["run"]))
    }

    /// The same by a command that was made ready elsewhere.
    #[track_caller]
    pub fn start_with(site: &Site, command: Command) -> Self {
        let mut this = Self::begin(site, command);
        until("the supervisor's first answer", || {
            if let Some(status) = this.child.try_wait().unwrap() {
                panic!("the supervisor ended: {status}\n{}", this.said());
            }
            request(&this.socket, "GET", "/v1/status", None).filter(|a| a.code == 200)
        });
        this
    }

    /// Starts one without waiting for anything.
    pub fn begin(site: &Site, mut command: Command) -> Self {
        let said = site.path("supervisor-said");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&said).unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        Self { child: command.spawn().unwrap(), socket: site.socket(), said }
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child()).unwrap()
    }

    /// The same as the child that it is.
    pub fn child(&self) -> u32 {
        self.child.id()
    }

    /// Asks over the socket.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        request(&self.socket, "GET", path, None).expect("the supervisor answers")
    }

    /// Acts over the socket.
    #[track_caller]
    pub fn post(&self, path: &str, body: Option<&str>) -> Answer {
        request(&self.socket, "POST", path, body).expect("the supervisor answers")
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Waits for its end: the exit code, -1 for a signal.
    #[track_caller]
    pub fn end(&mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < deadline, "the supervisor did not end\n{}", self.said());
            std::thread::park_timeout(STEP);
        }
    }

    /// Everything that it said so far.
    pub fn said(&self) -> String {
        let mut text = String::new();
        std::fs::File::open(&self.said).and_then(|mut f| f.read_to_string(&mut text)).unwrap();
        text
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // At once, but so that it still ends its children; by force when that takes too long.
        for _ in 0..2 {
            let _ = kill(Pid::from_raw(self.pid()), Signal::SIGTERM);
        }
        let deadline = Instant::now() + std::time::Duration::from_secs(5);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::park_timeout(STEP);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

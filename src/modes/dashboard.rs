//! The dashboard: always a client. Without a supervisor one is started in the background first, if that is ours to do.

use super::backend::despite;
use super::client_runtime;
use crate::cli::Out;
use crate::cli::args::Attach;
use crate::config::Config;
use crate::control::client::{Client, ClientError};
use crate::error::{Exit, Fatal};
use crate::model::text;
use crate::runtime::{background, locks};
use crate::tui::{self, Ended};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

/// A supervisor that was just started may take this long to answer: it recovers and scans first.
const START_MAX: Duration = Duration::from_secs(30);
/// Between two looks at whether it answers.
const LOOK: Duration = Duration::from_millis(20);
/// How much of the end of its output is shown when it did not start, in bytes.
const OUTPUT_TAIL: u64 = 4096;

/// Opens the dashboard on the supervisor of a configuration, starting it if needed.
pub fn open(loaded: Result<Config, Fatal>, out: &mut Out) -> Result<Exit, Fatal> {
    client_runtime()?.block_on(async {
        let config = match loaded {
            Ok(config) => config,
            Err(fatal) => return show(despite(fatal).await?, false, out).await,
        };
        let client = Client::unix(config.socket());
        match client.probe().await {
            Ok(()) => {}
            Err(ClientError::NotRunning { .. }) => {
                tui::need_terminal()?;
                start(&config, &client).await?;
            }
            Err(error) => return Err(error.into()),
        }
        show(client, false, out).await
    })
}

/// Opens the dashboard on a supervisor that is running.
pub fn attach(args: &Attach, load: impl FnOnce() -> Result<Config, Fatal>, out: &mut Out) -> Result<Exit, Fatal> {
    client_runtime()?.block_on(async {
        let client = match (&args.socket, load) {
            (Some(socket), _) => Client::unix(socket.clone()),
            (None, load) => match load() {
                Ok(config) => Client::unix(config.socket()),
                Err(fatal) => despite(fatal).await?,
            },
        };
        client.probe().await?;
        show(client, args.read_only, out).await
    })
}

/// Draws until the operator leaves, and says that the work goes on.
pub async fn show(client: Client, read_only: bool, out: &mut Out) -> Result<Exit, Fatal> {
    match tui::run(client, options(read_only, out)).await? {
        Ended::Detached { running } => out.line(match running {
            0 => "detached; the supervisor goes on".to_owned(),
            1 => "detached, 1 job still running".to_owned(),
            n => format!("detached, {n} jobs still running"),
        }),
        Ended::TerminalGone | Ended::Signalled => {}
    }
    Ok(Exit::Ok)
}

/// What the terminal can show.
pub fn options(read_only: bool, out: &Out) -> tui::Options {
    tui::Options { read_only, color: out.is_colored(), unicode: !is_ascii_locale(), mouse: false, leave: "detach" }
}

/// Whether the locale says that the terminal knows ASCII alone.
fn is_ascii_locale() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|v| std::env::var(v).ok().filter(|v| !v.is_empty()));
    set.is_some_and(|locale| locale == "C" || locale == "POSIX")
}

/// Starts a supervisor in the background and waits until it answers. Who loses the race for the lock attaches.
async fn start(config: &Config, client: &Client) -> Result<(), Fatal> {
    may_start(config)?;
    let output = config.data_dir.join("supervisor.log");
    let mut child = background::start(&config.path, &config.base, &output)?;
    let deadline = Instant::now() + START_MAX;
    loop {
        match client.probe().await {
            Ok(()) => return Ok(()),
            Err(ClientError::NotRunning { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        // Looked at only once it has ended: to look takes the lock for an instant, which it may be about to take.
        if let Some(fatal) = ended(&mut child, &output)
            && locks::is_held(&config.lock_file()).is_none()
        {
            return Err(fatal);
        }
        if Instant::now() >= deadline {
            return Err(Fatal::new(Exit::Unavailable, "the supervisor was started but does not answer")
                .hint(format!("see {}", text::path(&output))));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether starting a supervisor is ours to do.
fn may_start(config: &Config) -> Result<(), Fatal> {
    if config.managed_by_systemd {
        return Err(Fatal::new(Exit::Unavailable, "no supervisor is running, and systemd manages it")
            .hint("start it with systemctl"));
    }
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().mode(0o700).recursive(true).create(&config.data_dir);
    made.map_err(|e| Fatal::io("create the data folder", &config.data_dir, &e))?;
    let owner = std::fs::metadata(&config.data_dir).map_err(|e| Fatal::io("look at", &config.data_dir, &e))?.uid();
    if owner != nix::unistd::geteuid().as_raw() {
        let message = format!("the data folder {} belongs to another user", text::path(&config.data_dir));
        return Err(Fatal::new(Exit::Failed, message).hint("start the supervisor as that user"));
    }
    Ok(())
}

/// The error of a supervisor that ended instead of starting.
fn ended(child: &mut Child, output: &Path) -> Option<Fatal> {
    let status = child.try_wait().ok().flatten()?;
    let fatal = Fatal::new(Exit::Failed, format!("the supervisor did not start: {status}"));
    Some(match tail(output) {
        Some(said) => fatal.because(said),
        None => fatal,
    })
}

fn tail(path: &Path) -> Option<String> {
    let mut file = std::fs::File::open(path).ok()?;
    let size = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(OUTPUT_TAIL))).ok()?;
    let mut raw = Vec::new();
    file.read_to_end(&mut raw).ok()?;
    let said: Vec<String> = raw.split(|&b| b == b'\n').map(text::bytes).collect();
    let last = said.join("\n").trim().to_owned();
    (!last.is_empty()).then_some(last)
}

//! `doctor`: what the program needs from this machine, one line each: ok, warn or fail. It changes nothing.
//!
//! The facts are read in one place and judged by small pure functions, so that every verdict is tested without the
//! machine that deserves it.

use super::human;
use super::line::{Line, Style};
use super::out::Out;
use crate::config::Config;
use crate::control::client::{Client, ClientError};
use crate::error::{Exit, Fatal};
use crate::model::{Trigger, text};
use nix::unistd::{AccessFlags, access, geteuid};
use serde::Serialize;
use std::fs;
use std::io::IsTerminal;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Less room than this on the data folder's disk fails: the store would pause soon.
const ROOM_FAIL: u64 = 64 * 1024 * 1024;
/// Less room than this is worth a warning.
const ROOM_WARN: u64 = 1024 * 1024 * 1024;
/// Fewer inotify watches than this are soon used up by other programs.
const WATCHES_WARN: u64 = 8192;
/// Fewer inotify instances than this are soon used up by other programs.
const INSTANCES_WARN: u64 = 128;
/// Fewer open files than this leave little room for workers.
const FILES_WARN: u64 = 1024;

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Works, and may hurt one day.
    Warn,
    /// Does not work.
    Fail,
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it went.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Check {
    /// A check that went well.
    pub fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, found: found.into(), hint: None }
    }

    /// A check that went well enough.
    pub fn warn(name: &'static str, found: impl Into<String>, hint: &str) -> Self {
        Self { name, verdict: Verdict::Warn, found: found.into(), hint: Some(hint.to_owned()) }
    }

    /// A check that failed.
    pub fn fail(name: &'static str, found: impl Into<String>, hint: &str) -> Self {
        Self { name, verdict: Verdict::Fail, found: found.into(), hint: Some(hint.to_owned()) }
    }
}

/// Prints the report. `sqlite` is the version of the database library, `more` what the caller checked itself, for
/// example the database.
///
/// # Errors
/// Standard output cannot be written. A failed check is exit code 1, not an error.
pub async fn doctor(
    config: Result<&Config, &Fatal>,
    sqlite: &str,
    more: Vec<Check>,
    out: &mut Out,
) -> Result<Exit, Fatal> {
    let mut checks = vec![Check::ok("version", format!("{}, SQLite {sqlite}", env!("CARGO_PKG_VERSION")))];
    match config {
        Err(fatal) => checks.push(broken_config(fatal)),
        Ok(config) => {
            let tasks = human::plural(config.tasks.len() as u64, "task");
            checks.push(Check::ok("configuration", format!("{}, {tasks}", text::path(&config.path))));
            checks.extend(data_folder(&config.data_dir));
            checks.push(supervisor(Client::unix(config.socket()).probe().await));
            checks.extend(watched(config));
            checks.push(session(config.managed_by_systemd));
        }
    }
    checks.extend(more);
    checks.extend(machine());
    report(&checks, out)
}

fn report(checks: &[Check], out: &mut Out) -> Result<Exit, Fatal> {
    if out.is_json() {
        out.json(&checks);
    } else {
        let width = checks.iter().map(|c| c.name.len()).max().unwrap_or(0);
        for check in checks {
            let (word, style) = match check.verdict {
                Verdict::Ok => ("ok  ", Style::Good),
                Verdict::Warn => ("warn", Style::Warn),
                Verdict::Fail => ("FAIL", Style::Bad),
            };
            out.line(Line::of(style, word).text(format!("  {:<width$}  {}", check.name, check.found)));
            if let Some(hint) = &check.hint {
                out.line(Line::of(Style::Dim, format!("      {:<width$}  {hint}", "")));
            }
        }
    }
    out.finish()?;
    let has_failed = checks.iter().any(|c| c.verdict == Verdict::Fail);
    Ok(if has_failed { Exit::Failed } else { Exit::Ok })
}

fn broken_config(fatal: &Fatal) -> Check {
    let found = match &fatal.problems {
        Some(p) => format!("{} in {}", human::plural(p.list.len() as u64, "problem"), text::path(&p.path)),
        None => fatal.message.clone(),
    };
    let hint = fatal.hint.as_deref().unwrap_or("see `shiftboss check`");
    Check::fail("configuration", found, hint)
}

fn data_folder(dir: &Path) -> Vec<Check> {
    const NAME: &str = "data folder";
    let shown = text::path(dir);
    let meta = match fs::metadata(dir) {
        Ok(meta) => meta,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return vec![Check::ok(NAME, format!("{shown}: made at the first start"))];
        }
        Err(e) => return vec![Check::fail(NAME, format!("{shown}: {e}"), "run as the supervisor's user")],
    };
    let mut checks = vec![ownership(&shown, meta.uid(), meta.mode(), geteuid().as_raw())];
    if let Ok(room) = nix::sys::statvfs::statvfs(dir) {
        checks.push(room_left(room.blocks_available().saturating_mul(room.fragment_size())));
    }
    if let Ok(system) = nix::sys::statfs::statfs(dir) {
        checks.push(file_system(system.filesystem_type().0));
    }
    checks
}

fn ownership(shown: &str, owner: u32, mode: u32, me: u32) -> Check {
    const NAME: &str = "data folder";
    if owner != me && me != 0 {
        Check::fail(NAME, format!("{shown} belongs to user {owner}"), "run as that user, or change its owner")
    } else if mode & 0o022 != 0 {
        Check::fail(NAME, format!("{shown} can be written by others"), "chmod go-w on it")
    } else {
        Check::ok(NAME, shown)
    }
}

fn room_left(free: u64) -> Check {
    const NAME: &str = "disk";
    let found = format!("{} free at the data folder", human::bytes(free));
    if free < ROOM_FAIL {
        Check::fail(NAME, found, "make room: nothing is started while the store cannot write")
    } else if free < ROOM_WARN {
        Check::warn(NAME, found, "make room soon")
    } else {
        Check::ok(NAME, found)
    }
}

/// Judges a file system by its magic number (`statfs(2)`).
fn file_system(magic: i64) -> Check {
    const NAME: &str = "file system";
    let network = match magic {
        0x6969 => "NFS",
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => "SMB",
        0x5346_414f => "AFS",
        0x00c3_6400 => "Ceph",
        0x0102_1997 => "9p",
        0x6573_5546 => {
            return Check::warn(
                NAME,
                "FUSE",
                "the database needs locks and syncs that some FUSE file systems do not give",
            );
        }
        _ => return Check::ok(NAME, "local"),
    };
    Check::fail(
        NAME,
        format!("{network}, over the network"),
        "put `data_dir` on a local disk: the database is not safe there",
    )
}

fn supervisor(probed: Result<(), ClientError>) -> Check {
    const NAME: &str = "supervisor";
    match probed {
        Ok(()) => Check::ok(NAME, "running, and it answers"),
        Err(e) if e.is_not_running() => Check::ok(NAME, "not running"),
        Err(e) => {
            let hint = e.hint().unwrap_or_else(|| "see its log: `shiftboss logs`".to_owned());
            Check::fail(NAME, e.to_string(), &hint)
        }
    }
}

fn watched(config: &Config) -> Vec<Check> {
    const NAME: &str = "watched folder";
    let needed = AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK;
    let folders = config.tasks.iter().filter_map(|t| match &t.trigger {
        Trigger::Watch(watch) => Some(&watch.dir),
        Trigger::Schedule(_) | Trigger::After(_) | Trigger::Manual => None,
    });
    let mut seen: Vec<&Path> = Vec::new();
    let mut checks = Vec::new();
    for dir in folders {
        if seen.contains(&dir.as_path()) {
            continue;
        }
        seen.push(dir);
        let shown = text::path(dir);
        checks.push(match access(dir, needed) {
            Ok(()) => Check::ok(NAME, shown),
            Err(nix::errno::Errno::ENOENT) => {
                Check::warn(NAME, format!("{shown}: not there"), "create it, or wait for the mount")
            }
            Err(e) => Check::fail(
                NAME,
                format!("{shown}: {}", e.desc()),
                "the supervisor's user must be able to read, write and enter it",
            ),
        });
    }
    checks
}

/// Whether the supervisor outlives the operator's session.
fn session(managed_by_systemd: bool) -> Check {
    let user = nix::unistd::User::from_uid(geteuid()).ok().flatten().map(|u| u.name).unwrap_or_default();
    let lingers = Path::new("/var/lib/systemd/linger").join(user).exists();
    let mut settings = fs::read_to_string("/etc/systemd/logind.conf").unwrap_or_default();
    let parts = fs::read_dir("/etc/systemd/logind.conf.d").into_iter().flatten().flatten();
    let mut parts: Vec<_> = parts.map(|e| e.path()).collect();
    parts.sort();
    for part in parts {
        settings.push('\n');
        settings.push_str(&fs::read_to_string(part).unwrap_or_default());
    }
    outlives(managed_by_systemd, lingers, kills_user_processes(&settings))
}

/// The last `KillUserProcesses=` of logind's settings.
fn kills_user_processes(settings: &str) -> bool {
    let value = settings.lines().filter_map(|l| l.trim().strip_prefix("KillUserProcesses=")).next_back();
    value.is_some_and(|v| matches!(v.trim().to_ascii_lowercase().as_str(), "yes" | "true" | "on" | "1"))
}

fn outlives(managed_by_systemd: bool, lingers: bool, kills: bool) -> Check {
    const NAME: &str = "session";
    if managed_by_systemd {
        Check::ok(NAME, "started by systemd")
    } else if kills && !lingers {
        Check::fail(
            NAME,
            "logind kills the supervisor at logout (KillUserProcesses)",
            "loginctl enable-linger, or run it as a systemd service",
        )
    } else {
        Check::ok(NAME, "the supervisor outlives a logout")
    }
}

fn machine() -> Vec<Check> {
    let number = |path: &str| fs::read_to_string(path).ok().and_then(|t| t.trim().parse().ok());
    let mut checks = Vec::new();
    if let Some(n) = number("/proc/sys/fs/inotify/max_user_watches") {
        checks.push(limit("inotify watches", n, WATCHES_WARN, "raise the sysctl fs.inotify.max_user_watches"));
    }
    if let Some(n) = number("/proc/sys/fs/inotify/max_user_instances") {
        checks.push(limit("inotify instances", n, INSTANCES_WARN, "raise the sysctl fs.inotify.max_user_instances"));
    }
    if let Some(n) = fs::read_to_string("/proc/self/limits").ok().as_deref().and_then(open_files) {
        checks.push(limit("open files", n, FILES_WARN, "raise the limit: `ulimit -n`, or LimitNOFILE= of the service"));
    }
    let var = |name: &str| std::env::var(name).unwrap_or_default();
    checks.push(terminal(std::io::stdout().is_terminal(), &var("TERM")));
    let locale = [var("LC_ALL"), var("LC_CTYPE"), var("LANG")];
    checks.push(encoding(locale.iter().find(|v| !v.is_empty()).map_or("", String::as_str)));
    checks
}

/// The soft limit of open files in `/proc/self/limits`.
fn open_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|l| l.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        n => n.parse().ok(),
    }
}

fn limit(name: &'static str, found: u64, least: u64, hint: &str) -> Check {
    let shown = if found == u64::MAX { "unlimited".to_owned() } else { human::count(found) };
    if found < least { Check::warn(name, shown, hint) } else { Check::ok(name, shown) }
}

fn terminal(is_terminal: bool, term: &str) -> Check {
    const NAME: &str = "terminal";
    let shown = text::escape(term);
    match (is_terminal, term) {
        (false, _) => Check::ok(NAME, "none here"),
        (true, "" | "dumb" | "unknown") => Check::warn(
            NAME,
            format!("TERM is {shown:?}"),
            "the dashboard needs a terminal type, for example xterm-256color",
        ),
        (true, _) => Check::ok(NAME, shown),
    }
}

fn encoding(locale: &str) -> Check {
    const NAME: &str = "locale";
    let shown = text::escape(locale).into_owned();
    let upper = locale.to_ascii_uppercase();
    if upper.contains("UTF-8") || upper.contains("UTF8") {
        Check::ok(NAME, shown)
    } else {
        let found = if shown.is_empty() { "not set".to_owned() } else { shown };
        Check::warn(NAME, found, "set LANG to a UTF-8 locale, for example C.UTF-8, or names may not line up")
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Captured;
    use super::*;
    use Verdict::{Fail, Ok as Good, Warn};

    #[test]
    fn verdicts() {
        for (check, verdict) in [
            (ownership("/srv/data", 1000, 0o700, 1000), Good),
            (ownership("/srv/data", 1000, 0o700, 0), Good),
            (ownership("/srv/data", 1001, 0o700, 1000), Fail),
            (ownership("/srv/data", 1000, 0o777, 1000), Fail),
            (room_left(0), Fail),
            (room_left(ROOM_WARN - 1), Warn),
            (room_left(ROOM_WARN), Good),
            (file_system(0x6969), Fail),
            (file_system(0xff53_4d42), Fail),
            (file_system(0x6573_5546), Warn),
            (file_system(0xef53), Good),
            (supervisor(Ok(())), Good),
            (supervisor(Err(ClientError::NotRunning { socket: "/s".into() })), Good),
            (supervisor(Err(ClientError::PermissionDenied { socket: "/s".into() })), Fail),
            (outlives(false, false, true), Fail),
            (outlives(false, true, true), Good),
            (outlives(true, false, true), Good),
            (outlives(false, false, false), Good),
            (limit("x", 10, 11, "raise"), Warn),
            (limit("x", 11, 11, "raise"), Good),
            (terminal(true, "dumb"), Warn),
            (terminal(false, ""), Good),
            (encoding("ko_KR.utf8"), Good),
            (encoding("C"), Warn),
            (encoding(""), Warn),
        ] {
            assert_eq!(check.verdict, verdict, "{check:?}");
            assert_eq!(check.hint.is_some(), verdict != Good, "{check:?}");
        }
    }

    #[test]
    fn settings_are_read() {
        assert!(kills_user_processes("[Login]\n#KillUserProcesses=no\nKillUserProcesses=yes\n"));
        assert!(!kills_user_processes("KillUserProcesses=yes\nKillUserProcesses=no"));
        assert!(!kills_user_processes("#KillUserProcesses=yes"));
        let limits =
            "Limit   Soft Limit  Hard Limit  Units\nMax open files            1024                 524288  files\n";
        assert_eq!(open_files(limits), Some(1024));
        assert_eq!(open_files("Max open files  unlimited unlimited files"), Some(u64::MAX));
    }

    #[tokio::test]
    async fn a_failed_check_is_exit_code_1() {
        let captured = Captured::human();
        let fatal = Fatal::new(Exit::Config, "no configuration file").hint("write one with `shiftboss init`");
        let more = vec![Check::ok("database", "integrity ok")];
        let exit = doctor(Err(&fatal), "3.50.0", more, &mut captured.out()).await.unwrap();
        assert_eq!(exit, Exit::Failed);
        let text = captured.stdout();
        assert!(text.contains("SQLite 3.50.0") && text.contains("integrity ok"), "{text}");
        assert!(text.contains("FAIL  configuration"), "{text}");
        assert!(text.contains("shiftboss init"), "{text}");
        assert_eq!(report(&[Check::warn("x", "y", "z")], &mut Captured::human().out()).unwrap(), Exit::Ok);
    }
}

//! `restore`: takes a backup apart, now, without a configuration and without a supervisor.

use super::client_runtime;
use super::signals::Signals;
use crate::actions::backup::manifest::Entry;
use crate::actions::backup::place::OnThere;
use crate::actions::backup::restore::{self, Done, Source};
use crate::cli::args::{Restore, There};
use crate::cli::restore::{Bar, Listed, Missing, Restored};
use crate::cli::{self, Out};
use crate::clock::rfc3339;
use crate::error::{Exit, Fatal};
use crate::model::{Failure, Millis, text};
use crate::runtime::Tracker;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Between two states of the progress line.
const TICK: Duration = Duration::from_millis(200);

/// What the command has done.
enum Outcome {
    Listed(Vec<Listed>),
    Done(Done, Option<PathBuf>),
}

/// Runs the command.
pub fn run(args: &Restore, out: &mut Out) -> Result<Exit, Fatal> {
    let base =
        std::env::current_dir().map_err(|e| Fatal::new(Exit::Failed, "cannot tell the working folder").because(e))?;
    let picked = Picked::read(&args.paths)?;
    let runtime = client_runtime()?;
    let tracker = Tracker::new(runtime.handle().clone());
    let (stop, read) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let work = {
        let (args, stop, read) = (args.clone(), Arc::clone(&stop), Arc::clone(&read));
        move || work(&args, &base, &picked, &stop, &read)
    };
    let mut bar = Bar::new(!args.quiet && !out.is_json());
    let result = runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let working = tracker.run(work);
        tokio::pin!(working);
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                result = &mut working => break Ok::<_, Fatal>(result),
                _ = tick.tick() => bar.show(read.load(Ordering::Relaxed)),
                () = signals.next() => stop.store(true, Ordering::Relaxed),
            }
        }
    })?;
    bar.clear();
    let panicked = || Failure::permanent("panic", "restore panicked: this is a fault of the program");
    match result.unwrap_or_else(|| Err(panicked())) {
        Ok(Outcome::Listed(entries)) => {
            cli::restore::list(&entries, out);
            Ok(Exit::Ok)
        }
        Ok(Outcome::Done(done, to)) => {
            let failed = done.failed;
            cli::restore::done(&restored(done, to.as_deref(), bar.elapsed()), out);
            Ok(if failed == 0 { Exit::Ok } else { Exit::Failed })
        }
        Err(failure) => {
            cli::restore::failed(&failure, out);
            Ok(Exit::Failed)
        }
    }
}

fn work(args: &Restore, base: &Path, picked: &Picked, stop: &AtomicBool, read: &AtomicU64) -> Result<Outcome, Failure> {
    let check = |bytes| {
        read.fetch_add(bytes, Ordering::Relaxed);
        if stop.load(Ordering::Relaxed) { Err(io::Error::other("stopped on request")) } else { Ok(()) }
    };
    let path = base.join(&args.backup);
    let fault = |doing: &str, path: &Path, e: &io::Error| match e.kind() {
        _ if stop.load(Ordering::Relaxed) => Failure::transient("stopped", "stopped on request"),
        io::ErrorKind::AlreadyExists => {
            let message = format!("{e}, and --on-exists is fail: nothing was restored");
            Failure::permanent("output_exists", message)
        }
        _ => Failure::io("restore", doing, path, e),
    };
    let source = Source::open(&path, &check).map_err(|e| fault("open the backup", &path, &e))?;
    if !picked.is_everything() && !source.entries.iter().any(|e| picked.has(e)) {
        let message = format!("nothing in {} has one of these paths", text::path(&path));
        return Err(Failure::permanent("no_entry", message));
    }
    if let Some(missing) = picked.missing(&source.entries) {
        let message = format!("nothing in {} is called {missing}; nothing was restored", text::path(&path));
        return Err(Failure::permanent("no_entry", message));
    }
    if args.list {
        return Ok(Outcome::Listed(source.entries.iter().filter(|e| picked.has(e)).map(listed).collect()));
    }
    if args.verify {
        let done = source.verify(&check).map_err(|e| fault("read", &path, &e))?;
        return Ok(Outcome::Done(done, None));
    }
    let to = args.to.clone().unwrap_or_else(|| default_to(&source.path));
    let to = base.join(to);
    let on_there = match args.on_exists {
        There::Fail => OnThere::Fail,
        There::Skip => OnThere::Skip,
        There::Replace => OnThere::Replace,
    };
    let done = restore::run(&source, Some((&to, on_there)), &|entry| picked.has(entry), &check);
    Ok(Outcome::Done(done.map_err(|e| fault("restore into", &to, &e))?, Some(to)))
}

/// `restored-NAME`, without the ending of an archive.
fn default_to(path: &Path) -> PathBuf {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    PathBuf::from(format!("restored-{}", name.strip_suffix(".tar.zst").unwrap_or(&name)))
}

fn listed(entry: &Entry) -> Listed {
    Listed {
        kind: entry.kind.name(),
        path: text::bytes(&entry.path),
        size: entry.size,
        mode: entry.mode,
        modified: rfc3339(Millis(entry.mtime_ns.div_euclid(1_000_000))),
        link: entry.link.as_deref().map(text::bytes),
        blake3: entry.hash.map(|hash| hash.to_hex().to_string()),
        changed: entry.changed,
    }
}

fn restored(done: Done, to: Option<&Path>, took: Duration) -> Restored {
    let missing = |problem: restore::Problem| Missing { path: problem.path, message: problem.message };
    Restored {
        to: to.map(text::path),
        restored: done.restored,
        bytes: done.bytes,
        kept: done.kept,
        failed: done.failed,
        problems: done.problems.into_iter().map(missing).collect(),
        duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    }
}

/// What is restored of a backup.
struct Picked {
    /// Files, and folders with all that is in them.
    paths: Vec<Vec<u8>>,
    patterns: GlobSet,
}

/// Whether an entry is this path or lies below it.
fn is_below(path: &[u8], entry: &Entry) -> bool {
    let rest = entry.path.strip_prefix(path);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

impl Picked {
    fn read(paths: &[PathBuf]) -> Result<Self, Fatal> {
        let mut patterns = GlobSetBuilder::new();
        let mut plain = Vec::new();
        for path in paths {
            let raw = path.as_os_str().as_bytes();
            let raw = raw.strip_prefix(b"/").unwrap_or(raw);
            let raw = raw.strip_prefix(b"./").unwrap_or(raw);
            plain.push(raw.strip_suffix(b"/").unwrap_or(raw).to_vec());
            if let Some(text) = path.to_str().filter(|t| t.contains(['*', '?', '['])) {
                let glob = GlobBuilder::new(text).literal_separator(true).build();
                let glob = glob.map_err(|e| {
                    let message = format!("{} is not a pattern: {}", text::escape(text), e.kind());
                    Fatal::new(Exit::Usage, message)
                })?;
                patterns.add(glob);
            }
        }
        let patterns = patterns.build().map_err(|e| Fatal::new(Exit::Usage, "these are no patterns").because(e))?;
        Ok(Self { paths: plain, patterns })
    }

    fn is_everything(&self) -> bool {
        self.paths.is_empty()
    }

    /// A path that is none of the entries and no pattern.
    fn missing(&self, entries: &[Entry]) -> Option<String> {
        let is_plain = |path: &&Vec<u8>| !path.iter().any(|c| b"*?[".contains(c));
        let mut plain = self.paths.iter().filter(is_plain);
        plain.find(|path| !entries.iter().any(|entry| is_below(path, entry))).map(|path| text::bytes(path))
    }

    fn has(&self, entry: &Entry) -> bool {
        self.is_everything()
            || self.paths.iter().any(|path| is_below(path, entry))
            || self.patterns.is_match(Path::new(OsStr::from_bytes(&entry.path)))
    }
}

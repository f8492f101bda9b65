//! The composition root: for each command, the parts that it needs are put together here and nowhere else.

mod backend;
mod dashboard;
mod demo;
mod fetch;
mod init;
mod local;
mod options;
mod report;
mod restore;
mod signals;
mod supervise;
mod transform;

use crate::actions::KINDS;
use crate::cli::{self, Args, Command, Out};
use crate::clock::{Clock, SystemClock};
use crate::config;
use crate::error::{Exit, Fatal};
use std::sync::Arc;
use tokio::runtime::Runtime;

/// Threads for tasks. The work itself runs on threads for blocking work, one for each worker.
const TASK_THREADS: usize = 2;
/// Threads for blocking work beside the workers: decisions, placing, reads for clients.
const SPARE_THREADS: usize = 32;

/// Runs a command to its end.
#[must_use]
pub fn run(args: Args) -> Exit {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut out = Out::new(&args.global, Arc::clone(&clock));
    match dispatch(args, &mut out, &clock) {
        Ok(exit) => match out.finish() {
            Ok(()) => exit,
            Err(fatal) => fail(&fatal, &mut out),
        },
        Err(fatal) => fail(&fatal, &mut out),
    }
}

fn fail(fatal: &Fatal, out: &mut Out) -> Exit {
    out.fatal(fatal);
    fatal.exit
}

fn dispatch(args: Args, out: &mut Out, clock: &Arc<dyn Clock>) -> Result<Exit, Fatal> {
    let Args { global, command } = args;
    let load = || config::find(global.config.as_deref()).and_then(|path| config::load(&path, KINDS));
    match command {
        None => dashboard::open(load(), out),
        Some(Command::Attach(attach)) => dashboard::attach(&attach, load, out),
        Some(Command::Demo(demo)) => demo::run(&demo, out, clock),
        Some(Command::Init(init)) => init::run(&init, out),
        Some(Command::Check) => cli::setup::check(load(), out),
        Some(Command::Run(run)) => supervise::run(&run, load, &global, out, clock),
        Some(Command::Ask(ask)) => backend::ask(&ask, load(), out, clock),
        Some(Command::Transform(transform)) => transform::run(&transform, out),
        Some(Command::Fetch(fetch)) => fetch::run(&fetch, out),
        Some(Command::Report(report)) => report::run(&report, &load()?, out),
        Some(Command::Restore(restore)) => restore::run(&restore, out),
        Some(Command::Doctor) => backend::doctor(&load(), out),
        Some(Command::Completions(shell)) => cli::docs::completions(&shell, out),
        Some(Command::Man) => cli::docs::man(out),
    }
}

/// A runtime for a client: one thread is enough, and it starts faster.
fn client_runtime() -> Result<Runtime, Fatal> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|e| Fatal::new(Exit::Internal, "cannot start the runtime").because(e))
}

/// A runtime for a supervisor with so many workers.
fn supervisor_runtime(workers: usize) -> Result<Runtime, Fatal> {
    let built = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(TASK_THREADS)
        .max_blocking_threads(workers + SPARE_THREADS)
        .thread_name("shiftboss")
        .enable_all()
        .build();
    built.map_err(|e| Fatal::new(Exit::Internal, "cannot start the runtime").because(e))
}

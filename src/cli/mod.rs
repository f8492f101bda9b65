//! The command line: what an operator or a script types, and what it prints.
//!
//! Every command that asks or acts is written once, against the ports: [`Backend`] says whether a running supervisor
//! answers over its socket, or the database itself. The contract (names, exit codes, JSON) is DESIGN, section 5.
//!
//! [`out`] is the only place that prints. Nothing from outside reaches the terminal as it came: text is escaped where
//! it enters a [`line::Line`], JSON where it is written.

pub mod act;
pub mod alerts;
pub mod args;
pub mod control;
pub mod docs;
pub mod doctor;
pub mod failure;
pub mod fetch;
pub mod human;
pub mod jobs;
pub mod line;
pub mod logs;
pub mod next;
pub mod out;
pub mod restore;
pub mod setup;
pub mod show;
pub mod status;
pub mod table;
pub mod transform;

pub use args::{Args, Ask, Command, parse};
pub use out::Out;

use crate::control::client::NOT_RUNNING;
use crate::error::{Exit, Fatal};
use crate::model::ports::{Actor, Commands, Explain, Reader, Refusal};
use crate::model::text;
use std::sync::Arc;

/// Where a command's answers come from: the supervisor's socket, or the database when none runs.
#[derive(Clone)]
pub struct Backend {
    /// Reads.
    pub reader: Arc<dyn Reader>,
    /// Operator actions.
    pub commands: Arc<dyn Commands>,
    /// Why things do not run.
    pub explain: Arc<dyn Explain>,
    /// Whether a supervisor is running behind it.
    pub live: bool,
}

/// Runs a command that needs nothing but a backend.
///
/// # Errors
/// Exit code 1 when the request was refused, 69 when it needs a supervisor and none runs.
pub async fn dispatch(ask: &Ask, backend: &Backend, out: &mut Out) -> Result<Exit, Fatal> {
    let exit = match ask {
        Ask::Status => status::status(backend, out).await?,
        Ask::Jobs(args) => jobs::jobs(args, backend, out).await?,
        Ask::Show(args) => show::show(args.job, backend, out).await?,
        Ask::Why(args) => show::why(&args.subject, backend, out).await?,
        Ask::File(args) => jobs::file(&args.path, backend, out).await?,
        Ask::Logs(args) => logs::logs(args, backend, out).await?,
        Ask::Next(args) => next::next(args, backend, out).await?,
        Ask::Retry(args) => act::retry(args, backend, out).await?,
        Ask::Skip(args) => act::skip(args, backend, out).await?,
        Ask::Cancel(args) => act::cancel(args, backend, out).await?,
        Ask::Trigger(args) => control::trigger(args, backend, out).await?,
        Ask::Pause(args) => control::pause(args, backend, out).await?,
        Ask::Resume(args) => control::resume(args, backend, out).await?,
        Ask::Reload => control::reload(backend, out).await?,
        Ask::Restart => control::restart(backend, out).await?,
        Ask::Stop(args) => control::stop(args, backend, out).await?,
        Ask::AlertTest(args) => alerts::test(args, backend, out).await?,
    };
    out.finish()?;
    Ok(exit)
}

/// The caller, as the kernel tells it.
fn me() -> Actor {
    Actor { uid: nix::unistd::geteuid().as_raw() }
}

/// What a refusal means for the program. By value, for `map_err`.
#[expect(clippy::needless_pass_by_value, reason = "its place is `map_err`, which gives a value")]
fn refused(refusal: Refusal) -> Fatal {
    let exit = if refusal.code == NOT_RUNNING { Exit::Unavailable } else { Exit::Failed };
    let fatal = Fatal::new(exit, text::escape(&refusal.message));
    match &refusal.hint {
        Some(hint) => fatal.hint(text::escape(hint)),
        None => fatal,
    }
}

/// Refuses a command that only a running supervisor can do.
fn need_supervisor(backend: &Backend) -> Result<(), Fatal> {
    if backend.live {
        return Ok(());
    }
    Err(Fatal::new(Exit::Unavailable, "no supervisor is running")
        .hint("start it with `shiftboss run`, or open the dashboard with `shiftboss`"))
}

#[cfg(test)]
mod tests;

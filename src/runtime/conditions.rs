//! Whether a run may begin: the conditions of its task, looked at by the worker that took its first job.

use super::shared::Shared;
use crate::clock;
use crate::model::action::{ChildSpec, Desk};
use crate::model::condition::{self, Condition, History};
use crate::model::ledger::StoreError;
use crate::model::{Failure, Millis, Task, figure, text};
use nix::sys::statvfs::statvfs;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// Code of a failure that means: a condition could not be looked at.
const CODE: &str = "condition";

/// From TERM to KILL for the program of a condition.
const GRACE: Duration = Duration::from_secs(5);

/// Why the task may not run now, by the first condition that says no; none if all hold.
pub fn refused(shared: &Shared, task: &Task, desk: &dyn Desk) -> Result<Option<String>, Failure> {
    for condition in &task.when {
        if let Some(why) = says_no(shared, task, desk, condition)? {
            return Ok(Some(why));
        }
    }
    Ok(None)
}

fn says_no(shared: &Shared, task: &Task, desk: &dyn Desk, condition: &Condition) -> Result<Option<String>, Failure> {
    let now = shared.now();
    Ok(match condition {
        Condition::NoSuccessWithin(time) => {
            let last = shared.store.queries().last_success(&task.name).map_err(|e| unread(&e))?;
            last.filter(|(at, _)| now.since(*at) < *time).map(|(at, run)| {
                let ago = figure::duration(now.since(at));
                format!("it succeeded {ago} ago (run {run}), which is within {}", humantime::format_duration(*time))
            })
        }
        Condition::FileExists(path) => match path.try_exists() {
            Ok(true) => None,
            Ok(false) => Some(format!("there is no {}", text::path(path))),
            Err(e) => return Err(Failure::io(CODE, "look for", path, &e)),
        },
        Condition::FileNewerThan { path, age } => older(path, *age, now)?,
        Condition::DiskFreeAbove { path, bytes } => {
            let disk = statvfs(path).map_err(|e| Failure::io(CODE, "ask the disk of", path, &e.into()))?;
            #[expect(clippy::useless_conversion, reason = "its width differs between systems")]
            let free = u64::from(disk.blocks_available()).saturating_mul(u64::from(disk.fragment_size()));
            (free <= *bytes).then(|| {
                format!(
                    "{} are free on the disk of {}, asked are {}",
                    figure::size(free),
                    text::path(path),
                    figure::size(*bytes)
                )
            })
        }
        Condition::LoadBelow(most) => {
            let read = sysinfo::System::load_average();
            let load = read.map_err(|e| Failure::transient(CODE, format!("cannot read the load: {e}")))?.one;
            (load >= *most).then(|| format!("the load is {load:.2}, which is not below {most}"))
        }
        Condition::Between(parts) => condition::outside(parts, &clock::in_zone(now, task.timezone)),
        Condition::Weekday(days) => condition::other_day(days, &clock::in_zone(now, task.timezone)),
        Condition::Command { program, args } => command(shared, desk, program, args)?,
        Condition::Sql(sql) => {
            let value = shared.store.queries().first_value(sql).map_err(|e| refused_query(&e))?;
            match value.as_deref() {
                Some("" | "0" | "0.0") | None => {
                    Some(format!("the query over the history says {}", value.as_deref().map_or("nothing", text_of)))
                }
                Some(_) => None,
            }
        }
    })
}

/// A value in a sentence.
fn text_of(value: &str) -> &str {
    if value.is_empty() { "an empty text" } else { value }
}

fn older(path: &Path, age: Duration, now: Millis) -> Result<Option<String>, Failure> {
    let found = match std::fs::metadata(path).and_then(|facts| facts.modified()) {
        Ok(modified) => modified,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Some(format!("there is no {}", text::path(path))));
        }
        Err(e) => return Err(Failure::io(CODE, "look at", path, &e)),
    };
    // A file from the future is new.
    let is = (UNIX_EPOCH + now.since(Millis(0))).duration_since(found).unwrap_or_default();
    Ok((is > age).then(|| format!("{} was changed {} ago", text::path(path), figure::duration(is))))
}

fn command(shared: &Shared, desk: &dyn Desk, program: &str, args: &[String]) -> Result<Option<String>, Failure> {
    let spec = ChildSpec {
        program: program.into(),
        args: args.iter().map(Into::into).collect(),
        env: Vec::new(),
        cwd: shared.config.load().base.clone(),
        grace: GRACE,
        hide: Vec::new(),
    };
    let exit = shared.tracker.handle().block_on(desk.child(spec))?;
    desk.check()?;
    Ok(match (exit.code, exit.signal) {
        (Some(0), _) => None,
        (Some(code), _) => Some(format!("{} ended with exit code {code}", text::escape(program))),
        (None, signal) => Some(format!("{} was ended by signal {}", text::escape(program), signal.unwrap_or_default())),
    })
}

/// What the database says of a query: without the text of the query, which is not only that of the configuration.
fn refused_query(e: &StoreError) -> Failure {
    let StoreError::Fault(why) = e else { return unread(e) };
    let why = why.split(" in WITH").next().unwrap_or(why);
    Failure::permanent(CODE, format!("the query of `when.sql` cannot be answered: {why}"))
}

fn unread(e: &StoreError) -> Failure {
    Failure::transient(CODE, format!("cannot read the history: {e}"))
}

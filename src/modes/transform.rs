//! `transform`: one table, now, without a configuration and without a queue. The same engine as in a task; the files it
//! writes become visible together, at the end.

use super::client_runtime;
use super::local::{LocalDesk, Placed};
use super::options::{self, hint, pairs, words};
use super::signals::Signals;
use crate::actions::transform::engine::{self, Order, Tuning};
use crate::actions::transform::gather;
use crate::actions::transform::spec::Spec;
use crate::cli::args::Transform;
use crate::cli::transform::{Bar, Done};
use crate::cli::{self, Out};
use crate::clock::{Clock, SystemClock};
use crate::error::{Exit, Fatal};
use crate::files::names::temp_name;
use crate::model::block::{Complaint, Entry, Node, Value};
use crate::model::{Desk, Failure, JobId, Report, text};
use crate::runtime::{Gate, Tracker};
use chrono::{DateTime, Utc};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Between two states of the progress bar.
const TICK: Duration = Duration::from_millis(200);

/// Runs the command.
pub fn run(args: &Transform, out: &mut Out) -> Result<Exit, Fatal> {
    let base =
        std::env::current_dir().map_err(|e| Fatal::new(Exit::Failed, "cannot tell the working folder").because(e))?;
    let spec = options::read(entries(args), &base, Spec::read, |complaint| place(args, complaint))?;
    let runtime = client_runtime()?;
    let tracker = Arc::new(Tracker::new(runtime.handle().clone()));
    let gate = Gate::new(&*tracker, Arc::new(SystemClock), CancellationToken::new());
    let desk = Arc::new(LocalDesk::new(args.force, Arc::clone(&tracker), Arc::new(gate)));
    let mut bar = Bar::new(!args.quiet && !out.is_json());
    let work = {
        let (desk, args) = (Arc::clone(&desk), args.clone());
        move || transform(&spec, &args, &base, &desk)
    };
    let result = runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let working = tracker.run(work);
        tokio::pin!(working);
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                result = &mut working => break Ok::<_, Fatal>(result),
                _ = tick.tick() => bar.show(desk.progress_now(), out),
                () = signals.next() => desk.stop(),
            }
        }
    })?;
    bar.clear(out);
    let panicked = || Failure::permanent("panic", "the engine panicked: this is a fault of the program");
    let result = result.unwrap_or_else(|| Err(panicked()));
    let placed = match result {
        Ok(report) if desk.stopped().is_none() => desk.place().map(|placed| (report, placed)),
        Ok(_) => Err(Failure::transient("stopped", "stopped on request")),
        Err(failure) => Err(failure),
    };
    match placed {
        Ok((report, Placed { outputs, took: sync })) => {
            cli::transform::done(&Done { report, outputs, took: bar.elapsed(), sync }, out);
            Ok(Exit::Ok)
        }
        Err(failure) => {
            desk.drop_all();
            cli::transform::failed(&failure, out);
            Ok(Exit::Failed)
        }
    }
}

fn transform(spec: &Spec, args: &Transform, base: &Path, desk: &Arc<LocalDesk>) -> Result<Report, Failure> {
    let patterns: Vec<String> = args.inputs.iter().map(|p| p.to_string_lossy().into_owned()).collect();
    let mut paths = Vec::new();
    for (path, pattern) in args.inputs.iter().zip(&patterns) {
        // A name that is no UTF-8 is no pattern either.
        if path.exists() {
            paths.push(base.join(path));
        } else {
            paths.extend(gather::named(base, std::slice::from_ref(pattern))?);
        }
    }
    let target = base.join(&args.output);
    let scratch = target.parent().unwrap_or(base).join(temp_name(JobId(0), i64::from(std::process::id()), u32::MAX));
    let order = Order {
        spec,
        inputs: gather::open(&paths)?,
        target,
        now: now(),
        // Whoever ends it by force does not ask it to go on.
        tuning: Tuning { checkpoints: None, ..Tuning::default() },
        scratch: &scratch,
        desk: desk.as_ref(),
        stopped: {
            let desk = Arc::clone(desk);
            Arc::new(move || desk.stopped().is_some())
        },
    };
    let result = engine::run(order);
    // It is there only if something was spilled to it.
    let _ = std::fs::remove_dir_all(&scratch);
    result
}

/// The time as a run's planned time has it, in milliseconds.
fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(SystemClock.now().0).unwrap_or_default()
}

/// Shows the part of a statement that a problem is about.
fn place(args: &Transform, complaint: &Complaint) -> Option<String> {
    let sql = args.sql.as_ref()?;
    let at = sql.get(complaint.span.clone()).filter(|part| !part.is_empty())?;
    let hint = hint(complaint).map(|hint| format!("; {hint}")).unwrap_or_default();
    Some(format!("at `{}`{hint}", text::escape(at)))
}

fn entries(args: &Transform) -> Vec<Entry> {
    let mut made = Vec::new();
    let mut add = |key: &str, value: Option<Value>| {
        let Some(value) = value else { return };
        // Only the statement is shown in part; it stands at the places of its own bytes.
        let len = args.sql.as_ref().filter(|_| key == "sql").map_or(0, String::len);
        made.push(Entry { key: key.into(), key_span: 0..0, node: Node { span: 0..len, value } });
    };
    let word = |text: &Option<String>| text.clone().map(Value::String);
    add("sql", word(&args.sql));
    add("threads", args.threads.map(Value::Integer));
    add("format", word(&args.format));
    add("delimiter", args.delimiter.as_deref().map(unescaped));
    add("quote", word(&args.quote));
    add("encoding", word(&args.encoding));
    add("header", args.no_header.then_some(Value::Boolean(false)));
    add("columns", pairs(&args.columns));
    add("tables", pairs(&args.tables));
    add("null", words(&args.nulls));
    add("decimal_point", word(&args.decimal_point));
    add("ragged", word(&args.ragged));
    add("require", words(&args.require));
    add("expect", words(&args.expect));
    add("unique", words(&args.unique));
    add("on_bad_row", word(&args.on_bad_row));
    let max = args.max_rejects.as_ref();
    add("max_rejects", max.map(|m| m.parse().map_or_else(|_| Value::String(m.clone()), Value::Integer)));
    add("split_by", word(&args.split_by));
    add("split_size", word(&args.split_size));
    add("output_delimiter", args.output_delimiter.as_deref().map(unescaped));
    add("output_null", word(&args.output_null));
    add("output_header", args.no_output_header.then_some(Value::Boolean(false)));
    made
}

/// `\t` as a shell hands it on.
fn unescaped(text: &str) -> Value {
    Value::String(if text == "\\t" { "\t".into() } else { text.into() })
}

//! Sends the supervisor's own events into the log and, in the foreground, to stderr.
//!
//! Only our own targets pass: a library's debug lines may show what a person must not see. Text from outside is
//! escaped on both ways.

use super::Log;
use crate::error::{Exit, Fatal};
use crate::model::action::Level;
use crate::model::{JobId, text};
use std::fmt::{self, Write};
use std::sync::Arc;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt as lines};

/// The crate's name, which all our targets start with.
const OURS: &str = "shiftboss";

/// Sends events of this level and graver into the log, and to stderr if `foreground`. Once in a process.
///
/// # Errors
/// [`Exit::Internal`], if events are sent somewhere already.
pub fn init(level: Level, log: Arc<Log>, foreground: bool) -> Result<(), Fatal> {
    let stderr = foreground
        .then(|| lines::layer().with_writer(std::io::stderr).log_internal_errors(false).event_format(OneLine));
    tracing_subscriber::registry()
        .with(Targets::new().with_target(OURS, filter(level)))
        .with(LogLayer { log })
        .with(stderr)
        .try_init()
        .map_err(|e| Fatal::new(Exit::Internal, "events are sent somewhere already").because(e))
}

const fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    }
}

fn level(metadata: &Metadata<'_>) -> Level {
    match *metadata.level() {
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::INFO => Level::Info,
        tracing::Level::DEBUG | tracing::Level::TRACE => Level::Debug,
    }
}

/// The part of the supervisor that an event comes from: its module below the crate.
fn target<'a>(metadata: &Metadata<'a>) -> &'a str {
    metadata.target().strip_prefix(OURS).map_or(metadata.target(), |t| t.trim_start_matches(':'))
}

/// Writes events into the log. The fields `task` and `job` become those of the line.
struct LogLayer {
    log: Arc<Log>,
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut said = Said::default();
        event.record(&mut said);
        let metadata = event.metadata();
        let target = Some(target(metadata)).filter(|t| !t.is_empty());
        self.log.append(level(metadata), said.task.as_deref(), said.job, target, &said.message);
    }
}

/// What an event says: its message, and its other fields behind it.
#[derive(Default)]
struct Said {
    message: String,
    task: Option<String>,
    job: Option<JobId>,
}

impl Said {
    fn add(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        if field.name() == "message" {
            let rest = std::mem::take(&mut self.message);
            let _ = write!(self.message, "{value}{rest}");
        } else {
            let _ = write!(self.message, " {}={value}", field.name());
        }
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "task" => self.task = Some(format!("{value:?}")),
            "job" => self.job = format!("{value:?}").parse().ok().map(JobId),
            _ => self.add(field, format_args!("{value:?}")),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "task" => self.task = Some(value.to_owned()),
            _ => self.add(field, format_args!("{value}")),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        match field.name() {
            "job" => self.job = Some(JobId(value)),
            _ => self.add(field, format_args!("{value}")),
        }
    }
}

/// One line for a person: level, part, message.
struct OneLine;

impl<S, N> FormatEvent<S, N> for OneLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        let metadata = event.metadata();
        write!(out, "{:<5} ", level(metadata).name())?;
        if !target(metadata).is_empty() {
            write!(out, "{}: ", target(metadata))?;
        }
        if let Some(task) = &said.task {
            write!(out, "task {}: ", text::escape(task))?;
        }
        if let Some(job) = said.job {
            write!(out, "job {job}: ")?;
        }
        writeln!(out, "{}", text::escape(&said.message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::model::ports::LogsQuery;
    use crate::telemetry::logs::Limits;
    use std::sync::Mutex;

    /// Where a test sends what would go to stderr.
    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn our_events_become_lines_and_others_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let log = Arc::new(Log::open(dir.path().join("logs"), Limits::default(), Arc::new(ManualClock::default())));
        let captured = Captured::default();
        let writer = captured.clone();
        let subscriber = tracing_subscriber::registry()
            .with(Targets::new().with_target(OURS, filter(Level::Info)))
            .with(LogLayer { log: log.clone() })
            .with(lines::layer().with_writer(move || writer.clone()).event_format(OneLine));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "shiftboss::files::watch", task = "orders", job = %JobId(7), size = 3, "seen {}", "a\x1b[2Jb");
            tracing::error!(target: "shiftboss", code = "x", "down");
            tracing::debug!(target: "shiftboss", "too fine");
            tracing::error!(target: "hyper", "not ours");
        });
        let page = log.page(&LogsQuery { limit: 100, ..LogsQuery::default() });
        assert_eq!(page.lines.len(), 2);
        let line = &page.lines[0];
        assert_eq!((line.level, line.message.as_str()), (Level::Info, "seen a\\x1b[2Jb size=3"));
        assert_eq!((line.task.as_deref(), line.job), (Some("orders"), Some(JobId(7))));
        assert_eq!(line.target.as_deref(), Some("files::watch"));
        assert_eq!((page.lines[1].level, page.lines[1].target.as_deref()), (Level::Error, None));
        let text = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
        let want = "info  files::watch: task orders: job 7: seen a\\x1b[2Jb size=3\nerror down code=x\n";
        assert_eq!(text, want);
    }
}

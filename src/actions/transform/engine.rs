//! One transform from its first byte to its report: settle what the table is, then let workers take chunk after chunk.
//!
//! Each worker takes the next chunk from the source under its lock, turns it into a piece of output by itself, and hands
//! that to the sink, which puts pieces into order. A failure travels as a piece too, so that the first one in the order
//! of the input is the one that is told, whatever the number of workers.

use super::checkpoint::{self, State};
use super::chunk::Chunk;
use super::input::{InputFile, Position, Source};
use super::output::rejects::{self, Rejects};
use super::output::unique::{Duplicate, Duplicates, Place};
#[cfg(feature = "sql")]
use super::over_rows;
use super::parse::{self, Layout, Parser};
use super::sink::Sink;
use super::spec::{Spec, Split};
use super::sql::{CheckExpr, Program, SqlError};
use super::table::{Format, Table};
use super::unique;
use super::work::{Spare, Work};
use super::write::{Before, Plan, Writer};
use crate::error::did_you_mean;
use crate::model::action::{Grant, Resume};
use crate::model::block::shown;
use crate::model::{Desk, Failure, Report};
use arrow_schema::SchemaRef;
use chrono::{DateTime, Utc};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Size of a chunk, in bytes: large enough that its overhead vanishes, small enough that its columns stay in the cache.
pub const CHUNK: usize = 512 * 1024;
/// Memory that one thread needs at the usual width of tables, in bytes: its chunk, its columns, its output, and its share
/// of the pieces that wait for their turn.
const PER_THREAD: u64 = 24 * 1024 * 1024;
/// Pieces that may wait for their turn, for each thread.
const AHEAD: usize = 2;

/// Says whether to stop.
pub type Stopped = Arc<dyn Fn() -> bool + Send + Sync>;

/// What to transform.
pub struct Order<'a> {
    /// How.
    pub spec: &'a Spec,
    /// What, in this order.
    pub inputs: Vec<InputFile>,
    /// Where the output goes.
    pub target: PathBuf,
    /// The planned time of the run: what `now()` is.
    pub now: DateTime<Utc>,
    /// What tests set otherwise.
    pub tuning: Tuning,
    /// A private folder for files that only this attempt needs; made when it is needed.
    pub scratch: &'a Path,
    /// What the attempt may touch.
    pub desk: &'a dyn Desk,
    /// Says whether to stop, as the desk does, for as long as anybody wants to know.
    pub stopped: Stopped,
}

/// Sizes and times that change nothing of the result.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// Size of a chunk, in bytes.
    pub chunk: usize,
    /// Time between two checkpoints; none: there are none.
    pub checkpoints: Option<Duration>,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { chunk: CHUNK, checkpoints: Some(checkpoint::EVERY) }
    }
}

/// Where chunks come from: one at a time, whoever asks.
pub(super) struct Feed {
    source: Source,
    seq: u64,
    ended: bool,
    duplicates: Option<std::iter::Peekable<Duplicates>>,
}

/// What a worker takes.
pub(super) struct Taken {
    pub(super) seq: u64,
    pub(super) chunk: Result<Chunk, Failure>,
    /// The rows of the chunk that repeat an earlier one.
    pub(super) repeats: Vec<Duplicate>,
    /// Bytes of the files read so far, as they lie on the disk, and in all.
    pub(super) read: (u64, u64),
    /// Where the next chunk starts, where a later attempt could go on there.
    pub(super) after: Option<Position>,
}

impl Feed {
    pub(super) fn new(source: Source, duplicates: Option<Duplicates>) -> Self {
        Self { source, seq: 0, ended: false, duplicates: duplicates.map(Iterator::peekable) }
    }

    /// The next chunk, read into `buffer`; none at the end, and after a failure.
    pub(super) fn next(&mut self, buffer: Vec<u8>) -> Option<Taken> {
        if self.ended {
            return None;
        }
        let chunk = match self.source.next(buffer) {
            Ok(Some(chunk)) => Ok(chunk),
            Ok(None) => {
                self.ended = true;
                return None;
            }
            Err(failure) => Err(failure),
        };
        let seq = self.seq;
        self.seq += 1;
        let (read, after) = (self.source.progress(), self.source.position());
        let mut taken = Taken { seq, chunk, repeats: Vec::new(), read, after };
        if let (Ok(chunk), Some(duplicates)) = (&taken.chunk, &mut self.duplicates) {
            let file = u32::try_from(chunk.file).unwrap_or(u32::MAX);
            let end = Place { file, byte: chunk.byte + chunk.bytes.len() as u64 };
            match unique::before(duplicates, end) {
                Ok(repeats) => taken.repeats = repeats,
                Err(failure) => taken.chunk = Err(failure),
            }
        }
        self.ended = taken.chunk.is_err();
        Some(taken)
    }
}

/// Runs a transform.
pub fn run(order: Order<'_>) -> Result<Report, Failure> {
    let Order { spec, inputs, target, now, tuning, scratch, desk, stopped } = order;
    let threads = spec.threads.unwrap_or_else(|| desk.workers()).max(1);
    let labels: Vec<String> = inputs.iter().map(|i| i.label.clone()).collect();
    let mut source = Source::open(inputs.clone(), &spec.declared, tuning.chunk)?;
    let blame = |failure: Failure| blamed(failure, labels.first());
    let names = inputs.iter().map(|i| i.name.clone()).collect();
    let settled = Settled::new(spec, &source, names, (now, scratch)).map_err(blame)?;
    let (granted, threads) = settled.memory(threads, desk)?;
    let checkpoints = tuning.checkpoints.filter(|_| !settled.is_over_rows());
    let identity = checkpoints.and_then(|_| checkpoint::identity(spec, &settled, &inputs));
    let before = take_up(identity.as_deref(), &mut source, desk)?;

    let duplicates = if settled.unique.is_empty() {
        None
    } else {
        let first = Source::open(inputs, &spec.declared, tuning.chunk)?;
        Some(unique::find(&settled, first, threads, scratch, desk)?)
    };
    let names = settled.table.columns.iter().map(|c| c.name.clone()).collect();
    let rejects = Rejects::new(names, &settled.layout.dialect);
    let checkpoints = identity.zip(checkpoints);
    let plan = Plan { spec, settled: &settled, rejects: &rejects, target, labels, checkpoints };
    let spare = Spare::default();
    let writer = Writer::open(plan, desk, &spare, before)?;
    let work = Work::new(spec, &settled, writer.style(), &rejects, &spare);
    let feed = Mutex::new(Feed::new(source, duplicates));
    #[cfg(feature = "sql")]
    if let Some(query) = &settled.query {
        let memory = settled.memory_of_query(granted.bytes(), threads);
        let (spec, settled) = (spec, &settled);
        let parts =
            over_rows::Parts { spec, settled, query, work: &work, threads, memory, now, scratch, stopped, desk };
        return over_rows::run(&parts, &feed, writer)?.finish();
    }
    #[cfg(not(feature = "sql"))]
    drop(stopped);
    let sink = Sink::new(writer, 0, (threads * AHEAD + 1) as u64);
    each(&feed, &sink, (threads, &settled.layout), desk, |taken, parser| work.piece(taken, parser));
    let report = sink.end()?.finish();
    drop(granted);
    report
}

/// What an earlier attempt left, if this one can go on there; the source then stands at that place.
fn take_up(identity: Option<&str>, source: &mut Source, desk: &dyn Desk) -> Result<Option<Before>, Failure> {
    let Some(Resume { state, outputs }) = desk.resume() else { return Ok(None) };
    let state = identity.and_then(|identity| State::read(&state, identity));
    match state {
        Some(state) if source.resume(state.position()).is_ok() => Ok(Some(Before { state, outputs })),
        _ => {
            desk.start_afresh()?;
            Ok(None)
        }
    }
}

/// Lets workers turn everything that is fed into pieces. Ends early when the sink is over, or the attempt shall stop.
pub(super) fn each<'l, P: Send, W: super::sink::Write<Result<P, Failure>>>(
    feed: &Mutex<Feed>,
    sink: &Sink<Result<P, Failure>, W>,
    (threads, layout): (usize, &'l Layout),
    desk: &dyn Desk,
    piece: impl Fn(Taken, &mut Parser<'l>) -> (Result<P, Failure>, Vec<u8>) + Sync,
) {
    desk.crew(threads, &|_| {
        let _guard = Guard(sink);
        let mut parser = Parser::new(layout);
        let mut buffer = Vec::new();
        while !sink.is_over() {
            if let Err(stopped) = desk.check() {
                sink.fail(stopped);
                return;
            }
            let taken = feed.lock().unwrap_or_else(PoisonError::into_inner).next(std::mem::take(&mut buffer));
            let Some(taken) = taken else { return };
            let seq = taken.seq;
            let made;
            (made, buffer) = piece(taken, &mut parser);
            if sink.put(seq, made).is_err() {
                return;
            }
        }
    });
}

/// Ends the work for everybody if its thread panics: others may be waiting for its piece.
struct Guard<'s, P, W: super::sink::Write<P>>(&'s Sink<P, W>);

impl<P, W: super::sink::Write<P>> Drop for Guard<'_, P, W> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(Failure::permanent("internal", "a thread panicked"));
        }
    }
}

/// Everything that is known before the first row is.
pub(super) struct Settled {
    /// The columns of the input, without those of a rejects file.
    pub(super) table: Table,
    /// How chunks are read.
    pub(super) layout: Layout,
    /// What is done with them.
    pub(super) program: Program,
    /// The columns of the result.
    pub(super) output: SchemaRef,
    /// The statement, if it needs more than one row at a time; the program then has the checks alone.
    #[cfg(feature = "sql")]
    pub(super) query: Option<super::query::Query>,
    /// Where the program's inputs are among the columns that are read.
    pub(super) inputs: Vec<usize>,
    /// Where the columns are that no two rows may agree in.
    pub(super) unique: Vec<usize>,
    /// Columns of data in a rejects file that is read again; none: it is no such file.
    pub(super) rejects: Option<usize>,
    /// The column of the output that splits it.
    pub(super) split: Option<usize>,
}

impl Settled {
    fn new(
        spec: &Spec,
        source: &Source,
        file_names: Vec<String>,
        (now, scratch): (DateTime<Utc>, &Path),
    ) -> Result<Self, Failure> {
        let dialect = source.dialect();
        let header = source.header();
        // A rejects file that was mended has columns behind those of the data.
        let data = header.and_then(rejects::is_rejects);
        let fields = header.map_or_else(|| source.fields(), <[String]>::len);
        let (header, known) = match data {
            Some(n) => (header.map(|h| &h[..n]), n),
            None => (header, fields),
        };
        let table = parse::infer(source.sample(), header, known, &dialect, &spec.spelling, &spec.columns)?;
        let checks: Vec<CheckExpr> = spec.expect.iter().map(|(_, check)| check.clone()).collect();
        let planned = Planned::new(spec, &checks, &table, (now, scratch))?;
        let program = &planned.program;
        let column = |name: &String, key: &str| position(&table, name, key);
        let required = spec.require.iter().map(|n| column(n, "require")).collect::<Result<Vec<_>, _>>()?;
        let unique = spec.unique.iter().map(|n| column(n, "unique")).collect::<Result<Vec<_>, _>>()?;
        let mut wanted: Vec<usize> = program.inputs().iter().chain(&planned.inputs).chain(&unique).copied().collect();
        wanted.sort_unstable();
        wanted.dedup();
        let among = |list: &[usize]| list.iter().filter_map(|i| wanted.binary_search(i).ok()).collect::<Vec<_>>();
        let (inputs, unique) = (among(program.inputs()), among(&unique));
        let split = match &spec.split {
            Split::By(name) => Some(output_position(&planned.output, name)?),
            Split::None | Split::Size(_) => None,
        };
        let layout = Layout {
            table: table.clone(),
            dialect,
            spelling: spec.spelling.clone(),
            ragged: spec.ragged,
            on_bad_row: spec.on_bad_row,
            fields: if dialect.format == Format::Csv { fields } else { table.columns.len() },
            wanted,
            required,
            validate_all: true,
            file_names,
        };
        let Planned { program, output, .. } = planned;
        Ok(Self {
            table,
            layout,
            program,
            output,
            #[cfg(feature = "sql")]
            query: planned.query,
            inputs,
            unique,
            rejects: data,
            split,
        })
    }

    /// Whether the statement needs more than one row at a time.
    pub(super) fn is_over_rows(&self) -> bool {
        #[cfg(feature = "sql")]
        let is_over_rows = self.query.is_some();
        #[cfg(not(feature = "sql"))]
        let is_over_rows = false;
        is_over_rows
    }

    /// Bytes beside what each thread needs: what is wanted, and the least.
    fn beside(&self) -> (u64, u64) {
        let keys = if self.unique.is_empty() { 0 } else { unique::KEYS as u64 };
        #[cfg(feature = "sql")]
        if self.is_over_rows() {
            return (keys + over_rows::MEMORY, keys + over_rows::MEMORY_MIN);
        }
        (keys, keys)
    }

    /// The memory of the job, and the threads that it is enough for.
    fn memory(&self, threads: usize, desk: &dyn Desk) -> Result<(Grant, usize), Failure> {
        let (wanted, least) = self.beside();
        let granted = desk.memory(PER_THREAD * threads as u64 + wanted)?;
        let room = granted.bytes().saturating_sub(least) / PER_THREAD;
        Ok((granted, usize::try_from(room).unwrap_or(threads).clamp(1, threads)))
    }

    /// What the threads leave of it.
    #[cfg(feature = "sql")]
    fn memory_of_query(&self, granted: u64, threads: usize) -> u64 {
        let (wanted, least) = self.beside();
        let keys = wanted - over_rows::MEMORY;
        granted.saturating_sub(PER_THREAD * threads as u64).clamp(least, wanted) - keys
    }
}

/// A statement and its checks, tied to the table.
pub(super) struct Planned {
    pub(super) program: Program,
    pub(super) output: SchemaRef,
    /// Columns that are needed beside those of the program.
    pub(super) inputs: Vec<usize>,
    #[cfg(feature = "sql")]
    pub(super) query: Option<super::query::Query>,
}

impl Planned {
    fn new(
        spec: &Spec,
        checks: &[CheckExpr],
        table: &Table,
        (now, scratch): (DateTime<Utc>, &Path),
    ) -> Result<Self, Failure> {
        #[cfg(feature = "sql")]
        if let Some(planned) = over_rows::plan(spec, checks, table, (now, scratch))? {
            return Ok(planned);
        }
        #[cfg(not(feature = "sql"))]
        let _ = scratch;
        let program = Program::new(spec.select.by_row(), checks, table, now).map_err(|error| unplanned(&error))?;
        Ok(Self {
            output: Arc::clone(program.output()),
            program,
            inputs: Vec::new(),
            #[cfg(feature = "sql")]
            query: None,
        })
    }
}

/// A statement that does not fit the table.
pub(super) fn unplanned(error: &SqlError) -> Failure {
    let hint = error.hint.as_ref().map(|h| format!(" ({h})")).unwrap_or_default();
    let code = if error.needs_engine.is_some() { "sql_needs_engine" } else { "sql" };
    Failure::permanent(code, format!("the statement cannot run on this file: {}{hint}", error.message))
}

/// The column of the input with this name: as it is written, else in any case if that is one alone.
fn position(table: &Table, name: &str, key: &str) -> Result<usize, Failure> {
    let names: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
    named(&names, name).ok_or_else(|| unknown_column(&names, name, key, "the file"))
}

fn output_position(output: &SchemaRef, name: &str) -> Result<usize, Failure> {
    let names: Vec<&str> = output.fields().iter().map(|f| f.name().as_str()).collect();
    named(&names, name).ok_or_else(|| unknown_column(&names, name, "split_by", "the output"))
}

fn named(names: &[&str], name: &str) -> Option<usize> {
    names.iter().position(|n| *n == name).or_else(|| {
        let mut similar = names.iter().enumerate().filter(|(_, n)| n.eq_ignore_ascii_case(name));
        let first = similar.next()?.0;
        similar.next().is_none().then_some(first)
    })
}

fn unknown_column(names: &[&str], name: &str, key: &str, what: &str) -> Failure {
    let hint = did_you_mean(name, names.iter().copied()).map(|hint| format!(" ({hint})")).unwrap_or_default();
    let message = format!("`{key}` names a column that {what} does not have: {}{hint}", shown(name));
    Failure::permanent("unknown_column", message)
}

/// A failure about an input, unless it names one.
pub(super) fn blamed(mut failure: Failure, label: Option<&String>) -> Failure {
    if failure.file.is_none() {
        failure.file = label.cloned();
    }
    failure
}

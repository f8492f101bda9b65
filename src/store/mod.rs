//! The store remembers: jobs, runs, attempts, failures and what operators did, in one SQLite file.
//!
//! It guarantees that an answer means "on the disk" (WAL, `synchronous=FULL`, group commit), that every change of a
//! job is fenced by its attempt or revision, and that counts are kept and never scanned for. It is the only place
//! that knows SQL. It refuses to open a damaged file, a file of another program or of a newer version, and never
//! starts empty where a database is missing its main file.

pub mod answers;
mod checkpoint;
mod claim;
mod decide;
mod expand;
mod finish;
mod history;
mod land;
mod memory;
mod open;
mod operate;
mod outbox;
mod prune;
mod query;
mod read_alerts;
mod read_jobs;
mod recover;
mod rows;
mod schema;
mod select;
mod slots;
mod snapshot;
mod statistics;
mod tasks;
#[cfg(test)]
mod tests;
mod txn;
mod writer;

pub use history::PastRow;
pub use outbox::OUTBOX_MAX;
pub use query::{Overview, Queries, TaskRow};
pub use read_alerts::ChannelRow;
pub use schema::SCHEMA;
pub use writer::Class;

use crate::error::Fatal;
use crate::model::action::network::Item;
use crate::model::alert::Notice;
use crate::model::alert::outbox::{Mark, NewMessage, Outbox, Told};
use crate::model::job::{JobFile, Landed, Move};
use crate::model::ledger::{
    Checkpoint, Claim, ClaimAnswer, ClosedLane, DecideAnswer, Decision, FinishAnswer, JobFacts, Keep, Landing,
    LaneHint, Ledger, Leftovers, LiveFile, Operator, Planned, Reply, SlotOrder, SlotsPlanned, Start, StoreError,
    TaskFacts,
};
use crate::model::view::{Done, Selection};
use crate::model::{Filter, JobId, Millis, RunId, SelectionId, TaskName};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use txn::Txn;
use writer::Writer;

/// The durable queue on SQLite. Cheap to clone; the writer stops when the last clone is dropped or [`Store::close`]
/// is called.
#[derive(Clone)]
pub struct Store {
    /// None where it was opened for reading only: every write is answered with [`StoreError::Closed`].
    writer: Option<Arc<Writer>>,
    queries: Arc<Queries>,
    path: PathBuf,
}

impl Store {
    /// Opens the database for writing, creating it if neither it nor any trace of it exists. The caller holds the
    /// lock of the data folder.
    pub fn open(path: &Path) -> Result<Self, Fatal> {
        let opened = open::for_writing(path)?;
        let queries = Arc::new(Queries::open(path)?);
        let writer = Some(Arc::new(Writer::start(opened)?));
        Ok(Self { writer, queries, path: path.to_owned() })
    }

    /// Opens the database for reading only; one that was never made reads as empty. Needs no lock.
    pub fn open_read_only(path: &Path) -> Result<Self, Fatal> {
        let queries = if path.exists() { Queries::open(path)? } else { Queries::empty()? };
        Ok(Self { writer: None, queries: Arc::new(queries), path: path.to_owned() })
    }

    /// The read side.
    #[must_use]
    pub fn queries(&self) -> Arc<Queries> {
        Arc::clone(&self.queries)
    }

    /// The database file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The newest revision that is on the disk.
    #[must_use]
    pub fn rev(&self) -> i64 {
        self.writer.as_ref().map_or(0, |w| w.rev())
    }

    /// Commits what is waiting, notes a clean stop, and closes the writing connection.
    pub fn close(&self) {
        if let Some(writer) = &self.writer {
            writer.close();
        }
    }

    fn run<T: Send + 'static>(
        &self,
        class: Class,
        op: impl FnOnce(&mut Txn<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Reply<T> {
        match &self.writer {
            Some(writer) => writer.submit(class, op),
            None => Box::pin(std::future::ready(Err(StoreError::Closed))),
        }
    }
}

impl Ledger for Store {
    fn configure(&self, tasks: Vec<TaskFacts>, _now: Millis) -> Reply<Vec<LaneHint>> {
        self.run(Class::Operator, move |t| t.configure(&tasks))
    }
    fn land(&self, batch: Vec<Landed>, now: Millis) -> Reply<Landing> {
        self.run(Class::Insert, move |t| t.land(&batch, now))
    }
    fn start(&self, start: Start, by: Operator) -> Reply<(RunId, Vec<JobId>, LaneHint)> {
        self.run(Class::Operator, move |t| t.start(&start, &by))
    }
    fn claim(&self, claim: Claim) -> Reply<ClaimAnswer> {
        self.run(Class::Claim, move |t| t.claim(&claim))
    }
    fn refresh(&self, job: JobId, attempt: i64, file: JobFile) -> Reply<()> {
        self.run(Class::Finish, move |t| t.refresh(job, attempt, &file))
    }
    fn checkpoint(&self, job: JobId, attempt: i64, checkpoint: Checkpoint, now: Millis) -> Reply<bool> {
        self.run(Class::Finish, move |t| t.checkpoint(job, attempt, &checkpoint, now))
    }
    fn forget(&self, job: JobId, attempt: i64) -> Reply<bool> {
        self.run(Class::Finish, move |t| t.forget(job, attempt))
    }
    fn planned(&self, job: JobId, attempt: i64) -> Reply<Option<Planned>> {
        self.run(Class::Operator, move |t| t.planned(job, attempt))
    }
    fn expand(&self, job: JobId, attempt: i64, from: u64, items: Vec<Item>, now: Millis) -> Reply<Option<LaneHint>> {
        self.run(Class::Insert, move |t| t.expand(job, attempt, from, &items, now))
    }
    fn close_lane(&self, closed: ClosedLane, now: Millis) -> Reply<()> {
        self.run(Class::Operator, move |t| t.close_lane(&closed, now))
    }
    fn closed_lanes(&self, now: Millis) -> Reply<Vec<ClosedLane>> {
        self.run(Class::Operator, move |t| t.closed_lanes(now))
    }
    fn plan_slots(&self, order: SlotOrder) -> Reply<SlotsPlanned> {
        self.run(Class::Insert, move |t| t.plan_slots(&order))
    }
    fn put_back(&self, jobs: Vec<(JobId, i64)>) -> Reply<Vec<LaneHint>> {
        self.run(Class::Finish, move |t| t.put_back(&jobs))
    }
    fn decide(&self, batch: Vec<Decision>) -> Reply<DecideAnswer> {
        self.run(Class::Finish, move |t| t.decide(&batch))
    }
    fn retarget(&self, job: JobId, moves: Vec<Move>) -> Reply<()> {
        self.run(Class::Finish, move |t| t.retarget(job, &moves))
    }
    fn finish(&self, jobs: Vec<JobId>, now: Millis) -> Reply<FinishAnswer> {
        self.run(Class::Finish, move |t| t.finish(&jobs, now))
    }
    fn due(&self, now: Millis) -> Reply<Vec<LaneHint>> {
        self.run(Class::Claim, move |t| t.due(now))
    }
    fn recover(&self, node: String, boot: String, now: Millis) -> Reply<Leftovers> {
        self.run(Class::Operator, move |t| t.recover(&node, &boot, now))
    }
    fn live_files(&self, after: JobId, limit: u32) -> Reply<Vec<LiveFile>> {
        self.run(Class::Operator, move |t| t.live_files(after, limit))
    }
    fn facts(&self, jobs: Vec<JobId>) -> Reply<Vec<JobFacts>> {
        self.run(Class::Operator, move |t| t.facts(&jobs))
    }
    fn record(&self, kind: &'static str, by: Operator, filter: Option<String>, jobs: Vec<JobId>) -> Reply<i64> {
        self.run(Class::Operator, move |t| t.record(kind, &by, filter.as_deref(), &jobs))
    }
    fn retry(&self, action: i64, jobs: Vec<(JobId, i64)>, now: Millis) -> Reply<(Done, Vec<LaneHint>)> {
        self.run(Class::Operator, move |t| t.retry(action, &jobs, now))
    }
    fn mark_cancel(&self, action: i64, jobs: Vec<JobId>) -> Reply<Done> {
        self.run(Class::Operator, move |t| t.mark_cancel(action, &jobs))
    }
    fn select(&self, by: Operator, filter: Filter) -> Reply<Selection> {
        self.run(Class::Operator, move |t| t.select(&by, &filter))
    }
    fn selected(&self, id: SelectionId, after: JobId, limit: u32) -> Reply<Vec<(JobId, i64)>> {
        self.run(Class::Operator, move |t| t.selected(id, after, limit))
    }
    fn set_paused(&self, task: TaskName, by: Operator, paused: bool) -> Reply<()> {
        self.run(Class::Operator, move |t| t.set_paused(&task, &by, paused))
    }
    fn prune(&self, keep: Keep) -> Reply<u64> {
        self.run(Class::Retention, move |t| t.prune(&keep))
    }
    fn probe(&self, now: Millis) -> Reply<()> {
        self.run(Class::Operator, move |t| t.probe(now))
    }
}

impl Outbox for Store {
    fn raise(&self, notice: Notice, now: Millis) -> Reply<()> {
        self.run(Class::Operator, move |t| t.raise(&notice, now))
    }
    fn clear(&self, task: Option<TaskName>, kind: String, key: String, now: Millis) -> Reply<bool> {
        self.run(Class::Operator, move |t| t.clear(task.as_ref(), &kind, &key, now))
    }
    fn put(&self, messages: Vec<NewMessage>, told: Vec<Told>, now: Millis) -> Reply<u64> {
        self.run(Class::Operator, move |t| t.put(&messages, &told, now))
    }
    fn mark(&self, id: i64, mark: Mark, now: Millis) -> Reply<()> {
        self.run(Class::Operator, move |t| t.mark(id, &mark, now))
    }
    fn keep_channels(&self, names: Vec<String>, now: Millis) -> Reply<u64> {
        self.run(Class::Operator, move |t| t.keep_channels(&names, now))
    }
}

/// Version of the SQLite that is built in.
#[must_use]
pub fn sqlite_version() -> String {
    rusqlite::version().to_owned()
}

//! The one thread that writes. It takes everything that is waiting, orders it by importance, runs each operation in a
//! savepoint of one transaction, commits once, and only then answers. So an answer is durable, one sync serves many,
//! and there is no timer to tune: under load the groups grow by themselves.

use super::open::Opened;
use super::rows::{RETRY_SLOT, signed};
use crate::error::{Exit, Fatal};
use crate::model::ledger::{LaneHint, Reply, StoreError, TaskFacts};
use crate::model::{AfterOn, JobState, Millis, TaskName};
use rusqlite::{CachedStatement, Connection, OptionalExtension};
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, oneshot};

/// Operations that may wait; a caller beyond that waits for a place.
const WAITING_MAX: usize = 1024;
/// Operations in one commit.
const GROUP_MAX: usize = 256;

/// What goes first within a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// What a person waits for.
    Operator,
    /// Work that is done.
    Finish,
    /// Work to be done.
    Claim,
    /// Work that arrives.
    Insert,
    /// Old history.
    Retention,
}

trait Operation: Send {
    /// Runs inside a savepoint.
    fn run(&mut self, txn: &mut Txn<'_>) -> Result<(), StoreError>;
    /// Answers; `failed` overrides what was kept, when the commit did not happen.
    fn answer(self: Box<Self>, failed: Option<StoreError>);
}

struct Op<T, F> {
    work: Option<F>,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, F: FnOnce(&mut Txn<'_>) -> Result<T, StoreError> + Send> Operation for Op<T, F> {
    fn run(&mut self, txn: &mut Txn<'_>) -> Result<(), StoreError> {
        let Some(work) = self.work.take() else { return Ok(()) };
        let result = work(txn);
        let verdict = result.as_ref().map(|_| ()).map_err(Clone::clone);
        self.result = Some(result);
        verdict
    }

    fn answer(self: Box<Self>, failed: Option<StoreError>) {
        let result = match failed {
            Some(error) => Err(error),
            None => self.result.unwrap_or(Err(StoreError::Closed)),
        };
        // Whoever asked may have gone away; the commit stands all the same.
        let _ = self.reply.send(result);
    }
}

enum Message {
    Do(Class, Box<dyn Operation>),
    Close(oneshot::Sender<()>),
}

/// Handle to the writing thread.
pub(super) struct Writer {
    tx: mpsc::Sender<Message>,
    rev: Arc<AtomicI64>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(opened: Opened) -> Result<Self, Fatal> {
        let (tx, rx) = mpsc::channel(WAITING_MAX);
        let state =
            State::load(&opened.conn).map_err(|e| Fatal::new(Exit::Failed, "cannot read the database").because(e))?;
        let rev = Arc::new(AtomicI64::new(state.rev));
        let shared = Arc::clone(&rev);
        #[expect(clippy::disallowed_methods, reason = "the writer is a thread of its own, for the life of the store")]
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || serve(opened.conn, state, rx, &shared))
            .map_err(|e| Fatal::new(Exit::Internal, "cannot start the writer").because(e))?;
        Ok(Self { tx, rev, thread: Mutex::new(Some(thread)) })
    }

    pub(super) fn rev(&self) -> i64 {
        self.rev.load(Ordering::Acquire)
    }

    pub(super) fn submit<T: Send + 'static>(
        &self,
        class: Class,
        work: impl FnOnce(&mut Txn<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Reply<T> {
        let (reply, answer) = oneshot::channel();
        let op = Box::new(Op { work: Some(work), result: None, reply });
        let tx = self.tx.clone();
        Box::pin(async move {
            tx.send(Message::Do(class, op)).await.map_err(|_| StoreError::Closed)?;
            answer.await.unwrap_or(Err(StoreError::Closed))
        })
    }

    pub(super) fn close(&self) {
        let handle = self.thread.lock().ok().and_then(|mut t| t.take());
        let Some(handle) = handle else { return };
        let (done, _closed) = oneshot::channel();
        let mut message = Message::Close(done);
        // The queue is bounded and the writer drains it, so this ends; blocking_send would panic inside a runtime.
        loop {
            match self.tx.try_send(message) {
                Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => break,
                Err(mpsc::error::TrySendError::Full(back)) => {
                    message = back;
                    std::thread::yield_now();
                }
            }
        }
        // A panic of the writer has been answered with `Closed` to everyone who waited.
        let _ = handle.join();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

fn serve(conn: Connection, mut state: State, mut rx: mpsc::Receiver<Message>, rev: &AtomicI64) {
    let mut group: Vec<(Class, Box<dyn Operation>)> = Vec::with_capacity(GROUP_MAX);
    let mut closing: Option<oneshot::Sender<()>> = None;
    while closing.is_none() {
        let Some(first) = rx.blocking_recv() else { break };
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Do(class, op) => group.push((class, op)),
                Message::Close(done) => closing = Some(done),
            }
            next = if group.len() < GROUP_MAX && closing.is_none() { rx.try_recv().ok() } else { None };
        }
        group.sort_by_key(|(class, _)| *class);
        commit(&conn, &mut state, &mut group);
        rev.store(state.rev, Ordering::Release);
    }
    // Notes for the next start; if they cannot be written, it checks the file once more than needed.
    let _ = conn.execute("UPDATE meta SET value = 1 WHERE key = 'clean'", []);
    let _ = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    drop(conn);
    if let Some(done) = closing {
        let _ = done.send(());
    }
}

/// Runs a group in one transaction and answers each operation after the commit.
fn commit(conn: &Connection, state: &mut State, group: &mut Vec<(Class, Box<dyn Operation>)>) {
    let mark = state.mark();
    let outcome = (|| -> Result<(), StoreError> {
        conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        for (_, op) in group.iter_mut() {
            let mark = state.mark();
            conn.prepare_cached("SAVEPOINT op")?.execute([])?;
            let result = op.run(&mut Txn { conn, state });
            match result {
                Ok(()) => {}
                // The disk is the whole group's trouble; anything else is this operation's own.
                Err(error @ (StoreError::Paused(_) | StoreError::Damaged(_))) => return Err(error),
                Err(_) => {
                    conn.prepare_cached("ROLLBACK TO op")?.execute([])?;
                    state.undo(&mark);
                }
            }
            conn.prepare_cached("RELEASE op")?.execute([])?;
        }
        state.flush(conn)?;
        crate::model::crash::point("store.before_commit");
        conn.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    })();
    let failed = outcome.err().map(|error| {
        if !conn.is_autocommit() {
            let _ = conn.execute_batch("ROLLBACK");
        }
        state.undo(&mark);
        error
    });
    if failed.is_none() {
        state.settle();
    }
    for (_, op) in group.drain(..) {
        op.answer(failed.clone());
    }
}

/// What a task is to the writer.
#[derive(Clone, Debug)]
pub(super) struct TaskState {
    pub name: TaskName,
    pub max_attempts: u32,
    pub priority: i32,
}

/// What the writer keeps in memory: counts, the revision, and the tasks. Changes are logged so that a rolled back
/// operation leaves no trace.
pub(super) struct State {
    pub rev: i64,
    pub node: i64,
    pub tasks: HashMap<i64, TaskState>,
    pub names: HashMap<TaskName, i64>,
    /// Upstream task -> tasks that run after it.
    pub after: HashMap<i64, Vec<(i64, AfterOn)>>,
    counts: HashMap<(i64, i64), i64>,
    dirty: BTreeSet<(i64, i64)>,
    undo: Vec<((i64, i64), i64)>,
    flushed_rev: i64,
}

/// A point to go back to.
pub(super) struct Mark {
    undo: usize,
    rev: i64,
}

impl State {
    fn load(conn: &Connection) -> rusqlite::Result<Self> {
        let rev = conn.query_row("SELECT value FROM meta WHERE key = 'rev'", [], |r| r.get(0))?;
        let mut state = Self {
            rev,
            node: 0,
            tasks: HashMap::new(),
            names: HashMap::new(),
            after: HashMap::new(),
            counts: HashMap::new(),
            dirty: BTreeSet::new(),
            undo: Vec::new(),
            flushed_rev: rev,
        };
        let mut counts = conn.prepare("SELECT task, slot, n FROM count")?;
        for row in counts.query_map([], |r| Ok(((r.get(0)?, r.get(1)?), r.get(2)?)))? {
            let (key, n) = row?;
            state.counts.insert(key, n);
        }
        let mut tasks = conn.prepare("SELECT id, name, max_attempts FROM task")?;
        let rows = tasks.query_map([], |r| Ok((r.get::<_, i64>(0)?, r.get::<_, String>(1)?, r.get::<_, u32>(2)?)))?;
        for row in rows {
            let (id, name, max_attempts) = row?;
            let name: TaskName = name.into();
            state.names.insert(Arc::clone(&name), id);
            state.tasks.insert(id, TaskState { name, max_attempts, priority: 0 });
        }
        Ok(state)
    }

    fn mark(&self) -> Mark {
        Mark { undo: self.undo.len(), rev: self.rev }
    }

    fn undo(&mut self, mark: &Mark) {
        while self.undo.len() > mark.undo {
            if let Some((key, delta)) = self.undo.pop() {
                *self.counts.entry(key).or_default() -= delta;
            }
        }
        self.rev = mark.rev;
    }

    fn settle(&mut self) {
        self.undo.clear();
        self.dirty.clear();
        self.flushed_rev = self.rev;
    }

    fn flush(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        for key in &self.dirty {
            let n = self.counts.get(key).copied().unwrap_or(0);
            conn.prepare_cached(
                "INSERT INTO count(task, slot, n) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET n = excluded.n",
            )?
            .execute((key.0, key.1, n))?;
        }
        if self.rev != self.flushed_rev {
            conn.prepare_cached("UPDATE meta SET value = ?1 WHERE key = 'rev'")?.execute([self.rev])?;
        }
        Ok(())
    }

    /// Jobs of a task in a slot.
    pub(super) fn count(&self, task: i64, slot: i64) -> i64 {
        self.counts.get(&(task, slot)).copied().unwrap_or(0)
    }
}

/// One operation's view of the open transaction.
pub(super) struct Txn<'a> {
    conn: &'a Connection,
    pub state: &'a mut State,
}

impl Txn<'_> {
    /// A prepared statement, kept for the next time.
    pub(super) fn sql(&self, text: &str) -> rusqlite::Result<CachedStatement<'_>> {
        self.conn.prepare_cached(text)
    }

    /// Id of the row inserted last.
    pub(super) fn last_id(&self) -> i64 {
        self.conn.last_insert_rowid()
    }

    /// The next revision.
    pub(super) fn bump(&mut self) -> i64 {
        self.state.rev += 1;
        self.state.rev
    }

    fn count(&mut self, task: i64, slot: i64, delta: i64) {
        let key = (task, slot);
        *self.state.counts.entry(key).or_default() += delta;
        self.state.dirty.insert(key);
        self.state.undo.push((key, delta));
    }

    /// A job of `task` entered the store in this state.
    pub(super) fn entered(&mut self, task: i64, state: JobState) {
        self.count(task, state.code(), 1);
    }

    /// A job of `task` left the store from this state.
    pub(super) fn left(&mut self, task: i64, state: JobState) {
        self.count(task, state.code(), -1);
    }

    /// A job of `task` went from one state to another; `spent` before and after tell a retry from a first wait.
    pub(super) fn moved(&mut self, task: i64, from: (JobState, u32), to: (JobState, u32)) {
        self.count(task, from.0.code(), -1);
        self.count(task, to.0.code(), 1);
        for (at, delta) in [(from, -1), (to, 1)] {
            if at.0 == JobState::Waiting && at.1 > 0 {
                self.count(task, RETRY_SLOT, delta);
            }
        }
    }

    /// The id of a task by name.
    pub(super) fn task_id(&self, name: &str) -> Result<i64, StoreError> {
        self.state.names.get(name).copied().ok_or_else(|| StoreError::Fault(format!("no such task: {name}")))
    }

    /// The name of a task.
    pub(super) fn task_name(&self, id: i64) -> TaskName {
        self.state.tasks.get(&id).map_or_else(|| TaskName::from(""), |t| Arc::clone(&t.name))
    }

    /// How much waits in the lane of a task.
    pub(super) fn hint(&self, task: i64) -> Result<LaneHint, StoreError> {
        let next_due = if self.state.count(task, JobState::Waiting.code()) > 0 {
            self.sql("SELECT min(not_before) FROM job WHERE task = ?1 AND state = 0")?
                .query_row([task], |r| r.get::<_, Option<Millis>>(0))
                .optional()?
                .flatten()
        } else {
            None
        };
        let queued = self.state.count(task, JobState::Queued.code());
        Ok(LaneHint { task: self.task_name(task), queued: u64::try_from(queued).unwrap_or(0), next_due })
    }

    /// The hints of several tasks.
    pub(super) fn hints(&self, tasks: impl IntoIterator<Item = i64>) -> Result<Vec<LaneHint>, StoreError> {
        let distinct: BTreeSet<i64> = tasks.into_iter().collect();
        distinct.into_iter().map(|t| self.hint(t)).collect()
    }

    /// Declares the tasks of a configuration.
    pub(super) fn configure(&mut self, tasks: &[TaskFacts], _now: Millis) -> Result<Vec<LaneHint>, StoreError> {
        self.sql("UPDATE task SET removed = 1")?.execute([])?;
        for (position, task) in tasks.iter().enumerate() {
            let id: i64 = self
                .sql(
                    "INSERT INTO task(name, action, config_hash, max_attempts, position) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT(name) DO UPDATE SET action = ?2, config_hash = ?3, max_attempts = ?4, position = ?5, removed = 0
                     RETURNING id",
                )?
                .query_row(
                    (&*task.name, &task.action, &task.config_hash, task.max_attempts, signed(position as u64)),
                    |r| r.get(0),
                )?;
            self.state.names.insert(Arc::clone(&task.name), id);
            let known =
                TaskState { name: Arc::clone(&task.name), max_attempts: task.max_attempts, priority: task.priority };
            self.state.tasks.insert(id, known);
        }
        self.state.after.clear();
        for task in tasks {
            let Some(after) = &task.after else { continue };
            let down = self.task_id(&task.name)?;
            for up in &after.tasks {
                let up = self.task_id(up)?;
                self.state.after.entry(up).or_default().push((down, after.on));
            }
        }
        let ids: Vec<i64> = tasks.iter().filter_map(|t| self.state.names.get(&t.name).copied()).collect();
        self.hints(ids)
    }
}

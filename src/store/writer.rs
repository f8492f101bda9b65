//! The one thread that writes. It takes everything that is waiting, orders it by importance, runs each operation in a
//! savepoint of one transaction, commits once, and only then answers. So an answer is durable, one sync serves many,
//! and there is no timer to tune: under load the groups grow by themselves.

use super::memory::State;
use super::open::Opened;
use super::txn::Txn;
use crate::error::{Exit, Fatal};
use crate::model::ledger::{Reply, StoreError};
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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
        // What an operation was handed by its caller may panic; that is the trouble of this operation alone.
        let result = catch_unwind(AssertUnwindSafe(|| work(txn)))
            .unwrap_or_else(|_| Err(StoreError::Fault("an operation panicked".into())));
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
        // A thread of its own, for the life of the store.
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
        let Some(handle) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
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
        // The last handle may be dropped by an operation, on the writing thread itself: it ends right after that.
        if handle.thread().id() != std::thread::current().id() {
            // A panic of the writer has been answered with `Closed` to everyone who waited.
            let _ = handle.join();
        }
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
        let failed = commit(&conn, &mut state, &mut group).err();
        // Before the answers, so that nobody who has one reads an older revision.
        rev.store(state.rev, Ordering::Release);
        for (_, op) in group.drain(..) {
            op.answer(failed.clone());
        }
    }
    // Notes for the next start; if they cannot be written, it checks the file once more than needed.
    let _ = conn.execute("UPDATE meta SET value = 1 WHERE key = 'clean'", []);
    let _ = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    drop(conn);
    if let Some(done) = closing {
        let _ = done.send(());
    }
}

/// Runs a group in one transaction. An error means that nothing of it happened.
fn commit(conn: &Connection, state: &mut State, group: &mut [(Class, Box<dyn Operation>)]) -> Result<(), StoreError> {
    let before = state.mark();
    let outcome = run_all(conn, state, group);
    match outcome {
        Ok(()) => state.settle(),
        Err(_) => {
            if !conn.is_autocommit() {
                // The error that matters is the one of the group; SQLite has often rolled back by itself.
                let _ = conn.execute_batch("ROLLBACK");
            }
            state.undo(before);
        }
    }
    outcome
}

fn run_all(conn: &Connection, state: &mut State, group: &mut [(Class, Box<dyn Operation>)]) -> Result<(), StoreError> {
    conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    for (_, op) in group {
        let before = state.mark();
        conn.prepare_cached("SAVEPOINT op")?.execute([])?;
        match op.run(&mut Txn::new(conn, state)) {
            Ok(()) => {}
            // The disk is the whole group's trouble; anything else is this operation's own.
            Err(error @ (StoreError::Paused(_) | StoreError::Damaged(_))) => return Err(error),
            Err(_) => {
                conn.prepare_cached("ROLLBACK TO op")?.execute([])?;
                state.undo(before);
            }
        }
        conn.prepare_cached("RELEASE op")?.execute([])?;
    }
    state.flush(conn)?;
    crate::model::crash::point("store.before_commit");
    conn.prepare_cached("COMMIT")?.execute([])?;
    Ok(())
}

//! The only place that starts tasks, threads and children, so that a stop can wait for all of them.

pub mod background;
pub mod capture;
pub mod child;
mod crew;
pub mod feed;

pub use crew::crew;

use crate::model::action::BoxFuture;
use crate::model::ports::Spawner;
use std::sync::Mutex;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// Starts tasks and threads on one runtime, and waits for them.
#[derive(Debug)]
pub struct Tracker {
    handle: Handle,
    tasks: TaskTracker,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

impl Tracker {
    /// A tracker on the current runtime.
    #[must_use]
    pub fn new(handle: Handle) -> Self {
        Self { handle, tasks: TaskTracker::new(), threads: Mutex::new(Vec::new()) }
    }

    /// Runs blocking work and waits for its answer; none if it panicked.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        self.handle.spawn_blocking(work).await.ok()
    }

    /// Runs a task beside the caller's and waits for it; a panic goes on in the caller. The runtime's threads wake each
    /// other for less than they wake the one that waits for the whole program.
    pub async fn beside<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        match self.handle.spawn(work).await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Only a runtime that ends cancels a task, and then nobody is here either.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// The runtime, for threads that must wait for an answer of it.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Waits until every task and thread has ended. Whoever calls has told them to.
    pub async fn wait(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        let threads = self.threads.lock().map(|mut t| std::mem::take(&mut *t)).unwrap_or_default();
        self.run(move || {
            for thread in threads {
                // A thread that panicked has said so; there is nothing left of it to wait for.
                let _ = thread.join();
            }
        })
        .await;
    }
}

impl Spawner for Tracker {
    fn task(&self, _name: &'static str, work: BoxFuture<()>) {
        self.tasks.spawn_on(work, &self.handle);
    }

    fn thread(&self, name: String, work: Box<dyn FnOnce() + Send + 'static>) {
        match std::thread::Builder::new().name(name.clone()).spawn(work) {
            Ok(thread) => {
                if let Ok(mut threads) = self.threads.lock() {
                    threads.push(thread);
                }
            }
            Err(error) => tracing::error!("cannot start the thread {name}: {error}"),
        }
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        drop(self.tasks.spawn_blocking_on(work, &self.handle));
    }
}

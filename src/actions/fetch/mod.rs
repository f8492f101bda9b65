//! `fetch`: calls many URLs at once, politely, and keeps every answer or the reason why there is none.
//!
//! A run is planned into one job for each URL (`urls`), so that each is retried, skipped and inspected alone. An attempt
//! (`run`) waits at the gate of the host before every request it sends (`http`), looks at the answer (`answer`), and
//! writes it under a temporary name. It guarantees that what is not the answer that was asked for never becomes an
//! output, that no secret stands in an error or in the queue, and that an answer of any size costs the same memory.

mod answer;
mod body;
mod http;
mod kept;
mod outgoing;
mod output;
mod run;
pub mod spec;
mod told;
mod urls;

use crate::model::action::network::{HostLimits, Item};
use crate::model::action::{Items, PlanOrder, WaitsFor};
use crate::model::{Action, Block, Failure, JobOrder, Kind, Template, Work};
use http::{Client, Trust};
use spec::{Source, Spec};
use std::ffi::OsString;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Connections without requests that are kept for each host, at most; more are closed.
const IDLE_MAX: usize = 256;

/// The `fetch` action of one task.
pub struct Fetch {
    spec: Spec,
    /// Made by the first attempt, and common to all: it keeps the connections.
    client: OnceLock<Client>,
}

impl Fetch {
    /// The action for a checked table.
    #[must_use]
    pub fn new(spec: Spec) -> Self {
        Self { spec, client: OnceLock::new() }
    }

    /// Blocks, the first time.
    fn client(&self) -> Result<Client, Failure> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let idle = usize::try_from(self.spec.limits.concurrency).unwrap_or(IDLE_MAX).min(IDLE_MAX);
        let trust = match self.spec.source {
            Source::Urls(_) => Trust::Written,
            Source::Files { .. } => Trust::Data,
        };
        let client = Client::new(&self.spec.connection, &self.spec.deadlines, idle, trust)?;
        // Whoever came first stays: connections are worth keeping together.
        Ok(self.client.get_or_init(|| client).clone())
    }
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetch").field("spec", &self.spec).finish_non_exhaustive()
    }
}

/// A URL as it may be shown: without its query, which may hold a secret.
#[must_use]
pub fn shown(url: &str) -> String {
    http::parse(url).map_or_else(|_| crate::model::text::escape(url).into_owned(), |url| http::shown(&url))
}

/// The kind of work `fetch`.
#[derive(Debug)]
pub struct FetchKind;

impl Kind for FetchKind {
    fn key(&self) -> &'static str {
        "fetch"
    }

    fn summary(&self) -> &'static str {
        "call URLs at once, politely, and keep the answers"
    }

    fn example(&self) -> &'static str {
        r#"fetch = { urls = ["https://api.example.com/items/{1..100}"], output = "raw/{run}/{n}.json", per_host = { rate = "10/s" } }"#
    }

    fn build(&self, block: &mut Block<'_>) -> Option<Arc<dyn Action>> {
        Some(Arc::new(Fetch::new(Spec::read(block)?)))
    }
}

impl Action for Fetch {
    fn name(&self) -> &'static str {
        "fetch"
    }

    fn outputs(&self) -> Vec<&Template> {
        vec![&self.spec.output]
    }

    fn idempotent(&self) -> bool {
        self.spec.request.is_repeatable()
    }

    fn work(self: Arc<Self>, order: JobOrder) -> Work {
        Work::Async(Box::pin(run::run(self, order)))
    }

    fn waits_for(&self) -> WaitsFor {
        WaitsFor::Network
    }

    fn concurrency(&self) -> Option<u32> {
        self.spec.concurrency
    }

    fn is_planned(&self) -> bool {
        true
    }

    fn plan(&self, order: &PlanOrder) -> Result<Items, Failure> {
        urls::items(&self.spec, order)
    }

    fn item(&self, input: &str) -> Result<Item, String> {
        urls::item(&self.spec, input)
    }

    fn item_name(&self, input: &str) -> OsString {
        http::parse(input).map_or_else(|_| OsString::from(input), |url| urls::name(&url))
    }

    fn host_limits(&self) -> Option<&HostLimits> {
        Some(&self.spec.limits)
    }
}

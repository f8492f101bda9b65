//! Commands that ask or act: answered by the supervisor of the configuration, or by its database when none runs.

use super::client_runtime;
use crate::cli::args::Needs;
use crate::cli::doctor::{self, Check};
use crate::cli::{self, Ask, Backend, Out};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::control::client::{Client, ClientError};
use crate::error::{Exit, Fatal};
use crate::runtime::{Offline, offline};
use crate::store::Queries;
use std::sync::Arc;

/// Runs a command.
pub fn ask(ask: &Ask, loaded: Result<Config, Fatal>, out: &mut Out, clock: &Arc<dyn Clock>) -> Result<Exit, Fatal> {
    client_runtime()?.block_on(async {
        let config = match loaded {
            Ok(config) => config,
            Err(fatal) => return cli::dispatch(ask, &live(despite(fatal).await?), out).await,
        };
        let client = Client::unix(config.socket());
        match client.probe().await {
            Ok(()) => cli::dispatch(ask, &live(client), out).await,
            Err(ClientError::NotRunning { .. }) => stopped(ask, config, out, clock).await,
            Err(error) => Err(error.into()),
        }
    })
}

/// The supervisor that still runs with what the configuration said before somebody broke it; if there is none, the
/// problems are the answer.
pub async fn despite(fatal: Fatal) -> Result<Client, Fatal> {
    if let Some(problems) = &fatal.problems {
        let client = Client::unix(config::socket_despite(problems));
        if client.probe().await.is_ok() {
            return Ok(client);
        }
    }
    Err(fatal)
}

/// A backend that asks a running supervisor.
pub fn live(client: Client) -> Backend {
    let client = Arc::new(client);
    Backend {
        reader: Arc::clone(&client) as Arc<_>,
        commands: Arc::clone(&client) as Arc<_>,
        explain: client,
        live: true,
    }
}

async fn stopped(ask: &Ask, config: Config, out: &mut Out, clock: &Arc<dyn Clock>) -> Result<Exit, Fatal> {
    let acting = match ask.needs() {
        Needs::Read | Needs::Supervisor => false,
        Needs::Act => true,
    };
    let Offline { reads, operations, reasons, store, .. } = &offline(config, Arc::clone(clock), acting).await?;
    let backend = Backend {
        reader: Arc::new(reads.clone()),
        commands: Arc::new(operations.clone()),
        explain: Arc::new(reasons.clone()),
        live: false,
    };
    let done = cli::dispatch(ask, &backend, out).await;
    store.close();
    done
}

/// Checks the machine, the configuration and the data.
pub fn doctor(config: &Result<Config, Fatal>, out: &mut Out) -> Result<Exit, Fatal> {
    let mut more = Vec::new();
    if let Ok(config) = config
        && config.database().exists()
    {
        more.push(match Queries::open(&config.database()).map(|q| q.integrity()) {
            Ok(Ok(verdict)) if verdict == "ok" => Check::ok("database", "every page checked"),
            Ok(Ok(verdict)) => Check::fail("database", verdict, "put a backup in its place"),
            Ok(Err(error)) => Check::fail("database", error.to_string(), "put a backup in its place"),
            Err(fatal) => Check::fail("database", fatal.message, "look at the file and its owner"),
        });
    }
    client_runtime()?.block_on(doctor::doctor(config.as_ref(), &crate::store::sqlite_version(), more, out))
}

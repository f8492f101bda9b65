//! Alerts, from a file that fails to a real mail server, a real web server and a program.

mod mail;
mod posted;

use crate::support::{Site, Supervisor, until};

const PASSWORD: &str = "canary-smtp-4d1f7";

/// A task whose files fail, each with the same cause.
const ORDERS: &str = "[tasks.orders]\nwatch = { dir = \"inbox\", match = [\"*.csv\"], settle = \"10ms\" }\nextract = { output = \"out/{name}.json\" }\nretry = { attempts = 1 }\n";

/// Files that fail.
fn fail(site: &Site, names: impl IntoIterator<Item = usize>) {
    for n in names {
        let part = site.path(format!("inbox/orders-{n}.part"));
        std::fs::write(&part, "id,value\n1,2\n3\n").unwrap();
        std::fs::rename(part, site.path(format!("inbox/orders-{n}.csv"))).unwrap();
    }
}

/// Waits until so many jobs have failed.
#[track_caller]
fn failed(supervisor: &Supervisor, count: u64) {
    until("failed jobs", || {
        let status = supervisor.get("/v1/status").json();
        (status["counts"]["failed"].as_u64() == Some(count)).then_some(())
    });
}

fn start(site: &Site, variables: &[(&str, &str)]) -> Supervisor {
    let mut command = site.command(["run"]);
    command.env("SMTP_PASSWORD", PASSWORD).envs(variables.iter().copied());
    Supervisor::start_with(site, command)
}

//! `report`: what a period came to, now, from the database alone: whether a supervisor runs or not makes no difference.

use crate::actions::report::folders;
use crate::actions::report::period::Period;
use crate::actions::report::render::{Format, Templates, render};
use crate::actions::report::sheet::{About, Sheet};
use crate::cli::Out;
use crate::cli::args::Report;
use crate::config::Config;
use crate::error::{Exit, Fatal};
use crate::model::text;
use crate::runtime::named_folders;
use crate::store::Store;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Runs the command.
pub fn run(args: &Report, config: &Config, out: &mut Out) -> Result<Exit, Fatal> {
    let fault = |e: crate::model::ledger::StoreError| Fatal::new(Exit::Failed, "cannot read the history").because(e);
    let queries = Store::open_read_only(&config.database())?.queries();
    let to = out.now();
    let from = to.minus(args.period);
    let of = queries.statistics(from, to).map_err(fault)?;
    let before = queries.statistics(Period::before(from, to), from).map_err(fault)?;
    let sizes = folders::sizes(&named_folders(config), &config.base, &|| false);
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    let about = About { title: "shiftboss".to_owned(), host, made_at: to, zone: None };
    let sheet = Sheet::new(&about, &of, &before, sizes);
    let asked = args.format.as_deref().and_then(Format::from_name);
    let format = asked.unwrap_or(if out.is_json() { Format::Json } else { Format::Text });
    let made =
        render(format, &sheet, &Templates::default()).map_err(|failure| Fatal::new(Exit::Internal, failure.message))?;
    match &args.output {
        None => out.document(made.as_bytes()),
        Some(path) => write(path, &made)?,
    }
    out.finish().map(|()| Exit::Ok)
}

fn write(path: &Path, made: &str) -> Result<(), Fatal> {
    let mut file = File::create_new(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Fatal::new(Exit::Failed, format!("there is such a file already: {}", text::path(path)))
                .hint("name another one")
        }
        _ => Fatal::io("write", path, &error),
    })?;
    file.write_all(made.as_bytes()).map_err(|e| Fatal::io("write", path, &e))
}

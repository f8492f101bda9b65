//! `init`: a first configuration, the documented example or what a crontab becomes.

use crate::actions::KINDS;
use crate::cli::args::Init;
use crate::cli::{self, Out};
use crate::config::crontab::{self, Origin};
use crate::config::{self, Created};
use crate::error::{Exit, Fatal};
use crate::model::text;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Runs the command.
pub fn run(args: &Init, out: &mut Out) -> Result<Exit, Fatal> {
    let Some(path) = &args.from_crontab else {
        return cli::setup::init(&config::init(&args.dir, KINDS)?, out);
    };
    let imported = crontab::import(&read(path)?, &origin(path, args.system));
    let (created, problems): (Created, _) = config::init_from(&args.dir, &imported.toml, KINDS)?;
    cli::setup::imported(&created, &imported, problems.as_ref(), out)
}

fn read(path: &Path) -> Result<String, Fatal> {
    let from: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(path).map_err(|e| Fatal::io("read the crontab", path, &e))?)
    };
    let mut raw = Vec::new();
    let most = crontab::LEN_MAX as u64;
    from.take(most + 1).read_to_end(&mut raw).map_err(|e| Fatal::io("read the crontab", path, &e))?;
    if raw.len() as u64 > most {
        let message = format!("the crontab is larger than {} bytes: {}", text::count(most), text::path(path));
        return Err(Fatal::new(Exit::Failed, message));
    }
    String::from_utf8(raw).map_err(|error| {
        let line = 1 + error.as_bytes().iter().take(error.utf8_error().valid_up_to()).filter(|b| **b == b'\n').count();
        Fatal::new(Exit::Failed, format!("the crontab is no UTF-8 in line {line}: {}", text::path(path)))
            .hint("convert it first, for example with iconv")
    })
}

/// What is known of a crontab by its place, and of whoever asks.
fn origin(path: &Path, system: bool) -> Origin {
    let by_place = path == Path::new("/etc/crontab") || path.starts_with("/etc/cron.d");
    let me = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
    Origin {
        name: if path == Path::new("-") { "a crontab".to_owned() } else { text::path(path) },
        system: (system || by_place).then_some(true),
        home: me.as_ref().and_then(|user| user.dir.to_str().map(str::to_owned)),
        user: me.map(|user| user.name),
    }
}

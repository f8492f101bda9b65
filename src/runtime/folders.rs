//! The folders that belong to a configuration: which are ours and never scanned, which must be there.

use crate::config::Config;
use crate::model::Template;
use std::path::{Path, PathBuf};

/// Folders that hold what we wrote: never scanned for input.
#[must_use]
pub fn ours(config: &Config) -> Vec<PathBuf> {
    let mut out = vec![config.data_dir.clone(), config.archive.clone()];
    let mut add = |template: &Template| out.push(fixed(&config.base, template));
    add(&config.processed);
    add(&config.failed);
    for task in &config.tasks {
        add(&task.processed);
        add(&task.failed);
    }
    out.retain(|dir| {
        !config.tasks.iter().any(|t| matches!(&t.trigger, crate::model::Trigger::Watch(w) if w.dir.starts_with(dir)))
    });
    out.sort();
    out.dedup();
    out
}

/// Every folder that a configuration names, each once, in its order: what lands, what became of it, and what we keep.
#[must_use]
pub fn named(config: &Config) -> Vec<PathBuf> {
    let mut out: Vec<PathBuf> = config.roots().into_iter().map(Path::to_owned).collect();
    let templates = config.tasks.iter().flat_map(|t| [&t.processed, &t.failed]);
    let templates = [&config.processed, &config.failed].into_iter().chain(templates);
    out.extend(templates.map(|template| fixed(&config.base, template)));
    out.extend([config.archive.clone(), config.data_dir.clone()]);
    let mut seen = std::collections::BTreeSet::new();
    out.retain(|dir| seen.insert(dir.clone()));
    out
}

/// The part of a template's path that is the same for every job.
fn fixed(base: &Path, template: &Template) -> PathBuf {
    let prefix = template.fixed_prefix();
    let whole = prefix.len() == template.source().len();
    let cut = if whole { prefix } else { prefix.rsplit_once('/').map_or("", |(folder, _)| folder) };
    base.join(cut)
}

//! What an attempt will need, planned inside the claim's transaction: its work folder and the folders that may hold its
//! temporary files, so that a start after a crash finds and removes them.

use super::shared::Shared;
use super::worker;
use crate::model::job::{Claimed, JobKind};
use crate::model::ledger::{AttemptPlan, Planner};
use crate::model::{FileType, OnInterrupt, Placeholder, Task, Template, Vars};
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

/// A planner for the tasks as they are configured when it is asked.
pub fn planner(shared: &Arc<Shared>) -> Planner {
    let shared: Weak<Shared> = Arc::downgrade(shared);
    Arc::new(move |claimed| shared.upgrade().map(|s| plan(&s, claimed)).unwrap_or_default())
}

fn plan(shared: &Shared, claimed: &Claimed) -> AttemptPlan {
    let Some(task) = shared.task(&claimed.task) else { return AttemptPlan::default() };
    let work = claimed.file.as_ref().map(|f| f.work_dir(claimed.job)).unwrap_or_default();
    AttemptPlan { config_hash: task.config_hash.clone(), work, target_dirs: target_dirs(shared, claimed) }
}

/// Folders that may hold temporary files of an attempt: those of its outputs, of its original and of its record, and
/// the work folder, where an input is copied to.
pub fn target_dirs(shared: &Shared, claimed: &Claimed) -> Vec<PathBuf> {
    let Some(task) = shared.task(&claimed.task) else { return Vec::new() };
    let mut dirs: BTreeSet<PathBuf> = claimed.file.iter().map(|f| f.work_dir(claimed.job)).collect();
    // Not for every job, and in a transaction.
    let made = OnceCell::new();
    let vars = || made.get_or_init(|| worker::vars(shared, claimed, &task));
    let base = shared.config.load().base.clone();
    if task.action.uses_archive() {
        dirs.insert(shared.config.load().archive.clone());
    }
    let outputs = if claimed.kind == JobKind::Plan { Vec::new() } else { task.action.outputs() };
    for template in outputs {
        match template.fixed_folder() {
            Some("") => dirs.extend([base.clone()]),
            Some(folder) => dirs.extend([base.join(folder)]),
            None => {
                for path in every_type(template, vars(), Template::expand_path) {
                    dirs.extend(base.join(path).parent().map(PathBuf::from));
                }
            }
        }
    }
    let originals = [&task.processed, &task.failed];
    for template in originals.into_iter().filter(|_| claimed.file.is_some()) {
        let folders = every_type(template, vars(), Template::expand_folder);
        dirs.extend(folders.into_iter().map(|path| base.join(path)));
    }
    dirs.into_iter().collect()
}

/// A template's paths; where it names the type and the name does not tell it, one for each type.
fn every_type(template: &Template, vars: &Vars, expand: impl Fn(&Template, &Vars) -> PathBuf) -> Vec<PathBuf> {
    if !template.uses(Placeholder::Type) || FileType::by_name(&vars.name).is_some() {
        return vec![expand(template, vars)];
    }
    let of = |file_type: FileType| expand(template, &Vars { file_type: file_type.name(), ..vars.clone() });
    FileType::ALL.into_iter().map(of).collect()
}

/// What becomes of an attempt that is cut off. A plan sends nothing, and goes on where it was.
pub fn on_interrupt(task: &Task, claimed: &Claimed) -> OnInterrupt {
    if claimed.kind == JobKind::Plan { OnInterrupt::Retry } else { task.on_interrupt }
}

/// What the kernel and the store must know of a task.
pub fn facts(task: &Task) -> (crate::model::ledger::TaskFacts, crate::kernel::LaneSpec) {
    let after = match &task.trigger {
        crate::model::Trigger::After(after) => Some(after.clone()),
        crate::model::Trigger::Watch(_) | crate::model::Trigger::Schedule(_) | crate::model::Trigger::Manual => None,
    };
    let facts = crate::model::ledger::TaskFacts {
        name: Arc::clone(&task.name),
        action: task.action.name().to_owned(),
        max_attempts: task.retry.attempts,
        config_hash: task.config_hash.clone(),
        after,
        priority: task.priority,
        on_interrupt: task.on_interrupt,
        planned: task.action.is_planned(),
        scheduled: matches!(task.trigger, crate::model::Trigger::Schedule(_)),
    };
    let lane = crate::kernel::LaneSpec {
        task: Arc::clone(&task.name),
        concurrency: task.concurrency,
        priority: task.priority,
        waits_for: task.action.waits_for(),
    };
    (facts, lane)
}

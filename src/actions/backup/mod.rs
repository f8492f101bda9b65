//! `backup`: copies files and folders, and the supervisor's own database, into an archive or a plain tree.
//!
//! It guarantees that a copy which looks good is whole: it is synced, read back and compared before it gets its name, and
//! its manifest says what every byte of it must be. Old copies go by a rule that never takes the newest good one. It
//! follows no link, and refuses to go on silently without a file that it cannot read.

mod check;
mod copies;
mod fill;
mod known;
mod make;
pub mod manifest;
mod pack;
pub mod place;
pub mod restore;
mod retain;
mod spec;
mod tape;
mod trial;
mod walk;

use crate::model::{Action, Block, JobOrder, Kind, Template, Work};
use manifest::Form;
use spec::Spec;
use std::sync::Arc;

/// The `backup` action of one task.
#[derive(Clone, Debug)]
pub struct Backup {
    spec: Spec,
    output: Template,
}

/// The kind of work `backup`.
#[derive(Debug)]
pub struct BackupKind;

impl Kind for BackupKind {
    fn key(&self) -> &'static str {
        "backup"
    }

    fn summary(&self) -> &'static str {
        "copy files and folders into a verified archive, and thin out old copies"
    }

    fn example(&self) -> &'static str {
        r#"backup = { paths = ["processed"], dir = "backup", keep = "7d" }"#
    }

    fn build(&self, block: &mut Block<'_>) -> Option<Arc<dyn Action>> {
        let spec = Spec::read(block)?;
        // Of a path, braces are text.
        let dir = spec.dir.to_string_lossy().replace('{', "{{").replace('}', "}}");
        let ending = if spec.form == Form::Archive { ".tar.zst" } else { "" };
        let output = Template::parse(&format!("{dir}/{{task}}-{{date}}{ending}")).ok()?;
        Some(Arc::new(Backup { spec, output }))
    }
}

impl Action for Backup {
    fn name(&self) -> &'static str {
        "backup"
    }

    fn outputs(&self) -> Vec<&Template> {
        vec![&self.output]
    }

    fn idempotent(&self) -> bool {
        true
    }

    /// What one run thins out another must not need.
    fn concurrency(&self) -> Option<u32> {
        Some(1)
    }

    fn work(self: Arc<Self>, order: JobOrder) -> Work {
        Work::Blocking(Box::new(move || make::run(&self.spec, &order)))
    }
}

#[cfg(test)]
mod tests;

//! A start by hand.

use super::operate::{Operations, refuse_store};
use crate::model::Trigger;
use crate::model::action::Level;
use crate::model::ledger::Start;
use crate::model::ports::{Actor, Refusal};
use crate::model::view::Triggered;
use std::path::{Path, PathBuf};
use std::sync::Arc;

impl Operations {
    /// Starts a task, on a copy of a file, on a URL, or on nothing.
    pub(super) async fn trigger_task(
        self,
        actor: Actor,
        name: String,
        input: Option<PathBuf>,
    ) -> Result<Triggered, Refusal> {
        let task = self.known(&name)?;
        if input.is_none() && matches!(task.trigger, Trigger::Watch(_)) {
            return Err(Refusal::new(400, "needs_input", format!("the task {name} works on files"))
                .hint("name one with --input PATH; it is copied, never moved"));
        }
        let mut files = Vec::new();
        let mut items = Vec::new();
        let url = input.as_deref().and_then(Path::to_str).filter(|text| is_url(text));
        if let Some(url) = url.filter(|_| task.action.is_planned()) {
            let item = task.action.item(url).map_err(|why| Refusal::new(400, "bad_input", why))?;
            items.push(item);
        } else if let Some(path) = input {
            let (shared, task) = (Arc::clone(&self.shared), Arc::clone(&task));
            let copied = self.shared.tracker.run(move || super::spool::copy(&shared, &task, &path)).await;
            files.push(copied.ok_or_else(|| Refusal::new(500, "panic", "copying the input panicked"))??);
        }
        let start = Start {
            task: Arc::clone(&task.name),
            priority: task.priority,
            files,
            count: 1,
            items,
            label: format!("manual start of {name}").into_bytes(),
        };
        let (run, jobs, lane) = self.shared.ledger.start(start, self.by(actor, None)).await.map_err(refuse_store)?;
        self.shared.tell_lanes(vec![lane]).await;
        self.shared.log.append(
            Level::Info,
            Some(&name),
            None,
            None,
            &format!("started by {}", super::read::user(actor.uid)),
        );
        Ok(Triggered { run, jobs })
    }
}

/// Whether an input is a URL and no path.
fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

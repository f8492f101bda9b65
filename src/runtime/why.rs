//! Why a job or a task is not running, in words, most important first.

use super::operate::refuse_store;
use super::read::unknown_job;
use super::shared::Shared;
use crate::model::ports::{Answer, Explain, Refusal};
use crate::model::view::{JobView, WhyView};
use crate::model::{JobId, JobState, RunState, Trigger};
use std::sync::{Arc, PoisonError};

/// The reasons, on a running supervisor or a stopped one.
#[derive(Clone)]
pub struct Reasons {
    shared: Arc<Shared>,
    running: bool,
}

impl Reasons {
    /// Reasons over a supervisor's parts.
    #[must_use]
    pub fn new(shared: Arc<Shared>, running: bool) -> Self {
        Self { shared, running }
    }
}

/// Why this job is not running; empty when it is, or when it is over and well.
pub fn job(shared: &Shared, running: bool, job: &JobView) -> Vec<String> {
    let mut reasons = Vec::new();
    match job.state {
        JobState::Running | JobState::Placing | JobState::Succeeded => return reasons,
        JobState::Failed => {
            reasons.push(format!(
                "it has failed after {} of {} attempts: an operator decides",
                job.spent, job.max_attempts
            ));
            return reasons;
        }
        JobState::Skipped | JobState::Cancelled => {
            let why = job.reason.as_deref().map_or_else(String::new, |r| format!(": {r}"));
            reasons.push(format!("it was {}{why}", job.state));
            return reasons;
        }
        JobState::Waiting => {
            let until = job.not_before.as_deref().unwrap_or("");
            let why = match &job.held {
                Some(held) => held.clone(),
                None => format!("attempt {} failed: it waits before the next one", job.attempt),
            };
            reasons.push(format!("{why}, until {until}"));
        }
        JobState::Queued => {}
    }
    reasons.extend(task(shared, running, &job.task));
    if job.state == JobState::Queued && reasons.is_empty() {
        reasons.push("nothing holds it: it is next when its turn comes".into());
    }
    reasons
}

fn task(shared: &Shared, running: bool, name: &str) -> Vec<String> {
    if !running {
        return vec!["no supervisor is running".into()];
    }
    shared.kernel.lock().unwrap_or_else(PoisonError::into_inner).why(name)
}

impl Explain for Reasons {
    fn why_job(&self, id: JobId) -> Answer<WhyView> {
        let this = self.clone();
        Box::pin(async move {
            let shared = Arc::clone(&this.shared);
            let found = this.shared.tracker.run(move || shared.store.queries().job(id, shared.now())).await;
            let found = found.unwrap_or(Ok(None)).map_err(refuse_store)?.ok_or_else(|| unknown_job(id))?;
            let mut reasons = job(&this.shared, this.running, &found.job);
            if reasons.is_empty() {
                reasons.push(match found.job.state {
                    JobState::Succeeded => "it has succeeded".to_owned(),
                    JobState::Skipped | JobState::Cancelled => format!("it was {}", found.job.state),
                    state => format!("it is {state}"),
                });
            }
            Ok(WhyView { subject: format!("job {id}"), reasons })
        })
    }

    fn why_task(&self, name: String) -> Answer<WhyView> {
        let this = self.clone();
        Box::pin(async move {
            let Some(known) = this.shared.task(&name) else {
                return Err(Refusal::new(404, "unknown_task", format!("no such task: {name}")));
            };
            let mut reasons = task(&this.shared, this.running, &name);
            if reasons.is_empty() {
                let free = match &known.trigger {
                    Trigger::Watch(w) => {
                        format!("nothing holds it: it runs when a file lands in {}", crate::model::text::path(&w.dir))
                    }
                    Trigger::After(a) => format!("nothing holds it: it runs after {}", a.tasks.join(", ")),
                    Trigger::Schedule(schedule) => {
                        reasons.extend(
                            this.shared.overdue.all().remove(&known.name).map(|(_, why)| format!("overdue: {why}")),
                        );
                        reasons.extend(last_run(&this.shared, &name).await);
                        format!("nothing holds it: it runs {}", schedule.describe())
                    }
                    Trigger::Manual => "nothing holds it: it runs when it is triggered".into(),
                };
                reasons.push(free);
            }
            Ok(WhyView { subject: format!("task {name}"), reasons })
        })
    }
}

/// What became of the last run of a task, where that was no success.
async fn last_run(shared: &Arc<Shared>, task: &str) -> Option<String> {
    let (worker, task) = (Arc::clone(shared), task.to_owned());
    let rows = shared.tracker.run(move || worker.store.queries().runs_of(&task, 1)).await?.ok()?;
    let row = rows.into_iter().find(|row| row.settled_at.is_some() && row.state != RunState::Succeeded)?;
    let why = row.reason.map_or_else(String::new, |why| format!(": {why}"));
    Some(format!("its last run, {}, is {}{why}", row.id, row.state.name()))
}

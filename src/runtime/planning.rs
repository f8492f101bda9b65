//! A plan: the first job of a run puts the others into the queue, some at a time, and goes on where it was after a
//! crash. Nothing is sent before a job of its own does so.

use super::shared::{Event, Shared};
use crate::kernel::Input;
use crate::model::action::network::Item;
use crate::model::action::{Action, PlanOrder, Progress, Report};
use crate::model::job::Claimed;
use crate::model::ledger::StoreError;
use crate::model::{Desk, Failure, crash, text};
use std::sync::Arc;

/// Items that enter the queue in one commit.
const BATCH: usize = 500;

/// The work of one plan. On a thread for blocking work.
pub fn plan(
    shared: &Shared,
    action: &Arc<dyn Action>,
    claimed: &Claimed,
    order: &PlanOrder,
    desk: &dyn Desk,
) -> Result<Report, Failure> {
    let handle = shared.tracker.handle();
    let known = handle.block_on(shared.ledger.planned(claimed.job, claimed.attempt));
    let mut from = known.map_err(|e| fault(&e))?.ok_or_else(elsewhere)?.items;
    let mut items = action.plan(order)?;
    // The same items in the same order: those of an earlier attempt are in the queue.
    for _ in 0..from {
        items.next().transpose()?;
    }
    let mut batch: Vec<Item> = Vec::with_capacity(BATCH);
    loop {
        let next = items.next();
        let is_end = !matches!(next, Some(Ok(_)));
        let failed = match next {
            Some(Ok(item)) => {
                batch.push(item);
                None
            }
            Some(Err(failure)) => Some(failure),
            None => None,
        };
        if batch.len() == BATCH || (is_end && !batch.is_empty()) {
            desk.check()?;
            let count = batch.len() as u64;
            let items = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
            let put = shared.ledger.expand(claimed.job, claimed.attempt, from, items, shared.now());
            crash::point("s4.before_expand");
            let hint = handle.block_on(put).map_err(|e| fault(&e))?.ok_or_else(elsewhere)?;
            crash::point("s4.after_expand");
            shared.tell_blocking(Event::Kernel(Input::Waiting(vec![hint])));
            shared.touch();
            from += count;
            desk.progress(Progress { rows: from, ..Progress::default() });
        }
        if let Some(failure) = failed {
            return Err(failure);
        }
        if is_end {
            return Ok(Report { rows: Some(from), note: Some(text::counted(from, "job")), ..Report::default() });
        }
    }
}

fn fault(e: &StoreError) -> Failure {
    Failure::transient("plan", format!("cannot put jobs into the queue: {e}"))
}

fn elsewhere() -> Failure {
    Failure::transient("stopped", "the job was decided elsewhere")
}

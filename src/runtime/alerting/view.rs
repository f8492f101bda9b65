//! Alerts as they are shown.

use super::Shared;
use crate::alerts::quiet_until;
use crate::clock::rfc3339;
use crate::model::Millis;
use crate::model::alert::channel::Channel;
use crate::model::alert::outbox::{Source, Standing, Told, ToldState, Trouble};
use crate::model::ledger::StoreError;
use crate::model::text;
use crate::model::view::{AlertsView, ChannelView, OpenCause};
use std::cmp::Reverse;

/// The alerts in one screenful. Blocks.
pub fn view(shared: &Shared) -> Result<AlertsView, StoreError> {
    let now = shared.now();
    let config = shared.config.load();
    let queries = shared.store.queries();
    let standing = queries.standing(now)?;
    let mut open: Vec<&Trouble> = standing.troubles.iter().filter(|t| t.is_open).collect();
    open.sort_by_key(|t| (Reverse(t.severity), Reverse(t.last_at)));
    open.truncate(AlertsView::CAUSES_MAX);
    let causes: Vec<i64> = open.iter().filter_map(|t| super::cause(t)).collect();
    let samples = queries.samples(&causes)?;
    let cause = |t: &&Trouble| OpenCause {
        severity: t.severity.name().into(),
        task: t.task.as_deref().unwrap_or_default().to_owned(),
        code: text::escape(&t.code).into_owned(),
        text: text::escape(&t.text).into_owned(),
        open: t.open.max(1),
        total: t.total,
        first_at: rfc3339(t.born),
        last_at: rfc3339(t.last_at),
        muted_until: muted(t, &standing, &config.alerts.channels, now).map(rfc3339),
        job: samples.get(&t.id).filter(|_| t.source == Source::Cause).map(|s| s.job.0),
    };
    let mut channels = Vec::new();
    for channel in &config.alerts.channels {
        let row = queries.channel(&channel.name, now)?;
        channels.push(ChannelView {
            name: channel.name.to_string(),
            kind: channel.way.name().into(),
            target: channel.way.target(),
            waiting: row.waiting,
            sent: row.sent,
            error: row.error,
            next_at: row.next_at.map(rfc3339),
            quiet_until: channel.quiet.as_ref().and_then(|q| quiet_until(q, now)).map(rfc3339),
        });
    }
    Ok(AlertsView { open: open.iter().map(cause).collect(), channels, messages: queries.messages()? })
}

/// Until when no channel repeats it: the first that will.
fn muted(trouble: &Trouble, standing: &Standing, channels: &[std::sync::Arc<Channel>], now: Millis) -> Option<Millis> {
    let is_it =
        |t: &&Told| (t.source, t.id, t.born, t.state) == (trouble.source, trouble.id, trouble.born, ToldState::Told);
    let until = |t: &Told| {
        let repeat = channels.iter().find(|c| *c.name == *t.channel)?.repeat;
        t.told_at.map(|at| at.plus(repeat)).filter(|at| *at > now)
    };
    standing.told.iter().filter(is_it).filter_map(until).min()
}

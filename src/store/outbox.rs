//! Notices, what channels were told, and the outbox: the writing side of alerts.

use super::rows::amount;
use super::txn::Txn;
use crate::model::alert::outbox::{Mark, NewMessage, Told};
use crate::model::alert::{Notice, Severity};
use crate::model::ledger::{Keep, StoreError};
use crate::model::text;
use crate::model::{Millis, TaskName};
use rusqlite::OptionalExtension;
use std::time::Duration;

/// Messages that wait in the outbox. With one more the lightest and oldest is given up: news and what is over first.
pub const OUTBOX_MAX: usize = 10_000;
/// Messages that were sent or given up stay for this long.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// Most of them; the oldest go.
const KEPT_MAX: usize = 10_000;
/// Rows deleted in one commit.
const PIECE: usize = 500;
/// Most characters kept of why a try failed.
const ERROR_MAX: usize = 500;

/// `outbox.state` of a message that waits.
pub(super) const WAITING: i64 = 0;
/// `outbox.state` of a message that its channel took.
pub(super) const SENT: i64 = 1;
/// `outbox.state` of a message that nobody tries to send any more.
pub(super) const GIVEN_UP: i64 = 2;

impl Txn<'_> {
    /// The number of a task in `notice`; 0 stands for the supervisor itself.
    fn notice_task(&self, task: Option<&TaskName>) -> Result<i64, StoreError> {
        task.map_or(Ok(0), |name| self.task_id(name))
    }

    pub(super) fn raise(&mut self, notice: &Notice, now: Millis) -> Result<(), StoreError> {
        let task = self.notice_task(notice.task.as_ref())?;
        self.sql(
            "INSERT INTO notice(task, kind, key, level, text, first_at, last_at, open, total) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, 1, 1)
             ON CONFLICT(task, kind, key) DO UPDATE SET level = ?4, text = ?5, last_at = ?6, open = 1, total = total + 1",
        )?
        .execute((task, notice.kind, &notice.key, notice.severity.code(), &notice.text, now))?;
        Ok(())
    }

    pub(super) fn clear(
        &mut self,
        task: Option<&TaskName>,
        kind: &str,
        key: &str,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let task = self.notice_task(task)?;
        let gone = self
            .sql("UPDATE notice SET open = 0, last_at = ?4 WHERE task = ?1 AND kind = ?2 AND key = ?3 AND open = 1")?
            .execute((task, kind, key, now))?;
        Ok(gone > 0)
    }

    pub(super) fn put(&mut self, messages: &[NewMessage], told: &[Told], now: Millis) -> Result<u64, StoreError> {
        let mut new = 0;
        for NewMessage { channel, key, message } in messages {
            let body = serde_json::to_string(message).map_err(|e| StoreError::Fault(e.to_string()))?;
            new += self
                .sql(
                    "INSERT OR IGNORE INTO outbox(channel, key, severity, subject, body, created_at, next_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
                )?
                .execute((channel, key, message.severity.code(), &message.subject, body, now))?;
        }
        for told in told {
            self.note_told(told)?;
        }
        self.make_room(now)?;
        Ok(new as u64)
    }

    fn note_told(&self, t: &Told) -> Result<(), StoreError> {
        self.sql(
            "INSERT OR REPLACE INTO alert(channel, source, id, born, state, episode, seq, since, first_at, told_at, told_total, over_total)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute((
            &t.channel,
            t.source.code(),
            t.id,
            t.born,
            t.state.code(),
            t.episode,
            t.seq,
            t.since,
            t.first_at,
            t.told_at,
            amount(t.told_total),
            amount(t.over_total),
        ))?;
        Ok(())
    }

    /// Gives up what is beyond [`OUTBOX_MAX`]; it stays to be seen for a while, and is counted with its channel.
    fn make_room(&self, now: Millis) -> Result<(), StoreError> {
        let waiting: usize =
            self.sql("SELECT count(*) FROM outbox WHERE state = ?1")?.query_row([WAITING], |r| r.get(0))?;
        let surplus = waiting.saturating_sub(OUTBOX_MAX);
        if surplus > 0 {
            self.sql(
                "UPDATE outbox SET state = ?2, next_at = NULL, done_at = ?3, error = 'the outbox was full'
                 WHERE id IN (SELECT id FROM outbox WHERE state = ?1 ORDER BY severity > ?5, id LIMIT ?4)",
            )?
            .execute((WAITING, GIVEN_UP, now, surplus, Severity::Recovered.code()))?;
        }
        Ok(())
    }

    pub(super) fn mark(&mut self, id: i64, mark: &Mark, now: Millis) -> Result<(), StoreError> {
        let (state, next_at, done_at, error) = match mark {
            Mark::Sent => (SENT, None, Some(now), None),
            Mark::Later { at, error } => (WAITING, Some(*at), None, Some(error)),
            Mark::GivenUp { error } => (GIVEN_UP, None, Some(now), Some(error)),
        };
        let error = error.map(|e| text::cut(e, ERROR_MAX).into_owned());
        self.sql(
            "UPDATE outbox SET tries = tries + 1, state = ?2, next_at = ?3, done_at = ?4, error = ?5
             WHERE id = ?1 AND state = ?6",
        )?
        .execute((id, state, next_at, done_at, error, WAITING))?;
        Ok(())
    }

    pub(super) fn keep_channels(&mut self, names: &[String], now: Millis) -> Result<u64, StoreError> {
        let mut gone = 0;
        let known: Vec<String> = self
            .sql("SELECT DISTINCT channel FROM outbox WHERE state = ?1 UNION SELECT DISTINCT channel FROM alert")?
            .query_map([WAITING], |r| r.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for channel in known.iter().filter(|c| !names.contains(c)) {
            gone += self
                .sql(
                    "UPDATE outbox SET state = ?2, next_at = NULL, done_at = ?3, error = 'the channel is no longer configured'
                     WHERE state = ?1 AND channel = ?4",
                )?
                .execute((WAITING, GIVEN_UP, now, channel))?;
            self.sql("DELETE FROM alert WHERE channel = ?1")?.execute([channel])?;
        }
        Ok(gone as u64)
    }

    /// What causes, notices and messages leave behind.
    pub(super) fn prune_alerts(&self, keep: &Keep) -> Result<(), StoreError> {
        self.sql("DELETE FROM notice WHERE id IN (SELECT id FROM notice WHERE open = 0 AND last_at < ?1 LIMIT ?2)")?
            .execute((keep.failed_before, PIECE))?;
        self.sql(
            "DELETE FROM alert WHERE (source = 0 AND id NOT IN (SELECT id FROM cause))
               OR (source = 1 AND id NOT IN (SELECT id FROM notice))",
        )?
        .execute([])?;
        let newest: Option<Millis> = self
            .sql("SELECT max(created_at) FROM outbox")?
            .query_row([], |r| r.get::<_, Option<Millis>>(0))
            .optional()?
            .flatten();
        let Some(newest) = newest else { return Ok(()) };
        self.sql(
            "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE state <> ?1 AND (created_at < ?2
               OR id <= coalesce((SELECT id FROM outbox WHERE state <> ?1 ORDER BY id DESC LIMIT 1 OFFSET ?3), 0)) ORDER BY id LIMIT ?4)",
        )?
        .execute((WAITING, newest.minus(KEPT), KEPT_MAX, PIECE))?;
        Ok(())
    }
}

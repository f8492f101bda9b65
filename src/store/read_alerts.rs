//! What is wrong, what was told of it, and what waits to be sent: the reading side of alerts.

use super::outbox::{SENT, WAITING};
use super::query::Queries;
use super::rows::unsigned;
use crate::clock::rfc3339;
use crate::model::alert::outbox::{Sample, Source, Standing, Told, ToldState, Trouble, Waiting};
use crate::model::alert::{BANNER, Message, Severity};
use crate::model::ledger::StoreError;
use crate::model::view::{AlertsView, OutboxView};
use crate::model::{JobId, Millis, TaskName, text};
use rusqlite::{Connection, Row};
use std::collections::HashMap;
use std::time::Duration;

/// Lines kept of the output of a failed job.
const LOG_LINES: usize = 20;
/// The time over which messages are counted for a limit by the hour.
const HOUR: Duration = Duration::from_secs(3600);
/// The time over which sent messages are counted for the screen.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Runs looked through for one that succeeded after a failure.
const LATER_RUNS: i64 = 1000;

/// A cause is over when none of its jobs is failed, none is tried again, or when its jobs have no file that waits for
/// somebody and a later run of the task succeeded.
const CAUSES: &str = "SELECT c.id, c.first_at, t.name, c.code, c.text, c.last_at, c.open, c.total,
  EXISTS (SELECT 1 FROM job WHERE again = c.id)
  OR (c.open > 0 AND (EXISTS (SELECT 1 FROM job WHERE cause = c.id AND keeps_file = 1)
    OR NOT EXISTS (SELECT 1 FROM (SELECT state FROM run WHERE task = c.task AND id >
      (SELECT run FROM job WHERE id = (SELECT max(id) FROM job WHERE cause = c.id AND keeps_file = 0))
      ORDER BY id DESC LIMIT ?2) WHERE state = 3)))
 FROM cause c LEFT JOIN task t ON t.id = c.task
 WHERE c.id IN (SELECT id FROM (SELECT id FROM cause WHERE open > 0 ORDER BY last_at DESC LIMIT ?1))
    OR c.id IN (SELECT id FROM alert WHERE source = 0 AND state > 0)
 ORDER BY c.id";

const NOTICES: &str =
    "SELECT n.id, n.first_at, t.name, n.kind, n.text, n.last_at, n.open, n.total, n.open, n.level, n.key
 FROM notice n LEFT JOIN task t ON t.id = n.task
 WHERE n.id IN (SELECT id FROM (SELECT id FROM notice WHERE open > 0 ORDER BY last_at DESC LIMIT ?1))
    OR n.id IN (SELECT id FROM alert WHERE source = 1 AND state > 0)
 ORDER BY n.id";

/// What the outbox says of one channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelRow {
    /// Messages that wait.
    pub waiting: u64,
    /// Messages sent in the last 24 hours.
    pub sent: u64,
    /// Why the last try failed.
    pub error: Option<String>,
    /// When the next try is.
    pub next_at: Option<Millis>,
}

impl Queries {
    /// Everything that decides what is to be told.
    pub fn standing(&self, now: Millis) -> Result<Standing, StoreError> {
        self.with(|conn| {
            let max = i64::try_from(Standing::MAX).unwrap_or(i64::MAX);
            let mut troubles: Vec<Trouble> =
                conn.prepare_cached(CAUSES)?.query_map((max, LATER_RUNS), cause)?.collect::<rusqlite::Result<_>>()?;
            for trouble in conn.prepare_cached(NOTICES)?.query_map([max], notice)? {
                troubles.push(trouble?);
            }
            let mut made = conn.prepare_cached("SELECT channel, created_at FROM outbox WHERE created_at > ?1")?;
            let made = made.query_map([now.minus(HOUR)], |r| Ok((r.get(0)?, r.get(1)?)))?;
            let made = made.collect::<rusqlite::Result<_>>()?;
            Ok(Standing { troubles, told: told(conn)?, made })
        })
    }

    /// The newest failed job of each of these causes.
    pub fn samples(&self, causes: &[i64]) -> Result<HashMap<i64, Sample>, StoreError> {
        self.with(|conn| {
            let mut select = conn.prepare_cached(
                "SELECT j.id, j.input_label, j.keeps_file, a.error, a.log_head FROM job j
                 LEFT JOIN attempt a ON a.job = j.id AND a.n = j.attempt
                 WHERE j.id = (SELECT max(id) FROM job WHERE cause = ?1)",
            )?;
            let mut out = HashMap::new();
            for &cause in causes {
                if let Some(sample) = select.query_map([cause], sample)?.next().transpose()? {
                    out.insert(cause, sample);
                }
            }
            Ok(out)
        })
    }

    /// Messages of a channel that are due, the longest due first.
    pub fn waiting(&self, channel: &str, now: Millis, limit: u32) -> Result<Vec<Waiting>, StoreError> {
        self.with(|conn| {
            let mut select = conn.prepare_cached(
                "SELECT id, body, created_at, tries FROM outbox
                 WHERE state = ?1 AND channel = ?2 AND next_at <= ?3 ORDER BY next_at, id LIMIT ?4",
            )?;
            let rows = select.query_map((WAITING, channel, now, limit), |r| {
                let message = r.get::<_, String>(1)?;
                Ok((r.get(0)?, message, r.get(2)?, r.get(3)?))
            })?;
            let mut out = Vec::new();
            for row in rows {
                let (id, body, created_at, tries) = row?;
                // What cannot be read was written by a newer version; it is left to that.
                if let Ok(message) = serde_json::from_str::<Message>(&body) {
                    out.push(Waiting { id, message, created_at, tries });
                }
            }
            Ok(out)
        })
    }

    /// When the next message of a channel is due.
    pub fn next_try(&self, channel: &str) -> Result<Option<Millis>, StoreError> {
        self.with(|conn| {
            conn.prepare_cached("SELECT min(next_at) FROM outbox WHERE state = ?1 AND channel = ?2")?
                .query_row((WAITING, channel), |r| r.get(0))
        })
    }

    /// What the outbox says of a channel.
    pub fn channel(&self, channel: &str, now: Millis) -> Result<ChannelRow, StoreError> {
        self.with(|conn| {
            let (waiting, next_at) = conn
                .prepare_cached("SELECT count(*), min(next_at) FROM outbox WHERE state = ?1 AND channel = ?2")?
                .query_row((WAITING, channel), |r| Ok((r.get(0)?, r.get(1)?)))?;
            let sent = conn
                .prepare_cached("SELECT count(*) FROM outbox WHERE channel = ?1 AND created_at > ?2 AND state = ?3")?
                .query_row((channel, now.minus(DAY), SENT), |r| r.get(0))?;
            // Of what was tried last: a channel that works again has no error.
            let error = conn
                .prepare_cached(
                    "SELECT error FROM outbox WHERE channel = ?1 AND tries > 0 ORDER BY coalesce(done_at, next_at) DESC, id DESC LIMIT 1",
                )?
                .query_map([channel], |r| r.get::<_, Option<String>>(0))?
                .next()
                .transpose()?
                .flatten();
            Ok(ChannelRow { waiting, sent, error, next_at })
        })
    }

    /// The newest messages, newest first.
    pub fn messages(&self) -> Result<Vec<OutboxView>, StoreError> {
        self.with(|conn| {
            let mut select = conn.prepare_cached(
                "SELECT id, channel, state, severity, subject, created_at, tries, error FROM outbox ORDER BY id DESC LIMIT ?1",
            )?;
            let max = i64::try_from(AlertsView::MESSAGES_MAX).unwrap_or(i64::MAX);
            let rows = select.query_map([max], |r| {
                let state = match r.get(2)? {
                    WAITING => "waiting",
                    SENT => "sent",
                    _ => "given_up",
                };
                Ok(OutboxView {
                    id: r.get(0)?,
                    channel: r.get(1)?,
                    state: state.into(),
                    severity: Severity::from_code(r.get(3)?).unwrap_or(Severity::Info).name().into(),
                    subject: text::escape(&r.get::<_, String>(4)?).into_owned(),
                    created_at: rfc3339(r.get(5)?),
                    tries: r.get(6)?,
                    error: r.get(7)?,
                })
            })?;
            rows.collect()
        })
    }
}

fn cause(r: &Row<'_>) -> rusqlite::Result<Trouble> {
    Ok(Trouble {
        source: Source::Cause,
        id: r.get(0)?,
        born: r.get(1)?,
        task: r.get::<_, Option<String>>(2)?.map(TaskName::from),
        severity: Severity::Error,
        code: r.get(3)?,
        key: String::new(),
        text: r.get(4)?,
        last_at: r.get(5)?,
        open: r.get(6)?,
        total: r.get(7)?,
        is_open: r.get(8)?,
    })
}

fn notice(r: &Row<'_>) -> rusqlite::Result<Trouble> {
    let plain = cause(r)?;
    let key: String = r.get(10)?;
    Ok(Trouble {
        source: Source::Notice,
        severity: Severity::from_code(r.get(9)?).unwrap_or(Severity::Warning),
        code: if plain.code == BANNER { key.clone() } else { plain.code },
        key,
        ..plain
    })
}

fn told(conn: &Connection) -> rusqlite::Result<Vec<Told>> {
    let mut select = conn.prepare_cached(
        "SELECT channel, source, id, born, state, episode, seq, since, first_at, told_at, told_total, over_total FROM alert",
    )?;
    let rows = select.query_map([], |r| {
        Ok(Told {
            channel: r.get(0)?,
            source: Source::from_code(r.get(1)?).unwrap_or(Source::Channel),
            id: r.get(2)?,
            born: r.get(3)?,
            state: ToldState::from_code(r.get(4)?).unwrap_or(ToldState::Over),
            episode: r.get(5)?,
            seq: r.get(6)?,
            since: r.get(7)?,
            first_at: r.get(8)?,
            told_at: r.get(9)?,
            told_total: unsigned(r.get(10)?),
            over_total: unsigned(r.get(11)?),
        })
    })?;
    rows.collect()
}

fn sample(r: &Row<'_>) -> rusqlite::Result<Sample> {
    let failure = r.get::<_, Option<String>>(3)?.and_then(|json| serde_json::from_str(&json).ok());
    let output: String = r.get::<_, Option<String>>(4)?.unwrap_or_default();
    let lines: Vec<&str> = output.lines().collect();
    let last = lines.iter().skip(lines.len().saturating_sub(LOG_LINES));
    Ok(Sample {
        job: JobId(r.get(0)?),
        input: text::bytes(&r.get::<_, Vec<u8>>(1)?),
        is_file: r.get(2)?,
        failure,
        log: last.map(|l| text::escape(l).into_owned()).collect(),
    })
}

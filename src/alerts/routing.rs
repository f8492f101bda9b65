//! Which message goes to which channel, and when to look again. Pure: what stands, what was told, the time.
//!
//! For each channel and each thing that is wrong there is a row that says what the channel knows. A row changes only
//! together with the message that tells it, so what is held back (quiet hours, a digest, a limit) is simply still to be
//! told at the next look.

use super::quiet;
use crate::model::alert::channel::Channel;
use crate::model::alert::outbox::{Source, Standing, Told, ToldState, Trouble};
use crate::model::alert::{MessageKind, Severity};
use crate::model::{Millis, TaskName};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// A channel is told at most this often that one cause has begun, however often it is over between. What comes again
/// sooner waits, and is told with its count.
pub const FLAPPING: Duration = Duration::from_secs(15 * 60);
/// The time over which messages are counted for `max_per_hour`.
const HOUR: Duration = Duration::from_secs(3600);
/// Kind of the notice that a channel does not work; it is not sent to that channel.
pub const CHANNEL_FAILED: &str = "channel_failed";

/// One thing that a channel is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// Of what.
    pub trouble: Trouble,
    /// That it began, goes on, or is over.
    pub kind: MessageKind,
    /// How often it was seen since the channel was told last.
    pub news: u64,
    /// Since when the channel waits for it.
    pub since: Millis,
}

/// Why several are told at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The channel collects.
    Digest,
    /// It was quiet.
    Quiet,
    /// There were more than it may be sent.
    Limit,
}

/// A message that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The channel.
    pub channel: Arc<str>,
    /// The same for the same message.
    pub key: String,
    /// What it tells; at least one.
    pub wants: Vec<Want>,
    /// Why it tells them at once; none if it tells one.
    pub why: Option<Why>,
}

/// What came of a look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routed {
    /// Messages to be made, in the same commit as `told`.
    pub notes: Vec<Note>,
    /// What the channels know then.
    pub told: Vec<Told>,
    /// When something else is to be told, if nothing changes until then.
    pub again: Option<Millis>,
}

impl Routed {
    /// Whether nothing is to be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.notes.is_empty() && self.told.is_empty()
    }

    fn look_again(&mut self, at: Millis) {
        self.again = Some(self.again.map_or(at, |a| a.min(at)));
    }
}

/// Decides what is to be told.
#[must_use]
pub fn route(channels: &[Arc<Channel>], standing: &Standing, now: Millis) -> Routed {
    let mut out = Routed::default();
    for channel in channels {
        Look { channel, standing, now, out: &mut out }.run();
    }
    out
}

/// A thing to be told, with what the channel knows once it was.
struct Draft {
    want: Want,
    row: Told,
}

/// A look at one channel.
struct Look<'a> {
    channel: &'a Arc<Channel>,
    standing: &'a Standing,
    now: Millis,
    out: &'a mut Routed,
}

impl Look<'_> {
    fn run(mut self) {
        let name = &*self.channel.name;
        let rows: HashMap<(Source, i64), &Told> =
            self.standing.told.iter().filter(|t| t.channel == name).map(|t| ((t.source, t.id), t)).collect();
        let mut drafts = Vec::new();
        for trouble in &self.standing.troubles {
            let row = rows.get(&(trouble.source, trouble.id)).filter(|t| t.born == trouble.born);
            if self.concerns(trouble) {
                drafts.extend(self.draft(trouble, row.copied()));
            }
        }
        let collects = rows.get(&(Source::Channel, 0)).copied().filter(|t| t.state == ToldState::Held);
        self.send(drafts, collects);
    }

    fn concerns(&self, trouble: &Trouble) -> bool {
        let about_itself = trouble.code == CHANNEL_FAILED && trouble.key == *self.channel.name;
        !about_itself
            && self.channel.wants(trouble.severity)
            && self.channel.concerns(trouble.task.as_ref().map(TaskName::as_ref), &trouble.code)
    }

    /// What the channel should be told of one thing, if the time has come.
    fn draft(&mut self, trouble: &Trouble, row: Option<&Told>) -> Option<Draft> {
        let now = self.now;
        let next = |state, row: &Told| Told {
            state,
            seq: row.seq + 1,
            since: now,
            told_at: Some(now),
            told_total: trouble.total,
            ..row.clone()
        };
        let want = |kind, row: &Told, since| Want {
            trouble: trouble.clone(),
            kind,
            news: trouble.total.saturating_sub(row.told_total),
            since,
        };
        let row = match row {
            Some(row) if row.state != ToldState::Over => row.clone(),
            _ => self.begin(trouble, row)?,
        };
        match (row.state, trouble.is_open) {
            (ToldState::Held, true) => {
                // A clock that was set back would make this wait for ever.
                let last = row.first_at.filter(|at| *at <= now);
                if let Some(due) = last.map(|at| at.plus(FLAPPING)).filter(|due| *due > now) {
                    self.out.look_again(due);
                    return None;
                }
                let told = Told { first_at: Some(now), ..next(ToldState::Told, &row) };
                Some(Draft { want: want(MessageKind::First, &row, row.since), row: told })
            }
            (ToldState::Held, false) => {
                let over = Told { over_total: trouble.total, ..next(ToldState::Over, &row) };
                // What came and went while it was held back belongs into the digest; what only flaps does not.
                let was_hidden = self.channel.quiet.is_some() || self.channel.digest.is_some();
                let is_flapping = row.first_at.is_some_and(|at| at <= now && at.plus(FLAPPING) > now);
                if was_hidden && !is_flapping {
                    return Some(Draft { want: want(MessageKind::Recovered, &row, row.since), row: over });
                }
                self.out.told.push(Told { told_at: row.told_at, told_total: row.told_total, ..over });
                None
            }
            (ToldState::Told, true) => {
                let due = row.told_at.filter(|at| *at <= now).map_or(now, |at| at.plus(self.channel.repeat));
                if due > now {
                    self.out.look_again(due);
                    return None;
                }
                // Still open, and nothing new: a reminder says nothing that was not said.
                (trouble.total > row.told_total)
                    .then(|| Draft { want: want(MessageKind::Again, &row, due), row: next(ToldState::Told, &row) })
            }
            (ToldState::Told, false) => {
                let over = Told { over_total: trouble.total, ..next(ToldState::Over, &row) };
                if self.channel.wants(Severity::Recovered) {
                    return Some(Draft { want: want(MessageKind::Recovered, &row, now), row: over });
                }
                self.out.told.push(over);
                None
            }
            (ToldState::Over, _) => None,
        }
    }

    /// The row of something that the channel knows nothing of; none if there is nothing to know.
    fn begin(&mut self, trouble: &Trouble, row: Option<&Told>) -> Option<Told> {
        let is_new = trouble.is_open && row.is_none_or(|r| trouble.total > r.over_total);
        if !is_new {
            return None;
        }
        let fresh = Told {
            channel: self.channel.name.to_string(),
            source: trouble.source,
            id: trouble.id,
            born: trouble.born,
            state: ToldState::Held,
            episode: row.map_or(1, |r| r.episode + 1),
            seq: row.map_or(0, |r| r.seq),
            since: self.now,
            first_at: row.and_then(|r| r.first_at),
            told_at: row.and_then(|r| r.told_at),
            told_total: row.map_or(0, |r| r.told_total),
            over_total: row.map_or(0, |r| r.over_total),
        };
        // Noted even if nothing can be told yet. A row that tells it goes after this one, and stands.
        self.out.told.push(fresh.clone());
        Some(fresh)
    }

    /// Sends what may be sent now.
    fn send(&mut self, mut drafts: Vec<Draft>, collects: Option<&Told>) {
        let channel = Arc::clone(self.channel);
        if let Some(hours) = &channel.quiet
            && let Some(end) = quiet::until(hours, self.now)
        {
            let before = drafts.len();
            drafts.retain(|d| hours.except.contains(&severity(&d.want)));
            if drafts.len() < before {
                self.out.look_again(end);
            }
        }
        if !self.is_collected(&drafts, collects) || drafts.is_empty() {
            return;
        }
        let made: Vec<Millis> =
            self.standing.made.iter().filter(|(name, _)| **name == *channel.name).map(|(_, at)| *at).collect();
        let max = usize::try_from(channel.max_per_hour).unwrap_or(usize::MAX).max(1);
        let left = max.saturating_sub(made.len());
        if left == 0 {
            let oldest = made.iter().min().copied().unwrap_or(self.now);
            self.out.look_again(oldest.plus(HOUR).max(self.now.plus(Duration::from_secs(1))));
            return;
        }
        let waited = drafts.iter().any(|d| d.want.since < self.now.minus(Duration::from_secs(60)));
        let why = if drafts.len() == 1 {
            None
        } else if channel.digest.is_some() {
            Some(Why::Digest)
        // The last message of an hour is kept for all that comes after it.
        } else if drafts.len() >= left {
            Some(Why::Limit)
        } else if channel.quiet.is_some() && waited {
            Some(Why::Quiet)
        } else {
            None
        };
        if why.is_some() {
            self.note(drafts, why);
        } else {
            for draft in drafts {
                self.note(vec![draft], None);
            }
        }
    }

    /// Whether the channel has collected long enough; notes when it began to.
    fn is_collected(&mut self, drafts: &[Draft], collects: Option<&Told>) -> bool {
        let Some(digest) = self.channel.digest else { return true };
        let since = match collects {
            _ if drafts.is_empty() => return false,
            Some(row) if row.since <= self.now => row.since,
            _ => {
                self.out.told.push(self.collecting(ToldState::Held));
                self.now
            }
        };
        let due = since.plus(digest);
        if due > self.now {
            self.out.look_again(due);
            return false;
        }
        self.out.told.push(self.collecting(ToldState::Over));
        true
    }

    fn collecting(&self, state: ToldState) -> Told {
        Told {
            channel: self.channel.name.to_string(),
            source: Source::Channel,
            id: 0,
            born: Millis(0),
            state,
            episode: 0,
            seq: 0,
            since: self.now,
            first_at: None,
            told_at: None,
            told_total: 0,
            over_total: 0,
        }
    }

    fn note(&mut self, drafts: Vec<Draft>, why: Option<Why>) {
        let Some(first) = drafts.first().map(|d| &d.row) else { return };
        let key = format!(
            "{}/{}/{}@{}/{}/{}",
            first.channel,
            first.source.code(),
            first.id,
            first.born.0,
            first.episode,
            first.seq
        );
        let (wants, rows): (Vec<Want>, Vec<Told>) = drafts.into_iter().map(|d| (d.want, d.row)).unzip();
        self.out.told.extend(rows);
        self.out.notes.push(Note { channel: Arc::clone(&self.channel.name), key, wants, why });
    }
}

/// How grave it is to be told this.
#[must_use]
pub fn severity(want: &Want) -> Severity {
    if want.kind == MessageKind::Recovered { Severity::Recovered } else { want.trouble.severity }
}

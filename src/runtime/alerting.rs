//! Alerts at work: one task that looks at what is wrong and puts messages into the outbox, and one for each channel that
//! sends them, so that a channel that does not answer holds up nobody.
//!
//! It guarantees that no job waits for any of this, that a message is made once however often the supervisor dies, and
//! that it is sent at least once, always under the same number.

mod hands;
mod heartbeat;
mod post;
mod sending;
mod view;

pub use hands::RuntimeHands;
pub use post::test;
pub use view::view;

use super::shared::Shared;
use crate::alerts::{self, From, Routed};
use crate::model::Millis;
use crate::model::alert::channel::{Channel, Heartbeat};
use crate::model::alert::outbox::{NewMessage, Outbox, Source, Standing, Trouble};
use crate::model::alert::{BANNER, Notice, Severity};
use crate::model::ports::Spawner;
use crate::model::view::Gravity;
use crate::model::{TaskName, text};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// After a change, before a look: what fails together is told together.
const DEBOUNCE: Duration = Duration::from_secs(1);
/// Longest time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// A store that could not be asked is asked again after this time.
const ASK_AGAIN: Duration = Duration::from_secs(5);

impl Shared {
    /// Something is wrong beside failed jobs, or still is. A store that cannot write is no reason to stop anything.
    pub async fn raise(&self, notice: Notice) {
        match self.store.raise(notice, self.now()).await {
            Ok(()) => self.touch(),
            Err(error) => self.complain(&format!("cannot note what is wrong: {error}")),
        }
    }

    /// It is over.
    pub async fn clear_notice(&self, task: Option<TaskName>, kind: &str, key: &str) {
        match self.store.clear(task, kind.to_owned(), key.to_owned(), self.now()).await {
            Ok(true) => self.touch(),
            Ok(false) => {}
            Err(error) => self.complain(&format!("cannot note what is over: {error}")),
        }
    }
}

/// Runs until the stop; then looks once more, and lets the channels send for a moment.
pub async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut router = Router::new(Arc::clone(&shared));
    loop {
        let changed = shared.changed.notified();
        let again = router.look().await;
        let wait = again.map_or(LOOK_EVERY, |at| at.since(shared.now())).clamp(DEBOUNCE, LOOK_EVERY);
        tokio::select! {
            () = stop.cancelled() => break,
            () = async { changed.await; tokio::time::sleep(DEBOUNCE).await } => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
    router.look().await;
    router.finish.cancel();
}

/// A channel at work.
struct AtWork {
    channel: Arc<Channel>,
    kick: Arc<Notify>,
    end: CancellationToken,
}

struct Router {
    shared: Arc<Shared>,
    channels: Vec<AtWork>,
    names: Option<Vec<String>>,
    beating: Option<(Heartbeat, CancellationToken)>,
    /// Told without the outbox, because the store could not write: channel and code.
    direct: HashSet<(String, String)>,
    finish: CancellationToken,
}

impl Router {
    fn new(shared: Arc<Shared>) -> Self {
        let finish = CancellationToken::new();
        Self { shared, channels: Vec::new(), names: None, beating: None, direct: HashSet::new(), finish }
    }

    /// One look; answers when the next one is worth it.
    async fn look(&mut self) -> Option<Millis> {
        self.follow_configuration().await;
        let now = self.shared.now();
        let soon = Some(now.plus(ASK_AGAIN));
        let Some(mut standing) = self.standing(now).await else { return soon };
        if self.keep_banners(&standing).await {
            standing = self.standing(now).await?;
        }
        if self.shared.told.swap(false, Ordering::SeqCst) {
            self.channels.iter().for_each(|c| c.kick.notify_one());
        }
        let channels: Vec<Arc<Channel>> = self.channels.iter().map(|c| Arc::clone(&c.channel)).collect();
        let routed = alerts::route(&channels, &standing, now);
        let again = routed.again;
        if routed.is_empty() || self.put(routed, now).await { again } else { soon }
    }

    async fn standing(&self, now: Millis) -> Option<Standing> {
        let store = self.shared.store.clone();
        let read = self.shared.tracker.run(move || store.queries().standing(now)).await?;
        read.map_err(|e| self.shared.complain(&format!("cannot read what is wrong: {e}"))).ok()
    }

    async fn put(&self, routed: Routed, now: Millis) -> bool {
        let causes: Vec<i64> = routed.notes.iter().flat_map(|n| &n.wants).filter_map(|w| cause(&w.trouble)).collect();
        let store = self.shared.store.clone();
        let samples = self.shared.tracker.run(move || store.queries().samples(&causes)).await;
        // Without them a message says less, and is still true.
        let samples = samples.and_then(Result::ok).unwrap_or_default();
        let config = self.shared.config.load_full();
        let from = From { host: &self.shared.host, config: &config.path, now };
        let messages: Vec<NewMessage> = routed
            .notes
            .iter()
            .map(|note| NewMessage {
                channel: note.channel.to_string(),
                key: note.key.clone(),
                message: alerts::compose(note, &samples, &from),
            })
            .collect();
        match self.shared.store.put(messages, routed.told, now).await {
            Ok(_) => {
                for note in &routed.notes {
                    self.channels.iter().filter(|c| c.channel.name == note.channel).for_each(|c| c.kick.notify_one());
                }
                true
            }
            Err(error) => {
                self.shared.complain(&format!("cannot put alerts into the outbox: {error}"));
                false
            }
        }
    }

    /// Starts and ends senders as the configuration says.
    async fn follow_configuration(&mut self) {
        let config = self.shared.config.load_full();
        let wanted = &config.alerts.channels;
        self.channels.retain(|c| {
            let stays = wanted.iter().any(|w| w.name == c.channel.name && w.hash == c.channel.hash);
            if !stays {
                c.end.cancel();
            }
            stays
        });
        for channel in wanted
            .iter()
            .filter(|w| !self.channels.iter().any(|c| c.channel.name == w.name))
            .cloned()
            .collect::<Vec<_>>()
        {
            let (kick, end) = (Arc::new(Notify::new()), CancellationToken::new());
            let sender = sending::Sending::new(
                Arc::clone(&self.shared),
                Arc::clone(&channel),
                Arc::clone(&kick),
                end.clone(),
                self.finish.clone(),
            );
            self.shared.tracker.task("alerts", Box::pin(sender.run()));
            self.channels.push(AtWork { channel, kick, end });
        }
        let names: Vec<String> = wanted.iter().map(|c| c.name.to_string()).collect();
        if self.names.as_ref() != Some(&names) {
            match self.shared.store.keep_channels(names.clone(), self.shared.now()).await {
                Ok(_) => self.names = Some(names),
                Err(error) => self.shared.complain(&format!("cannot note which channels there are: {error}")),
            }
        }
        if self.beating.as_ref().map(|(h, _)| h) != config.alerts.heartbeat.as_ref() {
            if let Some((_, end)) = self.beating.take() {
                end.cancel();
            }
            if let Some(wanted) = config.alerts.heartbeat.clone() {
                let end = self.finish.child_token();
                let beat = heartbeat::run(Arc::clone(&self.shared), wanted.clone(), end.clone());
                self.shared.tracker.task("heartbeat", Box::pin(beat));
                self.beating = Some((wanted, end));
            }
        }
    }

    /// Makes notices of the supervisor's own errors, and clears those that are over. Answers whether anything changed.
    async fn keep_banners(&mut self, standing: &Standing) -> bool {
        let up: BTreeMap<String, String> = {
            let banners = self.shared.banners.lock().unwrap_or_else(PoisonError::into_inner);
            let grave = banners.values().filter(|b| b.gravity == Gravity::Error);
            grave.map(|b| (b.code.clone(), b.text.clone())).collect()
        };
        let is_banner = |t: &&Trouble| t.source == Source::Notice && t.task.is_none() && t.code == t.key && t.is_open;
        let known: HashMap<&str, &str> =
            standing.troubles.iter().filter(is_banner).map(|t| (t.code.as_str(), t.text.as_str())).collect();
        self.direct.retain(|(_, code)| up.contains_key(code));
        let now = self.shared.now();
        let mut changed = false;
        for (code, text) in up.iter().filter(|(code, text)| known.get(code.as_str()) != Some(&text.as_str())) {
            let (key, text) = (code.clone(), text.clone());
            let notice = Notice { task: None, kind: BANNER, key, severity: Severity::Error, text: text.clone() };
            match self.shared.store.raise(notice, now).await {
                Ok(()) => changed = true,
                Err(_) => self.tell_directly(code, &text),
            }
        }
        for code in known.keys().filter(|code| !up.contains_key(**code)) {
            let cleared = self.shared.store.clear(None, BANNER.to_owned(), (*code).to_owned(), now).await;
            changed |= cleared.unwrap_or(false);
        }
        changed
    }

    /// A store that cannot write cannot keep a message either: it is sent at once, and lost if its channel does not work.
    fn tell_directly(&mut self, code: &str, what: &str) {
        for at_work in &self.channels {
            let channel = &at_work.channel;
            let key = (channel.name.to_string(), code.to_owned());
            if channel.wants(Severity::Error) && channel.concerns(None, code) && self.direct.insert(key) {
                let send =
                    post::direct(Arc::clone(&self.shared), Arc::clone(channel), code.to_owned(), what.to_owned());
                self.shared.tracker.task("alerts", Box::pin(send));
            }
        }
    }
}

fn cause(trouble: &Trouble) -> Option<i64> {
    (trouble.source == Source::Cause).then_some(trouble.id)
}

/// What tells this supervisor's messages from those of every other, beside their numbers.
fn node(shared: &Shared) -> String {
    let place = format!("{}\0{}", shared.host, text::path(&shared.config.load().data_dir));
    blake3::hash(place.as_bytes()).to_hex().chars().take(12).collect()
}

/// The number of a message over all its tries. The time is in it because numbers begin anew with a new database.
fn message_id(shared: &Shared, id: i64, created_at: Millis) -> String {
    format!("{id}.{:x}.{}", created_at.0, node(shared))
}

//! Messages past the outbox: an operator tries a channel, or the store cannot write.

use super::{RuntimeHands, message_id};
use crate::alerts::{From, Sender, Undelivered, test_message};
use crate::model::alert::channel::Channel;
use crate::model::alert::{Fact, Message, MessageKind, Severity};
use crate::model::ports::Refusal;
use crate::model::view::TestedView;
use crate::runtime::shared::Shared;
use std::sync::Arc;

/// Sends a message at once.
pub(super) async fn send(
    shared: &Arc<Shared>,
    channel: &Channel,
    message: &Message,
    id: &str,
) -> Result<(), Undelivered> {
    let hands = RuntimeHands(Arc::clone(shared));
    Sender { channel, hands: &hands }.send(message, id, shared.now().0.div_euclid(1000)).await
}

/// Tries one channel, or all; answers for each whether it took the message.
pub async fn test(shared: Arc<Shared>, name: Option<String>) -> Result<Vec<TestedView>, Refusal> {
    let config = shared.config.load_full();
    let channels = &config.alerts.channels;
    let wanted: Vec<Arc<Channel>> =
        channels.iter().filter(|c| name.as_deref().is_none_or(|n| n == &*c.name)).cloned().collect();
    if wanted.is_empty() {
        let names: Vec<&str> = channels.iter().map(|c| &*c.name).collect();
        return Err(match name {
            Some(name) => Refusal::new(404, "unknown_channel", format!("no channel is called {name:?}"))
                .hint(format!("the configuration has: {}", names.join(", "))),
            None => Refusal::new(404, "no_channels", "the configuration has no channels")
                .hint("add a section [alerts.NAME]"),
        });
    }
    let now = shared.now();
    let tries = wanted.iter().map(|channel| {
        let shared = &shared;
        let config = &config;
        async move {
            let from = From { host: &shared.host, config: &config.path, now };
            let message = test_message(&channel.name, &from);
            let id = message_id(shared, 0, now);
            let sent = send(shared, channel, &message, &id).await;
            TestedView {
                channel: channel.name.to_string(),
                kind: channel.way.name().into(),
                target: channel.way.target(),
                ok: sent.is_ok(),
                error: sent.err().map(|e| e.to_string()),
            }
        }
    });
    Ok(futures_util::future::join_all(tries).await)
}

/// Tells of an error of the supervisor that cannot be kept.
pub(super) async fn direct(shared: Arc<Shared>, channel: Arc<Channel>, code: String, what: String) {
    let now = shared.now();
    let message = Message {
        severity: Severity::Error,
        kind: MessageKind::First,
        subject: format!("supervisor: {code}"),
        facts: vec![
            Fact { name: "What".into(), value: what },
            Fact { name: "Host".into(), value: shared.host.clone() },
        ],
        text: "The store cannot write, so this message is not kept: it is sent once.".into(),
        html: None,
        log: Vec::new(),
        commands: Vec::new(),
        task: None,
        host: shared.host.clone(),
        count: 1,
        at: now,
    };
    let id = message_id(&shared, -1, now);
    if let Err(why) = send(&shared, &channel, &message, &id).await {
        shared.complain(&format!("the channel {} was not told of {code}: {why}", channel.name));
    }
}

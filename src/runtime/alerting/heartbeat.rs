//! Tells a monitor outside that the supervisor is well, again and again. Its silence is the alarm that no supervisor can
//! give itself.

use super::RuntimeHands;
use crate::alerts::{Hands, beat};
use crate::model::alert::channel::{Heartbeat, Held};
use crate::model::view::Gravity;
use crate::runtime::shared::Shared;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use tokio_util::sync::CancellationToken;

/// Code of the banner about it.
const BANNER: &str = "heartbeat_failed";

/// Runs until it is ended.
pub async fn run(shared: Arc<Shared>, heartbeat: Heartbeat, end: CancellationToken) {
    let hands = RuntimeHands(Arc::clone(&shared));
    let mut every = tokio::time::interval(heartbeat.every);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = end.cancelled() => break,
            _ = every.tick() => {}
        }
        if !is_well(&shared) {
            continue;
        }
        let told = async {
            match &heartbeat.url {
                Held::Text(url) => beat(url).await.map_err(|e| e.to_string()),
                Held::Secret(secret) => {
                    let url = hands.secret(secret).await.map_err(|f| f.message)?;
                    beat(&url).await.map_err(|e| e.to_string())
                }
            }
        };
        let told = tokio::select! {
            () = end.cancelled() => break,
            told = told => told,
        };
        match told {
            Ok(()) => shared.clear_banner(BANNER),
            Err(why) => shared.banner(Gravity::Warning, BANNER, format!("the heartbeat did not arrive: {why}")),
        }
    }
    shared.clear_banner(BANNER);
}

fn is_well(shared: &Shared) -> bool {
    let banners = shared.banners.lock().unwrap_or_else(PoisonError::into_inner);
    shared.store_ok.load(Ordering::SeqCst) && banners.values().all(|b| b.gravity != Gravity::Error)
}

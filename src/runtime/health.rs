//! The store's health as the rest sees it: a full disk or an I/O error pauses claims and shows a banner, and the first
//! write that works takes both back.

use super::shared::{Event, Shared};
use crate::kernel::Input;
use crate::model::action::Level;
use crate::model::ledger::{Reply, StoreError};
use crate::model::view::Gravity;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A store that cannot write is asked again after this time.
const ASK_AGAIN: Duration = Duration::from_secs(5);

impl Shared {
    /// Whether the loop has ended: nobody waits for the store to get well any more, the next start does.
    pub fn is_leaving(&self) -> bool {
        self.events.is_closed()
    }

    /// Asks the store until it answers. None if it never will: it is closed, or this supervisor leaves, or the request
    /// itself is at fault, which is said.
    pub async fn insist<T>(&self, what: &str, ask: impl Fn() -> Reply<T>) -> Option<T> {
        loop {
            match ask().await {
                Ok(answer) => {
                    self.store_works().await;
                    return Some(answer);
                }
                Err(StoreError::Closed) => return None,
                Err(error @ StoreError::Fault(_)) => {
                    self.complain(&format!("cannot {what}: {error}"));
                    return None;
                }
                Err(error) => {
                    self.store_failed(&error).await;
                    tokio::time::sleep(ASK_AGAIN).await;
                    if self.is_leaving() {
                        return None;
                    }
                }
            }
        }
    }

    /// The store refused to write.
    pub async fn store_failed(&self, error: &StoreError) {
        if !self.store_ok.swap(false, Ordering::SeqCst) {
            return;
        }
        let text = format!("{error}: nothing is claimed or acknowledged until it can");
        self.log.append(Level::Error, None, None, None, &text);
        self.banner(Gravity::Error, "store_paused", text);
        self.tell(Event::Kernel(Input::Store { ok: false })).await;
    }

    /// The store wrote.
    pub async fn store_works(&self) {
        if self.store_ok.swap(true, Ordering::SeqCst) {
            return;
        }
        self.log.append(Level::Info, None, None, None, "the store can write again");
        self.clear_banner("store_paused");
        self.tell(Event::Kernel(Input::Store { ok: true })).await;
    }

    /// While the store is known to fail, writes something small to see whether it works again. While it fails nothing
    /// is claimed, so nobody else would find out.
    pub async fn probe(&self) {
        if !self.store_ok.load(Ordering::SeqCst) && self.ledger.probe(self.now()).await.is_ok() {
            self.store_works().await;
        }
    }
}

//! Signals that ask a command in the foreground to end.

use crate::error::{Exit, Fatal};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that ask a program in the foreground to end.
pub(super) struct Signals([Signal; 4]);

impl Signals {
    /// Listens for them from now on.
    pub(super) fn listen() -> Result<Self, Fatal> {
        let listen =
            |kind| signal(kind).map_err(|e| Fatal::new(Exit::Internal, "cannot listen for signals").because(e));
        Ok(Self([
            listen(SignalKind::terminate())?,
            listen(SignalKind::interrupt())?,
            listen(SignalKind::hangup())?,
            listen(SignalKind::quit())?,
        ]))
    }

    /// Waits for one of them.
    pub(super) async fn next(&mut self) {
        let [term, int, hup, quit] = &mut self.0;
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
            _ = hup.recv() => {}
            _ = quit.recv() => {}
        }
    }
}

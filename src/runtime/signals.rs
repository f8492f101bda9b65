//! Signals of the process: TERM and INT drain, a second one hurries, HUP reads the configuration again.

use super::start::Control;
use crate::model::ports::Actor;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Listens until the stop.
pub async fn run(control: Control, stop: CancellationToken) {
    let streams = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()));
    let (Ok(mut term), Ok(mut int), Ok(mut hup)) = streams else {
        tracing::error!("cannot listen for signals: only `shiftboss stop` stops this supervisor in good order");
        return;
    };
    let own = Actor { uid: nix::unistd::geteuid().as_raw() };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = term.recv() => control.stop(false, false),
            _ = int.recv() => control.stop(false, false),
            // A refused reload has said why in the log and on the screen.
            _ = hup.recv() => drop(control.reload(own).await),
        }
    }
}

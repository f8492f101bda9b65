//! What is told of hosts while jobs for them end.

use super::*;
use crate::model::action::network::{Ending, HostLimits, HostName, Hosts};
use crate::runtime::network;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_counted_by_the_second_however_often_jobs_end() {
    let site = Site::new(EXTRACT).await;
    let (shared, stop) = (&site.shared, CancellationToken::new());
    let looking = tokio::spawn(network::run(Arc::clone(shared), stop.clone()));
    let (host, began) = (HostName::from("api.example"), Instant::now());
    while began.elapsed() < Duration::from_millis(1500) {
        let pass = shared.gate.enter(&host, &HostLimits::default()).await.unwrap();
        pass.end(Ending::Good { latency: Duration::from_millis(1) });
        shared.gate.claimed(&host, 1);
        shared.gate.ended(&host, 1);
        tokio::task::yield_now().await;
    }
    let seconds = network::hosts(shared)[0].per_second.clone();
    let at_most = began.elapsed().as_secs() as usize + 1;
    assert!((1..=at_most).contains(&seconds.len()), "{seconds:?}");
    stop.cancel();
    looking.await.unwrap();
}

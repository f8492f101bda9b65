//! stub
use crate::model::action::BoxFuture;
use crate::model::action::network::{HostLimits, HostName, Hosts, Pass};
use crate::model::ledger::{Allowance, ClosedLane};
use crate::model::{Failure, Millis};
use std::sync::Arc;
pub struct Gate {
    n: tokio::sync::Notify,
    clock: Arc<dyn crate::clock::Clock>,
}
impl Gate {
    pub fn new(clock: Arc<dyn crate::clock::Clock>) -> Self {
        Self { n: tokio::sync::Notify::new(), clock }
    }
    pub fn claimed(&self, _: &str) {}
    pub fn ended(&self, _: &str) {}
    pub fn allowance(&self, _: &str, l: &HostLimits) -> Allowance {
        Allowance { jobs: l.concurrency, again: None }
    }
    pub fn restore(&self, _: &str, _: Millis, _: &str) {}
    pub fn closed(&self) -> Vec<ClosedLane> {
        Vec::new()
    }
    pub fn changed(&self) -> &tokio::sync::Notify {
        &self.n
    }
    pub async fn run(&self, stop: tokio_util::sync::CancellationToken) {
        stop.cancelled().await
    }
}
impl Hosts for Gate {
    fn enter(&self, _: &HostName, _: &HostLimits) -> BoxFuture<Result<Pass, Failure>> {
        Box::pin(async { Ok(Pass::new(Box::new(|_| {}))) })
    }
    fn book_retry(&self, _: &HostName, _: &HostLimits) -> Millis {
        self.clock.now()
    }
}

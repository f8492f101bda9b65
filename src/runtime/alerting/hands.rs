//! What the channels need of the runtime: secrets, and programs that are fed.

use crate::alerts::{Hands, Step};
use crate::model::{Failure, Secret};
use crate::runtime::secrets;
use crate::runtime::shared::Shared;
use crate::runtime::spawn::feed::feed;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

/// The hands of a supervisor.
pub struct RuntimeHands(pub Arc<Shared>);

impl Hands for RuntimeHands {
    fn secret<'a>(&'a self, secret: &'a Secret) -> Step<'a, Result<String, Failure>> {
        Box::pin(async move {
            let secret = secret.clone();
            let read = self.0.tracker.run(move || secrets::resolve(&secret, secrets::DEADLINE)).await;
            read.unwrap_or_else(|| Err(Failure::transient("panic", "reading a secret panicked")))
        })
    }

    fn program<'a>(
        &'a self,
        program: &'a str,
        args: &'a [String],
        env: Vec<(OsString, OsString)>,
        input: Vec<u8>,
        deadline: Duration,
    ) -> Step<'a, Result<(), String>> {
        let base = self.0.config.load().base.clone();
        Box::pin(async move { feed(program, args, env, &base, input, deadline).await })
    }
}

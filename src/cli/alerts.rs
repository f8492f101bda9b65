//! `alert-test`: whether a channel takes a message.

use super::args::AlertTest;
use super::line::{Line, Style};
use super::out::Out;
use super::{Backend, me, refused};
use crate::error::{Exit, Fatal};

/// Tries channels; exit code 1 if one of them did not take the message.
pub(super) async fn test(args: &AlertTest, backend: &Backend, out: &mut Out) -> Result<Exit, Fatal> {
    let tested = backend.commands.alert_test(me(), args.channel.clone()).await.map_err(refused)?;
    if out.is_json() {
        out.json(&tested);
    } else {
        for channel in &tested {
            let name =
                Line::of(Style::Strong, &channel.channel).text(format!(" ({}: {})", channel.kind, channel.target));
            out.line(match &channel.error {
                None => name.and(Style::Good, " took the message"),
                Some(why) => name.and(Style::Bad, " did not take it: ").text(why),
            });
        }
    }
    Ok(if tested.iter().all(|c| c.ok) { Exit::Ok } else { Exit::Failed })
}

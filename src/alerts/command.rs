//! A message for a program: as JSON on its input, and the most important of it in its environment.

use super::delivery::{Hands, Parcel, Undelivered};
use super::webhook;
use crate::model::alert::channel::Program;
use std::ffi::OsString;
use std::time::Duration;

/// Time for the program; then its process group is killed, and it is tried again later.
const DEADLINE: Duration = Duration::from_secs(50);

pub async fn send(program: &Program, parcel: &Parcel<'_>, hands: &dyn Hands) -> Result<(), Undelivered> {
    let message = parcel.message;
    let env = [
        ("ID", parcel.id.to_owned()),
        ("SEVERITY", message.severity.name().to_owned()),
        ("SUBJECT", message.subject.replace('\0', " ")),
        ("TASK", message.task.clone().unwrap_or_default()),
        ("HOST", message.host.clone()),
        ("COUNT", message.count.to_string()),
    ];
    let env = env.into_iter().map(|(k, v)| (format!("SHIFTBOSS_ALERT_{k}").into(), OsString::from(v))).collect();
    let input = serde_json::to_vec(&webhook::body(message, parcel.id)).unwrap_or_default();
    hands.program(&program.program, &program.args, env, input, DEADLINE).await.map_err(Undelivered::later)
}

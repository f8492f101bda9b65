//! The five fields of an entry, as a schedule of this program has them.

use crate::model::block::shown;
use croner::Cron;
use std::str::FromStr;

/// The fields as they mean the same here, or why there is no such schedule.
pub(super) fn checked(times: &str) -> Result<String, String> {
    if times.contains('~') {
        return Err(format!("a random time is no schedule here, choose one (or use jitter): {}", shown(times)));
    }
    let mut fields: Vec<String> = times.split_whitespace().map(str::to_owned).collect();
    let [_, _, day, _, weekday] = fields.as_mut_slice() else {
        return Err(format!("an entry has five fields of times: {}", shown(times)));
    };
    let is_free = |field: &str| field == "*" || field == "?";
    let begins_free = day.starts_with('*') || weekday.starts_with('*');
    if begins_free && !is_free(day) && !is_free(weekday) {
        weekday.insert(0, '+');
    }
    let cron = fields.join(" ");
    let parsed = Cron::from_str(&cron).map_err(|e| format!("not a schedule: {}: {e}", shown(times)))?;
    let ever = chrono::DateTime::<chrono::Utc>::UNIX_EPOCH;
    if parsed.find_next_occurrence(&ever, false).is_err() {
        return Err(format!("it never comes: {}", shown(times)));
    }
    Ok(cron)
}

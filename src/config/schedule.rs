use crate::model::block::Block;
use crate::model::schedule::{Cron, Overlap, Schedule, SuccessWithin, Times};
pub(super) fn schedule(mut block: Block<'_>, timezone: chrono_tz::Tz) -> Option<Schedule> {
    let day = std::time::Duration::from_secs(86400 * 400);
    let times = match block.string("cron") {
        Some(cron) => Times::Cron(Cron::parse(&cron.value).ok()?),
        None => {
            Times::Every { period: block.duration("every", std::time::Duration::from_secs(1)..=day)?, aligned: false }
        }
    };
    let mut s = Schedule::new(times, timezone);
    s.overlap = block
        .choice(
            "overlap",
            &[("skip", Overlap::Skip), ("queue", Overlap::Queue), ("cancel-running", Overlap::CancelRunning)],
        )
        .unwrap_or_default();
    if let Some(d) = block.duration("success_within", std::time::Duration::from_secs(1)..=day) {
        s.success_within = SuccessWithin::After(d);
    }
    Some(s)
}

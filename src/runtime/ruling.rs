//! What an ended attempt comes to, as a pure function of its result, the task's policy and what is left of the budget.

use crate::model::action::network::HOST_CLOSED;
use crate::model::action::{OUTPUT_BUSY, Report, Stop};
use crate::model::failure::NO_HANDLES;
use crate::model::{Failure, FailureClass, JobId, Millis, OnInterrupt, RetryPolicy};
use std::time::Duration;

/// Code of an attempt that was told to stop before its action ran.
pub const NOT_BEGUN: &str = "not_begun";
/// A job whose output another one is writing, or for which no file can be opened, is tried again after this time.
const BUSY_RETRY: Duration = Duration::from_secs(5);

/// What an attempt comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Ruling {
    /// It did its work.
    Succeed(Report),
    /// It failed and runs again at this time.
    Retry(Failure, Millis),
    /// It failed; an operator decides. Whether it is charged.
    Fail(Failure, bool),
    /// It was cut off and goes back into the queue, uncharged.
    Requeue(Failure),
    /// It could not do its work yet: it waits until this time, uncharged, with the reason.
    Wait(String, Millis),
    /// An operator withdrew it.
    Cancel,
}

/// What the rules look at.
#[derive(Clone, Debug)]
pub struct Policy<'a> {
    /// The job.
    pub job: JobId,
    /// The attempt.
    pub attempt: i64,
    /// Attempts charged, this one included.
    pub spent: u32,
    /// When to try again.
    pub retry: &'a RetryPolicy,
    /// What a cut means.
    pub on_interrupt: OnInterrupt,
    /// The task's time limit.
    pub timeout: Option<Duration>,
}

/// Decides what an attempt comes to.
#[must_use]
pub fn rule(policy: &Policy<'_>, result: Result<Report, Failure>, stop: Option<Stop>, now: Millis) -> Ruling {
    let failure = match result {
        Ok(report) => return Ruling::Succeed(report),
        Err(failure) => failure,
    };
    match stop {
        Some(Stop::Cancel) => Ruling::Cancel,
        // Nothing was cut off, so that it may run again whatever the policy says of interruptions.
        Some(Stop::Drain) if failure.code == NOT_BEGUN => {
            Ruling::Requeue(Failure::new(FailureClass::Interrupted, NOT_BEGUN, failure.message))
        }
        Some(Stop::Drain) => interrupted(policy, "the supervisor stopped before the attempt ended"),
        Some(Stop::Timeout) => {
            let limit = policy.timeout.map_or_else(String::new, |d| humantime::format_duration(d).to_string());
            let mut timeout = Failure::new(FailureClass::Timeout, "timeout", format!("no end within {limit}"));
            timeout.causes = failure.causes;
            retry_or_fail(policy, timeout, now)
        }
        None if [OUTPUT_BUSY, NO_HANDLES].contains(&failure.code.as_str()) => {
            Ruling::Wait(failure.message, now.plus(BUSY_RETRY))
        }
        None if failure.code == HOST_CLOSED => {
            let at = failure.not_before.unwrap_or_else(|| now.plus(BUSY_RETRY));
            Ruling::Wait(failure.message, at)
        }
        None => retry_or_fail(policy, failure, now),
    }
}

/// What a cut comes to.
#[must_use]
pub fn interrupted(policy: &Policy<'_>, why: &str) -> Ruling {
    let failure = Failure::new(FailureClass::Interrupted, "interrupted", why);
    match policy.on_interrupt {
        OnInterrupt::Retry => Ruling::Requeue(failure),
        OnInterrupt::Fail => Ruling::Fail(failure, false),
    }
}

fn retry_or_fail(policy: &Policy<'_>, failure: Failure, now: Millis) -> Ruling {
    if failure.class.is_retried() && policy.spent < policy.retry.attempts {
        let at = now.plus(policy.retry.delay(policy.job, policy.attempt, policy.spent));
        // Who was asked to come back later does not come sooner.
        let at = failure.not_before.map_or(at, |asked| asked.max(at));
        Ruling::Retry(failure, at)
    } else {
        Ruling::Fail(failure, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ruled(spent: u32, failure: Failure, stop: Option<Stop>, on_interrupt: OnInterrupt) -> Ruling {
        let retry = RetryPolicy { attempts: 3, jitter: false, ..RetryPolicy::default() };
        let policy = Policy {
            job: JobId(1),
            attempt: i64::from(spent),
            spent,
            retry: &retry,
            on_interrupt,
            timeout: Some(Duration::from_secs(90)),
        };
        rule(&policy, Err(failure), stop, Millis(1000))
    }

    #[test]
    fn transient_failures_are_retried_while_budget_is_left() {
        let f = || Failure::transient("x", "y");
        assert_eq!(ruled(1, f(), None, OnInterrupt::Retry), Ruling::Retry(f(), Millis(3000)));
        assert_eq!(ruled(2, f(), None, OnInterrupt::Retry), Ruling::Retry(f(), Millis(5000)));
        assert_eq!(ruled(3, f(), None, OnInterrupt::Retry), Ruling::Fail(f(), true));
    }

    #[test]
    fn who_waits_for_a_name_is_not_charged() {
        let busy = Failure::transient(OUTPUT_BUSY, "another job is writing /out/a");
        let ruling = Ruling::Wait("another job is writing /out/a".into(), Millis(6000));
        assert_eq!(ruled(9, busy.clone(), None, OnInterrupt::Fail), ruling);
        assert_eq!(ruled(9, busy, Some(Stop::Cancel), OnInterrupt::Fail), Ruling::Cancel);
    }

    #[test]
    fn who_finds_no_handle_is_not_charged() {
        let full = std::io::Error::from_raw_os_error(libc::EMFILE);
        let failure = Failure::io("output", "create", std::path::Path::new("/out/a"), &full);
        let ruling = Ruling::Wait("cannot create /out/a: Too many open files (os error 24)".into(), Millis(6000));
        assert_eq!(ruled(9, failure, None, OnInterrupt::Fail), ruling);
    }

    #[test]
    fn who_was_asked_to_come_later_does_not_come_sooner() {
        let asked = |at| Failure { not_before: Some(Millis(at)), ..Failure::transient("http_status", "503") };
        assert_eq!(ruled(1, asked(9000), None, OnInterrupt::Retry), Ruling::Retry(asked(9000), Millis(9000)));
        assert_eq!(ruled(1, asked(1500), None, OnInterrupt::Retry), Ruling::Retry(asked(1500), Millis(3000)));
        let closed = Failure { not_before: Some(Millis(9000)), ..Failure::transient(HOST_CLOSED, "a asks for 8 s") };
        assert_eq!(ruled(9, closed, None, OnInterrupt::Retry), Ruling::Wait("a asks for 8 s".into(), Millis(9000)));
    }

    #[test]
    fn permanent_failures_and_panics_are_not_retried() {
        for class in [FailureClass::Permanent, FailureClass::Panic] {
            let f = Failure::new(class, "x", "y");
            assert_eq!(ruled(1, f.clone(), None, OnInterrupt::Retry), Ruling::Fail(f, true));
        }
    }

    #[test]
    fn a_stop_gives_the_failure_its_class() {
        let f = || Failure::transient("stopped", "stopped on request");
        assert_eq!(ruled(1, f(), Some(Stop::Cancel), OnInterrupt::Retry), Ruling::Cancel);
        let Ruling::Retry(timeout, _) = ruled(1, f(), Some(Stop::Timeout), OnInterrupt::Retry) else {
            panic!("not retried")
        };
        assert_eq!((timeout.class, timeout.message.as_str()), (FailureClass::Timeout, "no end within 1m 30s"));
        assert!(matches!(ruled(1, f(), Some(Stop::Drain), OnInterrupt::Retry), Ruling::Requeue(_)));
        assert!(matches!(ruled(1, f(), Some(Stop::Drain), OnInterrupt::Fail), Ruling::Fail(_, false)));
        let unbegun = Failure::transient(NOT_BEGUN, "y");
        assert!(matches!(ruled(1, unbegun, Some(Stop::Drain), OnInterrupt::Fail), Ruling::Requeue(_)));
    }
}

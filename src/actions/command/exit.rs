//! What the end of a program means for its job.

use crate::model::action::ChildExit;
use crate::model::{Failure, FailureClass, text};

/// Most characters of the program's last line in a message.
const LAST_LINE: usize = 200;

/// Exit codes that say more than "failed". Any other code but 0 may go away by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ExitRules {
    /// Worth another try.
    pub(super) retry: Vec<i32>,
    /// Not worth another try.
    pub(super) permanent: Vec<i32>,
}

impl ExitRules {
    /// Nothing for success, else the failure. What `hide` names is blotted out of the program's last line.
    pub(super) fn judge(&self, exit: &ChildExit, hide: &[String]) -> Result<(), Failure> {
        if exit.stopped.is_some() {
            return Err(Failure::transient("stopped", "stopped on request"));
        }
        let (class, code, what) = match (exit.code, exit.signal) {
            (Some(0), _) => return Ok(()),
            (Some(n), _) if self.permanent.contains(&n) && !self.retry.contains(&n) => {
                (FailureClass::Permanent, format!("exit_{n}"), format!("exit code {n}"))
            }
            (Some(n), _) => (FailureClass::Transient, format!("exit_{n}"), format!("exit code {n}")),
            (None, Some(n)) => (FailureClass::Transient, format!("signal_{n}"), format!("killed by signal {n}")),
            (None, None) => (FailureClass::Transient, "exit_unknown".into(), "ended without an exit code".into()),
        };
        let message = match last_line(&exit.tail, hide) {
            Some(line) => format!("{what}: {line}"),
            None => what.clone(),
        };
        let mut failure = Failure::new(class, &code, message);
        failure.constant = what;
        Err(failure)
    }
}

/// The last line of a program's output that says something, safe and short.
fn last_line(tail: &str, hide: &[String]) -> Option<String> {
    let line = tail.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    let mut line = line.to_owned();
    for secret in hide.iter().filter(|s| !s.is_empty()) {
        line = line.replace(secret.as_str(), "***");
    }
    Some(text::cut(&text::escape(&line), LAST_LINE).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::action::Stop;

    fn judge(code: Option<i32>, signal: Option<i32>, tail: &str) -> Failure {
        let rules = ExitRules { retry: vec![75], permanent: vec![65] };
        let exit = ChildExit { code, signal, stopped: None, tail: tail.into() };
        rules.judge(&exit, &["hunter2".into()]).unwrap_err()
    }

    #[test]
    fn codes_and_signals_have_their_class() {
        for (code, signal, class, want) in [
            (Some(75), None, FailureClass::Transient, "exit_75"),
            (Some(65), None, FailureClass::Permanent, "exit_65"),
            (Some(3), None, FailureClass::Transient, "exit_3"),
            (None, Some(9), FailureClass::Transient, "signal_9"),
            (None, None, FailureClass::Transient, "exit_unknown"),
        ] {
            let failure = judge(code, signal, "");
            assert_eq!((failure.class, failure.code.as_str()), (class, want));
        }
        let ok = ChildExit { code: Some(0), tail: "done".into(), ..ChildExit::default() };
        assert_eq!(ExitRules::default().judge(&ok, &[]), Ok(()));
    }

    #[test]
    fn the_message_ends_with_the_last_words() {
        let failure = judge(Some(3), None, "starting\ncannot \x1b[31mopen\x1b[0m x\n\n  \n");
        assert_eq!(failure.message, "exit code 3: cannot \\x1b[31mopen\\x1b[0m x");
        assert_eq!(failure.cause_text(), "exit code 3");
        assert_eq!(judge(None, Some(11), "").message, "killed by signal 11");
        assert_eq!(judge(Some(1), None, "token hunter2 refused").message, "exit code 1: token *** refused");
        assert!(judge(Some(1), None, &"x".repeat(5000)).message.chars().count() < 220);
    }

    #[test]
    fn a_stopped_program_is_not_a_failed_one() {
        let exit = ChildExit { code: Some(0), stopped: Some(Stop::Timeout), ..ChildExit::default() };
        let failure = ExitRules::default().judge(&exit, &[]).unwrap_err();
        assert_eq!((failure.class, failure.code.as_str()), (FailureClass::Transient, "stopped"));
    }
}

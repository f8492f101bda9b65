//! The one filter grammar, used by the command line, the dashboard and `q=` of the API.
//!
//! Words match a substring of the input or the error. `task: state: host: code: age>` match fields. Terms are joined
//! by and; `!` in front negates one. A word in double quotes may hold spaces.

use super::JobState;
use std::fmt;
use std::time::Duration;

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// Substring of the input or the error message, without regard to ASCII case.
    Text(String),
    /// Name of the task.
    Task(String),
    /// A job state.
    State(JobState),
    /// Waiting after a failed attempt.
    Retry,
    /// Host of the job's lane.
    Host(String),
    /// Failure code.
    Code(String),
    /// Created longer ago than this.
    OlderThan(Duration),
}

/// One term of a filter: a test, perhaps negated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// Whether the test must not hold.
    pub negated: bool,
    /// The test.
    pub test: Test,
}

/// Terms that must all hold. The empty filter matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The terms.
    pub terms: Vec<Term>,
}

/// What is wrong with a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.hint)
    }
}

impl std::error::Error for FilterError {}

/// Longest filter accepted, in bytes.
pub const FILTER_MAX: usize = 1024;

impl Filter {
    /// Parses a filter.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        if text.len() > FILTER_MAX {
            return Err(FilterError {
                message: format!("filter is longer than {FILTER_MAX} bytes"),
                hint: "use fewer words".into(),
            });
        }
        let mut terms = Vec::new();
        for word in words(text) {
            let (negated, word) = match word.strip_prefix('!') {
                Some(rest) if !rest.is_empty() => (true, rest),
                _ => (false, word.as_str()),
            };
            terms.push(Term { negated, test: parse_test(word)? });
        }
        Ok(Self { terms })
    }

    /// A filter for one state.
    #[must_use]
    pub fn state(state: JobState) -> Self {
        Self { terms: vec![Term { negated: false, test: Test::State(state) }] }
    }

    /// This filter and another test.
    #[must_use]
    pub fn and(mut self, test: Test) -> Self {
        self.terms.push(Term { negated: false, test });
        self
    }

    /// Whether it matches everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }
}

fn words(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => {
                if !word.is_empty() {
                    out.push(std::mem::take(&mut word));
                }
            }
            c => word.push(c),
        }
    }
    if !word.is_empty() {
        out.push(word);
    }
    out
}

fn parse_test(word: &str) -> Result<Test, FilterError> {
    if let Some(age) = word.strip_prefix("age>") {
        return humantime::parse_duration(age).map(Test::OlderThan).map_err(|e| FilterError {
            message: format!("not a duration in age>: {age:?}: {e}"),
            hint: "write for example age>10m or age>2h".into(),
        });
    }
    let Some((key, value)) = word.split_once(':') else { return Ok(Test::Text(word.to_owned())) };
    match key {
        "task" => Ok(Test::Task(value.to_owned())),
        "host" => Ok(Test::Host(value.to_owned())),
        "code" => Ok(Test::Code(value.to_owned())),
        "state" if value == "retry" => Ok(Test::Retry),
        "state" => JobState::from_name(value).map(Test::State).ok_or_else(|| FilterError {
            message: format!("no such state: {value:?}"),
            hint: format!("one of retry, {}", JobState::ALL.map(JobState::name).join(", ")),
        }),
        _ => Ok(Test::Text(word.to_owned())),
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, term) in self.terms.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            if term.negated {
                f.write_str("!")?;
            }
            let quote = |s: &str| if s.contains(char::is_whitespace) { format!("\"{s}\"") } else { s.to_owned() };
            match &term.test {
                Test::Text(t) => f.write_str(&quote(t))?,
                Test::Task(t) => write!(f, "task:{}", quote(t))?,
                Test::State(s) => write!(f, "state:{s}")?,
                Test::Retry => f.write_str("state:retry")?,
                Test::Host(h) => write!(f, "host:{}", quote(h))?,
                Test::Code(c) => write!(f, "code:{}", quote(c))?,
                Test::OlderThan(d) => write!(f, "age>{}", humantime::format_duration(*d).to_string().replace(' ', ""))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_read_and_written_alike() {
        let text = "state:failed !task:orders \"two words\" code:csv_bad_row age>1h30m state:retry http://x";
        let filter = Filter::parse(text).unwrap();
        assert_eq!(filter.terms.len(), 7);
        assert_eq!(filter.to_string(), text);
        assert_eq!(Filter::parse(&filter.to_string()).unwrap(), filter);
        assert!(Filter::parse("  ").unwrap().is_empty());
    }

    #[test]
    fn mistakes_carry_a_hint() {
        assert!(Filter::parse("state:faild").unwrap_err().hint.contains("failed"));
        assert!(Filter::parse("age>soon").is_err());
        assert!(Filter::parse(&"x ".repeat(2000)).is_err());
    }
}

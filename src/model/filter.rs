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
            let test = if word.literal { Test::Text(word.text) } else { parse_test(&word.text)? };
            terms.push(Term { negated: word.negated, test });
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

/// One term as it is spelled, quotes taken off.
#[derive(Default)]
struct Word {
    text: String,
    negated: bool,
    /// Begins with a quote: never a field, even where it looks like one.
    literal: bool,
}

fn words(text: &str) -> Vec<Word> {
    let mut out = Vec::new();
    let mut word = Word::default();
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    let mut end = |word: &mut Word| {
        // A lone `!` is a word like any other.
        if word.negated && word.text.is_empty() && !word.literal {
            *word = Word { text: "!".to_owned(), ..Word::default() };
        }
        if !word.text.is_empty() {
            out.push(std::mem::take(word));
        }
        *word = Word::default();
    };
    while let Some(c) = chars.next() {
        let at_start = word.text.is_empty() && !word.literal;
        match c {
            '\\' if quoted && matches!(chars.peek(), Some('"' | '\\')) => word.text.extend(chars.next()),
            '"' => {
                word.literal |= at_start;
                quoted = !quoted;
            }
            '!' if at_start && !word.negated => word.negated = true,
            c if c.is_whitespace() && !quoted => end(&mut word),
            c => word.text.push(c),
        }
    }
    end(&mut word);
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

/// Whether a text reads back as itself without quotes.
fn is_plain(text: &str) -> bool {
    !text.starts_with('!') && !needs_quotes(text) && matches!(parse_test(text), Ok(Test::Text(_)))
}

fn needs_quotes(text: &str) -> bool {
    text.is_empty() || text.contains(|c: char| c.is_whitespace() || c == '"')
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
}

fn quote(text: &str) -> String {
    if needs_quotes(text) { quoted(text) } else { text.to_owned() }
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
            match &term.test {
                Test::Text(t) if is_plain(t) => f.write_str(t)?,
                Test::Text(t) => f.write_str(&quoted(t))?,
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
    fn any_text_can_be_written_down() {
        for hostile in
            ["state:failed", "state:nonsense", "!x", "a \"b\" c", "\"", "\\", "\\ \"", "age>soon", "a\tb", "!"]
        {
            let filter = Filter::default().and(Test::Text(hostile.to_owned())).and(Test::Task("a \"b".to_owned()));
            let spelled = filter.to_string();
            assert_eq!(Filter::parse(&spelled).unwrap(), filter, "{spelled}");
        }
        let filter = Filter::parse("!\"state:failed\" ! \"\"").unwrap();
        assert_eq!(filter.terms[0], Term { negated: true, test: Test::Text("state:failed".into()) });
        assert_eq!(filter.terms[1].test, Test::Text("!".into()));
        assert_eq!(filter.terms.len(), 2);
    }

    #[test]
    fn mistakes_carry_a_hint() {
        assert!(Filter::parse("state:faild").unwrap_err().hint.contains("failed"));
        assert!(Filter::parse("age>soon").is_err());
        assert!(Filter::parse(&"x ".repeat(2000)).is_err());
    }
}

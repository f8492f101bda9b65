//! What may stand between braces in a URL: a range of numbers or dates, a list, a date, or `{value}`.

use crate::model::text;
use chrono::format::{Item, StrftimeItems};
use chrono::{Days, NaiveDate};
use std::fmt::Write as _;
use std::ops::Range;

/// Farthest day that a URL may name, from the planned one; one farther away is refused.
const DAYS_MAX: u64 = 36_500;
/// How dates are written unless the template says otherwise.
const DATE: &str = "%Y-%m-%d";
/// What could be written instead.
const HINT: &str = "write {1..100}, {001..100}, {a,b,c}, {date}, {date-7..date} or {date:%Y/%m/%d}, and {{ for a brace";

/// What is wrong with a URL in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where, in bytes of the URL.
    pub at: Range<usize>,
    /// What.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Mistake {
    /// A mistake at a place.
    pub fn new(at: Range<usize>, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), hint: None }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same at another place.
    #[must_use]
    pub fn at(mut self, at: Range<usize>) -> Self {
        self.at = at;
        self
    }
}

fn mistake(message: &str, value: &str) -> Mistake {
    Mistake::new(0..0, format!("{message}: {}", text::cut(&text::escape(value), 60))).hint(HINT)
}

/// A day: a written one, or one counted from the planned day of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Day {
    /// As written.
    Fixed(NaiveDate),
    /// So many days after the planned day.
    Planned(i64),
}

impl Day {
    /// Reads a day. None: it does not look like one.
    fn parse(word: &str) -> Option<Result<Self, Mistake>> {
        if let Some(rest) = word.strip_prefix("date") {
            if rest.is_empty() {
                return Some(Ok(Self::Planned(0)));
            }
            let digits =
                rest.strip_prefix(['+', '-']).filter(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()))?;
            return Some(match digits.parse::<u64>() {
                Ok(days) if days <= DAYS_MAX => {
                    let days = i64::try_from(days).unwrap_or_default();
                    Ok(Self::Planned(if rest.starts_with('-') { -days } else { days }))
                }
                _ => Err(mistake(&format!("more than {DAYS_MAX} days from the planned day"), word)),
            });
        }
        let shape = |b: (usize, u8)| if matches!(b.0, 4 | 7) { b.1 == b'-' } else { b.1.is_ascii_digit() };
        if word.len() != 10 || !word.bytes().enumerate().all(shape) {
            return None;
        }
        let day = NaiveDate::parse_from_str(word, DATE);
        Some(day.map(Self::Fixed).map_err(|_| mistake("no such date", word)))
    }

    /// The day, for a run that was planned on this one; the end of the calendar for one beyond it.
    fn on(self, planned: NaiveDate) -> NaiveDate {
        match self {
            Self::Fixed(day) => day,
            Self::Planned(days) if days < 0 => {
                planned.checked_sub_days(Days::new(days.unsigned_abs())).unwrap_or(NaiveDate::MIN)
            }
            Self::Planned(days) => planned.checked_add_days(Days::new(days.unsigned_abs())).unwrap_or(NaiveDate::MAX),
        }
    }
}

/// A piece of a URL template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Text that stands for itself.
    Text(String),
    /// What a file says.
    Value,
    /// One after the other.
    List(Vec<String>),
    /// Numbers.
    Numbers {
        /// First.
        from: i64,
        /// Last, if a step ends there.
        to: i64,
        /// Between two of them.
        step: u64,
        /// Least characters, filled up with zeros.
        width: usize,
    },
    /// Days.
    Days {
        /// First.
        from: Day,
        /// Last, if a step ends there.
        to: Day,
        /// Between two of them.
        step: u64,
        /// As `chrono` writes formats.
        format: String,
    },
}

impl Part {
    /// Reads what stands between two braces.
    pub fn parse(body: &str) -> Result<Self, Mistake> {
        let braced = || format!("{{{body}}}");
        if body == "value" {
            return Ok(Self::Value);
        }
        let (days, format) = body.split_once(':').map_or((body, None), |(days, format)| (days, Some(format)));
        let ends: Vec<&str> = days.split("..").collect();
        if let Some(from) = Day::parse(ends[0]) {
            let to = ends.get(1).map_or_else(|| Some(from.clone()), |end| Day::parse(end));
            if let (Some(to), true) = (to, ends.len() <= 3) {
                let format = format.unwrap_or(DATE);
                check_format(format)?;
                return Ok(Self::Days {
                    from: from?,
                    to: to?,
                    step: step(ends.get(2), body)?,
                    format: format.to_owned(),
                });
            }
        }
        if body.contains(',') {
            return Ok(Self::List(body.split(',').map(str::to_owned).collect()));
        }
        if !body.contains("..") {
            return Err(mistake("unknown placeholder", &braced()).unseparated());
        }
        let ends: Vec<&str> = body.split("..").collect();
        match (number(ends[0]), number(ends[1]), ends.len()) {
            (Some(from), Some(to), 2 | 3) => {
                let is_padded =
                    |s: &str| s.trim_start_matches('-').len() > 1 && s.trim_start_matches('-').starts_with('0');
                let is_padded = is_padded(ends[0]) || is_padded(ends[1]);
                let width = if is_padded { ends[0].len().max(ends[1].len()) } else { 0 };
                Ok(Self::Numbers { from, to, step: step(ends.get(2), body)?, width })
            }
            _ => Err(mistake("not a range of numbers or dates", &braced())),
        }
    }

    /// How many there are, where that does not depend on the day.
    pub fn fixed_count(&self) -> Option<u64> {
        let is_mixed = match self {
            Self::Days { from, to, .. } => matches!(from, Day::Fixed(_)) != matches!(to, Day::Fixed(_)),
            _ => false,
        };
        (!is_mixed).then(|| self.on(NaiveDate::default()).count())
    }

    /// The part of a run that was planned on this day.
    pub fn on(&self, planned: NaiveDate) -> Fixed {
        match self {
            Self::Text(text) => Fixed::Text(text.clone()),
            Self::Value => Fixed::Value,
            Self::List(list) => Fixed::List(list.clone()),
            Self::Numbers { from, to, step, width } => Fixed::Numbers {
                from: *from,
                is_down: to < from,
                step: *step,
                width: *width,
                count: from.abs_diff(*to) / step + 1,
            },
            Self::Days { from, to, step, format } => {
                let (from, to) = (from.on(planned), to.on(planned));
                let days = to.signed_duration_since(from).num_days();
                Fixed::Days {
                    from,
                    is_down: days < 0,
                    step: *step,
                    format: format.clone(),
                    count: days.unsigned_abs() / step + 1,
                }
            }
        }
    }
}

impl Mistake {
    /// Without the colon in front of a value that is part of the sentence.
    fn unseparated(mut self) -> Self {
        self.message = self.message.replacen(": ", " ", 1);
        self
    }
}

fn number(word: &str) -> Option<i64> {
    let digits = word.strip_prefix('-').unwrap_or(word);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    word.parse().ok().filter(|n: &i64| n.unsigned_abs() < u64::MAX / 4)
}

fn step(word: Option<&&str>, body: &str) -> Result<u64, Mistake> {
    let Some(word) = word else { return Ok(1) };
    let braced = format!("{{{body}}}");
    match word.parse::<u64>() {
        Ok(0) => Err(mistake("a step is at least 1", &braced)),
        Ok(step) => Ok(step),
        Err(_) => Err(mistake("not a range of numbers or dates", &braced)),
    }
}

/// A date has no hours: a format that asks for them would have nothing to write.
fn check_format(format: &str) -> Result<(), Mistake> {
    let is_wrong = StrftimeItems::new(format).any(|item| item == Item::Error)
        || write!(String::new(), "{}", NaiveDate::default().format(format)).is_err();
    if is_wrong { Err(mistake("no format of a date", format)) } else { Ok(()) }
}

/// A [`Part`] of one run: its days are known.
#[derive(Clone, Debug)]
pub enum Fixed {
    /// Text that stands for itself.
    Text(String),
    /// What a file says.
    Value,
    /// One after the other.
    List(Vec<String>),
    /// Numbers.
    Numbers {
        /// First.
        from: i64,
        /// Whether they fall.
        is_down: bool,
        /// Between two of them.
        step: u64,
        /// Least characters.
        width: usize,
        /// How many.
        count: u64,
    },
    /// Days.
    Days {
        /// First.
        from: NaiveDate,
        /// Whether they go back.
        is_down: bool,
        /// Days between two of them.
        step: u64,
        /// How they are written.
        format: String,
        /// How many.
        count: u64,
    },
}

impl Fixed {
    /// How many forms it has; at least 1.
    pub fn count(&self) -> u64 {
        match self {
            Self::Text(_) | Self::Value => 1,
            Self::List(list) => list.len().max(1) as u64,
            Self::Numbers { count, .. } | Self::Days { count, .. } => *count,
        }
    }

    /// Writes the form with this number, from 0; `value` stands for `{value}`.
    pub fn write(&self, turn: u64, value: &str, out: &mut String) {
        match self {
            Self::Text(text) => out.push_str(text),
            Self::Value => out.push_str(value),
            Self::List(list) => out.push_str(usize::try_from(turn).ok().and_then(|i| list.get(i)).map_or("", |s| s)),
            Self::Numbers { from, is_down, step, width, .. } => {
                let far = i128::from(turn) * i128::from(*step) * if *is_down { -1 } else { 1 };
                let _ = write!(out, "{:0width$}", i128::from(*from) + far);
            }
            Self::Days { from, is_down, step, format, .. } => {
                let far = Days::new(turn.saturating_mul(*step));
                let day = if *is_down { from.checked_sub_days(far) } else { from.checked_add_days(far) };
                // The format was tried when it was read.
                let _ = write!(out, "{}", day.unwrap_or(*from).format(format));
            }
        }
    }
}

//! A line of output: pieces of text with a meaning each. Text is escaped where it enters, so nothing from outside can
//! act on the terminal; the escape sequences of the colours are the writer's own.

use crate::model::{JobState, text};
use std::fmt::Write as _;
use unicode_width::UnicodeWidthStr;

/// What a piece of text means. Every meaning is also readable without its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Nothing special.
    Plain,
    /// Heading or the thing itself.
    Strong,
    /// Over, or beside the point.
    Dim,
    /// As it should be.
    Good,
    /// Held back.
    Warn,
    /// Failed.
    Bad,
    /// At work.
    Live,
}

impl Style {
    const fn sgr(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Strong => "1",
            Self::Dim => "2",
            Self::Good => "32",
            Self::Warn => "33",
            Self::Bad => "31",
            Self::Live => "36",
        }
    }

    /// The style of a job state.
    #[must_use]
    pub const fn of(state: JobState) -> Self {
        match state {
            JobState::Failed => Self::Bad,
            JobState::Running | JobState::Placing => Self::Live,
            JobState::Waiting => Self::Warn,
            JobState::Queued => Self::Plain,
            JobState::Succeeded => Self::Good,
            JobState::Skipped | JobState::Cancelled => Self::Dim,
        }
    }
}

/// A line of output, without its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    pieces: Vec<(Style, String)>,
}

impl Line {
    /// An empty line.
    #[must_use]
    pub const fn new() -> Self {
        Self { pieces: Vec::new() }
    }

    /// A line of one piece.
    #[must_use]
    pub fn of(style: Style, text: impl AsRef<str>) -> Self {
        Self::new().and(style, text)
    }

    /// The same with a piece behind it.
    #[must_use]
    pub fn and(mut self, style: Style, text: impl AsRef<str>) -> Self {
        self.push(style, text);
        self
    }

    /// The same with plain text behind it.
    #[must_use]
    pub fn text(self, text: impl AsRef<str>) -> Self {
        self.and(Style::Plain, text)
    }

    /// Adds a piece.
    pub fn push(&mut self, style: Style, text: impl AsRef<str>) {
        self.pieces.push((style, text::escape(text.as_ref()).into_owned()));
    }

    /// Adds the pieces of another line.
    pub fn extend(&mut self, other: Self) {
        self.pieces.extend(other.pieces);
    }

    /// Columns that it takes on a terminal.
    #[must_use]
    pub fn width(&self) -> usize {
        self.pieces.iter().map(|(_, t)| t.width()).sum()
    }

    /// Whether it shows nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.iter().all(|(_, t)| t.is_empty())
    }

    /// The line as it is written, without spaces at its end.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let mut out = String::new();
        for (style, text) in &self.pieces {
            if color && *style != Style::Plain && !text.is_empty() {
                // Writing to a string cannot fail.
                let _ = write!(out, "\x1b[{}m{text}\x1b[0m", style.sgr());
            } else {
                out.push_str(text);
            }
        }
        out.truncate(out.trim_end_matches(' ').len());
        out
    }
}

impl From<&str> for Line {
    fn from(text: &str) -> Self {
        Self::of(Style::Plain, text)
    }
}

impl From<String> for Line {
    fn from(text: String) -> Self {
        Self::of(Style::Plain, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_ours_and_everything_else_is_escaped() {
        let line = Line::of(Style::Bad, "a\x1b[2J\n").text("b\u{9b}c").text("  ");
        assert_eq!(line.render(false), "a\\x1b[2J\\nb\\x9bc");
        assert_eq!(line.render(true), "\x1b[31ma\\x1b[2J\\n\x1b[0mb\\x9bc");
        assert_eq!(Line::from("주문").width(), 4);
    }
}

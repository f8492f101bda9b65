//! Problems of a configuration while they are collected, in a form that needs no screen and no file.

use super::tree::Span;
use std::cell::RefCell;

/// What to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// In words.
    Text(String),
    /// One of these; the one nearest to `word` is probably meant.
    Known {
        /// What was written.
        word: String,
        /// What could have been written.
        known: Vec<String>,
    },
}

/// One problem of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// Where.
    pub span: Span,
    /// What is wrong, in one line of safe text.
    pub message: String,
    /// What to write instead.
    pub hint: Option<Hint>,
}

impl Complaint {
    /// A problem at a place.
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), hint: None }
    }

    /// The same with a hint in words.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(Hint::Text(hint.into()));
        self
    }

    /// The same with the words that could have been written instead of `word`.
    #[must_use]
    pub fn known<'a>(mut self, word: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known = known.into_iter().map(str::to_owned).collect();
        self.hint = Some(Hint::Known { word: word.to_owned(), known });
        self
    }
}

/// Where problems are collected; blocks of one file share it.
#[derive(Debug, Default)]
pub struct Complaints {
    list: RefCell<Vec<Complaint>>,
}

impl Complaints {
    /// Most problems kept of one file; a person reads fewer, and the rest are gone once these are mended or show then.
    pub const MAX: usize = 200;

    /// Adds one, unless there are too many already.
    pub fn push(&self, complaint: Complaint) {
        let mut list = self.list.borrow_mut();
        if list.len() < Self::MAX {
            list.push(complaint);
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.borrow().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.borrow().is_empty()
    }

    /// The problems in the order of their place.
    #[must_use]
    pub fn into_sorted(self) -> Vec<Complaint> {
        let mut list = self.list.into_inner();
        list.sort_by_key(|c| (c.span.start, c.span.end));
        list
    }
}

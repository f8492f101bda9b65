//! Popups: a stack, the top one takes the keys. Whom a prompt is about is fixed when it opens, as ids or as a frozen
//! selection; nothing that happens behind it changes that.

use super::action::{Action, Spec, TABLE};
use super::msg::Verb;
use crate::model::view::Selection;
use crate::model::{ports::Target, text};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tui_input::{Input, InputRequest};

/// Longest line that can be typed or pasted, in characters; what is beyond it is dropped.
pub const LINE_MAX: usize = 500;

/// What happens once it is confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Something is done to jobs.
    Act(Verb, Target),
    /// A task is started by hand.
    Trigger(String),
    /// A test message is sent on a channel.
    Test(String),
    /// Everything is paused or resumed.
    PauseAll(bool),
}

/// A popup.
#[derive(Clone, Debug)]
pub enum Layer {
    /// What the keys do; the first line shown.
    Help(usize),
    /// A question that `y` confirms.
    Prompt(Prompt),
    /// A reason for skipping.
    Reason(Reason),
    /// A filter or a search is being typed.
    Filter(Input),
    /// A task is chosen, to be started.
    Tasks(usize),
    /// Any action, by name.
    Palette(Input, usize),
}

/// A question.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// The question.
    pub title: String,
    /// What it is about, a line each.
    pub facts: Vec<String>,
    /// What `y` does; none while the jobs are being counted.
    pub intent: Option<Intent>,
    /// The verb, and the number that the count comes back with, while they are being counted.
    pub counting: Option<(Verb, u64)>,
}

/// A reason, being typed.
#[derive(Clone, Debug)]
pub struct Reason {
    /// What it is for.
    pub title: String,
    /// What it is about, a line each.
    pub facts: Vec<String>,
    /// Whom it is for; none while they are being counted.
    pub target: Option<Target>,
    /// The number that the count comes back with.
    pub counting: Option<u64>,
    /// The line.
    pub input: Input,
    /// Which of the last reasons is in the line, if one is.
    pub recalled: Option<usize>,
    /// What is wrong with it.
    pub error: Option<&'static str>,
}

/// What a key did to the top layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It stays.
    Stay,
    /// It goes.
    Close,
    /// It goes, and this is done, with a reason where one was given.
    Do(Intent, Option<String>),
    /// It goes, and this filter is set.
    Filter(String),
    /// It goes, and this action is performed.
    Perform(Action),
    /// It goes, and the task with this index was chosen.
    Task(usize),
}

impl Layer {
    /// Whether it waits for the count with this number.
    #[must_use]
    pub fn awaits(&self, number: u64) -> bool {
        match self {
            Self::Prompt(p) => p.counting.is_some_and(|(_, n)| n == number),
            Self::Reason(r) => r.counting == Some(number),
            _ => false,
        }
    }

    /// Takes the count that it waited for.
    pub fn counted(&mut self, selection: &Selection) {
        let jobs = format!("{} job{}", selection.count, super::app::plural(selection.count));
        let target = Target::Selection(selection.id);
        let names = names(&selection.names, selection.count);
        match self {
            Self::Prompt(p) => {
                if let Some((verb, _)) = p.counting.take() {
                    p.title = format!("{} {jobs}?", verb.order());
                    p.facts.extend(names);
                    p.intent = Some(Intent::Act(verb, target));
                }
            }
            Self::Reason(r) => {
                r.counting = None;
                r.title = format!("skip {jobs}: why?");
                r.facts.extend(names);
                r.target = Some(target);
            }
            _ => {}
        }
    }

    /// Takes a key. `reasons` are the last ones given, `last_filter` the last filter, `tasks` the number of tasks.
    pub fn key(&mut self, key: KeyEvent, reasons: &[&str], last_filter: &str, tasks: usize) -> Answer {
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        if key.code == KeyCode::Esc || (ctrl && key.code == KeyCode::Char('c')) {
            return Answer::Close;
        }
        match self {
            Self::Help(top) => match key.code {
                KeyCode::Char('q' | '?') | KeyCode::Enter => return Answer::Close,
                _ => *top = moved(*top, key, TABLE.len() + 12),
            },
            Self::Prompt(prompt) => match key.code {
                KeyCode::Char('y' | 'Y') if !ctrl => {
                    if let Some(intent) = prompt.intent.take() {
                        return Answer::Do(intent, None);
                    }
                }
                KeyCode::Char('n' | 'N' | 'q') => return Answer::Close,
                _ => {}
            },
            Self::Reason(reason) => return reason.key(key, reasons),
            Self::Filter(input) => match key.code {
                KeyCode::Enter => return Answer::Filter(input.value().trim().to_owned()),
                KeyCode::Up if !last_filter.is_empty() => *input = Input::new(last_filter.to_owned()),
                _ => edit(input, key),
            },
            Self::Tasks(index) => match key.code {
                KeyCode::Char('q') => return Answer::Close,
                KeyCode::Enter => return Answer::Task(*index),
                _ => *index = moved(*index, key, tasks),
            },
            Self::Palette(input, index) => match key.code {
                KeyCode::Enter => {
                    return found(input.value()).get(*index).map_or(Answer::Close, |s| Answer::Perform(s.action));
                }
                KeyCode::Up => *index = index.saturating_sub(1),
                KeyCode::Down => *index = (*index + 1).min(found(input.value()).len().saturating_sub(1)),
                _ => {
                    edit(input, key);
                    *index = 0;
                }
            },
        }
        Answer::Stay
    }

    /// Takes pasted text: it can only fill a line, never confirm one.
    pub fn paste(&mut self, pasted: &str) {
        let input = match self {
            Self::Reason(r) => &mut r.input,
            Self::Filter(input) | Self::Palette(input, _) => input,
            Self::Help(_) | Self::Prompt(_) | Self::Tasks(_) => return,
        };
        for c in pasted.chars().take(LINE_MAX) {
            insert(input, if c.is_whitespace() { ' ' } else { c });
        }
    }
}

impl Layer {
    /// The layer on one line, for a terminal where nothing else fits.
    #[must_use]
    pub fn brief(&self) -> String {
        match self {
            Self::Help(_) => "the help needs more room: Esc".to_owned(),
            Self::Prompt(p) => format!("{} y/n", p.title),
            Self::Reason(r) => format!("{} {}", r.title, r.input.value()),
            Self::Filter(input) => format!("/ {}", input.value()),
            Self::Tasks(_) => "choosing a task needs more room: Esc".to_owned(),
            Self::Palette(input, index) => {
                let name = found(input.value()).get(*index).map_or("nothing", |s| s.name);
                format!(": {}  Enter: {name}", input.value())
            }
        }
    }
}

impl Reason {
    fn key(&mut self, key: KeyEvent, reasons: &[&str]) -> Answer {
        self.error = None;
        let recall = |at: Option<usize>| at.and_then(|i| reasons.get(i)).map(|r| Input::new((*r).to_owned()));
        match key.code {
            KeyCode::Enter => {
                let reason = self.input.value().trim().to_owned();
                if reason.is_empty() {
                    self.error = Some("a reason is required");
                    return Answer::Stay;
                }
                match self.target.take() {
                    Some(target) => return Answer::Do(Intent::Act(Verb::Skip, target), Some(reason)),
                    None => self.error = Some("still counting"),
                }
            }
            KeyCode::Up => {
                let next = self.recalled.map_or(0, |i| i + 1).min(reasons.len().saturating_sub(1));
                if let Some(input) = recall(Some(next)) {
                    (self.input, self.recalled) = (input, Some(next));
                }
            }
            KeyCode::Down => {
                self.recalled = self.recalled.and_then(|i| i.checked_sub(1));
                self.input = recall(self.recalled).unwrap_or_default();
            }
            _ => edit(&mut self.input, key),
        }
        Answer::Stay
    }
}

/// Up to three names, and how many more there are.
#[must_use]
pub fn names(first: &[String], count: u64) -> Vec<String> {
    let mut out: Vec<String> = first.iter().take(3).map(|n| format!("  {n}")).collect();
    let more = count.saturating_sub(out.len() as u64);
    if more > 0 {
        out.push(format!("  and {more} more"));
    }
    out
}

/// Actions whose name holds these letters in this order; a name that starts with them first.
#[must_use]
pub fn found(typed: &str) -> Vec<&'static Spec> {
    let typed = typed.trim().to_lowercase();
    let holds = |name: &str| {
        let mut chars = name.chars();
        typed.chars().all(|c| chars.any(|n| n == c))
    };
    let mut out: Vec<&Spec> = TABLE.iter().filter(|s| holds(s.name)).collect();
    out.sort_by_key(|s| (!s.name.starts_with(&typed), !s.name.contains(&typed)));
    out
}

fn moved(at: usize, key: KeyEvent, len: usize) -> usize {
    let last = len.saturating_sub(1);
    match key.code {
        KeyCode::Down | KeyCode::Char('j') => (at + 1).min(last),
        KeyCode::Up | KeyCode::Char('k') => at.saturating_sub(1),
        KeyCode::PageDown | KeyCode::Char(' ') => (at + 10).min(last),
        KeyCode::PageUp => at.saturating_sub(10),
        KeyCode::Home | KeyCode::Char('g') => 0,
        KeyCode::End | KeyCode::Char('G') => last,
        _ => at,
    }
}

fn insert(input: &mut Input, c: char) {
    if text::is_shown(c) && input.value().chars().count() < LINE_MAX {
        input.handle(InputRequest::InsertChar(c));
    }
}

fn edit(input: &mut Input, key: KeyEvent) {
    let ctrl = key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
    let request = match (key.code, ctrl) {
        (KeyCode::Char(c), false) => return insert(input, c),
        (KeyCode::Char('a'), true) | (KeyCode::Home, _) => InputRequest::GoToStart,
        (KeyCode::Char('e'), true) | (KeyCode::End, _) => InputRequest::GoToEnd,
        (KeyCode::Char('u'), true) => InputRequest::DeleteLine,
        (KeyCode::Char('k'), true) => InputRequest::DeleteTillEnd,
        (KeyCode::Char('w'), true) => InputRequest::DeletePrevWord,
        (KeyCode::Backspace, _) | (KeyCode::Char('h'), true) => InputRequest::DeletePrevChar,
        (KeyCode::Delete, _) => InputRequest::DeleteNextChar,
        (KeyCode::Left, _) => InputRequest::GoToPrevChar,
        (KeyCode::Right, _) => InputRequest::GoToNextChar,
        _ => return,
    };
    input.handle(request);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{JobId, SelectionId};

    fn press(layer: &mut Layer, code: KeyCode) -> Answer {
        layer.key(KeyEvent::new(code, KeyModifiers::NONE), &["disk was full", "known bad"], "state:failed", 3)
    }

    fn reason(target: Option<Target>) -> Layer {
        Layer::Reason(Reason {
            title: String::new(),
            facts: Vec::new(),
            target,
            counting: Some(7),
            input: Input::default(),
            recalled: None,
            error: None,
        })
    }

    #[test]
    fn a_reason_is_required_and_the_last_ones_are_offered() {
        let mut layer = reason(Some(Target::Jobs(vec![JobId(3)])));
        assert_eq!(press(&mut layer, KeyCode::Up), Answer::Stay);
        press(&mut layer, KeyCode::Up);
        assert!(matches!(&layer, Layer::Reason(r) if r.input.value() == "known bad"));
        press(&mut layer, KeyCode::Down);
        press(&mut layer, KeyCode::Down);
        assert_eq!(press(&mut layer, KeyCode::Enter), Answer::Stay, "empty again");
        assert!(matches!(&layer, Layer::Reason(r) if r.error == Some("a reason is required")));
    }

    #[test]
    fn an_empty_reason_does_not_lose_whom_it_is_for() {
        let mut layer = reason(Some(Target::Jobs(vec![JobId(3)])));
        press(&mut layer, KeyCode::Enter);
        press(&mut layer, KeyCode::Char('x'));
        let done = Answer::Do(Intent::Act(Verb::Skip, Target::Jobs(vec![JobId(3)])), Some("x".into()));
        assert_eq!(press(&mut layer, KeyCode::Enter), done);
    }

    #[test]
    fn nothing_is_done_before_it_is_counted() {
        let mut layer = reason(None);
        press(&mut layer, KeyCode::Char('x'));
        assert_eq!(press(&mut layer, KeyCode::Enter), Answer::Stay);
        let selection = Selection { id: SelectionId(9), count: 12, names: vec!["a".into()], rev: 1 };
        assert!(layer.awaits(7) && !layer.awaits(8));
        layer.counted(&selection);
        assert!(matches!(
            press(&mut layer, KeyCode::Enter),
            Answer::Do(Intent::Act(Verb::Skip, Target::Selection(SelectionId(9))), _)
        ));
    }

    #[test]
    fn pasted_text_fills_a_line_and_confirms_nothing() {
        let mut layer = Layer::Filter(Input::default());
        layer.paste(&"y\n\x1b[2J\u{202e}".repeat(100_000));
        let Layer::Filter(input) = &layer else { panic!() };
        assert!(input.value().chars().count() <= LINE_MAX && input.value().chars().all(text::is_shown));
        let mut prompt = Layer::Prompt(Prompt {
            title: String::new(),
            facts: Vec::new(),
            intent: Some(Intent::PauseAll(true)),
            counting: None,
        });
        prompt.paste("y\n");
        assert_eq!(press(&mut prompt, KeyCode::Enter), Answer::Stay);
        assert_eq!(press(&mut prompt, KeyCode::Char('y')), Answer::Do(Intent::PauseAll(true), None));
    }

    #[test]
    fn actions_are_found_by_some_letters() {
        assert_eq!(found("ret")[0].name, "retry");
        assert_eq!(found("cpy")[0].name, "copy path");
        assert_eq!(found("").len(), TABLE.len());
        assert!(found("zzz").is_empty());
    }
}

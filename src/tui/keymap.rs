//! From a key to an action, through the one table.

use super::action::{Action, TABLE};
use super::panes::PaneId;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// A key with the modifiers that matter. Shift is part of the character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Chord {
    code: KeyCode,
    ctrl: bool,
    /// No action has such a key: Esc and a letter that arrive together must not be that letter.
    alt: bool,
}

impl Chord {
    /// The chord of a key press.
    #[must_use]
    pub fn of(key: KeyEvent) -> Self {
        let code = match key.code {
            KeyCode::Tab if key.modifiers.contains(KeyModifiers::SHIFT) => KeyCode::BackTab,
            code => code,
        };
        let alt = key.modifiers.intersects(KeyModifiers::ALT | KeyModifiers::META | KeyModifiers::SUPER);
        Self { code, ctrl: key.modifiers.contains(KeyModifiers::CONTROL), alt }
    }

    /// The chord of a spelling: `j`, `G`, `enter`, `ctrl-d`.
    #[must_use]
    pub fn parse(spelling: &str) -> Option<Self> {
        let (ctrl, name) = match spelling.strip_prefix("ctrl-") {
            Some(rest) => (true, rest),
            None => (false, spelling),
        };
        let code = match name {
            "enter" => KeyCode::Enter,
            "esc" => KeyCode::Esc,
            "tab" => KeyCode::Tab,
            "backtab" => KeyCode::BackTab,
            "space" => KeyCode::Char(' '),
            "up" => KeyCode::Up,
            "down" => KeyCode::Down,
            "left" => KeyCode::Left,
            "right" => KeyCode::Right,
            "home" => KeyCode::Home,
            "end" => KeyCode::End,
            "pgup" => KeyCode::PageUp,
            "pgdn" => KeyCode::PageDown,
            _ => {
                let mut chars = name.chars();
                match (chars.next(), chars.next()) {
                    (Some(c), None) => KeyCode::Char(c),
                    _ => return None,
                }
            }
        };
        Some(Self { code, ctrl, alt: false })
    }
}

/// What a key means in a pane, if it means something.
#[must_use]
pub fn lookup(key: KeyEvent, pane: PaneId) -> Option<Action> {
    let chord = Chord::of(key);
    let means = |s: &&super::action::Spec| s.keys.iter().any(|k| Chord::parse(k) == Some(chord));
    let here = |s: &&super::action::Spec| s.panes.is_empty() || s.panes.contains(&pane);
    // A key of another pane is still found, so that the person is told where it works.
    TABLE.iter().filter(means).find(here).or_else(|| TABLE.iter().find(means)).map(|s| s.action)
}

/// How a key is written on the screen.
#[must_use]
pub fn shown(spelling: &str) -> String {
    match spelling {
        "enter" => "Enter".to_owned(),
        "esc" => "Esc".to_owned(),
        "tab" => "Tab".to_owned(),
        "backtab" => "S-Tab".to_owned(),
        "space" => "Space".to_owned(),
        "pgup" => "PgUp".to_owned(),
        "pgdn" => "PgDn".to_owned(),
        "home" => "Home".to_owned(),
        "end" => "End".to_owned(),
        "up" => "Up".to_owned(),
        "down" => "Down".to_owned(),
        "left" => "Left".to_owned(),
        "right" => "Right".to_owned(),
        other => other.strip_prefix("ctrl-").map_or_else(|| other.to_owned(), |c| format!("^{c}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(code: KeyCode, modifiers: KeyModifiers) -> KeyEvent {
        KeyEvent::new(code, modifiers)
    }

    #[test]
    fn keys_mean_what_the_table_says() {
        let plain = KeyModifiers::NONE;
        let find = |c, m, p| lookup(key(c, m), p);
        assert_eq!(find(KeyCode::Char('r'), plain, PaneId::Queue), Some(Action::Retry));
        assert_eq!(find(KeyCode::Char('R'), KeyModifiers::SHIFT, PaneId::Queue), Some(Action::RetryAll));
        assert_eq!(find(KeyCode::Char('d'), KeyModifiers::CONTROL, PaneId::Logs), Some(Action::HalfDown));
        assert_eq!(find(KeyCode::Char('c'), KeyModifiers::CONTROL, PaneId::Logs), Some(Action::Leave));
        assert_eq!(find(KeyCode::Tab, KeyModifiers::SHIFT, PaneId::Logs), Some(Action::PreviousPane));
        assert_eq!(
            find(KeyCode::Char('L'), plain, PaneId::Queue),
            Some(Action::Level),
            "found, and refused with a reason"
        );
        assert_eq!(find(KeyCode::Char('r'), KeyModifiers::ALT, PaneId::Queue), None);
        assert_eq!(find(KeyCode::F(5), plain, PaneId::Queue), None);
    }
}

//! Meanings become styles here and nowhere else. Failures are the only red on the screen; two accents: one for where
//! you are, one for what is held back. The mono theme sets no colour at all, so that a terminal (or a library under it)
//! that reacts to NO_COLOR cannot lose the cursor row: it uses bold, dim and reversed.

use super::widgets::{ASCII, Glyphs, UNICODE};
use crate::model::{JobState, view::JobView};
use ratatui::style::{Color, Modifier, Style};

/// What a piece of text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Ordinary text.
    Plain,
    /// Said by the way: labels, what is done, what cannot be done now.
    Dim,
    /// Names and headings.
    Strong,
    /// Where you are: the focused pane, keys that can be pressed.
    Focus,
    /// Frames of panes without focus.
    Frame,
    /// Something failed.
    Failed,
    /// Something is held back, waits or is degraded.
    Attention,
    /// At work now.
    Running,
}

/// How many colours the terminal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// None: NO_COLOR, or not wanted.
    Mono,
    /// The 16 that every colour terminal has.
    Ansi,
    /// 256.
    Indexed,
}

impl Depth {
    /// From the wish for colour and the value of TERM: an unknown terminal has 16.
    #[must_use]
    pub fn of(color: bool, term: &str, colorterm: &str) -> Self {
        match (color, term.contains("256") || !colorterm.is_empty()) {
            (false, _) => Self::Mono,
            (true, true) => Self::Indexed,
            (true, false) => Self::Ansi,
        }
    }
}

/// Styles and characters for one terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    depth: Depth,
    /// The characters to draw with.
    pub glyphs: &'static Glyphs,
}

impl Theme {
    /// A theme for a terminal.
    #[must_use]
    pub const fn new(depth: Depth, unicode: bool) -> Self {
        Self { depth, glyphs: if unicode { &UNICODE } else { &ASCII } }
    }

    /// The style of a meaning.
    #[must_use]
    pub fn style(&self, meaning: Meaning) -> Style {
        let plain = Style::new();
        match self.depth {
            Depth::Mono => match meaning {
                Meaning::Plain | Meaning::Frame => plain,
                Meaning::Dim => plain.add_modifier(Modifier::DIM),
                Meaning::Strong | Meaning::Focus | Meaning::Failed | Meaning::Attention | Meaning::Running => {
                    plain.add_modifier(Modifier::BOLD)
                }
            },
            Depth::Ansi => match meaning {
                Meaning::Plain => plain,
                Meaning::Dim | Meaning::Frame => plain.fg(Color::DarkGray),
                Meaning::Strong | Meaning::Running => plain.add_modifier(Modifier::BOLD),
                Meaning::Focus => plain.fg(Color::Cyan),
                Meaning::Failed => plain.fg(Color::Red),
                Meaning::Attention => plain.fg(Color::Yellow),
            },
            Depth::Indexed => match meaning {
                Meaning::Plain => plain.fg(Color::Indexed(250)),
                Meaning::Dim => plain.fg(Color::Indexed(244)),
                Meaning::Frame => plain.fg(Color::Indexed(239)),
                Meaning::Strong | Meaning::Running => plain.fg(Color::Indexed(255)).add_modifier(Modifier::BOLD),
                Meaning::Focus => plain.fg(Color::Indexed(80)),
                Meaning::Failed => plain.fg(Color::Indexed(203)),
                Meaning::Attention => plain.fg(Color::Indexed(179)),
            },
        }
    }

    /// What is added to every cell of the row under the cursor.
    #[must_use]
    pub fn selected(&self, focused: bool) -> Style {
        match (self.depth, focused) {
            (Depth::Mono | Depth::Ansi, true) => Style::new().add_modifier(Modifier::REVERSED),
            (Depth::Mono | Depth::Ansi, false) => Style::new().add_modifier(Modifier::BOLD),
            (Depth::Indexed, true) => Style::new().bg(Color::Indexed(237)),
            (Depth::Indexed, false) => Style::new().bg(Color::Indexed(235)),
        }
    }

    /// Sign, word and meaning of a job's state, in the order of trust.
    #[must_use]
    pub fn state(&self, job: &JobView) -> (char, &'static str, Meaning) {
        let s = &self.glyphs.signs;
        match job.state {
            JobState::Failed => (s[0], "failed", Meaning::Failed),
            JobState::Waiting if job.is_retry() => (s[1], "retry", Meaning::Attention),
            JobState::Running => (s[2], "running", Meaning::Running),
            JobState::Placing => (s[3], "placing", Meaning::Running),
            JobState::Queued => (s[4], "queued", Meaning::Plain),
            JobState::Waiting => (s[5], "waiting", Meaning::Plain),
            JobState::Succeeded => (s[6], "done", Meaning::Dim),
            JobState::Skipped => (s[7], "skipped", Meaning::Dim),
            JobState::Cancelled => (s[8], "cancelled", Meaning::Dim),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Meaning; 8] = [
        Meaning::Plain,
        Meaning::Dim,
        Meaning::Strong,
        Meaning::Focus,
        Meaning::Frame,
        Meaning::Failed,
        Meaning::Attention,
        Meaning::Running,
    ];

    #[test]
    fn mono_sets_no_colour_and_still_shows_the_cursor() {
        let mono = Theme::new(Depth::Mono, true);
        for m in ALL {
            let style = mono.style(m).patch(mono.selected(true));
            assert_eq!((style.fg, style.bg), (None, None), "{m:?}");
            assert!(style.add_modifier.contains(Modifier::REVERSED));
        }
    }

    #[test]
    fn only_failures_are_red() {
        for depth in [Depth::Ansi, Depth::Indexed] {
            let theme = Theme::new(depth, true);
            let red = theme.style(Meaning::Failed).fg;
            assert!(red.is_some());
            for m in ALL.into_iter().filter(|m| *m != Meaning::Failed) {
                assert_ne!(theme.style(m).fg, red, "{m:?}");
            }
        }
    }

    #[test]
    fn an_unknown_terminal_has_sixteen_colours() {
        assert_eq!(Depth::of(true, "linux", ""), Depth::Ansi);
        assert_eq!(Depth::of(true, "tmux-256color", ""), Depth::Indexed);
        assert_eq!(Depth::of(false, "xterm-256color", "truecolor"), Depth::Mono);
    }
}

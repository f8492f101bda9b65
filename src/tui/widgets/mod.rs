//! Stateless drawing helpers. Each turns values into text of an exact display width; none knows the application.
//!
//! Every function that takes text from outside escapes it before it measures or cuts it, so that nothing of theirs
//! can act on the terminal, and what was measured is what is drawn.

pub mod bar;
pub mod line;
pub mod spark;
pub mod table;
pub mod text;
pub mod time;

/// The characters that a terminal can be trusted with: a rich set, and plain ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glyphs {
    /// In place of what was cut.
    pub ellipsis: char,
    /// Eighths of a bar cell, from one eighth to full.
    pub eighths: [char; 8],
    /// Levels of a sparkline, lowest first.
    pub levels: [char; 8],
    /// Corners and sides of a frame: top left, top right, bottom left, bottom right, horizontal, vertical.
    pub frame: [char; 6],
    /// Signs of states: failed, retry, running, placing, queued, waiting, succeeded, skipped, cancelled.
    pub signs: [char; 9],
    /// Marked row.
    pub mark: char,
    /// Row under the cursor.
    pub cursor: char,
    /// Between two facts on one line.
    pub dot: char,
    /// The supervisor is there.
    pub live: char,
    /// Under the failing column.
    pub caret: char,
}

/// For terminals that show UTF-8.
pub const UNICODE: Glyphs = Glyphs {
    ellipsis: '…',
    eighths: ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'],
    levels: ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
    frame: ['╭', '╮', '╰', '╯', '─', '│'],
    signs: ['✗', '↻', '▸', '▸', '∙', '∙', '✓', '↷', '⊘'],
    mark: '*',
    cursor: '▌',
    dot: '·',
    live: '●',
    caret: '^',
};

/// For every terminal there is.
pub const ASCII: Glyphs = Glyphs {
    ellipsis: '~',
    eighths: [' ', ' ', ' ', '-', '-', '=', '=', '#'],
    levels: ['_', '_', '.', '.', '-', '-', '=', '#'],
    frame: ['+', '+', '+', '+', '-', '|'],
    signs: ['X', '~', '>', '>', '.', '.', '+', '-', '/'],
    mark: '*',
    cursor: '>',
    dot: '-',
    live: '*',
    caret: '^',
};

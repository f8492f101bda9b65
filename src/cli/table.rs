//! Columns that line up, wide characters included. The last column is never padded or cut: it holds what is long.

use super::line::{Line, Style};
use super::out::Out;

/// On which side a column is flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Names.
    Left,
    /// Numbers.
    Right,
}

/// Rows of cells under headings.
#[derive(Debug)]
pub struct Table<const N: usize> {
    heads: [(&'static str, Align); N],
    rows: Vec<Row<N>>,
    /// Kept from one printing to the next, so that pages line up.
    widths: [usize; N],
    indent: usize,
    is_headed: bool,
}

#[derive(Debug)]
struct Row<const N: usize> {
    cells: [Line; N],
    below: Vec<Line>,
}

/// Spaces between two columns.
const GAP: usize = 2;

impl<const N: usize> Table<N> {
    /// A table with these headings.
    #[must_use]
    pub fn new(heads: [(&'static str, Align); N]) -> Self {
        Self { heads, rows: Vec::new(), widths: heads.map(|(h, _)| h.len()), indent: 0, is_headed: false }
    }

    /// The same, moved to the right.
    #[must_use]
    pub const fn indent(mut self, columns: usize) -> Self {
        self.indent = columns;
        self
    }

    /// Adds a row.
    pub fn row(&mut self, cells: [Line; N]) {
        self.rows.push(Row { cells, below: Vec::new() });
    }

    /// Adds a line below the last row, at the last column.
    pub fn below(&mut self, line: Line) {
        if let Some(row) = self.rows.last_mut() {
            row.below.push(line);
        }
    }

    /// Prints the rows and forgets them; the headings come once.
    pub fn print(&mut self, out: &mut Out) {
        if self.rows.is_empty() {
            return;
        }
        for row in &self.rows {
            for (width, cell) in self.widths.iter_mut().zip(&row.cells) {
                *width = (*width).max(cell.width());
            }
        }
        if !self.is_headed {
            self.is_headed = true;
            let heads = self.heads.map(|(h, _)| Line::of(Style::Dim, h));
            out.line(self.laid_out(&heads));
        }
        let last = self.indent + self.widths[..N - 1].iter().map(|w| w + GAP).sum::<usize>();
        for row in std::mem::take(&mut self.rows) {
            out.line(self.laid_out(&row.cells));
            for below in row.below {
                let mut line = Line::from(" ".repeat(last));
                line.extend(below);
                out.line(line);
            }
        }
    }

    fn laid_out(&self, cells: &[Line; N]) -> Line {
        let mut line = Line::from(" ".repeat(self.indent));
        for (i, cell) in cells.iter().enumerate() {
            let space = " ".repeat(self.widths[i].saturating_sub(cell.width()));
            let is_right = self.heads[i].1 == Align::Right;
            if is_right {
                line.push(Style::Plain, &space);
            }
            line.extend(cell.clone());
            if i + 1 < N {
                if !is_right {
                    line.push(Style::Plain, &space);
                }
                line.push(Style::Plain, " ".repeat(GAP));
            }
        }
        line
    }
}

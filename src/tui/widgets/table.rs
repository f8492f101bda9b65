//! Columns that line up: names on the left, numbers on the right, nothing jumps when a number grows.

use super::{Glyphs, text};
use ratatui::style::Style;
use ratatui::text::Span;

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its heading.
    pub title: &'static str,
    /// Its width; 0 takes what the others leave.
    pub width: usize,
    /// Whether it is set flush right.
    pub right: bool,
    /// Columns are given up from the highest number down when there is no room.
    pub rank: u8,
}

/// Space between two columns.
pub const GAP: usize = 2;
/// Least width of a column that takes what is left.
const FLEX_MIN: usize = 12;

/// Columns with the widths that they got; those given up are gone.
#[must_use]
pub fn arrange(columns: &[Column], total: usize) -> Vec<(usize, Column)> {
    let mut kept: Vec<(usize, Column)> = columns.iter().copied().enumerate().collect();
    loop {
        let fixed: usize = kept.iter().map(|(_, c)| c.width).sum::<usize>() + GAP * kept.len().saturating_sub(1);
        let flex = kept.iter().filter(|(_, c)| c.width == 0).count();
        if fixed + flex * FLEX_MIN <= total || kept.len() <= 1 {
            let mut left = total.saturating_sub(fixed);
            let mut flexible = flex;
            for (_, column) in &mut kept {
                if column.width == 0 {
                    column.width = left / flexible.max(1);
                    left -= column.width;
                    flexible -= 1;
                } else {
                    column.width = column.width.min(total);
                }
            }
            return kept;
        }
        let worst = kept.iter().enumerate().max_by_key(|(_, (_, c))| c.rank).map_or(0, |(i, _)| i);
        kept.remove(worst);
    }
}

/// One row: the cell of column `i` of the definition is `cells[i]`.
#[must_use]
pub fn row(arranged: &[(usize, Column)], cells: &[(String, Style)], glyphs: &Glyphs) -> Vec<Span<'static>> {
    let mut out = Vec::with_capacity(arranged.len() * 2);
    for (n, (i, column)) in arranged.iter().enumerate() {
        if n > 0 {
            out.push(Span::raw(" ".repeat(GAP)));
        }
        let Some((content, style)) = cells.get(*i) else { continue };
        let content = if column.right {
            text::right(content, column.width, glyphs)
        } else {
            text::left(content, column.width, glyphs)
        };
        out.push(Span::styled(content, *style));
    }
    out
}

/// The row of headings.
#[must_use]
pub fn head(arranged: &[(usize, Column)], style: Style, glyphs: &Glyphs) -> Vec<Span<'static>> {
    let last = arranged.iter().map(|(i, _)| i + 1).max().unwrap_or(0);
    let mut cells = vec![(String::new(), style); last];
    for (i, column) in arranged {
        cells[*i].0 = column.title.to_owned();
    }
    row(arranged, &cells, glyphs)
}

#[cfg(test)]
mod tests {
    use super::super::UNICODE;
    use super::*;

    const COLUMNS: [Column; 3] = [
        Column { title: "NAME", width: 0, right: false, rank: 0 },
        Column { title: "SIZE", width: 6, right: true, rank: 2 },
        Column { title: "AGE", width: 4, right: true, rank: 1 },
    ];

    fn line(spans: &[Span<'_>]) -> String {
        spans.iter().map(|s| s.content.as_ref()).collect()
    }

    #[test]
    fn numbers_line_up_on_the_right() {
        let a = arrange(&COLUMNS, 28);
        assert_eq!(line(&head(&a, Style::default(), &UNICODE)), "NAME              SIZE   AGE");
        let cells = ["주문.csv", "12 kB", "3m"].map(|s| (s.to_owned(), Style::default()));
        assert_eq!(line(&row(&a, &cells, &UNICODE)), "주문.csv         12 kB    3m");
    }

    #[test]
    fn columns_are_given_up_by_rank() {
        let names = |w| arrange(&COLUMNS, w).iter().map(|(_, c)| c.title).collect::<Vec<_>>();
        assert_eq!(names(26), ["NAME", "SIZE", "AGE"]);
        assert_eq!(names(20), ["NAME", "AGE"]);
        assert_eq!(names(5), ["NAME"]);
        assert_eq!(arrange(&COLUMNS, 0).len(), 1);
    }
}

//! The way onto the screen: one line of text at a place, or nothing where there is no room. Nothing here can reach
//! outside the buffer, whatever the size of the terminal.

use super::{Glyphs, text};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

/// Draws spans on line `row` of an area, cut at its edge.
pub fn put(buf: &mut Buffer, area: Rect, row: usize, spans: impl IntoIterator<Item = Span<'static>>) {
    let area = area.intersection(buf.area);
    let Some(y) = u16::try_from(row).ok().filter(|r| *r < area.height).map(|r| area.y + r) else { return };
    let line = Line::from_iter(spans);
    buf.set_line(area.x, y, &line, area.width);
}

/// Draws text flush right on line `row` of an area, if it fits behind the first `after` columns.
pub fn put_right(buf: &mut Buffer, area: Rect, row: usize, after: usize, content: &str, style: Style) {
    let width = text::width(content);
    let Some(indent) = usize::from(area.width).checked_sub(width).filter(|i| *i >= after) else { return };
    let indent = u16::try_from(indent).unwrap_or(area.width);
    let place = Rect { x: area.x.saturating_add(indent), width: area.width - indent, ..area };
    put(buf, place, row, [Span::styled(content.to_owned(), style)]);
}

/// Adds a style to line `row` of an area.
pub fn tint(buf: &mut Buffer, area: Rect, row: usize, style: Style) {
    let area = area.intersection(buf.area);
    if let Some(row) = u16::try_from(row).ok().filter(|r| *r < area.height) {
        buf.set_style(Rect { y: area.y + row, height: 1, ..area }, style);
    }
}

/// Empties an area and draws a frame around it.
pub fn frame(buf: &mut Buffer, area: Rect, style: Style, glyphs: &Glyphs) {
    let area = area.intersection(buf.area);
    if area.width < 2 || area.height < 2 {
        return;
    }
    let [top_left, top_right, bottom_left, bottom_right, across, down] = glyphs.frame;
    let middle: String = std::iter::repeat_n(across, usize::from(area.width) - 2).collect();
    put(buf, area, 0, [Span::styled(format!("{top_left}{middle}{top_right}"), style)]);
    let last = usize::from(area.height) - 1;
    put(buf, area, last, [Span::styled(format!("{bottom_left}{middle}{bottom_right}"), style)]);
    for row in 1..last {
        let right = Rect { x: area.right() - 1, width: 1, ..area };
        put(buf, area, row, [Span::styled(down.to_string(), style)]);
        put(buf, right, row, [Span::styled(down.to_string(), style)]);
    }
}

/// Empties an area.
pub fn clear(buf: &mut Buffer, area: Rect) {
    let area = area.intersection(buf.area);
    for y in area.top()..area.bottom() {
        for x in area.left()..area.right() {
            buf[(x, y)].reset();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::UNICODE;
    use super::*;

    #[test]
    fn nothing_reaches_outside_the_buffer() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 6, 3));
        let wild = Rect::new(3, 1, 500, 500);
        let text = || [Span::raw("주문서류")];
        put(&mut buf, wild, 0, text());
        put(&mut buf, wild, 400, text());
        put(&mut buf, Rect::new(90, 90, 5, 5), 0, text());
        put_right(&mut buf, wild, 1, 0, "end", Style::default());
        tint(&mut buf, wild, 70_000, Style::default());
        frame(&mut buf, wild, Style::default(), &UNICODE);
        clear(&mut buf, wild);
        frame(&mut Buffer::empty(Rect::ZERO), wild, Style::default(), &UNICODE);
    }
}
